//! In which order nodes are asked, and how many at a time.
//!
//! Those that answered last time are asked beside the others, so that no number of nodes that hang holds them up. Among the
//! others each has its turn too: first those that were never asked, then those that have failed least, and of these the one
//! that was asked longest ago.

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
    /// It did not, so often in a row.
    Failed { failures: u32, asked_at: Instant },
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
    /// By failures before that.
    doubtful: BTreeMap<(u32, Option<Instant>, u64), NodeName>,
    asking: usize,
    asking_doubtful: usize,
    named: u64,
}

impl Turns {
    /// Has a node wait for its turn.
    pub(super) fn add(&mut self, name: NodeName, standing: Standing) {
        self.named += 1;
        match standing {
            Standing::New => drop(self.doubtful.insert((0, None, self.named), name)),
            Standing::Answered { asked_at } => drop(self.sure.insert((asked_at, self.named), name)),
            Standing::Failed { failures, asked_at } => {
                self.doubtful.insert((failures, Some(asked_at), self.named), name);
            }
        }
    }

    /// Whose turn it is, if one more may be asked: until [`Turns::ended`] it counts among those who are.
    pub(super) fn next(&mut self) -> Option<(NodeName, Kind)> {
        if self.asking >= ASKED_AT_ONCE {
            return None;
        }
        let sure = self.sure.pop_first().map(|(_, name)| (name, Kind::Sure));
        let next = sure.or_else(|| {
            let may = self.asking_doubtful < DOUBTFUL_AT_ONCE;
            let (_, name) = may.then(|| self.doubtful.pop_first()).flatten()?;
            Some((name, Kind::Doubtful))
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

    #[test]
    fn the_turn_is_that_of_the_new_then_of_those_that_failed_least_and_were_asked_longest_ago() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut turns = Turns::default();
        turns.add(name("a"), Standing::Failed { failures: 3, asked_at: at(1) });
        turns.add(name("b"), Standing::Failed { failures: 1, asked_at: at(9) });
        turns.add(name("c"), Standing::Failed { failures: 1, asked_at: at(5) });
        turns.add(name("z"), Standing::New);
        turns.add(name("y"), Standing::New);
        turns.add(name("e"), Standing::Answered { asked_at: at(7) });
        turns.add(name("f"), Standing::Answered { asked_at: at(6) });
        let order: Vec<_> = std::iter::from_fn(|| turns.next()).map(|(name, _)| name).collect();
        assert_eq!(order, ["f", "e", "z", "y", "c", "b", "a"].map(name));
    }

    #[test]
    fn those_that_may_hang_leave_room_for_those_that_answer() {
        let mut turns = Turns::default();
        (0..40).for_each(|number| turns.add(name(&format!("hangs{number}")), Standing::New));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), DOUBTFUL_AT_ONCE);
        let asked_at = Instant::now();
        (0..40)
            .for_each(|number| turns.add(name(&format!("answers{number}")), Standing::Answered { asked_at }));
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), ASKED_AT_ONCE - DOUBTFUL_AT_ONCE);
        turns.ended(Kind::Doubtful);
        assert_eq!(turns.next().map(|(_, kind)| kind), Some(Kind::Sure), "they go first");
        turns.ended(Kind::Sure);
        turns.ended(Kind::Sure);
        assert!(turns.next().is_some() && turns.next().is_some() && turns.next().is_none());
    }
}
