use std::sync::Arc;

use chord_ring::{RingSize, Token};

use super::super::message::Standing;
use super::super::{Consistency, Input, Neighbours, Now, Output, PeerAnswer, Proposal, Settings};
use super::*;
use crate::replication::{Change, Condition, Expiry, Operation, RequestId};
use crate::{MemoryStore, Value};

fn peer(at: u64) -> Peer {
    Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() }
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).unwrap()
}

/// A name of a key that lies there.
fn name_at(position: u64) -> String {
    let size = RingSize::new(6).unwrap();
    let names = (0..2000).map(|idx| idx.to_string());
    names.into_iter().find(|name| key(name).position(size) == position.into()).expect("one of so many")
}

fn of_key(id: u64, text: &str) -> Interest {
    Interest { id, filter: Filter::Key(key(text)) }
}

fn of_prefix(id: u64, text: &str) -> Interest {
    Interest { id, filter: Filter::Prefix(text.as_bytes().to_vec()) }
}

/// Of one interest: its number, that of the first change, and what happened to which keys.
type Told = (u64, u64, Vec<(String, Happened)>);

/// A node at 40 that owns a whole ring of 64, and what it tells the node at 7, which watches.
struct Owner {
    node: Replicator,
    now_ms: u64,
    told: Vec<(RequestId, Vec<Delivery>)>,
    answered: Vec<AnswerBody>,
    vouches: Vec<RequestId>,
    n_done: usize,
    /// What it is asked whether it wants to hear of it: nothing if it is to answer that it does.
    asked: Option<Vec<(RequestId, Vec<u64>)>>,
}

impl Owner {
    fn new() -> Self {
        let size = RingSize::new(6).unwrap();
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let store = Arc::new(MemoryStore::new(size, 64 << 20));
        let node = Replicator::new(peer(40), Settings::new(size), store, now);
        let (told, answered, vouches) = (Vec::new(), Vec::new(), Vec::new());
        let mut owner = Self { node, now_ms: 1000, told, answered, vouches, n_done: 0, asked: None };
        owner.has_neighbours(None);
        owner
    }

