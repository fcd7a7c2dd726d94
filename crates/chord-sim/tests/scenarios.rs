//! The failing scenarios of the old Chord rules, T1 to T20 of `ring.md` section 4, under the corrected rules.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use chord_ring::*;
use chord_sim::*;
use proptest::prelude::*;
use support::*;

/// Rounds within which a ring of at most 12 nodes is one again after a cut: a peer that was silent for long is
/// probed every 4 rounds (`2^BACKOFF_MAX`), several may wait for their turn, and each merge takes one round a node.
const ROUNDS_TO_MERGE: usize = 60;

/// Joins `at` through `contact` and lets it and its new predecessor stabilize: "incorporate" of `ring.md`.
fn incorporate(cluster: &mut Cluster, at: u64, contact: u64) {
    let token = cluster.join(at, contact);
    if cluster.phase(at) == Phase::Joining {
        cluster.maintain(contact); // The list to copy was number for a moment.
        cluster.retry_join(at);
    }
    assert_eq!(cluster.outcome(token), Some(&Ok(())), "{at} joins through {contact}");
    cluster.maintain(at);
    cluster.maintain(contact);
}

fn owner(cluster: &mut Cluster, at: u64, target: u64) -> u64 {
    cluster.look_up(&name(at), Lookup::of(target.into())).unwrap().owner.position.to_string().parse().unwrap()
}

/// The first entry of the node's list that lives.
fn live_successor(cluster: &Cluster, at: u64) -> Option<u64> {
    cluster.oracle().best(cluster.view(at)).map(number)
}

fn members(cluster: &Cluster) -> Vec<u64> {
    let mut members: Vec<u64> = cluster.nodes().map(|node| number(node.view().me())).collect();
    members.sort_unstable();
    members
}

fn principals(cluster: &Cluster) -> Vec<u64> {
    let members = members(cluster).into_iter();
    let principals = cluster.oracle().principals();
    members.filter(|at| principals.contains(&Position::from(*at))).collect()
}

fn is_one_ordered_ring(cluster: &Cluster) -> bool {
    cluster.oracle().is_one_ordered_ring()
}

#[test]
fn t01_a_joiner_passed_by_another_hangs_on_its_successor_only_until_the_next_rounds() {
    // Where 8 and 10 have joined 6 -> 16, and 6 has just adopted 10. In one go it would find 8 in the same round.
    let mut cluster = Cluster::new(config(6, 2));
    cluster.place(6, &[10, 16], Some(16));
    cluster.place(8, &[16, 6], Some(6));
    cluster.place(10, &[16, 6], Some(8));
    cluster.place(16, &[6, 10], Some(10));
    assert_eq!(live_successor(&cluster, 6), Some(10), "8 is passed over");
    assert_eq!(live_successor(&cluster, 8), Some(16), "8 hangs on 16");
    for asker in [6, 8] {
        for target in 7..=16 {
            let expected = [8, 10, 16].into_iter().find(|member| *member >= target);
            let found = owner(&mut cluster, asker, target);
            assert_eq!(Some(found), expected, "the node that is named knows better than who named it");
        }
    }
    cluster.converge(4);
}

#[test]
fn t02_an_ordered_ring_stays_ordered_when_the_first_member_fails() {
    let mut cluster = Cluster::ideal(config(6, 2), &[5, 32, 44, 60]);
    cluster.fail(60);
    assert!(is_one_ordered_ring(&cluster));
    for at in [32, 44, 5] {
        cluster.maintain(at);
        assert!(is_one_ordered_ring(&cluster), "{}", cluster.describe());
    }
    cluster.converge(3);
}

#[test]
fn t02_a_ring_grown_from_one_member_survives_that_member() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.must_create(60);
    for at in [5, 32, 44] {
        let token = cluster.join(at, 60);
        assert_eq!(cluster.outcome(token), Some(&Ok(())));
    }
    for at in [32, 60, 44, 5, 32, 44] {
        cluster.maintain(at);
    }
    cluster.fail(60);
    cluster.maintain(32);
    cluster.maintain(44);
    cluster.maintain(44);
    cluster.converge(6);
}

