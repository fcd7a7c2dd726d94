use super::*;

const TARGETS: [u64; 6] = [5, 10, 15, 20, 25, 30];
const RUNS_AT: Duration = Duration::from_secs(100);

fn peer(at: u64) -> Peer {
    Peer { position: at.into(), name: format!("h{at}:1").parse().unwrap() }
}

/// A node at 20 that founded a ring.
fn founder() -> Tenure {
    let mut tenure = Tenure::new(20.into(), RUNS_AT);
    tenure.join(None, None);
    tenure.found_all(tenure.epoch());
    tenure
}

/// A node at 20 that has joined between 10 and 30.
fn joined() -> Tenure {
    let mut tenure = Tenure::new(20.into(), RUNS_AT);
    tenure.join(Some(&peer(10)), Some(&peer(30)));
    tenure
}

/// The same, which has everything, and for which its predecessor has vouched.
fn settled() -> Tenure {
    let mut tenure = joined();
    vouch(&mut tenure);
    tenure.found_all(tenure.epoch());
    assert!(tenure.is_complete());
    tenure
}

fn vouch(tenure: &mut Tenure) {
    let (predecessor, asked) = tenure.question().expect("there is something to ask");
    tenure.vouch(&predecessor, asked);
}

fn answers(tenure: &Tenure) -> Vec<u64> {
    TARGETS.into_iter().filter(|target| tenure.answers_for((*target).into())).collect()
}

#[test]
fn a_founder_answers_for_everything() {
    let tenure = founder();
    assert_eq!(answers(&tenure), TARGETS);
    assert!(tenure.is_complete() && tenure.question().is_none());
    assert_eq!(answers(&Tenure::new(20.into(), RUNS_AT)), [], "one that is in no ring does not");
}

#[test]
fn a_newcomer_answers_for_nothing_until_its_predecessor_vouches() {
    let mut tenure = joined();
    assert_eq!(answers(&tenure), []);
    assert_eq!(tenure.question().unwrap().0, peer(10));
    vouch(&mut tenure);
    assert_eq!(answers(&tenure), [15, 20]);
    assert!(tenure.question().is_none() && !tenure.is_complete(), "others may have something");
}

#[test]
fn a_closer_predecessor_takes_its_part_at_once_and_unasked() {
    let mut tenure = settled();
    tenure.set_neighbours(Some(&peer(15)), Some(&peer(30)));
    assert_eq!(answers(&tenure), [20]);
    assert!(tenure.question().is_none() && tenure.is_complete());
}

#[test]
fn the_end_of_a_predecessor_takes_nothing_and_gives_nothing_before_the_next_one_vouches() {
    let mut tenure = settled();
    tenure.set_neighbours(None, Some(&peer(30)));
    assert_eq!(answers(&tenure), [15, 20]);
    assert_eq!(tenure.question(), None);
    tenure.set_neighbours(Some(&peer(5)), Some(&peer(30)));
    assert_eq!(answers(&tenure), [15, 20]);
    vouch(&mut tenure);
    assert_eq!(answers(&tenure), [10, 15, 20]);
    let missing = Range { after: 5.into(), up_to: 10.into() };
    assert_eq!(tenure.missing().map(|(range, _)| range), Some(missing));
    let has = Range { after: 10.into(), up_to: 20.into() };
    assert_eq!(tenure.complete_range(), Some(has), "what it had before it has still");
}

#[test]
fn the_word_of_a_former_predecessor_does_not_count() {
    let mut tenure = joined();
    let (former, asked) = tenure.question().unwrap();
    tenure.set_neighbours(Some(&peer(15)), Some(&peer(30)));
    tenure.vouch(&former, asked);
    assert_eq!(answers(&tenure), []);
    vouch(&mut tenure);
    assert_eq!(answers(&tenure), [20]);
}

#[test]
fn a_node_that_has_left_answers_for_nothing() {
    let mut tenure = settled();
    tenure.leave();
    assert_eq!(answers(&tenure), []);
    assert_eq!(tenure.question(), None);
}

#[test]
fn a_node_that_was_alone_and_meets_a_ring_does_not_answer_for_what_is_the_rings() {
    let mut tenure = founder();
    tenure.set_neighbours(None, Some(&peer(30)));
    assert_eq!(answers(&tenure), []);
    tenure.set_neighbours(Some(&peer(10)), Some(&peer(30)));
    vouch(&mut tenure);
    assert_eq!(answers(&tenure), [15, 20]);
    assert!(!tenure.is_complete(), "those who came may have been a ring of their own");
}

