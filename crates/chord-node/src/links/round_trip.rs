//! How long to wait for a peer: from the round trips measured so far (RFC 6298).

use std::time::{Duration, Instant};

use chord_ring::WAIT_MIN;

/// Smoothed round trip and its variation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    measured: Option<Measured>,
    /// Waits in a row that were over without an answer.
    misses: u32,
    last_miss: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    smoothed: Duration,
    variation: Duration,
}

impl RoundTrip {
    /// Takes in one measured round trip.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.misses = 0;
        self.measured = Some(match self.measured {
            None => Measured { smoothed: took, variation: took / 2 },
            Some(Measured { smoothed, variation }) => Measured {
                smoothed: (smoothed * 7 + took) / 8,
                variation: (variation * 3 + smoothed.abs_diff(took)) / 4,
            },
        });
    }

    /// How long an answer takes, smoothed, if any came.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.smoothed)
    }

    /// No answer came to what was asked at `asked`, and by `now` the wait is over. Of waits that were under way at one
    /// time, one counts: who asks a frozen peer much would else wait for it longest.
    pub(crate) fn missed(&mut self, asked: Instant, now: Instant) {
        if self.last_miss.is_none_or(|last| last <= asked) {
            self.misses = (self.misses + 1).min(8);
            self.last_miss = Some(now);
        }
    }

    /// How long to wait for the next answer; never more than `wait_max`.
    pub(crate) fn wait(&self, wait_max: Duration) -> Duration {
        let estimate = match self.measured {
            Some(Measured { smoothed, variation }) => smoothed + variation * 4,
            None => WAIT_MIN,
        };
        // The second wait is as long as the first: doubling starts only with the third, when the peer is given up anyway.
        let doublings = self.misses.saturating_sub(1);
        estimate.max(WAIT_MIN).saturating_mul(1 << doublings).min(wait_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(2);

    /// Waits in vain, once after the other.
    fn miss_in_a_row(trip: &mut RoundTrip, times: u32) {
        let begin = Instant::now();
        for time in 0..times {
            trip.missed(begin + WAIT_MIN * time, begin + WAIT_MIN * (time + 1));
        }
    }

    #[test]
    fn a_quick_peer_is_given_the_shortest_wait_and_a_slow_one_more() {
        let mut quick = RoundTrip::default();
        let mut slow = RoundTrip::default();
        for _ in 0..20 {
            quick.answered(Duration::from_millis(1));
            slow.answered(Duration::from_millis(700));
        }
        assert_eq!(quick.wait(MAX), WAIT_MIN);
        assert!(slow.wait(MAX) > Duration::from_millis(700) && slow.wait(MAX) < MAX);
    }

    #[test]
    fn no_wait_is_above_the_limit() {
        let mut trip = RoundTrip::default();
        trip.answered(Duration::from_secs(30));
        assert_eq!(trip.wait(MAX), MAX);
        miss_in_a_row(&mut trip, 100);
        assert_eq!(trip.wait(MAX), MAX);
    }

    #[test]
    fn an_answer_ends_the_doubling() {
        let mut trip = RoundTrip::default();
        miss_in_a_row(&mut trip, 2);
        assert_eq!(trip.wait(MAX), 2 * WAIT_MIN);
        trip.answered(Duration::from_millis(1));
        assert_eq!(trip.wait(MAX), WAIT_MIN);
    }

    #[test]
    fn many_who_wait_at_one_time_make_the_next_wait_no_longer_than_one_does() {
        let mut trip = RoundTrip::default();
        let (asked, over) = (Instant::now(), Instant::now() + WAIT_MIN);
        for _ in 0..100 {
            trip.missed(asked, over);
        }
        assert_eq!(trip.wait(MAX), WAIT_MIN);
        trip.missed(over, over + WAIT_MIN);
        assert_eq!(trip.wait(MAX), 2 * WAIT_MIN);
    }
}
