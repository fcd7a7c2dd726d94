//! A record as a line of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chord_kv::{Key, Record, VALUE_BYTES_LIMIT, Value};
use chord_ring::{Position, PositionParseError, RingSize};
use serde::{Deserialize, Serialize};

/// As it is written. A key or value that is UTF-8 stands as text, any other in base64; a deleted key has neither form of
/// value. The position stands there only where it is not that of the key on a ring of that size.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

/// The line of a record, without its end.
pub(crate) fn line(record: &Record, size: RingSize) -> serde_json::Result<Vec<u8>> {
    let (key, key_base64) = spelled(Some(record.key.as_bytes()));
    let (value, value_base64) = spelled(record.value.as_ref().map(Value::as_bytes));
    serde_json::to_vec(&Line {
        key,
        key_base64,
        value,
        value_base64,
        deleted: record.is_tombstone(),
        version: record.version.to_string(),
        expires_at_ms: record.expires_at_ms,
        position: (record.position != record.key.position(size)).then(|| record.position.to_string()),
    })
}

/// The record of a line, or what is wrong with it in words that do not repeat it.
pub(crate) fn record(line: &[u8], size: RingSize) -> Result<Record, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
    let key = bytes("key", line.key, line.key_base64)?.ok_or("neither key nor key_base64 is given")?;
    let key = Key::new(&key).map_err(|error| error.to_string())?;
    let value = bytes("value", line.value, line.value_base64)?;
    if value.is_some() == line.deleted {
        return Err("a record has either a value or \"deleted\":true".into());
    }
    let value = value.map(|value| Value::new(&value, VALUE_BYTES_LIMIT).map_err(|error| error.to_string()));
    let position = match line.position {
        Some(text) => position(&text, size)?,
        None => key.position(size),
    };
    Ok(Record {
        position,
        key,
        value: value.transpose()?,
        version: line.version.parse().map_err(|error: chord_kv::VersionParseError| error.to_string())?,
        expires_at_ms: line.expires_at_ms,
    })
}

/// One outside of the ring belongs to no node, so nobody would ever find the record.
fn position(text: &str, size: RingSize) -> Result<Position, String> {
    let position: Position = text.parse().map_err(|error: PositionParseError| error.to_string())?;
    if size.reduce(position) == position {
        return Ok(position);
    }
    Err(format!("its position lies outside of a ring of {} bits", size.bits()))
}

fn spelled(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(text.into()), None),
        Some((bytes, Err(_))) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("{name} and {name}_base64 are both given")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map(Some).map_err(|_| format!("{name}_base64 is not base64"))
        }
        (None, None) => Ok(None),
    }
}

/// Without what the parser repeats of the line.
fn not_json(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => {
            format!(
                "it has a field that is unknown, missing or of the wrong kind (column {})",
                error.column()
            )
        }
        _ => format!("it is not JSON (column {})", error.column()),
    }
}
