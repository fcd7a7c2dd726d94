//! What clients have asked for over HTTP and do not read: one budget, in whatever language they ask.

use std::time::Duration;

use chord_kv::replication::{Change, Condition, Consistency, Expiry, Operation, Proposal};
use chord_kv::{Key, VALUE_BYTES_LIMIT, Value};
use chord_node::{Limits, Node};
use chord_ring::RingSize;
use chord_wire::replica::{DataAnswer, DataRequest, Operate, ReplicaLimits, decode_answer, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::*;

const LARGE: usize = 300 << 10;

/// A node without room for an answer as large as the value that is stored there.
async fn narrow() -> Node {
    let node = node(Limits { bodies_bytes: 100 << 10, ..Limits::default() }).await;
    node.put(b"large", "v".repeat(LARGE).as_bytes()).await.unwrap();
    node
}

fn call(method: &str, parameters: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>{parameters}</params></methodCall>"
    );
    post("RPC2", &body)
}

/// A struct of texts.
fn texts(members: &[(&str, &str)]) -> String {
    let member = |(name, text): &(&str, &str)| {
        format!("<member><name>{name}</name><value><string>{text}</string></value></member>")
    };
    format!("<value><struct>{}</struct></value>", members.iter().map(member).collect::<String>())
}

fn get(key: &str) -> Vec<u8> {
    call("get", &format!("<param>{}</param>", texts(&[("key", key)])))
}

/// A call of a multicall, whose parameter is such a struct.
fn inner(method: &str, members: &[(&str, &str)]) -> String {
    let parameter = texts(members);
    format!(
        "<value><struct><member><name>methodName</name><value><string>{method}</string></value></member>\
         <member><name>params</name><value><array><data>{parameter}</data></array></value></member></struct></value>"
    )
}

fn multicall(calls: &[String]) -> Vec<u8> {
    let calls = calls.concat();
    call("system.multicall", &format!("<param><value><array><data>{calls}</data></array></value></param>"))
}

const UNREAD: &str = "the answers that clients of this node have not read yet";

#[tokio::test]
async fn a_large_value_for_which_there_is_no_room_is_not_told_in_the_seeds_words_either() {
    let node = narrow().await;
    let (status, sentence) = {
        let answer = exchange(&node, &post("get", r#"{"key": "large"}"#)).await;
        (outcome(&answer).0, outcome(&answer).1.to_owned())
    };
    assert_eq!(status, 503, "{sentence}");
    assert!(sentence.starts_with(UNREAD), "{sentence}");
    let answer = exchange(&node, &get("large")).await;
    assert!(answer.contains("<fault>") && answer.contains(UNREAD), "{answer}");
    assert!(answer.contains("chord-error: busy"), "{answer}");
    assert_eq!(outcome(&put(&node, "small", "value").await).0, 200);
    let answer = exchange(&node, &post("get", r#"{"key": "small"}"#)).await;
    assert_eq!(outcome(&answer).0, 200, "small answers need no budget");
}

#[tokio::test]
async fn of_many_calls_those_are_told_for_which_there_is_room() {
    let node = narrow().await;
    let calls = [
        inner("put", &[("key", "key"), ("value", "value")]),
        inner("get", &[("key", "large")]),
        inner("get", &[("key", "key")]),
        inner("get", &[("key", "large")]),
    ];
    let answer = exchange(&node, &multicall(&calls)).await;
    assert_eq!(answer.matches(UNREAD).count(), 2, "{answer}");
    assert!(answer.contains("<string>value</string>"), "{answer}");
    assert_eq!(node.get(b"key").await.unwrap().value.unwrap().as_bytes(), b"value", "it is done and told");
}

/// Has something done to `large` in binary: the status, and the value that is told.
async fn operate(node: &Node, operation: Operation) -> (u16, Option<Value>) {
    let request = DataRequest::Operate(Operate {
        key: Key::new(b"large").unwrap(),
        operation,
        proposal: Proposal::LeftToOwner,
        consistency: Consistency::Usual,
        remaining: Duration::from_secs(5),
    });
    let body = encode_request(&request);
    let head = format!(
        "POST /operate HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(node).await;
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (status, _) = outcome(std::str::from_utf8(&answer[..end]).unwrap());
    let limits = ReplicaLimits { size: RingSize::DEFAULT, value_bytes: VALUE_BYTES_LIMIT };
    let told = match decode_answer(&answer[end + 4..], &limits) {
        Ok(DataAnswer::Operated(Ok(outcome))) => outcome.record.and_then(|record| record.value),
        _ => None,
    };
    (status, told)
}

#[tokio::test]
async fn what_a_change_has_found_is_told_whatever_room_there_is() {
    let node = narrow().await;
    assert_eq!(operate(&node, Operation::Get).await, (503, None));
    let tail = Value::new(b"!", 10).unwrap();
    let (change, condition, expiry) = (Change::Append(tail), Condition::Always, Expiry::Never);
    let (status, told) = operate(&node, Operation::Change { change, condition, expiry }).await;
    assert_eq!((status, told.map(|value| value.as_bytes().len())), (200, Some(LARGE + 1)));
}

/// More than the systems of both ends keep of what is on its way.
const UNREADABLE: usize = 8 << 20;

/// A connection that asks and does not read.
async fn unread(node: &Node, request: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(node.name().as_str().parse().unwrap()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let begins = tokio::time::timeout(DEADLINE, stream.peek(&mut [0])).await;
    begins.expect("the answer begins").unwrap();
    stream
}

#[tokio::test]
async fn an_answer_that_nobody_reads_keeps_its_part_of_the_budget_until_it_is_read() {
    let limits =
        Limits { bodies_bytes: UNREADABLE + (1 << 20), value_bytes: UNREADABLE, ..Limits::default() };
    let node = node(limits).await;
    node.put(b"k", "v".repeat(UNREADABLE).as_bytes()).await.unwrap();
    let many = multicall(&[inner("get", &[("key", "k")])]);
    let ask = b"GET /v1/kv/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let is_busy = async || exchange(&node, ask).await.starts_with("HTTP/1.1 503 ");
    for request in [post("get", r#"{"key": "k"}"#), ask.to_vec(), get("k"), many] {
        let mut slow = unread(&node, &request).await;
        assert!(is_busy().await, "the second is one too many");
        let answer = read_to_end(&mut slow).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.len() > UNREADABLE, "{}", &answer[..80]);
        let again = async { while is_busy().await {} };
        tokio::time::timeout(DEADLINE, again).await.expect("what was read gave its part back");
    }
}
