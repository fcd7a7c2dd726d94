//! What the model checker finds about the shipped code: how many states there are, and that each holds what it must.
//!
//! The numbers are pinned: one that changes says that a ring can do something that it could not do before, or the other
//! way round. `ring.md`, section 6.3, counts otherwise in layers B and C: there a node has no question open between two steps
//! but one to a closer candidate, and knows no farewell.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::ops::ControlFlow;

use chord_sim::check::{
    CheckError, Claim, Failures, Grain, Layer, Outcome, Progress, Repair, Report, Settings, Start, check,
};

/// The report of a check that nobody stops.
fn run(settings: &Settings) -> Report {
    check(settings, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// The numbers of states and steps, and how the ring becomes ideal, if everything holds.
fn holds(settings: &Settings) -> (usize, u64, Repair) {
    let report = run(settings);
    match report.outcome {
        Outcome::Holds(repair) => (report.states, report.steps, repair),
        Outcome::Broken(example) => panic!("{settings:?}: {example}"),
        Outcome::Stopped => panic!("{settings:?}: nobody stopped it"),
    }
}

fn always(steps_max: u32) -> Repair {
    Repair::Always { steps_max }
}

/// The names of what broke, and the ring after the last step.
fn broken(settings: &Settings) -> (String, String) {
    match run(settings).outcome {
        Outcome::Broken(example) => (example.property, example.scenario.last().unwrap().clone()),
        other => panic!("{settings:?}: {other:?}"),
    }
}

#[test]
fn a_every_step_from_every_state_that_satisfies_the_invariant_keeps_it() {
    // Counted with a principal at position 0, these are the numbers of `ring.md`, section 6.3, to the last one.
    for (nodes, successors, states, anchored) in
        [(5, 2, 991, 3_081), (6, 2, 20_290, 63_303), (5, 3, 1_188, 4_791)]
    {
        let report = run(&Settings::new(Layer::A, nodes, successors));
        assert_eq!(report.outcome, Outcome::Holds(Repair::Unasked));
        assert_eq!(
            (report.states, report.anchored),
            (states, Some(anchored)),
            "{nodes} nodes, r = {successors}"
        );
    }
}

#[test]
fn b_a_ring_that_keeps_the_assumption_is_sound_in_every_state_and_repairs_itself_from_each() {
    let settings = Settings { lookups: true, ..Settings::new(Layer::B, 4, 2) };
    assert_eq!(holds(&settings), (1_240, 6_245, always(7)));
}

#[test]
fn b_a_ring_that_grows_from_one_node_is_sound_in_every_state_and_repairs_itself_from_each() {
    let settings = Settings { start: Start::One, lookups: true, ..Settings::new(Layer::B, 4, 2) };
    assert_eq!(holds(&settings), (1_956, 8_503, always(16)));
}

#[test]
fn c_a_ring_is_sound_and_repairs_itself_while_answers_are_on_their_way() {
    assert_eq!(holds(&Settings::new(Layer::C, 4, 2)), (589_550, 2_941_080, Repair::UnlessStarved));
}

#[test]
fn c_a_ring_that_grows_from_one_node_is_sound_while_answers_are_on_their_way() {
    let settings = Settings { start: Start::One, ..Settings::new(Layer::C, 4, 2) };
    assert_eq!(holds(&settings), (700_682, 3_478_440, Repair::UnlessStarved));
}

#[test]
fn only_the_order_of_the_positions_counts_not_where_the_circle_begins() {
    let whole = holds(&Settings::new(Layer::B, 4, 2));
    for origin in 1..4 {
        assert_eq!(holds(&Settings { origin, ..Settings::new(Layer::B, 4, 2) }), whole);
    }
}

#[test]
fn whoever_knows_of_each_other_ends_in_one_ring_whatever_failed() {
    let settings = Settings {
        start: Start::One,
        failures: Failures::Any,
        claim: Claim::Together,
        ..Settings::new(Layer::B, 3, 2)
    };
    assert_eq!(holds(&settings), (20_091, 169_436, Repair::UnlessStarved));
}

/// Beyond the assumption there is no such promise for more than three nodes: here 1 takes 2 for its head, by whose list it
/// loses 0, the only one of its own list that lives; and 0 has never heard of anybody but the founder, which is gone.
#[test]
fn a_node_that_only_one_list_names_can_be_lost_with_that_entry() {
    let settings = Settings {
        start: Start::One,
        failures: Failures::Any,
        claim: Claim::Together,
        leaves: false,
        ..Settings::new(Layer::B, 4, 2)
    };
    let (property, ring) = broken(&settings);
    assert_eq!(property, "members that knew of each other do not any more, and nobody failed");
    assert_eq!(ring, "1 stabilizes: asks 2                   0:[3]3  1:[2,3]3  2:[3]1");
}

#[test]
fn two_rings_of_which_one_member_remembers_one_of_the_other_become_one() {
    let merging = Settings { start: Start::Two, claim: Claim::Together, ..Settings::new(Layer::B, 4, 2) };
    assert_eq!(holds(&merging), (433, 841, always(15)));
    let by_message = Settings { grain: Grain::Messages, ..merging };
    assert_eq!(holds(&by_message), (88_628, 490_304, Repair::UnlessStarved));
    let in_flight = Settings { layer: Layer::C, ..by_message };
    assert_eq!(holds(&in_flight), (1_358_296, 7_557_561, Repair::UnlessStarved));
}

#[test]
fn without_the_assumption_the_proof_does_not_hold() {
    let settings = Settings { failures: Failures::Any, ..Settings::new(Layer::B, 4, 2) };
    let (property, _) = broken(&settings);
    assert_eq!(property, "fewer than r + 1 members are skipped by nobody");
}

#[test]
fn what_cannot_be_checked_is_refused_with_the_remedy() {
    for (settings, error) in [
        (Settings::new(Layer::B, 0, 2), CheckError::Nodes(0)),
        (Settings::new(Layer::B, 9, 2), CheckError::Nodes(9)),
        (Settings::new(Layer::B, 4, 0), CheckError::Successors(0)),
        (Settings::new(Layer::B, 8, 8), CheckError::Successors(8)),
        (Settings::new(Layer::B, 2, 2), CheckError::TooFewNodes { nodes: 2, successors: 2, needed: 3 }),
        (Settings { start: Start::Two, ..Settings::new(Layer::B, 4, 2) }, CheckError::NoMemory),
    ] {
        assert_eq!(check(&settings, &mut |_| ControlFlow::Continue(())).unwrap_err(), error);
    }
}

#[test]
fn a_check_that_is_stopped_says_how_far_it_came() {
    let stop = &mut |progress: Progress| {
        if progress.explored > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = check(&Settings::new(Layer::C, 4, 2), stop).unwrap();
    assert_eq!(report.outcome, Outcome::Stopped);
    assert!(report.states > 10_000, "{}", report.states);
}
