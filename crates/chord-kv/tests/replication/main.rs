//! One node's part in replication, told whatever a peer could say: it never panics, and what it keeps stays bounded.

mod pair;
mod rivals;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chord_kv::replication::{
    Account, AnswerBody, Before, Change, Comparison, Condition, Consistency, Current, Delivery, Denial,
    Departure, Event, Expiry, Filter, Group, Happened, Header, Input, Interest, Neighbours, Notice, Now,
    Operation, OperationError, Output, PeerAnswer, PeerRequest, Proposal, Reception, Replicator, RequestId,
    Settings, Since, Standing, Subscribed, Verdict, WatchId,
};
use chord_kv::{
    Applied, Cursor, Digest, Key, MemoryStore, Page, PageLimit, Range, Record, Sequence, Store, StoreError,
    Usage, Value, Version,
};
use chord_ring::{Failure, Peer, Position, Refusal, RingSize, Token};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use pair::{Pair, key_owned, keys_owned, owner_of, record};

const PEERS: u8 = 5;

fn size() -> RingSize {
    RingSize::new(6).expect("a size")
}

fn peer(number: u8) -> Peer {
    Peer::of_name(format!("host{number}:1").parse().expect("a name"), size())
}

fn any_peer() -> impl Strategy<Value = Peer> {
    (0..PEERS).prop_map(peer)
}

fn any_position() -> impl Strategy<Value = Position> {
    prop_oneof![9 => (0..64_u64).prop_map(Position::from), 1 => Just(Position::MAX)]
}

fn any_range() -> impl Strategy<Value = Range> {
    (any_position(), any_position()).prop_map(|(after, up_to)| Range { after, up_to })
}

fn any_key() -> impl Strategy<Value = Key> {
    (0..8_u8).prop_map(|number| Key::new(&[b'a' + number]).expect("it is short"))
}

fn any_version() -> impl Strategy<Value = Version> {
    let time_ms = prop_oneof![8 => 0..10_000_u64, 1 => Just(u64::MAX), 1 => Just(1 << 47)];
    (time_ms, any::<u16>(), any_position())
        .prop_map(|(time_ms, counter, writer)| Version::new(time_ms, counter, writer))
}

/// A record, mostly where its key lies.
fn any_proposal() -> impl Strategy<Value = Proposal> {
    prop_oneof![
        Just(Proposal::LeftToOwner),
        any_version().prop_map(Proposal::Version),
        any_version().prop_map(Proposal::Soon)
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let value = option::of(vec(any::<u8>(), 0..8));
    (any_key(), value, any_version(), option::of(any::<u64>()), option::weighted(0.1, any_position()))
        .prop_map(|(key, value, version, expires_at_ms, elsewhere)| Record {
            position: elsewhere.unwrap_or_else(|| key.position(size())),
            key,
            value: value.map(|bytes| Value::new(&bytes, 100).expect("it is short")),
            version,
            expires_at_ms,
        })
}

fn any_header() -> impl Strategy<Value = Header> {
    any_record().prop_map(|record| Header::from(&record))
}

fn any_cursor() -> impl Strategy<Value = Option<Cursor>> {
    option::of((any_position(), any_key()).prop_map(|(position, key)| Cursor { position, key }))
}

fn any_digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        Just(Digest::EMPTY),
        vec(any_record(), 0..3).prop_map(|records| {
            let mut digest = Digest::EMPTY;
            for record in &records {
                digest.add(record);
            }
            digest
        }),
        any::<[u8; 8]>().prop_map(|bytes| {
            let mut all = [0; 40];
            all[..8].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&bytes); // Any number of records.
            Digest::from_bytes(all)
        }),
    ]
}

fn any_group() -> impl Strategy<Value = Group> {
    (any_peer(), any_position(), any_version(), vec(any_peer(), 0..5)).prop_map(
        |(owner, after, id, members)| Group {
            owner,
            after,
            id,
            members: members.into_iter().map(|member| member.name).collect(),
        },
    )
}

