//! For how long an answer is of use to whoever asked.

use std::time::{Duration, Instant};

/// A wait that has begun, however many tries are made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    began: Instant,
    whole: Duration,
}

impl Budget {
    /// So long, from now on.
    pub(super) fn new(whole: Duration) -> Self {
        Self { began: Instant::now(), whole }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.whole.saturating_sub(self.began.elapsed())
    }
}
