//! Replica messages: exact bytes, round trips, limits, and what is refused.

mod replica_messages;

use std::time::Duration;

use chord_kv::replication::{
    Account, AnswerBody, Before, Change, Claim, Comparison, Condition, Consistency, Denial, Expiry, Group,
    Header, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, Operation, OperationError, Outcome, PARTS, PeerAnswer,
    PeerRequest, Proposal, RECALLED_MAX, Reception, Standing, Verdict,
};
use chord_kv::{
    Cursor, Digest, KEY_BYTES_MAX, Key, Range, Record, StoreError, VALUE_BYTES_DEFAULT, Value, Version,
};
use chord_ring::{NODE_NAME_BYTES_MAX, NodeName, Peer, Position, RingSize, SUCCESSORS_LIMIT};
use chord_wire::REMAINING_MAX;
use chord_wire::replica::{
    DataAnswer, DataRequest, GROUP_MEMBERS_MAX, NEIGHBOURS_MAX, Operate, REASON_BYTES_MAX, REPLICA_FORMAT,
    ReplicaError, ReplicaLimits, decode_answer, decode_request, encode_answer, encode_request,
};
use proptest::prelude::*;
use replica_messages::VALUE_BYTES;

fn size(bits: u64) -> RingSize {
    RingSize::new(bits).expect("a size")
}

