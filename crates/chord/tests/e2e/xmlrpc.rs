//! XML-RPC, section 3 of the wire's documentation: Python's own client against real servers, and what no client sends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

/// The bytes of a POST of XML.
fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: node\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The sentence of the fault that a body is answered with.
#[track_caller]
fn fault_to(node: &str, body: &[u8]) -> String {
    let mut connection = Connection::open(node).expect("the node listens");
    // Whoever refuses a body need not read all of it.
    let _ = connection.send(&post("/RPC2", body));
    let response = connection.read_response().expect("the node answers");
    let text = String::from_utf8(response.body).expect("a fault is text");
    assert_eq!(response.status, 200, "{text}");
    let (_, rest) =
        text.split_once("<name>faultString</name><value><string>").unwrap_or_else(|| panic!("{text}"));
    rest.split_once("</string>").expect("the string ends").0.to_owned()
}

/// Three servers in a ring, driven by Python's client alone.
fn ring(python: &XmlRpc) -> Cluster {
    let cluster = Cluster::idle(3, 7);
    let names = cluster.names();
    assert_eq!(python.call(&names[0], "create", json!({})).answer(), json!({}));
    for name in &names[1..] {
        assert_eq!(python.call(name, "join", json!({ "remote_node": names[0] })).answer(), json!({}));
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
    cluster
}

#[test]
fn pythons_client_drives_a_ring_with_every_command() {
    let _machine = beside_others();
    let python = XmlRpc::start();
    let mut cluster = ring(&python);
    let (oracle, names) = (cluster.oracle(), cluster.names());
    let name = &names[0];

    assert_eq!(python.call(name, "node", json!({})).answer(), json!({ "node": name, "is_alive": true }));
    let before = json!({ "node": oracle.predecessor(name) });
    assert_eq!(python.call(name, "get_predecessor", json!({})).answer(), before);
    let list = json!({ "successor_list": oracle.successor_list(name) });
    assert_eq!(python.call(name, "get_successor_list", json!({})).answer(), list);
    assert_eq!(
        python.call(name, "notify", json!({ "remote_node": oracle.predecessor(name) })).answer(),
        json!({})
    );
    for (key, owner) in [(json!(0), oracle.owner([0; 32])), (json!("0"), oracle.owner_of_key("0"))] {
        let mut answer = python.call(name, "find_successor", json!({ "key": key })).answer();
        assert!(answer["hops"].take().as_u64().is_some_and(|n_hops| n_hops <= 2), "{answer}");
        assert_eq!(answer, json!({ "node": owner, "hops": null }));
    }

    let pairs = [
        ("foo", "bar"),
        ("Straße 🦀", "Grüße\nan 日本 <&\"'>]]>"),
        ("", ""),
        ("spaces", "  in front and behind\t "),
        ("lines", "one\rtwo\r\nthree\n"),
    ];
    for (key, value) in pairs {
        let fields = json!({ "key": key, "value": value, "no_redirect": false });
        let answer = python.call(name, "put", fields).answer();
        assert_eq!(answer["storage_node"], json!(oracle.owner_of_key(key)));
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2), "{answer}");
        // Python's client writes a carriage return bare, and XML makes a line feed of it.
        let value = value.replace("\r\n", "\n").replace('\r', "\n");
        for name in &names {
            let mut answer = python.call(name, "get", json!({ "key": key })).answer();
            answer["hops"].take();
            let owner = oracle.owner_of_key(key);
            let expected = json!({ "storage_node": owner, "hops": null, "value": value, "found": true });
            assert_eq!(answer, expected, "{key:?} through {name}");
        }
    }
    // What came through the other door comes out whole.
    ask(name, "put", &json!({ "key": "cr", "value": "a\r\nb\rc" }).to_string())
        .fields(&["storage_node", "hops"]);
    assert_eq!(python.call(name, "get", json!({ "key": "cr" })).answer()["value"], json!("a\r\nb\rc"));
    let absent = python.call(name, "get", json!({ "key": "nobody stored this" })).answer();
    assert_eq!((&absent["value"], &absent["found"]), (&Value::Null, &json!(false)));

    assert_eq!(python.call(name, "shutdown", json!({})).answer(), json!({}));
    assert_eq!(cluster.servers.get_mut(name).expect("it was started").wait(), Some(0));
    cluster.servers.remove(name);
    cluster.wait_until_ideal(IDEAL_LIMIT);
    let there = python.call(&names[1], "get", json!({ "key": "foo" })).answer();
    assert_eq!(there["value"], json!("bar"));
}

