//! Frames: exact bytes, round trips, limits, pieces, and what is refused.

mod replica_messages;

use std::time::Duration;

use chord_kv::replication::{AnswerBody, Before, Operation, Outcome, PeerAnswer, PeerRequest, Proposal};
use chord_kv::{Key, VALUE_BYTES_DEFAULT, Version};
use chord_ring::{
    Answer as RingAnswer, Found, NodeName, Peer, Pong, Position, Question, Request as RingRequest, RingSize,
    RingTag, State,
};
use chord_wire::frame::{
    ANNOUNCED_MAX, Answer, Arrived, Asked, CONTENT_BYTES_MAX, Challenge, Declined, FrameError, HEAD_BYTES,
    HELLO_BYTES_MAX, Hello, Inbox, Kind, Message, MessageError, OPENING, Outbox, PLACED_LATER, PROOF_BYTES,
    Proof, Refused, Request, Speaker, Tag, VERSIONS, Versions, Welcome,
};
use chord_wire::replica::{DataAnswer, DataRequest, Operate, ReplicaError, ReplicaLimits};
use chord_wire::rest::REPORT_BYTES_MAX;
use chord_wire::{Code, Copies};
use proptest::prelude::*;
use replica_messages::VALUE_BYTES;

const BITS: u64 = 160;
const MESSAGE_BYTES: usize = 1 << 20;

fn size() -> RingSize {
    RingSize::new(BITS).expect("a size")
}

fn limits() -> ReplicaLimits {
    ReplicaLimits { size: size(), value_bytes: VALUE_BYTES }
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn peer(text: &str) -> Peer {
    Peer::of_name(name(text), size())
}

fn ring() -> RingTag {
    RingTag { name: "blue".parse().expect("a ring name"), size: size() }
}

fn speaker() -> Speaker {
    Speaker { peer: peer("h:9"), ring: ring() }
}

fn asked(request: RingRequest) -> Asked {
    Asked { request: Request::Ring(request), remaining: None }
}

fn content(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn frame(kind: u8, id: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 5).expect("a short frame");
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), content].concat()
}

/// What comes of bytes behind the opening.
fn received(inbox: &mut Inbox, bytes: &[u8]) -> Result<Vec<String>, FrameError> {
    let mut rest = bytes;
    let mut came = Vec::new();
    while let Some(arrived) = inbox.next(&mut rest)? {
        came.push(match arrived {
            Arrived::Message(Message { kind, id, content }) => format!("{kind} {id} {}", content.len()),
            Arrived::Begun { id, bytes } => format!("begun {id} {bytes}"),
            Arrived::TooLarge { id } => format!("too large {id}"),
            Arrived::Piece => "piece".to_owned(),
        });
    }
    Ok(came)
}

fn opened(mut inbox: Inbox) -> Inbox {
    assert_eq!(received(&mut inbox, &OPENING), Ok(Vec::new()));
    inbox
}

fn requests() -> Inbox {
    opened(Inbox::of_requests(MESSAGE_BYTES))
}

/// Everything that an outbox has to send.
fn all(outbox: &mut Outbox) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        let _ = outbox.cut();
        let unsent = outbox.unsent().to_vec();
        if unsent.is_empty() {
            return sent;
        }
        outbox.sent(unsent.len());
        sent.extend(unsent);
    }
}

