//! How a record lies on disk: a key that sorts as records do, and a value that ends with a checksum over both.
//!
//! Key: the position in 32 bytes, big-endian, then the record's key.
//!
//! Value: a version of this encoding (1 byte), flags (1), the record's version as time and counter (8) and writer (32),
//! its expiry if it has one (8), its value if it is no tombstone, and the CRC-32 of key and all of that (4). Numbers are
//! big-endian. The checksum covers the key, so that a value which strayed to another key is found out.

use chord_kv::{Key, RECORD_OVERHEAD_BYTES, Record, VALUE_BYTES_LIMIT, Value, Version};
use chord_ring::Position;

const ENCODING: u8 = 1;
const HAS_VALUE: u8 = 1;
const HAS_EXPIRY: u8 = 2;

const POSITION_BYTES: usize = 32;
/// Encoding, flags, time and counter, writer.
const HEADER_BYTES: usize = 2 + 8 + 32;
const EXPIRY_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is written in a way that this version does not know")]
    Encoding,
    #[error("its parts do not fit together")]
    Parts,
}

/// The bytes under which a record lies.
pub(crate) fn key_bytes(position: Position, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(POSITION_BYTES + key.as_bytes().len());
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// What lies there.
pub(crate) fn value_bytes(key_bytes: &[u8], record: &Record) -> Vec<u8> {
    let value = record.value.as_ref().map(Value::as_bytes);
    let mut bytes =
        Vec::with_capacity(HEADER_BYTES + EXPIRY_BYTES + CHECKSUM_BYTES + value.map_or(0, <[u8]>::len));
    let mut flags = 0;
    if value.is_some() {
        flags |= HAS_VALUE;
    }
    if record.expires_at_ms.is_some() {
        flags |= HAS_EXPIRY;
    }
    bytes.extend_from_slice(&[ENCODING, flags]);
    let tick = record.version.time_ms() << 16 | u64::from(record.version.counter());
    bytes.extend_from_slice(&tick.to_be_bytes());
    bytes.extend_from_slice(&record.version.writer().to_be_bytes());
    if let Some(at_ms) = record.expires_at_ms {
        bytes.extend_from_slice(&at_ms.to_be_bytes());
    }
    bytes.extend_from_slice(value.unwrap_or_default());
    let checksum = checksum(key_bytes, &bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// The record that lies there, if both are whole.
pub(crate) fn record(key_bytes: &[u8], value_bytes: &[u8]) -> Result<Record, Malformed> {
    let (body, found) = value_bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed::Checksum)?;
    if *found != checksum(key_bytes, body) {
        return Err(Malformed::Checksum);
    }
    let (position, key) = slot(key_bytes).ok_or(Malformed::Parts)?;
    let (&[encoding, flags], rest) = body.split_first_chunk().ok_or(Malformed::Parts)?;
    if encoding != ENCODING || flags & !(HAS_VALUE | HAS_EXPIRY) != 0 {
        return Err(Malformed::Encoding);
    }
    let (tick, rest) = rest.split_first_chunk().ok_or(Malformed::Parts)?;
    let tick = u64::from_be_bytes(*tick);
    let (writer, mut rest) = rest.split_first_chunk().ok_or(Malformed::Parts)?;
    let mut expires_at_ms = None;
    if flags & HAS_EXPIRY != 0 {
        let (at_ms, after) = rest.split_first_chunk().ok_or(Malformed::Parts)?;
        expires_at_ms = Some(u64::from_be_bytes(*at_ms));
        rest = after;
    }
    let value = if flags & HAS_VALUE != 0 {
        Some(Value::new(rest, VALUE_BYTES_LIMIT).map_err(|_| Malformed::Parts)?)
    } else if rest.is_empty() {
        None
    } else {
        return Err(Malformed::Parts);
    };
    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the counter")]
    let version = Version::new(tick >> 16, tick as u16, Position::from_be_bytes(*writer));
    Ok(Record { position, key, value, version, expires_at_ms })
}

/// What a damaged record was most likely counted as by [`Record::size_bytes`]: told by the lengths of its parts.
pub(crate) fn likely_size_bytes(key_bytes: &[u8], value_bytes: &[u8]) -> usize {
    let has_expiry = value_bytes.get(1).is_some_and(|flags| flags & HAS_EXPIRY != 0);
    let around = HEADER_BYTES + CHECKSUM_BYTES + if has_expiry { EXPIRY_BYTES } else { 0 };
    let key = key_bytes.len().saturating_sub(POSITION_BYTES);
    RECORD_OVERHEAD_BYTES + key + value_bytes.len().saturating_sub(around)
}

/// Where a record lies, by its key bytes.
pub(crate) fn slot(key_bytes: &[u8]) -> Option<(Position, Key)> {
    let (position, key) = key_bytes.split_first_chunk::<POSITION_BYTES>()?;
    Some((Position::from_be_bytes(*position), Key::new(key).ok()?))
}

fn checksum(key_bytes: &[u8], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key_bytes);
    hasher.update(body);
    hasher.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(value: Option<&[u8]>, expires_at_ms: Option<u64>) -> Record {
        Record {
            position: Position::from(77),
            key: Key::new(b"key").unwrap(),
            value: value.map(|bytes| Value::new(bytes, VALUE_BYTES_LIMIT).unwrap()),
            version: Version::new(1_700_000_000_000, 65535, Position::MAX),
            expires_at_ms,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for value in [None, Some(&b""[..]), Some(b"value")] {
            for expires_at_ms in [None, Some(0), Some(u64::MAX)] {
                let written = any(value, expires_at_ms);
                let key = key_bytes(written.position, &written.key);
                let value = value_bytes(&key, &written);
                assert_eq!(likely_size_bytes(&key, &value), written.size_bytes());
                assert_eq!(record(&key, &value), Ok(written));
            }
        }
    }

    #[test]
    fn a_flipped_bit_or_a_missing_end_is_found_out() {
        let written = any(Some(b"value"), Some(5));
        let key = key_bytes(written.position, &written.key);
        let value = value_bytes(&key, &written);
        for at in 0..8 * (key.len() + value.len()) {
            let (mut key, mut value) = (key.clone(), value.clone());
            let (byte, bit) = (at / 8, 1 << (at % 8));
            match byte.checked_sub(key.len()) {
                None => key[byte] ^= bit,
                Some(byte) => value[byte] ^= bit,
            }
            assert!(record(&key, &value).is_err(), "bit {at}");
        }
        for end in 0..value.len() {
            assert!(record(&key, &value[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn the_encoding_is_as_it_was() {
        let written = any(Some(b"v"), None);
        let key = key_bytes(written.position, &written.key);
        let value = value_bytes(&key, &written);
        assert_eq!(key[..32], Position::from(77).to_be_bytes());
        assert_eq!(key[32..], *b"key");
        assert_eq!(value[..2], [1, 1]);
        assert_eq!(value[2..10], (1_700_000_000_000u64 << 16 | 65535).to_be_bytes());
        assert_eq!(value[10..42], [255; 32]);
        assert_eq!(value[42..], [b'v', 40, 32, 165, 223]);
    }
}
