//! How much memory a node's process takes, whatever it is asked to keep.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::*;

/// What the process may take.
const MEMORY_MIB: u64 = 128;

/// Longest wait for one step of a client.
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait of one who sends more than is taken from it.
const PUSH_LIMIT: Duration = Duration::from_millis(20);

/// Longest wait until a node has room again for everything, after those who took it have gone.
const ROOM_LIMIT: Duration = Duration::from_secs(60);

fn server(further: &[&str]) -> (Process, String) {
    let name = free_names(1, 160).remove(0);
    let mut command = program();
    command.args(["serve", "--listen", &name, "--memory-max", &format!("{MEMORY_MIB}MiB")]).args(further);
    let mut process = Process::start(&mut command);
    process.wait_until_it_says("Running on").expect("it serves");
    (process, name)
}

/// The most memory that a process has had, in KiB.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells VmHWM");
    line.trim().strip_suffix(" kB").and_then(|kib| kib.parse().ok()).expect("it is a number")
}

#[track_caller]
fn assert_stays_below(process: &Process, after: &str) {
    let peak = peak_kib(process.id());
    println!("after {after}: {} KiB at the most, of {} KiB", peak, MEMORY_MIB << 10);
    assert!(peak <= MEMORY_MIB << 10, "after {after}: {peak} KiB");
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A Redis client.
struct Redis(BufReader<TcpStream>);

impl Redis {
    fn connect(name: &str) -> Self {
        let stream = TcpStream::connect(name).expect("the node listens");
        stream.set_read_timeout(Some(STEP_LIMIT)).expect("a socket");
        stream.set_write_timeout(Some(STEP_LIMIT)).expect("a socket");
        Self(BufReader::new(stream))
    }

    /// The first line of the answer, of which there is no more.
    #[track_caller]
    fn ask(&mut self, words: &[&[u8]]) -> String {
        self.try_ask(words).expect("the node answers")
    }

    fn try_ask(&mut self, words: &[&[u8]]) -> std::io::Result<String> {
        self.0.get_mut().write_all(&command(words))?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line)
    }

    /// Sends this again and again until no more is taken, and reads nothing.
    fn push(name: &str, bytes: &[u8], times: usize) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(name).ok()?;
        stream.set_write_timeout(Some(PUSH_LIMIT)).ok()?;
        for _ in 0..times {
            if stream.write_all(bytes).is_err() {
                break;
            }
        }
        Some(stream)
    }
}

/// Sizes of values, most of which come again and again between others.
const SIZES: [usize; 8] = [5, 700_000, 300, 17_000, 60, 120_000, 4000, 1 << 20];

/// Writes values of all sizes until none is taken any more, and then in the places of others.
fn fill(name: &str) {
    let mut client = Redis::connect(name);
    let mut full = 0;
    for (n, size) in (0..40_000).zip(SIZES.iter().cycle()) {
        let answer = client.ask(&[b"SET", format!("key{n}").as_bytes(), &vec![b'v'; *size]]);
        assert!(answer == "+OK\r\n" || answer.starts_with("-OOM "), "{answer}");
        full = if answer == "+OK\r\n" { 0 } else { full + 1 };
        if full == SIZES.len() {
            break;
        }
    }
    assert_eq!(full, SIZES.len(), "no value has any room");
    for n in 0..2000 {
        let (size, key) = (SIZES[n * 7 % SIZES.len()], format!("key{}", n * 31 % 400));
        let answer = client.ask(&[b"SET", key.as_bytes(), &vec![b'w'; size]]);
        assert!(answer == "+OK\r\n" || answer.starts_with("-OOM "), "{answer}");
        if n % 3 == 0 {
            assert!(client.ask(&[b"DEL", key.as_bytes()]).starts_with(':'), "a full store deletes");
        }
    }
}

/// Writes more to a disk than there is memory, and reads some of it.
fn write_much(name: &str) {
    let mut client = Redis::connect(name);
    let value = vec![b'd'; 900_000];
    for n in 0..150 {
        let key = format!("much{n}");
        wait_for("a write that the disk has room for", STEP_LIMIT, || {
            match client.ask(&[b"SET", key.as_bytes(), &value]) {
                answer if answer == "+OK\r\n" => Ok(()),
                answer => Err(answer),
            }
        });
        let earlier = format!("much{}", n / 2);
        assert_eq!(client.ask(&[b"STRLEN", earlier.as_bytes()]), ":900000\r\n");
    }
}

