//! Links: how this node reaches the others. Connections are kept, bounded, and no wait is without a deadline.

mod ask;
mod budget;
mod connection;
mod dialogue;
mod ear;
mod greet;
mod in_frames;
mod lane;
mod language;
mod link;
mod meeting;
#[cfg(test)]
mod peer;
mod records;
mod round_trip;
mod seed_records;
mod sent;
mod spoken;
mod unanswered;
mod unsayable;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chord_ring::{Failure, NodeName, RingTag};
use chord_wire::Copies;
use chord_wire::frame::{Hello, VERSIONS};
use chord_wire::rest::SentBody;
use tokio::runtime::Handle;

pub(crate) use ask::{Asker, onward};
use budget::Budget;
pub(crate) use connection::{
    Answered, Connections, Exchange, NoAnswer, Sending, context, prepare, write_context,
};
pub(crate) use dialogue::Terms;
pub(crate) use greet::greet;
pub(crate) use lane::Heard;
pub use language::Language;
pub(crate) use language::{Refused, Reply, Said};
pub(crate) use link::Link;
pub(crate) use records::{OPERATE_PATH, REPLICA_PATH, REPLICA_TYPE, text};
#[cfg(test)]
pub(crate) use spoken::BREAKS_MAX;
pub(crate) use spoken::Spoken;
pub(crate) use unanswered::Unanswered;

pub(crate) use sent::Purpose;
use sent::Sent;

use crate::Limits;
use crate::metrics::LinkState;
use crate::network::Network;
use crate::secret::SecretFile;
use crate::shared::{Shared, Stage};
use crate::tls::Dialer;

/// Pause between two looks for connections that are no longer used: how much longer than they must they are kept.
const TIDY_PAUSE: Duration = Duration::from_secs(4);

/// All links of one node.
pub(crate) struct Links {
    ring: RingTag,
    /// How this node was told to keep copies.
    copies: Copies,
    limits: Limits,
    first_language: Language,
    /// Who this node is in frames.
    terms: Arc<Terms>,
    /// The network, if it may be cut.
    network: Option<Network>,
    by_name: Mutex<ByName>,
    sent: Sent,
}

/// The links that there are.
#[derive(Default)]
struct ByName {
    links: HashMap<NodeName, Arc<Link>>,
    /// The node has stopped: what is asked of a link from now on is not sent.
    is_closed: bool,
}

impl Links {
    pub(crate) fn new(
        me: NodeName,
        ring: RingTag,
        copies: Copies,
        limits: Limits,
        first_language: Language,
        secrets: Option<Arc<SecretFile>>,
        tls: Option<Dialer>,
    ) -> Self {
        let hello = Hello {
            versions: VERSIONS,
            name: Some(me),
            ring: Some(ring.clone()),
            copies: Some(copies),
            challenge: None,
        };
        let terms =
            Arc::new(Terms { hello, value_bytes: limits.value_bytes, secrets, tls, serving: Vec::new() });
        let (by_name, sent) = (Mutex::default(), Sent::default());
        Self { ring, copies, limits, first_language, terms, network: None, by_name, sent }
    }

    /// The same, by a network that may be cut.
    pub(crate) fn over(self, network: Option<Network>) -> Self {
        Self { network, ..self }
    }

    /// The same, for clients that are served there.
    pub(crate) fn beside(mut self, serving: Vec<Handle>) -> Self {
        Arc::make_mut(&mut self.terms).serving = serving;
        self
    }

    /// How this node was told to keep copies.
    pub(crate) fn copies(&self) -> Copies {
        self.copies
    }

    /// How many requests this node has sent to its peers.
    pub(crate) fn sent(&self) -> SentBody {
        self.sent.told()
    }

    /// How many of these requests were sent, and how many of them failed.
    pub(crate) fn counted(&self, purpose: Purpose) -> (u64, u64) {
        self.sent.counted(purpose)
    }

    /// Such a request failed.
    pub(crate) fn failed(&self, purpose: Purpose, failure: &Failure) {
        self.sent.ended(purpose, failure);
    }

    /// How the peers are to which there are links, and how long their answers take.
    pub(crate) fn seen(&self) -> Vec<(LinkState, Option<Duration>)> {
        let links: Vec<Arc<Link>> = lock(&self.by_name).links.values().cloned().collect();
        links.iter().map(|link| (link.state(), link.round_trip())).collect()
    }

    /// The link to a peer, made when it is first needed. The one unused for longest makes room.
    pub(crate) fn to(&self, name: &NodeName) -> Arc<Link> {
        let mut by_name = lock(&self.by_name);
        let ByName { links, is_closed } = &mut *by_name;
        if let Some(link) = links.get(name) {
            link.touch();
            return link.clone();
        }
        if links.len() >= self.limits.links {
            let oldest = links.iter().min_by_key(|(_, link)| link.last_used());
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                links.remove(&oldest);
            }
        }
        let road = self.terms.hello.name.as_ref().zip(self.network.as_ref());
        let road = road.map(|(me, network)| network.road(me, name));
        let link = Link::new(name.clone(), &self.limits, self.first_language, self.terms.clone());
        let link = Arc::new(link.by(road));
        if *is_closed {
            link.close();
        }
        links.insert(name.clone(), link.clone());
        link
    }

    /// Closes the connections that nobody has used for a while, to any peer.
    fn close_idle(&self) {
        let links: Vec<Arc<Link>> = lock(&self.by_name).links.values().cloned().collect();
        for link in links {
            link.close_idle();
        }
    }

    /// Ends all connections: whoever has a node that has stopped keeps none of them open by that.
    fn close(&self) {
        let mut by_name = lock(&self.by_name);
        by_name.is_closed = true;
        let links: Vec<Arc<Link>> = by_name.links.values().cloned().collect();
        drop(by_name);
        for link in links {
            link.close();
        }
    }

    /// How long a peer's answers take, if any was measured.
    pub(crate) fn round_trip(&self, name: &NodeName) -> Option<Duration> {
        let link = lock(&self.by_name).links.get(name).cloned();
        link.and_then(|link| link.round_trip())
    }

    /// Whether the peer failed a moment ago: lookups go round it.
    pub(crate) fn is_suspect(&self, name: &NodeName) -> bool {
        let link = lock(&self.by_name).links.get(name).cloned();
        link.is_some_and(|link| link.is_suspect())
    }

    /// Whether the peer may be asked for what it need not own: it has shown that it checks that itself, as a seed node does
    /// not, and has not failed a moment ago.
    pub(crate) fn may_be_guessed(&self, name: &NodeName) -> bool {
        let link = lock(&self.by_name).links.get(name).cloned();
        link.is_some_and(|link| link.shown_seed() == Some(false) && !link.is_suspect())
    }
}

/// Until the node has stopped, closes the connections that it no longer uses, and then all: to a peer that it has left behind
/// it would have them for ever.
pub(crate) async fn tidy(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY_PAUSE) => shared.links.close_idle(),
            () = shared.reached(Stage::Stopped) => return shared.links.close(),
        }
    }
}

/// What these locks guard is replaced whole, so a panic elsewhere leaves nothing half changed. They are held for a few
/// instructions and never across an await.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