    fn has_neighbours(&mut self, other: Option<u64>) {
        let (predecessor, successors) = (other.map(peer), other.map(peer).into_iter().collect());
        self.feed(Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
    }

    fn feed(&mut self, input: Input) {
        let now = Now { elapsed: Duration::from_millis(self.now_ms), wall_ms: self.now_ms };
        self.node.handle(now, input);
        // Others have nothing, and take every copy.
        let mut answers = Vec::new();
        while let Some(output) = self.node.poll() {
            match output {
                Output::Send(id, _, PeerRequest::Fetch { .. }) => {
                    let standing = Standing::default();
                    answers.push((id, AnswerBody::Fetched { standing, looked_at: 1, records: Vec::new() }));
                }
                Output::Send(id, _, PeerRequest::Store { .. }) => {
                    answers.push((id, AnswerBody::Stored { newer: Vec::new() }));
                }
                Output::Send(id, to, PeerRequest::Notify { deliveries }) => {
                    assert_eq!(to, peer(7));
                    let ids = deliveries.iter().map(|delivery| delivery.id).collect();
                    let asks = deliveries.iter().all(|delivery| delivery.notices.is_empty());
                    match &mut self.asked {
                        Some(asked) if asks => asked.push((id, ids)),
                        None if asks => answers.push((id, all_heard(&deliveries))),
                        _ => self.told.push((id, deliveries)),
                    }
                }
                Output::Send(id, _, PeerRequest::Vouch) => self.vouches.push(id),
                Output::Reply(_, answer) => self.answered.push(answer.body),
                Output::Done(_, result) => {
                    result.expect("it is done");
                    self.n_done += 1;
                }
                Output::Send(..)
                | Output::FindOwner(..)
                | Output::Left(_)
                | Output::Seen(..)
                | Output::Event(_) => {}
            }
        }
        for (id, body) in answers {
            self.feed(Input::Answer(id, Ok(PeerAnswer { leaving: false, body })));
        }
    }

    fn is_vouched(&mut self) {
        let vouch = self.vouches.pop().expect("it asks");
        let yes = PeerAnswer { leaving: false, body: AnswerBody::Vouched(true) };
        self.feed(Input::Answer(vouch, Ok(yes)));
    }

    fn passes(&mut self, pause: Duration) {
        for _ in 0..pause.as_millis().div_ceil(100) {
            self.now_ms += 100;
            self.feed(Input::Tick);
        }
    }

    fn is_asked(&mut self, interests: Vec<Interest>) -> AnswerBody {
        self.feed(Input::Request {
            token: Token(1),
            from: peer(7),
            request: PeerRequest::Watch { interests },
        });
        self.answered.pop().expect("an answer")
    }

    fn subscribes(&mut self, interests: Vec<Interest>) -> Vec<Subscribed> {
        let answer = self.is_asked(interests);
        let AnswerBody::Watched { subscribed, .. } = answer else { panic!("{answer:?}") };
        subscribed
    }

    fn change(&mut self, text: &str, change: Change, expiry: Expiry) {
        let operation = Operation::Change { change, condition: Condition::Always, expiry };
        let until = Duration::from_millis(self.now_ms + 1000);
        let (proposal, consistency) = (Proposal::LeftToOwner, Consistency::Usual);
        let (token, key) = (Token(2), key(text));
        let position = key.position(RingSize::new(6).unwrap());
        self.feed(Input::Operate { token, key, position, operation, proposal, consistency, until });
    }

    fn set(&mut self, text: &str) {
        self.change(text, Change::Set(Value::new(b"v", 9).unwrap()), Expiry::Never);
    }

    fn set_until(&mut self, text: &str, at_ms: u64) {
        self.change(text, Change::Set(Value::new(b"v", 9).unwrap()), Expiry::At(at_ms));
    }

    /// It asked about these, and hears so of each; nothing if nobody answers.
    fn is_answered(&mut self, receptions: Option<&[Reception]>) -> Vec<u64> {
        let (id, ids) = self.asked.as_mut().and_then(Vec::pop).expect("it asks");
        let answer = receptions.map(|told| AnswerBody::Notified(told.to_vec())).ok_or(Failure::Silent);
        self.feed(Input::Answer(id, answer.map(|body| PeerAnswer { leaving: false, body })));
        ids
    }

    /// What is under way, which arrives or not: of each interest, its number, the first change and what happened.
    fn tells(&mut self, arrives: bool) -> Vec<Told> {
        let Some((id, deliveries)) = self.told.pop() else { return Vec::new() };
        assert!(self.told.is_empty(), "one message at a time");
        let answer = PeerAnswer { leaving: false, body: all_heard(&deliveries) };
        self.feed(Input::Answer(id, if arrives { Ok(answer) } else { Err(Failure::Silent) }));
        let of =
            |notice: Notice| (String::from_utf8_lossy(notice.key.as_bytes()).into_owned(), notice.happened);
        let told = deliveries.into_iter().filter(|told| !told.notices.is_empty());
        told.map(|told| (told.id, told.first, told.notices.into_iter().map(of).collect())).collect()
    }
}

fn all_heard(deliveries: &[Delivery]) -> AnswerBody {
    AnswerBody::Notified(vec![Reception::Heard; deliveries.len()])
}

fn happened(text: &str, happened: Happened) -> Vec<(String, Happened)> {
    vec![(text.to_owned(), happened)]
}

#[test]
fn a_change_is_told_to_those_who_watch_its_key_or_its_beginning_and_to_nobody_else() {
    let mut owner = Owner::new();
    owner.set("user:1");
    assert_eq!(owner.tells(true), [], "nobody watches");
    let subscribed = owner.subscribes(vec![of_key(1, "user:1"), of_prefix(2, "user:"), of_key(3, "x")]);
    assert!(matches!(subscribed[0].current, Some(Current::Known(Some(_)))));
    assert!(matches!(subscribed[2].current, Some(Current::Known(None))));
    owner.set("user:1");
    let set = happened("user:1", Happened::Set);
    assert_eq!(owner.tells(true), [(1, 1, set.clone()), (2, 1, set)]);
    owner.change("user:2", Change::Set(Value::new(b"v", 9).unwrap()), Expiry::Never);
    assert_eq!(owner.tells(true), [(2, 2, happened("user:2", Happened::Set))]);
    owner.set("other");
    assert_eq!(owner.tells(true), []);
    owner.change("user:2", Change::Delete, Expiry::Never);
    assert_eq!(owner.tells(true), [(2, 3, happened("user:2", Happened::Deleted))]);
}

#[test]
fn nothing_is_told_to_one_who_has_not_said_itself_that_it_wants_to_hear() {
    let mut owner = Owner::new();
    owner.asked = Some(Vec::new());
    owner.subscribes(vec![of_prefix(1, ""), of_key(2, "a"), of_key(3, "b")]);
    owner.set("a");
    assert_eq!(owner.is_answered(Some(&[Reception::Heard, Reception::Unwanted])), [1, 2]);
    assert_eq!(owner.tells(true), [(1, 1, happened("a", Happened::Set))]);
    owner.set("a");
    assert_eq!(owner.tells(true), [(1, 2, happened("a", Happened::Set))], "the other is forgotten");
    assert!(!owner.node.feed.subscriptions.contains_key(&(peer(7).name, 2)));
}

#[test]
fn one_who_is_said_to_watch_and_does_not_answer_is_asked_a_few_times_and_no_more() {
    let mut owner = Owner::new();
    owner.asked = Some(Vec::new());
    owner.subscribes(vec![of_prefix(1, ""), of_key(2, "a")]);
    for attempt in 1..=CONFIRMATIONS_MAX {
        owner.set("a");
        assert_eq!(owner.is_answered(None), [1, 2], "{attempt}");
        owner.passes(RETRY_PAUSE);
    }
    owner.set("a");
    owner.passes(INTEREST_LAPSES_AFTER / 2);
    assert_eq!((owner.asked.take(), owner.tells(true)), (Some(vec![]), vec![]));
    assert!(owner.node.feed.subscriptions.is_empty() && owner.node.feed.waiting.is_empty());
    assert_eq!(owner.node.feed.unheard_bytes, 0);
}

#[test]
fn what_one_wants_to_hear_later_keeps_nothing_else_from_being_told() {
    let mut owner = Owner::new();
    owner.asked = Some(Vec::new());
    owner.subscribes(vec![of_key(1, "a"), of_prefix(2, "")]);
    owner.set("a");
    assert_eq!(owner.is_answered(Some(&[Reception::Early, Reception::Heard])), [1, 2]);
    assert_eq!(owner.tells(true), [(2, 1, happened("a", Happened::Set))]);
    owner.set("b");
    assert_eq!(owner.tells(true), [(2, 2, happened("b", Happened::Set))]);
    owner.passes(RETRY_PAUSE);
    assert_eq!(owner.is_answered(Some(&[Reception::Heard])), [1], "later");
    assert_eq!(owner.tells(true), [(1, 1, happened("a", Happened::Set))]);
}

#[test]
fn a_busy_interest_keeps_no_other_from_its_turn() {
    let mut owner = Owner::new();
    owner.subscribes(vec![of_prefix(1, "busy"), of_key(2, "quiet")]);
    owner.set("busy");
    for _ in 0..3 * NOTICES_MAX {
        owner.set("busy");
    }
    owner.set("quiet");
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(
            owner.tells(true).into_iter().map(|(id, _, notices)| (id, notices.len())).collect::<Vec<_>>(),
        );
    }
    let all = [vec![(1, 1)], vec![(1, NOTICES_MAX)], vec![(2, 1), (1, NOTICES_MAX - 1)]];
    assert_eq!(told, all);
}

