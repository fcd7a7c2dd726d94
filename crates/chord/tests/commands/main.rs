//! The commands on rings that run: `dev`, `serve`, `put`, `get`, `del`, `incr`, `keys`, `lookup`, `bench`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[cfg(test)]
mod bench;
#[cfg(test)]
mod data;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod simulated;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes nearly as long, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_chord");

fn program(arguments: &[&str]) -> Command {
    with(Command::new(PROGRAM), arguments)
}

/// The same command with these arguments, and nothing of the environment that is about the program.
fn with(mut command: Command, arguments: &[&str]) -> Command {
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
    /// Hears of a terminal that has gone, even if the test does not, as under nohup.
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", PROGRAM]);
        let mut child = with(command, arguments).spawn().unwrap();
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

/// An address at which nobody listens.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
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
