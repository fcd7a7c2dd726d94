//! Why a script is not run, or not to its end: one sentence with the line, what is wrong there, and what to do.

use super::{BYTES_MAX, NODES_MAX, OUTPUT_BYTES_MAX, TURNS_MAX};

/// A script that is wrong. Nothing of it was run, or only what stands before this line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The script goes on beyond [`BYTES_MAX`].
    #[error("a script has at most {BYTES_MAX} bytes: split it")]
    TooLarge,
    /// A typo.
    #[error("there is no command {word:?}: did you mean {nearest:?}?")]
    Typo {
        /// What is written.
        word: String,
        /// What was meant.
        nearest: &'static str,
    },
    /// A word that is near to no command.
    #[error("there is no command {word:?}: there are {names}")]
    NoCommand {
        /// What is written.
        word: String,
        /// All commands.
        names: String,
    },
    /// A command that is not written as it should be.
    #[error("{found}: write {ways}")]
    Form {
        /// What is there, or missing.
        found: String,
        /// How the command is written.
        ways: String,
    },
    /// A number that is none, or too small or too large.
    #[error("{word:?} is no {what}: that is a whole number from {least} to {most}")]
    Number {
        /// What is written.
        word: String,
        /// What it should be.
        what: &'static str,
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// The same node twice where each can stand once.
    #[error("node {0} is named twice: name it once")]
    Twice(u64),
    /// A setting after the first node.
    #[error("{0:?} comes too late: it must stand before the first node")]
    Late(&'static str),
    /// A node that is not there.
    #[error("there is no node {at}: {}", .nodes.as_ref().map_or("add it first".to_owned(), |nodes| format!("there are {nodes}")))]
    NoNode {
        /// Where it would be.
        at: u64,
        /// Those that are there.
        nodes: Option<String>,
    },
    /// A node that is there already.
    #[error("node {0} is there already: let it fail or leave first")]
    NodeIsThere(u64),
    /// A node that can do nothing now.
    #[error("node {0} is frozen: thaw it first")]
    Frozen(u64),
    /// A node that is no member, or no longer.
    #[error("node {0} is no member yet: let some rounds pass first")]
    NotMember(u64),
    /// A node that would come through itself.
    #[error("node {0} cannot join through itself: name another node")]
    ThroughItself(u64),
    /// Messages are not held.
    #[error("no message waits, since messages arrive at once: say `hold` before")]
    NotHeld,
    /// There is no such message.
    #[error("there is no such message that can arrive: `messages` shows those that wait")]
    NoMessage,
    /// More nodes than [`NODES_MAX`].
    #[error("a script has at most {NODES_MAX} nodes at one time: let some leave")]
    TooManyNodes,
    /// More work than [`TURNS_MAX`].
    #[error(
        "a script takes at most {TURNS_MAX} turns of nodes, and each round and each line takes one for every node: use fewer of them"
    )]
    TooLong,
    /// More output than [`OUTPUT_BYTES_MAX`].
    #[error("a script prints at most {OUTPUT_BYTES_MAX} bytes: look less often")]
    TooMuchOutput,
}
