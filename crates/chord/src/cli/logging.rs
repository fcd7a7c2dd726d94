//! The log, on standard error.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit::Usage;
use super::output::is_read_by_programs;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct LoggingArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as `chord_node=debug`
    ///
    /// The default is info for servers and warn for everything else. The log goes to standard error.
    #[arg(long, value_name = "LEVEL", env = "CHORD_LOG", global = true, value_parser = filter)]
    log: Option<String>,

    /// How to write the log
    #[arg(long, value_name = "FORMAT", env = "CHORD_LOG_FORMAT", global = true, default_value = "text")]
    log_format: LogFormat,

    /// When to use colours
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    /// On a terminal
    Auto,
    /// Also in files and pipes
    Always,
    /// Not even on a terminal
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line, for programs
    Json,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level speaks of our own crates, whose names all begin with "chord"; the libraries below warn at most.
fn filter(text: &str) -> Result<String, String> {
    let level = text.to_ascii_lowercase();
    let directives = match level.as_str() {
        "off" | "error" | "warn" => level,
        known if LEVELS.contains(&known) => format!("warn,chord={known}"),
        _ => text.to_owned(),
    };
    // A lone word would be taken for the name of a crate: more likely it is a level misspelt.
    let is_filter = (directives.contains('=') || LEVELS.contains(&directives.as_str()))
        && EnvFilter::builder().parse(&directives).is_ok();
    is_filter.then_some(directives).ok_or_else(|| {
        format!("the log level is one of {}, or a filter such as chord_node=debug", LEVELS.join(", "))
    })
}

impl LoggingArgs {
    /// Begins to log, at `level` unless the user wants another.
    pub(crate) fn start(&self, level: &str) -> anyhow::Result<Log> {
        let choice = match self.color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let colored = match anstream::AutoStream::choice(&io::stderr()) {
            anstream::ColorChoice::Never => false,
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
            anstream::ColorChoice::Auto => io::stderr().is_terminal(),
        };
        let colored = colored && matches!(self.log_format, LogFormat::Text);
        let directives = self.log.clone().map_or_else(|| filter(level).map_err(Usage::new), Ok)?;
        let chosen = EnvFilter::builder().parse(directives)?;
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(colored)
            .with_writer(io::stderr)
            // It would say so on standard error, and panic since that cannot be written.
            .log_internal_errors(false);
        let errors = || EnvFilter::builder().parse_lossy("error");
        // Reloading fails only when there is no log any more.
        let only_errors: Box<dyn Fn()> = match self.log_format {
            LogFormat::Text => {
                let subscriber = subscriber.with_env_filter(chosen).with_filter_reloading();
                let filter = subscriber.reload_handle();
                begin(subscriber.finish());
                Box::new(move || _ = filter.reload(errors()))
            }
            LogFormat::Json => {
                let subscriber = subscriber.json().flatten_event(true).with_env_filter(chosen);
                let subscriber = subscriber.with_filter_reloading();
                let filter = subscriber.reload_handle();
                begin(subscriber.finish());
                is_read_by_programs();
                Box::new(move || _ = filter.reload(errors()))
            }
        };
        Ok(Log { chosen: self.log.is_some(), only_errors })
    }
}

/// Begins to log, to where the subscriber writes, and to whoever listens besides.
fn begin(subscriber: impl Subscriber + Send + Sync + 'static) {
    #[cfg(feature = "otel")]
    let subscriber = tracing_subscriber::layer::SubscriberExt::with(subscriber, super::otlp::Listener);
    subscriber.init();
}

/// The log that has begun.
pub(crate) struct Log {
    /// Whether the user said what to log.
    chosen: bool,
    only_errors: Box<dyn Fn()>,
}

impl Log {
    /// From now on logs errors only, unless the user said what to log: for what looks alarming and is meant to happen.
    pub(crate) fn hush(&self) {
        if !self.chosen {
            (self.only_errors)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_our_own_crates() {
        assert_eq!(filter("debug").unwrap(), "warn,chord=debug");
        assert_eq!(filter("ERROR").unwrap(), "error");
        assert_eq!(filter("chord_node=trace").unwrap(), "chord_node=trace");
        assert!(filter("chord=loud").unwrap_err().starts_with("the log level is one of off, error"));
        assert!(filter("").is_err());
        assert!(filter("loud").is_err());
    }
}
