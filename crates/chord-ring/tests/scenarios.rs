//! The failing scenarios of the old Chord rules, T1 to T20 of `ring.md` section 4, under the corrected rules.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use chord_ring::*;
use proptest::prelude::*;
use support::oracle::Oracle;
use support::*;

/// Rounds within which a ring of at most 12 nodes is one again after a cut: a peer that was silent for long is
/// probed every 16 rounds (`2^BACKOFF_MAX`), several may wait for their turn, and each merge takes one round a node.
const ROUNDS_TO_MERGE: usize = 60;

/// Joins `at` through `contact` and lets it and its new predecessor stabilize: "incorporate" of `ring.md`.
fn incorporate(cluster: &mut Cluster, at: u64, contact: u64) {
    let token = cluster.join(at, contact);
    if cluster.phase(at) == Phase::Joining {
        cluster.maintain(contact); // The list to copy was short for a moment.
        cluster.retry_join(at);
    }
    assert_eq!(cluster.done.get(&token), Some(&Ok(())), "{at} joins through {contact}");
    cluster.maintain(at);
    cluster.maintain(contact);
}

fn owner(cluster: &mut Cluster, at: u64, target: u64) -> u64 {
    cluster.look_up(&name(at), Lookup::of(target.into())).unwrap().owner.position.to_string().parse().unwrap()
}

/// The first entry of the node's list that lives.
fn live_successor(cluster: &Cluster, at: u64) -> Option<u64> {
    Oracle::new(cluster).best(cluster.node(at).view()).map(short)
}

fn members(cluster: &Cluster) -> Vec<u64> {
    let mut members: Vec<u64> = cluster.nodes.values().map(|node| short(node.view().me())).collect();
    members.sort_unstable();
    members
}

fn principals(cluster: &Cluster) -> Vec<u64> {
    let members = members(cluster).into_iter();
    let principals = Oracle::new(cluster).principals();
    members.filter(|at| principals.contains(&Position::from(*at))).collect()
}

fn is_one_ordered_ring(cluster: &Cluster) -> bool {
    Oracle::new(cluster).is_one_ordered_ring()
}

#[test]
fn t01_a_joiner_passed_by_another_hangs_on_its_successor_only_until_the_next_rounds() {
    // Where 8 and 10 have joined 6 -> 16, and 6 has just adopted 10. In one go it would find 8 in the same round.
    let mut cluster = Cluster::new(6, 2);
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
    let mut cluster = Cluster::ideal(6, 2, &[5, 32, 44, 60]);
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
    let mut cluster = Cluster::new(6, 2);
    cluster.create(60);
    for at in [5, 32, 44] {
        let token = cluster.join(at, 60);
        assert_eq!(cluster.done[&token], Ok(()));
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
    let mut cluster = Cluster::ideal(6, 2, &[9, 17, 25, 50]);
    let token = cluster.join(13, 9);
    assert_eq!(cluster.done[&token], Ok(()));
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

    let mut cluster = Cluster::ideal(6, 2, &[5, 9, 22, 50]);
    cluster.fail(9);
    let token = cluster.join(7, 5);
    cluster.rounds(2);
    assert_eq!(cluster.done.get(&token), Some(&Ok(())));
    cluster.converge(4);
}

#[test]
fn t05_a_dead_predecessor_of_the_successor_is_not_adopted() {
    let mut cluster = Cluster::ideal(6, 2, &[6, 12, 40]);
    let token = cluster.join(10, 6);
    assert_eq!(cluster.done[&token], Ok(()));
    assert_eq!(cluster.beliefs(12).1, Some(10));
    cluster.fail(10);
    cluster.maintain(6);
    assert_eq!(cluster.beliefs(6).0, [12, 40]);
    cluster.converge(3);
}

#[test]
fn t06_losing_every_second_member_of_a_ring_of_six_keeps_the_rest_in_order() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 18, 40]);
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
    let mut cluster = Cluster::ideal(6, 2, &[25, 60]);
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
    let mut cluster = Cluster::ideal(6, 2, &[10, 20, 30, 40]);
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
        let mut cluster = Cluster::new(6, 2);
        cluster.place(62, &[48], Some(48));
        cluster.place(37, &[48], Some(48));
        cluster.rounds(30); // 48 is dead
        for at in [62, 37] {
            assert!(cluster.node(at).view().is_alone(), "nobody told {at} of the other");
            assert_eq!(cluster.node(at).remembered().names().collect::<Vec<_>>(), [&name(48)]);
        }
        match comes_back_by {
            None => cluster.create(48),
            Some(contact) => {
                let token = cluster.join(48, contact);
                assert_eq!(cluster.done[&token], Ok(()));
            }
        }
        cluster.converge(ROUNDS_TO_MERGE);
        assert_eq!(members(&cluster), [37, 48, 62]);
    }
}

