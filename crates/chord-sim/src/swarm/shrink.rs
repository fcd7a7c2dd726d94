//! Makes a run that fails smaller, as long as it fails by the same rule.

use std::collections::BTreeSet;

use super::{Broken, Plan, Run};

/// How many smaller runs are tried: a run takes a few tens of milliseconds.
const TRIES_MAX: usize = 300;

/// A smaller run that breaks the same rule.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left of the plan.
    pub plan: Plan,
    /// How it fails.
    pub broken: Broken,
}

impl Shrunk {
    /// The command that replays it, event by event.
    pub fn replay(&self) -> String {
        let Plan { seed, hosts, faults, .. } = &self.plan;
        let only = only_faults(faults.iter().map(|timed| timed.number));
        format!("chord sim run --seed {seed} --hosts {hosts} {only} --trace")
    }
}

/// The option that leaves only the faults of these numbers.
pub(crate) fn only_faults(numbers: impl Iterator<Item = usize>) -> String {
    let numbers: BTreeSet<usize> = numbers.collect();
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    if numbers.is_empty() { "--no-faults".to_owned() } else { format!("--only-faults {}", numbers.join(",")) }
}

/// Leaves out hosts and faults while the same rule breaks: first many at once, then fewer (delta debugging).
pub fn shrink(plan: &Plan, broken: &Broken) -> Shrunk {
    let mut best = Shrunk { plan: plan.clone(), broken: broken.clone() };
    let mut tries = 0;
    let mut attempt = |best: &mut Shrunk, plan: Plan| {
        tries += 1;
        if tries > TRIES_MAX {
            return false;
        }
        match Run::new(plan.clone()).finish() {
            Err(broken) if broken.rule == best.broken.rule => {
                *best = Shrunk { plan, broken };
                true
            }
            Err(_) | Ok(_) => false,
        }
    };
    let mut chunk = best.plan.faults.len().div_ceil(2);
    while chunk > 0 {
        let mut begin = 0;
        while begin < best.plan.faults.len() {
            let numbers = best.plan.faults.iter().enumerate();
            let kept = numbers.filter(|(idx, _)| !(begin..begin + chunk).contains(idx));
            let kept: BTreeSet<usize> = kept.map(|(_, timed)| timed.number).collect();
            let smaller = best.plan.clone().with_only(&kept);
            if !attempt(&mut best, smaller) {
                begin += chunk;
            }
        }
        chunk /= 2;
    }
    for hosts in 1..best.plan.hosts {
        let smaller = best.plan.clone().with_hosts(hosts);
        if smaller.hosts == hosts && attempt(&mut best, smaller) {
            break;
        }
    }
    best
}
