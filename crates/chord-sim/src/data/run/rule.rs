//! What a run is held to, and what it comes to.

use std::fmt;
use std::ops::AddAssign;
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
    /// Of two reads, one after the other, the later one sees no less: what has gone does not come back.
    NothingGoesBack,
    /// A change that says what was there before says what a read would have seen, or that nobody knows.
    FindsWhatWasThere,
    /// A list holds each acknowledged item once and in order, and no other twice.
    NothingMisplaced,
    /// A counter holds at least the acknowledged increments, and at most all of them.
    NothingMiscounted,
    /// A tour of all keys lists each that is there all the while, and none that is not there at any moment of it.
    ListsAll,
    /// Who watches sees each change once and in order, or is told that something was missed.
    NothingUnseen,
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
            Self::NothingLost => "an acknowledged write was lost, or a deleted or expired key came back",
            Self::NothingGoesBack => "a read went back in time",
            Self::FindsWhatWasThere => {
                "a change said that something was there before that was not, or nothing"
            }
            Self::NothingMisplaced => "a list lost an acknowledged item, or has one twice or out of order",
            Self::NothingMiscounted => "a counter lost an acknowledged increment, or counted one twice",
            Self::ListsAll => "a list of all keys lacked one that was there, or had one that was not",
            Self::NothingUnseen => "one who watched saw a change twice, or missed one without a word",
            Self::BecomesReplicated => "the records do not become complete and replicated",
            Self::Answers => "an operation had no answer though nothing went wrong any more",
            Self::CopiesAgree => "copies of a key differ though nothing goes wrong any more",
        })
    }
}

/// What a run came to, if every rule held.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataPassed {
    /// How many things happened.
    pub n_steps: u64,
    /// How many of the mishaps could happen and did.
    pub n_mishaps: usize,
    /// How many writes were acknowledged.
    pub n_acknowledged: usize,
    /// How many of them were beyond the bounds: as many processes as had made one durable ended at once, before others
    /// could have it too.
    pub n_beyond: usize,
    /// What was gone of them when everything was mended.
    pub lost: Vec<Lost>,
    /// How many operations ended without a definite answer.
    pub n_uncertain: usize,
    /// How many reads were checked.
    pub n_reads: usize,
    /// How often what a run is to try has come about.
    pub marks: Marks,
    /// How long after the last mishap everything was replicated.
    pub ready_after: Duration,
}

/// What was lost of a key beyond the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The key.
    pub key: String,
    /// What was read in the end, though something newer had been acknowledged.
    pub why: String,
}

/// How often something came about that is rare: a run that never has it says nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Marks {
    /// All processes ended at once.
    pub blackouts: usize,
    /// All of a group but one ended at once, just when a write was acknowledged that all of it had.
    pub groups_lost: usize,
    /// An owner surpassed another one that claimed its range.
    pub surpassed: usize,
    /// A client was told that the store takes nothing.
    pub stores_failed: usize,
    /// A condition did not hold.
    pub conditions_failed: usize,
    /// An item was added to a list.
    pub items_added: usize,
    /// A write was acknowledged of something that expires.
    pub mortals_written: usize,
    /// A tour of all keys came to its end while things went wrong.
    pub tours: usize,
    /// It did not, since the ring or somebody's records stayed out of reach, or the node that was asked ended.
    pub tours_failed: usize,
    /// A page of a tour was put together from what several nodes had.
    pub pages_merged: usize,
    /// One who watched saw a change.
    pub seen: usize,
    /// One who watched was told that something may have been missed.
    pub missed: usize,
    /// A write was acknowledged that was on one host of several, as its client wished.
    pub written_to_one: usize,
    /// An owner was asked without a lookup, of whom its asker had learned earlier, and said how it went.
    pub guesses_right: usize,
    /// The same, and it refused or did not answer.
    pub guesses_wrong: usize,
}

impl AddAssign for Marks {
    fn add_assign(&mut self, other: Self) {
        self.blackouts += other.blackouts;
        self.groups_lost += other.groups_lost;
        self.surpassed += other.surpassed;
        self.stores_failed += other.stores_failed;
        self.conditions_failed += other.conditions_failed;
        self.items_added += other.items_added;
        self.mortals_written += other.mortals_written;
        self.tours += other.tours;
        self.tours_failed += other.tours_failed;
        self.pages_merged += other.pages_merged;
        self.seen += other.seen;
        self.missed += other.missed;
        self.written_to_one += other.written_to_one;
        self.guesses_right += other.guesses_right;
        self.guesses_wrong += other.guesses_wrong;
    }
}
