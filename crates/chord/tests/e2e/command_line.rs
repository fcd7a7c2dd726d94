//! The command line, as section 4 of the wire's documentation has it, and the daily commands around it.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

/// A ring of real servers that is driven by the command line alone, in one of the languages of chord.py.
struct Driven {
    language: &'static str,
    cluster: Cluster,
}

const LANGUAGES: [&str; 2] = ["http", "xmlrpc"];

impl Driven {
    #[track_caller]
    fn idle(language: &'static str, n_servers: usize) -> Self {
        Self { language, cluster: Cluster::idle_of(language, n_servers, 7) }
    }

    fn name(&self, idx: usize) -> String {
        self.cluster.names().swap_remove(idx)
    }

    /// `chord http client HOST PORT …` or its twin, which must go well: what it says it does, and the one line it answers.
    #[track_caller]
    fn client(&self, node: &str, arguments: &[&str]) -> (String, String) {
        client(self.language, node, arguments)
    }
}

#[track_caller]
fn client(language: &str, node: &str, arguments: &[&str]) -> (String, String) {
    let (host, port) = node.split_once(':').expect("a name is HOST:PORT");
    let ended = run(&[&[language, "client", host, port], arguments].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    (only_line(&ended.stderr), only_line(&ended.stdout))
}

#[track_caller]
fn only_line(text: &str) -> String {
    let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("{text:?} does not end its line"));
    assert!(!line.contains('\n') && !line.is_empty(), "{text:?} is not one line");
    line.to_owned()
}

/// Splits the count of hops out of an answer: `…, hops=2, …`.
#[track_caller]
fn without_hops(answer: &str) -> (String, usize) {
    let (before, rest) = answer.split_once("hops=").unwrap_or_else(|| panic!("{answer:?} tells no hops"));
    let digits = rest.find(|c: char| !c.is_ascii_digit()).expect("a parenthesis follows");
    (format!("{before}hops=N{}", &rest[digits..]), rest[..digits].parse().expect("hops is a number"))
}

fn shown(node: &str) -> String {
    format!("chord.node({node})")
}

#[test]
fn the_documented_session_prints_the_documented_lines_in_both_languages() {
    let _machine = beside_others();
    LANGUAGES.into_iter().for_each(follow_the_documented_session);
}

