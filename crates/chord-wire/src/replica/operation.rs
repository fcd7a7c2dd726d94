//! Operations that are passed on to an owner, and what comes of them.

use std::time::Duration;

use chord_kv::replication::{
    Before, Change, Condition, Consistency, Expiry, Operation, OperationError, Outcome, Proposal,
};
use chord_kv::{ClockAhead, Record, StoreError, ValueTooLong, Version};

use super::part::Wire;
use super::reader::Reader;
use super::writer::Writer;
use super::{GROUP_MEMBERS_MAX, Operate, REASON_BYTES_MAX, ReplicaError};
use crate::REMAINING_MAX;

pub(crate) const REMAINING_MS_MAX: usize = REMAINING_MAX.as_millis() as usize;

impl Wire for Operate {
    fn write(&self, to: &mut Writer) {
        let Self { key, operation, proposal, consistency, remaining } = self;
        to.bytes(key.as_bytes());
        to.length(usize::try_from(remaining.as_millis()).unwrap_or(usize::MAX).min(REMAINING_MS_MAX));
        consistency.write(to);
        proposal.write(to);
        operation.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let key = from.key()?;
        let remaining_ms = from.count_to("the milliseconds that somebody waits", REMAINING_MS_MAX)?;
        Ok(Self {
            key,
            remaining: Duration::from_millis(remaining_ms as u64),
            consistency: Consistency::read(from)?,
            proposal: Proposal::read(from)?,
            operation: Operation::read(from)?,
        })
    }
}

impl Wire for Proposal {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::LeftToOwner => to.byte(0),
            Self::Version(version) => {
                to.byte(1);
                version.write(to);
            }
            Self::Soon(version) => {
                to.byte(2);
                version.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::LeftToOwner),
            1 => Version::read(from).map(Self::Version),
            2 => Version::read(from).map(Self::Soon),
            tag => Err(ReplicaError::UnknownTag { what: "what is proposed for a version", tag }),
        }
    }
}

impl Wire for Consistency {
    fn write(&self, to: &mut Writer) {
        to.byte(match self {
            Self::Usual => 0,
            Self::One => 1,
            Self::Quorum => 2,
            Self::All => 3,
        });
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Usual),
            1 => Ok(Self::One),
            2 => Ok(Self::Quorum),
            3 => Ok(Self::All),
            tag => Err(ReplicaError::UnknownTag { what: "a consistency", tag }),
        }
    }
}

/// A get is one byte, a change begins with what it is.
impl Wire for Operation {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Get => to.byte(0),
            Self::Change { change, condition, expiry } => {
                write_change(change, to);
                condition.write(to);
                expiry.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let change = match from.byte()? {
            0 => return Ok(Self::Get),
            1 => Change::Set(from.value()?),
            2 => Change::Delete,
            3 => Change::Add(i64::from_be_bytes(from.fixed()?)),
            4 => Change::Append(from.value()?),
            5 => Change::Keep,
            tag => return Err(ReplicaError::UnknownTag { what: "an operation", tag }),
        };
        Ok(Self::Change { change, condition: Condition::read(from)?, expiry: Expiry::read(from)? })
    }
}

fn write_change(change: &Change, to: &mut Writer) {
    match change {
        Change::Set(value) => {
            to.byte(1);
            to.bytes(value.as_bytes());
        }
        Change::Delete => to.byte(2),
        Change::Add(addend) => {
            to.byte(3);
            to.fixed(&addend.to_be_bytes());
        }
        Change::Append(tail) => {
            to.byte(4);
            to.bytes(tail.as_bytes());
        }
        Change::Keep => to.byte(5),
    }
}

impl Wire for Condition {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Always => to.byte(0),
            Self::Absent => to.byte(1),
            Self::Present => to.byte(2),
            Self::Version(version) => {
                to.byte(3);
                version.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Always),
            1 => Ok(Self::Absent),
            2 => Ok(Self::Present),
            3 => Version::read(from).map(Self::Version),
            tag => Err(ReplicaError::UnknownTag { what: "a condition", tag }),
        }
    }
}

impl Wire for Expiry {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Keep => to.byte(0),
            Self::Never => to.byte(1),
            Self::At(at_ms) => {
                to.byte(2);
                to.number(*at_ms);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        match from.byte()? {
            0 => Ok(Self::Keep),
            1 => Ok(Self::Never),
            2 => from.number().map(Self::At),
            tag => Err(ReplicaError::UnknownTag { what: "when it goes", tag }),
        }
    }
}

/// The version of a deletion and that a change came twice travel beside it, where one who does not know of them passes over
/// them.
impl Wire for Outcome {
    fn write(&self, to: &mut Writer) {
        let Self { record, before, copies, deleted: _ } = self;
        to.length(*copies);
        let before_bytes = if let Before::Record(before) = before { before.size_bytes() } else { 0 };
        to.reserve(before_bytes + record.as_ref().map_or(0, Record::size_bytes));
        record.write(to);
        before.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let copies = read_copies(from)?;
        Ok(Self { record: Wire::read(from)?, before: Before::read(from)?, copies, deleted: None })
    }
}

