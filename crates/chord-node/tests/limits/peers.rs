//! What a node waits for and keeps open while it asks other nodes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use chord_ring::{NodeName, RingSize, between};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// How the fake peer treats a command.
#[derive(Clone, Copy)]
enum Manner {
    Answers,
    AnswersAfter(Duration),
    Never,
    /// Says that the key is not there.
    Absent,
    /// Keeps to HTTP, and to nothing else.
    Nonsense,
}

/// What a peer has seen so far.
#[derive(Default)]
struct Seen {
    open: AtomicUsize,
    open_max: AtomicUsize,
    /// Requests that the peer takes its time for.
    slow: AtomicUsize,
    slow_max: AtomicUsize,
    /// Questions for a key that is not there.
    absent: AtomicUsize,
    /// Requests that were never answered, so far.
    unanswered: AtomicUsize,
    /// How long each request went unanswered until the node closed the connection.
    given_up: Mutex<Vec<Duration>>,
}

/// A peer that speaks the seed's language, and is slow or silent where a test wants it to be. It owns every key.
#[derive(Clone)]
struct FakePeer {
    name: NodeName,
    manner: fn(&str) -> Manner,
    seen: Arc<Seen>,
}

impl FakePeer {
    async fn start(manner: fn(&str) -> Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string().parse().unwrap();
        let peer = Self { name, manner, seen: Arc::default() };
        let accepting = peer.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let peer = accepting.clone();
                tokio::spawn(async move {
                    let open = peer.seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                    peer.seen.open_max.fetch_max(open, Ordering::SeqCst);
                    let _ = peer.serve(BufReader::new(stream)).await;
                    peer.seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        peer
    }

    async fn serve(&self, mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
        while let Some(command) = read_request(&mut stream).await? {
            let mut body = self.answer(&command);
            match (self.manner)(&command) {
                Manner::Answers => {}
                Manner::Absent => {
                    self.seen.absent.fetch_add(1, Ordering::SeqCst);
                    body = format!(r#"{{"storage_node": "{}", "hops": 0, "value": null}}"#, self.name);
                }
                Manner::Nonsense => "{}".clone_into(&mut body),
                Manner::AnswersAfter(pause) => {
                    let slow = self.seen.slow.fetch_add(1, Ordering::SeqCst) + 1;
                    self.seen.slow_max.fetch_max(slow, Ordering::SeqCst);
                    tokio::time::sleep(pause).await;
                    self.seen.slow.fetch_sub(1, Ordering::SeqCst);
                }
                Manner::Never => {
                    self.seen.unanswered.fetch_add(1, Ordering::SeqCst);
                    let asked = Instant::now();
                    let _ = stream.read(&mut [0]).await;
                    self.seen.given_up.lock().unwrap().push(asked.elapsed());
                    return Ok(());
                }
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    fn answer(&self, command: &str) -> String {
        let name = &self.name;
        match command {
            "node" => format!(r#"{{"node": "{name}", "is_alive": true}}"#),
            "find_successor" => format!(r#"{{"node": "{name}", "hops": 0}}"#),
            "get_predecessor" => r#"{"node": null}"#.to_owned(),
            "get_successor_list" => {
                let list = vec![format!("\"{name}\""); 160].join(", ");
                format!(r#"{{"successor_list": [{list}]}}"#)
            }
            "get" => format!(r#"{{"storage_node": "{name}", "hops": 0, "value": "value"}}"#),
            "put" => format!(r#"{{"storage_node": "{name}", "hops": 0}}"#),
            _ => "{}".to_owned(),
        }
    }

    fn n_open(&self) -> usize {
        self.seen.open.load(Ordering::SeqCst)
    }
}

/// The command of the next request; none if the connection was closed.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let (mut line, mut command, mut length) = (String::new(), None, 0);
    while stream.read_line(&mut line).await? > 0 {
        if let Some(rest) = line.strip_prefix("POST /") {
            command = rest.split(' ').next().map(str::to_owned);
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if line == "\r\n" {
            stream.read_exact(&mut vec![0; length]).await?;
            return Ok(command);
        }
        line.clear();
    }
    Ok(None)
}

/// A member whose only neighbour is the fake peer.
async fn beside(peer: &FakePeer, limits: Limits) -> Node {
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    node.join(peer.name.clone()).await.unwrap();
    node
}

/// Keys that lie between the node and the peer, so that the peer owns them.
fn keys_of(peer: &FakePeer, node: &Node) -> impl Iterator<Item = String> {
    let position = |text: &str| RingSize::DEFAULT.position_of(text.as_bytes());
    let (from, to) = (position(node.name().as_str()), position(peer.name.as_str()));
    (0..).map(|idx| format!("key{idx}")).filter(move |key| between(from, position(key), to))
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "{what}: not within {DEADLINE:?}");
}

/// Takes no records, and has none.
fn silent_to_put(command: &str) -> Manner {
    match command {
        "put" => Manner::Never,
        "get" => Manner::Absent,
        _ => Manner::Answers,
    }
}

/// How often something is done whose time is limited, at most. A machine that does much else may make it longer once; a limit
/// that does not hold makes it longer each time.
const TRIES: usize = 5;

/// Does something until it takes less than that, and fails if it never does.
async fn takes_less_than(longest: Duration, attempt: impl AsyncFn()) {
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let started = Instant::now();
        attempt().await;
        took.push(started.elapsed());
        if started.elapsed() < longest {
            return;
        }
    }
    panic!("it took {took:?}, and never less than {longest:?}");
}

#[tokio::test]
async fn an_operation_ends_within_its_limit_although_the_owner_lives_and_does_not_answer() {
    let peer = FakePeer::start(silent_to_put).await;
    let limit = Duration::from_millis(700);
    let node = beside(&peer, Limits { operation: limit, ..Limits::default() }).await;
    let key = keys_of(&peer, &node).next().unwrap();
    let longest = limit + Duration::from_millis(300);
    takes_less_than(longest, async || {
        let started = Instant::now();
        let error = node.put(key.as_bytes(), b"value").await.unwrap_err();
        assert!(started.elapsed() >= limit / 2, "{:?}: {error}", started.elapsed());
        assert!(error.may_have_happened(), "{error}");
    })
    .await;
    takes_less_than(longest, async || assert_eq!(outcome(&put(&node, &key, "value").await).0, 504)).await;
}

#[tokio::test]
async fn a_node_waits_for_another_no_longer_than_the_limit() {
    let peer = FakePeer::start(|_| Manner::Never).await;
    // Shorter than the wait for a peer that was never measured.
    let limit = Duration::from_millis(150);
    let limits = Limits { request: limit, ..Limits::default() };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    let n_given_up = || peer.seen.given_up.lock().unwrap().len();
    for tries in 1..=TRIES {
        node.join(peer.name.clone()).await.unwrap_err();
        wait_until("the end of the request", || n_given_up() >= tries).await;
    }
    let waited = peer.seen.given_up.lock().unwrap().clone();
    // A machine that does much else may keep the peer from seeing when a request came, or when it was given up, but not each.
    assert!(waited.iter().any(|waited| *waited >= limit / 2), "given up after {waited:?}");
    assert!(waited.iter().any(|waited| *waited < 2 * limit), "given up after {waited:?}");
}

#[tokio::test]
async fn no_more_connections_than_the_limit_go_to_one_peer() {
    let peer = FakePeer::start(|command| match command {
        "get" => Manner::AnswersAfter(Duration::from_millis(100)),
        _ => Manner::Answers,
    })
    .await;
    let node = beside(&peer, Limits { link_connections: 2, ..Limits::default() }).await;
    let mut gets = tokio::task::JoinSet::new();
    for key in keys_of(&peer, &node).take(8) {
        let node = node.clone();
        gets.spawn(async move { node.get(key.as_bytes()).await });
    }
    for got in gets.join_all().await {
        assert_eq!(got.unwrap().value.unwrap().as_bytes(), b"value");
    }
    assert_eq!(peer.seen.slow_max.load(Ordering::SeqCst), 2, "requests of clients at a time");
    let open_max = peer.seen.open_max.load(Ordering::SeqCst);
    assert!(open_max <= 2 + 8, "{open_max} connections: the limit, and eight for maintenance");
}

#[tokio::test]
async fn connections_are_kept_to_no_more_peers_than_the_limit() {
    let limits = Limits { links: 2, ..Limits::default() };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    let mut peers = Vec::new();
    for n_peers in 1..=3 {
        let peer = FakePeer::start(|_| Manner::Nonsense).await;
        node.join(peer.name.clone()).await.unwrap_err();
        assert_eq!(peer.n_open(), 1, "the connection is kept");
        peers.push(peer);
        let n_open = || peers.iter().map(FakePeer::n_open).sum::<usize>();
        wait_until("the oldest connection is closed", || n_open() == n_peers.min(2)).await;
    }
    assert_eq!(peers[0].n_open(), 0, "the one unused for longest makes room");
}

/// A node that was alone when it took so many keys, and has the peer for its only neighbour now.
async fn holder_beside(peer: &FakePeer, n_keys: usize, limits: Limits) -> Node {
    let node = node(limits).await;
    for key in keys_of(peer, &node).take(n_keys) {
        node.put(key.as_bytes(), b"value").await.unwrap();
    }
    get_successor(node, peer).await
}

/// The node, which was alone and has the peer for its only neighbour now.
async fn get_successor(node: Node, peer: &FakePeer) -> Node {
    let body = format!(r#"{{"remote_node": "{}"}}"#, peer.name);
    assert_eq!(outcome(&exchange(&node, &post("notify", &body)).await).0, 200);
    let has_successor = || node.view().successors().head().is_some_and(|head| head.name == peer.name);
    wait_until("a successor", has_successor).await;
    node
}

#[tokio::test]
async fn a_departure_ends_within_its_limit_although_the_successor_takes_no_records() {
    let peer = FakePeer::start(silent_to_put).await;
    let limit = Duration::from_millis(500);
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let node = holder_beside(&peer, 5, Limits { departure: limit, ..Limits::default() }).await;
        let started = Instant::now();
        let departure = tokio::time::timeout(DEADLINE, node.shutdown()).await.unwrap();
        took.push(started.elapsed());
        assert_eq!((departure.handed_over, departure.left_behind), (0, 5));
        assert!(!departure.ended_ring, "the successor lives on without them");
        if started.elapsed() < limit + Duration::from_millis(500) {
            return;
        }
    }
    panic!("it took {took:?}");
}

#[tokio::test]
async fn a_node_that_has_stopped_sends_nothing_more() {
    let peer =
        FakePeer::start(|command| if command == "get" { Manner::Never } else { Manner::Answers }).await;
    // Shorter than a question whether it has a record, which is long under way when the departure ends.
    let (request, departure) = (Duration::from_millis(300), Duration::from_millis(350));
    let node = holder_beside(&peer, 200, Limits { request, departure, ..Limits::default() }).await;
    let n_asked = || peer.seen.unanswered.load(Ordering::SeqCst);
    wait_until("records that are on their way to their owner", || n_asked() > 0).await;
    node.shutdown().await;
    let asked = n_asked();
    let n_given_up = || peer.seen.given_up.lock().unwrap().len();
    wait_until("the end of what was under way", || n_given_up() == n_asked()).await;
    assert_eq!(n_asked(), asked, "asked at all, when it stopped and now");
}

#[tokio::test]
async fn what_is_no_text_is_offered_once_to_a_peer_that_knows_only_text() {
    let peer =
        FakePeer::start(|command| if command == "get" { Manner::Absent } else { Manner::Answers }).await;
    let limits = Limits { departure: Duration::from_millis(500), ..Limits::default() };
    let node = node(limits).await;
    let key = keys_of(&peer, &node).next().unwrap();
    node.put(key.as_bytes(), b"\xff\xfe").await.unwrap();
    let node = get_successor(node, &peer).await;
    let n_asked = || peer.seen.absent.load(Ordering::SeqCst);
    wait_until("the record is on its way to its owner", || n_asked() > 0).await;
    // One that leaves offers everything, again and again.
    let departure = node.shutdown().await;
    assert_eq!((n_asked(), departure.left_behind), (1, 1));
}

#[tokio::test]
async fn the_last_node_of_a_ring_says_that_its_records_end_with_the_ring() {
    let node = node(Limits::default()).await;
    node.put(b"key", b"value").await.unwrap();
    let departure = tokio::time::timeout(DEADLINE, node.shutdown()).await.unwrap();
    assert_eq!((departure.handed_over, departure.left_behind, departure.ended_ring), (0, 1, true));
    assert_eq!(node.shutdown().await, departure, "whoever asks again hears the same");
}
