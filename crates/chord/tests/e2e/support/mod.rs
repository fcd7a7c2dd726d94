//! What the end-to-end tests stand on: processes, a tiny HTTP client, a sorted ring to compare with.

mod cluster;
mod hosts;
mod http;
mod machine;
mod oracle;
mod process;
mod python;

pub(crate) use cluster::*;
pub(crate) use hosts::*;
pub(crate) use http::*;
pub(crate) use machine::*;
pub(crate) use oracle::*;
pub(crate) use process::*;
pub(crate) use python::*;

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at a condition that a test waits for.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// Polls until `condition` holds, and returns what it found and after how long.
/// Says what was wrong at the last look when the time is over.
#[track_caller]
pub(crate) fn wait_for<T, E: Display>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<T, E>,
) -> (T, Duration) {
    let begin = Instant::now();
    loop {
        match condition() {
            Ok(found) => return (found, begin.elapsed()),
            Err(wrong) if begin.elapsed() > limit => panic!("{what}: not within {limit:?}: {wrong}"),
            Err(_) => std::thread::sleep(POLL_PAUSE),
        }
    }
}

/// Tells threads that they are done, also when the test that began them panics.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