fn limits(bits: u64) -> ReplicaLimits {
    ReplicaLimits { size: size(bits), value_bytes: VALUE_BYTES }
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a short key")
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn at(position: u64) -> Position {
    position.into()
}

/// A record on the ring of 160 bits.
fn record(key_bytes: usize, value_bytes: usize) -> Record {
    let key = Key::new(&vec![b'k'; key_bytes]).expect("a short key");
    let value = Value::new(&vec![b'v'; value_bytes], value_bytes).expect("a short value");
    let (position, version) = (key.position(size(160)), Version::new(1, 0, at(1)));
    Record { position, key, value: Some(value), version, expires_at_ms: None }
}

fn deliver(records: Vec<Record>) -> DataRequest {
    DataRequest::Peer(PeerRequest::Deliver { records })
}

fn told(body: AnswerBody) -> DataAnswer {
    DataAnswer::Peer(PeerAnswer { leaving: false, body })
}

/// Whether a node takes the request of which these are the bytes, and takes it for that one.
fn passes(request: &DataRequest, limits: &ReplicaLimits) -> Result<(), ReplicaError> {
    let decoded = decode_request(&encode_request(request), limits)?;
    assert_eq!(&decoded, request);
    Ok(())
}

fn answer_passes(answer: &DataAnswer, limits: &ReplicaLimits) -> Result<(), ReplicaError> {
    let decoded = decode_answer(&encode_answer(answer), limits)?;
    assert_eq!(&decoded, answer);
    Ok(())
}

fn over(what: &'static str, limit: usize) -> Result<(), ReplicaError> {
    Err(ReplicaError::OverLimit { what, limit })
}

/// Whatever is taken is what its bytes say and no more, and has no other bytes.
fn check_any_bytes(bytes: &[u8], limits: &ReplicaLimits) {
    if let Ok(request) = decode_request(bytes, limits) {
        assert_eq!(encode_request(&request), bytes);
        check_rooms(request_rooms(&request), bytes.len());
    }
    if let Ok(answer) = decode_answer(bytes, limits) {
        assert_eq!(encode_answer(&answer), bytes);
        check_rooms(answer_rooms(&answer, bytes.len()), bytes.len());
    }
}

/// Lists have no more room than there were bytes, nor more than the limits allow.
fn check_rooms([peers, others]: [usize; 2], n_bytes: usize) {
    assert!(peers <= SUCCESSORS_LIMIT.into() && others <= MESSAGE_RECORDS_MAX && peers + others <= n_bytes);
}

/// How much room there is for nodes, and for other things.
fn request_rooms(request: &DataRequest) -> [usize; 2] {
    let DataRequest::Peer(request) = request else { return [0, 0] };
    match request {
        PeerRequest::Store { group, records } => [group.members.capacity(), records.capacity()],
        PeerRequest::Confirm { group } => [group.members.capacity(), 0],
        PeerRequest::Fetch { keys } => [0, keys.capacity()],
        PeerRequest::Offer { headers, .. } => [0, headers.capacity()],
        PeerRequest::Deliver { records } => [0, records.capacity()],
        PeerRequest::Purge { group, headers } => [group.members.capacity(), headers.capacity()],
        PeerRequest::Watch { interests } => [0, interests.capacity()],
        PeerRequest::Notify { deliveries } => [
            0,
            deliveries.capacity()
                + deliveries.iter().map(|delivery| delivery.notices.capacity()).sum::<usize>(),
        ],
        PeerRequest::Vouch
        | PeerRequest::Succeed { .. }
        | PeerRequest::Compare { .. }
        | PeerRequest::List { .. }
        | PeerRequest::Pull { .. } => [0, 0],
    }
}

fn answer_rooms(answer: &DataAnswer, n_bytes: usize) -> [usize; 2] {
    let DataAnswer::Peer(PeerAnswer { body, .. }) = answer else { return [0, 0] };
    match body {
        AnswerBody::Stored { newer } => [0, newer.capacity()],
        AnswerBody::Compared { standing, comparison: Comparison::Parts(parts) } => {
            [standing.beyond.capacity(), parts.capacity()]
        }
        AnswerBody::Compared { standing, .. } => [standing.beyond.capacity(), 0],
        AnswerBody::Listed { account, headers, .. } => {
            assert!(account.near.capacity() <= NEIGHBOURS_MAX && account.near.capacity() <= n_bytes);
            [account.recalled.capacity(), headers.capacity()]
        }
        AnswerBody::Page { records, .. } => [0, records.capacity()],
        AnswerBody::Fetched { standing, records, .. } => [standing.beyond.capacity(), records.capacity()],
        AnswerBody::Judged(verdicts) => [0, verdicts.capacity()],
        AnswerBody::Notified(receptions) => [0, receptions.capacity()],
        AnswerBody::Watched { subscribed, .. } => [0, subscribed.capacity()],
        AnswerBody::Vouched(_)
        | AnswerBody::Yielded(_)
        | AnswerBody::Done
        | AnswerBody::Delivered(_)
        | AnswerBody::Refused(_) => [0, 0],
    }
}

fn check_damaged(bytes: &[u8], limits: &ReplicaLimits) {
    for end in 0..bytes.len() {
        check_any_bytes(&bytes[..end], limits);
    }
    let mut damaged = bytes.to_vec();
    for idx in 0..bytes.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            damaged[idx] ^= flip;
            check_any_bytes(&damaged, limits);
            damaged[idx] ^= flip;
        }
    }
    damaged.push(0);
    assert!(decode_request(&damaged, limits).is_err() && decode_answer(&damaged, limits).is_err());
}

fn any_bits() -> impl Strategy<Value = u64> {
    prop_oneof![Just(160), Just(256), 1u64..=256]
}

proptest! {
    #[test]
    fn every_request_survives(
        (bits, request) in any_bits().prop_flat_map(|bits| (Just(bits), replica_messages::request(size(bits)))),
    ) {
        let bytes = encode_request(&request);
        prop_assert_eq!(decode_request(&bytes, &limits(bits)), Ok(request));
        prop_assert!(decode_answer(&bytes, &limits(bits)).is_err(), "a request is no answer");
    }

    #[test]
    fn every_answer_survives(
        (bits, answer) in any_bits().prop_flat_map(|bits| (Just(bits), replica_messages::answer(size(bits)))),
    ) {
        let bytes = encode_answer(&answer);
        prop_assert_eq!(decode_answer(&bytes, &limits(bits)), Ok(answer));
        prop_assert!(decode_request(&bytes, &limits(bits)).is_err(), "an answer is no request");
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_are_a_message(
        kind in prop_oneof![any::<u8>(), 0u8..=0x10, 0x80u8..=0x91],
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..200),
    ) {
        check_any_bytes(&bytes, &limits(160));
        check_any_bytes(&[&[REPLICA_FORMAT, kind], &bytes[..]].concat(), &limits(160));
    }
}

