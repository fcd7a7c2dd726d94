//! Whole Chord rings in virtual time, over the shipped state machines: nothing here is a second copy of the protocol.
//!
//! A ring of thousands of [`chord_ring::Node`]s runs in one thread, and one seed decides everything that happens to it.
//! A [`Cluster`] is a small ring that is driven by hand instead, and a [`Script`] tells one what to do, line by line.
//! An [`IdealRing`] stands still, so that a million nodes are few; [`paper`] repeats what the Chord papers measured.
//! The checkers stand apart from what they check: [`Oracle`] sees the ring as a whole, as no node can.

mod cluster;
mod ideal;
pub mod numbered;
mod oracle;
pub mod paper;
mod route;
mod scale;
mod script;
mod topology;

pub use cluster::{Cluster, Message};
pub use ideal::{Circle, Crowded, IdealRing, Place, draw_peers, draw_position};
pub use oracle::{Incoming, Loss, Oracle};
pub use route::{Ending, Nearness, Route, Still, Style};
pub use scale::{LargeRing, Lookups};
pub use script::{
    BITS_MAX, NODES_MAX, Problem, ROUNDS_DEFAULT, ROUNDS_MAX, Run, SCRIPT_BYTES_MAX, SCRIPT_EXAMPLE, Script,
    ScriptError, TURNS_MAX, script_guide,
};
pub use topology::{Space, TransitStub};
