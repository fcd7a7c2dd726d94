//! What a node did between two of its reports.

use std::time::Duration;

use chord::seen::{ReportBody, WorkBody};
use serde::Serialize;

/// What a node did a second, and how long it took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) reads_per_s: f64,
    pub(super) writes_per_s: f64,
    /// Of these, those that were not done, or of which nobody knows.
    pub(super) failed_per_s: f64,
    /// What other nodes had it do as the owner of a key.
    pub(super) as_owner_per_s: f64,
    pub(super) lookups_per_s: f64,
    /// What it has asked its peers.
    pub(super) asked_per_s: f64,
    /// Records that were sent or fetched so that copies are where they should be, and what these weigh.
    pub(super) repaired_per_s: f64,
    pub(super) repaired_bytes_per_s: f64,
    /// How often an operation was forwarded, on average; null if there was none.
    pub(super) hops: Option<f64>,
    /// How long half of the operations took at most, and 99 of a hundred: bounds in which they are counted; null if there
    /// was none, or if they took longer than any bound.
    pub(super) p50_us: Option<u64>,
    pub(super) p99_us: Option<u64>,
    /// Cores that its process kept busy, if it says. Several nodes may be of one process, so there is no sum.
    #[serde(skip)]
    pub(super) cpu_cores: Option<f64>,
    /// For the sum of many nodes.
    #[serde(skip)]
    pub(super) tally: Tally,
}

/// Operations by how long they took and how far they went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    bounds_us: Vec<u64>,
    took: Vec<u64>,
    hops: Vec<u64>,
}

impl Rates {
    /// Between two reports of one node, by its own clock; `None` if it was started anew, or no time passed. One of an earlier
    /// version tells no time: then it is what passed here between two answers, if it was asked itself.
    pub(super) fn between(before: &ReportBody, now: &ReportBody, here: Option<Duration>) -> Option<Self> {
        let has_clock = before.up_ms > 0 && now.up_ms > 0;
        let there = Duration::from_millis(now.up_ms.saturating_sub(before.up_ms));
        let seconds = if has_clock { there } else { here? }.as_secs_f64();
        if before.started_at_ms != now.started_at_ms || seconds <= 0.0 {
            return None;
        }
        let (was, is) = (&before.work, &now.work);
        let per_s = |count: fn(&WorkBody) -> u64| rate(count(was), count(is), seconds);
        let asked = |report: &ReportBody| {
            let sent = &report.ring.sent;
            [sent.ring, sent.lookups, sent.operations, sent.copies, sent.upkeep]
                .into_iter()
                .fold(0, u64::saturating_add)
        };
        let mut took = grown(&was.reads.took, &is.reads.took);
        add(&mut took, &grown(&was.writes.took, &is.writes.took));
        let tally = Tally { bounds_us: is.bounds_us.clone(), took, hops: grown(&was.hops, &is.hops) };
        let rates = Self {
            reads_per_s: per_s(|work| done(&work.reads)),
            writes_per_s: per_s(|work| done(&work.writes)),
            failed_per_s: per_s(|work| failed(&work.reads).saturating_add(failed(&work.writes))),
            as_owner_per_s: per_s(|work| done(&work.as_owner)),
            lookups_per_s: per_s(|work| work.lookups.found.saturating_add(work.lookups.failed)),
            asked_per_s: rate(asked(before), asked(now), seconds),
            repaired_per_s: per_s(|work| {
                work.repair.sent_records.saturating_add(work.repair.fetched_records)
            }),
            repaired_bytes_per_s: per_s(|work| {
                work.repair.sent_bytes.saturating_add(work.repair.fetched_bytes)
            }),
            cpu_cores: before
                .process
                .zip(now.process)
                .map(|(before, now)| ((now.cpu_seconds - before.cpu_seconds) / seconds).max(0.0)),
            ..Self::default()
        };
        Some(rates.with_tally(tally))
    }

    /// All nodes together.
    pub(super) fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        let mut tally = Tally::default();
        for rates in all {
            sum.reads_per_s += rates.reads_per_s;
            sum.writes_per_s += rates.writes_per_s;
            sum.failed_per_s += rates.failed_per_s;
            sum.as_owner_per_s += rates.as_owner_per_s;
            sum.lookups_per_s += rates.lookups_per_s;
            sum.asked_per_s += rates.asked_per_s;
            sum.repaired_per_s += rates.repaired_per_s;
            sum.repaired_bytes_per_s += rates.repaired_bytes_per_s;
            add(&mut tally.hops, &rates.tally.hops);
            if tally.bounds_us.is_empty() {
                tally.bounds_us.clone_from(&rates.tally.bounds_us);
            }
            // A node of another version may count within other bounds: then its times are left out.
            if tally.bounds_us == rates.tally.bounds_us {
                add(&mut tally.took, &rates.tally.took);
            }
        }
        sum.with_tally(tally)
    }

    pub(super) fn operations_per_s(&self) -> f64 {
        self.reads_per_s + self.writes_per_s
    }

    fn with_tally(self, tally: Tally) -> Self {
        let (hops, p50_us, p99_us) = (tally.hops(), tally.quantile_us(0.5), tally.quantile_us(0.99));
        Self { hops, p50_us, p99_us, tally, ..self }
    }
}

