//! Simulation by the swarm: many rings, each with faults of its own, all drawn from seeds.
//!
//! A run has two phases: first the faults, then no more of them, and the ring must become ideal. A run that keeps the
//! assumptions of the proof is held to its invariant after every step. A run that fails is shrunk before it is reported.

mod churn;
mod merge;
mod plan;
mod run;
mod shrink;

pub use crate::churn::Churn;
pub use churn::{Churned, LargeChurn};
pub use merge::{Apart, Merge, Merged, Reached, merge};
pub use plan::{Fault, HOSTS_MAX, Kind, OneWay, Plan, Timed};
pub(crate) use plan::{drawn_apart, peers_of};
pub use run::{Broken, Passed, ROUNDS_TO_IDEAL, Rule, Run};
pub(crate) use shrink::only_faults;
pub use shrink::{Shrunk, shrink};
