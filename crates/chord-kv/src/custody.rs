//! Custody: for which positions a node may answer, whether it has everything of them, and whom it asks while it has
//! not.
//!
//! A node takes itself for the owner from its predecessor on. That is not enough to answer: while several nodes join, or
//! after the node was stopped for a while, two may take themselves for the owner of one position. So the predecessor must
//! *vouch*: a predecessor names one node as its successor, and names another only when the one that it named has told it
//! of that other, or is gone. The owner of a position therefore changes in an order that all agree on.
//!
//! What an owner has not seen itself, it asks for ([`Pull`]).

mod pull;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::{Peer, Position, between, owned};

pub use pull::{HOLDERS_MAX, Pull, Rest};

use crate::Key;

/// Of how many keys a node knows that it has what is newest, before it has everything. Others are asked for again and
/// again; it has everything within seconds.
pub const KEYS_KNOWN_MAX: usize = 4096;

/// A node that has not run for so long doubts all that it knew: others may have taken it for dead and its place. They
/// need two missed answers in a row, each of half a second at least, so it doubts itself sooner than they do.
pub const STOPPED_AFTER: Duration = Duration::from_millis(800);

/// What a node knows about its own range and the records of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Custody {
    me: Position,
    predecessor: Option<Peer>,
    head: Option<Peer>,
    /// The position after which, up to its own, the node is the owner by more than its own word. Its own position means
    /// the whole circle.
    vouched: Option<Position>,
    lack: Option<Lack>,
    /// Counts what makes earlier questions worthless.
    epoch: u64,
    last_beat: Duration,
}

/// Records of this node's range may be elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lack {
    /// The farthest node that may have some.
    farthest: Peer,
    /// They lie after this position.
    after: Position,
    /// Keys for which all of them were asked. A record that is here tells nothing: it may be an older copy, sent by one who
    /// had the range before another.
    known: BTreeSet<Key>,
}

impl Lack {
    fn new(farthest: &Peer, after: Position) -> Self {
        Self { farthest: farthest.clone(), after, known: BTreeSet::new() }
    }
}

/// A question to the predecessor: does it name this node as its successor?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Whom to ask.
    pub predecessor: Peer,
    epoch: u64,
}

impl Custody {
    /// Of a node at `me` that is in no ring.
    pub fn new(me: Position) -> Self {
        Self {
            me,
            predecessor: None,
            head: None,
            vouched: None,
            lack: None,
            epoch: 0,
            last_beat: Duration::ZERO,
        }
    }

    /// The node has become a member between these two; of a ring of its own if there is nobody.
    pub fn join(&mut self, predecessor: Option<&Peer>, head: Option<&Peer>) {
        *self = Self { epoch: self.epoch + 1, last_beat: self.last_beat, ..Self::new(self.me) };
        self.lack = head.map(|former| Lack::new(former, predecessor.map_or(self.me, |peer| peer.position)));
        self.set_neighbours(predecessor, head);
    }

    /// The node is no longer a member. Newcomers may still ask it for what it lacks itself.
    pub fn leave(&mut self) {
        let lack = self.lack.take();
        *self = Self { lack, epoch: self.epoch + 1, last_beat: self.last_beat, ..Self::new(self.me) };
    }

    /// These are the member's neighbours now. To be told before anybody else is.
    ///
    /// A predecessor that is closer than the last takes its part of the range at once. One that is farther, since the last
    /// one is gone, has to vouch first; what was this node's before stays so meanwhile.
    pub fn set_neighbours(&mut self, predecessor: Option<&Peer>, head: Option<&Peer>) {
        self.predecessor = predecessor.cloned();
        self.head = head.cloned();
        let was_alone = self.vouched == Some(self.me);
        match (predecessor, head) {
            (None, None) => self.vouched = Some(self.me),
            (None, Some(_)) if was_alone => self.doubt(),
            (None, Some(_)) => {}
            (Some(peer), _) => {
                if self.vouched.is_some_and(|vouched| between(vouched, peer.position, self.me)) {
                    self.vouched = Some(peer.position);
                }
            }
        }
    }

