//! Requests that are a line of words.
//!
//! The rules are those of Redis. A word ends at a blank. A part of it may be quoted, and ends the word where the quote is
//! closed. Between double quotes `\n`, `\r`, `\t`, `\a`, `\b` and `\xff` mean what they do in C, and any other byte behind a
//! backslash means itself; between single quotes there is only `\'`. Unlike in Redis, a NUL is a byte like any other.

use std::ops::Range;

use super::limits::{ProtocolError, RequestLimits};

/// Writes the words of a line into `words`, and where each of them lies there into `args`.
pub(super) fn split(
    line: &[u8],
    limits: &RequestLimits,
    words: &mut Vec<u8>,
    args: &mut Vec<Range<usize>>,
) -> Result<(), ProtocolError> {
    words.clear();
    let mut rest = after_blanks(line);
    while !rest.is_empty() {
        if args.len() == limits.args_max {
            return Err(ProtocolError::TooManyArgs { limit: limits.args_max });
        }
        let begin = words.len();
        rest = after_blanks(word(rest, words)?);
        args.push(begin..words.len());
    }
    Ok(())
}

/// Takes a word; what is behind it.
fn word<'a>(mut rest: &'a [u8], to: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', rest @ ..] => return double_quoted(rest, to),
            [b'\'', rest @ ..] => return single_quoted(rest, to),
            [byte, rest @ ..] => {
                to.push(*byte);
                rest
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], to: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', rest @ ..] => return behind_quote(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescaped(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        to.push(byte);
        rest = behind;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], to: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, behind) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', rest @ ..] => return behind_quote(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        to.push(byte);
        rest = behind;
    }
}

/// A word does not go on behind its closing quote.
fn behind_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(byte) if !is_blank(*byte) => Err(ProtocolError::UnbalancedQuotes),
        Some(_) | None => Ok(rest),
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        other => other,
    }
}

/// Of what is one.
fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase().wrapping_sub(b'a' - 10),
    }
}

fn after_blanks(mut line: &[u8]) -> &[u8] {
    while let [byte, rest @ ..] = line
        && is_blank(*byte)
    {
        line = rest;
    }
    line
}

/// What C calls space.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
