//! Lists of keys: lines of JSON, one for each key.

use chord_kv::replication::Header;
use serde::Serialize;
use utoipa::ToSchema;

use super::batch::BATCH_TYPE;
use super::body::{SpelledKey, json};

/// The content type of a list of keys.
pub const KEYS_TYPE: &str = BATCH_TYPE;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyLine {
    /// Which one.
    #[serde(flatten)]
    key: SpelledKey,
    /// The version of what is stored.
    version: String,
    /// When it goes, in milliseconds since 1970, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at_ms: Option<u64>,
}

/// The line that tells of a key, with its end.
pub fn key_line(header: &Header) -> Vec<u8> {
    let Header { key, version, over_at_ms, .. } = header;
    json(&KeyLine { key: key.into(), version: version.to_string(), expires_at_ms: *over_at_ms })
}

#[cfg(test)]
mod tests {
    use chord_kv::{Key, Version};
    use chord_ring::Position;

    use super::*;

    fn line(key: &[u8], over_at_ms: Option<u64>) -> String {
        let (key, version) = (Key::new(key).unwrap(), Version::new(5, 0, Position::ZERO));
        let header = Header { position: Position::ZERO, key, version, over_at_ms };
        String::from_utf8(key_line(&header)).unwrap()
    }

    #[test]
    fn a_key_is_one_line() {
        assert_eq!(line(b"greeting", None), "{\"key\":\"greeting\",\"version\":\"5.0.0\"}\n");
        let mortal = "{\"key_base64\":\"/w==\",\"version\":\"5.0.0\",\"expires_at_ms\":9}\n";
        assert_eq!(line(b"\xff", Some(9)), mortal);
        assert_eq!(line(b"a\nb", None).lines().count(), 1);
    }
}
