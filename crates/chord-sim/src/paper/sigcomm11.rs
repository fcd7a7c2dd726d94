//! Keys that cannot be found after a part of all nodes failed and the ring healed (SIGCOMM, figure 11).

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64Mcg;

use super::plot::{Axis, Chart, Point, Series};
use super::tally::real;
use super::{Band, Cell, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally, config};
use crate::{Circle, Ending, IdealRing, Still, Style, draw_peers, draw_position};

/// Which part of all keys is lost with the nodes that held them, and whether any more is.
pub(super) struct LostKeys(pub(super) Effort);

/// The part of all nodes that fails, in thousandths; the part of all lookups that failed, read off the plot.
const PAPER: [(u32, f64); 6] =
    [(10, 0.0093), (25, 0.0211), (50, 0.0467), (100, 0.0944), (150, 0.1467), (200, 0.2007)];

const MEASURES: [Measure; 2] = [
    Measure::new("failed lookups", "failed", 4)
        .explained("the keys of a failed node are as many as its arc is long: one ring in twenty is outside"),
    Measure::new("failed though the key is there", "failed_beyond_lost", 4),
];

impl LostKeys {
    fn n_nodes(&self) -> usize {
        self.0.choose(10_000, 1_000)
    }

    fn n_keys(&self) -> usize {
        self.0.choose(100_000, 2_000)
    }
}

impl Experiment for LostKeys {
    fn id(&self) -> &'static str {
        "sigcomm11"
    }

    fn n_rows(&self) -> usize {
        PAPER.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(10, 4)
    }

    /// Whether a lookup failed, and whether it did though the key was there.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let config = config(chord_ring::SUCCESSORS_DEFAULT);
        let mut peers = draw_peers(config.ring(), self.n_nodes(), random);
        let before = Circle::new(peers.iter().map(|peer| peer.position).collect());
        peers.shuffle(random);
        let survivors = peers.split_off(self.n_nodes() * PAPER[row].0 as usize / 1000);
        let healed = IdealRing::new(&config, survivors).expect("they had different positions before");
        let ring = Still::new(&healed, Style::Recursive, Ending::Claimed);
        let mut tallies = vec![Tally::default(); MEASURES.len()];
        for _ in 0..self.n_keys() {
            let key = draw_position(healed.size(), random);
            let route = ring.look_up(random.random_range(0..healed.views().len()), key);
            let found = route.owner.ok().map(|place| healed.views()[place].me().position);
            let holder = before.at(before.owner(key));
            let is_there = healed.has(holder);
            tallies[0].add(u64::from(found != Some(holder)));
            tallies[1].add(u64::from(is_there && found != Some(holder)));
        }
        tallies
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        let (n_nodes, n_rings, n_keys) = (self.n_nodes(), self.n_repeats(), self.n_keys());
        Findings {
            id: self.id(),
            title: "Keys lost with the nodes that failed",
            source: "SIGCOMM, figure 11",
            method: format!(
                "{n_nodes} nodes, of which a part fails at once; then the ring heals, and {n_keys} keys are looked up, as shipped, from random survivors.\n\
                 {n_rings} rings for each part; a lookup fails if it does not end at the node that held the key before.\n\
                 Keys are kept once, as in the paper, so the part of keys lost should be the part of nodes that failed, and no more.\n\
                 The healed ring is made ideal at once, as maintenance would leave it.\n\
                 The band is p ± 1.96·√(2·p·(1 - p)/N), where 95 % of all rings lie: the arcs of nodes are exponential."
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "part of nodes that failed",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(*row, tallies, self.n_nodes())).collect(),
            }],
            charts: vec![chart(rows)],
            claims: Vec::new(),
            is_complete: true,
        }
    }
}

fn failing(row: usize) -> f64 {
    f64::from(PAPER[row].0) / 1000.0
}

fn table_row(row: usize, tallies: &[Tally], n_nodes: usize) -> Row {
    let p = failing(row);
    let band = Band::around(p, 1.96 * (2.0 * p * (1.0 - p) / real(n_nodes as u64)).sqrt());
    let lost = Cell::ours(Figure::from(tallies[0].mean())).beside(PAPER[row].1).modelled(p).within(band);
    Row {
        setting: p.to_string(),
        cells: vec![lost, Cell::ours(tallies[1].mean()).within(Band::new(0.0, 0.0))],
    }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>) -> Chart {
    let paper = (0..PAPER.len()).map(|row| Point::new(failing(row), PAPER[row].1));
    let ours = rows.iter().map(|(row, tallies)| Point::new(failing(*row), tallies[0].mean()));
    Chart {
        id: "sigcomm11",
        title: "Lookups that fail after a part of all nodes failed".to_owned(),
        x: Axis::linear("part of nodes that failed"),
        y: Axis::linear("part of lookups that failed"),
        series: vec![
            Series::paper("paper", paper),
            Series::ours("ours", ours),
            Series::model("what was lost with the nodes", [0.0, 0.2].map(|p| Point::new(p, p))),
        ],
    }
}
