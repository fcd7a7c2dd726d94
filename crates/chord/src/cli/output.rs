//! The two standard streams: answers go to the one, everything said to the user to the other.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

use super::exit::stream_error;
use super::text::visible_json;

/// Headings of tables.
pub(crate) const HEADING: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Whoever reads our output has gone.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the output has gone")
    }
}

impl std::error::Error for Closed {}

/// Prints one line of an answer.
pub(crate) fn answer(line: impl fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| stream_error(&error))
}

/// Prints text that may be styled: the style stays only where it is wanted.
pub(crate) fn styled(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|error| stream_error(&error))
}

/// Prints a value as it is; on a terminal the line is ended.
pub(crate) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let end: &[u8] = if out.is_terminal() { b"\n" } else { b"" };
    out.write_all(bytes)
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(|error| stream_error(&error))
}

/// Prints lines that are ended already.
pub(crate) fn lines(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| stream_error(&error))
}

/// Prints one JSON object on a line of its own.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    answer(json_line(value)?)
}

/// An object as it is printed, without an end of the line.
pub(crate) fn json_line(value: &impl serde::Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(visible_json)
}

/// Whether programs read what goes to standard error: then everything there is a line of the log.
static IS_FOR_PROGRAMS: AtomicBool = AtomicBool::new(false);

/// From now on programs read it.
pub(crate) fn is_read_by_programs() {
    IS_FOR_PROGRAMS.store(true, Ordering::Relaxed);
}

fn is_for_programs() -> bool {
    IS_FOR_PROGRAMS.load(Ordering::Relaxed)
}

/// Tells the user something. A standard error that is closed is no reason to stop.
pub(crate) fn note(line: impl fmt::Display) {
    if is_for_programs() {
        return tracing::info!(event = "note", "{line}");
    }
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Where the log says that it comes from what [`error`] says.
#[cfg(feature = "otel")]
pub(crate) const TARGET: &str = module_path!();

/// Tells the user why the command failed.
pub(crate) fn error(sentence: &str) -> io::Result<()> {
    if is_for_programs() {
        tracing::error!(event = "failed", "{sentence}");
        return Ok(());
    }
    writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {sentence}")
}
