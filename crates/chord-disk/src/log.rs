//! The log before the tree: changes that are durable and not in the tree yet, one entry after the other.
//!
//! The file has its full length from the beginning, and every byte of it was written once, so that a sync has nothing to
//! tell the file system but what was written. After a page with the header come two halves, which are filled in turn: one
//! may be filled again once all that was in it is in the tree.
//!
//! Header: `chordlog` (8 bytes), the mark of this log (8), the length of a half (8), the CRC-32 of these (4).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::time::Duration;

use redb::StorageBackend;

use crate::directory;
use crate::entry::{self, PAGE};
use crate::medium::{Medium, Patient};
use crate::pending::Changes;

/// How long a half is: 2048 commits of small records, with some thousands of these where few come together, of which many
/// then share a page of the tree; and little enough that what is in both is read and put into the tree in a second or two at
/// the next start.
pub(crate) const HALF_BYTES: u64 = 8 << 20;

/// So long after the first change that is in the log alone all of them are put into the tree, be they ever so few: a start
/// then has little to do, and whoever looks at the tree finds it nearly as it should be.
pub(crate) const MERGE_AFTER: Duration = Duration::from_secs(5);

/// A lot that is larger than this part of a half goes into the tree at once: to write it twice would cost more than the
/// pages that its changes touch.
pub(crate) const LOT_PART: u64 = 8;

const WORD: [u8; 8] = *b"chordlog";
const HEADER_BYTES: usize = 8 + 8 + 8 + 4;

/// How much of a new log is written at a time.
const ZEROS: usize = 1 << 20;

/// The length of the header's page.
const BEGIN: u64 = PAGE as u64;

const _: () = assert!(HALF_BYTES.is_multiple_of(BEGIN) && HALF_BYTES / LOT_PART < u32::MAX as u64);

/// Where the log lies, how large it is, and how long something may be there alone.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) medium: Medium,
    pub(crate) half_bytes: u64,
    pub(crate) merge_after: Duration,
}

impl Place {
    /// How many bytes of changes an entry takes at most.
    pub(crate) fn lot_bytes_max(&self) -> u64 {
        self.half_bytes / LOT_PART
    }

    fn length(&self) -> u64 {
        BEGIN + 2 * self.half_bytes
    }
}

/// What the first page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// There never was a log.
    Nothing,
    /// There was one.
    Damaged,
    Log {
        mark: u64,
        half_bytes: u64,
    },
}

impl Header {
    pub(crate) fn read(file: &Patient) -> io::Result<Self> {
        if file.len()? < BEGIN {
            return Ok(Self::Nothing);
        }
        let mut page = [0; PAGE];
        file.read(0, &mut page)?;
        Ok(Self::of(&page))
    }

    fn of(page: &[u8; PAGE]) -> Self {
        if page.iter().all(|byte| *byte == 0) {
            return Self::Nothing;
        }
        Self::known(page).unwrap_or(Self::Damaged)
    }

    fn known(page: &[u8]) -> Option<Self> {
        let (checked, rest) = page.split_at_checked(HEADER_BYTES - 4)?;
        let (checksum, _) = rest.split_first_chunk()?;
        let (word, rest) = checked.split_first_chunk::<8>()?;
        let (mark, rest) = rest.split_first_chunk()?;
        let (half_bytes, _) = rest.split_first_chunk()?;
        let half_bytes = u64::from_be_bytes(*half_bytes);
        let is_known = *word == WORD
            && crc32fast::hash(checked) == u32::from_be_bytes(*checksum)
            && half_bytes.is_multiple_of(BEGIN)
            && u32::try_from(half_bytes).is_ok();
        is_known.then_some(Self::Log { mark: u64::from_be_bytes(*mark), half_bytes })
    }
}

/// The first page of a log.
pub(crate) fn header_page(mark: u64, half_bytes: u64) -> Vec<u8> {
    let mut page = [WORD, mark.to_be_bytes(), half_bytes.to_be_bytes()].concat();
    let checksum = crc32fast::hash(&page);
    page.extend_from_slice(&checksum.to_be_bytes());
    page.resize(PAGE, 0);
    page
}

/// Where a half begins in the file.
pub(crate) fn begin_of(half: usize, half_bytes: u64) -> u64 {
    BEGIN + half as u64 * half_bytes
}

