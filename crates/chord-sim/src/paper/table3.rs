//! Lookups while nodes join and leave (TON, table III).

use std::collections::BTreeMap;
use std::time::Duration;

use rand_pcg::Pcg64Mcg;

use super::churn::{LOOKUP_PATIENCE, Outcomes, Trial};
use super::fig8::spread;
use super::plot::{Axis, Chart, Point, Series};
use super::tally::ratio;
use super::{Band, Cell, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally};
use crate::churn::Departure;

/// Path, timeouts and failures of lookups in a ring that does not come to rest.
pub(super) struct Stabilization(pub(super) Effort);

struct Setting {
    /// Joins in a second, and as many leaves.
    rate: f64,
    /// Nodes asked: mean, 1st and 99th percentile, printed.
    path: (f64, f64, f64),
    /// Nodes asked in vain, likewise.
    timeouts: (f64, f64, f64),
    /// Of 10,000 lookups.
    failures: f64,
    /// The mean timeouts that the paper's formula expects.
    timeouts_expected: f64,
}

const SETTINGS: [Setting; 8] = [
    Setting {
        rate: 0.05,
        path: (3.90, 1.0, 9.0),
        timeouts: (0.05, 0.0, 2.0),
        failures: 0.0,
        timeouts_expected: 0.041,
    },
    Setting {
        rate: 0.10,
        path: (3.83, 1.0, 9.0),
        timeouts: (0.11, 0.0, 2.0),
        failures: 0.0,
        timeouts_expected: 0.081,
    },
    Setting {
        rate: 0.15,
        path: (3.84, 1.0, 9.0),
        timeouts: (0.16, 0.0, 2.0),
        failures: 2.0,
        timeouts_expected: 0.120,
    },
    Setting {
        rate: 0.20,
        path: (3.81, 1.0, 9.0),
        timeouts: (0.23, 0.0, 3.0),
        failures: 5.0,
        timeouts_expected: 0.158,
    },
    Setting {
        rate: 0.25,
        path: (3.83, 1.0, 9.0),
        timeouts: (0.30, 0.0, 3.0),
        failures: 6.0,
        timeouts_expected: 0.195,
    },
    Setting {
        rate: 0.30,
        path: (3.91, 1.0, 9.0),
        timeouts: (0.34, 0.0, 4.0),
        failures: 8.0,
        timeouts_expected: 0.232,
    },
    Setting {
        rate: 0.35,
        path: (3.94, 1.0, 10.0),
        timeouts: (0.42, 0.0, 4.0),
        failures: 16.0,
        timeouts_expected: 0.268,
    },
    Setting {
        rate: 0.40,
        path: (4.06, 1.0, 10.0),
        timeouts: (0.46, 0.0, 5.0),
        failures: 15.0,
        timeouts_expected: 0.304,
    },
];

const SUCCESSORS: u8 = 20;

const MEASURES: [Measure; 6] = [
    Measure::new("path by the book", "path", 2).with_spread(1, 99),
    Measure::new("timeouts by the book", "timeouts", 2).with_spread(1, 99),
    Measure::new("failures of 10,000 by the book", "failures", 1),
    Measure::new("forwards as shipped", "shipped_path", 2).with_spread(1, 99),
    Measure::new("timeouts as shipped", "shipped_timeouts", 2).with_spread(1, 99),
    Measure::new("failures of 10,000 as shipped", "shipped_failures", 1),
];

impl Stabilization {
    fn n_nodes(&self) -> usize {
        self.0.choose(1_000, 100)
    }

    fn n_lookups(&self) -> u64 {
        self.0.choose(2_500, 500)
    }

    fn trial(&self, rate: f64) -> Trial {
        Trial {
            n_nodes: self.n_nodes(),
            successors: SUCCESSORS,
            rate: rate * self.0.choose(1.0, 0.1), // as often for each node
            departure: Departure::Leave,
            warm_up: Duration::from_secs(600),
            n_lookups: self.n_lookups(),
        }
    }
}

