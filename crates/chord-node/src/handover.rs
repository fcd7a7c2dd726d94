//! Hand-over: records that move from one node to another when a node joins or leaves.
//!
//! A record is copied, the copy is acknowledged, and only then may the first node forget it. Versions make copies that
//! come late or twice harmless.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chord_kv::{Cursor, Key, PageLimit, Pull, Range, Record, StoreError, Value};
use chord_ring::{Answer, Failure, NodeName, Peer, Position, Refusal, Request};
use chord_wire::{Command, Context, KnownPredecessor, seed};
use tokio::task::{JoinError, JoinSet};

use crate::OperationError;
use crate::links::lock;
use crate::operation::{Ticket, text};
use crate::shared::{Shared, Stage};

/// How many records are under way at a time: enough to fill a round trip, few enough that both nodes still serve.
const HANDED_AT_ONCE: usize = 32;

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
        // Patience: a busy heir is better than a lost record.
        let budget = self.limits.request;
        let reply = self.links.to(to).call_onward(&request, &context, budget).await?;
        self.asker().granted(to, Command::Put, reply).map(|_| ())
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
        let Some(mut pull) = self.begin_pull() else { return true };
        let has_it = || self.store.read(position, key).is_ok_and(|record| record.is_some());
        if has_it() {
            return true;
        }
        while let Some(holder) = pull.ask_next() {
            match self.pull(&holder.name, position, key, Vec::new()).await {
                Ok((Some(record), _)) => return self.accept(record).is_ok(),
                Ok((None, rest)) => pull.has_nothing(rest.is_settled, rest.before),
                Err(failure) if self.is_gone(&holder, &failure).await => pull.gone(),
                Err(_) => break,
            }
        }
        lock(&self.custody).learn(&pull);
        pull.is_done() || has_it()
    }

    /// Asks former owners of this node's range whether they have anything left for it.
    async fn check_custody(&self) {
        let Some(mut pull) = self.begin_pull() else { return };
        while let Some(holder) = pull.ask_next() {
            match self.ask_rest(&holder.name).await {
                Ok(rest) => pull.has_nothing(rest.is_settled, rest.before),
                Err(failure) if self.is_gone(&holder, &failure).await => pull.gone(),
                Err(_) => break,
            }
        }
        lock(&self.custody).learn(&pull);
    }

    fn begin_pull(&self) -> Option<Pull> {
        let custody = lock(&self.custody);
        if custody.is_complete() {
            return None;
        }
        custody.pull(self.me.position, self.view.load().successors().as_slice())
    }

    /// Whether a peer that failed is no longer there: nobody listens, or the ring has dropped it. What it had is gone
    /// with it.
    async fn is_gone(&self, peer: &Peer, failure: &Failure) -> bool {
        tracing::debug!(peer = %peer.name, "asking for what this node may lack: {failure}");
        if *failure == Failure::Unreachable {
            return true;
        }
        let found = self.look_up(peer.position, Ticket::new(self.limits.request)).await;
        found.is_ok_and(|found| found.owner != *peer)
    }

    /// Asks one node for what it has itself; `path` are those that have asked so before this one.
    async fn pull(
        &self,
        from: &NodeName,
        position: Position,
        key: &Key,
        path: Vec<NodeName>,
    ) -> Result<(Option<Record>, Rest), Failure> {
        let link = self.links.to(from);
        // A seed node would not answer from its own store but ask this node again.
        let Some(text) = text(key.as_bytes()).filter(|_| !link.is_seed()) else {
            return Ok((None, Rest { is_settled: true, before: None }));
        };
        let reply = link.call(&seed::Request::Get { key: text }, &self.for_itself(path)).await?;
        let (seed::Answer::Get { value, .. }, context) = self.asker().granted(from, Command::Get, reply)?
        else {
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
        Ok((record, self.rest_of(context)))
    }

    /// Asks one node whether it has anything for this one.
    async fn ask_rest(&self, from: &NodeName) -> Result<Rest, Failure> {
        let link = self.links.to(from);
        if link.is_seed() {
            return Ok(Rest { is_settled: true, before: None });
        }
        let reply = link.call(&seed::Request::GetPredecessor, &self.for_itself(Vec::new())).await?;
        let (_, context) = self.asker().granted(from, Command::GetPredecessor, reply)?;
        Ok(self.rest_of(context))
    }

    /// The context of a question that the receiver answers from its own store.
    fn for_itself(&self, mut path: Vec<NodeName>) -> Context {
        path.push(self.me.name.clone());
        Context { local: true, path, ..self.asker().of_ring() }
    }

    fn rest_of(&self, context: Context) -> Rest {
        let before = match context.predecessor {
            Some(KnownPredecessor::Node(before)) => Some(Peer::of_name(before, self.ring.size)),
            Some(KnownPredecessor::Nobody) | None => None,
        };
        Rest { is_settled: context.settled.unwrap_or(false), before }
    }

    /// What this node itself has under a key that another one owns by now. A node that is new itself asks its own former
    /// owner first.
    pub(crate) async fn give(
        &self,
        position: Position,
        key: &Key,
        path: &[NodeName],
    ) -> Result<Option<Record>, OperationError> {
        let former = lock(&self.custody).farthest().cloned().map(|peer| peer.name);
        if let Some(former) = former.filter(|former| !path.contains(&self.me.name) && !path.contains(former))
            && self.store.read(position, key)?.is_none()
        {
            match self.pull(&former, position, key, path.to_vec()).await {
                Ok((Some(record), _)) => self.accept(record)?,
                Ok((None, _)) | Err(Failure::Unreachable) => {}
                Err(_) => return Err(Refusal::NoRoute.into()),
            }
        }
        self.live_record(position, key)
    }

    /// Whether `asker` need not ask this node again: everything that it owns has left here, and nothing more will come.
    pub(crate) fn is_settled_for(&self, asker: Option<&NodeName>) -> Result<bool, OperationError> {
        // As long as this node takes the asker's place for its own, it has not begun to hand over.
        let knows_asker = asker.is_some_and(|asker| {
            let asker = Peer::of_name(asker.clone(), self.ring.size);
            !self.view.load().owns(asker.position)
        });
        let is_newcomer = !lock(&self.custody).is_complete();
        Ok(!is_newcomer && knows_asker && self.holds_only_its_own()?)
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

/// What a former owner said beside the record that it was asked for.
struct Rest {
    /// Whether it has nothing more for the asker.
    is_settled: bool,
    /// Its predecessor, to which it may have given what it had.
    before: Option<Peer>,
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
        shared.check_custody().await;
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
