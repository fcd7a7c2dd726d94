//! What a node tells of itself in numbers, against what was counted from outside; and whether it says that it is well.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]
#![allow(clippy::float_cmp, reason = "whole numbers are told exactly")]

#[allow(dead_code, reason = "other tests need more of it")]
mod rest_client;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use chord_kv::replication::{Change, Condition, Consistency, Expiry, Operation};
use chord_kv::{Key, Value};
use chord_node::{Client, Limits, Network, Node, RingEvent};
use chord_ring::RingSize;
use chord_wire::rest::DoorsBody;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use rest_client::{DEADLINE, ask, ask_with, put, ring};

/// All numbers of a node, by the name and the labels of each.
async fn numbers(node: &Node) -> BTreeMap<String, f64> {
    let answer = ask(node, "GET /metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let series = answer.text().lines().filter(|line| !line.starts_with('#'));
    let pairs = series.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

fn sum(numbers: &BTreeMap<String, f64>, begins: &str, has: &str) -> f64 {
    numbers
        .iter()
        .filter(|(name, _)| name.starts_with(begins) && name.contains(has))
        .map(|(_, number)| number)
        .sum()
}

async fn redis(node: &Node, commands: &str) -> String {
    let mut stream = TcpStream::connect(node.name().as_str()).await.unwrap();
    stream.write_all(format!("{commands}QUIT\r\n").as_bytes()).await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answers)).await.unwrap().unwrap();
    answers
}

#[tokio::test]
async fn the_numbers_are_those_of_what_was_asked() {
    let nodes = ring().await;
    for count in 0..30 {
        let stored = put(&nodes[0], &format!("/v1/kv/key-{count}"), "", b"v").await;
        assert_eq!(stored.status, 201);
    }
    for count in 0..40 {
        let expected = if count < 30 { 200 } else { 404 };
        assert_eq!(ask(&nodes[1], &format!("GET /v1/kv/key-{count}")).await.status, expected);
    }
    assert_eq!(put(&nodes[0], "/v1/kv/key-1", "if-none-match: *\r\n", b"v").await.status, 412);
    let answers =
        redis(&nodes[0], "SET a 1\r\nINCR a\r\nGET a\r\nGET nothing\r\nINCR key-1\r\nDEL a\r\nDEL a\r\n")
            .await;
    assert!(answers.contains("+OK") && answers.contains("-ERR"), "{answers}");

    let [first, second, third] =
        [numbers(&nodes[0]).await, numbers(&nodes[1]).await, numbers(&nodes[2]).await];
    let count = |of: &BTreeMap<String, f64>, door: &str, operation: &str, result: &str| {
        of[&format!(
            "chord_operations_total{{door=\"{door}\",operation=\"{operation}\",result=\"{result}\"}}"
        )]
    };
    let expected = [
        (&first, "rest", "set", "ok", 30.0),
        (&first, "rest", "set", "refused", 1.0),
        (&second, "rest", "get", "ok", 30.0),
        (&second, "rest", "get", "absent", 10.0),
        (&first, "redis", "set", "ok", 1.0),
        (&first, "redis", "add", "ok", 1.0),
        (&first, "redis", "add", "refused", 1.0),
        (&first, "redis", "get", "ok", 1.0),
        (&first, "redis", "get", "absent", 1.0),
        (&first, "redis", "delete", "ok", 1.0),
        (&first, "redis", "delete", "absent", 1.0),
    ];
    for (of, door, operation, result, number) in expected {
        assert_eq!(count(of, door, operation, result), number, "{door} {operation} {result}");
    }
    // All that clients asked, and nothing else, is counted: by how it ended, by how long it took and by its hops.
    for (of, rest, redis) in [(&first, 31.0, 7.0), (&second, 40.0, 0.0), (&third, 0.0, 0.0)] {
        for (door, number) in [("rest", rest), ("redis", redis), ("xmlrpc", 0.0), ("library", 0.0)] {
            let label = format!("door=\"{door}\"");
            assert_eq!(sum(of, "chord_operations_total", &label), number, "{door}");
            assert_eq!(sum(of, "chord_operation_duration_seconds_count", &label), number, "{door}");
        }
    }
    assert_eq!(second["chord_operation_hops_count"], 40.0);
    // In a ring of three everybody knows everybody, so what was forwarded was so once: to an owner, which counts it too.
    let by_peers = |of| sum(of, "chord_operations_total", "door=\"peer\"");
    let forwarded: f64 = [&first, &second, &third].into_iter().map(by_peers).sum();
    let hops = first["chord_operation_hops_sum"] + second["chord_operation_hops_sum"];
    // A change that is refused has no hops.
    assert!((forwarded - hops - 1.0).abs() <= 1.0 && hops > 0.0, "{forwarded} and {hops}");
    let stored: f64 = [&first, &second, &third].into_iter().map(|of| of["chord_records"]).sum();
    assert_eq!(stored, 31.0, "thirty keys, and a deletion");
    assert_eq!(first["chord_connections{protocol=\"redis\"}"], 0.0);
    assert_eq!(first["chord_connections_opened_total{protocol=\"redis\"}"], 1.0);
    assert_eq!((first["chord_member"], first["chord_ready"], first["chord_successors"]), (1.0, 1.0, 2.0));
    assert_eq!(first["chord_peers{state=\"well\"}"], 2.0);
    let told = ask(&nodes[1], "GET /v1/node").await;
    assert!(
        told.text().contains("\"reads\":{\"ok\":30,\"absent\":10,\"refused\":0,\"failed\":0,"),
        "{}",
        told.text()
    );
    for node in nodes {
        node.shutdown().await;
    }
}

