//! `bench`.

use super::*;

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
                let more = [
                    "--reads",
                    "50",
                    "--pipeline",
                    "4",
                    "--value-bytes",
                    "10-100000",
                    "--zipf",
                    "1.2",
                    "--json",
                ];
                let report = answer(&[&["bench"][..], &arguments, &more].concat());
                let report: Value = serde_json::from_str(&report).unwrap();
                assert_eq!(
                    (&report["settings"]["door"], &report["settings"]["zipf"]),
                    (&door.into(), &1.2.into())
                );
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
    let few =
        ["--rounds", "1", "--seconds", "1", "--rate", "200", "--keys", "50", "--limit", "1000000", "--json"];
    let report = answer(&[&["bench", "slow-peer"][..], &faults, &few].concat());
    let report: Value = serde_json::from_str(&report).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let seen = rows.iter().map(|row| (row["fault"].as_str().unwrap(), row["operation"].as_str().unwrap()));
    let expected = [("slow", "put"), ("slow", "get"), ("frozen", "put"), ("frozen", "get")];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    for (setting, value) in
        [("nodes", 5), ("rounds", 1), ("seconds", 1), ("requests_per_second", 200), ("keys", 50)]
    {
        assert_eq!(report[setting], value, "{setting}: {report}");
    }
    assert_eq!(report["nameless_connections"], 0, "all that the peer asks is slowed: {report}");
    for row in rows {
        // A second without the fault and one with it, at a hundred of each kind, but for those that are under way at the ends.
        let requests = row["requests"].as_u64().unwrap();
        assert!((150..400).contains(&requests) && row["errors"] == 0, "{report}");
        assert_eq!(row["first_failure"], Value::Null, "{report}");
        let figure = |name: &str| row[name].as_f64().unwrap();
        let (without, with, ratio) = (figure("p99_ms_without"), figure("p99_ms_with"), figure("p99_ratio"));
        assert!(without > 0.0 && figure("longest_ms_without") >= without, "{report}");
        assert!(with > 0.0 && figure("longest_ms_with") >= with, "{report}");
        assert_eq!(
            (figure("p99_ratio_min"), figure("p99_ratio_max")),
            (ratio, ratio),
            "of one round: {report}"
        );
        // All three are rounded to two digits.
        assert!((ratio * without - with).abs() <= 0.05 * (1.0 + without + with), "{report}");
    }
}

