//! Why an operation failed, and the one table from errors to the codes that travel.

use chord_kv::{ClockAhead, KeyTooLong, StoreError, ValueTooLong, Version};
use chord_ring::{CommandError, JoinError, Refusal};
use chord_wire::Code;

/// Why a get, put or lookup was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The ring could not lead to the owner. Nothing changed; trying again may help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The deadline passed. A write may or may not have happened; repeated, it counts as a new one.
    #[error("the ring did not answer in time: try again; a write may have happened already")]
    Deadline,
    /// The key is too long. Nothing changed.
    #[error(transparent)]
    Key(#[from] KeyTooLong),
    /// The value is too long. Nothing changed.
    #[error(transparent)]
    Value(#[from] ValueTooLong),
    /// The store of the owner refused. Nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The version of a record or a write cannot be believed. Nothing changed.
    #[error(transparent)]
    Version(#[from] ClockAhead),
    /// A newer write of the key is stored already. Nothing changed; repeated, the write counts as a new one.
    #[error("a newer write of this key is there already: try again")]
    Outdated {
        /// The version of the newer one.
        stored: Version,
    },
    /// The key or value is no text, and so far only text travels between nodes. Nothing changed.
    #[error("the key or value is not text (UTF-8), and so far only text is carried: encode it, as in base64")]
    NotText,
    /// The owner refused for a reason of its own. Nothing changed.
    #[error("{sentence}")]
    Remote {
        /// What kind of reason.
        code: Code,
        /// What it said.
        sentence: String,
    },
    /// The owner is stopping and could not copy the write. It may or may not have happened; repeated, it counts as a new
    /// one.
    #[error("the owner is stopping: try again; a write may have happened already")]
    Stopping,
}

/// Why a node will not become a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinEnded {
    /// The node was stopped before.
    #[error("the node stopped before it was in a ring")]
    Stopped,
    /// The ring does not take this node, and never will as it is set up.
    #[error(transparent)]
    Refused(#[from] JoinError),
}

impl OperationError {
    /// The code under which the error travels.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal_code(refusal),
            Self::Deadline => Code::Deadline,
            Self::Key(_) | Self::Value(_) => Code::TooLarge,
            Self::Store(_) => Code::StoreFailed,
            Self::Version(_) => Code::ClockAhead,
            Self::Outdated { .. } => Code::Outdated,
            Self::NotText => Code::NotText,
            Self::Remote { code, .. } => *code,
            Self::Stopping => Code::Busy,
        }
    }
}

pub(crate) fn refusal_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NotMember => Code::NotMember,
        Refusal::PositionTaken { .. } => Code::PositionTaken,
        Refusal::RingSizeDiffers { .. } => Code::RingSizeDiffers,
        Refusal::ForeignRing { .. } => Code::ForeignRing,
        Refusal::NoRoute => Code::NoRoute,
        Refusal::HopLimit => Code::HopLimit,
        // `Itself`, and whatever a later version of the ring adds.
        _ => Code::BadRequest,
    }
}

pub(crate) fn command_code(error: &CommandError) -> Code {
    match error {
        CommandError::AlreadyMember => Code::AlreadyMember,
        CommandError::Busy => Code::Busy,
        CommandError::UnderWay => Code::Deadline,
        CommandError::NotMember => Code::NotMember,
        CommandError::Join(JoinError::Itself(_)) => Code::JoinSelf,
        CommandError::Join(JoinError::RingSizeDiffers { .. }) => Code::RingSizeDiffers,
        CommandError::Join(JoinError::ForeignRing { .. }) => Code::ForeignRing,
        CommandError::Join(JoinError::PositionTaken { .. }) => Code::PositionTaken,
        CommandError::Join(_) => Code::JoinFailed,
        _ => Code::Internal,
    }
}
