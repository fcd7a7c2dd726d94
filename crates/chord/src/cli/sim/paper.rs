//! `chord sim paper`: the papers' figures and tables, measured again.

mod files;
mod work;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use chord_sim::paper::{self, Effort, Experiment, Report, Run, SEED_DEFAULT};
use clap::Args;

use crate::cli::number;
use crate::cli::output::{self, note};
use crate::cli::signals::Signals;
use crate::cli::table::{Side, Table};
use work::Work;

/// Threads beyond this bring nothing: there are not so many long parts.
const THREADS_MAX: u64 = 64;

/// Reproduce the figures and tables of the Chord papers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord sim paper --quick
  chord sim paper --only fig10,table2 --out figures
  chord sim paper --seed 7

Experiments: fig8, fig9, fig10, table2, table3, table4 (TON 2003), sigcomm11, sigcomm12 (SIGCOMM 2001).

For each it writes ID.csv, with the paper's figures in columns paper_... and ours in ours_..., and a plot ID.svg; and \
one page on all of them, report.md and report.html. The same seed makes the same bytes. Ctrl-C keeps what is done.")]
pub(crate) struct PaperArgs {
    /// Only these experiments, separated by commas
    #[arg(long, value_name = "ID,...", value_delimiter = ',', value_parser = experiment_id)]
    only: Vec<String>,

    /// Folder for the results; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "chord-papers")]
    out: PathBuf,

    /// What decides every draw
    #[arg(long, value_name = "NUMBER", default_value_t = SEED_DEFAULT,
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    /// Smaller and fewer rings: done in seconds, and proves little
    #[arg(long)]
    quick: bool,

    /// How many threads, 1 to 64: one for each core unless given
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<usize>("the number of threads", 1..=THREADS_MAX))]
    threads: Option<usize>,
}

/// The name of an experiment that there is.
fn experiment_id(text: &str) -> Result<String, String> {
    let ids: Vec<&str> = paper::experiments(Effort::Quick).iter().map(|experiment| experiment.id()).collect();
    if ids.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("the experiments are {}", ids.join(", ")))
    }
}

impl PaperArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut signals = Signals::with_hangup()?;
        files::prepare(&self.out)?;
        let work = Arc::new(Work::new(self.experiments(), self.seed, self.out.clone()));
        let n_threads = self.n_threads();
        note(format_args!("Measuring {} experiments with seed {}...", work.n_experiments(), self.seed));
        let mut running = tokio::task::spawn_blocking({
            let work = Arc::clone(&work);
            move || work.run(n_threads)
        });
        tokio::select! {
            ended = &mut running => ended??,
            () = signals.next() => {
                work.stop();
                note("Stopping: what is being measured is finished first. Ctrl-C again ends at once.");
                tokio::select! {
                    ended = running => ended??,
                    () = signals.next() => bail!("stopped at once: only what was written before is in {}", self.out.display()),
                }
            }
        }
        self.conclude(&work)
    }

    fn experiments(&self) -> Vec<Box<dyn Experiment>> {
        let mut experiments = paper::experiments(self.effort());
        experiments.retain(|experiment| {
            self.only.is_empty() || self.only.iter().any(|only| only == experiment.id())
        });
        experiments
    }

    fn effort(&self) -> Effort {
        if self.quick { Effort::Quick } else { Effort::Full }
    }

    fn n_threads(&self) -> usize {
        let one_a_core = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(one_a_core)
    }

    /// The command line that makes the same report.
    fn command(&self) -> String {
        let only =
            if self.only.is_empty() { String::new() } else { format!(" --only {}", self.only.join(",")) };
        let quick = if self.quick { " --quick" } else { "" };
        format!("chord sim paper{only}{quick} --seed {}", self.seed)
    }

    fn conclude(&self, work: &Work) -> anyhow::Result<()> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let run = Run { command: self.command(), version, effort: self.effort() };
        let report = Report { run, findings: work.findings(), unreached: work.unreached() };
        for findings in &report.findings {
            files::write_findings(&self.out, findings)?;
        }
        files::write_report(&self.out, &report)?;
        output::styled(&summary(&report))?;
        let page = self.out.join("report.html");
        if work.is_complete() {
            note(format_args!("The report is {}", page.display()));
            Ok(())
        } else {
            Err(anyhow!(
                "stopped early: what was measured until then is in {}{}",
                page.display(),
                left_out(&report)
            ))
        }
    }
}

/// What the report of a run that was stopped does not have.
fn left_out(report: &Report) -> String {
    let partial = report.findings.iter().filter(|findings| !findings.is_complete);
    let partial: Vec<&str> = partial.map(|findings| findings.id).collect();
    let mut text = String::new();
    for (what, ids) in [("in part only", partial), ("not reached", report.unreached.clone())] {
        if !ids.is_empty() {
            write!(text, "; {what}: {}", ids.join(", ")).expect("a string takes every text");
        }
    }
    text
}

fn summary(report: &Report) -> String {
    let mut table = Table::new(&[
        ("experiment", Side::Left),
        ("", Side::Left),
        ("within band", Side::Right),
        ("claims that hold", Side::Right),
    ]);
    for findings in &report.findings {
        let score = findings.score();
        table.row(vec![
            findings.id.to_owned(),
            findings.title.to_owned(),
            format!("{} of {}", score.n_within, score.n_banded),
            format!("{} of {}", score.n_true, score.n_claims),
        ]);
    }
    table.render()
}
