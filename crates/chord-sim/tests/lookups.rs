//! Lookups against a dumb oracle: all members in a sorted list.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use std::collections::BTreeSet;

use chord_ring::*;
use chord_sim::*;
use proptest::prelude::*;
use support::*;

/// The members of a ring, sorted: who owns what can be read off.
struct Oracle {
    sorted: Vec<Peer>,
    size: RingSize,
}

impl Oracle {
    fn new(members: &BTreeSet<Peer>, size: RingSize) -> Self {
        Self { sorted: members.iter().cloned().collect(), size }
    }

    fn of_names(n_members: usize, salt: u32, size: RingSize) -> Self {
        let peer = |idx: usize| Peer::of_name(format!("host{salt}-{idx}:4567").parse().unwrap(), size);
        Self::new(&(0..n_members).map(peer).collect(), size)
    }

    /// The member `steps` after the one at `idx`.
    fn after(&self, idx: usize, steps: usize) -> &Peer {
        &self.sorted[(idx + steps) % self.sorted.len()]
    }

    /// The first member at or after `target` for which `lives` holds.
    fn owner(&self, target: Position, lives: impl Fn(&Peer) -> bool) -> &Peer {
        let first = self.sorted.partition_point(|peer| peer.position < target);
        (0..self.sorted.len()).map(|steps| self.after(first, steps)).find(|peer| lives(peer)).unwrap()
    }

    /// The ideal ring of these members, without fingers.
    fn cluster(&self, successors: u8) -> Cluster {
        let n_members = self.sorted.len();
        let mut cluster = Cluster::new(config(self.size.bits().into(), successors));
        for idx in 0..n_members {
            let n_listed = usize::from(successors).min(n_members - 1);
            let list: Vec<Peer> = (1..=n_listed).map(|steps| self.after(idx, steps).clone()).collect();
            let before = (n_members > 1).then(|| self.after(idx, n_members - 1).clone());
            cluster.place_peer(self.sorted[idx].clone(), &list, before);
        }
        assert!(cluster.is_ideal());
        cluster
    }

    /// Lets every node ask for its fingers, and answers as the ring would.
    fn teach_fingers(&self, cluster: &mut Cluster) {
        for node in cluster.nodes_mut() {
            let me = node.view().me().clone();
            for _ in 0..self.size.bits() {
                node.handle(Input::Wake(Wake::Maintain));
                let asked = std::iter::from_fn(|| node.poll()).find_map(|output| match output {
                    Output::Send(id, _, Request::FindSuccessor(question)) => Some((id, question.target)),
                    _ => None,
                });
                while node.poll().is_some() {}
                let Some((id, target)) = asked else { break };
                let owner = self.owner(target, |_| true).clone();
                let is_last =
                    owner == me || target == self.size.finger_start(me.position, self.size.bits() - 1);
                let path = vec![me.name.clone(), owner.name.clone()];
                node.handle(Input::Answer(
                    id,
                    Ok(Answer::Found(Found { owner, hops: 1, path, after: None, took: Vec::new() })),
                ));
                while node.poll().is_some() {}
                if is_last {
                    break;
                }
            }
        }
    }

    /// The positions of all members, those next to them, and more.
    fn targets(&self, more: &[[u8; 32]]) -> Vec<Position> {
        let mut targets = Vec::new();
        for peer in &self.sorted {
            let after = self.size.finger_start(peer.position, 0);
            // One before is as far away as all the powers of two together.
            let before = (0..self.size.bits()).fold(peer.position, |at, bit| self.size.finger_start(at, bit));
            assert_eq!(self.size.finger_start(before, 0), peer.position);
            targets.extend([before, peer.position, after]);
        }
        targets.extend(more.iter().map(|bytes| self.size.reduce(Position::from_be_bytes(*bytes))));
        targets
    }
}

/// The hop limit is made for rings with fingers; without any, a lookup may need more than that.
fn may_be_too_far(oracle: &Oracle, successors: u8) -> bool {
    oracle.sorted.len() / usize::from(successors) >= 2 * usize::from(oracle.size.bits())
}

fn look_up(cluster: &mut Cluster, asker: &Peer, target: Position) -> Result<Found, Failure> {
    cluster.look_up(&asker.name, Lookup::of(target))
}

fn check(oracle: &Oracle, cluster: &mut Cluster, asker: &Peer, target: Position) -> Found {
    let found = look_up(cluster, asker, target).unwrap();
    assert_eq!(found.owner, *oracle.owner(target, |_| true), "owner of {target} asked at {asker}");
    assert_eq!(found.path.first(), Some(&asker.name));
    assert_eq!(found.path.last(), Some(&found.owner.name));
    let distinct: BTreeSet<&NodeName> = found.path.iter().collect();
    assert_eq!(distinct.len(), found.path.len(), "{:?} repeats", found.path);
    assert_eq!(found.hops as usize, found.path.len() - 1);
    found
}