proptest! {
    // Each message is damaged in some thousand ways.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_request_is_refused_or_is_another(request in replica_messages::request(size(160))) {
        check_damaged(&encode_request(&request), &limits(160));
    }

    #[test]
    fn a_damaged_answer_is_refused_or_is_another(answer in replica_messages::answer(size(160))) {
        check_damaged(&encode_answer(&answer), &limits(160));
    }

    #[test]
    fn the_beginning_of_a_message_is_none(
        request in replica_messages::request(size(160)),
        answer in replica_messages::answer(size(160)),
    ) {
        let bytes = encode_request(&request);
        for end in 0..bytes.len() {
            prop_assert_eq!(decode_request(&bytes[..end], &limits(160)), Err(ReplicaError::Truncated));
        }
        let bytes = encode_answer(&answer);
        for end in 0..bytes.len() {
            prop_assert_eq!(decode_answer(&bytes[..end], &limits(160)), Err(ReplicaError::Truncated));
        }
    }
}

/// Made at a round time by the node at 213.
fn version(counter: u16) -> Version {
    Version::new(1_700_000_000_000, counter, at(213))
}

fn group() -> Group {
    let (owner, member) = (name("127.0.0.1:4567"), name("127.0.0.1:4568"));
    let members = vec![owner.clone(), member];
    Group { owner: Peer::of_name(owner, size(8)), after: at(7), id: version(2), members }
}

fn golden_record(text: &str, value: Option<&[u8]>, expires_at_ms: Option<u64>) -> Record {
    let key = key(text);
    let value = value.map(|bytes| Value::new(bytes, VALUE_BYTES).expect("a short value"));
    let version = Version::new(1_700_000_000_000, 3, Position::ZERO);
    Record { position: key.position(size(8)), key, value, version, expires_at_ms }
}

#[test]
fn requests_are_written_in_these_bytes() {
    let range = Range { after: at(250), up_to: Position::ZERO };
    let digest = Digest::from_bytes([9; 40]);
    let records = vec![golden_record("foo", Some(b"bar"), Some(1000)), golden_record("", None, None)];
    let (mortal, immortal) = (Header::from(&records[0]), golden_record("foo", Some(b"bar"), None));
    let cursor = Cursor { position: mortal.position, key: mortal.key.clone() };
    let headers = vec![mortal, Header::from(&immortal)];
    let put = Operate {
        key: key("foo"),
        operation: Operation::Change {
            change: Change::Set(Value::new(b"bar", VALUE_BYTES).expect("a short value")),
            condition: Condition::Version(version(1)),
            expiry: Expiry::At(1000),
        },
        proposal: Proposal::Version(version(2)),
        consistency: Consistency::Quorum,
        remaining: Duration::from_millis(1500),
    };
    let member_for = Duration::from_micros(1_000_002);
    let cases: [(DataRequest, &[&[u8]]); 7] = [
        (DataRequest::Peer(PeerRequest::Vouch), &[b"\x01\x01"]),
        (DataRequest::Peer(PeerRequest::Succeed { member_for }), &[b"\x01\x0b", b"\0\0\0\0\x00\x0f\x42\x42"]),
        (
            DataRequest::Peer(PeerRequest::Store { group: group(), records }),
            &[
                b"\x01\x02",
                b"\x01\xd5\x0e127.0.0.1:4567",
                b"\x01\x07",
                b"\x01\x8b\xcf\xe5\x68\x00\x00\x02\x01\xd5",
                b"\x02\x0e127.0.0.1:4567\x0e127.0.0.1:4568",
                b"\x02",
                b"\x03\x03foo\x01\x8b\xcf\xe5\x68\x00\x00\x03\x00\0\0\0\0\0\0\x03\xe8\x03bar",
                b"\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x03\x00",
            ],
        ),
        (
            DataRequest::Peer(PeerRequest::Compare { range, digest }),
            &[b"\x01\x04", b"\x01\xfa\x00", &[9; 40]],
        ),
        (
            DataRequest::Peer(PeerRequest::List { range, cursor: Some(cursor) }),
            &[b"\x01\x05", b"\x01\xfa\x00", b"\x01\x03foo"],
        ),
        (
            DataRequest::Peer(PeerRequest::Offer { headers, leaving: true }),
            &[
                b"\x01\x08\x01\x02",
                b"\x02\x03foo\x01\x8b\xcf\xe5\x68\x00\x00\x03\x00\0\0\x01\x8b\xcf\xe5\x68\x00",
                b"\x00\x03foo\x01\x8b\xcf\xe5\x68\x00\x00\x03\x00",
            ],
        ),
        (
            DataRequest::Operate(put),
            &[
                b"\x01\x10\x03foo\xdc\x0b\x02",
                b"\x01\x01\x8b\xcf\xe5\x68\x00\x00\x02\x01\xd5",
                b"\x01\x03bar",
                b"\x03\x01\x8b\xcf\xe5\x68\x00\x00\x01\x01\xd5",
                b"\x02\0\0\0\0\0\0\x03\xe8",
            ],
        ),
    ];
    for (request, bytes) in cases {
        assert_eq!(
            encode_request(&request).escape_ascii().to_string(),
            bytes.concat().escape_ascii().to_string()
        );
        assert_eq!(passes(&request, &limits(8)), Ok(()));
    }
}

