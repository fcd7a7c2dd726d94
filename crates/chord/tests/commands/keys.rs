//! `keys`.

use super::*;

#[test]
fn keys_are_those_that_were_written_each_once() {
    let (_ring, nodes) = dev(&["--nodes", "3", "--ring-size", "16"]);
    let mut written: Vec<String> = (0..20).map(|number| format!("user:{number}")).collect();
    written.extend(["two\nlines", "back\\slash", "schlüssel"].map(str::to_owned));
    for key in &written {
        answer(&["put", key, "v", "--node", &nodes[0]]);
    }
    answer(&["put", "gone", "v", "--node", &nodes[0]]);
    answer(&["del", "gone", "--node", &nodes[1]]);
    let mut shown: Vec<String> =
        written.iter().map(|key| key.replace('\\', "\\\\").replace('\n', "\\n")).collect();
    shown.sort();
    for node in &nodes {
        let output = run(&["keys", "--node", node]);
        let mut listed: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        listed.sort();
        assert_eq!(listed, shown);
        assert_eq!(text(&output.stderr), "23 keys on 3 nodes\n");
    }
    let at = |arguments: &[&str]| answer(&[&["keys", "--node", &nodes[1]], arguments].concat());
    assert_eq!(at(&["--count", "--all"]), "23\n");
    assert_eq!(at(&["--count", "--prefix", "user:"]), "20\n");
    assert_eq!(at(&["--prefix", "two"]), "two\\nlines\n");
    assert_eq!(at(&["--limit", "5"]).lines().count(), 5);
    assert_eq!(at(&["--count", "--json"]), "{\"keys\":23,\"nodes\":3,\"unasked\":[]}\n");
    for line in at(&["--json", "--prefix", "user:"]).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (key, version) = (line["key"].as_str().unwrap(), line["version"].as_str().unwrap());
        let owner = json(&["get", key, "--node", &nodes[0]]);
        assert_eq!((&line["node"], version), (&owner["owner"], owner["version"].as_str().unwrap()));
    }
    let kept: u64 = nodes
        .iter()
        .map(|node| json(&["keys", "--here", "--count", "--node", node])["keys"].as_u64().unwrap())
        .sum();
    assert!((23..=3 * 23).contains(&kept), "{kept} copies of 23 keys on 3 nodes");
}

#[test]
fn keys_of_more_than_one_page_are_all_listed() {
    let (_ring, nodes) = dev(&["--nodes", "2"]);
    let children: Vec<_> = (0..4)
        .map(|part| {
            let node = nodes[part % 2].clone();
            std::thread::spawn(move || {
                for number in 0..170 {
                    answer(&["put", &format!("{part}-{number}"), "v", "--node", &node]);
                }
            })
        })
        .collect();
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(answer(&["keys", "--count", "--node", &nodes[0]]), "680\n");
    assert_eq!(answer(&["keys", "--node", &nodes[1]]).lines().count(), 680);
    assert_eq!(answer(&["keys", "--here", "--count", "--node", &nodes[0]]), "680\n", "both have all");
}

#[test]
fn a_reader_that_has_read_enough_of_the_keys_is_no_failure() {
    let (_ring, nodes) = dev(&["--nodes", "1"]);
    answer(&["put", "k", "v", "--node", &nodes[0]]);
    let mut child = program(&["keys", "--node", &nodes[0]]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_node_that_does_not_tell_its_keys_is_named() {
    let ([_first, second], names) = two_servers();
    answer(&["put", "k", "v", "--node", &names[0]]);
    let begin = Instant::now();
    let output = loop {
        second.signal("STOP");
        let output = run(&["keys", "--timeout", "1", "--count", "--json", "--node", &names[0]]);
        second.signal("CONT");
        // On a busy machine the ring may have closed round it before it was asked.
        if output.status.code() == Some(1) {
            break output;
        }
        assert!(begin.elapsed() < DEADLINE, "it was never met");
    };
    let counted: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counted["unasked"], Value::Array(vec![names[1].as_str().into()]), "{counted}");
    let told = text(&output.stderr);
    let expected = format!("error: keys may be missing: {} did not answer within 0.5 s\n", names[1]);
    assert!(told.ends_with(&expected), "{told}");
}

#[test]
fn a_list_that_is_stopped_says_that_it_is_not_whole() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node = silent.local_addr().unwrap().to_string();
    let mut keys = Running::start(&["keys", "--timeout", "600", "--node", &node]);
    let _connection = silent.accept().unwrap();
    keys.signal("INT");
    assert_eq!(keys.told("error: "), "stopped: the list is not whole");
    assert_eq!(keys.code(), Some(1));
}
