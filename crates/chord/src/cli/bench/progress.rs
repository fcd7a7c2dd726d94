//! How far a measurement is: a line on standard error, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::table::thousands;

/// The line, which is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of so many keys, each of which is asked for once.
    pub(super) fn of_keys(n_keys: u64) -> Self {
        Self::new(n_keys, "{bar:40} {pos} of {len} keys, {elapsed}, {eta} left")
    }

    /// Of a measurement that takes so long.
    pub(super) fn of_time(measured: Duration) -> Self {
        Self::new(milliseconds(measured), "{bar:40} {msg}")
    }

    fn new(length: u64, template: &str) -> Self {
        let bar = ProgressBar::new(length);
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// So many keys were asked for.
    pub(super) fn at(&self, n_keys: u64) {
        self.0.set_position(n_keys);
    }

    /// So many requests ended in so long.
    pub(super) fn after(&self, elapsed: Duration, n_requests: u64) {
        let ms = milliseconds(elapsed);
        self.0.set_message(format!("{} a second", thousands(n_requests.saturating_mul(1000) / ms.max(1))));
        self.0.set_position(ms);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
