//! How fast this node asks others because somebody told it to: whoever tells it much does not have it ask as much.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::links::lock;

/// Questions of one kind that may be asked at once after a pause: as many as newcomers next to each other in a ring that grows
/// fast.
const BURST: u32 = 16;

/// Between two of them from then on. The node's own rounds come every 200 ms at the most, and who is a neighbour is known a
/// moment later; others bear twenty questions a second.
const PAUSE: Duration = Duration::from_millis(50);

/// The time at which all that was asked would have been asked, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Pacing(Mutex<Option<Instant>>);

impl Pacing {
    /// How long the next question has to wait; it counts as asked.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let mut due = lock(&self.0);
        let next = due.map_or(now, |due| due.max(now)) + PAUSE;
        *due = Some(next);
        next.saturating_duration_since(now).saturating_sub(PAUSE * BURST)
    }

    /// Whether the next question may be asked now; if not, it does not count.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        let mut due = lock(&self.0);
        let next = due.map_or(now, |due| due.max(now)) + PAUSE;
        let may = next.saturating_duration_since(now) <= PAUSE * BURST;
        if may {
            *due = Some(next);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_asked_at_once_and_the_others_one_after_the_other() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        for _ in 0..BURST {
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
        assert_eq!((0..1000).filter(|_| pacing.may_ask(now)).count(), BURST as usize);
        assert_eq!((0..1000).filter(|_| pacing.may_ask(now + PAUSE * 3)).count(), 3);
        let much_later = now + PAUSE * 1000;
        assert_eq!(
            (0..1000).filter(|_| pacing.may_ask(much_later)).count(),
            BURST as usize,
            "no more is saved up"
        );
    }
}
