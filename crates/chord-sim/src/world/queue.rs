//! What will happen, in order of time; what was scheduled first comes first at one instant.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Time;

/// A wheel of short spans of time, and a heap for the span that has come: most of what is scheduled is a deadline that
/// will be kept, and a heap of all of them would be the slowest part of a large world.
///
/// The events stay where they are, since they may be large; their entries move.
#[derive(Clone, Debug)]
pub(crate) struct Queue<E> {
    /// What comes in the present span or was scheduled for an earlier time. Never empty while anything waits.
    present: BinaryHeap<Entry>,
    /// The spans after it, each unsorted.
    wheel: Vec<Vec<Entry>>,
    /// How many entries are on the wheel.
    n_on_wheel: usize,
    /// What comes later than the wheel reaches.
    later: BinaryHeap<Entry>,
    /// Which span is the present one.
    span: u64,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    scheduled: u64,
}

/// A span is 2^10 microseconds: in a world of 10,000 hosts some thousand things happen in it.
const SPAN_BITS: u32 = 10;

/// How far the wheel reaches, in spans: 8.4 seconds, longer than any deadline.
const WHEEL: u64 = 1 << 13;

/// Where an event is, and its turn. The earliest is the greatest, since a heap hands out the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Time,
    /// How many were scheduled before.
    number: u64,
    slot: u32,
}

// Written out: the order of a tuple is a call, and a heap compares more than anything else here.
impl Ord for Entry {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at).then_with(|| other.number.cmp(&self.number))
    }
}

impl PartialOrd for Entry {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn le(&self, other: &Self) -> bool {
        other.at < self.at || (other.at == self.at && other.number <= self.number)
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            present: BinaryHeap::new(),
            wheel: vec![Vec::new(); usize::try_from(WHEEL).unwrap_or(1)],
            n_on_wheel: 0,
            later: BinaryHeap::new(),
            span: 0,
            slots: Vec::new(),
            free: Vec::new(),
            scheduled: 0,
        }
    }
}

impl<E> Queue<E> {
    /// Schedules an event.
    ///
    /// # Panics
    /// Four billion events wait already.
    pub(crate) fn push(&mut self, at: Time, event: E) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 events wait")
        });
        self.slots[slot as usize] = Some(event);
        self.place(Entry { at, number: self.scheduled, slot });
        self.scheduled += 1;
        self.advance();
    }

    fn place(&mut self, entry: Entry) {
        let span = entry.at.span(SPAN_BITS);
        if span <= self.span {
            self.present.push(entry);
        } else if span < self.span + WHEEL {
            self.wheel[wheel_place(span)].push(entry);
            self.n_on_wheel += 1;
        } else {
            self.later.push(entry);
        }
    }

    /// Moves on to the next span in which anything happens, unless the present one is not over.
    fn advance(&mut self) {
        while self.present.is_empty() {
            if self.n_on_wheel > 0 {
                self.span += 1;
            } else if let Some(next) = self.later.peek() {
                self.span = next.at.span(SPAN_BITS);
            } else {
                return;
            }
            while self.later.peek().is_some_and(|entry| entry.at.span(SPAN_BITS) < self.span + WHEEL) {
                let entry = self.later.pop().expect("it was just looked at");
                self.place(entry);
            }
            let due = &mut self.wheel[wheel_place(self.span)];
            self.n_on_wheel -= due.len();
            self.present.extend(due.drain(..));
        }
    }

    /// When the next event comes.
    pub(crate) fn next_at(&self) -> Option<Time> {
        self.present.peek().map(|entry| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Entry { at, slot, .. } = self.present.pop()?;
        self.advance();
        self.free.push(slot);
        let event = self.slots[slot as usize].take().expect("a scheduled event is in its slot");
        Some((at, event))
    }

    /// All that wait, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.slots.iter().flatten()
    }
}

/// Where on the wheel a span is.
fn wheel_place(span: u64) -> usize {
    usize::try_from(span % WHEEL).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn events_come_by_time_and_then_in_the_order_in_which_they_were_scheduled(
            steps in proptest::collection::vec(
                prop_oneof![(0..40_u64, 0..2_000_000_u64).prop_map(|(scale, at)| Some(at << (scale / 8))), Just(None)],
                0..300,
            ),
        ) {
            let mut queue = Queue::default();
            let mut waiting = Vec::new();
            let mut now = 0;
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(pause) = step {
                    queue.push(Time::ZERO.after(std::time::Duration::from_micros(now + pause)), number);
                    waiting.push((now + pause, number));
                } else {
                    waiting.sort_unstable();
                    let expected = (!waiting.is_empty()).then(|| waiting.remove(0));
                    let next = queue.next_at();
                    let popped = queue.pop();
                    prop_assert_eq!(next, popped.map(|(at, _)| at));
                    prop_assert_eq!(popped.map(|(_, number)| number), expected.map(|(_, number)| number));
                    now = expected.map_or(now, |(at, _)| at);
                }
            }
            prop_assert_eq!(queue.iter().count(), waiting.len());
        }
    }
}