#[test]
fn a_connection_begins_with_these_bytes() {
    let mut outbox = Outbox::default();
    outbox.open();
    let hello = Hello {
        versions: Versions { lowest: 1, highest: 3 },
        name: Some(name("h:1")),
        ring: Some(ring()),
        copies: Some(Copies { replicas: 3, write_quorum: Some(2) }),
        challenge: None,
    };
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    let expected =
        b"\xc7chord\r\n\0\0\0\x19\x01\0\0\0\0\x01\x03\x06\x06\xa0\x01blue\x07\x03h:1\x0b\x02\x03\x02\0";
    assert_eq!(outbox.unsent(), expected);
    assert_eq!(Hello::read(&expected[17..]), Ok(hello));

    let welcome = Welcome {
        version: 1,
        name: name("h:2"),
        ring: ring(),
        is_member: true,
        copies: Copies { replicas: 3, write_quorum: None },
        challenge: None,
    };
    let bytes = b"\x01\x06\x06\xa0\x01blue\x07\x03h:2\x09\0\x0b\x01\x03\0";
    assert_eq!(content(|to| welcome.write(to)), bytes);
    assert_eq!(Welcome::read(bytes), Ok(welcome));

    let declined = Declined {
        versions: Versions { lowest: 2, highest: 3 },
        code: Some(Code::Busy),
        sentence: "later".to_owned(),
    };
    let bytes = b"\x02\x03\0\x04busy\x05later";
    assert_eq!(content(|to| declined.write(to)), bytes);
    assert_eq!(Declined::read(bytes), Ok(declined));
}

#[test]
fn requests_and_answers_are_these_bytes() {
    let question = Question { target: Position::from(0x1234), named: true, path: vec![name("h:1")] };
    let find = Asked {
        request: Request::Ring(RingRequest::FindSuccessor(question)),
        remaining: Some(Duration::from_micros(1_500_999)),
    };
    assert_eq!(content(|to| find.write(to)), b"\x01\x02\xdc\x0b\x02\0\x04\x05\x01\x03h:1\0\x02\x12\x34");
    let leave = asked(RingRequest::Leave {
        from: peer("h:1"),
        predecessor: None,
        successors: vec![peer("h:2"), peer("h:3")],
    });
    assert_eq!(content(|to| leave.write(to)), b"\0\x03h:1\0\x02\x03h:2\x03h:3");
    for request in [RingRequest::Ping, RingRequest::GetState, RingRequest::ForgetPredecessor] {
        assert_eq!(content(|to| asked(request).write(to)), [0]);
    }
    let found =
        Found { owner: peer("h:2"), hops: 300, path: vec![name("h:1")], after: None, took: Vec::new() };
    let found = Answer::Ring(RingAnswer::Found(found));
    assert_eq!(content(|to| found.write(to)), b"\0\x03h:2\xac\x02\x01\x03h:1");
    let refused = Refused { code: Some(Code::NoRoute), sentence: "no".to_owned() };
    assert_eq!(content(|to| Answer::Refused(refused).write(to)), b"\0\x08no-route\x02no");
    let vouch = Asked { request: Request::Records(PeerRequest::Vouch), remaining: None };
    assert_eq!(content(|to| vouch.write(to)), b"\0\x01\x01");
}

#[test]
fn a_deletion_tells_its_version_in_a_field_that_others_pass_over() {
    let deleted = Some(Version::new(1, 2, Position::from(0x1234)));
    let outcome = Outcome { copies: 2, deleted, ..Outcome::default() };
    let answer = Answer::Operated { result: Ok(outcome), owner: None, hops: Some(1) };
    let bytes = b"\x03\x01\x01\x0d\x0b\0\0\0\0\0\x01\0\x02\x02\x12\x34\0\x01\x90\x02\0\0";
    assert_eq!(content(|to| answer.write(to)), bytes);
    let read = |kind: Kind, content: &[u8]| Answer::read(kind.number(), content, &limits(), &speaker());
    assert_eq!(read(Kind::Operated, bytes), Ok(answer));
    let field = &bytes[3..16];
    let failed = [field, b"\0\x01\x91\x01"].concat();
    assert_eq!(
        read(Kind::Operated, &failed),
        Err(MessageError::Misplaced { tag: 13 }),
        "nothing was deleted"
    );
    assert_eq!(read(Kind::Done, &[field, b"\0"].concat()), Err(MessageError::Misplaced { tag: 13 }));
    let cut = [&[13, 10][..], &field[2..12], b"\0\x01\x90\x02\0\0"].concat();
    assert_eq!(read(Kind::Operated, &cut), Err(ReplicaError::Truncated.into()));
    assert!(Tag::Deleted.number() % 2 == 1, "who does not know it passes over it");
}

