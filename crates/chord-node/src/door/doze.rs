//! Dozing: a connection that nobody uses gives its buffers back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::seat::Seat;

/// How long a connection is idle before it dozes: whoever asks more often than this pays nothing for it, and whoever asks
/// less often does not notice what it costs to take buffers anew.
const DOZE_AFTER: Duration = Duration::from_millis(50);

/// Tells when a connection may doze. It looks once in so long, not after each request.
pub(super) struct Doze {
    seat: Arc<Seat>,
    look: Pin<Box<Sleep>>,
}

impl Doze {
    pub(super) fn new(seat: &Arc<Seat>) -> Self {
        Self { seat: seat.clone(), look: Box::pin(tokio::time::sleep(DOZE_AFTER)) }
    }

    /// Ends when nothing was asked for so long, and then no earlier than after as long again. May be dropped at any point.
    pub(super) async fn due(&mut self) {
        loop {
            self.look.as_mut().await;
            // What has come of a request lies in the buffers.
            let idle = self.seat.idle_for().filter(|_| !self.seat.hears()).unwrap_or_default();
            let left = DOZE_AFTER.saturating_sub(idle);
            let pause = if left.is_zero() { DOZE_AFTER } else { left };
            self.look.as_mut().reset(Instant::now() + pause);
            if left.is_zero() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant as StdInstant;

    use super::*;
    use crate::door::seat::Turn;

    #[tokio::test]
    async fn a_connection_dozes_when_nothing_was_asked_for_a_while() {
        let seat = Arc::new(Seat::new(StdInstant::now()));
        let mut doze = Doze::new(&seat);
        let turn = Turn::begin(&seat);
        let soon = 3 * DOZE_AFTER;
        assert!(tokio::time::timeout(soon, doze.due()).await.is_err(), "a request is under way");
        drop(turn);
        seat.sent();
        seat.hear();
        assert!(tokio::time::timeout(soon, doze.due()).await.is_err(), "half a request has come");
        seat.hear_nothing();
        tokio::time::timeout(soon, doze.due()).await.unwrap();
    }
}
