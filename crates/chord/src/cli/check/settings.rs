//! The choices of `chord check`, in the words of the command line.

use chord_sim::check;
use clap::ValueEnum;

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Layer {
    /// Any step, from any state that satisfies the proof's invariant
    #[value(name = "A")]
    A,
    /// One remote answer
    #[value(name = "B")]
    B,
    /// One message, while others are on their way
    #[value(name = "C")]
    C,
}

impl Layer {
    /// As many nodes as a check of this layer takes in some seconds.
    pub(super) fn nodes(self) -> usize {
        match self {
            Self::A => 6,
            Self::B => 5,
            Self::C => 4,
        }
    }
}

impl From<Layer> for check::Layer {
    fn from(layer: Layer) -> Self {
        match layer {
            Layer::A => Self::A,
            Layer::B => Self::B,
            Layer::C => Self::C,
        }
    }
}

/// Where the ring begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Start {
    /// Every ideal ring of more than r members
    Ideal,
    /// One node that founds a ring
    One,
    /// Two rings, of which one member of one remembers one of the other
    Two,
}

impl From<Start> for check::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Ideal => Self::Ideal,
            Start::One => Self::One,
            Start::Two => Self::Two,
        }
    }
}

/// Which messages are steps of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Grain {
    /// Those that carry a successor list
    Lists,
    /// Notifications, farewells and questions about the predecessor too
    Messages,
    /// All messages and all wake-ups
    Everything,
}

impl From<Grain> for check::Grain {
    fn from(grain: Grain) -> Self {
        match grain {
            Grain::Lists => Self::Lists,
            Grain::Messages => Self::Messages,
            Grain::Everything => Self::Everything,
        }
    }
}

/// What failures there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Failures {
    /// Those that the proof allows
    Assumed,
    /// Those too that it forbids because of what is on its way
    Stored,
    /// Any that leave one member
    Any,
}

impl From<Failures> for check::Failures {
    fn from(failures: Failures) -> Self {
        match failures {
            Failures::Assumed => Self::Assumed,
            Failures::Stored => Self::Stored,
            Failures::Any => Self::Any,
        }
    }
}

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Claim {
    /// The proof's invariant in every state, and the ideal ring in the end
    Proof,
    /// Nodes remember peers: who know of each other go on to, and end in one ideal ring
    Together,
    /// Nodes remember peers: every member ends in an ideal ring with all whom it knows
    Parts,
}

impl From<Claim> for check::Claim {
    fn from(claim: Claim) -> Self {
        match claim {
            Claim::Proof => Self::Proof,
            Claim::Together => Self::Together,
            Claim::Parts => Self::Parts,
        }
    }
}
