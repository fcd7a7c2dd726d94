//! One node, driven by hand: each input, each effect in order, nothing left over.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use chord_ring::*;
use proptest::prelude::*;
use support::*;

fn notify(from: u64) -> Request {
    Request::Notify { from: peer(from) }
}

fn farewell(from: u64, predecessor: Option<u64>, list: &[u64]) -> Request {
    Request::Leave { from: peer(from), predecessor: predecessor.map(peer), successors: peers(list) }
}

/// A node of another name at the position of `peer(at)`.
fn usurper(at: u64) -> Peer {
    Peer { name: "usurper:1".parse().unwrap(), ..peer(at) }
}

const SILENT: Result<Answer, Failure> = Err(Failure::Silent);
const UNREACHABLE: Result<Answer, Failure> = Err(Failure::Unreachable);
const NOT_MEMBER: Result<Answer, Failure> = Err(Failure::Refused(Refusal::NotMember));
const DONE: Result<Answer, Failure> = Ok(Answer::Done);

#[test]
fn create_makes_an_idle_node_a_ring_of_one() {
    let mut node = Solo::idle(10);
    node.command(Command::Create);
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.expect_done(Ok(()));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().phase(), Phase::Member);
    assert!(node.node.view().is_alone());
}

#[test]
fn create_is_refused_at_a_member_and_at_a_joiner() {
    let mut node = Solo::member(10, &[20], Some(20));
    node.command(Command::Create);
    node.expect_done(Err(CommandError::AlreadyMember));
    node.end();
    let mut node = joining();
    node.command(Command::Create);
    node.expect_done(Err(CommandError::Busy));
    node.end();
    node.command(Command::Join(name(30)));
    node.expect_done(Err(CommandError::Busy));
    node.end();
    node.command(Command::Leave);
    node.expect_done(Err(CommandError::Busy));
    node.end();
}

/// Node 10, joining through 20, which has been greeted.
fn joining() -> Solo {
    let mut node = Solo::idle(10);
    node.command(Command::Join(name(20)));
    node.expect_send(Purpose::Ring, 20, Request::Ping);
    node.expect_view();
    node.end();
    node
}

/// Node 10, joining through 20, which answered and was asked for the owner of 10.
fn locating() -> Solo {
    let mut node = joining();
    node.answer(Purpose::Ring, pong(20));
    node.expect_send(Purpose::Ring, 20, find(10, &[]));
    node.end();
    node
}

fn expect_join_failed(node: &mut Solo, error: JoinError) {
    node.expect_done(Err(CommandError::Join(error)));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().phase(), Phase::Idle);
    node.command(Command::Create);
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.expect_done(Ok(()));
    node.drain();
}

#[test]
fn a_join_reads_the_owner_then_its_predecessor_and_copies_that_ones_list() {
    let mut node = locating();
    node.answer(Purpose::Ring, found(20, &[20]));
    node.expect_send(Purpose::Ring, 20, Request::GetState);
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(5)));
    node.expect_send(Purpose::Ring, 5, Request::GetState);
    node.answer(Purpose::Ring, state(5, &[20, 30], Some(40)));
    node.expect_head(Some(20));
    node.expect_predecessor(Some(5));
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.expect_done(Ok(()));
    node.expect_send(Purpose::Ring, 20, Request::GetState);
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(5)));
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(20)]);
}

#[test]
fn a_join_through_a_node_alone_takes_it_for_both_neighbours() {
    let mut node = locating();
    node.answer(Purpose::Ring, found(20, &[20]));
    node.expect_send(Purpose::Ring, 20, Request::GetState);
    node.answer(Purpose::Ring, state(20, &[], None));
    node.drain();
    assert_eq!(node.beliefs(), (vec![20], Some(20)));
}

#[test]
fn a_join_through_itself_is_refused_by_name_and_by_what_the_contact_calls_itself() {
    let mut node = Solo::idle(10);
    node.command(Command::Join(name(10)));
    node.expect_done(Err(CommandError::Join(JoinError::Itself(name(10)))));
    node.end();
    let mut node = joining();
    node.answer(Purpose::Ring, pong(10));
    expect_join_failed(&mut node, JoinError::Itself(name(20)));
}

#[test]
fn a_join_through_a_contact_that_does_not_answer_fails() {
    for failure in [Failure::Unreachable, Failure::Silent, Failure::Garbled] {
        let mut node = joining();
        node.answer(Purpose::Ring, Err(failure.clone()));
        expect_join_failed(&mut node, JoinError::Contact { contact: name(20), failure });
    }
    let mut node = joining();
    node.answer(Purpose::Ring, DONE);
    let failure = Failure::Garbled;
    expect_join_failed(&mut node, JoinError::Contact { contact: name(20), failure });
    let mut node = locating();
    node.answer(Purpose::Ring, UNREACHABLE);
    let failure = Failure::Unreachable;
    expect_join_failed(&mut node, JoinError::Contact { contact: name(20), failure });
}

#[test]
fn a_join_through_a_contact_in_no_ring_or_in_another_ring_fails() {
    let answer = |member, ring| Ok(Answer::Pong(Pong { peer: peer(20), member, ring }));
    let contact = name(20);
    let mut node = joining();
    node.answer(Purpose::Ring, answer(false, Some(ring_tag(8))));
    expect_join_failed(&mut node, JoinError::ContactNotMember(contact.clone()));

    let mut node = joining();
    node.answer(Purpose::Ring, answer(true, Some(ring_tag(9))));
    let (ours, theirs) = (ring_tag(8).size, ring_tag(9).size);
    expect_join_failed(&mut node, JoinError::RingSizeDiffers { contact: contact.clone(), ours, theirs });

    let mut node = joining();
    let theirs: RingName = "other".parse().unwrap();
    node.answer(Purpose::Ring, answer(true, Some(RingTag { name: theirs.clone(), ..ring_tag(8) })));
    let ours = RingName::default();
    expect_join_failed(&mut node, JoinError::ForeignRing { contact, ours, theirs });
}

