//! Tours: clients list all keys of the ring, as the node that was asked finds them.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_kv::replication::{Input, PeerAnswer};
use chord_kv::tour::{Step, Told, Tour, TourError};
use chord_kv::{Key, Range};
use chord_ring::{Failure, Peer, Question, Token};

use super::data::{DataEvent, DataRequest, Waiter};
use super::host::{Asker, Origin};
use super::{HostId, Time, World};

/// How long a page may take: longer than the ring takes to close round one that is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names a tour of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TourId(pub u32);

/// A client's tour round the whole ring.
#[derive(Clone, Debug)]
pub struct Touring {
    /// The host that it asked.
    pub host: HostId,
    /// When it began.
    pub began: Time,
    /// When it ended, and how, if it has. The client's own node is gone if nothing is said.
    pub ended: Option<(Time, Option<Result<(), TourError>>)>,
    /// The keys that were there.
    pub keys: BTreeSet<Key>,
    /// How many pages were put together from what several nodes had.
    pub merged: usize,
    tour: Tour,
}

impl World {
    /// A client asks the node on a host for all keys. `None` if no node runs there.
    pub fn tour(&mut self, host: HostId) -> Option<TourId> {
        self.settings.data.as_ref()?;
        self.node(host)?;
        let id = TourId(u32::try_from(self.tours.len()).ok()?);
        let began = self.now;
        let tour = Tour::new(self.settings.config.ring().size, Range::ALL, PATIENCE);
        self.note(|world| format!("a client asks {} for all keys", world.name(host)));
        self.tours.push(Touring { host, began, ended: None, keys: BTreeSet::new(), merged: 0, tour });
        self.go_on_tour(id);
        Some(id)
    }

    /// The clients' tours, in the order in which they began.
    pub fn tours(&self) -> &[Touring] {
        &self.tours
    }

    fn touring(&mut self, id: TourId) -> Option<&mut Touring> {
        self.tours.get_mut(id.0 as usize).filter(|touring| touring.ended.is_none())
    }

    /// Does what a tour wants next.
    pub(super) fn go_on_tour(&mut self, id: TourId) {
        let elapsed = self.now.since(Time::ZERO);
        let Some(touring) = self.touring(id) else { return };
        let host = touring.host;
        match touring.tour.next(elapsed) {
            Ok(Step::FindOwner(target)) => {
                let question = Question { target, named: false, path: Vec::new() };
                self.carry(host, question, Origin::Tour(id), self.settings.lookup_patience, None);
            }
            Ok(Step::Ask(peer, request)) if self.host(&peer.name) == Some(host) => {
                self.calls += 1;
                let token = Token(self.calls);
                if let Some(data) = &mut self.host_mut(host).data {
                    data.waiting.push((token, Waiter::Tour(id)));
                }
                self.feed_data(host, Input::Request { token, from: peer, request });
            }
            Ok(Step::Ask(peer, request)) => {
                let until = self.now.after(self.settings.patience);
                self.call_data(host, &peer, DataRequest::Peer(request), Asker::Tour(id), until);
            }
            Ok(Step::Pause(pause)) => self.schedule_data(host, pause, DataEvent::Tour(id)),
            Ok(Step::End) => self.end_tour(id, Some(Ok(()))),
            Err(error) => self.end_tour(id, Some(Err(error))),
        }
    }

    pub(super) fn tour_found(&mut self, id: TourId, owner: Option<Peer>) {
        let elapsed = self.now.since(Time::ZERO);
        if let Some(touring) = self.touring(id) {
            touring.tour.found(elapsed, owner);
            self.go_on_tour(id);
        }
    }

    pub(super) fn tour_answered(&mut self, id: TourId, answer: Result<PeerAnswer, Failure>) {
        let elapsed = self.now.since(Time::ZERO);
        let Some(host) = self.touring(id).map(|touring| touring.host) else { return };
        let now_ms = self.wall_ms(host);
        let Some(touring) = self.touring(id) else { return };
        match touring.tour.answered(elapsed, answer) {
            Ok(told) => {
                if let Some(Told { headers, nodes, .. }) = told {
                    let live = headers.into_iter().filter(|header| header.is_live(now_ms));
                    touring.keys.extend(live.map(|header| header.key));
                    touring.merged += usize::from(nodes > 1);
                }
                self.go_on_tour(id);
            }
            Err(error) => self.end_tour(id, Some(Err(error))),
        }
    }

    fn end_tour(&mut self, id: TourId, how: Option<Result<(), TourError>>) {
        let now = self.now;
        let Some(touring) = self.touring(id) else { return };
        let line = format!("{} keys were listed: {how:?}", touring.keys.len());
        touring.ended = Some((now, how));
        self.note(|_| line.clone());
    }

    /// The node on a host is gone, and with it what clients had asked of it.
    pub(super) fn abandon_tours(&mut self, host: HostId) {
        for idx in 0..self.tours.len() {
            if self.tours[idx].host == host {
                self.end_tour(TourId(u32::try_from(idx).unwrap_or(u32::MAX)), None);
            }
        }
    }
}
