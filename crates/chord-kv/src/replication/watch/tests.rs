use std::sync::Arc;

use chord_ring::Token;

use super::super::{Input, Now, PeerAnswer, Settings};
use super::*;
use crate::MemoryStore;

const ID: WatchId = WatchId(9);

fn peer(at: u64) -> Peer {
    Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() }
}

fn range(after: u64, up_to: u64) -> Range {
    Range { after: after.into(), up_to: up_to.into() }
}

fn version(time_ms: u64) -> Version {
    Version::new(time_ms, 0, 50.into())
}

fn key() -> Key {
    Key::new(b"key").unwrap()
}

fn notice(time_ms: u64, happened: Happened) -> Notice {
    Notice { key: key(), version: version(time_ms), happened }
}

fn set(time_ms: u64) -> Notice {
    notice(time_ms, Happened::Set)
}

/// What is under the key: since then, and until then if it goes.
fn header(time_ms: u64, over_at_ms: Option<u64>) -> Header {
    let (key, version) = (key(), version(time_ms));
    Header { position: key.position(RingSize::new(6).unwrap()), key, version, over_at_ms }
}

/// A node at 40 of a ring of 64 through which somebody watches, and what it wants.
struct Watcher {
    node: Replicator,
    now_ms: u64,
    seen: Vec<Seen>,
    searches: Vec<RequestId>,
    asked: Vec<(RequestId, Peer)>,
    answered: Vec<AnswerBody>,
}

