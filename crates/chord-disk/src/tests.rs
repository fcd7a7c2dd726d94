//! Tests that put another disk under the engine.

mod anew;
mod damage;
mod documentation;
mod faults;
mod log;
mod power_loss;
mod tape;

use std::path::Path;
use std::time::{Duration, Instant};

use chord_kv::{Key, Record, Sequence, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use tempfile::TempDir;

use crate::{DiskStore, Identity, Options};

/// A directory in memory where there is such a place: what lies in it is no part of these tests.
fn scratch() -> TempDir {
    tempfile::tempdir_in(Path::new("/dev/shm")).or_else(|_| tempfile::tempdir()).unwrap()
}

fn options() -> Options {
    let identity = Identity { ring: "test".into(), size: RingSize::DEFAULT, node: "node".into() };
    Options { cache_bytes: 4 << 20, ..Options::new(identity) }
}

/// A record whose value follows from its key and time.
fn record(name: u32, time_ms: u64) -> Record {
    let key = Key::new(name.to_string().as_bytes()).unwrap();
    let text = format!("value {name} of {time_ms} ").repeat(1 + name as usize % 7 * 20);
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: (!time_ms.is_multiple_of(5))
            .then(|| Value::new(text.as_bytes(), VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(time_ms, 0, Position::from(7)),
        expires_at_ms: time_ms.is_multiple_of(3).then_some(time_ms * 1000),
    }
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn wait_durable(store: &DiskStore, sequence: Sequence) {
    wait_until("it is durable", || store.durable() >= sequence);
}
