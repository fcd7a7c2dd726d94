//! The memory engine: records packed into little, gone when the process is.

mod packed;
mod shelf;

use std::hint::black_box;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chord_ring::{Position, RingSize};

use crate::engine::{Filling, Stretch, stretches};
use crate::{
    Applied, Cursor, Digest, DigestIndex, Key, Page, PageLimit, Range, Record, Sequence, Store, StoreError,
    Usage, Version,
};
use packed::{Layout, Packed, Probe, Summary, Writers};
use shelf::{Place, Shelf};

/// The ring is cut into 2^this many shards, or one for each position of a smaller ring: several times the
/// cores of a large host, so that two threads seldom want the same one.
const SHARD_BITS_MAX: u16 = 6;

/// A [`Store`] in memory. What is applied counts as durable at once.
///
/// Each shard is a stretch of the ring behind a mutex. Not a read-write lock: nobody holds one for longer
/// than it takes to copy a few pointers, and a mutex is cheaper to take.
#[derive(Debug)]
pub struct MemoryStore {
    /// 2^`shard_bits` of them.
    shards: Vec<Shard>,
    shard_bits: u16,
    layout: Layout,
    bytes_limit: u64,
    bytes: AtomicU64,
    records: AtomicU64,
    sequence: AtomicU64,
}

/// A stretch of the ring, up to where the next one begins.
#[derive(Debug)]
struct Shard {
    first: Position,
    content: Mutex<Content>,
}

/// What a shard holds.
#[derive(Debug, Default)]
struct Content {
    shelf: Shelf,
    writers: Writers,
    index: DigestIndex,
}

impl MemoryStore {
    /// An empty store for a ring of that size, which holds at most `bytes_limit` bytes by
    /// [`Record::size_bytes`].
    pub fn new(size: RingSize, bytes_limit: u64) -> Self {
        let shard_bits = size.bits().min(SHARD_BITS_MAX);
        let mut first = Position::ZERO;
        let mut shards = Vec::with_capacity(1 << shard_bits);
        for _ in 0..1 << shard_bits {
            shards.push(Shard { first, content: Mutex::default() });
            first = size.finger_start(first, size.bits() - shard_bits);
        }
        let zero = || AtomicU64::new(0);
        Self {
            shards,
            shard_bits,
            layout: Layout::new(size),
            bytes_limit,
            bytes: zero(),
            records: zero(),
            sequence: zero(),
        }
    }

    fn shard_idx(&self, probe: &Probe<'_>) -> usize {
        self.layout.part(probe.prefix, self.shard_bits)
    }

    fn shard(&self, probe: &Probe<'_>) -> &Shard {
        &self.shards[self.shard_idx(probe)]
    }

    fn find(&self, content: &Content, probe: &Probe<'_>) -> Result<Place, Place> {
        content.shelf.find(probe.prefix, |packed| self.layout.compare((probe.prefix, packed), probe))
    }

    fn merge(&self, record: &Record) -> Result<bool, StoreError> {
        let (position, digest, bytes) = (record.position, Digest::of(record), record.size_bytes() as u64);
        let probe = self.layout.probe(position, &record.key);
        let mut content = self.shard(&probe).lock();
        let content = &mut *content;
        match self.find(content, &probe) {
            Ok(place) => {
                let old = content.shelf.get(place);
                let Summary { version, size_bytes } = self.layout.summary(old, &content.writers);
                if version >= record.version {
                    return Ok(false);
                }
                self.reserve(size_bytes as u64, bytes)?;
                let old_digest = Digest::of_identity(position, record.key.as_bytes(), &version);
                content.index.replace(position, &old_digest, &digest);
                content.shelf.replace(place, self.layout.pack(record, &mut content.writers));
            }
            Err(place) => {
                self.reserve(0, bytes)?;
                self.records.fetch_add(1, Ordering::Relaxed);
                content.shelf.insert(place, probe.prefix, self.layout.pack(record, &mut content.writers));
                if let Some(crowded) = content.index.add(position, &digest) {
                    let records: Vec<_> = self.digests(content, &crowded.range).collect();
                    content.index.split(crowded, &records);
                }
            }
        }
        Ok(true)
    }

