//! Notifications, and who comes before the node.

use chord_ring::*;

use super::support::*;
use super::*;

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
fn a_node_without_a_list_that_finds_its_place_remembers_the_predecessor_that_it_had() {
    let mut node = Solo::member(30, &[], Some(10));
    node.request(notify(20));
    node.drain();
    node.answer(Purpose::Rectify, state(20, &[40], Some(40)));
    node.drain();
    assert_eq!(node.beliefs(), (vec![40], Some(20)));
    assert_eq!(node.node.remembered().names().collect::<Vec<_>>(), [&name(10)]);
}

#[test]
fn a_node_alone_takes_the_place_after_its_notifier_with_its_whole_list() {
    let mut node = Solo::member(10, &[], None);
    node.request(notify(5));
    node.drain();
    node.answer(Purpose::Rectify, state(5, &[20, 30], Some(30)));
    node.expect_head(Some(20));
    node.expect_predecessor(Some(5));
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(5)));
}

#[test]
fn a_node_alone_that_is_notified_from_afar_asks_who_follows_it_there() {
    let mut node = Solo::member(10, &[], None);
    node.request(notify(50));
    node.drain();
    node.answer(Purpose::Rectify, state(50, &[60, 5], Some(20)));
    node.expect_head(Some(50));
    node.expect_send(Purpose::Probe, 50, find(11, &[10]));
    node.expect_predecessor(Some(50));
    node.expect_view();
    node.answer(Purpose::Probe, found(20, &[10, 50, 20]));
    node.expect_send(Purpose::Probe, 20, Request::GetState);
    node.answer(Purpose::Probe, state(20, &[50, 60], Some(5)));
    node.drain();
    assert_eq!(node.beliefs(), (vec![20, 50], Some(50)));
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
