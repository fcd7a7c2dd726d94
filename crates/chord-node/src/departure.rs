//! Departure: a node that leaves hands its keys to its successor, says farewell, and only then closes its door.

use std::num::NonZeroUsize;
use std::sync::Arc;

use chord_kv::{Cursor, PageLimit, Range, Record};
use chord_ring::{Command, CommandError};
use tokio::task::JoinSet;

use crate::shared::{Shared, Stage};

/// How many records are under way to the successor at a time: enough to fill a round trip, few enough that both nodes
/// still serve.
const HANDED_AT_ONCE: usize = 32;

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(256).expect("not zero"), bytes: 4 << 20 };

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
        let mut taken = 0;
        let mut under_way: JoinSet<bool> = JoinSet::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            if self.view.load().successors().is_empty() {
                return taken;
            }
            let page = match self.store.range(&Range::ALL, cursor.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!("reading the records to hand over: {error}");
                    return taken;
                }
            };
            for record in page.records {
                if under_way.len() >= HANDED_AT_ONCE {
                    taken += u64::from(matches!(under_way.join_next().await, Some(Ok(true))));
                }
                let shared = self.clone();
                under_way.spawn(async move { shared.offer(&record).await });
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        while let Some(ended) = under_way.join_next().await {
            taken += u64::from(matches!(ended, Ok(true)));
        }
        taken
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
