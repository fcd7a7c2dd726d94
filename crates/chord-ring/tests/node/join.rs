//! Create and join.

use chord_ring::*;

use super::support::*;
use super::*;

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
        if failure == Failure::Silent {
            node.answer(Purpose::Ring, SILENT);
            node.expect_send(Purpose::Ring, 20, Request::Ping); // a slow contact is not a dead one
        }
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
    let answer = Found { owner: usurper(10), hops: 0, path: vec![name(20)], after: None, took: Vec::new() };
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