#[test]
fn where_the_range_of_an_owner_begins_is_told_in_a_field_that_others_pass_over() {
    let after = Some(Position::from(0x1234));
    let found = Answer::Ring(RingAnswer::Found(Found {
        owner: peer("h:2"),
        hops: 1,
        path: Vec::new(),
        after,
        took: Vec::new(),
    }));
    let bytes = b"\x0f\x03\x02\x12\x34\0\x03h:2\x01\0";
    assert_eq!(content(|to| found.write(to)), bytes);
    let read = |kind: Kind, content: &[u8]| Answer::read(kind.number(), content, &limits(), &speaker());
    assert_eq!(read(Kind::Found, bytes), Ok(found));
    assert_eq!(read(Kind::Done, &[&bytes[..5], b"\0"].concat()), Err(MessageError::Misplaced { tag: 15 }));
    let off_ring = [b"\x0f\x22\x21\x01", &[0; 32][..], b"\0\x03h:2\x01\0"].concat();
    assert!(read(Kind::Found, &off_ring).is_err());
    assert!(Tag::After.number() % 2 == 1, "who does not know it passes over it");
}

#[test]
fn how_long_each_took_is_told_in_a_field_that_others_pass_over() {
    let took = vec![Duration::from_micros(300), Duration::from_micros(7)];
    let found = Found { owner: peer("h:2"), hops: 1, path: Vec::new(), after: None, took };
    let found = Answer::Ring(RingAnswer::Found(found));
    let bytes = b"\x13\x04\x02\xac\x02\x07\0\x03h:2\x01\0";
    assert_eq!(content(|to| found.write(to)), bytes);
    let read = |kind: Kind, content: &[u8]| Answer::read(kind.number(), content, &limits(), &speaker());
    assert_eq!(read(Kind::Found, bytes), Ok(found));
    assert_eq!(read(Kind::Done, &[&bytes[..6], b"\0"].concat()), Err(MessageError::Misplaced { tag: 19 }));
    assert!(
        read(Kind::Found, b"\x13\x02\xff\x7f\0\x03h:2\x01\0").is_err(),
        "more times than a path has names"
    );
    assert!(Tag::Took.number() % 2 == 1, "who does not know it passes over it");
}

#[test]
fn a_change_that_came_twice_says_so_in_a_field_that_others_pass_over() {
    let outcome = Outcome { copies: 2, before: Before::Unknown, ..Outcome::default() };
    let answer = Answer::Operated { result: Ok(outcome), owner: None, hops: None };
    let bytes = b"\x11\0\0\x01\x90\x02\0\0";
    assert_eq!(content(|to| answer.write(to)), bytes);
    let read = |kind: Kind, content: &[u8]| Answer::read(kind.number(), content, &limits(), &speaker());
    assert_eq!(read(Kind::Operated, bytes), Ok(answer));
    let misplaced = Err(MessageError::Misplaced { tag: 17 });
    assert_eq!(read(Kind::Operated, b"\x11\0\0\x01\x91\x01"), misplaced, "nothing was changed");
    assert_eq!(read(Kind::Done, b"\x11\0\0"), misplaced);
    assert!(Tag::Repeated.number() % 2 == 1, "who does not know it passes over it");
}

#[test]
fn a_challenge_stands_in_a_field_that_others_pass_over_and_a_proof_in_one_that_must_be_understood() {
    let challenge = Some(Challenge([7; PROOF_BYTES]));
    let hello = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge };
    let field = [&[21, 32][..], &[7; PROOF_BYTES]].concat();
    let bytes = [&[VERSIONS.lowest, VERSIONS.highest][..], &field, b"\0"].concat();
    if VERSIONS.highest == 1 {
        assert_eq!(content(|to| hello.write(to)), bytes);
    }
    assert_eq!(Hello::read(&bytes), Ok(hello));
    let short = [&[1, 1, 21, 31][..], &[7; 31], b"\0"].concat();
    assert_eq!(Hello::read(&short), Err(ReplicaError::Truncated.into()));

    let bytes = [&[22, 32][..], &[9; PROOF_BYTES], b"\0"].concat();
    assert_eq!(content(|to| Proof([9; PROOF_BYTES]).write(to)), bytes);
    assert_eq!(Proof::read(&bytes).unwrap().0, [9; PROOF_BYTES]);
    let long = [&[22, 33][..], &[9; 33], b"\0"].concat();
    assert_eq!(Proof::read(&long).unwrap_err(), ReplicaError::Trailing { bytes: 1 }.into());
    assert_eq!(Proof::read(b"\0").unwrap_err(), MessageError::Missing { tag: 22 });
    assert_eq!(Proof::read(b"\x01\x01\x05\0").unwrap_err(), MessageError::Misplaced { tag: 1 });
    assert!(Tag::Challenge.number() % 2 == 1 && Tag::Proof.number().is_multiple_of(2));
}

