//! The ring in the terminal: shown, followed when nodes die, traced, counted; and nodes that say what they like.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

/// Longest wait for something to be seen.
const SEEN_LIMIT: Duration = Duration::from_secs(30);

/// Within this it is said that a node stands still: five seconds, and some for a machine that has other work.
const FROZEN_LIMIT: Duration = Duration::from_millis(6500);

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("it prints one JSON object")
}

/// Waits until the last line that the process has printed is an object of which this holds.
#[track_caller]
fn wait_until_shown(process: &Process, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let last = || process.stdout().lines().last().and_then(|line| serde_json::from_str(line).ok());
    let seen = wait_for(what, SEEN_LIMIT, || {
        let last: Value = last().unwrap_or_default();
        if holds(&last) { Ok(last) } else { Err(format!("{last} {}", process.stderr())) }
    });
    seen.0
}

#[test]
fn the_terminal_shows_the_ring_and_goes_on_through_another_node_when_the_one_asked_is_killed() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(4, 160);
    let names = cluster.names();
    let first = names[0].as_str();
    assert_eq!(run(&["put", "greeting", "hello", "--node", first]).code, Some(0));
    shows_one_key_and_one_node(&names);
    shows_rates(first);

    let mut watch = Process::start(program().args(["ring", "--watch", "--json", "--node", first]));
    wait_until_shown(&watch, "a whole ring", |ring| ring["verdict"] == "fine" && ring["members"] == 4);
    let mut unread = Process::start(
        Command::new("sh")
            .args(["-c", &format!("{} ring --watch --json --node {first} | head -n 1", program_file())]),
    );
    assert_eq!(unread.wait(), Some(0), "it ends when nobody reads any more, though nothing changes");
    let page = run(&["ring", "--node", first]).stdout;
    assert!(page.starts_with("The ring is whole: 4 nodes, "), "{page}");
    assert!(names.iter().all(|name| page.contains(name)), "{page}");

    cluster.servers.remove(first).expect("it runs").crash();
    let seen = wait_until_shown(&watch, "the dead node, through another one", |ring| {
        let dead = ring["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["node"] == first));
        ring["seen_by"] != first && dead.is_some_and(|dead| dead["answer"] == "unreachable")
    });
    assert!(names[1..].iter().any(|name| seen["seen_by"] == name.as_str()), "{seen}");
    assert!(watch.stderr().contains("The ring is out of sight"), "{}", watch.stderr());
    wait_until_shown(&watch, "a ring that has closed", |ring| {
        ring["members"] == 3 && ring["rings"] == 1 && ring["torn"].as_array().is_some_and(Vec::is_empty)
    });
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
}

