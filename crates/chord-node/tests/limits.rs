//! Each limit of a node: kept at the limit, refused with a sentence just above it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use chord_ring::{NodeName, RingSize, between};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const DEADLINE: Duration = Duration::from_secs(10);

async fn node(limits: Limits) -> Node {
    Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap()
}

async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.name().as_str()).await.unwrap()
}

/// Sends `bytes` and reads until the node closes the connection.
async fn exchange(node: &Node, bytes: &[u8]) -> String {
    let mut stream = connect(node).await;
    // The node may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut chunk)).await.expect("an end in time");
        match read {
            Ok(0) | Err(_) => return String::from_utf8(answer).unwrap(),
            Ok(n_bytes) => answer.extend_from_slice(&chunk[..n_bytes]),
        }
    }
}

fn post(command: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /{command} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn put(node: &Node, key: &str, value: &str) -> String {
    exchange(node, &post("put", &format!(r#"{{"key": "{key}", "value": "{value}"}}"#))).await
}

/// The status of an answer, and its sentence if it is an error.
fn outcome(answer: &str) -> (u16, &str) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let sentence =
        answer.split_once(r#"{"error": ""#).and_then(|(_, rest)| rest.strip_suffix(r#""}"#)).unwrap_or("");
    (status, sentence)
}

#[tokio::test]
async fn a_value_at_the_limit_is_stored_and_one_byte_more_is_refused() {
    let node = node(Limits { value_bytes: 1000, ..Limits::default() }).await;
    assert_eq!(outcome(&put(&node, "key", &"v".repeat(1000)).await).0, 200);
    let answer = put(&node, "key", &"v".repeat(1001)).await;
    let (status, sentence) = outcome(&answer);
    assert_eq!(status, 413);
    assert!(sentence.contains("1000"), "{sentence}");
}

#[tokio::test]
async fn a_key_at_the_limit_is_stored_and_one_byte_more_is_refused() {
    let node = node(Limits::default()).await;
    assert_eq!(outcome(&put(&node, &"k".repeat(4096), "v").await).0, 200);
    let answer = put(&node, &"k".repeat(4097), "v").await;
    let (status, sentence) = outcome(&answer);
    assert_eq!(status, 413);
    assert!(sentence.contains("4096"), "{sentence}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let limits = Limits { value_bytes: 1000, ..Limits::default() };
    let too_large = limits.body_bytes() + 1;
    let node = node(limits).await;
    let (status, sentence) = {
        let answer = exchange(&node, &post("put", &" ".repeat(too_large))).await;
        (outcome(&answer).0, outcome(&answer).1.to_owned())
    };
    assert_eq!(status, 413, "{sentence}");
    let mut chunked = b"POST /put HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..=too_large / 4096 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 4096]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answer = exchange(&node, &chunked).await;
    assert_eq!(outcome(&answer).0, 413, "{answer}");
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_still_reads() {
    let node = node(Limits { store_bytes: 10_000, ..Limits::default() }).await;
    assert_eq!(outcome(&put(&node, "small", "value").await).0, 200);
    let answer = put(&node, "large", &"v".repeat(20_000)).await;
    assert_eq!(outcome(&answer).0, 507, "{answer}");
    assert_eq!(node.get(b"small").await.unwrap().value.unwrap().as_bytes(), b"value");
}

#[tokio::test]
async fn bodies_under_way_share_one_budget_and_give_it_back() {
    let node = node(Limits { bodies_bytes: 100 << 10, ..Limits::default() }).await;
    let body = format!(r#"{{"key": "key", "value": "{}"}}"#, "v".repeat(60 << 10));
    let whole = post("put", &body);
    let (first_half, rest) = whole.split_at(whole.len() / 2);
    let mut slow = connect(&node).await;
    slow.write_all(first_half).await.unwrap();
    let refused = async {
        loop {
            let answer = exchange(&node, &whole).await;
            if outcome(&answer).0 == 503 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(DEADLINE, refused).await.expect("the second body is one too many");
    assert!(outcome(&answer).1.contains("bytes"), "{answer}");
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200, "small bodies need no budget");
    slow.write_all(rest).await.unwrap();
    assert_eq!(outcome(&read_to_end(&mut slow).await).0, 200);
    assert_eq!(outcome(&exchange(&node, &whole).await).0, 200);
}

#[tokio::test]
async fn web_pages_of_other_sites_are_refused_whatever_they_ask_for() {
    let node = node(Limits::default()).await;
    let ask = async |path: &str, header: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        exchange(&node, format!("{head}content-length: 2\r\n\r\n{{}}").as_bytes()).await
    };
    let other_port = format!("origin: http://{}0", node.name());
    let foreign =
        ["origin: http://example.com", "Origin: null", "origin:", &other_port, "Sec-Fetch-Site: cross-site"];
    for header in foreign {
        for path in ["/node", "/shutdown", "/put", "/RPC2", "/"] {
            let answer = ask(path, header).await;
            assert_eq!(refusal(&answer), 403, "{header}: {answer}");
            assert!(!answer.contains("example"), "nothing of the request comes back: {answer}");
        }
    }
    let own = format!("origin: http://{}", node.name());
    for header in [own.as_str(), "sec-fetch-site: same-origin", "sec-fetch-site: none", "accept: */*"] {
        assert_eq!(outcome(&ask("/node", header).await).0, 200, "{header}");
    }
}

/// An answer to what is no request: whole, in JSON, with its length, and the last on its connection. Returns the status.
fn refusal(answer: &str) -> u16 {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {answer:?}"));
    let has = |header: &str| head.lines().any(|line| line.eq_ignore_ascii_case(header));
    for header in ["content-type: application/json", "connection: close"] {
        assert!(has(header), "{header} in {answer:?}");
    }
    assert!(has(&format!("content-length: {}", body.len())), "{answer:?}");
    assert!(head.starts_with("HTTP/1.1 ") && head.matches("HTTP/").count() == 1, "{answer:?}");
    let (status, sentence) = outcome(answer);
    assert!(!sentence.is_empty(), "{answer:?}");
    status
}

#[tokio::test]
async fn headers_above_the_limit_are_refused() {
    let node = node(Limits { header_bytes: 8 << 10, headers: 10, ..Limits::default() }).await;
    let long = format!("POST /node HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "h".repeat(9 << 10));
    let answer = exchange(&node, long.as_bytes()).await;
    assert_eq!(refusal(&answer), 431);
    assert!(outcome(&answer).1.contains("8192"), "{answer}");
    let many = format!("POST /node HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11));
    let answer = exchange(&node, many.as_bytes()).await;
    assert_eq!(refusal(&answer), 431);
    assert!(outcome(&answer).1.contains("10 headers"), "{answer}");
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused_in_json_like_everything_else() {
    let node = node(Limits::default()).await;
    let path = format!("POST /{} HTTP/1.1\r\n\r\n", "p".repeat(70_000));
    let cases: [(&[u8], u16); 8] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03mark\r\n\r\n", 400),
        (b"POST /node HTTP/9.9\r\nhost: mark\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 400),
        (b"POST /node HTTP/1.1\r\nmark\r\n\r\n", 400),
        (b"POST /node HTTP/1.1\r\ncontent-length: mark\r\n\r\n{}", 400),
        (b"POST /node HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400),
        (b"POST /node HTTP/1.1\r\ntransfer-encoding: mark\r\n\r\n{}", 400),
        (path.as_bytes(), 431),
    ];
    for (bytes, status) in cases {
        let answer = exchange(&node, bytes).await;
        assert_eq!(refusal(&answer), status, "{answer}");
        assert!(!answer.contains("mark"), "nothing of the request comes back: {answer}");
    }
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200);
}

#[tokio::test]
async fn what_follows_good_requests_is_refused_after_their_answers() {
    let node = node(Limits::default()).await;
    let value = "v".repeat(900 << 10);
    assert_eq!(outcome(&put(&node, "key", &value).await).0, 200);
    let get = b"POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: 14\r\n\r\n{\"key\": \"key\"}";
    let mut bytes = get.repeat(16);
    bytes.extend_from_slice(b"mark\r\n\r\n");
    let mut stream = connect(&node).await;
    stream.write_all(&bytes).await.unwrap();
    // Not all that is asked for fits between the two: answers wait at the node until this client reads.
    let all = read_to_end(&mut stream).await;
    let mut rest = all.as_str();
    for idx in 0..16 {
        assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "answer {idx}: {}", &rest[..rest.len().min(200)]);
        let (head, others) = rest.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let (body, others) = others.split_at(length.parse().unwrap());
        assert!(body.ends_with('}') && body.contains(&value), "answer {idx} is whole");
        rest = others;
    }
    assert_eq!(refusal(rest), 400);
}

#[tokio::test]
async fn a_refusal_arrives_although_the_client_sends_on() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        // More than the buffers between the two hold: closed without reading, it would end the connection by a reset.
        let mut left = 8 << 20;
        let chunk = vec![b'x'; 64 << 10];
        writer.write_all(b"POST /mark HTTP/9.9\r\n\r\n").await?;
        while left > 0 {
            left -= writer.write(&chunk[..left.min(chunk.len())]).await?;
        }
        writer.shutdown().await
    };
    let mut answer = String::new();
    let (sent, read) = tokio::join!(sending, reader.read_to_string(&mut answer));
    assert!(sent.is_ok() && read.is_ok(), "{sent:?} {read:?}");
    assert_eq!(refusal(&answer), 400);
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_closed_at_the_deadline_and_half_a_header_is_answered() {
    let node = node(Limits { header_read: Duration::from_millis(300), ..Limits::default() }).await;
    let whole = b"POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let mut used = connect(&node).await;
    used.write_all(whole).await.unwrap();
    for half in ["", "POST /no", "POST /node HTTP/1.1\r\nhost:"] {
        let started = Instant::now();
        let answer = exchange(&node, half.as_bytes()).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(3), "closed after {took:?}");
        if half.is_empty() {
            assert_eq!(answer, "", "nobody asked");
        } else {
            assert_eq!(refusal(&answer), 408);
        }
    }
    let answer = read_to_end(&mut used).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "an idle connection just ends: {answer}");
}

#[tokio::test]
async fn a_client_that_has_said_all_it_wants_to_gets_its_answers() {
    let node = node(Limits::default()).await;
    let ask = b"POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    for n_requests in [1, 3].repeat(20) {
        let mut stream = connect(&node).await;
        stream.write_all(&ask.repeat(n_requests)).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), n_requests, "{answers}");
    }
}

#[tokio::test]
async fn half_a_header_that_ends_is_refused() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    stream.write_all(b"POST /node HTTP/1.1\r\nhost:").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(refusal(&read_to_end(&mut stream).await), 400);
}

#[tokio::test]
async fn a_client_that_sends_half_a_body_is_told_so_at_the_deadline() {
    let node = node(Limits { body_read: Duration::from_millis(300), ..Limits::default() }).await;
    let half = b"POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"key\"";
    let answer = exchange(&node, half).await;
    assert_eq!(outcome(&answer).0, 408, "{answer}");
}

#[tokio::test]
async fn a_client_that_trickles_its_reads_keeps_its_place_no_longer_than_an_answer_may_take() {
    let answer_write = Duration::from_secs(1);
    let node = node(Limits { answer_write, connections: 1, ..Limits::default() }).await;
    node.put(b"key", "v".repeat(900 << 10).as_bytes()).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    // More than the buffers between the two hold.
    let get = b"POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: 14\r\n\r\n{\"key\": \"key\"}";
    slow.write_all(&get.repeat(16)).await.unwrap();
    let mut chunk = [0; 1024];
    slow.read_exact(&mut chunk).await.unwrap();
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 503, "an answer is under way");
    let trickles = async {
        while slow.read(&mut chunk).await.is_ok_and(|n_bytes| n_bytes > 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::future::pending::<()>().await;
    };
    let waits = async {
        while outcome(&exchange(&node, &post("node", "{}")).await).0 == 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = trickles => {}
        freed = tokio::time::timeout(DEADLINE, waits) => freed.expect("another gets the place"),
    }
}

/// Opens a connection and asks once; whoever reads it has seen the answer's first line.
async fn used_connection(node: &Node) -> TcpStream {
    let mut stream = connect(node).await;
    asks_again(&mut stream).await.unwrap();
    stream
}

async fn asks_again(stream: &mut TcpStream) -> std::io::Result<()> {
    let asked = async {
        stream.write_all(b"POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}").await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            answer.push(stream.read_u8().await?);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    };
    tokio::time::timeout(DEADLINE, asked).await.expect("an answer in time")
}

/// A connection on which a request is under way: its body has begun.
async fn busy_connection(node: &Node) -> TcpStream {
    let mut stream = connect(node).await;
    // The node's "100 Continue" says that it has read the head and waits for the body.
    let head = b"POST /node HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut go_on = [0; 25];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{").await.unwrap();
    stream
}

#[tokio::test]
async fn one_request_too_many_at_a_time_is_told_so_and_those_under_way_are_served() {
    let node = node(Limits { connections: 2, ..Limits::default() }).await;
    let mut busy = [busy_connection(&node).await, busy_connection(&node).await];
    let answer = read_to_end(&mut connect(&node).await).await;
    assert_eq!(refusal(&answer), 503);
    assert!(outcome(&answer).1.contains("connections"), "{answer}");
    for stream in &mut busy {
        stream.write_all(b"}").await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200, "an answered one makes room");
}

#[tokio::test]
async fn the_connection_idle_for_longest_makes_room_for_a_newcomer() {
    let limits = Limits { connections: 3, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    let mut first = used_connection(&node).await;
    let mut second = used_connection(&node).await;
    let mut busy = busy_connection(&node).await;
    asks_again(&mut first).await.unwrap();

    let mut newcomer = used_connection(&node).await;
    assert_eq!(read_to_end(&mut second).await, "", "closed without a word");
    asks_again(&mut first).await.unwrap();
    asks_again(&mut newcomer).await.unwrap();
    let mut last = used_connection(&node).await;
    assert_eq!(read_to_end(&mut first).await, "");
    asks_again(&mut newcomer).await.unwrap();
    asks_again(&mut last).await.unwrap();

    busy.write_all(b"}").await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, busy.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "a request under way is none the worse");
}

#[tokio::test]
async fn half_a_head_keeps_no_place_from_a_newcomer() {
    let node = node(Limits { connections: 2, header_read: DEADLINE * 6, ..Limits::default() }).await;
    let mut halves = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&node).await;
        stream.write_all(b"POST /node HTTP/1.1\r\nhost:").await.unwrap();
        halves.push(stream);
    }
    asks_again(&mut used_connection(&node).await).await.unwrap();
}