#[test]
fn a_join_refused_by_the_contact_names_both_sides_the_right_way_round() {
    let (mine, other) = (ring_tag(8).size, ring_tag(9).size);
    let contact = name(20);
    let mut node = joining();
    let refusal = Refusal::RingSizeDiffers { here: other, there: mine };
    node.answer(Purpose::Ring, Err(refusal.into()));
    let error = JoinError::RingSizeDiffers { contact: contact.clone(), ours: mine, theirs: other };
    expect_join_failed(&mut node, error);
    let mut node = joining();
    let (ours, theirs) = (RingName::default(), "other".parse::<RingName>().unwrap());
    let refusal = Refusal::ForeignRing { here: theirs.clone(), there: ours.clone() };
    node.answer(Purpose::Ring, Err(refusal.into()));
    expect_join_failed(&mut node, JoinError::ForeignRing { contact, ours, theirs });
}

#[test]
fn a_join_at_a_taken_position_fails_wherever_the_other_member_shows() {
    let error = JoinError::PositionTaken { joiner: name(10), member: usurper(10) };
    let mut node = locating();
    let answer = Found { owner: usurper(10), hops: 0, path: vec![name(20)] };
    node.answer(Purpose::Ring, Ok(Answer::Found(answer)));
    expect_join_failed(&mut node, error.clone());
    for (predecessor, successor) in [(usurper(10), peer(30)), (peer(5), usurper(10))] {
        let mut node = locating();
        node.answer(Purpose::Ring, found(20, &[20]));
        node.drain();
        let answer = State {
            peer: peer(20),
            predecessor: Some(predecessor),
            successors: vec![successor],
            ring_size: None,
        };
        node.answer(Purpose::Ring, Ok(Answer::State(answer)));
        expect_join_failed(&mut node, error.clone());
    }
}

#[test]
fn a_join_waits_while_the_ring_knows_an_earlier_life_and_works_once_that_is_dropped() {
    let mut node = locating();
    // The lookup names the earlier life, then a predecessor, then a list that holds it: each time it rests.
    let stale = [vec![found(10, &[20, 10])], vec![found(20, &[20]), state(20, &[30, 40], Some(10))]];
    for answers in stale {
        for answer in answers {
            node.answer(Purpose::Ring, answer);
            if node.node.view().phase() == Phase::Joining {
                node.drain();
            }
        }
        assert_eq!(node.node.view().phase(), Phase::Joining);
        node.feed(Input::Wake(Wake::RetryJoin));
        node.expect_send(Purpose::Ring, 20, find(10, &[]));
    }
    node.answer(Purpose::Ring, found(20, &[20]));
    node.drain();
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(5)));
    node.drain();
    node.answer(Purpose::Ring, state(5, &[10, 20], Some(40)));
    node.expect_wake(Wake::RetryJoin, ROUND_FAST);
    node.feed(Input::Wake(Wake::RetryJoin));
    node.drain();
    node.answer(Purpose::Ring, found(20, &[20]));
    node.drain();
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(5)));
    node.drain();
    node.answer(Purpose::Ring, state(5, &[20, 30], Some(40)));
    node.drain();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(5)));
}

#[test]
fn a_join_gives_up_after_its_last_attempt_and_the_node_is_idle_again() {
    let mut node = locating();
    for _ in 1..JOIN_ATTEMPTS_MAX {
        node.answer(Purpose::Ring, found(10, &[20, 10]));
        node.expect_wake(Wake::RetryJoin, ROUND_FAST);
        node.feed(Input::Wake(Wake::RetryJoin));
        node.expect_send(Purpose::Ring, 20, find(10, &[]));
    }
    node.answer(Purpose::Ring, found(10, &[20, 10]));
    expect_join_failed(&mut node, JoinError::Unsettled(name(20)));
}

#[test]
fn a_silent_ring_costs_a_join_more_than_a_changing_one() {
    let mut node = locating();
    let mut attempts = 0;
    while node.node.view().phase() == Phase::Joining {
        attempts += 1;
        node.answer(Purpose::Ring, SILENT);
        node.drain();
        node.feed(Input::Wake(Wake::RetryJoin));
        node.drain();
    }
    assert_eq!(attempts, 4, "four deadlines are long enough to wait");
}

#[test]
fn a_join_walks_back_only_so_far_from_the_owner_that_was_named() {
    let mut node = Solo::idle(200);
    node.command(Command::Join(name(250)));
    node.drain();
    node.answer(Purpose::Ring, pong(250));
    node.drain();
    node.answer(Purpose::Ring, found(250, &[250]));
    node.expect_send(Purpose::Ring, 250, Request::GetState);
    // Each says that the gap lies before it, and names a predecessor that says the same.
    node.answer(Purpose::Ring, state(250, &[251], Some(1)));
    let mut n_read = 1;
    for at in 1..100 {
        match node.drain().as_slice() {
            [Output::Send(_, to, Request::GetState)] => assert_eq!(*to, name(at)),
            rest => {
                assert_eq!(rest, [Output::Wake(Wake::RetryJoin, ROUND_FAST)]);
                break;
            }
        }
        n_read += 1;
        node.answer(Purpose::Ring, state(at, &[at + 1], Some(at + 1)));
    }
    assert_eq!(n_read, 16);
}