#[track_caller]
fn follow_the_documented_session(language: &'static str) {
    let driven = Driven::idle(language, 3);
    let (a, b, c) = (driven.name(0), driven.name(1), driven.name(2));
    let running = format!("Running on {a} with ring size 7...");
    assert_eq!(driven.cluster.servers[&a].stderr().lines().next(), Some(&*running));

    let lines = driven.client(&a, &["create"]);
    assert_eq!(lines, (format!("Creating node ring at [{}]", shown(&a)), "CreateResponse()".to_owned()));
    for joiner in [&b, &c] {
        let (host, port) = a.split_once(':').expect("a name is HOST:PORT");
        let lines = driven.client(joiner, &["join", host, port]);
        let does = format!("Joining [{}] to node [{}]", shown(joiner), shown(&a));
        assert_eq!(lines, (does, "JoinResponse()".to_owned()));
    }
    driven.cluster.wait_until_ideal(IDEAL_LIMIT);
    let oracle = driven.cluster.oracle();

    let (does, answer) = driven.client(&b, &["find_successor", "0"]);
    assert_eq!(does, format!("Finding successor for [0] starting at [{}]", shown(&b)));
    let (answer, n_hops) = without_hops(&answer);
    assert_eq!(answer, format!("FindSuccessorResponse(node={}, hops=N)", shown(oracle.owner_of_key("0"))));
    assert!(n_hops <= 2, "{n_hops}");

    let (does, answer) = driven.client(&b, &["find_successor", "--id", "0"]);
    assert_eq!(does, format!("Finding successor for [0] starting at [{}]", shown(&b)));
    assert_eq!(
        without_hops(&answer).0,
        format!("FindSuccessorResponse(node={}, hops=N)", shown(oracle.owner([0; 32])))
    );

    let owner = shown(oracle.owner_of_key("foo"));
    let (does, answer) = driven.client(&b, &["put", "foo", "bar"]);
    assert_eq!(does, "Putting key [foo] = value [bar]");
    assert_eq!(without_hops(&answer).0, format!("PutKeyResponse(storage_node={owner}, hops=N)"));
    for arguments in [&["get", "foo"][..], &["--get", "foo"]] {
        let (does, answer) = driven.client(&c, arguments);
        assert_eq!(does, "Getting key [foo]");
        let expected = format!("GetKeyResponse(storage_node={owner}, hops=N, value='bar', found=True)");
        assert_eq!(without_hops(&answer).0, expected);
    }
    let (_, answer) = driven.client(&c, &["get", "nobody stored this"]);
    assert!(answer.ends_with(", value=None, found=False)"), "{answer}");

    let (does, answer) = driven.client(&a, &["node"]);
    assert_eq!(does, format!("Getting node info from [{}]", shown(&a)));
    assert_eq!(answer, format!("NodeResponse(node={}, is_alive=True)", shown(&a)));

    let before = oracle.predecessor(&a).expect("three nodes have predecessors");
    let (host, port) = before.split_once(':').expect("a name is HOST:PORT");
    let (does, answer) = driven.client(&a, &["notify", host, port]);
    assert_eq!(does, format!("Notifying [{}] of node [{}]", shown(&a), shown(&before)));
    assert_eq!(answer, "NotifyResponse()");

    let (does, answer) = driven.client(&a, &["get_predecessor"]);
    assert_eq!(does, format!("Getting predecessor info from [{}]", shown(&a)));
    assert_eq!(answer, format!("GetPredecessorResponse(node={})", shown(&before)));

    let (does, answer) = driven.client(&a, &["get_successor_list"]);
    assert_eq!(does, format!("Getting successor list from [{}]", shown(&a)));
    let list: Vec<String> = oracle.successor_list(&a).iter().map(|name| shown(name)).collect();
    assert_eq!(answer, format!("GetSuccessorListResponse(successor_list=[{}])", list.join(", ")));
}

#[test]
fn the_last_two_lines_of_the_documented_session_shutdown_and_a_node_alone() {
    let _machine = beside_others();
    for language in LANGUAGES {
        let mut driven = Driven::idle(language, 1);
        let name = driven.name(0);
        driven.client(&name, &["create"]);
        assert_eq!(driven.client(&name, &["get_predecessor"]).1, "GetPredecessorResponse(node=None)");
        let (does, answer) = driven.client(&name, &["shutdown"]);
        assert_eq!(does, format!("Shutting node [{}] down gracefully", shown(&name)));
        assert_eq!(answer, "ShutdownResponse()");
        let server = driven.cluster.servers.get_mut(&name).expect("it was started");
        assert_eq!(server.wait(), Some(0), "{}", server.stderr());
    }
}

#[test]
fn values_print_as_python_prints_a_string() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    for (value, shown) in [
        ("bar", "'bar'"),
        ("it's", "\"it's\""),
        ("say \"it's\"", r#"'say "it\'s"'"#),
        ("a\nb\t\\", r"'a\nb\t\\'"),
        ("\u{7}\u{1b}[0m", r"'\x07\x1b[0m'"),
        ("ключ €", "'ключ €'"),
        ("", "''"),
    ] {
        ask(name, "put", &json!({ "key": "key", "value": value }).to_string())
            .fields(&["storage_node", "hops"]);
        let (_, answer) = client("http", name, &["get", "key"]);
        assert_eq!(
            answer,
            format!("GetKeyResponse(storage_node=chord.node({name}), hops=0, value={shown}, found=True)")
        );
    }
}

