//! What nodes of one ring say to each other.

use std::time::Duration;

use crate::{NodeName, Peer, Position, RingName, RingSize, RingTag};

/// What one node asks of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Are you a member, and of which ring?
    Ping,
    /// Your predecessor and your whole successor list, read at one instant.
    GetState,
    /// The sender believes that it is your predecessor.
    Notify {
        /// The sender, or the node on whose behalf a leaving seed node speaks.
        from: Peer,
    },
    /// Your predecessor left, and it knew none of its own: forget it.
    ForgetPredecessor,
    /// The sender leaves the ring now.
    Leave {
        /// The leaver.
        from: Peer,
        /// Its predecessor: what its successor may take for its own.
        predecessor: Option<Peer>,
        /// Its whole successor list: what its predecessor continues with.
        successors: Vec<Peer>,
    },
    /// Which member owns `target`? A [`Node`](crate::Node) puts this question and refuses it: its driver answers it with
    /// a [`Lookup`](crate::Lookup), beside the node and not inside it.
    FindSuccessor(Question),
}

/// A lookup on its way through the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The position whose owner is sought.
    pub target: Position,
    /// Whether the sender takes the receiver for the owner.
    pub named: bool,
    /// The nodes that have had this question before, the asker first.
    pub path: Vec<NodeName>,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `Ping`.
    Pong(Pong),
    /// To `GetState`.
    State(State),
    /// To `Notify`, `ForgetPredecessor` and `Leave`.
    Done,
    /// To `FindSuccessor`.
    Found(Found),
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pong {
    /// The node that answers, under the name that it gives itself.
    pub peer: Peer,
    /// Whether it is a member of a ring and stays.
    pub member: bool,
    /// Its ring; `None` from a seed node, which does not say.
    pub ring: Option<RingTag>,
}

/// What a node knows of its neighbourhood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The node that answers.
    pub peer: Peer,
    /// Its predecessor, if it knows one.
    pub predecessor: Option<Peer>,
    /// Its successor list, nearest first.
    pub successors: Vec<Peer>,
    /// The size of its ring, where the answer shows it.
    pub ring_size: Option<RingSize>,
}

/// The end of a lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// The member that owns the position. It said so itself, unless a seed node named it: those answer for others.
    pub owner: Peer,
    /// How many times the question was forwarded.
    pub hops: u32,
    /// The nodes that had the question, the asker first, the owner last.
    pub path: Vec<NodeName>,
    /// The position after which the owner's range begins, if it has said so: a hint, for [`Shortcuts`](crate::Shortcuts).
    pub after: Option<Position>,
    /// How long each that had the question took until it had the answer, whoever answers first, by its own clock. Whoever drives
    /// a node tells it; a node itself knows no clock. Fewer than had the question, if one of them does not tell.
    pub took: Vec<Duration>,
}

/// Why a node does not do what it was asked. Nothing changed at the node that refuses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The receiver is no member of a ring, or is leaving it.
    #[error("this node is in no ring: create one or join one first")]
    NotMember,
    /// Sender and receiver, or sender and a member, are at the same position.
    #[error(
        "{newcomer} and {member} have the same position on the ring: give one of them another address, or use a larger ring size"
    )]
    PositionTaken {
        /// The node that came later.
        newcomer: NodeName,
        /// The node that is there.
        member: NodeName,
    },
    /// The rings have different sizes.
    #[error(
        "the ring here has size {here}, the other node's has size {there}: start it with ring size {here}"
    )]
    RingSizeDiffers {
        /// Size of the receiver's ring.
        here: RingSize,
        /// Size of the sender's ring.
        there: RingSize,
    },
    /// The rings have different names.
    #[error(
        "the ring here is called {here}, the other node's is called {there}: nodes of different rings do not mix"
    )]
    ForeignRing {
        /// Name of the receiver's ring.
        here: RingName,
        /// Name of the sender's ring.
        there: RingName,
    },
    /// A node sent itself a message that only makes sense between two.
    #[error("a node cannot be its own neighbour")]
    Itself,
    /// No candidate was left that could answer the lookup.
    #[error("no reachable node knows the owner at the moment: the ring is changing, try again")]
    NoRoute,
    /// The lookup was forwarded too often.
    #[error(
        "the lookup was forwarded as often as is allowed without reaching the owner: the ring is changing, try again"
    )]
    HopLimit,
}

/// Why a request brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The host refused the connection: nobody serves there.
    #[error("nobody answers at that address")]
    Unreachable,
    /// No answer came: the deadline passed, the connection broke, or there was none. The reason may lie anywhere.
    #[error("it could not be reached, or did not answer in time")]
    Silent,
    /// It answered something that is not of this protocol.
    #[error("it does not speak the chord protocol")]
    Garbled,
    /// It answered that it will not.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Failure {
    /// Whether one such failure is proof enough that the peer is no member any more. A deadline that passed
    /// once is not: a slow peer is not a dead one.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            // Only a member can say that it knows no way.
            Self::Silent | Self::Garbled | Self::Refused(Refusal::NoRoute | Refusal::HopLimit) => false,
            Self::Unreachable | Self::Refused(_) => true,
        }
    }
}
