//! `put`, `get`, `del`, `incr` and `lookup`.

use super::*;

#[test]
fn put_and_get_and_lookup() {
    let (_ring, nodes) = dev(&["--nodes", "3", "--ring-size", "7"]);
    let [first, second, _] = nodes.as_slice() else { panic!("{nodes:?}") };

    let mut child = program(&["put", "letter", "--node", first]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("two lines\nä\n".as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(answer(&["get", "letter", "--node", second]), "two lines\nä\n");

    let put: Value = serde_json::from_str(&answer(&["put", "k", "v", "--json", "--node", first])).unwrap();
    let get: Value = serde_json::from_str(&answer(&["get", "k", "--json", "--node", first])).unwrap();
    assert_eq!(put, get);
    assert_eq!((&get["key"], &get["value"]), (&"k".into(), &"v".into()));

    let lookup: Value = serde_json::from_str(&answer(&["lookup", "k", "--json", "--node", first])).unwrap();
    assert_eq!(lookup["owner"], get["owner"]);
    let path = lookup["path"].as_array().unwrap();
    assert_eq!((path.first().unwrap(), path.last().unwrap()), (&first.as_str().into(), &lookup["owner"]));
    let position = lookup["position"].as_str().unwrap();
    let by_id = answer(&["lookup", "--id", position, "--node", second]);
    assert!(by_id.contains(get["owner"].as_str().unwrap()), "{by_id}");
}

#[test]
fn an_absent_key_is_exit_code_3() {
    let (_ring, nodes) = dev(&["--nodes", "1"]);
    let output = run(&["get", "nothing", "--node", &nodes[0]]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr), "error: no value is stored under the key \"nothing\"\n");
    let output = run(&["get", "nothing", "--json", "--node", &nodes[0]]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains(r#""value":null"#));
}

#[test]
fn bytes_of_any_kind_come_back_through_files_and_pipes() {
    let (_ring, nodes) = dev(&["--nodes", "3"]);
    let [first, second, _] = nodes.as_slice() else { panic!("{nodes:?}") };
    let folder = tempfile::tempdir().unwrap();
    let (sent, got) = (folder.path().join("sent"), folder.path().join("got"));
    std::fs::write(&sent, binary()).unwrap();
    answer(&["put", "file", "--file", sent.to_str().unwrap(), "--node", first]);
    assert_eq!(answer(&["get", "file", "--output", got.to_str().unwrap(), "--node", second]), "");
    assert!(std::fs::read(&got).unwrap() == binary(), "another value");

    fed(&["put", "pipe", "--node", first], &binary());
    assert!(run(&["get", "pipe", "--node", second]).stdout == binary(), "another value");
    fed(&["put", "dash", "--file", "-", "--node", first], &binary());
    let printed = run(&["get", "dash", "--output", "-", "--node", second]).stdout;
    assert!(printed == binary(), "a dash is standard input or output");
    fed(&["put", "nothing", "--node", first], b"");
    assert_eq!(answer(&["get", "nothing", "--node", second]), "");

    let stored = fed(&["put", "short", "--json", "--node", first], b"\x00\xff");
    let stored: Value = serde_json::from_slice(&stored.stdout).unwrap();
    assert_eq!((&stored["value"], &stored["value_base64"]), (&Value::Null, &"AP8=".into()));
    let read = json(&["get", "short", "--node", second]);
    assert_eq!([&read["version"], &read["value_base64"]], [&stored["version"], &stored["value_base64"]]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_key_is_bytes_of_any_kind() {
    use std::os::unix::ffi::OsStrExt as _;
    let (_ring, nodes) = dev(&["--nodes", "1"]);
    let key = std::ffi::OsStr::from_bytes(b"\xff\n");
    for arguments in [&["put", "--node", &nodes[0], "--json"][..], &["get", "--node", &nodes[0], "--json"]] {
        let mut command = program(arguments);
        command.arg(key);
        if arguments[0] == "put" {
            command.arg("v");
        }
        let printed: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        assert_eq!((&printed["key_base64"], &printed["value"]), (&"/wo=".into(), &"v".into()));
    }
    let look = |more: &[&str]| program(more).args(["--node", &nodes[0]]).arg(key).output().unwrap();
    let lookup: Value = serde_json::from_slice(&look(&["lookup", "--json"]).stdout).unwrap();
    let trace: Value = serde_json::from_slice(&look(&["trace", "--json"]).stdout).unwrap();
    assert_eq!(lookup["key_base64"], "/wo=");
    assert_eq!((&lookup["owner"], &lookup["position"]), (&trace["owner"]["node"], &trace["position"]));
    assert_eq!((&lookup["path"][0], &lookup["hops"]), (&nodes[0].as_str().into(), &trace["hops"]));
    let shown = text(&look(&["lookup"]).stdout);
    assert!(shown.starts_with("key       \\xff\\n\nposition  "), "{shown}");
    let refused = look(&["lookup", "--id"]);
    assert_eq!((refused.status.code(), text(&refused.stderr).lines().count()), (Some(2), 1));
    assert_eq!(answer(&["keys", "--node", &nodes[0]]), "\\xff\\n\n");
    assert_eq!(json(&["keys", "--node", &nodes[0]])["key_base64"], "/wo=");
}

#[test]
fn a_value_goes_when_its_time_has_come() {
    let (_ring, nodes) = dev(&["--nodes", "3"]);
    let node = &nodes[0];
    let stays = json(&["put", "stays", "v", "--node", node]);
    assert_eq!(stays["expires_at_ms"], Value::Null);
    let stored = json(&["put", "goes", "v", "--ttl", "1h", "--node", node]);
    let read = json(&["get", "goes", "--node", &nodes[1]]);
    assert_eq!([&read["version"], &read["expires_at_ms"]], [&stored["version"], &stored["expires_at_ms"]]);
    let hour_later = json(&["put", "goes", "v", "--ttl", "2h", "--node", node])["expires_at_ms"].as_u64();
    let later_ms = hour_later.unwrap() - stored["expires_at_ms"].as_u64().unwrap();
    assert!((3_600_000..3_700_000).contains(&later_ms), "{later_ms}");

    answer(&["put", "goes", "v", "--ttl", "300ms", "--node", node]);
    let begin = Instant::now();
    while run(&["get", "goes", "--node", &nodes[2]]).status.code() != Some(3) {
        assert!(begin.elapsed() < DEADLINE, "it is still there");
    }
    assert_eq!(answer(&["keys", "--node", node]), "stays\n");
}

#[test]
fn a_condition_that_does_not_hold_is_exit_code_4() {
    let (_ring, nodes) = dev(&["--nodes", "3"]);
    let unmet = |arguments: &[&str]| failure(&[arguments, &["--node", &nodes[0]]].concat(), 4);
    let absent = "the condition does not hold: nothing is stored under the key";
    assert_eq!(unmet(&["put", "k", "v", "--if-present"]), absent);
    assert_eq!(unmet(&["put", "k", "v", "--if-version", "1.0.1"]), absent);

    let first = json(&["put", "k", "v", "--if-absent", "--node", &nodes[0]])["version"].clone();
    let found = format!(
        "the condition does not hold: what is stored under the key has version {}",
        first.as_str().unwrap()
    );
    assert_eq!(unmet(&["put", "k", "w", "--if-absent"]), found);
    assert_eq!(unmet(&["del", "k", "--if-version", "1.0.1"]), found);
    let first = first.as_str().unwrap();
    answer(&["put", "k", "w", "--if-version", first, "--consistency", "all", "--node", &nodes[1]]);
    unmet(&["put", "k", "x", "--if-version", first]);
    assert_eq!(answer(&["get", "k", "--consistency", "quorum", "--node", &nodes[2]]), "w");
    answer(&["put", "k", "x", "--if-present", "--consistency", "one", "--node", &nodes[1]]);
}

#[test]
fn del_says_how_many_were_there() {
    let (_ring, nodes) = dev(&["--nodes", "3"]);
    let at = |arguments: &[&str]| answer(&[arguments, &["--node", &nodes[1]]].concat());
    for key in ["a", "b", "c", "d"] {
        at(&["put", key, "v"]);
    }
    assert_eq!(at(&["del", "a"]), "Deleted 1 key\n");
    assert_eq!(at(&["del", "a", "b", "nothing"]), "Deleted 1 of 3 keys\n");
    let none = failure(&["del", "a", "b", "--node", &nodes[2]], 3);
    assert_eq!(none, "no value is stored under any of the 2 keys");
    assert_eq!(failure(&["del", "a", "--node", &nodes[2]], 3), "no value is stored under the key \"a\"");
    assert_eq!(at(&["del", "c", "x", "--json"]), "{\"keys\":2,\"deleted\":1}\n");
    let version = json(&["get", "d", "--node", &nodes[0]])["version"].clone();
    at(&["del", "d", "--if-version", version.as_str().unwrap()]);
    assert_eq!(run(&["get", "d", "--node", &nodes[0]]).status.code(), Some(3));
    assert_eq!(at(&["keys"]), "");
}

#[test]
fn incr_counts_and_leaves_alone_what_is_no_number() {
    let (_ring, nodes) = dev(&["--nodes", "3"]);
    let at = |arguments: &[&str]| answer(&[arguments, &["--node", &nodes[1]]].concat());
    assert_eq!(at(&["incr", "visits"]), "1\n");
    assert_eq!(at(&["incr", "visits", "41"]), "42\n");
    assert_eq!(at(&["incr", "visits", "-50", "--consistency", "all"]), "-8\n");
    assert_eq!(at(&["get", "visits"]), "-8");
    let mortal = json(&["incr", "visits", "0", "--ttl", "1h", "--node", &nodes[0]]);
    assert_eq!(mortal["value"], "-8");
    assert!(mortal["expires_at_ms"].is_u64(), "{mortal}");
    let counted = json(&["incr", "visits", "--node", &nodes[0]]);
    assert_eq!(counted["expires_at_ms"], mortal["expires_at_ms"], "it lives as long as before");

    at(&["put", "word", "many"]);
    let refused = failure(&["incr", "word", "--node", &nodes[0]], 1);
    assert!(refused.contains("is no whole number from -2^63 to 2^63 - 1: store one first"), "{refused}");
    assert_eq!(at(&["get", "word"]), "many");
    at(&["put", "most", &i64::MAX.to_string()]);
    failure(&["incr", "most", "--node", &nodes[0]], 1);
}

#[test]
fn what_no_command_can_do_is_one_sentence_and_exit_code_2() {
    let long = "k".repeat(4097);
    for (arguments, expected) in [
        (
            &["put", "k", "v", "--ttl", "30"][..],
            "a time is a whole number with its unit, as in 500ms, 30s, 10m, 2h or 7d",
        ),
        (&["put", "k", "v", "--if-version", "7"], "a version is TIME.COUNTER.WRITER, three whole numbers"),
        (&["put", "k", "v", "--if-absent", "--if-present"], "cannot be used with"),
        (&["put", "k", "v", "--file", "f"], "cannot be used with"),
        (&["put", "k", "v", "--consistency", "most"], "possible values: one, quorum, all"),
        (&["put", &long, "v"], "a key has at most 4096 bytes, not 4097"),
        (&["get", "k", "--json", "--output", "f"], "cannot be used with"),
        (&["incr", "k", "much"], "what is added is a whole number from -2^63 to 2^63 - 1"),
        (&["del"], "missing: <KEY>..."),
        (&["del", "a", "b", "--if-version", "1.0.1"], "--if-version is about one key"),
        (&["keys", "--all", "--here"], "cannot be used with"),
        (&["keys", "--limit", "0"], "the number of keys is a whole number from 1"),
    ] {
        let sentence = failure(arguments, 2);
        assert!(sentence.contains(expected) && sentence.ends_with(" --help)"), "{arguments:?}: {sentence}");
    }
    let absent = failure(&["put", "k", "--file", "/no/such/file"], 1);
    assert!(absent.starts_with("cannot read /no/such/file: "), "{absent}");
}

#[test]
fn a_write_without_an_answer_is_told_as_one_that_may_have_happened() {
    let ([_first, second], names) = two_servers();
    // The node says which ring it is in, and then stands still.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let between = listener.local_addr().unwrap().to_string();
    let node = names[1].clone();
    std::thread::spawn(move || forward_one_request(&listener, &node));
    let told = failure(&["put", "k", "v", "--timeout", "2", "--node", &between], 1);
    assert!(told.contains("the change may have happened nevertheless"), "{told}");
    drop(second);
}

/// Passes one request on to a node, and answers no other on the connection.
fn forward_one_request(listener: &std::net::TcpListener, node: &str) {
    let (mut client, _) = listener.accept().unwrap();
    let mut server = std::net::TcpStream::connect(node).unwrap();
    let mut bytes = [0; 4096];
    let n_asked = client.read(&mut bytes).unwrap();
    server.write_all(&bytes[..n_asked]).unwrap();
    let n_answered = server.read(&mut bytes).unwrap();
    client.write_all(&bytes[..n_answered]).unwrap();
    // Until the client gives up.
    while client.read(&mut bytes).is_ok_and(|n_read| n_read > 0) {}
}
