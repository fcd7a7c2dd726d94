//! A record in as few bytes as can be: one allocation, without what follows from where it stands.
//!
//! A fleet of small records is mostly bookkeeping, so that is what is saved on: positions are as long as the ring's, the
//! 8 bytes that sort most of them lie beside the pointer, and a writer is a number in a list of those seen before.

use std::cmp::Ordering;

use chord_ring::{Position, RingSize};

use crate::{Digest, Key, Record, VALUE_BYTES_LIMIT, Value, Version};

const POSITION_BYTES: usize = 32;
const PREFIX_BYTES: usize = 8;

/// Values longer than this stand in an allocation of their own, which readers share; shorter ones are copied for each
/// reader, which costs less than counting them.
const INLINE_BYTES_MAX: usize = 256;

/// How many writers a shard knows by number: more than most rings have nodes. Records of others spell them out.
const WRITERS_MAX: usize = 256;

const HAS_VALUE: u8 = 1;
const HAS_EXPIRY: u8 = 2;
const OFF_RING: u8 = 4;
const SPELLED_WRITER: u8 = 8;

/// How positions of a ring of some size are cut: into bytes that are always 0, a prefix, and the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    skipped: usize,
    /// How many of the highest bits of the first byte that is not skipped are always 0.
    spare_bits: u16,
}

/// Writers by number.
#[derive(Debug, Default)]
pub(super) struct Writers(Vec<Position>);

/// A place among records: what the records of a shelf are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    pub(super) prefix: u64,
    position: [u8; POSITION_BYTES],
    key: &'a [u8],
}

/// A record, but for the prefix of its position.
#[derive(Debug)]
pub(super) enum Packed {
    Small(Box<[u8]>),
    Large(Box<Large>),
}

/// A record whose value is too long to be copied for each reader.
#[derive(Debug)]
pub(super) struct Large {
    bytes: Box<[u8]>,
    value: Value,
}

const _: () = assert!(size_of::<Packed>() == 16, "a shelf holds one of these for each record");

/// What is asked of a record before another takes its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub(super) version: Version,
    pub(super) size_bytes: usize,
}

/// The parts of a record, where they lie.
struct Parts<'a> {
    position: Position,
    version: Version,
    expires_at_ms: Option<u64>,
    key: &'a [u8],
    inline: Option<&'a [u8]>,
}

impl Layout {
    pub(super) fn new(size: RingSize) -> Self {
        let spare_bits = 256 - size.bits();
        Self { skipped: usize::from(spare_bits / 8), spare_bits: spare_bits % 8 }
    }

