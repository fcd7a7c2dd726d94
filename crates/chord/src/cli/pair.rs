//! A key and what is stored under it, as `put`, `get` and `incr` print them with `--json`.

use chord::{Key, NodeName, Operated, Record, Value};
use serde::Serialize;

use super::text::Spelled;

/// One JSON object. What is not UTF-8 stands in base64, in a field of another name.
#[derive(Debug, Serialize)]
pub(crate) struct Pair<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Shown::is_elsewhere")]
    value: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// Left out where nothing is stored, and where a node of chord.py keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    owner: &'a str,
    hops: u32,
}

/// The field `value`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(&'a str),
    /// Null: nothing is stored.
    Absent,
    #[serde(skip)]
    Elsewhere,
}

impl Shown<'_> {
    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere)
    }
}

impl<'a> Pair<'a> {
    /// What is under the key after an operation; `put` is what was put, which a node of chord.py does not repeat.
    pub(crate) fn of(key: &'a Key, operated: &'a Operated, put: Option<&'a Value>) -> Self {
        let record = operated.outcome.record.as_ref();
        let value = record.and_then(|record| record.value.as_ref()).or(put);
        let value = value.map(Value::as_bytes);
        let pair = Self::of_seed(key.as_bytes(), value, &operated.owner, operated.hops);
        let version = record.map(|record| record.version.to_string());
        let expires_at_ms = record.and_then(|Record { expires_at_ms, .. }| *expires_at_ms);
        Self { version, expires_at_ms, ..pair }
    }

    /// What a node of chord.py says.
    pub(crate) fn of_seed(key: &'a [u8], value: Option<&'a [u8]>, owner: &'a NodeName, hops: u32) -> Self {
        let (key, key_base64) = Spelled::new(key).parts();
        let (value, value_base64) = match value.map(|value| Spelled::new(value).parts()) {
            None => (Shown::Absent, None),
            Some((Some(text), _)) => (Shown::Text(text), None),
            Some((None, base64)) => (Shown::Elsewhere, base64),
        };
        let (version, expires_at_ms) = (None, None);
        Self { key, key_base64, value, value_base64, version, expires_at_ms, owner: owner.as_str(), hops }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(key: &[u8], value: Option<&[u8]>) -> String {
        let owner = "h:1".parse().unwrap();
        serde_json::to_string(&Pair::of_seed(key, value, &owner, 0)).unwrap()
    }

    #[test]
    fn json_has_its_fields_in_order() {
        assert_eq!(json(b"k", None), r#"{"key":"k","value":null,"owner":"h:1","hops":0}"#);
        assert_eq!(json(b"k", Some(b"")), r#"{"key":"k","value":"","owner":"h:1","hops":0}"#);
    }

    #[test]
    fn what_is_no_text_stands_in_base64() {
        let expected = r#"{"key_base64":"//4=","value_base64":"AP8=","owner":"h:1","hops":0}"#;
        assert_eq!(json(b"\xff\xfe", Some(b"\x00\xff")), expected);
    }
}