#[test]
fn answers_are_written_in_these_bytes() {
    let beyond = || vec![Peer { position: at(9), name: name("h:1") }];
    let standing = Standing { is_settled: false, beyond: beyond() };
    let comparison = Comparison::Parts(vec![Digest::from_bytes([9; 40])]);
    let record = Some(golden_record("foo", Some(b"bar"), None));
    let outcome = Outcome { record, copies: 3, ..Outcome::default() };
    let full = OperationError::Store(StoreError::Failed { reason: "it broke".to_owned() });
    let (near, recalled) = (beyond(), Vec::new());
    let account = Account { claim: Claim::Part(7), is_settled: true, near, recalled };
    let key = key("foo");
    let next = Some(Cursor { position: key.position(size(8)), key });
    let leaving = PeerAnswer { leaving: true, body: AnswerBody::Stored { newer: vec![(300, version(2))] } };
    let cases: [(DataAnswer, &[&[u8]]); 8] = [
        (
            DataAnswer::Peer(leaving),
            &[b"\x01\x82\x01\x01", b"\xac\x02\x01\x8b\xcf\xe5\x68\x00\x00\x02\x01\xd5"],
        ),
        (
            told(AnswerBody::Compared { standing, comparison }),
            &[b"\x01\x84\x00\x00\x01\x01\x09\x03h:1\x02\x01", &[9; 40]],
        ),
        (
            told(AnswerBody::Listed { account, headers: Vec::new(), next }),
            &[b"\x01\x8b\x00", b"\x01\0\0\0\0\0\0\0\x07\x01\x01\x01\x09\x03h:1\x00", b"\x01\x03foo", b"\x00"],
        ),
        (told(AnswerBody::Judged(vec![Verdict::Drop, Verdict::Keep])), &[b"\x01\x88\x00\x02\x03\x01"]),
        (
            told(AnswerBody::Notified(vec![Reception::Unwanted, Reception::Heard, Reception::Early])),
            &[b"\x01\x8e\x00\x03\x02\x00\x01"],
        ),
        (
            told(AnswerBody::Refused(Denial::OldGroup { known: version(2) })),
            &[b"\x01\x8a\x00\x02\x01\x8b\xcf\xe5\x68\x00\x00\x02\x01\xd5"],
        ),
        (
            DataAnswer::Operated(Ok(outcome)),
            &[b"\x01\x90\x03\x01\x01\x03foo\x01\x8b\xcf\xe5\x68\x00\x00\x03\x00\x03bar\x00"],
        ),
        (DataAnswer::Operated(Err(full)), &[b"\x01\x91\x07\x04\x08it broke"]),
    ];
    for (answer, bytes) in cases {
        assert_eq!(
            encode_answer(&answer).escape_ascii().to_string(),
            bytes.concat().escape_ascii().to_string()
        );
        assert_eq!(answer_passes(&answer, &limits(8)), Ok(()));
    }
}