/// Looks all targets up, each from a few askers that are spread over the ring.
fn check_all(oracle: &Oracle, cluster: &mut Cluster, more: &[[u8; 32]], n_askers: usize) {
    let n_members = oracle.sorted.len();
    for (idx, target) in oracle.targets(more).into_iter().enumerate() {
        for asker in 0..n_askers.min(n_members) {
            let asker = oracle.after(idx * 7 + asker * n_members / n_askers, 0);
            check(oracle, cluster, asker, target);
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_lookup_in_an_ideal_ring_finds_the_owner(
        n_members in 1_usize..=200,
        salt: u32,
        successors in 1_u8..=8,
        has_fingers: bool,
        more in proptest::collection::vec(any::<[u8; 32]>(), 20),
    ) {
        let oracle = Oracle::of_names(n_members, salt, RingSize::new(160).unwrap());
        let mut cluster = oracle.cluster(successors);
        if has_fingers {
            oracle.teach_fingers(&mut cluster);
        }
        check_all(&oracle, &mut cluster, &more, if has_fingers { 4 } else { 1 });
    }

    #[test]
    fn every_lookup_from_everywhere_in_a_crowded_ring_finds_the_owner(
        positions in proptest::collection::btree_set(0_u64..64, 1..=64),
        successors in 1_u8..=4,
        has_fingers: bool,
    ) {
        let members: BTreeSet<Peer> = positions.iter().copied().map(peer).collect();
        let oracle = Oracle::new(&members, RingSize::new(6).unwrap());
        let mut cluster = oracle.cluster(successors);
        if has_fingers || may_be_too_far(&oracle, successors) {
            oracle.teach_fingers(&mut cluster);
        }
        for target in 0..64 {
            for asker in members.iter().step_by(1 + members.len() / 16) {
                check(&oracle, &mut cluster, asker, target.into());
            }
        }
    }

    #[test]
    fn a_ring_of_ten_bits_with_up_to_two_hundred_members_names_the_owner_of_every_position(
        positions in proptest::collection::btree_set(0_u64..1024, 1..=200),
        successors in 2_u8..=8,
    ) {
        let members: BTreeSet<Peer> = positions.iter().copied().map(peer).collect();
        let oracle = Oracle::new(&members, RingSize::new(10).unwrap());
        let mut cluster = oracle.cluster(successors);
        oracle.teach_fingers(&mut cluster);
        check_all(&oracle, &mut cluster, &[], 3);
    }

    #[test]
    fn lookups_go_round_dead_nodes_to_the_first_live_successor(
        n_members in 2_usize..=60,
        salt: u32,
        successors in 2_u8..=6,
        deaths in proptest::collection::vec(any::<bool>(), 60),
        has_fingers: bool,
        silent: bool,
        more in proptest::collection::vec(any::<[u8; 32]>(), 10),
    ) {
        let oracle = Oracle::of_names(n_members, salt, RingSize::new(160).unwrap());
        let mut cluster = oracle.cluster(successors);
        if has_fingers {
            oracle.teach_fingers(&mut cluster);
        }
        // Up to r - 1 dead in a row. The first one lives, so no run goes over the end.
        let mut run = 0;
        let mut dead = BTreeSet::new();
        for (member, dies) in oracle.sorted.iter().zip(&deaths).skip(1) {
            run = if *dies && run + 1 < successors { run + 1 } else { 0 };
            if run > 0 {
                dead.insert(member.clone());
            }
        }
        if dead.len() + 1 == n_members {
            return Ok(()); // The last one alive finds no route until it has dropped the dead.
        }
        for member in &dead {
            if silent {
                cluster.freeze(&member.name);
            } else {
                cluster.remove(&member.name);
            }
        }
        for target in oracle.targets(&more) {
            let owner = oracle.owner(target, |peer| !dead.contains(peer));
            for asker in oracle.sorted.iter().filter(|peer| !dead.contains(*peer)).step_by(1 + n_members / 8) {
                let found = look_up(&mut cluster, asker, target);
                let found = found.map_err(|failure| format!("{failure:?} {asker} {target} {dead:?}"));
                prop_assert_eq!(&found.unwrap().owner, owner, "{} asked at {}, dead {:?}", target, asker, dead);
            }
        }
    }

    #[test]
    fn lookups_end_whatever_the_nodes_believe(
        beliefs in proptest::collection::vec(
            (proptest::collection::vec(0_usize..12, 0..4), proptest::option::of(0_usize..12)),
            2..=12,
        ),
        target in 0_u64..64,
    ) {
        let at = |idx: usize| (idx as u64 * 5) % 64;
        let n_nodes = beliefs.len();
        let mut cluster = Cluster::new(config(6, 3));
        for (idx, (list, predecessor)) in beliefs.iter().enumerate() {
            let list: Vec<u64> = list.iter().map(|other| at(*other)).collect();
            cluster.place(at(idx), &list, predecessor.map(at));
        }
        for idx in 0..n_nodes {
            let before = cluster.n_requests();
            // `Cluster::look_up` asserts that no question comes to a node that was asked it on the way.
            match look_up(&mut cluster, &peer(at(idx)), target.into()) {
                Ok(found) => {
                    prop_assert!(found.hops as usize <= 2 * 6 + 3);
                    prop_assert!(cluster.named(&found.owner.name).is_some());
                    prop_assert_eq!(found.path.last(), Some(&found.owner.name));
                    let asked: BTreeSet<&NodeName> = found.path[1..].iter().collect();
                    prop_assert_eq!(asked.len(), found.path.len() - 1);
                }
                Err(Failure::Refused(Refusal::NoRoute | Refusal::HopLimit)) => {}
                Err(failure) => prop_assert!(false, "{:?}", failure),
            }
            let n_requests = cluster.n_requests() - before;
            prop_assert!(n_requests <= MESSAGES_MAX, "{} messages", n_requests);
        }
    }
}

/// Messages that one lookup among twelve nodes with arbitrary beliefs may cost: none of 128,000 such rings took more
/// than 60. Each branch that ends blind makes the one before try its next best.
const MESSAGES_MAX: usize = 60;

#[test]
fn a_lookup_that_is_too_long_ends_in_the_hop_limit_and_not_in_a_wrong_owner_or_a_flood() {
    let members: BTreeSet<Peer> = (0..64).map(peer).collect();
    let oracle = Oracle::new(&members, RingSize::new(6).unwrap());
    let mut cluster = oracle.cluster(1);
    let hops_max = 2 * 6 + 1;
    for target in 0..64_u64 {
        let before = cluster.n_requests();
        let found = look_up(&mut cluster, &peer(17), target.into());
        let distance = (target + 64 - 17) % 64;
        if distance <= hops_max {
            assert_eq!(found.unwrap().owner, peer(target));
        } else {
            assert_eq!(found, Err(Failure::Refused(Refusal::HopLimit)));
        }
        assert!(cluster.n_requests() - before <= 13);
    }
}

#[test]
fn an_asker_that_does_not_know_that_its_dead_predecessor_s_range_is_its_own_is_told_so() {
    let mut cluster = Cluster::ideal(config(8, 3), &[10, 20, 30, 40]);
    cluster.fail(20);
    let found = look_up(&mut cluster, &peer(30), 15.into()).unwrap();
    assert_eq!(found.owner, peer(30));
    assert_eq!(found.path, [name(30), name(10), name(30)]);
    assert_eq!(found.hops, 2);
}

#[test]
fn an_asker_without_a_predecessor_is_named_by_the_node_before_it() {
    let mut cluster = Cluster::ideal(config(8, 3), &[10, 20, 30, 40]);
    cluster.place(30, &[40, 10, 20], None);
    for target in [21, 30] {
        let found = look_up(&mut cluster, &peer(30), target.into()).unwrap();
        assert_eq!(found.owner, peer(30), "{:?}", found.path);
    }
}

#[test]
fn a_leaving_node_still_shows_lookups_the_way_to_its_successor() {
    let mut cluster = Cluster::ideal(config(8, 3), &[10, 20, 30, 40]);
    let node = cluster.nodes_mut().find(|node| *node.view().me() == peer(20)).unwrap();
    node.handle(Input::Command(Token(0), Command::Leave));
    while node.poll().is_some() {}
    for target in [15, 20, 25, 35, 5] {
        let owner = if target == 5 { 10 } else { (target / 10 + 1).max(3) * 10 };
        for asker in [10, 20, 30, 40] {
            assert_eq!(look_up(&mut cluster, &peer(asker), target.into()).unwrap().owner, peer(owner));
        }
    }
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the measure is for people")]
fn lookups_among_1024_nodes_take_about_half_of_log2_n_hops() {
    let oracle = Oracle::of_names(1024, 0, RingSize::new(160).unwrap());
    let mut cluster = oracle.cluster(8);
    oracle.teach_fingers(&mut cluster);
    let mut hops = 0;
    let mut hops_max = 0;
    let n_lookups = 4_096_u32;
    for idx in 0..n_lookups {
        let target = oracle.size.position_of(format!("key {idx}").as_bytes());
        let asker = oracle.after(idx as usize * 367, 0).clone();
        let found = check(&oracle, &mut cluster, &asker, target);
        hops += found.hops;
        hops_max = hops_max.max(found.hops);
    }
    let mean = f64::from(hops) / f64::from(n_lookups);
    println!("1,024 nodes, r = 8: mean {mean:.2} hops, at most {hops_max}; half of log2 N is 5.00");
    assert!(mean <= 5.1, "{mean}");
    assert!(hops_max <= 12, "{hops_max}");
}
