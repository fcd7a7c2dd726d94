//! Departure: a node that leaves hands its keys to its successor, says farewell, and only then closes its door.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::{Range, Record};
use chord_ring::{Command, CommandError};
use tokio::time::Instant;

use crate::handover::Offered;
use crate::links::lock;
use crate::shared::{Shared, Stage};

/// Pause before a record is offered again that was not taken: the successor is busy, or changes.
const OFFER_PAUSE: Duration = Duration::from_millis(100);

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Records that the successor acknowledged.
    pub handed_over: u64,
    /// Records that nobody took: the node was alone, or time ran out.
    pub left_behind: u64,
    /// Whether the node was the last of its ring from the beginning of its departure to the end: what it left behind
    /// ended with the ring, and nobody could have taken it.
    pub ended_ring: bool,
}

impl Shared {
    /// Leaves the ring, once: whoever asks again gets the same report. Goes on if the asker gives up waiting.
    pub(crate) async fn depart(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let leaving =
            tokio::spawn(async move { *shared.departure.get_or_init(|| shared.clone().leave()).await });
        leaving.await.unwrap_or_else(|error| {
            tracing::error!("the departure broke: {error}");
            Departure { left_behind: self.store.usage().records, ..Departure::default() }
        })
    }

    /// Leaves the ring and closes the door, also when the asker gives up waiting.
    pub(crate) async fn shut_down(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let ending = tokio::spawn(async move {
            let departure = shared.depart().await;
            shared.advance(Stage::Closing);
            departure
        });
        ending.await.unwrap_or_default()
    }

    async fn leave(self: Arc<Self>) -> Departure {
        self.advance(Stage::Departing);
        let limit = self.limits.departure;
        let was_alone = self.view.load().is_alone();
        let Offered { taken: handed_over, refused: left_behind } = self.hand_over_all(limit).await;
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => tracing::warn!("left without farewell: {error}"),
            Err(_) => tracing::warn!("left without farewell: the neighbours did not answer in time"),
        }
        let ended_ring = was_alone && handed_over == 0 && self.view.load().is_alone();
        if left_behind > 0 && ended_ring {
            tracing::info!(left_behind, "the last node of its ring ends, and its records with it");
        } else if left_behind > 0 {
            tracing::warn!(left_behind, "records were not handed over and are lost with this node");
        }
        Departure { handed_over, left_behind, ended_ring }
    }

    /// Offers every record to the successor, until none has been taken for as long as `limit`.
    async fn hand_over_all(self: &Arc<Self>, limit: Duration) -> Offered {
        let last_taken = Arc::new(Mutex::new(Instant::now()));
        let offer = |shared: Arc<Self>, record: Record| {
            let last_taken = last_taken.clone();
            async move { shared.offer(&record, &last_taken, limit).await }
        };
        self.offer_all(&Range::ALL, u64::MAX, offer).await.unwrap_or_else(|error| {
            tracing::error!("reading the records to hand over: {error}");
            Offered { taken: 0, refused: self.store.usage().records }
        })
    }

    async fn offer(&self, record: &Record, last_taken: &Mutex<Instant>, limit: Duration) -> bool {
        loop {
            let wait = limit.saturating_sub(lock(last_taken).elapsed());
            let Some(heir) = self.view.load().successors().head().cloned().filter(|_| !wait.is_zero()) else {
                return false;
            };
            match tokio::time::timeout(wait, self.hand_over(&heir.name, record)).await {
                Ok(Ok(())) => {
                    *lock(last_taken) = Instant::now();
                    return true;
                }
                Ok(Err(failure)) => {
                    tracing::debug!(peer = %heir.name, "a record was not taken: {failure}");
                }
                Err(_) => return false,
            }
            tokio::time::sleep(OFFER_PAUSE).await;
        }
    }
}
