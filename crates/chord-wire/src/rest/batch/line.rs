//! One line of a batch, field by field.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::rest::lifetime::BadLifetime;

/// A line of a batch: what is to be done to which key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchLine {
    /// What is to be done.
    #[schema(pattern = "^(get|put|delete|incr)$", example = "put")]
    pub op: String,
    /// The key, as text; this or `key_base64` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "greeting", max_length = 4096)]
    pub key: Option<String>,
    /// The key in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "byte")]
    pub key_base64: Option<String>,
    /// Of a put, the value as text; this or `value_base64` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "hello")]
    pub value: Option<String>,
    /// Of a put, the value in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "byte")]
    pub value_base64: Option<String>,
    /// Of a put or an increment, how long it is to be there; a plain number is taken too, and is seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        pattern = "^([1-9][0-9]{0,8}(ms|s)?|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$",
        example = "30s"
    )]
    pub ttl: Option<String>,
    /// Of an increment, what is added; 1 if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<i64>,
    /// Of a change: it happens only if this version is stored, or with `*` if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "*")]
    pub if_match: Option<String>,
    /// Of a put or an increment: true if it happens only where nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub if_absent: Option<bool>,
    /// How many copies it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^(one|quorum|all)$")]
    pub consistency: Option<String>,
}

/// A line that is no operation. Never repeats what it held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLine {
    /// It is no JSON.
    #[error("the line is no JSON object: see column {column}")]
    NotObject {
        /// Where that shows, counted from 1.
        column: usize,
    },
    /// A field is unknown.
    #[error(
        "the line has a field that is none of op, key, key_base64, value, value_base64, ttl, by, if_match, if_absent and consistency"
    )]
    Unknown,
    /// A field is there twice.
    #[error("the field {0} is there twice")]
    Twice(&'static str),
    /// A field is of another type.
    #[error("the field {field} must be {wanted}")]
    Type {
        /// Which.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// No operation is named.
    #[error("op is one of get, put, delete and incr")]
    Op,
    /// No key is named.
    #[error("the line names no key: say key, or key_base64 where it is no text")]
    KeyMissing,
    /// A put without a value.
    #[error("a put needs a value: say value, or value_base64 where it is no text")]
    ValueMissing,
    /// A field stands both as text and as base64.
    #[error("say {0} as text or in base64, not both")]
    Both(&'static str),
    /// It is no base64.
    #[error("{0}_base64 is no base64, of A-Z a-z 0-9 + / with = at the end")]
    Base64(&'static str),
    /// A field that this operation has no use for.
    #[error("the operation of this line takes no {0}")]
    OutOfPlace(&'static str),
    /// The ttl is no lifetime.
    #[error(transparent)]
    Ttl(BadLifetime),
    /// `if_match` names no version.
    #[error("if_match is one version, as an answer tells it, or * for any")]
    IfMatch,
    /// Both conditions.
    #[error("if_match and if_absent contradict each other: say one of them")]
    Contradiction,
    /// The consistency is none of ours.
    #[error("consistency is one, quorum or all")]
    Consistency,
    /// The key or the value is too long, in words.
    #[error("{0}")]
    TooLong(String),
}

const TEXT: &str = "a text";

impl BatchLine {
    /// Reads one line.
    ///
    /// # Errors
    /// It is no JSON object of the fields of a line, each there once at most.
    pub fn read(line: &[u8]) -> Result<Self, BadLine> {
        let fields: Fields<'_> = serde_json::from_slice(line)
            .map_err(|error| BadLine::NotObject { column: error.column().max(1) })?;
        let (mut read, mut has_op) = (Self::default(), false);
        for (name, raw) in fields.0 {
            let text = |field| parse::<String>(raw, field, TEXT);
            match name.as_str() {
                "op" if has_op => return Err(BadLine::Twice("op")),
                "op" => (read.op, has_op) = (text("op")?, true),
                "key" => put(&mut read.key, "key", text("key")?)?,
                "key_base64" => put(&mut read.key_base64, "key_base64", text("key_base64")?)?,
                "value" => put(&mut read.value, "value", text("value")?)?,
                "value_base64" => put(&mut read.value_base64, "value_base64", text("value_base64")?)?,
                "ttl" => put(&mut read.ttl, "ttl", lifetime(raw)?)?,
                "by" => put(&mut read.by, "by", parse(raw, "by", "a whole number of 64 bits")?)?,
                "if_match" => put(&mut read.if_match, "if_match", text("if_match")?)?,
                "if_absent" => {
                    put(&mut read.if_absent, "if_absent", parse(raw, "if_absent", "true or false")?)?;
                }
                "consistency" => put(&mut read.consistency, "consistency", text("consistency")?)?,
                _ => return Err(BadLine::Unknown),
            }
        }
        if has_op { Ok(read) } else { Err(BadLine::Op) }
    }
}

fn put<T>(place: &mut Option<T>, field: &'static str, value: T) -> Result<(), BadLine> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadLine::Twice(field)),
    }
}

fn parse<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    field: &'static str,
    wanted: &'static str,
) -> Result<T, BadLine> {
    serde_json::from_str(raw.get()).map_err(|_| BadLine::Type { field, wanted })
}

/// A text, or a number of seconds.
fn lifetime(raw: &RawValue) -> Result<String, BadLine> {
    let digits = raw.get();
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits.to_owned());
    }
    parse(raw, "ttl", "a text such as \"30s\", or a number of seconds")
}

/// The fields of an object in their order. What they hold is skipped, which keeps no stack however deep it is.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

/// Most fields of a line: each name once, and as many again that are wrong.
const FIELDS_MAX: usize = 20;

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            if fields.len() == FIELDS_MAX {
                return Err(serde::de::Error::custom("too many fields"));
            }
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
