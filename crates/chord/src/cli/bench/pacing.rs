//! When the next request of a connection is due.
//!
//! In the closed loop it is due when the last ones are answered, so a server that stops stops who measures it too, and hides
//! the wait of all who would have come. In the open loop requests are due at a fixed rate, whatever becomes of those before,
//! and each counts from when it was due. Only what timers are too coarse for is left out: a request that nothing held up counts
//! from when it was sent, if that was hardly later.

use std::time::{Duration, Instant};

/// How much later than due a timer may have a request sent without its latency counting from then: tokio's go by whole
/// milliseconds, rounded up, and the machine has to notice. Beyond it whoever measures stood still, and a server on the same
/// machine may have done so too.
pub(super) const TIMER_LATE_MAX: Duration = Duration::from_millis(2);

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pacing {
    /// As fast as they are answered.
    Closed,
    /// So many a second, over all connections.
    Open { per_second: u32 },
}

/// One connection's part in it.
#[derive(Debug)]
pub(super) struct Pace {
    /// Requests under way, at most.
    depth: usize,
    /// Nothing is due from here on.
    until: Option<Instant>,
    beat: Beat,
}

#[derive(Debug)]
enum Beat {
    Closed {
        /// What is left of those that are sent together: the next are sent when all of these are answered.
        left: usize,
    },
    Open {
        due: Instant,
        pause: Duration,
        /// Since when there has been room for another.
        room_since: Instant,
    },
}

/// A request that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// From when its latency counts.
    pub(super) since: Instant,
    /// How late it is though none before it held it up.
    pub(super) late: Option<Duration>,
}

impl Pace {
    /// That of connection `number` of `n_connections`: one after the other is due, and then the first again.
    pub(super) fn new(
        pacing: Pacing,
        depth: u16,
        begin: Instant,
        until: Option<Instant>,
        number: u16,
        n_connections: u16,
    ) -> Self {
        let beat = match pacing {
            Pacing::Closed => Beat::Closed { left: 0 },
            Pacing::Open { per_second } => Beat::Open {
                due: begin + Duration::from_secs(number.into()) / per_second,
                pause: Duration::from_secs(n_connections.into()) / per_second,
                room_since: begin,
            },
        };
        Self { depth: depth.into(), until, beat }
    }

    /// The next request that is due, beside so many under way.
    pub(super) fn next(&mut self, now: Instant, n_under_way: usize) -> Option<Due> {
        if self.is_over(now) || n_under_way >= self.depth {
            return None;
        }
        match &mut self.beat {
            Beat::Closed { left } => {
                if n_under_way == 0 {
                    *left = self.depth;
                }
                *left = left.checked_sub(1)?;
                Some(Due { since: now, late: None })
            }
            Beat::Open { due, pause, room_since } => {
                let at = *due;
                if at > now {
                    return None;
                }
                *due += *pause;
                let was_held_up = at < *room_since;
                let late = (!was_held_up).then_some(now - at);
                Some(Due { since: counts_from(at, now, was_held_up), late })
            }
        }
    }

    /// Notes that there is room for another, which there was not.
    pub(super) fn has_room(&mut self, now: Instant) {
        if let Beat::Open { room_since, .. } = &mut self.beat {
            *room_since = now;
        }
    }

    /// How many may be under way.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// When the next request is due, if that is a matter of time.
    pub(super) fn wakes_at(&self, n_under_way: usize) -> Option<Instant> {
        match &self.beat {
            Beat::Open { due, .. } if n_under_way < self.depth => {
                Some(self.until.map_or(*due, |until| until.min(*due)))
            }
            Beat::Open { .. } | Beat::Closed { .. } => None,
        }
    }

    /// Whether no more will be due.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| match &self.beat {
            Beat::Closed { .. } => now >= until,
            Beat::Open { due, .. } => now >= until || *due >= until,
        })
    }

    /// When those were due that should have been sent before the end, and were not.
    pub(super) fn overdue(&mut self) -> Vec<Instant> {
        let mut overdue = Vec::new();
        if let (Beat::Open { due, pause, .. }, Some(until)) = (&mut self.beat, self.until) {
            while *due < until {
                overdue.push(*due);
                *due += *pause;
            }
        }
        overdue
    }
}