#[test]
fn what_did_not_arrive_is_told_again_under_the_same_numbers_and_with_what_came_since() {
    let mut owner = Owner::new();
    owner.subscribes(vec![of_prefix(1, "")]);
    owner.set("a");
    owner.set("b");
    assert_eq!(owner.tells(false), [(1, 1, happened("a", Happened::Set))]);
    assert_eq!(owner.tells(true), [], "not at once");
    owner.passes(RETRY_PAUSE);
    let both = [happened("a", Happened::Set), happened("b", Happened::Set)].concat();
    assert_eq!(owner.tells(true), [(1, 1, both)]);
    owner.passes(RETRY_PAUSE);
    assert_eq!(owner.tells(true), []);
}

#[test]
fn of_more_than_may_wait_the_oldest_are_left_out_and_the_numbers_say_so() {
    let mut owner = Owner::new();
    owner.subscribes(vec![of_key(1, "a")]);
    for _ in 0..=UNHEARD_MAX + 10 {
        owner.set("a");
    }
    assert_eq!(owner.tells(true).len(), 1, "the first is under way");
    let mut numbers = Vec::new();
    while let [(1, first, notices)] = &owner.tells(true)[..] {
        numbers.extend(*first..first + notices.len() as u64);
    }
    assert_eq!(numbers, (12..=UNHEARD_MAX as u64 + 11).collect::<Vec<_>>());
}

