//! Ring and records together, under faults that seeds decide.

use chord_sim::data::{DataPlan, DataRun, shrink_data};

/// Enough to see everything that the classes of runs have, in seconds.
const SEEDS: u64 = 300;

fn run(seed: u64) {
    let plan = DataPlan::draw(seed);
    if let Err(broken) = DataRun::new(plan.clone()).finish() {
        let small = shrink_data(&plan, &broken);
        let numbers: Vec<String> = small.plan.mishaps.iter().map(|timed| timed.number.to_string()).collect();
        panic!(
            "seed {seed} ({} of {:?}): at {} s {}: {}\nreplay: chord sim data --seed {seed} --only-faults {} --trace",
            small.plan.class,
            small.plan.keeping,
            small.broken.at,
            small.broken.rule,
            small.broken.description,
            numbers.join(",")
        );
    }
}

#[test]
fn no_acknowledged_write_is_lost_whatever_happens_within_the_bounds() {
    let seeds = std::env::var("CHORD_DATA_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let first = std::env::var("CHORD_DATA_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    (first..first + seeds).for_each(run);
}
