//! A seat: what the door knows of one connection, to tell whether it is in use and since when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A request is under way.
const BUSY: u64 = u64::MAX;

/// The answer has been made, and part of it is still to be sent.
const SENDING: u64 = u64::MAX - 1;

/// For so many microseconds a connection on which something was asked counts as in use, beside one on which nothing ever was: twice as long as
/// nodes at rest let pass between two questions. So whoever opens connections and says nothing on them, however many and however
/// fast, has them closed before those that others use.
pub(super) const WORTH_MICROS: u64 = 2_000_000;

/// The same for a connection of another node, on which too little may be asked for a while: so no crowd of strangers that is
/// younger has it closed.
const NODE_WORTH_MICROS: u64 = 60_000_000;

/// The time on the clock of the seats that began then.
pub(super) fn micros(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_micros()).unwrap_or(SENDING - 1).min(SENDING - 1)
}

/// One connection: written by the task that serves it, read by the door.
///
/// All orderings are relaxed: only the task itself must know exactly, and it sees its own writes in order.
pub(super) struct Seat {
    /// When the clocks of all seats of a door began.
    epoch: Instant,
    /// Microseconds from then until the connection fell idle, or one of the marks above.
    idle_since: AtomicU64,
    /// The answer under way has no end of its own.
    goes_on: AtomicBool,
    /// Something was asked.
    is_used: AtomicBool,
    /// The other end is a node.
    is_node: AtomicBool,
    /// Part of a request has come in, after everything before it was answered.
    hears: AtomicBool,
    /// Tells one who waits for it that the connection has fallen idle.
    idle: Notify,
    leave: Notify,
}

impl Seat {
    /// A connection that has just come in.
    pub(super) fn new(epoch: Instant) -> Self {
        let seat = Self::wanted(epoch);
        seat.sent();
        seat
    }

    /// A connection that waits for a place, which it marks by [`Seat::sent`]. Until then it is not idle: to send it away
    /// would free nothing.
    pub(super) fn wanted(epoch: Instant) -> Self {
        Self {
            epoch,
            idle_since: AtomicU64::new(SENDING),
            goes_on: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
            is_node: AtomicBool::new(false),
            hears: AtomicBool::new(false),
            idle: Notify::new(),
            leave: Notify::new(),
        }
    }

    /// Everything that the connection has to say has been sent.
    pub(super) fn sent(&self) {
        if self.idle_since.load(Ordering::Relaxed) == SENDING {
            self.idle_since.store(micros(self.epoch), Ordering::Relaxed);
            self.idle.notify_one();
        }
    }

    /// Whether no request is under way: none has come in whole whose answer is not sent. Part of one counts for
    /// nothing, or whoever sends half a request would be better off than whoever sends none.
    pub(super) fn is_idle(&self) -> bool {
        self.idle_since().is_some()
    }

    /// Since when it is idle, on the clock of its door.
    pub(super) fn idle_since(&self) -> Option<u64> {
        Some(self.idle_since.load(Ordering::Relaxed)).filter(|since| *since < SENDING)
    }

    /// The same, and later by [`WORTH_MICROS`] if something was asked, or more if by a node: those with the earliest time make
    /// room first.
    pub(super) fn free_since(&self) -> Option<u64> {
        let worth = match (self.is_node.load(Ordering::Relaxed), self.is_used.load(Ordering::Relaxed)) {
            (true, _) => NODE_WORTH_MICROS,
            (false, true) => WORTH_MICROS,
            (false, false) => 0,
        };
        self.idle_since().map(|since| since.saturating_add(worth))
    }

    /// The other end is a node.
    pub(super) fn is_of_node(&self) {
        self.is_node.store(true, Ordering::Relaxed);
    }

    /// Whether the answer under way has no end of its own: then there is no time in which all of it must be read.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on.load(Ordering::Relaxed)
    }

    /// For how long it is idle.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.idle_since().map(|since| Duration::from_micros(micros(self.epoch).saturating_sub(since)))
    }

    /// Part of a request has come in.
    pub(super) fn hear(&self) {
        self.hears.store(true, Ordering::Relaxed);
    }

    /// All that came in was answered.
    pub(super) fn hear_nothing(&self) {
        self.hears.store(false, Ordering::Relaxed);
    }

    /// Whether part of a request has come in, after everything before it was answered.
    pub(super) fn hears(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Asks the connection to end: at once if it is idle, after its answer if not.
    pub(super) fn ask_to_leave(&self) {
        self.leave.notify_one();
    }

    /// Ends when the connection has fallen idle, perhaps a while ago. Of two who wait one is told.
    pub(super) async fn falls_idle(&self) {
        self.idle.notified().await;
    }

    /// Ends when the connection is asked to end.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

/// A request and its answer, from the head that came in to the last byte that waits to be sent.
pub(super) struct Turn {
    seat: Arc<Seat>,
}

impl Turn {
    /// A request's head has come in.
    pub(super) fn begin(seat: &Arc<Seat>) -> Self {
        seat.idle_since.store(BUSY, Ordering::Relaxed);
        seat.goes_on.store(false, Ordering::Relaxed);
        seat.is_used.store(true, Ordering::Relaxed);
        Self { seat: seat.clone() }
    }

    /// Its answer has no end of its own.
    pub(super) fn goes_on(&self) {
        self.seat.goes_on.store(true, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.seat.idle_since.store(SENDING, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_from_the_last_byte_of_an_answer_to_the_next_request() {
        let seat = Arc::new(Seat::new(Instant::now()));
        let at_first = seat.idle_since().unwrap();
        let turn = Turn::begin(&seat);
        seat.sent(); // "100 Continue", as it may be
        assert!(!seat.is_idle());
        drop(turn);
        assert!(!seat.is_idle());
        seat.sent();
        let afterwards = seat.idle_since().unwrap();
        assert!(afterwards >= at_first);
        seat.sent();
        assert_eq!(seat.idle_since(), Some(afterwards), "sending nothing is no activity");
    }
}
