//! Patience: for how long what mends itself has been the matter, and when somebody has to look at it.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_wire::rest::{RingReason, RingTrouble, Severity};

/// When somebody looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// By any clock that never goes back.
    pub(super) at: Duration,
    /// Records that all nodes have sent and fetched to have copies where they should be: while these become more, copies are
    /// being made, however long that takes.
    pub(super) moved: u64,
}

/// What was the matter when somebody looked last, and since when.
#[derive(Debug, Default)]
pub(super) struct Patience {
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
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: BTreeMap::new() }
    }

    /// Says of what has not mended itself in time that it does not.
    pub(super) fn judge(&mut self, reasons: &mut [RingReason], moment: Moment) {
        let mut before = std::mem::take(&mut self.since);
        for reason in reasons.iter_mut().filter(|reason| reason.severity == Severity::Heals) {
            let Some(next) = what_to_look_at(reason.code) else { continue };
            let now = Since { at: moment.at, least: reason.amount(), moved: moment.moved };
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
        | RingTrouble::Unheard
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

#[cfg(test)]
mod tests {
    use super::*;

    fn heals(code: RingTrouble, amount: u64) -> RingReason {
        RingReason::new(code, Severity::Heals, "It is so.".to_owned(), "Wait.").of(amount)
    }

    #[test]
    fn what_should_have_healed_and_has_not_needs_somebody() {
        let mut patience = Patience::new(Duration::from_secs(20));
        let mut at = |mut reasons: Vec<RingReason>, seconds, moved| {
            patience.judge(&mut reasons, Moment { at: Duration::from_secs(seconds), moved });
            reasons.pop().map(|reason| (reason.severity, format!("{} {}", reason.sentence, reason.next)))
        };
        let severity = |judged: Option<(Severity, String)>| judged.map(|(severity, _)| severity);
        let torn = || vec![heals(RingTrouble::Disagreement, 1)];
        let lacking = |copies| vec![heals(RingTrouble::CopiesMissing, copies)];
        assert_eq!(severity(at(torn(), 0, 0)), Some(Severity::Heals));
        assert_eq!(severity(at(torn(), 20, 0)), Some(Severity::Heals));
        let (level, words) = at(torn(), 21, 0).unwrap();
        assert_eq!(level, Severity::Act);
        assert!(words.contains("For more than 20 s it has not healed. See whether the nodes"), "{words}");
        assert_eq!(severity(at(Vec::new(), 22, 0)), None);
        assert_eq!(severity(at(torn(), 23, 0)), Some(Severity::Heals), "it has healed meanwhile");

        // Copies that become fewer, or records on their way, are being seen to.
        assert_eq!(severity(at(lacking(90), 100, 5)), Some(Severity::Heals));
        assert_eq!(severity(at(lacking(80), 115, 5)), Some(Severity::Heals));
        assert_eq!(severity(at(lacking(80), 130, 6)), Some(Severity::Heals));
        assert_eq!(severity(at(lacking(85), 150, 6)), Some(Severity::Heals));
        let (level, words) = at(lacking(85), 151, 6).unwrap();
        assert!(level == Severity::Act && words.contains("See whether all nodes take writes"), "{words}");
    }

    #[test]
    fn what_does_not_mend_itself_is_left_as_it_is() {
        let mut patience = Patience::new(Duration::ZERO);
        let note = RingReason::new(RingTrouble::Alone, Severity::Note, "It is so.".to_owned(), "Wait.");
        for seconds in 0..3 {
            let mut reasons = vec![note.clone()];
            patience.judge(&mut reasons, Moment { at: Duration::from_secs(seconds), moved: 0 });
            assert_eq!(reasons, std::slice::from_ref(&note));
        }
    }
}
