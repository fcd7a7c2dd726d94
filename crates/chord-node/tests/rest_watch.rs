//! Watching over REST, event by event.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use rest_client::{DEADLINE, ask, node, put, ring};

/// One event: its id, its name and its data.
type Event = (String, String, String);

/// A client that reads events line by line. What begins as no line of an event does is the size of a chunk.
struct Events {
    stream: BufReader<TcpStream>,
}

impl Events {
    async fn open(node: &Node, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { stream: BufReader::new(stream) };
        let head = events.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        events
    }

    /// The same, which has begun to watch.
    async fn watching(node: &Node, path: &str, headers: &str) -> Self {
        let mut events = Self::open(node, path, headers).await;
        assert_eq!(events.next().await.unwrap().1, "watching");
        events
    }

    async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            self.stream.read_line(&mut head).await.unwrap();
        }
        head
    }

    /// The next event; `None` if the stream ended as it should.
    async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(DEADLINE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Event> {
        let (mut event, mut line) = (Event::default(), String::new());
        loop {
            line.clear();
            assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "it ended in the middle");
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.0 = id.to_owned(),
                Some(("event", name)) => event.1 = name.to_owned(),
                Some(("data", data)) => {
                    event.2 = data.to_owned();
                    return Some(event);
                }
                Some(_) => assert_eq!(line, "retry: 1000\n"),
                None if line == "0\r\n" => return None,
                None => {}
            }
        }
    }

    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            names.push(self.next().await.expect("it goes on").1);
        }
        names
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_of_each_change_of_a_key_and_goes_on_where_it_was() {
    let nodes = ring().await;
    let mut events = Events::open(&nodes[0], "/v1/watch/a%2Fb", "").await;
    let first = ("0".to_owned(), "watching".to_owned(), "{}".to_owned());
    assert_eq!(events.next().await.unwrap(), first);
    let tag = put(&nodes[1], "/v1/kv/a/b", "", b"1").await.tag();
    let version = tag.trim_matches('"');
    let (id, name, data) = events.next().await.unwrap();
    assert_eq!((id.as_str(), name.as_str()), (format!("{version}-set").as_str(), "set"));
    assert_eq!(data, format!("{{\"key\":\"a/b\",\"version\":\"{version}\"}}"));
    drop(events);

    let back = format!("last-event-id: {id}\r\n");
    let mut events = Events::open(&nodes[2], "/v1/watch/a/b", &back).await;
    let (again, name, _) = events.next().await.unwrap();
    assert_eq!((&again, name.as_str()), (&id, "watching"));
    let deletion = ask(&nodes[1], "DELETE /v1/kv/a/b").await.tag();
    put(&nodes[0], "/v1/kv/a/b?ttl=100ms", "", b"2").await;
    let (id_of_deletion, name, _) = events.next().await.unwrap();
    assert_eq!(name, "deleted", "nothing was missed");
    assert_eq!(id_of_deletion, format!("{}-deleted", deletion.trim_matches('"')));
    assert_eq!(events.names(2).await, ["set", "expired"]);

    let path = format!("/v1/watch/a/b?last_event_id={id}");
    let mut events = Events::open(&nodes[1], &path, "").await;
    assert_eq!(events.names(3).await, ["watching", "missed", "expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_had_seen_nothing_is_not_told_that_it_has_missed_nothing() {
    let node = node(Limits::default()).await;
    for path in ["/v1/watch/k", "/v1/watch?prefix=k"] {
        let mut events = Events::open(&node, path, "last-event-id: 0\r\n").await;
        assert_eq!(events.names(2).await, ["watching", "missed"], "{path}");
        put(&node, "/v1/kv/k", "", b"1").await;
        assert_eq!(events.names(1).await, ["set"], "{path}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_any_bytes_and_none_are_all_keys() {
    let nodes = ring().await;
    let mut some = Events::watching(&nodes[0], "/v1/watch?prefix=%FF", "").await;
    let mut all = Events::watching(&nodes[0], "/v1/watch", "").await;
    put(&nodes[1], "/v1/kv/%00", "", b"").await;
    put(&nodes[2], "/v1/kv/%FF%00", "", b"").await;
    let (_, name, data) = some.next().await.unwrap();
    assert!(name == "set" && data.starts_with("{\"key_base64\":\"/wA=\","), "{data}");
    assert_eq!(all.names(2).await, ["set", "set"]);
    let long = format!("GET /v1/watch?prefix={}", "a".repeat(4097));
    assert_eq!(ask(&nodes[0], &long).await.problem(), (400, "bad-request"));
    assert_eq!(ask(&nodes[0], "GET /v1/watch/k?prefix=a").await.problem(), (400, "bad-request"));
    assert_eq!(ask(&nodes[0], "PUT /v1/watch/k").await.problem(), (405, "method-not-allowed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_at_its_time_and_the_connection_goes_on() {
    let node = node(Limits::default()).await;
    let mut events = Events::watching(&node, "/v1/watch/k?for=50ms", "").await;
    assert_eq!(events.next().await, None);
    let mut end = [0; 2];
    events.stream.read_exact(&mut end).await.unwrap();
    events.stream.get_mut().write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(events.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_ends_its_watches_in_good_order() {
    let node = node(Limits::default()).await;
    let mut events = Events::watching(&node, "/v1/watch", "").await;
    let leaves = tokio::time::timeout(DEADLINE, node.shutdown());
    let (ended, left) = tokio::join!(events.next(), leaves);
    assert_eq!(ended, None);
    left.expect("the node ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_bounded_and_those_whose_clients_have_gone_make_room() {
    let node = node(Limits { watches: 1, connections: 3, ..Limits::default() }).await;
    let first = Events::watching(&node, "/v1/watch/k", "").await;
    let refused = ask(&node, "GET /v1/watch/k").await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "busy"), Some("1")));
    for _ in 0..5 {
        assert_eq!(ask(&node, "GET /v1/kv/k").await.status, 404, "others make room, who watches does not");
    }
    drop(first);
    let again = async {
        while ask(&node, "GET /v1/watch/k?for=1ms").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, again).await.expect("sooner than something is sent that is in vain");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_watches_and_does_not_read_is_let_go() {
    let limits = Limits { watches: 1, answer_write: Duration::from_millis(300), ..Limits::default() };
    let node = node(limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut idle = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    idle.write_all(b"GET /v1/watch HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let path = format!("/v1/kv/{}", "k".repeat(4096));
    let let_go = async {
        loop {
            for _ in 0..100 {
                put(&node, &path, "", b"").await;
            }
            if ask(&node, "GET /v1/watch?for=1ms").await.status == 200 {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, let_go).await.expect("in time");
    drop(idle);
    node.shutdown().await;
}
