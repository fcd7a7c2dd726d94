//! What is no request of HTTP, or one that nobody should send.

use chord_node::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn web_pages_of_other_sites_are_refused_whatever_they_ask_for() {
    let node = node(Limits::default()).await;
    let ask = async |path: &str, header: &str| {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{header}\r\n", node.name());
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
