//! The model checker: all that can happen to a small ring of shipped nodes, step by step.
//!
//! It has three layers, which differ in what a step is:
//!
//! - **A**, inductiveness: every state of the successor lists that satisfies the invariant of TSE 2017, section IV,
//!   reachable or not, and every step from it. The proof's central claim, on the shipped code.
//! - **B**, reachability: all that becomes of the ideal rings, or of a ring that one node founds, when nodes join, fail, leave and
//!   join again. A step is one remote answer, as in TSE 2017, section III-B.
//! - **C**, messages: the same, with answers on their way for as long as they like while others act.
//!
//! Nothing here is a copy of the protocol. Every transition is made by [`chord_ring::Node`] and every lookup by
//! [`chord_ring::Lookup`]; the checker carries their messages. It is fast because a node is a deterministic state
//! machine: each local state is numbered, what the shipped code makes of an input is kept, and a ring is a handful of
//! numbers. A node sees itself at 0 and the others at so many positions on, so that a ring that is merely turned is
//! the same numbers turned, and only the smallest turn is kept. A general checker such as stateright would clone and
//! hash whole nodes in every state; the explorer that this needs is 200 lines.
//!
//! What is left out, and why nothing is lost by it, is said at [`chord_ring::Node::timeless`]; besides:
//!
//! - The dead refuse at once, so that nobody living is ever suspected: the proof's assumption. Suspicion is for the simulator.
//! - A joiner reads the list of *any* member, whatever a lookup would have named: more than can happen. It counts as
//!   a node of the ring from the answer that makes it a member; nobody knows of it before.
//! - What a node that is gone has sent arrives before it comes back.
//! - [`chord_ring::Input::AskedBy`] begins what a round begins, and a round may begin at any time.

mod census;
mod facts;
mod global;
mod graph;
mod induction;
mod interner;
mod local;
mod moves;
mod positions;
mod property;
mod repair;
mod run;
mod scenario;
mod shorten;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;

use chord_ring::Config;

use positions::Positions;

/// Most positions of a ring that is checked: a set of them is one byte.
pub const NODES_MAX: usize = 8;

/// Memory that a check takes at most, in bytes, unless it is told otherwise: half of what a larger workstation has. A state
/// takes some 25 bytes, so that these are 300 million.
pub const BYTES_MAX: usize = 8 << 30;

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Any step, from any state that satisfies the invariant.
    A,
    /// One remote answer.
    B,
    /// One message.
    C,
}

/// Where a ring begins, in layers B and C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Every ideal ring of more than r members.
    Ideal,
    /// One node that founds a ring.
    One,
    /// Two ideal rings of the same name that share the positions in every way, of which one member of one remembers one
    /// of the other; nobody comes or goes.
    Two,
}

/// Which messages are steps of their own, in layers B and C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Only those that carry a list. All else happens at once: notifications, farewells, and questions about the
    /// predecessor, on which no list depends (TSE 2017, section IV).
    Lists,
    /// Those too, except the ones that only tell whether a peer lives.
    Messages,
    /// All messages and all wake-ups.
    Everything,
}

/// What is on its way of an answer, in layers B and C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// All of it.
    Whole,
    /// What the node that asked will use: another order of ten fewer states, and the same is found. Not for nodes that
    /// remember peers, or that break a rule.
    Shortened,
}

/// What failures there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// Those that the proof allows: they leave r + 1 principals and everybody a live successor, by what is stored and
    /// by what is on its way (TSE 2017, sections II and VII-B).
    Assumed,
    /// The same, where what is on its way does not count: not enough, as a check of layer C shows.
    Stored,
    /// Those that leave everybody a live successor, however few members are left that nobody skips: without the minimum
    /// size. What is claimed then is that the ring becomes ideal, and of the invariant only the live successors.
    Linked,
    /// Any that leave one member.
    Any,
}

/// From which states layer A takes its steps, and what each must lead to again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// That of TSE 2017, section IV: a live successor for everybody, and r + 1 principals.
    Proof,
    /// What everybody believed before: a live successor for everybody, lists in order and without repeats, and one ordered
    /// ring that everybody is connected to. It is not kept (TSE 2017, section IV, figure 4).
    Obvious,
}

