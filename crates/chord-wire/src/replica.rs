//! Replica messages: what our nodes ask each other about records, and what they answer, in a compact binary form.
//!
//! `docs/protocol.md` specifies every byte. A message begins with its format and its kind. It has one encoding only, so that
//! what is decoded encodes to the same bytes again. Where a key lies is not told: the receiver computes it, so that nobody
//! can lie about it. Whether a sender may say what it says, and whether that makes sense, is for others to judge.

mod answer;
pub(crate) mod operation;
pub(crate) mod part;
pub(crate) mod reader;
mod request;
mod watch;
pub(crate) mod writer;

use std::time::Duration;

use chord_kv::replication::{
    Before, Consistency, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, Operation, OperationError, Outcome,
    PeerAnswer, PeerRequest, Proposal, RECALLED_MAX, REPLICAS_MAX,
};
use chord_kv::{KEY_BYTES_MAX, Key, VALUE_BYTES_LIMIT, Version};
use chord_ring::{NODE_NAME_BYTES_MAX, NodeNameError, RingSize, SUCCESSORS_LIMIT};

use reader::Reader;
use writer::Writer;

/// The format that is written, and the only one that is read: the first byte of each message.
pub const REPLICA_FORMAT: u8 = 1;

/// Most members of a group: as many as a key can have copies, and one more while one of them leaves.
pub const GROUP_MEMBERS_MAX: usize = REPLICAS_MAX as usize + 1;

/// Neighbours that a node names beside a list of what it has, at most: its successors and its predecessor.
pub const NEIGHBOURS_MAX: usize = SUCCESSORS_LIMIT as usize + 1;

/// Longest sentence about a failure of a store, in characters of one byte: as long as that of any error that we take from
/// a peer.
pub const REASON_BYTES_MAX: usize = crate::ERROR_CHARS_MAX;

/// What a message has beside keys and values, in bytes, at most: lists of nodes, and what belongs to each record.
const REST_BYTES_MAX: usize = 96 << 10;

/// A position: its length, and at most 32 bytes.
const POSITION_BYTES_MAX: usize = 1 + 32;

/// Flags, the length of a key in two bytes, a version, an expiry, and the length of a value in four bytes.
const RECORD_BYTES_BESIDE: usize = 1 + 2 + 8 + POSITION_BYTES_MAX + 8 + 4;

const _: () = {
    let peer = POSITION_BYTES_MAX + 2 + NODE_NAME_BYTES_MAX;
    let nodes = (NEIGHBOURS_MAX + RECALLED_MAX) * peer;
    let group = peer + POSITION_BYTES_MAX + 8 + POSITION_BYTES_MAX + GROUP_MEMBERS_MAX * peer;
    let records = MESSAGE_RECORDS_MAX * RECORD_BYTES_BESIDE;
    let others = KEY_BYTES_MAX + 2 * REASON_BYTES_MAX + 1024;
    assert!(group <= nodes && nodes + records + others <= REST_BYTES_MAX);
};

/// What a message may be like that this node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLimits {
    /// The size of the ring, which both nodes have agreed on before.
    pub size: RingSize,
    /// Bytes of a value, at most.
    pub value_bytes: usize,
}

impl ReplicaLimits {
    /// Longest message, in bytes: whoever reads one from a socket needs no more room than that.
    ///
    /// Records come up to [`MESSAGE_BYTES_MAX`] and one more, or they are the two of an [`Outcome`].
    pub fn message_bytes(&self) -> usize {
        let record = KEY_BYTES_MAX + self.value_bytes.min(VALUE_BYTES_LIMIT);
        REST_BYTES_MAX + MESSAGE_BYTES_MAX + 2 * record
    }
}

/// An operation that a node passes on to the owner of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operate {
    /// The key.
    pub key: Key,
    /// What to do.
    pub operation: Operation,
    /// What the sender proposes for the version of what is written.
    pub proposal: Proposal,
    /// How many copies it is about.
    pub consistency: Consistency,
    /// How long somebody waits: whole milliseconds travel, and at most [`REMAINING_MAX`](crate::REMAINING_MAX).
    pub remaining: Duration,
}

/// Everything that a node asks another about data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataRequest {
    /// Between those who keep copies, or may have kept some.
    Peer(PeerRequest),
    /// From a node that a client asks to the owner of the key.
    Operate(Operate),
}

/// Everything that a node answers another about data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataAnswer {
    /// To [`DataRequest::Peer`].
    Peer(PeerAnswer),
    /// To [`DataRequest::Operate`].
    Operated(Result<Outcome, OperationError>),
}

impl DataAnswer {
    /// The version of the deletion that it tells of. It travels beside the message.
    pub fn deleted(&self) -> Option<Version> {
        match self {
            Self::Operated(Ok(outcome)) => outcome.deleted,
            Self::Operated(Err(_)) | Self::Peer(_) => None,
        }
    }

