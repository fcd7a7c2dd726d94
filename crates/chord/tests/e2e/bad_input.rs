//! Whatever arrives: an error in one sentence that repeats nothing of it, and the node is as well as before.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

/// Stands in every bad request, and must stand in no answer.
const MARK: &str = "zq7mark";

/// Longest life of a connection whose request does not go on.
const HALF_REQUEST_LIMIT: Duration = Duration::from_secs(15);

/// A ring of one; the tests ask the node whether it is well after each insult.
struct Victim {
    cluster: Cluster,
    name: String,
}

impl Victim {
    #[track_caller]
    fn new() -> Self {
        let cluster = Cluster::ring(1, 160);
        let name = cluster.names().remove(0);
        ask(&name, "put", r#"{"key": "foo", "value": "bar"}"#).fields(&["storage_node", "hops"]);
        Self { cluster, name }
    }

    fn open(&self) -> Connection {
        Connection::open(&self.name).expect("the node listens")
    }

    #[track_caller]
    fn is_well(&self) {
        let (answer, elapsed) = timed(&self.name, "get", r#"{"key": "foo"}"#);
        println!("answered after {elapsed:?}");
        let answer = answer.expect("the node answers").fields(&["storage_node", "hops", "value", "found"]);
        assert_eq!(answer["value"], json!("bar"));
        assert!(elapsed < Duration::from_secs(5), "the node took {elapsed:?}");
        assert!(self.cluster.servers[&self.name].stderr().find("panicked").is_none());
    }

    /// Sends a whole request, on a connection of its own, that must be refused with one of these codes. By HTTP's rules
    /// the connection may be used again unless the answer says otherwise.
    #[track_caller]
    fn refuses(&self, statuses: &[u16], what: &str, request: &[u8]) {
        let mut node = self.open();
        node.send(request).expect("the connection is open");
        let answer = node.read_response().unwrap_or_else(|error| panic!("{what}: {error}"));
        let sentence = answer.error();
        assert!(statuses.contains(&answer.status), "{what}: {} {sentence}", answer.status);
        assert!(!sentence.contains(MARK), "{what}: {sentence}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
        self.is_well();
        if request.starts_with(b"POST ") && answer.header("connection") != Some("close") {
            let next = node.post("node", "{}").unwrap_or_else(|error| panic!("after {what}: {error}"));
            assert_eq!(
                next.status, 200,
                "after {what}: the connection may be used again, the answer did not say no"
            );
        }
    }

    #[track_caller]
    fn refuses_body(&self, command: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
        self.refuses(&[400], &format!("{command} {shown}"), &post_request(command, body));
    }
}

/// Each command with a body that is right, as its fields' names and values.
const COMMANDS: [(&str, &[(&str, &str)]); 5] = [
    ("join", &[("remote_node", r#""127.0.0.1:4567""#)]),
    ("find_successor", &[("key", "5")]),
    ("notify", &[("remote_node", "null")]),
    ("get", &[("key", r#""foo""#)]),
    ("put", &[("key", r#""foo""#), ("value", r#""bar""#)]),
];

#[test]
fn works_where_the_seed_failed_any_missing_field_is_a_400_with_a_sentence() {
    let _machine = beside_others();
    let victim = Victim::new();
    for (command, fields) in COMMANDS {
        for (missing, _) in fields {
            let present = fields.iter().filter(|(name, _)| name != missing);
            let body: Vec<String> = present.map(|(name, value)| format!("{name:?}: {value}")).collect();
            let body = format!("{{{}}}", body.join(", "));
            victim.refuses_body(command, &body);
            let sentence = ask(&victim.name, command, &body).error();
            assert!(sentence.contains(missing), "{sentence} names the missing field {missing}");
        }
    }
}

#[test]
fn what_is_not_a_json_object_is_refused_by_every_command() {
    let _machine = beside_others();
    let victim = Victim::new();
    let bodies: [&[u8]; 15] = [
        b"",
        b" ",
        b"zq7mark",
        b"{",
        b"{\"zq7mark\": 1",
        b"{\"key\": \"zq7mark\",}",
        b"{'key': 'zq7mark'}",
        b"[\"zq7mark\"]",
        b"\"zq7mark\"",
        b"null",
        b"5",
        b"{} {\"zq7mark\": 1}",
        b"{\"key\": \"zq7mark\xff\"}",
        b"{\"key\": \"\\ud800zq7mark\"}",
        b"<?xml version=\"1.0\"?><methodCall><methodName>zq7mark</methodName></methodCall>",
    ];
    for (command, _) in COMMANDS {
        for body in bodies {
            victim.refuses_body(command, body);
        }
        victim.refuses_body(command, vec![b'['; 100_000]);
        victim.refuses_body(command, "{\"a\":".repeat(50_000));
    }
}

#[test]
fn wrong_types_and_impossible_numbers_are_refused() {
    let _machine = beside_others();
    let victim = Victim::new();
    let huge = "9".repeat(10_000);
    for wrong in ["1.5", "true", "[\"zq7mark\"]", "{\"zq7mark\": 1}", "-1", "1e400", "-0.0", "NaN", &huge] {
        for (command, fields) in COMMANDS {
            for (wrong_field, _) in fields {
                let typed = |(name, right): &(&str, &str)| {
                    format!("{name:?}: {}", if name == wrong_field { wrong } else { right })
                };
                let body: Vec<String> = fields.iter().map(typed).collect();
                victim.refuses_body(command, format!("{{{}}}", body.join(", ")));
            }
        }
        let body = format!(r#"{{"key": "a", "value": "b", "no_redirect": {wrong}}}"#);
        if wrong != "true" {
            victim.refuses_body("put", body);
        }
    }
    for (command, field) in [("get", "key"), ("find_successor", "key"), ("join", "remote_node")] {
        victim.refuses_body(command, format!(r#"{{"{field}": null}}"#));
    }
    victim.refuses_body("get", r#"{"key": 5}"#);
    victim.refuses_body("put", r#"{"key": "a", "value": 5}"#);
    victim.refuses_body("put", r#"{"key": "a", "value": null}"#);
}

#[test]
fn what_is_no_node_is_refused_as_one() {
    let _machine = beside_others();
    let victim = Victim::new();
    let long = format!("{}:1", "h".repeat(10_000));
    for name in [
        "",
        "zq7mark",
        "zq7mark:",
        ":4567",
        "zq7mark:0",
        "zq7mark:65536",
        "zq7mark:-1",
        "zq7mark:1:x",
        "zq7 mark:1",
        "zq7mark/x:1",
        "http://zq7mark:1",
        "zq7mark\r\nX: y:1",
        "zq7mark\u{0}:1",
        "[zq7mark:1",
        &long,
    ] {
        for command in ["join", "notify"] {
            victim.refuses_body(command, json!({ "remote_node": name }).to_string());
        }
    }
}

#[test]
fn a_body_of_ten_megabytes_is_too_large() {
    let _machine = beside_others();
    let victim = Victim::new();
    let value = "x".repeat(10 << 20);
    let body = format!(r#"{{"key": "foo", "value": "{value}"}}"#);
    let head = "POST /put HTTP/1.1\r\nHost: h\r\n";
    let sized = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for request in [sized, chunked] {
        let mut node = victim.open();
        let mut writer = node.writer().expect("the socket can be shared");
        // The node need not read what it refuses, so the end of the writing is no part of the test.
        let writing = std::thread::spawn(move || writer.write_all(request.as_bytes()));
        let answer = node.read_response().expect("the refusal can be read while the body is sent");
        assert_eq!(answer.status, 413, "{}", answer.error());
        assert!(!answer.error().contains("xxxx"));
        drop(node);
        victim.is_well();
        drop(writing.join().expect("the writer does not panic"));
    }
    for announced in ["10485760", "18446744073709551615"] {
        let mut node = victim.open();
        node.send(format!("{head}Content-Length: {announced}\r\n\r\n{{").as_bytes())
            .expect("the connection is open");
        let status = node.read_response().expect("it is refused before it is sent").status;
        // A length that is beyond any number may be refused as no number at all.
        let right = if announced.len() > 8 { (400..500).contains(&status) } else { status == 413 };
        assert!(right, "{announced}: {status}");
        victim.is_well();
    }
}

#[test]
fn unknown_commands_and_methods_are_refused() {
    let _machine = beside_others();
    let victim = Victim::new();
    for path in ["zq7mark", "GET", "get/zq7mark", "Put", "node/../get", "%67et", "rpc%00", "get_successor"] {
        victim.refuses(&[404], path, &post_request(path, b"{}"));
    }
    let long = "zq7mark".repeat(1_000);
    victim.refuses(&[404, 414, 431], "a long path", &post_request(&long, b"{}"));
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "ZQ7MARK"] {
        for command in ["get", "put", "node", "create", "shutdown"] {
            let request = format!("{method} /{command} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
            victim.refuses(&[405], &format!("{method} /{command}"), request.as_bytes());
        }
    }
    let mut node = victim.open();
    node.send(b"HEAD /get HTTP/1.1\r\nHost: h\r\n\r\n").expect("the connection is open");
    drop(node);
    victim.is_well();
}

#[test]
fn what_http_allows_is_served() {
    let _machine = beside_others();
    let victim = Victim::new();
    let body = r#"{"key": "foo"}"#;
    let length = body.len();
    for request in [
        format!("POST /get HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!(
            "POST /get HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /get HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        format!("POST /get HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"),
    ] {
        let mut node = victim.open();
        node.send(request.as_bytes()).expect("the connection is open");
        let mut answer = node.read_response().unwrap_or_else(|error| panic!("{request}: {error}"));
        if request.contains("Expect") {
            assert_eq!(answer.status, 100);
            node.send(body.as_bytes()).expect("the connection is open");
            answer = node.read_response().expect("get is answered");
        }
        assert_eq!(answer.json()["value"], json!("bar"), "{request}");
        if !request.contains("Expect") && !request.contains("chunked") {
            assert_eq!(node.read_until_closed().expect("closed in order"), b"", "{request}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let _machine = beside_others();
    let victim = Victim::new();
    let mut node = victim.open();
    let requests: Vec<u8> = (0..100)
        .flat_map(|idx| match idx % 2 {
            0 => post_request("get", br#"{"key": "foo"}"#),
            _ => post_request("get", br#"{"zq7mark": 1}"#),
        })
        .collect();
    node.send(&requests).expect("the connection is open");
    for idx in 0..100 {
        let answer = node.read_response().unwrap_or_else(|error| panic!("request {idx}: {error}"));
        assert_eq!(answer.status, if idx % 2 == 0 { 200 } else { 400 }, "request {idx}");
    }
    victim.is_well();
}

/// What is not HTTP is refused as everything else is, by a 4xx with a sentence in JSON; and the connection is closed.
#[track_caller]
fn refused_as_no_http(victim: &Victim, what: &str, bytes: &[u8]) {
    let mut node = victim.open();
    // The node may refuse before all is written.
    let _ = node.send(bytes);
    let answer = node.read_response().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert!(!answer.error().contains(MARK), "{what}: {answer:?}");
    assert_eq!(node.read_until_closed().expect("closed in order"), b"", "{what}");
    victim.is_well();
}

#[test]
fn oversized_headers_are_refused_with_431() {
    let _machine = beside_others();
    let victim = Victim::new();
    let large = format!("X: {}\r\n", MARK.repeat(40_000));
    let many = format!("X: {MARK}\r\n").repeat(1_000);
    for (what, headers) in [("a large header", large), ("many headers", many)] {
        let mut node = victim.open();
        let request = format!("POST /get HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: 2\r\n\r\n{{}}");
        let mut writer = node.writer().expect("the socket can be shared");
        let writing = std::thread::spawn(move || writer.write_all(request.as_bytes()));
        let answer = node.read_response().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.status, 431, "{what}");
        assert!(!answer.error().contains(MARK), "{what}: {answer:?}");
        drop(node);
        drop(writing.join().expect("the writer does not panic"));
        victim.is_well();
    }
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let _machine = beside_others();
    let victim = Victim::new();
    let length =
        |value: &str| format!("POST /get HTTP/1.1\r\nHost: h\r\nContent-Length: {value}\r\n\r\n{{}}");
    for (what, text) in [
        ("an unknown version", "POST /get HTTP/9.9\r\nHost: zq7mark\r\n\r\n".to_owned()),
        ("a negative length", length("-1")),
        ("a length in words", length("zq7mark")),
        ("two lengths", length("2\r\nContent-Length: 3")),
        ("length and chunks", length("2\r\nTransfer-Encoding: zq7mark")),
        ("a header without a colon", "POST /get HTTP/1.1\r\nzq7mark\r\n\r\n".to_owned()),
        (
            "a broken chunk",
            "POST /get HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzq7mark\r\n".to_owned(),
        ),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n".to_owned()),
    ] {
        refused_as_no_http(&victim, what, text.as_bytes());
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..50 {
        // What begins with a letter may be a line of Redis.
        let mut garbage = vec![0xff];
        for _ in 0..40 * (round + 1) {
            // Xorshift: any bytes will do, the same at each run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            garbage.extend_from_slice(&state.to_le_bytes());
        }
        garbage.extend_from_slice(b"\r\n\r\n");
        refused_as_no_http(&victim, &format!("garbage {round}"), &garbage);
    }
}

#[test]
fn half_requests_are_ended_and_nobody_waits_for_them() {
    let _machine = beside_others();
    let victim = Victim::new();
    let halves: [&[u8]; 5] = [
        b"",
        b"POST /get HT",
        b"POST /get HTTP/1.1\r\nHost: h\r\nX: y",
        b"POST /get HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{\"key\":",
        b"POST /get HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"k",
    ];
    let begin = Instant::now();
    let mut waiting: Vec<Connection> = halves.iter().map(|_| victim.open()).collect();
    for (node, half) in waiting.iter_mut().zip(halves) {
        node.send(half).expect("the connection is open");
    }
    for (node, half) in waiting.iter_mut().zip(halves) {
        victim.is_well();
        if !half.is_empty() {
            let half = String::from_utf8_lossy(half);
            let answer = node.read_response().unwrap_or_else(|error| panic!("{half:?}: {error}"));
            assert_eq!(answer.status, 408, "{half:?}: {}", answer.error());
        }
        assert_eq!(
            node.read_until_closed().expect("closed in order"),
            b"",
            "whoever asks nothing is told nothing"
        );
    }
    assert!(begin.elapsed() < HALF_REQUEST_LIMIT, "{:?}", begin.elapsed());
    victim.is_well();
}

#[test]
fn a_slow_trickle_of_headers_is_ended() {
    let _machine = beside_others();
    let victim = Victim::new();
    let mut node = victim.open();
    node.send(b"POST /get HTTP/1.1\r\nHost: h\r\nX: ").expect("the connection is open");
    let ((), elapsed) = wait_for("the end of a trickle", HALF_REQUEST_LIMIT, || {
        // An error says that the node has hung up.
        if node.send(b"y").is_err() { Ok(()) } else { Err("the node still listens") }
    });
    println!("ended after {elapsed:?}");
    victim.is_well();
}

#[test]
fn thousands_of_idle_connections_do_not_stop_the_service() {
    let _machine = alone();
    let victim = Victim::new();
    let mut old = victim.open();
    let count = if files_limit() >= 6_000 { 5_000 } else { 500 };
    let mut idle = Vec::new();
    for _ in 0..count / 250 {
        idle.extend((0..250).map_while(|_| TcpStream::connect(&victim.name).ok()));
        let alive = old.post("node", "{}").expect("whoever was there before and goes on asking is served");
        assert_eq!(alive.status, 200);
    }
    println!("{} idle connections", idle.len());
    victim.is_well(); // at once: a newcomer need not wait for a deadline of theirs
    drop(idle);
    victim.is_well();
}

#[test]
fn works_where_the_seed_failed_nobody_from_elsewhere_can_shut_a_node_down() {
    let _machine = beside_others();
    let Some(hosts) = Hosts::new() else {
        return println!("not tried: this user may not make network namespaces, so there is no elsewhere");
    };
    let mut server =
        Process::start(Hosts::program_at(&hosts.near).args(["http", "server", Hosts::NEAR, "4567", "8"]));
    server.wait_until_it_says("Running on").expect("it serves");
    let client = |host: &str, arguments: &[&str]| {
        let arguments = [&["http", "client", Hosts::NEAR, "4567"], arguments].concat();
        run_command(Hosts::program_at(host).args(arguments))
    };
    let refused = |ended: Ended| {
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    };
    refused(client(&hosts.far, &["create"]));
    refused(client(&hosts.far, &["join", Hosts::FAR, "4567"]));
    assert_eq!(client(&hosts.near, &["create"]).code, Some(0), "its own host may");
    refused(client(&hosts.far, &["shutdown"]));
    let stored = client(&hosts.far, &["put", "foo", "bar"]);
    assert_eq!(stored.code, Some(0), "keys are for everybody: {stored:?}");

    let raw = format!(
        "exec 3<>/dev/tcp/{}/4567; printf 'POST /shutdown HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\
         Content-Length: 2\\r\\n\\r\\n{{}}' >&3; cat <&3",
        Hosts::NEAR
    );
    let answer = run_command(Command::new("ip").args(["netns", "exec", &hosts.far, "bash", "-c", &raw]));
    assert!(
        answer.stdout.starts_with("HTTP/1.1 403 ") && answer.stdout.contains(r#"{"error": ""#),
        "{answer:?}"
    );
    assert!(server.ended().is_none());

    assert_eq!(client(&hosts.near, &["shutdown"]).code, Some(0), "its own host may");
    assert_eq!(server.wait(), Some(0), "{}", server.stderr());
}
