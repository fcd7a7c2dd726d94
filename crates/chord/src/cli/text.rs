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
                _ if is_unseen(character) && !matches!(character, '\0' | '\t' | '\n' | '\r') => {
                    line.extend(character.escape_unicode());
                }
                _ => line.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            write!(line, "\\x{byte:02x}").expect("a string takes every text");
        }
    }
    line
}

/// Whether a character steers a terminal, turns the line round, or shows nothing: controls of both sets, those that say which
/// way to write, joiners, fillers, tags, and what chooses between shapes. Of names that look alike one may have these.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The same JSON, with `\u` in the place of what is not seen. Such characters are nowhere in JSON but in its texts.
pub(crate) fn visible_json(json: String) -> String {
    if !json.chars().any(is_unseen) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_unseen(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a string takes every text");
            }
        } else {
            text.push(character);
        }
    }
    text
}

/// A sentence of ours in which others may have had a word: what is not seen is escaped.
pub(crate) fn visible(sentence: &str) -> String {
    let mut text = String::with_capacity(sentence.len());
    for character in sentence.chars() {
        if is_unseen(character) {
            text.extend(character.escape_unicode());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text of all characters, among which those are many that steer a terminal or are not seen.
    fn hostile() -> impl Strategy<Value = String> {
        let unseen = [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{80}',
            '\u{9b}',
            '\u{9f}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{200b}',
            '\u{3164}',
            '\u{e0041}',
            '\\',
            '"',
            '\n',
        ];
        let one = prop_oneof![any::<char>(), prop::sample::select(unseen.to_vec())];
        prop::collection::vec(one, 0..40).prop_map(String::from_iter)
    }

    /// The ranges that a terminal obeys or turns lines round by, as they stand in Unicode.
    fn steers(character: char) -> bool {
        matches!(u32::from(character),
            0..=0x1f | 0x7f..=0x9f | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0x61c | 0x200b..=0x200d
            | 0xfeff | 0xe0001..=0xe007f)
    }

    proptest! {
        #[test]
        fn nothing_that_others_say_steers_a_terminal_or_hides_in_it(text in hostile(), other in hostile()) {
            let line = escaped(text.as_bytes());
            prop_assert!(!line.chars().any(|c| steers(c) || is_unseen(c)), "{line:?}");
            prop_assert_eq!(line == escaped(other.as_bytes()), text == other, "no two are alike");
            prop_assert!(!visible(&text).chars().any(|c| steers(c) || is_unseen(c)));
        }

        #[test]
        fn json_says_the_same_without_what_is_not_seen(text in hostile()) {
            let json = visible_json(serde_json::to_string(&[(&text, 1)]).unwrap());
            prop_assert!(!json.chars().any(|c| steers(c) || is_unseen(c)), "{json:?}");
            prop_assert_eq!(serde_json::from_str::<[(String, u8); 1]>(&json).unwrap(), [(text, 1)]);
        }
    }

    #[test]
    fn what_is_not_seen_is_escaped_as_json_has_it() {
        let json = serde_json::to_string("a\u{9b}\u{202e}\u{e0041}ü\u{1f600}").unwrap();
        assert_eq!(visible_json(json), "\"a\\u009b\\u202e\\udb40\\udc41ü\u{1f600}\"");
        assert_eq!(escaped("\u{9b}2J\u{3164}\u{2800}".as_bytes()), r"\u{9b}2J\u{3164}\u{2800}");
        assert_eq!(visible("no \\ \u{9b}2J"), r"no \ \u{9b}2J");
    }

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
