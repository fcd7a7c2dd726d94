//! Frames.

use std::time::Duration;

use chord_kv::replication::{
    AnswerBody, Before, Consistency, Operation, Outcome, PeerAnswer, PeerRequest, Proposal,
};
use chord_kv::{Key, Version};
use chord_ring::{
    Answer as RingAnswer, Found, Pong, Position, Question, Request as RingRequest, RingSize, RingTag, State,
};
use chord_wire::frame::{
    Answer, Arrived, Asked, CONTENT_BYTES_MAX, Challenge, Class, Declined, Hello, Inbox, Kind, Message,
    OPENING, Outbox, PROOF_BYTES, Proof, Refused, Request, Speaker, Tag, Versions, Welcome,
};
use chord_wire::replica::{Operate, ReplicaLimits};
use chord_wire::{Code, Copies};

use super::{Example, bytes, check_examples, hex, name, numbered, peer, rows, words};

const BITS: u64 = 160;

fn limits() -> ReplicaLimits {
    ReplicaLimits { size: RingSize::new(BITS).expect("a size"), value_bytes: 64 }
}

fn ring() -> RingTag {
    RingTag { name: "blue".parse().expect("a ring name"), size: limits().size }
}

/// Who answers in all examples.
fn speaker() -> Speaker {
    Speaker { peer: peer("b:2", BITS), ring: ring() }
}

/// The content of a frame.
#[derive(Debug, PartialEq)]
enum Said {
    Hello(Hello),
    Welcome(Welcome),
    Declined(Declined),
    Farewell,
    Proof([u8; PROOF_BYTES]),
    Asked(Asked),
    Answer(Answer),
}

impl Said {
    fn read(kind: Kind, content: &[u8]) -> Self {
        match kind {
            Kind::Hello => Self::Hello(Hello::read(content).expect("a hello")),
            Kind::Welcome => Self::Welcome(Welcome::read(content).expect("a welcome")),
            Kind::Declined => Self::Declined(Declined::read(content).expect("a refusal")),
            Kind::Farewell => {
                assert!(content.is_empty());
                Self::Farewell
            }
            Kind::Proof => Self::Proof(Proof::read(content).expect("a proof").0),
            _ if Class::of(kind.number()) == Class::Request => {
                Self::Asked(Asked::read(kind.number(), content, &limits()).expect("a request"))
            }
            _ => {
                Self::Answer(Answer::read(kind.number(), content, &limits(), &speaker()).expect("an answer"))
            }
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.write(to),
            Self::Welcome(welcome) => welcome.write(to),
            Self::Declined(declined) => declined.write(to),
            Self::Farewell => {}
            Self::Proof(proof) => Proof(*proof).write(to),
            Self::Asked(asked) => asked.write(to),
            Self::Answer(answer) => answer.write(to),
        }
    }
}

fn hellos() -> Vec<(Kind, &'static str, u32, Said)> {
    let versions = Versions { lowest: 1, highest: 1 };
    let copies = Copies { replicas: 3, write_quorum: Some(2) };
    let node = Hello {
        versions,
        name: Some(name("a:1")),
        ring: Some(ring()),
        copies: Some(copies),
        challenge: None,
    };
    let challenge = Some(Challenge([7; PROOF_BYTES]));
    let client = Hello { versions, name: None, ring: None, copies: None, challenge };
    let welcome = Welcome {
        version: 1,
        name: name("b:2"),
        ring: ring(),
        is_member: true,
        copies: Copies { replicas: 3, write_quorum: None },
        challenge: None,
    };
    let declined = Declined { versions, code: Some(Code::Busy), sentence: "later".to_owned() };
    vec![
        (
            Kind::Hello,
            "a:1 of the ring blue of 160 bits, 3 copies of which 2 are waited for; it speaks version 1 alone",
            0,
            Said::Hello(node),
        ),
        (Kind::Hello, "a client, with a challenge of 32 times the byte 7", 0, Said::Hello(client)),
        (Kind::Welcome, "b:2, a member of blue, in version 1; 3 copies", 0, Said::Welcome(welcome)),
        (Kind::Declined, "version 1 alone; busy: \"later\"", 0, Said::Declined(declined)),
        (Kind::Farewell, "5 is the last request that was taken", 5, Said::Farewell),
        (Kind::Proof, "32 times the byte 9", 0, Said::Proof([9; PROOF_BYTES])),
    ]
}