impl Tally {
    /// How often an operation was forwarded, on average.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn hops(&self) -> Option<f64> {
        let total: f64 = self.hops.iter().map(|count| *count as f64).sum();
        let weighed: f64 =
            self.hops.iter().enumerate().map(|(hops, count)| hops as f64 * *count as f64).sum();
        (total > 0.0).then(|| weighed / total)
    }

    /// The bound within which that part of the operations lies.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn quantile_us(&self, part: f64) -> Option<u64> {
        let total: f64 = self.took.iter().map(|count| *count as f64).sum();
        let mut sum = 0.0;
        let within = |count: &u64| {
            sum += *count as f64;
            sum >= total * part
        };
        let idx = self.took.iter().position(within).filter(|_| total > 0.0)?;
        self.bounds_us.get(idx).copied()
    }
}

fn done(operations: &chord::seen::OperationsBody) -> u64 {
    let counts = [
        operations.ok,
        operations.absent,
        operations.refused,
        operations.failed,
        operations.uncertain,
        operations.dropped,
    ];
    counts.into_iter().fold(0, u64::saturating_add)
}

fn failed(operations: &chord::seen::OperationsBody) -> u64 {
    operations.failed.saturating_add(operations.uncertain)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds
}

/// By how much each count has grown.
fn grown(before: &[u64], now: &[u64]) -> Vec<u64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
}

fn add(sum: &mut Vec<u64>, more: &[u64]) {
    sum.resize(sum.len().max(more.len()), 0);
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::tests::report;
    use super::*;
    use chord::seen::ProcessBody;

    fn counted(reads: u64, took: [u64; 3], hops: [u64; 3]) -> ReportBody {
        let mut report = report("h:1");
        report.work.bounds_us = vec![100, 1000];
        report.work.reads.ok = reads;
        report.work.reads.took = took.to_vec();
        report.work.hops = hops.to_vec();
        report
    }

    #[test]
    fn rates_are_what_was_counted_between_two_reports() {
        let before = counted(10, [10, 0, 0], [10, 0, 0]);
        let now = counted(110, [70, 40, 0], [60, 0, 50]);
        let rates = Rates::between(&before, &now, Some(Duration::from_secs(2))).unwrap();
        assert!((rates.reads_per_s - 50.0).abs() < 1e-9 && (rates.operations_per_s() - 50.0).abs() < 1e-9);
        assert_eq!((rates.p50_us, rates.p99_us, rates.hops), (Some(100), Some(1000), Some(1.0)));
        let slow = counted(120, [70, 40, 10], [70, 0, 50]);
        let slow = Rates::between(&now, &slow, Some(Duration::from_secs(1))).unwrap();
        assert_eq!((slow.p99_us, slow.hops), (None, Some(0.0)), "above all bounds");
        let sum = Rates::sum([&rates, &slow].into_iter());
        assert!((sum.reads_per_s - 60.0).abs() < 1e-9);
        assert_eq!(sum.p50_us, Some(100));
        let idle = Rates::between(&now, &now, Some(Duration::from_secs(1))).unwrap();
        assert_eq!((idle.p50_us, idle.hops), (None, None));
    }

    #[test]
    fn a_node_that_was_started_anew_or_counts_backwards_has_no_absurd_rates() {
        let (before, mut now) = (counted(100, [1, 1, 1], [1, 1, 1]), counted(1, [0, 0, 0], [0, 0, 0]));
        let rates = Rates::between(&before, &now, Some(Duration::from_secs(1))).unwrap();
        assert!(rates.reads_per_s.abs() < 1e-9);
        now.started_at_ms += 1;
        assert_eq!(Rates::between(&before, &now, Some(Duration::from_secs(1))), None);
        assert_eq!(Rates::between(&before, &before, Some(Duration::ZERO)), None);
    }

    #[test]
    fn a_rate_is_by_the_time_that_the_node_says_has_passed() {
        let at = |up_ms, reads, cpu_seconds| {
            let process = Some(ProcessBody { cpu_seconds, resident_bytes: 5 << 20 });
            ReportBody { up_ms, process, ..counted(reads, [0; 3], [0; 3]) }
        };
        let (before, now) = (at(10_000, 100, 1.0), at(15_000, 600, 2.0));
        let rates = Rates::between(&before, &now, Some(Duration::from_millis(10))).unwrap();
        assert!((rates.reads_per_s - 100.0).abs() < 1e-9, "not 50,000: {rates:?}");
        assert!(rates.cpu_cores.is_some_and(|cores| (cores - 0.2).abs() < 1e-9), "{rates:?}");
        assert_eq!(Rates::between(&before, &at(10_000, 600, 2.0), None), None, "no time passed");
        let backwards = Rates::between(&before, &at(15_000, 50, 0.5), None).unwrap();
        assert!(backwards.reads_per_s.abs() < 1e-9 && backwards.cpu_cores == Some(0.0), "{backwards:?}");
        let older = |reads| counted(reads, [0; 3], [0; 3]);
        assert_eq!(Rates::between(&older(1), &older(2), None), None, "an earlier version tells no time");
    }
}
