//! Routing by nearness: latency of a lookup against that of a direct question (TON, table IV).

use std::collections::BTreeMap;

use chord_ring::Position;
use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use super::fig10::drawn;
use super::plot::{Axis, Chart, Point, Series};
use super::tally::real;
use super::{Band, Cell, Claim, Effort, Experiment, Figure, Findings, Measure, Row, Table, Tally};
use crate::{Ending, Nearness, Place, Route, Space, Still, Style, TransitStub, draw_position};

/// How much longer a lookup takes than a question to the owner, when nodes ask near ones of those they may ask.
pub(super) struct Stretch(pub(super) Effort);

struct Setting {
    /// Successors of a finger that are remembered with it, and successors of a node.
    near: u8,
    /// Stretch: median, 10th and 90th percentile; iterative and recursive in 3-d space, then on transit-stub.
    paper: [(f64, f64, f64); 4],
}

const SETTINGS: [Setting; 5] = [
    Setting { near: 1, paper: [(7.8, 4.4, 19.8), (4.5, 2.5, 11.5), (7.2, 4.4, 36.0), (4.1, 2.7, 24.0)] },
    Setting { near: 2, paper: [(7.2, 3.8, 18.0), (3.5, 2.0, 8.7), (7.1, 4.2, 33.6), (3.6, 2.3, 17.0)] },
    Setting { near: 4, paper: [(6.1, 3.1, 15.3), (2.7, 1.6, 6.4), (6.4, 3.2, 30.6), (2.8, 1.8, 12.7)] },
    Setting { near: 8, paper: [(4.7, 2.4, 11.8), (2.1, 1.4, 4.7), (4.9, 1.9, 19.0), (2.0, 1.4, 8.9)] },
    Setting { near: 16, paper: [(3.4, 1.9, 8.4), (1.7, 1.2, 3.5), (2.2, 1.7, 7.4), (1.5, 1.3, 4.0)] },
];

const ITERATIVE: &str = "the paper leaves open what an asker knows of the distance to nodes that others name; ours knows it, so that nearness pays more, and ours are shorter";

const RECURSIVE: &str = "what is to be held is s = 16; with fewer to choose from ours are shorter, since a node that has the key between two entries asks the owner at once, which saves a step wherever the lookup is long";

const ITERATIVE_IN_STUBS: &str = "as in space; and the paper leaves open how its routers are connected, which decides how often a near one is in the same stub: its figures fall by half from s = 8 to 16, ours steadily as in space";

const RECURSIVE_IN_STUBS: &str = "as in space; from s = 8 on ours are longer by up to a fifth, as its stubs may be nearer each other than ours";

const MEASURES: [Measure; 4] = [
    Measure::new("iterative, 3-d space", "iterative_space", 2).with_spread(10, 90).without_band(ITERATIVE),
    Measure::new("recursive, 3-d space", "recursive_space", 2).with_spread(10, 90).without_band(RECURSIVE),
    Measure::new("iterative, transit-stub", "iterative_transit_stub", 2)
        .with_spread(10, 90)
        .without_band(ITERATIVE_IN_STUBS),
    Measure::new("recursive, transit-stub", "recursive_transit_stub", 2)
        .with_spread(10, 90)
        .without_band(RECURSIVE_IN_STUBS),
];

/// Stretches are counted in hundredths.
const UNIT: f64 = 100.0;

/// The largest stretch that is told from a larger one: two hosts may be very near.
const STRETCH_MAX: f64 = 100_000.0;

impl Stretch {
    fn n_nodes(&self) -> usize {
        self.0.choose(1 << 16, 1 << 12)
    }

    fn n_lookups(&self) -> usize {
        self.0.choose(10_000, 500)
    }
}

impl Experiment for Stretch {
    fn id(&self) -> &'static str {
        "table4"
    }

    fn n_rows(&self) -> usize {
        SETTINGS.len()
    }

    fn n_repeats(&self) -> usize {
        self.0.choose(4, 1)
    }

    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally> {
        let n_nodes = self.n_nodes();
        // By the book, no node knows its predecessor; the one before the key names the owner.
        let ring = drawn(SETTINGS[row].near, n_nodes, random).without_predecessors();
        let space = Space::draw(n_nodes, random);
        let network = TransitStub::draw(n_nodes, random);
        let in_space = |a: Place, b: Place| space.latency(a, b);
        let in_network = |a: Place, b: Place| network.latency_ms(a, b);
        let way = |style: Style, nearness| {
            (Still::new(&ring, style, Ending::Believed).with_nearness(nearness), nearness)
        };
        let ways: [(Still<'_>, Nearness<'_>); 4] = [
            way(Style::Iterative, &in_space),
            way(Style::Recursive, &in_space),
            way(Style::Iterative, &in_network),
            way(Style::Recursive, &in_network),
        ];
        let mut tallies = vec![Tally::default(); ways.len()];
        for _ in 0..self.n_lookups() {
            let (asker, target) = (random.random_range(0..n_nodes), draw_position(ring.size(), random));
            for ((lookups, nearness), tally) in ways.iter().zip(&mut tallies) {
                if let Some(stretch) = stretch(lookups, *nearness, asker, target) {
                    tally.add(stretch);
                }
            }
        }
        tallies
    }

    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings {
        Findings {
            id: self.id(),
            title: "Latency of lookups by nearness",
            source: "TON, table IV",
            method: format!(
                "An ideal ring of {} nodes, {} rings for each s and {} lookups in each; hosts at random points of a cube, or at random routers of the stubs of a transit-stub network of 5,000 routers.\n\
                 A node keeps s successors, and with each finger its s successors; of a finger and those the one nearest by latency is asked, unless the key lies between two of them: then its owner is known, and asked.\n\
                 Nearness is counted from the node that forwards, and in iterative lookups from the asker, as if it knew the latency to everybody.\n\
                 Stretch is the time until the asker has the owner's answer, divided by the round trip to the owner: median (10th, 90th percentile).\n\
                 How the 5,000 routers are connected the paper does not say: here 8 transit routers carry 24 stubs of 26 routers each; both are random trees with half as many edges again.\n\
                 The shipped node does not choose by nearness yet; the choice is the driver's, between steps of the shipped lookup.",
                self.n_nodes(),
                self.n_repeats(),
                self.n_lookups()
            ),
            tables: vec![Table {
                id: self.id(),
                setting: "s",
                measures: MEASURES.to_vec(),
                rows: rows.iter().map(|(row, tallies)| table_row(*row, tallies)).collect(),
            }],
            charts: [("table4", "3-d space", 0), ("table4_transit_stub", "transit-stub network", 2)]
                .map(|(id, network, first)| chart(rows, id, network, first))
                .into(),
            claims: falls(rows).into_iter().collect(),
            is_complete: true,
        }
    }
}