/// What is claimed of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The invariant of TSE 2017 and all that follows from it, in every state; and that the ring becomes ideal when
    /// nodes come and go no more. For nodes that remember nobody, as in the paper.
    Proof,
    /// Nodes remember peers: while nobody fails, those who know of each other go on to, and end in one ideal ring.
    Together,
    /// Nodes remember peers: when nodes come and go no more, every member ends in an ideal ring with all whom it knows.
    Parts,
}

/// What is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a step is.
    pub layer: Layer,
    /// Positions of the ring, each with a node or none.
    pub nodes: usize,
    /// r, the length of the successor lists.
    pub successors: u8,
    /// Where the ring begins.
    pub start: Start,
    /// Which messages are steps of their own.
    pub grain: Grain,
    /// What is on its way of an answer.
    pub answers: Answers,
    /// What failures there are.
    pub failures: Failures,
    /// What holds of the states of layer A.
    pub invariant: Invariant,
    /// Whether nodes may leave in good order.
    pub leaves: bool,
    /// What is claimed.
    pub claim: Claim,
    /// Whether every member looks every position up, in every state.
    pub lookups: bool,
    /// Where each node sees itself, among the positions: a turn that changes nothing.
    pub origin: usize,
    /// How many bytes the states may take, in layers B and C. Then the check ends, and says so.
    pub bytes_max: usize,
}

impl Settings {
    /// That layer from every ideal ring, within the assumptions of the proof.
    pub fn new(layer: Layer, nodes: usize, successors: u8) -> Self {
        Self {
            layer,
            nodes,
            successors,
            start: Start::Ideal,
            grain: Grain::Lists,
            answers: Answers::Whole,
            failures: Failures::Assumed,
            invariant: Invariant::Proof,
            leaves: true,
            claim: Claim::Proof,
            lookups: false,
            origin: 0,
            bytes_max: BYTES_MAX,
        }
    }

    /// What is checked when nothing is chosen: each layer as far as it goes in some seconds.
    pub fn suite() -> Vec<Self> {
        let from_one = Self { start: Start::One, ..Self::new(Layer::B, 5, 2) };
        let small = Self {
            start: Start::One,
            failures: Failures::Any,
            claim: Claim::Together,
            ..Self::new(Layer::B, 3, 2)
        };
        let merging = Self { start: Start::Two, claim: Claim::Together, ..Self::new(Layer::B, 4, 2) };
        let everything = Self { start: Start::One, grain: Grain::Everything, ..Self::new(Layer::C, 3, 1) };
        vec![
            Self::new(Layer::A, 6, 2),
            Self::new(Layer::A, 7, 2),
            Self::new(Layer::A, 6, 3),
            Self { lookups: true, ..Self::new(Layer::B, 4, 2) },
            Self::new(Layer::B, 5, 2),
            from_one,
            Self::new(Layer::C, 4, 2),
            Self { start: Start::One, ..Self::new(Layer::C, 4, 2) },
            everything,
            small,
            Self { grain: Grain::Messages, ..merging.clone() },
            Self { layer: Layer::C, ..merging },
        ]
    }

    /// Whether this can be checked.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn validate(&self) -> Result<(), CheckError> {
        if !(1..=NODES_MAX).contains(&self.nodes) {
            return Err(CheckError::Nodes(self.nodes));
        }
        if !(1..NODES_MAX).contains(&usize::from(self.successors)) {
            return Err(CheckError::Successors(self.successors));
        }
        let needed = usize::from(self.successors) + 1;
        if self.start == Start::Ideal && self.nodes < needed {
            return Err(CheckError::TooFewNodes { nodes: self.nodes, successors: self.successors, needed });
        }
        if self.start == Start::Two && self.claim == Claim::Proof {
            return Err(CheckError::NoMemory);
        }
        let may_be_short = self.layer == Layer::C && self.claim == Claim::Proof && self.grain == Grain::Lists;
        if self.answers == Answers::Shortened && !may_be_short {
            return Err(CheckError::Shortened);
        }
        Ok(())
    }
}

