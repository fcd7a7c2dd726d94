//! Versions: which of two writes to a key is the newer, decided by every node alike.
//!
//! A version is a hybrid logical clock (Kulkarni and others, 2014): the time when it was made, as long as
//! time moves, and a count where time does not. A clock that is wrong must not eat data, so a version is
//! greater than all that its maker has seen, whatever the clock says; and a peer's time is not believed
//! when it is far ahead, since one such version would pull the whole ring's time along for good.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use chord_ring::{Position, PositionParseError};

/// Greatest time that a version can hold, in milliseconds since 1970: 48 bits, which last until the year 10889.
pub const VERSION_TIME_MS_MAX: u64 = (1 << (64 - COUNTER_BITS)) - 1;

/// How far ahead of our clock a copy's version may be, in milliseconds: 50 years, which no clock is off by mistake, so that
/// nobody can make a key that no later write surpasses. A clock that shows a time before 2026 has not been set.
const COPY_AHEAD_MS_MAX: u64 = 50 * 366 * 24 * 3_600_000;
const CLOCK_SET_MS: u64 = 1_767_225_600_000;

/// How far ahead of our clock a version may be and still be believed, in milliseconds. Hosts that keep time
/// at all are within a second of each other; a minute also forgives one that is badly looked after.
pub const CLOCK_AHEAD_MS_MAX: u64 = 60_000;

const COUNTER_BITS: u32 = 16;

/// Which write a record is: totally ordered by time, then counter, then writer.
///
/// Printed and parsed as `time.counter.writer`, in decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    tick: Tick,
    writer: Position,
}

/// Milliseconds in the upper 48 bits, counter in the lower 16: one more than a full counter carries into time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Tick(u64);

impl Tick {
    fn new(time_ms: u64, counter: u16) -> Self {
        Self(time_ms.min(VERSION_TIME_MS_MAX) << COUNTER_BITS | u64::from(counter))
    }

    fn time_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Version {
    /// The version of that time, counter and writer. A time above [`VERSION_TIME_MS_MAX`] becomes that.
    pub fn new(time_ms: u64, counter: u16, writer: Position) -> Self {
        Self { tick: Tick::new(time_ms, counter), writer }
    }

    /// The version of a record that came without one, over a record of version `previous`: newer than others that came
    /// so, and older than every version that a clock has made.
    pub fn of_unknown_age(previous: Option<&Self>, taken_by: Position) -> Self {
        let earlier = previous.filter(|previous| previous.time_ms() == 0);
        let tick =
            earlier.map_or(Tick::default(), |previous| previous.tick.next().min(Tick::new(0, u16::MAX)));
        Self { tick, writer: taken_by }
    }

    /// Whether this one is no further in time than the very next after `previous`.
    pub fn follows_closely(&self, previous: &Self) -> bool {
        self.tick <= previous.tick.next()
    }

    /// Whether later writes can have greater versions: hardly any in the last millisecond that a version can hold, which
    /// no clock shows by mistake.
    pub fn can_be_surpassed(&self) -> bool {
        self.time_ms() < VERSION_TIME_MS_MAX
    }

    /// Whether a copy can honestly have it, where the clock shows `now_ms`: it was made by a clock, however wrong.
    pub fn is_plausible(&self, now_ms: u64) -> bool {
        self.time_ms() <= now_ms.max(CLOCK_SET_MS).saturating_add(COPY_AHEAD_MS_MAX)
            && self.can_be_surpassed()
    }

    /// Whether it is no further ahead of a clock that shows `now_ms` than clocks are.
    pub fn is_believed(&self, now_ms: u64) -> bool {
        self.time_ms() <= now_ms.saturating_add(CLOCK_AHEAD_MS_MAX)
    }

    /// When it was made, in milliseconds since 1970, as far as its maker's clock and what it had seen tell.
    pub fn time_ms(&self) -> u64 {
        self.tick.time_ms()
    }

    /// Which of the versions with that time it is.
    pub fn counter(&self) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the counter")]
        let counter = self.tick.0 as u16;
        counter
    }