/// A member in the middle of a round: the head was asked for its state, the predecessor whether it lives.
fn in_round(at: u64, list: &[u64], predecessor: u64) -> Solo {
    let mut node = Solo::member(at, list, Some(predecessor));
    node.maintain();
    node.expect_send(Purpose::Ring, list[0], Request::GetState);
    node.expect_send(Purpose::Rectify, predecessor, Request::Ping);
    let fingers = node.drain(); // whatever finger is looked up, and the next round
    assert!(
        fingers
            .iter()
            .all(|output| matches!(output, Output::Wake(..) | Output::Send(_, _, Request::FindSuccessor(_))))
    );
    node
}

#[test]
fn a_round_refreshes_the_list_from_the_head_and_notifies_it() {
    let mut node = in_round(10, &[20], 40);
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.expect_send(Purpose::Ring, 20, notify(10));
    node.expect_view();
    node.answer(Purpose::Ring, DONE);
    node.end();
    assert_eq!(node.beliefs().0, [20, 30]);
}

#[test]
fn a_round_adopts_the_heads_predecessor_once_that_has_answered() {
    let mut node = in_round(10, &[20, 30], 40);
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(15)));
    node.expect_send(Purpose::Ring, 15, Request::GetState);
    assert_eq!(node.beliefs().0, [20, 30], "not yet");
    node.answer(Purpose::Ring, state(15, &[20, 30], Some(10)));
    node.expect_head(Some(15));
    node.expect_send(Purpose::Ring, 15, notify(10));
    node.expect_view();
    node.answer(Purpose::Ring, DONE);
    node.expect_send(Purpose::Ring, 15, Request::GetState);
    node.answer(Purpose::Ring, state(15, &[20, 30], Some(10)));
    node.expect_send(Purpose::Ring, 15, notify(10));
    node.answer(Purpose::Ring, DONE);
    node.end();
    assert_eq!(node.beliefs().0, [15, 20]);
}

#[test]
fn one_round_goes_back_over_sixteen_newcomers_and_leaves_the_rest_to_the_next() {
    let mut node = in_round(10, &[100, 110], 200);
    for closer in (100 - 17..100).rev() {
        let head = closer + 1;
        node.answer(Purpose::Ring, state(head, &[110], Some(closer)));
        node.expect_send(Purpose::Ring, closer, Request::GetState);
        node.drain();
        node.answer(Purpose::Ring, state(closer, &[head], None));
        node.drain();
        node.answer(Purpose::Ring, DONE);
        if closer > 100 - 17 {
            node.expect_send(Purpose::Ring, closer, Request::GetState);
        }
    }
    node.end();
    assert_eq!(node.beliefs().0[0], 83);
}

#[test]
fn a_closer_candidate_that_does_not_answer_with_its_state_is_not_adopted() {
    for answer in [SILENT, UNREACHABLE, NOT_MEMBER, DONE] {
        let mut node = in_round(10, &[20, 30], 40);
        node.answer(Purpose::Ring, state(20, &[30, 40], Some(15)));
        node.drain();
        node.answer(Purpose::Ring, answer);
        node.expect_send(Purpose::Ring, 20, notify(10));
        node.end();
        assert_eq!(node.beliefs().0, [20, 30]);
    }
}

#[test]
fn a_head_that_is_silent_once_is_asked_again_and_kept() {
    for first in [SILENT, DONE] {
        let mut node = in_round(10, &[20, 30], 40);
        node.answer(Purpose::Ring, first);
        node.expect_send(Purpose::Ring, 20, Request::GetState);
        node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
        node.expect_send(Purpose::Ring, 20, notify(10));
        node.end();
        assert_eq!(node.beliefs().0, [20, 30]);
        assert_eq!(node.node.remembered().names().count(), 0);
    }
}

fn expect_head_dropped(node: &mut Solo, failure: Failure) {
    node.expect_head(Some(30));
    node.expect_event(Event::Dropped(peer(20), failure));
    node.expect_send(Purpose::Ring, 30, Request::GetState);
    node.expect_view();
    node.end();
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(20)]);
}

#[test]
fn a_head_that_is_silent_twice_is_dropped_and_remembered() {
    for (second, failure) in [(SILENT, Failure::Silent), (DONE, Failure::Garbled)] {
        let mut node = in_round(10, &[20, 30], 40);
        node.answer(Purpose::Ring, SILENT);
        node.expect_send(Purpose::Ring, 20, Request::GetState);
        node.answer(Purpose::Ring, second);
        expect_head_dropped(&mut node, failure);
    }
}

#[test]
fn a_head_that_refuses_is_dropped_at_once() {
    for failure in [Failure::Unreachable, Failure::Refused(Refusal::NotMember)] {
        let mut node = in_round(10, &[20, 30], 40);
        node.answer(Purpose::Ring, Err(failure.clone()));
        expect_head_dropped(&mut node, failure);
    }
}