    /// Whether it says of a change that what was there before is not known. That travels beside the message too.
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::Operated(Ok(Outcome { before: Before::Unknown, .. })))
    }

    /// The same with what came beside the message; `None` if it contradicts that.
    pub fn if_repeated(self, is_repeated: bool) -> Option<Self> {
        match self {
            other if !is_repeated => Some(other),
            Self::Operated(Ok(outcome @ Outcome { before: Before::Nothing, .. })) => {
                Some(Self::Operated(Ok(Outcome { before: Before::Unknown, ..outcome })))
            }
            Self::Operated(_) | Self::Peer(_) => None,
        }
    }

    /// The same with what came beside the message.
    #[must_use]
    pub fn with_deleted(self, deleted: Option<Version>) -> Self {
        match self {
            Self::Operated(Ok(outcome)) => Self::Operated(Ok(Outcome { deleted, ..outcome })),
            other @ (Self::Operated(Err(_)) | Self::Peer(_)) => other,
        }
    }
}

/// Why bytes are no message that this node takes. Nothing changed, and sending them again does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplicaError {
    /// Another format, that of a newer version of this program perhaps.
    #[error("the message has format {format}, and this node knows format {REPLICA_FORMAT} alone")]
    UnknownFormat {
        /// Which one.
        format: u8,
    },
    /// No kind of request, or no kind of answer.
    #[error("this node knows no message of kind {kind}")]
    UnknownKind {
        /// Which one.
        kind: u8,
    },
    /// A choice that does not exist.
    #[error("the message has a byte {tag} where {what} has to be")]
    UnknownTag {
        /// What was to be chosen.
        what: &'static str,
        /// The byte.
        tag: u8,
    },
    /// The message ends too early.
    #[error("the message ends too early")]
    Truncated,
    /// The message goes on behind its end.
    #[error("the message has {bytes} bytes too many")]
    Trailing {
        /// By how much.
        bytes: usize,
    },
    /// Too many or too long.
    #[error("{what} may be {limit} at most, and there are more: send fewer")]
    OverLimit {
        /// What.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Something is written in more bytes than it needs: a message has one encoding only.
    #[error("{what} is written in more bytes than it needs")]
    NotShortest {
        /// What.
        what: &'static str,
    },
    /// A position that the ring does not have.
    #[error("a position is not on the ring")]
    OffRing,
    /// A name that no node can have.
    #[error(transparent)]
    BadName(#[from] NodeNameError),
    /// A text with other characters than it may have.
    #[error("a text has other characters than it may have")]
    BadText,
}

/// The bytes of a request.
pub fn encode_request(request: &DataRequest) -> Vec<u8> {
    let mut to = Writer::new();
    match request {
        DataRequest::Peer(request) => write_peer_request(request, &mut to),
        DataRequest::Operate(operate) => write_operate(operate, &mut to),
    }
    to.into_bytes()
}

/// Writes a request between those who keep copies behind what is there.
pub(crate) fn write_peer_request(request: &PeerRequest, to: &mut Writer) {
    to.byte(REPLICA_FORMAT);
    request::write_peer(request, to);
}

/// Writes an operation behind what is there.
pub(crate) fn write_operate(operate: &Operate, to: &mut Writer) {
    to.byte(REPLICA_FORMAT);
    request::write_operate(operate, to);
}

/// The request of which these are the bytes.
///
/// # Errors
/// They are none, or exceed a limit.
pub fn decode_request(bytes: &[u8], limits: &ReplicaLimits) -> Result<DataRequest, ReplicaError> {
    decode(bytes, limits, request::read)
}

/// The bytes of an answer.
pub fn encode_answer(answer: &DataAnswer) -> Vec<u8> {
    let mut to = Writer::new();
    match answer {
        DataAnswer::Peer(answer) => write_peer_answer(answer, &mut to),
        DataAnswer::Operated(result) => write_operated(result, &mut to),
    }
    to.into_bytes()
}

/// Writes an answer between those who keep copies behind what is there.
pub(crate) fn write_peer_answer(answer: &PeerAnswer, to: &mut Writer) {
    to.byte(REPLICA_FORMAT);
    answer::write_peer(answer, to);
}

/// Writes what came of an operation behind what is there.
pub(crate) fn write_operated(result: &Result<Outcome, OperationError>, to: &mut Writer) {
    to.byte(REPLICA_FORMAT);
    answer::write_operated(result, to);
}

/// The answer of which these are the bytes.
///
/// # Errors
/// They are none, or exceed a limit.
pub fn decode_answer(bytes: &[u8], limits: &ReplicaLimits) -> Result<DataAnswer, ReplicaError> {
    decode(bytes, limits, answer::read)
}

/// The message that `read` finds behind the format and the kind.
fn decode<T>(
    bytes: &[u8],
    limits: &ReplicaLimits,
    read: impl FnOnce(u8, &mut Reader<'_>) -> Result<T, ReplicaError>,
) -> Result<T, ReplicaError> {
    let bytes_max = limits.message_bytes();
    if bytes.len() > bytes_max {
        return Err(ReplicaError::OverLimit { what: "the bytes of a message", limit: bytes_max });
    }
    let mut from = Reader::new(bytes, *limits);
    match from.byte()? {
        REPLICA_FORMAT => {}
        format => return Err(ReplicaError::UnknownFormat { format }),
    }
    let kind = from.byte()?;
    let message = read(kind, &mut from)?;
    from.end()?;
    Ok(message)
}
