//! Scenario scripts: a ring that does, line by line, what a text says, and tells what came of it.
//!
//! A script is a list of commands, one a line: `join 10 via 3`, `fail 7`, `stabilize 5`, `ring`. What a run prints is the
//! script again, and under each line what happened, marked so that it is skipped when that is read as a script.
//! Nodes are the shipped state machines in a [`Cluster`](crate::Cluster), called by their positions.

mod error;
mod form;
mod parse;
mod rings;
mod runner;
mod show;
mod statement;

use chord_ring::Config;

pub use error::{Problem, ScriptError};
use runner::Runner;
use statement::Statement;

/// Longest script in bytes: some thousand lines, far more than anybody follows.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;

/// Most nodes at one time: as many as `chord dev` starts, and more than anybody wants to see in a table.
pub const NODES_MAX: usize = 256;

/// Most rounds of one line. Whatever heals does so within some sixty.
pub const ROUNDS_MAX: usize = 1_000;

/// Most turns of nodes in one script, a round being one turn of each node: some seconds of work.
pub const TURNS_MAX: usize = 100_000;

/// Rounds that `converge` waits unless it is told otherwise: a peer that was silent for long is probed every 16 rounds,
/// several may wait for their turn, and each merge takes one round a node.
pub const ROUNDS_DEFAULT: usize = 60;

/// Bits of the largest ring: a position is one number of 64 bits then.
pub const BITS_MAX: u64 = 64;

/// What a line begins with that a run has printed.
const OUTPUT_MARK: char = '|';

/// A script to show how scripts look.
pub const SCRIPT_EXAMPLE: &str = include_str!("script/example.txt");

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The script, and under each line what happened.
    pub transcript: String,
    /// How many lines expected something.
    pub n_expectations: usize,
    /// The lines whose expectation failed, or where a node found its own rules broken.
    pub failed_lines: Vec<usize>,
    /// Why the run ended before the script did.
    pub stopped: Option<ScriptError>,
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
        let mut runner = Runner::new(self.config.clone());
        let mut run =
            Run { transcript: String::new(), n_expectations: 0, failed_lines: Vec::new(), stopped: None };
        for Line { number, text, statement } in &self.lines {
            run.transcript.push_str(text);
            run.transcript.push('\n');
            let Some(statement) = statement else { continue };
            run.n_expectations += usize::from(statement.expects());
            match runner.run(statement) {
                Ok(told) => {
                    for line in told.lines {
                        run.transcript.extend([OUTPUT_MARK, ' ']);
                        run.transcript.push_str(&line);
                        run.transcript.push('\n');
                    }
                    run.failed_lines.extend(told.is_failure.then_some(*number));
                }
                Err(problem) => {
                    run.stopped = Some(ScriptError { line: *number, problem });
                    break;
                }
            }
        }
        run
    }
}

impl Statement {
    fn expects(&self) -> bool {
        matches!(self, Self::Expect(_) | Self::Converge { .. })
    }
}

/// How scripts are written: every command, and an example.
pub fn script_guide() -> String {
    let mut guide = String::from(GUIDE_BEGIN);
    let mut line = |text: &str| {
        guide.push_str(text.trim_end());
        guide.push('\n');
    };
    for (heading, forms) in form::FORMS {
        line("");
        line(&format!("{heading}:"));
        for form in forms {
            for (idx, written) in form.written.iter().enumerate() {
                let does = if idx + 1 == form.written.len() { form.does } else { "" };
                if written.len() > GUIDE_COLUMN && !does.is_empty() {
                    line(&format!("  {written}"));
                    line(&format!("  {:<GUIDE_COLUMN$}  {does}", ""));
                } else {
                    line(&format!("  {written:<GUIDE_COLUMN$}  {does}"));
                }
            }
        }
    }
    line("");
    line("Example:");
    for text in SCRIPT_EXAMPLE.lines() {
        line(&format!("  {text}"));
    }
    guide.trim_end().to_owned()
}

/// Width of the column of commands: room for most.
const GUIDE_COLUMN: usize = 25;

/// One line a paragraph: whoever shows it breaks the lines.
const GUIDE_BEGIN: &str = "\
How scripts are written: one command a line, and a comment behind `#`. NODE and POSITION are numbers on the ring; a node is called by its position.

What is printed is the script, and below each line, marked by `|`, what happened. Such lines are skipped when a script is read, so what a run prints is a script again.

Nodes do nothing by themselves: time passes where the script says `stabilize`, `round` or `converge`. A node that has crashed is found out when it is asked; one that is frozen or cut off, when it is asked for the second time in a row.
";
