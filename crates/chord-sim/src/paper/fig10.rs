//! Path length: how many nodes a lookup asks (TON, figure 10).

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use super::plot::{Axis, Chart, Point, Series};
use super::tally::real;
use super::{Band, Cell, Claim, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally, config};
use crate::{Ending, IdealRing, Still, Style, draw_position};

/// How long lookups are in rings of 8 to 16,384 nodes.
pub(super) struct PathLength(pub(super) Effort);

/// log2 N; the mean, and the 1st and 99th percentile, read off the plot.
const PAPER: [(u16, f64, f64, f64); 12] = [
    (3, 1.72, 1.0, 3.0),
    (4, 2.09, 1.0, 4.0),
    (5, 2.49, 1.0, 5.0),
    (6, 2.96, 1.0, 5.0),
    (7, 3.39, 1.0, 6.0),
    (8, 3.88, 1.0, 7.0),
    (9, 4.38, 1.0, 7.0),
    (10, 4.89, 2.0, 8.0),
    (11, 5.36, 2.0, 9.0),
    (12, 5.85, 2.0, 10.0),
    (13, 6.35, 2.0, 10.0),
    (14, 6.87, 3.0, 11.0),
];

/// log2 N of figure 10b, and its probabilities of 1, 2, ... nodes, read off the plot.
const DENSITY_LOG2: u16 = 12;
const DENSITY_PAPER: [f64; 12] =
    [0.0033, 0.0180, 0.0571, 0.1288, 0.2124, 0.2254, 0.1938, 0.1094, 0.0412, 0.0092, 0.0012, 0.0002];

/// Successors of a node as shipped, by default.
const SHIPPED_SUCCESSORS: u8 = chord_ring::SUCCESSORS_DEFAULT;

const MEASURES: [Measure; 2] = [
    Measure::new("nodes asked by the book: mean (1st, 99th percentile)", "path", 2).with_spread(1, 99).explained(
        "where the asker itself precedes the key it asks nobody, which counts as 0 here; the paper's 1st percentile of 1 at \
         N = 8 shows that it counts this case, 1 in N, as at least 1",
    ),
    Measure::new("forwards as shipped: mean (1st, 99th percentile)", "shipped_forwards", 2).with_spread(1, 99),
];

const DENSITY_MEASURES: [Measure; 1] = [Measure::new("probability", "probability", 4)
    .without_band("the paper's are read off a plot; what they should be like is said by the claims below")];

impl Experiment for PathLength {
    fn id(&self) -> &'static str {
        "fig10"
    }

    fn n_rows(&self) -> usize {
        self.0.choose(PAPER.len(), 8)
    }

    fn n_repeats(&self) -> usize {
        16
    }

    /// By the book: nodes asked, up to the key's predecessor. As shipped: forwards, the one to the owner included.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let n_nodes = 1_usize << PAPER[row].0;
        let n_lookups = self.0.choose((100 * n_nodes).div_ceil(self.n_repeats()).max(1_000), 500);
        let book = drawn(1, n_nodes, random).without_predecessors();
        let book = Still::new(&book, Style::Iterative, Ending::Believed);
        // The last one asked names the owner.
        let asked =
            lengths(&book, n_lookups, random).map(|n_contacts| n_contacts.saturating_sub(1)).collect();
        let shipped = drawn(SHIPPED_SUCCESSORS, n_nodes, random);
        let shipped = Still::new(&shipped, Style::Recursive, Ending::Claimed);
        vec![asked, lengths(&shipped, n_lookups, random).collect()]
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        let density =
            rows.iter().find(|(row, _)| PAPER[**row].0 == DENSITY_LOG2).map(|(_, tallies)| &tallies[0]);
        let paths = Table {
            id: self.id(),
            setting: "nodes",
            measures: MEASURES.to_vec(),
            rows: rows.iter().map(|(row, tallies)| path_row(*row, tallies)).collect(),
        };
        Findings {
            id: self.id(),
            title: "Path length",
            source: "TON, figure 10",
            method: format!(
                "Ideal rings of N nodes; for each N {} rings and, over all of them, at least 100·N lookups of random keys from random nodes.\n\
                 By the book: one successor, no node knows its predecessor, the asker puts the question to one node after another, and nodes are counted up to the key's predecessor, as in the paper.\n\
                 As shipped: {SHIPPED_SUCCESSORS} successors, nodes forward the question, and the forward to the owner, which confirms that it is one, counts too.\n\
                 The model is ½·log2 N, and the band of the mean is the model ± 0.25.",
                self.n_repeats()
            ),
            tables: [Some(paths), density.map(density_table)].into_iter().flatten().collect(),
            charts: [Some(path_chart(rows)), density.map(density_chart)].into_iter().flatten().collect(),
            claims: density.map(claims).unwrap_or_default(),
            is_complete: true,
        }
    }
}

/// An ideal ring with drawn names: among 2^160 positions no two of them meet.
pub(super) fn drawn(successors: u8, n_nodes: usize, random: &mut Pcg64Mcg) -> IdealRing {
    IdealRing::drawn(&config(successors), n_nodes, random).expect("2^160 positions are enough")
}

