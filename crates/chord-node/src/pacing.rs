//! Paces: how fast something may come or be done, of which some may come at once after a pause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Between one and the next.
    each: Duration,
    /// What may come in this time, may come at once.
    burst: Duration,
}

/// How fast something comes: the time at which all that has come would have come, one after the other, if it had kept to
/// the rate; in nanoseconds of a clock that whoever counts keeps.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU64);

impl Rate {
    /// So many in a second, and as many at once after a pause.
    pub(crate) fn per_second(count: u32) -> Self {
        let second = Duration::from_secs(1);
        Self { each: second / count.max(1), burst: second }
    }
}

impl Pace {
    /// One more; false, and not counted, if that is too fast.
    pub(crate) fn takes(&self, now: Duration, rate: Rate) -> bool {
        let now = nanos(now);
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            Some(after(due, now, rate)).filter(|due| *due - now <= nanos(rate.burst))
        });
        counted.is_ok()
    }

    /// One more, whenever that is: for how long it has to wait until it is not too fast.
    fn wait(&self, now: Duration, rate: Rate) -> Duration {
        let now = nanos(now);
        let more = |due: u64| Some(after(due, now, rate));
        // It always takes one more, and says what was due before.
        let (Ok(before) | Err(before)) = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let due = after(before, now, rate);
        Duration::from_nanos(due - now).saturating_sub(rate.burst)
    }

    /// Whether it is as if nothing had ever come.
    pub(crate) fn is_at_rest(&self, now: Duration) -> bool {
        self.0.load(Ordering::Relaxed) <= nanos(now)
    }
}

/// When all will have come, with one more; never before `now`.
fn after(due: u64, now: u64, rate: Rate) -> u64 {
    due.max(now).saturating_add(nanos(rate.each))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Questions of one kind that may be asked at once after a pause: as many as newcomers next to each other in a ring that grows
/// fast.
const QUESTIONS: u32 = 16;

/// Between two of them from then on. The node's own rounds come every 200 ms at the most, and who is a neighbour is known a
/// moment later; others bear twenty questions a second.
const PAUSE: Duration = Duration::from_millis(50);

/// How fast this node asks others because somebody told it to: whoever tells it much does not have it ask as much.
#[derive(Debug)]
pub(crate) struct Pacing {
    began: Instant,
    pace: Pace,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { began: Instant::now(), pace: Pace::default() }
    }
}

impl Pacing {
    const RATE: Rate = Rate { each: PAUSE, burst: PAUSE.saturating_mul(QUESTIONS) };

    /// How long the next question has to wait; it counts as asked.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.pace.wait(now.saturating_duration_since(self.began), Self::RATE)
    }

    /// Whether the next question may be asked now; if not, it does not count.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        self.pace.takes(now.saturating_duration_since(self.began), Self::RATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_over_time_and_a_second_of_it_may_come_at_once() {
        let (pace, rate) = (Pace::default(), Rate::per_second(100));
        let taken = |now_ms: u64, times: usize| {
            (0..times).filter(|_| pace.takes(Duration::from_millis(now_ms), rate)).count()
        };
        assert_eq!(taken(0, 1000), 100, "a second's worth");
        assert_eq!(taken(0, 1000), 0);
        assert_eq!(taken(500, 1000), 50);
        assert!(
            !pace.is_at_rest(Duration::from_millis(1499)) && pace.is_at_rest(Duration::from_millis(1500))
        );
        assert_eq!(taken(10_000, 1000), 100, "a pause is worth no more than that");
        let n_taken: usize = (10_000..20_000).map(|ms| taken(ms, 3)).sum();
        assert!((999..=1001).contains(&n_taken), "{n_taken} in ten seconds");
    }

    #[test]
    fn the_ends_of_all_clocks_and_rates_break_nothing() {
        let pace = Pace::default();
        assert!(pace.takes(Duration::ZERO, Rate::per_second(0)), "as one in a second");
        assert!(pace.takes(Duration::MAX, Rate::per_second(u32::MAX)));
        assert!(!pace.takes(Duration::ZERO, Rate::per_second(u32::MAX)), "a clock that went back");
        let wait = pace.wait(Duration::ZERO, Pacing::RATE);
        assert!(wait > Duration::from_secs(1 << 30), "{wait:?}");
    }

    #[test]
    fn some_are_asked_at_once_and_the_others_one_after_the_other() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        for _ in 0..QUESTIONS {
            assert_eq!(pacing.wait(now), Duration::ZERO);
        }
        assert_eq!([pacing.wait(now), pacing.wait(now)], [PAUSE, PAUSE * 2]);
        let later = now + PAUSE * 10;
        assert!(
            (0..8).all(|_| pacing.wait(later) == Duration::ZERO),
            "those that waited were asked meanwhile"
        );
        assert_eq!(pacing.wait(later), PAUSE, "and no more than the time allows");
    }

    #[test]
    fn what_may_not_be_asked_does_not_count() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        assert_eq!((0..1000).filter(|_| pacing.may_ask(now)).count(), QUESTIONS as usize);
        assert_eq!((0..1000).filter(|_| pacing.may_ask(now + PAUSE * 3)).count(), 3);
        let much_later = now + PAUSE * 1000;
        assert_eq!(
            (0..1000).filter(|_| pacing.may_ask(much_later)).count(),
            QUESTIONS as usize,
            "no more is saved up"
        );
    }
}
