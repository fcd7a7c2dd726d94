//! Hand-over: records that move from one node to another when a node joins or leaves.
//!
//! A record is copied, the copy is acknowledged, and only then may the first node forget it. Versions make copies that
//! come late or twice harmless.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chord_kv::{Cursor, Key, PageLimit, Range, Record, StoreError, Value};
use chord_ring::{Answer, Failure, NodeName, Peer, Position, Refusal, Request, between};
use chord_wire::{Command, Context, KnownPredecessor, seed};
use tokio::task::{JoinError, JoinSet};

use crate::OperationError;
use crate::links::lock;
use crate::operation::{Ticket, text};
use crate::shared::{Shared, Stage};

/// How many records are under way at a time: enough to fill a round trip, few enough that both nodes still serve.
const HANDED_AT_ONCE: usize = 32;

/// How many nodes are asked for one key: those that joined between this node and its former owner at about the same time.
const HOLDERS_MAX: usize = 16;

/// After how many refusals a sweep leaves the rest for another time: the owners are not ready.
const REFUSED_MAX: u64 = 64;

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(256).expect("not zero"), bytes: 4 << 20 };

/// Pause between two looks for records that this node does not own: when there were some, and when there were none.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// What became of the records that were offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) taken: u64,
    pub(crate) refused: u64,
}

impl Shared {
    /// Gives one record to a peer, which stores it whoever owns it.
    pub(crate) async fn hand_over(&self, to: &NodeName, record: &Record) -> Result<(), Failure> {
        let key = text(record.key.as_bytes());
        let value = record.value.as_ref().and_then(|value| text(value.as_bytes()));
        let (Some(key), Some(value)) = (key, value) else { return Err(Failure::Garbled) };
        let request = seed::Request::Put { key, value, no_redirect: true };
        let context = Context {
            version: Some(record.version),
            expires_at_ms: record.expires_at_ms,
            ..self.asker().of_ring()
        };
        let body = Bytes::from(seed::encode_request(&request));
        // Patience: a busy heir is better than a lost record.
        let budget = self.limits.request;
        let exchange = self.links.to(to).call_onward(Command::Put, &context, body, budget).await?;
        self.asker().understand(to, Command::Put, &exchange).map(|_| ())
    }