/// From when the latency of a request counts that was due and sent at these times.
pub(super) fn counts_from(due: Instant, sent: Instant, was_held_up: bool) -> Instant {
    let is_timers_fault = sent.saturating_duration_since(due) <= TIMER_LATE_MAX;
    if is_timers_fault && !was_held_up { sent } else { due }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace(pacing: Pacing, depth: u16, begin: Instant) -> Pace {
        Pace::new(pacing, depth, begin, Some(begin + 100 * MS), 0, 1)
    }

    #[test]
    fn the_closed_loop_sends_together_when_all_are_answered() {
        let begin = Instant::now();
        let mut pace = pace(Pacing::Closed, 3, begin);
        let due = Some(Due { since: begin, late: None });
        let sent: Vec<_> = (0..4).map(|n_under_way| pace.next(begin, n_under_way)).collect();
        assert_eq!(sent, [due, due, due, None]);
        assert_eq!(pace.next(begin + MS, 1), None, "one is still under way");
        assert_eq!(pace.next(begin + MS, 0).map(|due| due.since), Some(begin + MS));
        assert_eq!(pace.next(begin + 100 * MS, 0), None, "it is over");
        assert!(pace.is_over(begin + 100 * MS) && pace.overdue().is_empty());
    }

    #[test]
    fn the_open_loop_counts_from_when_a_request_was_due_that_had_no_room() {
        let begin = Instant::now();
        let mut pace = pace(Pacing::Open { per_second: 100 }, 1, begin);
        assert_eq!(pace.next(begin, 0), Some(Due { since: begin, late: Some(Duration::ZERO) }));
        assert_eq!(pace.next(begin + 5 * MS, 0), None, "the next is due after 10 ms");
        // The first is answered after 35 ms: those of 10, 20 and 30 ms were held up by it.
        assert_eq!(pace.next(begin + 34 * MS, 1), None);
        pace.has_room(begin + 35 * MS);
        for due in [10, 20, 30] {
            let next = pace.next(begin + 35 * MS, 0);
            assert_eq!(next, Some(Due { since: begin + due * MS, late: None }));
        }
        assert_eq!(pace.next(begin + 35 * MS, 0), None);
        assert_eq!(pace.wakes_at(0), Some(begin + 40 * MS));
    }

    #[test]
    fn a_timer_that_is_late_is_not_the_servers_fault() {
        let begin = Instant::now();
        let mut pace = pace(Pacing::Open { per_second: 100 }, 1, begin);
        pace.next(begin, 0);
        pace.has_room(begin + MS);
        let due = pace.next(begin + 12 * MS, 0);
        assert_eq!(due, Some(Due { since: begin + 12 * MS, late: Some(2 * MS) }));
    }

    #[test]
    fn a_request_that_who_measures_held_up_for_longer_counts_from_when_it_was_due() {
        let begin = Instant::now();
        let mut pace = pace(Pacing::Open { per_second: 100 }, 3, begin);
        pace.next(begin, 0);
        // There was room all the time, and nobody to use it.
        let dues: Vec<_> = (0..3).filter_map(|n_under_way| pace.next(begin + 23 * MS, n_under_way)).collect();
        let due = |at: u32, late: u32| Due { since: begin + at * MS, late: Some(late * MS) };
        assert_eq!(dues, [due(10, 13), due(20, 3)]);
    }

    #[test]
    fn connections_take_turns_and_keep_the_rate_together() {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(1);
        let mut dues = Vec::new();
        for number in 0..4 {
            let mut pace = Pace::new(Pacing::Open { per_second: 1000 }, 1, begin, Some(end), number, 4);
            dues.extend(pace.overdue());
        }
        dues.sort_unstable();
        let expected: Vec<_> = (0..1000).map(|number| begin + number * MS).collect();
        assert_eq!(dues, expected);
    }

    #[test]
    fn what_was_never_sent_is_told_at_the_end() {
        let begin = Instant::now();
        let mut pace = pace(Pacing::Open { per_second: 100 }, 1, begin);
        pace.next(begin, 0);
        let overdue = pace.overdue();
        assert_eq!(overdue.first(), Some(&(begin + 10 * MS)));
        assert_eq!(overdue.len(), 9);
        assert!(pace.is_over(begin + MS) && pace.overdue().is_empty());
    }
}