#[test]
fn a_node_tells_of_itself_in_bytes_that_are_bounded() {
    let describe = Asked { request: Request::Describe, remaining: None };
    assert_eq!(content(|to| describe.write(to)), [0]);
    assert_eq!(Asked::read(34, b"\0", &limits()), Ok(describe));
    assert_eq!(Asked::read(34, b"\0x", &limits()), Err(ReplicaError::Trailing { bytes: 1 }.into()));
    let described = Answer::Described(b"{}".to_vec());
    assert_eq!(content(|to| described.write(to)), b"\0\x02{}");
    let read = |content: &[u8]| Answer::read(Kind::Described.number(), content, &limits(), &speaker());
    assert_eq!(read(b"\0\x02{}"), Ok(described));
    let long = content(|to| Answer::Described(vec![b'x'; REPORT_BYTES_MAX + 1]).write(to));
    assert!(read(&long).is_err() && read(b"\0\x02{").is_err() && read(b"\0\x02{}x").is_err());
}

#[test]
fn two_sides_speak_the_highest_version_that_both_know() {
    let versions = |lowest, highest| Versions { lowest, highest };
    for (ours, theirs, common) in [
        (versions(1, 1), versions(1, 1), Some(1)),
        (versions(1, 2), versions(1, 1), Some(1)),
        (versions(1, 2), versions(2, 9), Some(2)),
        (versions(1, 2), versions(3, 9), None),
        (versions(0, 0), versions(1, 1), None),
        (versions(1, 3), versions(9, 2), None),
    ] {
        assert_eq!(ours.common(theirs), common);
        assert_eq!(theirs.common(ours), common);
    }
}

#[test]
fn what_a_newer_version_has_beside_is_passed_over_or_refused_by_its_number() {
    let ping = Kind::Ping.number();
    let read = |content: &[u8]| Asked::read(ping, content, &limits());
    assert_eq!(read(b"\x01\x01\x05\x65\x02xx\0").unwrap().remaining, Some(Duration::from_millis(5)));
    assert_eq!(read(b"\x66\x02xx\0"), Err(MessageError::UnknownField { tag: 0x66 }));
    assert_eq!(read(b"\x07\x03h:1\0"), Err(MessageError::Misplaced { tag: 7 }));
    assert_eq!(read(b"\x02\0\0"), Err(MessageError::Misplaced { tag: 2 }));
    assert_eq!(read(b"\x65\0\x01\x01\x05\0"), Err(MessageError::Disorder));
    assert_eq!(read(b"\x01\x01\x05\x01\x01\x05\0"), Err(MessageError::Disorder));
    assert_eq!(read(b"\x65\x03xx"), Err(ReplicaError::Truncated.into()));
    assert_eq!(read(b"\0x"), Err(ReplicaError::Trailing { bytes: 1 }.into()));
    assert_eq!(Asked::read(99, b"\x02\0", &limits()), Err(MessageError::UnknownKind { kind: 99 }));
    assert_eq!(Answer::read(200, b"\0", &limits(), &speaker()), Err(MessageError::UnknownKind { kind: 200 }));
    let code = Answer::read(255, b"\0\x05new-x\x02no", &limits(), &speaker());
    assert_eq!(code, Ok(Answer::Refused(Refused { code: None, sentence: "no".to_owned() })));
    let hello = Hello::read(b"\x01\x01\x65\x02xx\0").unwrap();
    assert_eq!(hello, Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: None });
    assert_eq!(Welcome::read(b"\x01\0"), Err(MessageError::Missing { tag: 7 }));
}