fn any_request() -> impl Strategy<Value = PeerRequest> {
    let records = || vec(any_record(), 0..4);
    let headers = || vec(any_header(), 0..4);
    prop_oneof![
        Just(PeerRequest::Vouch),
        (0u64..10_000).prop_map(|ms| PeerRequest::Succeed { member_for: Duration::from_millis(ms) }),
        (any_group(), records()).prop_map(|(group, records)| PeerRequest::Store { group, records }),
        any_group().prop_map(|group| PeerRequest::Confirm { group }),
        (any_range(), any_digest()).prop_map(|(range, digest)| PeerRequest::Compare { range, digest }),
        (any_range(), any_cursor()).prop_map(|(range, cursor)| PeerRequest::List { range, cursor }),
        (any_range(), any_cursor()).prop_map(|(range, cursor)| PeerRequest::Pull { range, cursor }),
        vec((any_position(), any_key()), 0..4).prop_map(|keys| PeerRequest::Fetch { keys }),
        (headers(), any::<bool>()).prop_map(|(headers, leaving)| PeerRequest::Offer { headers, leaving }),
        records().prop_map(|records| PeerRequest::Deliver { records }),
        (any_group(), headers()).prop_map(|(group, headers)| PeerRequest::Purge { group, headers }),
        vec(any_interest(), 0..4).prop_map(|interests| PeerRequest::Watch { interests }),
        vec(any_delivery(), 0..4).prop_map(|deliveries| PeerRequest::Notify { deliveries }),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    prop_oneof![any_key().prop_map(Filter::Key), vec(any::<u8>(), 0..2).prop_map(Filter::Prefix)]
}

fn any_interest() -> impl Strategy<Value = Interest> {
    (0..4_u64, any_filter()).prop_map(|(id, filter)| Interest { id, filter })
}

fn any_subscribed() -> impl Strategy<Value = Subscribed> {
    let current = prop_oneof![Just(Current::Unknown), option::of(any_header()).prop_map(Current::Known)];
    (0..4_u64, any_version(), option::of(current)).prop_map(|(id, began, current)| Subscribed {
        id,
        began,
        current,
    })
}

fn any_delivery() -> impl Strategy<Value = Delivery> {
    let happened = prop_oneof![Just(Happened::Set), Just(Happened::Deleted), Just(Happened::Expired)];
    let notice = (any_key(), any_version(), happened).prop_map(|(key, version, happened)| Notice {
        key,
        version,
        happened,
    });
    (0..4_u64, any_version(), any::<u64>(), vec(notice, 0..4))
        .prop_map(|(id, began, first, notices)| Delivery { id, began, first, notices })
}

fn any_body() -> impl Strategy<Value = AnswerBody> {
    let standing = || {
        (any::<bool>(), vec(any_peer(), 0..4))
            .prop_map(|(is_settled, beyond)| Standing { is_settled, beyond })
    };
    let comparison = prop_oneof![
        Just(Comparison::Same),
        Just(Comparison::Short),
        vec(any_digest(), 0..20).prop_map(Comparison::Parts),
        vec(any_digest(), 16..=16).prop_map(Comparison::Parts),
    ];
    let verdict =
        prop_oneof![Just(Verdict::NotMine), Just(Verdict::Keep), Just(Verdict::Deliver), Just(Verdict::Drop)];
    let reception = prop_oneof![Just(Reception::Heard), Just(Reception::Early), Just(Reception::Unwanted)];
    let denial = prop_oneof![
        Just(Denial::NotMember),
        Just(Denial::NotOwner),
        Just(Denial::Senseless),
        Just(Denial::Store),
        any_version().prop_map(|known| Denial::OldGroup { known }),
    ];
    prop_oneof![
        any::<bool>().prop_map(AnswerBody::Vouched),
        vec((0..5_usize, any_version()), 0..3).prop_map(|newer| AnswerBody::Stored { newer }),
        Just(AnswerBody::Done),
        (standing(), comparison)
            .prop_map(|(standing, comparison)| AnswerBody::Compared { standing, comparison }),
        (vec(any_header(), 0..4), any_cursor()).prop_map(|(headers, next)| AnswerBody::Listed {
            account: Account::default(),
            headers,
            next
        }),
        (vec(any_record(), 0..4), any_cursor())
            .prop_map(|(records, next)| AnswerBody::Page { records, next }),
        (standing(), 0..5_usize, vec(any_record(), 0..4)).prop_map(|(standing, looked_at, records)| {
            AnswerBody::Fetched { standing, looked_at, records }
        }),
        vec(verdict, 0..5).prop_map(AnswerBody::Judged),
        vec(reception, 0..5).prop_map(AnswerBody::Notified),
        any::<usize>().prop_map(AnswerBody::Delivered),
        option::of(any_range()).prop_map(AnswerBody::Yielded),
        (any_range(), vec(any_subscribed(), 0..4))
            .prop_map(|(range, subscribed)| AnswerBody::Watched { range, subscribed }),
        denial.prop_map(AnswerBody::Refused),
    ]
}

fn any_failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Unreachable),
        Just(Failure::Silent),
        Just(Failure::Garbled),
        Just(Failure::Refused(Refusal::NotMember)),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let value = || vec(any::<u8>(), 0..8).prop_map(|bytes| Value::new(&bytes, 100).expect("it is short"));
    let change = prop_oneof![
        value().prop_map(Change::Set),
        Just(Change::Delete),
        any::<i64>().prop_map(Change::Add),
        value().prop_map(Change::Append),
        Just(Change::Keep),
    ];
    let condition = prop_oneof![
        Just(Condition::Always),
        Just(Condition::Absent),
        Just(Condition::Present),
        any_version().prop_map(Condition::Version),
    ];
    let expiry = prop_oneof![Just(Expiry::Keep), Just(Expiry::Never), any::<u64>().prop_map(Expiry::At)];
    prop_oneof![
        Just(Operation::Get),
        (change, condition, expiry).prop_map(|(change, condition, expiry)| Operation::Change {
            change,
            condition,
            expiry
        }),
    ]
}

