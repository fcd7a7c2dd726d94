//! How long it takes to encode and to decode a message full of small records:
//! `cargo run --release -p chord-wire --example replica_speed`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "it measures, and prints what it measures"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chord_kv::replication::{MESSAGE_RECORDS_MAX, PeerRequest};
use chord_kv::{Key, Record, Value, Version};
use chord_ring::RingSize;
use chord_wire::replica::{DataRequest, ReplicaLimits, decode_request, encode_request};

const ROUNDS: usize = 2001;
const VALUE_BYTES: usize = 64;

fn main() {
    let size = RingSize::DEFAULT;
    let limits = ReplicaLimits { size, value_bytes: VALUE_BYTES };
    let request = DataRequest::Peer(PeerRequest::Deliver { records: records(size) });
    let bytes = encode_request(&request);
    assert_eq!(decode_request(&bytes, &limits).as_ref(), Ok(&request), "what is measured works");
    let encode = median(|| encode_request(black_box(&request)));
    let decode = median(|| decode_request(black_box(&bytes), &limits));
    let hash = median(|| {
        let DataRequest::Peer(PeerRequest::Deliver { records }) = &request else { return };
        for record in records {
            black_box(record.key.position(size));
        }
    });
    println!("{MESSAGE_RECORDS_MAX} records with values of {VALUE_BYTES} bytes: {} bytes", bytes.len());
    println!("encode {encode:?}, decode {decode:?}, of which {hash:?} to find where the keys lie");
}

fn records(size: RingSize) -> Vec<Record> {
    let record = |idx: usize| {
        let key = Key::new(format!("user:{idx:08}").as_bytes()).expect("a short key");
        let value = Value::new(&[b'v'; VALUE_BYTES], VALUE_BYTES).expect("a short value");
        let version = Version::new(1_700_000_000_000, 0, size.position_of(b"127.0.0.1:4567"));
        Record { position: key.position(size), key, value: Some(value), version, expires_at_ms: None }
    };
    (0..MESSAGE_RECORDS_MAX).map(record).collect()
}

/// Without the time that it takes to drop what comes of it.
fn median<T>(work: impl Fn() -> T) -> Duration {
    let once = || {
        let begun = Instant::now();
        let made = black_box(work());
        let took = begun.elapsed();
        drop(made);
        took
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| once()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}