#[test]
fn one_who_says_nothing_for_long_is_forgotten_and_begins_anew() {
    let mut owner = Owner::new();
    let began = owner.subscribes(vec![of_key(1, "a")])[0].began;
    owner.passes(INTEREST_LAPSES_AFTER / 2);
    assert_eq!(owner.subscribes(vec![of_key(1, "a")])[0].began, began);
    owner.passes(INTEREST_LAPSES_AFTER / 2);
    owner.set("a");
    assert_eq!(owner.tells(true).len(), 1, "half of the time it was heard of");
    owner.passes(INTEREST_LAPSES_AFTER * 2);
    owner.set("a");
    assert_eq!(owner.tells(true), []);
    assert!(owner.subscribes(vec![of_key(1, "a")])[0].began > began);
}

#[test]
fn what_goes_by_itself_is_told_at_its_time_and_only_if_it_is_still_there() {
    let mut owner = Owner::new();
    owner.set_until("before", 3000);
    owner.set_until("user:before", 3000);
    owner.subscribes(vec![of_key(1, "before"), of_prefix(2, "user:")]);
    owner.set_until("user:stays", 2000);
    owner.set("user:stays");
    owner.set_until("user:goes", 2000);
    while !owner.tells(true).is_empty() {}
    owner.passes(Duration::from_millis(900));
    assert_eq!(owner.tells(true), []);
    owner.passes(Duration::from_millis(100));
    assert_eq!(owner.tells(true), [(2, 4, happened("user:goes", Happened::Expired))]);
    owner.passes(Duration::from_secs(1));
    let mut told = owner.tells(true);
    told.extend(owner.tells(true));
    told.sort_unstable_by_key(|(id, ..)| *id);
    let expected =
        [(1, 1, happened("before", Happened::Expired)), (2, 5, happened("user:before", Happened::Expired))];
    assert_eq!(told, expected);
    owner.passes(Duration::from_secs(1));
    assert_eq!(owner.tells(true), [], "once");
}

#[test]
fn what_has_gone_by_itself_is_told_before_what_is_written_in_its_place() {
    let mut owner = Owner::new();
    owner.subscribes(vec![of_key(1, "one"), of_prefix(2, "user:")]);
    owner.set_until("one", 2000);
    owner.set_until("user:one", 2000);
    while !owner.tells(true).is_empty() {}
    owner.passes(Duration::from_millis(900));
    assert_eq!(owner.tells(true), []);
    owner.now_ms = 2001; // No tick comes between.
    owner.set("one");
    owner.set("user:one");
    let mut told = BTreeMap::<u64, Vec<Happened>>::new();
    owner.passes(Duration::from_secs(1));
    loop {
        let deliveries = owner.tells(true);
        if deliveries.is_empty() {
            break;
        }
        for (id, _, changes) in deliveries {
            told.entry(id).or_default().extend(changes.into_iter().map(|(_, happened)| happened));
        }
    }
    let both = vec![Happened::Expired, Happened::Set];
    assert_eq!(told, BTreeMap::from([(1, both.clone()), (2, both)]));
}

