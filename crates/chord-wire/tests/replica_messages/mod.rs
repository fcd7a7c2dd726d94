//! Any replica message, within the limits.

use std::time::Duration;

use chord_kv::replication::{
    Account, AnswerBody, Before, Change, Claim, Comparison, Condition, Consistency, Current, Delivery,
    Denial, Expiry, Filter, Group, Happened, Header, Interest, Notice, Operation, OperationError, Outcome,
    PARTS, PeerAnswer, PeerRequest, Proposal, Reception, Standing, Subscribed, Verdict,
};
use chord_kv::{
    ClockAhead, Cursor, Digest, Key, Range, Record, StoreError, VERSION_TIME_MS_MAX, Value, ValueTooLong,
    Version,
};
use chord_ring::{NodeName, Peer, Position, RingSize};
use chord_wire::replica::{DataAnswer, DataRequest, GROUP_MEMBERS_MAX, Operate, REASON_BYTES_MAX};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Bytes of a value, at most.
pub(crate) const VALUE_BYTES: usize = 64;

/// Any request on a ring of that size.
pub(crate) fn request(size: RingSize) -> BoxedStrategy<DataRequest> {
    let peer = prop_oneof![
        Just(PeerRequest::Vouch),
        any::<u64>().prop_map(|us| PeerRequest::Succeed { member_for: Duration::from_micros(us) }),
        (group(size), records(size)).prop_map(|(group, records)| PeerRequest::Store { group, records }),
        group(size).prop_map(|group| PeerRequest::Confirm { group }),
        (range(size), digest()).prop_map(|(range, digest)| PeerRequest::Compare { range, digest }),
        (range(size), cursor(size)).prop_map(|(range, cursor)| PeerRequest::List { range, cursor }),
        (range(size), cursor(size)).prop_map(|(range, cursor)| PeerRequest::Pull { range, cursor }),
        vec(key(), 0..9).prop_map(move |keys| PeerRequest::Fetch {
            keys: keys.into_iter().map(|key| (key.position(size), key)).collect()
        }),
        (headers(size), any::<bool>()).prop_map(|(headers, leaving)| PeerRequest::Offer { headers, leaving }),
        records(size).prop_map(|records| PeerRequest::Deliver { records }),
        (group(size), headers(size)).prop_map(|(group, headers)| PeerRequest::Purge { group, headers }),
        vec(interest(), 0..5).prop_map(|interests| PeerRequest::Watch { interests }),
        vec(delivery(), 0..3).prop_map(|deliveries| PeerRequest::Notify { deliveries }),
    ];
    prop_oneof![10 => peer.prop_map(DataRequest::Peer), 3 => operate().prop_map(DataRequest::Operate)].boxed()
}

/// Any answer on a ring of that size.
pub(crate) fn answer(size: RingSize) -> BoxedStrategy<DataAnswer> {
    let peer = (any::<bool>(), body(size)).prop_map(|(leaving, body)| PeerAnswer { leaving, body });
    let operated = prop_oneof![outcome(size).prop_map(Ok), operation_error().prop_map(Err)];
    prop_oneof![3 => peer.prop_map(DataAnswer::Peer), 2 => operated.prop_map(DataAnswer::Operated)].boxed()
}

fn body(size: RingSize) -> BoxedStrategy<AnswerBody> {
    prop_oneof![
        any::<bool>().prop_map(AnswerBody::Vouched),
        option::of(range(size)).prop_map(AnswerBody::Yielded),
        (range(size), vec(subscribed(size), 0..3))
            .prop_map(|(range, subscribed)| AnswerBody::Watched { range, subscribed }),
        vec((0usize..512, version()), 0..9).prop_map(|newer| AnswerBody::Stored { newer }),
        Just(AnswerBody::Done),
        (standing(size), comparison())
            .prop_map(|(standing, comparison)| AnswerBody::Compared { standing, comparison }),
        (account(size), headers(size), cursor(size))
            .prop_map(|(account, headers, next)| AnswerBody::Listed { account, headers, next }),
        (records(size), cursor(size)).prop_map(|(records, next)| AnswerBody::Page { records, next }),
        (standing(size), 0usize..=512, records(size)).prop_map(|(standing, looked_at, records)| {
            AnswerBody::Fetched { standing, looked_at, records }
        }),
        vec(verdict(), 0..9).prop_map(AnswerBody::Judged),
        vec(reception(), 0..9).prop_map(AnswerBody::Notified),
        (0usize..=512).prop_map(AnswerBody::Delivered),
        denial().prop_map(AnswerBody::Refused),
    ]
    .boxed()
}

