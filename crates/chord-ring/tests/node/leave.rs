//! Leaving, and the farewells of others.

use chord_ring::*;

use super::support::*;
use super::*;

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
fn the_farewell_of_the_head_continues_with_the_head_of_its_list_once_both_have_answered() {
    let mut node = Solo::member(2, &[3, 0], Some(1));
    node.request(farewell(3, Some(2), &[4, 0]));
    node.expect_send(Purpose::Ring, 3, Request::GetState);
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Ring, NOT_MEMBER);
    node.expect_head(Some(0));
    node.expect_event(Event::Dropped(peer(3), Refusal::NotMember.into()));
    node.expect_send(Purpose::Ring, 4, Request::GetState);
    node.expect_view();
    node.answer(Purpose::Ring, state(4, &[0, 1], Some(3)));
    node.expect_head(Some(4));
    node.expect_send(Purpose::Ring, 4, notify(2));
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs().0, [4, 0]);
}

#[test]
fn the_farewell_of_a_head_whose_list_was_all_continues_with_its_list() {
    let mut node = Solo::member(2, &[3], Some(1));
    node.request(farewell(3, Some(2), &[4, 0]));
    node.drain();
    node.answer(Purpose::Ring, UNREACHABLE);
    node.expect_head(None);
    node.expect_event(Event::Dropped(peer(3), Failure::Unreachable));
    node.expect_send(Purpose::Ring, 4, Request::GetState);
    node.drain();
    node.answer(Purpose::Ring, state(4, &[0, 1], Some(3)));
    node.drain();
    assert_eq!(node.beliefs().0, [4, 0]);
}

#[test]
fn a_farewell_during_a_round_is_looked_into_when_the_round_ends() {
    // The head's state was on its way when it began to leave.
    let mut node = in_round(10, &[20, 30], 40);
    node.request(farewell(20, Some(10), &[25, 30]));
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.expect_send(Purpose::Ring, 20, notify(10));
    node.answer(Purpose::Ring, NOT_MEMBER);
    node.expect_send(Purpose::Ring, 20, Request::GetState);
    node.answer(Purpose::Ring, NOT_MEMBER);
    node.expect_head(Some(30));
    node.expect_event(Event::Dropped(peer(20), Refusal::NotMember.into()));
    node.expect_send(Purpose::Ring, 25, Request::GetState);
    node.expect_view();
    node.end();
    // Here it was not.
    let mut node = in_round(10, &[20, 30], 40);
    node.request(farewell(20, Some(10), &[25, 30]));
    node.expect_reply(Ok(Answer::Done));
    node.answer(Purpose::Ring, NOT_MEMBER);
    node.drain();
    node.answer(Purpose::Ring, state(25, &[30, 40], None));
    node.drain();
    assert_eq!(node.beliefs().0, [25, 30]);
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
    node.answer(Purpose::Ring, NOT_MEMBER);
    node.drain();
    assert!(node.node.view().is_alone());
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