/// A log that is written to.
#[derive(Debug)]
pub(crate) struct Log {
    file: Patient,
    mark: u64,
    half_bytes: u64,
    /// The number of the next entry.
    next: u64,
    /// Which half is being filled, and how much of it is.
    half: usize,
    filled: u64,
    /// The last entry of each half; 0 before there is one.
    last: [u64; 2],
    /// The next entry, from when it is prepared.
    entry: Vec<u8>,
}

/// Whether there is room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Here,
    /// The other half comes next, once all entries up to this are in the tree.
    AfterMerge(u64),
}

impl Drop for Log {
    /// It is locked as long as a process that was forked off has it open too.
    fn drop(&mut self) {
        let _ = self.file.close();
    }
}

impl Log {
    /// Begins to write a log, of which everything is in the tree: the one that is there, or a new one if there is none or
    /// `is_spoilt` says that it is not to be relied on.
    pub(crate) fn begin(place: &Place, next: u64, is_spoilt: bool) -> io::Result<Self> {
        let file = place.medium.open()?;
        let (half_bytes, length) = (place.half_bytes, file.len()?);
        let mark = match Header::read(&file) {
            // The mark that is read may be one that a failed sync has left in memory alone, and what is written after that
            // would be another log's when the power fails.
            Ok(Header::Log { half_bytes: found, .. })
                if !is_spoilt && found == half_bytes && length == place.length() =>
            {
                write_header(&file, place)
            }
            _ => lay_out(&file, place),
        };
        match mark {
            Ok(mark) => {
                let (half, filled, last, entry) = (0, 0, [0; 2], Vec::new());
                Ok(Self { file, mark, half_bytes, next, half, filled, last, entry })
            }
            Err(error) => {
                // Half a log would take room from the tree.
                let _ = file.set_len(0).and_then(|()| place.medium.remove());
                Err(error)
            }
        }
    }

    /// Makes an entry of changes, and says whether there is room for it.
    pub(crate) fn prepare(&mut self, changes: &Changes) -> Room {
        entry::encode(&mut self.entry, self.mark, self.next, changes);
        if self.filled + self.entry.len() as u64 <= self.half_bytes {
            return Room::Here;
        }
        self.half = 1 - self.half;
        self.filled = 0;
        Room::AfterMerge(self.last.get(self.half).copied().unwrap_or_default())
    }

    /// Writes the entry that was prepared; tells its number once it is durable.
    pub(crate) fn append(&mut self) -> io::Result<u64> {
        self.file.write(begin_of(self.half, self.half_bytes) + self.filled, &self.entry)?;
        self.file.sync_data()?;
        let number = self.next;
        self.filled += self.entry.len() as u64;
        if let Some(last) = self.last.get_mut(self.half) {
            *last = number;
        }
        self.next += 1;
        Ok(number)
    }

    /// The entry that is next, or that could not be written.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

/// Makes all entries those of another log: everything is in the tree.
pub(crate) fn clear(place: &Place) -> io::Result<()> {
    if place.medium.is_missing()? {
        return Ok(());
    }
    let file = place.medium.open()?;
    if file.len()? == place.length() {
        write_header(&file, place)?;
    }
    file.close()
}

/// Writes every byte of a new log, and the header only when all others are there; tells the log's mark.
fn lay_out(file: &Patient, place: &Place) -> io::Result<u64> {
    let zeros = vec![0; ZEROS];
    file.set_len(place.length())?;
    let mut at = BEGIN;
    while at < place.length() {
        let bytes = zeros.len().min(usize::try_from(place.length() - at).unwrap_or(ZEROS));
        file.write(at, zeros.get(..bytes).unwrap_or_default())?;
        at += bytes as u64;
    }
    file.sync_data()?;
    let mark = write_header(file, place)?;
    directory::sync_parent(place.medium.path())?;
    Ok(mark)
}

/// Writes a header with a mark of its own, which it tells.
fn write_header(file: &Patient, place: &Place) -> io::Result<u64> {
    // What clients write is in the entries: nobody must be able to write what looks like one.
    let mark = RandomState::new().build_hasher().finish();
    file.write(0, &header_page(mark, place.half_bytes))?;
    file.sync_data()?;
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_a_flipped_bit_is_found_out() {
        let page: [u8; PAGE] = header_page(77, 8192).try_into().unwrap();
        assert_eq!(Header::of(&page), Header::Log { mark: 77, half_bytes: 8192 });
        for at in 0..8 * HEADER_BYTES {
            let mut page = page;
            page[at / 8] ^= 1 << (at % 8);
            assert_eq!(Header::of(&page), Header::Damaged, "bit {at}");
        }
        assert_eq!(Header::of(&[0; PAGE]), Header::Nothing);
    }
}
