//! What a single node does in the failing scenarios of the old Chord rules, T1 to T20 of `ring.md` section 4. The tests
//! of `chord-sim` replay them with whole rings.

use chord_ring::*;

use super::support::*;

#[test]
fn t04_a_joiner_copies_the_whole_list_so_that_a_dead_head_does_not_strand_it() {
    let mut joiner = Solo::idle(7);
    joiner.command(Command::Join(name(5)));
    joiner.drain();
    joiner.answer(Purpose::Ring, pong(5));
    joiner.drain();
    joiner.answer(Purpose::Ring, found(5, &[5])); // 9 is dead: the lookup went round it.
    joiner.drain();
    joiner.answer(Purpose::Ring, state(5, &[9, 22], Some(50)));
    joiner.drain();
    assert_eq!(joiner.beliefs(), (vec![9, 22], Some(5)));
    joiner.answer(Purpose::Ring, Err(Failure::Unreachable));
    joiner.drain();
    assert_eq!(joiner.beliefs().0, [22]);
}

#[test]
fn t10_a_joiner_refuses_a_list_that_still_names_its_earlier_life() {
    let mut joiner = Solo::idle(0);
    joiner.command(Command::Join(name(3)));
    joiner.drain();
    joiner.answer(Purpose::Ring, pong(3));
    joiner.drain();
    joiner.answer(Purpose::Ring, found(3, &[3]));
    joiner.expect_send(Purpose::Ring, 3, Request::GetState);
    joiner.answer(Purpose::Ring, state(3, &[0, 1], Some(2)));
    joiner.expect_wake(Wake::RetryJoin, ROUND_FAST);
    joiner.end();
    assert_eq!(joiner.node.view().phase(), Phase::Joining);
}

#[test]
fn t11_a_dead_candidate_leaves_the_list_as_it_is() {
    let mut node = Solo::member(4, &[1], Some(3)); // 0 was dropped
    node.maintain();
    node.drain();
    node.answer(Purpose::Ring, state(1, &[2, 3], Some(0)));
    assert_eq!(node.beliefs().0, [1, 2]);
    let asked = node.drain();
    assert!(
        asked.iter().any(|output| matches!(output, Output::Send(_, to, Request::GetState) if *to == name(0)))
    );
    // Now 1 fails too, and 0 does not answer.
    node.answer(Purpose::Ring, Err(Failure::Unreachable));
    node.expect_send(Purpose::Ring, 1, Request::Notify { from: peer(4) });
    node.end();
    assert_eq!(node.beliefs().0, [1, 2]);
    node.answer(Purpose::Ring, Err(Failure::Unreachable));
    node.maintain();
    node.drain();
    node.answer(Purpose::Ring, Err(Failure::Unreachable));
    node.drain();
    assert_eq!(node.beliefs().0, [2]);
}

/// Node 0 on its way into {1, 2, 3, 4}: it has read the owner 1, and asked 4, the member before, for its list.
fn t14_joiner() -> Solo {
    let mut joiner = Solo::idle(0);
    joiner.command(Command::Join(name(4)));
    joiner.drain();
    joiner.answer(Purpose::Ring, pong(4));
    joiner.drain();
    t14_asks_the_member_before(&mut joiner);
    joiner
}

fn t14_asks_the_member_before(joiner: &mut Solo) {
    joiner.answer(Purpose::Ring, found(1, &[4, 1]));
    joiner.drain();
    joiner.answer(Purpose::Ring, state(1, &[2, 3], Some(4)));
    joiner.expect_send(Purpose::Ring, 4, Request::GetState);
    joiner.end();
}

#[test]
fn t14_a_joiner_waits_while_the_list_it_would_copy_is_shortened() {
    let mut joiner = t14_joiner();
    joiner.answer(Purpose::Ring, state(4, &[1], Some(3))); // 4 has just dropped 0's earlier life
    joiner.expect_wake(Wake::RetryJoin, ROUND_FAST);
    joiner.end();
    joiner.feed(Input::Wake(Wake::RetryJoin));
    joiner.drain();
    t14_asks_the_member_before(&mut joiner);
    joiner.answer(Purpose::Ring, state(4, &[1, 2], Some(3)));
    joiner.drain();
    assert_eq!(joiner.beliefs(), (vec![1, 2], Some(4)));
}