#[test]
fn the_terminal_says_within_five_seconds_that_the_node_that_is_asked_stands_still_and_goes_on_at_another() {
    let _machine = beside_others();
    let cluster = Cluster::ring(3, 160);
    let names = cluster.names();
    let first = names[0].as_str();
    let mut watch = Process::start(program().args(["ring", "--watch", "--json", "--node", first]));
    wait_until_shown(&watch, "a whole ring", |ring| ring["verdict"] == "fine" && ring["members"] == 3);
    cluster.servers[first].freeze();
    let began = Instant::now();
    wait_for("that it is said", SEEN_LIMIT, || {
        let said = watch.stderr();
        if said.contains("The ring is out of sight") { Ok(()) } else { Err(said) }
    });
    let said = began.elapsed();
    wait_until_shown(&watch, "the frozen node, through another one", |ring| {
        let frozen =
            ring["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["node"] == first));
        ring["seen_by"] != first && frozen.is_some_and(|frozen| frozen["answer"] == "silent")
    });
    println!("silent after {said:?}, seen through another node after {:?}", began.elapsed());
    assert!(said < FROZEN_LIMIT, "{said:?}");
    cluster.servers[first].signal("CONT");
    watch.signal("INT");
    assert_eq!(watch.wait(), Some(0));
}

#[track_caller]
fn shows_one_key_and_one_node(names: &[String]) {
    let first = names[0].as_str();
    let trace = json(&["trace", "greeting", "--json", "--node", first]);
    let lookup = json(&["lookup", "greeting", "--json", "--node", first]);
    assert_eq!((&trace["owner"]["node"], &trace["position"]), (&lookup["owner"], &lookup["position"]));
    let steps: Vec<&Value> =
        trace["steps"].as_array().expect("steps").iter().map(|step| &step["node"]).collect();
    assert_eq!(steps, lookup["path"].as_array().expect("a path").iter().collect::<Vec<_>>());
    assert_eq!(trace["steps"][steps.len() - 1]["why"], "owner");
    wait_for("three copies that agree", SEEN_LIMIT, || {
        let trace = json(&["trace", "greeting", "--json", "--node", first]);
        let is_there = trace["copies"].as_array().is_some_and(|copies| copies.len() == 3);
        if is_there && trace["do_agree"] == true { Ok(()) } else { Err(trace.to_string()) }
    });
    for name in names {
        let node = json(&["node", name, "--json"]);
        assert_eq!(
            (&node["ring"]["node"], &node["ring"]["is_member"]),
            (&name.as_str().into(), &true.into())
        );
    }
    let page = run(&["node", first]).stdout;
    assert!(page.starts_with(&format!("node            {first}\n")), "{page}");
    // What is in a key is shown, and steers nothing.
    let hostile = format!("\u{1b}]0;title\u{7}<b>'\"\r\n{}", "\u{1f600}".repeat(1000));
    let ended = run(&["trace", &hostile, "--node", first]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.chars().all(|c| c == '\n' || !c.is_control()), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("Nothing is stored under this key.\n"), "{}", ended.stdout);
}

#[track_caller]
fn shows_rates(first: &str) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (stop, node) = (is_over.clone(), first.to_owned());
    let reads = thread::spawn(move || {
        let mut connection = Connection::open(&node).expect("the node listens");
        while !stop.load(Ordering::Relaxed) {
            connection.post("get", r#"{"key": "greeting"}"#).expect("it answers");
        }
    });
    let top = {
        let _stop = SetOnDrop(&is_over);
        json(&["top", "--once", "--json", "--node", first])
    };
    reads.join().expect("nobody else stops it");
    let busy = &top["nodes"][0];
    assert_eq!(busy["node"], first, "the one that is read through comes first: {top}");
    assert!(busy["rates"]["reads_per_s"].as_f64().is_some_and(|rate| rate > 1.0), "{top}");
    assert!(top["total"]["p99_us"].as_u64().is_some(), "{top}");
    assert_eq!(top["total"]["nodes"], 4, "{top}");
}

#[test]
fn the_first_second_that_is_printed_is_one_of_the_whole_ring() {
    let _machine = alone();
    let cluster = Cluster::ring(3, 160);
    let names = cluster.names();
    // It does not answer when the ring is seen first, and does a moment later.
    cluster.servers[&names[2]].freeze();
    let mut top = Process::start(program().args(["top", "--json", "--node", &names[0]]));
    thread::sleep(Duration::from_millis(1500));
    cluster.servers[&names[2]].signal("CONT");
    let (first, _) = wait_for("the first second", SEEN_LIMIT, || {
        let first = top.stdout().lines().next().map(str::to_owned);
        first.and_then(|line| serde_json::from_str::<Value>(&line).ok()).ok_or_else(|| top.stderr())
    });
    assert_eq!(first["total"]["nodes"], 3, "{first}");
    let nodes = first["nodes"].as_array().expect("nodes");
    assert!(nodes.iter().all(|node| node["rates"].is_object()), "{first}");
    top.signal("INT");
    assert_eq!(top.wait(), Some(0));
}

/// The other screen, and the way back from it.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

#[test]
fn a_terminal_is_as_it_was_after_a_ring_was_watched_in_it() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(3, 160);
    let names = cluster.names();
    let chord = program_file();
    for (command, key, dead) in [("ring --watch", "\u{3}", Some(&names[2])), ("top", "q", None)] {
        let (stdin, mut keyboard) = std::io::pipe().expect("a pipe");
        // The shell is to outlive a Ctrl-C.
        let line = format!("trap : INT; {chord} {command} --node {}; echo code=$?; stty -a", names[0]);
        let mut terminal = Command::new("script");
        terminal.args(["-qfec", &line, "/dev/null"]).stdin(stdin);
        terminal.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
        let mut terminal = Process::start(&mut terminal);
        terminal.wait_until_it_says(&names[1]).expect("the ring is shown");
        if let Some(dead) = dead {
            cluster.servers.remove(dead).expect("it runs").crash();
            terminal.wait_until_it_says("unreachable").expect("the dead node is shown");
        }
        keyboard.write_all(key.as_bytes()).expect("it is read");
        terminal.wait_until_it_says("code=").expect("it ends");
        terminal.wait_until_it_says("icanon").expect("stty tells");
        let said = terminal.stdout();
        assert!(said.contains("code=0"), "{said}");
        let (entered, left) =
            (said.rfind(ENTER).expect("a screen"), said.rfind(LEAVE).expect("none any more"));
        assert!(entered < left && left < said.rfind("code=").expect("it was said"), "{said}");
        let modes = said.get(said.rfind("code=").expect("it was said")..).unwrap_or_default();
        assert!(!modes.contains("-icanon") && !modes.contains("-echo "), "{modes}");
        drop(keyboard);
        terminal.wait();
    }
}

