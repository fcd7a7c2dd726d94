//! What a request may be like, and what is said about one that is not.

use chord_kv::{KEY_BYTES_MAX, VALUE_BYTES_LIMIT};

use crate::Code;

/// Enough for an MSET of 32 thousand pairs; their places take 1 MiB.
const ARGS_MAX_DEFAULT: usize = 64 << 10;

/// A value that is longer than the node stores by a little is refused with a sentence about values, and the connection
/// goes on. Only one that is longer than this ends it.
const BULK_BYTES_MAX_DEFAULT: usize = VALUE_BYTES_LIMIT + (64 << 10);

/// The same as in Redis.
const INLINE_BYTES_MAX_DEFAULT: usize = 64 << 10;

/// The longest value, and a MiB for keys, options and what stands between them.
const REQUEST_BYTES_MAX_DEFAULT: usize = BULK_BYTES_MAX_DEFAULT + (1 << 20);

const _: () = assert!(REQUEST_BYTES_MAX_DEFAULT - BULK_BYTES_MAX_DEFAULT > 16 * KEY_BYTES_MAX);
const _: () =
    assert!(INLINE_BYTES_MAX_DEFAULT > KEY_BYTES_MAX && ARGS_MAX_DEFAULT > INLINE_BYTES_MAX_DEFAULT / 2);

/// What a request may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Arguments of a request, its command among them.
    pub args_max: usize,
    /// Bytes of one argument of an array. Should be somewhat more than the longest value, because a longer argument
    /// ends the connection.
    pub bulk_bytes_max: usize,
    /// Bytes of a line of words, without its line feed.
    pub inline_bytes_max: usize,
    /// Bytes of an array, with everything that stands between its arguments. A connection needs up to twice as much
    /// memory while such a request arrives.
    pub request_bytes_max: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            args_max: ARGS_MAX_DEFAULT,
            bulk_bytes_max: BULK_BYTES_MAX_DEFAULT,
            inline_bytes_max: INLINE_BYTES_MAX_DEFAULT,
            request_bytes_max: REQUEST_BYTES_MAX_DEFAULT,
        }
    }
}

/// Why bytes are no request that this node takes: in Redis's own words, where it has some. What comes behind such bytes
/// cannot be understood either, so the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An array with a count that is no number.
    #[error("Protocol error: invalid multibulk length")]
    ArrayLength,
    /// An argument with a length that is no number, or is below 0.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument that is no bulk string.
    #[error("Protocol error: expected '$', got '{got}'")]
    NotABulk {
        /// What it begins with; `?` for what cannot be shown.
        got: char,
    },
    /// An argument that does not end where its length says.
    #[error("Protocol error: expected CRLF after a bulk string")]
    BulkEnd,
    /// A line in which a quote is not closed, or is followed by more of the word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A line without an end.
    #[error("Protocol error: too big inline request: it has more than {limit} bytes")]
    LineTooLong {
        /// How many it may have.
        limit: usize,
    },
    /// More arguments than this node takes.
    #[error("Protocol error: invalid multibulk length: it is more than {limit}")]
    TooManyArgs {
        /// How many there may be.
        limit: usize,
    },
    /// A longer argument than this node takes.
    #[error("Protocol error: invalid bulk length: it is more than {limit}")]
    BulkTooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// A longer request than this node takes.
    #[error("Protocol error: too big request: it has more than {limit} bytes")]
    RequestTooLong {
        /// How many bytes it may have.
        limit: usize,
    },
}

impl ProtocolError {
    /// The code of that.
    pub fn code(self) -> Code {
        match self {
            Self::ArrayLength
            | Self::BulkLength
            | Self::NotABulk { .. }
            | Self::BulkEnd
            | Self::UnbalancedQuotes => Code::Malformed,
            Self::LineTooLong { .. }
            | Self::TooManyArgs { .. }
            | Self::BulkTooLong { .. }
            | Self::RequestTooLong { .. } => Code::TooLarge,
        }
    }
}