#[tokio::test]
async fn a_ring_lives_on_while_somebody_parks_connections() {
    let limits = || Limits { connections: 12, header_read: DEADLINE * 6, ..Limits::default() };
    let first = node(limits()).await;
    let parked = async {
        let mut open = std::collections::VecDeque::new();
        loop {
            open.push_back(connect(&first).await);
            if open.len() > 100 {
                open.pop_front();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let lives = async {
        let joiner = Node::builder().listen("127.0.0.1:0").limits(limits()).join(first.name().clone());
        let second = joiner.start().await.unwrap();
        second.ready().await.unwrap();
        for idx in 0..100 {
            let key = format!("key{idx}");
            second.put(key.as_bytes(), b"value").await.unwrap();
            assert_eq!(outcome(&exchange(&first, &post("node", "{}")).await).0, 200, "a health check");
            assert!(second.get(key.as_bytes()).await.unwrap().value.is_some());
        }
        for (node, other) in [(&first, &second), (&second, &first)] {
            assert_eq!(node.view().successors().head().map(|peer| &peer.name), Some(other.name()));
        }
    };
    tokio::select! {
        () = parked => {}
        ended = tokio::time::timeout(DEADLINE, lives) => ended.expect("in time"),
    }
}

/// How the fake peer treats a command.
#[derive(Clone, Copy)]
enum Manner {
    Answers,
    AnswersAfter(Duration),
    Never,
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

fn silent_to_put(command: &str) -> Manner {
    if command == "put" { Manner::Never } else { Manner::Answers }
}

#[tokio::test]
async fn an_operation_ends_within_its_limit_although_the_owner_lives_and_does_not_answer() {
    let peer = FakePeer::start(silent_to_put).await;
    let limit = Duration::from_millis(700);
    let node = beside(&peer, Limits { operation: limit, ..Limits::default() }).await;
    let key = keys_of(&peer, &node).next().unwrap();
    let started = Instant::now();
    let error = node.put(key.as_bytes(), b"value").await.unwrap_err();
    let took = started.elapsed();
    assert!(took >= limit / 2 && took < limit + Duration::from_millis(300), "{took:?}: {error}");
    assert!(error.may_have_happened(), "{error}");
    let started = Instant::now();
    assert_eq!(outcome(&put(&node, &key, "value").await).0, 504);
    let took = started.elapsed();
    assert!(took < limit + Duration::from_millis(300), "{took:?}");
}

#[tokio::test]
async fn a_node_waits_for_another_no_longer_than_the_limit() {
    let peer = FakePeer::start(|_| Manner::Never).await;
    // Shorter than the wait for a peer that was never measured.
    let limit = Duration::from_millis(150);
    let limits = Limits { request: limit, ..Limits::default() };
    let node = Node::builder().listen("127.0.0.1:0").limits(limits).wait_for_command().start().await.unwrap();
    node.join(peer.name.clone()).await.unwrap_err();
    wait_until("the end of the request", || !peer.seen.given_up.lock().unwrap().is_empty()).await;
    for waited in &*peer.seen.given_up.lock().unwrap() {
        assert!(*waited >= limit / 2 && *waited < 2 * limit, "given up after {waited:?}");
    }
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
    for idx in 0..n_keys {
        node.put(format!("key{idx}").as_bytes(), b"value").await.unwrap();
    }
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
    let node = holder_beside(&peer, 5, Limits { departure: limit, ..Limits::default() }).await;
    let started = Instant::now();
    let departure = tokio::time::timeout(DEADLINE, node.shutdown()).await.unwrap();
    let took = started.elapsed();
    assert_eq!((departure.handed_over, departure.left_behind), (0, 5));
    assert!(!departure.ended_ring, "the successor lives on without them");
    assert!(took < limit + Duration::from_millis(500), "it took {took:?}");
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
async fn the_last_node_of_a_ring_says_that_its_records_end_with_the_ring() {
    let node = node(Limits::default()).await;
    node.put(b"key", b"value").await.unwrap();
    let departure = tokio::time::timeout(DEADLINE, node.shutdown()).await.unwrap();
    assert_eq!((departure.handed_over, departure.left_behind, departure.ended_ring), (0, 1, true));
    assert_eq!(node.shutdown().await, departure, "whoever asks again hears the same");
}
