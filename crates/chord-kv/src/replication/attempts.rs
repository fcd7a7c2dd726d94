//! The attempts at one operation, at the node that its client asked: when to try again, and what to tell the client.
//!
//! That node proposes the version of a change, once for all attempts. So one that comes late or twice, from the buffers of a
//! node that was stopped perhaps, is no newer than it was, and what was acknowledged meanwhile stays.

use super::operation::{Change, Condition, Expiry, Operation, OperationError, Outcome, Proposal};
use crate::Version;

/// What has become of an operation so far.
#[derive(Clone, Debug)]
pub struct Attempts {
    proposal: Proposal,
    repeats: Repeats,
    /// Whether an attempt may have been done without our hearing of it.
    is_uncertain: bool,
    /// Whether an attempt is under way.
    is_under_way: bool,
    /// Whether another write was newer once.
    is_overtaken: bool,
    /// How many copies the owner last had of it, of how many.
    too_few: Option<(usize, usize)>,
}

/// What comes of doing an operation twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    /// Nothing changes at all.
    Read,
    /// The same record, however the key was before.
    Same,
    /// Perhaps another record of the same version.
    Another,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Look for the owner and try again after a pause, while there is time.
    TryAgain,
    /// The same without a pause.
    TryAtOnce,
    /// Tell the client what was answered.
    Tell,
    /// Tell the client that nobody knows whether it was done.
    TellOfDoubt,
}

impl Attempts {
    /// Nothing was tried yet; a change is to have the version that `propose` makes.
    pub fn new(operation: &Operation, propose: impl FnOnce() -> Version) -> Self {
        let repeats = match operation {
            Operation::Get => Repeats::Read,
            Operation::Change {
                change: Change::Set(_) | Change::Delete,
                condition: Condition::Always,
                expiry: Expiry::Never | Expiry::At(_),
            } => Repeats::Same,
            Operation::Change { .. } => Repeats::Another,
        };
        let proposal = match repeats {
            Repeats::Read => Proposal::LeftToOwner,
            Repeats::Same | Repeats::Another => Proposal::Version(propose()),
        };
        Self {
            proposal,
            repeats,
            is_uncertain: false,
            is_under_way: false,
            is_overtaken: false,
            too_few: None,
        }
    }

    /// An attempt begins, with this proposal.
    pub fn begin(&mut self) -> Proposal {
        self.is_under_way = true;
        if self.repeats == Repeats::Read { Proposal::LeftToOwner } else { self.proposal }
    }

    /// The owner has said how it went. `propose` makes a version that is greater than another, unless that is from too far
    /// in the future.
    pub fn answered(
        &mut self,
        result: &Result<Outcome, OperationError>,
        propose: impl FnOnce(&Version) -> Option<Version>,
    ) -> Afterwards {
        self.is_under_way = false;
        match result {
            Err(OperationError::NotOwner | OperationError::Busy | OperationError::Unanswered) => {
                Afterwards::TryAgain
            }
            // The owner itself does not know.
            Err(OperationError::Uncertain) => self.lost(),
            Err(OperationError::TooFewCopies { copies, wanted }) if self.is_repeatable() => {
                self.is_uncertain = true;
                self.too_few = Some((*copies, *wanted));
                Afterwards::TryAgain
            }
            Err(OperationError::Outdated { stored }) if !self.is_uncertain => {
                self.proposal = match self.proposal {
                    // Of many writers of one key some are always overtaken: with a version of its own each would be for long.
                    Proposal::Version(_) if self.is_overtaken => Proposal::Soon(*stored),
                    // Over one from far in the future, two proposals could be the same.
                    Proposal::LeftToOwner | Proposal::Version(_) | Proposal::Soon(_) => {
                        propose(stored).map_or(Proposal::LeftToOwner, Proposal::Version)
                    }
                };
                self.is_overtaken = true;
                Afterwards::TryAtOnce
            }
            // This node's clock is ahead, or the owner's behind: the owner has to live with its own.
            Err(OperationError::ClockAhead(_))
                if !self.is_uncertain && self.proposal != Proposal::LeftToOwner =>
            {
                self.proposal = Proposal::LeftToOwner;
                Afterwards::TryAgain
            }
            // Something else may have been written over what an attempt did.
            Err(_) if self.is_uncertain => Afterwards::TellOfDoubt,
            Ok(_) | Err(_) => Afterwards::Tell,
        }
    }

    /// The owner could not be asked, or did not answer: whether the attempt may have reached it is `is_in_doubt`.
    pub fn failed(&mut self, is_in_doubt: bool) -> Afterwards {
        if is_in_doubt {
            return self.lost();
        }
        self.is_under_way = false;
        Afterwards::TryAgain
    }

    /// No answer came.
    fn lost(&mut self) -> Afterwards {
        self.is_under_way = false;
        self.is_uncertain |= self.repeats != Repeats::Read;
        if self.may_arrive_twice() { Afterwards::TryAgain } else { Afterwards::TellOfDoubt }
    }

    /// Whether an attempt that is done twice changes no more than one that is done once.
    pub fn may_arrive_twice(&self) -> bool {
        self.repeats == Repeats::Read || self.is_repeatable()
    }

    /// Whether another attempt would be the same write: the same record, of the same version.
    fn is_repeatable(&self) -> bool {
        self.repeats == Repeats::Same && matches!(self.proposal, Proposal::Version(_))
    }

    /// Whether an attempt that has ended may have been done without our hearing of it.
    pub fn may_have_happened(&self) -> bool {
        self.is_uncertain
    }