/// Opens far more connections than there may be, each of which wants as much as it can get and reads nothing.
fn flood(name: &str) -> Vec<TcpStream> {
    let mut client = Redis::connect(name);
    for n in 0..30 {
        client.ask(&[b"DEL", format!("key{n}").as_bytes()]);
    }
    assert_eq!(client.ask(&[b"SET", b"small", &vec![b's'; 15_000]]), "+OK\r\n");
    assert_eq!(client.ask(&[b"SET", b"large", &vec![b'l'; 900_000]]), "+OK\r\n");
    let half_a_value = [&b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n"[..], &vec![b'x'; 800_000]].concat();
    let half_a_body =
        [&b"PUT /v1/kv/k HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"[..], &vec![b'x'; 900_000]]
            .concat();
    let gets_small = command(&[b"GET", b"small"]).repeat(200);
    let gets_large = command(&[b"GET", b"large"]).repeat(10);
    let rest = b"GET /v1/kv/large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10);
    let demands = [half_a_value, half_a_body, gets_small, gets_large, rest];
    demands.iter().cycle().take(600).filter_map(|bytes| Redis::push(name, bytes, 1)).collect()
}

/// The value of a metric without labels.
fn metric(name: &str, metric: &str) -> Result<u64, String> {
    let mut connection = Connection::open(name).map_err(|error| error.to_string())?;
    connection.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").map_err(|error| error.to_string())?;
    let answer = connection.read_response().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    line.and_then(|number| number.parse().ok()).ok_or(format!("no {metric} in {text}"))
}

fn is_tried(further: &[&str], fill: fn(&str)) {
    let (process, name) = server(further);
    assert_stays_below(&process, "the start");
    fill(&name);
    assert_stays_below(&process, "more values than there is memory for");
    for round in 1..=2 {
        let flood = flood(&name);
        assert!(flood.len() > 500, "they were let in, or told that there is no place");
        assert_stays_below(&process, &format!("flood {round}"));
        drop(flood);
        wait_for("room for a large value again", ROOM_LIMIT, || {
            let mut client = Redis::connect(&name);
            match client.try_ask(&[b"SET", b"large", &vec![b'l'; 900_000]]) {
                Ok(answer) if answer == "+OK\r\n" => Ok(()),
                Ok(answer) => Err(answer),
                Err(error) => Err(error.to_string()),
            }
        });
    }
    assert_stays_below(&process, "all of it");
    assert_eq!(metric(&name, "chord_memory_limit_bytes"), Ok(MEMORY_MIB << 20));
    let told = metric(&name, "process_resident_memory_peak_bytes").expect("it is told");
    assert!(told > 10 << 20 && told <= MEMORY_MIB << 20, "{told}");
}

#[test]
fn a_node_in_memory_stays_below_its_limit_whatever_it_is_asked_to_keep() {
    let _machine = beside_others();
    is_tried(&[], fill);
}

#[test]
fn a_node_on_a_disk_stays_below_its_limit_whatever_it_is_asked_to_keep() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    is_tried(&["--data", dir.path().join("data").to_str().expect("a path of text")], write_much);
}

#[test]
fn requests_that_wait_for_a_frozen_node_stay_below_the_limit() {
    let _machine = beside_others();
    let (process, name) = server(&["--replicas", "1"]);
    let other = free_names(1, 160).remove(0);
    let mut frozen =
        Process::start(program().args(["serve", "--listen", &other, "--join", &name, "--replicas", "1"]));
    frozen.wait_until_it_says("Joined the ring").expect("it joins");
    wait_for("both ready", ROOM_LIMIT, || readiness(&name).and_then(|()| readiness(&other)));
    frozen.freeze();
    let sets: Vec<Vec<u8>> =
        (0..128).map(|n| command(&[b"SET", format!("waits{n}").as_bytes(), &vec![b'v'; 15_000]])).collect();
    let sets = sets.concat();
    let waiting: Vec<_> = (0..150).filter_map(|_| Redis::push(&name, &sets, 1)).collect();
    assert!(waiting.len() > 100);
    assert_stays_below(&process, "what waits for a frozen node");
    drop(waiting);
    let mut client = Redis::connect(&name);
    let mut pong = [0; 7];
    client.0.get_mut().write_all(b"PING\r\n").expect("the node reads");
    client.0.read_exact(&mut pong).expect("the node answers");
    assert_eq!(&pong, b"+PONG\r\n");
}

