//! What a connection speaks, by what it begins with.

use chord_kv::KEY_BYTES_MAX;

use crate::frame::OPENING;

/// What has not shown itself within so many bytes is decided by those. A line that reads a key fits.
pub const SNIFF_BYTES_MAX: usize = 8 << 10;

const _: () = assert!(SNIFF_BYTES_MAX >= KEY_BYTES_MAX + 64);

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sniffed {
    /// Not known before more bytes have come.
    NeedMore,
    /// HTTP of any version.
    Http,
    /// The protocol of Redis.
    Resp,
    /// A handshake of TLS, in which any of the others may be wrapped.
    Tls,
    /// What our nodes speak to each other.
    Frames,
    /// None of these.
    Unknown,
}

/// What a connection speaks that begins with these bytes. Once it is known, more bytes never change it, and it is known
/// when there are [`SNIFF_BYTES_MAX`].
///
/// 1. Carriage returns and line feeds in front are passed over: both protocols have them mean nothing.
/// 2. `*` begins an array of RESP. No method of HTTP begins so.
/// 3. The bytes 22 and 3 begin a handshake of TLS.
/// 4. What begins with all of [`OPENING`], and nothing in front of it, is of our nodes.
/// 5. Any other byte that is not printable ASCII is of nothing that we know.
/// 6. What remains is a line of text, and is HTTP if it is a method, one blank, a target, one blank and `HTTP/`; a method
///    is a token of HTTP, and a target begins with `/`, `*` or `http`, or its method is `CONNECT`. This holds for any
///    method, since a browser sends whatever method a page tells it to: `SET /key HTTP/1.1` must not write a key.
///    `PRI * HTTP/2.0`, which begins HTTP/2, is HTTP too.
/// 7. A target that does not end within [`SNIFF_BYTES_MAX`] is HTTP's: no key is as long, and HTTP has an answer for it.
/// 8. Every other line of text is a line of RESP, also `GET /key`, which HTTP had before it had versions.
///
/// So whoever types commands in lines cannot begin with one that has a second word like `/key` and a third like `HTTP/`.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let bytes = bytes.get(..SNIFF_BYTES_MAX).unwrap_or(bytes);
    let n_blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let text = bytes.get(n_blank..).unwrap_or_default();
    let sniffed = match text {
        [] | [0x16] => Sniffed::NeedMore,
        [b'*', ..] => Sniffed::Resp,
        [0x16, 0x03, ..] => Sniffed::Tls,
        [b' '..=b'~', ..] => sniff_line(text),
        _ if bytes.starts_with(&OPENING) => Sniffed::Frames,
        _ if OPENING.starts_with(bytes) => Sniffed::NeedMore,
        _ => Sniffed::Unknown,
    };
    let is_full = bytes.len() == SNIFF_BYTES_MAX;
    if sniffed == Sniffed::NeedMore && is_full { at_the_limit(text) } else { sniffed }
}

/// What a first line of text is.
fn sniff_line(line: &[u8]) -> Sniffed {
    let Some((method, rest)) = cut(line, |byte| !is_of_token(byte)) else { return Sniffed::NeedMore };
    let target = match rest {
        [b' ', target @ ..] if !method.is_empty() => target,
        _ => return Sniffed::Resp,
    };
    match begins_target(method, target) {
        None => return Sniffed::NeedMore,
        Some(false) => return Sniffed::Resp,
        Some(true) => {}
    }
    match cut(target, |byte| byte <= b' ' || byte == 0x7f) {
        None => Sniffed::NeedMore,
        Some((_, [b' ', version @ ..])) => match begins_with(version, b"HTTP/") {
            None => Sniffed::NeedMore,
            Some(true) => Sniffed::Http,
            Some(false) => Sniffed::Resp,
        },
        Some(_) => Sniffed::Resp,
    }
}

/// What is still open after so many bytes.
fn at_the_limit(text: &[u8]) -> Sniffed {
    match text {
        [] | [0x16] => Sniffed::Unknown,
        // There is no end of its first word, or of its second.
        _ if text.iter().all(|byte| is_of_token(*byte)) => Sniffed::Resp,
        _ => Sniffed::Http,
    }
}

/// Whether what follows a method may be a target; `None` if that is not seen yet.
fn begins_target(method: &[u8], target: &[u8]) -> Option<bool> {
    match target {
        [] => None,
        [b'/' | b'*', ..] => Some(true),
        _ if method == b"CONNECT" => Some(true),
        _ => begins_with(target, b"http"),
    }
}

/// Whether `bytes` begin so, in letters of any case; `None` if that is not seen yet.
fn begins_with(bytes: &[u8], beginning: &[u8]) -> Option<bool> {
    let n_common = bytes.len().min(beginning.len());
    let is_same = bytes.iter().zip(beginning).all(|(byte, wanted)| byte.eq_ignore_ascii_case(wanted));
    (!is_same || n_common == beginning.len()).then_some(is_same)
}

/// What is in front of the first byte that is like this, and the rest from there on.
fn cut(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| is_end(*byte))?;
    bytes.split_at_checked(at)
}

/// What RFC 9110, section 5.6.2, lets a method be made of.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