#[test]
fn another_format_is_refused_by_its_number() {
    for format in [0, REPLICA_FORMAT + 1, 255] {
        let refused = decode_request(&[format, 0x01], &limits(8)).expect_err("another format");
        assert_eq!(refused, ReplicaError::UnknownFormat { format });
        assert_eq!(decode_answer(&[format, 0x83, 0], &limits(8)), Err(refused));
    }
    let refused = ReplicaError::UnknownFormat { format: 2 };
    assert_eq!(refused.to_string(), "the message has format 2, and this node knows format 1 alone");
}

#[test]
fn an_unknown_kind_is_refused_by_its_number() {
    for kind in [0x00, 0x0e, 0x0f, 0x11, 0x80, 0x83, 0xff] {
        let refused = decode_request(&[REPLICA_FORMAT, kind, 0, 0], &limits(8));
        assert_eq!(refused, Err(ReplicaError::UnknownKind { kind }));
    }
    for kind in [0x00, 0x01, 0x80, 0x85, 0x8f, 0x92, 0xff] {
        let refused = decode_answer(&[REPLICA_FORMAT, kind, 0, 0], &limits(8));
        assert_eq!(refused, Err(ReplicaError::UnknownKind { kind }));
    }
    let refused = ReplicaError::UnknownKind { kind: 17 };
    assert_eq!(refused.to_string(), "this node knows no message of kind 17");
}

#[test]
fn what_is_no_message_is_refused_for_its_reason() {
    let unknown = |what, tag| ReplicaError::UnknownTag { what, tag };
    let bits = ReplicaError::OverLimit { what: "the bits of a number", limit: 64 };
    let keys = ReplicaError::OverLimit { what: "the keys of a message", limit: MESSAGE_RECORDS_MAX };
    let cases: [(&[u8], ReplicaError); 17] = [
        (b"", ReplicaError::Truncated),
        (b"\x01", ReplicaError::Truncated),
        (b"\x01\x01\x00\x00", ReplicaError::Trailing { bytes: 2 }),
        // More keys than there are bytes, more than there may be, more than there are numbers.
        (b"\x01\x07\x7f", ReplicaError::Truncated),
        (b"\x01\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", keys),
        (b"\x01\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", bits),
        (b"\x01\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", bits),
        (b"\x01\x07\x80\x00", ReplicaError::NotShortest { what: "a number" }),
        // A range that begins at 0 in one byte, and at 256 on a ring of 256 positions.
        (b"\x01\x05\x01\x00\x00\x00", ReplicaError::NotShortest { what: "a position" }),
        (b"\x01\x05\x02\x01\x00\x00\x00", ReplicaError::OffRing),
        (b"\x01\x05\x00\x00\x02", unknown("whether something follows", 2)),
        (b"\x01\x08\x02\x00", unknown("whether the sender leaves", 2)),
        (b"\x01\x09\x01\x04", unknown("what a record has", 4)),
        (b"\x01\x08\x00\x01\x01", unknown("what a header has", 1)),
        (b"\x01\x03\x00\x03h:0", name_error("h:0")),
        (b"\x01\x03\x00\x03h\xff1", ReplicaError::BadText),
        (b"\x01\x10\x00\x00\x04", unknown("a consistency", 4)),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_request(bytes, &limits(8)), Err(error), "{}", bytes.escape_ascii());
    }
    let cases: [(&[u8], ReplicaError); 4] = [
        (b"\x01\x84\x00\x01\x00\x03", unknown("how a range compares", 3)),
        (b"\x01\x88\x00\x01\x04", unknown("a verdict", 4)),
        (b"\x01\x8a\x00\x05", unknown("why it is refused", 5)),
        (b"\x01\x91\x07\x04\x01\x1b", ReplicaError::BadText),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode_answer(bytes, &limits(8)), Err(error), "{}", bytes.escape_ascii());
    }
}

