//! One question to all who may have records of a range: to whom it has gone, and to whom it goes next.
//!
//! Whoever kept copies of a range before this node owned it comes after it on the ring, as does whoever joined since. So the
//! whole successor list is asked, and a member of it that is silent until it answers or the ring drops it. If none of
//! those has everything by its own account, the question goes to those whom this node knew in its last life, and on to the
//! successors that they all name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer};

use super::message::Standing;
use super::sync::SyncError;

/// Nodes that one question goes to, at most: more than are likely to join into one gap before the first of them has
/// everything.
pub const WALK_MAX: usize = 256;

/// Pause before a node is asked again that did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Pause before a node is asked again whose records this node could not keep.
const OWN_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// For how long a node is asked again that does not tell what it has and that the ring does not drop. The store of one in the
/// successor list may fail, and everybody else must not wait for that; one that is farther may be gone, but where nobody has
/// everything it may also be about to be back with just what is missing.
const PATIENCE: Duration = Duration::from_secs(10);

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
    Asking {
        since: Duration,
    },
    Failed {
        since: Duration,
        again_at: Duration,
    },
    /// It has told, or has nothing to tell.
    Ended,
    /// It has not told for so long that it is asked no more.
    GivenUp,
}

/// Whom a node knows that may have something. Each is asked until it answers, will not tell, or is not known any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// Those next to it on the ring.
    pub(super) listed: Vec<Peer>,
    /// Those of its last life, who matter only if none of the others has everything.
    pub(super) recalled: Vec<Peer>,
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
    pub(super) fn next(&mut self, me: &NodeName, sources: &Sources, now: Duration) -> Next {
        if let Some(next) = self.next_of(me, &sources.listed, now) {
            return next;
        }
        if self.is_settled {
            return Next::Done;
        }
        let strangers: Vec<Peer> = sources.recalled.iter().chain(&self.beyond).cloned().collect();
        self.next_of(me, &strangers, now).unwrap_or(Next::Done)
    }

    /// Whom of these to ask, or whether to wait for them; `None` if they have all ended.
    fn next_of(&mut self, me: &NodeName, peers: &[Peer], now: Duration) -> Option<Next> {
        if let Some(peer) = peers.iter().find(|peer| self.is_due(me, peer, now)).cloned() {
            return Some(self.ask(peer, now));
        }
        let is_open = |progress: &Progress| !matches!(progress, Progress::Ended | Progress::GivenUp);
        let waits = peers.iter().any(|peer| self.asked.get(&peer.name).is_some_and(is_open));
        waits.then_some(Next::Wait)
    }

    fn is_due(&self, me: &NodeName, peer: &Peer, now: Duration) -> bool {
        match self.asked.get(&peer.name) {
            None => peer.name != *me && self.asked.len() < WALK_MAX,
            Some(Progress::Failed { again_at, .. }) => *again_at <= now,
            Some(Progress::Asking { .. } | Progress::Ended | Progress::GivenUp) => false,
        }
    }

    fn ask(&mut self, peer: Peer, now: Duration) -> Next {
        let since = match self.asked.get(&peer.name) {
            Some(Progress::Failed { since, .. }) => *since,
            Some(Progress::Asking { .. } | Progress::Ended | Progress::GivenUp) | None => now,
        };
        self.asked.insert(peer.name.clone(), Progress::Asking { since });
        Next::Ask(peer)
    }

    /// Those that were asked, have not told, and may have what nobody else has.
    pub(super) fn unheard(&self) -> BTreeSet<NodeName> {
        let is_unheard = |progress: &Progress| *progress != Progress::Ended;
        let unheard = self.asked.iter().filter(|(_, progress)| !self.is_settled && is_unheard(progress));
        unheard.map(|(name, _)| name.clone()).collect()
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

    /// What that node has is not here.
    pub(super) fn untold(&mut self, name: &NodeName, why: &Untold, now: Duration) {
        match why {
            Untold::ByPeer(failure) => self.failed(name, failure, now),
            Untold::NotKept => self.postpone(name, now),
        }
    }

    /// That node did not tell.
    pub(super) fn failed(&mut self, name: &NodeName, failure: &Failure, now: Duration) {
        let Some(Progress::Asking { since }) = self.asked.get(name).copied() else { return };
        let is_hopeless = now.saturating_sub(since) > PATIENCE;
        let progress = if *failure == Failure::Garbled {
            Progress::Ended // It keeps no records.
        } else if is_hopeless {
            Progress::GivenUp
        } else {
            Progress::Failed { since, again_at: now.saturating_add(RETRY_PAUSE) }
        };
        self.asked.insert(name.clone(), progress);
    }

    /// That node has told, but this one could not keep it: as long as that is so, the question is open.
    fn postpone(&mut self, name: &NodeName, now: Duration) {
        let again_at = now.saturating_add(OWN_RETRY_PAUSE);
        self.asked.insert(name.clone(), Progress::Failed { since: again_at, again_at });
    }
}

/// Why what a node was asked for is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// It did not tell.
    ByPeer(Failure),
    /// It told, and the store here did not keep it.
    NotKept,
}

impl From<Failure> for Untold {
    fn from(failure: Failure) -> Self {
        Self::ByPeer(failure)
    }
}

