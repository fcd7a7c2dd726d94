//! Why a request in frames brought no answer.

use chord_wire::frame::MessageError;

use super::connection::NoAnswer;

/// Why frames brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// As it may be with any connection.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// The request has not left, and can go out on another connection.
    #[error("the request was not sent")]
    NotSent,
    /// The peer speaks no frames with this side: it is asked in other words.
    #[error("no frames are spoken: {0}")]
    NotSpoken(String),
    /// The peer is not one that knows a secret of this side, or does not take this side for one.
    #[error("it is a stranger: {0}")]
    Strange(String),
    /// What came back makes no sense.
    #[error("the answer makes no sense: {0}")]
    Wrong(String),
}

impl From<MessageError> for Unanswered {
    fn from(error: MessageError) -> Self {
        Self::Wrong(error.to_string())
    }
}