    /// The time is over.
    pub fn expired(&self) -> OperationError {
        let may_happen = self.is_under_way && self.repeats != Repeats::Read;
        match self.too_few {
            // An owner that says so is there: it is copies that are missing.
            Some((copies, wanted)) => OperationError::TooFewCopies { copies, wanted },
            None if self.is_uncertain || may_happen => OperationError::Uncertain,
            None => OperationError::Unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::Position;

    use super::*;
    use crate::{ClockAhead, Value};

    fn version(time_ms: u64) -> Version {
        Version::new(time_ms, 0, Position::ZERO)
    }

    fn put() -> Attempts {
        let value = Value::new(b"value", usize::MAX).unwrap();
        Attempts::new(&Operation::put(value), || version(5))
    }

    fn add() -> Attempts {
        let (change, condition) = (Change::Add(1), Condition::Always);
        let expiry = Expiry::Never;
        Attempts::new(&Operation::Change { change, condition, expiry }, || version(5))
    }

    fn answered(attempts: &mut Attempts, error: OperationError) -> Afterwards {
        attempts.answered(&Err(error), |stored| Some(version(stored.time_ms() + 1)))
    }

    #[test]
    fn a_put_keeps_its_version_through_attempts_that_came_to_nothing() {
        let mut attempts = put();
        assert_eq!(attempts.begin(), Proposal::Version(version(5)));
        assert_eq!(answered(&mut attempts, OperationError::NotOwner), Afterwards::TryAgain);
        assert_eq!(attempts.begin(), Proposal::Version(version(5)));
        assert_eq!(attempts.lost(), Afterwards::TryAgain);
        assert_eq!(attempts.begin(), Proposal::Version(version(5)));
    }

    #[test]
    fn a_put_that_is_outdated_gets_a_greater_version() {
        let mut attempts = put();
        let outdated = OperationError::Outdated { stored: version(9) };
        assert_eq!(answered(&mut attempts, outdated), Afterwards::TryAtOnce);
        assert_eq!(attempts.begin(), Proposal::Version(version(10)));
    }

    #[test]
    fn a_put_that_is_overtaken_again_leaves_its_version_to_the_owner_if_it_comes_soon() {
        let mut attempts = put();
        for stored in [9, 12] {
            let outdated = OperationError::Outdated { stored: version(stored) };
            attempts.begin();
            assert_eq!(answered(&mut attempts, outdated), Afterwards::TryAtOnce);
        }
        assert_eq!(attempts.begin(), Proposal::Soon(version(12)));
        let mut late = attempts.clone();
        let outdated = OperationError::Outdated { stored: version(20) };
        assert_eq!(answered(&mut late, outdated), Afterwards::TryAtOnce);
        assert_eq!(late.begin(), Proposal::Version(version(21)), "it did not come soon");
        assert_eq!(attempts.lost(), Afterwards::TellOfDoubt, "it would be another write");
    }

    #[test]
    fn a_put_that_may_have_happened_is_not_done_again_with_another_version() {
        let mut attempts = put();
        attempts.begin();
        attempts.lost();
        let outdated = OperationError::Outdated { stored: version(9) };
        assert_eq!(answered(&mut attempts, outdated), Afterwards::TellOfDoubt);
    }

    #[test]
    fn an_increment_without_an_answer_is_not_tried_again() {
        let mut attempts = add();
        attempts.begin();
        assert_eq!(attempts.lost(), Afterwards::TellOfDoubt);
    }

    #[test]
    fn a_version_from_too_far_in_the_future_is_left_to_the_owner() {
        let mut attempts = put();
        let ahead = OperationError::ClockAhead(ClockAhead { ahead_ms: 1_000_000 });
        assert_eq!(answered(&mut attempts, ahead), Afterwards::TryAgain);
        assert_eq!(attempts.begin(), Proposal::LeftToOwner);
        assert_eq!(attempts.lost(), Afterwards::TellOfDoubt, "it would be another write");
        let mut attempts = put();
        let outdated = OperationError::Outdated { stored: version(9) };
        assert_eq!(attempts.answered(&Err(outdated), |_| None), Afterwards::TryAtOnce);
        assert_eq!(attempts.begin(), Proposal::LeftToOwner);
    }

    #[test]
    fn what_is_under_way_when_the_time_is_over_may_happen() {
        let mut attempts = put();
        assert_eq!(attempts.expired(), OperationError::Unanswered);
        attempts.begin();
        assert_eq!(attempts.expired(), OperationError::Uncertain);
        let mut read = Attempts::new(&Operation::Get, || version(5));
        assert_eq!(read.begin(), Proposal::LeftToOwner, "a read has no version");
        assert_eq!(read.lost(), Afterwards::TryAgain);
        assert_eq!(read.expired(), OperationError::Unanswered);
    }

    #[test]
    fn who_heard_that_copies_are_missing_says_so_when_the_time_is_over() {
        let mut attempts = put();
        attempts.begin();
        let too_few = OperationError::TooFewCopies { copies: 1, wanted: 2 };
        assert_eq!(answered(&mut attempts, too_few.clone()), Afterwards::TryAgain);
        assert_eq!(attempts.expired(), too_few);
        attempts.begin();
        assert_eq!(attempts.expired(), too_few, "nothing better is known");
        let mut attempts = add();
        attempts.begin();
        assert_eq!(answered(&mut attempts, too_few), Afterwards::Tell);
    }
}