#[test]
fn the_node_tells_what_can_be_called() {
    let _machine = beside_others();
    let python = XmlRpc::start();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let methods = python.try_call(name, "system.listMethods", &json!([])).answer();
    let methods: Vec<String> = serde_json::from_value(methods).expect("a list of names");
    for command in [
        "node",
        "create",
        "join",
        "find_successor",
        "notify",
        "get_predecessor",
        "get_successor_list",
        "get",
        "put",
        "shutdown",
    ] {
        assert!(methods.iter().any(|method| method == command), "{command} is missing in {methods:?}");
    }
    for method in &methods {
        let help = python.try_call(name, "system.methodHelp", &json!([method])).answer();
        assert!(help.as_str().is_some_and(|help| help.ends_with('.')), "{method}: {help}");
        let signatures = python.try_call(name, "system.methodSignature", &json!([method])).answer();
        assert!(signatures[0][0].is_string(), "{method}: {signatures}");
    }
    let calls = json!([[
        { "methodName": "put", "params": [{ "key": "a", "value": "1" }] },
        { "methodName": "nonsense", "params": [] },
        { "methodName": "get", "params": [{ "key": "a" }] },
    ]]);
    let answers = python.try_call(name, "system.multicall", &calls).answer();
    assert_eq!(answers[0][0]["storage_node"], json!(name));
    assert_eq!(answers[1]["faultCode"], json!(-32601));
    assert_eq!(answers[2][0]["value"], json!("1"));
}

#[test]
fn what_cannot_be_done_is_a_fault_with_a_number_and_a_sentence() {
    let _machine = beside_others();
    let python = XmlRpc::start();
    let cluster = Cluster::ring(2, 7);
    let idle = Cluster::idle(1, 7);
    let (name, other) = (&cluster.names()[0], &idle.names()[0]);
    let dead = format!("127.0.0.1:{}", free_port());
    for (node, method, params) in [
        (name, "nonsense", json!([{}])),
        (name, "get", json!([])),
        (name, "get", json!([{}])),
        (name, "get", json!([{ "key": 5 }])),
        (name, "get", json!(["foo"])),
        (name, "get", json!([{ "key": "a" }, { "key": "b" }])),
        (name, "find_successor", json!([{ "key": -1 }])),
        (name, "find_successor", json!([{ "key": true }])),
        (name, "put", json!([{ "key": "a", "value": null }])),
        (name, "put", json!([{ "key": "a", "value": "b", "no_redirect": "no" }])),
        (name, "create", json!([{}])),
        (name, "join", json!([{ "remote_node": other }])),
        (name, "notify", json!([{ "remote_node": "nowhere" }])),
        (other, "get", json!([{ "key": "a" }])),
        (other, "join", json!([{ "remote_node": other }])),
        (other, "join", json!([{ "remote_node": dead }])),
    ] {
        let (code, sentence) = python.try_call(node, method, &params).fault();
        assert_ne!(code, 0, "{method} {params}: {sentence}");
    }
    assert_eq!(python.call(name, "get", json!({ "key": "a" })).answer()["found"], json!(false));
}

#[test]
fn a_text_that_xml_cannot_carry_is_a_fault_and_not_broken_xml() {
    let _machine = beside_others();
    let python = XmlRpc::start();
    let cluster = Cluster::ring(2, 7);
    for name in cluster.names() {
        ask(&name, "put", &json!({ "key": "bell", "value": "\u{7}" }).to_string())
            .fields(&["storage_node", "hops"]);
        let (_, sentence) = python.call(&name, "get", json!({ "key": "bell" })).fault();
        assert!(sentence.contains("XML"), "{sentence}");
    }
}