#[test]
fn a_number_below_or_beside_the_last_one_ends_the_connection() {
    let ping = |id| frame(Kind::Ping.number(), id, b"\0");
    let mut inbox = requests();
    assert_eq!(received(&mut inbox, &[ping(1), ping(5)].concat()).unwrap().len(), 2);
    assert_eq!(inbox.last_id(), 5);
    for id in [0, 1, 5] {
        assert_eq!(received(&mut inbox, &ping(id)), Err(FrameError::Number));
    }
    let mut answers = opened(Inbox::of_answers(MESSAGE_BYTES));
    let done = |id| frame(Kind::Done.number(), id, b"\0");
    assert_eq!(received(&mut answers, &[done(5), done(1), done(5)].concat()).unwrap().len(), 3);
}

#[test]
fn lengths_that_no_frame_has_are_refused_before_anything_is_kept() {
    for length in [0, 4, u32::try_from(CONTENT_BYTES_MAX).unwrap() + 6, u32::MAX] {
        let bytes = [&length.to_be_bytes()[..], &[16, 0, 0, 0, 1]].concat();
        assert_eq!(received(&mut requests(), &bytes), Err(FrameError::Length), "{length}");
    }
    let longest = frame(16, 1, &vec![0; CONTENT_BYTES_MAX]);
    assert_eq!(longest.len(), HEAD_BYTES + CONTENT_BYTES_MAX);
    assert_eq!(received(&mut requests(), &longest), Ok(vec![format!("16 1 {CONTENT_BYTES_MAX}")]));
}

#[test]
fn bytes_of_another_program_are_told_at_the_first_one() {
    let mut inbox = Inbox::of_answers(MESSAGE_BYTES);
    assert_eq!(received(&mut inbox, b"H"), Err(FrameError::NotFrames));
    let mut inbox = Inbox::of_answers(MESSAGE_BYTES);
    assert_eq!(received(&mut inbox, b"\xc7chart"), Err(FrameError::NotFrames));
}

#[test]
fn short_messages_overtake_a_long_one_that_is_not_starved() {
    let mut outbox = Outbox::default();
    let n_pieces = 4;
    let long = vec![7; CONTENT_BYTES_MAX * n_pieces - 5];
    assert_eq!(outbox.put(Kind::Operate, 1, |to| to.extend_from_slice(&long)), PLACED_LATER);
    let mut inbox = requests();
    let mut came = Vec::new();
    let mut last_piece = None;
    for id in 2..=9 {
        // Something short is always there before the next bytes are sent.
        let end = outbox.put(Kind::Ping, id, |to| to.push(0));
        last_piece = last_piece.or(outbox.cut());
        let bytes = outbox.unsent().to_vec();
        outbox.sent(bytes.len());
        assert!(outbox.n_sent() >= end);
        came.extend(received(&mut inbox, &bytes).unwrap());
    }
    let at = |what: &str| came.iter().position(|came| came == what).unwrap();
    let whole = at(&format!("33 1 {}", long.len()));
    assert!(at("16 2 1") < whole && at("16 5 1") < whole && whole < at("16 6 1"), "{came:?}");
    assert_eq!(last_piece.map(|(id, _)| id), Some(1));
}

fn announced(kind: Kind, id: u32, bytes: u32) -> Vec<u8> {
    frame(5, id, &[&[kind.number()][..], &bytes.to_be_bytes()].concat())
}

