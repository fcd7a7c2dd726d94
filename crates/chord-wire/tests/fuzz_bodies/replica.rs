//! Replica messages: a message has one encoding only.

use chord_kv::VALUE_BYTES_DEFAULT;
use chord_ring::RingSize;
use chord_wire::replica::{ReplicaLimits, decode_answer, decode_request, encode_answer, encode_request};

/// The first byte says how large the ring is.
pub(crate) fn check(bytes: &[u8]) {
    let Some((bits, bytes)) = bytes.split_first() else { return };
    let size = RingSize::new(u64::from(*bits) + 1).expect("there are rings of 1 to 256 bits");
    let limits = ReplicaLimits { size, value_bytes: VALUE_BYTES_DEFAULT };
    if let Ok(request) = decode_request(bytes, &limits) {
        assert_eq!(encode_request(&request), bytes);
    }
    if let Ok(answer) = decode_answer(bytes, &limits) {
        assert_eq!(encode_answer(&answer), bytes);
    }
}