#[test]
fn t08_joiners_learn_of_each_other_at_once_and_survive_the_first_member() {
    let mut cluster = Cluster::new(6, 2);
    cluster.create(48);
    for at in [62, 37] {
        let token = cluster.join(at, 48);
        assert_eq!(cluster.done[&token], Ok(()));
    }
    cluster.maintain(48);
    cluster.fail(48);
    cluster.converge(4);
    assert_eq!(members(&cluster), [37, 62]);
}

#[test]
fn t08_a_survivor_that_is_known_only_as_a_predecessor_is_not_lost_when_a_closer_one_comes() {
    let mut cluster = Cluster::new(6, 2);
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
    let mut cluster = Cluster::new(6, 2);
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
fn t10_fast_rejoins_wait_until_the_ring_has_dropped_the_earlier_lives() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 1, 2, 3]);
    cluster.fail(0);
    let first = cluster.join(0, 3);
    cluster.fail(2);
    let second = cluster.join(2, 1);
    assert_eq!(cluster.phase(0), Phase::Joining);
    assert_eq!(cluster.phase(2), Phase::Joining);
    cluster.rounds(4);
    assert_eq!(cluster.done.get(&first), Some(&Ok(())));
    assert_eq!(cluster.done.get(&second), Some(&Ok(())));
    cluster.converge(4);
    assert_eq!(members(&cluster), [0, 1, 2, 3]);
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

#[test]
fn t11_the_ring_of_five_survives_the_two_failures() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 1, 2, 3, 4]);
    cluster.fail(0);
    cluster.maintain(4);
    cluster.fail(1);
    cluster.maintain(4);
    assert_eq!(live_successor(&cluster, 4), Some(2));
    cluster.converge(4);
}

#[test]
fn t12_the_predecessor_of_a_leaver_takes_its_whole_list() {
    let mut cluster = Cluster::new(6, 2);
    cluster.place(0, &[1, 2], Some(4));
    cluster.place(1, &[2, 0], Some(0));
    cluster.place(2, &[3, 0], Some(1));
    cluster.place(3, &[4, 0], Some(2));
    cluster.place(4, &[0, 1], Some(3));
    assert_eq!(principals(&cluster), [0, 1, 2]);
    cluster.leave(3);
    assert_eq!(cluster.beliefs(2).0, [4, 0]);
    assert_eq!(cluster.beliefs(4).1, Some(2));
    assert!(principals(&cluster).len() >= 3);
    cluster.converge(3);
}

#[test]
fn t12_members_that_leave_one_after_the_other_without_a_pause_never_split_the_ring() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 1, 2, 3, 4, 5]);
    for at in [3, 0, 4, 1] {
        cluster.leave(at);
        assert!(is_one_ordered_ring(&cluster), "after {at} left:\n{}", cluster.describe());
    }
    cluster.converge(3);
    assert_eq!(cluster.beliefs(2), (vec![5], Some(5)));
}