/// A command that must fail with this code, nothing on standard output and one line on standard error.
#[track_caller]
fn fails(code: i32, arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(code), "chord {arguments:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "chord {arguments:?}");
    only_line(&ended.stderr)
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    let port = free_port().to_string();
    for ring_size in ["0", "257", "-1", "x", "1000000000000000000000"] {
        for arguments in [
            &["http", "server", "127.0.0.1", &port, ring_size][..],
            &["xmlrpc", "server", "127.0.0.1", &port, ring_size],
            &["serve", "--ring-size", ring_size],
        ] {
            let line = fails(2, arguments);
            assert!(ring_size.starts_with('-') || line.contains("ring size"), "chord {arguments:?}: {line}");
        }
    }
    fails(2, &["http", "server", "127.0.0.1", "65536", "7"]);
    fails(2, &["http", "server", "127.0.0.1"]);
    fails(2, &["http", "client", "127.0.0.1", "x", "node"]);
    fails(2, &["http", "client", "127.0.0.1", &port, "find_successor", "--id", "x"]);
    fails(2, &["http", "client", "127.0.0.1", &port, "get_successor"]);
    fails(2, &["serve", "--listen", "nowhere"]);
    fails(2, &["serve", "--frobnicate"]);
    fails(2, &["get"]);
    fails(2, &["dev", "--nodes", "0"]);
    fails(2, &["frobnicate"]);
}

#[test]
fn a_server_that_cannot_listen_fails_with_one_line_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let line = fails(1, &["http", "server", "127.0.0.1", &port, "7"]);
    assert!(line.contains(&port), "{line}");
    fails(1, &["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let line = fails(1, &["dev", "--nodes", "1", "--port", &port]);
    assert!(line.contains(&port), "{line}");
    let line = fails(1, &["http", "server", "no-such-host.invalid", "4567", "7"]);
    assert!(line.contains("no-such-host.invalid"), "{line}");
}

#[test]
fn a_client_whose_node_does_not_answer_fails_with_one_line_and_exit_code_1() {
    let port = free_port().to_string();
    let node = format!("127.0.0.1:{port}");
    let line = fails(1, &["get", "foo", "--node", &node]);
    assert!(line.contains(&node), "{line}");
    fails(1, &["put", "foo", "bar", "--node", &node]);
    fails(1, &["get", "foo", "--node", "no-such-host.invalid:4567"]);
    let ended = run(&["http", "client", "127.0.0.1", &port, "node"]);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(
        (ended.code, lines.len(), &*ended.stdout),
        (Some(1), 2, ""),
        "what it does, what failed: {ended:?}"
    );
}

#[test]
fn a_refused_command_fails_with_the_sentence_of_the_node() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 7);
    let name = &cluster.names()[0];
    let (host, port) = name.split_once(':').expect("a name is HOST:PORT");
    let ended = run(&["http", "client", host, port, "create"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    let sentence = ask(name, "create", "{}").error();
    assert!(ended.stderr.lines().last().is_some_and(|line| line.contains(&sentence)), "{ended:?}");
}

#[test]
fn put_and_get_take_the_node_from_an_option_or_the_environment() {
    let _machine = beside_others();
    let cluster = Cluster::ring(2, 160);
    let names = cluster.names();
    let stored = run(&["put", "letter", "it's\nhere", "--node", &names[0]]);
    assert_eq!((stored.code, &*stored.stderr), (Some(0), ""), "{stored:?}");
    assert!(only_line(&stored.stdout).contains(cluster.oracle().owner_of_key("letter")), "{stored:?}");

    let got = run_command(program().env("CHORD_NODE", &names[1]).args(["get", "letter"]));
    assert_eq!((got.code, &*got.stdout, &*got.stderr), (Some(0), "it's\nhere", ""));
    let got = run(&["get", "letter", "--json", "--node", &names[1]]);
    let object: Value = serde_json::from_str(&got.stdout).expect("--json prints JSON");
    assert_eq!(object["value"], "it's\nhere");

    let absent = run(&["get", "nobody stored this", "--node", &names[1]]);
    assert_eq!((absent.code, &*absent.stdout), (Some(3), ""), "{absent:?}");
    only_line(&absent.stderr);
}

#[test]
fn a_value_can_come_from_standard_input() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 160);
    let name = &cluster.names()[0];
    let letter = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(letter.path(), "two\nlines\n").expect("it can be written");
    let input = Stdio::from(letter.reopen().expect("it can be read"));
    let stored = run_command(program().args(["put", "letter", "--node", name]).stdin(input));
    assert_eq!(stored.code, Some(0), "{stored:?}");
    assert_eq!(run(&["get", "letter", "--node", name]).stdout, "two\nlines\n");
}

