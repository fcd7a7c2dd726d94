//! In which order nodes are asked, and how many at a time.
//!
//! Those that answered last time are asked beside the others, so that no number of nodes that hang holds them up. The others are of
//! three kinds, which have their turns one after the other: those that have answered before and fail now, those that were never
//! asked, and those that have never answered. So whoever makes names up, new ones in each round or always the same, takes no
//! turns from those that are only slow. Of one kind the one that was asked longest ago comes first; of those that were never asked,
//! the first whom each node names before the second of any, so that a node which names many does not hold up whom others name.

use std::collections::BTreeMap;

use chord_ring::NodeName;
use tokio::time::Instant;

/// Nodes that are asked at a time.
const ASKED_AT_ONCE: usize = 16;

/// How many of these may be such that did not answer last time, or were never asked: each may hang until its time is over. The
/// rest is kept for those that answer, which takes milliseconds.
const DOUBTFUL_AT_ONCE: usize = 12;

const _: () = assert!(DOUBTFUL_AT_ONCE < ASKED_AT_ONCE, "there is room for those that answer");

/// What is known of a node that is to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// It was never asked.
    New,
    /// It answered when it was asked last.
    Answered { asked_at: Instant },
    /// It did not, and had answered before.
    Fails { asked_at: Instant },
    /// It did not, and never has.
    Unheard { asked_at: Instant },
}

/// Whether a node that is being asked is likely to answer at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sure,
    Doubtful,
}

/// Those that wait for their turn in one round, and how many are being asked.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// By when they were asked last, and then by when they were named.
    sure: BTreeMap<(Instant, u64), NodeName>,
    doubtful: Doubtful,
    asking: usize,
    asking_doubtful: usize,
    named: u64,
}

/// Those that may hang, each kind by who of it comes first.
#[derive(Debug, Default)]
struct Doubtful {
    fails: BTreeMap<(Instant, u64), NodeName>,
    new: BTreeMap<(usize, u64), NodeName>,
    unheard: BTreeMap<(Instant, u64), NodeName>,
    /// Whose turn it is.
    turn: usize,
}

impl Doubtful {
    const KINDS: usize = 3;

    fn next(&mut self) -> Option<NodeName> {
        (0..Self::KINDS).find_map(|_| {
            let kind = self.turn;
            self.turn = (kind + 1) % Self::KINDS;
            match kind {
                0 => self.fails.pop_first().map(|(_, name)| name),
                1 => self.new.pop_first().map(|(_, name)| name),
                _ => self.unheard.pop_first().map(|(_, name)| name),
            }
        })
    }
}

impl Turns {
    /// Has a node wait for its turn. Whoever named it has named so many before it that nobody else had.
    pub(super) fn add(&mut self, name: NodeName, standing: Standing, n_before: usize) {
        self.named += 1;
        let before = match standing {
            Standing::New => self.doubtful.new.insert((n_before, self.named), name),
            Standing::Answered { asked_at } => self.sure.insert((asked_at, self.named), name),
            Standing::Fails { asked_at } => self.doubtful.fails.insert((asked_at, self.named), name),
            Standing::Unheard { asked_at } => self.doubtful.unheard.insert((asked_at, self.named), name),
        };
        debug_assert_eq!(before, None, "each was named at another time");
    }

    /// Whose turn it is, if one more may be asked: until [`Turns::ended`] it counts among those who are.
    pub(super) fn next(&mut self) -> Option<(NodeName, Kind)> {
        if self.asking >= ASKED_AT_ONCE {
            return None;
        }
        let sure = self.sure.pop_first().map(|(_, name)| (name, Kind::Sure));
        let next = sure.or_else(|| {
            let may = self.asking_doubtful < DOUBTFUL_AT_ONCE;
            may.then(|| self.doubtful.next()).flatten().map(|name| (name, Kind::Doubtful))
        })?;
        self.asking += 1;
        self.asking_doubtful += usize::from(next.1 == Kind::Doubtful);
        Some(next)
    }

    /// One of that kind is not asked any more.
    pub(super) fn ended(&mut self, kind: Kind) {
        self.asking = self.asking.saturating_sub(1);
        self.asking_doubtful = self.asking_doubtful.saturating_sub(usize::from(kind == Kind::Doubtful));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> NodeName {
        format!("{text}:1").parse().unwrap()
    }

    fn order(turns: &mut Turns) -> Vec<NodeName> {
        std::iter::from_fn(|| turns.next()).map(|(name, _)| name).collect()
    }

    #[test]
    fn those_that_answer_come_first_and_then_one_of_each_kind_who_was_asked_longest_ago() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut turns = Turns::default();
        let all = [
            ("a", Standing::Unheard { asked_at: at(1) }),
            ("b", Standing::Fails { asked_at: at(9) }),
            ("c", Standing::Fails { asked_at: at(5) }),
            ("z", Standing::New),
            ("y", Standing::New),
            ("x", Standing::New),
            ("e", Standing::Answered { asked_at: at(7) }),
            ("f", Standing::Answered { asked_at: at(6) }),
        ];
        for (who, standing) in all {
            turns.add(name(who), standing, 0);
        }
        assert_eq!(order(&mut turns), ["f", "e", "c", "z", "a", "b", "y", "x"].map(name));
    }

    #[test]
    fn names_that_are_made_up_hold_up_neither_those_that_are_slow_nor_those_whom_others_name() {
        let (long_ago, now) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let mut turns = Turns::default();
        for number in 0..60 {
            turns.add(name(&format!("new{number}")), Standing::New, number);
            turns.add(name(&format!("same{number}")), Standing::Unheard { asked_at: now }, 0);
        }
        turns.add(name("slow"), Standing::Fails { asked_at: now }, 0);
        turns.add(name("newcomer"), Standing::New, 0);
        turns.add(name("slower"), Standing::Unheard { asked_at: long_ago }, 0);
        let first = order(&mut turns);
        for honest in ["slow", "newcomer", "slower"] {
            assert!(first[..6].contains(&name(honest)), "{honest} waits behind {first:?}");
        }
    }

    #[test]
    fn those_that_may_hang_leave_room_for_those_that_answer() {
        let mut turns = Turns::default();
        (0..40).for_each(|number| turns.add(name(&format!("hangs{number}")), Standing::New, 0));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), DOUBTFUL_AT_ONCE);
        let asked_at = Instant::now();
        let answers = Standing::Answered { asked_at };
        (0..40).for_each(|number| turns.add(name(&format!("answers{number}")), answers, 0));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), ASKED_AT_ONCE - DOUBTFUL_AT_ONCE);
        turns.ended(Kind::Doubtful);
        assert_eq!(turns.next().map(|(_, kind)| kind), Some(Kind::Sure), "they go first");
        turns.ended(Kind::Sure);
        turns.ended(Kind::Sure);
        assert!(turns.next().is_some() && turns.next().is_some() && turns.next().is_none());
    }
}
