//! Scenario scripts: a ring that does, line by line, what a text says, and tells what came of it.
//!
//! A script is a list of commands, one a line: `join 10 via 3`, `fail 7`, `stabilize 5`, `ring`. What a run prints is the
//! script again, and under each line what happened, marked so that it is skipped when that is read as a script.
//! Nodes are the shipped state machines in a [`Cluster`](crate::Cluster), called by their positions.

mod error;
mod form;
mod guide;
mod parse;
mod rings;
mod runner;
mod show;
mod statement;

use chord_ring::Config;

pub use error::{Problem, ScriptError};
pub use guide::guide;
use runner::Runner;
use statement::Statement;

/// Longest script in bytes: some thousand lines, far more than anybody follows.
pub const BYTES_MAX: usize = 64 * 1024;

/// Most nodes at one time: as many as `chord dev` starts, and more than anybody wants to see in a table.
pub const NODES_MAX: usize = 256;

/// Most rounds of one line. Whatever heals does so within some sixty.
pub const ROUNDS_MAX: usize = 1_000;

/// Most turns of nodes in one script: some seconds of work. A round is one turn of each node, and so is looking at what
/// has come of a line.
pub const TURNS_MAX: usize = 100_000;

/// Most bytes that a run prints: more than anybody reads.
pub const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rounds that `converge` waits unless it is told otherwise: a peer that was silent for long is probed every 4 rounds,
/// several may wait for their turn, and each merge takes one round a node.
pub const ROUNDS_DEFAULT: usize = 60;

/// Bits of the largest ring: a position is one number of 64 bits then.
pub const BITS_MAX: u64 = 64;

/// What a line begins with that a run has printed.
const OUTPUT_MARK: char = '|';

/// A script to show how scripts look.
pub const EXAMPLE: &str = include_str!("script/example.txt");

/// A script that has been read.
#[derive(Clone, Debug)]
pub struct Script {
    config: Config,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    number: usize,
    text: String,
    statement: Option<Statement>,
}

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The script, and under each line what happened.
    pub transcript: String,
    /// How many lines expected something. Of every other line it is expected that no node finds its own rules broken:
    /// one where that is so counts too.
    pub n_expectations: usize,
    /// The lines whose expectation failed.
    pub failed_lines: Vec<usize>,
    /// Why the run ended before the script did.
    pub stopped: Option<ScriptError>,
    /// Whether somebody stopped it before the script's end.
    pub is_interrupted: bool,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// A line is not written as it should be, or the script is too large. Nothing is run.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        parse::parse(text)
    }

    /// Runs it. The same script always ends in the same way.
    pub fn run(&self) -> Run {
        self.run_while(|| true)
    }

    /// The same with nodes whose settings are altered: broken on purpose, to see what the rules are for.
    pub fn run_altered(&self, alter: impl Fn(Config) -> Config) -> Run {
        Self { config: alter(self.config.clone()), lines: self.lines.clone() }.run()
    }

    /// Runs it, as long as `goes_on` says so before a line.
    pub fn run_while(&self, goes_on: impl Fn() -> bool) -> Run {
        let mut runner = Runner::new(self.config.clone());
        let mut run = Run::default();
        for line in &self.lines {
            if !goes_on() {
                run.is_interrupted = true;
                break;
            }
            if let Err(problem) = run.go_on(line, &mut runner) {
                run.stopped = Some(ScriptError { line: line.number, problem });
                break;
            }
        }
        run
    }
}

impl Run {
    fn go_on(&mut self, line: &Line, runner: &mut Runner) -> Result<(), Problem> {
        self.print(&line.text);
        let Some(statement) = &line.statement else { return Ok(()) };
        let told = runner.run(statement)?;
        self.n_expectations += usize::from(told.is_failure || matches!(statement, Statement::Expect(_)));
        for line in &told.lines {
            self.transcript.extend([OUTPUT_MARK, ' ']);
            self.print(line);
        }
        self.failed_lines.extend(told.is_failure.then_some(line.number));
        if self.transcript.len() > OUTPUT_BYTES_MAX { Err(Problem::TooMuchOutput) } else { Ok(()) }
    }

    fn print(&mut self, line: &str) {
        self.transcript.push_str(line);
        self.transcript.push('\n');
    }
}
