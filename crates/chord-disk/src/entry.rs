//! How changes lie in the log: all of one commit in one entry, which says of which log it is, its number, and how long it is,
//! and ends with a checksum over all of that.
//!
//! Entry: the mark of the log (8 bytes), the entry's number (8), the length of the changes (4), the changes, and the
//! CRC-32 of everything before it (4). Change: 1 for a record or 0 for a removal (1), the length of its key (2), the key;
//! and of a record the length of its value (4) and the value, both as [`encoding`] has them. Numbers are big-endian.

use crate::encoding;
use crate::pending::{Change, Changes};

/// An entry begins where a page does, so that a write that is cut off never touches one that was whole.
pub(crate) const PAGE: usize = 4096;

const REMOVAL: u8 = 0;
const RECORD: u8 = 1;

/// Mark, number, length.
const HEAD_BYTES: usize = 8 + 8 + 4;
const CHECKSUM_BYTES: usize = 4;

/// What an entry says of itself, true or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u64,
    /// How long it is, without what fills its last page.
    pub(crate) bytes: usize,
}

/// Writes an entry into an empty buffer, filled up to whole pages.
pub(crate) fn encode(bytes: &mut Vec<u8>, mark: u64, number: u64, changes: &Changes) {
    bytes.clear();
    bytes.extend_from_slice(&mark.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for ((position, key), change) in changes {
        let key = encoding::key_bytes(*position, key);
        let key_bytes = u16::try_from(key.len()).expect("a key is short").to_be_bytes();
        match change {
            Change::Put(record) => {
                let value = encoding::value_bytes(&key, record);
                let value_bytes = u32::try_from(value.len()).expect("a value is shorter").to_be_bytes();
                bytes.push(RECORD);
                for part in [&key_bytes[..], &key, &value_bytes, &value] {
                    bytes.extend_from_slice(part);
                }
            }
            Change::Gone => {
                bytes.push(REMOVAL);
                bytes.extend_from_slice(&key_bytes);
                bytes.extend_from_slice(&key);
            }
        }
    }
    let body_bytes = u32::try_from(bytes.len() - HEAD_BYTES).expect("what is large is not logged");
    bytes[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&body_bytes.to_be_bytes());
    let checksum = crc32fast::hash(bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
}

/// What stands at the beginning of a page, if an entry of that log begins there.
pub(crate) fn head(page: &[u8], mark: u64) -> Option<Head> {
    let (found, rest) = page.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (body_bytes, _) = rest.split_first_chunk()?;
    let number = u64::from_be_bytes(*number);
    if u64::from_be_bytes(*found) != mark || number == u64::MAX {
        return None;
    }
    let body_bytes = usize::try_from(u32::from_be_bytes(*body_bytes)).ok()?;
    Some(Head { number, bytes: body_bytes.checked_add(HEAD_BYTES + CHECKSUM_BYTES)? })
}

/// The changes of an entry, if all of it is as it was written: each with the key bytes of its slot.
pub(crate) fn changes(entry: &[u8]) -> Option<Vec<(Vec<u8>, Change)>> {
    let (checked, checksum) = entry.split_last_chunk()?;
    if crc32fast::hash(checked) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let mut rest = checked.get(HEAD_BYTES..)?;
    let mut changes = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let (key_bytes, after) = after.split_first_chunk()?;
        let (key, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*key_bytes)))?;
        let change = match *kind {
            REMOVAL => {
                encoding::slot(key)?;
                rest = after;
                Change::Gone
            }
            RECORD => {
                let (value_bytes, after) = after.split_first_chunk()?;
                let value_bytes = usize::try_from(u32::from_be_bytes(*value_bytes)).ok()?;
                let (value, after) = after.split_at_checked(value_bytes)?;
                rest = after;
                Change::Put(encoding::record(key, value).ok()?)
            }
            _ => return None,
        };
        changes.push((key.to_vec(), change));
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use chord_kv::{Key, Record, VALUE_BYTES_LIMIT, Value, Version};
    use chord_ring::Position;

    use super::*;

    const MARK: u64 = 0x0123_4567_89AB_CDEF;

    fn some_changes() -> Changes {
        let key = |name: &[u8]| (Position::from(7), Key::new(name).unwrap());
        let record = |name: &[u8], value: Option<&[u8]>| Record {
            position: Position::from(7),
            key: Key::new(name).unwrap(),
            value: value.map(|bytes| Value::new(bytes, VALUE_BYTES_LIMIT).unwrap()),
            version: Version::new(1_700_000_000_000, 3, Position::MAX),
            expires_at_ms: None,
        };
        let put = |name, value| (key(name), Change::Put(record(name, value)));
        Changes::from([
            put(b"", Some(b"")),
            put(b"deleted", None),
            (key(b"gone"), Change::Gone),
            put(b"long", Some(&[7; 9000])),
        ])
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = vec![1, 2, 3];
        encode(&mut bytes, MARK, 9, &some_changes());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encoded();
        assert_eq!(bytes.len() % PAGE, 0);
        let head = head(&bytes, MARK).unwrap();
        assert_eq!((head.number, head.bytes.next_multiple_of(PAGE)), (9, bytes.len()));
        let read = changes(&bytes[..head.bytes]).unwrap();
        let written = some_changes();
        assert_eq!(read.len(), written.len());
        for ((key, read), (slot, written)) in read.iter().zip(&written) {
            assert_eq!(encoding::slot(key).as_ref(), Some(slot));
            match (read, written) {
                (Change::Put(read), Change::Put(written)) => assert_eq!(read, written),
                (Change::Gone, Change::Gone) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_entry_of_another_log_is_none() {
        let bytes = encoded();
        assert_eq!(head(&bytes, MARK + 1), None);
        assert_eq!(head(&bytes[..19], MARK), None);
    }

    #[test]
    fn a_flipped_bit_or_a_missing_end_is_found_out() {
        let bytes = encoded();
        let end = head(&bytes, MARK).unwrap().bytes;
        for at in (0..8 * end).step_by(5) {
            let mut bytes = bytes[..end].to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(changes(&bytes).is_none(), "bit {at}");
        }
        for end in (0..end).step_by(7) {
            assert!(changes(&bytes[..end]).is_none(), "{end} bytes");
        }
    }
}
