//! Answers, until they are written.

use std::borrow::Cow;
use std::sync::Arc;

use chord_kv::replication::OperationError as Unable;
use chord_kv::{Key, StoreError, Value};
use chord_wire::Code;
use chord_wire::resp::ReplyWriter;

use crate::OperationError;
use crate::door::share::{Share, Unread};
use crate::shared::Shared;

/// The answer to a command.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// A short word of ours.
    Simple(&'static str),
    Error {
        code: &'static str,
        sentence: Cow<'static, str>,
    },
    Integer(i64),
    Value(Value),
    /// Part of a value.
    Bytes(Vec<u8>),
    Text(Cow<'static, str>),
    Null,
    NullArray,
    Array(Vec<Self>),
    /// A list that may be large.
    Values(Values),
    Map(Vec<(&'static str, Self)>),
    Set(Vec<Self>),
    /// What comes unasked.
    Push(Vec<Self>),
    /// A text for people.
    Verbatim(String),
    /// A large one, and its part of the budget until it is sent.
    Held(Box<Self>, Share),
    /// Nothing, for a client that wants none.
    Nothing,
}

/// The values of several keys, and their part of the budget.
#[derive(Debug, PartialEq)]
pub(super) struct Values {
    pub(super) values: Vec<Option<Value>>,
    pub(super) share: Share,
}

impl Answer {
    pub(super) const OK: Self = Self::Simple("OK");

    pub(super) fn error(code: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::Error { code, sentence: sentence.into() }
    }

    /// A plain mistake of the client's.
    pub(super) fn mistake(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::error("ERR", sentence)
    }

    pub(super) fn yes(is_true: bool) -> Self {
        Self::Integer(i64::from(is_true))
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn value(value: Option<Value>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }

    pub(super) fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Bytes that it takes, about, until it is sent.
    fn bytes(&self) -> usize {
        let all = |parts: &[Self]| parts.iter().map(|part| part.bytes() + size_of::<Self>()).sum();
        match self {
            Self::Value(value) => value.as_bytes().len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Verbatim(text) => text.len(),
            Self::Array(parts) | Self::Set(parts) | Self::Push(parts) => all(parts),
            Self::Map(pairs) => pairs.iter().map(|(_, value)| value.bytes() + size_of::<Self>()).sum(),
            // The last two have their part already.
            Self::Simple(_)
            | Self::Error { .. }
            | Self::Integer(_)
            | Self::Null
            | Self::NullArray
            | Self::Nothing
            | Self::Values(_)
            | Self::Held(..) => 0,
        }
    }

    /// The same, with its part of the budget if it is large. Where nothing is left of that, a read is refused; what a
    /// change has found is told nowhere else.
    pub(super) fn held(self, shared: &Arc<Shared>, is_read: bool) -> Self {
        match Share::of_answer(shared, self.bytes()) {
            Ok(Some(share)) => Self::Held(Box::new(self), share),
            Err(unread) if is_read => Self::error("BUSY", unread.to_string()),
            Ok(None) | Err(Unread) => self,
        }
    }

    /// The same, with the part of the budget that it has for waiting behind others; one that is large has its own.
    pub(super) fn held_beside(self, mut beside: Share) -> Self {
        match self {
            Self::Held(..) | Self::Values(_) | Self::Nothing => self,
            answer => {
                beside.answered(answer.bytes());
                Self::Held(Box::new(answer), beside)
            }
        }
    }

    pub(super) fn write(&self, to: &mut ReplyWriter<'_>) {
        match self {
            Self::Simple(word) => _ = to.simple(word),
            Self::Error { code, sentence } => _ = to.error(code, sentence),
            Self::Integer(number) => _ = to.integer(*number),
            Self::Value(value) => _ = to.bulk(value.as_bytes()),
            Self::Bytes(bytes) => _ = to.bulk(bytes),
            Self::Text(text) => _ = to.bulk(text.as_bytes()),
            Self::Null => _ = to.null(),
            Self::NullArray => _ = to.null_array(),
            Self::Values(Values { values, .. }) => {
                to.array(values.len());
                for value in values {
                    to.bulk_or_null(value.as_ref().map(Value::as_bytes));
                }
            }
            Self::Array(parts) => write_all(parts, to.array(parts.len())),
            Self::Set(parts) => write_all(parts, to.set(parts.len())),
            Self::Push(parts) => write_all(parts, to.push(parts.len())),
            Self::Map(pairs) => {
                to.map(pairs.len());
                for (key, value) in pairs {
                    value.write(to.bulk(key.as_bytes()));
                }
            }
            Self::Verbatim(text) => _ = to.verbatim(text),
            Self::Held(answer, _) => answer.write(to),
            Self::Nothing => {}
        }
    }
}

fn write_all(parts: &[Answer], to: &mut ReplyWriter<'_>) {
    for part in parts {
        part.write(to);
    }
}

/// What is said of a key, or of the bytes that were to be one.
pub(super) fn key_of(bytes: &[u8]) -> Result<Key, Answer> {
    Key::new(bytes).map_err(|error| Answer::mistake(error.to_string()))
}

/// The words of Redis, where it has some for that; else a word that clients can tell apart, and our sentence.
impl From<OperationError> for Answer {
    fn from(error: OperationError) -> Self {
        if let OperationError::Data(unable) = &error {
            match unable {
                Unable::NotANumber => return Self::mistake("value is not an integer or out of range"),
                Unable::OutOfRange => return Self::mistake("increment or decrement would overflow"),
                Unable::TooLong(_) => {
                    return Self::mistake("string exceeds maximum allowed size (proto-max-bulk-len)");
                }
                Unable::Store(StoreError::Full { .. }) => {
                    return Self::error("OOM", format!("command not allowed: {error}"));
                }
                _ => {}
            }
        }
        let code = match error.code() {
            Code::NotMember => "LOADING",
            Code::Busy | Code::NoRoute | Code::HopLimit | Code::Outdated | Code::Deadline => "TRYAGAIN",
            Code::Uncertain | Code::TooFewCopies => "UNCERTAIN",
            Code::StoreFailed => "MISCONF",
            _ => "ERR",
        };
        Self::error(code, error.to_string())
    }
}
