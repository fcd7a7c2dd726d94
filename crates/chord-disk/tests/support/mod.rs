//! What the tests of the engine share.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::path::Path;
use std::time::{Duration, Instant};

use chord_disk::Identity;
use chord_ring::RingSize;
use tempfile::TempDir;

/// A directory of its own, in memory where the system has such a place: most tests open stores by the hundred, and what
/// they look at is not the disk.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).expect("a directory can be made")
}

pub(crate) fn identity() -> Identity {
    Identity { ring: "test".into(), size: RingSize::DEFAULT, node: "127.0.0.1:4567".into() }
}

/// What `find` gives in the end; it is asked until it does.
pub(crate) fn eventually<T>(mut find: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < patience, "it did not come about in 20 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
