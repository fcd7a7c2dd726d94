//! Load balance: how many keys the nodes of a ring own (TON, figure 8).

use std::collections::BTreeMap;

use rand_pcg::Pcg64Mcg;

use super::plot::{Axis, Chart, Point, Series};
use super::tally::{ratio, real};
use super::{Band, Cell, Claim, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally, config};
use crate::{Circle, draw_peers, draw_position};

/// How evenly keys spread over nodes.
pub(super) struct LoadBalance(pub(super) Effort);

/// Keys per node: the mean, and the paper's 1st and 99th percentile, read off its plot.
const PAPER: [(u64, f64, f64); 10] = [
    (10, 0.0, 48.0),
    (20, 0.0, 91.0),
    (30, 0.0, 138.0),
    (40, 0.0, 181.0),
    (50, 0.0, 228.0),
    (60, 0.0, 273.0),
    (70, 0.0, 320.0),
    (80, 0.0, 364.0),
    (90, 0.0, 411.0),
    (100, 1.0, 463.0),
];

/// The only setting of which the paper prints the fullest node: 457 keys, 9.1 times the mean of 50.
const FULLEST_PAPER: (u64, f64) = (50, 9.1);

/// Keys per node and their probability at a mean of 50 (figure 8b), read off the plot.
const DENSITY_PAPER: [(f64, f64); 7] = [
    (1.0, 0.021),
    (10.0, 0.0183),
    (24.0, 0.0123),
    (48.0, 0.0072),
    (90.0, 0.0033),
    (120.0, 0.0013),
    (180.0, 0.0005),
];
const DENSITY_MEAN: u64 = 50;

const MEASURES: [Measure; 4] = [
    Measure::new("keys per node: mean (1st, 99th percentile)", "keys", 0)
        .with_spread(1, 99)
        .without_band("the mean is set, and the percentile's band is that of its ratio to the mean, beside it"),
    Measure::new("99th percentile ÷ mean", "p99_to_mean", 2)
        .explained("the 99th percentile is a whole number of keys, which matters where the mean is small"),
    Measure::new("fullest node ÷ mean", "max_to_mean", 1)
        .explained("of N nodes the fullest is expected to have ln N + 0.58 times the mean: 9.8 for 10,000, less for fewer"),
    Measure::new("nodes without a key", "empty", 4),
];

impl LoadBalance {
    fn n_nodes(&self) -> usize {
        self.0.choose(10_000, 1_000)
    }
}

impl Experiment for LoadBalance {
    fn id(&self) -> &'static str {
        "fig8"
    }

    fn n_rows(&self) -> usize {
        PAPER.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(20, 4)
    }

    /// Keys of each node, and of the fullest.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let n_nodes = self.n_nodes();
        let loads = loads(n_nodes, n_nodes as u64 * PAPER[row].0, random);
        let fullest = loads.iter().copied().max().unwrap_or_default();
        vec![loads.into_iter().collect(), [fullest].into_iter().collect()]
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        let (n_nodes, n_rings) = (self.n_nodes(), self.n_repeats());
        let density =
            rows.iter().find(|(row, _)| PAPER[**row].0 == DENSITY_MEAN).map(|(_, tallies)| &tallies[0]);
        Findings {
            id: self.id(),
            title: "Load balance",
            source: "TON, figure 8",
            method: format!(
                "{n_nodes} nodes, no virtual nodes, {n_rings} rings for each number of keys.\n\
                 Nodes lie at the SHA-256 of their names, as shipped; keys at random positions.\n\
                 The model is the geometric distribution with that mean, since the arc a node owns is exponential."
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "mean",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(*row, tallies)).collect(),
            }],
            charts: [Some(spread_chart(rows)), density.map(density_chart)].into_iter().flatten().collect(),
            claims: density.map(claim).into_iter().collect(),
            is_complete: true,
        }
    }
}

/// How many keys each node owns.
fn loads(n_nodes: usize, n_keys: u64, random: &mut Pcg64Mcg) -> Vec<u64> {
    let ring = config(1).ring().clone();
    let circle = Circle::new(draw_peers(&ring, n_nodes, random).iter().map(|peer| peer.position).collect());
    let mut loads = vec![0; n_nodes];
    for _ in 0..n_keys {
        loads[circle.owner(draw_position(ring.size, random))] += 1;
    }
    loads
}

fn table_row(row: usize, tallies: &[Tally]) -> Row {
    let (mean, p1, p99) = PAPER[row];
    let (keys, fullest) = (&tallies[0], &tallies[1]);
    let ours_p99 = ratio(keys.percentile(99), mean);
    let fullest = Cell::ours(fullest.mean() / real(mean)).within(Band::new(8.0, 12.0));
    Row {
        setting: mean.to_string(),
        cells: vec![
            Cell::ours(spread(keys)).beside(Figure::between(real(mean), p1, p99)),
            Cell::ours(ours_p99).beside(p99 / real(mean)).modelled(100_f64.ln()).within(Band::new(4.4, 4.9)),
            if mean == FULLEST_PAPER.0 { fullest.beside(FULLEST_PAPER.1) } else { fullest },
            Cell::ours(keys.part(0)).modelled(1.0 / (1.0 + real(mean))),
        ],
    }
}

/// The mean between the 1st and the 99th percentile.
pub(super) fn spread(tally: &Tally) -> Figure {
    Figure::between(tally.mean(), real(tally.percentile(1)), real(tally.percentile(99)))
}

fn claim(keys: &Tally) -> Claim {
    let mean = keys.mean();
    let (p1, p99) = (real(keys.percentile(1)), real(keys.percentile(99)));
    Claim {
        text: "At a mean of 50 keys, the 1st percentile is at most 0.01 of the mean and the 99th 4.6 times the mean".to_owned(),
        ours: format!("{:.3} and {:.2}", p1 / mean, p99 / mean),
        holds: p1 <= 0.01 * mean && Band::new(4.4, 4.9).holds(p99 / mean),
    }
}

fn spread_chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let paper = PAPER.map(|(mean, p1, p99)| Point::new(real(mean), real(mean)).between(p1, p99));
    let ours = rows.iter().map(|(row, tallies)| {
        let figure = spread(&tallies[0]);
        let (low, high) = figure.spread.unwrap_or_default();
        Point::new(real(PAPER[*row].0), figure.value).between(low, high)
    });
    Chart {
        id: "fig8",
        title: "Keys per node: mean, 1st and 99th percentile".to_owned(),
        x: Axis::linear("mean number of keys per node"),
        y: Axis::linear("keys per node"),
        series: vec![Series::paper("paper", paper), Series::ours("ours", ours)],
    }
}

fn density_chart(keys: &Tally) -> Chart {
    const BIN: u64 = 10;
    let bins = (0..500 / BIN).map(|bin| {
        let part: f64 = (bin * BIN..(bin + 1) * BIN).map(|load| keys.part(load)).sum();
        Point::new(real(bin * BIN) + real(BIN - 1) / 2.0, part / real(BIN))
    });
    let geometric = (0..=500).step_by(5).map(|load| {
        let mean = real(DENSITY_MEAN);
        Point::new(f64::from(load), (mean / (1.0 + mean)).powi(load) / (1.0 + mean))
    });
    Chart {
        id: "fig8_density",
        title: "Keys per node at a mean of 50: how likely".to_owned(),
        x: Axis::linear("keys per node"),
        y: Axis::linear("probability"),
        series: vec![
            Series::paper("paper", DENSITY_PAPER.map(|(keys, part)| Point::new(keys, part))),
            Series::ours("ours", bins),
            Series::model("geometric distribution", geometric),
        ],
    }
}
