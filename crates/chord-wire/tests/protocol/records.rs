//! Messages about records.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_kv::replication::{
    Account, AnswerBody, Change, Claim, Comparison, Condition, Consistency, Current, Delivery, Denial,
    Expiry, Filter, Group, Happened, Header, Interest, Notice, Operation, OperationError, Outcome,
    PeerAnswer, PeerRequest, Proposal, Reception, Standing, Subscribed, Verdict,
};
use chord_kv::{ClockAhead, Cursor, Digest, Key, Range, Record, StoreError, Value, ValueTooLong, Version};
use chord_ring::{Position, RingSize};
use chord_wire::replica::{
    DataAnswer, DataRequest, Operate, REPLICA_FORMAT, ReplicaError, ReplicaLimits, decode_answer,
    decode_request, encode_answer, encode_request,
};

use super::{Example, bytes, check_examples, name, numbered, peer, rows, section, words};

const BITS: u64 = 8;

fn limits() -> ReplicaLimits {
    ReplicaLimits { size: RingSize::new(BITS).expect("a size"), value_bytes: 64 }
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a key")
}

/// A version that the examples call 1000.COUNTER.7.
fn version(counter: u16) -> Version {
    Version::new(1000, counter, Position::from(7))
}

fn record(text: &str, value: Option<&str>, expires_at_ms: Option<u64>) -> Record {
    let key = key(text);
    let value = value.map(|value| Value::new(value.as_bytes(), 64).expect("a value"));
    Record { position: key.position(limits().size), key, value, version: version(3), expires_at_ms }
}

fn range() -> Range {
    Range { after: Position::from(250), up_to: Position::ZERO }
}

fn after_foo() -> Cursor {
    let record = record("foo", None, None);
    Cursor { position: record.position, key: record.key }
}

fn group() -> Group {
    let members = vec![name("a:1"), name("b:2")];
    Group { owner: peer("a:1", BITS), after: Position::from(250), id: version(2), members }
}

fn requests() -> Vec<(&'static str, PeerRequest)> {
    let digest = Digest::from_bytes([9; 40]);
    let (live, dead) = (record("foo", Some("bar"), Some(2000)), record("", None, None));
    let headers = vec![Header::from(&live), Header::from(&dead)];
    let id = 5;
    let interests = vec![
        Interest { id, filter: Filter::Key(key("foo")) },
        Interest { id: 6, filter: Filter::Prefix(b"fo".to_vec()) },
    ];
    let notice = |happened| Notice { key: key("foo"), version: version(3), happened };
    let notices = [Happened::Set, Happened::Deleted, Happened::Expired].map(notice).to_vec();
    vec![
        ("", PeerRequest::Vouch),
        (
            "of a:1 and b:2, for a:1, after 250: foo with bar until 2000, and that there is nothing without a name",
            PeerRequest::Store { group: group(), records: vec![live.clone(), dead] },
        ),
        ("of that group", PeerRequest::Confirm { group: group() }),
        ("after 250, up to 0: 40 times the byte 9", PeerRequest::Compare { range: range(), digest }),
        ("of that range, after foo", PeerRequest::List { range: range(), cursor: Some(after_foo()) }),
        ("of that range, from its beginning", PeerRequest::Pull { range: range(), cursor: None }),
        ("foo", PeerRequest::Fetch { keys: vec![(live.position, live.key.clone())] }),
        ("both of above; the sender leaves", PeerRequest::Offer { headers: headers.clone(), leaving: true }),
        ("foo", PeerRequest::Deliver { records: vec![live] }),
        ("both of above", PeerRequest::Purge { group: group(), headers }),
        ("a member for 300 µs", PeerRequest::Succeed { member_for: Duration::from_micros(300) }),
        ("5: foo; 6: what begins with fo", PeerRequest::Watch { interests }),
        (
            "to 5, since 1000.2.7, from the first on: foo was set, deleted, and has expired",
            PeerRequest::Notify { deliveries: vec![Delivery { id, began: version(2), first: 1, notices }] },
        ),
    ]
}