/// Positions of all lengths, those with zeros in front among them.
fn any_position() -> impl Strategy<Value = Position> {
    (any::<[u8; 32]>(), 0usize..=32).prop_map(|(mut bytes, zeros)| {
        bytes[..zeros].fill(0);
        Position::from_be_bytes(bytes)
    })
}

pub(crate) fn position(size: RingSize) -> impl Strategy<Value = Position> {
    any_position().prop_map(move |position| size.reduce(position))
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    let time_ms = prop_oneof![Just(0), Just(VERSION_TIME_MS_MAX), 0..=VERSION_TIME_MS_MAX];
    let counter = prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
    (time_ms, counter, any_position())
        .prop_map(|(time_ms, counter, writer)| Version::new(time_ms, counter, writer))
}

fn name() -> impl Strategy<Value = NodeName> {
    ("[a-zA-Z0-9._-]{1,40}|\\[[0-9a-f:]{2,30}\\]", 1u16..)
        .prop_map(|(host, port)| format!("{host}:{port}").parse().expect("a name"))
}

fn peer(size: RingSize) -> impl Strategy<Value = Peer> {
    (position(size), name()).prop_map(|(position, name)| Peer { position, name })
}

fn group(size: RingSize) -> impl Strategy<Value = Group> {
    (peer(size), position(size), version(), vec(name(), 0..=GROUP_MEMBERS_MAX))
        .prop_map(|(owner, after, id, members)| Group { owner, after, id, members })
}

fn range(size: RingSize) -> impl Strategy<Value = Range> {
    (position(size), position(size)).prop_map(|(after, up_to)| Range { after, up_to })
}

fn key() -> impl Strategy<Value = Key> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| Key::new(&bytes).expect("a short key"))
}

fn value() -> impl Strategy<Value = Value> {
    vec(any::<u8>(), 0..=VALUE_BYTES)
        .prop_map(|bytes| Value::new(&bytes, VALUE_BYTES).expect("a short value"))
}

fn cursor(size: RingSize) -> impl Strategy<Value = Option<Cursor>> {
    option::of(key().prop_map(move |key| Cursor { position: key.position(size), key }))
}

fn digest() -> impl Strategy<Value = Digest> {
    (any::<[u8; 32]>(), any::<u64>()).prop_map(|(sum, records)| {
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(&sum);
        bytes[32..].copy_from_slice(&records.to_le_bytes());
        Digest::from_bytes(bytes)
    })
}

fn record(size: RingSize) -> impl Strategy<Value = Record> {
    (key(), option::of(value()), version(), option::of(any::<u64>())).prop_map(
        move |(key, value, version, expires_at_ms)| {
            let position = key.position(size);
            Record { position, key, value, version, expires_at_ms }
        },
    )
}

fn records(size: RingSize) -> impl Strategy<Value = Vec<Record>> {
    vec(record(size), 0..9)
}

fn headers(size: RingSize) -> impl Strategy<Value = Vec<Header>> {
    let header = (key(), version(), option::of(any::<u64>())).prop_map(move |(key, version, over_at_ms)| {
        Header { position: key.position(size), key, version, over_at_ms }
    });
    vec(header, 0..9)
}

fn standing(size: RingSize) -> impl Strategy<Value = Standing> {
    (any::<bool>(), vec(peer(size), 0..9)).prop_map(|(is_settled, beyond)| Standing { is_settled, beyond })
}

fn account(size: RingSize) -> impl Strategy<Value = Account> {
    let claim = prop_oneof![Just(Claim::Whole), any::<u64>().prop_map(Claim::Part), Just(Claim::Nothing)];
    (claim, any::<bool>(), vec(peer(size), 0..9), vec(peer(size), 0..9))
        .prop_map(|(claim, is_settled, near, recalled)| Account { claim, is_settled, near, recalled })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Same),
        Just(Comparison::Short),
        vec(digest(), 0..=usize::from(PARTS)).prop_map(Comparison::Parts),
    ]
}

fn reception() -> impl Strategy<Value = Reception> {
    prop::sample::select(vec![Reception::Heard, Reception::Early, Reception::Unwanted])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::NotMine, Verdict::Keep, Verdict::Deliver, Verdict::Drop])
}

fn denial() -> impl Strategy<Value = Denial> {
    prop_oneof![
        Just(Denial::NotMember),
        Just(Denial::NotOwner),
        version().prop_map(|known| Denial::OldGroup { known }),
        Just(Denial::Senseless),
        Just(Denial::Store),
    ]
}

