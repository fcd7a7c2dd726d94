//! The limits as they are documented, and as they are.

use std::fmt::Write as _;

use clap::{Arg, CommandFactory, FromArgMatches};

use super::*;
use crate::cli::Cli;

/// A command line of nothing but limits.
fn command() -> clap::Command {
    LimitArgs::augment_args(clap::Command::new("limits").no_binary_name(true))
}

fn parsed(options: &[String]) -> Result<LimitArgs, String> {
    let matches = command().try_get_matches_from(options).map_err(|error| error.to_string())?;
    LimitArgs::from_arg_matches(&matches).map_err(|error| error.to_string())
}

/// What is bounded, and from where to where.
fn meaning(arg: &Arg) -> (String, String) {
    let help = arg.get_help().unwrap().to_string();
    let (what, range) = help.rsplit_once(", ").unwrap();
    (what.to_owned(), range.to_owned())
}

/// The ends of a range: "1 to 64MiB".
fn ends(arg: &Arg) -> (String, String) {
    let (_, range) = meaning(arg);
    let (low, high) = range.split_once(" to ").unwrap();
    (low.to_owned(), high.to_owned())
}

fn option(arg: &Arg, value: &str) -> String {
    format!("--{}={value}", arg.get_long().unwrap())
}

#[test]
fn the_range_that_the_help_says_is_that_of_the_parser_and_makes_sense_to_a_node() {
    for arg in command().get_arguments() {
        let (low, high) = ends(arg);
        for end in [&low, &high] {
            let limits =
                parsed(&[option(arg, end)]).unwrap_or_else(|error| panic!("{arg}: {error}")).limits();
            assert_eq!(limits.check(), Ok(()), "{arg}");
        }
        let refused = parsed(&[option(arg, "-1")]).unwrap_err();
        assert!(refused.contains(&format!("from {low} to {high}")), "{arg}: {refused}");
    }
}

#[test]
fn options_that_are_not_given_leave_the_limits_as_they_are() {
    assert_eq!(parsed(&[]).unwrap().limits(), Limits::default());
    assert_eq!(parsed(&[]).unwrap().connections_wanted(), None);
    assert_eq!(parsed(&["--connections=5".to_owned()]).unwrap().connections_wanted(), Some(5));
}

#[test]
fn each_option_changes_a_limit_of_its_own() {
    let command = command();
    let args: Vec<&Arg> = command.get_arguments().collect();
    let changed = |arg: &Arg| format!("{:?}", parsed(&[option(arg, &ends(arg).0)]).unwrap().limits());
    let mut all: Vec<String> = args.iter().map(|arg| changed(arg)).collect();
    all.push(format!("{:?}", Limits::default()));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), args.len() + 1, "no two the same, and none without effect");
    // Of a limit that is added, the pattern says that it has no option yet.
    let Limits {
        connections: _,
        header_bytes: _,
        headers: _,
        header_read: _,
        body_read: _,
        answer_write: _,
        value_bytes: _,
        bodies_bytes: _,
        store_bytes: _,
        request: _,
        operation: _,
        departure: _,
        link_connections: _,
        links: _,
        watches: _,
    } = Limits::default();
    assert_eq!(args.len(), 15);
}

#[test]
fn a_value_must_fit_into_what_all_requests_may_take() {
    let tight = |bodies: &str| {
        parsed(&["--value-bytes=2MiB".to_owned(), format!("--bodies-bytes={bodies}")]).unwrap()
    };
    assert!(tight("2MiB").check().is_ok());
    let refused = tight("2047KiB").check().unwrap_err().to_string();
    assert!(refused.contains("raise the one or lower the other"), "{refused}");
}

#[test]
fn the_table_of_limits_in_the_documentation_is_that_of_the_options() {
    let root = Cli::command();
    let serve = root.find_subcommand("serve").unwrap();
    let mut table = String::from("| key | what | range | default | beyond it |\n|---|---|---|---|---|\n");
    let limits = command();
    for arg in limits.get_arguments() {
        let name = arg.get_long().unwrap();
        assert!(serve.get_arguments().any(|of_serve| of_serve.get_long() == Some(name)), "{name}");
        let (what, range) = meaning(arg);
        let defaults = arg.get_default_values();
        let default = defaults.first().unwrap().to_string_lossy();
        let long = arg.get_long_help().unwrap().to_string();
        let (_, beyond) = long.split_once("\n\n").unwrap();
        let _ =
            writeln!(table, "| `{name}` | {what} | {range} | {default} | {} |", beyond.replace('\n', " "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
    let mut documentation = std::fs::read_to_string(path).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let begin = documentation.find("| key | what |").expect("it has the table");
        let end = documentation[begin..].find("\n\n").map_or(documentation.len(), |end| begin + end + 1);
        documentation.replace_range(begin..end, &table);
        std::fs::write(path, &documentation).unwrap();
    }
    assert!(documentation.contains(&table), "make it anew with UPDATE_EXPECT=1:\n{table}");
}
