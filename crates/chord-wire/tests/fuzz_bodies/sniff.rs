//! What a connection begins with: more bytes never change a decision, and enough bytes always bring one.

use chord_wire::resp::{SNIFF_BYTES_MAX, Sniffed, sniff};

/// How many beginnings are tried: all of a short line.
const BEGINNINGS_MAX: usize = 256;

pub(crate) fn check(bytes: &[u8]) {
    let whole = sniff(bytes);
    assert!(whole != Sniffed::NeedMore || bytes.len() < SNIFF_BYTES_MAX);
    let long = (0..bytes.len()).step_by(1 + bytes.len() / BEGINNINGS_MAX);
    for end in (0..bytes.len().min(BEGINNINGS_MAX)).chain(long) {
        let sniffed = sniff(&bytes[..end]);
        assert!(sniffed == Sniffed::NeedMore || sniffed == whole, "after {end} bytes");
    }
    let mut full = bytes.to_vec();
    full.resize(bytes.len().max(SNIFF_BYTES_MAX), b'x');
    let decided = sniff(&full);
    assert!(decided != Sniffed::NeedMore && (whole == Sniffed::NeedMore || whole == decided));
}
