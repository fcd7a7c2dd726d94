//! Lookups at one node: whom it asks, what it claims, and when it gives up.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::*;

use super::support::*;

#[test]
fn the_known_members_before_a_target_are_named_once_each_the_closest_to_it_first() {
    let fingers = [(4, 30), (5, 50), (6, 90), (7, 150)];
    let runs = fingers.map(|(entry, at)| Finger { first: entry, last: entry, peer: peer(at) });
    let config = Config::new(ring_tag(8)).with_successors(4).unwrap();
    let list = peers(&[20, 30, 40, 60]);
    let view = View::member(config, peer(10), None, &list, Fingers::of_runs(runs.into()));
    let preceding = |target: u64| view.preceding(target.into()).cloned().collect::<Vec<Peer>>();
    assert_eq!(preceding(10), peers(&[150, 90, 60, 50, 40, 30, 20]));
    assert_eq!(preceding(150), peers(&[90, 60, 50, 40, 30, 20]));
    assert_eq!(preceding(55), peers(&[50, 40, 30, 20]));
    assert_eq!(preceding(31), peers(&[30, 20]));
    assert_eq!(preceding(20), []);
}

#[test]
fn a_lookup_that_was_forwarded_as_often_as_is_allowed_ends_where_it_is() {
    let view = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    let hops_max = 2 * 8 + 2;
    let forwarded = |target: u64, n_times: u64| {
        let path = (100..100 + n_times).map(name).collect();
        Lookup::new(Question { target: target.into(), named: false, path })
    };
    assert!(matches!(forwarded(5, hops_max).step(&view), Step::Here(_)), "no further hop is needed");
    assert_eq!(forwarded(20, hops_max).step(&view), Step::Stuck(Refusal::HopLimit));
    assert!(matches!(forwarded(20, hops_max - 1).step(&view), Step::Ask { .. }));
}

#[test]
fn a_named_node_whose_predecessor_had_the_question_does_not_claim_the_position() {
    let view = Solo::member(30, &[40], Some(20)).node.view().clone();
    let path = vec![name(50), name(20), name(10)];
    let question = Question { target: 15.into(), named: true, path };
    assert_eq!(Lookup::new(question).step(&view), Step::Stuck(Refusal::NoRoute));
}

#[test]
fn a_lookup_with_everybody_around_dead_finds_no_route() {
    let view = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    for target in [15, 25, 35, 40] {
        let mut lookup = Lookup::of(target.into());
        let mut asked = BTreeSet::new();
        while let Step::Ask { peer, .. } = lookup.step(&view) {
            assert!(asked.insert(peer.name.clone()), "{} is asked twice", peer.name);
            lookup.failed(&peer.name, &Failure::Silent);
        }
        assert_eq!(lookup.step(&view), Step::Stuck(Refusal::NoRoute));
        assert_eq!(asked, [name(20), name(30), name(40)].into());
    }
}

#[test]
fn a_peer_that_met_the_hop_limit_ends_the_lookup_though_others_are_left() {
    let view = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    for (failure, ends) in [(Refusal::HopLimit, true), (Refusal::NoRoute, false)] {
        let mut lookup = Lookup::of(35.into());
        lookup.failed(&name(30), &failure.into());
        let next = lookup.step(&view);
        assert_eq!(next == Step::Stuck(Refusal::HopLimit), ends, "{next:?}");
        assert_eq!(lookup.step_round(&view, |_| true), next);
    }
}

#[test]
fn a_lookup_goes_round_whom_it_is_told_to_avoid_but_rather_asks_them_than_nobody() {
    let view = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    let lookup = Lookup::of(35.into());
    let asked =
        |avoid: &[u64]| match lookup.step_round(&view, |peer| avoid.iter().any(|at| *peer == name(*at))) {
            Step::Ask { peer, .. } => peer,
            other => panic!("{other:?}"),
        };
    assert_eq!(asked(&[]), peer(30));
    assert_eq!(asked(&[30]), peer(20));
    assert_eq!(asked(&[20, 30]), peer(40));
    assert_eq!(asked(&[20, 30, 40]), peer(30));
}

#[test]
fn a_node_in_no_ring_answers_no_lookup() {
    let view = Solo::idle(10).node.view().clone();
    assert_eq!(Lookup::of(5.into()).step(&view), Step::Stuck(Refusal::NotMember));
}

#[test]
fn the_named_node_claims_a_position_only_when_its_predecessor_cannot() {
    let view = Solo::member(30, &[40], Some(20)).node.view().clone();
    let question = Question { target: 15.into(), named: true, path: vec![name(10)] };
    let mut lookup = Lookup::new(question);
    let Step::Ask { peer: asked, question, .. } = lookup.step(&view) else { panic!("it claims at once") };
    assert_eq!((asked.name, question.named), (name(20), true));
    lookup.failed(&name(20), &Failure::Unreachable);
    assert!(matches!(lookup.step(&view), Step::Here(Found { hops: 1, .. })));
}

