//! What a client wants done to a key, and what its owner makes of it.

use std::time::Duration;

use crate::{Key, Record, StoreError, Value, ValueTooLong, Version};
use chord_ring::Position;

/// What a client wants done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// What is there?
    Get,
    /// Change it.
    Change {
        /// How.
        change: Change,
        /// Only if this holds; else nothing happens.
        condition: Condition,
        /// When it is to go.
        expiry: Expiry,
    },
}

impl Operation {
    /// A plain put.
    pub fn put(value: Value) -> Self {
        Self::Change { change: Change::Set(value), condition: Condition::Always, expiry: Expiry::Never }
    }

    /// A plain delete.
    pub fn delete() -> Self {
        Self::Change { change: Change::Delete, condition: Condition::Always, expiry: Expiry::Never }
    }
}

/// How long after a write that has overtaken another that other may take its place: longer than a request is under way on a
/// busy network, and short enough that nobody takes for settled what it then replaces.
pub const SOON: Duration = Duration::from_secs(1);

/// What the node that a client asked proposes for the version of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proposal {
    /// Nothing: the owner makes it.
    #[default]
    LeftToOwner,
    /// This one. A change that comes late or twice is no newer than it was.
    Version(Version),
    /// The owner makes it, if this one, which was there, is no older than [`SOON`]: a change that comes late does not happen.
    Soon(Version),
}

/// A change of what is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This value from now on.
    Set(Value),
    /// Nothing from now on.
    Delete,
    /// The number that is there, plus this one; 0 if nothing is there.
    Add(i64),
    /// What is there, and this behind it.
    Append(Value),
    /// What is there, and only when it goes is another time. Nothing happens where nothing is there.
    Keep,
}

/// What must hold for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Nothing.
    Always,
    /// Nothing is there.
    Absent,
    /// Something is there.
    Present,
    /// What is there has this version.
    Version(Version),
}

/// When what is written goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// When what was there before would have gone.
    Keep,
    /// Never.
    Never,
    /// At that time, in milliseconds since 1970.
    At(u64),
}

/// How many copies an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// As the node is set: a read asks the owner alone, a write waits for the write quorum.
    Usual,
    /// A write waits for the owner's copy alone.
    One,
    /// A read asks more than half of the group, a write waits for them.
    Quorum,
    /// Every member of the group.
    All,
}

/// What was under a key before a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// Nothing that was live; or this was no change.
    #[default]
    Nothing,
    /// This.
    Record(Record),
    /// The change was made, perhaps when it came for the first of several times, and what was there then is not known any
    /// more.
    Unknown,
}

/// What came of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is under the key now, if it is live.
    pub record: Option<Record>,
    /// What was there before the change.
    pub before: Before,
    /// Members of the group that have it, this node included; 0 for a get that asked nobody.
    pub copies: usize,
    /// The version of the deletion, if this was one of something that was there; `None` from a node that does not tell it.
    pub deleted: Option<Version>,
}

impl Outcome {
    /// The version of what is under the key now, or of the deletion that left nothing there.
    pub fn version(&self) -> Option<&Version> {
        self.record.as_ref().map(|record| &record.version).or(self.deleted.as_ref())
    }

    /// Whether something was there before a change that is made only where something is, as a deletion is.
    pub fn was_there(&self) -> bool {
        self.before != Before::Nothing || self.deleted.is_some()
    }

    /// The same of a change that may have come twice, from a node that does not tell whether it did.
    #[must_use]
    pub fn perhaps_repeated(self) -> Self {
        let is_told = self.before != Before::Nothing || self.copies == 0; // Without a copy it changed nothing.
        if is_told { self } else { Self { before: Before::Unknown, ..self } }
    }
}

/// Why an operation did not do what it was to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// This node may not answer for the key at the moment. Nothing changed.
    #[error("another node owns this key, or it is not known yet who does: try again")]
    NotOwner,
    /// Too many operations wait. Nothing changed.
    #[error("this node has as many operations under way as it can: try again later")]
    Busy,
    /// The condition does not hold. Nothing changed.
    #[error("the condition does not hold: {}", there(found.as_ref()))]
    ConditionFailed {
        /// The version of what is there, if anything is.
        found: Option<Version>,
    },
    /// Something newer was written meanwhile. Nothing changed; with a version greater than this one it can be tried again.
    #[error("a newer version is stored")]
    Outdated {
        /// The newer version.
        stored: Version,
    },
    /// The version lies too far in the future. Nothing changed.
    #[error(transparent)]
    ClockAhead(#[from] crate::ClockAhead),
    /// What is there is no whole number of 64 bits, written as such are: no plus sign, no zeros before it. Nothing changed.
    #[error(
        "what is stored under this key is no whole number from -2^63 to 2^63 - 1: store one first, or take another key"
    )]
    NotANumber,
    /// The sum is no whole number of 64 bits. Nothing changed.
    #[error("the sum would be less than -2^63 or more than 2^63 - 1: add less")]
    OutOfRange,
    /// What would be there is longer than a value may be. Nothing changed.
    #[error(transparent)]
    TooLong(#[from] ValueTooLong),
    /// The store does not do it. Nothing that was acknowledged changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too few copies were made in time. It may take effect or not: the outcome is unknown.
    #[error(
        "{copies} of {wanted} copies were made in time: it is not known whether the change will take effect"
    )]
    TooFewCopies {
        /// How many copies were made.
        copies: usize,
        /// How many were wanted.
        wanted: usize,
    },
    /// An attempt had no answer. It may take effect or not: the outcome is unknown.
    #[error("the owner did not answer in time: it is not known whether the change will take effect")]
    Uncertain,
    /// Those who may have something under the key did not tell in time. Nothing changed.
    #[error("those who may have something under this key did not answer in time: try again")]
    Unanswered,
}

