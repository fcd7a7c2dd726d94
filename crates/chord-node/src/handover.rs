//! Hand-over: records that move from one node to another when a node joins or leaves.
//!
//! A record is copied, the copy is acknowledged, and only then may the first node forget it. Versions make copies that
//! come late or twice harmless.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::{Cursor, Key, PageLimit, Pull, Range, Record, Rest, StoreError, Value};
use chord_ring::{Answer, Failure, NodeName, Peer, Position, Refusal, Request};
use chord_wire::{Code, Command, Context, KnownPredecessor, seed};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use crate::OperationError;
use crate::links::{Refused, lock};
use crate::operation::{Ticket, text};
use crate::shared::{Shared, Stage};

/// How many records a leaving node has under way at a time: enough to fill a round trip, few enough that both nodes still
/// serve.
pub(crate) const LEFT_AT_ONCE: usize = 32;

/// How many records a sweep has under way at a time: fewer, since many nodes sweep at a time while nodes join, nothing waits
/// for it, and clients go first.
const SWEPT_AT_ONCE: usize = 8;

/// How many bytes are under way at a time, unless one record alone has more.
const HANDED_BYTES_MAX: u32 = 8 << 20;

/// After how many refusals a sweep leaves the rest for another time: the owners are not ready.
const REFUSED_MAX: u64 = 64;

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(256).expect("not zero"), bytes: 4 << 20 };

/// Pause between two looks for records that this node does not own: when there were some, and when there were none.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Pause while something is awaited, at first: a newcomer that learns that it is the owner, or a former owner that has given
/// everything. It doubles up to the shorter of the others.
const AWAITING_PAUSE: Duration = Duration::from_millis(20);

/// A seed node gives nothing to a newcomer, and takes whatever is left to it.
const REST_OF_SEED: Rest = Rest { is_settled: true, was_passed_by: false, before: None };

/// What a peer is to whom a record is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// The owner of the record.
    Owner,
    /// Where this node's records go when it leaves.
    Heir,
}

/// Why a peer has not taken a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// There is no way to say it to that peer, as a text that XML-RPC cannot carry to one that speaks nothing else.
    #[error("there is no way to carry it")]
    Unsayable,
    /// The peer has no place for it: its store is full, or its limit is lower.
    #[error("{0}")]
    Declined(String),
    /// No answer, or one of the ring.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// How records are offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfferLimits {
    /// So many at a time.
    pub(crate) at_once: usize,
    /// Until so many were refused.
    pub(crate) refused: u64,
}

/// What became of the records that were offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) taken: u64,
    pub(crate) refused: u64,
}

impl Shared {
    /// Gives one record to a peer: as its owner, or as the heir of this node, which stores it whoever owns it.
    pub(crate) async fn hand_over(
        &self,
        to: &NodeName,
        record: &Record,
        receiver: Receiver,
    ) -> Result<(), NotTaken> {
        let key = text(record.key.as_bytes());
        let value = record.value.as_ref().and_then(|value| text(value.as_bytes()));
        let (Some(key), Some(value)) = (key, value) else { return Err(NotTaken::Unsayable) };
        let request = seed::Request::Put { key, value, no_redirect: true };
        let context = Context {
            version: Some(record.version),
            expires_at_ms: record.expires_at_ms,
            named: receiver == Receiver::Owner,
            ..self.asker().of_ring()
        };
        // Patience: a busy heir is better than a lost record.
        let budget = self.limits.request;
        let reply = self.links.to(to).call_onward(&request, &context, budget).await?;
        let Err(refused) = reply.answer else { return Ok(()) };
        let failure = self.asker().failure(to, &refused, reply.context.ring.as_ref());
        Err(match (failure, refused) {
            (Some(failure), _) => NotTaken::Failed(failure),
            (None, Refused { code: Some(Code::NotText), .. }) => NotTaken::Unsayable,
            (None, Refused { sentence, .. }) => NotTaken::Declined(sentence),
        })
    }

