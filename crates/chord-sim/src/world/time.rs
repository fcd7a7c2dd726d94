//! Virtual time.

use std::fmt;
use std::time::Duration;

/// An instant of virtual time: microseconds since the world began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// When the world began.
    pub const ZERO: Self = Self(0);

    /// So much later; the end of time at the latest.
    pub fn after(self, pause: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The number of the span of 2^`bits` microseconds that it is in.
    pub(crate) fn span(self, bits: u32) -> u64 {
        self.0 >> bits
    }

    /// How long it is since an earlier instant; nothing if that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
