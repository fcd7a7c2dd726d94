//! What a run is held to, and what it comes to.

use std::fmt;
use std::time::Duration;

use crate::world::Time;

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataBroken {
    /// When.
    pub at: Time,
    /// Which.
    pub rule: DataRule,
    /// How it showed.
    pub description: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DataRule {
    /// A read sees no less than was acknowledged before it began: no write is lost, and no deleted key comes back.
    NothingLost,
    /// A counter holds at least the acknowledged increments, and at most all of them.
    NothingMiscounted,
    /// When nothing goes wrong any more, every range becomes complete and has as many copies as it should.
    BecomesReplicated,
    /// Then every operation is answered.
    Answers,
    /// Then the members of a group hold the same records of its range.
    CopiesAgree,
}

impl fmt::Display for DataRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingLost => "an acknowledged write was lost, or a deleted key came back",
            Self::NothingMiscounted => "a counter lost an acknowledged increment, or counted one twice",
            Self::BecomesReplicated => "the records do not become complete and replicated",
            Self::Answers => "an operation had no answer though nothing went wrong any more",
            Self::CopiesAgree => "copies of a key differ though nothing goes wrong any more",
        })
    }
}

/// What a run came to, if every rule held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DataPassed {
    /// How many things happened.
    pub n_steps: u64,
    /// How many of the mishaps could happen and did.
    pub n_mishaps: usize,
    /// How many writes were acknowledged.
    pub n_acknowledged: usize,
    /// How many operations ended without a definite answer.
    pub n_uncertain: usize,
    /// How many reads were checked.
    pub n_reads: usize,
    /// How long after the last mishap everything was replicated.
    pub ready_after: Duration,
}