#[test]
fn t13_repeated_failures_and_rejoins_below_the_minimum_size_leave_one_ring() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 1, 2, 3]);
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
        let mut cluster = Cluster::new(6, 2);
        cluster.place(0, &[1], Some(1)); // 1 is dead
        cluster.place(3, &[1], Some(1));
        cluster.rounds(3);
        assert!(cluster.node(0).view().is_alone() && cluster.node(3).view().is_alone());
        cluster.command(&name(who), Command::Remember(name(whom)));
        cluster.converge(4);
    }
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
    assert_eq!(joiner.beliefs().0, [4], "the ring's far side, from where the predecessors lead back to 2");
}

#[test]
fn t14_the_ring_takes_a_joiner_in_whose_whole_list_has_died() {
    let mut cluster = Cluster::ideal(6, 2, &[1, 2, 3, 4]);
    cluster.place(0, &[1], Some(4));
    cluster.fail(1);
    cluster.maintain(0);
    assert_eq!(live_successor(&cluster, 0), None);
    cluster.converge(6);
    assert_eq!(members(&cluster), [0, 2, 3, 4]);
}

#[test]
fn t15_live_heads_that_everybody_dropped_come_back() {
    let mut three = Cluster::new(6, 2);
    three.place(0, &[2], Some(2));
    three.place(1, &[0], Some(0));
    three.place(2, &[1], Some(1));
    assert!(!is_one_ordered_ring(&three));
    three.converge(6);
    let mut four = Cluster::new(6, 2);
    four.place(0, &[2, 3], Some(3));
    four.place(1, &[3, 0], Some(0));
    four.place(2, &[0, 1], Some(1));
    four.place(3, &[1, 2], Some(2));
    assert!(!is_one_ordered_ring(&four));
    four.converge(6);
}

#[test]
fn t16_the_halves_of_a_cut_ring_become_one_again() {
    let mut cluster = Cluster::ideal(6, 3, &[0, 10, 20, 30, 40, 50]);
    for one in [0, 20, 40] {
        for other in [10, 30, 50] {
            cluster.cut_off(one, other);
        }
    }
    cluster.rounds(20);
    assert_eq!(cluster.beliefs(0), (vec![20, 40], Some(40)), "two rings of their own");
    assert_eq!(cluster.beliefs(10), (vec![30, 50], Some(50)));
    cluster.cut.clear();
    cluster.converge(ROUNDS_TO_MERGE);
    assert!(cluster.events.iter().any(|(_, event)| matches!(event, Event::Merging(_))));
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
        let mut cluster = Cluster::ideal(6, successors, &positions);
        for (one, side) in positions.iter().zip(&sides) {
            for (other, _) in positions.iter().zip(&sides).filter(|(_, theirs)| *theirs != side) {
                cluster.cut_off(*one, *other);
            }
        }
        cluster.rounds(rounds_cut);
        cluster.cut.clear();
        cluster.converge(ROUNDS_TO_MERGE);
    }
}

#[test]
fn t17_a_notified_node_replaces_a_dead_predecessor() {
    let mut cluster = Cluster::ideal(6, 2, &[0, 1, 2, 3]);
    cluster.fail(3);
    cluster.maintain(2);
    assert_eq!(cluster.beliefs(2).0, [0, 1]);
    assert_eq!(cluster.beliefs(0).1, Some(2));
    cluster.converge(3);
}

#[test]
fn t18_a_node_alone_takes_everybody_for_closer() {
    let mut cluster = Cluster::new(6, 2);
    cluster.place(5, &[5, 5], Some(5));
    assert!(cluster.node(5).view().is_alone(), "a pointer to itself is no pointer");
    let token = cluster.join(9, 5);
    assert_eq!(cluster.done[&token], Ok(()));
    assert_eq!(cluster.beliefs(5), (vec![9], Some(9)));
    assert!(cluster.is_ideal());
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