#[test]
fn a_feed_ends_when_another_may_have_owned_the_range() {
    let mut owner = Owner::new();
    let began = owner.subscribes(vec![of_prefix(1, "")])[0].began;
    owner.has_neighbours(Some(7));
    assert_eq!(owner.is_asked(vec![of_prefix(1, "")]), AnswerBody::Refused(Denial::NotOwner));
    owner.is_vouched();
    assert!(owner.subscribes(vec![of_prefix(1, "")])[0].began > began);
}

#[test]
fn nothing_more_is_told_under_the_old_beginning_once_another_may_have_owned_some_of_the_range() {
    let mut owner = Owner::new();
    owner.has_neighbours(Some(39));
    owner.is_vouched();
    let began = owner.subscribes(vec![of_prefix(1, "")])[0].began;
    owner.set(&name_at(40));
    assert_eq!(owner.tells(true).len(), 1);
    owner.has_neighbours(Some(20));
    owner.is_vouched();
    // What the one before has told nobody any more was earlier, and is said to be missed later.
    owner.set(&name_at(40));
    owner.set(&name_at(30));
    assert_eq!((owner.n_done, owner.tells(true)), (3, vec![]));
    assert!(owner.subscribes(vec![of_prefix(1, "")])[0].began > began);
    owner.set(&name_at(30));
    assert_eq!(owner.tells(true), [(1, 1, happened(&name_at(30), Happened::Set))]);
}

#[test]
fn what_the_owner_itself_may_lack_of_a_key_it_does_not_tell_for_what_is_there() {
    let mut owner = Owner::new();
    owner.has_neighbours(Some(39));
    owner.is_vouched();
    let subscribed = owner.subscribes(vec![of_key(1, &name_at(40)), of_key(2, &name_at(39))]);
    assert_eq!(subscribed.len(), 1, "the other is another's");
    assert_eq!(subscribed[0].current, Some(Current::Unknown));
}

#[test]
fn a_message_and_a_node_take_no_more_interests_than_they_may() {
    let mut owner = Owner::new();
    let many = |count: usize, from: u64| (from..).take(count).map(|id| of_key(id, "a")).collect::<Vec<_>>();
    assert_eq!(owner.is_asked(many(INTERESTS_MAX + 1, 0)), AnswerBody::Refused(Denial::Senseless));
    for message in 0..SUBSCRIPTIONS_MAX / INTERESTS_MAX {
        let from = (message * INTERESTS_MAX) as u64;
        assert_eq!(owner.subscribes(many(INTERESTS_MAX, from)).len(), INTERESTS_MAX);
    }
    assert_eq!(owner.subscribes(many(1, 1 << 40)), []);
    assert_eq!(owner.subscribes(many(1, 0)).len(), 1, "one that is known stays so");
}

#[test]
fn a_number_that_comes_to_mean_other_keys_begins_anew() {
    let mut owner = Owner::new();
    let began = owner.subscribes(vec![of_key(1, "a")])[0].began;
    assert!(owner.subscribes(vec![of_key(1, "b")])[0].began > began);
    owner.set("a");
    assert_eq!(owner.tells(true), []);
    owner.set("b");
    assert_eq!(owner.tells(true), [(1, 1, happened("b", Happened::Set))]);
}

#[test]
fn what_expires_is_told_however_many_go_at_once_and_whenever_it_was_looked_for() {
    let mut owner = Owner::new();
    let count = DUE_MAX + 3;
    for idx in 0..count {
        owner.set_until(&format!("a{idx}"), 3000);
    }
    owner.subscribes(vec![of_prefix(1, "a")]);
    let mut expired = BTreeSet::new();
    for _ in 0..400 {
        owner.passes(Duration::from_millis(100));
        if owner.now_ms.is_multiple_of(5000) {
            owner.subscribes(vec![of_prefix(1, "a")]);
        }
        while let told = owner.tells(true)
            && !told.is_empty()
        {
            for (_, _, changes) in told {
                expired.extend(changes.into_iter().map(|(name, happened)| {
                    assert_eq!(happened, Happened::Expired);
                    name
                }));
            }
        }
    }
    assert_eq!(expired.len(), count);
}