impl Watcher {
    fn of(filter: Filter, since: Since) -> Self {
        let size = RingSize::new(6).unwrap();
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let node =
            Replicator::new(peer(40), Settings::new(size), Arc::new(MemoryStore::new(size, 1 << 20)), now);
        let (seen, searches, asked, answered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut watcher = Self { node, now_ms: 1000, seen, searches, asked, answered };
        watcher.feed(Input::Watch { id: ID, filter, since });
        watcher
    }

    fn of_all() -> Self {
        Self::of(Filter::Prefix(Vec::new()), Since::Now)
    }

    fn of_key() -> Self {
        Self::of(Filter::Key(key()), Since::Now)
    }

    fn feed(&mut self, input: Input) {
        let now = Now { elapsed: Duration::from_millis(self.now_ms), wall_ms: self.now_ms };
        self.node.handle(now, input);
        while let Some(output) = self.node.poll() {
            match output {
                Output::Seen(id, seen) => {
                    assert_eq!(id, ID);
                    self.seen.push(seen);
                }
                Output::FindOwner(id, _) => self.searches.push(id),
                Output::Send(id, peer, PeerRequest::Watch { .. }) => self.asked.push((id, peer)),
                Output::Reply(_, answer) => self.answered.push(answer.body),
                Output::Send(..) | Output::Done(..) | Output::Left(_) | Output::Event(_) => {}
            }
        }
    }

    fn passes(&mut self, pause: Duration) {
        for _ in 0..pause.as_millis().div_ceil(100) {
            self.now_ms += 100;
            self.feed(Input::Tick);
        }
    }

    /// The one search that is open ends with that owner.
    fn finds(&mut self, owner: u64) {
        let id = self.searches.pop().expect("it looks for an owner");
        self.feed(Input::Found(id, Some(peer(owner))));
    }

    /// The one question that is open is answered by that owner.
    fn is_told(&mut self, owner: u64, body: Option<AnswerBody>) {
        let (id, asked) = self.asked.pop().expect("it asks an owner");
        assert_eq!(asked, peer(owner));
        let answer = body.map(|body| PeerAnswer { leaving: false, body }).ok_or(Failure::Silent);
        self.feed(Input::Answer(id, answer));
    }

    fn is_subscribed(&mut self, owner: u64, range: Range, began: u64, current: Option<Current>) {
        let subscribed = vec![Subscribed { id: ID.0, began: version(began), current }];
        self.is_told(owner, Some(AnswerBody::Watched { range, subscribed }));
    }

    /// It repeats what it wants after a while, and this is what comes of it.
    fn is_subscribed_again(&mut self, owner: u64, range: Range, began: u64, current: Option<Current>) {
        self.passes(REPEAT_PAUSE);
        self.is_subscribed(owner, range, began, current);
    }

    fn hears(&mut self, owner: u64, began: u64, first: u64, notices: &[Notice]) -> AnswerBody {
        let delivery = Delivery { id: ID.0, began: version(began), first, notices: notices.to_vec() };
        let request = PeerRequest::Notify { deliveries: vec![delivery] };
        self.feed(Input::Request { token: Token(1), from: peer(owner), request });
        self.answered.pop().expect("an answer")
    }

    fn sees(&mut self, expected: &[Seen]) {
        assert_eq!(self.seen, expected);
        self.seen.clear();
    }
}

fn told(reception: Reception) -> AnswerBody {
    AnswerBody::Notified(vec![reception])
}

/// Of all keys, or of one, with the owner at 50 that has everything.
fn begun(filter: Filter, current: Option<Current>) -> Watcher {
    let mut watcher = Watcher::of(filter, Since::Now);
    watcher.finds(50);
    watcher.is_subscribed(50, range(50, 50), 1, current);
    watcher.sees(&[Seen::Watching]);
    watcher
}

fn all_begun() -> Watcher {
    begun(Filter::Prefix(Vec::new()), None)
}

fn key_begun(current: Option<Header>) -> Watcher {
    begun(Filter::Key(key()), Some(Current::Known(current)))
}

#[test]
fn one_who_comes_back_and_does_not_know_what_it_saw_last_may_have_missed_something() {
    let all = Filter::Prefix(Vec::new());
    let position = key().position(RingSize::new(6).unwrap());
    let before = RingSize::new(6).unwrap().before(position);
    let of_key = Range { after: before, up_to: position };
    for (filter, since, missed) in [
        (Filter::Key(key()), Since::Unknown, of_key),
        (all.clone(), Since::Unknown, range(40, 40)),
        (all, Since::Change(version(5), Happened::Set), range(40, 40)),
    ] {
        let current = matches!(filter, Filter::Key(_)).then_some(Current::Known(None));
        let mut watcher = Watcher::of(filter, since);
        watcher.finds(50);
        watcher.is_subscribed(50, range(50, 50), 1, current);
        watcher.sees(&[Seen::Watching, Seen::Missed(missed)]);
    }
}

#[test]
fn what_one_watch_has_learnt_of_an_owner_spares_the_next_one_a_search() {
    let mut watcher = all_begun();
    watcher.feed(Input::Watch { id: WatchId(10), filter: Filter::Key(key()), since: Since::Now });
    assert_eq!((watcher.searches.len(), watcher.asked.len()), (0, 1));
    let (id, asked) = watcher.asked.pop().expect("it asks");
    assert_eq!(asked, peer(50));
    // It is no owner any more: another is looked for.
    let body = AnswerBody::Refused(Denial::NotOwner);
    watcher.feed(Input::Answer(id, Ok(PeerAnswer { leaving: false, body })));
    watcher.passes(RETRY_PAUSE);
    assert_eq!(watcher.searches.len(), 1);
}

#[test]
fn a_watch_begins_when_each_part_of_the_ring_has_an_owner_that_knows_of_it() {
    let mut watcher = Watcher::of_all();
    watcher.finds(50);
    watcher.is_subscribed(50, range(20, 50), 1, None);
    watcher.sees(&[]);
    watcher.finds(20); // at once: a ring may have hundreds of owners
    watcher.is_subscribed(20, range(50, 20), 1, None);
    watcher.sees(&[Seen::Watching]);
    assert_eq!((watcher.searches.len(), watcher.asked.len()), (0, 0));
}

#[test]
fn a_key_is_watched_when_its_owner_knows_what_is_there() {
    let mut watcher = Watcher::of_key();
    watcher.finds(50);
    watcher.is_subscribed(50, range(50, 50), 1, Some(Current::Unknown));
    watcher.sees(&[]);
    assert_eq!(watcher.hears(50, 1, 1, &[set(7)]), told(Reception::Early), "again, later");
    watcher.passes(RETRY_PAUSE);
    watcher.is_subscribed(50, range(50, 50), 1, Some(Current::Known(None)));
    watcher.sees(&[Seen::Watching]);
    assert_eq!(watcher.hears(50, 1, 1, &[set(7)]), told(Reception::Heard));
    watcher.sees(&[Seen::Changed(set(7))]);
}

#[test]
fn what_is_told_again_because_an_answer_was_lost_is_seen_once() {
    let mut watcher = all_begun();
    let deleted = notice(8, Happened::Deleted);
    watcher.hears(50, 1, 1, &[set(7)]);
    assert_eq!(watcher.hears(50, 1, 1, &[set(7), deleted.clone()]), told(Reception::Heard));
    watcher.sees(&[Seen::Changed(set(7)), Seen::Changed(deleted)]);
}

#[test]
fn a_key_that_changes_all_the_while_is_remembered_however_many_others_change() {
    let mut watcher = all_begun();
    let other = |idx: usize| Notice { key: Key::new(format!("other{idx}").as_bytes()).unwrap(), ..set(7) };
    let rounds = 3 * RECENT_MAX / 100;
    for round in 0..rounds {
        let mut notices: Vec<Notice> = (0..100).map(|idx| other(round * 100 + idx)).collect();
        notices.push(set(10 + round as u64));
        assert_eq!(watcher.hears(50, 1, round as u64 * 101 + 1, &notices), told(Reception::Heard));
        assert_eq!(watcher.seen.len(), 101);
        watcher.seen.clear();
    }
    let (next, last) = (rounds as u64 * 101 + 1, 9 + rounds as u64);
    watcher.hears(50, 1, next, &[set(last), set(last - 1), other(rounds * 100 - 1)]);
    watcher.sees(&[]);
    let recent = &watcher.node.watches.watches[&ID].recent;
    assert!(recent.last.len() <= RECENT_MAX && recent.order.len() <= 2 * RECENT_MAX);
}

#[test]
fn what_an_owner_leaves_out_is_said_to_be_missed() {
    let mut watcher = all_begun();
    watcher.hears(50, 1, 1, &[set(7)]);
    watcher.hears(50, 1, 3, &[set(9)]);
    watcher.sees(&[Seen::Changed(set(7)), Seen::Missed(range(50, 50)), Seen::Changed(set(9))]);
}

#[test]
fn an_owner_that_has_forgotten_a_watch_of_many_keys_may_have_let_it_miss_some() {
    let mut watcher = all_begun();
    watcher.hears(50, 1, 1, &[set(7)]);
    watcher.seen.clear();
    watcher.is_subscribed_again(50, range(50, 50), 1, None);
    watcher.sees(&[]);
    watcher.is_subscribed_again(50, range(50, 50), 2, None);
    watcher.sees(&[Seen::Missed(range(50, 50))]);
    watcher.hears(50, 2, 1, &[set(7), set(8)]);
    watcher.sees(&[Seen::Changed(set(8))]);
}

#[test]
fn of_one_key_it_is_found_out_whether_something_was_missed() {
    let mut watcher = key_begun(Some(header(5, None)));
    let arc = watcher.node.watches.watches[&ID].arc;
    watcher.hears(50, 1, 1, &[set(7)]);
    watcher.seen.clear();
    let known = |header| Some(Current::Known(Some(header)));
    watcher.is_subscribed_again(50, range(50, 50), 2, known(header(7, None)));
    watcher.sees(&[]);
    watcher.is_subscribed_again(50, range(50, 50), 3, known(header(9, None)));
    watcher.sees(&[Seen::Missed(arc), Seen::Changed(set(9))]);
    watcher.is_subscribed_again(50, range(50, 50), 4, known(header(9, Some(1500))));
    watcher.sees(&[Seen::Changed(notice(9, Happened::Expired))]);
    watcher.is_subscribed_again(50, range(50, 50), 5, known(header(10, Some(10))));
    watcher.sees(&[Seen::Missed(arc), Seen::Changed(notice(10, Happened::Deleted))]);
}

#[test]
fn a_value_of_which_nothing_is_left_is_missed_once() {
    let mut watcher = key_begun(Some(header(5, None)));
    let arc = watcher.node.watches.watches[&ID].arc;
    watcher.is_subscribed_again(50, range(50, 50), 2, Some(Current::Known(None)));
    watcher.sees(&[Seen::Missed(arc)]);
    watcher.is_subscribed_again(50, range(50, 50), 3, Some(Current::Known(None)));
    watcher.sees(&[]);
    watcher.hears(50, 3, 1, &[set(5), set(6)]);
    watcher.sees(&[Seen::Changed(set(6))]);
}

#[test]
fn one_who_comes_back_is_told_what_came_since() {
    let resumed = |since, current| {
        let mut watcher = Watcher::of(Filter::Key(key()), since);
        watcher.finds(50);
        watcher.is_subscribed(50, range(50, 50), 1, Some(Current::Known(current)));
        let seen = watcher.seen.split_off(1);
        assert_eq!(watcher.seen, [Seen::Watching]);
        seen.into_iter()
            .map(|seen| if let Seen::Changed(notice) = seen { Some(notice) } else { None })
            .collect::<Vec<_>>()
    };
    let nothing: Vec<Option<Notice>> = Vec::new();
    let (was_set, was_deleted) =
        (Since::Change(version(5), Happened::Set), Since::Change(version(5), Happened::Deleted));
    assert_eq!(resumed(was_set, Some(header(5, None))), nothing);
    assert_eq!(resumed(was_deleted, Some(header(5, Some(5)))), nothing);
    assert_eq!(resumed(was_deleted, None), nothing, "it is forgotten by now");
    assert_eq!(resumed(was_set, Some(header(5, Some(900)))), [Some(notice(5, Happened::Expired))]);
    assert_eq!(resumed(was_set, Some(header(6, None))), [None, Some(set(6))]);
    assert_eq!(resumed(was_set, None), [None]);
    let will_be_set = Since::Change(version(u64::from(u32::MAX)), Happened::Set);
    assert_eq!(resumed(will_be_set, Some(header(6, None))), [None], "nobody was told that yet");
}

#[test]
fn a_change_that_nobody_has_holds_back_none_that_are_older() {
    let soon = version(30_000);
    for happened in [Happened::Set, Happened::Deleted, Happened::Expired] {
        for (current, there) in [(Some(header(6, None)), Some(set(6))), (None, None)] {
            let mut watcher = Watcher::of(Filter::Key(key()), Since::Change(soon, happened));
            watcher.finds(50);
            watcher.is_subscribed(50, range(50, 50), 1, Some(Current::Known(current)));
            let seen = std::mem::take(&mut watcher.seen);
            assert!(matches!(seen[..2], [Seen::Watching, Seen::Missed(_)]), "{happened:?}: {seen:?}");
            assert_eq!(seen[2..], there.map(Seen::Changed).into_iter().collect::<Vec<_>>(), "{happened:?}");
            watcher.hears(50, 1, 1, &[set(7)]);
            watcher.sees(&[Seen::Changed(set(7))]);
        }
    }
}

#[test]
fn another_owner_is_looked_for_when_one_does_not_answer_or_has_the_key_no_more() {
    let nothing = AnswerBody::Watched { range: range(45, 50), subscribed: Vec::new() };
    let refuses = AnswerBody::Refused(Denial::NotOwner);
    for answer in [None, Some(nothing), Some(refuses)] {
        let mut watcher = all_begun();
        watcher.passes(REPEAT_PAUSE);
        watcher.is_told(50, answer);
        watcher.passes(RETRY_PAUSE);
        watcher.finds(60);
        watcher.is_subscribed(60, range(60, 60), 1, None);
        watcher.sees(&[Seen::Missed(range(60, 60))]);
        watcher.hears(50, 1, 1, &[set(7)]);
        watcher.sees(&[Seen::Changed(set(7))]);
        watcher.hears(60, 1, 1, &[set(7)]);
        watcher.sees(&[]);
    }
}

#[test]
fn an_owner_that_was_silent_for_a_moment_and_has_forgotten_nothing_let_nothing_be_missed() {
    let mut watcher = all_begun();
    watcher.passes(REPEAT_PAUSE);
    watcher.is_told(50, None);
    watcher.hears(50, 1, 1, &[set(7)]);
    watcher.passes(RETRY_PAUSE);
    watcher.finds(50);
    watcher.is_subscribed(50, range(50, 50), 1, None);
    watcher.sees(&[Seen::Changed(set(7))]);
}

#[test]
fn a_newcomer_between_two_owners_takes_its_part_and_that_part_may_have_been_missed() {
    let mut watcher = all_begun();
    watcher.is_subscribed_again(50, range(20, 50), 1, None);
    watcher.passes(RETRY_PAUSE);
    watcher.finds(20);
    watcher.is_subscribed(20, range(50, 20), 1, None);
    watcher.sees(&[Seen::Missed(range(50, 20))]);
}

#[test]
fn what_nobody_watches_any_more_is_heard_and_not_told() {
    let mut watcher = all_begun();
    watcher.feed(Input::Unwatch(ID));
    assert_eq!(watcher.hears(50, 1, 1, &[set(7)]), told(Reception::Unwanted), "not again");
    watcher.passes(REPEAT_PAUSE * 2);
    watcher.sees(&[]);
    assert_eq!((watcher.searches.len(), watcher.asked.len()), (0, 0));
}

#[test]
fn one_who_is_asked_whether_it_watches_says_so_and_tells_nothing() {
    let mut watcher = all_begun();
    assert_eq!(watcher.hears(50, 1, 1, &[]), told(Reception::Heard));
    assert_eq!(
        watcher.hears(50, 2, 1, &[]),
        told(Reception::Early),
        "it has begun anew, and that is still to be told"
    );
    assert_eq!(watcher.hears(60, 1, 1, &[]), told(Reception::Unwanted), "this one is no owner");
    watcher.sees(&[]);
    watcher.hears(50, 1, 1, &[set(7)]);
    watcher.sees(&[Seen::Changed(set(7))]);
}

#[test]
fn an_owner_that_was_doubted_before_the_watch_began_lets_it_begin_when_it_answers_again() {
    let mut watcher = Watcher::of_all();
    watcher.finds(50);
    watcher.is_subscribed(50, range(20, 50), 1, None);
    watcher.finds(20);
    watcher.passes(REPEAT_PAUSE);
    watcher.is_told(50, None);
    watcher.is_subscribed(20, range(50, 20), 1, None);
    watcher.sees(&[]);
    watcher.passes(RETRY_PAUSE_MAX);
    watcher.finds(50);
    watcher.is_subscribed(50, range(20, 50), 1, None);
    watcher.sees(&[Seen::Watching]);
}

#[test]
fn numbers_that_cannot_be_counted_are_refused() {
    let mut watcher = all_begun();
    for first in [0, u64::MAX] {
        let answer = watcher.hears(50, 1, first, &[set(7)]);
        assert_eq!(answer, AnswerBody::Refused(Denial::Senseless));
    }
    watcher.sees(&[]);
}
