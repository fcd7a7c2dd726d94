//! What a client of Redis may not do to a node.

use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::*;

/// SET as an array of bulk strings.
fn set(key: &str, n_bytes: usize) -> Vec<u8> {
    let (length, value) = (key.len(), "v".repeat(n_bytes));
    format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${n_bytes}\r\n{value}\r\n").into_bytes()
}

async fn receive(stream: &mut TcpStream, n_bytes: usize) -> String {
    let mut answer = vec![0; n_bytes];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.expect("in time").unwrap();
    String::from_utf8(answer).unwrap()
}

async fn is_well(node: &Node) {
    assert_eq!(told(node, b"PING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn arrays_within_arrays_and_impossible_lengths_are_refused() {
    let node = node(Limits::default()).await;
    let nested = "*1\r\n".repeat(20_000);
    let cases = [
        (nested.as_str(), "expected '$', got '*'"),
        ("*9223372036854775808\r\n", "invalid multibulk length"),
        ("*9223372036854775807\r\n", "invalid multibulk length"),
        ("*-9223372036854775809\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
        ("*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$-9223372036854775808\r\n", "invalid bulk length"),
        ("*1\r\n$4\r\nPINGXX", "expected CRLF"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
    ];
    for (bytes, refused) in cases {
        let answer = told(&node, bytes.as_bytes()).await;
        let is_refused = answer.starts_with("-ERR Protocol error: ") && answer.contains(refused);
        assert!(is_refused && answer.ends_with("\r\n"), "{refused}: {answer}");
        assert_eq!(answer.lines().count(), 1, "{answer}");
    }
    assert_eq!(told(&node, b"*-1\r\n*0\r\n*-5\r\nPING\r\n").await, "+PONG\r\n", "less than none is none");
}

#[tokio::test]
async fn commands_that_come_byte_by_byte_are_the_same_commands() {
    let node = node(Limits::default()).await;
    let commands = b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\0\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET l \"\\x00 '\"\r\nGET l\r\n*0\r\nQUIT\r\n";
    let wanted = "+PONG\r\n+OK\r\n$5\r\na\r\nb\0\r\n+OK\r\n$3\r\n\0 '\r\n+OK\r\n";
    assert_eq!(told(&node, commands).await, wanted, "at once");
    let mut stream = connect(&node).await;
    stream.set_nodelay(true).unwrap();
    for byte in commands {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_to_end(&mut stream).await, wanted, "byte by byte");
}

#[tokio::test]
async fn a_pipeline_whose_answers_nobody_reads_is_not_read_on_and_then_answered_whole() {
    let node = node(Limits::default()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    let text = "e".repeat(100);
    let (ask, answer) = (format!("*2\r\n$4\r\nECHO\r\n$100\r\n{text}\r\n"), format!("$100\r\n{text}\r\n"));
    let (batch, million) = (ask.repeat(1000), 1_000_000 * ask.len());
    let mut n_sent = 0;
    while n_sent < million {
        let from = n_sent % batch.len();
        let sending = stream.write(&batch.as_bytes()[from..]);
        match tokio::time::timeout(Duration::from_millis(500), sending).await {
            Ok(sent) => n_sent += sent.unwrap(),
            Err(_) => break,
        }
    }
    assert!(n_sent < 32 << 20, "all but {n_sent} bytes would wait in the node");
    is_well(&node).await;
    for idx in 0..n_sent / ask.len() {
        assert_eq!(receive(&mut stream, answer.len()).await, answer, "answer {idx}");
    }
}

#[tokio::test]
async fn an_error_arrives_although_the_client_sends_on() {
    let node = node(Limits::default()).await;
    let mut stream = connect(&node).await;
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        // More than the buffers between the two hold: closed without reading, it would end the connection by a reset.
        let chunk = vec![b'x'; 64 << 10];
        writer.write_all(b"*1\r\n$100000000\r\n").await?;
        for _ in 0..128 {
            writer.write_all(&chunk).await?;
        }
        writer.shutdown().await
    };
    let mut answer = String::new();
    let (sent, read) = tokio::join!(sending, reader.read_to_string(&mut answer));
    assert!(sent.is_ok() && read.is_ok(), "{sent:?} {read:?}");
    assert!(answer.starts_with("-ERR Protocol error: invalid bulk length"), "{answer}");
}

#[tokio::test]
async fn large_values_take_their_share_of_the_budget_and_give_it_back() {
    let node = node(Limits { bodies_bytes: 300 << 10, ..Limits::default() }).await;
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
    assert!(answer.starts_with("-BUSY ") && answer.contains("bytes"), "{answer}");
    assert_eq!(told(&node, &set("small", 1000)).await, "+OK\r\n", "small values need no budget");
    assert_eq!(
        outcome(&put(&node, "key", &"v".repeat(290 << 10)).await).0,
        503,
        "the budget is one for all doors"
    );
    slow.write_all(rest).await.unwrap();
    assert_eq!(receive(&mut slow, 5).await, "+OK\r\n");
    for _ in 0..20 {
        assert_eq!(told(&node, &whole).await, "+OK\r\n");
    }
}

#[tokio::test]
async fn the_values_of_many_keys_are_not_gathered_without_bound() {
    let node = node(Limits { bodies_bytes: 1 << 20, ..Limits::default() }).await;
    let value = "v".repeat(300 << 10);
    node.put(b"k", value.as_bytes()).await.unwrap();
    let mut stream = connect(&node).await;
    let bulk = format!("$307200\r\n{value}\r\n");
    for _ in 0..10 {
        stream.write_all(b"MGET k none k k\r\n").await.unwrap();
        let wanted = format!("*4\r\n{bulk}$-1\r\n{bulk}{bulk}");
        assert!(receive(&mut stream, wanted.len()).await == wanted);
    }
    stream.write_all(format!("MGET{}\r\nPING\r\n", " k".repeat(30_000)).as_bytes()).await.unwrap();
    let busy = "-BUSY the values of these keys are more than this node has room for now: ask for fewer keys, or try again later\r\n+PONG\r\n";
    assert_eq!(receive(&mut stream, busy.len()).await, busy);
}

#[tokio::test]
async fn answers_that_nobody_reads_have_a_budget_and_give_it_back() {
    let limits = Limits { bodies_bytes: 2 << 20, ..Limits::default() };
    let builder = Node::builder().listen("127.0.0.1:0").replicas(1).limits(limits);
    let node = builder.clone().start().await.unwrap();
    let other = builder.join(node.name().clone()).start().await.unwrap();
    let is_well = async || {
        while node.readiness().is_err() || other.readiness().is_err() || node.view().successors().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, is_well()).await.expect("a ring of two");
    let value = "v".repeat(300 << 10);
    // Commands about one key would come one after the other, and what the node has itself it sends piece by piece.
    let mut keys = Vec::new();
    for idx in 0.. {
        let key = format!("k{idx}");
        if node.put(key.as_bytes(), value.as_bytes()).await.unwrap().owner == *other.name() {
            keys.push(key);
        }
        if keys.len() == 21 {
            break;
        }
    }
    let gone = keys.pop().unwrap();
    let all: Vec<String> = keys.iter().map(|key| format!("GET {key}\r\n")).collect();
    let all = all.concat();
    let (get, bulk) = (format!("GET {}\r\n", keys[0]), format!("$307200\r\n{value}\r\n"));
    // Each has some answers ready that are not read, and the more of them the less is left.
    let mut slow = Vec::new();
    let refused = async {
        loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
            stream.write_all(all.as_bytes()).await.unwrap();
            slow.push(stream);
            let answer = told(&node, get.as_bytes()).await;
            if answer != bulk {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(DEADLINE, refused).await.expect("one is too many");
    assert!(answer.starts_with("-BUSY the answers "), "{}", &answer[..40]);
    assert_eq!(
        told(&node, format!("EXISTS {}\r\n", keys[0]).as_bytes()).await,
        ":1\r\n",
        "small answers need no budget"
    );
    assert_eq!(told(&node, format!("GETDEL {gone}\r\n").as_bytes()).await, bulk, "what is told once is told");
    let mut n_told = 0;
    for stream in &mut slow {
        for _ in &keys {
            let first = receive(stream, 1).await;
            let rest = if first == "$" { &bulk[1..] } else { &answer[1..] };
            assert!(receive(stream, rest.len()).await == rest);
            n_told += usize::from(first == "$");
        }
    }
    assert!(n_told > 0, "all was refused");
    assert!(told(&node, get.as_bytes()).await == bulk, "what was read gave its part back");
}
