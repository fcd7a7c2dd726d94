//! One round of questions to all who may have some of what comes next, while its owner may lack something of it.

use std::collections::BTreeMap;

use chord_ring::{NodeName, Peer, Position, RingSize};

use crate::replication::{Account, Header, WALK_MAX};
use crate::{Cursor, Key, Range};

/// What somebody has of what comes next.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) headers: Vec<Header>,
    /// Where to go on; `None` at its end.
    pub(super) next: Option<Cursor>,
}

/// The arc about which is asked, and up to which record of its first position everything was told.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) range: Range,
    pub(super) cursor: Option<Cursor>,
    pub(super) size: RingSize,
}

/// A round on its way.
#[derive(Clone, Debug)]
pub(super) struct Round {
    epoch: u64,
    near: Vec<Peer>,
    /// Those of the owner's last life, who are asked if nobody else has everything.
    recalled: Vec<Peer>,
    /// Those whom others know, who are asked if nobody else has everything.
    beyond: Vec<Peer>,
    is_settled: bool,
    told: BTreeMap<NodeName, Page>,
    /// Whether the owner is asked next, who is still missing.
    is_in_doubt: bool,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Other(Peer),
    /// All others have told.
    Owner,
}

impl Round {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            near: Vec::new(),
            recalled: Vec::new(),
            beyond: Vec::new(),
            is_settled: false,
            told: BTreeMap::new(),
            is_in_doubt: false,
        }
    }

    /// Whether that is what the owner lacks still.
    pub(super) fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    pub(super) fn next(&self, owner: &NodeName) -> Turn {
        let strangers = self.recalled.iter().chain(&self.beyond).filter(|_| !self.is_settled);
        let is_due = |peer: &&Peer| peer.name != *owner && !self.told.contains_key(&peer.name);
        match self.near.iter().chain(strangers).find(is_due).filter(|_| !self.is_in_doubt) {
            Some(peer) => Turn::Other(peer.clone()),
            None => Turn::Owner,
        }
    }

    /// The owner knows these by now.
    pub(super) fn owner_told(&mut self, account: Account) {
        self.is_in_doubt = false;
        self.is_settled |= account.is_settled;
        (self.near, self.recalled) = (account.near, account.recalled);
    }

    /// Another one has told.
    pub(super) fn told(&mut self, name: NodeName, page: Page, account: Account) {
        self.told.insert(name, page);
        self.is_settled |= account.is_settled;
        for peer in account.near.into_iter().chain(account.recalled) {
            if self.beyond.len() < WALK_MAX && !self.beyond.contains(&peer) {
                self.beyond.push(peer);
            }
        }
    }

    /// One did not tell: the owner may know by now that it is gone.
    pub(super) fn failed(&mut self) {
        self.is_in_doubt = true;
    }

    pub(super) fn into_pages(self) -> impl Iterator<Item = Page> {
        self.told.into_values()
    }
}

impl Rest {
    /// Where a record stands, seen from the beginning.
    fn place(&self, position: Position, key: &Key) -> (Position, Key) {
        let first = self.size.finger_start(self.range.after, 0);
        (self.size.distance(first, position), key.clone())
    }

    fn place_of(&self, cursor: &Cursor) -> (Position, Key) {
        self.place(cursor.position, &cursor.key)
    }

    /// Whether a list that goes on there goes on at all.
    pub(super) fn is_onward(&self, next: Option<&Cursor>) -> bool {
        let is_later = |next: &Cursor| {
            let from = self.cursor.as_ref().map(|cursor| self.place_of(cursor));
            self.range.contains(next.position) && from.is_none_or(|from| from < self.place_of(next))
        };
        next.is_none_or(is_later)
    }

    /// The newest record of each key, as far as all of these pages go.
    pub(super) fn merge(&self, pages: impl IntoIterator<Item = Page>) -> Page {
        let from = self.cursor.as_ref().map(|cursor| self.place_of(cursor));
        let mut end: Option<Cursor> = None;
        let mut newest: BTreeMap<(Position, Key), Header> = BTreeMap::new();
        for page in pages {
            let ends_earlier =
                |next: &Cursor| end.as_ref().is_none_or(|end| self.place_of(next) < self.place_of(end));
            if let Some(next) = page.next.filter(ends_earlier) {
                end = Some(next);
            }
            for header in page.headers.into_iter().filter(|header| self.range.contains(header.position)) {
                let place = self.place(header.position, &header.key);
                let known = newest.get(&place);
                if from.as_ref().is_none_or(|from| *from < place)
                    && known.is_none_or(|known| known.version < header.version)
                {
                    newest.insert(place, header);
                }
            }
        }
        if let Some(end) = &end {
            let end = self.place_of(end);
            newest.retain(|place, _| *place <= end);
        }
        Page { headers: newest.into_values().collect(), next: end }
    }
}
