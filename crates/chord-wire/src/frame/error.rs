//! What can be wrong with frames, and with single messages in them.

use crate::replica::ReplicaError;

/// Why a connection cannot go on. Messages that came whole before are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The connection began with other bytes: the other side is of another program.
    #[error("the other side does not speak frames")]
    NotFrames,
    /// A frame is shorter or longer than any.
    #[error("a frame has a length that none can have")]
    Length,
    /// A frame that the other side has no reason to send.
    #[error("a frame of kind {kind} makes no sense here")]
    OutOfPlace {
        /// Its kind.
        kind: u8,
    },
    /// The numbers of requests rise: one came again, or too late.
    #[error("a request has a number that is not above the last one")]
    Number,
    /// They are missing, too many, or not as long as they must be, or too many are announced.
    #[error("the pieces of a long message are not as they were announced")]
    Pieces,
}

/// Why a message is not taken. The connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A kind of a newer version, perhaps.
    #[error("this node knows no message of kind {kind}")]
    UnknownKind {
        /// Which one.
        kind: u8,
    },
    /// A field that the sender takes for necessary.
    #[error("this node does not know the field {tag}, which the sender takes for necessary")]
    UnknownField {
        /// Which one.
        tag: u8,
    },
    /// A field that messages of this kind do not have.
    #[error("a message of this kind has no field {tag}")]
    Misplaced {
        /// Which one.
        tag: u8,
    },
    /// A field that messages of this kind must have.
    #[error("a message of this kind has to have the field {tag}")]
    Missing {
        /// Which one.
        tag: u8,
    },
    /// Fields come in the order of their numbers, each once.
    #[error("the fields of a message are not in their order")]
    Disorder,
    /// It is longer than any that this node takes.
    #[error("the message has more than the {limit} bytes that this node accepts")]
    TooLarge {
        /// How long it may be.
        limit: usize,
    },
    /// One of its parts makes no sense.
    #[error(transparent)]
    Part(#[from] ReplicaError),
}
