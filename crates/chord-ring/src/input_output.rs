//! What goes into a [`Node`](crate::Node) and what comes out of it.

use std::time::Duration;

use crate::{Answer, Failure, NodeName, Peer, Refusal, Request, RingName, RingSize, RingTag, View};

/// Names whoever waits for a reply: chosen by the driver, handed back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Which life of a node a request belongs to. An answer to an earlier life is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// What a request of the node's own is for. At most one of each kind is open, so the purpose names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The one operation that may change the successor list: join or stabilize.
    Ring,
    /// Whether the predecessor lives, and who comes instead.
    Rectify,
    /// One finger.
    Finger,
    /// A remembered peer.
    Probe,
    /// The farewell to the predecessor.
    LeavePredecessor,
    /// The farewell to the successor.
    LeaveSuccessor,
}

/// Names one request of the node's own.
///
/// The driver answers each exactly once, with an answer or a failure; so the purpose is free again by then, and no
/// counter makes equal states differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The life that asks.
    pub incarnation: Incarnation,
    /// What it asks for.
    pub purpose: Purpose,
}

/// Why a wake-up was asked for. There is at most one of each: asking again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wake {
    /// The next maintenance round.
    Maintain,
    /// Another attempt to find a place in the ring.
    RetryJoin,
}

/// What an operator can tell a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Found a ring of one.
    Create,
    /// Join the ring that this node is in.
    Join(NodeName),
    /// Leave the ring.
    Leave,
    /// Remember this seed of the ring for ever.
    Remember(NodeName),
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// An operator's command; done when `Output::Done` carries its token.
    Command(Token, Command),
    /// A peer's request, with the ring that the peer says it is in.
    Request(Token, Option<RingTag>, Request),
    /// The end of a request of this node's own.
    Answer(RequestId, Result<Answer, Failure>),
    /// A time that was asked for has come.
    Wake(Wake),
    /// A lookup found this peer dead: it is no use as a finger.
    Unreachable(NodeName),
    /// This peer asked for this node's state. One that lies before the first successor may be a newcomer that the
    /// successor knows already, and waits for this node to find it.
    AskedBy(Peer),
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Ask a peer, and feed back one `Input::Answer`.
    Send(RequestId, NodeName, Request),
    /// Answer a peer's request.
    Reply(Token, Result<Answer, Refusal>),
    /// A command has ended.
    Done(Token, Result<(), CommandError>),
    /// Wake the node for this reason about so much later, in place of any earlier wake-up for it.
    Wake(Wake, Duration),
    /// The view changed: publish it.
    ViewChanged,
    /// Something an operator may want to read.
    Event(Event),
}

/// What a node reports about itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The first successor is another one now.
    SuccessorChanged(Option<Peer>),
    /// The predecessor is another one now.
    PredecessorChanged(Option<Peer>),
    /// A neighbour was dropped because it does not answer.
    Dropped(Peer, Failure),
    /// A remembered peer was in another part of a ring that fell apart; the parts are joined.
    Merging(Peer),
    /// A rule that should always hold did not: a defect of this program. What broke it is let go of and remembered.
    Violation {
        /// The rule.
        rule: &'static str,
        /// What the node believed when it did not hold.
        view: Box<View>,
    },
    /// Another member has this node's position: the node has left the ring.
    PositionTaken(Peer),
}

/// Why a command was not done. The node is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// `create` or `join` at a node that is in a ring.
    #[error("this node is in a ring already: shut it down first, or start another node")]
    AlreadyMember,
    /// A command while another one is being done.
    #[error("this node is busy with an earlier create, join or shutdown: wait for it to end")]
    Busy,
    /// The command takes longer than whoever gave it waits. It goes on, and may yet be done: a driver says so, the node
    /// itself never does.
    #[error("this is still under way and goes on: ask the node later whether it is in the ring")]
    UnderWay,
    /// `leave` at a node that is in no ring.
    #[error("this node is in no ring")]
    NotMember,
    /// The join failed.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// Why a join failed. The node is as it was, and may try again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The contact is the joiner itself.
    #[error("{0} is this node itself: name another node of the ring")]
    Itself(NodeName),
    /// The contact cannot be asked.
    #[error("cannot join through {contact}: {failure}")]
    Contact {
        /// The node that was named.
        contact: NodeName,
        /// What happened.
        failure: Failure,
    },
    /// The contact is there, and one of the two does not take the other for a node of its ring, as when they have different
    /// secrets. A driver finds that out and says so, the node itself never does.
    #[error(
        "cannot join through {contact}: it is there, and the two do not take each other for nodes of one ring: {why}"
    )]
    Apart {
        /// The node that was named.
        contact: NodeName,
        /// What is wrong.
        why: String,
    },
    /// The contact is in no ring.
    #[error("cannot join through {0}: it is in no ring itself; create one there first, or name another node")]
    ContactNotMember(NodeName),
    /// The contact's ring has another size.
    #[error(
        "cannot join through {contact}: its ring has size {theirs}, this node has ring size {ours}; start this node with ring size {theirs}"
    )]
    RingSizeDiffers {
        /// The node that was named.
        contact: NodeName,
        /// This node's ring size.
        ours: RingSize,
        /// The contact's.
        theirs: RingSize,
    },
    /// The contact's ring has another name.
    #[error(
        "cannot join through {contact}: its ring is called {theirs}, this node's ring is called {ours}; start this node with that name of the ring, or name a node of its own ring"
    )]
    ForeignRing {
        /// The node that was named.
        contact: NodeName,
        /// This node's ring.
        ours: RingName,
        /// The contact's.
        theirs: RingName,
    },
    /// A member is at this node's position.
    #[error("{joiner} cannot join: {member} has the same position {position} on the ring; give one of them another address, or use a larger ring size", position = .member.position, member = .member.name)]
    PositionTaken {
        /// The node that wanted to join.
        joiner: NodeName,
        /// The member in its place.
        member: Peer,
    },
    /// The ring still knew an earlier life of this node, or changed so fast that no place was found.
    #[error("the ring at {0} kept changing and no place was found: try again")]
    Unsettled(NodeName),
}