fn name_error(text: &str) -> ReplicaError {
    text.parse::<NodeName>().expect_err("no name").into()
}

#[test]
fn nobody_can_lie_about_where_a_key_lies() {
    let honest = record(3, 3);
    let lie = Record { position: at(1), ..honest.clone() };
    assert_eq!(decode_request(&encode_request(&deliver(vec![lie])), &limits(160)), Ok(deliver(vec![honest])));
}

#[test]
fn keys_and_values_may_be_as_long_as_the_limit_and_no_longer() {
    assert_eq!(passes(&deliver(vec![record(KEY_BYTES_MAX, VALUE_BYTES)]), &limits(160)), Ok(()));
    let too_long = deliver(vec![record(3, VALUE_BYTES + 1)]);
    assert_eq!(passes(&too_long, &limits(160)), over("the bytes of a value", VALUE_BYTES));
    let long_key = [&b"\x01\x07\x01\x81\x20"[..], &[b'k'; KEY_BYTES_MAX + 1]].concat();
    let refused = decode_request(&long_key, &limits(160)).map(drop);
    assert_eq!(refused, over("the bytes of a key", KEY_BYTES_MAX));
}

#[test]
fn lists_may_be_as_long_as_the_limits_and_no_longer() {
    let limits = limits(160);
    let requests = |n: usize| {
        let record = record(3, 3);
        let (position, key, header) = (record.position, record.key.clone(), Header::from(&record));
        [
            ("the records of a message", PeerRequest::Deliver { records: vec![record; n] }),
            ("the headers of a message", PeerRequest::Offer { headers: vec![header; n], leaving: true }),
            ("the keys of a message", PeerRequest::Fetch { keys: vec![(position, key); n] }),
        ]
    };
    for (_, request) in requests(MESSAGE_RECORDS_MAX) {
        assert_eq!(passes(&DataRequest::Peer(request), &limits), Ok(()));
    }
    for (what, request) in requests(MESSAGE_RECORDS_MAX + 1) {
        assert_eq!(passes(&DataRequest::Peer(request), &limits), over(what, MESSAGE_RECORDS_MAX));
    }
    let confirm = |n| {
        let members = vec![name("h:1"); n];
        DataRequest::Peer(PeerRequest::Confirm { group: Group { members, ..group() } })
    };
    assert_eq!(passes(&confirm(GROUP_MEMBERS_MAX), &limits), Ok(()));
    let refused = passes(&confirm(GROUP_MEMBERS_MAX + 1), &limits);
    assert_eq!(refused, over("the members of a group", GROUP_MEMBERS_MAX));
}