#[test]
fn help_and_completions_go_to_standard_output() {
    for arguments in
        [&["--help"][..], &["help"], &["dev", "--help"], &["http", "client", "--help"], &["--version"]]
    {
        let ended = run(arguments);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "chord {arguments:?}");
        assert!(ended.stdout.contains("chord"), "chord {arguments:?}: {}", ended.stdout);
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0), "{script:?}");
        assert!(script.stdout.contains("find_successor"), "{shell} completes the commands of the client");
    }
    let script = run(&["completions", "bash"]).stdout;
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), script).expect("it can be written");
    let read = Command::new("bash").arg("-n").arg(file.path()).status().expect("bash runs");
    assert!(read.success(), "bash can read its script");
}

#[test]
fn dev_runs_a_whole_ring_and_leaves_at_sigterm() {
    let _machine = beside_others();
    let first = free_ports(5);
    let names: Vec<String> = (first..first + 5).map(|port| format!("127.0.0.1:{port}")).collect();
    let mut dev = Process::start(program().args(["dev", "--nodes", "5", "--port", &first.to_string()]));
    dev.wait_until_it_says("Ctrl-C").expect("the ring runs");
    let oracle = Oracle::new(160, &names);
    for name in &names {
        is_ideal_at(&oracle, name).expect("the table is printed when the ring is ideal");
        let printed = dev.stdout();
        let row = printed.lines().find(|line| line.trim_start().starts_with(name.as_str()));
        let row: Vec<&str> =
            row.unwrap_or_else(|| panic!("{name} is in the table:\n{printed}")).split_whitespace().collect();
        let before = oracle.predecessor(name).expect("five nodes have predecessors");
        assert_eq!((row[2], row[3]), (&*before, &*oracle.successor_list(name)[0]), "{row:?}");
    }
    let stored = run(&["put", "greeting", "hello", "--node", &names[0]]);
    assert_eq!(stored.code, Some(0), "{stored:?}");
    for name in &names {
        assert_eq!(run(&["get", "greeting", "--node", name]).stdout, "hello");
    }
    dev.signal("TERM");
    assert_eq!(dev.wait(), Some(0), "{}", dev.stderr());
}

#[test]
fn dev_ends_without_alarm() {
    let _machine = beside_others();
    let first = free_ports(16);
    let mut dev = Process::start(program().args(["dev", "--nodes", "16", "--port", &first.to_string()]));
    dev.wait_until_it_says("Ctrl-C").expect("the ring runs");
    for idx in 0..50 {
        let node = format!("127.0.0.1:{}", first + idx % 16);
        ask(&node, "put", &json!({ "key": format!("key{idx}"), "value": "value" }).to_string())
            .fields(&["storage_node", "hops"]);
    }
    // While it formed, one may have found its place by a probe of another and told of it.
    let n_before = dev.stderr().lines().count();
    dev.signal("INT");
    assert_eq!(dev.wait(), Some(0), "{}", dev.stderr());
    let told: Vec<String> = dev.stderr().lines().map(str::to_owned).collect();
    assert_eq!(told[0], "Started 16 nodes; waiting for the ring to be complete...");
    assert_eq!(told[n_before..], ["Stopping the ring; once more stops at once..."]);
}

/// Whether a process runs: one that has ended and that nobody has asked about stays in the table as a zombie.
fn runs(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn the_servers_of_a_bench_that_is_killed_end_with_it() {
    let _machine = beside_others();
    let mut bench = Process::start(program().args(["bench", "--nodes", "2", "--seconds", "600"]));
    bench.wait_until_it_says("Writing ").expect("it measures");
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", bench.id()));
    let children: Vec<String> =
        children.expect("Linux tells children").split_whitespace().map(str::to_owned).collect();
    assert_eq!(children.len(), 2, "{children:?}");
    assert!(children.iter().all(|child| runs(child)), "{children:?}");
    // A frozen one, as `bench slow-peer` has them, sees nothing by itself.
    let frozen = Command::new("kill").args(["-STOP", &children[0]]).status();
    assert!(frozen.expect("kill is there").success());
    bench.crash();
    wait_for("the end of the servers", Duration::from_secs(10), || {
        children.iter().try_for_each(|child| if runs(child) { Err(format!("{child} runs")) } else { Ok(()) })
    });
}

#[test]
fn serve_founds_a_ring_or_keeps_trying_to_join_one_and_leaves_at_ctrl_c() {
    let _machine = beside_others();
    let names = free_names(2, 160);
    let mut second = Process::start(program().args(["serve", "--listen", &names[1], "--join", &names[0]]));
    second.wait_until_it_says("Running on").expect("it serves");
    second.wait_until_it_says("trying again").expect("its first attempt fails: nobody is there yet");
    let mut first = Process::start(program().args(["serve", "--listen", &names[0]]));
    first.wait_until_it_says(&format!("Running on {} with ring size 160...", names[0])).expect("it serves");
    let oracle = Oracle::new(160, &names);
    wait_for("a ring of two", IDEAL_LIMIT, || names.iter().try_for_each(|name| is_ideal_at(&oracle, name)));

    assert_eq!(run(&["put", "greeting", "hello", "--node", &names[1]]).code, Some(0));
    first.signal("INT");
    assert_eq!(first.wait(), Some(0), "{}", first.stderr());
    assert_eq!(run(&["get", "greeting", "--node", &names[1]]).stdout, "hello");
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0), "{}", second.stderr());
}

