//! The memory engine: records in search trees, gone when the process is.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chord_ring::{Position, RingSize};

use crate::engine::{Filling, Slot, Stretch, stretches};
use crate::record::size_bytes;
use crate::{
    Applied, Cursor, Key, Page, PageLimit, Range, Record, Sequence, Store, StoreError, Usage, Value, Version,
};

/// The ring is cut into 2^this many shards, or one for each position of a smaller ring: several times the
/// cores of a large host, so that two threads seldom want the same one.
const SHARD_BITS_MAX: u16 = 6;

/// A [`Store`] in memory. What is applied counts as durable at once.
///
/// Each shard is a stretch of the ring behind a mutex. Not a read-write lock: nobody holds one for longer
/// than it takes to copy a few pointers, and a mutex is cheaper to take.
#[derive(Debug)]
pub struct MemoryStore {
    shards: Vec<Shard>,
    bytes_limit: u64,
    bytes: AtomicU64,
    records: AtomicU64,
    sequence: AtomicU64,
}

/// A stretch of the ring, up to where the next one begins.
#[derive(Debug)]
struct Shard {
    first: Position,
    records: Mutex<BTreeMap<Slot, Held>>,
}

/// What a record holds beside its slot.
#[derive(Debug)]
struct Held {
    value: Option<Value>,
    version: Version,
    expires_at_ms: Option<u64>,
}

impl MemoryStore {
    /// An empty store for a ring of that size, which holds at most `bytes_limit` bytes by
    /// [`Record::size_bytes`].
    pub fn new(size: RingSize, bytes_limit: u64) -> Self {
        let shard_bits = size.bits().min(SHARD_BITS_MAX);
        let mut first = Position::ZERO;
        let mut shards = Vec::with_capacity(1 << shard_bits);
        for _ in 0..1 << shard_bits {
            shards.push(Shard { first, records: Mutex::default() });
            first = size.finger_start(first, size.bits() - shard_bits);
        }
        let zero = || AtomicU64::new(0);
        Self { shards, bytes_limit, bytes: zero(), records: zero(), sequence: zero() }
    }

    /// The first shard begins at 0, so every position has one, be it on the ring or beyond its end.
    fn shard_idx(&self, position: Position) -> usize {
        self.shards.partition_point(|shard| shard.first <= position) - 1
    }

    fn lock(&self, position: Position) -> MutexGuard<'_, BTreeMap<Slot, Held>> {
        self.shards[self.shard_idx(position)].lock()
    }

    fn merge(&self, record: Record) -> Result<bool, StoreError> {
        let size_bytes = record.size_bytes() as u64;
        let (slot, held) = take_apart(record);
        let mut records = self.lock(slot.0);
        let old_bytes = match records.get(&slot) {
            Some(old) if old.version >= held.version => return Ok(false),
            Some(old) => old.size_bytes(&slot),
            None => 0,
        };
        self.reserve(old_bytes, size_bytes)?;
        if records.insert(slot, held).is_none() {
            self.records.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Counts a record of `new_bytes` that replaces one of `old_bytes`. One that is not larger always fits:
    /// a full store can still delete.
    fn reserve(&self, old_bytes: u64, new_bytes: u64) -> Result<(), StoreError> {
        let Some(growth) = new_bytes.checked_sub(old_bytes) else {
            self.bytes.fetch_sub(old_bytes - new_bytes, Ordering::Relaxed);
            return Ok(());
        };
        let grown =
            |bytes: u64| bytes.checked_add(growth).filter(|grown| growth == 0 || *grown <= self.bytes_limit);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Full { limit_bytes: self.bytes_limit }),
        }
    }

    /// Adds the records of a stretch to the page, until that is full. One shard is locked at a time.
    fn fill(&self, stretch: &Stretch, filling: &mut Filling) {
        let first_idx = match &stretch.0 {
            Bound::Included(slot) | Bound::Excluded(slot) => self.shard_idx(slot.0),
            Bound::Unbounded => 0,
        };
        let reached = |shard: &&Shard| match &stretch.1 {
            Bound::Included(slot) | Bound::Excluded(slot) => shard.first <= slot.0,
            Bound::Unbounded => true,
        };
        for shard in self.shards.iter().skip(first_idx).take_while(reached) {
            for (slot, held) in shard.lock().range(stretch.clone()) {
                if !filling.add(put_together(slot, held)) {
                    return;
                }
            }
        }
    }
}

impl Store for MemoryStore {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        let slot = (position, key.clone());
        Ok(self.lock(position).get(&slot).map(|held| put_together(&slot, held)))
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        let mut news = 0;
        for record in batch {
            news += usize::from(self.merge(record)?);
        }
        let sequence = self.sequence.fetch_add(1, Ordering::AcqRel) + 1;
        Ok(Applied { sequence: Sequence(sequence), news })
    }

    fn durable(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Acquire))
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        let mut filling = Filling::new(limit);
        for stretch in stretches(range, cursor)?.iter().flatten() {
            self.fill(stretch, &mut filling);
        }
        Ok(filling.into_page())
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        let slot = (position, key.clone());
        let mut records = self.lock(position);
        match records.get(&slot) {
            Some(held) if held.version == *version => {
                self.bytes.fetch_sub(held.size_bytes(&slot), Ordering::Relaxed);
                self.records.fetch_sub(1, Ordering::Relaxed);
                records.remove(&slot);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn usage(&self) -> Usage {
        Usage { records: self.records.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl Shard {
    /// A thread that panicked while it held the lock left a whole tree behind: each change here is one
    /// insertion or one removal. So the lock is taken all the same, and one failure stays one.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Slot, Held>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn size_bytes(&self, slot: &Slot) -> u64 {
        size_bytes(&slot.1, self.value.as_ref()) as u64
    }
}

fn take_apart(record: Record) -> (Slot, Held) {
    let Record { position, key, value, version, expires_at_ms } = record;
    ((position, key), Held { value, version, expires_at_ms })
}

fn put_together(slot: &Slot, held: &Held) -> Record {
    let (position, key) = slot.clone();
    Record {
        position,
        key,
        value: held.value.clone(),
        version: held.version,
        expires_at_ms: held.expires_at_ms,
    }
}
