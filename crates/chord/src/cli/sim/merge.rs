//! `chord sim merge`: rings that were apart become one.

use std::time::Duration;

use anyhow::bail;
use chord_sim::swarm::{Apart, Merge, Merged, Reached, merge};
use clap::{Args, ValueEnum};

use super::seeds::{self, Seeds, Sum};
use crate::cli::exit::Usage;
use crate::cli::number;
use crate::cli::output;
use crate::cli::table::{Side, Table, thousands};

/// Most nodes of all rings together: a run of so many takes seconds.
const NODES_MAX: usize = 2_000;
/// Most runs.
const RUNS_MAX: u64 = 10_000;
/// Most messages lost, in percent: from 10 on a large ring loses some neighbour in every round, and is never seen ideal.
const LOSS_MAX: u64 = 50;

/// Let rings that were apart become one, and count the rounds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord sim merge 64 64
  chord sim merge 100 10 1 --apart started --runs 30
  chord sim merge 30 30 30 --loss 5

The rings are of real nodes in virtual time. Nobody helps them: nodes remember whom they knew, or the one address that \
they were started with, and probe it. Rounds are counted at the node that has most. It is one ring when the successor \
and the predecessor of each node are right, and ideal when its whole list of successors is. Each column is of all runs.")]
pub(crate) struct MergeArgs {
    /// How many nodes each ring has
    #[arg(required = true, num_args = 1.., value_name = "NODES",
        value_parser = number::within::<usize>("the number of nodes", 1..=NODES_MAX as u64))]
    sizes: Vec<usize>,

    /// How they came to be apart
    #[arg(long, default_value = "cut")]
    apart: How,

    /// So many of 100 messages are lost from when they can reach each other, 0 to 50
    #[arg(long, value_name = "PERCENT", default_value = "0",
        value_parser = number::within::<u8>("the loss in percent", 0..=LOSS_MAX))]
    loss: u8,

    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value = "0",
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    /// How many runs, each with the next seed
    #[arg(long, value_name = "COUNT", default_value = "10",
        value_parser = number::within::<u64>("the number of runs", 1..=RUNS_MAX))]
    runs: u64,

    /// Give up after so many rounds
    #[arg(long, value_name = "COUNT", default_value = "200",
        value_parser = number::within::<u64>("the number of rounds", 1..=100_000))]
    rounds: u64,
}

/// How rings came to be apart.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    /// One ring that was cut for a minute
    Cut,
    /// Started apart, all with the address of one node of the first
    Started,
}

impl MergeArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let n_nodes: usize = self.sizes.iter().sum();
        if n_nodes > NODES_MAX {
            return Err(Usage::new(format!(
                "all rings together have at most {NODES_MAX} nodes, not {n_nodes}"
            ))
            .into());
        }
        let which = Seeds { first: self.seed, count: self.runs, threads: None };
        let (sizes, rounds_max) = (self.sizes.clone(), self.rounds);
        let loss = f64::from(self.loss) / 100.0;
        let apart = match self.apart {
            How::Cut => Apart::Cut,
            How::Started => Apart::Started,
        };
        let run = move |seed| merge(Merge { sizes: &sizes, apart, loss, seed, rounds_max });
        let ended: Ended = seeds::run_all(which, run).await?;
        self.conclude(&ended.0)
    }

    fn conclude(&self, ended: &[Option<Merged>]) -> anyhow::Result<()> {
        let merged: Vec<Merged> = ended.iter().copied().flatten().collect();
        let column = |figure: fn(&Merged) -> u64| Sorted::new(merged.iter().map(figure));
        let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let took = |reached: fn(&Merged) -> Reached| {
            Sorted::new(merged.iter().map(|merged| millis(reached(merged).took)))
        };
        let columns = [
            ("one ring: rounds", column(|merged| merged.one.rounds), thousands as fn(u64) -> String),
            ("s", took(|merged| merged.one), seconds),
            ("ideal: rounds", column(|merged| merged.ideal.rounds), thousands),
            ("s", took(|merged| merged.ideal), seconds),
            ("messages", column(|merged| merged.n_messages), thousands),
        ];
        let titles = columns.iter().map(|(title, ..)| (*title, Side::Right));
        let mut table = Table::new(&[("", Side::Left)].into_iter().chain(titles).collect::<Vec<_>>());
        for (what, percent) in
            [("least", 0), ("median", 50), ("9 of 10 within", 90), ("99 of 100 within", 99), ("most", 100)]
        {
            let cells = columns.iter().map(|(_, figures, show)| figures.within(percent).map(show));
            if let Some(cells) = cells.collect::<Option<Vec<_>>>() {
                table.row([what.to_owned()].into_iter().chain(cells).collect());
            }
        }
        output::styled(&table.render())?;
        let n_apart = ended.iter().filter(|ended| ended.is_none()).count();
        if n_apart > 0 {
            bail!("{n_apart} of {} runs were not one ring after {} rounds", ended.len(), self.rounds);
        }
        if (ended.len() as u64) < self.runs {
            bail!("stopped after {} of {} runs", ended.len(), self.runs);
        }
        Ok(())
    }
}

/// Milliseconds in seconds.
fn seconds(millis: u64) -> String {
    format!("{:.1}", Duration::from_millis(millis).as_secs_f64())
}

/// One figure of each run, the least first.
struct Sorted(Vec<u64>);

impl Sorted {
    fn new(figures: impl Iterator<Item = u64>) -> Self {
        let mut figures: Vec<u64> = figures.collect();
        figures.sort_unstable();
        Self(figures)
    }

    /// The figure that so many of 100 runs do not exceed; the least for 0.
    fn within(&self, percent: usize) -> Option<u64> {
        let count = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(count - 1).copied()
    }
}

/// What came of each run.
#[derive(Default)]
struct Ended(Vec<Option<Merged>>);

impl Sum<Option<Merged>> for Ended {
    fn add(&mut self, _: u64, result: Option<Merged>) {
        self.0.push(result);
    }
}