/// How many operations have ended at a node, by the door at which they came, as it tells it itself.
async fn doors(node: &Node) -> DoorsBody {
    let client = Client::new(node.name().clone());
    client.report(DEADLINE).await.unwrap().work.doors.expect("it is of this version")
}

/// The same of all nodes as the live event has it, which the page shows.
async fn doors_shown(by: &Node, n_nodes: usize) -> BTreeMap<String, DoorsBody> {
    let looking = async {
        let mut live = Client::new(by.name().clone()).live_ring(DEADLINE).await.unwrap();
        let mut shown = BTreeMap::new();
        while shown.len() < n_nodes {
            let (RingEvent::Ring(picture) | RingEvent::Changes(picture)) = live.next().await.unwrap();
            let told =
                picture.nodes.into_iter().filter_map(|seen| Some((seen.node, seen.report?.work.doors?)));
            shown.extend(told);
        }
        shown
    };
    tokio::time::timeout(DEADLINE, looking).await.expect("all are shown")
}

/// Has so many keys stored through one door of a node, and read there again.
async fn store_and_read(node: &Node, door: &str, count: u32) {
    let binary = Client::new(node.name().clone());
    for number in 0..count {
        let name = format!("{door}-{number}");
        match door {
            "rest" => {
                assert_eq!(put(node, &format!("/v1/kv/{name}"), "", b"v").await.status, 201);
                assert_eq!(ask(node, &format!("GET /v1/kv/{name}")).await.text(), "v");
            }
            "redis" => {
                let answers = redis(node, &format!("SET {name} v\r\nGET {name}\r\n")).await;
                assert_eq!(answers, "+OK\r\n$1\r\nv\r\n+OK\r\n");
            }
            "json" => {
                let said = format!("{{\"key\": \"{name}\", \"value\": \"v\"}}");
                assert_eq!(ask_with(node, "POST /put", "", said.as_bytes()).await.status, 200);
                let said = format!("{{\"key\": \"{name}\"}}");
                let got = ask_with(node, "POST /get", "", said.as_bytes()).await;
                assert!(got.status == 200 && got.text().contains("\"v\""), "{}", got.text());
            }
            "xmlrpc" => {
                let text = |name: &str, text: &str| {
                    format!("<member><name>{name}</name><value><string>{text}</string></value></member>")
                };
                let put = ("put", text("key", &name) + &text("value", "v"));
                for (method, members) in [put, ("get", text("key", &name))] {
                    let call = format!(
                        "<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params><param><value>\
                         <struct>{members}</struct></value></param></params></methodCall>"
                    );
                    let answer = ask_with(node, "POST /RPC2", "", call.as_bytes()).await;
                    assert!(!answer.text().contains("<fault>"), "{}", answer.text());
                    assert_eq!(answer.text().contains("<string>v</string>"), method == "get");
                }
            }
            "binary" => {
                let key = Key::new(name.as_bytes()).unwrap();
                let change = Change::Set(Value::new(b"v", 1).unwrap());
                let set = Operation::Change { change, condition: Condition::Always, expiry: Expiry::Never };
                for operation in [set, Operation::Get] {
                    let done = binary.operate(key.clone(), operation, Consistency::Usual, DEADLINE).await;
                    assert!(done.unwrap().outcome.record.is_some());
                }
            }
            _ => {
                node.put(name.as_bytes(), b"v").await.unwrap();
                assert!(node.get(name.as_bytes()).await.unwrap().value.is_some());
            }
        }
    }
}