    /// The node runs, at `now` by a clock that never goes back. To be told several times within [`STOPPED_AFTER`], and
    /// before each answer. Returns whether the node was stopped for so long that it doubts itself.
    pub fn beat(&mut self, now: Duration) -> bool {
        let was_stopped = now.saturating_sub(self.last_beat) > STOPPED_AFTER;
        self.last_beat = self.last_beat.max(now);
        if was_stopped {
            self.doubt();
        }
        was_stopped
    }

    /// Others may have taken this node's place meanwhile, and newer writes. Alone, there are no others.
    fn doubt(&mut self) {
        let Some(farthest) = self.head.as_ref().or(self.predecessor.as_ref()) else { return };
        let after = self.predecessor.as_ref().map_or(self.me, |peer| peer.position);
        let lack = Lack::new(farthest, after);
        self.vouched = None;
        self.add_lack(lack);
    }

    /// Whether the node may answer for that position.
    pub fn answers_for(&self, target: Position) -> bool {
        self.vouched.is_some_and(|vouched| owned(vouched, target, self.me))
    }

    /// What to ask the predecessor; `None` while that would tell nothing new.
    pub fn question(&self) -> Option<Question> {
        let predecessor = self.predecessor.as_ref().filter(|peer| self.vouched != Some(peer.position))?;
        Some(Question { predecessor: predecessor.clone(), epoch: self.epoch })
    }

    /// The predecessor that was asked names this node as its successor. That counts as long as it is the predecessor.
    ///
    /// If the range becomes larger by it, its records may be with those to whom another node has given them.
    pub fn vouch(&mut self, question: &Question) {
        if self.question().as_ref() != Some(question) {
            return;
        }
        let after = question.predecessor.position;
        let was_smaller = self.vouched.replace(after).is_some();
        if was_smaller && let Some(farthest) = &self.head {
            self.add_lack(Lack::new(farthest, after));
        }
    }

    fn add_lack(&mut self, new: Lack) {
        self.epoch += 1;
        let me = self.me;
        let Some(lack) = &mut self.lack else { return self.lack = Some(new) };
        lack.known.clear();
        if between(me, lack.farthest.position, new.farthest.position) {
            lack.farthest = new.farthest;
        }
        if new.after == me || between(new.after, lack.after, me) {
            lack.after = new.after;
        }
    }

    /// Whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.lack.is_none()
    }

    /// Whether what is here under that key is the newest that there is.
    pub fn has_newest(&self, key: &Key) -> bool {
        self.lack.as_ref().is_none_or(|lack| lack.known.contains(key))
    }

    /// Whether this node may yet be asked for records of the range of `other`, which may be elsewhere.
    pub fn expects_records_of(&self, other: Position) -> bool {
        self.lack.as_ref().is_some_and(|lack| between(lack.after, other, self.me))
    }

    /// The farthest node that may still have something.
    pub fn farthest(&self) -> Option<&Peer> {
        self.lack.as_ref().map(|lack| &lack.farthest)
    }

    /// A question to all who may still have something; `None` when everything is here.
    pub fn pull(&self, successors: &[Peer]) -> Option<Pull> {
        self.lack.as_ref().map(|lack| Pull::new(self.me, self.epoch, lack, successors))
    }

    /// Everybody was asked for that key, and the newest is here now. It stays so while the node may answer, since nobody
    /// else writes it then.
    pub fn learn_key(&mut self, pull: &Pull, key: &Key) {
        let current = self.lack.as_mut().filter(|_| self.epoch == pull.epoch && self.vouched.is_some());
        if let Some(lack) = current.filter(|lack| lack.known.len() < KEYS_KNOWN_MAX && pull.is_done()) {
            lack.known.insert(key.clone());
        }
    }

    /// Takes in what a question has shown, unless a later one has shown more.
    pub fn learn(&mut self, pull: &Pull) {
        let Some(lack) = &mut self.lack else { return };
        if self.epoch != pull.epoch || lack.farthest != pull.began_at {
            return;
        }
        match &pull.farthest {
            Some(farthest) => lack.farthest = farthest.clone(),
            None => self.lack = None,
        }
    }
}
