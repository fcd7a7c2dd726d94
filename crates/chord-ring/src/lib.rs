//! The Chord ring without I/O: positions, intervals, and one node's protocol as a state machine.
//!
//! This crate knows no clock, no socket, no file and no randomness. A [`Node`] is told what happened by
//! [`Node::handle`] and says what it wants done by [`Node::poll`]; the same inputs give the same outputs, always.
//! The rules are those of Zave's corrected Chord, "Reasoning about Identifier Spaces: How to Make Chord Correct",
//! IEEE TSE 43(12), 2017 (cited as TSE 2017); lookups and fingers are those of the Chord paper, IEEE/ACM Transactions on Networking 11(1),
//! 2003 (cited as TON 2003).

#![warn(clippy::wildcard_enum_match_arm)]

mod config;
mod defect;
mod fingers;
mod input_output;
mod interval;
mod lookup;
mod message;
mod node;
mod patience;
mod peer;
mod position;
mod remembered;
mod shortcuts;
mod successor_list;
mod view;

pub use config::{
    Config, JITTER, ROUND_FAST, ROUND_QUIET, ROUNDS_FAST, SLOWNESS_MAX, SlownessError, SuccessorsError,
    jittered,
};
#[cfg(feature = "defects")]
pub use defect::Defect;
pub use fingers::{Finger, Fingers};
pub use input_output::{
    Command, CommandError, Event, Incarnation, Input, JoinError, Output, Purpose, RequestId, Token, Wake,
};
pub use interval::{between, owned};
pub use lookup::{Because, Chosen, Lookup, Step, owner_by_range};
pub use message::{Answer, Failure, Found, Pong, Question, Refusal, Request, State};
pub use node::{JOIN_ATTEMPTS_MAX, Node};
pub use patience::{
    LOOKUP_RETRY_PAUSE, OPERATION_WAIT_DEFAULT, REQUEST_WAIT_DEFAULT, SUSPECT_FOR, WAIT_MIN, begins_anew,
    budget_onward,
};
pub use peer::{
    NODE_NAME_BYTES_MAX, NodeName, NodeNameError, Peer, RING_NAME_BYTES_MAX, RING_NAME_DEFAULT, RingName,
    RingNameError, RingTag,
};
pub use position::{
    NUMBER_DIGITS_MAX, POSITION_DIGITS_MAX, Position, PositionParseError, RING_BITS_MAX, RingSize,
    RingSizeError, RingSizeParseError,
};
pub use remembered::{BACKOFF_MAX, REMEMBERED_MAX, Remembered};
pub use shortcuts::{SHORTCUT_AGE_MAX, SHORTCUTS_MAX, Shortcuts};
pub use successor_list::{SUCCESSORS_DEFAULT, SUCCESSORS_LIMIT, SuccessorList};
pub use view::{Phase, View, is_ideal, is_one_ring};
