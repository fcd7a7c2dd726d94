//! `chord sim data`: ring and records together under faults that seeds decide, with clients whose histories are checked.

use std::collections::BTreeSet;

use anyhow::bail;
use chord_sim::data::{
    DataBroken, DataPassed, DataPlan, DataRun, DataShrunk, Lost, READY_WITHIN, shrink_data,
};
use clap::Args;
use serde_json::json;

use super::seeds::{self, Seeds, Sum};
use crate::cli::exit::Usage;
use crate::cli::number;
use crate::cli::output;
use crate::cli::table::thousands;

/// Most seeds of one run: weeks.
const SEEDS_MAX: u64 = 1_000_000_000;
/// Threads beyond this are more than any machine has cores for.
const THREADS_MAX: u64 = 256;
/// Failures that are shrunk and told, and losses that are told; the rest is counted.
const TOLD_MAX: usize = 10;
/// Losses that are kept, of which the first are told.
const LOST_MAX: usize = 1_000;

/// Run whole nodes in virtual time, with clients that write and read, under faults drawn from seeds
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord sim data --seeds 10000
  chord sim data --seed 17 --trace
  chord sim data --seed 17 --only-faults 3,5,9

A seed decides everything: the hosts, whether they keep records in memory or on a disk, how many copies there are, their \
network and their clocks, what clients do, and what goes wrong when. Runs are of three classes. Steady: nodes join, leave, \
crash and come back, one by one or all at once, and stores take nothing for a while. Skewed: the same, and one clock is off \
by up to an hour. Rough: nodes freeze too, links are slow, lossy and cut. No run destroys more copies of a key than its \
write quorum bears, but for keys of which a client wanted one copy, or was told that all are there: what is lost of those is \
beyond the bounds, and told.

No acknowledged write may be lost, no deleted or expired key may come back, and no read may go back in time; afterwards \
every range has as many copies as it should, and they agree. Steady and skewed runs are held to that in every read, rough \
ones when everything is mended. In steady runs no increment and no item of a list may be lost or counted twice either.

A run that fails is made smaller before it is told, with the command that replays it. Exit code 1 if any failed.")]
pub(crate) struct DataArgs {
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value = "0",
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    /// How many seeds, one after the other
    #[arg(long, value_name = "COUNT", default_value = "1",
        value_parser = number::within::<u64>("the number of seeds", 1..=SEEDS_MAX))]
    seeds: u64,

    /// Only the faults of these numbers, separated by commas; for one seed
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', conflicts_with_all = ["seeds", "json"],
        value_parser = number::within::<usize>("the number of a fault", 0..=u64::from(u32::MAX)))]
    only_faults: Option<Vec<usize>>,

    /// No faults at all; for one seed
    #[arg(long, conflicts_with_all = ["seeds", "only_faults", "json"])]
    no_faults: bool,

    /// Print everything that happens, one line an event; for one seed
    #[arg(long, conflicts_with_all = ["seeds", "json"])]
    trace: bool,

    /// How many threads, 1 to 256: one for each core unless given
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<usize>("the number of threads", 1..=THREADS_MAX))]
    threads: Option<usize>,

    /// Print one JSON object with what was found
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.seeds == 1 && !self.json {
            return self.run_one();
        }
        let which = Seeds { first: self.seed, count: self.seeds, threads: self.threads };
        let found: Found = seeds::run_all(which, |seed| DataRun::new(DataPlan::draw(seed)).finish()).await?;
        self.conclude(found)
    }

    /// Tells one run in full.
    fn run_one(&self) -> anyhow::Result<()> {
        let plan = self.plan()?;
        tell_plan(&plan)?;
        let mut run = DataRun::new(plan.clone());
        if self.trace {
            run.world.start_trace();
        }
        let ended = run.finish_here();
        for line in run.world.take_trace() {
            output::answer(line)?;
        }
        match ended {
            Ok(passed) => {
                output::answer(sentence(&passed))?;
                passed.lost.iter().try_for_each(|lost| tell_lost(self.seed, lost))
            }
            Err(broken) => {
                if self.trace || self.only_faults.is_some() {
                    tell_broken(&broken)?;
                } else {
                    tell_shrunk(&plan, &shrink_data(&plan, &broken))?;
                }
                bail!("seed {}: {}", self.seed, broken.rule)
            }
        }
    }

    fn plan(&self) -> anyhow::Result<DataPlan> {
        let plan = DataPlan::draw(self.seed);
        if self.no_faults {
            return Ok(plan.with_only(&BTreeSet::new()));
        }
        let Some(numbers) = &self.only_faults else { return Ok(plan) };
        if let Some(number) = numbers.iter().find(|number| **number >= plan.mishaps.len()) {
            let last = plan.mishaps.len() - 1; // A plan has one at least.
            let sentence = format!("seed {} has no fault {number}: its faults are 0 to {last}", self.seed);
            return Err(Usage::new(sentence).into());
        }
        Ok(plan.with_only(&numbers.iter().copied().collect()))
    }

    fn conclude(&self, mut found: Found) -> anyhow::Result<()> {
        found.failed.sort_by_key(|(seed, _)| *seed);
        found.lost.sort_by_key(|(seed, _)| *seed);
        let Found { n_passed, total, lost, n_lost, failed } = found;
        let n_failed = failed.len() as u64;
        let n_runs = n_passed + n_failed;
        if self.json {
            output::json(&json!({
                "version": env!("CARGO_PKG_VERSION"),
                "first_seed": self.seed,
                "seeds": self.seeds,
                "runs": n_runs,
                "stopped": n_runs < self.seeds,
                "failed_seeds": failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>(),
                "steps": total.n_steps,
                "faults": total.n_mishaps,
                "writes_acknowledged": total.n_acknowledged,
                "writes_beyond_bounds": total.n_beyond,
                "keys_lost_beyond_bounds": n_lost,
                "operations_uncertain": total.n_uncertain,
                "reads_checked": total.n_reads,
                "ready_after_max_s": total.ready_after.as_secs_f64(),
            }))?;
        } else {
            for (seed, broken) in failed.iter().take(TOLD_MAX) {
                let plan = DataPlan::draw(*seed);
                tell_shrunk(&plan, &shrink_data(&plan, broken))?;
            }
            output::answer(format_args!(
                "{} runs: {} passed, {} failed; {}",
                thousands(n_runs),
                thousands(n_passed),
                thousands(n_failed),
                sentence(&total)
            ))?;
            output::answer(format_args!(
                "beyond the bounds, where all processes that had a write ended at once: {} writes; something newer was lost of {} \
                 keys",
                thousands(total.n_beyond as u64),
                thousands(n_lost)
            ))?;
            for (seed, lost) in lost.iter().take(TOLD_MAX) {
                tell_lost(*seed, lost)?;
            }
        }
        seeds::verdict(failed.len(), n_runs, self.seeds)
    }
}

