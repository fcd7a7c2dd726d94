//! What a checker of whole rings tells nodes apart by: everything but what only decides *when* something happens.

use super::finger_repair::FingerRepair;
use super::stabilize::REPEATS_MAX;
use super::{Node, Operation};
use crate::{Fingers, NodeName, Remembered};

impl Node {
    /// This node for a checker in which every wake-up may come at any time, so that nothing is lost if clocks are:
    ///
    /// - The pace of the rounds, and how often this round may stabilize again, as if it had just begun: a
    ///   stabilization that would not have been repeated is one whose question takes longer.
    /// - How long a joiner has looked for its place. It takes a shortened list at once, as one that has waited long does;
    ///   one that waits is one whose question takes longer.
    /// - The turns of the remembered peers: nobody's has come, see [`Node::with_turn_of`].
    /// - The fingers. Lookups try them beside the list, and each node asked answers for itself. A node that has lost its
    ///   whole list remembers its fingers: that way to find each other again is left out, so what is claimed of memory is
    ///   claimed without it.
    #[must_use]
    pub fn timeless(mut self) -> Self {
        self.quiet_rounds = 0;
        self.repeats_left = REPEATS_MAX;
        self.remembered.stop();
        self.view.fingers = Fingers::default();
        self.open.finger_repair = FingerRepair::default();
        if let Some(Operation::Join(join)) = &mut self.open.operation {
            join.forget_waiting();
        }
        self
    }

    /// This node, but with the turn of this remembered peer, and nobody else's, in the next round.
    #[must_use]
    pub fn with_turn_of(mut self, name: &NodeName) -> Self {
        self.remembered.stop();
        self.remembered.hasten(name);
        self
    }

    /// This node with nobody remembered: for a checker of what the proof covers, which knows no memory.
    #[must_use]
    pub fn without_memory(mut self) -> Self {
        self.remembered = Remembered::default();
        self
    }
}