fn operations() -> Vec<(&'static str, Operate)> {
    let operate = |operation, proposal, consistency| {
        let remaining = Duration::from_millis(1500);
        Operate { key: key("foo"), operation, proposal, consistency, remaining }
    };
    let change = |change, condition, expiry| Operation::Change { change, condition, expiry };
    let value = || Value::new(b"bar", 64).expect("a value");
    let set = change(Change::Set(value()), Condition::Version(version(1)), Expiry::At(2000));
    let delete = change(Change::Delete, Condition::Always, Expiry::Never);
    let add = change(Change::Add(-2), Condition::Absent, Expiry::Keep);
    let append = change(Change::Append(value()), Condition::Present, Expiry::Keep);
    let keep = change(Change::Keep, Condition::Present, Expiry::Never);
    let (left, two) = (Proposal::LeftToOwner, Proposal::Version(version(2)));
    vec![
        ("get foo within 1500 ms", operate(Operation::Get, left, Consistency::One)),
        (
            "set it to bar by 1000.2.7 if 1000.1.7 is there, until 2000, in most copies",
            operate(set, two, Consistency::Quorum),
        ),
        ("delete it by 1000.2.7 from all copies", operate(delete, two, Consistency::All)),
        ("add -2 if nothing is there", operate(add, two, Consistency::Usual)),
        ("append bar if something is there", operate(append, two, Consistency::Usual)),
        (
            "leave it there for ever, soon after 1000.2.7",
            operate(keep, Proposal::Soon(version(2)), Consistency::Usual),
        ),
    ]
}

fn answers() -> Vec<(&'static str, AnswerBody)> {
    let near = || vec![peer("b:2", BITS)];
    let standing = || Standing { is_settled: false, beyond: near() };
    let digest = Digest::from_bytes([9; 40]);
    let account = Account { claim: Claim::Part(7), is_settled: true, near: near(), recalled: Vec::new() };
    let whole = Account { claim: Claim::Whole, is_settled: true, ..Account::default() };
    let live = record("foo", Some("bar"), None);
    let header = Header::from(&live);
    let began = version(2);
    let known = Some(Current::Known(Some(header.clone())));
    let subscribed = vec![
        Subscribed { id: 5, began, current: known },
        Subscribed { id: 6, began, current: None },
        Subscribed { id: 7, began, current: Some(Current::Unknown) },
    ];
    let verdicts = vec![Verdict::NotMine, Verdict::Keep, Verdict::Deliver, Verdict::Drop];
    let receptions = vec![Reception::Heard, Reception::Early, Reception::Unwanted];
    let compared = |standing, comparison| AnswerBody::Compared { standing, comparison };
    vec![
        ("it does", AnswerBody::Vouched(true)),
        (
            "all but the third, of which 1000.2.7 is there",
            AnswerBody::Stored { newer: vec![(2, version(2))] },
        ),
        ("", AnswerBody::Done),
        ("the same", compared(Standing { is_settled: true, beyond: Vec::new() }, Comparison::Same)),
        (
            "one that may lack some, and has b:2 behind it: to be listed",
            compared(standing(), Comparison::Short),
        ),
        ("the same one, and a part", compared(standing(), Comparison::Parts(vec![digest]))),
        ("foo, and more after it", AnswerBody::Page { records: vec![live.clone()], next: Some(after_foo()) }),
        (
            "one of two keys, foo, from one that may lack some",
            AnswerBody::Fetched { standing: standing(), looked_at: 2, records: vec![live] },
        ),
        ("not mine, keep, deliver, drop", AnswerBody::Judged(verdicts)),
        ("2", AnswerBody::Delivered(2)),
        ("it is in no ring", AnswerBody::Refused(Denial::NotMember)),
        ("it is not the owner", AnswerBody::Refused(Denial::NotOwner)),
        ("the group is older than 1000.2.7", AnswerBody::Refused(Denial::OldGroup { known: version(2) })),
        ("it makes no sense", AnswerBody::Refused(Denial::Senseless)),
        ("its store does not take them", AnswerBody::Refused(Denial::Store)),
        (
            "foo from the owner, which may lack some, by number 7, has every write and b:2 next to it; no more",
            AnswerBody::Listed { account, headers: vec![header], next: None },
        ),
        (
            "nothing from the owner, which lacks nothing",
            AnswerBody::Listed { account: whole, headers: Vec::new(), next: None },
        ),
        (
            "nothing from one that does not own all of it",
            AnswerBody::Listed { account: Account::default(), headers: Vec::new(), next: None },
        ),
        ("after 250, up to 0", AnswerBody::Yielded(Some(range()))),
        (
            "5 with foo, 6, and 7 of which it does not know, since 1000.2.7, of that range",
            AnswerBody::Watched { range: range(), subscribed },
        ),
        ("heard, early, unwanted", AnswerBody::Notified(receptions)),
    ]
}

