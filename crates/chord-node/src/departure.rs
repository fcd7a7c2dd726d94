//! Departure: a node that leaves hands its keys to its successor, says farewell, and only then closes its door.

use std::sync::Arc;

use chord_kv::{Range, Record};
use chord_ring::{Command, CommandError};

use crate::shared::{Shared, Stage};

/// How often one record is offered: the successor may change, and the next one takes it.
const OFFERS_MAX: usize = 3;

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Records that the successor acknowledged.
    pub handed_over: u64,
    /// Records that nobody took: the node was alone, or time ran out.
    pub left_behind: u64,
}

impl Shared {
    /// Leaves the ring, once: whoever asks again gets the same report. Goes on if the asker gives up waiting.
    pub(crate) async fn depart(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let leaving =
            tokio::spawn(async move { *shared.departure.get_or_init(|| shared.clone().leave()).await });
        leaving.await.unwrap_or_default()
    }

    async fn leave(self: Arc<Self>) -> Departure {
        self.advance(Stage::Departing);
        let limit = self.limits.departure;
        let handed_over = tokio::time::timeout(limit, self.clone().hand_over_all()).await.unwrap_or_default();
        let left_behind = self.store.usage().records.saturating_sub(handed_over);
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => tracing::warn!("left without farewell: {error}"),
            Err(_) => tracing::warn!("left without farewell: the neighbours did not answer in time"),
        }
        if left_behind > 0 {
            tracing::warn!(left_behind, "records were not handed over and are lost with this node");
        }
        Departure { handed_over, left_behind }
    }

    /// Offers every record to the successor; returns how many were taken.
    async fn hand_over_all(self: Arc<Self>) -> u64 {
        let offered =
            self.offer_all(&Range::ALL, |shared, record| async move { shared.offer(&record).await }).await;
        match offered {
            Ok(offered) => offered.taken,
            Err(error) => {
                tracing::error!("reading the records to hand over: {error}");
                0
            }
        }
    }

    async fn offer(&self, record: &Record) -> bool {
        for _ in 0..OFFERS_MAX {
            let Some(heir) = self.view.load().successors().head().cloned() else { return false };
            match self.hand_over(&heir.name, record).await {
                Ok(()) => return true,
                Err(failure) => tracing::debug!(peer = %heir.name, "a record was not taken: {failure}"),
            }
        }
        false
    }
}