#[test]
fn nodes_that_prefer_xml_rpc_lose_nothing_that_xml_cannot_carry() {
    let _machine = beside_others();
    let names = free_names(3, 7);
    let servers: Vec<Process> =
        names.iter().map(|name| try_server_of("xmlrpc", name, 7).expect("the port is free")).collect();
    ask(&names[0], "create", "{}").fields(&[]);
    for name in &names[1..] {
        ask(name, "join", &json!({ "remote_node": names[0] }).to_string()).fields(&[]);
    }
    let oracle = Oracle::new(7, &names);
    wait_for("an ideal ring", IDEAL_LIMIT, || names.iter().try_for_each(|name| is_ideal_at(&oracle, name)));
    let keys: Vec<String> = (0..30).map(|idx| format!("\u{1}{idx}")).collect();
    for key in &keys {
        let body = json!({ "key": key, "value": "\u{0}\r\n" }).to_string();
        ask(&names[0], "put", &body).fields(&["storage_node", "hops"]);
    }
    for key in &keys {
        let answer = ask(&names[1], "get", &json!({ "key": key }).to_string());
        assert_eq!(answer.fields(&["storage_node", "hops", "value", "found"])["value"], json!("\u{0}\r\n"));
    }
    drop(servers);
}

#[test]
fn malformed_bodies_are_faults_and_the_node_stays_well() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let call = |inside: &str| {
        format!(
            "<methodCall><methodName>get</methodName><params><param>{inside}</param></params></methodCall>"
        )
    };
    let field = |value: &str| {
        call(&format!("<value><struct><member><name>key</name>{value}</member></struct></value>"))
    };
    let entity = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    for body in [
        String::new(),
        "{}".to_owned(),
        "<methodCall>".to_owned(),
        "<methodCall><methodName>get".to_owned(),
        "<html><body>no</body></html>".to_owned(),
        call("<value><array><data>"),
        field("<value><int>99999999999999999999</int></value>"),
        field("<value><boolean>maybe</boolean></value>"),
        field("<value>&unknown;</value>"),
        field("<value>&#1;</value>"),
        format!("{entity}{}", field("<value>&b;</value>")),
        call(&format!(
            "{}{}",
            "<value><array><data>".repeat(10_000),
            "</data></array></value>".repeat(10_000)
        )),
        call(&"<value><array><data>".repeat(10_000)),
        "<a>".repeat(100_000),
        format!("<methodCall><methodName>{}</methodName></methodCall>", "x".repeat(100_000)),
        call(&format!("<value><array><data>{}</data></array></value>", "<value/>".repeat(100_000))),
    ] {
        let sentence = fault_to(name, body.as_bytes());
        assert!(sentence.len() < 600, "{} … is answered {sentence}", &body[..body.len().min(60)]);
    }
    assert!(fault_to(name, b"\xff\xfe<").contains("UTF-8"));
    let good = field("<value>foo</value>");
    let mut connection = Connection::open(name).expect("the node listens");
    for path in ["/", "/RPC2"] {
        connection.send(&post(path, good.as_bytes())).expect("the node reads");
        let answer = connection.read_response().expect("the node answers");
        assert!(String::from_utf8_lossy(&answer.body).contains("<boolean>0</boolean>"), "{answer:?}");
    }
}

#[test]
fn a_body_of_a_hundred_megabytes_is_refused_and_not_kept() {
    let _machine = alone();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let sentence = fault_to(name, &vec![b'<'; 100 << 20]);
    assert!(sentence.contains("bytes"), "{sentence}");
    let kb = resident_kb(cluster.servers[name].id());
    assert!(kb < 60_000, "{kb} kB");
}

#[test]
fn a_multicall_answers_with_no_more_than_a_body_may_hold() {
    let _machine = beside_others();
    let python = XmlRpc::start();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let value = "&".repeat(700_000);
    ask(name, "put", &json!({ "key": "big", "value": value }).to_string()).fields(&["storage_node", "hops"]);
    let get = json!({ "methodName": "get", "params": [{ "key": "big" }] });
    let answers = python.try_call(name, "system.multicall", &json!([vec![get; 20]])).answer();
    let answers = answers.as_array().expect("one for each call");
    let n_whole = answers.iter().filter(|answer| answer[0]["value"] == json!(value)).count();
    assert_eq!((answers.len(), n_whole), (20, 2), "the value's limit is a mebibyte");
    assert!(
        answers[19]["faultString"].as_str().is_some_and(|sentence| sentence.contains("bytes")),
        "{}",
        answers[19]
    );
}

