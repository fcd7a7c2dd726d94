//! What came of requests: their latencies, and what failed.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::pacing::Due;
use super::workload::Operation;

/// Longest latency that is told apart: beyond every deadline. Longer ones count as this.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// Significant digits of a latency: an error of at most 0.1 %.
const LATENCY_DIGITS: u8 = 3;

/// What came of one operation.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) operation: Operation,
    pub(super) elapsed: Duration,
    /// In nanoseconds: of requests that succeeded, and of those that were due and never sent.
    pub(super) latencies: Histogram<u64>,
    /// How many were never sent: the connection had no room for them before the end.
    pub(super) unsent: u64,
    pub(super) errors: u64,
    first_failure: Option<String>,
}

/// All that was measured on some connections.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) operations: [Measured; 2],
    /// In nanoseconds: how much later than due requests were sent that no other held up.
    pub(super) late: Histogram<u64>,
    /// When the last request was answered.
    last: Option<Instant>,
}

impl Measured {
    pub(super) fn new(operation: Operation) -> anyhow::Result<Self> {
        let (elapsed, latencies) = (Duration::ZERO, histogram()?);
        Ok(Self { operation, elapsed, latencies, unsent: 0, errors: 0, first_failure: None })
    }

    /// How many succeeded.
    pub(super) fn count(&self) -> u64 {
        self.latencies.len() - self.unsent
    }

    /// The first failure, if there was one.
    pub(super) fn failure(&self) -> Option<&str> {
        self.first_failure.as_deref()
    }

    fn fails(&mut self, error: &anyhow::Error) {
        self.errors += 1;
        self.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }

    fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.latencies.add(&other.latencies)?;
        self.unsent += other.unsent;
        self.errors += other.errors;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        Ok(())
    }
}

impl Tally {
    pub(super) fn new() -> anyhow::Result<Self> {
        let operations = [Measured::new(Operation::Put)?, Measured::new(Operation::Get)?];
        Ok(Self { operations, late: histogram()?, last: None })
    }

    /// A request was sent.
    pub(super) fn sent(&mut self, due: &Due) {
        if let Some(late) = due.late {
            record(&mut self.late, late);
        }
    }

    /// A request was answered as it should be, or not.
    pub(super) fn record(
        &mut self,
        operation: Operation,
        ended: anyhow::Result<()>,
        since: Instant,
        now: Instant,
    ) {
        let measured = &mut self.operations[operation as usize];
        match ended {
            Ok(()) => {
                record(&mut measured.latencies, now.saturating_duration_since(since));
                self.last = Some(now);
            }
            Err(error) => measured.fails(&error),
        }
    }

    /// A request was due, and had not been sent when time was up: it has waited at least since then.
    pub(super) fn unsent(&mut self, operation: Operation, due: Instant, now: Instant) {
        let measured = &mut self.operations[operation as usize];
        measured.unsent += 1;
        record(&mut measured.latencies, now.saturating_duration_since(due));
    }

    /// A connection failed on which nothing was asked yet, mostly for that.
    pub(super) fn fails(&mut self, operation: Operation, error: &anyhow::Error) {
        self.operations[operation as usize].fails(error);
    }

    /// How many were answered or failed.
    pub(super) fn n_ended(&self) -> u64 {
        self.operations.iter().map(|measured| measured.count() + measured.errors).sum()
    }

    /// The first failure, if there was one.
    pub(super) fn failure(&self) -> Option<&str> {
        self.operations.iter().find_map(Measured::failure)
    }

    /// Keeps the failures, and forgets the rest.
    pub(super) fn failures_only(self) -> anyhow::Result<Self> {
        let mut fresh = Self::new()?;
        for (fresh, measured) in fresh.operations.iter_mut().zip(self.operations) {
            (fresh.errors, fresh.first_failure) = (measured.errors, measured.first_failure);
        }
        Ok(fresh)
    }

    /// Adds what was measured on other connections at the same time.
    pub(super) fn add(&mut self, other: Self) -> anyhow::Result<()> {
        for (measured, other) in self.operations.iter_mut().zip(other.operations) {
            measured.add(other)?;
        }
        self.late.add(&other.late)?;
        self.last = self.last.max(other.last);
        Ok(())
    }

    /// Says for how long it was measured: from `begin` to `end`, or to the last answer if that came later.
    pub(super) fn over(mut self, begin: Instant, end: Instant) -> Self {
        let elapsed = self.last.map_or(end, |last| last.max(end)).saturating_duration_since(begin);
        for measured in &mut self.operations {
            measured.elapsed = elapsed;
        }
        self
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    let highest = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
    Ok(Histogram::new_with_bounds(1, highest, LATENCY_DIGITS)?)
}

fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_first_failure_is_kept_and_all_are_counted() {
        let (mut tally, begin) = (Tally::new().unwrap(), Instant::now());
        let after = |ms| begin + Duration::from_millis(ms);
        tally.record(Operation::Put, Ok(()), begin, after(2));
        tally.record(Operation::Put, Err(anyhow!("one")), begin, begin);
        tally.record(Operation::Put, Err(anyhow!("two")), begin, begin);
        tally.record(Operation::Put, Ok(()), begin, begin + LATENCY_MAX * 2);
        let [put, get] = &tally.operations;
        assert_eq!((put.errors, put.failure(), put.count()), (2, Some("one"), 2));
        assert!(put.latencies.max() >= 60_000_000_000);
        assert_eq!((get.count(), tally.n_ended()), (0, 4));
        let left = tally.failures_only().unwrap();
        assert_eq!(
            (left.failure(), left.operations[0].errors, left.operations[0].count()),
            (Some("one"), 2, 0)
        );
    }

    #[test]
    fn what_was_never_sent_has_waited_and_was_not_answered() {
        let (mut tally, begin) = (Tally::new().unwrap(), Instant::now());
        tally.unsent(Operation::Get, begin, begin + Duration::from_millis(700));
        let [_, get] = &tally.operations;
        assert_eq!((get.count(), get.unsent), (0, 1));
        assert!(get.latencies.max() >= 699_000_000);
    }

    #[test]
    fn the_time_goes_to_the_last_answer_if_that_comes_late() {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(1);
        let elapsed = |late_ms| {
            let mut tally = Tally::new().unwrap();
            tally.record(Operation::Get, Ok(()), begin, begin + Duration::from_millis(late_ms));
            tally.over(begin, end).operations[0].elapsed
        };
        assert_eq!(elapsed(10), Duration::from_secs(1));
        assert_eq!(elapsed(1500), Duration::from_millis(1500));
    }
}