    pub(super) fn probe(self, position: Position, key: &Key) -> Probe<'_> {
        let position = position.to_be_bytes();
        Probe { prefix: self.prefix(&position), position, key: key.as_bytes() }
    }

    fn is_off_ring(self, bytes: &[u8; POSITION_BYTES]) -> bool {
        bytes[..self.skipped].iter().any(|byte| *byte != 0)
    }

    /// Sorts as the positions do, as far as it tells them apart: those beyond the end of the ring come last.
    fn prefix(self, bytes: &[u8; POSITION_BYTES]) -> u64 {
        if self.is_off_ring(bytes) {
            return u64::MAX;
        }
        let mut prefix = [0; PREFIX_BYTES];
        let taken = &bytes[self.skipped..POSITION_BYTES.min(self.skipped + PREFIX_BYTES)];
        prefix[..taken.len()].copy_from_slice(taken);
        u64::from_be_bytes(prefix)
    }

    /// In which of 2^`bits` equal parts of the ring a prefix lies, for at most as many as that has positions; what lies beyond
    /// its end is in the last.
    pub(super) fn part(self, prefix: u64, bits: u16) -> usize {
        let part = prefix >> (64 - self.spare_bits - bits);
        usize::try_from(part).unwrap_or(usize::MAX).min((1 << bits) - 1)
    }

    /// Where the bytes begin that are neither skipped nor in the prefix.
    fn rest(self) -> usize {
        POSITION_BYTES.min(self.skipped + PREFIX_BYTES)
    }

    fn position(self, prefix: u64, rest: &[u8]) -> Position {
        let mut bytes = [0; POSITION_BYTES];
        let taken = self.rest() - self.skipped;
        bytes[self.skipped..self.rest()].copy_from_slice(&prefix.to_be_bytes()[..taken]);
        bytes[self.rest()..].copy_from_slice(rest);
        Position::from_be_bytes(bytes)
    }

    pub(super) fn pack(self, record: &Record, writers: &mut Writers) -> Packed {
        let position = record.position.to_be_bytes();
        let value = record.value.as_ref().map_or(&[][..], Value::as_bytes);
        let is_large = value.len() > INLINE_BYTES_MAX;
        let inline = if is_large { &[][..] } else { value };
        let key = record.key.as_bytes();
        let writer = writers.number(record.version.writer());
        let is_off_ring = self.is_off_ring(&position);
        let mut flags = 0;
        for (flag, holds) in [
            (HAS_VALUE, record.value.is_some()),
            (HAS_EXPIRY, record.expires_at_ms.is_some()),
            (OFF_RING, is_off_ring),
            (SPELLED_WRITER, writer.is_none()),
        ] {
            flags |= if holds { flag } else { 0 };
        }
        let rest = if is_off_ring { &position[..] } else { &position[self.rest()..] };
        // Exactly as long as it becomes: what is given back of an allocation is seldom of use to another.
        let fixed = 1 + 8 + 2 + writer.map_or(POSITION_BYTES, |_| 1) + record.expires_at_ms.map_or(0, |_| 8);
        let mut bytes = Vec::with_capacity(fixed + rest.len() + key.len() + inline.len());
        bytes.push(flags);
        bytes.extend_from_slice(rest);
        let tick = record.version.time_ms() << 16 | u64::from(record.version.counter());
        bytes.extend_from_slice(&tick.to_be_bytes());
        match writer {
            Some(number) => bytes.push(number),
            None => bytes.extend_from_slice(&record.version.writer().to_be_bytes()),
        }
        if let Some(at_ms) = record.expires_at_ms {
            bytes.extend_from_slice(&at_ms.to_be_bytes());
        }
        let key_bytes = u16::try_from(key.len()).expect("a key has at most 4096 bytes");
        bytes.extend_from_slice(&key_bytes.to_be_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(inline);
        let bytes = bytes.into_boxed_slice();
        match &record.value {
            Some(value) if is_large => Packed::Large(Box::new(Large { bytes, value: value.clone() })),
            Some(_) | None => Packed::Small(bytes),
        }
    }

    /// Which comes first, a record or a place.
    pub(super) fn compare(self, packed: (u64, &Packed), probe: &Probe<'_>) -> Ordering {
        packed.0.cmp(&probe.prefix).then_with(|| {
            let (rest, key) = self.rest_and_key(packed.1.bytes());
            let skipped = POSITION_BYTES - rest.len();
            // The prefix of the last positions of the ring is that of those beyond its end, too.
            if probe.prefix == u64::MAX && skipped > 0 && self.is_off_ring(&probe.position) {
                return Ordering::Less;
            }
            rest.cmp(&probe.position[skipped..]).then_with(|| key.cmp(probe.key))
        })
    }

    /// What tells a record apart from others with its prefix: the rest of its position, and its key.
    fn rest_and_key(self, bytes: &[u8]) -> (&[u8], &[u8]) {
        let mut bytes = Reader(bytes);
        let flags = bytes.take(1)[0];
        let rest =
            bytes.take(if flags & OFF_RING == 0 { POSITION_BYTES - self.rest() } else { POSITION_BYTES });
        let writer_bytes = if flags & SPELLED_WRITER == 0 { 1 } else { POSITION_BYTES };
        let expiry_bytes = if flags & HAS_EXPIRY == 0 { 0 } else { 8 };
        bytes.take(8 + writer_bytes + expiry_bytes);
        let key_bytes = u16::from_be_bytes(bytes.take_array());
        (rest, bytes.take(usize::from(key_bytes)))
    }

    /// Takes a record apart.
    fn parts<'a>(self, (prefix, packed): (u64, &'a Packed), writers: &Writers) -> Parts<'a> {
        let mut bytes = Reader(packed.bytes());
        let flags = bytes.take(1)[0];
        let position = if flags & OFF_RING == 0 {
            self.position(prefix, bytes.take(POSITION_BYTES - self.rest()))
        } else {
            Position::from_be_bytes(bytes.take_array())
        };
        let tick = u64::from_be_bytes(bytes.take_array());
        let writer = if flags & SPELLED_WRITER == 0 {
            let number = bytes.take(1)[0];
            writers.0[usize::from(number)]
        } else {
            Position::from_be_bytes(bytes.take_array())
        };
        let expires_at_ms = (flags & HAS_EXPIRY != 0).then(|| u64::from_be_bytes(bytes.take_array()));
        let key_bytes = u16::from_be_bytes(bytes.take_array());
        let key = bytes.take(usize::from(key_bytes));
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the counter")]
        let version = Version::new(tick >> 16, tick as u16, writer);
        Parts { position, version, expires_at_ms, key, inline: (flags & HAS_VALUE != 0).then_some(bytes.0) }
    }

    /// What a record that is to be replaced is, and what it costs.
    pub(super) fn summary(self, packed: (u64, &Packed), writers: &Writers) -> Summary {
        let parts = self.parts(packed, writers);
        Summary { version: parts.version, size_bytes: size_bytes(&parts, packed.1) }
    }

    pub(super) fn digest(self, packed: (u64, &Packed), writers: &Writers) -> (Position, Digest) {
        let parts = self.parts(packed, writers);
        (parts.position, Digest::of_identity(parts.position, parts.key, &parts.version))
    }

    /// The record again; with its key, if somebody has that already.
    pub(super) fn unpack(self, packed: (u64, &Packed), writers: &Writers, key: Option<&Key>) -> Record {
        let Parts { position, version, expires_at_ms, key: key_bytes, inline } = self.parts(packed, writers);
        let key = key.cloned().unwrap_or_else(|| Key::new(key_bytes).expect("it was a key before"));
        let value = match packed.1 {
            Packed::Large(large) => Some(large.value.clone()),
            Packed::Small(_) => {
                inline.map(|bytes| Value::new(bytes, VALUE_BYTES_LIMIT).expect("it was a value before"))
            }
        };
        Record { position, key, value, version, expires_at_ms }
    }
}

fn size_bytes(parts: &Parts<'_>, packed: &Packed) -> usize {
    crate::RECORD_OVERHEAD_BYTES + parts.key.len() + packed.value_bytes(parts.inline)
}

impl Packed {
    fn bytes(&self) -> &[u8] {
        match self {
            Packed::Small(bytes) => bytes,
            Packed::Large(large) => &large.bytes,
        }
    }

    fn value_bytes(&self, inline: Option<&[u8]>) -> usize {
        match self {
            Packed::Small(_) => inline.map_or(0, <[u8]>::len),
            Packed::Large(large) => large.value.as_bytes().len(),
        }
    }
}

impl Writers {
    /// The number of a writer, unless there are too many.
    fn number(&mut self, writer: Position) -> Option<u8> {
        let known = self.0.iter().position(|known| *known == writer);
        let number = known.or_else(|| {
            (self.0.len() < WRITERS_MAX).then(|| {
                self.0.push(writer);
                self.0.len() - 1
            })
        });
        number.and_then(|number| u8::try_from(number).ok())
    }
}

/// What is left of a record's bytes. They were written here and never left this process, so their lengths are right.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n_bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n_bytes);
        self.0 = rest;
        taken
    }

    fn take_array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("as many bytes as were taken")
    }
}
