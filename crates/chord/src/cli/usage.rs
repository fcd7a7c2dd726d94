//! Wrong usage in one line: what is wrong, and where the help is.

use std::error::Error as _;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit;

/// Prints help or version as asked for, or the one line of a wrong usage.
pub(crate) fn report(error: &clap::Error, command_path: &str) -> ExitCode {
    let shows_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shows_help {
        let _ = error.print(); // a reader who went has read enough
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    exit::report_usage(&sentence(error), command_path)
}

/// The commands among the arguments, as far as they go: `chord http server`.
pub(crate) fn command_path(root: &clap::Command, arguments: &[OsString]) -> String {
    let mut command = root;
    let mut path = root.get_name().to_owned();
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(found) = command.find_subcommand(argument) {
            command = found;
            path = format!("{path} {}", found.get_name());
        }
    }
    path
}

/// What is wrong. A value that a parser of ours refused is explained in that parser's own words.
fn sentence(error: &clap::Error) -> String {
    if let (ErrorKind::ValueValidation, Some(source)) = (error.kind(), error.source()) {
        return exit::one_line(&source.to_string());
    }
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return format!("missing: {}", missing.join(" "));
    }
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    told.join("; ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    fn line(arguments: &str) -> String {
        let error = Cli::try_parse_from(arguments.split(' ')).unwrap_err();
        sentence(&error)
    }

    #[test]
    fn a_wrong_usage_is_one_line() {
        let ring_size = "the ring size is a number of bits from 1 to 256, not 257";
        assert_eq!(line("chord http server 127.0.0.1 4567 257"), ring_size);
        assert_eq!(line("chord serve --ring-size 257"), ring_size);
        assert_eq!(line("chord http server 127.0.0.1"), "missing: <PORT> <RING_SIZE>");
        assert_eq!(line("chord http client 127.0.0.1 x node"), "the port is a whole number from 1 to 65535");
        assert!(
            line("chord gett foo").starts_with("unrecognized subcommand 'gett'"),
            "{}",
            line("chord gett foo")
        );
        for wrong in ["chord put", "chord get a b", "chord dev --nodes 0", "chord serve --frobnicate"] {
            assert!(!line(wrong).contains('\n'), "{}", line(wrong));
            assert!(!line(wrong).contains("error:"), "{}", line(wrong));
        }
    }

    #[test]
    fn the_help_that_is_named_is_that_of_the_command() {
        let path = |arguments: &str| {
            let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
            command_path(&Cli::command(), &arguments)
        };
        assert_eq!(path("chord"), "chord");
        assert_eq!(path("chord --log info http server x y"), "chord http server");
        assert_eq!(path("chord put get dev"), "chord put");
    }
}
