//! Departure: a node that leaves hands over what others lack, says farewell, and only then closes its door.

use std::sync::Arc;
use std::time::Duration;

use chord_kv::replication;
use chord_ring::{Command, CommandError, Failure, Peer, Request};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::owner::DataMail;
use crate::shared::{Shared, Stage};

/// How much longer than its records may take a node waits for the word that they are with others.
const MARGIN: Duration = Duration::from_secs(2);

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Records here that others have.
    pub handed_over: u64,
    /// Records here of which there may be too few copies elsewhere, or none: the node was alone, or time ran out.
    pub left_behind: u64,
    /// Whether no other node of the ring stayed that this one knew: what it left behind ended with the ring, and nobody
    /// could have kept it.
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
        let departure = self.hand_over().await;
        let limit = self.limits.departure.max(self.limits.request);
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => tracing::warn!("left without farewell: {error}"),
            Err(_) => tracing::warn!("left without farewell: the neighbours did not answer in time"),
        }
        let left_behind = departure.left_behind;
        if left_behind > 0 && departure.ended_ring {
            tracing::info!(left_behind, "no other node of the ring stays, and these records end with it");
        } else if left_behind > 0 {
            tracing::warn!(left_behind, "others may lack copies of records that this node had");
        }
        departure
    }

    /// Sees to it that others have what this node has.
    async fn hand_over(self: &Arc<Self>) -> Departure {
        let held = self.store.usage().records;
        if !self.view.load().is_member() {
            return Departure { left_behind: held, ended_ring: true, ..Departure::default() };
        }
        let until = Instant::now() + self.limits.departure;
        let others = self.view().successors().as_slice().to_vec();
        let Some(departure) = self.ask_owner_task(until + MARGIN, DataMail::Leave).await else {
            return Departure { left_behind: held, ..Departure::default() };
        };
        let replication::Departure { own_left, others_left, was_alone } = departure;
        let left = own_left + others_left;
        let seed = if left > 0 { self.seed_heir().await } else { None };
        let left = match &seed {
            Some(seed) => self.leave_to_seed(seed, until).await,
            None => left,
        };
        let held = self.store.usage().records;
        let nobody_stays = was_alone && left > 0 && seed.is_none();
        Departure {
            handed_over: held.saturating_sub(left),
            left_behind: left.min(held),
            ended_ring: nobody_stays && !self.is_any_silent(others).await,
        }
    }

    /// Whether one of those is there and does not answer, as one that is stopped: it may stay, though the ring has dropped
    /// it.
    async fn is_any_silent(self: &Arc<Self>, peers: Vec<Peer>) -> bool {
        let mut asking = JoinSet::new();
        for peer in peers {
            let shared = self.clone();
            let limit = shared.limits.request;
            asking.spawn(async move { shared.asker().ask(&peer.name, Request::Ping, limit).await });
        }
        asking.join_all().await.contains(&Err(Failure::Silent))
    }
}
