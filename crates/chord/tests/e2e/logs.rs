//! The log for programs: whatever clients and other nodes say, each line is one JSON object, and nothing of what they keep is in it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::support::{Connection, Process, free_port, program};

const LIMIT: Duration = Duration::from_secs(20);

/// What may be in a key, a value or a name: quotes, markup, control characters, and 4 KB of emoji.
fn hostile() -> Vec<String> {
    let words = [
        "\"quoted\" secret-a",
        "<b onclick=x>secret-b",
        "\u{1b}[31msecret-c\u{7}",
        "secret-d\n{\"event\":\"forged\"}",
    ];
    let emoji = format!("secret-e{}", "\u{1f980}".repeat(1000));
    words.into_iter().map(str::to_owned).chain([emoji]).collect()
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

fn say(node: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(node).expect("the node is there");
    stream.set_read_timeout(Some(LIMIT)).expect("it is a socket");
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // What it answers matters elsewhere; only that it has done so.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// All that the node has logged, each line read as JSON.
fn lines(node: &Process) -> Vec<Value> {
    let text = node.stderr();
    let objects =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    objects.collect()
}

#[test]
fn every_line_is_one_object_with_its_event_and_none_has_a_key_or_a_value() {
    let name = format!("127.0.0.1:{}", free_port());
    let listen = ["serve", "--listen", &name, "--log", "trace", "--log-format", "json"];
    let mut node = Process::start(program().args(listen));
    node.wait_until_it_says("\"event\":\"joined\"").expect("it founds a ring");
    for word in hostile() {
        let path = encoded(&word);
        let length = word.len();
        say(&name, format!("PUT /v1/kv/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{word}").as_bytes());
        say(&name, format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        say(
            &name,
            format!("*3\r\n$3\r\nSET\r\n${length}\r\n{word}\r\n${length}\r\n{word}\r\n*1\r\n$4\r\nQUIT\r\n")
                .as_bytes(),
        );
        say(&name, format!("*1\r\n${length}\r\n{word}\r\n*1\r\n$4\r\nQUIT\r\n").as_bytes());
        let join = serde_json::json!({ "remote_node": word }).to_string();
        say(
            &name,
            format!(
                "POST /join HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{join}",
                join.len()
            )
            .as_bytes(),
        );
        say(&name, format!("{word}\r\n\r\n").as_bytes());
    }
    let mut connection = Connection::open(&name).expect("the node is there");
    connection.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it listens");
    let numbers = connection.read_response().expect("it answers").body;
    node.signal("TERM");
    assert_eq!(node.wait(), Some(0));
    node.wait_until_it_says("\"event\":\"left\"").expect("it says that it has left");

    let lines = lines(&node);
    for line in &lines {
        let is_ours = line["target"].as_str().is_some_and(|target| target.starts_with("chord"));
        let is_for_people = ["INFO", "WARN", "ERROR"].map(Value::from).contains(&line["level"]);
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
        assert!(!(is_ours && is_for_people) || line["event"].is_string(), "{line}");
        assert_ne!(line["event"], "forged");
    }
    let said = node.stderr() + &String::from_utf8(numbers).expect("numbers are text");
    for secret in ["secret-", "\u{1f980}", "\u{1b}", "\u{7}"] {
        assert!(!said.contains(secret), "{secret:?} in {said}");
    }
}
