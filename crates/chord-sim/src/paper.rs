//! The experiments of the two Chord papers, run on the shipped lookups and nodes.
//!
//! "TON" is Stoica and others, "Chord: A Scalable Peer-to-peer Lookup Protocol for Internet Applications", IEEE/ACM
//! Transactions on Networking 11(1), 2003; "SIGCOMM" is its version of 2001. Each experiment holds the paper's figures
//! beside its own code, and says how it differs from what the paper did.
//!
//! An experiment consists of parts that know nothing of each other, so they may run in any order and at the same time:
//! the seed, the experiment, the row and the repetition decide what a part draws. Nothing here reads a clock or writes.

mod churn;
mod fig10;
mod fig8;
mod fig9;
mod findings;
mod plot;
mod report;
mod sigcomm11;
mod sigcomm12;
mod table2;
mod table3;
mod table4;
mod tally;

use std::collections::BTreeMap;

use chord_ring::{Config, RingName, RingSize, RingTag};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

pub use findings::{Band, Cell, Claim, Figure, Findings, Measure, Row, Score, Table};
pub use plot::{Axis, Chart, Look, Point, Scale, Series};
pub use report::{Report, Run};
pub use tally::Tally;

/// The seed of the report that comes with the source: the year of the paper.
pub const SEED_DEFAULT: u64 = 2003;

/// How much of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// What the papers did, or more.
    Full,
    /// Smaller and fewer rings, in seconds: shows that it works, proves little.
    Quick,
}

impl Effort {
    /// The first for a full run, the second for a quick one.
    fn choose<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// One figure or table of a paper, as something that can be run again.
pub trait Experiment: Send + Sync {
    /// By which users name it: `fig10`.
    fn id(&self) -> &'static str;

    /// How many settings it has: the rows of its table.
    fn n_rows(&self) -> usize;

    /// How often each setting is run, each time on a ring of its own.
    fn n_repeats(&self) -> usize;

    /// Runs one setting once. The tallies mean the same in every part.
    fn run(&self, row: usize, random: &mut Pcg64Mcg) -> Vec<Tally>;

    /// What the rows say that are complete, each with the tallies of all its parts together.
    fn findings(&self, rows: &BTreeMap<usize, &[Tally]>) -> Findings;
}

/// All experiments, in the order of the papers.
pub fn experiments(effort: Effort) -> Vec<Box<dyn Experiment>> {
    vec![
        Box::new(fig8::LoadBalance(effort)),
        Box::new(fig9::VirtualNodes(effort)),
        Box::new(fig10::PathLength(effort)),
        Box::new(table2::SimultaneousFailures(effort)),
        Box::new(table3::Stabilization(effort)),
        Box::new(table4::Stretch(effort)),
        Box::new(sigcomm11::LostKeys(effort)),
        Box::new(sigcomm12::Churned(effort)),
    ]
}

/// A part of an experiment: a setting and a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The setting.
    pub row: usize,
    /// Which of its repetitions.
    pub repeat: usize,
}

/// The parts of an experiment, those of the last and mostly largest setting first: then nothing large is left at the end.
pub fn parts(experiment: &dyn Experiment) -> Vec<Part> {
    let rows = (0..experiment.n_rows()).rev();
    rows.flat_map(|row| (0..experiment.n_repeats()).map(move |repeat| Part { row, repeat })).collect()
}

/// Runs one part: the same seed gives the same tallies.
pub fn run_part(experiment: &dyn Experiment, seed: u64, part: Part) -> Vec<Tally> {
    let of_experiment = experiment.id().bytes().fold(seed, |mix, byte| spread(mix ^ u64::from(byte)));
    let of_part =
        [part.row, part.repeat].into_iter().fold(of_experiment, |mix, idx| spread(mix ^ idx as u64));
    experiment.run(part.row, &mut Pcg64Mcg::seed_from_u64(of_part))
}

/// A bijection that changes about half of all bits when one changes: the mixer of `SplitMix64`, by Steele and others,
/// "Fast Splittable Pseudorandom Number Generators", 2014.
fn spread(bits: u64) -> u64 {
    let mut bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// What the parts of an experiment counted so far.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Samples {
    /// By row: how many parts were added, and their tallies together.
    rows: BTreeMap<usize, (usize, Vec<Tally>)>,
}

impl Samples {
    /// Adds what a part counted. In which order parts are added makes no difference.
    pub fn add(&mut self, part: Part, tallies: &[Tally]) {
        let (n_parts, sums) = self.rows.entry(part.row).or_default();
        *n_parts += 1;
        sums.resize(tallies.len(), Tally::default());
        for (sum, tally) in sums.iter_mut().zip(tallies) {
            sum.merge(tally);
        }
    }

    /// What the experiment says so far. Rows of which not all parts were added are left out.
    pub fn findings(&self, experiment: &dyn Experiment) -> Findings {
        let complete = self.rows.iter().filter(|(_, (n_parts, _))| *n_parts == experiment.n_repeats());
        let rows: BTreeMap<usize, &[Tally]> =
            complete.map(|(row, (_, tallies))| (*row, tallies.as_slice())).collect();
        let is_complete = rows.len() == experiment.n_rows();
        Findings { is_complete, ..experiment.findings(&rows) }
    }
}

/// The settings of a node in these experiments: a ring of 160 bits, and so many successors.
fn config(successors: u8) -> Config {
    let ring = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
    Config::new(ring).with_successors(successors).expect("experiments use 1 to 64 successors")
}