#[test]
fn whichever_signal_ends_it_the_terminal_is_given_back_with_its_cursor() {
    let _machine = beside_others();
    let cluster = Cluster::ring(2, 160);
    let node = cluster.names().remove(0);
    let chord = program_file();
    let signals = [("QUIT", 131), ("HUP", 129), ("TERM", 0), ("INT", 0), ("Ctrl-\\", 131)];
    for (command, (signal, code)) in ["ring --watch", "top"].iter().cycle().zip(signals) {
        let (stdin, mut keyboard) = std::io::pipe().expect("a pipe");
        // The shell is to outlive what the terminal sends to all.
        let run = format!("sh -c 'echo pid=$$.; exec {chord} {command} --node {node}'");
        let line = format!("trap : INT QUIT; {run}; echo code=$?.; stty -a");
        let mut terminal = Command::new("script");
        terminal.args(["-qfec", &line, "/dev/null"]).stdin(stdin);
        terminal.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
        let mut terminal = Process::start(&mut terminal);
        terminal.wait_until_it_says("ends.").expect("the ring is shown");
        if signal.starts_with("Ctrl") {
            keyboard.write_all(b"\x1c").expect("it is read");
        } else {
            let said = terminal.stdout();
            let pid =
                said.split("pid=").nth(1).and_then(|rest| rest.split('.').next()).expect("it says its pid");
            let killed = Command::new("kill").args(["-s", signal, pid]).status().expect("kill runs");
            assert!(killed.success(), "{signal} to {pid}");
        }
        terminal.wait_until_it_says("code=").expect("it ends");
        terminal.wait_until_it_says("icanon").expect("stty tells");
        let said = terminal.stdout();
        let (before, behind) = said.split_once("code=").expect("it was said");
        assert!(behind.starts_with(&format!("{code}.")), "{signal}: {behind}");
        let (left, cursor) = (before.rfind(LEAVE), before.rfind("\u{1b}[?25h"));
        assert!(before.find(ENTER) < left && before.rfind("\u{1b}[?25l") < cursor, "{signal}: {said:?}");
        assert_eq!(before.matches(LEAVE).count(), 1, "{signal}: {said:?}");
        assert!(!behind.contains("-icanon") && !behind.contains("-echo "), "{signal}: {behind}");
        drop(keyboard);
        terminal.wait();
    }
}

/// A node that passes on what it is asked in the seed's language, and answers all of REST with bytes of the test.
struct Liar(String);

impl Liar {
    fn before(node: &str, says: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let name = listener.local_addr().expect("it listens").to_string();
        let (node, says) = (node.to_owned(), Arc::new(says));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (node, says) = (node.clone(), says.clone());
                thread::spawn(move || serve(stream, &node, &*says));
            }
        });
        Self(name)
    }
}

fn serve(mut stream: TcpStream, node: &str, says: &dyn Fn(&mut TcpStream, &str)) {
    let mut head = [0; 4096];
    let Ok(length) = stream.peek(&mut head) else { return };
    let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
    if head.starts_with("GET /v1/") {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let _ = stream.read(&mut [0; 4096]);
        return says(&mut stream, &path);
    }
    let Ok(mut there) = TcpStream::connect(node) else { return };
    let (Ok(mut from), Ok(mut to)) = (stream.try_clone(), there.try_clone()) else { return };
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut there, &mut stream);
}