#[test]
fn t14_a_joiner_of_a_small_ring_where_no_list_is_full_does_not_wait() {
    let mut joiner = Solo::idle(0);
    joiner.command(Command::Join(name(4)));
    joiner.drain();
    joiner.answer(Purpose::Ring, pong(4));
    joiner.drain();
    joiner.answer(Purpose::Ring, found(1, &[4, 1]));
    joiner.drain();
    joiner.answer(Purpose::Ring, state(1, &[4], Some(4)));
    joiner.drain();
    joiner.answer(Purpose::Ring, state(4, &[1], Some(1)));
    joiner.drain();
    assert_eq!(joiner.beliefs(), (vec![1], Some(4)));
}

/// The same, after it has waited five times for a longer list than [1] of 4 and then taken that.
fn t14_joined_with_one_entry() -> Solo {
    let mut joiner = t14_joiner();
    for _ in 0..5 {
        joiner.answer(Purpose::Ring, state(4, &[1], Some(3)));
        joiner.expect_wake(Wake::RetryJoin, ROUND_FAST);
        joiner.feed(Input::Wake(Wake::RetryJoin));
        joiner.drain();
        t14_asks_the_member_before(&mut joiner);
    }
    joiner.answer(Purpose::Ring, state(4, &[1], Some(3)));
    joiner.drain();
    assert_eq!(joiner.beliefs(), (vec![1], Some(4)));
    joiner
}

#[test]
fn t14_a_joiner_whose_whole_list_has_died_goes_on_from_its_predecessor() {
    let mut joiner = t14_joined_with_one_entry();
    joiner.answer(Purpose::Ring, Err(Failure::Unreachable)); // 1 has failed meanwhile
    joiner.drain();
    assert_eq!(joiner.beliefs(), (vec![], Some(4)));
    joiner.maintain();
    joiner.expect_send(Purpose::Ring, 4, Request::GetState);
    joiner.drain();
    joiner.answer(Purpose::Ring, state(4, &[2, 3], Some(3)));
    joiner.drain();
    assert_eq!(joiner.beliefs().0, [2, 3], "its place after 4 again, with the whole list, as a joiner's");
}

#[test]
fn t19_a_node_whose_refreshed_list_has_died_goes_on_from_its_predecessor() {
    let mut node = Solo::member(43, &[46, 1], Some(1));
    node.maintain();
    node.drain();
    node.answer(Purpose::Ring, state(46, &[4], Some(43))); // stale: 1 is missing
    node.drain();
    assert_eq!(node.beliefs().0, [46, 4]);
    node.answer(Purpose::Ring, Err(Failure::Unreachable)); // the notification: 46 is dead by now
    node.answer(Purpose::Rectify, pong(1));
    node.maintain();
    node.drain();
    node.answer(Purpose::Ring, Err(Failure::Unreachable));
    node.drain();
    assert_eq!(node.beliefs().0, [4]);
    node.answer(Purpose::Ring, Err(Failure::Unreachable));
    node.drain();
    assert_eq!(node.beliefs(), (vec![], Some(1)));
    node.answer(Purpose::Rectify, pong(1));
    node.maintain();
    node.expect_send(Purpose::Ring, 1, Request::GetState);
    node.drain();
    node.answer(Purpose::Ring, state(1, &[43], Some(43)));
    node.drain();
    assert_eq!(node.beliefs(), (vec![1], Some(1)));
}

#[test]
fn t20_a_notification_that_arrives_while_the_dead_predecessor_is_asked_is_not_lost() {
    for failure in [vec![Failure::Unreachable], vec![Failure::Silent, Failure::Silent]] {
        let mut node = Solo::member(0, &[2], Some(4));
        node.feed(Input::Wake(Wake::Maintain)); // asks whether 4 lives
        node.drain();
        node.request(Request::Notify { from: peer(2) });
        node.expect_reply(Ok(Answer::Done)); // parked
        for failure in failure {
            node.answer(Purpose::Rectify, Err(failure));
            node.drain();
        }
        node.answer(Purpose::Rectify, state(2, &[0], Some(0)));
        node.expect_predecessor(Some(2));
        node.expect_view();
        node.end();
    }
}
