//! Reading the parts of a message, of which everything else is made. Nothing is allocated for what is not there.

use chord_kv::replication::MESSAGE_BYTES_MAX;
use chord_kv::{KEY_BYTES_MAX, Key, Value};
use chord_ring::{Position, RING_BITS_MAX};

use super::part::Wire;
use super::{ReplicaError, ReplicaLimits};

const POSITION_BYTES: usize = RING_BITS_MAX as usize / 8;

/// The rest of a message that is being read.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    limits: ReplicaLimits,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], limits: ReplicaLimits) -> Self {
        Self { rest: bytes, limits }
    }

    pub(crate) fn limits(&self) -> ReplicaLimits {
        self.limits
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// There must be no more.
    pub(crate) fn end(&self) -> Result<(), ReplicaError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(ReplicaError::Trailing { bytes }),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, ReplicaError> {
        let (byte, rest) = self.rest.split_first().ok_or(ReplicaError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, ReplicaError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(ReplicaError::UnknownTag { what, tag }),
        }
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReplicaError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ReplicaError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], ReplicaError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(ReplicaError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn number(&mut self) -> Result<u64, ReplicaError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// What [`Writer::count`](super::writer::Writer::count) wrote, and nothing longer that means the same.
    pub(crate) fn count(&mut self) -> Result<u64, ReplicaError> {
        let mut count = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            count |= bits << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return if is_shortest {
                    Ok(count)
                } else {
                    Err(ReplicaError::NotShortest { what: "a number" })
                };
            }
        }
        Err(ReplicaError::OverLimit { what: "the bits of a number", limit: 64 })
    }

    /// A number up to a limit.
    pub(crate) fn count_to(&mut self, what: &'static str, limit: usize) -> Result<usize, ReplicaError> {
        let count = usize::try_from(self.count()?).ok().filter(|count| *count <= limit);
        count.ok_or(ReplicaError::OverLimit { what, limit })
    }

    pub(crate) fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], ReplicaError> {
        let length = self.count_to(what, limit)?;
        self.slice(length)
    }

    /// A position that need not be on this ring.
    pub(crate) fn any_position(&mut self) -> Result<Position, ReplicaError> {
        let short = self.bytes("the bytes of a position", POSITION_BYTES)?;
        if short.first() == Some(&0) {
            return Err(ReplicaError::NotShortest { what: "a position" });
        }
        let mut bytes = [0; POSITION_BYTES];
        let (_, low) = bytes.split_at_mut(POSITION_BYTES - short.len());
        low.copy_from_slice(short);
        Ok(Position::from_be_bytes(bytes))
    }

    /// A position on this ring.
    pub(crate) fn position(&mut self) -> Result<Position, ReplicaError> {
        let position = self.any_position()?;
        let is_on_ring = position.bit_length() <= self.limits.size.bits();
        if is_on_ring { Ok(position) } else { Err(ReplicaError::OffRing) }
    }

    pub(crate) fn key(&mut self) -> Result<Key, ReplicaError> {
        const WHAT: &str = "the bytes of a key";
        let bytes = self.bytes(WHAT, KEY_BYTES_MAX)?;
        Key::new(bytes).map_err(|_| ReplicaError::OverLimit { what: WHAT, limit: KEY_BYTES_MAX })
    }

    /// A key, and where it lies, whatever the sender may think.
    pub(crate) fn placed_key(&mut self) -> Result<(Position, Key), ReplicaError> {
        let key = self.key()?;
        Ok((key.position(self.limits.size), key))
    }

    pub(crate) fn value(&mut self) -> Result<Value, ReplicaError> {
        const WHAT: &str = "the bytes of a value";
        let bytes = self.bytes(WHAT, self.limits.value_bytes)?;
        let value = Value::new(bytes, self.limits.value_bytes);
        value.map_err(|error| ReplicaError::OverLimit { what: WHAT, limit: error.limit_bytes })
    }

    /// A list of at most `limit` items.
    pub(crate) fn list<T: Wire>(&mut self, what: &'static str, limit: usize) -> Result<Vec<T>, ReplicaError> {
        self.weighed_list(what, limit, |_| 0)
    }

    /// A list of at most `limit` items, in which only the last may bring their weight above [`MESSAGE_BYTES_MAX`].
    pub(crate) fn weighed_list<T: Wire>(
        &mut self,
        what: &'static str,
        limit: usize,
        weight: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, ReplicaError> {
        let count = self.count_to(what, limit)?;
        if count > self.rest.len() {
            // Each takes a byte at least, so this is no room for what is not there.
            return Err(ReplicaError::Truncated);
        }
        let mut list = Vec::with_capacity(count);
        let mut bytes = 0;
        for _ in 0..count {
            if bytes > MESSAGE_BYTES_MAX {
                let what = "the bytes of all records but the last";
                return Err(ReplicaError::OverLimit { what, limit: MESSAGE_BYTES_MAX });
            }
            let item = T::read(self)?;
            bytes += weight(&item);
            list.push(item);
        }
        Ok(list)
    }
}
