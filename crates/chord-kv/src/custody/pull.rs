//! One question to all who may have records of a range that has a new owner.
//!
//! A node that joins takes over a range whose records are still with its former owner. That node sends them on, to the
//! owner at that moment; so if more nodes join, a record may rest with any that lies between the newcomer and the former
//! owner. A newcomer asks for a record that it lacks along that way, farthest first: what has left one of them is then
//! with a nearer one, or here. All are asked, since one of them may have taken newer writes while another had the range.

use chord_ring::{Peer, Position, between};

use super::Lack;

/// How many nodes one question goes to: more than are likely to join into one gap before the first of them has
/// everything.
pub const HOLDERS_MAX: usize = 256;

/// One question on its way along the holders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pull {
    me: Position,
    pub(super) epoch: u64,
    pub(super) began_at: Peer,
    pub(super) farthest: Option<Peer>,
    /// Who is to be asked yet.
    ahead: Vec<Peer>,
    asking: Option<Peer>,
    asked: usize,
    /// Those who come after this node, in order.
    successors: Vec<Peer>,
    /// Who has answered last, and so lies beyond the one that is asked.
    beyond: Option<Peer>,
    gone: Vec<Peer>,
    /// Whether the question is on its way out: to the farthest that may have something.
    seeks_farthest: bool,
}

/// What one who was asked said beside the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Whether it has nothing more for the asker, and will have nothing later either.
    pub is_settled: bool,
    /// Whether it has refused to be the heir of a node that left: the records of that one are with somebody beyond it.
    pub was_passed_by: bool,
    /// Its predecessor, to which it may have given what it had.
    pub before: Option<Peer>,
}

impl Pull {
    pub(super) fn new(me: Position, epoch: u64, lack: &Lack, successors: &[Peer]) -> Self {
        let farthest = lack.farthest.clone();
        let mut ahead = vec![farthest.clone()];
        ahead.extend(successors.iter().filter(|peer| between(me, peer.position, farthest.position)).cloned());
        Self {
            me,
            epoch,
            began_at: farthest.clone(),
            farthest: Some(farthest),
            ahead,
            asking: None,
            asked: 0,
            successors: successors.to_vec(),
            beyond: None,
            gone: Vec::new(),
            seeks_farthest: true,
        }
    }

    /// Whom to ask now: the farthest that was not asked yet. `None` when nobody is left.
    pub fn ask_next(&mut self) -> Option<Peer> {
        if self.asked >= HOLDERS_MAX {
            return None;
        }
        let me = self.me;
        let farthest = self
            .ahead
            .iter()
            .enumerate()
            .reduce(|far, other| if between(me, far.1.position, other.1.position) { other } else { far });
        let next = self.ahead.swap_remove(farthest?.0);
        self.ahead.retain(|peer| *peer != next);
        self.asked += 1;
        self.asking = Some(next.clone());
        Some(next)
    }

    /// Whether who is asked now has to ask on, if it lacks records itself: it is the farthest that this node knows. All that
    /// are nearer, this node asks itself.
    pub fn asks_beyond(&self) -> bool {
        self.seeks_farthest
    }

    /// Who was asked has said what it has.
    pub fn answered(&mut self, rest: Rest) {
        let Some(asked) = self.asking.take() else { return };
        let Rest { is_settled, was_passed_by, before } = rest;
        let is_farthest = self.farthest.as_ref() == Some(&asked);
        if was_passed_by
            && self.seeks_farthest
            && let Some(farther) = self.next_beyond(&asked)
        {
            if is_farthest {
                self.farthest = Some(farther.clone());
            }
            return self.will_ask(farther);
        }
        let nearer = before.filter(|before| between(self.me, before.position, asked.position));
        let nearer = nearer.filter(|nearer| !self.gone.contains(nearer));
        if is_settled && is_farthest {
            self.farthest.clone_from(&nearer);
        }
        if let Some(nearer) = nearer {
            self.will_ask(nearer);
        }
        self.beyond = Some(asked);
        self.seeks_farthest = false;
    }

    /// Who was asked is no longer there. A node that leaves gives what it has to its successor, maybe after that was
    /// asked: so the next one beyond comes in its place, even if it was asked before. After a crash it has nothing.
    pub fn gone(&mut self) {
        let Some(asked) = self.asking.take() else { return };
        let heir = self.beyond.take().or_else(|| self.next_beyond(&asked));
        if let Some(heir) = heir.clone() {
            self.will_ask(heir);
        }
        if self.farthest.as_ref() == Some(&asked) {
            self.farthest = heir.or_else(|| self.clone().ask_next());
        }
        self.gone.push(asked);
        self.seeks_farthest = true;
    }

    /// Whether everybody was asked.
    pub fn is_done(&self) -> bool {
        self.ahead.is_empty() && self.asking.is_none()
    }

    fn will_ask(&mut self, peer: Peer) {
        if !self.ahead.contains(&peer) {
            self.ahead.push(peer);
        }
    }

    /// The nearest node that is known beyond another, and is not gone.
    fn next_beyond(&self, other: &Peer) -> Option<Peer> {
        let mut beyond =
            self.successors.iter().filter(|peer| between(other.position, peer.position, self.me));
        beyond.find(|peer| !self.gone.contains(peer)).cloned()
    }
}
