//! Records: what a store holds for a key, and the limits on keys and values.

use std::fmt;
use std::sync::Arc;

use chord_ring::{Position, RingSize};

use crate::Version;

/// Longest key in bytes: enough for any path or URL in practice, and small enough that a page of keys fits
/// a message. The empty key is a key like any other, because the seed allows it.
pub const KEY_BYTES_MAX: usize = 4096;

/// Longest value that any node can be told to accept, in bytes: a value travels in one piece and is held in
/// memory while it does, once for each replica.
pub const VALUE_BYTES_LIMIT: usize = 64 << 20;

/// Longest value that a node accepts when it is told nothing, in bytes: one that a 100 Mbit/s link carries
/// in under 0.1 s, so that a single write cannot hold up the others for long.
pub const VALUE_BYTES_DEFAULT: usize = 1 << 20;

/// What a record costs beyond its key and value, in bytes: position, version, expiry, lengths, what the allocator adds,
/// and a share of the shelf that it stands on. Measured by the example `memory_cost`: 64 on a ring of 160 bits, 12 more on
/// the largest, and 8 for an expiry.
pub const RECORD_OVERHEAD_BYTES: usize = 96;

const _: () = assert!(VALUE_BYTES_DEFAULT <= VALUE_BYTES_LIMIT);

/// The bytes under which a value is stored. Ordered as bytes, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

/// A key that is longer than [`KEY_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has at most {KEY_BYTES_MAX} bytes, not {bytes}")]
pub struct KeyTooLong {
    /// How long the key was.
    pub bytes: usize,
}

impl Key {
    /// A key of these bytes.
    ///
    /// # Errors
    /// There are more than [`KEY_BYTES_MAX`] of them.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyTooLong> {
        if bytes.len() <= KEY_BYTES_MAX {
            Ok(Self(bytes.into()))
        } else {
            Err(KeyTooLong { bytes: bytes.len() })
        }
    }

    /// The empty key, which sorts before every other.
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where the key lies on a ring of that size.
    pub fn position(&self, size: RingSize) -> Position {
        size.position_of(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The bytes stored under a key. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(Arc<[u8]>);

/// A value that is longer than the node accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value has at most {limit_bytes} bytes here, not {bytes}")]
pub struct ValueTooLong {
    /// How long the value was.
    pub bytes: usize,
    /// How long it may be.
    pub limit_bytes: usize,
}

impl Value {
    /// A value of these bytes, of which there may be `limit_bytes`, and never more than
    /// [`VALUE_BYTES_LIMIT`].
    ///
    /// # Errors
    /// There are more.
    pub fn new(bytes: &[u8], limit_bytes: usize) -> Result<Self, ValueTooLong> {
        let limit_bytes = limit_bytes.min(VALUE_BYTES_LIMIT);
        if bytes.len() <= limit_bytes {
            Ok(Self(bytes.into()))
        } else {
            Err(ValueTooLong { bytes: bytes.len(), limit_bytes })
        }
    }

    /// Whether it has no more than `limit_bytes`.
    ///
    /// # Errors
    /// It has more.
    pub fn fits(&self, limit_bytes: usize) -> Result<(), ValueTooLong> {
        let bytes = self.0.len();
        if bytes <= limit_bytes { Ok(()) } else { Err(ValueTooLong { bytes, limit_bytes }) }
    }

    /// The value's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    /// The length alone: a value may be large, and may be nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What is known of a key: its newest value, or that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the key lies on the ring.
    pub position: Position,
    /// The key.
    pub key: Key,
    /// The value; `None` is a tombstone, which says that the key was deleted.
    pub value: Option<Value>,
    /// Which write this is. Of two records for a key the one with the greater version wins.
    pub version: Version,
    /// When the value stops being there, in milliseconds since 1970; `None` is never.
    pub expires_at_ms: Option<u64>,
}

impl Record {
    /// Whether this record says that its key was deleted.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Whether the record's time has come: an expired record counts as absent wherever it is read.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// The value that a reader sees at that time, if any.
    pub fn live_value(&self, now_ms: u64) -> Option<&Value> {
        self.value.as_ref().filter(|_| !self.is_expired(now_ms))
    }

    /// What the record counts against a limit on bytes.
    pub fn size_bytes(&self) -> usize {
        size_bytes(&self.key, self.value.as_ref())
    }
}

/// What a record of that key and value counts against a limit on bytes.
pub(crate) fn size_bytes(key: &Key, value: Option<&Value>) -> usize {
    RECORD_OVERHEAD_BYTES + key.as_bytes().len() + value.map_or(0, |value| value.as_bytes().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Option<&[u8]>, expires_at_ms: Option<u64>) -> Record {
        Record {
            position: Position::from(7),
            key: Key::new(b"key").unwrap(),
            value: value.map(|bytes| Value::new(bytes, VALUE_BYTES_DEFAULT).unwrap()),
            version: Version::new(1, 0, Position::ZERO),
            expires_at_ms,
        }
    }

    #[test]
    fn a_key_may_be_as_long_as_the_limit_and_no_longer() {
        assert_eq!(Key::new(b"").unwrap(), Key::empty());
        assert_eq!(Key::new(&[b'k'; KEY_BYTES_MAX]).unwrap().as_bytes().len(), KEY_BYTES_MAX);
        let refused = Key::new(&[b'k'; KEY_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(refused.to_string(), "a key has at most 4096 bytes, not 4097");
    }

    #[test]
    fn a_value_may_be_as_long_as_the_nodes_limit_and_no_longer() {
        assert_eq!(Value::new(b"abc", 3).unwrap().as_bytes(), b"abc");
        let refused = Value::new(b"abcd", 3).unwrap_err();
        assert_eq!(refused.to_string(), "a value has at most 3 bytes here, not 4");
    }

    #[test]
    fn no_node_can_be_told_to_accept_more_than_the_hard_limit() {
        let bytes = vec![0; VALUE_BYTES_LIMIT + 1];
        assert_eq!(Value::new(&bytes, usize::MAX).unwrap_err().limit_bytes, VALUE_BYTES_LIMIT);
    }

    #[test]
    fn an_expired_record_has_no_live_value_from_its_time_on() {
        let mortal = record(Some(b"v"), Some(100));
        assert!(mortal.live_value(99).is_some());
        assert!(mortal.live_value(100).is_none() && mortal.is_expired(100));
        assert!(record(Some(b"v"), None).live_value(u64::MAX).is_some());
    }

    #[test]
    fn a_tombstone_has_no_live_value() {
        assert!(record(None, None).is_tombstone());
        assert_eq!(record(None, None).live_value(0), None);
        assert!(!record(Some(b""), None).is_tombstone(), "an empty value is a value");
    }

    #[test]
    fn a_key_lies_where_its_bytes_are_hashed() {
        let size = RingSize::new(8).unwrap();
        assert_eq!(Key::new(b"127.0.0.1:4567").unwrap().position(size), Position::from(213));
    }

    #[test]
    fn a_record_shows_its_key_escaped_and_only_the_length_of_its_value() {
        let shown = format!("{:?}", record(Some(b"secret"), None));
        assert!(shown.contains("6 bytes") && !shown.contains("secret"), "{shown}");
        assert_eq!(format!("{:?}", Key::new(b"a\n\xff").unwrap()), r#""a\n\xff""#);
    }
}
