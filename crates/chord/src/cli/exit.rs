//! How a command ends: its exit code and the one line that says why.

use std::fmt;
use std::io;
use std::process::ExitCode;

use chord::Key;

use super::text::{escaped, visible};
use super::{files, output};

/// A command could not do what it was asked.
const FAILED: u8 = 1;
/// A command was not asked properly.
const USAGE: u8 = 2;
/// `chord get` or `chord del` found nothing.
const ABSENT: u8 = 3;
/// What a change depends on is not so.
const UNMET: u8 = 4;

/// The command was asked for something that no run of it can do.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Usage {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// What the command was told of is wrong, as a file that an option names, and stays so until somebody mends it. The help would
/// say nothing of it.
#[derive(Debug)]
pub(crate) struct Unfit(String);

impl Unfit {
    pub(crate) fn new(sentence: impl fmt::Display) -> Self {
        Self(sentence.to_string())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// No value is stored under the key, or under any of them.
#[derive(Debug)]
pub(crate) struct Absent(String);

impl Absent {
    pub(crate) fn of(key: &Key) -> Self {
        Self(format!("no value is stored under the key \"{}\"", escaped(key.as_bytes())))
    }

    pub(crate) fn of_all(n_keys: usize) -> Self {
        Self(format!("no value is stored under any of the {n_keys} keys"))
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The condition of a change does not hold. Nothing changed.
#[derive(Debug)]
pub(crate) struct Unmet {
    /// What was found instead.
    pub(crate) sentence: String,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Unmet {}

/// Tells the user how the command ended, in one line if it failed, and the caller of the process by a number.
/// `command_path` is the command whose help explains its usage.
pub(crate) fn report(ended: anyhow::Result<()>, command_path: &str) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS, // whoever read has read enough
        Err(error) if error.is::<Usage>() => report_usage(&error.to_string(), command_path),
        Err(error) => fail(&sentence(&error), code_of(&error)),
    }
}

/// Prints the one line of a wrong usage.
pub(crate) fn report_usage(sentence: &str, command_path: &str) -> ExitCode {
    fail(&format!("{sentence} (see {command_path} --help)"), USAGE)
}

/// Why a command failed.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    one_line(&format!("{error:#}"))
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    // Nobody can be told when standard error is gone; the exit code still says it.
    let _ = output::error(sentence);
    ExitCode::from(code)
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() || error.is::<Unfit>() {
        USAGE
    } else if error.is::<Absent>() {
        ABSENT
    } else if error.is::<Unmet>() {
        UNMET
    } else {
        FAILED
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.is::<output::Closed>()
}

/// `text` without line breaks, so that one failure is one line of a log; and without what steers a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let lines = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    visible(&lines.collect::<Vec<_>>().join(" "))
}

/// Turns an I/O error of one of the standard streams into [`output::Closed`] where that is what happened.
pub(crate) fn stream_error(error: &io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        output::Closed.into()
    } else {
        anyhow::anyhow!("cannot write the output: {}", files::explained(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn every_kind_of_end_has_its_code() {
        assert_eq!(code_of(&anyhow::anyhow!("no")), FAILED);
        assert_eq!(code_of(&Usage::new("no").into()), USAGE);
        assert_eq!(code_of(&Unfit::new("no").into()), USAGE);
        assert_eq!(code_of(&Absent::of(&Key::empty()).into()), ABSENT);
        assert_eq!(code_of(&Unmet { sentence: "no".to_owned() }.into()), UNMET);
        let wrapped = anyhow::Result::<()>::Err(Usage::new("no").into()).context("outer").unwrap_err();
        assert_eq!(code_of(&wrapped), USAGE);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = stream_error(&io::ErrorKind::BrokenPipe.into());
        assert!(is_broken_pipe(&closed));
        assert!(!is_broken_pipe(&stream_error(&io::ErrorKind::StorageFull.into())));
    }

    #[test]
    fn an_error_of_many_lines_becomes_one() {
        assert_eq!(one_line("a\n  b\r\n\nc"), "a b c");
    }
}