/// Why nothing was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A number of nodes that cannot be checked.
    #[error("rings of 1 to {NODES_MAX} nodes can be checked, not of {0}: larger ones are for the simulator")]
    Nodes(usize),
    /// A number of successors that cannot be checked.
    #[error("lists of 1 to {most} successors can be checked, not of {0}", most = NODES_MAX - 1)]
    Successors(u8),
    /// No ideal ring of more than r members fits.
    #[error(
        "with {successors} successors the proof begins at {needed} nodes, not at {nodes}: check more nodes, fewer successors, or a ring that grows from one node"
    )]
    TooFewNodes {
        /// The nodes.
        nodes: usize,
        /// r.
        successors: u8,
        /// The fewest that are enough.
        needed: usize,
    },
    /// Two rings, of which nobody knows of the other.
    #[error("two rings become one only if nodes remember peers: let them remember")]
    NoMemory,
    /// Answers that are shortened, where more of them is used or was not argued to be not.
    #[error(
        "answers can be shortened in layer C, where nodes remember nobody and the grain is that of lists: leave out the other choice"
    )]
    Shortened,
    /// Answers that are shortened, of nodes that are not as they are shipped: what they will use of an answer was argued for
    /// no others.
    #[error(
        "answers can be shortened for nodes as they are shipped alone, which keep every rule: take whole answers"
    )]
    Altered,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// States met.
    pub states: usize,
    /// States whose steps were all taken.
    pub explored: usize,
    /// States of which is known how they repair themselves: it is asked once all are explored.
    pub repaired: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// States, those that are the same but turned counted once.
    pub states: usize,
    /// Layer A: the states with a principal at position 0, which `ring.md`, section 6.3, counts.
    pub anchored: Option<usize>,
    /// Steps that changed something.
    pub steps: u64,
    /// Steps from the beginning to the state that is farthest from it; none in layer A.
    pub depth: u32,
    /// Different states of one node.
    pub local_states: usize,
    /// How often the shipped code was run.
    pub runs: usize,
    /// In how many of these runs a probe found another ring, and the node took one of its members for its head.
    pub merges: usize,
    /// Memory of the states and the steps between them, in bytes.
    pub bytes: usize,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every state and every step holds what it must.
    Holds(Repair),
    /// It ended before everything was met; what was met till then holds what it must, and that is every state within
    /// [`Report::depth`] steps of the beginning.
    Stopped(Stop),
    /// It does not hold.
    Broken(Counterexample),
}

/// Why a check ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Whoever watches it wanted it to.
    Asked,
    /// It would have taken more memory than [`Settings::bytes_max`].
    Memory,
    /// Whoever watches wanted it to when every state was met, but not asked yet how it repairs itself.
    BeforeRepair,
}

/// How a ring becomes ideal once nodes come and go no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Layer A does not ask.
    Unasked,
    /// Whatever happens next, after at most so many steps that change something.
    Always {
        /// The longest way.
        steps_max: u32,
    },
    /// It may go round, but can reach the ideal ring from everywhere, and keeps it. That it goes round only while somebody
    /// is kept from his turn is not checked.
    UnlessStarved,
}

/// How a property is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What should hold.
    pub property: String,
    /// What happened, and what the ring was after each of these steps, as `node:[list]predecessor`.
    pub scenario: Vec<String>,
}

impl Counterexample {
    /// How many steps it takes.
    pub fn steps(&self) -> usize {
        self.scenario.len().saturating_sub(1)
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.property)?;
        self.scenario.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Checks a ring. `watch` hears how far it is, and may end it.
///
/// # Errors
/// The settings describe no ring that can be checked.
pub fn check(
    settings: &Settings,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    check_altered(settings, |config| config, watch)
}

/// The same with nodes whose settings are altered: broken on purpose, to see the check fail.
///
/// # Errors
/// The settings describe no ring that can be checked.
pub fn check_altered(
    settings: &Settings,
    alter: impl Fn(Config) -> Config,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    settings.validate()?;
    let shipped = Positions::config(settings.successors)?;
    let config = alter(shipped.clone());
    if settings.answers == Answers::Shortened && config != shipped {
        return Err(CheckError::Altered);
    }
    Ok(match settings.layer {
        Layer::A => run::induction(settings, config, watch)?,
        Layer::B | Layer::C => run::reachability(settings, config, watch)?,
    })
}
