//! What an operator may choose about one node's part in the ring.

use std::time::Duration;

use crate::{RingTag, SUCCESSORS_DEFAULT, SUCCESSORS_LIMIT};

/// Pause between maintenance rounds while the neighbourhood changes.
pub const ROUND_FAST: Duration = Duration::from_millis(200);

/// Pause between maintenance rounds when nothing has changed for a while. A dead neighbour is noticed within one
/// such pause, and lookups go round it meanwhile.
pub const ROUND_QUIET: Duration = Duration::from_secs(1);

/// Unchanged rounds after which the pause begins to double. A list of r entries is right r rounds after the last
/// change (TSE 2017, section VII-D), so this is a little more than the default r.
pub const ROUNDS_FAST: u8 = 10;

/// How far a pause is spread around its mean, so that nodes do not fall into step: one quarter either way.
pub const JITTER: f64 = 0.25;

/// `pause` spread by [`JITTER`]; `random` is from 0.0 to 1.0.
pub fn jittered(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

/// How many times slower than usual maintenance may be: two hundred seconds between quiet rounds are no motion any more.
pub const SLOWNESS_MAX: u8 = 200;

/// Maintenance that is slower than it may be, or faster than usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("maintenance is 1 to {SLOWNESS_MAX} times slower than usual, not {0} times")]
pub struct SlownessError(pub u8);

/// A number of successors that a node cannot keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node keeps 1 to {SUCCESSORS_LIMIT} successors, not {0}")]
pub struct SuccessorsError(pub u8);

/// One node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    ring: RingTag,
    successors: u8,
    slowness: u8,
    #[cfg(feature = "defects")]
    defect: Option<crate::Defect>,
}

impl Config {
    /// A node of that ring with the default number of successors.
    pub fn new(ring: RingTag) -> Self {
        Self {
            ring,
            successors: SUCCESSORS_DEFAULT,
            slowness: 1,
            #[cfg(feature = "defects")]
            defect: None,
        }
    }

    /// Keeps `successors` of them: r of the papers. The same on every node of a ring. More survive more failures
    /// at one time; each costs a name in every maintenance message.
    ///
    /// # Errors
    /// `successors` is 0 or above [`SUCCESSORS_LIMIT`].
    pub fn with_successors(self, successors: u8) -> Result<Self, SuccessorsError> {
        if (1..=SUCCESSORS_LIMIT).contains(&successors) {
            Ok(Self { successors, ..self })
        } else {
            Err(SuccessorsError(successors))
        }
    }

    /// Maintenance in slow motion, to look at: every pause between its steps is that many times as long. A crash is noticed that
    /// much later, and requests fail meanwhile which would have waited for it.
    ///
    /// # Errors
    /// `slowness` is 0 or above [`SLOWNESS_MAX`].
    pub fn with_slowness(self, slowness: u8) -> Result<Self, SlownessError> {
        if (1..=SLOWNESS_MAX).contains(&slowness) {
            Ok(Self { slowness, ..self })
        } else {
            Err(SlownessError(slowness))
        }
    }

    /// A pause of maintenance, as long as it is for this node.
    pub(crate) fn pause(&self, usual: Duration) -> Duration {
        usual.saturating_mul(self.slowness.into())
    }

    /// The pause between rounds of maintenance when nothing has changed for a while.
    pub fn round_quiet(&self) -> Duration {
        self.pause(ROUND_QUIET)
    }

    /// The ring.
    pub fn ring(&self) -> &RingTag {
        &self.ring
    }

    /// Breaks a rule of the protocol.
    #[cfg(feature = "defects")]
    pub fn with_defect(self, defect: Option<crate::Defect>) -> Self {
        Self { defect, ..self }
    }

    /// The rule that is broken.
    #[cfg(feature = "defects")]
    pub fn defect(&self) -> Option<crate::Defect> {
        self.defect
    }

    /// r, the length of the successor list.
    pub fn successors(&self) -> usize {
        usize::from(self.successors)
    }
}
