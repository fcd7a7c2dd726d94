//! What a line of a script says.

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Set(Set),
    Do(Deed),
    Look(Look),
    Expect(Expectation),
}

/// What is so from now on, because the script says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Ideal(Vec<u64>),
    Member { at: u64, list: Vec<u64>, predecessor: Option<u64> },
    Cut(Vec<Vec<u64>>),
    Heal,
    Hold,
}

/// What is done, and may change what nodes believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Create(u64),
    Join { at: u64, contact: u64 },
    Fail(u64),
    Leave(u64),
    Freeze(u64),
    Thaw(u64),
    Remember { seed: u64, at: u64 },
    Stabilize(u64),
    Round { n_rounds: usize },
    Deliver(Which),
    Release,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Ring,
    Lookup { target: u64, from: u64 },
    Fingers(u64),
    Messages,
}

/// One of the messages that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// By its number in the list, counted from 1.
    Number(usize),
    /// The oldest between these two.
    Between { from: u64, to: u64 },
}

/// What must hold when the line is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// After so many rounds at most.
    Converge {
        rounds_max: usize,
    },
    Ring {
        is: Shape,
        wanted: bool,
    },
    Members(Vec<u64>),
    Principals(Vec<u64>),
    Owner {
        owner: u64,
        target: u64,
        from: u64,
    },
    /// Of one node, as far as it is said.
    Beliefs {
        at: u64,
        list: Option<Vec<u64>>,
        predecessor: Option<Before>,
    },
    Joining(u64),
}

/// Who comes before a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nobody,
    Node(u64),
}

impl Before {
    pub(super) fn node(self) -> Option<u64> {
        match self {
            Self::Nobody => None,
            Self::Node(at) => Some(at),
        }
    }
}

/// What can be said of a ring as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Every list and every predecessor is right.
    Ideal,
    /// First live successors lead round all members, once.
    Ordered,
}