/// How many nodes had the question in each of so many lookups, the asker not counted.
fn lengths(ring: &Still<'_>, n_lookups: usize, random: &mut Pcg64Mcg) -> impl Iterator<Item = u64> {
    (0..n_lookups).map(move |_| {
        let target = draw_position(ring.ring().size(), random);
        let route = ring.look_up(random.random_range(0..ring.ring().views().len()), target);
        assert_eq!(route.owner, Ok(ring.ring().owner(target)), "a lookup in an ideal ring ends at the owner");
        route.contacts.len() as u64
    })
}

fn spread(tally: &Tally) -> Figure {
    Figure::between(tally.mean(), real(tally.percentile(1)), real(tally.percentile(99)))
}

fn path_row(row: usize, tallies: &[Tally]) -> Row {
    let (log2, mean, p1, p99) = PAPER[row];
    let model = f64::from(log2) / 2.0;
    let path = Cell::ours(spread(&tallies[0])).beside(Figure::between(mean, p1, p99));
    Row {
        setting: (1_u32 << log2).to_string(),
        cells: vec![path.modelled(model).within(Band::around(model, 0.25)), Cell::ours(spread(&tallies[1]))],
    }
}

/// The probability of `n_ones` in so many throws of a coin: the digits of a distance that are 1.
fn binomial(n_throws: u16, n_ones: u16) -> f64 {
    (0..n_ones)
        .fold(0.5_f64.powi(n_throws.into()), |part, k| part * f64::from(n_throws - k) / f64::from(k + 1))
}

/// The numbers of nodes asked that the paper shows, with their probability.
fn densities() -> impl Iterator<Item = (u16, f64)> {
    (1..).zip(DENSITY_PAPER)
}

fn density_table(asked: &Tally) -> Table {
    let row = |(n_asked, paper): (u16, f64)| {
        let ours = Cell::ours(asked.part(n_asked.into()));
        let cell = ours.beside(paper).modelled(binomial(DENSITY_LOG2, n_asked));
        Row { setting: n_asked.to_string(), cells: vec![cell] }
    };
    Table {
        id: "fig10_density",
        setting: "nodes asked",
        measures: DENSITY_MEASURES.to_vec(),
        rows: densities().map(row).collect(),
    }
}

fn claims(asked: &Tally) -> Vec<Claim> {
    let above = (13..=asked.max()).map(|n_asked| asked.part(n_asked)).sum::<f64>();
    vec![
        Claim {
            text: "At N = 4,096 the most likely number of nodes asked is 6, or 5, which is nearly as likely"
                .to_owned(),
            ours: asked.mode().to_string(),
            holds: (5..=6).contains(&asked.mode()),
        },
        Claim {
            text: "There at most 12 nodes are asked".to_owned(),
            ours: format!("at most {}, and more than 12 in a part of {above:.5}", asked.max()),
            holds: asked.max() <= 12,
        },
        Claim {
            text: "There the mean is 5.7 to 6.0".to_owned(),
            ours: format!("{:.2}", asked.mean()),
            holds: Band::new(5.7, 6.0).holds(asked.mean()),
        },
    ]
}

fn path_chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let nodes = |log2: u16| f64::from(1_u32 << log2);
    let paper = PAPER.map(|(log2, mean, p1, p99)| Point::new(nodes(log2), mean).between(p1, p99));
    let ours = |idx: usize| {
        rows.iter().map(move |(row, tallies)| {
            let tally = &tallies[idx];
            Point::new(nodes(PAPER[*row].0), tally.mean())
                .between(real(tally.percentile(1)), real(tally.percentile(99)))
        })
    };
    let model = PAPER.map(|(log2, ..)| Point::new(nodes(log2), f64::from(log2) / 2.0));
    Chart {
        id: "fig10",
        title: "Path length: mean, 1st and 99th percentile".to_owned(),
        x: Axis::log2("nodes"),
        y: Axis::linear("nodes asked"),
        series: vec![
            Series::paper("paper", paper),
            Series::ours("ours, by the book", ours(0)),
            Series::shipped("ours, as shipped (forwards)", ours(1)),
            Series::model("½·log2 N", model),
        ],
    }
}

fn density_chart(asked: &Tally) -> Chart {
    let ours = (0..=13).map(|n_asked| Point::new(real(n_asked), asked.part(n_asked)));
    let model = (0..=12).map(|n_asked| Point::new(n_asked.into(), binomial(DENSITY_LOG2, n_asked)));
    Chart {
        id: "fig10_density",
        title: "Path length among 4,096 nodes: how likely".to_owned(),
        x: Axis::linear("nodes asked"),
        y: Axis::linear("probability"),
        series: vec![
            Series::paper("paper", densities().map(|(n_asked, part)| Point::new(n_asked.into(), part))),
            Series::ours("ours, by the book", ours),
            Series::model("binomial distribution (12, ½)", model),
        ],
    }
}
