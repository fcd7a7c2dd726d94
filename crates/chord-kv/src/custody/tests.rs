use super::*;

fn peer(at: u64) -> Peer {
    Peer { position: at.into(), name: format!("h{at}:1").parse().unwrap() }
}

/// A node at `me` that has joined between two others.
fn joined(me: u64, before: u64, former: u64) -> Custody {
    let mut custody = Custody::new(me.into());
    custody.join(Some(&peer(before)), Some(&peer(former)));
    custody
}

/// A node between two others that has everything, and for which its predecessor has vouched.
fn settled(me: u64, before: u64, head: u64) -> Custody {
    let mut custody = joined(me, before, head);
    vouch(&mut custody);
    let mut pull = custody.pull(&[]).unwrap();
    ask(&mut pull, &[head], &[(head, me)]);
    custody.learn(&pull);
    assert!(custody.is_complete());
    custody
}

fn vouch(custody: &mut Custody) {
    let question = custody.question().expect("there is something to ask");
    custody.vouch(&question);
}

fn answers(custody: &Custody, targets: &[u64]) -> Vec<u64> {
    targets.iter().copied().filter(|target| custody.answers_for((*target).into())).collect()
}

/// Asks all holders; `before` is the ring as each knows it. Returns whom it asked.
fn ask(pull: &mut Pull, settled: &[u64], before: &[(u64, u64)]) -> Vec<Peer> {
    let before_of =
        |asked: &Peer| before.iter().find(|(at, _)| peer(*at) == *asked).map(|(_, before)| peer(*before));
    let mut asked = Vec::new();
    while let Some(holder) = pull.ask_next() {
        pull.answered(rest(settled.iter().any(|at| peer(*at) == holder), before_of(&holder)));
        asked.push(holder);
    }
    asked
}

fn rest(is_settled: bool, before: Option<Peer>) -> Rest {
    Rest { is_settled, was_passed_by: false, before }
}

mod vouching {
    use super::*;

    const TARGETS: [u64; 6] = [5, 10, 15, 20, 25, 30];

    #[test]
    fn a_founder_answers_for_everything() {
        let mut custody = Custody::new(20.into());
        assert_eq!(answers(&custody, &TARGETS), []);
        custody.join(None, None);
        assert_eq!(answers(&custody, &TARGETS), TARGETS);
        assert!(custody.is_complete() && custody.question().is_none() && custody.pull(&[]).is_none());
    }

    #[test]
    fn a_newcomer_answers_for_nothing_until_its_predecessor_vouches() {
        let mut custody = joined(20, 10, 30);
        assert_eq!(answers(&custody, &TARGETS), []);
        assert_eq!(custody.question().unwrap().predecessor, peer(10));
        vouch(&mut custody);
        assert_eq!(answers(&custody, &TARGETS), [15, 20]);
        assert_eq!(custody.question(), None);
    }

    #[test]
    fn a_closer_predecessor_takes_its_part_at_once_and_unasked() {
        let mut custody = settled(20, 10, 30);
        custody.set_neighbours(Some(&peer(15)), Some(&peer(30)));
        assert_eq!(answers(&custody, &TARGETS), [20]);
        assert_eq!(custody.question(), None);
        assert!(custody.is_complete());
    }

    #[test]
    fn the_first_to_join_a_founder_takes_its_part_at_once() {
        let mut custody = Custody::new(20.into());
        custody.join(None, None);
        custody.set_neighbours(Some(&peer(10)), Some(&peer(10)));
        assert_eq!(answers(&custody, &TARGETS), [15, 20]);
        assert!(custody.is_complete() && custody.question().is_none());
    }

    #[test]
    fn the_end_of_a_predecessor_takes_nothing_and_gives_nothing_before_the_next_one_vouches() {
        let mut custody = settled(20, 10, 30);
        custody.set_neighbours(None, Some(&peer(30)));
        assert_eq!(answers(&custody, &TARGETS), [15, 20]);
        assert_eq!(custody.question(), None);
        custody.set_neighbours(Some(&peer(5)), Some(&peer(30)));
        assert_eq!(answers(&custody, &TARGETS), [15, 20]);
        vouch(&mut custody);
        assert_eq!(answers(&custody, &TARGETS), [10, 15, 20]);
        assert_eq!(custody.farthest(), Some(&peer(30)), "a leaver may have given records to another heir");
    }

