//! Tenure: for which positions a node may answer, and of which of them it does not know yet that it has everything.
//!
//! A node takes itself for the owner from its predecessor on. That is not enough to answer: while several nodes join, or
//! after the node was stopped for a while, two may take themselves for the owner of one position. So the predecessor must
//! *vouch*: a predecessor names one node as its successor, and names another only when the one that it named has told it
//! of that other, or is gone. The owner of a position therefore changes in an order that all agree on.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::{Peer, Position, between, owned};

use crate::{Key, Range};

/// Of how many keys a node knows that it has what is newest, before it has everything. Others are asked for again and
/// again; it has everything within seconds.
pub const KEYS_KNOWN_MAX: usize = 4096;

/// A node that has not run for so long doubts all that it knew: others may have taken it for dead and its place. They
/// need two missed answers in a row, each of half a second at least, so it doubts itself sooner than they do.
pub const STOPPED_AFTER: Duration = Duration::from_millis(800);

/// What a node knows about its own range.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    me: Position,
    predecessor: Option<Peer>,
    /// The position after which, up to its own, the node is the owner by more than its own word. Its own position means
    /// the whole circle.
    vouched: Option<Position>,
    missing: Option<Missing>,
    /// Whether nobody can have owned any of the range since the node became a member, but the one before it and itself: its
    /// predecessor has never been farther since, and the node has not doubted itself.
    is_undisturbed: bool,
    /// Counts what makes earlier questions worthless.
    epoch: u64,
    /// How often the node has doubted itself.
    doubts: u64,
    last_beat: Duration,
}

/// A part of the range of which others may have records that this node lacks.
#[derive(Clone, Debug)]
struct Missing {
    range: Range,
    /// Keys for which everybody was asked.
    known: BTreeSet<Key>,
    /// Who has all of a part of it, by its own account, and the part.
    yielded: Option<(Peer, Range)>,
}