fn interest() -> impl Strategy<Value = Interest> {
    let filter = prop_oneof![key().prop_map(Filter::Key), vec(any::<u8>(), 0..9).prop_map(Filter::Prefix)];
    (any::<u64>(), filter).prop_map(|(id, filter)| Interest { id, filter })
}

fn subscribed(size: RingSize) -> impl Strategy<Value = Subscribed> {
    let header = headers(size).prop_map(|headers| headers.into_iter().next());
    let current = prop_oneof![Just(Current::Unknown), header.prop_map(Current::Known)];
    (any::<u64>(), version(), option::of(current)).prop_map(|(id, began, current)| Subscribed {
        id,
        began,
        current,
    })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let happened = prop_oneof![Just(Happened::Set), Just(Happened::Deleted), Just(Happened::Expired)];
    let notice =
        (key(), version(), happened).prop_map(|(key, version, happened)| Notice { key, version, happened });
    (any::<u64>(), version(), any::<u64>(), vec(notice, 0..5))
        .prop_map(|(id, began, first, notices)| Delivery { id, began, first, notices })
}

fn operate() -> impl Strategy<Value = Operate> {
    let proposal = prop_oneof![
        Just(Proposal::LeftToOwner),
        version().prop_map(Proposal::Version),
        version().prop_map(Proposal::Soon)
    ];
    (key(), operation(), proposal, consistency(), 0u64..=3_600_000).prop_map(
        |(key, operation, proposal, consistency, remaining_ms)| {
            let remaining = Duration::from_millis(remaining_ms);
            Operate { key, operation, proposal, consistency, remaining }
        },
    )
}

fn consistency() -> impl Strategy<Value = Consistency> {
    use Consistency::{All, One, Quorum, Usual};
    prop::sample::select(vec![Usual, One, Quorum, All])
}

fn operation() -> impl Strategy<Value = Operation> {
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
        version().prop_map(Condition::Version),
    ];
    let expiry = prop_oneof![Just(Expiry::Keep), Just(Expiry::Never), any::<u64>().prop_map(Expiry::At)];
    let change = (change, condition, expiry).prop_map(|(change, condition, expiry)| Operation::Change {
        change,
        condition,
        expiry,
    });
    prop_oneof![1 => Just(Operation::Get), 4 => change]
}

fn outcome(size: RingSize) -> impl Strategy<Value = Outcome> {
    (option::of(record(size)), option::of(record(size)), 0..=GROUP_MEMBERS_MAX).prop_map(
        |(record, before, copies)| {
            let before = before.map_or(Before::Nothing, Before::Record);
            Outcome { record, before, copies, deleted: None }
        },
    )
}

fn operation_error() -> impl Strategy<Value = OperationError> {
    let copies = 0..=GROUP_MEMBERS_MAX;
    prop_oneof![
        Just(OperationError::NotOwner),
        Just(OperationError::Busy),
        option::of(version()).prop_map(|found| OperationError::ConditionFailed { found }),
        version().prop_map(|stored| OperationError::Outdated { stored }),
        any::<u64>().prop_map(|ahead_ms| ClockAhead { ahead_ms }.into()),
        Just(OperationError::NotANumber),
        Just(OperationError::OutOfRange),
        (any::<usize>(), any::<usize>())
            .prop_map(|(bytes, limit_bytes)| ValueTooLong { bytes, limit_bytes }.into()),
        store_error().prop_map(OperationError::Store),
        (copies.clone(), copies).prop_map(|(copies, wanted)| OperationError::TooFewCopies { copies, wanted }),
        Just(OperationError::Uncertain),
        Just(OperationError::Unanswered),
    ]
}

fn store_error() -> impl Strategy<Value = StoreError> {
    let sentence = || vec(b' '..=b'~', 0..=REASON_BYTES_MAX);
    let sentence = move || sentence().prop_map(|bytes| String::from_utf8(bytes).expect("ASCII"));
    prop_oneof![
        any::<u64>().prop_map(|limit_bytes| StoreError::Full { limit_bytes }),
        any::<u64>().prop_map(|pending_bytes_limit| StoreError::Busy { pending_bytes_limit }),
        (sentence(), sentence()).prop_map(|(reason, remedy)| StoreError::NotWriting { reason, remedy }),
        Just(StoreError::ForeignCursor),
        sentence().prop_map(|reason| StoreError::Failed { reason }),
    ]
}
