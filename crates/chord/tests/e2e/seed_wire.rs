//! The seed's commands over HTTP, as the wire's documentation (sections 1, 2 and 6) has them, between five processes.

use std::io::Write;
use std::net::TcpListener;

use serde_json::json;

use crate::support::*;

fn key_body(key: &str) -> String {
    json!({ "key": key }).to_string()
}

fn join_body(remote: &str) -> String {
    json!({ "remote_node": remote }).to_string()
}

fn connections(names: &[String]) -> Vec<Connection> {
    names.iter().map(|name| Connection::open(name).expect("the node listens")).collect()
}

#[test]
fn a_thousand_keys_are_found_through_every_node() {
    let _machine = beside_others();
    let cluster = Cluster::ring(5, 8);
    let (names, oracle) = (cluster.names(), cluster.oracle());
    let mut nodes = connections(&names);
    for idx in 0..1_000 {
        let (key, at) = (format!("key {idx} ü"), idx % names.len());
        let body =
            json!({ "key": key, "value": format!("value {idx} \"ü\""), "no_redirect": false }).to_string();
        let stored = nodes[at].post("put", &body).expect("put is answered").fields(&["storage_node", "hops"]);
        assert_eq!(stored["storage_node"], json!(oracle.owner_of_key(&key)), "{key}");
        assert!(stored["hops"].as_u64() <= Some(4), "{stored}");
    }
    for idx in 0..1_000 {
        let key = format!("key {idx} ü");
        let expected = (oracle.owner_of_key(&key), format!("value {idx} \"ü\""));
        for (node, name) in nodes.iter_mut().zip(&names) {
            let got = node.post("get", &key_body(&key)).expect("get is answered");
            let got = got.fields(&["storage_node", "hops", "value", "found"]);
            let seen = (&got["storage_node"], &got["value"], &got["found"]);
            assert_eq!(seen, (&json!(expected.0), &json!(expected.1), &json!(true)), "{key} at {name}");
            assert_eq!(got["hops"] == 0, expected.0 == name, "{key} at {name}: {got}");
        }
    }
}