#[test]
fn bench_fails_where_requests_beside_a_slow_peer_do_whatever_the_ratio() {
    let arguments =
        ["bench", "slow-peer", "--fault", "frozen", "--rounds", "1", "--seconds", "7", "--limit", "1000000"];
    // All copies of a write must be made, and of most keys the one that stands still has one.
    let load = ["--replicas", "5", "--write-quorum", "5", "--rate", "20", "--clients", "4", "--keys", "50"];
    let output = run(&[&arguments[..], &load, &["--json"]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let put = &report["rows"][0];
    assert!(put["operation"] == "put" && put["errors"].as_u64() > Some(0), "{report}");
    let sentence = said.lines().last().unwrap();
    assert!(
        sentence.starts_with("error: ") && sentence.contains(" requests failed; the first failure: "),
        "{said}"
    );
}

#[test]
fn bench_tells_what_it_measured_of_a_node_that_hangs_at_every_door() {
    std::thread::scope(|scope| {
        for door in ["http", "peer"] {
            scope.spawn(move || {
                let server = Running::start(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
                let name = server.told("Running on ").replace(" with ring size 160...", "");
                server.told("Founded a ring; ");
                let arguments =
                    ["--node", &name, "--door", door, "--seconds", "1", "--warmup", "0", "--json"];
                let mut bench = Running::start(&[&["bench"][..], &arguments].concat());
                bench.told("Measuring ");
                std::thread::sleep(Duration::from_millis(300));
                server.signal("STOP");
                let failure = bench.told("error: not every request succeeded; the first failure: ");
                assert!(failure.ends_with(": no answer within 5 s"), "{door}: {failure}");
                assert_eq!(bench.code(), Some(1));
                let report: Value = serde_json::from_str(&bench.stdout.iter().collect::<String>()).unwrap();
                let operations = report["operations"].as_array().unwrap();
                assert_eq!(operations.len(), 2, "{door}: {report}");
                assert!(operations[0]["count"].as_u64() > Some(0), "{door}: {report}");
                let errors =
                    operations.iter().map(|operation| operation["errors"].as_u64().unwrap()).sum::<u64>();
                assert!(errors > 0, "{door}: {report}");
            });
        }
    });
}

#[test]
fn bench_makes_no_directory_but_in_one_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("typo");
    let inner = missing.join("data");
    let path = inner.to_str().unwrap();
    for command in [&["bench"][..], &["bench", "grow", "--simulated", "1"], &["bench", "slow-peer"]] {
        let sentence = failure(&[command, &["--nodes", "4", "--disk", "--data", path]].concat(), 1);
        assert_eq!(sentence, format!("there is no directory {path}: make it, or name another by --data"));
    }
    assert!(!missing.exists());
}

#[test]
fn bench_refuses_more_copies_of_a_write_than_there_are_under_the_name_that_was_typed() {
    for command in [&["bench"][..], &["bench", "repair"], &["bench", "slow-peer"]] {
        let sentence = failure(&[command, &["--write-quorum", "4"]].concat(), 2);
        assert_eq!(
            sentence,
            format!(
                "--write-quorum is 4, and there are only 3 copies of a key: lower it, or raise --replicas (see chord {} --help)",
                command.join(" ")
            )
        );
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
fn bench_looks_at_its_secret_before_it_starts_a_server() {
    let output = run(&["bench", "--nodes", "1", "--secret-file", "/nowhere/secret"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot read the file of secrets /nowhere/secret"), "{said}");
    assert_eq!(said.lines().count(), 1, "nothing was begun: {said}");
}

#[test]
fn bench_that_is_stopped_leaves_no_process() {
    let growing = ["bench", "grow", "--nodes", "1", "--simulated", "1", "--seconds", "600"];
    // A terminal that is closed is such a wish as well.
    for signal in ["INT", "HUP"] {
        stop_and_look_for_processes(&["bench", "--nodes", "1", "--seconds", "600"], "Writing ", signal);
        stop_and_look_for_processes(&growing, "Measuring ", signal);
    }
}

#[test]
fn a_closed_terminal_leaves_no_frozen_server_behind() {
    let arguments = [
        "bench",
        "slow-peer",
        "--fault",
        "frozen",
        "--rounds",
        "1",
        "--seconds",
        "5",
        "--rate",
        "20",
        "--keys",
        "20",
    ];
    let mut bench = Running::start(&arguments);
    bench.told("Round 1 ");
    let servers = children(&bench);
    let begin = Instant::now();
    while !servers.iter().any(|server| is_stopped(server)) {
        assert!(begin.elapsed() < DEADLINE, "none of {servers:?} was frozen");
        std::thread::sleep(Duration::from_millis(50));
    }
    bench.signal("HUP");
    assert_eq!(bench.code(), Some(1));
    for server in servers {
        assert!(!std::path::Path::new("/proc").join(&server).exists(), "process {server} still runs");
    }
}

/// Whether a process stands still after a signal, by the letter for its state (proc(5)).
fn is_stopped(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
}

#[test]
fn nohup_keeps_a_bench_going_when_its_terminal_is_closed() {
    let program = env!("CARGO_BIN_EXE_chord");
    let mut command = Command::new("nohup");
    command.args([program, "bench", "--nodes", "1", "--seconds", "1", "--keys", "10"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (stdout, stderr) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    let mut bench = Running { child, stdout, stderr };
    bench.told("Measuring ");
    bench.signal("HUP");
    assert_eq!(bench.code(), Some(0));
}

/// The processes that one has started.
fn children(of: &Running) -> Vec<String> {
    let told = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", of.child.id()));
    told.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn stop_and_look_for_processes(arguments: &[&str], begins: &str, signal: &str) {
    let mut bench = Running::start(arguments);
    bench.told(begins);
    let children = children(&bench);
    assert!(!children.is_empty() || !cfg!(target_os = "linux"), "it has started a server");
    bench.signal(signal);
    assert_eq!(bench.code(), Some(1), "SIG{signal}");
    for child in children {
        assert!(!std::path::Path::new("/proc").join(&child).exists(), "process {child} still runs");
    }
}
