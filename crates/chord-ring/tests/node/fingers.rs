//! Fingers.

use chord_ring::*;

use super::support::*;
use super::*;

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
    let last = Question { target: 4.into(), named: false, path: vec![name(0)] };
    node.expect_send(Purpose::Finger, 200, Request::FindSuccessor(last));
    node.answer(Purpose::Finger, UNREACHABLE);
    node.end();
    assert_eq!(node.beliefs(), (vec![1, 3], Some(200)), "a lookup drops no neighbour");
}

#[test]
fn a_finger_that_knows_no_way_stays_a_finger_and_one_that_left_does_not() {
    for (answer, stays) in [(Refusal::NoRoute, true), (Refusal::HopLimit, true), (Refusal::NotMember, false)]
    {
        let mut node = Solo::member(0, &[1, 3], Some(200));
        node.maintain();
        node.drain();
        node.answer(Purpose::Finger, found(40, &[0, 40]));
        node.drain();
        node.answer(Purpose::Rectify, pong(200));
        node.maintain();
        let id = RequestId { incarnation: Incarnation(0), purpose: Purpose::Finger };
        assert!(node.drain().contains(&Output::Send(id, name(40), find(64, &[0]))));
        node.answer(Purpose::Finger, Err(answer.into()));
        node.drain();
        assert_eq!(node.node.view().finger(5), stays.then_some(&peer(40)));
    }
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