/// What happens to a node, and how long after the last thing, in milliseconds.
#[derive(Clone, Debug)]
enum Happens {
    Input(Input),
    /// The end of one of its open requests, by its place among them.
    Answer(usize, Result<PeerAnswer, Failure>),
    Found(usize, Option<Peer>),
}

fn anything() -> impl Strategy<Value = (u64, Happens)> {
    let neighbours = (any::<bool>(), option::of(any_peer()), vec(any_peer(), 0..4))
        .prop_map(|(is_member, predecessor, successors)| Neighbours { is_member, predecessor, successors });
    let consistency = prop_oneof![
        Just(Consistency::Usual),
        Just(Consistency::One),
        Just(Consistency::Quorum),
        Just(Consistency::All)
    ];
    let operate = (any_key(), any_operation(), any_proposal(), consistency, 0..20_000_u64).prop_map(
        |(key, operation, proposal, consistency, until_ms)| Input::Operate {
            token: Token(until_ms),
            position: key.position(size()),
            key,
            operation,
            proposal,
            consistency,
            until: Duration::from_millis(until_ms),
        },
    );
    let request = (any_peer(), any_request()).prop_map(|(from, request)| Input::Request {
        token: Token(0),
        from,
        request,
    });
    let adopt = (any_key(), vec(any::<u8>(), 0..8)).prop_map(|(key, bytes)| Input::Adopt {
        token: Token(0),
        key,
        value: Value::new(&bytes, 100).expect("it is short"),
    });
    let watch = (0..4_u64, any_filter(), option::of(any_version())).prop_map(|(id, filter, since)| {
        let since = since.map_or(Since::Now, |version| Since::Change(version, Happened::Set));
        Input::Watch { id: WatchId(id), filter, since }
    });
    let answer = (any::<bool>(), any_body()).prop_map(|(leaving, body)| PeerAnswer { leaving, body });
    let ended = prop_oneof![4 => answer.prop_map(Ok), 1 => any_failure().prop_map(Err)];
    let happens = prop_oneof![
        2 => neighbours.prop_map(|neighbours| Happens::Input(Input::Neighbours(neighbours))),
        4 => operate.prop_map(Happens::Input),
        6 => request.prop_map(Happens::Input),
        12 => (any::<usize>(), ended).prop_map(|(idx, ended)| Happens::Answer(idx, ended)),
        2 => (any::<usize>(), option::of(any_peer())).prop_map(|(idx, owner)| Happens::Found(idx, owner)),
        6 => Just(Happens::Input(Input::Tick)),
        1 => vec(any_peer(), 0..4).prop_map(|peers| Happens::Input(Input::Recall(peers))),
        1 => Just(Happens::Input(Input::Durable)),
        1 => Just(Happens::Input(Input::Leave)),
        1 => adopt.prop_map(Happens::Input),
        1 => watch.prop_map(Happens::Input),
        1 => (0..4_u64).prop_map(|id| Happens::Input(Input::Unwatch(WatchId(id)))),
    ];
    (0..700_u64, happens)
}

