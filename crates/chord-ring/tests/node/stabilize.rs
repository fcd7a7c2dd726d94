//! Stabilize.

use chord_ring::*;

use super::support::*;
use super::*;

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
fn a_peer_before_the_head_that_asks_makes_the_node_ask_its_head_now() {
    let mut node = Solo::member(10, &[20, 30], Some(40));
    node.feed(Input::AskedBy(peer(15)));
    node.expect_send(Purpose::Ring, 20, Request::GetState);
    node.feed(Input::AskedBy(peer(15)));
    node.end();
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(15)));
    node.expect_send(Purpose::Ring, 15, Request::GetState);
    assert_eq!(node.beliefs().0, [20, 30], "its own word alone makes it no successor");
    node.drain();
}

#[test]
fn other_peers_that_ask_change_nothing() {
    for asker in [10, 20, 25, 40, 5] {
        let mut node = Solo::member(10, &[20, 30], Some(40));
        node.feed(Input::AskedBy(peer(asker)));
        node.end();
    }
    let mut alone = Solo::member(10, &[], None);
    alone.feed(Input::AskedBy(peer(15)));
    alone.end();
}

#[test]
fn a_closer_node_that_is_alone_is_not_adopted_and_not_forgotten() {
    let mut node = in_round(10, &[20, 30], 5);
    node.answer(Purpose::Ring, state(20, &[30, 5], Some(15)));
    node.expect_send(Purpose::Ring, 15, Request::GetState);
    node.drain();
    node.answer(Purpose::Ring, state(15, &[], None)); // it has lost all whom it knew, and cannot tell 10 of itself
    node.expect_send(Purpose::Ring, 20, notify(10));
    node.end();
    assert_eq!(node.beliefs().0[0], 20);
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(15)]);
}

#[test]
fn a_node_that_has_lost_its_list_and_takes_a_place_after_a_member_has_that_for_its_predecessor() {
    let mut node = Solo::member(10, &[], Some(5));
    node.feed(Input::Wake(Wake::Maintain));
    node.expect_send(Purpose::Ring, 5, Request::GetState);
    node.drain();
    node.answer(Purpose::Rectify, UNREACHABLE); // 5 failed, and has come back before it is asked for its state
    node.drain();
    node.answer(Purpose::Ring, state(5, &[30], Some(30)));
    node.drain();
    assert_eq!(node.beliefs(), (vec![30], Some(5)), "30 may be dead, but 5 has answered");
}