fn requests() -> Vec<(Kind, &'static str, Said)> {
    let ring = |request| Said::Asked(Asked { request: Request::Ring(request), remaining: None });
    let remaining = Some(Duration::from_millis(1500));
    let question = Question { target: Position::from(0x1234), named: true, path: vec![name("a:1")] };
    let leave = RingRequest::Leave {
        from: peer("a:1", BITS),
        predecessor: None,
        successors: vec![peer("b:2", BITS), peer("c:3", BITS)],
    };
    let operate = Operate {
        key: Key::new(b"foo").expect("a key"),
        operation: Operation::Get,
        proposal: Proposal::LeftToOwner,
        consistency: Consistency::Quorum,
        remaining: Duration::from_millis(1500),
    };
    let operate = Request::Operate { operate, named: true, path: vec![name("a:1")] };
    let alone = |request| Said::Asked(Asked { request, remaining: None });
    vec![
        (
            Kind::Ping,
            "the sender waits for 1500 ms",
            Said::Asked(Asked { request: Request::Ring(RingRequest::Ping), remaining }),
        ),
        (Kind::GetState, "", ring(RingRequest::GetState)),
        (Kind::Notify, "a:1 says so", ring(RingRequest::Notify { from: peer("a:1", BITS) })),
        (Kind::ForgetPredecessor, "", ring(RingRequest::ForgetPredecessor)),
        (Kind::Leave, "a:1 leaves, knows no predecessor, and has the successors b:2 and c:3", ring(leave)),
        (
            Kind::FindSuccessor,
            "of the position 4660; a:1 had it before, and b:2 is named as the owner",
            ring(RingRequest::FindSuccessor(question)),
        ),
        (Kind::Records, "vouch", alone(Request::Records(PeerRequest::Vouch))),
        (Kind::Operate, "get foo from most copies within 1500 ms; as above", alone(operate)),
        (Kind::Describe, "", alone(Request::Describe)),
    ]
}

fn answers() -> Vec<(Kind, &'static str, Said)> {
    let Speaker { peer: own, ring } = speaker();
    let answer = |answer| Said::Answer(Answer::Ring(answer));
    let pong = Pong { peer: own.clone(), member: true, ring: Some(ring.clone()) };
    let state = State {
        peer: own,
        predecessor: Some(peer("a:1", BITS)),
        successors: vec![peer("c:3", BITS), peer("a:1", BITS)],
        ring_size: Some(ring.size),
    };
    let found = Found {
        owner: peer("c:3", BITS),
        hops: 300,
        path: vec![name("a:1"), name("b:2")],
        after: Some(Position::from(0x1200)),
        took: vec![Duration::from_micros(300), Duration::from_micros(7)],
    };
    let deleted = Some(Version::new(1, 2, Position::from(0x1234)));
    let deleted = Ok(Outcome { copies: 2, deleted, ..Outcome::default() });
    let deleted = Answer::Operated { result: deleted, owner: Some(name("c:3")), hops: Some(1) };
    let repeated = Ok(Outcome { copies: 2, before: Before::Unknown, ..Outcome::default() });
    let repeated = Answer::Operated { result: repeated, owner: None, hops: None };
    let told = Answer::Records(PeerAnswer { leaving: false, body: AnswerBody::Done });
    let refused = Answer::Refused(Refused { code: Some(Code::NoRoute), sentence: "no way".to_owned() });
    vec![
        (Kind::Pong, "a member", answer(RingAnswer::Pong(pong))),
        (Kind::State, "behind a:1, before c:3 and a:1", answer(RingAnswer::State(state))),
        (Kind::Done, "", answer(RingAnswer::Done)),
        (
            Kind::Found,
            "c:3 owns what is after 4608; forwarded 300 times, by way of a:1 and b:2, who had the answer after 300 and 7 µs",
            answer(RingAnswer::Found(found)),
        ),
        (Kind::Told, "done", Said::Answer(told)),
        (
            Kind::Operated,
            "c:3 deleted it, by version 1.2.4660, and two have that; forwarded once",
            Said::Answer(deleted),
        ),
        (Kind::Operated, "two have it, and it came twice", Said::Answer(repeated)),
        (Kind::Described, "{}", Said::Answer(Answer::Described(b"{}".to_vec()))),
        (Kind::Refused, "no-route: \"no way\"", Said::Answer(refused)),
    ]
}

/// All frames that are no parts of others, with their numbers.
fn frames() -> Vec<(Kind, &'static str, u32, Said)> {
    let mut frames = hellos();
    for (number, (kind, says, said)) in (1..).zip(requests()) {
        frames.push((kind, says, number, said));
    }
    frames.extend(answers().into_iter().map(|(kind, says, said)| (kind, says, 9, said)));
    frames
}

/// A frame of the examples, as its kind, its number and its content.
fn read(frame: &[u8]) -> (Kind, u32, &[u8]) {
    let (head, content) = frame.split_at(9);
    let number = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().expect("four bytes"));
    assert_eq!(number(0) as usize, content.len() + 5);
    (Kind::of(head[4]).expect("a kind"), number(5), content)
}

/// What a long message is sent in: what announces it, its first piece, and its last.
fn long() -> [Vec<u8>; 3] {
    let mut outbox = Outbox::default();
    outbox.put(Kind::Operate, 5, |to| to.resize(to.len() + CONTENT_BYTES_MAX + 1, b'x'));
    let mut sent = Vec::new();
    loop {
        let _ = outbox.cut();
        let unsent = outbox.unsent().to_vec();
        if unsent.is_empty() {
            break;
        }
        outbox.sent(unsent.len());
        sent.extend(unsent);
    }
    let last = sent.split_off(sent.len() - 10);
    let first = sent.split_off(14);
    [sent, first, last]
}