#[test]
fn a_long_message_has_one_form_only() {
    let long = vec![7; CONTENT_BYTES_MAX + 1];
    let mut outbox = Outbox::default();
    assert!(outbox.put(Kind::Operate, 3, |to| to.extend_from_slice(&long[1..])) < PLACED_LATER);
    let n_sent = all(&mut outbox).len() as u64;
    assert_eq!(n_sent, (HEAD_BYTES + CONTENT_BYTES_MAX) as u64);
    assert_eq!(outbox.put(Kind::Operate, 4, |to| to.extend_from_slice(&long)), PLACED_LATER);
    let bytes = all(&mut outbox);
    assert_eq!(received(&mut requests(), &bytes).unwrap(), ["piece", "begun 4 65537", "33 4 65537"]);
    assert_eq!(outbox.n_sent(), n_sent + bytes.len() as u64);

    let shortest = |id| announced(Kind::Operate, id, 65537);
    let piece = |id, length: usize| frame(6, id, &vec![0; length]);
    let first = || piece(1, CONTENT_BYTES_MAX);
    let cases: [(&str, Vec<Vec<u8>>); 10] = [
        ("it would fit into one frame", vec![announced(Kind::Operate, 1, 65536)]),
        ("it is about the connection", vec![announced(Kind::Farewell, 1, 65537)]),
        ("it does not say how long it is", vec![frame(5, 1, &[33, 0, 1, 0])]),
        ("it was not announced", vec![piece(1, 1)]),
        ("its first piece is short", vec![shortest(1), piece(1, 100)]),
        ("its last piece is short", vec![shortest(1), first(), piece(1, 0)]),
        ("its last piece is long", vec![shortest(1), first(), piece(1, 2)]),
        ("it is not its turn", vec![shortest(1), shortest(2), piece(2, CONTENT_BYTES_MAX)]),
        ("another is not whole", vec![shortest(1), shortest(2), first(), piece(2, CONTENT_BYTES_MAX)]),
        ("it was whole", vec![shortest(1), first(), piece(1, 1), piece(1, 1)]),
    ];
    for (what, frames) in cases {
        let (last, before) = frames.split_last().unwrap();
        let mut inbox = requests();
        received(&mut inbox, &before.concat()).expect(what);
        assert_eq!(received(&mut inbox, last), Err(FrameError::Pieces), "{what}");
    }
}

#[test]
fn no_more_long_messages_are_announced_than_the_limit() {
    let mut inbox = requests();
    for id in 1..=ANNOUNCED_MAX {
        received(&mut inbox, &announced(Kind::Operate, id.try_into().unwrap(), u32::MAX)).unwrap();
    }
    let more = announced(Kind::Operate, u32::MAX, u32::MAX);
    assert_eq!(received(&mut inbox, &more), Err(FrameError::Pieces));
}

#[test]
fn a_message_above_the_limit_is_passed_over_and_the_connection_goes_on() {
    let ping = frame(Kind::Ping.number(), 9, b"\0");
    for (n_content, came) in
        [(MESSAGE_BYTES, format!("begun 1 {MESSAGE_BYTES}")), (MESSAGE_BYTES + 1, "too large 1".to_owned())]
    {
        let mut outbox = Outbox::default();
        outbox.put(Kind::Operate, 1, |to| to.resize(to.len() + n_content, 0));
        let mut inbox = requests();
        let all = received(&mut inbox, &[all(&mut outbox), ping.clone()].concat()).unwrap();
        assert_eq!((all.get(1), all.last()), (Some(&came), Some(&"16 9 1".to_owned())));
        assert!(!inbox.is_amid());
    }
}

#[test]
fn a_message_that_is_discarded_is_passed_over() {
    let mut outbox = Outbox::default();
    outbox.open();
    outbox.put(Kind::Operate, 1, |to| to.resize(to.len() + 200_000, 0));
    outbox.put(Kind::Ping, 2, |to| to.push(0));
    let bytes = all(&mut outbox);
    let mut inbox = Inbox::of_requests(MESSAGE_BYTES);
    let mut rest = &bytes[..];
    let mut n_pieces = 0;
    while let Some(arrived) = inbox.next(&mut rest).unwrap() {
        match arrived {
            Arrived::Begun { .. } => inbox.discard(),
            Arrived::Piece => n_pieces += 1,
            Arrived::Message(message) => assert_eq!(message.id, 2),
            Arrived::TooLarge { .. } => panic!("it is not"),
        }
    }
    assert_eq!((n_pieces, inbox.is_amid()), (4, false));
}