/// A node, and its requests that have not ended.
struct Driven {
    node: Replicator,
    asked: Vec<RequestId>,
    searches: Vec<RequestId>,
    now_ms: u64,
    outputs: usize,
}

impl Driven {
    fn new(store: Arc<dyn Store>) -> Self {
        let settings = Settings { value_bytes_max: 100, ..Settings::new(size()) };
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let node = Replicator::new(peer(0), settings, store, now);
        Self { node, asked: Vec::new(), searches: Vec::new(), now_ms: 1, outputs: 0 }
    }

    fn feed(&mut self, input: Input) {
        let now = Now { elapsed: Duration::from_millis(self.now_ms), wall_ms: self.now_ms };
        self.node.handle(now, input);
        while let Some(output) = self.node.poll() {
            self.outputs += 1;
            match output {
                Output::Send(id, ..) => self.asked.push(id),
                Output::FindOwner(id, _) => self.searches.push(id),
                Output::Reply(..)
                | Output::Done(..)
                | Output::Left(_)
                | Output::Seen(..)
                | Output::Event(_) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_a_peer_says_makes_a_node_panic_or_talk_without_end(events in vec(anything(), 1..120)) {
        let store = Arc::new(MemoryStore::new(size(), 1 << 20));
        let mut driven = Driven::new(store.clone());
        for (pause_ms, happens) in events {
            driven.now_ms += pause_ms;
            let before = driven.outputs;
            match happens {
                Happens::Input(input) => driven.feed(input),
                Happens::Answer(idx, answer) if !driven.asked.is_empty() => {
                    let id = driven.asked.swap_remove(idx % driven.asked.len());
                    driven.feed(Input::Answer(id, answer));
                }
                Happens::Found(idx, owner) if !driven.searches.is_empty() => {
                    let id = driven.searches.swap_remove(idx % driven.searches.len());
                    driven.feed(Input::Found(id, owner));
                }
                Happens::Answer(..) | Happens::Found(..) => {}
            }
            prop_assert!(driven.outputs - before < 1000, "{} outputs of one input", driven.outputs - before);
        }
        // Eight keys, whatever was said.
        prop_assert!(store.usage().records <= 8 * 65);
        let _ = driven.node.status();
    }
}

#[test]
fn a_ring_of_one_answers_at_once() {
    let mut driven = Driven::new(Arc::new(MemoryStore::new(size(), 1 << 20)));
    driven.feed(Input::Neighbours(Neighbours { is_member: true, ..Neighbours::default() }));
    let key = Key::new(b"key").unwrap();
    let until = Duration::from_secs(9);
    let operate = |operation| Input::Operate {
        token: Token(1),
        key: key.clone(),
        position: key.position(size()),
        operation,
        proposal: Proposal::LeftToOwner,
        consistency: Consistency::Usual,
        until,
    };
    let now = Now { elapsed: Duration::from_millis(2), wall_ms: 2 };
    let value = Value::new(b"value", 100).unwrap();
    for (operation, expected) in [
        (Operation::Get, None),
        (Operation::put(value.clone()), Some(value.clone())),
        (Operation::Get, Some(value)),
        (Operation::delete(), None),
        (Operation::Get, None),
    ] {
        driven.node.handle(now, operate(operation.clone()));
        let output = driven.node.poll();
        let Some(Output::Done(Token(1), Ok(outcome))) = output else {
            panic!("{operation:?} of a ring of one: {output:?}")
        };
        assert_eq!(outcome.record.and_then(|record| record.value), expected, "{operation:?}");
        assert_eq!(driven.node.poll(), None);
    }
}

#[test]
fn a_change_that_comes_twice_tells_its_version_and_that_nobody_knows_what_was_there_before() {
    let mut driven = Driven::new(Arc::new(MemoryStore::new(size(), 1 << 20)));
    driven.feed(Input::Neighbours(Neighbours { is_member: true, ..Neighbours::default() }));
    let key = Key::new(b"key").unwrap();
    let mut deletes = |now_ms: u64, operation, proposal| {
        let now = Now { elapsed: Duration::from_millis(now_ms), wall_ms: now_ms };
        let (until, consistency) = (Duration::from_secs(9), Consistency::Usual);
        let (token, position, key) = (Token(1), key.position(size()), key.clone());
        let input = Input::Operate { token, position, key, operation, proposal, consistency, until };
        driven.node.handle(now, input);
        match driven.node.poll() {
            Some(Output::Done(Token(1), Ok(outcome))) => {
                let is_known = outcome.before != Before::Unknown;
                (outcome.was_there(), outcome.deleted, is_known)
            }
            other => panic!("{other:?}"),
        }
    };
    let version = |time_ms| Version::new(time_ms, 0, Position::ZERO);
    let put = || Operation::put(Value::new(b"value", 100).unwrap());
    let deletion = Proposal::Version(version(4));
    assert_eq!(deletes(2, Operation::delete(), Proposal::Version(version(2))), (false, None, true));
    assert_eq!(deletes(3, put(), Proposal::Version(version(3))), (false, None, true));
    assert_eq!(deletes(4, Operation::delete(), deletion), (true, Some(version(4)), true));
    assert_eq!(deletes(5, Operation::delete(), deletion), (true, Some(version(4)), false), "it is the same");
    assert_eq!(deletes(6, Operation::delete(), Proposal::Version(version(6))), (false, None, true));
    assert_eq!(deletes(7, Operation::Get, Proposal::LeftToOwner), (false, None, true));
    let twice = Proposal::Version(version(8));
    assert_eq!(deletes(8, put(), twice), (false, None, true));
    assert_eq!(deletes(9, put(), twice), (true, None, false), "it was there before it came again, of itself");
}

/// A store that has no room while it is told so.
struct Narrow {
    records: MemoryStore,
    is_full: AtomicBool,
}

impl Store for Narrow {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        self.records.read(position, key)
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::Full { limit_bytes: 0 });
        }
        self.records.apply(batch)
    }

