//! Whole rings of real nodes: they form, converge, shrink and heal.

mod support;

use chord_ring::*;
use chord_sim::*;
use support::*;

#[test]
fn a_ring_grows_from_one_node_to_sixty_four_and_has_right_fingers_within_twenty_rounds() {
    let mut cluster = Cluster::new(config(160, 8));
    let size = RingSize::new(160).unwrap();
    let members: Vec<Peer> = (0..64)
        .map(|idx| Peer::of_name(format!("127.0.0.1:{}", 4567 + idx).parse().unwrap(), size))
        .collect();
    cluster.add(members[0].clone());
    cluster.command(&members[0].name, Command::Create);
    let mut n_waits = 0;
    for member in &members[1..] {
        cluster.add(member.clone());
        let token = cluster.command(&member.name, Command::Join(members[0].name.clone()));
        let before = n_waits;
        while cluster.outcome(token).is_none() && n_waits < before + 5 {
            cluster.round();
            n_waits += 1;
        }
        assert_eq!(cluster.outcome(token), Some(&Ok(())));
        cluster.round();
    }
    assert!(n_waits <= 5, "joins waited {n_waits} rounds for longer lists");
    let rounds = cluster.converge(20);
    cluster.rounds(20 - rounds);
    let mut sorted = members.clone();
    sorted.sort();
    for node in cluster.nodes() {
        let view = node.view();
        for entry in 0..160 {
            let start = size.finger_start(view.me().position, entry);
            let owner = sorted.iter().find(|peer| peer.position >= start).unwrap_or(&sorted[0]);
            let expected = (owner != view.me()).then_some(owner);
            assert_eq!(view.finger(entry), expected, "finger {entry} of {}", view.me());
        }
        assert!(view.fingers().runs().len() <= 8);
    }
}

#[test]
fn a_node_that_is_alone_adopts_its_first_notifier() {
    let mut cluster = Cluster::new(config(8, 3));
    cluster.must_create(5);
    let token = cluster.join(9, 5);
    assert_eq!(cluster.outcome(token), Some(&Ok(())));
    assert_eq!(cluster.beliefs(5), (vec![9], Some(9)));
    assert_eq!(cluster.beliefs(9), (vec![5], Some(5)));
}

#[test]
fn killed_neighbours_are_dropped_and_the_ring_is_ideal_again() {
    let mut cluster = Cluster::ideal(config(8, 4), &[10, 30, 50, 70, 90, 110, 130, 150]);
    cluster.fail(50);
    cluster.fail(70);
    assert!(!cluster.is_ideal());
    // One round to drop the dead, and one for each entry behind the head.
    cluster.converge(4);
    assert_eq!(cluster.beliefs(30), (vec![90, 110, 130, 150], Some(10)));
}

#[test]
fn a_frozen_node_is_dropped_and_taken_back_when_it_thaws() {
    let mut cluster = Cluster::ideal(config(8, 3), &[10, 30, 50, 70, 90]);
    cluster.freeze(&name(50));
    cluster.rounds(10);
    assert_eq!(cluster.beliefs(30).0, [70, 90, 10]);
    cluster.thaw(&name(50));
    cluster.converge(10);
}

#[test]
fn every_node_leaves_in_turn_and_the_rest_stay_one_ring() {
    let mut cluster = Cluster::ideal(config(8, 3), &[10, 30, 50, 70, 90]);
    for (idx, at) in [30, 50, 10, 90].into_iter().enumerate() {
        cluster.must_leave(at);
        cluster.converge(5);
        assert_eq!(cluster.nodes().len(), 4 - idx);
    }
    assert!(cluster.view(70).is_alone());
}

#[test]
fn a_ring_says_that_it_is_small_up_to_r_members_and_not_with_one_more() {
    let positions = [10, 30, 50, 70, 90];
    for n_members in 1..=positions.len() {
        let cluster = Cluster::ideal(config(8, 3), &positions[..n_members]);
        for node in cluster.nodes() {
            assert_eq!(node.view().is_small(), n_members <= 3, "{n_members} members");
        }
    }
    let mut shortened = Cluster::new(config(8, 3));
    shortened.place(10, &[50, 70], Some(90));
    assert!(!shortened.view(10).is_small(), "a list that was shortened does not come round");
}

#[test]
fn a_forged_farewell_changes_nothing() {
    let forged = Request::Leave { from: peer(20), predecessor: Some(peer(25)), successors: peers(&[25]) }; // in truth 20 stays, and there is no 25
    for victims in [vec![10], vec![30], vec![10, 30], vec![30, 10]] {
        let mut cluster = Cluster::ideal(config(8, 2), &[10, 20, 30, 40]);
        for _ in 0..2 {
            for victim in &victims {
                let forged = Input::Request(Token(0), Some(cluster.config().ring().clone()), forged.clone());
                cluster.input(&name(*victim), forged);
            }
            assert!(cluster.is_ideal(), "{}", cluster.describe());
            assert_eq!(cluster.events(), []);
        }
    }
}
