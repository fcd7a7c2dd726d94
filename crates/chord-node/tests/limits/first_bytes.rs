//! What a connection begins with, whatever that is.

use std::time::{Duration, Instant};

use chord_node::Limits;
use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn whatever_comes_first_has_an_answer_that_its_sender_can_read() {
    let node = node(Limits::default()).await;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03mark".to_vec();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec();
    let proxy = b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nGET /mark HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let proxy_2 =
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x05\x00\x06".to_vec();
    let in_http = [
        hello,
        preface,
        proxy_2,
        vec![0; 10_000],
        vec![0xff; 10_000],
        b"\xef\xbb\xbfGET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in in_http {
        let answer = told(&node, &bytes).await;
        let what = String::from_utf8_lossy(bytes.get(..20).unwrap_or(&bytes)).into_owned();
        assert!(!answer.is_empty(), "{what:?} has no answer");
        assert!((400..500).contains(&refusal(&answer)), "{what:?}: {answer}");
        assert!(!answer.contains("mark"), "nothing of it comes back: {answer}");
    }
    assert_eq!(told(&node, &b"\r\n".repeat(10_000)).await, "", "blank lines ask for nothing");
    let in_words_of_redis = [
        b"SSH-2.0-mark_9.6\r\n".to_vec(),
        proxy,
        b"EHLO mark\r\n".to_vec(),
        b"{\"mark\": 1}\r\n".to_vec(),
        vec![b'A'; 1 << 20],
    ];
    for bytes in in_words_of_redis {
        let answer = told(&node, &bytes).await;
        assert!(answer.starts_with("-ERR "), "{:?}: {answer}", String::from_utf8_lossy(&bytes[..9]));
    }
    assert_eq!(outcome(&exchange(&node, &post("node", "{}")).await).0, 200);
}

#[tokio::test]
async fn whoever_sends_byte_after_byte_is_closed_at_the_deadline_of_the_whole_request() {
    let short = Duration::from_millis(400);
    let node = node(Limits { header_read: short, body_read: short, ..Limits::default() }).await;
    let long = "x".repeat(1000);
    let begins = [
        "POST /no",
        "POST /node HTTP/1.1\r\nhost: ",
        "POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n",
        "GET ",
        "*2\r\n$4\r\nPING\r\n$1000\r\n",
        "PING\r\nPING ",
        "\r\n",
    ];
    for begin in begins {
        let mut stream = connect(&node).await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        let started = Instant::now();
        let trickle = async {
            for byte in long.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let took = tokio::time::timeout(DEADLINE, trickle).await.map(|()| started.elapsed());
        assert!(took.as_ref().is_ok_and(|took| *took < 8 * short), "{begin:?}: {took:?}");
    }
}