#[test]
fn a_node_that_runs_does_not_doubt_itself() {
    let mut tenure = settled();
    assert!(!tenure.beat(RUNS_AT + STOPPED_AFTER));
    assert!(!tenure.beat(RUNS_AT), "a beat that was late to be told is no stop");
    assert!(!tenure.beat(RUNS_AT + 2 * STOPPED_AFTER));
    assert!(tenure.answers_for(15.into()));
}

#[test]
fn a_node_that_was_stopped_answers_again_when_its_predecessor_vouches_and_asks_for_newer_records() {
    let mut tenure = settled();
    assert!(tenure.beat(RUNS_AT + STOPPED_AFTER + Duration::from_millis(1)));
    assert!(!tenure.answers_for(15.into()));
    vouch(&mut tenure);
    assert!(tenure.answers_for(15.into()) && !tenure.is_complete());
    tenure.found_all(tenure.epoch());
    assert!(tenure.is_complete());
}

#[test]
fn what_was_asked_before_a_stop_does_not_count_after_it() {
    let mut tenure = settled();
    tenure.beat(RUNS_AT + Duration::from_secs(2));
    let ((predecessor, asked), (_, missed)) = (tenure.question().unwrap(), tenure.missing().unwrap());
    tenure.beat(RUNS_AT + Duration::from_secs(4));
    tenure.vouch(&predecessor, asked);
    tenure.found_all(missed);
    assert!(!tenure.answers_for(15.into()) && !tenure.is_complete());
}

#[test]
fn a_node_that_is_alone_has_nobody_to_ask() {
    let mut tenure = founder();
    assert!(!tenure.beat(RUNS_AT + Duration::from_secs(60)), "nobody can have taken its place");
    assert!(tenure.answers_for(15.into()) && tenure.is_complete());
}

#[test]
fn a_key_is_known_when_all_were_asked_and_until_more_is_missing() {
    let mut tenure = joined();
    vouch(&mut tenure);
    let key = Key::new(b"key").unwrap();
    assert!(!tenure.has_newest(15.into(), &key));
    tenure.found_key(tenure.epoch(), &key);
    assert!(tenure.has_newest(15.into(), &key));
    tenure.beat(RUNS_AT + Duration::from_secs(2));
    assert!(!tenure.has_newest(15.into(), &key));
}

#[test]
fn no_more_keys_are_known_than_the_limit() {
    let mut tenure = joined();
    vouch(&mut tenure);
    let keys: Vec<Key> =
        (0..=KEYS_KNOWN_MAX).map(|idx| Key::new(idx.to_string().as_bytes()).unwrap()).collect();
    for key in &keys {
        tenure.found_key(tenure.epoch(), key);
    }
    let known = keys.iter().filter(|key| tenure.has_newest(15.into(), key)).count();
    assert_eq!(known, KEYS_KNOWN_MAX);
}

#[test]
fn a_newcomer_may_inherit_until_somebody_else_may_have_owned_some_of_its_range() {
    let vouched = || {
        let mut tenure = joined();
        vouch(&mut tenure);
        tenure
    };
    assert!(!joined().may_inherit(), "it owns nothing yet");
    assert!(vouched().may_inherit());
    let mut closer = joined();
    closer.set_neighbours(Some(&peer(15)), Some(&peer(30)));
    vouch(&mut closer);
    assert!(closer.may_inherit(), "what it owns was only divided");
    let mut farther = closer;
    farther.set_neighbours(Some(&peer(10)), Some(&peer(30)));
    assert!(!farther.may_inherit(), "that at 15 is gone, and may have written");
    let mut gone = joined();
    gone.set_neighbours(None, Some(&peer(30)));
    gone.set_neighbours(Some(&peer(10)), Some(&peer(30)));
    vouch(&mut gone);
    assert!(!gone.may_inherit());
    let mut stopped = vouched();
    assert!(stopped.beat(RUNS_AT + STOPPED_AFTER * 2));
    vouch(&mut stopped);
    assert!(!stopped.may_inherit());
    let mut damaged = vouched();
    damaged.lose_records();
    assert!(!damaged.may_inherit());
    assert!(!settled().may_inherit(), "it has everything");
}

#[test]
fn what_was_inherited_is_forgotten_with_the_question() {
    let own = Range { after: 10.into(), up_to: 20.into() };
    let mut tenure = joined();
    vouch(&mut tenure);
    tenure.inherit(Epoch(0), &peer(30), own);
    assert_eq!(tenure.yielded(), None, "it is the answer to an older question");
    tenure.inherit(tenure.epoch(), &peer(30), own);
    assert_eq!(tenure.yielded(), Some((&peer(30), own)));
    let mut stopped = tenure.clone();
    assert!(stopped.beat(RUNS_AT + STOPPED_AFTER * 2));
    assert_eq!(stopped.yielded(), None);
    tenure.disinherit();
    assert_eq!(tenure.yielded(), None);
}
