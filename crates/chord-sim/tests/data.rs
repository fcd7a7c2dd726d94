//! Ring and records together, under faults that seeds decide.

use std::collections::BTreeMap;
use std::ops::Range;

use chord_kv::replication::Defect;
use chord_sim::data::{DataPlan, DataRule, DataRun, shrink_data};

/// A run that fails is made smaller, and told with the command that replays it.
fn run_all(seeds: Range<u64>) {
    for seed in seeds {
        let plan = DataPlan::draw(seed);
        let Err(broken) = DataRun::new(plan.clone()).finish() else { continue };
        let small = shrink_data(&plan, &broken);
        let numbers: Vec<String> = small.plan.mishaps.iter().map(|timed| timed.number.to_string()).collect();
        panic!(
            "seed {seed}, {}, records {}: at {} s {}: {}\nreplay: chord sim data --seed {seed} --only-faults {} --trace",
            plan.class,
            plan.keeping,
            small.broken.at,
            small.broken.rule,
            small.broken.description,
            numbers.join(",")
        );
    }
}

#[test]
fn no_acknowledged_write_is_lost_and_no_deleted_key_comes_back() {
    run_all(0..150);
}

#[test]
fn nor_in_as_many_other_runs() {
    run_all(150..300);
}

#[test]
fn two_runs_of_one_seed_are_the_same_event_by_event() {
    for seed in [3, 8, 21] {
        let trace = || {
            let mut run = DataRun::new(DataPlan::draw(seed));
            run.world.start_trace();
            let ended = run.finish_here();
            (ended, run.world.take_trace())
        };
        let (first, second) = (trace(), trace());
        assert!(first.1.len() > 1000, "{}", first.1.len());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// What breaks when a rule is broken on purpose, in which of a number of runs first.
fn found(defect: Defect, seeds: Range<u64>) -> Option<(u64, DataRule)> {
    seeds.into_iter().find_map(|seed| {
        let run = DataRun::with_settings(DataPlan::draw(seed), |settings| settings.defect = Some(defect));
        let broken = run.finish().err()?;
        Some((seed, broken.rule))
    })
}

#[test]
fn each_rule_that_is_broken_on_purpose_is_caught() {
    use DataRule::{BecomesReplicated, NothingLost, NothingMiscounted};
    // A run before the first that shows it costs time; where the plans change, others show it.
    let defects = [
        (Defect::TakesOverBlindly, 0, &[NothingLost, NothingMiscounted][..]),
        (Defect::AcknowledgesBeforeDurable, 224, &[NothingLost]),
        (Defect::AcknowledgesAlone, 70, &[NothingLost, NothingMiscounted]),
        (Defect::SkipsRepair, 0, &[BecomesReplicated]),
        (Defect::ForgetsTombstones, 0, &[NothingLost]),
        (Defect::DropsWhatItOffers, 3, &[NothingLost, NothingMiscounted]),
        (Defect::AnswersUnvouched, 151, &[NothingLost, NothingMiscounted]),
        (Defect::TrustsTheClock, 19, &[NothingLost, NothingMiscounted]),
        (Defect::LeavesAtOnce, 6, &[NothingLost, NothingMiscounted]),
    ];
    let mut missed = BTreeMap::new();
    for (defect, first, rules) in defects {
        match found(defect, first..first + 1000) {
            Some((_, rule)) if rules.contains(&rule) => {}
            other => drop(missed.insert(format!("{defect:?}"), other)),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
