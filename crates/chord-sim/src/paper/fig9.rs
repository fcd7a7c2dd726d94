//! Virtual nodes: how they even out the load (TON, figure 9).

use std::collections::BTreeMap;

use chord_ring::Position;
use rand_pcg::Pcg64Mcg;

use super::fig8::spread;
use super::plot::{Axis, Chart, Point, Series};
use super::tally::real;
use super::{Band, Cell, Effort, Experiment, Findings, Measure, Row, Table, Tally, config};
use crate::{Circle, draw_peers, draw_position};

/// How evenly keys spread over machines that take several positions each.
pub(super) struct VirtualNodes(pub(super) Effort);

struct Setting {
    /// Positions of each machine.
    n_virtual: u16,
    /// The paper's 1st and 99th percentile of keys per machine, read off its plot.
    paper: Option<(f64, f64)>,
    /// Those of the negative binomial distribution with `n_virtual` parts and a mean of 100.
    model: (f64, f64),
}

const SETTINGS: [Setting; 7] = [
    Setting { n_virtual: 1, paper: Some((0.0, 477.0)), model: (1.0, 462.0) },
    Setting { n_virtual: 2, paper: Some((7.0, 347.0)), model: (7.0, 334.0) },
    Setting { n_virtual: 5, paper: Some((24.0, 220.0)), model: (24.0, 235.0) },
    Setting { n_virtual: 10, paper: Some((38.0, 186.0)), model: (38.0, 192.0) },
    Setting { n_virtual: 20, paper: Some((50.0, 161.0)), model: (51.0, 165.0) },
    Setting { n_virtual: 32, paper: None, model: (58.0, 152.0) },
    Setting { n_virtual: 64, paper: None, model: (66.0, 140.0) },
];

/// Keys per machine.
const MEAN: u64 = 100;

/// How far a percentile may be from the model's: 7 %, and one key where that is more.
const TOLERANCE: f64 = 0.07;

const MEASURES: [Measure; 2] =
    [Measure::new("1st percentile", "p1", 0), Measure::new("99th percentile", "p99", 0)];

impl VirtualNodes {
    fn n_machines(&self) -> usize {
        self.0.choose(10_000, 500)
    }
}

impl Experiment for VirtualNodes {
    fn id(&self) -> &'static str {
        "fig9"
    }

    fn n_rows(&self) -> usize {
        SETTINGS.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(5, 4)
    }

    /// Keys of each machine.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let ring = config(1).ring().clone();
        let n_machines = self.n_machines();
        let peers = draw_peers(&ring, n_machines * usize::from(SETTINGS[row].n_virtual), random);
        let positions = peers.iter().map(|peer| peer.position);
        let mut machines: Vec<(Position, usize)> = positions.zip((0..n_machines).cycle()).collect();
        machines.sort_unstable();
        let circle = Circle::new(machines.iter().map(|(position, _)| *position).collect());
        let mut loads = vec![0; n_machines];
        for _ in 0..n_machines as u64 * MEAN {
            let owner = circle.owner(draw_position(ring.size, random));
            loads[machines[owner].1] += 1;
        }
        vec![loads.into_iter().collect()]
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        let (n_machines, n_rings) = (self.n_machines(), self.n_repeats());
        Findings {
            id: self.id(),
            title: "Virtual nodes",
            source: "TON, figure 9",
            method: format!(
                "{n_machines} machines with {MEAN} keys each on average, and several positions each on the ring; {n_rings} rings for each setting.\n\
                 The model is the negative binomial distribution; a percentile may differ from it by 7 %, and by one key where that is more.\n\
                 The shipped node has one position yet: this shows what its hash and its ring would give with more."
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "virtual nodes",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(&SETTINGS[*row], &tallies[0])).collect(),
            }],
            charts: vec![chart(rows)],
            claims: Vec::new(),
            is_complete: true,
        }
    }
}

fn table_row(setting: &Setting, keys: &Tally) -> Row {
    let cell = |percent: u64, paper: Option<f64>, model: f64| {
        let band = Band::around(model, (TOLERANCE * model).max(1.0));
        let cell = Cell::ours(real(keys.percentile(percent))).modelled(model).within(band);
        paper.map_or(cell, |paper| cell.beside(paper))
    };
    let (p1, p99) = setting.model;
    Row {
        setting: setting.n_virtual.to_string(),
        cells: vec![
            cell(1, setting.paper.map(|paper| paper.0), p1),
            cell(99, setting.paper.map(|paper| paper.1), p99),
        ],
    }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let mean = real(MEAN);
    let paper = SETTINGS.iter().filter_map(|setting| {
        let (low, high) = setting.paper?;
        Some(Point::new(setting.n_virtual.into(), mean).between(low, high))
    });
    let ours = rows.iter().map(|(row, tallies)| {
        let figure = spread(&tallies[0]);
        let (low, high) = figure.spread.unwrap_or_default();
        Point::new(SETTINGS[*row].n_virtual.into(), figure.value).between(low, high)
    });
    Chart {
        id: "fig9",
        title: "Keys per machine: mean, 1st and 99th percentile".to_owned(),
        x: Axis::log2("virtual nodes per machine"),
        y: Axis::linear("keys per machine"),
        series: vec![Series::paper("paper", paper), Series::ours("ours", ours)],
    }
}