    fn durable(&self) -> Sequence {
        self.records.durable()
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        self.records.range(range, cursor, limit)
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        self.records.remove(position, key, version)
    }

    fn usage(&self) -> Usage {
        self.records.usage()
    }
}

#[test]
fn a_node_without_room_for_what_it_takes_over_never_says_that_it_is_absent() {
    let key = key_owned(true);
    let record = record(key.as_bytes(), key.position(size()));
    let store = Arc::new(Narrow { records: MemoryStore::new(size(), 1 << 20), is_full: true.into() });
    let mut pair = Pair::new(store.clone(), owner_of(record.clone()));
    pair.join();
    pair.pass(60_000);
    assert_eq!(pair.get(&key), Some(Err(OperationError::Unanswered)));
    store.is_full.store(false, Ordering::Relaxed);
    pair.pass(2_000);
    assert_eq!(pair.get(&key), Some(Ok(Some(record))));
}

#[test]
fn a_node_that_leaves_alone_tells_what_it_has_of_other_ranges() {
    let key = key_owned(false);
    let store = Arc::new(MemoryStore::new(size(), 1 << 20));
    store.apply(vec![record(key.as_bytes(), key.position(size()))]).unwrap();
    let leaves_too = |request: &PeerRequest| match request {
        PeerRequest::Vouch => Ok(PeerAnswer { leaving: true, body: AnswerBody::Vouched(true) }),
        _ => Err(Failure::Silent),
    };
    let mut pair = Pair::new(store, leaves_too);
    pair.join();
    pair.feed(Input::Leave);
    pair.pass(5_000);
    let left = pair.ended.iter().find_map(|output| match output {
        Output::Left(departure) => Some(*departure),
        _ => None,
    });
    assert_eq!(left, Some(Departure { own_left: 0, others_left: 1, was_alone: true }));
}

