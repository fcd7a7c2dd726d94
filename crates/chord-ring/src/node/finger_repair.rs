//! Fingers: one entry beyond the successor list is looked up in each round (`fix_fingers`, TON 2003, figure 6).

use super::Node;
use crate::{Answer, Failure, Fingers, Lookup, Peer, Purpose, Request, Step};

/// Which entry comes next, and the lookup that is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct FingerRepair {
    cursor: u16,
    open: Option<(Lookup, Peer)>,
}

impl Node {
    /// Looks the next entry up, unless the last lookup is still under way.
    pub(super) fn begin_finger_repair(&mut self) {
        if self.open.finger_repair.open.is_some() || self.view.successors.is_empty() {
            return;
        }
        let (first_far, bits) = (self.view.first_far_finger(), self.view.ring_size().bits());
        let entry = self.open.finger_repair.cursor.max(first_far);
        let entry = if entry >= bits { first_far } else { entry };
        self.open.finger_repair.cursor = entry;
        if entry < bits {
            let lookup = Lookup::of(self.view.ring_size().finger_start(self.me(), entry));
            self.step_finger(lookup);
        }
    }

    pub(super) fn on_finger_answer(&mut self, answer: Result<Answer, Failure>) {
        let Some((mut lookup, asked)) = self.open.finger_repair.open.take() else { return };
        match answer {
            Ok(Answer::Found(found)) => self.learn_finger(found.owner),
            other => {
                let failure = other.err().unwrap_or(Failure::Garbled);
                if failure.is_final() && !self.view.neighbours(&asked.name) {
                    self.forget_finger(&asked.name);
                }
                lookup.failed(&asked.name, &failure);
                self.step_finger(lookup);
            }
        }
    }

    fn step_finger(&mut self, lookup: Lookup) {
        match lookup.step(&self.view) {
            Step::Here(_) => {
                // Nobody lies between this entry's start and this node itself, so nobody lies beyond it either.
                self.end_fingers();
            }
            Step::Ask { peer, question, .. } => {
                self.send(Purpose::Finger, &peer.name, Request::FindSuccessor(question));
                self.open.finger_repair.open = Some((lookup, peer));
            }
            Step::Stuck(_) => self.open.finger_repair.cursor += 1,
        }
    }

    fn learn_finger(&mut self, owner: Peer) {
        let (size, me, entry) = (self.view.ring_size(), self.me(), self.open.finger_repair.cursor);
        let start = size.distance(me, size.finger_start(me, entry));
        if owner.position == me {
            self.end_fingers();
        } else if size.distance(me, owner.position) >= start {
            self.open.finger_repair.cursor =
                self.change_fingers(|fingers| fingers.learn(size, me, entry, owner));
        } else {
            self.open.finger_repair.cursor = entry + 1; // The successor list grew past this entry meanwhile.
        }
    }

    /// The present entry is this node's own, and so is every later one.
    fn end_fingers(&mut self) {
        let entry = std::mem::take(&mut self.open.finger_repair.cursor);
        self.change_fingers(|fingers| fingers.forget_from(entry));
    }

    fn change_fingers<T>(&mut self, change: impl FnOnce(&mut Fingers) -> T) -> T {
        let before = self.view.fingers.clone();
        let result = change(&mut self.view.fingers);
        self.view_changed |= before != self.view.fingers;
        result
    }
}