#[test]
fn a_node_that_cannot_find_the_host_to_join_says_so_and_keeps_trying() {
    let _machine = beside_others();
    let names = free_names(2, 160);
    let _first = Process::start(program().args(["serve", "--listen", &names[0]]));
    let join = format!("no-such-host.invalid:4567,{}", names[0]);
    let mut second =
        Process::start(program().args(["serve", "--listen", &names[1]]).env("CHORD_JOIN", &join));
    second.wait_until_it_says("Joined the ring").expect("the other contact answers");
    let mut lost = Process::start(program().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--join",
        "no-such-host.invalid:4567",
    ]));
    lost.wait_until_it_says("The host name no-such-host.invalid is unknown (").expect("it says so");
    lost.wait_until_it_says("trying again").expect("it goes on");
    lost.signal("TERM");
    assert_eq!(lost.wait(), Some(0), "{}", lost.stderr());
}

#[test]
fn a_node_whose_keys_nobody_takes_fails_with_a_line_that_says_so_and_the_last_of_a_ring_does_not() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(2, 160);
    let names = cluster.names();
    let oracle = cluster.oracle();
    let key = (0..1_000_000).map(|idx| format!("key{idx}")).find(|key| oracle.owner_of_key(key) == names[0]);
    let key = key.expect("one of so many keys is its own");
    ask(&names[0], "put", &json!({ "key": key, "value": "lost" }).to_string())
        .fields(&["storage_node", "hops"]);
    // One right after the other: the first must not find out before that it is alone.
    cluster.servers[&names[1]].freeze();
    cluster.servers[&names[0]].signal("TERM");
    let first = cluster.servers.get_mut(&names[0]).expect("it was started");
    assert_eq!(first.wait(), Some(1), "{}", first.stderr());
    let last_line = first.stderr().lines().last().map(str::to_owned).unwrap_or_default();
    assert_eq!(
        last_line,
        "error: 1 key may be lost: too few other nodes confirmed in time that they have what this one had; \
         0 keys handed over"
    );

    let mut alone = Cluster::ring(1, 160);
    let name = alone.names().remove(0);
    ask(&name, "put", r#"{"key": "foo", "value": "bar"}"#).fields(&["storage_node", "hops"]);
    ask(&name, "shutdown", "{}").fields(&[]);
    let server = alone.servers.get_mut(&name).expect("it was started");
    assert_eq!(server.wait(), Some(0), "{}", server.stderr());
    let told = server.stderr();
    let expected = "Stopped; no other node of the ring stays, and 1 key ended with it\n";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn the_options_of_serve_are_options_of_the_seeds_server() {
    let _machine = beside_others();
    let names = free_names(2, 8);
    let _first = Process::start(program().args(["serve", "--listen", &names[0], "--ring-size", "8"]));
    let (host, port) = names[1].split_once(':').expect("a name is HOST:PORT");
    let server = ["http", "server", host, port, "8", "--join", &names[0], "--successors", "4"];
    let _second = Process::start(program().args(server));
    let oracle = Oracle::new(8, &names);
    wait_for("a ring of two", IDEAL_LIMIT, || names.iter().try_for_each(|name| is_ideal_at(&oracle, name)));
}

#[test]
fn a_node_of_chord_py_puts_and_gets_text_and_anything_more_is_refused() {
    let _machine = beside_others();
    let name = free_names(1, 7).swap_remove(0);
    let _peer = python_peer("http", &name, 7, &[]);
    try_ask(&name, "create", "{}").expect("it answers");
    let at = |arguments: &[&'static str]| -> Vec<String> {
        arguments.iter().chain(&["--node"]).map(|word| (*word).to_owned()).chain([name.clone()]).collect()
    };
    let printed = |arguments: &[&'static str]| {
        let ended = run_command(program().args(at(arguments)));
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "chord {arguments:?}: {ended:?}");
        ended.stdout
    };
    assert_eq!(printed(&["put", "greeting", "hällo"]), format!("Stored at {name} after 0 hops\n"));
    assert_eq!(printed(&["get", "greeting"]), "hällo");
    let object: Value = serde_json::from_str(&printed(&["get", "greeting", "--json"])).expect("it is JSON");
    assert_eq!(object, json!({ "key": "greeting", "value": "hällo", "owner": name, "hops": 0 }));
    let absent = run_command(program().args(at(&["get", "nobody stored this"])));
    assert_eq!(absent.code, Some(3), "{absent:?}");

    let binary = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(binary.path(), b"\xff").expect("it can be written");
    let put = run_command(program().args(at(&["put", "photo"])).arg("--file").arg(binary.path()));
    let refusal = format!(
        "error: {name} is a node of chord.py, which can only put and get text: \
         for anything else, ask a node of this program"
    );
    assert_eq!((put.code, only_line(&put.stderr)), (Some(1), refusal.clone()));
    for arguments in [
        &["put", "greeting", "hello", "--ttl", "1h"][..],
        &["put", "greeting", "hello", "--if-absent"],
        &["put", "greeting", "hello", "--consistency", "all"],
        &["get", "greeting", "--consistency", "all"],
        &["del", "greeting"],
        &["incr", "greeting"],
        &["keys"],
        &["keys", "--here"],
    ] {
        let arguments = at(arguments);
        let line = fails(1, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(line, refusal, "chord {arguments:?}");
    }
    assert_eq!(printed(&["get", "greeting"]), "hällo");
}

#[test]
fn in_a_ring_with_a_node_of_chord_py_a_key_can_do_what_its_owner_can() {
    let _machine = beside_others();
    let names = free_names(2, 7);
    let [ours, pythons] = names.as_slice() else { panic!("two names") };
    let _ours = try_server(ours, 7).expect("the port is free");
    ask(ours, "create", "{}").fields(&[]);
    let _peer = python_peer("http", pythons, 7, &[]);
    try_ask(pythons, "join", &json!({ "remote_node": ours }).to_string()).expect("it answers");
    let oracle = Oracle::new(7, &names);
    wait_for("a ring of two", IDEAL_LIMIT, || is_ideal_at(&oracle, ours));
    let key_of = |owner: &String| {
        let keys = (0..1_000_000).map(|idx| format!("key{idx}"));
        keys.into_iter()
            .find(|key| oracle.owner_of_key(key) == *owner)
            .expect("one of so many keys is its own")
    };
    let (here, there) = (key_of(ours), key_of(pythons));
    for key in [&here, &there] {
        assert_eq!(run(&["put", key, "text", "--node", ours]).code, Some(0));
        assert_eq!(run(&["get", key, "--node", ours]).stdout, "text");
    }
    assert_eq!(run(&["put", &here, "text", "--ttl", "1h", "--node", ours]).code, Some(0));
    let line = fails(1, &["put", &there, "text", "--ttl", "1h", "--node", ours]);
    assert!(
        line.contains("the owner of this key is a node of chord.py, which can only put and get"),
        "{line}"
    );

    let listed = run(&["keys", "--node", ours]);
    assert_eq!((listed.code, &*listed.stdout), (Some(1), &*format!("{here}\n")), "{listed:?}");
    assert!(
        listed.stderr.contains("error: keys may be missing: ") && listed.stderr.contains(pythons),
        "{listed:?}"
    );
}
