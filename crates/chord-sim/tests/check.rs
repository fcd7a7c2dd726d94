//! What the model checker finds about the shipped code: how many states there are, and that each holds what it must.
//!
//! The numbers are pinned: one that changes says that a ring can do something that it could not do before, or the other
//! way round. `ring.md`, section 6.3, counts otherwise in layers B and C: there a node has no question open between two steps
//! but one to a closer candidate, and knows no farewell.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::ops::ControlFlow;

use chord_sim::check::{
    Answers, CheckError, Claim, Failures, Grain, Layer, Outcome, Progress, Repair, Report, Settings, Start,
    Stop, check,
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
        Outcome::Stopped(stop) => panic!("{settings:?}: {stop:?}"),
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
fn c_with_shortened_answers_there_are_fewer_states_and_the_same_holds() {
    let short = Settings { answers: Answers::Shortened, ..Settings::new(Layer::C, 4, 2) };
    assert_eq!(holds(&short), (56_140, 306_558, Repair::UnlessStarved));
    let from_one = Settings { start: Start::One, ..short.clone() };
    assert_eq!(holds(&from_one), (92_942, 467_506, Repair::UnlessStarved));
    let without_leaves = Settings { leaves: false, ..short };
    assert_eq!(holds(&without_leaves), (19_024, 91_046, Repair::UnlessStarved));
}

#[test]
fn only_the_order_of_the_positions_counts_not_where_the_circle_begins() {
    let whole = holds(&Settings::new(Layer::B, 4, 2));
    for origin in 1..4 {
        assert_eq!(holds(&Settings { origin, ..Settings::new(Layer::B, 4, 2) }), whole);
    }
}

#[test]
fn c_a_ring_is_sound_and_repairs_itself_when_each_message_and_each_wake_up_is_a_step() {
    let settings = Settings { grain: Grain::Everything, ..Settings::new(Layer::C, 3, 1) };
    assert_eq!(holds(&settings), (291_148, 1_909_559, Repair::UnlessStarved));
    let from_one = Settings { start: Start::One, leaves: false, ..settings };
    assert_eq!(holds(&from_one), (683_036, 4_287_516, Repair::UnlessStarved));
    let three_of_three = Settings { leaves: true, successors: 2, ..from_one };
    assert_eq!(holds(&three_of_three), (422_363, 2_488_554, Repair::UnlessStarved));
}

/// Whatever fails, and whenever: a ring that grew from one node, while one member is left.
fn small(claim: Claim) -> Settings {
    Settings { start: Start::One, failures: Failures::Any, claim, ..Settings::new(Layer::B, 3, 2) }
}

#[test]
fn whoever_knows_of_each_other_ends_in_one_ring_whatever_failed() {
    assert_eq!(holds(&small(Claim::Together)), (1_493_789, 15_874_823, Repair::UnlessStarved));
}

#[test]
fn every_member_ends_in_an_ideal_ring_with_all_whom_it_knows_whatever_failed() {
    let settings = Settings { leaves: false, ..small(Claim::Parts) };
    assert_eq!(holds(&settings), (1_445_969, 11_388_629, Repair::UnlessStarved));
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

/// The numbers of states and steps, where the two rings are seen to merge because a probe led from one to the other.
fn merges(settings: &Settings) -> (usize, u64) {
    let report = run(settings);
    assert_eq!(report.outcome, Outcome::Holds(Repair::UnlessStarved), "{settings:?}");
    assert!(report.merges > 0, "{settings:?}: no probe ever led from one ring to the other");
    (report.states, report.steps)
}

#[test]
fn two_rings_of_which_one_member_remembers_one_of_the_other_become_one() {
    let merging = Settings { start: Start::Two, claim: Claim::Together, ..Settings::new(Layer::B, 4, 2) };
    assert_eq!(merges(&merging), (17_912, 95_588));
    let by_message = Settings { grain: Grain::Messages, ..merging.clone() };
    assert_eq!(merges(&by_message), (350_181, 2_001_936));
    let in_flight = Settings { layer: Layer::C, ..merging };
    assert_eq!(merges(&in_flight), (834_717, 4_717_679));
}

#[test]
fn two_rings_become_one_when_each_message_and_each_wake_up_is_a_step() {
    let settings = Settings {
        start: Start::Two,
        claim: Claim::Together,
        grain: Grain::Everything,
        ..Settings::new(Layer::B, 3, 1)
    };
    assert_eq!(merges(&settings), (46_272, 311_670));
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
        (Settings { answers: Answers::Shortened, ..small(Claim::Together) }, CheckError::Shortened),
        (Settings { answers: Answers::Shortened, ..Settings::new(Layer::B, 4, 2) }, CheckError::Shortened),
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
    assert_eq!(report.outcome, Outcome::Stopped(Stop::Asked));
    assert!(report.states > 10_000, "{}", report.states);
}

#[test]
fn a_check_that_is_stopped_while_it_asks_for_repair_says_so() {
    let stop = &mut |progress: Progress| {
        if progress.repaired > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = check(&Settings { start: Start::One, ..Settings::new(Layer::B, 5, 2) }, stop).unwrap();
    assert_eq!((report.outcome, report.states), (Outcome::Stopped(Stop::BeforeRepair), 350_227));
}

#[test]
fn a_check_that_does_not_fit_says_so_and_how_far_it_came() {
    let settings = Settings { bytes_max: 1 << 20, ..Settings::new(Layer::C, 4, 2) };
    let report = run(&settings);
    assert_eq!(report.outcome, Outcome::Stopped(Stop::Memory));
    assert!(report.depth > 0 && report.states > 10_000, "{report:?}");
}
