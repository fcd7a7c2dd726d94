//! Whole Chord rings in virtual time, over the shipped state machines: nothing here is a second copy of the protocol.
//!
//! A ring of thousands of [`chord_ring::Node`]s runs in one thread, and one seed decides everything that happens to it.
//! A [`Cluster`] is a small ring that is driven by hand instead, and a [`Script`] tells one what to do, line by line.
//! The checkers stand apart from what they check: [`Oracle`] sees the ring as a whole, as no node can.

mod cluster;
pub mod numbered;
mod oracle;
mod script;

pub use cluster::{Cluster, Message};
pub use oracle::{Incoming, Loss, Oracle};
pub use script::{
    BITS_MAX, NODES_MAX, Problem, ROUNDS_DEFAULT, ROUNDS_MAX, Run, SCRIPT_BYTES_MAX, SCRIPT_EXAMPLE, Script,
    ScriptError, TURNS_MAX, script_guide,
};
