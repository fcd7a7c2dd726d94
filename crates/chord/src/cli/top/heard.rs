//! What was heard of one node: its last report, and its rates. A slow answer, one that comes round the ring and one from before
//! it was started anew make no false rates.

use std::time::{Duration, Instant};

use chord::seen::ReportBody;

use super::rates::Rates;

/// How long rates are shown without news: the ring has news of each node every five seconds.
const NEWS_MAX: Duration = Duration::from_secs(12);

/// What a node counted in less time than this says little.
const APART_MIN_MS: u64 = 200;

/// Who told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The node, just now.
    Itself,
    /// Another one, which has asked it some time ago.
    Ring,
}

/// What was heard of a node.
#[derive(Debug, Default)]
pub(super) struct Heard {
    last: Option<Last>,
    rates: Option<Rates>,
}

#[derive(Debug)]
struct Last {
    report: ReportBody,
    from: Source,
    at: Instant,
}

impl Heard {
    pub(super) fn last(&self) -> Option<&ReportBody> {
        self.last.as_ref().map(|last| &last.report)
    }

    /// Its rates, unless they are old.
    pub(super) fn rates(&self, now: Instant) -> Option<&Rates> {
        let last = self.last.as_ref()?;
        self.rates.as_ref().filter(|_| now.saturating_duration_since(last.at) < NEWS_MAX)
    }

    /// Takes a report, if it is newer than the last.
    pub(super) fn take(&mut self, report: ReportBody, from: Source, now: Instant) {
        if let Some(last) = &self.last {
            if !last.is_before(&report, from, now) {
                return;
            }
            let here = (from == Source::Itself && last.from == Source::Itself)
                .then(|| now.saturating_duration_since(last.at));
            self.rates = Rates::between(&last.report, &report, here);
        }
        self.last = Some(Last { report, from, at: now });
    }
}

impl Last {
    /// Whether that report is news.
    fn is_before(&self, report: &ReportBody, from: Source, now: Instant) -> bool {
        let is_old = now.saturating_duration_since(self.at) >= NEWS_MAX;
        if self.report.started_at_ms != report.started_at_ms {
            // What the ring tells may be of before it was started anew.
            return from == Source::Itself || report.started_at_ms > self.report.started_at_ms || is_old;
        }
        match (self.report.up_ms, report.up_ms) {
            // An earlier version does not say when that was.
            (0, _) | (_, 0) => from == Source::Itself || (self.from == from && self.report != *report),
            (before, after) => after.saturating_sub(before) >= APART_MIN_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::tests::report;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn told(started_at_ms: u64, up_ms: u64, reads: u64) -> ReportBody {
        let mut report = ReportBody { started_at_ms, up_ms, ..report("h:1") };
        report.work.reads.ok = reads;
        report
    }

    #[track_caller]
    fn reads(heard: &Heard, now: Instant, expected: Option<f64>) {
        let reads = heard.rates(now).map(|rates| rates.reads_per_s);
        let is_so = match (reads, expected) {
            (Some(reads), Some(expected)) => (reads - expected).abs() < 1e-6,
            (reads, expected) => reads.is_none() && expected.is_none(),
        };
        assert!(is_so, "{reads:?} instead of {expected:?}");
    }

    #[test]
    fn a_slow_answer_for_which_the_ring_told_something_older_makes_no_false_rates() {
        let (mut heard, begin) = (Heard::default(), Instant::now());
        heard.take(told(1, 10_000, 1000), Source::Itself, begin);
        heard.take(told(1, 11_000, 1100), Source::Itself, begin + SECOND);
        reads(&heard, begin + SECOND, Some(100.0));
        // The next answer does not come in time, and the ring tells what was so three seconds ago.
        heard.take(told(1, 8_000, 800), Source::Ring, begin + 2 * SECOND);
        reads(&heard, begin + 2 * SECOND, Some(100.0));
        // The one after it comes late, just before another: each is by the node's own time.
        heard.take(told(1, 13_000, 1300), Source::Itself, begin + 4 * SECOND);
        reads(&heard, begin + 4 * SECOND, Some(100.0));
        heard.take(told(1, 14_000, 1400), Source::Itself, begin + 4 * SECOND + SECOND / 100);
        reads(&heard, begin + 5 * SECOND, Some(100.0));
        // The ring tells the same again.
        heard.take(told(1, 14_000, 1400), Source::Ring, begin + 5 * SECOND);
        heard.take(told(1, 14_050, 1500), Source::Ring, begin + 5 * SECOND);
        reads(&heard, begin + 5 * SECOND, Some(100.0));
        assert_eq!(heard.last().map(|report| report.up_ms), Some(14_000));
        reads(&heard, begin + 30 * SECOND, None);
    }

    #[test]
    fn a_node_that_was_started_anew_has_neither_negative_nor_giant_rates() {
        let (mut heard, begin) = (Heard::default(), Instant::now());
        heard.take(told(1000, 60_000, 1_000_000), Source::Itself, begin);
        heard.take(told(1000, 61_000, 1_000_100), Source::Itself, begin + SECOND);
        heard.take(told(62_500, 500, 3), Source::Itself, begin + 2 * SECOND);
        reads(&heard, begin + 2 * SECOND, None);
        // The ring still tells of the one before.
        heard.take(told(1000, 61_500, 1_000_150), Source::Ring, begin + 2 * SECOND);
        reads(&heard, begin + 2 * SECOND, None);
        heard.take(told(62_500, 1_500, 53), Source::Itself, begin + 3 * SECOND);
        reads(&heard, begin + 3 * SECOND, Some(50.0));
    }

    #[test]
    fn one_that_tells_no_time_has_rates_by_our_clock_if_it_is_asked_itself() {
        let (mut heard, begin) = (Heard::default(), Instant::now());
        heard.take(told(1, 0, 100), Source::Itself, begin);
        heard.take(told(1, 0, 300), Source::Itself, begin + 2 * SECOND);
        reads(&heard, begin + 2 * SECOND, Some(100.0));
        heard.take(told(1, 0, 200), Source::Ring, begin + 3 * SECOND);
        reads(&heard, begin + 3 * SECOND, Some(100.0));
        heard.take(told(1, 0, 500), Source::Itself, begin + 4 * SECOND);
        reads(&heard, begin + 4 * SECOND, Some(100.0));
    }
}