#[test]
fn answers_may_be_as_long_as_the_limits_and_no_longer() {
    let (limits, most, successors) = (limits(160), MESSAGE_RECORDS_MAX, usize::from(SUCCESSORS_LIMIT));
    let standing =
        |n| Standing { is_settled: true, beyond: vec![Peer { position: at(1), name: name("h:1") }; n] };
    let parts = |n| AnswerBody::Compared {
        standing: standing(0),
        comparison: Comparison::Parts(vec![Digest::EMPTY; n]),
    };
    let fetched =
        |n, looked_at| AnswerBody::Fetched { standing: standing(n), looked_at, records: Vec::new() };
    let newer = |n, idx| AnswerBody::Stored { newer: vec![(idx, version(1)); n] };
    let judged = |n| AnswerBody::Judged(vec![Verdict::Keep; n]);
    let listed = |n_near, n_recalled| {
        let peers = |n| vec![Peer { position: at(1), name: name("h:1") }; n];
        let (near, recalled) = (peers(n_near), peers(n_recalled));
        let account = Account { claim: Claim::Whole, is_settled: false, near, recalled };
        AnswerBody::Listed { account, headers: Vec::new(), next: None }
    };
    let outcome = |copies| DataAnswer::Operated(Ok(Outcome { copies, ..Outcome::default() }));
    let cases = [
        (
            told(parts(PARTS.into())),
            told(parts(usize::from(PARTS) + 1)),
            "the parts of a range",
            PARTS.into(),
        ),
        (
            told(fetched(successors, 1)),
            told(fetched(successors + 1, 1)),
            "the successors of a node",
            successors,
        ),
        (
            told(listed(NEIGHBOURS_MAX, 0)),
            told(listed(NEIGHBOURS_MAX + 1, 0)),
            "the neighbours of a node",
            NEIGHBOURS_MAX,
        ),
        (
            told(listed(0, RECALLED_MAX)),
            told(listed(0, RECALLED_MAX + 1)),
            "those whom a node recalls",
            RECALLED_MAX,
        ),
        (told(fetched(1, most)), told(fetched(1, most + 1)), "the keys that were looked at", most),
        (told(newer(most, 0)), told(newer(most + 1, 0)), "the newer versions", most),
        (told(newer(1, most - 1)), told(newer(1, most)), "the records before one", most - 1),
        (told(judged(most)), told(judged(most + 1)), "the verdicts", most),
        (
            told(AnswerBody::Delivered(most)),
            told(AnswerBody::Delivered(most + 1)),
            "the records that are kept",
            most,
        ),
        (
            outcome(GROUP_MEMBERS_MAX),
            outcome(GROUP_MEMBERS_MAX + 1),
            "the copies of a key",
            GROUP_MEMBERS_MAX,
        ),
    ];
    for (longest, too_long, what, limit) in cases {
        assert_eq!(answer_passes(&longest, &limits), Ok(()), "{what}");
        assert_eq!(answer_passes(&too_long, &limits), over(what, limit));
    }
}

#[test]
fn only_the_last_record_may_exceed_the_bytes_of_a_message() {
    let limits = ReplicaLimits { size: size(160), value_bytes: VALUE_BYTES_DEFAULT };
    let refused = over("the bytes of all records but the last", MESSAGE_BYTES_MAX);
    let exact = record(3, MESSAGE_BYTES_MAX - 3);
    let more = record(3, MESSAGE_BYTES_MAX - 2);
    let longest = record(KEY_BYTES_MAX, VALUE_BYTES_DEFAULT);
    assert_eq!(passes(&deliver(vec![exact, longest.clone()]), &limits), Ok(()));
    assert_eq!(passes(&deliver(vec![more, record(0, 0)]), &limits), refused);
    assert_eq!(passes(&deliver(vec![longest]), &limits), Ok(()));

    let long = record(KEY_BYTES_MAX, 0);
    let n = MESSAGE_BYTES_MAX / KEY_BYTES_MAX + 1;
    let offer = |n| PeerRequest::Offer { headers: vec![Header::from(&long); n], leaving: false };
    let fetch = |n| PeerRequest::Fetch { keys: vec![(long.position, long.key.clone()); n] };
    for request in [offer(n), fetch(n)] {
        assert_eq!(passes(&DataRequest::Peer(request), &limits), Ok(()));
    }
    for request in [offer(n + 1), fetch(n + 1)] {
        assert_eq!(passes(&DataRequest::Peer(request), &limits), refused);
    }
}