fn operated() -> Vec<(&'static str, Result<Outcome, OperationError>)> {
    let there = Some(record("foo", Some("bar"), None));
    let before = chord_kv::replication::Before::Record(record("foo", Some("ba"), Some(2000)));
    let store = |error: StoreError| Err(OperationError::Store(error));
    let (reason, remedy) = ("the disk is full".to_owned(), "make room".to_owned());
    vec![
        ("three have bar, which was ba", Ok(Outcome { record: there, before, copies: 3, deleted: None })),
        ("not the owner", Err(OperationError::NotOwner)),
        ("busy", Err(OperationError::Busy)),
        ("1000.2.7 is there", Err(OperationError::ConditionFailed { found: Some(version(2)) })),
        ("1000.2.7 was written", Err(OperationError::Outdated { stored: version(2) })),
        ("300 ms ahead", Err(ClockAhead { ahead_ms: 300 }.into())),
        ("no number", Err(OperationError::NotANumber)),
        ("300 bytes, and 64 may be", Err(ValueTooLong { bytes: 300, limit_bytes: 64 }.into())),
        ("full at 300", store(StoreError::Full { limit_bytes: 300 })),
        ("300 bytes wait", store(StoreError::Busy { pending_bytes_limit: 300 })),
        ("it does not write", store(StoreError::NotWriting { reason: reason.clone(), remedy })),
        ("another range", store(StoreError::ForeignCursor)),
        ("it failed", store(StoreError::Failed { reason })),
        ("1 of 2", Err(OperationError::TooFewCopies { copies: 1, wanted: 2 })),
        ("unknown", Err(OperationError::Uncertain)),
        ("nobody told", Err(OperationError::Unanswered)),
        ("out of range", Err(OperationError::OutOfRange)),
    ]
}

/// The name of a kind, and what a message of it says, in words and by itself.
type Told<M> = (String, &'static str, M);

/// All requests, and all answers.
fn messages() -> (Vec<Told<DataRequest>>, Vec<Told<DataAnswer>>) {
    let mut asked: Vec<_> = requests()
        .into_iter()
        .map(|(says, request)| (words(&request), says, DataRequest::Peer(request)))
        .collect();
    let operate = |(says, operate)| (words(&operate), says, DataRequest::Operate(operate));
    asked.extend(operations().into_iter().map(operate));
    let mut told: Vec<_> = answers()
        .into_iter()
        .map(|(says, body)| (words(&body), says, DataAnswer::Peer(PeerAnswer { leaving: false, body })))
        .collect();
    for (says, result) in operated() {
        let name = if result.is_ok() { "operated" } else { "failed" };
        told.push((name.to_owned(), says, DataAnswer::Operated(result)));
    }
    (asked, told)
}

/// The documented kinds, by their names.
fn kinds(heading: &str) -> BTreeMap<&'static str, u8> {
    numbered(heading).into_iter().map(|(number, name)| (name, number)).collect()
}

#[test]
fn each_kind_of_request_has_an_example_in_the_documentation_which_is_what_is_written() {
    let (kinds, (asked, _)) = (kinds("### Requests"), messages());
    let mut examples = Vec::new();
    for (kind, says, request) in asked {
        let bytes = encode_request(&request);
        assert_eq!((bytes[0], Some(&bytes[1])), (REPLICA_FORMAT, kinds.get(kind.as_str())), "{kind}");
        examples.push(Example { kind, says, bytes });
    }
    check_examples("### Examples of requests", &examples);
    for kind in kinds.keys() {
        assert!(examples.iter().any(|example| example.kind == *kind), "{kind}");
    }
}

