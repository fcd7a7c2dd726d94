//! Which characters XML 1.0 can carry, and how.

use std::borrow::Cow;

/// What stands for a character that XML cannot carry, where something must be said all the same.
const REPLACEMENT: char = '\u{FFFD}';

/// Whether XML 1.0 has such a character at all (section 2.2), written plainly or as a reference.
pub(super) fn is_character(c: char) -> bool {
    !is_control(c) && !matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

fn is_control(c: char) -> bool {
    c < ' ' && !matches!(c, '\t' | '\n' | '\r')
}

/// Where the first character stands that XML cannot carry. Texts are long and such characters rare, hence
/// three quick searches.
pub(super) fn first_unfit(text: &str) -> Option<usize> {
    let control = text.bytes().position(|byte| is_control(char::from(byte)));
    let others = [text.find('\u{FFFE}'), text.find('\u{FFFF}')];
    others.into_iter().chain([control]).flatten().min()
}

/// How a character is written that would be markup, or that a reader would take for the end of a line.
fn reference(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'&' => Some(b"&amp;"),
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'\r' => Some(b"&#13;"),
        _ => None,
    }
}

/// Writes a text that XML can carry.
pub(super) fn push_escaped(bytes: &mut Vec<u8>, text: &str) {
    bytes.reserve(text.len());
    for run in text.as_bytes().split_inclusive(|byte| reference(*byte).is_some()) {
        match run.split_last().and_then(|(last, plain)| Some((plain, reference(*last)?))) {
            Some((plain, reference)) => {
                bytes.extend_from_slice(plain);
                bytes.extend_from_slice(reference);
            }
            None => bytes.extend_from_slice(run),
        }
    }
}

/// The text with every character replaced that XML cannot carry.
pub(super) fn replaced(text: &str) -> Cow<'_, str> {
    if first_unfit(text).is_none() {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if is_character(c) { c } else { REPLACEMENT }).collect()
}