#[test]
fn t03_lists_name_the_joiner_beyond_the_next_so_that_a_failure_ejects_nobody() {
    let mut cluster = Cluster::ideal(config(6, 2), &[9, 17, 25, 50]);
    let token = cluster.join(13, 9);
    assert_eq!(cluster.outcome(token), Some(&Ok(())));
    incorporate(&mut cluster, 20, 17);
    cluster.maintain(9);
    cluster.maintain(13);
    cluster.maintain(9);
    assert_eq!(cluster.beliefs(13).0, [17, 20]);
    cluster.fail(17);
    cluster.maintain(13);
    assert_eq!(cluster.beliefs(13).0, [20, 25]);
    assert!(is_one_ordered_ring(&cluster), "{}", cluster.describe());
    cluster.converge(4);
}

#[test]
fn t04_a_joiner_copies_the_whole_list_so_that_a_dead_head_does_not_strand_it() {
    let mut cluster = Cluster::ideal(config(6, 2), &[5, 9, 22, 50]);
    cluster.fail(9);
    let token = cluster.join(7, 5);
    cluster.rounds(2);
    assert_eq!(cluster.outcome(token), Some(&Ok(())));
    cluster.converge(4);
}

#[test]
fn t05_a_dead_predecessor_of_the_successor_is_not_adopted() {
    let mut cluster = Cluster::ideal(config(6, 2), &[6, 12, 40]);
    let token = cluster.join(10, 6);
    assert_eq!(cluster.outcome(token), Some(&Ok(())));
    assert_eq!(cluster.beliefs(12).1, Some(10));
    cluster.fail(10);
    cluster.maintain(6);
    assert_eq!(cluster.beliefs(6).0, [12, 40]);
    cluster.converge(3);
}

#[test]
fn t06_losing_every_second_member_of_a_ring_of_six_keeps_the_rest_in_order() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 18, 40]);
    for (at, contact) in [(5, 0), (21, 18), (49, 40)] {
        incorporate(&mut cluster, at, contact);
    }
    for at in [5, 21, 49] {
        cluster.fail(at);
    }
    for (at, next) in [(0, 18), (18, 40), (40, 0)] {
        cluster.maintain(at);
        assert_eq!(live_successor(&cluster, at), Some(next));
    }
    assert_eq!(principals(&cluster), [0, 18, 40]);
    cluster.converge(4);
}

#[test]
fn t07_two_members_whose_joiners_fail_stay_one_ring() {
    let mut cluster = Cluster::ideal(config(6, 2), &[25, 60]);
    incorporate(&mut cluster, 31, 25);
    incorporate(&mut cluster, 19, 60);
    cluster.fail(31);
    cluster.fail(19);
    cluster.maintain(25);
    cluster.maintain(60);
    assert_eq!(live_successor(&cluster, 25), Some(60));
    assert_eq!(live_successor(&cluster, 60), Some(25));
    cluster.converge(4);
}

#[test]
fn t07_losing_every_second_member_of_a_ring_of_eight_leaves_one_ring_of_four() {
    let mut cluster = Cluster::ideal(config(6, 2), &[10, 20, 30, 40]);
    for (at, contact) in [(15, 10), (25, 20), (35, 30), (45, 40)] {
        incorporate(&mut cluster, at, contact);
    }
    for at in [15, 25, 35, 45] {
        cluster.fail(at);
    }
    for (at, next) in [(10, 20), (20, 30), (30, 40), (40, 10)] {
        cluster.maintain(at);
        assert_eq!(live_successor(&cluster, at), Some(next));
    }
    cluster.converge(4);
}

#[test]
fn t08_survivors_that_never_learned_of_each_other_become_one_ring_when_the_first_member_is_back() {
    for comes_back_by in [None, Some(62), Some(37)] {
        let mut cluster = Cluster::new(config(6, 2));
        cluster.place(62, &[48], Some(48));
        cluster.place(37, &[48], Some(48));
        cluster.rounds(30); // 48 is dead
        for at in [62, 37] {
            assert!(cluster.view(at).is_alone(), "nobody told {at} of the other");
            assert_eq!(cluster.node(at).unwrap().remembered().names().collect::<Vec<_>>(), [&name(48)]);
        }
        match comes_back_by {
            None => cluster.must_create(48),
            Some(contact) => {
                let token = cluster.join(48, contact);
                assert_eq!(cluster.outcome(token), Some(&Ok(())));
            }
        }
        cluster.converge(ROUNDS_TO_MERGE);
        assert_eq!(members(&cluster), [37, 48, 62]);
    }
}

