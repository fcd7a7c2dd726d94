//! Makes a run that fails smaller, as long as it fails by the same rule.

use std::collections::BTreeSet;

use super::{DataBroken, DataPlan, DataRun};
use crate::swarm::only_faults;

/// How many smaller runs are tried.
const TRIES_MAX: usize = 150;

/// A smaller run that breaks the same rule.
#[derive(Clone, Debug)]
pub struct DataShrunk {
    /// What is left of the plan.
    pub plan: DataPlan,
    /// How it fails.
    pub broken: DataBroken,
}

impl DataShrunk {
    /// The command that replays it, event by event.
    pub fn replay(&self) -> String {
        let only = only_faults(self.plan.mishaps.iter().map(|timed| timed.number));
        format!("chord sim data --seed {} {only} --trace", self.plan.seed)
    }
}

/// Leaves out mishaps while the same rule breaks: first many at once, then fewer (delta debugging).
pub fn shrink_data(plan: &DataPlan, broken: &DataBroken) -> DataShrunk {
    let mut best = DataShrunk { plan: plan.clone(), broken: broken.clone() };
    let mut tries = 0;
    let mut chunk = best.plan.mishaps.len().div_ceil(2);
    while chunk > 0 {
        let mut begin = 0;
        while begin < best.plan.mishaps.len() && tries < TRIES_MAX {
            tries += 1;
            let numbers = best.plan.mishaps.iter().enumerate();
            let kept = numbers.filter(|(idx, _)| !(begin..begin + chunk).contains(idx));
            let kept: BTreeSet<usize> = kept.map(|(_, timed)| timed.number).collect();
            let smaller = best.plan.clone().with_only(&kept);
            match DataRun::new(smaller.clone()).finish() {
                Err(broken) if broken.rule == best.broken.rule => best = DataShrunk { plan: smaller, broken },
                Err(_) | Ok(_) => begin += chunk,
            }
        }
        chunk /= 2;
    }
    best
}