    #[test]
    fn the_word_of_a_former_predecessor_does_not_count() {
        let mut custody = joined(20, 10, 30);
        let late = custody.question().unwrap();
        custody.set_neighbours(Some(&peer(15)), Some(&peer(30)));
        custody.vouch(&late);
        assert_eq!(answers(&custody, &TARGETS), []);
        vouch(&mut custody);
        assert_eq!(answers(&custody, &TARGETS), [20]);
    }

    #[test]
    fn a_node_that_has_left_answers_for_nothing() {
        let mut custody = settled(20, 10, 30);
        custody.leave();
        assert_eq!(answers(&custody, &TARGETS), []);
        assert_eq!(custody.question(), None);
    }

    #[test]
    fn a_node_that_was_alone_and_meets_a_ring_does_not_answer_for_what_is_the_rings() {
        let mut custody = Custody::new(20.into());
        custody.join(None, None);
        custody.set_neighbours(None, Some(&peer(30)));
        assert_eq!(answers(&custody, &TARGETS), []);
        assert_eq!(custody.farthest(), Some(&peer(30)));
        custody.set_neighbours(Some(&peer(10)), Some(&peer(30)));
        vouch(&mut custody);
        assert_eq!(answers(&custody, &TARGETS), [15, 20]);
    }
}

mod stops {
    use super::*;

    const RUNS_AT: Duration = Duration::from_secs(100);

    fn running(mut custody: Custody) -> Custody {
        custody.beat(RUNS_AT);
        while let Some(question) = custody.question() {
            custody.vouch(&question);
        }
        custody
    }

    #[test]
    fn a_node_that_runs_does_not_doubt_itself() {
        let mut custody = running(settled(20, 10, 30));
        assert!(!custody.beat(RUNS_AT + STOPPED_AFTER));
        assert!(!custody.beat(RUNS_AT), "a beat that was late to be told is no stop");
        assert!(!custody.beat(RUNS_AT + 2 * STOPPED_AFTER));
        assert!(custody.answers_for(15.into()));
    }

    #[test]
    fn a_node_that_was_stopped_answers_again_when_its_predecessor_vouches_and_asks_for_newer_records() {
        let mut custody = running(settled(20, 10, 30));
        assert!(custody.beat(RUNS_AT + STOPPED_AFTER + Duration::from_millis(1)));
        assert!(!custody.answers_for(15.into()));
        assert_eq!(custody.farthest(), Some(&peer(30)));
        vouch(&mut custody);
        assert!(custody.answers_for(15.into()));
        let mut pull = custody.pull(&[peer(30)]).unwrap();
        ask(&mut pull, &[30], &[(30, 20)]);
        custody.learn(&pull);
        assert!(custody.is_complete());
    }

    #[test]
    fn what_was_asked_before_a_stop_does_not_count_after_it() {
        let mut custody = running(settled(20, 10, 30));
        custody.beat(RUNS_AT + Duration::from_secs(2));
        let (question, mut pull) = (custody.question().unwrap(), custody.pull(&[]).unwrap());
        ask(&mut pull, &[30], &[(30, 20)]);
        custody.beat(RUNS_AT + Duration::from_secs(4));
        custody.vouch(&question);
        custody.learn(&pull);
        assert!(!custody.answers_for(15.into()) && !custody.is_complete());
    }

    #[test]
    fn a_node_that_is_alone_has_nobody_to_ask() {
        let mut custody = Custody::new(20.into());
        custody.join(None, None);
        assert!(custody.beat(RUNS_AT));
        assert!(custody.answers_for(15.into()) && custody.is_complete());
    }

    #[test]
    fn two_nodes_that_were_stopped_together_do_not_wait_for_each_other() {
        let (mut one, mut other) = (settled(20, 30, 30), settled(30, 20, 20));
        one.beat(RUNS_AT);
        other.beat(RUNS_AT);
        assert!(!one.expects_records_of(30.into()) && !other.expects_records_of(20.into()));
        assert!(one.expects_records_of(10.into()), "a newcomer in the range that it had relies on it");
    }

    #[test]
    fn a_newcomer_that_was_stopped_asks_the_farther_of_both() {
        let mut custody = joined(20, 10, 50);
        custody.set_neighbours(Some(&peer(15)), Some(&peer(30)));
        custody.beat(RUNS_AT);
        assert_eq!(custody.farthest(), Some(&peer(50)));
        assert!(custody.expects_records_of(12.into()), "what it lacked before, it lacks still");
    }
}

mod holders {
    use super::*;

