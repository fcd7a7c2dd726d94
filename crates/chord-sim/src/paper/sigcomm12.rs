//! Lookups while nodes join and fail (SIGCOMM, figure 12).

use std::collections::BTreeMap;
use std::time::Duration;

use rand_pcg::Pcg64Mcg;

use super::churn::{Outcomes, Trial};
use super::plot::{Axis, Chart, Point, Series};
use super::{Band, Cell, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally};
use crate::churn::Departure;

/// Which part of all lookups fails when none is tried again.
pub(super) struct Churned(pub(super) Effort);

/// Joins in a second, and as many failures; the part of lookups that failed, with its confidence interval, read off the
/// plot.
const PAPER: [(f64, f64, f64, f64); 4] = [
    (0.01, 0.0030, 0.0003, 0.0055),
    (0.02, 0.0095, 0.0073, 0.0117),
    (0.05, 0.0245, 0.0180, 0.0310),
    (0.10, 0.0645, 0.0580, 0.0710),
];

const MEASURES: [Measure; 3] = [
    Measure::new("failed by the book, with no other try", "failed", 4).with_spread(5, 95),
    Measure::new("wrong owner by the book", "wrong", 4),
    Measure::new("failed as shipped", "shipped_failed", 4).explained(
        "one lookup in some 18,000 ends at a node whose predecessor has just crashed and which answers for it, since it cannot know before the next round of a newcomer before that one, whom so far only the member before it knows; a get or a put would be refused there, as no predecessor has vouched for that range",
    ),
];

impl Churned {
    fn n_nodes(&self) -> usize {
        self.0.choose(500, 100)
    }

    fn n_lookups(&self) -> u64 {
        self.0.choose(3_600, 500)
    }

    fn trial(&self, rate: f64) -> Trial {
        Trial {
            n_nodes: self.n_nodes(),
            successors: chord_ring::SUCCESSORS_DEFAULT,
            rate: rate * self.0.choose(1.0, 0.2), // as often for each node
            departure: Departure::Crash,
            warm_up: Duration::from_secs(600),
            n_lookups: self.n_lookups(),
        }
    }
}

impl Experiment for Churned {
    fn id(&self) -> &'static str {
        "sigcomm12"
    }

    fn n_rows(&self) -> usize {
        PAPER.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(5, 1)
    }

    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        self.trial(PAPER[row].0).run(random).into_tallies()
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        Findings {
            id: self.id(),
            title: "Lookups while nodes join and fail",
            source: "SIGCOMM, figure 12",
            method: format!(
                "A ring of about {} nodes with {} successors each; nodes join and fail at random times, each at the rate of the row, and lookups come once a second on average.\n\
                 {} runs of {} lookups for each rate, event by event on the shipped nodes; rounds of maintenance come every 15 to 45 s, and a shipped node looks one finger up in a round, where the paper's refreshes all.\n\
                 By the book: as in table III, but a lookup that meets a dead node has failed, since nothing is tried again; the paper's percentiles are its confidence interval.\n\
                 As shipped: lookups go round the dead, and the owner confirms that it is one; a client waits as in table III.\n\
                 The paper's rule is k % for k failures between two rounds; its own figures are up to twice that, so the band of the lookups by the book ends with the paper's interval, and that of the shipped ones is no failure at all.",
                self.n_nodes(),
                chord_ring::SUCCESSORS_DEFAULT,
                self.n_repeats(),
                self.n_lookups()
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "joins and failures in a second",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(*row, tallies)).collect(),
            }],
            charts: vec![chart(rows)],
            claims: Vec::new(),
            is_complete: true,
        }
    }
}

/// Failures between two rounds, in hundredths of 500 nodes: the paper's rule.
fn rule(rate: f64) -> f64 {
    30.0 * rate / 100.0
}

fn table_row(row: usize, tallies: &[Tally]) -> Row {
    let (rate, failed, low, high) = PAPER[row];
    let outcomes = Outcomes::of_tallies(tallies);
    Row {
        setting: rate.to_string(),
        cells: vec![
            Cell::ours(outcomes.met_dead.mean())
                .beside(Figure::between(failed, low, high))
                .modelled(rule(rate))
                .within(Band::new(0.0, high)),
            Cell::ours(outcomes.failed.mean()),
            Cell::ours(outcomes.shipped_failed.mean()).within(Band::new(0.0, 0.0)),
        ],
    }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let paper = PAPER.map(|(rate, failed, low, high)| Point::new(rate, failed).between(low, high));
    let ours = |figure: fn(&Outcomes) -> f64| {
        rows.iter()
            .map(move |(row, tallies)| Point::new(PAPER[*row].0, figure(&Outcomes::of_tallies(tallies))))
    };
    Chart {
        id: "sigcomm12",
        title: "Lookups that fail while nodes join and fail".to_owned(),
        x: Axis::linear("joins in a second, and as many failures"),
        y: Axis::linear("part of lookups that failed"),
        series: vec![
            Series::paper("paper", paper),
            Series::ours("ours, by the book", ours(|outcomes| outcomes.met_dead.mean())),
            Series::shipped("ours, as shipped", ours(|outcomes| outcomes.shipped_failed.mean())),
            Series::model(
                "k % for k failures in a round",
                PAPER.map(|(rate, ..)| Point::new(rate, rule(rate))),
            ),
        ],
    }
}
