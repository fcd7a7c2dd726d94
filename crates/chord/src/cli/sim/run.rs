//! `chord sim run`: rings under faults that seeds decide.

use std::collections::BTreeSet;

use anyhow::bail;
use chord_sim::swarm::{Broken, HOSTS_MAX, Passed, Plan, ROUNDS_TO_IDEAL, Run, Shrunk, shrink};
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
/// Failures that are shrunk and told; the rest is counted.
const TOLD_MAX: usize = 10;

/// Run rings of real nodes in virtual time, under faults drawn from seeds
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord sim run --seeds 10000
  chord sim run --seed 17 --trace
  chord sim run --seed 17 --hosts 6 --only-faults 3,5,9

A seed decides everything: how many hosts there are, their network, their clocks, and which faults come when: joins, \
crashes, restarts, leaves, and in half of the runs frozen hosts, cuts, loss and slow links too. The runs without those \
keep the assumptions of Chord's proof, and its invariant is checked after every step. Afterwards everything is mended, \
and all nodes must be one ideal ring within 100 rounds of maintenance, and answer every lookup rightly. Where no address \
is remembered for ever, those that knew of each other must be one ring each.

A run that fails is made smaller before it is told, with the command that replays it. Exit code 1 if any failed.")]
pub(crate) struct RunArgs {
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value = "0",
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    /// How many seeds, one after the other
    #[arg(long, value_name = "COUNT", default_value = "1",
        value_parser = number::within::<u64>("the number of seeds", 1..=SEEDS_MAX))]
    seeds: u64,

    /// No more than so many hosts: the first ones of each plan, 1 to 20
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<usize>("the number of hosts", 1..=HOSTS_MAX as u64))]
    hosts: Option<usize>,

    /// Only the faults of these numbers, separated by commas
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',',
        value_parser = number::within::<usize>("the number of a fault", 0..=u64::from(u32::MAX)))]
    only_faults: Option<Vec<usize>>,

    /// No faults at all
    #[arg(long, conflicts_with = "only_faults")]
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

impl RunArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.check_faults()?;
        if self.seeds == 1 && !self.json {
            return self.run_one();
        }
        let which = Seeds { first: self.seed, count: self.seeds, threads: self.threads };
        let args = self.clone();
        let found: Found = seeds::run_all(which, move |seed| Run::new(args.plan(seed)).finish()).await?;
        self.conclude(found)
    }

    /// A fault that no plan has would be left out unnoticed, and what is replayed would be something else.
    fn check_faults(&self) -> anyhow::Result<()> {
        let wanted = self.only_faults.iter().flatten().max();
        let mut seeds = (0..self.seeds).map(|number| self.seed.wrapping_add(number));
        if let Some(wanted) = wanted
            && let Some(seed) = seeds.find(|seed| Plan::draw(*seed).faults.len() <= *wanted)
        {
            let sentence = match Plan::draw(seed).faults.len().checked_sub(1) {
                Some(last) => format!("seed {seed} has no fault {wanted}: its faults are 0 to {last}"),
                None => format!("seed {seed} has no faults to choose from"),
            };
            return Err(Usage::new(sentence).into());
        }
        Ok(())
    }

    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::draw(seed);
        if let Some(hosts) = self.hosts {
            plan = plan.with_hosts(hosts);
        }
        match &self.only_faults {
            Some(numbers) => plan.with_only(&numbers.iter().copied().collect()),
            None if self.no_faults => plan.with_only(&BTreeSet::new()),
            None => plan,
        }
    }

    fn conclude(&self, mut found: Found) -> anyhow::Result<()> {
        found.failed.sort_by_key(|(seed, _)| *seed);
        let n_runs = found.n_passed + found.failed.len() as u64;
        if self.json {
            output::json(&json!({
                "version": env!("CARGO_PKG_VERSION"),
                "first_seed": self.seed,
                "seeds": self.seeds,
                "runs": n_runs,
                "stopped": n_runs < self.seeds,
                "failed_seeds": found.failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>(),
                "steps": found.total.n_steps,
                "messages": found.total.n_messages,
                "faults": found.total.n_faults,
                "lookups": found.total.n_found,
                "rounds_to_ideal_max": found.total.rounds_to_ideal,
                "runs_apart": found.total.n_apart,
            }))?;
        } else {
            for (seed, broken) in found.failed.iter().take(TOLD_MAX) {
                let plan = self.plan(*seed);
                tell_shrunk(&plan, &shrink(&plan, broken))?;
            }
            output::answer(format_args!(
                "{} runs: {} passed, {} failed; {}; {} ended as rings that know nothing of each other",
                thousands(n_runs),
                thousands(found.n_passed),
                thousands(found.failed.len() as u64),
                sentence(&found.total),
                thousands(found.total.n_apart as u64)
            ))?;
        }
        seeds::verdict(found.failed.len(), n_runs, self.seeds)
    }

    /// Tells one run in full.
    fn run_one(&self) -> anyhow::Result<()> {
        let plan = self.plan(self.seed);
        tell_plan(&plan)?;
        let mut run = Run::new(plan.clone());
        if self.trace {
            run.world.start_trace();
        }
        let ended = run.finish_here();
        for line in run.world.take_trace() {
            output::answer(line)?;
        }
        match ended {
            Ok(passed) => output::answer(sentence(&passed)),
            Err(broken) => {
                if self.trace || self.only_faults.is_some() {
                    tell_broken(&broken)?;
                } else {
                    tell_shrunk(&plan, &shrink(&plan, &broken))?;
                }
                bail!("seed {}: {}", self.seed, broken.rule)
            }
        }
    }
}