#[test]
fn a_learned_owner_is_asked_only_where_the_question_has_not_been_to_it() {
    let view = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    let mut shortcuts = Shortcuts::new(ring_tag(8).size);
    let Ok(Answer::Found(found)) = found(200, &[200]) else { panic!("it is found") };
    shortcuts.learn(190.into(), &Found { after: Some(150.into()), ..found }, Duration::ZERO);
    let taken = |lookup: &Lookup| lookup.shortcut(&view, &shortcuts, Duration::ZERO);
    let mut lookup = Lookup::of(151.into());
    assert_eq!(taken(&lookup), Some(peer(200)));
    lookup.failed(&name(200), &Failure::Silent);
    assert_eq!(taken(&lookup), None);
    let path = vec![name(200)];
    assert_eq!(taken(&Lookup::new(Question { target: 151.into(), named: false, path })), None);
    assert_eq!(taken(&Lookup::of(150.into())), None);
}

#[test]
fn the_owner_says_where_its_range_begins_and_whoever_passes_the_answer_on_says_it_too() {
    let view = Solo::member(30, &[40], Some(20)).node.view().clone();
    let question = Question { target: 25.into(), named: true, path: vec![name(10)] };
    let Step::Here(found) = Lookup::new(question).step(&view) else { panic!("it is the owner") };
    assert_eq!(found.after, Some(20.into()));
    let asker = Solo::member(10, &[20, 30], Some(40)).node.view().clone();
    let lookup = Lookup::of(25.into());
    assert_eq!(lookup.answered(&asker, &peer(30), found.clone()).after, Some(20.into()));
    let of_a_seed = Found { path: Vec::new(), ..found };
    assert_eq!(lookup.answered(&asker, &peer(30), of_a_seed).after, Some(20.into()));
}

/// A node at 10 that knows all this.
fn view_of_many() -> View {
    let fingers = [(4, 30), (5, 50), (6, 90), (7, 150)];
    let runs = fingers.map(|(entry, at)| Finger { first: entry, last: entry, peer: peer(at) });
    let config = Config::new(ring_tag(8)).with_successors(4).unwrap();
    View::member(config, peer(10), Some(peer(200)), &peers(&[20, 30, 40, 60]), Fingers::of_runs(runs.into()))
}

#[test]
fn each_step_says_why_it_goes_to_the_next() {
    let view = view_of_many();
    let next = |lookup: &Lookup, view: &View| match lookup.step(view) {
        Step::Ask { peer, because, .. } => (peer.position, because),
        step => panic!("{step:?}"),
    };
    let because = |target: u64| next(&Lookup::of(target.into()), &view);
    assert_eq!(because(15), (20.into(), Because::NextIsOwner));
    assert_eq!(because(20), (20.into(), Because::NextIsOwner), "at it is before it");
    assert_eq!(because(35), (40.into(), Because::FirstAtOrAfter(3)));
    assert_eq!(because(100), (90.into(), Because::ClosestFinger));
    assert_eq!(because(75), (60.into(), Because::ClosestSuccessor(4)));
    let mut alone = Lookup::of(100.into());
    for position in [20, 30, 40, 50, 60, 90, 150] {
        alone.failed(&name(position), &Failure::Silent);
    }
    assert_eq!(next(&alone, &view), (200.into(), Because::LastResort));
    let named = Question { target: 150.into(), named: true, path: vec![name(5)] };
    assert_eq!(next(&Lookup::new(named), &view), (200.into(), Because::MayBeBefore));
    let leaving = view.clone().leaving();
    assert_eq!(next(&Lookup::of(5.into()), &leaving), (20.into(), Because::Heir(1)));
}

#[test]
fn a_peer_is_chosen_for_the_reason_that_counts_once_those_before_it_have_failed() {
    let view = view_of_many();
    let why = |target: u64, to: u64| Lookup::of(target.into()).why(&view, &name(to));
    let chosen = |because, passed_over| Some(Chosen { because, passed_over });
    assert_eq!(why(100, 90), chosen(Because::ClosestFinger, 0));
    assert_eq!(why(100, 50), chosen(Because::ClosestFinger, 2));
    assert_eq!(why(35, 60), chosen(Because::FirstAtOrAfter(4), 1));
    assert_eq!(why(100, 200), chosen(Because::LastResort, 6), "150 lies behind the target");
    assert_eq!(why(100, 150), None, "no lookup goes beyond its target but to an owner");
    assert_eq!(why(5, 20), None, "the node owns that itself");
    assert_eq!(why(100, 77), None, "it does not know that one");
}

#[test]
fn fingers_that_are_told_out_of_order_are_left_out() {
    let run = |first, last| Finger { first, last, peer: peer(u64::from(first)) };
    let told = Fingers::of_told([run(3, 5), run(4, 6), run(9, 7), run(8, 8), run(1, 2)]);
    assert_eq!(told.runs(), [run(3, 5), run(8, 8)]);
}
