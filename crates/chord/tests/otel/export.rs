//! Metrics and lines of the log, on their way to a collector that works, dies, refuses and hangs.

#![expect(clippy::float_cmp, reason = "what did not change is told in the same digits")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::collector::{Collector, Mood};
use super::decoded::{Metrics, Record, records, series};
use super::support::{Connection, Process, free_port, program, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// How long a node may take to answer while its collector is in trouble: less than the ten seconds that a request to the
/// collector may take, whatever else the machine does.
const PROMPT: Duration = Duration::from_secs(8);

/// A node with its name, whose log is JSON.
fn node(options: &[&str]) -> (Process, String) {
    let name = format!("127.0.0.1:{}", free_port());
    let mut command = program();
    command.args(["serve", "--listen", &name, "--log-format", "json"]).args(options);
    (Process::start(&mut command), name)
}

fn node_with(collector: &Collector) -> (Process, String) {
    let (mut node, name) = node(&["--otlp-endpoint", &collector.url(), "--otlp-interval", "1s"]);
    node.wait_until_it_says("\"event\":\"joined\"").expect("it founds a ring");
    (node, name)
}

fn asked(node: &str, request: &str) -> Vec<u8> {
    let mut connection = Connection::open(node).expect("the node is there");
    let begin = Instant::now();
    connection.send(request.as_bytes()).expect("it listens");
    let answer = connection.read_response().expect("it answers");
    assert!(answer.status < 300 && begin.elapsed() < PROMPT, "{answer:?} after {:?}", begin.elapsed());
    answer.body
}

fn put(node: &str, key: &str, value: &str) {
    let length = value.len();
    asked(node, &format!("PUT /v1/kv/{key} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{value}"));
}

/// The numbers at `/metrics`: each series, and the kind of each metric that has any.
fn scraped(node: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let body = asked(node, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = String::from_utf8(body).expect("numbers are text");
    let mut numbers = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (what, number) = line.rsplit_once(' ').expect("a number");
        let (name, labels) = what.split_once('{').unwrap_or((what, ""));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(name, value)| (name, value.trim_matches('"'))).collect();
        numbers.insert(series(name, labels), number.parse().expect("a number"));
    }
    let has_any = |name: &str| {
        let begins = |series: &String| series.split(' ').next().is_some_and(|of| of.starts_with(name));
        numbers.keys().any(begins)
    };
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kinds = kinds.filter(|(name, _)| has_any(name));
    let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    (numbers, kinds)
}

/// The lines that the collector has, in the order in which they came.
fn lines(collector: &Collector) -> Vec<Record> {
    collector.bodies("/v1/logs").iter().flat_map(|body| records(body).1).collect()
}

fn has_line(collector: &Collector, event: &str) -> Result<(), String> {
    let all: Vec<String> = lines(collector).into_iter().map(|line| line.event).collect();
    all.iter().any(|one| one == event).then_some(()).ok_or_else(|| format!("only {all:?}"))
}

