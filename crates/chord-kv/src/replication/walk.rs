//! One question to all who may have records of a range: to whom it has gone, and to whom it goes next.
//!
//! Whoever kept copies of a range before this node owned it comes after it on the ring, as does whoever joined since. So the
//! whole successor list is asked, and a member of it that is silent until it answers or the ring drops it. If none of
//! those has everything by its own account, the question goes on to the successors that they name.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer};

use super::message::Standing;

/// Nodes that one question goes to, at most: more than are likely to join into one gap before the first of them has
/// everything.
pub const WALK_MAX: usize = 256;

/// How often a node is asked that does not answer and is not in the successor list.
const STRANGER_TRIES: u8 = 3;

/// Pause before a node is asked again that did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// For how long a node in the successor list is asked again that answers the ring and does not tell what it has: its store
/// fails, and everybody else must not wait for that.
const LISTED_PATIENCE: Duration = Duration::from_secs(10);

/// The way of one question.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    asked: BTreeMap<NodeName, Progress>,
    is_settled: bool,
    beyond: Vec<Peer>,
    n_answered: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking(Tries),
    /// `is_gone`: nobody was there. One in the successor list may be about to be back, or to be dropped.
    Failed {
        tries: Tries,
        again_at: Duration,
        is_gone: bool,
    },
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tries {
    count: u8,
    since: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Ask(Peer),
    Wait,
    Done,
}

impl Walk {
    /// A walk of one who has everything already, by what owners confirmed: nobody beyond its successors needs to be asked.
    pub(super) fn new(is_settled: bool) -> Self {
        Self { is_settled, ..Self::default() }
    }

    /// Whom to ask now, if anybody. Counts as asked.
    pub(super) fn next(&mut self, me: &NodeName, successors: &[Peer], now: Duration) -> Next {
        let is_due = |walk: &Self, peer: &&Peer| match walk.asked.get(&peer.name) {
            None => peer.name != *me && walk.asked.len() < WALK_MAX,
            Some(Progress::Failed { again_at, .. }) => *again_at <= now,
            Some(Progress::Asking(_) | Progress::Ended) => false,
        };
        if let Some(peer) = successors.iter().find(|peer| is_due(self, peer)).cloned() {
            return self.ask(peer, now);
        }
        let is_open = |progress: &Progress| *progress != Progress::Ended;
        if successors.iter().any(|peer| self.asked.get(&peer.name).is_some_and(is_open)) {
            return Next::Wait;
        }
        if self.is_settled {
            return Next::Done;
        }
        let is_given_up = |progress: &Progress| match progress {
            Progress::Failed { tries, is_gone, .. } => *is_gone || tries.count >= STRANGER_TRIES,
            Progress::Ended => true,
            Progress::Asking(_) => false,
        };
        let known = |walk: &Self, peer: &Peer| walk.asked.get(&peer.name).copied();
        let stranger = self.beyond.iter().find(|peer| {
            is_due(self, peer) && !known(self, peer).is_some_and(|progress| is_given_up(&progress))
        });
        if let Some(peer) = stranger.cloned() {
            return self.ask(peer, now);
        }
        let waits =
            self.beyond.iter().any(|peer| known(self, peer).is_some_and(|progress| !is_given_up(&progress)));
        if waits { Next::Wait } else { Next::Done }
    }

    fn ask(&mut self, peer: Peer, now: Duration) -> Next {
        let tries = match self.asked.get(&peer.name) {
            Some(Progress::Failed { tries, .. }) => Tries { count: tries.count.saturating_add(1), ..*tries },
            Some(Progress::Asking(_) | Progress::Ended) | None => Tries { count: 1, since: now },
        };
        self.asked.insert(peer.name.clone(), Progress::Asking(tries));
        Next::Ask(peer)
    }

    /// How many have told what they have.
    pub(super) fn n_answered(&self) -> usize {
        self.n_answered
    }

    /// What that node has is here now.
    pub(super) fn answered(&mut self, name: &NodeName, standing: Standing) {
        self.asked.insert(name.clone(), Progress::Ended);
        self.n_answered += 1;
        self.is_settled |= standing.is_settled;
        for peer in standing.beyond {
            if self.beyond.len() < WALK_MAX && !self.beyond.contains(&peer) {
                self.beyond.push(peer);
            }
        }
    }

    /// That node did not tell.
    pub(super) fn failed(&mut self, name: &NodeName, failure: &Failure, now: Duration) {
        let Some(Progress::Asking(tries)) = self.asked.get(name).copied() else { return };
        let is_hopeless = now.saturating_sub(tries.since) > LISTED_PATIENCE;
        let progress = if *failure == Failure::Garbled || is_hopeless {
            Progress::Ended // It keeps no records, or will not tell.
        } else {
            let is_gone = *failure == Failure::Unreachable;
            Progress::Failed { tries, again_at: now.saturating_add(RETRY_PAUSE), is_gone }
        };
        self.asked.insert(name.clone(), progress);
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::RingSize;

    use super::*;

    fn peer(number: u8) -> Peer {
        Peer::of_name(format!("host{number}:1").parse().unwrap(), RingSize::DEFAULT)
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn standing(is_settled: bool, beyond: &[u8]) -> Standing {
        Standing { is_settled, beyond: beyond.iter().map(|number| peer(*number)).collect() }
    }

    #[test]
    fn the_whole_list_is_asked_though_the_first_has_everything() {
        let (mut walk, list, me) = (Walk::new(false), [peer(1), peer(2)], peer(0).name);
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(true, &[]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(2)));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Wait);
        walk.answered(&peer(2).name, standing(false, &[3]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Done);
    }

    #[test]
    fn where_nobody_has_everything_those_beyond_are_asked() {
        let (mut walk, list, me) = (Walk::new(false), [peer(1)], peer(0).name);
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(false, &[0, 1, 2]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(2)));
        walk.answered(&peer(2).name, standing(true, &[]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Done);
    }

    #[test]
    fn one_in_the_list_is_asked_until_it_answers_or_is_dropped_and_one_that_will_not_tell_is_given_up() {
        let (mut walk, list, me) = (Walk::new(true), [peer(1)], peer(0).name);
        for round in 0..100 {
            let now = at(round * 100);
            assert_eq!(walk.next(&me, &list, now), Next::Ask(peer(1)), "round {round}");
            let failure = if round % 2 == 0 { Failure::Silent } else { Failure::Unreachable };
            walk.failed(&peer(1).name, &failure, now);
            assert_eq!(walk.next(&me, &list, now), Next::Wait);
            assert_eq!(walk.clone().next(&me, &[], now), Next::Done, "the ring dropped it");
        }
        assert_eq!(walk.next(&me, &list, at(10_100)), Next::Ask(peer(1)));
        walk.failed(&peer(1).name, &Failure::Silent, at(10_100));
        assert_eq!(walk.next(&me, &list, at(10_200)), Next::Done);
    }

    #[test]
    fn a_stranger_that_is_gone_or_silent_is_given_up() {
        let (mut walk, me) = (Walk::new(false), peer(0).name);
        assert_eq!(walk.next(&me, &[peer(1)], at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(false, &[2, 3]));
        assert_eq!(walk.next(&me, &[], at(0)), Next::Ask(peer(2)));
        walk.failed(&peer(2).name, &Failure::Unreachable, at(0));
        for now in [0, 100, 200] {
            assert_eq!(walk.next(&me, &[], at(now)), Next::Ask(peer(3)));
            walk.failed(&peer(3).name, &Failure::Silent, at(now));
        }
        assert_eq!(walk.next(&me, &[], at(900)), Next::Done);
    }
}
