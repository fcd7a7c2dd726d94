//! Batches: one operation a line, as a JSON object, and one answer a line, in the same order.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chord_kv::replication::{Condition, Consistency, Outcome};
use chord_kv::{Key, KeyTooLong, Record, Value, ValueTooLong, Version};
use chord_ring::NodeName;
use serde::Serialize;
use utoipa::ToSchema;

use super::lifetime::{BadLifetime, read_lifetime};
use super::precondition::{BadPrecondition, Precondition};
use super::problem::Problem;
use super::query::read_consistency;
use crate::Code;

mod line;

pub use line::{BadLine, BatchLine};

/// Most operations in one batch: some thousands of them take as long as one request may, and whoever has more sends more
/// batches.
pub const BATCH_LINES_MAX: usize = 1000;

/// The content type of a batch and of its answer.
pub const BATCH_TYPE: &str = "application/x-ndjson";

/// What a line can ask for.
const OPERATIONS: [&str; 4] = ["get", "put", "delete", "incr"];

/// What one line wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The key.
    pub key: Key,
    /// What is to be done to it.
    pub action: Action,
    /// What must hold for a change.
    pub precondition: Precondition,
    /// How long what is written is to be there.
    pub ttl: Option<Duration>,
    /// How many copies it is about.
    pub consistency: Consistency,
}

/// What is to be done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell what is there.
    Get,
    /// Store this.
    Put(Value),
    /// Delete it.
    Delete,
    /// Add this.
    Incr(i64),
}

/// The lines of a batch that hold something; others are passed over.
pub fn batch_lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

impl Wanted {
    /// What a line wants, whose value has `value_bytes_max` bytes at most.
    ///
    /// # Errors
    /// The line is no operation.
    pub fn read(line: &[u8], value_bytes_max: usize) -> Result<Self, BadLine> {
        BatchLine::read(line)?.wish(value_bytes_max)
    }
}

impl BatchLine {
    /// What the line wants.
    ///
    /// # Errors
    /// Its fields make no sense, or not together.
    pub fn wish(&self, value_bytes_max: usize) -> Result<Wanted, BadLine> {
        if !OPERATIONS.contains(&self.op.as_str()) {
            return Err(BadLine::Op);
        }
        let key = spelled(self.key.as_deref(), self.key_base64.as_deref(), "key")?;
        let key = Key::new(&key.ok_or(BadLine::KeyMissing)?)?;
        let value = spelled(self.value.as_deref(), self.value_base64.as_deref(), "value")?;
        let (is_read, is_write) = (self.op == "get", matches!(self.op.as_str(), "put" | "incr"));
        let action = match (self.op.as_str(), value) {
            ("put", Some(value)) => Action::Put(Value::new(&value, value_bytes_max)?),
            ("put", None) => return Err(BadLine::ValueMissing),
            ("get", None) => Action::Get,
            ("delete", None) => Action::Delete,
            ("incr", None) => Action::Incr(self.by.unwrap_or(1)),
            ("get" | "delete" | "incr", Some(_)) => return Err(BadLine::OutOfPlace("value")),
            _ => return Err(BadLine::Op),
        };
        let misplaced = [
            ("by", self.by.is_some() && self.op != "incr"),
            ("ttl", self.ttl.is_some() && !is_write),
            ("if_match", self.if_match.is_some() && is_read),
            ("if_absent", self.if_absent.is_some() && (is_read || self.op == "delete")),
        ];
        if let Some((field, _)) = misplaced.into_iter().find(|(_, is_misplaced)| *is_misplaced) {
            return Err(BadLine::OutOfPlace(field));
        }
        let consistency =
            self.consistency.as_deref().map(|word| read_consistency(word).ok_or(BadLine::Consistency));
        Ok(Wanted {
            key,
            action,
            precondition: self.precondition()?,
            ttl: self.ttl.as_deref().map(read_lifetime).transpose()?,
            consistency: consistency.transpose()?.unwrap_or(Consistency::Usual),
        })
    }