#[test]
fn every_answer_has_exactly_the_fields_of_the_wire() {
    let _machine = beside_others();
    let cluster = Cluster::ring(5, 8);
    let (names, oracle) = (cluster.names(), cluster.oracle());
    for name in &names {
        let says = |command: &str, body: &str, fields: &[&str]| ask(name, command, body).fields(fields);
        assert_eq!(says("node", "{}", &["node", "is_alive"]), json!({ "node": name, "is_alive": true }));
        let before = json!({ "node": oracle.predecessor(name) });
        assert_eq!(says("get_predecessor", "{}", &["node"]), before);
        let list = says("get_successor_list", "{}", &["successor_list"]);
        assert_eq!(list, json!({ "successor_list": oracle.successor_list(name) }));
        assert_eq!(oracle.successor_list(name).len(), 8, "one entry for each bit of the ring size");
        let found = says("find_successor", &key_body("foo"), &["node", "hops"]);
        assert_eq!(found["node"], json!(oracle.owner_of_key("foo")));
        let absent =
            says("get", &key_body("nobody stored this"), &["storage_node", "hops", "value", "found"]);
        assert_eq!((&absent["value"], &absent["found"]), (&json!(null), &json!(false)));
        says("put", r#"{"key": "", "value": ""}"#, &["storage_node", "hops"]);
        assert_eq!(ask(name, "get", &key_body("")).json()["value"], json!(""));
        let before = oracle.predecessor(name).expect("five nodes have predecessors");
        says("notify", &join_body(&before), &[]);
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn a_node_alone_owns_everything_and_knows_nobody() {
    let _machine = beside_others();
    let cluster = Cluster::idle(1, 7);
    let name = &cluster.names()[0];
    assert_eq!(ask(name, "node", "{}").fields(&["node", "is_alive"])["node"], json!(name));
    assert_eq!(ask(name, "create", "{}").fields(&[]), json!({}));
    assert_eq!(ask(name, "get_predecessor", "{}").fields(&["node"]), json!({ "node": null }));
    let list = ask(name, "get_successor_list", "{}").json();
    assert_eq!(list, json!({ "successor_list": vec![name; 7] }));
    let found = ask(name, "find_successor", r#"{"key": 0}"#).json();
    assert_eq!(found, json!({ "node": name, "hops": 0 }));
}

#[test]
fn one_connection_serves_many_requests() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 8);
    let mut node = Connection::open(&cluster.names()[0]).expect("the node listens");
    for idx in 0..200 {
        let answer = node.post("node", "{}").unwrap_or_else(|error| panic!("request {idx}: {error}"));
        assert_ne!(answer.header("connection"), Some("close"));
    }
    let two = [post_request("node", b"{}"), post_request("get_predecessor", b"{}")].concat();
    node.send(&two).expect("the connection is open");
    node.read_response().expect("the first is answered").fields(&["node", "is_alive"]);
    node.read_response().expect("the second is answered").fields(&["node"]);
}

#[test]
fn extra_fields_other_content_types_and_missing_optional_fields_are_accepted() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 8);
    let name = &cluster.names()[0];
    ask(name, "put", r#"{"key": "a", "value": "b", "colour": ["blue", {"deep": null}]}"#)
        .fields(&["storage_node", "hops"]);
    let mut node = Connection::open(name).expect("the node listens");
    let body = key_body("a");
    let length = body.len();
    for content_type in
        ["Content-Type: text/html\r\n", "Content-Type: application/x-www-form-urlencoded\r\n", ""]
    {
        let request =
            format!("POST /get HTTP/1.1\r\nHost: h\r\n{content_type}Content-Length: {length}\r\n\r\n{body}");
        node.send(request.as_bytes()).expect("the connection is open");
        assert_eq!(node.read_response().expect("get is answered").json()["value"], json!("b"));
    }
}

/// The owner that `node` finds for a body that is sent as it is.
fn owner_by(node: &mut Connection, body: &str) -> String {
    let found = node.post("find_successor", body).expect("find_successor is answered");
    found.fields(&["node", "hops"])["node"].as_str().expect("a node is a string").to_owned()
}

#[test]
fn find_successor_agrees_with_the_sorted_ring_at_160_bits() {
    let _machine = beside_others();
    let cluster = Cluster::ring(5, 160);
    let (names, oracle) = (cluster.names(), cluster.oracle());
    let mut numbers = vec![[0; 32], power_of_two(160), [0xff; 32]];
    numbers.extend([0, 1, 31, 32, 53, 63, 64, 65, 127, 128, 159].map(power_of_two));
    numbers.extend(names.iter().map(|name| position(name, 160)));
    numbers.extend(names.iter().map(|name| increment(position(name, 160))));
    for (node, name) in connections(&names).iter_mut().zip(&names) {
        for number in &numbers {
            let body = format!(r#"{{"key": {}}}"#, decimal(*number));
            assert_eq!(owner_by(node, &body), oracle.owner(*number), "{body} at {name}");
        }
        for key in ["5", "0", "", "ключ", "foo", "18446744073709551616"] {
            assert_eq!(owner_by(node, &key_body(key)), oracle.owner_of_key(key), "{key:?} at {name}");
        }
    }
}

#[test]
fn positions_are_those_of_the_reference_at_every_ring_size() {
    let _machine = beside_others();
    for ring_size in [1, 7, 8, 31, 32, 63, 64, 65, 127, 128, 160, 255, 256] {
        let cluster = Cluster::ring(if ring_size == 1 { 2 } else { 3 }, ring_size);
        let oracle = cluster.oracle();
        let mut nodes = connections(&cluster.names());
        for (text, positions) in reference_positions() {
            let (_, number) =
                positions.iter().find(|(size, _)| *size == ring_size).expect("the reference has it");
            let node = &mut nodes[text.len() % cluster.servers.len()];
            let expected = oracle.owner_of_key(&text);
            assert_eq!(owner_by(node, &key_body(&text)), expected, "{text:?} at ring size {ring_size}");
            let body = format!(r#"{{"key": {number}}}"#);
            assert_eq!(owner_by(node, &body), expected, "{text:?} at {number} at ring size {ring_size}");
        }
    }
}

#[test]
fn no_redirect_stores_at_the_node_that_was_asked() {
    let _machine = beside_others();
    let cluster = Cluster::ring(3, 8);
    let oracle = cluster.oracle();
    for name in cluster.names() {
        let key = (0..1_000).map(|idx| format!("key {idx}")).find(|key| oracle.owner_of_key(key) != name);
        let key = key.expect("no node owns all keys");
        let body = json!({ "key": key, "value": "kept here", "no_redirect": true }).to_string();
        let stored = ask(&name, "put", &body).fields(&["storage_node", "hops"]);
        assert_eq!(stored, json!({ "storage_node": name, "hops": 0 }));
    }
}

#[test]
fn notify_with_null_forgets_the_predecessor_until_it_speaks_up() {
    let _machine = beside_others();
    let cluster = Cluster::ring(3, 8);
    for name in cluster.names() {
        let answer = ask(&name, "notify", r#"{"remote_node": null}"#);
        assert_eq!(answer.fields(&[]), json!({}));
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn works_where_the_seed_failed_two_nodes_on_one_position_are_refused() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(1, 3);
    let member = cluster.names().remove(0);
    let same = |name: &String| position(name, 3) == position(&member, 3);
    let twin =
        std::iter::repeat_with(|| format!("127.0.0.1:{}", free_port())).find(same).expect("one of eight is");
    cluster.servers.insert(twin.clone(), try_server(&twin, 3).expect("the port is free"));
    let refused = ask(&twin, "join", &join_body(&member));
    let sentence = refused.error();
    assert_eq!(refused.status, 409, "{sentence}");
    assert!(sentence.contains(&member) && sentence.contains(&twin), "{sentence} names both nodes");
    ask(&twin, "create", "{}").fields(&[]);
    let told = ask(&member, "notify", &join_body(&twin));
    assert!(told.error().contains(&twin), "{}", told.error());
    let list = ask(&member, "get_successor_list", "{}").json();
    assert_eq!(list, json!({ "successor_list": vec![&member; 3] }));
}

#[test]
fn nodes_with_different_ring_sizes_are_refused() {
    let _machine = beside_others();
    let (seven, eight) = (Cluster::ring(1, 7), Cluster::idle(1, 8));
    let (member, joiner) = (seven.names().remove(0), eight.names().remove(0));
    let refused = ask(&joiner, "join", &join_body(&member));
    let sentence = refused.error();
    assert_eq!(refused.status, 409, "{sentence}");
    assert!(sentence.contains("size 7") && sentence.contains("size 8"), "{sentence}");
    ask(&joiner, "create", "{}").fields(&[]);
    seven.wait_until_ideal(IDEAL_LIMIT);
    eight.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn create_and_join_on_a_running_node_are_a_conflict() {
    let _machine = beside_others();
    let cluster = Cluster::ring(2, 8);
    let names = cluster.names();
    for (command, body) in [("create", "{}".to_owned()), ("join", join_body(&names[1]))] {
        let answer = ask(&names[0], command, &body);
        assert_eq!(answer.status, 409, "{}", answer.error());
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn a_node_that_is_in_no_ring_says_so() {
    let _machine = beside_others();
    let cluster = Cluster::idle(1, 8);
    let name = &cluster.names()[0];
    for (command, body) in [
        ("get", key_body("foo")),
        ("put", r#"{"key": "foo", "value": "bar"}"#.to_owned()),
        ("find_successor", key_body("foo")),
    ] {
        let answer = ask(name, command, &body);
        assert!((400..600).contains(&answer.status) && answer.status != 500, "{command}: {}", answer.status);
        assert!(answer.error().contains("ring"), "{command}: {}", answer.error());
    }
}

/// Something that listens where a node was expected, and answers each connection with these bytes.
fn impostor(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let name = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(answer); // who hangs up has heard enough
            open.push(stream);
        }
    });
    name
}

#[test]
fn a_join_that_fails_says_why_and_leaves_the_node_as_it_was() {
    let _machine = beside_others();
    let mut cluster = Cluster::idle(2, 8);
    let names = cluster.names();
    let (joiner, idle) = (&names[0], &names[1]);
    let dead = format!("127.0.0.1:{}", free_port());
    let html = impostor(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>");
    let missing = impostor(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let mail = impostor(b"220 mail.example.org ESMTP\r\n");
    let silent = impostor(b"");
    for contact in [&dead, &html, &missing, &mail, &silent, joiner, idle] {
        let (answer, elapsed) = timed(joiner, "join", &join_body(contact));
        let answer = answer.expect("a join is answered");
        let sentence = answer.error();
        assert!((400..600).contains(&answer.status) && answer.status != 500, "{}: {sentence}", answer.status);
        assert!(sentence.contains(contact.as_str()), "{sentence} names {contact}");
        assert!(elapsed < REQUEST_LIMIT, "{elapsed:?}: {sentence}");
        println!("{} {sentence} ({elapsed:.1?})", answer.status);
    }
    ask(joiner, "create", "{}").fields(&[]);
    ask(idle, "join", &join_body(joiner)).fields(&[]);
    cluster.wait_until_ideal(IDEAL_LIMIT);
    let late = cluster.add_idle();
    ask(&late, "join", &join_body(idle)).fields(&[]);
    cluster.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn a_node_that_was_told_to_stop_stops_though_nobody_waits_for_the_answer() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(2, 7);
    let names = cluster.names();
    for idx in 0..2000 {
        let body = json!({ "key": format!("key {idx}"), "value": "v" }).to_string();
        ask(&names[0], "put", &body).fields(&["storage_node", "hops"]);
    }
    let mut connection = Connection::open(&names[0]).expect("the node listens");
    connection.send(&post_request("shutdown", b"{}")).expect("the node reads");
    drop(connection);
    let leaver = cluster.servers.get_mut(&names[0]).expect("it was started");
    assert_eq!(leaver.wait(), Some(0), "{}", leaver.stderr());
}
