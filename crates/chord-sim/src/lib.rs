//! Whole Chord rings in virtual time, over the shipped state machines: nothing here is a second copy of the protocol.
//!
//! A [`world::World`] is a ring of real nodes with a network and clocks, in one thread, and one seed decides everything
//! that happens to it; the [`swarm`] lets many of them fail in many ways.
//! A [`Cluster`] is a small ring that is driven by hand instead, and a [`script::Script`] tells one what to do, line by
//! line.
//! An [`IdealRing`] stands still, so that a million nodes are few; [`paper`] repeats what the Chord papers measured.
//! The checkers stand apart from what they check: [`Oracle`] sees the ring as a whole, as no node can, and [`mod@check`]
//! goes through everything that can happen to a small one.

mod acquaintance;
pub mod check;
mod churn;
mod cluster;
pub mod data;
mod ideal;
pub mod numbered;
mod oracle;
pub mod paper;
mod route;
mod scale;
pub mod script;
mod snapshot;
pub mod swarm;
mod topology;
pub mod world;

pub use acquaintance::acquainted;
pub use cluster::{Cluster, Message};
pub(crate) use ideal::draw_peers;
pub use ideal::{Circle, Crowded, IdealRing, Place, draw_position};
pub use oracle::{Incoming, Loss, Oracle};
pub use route::{Ending, Nearness, Route, Still, Style};
pub use scale::{LargeRing, LargeRingNodes, Lookups};
pub(crate) use snapshot::Snapshot;
pub(crate) use topology::{Space, TransitStub};
