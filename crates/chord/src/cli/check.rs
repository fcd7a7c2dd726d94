//! `chord check`: goes through everything that can happen to a small ring of the nodes that this program runs.

mod report;
mod settings;

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use chord_sim::check::{Answers, BYTES_MAX, NODES_MAX, Outcome, Progress, Settings, Stop, check};
use clap::Args;

use super::exit::Usage;
use super::number;
use super::output;
use super::signals::Signals;
use report::{Done, json, table};
use settings::{Claim, Failures, Grain, Layer, Start};

/// Go through everything that can happen to a small ring, step by step
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord check
  chord check --layer C --nodes 4
  chord check --layer C --nodes 3 --r 1 --grain everything --start one
  chord check --layer B --nodes 6 --no-leaves             13 million states: some minutes, and 1 GB
  chord check --layer B --nodes 6                         118 million: half an hour or more, and 4 GB
  chord check --layer B --nodes 6 --start one             130 million: an hour, and 4 GB
  chord check --layer C --nodes 5 --short --no-leaves     13 million: a minute, and 1 GB
  chord check --layer C --nodes 5 --short                 more than 240 million: an hour or more, and may not fit
  chord check --layer C --nodes 5 --memory 2              does not fit: says how far it came
  chord check --layer B --start one --failures any        what becomes of a ring beyond the assumption of the proof

Without --layer it checks each layer as far as it goes in some seconds.

Every step is one of the nodes that `chord serve` runs. A state counts once however the ring is turned. \"sound\" says that \
every state is one ordered ring, of which only a failure takes a member that nobody skips; \"ideal within\" how many steps \
that change something it takes at most to the ideal ring once nodes come and go no more, and \"ideal unless starved\" \
that it can be reached from every state: that only unfair turns keep a ring from it is not checked.

Exit code 1 if something does not hold: the shortest way to that is printed, each step with the ring after it, as \
node:[successors]predecessor.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CheckArgs {
    /// What a step is; without it all of them
    #[arg(long, ignore_case = true)]
    layer: Option<Layer>,

    /// How many positions, 1 to 8, each with a node or none [default: 6 in layer A, 5 in B, 4 in C]
    #[arg(long, value_name = "COUNT", requires = "layer",
        value_parser = number::within::<usize>("the number of nodes", 1..=NODES_MAX as u64))]
    nodes: Option<usize>,

    /// How many successors a node keeps, 1 to 7
    #[arg(long, value_name = "COUNT", default_value = "2", requires = "layer",
        value_parser = number::within::<u8>("the number of successors", 1..=NODES_MAX as u64 - 1))]
    r: u8,

    /// Where the ring begins, in layers B and C
    #[arg(long, requires = "layer")]
    start: Option<Start>,

    /// Which messages are steps of their own, in layers B and C
    #[arg(long, requires = "layer")]
    grain: Option<Grain>,

    /// What failures there are, in layers B and C
    #[arg(long, requires = "layer")]
    failures: Option<Failures>,

    /// What is claimed, in layers B and C [default: proof, or together with --start two]
    #[arg(long, requires = "layer")]
    claim: Option<Claim>,

    /// Let nodes only fail, and never leave in good order
    #[arg(long, requires = "layer")]
    no_leaves: bool,

    /// Leave out of answers on their way what their askers will not use: ten times fewer states, and the same is found
    #[arg(long, requires = "layer")]
    short: bool,

    /// Look every position up from every member in every state
    #[arg(long, requires = "layer")]
    lookups: bool,

    /// How many GB the states may take, in layers B and C [default: 8]
    #[arg(long, value_name = "GB", requires = "layer",
        value_parser = number::within::<usize>("the memory in GB", 1..=1 << 20))]
    memory: Option<usize>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let all = self.settings()?;
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let mut work = tokio::task::spawn_blocking(move || run_all(&all, &stop));
        let done = tokio::select! {
            done = &mut work => done,
            () = signals.next() => {
                is_stopped.store(true, Ordering::Relaxed);
                work.await
            }
        };
        let done = done.context("the check came to an end by itself")??;
        if self.json {
            output::json(&json(&done))?;
        } else {
            output::styled(&table(&done))?;
        }
        end(&done)
    }

    /// What is to be checked.
    fn settings(&self) -> anyhow::Result<Vec<Settings>> {
        let Some(layer) = self.layer else { return Ok(Settings::suite()) };
        let for_rings = self.start.is_some()
            || self.grain.is_some()
            || self.failures.is_some()
            || self.claim.is_some()
            || self.no_leaves
            || self.short
            || self.lookups
            || self.memory.is_some();
        if layer == Layer::A && for_rings {
            let refused =
                "layer A goes through all states, so that nothing but --nodes and --r can be chosen";
            return Err(Usage::new(refused).into());
        }
        let start = self.start.unwrap_or(Start::Ideal);
        let claim = self.claim.unwrap_or(if start == Start::Two { Claim::Together } else { Claim::Proof });
        let settings = Settings {
            start: start.into(),
            grain: self.grain.unwrap_or(Grain::Lists).into(),
            failures: self.failures.unwrap_or(Failures::Assumed).into(),
            claim: claim.into(),
            answers: if self.short { Answers::Shortened } else { Answers::Whole },
            leaves: !self.no_leaves,
            lookups: self.lookups,
            bytes_max: self.memory.map_or(BYTES_MAX, |gb| gb << 30),
            ..Settings::new(layer.into(), self.nodes.unwrap_or(layer.nodes()), self.r)
        };
        settings.validate().map_err(|error| Usage::new(error.to_string()))?;
        Ok(vec![settings])
    }
}

/// Checks one after the other, till one is stopped.
fn run_all(all: &[Settings], stop: &AtomicBool) -> anyhow::Result<Vec<Done>> {
    let mut done = Vec::new();
    for settings in all {
        let begin = Instant::now();
        let name = report::name(settings);
        let mut watch = |progress: Progress| {
            show(&format!("{name}: {}", report::progress(progress)));
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = check(settings, &mut watch)?;
        show("");
        let is_last = matches!(report.outcome, Outcome::Stopped(Stop::Asked | Stop::BeforeRepair));
        done.push(Done { settings: settings.clone(), report, elapsed: begin.elapsed() });
        if is_last {
            break;
        }
    }
    Ok(done)
}

/// Writes over the line on a terminal where the last one was shown.
fn show(line: &str) {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        // Whoever looks at a terminal that is gone sees nothing anyway.
        let _ = write!(err, "\r\x1b[K{line}").and_then(|()| err.flush());
    }
}

fn end(done: &[Done]) -> anyhow::Result<()> {
    let broken = done.iter().filter(|done| matches!(done.report.outcome, Outcome::Broken(_))).count();
    if broken > 0 {
        bail!("{broken} of {} checks failed", done.len());
    }
    let mut stops = done.iter().filter_map(|done| match done.report.outcome {
        Outcome::Stopped(stop) => Some(stop),
        Outcome::Holds(_) | Outcome::Broken(_) => None,
    });
    match stops.next_back() {
        None => {}
        Some(Stop::Asked) => {
            bail!("stopped before every state was met: what is above holds for those that were")
        }
        Some(Stop::BeforeRepair) => {
            bail!("stopped: every state was met, but not asked whether it leads to the ideal ring")
        }
        Some(Stop::Memory) => bail!(
            "there are more states than fit: what is above holds for those that were met, and whether they lead to the \
             ideal ring was not asked; choose fewer nodes, or more with --memory"
        ),
    }
    Ok(())
}