/// An option of a record.
impl Wire for Before {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Nothing | Self::Unknown => to.flag(false),
            Self::Record(record) => {
                to.flag(true);
                record.write(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        let record: Option<Record> = Wire::read(from)?;
        Ok(record.map_or(Self::Nothing, Self::Record))
    }
}

fn read_copies(from: &mut Reader<'_>) -> Result<usize, ReplicaError> {
    from.count_to("the copies of a key", GROUP_MEMBERS_MAX)
}

pub(crate) fn write_error(error: &OperationError, to: &mut Writer) {
    match error {
        OperationError::NotOwner => to.byte(0),
        OperationError::Busy => to.byte(1),
        OperationError::ConditionFailed { found } => {
            to.byte(2);
            found.write(to);
        }
        OperationError::Outdated { stored } => {
            to.byte(3);
            stored.write(to);
        }
        OperationError::ClockAhead(ClockAhead { ahead_ms }) => {
            to.byte(4);
            to.count(*ahead_ms);
        }
        OperationError::NotANumber => to.byte(5),
        OperationError::TooLong(ValueTooLong { bytes, limit_bytes }) => {
            to.byte(6);
            to.length(*bytes);
            to.length(*limit_bytes);
        }
        OperationError::Store(error) => {
            to.byte(7);
            error.write(to);
        }
        OperationError::TooFewCopies { copies, wanted } => {
            to.byte(8);
            to.length(*copies);
            to.length(*wanted);
        }
        OperationError::Uncertain => to.byte(9),
        OperationError::Unanswered => to.byte(10),
        OperationError::OutOfRange => to.byte(11),
        // One that is added has no number yet: all that can be said is that the outcome is unknown.
        _ => write_error(&OperationError::Uncertain, to),
    }
}

pub(crate) fn read_error(from: &mut Reader<'_>) -> Result<OperationError, ReplicaError> {
    Ok(match from.byte()? {
        0 => OperationError::NotOwner,
        1 => OperationError::Busy,
        2 => OperationError::ConditionFailed { found: Wire::read(from)? },
        3 => OperationError::Outdated { stored: Version::read(from)? },
        4 => OperationError::ClockAhead(ClockAhead { ahead_ms: from.count()? }),
        5 => OperationError::NotANumber,
        6 => OperationError::TooLong(ValueTooLong {
            bytes: from.count_to("the bytes of a value", usize::MAX)?,
            limit_bytes: from.count_to("the bytes of a value", usize::MAX)?,
        }),
        7 => OperationError::Store(StoreError::read(from)?),
        8 => OperationError::TooFewCopies { copies: read_copies(from)?, wanted: read_copies(from)? },
        9 => OperationError::Uncertain,
        10 => OperationError::Unanswered,
        11 => OperationError::OutOfRange,
        tag => return Err(ReplicaError::UnknownTag { what: "why it failed", tag }),
    })
}

impl Wire for StoreError {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Full { limit_bytes } => {
                to.byte(0);
                to.count(*limit_bytes);
            }
            Self::Busy { pending_bytes_limit } => {
                to.byte(1);
                to.count(*pending_bytes_limit);
            }
            Self::NotWriting { reason, remedy } => {
                to.byte(2);
                write_sentence(reason, to);
                write_sentence(remedy, to);
            }
            Self::ForeignCursor => to.byte(3),
            Self::Failed { reason } => {
                to.byte(4);
                write_sentence(reason, to);
            }
            // One that is added has no number yet.
            _ => Self::Failed { reason: self.to_string() }.write(to),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, ReplicaError> {
        Ok(match from.byte()? {
            0 => Self::Full { limit_bytes: from.count()? },
            1 => Self::Busy { pending_bytes_limit: from.count()? },
            2 => Self::NotWriting { reason: read_sentence(from)?, remedy: read_sentence(from)? },
            3 => Self::ForeignCursor,
            4 => Self::Failed { reason: read_sentence(from)? },
            tag => return Err(ReplicaError::UnknownTag { what: "what is wrong with a store", tag }),
        })
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() || c == ' '
}

/// Printable ASCII alone, which every receiver takes for the same and which steers no terminal. Other characters become `?`.
pub(crate) fn write_sentence(sentence: &str, to: &mut Writer) {
    let plain = sentence.chars().take(REASON_BYTES_MAX).map(|c| if is_plain(c) { c } else { '?' });
    to.bytes(plain.collect::<String>().as_bytes());
}

pub(crate) fn read_sentence(from: &mut Reader<'_>) -> Result<String, ReplicaError> {
    let bytes = from.bytes("the bytes of a sentence", REASON_BYTES_MAX)?;
    let sentence = std::str::from_utf8(bytes).ok().filter(|sentence| sentence.chars().all(is_plain));
    sentence.map(str::to_owned).ok_or(ReplicaError::BadText)
}