#[test]
fn each_kind_of_answer_has_an_example_in_the_documentation_which_is_what_is_written() {
    let (kinds, (_, told)) = (kinds("### Answers"), messages());
    let mut examples = Vec::new();
    for (kind, says, answer) in told {
        let bytes = encode_answer(&answer);
        assert_eq!((bytes[0], Some(&bytes[1])), (REPLICA_FORMAT, kinds.get(kind.as_str())), "{kind}");
        examples.push(Example { kind, says, bytes });
    }
    check_examples("### Examples of answers", &examples);
    for kind in kinds.keys() {
        assert!(examples.iter().any(|example| example.kind == *kind), "{kind}");
    }
}

#[test]
fn the_examples_of_messages_say_what_the_documentation_says_they_do() {
    let (asked, told) = messages();
    let documented = |heading: &str| rows(heading).into_iter().map(|row| bytes(row[2])).collect::<Vec<_>>();
    let (requests, answers) = (documented("### Examples of requests"), documented("### Examples of answers"));
    assert_eq!((requests.len(), answers.len()), (asked.len(), told.len()));
    for (bytes, (kind, says, request)) in requests.iter().zip(asked) {
        assert_eq!(decode_request(bytes, &limits()), Ok(request), "{kind}: {says}");
    }
    for (bytes, (kind, says, answer)) in answers.iter().zip(told) {
        assert_eq!(decode_answer(bytes, &limits()), Ok(answer), "{kind}: {says}");
    }
}

#[test]
fn no_kinds_are_known_but_those_of_the_documentation() {
    let is_known = |kinds: &BTreeMap<&str, u8>, kind| kinds.values().any(|known| *known == kind);
    let (requests, answers) = (kinds("### Requests"), kinds("### Answers"));
    for kind in 0..=u8::MAX {
        let unknown = ReplicaError::UnknownKind { kind };
        let asked = decode_request(&[REPLICA_FORMAT, kind], &limits());
        assert_eq!(asked != Err(unknown), is_known(&requests, kind), "request {kind}");
        let told = decode_answer(&[REPLICA_FORMAT, kind, 0], &limits());
        assert_eq!(told != Err(unknown), is_known(&answers, kind), "answer {kind}");
    }
}

#[test]
fn each_reason_of_a_failure_has_an_example() {
    let (_, failures) =
        section("### Answers").split_once("*Failed* has one choice").expect("the reasons are there");
    let choices =
        failures.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    let mut met: Vec<u8> = rows("### Examples of answers")
        .into_iter()
        .filter(|row| row[0] == "failed")
        .map(|row| bytes(row[2])[2])
        .collect();
    met.dedup();
    assert_eq!(met, choices.collect::<Vec<u8>>());
}

/// The byte behind the flag of all examples of that answer, each once.
fn choices_met(kind: &str) -> Vec<u8> {
    let examples = rows("### Examples of answers").into_iter().filter(|row| row[0] == kind);
    let mut met: Vec<u8> = examples.map(|row| bytes(row[2])[3]).collect();
    met.sort_unstable();
    met.dedup();
    met
}

#[test]
fn each_reason_of_a_refusal_and_each_choice_of_an_account_has_an_example() {
    for (kind, heading, row, choices) in
        [("refused", "### Answers", "138", 5_u8), ("listed", "### Parts", "account", 3)]
    {
        let documented = rows(heading).into_iter().find(|cells| cells[0] == row).expect("a row");
        let (_, told) = documented.last().expect("a cell").split_once("choice: ").expect("choices");
        let told = told.split(';').next().unwrap_or_default();
        let numbers = told.split(", ").filter_map(|part| part.split(' ').next()?.parse().ok());
        assert_eq!(numbers.collect::<Vec<u8>>(), (0..choices).collect::<Vec<_>>(), "{kind}");
        assert_eq!(choices_met(kind), (0..choices).collect::<Vec<_>>(), "{kind}");
    }
}
