//! The data on a Chord ring: keys, values, their versions, and the store that holds them.
//!
//! Nothing here knows how bytes travel or where they lie. There is no clock, thread, socket or file: time
//! is an argument, and durability is a number that the [`Store`] reports.

#![warn(clippy::wildcard_enum_match_arm)]

mod digest;
mod digest_index;
pub mod engine;
mod memory;
mod record;
pub mod replication;
mod store;
pub mod tour;
mod version;

pub use digest::Digest;
pub use digest_index::{Crowded, DigestIndex, STRETCH_RECORDS_MAX};
pub use memory::MemoryStore;
pub use record::*;
pub use store::*;
pub use version::*;
