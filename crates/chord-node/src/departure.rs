//! Departure: a node that leaves hands over what others lack, says farewell, and only then closes its door.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chord_kv::{PageLimit, Range, Store, replication};
use chord_ring::{Command, CommandError, Failure, NodeName, Peer, Request, SUCCESSORS_LIMIT};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::age::now_ms;
use crate::askers::ASKERS_MAX;
use crate::links::lock;
use crate::shared::{Shared, Stage};

/// How much longer than its records may take a node waits for the word that they are with others.
const MARGIN: Duration = Duration::from_secs(2);

/// How long those who are not next to it are told that it has left, and how many of them at most: as many as it can know for
/// its neighbours, and as many as it knows to have its name. Who has not heard waits longer for it when its ring is started
/// again.
const FAREWELL_WAIT: Duration = Duration::from_secs(1);
const FAREWELLS_MAX: usize = SUCCESSORS_LIMIT as usize + ASKERS_MAX;

/// How long it is counted how many keys those records are that it had: some hundred thousand. The rest count as keys.
const COUNTING_WAIT: Duration = Duration::from_secs(1);

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(1024).expect("not zero"), bytes: 4 << 20 };

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Keys here that others have.
    pub handed_over: u64,
    /// Records here of which there may be too few copies elsewhere, or none: the node was alone, or time ran out. Without those
    /// that have expired, and where the ring ended, without those that only say that a key was deleted.
    pub left_behind: u64,
    /// Whether no other node of the ring stayed that this one knew: what it left behind ended with the ring, and nobody
    /// could have kept it.
    pub ended_ring: bool,
}

impl Shared {
    /// Leaves the ring, once: whoever asks again gets the same report. Goes on if the asker gives up waiting.
    pub(crate) async fn depart(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let leaving = self
            .runtimes
            .home()
            .spawn(async move { *shared.departure.get_or_init(|| shared.clone().leave()).await });
        leaving.await.unwrap_or_else(|error| {
            tracing::error!(event = "departure-broke", "the departure broke: {error}");
            Departure { left_behind: self.store.usage().records, ..Departure::default() }
        })
    }

    /// Leaves the ring and closes the door, also when the asker gives up waiting.
    pub(crate) async fn shut_down(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let ending = self.runtimes.home().spawn(async move {
            let departure = shared.depart().await;
            shared.advance(Stage::Closing);
            departure
        });
        ending.await.unwrap_or_default()
    }

    async fn leave(self: Arc<Self>) -> Departure {
        self.advance(Stage::Departing);
        let departure = self.hand_over().await;
        let left_behind = departure.left_behind;
        // Whoever has the only copies says no farewell: others are to wait for it when the ring starts again.
        if left_behind == 0 || self.disk.is_none() {
            self.say_farewell().await;
        }
        if left_behind == 0 {
            self.tell_others().await;
        }
        if left_behind > 0 && departure.ended_ring {
            tracing::info!(
                event = "left-alone",
                left_behind,
                "no other node of the ring stays, and these records end with it"
            );
        } else if left_behind > 0 {
            tracing::warn!(
                event = "left-incomplete",
                left_behind,
                "others may lack copies of records that this node had"
            );
        }
        departure
    }