    fn applied(&self, news: usize) -> Applied {
        Applied { sequence: Sequence(self.sequence.fetch_add(1, Ordering::AcqRel) + 1), news }
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

    /// The digests of a shard's records in a range, in the order of their positions if it does not pass the origin.
    fn digests(&self, content: &Content, range: &Range) -> impl Iterator<Item = (Position, Digest)> {
        let stretches = stretches(range, None).expect("no cursor lies outside of it");
        let records = stretches.into_iter().flatten().flat_map(|stretch| self.records(content, stretch));
        records.map(|packed| self.layout.digest(packed, &content.writers))
    }

    /// A shard's records in a stretch.
    fn records<'a>(
        &self,
        content: &'a Content,
        stretch: Stretch,
    ) -> impl Iterator<Item = (u64, &'a Packed)> + use<'a> {
        let layout = self.layout;
        let first = match &stretch.0 {
            Bound::Unbounded => Place::FIRST,
            Bound::Included((position, key)) => {
                self.find(content, &layout.probe(*position, key)).unwrap_or_else(|place| place)
            }
            Bound::Excluded((position, key)) => {
                self.find(content, &layout.probe(*position, key)).map_or_else(|place| place, Place::next)
            }
        };
        content.shelf.from(first).take_while(move |packed| match &stretch.1 {
            Bound::Unbounded => true,
            Bound::Included((position, key)) => {
                layout.compare(*packed, &layout.probe(*position, key)).is_le()
            }
            Bound::Excluded((position, key)) => {
                layout.compare(*packed, &layout.probe(*position, key)).is_lt()
            }
        })
    }

    /// Adds the records of a stretch to the page, until that is full. One shard is locked at a time.
    fn fill(&self, stretch: &Stretch, filling: &mut Filling) {
        let first_idx = match &stretch.0 {
            Bound::Included((position, key)) | Bound::Excluded((position, key)) => {
                self.shard_idx(&self.layout.probe(*position, key))
            }
            Bound::Unbounded => 0,
        };
        let reached = |shard: &&Shard| match &stretch.1 {
            Bound::Included(slot) | Bound::Excluded(slot) => shard.first <= slot.0,
            Bound::Unbounded => true,
        };
        for shard in self.shards.iter().skip(first_idx).take_while(reached) {
            let content = shard.lock();
            for packed in self.records(&content, stretch.clone()) {
                if !filling.add(self.layout.unpack(packed, &content.writers, None)) {
                    return;
                }
            }
        }
    }
}

impl Store for MemoryStore {
    /// Memory is slow as well: what a write looks at is in the processor's cache afterwards.
    fn bring_near(&self, position: Position, key: &Key) {
        let probe = self.layout.probe(position, key);
        let content = self.shard(&probe).lock();
        if let Ok(place) = self.find(&content, &probe) {
            black_box(self.layout.summary(content.shelf.get(place), &content.writers).version);
        }
    }

    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        let probe = self.layout.probe(position, key);
        let content = self.shard(&probe).lock();
        let found = self.find(&content, &probe).ok().map(|place| content.shelf.get(place));
        Ok(found.map(|packed| self.layout.unpack(packed, &content.writers, Some(key))))
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        let mut news = 0;
        for record in &batch {
            news += usize::from(self.merge(record)?);
        }
        Ok(self.applied(news))
    }

    fn apply_one(&self, record: &Record) -> Result<Applied, StoreError> {
        let is_new = self.merge(record)?;
        Ok(self.applied(usize::from(is_new)))
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
        let probe = self.layout.probe(position, key);
        let mut content = self.shard(&probe).lock();
        let Ok(place) = self.find(&content, &probe) else { return Ok(false) };
        let content = &mut *content;
        let old = content.shelf.get(place);
        let summary = self.layout.summary(old, &content.writers);
        if summary.version != *version {
            return Ok(false);
        }
        self.bytes.fetch_sub(summary.size_bytes as u64, Ordering::Relaxed);
        self.records.fetch_sub(1, Ordering::Relaxed);
        content.index.remove(position, &Digest::of_identity(position, key.as_bytes(), version));
        content.shelf.remove(place);
        Ok(true)
    }

    fn usage(&self) -> Usage {
        Usage { records: self.records.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        let mut sum = Digest::EMPTY;
        for (idx, shard) in self.shards.iter().enumerate() {
            let content = shard.lock();
            // The first and the last stretch of a shard reach beyond its ends: one that is not cut is not looked into.
            let next = self.shards.get(idx + 1);
            let is_cut = |end| shard.first <= end && next.is_none_or(|next| end < next.first);
            let is_whole = range.contains(shard.first) && !is_cut(range.after) && !is_cut(range.up_to);
            let range = if is_whole { &Range::ALL } else { range };
            sum.combine(&content.index.digest(range, |part| {
                let mut looked_at = Digest::EMPTY;
                for (_, digest) in self.digests(&content, part) {
                    looked_at.combine(&digest);
                }
                Ok::<_, StoreError>(looked_at)
            })?);
        }
        Ok(sum)
    }
}

impl Shard {
    /// Nothing that is done under the lock panics half-way, unless memory runs out and the process ends. So the lock is
    /// taken all the same after a panic, and one failure stays one.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_looked_for_in_the_shard_that_begins_last_before_it() {
        for bits in 1..=256 {
            let size = RingSize::new(bits).unwrap();
            let store = MemoryStore::new(size, 0);
            let key = Key::empty();
            let shard_of = |position| store.shard_idx(&store.layout.probe(position, &key));
            let last = store.shards.len() - 1;
            for (idx, shard) in store.shards.iter().enumerate() {
                assert_eq!(shard_of(shard.first), idx, "{bits} bits");
                let before = shard_of(size.before(shard.first));
                assert_eq!(before, idx.checked_sub(1).unwrap_or(last), "{bits} bits");
            }
            assert_eq!(shard_of(Position::MAX), last, "{bits} bits: beyond the end of the ring");
        }
    }
}