#[test]
fn a_node_whose_whole_list_is_dead_asks_its_predecessor_and_remembers_all() {
    let mut node = in_round(10, &[20, 30], 40);
    node.answer(Purpose::Ring, UNREACHABLE);
    node.drain();
    node.answer(Purpose::Ring, UNREACHABLE);
    node.expect_head(None);
    node.expect_event(Event::Dropped(peer(30), Failure::Unreachable));
    node.expect_view();
    node.end();
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(30), &name(20)]);
    node.maintain();
    node.expect_send(Purpose::Ring, 40, Request::GetState);
    node.drain();
}

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
fn a_usurper_that_does_not_answer_itself_is_hearsay() {
    for answer in [SILENT, UNREACHABLE, NOT_MEMBER, state(30, &[40], None)] {
        let mut node = in_round(10, &[20, 30], 40);
        let hearsay = State {
            peer: peer(20),
            predecessor: Some(usurper(10)),
            successors: peers(&[30]),
            ring_size: None,
        };
        node.answer(Purpose::Ring, Ok(Answer::State(hearsay)));
        let id = RequestId { incarnation: Incarnation(0), purpose: Purpose::Ring };
        assert_eq!(node.drain(), [Output::Send(id, usurper(10).name, Request::GetState)]);
        node.answer(Purpose::Ring, answer);
        node.expect_send(Purpose::Ring, 20, notify(10));
        node.end();
        assert_eq!(node.node.view().phase(), Phase::Member);
    }
}

#[test]
fn whoever_answers_under_another_name_than_it_was_asked_by_is_not_adopted() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(notify(5));
    node.drain();
    node.answer(Purpose::Rectify, pong(40));
    node.request(Request::ForgetPredecessor);
    node.drain();
    node.answer(Purpose::Rectify, leaving(40));
    node.drain();
    node.request(notify(7));
    node.drain();
    node.answer(Purpose::Rectify, state(10, &[20], None)); // an alias of the node itself
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], None));
}

#[test]
fn an_answer_about_a_former_head_is_ignored() {
    let mut node = in_round(10, &[20, 30], 40);
    node.request(farewell(20, Some(10), &[30, 40]));
    node.expect_head(Some(30));
    node.expect_reply(Ok(Answer::Done));
    node.expect_view();
    node.answer(Purpose::Ring, state(20, &[25, 30], Some(15)));
    node.end();
    assert_eq!(node.beliefs().0, [30]);
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
fn a_notification_from_itself_from_a_usurper_or_to_no_member_is_refused() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(notify(10));
    node.expect_reply(Err(Refusal::Itself));
    node.end();
    node.request(Request::Notify { from: usurper(10) });
    let refusal = Refusal::PositionTaken { newcomer: usurper(10).name, member: name(10) };
    node.expect_reply(Err(refusal));
    node.end();
    let mut node = Solo::idle(10);
    for request in [notify(5), Request::GetState, Request::ForgetPredecessor, farewell(5, None, &[])] {
        node.request(request);
        node.expect_reply(Err(Refusal::NotMember));
        node.end();
    }
}

#[test]
fn a_node_that_is_refused_its_position_leaves_the_ring() {
    let mut node = in_round(10, &[20, 30], 40);
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(5)));
    node.expect_send(Purpose::Ring, 20, notify(10));
    let refusal = Refusal::PositionTaken { newcomer: name(10), member: name(20) };
    node.answer(Purpose::Ring, Err(refusal.into()));
    node.expect_event(Event::PositionTaken(peer(20)));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().phase(), Phase::Idle);
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
    node.end();
    assert_eq!(node.node, before);
}

#[test]
fn a_closer_notifier_is_asked_and_becomes_predecessor() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(notify(5));
    node.expect_send(Purpose::Rectify, 5, Request::GetState);
    node.expect_reply(Ok(Answer::Done));
    node.end();
    assert_eq!(node.beliefs().1, Some(40), "not before it has answered");
    node.answer(Purpose::Rectify, state(5, &[10], Some(40)));
    node.expect_predecessor(Some(5));
    node.expect_view();
    node.end();
}

#[test]
fn a_closer_notifier_that_does_not_answer_is_not_believed() {
    for answer in [SILENT, UNREACHABLE, NOT_MEMBER] {
        let mut node = Solo::member(10, &[20, 30], Some(40));
        node.request(notify(5));
        node.drain();
        node.answer(Purpose::Rectify, answer);
        node.end();
        assert_eq!(node.beliefs().1, Some(40));
    }
}

#[test]
fn a_farther_notifier_replaces_only_a_dead_predecessor() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(notify(30));
    node.expect_send(Purpose::Rectify, 40, Request::Ping);
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Rectify, pong(40));
    node.end();
    assert_eq!(node.beliefs().1, Some(40));

    node.request(notify(30));
    node.drain();
    node.answer(Purpose::Rectify, SILENT);
    node.expect_send(Purpose::Rectify, 40, Request::Ping);
    node.answer(Purpose::Rectify, SILENT);
    node.expect_predecessor(None);
    node.expect_event(Event::Dropped(peer(40), Failure::Silent));
    node.expect_send(Purpose::Rectify, 30, Request::GetState);
    node.expect_view();
    node.answer(Purpose::Rectify, state(30, &[10], Some(20)));
    node.expect_predecessor(Some(30));
    node.expect_view();
    node.end();
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(40)]);
}

#[test]
fn a_predecessor_that_says_it_is_no_member_is_dropped_at_once() {
    let mut node = in_round(10, &[20, 30], 40);
    let gone = Pong { peer: peer(40), member: false, ring: Some(ring_tag(8)) };
    node.answer(Purpose::Rectify, Ok(Answer::Pong(gone)));
    node.expect_predecessor(None);
    node.expect_event(Event::Dropped(peer(40), Refusal::NotMember.into()));
    node.expect_view();
    node.end();
}

