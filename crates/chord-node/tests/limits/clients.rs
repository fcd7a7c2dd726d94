//! What one client may have, and that others have the rest.

use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::*;

/// A connection from another address of this machine than all others.
async fn connect_from_elsewhere(node: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(node.name().as_str().parse().unwrap()).await.unwrap()
}

async fn told_elsewhere(node: &Node, bytes: &[u8]) -> String {
    let mut stream = connect_from_elsewhere(node).await;
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await
}

/// How often each limit on clients refused something: connections, connects, requests, bytes.
async fn refusals(node: &Node) -> [u64; 4] {
    let metrics =
        told_elsewhere(node, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    ["connections", "connects", "requests", "bytes"].map(|limit| {
        let series = format!("chord_client_refusals_total{{limit=\"{limit}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(series.as_str()));
        line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
    })
}

fn set(key: &str, n_bytes: usize) -> Vec<u8> {
    let value = "v".repeat(n_bytes);
    format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${n_bytes}\r\n{value}\r\n", key.len()).into_bytes()
}

#[tokio::test]
async fn one_client_has_no_more_connections_than_the_limit_and_is_told_so_in_its_language() {
    let node = node(Limits { client_connections: 3, ..Limits::default() }).await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        busy.push(busy_connection(&node).await);
    }
    let answer = exchange(&node, b"PING\r\n").await;
    assert!(
        answer.starts_with("-ERR max number of clients reached: ") && answer.contains("client-connections"),
        "{answer}"
    );
    let answer = exchange(&node, &post("node", "{}")).await;
    assert_eq!(refusal(&answer), 503);
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("client-connections"), "{answer}");
    let answer = exchange(&node, b"GET /v1/kv/key HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("application/problem+json"), "{answer}");
    assert_eq!(told_elsewhere(&node, b"PING\r\n").await, "+PONG\r\n", "another address has its own");
    assert_eq!(refusals(&node).await, [3, 0, 0, 0]);
    busy.pop();
    let served = async {
        while told(&node, b"PING\r\n").await != "+PONG\r\n" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, served).await.expect("one that is closed makes room");
}

#[tokio::test]
async fn the_connection_of_a_client_that_is_idle_for_longest_makes_room_for_its_own_newcomer_alone() {
    let limits = Limits { client_connections: 3, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    let mut elsewhere = connect_from_elsewhere(&node).await;
    asks_again(&mut elsewhere).await.unwrap();
    let mut first = used_connection(&node).await;
    let mut second = used_connection(&node).await;
    let mut third = used_connection(&node).await;
    asks_again(&mut first).await.unwrap();
    let mut fourth = used_connection(&node).await;
    assert_eq!(read_to_end(&mut second).await, "", "closed without a word");
    for stream in [&mut elsewhere, &mut first, &mut third, &mut fourth] {
        asks_again(stream).await.unwrap();
    }
    for _ in 0..100 {
        asks_again(&mut used_connection(&node).await).await.unwrap();
    }
    asks_again(&mut elsewhere).await.expect("it has idled for longest, and is another client's");
    assert_eq!(refusals(&node).await, [0; 4]);
}

/// So many of another client, each of which has asked for something.
async fn connections_of_another(node: &Node, count: usize) -> Vec<TcpStream> {
    let mut others = Vec::new();
    for _ in 0..count {
        let mut other = connect_from_elsewhere(node).await;
        asks_again(&mut other).await.unwrap();
        others.push(other);
    }
    others
}

#[tokio::test]
async fn a_client_at_its_limit_gives_up_its_own_connection_where_all_places_are_taken() {
    let limits =
        Limits { connections: 6, client_connections: 3, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    // Another client has idled for longest.
    let mut others = connections_of_another(&node, 3).await;
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(used_connection(&node).await);
    }
    for _ in 0..20 {
        own.push(used_connection(&node).await);
        assert_eq!(read_to_end(&mut own.remove(0)).await, "", "its own goes, without a word");
    }
    for stream in others.iter_mut().chain(&mut own) {
        asks_again(stream).await.expect("all others stay");
    }
    // Where all of its own are at work it is refused, and nobody goes for it.
    let mut busy = Vec::new();
    for _ in 0..3 {
        busy.push(busy_connection(&node).await);
    }
    let answer = told(&node, b"PING\r\n").await;
    assert!(answer.contains("client-connections"), "{answer}");
    for stream in &mut others {
        asks_again(stream).await.expect("none of another client's goes");
    }
}

#[tokio::test]
async fn many_newcomers_of_a_client_at_its_limit_all_come_in_or_are_refused_for_it() {
    let limits =
        Limits { connections: 20, client_connections: 10, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    let mut others = connections_of_another(&node, 10).await;
    for _ in 0..20 {
        let newcomers = (0..30).map(|_| told(&node, b"PING\r\n"));
        let answers = futures_util::future::join_all(newcomers).await;
        for answer in answers {
            // One that came and went idle before it said anything is closed without a word.
            let is_own = answer.is_empty() || answer == "+PONG\r\n" || answer.contains("client-connections");
            assert!(is_own, "{answer}");
        }
        for other in &mut others {
            asks_again(other).await.expect("none of another client's goes");
        }
    }
}

#[tokio::test]
async fn many_connections_that_are_used_stay_while_a_client_opens_others_that_idle() {
    let limits = Limits { client_connections: 200, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    let mut used = Vec::new();
    for _ in 0..150 {
        used.push(used_connection(&node).await);
    }
    let mut idle = Vec::new();
    for _ in 0..5 {
        for _ in 0..50 {
            idle.push(connect(&node).await);
        }
        asks_again(&mut used_connection(&node).await).await.unwrap(); // All that came before it are let in.
        for stream in &mut used {
            asks_again(stream).await.expect("others have idled for longer");
        }
    }
    assert_eq!(refusals(&node).await, [0; 4]);
}

#[tokio::test]
async fn one_client_opens_connections_no_faster_than_the_limit() {
    let node = node(Limits { client_connects: 10, ..Limits::default() }).await;
    let began = Instant::now();
    let (mut n_served, mut n_refused) = (0, 0);
    for _ in 0..30 {
        match told(&node, b"PING\r\n").await.as_str() {
            "+PONG\r\n" => n_served += 1,
            answer => {
                assert!(answer.contains("client-connects"), "{answer}");
                n_refused += 1;
            }
        }
    }
    let allowed = 11 + u64::try_from(began.elapsed().as_millis() / 100).unwrap();
    assert!((10..=allowed).contains(&n_served) && n_refused > 0, "{n_served} of {allowed}, {n_refused}");
    assert_eq!(told_elsewhere(&node, b"PING\r\n").await, "+PONG\r\n");
    assert_eq!(refusals(&node).await, [0, n_refused, 0, 0]);
    let served = async {
        while told(&node, b"PING\r\n").await != "+PONG\r\n" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, served).await.expect("after a pause it may again");
}

#[tokio::test]
async fn one_client_asks_no_faster_than_the_limit_at_every_door_and_the_answers_stay_in_order() {
    let node = node(Limits { client_requests: 20, ..Limits::default() }).await;
    let began = Instant::now();
    let pipeline: Vec<u8> = (0..200).flat_map(|n| format!("ECHO {n}\r\n").into_bytes()).collect();
    let answer = told(&node, &pipeline).await;
    let mut n_refused = 0;
    let mut lines = answer.lines();
    let mut next = 0;
    while let Some(line) = lines.next() {
        if line.starts_with("-BUSY ") {
            assert!(line.contains("client-requests"), "{line}");
            n_refused += 1;
        } else {
            assert_eq!(lines.next(), Some(next.to_string().as_str()), "answered, and in its place");
        }
        next += 1;
    }
    let allowed = 21 + u64::try_from(began.elapsed().as_millis() / 50).unwrap();
    assert_eq!(next, 200);
    assert!((200 - allowed..=180).contains(&n_refused), "{n_refused} refused, {allowed} allowed");

    let whole = b"GET /v1/kv/key HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
    let answer = told(&node, &whole).await;
    let n_rest = answer.matches("HTTP/1.1 503 ").count();
    assert!(n_rest > 0 && answer.matches("HTTP/1.1 ").count() == 50, "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("client-requests"), "{answer}");
    let answer = told(&node, &post("get", r#"{"key": "key"}"#).repeat(30)).await;
    let n_json = answer.matches("HTTP/1.1 503 ").count();
    assert!(n_json > 0, "{answer}");
    for _ in 0..30 {
        let health = told(&node, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(health.starts_with("HTTP/1.1 200"), "whoever restarts nodes is always answered: {health}");
    }
    assert_eq!(told_elsewhere(&node, b"PING\r\n").await, "+PONG\r\n");
    assert!(refusals(&node).await[2] >= n_refused + (n_rest + n_json) as u64);
}

#[tokio::test]
async fn what_lines_of_a_batch_bring_counts_for_whoever_sent_it() {
    let node = node(Limits { client_bytes: 40 << 10, ..Limits::default() }).await;
    node.put(b"large", &vec![b'v'; 60 << 10]).await.unwrap();
    node.put(b"small", b"v").await.unwrap();
    let lines = "{\"op\":\"get\",\"key\":\"small\"}\n{\"op\":\"get\",\"key\":\"large\"}\n".repeat(20);
    let batch = format!(
        "POST /v1/batch HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n{lines}",
        lines.len()
    );
    let answer = told(&node, batch.as_bytes()).await;
    assert_eq!(answer.matches("\"busy\"").count(), 20, "{answer}");
    assert_eq!(answer.matches("\"status\":200").count(), 20, "{answer}");
    // Room that a batch would rather have, and does without, is nothing that it was refused.
    assert_eq!(refusals(&node).await, [0, 0, 0, 20]);
}

#[tokio::test]
async fn nodes_ask_each_other_as_fast_as_they_must() {
    let limits = || Limits { client_requests: 5, client_bytes: 20 << 10, ..Limits::default() };
    let builder = || Node::builder().listen("127.0.0.1:0").replicas(2).limits(limits());
    let first = builder().start().await.unwrap();
    let second = builder().join(first.name().clone()).start().await.unwrap();
    second.ready().await.unwrap();
    for n in 0..200 {
        let key = format!("key{n}");
        first.put(key.as_bytes(), &[b'v'; 100]).await.unwrap();
        assert!(second.get(key.as_bytes()).await.unwrap().value.is_some());
    }
    first.put(b"large", &vec![b'v'; 500 << 10]).await.unwrap();
    assert_eq!(second.get(b"large").await.unwrap().value.unwrap().as_bytes().len(), 500 << 10);
    assert_eq!((refusals(&first).await, refusals(&second).await), ([0; 4], [0; 4]));
}

#[tokio::test]
async fn where_a_node_is_others_at_its_address_leave_it_its_connections() {
    let limits = Limits { client_connections: 3, client_connects: 20, ..Limits::default() };
    let builder = || Node::builder().listen("127.0.0.1:0").replicas(2);
    let first = builder().limits(limits).start().await.unwrap();
    let second = builder().join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, second.ready()).await.expect("it joins").unwrap();
    let mut all = Vec::new();
    for _ in 0..30 {
        all.push(used_connection(&first).await);
    }
    for n in 0..20 {
        let key = format!("key{n}");
        second.put(key.as_bytes(), b"value").await.unwrap();
        assert!(first.get(key.as_bytes()).await.unwrap().value.is_some());
    }
    for stream in &mut all {
        asks_again(stream).await.expect("none was closed for another");
    }
    assert_eq!(refusals(&first).await, [0; 4]);
    let mut elsewhere = Vec::new();
    for _ in 0..6 {
        elsewhere.push(connect_from_elsewhere(&first).await);
    }
    assert_eq!(read_to_end(&mut elsewhere[0]).await, "", "where no node is, one makes room for the next");
    tokio::time::timeout(DEADLINE, second.shutdown()).await.expect("it leaves");
}

#[tokio::test]
async fn a_node_that_speaks_http_has_no_limit_on_bytes_and_a_client_on_the_same_connection_has() {
    let node = node(Limits { client_bytes: 20 << 10, ..Limits::default() }).await;
    let put = post("put", &format!(r#"{{"key": "key", "value": "{}"}}"#, "v".repeat(100 << 10)));
    let named = String::from_utf8(put.clone()).unwrap();
    let (line, rest) = named.split_once("\r\n").unwrap();
    let named = format!("{line}\r\nchord-from: 127.0.0.2:9\r\n{rest}");
    assert_eq!(outcome(&exchange(&node, named.as_bytes()).await).0, 200);
    assert_eq!(outcome(&exchange(&node, &put).await).0, 503);
    assert_eq!(refusals(&node).await[3], 1);
}

#[tokio::test]
async fn one_client_has_no_more_bytes_under_way_than_the_limit_and_gives_them_back() {
    let node = node(Limits { client_bytes: 300 << 10, ..Limits::default() }).await;
    let whole = set("key", 200 << 10);
    let (first_half, rest) = whole.split_at(whole.len() / 2);
    let mut slow = connect(&node).await;
    slow.write_all(first_half).await.unwrap();
    let refused = async {
        loop {
            let answer = told(&node, &whole).await;
            if answer != "+OK\r\n" {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(DEADLINE, refused).await.expect("the second value is one too many");
    assert!(answer.starts_with("-BUSY ") && answer.contains("client-bytes"), "{answer}");
    let answer = put(&node, "key", &"v".repeat(290 << 10)).await;
    assert_eq!(outcome(&answer).0, 503, "the same at all doors: {answer}");
    assert_eq!(told_elsewhere(&node, &whole).await, "+OK\r\n", "another address has its own");
    assert_eq!(told(&node, &set("small", 1000)).await, "+OK\r\n");
    slow.write_all(rest).await.unwrap();
    let mut ok = [0; 5];
    tokio::time::timeout(DEADLINE, slow.read_exact(&mut ok)).await.unwrap().unwrap();
    assert_eq!(&ok, b"+OK\r\n");
    for _ in 0..20 {
        assert_eq!(told(&node, &whole).await, "+OK\r\n", "each gives its part back");
    }
    assert!(refusals(&node).await[3] >= 2);
}