#[test]
fn t08_joiners_learn_of_each_other_at_once_and_survive_the_first_member() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.must_create(48);
    for at in [62, 37] {
        let token = cluster.join(at, 48);
        assert_eq!(cluster.outcome(token), Some(&Ok(())));
    }
    cluster.maintain(48);
    cluster.fail(48);
    cluster.converge(4);
    assert_eq!(members(&cluster), [37, 62]);
}

#[test]
fn t08_a_survivor_that_is_known_only_as_a_predecessor_is_not_lost_when_a_closer_one_comes() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.place(49, &[], None);
    cluster.place(51, &[55, 2], None);
    cluster.place(54, &[55, 2], Some(49));
    cluster.place(55, &[2, 51], Some(54));
    cluster.place(2, &[51, 54], Some(55));
    cluster.maintain(51); // its head's predecessor is 54, which takes 51 for its predecessor now
    assert_eq!(cluster.beliefs(54).1, Some(51));
    cluster.converge(ROUNDS_TO_MERGE);
    assert_eq!(members(&cluster), [2, 49, 51, 54, 55]);
}

#[test]
fn t09_a_state_without_principals_is_recognised_and_heals_through_the_predecessors() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.place(3, &[20, 31], Some(52));
    cluster.place(20, &[31, 52], Some(3));
    cluster.place(31, &[52, 3], Some(20));
    cluster.place(52, &[3, 45], Some(45));
    cluster.place(45, &[20, 31], Some(31));
    assert_eq!(principals(&cluster), [0; 0], "the state breaks SufficientPrincipals: outside of the proof");
    cluster.fail(3);
    cluster.maintain(52);
    assert_ne!(live_successor(&cluster, 52), Some(45), "the two-turn ring 52, 45, 20 of the original rule");
    cluster.converge(6);
}

#[test]
fn t10_fast_rejoins_wait_until_the_ring_has_dropped_the_earlier_lives() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 1, 2, 3]);
    cluster.fail(0);
    let first = cluster.join(0, 3);
    cluster.fail(2);
    let second = cluster.join(2, 1);
    assert_eq!(cluster.phase(0), Phase::Joining);
    assert_eq!(cluster.phase(2), Phase::Joining);
    cluster.rounds(4);
    assert_eq!(cluster.outcome(first), Some(&Ok(())));
    assert_eq!(cluster.outcome(second), Some(&Ok(())));
    cluster.converge(4);
    assert_eq!(members(&cluster), [0, 1, 2, 3]);
}

#[test]
fn t11_the_ring_of_five_survives_the_two_failures() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 1, 2, 3, 4]);
    cluster.fail(0);
    cluster.maintain(4);
    cluster.fail(1);
    cluster.maintain(4);
    assert_eq!(live_successor(&cluster, 4), Some(2));
    cluster.converge(4);
}

#[test]
fn t12_the_predecessor_of_a_leaver_takes_its_whole_list() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.place(0, &[1, 2], Some(4));
    cluster.place(1, &[2, 0], Some(0));
    cluster.place(2, &[3, 0], Some(1));
    cluster.place(3, &[4, 0], Some(2));
    cluster.place(4, &[0, 1], Some(3));
    assert_eq!(principals(&cluster), [0, 1, 2]);
    cluster.must_leave(3);
    assert_eq!(cluster.beliefs(2).0, [4, 0]);
    assert_eq!(cluster.beliefs(4).1, Some(2));
    assert!(principals(&cluster).len() >= 3);
    cluster.converge(3);
}

#[test]
fn t12_members_that_leave_one_after_the_other_without_a_pause_never_split_the_ring() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 1, 2, 3, 4, 5]);
    for at in [3, 0, 4, 1] {
        cluster.must_leave(at);
        assert!(is_one_ordered_ring(&cluster), "after {at} left:\n{}", cluster.describe());
    }
    cluster.converge(3);
    assert_eq!(cluster.beliefs(2), (vec![5], Some(5)));
}

#[test]
fn t13_repeated_failures_and_rejoins_below_the_minimum_size_leave_one_ring() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 1, 2, 3]);
    cluster.fail(0);
    cluster.fail(2);
    cluster.maintain(1);
    cluster.maintain(3);
    for (at, contact) in [(0, 3), (2, 1)] {
        cluster.join(at, contact);
        cluster.maintain(contact);
    }
    cluster.rounds(2);
    cluster.fail(2);
    cluster.maintain(1);
    cluster.maintain(0);
    cluster.fail(1);
    cluster.converge(ROUNDS_TO_MERGE);
    assert_eq!(members(&cluster), [0, 3]);
}

