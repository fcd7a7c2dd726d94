//! What a checker tells nodes apart by.

use super::*;

/// The node that a checker sees.
fn seen(node: &Solo) -> Node {
    node.node.clone().timeless()
}

#[test]
fn two_nodes_that_differ_only_in_their_pace_are_the_same_to_a_checker() {
    let mut node = Solo::member(10, &[20, 30], Some(5));
    let fresh = seen(&node);
    for _ in 0..3 {
        node.maintain();
        node.drain();
        node.answer(Purpose::Ring, state(20, &[30, 5], Some(10)));
        node.drain();
        node.answer(Purpose::Ring, DONE);
        node.answer(Purpose::Rectify, pong(5));
        node.drain();
        assert_ne!(node.node, fresh);
        assert_eq!(seen(&node), fresh);
    }
}

#[test]
fn only_the_peer_whose_turn_a_checker_lets_come_is_probed() {
    let mut node = Solo::member(10, &[20, 30], Some(5));
    for seed in [40, 50] {
        node.command(Command::Remember(name(seed)));
        node.drain();
    }
    let probed = |mut node: Node| {
        node.handle(Input::Wake(Wake::Maintain));
        let sent = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
            Output::Send(id, to, _) if id.purpose == Purpose::Probe => Some(to),
            _ => None,
        });
        (sent, node.timeless())
    };
    let (nobody, after) = probed(seen(&node));
    assert_eq!(nobody, None);
    assert_eq!(after.remembered(), seen(&node).remembered(), "a round changes nothing about turns");
    for seed in [40, 50] {
        assert_eq!(probed(seen(&node).with_turn_of(&name(seed))).0, Some(name(seed)));
    }
    assert_eq!(seen(&node).without_memory().remembered().names().count(), 0);
}