fn answer(stream: &mut TcpStream, path: &str, json: &str) {
    let is_live = path.ends_with("/live");
    let body = if is_live { format!("event: ring\ndata: {json}\n\n") } else { json.to_owned() };
    let length = if is_live { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n{body}").as_bytes());
}

/// What every command says to a node that cannot be understood: one sentence, soon.
#[track_caller]
fn is_refused(node: &str, expected: &str) {
    for arguments in [&["ring"][..], &["ring", "--watch"], &["top", "--once"], &["node"], &["trace", "k"]] {
        let began = Instant::now();
        let ended = run(&[arguments, &["--timeout", "2", "--node", node]].concat());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stdout);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
        let is_plain = ended.stderr.trim_end().chars().all(|c| !c.is_control());
        assert!(is_plain && ended.stderr.len() < 400, "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
        assert!(began.elapsed() < Duration::from_secs(20), "{arguments:?} took {:?}", began.elapsed());
    }
}

#[test]
fn a_node_that_answers_rubbish_without_end_or_nothing_is_told_of_in_one_sentence() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 160);
    let node = cluster.names().remove(0);
    let rubbish = Liar::before(&node, |stream, path| answer(stream, path, "{\"ring\":[[[\u{1b}[2J"));
    is_refused(&rubbish.0, "is no report");
    let endless = Liar::before(&node, |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nevent: ring\ndata: ");
        let more = vec![b'['; 64 << 10];
        while stream.write_all(&more).is_ok() {}
    });
    is_refused(&endless.0, "too large");
    let silent = Liar::before(&node, |_, _| thread::sleep(Duration::from_secs(8)));
    is_refused(&silent.0, "within 2 s");
    let problem = Liar::before(&node, |stream, _| {
        let body = r#"{"type":"about:blank","status":503,"code":"busy","detail":"\u001b[2Jno\nroom"}"#;
        let head = format!("HTTP/1.1 503 x\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all((head + body).as_bytes());
    });
    is_refused(&problem.0, r"answered: \u{1b}[2Jno");
    let older = Liar::before(&node, |stream, _| {
        let body = r#"{"type":"about:blank","status":404,"code":"unknown-command","detail":"no such path"}"#;
        let head = format!("HTTP/1.1 404 x\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all((head + body).as_bytes());
    });
    is_refused(&older.0, "of an older version");
}

#[test]
fn a_node_that_makes_a_million_others_up_fills_neither_memory_nor_the_screen() {
    let _machine = beside_others();
    let cluster = Cluster::ring(1, 160);
    let node = cluster.names().remove(0);
    let inventor = |count: usize, node: &str| {
        Liar::before(node, move |stream, path| {
            let begin = "{\"seen_by\":\"127.0.0.1:1\",\"at_ms\":1,\"gone\":[],\"left_out\":0,\"pause_ms\":1,\"nodes\":[";
            let made_up = |idx: usize| {
                format!("{{\"node\":\"h{idx}:1\",\"position\":\"1\",\"answer\":\"silent\",\"report\":null}}")
            };
            if !path.ends_with("/live") {
                return answer(stream, path, "{}");
            }
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\nevent: ring\ndata: {begin}").as_bytes());
            for first in (0..count).step_by(1000) {
                let some: Vec<String> = (first..(first + 1000).min(count)).map(made_up).collect();
                let comma = if first > 0 { "," } else { "" };
                if stream.write_all(format!("{comma}{}", some.join(",")).as_bytes()).is_err() {
                    return;
                }
            }
            let _ = stream.write_all(b"]}\n\n");
            thread::sleep(Duration::from_secs(8));
        })
    };
    let many = inventor(5000, &node);
    let shown = json(&["ring", "--json", "--node", &many.0]);
    assert_eq!(shown["nodes"].as_array().map(Vec::len), Some(1024), "no more than a picture has room for");
    let page = run(&["ring", "--node", &many.0]);
    assert_eq!((page.code, page.stdout.lines().count() < 1100), (Some(0), true), "{}", page.stderr);
    let million = run(&["ring", "--node", &inventor(1_000_000, &node).0]);
    assert_eq!(million.code, Some(1), "{}", million.stdout);
    assert!(million.stderr.contains("too large"), "{}", million.stderr);
}
