//! What the tests of the engine share.

use std::path::Path;

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