#[test]
fn the_largest_messages_fit_the_limit_on_all_of_them() {
    let limits = ReplicaLimits { size: size(160), value_bytes: VALUE_BYTES_DEFAULT };
    let longest = record(KEY_BYTES_MAX, VALUE_BYTES_DEFAULT);
    let exact = record(3, MESSAGE_BYTES_MAX - 3);
    let host = "h".repeat(NODE_NAME_BYTES_MAX - 6);
    let peer = Peer { position: size(160).reduce(Position::MAX), name: name(&format!("{host}:65535")) };
    let beyond = vec![peer.clone(); 64];
    let fetched = AnswerBody::Fetched {
        standing: Standing { is_settled: false, beyond },
        looked_at: 2,
        records: vec![exact, longest.clone()],
    };
    assert_eq!(answer_passes(&told(fetched), &limits), Ok(()));
    let (near, recalled) = (vec![peer.clone(); NEIGHBOURS_MAX], vec![peer; RECALLED_MAX]);
    let account = Account { claim: Claim::Part(u64::MAX), is_settled: true, near, recalled };
    let n = MESSAGE_BYTES_MAX / MESSAGE_RECORDS_MAX;
    let headers = vec![Header::from(&record(n, 0)); MESSAGE_RECORDS_MAX];
    let next = headers.last().map(|last| Cursor { position: last.position, key: last.key.clone() });
    assert_eq!(answer_passes(&told(AnswerBody::Listed { account, headers, next }), &limits), Ok(()));
    let outcome =
        Outcome { record: Some(longest.clone()), before: Before::Record(longest), copies: 3, deleted: None };
    assert_eq!(answer_passes(&DataAnswer::Operated(Ok(outcome)), &limits), Ok(()));

    let mut bytes = vec![0; limits.message_bytes() + 1];
    bytes[..2].copy_from_slice(b"\x01\x01");
    let refused = decode_request(&bytes, &limits).map(drop);
    assert_eq!(refused, over("the bytes of a message", limits.message_bytes()));
    bytes.pop();
    let refused = decode_request(&bytes, &limits);
    assert_eq!(refused, Err(ReplicaError::Trailing { bytes: bytes.len() - 2 }));
}

#[test]
fn a_wait_is_told_in_milliseconds_and_cut_at_its_limit() {
    let get = |remaining| {
        let (key, operation, consistency) = (key("foo"), Operation::Get, Consistency::Usual);
        encode_request(&DataRequest::Operate(Operate {
            key,
            operation,
            proposal: Proposal::LeftToOwner,
            consistency,
            remaining,
        }))
    };
    assert_eq!(get(Duration::from_micros(2999)), get(Duration::from_millis(2)));
    assert_eq!(get(REMAINING_MAX + Duration::from_millis(1)), get(REMAINING_MAX));
    assert_eq!(get(Duration::MAX), get(REMAINING_MAX));
    assert!(decode_request(&get(REMAINING_MAX), &limits(8)).is_ok());
    let longer = b"\x01\x10\x03foo\x81\xdd\xdb\x01\x00\x00\x00";
    let refused = decode_request(longer, &limits(8)).map(drop);
    assert_eq!(refused, over("the milliseconds that somebody waits", 3_600_000));
}

#[test]
fn a_sentence_is_cut_and_made_plain() {
    let failed =
        |reason: &str| DataAnswer::Operated(Err(StoreError::Failed { reason: reason.to_owned() }.into()));
    let sent = |reason: &str| decode_answer(&encode_answer(&failed(reason)), &limits(8));
    assert_eq!(sent("\u{1b}[2J \u{202e}ü\n~"), Ok(failed("?[2J ???~")));
    let longest = "x".repeat(REASON_BYTES_MAX);
    assert_eq!(sent(&longest), Ok(failed(&longest)));
    assert_eq!(sent(&format!("{longest}y")), Ok(failed(&longest)));
    let longer = [&b"\x01\x91\x07\x04\x91\x03"[..], &[b'x'; REASON_BYTES_MAX + 1]].concat();
    let refused = decode_answer(&longer, &limits(8)).map(drop);
    assert_eq!(refused, over("the bytes of a sentence", REASON_BYTES_MAX));
}
