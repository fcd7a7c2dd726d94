//! Rings that `dev` runs and nodes that `serve` runs.

use super::*;

#[test]
fn dev_runs_a_whole_ring_until_ctrl_c() {
    let (mut ring, nodes) = dev(&["--nodes", "5"]);
    let [first, .., last] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert!(answer(&["put", "greeting", "hello", "--node", first]).starts_with("Stored at 127.0.0.1:"));
    assert_eq!(answer(&["get", "greeting", "--node", last]), "hello");
    ring.signal("INT");
    assert_eq!(ring.code(), Some(0));
}

#[test]
fn dev_prints_a_table_and_commands_that_work() {
    let ring =
        Running::start(&["dev", "--port", "0", "--nodes", "2", "--ring-size", "7", "--color", "never"]);
    let mut shown = Vec::new();
    while shown.last().is_none_or(|line| line != "Ctrl-C stops the ring.") {
        shown.push(ring.stdout.recv_timeout(DEADLINE).unwrap());
    }
    assert!(shown[0].starts_with("node "), "{shown:?}");
    assert!(shown[1].ends_with(" %"), "{shown:?}");
    let examples: Vec<Vec<&str>> = shown
        .iter()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with("curl")))
        .map(|line| line.split(' ').skip(1).collect())
        .collect();
    assert_eq!(examples.len(), 4, "{shown:?}");
    for example in examples {
        assert!(!answer(&example).is_empty(), "{example:?}");
    }
}

#[test]
fn a_node_that_is_told_to_end_hands_its_keys_over() {
    let founder = Running::start(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let first = founder.told("Running on ").replace(" with ring size 160...", "");
    founder.told("Founded a ring; another node joins it with --join ");
    let mut joiner = Running::start(&["serve", "--listen", "127.0.0.1:0", "--join", &first, "--log", "off"]);
    let second = joiner.told("Running on ").replace(" with ring size 160...", "");
    assert_eq!(joiner.told("Joined the ring; the next node is "), first);
    let keys: Vec<String> = (0..20).map(|number| format!("key{number}")).collect();
    for key in &keys {
        answer(&["put", key, key, "--node", &second]);
    }
    joiner.signal("TERM");
    // How many it owns is left to its port: one of them, now and then.
    let told = joiner.told("Stopped; ");
    assert!(told.ends_with(" keys handed over") || told == "1 key handed over", "{told}");
    assert_eq!(joiner.code(), Some(0));
    for key in &keys {
        assert_eq!(&answer(&["get", key, "--node", &first]), key);
    }
}

#[test]
fn a_node_whose_log_nobody_reads_any_more_goes_on_and_ends_well() {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--log", "trace"];
    let mut child = program(&arguments).spawn().unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("Running on ") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it serves");
    }
    drop(log);
    let node = line.trim_end().replace("Running on ", "").replace(" with ring size 160...", "");
    let mut running = Running { child, stdout, stderr: channel().1 };
    assert!(answer(&["put", "greeting", "hello", "--node", &node]).starts_with("Stored at "));
    running.signal("TERM");
    assert_eq!(running.code(), Some(0));
}

#[test]
fn a_node_that_founds_a_ring_logs_that_it_is_small() {
    let founder = Running::start(&["serve", "--listen", "127.0.0.1:0", "--successors", "4"]);
    let logged = founder.told_after(|line| line.split_once("the ring is small: ").map(|(_, rest)| rest));
    let logged = logged.expect("a line about the ring");
    assert!(logged.starts_with("it has at most 4 members"), "{logged}");
}

#[test]
fn a_node_that_is_to_join_nobody_who_is_there_may_found_a_ring() {
    let nobody = free_address();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--found", "--join", &nobody, "--log", "off"];
    Running::start(&arguments).told("Founded a ring; another node joins it with --join ");
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--found"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--join"), "{}", text(&output.stderr));
}

#[test]
fn a_node_that_waits_says_for_whom_and_what_ends_it() {
    let nobody = free_address();
    let waiting = Running::start(&["serve", "--listen", "127.0.0.1:0", "--join", &nobody]);
    let node = waiting.told("Running on ").replace(" with ring size 160...", "");
    let refused = failure(&["get", "greeting", "--node", &node], 1);
    assert!(refused.contains(&format!("it waits for {nobody} to let it in")), "{refused}");
    let said =
        waiting.told_after(|line| line.split_once("none of the nodes to join (").map(|(_, rest)| rest));
    let said = said.expect("a line of the log");
    assert!(said.starts_with(&format!("{nobody}) is there: ")) && said.contains("with --found"), "{said}");
}

#[test]
fn a_node_that_keeps_another_number_of_copies_than_its_ring_is_told_on_both_sides() {
    let founder = Running::start(&["serve", "--listen", "127.0.0.1:0"]);
    let first = founder.told("Running on ").replace(" with ring size 160...", "");
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--join", &first, "--replicas", "2", "--write-quorum", "2"];
    let joiner = Running::start(&arguments);
    let usual = "--replicas 3 and no --write-quorum";
    let other = "--replicas 2 --write-quorum 2";
    for (node, theirs, ours) in [(&founder, other, usual), (&joiner, usual, other)] {
        let beginning = format!("a peer was started with {theirs}, this node with {ours}: ");
        let said = node.told_after(|line| line.split_once(&beginning).map(|(_, rest)| rest));
        assert!(said.expect("a line of the log").contains("one after the other, with the same"));
    }
}

#[test]
fn a_server_that_a_client_shuts_down_ends_well() {
    let mut server = Running::start(&["http", "server", "127.0.0.1", "0", "7", "--log", "off"]);
    let name = server.told("Running on ").replace(" with ring size 7...", "");
    let (host, port) = name.split_once(':').unwrap();
    assert_eq!(answer(&["http", "client", host, port, "create"]), "CreateResponse()\n");
    assert_eq!(answer(&["http", "client", host, port, "shutdown"]), "ShutdownResponse()\n");
    assert_eq!(server.code(), Some(0));
}