#[test]
fn a_node_that_has_nothing_leaves_at_once_though_nobody_answers() {
    let mut pair = Pair::new(Arc::new(MemoryStore::new(size(), 1 << 20)), |_| Err(Failure::Silent));
    pair.join();
    pair.feed(Input::Leave);
    let left = pair.ended.iter().find_map(|output| match output {
        Output::Left(departure) => Some(*departure),
        _ => None,
    });
    assert_eq!(left, Some(Departure::default()));
}

#[test]
fn a_node_that_is_back_alone_waits_for_those_of_its_last_life() {
    let key = key_owned(true);
    let record = record(key.as_bytes(), key.position(size()));
    let founds = Input::Neighbours(Neighbours { is_member: true, ..Neighbours::default() });
    let mut alone = Pair::new(Arc::new(MemoryStore::new(size(), 1 << 20)), |_| Err(Failure::Unreachable));
    alone.feed(Input::Recall(vec![peer(1)]));
    alone.feed(founds.clone());
    assert_eq!(alone.node.recalled(), [peer(1)]);
    assert_eq!(alone.get(&key), Some(Err(OperationError::Unanswered)));
    alone.pass(10_000);
    assert_eq!(alone.get(&key), Some(Ok(None)), "the other one is not back in time");
    assert_eq!(alone.node.recalled(), []);
    assert_eq!(alone.node.status().missed, [peer(1).name]);
    assert!(!alone.node.status().is_ready());
    alone.feed(Input::Request { token: Token(9), from: peer(1), request: PeerRequest::Vouch });
    assert_eq!(alone.node.status().missed, [], "it is back");
    let mut first = Pair::new(Arc::new(MemoryStore::new(size(), 1 << 20)), owner_of(record.clone()));
    first.feed(Input::Recall(vec![peer(1)]));
    first.feed(founds);
    assert_eq!(first.get(&key), Some(Ok(Some(record))), "the other one is back, in no ring yet");
}

#[test]
fn an_owner_vouches_for_what_it_had_until_another_came_between() {
    let key = key_owned(true);
    let store = Arc::new(MemoryStore::new(size(), 1 << 20));
    let mut pair = Pair::new(store, owner_of(record(key.as_bytes(), key.position(size()))));
    pair.join();
    pair.pass(1_000);
    let lost = Range { after: peer(1).position, up_to: Position::from(40) };
    let own = Range { after: peer(1).position, up_to: peer(0).position };
    assert!(own.contains(lost.up_to) && lost.up_to != own.up_to, "somebody can come between: {own:?}");
    let newcomer = Peer { position: lost.up_to, name: "newcomer:1".parse().expect("a name") };
    let neighbours =
        Neighbours { is_member: true, predecessor: Some(newcomer.clone()), successors: vec![peer(1)] };
    pair.feed(Input::Neighbours(neighbours));
    let mut is_settled = |range: Range| {
        pair.ended.clear();
        let request = PeerRequest::Compare { range, digest: Digest::EMPTY };
        pair.feed(Input::Request { token: Token(9), from: newcomer.clone(), request });
        pair.ended.iter().any(|output| {
            let Output::Reply(_, PeerAnswer { body: AnswerBody::Compared { standing, .. }, .. }) = output
            else {
                return false;
            };
            standing.is_settled
        })
    };
    assert!(is_settled(lost));
    assert!(!is_settled(Range { after: own.up_to, up_to: lost.up_to }), "it never had that");
}