    fn precondition(&self) -> Result<Precondition, BadLine> {
        let is_absent = self.if_absent == Some(true);
        let Some(tag) = &self.if_match else {
            let condition = if is_absent { Condition::Absent } else { Condition::Always };
            return Ok(Precondition::Is(condition));
        };
        if is_absent {
            return Err(BadLine::Contradiction);
        }
        // A version as an answer writes it, or as a tag.
        let is_bare = !tag.contains('"') && tag != "*";
        let tag = if is_bare { format!("\"{tag}\"") } else { tag.clone() };
        Ok(Precondition::read(Some(tag.as_bytes()), None)?)
    }
}

/// Bytes that stand as text or as base64.
fn spelled(
    text: Option<&str>,
    base64: Option<&str>,
    field: &'static str,
) -> Result<Option<Vec<u8>>, BadLine> {
    match (text, base64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(base64)) => STANDARD.decode(base64).map(Some).map_err(|_| BadLine::Base64(field)),
        (Some(_), Some(_)) => Err(BadLine::Both(field)),
    }
}

impl From<KeyTooLong> for BadLine {
    fn from(error: KeyTooLong) -> Self {
        Self::TooLong(error.to_string())
    }
}

impl From<ValueTooLong> for BadLine {
    fn from(error: ValueTooLong) -> Self {
        Self::TooLong(error.to_string())
    }
}

impl From<BadLifetime> for BadLine {
    fn from(error: BadLifetime) -> Self {
        Self::Ttl(error)
    }
}

impl From<BadPrecondition> for BadLine {
    fn from(_: BadPrecondition) -> Self {
        Self::IfMatch
    }
}

impl BadLine {
    /// The code under which it travels.
    pub fn code(&self) -> Code {
        if matches!(self, Self::TooLong(_)) { Code::TooLarge } else { Code::BadRequest }
    }
}

/// What came of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchAnswer {
    /// It was done.
    Done(BatchDone),
    /// It was refused, or is not known to be done.
    Failed(Problem),
}

/// A line that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchDone {
    /// The status that the request alone would have had.
    #[schema(minimum = 200, maximum = 299)]
    status: u16,
    // A doc comment here would be a schema of its own. Of a get it is the value, if that is text; of an increment the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, inline)]
    value: Option<Shown>,
    /// Of a get the value in base64, if it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value_base64: Option<String>,
    /// The version of what is stored now, or of the deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<String>,
    /// When that goes by itself, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at_ms: Option<u64>,
    /// The node that owns the key.
    owner: String,
    /// How many times the request was forwarded.
    hops: u32,
    /// Of a write, and of a read with a consistency: how many nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    copies: Option<usize>,
}

/// Of a get the value, if it is text; of an increment the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
enum Shown {
    Text(String),
    Number(i64),
}

impl BatchDone {
    /// What came of an operation with that status; `shows` says whether its value is told.
    pub fn new(status: u16, outcome: &Outcome, owner: &NodeName, hops: u32) -> Self {
        let version = outcome.version().filter(|version| version.time_ms() > 0);
        Self {
            status,
            value: None,
            value_base64: None,
            version: version.map(Version::to_string),
            expires_at_ms: outcome.record.as_ref().and_then(|record| record.expires_at_ms),
            owner: owner.to_string(),
            hops,
            copies: Some(outcome.copies).filter(|copies| *copies > 0),
        }
    }

    /// The same, which tells the value of the record.
    pub fn with_value(self, record: &Record) -> Self {
        let bytes = record.value.as_ref().map_or(&[][..], Value::as_bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { value: Some(Shown::Text(text.to_owned())), ..self },
            Err(_) => Self { value_base64: Some(STANDARD.encode(bytes)), ..self },
        }
    }

    /// The same, which tells a number.
    pub fn with_number(self, number: i64) -> Self {
        Self { value: Some(Shown::Number(number)), ..self }
    }
}

impl BatchAnswer {
    /// The line that says it.
    pub fn encode(&self) -> Vec<u8> {
        super::body::json(self)
    }
}

#[cfg(test)]
mod tests;