#[derive(Default)]
struct Found {
    n_passed: u64,
    total: DataPassed,
    /// The first that were found to have lost something beyond the bounds.
    lost: Vec<(u64, Lost)>,
    n_lost: u64,
    failed: Vec<(u64, DataBroken)>,
}

impl Sum<Result<DataPassed, DataBroken>> for Found {
    fn add(&mut self, seed: u64, result: Result<DataPassed, DataBroken>) {
        match result {
            Ok(passed) => {
                self.n_passed += 1;
                self.total.n_steps += passed.n_steps;
                self.total.n_mishaps += passed.n_mishaps;
                self.total.n_acknowledged += passed.n_acknowledged;
                self.total.n_beyond += passed.n_beyond;
                self.n_lost += passed.lost.len() as u64;
                let room = LOST_MAX.saturating_sub(self.lost.len());
                self.lost.extend(passed.lost.into_iter().take(room).map(|lost| (seed, lost)));
                self.total.n_uncertain += passed.n_uncertain;
                self.total.n_reads += passed.n_reads;
                self.total.ready_after = self.total.ready_after.max(passed.ready_after);
            }
            Err(broken) => self.failed.push((seed, broken)),
        }
    }
}

fn sentence(passed: &DataPassed) -> String {
    format!(
        "{} events, {} faults, {} writes acknowledged, {} operations uncertain, {} reads checked; every copy in its place \
         again within {:.1} s, of {} allowed",
        thousands(passed.n_steps),
        thousands(passed.n_mishaps as u64),
        thousands(passed.n_acknowledged as u64),
        thousands(passed.n_uncertain as u64),
        thousands(passed.n_reads as u64),
        passed.ready_after.as_secs_f64(),
        READY_WITHIN.as_secs()
    )
}

fn tell_lost(seed: u64, lost: &Lost) -> anyhow::Result<()> {
    output::answer(format_args!("  seed {seed}, key {}: {}", lost.key, lost.why))
}

fn tell_plan(plan: &DataPlan) -> anyhow::Result<()> {
    output::answer(format_args!(
        "seed {}, {}: {} hosts, of which {} are a ring; {} copies, kept {}; messages take {:?}; {}",
        plan.seed,
        plan.class,
        plan.hosts,
        plan.founders,
        plan.replicas,
        plan.keeping,
        plan.network.latency,
        plan.habits
    ))?;
    for timed in &plan.mishaps {
        let at = timed.at.as_secs_f64();
        output::answer(format_args!("{:>4}  {at:>9.3} s  {}", timed.number, timed.mishap))?;
    }
    Ok(())
}

fn tell_broken(broken: &DataBroken) -> anyhow::Result<()> {
    output::answer(format_args!("at {} s {}: {}", broken.at, broken.rule, broken.description))
}

fn tell_shrunk(plan: &DataPlan, small: &DataShrunk) -> anyhow::Result<()> {
    output::answer(format_args!(
        "seed {} FAILED: shrunk from {} faults to this:",
        plan.seed,
        plan.mishaps.len()
    ))?;
    tell_plan(&small.plan)?;
    tell_broken(&small.broken)?;
    output::answer(format_args!("replay: {}", small.replay()))
}
