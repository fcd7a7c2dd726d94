//! A node to try, and what a client does to it byte by byte.

use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn node(limits: Limits) -> Node {
    Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap()
}

pub(crate) async fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.name().as_str()).await.unwrap()
}

/// Sends `bytes` and reads until the node closes the connection.
pub(crate) async fn exchange(node: &Node, bytes: &[u8]) -> String {
    let mut stream = connect(node).await;
    // The node may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read_to_end(&mut stream).await
}

/// Sends `bytes`, says that this is all, and reads what the node answers to it.
pub(crate) async fn told(node: &Node, bytes: &[u8]) -> String {
    let mut stream = connect(node).await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    read_to_end(&mut stream).await
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
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

pub(crate) fn post(command: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /{command} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) async fn put(node: &Node, key: &str, value: &str) -> String {
    exchange(node, &post("put", &format!(r#"{{"key": "{key}", "value": "{value}"}}"#))).await
}

/// The status of an answer, and its sentence if it is an error.
pub(crate) fn outcome(answer: &str) -> (u16, &str) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let sentence =
        answer.split_once(r#"{"error": ""#).and_then(|(_, rest)| rest.strip_suffix(r#""}"#)).unwrap_or("");
    (status, sentence)
}

/// An answer to what is no request: whole, in JSON, with its length, and the last on its connection. Returns the status.
pub(crate) fn refusal(answer: &str) -> u16 {
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

/// Opens a connection and asks once; whoever reads it has seen the answer's first line.
pub(crate) async fn used_connection(node: &Node) -> TcpStream {
    let mut stream = connect(node).await;
    asks_again(&mut stream).await.unwrap();
    stream
}

pub(crate) async fn asks_again(stream: &mut TcpStream) -> std::io::Result<()> {
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
pub(crate) async fn busy_connection(node: &Node) -> TcpStream {
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
