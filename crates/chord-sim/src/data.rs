//! Simulation of whole nodes: ring and records together, under faults drawn from seeds, with clients whose histories are
//! checked.
//!
//! As in the [`swarm`](crate::swarm), a run has two phases: first the faults, then none. A run destroys no more copies of a
//! key than its write quorum bears, so nothing that was acknowledged may be lost; and what [`Class`] it is of says what
//! else may go wrong.

mod history;
mod listing;
mod plan;
mod run;
mod shrink;

pub use history::{Deed, History, Lapse, Loss, Saw};
pub use listing::Listing;
pub use plan::{Class, DataPlan, Habits, Mishap, TimedMishap};
pub use run::{DataBroken, DataPassed, DataRule, DataRun, Lost, Marks, READY_WITHIN};
pub use shrink::{DataShrunk, shrink_data};
