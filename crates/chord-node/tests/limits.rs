//! Each limit of a node: kept at the limit, refused with a sentence just above it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::time::{Duration, Instant};

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
async fn headers_above_the_limit_are_refused() {
    let node = node(Limits { header_bytes: 8 << 10, headers: 10, ..Limits::default() }).await;
    let long = format!("POST /node HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "h".repeat(9 << 10));
    assert_eq!(outcome(&exchange(&node, long.as_bytes()).await).0, 431);
    let many = format!("POST /node HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11));
    assert_eq!(outcome(&exchange(&node, many.as_bytes()).await).0, 431);
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200);
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_half_a_header_is_closed_at_the_deadline() {
    let node = node(Limits { header_read: Duration::from_millis(300), ..Limits::default() }).await;
    for half in ["", "POST /no", "POST /node HTTP/1.1\r\nhost:"] {
        let started = Instant::now();
        let answer = exchange(&node, half.as_bytes()).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(3), "closed after {took:?}");
        assert!(!answer.contains("200"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_sends_half_a_body_is_told_so_at_the_deadline() {
    let node = node(Limits { body_read: Duration::from_millis(300), ..Limits::default() }).await;
    let half = b"POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"key\"";
    let answer = exchange(&node, half).await;
    assert_eq!(outcome(&answer).0, 408, "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_those_that_are_open_are_served() {
    let node = node(Limits { connections: 2, ..Limits::default() }).await;
    let request = b"POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&node).await;
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        open.push(stream);
    }
    let mut third = connect(&node).await;
    let answer = read_to_end(&mut third).await;
    let (status, sentence) = outcome(&answer);
    assert_eq!(status, 503);
    assert!(sentence.contains("connections"), "{sentence}");
    drop(open.pop());
    let served = async {
        while outcome(&exchange(&node, &post("node", "{}")).await).0 != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, served).await.expect("the place is free again");
}
