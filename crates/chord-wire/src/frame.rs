//! Frames: how our nodes speak to each other, many requests at a time on one connection, in binary.
//!
//! `docs/protocol.md` specifies every byte. Whoever connects opens with [`OPENING`] and a [`Hello`], and the other side with
//! the same bytes and a [`Welcome`], or a [`Declined`]; so no later message says who its sender is. Where there are
//! secrets, each side says a [`Challenge`] with it and answers that of the other with a [`Proof`]. Then the one who
//! connected asks, and the other answers each request by its number, in any order. A long message travels in pieces, which
//! short ones overtake. What a newer version has beside that is passed over or refused by its number, and the connection goes on.
//!
//! [`Inbox`] makes messages of bytes and [`Outbox`] bytes of messages; what they mean, [`Request`] and [`Answer`] know.

mod answer;
mod error;
mod field;
mod hello;
mod inbox;
mod kind;
mod outbox;
mod proof;
mod request;

pub use answer::{Answer, Refused, Speaker};
pub use error::{FrameError, MessageError};
pub use field::Tag;
pub use hello::{Declined, Hello, VERSIONS, Versions, Welcome};
pub use inbox::{Arrived, Inbox, Message};
pub use kind::{Class, Kind};
pub use outbox::{Outbox, PLACED_LATER};
pub use proof::{Challenge, PROOF_BYTES, Proof};
pub use request::{Asked, Request};

/// What each side sends first. No text begins with its first byte, so no page can make a browser send it.
pub const OPENING: [u8; 8] = *b"\xc7chord\r\n";

/// Bytes of a frame before its content: its length, its kind, its number.
pub const HEAD_BYTES: usize = 4 + 1 + 4;

/// Bytes of a frame's content, at most; a longer message is cut. A line that carries 1 Gbit a second is busy with it for
/// half a millisecond, so nobody waits long behind it; and what a frame costs beside its bytes is nothing to it.
pub const CONTENT_BYTES_MAX: usize = 64 << 10;

/// Bytes of the content of a hello and of what answers it, at most: the names of a node and of a ring, and as much again
/// for what newer versions have to say.
pub const HELLO_BYTES_MAX: usize = 1 << 10;

/// Messages that are announced and not whole, at most: as many as may be under way on a connection.
pub const ANNOUNCED_MAX: usize = 256;

const _: () = assert!(HELLO_BYTES_MAX <= CONTENT_BYTES_MAX);