    /// The position of the node that made it.
    pub fn writer(&self) -> Position {
        self.writer
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time_ms(), self.counter(), self.writer)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionParseError {
    /// Not three parts with a `.` between them.
    #[error("a version is TIME.COUNTER.WRITER, three whole numbers")]
    NotThreeNumbers,
    /// The time is no number of at most 48 bits.
    #[error("the time in a version is a whole number of milliseconds of at most {VERSION_TIME_MS_MAX}")]
    BadTime,
    /// The counter is no number of at most 16 bits.
    #[error("the counter in a version is a whole number of at most 65535")]
    BadCounter,
    /// The writer is no position.
    #[error("the writer in a version is no position: {0}")]
    BadWriter(#[from] PositionParseError),
}

impl FromStr for Version {
    type Err = VersionParseError;

    fn from_str(text: &str) -> Result<Self, VersionParseError> {
        let mut parts = text.split('.');
        let (Some(time), Some(counter), Some(writer), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VersionParseError::NotThreeNumbers);
        };
        let time_ms = decimal(time).filter(|time_ms| *time_ms <= VERSION_TIME_MS_MAX);
        let time_ms = time_ms.ok_or(VersionParseError::BadTime)?;
        let counter = decimal(counter).and_then(|counter| u16::try_from(counter).ok());
        let counter = counter.ok_or(VersionParseError::BadCounter)?;
        Ok(Self::new(time_ms, counter, writer.parse()?))
    }
}

/// Unlike `str::parse`, takes no sign.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A version whose time is too far ahead of our clock to be believed: one of the two clocks is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version is {ahead_ms} ms ahead of this node's clock; at most {CLOCK_AHEAD_MS_MAX} ms are believed"
)]
pub struct ClockAhead {
    /// By how much it is ahead, in milliseconds.
    pub ahead_ms: u64,
}

/// Makes versions. Each is greater than every version that it made or believed before.
///
/// Those who begin writes at a node may share its clock: no two of them get the same version.
#[derive(Debug, Default)]
pub struct VersionClock {
    /// The latest [`Tick`]. It orders nothing but itself.
    last: AtomicU64,
}

impl VersionClock {
    /// A clock that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a version that came from elsewhere, so that the next one made here is greater.
    ///
    /// # Errors
    /// The version is more than [`CLOCK_AHEAD_MS_MAX`] ahead of `now_ms`; the clock is unchanged.
    pub fn observe(&self, version: &Version, now_ms: u64) -> Result<(), ClockAhead> {
        let ahead_ms = version.time_ms().saturating_sub(now_ms);
        if ahead_ms > CLOCK_AHEAD_MS_MAX {
            return Err(ClockAhead { ahead_ms });
        }
        self.last.fetch_max(version.tick.0, Ordering::Relaxed);
        Ok(())
    }

    /// A new version by `writer`.
    ///
    /// When every 48-bit time is used up versions stop growing, rather than wrapping round.
    pub fn next(&self, now_ms: u64, writer: Position) -> Version {
        let next = |last: u64| Tick(last).next().max(Tick::new(now_ms, 0));
        let advanced =
            self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last).0));
        Version { tick: next(advanced.unwrap_or_else(|last| last)), writer }
    }

    /// A new version by `writer` for a write in whose way `stored` stands; `None` if that is too far ahead to be believed.
    /// Then the owner of the key has to make one: this clock does not follow it, and would make the same one twice.
    pub fn next_over(&self, now_ms: u64, writer: Position, stored: &Version) -> Option<Version> {
        self.observe(stored, now_ms).ok()?;
        Some(self.next(now_ms, writer))
    }

    /// A new version by `writer` that is also greater than `previous`, the one stored for the same key.
    ///
    /// A `previous` too far ahead to be believed is surpassed for this key alone: the clock does not
    /// follow it. So the record with the version made here must be in the store before the next is made.
    pub fn next_after(&self, now_ms: u64, writer: Position, previous: Option<&Version>) -> Version {
        let unbelieved = previous.filter(|previous| self.observe(previous, now_ms).is_err());
        let version = self.next(now_ms, writer);
        match unbelieved {
            Some(previous) => version.max(Version { tick: previous.tick.next(), writer }),
            None => version,
        }
    }
}

#[cfg(test)]
mod tests;
