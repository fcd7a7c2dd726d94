//! Processes of the program under test, ended when the test lets go of them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{machine, wait_for};

/// Longest wait for a process to say that it runs, or to end: generous, for machines that do much else.
const PROCESS_LIMIT: Duration = Duration::from_secs(20);

/// Names another build of the program to test than that of the tests, a release build.
const OTHER_PROGRAM: &str = "CHORD_PROGRAM";

/// Where the program under test is.
pub(crate) fn program_file() -> String {
    std::env::var(OTHER_PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_chord").to_owned())
}

/// Whether the program under test is one that people run: smaller and faster than what tests are built with.
pub(crate) fn is_release_build() -> bool {
    !cfg!(debug_assertions) || std::env::var(OTHER_PROGRAM).is_ok()
}

/// The program under test, without what the environment of the tests would tell it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(program_file());
    command.env_remove("CHORD_NODE").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command that ends by itself.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_command(program().args(arguments))
}

#[track_caller]
pub(crate) fn run_command(command: &mut Command) -> Ended {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = machine::begin(command).and_then(Child::wait_with_output).expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What a running process has printed so far.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<String>>);

impl Printed {
    fn read_from(stream: impl Read + Send + 'static) -> Self {
        let printed = Self::default();
        let writer = printed.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = writer.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        });
        printed
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A process that runs until it is told to stop. Killed, by its id, when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Printed,
    stderr: Printed,
}

impl Process {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = machine::begin(command).expect("the program starts");
        let stdout = Printed::read_from(child.stdout.take().expect("standard output is a pipe"));
        let stderr = Printed::read_from(child.stderr.take().expect("standard error is a pipe"));
        Self { child, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal, named as `kill` names it.
    #[track_caller]
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = machine::begin(kill.args(["-s", signal, &self.id().to_string()]));
        let sent = sent.and_then(|mut child| child.wait());
        assert!(sent.expect("kill runs").success(), "cannot send {signal} to {}", self.id());
    }

    /// Stops the process, and returns when all of its threads stand still.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        wait_for("all threads stopped", PROCESS_LIMIT, || machine::is_stopped(self.id()).ok_or("one runs"));
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is a child of this one")
    }

    /// Waits until the process prints this, on either stream. Says what it printed if it ended instead.
    #[track_caller]
    pub(crate) fn wait_until_it_says(&mut self, text: &str) -> Result<(), String> {
        wait_for(&format!("{text:?} in the output"), PROCESS_LIMIT, || {
            let ended = self.ended().is_some();
            let printed = self.stderr() + &self.stdout();
            if printed.contains(text) {
                return Ok(Ok(()));
            }
            if ended { Ok(Err(printed)) } else { Err(printed) }
        })
        .0
    }

    /// Waits until the process ends by itself, and returns its exit code.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let limit = PROCESS_LIMIT;
        let (status, _) = wait_for("the end of a process", limit, || self.ended().ok_or("it still runs"));
        status.code()
    }

    /// Ends the process at once, as a crash would.
    #[track_caller]
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("the process is a child of this one");
        self.child.wait().expect("the process is a child of this one");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; nothing more can be done about one that cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- standard error of process {}:\n{}", self.id(), self.stderr());
        }
    }
}