    /// Gives every record in `range` to `offer`, several at a time, within these limits.
    pub(crate) async fn offer_all<Offer, Taken>(
        self: &Arc<Self>,
        range: &Range,
        limits: OfferLimits,
        offer: Offer,
    ) -> Result<Offered, StoreError>
    where
        Offer: Fn(Arc<Self>, Record) -> Taken,
        Taken: Future<Output = bool> + Send + 'static,
    {
        let mut offered = Offered::default();
        let mut under_way: JoinSet<bool> = JoinSet::new();
        let room = Arc::new(Semaphore::new(HANDED_BYTES_MAX as usize));
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = self.store.range(range, cursor.as_ref(), PAGE)?;
            for record in page.records {
                if offered.refused >= limits.refused {
                    return Ok(offered); // Those under way are let go: they stay where they are, and are offered again.
                }
                if under_way.len() >= limits.at_once
                    && let Some(ended) = under_way.join_next().await
                {
                    offered.count(&ended);
                }
                let share = u32::try_from(record.size_bytes()).unwrap_or(u32::MAX).min(HANDED_BYTES_MAX);
                let share = room.clone().acquire_many_owned(share).await;
                let offered = offer(self.clone(), record);
                under_way.spawn(async move {
                    let taken = offered.await;
                    drop(share);
                    taken
                });
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
        if self.stage() == Stage::Running || self.view.load().successors().is_empty() {
            return Ok(());
        }
        self.leave_to_heir(record).await.map_err(|_| OperationError::Stopping)
    }

    /// Sees to it that what former owners of this node's range have under a key is here. Returns whether that is so: not
    /// while one of them is there and does not answer.
    pub(crate) async fn pull_if_new(&self, position: Position, key: &Key) -> bool {
        let Some(mut pull) = self.begin_pull() else { return true };
        let newest = self.pull_from_all(&mut pull, position, key, &[]).await;
        self.custody().learn(&pull);
        // As long as one of them may have a newer record, the newest of the others must not pass for it.
        let is_here = pull.is_done() && newest.is_none_or(|record| self.accept(record).is_ok());
        if is_here {
            self.custody().learn_key(&pull, key);
        }
        is_here
    }

    /// Asks all who may have a record; the newest of those that they have. Stops at one that does not answer. Those in
    /// `path` wait for this very answer.
    async fn pull_from_all(
        &self,
        pull: &mut Pull,
        position: Position,
        key: &Key,
        path: &[NodeName],
    ) -> Option<Record> {
        let mut newest: Option<Record> = None;
        while let Some(holder) = pull.ask_next() {
            if path.contains(&holder.name) {
                pull.answered(Rest::default());
                continue;
            }
            let asks_beyond = pull.asks_beyond();
            match self.pull(&holder.name, position, key, path.to_vec(), asks_beyond).await {
                Ok((record, rest)) => {
                    pull.answered(rest);
                    newest = newest.into_iter().chain(record).max_by_key(|record| record.version);
                }
                Err(failure) if self.is_gone(&holder, &failure).await => pull.gone(),
                Err(_) => break,
            }
        }
        newest
    }

    /// Asks former owners of this node's range whether they have anything left for it.
    async fn check_custody(&self) {
        let Some(mut pull) = self.begin_pull() else { return };
        while let Some(holder) = pull.ask_next() {
            match self.ask_rest(&holder.name).await {
                Ok(rest) => pull.answered(rest),
                Err(failure) if self.is_gone(&holder, &failure).await => pull.gone(),
                Err(_) => break,
            }
        }
        self.custody().learn(&pull);
    }

    fn begin_pull(&self) -> Option<Pull> {
        self.custody().pull(self.view.load().successors().as_slice())
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

    /// Asks one node for what it has itself, or what others have beyond it; `path` are those that have asked so before this
    /// one.
    async fn pull(
        &self,
        from: &NodeName,
        position: Position,
        key: &Key,
        path: Vec<NodeName>,
        asks_beyond: bool,
    ) -> Result<(Option<Record>, Rest), Failure> {
        let link = self.links.to(from);
        // A seed node would not answer from its own store but ask this node again.
        let Some(text) = text(key.as_bytes()).filter(|_| !link.is_seed()) else {
            return Ok((None, REST_OF_SEED));
        };
        let request = seed::Request::Get { key: text };
        let context = Context { beyond: asks_beyond, ..self.for_itself(path) };
        let reply = if asks_beyond {
            link.call_onward(&request, &context, self.limits.request).await?
        } else {
            link.call(&request, &context).await?
        };
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
            return Ok(REST_OF_SEED);
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
        Rest {
            is_settled: context.settled.unwrap_or(false),
            was_passed_by: context.passed_by.unwrap_or(false),
            before,
        }
    }

    /// What this node itself has under a key that another one owns by now. If the asker knows nobody beyond this node, which
    /// is new itself, then also what those have whom this node would ask.
    pub(crate) async fn give(
        &self,
        position: Position,
        key: &Key,
        path: &[NodeName],
        asks_beyond: bool,
    ) -> Result<Option<Record>, OperationError> {
        let is_loop = path.contains(&self.me.name);
        let pull = if asks_beyond && !is_loop { self.begin_pull() } else { None };
        let mut theirs = None;
        if let Some(mut pull) = pull.filter(|_| !self.custody().has_newest(key)) {
            theirs = self.pull_from_all(&mut pull, position, key, path).await;
            if !pull.is_done() {
                return Err(Refusal::NoRoute.into());
            }
        }
        // Last, since a record may come here from those who were asked.
        let ours = self.live_record(position, key)?;
        Ok(ours.into_iter().chain(theirs).max_by_key(|record| record.version))
    }

    /// Whether `asker` need not ask this node again: everything that it owns has left here, and nothing more will come.
    pub(crate) fn is_settled_for(&self, asker: Option<&NodeName>) -> Result<bool, OperationError> {
        let Some(asker) = asker.map(|asker| Peer::of_name(asker.clone(), self.ring.size).position) else {
            return Ok(false);
        };
        // As long as this node takes the asker's place for its own, it has not begun to hand over.
        let knows_asker = !self.view.load().owns(asker);
        let expects_more = self.custody().expects_records_of(asker);
        Ok(knows_asker && !expects_more && self.holds_only_its_own()?)
    }

    /// Gives a record that this node does not own to its owner, and forgets it once that is acknowledged. Most that follow
    /// each other have the same owner, so `last_owner` is tried first: it says itself whether it is.
    async fn send_home(&self, record: &Record, last_owner: &Mutex<Option<Peer>>) -> bool {
        let likely = lock(last_owner).clone();
        if let Some(likely) = likely
            && self.hand_over(&likely.name, record, Receiver::Owner).await.is_ok()
        {
            return self.forget(record);
        }
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
        // A seed node takes everything, whoever owns it.
        let is_seed = self.links.to(&owner.name).is_seed();
        if is_seed && !self.is_staying(&owner.name).await {
            return false;
        }
        match self.hand_over(&owner.name, record, Receiver::Owner).await {
            Ok(()) => {
                *lock(last_owner) = Some(owner).filter(|_| !is_seed);
                self.forget(record)
            }
            Err(not_taken) => {
                tracing::debug!(peer = %owner.name, "a record was not taken: {not_taken}");
                false
            }
        }
    }

    fn forget(&self, record: &Record) -> bool {
        self.store.remove(record.position, &record.key, &record.version).is_ok()
    }
}

impl Shared {
    /// Whether a seed node stays: one that leaves still takes records, and they end with it.
    async fn is_staying(&self, peer: &NodeName) -> bool {
        let answer = self.asker().ask(peer, Request::Ping, self.limits.request).await;
        matches!(answer, Ok(Answer::Pong(pong)) if pong.member)
    }
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
    // Broken off anywhere, it does no harm: what was acknowledged and not forgotten is here and at its owner.
    tokio::select! {
        () = sweep_on(&shared) => {}
        () = shared.reached(Stage::Departing) => {}
    }
}

async fn sweep_on(shared: &Arc<Shared>) {
    let mut views = shared.view_changed.subscribe();
    let (soon, later) = SWEEP_PAUSE;
    let (mut pause, mut awaiting_pause) = (later, AWAITING_PAUSE);
    loop {
        tokio::select! {
            view = views.changed() => if view.is_err() { return },
            () = shared.lacking.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        shared.check_custody().await;
        let Some(beyond) = shared.beyond() else { continue };
        let offered = sweep_once(shared, &beyond).await;
        if offered.refused > 0 || !shared.custody().is_complete() {
            (pause, awaiting_pause) = (awaiting_pause, (awaiting_pause * 2).min(soon));
        } else {
            awaiting_pause = AWAITING_PAUSE;
            pause = if offered == Offered::default() { later } else { soon };
        }
    }
}

/// Offers each record in that range to its owner, once.
async fn sweep_once(shared: &Arc<Shared>, beyond: &Range) -> Offered {
    let last_owner = Arc::new(Mutex::new(None));
    let send_home = |shared: Arc<Shared>, record: Record| {
        let last_owner = last_owner.clone();
        async move { shared.send_home(&record, &last_owner).await }
    };
    let limits = OfferLimits { at_once: SWEPT_AT_ONCE, refused: REFUSED_MAX };
    let offered = shared.offer_all(beyond, limits, send_home).await.unwrap_or_else(|error| {
        tracing::error!("reading the records to hand over: {error}");
        Offered::default()
    });
    if offered.refused > 0 {
        tracing::debug!(records = offered.refused, "records wait for their owner");
    }
    offered
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chord_kv::Version;

    use super::*;
    use crate::Node;

    const EVERYTHING: OfferLimits = OfferLimits { at_once: LEFT_AT_ONCE, refused: u64::MAX };

    /// Offers so many records of that size; the most that were under way at a time.
    async fn under_way_max(records: usize, value_bytes: usize) -> usize {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let shared = node.shared().clone();
        for idx in 0..records {
            let key = Key::new(format!("key{idx}").as_bytes()).unwrap();
            let position = key.position(shared.ring.size);
            let value = Some(Value::new(&vec![b'v'; value_bytes], usize::MAX).unwrap());
            let version = Version::new(1, 0, position);
            shared.store.apply(vec![Record { position, key, value, version, expires_at_ms: None }]).unwrap();
        }
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let offer = |_: Arc<Shared>, _: Record| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                true
            }
        };
        let offered = shared.offer_all(&Range::ALL, EVERYTHING, offer).await.unwrap();
        assert_eq!(offered, Offered { taken: records as u64, refused: 0 });
        node.shutdown().await;
        most.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn records_under_way_are_bounded_by_number_and_by_bytes() {
        assert_eq!(under_way_max(100, 10).await, LEFT_AT_ONCE);
        assert_eq!(under_way_max(20, (2 << 20) - 4096).await, 4);
        assert_eq!(under_way_max(3, 9 << 20).await, 1, "one goes, however large it is");
    }
}
