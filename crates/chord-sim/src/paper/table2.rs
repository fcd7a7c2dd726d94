//! Lookups right after many nodes failed at once, before anything is repaired (TON, table II).

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use super::fig10::drawn;
use super::plot::{Axis, Chart, Point, Series};
use super::tally::real;
use super::{Band, Cell, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally};
use crate::{Ending, Still, Style, draw_position};

/// Path lengths and timeouts when a part of all nodes is gone.
pub(super) struct SimultaneousFailures(pub(super) Effort);

struct Setting {
    /// Each node fails with this probability.
    failing: f64,
    /// Nodes asked that live: mean, 1st and 99th percentile, printed.
    path: (f64, f64, f64),
    /// Nodes asked in vain, likewise.
    timeouts: (f64, f64, f64),
}

const SETTINGS: [Setting; 6] = [
    Setting { failing: 0.0, path: (3.84, 2.0, 5.0), timeouts: (0.0, 0.0, 0.0) },
    Setting { failing: 0.1, path: (4.03, 2.0, 6.0), timeouts: (0.60, 0.0, 2.0) },
    Setting { failing: 0.2, path: (4.22, 2.0, 6.0), timeouts: (1.17, 0.0, 3.0) },
    Setting { failing: 0.3, path: (4.44, 2.0, 6.0), timeouts: (2.02, 0.0, 5.0) },
    Setting { failing: 0.4, path: (4.69, 2.0, 7.0), timeouts: (3.23, 0.0, 8.0) },
    Setting { failing: 0.5, path: (5.09, 3.0, 8.0), timeouts: (5.10, 0.0, 11.0) },
];

const N_NODES: usize = 1_000;
/// 2·log2 N.
const SUCCESSORS: u8 = 20;

const MEASURES: [Measure; 6] = [
    Measure::new("path by the book", "path", 2).with_spread(1, 99).explained(
        "the paper's own formula gives 5.76 for half of all nodes; the spread of single rings is wide",
    ),
    Measure::new("timeouts by the book", "timeouts", 2)
        .with_spread(1, 99)
        .explained("timeouts grow with the path, by p/(1 - p) for each live node asked"),
    Measure::new("failed lookups by the book", "failures", 0),
    Measure::new("path as shipped", "shipped_path", 2).with_spread(1, 99),
    Measure::new("timeouts as shipped", "shipped_timeouts", 2).with_spread(1, 99),
    Measure::new("failed lookups as shipped", "shipped_failures", 0),
];

impl Experiment for SimultaneousFailures {
    fn id(&self) -> &'static str {
        "table2"
    }

    fn n_rows(&self) -> usize {
        SETTINGS.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(20, 4)
    }

    /// Path, timeouts and failures by the book, and the same as shipped.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let ring = drawn(SUCCESSORS, N_NODES, random);
        let dead: Vec<bool> = (0..N_NODES).map(|_| random.random_bool(SETTINGS[row].failing)).collect();
        let alive: Vec<usize> = (0..N_NODES).filter(|place| !dead[*place]).collect();
        let book = Still::new(&ring, Style::Iterative, Ending::Believed).with_dead(&dead);
        let shipped = Still::new(&ring, Style::Recursive, Ending::Claimed).with_dead(&dead);
        let mut tallies = vec![Tally::default(); MEASURES.len()];
        for _ in 0..self.0.choose(10_000, 500) {
            let target = draw_position(ring.size(), random);
            let asker = alive[random.random_range(0..alive.len())];
            for (way, tallies) in [&book, &shipped].into_iter().zip(tallies.chunks_exact_mut(3)) {
                let route = way.look_up(asker, target);
                tallies[0].add(route.contacts.len() as u64);
                tallies[1].add(route.timeouts.into());
                tallies[2].add(u64::from(route.owner.ok() != way.owner(target)));
            }
        }
        tallies
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        Findings {
            id: self.id(),
            title: "Simultaneous failures",
            source: "TON, table II",
            method: format!(
                "An ideal ring of {N_NODES} nodes with {SUCCESSORS} successors each; each node fails with probability p at one instant, and nothing is repaired.\n\
                 {} rings for each p, {} lookups in each, from live nodes for random keys; a lookup is right only if it ends at the first live node at or after the key.\n\
                 Values are the mean (1st, 99th percentile); the path counts the nodes that answered, the owner included, as the paper's ½·log2 N - ½·log2 r + 1 does.\n\
                 By the book: the asker puts the question to one node after another, remembers the dead, and believes the first live node that is named as the owner.\n\
                 As shipped: nodes forward the question, each finds the dead out for itself, and the owner confirms that it is one, for which it first asks its dead predecessor.\n\
                 The bands are the paper's figure ± 0.2 for paths and ± 0.3 for timeouts, and no failed lookup at all; the paper's percentiles come from a simulator with a cache of other nodes, which is not part of the protocol.",
                self.n_repeats(),
                self.0.choose(10_000, 500)
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "p",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(&SETTINGS[*row], tallies)).collect(),
            }],
            charts: vec![chart(rows)],
            claims: Vec::new(),
            is_complete: true,
        }
    }
}

fn table_row(setting: &Setting, tallies: &[Tally]) -> Row {
    let spread = |idx: usize| {
        let tally: &Tally = &tallies[idx];
        Figure::between(tally.mean(), real(tally.percentile(1)), real(tally.percentile(99)))
    };
    let failures = |idx: usize| Cell::ours(real(tallies[idx].sum())).within(Band::new(0.0, 0.0));
    let beside = |idx: usize, (mean, p1, p99): (f64, f64, f64), reach: f64| {
        let paper = Figure::between(mean, p1, p99);
        Cell::ours(spread(idx)).beside(paper).within(Band::around(mean, reach))
    };
    let dead_to_live = setting.failing / (1.0 - setting.failing);
    Row {
        setting: setting.failing.to_string(),
        cells: vec![
            beside(0, setting.path, 0.2),
            beside(1, setting.timeouts, 0.3).modelled(tallies[0].mean() * dead_to_live),
            failures(2).beside(0.0),
            Cell::ours(spread(3)),
            Cell::ours(spread(4)),
            failures(5),
        ],
    }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let ours = |idx: usize| {
        rows.iter().map(move |(row, tallies)| Point::new(SETTINGS[*row].failing, tallies[idx].mean()))
    };
    let paper = |figure: fn(&Setting) -> f64| {
        SETTINGS.iter().map(move |setting| Point::new(setting.failing, figure(setting)))
    };
    Chart {
        id: "table2",
        title: "Lookups after simultaneous failures: means".to_owned(),
        x: Axis::linear("probability that a node failed"),
        y: Axis::linear("nodes"),
        series: vec![
            Series::paper("path, paper", paper(|setting| setting.path.0)),
            Series::ours("path, ours by the book", ours(0)),
            Series::shipped("path, ours as shipped", ours(3)),
            Series::paper("timeouts, paper", paper(|setting| setting.timeouts.0)).second(),
            Series::ours("timeouts, ours by the book", ours(1)).second(),
            Series::shipped("timeouts, ours as shipped", ours(4)).second(),
        ],
    }
}
