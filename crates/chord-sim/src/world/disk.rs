//! A disk: a store of which a crash loses what was not synced yet.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chord_kv::{
    Applied, Cursor, Digest, Key, MemoryStore, Page, PageLimit, Range, Record, Sequence, Store, StoreError,
    Usage, Version,
};
use chord_ring::{Position, RingSize};

/// Bytes of records that fit: more than any run writes.
const BYTES_MAX: u64 = 1 << 30;

/// What survives the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// Nothing: records are in memory, and count as durable at once.
    Memory,
    /// What was synced.
    Disk,
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "in memory",
            Self::Disk => "on disk",
        })
    }
}

/// Why a store takes nothing new for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot write: what was applied does not become durable either.
    NotWriting,
    /// It has no room. Of a batch it takes the first half.
    Full,
    /// Too much waits for the disk.
    Busy,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotWriting => "cannot write",
            Self::Full => "is full",
            Self::Busy => "is busy",
        })
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NotWriting => {
                Self::NotWriting { reason: "the disk fails".to_owned(), remedy: "replace it".to_owned() }
            }
            Trouble::Full => Self::Full { limit_bytes: BYTES_MAX },
            Trouble::Busy => Self::Busy { pending_bytes_limit: BYTES_MAX },
        }
    }
}

/// The store of one host.
#[derive(Debug)]
pub(super) struct Disk {
    keeping: Keeping,
    size: RingSize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the process sees.
    live: MemoryStore,
    /// What is on the platter.
    safe: MemoryStore,
    unsynced: VecDeque<(Sequence, Change)>,
    applied: Sequence,
    durable: Sequence,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
enum Change {
    Apply(Vec<Record>),
    Remove(Position, Key, Version),
}

impl Disk {
    pub(super) fn new(size: RingSize, keeping: Keeping) -> Self {
        let empty = || MemoryStore::new(size, BYTES_MAX);
        let state = State {
            live: empty(),
            safe: empty(),
            unsynced: VecDeque::new(),
            applied: Sequence::default(),
            durable: Sequence::default(),
            trouble: None,
        };
        Self { keeping, size, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits to be synced.
    pub(super) fn is_dirty(&self) -> bool {
        !self.state().unsynced.is_empty()
    }

    /// From now on nothing new is taken, for that reason; `None` ends it.
    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// All that was applied is durable, unless the disk does not write.
    pub(super) fn sync(&self) {
        let mut state = self.state();
        if state.trouble == Some(Trouble::NotWriting) {
            return;
        }
        let count = state.unsynced.len();
        state.sync_first(count);
    }

    /// The process ends. Of what was not synced, the first so many changes survive all the same.
    pub(super) fn crash(&self, lucky: usize) {
        let mut state = self.state();
        if self.keeping == Keeping::Memory {
            state.live = MemoryStore::new(self.size, BYTES_MAX);
            return;
        }
        let lucky = lucky.min(state.unsynced.len());
        state.sync_first(lucky);
        state.unsynced.clear();
        state.applied = state.durable;
        state.live = MemoryStore::new(self.size, BYTES_MAX);
        for record in all(&state.safe) {
            state.live.apply(vec![record]).expect("it was here before");
        }
    }

    /// All that is there.
    pub(super) fn records(&self) -> Vec<Record> {
        all(&self.state().live)
    }
}

fn all(store: &MemoryStore) -> Vec<Record> {
    let limit = PageLimit { records: std::num::NonZeroUsize::MAX, bytes: usize::MAX };
    store.range(&Range::ALL, None, limit).expect("memory can be read").records
}

impl State {
    fn sync_first(&mut self, count: usize) {
        for (sequence, change) in self.unsynced.drain(..count) {
            self.durable = sequence;
            match change {
                Change::Apply(batch) => drop(self.safe.apply(batch).expect("it fits")),
                Change::Remove(position, key, version) => {
                    self.safe.remove(position, &key, &version).expect("memory can be changed");
                }
            }
        }
    }

    fn change(&mut self, keeping: Keeping, change: Change) -> Sequence {
        self.applied.0 += 1;
        match keeping {
            Keeping::Memory => self.durable = self.applied,
            Keeping::Disk => self.unsynced.push_back((self.applied, change)),
        }
        self.applied
    }
}

impl Store for Disk {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        self.state().live.read(position, key)
    }

    fn apply(&self, mut batch: Vec<Record>) -> Result<Applied, StoreError> {
        let mut state = self.state();
        if let Some(trouble) = state.trouble {
            batch.truncate(if trouble == Trouble::Full { batch.len() / 2 } else { 0 });
            if !batch.is_empty() {
                state.live.apply(batch.clone())?;
                state.change(self.keeping, Change::Apply(batch));
            }
            return Err(trouble.into());
        }
        let news = state.live.apply(batch.clone())?.news;
        let sequence = state.change(self.keeping, Change::Apply(batch));
        Ok(Applied { sequence, news })
    }

    fn durable(&self) -> Sequence {
        self.state().durable
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        self.state().live.range(range, cursor, limit)
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_removed = state.live.remove(position, key, version)?;
        if is_removed {
            state.change(self.keeping, Change::Remove(position, key.clone(), *version));
        }
        Ok(is_removed)
    }

    fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        self.state().live.digest(range)
    }

    fn usage(&self) -> Usage {
        self.state().live.usage()
    }
}
