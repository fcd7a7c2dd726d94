//! All seats of a door, and which of them to free for a newcomer.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use super::seat::{Seat, WORTH_MICROS, micros};

/// How many seats are looked at to free one. A look at one that was used since it was last looked at is paid for by that use:
/// it takes less than a microsecond, and a request many; against idle connections one look is enough. With so many seats in use
/// at once, the one idle for longest among those that were looked at longest ago is as good.
const LOOKS_MAX: usize = 4096;

/// How many on which a request is under way. These looks nobody has paid for, and the next newcomer looks at others; so many
/// take 10 µs, about as long as to accept a connection.
const BUSY_LOOKS_MAX: usize = 64;

/// The seats that are taken, by the ids of whoever sits there.
pub(super) struct Seats<Id> {
    /// When the seats' clocks began.
    epoch: Instant,
    taken: HashMap<Id, Taken>,
    /// By the time of each when it is free, as far as that was noted: it may have been used since, never before.
    order: BTreeSet<(u64, Id)>,
}

struct Taken {
    seat: Arc<Seat>,
    noted: u64,
}

impl<Id: Copy + Eq + Hash + Ord> Seats<Id> {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), taken: HashMap::new(), order: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// None is taken; times are those of these seats.
    pub(super) fn beside(&self) -> Self {
        Self { epoch: self.epoch, taken: HashMap::new(), order: BTreeSet::new() }
    }

    /// A seat that nobody has taken.
    pub(super) fn seat(&self) -> Arc<Seat> {
        Arc::new(Seat::new(self.epoch))
    }

    /// A seat for one who waits until another has gone.
    pub(super) fn wanted_seat(&self) -> Arc<Seat> {
        Arc::new(Seat::wanted(self.epoch))
    }

    pub(super) fn take(&mut self, id: Id, seat: Arc<Seat>) {
        let noted = seat.free_since().unwrap_or_else(|| micros(self.epoch));
        self.order.insert((noted, id));
        self.taken.insert(id, Taken { seat, noted });
    }

    pub(super) fn leave(&mut self, id: Id) -> Option<Arc<Seat>> {
        let taken = self.taken.remove(&id)?;
        self.order.remove(&(taken.noted, id));
        Some(taken.seat)
    }

    /// Takes the seat from the connection that is idle for longest, and asks it to go: which one that is, or none if a request
    /// is under way on each that was looked at.
    pub(super) fn make_room(&mut self) -> Option<Id> {
        let id = self.idle_for_longest()?;
        self.leave(id)?.ask_to_leave();
        Some(id)
    }

    fn idle_for_longest(&mut self) -> Option<Id> {
        // When one that is in use is free at the earliest, if it falls idle now.
        let free_from = micros(self.epoch).saturating_add(WORTH_MICROS);
        let (mut longest, mut n_busy) = (None, 0);
        for _ in 0..LOOKS_MAX {
            let first = self.order.first().copied();
            if longest.is_some() && longest <= first {
                break; // All others were noted later, so they were free later.
            }
            let (noted, id) = first?;
            self.order.remove(&(noted, id));
            let taken = self.taken.get_mut(&id)?;
            let since = taken.seat.free_since();
            taken.noted = since.unwrap_or(free_from);
            self.order.insert((taken.noted, id));
            longest = longest.into_iter().chain(since.map(|since| (since, id))).min();
            n_busy += usize::from(since.is_none());
            if n_busy >= BUSY_LOOKS_MAX {
                break;
            }
        }
        longest.map(|(_, id)| id)
    }

    /// Asks everyone to go.
    pub(super) fn close(&self) {
        for taken in self.taken.values() {
            taken.seat.ask_to_leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::seat::Turn;

    fn full(n_seats: usize) -> (Seats<usize>, Vec<Arc<Seat>>) {
        let mut seats = Seats::new();
        let all: Vec<Arc<Seat>> = (0..n_seats).map(|_| seats.seat()).collect();
        for (id, seat) in all.iter().enumerate() {
            seats.take(id, seat.clone());
        }
        (seats, all)
    }

    /// A request and its answer, later than anything before.
    fn use_once(seat: &Arc<Seat>) {
        let before = micros(seat.epoch());
        while micros(seat.epoch()) == before {
            std::hint::spin_loop();
        }
        drop(Turn::begin(seat));
        seat.sent();
    }

    #[test]
    fn the_one_idle_for_longest_is_found_in_any_order_of_use() {
        let (mut seats, all) = full(50);
        // Each is used again, some more often than others, the last time in an order of its own.
        for idx in (0..50).map(|step| step * 7 % 50).chain((0..50).map(|step| step * 3 % 50)) {
            use_once(&all[idx]);
        }
        for expected in (0..50).map(|step| step * 3 % 50) {
            assert_eq!(seats.idle_for_longest(), Some(expected));
            seats.leave(expected);
        }
        assert_eq!(seats.idle_for_longest(), None);
        assert!(seats.taken.is_empty() && seats.order.is_empty());
    }

    #[test]
    fn a_seat_in_use_is_never_taken_away() {
        let (mut seats, all) = full(BUSY_LOOKS_MAX * 2);
        let turns: Vec<Turn> = all.iter().map(Turn::begin).collect();
        assert_eq!(seats.make_room(), None);
        assert_eq!(seats.taken.len(), BUSY_LOOKS_MAX * 2);
        drop(turns);
        assert_eq!(seats.make_room(), None, "an answer that is not sent yet is under way");
        use_once(&all[BUSY_LOOKS_MAX]);
        let found = (0..3).find_map(|_| seats.make_room());
        assert_eq!(found, Some(BUSY_LOOKS_MAX), "after a few looks at all");
        assert!(!seats.taken.contains_key(&BUSY_LOOKS_MAX));
    }

    #[test]
    fn those_that_are_used_stay_however_many_and_however_old_while_another_idles_for_longer() {
        let (mut seats, all) = full(500);
        let (used, idle) = all.split_at(300);
        for number in 0..idle.len() {
            used.iter().for_each(use_once);
            assert_eq!(seats.idle_for_longest(), Some(used.len() + number));
            seats.leave(used.len() + number);
        }
        assert_eq!(seats.idle_for_longest(), Some(0), "when all others have gone");
    }

    #[test]
    fn one_that_was_used_a_moment_ago_stays_while_any_number_of_others_come_and_say_nothing() {
        let (mut seats, all) = full(1);
        use_once(&all[0]);
        for id in 1..10_000 {
            let seat = seats.seat();
            seats.take(id, seat);
            if id > 10 {
                assert_eq!(seats.idle_for_longest(), Some(id - 10));
                seats.leave(id - 10);
            }
        }
        assert!(seats.taken.contains_key(&0));
    }

    #[test]
    fn a_node_that_asks_little_stays_while_any_number_of_others_are_used() {
        let (mut seats, all) = full(200);
        all[0].is_of_node();
        for seat in &all {
            use_once(seat);
        }
        for id in 1..200 {
            assert_eq!(seats.idle_for_longest(), Some(id));
            seats.leave(id);
        }
        assert_eq!(seats.idle_for_longest(), Some(0), "when all others have gone");
    }

    #[test]
    fn more_seats_than_the_limit_are_looked_at_by_one_newcomer_after_the_other() {
        let (mut seats, all) = full(LOOKS_MAX + 1);
        for seat in &all {
            use_once(seat);
        }
        // Those that were noted first were all used since: the choice is among them.
        assert_eq!(seats.idle_for_longest(), Some(0));
        let _turn = Turn::begin(&all[0]);
        assert_eq!(seats.idle_for_longest(), Some(1));
        let busy: Vec<Turn> = all[1..].iter().map(Turn::begin).collect();
        let looked_at = |seats: &Seats<usize>, since: u64| {
            seats.order.iter().filter(|(noted, _)| *noted >= since + WORTH_MICROS).count()
        };
        let now = micros(all[0].epoch());
        assert_eq!(seats.idle_for_longest(), None);
        assert_eq!(looked_at(&seats, now), BUSY_LOOKS_MAX);
        drop(busy);
    }
}