impl Experiment for Stabilization {
    fn id(&self) -> &'static str {
        "table3"
    }

    fn n_rows(&self) -> usize {
        SETTINGS.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(4, 1)
    }

    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        self.trial(SETTINGS[row].rate).run(random).into_tallies()
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        Findings {
            id: self.id(),
            title: "Lookups during stabilization",
            source: "TON, table III",
            method: format!(
                "A ring of about {} nodes with {SUCCESSORS} successors each; nodes join and leave, in good order, at random times, each at the rate of the row, and lookups come once a second on average.\n\
                 {} runs of {} lookups for each rate, event by event on the shipped nodes; rounds of maintenance come every 15 to 45 s, whatever a node asks for, and messages take 50 ms on average, exponentially, as in the paper.\n\
                 By the book: the asker asks one node after another, a node names only its first successor that lives, and the first one named is believed; this is evaluated on what all nodes believe at that instant, and nodes are counted up to the key's predecessor.\n\
                 As shipped: by messages in virtual time, forwarded from node to node, and the owner confirms that it is one; a client waits for {} s, as many rounds as it does by default in a running ring, and a node for another as long as there.\n\
                 Rings are maintained by the shipped protocol in both cases, not by the one of the paper, which can break a ring for good.\n\
                 A lookup is right if it ends at a node that owned the key at some instant while it ran; a node that joins owns keys once a member names it as its successor.\n\
                 Timeouts and failures by the book are fewer than the paper's, since entries are fresher: its nodes refresh one of some thirty entries in a round, a shipped node its whole list and one of its six or so fingers beyond that.\n\
                 The band of the shipped lookups is no failure at all, that of the lookups by the book the paper's figure, or one in 10,000 where that is less; that of their path is the paper's figure ± 0.2, as in table II, and their timeouts should be no more than the paper's.",
                self.n_nodes(),
                self.n_repeats(),
                self.n_lookups(),
                LOOKUP_PATIENCE.as_secs()
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "joins and leaves in a second",
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
    let outcomes = Outcomes::of_tallies(tallies);
    let of_ten_thousand = |tally: &Tally| 10_000.0 * ratio(tally.sum(), tally.n_values());
    let figure = |(mean, p1, p99): (f64, f64, f64)| Figure::between(mean, p1, p99);
    Row {
        setting: setting.rate.to_string(),
        cells: vec![
            Cell::ours(spread(&outcomes.path))
                .beside(figure(setting.path))
                .within(Band::around(setting.path.0, 0.2)),
            Cell::ours(spread(&outcomes.timeouts))
                .beside(figure(setting.timeouts))
                .modelled(setting.timeouts_expected)
                .within(Band::new(0.0, setting.timeouts.0)),
            Cell::ours(of_ten_thousand(&outcomes.failed))
                .beside(setting.failures)
                .within(Band::new(0.0, setting.failures.max(1.0))),
            Cell::ours(spread(&outcomes.shipped_path)),
            Cell::ours(spread(&outcomes.shipped_timeouts)),
            Cell::ours(of_ten_thousand(&outcomes.shipped_failed)).within(Band::new(0.0, 0.0)),
        ],
    }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let paper = |figure: fn(&Setting) -> f64| {
        SETTINGS.iter().map(move |setting| Point::new(setting.rate, figure(setting)))
    };
    let ours = |figure: fn(&Outcomes) -> f64| {
        rows.iter().map(move |(row, tallies)| {
            Point::new(SETTINGS[*row].rate, figure(&Outcomes::of_tallies(tallies)))
        })
    };
    Chart {
        id: "table3",
        title: "Timeouts of a lookup while nodes join and leave: means".to_owned(),
        x: Axis::linear("joins in a second, and as many leaves"),
        y: Axis::linear("nodes asked in vain"),
        series: vec![
            Series::paper("paper", paper(|setting| setting.timeouts.0)),
            Series::ours("ours, by the book", ours(|outcomes| outcomes.timeouts.mean())),
            Series::shipped("ours, as shipped", ours(|outcomes| outcomes.shipped_timeouts.mean())),
            Series::model("the paper's formula", paper(|setting| setting.timeouts_expected)),
        ],
    }
}