#[test]
fn the_log_says_once_that_a_client_is_refused_however_often_it_is() {
    let _machine = beside_others();
    let (process, name) = server(&["--client-requests", "1", "--log-format", "json"]);
    let mut refused = 0;
    for _ in 0..5 {
        let mut client = Redis::connect(&name);
        client.0.get_mut().write_all(&b"PING\r\n".repeat(100)).expect("the node reads");
        for _ in 0..100 {
            let mut line = String::new();
            client.0.read_line(&mut line).expect("the node answers");
            assert!(line == "+PONG\r\n" || line.starts_with("-BUSY your address asks for more"), "{line}");
            refused += usize::from(line != "+PONG\r\n");
        }
    }
    assert!(refused > 400, "{refused}");
    let (lines, _) = wait_for("a line in the log", STEP_LIMIT, || {
        let log = process.stderr();
        let lines: Vec<String> =
            log.lines().filter(|line| line.contains("client-refused")).map(str::to_owned).collect();
        if lines.is_empty() { Err(log) } else { Ok(lines) }
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("client-requests") && lines[0].contains("127.0.0.1"), "{lines:?}");
}

#[test]
fn what_does_not_fit_into_the_memory_is_refused_at_the_start_with_what_would_do() {
    for (options, sentence) in [
        (
            &["--memory-max", "128MiB", "--connections", "4096"][..],
            "--memory-max is 128MiB, and what a node keeps with --connections 4096, --value-bytes 1MiB may take ",
        ),
        (
            &["--memory-max", "64MiB", "--threads", "64"],
            "--memory-max is 64MiB, and what a node keeps with --threads 64, --value-bytes 1MiB may take ",
        ),
        (
            &["--store-bytes", "1MiB"],
            "--store-bytes is 1MiB, and a value of --value-bytes 1MiB would never fit in, which may take 1032KiB",
        ),
        (&["--memory-max", "10MiB"], "the memory of the process is a number of bytes"),
        (&["--connections", "1"], "the number of connections is a whole number from 16 to 1048576"),
        (
            &["--value-bytes", "8MiB", "--bodies-bytes", "4MiB"],
            "--bodies-bytes is 4MiB, and a value of --value-bytes 8MiB would never fit in",
        ),
        (
            &["--value-bytes", "8MiB", "--store-bytes", "4MiB"],
            "--store-bytes is 4MiB, and a value of --value-bytes 8MiB would never fit in",
        ),
    ] {
        let refused = run(&[&["serve", "--listen", "127.0.0.1:0"], options].concat());
        assert_eq!(refused.code, Some(2), "{options:?}: {refused:?}");
        assert!(refused.stderr.contains(sentence), "{options:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.trim_end().lines().count(), 1, "{}", refused.stderr);
    }
}

#[test]
fn a_node_with_many_threads_that_all_have_served_something_stays_below_the_limit() {
    let _machine = beside_others();
    let (process, name) = server(&["--threads", "32", "--replicas", "1"]);
    let value = vec![b'v'; 15_000];
    for round in 0..4 {
        let mut clients: Vec<_> = (0..64).map(|_| Redis::connect(&name)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let key = format!("{round}/{number}");
            assert_eq!(client.ask(&[b"SET", key.as_bytes(), &value]), "+OK\r\n");
            assert_eq!(client.ask(&[b"STRLEN", key.as_bytes()]), ":15000\r\n");
        }
        let sets = command(&[b"SET", b"key", &value]).repeat(128);
        let pushed = clients.into_iter().filter(|_| Redis::push(&name, &sets, 1).is_some()).count();
        assert!(pushed > 32, "{pushed}");
    }
    assert_stays_below(&process, "all of 32 threads have served");
}

/// How many files a process has open.
fn open_files(process: &Process) -> u64 {
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("the process runs");
    files.count() as u64
}

#[test]
fn a_thread_that_serves_connections_has_as_many_files_open_as_are_counted_for_it() {
    let [few, many] = [1_u64, 33].map(|threads| (threads, server(&["--threads", &threads.to_string()])));
    let n_more = many.0 - few.0;
    // At the start a node connects to itself, so one or the other may have some more for a moment.
    let differ = || {
        let more = open_files(&many.1.0).saturating_sub(open_files(&few.1.0));
        if more == n_more * chord::THREAD_FILES {
            Ok(())
        } else {
            Err(format!("{more} for {n_more} threads"))
        }
    };
    wait_for("four files for each thread", ROOM_LIMIT, differ);
}

#[test]
fn a_node_that_may_not_have_the_files_of_its_threads_and_connections_says_so_at_the_start() {
    let with_files = |files: u32, options: &str| {
        let serve = format!("ulimit -n {files}; exec \"$0\" serve --listen 127.0.0.1:0 {options}");
        let mut command = Command::new("sh");
        command.args(["-c", &serve, &program_file()]).env_remove("CHORD_NODE").stdin(Stdio::null());
        command
    };
    for (files, options, n_connections, sentence) in [
        (336, "--threads 64", 16, "--threads may open 336 files, of which 335 are allowed"),
        (
            420,
            "--threads 64 --connections 100",
            100,
            "--connections with --threads may open 420 files, of which 419 are allowed",
        ),
    ] {
        let refused = run_command(&mut with_files(files - 1, options));
        assert_eq!(refused.code, Some(2), "{options}: {refused:?}");
        assert!(refused.stderr.contains(sentence), "{options}: {}", refused.stderr);
        let mut process = Process::start(&mut with_files(files, options));
        process.wait_until_it_says("Running on").expect("with one more it serves");
        let left = u64::from(files) - open_files(&process);
        assert!(left >= n_connections, "{options}: room for {left} of {n_connections} connections");
    }
}