/// The lines on standard error.
fn logged(node: &Process) -> Vec<Value> {
    node.stderr().lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

/// The first line about that event on standard error.
fn told(node: &Process, event: &str) -> Result<Value, String> {
    let mut lines = logged(node).into_iter();
    lines.find(|line| line["event"] == event).ok_or_else(|| node.stderr())
}

fn ends_in_good_order(mut node: Process) -> Process {
    node.signal("TERM");
    let begin = Instant::now();
    assert_eq!(node.wait(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    node
}

/// The number of a series in the last export, if there is one.
fn last(collector: &Collector, series: &str) -> Result<f64, String> {
    let bodies = collector.bodies("/v1/metrics");
    let export = bodies.last().map(|body| Metrics::read(body)).ok_or("nothing was sent")?;
    export.series.get(series).copied().ok_or_else(|| format!("there is no {series}"))
}

const STORED: &str = "chord_operations_total door=rest operation=set result=ok";

#[test]
fn a_collector_has_the_numbers_that_metrics_has() {
    let collector = Collector::start(Mood::Well);
    let (process, name) = node_with(&collector);
    for key in ["a", "b", "c"] {
        put(&name, key, "value");
    }
    wait_for("an export with what was stored", LIMIT, || match last(&collector, STORED) {
        Ok(3.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (before, kinds) = scraped(&name);
    let n_exports = collector.bodies("/v1/metrics").len();
    // The next one may have been under way.
    let (export, _) = wait_for("two more exports", LIMIT, || {
        let bodies = collector.bodies("/v1/metrics");
        bodies.get(n_exports + 1).map(|body| Metrics::read(body)).ok_or(bodies.len())
    });
    let (after, _) = scraped(&name);

    assert_eq!(export.series.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    // Who asks has a connection, which is counted too.
    let is_of_asking = |series: &str| {
        ["chord_connections", "chord_runtime_", "process_"].iter().any(|begin| series.starts_with(begin))
    };
    let is_steady =
        |series: &String, number: &f64| after.get(series) == Some(number) && !is_of_asking(series);
    let steady: Vec<_> = before.iter().filter(|(series, number)| is_steady(series, number)).collect();
    assert!(steady.len() > 400 && before[STORED] == 3.0, "{} of {}", steady.len(), before.len());
    for (series, number) in steady {
        assert_eq!(export.series[series], *number, "{series}");
    }
    let kinds_sent = export.kinds.iter().map(|(name, (kind, _))| (name.clone(), (*kind).to_owned()));
    assert_eq!(kinds_sent.collect::<BTreeMap<_, _>>(), kinds);
    assert_eq!(export.kinds["chord_store_bytes"].1, "By");
    assert_eq!(export.kinds["chord_operation_duration_seconds"], ("histogram", "s".to_owned()));
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_nanos();
    let (since, at) = (u128::from(export.times.0), u128::from(export.times.1));
    assert!(since < at && at <= now && since + 60_000_000_000 > now, "{since} {at} {now}");
    check_resource(&export.resource, &name);
    let taken = collector.taken();
    assert!(taken.iter().all(|taken| taken.head.contains("content-type: application/x-protobuf\r\n")));
    ends_in_good_order(process);
}

fn check_resource(resource: &BTreeMap<String, String>, name: &str) {
    let expected = [
        ("service.name", "chord"),
        ("service.instance.id", name),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(resource, &expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[test]
fn a_collector_has_every_line_of_the_log_and_nothing_that_is_kept() {
    let collector = Collector::start(Mood::Well);
    let (process, name) = node_with(&collector);
    put(&name, "secret-key", "secret-value");
    let process = ends_in_good_order(process);
    wait_for("the end of standard error", LIMIT, || told(&process, "left"));

    let (mut arrived, mut written) = (lines(&collector), logged(&process));
    assert!(written.len() > 3, "{written:?}");
    let events = |event: &str| arrived.iter().filter(|line| line.event == event).count();
    assert_eq!((events("joined"), events("left")), (1, 1), "the first lines and the last");
    // Two threads that log at once may do so in one order here and in the other there.
    arrived.sort_by(|one, other| (&one.event, &one.message).cmp(&(&other.event, &other.message)));
    written.sort_by_key(|line| {
        ["event", "message"].map(|name| line[name].as_str().unwrap_or_default().to_owned())
    });
    for (line, record) in written.iter().zip(&arrived) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((&record.message, &record.level), (&text("message"), &text("level")));
        assert_eq!(record.event, text("event"));
        assert_eq!(record.attributes["target"], text("target"));
        let all = line.as_object().expect("an object").iter();
        let own = all.filter(|(name, _)| !["timestamp", "level", "message"].contains(&name.as_str()));
        let own = own.map(|(name, value)| {
            (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        assert_eq!(record.attributes, own.collect());
        let severity = match record.level.as_str() {
            "INFO" => 9,
            "WARN" => 13,
            other => panic!("nothing is {other}"),
        };
        assert_eq!(record.severity, severity);
    }
    assert_eq!(arrived.len(), written.len());
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_nanos();
    let is_recent = |at: u128| at <= now && at + 600_000_000_000 > now;
    assert!(arrived.iter().all(|line| is_recent(u128::from(line.at_ns))), "each has its time: {arrived:?}");
    let bodies = collector.bodies("/v1/logs");
    for body in &bodies {
        check_resource(&records(body).0, &name);
    }
    let has = |body: &[u8], word: &[u8]| body.windows(word.len()).any(|part| part == word);
    let taken = collector.taken();
    assert!(taken.iter().all(|taken| !has(&taken.body, b"secret-")), "no key and no value");
    assert!(taken.iter().any(|taken| has(&taken.body, b"joined")), "what is there is found");
}

#[test]
fn a_collector_hears_why_a_process_failed() {
    let collector = Collector::start(Mood::Well);
    // Its standard input is at its end.
    let (mut process, _) = node(&["--otlp-endpoint", &collector.url(), "--end-with-input"]);
    assert_eq!(process.wait(), Some(1));
    let (failed, _) = wait_for("the end of standard error", LIMIT, || told(&process, "failed"));
    let arrived = lines(&collector);
    let of_failure: Vec<_> = arrived.iter().filter(|line| line.event == "failed").collect();
    let [record] = of_failure.as_slice() else { panic!("it came once: {arrived:?}") };
    assert_eq!((record.level.as_str(), record.severity), ("ERROR", 17));
    assert_eq!(
        (Some(record.message.as_str()), Some(record.attributes["target"].as_str())),
        (failed["message"].as_str(), failed["target"].as_str())
    );
}

#[test]
fn a_collector_that_died_has_everything_when_it_is_back() {
    let collector = Collector::start(Mood::Well);
    let (process, name) = node_with(&collector);
    wait_for("the first line", LIMIT, || has_line(&collector, "joined"));
    let port = collector.port();
    // Its port stays its own: another process could take one that is free.
    collector.becomes(Mood::Gone);
    for key in 0..20 {
        put(&name, &format!("key-{key}"), "value");
    }
    let (other, other_name) = node(&["--join", &name]);
    wait_for("that the other one is found", LIMIT, || told(&process, "successor"));
    let (failed, _) = wait_for("a word about the collector", LIMIT, || told(&process, "otlp-failed"));
    assert!(failed["message"].as_str().is_some_and(|said| said.contains(&format!(":{port} does not take"))));

    collector.becomes(Mood::Well);
    wait_for("the line of meanwhile", LIMIT, || has_line(&collector, "successor"));
    wait_for("that it is told that it failed", LIMIT, || has_line(&collector, "otlp-failed"));
    wait_for("a word that it is back", LIMIT, || told(&process, "otlp-works"));
    wait_for("all that was counted", LIMIT, || match last(&collector, STORED) {
        Ok(20.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    asked(&other_name, "GET /v1/kv/key-1 HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(other);
    let process = ends_in_good_order(process);
    let arrived = lines(&collector);
    let n_arrived = arrived.iter().filter(|line| line.event == "successor").count();
    let n_written = logged(&process).iter().filter(|line| line["event"] == "successor").count();
    assert_eq!(n_arrived, n_written, "each came once");
    let n_joined = arrived.iter().filter(|line| line.event == "joined").count();
    assert_eq!(n_joined, 1, "what it had before does not come again");
    let n_complaints = logged(&process).iter().filter(|line| line["event"] == "otlp-failed").count();
    assert_eq!(n_complaints, 1, "it is said once a minute");
}

#[test]
fn a_node_does_not_wait_for_a_collector_that_hangs() {
    let collector = Collector::start(Mood::Hangs);
    let (process, name) = node_with(&collector);
    wait_for("metrics and lines that hang", LIMIT, || {
        let paths = collector.refused();
        let both = ["/v1/logs", "/v1/metrics"].iter().all(|path| paths.iter().any(|one| one == path));
        if both { Ok(()) } else { Err(format!("{paths:?}")) }
    });
    for key in 0..50 {
        put(&name, &format!("key-{key}"), "value");
    }
    assert_eq!(scraped(&name).0[STORED], 50.0);
    let process = ends_in_good_order(process);
    wait_for("a word that the last lines are lost", LIMIT, || told(&process, "otlp-cut"));
}

#[test]
fn what_a_collector_refuses_is_tried_again_if_that_makes_sense_and_counted_if_not() {
    let collector = Collector::start(Mood::Refuses(503, "Retry-After: 1\r\n"));
    let (process, _) = node_with(&collector);
    let (failed, _) = wait_for("a word that it is busy", LIMIT, || told(&process, "otlp-failed"));
    assert!(failed["message"].as_str().is_some_and(|said| said.contains("503")), "{failed}");
    assert_eq!(failed["dropped"], 0);
    collector.becomes(Mood::Well);
    wait_for("the line that it had refused", LIMIT, || has_line(&collector, "joined"));
    ends_in_good_order(process);

    for (mood, why) in
        [(Mood::Refuses(400, ""), "400"), (Mood::TakesAPart, "it refused 1 of what it got (odd)")]
    {
        let collector = Collector::start(mood);
        let (process, _) = node_with(&collector);
        let (failed, _) = wait_for("a word that it is wrong", LIMIT, || told(&process, "otlp-failed"));
        assert!(failed["message"].as_str().is_some_and(|said| said.contains(why)), "{failed}");
        if mood != Mood::TakesAPart {
            wait_for("the refusal of a line", LIMIT, || {
                let paths = collector.refused();
                paths.iter().any(|path| path == "/v1/logs").then_some(()).ok_or("not yet")
            });
            collector.becomes(Mood::Well);
            let (works, _) = wait_for("that it works", LIMIT, || told(&process, "otlp-works"));
            assert!(works["dropped"].as_u64() > Some(0), "{works}");
            wait_for("a line of later", LIMIT, || has_line(&collector, "otlp-works"));
            assert!(has_line(&collector, "joined").is_err(), "what was refused for good is not sent again");
        }
        ends_in_good_order(process);
    }
}

#[test]
fn a_collector_is_named_by_a_flag_a_variable_or_a_file_and_below_a_path() {
    let collector = Collector::start(Mood::Well);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chord.toml");
    let text = format!("otlp-endpoint = \"{}/api/otlp/\"\notlp-interval = \"1s\"\n", collector.url());
    std::fs::write(&file, text).expect("it can be written");
    let (by_file, _) = node(&["--config", file.to_str().expect("it is text")]);
    let mut by_variable = program();
    let by_variable = by_variable.args(["http", "server", "127.0.0.1", &free_port().to_string(), "160"]);
    let by_variable = Process::start(by_variable.env("CHORD_OTLP_ENDPOINT", collector.url()));
    let expected = ["/api/otlp/v1/logs", "/api/otlp/v1/metrics", "/v1/logs", "/v1/metrics"];
    wait_for("all of them", LIMIT, || {
        let paths: BTreeSet<String> = collector.taken().into_iter().map(|taken| taken.path).collect();
        if paths.iter().map(String::as_str).eq(expected) { Ok(()) } else { Err(format!("{paths:?}")) }
    });
    ends_in_good_order(by_file);
    ends_in_good_order(by_variable);
}
