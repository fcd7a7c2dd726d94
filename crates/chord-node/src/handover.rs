//! Hand-over: records that move from one node to another when a node joins or leaves.
//!
//! A record is copied, the copy is acknowledged, and only then may the first node forget it. Versions make copies that
//! come late or twice harmless.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chord_kv::{Cursor, Key, PageLimit, Range, Record, StoreError, Value};
use chord_ring::{Failure, NodeName, Peer, Position, between};
use chord_wire::{Command, Context, seed};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::links::lock;
use crate::operation::{Ticket, text};
use crate::shared::{Shared, Stage};

/// How many records are under way at a time: enough to fill a round trip, few enough that both nodes still serve.
const HANDED_AT_ONCE: usize = 32;

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(256).expect("not zero"), bytes: 4 << 20 };

/// How long after its predecessor has changed a node asks its successor for a key that it does not have. The successor begins
/// to hand over when it learns of the change, within a round or two.
pub(crate) const SETTLING: Duration = Duration::from_secs(10);

/// How often the records of a lost range are gone through: a write that was under way when the range was lost may come
/// to rest after the first time.
const PASSES: usize = 2;

/// Pause before records are offered again that were not taken.
const OFFER_PAUSE: Duration = Duration::from_secs(1);

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
            ..Context::default()
        };
        let body = Bytes::from(seed::encode_request(&request));
        // Patience: a busy heir is better than a lost record.
        let budget = self.limits.request;
        let exchange = self.links.to(to).call_onward(Command::Put, &context, body, budget).await?;
        self.asker().understand(to, Command::Put, &exchange).map(|_| ())
    }

    /// Gives every record in `range` to `offer`, several at a time.
    pub(crate) async fn offer_all<Offer, Taken>(
        self: &Arc<Self>,
        range: &Range,
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
    pub(crate) async fn copy_if_departing(&self, record: &Record) {
        if self.stage() == Stage::Running {
            return;
        }
        let heir = self.view.load().successors().head().cloned();
        if let Some(heir) = heir
            && let Err(failure) = self.hand_over(&heir.name, record).await
        {
            tracing::warn!(peer = %heir.name, "a write during the departure was not copied: {failure}");
        }
    }

    /// Fetches a key that this node owns and does not have from its successor, which owned it before, while the range
    /// is new here.
    pub(crate) async fn pull_if_new(&self, position: Position, key: &Key) {
        let is_new = lock(&self.settled_at).is_some_and(|settled| Instant::now() < settled);
        if !is_new || self.store.read(position, key).is_ok_and(|record| record.is_some()) {
            return;
        }
        let Some(before) = self.view.load().successors().head().cloned() else { return };
        match self.pull(&before.name, position, key).await {
            Ok(Some(record)) => {
                if let Err(error) = self.accept(record) {
                    tracing::warn!(peer = %before.name, "a record of the former owner was not stored: {error}");
                }
            }
            Ok(None) => {}
            Err(failure) => tracing::debug!(peer = %before.name, "asking the former owner: {failure}"),
        }
    }

    async fn pull(&self, from: &NodeName, position: Position, key: &Key) -> Result<Option<Record>, Failure> {
        let link = self.links.to(from);
        // A seed node would not answer from its own store but ask this node again.
        let Some(text) = text(key.as_bytes()).filter(|_| !link.is_seed()) else { return Ok(None) };
        let body = Bytes::from(seed::encode_request(&seed::Request::Get { key: text }));
        let context = Context { local: true, ..Context::default() };
        let exchange = link.call(Command::Get, &context, body).await?;
        let context = exchange.context()?;
        match (self.asker().understand(from, Command::Get, &exchange)?, context.version) {
            (seed::Answer::Get { value: Some(value), .. }, Some(version)) => {
                let value = Value::new(value.as_bytes(), self.limits.value_bytes);
                let value = Some(value.map_err(|_| Failure::Garbled)?);
                let expires_at_ms = context.expires_at_ms;
                Ok(Some(Record { position, key: key.clone(), value, version, expires_at_ms }))
            }
            _ => Ok(None),
        }
    }

    /// Gives a record that this node does not own to its owner, and forgets it once that is acknowledged.
    async fn send_home(&self, record: &Record) -> bool {
        let ticket = Ticket::new(self.limits.request);
        let owner = match self.look_up(record.position, ticket).await {
            Ok(found) if found.owner == self.me => return true,
            Ok(found) => found.owner,
            Err(error) => {
                tracing::debug!("no owner for a record to hand over: {error}");
                return false;
            }
        };
        match self.hand_over(&owner.name, record).await {
            Ok(()) => self.store.remove(record.position, &record.key, &record.version).is_ok(),
            Err(failure) => {
                tracing::debug!(peer = %owner.name, "a record was not taken: {failure}");
                false
            }
        }
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

/// Watches the range of one node until it departs: when a newcomer takes a part of it, the records there go to the
/// newcomer.
pub(crate) async fn watch_range(shared: Arc<Shared>) {
    let mut views = shared.view_changed.subscribe();
    let mut before: Option<Peer> = None;
    let mut passes = 0;
    loop {
        let pause = if passes > 0 { OFFER_PAUSE } else { Duration::MAX };
        tokio::select! {
            view = views.changed() => if view.is_err() { return },
            () = tokio::time::sleep(pause) => {}
            () = shared.reached(Stage::Departing) => return,
        }
        let now = shared.view().predecessor().cloned();
        if has_narrowed(shared.me.position, before.as_ref(), now.as_ref()) {
            passes = PASSES;
        }
        before.clone_from(&now);
        if let Some(predecessor) = now.filter(|_| passes > 0) {
            let beyond = Range { after: shared.me.position, up_to: predecessor.position };
            match shared.offer_all(&beyond, send_home).await {
                Ok(offered) if offered.refused == 0 => passes -= 1,
                Ok(offered) => tracing::info!(records = offered.refused, "records wait for their new owner"),
                Err(error) => tracing::error!("reading the records to hand over: {error}"),
            }
        }
    }
}

async fn send_home(shared: Arc<Shared>, record: Record) -> bool {
    shared.send_home(&record).await
}

/// Whether a node at `me` owns less than before.
fn has_narrowed(me: Position, before: Option<&Peer>, now: Option<&Peer>) -> bool {
    match (before, now) {
        (None, Some(_)) => true,
        (Some(before), Some(now)) => between(before.position, now.position, me),
        (Some(_) | None, None) => false,
    }
}
