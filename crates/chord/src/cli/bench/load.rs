//! The closed loop: every connection sends its next request when the last is answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::workload::{Operation, Random, Workload};

/// Longest latency that is told apart: beyond every deadline. Longer ones would count as this.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Significant digits of a latency: an error of at most 0.1 %.
const LATENCY_DIGITS: u8 = 3;

/// What a connection waits after a failure, so that a node that is down is not flooded.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// What came of one operation.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) operation: Operation,
    pub(super) elapsed: Duration,
    /// In nanoseconds, of requests that succeeded.
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: u64,
    first_failure: Option<String>,
}

impl Measured {
    pub(super) fn new(operation: Operation) -> anyhow::Result<Self> {
        let highest = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
        let latencies = Histogram::new_with_bounds(1, highest, LATENCY_DIGITS)?;
        Ok(Self { operation, elapsed: Duration::ZERO, latencies, errors: 0, first_failure: None })
    }

    /// The first failure, if there was one.
    pub(super) fn failure(&self) -> Option<&str> {
        self.first_failure.as_deref()
    }

    pub(super) fn record(&mut self, ended: anyhow::Result<()>, latency: Duration) {
        match ended {
            Ok(()) => self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)),
            Err(error) => {
                self.errors += 1;
                self.first_failure.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
}

/// Writes every key once; the connections share them out.
pub(super) async fn fill(workload: &Workload) -> anyhow::Result<()> {
    each(workload, Operation::Put, 1).await.context("cannot write the keys")
}

/// Reads every `step`th key once, and checks what is under it.
pub(super) async fn check(workload: &Workload, step: u64) -> anyhow::Result<()> {
    each(workload, Operation::Get, step).await.context("cannot read the keys back")
}

async fn each(workload: &Workload, operation: Operation, step: u64) -> anyhow::Result<()> {
    let step = usize::try_from(step)?;
    let bar = ProgressBar::new(workload.keys.div_ceil(step as u64)); // On standard error, and only if that is a terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} keys, {elapsed}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut tasks = JoinSet::new();
    for number in 0..workload.connections {
        let mut connection = Connection::new(workload, number, operation);
        let keys = (0..workload.keys).step_by(step).skip(number.into()).step_by(workload.connections.into());
        let bar = bar.clone();
        tasks.spawn(async move {
            for key in keys {
                connection.exchange(key).await?;
                bar.inc(1);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Lets every connection send requests of that kind, first for the warm-up, then for the measured time.
pub(super) async fn measure(workload: &Workload, operation: Operation) -> anyhow::Result<Measured> {
    let measured = Arc::new(Mutex::new(Measured::new(operation)?));
    let begin = Instant::now() + workload.warmup;
    let end = begin + workload.measured;
    let mut tasks = JoinSet::new();
    for number in 0..workload.connections {
        let connection = Connection::new(workload, number, operation);
        let random = Random::new(u64::from(number) << 1 | u64::from(operation == Operation::Get));
        let loop_ = Loop { connection, random, keys: workload.keys, begin, end };
        tasks.spawn(loop_.run(Arc::clone(&measured)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let measured = Arc::into_inner(measured).context("no connection is left")?;
    let measured = measured.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Measured { elapsed: begin.elapsed(), ..measured })
}

/// One connection's work.
struct Loop {
    connection: Connection,
    random: Random,
    keys: u64,
    begin: Instant,
    end: Instant,
}

impl Loop {
    async fn run(mut self, measured: Arc<Mutex<Measured>>) {
        loop {
            let sent = Instant::now();
            if sent >= self.end {
                return;
            }
            let ended = self.connection.exchange(self.random.below(self.keys)).await;
            let (latency, failed) = (sent.elapsed(), ended.is_err());
            if sent >= self.begin || failed {
                // Held for the record alone, never while waiting.
                measured.lock().unwrap_or_else(PoisonError::into_inner).record(ended, latency);
            }
            if failed {
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_kept_and_all_are_counted() {
        let mut measured = Measured::new(Operation::Put).unwrap();
        measured.record(Ok(()), Duration::from_millis(2));
        measured.record(Err(anyhow::anyhow!("one")), Duration::ZERO);
        measured.record(Err(anyhow::anyhow!("two")), Duration::ZERO);
        measured.record(Ok(()), LATENCY_MAX * 2);
        assert_eq!((measured.errors, measured.failure()), (2, Some("one")));
        assert_eq!(measured.latencies.len(), 2);
        assert!(measured.latencies.max() >= 60_000_000_000);
    }
}