#[test]
fn t13_the_two_singletons_become_one_ring_if_one_remembers_the_other() {
    for (who, whom) in [(0, 3), (3, 0)] {
        let mut cluster = Cluster::new(config(6, 2));
        cluster.place(0, &[1], Some(1)); // 1 is dead
        cluster.place(3, &[1], Some(1));
        cluster.rounds(3);
        assert!(cluster.view(0).is_alone() && cluster.view(3).is_alone());
        cluster.command(&name(who), Command::Remember(name(whom)));
        cluster.converge(4);
    }
}

#[test]
fn t14_the_ring_takes_a_joiner_in_whose_whole_list_has_died() {
    let mut cluster = Cluster::ideal(config(6, 2), &[1, 2, 3, 4]);
    cluster.place(0, &[1], Some(4));
    cluster.fail(1);
    cluster.maintain(0);
    assert_eq!(live_successor(&cluster, 0), None);
    cluster.converge(6);
    assert_eq!(members(&cluster), [0, 2, 3, 4]);
}

#[test]
fn t15_live_heads_that_everybody_dropped_come_back() {
    let mut three = Cluster::new(config(6, 2));
    three.place(0, &[2], Some(2));
    three.place(1, &[0], Some(0));
    three.place(2, &[1], Some(1));
    assert!(!is_one_ordered_ring(&three));
    three.converge(6);
    let mut four = Cluster::new(config(6, 2));
    four.place(0, &[2, 3], Some(3));
    four.place(1, &[3, 0], Some(0));
    four.place(2, &[0, 1], Some(1));
    four.place(3, &[1, 2], Some(2));
    assert!(!is_one_ordered_ring(&four));
    four.converge(6);
}

#[test]
fn t16_the_halves_of_a_cut_ring_become_one_again() {
    let mut cluster = Cluster::ideal(config(6, 3), &[0, 10, 20, 30, 40, 50]);
    for one in [0, 20, 40] {
        for other in [10, 30, 50] {
            cluster.cut_off(one, other);
        }
    }
    cluster.rounds(20);
    assert_eq!(cluster.beliefs(0), (vec![20, 40], Some(40)), "two rings of their own");
    assert_eq!(cluster.beliefs(10), (vec![30, 50], Some(50)));
    cluster.heal();
    cluster.converge(ROUNDS_TO_MERGE);
    assert!(cluster.events().iter().any(|(_, event)| matches!(event, Event::Merging(_))));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn t16_any_ring_cut_in_two_for_any_time_becomes_one_again(
        positions in proptest::collection::btree_set(0_u64..64, 2..=12),
        sides in proptest::collection::vec(any::<bool>(), 12),
        successors in 3_u8..=4,
        rounds_cut in 1_usize..30,
    ) {
        let positions: Vec<u64> = positions.into_iter().collect();
        let mut cluster = Cluster::ideal(config(6, successors), &positions);
        for (one, side) in positions.iter().zip(&sides) {
            for (other, _) in positions.iter().zip(&sides).filter(|(_, theirs)| *theirs != side) {
                cluster.cut_off(*one, *other);
            }
        }
        cluster.rounds(rounds_cut);
        cluster.heal();
        cluster.converge(ROUNDS_TO_MERGE);
    }
}

#[test]
fn t17_a_notified_node_replaces_a_dead_predecessor() {
    let mut cluster = Cluster::ideal(config(6, 2), &[0, 1, 2, 3]);
    cluster.fail(3);
    cluster.maintain(2);
    assert_eq!(cluster.beliefs(2).0, [0, 1]);
    assert_eq!(cluster.beliefs(0).1, Some(2));
    cluster.converge(3);
}

#[test]
fn t18_a_node_alone_takes_everybody_for_closer() {
    let mut cluster = Cluster::new(config(6, 2));
    cluster.place(5, &[5, 5], Some(5));
    assert!(cluster.view(5).is_alone(), "a pointer to itself is no pointer");
    let token = cluster.join(9, 5);
    assert_eq!(cluster.outcome(token), Some(&Ok(())));
    assert_eq!(cluster.beliefs(5), (vec![9], Some(9)));
    assert!(cluster.is_ideal());
}
