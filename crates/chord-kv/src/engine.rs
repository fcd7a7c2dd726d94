//! What engines share: the order in which records stand, and how a page of a range is filled.
//!
//! Not for those who use a [`Store`](crate::Store): for those who write one.

use std::num::NonZeroUsize;
use std::ops::Bound;

use chord_ring::{Position, RING_BITS_MAX, RingSize};

use crate::{Cursor, Key, Page, PageLimit, Range, Record, StoreError};

/// How many records are looked at together when all of a range are: enough to make the cost of a page small, few
/// enough that an engine's locks are not held for long, and that large ones do not fill the memory.
const SCAN_PAGE: PageLimit =
    PageLimit { records: NonZeroUsize::new(1024).expect("not zero"), bytes: 4 << 20 };

/// Where a record stands: by position, then by key.
pub type Slot = (Position, Key);

/// A stretch of slots that does not pass the ring's origin.
pub type Stretch = (Bound<Slot>, Bound<Slot>);

/// What is left of `range` after `cursor`: one stretch, or two when it passes the origin.
///
/// # Errors
/// The cursor lies outside the range.
pub fn stretches(range: &Range, cursor: Option<&Cursor>) -> Result<[Option<Stretch>; 2], StoreError> {
    if cursor.is_some_and(|cursor| !range.contains(cursor.position)) {
        return Err(StoreError::ForeignCursor);
    }
    let begin = match cursor {
        Some(cursor) => Some(Bound::Excluded((cursor.position, cursor.key.clone()))),
        None => first_slot_above(range.after).map(Bound::Included),
    };
    let end = first_slot_above(range.up_to).map_or(Bound::Unbounded, Bound::Excluded);
    if range.after < range.up_to {
        return Ok([begin.map(|begin| (begin, end)), None]);
    }
    Ok(match cursor {
        Some(cursor) if cursor.position <= range.after => [begin.map(|begin| (begin, end)), None],
        Some(_) | None => [begin.map(|begin| (begin, Bound::Unbounded)), Some((Bound::Unbounded, end))],
    })
}

/// The first slot after all those at `position`, unless that is the last position there can be.
fn first_slot_above(position: Position) -> Option<Slot> {
    let widest = RingSize::new(u64::from(RING_BITS_MAX)).expect("the largest size is a size");
    (position < Position::MAX).then(|| (widest.finger_start(position, 0), Key::empty()))
}

/// A page that is being filled.
#[derive(Debug)]
pub struct Filling {
    page: Page,
    limit: PageLimit,
    bytes: usize,
}

impl Filling {
    /// An empty page.
    pub fn new(limit: PageLimit) -> Self {
        Self { page: Page { records: Vec::new(), next: None }, limit, bytes: 0 }
    }

    /// Adds a record and returns true, unless the page is full: then it is to be gone on from its last record.
    pub fn add(&mut self, record: Record) -> bool {
        if self.page.next.is_some() {
            return false;
        }
        let bytes = self.bytes.saturating_add(record.size_bytes());
        let full = self.page.records.len() >= self.limit.records.get() || bytes > self.limit.bytes;
        if let Some(last) = self.page.records.last().filter(|_| full) {
            self.page.next = Some(Cursor { position: last.position, key: last.key.clone() });
            return false;
        }
        self.bytes = bytes;
        self.page.records.push(record);
        true
    }

    /// The page.
    pub fn into_page(self) -> Page {
        self.page
    }
}

/// Looks at every record of a range, given what reads a page of it after a cursor.
///
/// # Errors
/// A page cannot be read; some records may have been looked at.
pub fn scan(
    mut page: impl FnMut(Option<&Cursor>, PageLimit) -> Result<Page, StoreError>,
    mut look: impl FnMut(&Record),
) -> Result<(), StoreError> {
    let mut cursor = None;
    loop {
        let page = page(cursor.as_ref(), SCAN_PAGE)?;
        page.records.iter().for_each(&mut look);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}