/// The latency of a lookup divided by that of asking the owner, in hundredths; none where the asker is the owner.
fn stretch(lookups: &Still<'_>, nearness: Nearness<'_>, asker: Place, target: Position) -> Option<u64> {
    let route = lookups.look_up(asker, target);
    let owner = route.owner.clone().ok().filter(|owner| *owner != asker)?;
    Some(hundredths(latency(lookups.style(), nearness, asker, &route) / (2.0 * nearness(asker, owner))))
}

/// Until the asker has the answer of the owner.
fn latency(style: Style, nearness: Nearness<'_>, asker: Place, route: &Route) -> f64 {
    let contacts = &route.contacts;
    match style {
        Style::Iterative => contacts.iter().map(|contact| 2.0 * nearness(asker, *contact)).sum(),
        Style::Recursive => {
            let way = std::iter::once(&asker).chain(contacts);
            let back =
                contacts.iter().skip(contacts.len().saturating_sub(1)).map(|owner| nearness(*owner, asker));
            way.zip(contacts).map(|(from, to)| nearness(*from, *to)).chain(back).sum()
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to ten millions")]
fn hundredths(stretch: f64) -> u64 {
    (stretch.clamp(0.0, STRETCH_MAX) * UNIT).round() as u64
}

fn figure(tally: &Tally) -> Figure {
    let percentile = |percent: u64| real(tally.percentile(percent)) / UNIT;
    Figure::between(percentile(50), percentile(10), percentile(90))
}

/// In space stretch falls as the distance to the nearest of s + 1 does (TON, section VI-E).
fn falls(rows: &BTreeMap<usize, &[Tally]>) -> Option<Claim> {
    let median = |row: usize| rows.get(&row).map(|tallies| figure(&tallies[1]).value);
    let last = SETTINGS.len() - 1;
    let near = |row: usize| f64::from(SETTINGS[row].near) + 1.0;
    let (found, expected) = (median(0)? / median(last)?, (near(last) / near(0)).cbrt());
    Some(Claim {
        text: format!(
            "In 3-d space a recursive lookup takes {expected:.2} times as long with s = 1 as with s = 16, by (s + 1)^(-1/3), within a tenth"
        ),
        ours: format!("{found:.2}"),
        holds: (found / expected - 1.0).abs() <= 0.1,
    })
}

fn table_row(row: usize, tallies: &[Tally]) -> Row {
    let setting = &SETTINGS[row];
    let cells = setting.paper.iter().zip(tallies).enumerate().map(|(idx, ((median, p10, p90), tally))| {
        let cell = Cell::ours(figure(tally)).beside(Figure::between(*median, *p10, *p90));
        let is_recursive = idx % 2 == 1;
        if is_recursive && setting.near == 16 { cell.within(Band::new(1.0, 1.8)) } else { cell }
    });
    Row { setting: setting.near.to_string(), cells: cells.collect() }
}

fn chart(rows: &BTreeMap<usize, &[Tally]>, id: &'static str, network: &str, first: usize) -> Chart {
    let near = |row: usize| f64::from(SETTINGS[row].near);
    let paper = |idx: usize| {
        (0..SETTINGS.len()).map(move |row| {
            let (median, p10, p90) = SETTINGS[row].paper[idx];
            Point::new(near(row), median).between(p10, p90)
        })
    };
    let ours = |idx: usize| {
        rows.iter().map(move |(row, tallies)| {
            let figure = figure(&tallies[idx]);
            let (low, high) = figure.spread.unwrap_or_default();
            Point::new(near(*row), figure.value).between(low, high)
        })
    };
    Chart {
        id,
        title: format!("Stretch in {network}: median, 10th and 90th percentile"),
        x: Axis::log2("s, successors of a finger that are remembered"),
        y: Axis::linear("stretch"),
        series: vec![
            Series::paper("iterative, paper", paper(first)),
            Series::ours("iterative, ours", ours(first)),
            Series::paper("recursive, paper", paper(first + 1)).second(),
            Series::ours("recursive, ours", ours(first + 1)).second(),
        ],
    }
}
