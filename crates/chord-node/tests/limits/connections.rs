//! How many connections there may be, and for how long.

use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::*;

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
async fn one_too_many_is_told_so_in_the_language_that_it_speaks() {
    let node = node(Limits { connections: 1, ..Limits::default() }).await;
    let _busy = busy_connection(&node).await;
    for bytes in ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "*"] {
        let answer = exchange(&node, bytes.as_bytes()).await;
        assert_eq!(answer, "-ERR max number of clients reached\r\n", "{bytes:?}");
    }
    for bytes in [&post("node", "{}")[..], b"POST /no", b"", b"\x16\x03\x01"] {
        assert_eq!(refusal(&exchange(&node, bytes).await), 503);
    }
    let answer = exchange(&node, b"GET /v1/kv/key HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn connects_in_a_loop_are_all_ended_and_cost_nobody_else_the_place() {
    let node = node(Limits { connections: 1, ..Limits::default() }).await;
    let mut busy = busy_connection(&node).await;
    let mut loop_of_connects = Vec::new();
    for _ in 0..1000 {
        loop_of_connects.push(connect(&node).await);
    }
    for stream in &mut loop_of_connects {
        let answer = read_to_end(stream).await;
        assert!(answer.is_empty() || refusal(&answer) == 503, "{answer}");
    }
    busy.write_all(b"}").await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, busy.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
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
async fn only_who_finds_no_place_counts_as_refused_and_who_made_room_is_counted_apart() {
    let limits = Limits { connections: 2, header_read: DEADLINE * 6, ..Limits::default() };
    let node = node(limits).await;
    let counts = async || {
        let mut stream = used_connection(&node).await;
        let asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(asked).await.unwrap();
        let text = read_to_end(&mut stream).await;
        let count = |name: &str| -> u32 {
            let number = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            number.expect("it is told").parse().unwrap()
        };
        let names = [
            "chord_refused_total{why=\"crowd\"}",
            "chord_connections_refused_total",
            "chord_connections_displaced_total",
        ];
        names.map(count)
    };
    let (mut first, _second) = (used_connection(&node).await, used_connection(&node).await);
    let third = used_connection(&node).await;
    assert_eq!(read_to_end(&mut first).await, "", "it made room");
    drop(third);
    let [crowd, refused, displaced] = counts().await;
    assert_eq!((crowd, refused), (0, 0), "nobody was refused");
    assert!(displaced >= 1, "{displaced}");

    let mut busy = [busy_connection(&node).await, busy_connection(&node).await];
    assert_eq!(refusal(&read_to_end(&mut connect(&node).await).await), 503);
    for stream in &mut busy {
        stream.write_all(b"}").await.unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
    }
    let [crowd, refused, _] = counts().await;
    assert_eq!((crowd, refused), (1, 1));
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