#[test]
fn the_closest_notifier_that_came_during_a_question_is_taken_up_after_it() {
    for (first, ends) in [(pong(40), true), (SILENT, false)] {
        let mut node = in_round(10, &[20, 30], 40);
        for from in [2, 7, 5] {
            node.request(notify(from));
            node.expect_reply(Ok(Answer::Done));
        }
        node.answer(Purpose::Rectify, first);
        if !ends {
            node.expect_send(Purpose::Rectify, 40, Request::Ping);
            node.answer(Purpose::Rectify, UNREACHABLE);
            node.expect_predecessor(None);
            node.expect_event(Event::Dropped(peer(40), Failure::Unreachable));
        }
        node.expect_send(Purpose::Rectify, 7, Request::GetState);
        if !ends {
            node.expect_view();
        }
        // One more while the candidate is asked; and the same candidate once more, which is no news.
        node.request(notify(8));
        node.expect_reply(Ok(Answer::Done));
        node.request(notify(7));
        node.expect_reply(Ok(Answer::Done));
        node.answer(Purpose::Rectify, state(7, &[10], Some(5)));
        node.expect_predecessor(Some(7));
        node.expect_send(Purpose::Rectify, 8, Request::GetState);
        node.expect_view();
        node.answer(Purpose::Rectify, SILENT);
        node.end();
        assert_eq!(node.beliefs().1, Some(7));
    }
}

#[test]
fn a_node_alone_adopts_its_notifier_as_both_neighbours_once_it_has_answered() {
    let mut node = Solo::member(10, &[], None);
    node.request(notify(5));
    node.expect_send(Purpose::Rectify, 5, Request::GetState);
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Rectify, state(5, &[10], Some(10)));
    node.expect_head(Some(5));
    node.expect_predecessor(Some(5));
    node.expect_view();
    node.end();
}

#[test]
fn a_member_alone_leaves_at_once() {
    let mut node = Solo::member(10, &[], None);
    node.command(Command::Leave);
    node.expect_done(Ok(()));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().phase(), Phase::Leaving);
    node.command(Command::Leave);
    node.expect_done(Err(CommandError::Busy));
    node.maintain();
    node.end();
}

#[test]
fn a_member_of_two_says_one_farewell() {
    let mut node = Solo::member(10, &[20], Some(20));
    node.command(Command::Leave);
    node.expect_send(Purpose::LeaveSuccessor, 20, farewell(10, Some(20), &[20]));
    node.expect_view();
    node.answer(Purpose::LeaveSuccessor, DONE);
    node.expect_done(Ok(()));
    node.end();
}

#[test]
fn a_member_of_many_says_two_farewells_and_waits_for_both() {
    for (first, second) in [
        (Purpose::LeavePredecessor, Purpose::LeaveSuccessor),
        (Purpose::LeaveSuccessor, Purpose::LeavePredecessor),
    ] {
        let mut node = Solo::member(10, &[20, 30], Some(40));
        node.command(Command::Leave);
        node.expect_send(Purpose::LeavePredecessor, 40, farewell(10, Some(40), &[20, 30]));
        node.expect_send(Purpose::LeaveSuccessor, 20, farewell(10, Some(40), &[20, 30]));
        node.expect_view();
        node.answer(first, SILENT);
        node.end();
        node.answer(second, DONE);
        node.expect_done(Ok(()));
        node.end();
    }
}

#[test]
fn a_leaver_ignores_the_answers_to_what_it_asked_before() {
    let mut node = in_round(10, &[20, 30], 40);
    node.command(Command::Leave);
    node.drain();
    let taken = State {
        peer: peer(20),
        predecessor: Some(usurper(10)),
        successors: peers(&[30, 40]),
        ring_size: None,
    };
    node.answer(Purpose::Ring, Ok(Answer::State(taken)));
    node.answer(Purpose::Rectify, UNREACHABLE);
    node.end();
    node.answer(Purpose::LeavePredecessor, DONE);
    node.answer(Purpose::LeaveSuccessor, SILENT);
    node.expect_done(Ok(()));
    node.end();
}

#[test]
fn a_leaver_answers_that_it_is_no_member() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.command(Command::Leave);
    node.drain();
    node.request(Request::GetState);
    node.expect_reply(Err(Refusal::NotMember));
    node.request(notify(5));
    node.expect_reply(Err(Refusal::NotMember));
    node.request(Request::Ping);
    let Some(Output::Reply(_, Ok(Answer::Pong(pong)))) = node.drain().pop() else { panic!("no pong") };
    assert!(!pong.member);
    assert!(node.node.view().can_route(), "it still forwards lookups");
}

#[test]
fn the_farewell_of_the_head_continues_with_the_head_of_its_list_once_that_has_answered() {
    let mut node = Solo::member(2, &[3, 0], Some(1));
    node.request(farewell(3, Some(2), &[4, 0]));
    node.expect_head(Some(0));
    node.expect_send(Purpose::Ring, 4, Request::GetState);
    node.expect_reply(Ok(Answer::Done));
    node.expect_view();
    node.answer(Purpose::Ring, state(4, &[0, 1], Some(3)));
    node.expect_head(Some(4));
    node.expect_send(Purpose::Ring, 4, notify(2));
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs().0, [4, 0]);
    assert_eq!(
        node.node.remembered().names().count(),
        1,
        "a farewell may be forged: whether it is true is probed"
    );
}