const NODE: &str = "<params><param><value><struct><member><name>node</name><value>ME</value></member><member>\
    <name>is_alive</name><value><boolean>1</boolean></value></member></struct></value></param></params>";
const FAULT: &str = "<fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member><member>\
    <name>faultString</name><value>no</value></member></struct></value></fault>";

fn in_xml(inside: &str) -> String {
    let body = format!("<?xml version='1.0'?><methodResponse>{inside}</methodResponse>");
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n{body}")
}

/// A server that says of itself, to `node` in XML-RPC alone, what a chord node does, and refuses the rest; it counts what
/// it is asked over each path.
fn half_a_node(elsewhere: &'static str) -> (String, std::sync::Arc<std::sync::Mutex<[usize; 2]>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let name = listener.local_addr().expect("it is bound").to_string();
    let counts = std::sync::Arc::new(std::sync::Mutex::new([0; 2]));
    let (me, counted) = (name.clone(), counts.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // One request for each connection; what it says is all in its first packets.
            let mut stream = stream;
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let mut request = String::new();
            let mut buffer = [0; 4096];
            while !request.contains("</methodCall>") && !request.ends_with('}') {
                match std::io::Read::read(&mut stream, &mut buffer) {
                    Ok(n_bytes @ 1..) => request.push_str(&String::from_utf8_lossy(&buffer[..n_bytes])),
                    Ok(0) | Err(_) => break,
                }
            }
            let is_xml = request.starts_with("POST /RPC2 ");
            counted.lock().expect("no test panics in here")[usize::from(is_xml)] += 1;
            let answer = if is_xml {
                let is_node = request.contains("<methodName>node</methodName>");
                in_xml(if is_node { NODE } else { FAULT }).replace("ME", &me)
            } else {
                elsewhere.to_owned()
            };
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        }
    });
    (name, counts)
}

#[test]
fn a_peers_language_is_found_out_once_however_it_declines_the_other() {
    let _machine = beside_others();
    for elsewhere in [
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{\"error\": \"no\"}",
        "no HTTP at all\r\n\r\n",
        "",
    ] {
        let idle = Cluster::idle(1, 7);
        let (half, counts) = half_a_node(elsewhere);
        let answer = ask(&idle.names()[0], "join", &json!({ "remote_node": half }).to_string());
        assert_eq!(answer.status, 502, "{elsewhere:?}: {answer:?}");
        let [over_http, over_xml_rpc] = *counts.lock().expect("no test panics in here");
        // Where nothing came back on a kept connection, one more attempt is made on a new one.
        assert!((1..=2).contains(&over_http), "{elsewhere:?}: {over_http} of {over_xml_rpc}");
        assert!(
            over_xml_rpc >= 10,
            "{elsewhere:?}: it goes on in the language that it has found: {over_xml_rpc}"
        );
        let log = idle.servers[&idle.names()[0]].stderr();
        assert_eq!(log.matches("a peer answered wrongly").count(), 1, "{log}");
    }
}

#[test]
fn an_unclosed_tag_that_trickles_in_ends_within_the_deadline() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let mut connection = Connection::open(name).expect("the node listens");
    let head = "POST /RPC2 HTTP/1.1\r\nHost: node\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<methodCall";
    connection.send(head.as_bytes()).expect("the node reads");
    let begin = std::time::Instant::now();
    let mut trickle = connection.writer().expect("the socket has another handle");
    let writer = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut trickle, b" ").is_ok()
            && begin.elapsed() < Duration::from_secs(14)
        {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = connection.read_response().expect("a fault");
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    assert!(String::from_utf8_lossy(&answer.body).contains("did not arrive in time"), "{answer:?}");
    drop(connection);
    writer.join().expect("the writer ends when nobody reads");
}

#[test]
fn a_ring_size_that_xml_rpc_cannot_carry_is_refused_at_the_start() {
    let ended = run(&["xmlrpc", "server", "127.0.0.1", "0", "64"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("63") && ended.stderr.trim_end().lines().count() == 1, "{ended:?}");
}
