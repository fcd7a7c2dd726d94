//! What holds whatever comes in, and what is ignored.

use chord_ring::*;
use proptest::prelude::*;

use super::support::*;
use super::*;

#[test]
fn an_answer_to_an_earlier_life_is_ignored() {
    let mut node = in_round(10, &[20, 30], 40);
    let before = node.node.clone();
    let id = RequestId { incarnation: Incarnation(1), purpose: Purpose::Ring };
    node.feed(Input::Answer(id, state(20, &[25], Some(15))));
    node.end();
    assert_eq!(node.node, before);
}

#[test]
fn a_node_that_left_the_ring_ignores_the_answers_to_its_past() {
    let mut node = in_round(10, &[20, 30], 40);
    let taken = State {
        peer: peer(20),
        predecessor: Some(usurper(10)),
        successors: peers(&[30, 40]),
        ring_size: None,
    };
    node.answer(Purpose::Ring, Ok(Answer::State(taken)));
    node.drain();
    let its = State { peer: usurper(10), predecessor: None, successors: peers(&[20]), ring_size: None };
    node.answer(Purpose::Ring, Ok(Answer::State(its)));
    node.expect_event(Event::PositionTaken(usurper(10)));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().phase(), Phase::Idle);
    node.answer(Purpose::Rectify, UNREACHABLE);
    node.end();
    node.feed(Input::Wake(Wake::Maintain));
    node.end();
}

#[test]
fn an_answer_that_nobody_waits_for_and_a_wake_up_without_reason_change_nothing() {
    for mut node in [Solo::idle(10), Solo::member(10, &[20], Some(20))] {
        let before = node.node.clone();
        node.answer(Purpose::Ring, state(20, &[15], Some(12)));
        node.answer(Purpose::Rectify, UNREACHABLE);
        node.answer(Purpose::Finger, found(20, &[10, 20]));
        node.answer(Purpose::Probe, state(12, &[20], Some(10)));
        node.answer(Purpose::LeavePredecessor, DONE);
        node.answer(Purpose::LeaveSuccessor, UNREACHABLE);
        node.feed(Input::Wake(Wake::RetryJoin));
        node.end();
        assert_eq!(node.node, before);
    }
    let mut idle = Solo::idle(10);
    idle.maintain();
    idle.end();
}

#[test]
fn a_wake_up_during_a_round_does_not_ask_the_same_peers_again() {
    let mut node = in_round(10, &[20, 30], 40);
    node.maintain();
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.end();
}

#[test]
fn requests_from_other_rings_are_refused_and_change_nothing() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    let before = node.node.clone();
    let other: RingName = "other".parse().unwrap();
    let (here, there) = (RingName::default(), other.clone());
    node.feed(Input::Request(Token(9), Some(RingTag { name: other, ..ring_tag(8) }), notify(5)));
    node.expect_reply(Err(Refusal::ForeignRing { here, there }));
    let (here, there) = (ring_tag(8).size, ring_tag(9).size);
    node.feed(Input::Request(Token(9), Some(ring_tag(9)), farewell(20, None, &[])));
    node.expect_reply(Err(Refusal::RingSizeDiffers { here, there }));
    // Whoever asks who this is must hear which ring it met.
    node.feed(Input::Request(Token(9), Some(ring_tag(9)), Request::Ping));
    node.expect_reply(Ok(Answer::Pong(before.view().pong())));
    node.end();
    assert_eq!(node.node, before);
}

fn answers() -> impl Strategy<Value = Result<Answer, Failure>> {
    let at = 0_u64..16;
    let list = proptest::collection::vec(0_u64..16, 0..4);
    let predecessor = proptest::option::of(0_u64..16);
    prop_oneof![
        (at.clone(), list, predecessor).prop_map(|(at, list, predecessor)| state(at, &list, predecessor)),
        at.clone().prop_map(pong),
        at.prop_map(|owner| found(owner, &[owner])),
        Just(DONE),
        Just(SILENT),
        Just(UNREACHABLE),
        Just(NOT_MEMBER),
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    let at = 0_u64..16;
    let list = proptest::collection::vec(0_u64..16, 0..4);
    let purposes = proptest::sample::select(vec![
        Purpose::Ring,
        Purpose::Ring,
        Purpose::Rectify,
        Purpose::Finger,
        Purpose::Probe,
        Purpose::LeaveSuccessor,
    ]);
    let commands = prop_oneof![
        Just(Command::Create),
        Just(Command::Leave),
        at.clone().prop_map(|at| Command::Join(name(at))),
        at.clone().prop_map(|at| Command::Remember(name(at))),
    ];
    let requests =
        prop_oneof![
            Just(Request::Ping),
            Just(Request::GetState),
            Just(Request::ForgetPredecessor),
            at.clone().prop_map(notify),
            (at.clone(), proptest::option::of(at.clone()), list)
                .prop_map(|(from, predecessor, list)| farewell(from, predecessor, &list)),
        ];
    prop_oneof![
        1 => commands.prop_map(|command| Input::Command(Token(1), command)),
        3 => requests.prop_map(|request| Input::Request(Token(2), Some(ring_tag(8)), request)),
        8 => (purposes, answers(), 0_u64..2).prop_map(|(purpose, answer, incarnation)| {
            Input::Answer(RequestId { incarnation: Incarnation(incarnation), purpose }, answer)
        }),
        3 => Just(Input::Wake(Wake::Maintain)),
        1 => Just(Input::Wake(Wake::RetryJoin)),
        1 => at.clone().prop_map(|at| Input::Unreachable(name(at))),
        1 => at.prop_map(|at| Input::AskedBy(peer(at))),
    ]
}

fn run(script: &[Input]) -> (Node, Vec<Output>) {
    let mut solo = Solo::member(3, &[7, 11], Some(1));
    let mut outputs = Vec::new();
    for input in script {
        solo.feed(input.clone());
        outputs.extend(solo.drain());
    }
    (solo.node, outputs)
}

fn fingerprint(node: &Node) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn the_same_inputs_give_the_same_outputs_and_the_same_node(
        script in proptest::collection::vec(inputs(), 0..60),
    ) {
        let ((first, outputs), (second, same)) = (run(&script), run(&script));
        prop_assert_eq!(outputs, same);
        prop_assert_eq!(fingerprint(&first), fingerprint(&second));
        prop_assert_eq!(fingerprint(&first), fingerprint(&first.clone()));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn no_input_whatever_breaks_the_local_rules(script in proptest::collection::vec(inputs(), 0..120)) {
        let mut solo = Solo::member(3, &[7, 11], Some(1));
        for input in script {
            solo.feed(input);
            for output in solo.drain() {
                prop_assert!(!matches!(output, Output::Event(Event::Violation { .. })), "{:?}", output);
                if let Output::Send(_, to, request) = output {
                    let greets_itself = matches!(request, Request::GetState | Request::Ping);
                    prop_assert!(to != name(3) || greets_itself, "sends itself {:?}", request);
                }
            }
            let (list, predecessor) = solo.beliefs();
            prop_assert!(list.len() <= 2 && predecessor != Some(3));
            let mut last = Position::from(3);
            for entry in list {
                prop_assert!(between(last, entry.into(), 3.into()));
                last = entry.into();
            }
        }
    }
}