#[test]
fn the_farewell_of_the_predecessor_names_the_next_one_which_is_asked_first() {
    let mut node = Solo::member(4, &[0, 1], Some(3));
    node.request(farewell(3, Some(2), &[4, 0]));
    node.expect_send(Purpose::Rectify, 3, Request::Ping);
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Rectify, leaving(3));
    node.expect_predecessor(None);
    node.expect_event(Event::Dropped(peer(3), Failure::Refused(Refusal::NotMember)));
    node.expect_send(Purpose::Rectify, 2, Request::GetState);
    node.expect_view();
    node.answer(Purpose::Rectify, state(2, &[4, 0], Some(1)));
    node.expect_predecessor(Some(2));
    node.expect_view();
    node.end();
}

#[test]
fn the_farewell_of_the_only_other_member_leaves_the_node_alone() {
    let mut node = Solo::member(10, &[20], Some(20));
    node.request(farewell(20, Some(10), &[10]));
    node.drain();
    node.answer(Purpose::Rectify, leaving(20));
    node.drain();
    assert!(node.node.view().is_alone());
}

#[test]
fn a_forged_farewell_costs_one_round_and_moves_no_range() {
    let forged = farewell(20, Some(25), &[25]); // in truth 20 stays, and there is no 25
    for victims in [vec![10], vec![30], vec![10, 30], vec![30, 10]] {
        let mut cluster = Cluster::ideal(8, 2, &[10, 20, 30, 40]);
        for victim in &victims {
            let node = cluster.nodes.get_mut(&name(*victim)).unwrap();
            node.handle(Input::Request(Token(0), Some(ring_tag(8)), forged.clone()));
            for output in std::iter::from_fn(|| node.poll()).collect::<Vec<_>>() {
                match output {
                    Output::Send(id, to, Request::Ping) if to == name(20) => {
                        cluster.input(&name(*victim), Input::Answer(id, pong(20)));
                    }
                    Output::Send(id, to, _) => {
                        assert_eq!(to, name(25));
                        cluster.input(&name(*victim), Input::Answer(id, UNREACHABLE));
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(cluster.beliefs(30).1, Some(20), "the range stays where it is");
        assert_eq!(cluster.beliefs(10).0[0] != 20, victims.contains(&10), "it does cost a round");
        cluster.rounds(1);
        for (at, before, after) in [(10, 40, 20), (20, 10, 30), (30, 20, 40), (40, 30, 10)] {
            let (list, predecessor) = cluster.beliefs(at);
            assert_eq!((list[0], predecessor), (after, Some(before)));
        }
        cluster.converge(1);
    }
}

#[test]
fn a_farewell_of_a_stranger_or_of_the_node_itself_changes_no_neighbour() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(farewell(30, Some(20), &[40]));
    node.expect_reply(Ok(Answer::Done));
    node.request(farewell(10, Some(20), &[40]));
    node.expect_reply(Err(Refusal::Itself));
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(40)));
}

#[test]
fn a_seed_predecessor_that_leaves_is_forgotten_but_remembered() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.request(Request::ForgetPredecessor);
    node.expect_send(Purpose::Rectify, 40, Request::Ping);
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Rectify, leaving(40));
    node.expect_predecessor(None);
    node.expect_event(Event::Dropped(peer(40), Failure::Refused(Refusal::NotMember)));
    node.expect_view();
    node.end();
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(40)]);
}

#[test]
fn nobody_can_talk_a_node_out_of_a_predecessor_that_stays() {
    for lie in [Request::ForgetPredecessor, farewell(40, Some(30), &[10]), farewell(40, None, &[])] {
        let mut node = Solo::member(10, &[20, 30], Some(40));
        node.request(lie);
        node.drain();
        node.request(notify(30)); // a member, but no neighbour: with it would come the ranges of those between
        node.drain();
        node.answer(Purpose::Rectify, pong(40));
        node.drain();
        node.answer(Purpose::Rectify, pong(40));
        assert_eq!(node.beliefs().1, Some(40));
    }
}

fn nth(idx: usize) -> NodeName {
    format!("seed{idx}:1").parse().unwrap()
}

fn remember(node: &mut Solo, seed: NodeName) {
    node.command(Command::Remember(seed));
    node.expect_done(Ok(()));
    node.end();
}

/// A node alone that has dropped these heads, in this order.
fn having_dropped(heads: &[u64]) -> Solo {
    let mut node = Solo::member_of(ring_tag(8), 64, 0, heads, None);
    node.maintain();
    node.drain();
    for _ in heads {
        node.answer(Purpose::Ring, UNREACHABLE);
        node.drain();
    }
    assert!(node.node.view().is_alone());
    node
}

#[test]
fn the_oldest_dropped_peer_is_forgotten_at_one_over_the_bound() {
    let dropped: Vec<u64> = (1..=REMEMBERED_MAX as u64).collect();
    let node = having_dropped(&dropped);
    let names: Vec<&NodeName> = node.node.remembered().names().collect();
    assert_eq!(names.len(), REMEMBERED_MAX);
    assert_eq!(*names[REMEMBERED_MAX - 1], name(1));
    let one_over: Vec<u64> = (1..=REMEMBERED_MAX as u64 + 1).collect();
    let node = having_dropped(&one_over);
    let names: Vec<&NodeName> = node.node.remembered().names().collect();
    assert_eq!(names.len(), REMEMBERED_MAX);
    assert_eq!(*names[0], name(REMEMBERED_MAX as u64 + 1), "the most recent first");
    assert!(!names.contains(&&name(1)));
}

