//! Bytes of any kind, shown: as text where they are text, and so that they can be told apart where they are not.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes in JSON, which holds text alone: as `chord data export` writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spelled<'a> {
    /// They are UTF-8.
    Text(&'a str),
    /// They are not.
    Base64(String),
}

impl<'a> Spelled<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Base64(STANDARD.encode(bytes)), Self::Text)
    }

    /// The text, or else the base64: one of the two.
    pub(crate) fn parts(self) -> (Option<&'a str>, Option<String>) {
        match self {
            Self::Text(text) => (Some(text), None),
            Self::Base64(base64) => (None, Some(base64)),
        }
    }
}

/// `bytes` on one line of printable text, and no two of them alike: what cannot be printed is escaped as in Rust, and so
/// is the backslash.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\'' | '"' => line.push(character),
                _ => line.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            write!(line, "\\x{byte:02x}").expect("a string takes every text");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_in_json() {
        assert_eq!(Spelled::new("ключ\n".as_bytes()).parts(), (Some("ключ\n"), None));
        assert_eq!(Spelled::new(b"\x00\xff").parts(), (None, Some("AP8=".to_owned())));
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_and_can_be_told_from_what_looks_like_it() {
        assert_eq!(escaped("schlüssel 1 \"it's\"".as_bytes()), "schlüssel 1 \"it's\"");
        assert_eq!(escaped(b"a\nb\t\x1b[0m\\n"), r"a\nb\t\u{1b}[0m\\n");
        assert_eq!(escaped(b"\xffA\xc3"), r"\xffA\xc3");
        assert_ne!(escaped(b"\n"), escaped(b"\\n"));
        assert_eq!(escaped("a\u{202e}b".as_bytes()), r"a\u{202e}b", "nor is what turns the line round");
    }
}
