//! The commands on rings that run: `dev`, `serve`, `put`, `get`, `del`, `incr`, `keys`, `lookup`, `bench`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes nearly as long, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHORD_"))
    {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command that succeeds prints.
fn answer(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A process that runs until it is told to end; killed if the test ends first.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program(arguments).spawn().unwrap();
        let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit code, once the process has ended by itself.
    fn code(&mut self) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the process did not end");
    }

    /// The rest of a line on standard error that begins so.
    fn told(&self, beginning: &str) -> String {
        self.told_after(|line| line.strip_prefix(beginning))
            .unwrap_or_else(|| panic!("no line {beginning:?}"))
    }

    /// What `rest` leaves of a line on standard error.
    fn told_after(&self, rest: impl Fn(&str) -> Option<&str>) -> Option<String> {
        loop {
            let line = self.stderr.recv_timeout(DEADLINE).ok()?;
            if let Some(rest) = rest(&line) {
                return Some(rest.to_owned());
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = tx.send(line); // the test may have seen enough
        }
    });
    rx
}

/// The nodes of a ring that `chord dev` runs.
fn dev(arguments: &[&str]) -> (Running, Vec<String>) {
    let ring = Running::start(&[&["dev", "--port", "0", "--json"], arguments].concat());
    let table: Value = serde_json::from_str(&ring.stdout.recv_timeout(DEADLINE).unwrap()).unwrap();
    let nodes = table["nodes"].as_array().unwrap();
    let shares: f64 = nodes.iter().map(|node| node["share_percent"].as_f64().unwrap()).sum();
    assert!((shares - 100.0).abs() < 0.1, "{table}");
    for (idx, node) in nodes.iter().enumerate() {
        let next = &nodes[(idx + 1) % nodes.len()];
        // A node alone has no neighbours.
        let neighbours =
            if nodes.len() > 1 { (&next["node"], &node["node"]) } else { (&Value::Null, &Value::Null) };
        assert_eq!((&node["successor"], &next["predecessor"]), neighbours, "{table}");
    }
    let names = nodes.iter().map(|node| node["node"].as_str().unwrap().to_owned()).collect();
    (ring, names)
}

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

/// An address at which nobody listens.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
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

