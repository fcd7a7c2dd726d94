//! Programs in Python that were not written by us, or not from our code: the standard library's XML-RPC client, and
//! the peer that imitates chord.py.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Process, machine};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/support/peer").join(name)
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Called {
    Answer(Value),
    Fault(i64, String),
    /// No answer that Python's client understands.
    Failed(String),
}

impl Called {
    #[track_caller]
    pub(crate) fn answer(self) -> Value {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn fault(self) -> (i64, String) {
        match self {
            Self::Fault(code, sentence) => {
                assert!(
                    !sentence.trim().is_empty() && !sentence.contains('\n'),
                    "{sentence:?} is not one line"
                );
                (code, sentence)
            }
            other => panic!("no fault but {other:?}"),
        }
    }
}

/// Python's own XML-RPC client, in a process that makes one call after the other.
pub(crate) struct XmlRpc {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl XmlRpc {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let mut python = Command::new("python3");
        python.arg(script("xmlrpc_calls.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = machine::begin(&mut python).expect("python3 runs");
        let stdin = child.stdin.take().expect("standard input is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Self { child, pipes: Mutex::new((stdin, stdout)) }
    }

    /// Calls a method, whatever comes of it.
    #[track_caller]
    pub(crate) fn try_call(&self, node: &str, method: &str, params: &Value) -> Called {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        let call = json!({ "node": node, "method": method, "params": params });
        writeln!(stdin, "{call}").expect("the client reads");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the client writes");
        let mut called: Value = serde_json::from_str(&line).expect("the client writes JSON");
        if let Some(fault) = called["fault"].as_array() {
            let code = fault[0].as_i64().expect("a fault has a number");
            return Called::Fault(code, fault[1].as_str().expect("and a sentence").to_owned());
        }
        match called["failed"].as_str() {
            Some(failed) => Called::Failed(failed.to_owned()),
            None => Called::Answer(called["answer"].take()),
        }
    }

    /// Calls a method with one struct.
    #[track_caller]
    pub(crate) fn call(&self, node: &str, method: &str, fields: Value) -> Called {
        self.try_call(node, method, &Value::Array(vec![fields]))
    }
}

impl Drop for XmlRpc {
    fn drop(&mut self) {
        // It ends with its input as well; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The peer that imitates chord.py, in one language; it stabilizes every 200 ms, and ends with this process.
#[track_caller]
pub(crate) fn python_peer(language: &str, name: &str, ring_size: usize, more: &[&str]) -> Process {
    let (host, port) = name.rsplit_once(':').expect("a name is HOST:PORT");
    let mut command = Command::new("python3");
    command.arg(script("peer.py")).args([language, host, port, &ring_size.to_string()]);
    command.args(["--interval", "0.2", "--until-stdin-closes"]).args(more).stdin(Stdio::piped());
    let mut process = Process::start(&mut command);
    if let Err(said) = process.wait_until_it_says(&format!("Running on {name} with ring size {ring_size}..."))
    {
        panic!("{name} ended: {said}");
    }
    process
}