#[derive(Default)]
struct Found {
    n_passed: u64,
    total: Passed,
    failed: Vec<(u64, Broken)>,
}

impl Sum<Result<Passed, Broken>> for Found {
    fn add(&mut self, seed: u64, ended: Result<Passed, Broken>) {
        match ended {
            Ok(passed) => {
                self.n_passed += 1;
                self.total.n_steps += passed.n_steps;
                self.total.n_messages += passed.n_messages;
                self.total.n_faults += passed.n_faults;
                self.total.n_found += passed.n_found;
                self.total.n_apart += passed.n_apart;
                self.total.rounds_to_ideal = self.total.rounds_to_ideal.max(passed.rounds_to_ideal);
            }
            Err(broken) => self.failed.push((seed, broken)),
        }
    }
}

fn sentence(passed: &Passed) -> String {
    format!(
        "{} events, {} faults, {} lookups; ideal again within {} rounds, of {ROUNDS_TO_IDEAL} allowed",
        thousands(passed.n_steps),
        thousands(passed.n_faults as u64),
        thousands(passed.n_found as u64),
        passed.rounds_to_ideal
    )
}

fn tell_plan(plan: &Plan) -> anyhow::Result<()> {
    output::answer(format_args!(
        "seed {}, {}: {} hosts, of which {} are a ring; never forgotten: {}; {} successors each; messages take {:?}",
        plan.seed, plan.kind, plan.hosts, plan.founders, plan.seeds, plan.successors, plan.network.latency
    ))?;
    for timed in &plan.faults {
        output::answer(format_args!(
            "{:>4}  {:>9.3} s  {}",
            timed.number,
            timed.at.as_secs_f64(),
            timed.fault
        ))?;
    }
    Ok(())
}

fn tell_broken(broken: &Broken) -> anyhow::Result<()> {
    output::answer(format_args!("at {} s {}: {}", broken.at, broken.rule, broken.description))
}

fn tell_shrunk(plan: &Plan, small: &Shrunk) -> anyhow::Result<()> {
    output::answer(format_args!(
        "seed {} FAILED: shrunk from {} hosts and {} faults to this:",
        plan.seed,
        plan.hosts,
        plan.faults.len()
    ))?;
    tell_plan(&small.plan)?;
    tell_broken(&small.broken)?;
    output::answer(format_args!("replay: {}", small.replay()))
}