    /// Gives every record in `range` to `offer`, several at a time, until `refused_max` were refused.
    pub(crate) async fn offer_all<Offer, Taken>(
        self: &Arc<Self>,
        range: &Range,
        refused_max: u64,
        offer: Offer,
    ) -> Result<Offered, StoreError>
    where
        Offer: Fn(Arc<Self>, Record) -> Taken,
        Taken: Future<Output = bool> + Send + 'static,
    {
        let mut offered = Offered::default();
        let mut under_way: JoinSet<bool> = JoinSet::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = self.store.range(range, cursor.as_ref(), PAGE)?;
            for record in page.records {
                if offered.refused >= refused_max {
                    return Ok(offered); // Those under way are let go: they stay where they are, and are offered again.
                }
                if under_way.len() >= HANDED_AT_ONCE
                    && let Some(ended) = under_way.join_next().await
                {
                    offered.count(&ended);
                }
                under_way.spawn(offer(self.clone(), record));
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        while let Some(ended) = under_way.join_next().await {
            offered.count(&ended);
        }
        Ok(offered)
    }

    /// While the keys are being handed over, a write made here goes to the successor before it is acknowledged.
    pub(crate) async fn copy_if_departing(&self, record: &Record) -> Result<(), OperationError> {
        if self.stage() == Stage::Running {
            return Ok(());
        }
        let Some(heir) = self.view.load().successors().head().cloned() else { return Ok(()) };
        self.hand_over(&heir.name, record).await.map_err(|failure| {
            tracing::warn!(peer = %heir.name, "a write during the departure was not copied: {failure}");
            OperationError::Stopping
        })
    }

    /// Sees to it that what former owners of this node's range have under a key is here. Returns whether that is so: not
    /// while one of them is there and does not answer.
    pub(crate) async fn pull_if_new(&self, position: Position, key: &Key) -> bool {
        let Some(former) = lock(&self.former_owner).clone() else { return true };
        let has_it = || self.store.read(position, key).is_ok_and(|record| record.is_some());
        if has_it() {
            return true;
        }
        let head = self.view.load().successors().head().map(|peer| peer.name.clone());
        let mut to_ask: Vec<NodeName> = head.into_iter().chain([former]).collect();
        let mut asked = Vec::new();
        let mut all_settled = true;
        // The former owner first, then back along the ring: a record that has left one of them is with the next.
        while let Some(holder) = to_ask.pop() {
            if asked.contains(&holder) {
                continue;
            }
            if asked.len() >= HOLDERS_MAX {
                return has_it();
            }
            match self.pull(&holder, position, key, Vec::new()).await {
                Ok(Pulled { record: Some(record), .. }) => return self.accept(record).is_ok(),
                Ok(Pulled { record: None, is_settled, before }) => {
                    all_settled &= is_settled;
                    to_ask.extend(before.filter(|before| self.lies_after_me(before, &holder)));
                }
                Err(failure) => {
                    tracing::debug!(peer = %holder, "asking for what this node may lack: {failure}");
                    // Once the ring has dropped a peer, what it had is gone with it.
                    let is_gone = failure == Failure::Unreachable
                        || !self.view.load().successors().as_slice().iter().any(|peer| peer.name == holder);
                    if !is_gone {
                        return has_it();
                    }
                }
            }
            asked.push(holder);
        }
        if all_settled {
            *lock(&self.former_owner) = None;
        }
        true
    }

    /// Whether `name` is a node between this one and `holder`.
    fn lies_after_me(&self, name: &NodeName, holder: &NodeName) -> bool {
        let position_of = |name: &NodeName| Peer::of_name(name.clone(), self.ring.size).position;
        between(self.me.position, position_of(name), position_of(holder))
    }

    /// Asks one node for what it has itself; `path` are those that have asked so before this one.
    async fn pull(
        &self,
        from: &NodeName,
        position: Position,
        key: &Key,
        mut path: Vec<NodeName>,
    ) -> Result<Pulled, Failure> {
        let link = self.links.to(from);
        // A seed node would not answer from its own store but ask this node again.
        let Some(text) = text(key.as_bytes()).filter(|_| !link.is_seed()) else {
            return Ok(Pulled { record: None, is_settled: true, before: None });
        };
        let body = Bytes::from(seed::encode_request(&seed::Request::Get { key: text }));
        path.push(self.me.name.clone());
        let context = Context { local: true, path, ..self.asker().of_ring() };
        let exchange = link.call(Command::Get, &context, body).await?;
        let context = exchange.context()?;
        let seed::Answer::Get { value, .. } = self.asker().understand(from, Command::Get, &exchange)? else {
            return Err(Failure::Garbled);
        };
        let record = match (value, context.version) {
            (Some(value), Some(version)) => {
                let value = Value::new(value.as_bytes(), self.limits.value_bytes);
                let value = Some(value.map_err(|_| Failure::Garbled)?);
                let expires_at_ms = context.expires_at_ms;
                Some(Record { position, key: key.clone(), value, version, expires_at_ms })
            }
            _ => None,
        };
        let before = match context.predecessor {
            Some(KnownPredecessor::Node(before)) => Some(before),
            Some(KnownPredecessor::Nobody) | None => None,
        };
        Ok(Pulled { record, is_settled: context.settled.unwrap_or(false), before })
    }

    /// What this node itself has under a key that another one owns by now; and whether that other one need not ask again,
    /// since everything that it owns has left here. A node that is new itself asks its own former owner first.
    pub(crate) async fn give(
        &self,
        position: Position,
        key: &Key,
        path: &[NodeName],
    ) -> Result<(Option<Record>, bool), OperationError> {
        let former = lock(&self.former_owner).clone().filter(|_| !path.contains(&self.me.name));
        let is_newcomer = former.is_some();
        if let Some(former) = former.filter(|former| !path.contains(former))
            && self.store.read(position, key)?.is_none()
        {
            match self.pull(&former, position, key, path.to_vec()).await {
                Ok(Pulled { record: Some(record), .. }) => self.accept(record)?,
                Ok(_) | Err(Failure::Unreachable) => {}
                Err(_) => return Err(Refusal::NoRoute.into()),
            }
        }
        // As long as this node takes the asker's place for its own, it has not begun to hand over.
        let knows_asker = path.last().is_some_and(|asker| {
            let asker = Peer::of_name(asker.clone(), self.ring.size);
            !self.view.load().owns(asker.position)
        });
        let is_settled = !is_newcomer && knows_asker && self.holds_only_its_own()?;
        Ok((self.live_record(position, key)?, is_settled))
    }

    /// Gives a record that this node does not own to its owner, and forgets it once that is acknowledged.
    async fn send_home(&self, record: &Record) -> bool {
        let ticket = Ticket::new(self.limits.request);
        let owner = match self.look_up(record.position, ticket).await {
            // Either the range has come back here, or its owner is slow and will be asked again.
            Ok(found) if found.owner == self.me => return self.view.load().owns(record.position),
            Ok(found) => found.owner,
            Err(error) => {
                tracing::debug!("no owner for a record to hand over: {error}");
                return false;
            }
        };
        if self.links.to(&owner.name).is_seed() && !self.is_staying(&owner.name).await {
            return false;
        }
        match self.hand_over(&owner.name, record).await {
            Ok(()) => self.store.remove(record.position, &record.key, &record.version).is_ok(),
            Err(failure) => {
                tracing::debug!(peer = %owner.name, "a record was not taken: {failure}");
                false
            }
        }
    }
}

impl Shared {
    /// Whether a seed node stays: one that leaves still takes records, and they end with it.
    async fn is_staying(&self, peer: &NodeName) -> bool {
        let answer = self.asker().ask(peer, Request::Ping, self.limits.request).await;
        matches!(answer, Ok(Answer::Pong(pong)) if pong.member)
    }
}

/// What a former owner said.
struct Pulled {
    record: Option<Record>,
    /// Whether it has nothing more for the asker.
    is_settled: bool,
    /// Its predecessor, to which it may have given what it had.
    before: Option<NodeName>,
}

impl Offered {
    /// A task that broke took nothing.
    fn count(&mut self, ended: &Result<bool, JoinError>) {
        match ended {
            Ok(true) => self.taken += 1,
            Ok(false) | Err(_) => self.refused += 1,
        }
    }
}

/// Until the node departs, gives away every record that it has and does not own: those of a range that a newcomer has
/// taken, and those that came to rest here while the ring changed.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let mut views = shared.view_changed.subscribe();
    let (soon, later) = SWEEP_PAUSE;
    let mut pause = later;
    loop {
        tokio::select! {
            view = views.changed() => if view.is_err() { return },
            () = tokio::time::sleep(pause) => {}
            () = shared.reached(Stage::Departing) => return,
        }
        // Whether the former owner still has something is asked by the way, under a key that nobody uses.
        shared.pull_if_new(shared.me.position, &Key::empty()).await;
        let Some(beyond) = shared.beyond() else { continue };
        let offered = shared.offer_all(&beyond, REFUSED_MAX, send_home).await.unwrap_or_else(|error| {
            tracing::error!("reading the records to hand over: {error}");
            Offered::default()
        });
        if offered.refused > 0 {
            tracing::info!(records = offered.refused, "records wait for their owner");
        }
        pause = if offered == Offered::default() { later } else { soon };
    }
}

async fn send_home(shared: Arc<Shared>, record: Record) -> bool {
    shared.send_home(&record).await
}
