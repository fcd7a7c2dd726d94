//! Ideal rings that are made at once, against those that nodes make for themselves.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use chord_ring::*;
use chord_sim::{Circle, Crowded, Ending, IdealRing, Still, Style, draw_position};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

fn config(bits: u64, successors: u8) -> Config {
    let ring = RingTag { name: RingName::default(), size: RingSize::new(bits).unwrap() };
    Config::new(ring).with_successors(successors).unwrap()
}

fn drawn(bits: u64, successors: u8, n_nodes: usize, seed: u64) -> IdealRing {
    IdealRing::drawn(&config(bits, successors), n_nodes, &mut Pcg64Mcg::seed_from_u64(seed)).unwrap()
}

/// Lets a node look all of its fingers up, and answers as the ring would: what it knows then.
fn learned_fingers(ring: &IdealRing, place: usize) -> Fingers {
    let view = &ring.views()[place];
    let (me, successors) = (view.me().clone(), view.successors().as_slice());
    let config = view.config().clone();
    let mut node = Node::member(config, me.clone(), Incarnation(0), view.predecessor().cloned(), successors);
    for _ in 0..=ring.size().bits() {
        node.handle(Input::Wake(Wake::Maintain));
        let asked = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
            Output::Send(id, _, Request::FindSuccessor(question)) => Some((id, question.target)),
            _ => None,
        });
        let Some((id, target)) = asked else { break };
        while node.poll().is_some() {}
        let owner = ring.views()[ring.owner(target)].me().clone();
        let path = vec![me.name.clone(), owner.name.clone()];
        node.handle(Input::Answer(
            id,
            Ok(Answer::Found(Found { owner, hops: 1, path, after: None, took: Vec::new() })),
        ));
        while node.poll().is_some() {}
    }
    node.view().fingers().clone()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_fingers_of_an_ideal_ring_are_those_that_its_nodes_look_up(
        positions in proptest::collection::btree_set(0_u64..1024, 1..=80),
        successors in 1_u8..=8,
    ) {
        let peer = |at: u64| Peer { position: at.into(), name: format!("node{at}:1").parse().unwrap() };
        let ring = IdealRing::new(&config(10, successors), positions.into_iter().map(peer).collect()).unwrap();
        prop_assert!(is_ideal(ring.views()));
        for (place, view) in ring.views().iter().enumerate() {
            prop_assert_eq!(view.fingers(), &learned_fingers(&ring, place), "{:?}", view.me());
            prop_assert_eq!(ring.place(view.me()), place);
        }
    }

    #[test]
    fn the_owner_seen_from_outside_is_the_only_node_that_takes_itself_for_it(
        n_nodes in 1_usize..=60,
        seed: u64,
        bytes: [u8; 32],
    ) {
        let ring = drawn(160, 3, n_nodes, seed);
        let target = ring.size().reduce(Position::from_be_bytes(bytes));
        let owners: Vec<usize> = (0..n_nodes).filter(|place| ring.views()[*place].owns(target)).collect();
        prop_assert_eq!(owners, [ring.owner(target)]);
    }

    #[test]
    fn every_way_to_look_up_ends_at_the_first_live_node(
        n_nodes in 2_usize..=200,
        seed: u64,
        failing in 0.0_f64..0.4,
    ) {
        let ring = drawn(160, 20, n_nodes, seed);
        let book = ring.clone().without_predecessors();
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut dead: Vec<bool> = (0..n_nodes).map(|_| random.random_bool(failing)).collect();
        dead[0] = false;
        for _ in 0..20 {
            let target = draw_position(ring.size(), &mut random);
            for still in [
                Still::new(&ring, Style::Recursive, Ending::Claimed),
                Still::new(&ring, Style::Iterative, Ending::Believed),
                Still::new(&book, Style::Recursive, Ending::Believed),
                Still::new(&book, Style::Iterative, Ending::Believed),
                Still::new(&book, Style::Iterative, Ending::BelievedOfNext),
            ] {
                let still = still.with_dead(&dead);
                let route = still.look_up(0, target);
                // With everybody else dead there is nobody to ask.
                if still.n_alive() > 1 {
                    prop_assert_eq!(route.owner.ok(), still.owner(target), "{:?}", route.contacts);
                }
                prop_assert!(route.contacts.iter().all(|place| !dead[*place]));
            }
        }
    }
}

#[test]
fn an_iterative_lookup_waits_for_no_dead_node_twice() {
    let ring = drawn(160, 20, 1_000, 7);
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let dead: Vec<bool> = (0..1_000).map(|place| place > 0 && random.random_bool(0.5)).collect();
    let timeouts = |style| {
        let still = Still::new(&ring, style, Ending::Believed).with_dead(&dead);
        let mut random = Pcg64Mcg::seed_from_u64(8);
        (0..300).map(|_| still.look_up(0, draw_position(ring.size(), &mut random)).timeouts).sum::<u32>()
    };
    assert!(timeouts(Style::Iterative) < timeouts(Style::Recursive));
}

#[test]
fn nodes_that_do_not_fit_on_the_ring_are_refused_with_the_remedy() {
    let crowded = IdealRing::drawn(&config(4, 2), 17, &mut Pcg64Mcg::seed_from_u64(1)).unwrap_err();
    assert_eq!(crowded, Crowded { n_nodes: 17, size: RingSize::new(4).unwrap() });
    assert!(crowded.to_string().ends_with("use fewer nodes, or a larger ring size"), "{crowded}");
}

#[test]
fn a_position_belongs_to_the_first_at_or_after_it() {
    let circle = Circle::new([30, 10, 20].map(Position::from).into());
    let owner = |target: u64| circle.at(circle.owner(target.into()));
    for (target, expected) in [(0, 10_u64), (10, 10), (11, 20), (20, 20), (30, 30), (31, 10)] {
        assert_eq!(owner(target), expected.into());
    }
}
