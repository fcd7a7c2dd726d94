//! All keys of a ring, asked from outside of it.

use std::time::{Duration, Instant};

use chord_kv::Range;
use chord_kv::replication::{PeerAnswer, PeerRequest};
use chord_kv::tour::{Step, Tour, TourError};
use chord_ring::{Failure, NodeName, Peer, Position, RingSize};
use chord_wire::seed;

use super::{Client, ClientError};
use crate::keys::KeyPage;

/// Connections that are kept: to the node that was asked first, the owner of the last page and the one of the next.
const CLIENTS_MAX: usize = 3;

/// The keys of a whole ring, in the order of their positions from a node on, from [`Client::into_keys`].
///
/// A key that is there from the first page to the last is among them, once, whatever happens to the ring meanwhile. One that
/// is written or deleted meanwhile may be or not.
pub struct ClientKeys {
    size: RingSize,
    home: Position,
    /// The one that was asked first is the first.
    clients: Vec<Client>,
    tour: Tour,
    began: Instant,
    wait: Duration,
    /// Why somebody did not tell, last.
    failure: Option<(NodeName, ClientError)>,
}

/// Why there is no next page. Nothing was left out; trying again may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A node that may have some of the next keys did not tell, for this reason.
    #[error(transparent)]
    Node(#[from] ClientError),
    /// There is no node to ask.
    #[error(transparent)]
    Tour(#[from] TourError),
}

impl KeysError {
    /// The node that did not tell, if it is known.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Tour(TourError::Untold(node) | TourError::NoList(node)) => Some(node),
            Self::Tour(_) => None,
            Self::Node(error) => error.node(),
        }
    }
}

impl Client {
    /// All keys of the ring of the node, beginning behind it; no page takes longer than `deadline`.
    ///
    /// # Errors
    /// As for [`Client::call`].
    pub async fn into_keys(self, deadline: Duration) -> Result<ClientKeys, ClientError> {
        let size = self.ring(deadline).await?.size;
        let home = Peer::of_name(self.node().clone(), size);
        let around = Range { after: home.position, up_to: home.position };
        let mut tour = Tour::new(size, around, deadline);
        // Whoever is asked in vain is asked for half of the time, so that another can be asked.
        let wait = deadline / 2;
        if let seed::Answer::SuccessorList(successors) =
            self.call(&seed::Request::GetSuccessorList, deadline).await?.answer
        {
            tour.expect(successors.into_iter().next().map(|name| Peer::of_name(name, size)));
        }
        let began = Instant::now();
        Ok(ClientKeys { size, home: home.position, clients: vec![self], tour, began, wait, failure: None })
    }
}

impl ClientKeys {
    /// The next page; `None` at the end. May be dropped at any point, and be called again after an error.
    ///
    /// # Errors
    /// What comes next could not be listed in time.
    pub async fn next_page(&mut self) -> Result<Option<KeyPage>, KeysError> {
        loop {
            let step = self.tour.next(self.began.elapsed()).map_err(|error| self.explained(error))?;
            match step {
                Step::End => return Ok(None),
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::FindOwner(position) => {
                    let owner = self.find_owner(position).await;
                    self.tour.found(self.began.elapsed(), owner);
                }
                Step::Ask(peer, request) => {
                    let answer = self.ask(&peer.name, request).await;
                    let told = self.tour.answered(self.began.elapsed(), answer);
                    if let Some(told) = told.map_err(|error| self.explained(error))? {
                        return Ok(Some(KeyPage::of(told)));
                    }
                }
            }
        }
    }

    /// After an error: goes on behind what could not be listed, without it. Returns whether there is anything behind it that
    /// a node is known for.
    pub fn skip(&mut self) -> bool {
        self.tour.skip()
    }

    /// Which part of the ring was told, from 0.0 to 1.0.
    pub fn fraction(&self) -> f64 {
        if self.tour.is_over() {
            return 1.0;
        }
        self.size.fraction(self.size.distance(self.home, self.tour.reached()))
    }

    async fn find_owner(&self, position: Position) -> Option<Peer> {
        let request = seed::Request::FindSuccessor { target: seed::Target::Position(position) };
        // The node that told last knows the way, should the first one be gone.
        for client in self.clients.iter().rev() {
            let reply = client.call(&request, self.wait).await;
            if let Ok(seed::Answer::FindSuccessor { node, .. }) = reply.map(|reply| reply.answer) {
                return Some(Peer::of_name(node, self.size));
            }
        }
        None
    }

    async fn ask(&mut self, node: &NodeName, request: PeerRequest) -> Result<PeerAnswer, Failure> {
        let known = self.clients.iter().position(|client| client.node() == node);
        if known.is_none() {
            if self.clients.len() >= CLIENTS_MAX {
                self.clients.remove(1);
            }
            self.clients.push(self.clients[0].of_other(node.clone()));
        }
        let idx = known.unwrap_or(self.clients.len() - 1);
        let asked = self.clients[idx].ask_as_peer(request, self.wait).await;
        asked.map_err(|error| {
            let failure = match &error {
                ClientError::OtherProgram(_) => Failure::Garbled,
                ClientError::Unreachable(_) => Failure::Unreachable,
                _ => Failure::Silent,
            };
            if known.is_none() {
                self.clients.pop();
            }
            self.failure = Some((node.clone(), error));
            failure
        })
    }

    /// What is known of why somebody did not tell.
    fn explained(&mut self, error: TourError) -> KeysError {
        match (error, self.failure.take()) {
            (TourError::Untold(node) | TourError::NoList(node), Some((failed, why))) if node == failed => {
                why.into()
            }
            (error, _) => error.into(),
        }
    }
}
