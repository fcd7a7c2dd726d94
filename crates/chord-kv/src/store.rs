//! The store: what an engine that holds records promises to the replication protocol.

use std::num::NonZeroUsize;

use chord_ring::{Position, owned};

use crate::{Digest, Key, Record, Version, engine};

/// Holds records, at most one for each position and key, and always the newest that it was given.
///
/// Every method may be called from any thread. None waits for a peer, nor until something is written to a disk; an
/// engine that keeps its records on one may have to read it.
pub trait Store: Send + Sync {
    /// The record of that key, whether live, expired or a tombstone.
    ///
    /// # Errors
    /// The engine cannot tell.
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError>;

    /// Merges each record: a newer version takes the place of an older one, anything else changes nothing.
    ///
    /// Returns at once: what was merged can be read, and is durable once [`Store::durable`] has reached the
    /// sequence that is returned. Two records with the same version are taken to be the same.
    ///
    /// # Errors
    /// A record does not fit, or the engine cannot take more for now. Those before it in the batch are merged, those
    /// after it are not; merging all of them again is harmless.
    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError>;

    /// Merges one record, as [`Store::apply`] does.
    ///
    /// # Errors
    /// Those of [`Store::apply`].
    fn apply_one(&self, record: &Record) -> Result<Applied, StoreError> {
        self.apply(vec![record.clone()])
    }

    /// Up to which sequence everything that was applied survives a crash.
    fn durable(&self) -> Sequence;

    /// Has `notify` called, from a thread of the engine's own, each time that [`Store::durable`] has grown after an
    /// `apply` had returned; it must not wait. It takes the place of the one that was given before.
    ///
    /// Whoever waits for a sequence gives this first and then asks [`Store::durable`], so that nothing is missed. An
    /// engine whose records are durable when `apply` returns never calls it.
    fn on_durable(&self, notify: DurableNotifier) {
        drop(notify);
    }

    /// Whether the engine can do its work.
    fn health(&self) -> Health {
        Health::Good
    }

    /// A page of the records in `range`: clockwise from its beginning, by key at the same position, from
    /// the first one after `cursor`.
    ///
    /// Pages that are read one after the other, each from the last one's cursor, show every record that is
    /// in place all the while exactly once, whatever else comes and goes.
    ///
    /// # Errors
    /// The cursor lies outside the range, or the engine cannot read.
    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError>;

    /// Drops a record if its version is still exactly that one, and tells whether it was.
    ///
    /// This is how a node forgets what another has acknowledged: a newer write that came in since stays.
    ///
    /// # Errors
    /// The engine cannot tell; the record may or may not be there.
    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError>;

    /// Brings near what a read of this key needs, if reads have had to wait of late: then the next one need not.
    ///
    /// To be called before a lock is taken under which the key is read, so that nobody else waits for the disk.
    fn bring_near(&self, _position: Position, _key: &Key) {}

    /// How many records there are, and what they weigh.
    fn usage(&self) -> Usage;

    /// How many records were found damaged since the engine began, and are not there any more: others may have copies.
    ///
    /// Whoever reads that nothing is there looks at this afterwards, before it believes it.
    fn lost(&self) -> u64 {
        0
    }

    /// The digest of all records in `range`.
    ///
    /// # Errors
    /// The engine cannot read.
    fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        let mut digest = Digest::EMPTY;
        engine::scan(|cursor, limit| self.range(range, cursor, limit), |record| digest.add(record))?;
        Ok(digest)
    }
}

/// What an engine calls with the sequence up to which everything is durable now; see [`Store::on_durable`].
pub type DurableNotifier = Box<dyn Fn(Sequence) + Send + Sync>;

/// Whether an engine can do its work, in words for whoever runs the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It reads and writes.
    #[default]
    Good,
    /// It reads, but what was applied does not become durable. It goes on trying, and takes no new records meanwhile.
    NotWriting {
        /// What is wrong, in one sentence.
        reason: String,
        /// What to do about it, in one sentence.
        remedy: String,
    },
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room for a record that needs more bytes than the one it replaces. Retrying helps once records were
    /// deleted or handed over.
    #[error("the store holds as much as its limit of {limit_bytes} bytes allows")]
    Full {
        /// The limit.
        limit_bytes: u64,
    },
    /// More is waiting to be made durable than the engine keeps in memory. The record was not merged; retrying helps in
    /// a moment.
    #[error("the store is busy: {pending_bytes_limit} bytes wait for the disk; try again in a moment")]
    Busy {
        /// How much may wait.
        pending_bytes_limit: u64,
    },
    /// What is applied cannot be made durable at present, as on a full disk. The record was not merged; retrying helps
    /// once the remedy was applied.
    #[error("the store takes no writes: {reason}; {remedy}")]
    NotWriting {
        /// What happened.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// A cursor from another range. Nothing changed; retrying does not help.
    #[error("the cursor lies outside the range that is read")]
    ForeignCursor,
    /// The engine failed. What was being written may or may not be there.
    #[error("the store failed: {reason}")]
    Failed {
        /// What happened, in one sentence.
        reason: String,
    },
}

/// Numbers what was applied to a store, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The batch is durable when [`Store::durable`] has reached this.
    pub sequence: Sequence,
    /// How many of its records were newer than what the store held.
    pub news: usize,
}

/// An arc of the ring: after one position, up to and with another, clockwise. With equal ends it is the
/// whole circle, as in [`chord_ring::owned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The position before the first.
    pub after: Position,
    /// The last position.
    pub up_to: Position,
}

impl Range {
    /// The whole circle, in the order of the positions.
    pub const ALL: Self = Self { after: Position::MAX, up_to: Position::MAX };

    /// The whole circle, from behind that position round to it.
    pub const fn whole_from(position: Position) -> Self {
        Self { after: position, up_to: position }
    }

    /// Whether `position` lies in the range.
    pub fn contains(&self, position: Position) -> bool {
        owned(self.after, position, self.up_to)
    }
}

/// A place between two records of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The position of the record before it.
    pub position: Position,
    /// The key of the record before it.
    pub key: Key,
}

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// At most so many records.
    pub records: NonZeroUsize,
    /// At most so many bytes by [`Record::size_bytes`], though never less than one record, since a page
    /// without records could not be gone on from.
    pub bytes: usize,
}

/// Some records of a range, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; `None` when the range has no more.
    pub next: Option<Cursor>,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many records, tombstones included.
    pub records: u64,
    /// Their sum by [`Record::size_bytes`].
    pub bytes: u64,
}
