//! The body of an answer that is an error: `{"error": "one sentence"}`.

use crate::python::is_printable;
use crate::seed::field::{Record, Source};
use crate::seed::json;
use crate::seed::object::Object;

/// How many characters of a peer's error are kept: a long sentence, and no more than a few lines of a log.
pub const ERROR_CHARS_MAX: usize = 400;

/// The body that says `sentence`.
pub fn encode_error(sentence: &str) -> Vec<u8> {
    Object::new().string("error", sentence).end()
}

/// The sentence of such a body, fit to be shown: cut at [`ERROR_CHARS_MAX`], without characters that could
/// steer a terminal. `None` if the body is nothing of the kind, such as the seed's HTML page.
pub fn decode_error(body: &[u8]) -> Option<String> {
    let [error] = json::Body(body).fields(["error"]).ok()?;
    let sentence = error.required().ok()?.string().ok()?;
    let shown = shown(&sentence);
    (!shown.trim().is_empty()).then_some(shown)
}

/// A peer's sentence as far as it is fit to be shown: what is not printable is escaped, so that it can be seen that it was there.
pub(crate) fn shown(sentence: &str) -> String {
    let mut shown = String::new();
    let mut n_chars = 0;
    for character in sentence.chars() {
        let escaped = (!is_printable(character)).then(|| character.escape_unicode());
        n_chars += escaped.as_ref().map_or(1, ExactSizeIterator::len);
        if n_chars > ERROR_CHARS_MAX {
            break;
        }
        match escaped {
            Some(escaped) => shown.extend(escaped),
            None => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_body() {
        assert_eq!(encode_error("no \"route\""), br#"{"error": "no \"route\""}"#);
        assert_eq!(decode_error(&encode_error("no \"route\" to ü")).as_deref(), Some("no \"route\" to ü"));
    }

    #[test]
    fn a_peer_cannot_steer_the_terminal_or_fill_the_log() {
        let hostile = format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(ERROR_CHARS_MAX + 1));
        let shown = decode_error(&encode_error(&hostile)).unwrap();
        assert_eq!(shown.chars().count(), ERROR_CHARS_MAX);
        assert!(shown.starts_with(r"\u{1b}[2J\u{202e}\u{a}x"), "{shown}");
        let controls = decode_error(&encode_error(&"\u{1b}".repeat(ERROR_CHARS_MAX))).unwrap();
        assert!(
            controls.ends_with(r"\u{1b}") && controls.len() <= ERROR_CHARS_MAX,
            "no escape is cut: {controls}"
        );
    }

    #[test]
    fn what_is_no_error_body_yields_none() {
        let bodies: [&[u8]; 7] =
            [b"", b"{}", b"<html>", br#"{"error": 5}"#, br#"{"error": ""}"#, br#"["error"]"#, b"\xff"];
        for body in bodies {
            assert_eq!(decode_error(body), None);
        }
    }
}