#[test]
fn configured_seeds_are_never_evicted_and_one_over_the_bound_is_not_taken() {
    let mut node = Solo::member_of(ring_tag(8), 2, 0, &[100], None);
    for idx in 0..REMEMBERED_MAX {
        remember(&mut node, nth(idx));
    }
    remember(&mut node, nth(REMEMBERED_MAX));
    remember(&mut node, name(0)); // itself
    node.maintain();
    node.drain();
    node.answer(Purpose::Ring, UNREACHABLE);
    node.drain();
    let names: Vec<NodeName> = node.node.remembered().names().cloned().collect();
    let expected: Vec<NodeName> = (0..REMEMBERED_MAX).rev().map(nth).collect();
    assert_eq!(names, expected);
}

/// Runs rounds in which nobody answers; whom each of them probes.
fn probes(node: &mut Solo, n_rounds: usize) -> Vec<Option<NodeName>> {
    (0..n_rounds)
        .map(|_| {
            node.maintain();
            let probed = node.drain().into_iter().find_map(|output| match output {
                Output::Send(id, to, _) if id.purpose == Purpose::Probe => Some(to),
                _ => None,
            });
            node.answer(Purpose::Probe, SILENT);
            node.end();
            probed
        })
        .collect()
}

#[test]
fn the_pause_between_probes_of_a_silent_peer_doubles_to_its_bound() {
    let mut node = having_dropped(&[100]);
    let rounds: Vec<usize> =
        probes(&mut node, 70).iter().enumerate().filter(|(_, to)| to.is_some()).map(|(idx, _)| idx).collect();
    let pauses: Vec<usize> = rounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(rounds[0], 0);
    let bound = 1 << BACKOFF_MAX;
    assert_eq!(pauses, [2, 4, 8, bound, bound, bound]);
}

#[test]
fn a_full_list_of_silent_peers_keeps_nobody_waiting_for_ever() {
    let dropped: Vec<u64> = (1..=REMEMBERED_MAX as u64).collect();
    let mut node = having_dropped(&dropped);
    let probed = probes(&mut node, 20 * REMEMBERED_MAX);
    for period in probed[REMEMBERED_MAX * 4..].chunks_exact(2 * REMEMBERED_MAX) {
        for at in &dropped {
            assert!(period.contains(&Some(name(*at))), "{at} is not probed any more");
        }
    }
}

/// A member of {10, 20, 30, 40} that remembers 99 and has just probed it.
fn probing() -> Solo {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    remember(&mut node, name(99));
    node.maintain();
    let id = RequestId { incarnation: Incarnation(0), purpose: Purpose::Probe };
    assert!(node.drain().contains(&Output::Send(id, name(99), Request::GetState)));
    node.answer(Purpose::Rectify, pong(40));
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.expect_send(Purpose::Ring, 20, notify(10));
    node.answer(Purpose::Ring, DONE);
    node
}

#[test]
fn a_remembered_peer_of_the_same_ring_is_left_in_peace() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(99, &[10], Some(40)));
    node.expect_send(Purpose::Probe, 99, find(10, &[]));
    node.answer(Purpose::Probe, found(10, &[99, 10]));
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(40)));
}

#[test]
fn a_remembered_peer_before_the_head_is_adopted_and_notified() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(15, &[60], Some(60))); // 99 calls itself node 15: that name is asked first
    node.end();
    node.maintain();
    node.drain();
    node.answer(Purpose::Rectify, pong(40));
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.drain();
    node.answer(Purpose::Ring, DONE);
    node.answer(Purpose::Probe, state(15, &[60], Some(60)));
    node.expect_head(Some(15));
    node.expect_event(Event::Merging(peer(15)));
    node.expect_send(Purpose::Ring, 15, notify(10));
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs().0, [15, 60]);
}

#[test]
fn a_remembered_peer_of_another_ring_leads_to_the_member_in_this_nodes_place() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(99, &[15], Some(15)));
    node.expect_send(Purpose::Probe, 99, find(10, &[]));
    node.answer(Purpose::Probe, found(15, &[99, 15]));
    node.expect_send(Purpose::Probe, 15, Request::GetState);
    node.answer(Purpose::Probe, state(15, &[99], Some(99)));
    node.expect_head(Some(15));
    node.expect_event(Event::Merging(peer(15)));
    node.expect_send(Purpose::Ring, 15, notify(10));
    node.expect_send(Purpose::Probe, 15, notify(10));
    node.expect_view();
    node.answer(Purpose::Probe, DONE);
    node.end();
}

#[test]
fn a_merge_whose_notification_is_lost_is_tried_again_soon() {
    for (answer, tried_again) in [(SILENT, true), (NOT_MEMBER, true), (DONE, false)] {
        let mut node = Solo::member(10, &[50, 60], Some(40));
        node.maintain();
        node.drain();
        node.answer(Purpose::Ring, UNREACHABLE);
        node.drain();
        node.answer(Purpose::Ring, state(60, &[40], Some(20)));
        node.drain();
        node.answer(Purpose::Ring, state(20, &[60], Some(10)));
        node.drain();
        node.answer(Purpose::Ring, DONE);
        node.drain();
        node.answer(Purpose::Ring, state(20, &[60], Some(10)));
        node.drain();
        node.answer(Purpose::Rectify, pong(40));
        node.maintain();
        node.drain();
        node.answer(Purpose::Probe, state(50, &[30], Some(30)));
        node.drain();
        node.answer(Purpose::Probe, found(30, &[50, 30]));
        node.drain();
        node.answer(Purpose::Probe, state(30, &[50], Some(50)));
        node.expect_send(Purpose::Probe, 30, notify(10));
        node.answer(Purpose::Probe, answer);
        node.end();
        assert_eq!(node.node.remembered().names().any(|peer| *peer == name(50)), tried_again);
    }
}

