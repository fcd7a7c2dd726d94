//! Bytes to messages and back, for every door of a chord node.
//!
//! Nothing here knows a socket or an HTTP library. No length, depth or count that arrives is trusted, no
//! bytes make a decoder panic, and no error repeats the bytes that caused it.

#![warn(clippy::wildcard_enum_match_arm)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod code;
mod command;
mod context;
mod error_body;
pub mod frame;
mod python;
pub mod replica;
pub mod resp;
pub mod rest;
pub mod seed;
pub mod xmlrpc;

pub use code::Code;
pub use command::Command;
pub use context::*;
pub use error_body::*;
pub use python::*;
