//! What a peer that speaks frames may not do to a node.

use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use chord_ring::{Request as RingRequest, RingTag};
use chord_wire::frame::{
    Answer, Arrived, Asked, Declined, HELLO_BYTES_MAX, Hello, Inbox, Kind, OPENING, Outbox, Request, Speaker,
    VERSIONS, Versions, Welcome,
};
use chord_wire::replica::ReplicaLimits;
use chord_wire::{Code, Copies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::*;

const MESSAGE_BYTES: usize = 4 << 20;

/// One who speaks frames to a node, well or not.
struct Speaks {
    stream: TcpStream,
    inbox: Inbox,
    arrived: Vec<u8>,
}

/// What came from the node: its kind, its number and its content.
type Came = (u8, u32, Vec<u8>);

impl Speaks {
    fn on(stream: TcpStream) -> Self {
        Self { stream, inbox: Inbox::of_answers(MESSAGE_BYTES), arrived: Vec::new() }
    }

    /// One that has been let in.
    async fn to(node: &Node) -> Self {
        let mut speaks = Self::on(connect(node).await);
        speaks.send(&hello(VERSIONS)).await;
        let (kind, _, content) = speaks.hear().await.expect("a welcome");
        assert_eq!(kind, Kind::Welcome.number());
        let welcome = Welcome::read(&content).unwrap();
        assert_eq!((&welcome.name, welcome.version), (node.name(), VERSIONS.highest));
        speaks
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The node may close before it has read everything.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; `None` when the node has closed.
    async fn hear(&mut self) -> Option<Came> {
        loop {
            let mut rest = &self.arrived[..];
            let arrived = self.inbox.next(&mut rest).expect("what a node says makes sense");
            let came = arrived.map(|arrived| match arrived {
                Arrived::Message(message) => Some((message.kind, message.id, message.content.into_owned())),
                Arrived::Begun { .. } | Arrived::Piece | Arrived::TooLarge { .. } => None,
            });
            let n_rest = rest.len();
            self.arrived.drain(..self.arrived.len() - n_rest);
            match came {
                Some(Some(came)) => return Some(came),
                Some(None) => {}
                None => {
                    let read = tokio::time::timeout(DEADLINE, self.stream.read_buf(&mut self.arrived));
                    if !read.await.expect("an end in time").is_ok_and(|n_bytes| n_bytes > 0) {
                        return None;
                    }
                }
            }
        }
    }

    /// Everything up to the end: answers by their kinds and numbers.
    async fn hear_all(&mut self) -> Vec<(u8, u32)> {
        let mut all = Vec::new();
        while let Some((kind, id, _)) = self.hear().await {
            all.push((kind, id));
        }
        all
    }

    async fn is_refused(&mut self, id: u32, code: Code) -> String {
        let (kind, answered, content) = self.hear().await.expect("an answer");
        assert_eq!((kind, answered), (Kind::Refused.number(), id));
        let limits = ReplicaLimits { size: chord_ring::RingSize::DEFAULT, value_bytes: 0 };
        let name = "127.0.0.1:1".parse().unwrap();
        let ring = RingTag { name: chord_ring::RingName::default(), size: limits.size };
        let speaker = Speaker { peer: chord_ring::Peer::of_name(name, limits.size), ring };
        let Ok(Answer::Refused(refused)) = Answer::read(kind, &content, &limits, &speaker) else {
            panic!("no refusal")
        };
        assert_eq!(refused.code, Some(code), "{}", refused.sentence);
        refused.sentence
    }
}

fn hello(versions: Versions) -> Vec<u8> {
    let name = Some("127.0.0.1:1".parse().unwrap());
    let ring = RingTag { name: chord_ring::RingName::default(), size: chord_ring::RingSize::DEFAULT };
    let copies = Some(Copies { replicas: 3, write_quorum: None });
    let hello = Hello { versions, name, ring: Some(ring), copies, challenge: None };
    let mut outbox = Outbox::default();
    outbox.open();
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    outbox.unsent().to_vec()
}

fn frame(kind: u8, id: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 5).unwrap();
    [&length.to_be_bytes()[..], &[kind], &id.to_be_bytes(), content].concat()
}

fn ping(id: u32) -> Vec<u8> {
    frame(Kind::Ping.number(), id, b"\0")
}

const PONG: u8 = Kind::Pong.number();
const FAREWELL: u8 = Kind::Farewell.number();
const REFUSED: u8 = Kind::Refused.number();

async fn is_well(node: &Node) {
    let mut speaks = Speaks::to(node).await;
    speaks.send(&ping(1)).await;
    assert_eq!(speaks.hear().await, Some((PONG, 1, b"\0\x01".to_vec())));
}

#[tokio::test]
async fn whoever_speaks_no_version_of_the_nodes_is_told_which_there_are() {
    let node = node(Limits::default()).await;
    for versions in [Versions { lowest: 200, highest: 255 }, Versions { lowest: 0, highest: 0 }] {
        let mut speaks = Speaks::on(connect(&node).await);
        speaks.send(&hello(versions)).await;
        let (kind, _, content) = speaks.hear().await.unwrap();
        assert_eq!(kind, Kind::Declined.number());
        let declined = Declined::read(&content).unwrap();
        assert_eq!((declined.versions, declined.code), (VERSIONS, Some(Code::BadRequest)));
        assert!(declined.sentence.contains(&VERSIONS.to_string()), "{}", declined.sentence);
        assert_eq!(speaks.hear().await, None);
    }
    is_well(&node).await;
}

#[tokio::test]
async fn what_is_no_hello_is_let_go() {
    let node = node(Limits { header_read: Duration::from_millis(300), ..Limits::default() }).await;
    let half = &hello(VERSIONS)[..20];
    for bytes in [
        [&OPENING[..], &ping(1)].concat(),
        [&OPENING[..], b"GET / HTTP/1.1\r\n\r\n"].concat(),
        [&OPENING[..], &u32::MAX.to_be_bytes()].concat(),
        OPENING.to_vec(),
        OPENING[..4].to_vec(),
        half.to_vec(),
    ] {
        let mut speaks = Speaks::on(connect(&node).await);
        speaks.send(&bytes).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(DEADLINE, speaks.stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "closed in time");
    }
    for content in [
        vec![1],
        vec![1; HELLO_BYTES_MAX + 1],
        b"\x01\x01\x64\0\0".to_vec(),
        b"\x01\x01\x07\x03h:1\0".to_vec(),
    ] {
        let mut speaks = Speaks::on(connect(&node).await);
        speaks.send(&[&OPENING[..], &frame(1, 0, &content)].concat()).await;
        assert_eq!(speaks.hear().await.map(|(kind, ..)| kind), Some(Kind::Declined.number()));
        assert_eq!(speaks.hear().await, None);
    }
    is_well(&node).await;
}

#[tokio::test]
async fn a_frame_that_makes_no_sense_ends_the_connection_after_what_came_before_is_answered() {
    let node = node(Limits::default()).await;
    let wrong: [(&str, Vec<u8>); 6] = [
        ("too long", [&u32::MAX.to_be_bytes()[..], &[16, 0, 0, 0, 9]].concat()),
        ("too short", [&3_u32.to_be_bytes()[..], &[16, 0, 0]].concat()),
        ("a number again", ping(3)),
        ("a number from before", ping(1)),
        ("another hello", frame(1, 0, b"\x01\x01\0")),
        ("a piece of nothing", frame(6, 9, b"x")),
    ];
    for (what, bytes) in wrong {
        let mut speaks = Speaks::to(&node).await;
        speaks.send(&[ping(2), ping(3), bytes, ping(99)].concat()).await;
        assert_eq!(speaks.hear_all().await, [(PONG, 2), (PONG, 3), (FAREWELL, 3)], "{what}");
    }
    is_well(&node).await;
}

#[tokio::test]
async fn whoever_sends_no_more_has_everything_answered_that_came_whole() {
    let node = node(Limits::default()).await;
    node.put(b"key", b"value").await.unwrap();
    let mut speaks = Speaks::to(&node).await;
    let get = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x03key\x90\x4e\x00\x00\x00");
    let n_asked = 1000;
    let asked: Vec<u8> = (1..=n_asked).flat_map(get).chain(ping(n_asked + 1)[..7].to_vec()).collect();
    speaks.send(&asked).await;
    speaks.stream.shutdown().await.unwrap();
    let mut all = speaks.hear_all().await;
    all.sort_unstable();
    let expected: Vec<_> = (1..=n_asked).map(|id| (Kind::Operated.number(), id)).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn more_requests_than_may_be_under_way_are_all_answered_though_nothing_more_comes() {
    let node = node(Limits::default()).await;
    let mut speaks = Speaks::to(&node).await;
    // They fit into one read, and each needs the records, which may answer at once.
    let get = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x03key\x90\x4e\x00\x00\x00");
    let n_asked = 500;
    speaks.send(&(1..=n_asked).flat_map(get).collect::<Vec<u8>>()).await;
    let mut all = Vec::new();
    for _ in 0..n_asked {
        all.push(speaks.hear().await.map(|(_, id, _)| id).unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=n_asked).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_not_known_is_refused_by_its_number_and_the_connection_goes_on() {
    let node = node(Limits::default()).await;
    let mut speaks = Speaks::to(&node).await;
    let frames = [
        frame(99, 1, b"of tomorrow"),
        frame(120, 0, b"of tomorrow"),
        frame(Kind::Ping.number(), 2, b"\x64\0\0"),
        frame(Kind::Records.number(), 3, b"\0\x01\x7f"),
        frame(Kind::Ping.number(), 4, b"\x65\x01x\0"),
    ];
    speaks.send(&frames.concat()).await;
    let sentence = speaks.is_refused(1, Code::UnknownCommand).await;
    assert!(sentence.contains("99"), "{sentence}");
    let sentence = speaks.is_refused(2, Code::Malformed).await;
    assert!(sentence.contains("100"), "{sentence}");
    let sentence = speaks.is_refused(3, Code::Malformed).await;
    assert!(sentence.contains("127"), "{sentence}");
    assert_eq!(speaks.hear().await, Some((PONG, 4, b"\0\x01".to_vec())));
}

#[tokio::test]
async fn half_a_frame_is_waited_for_no_longer_than_the_limit_however_it_trickles() {
    let body_read = Duration::from_millis(400);
    let node = node(Limits { body_read, ..Limits::default() }).await;
    let whole = frame(Kind::Ping.number(), 2, &[b"\x65\x40".as_slice(), &[0; 65]].concat());
    for pause in [Duration::from_secs(60), Duration::from_millis(20)] {
        let mut speaks = Speaks::to(&node).await;
        speaks.send(&ping(1)).await;
        assert!(speaks.hear().await.is_some());
        let (mut reader, mut writer) = speaks.stream.into_split();
        let trickles = async {
            for byte in &whole {
                let _ = writer.write_all(&[*byte]).await;
                tokio::time::sleep(pause).await;
            }
            std::future::pending::<()>().await;
        };
        let started = Instant::now();
        let mut rest = Vec::new();
        tokio::select! {
            () = trickles => {}
            read = tokio::time::timeout(DEADLINE, reader.read_to_end(&mut rest)) => drop(read.expect("in time")),
        }
        assert!(started.elapsed() >= body_read);
        assert_eq!(rest, frame(FAREWELL, 1, b""));
    }
    is_well(&node).await;
}

#[tokio::test]
async fn whoever_reads_no_answers_is_not_listened_to_and_let_go() {
    let node = node(Limits { answer_write: Duration::from_millis(500), ..Limits::default() }).await;
    node.put(b"key", &vec![b'v'; 100_000]).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    let mut speaks = Speaks::on(stream);
    speaks.send(&hello(VERSIONS)).await;
    assert!(speaks.hear().await.is_some());
    // Far more than all buffers between the two hold.
    let get = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x03key\x90\x4e\x00\x00\x00");
    let floods = async {
        for id in 1..=1_000_000 {
            if speaks.stream.write_all(&get(id)).await.is_err() {
                return id;
            }
        }
        1_000_000
    };
    let n_taken = tokio::time::timeout(DEADLINE, floods).await.expect("closed in time");
    assert!(n_taken < 1_000_000, "the node read {n_taken} requests whose answers nobody read");
    is_well(&node).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_or_finds_no_room_is_refused_and_the_connection_goes_on() {
    let limits = Limits { value_bytes: 100_000, bodies_bytes: 300_000, ..Limits::default() };
    let node = node(limits).await;
    let mut speaks = Speaks::to(&node).await;
    let mut outbox = Outbox::default();
    outbox.put(Kind::Operate, 1, |to| to.resize(to.len() + 700_000, 0));
    outbox.put(Kind::Operate, 2, |to| to.resize(to.len() + 400_000, 0));
    outbox.put(Kind::Ping, 3, |to| to.push(0));
    loop {
        let _ = outbox.cut();
        let unsent = outbox.unsent().to_vec();
        if unsent.is_empty() {
            break;
        }
        outbox.sent(unsent.len());
        speaks.send(&unsent).await;
    }
    let mut came = Vec::new();
    for _ in 0..3 {
        let (kind, id, content) = speaks.hear().await.unwrap();
        came.push((id, kind, String::from_utf8_lossy(&content).into_owned()));
    }
    came.sort();
    assert!(came[0].1 == REFUSED && came[0].2.contains("too-large"), "{came:?}");
    assert!(came[1].1 == REFUSED && came[1].2.contains("busy"), "{came:?}");
    assert_eq!((came[2].0, came[2].1), (3, PONG));
}

#[tokio::test]
async fn answers_that_nobody_reads_take_their_part_of_the_budget_and_reads_beyond_it_are_refused() {
    // Whoever reads nothing is listened to until 256 KiB wait for it.
    let node = node(Limits { bodies_bytes: 400_000, ..Limits::default() }).await;
    node.put(b"key", &vec![b'v'; 100_000]).await.unwrap();
    node.put(b"lang", &vec![b'v'; 300_000]).await.unwrap();
    let get = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x03key\x90\x4e\x00\x00\x00");
    let get_long = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x04lang\x90\x4e\x00\x00\x00");
    let (mut reads_nothing, mut other) = (Speaks::to(&node).await, Speaks::to(&node).await);
    let mut n_asked = 0;
    let refused = async {
        loop {
            n_asked += 1;
            reads_nothing.send(&get(n_asked)).await;
            other.send(&get_long(n_asked)).await;
            if let Some((REFUSED, _, content)) = other.hear().await {
                return String::from_utf8_lossy(&content).into_owned();
            }
        }
    };
    let refused = tokio::time::timeout(DEADLINE, refused).await.expect("the budget is spent in time");
    assert!(refused.contains("busy") && refused.contains("have not read yet"), "{refused}");
    for _ in 0..n_asked {
        assert!(reads_nothing.hear().await.is_some(), "all are answered");
    }
    other.send(&get_long(n_asked + 1)).await;
    assert_eq!(other.hear().await.map(|(kind, ..)| kind), Some(Kind::Operated.number()), "all was read");
}

#[tokio::test]
async fn a_long_message_has_its_time_though_the_node_reads_nothing_for_a_while() {
    let body_read = Duration::from_millis(500);
    let node = node(Limits { body_read, ..Limits::default() }).await;
    node.put(b"key", &vec![b'v'; 100_000]).await.unwrap();
    let get = |id| frame(Kind::Operate.number(), id, b"\0\x01\x10\x03key\x90\x4e\x00\x00\x00");
    let mut speaks = Speaks::to(&node).await;
    let mut long = Outbox::default();
    long.put_kind(99, 1, |to| to.resize(to.len() + 100_000, 0));
    let _ = long.cut();
    let first = long.unsent().to_vec();
    long.sent(first.len());
    let _ = long.cut();
    // The answers are far more than all buffers between the two hold, and the node reads no more until some are read.
    let n_asked = 128;
    speaks.send(&[first, (2..n_asked + 2).flat_map(get).collect()].concat()).await;
    tokio::time::sleep(3 * body_read).await;
    speaks.send(long.unsent()).await;
    let mut kinds = Vec::new();
    for _ in 0..=n_asked {
        let (kind, id, _) = speaks.hear().await.expect("an answer");
        assert_ne!(kind, FAREWELL, "of {id}");
        kinds.push((id, kind));
    }
    kinds.sort_unstable();
    assert_eq!(kinds[0], (1, REFUSED), "nobody knows such a kind");
    assert!(kinds[1..].iter().all(|(_, kind)| *kind == Kind::Operated.number()));
}

#[tokio::test]
async fn a_node_that_stops_says_which_requests_it_has_taken() {
    let node = node(Limits::default()).await;
    let mut speaks = Speaks::to(&node).await;
    speaks.send(&ping(7)).await;
    assert_eq!(speaks.hear().await.map(|(kind, id, _)| (kind, id)), Some((PONG, 7)));
    let stopping = tokio::spawn(async move { node.shutdown().await });
    assert_eq!(speaks.hear().await, Some((FAREWELL, 7, Vec::new())));
    speaks.send(&ping(8)).await;
    assert_eq!(speaks.hear().await, None, "nothing is taken after a farewell");
    drop(speaks);
    stopping.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_of_frames_makes_room_and_a_newcomer_without_room_is_declined() {
    let node = node(Limits { connections: 1, ..Limits::default() }).await;
    let mut idle = Speaks::to(&node).await;
    is_well(&node).await;
    assert_eq!(idle.hear_all().await, [(FAREWELL, 0)]);
    let busy = busy_connection(&node).await;
    let mut newcomer = Speaks::on(connect(&node).await);
    newcomer.send(&hello(VERSIONS)).await;
    let (kind, _, content) = newcomer.hear().await.unwrap();
    assert_eq!(kind, Kind::Declined.number());
    assert_eq!(Declined::read(&content).unwrap().code, Some(Code::Busy));
    drop(busy);
}

#[tokio::test]
async fn what_a_client_and_a_node_of_another_ring_may_not_ask_is_refused() {
    let node = node(Limits::default()).await;
    let ring = RingTag { name: "other".parse().unwrap(), size: chord_ring::RingSize::DEFAULT };
    let client = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: None };
    let foreign = Hello { name: Some("127.0.0.1:1".parse().unwrap()), ring: Some(ring), ..client.clone() };
    for (hello, state, vouch) in
        [(client, None, Some(Code::BadRequest)), (foreign, Some(Code::ForeignRing), Some(Code::ForeignRing))]
    {
        let mut speaks = Speaks::on(connect(&node).await);
        let mut outbox = Outbox::default();
        outbox.open();
        outbox.put(Kind::Hello, 0, |to| hello.write(to));
        let asked = Asked { request: Request::Ring(RingRequest::GetState), remaining: None };
        outbox.put(Kind::Ping, 1, |to| to.push(0));
        outbox.put(Kind::GetState, 2, |to| asked.write(to));
        speaks.send(outbox.unsent()).await;
        assert_eq!(speaks.hear().await.map(|(kind, ..)| kind), Some(Kind::Welcome.number()));
        assert_eq!(speaks.hear().await.map(|(kind, id, _)| (kind, id)), Some((PONG, 1)), "for any ring");
        match state {
            Some(code) => drop(speaks.is_refused(2, code).await),
            None => assert_eq!(speaks.hear().await.map(|(kind, ..)| kind), Some(Kind::State.number())),
        }
        speaks.send(&frame(Kind::Records.number(), 3, b"\0\x01\x01")).await;
        if let Some(code) = vouch {
            speaks.is_refused(3, code).await;
            // Named as the owner.
            speaks
                .send(&frame(Kind::Operate.number(), 4, b"\x02\0\0\x01\x10\x03key\x90\x4e\x00\x00\x00"))
                .await;
            speaks.is_refused(4, code).await;
        }
    }
}
