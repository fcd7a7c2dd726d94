//! Many seeds on several threads, with progress, that an operator may stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Runs each seed, and returns what came of those that were run, in the order of the seeds. Ctrl-C lets those under way end.
///
/// # Errors
/// Signals cannot be waited for, or a thread broke.
pub(crate) async fn run_all<T: Send + 'static>(
    seeds: Seeds,
    run: impl Fn(u64) -> T + Send + Sync + 'static,
) -> anyhow::Result<Vec<(u64, T)>> {
    let mut signals = Signals::new()?;
    note(format_args!("Running {} seeds...", thousands(seeds.count)));
    let is_stopped = Arc::new(AtomicBool::new(false));
    let mut running = tokio::task::spawn_blocking({
        let is_stopped = is_stopped.clone();
        move || run_on_threads(seeds, &is_stopped, &run)
    });
    let mut ended = tokio::select! {
        ended = &mut running => ended?,
        () = signals.next() => {
            note("Stopping: the runs under way are finished first.");
            is_stopped.store(true, Ordering::Relaxed);
            running.await?
        }
    };
    ended.sort_by_key(|(seed, _)| *seed);
    Ok(ended)
}

fn run_on_threads<T: Send>(
    seeds: Seeds,
    is_stopped: &AtomicBool,
    run: &(impl Fn(u64) -> T + Sync),
) -> Vec<(u64, T)> {
    let bar = ProgressBar::new(seeds.count); // On standard error, and only if that is a terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {elapsed}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let one_a_core = || std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    // A std mutex: it is held for the time of a push, by threads that wait for nothing else.
    let ended = Mutex::new(Vec::new());
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
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push((seed, result));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    ended.into_inner().unwrap_or_else(PoisonError::into_inner)
}