#[test]
fn bench_measures_processes_of_its_own() {
    let arguments = ["bench", "--nodes", "2", "--seconds", "1", "--warmup", "0", "--keys", "100", "--json"];
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    let operations = report["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 2, "{report}");
    for operation in operations {
        assert!(operation["count"].as_u64() > Some(0) && operation["errors"] == 0, "{report}");
        assert!(operation["latency_ms"]["p99"].as_f64() > Some(0.0), "{report}");
    }
    assert_eq!(report["settings"]["nodes"].as_array().unwrap().len(), 2);
    assert!(
        !cfg!(target_os = "linux") || report["servers"][0]["resident_mib"].as_f64() > Some(0.0),
        "{report}"
    );
}

#[test]
fn bench_asks_at_every_door() {
    let server = Running::start(&["serve", "--listen", "127.0.0.1:0"]);
    let name = server.told("Running on ").replace("...", "");
    server.told("Founded a ring");
    std::thread::scope(|scope| {
        for door in ["http", "xmlrpc", "redis", "rest", "peer"] {
            let name = name.split(' ').next().unwrap();
            scope.spawn(move || {
                let arguments =
                    ["--at", name, "--door", door, "--seconds", "1", "--warmup", "0", "--keys", "100"];
                let more = ["--reads", "50", "--pipeline", "4", "--value-bytes", "10-100000", "--json"];
                let report = answer(&[&["bench"][..], &arguments, &more].concat());
                let report: Value = serde_json::from_str(&report).unwrap();
                assert_eq!(report["settings"]["door"], door);
                for operation in report["operations"].as_array().unwrap() {
                    assert!(operation["count"].as_u64() > Some(0) && operation["errors"] == 0, "{report}");
                }
            });
        }
    });
}

#[test]
fn bench_sends_at_the_rate_that_it_is_given() {
    let arguments = ["bench", "--nodes", "1", "--seconds", "1", "--warmup", "0", "--keys", "100", "--json"];
    let load = ["--rate", "200", "--reads", "50", "--zipf", "--value-bytes", "16-64", "--threads", "2"];
    let report: Value = serde_json::from_str(&answer(&[&arguments[..], &load].concat())).unwrap();
    let settings = &report["settings"];
    assert_eq!((&settings["rate"], &settings["zipf"]), (&200.into(), &0.99.into()));
    assert_eq!((&settings["value_bytes"], &settings["reads_percent"]), (&"16-64".into(), &50.into()));
    let operations = report["operations"].as_array().unwrap();
    let sum =
        |field: &str| operations.iter().map(|operation| operation[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("count") + sum("unsent") + sum("errors"), 200, "{report}");
    assert_eq!(sum("errors"), 0, "{report}");
    let histogram = operations[0]["histogram"].as_array().unwrap();
    let counts = histogram.iter().map(|step| step["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(counts, operations[0]["count"].as_u64().unwrap() + operations[0]["unsent"].as_u64().unwrap());
    assert!(operations[0]["late_ms"]["max"].as_f64().is_some(), "{report}");
}

#[test]
fn bench_measures_a_ring_at_rest() {
    let arguments = ["bench", "--nodes", "2", "--rest", "1", "--warmup", "0", "--json"];
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    assert_eq!(report["servers"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn bench_measures_a_ring_that_keeps_its_records_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let arguments = ["bench", "--nodes", "2", "--seconds", "1", "--warmup", "0", "--keys", "100", "--json"];
    let kept = ["--replicas", "2", "--write-quorum", "1", "--disk", "--data", data, "--sync", "always"];
    let report: Value = serde_json::from_str(&answer(&[&arguments[..], &kept].concat())).unwrap();
    let expected =
        serde_json::json!({ "replicas": 2, "write_quorum": 1, "engine": "disk", "sync": "always" });
    assert_eq!(report["settings"]["keeping"], expected);
    assert!(report["operations"][0]["count"].as_u64() > Some(0), "{report}");
    assert_eq!(std::fs::read_dir(data).unwrap().count(), 0, "what the servers wrote is gone");
}

#[test]
fn bench_measures_what_a_slow_peer_costs_others() {
    let faults = ["--fault", "slow", "--fault", "frozen"];
    let few = ["--rounds", "1", "--seconds", "1", "--rate", "200", "--keys", "50", "--json"];
    let report = answer(&[&["bench", "slow-peer"][..], &faults, &few].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let seen = rows.iter().map(|row| (row["fault"].as_str().unwrap(), row["operation"].as_str().unwrap()));
    let expected = [("slow", "put"), ("slow", "get"), ("frozen", "put"), ("frozen", "get")];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    for row in rows {
        assert!(row["requests"].as_u64() > Some(0) && row["errors"] == 0, "{report}");
        assert!(row["p99_ratio"].as_f64() > Some(0.0), "{report}");
    }
}

#[test]
fn bench_measures_a_join_and_finds_the_records_at_the_newcomer() {
    let arguments = ["bench", "join", "--records", "3000", "--rest", "1", "--rate", "100", "--json"];
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    let found = &report["newcomer"];
    assert_eq!((&found["kept"], &found["checked"]), (&3000.into(), &3000.into()), "{report}");
    assert!(report["join_seconds"].as_f64() > Some(0.0), "{report}");
    for phase in ["at_rest", "joining"] {
        for row in report[phase].as_array().unwrap() {
            assert!(row["count"].as_u64() > Some(0) && row["errors"] == 0, "{phase}: {report}");
        }
    }
}

#[test]
fn bench_measures_how_cost_grows_and_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let small = ["--seconds", "1", "--keys", "100", "--lookups", "300", "--connections", "3"];
    let arguments = ["bench", "grow", "--nodes", "3,1", "--simulated", "64", "--replicas", "1", "--json"];
    let arguments = [&arguments[..], &small, &["--out", out]].concat();
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    let [alone, three] = report["processes"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&alone["nodes"], &three["nodes"]), (&1.into(), &3.into()), "{report}");
    for (ring, hops_max) in [(alone, 0), (three, 1)] {
        assert!(ring["lookup_hops"]["p99"].as_u64() == Some(hops_max), "{report}");
        for operation in ["get", "put"] {
            let cost = &ring[operation];
            let figure = |name: &str| cost[name].as_f64().unwrap();
            let hops = cost["hops"]["mean"].as_f64().unwrap();
            assert_eq!(cost["hops"]["p99"].as_u64(), Some(hops_max), "{report}");
            assert!(figure("count") > 0.0 && (hops > 0.2) == (hops_max > 0), "{report}");
            // With one copy all that one of three nodes asks another for is to do the operation.
            assert!((figure("to_operate") - hops).abs() < 0.02 && figure("to_copy") < 0.1, "{report}");
            assert!((figure("requests") > 0.0) == (hops_max > 0), "{report}");
            assert!(!cfg!(target_os = "linux") || figure("cpu_micros") > 0.0, "{report}");
        }
    }
    let simulated = &report["simulated"][0];
    assert!((simulated["hops"]["mean"].as_f64().unwrap() - 2.4).abs() < 0.5, "{report}");
    for (plot, n_references) in [("hops.svg", 2), ("requests.svg", 2), ("cpu.svg", 0)] {
        let svg = std::fs::read_to_string(folder.path().join(plot)).unwrap();
        assert_eq!(dashed_lines(&svg), 2 * n_references, "in the plot and in its legend: {svg}");
        assert_eq!(["½ log2 N", "one hop"].map(|label| svg.contains(label)), [n_references > 0; 2], "{svg}");
    }
    let rows = ["processes.csv", "simulated.csv"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count());
    assert_eq!(rows, [3, 2]);
}

/// How many lines of a plot are dashed, which must be well-formed XML.
fn dashed_lines(svg: &str) -> usize {
    let mut reader = quick_xml::Reader::from_str(svg);
    let (mut open, mut dashed) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(_) => open += 1,
            quick_xml::events::Event::End(_) => open -= 1,
            quick_xml::events::Event::Empty(element) => {
                let attribute = element.try_get_attribute("stroke-dasharray").unwrap();
                dashed += usize::from(attribute.is_some());
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "{svg}");
    dashed
}

#[test]
fn bench_measures_lookups_in_a_large_ring() {
    let arguments = ["bench", "sim", "--nodes", "2000", "--lookups", "1000", "--json"];
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    assert_eq!((&report["nodes"], &report["wrong_owners"]), (&2000.into(), &0.into()), "{report}");
    let half_of_log2 = 2000_f64.log2() / 2.0;
    assert!((report["mean_hops"].as_f64().unwrap() - half_of_log2).abs() < 0.7, "{report}");
}

#[test]
fn bench_measures_a_ring_under_churn() {
    let arguments = ["bench", "sim", "--churn", "5", "--nodes", "100", "--rate", "2", "--json"];
    let report: Value = serde_json::from_str(&answer(&arguments)).unwrap();
    assert!(
        report["joins"].as_u64() > Some(0) && report["events_per_second"].as_f64() > Some(0.0),
        "{report}"
    );
    assert!(report["lookups_right"].as_u64() > Some(10), "{report}");
}

#[test]
fn a_bench_in_one_process_that_is_stopped_tells_what_it_has() {
    for (arguments, begins, end) in [
        (["--lookups", "1000000000", "--nodes", "50"], "Building a ring ", " of 1,000,000,000 lookups"),
        (["--churn", "3600", "--nodes", "300"], "Running a ring ", " of 3600 s of virtual time"),
    ] {
        // Where it is when it hears of that, nobody can say: if it has nothing to tell yet, it is given more time.
        let told = [10, 100, 1_000, 10_000].into_iter().find_map(|ms| {
            let mut running = Running::start(&[&["bench", "sim"][..], &arguments].concat());
            running.told(begins);
            std::thread::sleep(Duration::from_millis(ms));
            running.signal("INT");
            let told = running.told("error: stopped ");
            assert_eq!(running.code(), Some(1));
            (told != "before the first lookup").then(|| (told, running.stdout.iter().count()))
        });
        let (told, n_lines) = told.expect("it begins some time");
        assert!(told.starts_with("after ") && told.ends_with(end), "{told}");
        assert_eq!(n_lines, 2, "a table of one line");
    }
}

#[test]
fn the_swarm_tells_one_seed_in_full_and_counts_many() {
    let told = answer(&["sim", "run", "--seed", "17"]);
    assert!(told.starts_with("seed 17, ") && told.contains("ideal again within"), "{told}");
    let events = answer(&["sim", "run", "--seed", "17", "--hosts", "4", "--only-faults", "0,1", "--trace"]);
    assert!(events.contains(" wakes: Maintain") && events.lines().count() > 100, "{events}");
    assert_eq!(
        events,
        answer(&["sim", "run", "--seed", "17", "--hosts", "4", "--only-faults", "0,1", "--trace"])
    );
    let report: Value =
        serde_json::from_str(&answer(&["sim", "run", "--seeds", "20", "--json", "--threads", "2"])).unwrap();
    assert_eq!(
        (&report["runs"], &report["failed_seeds"]),
        (&20.into(), &Value::Array(Vec::new())),
        "{report}"
    );
    assert!(report["faults"].as_u64() > Some(20), "{report}");
}

#[test]
fn a_swarm_that_is_stopped_says_how_far_it_came() {
    let mut running = Running::start(&["sim", "run", "--seeds", "1000000000", "--threads", "1"]);
    running.told("Running ");
    running.signal("INT");
    running.told("Stopping: ");
    assert!(running.told("error: stopped after ").ends_with("none of them failed"));
    assert_eq!(running.code(), Some(1));
}

#[test]
fn rings_that_were_apart_merge_from_the_command_line() {
    let table = answer(&["sim", "merge", "6", "5", "1", "--runs", "2"]);
    assert!(table.contains("rounds") && table.contains("median"), "{table}");
}

#[test]
fn the_papers_are_reproduced_in_files_that_one_seed_makes_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let reproduce = |name: &str, threads: &str| {
        let out = folder.path().join(name);
        let out_text = out.to_str().unwrap();
        let only = ["sim", "paper", "--quick", "--only", "fig10,table2", "--seed", "7"];
        let summary = answer(&[&only[..], &["--out", out_text, "--threads", threads]].concat());
        assert!(
            summary.contains("fig10") && summary.contains("table2") && !summary.contains("fig8"),
            "{summary}"
        );
        let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
        ["fig10.csv", "fig10.svg", "table2.csv", "table2.svg", "report.md", "report.html"].map(read)
    };
    let once = reproduce("once", "1");
    assert_eq!(once, reproduce("again", "3"));
    let [csv, svg, _, _, markdown, html] = once;
    assert!(csv.starts_with("nodes,paper_path,paper_path_p1,paper_path_p99,ours_path,"), "{csv}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(markdown.contains("`chord sim paper --only fig10,table2 --quick --seed 7`"), "{markdown}");
    assert!(html.contains("<svg ") && html.ends_with("</html>\n"));
}

#[test]
fn papers_that_are_stopped_end_soon_with_a_report_of_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let mut running =
        Running::start(&["sim", "paper", "--only", "fig8,table2", "--threads", "1", "--out", out]);
    running.told("Measuring ");
    running.signal("INT");
    running.told("Stopping: ");
    let told = running.told("error: ");
    assert!(told.starts_with("stopped early: ") && told.ends_with("; not reached: fig8, table2"), "{told}");
    assert_eq!(running.code(), Some(1));
    let page = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(page.contains("The run was stopped before it came to these: fig8, table2."), "{page}");
}

#[test]
fn bench_that_is_stopped_leaves_no_process() {
    stop_and_look_for_processes(&["bench", "--nodes", "1", "--seconds", "600"], "Writing ");
    let growing = ["bench", "grow", "--nodes", "1", "--simulated", "1", "--seconds", "600"];
    stop_and_look_for_processes(&growing, "Measuring ");
}

fn stop_and_look_for_processes(arguments: &[&str], begins: &str) {
    let mut bench = Running::start(arguments);
    bench.told(begins);
    let children = format!("/proc/{0}/task/{0}/children", bench.child.id());
    let children = std::fs::read_to_string(children).unwrap_or_default();
    bench.signal("INT");
    assert_eq!(bench.code(), Some(1));
    for child in children.split_whitespace() {
        assert!(!std::path::Path::new("/proc").join(child).exists(), "process {child} still runs");
    }
}

/// What a command prints that is given these bytes on standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = program(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// The one line on standard error of a command that ends with that code.
fn failure(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    let sentence = stderr.strip_prefix("error: ").and_then(|rest| rest.strip_suffix('\n'));
    sentence.filter(|sentence| !sentence.contains('\n')).unwrap_or_else(|| panic!("{stderr:?}")).to_owned()
}

/// The JSON that a command prints which succeeds.
fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&answer(&[arguments, &["--json"]].concat())).unwrap()
}

/// Every byte there is, and more of them than fit a packet.
fn binary() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(300_000).collect()
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

/// Two nodes in processes of their own, and their names.
fn two_servers() -> ([Running; 2], [String; 2]) {
    let first = Running::start(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let first_name = first.told("Running on ").replace(" with ring size 160...", "");
    first.told("Founded a ring; ");
    let second = Running::start(&["serve", "--listen", "127.0.0.1:0", "--join", &first_name, "--log", "off"]);
    let second_name = second.told("Running on ").replace(" with ring size 160...", "");
    second.told("Joined the ring; ");
    ([first, second], [first_name, second_name])
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