/// What is there, in words.
fn there(version: Option<&Version>) -> String {
    version.map_or_else(
        || "nothing is stored under the key".to_owned(),
        |version| format!("what is stored under the key has version {version}"),
    )
}

/// What a change makes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// This record is to be written.
    Write(Record),
    /// Nothing is to be written.
    Nothing,
}

/// What a change is made of: the key, what is stored under it, and the circumstances.
pub(super) struct Circumstances<'a> {
    pub(super) position: Position,
    pub(super) key: &'a Key,
    pub(super) stored: Option<&'a Record>,
    pub(super) version: Version,
    pub(super) now_ms: u64,
    pub(super) value_bytes_max: usize,
}

impl Circumstances<'_> {
    /// What the change does, if its condition holds.
    pub(super) fn effect(
        &self,
        change: &Change,
        condition: Condition,
        expiry: Expiry,
    ) -> Result<Effect, OperationError> {
        let live = self.stored.filter(|record| record.live_value(self.now_ms).is_some());
        let found = live.map(|record| record.version);
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => live.is_none(),
            Condition::Present => live.is_some(),
            Condition::Version(version) => found == Some(version),
        };
        if !holds {
            return Err(OperationError::ConditionFailed { found });
        }
        let value = live.and_then(|record| record.value.as_ref());
        let value = match change {
            Change::Set(value) => {
                value.fits(self.value_bytes_max)?;
                Some(value.clone())
            }
            Change::Delete | Change::Keep if live.is_none() => return Ok(Effect::Nothing),
            Change::Delete => None,
            Change::Keep => value.cloned(),
            Change::Add(addend) => Some(self.sum(value, *addend)?),
            Change::Append(tail) => {
                let head = value.map_or(&[][..], Value::as_bytes);
                Some(Value::new(&[head, tail.as_bytes()].concat(), self.value_bytes_max)?)
            }
        };
        let expires_at_ms = match expiry {
            _ if value.is_none() => None,
            Expiry::Keep => live.and_then(|record| record.expires_at_ms),
            Expiry::Never => None,
            Expiry::At(at_ms) => Some(at_ms),
        };
        let (position, key, version) = (self.position, self.key.clone(), self.version);
        Ok(Effect::Write(Record { position, key, value, version, expires_at_ms }))
    }

    fn sum(&self, value: Option<&Value>, addend: i64) -> Result<Value, OperationError> {
        let number = match value {
            None => 0,
            Some(value) => whole_number(value).ok_or(OperationError::NotANumber)?,
        };
        let sum = number.checked_add(addend).ok_or(OperationError::OutOfRange)?.to_string();
        Ok(Value::new(sum.as_bytes(), self.value_bytes_max)?)
    }
}

/// The number that a value is, written in the one way that an increment writes it.
fn whole_number(value: &Value) -> Option<i64> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use chord_ring::RingSize;

    use super::*;

    /// What is written: the value, and when it goes.
    type Written = (Option<String>, Option<u64>);

    /// What a change writes at 1000, where a value is that goes at 2000.
    fn changed(
        before: Option<&str>,
        change: &Change,
        expiry: Expiry,
    ) -> Result<Option<Written>, OperationError> {
        let key = Key::new(b"key").unwrap();
        let position = key.position(RingSize::DEFAULT);
        let version = |time_ms| Version::new(time_ms, 0, position);
        let value = before.map(|text| Value::new(text.as_bytes(), 100).unwrap());
        let (expires_at_ms, key_there) = (value.is_some().then_some(2000), key.clone());
        let stored = Record { position, key: key_there, value, version: version(1), expires_at_ms };
        let circumstances = Circumstances {
            position,
            key: &key,
            stored: Some(&stored),
            version: version(2),
            now_ms: 1000,
            value_bytes_max: 100,
        };
        let text = |value: Value| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        circumstances.effect(change, Condition::Always, expiry).map(|effect| match effect {
            Effect::Write(record) => Some((record.value.map(text), record.expires_at_ms)),
            Effect::Nothing => None,
        })
    }

    #[test]
    fn to_keep_what_is_there_changes_only_when_it_goes() {
        let there = |at: Option<u64>| Ok(Some((Some("value".to_owned()), at)));
        assert_eq!(changed(Some("value"), &Change::Keep, Expiry::At(3000)), there(Some(3000)));
        assert_eq!(changed(Some("value"), &Change::Keep, Expiry::Keep), there(Some(2000)));
        assert_eq!(changed(Some("value"), &Change::Keep, Expiry::Never), there(None));
        assert_eq!(changed(None, &Change::Keep, Expiry::At(3000)), Ok(None), "there is nothing to keep");
    }

    #[test]
    fn only_numbers_as_an_increment_writes_them_are_added_to() {
        let sum = |before, addend| {
            let written = changed(before, &Change::Add(addend), Expiry::Keep)?;
            Ok(written.and_then(|(value, _)| value))
        };
        assert_eq!(sum(None, -3), Ok(Some("-3".to_owned())));
        assert_eq!(sum(Some("41"), 1), Ok(Some("42".to_owned())));
        for other in ["", "word", "+1", "007", "-0", " 1", "1.0", "9223372036854775808"] {
            assert_eq!(sum(Some(other), 1), Err(OperationError::NotANumber), "{other:?}");
        }
        assert_eq!(sum(Some("9223372036854775807"), 1), Err(OperationError::OutOfRange));
        assert_eq!(sum(Some("-9223372036854775808"), -1), Err(OperationError::OutOfRange));
    }
}
