//! What becomes of a record that is found damaged while the engine runs: it is taken out, so that the store says "not
//! there", the digests say so too, and repair brings it back from another node.
//!
//! It is out for everybody at once, like a record that was removed. The thread that commits puts it into quarantine before the
//! commit that takes it out of the file, so a reader waits for no disk and nothing is lost that was not kept.

use std::sync::atomic::Ordering;

use chord_kv::engine::{Slot, scan};
use chord_kv::{Cursor, Digest, DigestIndex, Page, PageLimit, Range, Record, StoreError};
use chord_ring::{Position, RING_BITS_MAX, RingSize};

use crate::encoding;
use crate::engine::Engine;
use crate::quarantine::Raw;

/// How many damaged records one page sets aside at most, each with a look at a few thousand others: a page of a file that is
/// damaged all over still ends soon. Those beyond are found again by the next page.
const SET_ASIDE_PER_PAGE_MAX: usize = 16;

/// Damaged records that a page came past.
#[derive(Debug)]
pub(crate) struct Passed {
    slots: Vec<Slot>,
    /// Where the sound records before and after them are. The bytes of the key may be what is damaged, so only its
    /// neighbours tell where it was.
    neighbours: Vec<Position>,
    last_sound: Position,
    is_after_damaged: bool,
    pub(crate) records: u64,
}

impl Passed {
    /// None yet, on the way from that position.
    pub(crate) fn from(begin: Position) -> Self {
        let (slots, neighbours) = (Vec::new(), Vec::new());
        Self { slots, neighbours, last_sound: begin, is_after_damaged: false, records: 0 }
    }

    pub(crate) fn sound(&mut self, position: Position) {
        if std::mem::take(&mut self.is_after_damaged) {
            self.neighbours.push(position);
        }
        self.last_sound = position;
    }

    pub(crate) fn damaged(&mut self, key: &[u8]) {
        self.records += 1;
        if self.records <= SET_ASIDE_PER_PAGE_MAX as u64 {
            self.slots.extend(encoding::slot(key));
            self.neighbours.push(self.last_sound);
            self.is_after_damaged = true;
        }
    }
}

impl Engine {
    /// Reads a record. One that is damaged is set aside and not there any more; while that cannot be done, it is refused.
    pub(crate) fn read(&self, slot: &Slot) -> Result<Option<Record>, StoreError> {
        match self.find(slot)? {
            None => return Ok(None),
            Some(Ok(record)) => return Ok(Some(record)),
            Some(Err(_)) => self.damaged_reads.fetch_add(1, Ordering::Relaxed),
        };
        // Looked at again with the index held: it may have been written or set aside since.
        self.read_to_change(&mut self.index(), slot).map_err(|error| {
            let reason =
                format!("the record at position {} is damaged and not set aside yet: {error}", slot.0);
            StoreError::Failed { reason }
        })
    }

    /// Reads a record for whoever is about to change it.
    pub(crate) fn read_to_change(
        &self,
        index: &mut DigestIndex,
        slot: &Slot,
    ) -> Result<Option<Record>, StoreError> {
        match self.find(slot)? {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(record)),
            Some(Err(raw)) => self.set_aside(index, slot, raw).map(|()| None),
        }
    }

    /// A page of a range; what is damaged in it is passed over and set aside.
    pub(crate) fn range(
        &self,
        range: &Range,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let (page, mut passed) = self.page(range, cursor, limit)?;
        self.damaged_reads.fetch_add(passed.records, Ordering::Relaxed);
        // What cannot be set aside now is passed again. Writers get the index in between.
        for slot in &passed.slots {
            let _ = self.read_to_change(&mut self.index(), slot);
        }
        passed.neighbours.dedup();
        for position in passed.neighbours {
            let _ = self.count_out_unreadable(&mut self.index(), position);
        }
        Ok(page)
    }

    fn set_aside(&self, index: &mut DigestIndex, slot: &Slot, raw: Raw) -> Result<(), StoreError> {
        self.check_room_to_wait()?;
        self.count_out_unreadable(index, slot.0)?;
        self.shrink(encoding::likely_size_bytes(&raw.key, &raw.value) as u64);
        self.damaged().add(&raw);
        let mut pending = self.pending_mut();
        pending.put_damaged(slot.clone(), raw);
        pending.end_batch();
        drop(pending);
        self.announce_work();
        Ok(())
    }

    /// Counts out what cannot be read of the stretch that a position lies in. The version of a damaged record is not known,
    /// so its digest is told by what is missing from that of its stretch.
    pub(crate) fn count_out_unreadable(
        &self,
        index: &mut DigestIndex,
        position: Position,
    ) -> Result<(), StoreError> {
        let circle = RingSize::new(u64::from(RING_BITS_MAX)).expect("the largest size is a size");
        let before = circle.before(position);
        let here = Range { after: before, up_to: position };
        // Its digest is that of all whole stretches, and of what can be read of the one that it leaves out a part of.
        let elsewhere = Range { after: position, up_to: before };
        let mut unreadable = index.digest(&Range::ALL, |part| self.readable(part))?;
        unreadable.take_away(&index.digest(&elsewhere, |part| self.readable(part))?);
        unreadable.take_away(&self.readable(&here)?);
        if unreadable != Digest::EMPTY {
            index.remove(position, &unreadable);
            self.count_out(unreadable.records());
        }
        Ok(())
    }

    /// The digest of what can be read of a range, from the records themselves.
    fn readable(&self, range: &Range) -> Result<Digest, StoreError> {
        let mut sum = Digest::EMPTY;
        let page = |cursor: Option<&Cursor>, limit| self.page(range, cursor, limit).map(|(page, _)| page);
        scan(page, |record| sum.add(record))?;
        Ok(sum)
    }
}