    /// Tells its neighbours that it leaves.
    async fn say_farewell(self: &Arc<Self>) {
        let limit = self.limits.departure.max(self.limits.request);
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => {
                tracing::warn!(event = "left-without-farewell", "left without farewell: {error}");
            }
            Err(_) => tracing::warn!(
                event = "left-without-farewell",
                "left without farewell: the neighbours did not answer in time"
            ),
        }
    }

    /// Tells those who are not next to it, and whom it knows or who know of it, that it has left and lacks nothing: its
    /// neighbours know.
    async fn tell_others(self: &Arc<Self>) {
        let view = self.view();
        let successors = view.successors().as_slice().to_vec();
        let request = Request::Leave {
            from: self.me.clone(),
            predecessor: view.predecessor().cloned(),
            successors: successors.clone(),
        };
        let told = successors.first().into_iter().chain(view.predecessor());
        let mut told: BTreeSet<NodeName> =
            told.map(|peer| peer.name.clone()).chain([self.me.name.clone()]).collect();
        let mut others = self.acquaintances.borrow().clone();
        others.extend(lock(&self.askers).names().cloned());
        others.retain(|name| told.insert(name.clone()));
        let mut telling = JoinSet::new();
        for name in others.into_iter().take(FAREWELLS_MAX) {
            let (shared, request) = (self.clone(), request.clone());
            if !shared.links.to(&name).is_seed() {
                telling.spawn(async move { shared.asker().ask(&name, request, FAREWELL_WAIT).await });
            }
        }
        while telling.join_next().await.is_some() {}
    }

    /// Sees to it that others have what this node has.
    async fn hand_over(self: &Arc<Self>) -> Departure {
        if !self.view.load().is_member() {
            let left_behind = self.living().await.keys;
            return Departure { left_behind, ended_ring: true, ..Departure::default() };
        }
        let until = Instant::now() + self.limits.departure;
        let others = self.view().successors().as_slice().to_vec();
        let Some(departure) = self.records.leave(until + MARGIN).await else {
            return Departure { left_behind: self.store.usage().records, ..Departure::default() };
        };
        let replication::Departure { own_left, others_left, was_alone } = departure;
        let left = own_left + others_left;
        let seed = if left > 0 { self.seed_heir().await } else { None };
        let left = match &seed {
            Some(seed) => self.leave_to_seed(seed, until).await,
            None => left,
        };
        let nobody_stays = was_alone && left > 0 && seed.is_none();
        let ended_ring = nobody_stays && !self.is_any_silent(others).await;
        let Living { keys, deletions } = self.living().await;
        let left_behind = left.min(if ended_ring { keys } else { keys + deletions });
        Departure { handed_over: keys.saturating_sub(left_behind), left_behind, ended_ring }
    }

    /// What is living here.
    async fn living(&self) -> Living {
        let store = self.store.clone();
        let counting = tokio::task::spawn_blocking(move || Living::count(&*store));
        counting.await.unwrap_or_else(|_| Living { keys: self.store.usage().records, deletions: 0 })
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

/// Records that have not expired.
struct Living {
    keys: u64,
    deletions: u64,
}

impl Living {
    fn count(store: &dyn Store) -> Self {
        let until = Instant::now() + COUNTING_WAIT;
        let (now_ms, mut seen) = (now_ms(), 0);
        let (mut living, mut cursor) = (Self { keys: 0, deletions: 0 }, None);
        loop {
            let page = store.range(&Range::ALL, cursor.as_ref(), PAGE);
            for record in page.iter().flat_map(|page| &page.records) {
                seen += 1;
                let is_deletion = record.is_tombstone() && !record.is_expired(now_ms);
                living.deletions += u64::from(is_deletion);
                living.keys += u64::from(record.live_value(now_ms).is_some());
            }
            let is_broken = page.is_err();
            cursor = page.ok().and_then(|page| page.next);
            if is_broken || (cursor.is_some() && Instant::now() >= until) {
                living.keys += store.usage().records.saturating_sub(seen);
                return living;
            }
            if cursor.is_none() {
                return living;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_kv::{Key, Record, Value, Version};
    use chord_ring::RingSize;

    use super::*;
    use crate::{Limits, Node};

    #[tokio::test]
    async fn a_node_that_stops_counts_neither_what_has_expired_nor_what_was_deleted() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        for key in ["living", "deleted"] {
            node.put(key.as_bytes(), b"value").await.unwrap();
        }
        node.delete(b"deleted").await.unwrap();
        let record = Record {
            position: Key::new(b"expired").unwrap().position(RingSize::DEFAULT),
            key: Key::new(b"expired").unwrap(),
            value: Some(Value::new(b"value", 100).unwrap()),
            version: Version::new(1, 0, node.shared().me.position),
            expires_at_ms: Some(1),
        };
        node.shared().store.apply(vec![record]).unwrap();
        assert_eq!(node.shared().store.usage().records, 3);
        let departure = node.shutdown().await;
        assert_eq!((departure.handed_over, departure.left_behind, departure.ended_ring), (0, 1, true));
    }

    /// Two nodes of a ring that keep one copy of each key, on disks; and the second has left.
    async fn stays_and_leaves(limits: Limits) -> (Node, NodeName, Departure) {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let builder = Node::builder().listen("127.0.0.1:0").replicas(1).limits(limits);
        let stays = builder.clone().data(dirs[0].path()).start().await.unwrap();
        let leaver = builder.data(dirs[1].path()).join(stays.name().clone()).start().await.unwrap();
        leaver.ready().await.unwrap();
        let peer = leaver.shared().me.clone();
        let mut changes = stays.shared().view_changed.subscribe();
        changes.wait_for(|()| stays.view().successors().head() == Some(&peer)).await.unwrap();
        let mut n_its = 0;
        for number in 0.. {
            let stored = stays.put(format!("key {number}").as_bytes(), b"value").await.unwrap();
            n_its += usize::from(stored.owner == peer.name);
            if n_its == 3 {
                break;
            }
        }
        let departure = leaver.shutdown().await;
        changes.wait_for(|()| stays.view().successors().is_empty()).await.unwrap();
        (stays, peer.name, departure)
    }

    #[tokio::test]
    async fn one_that_leaves_with_the_only_copies_on_its_disk_is_remembered() {
        let limits = Limits { departure: Duration::ZERO, ..Limits::default() };
        let (stays, leaver, departure) = stays_and_leaves(limits).await;
        assert!(departure.left_behind > 0, "{departure:?}");
        assert!(stays.shared().acquaintances.borrow().contains(&leaver));
        stays.shutdown().await;
    }

    #[tokio::test]
    async fn one_that_has_handed_everything_over_is_forgotten() {
        let (stays, leaver, departure) = stays_and_leaves(Limits::default()).await;
        assert_eq!(departure.left_behind, 0);
        let mut known = stays.shared().acquaintances.subscribe();
        let is_forgotten = known.wait_for(|known| !known.contains(&leaver));
        tokio::time::timeout(Duration::from_secs(10), is_forgotten).await.expect("in time").unwrap();
        stays.shutdown().await;
    }

    async fn until(is_so: impl Fn() -> bool) {
        let waits = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waits).await.expect("in time");
    }

    #[tokio::test]
    async fn one_that_leaves_is_forgotten_by_those_who_know_it_and_whom_it_does_not_know() {
        let builder = Node::builder().listen("127.0.0.1:0").replicas(2).successors(1).wait_for_command();
        let mut nodes = Vec::new();
        for _ in 0..4 {
            nodes.push(builder.clone().start().await.unwrap());
        }
        let leaver = nodes.remove(0);
        let (name, at) = (leaver.name().clone(), leaver.shared().me.position);
        nodes.sort_by_key(|node| RingSize::DEFAULT.distance(at, node.shared().me.position));
        leaver.shared().command(Command::Create).await.unwrap();
        // The one that joins last, between the two others, is next to the leaver at no time.
        for (joins, next, last) in [(2, 2, 2), (0, 0, 2), (1, 0, 2)] {
            for command in [Command::Remember(name.clone()), Command::Join(name.clone())] {
                nodes[joins].shared().command(command).await.unwrap();
            }
            let is_next = |peer: Option<&Peer>, idx: usize| peer == Some(&nodes[idx].shared().me);
            let view = || leaver.view();
            until(|| is_next(view().successors().head(), next) && is_next(view().predecessor(), last)).await;
        }
        let knows = |node: &Node, name: &NodeName| node.shared().acquaintances.borrow().contains(name);
        let has_asked = |name: &NodeName| lock(&leaver.shared().askers).names().any(|asker| asker == name);
        until(|| nodes.iter().all(|node| knows(node, &name) && has_asked(node.name()))).await;
        assert!(!knows(&leaver, nodes[1].name()));
        assert_eq!(leaver.shutdown().await.left_behind, 0);
        until(|| !nodes.iter().any(|node| knows(node, &name))).await;
    }

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