    #[test]
    fn holders_are_asked_from_the_former_owner_back_to_the_newcomer() {
        let custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[peer(20), peer(30), peer(60)]).unwrap();
        let asked = ask(&mut pull, &[], &[(50, 40), (40, 30), (30, 20), (20, 10)]);
        assert_eq!(asked, [peer(50), peer(40), peer(30), peer(20)]);
        assert!(pull.is_done());
    }

    #[test]
    fn a_sibling_that_the_newcomer_does_not_know_is_found_by_way_of_the_former_owner() {
        let custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[peer(50)]).unwrap();
        assert_eq!(ask(&mut pull, &[], &[(50, 40), (40, 10)]), [peer(50), peer(40)]);
    }

    #[test]
    fn only_the_farthest_has_to_ask_on_for_what_may_be_beyond_it() {
        let custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[peer(20), peer(50)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(50)));
        assert!(pull.asks_beyond());
        pull.gone();
        assert_eq!(pull.ask_next(), Some(peer(20)));
        assert!(pull.asks_beyond(), "in its place");
        pull.answered(rest(true, Some(peer(15))));
        assert_eq!(pull.ask_next(), Some(peer(15)));
        assert!(!pull.asks_beyond());
    }

    #[test]
    fn the_way_goes_round_zero() {
        let custody = joined(200, 100, 5);
        let mut pull = custody.pull(&[peer(250)]).unwrap();
        assert_eq!(ask(&mut pull, &[], &[(5, 2), (2, 250), (250, 200)]), [peer(5), peer(2), peer(250)]);
    }

    #[test]
    fn a_settled_holder_is_not_asked_again() {
        let mut custody = joined(10, 5, 50);
        let before = [(50, 40), (40, 30), (30, 10)];
        let mut pull = custody.pull(&[]).unwrap();
        ask(&mut pull, &[50, 30], &before);
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(40)), "what 30 says does not count before 40 is settled");
        let mut pull = custody.pull(&[]).unwrap();
        ask(&mut pull, &[40, 30], &before);
        custody.learn(&pull);
        assert!(custody.is_complete());
    }

    #[test]
    fn a_late_answer_does_not_undo_what_is_known() {
        let mut custody = joined(10, 5, 50);
        let mut late = custody.pull(&[]).unwrap();
        let mut quick = late.clone();
        ask(&mut late, &[50], &[(50, 40)]);
        ask(&mut quick, &[50, 40], &[(50, 40), (40, 10)]);
        custody.learn(&quick);
        custody.learn(&late);
        assert!(custody.is_complete());
    }

    #[test]
    fn an_answer_from_before_the_range_grew_does_not_settle_the_rest() {
        let mut custody = joined(10, 5, 50);
        vouch(&mut custody);
        let mut pull = custody.pull(&[]).unwrap();
        ask(&mut pull, &[50], &[(50, 10)]);
        custody.set_neighbours(Some(&peer(3)), Some(&peer(50)));
        vouch(&mut custody);
        custody.learn(&pull);
        assert!(!custody.is_complete());
    }

    #[test]
    fn a_key_is_known_when_all_were_asked_and_until_the_range_changes() {
        let key = Key::new(b"key").unwrap();
        let mut custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[]).unwrap();
        custody.learn_key(&pull, &key);
        assert!(!custody.has_newest(&key), "nobody was asked");
        ask(&mut pull, &[], &[(50, 40), (40, 10)]);
        custody.learn_key(&pull, &key);
        assert!(!custody.has_newest(&key), "others may still write it");
        vouch(&mut custody);
        custody.learn_key(&pull, &key);
        assert!(custody.has_newest(&key) && !custody.has_newest(&Key::empty()));
        custody.set_neighbours(Some(&peer(3)), Some(&peer(50)));
        vouch(&mut custody);
        assert!(!custody.has_newest(&key));
        custody.learn_key(&pull, &key);
        assert!(!custody.has_newest(&key), "what was asked before does not count");
    }

    #[test]
    fn no_more_keys_are_known_than_the_limit() {
        let mut custody = joined(10, 5, 50);
        vouch(&mut custody);
        let mut pull = custody.pull(&[]).unwrap();
        ask(&mut pull, &[], &[]);
        let keys: Vec<Key> =
            (0..=KEYS_KNOWN_MAX).map(|idx| Key::new(format!("{idx}").as_bytes()).unwrap()).collect();
        for key in &keys {
            custody.learn_key(&pull, key);
        }
        assert_eq!(keys.iter().filter(|key| custody.has_newest(key)).count(), KEYS_KNOWN_MAX);
    }

    #[test]
    fn a_holder_that_is_gone_gives_way_to_the_farthest_that_is_known() {
        let mut custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[peer(20), peer(30)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(50)));
        pull.gone();
        ask(&mut pull, &[], &[(30, 20), (20, 10)]);
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(30)));
    }

    #[test]
    fn what_a_leaver_gave_to_its_successor_is_asked_for_there() {
        let mut custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[peer(50), peer(60), peer(70)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(50)));
        pull.gone();
        assert_eq!(ask(&mut pull, &[], &[(60, 10)]), [peer(60)]);
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(60)));
    }

    #[test]
    fn a_holder_that_leaves_while_it_is_asked_has_given_to_one_that_was_asked_before() {
        let custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(50)));
        pull.answered(rest(false, Some(peer(40))));
        assert_eq!(pull.ask_next(), Some(peer(40)));
        pull.gone();
        let stale = [(50, 40)];
        assert_eq!(ask(&mut pull, &[], &stale), [peer(50)], "once, though 50 has not heard of the end of 40");
        assert!(pull.is_done());
    }

    /// Who was asked was passed by, and its predecessor is this one.
    fn passed_by(before: u64) -> Rest {
        Rest { is_settled: true, was_passed_by: true, before: Some(peer(before)) }
    }

    #[test]
    fn what_was_given_past_those_who_leave_is_asked_for_beyond_them() {
        let mut custody = joined(10, 5, 20);
        let mut pull = custody.pull(&[peer(20), peer(30), peer(40), peer(50)]).unwrap();
        for (leaves, before) in [(20, 10), (30, 20)] {
            assert_eq!(pull.ask_next(), Some(peer(leaves)));
            assert!(pull.asks_beyond(), "it is the farthest so far");
            pull.answered(passed_by(before));
        }
        assert_eq!(pull.ask_next(), Some(peer(40)));
        pull.answered(rest(false, Some(peer(30))));
        for (leaves, before) in [(30, 20), (20, 10)] {
            assert_eq!(pull.ask_next(), Some(peer(leaves)), "on the way back as ever");
            assert!(!pull.asks_beyond());
            pull.answered(passed_by(before));
        }
        assert!(pull.is_done());
        custody.learn(&pull);
        assert_eq!(custody.farthest(), Some(&peer(40)), "the next question begins there");
    }

    #[test]
    fn the_last_that_is_known_has_nobody_beyond_it() {
        let mut custody = joined(10, 5, 20);
        let mut pull = custody.pull(&[peer(20)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(20)));
        pull.answered(passed_by(10));
        assert!(pull.is_done());
        custody.learn(&pull);
        assert!(custody.is_complete());
    }

    #[test]
    fn the_heir_of_one_that_is_gone_may_have_been_passed_by() {
        let custody = joined(10, 5, 20);
        let mut pull = custody.pull(&[peer(20), peer(30), peer(40), peer(50)]).unwrap();
        assert_eq!(pull.ask_next(), Some(peer(20)));
        pull.gone();
        assert_eq!(pull.ask_next(), Some(peer(30)));
        pull.answered(passed_by(10));
        assert_eq!(pull.ask_next(), Some(peer(40)));
        pull.gone();
        assert_eq!(ask(&mut pull, &[], &[(50, 40)]), [peer(50)]);
    }

    #[test]
    fn an_heir_that_was_asked_before_may_have_been_passed_by_since() {
        let custody = joined(10, 5, 40);
        let mut pull = custody.pull(&[peer(20), peer(30), peer(40)]).unwrap();
        for (holder, before) in [(40, 30), (30, 20)] {
            assert_eq!(pull.ask_next(), Some(peer(holder)));
            pull.answered(rest(false, Some(peer(before))));
        }
        assert_eq!(pull.ask_next(), Some(peer(20)));
        pull.gone();
        assert_eq!(pull.ask_next(), Some(peer(30)));
        pull.answered(passed_by(20));
        assert_eq!(pull.ask_next(), Some(peer(40)), "again: it has been given more meanwhile");
    }

    #[test]
    fn a_holder_that_stays_silent_leaves_the_question_open() {
        let custody = joined(10, 5, 50);
        let mut pull = custody.pull(&[]).unwrap();
        pull.ask_next();
        assert!(!pull.is_done());
    }

    #[test]
    fn a_way_without_end_is_given_up() {
        let custody = joined(10, 5, 1000);
        let mut pull = custody.pull(&[]).unwrap();
        let mut asked = 0;
        while let Some(holder) = pull.ask_next() {
            asked += 1;
            let at: u64 = holder.position.to_string().parse().unwrap();
            pull.answered(rest(false, Some(peer(at - 1))));
        }
        assert_eq!(asked, HOLDERS_MAX);
        assert!(!pull.is_done());
    }
}
