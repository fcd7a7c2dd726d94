//! Age: how long this node has existed, for others as well as for itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chord_kv::replication::Now;

/// How long the node has existed.
///
/// The clock that never goes back stands still while a machine is suspended, and the clock on the wall may be set: the
/// one that went further since the last look counts. To be told of a pause that was none costs one question.
#[derive(Debug)]
pub(crate) struct Age {
    lived: Duration,
    looked: Instant,
    looked_on_wall: SystemTime,
}

impl Age {
    pub(crate) fn zero() -> Self {
        Self { lived: Duration::ZERO, looked: Instant::now(), looked_on_wall: SystemTime::now() }
    }

    /// The age now, and the time on the wall.
    pub(crate) fn now(&mut self) -> Now {
        let on_wall = SystemTime::now();
        Now { elapsed: self.at(Instant::now(), on_wall), wall_ms: ms_since_1970(on_wall) }
    }

    /// The age at a moment to come, by what the last look has shown.
    pub(crate) fn when(&self, moment: Instant) -> Duration {
        self.lived.saturating_add(moment.saturating_duration_since(self.looked))
    }

    /// As if the machine had been suspended for so long since the last look.
    #[cfg(test)]
    pub(crate) fn suspend(&mut self, time: Duration) {
        self.looked_on_wall -= time;
    }

    /// The age at that moment, of which both clocks tell.
    fn at(&mut self, now: Instant, now_on_wall: SystemTime) -> Duration {
        let ran = now.saturating_duration_since(self.looked);
        let passed = now_on_wall.duration_since(self.looked_on_wall).unwrap_or_default();
        self.lived = self.lived.saturating_add(ran.max(passed));
        (self.looked, self.looked_on_wall) = (now.max(self.looked), now_on_wall);
        self.lived
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    ms_since_1970(SystemTime::now())
}

fn ms_since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_node_ages_by_the_clock_that_went_further() {
        let mut age = Age::zero();
        let (start, wall) = (age.looked, age.looked_on_wall);
        assert_eq!(age.at(start + SECOND, wall + SECOND), SECOND);
        assert_eq!(age.at(start + 2 * SECOND, wall + 9 * SECOND), 9 * SECOND, "the machine was suspended");
        assert_eq!(age.at(start + 3 * SECOND, wall), 10 * SECOND, "the wall's clock was set back");
        assert_eq!(age.at(start + 4 * SECOND, wall + SECOND), 11 * SECOND);
    }
}
