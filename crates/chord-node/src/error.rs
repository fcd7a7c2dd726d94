//! Why an operation failed, and the one table from errors to the codes that travel.

use chord_kv::tour::TourError;
use chord_kv::{KeyTooLong, ValueTooLong, replication};
use chord_ring::{CommandError, JoinError, Refusal};
use chord_wire::Code;

/// Why a lookup was not done, or what a key was to have done to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The ring could not lead to the owner. Nothing changed; trying again may help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node is on its way into a ring. Nothing changed; trying again helps once it is there.
    #[error(
        "this node is in no ring yet: it waits for {contacts} to let it in; see its log, or ask a node that is in the ring"
    )]
    Joining {
        /// Those whom it asks.
        contacts: String,
    },
    /// The key is too long. Nothing changed.
    #[error(transparent)]
    Key(#[from] KeyTooLong),
    /// The value is too long. Nothing changed.
    #[error(transparent)]
    Value(#[from] ValueTooLong),
    /// The owner did not do it, or not wholly, or nobody said in time whether it was done.
    #[error(transparent)]
    Data(#[from] replication::OperationError),
    /// The key or value is no text, and whoever is to have it takes text alone. Nothing changed.
    #[error(
        "the key or value is not text (UTF-8), and nothing else can be carried there: encode it, as in base64"
    )]
    NotText,
    /// The owner is a node of another program. Nothing changed.
    #[error("the owner of this key is a node of chord.py, which can only put and get")]
    OnlyPutsAndGets,
    /// The keys of some part of the ring could not be listed in time. Nothing changed.
    #[error(transparent)]
    Tour(#[from] TourError),
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
    /// Whether a write may have happened, or may yet take effect. Other errors say that nothing changed.
    pub fn may_have_happened(&self) -> bool {
        use replication::OperationError as Data;
        matches!(self, Self::Data(Data::Uncertain | Data::TooFewCopies { .. }))
    }

    /// The code under which the error travels.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal_code(refusal),
            Self::Joining { .. } => Code::NotMember,
            Self::Key(_) | Self::Value(_) => Code::TooLarge,
            Self::Data(error) => data_code(error),
            Self::NotText => Code::NotText,
            Self::OnlyPutsAndGets | Self::Tour(TourError::NoList(_)) => Code::OtherProgram,
            Self::Tour(TourError::NoOwner) => Code::NoRoute,
            Self::Tour(_) => Code::Deadline,
        }
    }
}

fn data_code(error: &replication::OperationError) -> Code {
    use replication::OperationError as Data;
    match error {
        Data::NotOwner => Code::NoRoute,
        Data::Busy => Code::Busy,
        Data::ConditionFailed { .. } => Code::ConditionFailed,
        Data::Outdated { .. } => Code::Outdated,
        Data::ClockAhead(_) => Code::ClockAhead,
        Data::NotANumber => Code::NotANumber,
        Data::OutOfRange => Code::OutOfRange,
        Data::TooLong(_) => Code::TooLarge,
        Data::Store(_) => Code::StoreFailed,
        Data::TooFewCopies { .. } => Code::TooFewCopies,
        Data::Unanswered => Code::Deadline,
        Data::Uncertain => Code::Uncertain,
        _ => Code::Internal,
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