/// The examples of the documentation, as they should be.
fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    for (kind, says, number, said) in frames() {
        let mut outbox = Outbox::default();
        outbox.put(kind, number, |to| said.write(to));
        examples.push(Example { kind: words(&kind), says, bytes: outbox.unsent().to_vec() });
    }
    let [announced, _, piece] = long();
    let at = examples.iter().position(|example| example.kind == "proof").expect("a proof");
    let says = "request 5 is an *operate* of 65537 bytes";
    examples.insert(at, Example { kind: words(&Kind::Announced), says, bytes: announced });
    let says = "the last piece of that, an x";
    examples.insert(at + 1, Example { kind: words(&Kind::Piece), says, bytes: piece });
    examples
}

#[test]
fn kinds_have_the_numbers_and_names_of_the_documentation() {
    let kinds: Vec<(u8, String)> = Kind::ALL.iter().map(|kind| (kind.number(), words(kind))).collect();
    let documented =
        numbered("### Kinds of frames").into_iter().map(|(number, name)| (number, name.to_owned()));
    assert_eq!(documented.collect::<Vec<_>>(), kinds);
    assert!(kinds.is_sorted());
}

#[test]
fn fields_have_the_numbers_and_names_of_the_documentation() {
    let tags: Vec<(u8, String)> = Tag::ALL.iter().map(|tag| (tag.number(), words(tag))).collect();
    let documented = numbered("### Fields").into_iter().map(|(number, name)| (number, name.to_owned()));
    assert_eq!(documented.collect::<Vec<_>>(), tags);
    assert!(tags.is_sorted());
}

#[test]
fn what_is_done_with_an_unknown_kind_is_that_of_the_documentation() {
    for (class, range) in [
        (Class::Connection, 0..=15),
        (Class::Request, 16..=111),
        (Class::Notice, 112..=127),
        (Class::Answer, 128..=255),
    ] {
        let row = format!("\n| {} – {} |", range.start(), range.end());
        assert!(super::DOCUMENTATION.contains(&row), "{row}");
        assert!(range.into_iter().all(|kind| Class::of(kind) == class));
    }
}

#[test]
fn the_codes_are_the_words_of_the_documentation() {
    let mut lines = super::DOCUMENTATION.lines();
    let told = lines.by_ref().skip_while(|line| !line.starts_with("The codes are the words")).nth(1);
    let words = told.expect("they are told").split('`').skip(1).step_by(2);
    assert_eq!(words.collect::<Vec<_>>(), Code::ALL.map(Code::as_str));
}

#[test]
fn a_connection_begins_as_in_the_documentation() {
    assert!(super::DOCUMENTATION.contains(&format!("`{}`", hex(&OPENING))));
}

#[test]
fn each_kind_of_frame_has_an_example_in_the_documentation_which_is_what_is_written() {
    let examples = examples();
    for kind in Kind::ALL {
        assert!(examples.iter().any(|example| example.kind == words(kind)), "{kind:?}");
    }
    check_examples("### Examples of frames", &examples);
}

#[test]
fn the_examples_of_frames_say_what_the_documentation_says_they_do() {
    let documented = rows("### Examples of frames").into_iter().map(|row| bytes(row[2]));
    let is_part = |frame: &Vec<u8>| matches!(read(frame).0, Kind::Announced | Kind::Piece);
    let (parts, whole): (Vec<_>, Vec<_>) = documented.partition(is_part);
    assert_eq!(whole.len(), frames().len());
    for (frame, (kind, says, number, said)) in whole.iter().zip(frames()) {
        let (read_kind, read_number, content) = read(frame);
        assert_eq!((read_kind, read_number), (kind, number), "{says}");
        assert_eq!(Said::read(kind, content), said, "{says}");
    }
    let [announced, last] = parts.as_slice() else { panic!("one announced and one piece") };
    let (mut inbox, first) = (Inbox::of_requests(1 << 20), &long()[1]);
    let all = [&OPENING[..], announced, first, last].concat();
    let mut rest = &all[..];
    let mut came = Vec::new();
    while let Some(arrived) = inbox.next(&mut rest).expect("frames") {
        if let Arrived::Message(Message { kind, id, content }) = arrived {
            came.push((kind, id, content.to_vec()));
        }
    }
    assert_eq!(came, [(Kind::Operate.number(), 5, vec![b'x'; CONTENT_BYTES_MAX + 1])]);
}

#[test]
fn each_field_is_in_an_example_of_the_documentation() {
    let mut met = Vec::new();
    for row in rows("### Examples of frames") {
        let frame = bytes(row[2]);
        let (kind, _, content) = read(&frame);
        let before = match kind {
            Kind::Hello | Kind::Declined => 2,
            Kind::Welcome => 1,
            Kind::Farewell | Kind::Announced | Kind::Piece => continue,
            _ => 0,
        };
        let mut rest = &content[before..];
        while rest[0] != 0 {
            met.push(rest[0]);
            rest = &rest[2 + usize::from(rest[1])..];
        }
    }
    for tag in Tag::ALL {
        assert!(met.contains(&tag.number()), "{tag:?}");
    }
}
