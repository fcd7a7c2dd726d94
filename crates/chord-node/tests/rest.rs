//! The REST door, answer by answer.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::collections::BTreeSet;
use std::time::Duration;

use chord_node::{Limits, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use rest_client::{Answer, DEADLINE, ask, ask_with, node, put, ring, send, stop};

#[tokio::test]
async fn any_bytes_are_a_key_and_any_bytes_are_a_value() {
    let node = node(Limits::default()).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for path in ["/v1/kv/%00%FF%2F", "/v1/kv/", "/v1/kv/a/b//c", "/v1/kv/%25", "/v1/kv/incr"] {
        let stored = put(&node, path, "", &every_byte).await;
        assert_eq!(stored.status, 201, "{path}");
        let got = ask(&node, &format!("GET {path}")).await;
        assert_eq!((got.status, &got.body), (200, &every_byte), "{path}");
        assert_eq!((got.tag(), got.header("content-type")), (stored.tag(), Some("application/octet-stream")));
        let head = ask(&node, &format!("HEAD {path}")).await;
        assert_eq!((head.status, head.headers()), (200, got.headers()), "{path}");
        assert_eq!(put(&node, path, "", b"").await.status, 204, "{path}");
        assert_eq!(ask(&node, &format!("GET {path}")).await.body, b"");
        assert_eq!(ask(&node, &format!("DELETE {path}")).await.status, 204);
        assert_eq!(ask(&node, &format!("DELETE {path}")).await.problem(), (404, "absent"));
        assert_eq!(ask(&node, &format!("GET {path}")).await.problem(), (404, "absent"));
    }
    let slash = put(&node, "/v1/kv/a%2fb", "", b"v").await;
    assert_eq!((slash.status, ask(&node, "GET /v1/kv/a/b").await.body), (201, b"v".to_vec()));
    node.shutdown().await;
}

#[tokio::test]
async fn nobodys_change_is_lost_to_anothers() {
    let node = node(Limits::default()).await;
    let absent = "if-none-match: *\r\n";
    let first = put(&node, "/v1/kv/k", absent, b"1").await;
    assert_eq!(first.status, 201);
    let again = put(&node, "/v1/kv/k", absent, b"2").await;
    assert_eq!((again.problem(), again.tag()), ((412, "condition-failed"), first.tag()));
    let mine = format!("if-match: {}\r\n", first.tag());
    let second = put(&node, "/v1/kv/k", &mine, b"2").await;
    assert_eq!(second.status, 204);
    assert_ne!(second.tag(), first.tag());
    for stale in [
        &mine,
        "if-match: \"other\"\r\n",
        &mine.replace('"', "").replace(": ", ": W/\"").replace("\r\n", "\"\r\n"),
    ] {
        let refused = put(&node, "/v1/kv/k", stale, b"3").await;
        assert_eq!((refused.problem(), refused.tag()), ((412, "condition-failed"), second.tag()), "{stale}");
        assert_eq!(ask_with(&node, "DELETE /v1/kv/k", stale, b"").await.problem().0, 412, "{stale}");
    }
    let any = "if-match: *\r\n";
    assert_eq!(put(&node, "/v1/kv/none", any, b"1").await.problem(), (412, "condition-failed"));
    assert_eq!(put(&node, "/v1/kv/k", any, b"3").await.status, 204);
    assert_eq!(ask_with(&node, "DELETE /v1/kv/k", any, b"").await.status, 204);
    node.shutdown().await;
}

#[tokio::test]
async fn a_reader_that_has_the_value_is_not_sent_it_again() {
    let node = node(Limits::default()).await;
    let tag = put(&node, "/v1/kv/k", "", b"v").await.tag();
    let reads = [
        (format!("if-none-match: {tag}\r\n"), 304),
        (format!("if-none-match: \"x\", W/{tag}\r\n"), 304),
        ("if-none-match: *\r\n".to_owned(), 304),
        ("if-none-match: \"x\"\r\n".to_owned(), 200),
        (format!("if-match: {tag}\r\n"), 200),
        ("if-match: *\r\n".to_owned(), 200),
        ("if-match: \"x\"\r\n".to_owned(), 412),
        (format!("if-match: {tag}\r\nif-none-match: {tag}\r\n"), 304),
    ];
    for (headers, status) in &reads {
        let got = ask_with(&node, "GET /v1/kv/k", headers, b"").await;
        assert_eq!((got.status, got.tag()), (*status, tag.clone()), "{headers}");
        let head = ask_with(&node, "HEAD /v1/kv/k", headers, b"").await;
        assert_eq!((head.status, head.headers()), (*status, got.headers()), "{headers}");
    }
    let absent = ask_with(&node, "GET /v1/kv/none", "if-match: *\r\n", b"").await;
    assert_eq!(absent.problem(), (412, "condition-failed"));
    node.shutdown().await;
}

#[tokio::test]
async fn a_value_goes_at_its_time() {
    let node = node(Limits::default()).await;
    let stored = put(&node, "/v1/kv/k?ttl=300ms", "", b"v").await;
    let expires = stored.header("chord-expires-ms").map(str::to_owned);
    assert!(expires.is_some());
    let gone = async {
        loop {
            let got = ask(&node, "GET /v1/kv/k").await;
            if got.status == 404 {
                return;
            }
            assert_eq!(got.header("chord-expires-ms").map(str::to_owned), expires);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("it goes");
    assert_eq!(put(&node, "/v1/kv/k?ttl=60", "", b"v").await.status, 201);
    assert!(put(&node, "/v1/kv/k", "", b"v").await.header("chord-expires-ms").is_none(), "it stays now");
    for query in [
        "ttl=0",
        "ttl=-1s",
        "ttl=1w",
        "ttl=",
        "ttl=1s&ttl=1s",
        "tll=1s",
        "by=1",
        "consistency=two",
        "ttl=%zz",
    ] {
        let refused = put(&node, &format!("/v1/kv/k?{query}"), "", b"w").await;
        assert_eq!(refused.problem(), (400, "bad-request"), "{query}");
    }
    assert_eq!(ask(&node, "GET /v1/kv/k?ttl=1s").await.problem(), (400, "bad-request"));
    assert_eq!(ask(&node, "GET /v1/kv/k").await.body, b"v");
    node.shutdown().await;
}

#[tokio::test]
async fn a_number_is_added_to() {
    let node = node(Limits::default()).await;
    let first = ask(&node, "POST /v1/kv/n/incr").await;
    assert_eq!((first.status, first.text()), (200, "{\"value\":1}\n"));
    let second = ask(&node, "POST /v1/kv/n/incr?by=41&ttl=1h").await;
    assert_eq!((second.text(), second.header("chord-expires-ms").is_some()), ("{\"value\":42}\n", true));
    let got = ask(&node, "GET /v1/kv/n").await;
    assert_eq!((got.text(), got.tag()), ("42", second.tag()));
    let stale = format!("if-match: {}\r\n", first.tag());
    assert_eq!(ask_with(&node, "POST /v1/kv/n/incr", &stale, b"").await.problem(), (412, "condition-failed"));
    let too_large = "POST /v1/kv/n/incr?by=9223372036854775807";
    assert_eq!(ask(&node, too_large).await.problem(), (409, "out-of-range"));
    put(&node, "/v1/kv/text", "", b"four").await;
    assert_eq!(ask(&node, "POST /v1/kv/text/incr").await.problem(), (409, "not-a-number"));
    assert_eq!(ask_with(&node, "POST /v1/kv/n/incr", "", b"by=5").await.problem(), (400, "bad-request"));
    assert_eq!(ask(&node, "GET /v1/kv/n/incr").await.header("allow"), Some("POST"));
    put(&node, "/v1/kv/n%2Fincr", "", b"7").await;
    assert_eq!(ask(&node, "POST /v1/kv/n%2Fincr/incr").await.text(), "{\"value\":8}\n");
    assert_eq!(ask(&node, "GET /v1/kv/n").await.text(), "42");
    node.shutdown().await;
}

async fn batch(node: &Node, lines: &str) -> Answer {
    ask_with(node, "POST /v1/batch", "content-type: application/x-ndjson\r\n", lines.as_bytes()).await
}

#[tokio::test]
async fn each_line_of_a_batch_has_its_answer_and_lines_of_one_key_are_done_in_their_order() {
    let node = node(Limits::default()).await;
    let lines = r#"
{"op":"put","key":"a","value":"1","ttl":"60s"}
{"op":"incr","key":"a","by":41}
{"op":"get","key":"a"}
nonsense
{"op":"put","key":"a","value":"2","if_absent":true}

{"op":"delete","key":"a","if_match":"*"}
{"op":"get","key":"a"}
{"op":"put","key_base64":"AP8=","value_base64":"/w=="}
{"op":"get","key_base64":"AP8="}"#;
    let answer = batch(&node, lines).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let answers: Vec<_> = answer.text().lines().collect();
    let begins = [
        "{\"status\":201,\"version\":",
        "{\"status\":200,\"value\":42,",
        "{\"status\":200,\"value\":\"42\",",
        "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,",
        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,",
        "{\"status\":204,\"version\":",
        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,",
        "{\"status\":201,\"version\":",
        "{\"status\":200,\"value_base64\":\"/w==\",",
    ];
    assert_eq!(answers.len(), begins.len(), "{answers:#?}");
    for (answer, begin) in answers.iter().zip(begins) {
        assert!(answer.starts_with(begin), "{answer} begins with {begin}");
    }
    assert!(answers[4].contains("\"version\":\""), "the version that is there: {}", answers[4]);
    assert_eq!(ask(&node, "GET /v1/kv/%00%FF").await.body, b"\xff");
    node.shutdown().await;
}

#[tokio::test]
async fn a_batch_of_as_many_lines_as_are_allowed_is_done_and_one_more_is_refused() {
    // Room for one such body at a time: each gives its share back.
    let node = node(Limits { bodies_bytes: 64 << 10, ..Limits::default() }).await;
    let line = "{\"op\":\"incr\",\"key\":\"n\"}\n";
    for times in 1..=3 {
        let answer = batch(&node, &line.repeat(1000)).await;
        let last = answer.text().lines().last().unwrap();
        assert!(last.starts_with(&format!("{{\"status\":200,\"value\":{},", times * 1000)), "{last}");
    }
    assert_eq!(batch(&node, &line.repeat(1001)).await.problem(), (413, "too-large"));
    assert_eq!(batch(&node, "\n \n").await.problem(), (400, "bad-request"));
    let html = ask_with(&node, "POST /v1/batch", "content-type: text/html\r\n", line.as_bytes()).await;
    assert_eq!(html.problem(), (415, "media-type"));
    assert_eq!(batch(&node, &" ".repeat(70 << 10)).await.problem(), (503, "busy"));
    assert_eq!(ask(&node, "GET /v1/kv/n").await.text(), "3000");
    node.shutdown().await;
}

#[tokio::test]
async fn values_for_which_there_is_no_room_are_left_out_of_a_batch_line_by_line() {
    let node = node(Limits { bodies_bytes: 1 << 20, ..Limits::default() }).await;
    node.put(b"k", "v".repeat(300 << 10).as_bytes()).await.unwrap();
    node.put(b"small", b"v").await.unwrap();
    for _ in 0..3 {
        let answer = batch(&node, &"{\"op\":\"get\",\"key\":\"k\"}\n".repeat(16)).await;
        let mut n_told = 0;
        for line in answer.text().lines() {
            n_told += usize::from(line.starts_with("{\"status\":200,"));
            let is_busy = line.contains("\"status\":503") && line.contains("\"code\":\"busy\"");
            assert!(line.starts_with("{\"status\":200,") || is_busy, "{}", &line[..100]);
        }
        assert!((1..=16).contains(&n_told) && answer.text().lines().count() == 16, "{n_told}");
    }
    assert_eq!(ask(&node, "GET /v1/kv/k").await.body.len(), 300 << 10, "each gave its part back");
    let node = self::node(Limits { bodies_bytes: 100 << 10, ..Limits::default() }).await;
    node.put(b"k", "v".repeat(300 << 10).as_bytes()).await.unwrap();
    assert_eq!(ask(&node, "GET /v1/kv/k").await.problem(), (503, "busy"));
    let answer = batch(&node, "{\"op\":\"get\",\"key\":\"k\"}\n{\"op\":\"get\",\"key\":\"none\"}").await;
    let statuses: Vec<bool> = answer.text().lines().map(|line| line.contains("\"status\":503")).collect();
    assert_eq!(statuses, [true, false]);
}

#[tokio::test]
async fn a_batch_begins_nothing_when_its_client_waits_no_longer() {
    let node = node(Limits::default()).await;
    let lines: Vec<String> = (0..1000).map(|idx| format!(r#"{{"op":"incr","key":"n{idx}"}}"#)).collect();
    let lines = lines.join("\n");
    let answer = ask_with(&node, "POST /v1/batch", "chord-deadline-ms: 1\r\n", lines.as_bytes()).await;
    let last = answer.text().lines().last().unwrap();
    assert!(last.contains("\"status\":504") && last.contains("\"code\":\"deadline\""), "{last}");
    assert_eq!(ask(&node, "GET /v1/kv/n999").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_tells_who_owns_a_key_and_how_many_have_it() {
    let nodes = ring().await;
    let mut n_forwarded = 0;
    for idx in 0..20 {
        let path = format!("/v1/kv/key{idx}");
        let stored = put(&nodes[idx % 3], &format!("{path}?consistency=all"), "", b"v").await;
        n_forwarded += u64::from(stored.header("chord-hops") == Some("1"));
        assert_eq!((stored.status, stored.header("chord-copies")), (201, Some("3")), "{stored:?}");
        let owner = stored.header("chord-owner").unwrap();
        for node in &nodes {
            let got = ask(node, &format!("GET {path}?consistency=quorum")).await;
            let hops = if node.name().as_str() == owner { "0" } else { "1" };
            n_forwarded += u64::from(hops == "1");
            assert_eq!((got.header("chord-owner"), got.header("chord-hops")), (Some(owner), Some(hops)));
            assert_eq!((got.tag(), got.body), (stored.tag(), b"v".to_vec()));
            let lookup = ask(node, &format!("GET /v1/lookup/key{idx}")).await;
            let text = lookup.text();
            assert!(text.contains(&format!("\"owner\":{{\"node\":\"{owner}\",")), "{text}");
            assert!(
                text.contains(&format!("\"hops\":{hops},\"path\":[{{\"node\":\"{}\",", node.name())),
                "{text}"
            );
        }
    }
    let ring = ask(&nodes[0], "GET /v1/ring").await;
    let view = nodes[0].view();
    for field in [
        format!("\"node\":\"{}\",\"position\":\"{}\"", nodes[0].name(), view.me().position),
        format!("\"predecessor\":{{\"node\":\"{}\"", view.predecessor().unwrap().name),
        format!("\"range\":{{\"after\":\"{}\"", view.predecessor().unwrap().position),
        "\"is_complete\":true".to_owned(),
        "\"is_ready\":true,\"not_ready_because\":null".to_owned(),
    ] {
        assert!(ring.text().contains(&field), "{field} in {}", ring.text());
    }
    // More often only if an owner had to be asked again.
    assert!(n_forwarded > 0 && count_sent(&nodes, "operations").await >= n_forwarded);
    for purpose in ["ring", "lookups", "copies"] {
        assert!(count_sent(&nodes, purpose).await > 0, "{purpose}");
    }
    for node in &nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_tells_its_version_through_whichever_node_it_was_asked() {
    let nodes = ring().await;
    for idx in 0..12 {
        let (path, node) = (format!("/v1/kv/key{idx}"), &nodes[idx % 3]);
        let stored = put(node, &path, "", b"v").await;
        let deleted = ask(node, &format!("DELETE {path}")).await;
        assert_eq!(deleted.status, 204, "{deleted:?}");
        assert_ne!(deleted.tag(), stored.tag());
        let absent = ask(node, &format!("DELETE {path}")).await;
        assert_eq!((absent.problem(), absent.header("etag")), ((404, "absent"), None));
    }
    for node in &nodes {
        node.shutdown().await;
    }
}

/// How many requests for that purpose the nodes have sent each other.
async fn count_sent(nodes: &[Node], purpose: &str) -> u64 {
    let mut sum = 0;
    for node in nodes {
        let ring = ask(node, "GET /v1/ring").await;
        let (_, sent) = ring.text().split_once("\"sent\":{").unwrap();
        let (_, count) = sent.split_once(&format!("\"{purpose}\":")).unwrap();
        sum += count.split([',', '}']).next().unwrap().parse::<u64>().unwrap();
    }
    sum
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_problem() {
    let node = node(Limits { value_bytes: 1000, ..Limits::default() }).await;
    let long_key = format!("GET /v1/kv/{}", "k".repeat(4097));
    let long_header = format!("x: {}\r\n", "x".repeat(40 << 10));
    let cases: [(&str, &str, &[u8], u16, &str); 19] = [
        ("GET /v1", "", b"", 404, "unknown-command"),
        ("GET /v1/nothing", "", b"", 404, "unknown-command"),
        ("GET /v1/kv", "", b"", 404, "unknown-command"),
        ("POST /v1/kv/k", "", b"v", 405, "method-not-allowed"),
        ("BREW /v1/ring", "", b"", 405, "method-not-allowed"),
        ("GET /v1/batch", "", b"", 405, "method-not-allowed"),
        ("GET /v1/kv/%4", "", b"", 400, "bad-request"),
        (&long_key, "", b"", 413, "too-large"),
        ("PUT /v1/kv/k", "", &[0; 1001], 413, "too-large"),
        ("PUT /v1/kv/k", "content-encoding: gzip\r\n", b"v", 415, "media-type"),
        ("PUT /v1/kv/k", "content-range: bytes 0-0/9\r\n", b"v", 400, "bad-request"),
        ("PUT /v1/kv/k", "if-match: *\r\nif-none-match: *\r\n", b"v", 400, "bad-request"),
        ("PUT /v1/kv/k", "if-match: *\r\nif-match: *\r\n", b"v", 400, "bad-request"),
        ("PUT /v1/kv/k", "if-none-match: \"5.1.2\"\r\n", b"v", 400, "bad-request"),
        ("PUT /v1/kv/k", "if-match: 5.1.2\r\n", b"v", 400, "bad-request"),
        ("PUT /v1/kv/k", "chord-deadline-ms: 0\r\n", b"v", 400, "bad-request"),
        ("GET /v1/kv/k", "", b"a body", 400, "bad-request"),
        ("GET /v1/kv/k", "chord-ring-name: other\r\nchord-ring-size: 160\r\n", b"", 409, "foreign-ring"),
        ("GET /v1/kv/k", &long_header, b"", 431, "too-large"),
    ];
    for (line, headers, body, status, code) in cases {
        let refused = ask_with(&node, line, headers, body).await;
        assert_eq!(refused.problem(), (status, code), "{line} {headers}");
        assert!(!refused.text().contains("5.1.2"), "nothing of the request is in {}", refused.text());
    }
    let allowed = ask(&node, "POST /v1/kv/k").await;
    assert_eq!(allowed.header("allow"), Some("GET, HEAD, PUT, DELETE"));
    assert_eq!(ask(&node, "GET /v1/kv/k").await.status, 404, "nothing of it was done");
    node.shutdown().await;
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let node = node(Limits::default()).await;
    put(&node, "/v1/kv/k", "", b"v").await;
    for headers in ["origin: http://other.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"]
    {
        for line in
            ["PUT /v1/kv/k", "DELETE /v1/kv/k", "POST /v1/kv/k/incr", "POST /v1/batch", "GET /v1/kv/k"]
        {
            assert_eq!(ask_with(&node, line, headers, b"").await.problem(), (403, "forbidden"), "{line}");
        }
    }
    let own = format!("origin: http://{}\r\n", node.name());
    assert_eq!(put(&node, "/v1/kv/k", &own, b"w").await.status, 204);
    node.shutdown().await;
}

#[tokio::test]
async fn who_is_refused_before_the_body_was_read_is_told_that_the_connection_ends() {
    let node = node(Limits::default()).await;
    for conditions in
        ["if-match: \"1\"\r\nif-none-match: *\r\n", "if-none-match: \"1\"\r\n", "if-match: 1\r\n"]
    {
        for body in ["content-length: 1\r\n\r\nv", "transfer-encoding: chunked\r\n\r\n1\r\nv\r\n0\r\n\r\n"] {
            for line in ["PUT /v1/kv/k", "POST /v1/kv/k/incr", "DELETE /v1/kv/k"] {
                let request = format!("{line} HTTP/1.1\r\nhost: x\r\n{conditions}{body}");
                let refused = send(&node, request.as_bytes()).await;
                assert_eq!(refused.problem().0, 400, "{request}");
                assert_eq!(refused.header("connection"), Some("close"), "{request}");
            }
        }
    }
    stop(&node).await;
}

#[tokio::test]
async fn an_empty_value_has_a_length_also_for_who_does_not_want_the_value() {
    let node = node(Limits::default()).await;
    assert_eq!(ask_with(&node, "PUT /v1/kv/k", "", b"").await.status, 201);
    let (got, head) = (ask(&node, "GET /v1/kv/k").await, ask(&node, "HEAD /v1/kv/k").await);
    assert_eq!(head.header("content-length"), Some("0"));
    let sorted = |answer: &Answer| answer.headers().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&got), sorted(&head));
    stop(&node).await;
}

#[tokio::test]
async fn a_body_may_come_in_chunks_within_the_limit() {
    let node = node(Limits { value_bytes: 1000, ..Limits::default() }).await;
    let request = |size: usize| {
        let (half, rest) = (size / 2, size - size / 2);
        format!(
            "PUT /v1/kv/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{half:x}\r\n{}\r\n{rest:x}\r\n{}\r\n0\r\n\r\n",
            "a".repeat(half),
            "b".repeat(rest),
        )
    };
    assert_eq!(send(&node, request(1000).as_bytes()).await.status, 201);
    assert_eq!(
        ask(&node, "GET /v1/kv/k").await.body,
        ["a".repeat(500), "b".repeat(500)].concat().into_bytes()
    );
    assert_eq!(send(&node, request(1001).as_bytes()).await.problem(), (413, "too-large"));
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_that_cannot_do_it_now_says_when_to_come_again() {
    let full = node(Limits { bodies_bytes: 0, ..Limits::default() }).await;
    let refused = put(&full, "/v1/kv/k", "", &vec![0; 100 << 10]).await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((503, "busy"), Some("1")));
    let lonely = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    assert_eq!(ask(&lonely, "GET /v1/kv/k").await.problem(), (409, "not-member"));
    assert!(ask(&lonely, "GET /v1/ring").await.text().contains("\"is_member\":false"));
    full.shutdown().await;
    lonely.shutdown().await;
}

#[tokio::test]
async fn the_document_describes_itself() {
    let node = node(Limits { value_bytes: 12_345, ..Limits::default() }).await;
    let document = ask(&node, "GET /openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    assert!(document.text().contains("\"/openapi.json\"") && document.text().contains("12345"));
    let head = ask(&node, "HEAD /openapi.json").await;
    assert_eq!(head.headers(), document.headers());
    assert_eq!(ask(&node, "PUT /openapi.json").await.header("allow"), Some("GET, HEAD"));
    node.shutdown().await;
}

#[tokio::test]
async fn what_one_door_stores_the_others_read() {
    let node = node(Limits::default()).await;
    put(&node, "/v1/kv/k", "", b"v").await;
    let seeds = ask_with(&node, "POST /get", "", br#"{"key": "k"}"#).await;
    assert!(seeds.text().contains(r#""value": "v""#), "{}", seeds.text());
    let mut redis = TcpStream::connect(node.name().as_str()).await.unwrap();
    redis.write_all(b"GET k\r\nSET k w\r\n").await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, redis.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"$1\r\nv\r\n+OK\r\n");
    assert_eq!(ask(&node, "GET /v1/kv/k").await.body, b"w");
    node.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_the_answers_of_a_batch_is_let_go() {
    let node = node(Limits { answer_write: Duration::from_millis(300), ..Limits::default() }).await;
    node.put(b"k", &vec![b'v'; 900 << 10]).await.unwrap();
    let lines = "{\"op\":\"get\",\"key\":\"k\"}\n".repeat(1000);
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    let head = format!("POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", lines.len());
    stream.write_all(&[head.as_bytes(), lines.as_bytes()].concat()).await.unwrap();
    let closed = async {
        // Writing shows whether the other side is gone, without reading anything.
        while stream.write_all(b"\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("it is closed");
    assert_eq!(ask(&node, "HEAD /v1/kv/k").await.status, 200);
    node.shutdown().await;
}

#[tokio::test]
async fn half_a_head_is_told_so_as_a_problem_too() {
    let node = node(Limits { header_read: Duration::from_millis(200), ..Limits::default() }).await;
    let late = send(&node, b"GET /v1/kv/k HTTP/1.1\r\nhost: x\r\nx: ").await;
    assert_eq!(late.problem(), (408, "too-slow"));
    let second = send(&node, b"GET /v1/ring HTTP/1.1\r\n wrong \r\n\r\n").await;
    assert_eq!(second.problem(), (400, "bad-request"));
    let other = send(&node, b"POST /get HTTP/1.1\r\n wrong \r\n\r\n").await;
    assert_eq!((other.status, other.header("content-type")), (400, Some("application/json")));
    node.shutdown().await;
}
