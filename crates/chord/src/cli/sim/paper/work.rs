//! Experiments on several threads: their parts are taken one by one, until none is left or it is told to stop.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chord_sim::paper::{self, Experiment, Findings, Part, Samples};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::files;
use crate::cli::output::note;

/// What is to be run, and what came out so far.
pub(super) struct Work {
    lanes: Vec<Lane>,
    seed: u64,
    folder: PathBuf,
    /// All parts, each with the place of its experiment.
    parts: Vec<(usize, Part)>,
    /// How many of them were taken.
    taken: AtomicUsize,
    is_stopped: AtomicBool,
    bars: MultiProgress,
}

/// One experiment on its way.
struct Lane {
    experiment: Box<dyn Experiment>,
    n_parts: usize,
    /// A std mutex: it is held for the time of an addition, by threads that wait for nothing else.
    done: Mutex<Done>,
    bar: ProgressBar,
}

#[derive(Default)]
struct Done {
    n_parts: usize,
    samples: Samples,
}

impl Work {
    pub(super) fn new(experiments: Vec<Box<dyn Experiment>>, seed: u64, folder: PathBuf) -> Self {
        let bars = MultiProgress::new(); // On standard error, and only if that is a terminal.
        let lanes: Vec<Lane> =
            experiments.into_iter().map(|experiment| Lane::new(experiment, &bars)).collect();
        let of_lane = |(idx, lane): (usize, &Lane)| {
            paper::parts(&*lane.experiment).into_iter().map(move |part| (idx, part)).collect::<Vec<_>>()
        };
        let parts = lanes.iter().enumerate().flat_map(of_lane).collect();
        let (taken, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { lanes, seed, folder, parts, taken, is_stopped, bars }
    }

    pub(super) fn n_experiments(&self) -> usize {
        self.lanes.len()
    }

    /// Runs all parts on so many threads.
    pub(super) fn run(&self, n_threads: usize) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(|| self.run_parts())).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Lets each thread finish its part, and begin no other.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.lanes.iter().all(|lane| lane.done().n_parts == lane.n_parts)
    }

    /// What each experiment says of which at least one setting is complete.
    pub(super) fn findings(&self) -> Vec<Findings> {
        let all = self.lanes.iter().map(|lane| lane.done().samples.findings(&*lane.experiment));
        all.filter(has_rows).collect()
    }

    /// The experiments of which no setting is complete.
    pub(super) fn unreached(&self) -> Vec<&'static str> {
        let all = self.lanes.iter().map(|lane| lane.done().samples.findings(&*lane.experiment));
        all.filter(|findings| !has_rows(findings)).map(|findings| findings.id).collect()
    }

    fn run_parts(&self) -> anyhow::Result<()> {
        while !self.is_stopped.load(Ordering::Relaxed) {
            let Some((idx, part)) = self.parts.get(self.taken.fetch_add(1, Ordering::Relaxed)) else { break };
            let lane = &self.lanes[*idx];
            let tallies = paper::run_part(&*lane.experiment, self.seed, *part);
            let finished = {
                let mut done = lane.done();
                done.samples.add(*part, &tallies);
                done.n_parts += 1;
                (done.n_parts == lane.n_parts).then(|| done.samples.findings(&*lane.experiment))
            };
            lane.bar.inc(1);
            if let Some(findings) = finished {
                files::write_findings(&self.folder, &findings)?;
                lane.bar.finish();
                if self.bars.is_hidden() {
                    note(format_args!("{}: done after {} s", findings.id, lane.bar.elapsed().as_secs()));
                }
            }
        }
        Ok(())
    }
}

fn has_rows(findings: &Findings) -> bool {
    findings.tables.iter().any(|table| !table.rows.is_empty())
}

impl Lane {
    fn new(experiment: Box<dyn Experiment>, bars: &MultiProgress) -> Self {
        let n_parts = experiment.n_rows() * experiment.n_repeats();
        let bar = bars.add(ProgressBar::new(n_parts as u64));
        let style = ProgressStyle::with_template("{prefix:>10} {bar:40} {pos:>4} of {len:4} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(experiment.id());
        Self { experiment, n_parts, done: Mutex::default(), bar }
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
