//! Ring and records together, under faults that seeds decide.

use std::collections::BTreeMap;
use std::ops::Range;

use chord_kv::replication::Defect;
use chord_sim::data::{DataPlan, DataRule, DataRun, Marks, shrink_data};

/// A run that fails is made smaller, and told with the command that replays it.
fn run_all(seeds: Range<u64>) -> Marks {
    let mut marks = Marks::default();
    for seed in seeds {
        let plan = DataPlan::draw(seed);
        let broken = match DataRun::new(plan.clone()).finish() {
            Ok(passed) => {
                marks += passed.marks;
                continue;
            }
            Err(broken) => broken,
        };
        let small = shrink_data(&plan, &broken);
        panic!(
            "seed {seed}, {}, records {}: at {} s {}: {}\nreplay: {}",
            plan.class,
            plan.keeping,
            small.broken.at,
            small.broken.rule,
            small.broken.description,
            small.replay()
        );
    }
    marks
}

#[test]
fn no_acknowledged_write_is_lost_and_no_deleted_key_comes_back() {
    let marks = run_all(0..150);
    let Marks {
        blackouts,
        groups_lost,
        surpassed,
        stores_failed,
        conditions_failed,
        pages_merged,
        guesses_wrong,
        ..
    } = marks;
    let rare =
        [blackouts, groups_lost, surpassed, stores_failed, conditions_failed, pages_merged, guesses_wrong];
    let frequent = [
        marks.seen,
        marks.missed,
        marks.tours,
        marks.items_added,
        marks.mortals_written,
        marks.written_to_one,
        marks.guesses_right,
    ];
    assert!(rare.iter().all(|count| *count >= 10) && frequent.iter().all(|count| *count >= 100), "{marks:?}");
}

#[test]
fn nor_in_as_many_other_runs() {
    let _ = run_all(150..300);
}

/// The only one that had a change ended when it had just acknowledged it.
#[test]
fn nobody_has_to_tell_of_a_change_that_is_gone_with_the_only_one_that_had_it() {
    let _ = run_all(1751..1752);
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
    use DataRule::{
        BecomesReplicated, FindsWhatWasThere, ListsAll, NothingGoesBack, NothingLost, NothingMiscounted,
        NothingMisplaced, NothingUnseen,
    };
    let seen_by_clients =
        &[NothingLost, NothingGoesBack, NothingMiscounted, NothingMisplaced, FindsWhatWasThere, ListsAll][..];
    // A run before the first that shows it costs time; where the plans change, others show it.
    let defects = [
        (Defect::TakesOverBlindly, 1, seen_by_clients),
        (Defect::AcknowledgesBeforeDurable, 102, seen_by_clients),
        (Defect::AcknowledgesAlone, 25, seen_by_clients),
        (Defect::SkipsRepair, 0, &[BecomesReplicated]),
        (Defect::ForgetsTombstones, 3, seen_by_clients),
        (Defect::DropsWhatItOffers, 3, seen_by_clients),
        (Defect::AnswersUnvouched, 130, seen_by_clients),
        (Defect::AnswersForOthers, 25, seen_by_clients),
        (Defect::TrustsTheClock, 1, seen_by_clients),
        (Defect::LeavesAtOnce, 82, seen_by_clients),
        (Defect::ForgetsItsLastLife, 48, seen_by_clients),
        (Defect::HidesGaps, 638, &[NothingUnseen]),
        (Defect::ListsBlindly, 35, &[ListsAll]),
        (Defect::ForgetsThatItCameTwice, 0, &[FindsWhatWasThere]),
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