#[tokio::test]
async fn what_comes_by_each_door_is_counted_there_and_once_more_at_the_owner() {
    let nodes = ring().await;
    let position = |node: &Node| node.view().state().unwrap().peer.position;
    // No two numbers are the same, nor the sum of others: what is counted at another door is noticed.
    let asked = [("rest", 1), ("redis", 2), ("json", 4), ("xmlrpc", 8), ("binary", 16), ("library", 32)];
    let mut by_owner = BTreeMap::from([(nodes[1].name().to_string(), 0), (nodes[2].name().to_string(), 0)]);
    for (door, count) in asked {
        store_and_read(&nodes[0], door, count).await;
        for number in 0..count {
            let at = Key::new(format!("{door}-{number}").as_bytes()).unwrap().position(RingSize::DEFAULT);
            let owner = nodes.iter().min_by_key(|node| RingSize::DEFAULT.distance(at, position(node)));
            // It is stored there and read there.
            by_owner.entry(owner.unwrap().name().to_string()).and_modify(|times| *times += 2);
        }
    }
    // None of this is an operation on a key, or it is one that is not done.
    assert_eq!(redis(&nodes[0], "PING\r\nDBSIZE\r\n").await.lines().next(), Some("+PONG"));
    assert_eq!(ask_with(&nodes[0], "POST /node", "", b"{}").await.status, 200);
    assert_eq!(ask(&nodes[0], "GET /v1/lookup/rest-0").await.status, 200);
    assert_eq!(ask(&nodes[0], "GET /healthz").await.status, 200);

    let first =
        DoorsBody { rest: 2, redis: 4, json: 8, xmlrpc: 16, binary: 32, library: 64, ..DoorsBody::default() };
    let of_peers = |node: &Node| DoorsBody { peer: by_owner[node.name().as_str()], ..DoorsBody::default() };
    let expected = [first, of_peers(&nodes[1]), of_peers(&nodes[2])];
    for (node, expected) in nodes.iter().zip(&expected) {
        assert_eq!(doors(node).await, *expected, "{} tells it", node.name());
    }
    for by in &nodes {
        let shown = doors_shown(by, nodes.len()).await;
        for (node, expected) in nodes.iter().zip(&expected) {
            assert_eq!(shown[node.name().as_str()], *expected, "{} shows it of {}", by.name(), node.name());
        }
    }
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_node_says_whether_it_is_well_and_ready_and_why_not() {
    let alone = Node::builder().listen("127.0.0.1:0").wait_for_command().start().await.unwrap();
    let ready = ask(&alone, "GET /readyz").await;
    assert_eq!((ready.status, ready.header("retry-after")), (503, Some("1")));
    assert_eq!(
        ready.text(),
        "{\"ok\":false,\"reasons\":[{\"code\":\"not-member\",\"detail\":\"this node is in no ring yet\"}],\
         \"probe\":{\"found\":\"unknown\",\"successor\":\"unknown\",\"predecessor\":\"unknown\"}}\n"
    );
    let healthy = ask(&alone, "GET /healthz?verbose").await;
    assert_eq!(healthy.status, 200);
    assert!(
        healthy.text().starts_with("{\"ok\":true,\"reasons\":[{\"code\":\"not-member\""),
        "{}",
        healthy.text()
    );
    alone.create().await.unwrap();
    tokio::time::timeout(DEADLINE, async {
        while ask(&alone, "GET /readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it becomes ready");
    let ready = ask(&alone, "GET /readyz").await;
    assert!(ready.text().starts_with("{\"ok\":true,\"reasons\":[],"), "{}", ready.text());
    for path in ["/readyz", "/healthz", "/metrics"] {
        let head = ask(&alone, &format!("HEAD {path}")).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(ask(&alone, &format!("DELETE {path}")).await.problem(), (405, "method-not-allowed"));
        let foreign = ask_with(&alone, &format!("GET {path}"), "origin: http://elsewhere\r\n", b"").await;
        assert_eq!(foreign.problem(), (403, "forbidden"));
    }
    let open =
        ask_with(&alone, "GET /metrics", "accept: application/openmetrics-text; version=1.0.0\r\n", b"")
            .await;
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
    alone.shutdown().await;
}

#[tokio::test]
async fn no_key_is_in_the_numbers() {
    let node = rest_client::node(Limits::default()).await;
    assert_eq!(put(&node, "/v1/kv/%22%7D%0Abullion", "", b"treasure").await.status, 201);
    let answer = ask(&node, "GET /metrics").await;
    assert!(!answer.text().contains("bullion") && !answer.text().contains("treasure"));
    node.shutdown().await;
}

#[tokio::test]
async fn the_numbers_are_told_when_there_is_no_room_for_anything_else() {
    let node = rest_client::node(Limits { bodies_bytes: 0, ..Limits::default() }).await;
    assert_eq!(numbers(&node).await["chord_bodies_limit_bytes"], 0.0);
    node.shutdown().await;
}

#[tokio::test]
async fn an_operation_is_counted_whose_client_goes_away_before_it_ends() {
    let nodes = ring().await;
    let dropped = |numbers: &BTreeMap<String, f64>, door: &str| {
        numbers[&format!("chord_operations_total{{door=\"{door}\",operation=\"get\",result=\"dropped\"}}")]
    };
    // Some of these keys are others', so that they cannot be answered at once; nobody asks a second time.
    let unanswered =
        (0..64).filter(|count| nodes[0].get(format!("key-{count}").as_bytes()).now_or_never().is_none());
    let unanswered = u32::try_from(unanswered.count()).unwrap();
    let told = numbers(&nodes[0]).await;
    assert!(unanswered > 0);
    assert_eq!(dropped(&told, "library"), f64::from(unanswered));
    assert_eq!(sum(&told, "chord_operations_total", "door=\"library\""), 64.0, "all are counted, and once");
    let lasted = "chord_operation_duration_seconds_count{door=\"library\",kind=\"read\"}";
    assert_eq!(told[lasted], f64::from(64 - unanswered), "how long it took nobody knows");
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_command_whose_connection_is_reset_while_the_owner_cannot_be_reached_is_counted() {
    let network = Network::new();
    let builder = Node::builder().listen("127.0.0.1:0").network(network.clone());
    let first = builder.clone().start().await.unwrap();
    let second = builder.join(first.name().clone()).start().await.unwrap();
    let nodes = [first, second];
    rest_client::become_ready(&nodes).await;
    network.cut([nodes[1].name().clone()]);
    let name = nodes[0].name().as_str();
    let is_told = async || {
        let told = numbers(&nodes[0]).await;
        told["chord_operations_total{door=\"redis\",operation=\"get\",result=\"dropped\"}"] > 0.0
    };
    let reset = async {
        for count in 0.. {
            let mut stream = TcpStream::connect(name).await.unwrap();
            stream.write_all(format!("GET key-{count}\r\n").as_bytes()).await.unwrap();
            // What this node can answer by itself is there at once.
            let answered = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
            if answered.is_err() {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reset).await.expect("the other node owns some of the keys");
    let counted = async {
        while !is_told().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, counted).await.expect("it is counted");
    network.heal();
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn how_long_commits_took_is_counted_once_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::builder().listen("127.0.0.1:0").data(folder.path()).start().await.unwrap();
    for count in 0..5 {
        node.put(format!("key-{count}").as_bytes(), b"value").await.unwrap();
    }
    let counted = async {
        loop {
            let told = numbers(&node).await;
            let took = "chord_store_commit_duration_seconds";
            let count = told[&format!("{took}_count")];
            // It is counted a moment after it has become durable.
            if count >= 5.0 && count == told["chord_store_commits_total"] {
                assert_eq!(told[&format!("{took}_bucket{{le=\"+Inf\"}}")], count);
                let (sum, within) =
                    (told[&format!("{took}_sum")], told[&format!("{took}_bucket{{le=\"10\"}}")]);
                assert!(sum > 0.0 && sum < 10.0 * count && within == count, "{sum} s, {within} within ten");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, counted).await.expect("all commits are counted");
    assert!(numbers(&node).await["process_start_time_seconds"] > 1.6e9);
    let told = ask(&node, "GET /v1/node").await;
    assert!(told.text().contains("\"process\":{\"cpu_seconds\":"), "{}", told.text());
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_with_threads_of_its_own_is_asked_and_ended_at_them() {
    let builder = || Node::builder().listen("127.0.0.1:0").threads(NonZeroUsize::new(2).unwrap());
    let first = builder().start().await.unwrap();
    let second = builder().join(first.name().clone()).start().await.unwrap();
    tokio::time::timeout(DEADLINE, second.ready()).await.unwrap().unwrap();
    let begun = (0..20).map(|count| {
        let (node, other) = if count % 2 == 0 { (&first, &second) } else { (&second, &first) };
        async move {
            assert_eq!(redis(node, &format!("SET key-{count} {count}\r\n")).await, "+OK\r\n+OK\r\n");
            let got = ask(other, &format!("GET /v1/kv/key-{count}")).await;
            assert_eq!(got.text(), count.to_string());
        }
    });
    futures_util::future::join_all(begun).await;
    // This test has one thread, and the node two more.
    assert_eq!(numbers(&first).await["chord_runtime_workers"], 3.0);
    // Who asks for the end of a node is served by a thread that ends with it.
    let ended = ask(&first, "POST /shutdown").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    tokio::time::timeout(DEADLINE, first.stopped()).await.expect("it has left");
    for count in 0..20 {
        let got = ask(&second, &format!("GET /v1/kv/key-{count}")).await;
        assert_eq!(got.text(), count.to_string(), "it was handed over");
    }
}

#[tokio::test]
async fn the_numbers_of_lookups_and_of_the_ring_are_those_of_what_was_seen() {
    let begun = std::time::SystemTime::now();
    let nodes = ring().await;
    let before = numbers(&nodes[0]).await;
    let mut hops = 0;
    for count in 0..100 {
        let answer = ask(&nodes[0], &format!("GET /v1/lookup/key-{count}")).await;
        assert_eq!(answer.status, 200);
        let (_, told) = answer.text().split_once("\"hops\":").expect("a lookup tells its hops");
        let digits: String = told.chars().take_while(char::is_ascii_digit).collect();
        hops += digits.parse::<u32>().unwrap();
    }
    let after = numbers(&nodes[0]).await;
    let more = |name: &str| after[name] - before[name];
    let found = more("chord_lookups_total{result=\"found\"}");
    // The node itself asks now and then, too.
    assert!((100.0..120.0).contains(&found), "{found}");
    assert_eq!(more("chord_lookup_hops_count"), found);
    let of_own = 20.0;
    let told = more("chord_lookup_hops_sum");
    let asked = f64::from(hops);
    assert!(hops > 0 && (asked..=asked + of_own).contains(&told), "{told} rather than {hops}");

    let since =
        |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let (begun, now) = (since(begun), since(std::time::SystemTime::now()));
    let started = after["chord_start_time_seconds"];
    assert!((begun - 0.01..=now).contains(&started), "{started} is not between {begun} and {now}");
    let report = Client::new(nodes[0].name().clone()).report(DEADLINE).await.unwrap();
    assert_eq!(after["chord_fingers"], f64::from(u32::try_from(report.ring.fingers.len()).unwrap()));
    assert_eq!(after["chord_successors_wanted"], 8.0);

    // Whoever leaves was the successor of one of the others, and the predecessor of the other.
    let changes = [
        "chord_successor_changes_total",
        "chord_predecessor_changes_total",
        "chord_maintenance_rounds_total",
    ];
    let of_both = async |nodes: &[Node]| {
        let both = [numbers(&nodes[0]).await, numbers(&nodes[1]).await];
        changes.map(|name| both.iter().map(|of| of[name]).sum::<f64>())
    };
    let old = of_both(&nodes).await;
    nodes[2].shutdown().await;
    let told = async {
        loop {
            let new = of_both(&nodes).await;
            if new.iter().zip(old).all(|(new, old)| *new > old) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect("the changes of neighbours are counted");
    for node in &nodes[..2] {
        node.shutdown().await;
    }
}
