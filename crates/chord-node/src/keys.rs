//! All keys of an arc of the ring, page by page: [`Tour`] says whom to ask, and this asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chord_kv::Range;
use chord_kv::replication::{Header, PeerAnswer, PeerRequest};
use chord_kv::tour::{Step, Told, Tour};
use chord_ring::{Failure, NodeName, Peer, Position, Refusal};

use crate::OperationError;
use crate::age::now_ms;
use crate::metrics::Door;
use crate::operation::Ticket;
use crate::shared::Shared;

/// How long a page may take: longer than the ring takes to close round a node that is gone, and than a node that is back
/// waits for others of its last life.
const PAGE_WAIT: Duration = Duration::from_secs(10);

/// The keys of an arc of the ring, in the order of their positions, from [`Node::keys`](crate::Node::keys).
///
/// A key that is there from the first page to the last is among them, once, whatever happens to the ring meanwhile. One that
/// is written or deleted meanwhile may be or not.
pub struct Keys {
    shared: Arc<Shared>,
    tour: Tour,
    began: Instant,
}

/// Some keys, in the order of their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// The node that owns them.
    pub owner: NodeName,
    /// Those that are there. None at all does not mean that the end is reached.
    pub keys: Vec<Header>,
}

impl Keys {
    pub(crate) fn new(shared: Arc<Shared>, arc: Range) -> Self {
        let tour = Tour::new(shared.ring.size, arc, PAGE_WAIT);
        Self { shared, tour, began: Instant::now() }
    }

    /// The next page; `None` at the end. May be dropped at any point, and be called again after an error.
    ///
    /// # Errors
    /// The node is in no ring, or what comes next could not be listed in time. Nothing was left out.
    pub async fn next_page(&mut self) -> Result<Option<KeyPage>, OperationError> {
        loop {
            if !self.shared.view().is_member() {
                return Err(Refusal::NotMember.into());
            }
            match self.tour.next(self.began.elapsed())? {
                Step::End => return Ok(None),
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::FindOwner(position) => {
                    let ticket = Ticket::new(Door::Library, self.shared.limits.operation);
                    let found = self.shared.look_up(position, ticket).await.ok();
                    self.tour.found(self.began.elapsed(), found.map(|found| found.owner));
                }
                Step::Ask(peer, request) => {
                    let answer = self.shared.ask_for_list(&peer, request).await;
                    if let Some(told) = self.tour.answered(self.began.elapsed(), answer)? {
                        return Ok(Some(KeyPage::of(told)));
                    }
                }
            }
        }
    }

    /// The position up to which all keys were told.
    pub fn reached(&self) -> Position {
        self.tour.reached()
    }

    /// Whether all were told.
    pub fn is_over(&self) -> bool {
        self.tour.is_over()
    }
}

/// Leave to go round the whole ring: so many go at a time as a node can bear.
pub(crate) struct Round(Arc<Shared>);

impl Round {
    /// Waits until it may begin. May be dropped at any point.
    pub(crate) async fn begin(shared: Arc<Shared>) -> Self {
        // The semaphore is never closed.
        if let Ok(permit) = shared.rounds.acquire().await {
            permit.forget();
        }
        Self(shared)
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.0.rounds.add_permits(1);
    }
}

impl KeyPage {
    /// What is live of that.
    pub(crate) fn of(told: Told) -> Self {
        let (Told { owner, mut headers, .. }, now_ms) = (told, now_ms());
        headers.retain(|header| header.is_live(now_ms));
        Self { owner, keys: headers }
    }
}

impl Shared {
    /// What a node has of a range, which may be this one.
    pub(crate) async fn ask_for_list(
        &self,
        peer: &Peer,
        request: PeerRequest,
    ) -> Result<PeerAnswer, Failure> {
        if peer.name != self.me.name {
            return self.asker().ask_for_list(peer, request).await;
        }
        let until = tokio::time::Instant::now() + self.limits.request;
        self.records.answer(self.me.clone(), request, until).await.ok_or(Failure::Silent)
    }
}
