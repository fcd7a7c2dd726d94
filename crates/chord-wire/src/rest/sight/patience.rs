//! Patience: for how long what mends itself has been the matter, and when somebody has to look at it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::health::{RingReason, RingTrouble, Severity};

/// When somebody looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// By any clock that never goes back.
    pub at: Duration,
    /// Records that all nodes have sent and fetched to have copies where they should be: while these become more, copies are
    /// being made, however long that takes.
    pub moved: u64,
}

/// What was the matter when somebody looked last, and since when.
#[derive(Debug, Default)]
pub struct Patience {
    limit: Duration,
    since: BTreeMap<(RingTrouble, Option<String>), Since>,
}

/// Since when something is the matter and does not become less.
#[derive(Clone, Copy, Debug)]
struct Since {
    at: Duration,
    least: u64,
    moved: u64,
}

impl Patience {
    /// One that waits for so long for what mends itself.
    pub fn new(limit: Duration) -> Self {
        Self { limit, since: BTreeMap::new() }
    }

    /// Says of what has not mended itself in time that it does not.
    pub(super) fn judge(&mut self, reasons: &mut [RingReason], moment: Moment) {
        let mut before = std::mem::take(&mut self.since);
        for reason in reasons.iter_mut().filter(|reason| reason.severity == Severity::Heals) {
            let Some(next) = what_to_look_at(reason.code) else { continue };
            let now = Since { at: moment.at, least: reason.amount, moved: moment.moved };
            let key = (reason.code, reason.node.clone());
            let since =
                before.remove(&key).filter(|since| !now.is_better_than(since, reason.code)).unwrap_or(now);
            self.since.insert(key, since);
            if moment.at.saturating_sub(since.at) > self.limit {
                reason.severity = Severity::Act;
                reason.sentence = format!(
                    "{} For more than {} s it has not healed.",
                    reason.sentence,
                    self.limit.as_secs()
                );
                next.clone_into(&mut reason.next);
            }
        }
    }
}

impl Since {
    fn is_better_than(&self, before: &Self, code: RingTrouble) -> bool {
        let makes_copies = matches!(code, RingTrouble::CopiesMissing | RingTrouble::NotReady);
        self.least < before.least || (makes_copies && self.moved > before.moved)
    }
}

/// What to look at where something does not mend itself; nothing for what is told by what it leads to.
const fn what_to_look_at(code: RingTrouble) -> Option<&'static str> {
    match code {
        RingTrouble::Disagreement => Some(
            "See whether the nodes that disagree reach each other, in both directions: the table names them, and their logs \
             say whom they dropped and why.",
        ),
        RingTrouble::NoOwner => Some(
            "See what keeps the node behind that part from its place: whether the one before it reaches it, and what its log \
             says.",
        ),
        RingTrouble::SeveralOwners => Some(
            "See whether these nodes reach each other, and whether two run under one name: their logs say whom they dropped.",
        ),
        RingTrouble::CopiesMissing => Some(
            "See whether all nodes take writes and reach each other, and whether there are as many as there should be copies: \
             stop none until this is 0.",
        ),
        RingTrouble::NotReady => {
            Some("Do what it says, or look into its log: stop no other node until it is ready.")
        }
        RingTrouble::NotMember => {
            Some("It does not come in by itself: its log says why. Have it join, or stop it.")
        }
        RingTrouble::OtherRing => Some(
            "Its neighbours here do not let it go: see whether two nodes run under that name, or start it with this ring's name.",
        ),
        RingTrouble::NotAnswering
        | RingTrouble::Left
        | RingTrouble::Garbled
        | RingTrouble::OtherProgram
        | RingTrouble::SeveralRings
        | RingTrouble::NotWriting
        | RingTrouble::RuleBroken
        | RingTrouble::Alone
        | RingTrouble::Versions
        | RingTrouble::LeftOut
        | RingTrouble::Other => None,
    }
}
