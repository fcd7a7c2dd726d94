//! Departure: a node that leaves hands over what others lack, says farewell, and only then closes its door.

use std::sync::Arc;
use std::time::Duration;

use chord_kv::replication;
use chord_ring::{Command, CommandError, Failure, NodeName, Peer, Request, SUCCESSORS_LIMIT};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::owner::DataMail;
use crate::links::lock;
use crate::shared::{Shared, Stage};

/// How much longer than its records may take a node waits for the word that they are with others.
const MARGIN: Duration = Duration::from_secs(2);

/// How long those who are not next to it are told that it has left, and how many of them at most: as many as it can know for
/// its neighbours. Who has not heard waits longer for it when its ring is started again.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);
const FAREWELLS_MAX: usize = SUCCESSORS_LIMIT as usize;

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
        if left_behind == 0 {
            self.tell_others().await;
        }
        if left_behind > 0 && departure.ended_ring {
            tracing::info!(left_behind, "no other node of the ring stays, and these records end with it");
        } else if left_behind > 0 {
            tracing::warn!(left_behind, "others may lack copies of records that this node had");
        }
        departure
    }

    /// Tells those who are not next to it that it has left and lacks nothing: its neighbours know.
    async fn tell_others(self: &Arc<Self>) {
        let view = self.view();
        let successors = view.successors().as_slice().to_vec();
        let request = Request::Leave {
            from: self.me.clone(),
            predecessor: view.predecessor().cloned(),
            successors: successors.clone(),
        };
        let told = successors.first().into_iter().chain(view.predecessor());
        let told: Vec<&NodeName> = told.map(|peer| &peer.name).chain([&self.me.name]).collect();
        let known = self.acquaintances.borrow().clone();
        let mut telling = JoinSet::new();
        for name in known.into_iter().filter(|name| !told.contains(&name)).take(FAREWELLS_MAX) {
            let (shared, request) = (self.clone(), request.clone());
            if !shared.links.to(&name).is_seed() {
                telling.spawn(async move { shared.asker().ask(&name, request, FAREWELL_WAIT).await });
            }
        }
        while telling.join_next().await.is_some() {}
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
    /// it. Whoever said itself that it is no member has gone.
    async fn is_any_silent(self: &Arc<Self>, peers: Vec<Peer>) -> bool {
        let mut asking = JoinSet::new();
        let is_out = |peer: &Peer| lock(&self.departed).is_out(&peer.name);
        for peer in peers.into_iter().filter(|peer| !is_out(peer)) {
            let shared = self.clone();
            let limit = shared.limits.request;
            asking.spawn(async move { shared.asker().ask(&peer.name, Request::Ping, limit).await });
        }
        asking.join_all().await.contains(&Err(Failure::Silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[tokio::test]
    async fn a_peer_that_has_said_farewell_is_not_taken_for_one_that_is_silent_and_stays() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let leaver = Node::builder().listen("127.0.0.1:0").join(node.name().clone()).start().await.unwrap();
        leaver.ready().await.unwrap();
        let peer = leaver.shared().me.clone();
        let mut changes = node.shared().view_changed.subscribe();
        changes.wait_for(|()| node.view().successors().head() == Some(&peer)).await.unwrap();
        leaver.shutdown().await;
        // Who is asked there now gets no answer, as from a host that is gone.
        let _mute = tokio::net::TcpListener::bind(peer.name.as_str()).await.unwrap();
        assert!(!node.shared().is_any_silent(vec![peer.clone()]).await);
        lock(&node.shared().departed).is_back(&peer.name);
        assert!(node.shared().is_any_silent(vec![peer]).await, "one that has said nothing may be there");
        node.shutdown().await;
    }
}