#[test]
fn an_outbox_knows_how_much_waits_and_gives_its_memory_back() {
    let mut outbox = Outbox::default();
    outbox.put(Kind::Operate, 1, |to| to.resize(to.len() + 100_000, 0));
    assert_eq!(outbox.n_waiting(), 100_000 + HEAD_BYTES + 5);
    let bytes = all(&mut outbox);
    assert!(outbox.n_waiting() == 0 && outbox.is_empty());
    outbox.let_go();
    assert_eq!(outbox.n_sent(), bytes.len() as u64);
}

#[test]
fn the_largest_hello_is_below_its_limit() {
    let ring = RingTag { name: "r".repeat(63).parse().unwrap(), size: RingSize::new(256).unwrap() };
    let longest = name(&format!("{}:65535", "h".repeat(255)));
    let welcome = Welcome {
        version: 1,
        name: longest,
        ring,
        is_member: true,
        copies: Copies { replicas: 9, write_quorum: Some(9) },
        challenge: None,
    };
    assert!(content(|to| welcome.write(to)).len() <= HELLO_BYTES_MAX / 2);
}

#[test]
fn an_operation_says_whether_its_receiver_is_taken_for_the_owner() {
    let operate = Operate {
        key: Key::new(b"foo").unwrap(),
        operation: Operation::Get,
        proposal: Proposal::LeftToOwner,
        consistency: chord_kv::replication::Consistency::Usual,
        remaining: Duration::from_millis(1),
    };
    for (named, path) in [(true, vec![name("h:1")]), (false, Vec::new())] {
        let request = Request::Operate { operate: operate.clone(), named, path };
        let asked = Asked { request, remaining: None };
        let bytes = content(|to| asked.write(to));
        assert_eq!(Asked::read(Kind::Operate.number(), &bytes, &limits()), Ok(asked));
        assert_eq!(
            Asked::read(Kind::Records.number(), b"\0\x01\x10\x03foo\x01\0\0\0", &limits()),
            Err(MessageError::UnknownKind { kind: 32 })
        );
    }
}

fn any_name() -> impl Strategy<Value = NodeName> {
    ("[a-z0-9.-]{1,20}", 1u16..).prop_map(|(host, port)| name(&format!("{host}:{port}")))
}

fn any_peer() -> impl Strategy<Value = Peer> {
    any_name().prop_map(|name| Peer::of_name(name, size()))
}

fn any_path() -> impl Strategy<Value = Vec<NodeName>> {
    prop::collection::vec(any_name(), 0..5)
}

fn any_neighbours() -> impl Strategy<Value = (Option<Peer>, Vec<Peer>)> {
    (prop::option::of(any_peer()), prop::collection::vec(any_peer(), 0..5))
}

fn any_request() -> impl Strategy<Value = Request> {
    let question = (any::<[u8; 20]>(), any::<bool>(), any_path()).prop_map(|(low, named, path)| {
        let mut bytes = [0; 32];
        bytes[12..].copy_from_slice(&low);
        Question { target: Position::from_be_bytes(bytes), named, path }
    });
    let ring = prop_oneof![
        Just(RingRequest::Ping),
        Just(RingRequest::GetState),
        Just(RingRequest::ForgetPredecessor),
        any_peer().prop_map(|from| RingRequest::Notify { from }),
        (any_peer(), any_neighbours()).prop_map(|(from, (predecessor, successors))| {
            RingRequest::Leave { from, predecessor, successors }
        }),
        question.prop_map(RingRequest::FindSuccessor),
    ];
    let records =
        (replica_messages::request(size()), any::<bool>(), any_path()).prop_map(|(request, named, path)| {
            match request {
                DataRequest::Peer(request) => Request::Records(request),
                DataRequest::Operate(operate) => Request::Operate { operate, named, path },
            }
        });
    prop_oneof![ring.prop_map(Request::Ring), records]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let Speaker { peer, ring } = speaker();
    let size = Some(ring.size);
    let pong = {
        let (peer, ring) = (peer.clone(), Some(ring));
        any::<bool>().prop_map(move |member| Pong { peer: peer.clone(), member, ring: ring.clone() })
    };
    let state = any_neighbours().prop_map(move |(predecessor, successors)| State {
        peer: peer.clone(),
        predecessor,
        successors,
        ring_size: size,
    });
    let found =
        (any_peer(), any::<u32>(), any_path(), prop::option::of(replica_messages::position(self::size())))
            .prop_map(|(owner, hops, path, after)| Found { owner, hops, path, after, took: Vec::new() });
    let times = prop::collection::vec(any::<u32>().prop_map(|us| Duration::from_micros(us.into())), 0..40);
    let found = (found, times).prop_map(|(found, took)| Found { took, ..found });
    let ring = prop_oneof![
        pong.prop_map(RingAnswer::Pong),
        state.prop_map(RingAnswer::State),
        Just(RingAnswer::Done),
        found.prop_map(RingAnswer::Found),
    ];
    let records = (
        replica_messages::answer(self::size()),
        prop::option::of(any_name()),
        prop::option::of(any::<u32>()),
        prop::option::of(replica_messages::version()),
    )
        .prop_map(|(answer, owner, hops, deleted)| match answer.with_deleted(deleted) {
            DataAnswer::Peer(answer) => Answer::Records(answer),
            DataAnswer::Operated(result) => Answer::Operated { result, owner, hops },
        });
    let refused = (prop::option::of(prop::sample::select(Code::ALL.to_vec())), "[ -~]{0,80}")
        .prop_map(|(code, sentence)| Answer::Refused(Refused { code, sentence }));
    prop_oneof![ring.prop_map(Answer::Ring), records, refused]
}

