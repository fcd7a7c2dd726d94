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

/// The way of one question.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    asked: BTreeMap<NodeName, Progress>,
    is_settled: bool,
    beyond: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking { tries: u8 },
    Failed { tries: u8, again_at: Duration },
    Ended,
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
        let listed = successors.iter().find(|peer| self.is_due(me, peer, now, u8::MAX)).cloned();
        if let Some(peer) = listed {
            return self.ask(peer);
        }
        let is_open = |progress: &Progress| *progress != Progress::Ended;
        if successors.iter().any(|peer| self.asked.get(&peer.name).is_some_and(is_open)) {
            return Next::Wait;
        }
        if self.is_settled {
            return Next::Done;
        }
        let stranger = self.beyond.iter().find(|peer| self.is_due(me, peer, now, STRANGER_TRIES)).cloned();
        if let Some(peer) = stranger {
            return self.ask(peer);
        }
        let is_worth_waiting = |progress: &Progress| match progress {
            Progress::Asking { .. } => true,
            Progress::Failed { tries, .. } => *tries < STRANGER_TRIES,
            Progress::Ended => false,
        };
        let waits = self.beyond.iter().any(|peer| self.asked.get(&peer.name).is_some_and(is_worth_waiting));
        if waits { Next::Wait } else { Next::Done }
    }

    fn is_due(&self, me: &NodeName, peer: &Peer, now: Duration, tries_max: u8) -> bool {
        match self.asked.get(&peer.name) {
            None => peer.name != *me && self.asked.len() < WALK_MAX,
            Some(Progress::Failed { tries, again_at }) => *again_at <= now && *tries < tries_max,
            Some(Progress::Asking { .. } | Progress::Ended) => false,
        }
    }

    fn ask(&mut self, peer: Peer) -> Next {
        let tries = match self.asked.get(&peer.name) {
            Some(Progress::Failed { tries, .. }) => tries.saturating_add(1),
            Some(Progress::Asking { .. } | Progress::Ended) | None => 1,
        };
        self.asked.insert(peer.name.clone(), Progress::Asking { tries });
        Next::Ask(peer)
    }

    /// What that node has is here now.
    pub(super) fn answered(&mut self, name: &NodeName, standing: Standing) {
        self.asked.insert(name.clone(), Progress::Ended);
        self.is_settled |= standing.is_settled;
        for peer in standing.beyond {
            if self.beyond.len() < WALK_MAX && !self.beyond.contains(&peer) {
                self.beyond.push(peer);
            }
        }
    }

    /// That node did not tell.
    pub(super) fn failed(&mut self, name: &NodeName, failure: &Failure, now: Duration) {
        let Some(Progress::Asking { tries }) = self.asked.get(name).copied() else { return };
        let progress = if matches!(failure, Failure::Unreachable | Failure::Garbled) {
            Progress::Ended // Nobody is there any more, or nobody who keeps records.
        } else {
            Progress::Failed { tries, again_at: now.saturating_add(RETRY_PAUSE) }
        };
        self.asked.insert(name.clone(), progress);
    }
}