/// Names a question to the predecessor, or to those who may have what is missing: outdated when more has become missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Epoch {
    /// Another one for each epoch of a node's life.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl Tenure {
    pub(super) fn new(me: Position, now: Duration) -> Self {
        Self {
            me,
            predecessor: None,
            vouched: None,
            missing: None,
            is_undisturbed: false,
            epoch: 0,
            doubts: 0,
            last_beat: now,
        }
    }

    /// The node has become a member between these two; of a ring of its own if there is nobody.
    pub(super) fn join(&mut self, predecessor: Option<&Peer>, head: Option<&Peer>) {
        *self = Self { epoch: self.epoch + 1, doubts: self.doubts + 1, ..Self::new(self.me, self.last_beat) };
        let after = predecessor.map_or(self.me, |peer| peer.position);
        self.miss(Range { after, up_to: self.me });
        self.predecessor = predecessor.cloned();
        self.is_undisturbed = true;
        self.set_neighbours(predecessor, head);
    }

    /// The node is no longer a member.
    pub(super) fn leave(&mut self) {
        *self = Self { epoch: self.epoch + 1, doubts: self.doubts + 1, ..Self::new(self.me, self.last_beat) };
    }

    /// These are the member's neighbours now.
    ///
    /// A predecessor that is closer than the last takes its part of the range at once. One that is farther, since the last
    /// one is gone, has to vouch first; what was this node's before stays so meanwhile.
    pub(super) fn set_neighbours(&mut self, predecessor: Option<&Peer>, head: Option<&Peer>) {
        self.is_undisturbed &= match (&self.predecessor, predecessor) {
            (Some(before), Some(after)) => {
                before == after || between(before.position, after.position, self.me)
            }
            (None, _) => true,
            (Some(_), None) => false,
        };
        self.predecessor = predecessor.cloned();
        let was_alone = self.vouched == Some(self.me);
        match (predecessor, head) {
            (None, None) => self.vouched = Some(self.me),
            // Those who come may have been a ring of their own, with newer writes.
            (_, Some(_)) | (Some(_), _) if was_alone => self.doubt(),
            (None, Some(_)) => {}
            (Some(peer), _) => {
                if self.vouched.is_some_and(|vouched| between(vouched, peer.position, self.me)) {
                    self.vouched = Some(peer.position);
                    self.shrink_missing(peer.position);
                }
            }
        }
    }

    /// The node runs, at `now` by a clock that never goes back. Returns whether the node was stopped for so long that it
    /// doubts itself.
    pub(super) fn beat(&mut self, now: Duration) -> bool {
        let was_stopped = now.saturating_sub(self.last_beat) > STOPPED_AFTER;
        self.last_beat = self.last_beat.max(now);
        let has_others = self.vouched != Some(self.me) || self.predecessor.is_some();
        if was_stopped && has_others {
            self.doubt();
        }
        was_stopped && has_others
    }

    /// Another has claimed some of the range without a right to it, and may have looked and written meanwhile.
    pub(super) fn was_claimed(&mut self) {
        self.doubts += 1;
        self.lose_records();
    }

    /// Others may have taken this node's place meanwhile, and newer writes.
    pub(super) fn doubt(&mut self) {
        let after = self.predecessor.as_ref().map_or(self.me, |peer| peer.position);
        self.vouched = None;
        self.is_undisturbed = false;
        self.doubts += 1;
        self.miss(Range { after, up_to: self.me });
    }

    /// How often the node has doubted itself: what it began before, others may have overtaken.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts
    }

    /// Whether the node may answer for that position.
    pub(super) fn answers_for(&self, target: Position) -> bool {
        self.vouched.is_some_and(|vouched| owned(vouched, target, self.me))
    }

    /// The range that the node may answer for.
    pub(super) fn range(&self) -> Option<Range> {
        self.vouched.map(|after| Range { after, up_to: self.me })
    }

    /// The predecessor, if it has to vouch.
    pub(super) fn question(&self) -> Option<(Peer, Epoch)> {
        let predecessor = self.predecessor.as_ref().filter(|peer| self.vouched != Some(peer.position))?;
        Some((predecessor.clone(), Epoch(self.epoch)))
    }

    /// The predecessor, if it has vouched.
    pub(super) fn vouched_by(&self) -> Option<(Peer, Epoch)> {
        let predecessor = self.predecessor.as_ref().filter(|peer| self.vouched == Some(peer.position))?;
        Some((predecessor.clone(), Epoch(self.epoch)))
    }

    /// That predecessor names this node as its successor. It counts as long as it is the predecessor.
    pub(super) fn vouch(&mut self, predecessor: &Peer, asked: Epoch) {
        if self.question() != Some((predecessor.clone(), asked)) {
            return;
        }
        let after = predecessor.position;
        // It may be farther than the one that there was when this node joined, or doubted itself.
        self.is_undisturbed &= self.vouched.is_none();
        let before = self.vouched.replace(after).unwrap_or(self.me);
        self.miss(Range { after, up_to: before });
        self.shrink_missing(after);
    }

    /// Some record is not there any more, and nobody knows which.
    pub(super) fn lose_records(&mut self) {
        if let Some(range) = self.range() {
            self.is_undisturbed = false;
            self.miss(range);
        }
    }

    fn miss(&mut self, range: Range) {
        self.epoch += 1;
        let range = match &self.missing {
            Some(missing) => hull(missing.range, range, self.me),
            None => range,
        };
        self.missing = Some(Missing { range, known: BTreeSet::new(), yielded: None });
    }

    /// What lies before the new predecessor is somebody else's.
    fn shrink_missing(&mut self, predecessor: Position) {
        let Some(missing) = &mut self.missing else { return };
        if owned(predecessor, missing.range.up_to, self.me) {
            if missing.range.after == self.me || between(missing.range.after, predecessor, self.me) {
                missing.range.after = predecessor;
            }
        } else {
            self.missing = None;
        }
    }

    /// What may be elsewhere, and the name of the question for it.
    pub(super) fn missing(&self) -> Option<(Range, Epoch)> {
        self.missing.as_ref().map(|missing| (missing.range, Epoch(self.epoch)))
    }

    /// Whether the one before may have all that is missing.
    pub(super) fn may_inherit(&self) -> bool {
        self.is_undisturbed && self.vouched.is_some() && self.missing.is_some()
    }

    /// The owner before says that it had everything of that range until this node came.
    pub(super) fn inherit(&mut self, asked: Epoch, from: &Peer, range: Range) {
        if asked.0 == self.epoch
            && self.may_inherit()
            && let Some(missing) = &mut self.missing
        {
            missing.yielded = Some((from.clone(), range));
        }
    }

    /// The owner before does not have everything any more.
    pub(super) fn disinherit(&mut self) {
        if let Some(missing) = &mut self.missing {
            missing.yielded = None;
        }
    }

    /// Who has everything of a range, of what is missing.
    pub(super) fn yielded(&self) -> Option<(&Peer, Range)> {
        let (peer, range) = self.missing.as_ref()?.yielded.as_ref()?;
        Some((peer, *range))
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Everybody was asked for what was missing.
    pub(super) fn found_all(&mut self, asked: Epoch) {
        if asked.0 == self.epoch {
            self.missing = None;
        }
    }

    /// Everybody was asked for that key. It stays so while the node may answer, since nobody else writes it then.
    pub(super) fn found_key(&mut self, asked: Epoch, key: &Key) {
        if asked.0 != self.epoch || self.vouched.is_none() {
            return;
        }
        if let Some(missing) = self.missing.as_mut().filter(|missing| missing.known.len() < KEYS_KNOWN_MAX) {
            missing.known.insert(key.clone());
        }
    }

    /// Whether the node has the newest that there is under that key, if it may answer for it.
    pub(super) fn has_newest(&self, position: Position, key: &Key) -> bool {
        let missing = self.missing.as_ref().filter(|missing| missing.range.contains(position));
        missing.is_none_or(|missing| missing.known.contains(key))
    }

    /// Whether the node may answer for its whole range and lacks nothing of it.
    pub(super) fn is_complete(&self) -> bool {
        self.vouched.is_some() && self.missing.is_none()
    }

    /// The part of its range of which it lacks nothing.
    pub(super) fn complete_range(&self) -> Option<Range> {
        let range = self.range()?;
        match &self.missing {
            None => Some(range),
            Some(missing) if missing.range.up_to == self.me => None,
            Some(missing) => Some(Range { after: missing.range.up_to, up_to: self.me }),
        }
    }
}

/// The smallest range that ends with the later one of two ranges before `me` and begins with the earlier one.
fn hull(one: Range, other: Range, me: Position) -> Range {
    let is_earlier = |x: Position, y: Position| x == me || (y != me && between(x, y, me));
    let after = if is_earlier(one.after, other.after) { one.after } else { other.after };
    let is_later = |x: Position, y: Position| x == me || (y != me && between(y, x, me));
    let up_to = if is_later(one.up_to, other.up_to) { one.up_to } else { other.up_to };
    Range { after, up_to }
}

#[cfg(test)]
mod tests;