#[test]
fn a_remembered_peer_of_another_ring_size_or_name_is_dropped() {
    let mut node = having_dropped(&[99]);
    node.maintain();
    node.drain();
    let foreign = State {
        peer: peer(99),
        predecessor: None,
        successors: Vec::new(),
        ring_size: Some(RingSize::new(9).unwrap()),
    };
    node.answer(Purpose::Probe, Ok(Answer::State(foreign)));
    node.end();
    assert_eq!(node.node.remembered().names().count(), 0);
    let mut node = having_dropped(&[99]);
    node.maintain();
    node.drain();
    let (here, there) = ("other".parse().unwrap(), RingName::default());
    node.answer(Purpose::Probe, Err(Refusal::ForeignRing { here, there }.into()));
    node.end();
    assert_eq!(node.node.remembered().names().count(), 0);
}

#[test]
fn one_lookup_fills_all_the_finger_entries_that_its_answer_proves() {
    let mut node = Solo::member(0, &[1, 3], Some(200));
    let mut fingers = Vec::new();
    for _ in 0..4 {
        node.maintain();
        let asked = node.drain().into_iter().find_map(|output| match output {
            Output::Send(id, _, Request::FindSuccessor(question)) if id.purpose == Purpose::Finger => {
                Some(question.target)
            }
            _ => None,
        });
        let Some(target) = asked else { break };
        let owner = [40, 100, 200].into_iter().find(|at| Position::from(*at) >= target).unwrap_or(0);
        fingers.push((target.to_string(), owner));
        node.answer(Purpose::Finger, found(owner, &[0, owner]));
        node.drain();
    }
    // Entry 2 starts at 4 and is the first beyond the list; 40 proves the entries up to 32, 100 the one of 64.
    assert_eq!(fingers[..3], [("4".into(), 40), ("64".into(), 100), ("128".into(), 200)]);
    assert_eq!(fingers[3].0, "4", "and round again");
    let runs: Vec<(u16, u16, Peer)> =
        node.node.view().fingers().runs().iter().map(|run| (run.first, run.last, run.peer.clone())).collect();
    assert_eq!(runs, [(2, 5, peer(40)), (6, 6, peer(100)), (7, 7, peer(200))]);
    node.feed(Input::Unreachable(name(100)));
    node.expect_view();
    node.end();
    assert_eq!(node.node.view().finger(6), None);
}

#[test]
fn a_finger_lookup_goes_round_peers_that_do_not_answer() {
    let mut node = Solo::member(0, &[1, 3], Some(200));
    node.maintain();
    node.expect_send(Purpose::Ring, 1, Request::GetState);
    node.expect_send(Purpose::Rectify, 200, Request::Ping);
    node.expect_send(Purpose::Finger, 3, find(4, &[0]));
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.answer(Purpose::Finger, SILENT);
    node.expect_send(Purpose::Finger, 1, find(4, &[0]));
    node.answer(Purpose::Finger, Err(Refusal::NoRoute.into()));
    let last = Question { target: 4.into(), named: true, path: vec![name(0)] };
    node.expect_send(Purpose::Finger, 200, Request::FindSuccessor(last));
    node.answer(Purpose::Finger, UNREACHABLE);
    node.end();
    assert_eq!(node.beliefs(), (vec![1, 3], Some(200)), "a lookup drops no neighbour");
}

#[test]
fn a_finger_lookup_that_met_the_hop_limit_is_given_up_and_the_next_entry_follows() {
    let mut node = Solo::member(0, &[1, 3], Some(200));
    for (entry, asked) in [(4, 3), (8, 3)] {
        node.maintain();
        let id = RequestId { incarnation: Incarnation(0), purpose: Purpose::Finger };
        assert!(node.drain().contains(&Output::Send(id, name(asked), find(entry, &[0]))));
        node.answer(Purpose::Finger, Err(Refusal::HopLimit.into()));
        node.end();
    }
}

/// One round in which all is as it was; the pause until the next.
fn quiet_round(node: &mut Solo) -> std::time::Duration {
    quiet_round_after(node, 40)
}

fn quiet_round_after(node: &mut Solo, predecessor: u64) -> std::time::Duration {
    node.maintain();
    let pause = node.drain().into_iter().find_map(|output| match output {
        Output::Wake(Wake::Maintain, pause) => Some(pause),
        _ => None,
    });
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.drain();
    node.answer(Purpose::Ring, DONE);
    node.answer(Purpose::Rectify, pong(predecessor));
    node.answer(Purpose::Finger, Err(Refusal::NoRoute.into()));
    node.drain();
    pause.unwrap()
}

#[test]
fn the_pause_between_rounds_doubles_to_the_quiet_one_and_any_change_makes_it_short_again() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    for _ in 0..ROUNDS_FAST {
        assert_eq!(quiet_round(&mut node), ROUND_FAST);
    }
    assert_eq!(quiet_round(&mut node), ROUND_FAST * 2);
    assert_eq!(quiet_round(&mut node), ROUND_FAST * 4);
    for _ in 0..20 {
        assert_eq!(quiet_round(&mut node), ROUND_QUIET);
    }
    node.request(notify(5));
    node.drain();
    node.answer(Purpose::Rectify, state(5, &[10], Some(40)));
    node.expect_predecessor(Some(5));
    node.expect_wake(Wake::Maintain, ROUND_FAST);
    node.expect_view();
    node.end();
    assert_eq!(quiet_round_after(&mut node, 5), ROUND_FAST);
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
        1 => at.prop_map(|at| Input::Unreachable(name(at))),
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
                prop_assert!(!matches!(output, Output::Event(Event::Violation(_))), "{:?}", output);
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