impl From<SyncError> for Untold {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(_) => Self::NotKept,
            SyncError::Garbled => Self::ByPeer(Failure::Silent), // That it keeps no records, only its driver can tell.
        }
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

    fn listed(numbers: &[u8]) -> Sources {
        Sources { listed: numbers.iter().map(|number| peer(*number)).collect(), recalled: Vec::new() }
    }

    fn standing(is_settled: bool, beyond: &[u8]) -> Standing {
        Standing { is_settled, beyond: beyond.iter().map(|number| peer(*number)).collect() }
    }

    #[test]
    fn the_whole_list_is_asked_though_the_first_has_everything() {
        let (mut walk, list, me) = (Walk::new(false), listed(&[1, 2]), peer(0).name);
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(true, &[]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(2)));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Wait);
        walk.answered(&peer(2).name, standing(false, &[3]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Done);
    }

    #[test]
    fn where_nobody_has_everything_those_beyond_are_asked() {
        let (mut walk, list, me) = (Walk::new(false), listed(&[1]), peer(0).name);
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(false, &[0, 1, 2]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(2)));
        walk.answered(&peer(2).name, standing(true, &[]));
        assert_eq!(walk.next(&me, &list, at(0)), Next::Done);
    }

    #[test]
    fn one_in_the_list_is_asked_until_it_answers_or_is_dropped_and_one_that_will_not_tell_is_given_up() {
        let (mut walk, list, me) = (Walk::new(true), listed(&[1]), peer(0).name);
        for round in 0..100 {
            let now = at(round * 100);
            assert_eq!(walk.next(&me, &list, now), Next::Ask(peer(1)), "round {round}");
            let failure = if round % 2 == 0 { Failure::Silent } else { Failure::Unreachable };
            walk.failed(&peer(1).name, &failure, now);
            assert_eq!(walk.next(&me, &list, now), Next::Wait);
            assert_eq!(walk.clone().next(&me, &listed(&[]), now), Next::Done, "the ring dropped it");
        }
        assert_eq!(walk.next(&me, &list, at(10_100)), Next::Ask(peer(1)));
        walk.failed(&peer(1).name, &Failure::Silent, at(10_100));
        assert_eq!(walk.next(&me, &list, at(10_200)), Next::Done);
    }

    #[test]
    fn one_beyond_the_list_is_asked_until_it_will_not_tell_or_another_has_everything() {
        let (mut walk, list, me) = (Walk::new(false), listed(&[1]), peer(0).name);
        assert_eq!(walk.next(&me, &list, at(0)), Next::Ask(peer(1)));
        walk.answered(&peer(1).name, standing(false, &[2, 3]));
        for round in 0..=100 {
            let now = at(round * 100);
            assert_eq!(walk.next(&me, &list, now), Next::Ask(peer(2)), "round {round}");
            walk.failed(&peer(2).name, &Failure::Unreachable, now);
            assert_eq!(walk.next(&me, &list, now), Next::Ask(peer(3)), "round {round}");
            walk.failed(&peer(3).name, &Failure::Silent, now);
            assert_eq!(walk.next(&me, &list, now), Next::Wait);
        }
        let mut settled = walk.clone();
        assert_eq!(settled.next(&me, &list, at(10_100)), Next::Ask(peer(2)));
        settled.answered(&peer(2).name, standing(true, &[]));
        assert_eq!(settled.next(&me, &list, at(10_100)), Next::Done);
        for number in [2, 3] {
            assert_eq!(walk.next(&me, &list, at(10_100)), Next::Ask(peer(number)));
            walk.failed(&peer(number).name, &Failure::Silent, at(10_100));
        }
        assert_eq!(walk.next(&me, &list, at(10_100)), Next::Done);
    }

    #[test]
    fn those_of_the_last_life_are_waited_for_as_long_as_they_are_recalled_unless_somebody_has_everything() {
        let me = peer(0).name;
        let sources = Sources { recalled: vec![peer(2)], ..listed(&[1]) };
        let (mut walk, mut settled) = (Walk::new(false), Walk::new(false));
        for walk in [&mut walk, &mut settled] {
            assert_eq!(walk.next(&me, &sources, at(0)), Next::Ask(peer(1)));
        }
        settled.answered(&peer(1).name, standing(true, &[]));
        assert_eq!(settled.next(&me, &sources, at(0)), Next::Done);
        walk.answered(&peer(1).name, standing(false, &[]));
        for round in 0..100 {
            let now = at(round * 100);
            assert_eq!(walk.next(&me, &sources, now), Next::Ask(peer(2)), "round {round}");
            walk.failed(&peer(2).name, &Failure::Unreachable, now);
            assert_eq!(walk.next(&me, &sources, now), Next::Wait);
        }
        assert_eq!(
            walk.clone().next(&me, &listed(&[1]), at(9_950)),
            Next::Done,
            "it is not recalled any more"
        );
        assert_eq!(walk.next(&me, &sources, at(10_000)), Next::Ask(peer(2)));
        walk.answered(&peer(2).name, standing(false, &[]));
        assert_eq!(walk.next(&me, &sources, at(10_000)), Next::Done);
    }

    #[test]
    fn one_whose_records_cannot_be_kept_here_is_asked_until_they_can() {
        let (mut walk, list, me) = (Walk::new(true), listed(&[1]), peer(0).name);
        for round in 0..100 {
            let now = at(round * 1000);
            assert_eq!(walk.next(&me, &list, now), Next::Ask(peer(1)), "round {round}");
            walk.untold(&peer(1).name, &Untold::NotKept, now);
            assert_eq!(walk.next(&me, &list, now), Next::Wait);
        }
    }
}
