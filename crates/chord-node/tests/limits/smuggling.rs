//! Requests of which two programs in a row may see different ends: what one takes for a body must never be a request to
//! the other.

use chord_node::{Limits, Node};

use crate::support::*;

const SMUGGLED: &str = "POST /put HTTP/1.1\r\nhost: x\r\ncontent-length: 37\r\n\r\n{\"key\": \"smuggled\", \"value\": \"value\"}";

/// The only answer to a request with these headers and this body, behind which another request hides.
async fn answer_to(node: &Node, version: &str, headers: &str, body: &str) -> String {
    let request = format!("POST /node {version}\r\nhost: x\r\n{headers}\r\n\r\n{body}{SMUGGLED}");
    let answer = told(node, request.as_bytes()).await;
    let n_answers = answer.matches("HTTP/1.1 ").count();
    assert_eq!(n_answers, 1, "{headers:?} {body:?}: {answer}");
    assert!(answer.contains("connection: close"), "{headers:?} {body:?}: {answer}");
    let hidden = node.get(b"smuggled").await.unwrap().value;
    assert!(hidden.is_none(), "{headers:?} {body:?}: what was hidden has been done");
    answer
}

#[tokio::test]
async fn headers_that_two_programs_may_read_differently_are_refused() {
    let node = node(Limits::default()).await;
    let headers = [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: +2",
        "content-length: -2",
        "content-length: 0x2",
        "content-length: 2 2",
        "content-length: ",
        "content-length: 18446744073709551616",
        "content-length : 2",
        "content-length\t: 2",
        " content-length: 2",
        "x: y\r\n content-length: 2",
        "transfer-encoding:\r\n chunked",
        "x: y\rtransfer-encoding: chunked",
        "x: y\0\r\ncontent-length: 2",
        "content-length: 2\r\ntransfer-encoding: mark",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: , chunked",
        "content-length: 2\r\nhost: y",
    ];
    for headers in headers {
        let answer = answer_to(&node, "HTTP/1.1", headers, "{}").await;
        assert_eq!(refusal(&answer), 400, "{headers:?}: {answer}");
    }
    let nobody = format!("POST /node HTTP/1.1\r\ncontent-length: 2\r\n\r\n{{}}{SMUGGLED}");
    let answer = told(&node, nobody.as_bytes()).await;
    assert_eq!(refusal(&answer), 400, "nobody says for whom it is: {answer}");
    let answer = answer_to(&node, "HTTP/1.0", "transfer-encoding: chunked", "0\r\n\r\n").await;
    assert_eq!(refusal(&answer), 400, "{answer}");
}

#[tokio::test]
async fn a_request_in_chunks_that_names_a_length_too_is_the_last_on_its_connection() {
    let node = node(Limits::default()).await;
    let length = format!("content-length: {}", "0\r\n\r\n".len() + SMUGGLED.len());
    let headers = [
        format!("{length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\n{length}"),
        format!("{length}\ntransfer-encoding: chunked"),
        "content-length: 7\r\ntransfer-encoding: chunked".to_owned(),
    ];
    for headers in headers {
        let answer = answer_to(&node, "HTTP/1.1", &headers, "2\r\n{}\r\n0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn chunks_that_two_programs_may_read_differently_are_refused() {
    let node = node(Limits::default()).await;
    let bodies = [
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n{}",
        "2\n{}\n0\n\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2;x\n\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
    ];
    for body in bodies {
        let answer = answer_to(&node, "HTTP/1.1", "transfer-encoding: chunked", body).await;
        let status = outcome(&answer).0;
        assert!((400..500).contains(&status), "{body:?}: {answer}");
    }
}
