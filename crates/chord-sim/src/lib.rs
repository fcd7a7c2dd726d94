//! Whole Chord rings in virtual time, over the shipped state machines: nothing here is a second copy of the protocol.
//!
//! A ring of thousands of [`chord_ring::Node`]s runs in one thread, and one seed decides everything that happens to it.
//! A [`Cluster`] is a small ring that is driven by hand instead, and a [`script::Script`] tells one what to do, line by
//! line.
//! The checkers stand apart from what they check: [`Oracle`] sees the ring as a whole, as no node can.

mod cluster;
pub mod numbered;
mod oracle;
pub mod script;
pub mod swarm;
pub mod world;

pub use cluster::{Cluster, Message};
pub use oracle::{Incoming, Loss, Oracle};
