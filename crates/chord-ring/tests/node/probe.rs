//! Remembered peers.

use chord_ring::*;

use super::support::*;
use super::*;

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
    let (doubling, longest) = pauses.split_at(usize::from(BACKOFF_MAX));
    assert!(doubling.iter().enumerate().all(|(idx, pause)| *pause == 2 << idx), "{pauses:?}");
    assert!(longest.len() > 3 && longest.iter().all(|pause| *pause == bound), "{pauses:?}");
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
    node.expect_send(Purpose::Probe, 99, find(11, &[10]));
    node.answer(Purpose::Probe, found(20, &[10, 99, 20]));
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(40)));
}

#[test]
fn a_remembered_peer_before_the_head_is_adopted_and_notified_if_no_way_leads_to_a_closer_one() {
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
    node.expect_send(Purpose::Probe, 15, find(11, &[10]));
    node.answer(Purpose::Probe, Err(Refusal::NoRoute.into()));
    node.expect_send(Purpose::Probe, 15, Request::GetState);
    node.answer(Purpose::Probe, state(15, &[60], Some(60)));
    node.expect_head(Some(15));
    node.expect_event(Event::Merging(peer(15)));
    node.expect_send(Purpose::Ring, 15, notify(10));
    node.expect_send(Purpose::Probe, 15, notify(10));
    node.expect_view();
    node.end();
    assert_eq!(node.beliefs().0, [15, 60]);
}

#[test]
fn a_remembered_peer_of_another_ring_leads_to_the_member_in_this_nodes_place() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(99, &[15], Some(15)));
    node.expect_send(Purpose::Probe, 99, find(11, &[10]));
    node.answer(Purpose::Probe, found(15, &[10, 99, 15]));
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
fn a_merge_is_tried_again_until_who_follows_there_is_the_head_here() {
    for answer in [SILENT, NOT_MEMBER, DONE] {
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
        node.answer(Purpose::Probe, found(30, &[10, 50, 30]));
        node.drain();
        node.answer(Purpose::Probe, state(30, &[50], Some(50)));
        node.expect_send(Purpose::Probe, 30, notify(10));
        node.answer(Purpose::Probe, answer);
        node.end();
        // Whoever was notified may have had no use for it: what counts is that it follows here too.
        assert!(node.node.remembered().names().any(|peer| *peer == name(50)));
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
fn a_member_does_not_give_up_its_ring_for_a_remembered_peer_that_is_alone() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(99, &[], None));
    node.expect_send(Purpose::Probe, 99, find(11, &[10]));
    node.answer(Purpose::Probe, found(99, &[10, 99]));
    node.expect_send(Purpose::Probe, 99, Request::GetState);
    node.answer(Purpose::Probe, state(99, &[], None));
    node.expect_send(Purpose::Probe, 99, notify(10));
    node.answer(Purpose::Probe, DONE);
    node.end();
    assert_eq!(node.beliefs(), (vec![20, 30], Some(40)));
}

#[test]
fn a_neighbourhood_that_changes_brings_the_turns_of_silent_peers_forward() {
    let mut node = having_dropped(&[100]);
    probes(&mut node, 20);
    node.request(notify(5));
    node.drain();
    node.answer(Purpose::Rectify, state(5, &[0], Some(0)));
    node.drain();
    assert_eq!(probes(&mut node, 1), [Some(name(100))]);
}

#[test]
fn a_peer_that_is_notified_for_want_of_a_way_to_the_next_member_stays_remembered() {
    let mut node = probing();
    node.answer(Purpose::Probe, state(99, &[35], Some(35)));
    node.expect_send(Purpose::Probe, 99, find(11, &[10]));
    node.answer(Purpose::Probe, Err(Refusal::NoRoute.into()));
    node.expect_send(Purpose::Probe, 99, Request::GetState);
    node.answer(Purpose::Probe, state(99, &[35], Some(35)));
    node.expect_send(Purpose::Probe, 99, notify(10));
    node.answer(Purpose::Probe, DONE); // it has a predecessor that lives, and forgets who has told it that
    node.end();
    assert!(node.node.remembered().names().any(|peer| *peer == name(99)));
}

#[test]
fn a_closer_member_that_a_probe_finds_while_the_node_stabilizes_is_asked_right_after() {
    let mut node = probing();
    node.maintain(); // It waits for what its head says.
    node.drain();
    node.answer(Purpose::Probe, state(99, &[5], Some(5)));
    node.drain();
    node.answer(Purpose::Probe, found(15, &[10, 99, 15]));
    node.drain();
    node.answer(Purpose::Probe, state(15, &[99, 5], Some(5)));
    node.expect_send(Purpose::Probe, 15, notify(10));
    node.end();
    assert_eq!(node.beliefs().0, [20, 30], "one operation at a time");
    node.answer(Purpose::Ring, state(20, &[30, 40], Some(10)));
    node.drain();
    node.answer(Purpose::Ring, DONE);
    node.expect_send(Purpose::Ring, 15, Request::GetState);
    node.end();
    node.answer(Purpose::Ring, state(15, &[20, 30], Some(10)));
    assert_eq!(node.beliefs().0, [15, 20]);
    node.drain();
}
