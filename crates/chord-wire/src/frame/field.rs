//! Fields: what stands in front of a message's body, each with its number and its length.

use super::error::MessageError;
use crate::replica::reader::Reader;
use crate::replica::writer::Writer;
use crate::replica::{ReplicaError, ReplicaLimits};

/// Ends the fields of a message.
const END: u8 = 0;

/// A field. One with an odd number is passed over by whoever does not know it, one with an even number must be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Tag {
    /// How long the sender waits, in milliseconds.
    Remaining = 1,
    /// The receiver is named as the owner, and answers for itself or refuses.
    Named = 2,
    /// How often a request was forwarded.
    Hops = 3,
    /// The nodes that had the request before, the first one first.
    Path = 4,
    /// Who owns the key.
    Owner = 5,
    /// The ring of the sender.
    Ring = 6,
    /// The node that speaks; a client has no name.
    Name = 7,
    /// The sender is a member of its ring.
    Member = 9,
    /// How the sender keeps copies.
    Copies = 11,
    /// The version of a deletion.
    Deleted = 13,
    /// The position after which the owner's range begins.
    After = 15,
    /// A change came twice, and what was there before is not known any more.
    Repeated = 17,
    /// How long each that had the question took until it had the answer.
    Took = 19,
    /// What the other side is to make a proof of.
    Challenge = 21,
    /// That the sender knows a secret.
    Proof = 22,
    /// What a build for tests has beside all that.
    #[cfg(feature = "next-protocol")]
    Next = 127,
}

impl Tag {
    /// All fields.
    pub const ALL: &[Self] = &[
        Self::Remaining,
        Self::Named,
        Self::Hops,
        Self::Path,
        Self::Owner,
        Self::Ring,
        Self::Name,
        Self::Member,
        Self::Copies,
        Self::Deleted,
        Self::After,
        Self::Repeated,
        Self::Took,
        Self::Challenge,
        Self::Proof,
        #[cfg(feature = "next-protocol")]
        Self::Next,
    ];

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether a receiver that does not know it must refuse the message.
    const fn is_necessary(number: u8) -> bool {
        number.is_multiple_of(2)
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|tag| tag.number() == number)
    }

    /// What is said of one that a message must not have.
    pub(super) const fn misplaced(self) -> MessageError {
        MessageError::Misplaced { tag: self.number() }
    }

    pub(super) const fn missing(self) -> MessageError {
        MessageError::Missing { tag: self.number() }
    }
}

/// Writes fields: in the order of their numbers.
pub(super) struct FieldWriter<'a>(pub(super) &'a mut Writer);

impl FieldWriter<'_> {
    pub(super) fn flag(&mut self, tag: Tag, is_set: bool) {
        if is_set {
            self.bytes(tag, &[]);
        }
    }

    pub(super) fn bytes(&mut self, tag: Tag, bytes: &[u8]) {
        self.0.byte(tag.number());
        self.0.bytes(bytes);
    }

    /// A number that is small as a rule.
    pub(super) fn count(&mut self, tag: Tag, count: u64) {
        let n_bits = (u64::BITS - count.leading_zeros()).max(1);
        self.0.byte(tag.number());
        self.0.length(n_bits.div_ceil(7) as usize);
        self.0.count(count);
    }

    /// Whatever `write` writes.
    pub(super) fn part(&mut self, tag: Tag, write: impl FnOnce(&mut Writer)) {
        let mut part = Writer::new();
        write(&mut part);
        self.bytes(tag, &part.into_bytes());
    }

    pub(super) fn end(self) {
        self.0.byte(END);
    }
}

/// Reads the fields in front of a body, and hands each that is known to `take`.
pub(super) fn read_fields<'a>(
    from: &mut Reader<'a>,
    mut take: impl FnMut(Tag, &'a [u8]) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let mut last = END;
    loop {
        let number = from.byte()?;
        if number == END {
            return Ok(());
        }
        if number <= last {
            return Err(MessageError::Disorder);
        }
        last = number;
        let bytes = from.bytes("the bytes of a field", usize::MAX)?;
        match Tag::of(number) {
            Some(tag) => take(tag, bytes)?,
            None if Tag::is_necessary(number) => return Err(MessageError::UnknownField { tag: number }),
            None => {}
        }
    }
}

/// What a field holds: all of it, and nothing else.
pub(super) fn whole<'a, T>(
    limits: ReplicaLimits,
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReplicaError>,
) -> Result<T, MessageError> {
    let mut part = Reader::new(bytes, limits);
    let value = read(&mut part)?;
    part.end()?;
    Ok(value)
}
