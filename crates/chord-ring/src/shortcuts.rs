//! Shortcuts: which peer owns what, learned from answers, so that an owner can be asked whom the node's own lists do not name.
//!
//! What is here may be wrong at any time, since nobody tells that it has changed: it says whom to ask first, and never who
//! is the owner. That, the one who is asked checks itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Found, NodeName, Peer, Position, RingSize, owned};

/// How many owners a node remembers: all of a ring several times as large as people run, in some 150 KiB. In a still larger
/// one as many lookups are saved as this is a part of it.
pub const SHORTCUTS_MAX: usize = 1024;

/// How long an owner is believed in without another lookup. It checks that it is the owner, but by what it hears of those
/// next to it: one whom only they do not reach any more, and have given up, may take itself for the owner for as long as
/// that lasts. Whoever reaches it and them must soon ask the ring again; a lookup in ten seconds costs nothing.
pub const SHORTCUT_AGE_MAX: Duration = Duration::from_secs(10);

/// What a node has learned. Without a clock: the time is an argument, as a duration since any beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortcuts {
    size: RingSize,
    /// By where they end, which is where their owners are. No two overlap.
    ranges: BTreeMap<Position, Learned>,
}

/// A range, and who owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Learned {
    after: Position,
    owner: Peer,
    at: Duration,
}

impl Shortcuts {
    /// Nothing is known of a ring of that size.
    pub fn new(size: RingSize) -> Self {
        Self { size, ranges: BTreeMap::new() }
    }

    /// A lookup of `target` has ended so. It replaces whatever contradicts it; where there is no room, what was learned
    /// longest ago goes.
    ///
    /// One that does not say where its range begins owns at least what lies from the target to itself.
    pub fn learn(&mut self, target: Position, found: &Found, now: Duration) {
        let owner = found.owner.clone();
        let end = owner.position;
        let told = found.after.filter(|after| owned(*after, target, end));
        let known = || self.range_of(target).filter(|known| known.owner == owner).map(|known| known.after);
        let after = told.or_else(known).unwrap_or_else(|| self.size.before(target));
        // Whoever is in the range owns nothing beyond it, or is gone.
        self.ranges.retain(|other, _| !owned(after, *other, end));
        for (other, learned) in &mut self.ranges {
            if owned(learned.after, end, *other) {
                learned.after = end;
            }
        }
        if self.ranges.len() >= SHORTCUTS_MAX
            && let Some((oldest, _)) = self.ranges.iter().min_by_key(|(_, learned)| learned.at)
        {
            self.ranges.remove(&oldest.clone());
        }
        self.ranges.insert(end, Learned { after, owner, at: now });
    }

    /// That peer has refused, does not answer or has left: nothing is believed of it.
    pub fn forget(&mut self, peer: &NodeName) {
        self.ranges.retain(|_, learned| learned.owner.name != *peer);
    }

    /// The node is in no ring any more.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Who owned that position when it was last heard of, if that was a moment ago.
    pub fn owner_of(&self, target: Position, now: Duration) -> Option<&Peer> {
        let learned = self.range_of(target)?;
        (now.saturating_sub(learned.at) <= SHORTCUT_AGE_MAX).then_some(&learned.owner)
    }

    /// How many owners are remembered.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn range_of(&self, target: Position) -> Option<&Learned> {
        let (end, learned) = self.ranges.range(target..).next().or_else(|| self.ranges.iter().next())?;
        owned(learned.after, target, *end).then_some(learned)
    }
}