proptest! {
    #[test]
    fn requests_survive_their_frames(request in any_request(), ms in prop::option::of(0u64..=3_600_000)) {
        let asked = Asked { request, remaining: ms.map(Duration::from_millis) };
        let bytes = content(|to| asked.write(to));
        prop_assert_eq!(Asked::read(asked.request.kind(1).number(), &bytes, &limits()), Ok(asked));
    }

    #[test]
    fn answers_survive_their_frames(answer in any_answer()) {
        let bytes = content(|to| answer.write(to));
        let kind = answer.kind().number();
        prop_assert_eq!(Answer::read(kind, &bytes, &limits(), &speaker()), Ok(answer));
    }

    #[test]
    fn messages_survive_any_cut(lengths in prop::collection::vec(0usize..200_000, 1..5), cut in 1usize..100_000) {
        let mut outbox = Outbox::default();
        outbox.open();
        for (length, id) in lengths.iter().zip(1..) {
            outbox.put(Kind::Told, id, |to| to.resize(to.len() + length, 1));
        }
        let bytes = all(&mut outbox);
        let mut inbox = Inbox::of_answers(MESSAGE_BYTES);
        let (mut buffer, mut came) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(cut) {
            buffer.extend_from_slice(piece);
            let mut rest = &buffer[..];
            while let Some(arrived) = inbox.next(&mut rest).unwrap() {
                if let Arrived::Message(message) = arrived {
                    came.push((message.id, message.content.len()));
                }
            }
            let n_rest = rest.len();
            buffer.drain(..buffer.len() - n_rest);
        }
        came.sort_unstable();
        prop_assert_eq!(came, (1..).zip(lengths).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..80), kind in any::<u8>()) {
        let _ = Asked::read(kind, &bytes, &limits());
        let _ = Answer::read(kind, &bytes, &limits(), &speaker());
        let _ = (Hello::read(&bytes), Welcome::read(&bytes), Declined::read(&bytes));
        let mut rest = &bytes[..];
        let mut inbox = requests();
        while let Ok(Some(_)) = inbox.next(&mut rest) {}
    }
}

#[test]
fn a_value_of_the_largest_size_fits() {
    let limits = ReplicaLimits { size: size(), value_bytes: VALUE_BYTES_DEFAULT };
    let told = PeerAnswer { leaving: false, body: AnswerBody::Done };
    let bytes = content(|to| Answer::Records(told.clone()).write(to));
    assert_eq!(Answer::read(144, &bytes, &limits, &speaker()), Ok(Answer::Records(told)));
    assert!(limits.message_bytes() > VALUE_BYTES_DEFAULT);
}
