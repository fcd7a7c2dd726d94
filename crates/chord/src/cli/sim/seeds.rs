//! Many seeds on several threads, with progress, that an operator may stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::note;
use crate::cli::signals::Signals;
use crate::cli::table::thousands;

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Threads; one for each core unless given.
    pub(crate) threads: Option<usize>,
}

/// Something that the results of runs are added to.
pub(crate) trait Sum<T>: Send {
    fn add(&mut self, seed: u64, result: T);
}

/// Runs each seed, and adds up what came of it. Ctrl-C lets those under way end.
///
/// # Errors
/// Signals cannot be waited for, or a thread broke.
pub(crate) async fn run_all<T: Send, S: Sum<T> + Default + 'static>(
    seeds: Seeds,
    run: impl Fn(u64) -> T + Send + Sync + 'static,
) -> anyhow::Result<S> {
    let mut signals = Signals::with_hangup()?;
    if seeds.count > 1 {
        note(format_args!("Running {} seeds...", thousands(seeds.count)));
    }
    let is_stopped = Arc::new(AtomicBool::new(false));
    let mut running = tokio::task::spawn_blocking({
        let is_stopped = is_stopped.clone();
        move || run_on_threads(seeds, &is_stopped, &run)
    });
    let sum = tokio::select! {
        ended = &mut running => ended?,
        () = signals.next() => {
            note("Stopping: the runs under way are finished first.");
            is_stopped.store(true, Ordering::Relaxed);
            running.await?
        }
    };
    Ok(sum)
}

/// How a run over many seeds ended.
///
/// # Errors
/// Some failed, or not all were run.
pub(crate) fn verdict(n_failed: usize, n_runs: u64, n_wanted: u64) -> anyhow::Result<()> {
    let stopped = if n_runs < n_wanted {
        format!("stopped after {n_runs} of {n_wanted} seeds: ")
    } else {
        String::new()
    };
    match (n_failed, stopped.is_empty()) {
        (0, true) => Ok(()),
        (0, false) => bail!("{stopped}none of them failed"),
        (_, _) => bail!("{stopped}{n_failed} of {n_runs} runs failed"),
    }
}

fn run_on_threads<T, S: Sum<T> + Default>(
    seeds: Seeds,
    is_stopped: &AtomicBool,
    run: &(impl Fn(u64) -> T + Sync),
) -> S {
    let bar = ProgressBar::new(seeds.count); // On standard error, and only if that is a terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {elapsed}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let one_a_core = || std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    // A std mutex: it is held for the time of an addition, by threads that wait for nothing else.
    let sum = Mutex::new(S::default());
    std::thread::scope(|scope| {
        for _ in 0..seeds.threads.unwrap_or_else(one_a_core) {
            scope.spawn(|| {
                while !is_stopped.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds.count {
                        return;
                    }
                    let seed = seeds.first.wrapping_add(number);
                    let result = run(seed);
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(seed, result);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}
