//! The limits as they are documented, and as they are.

use std::fmt::Write as _;

use clap::{Arg, CommandFactory, FromArgMatches};

use super::*;
use crate::cli::Cli;

/// A command line of nothing but limits.
fn command() -> clap::Command {
    LimitArgs::augment_args(clap::Command::new("limits").no_binary_name(true))
}

/// A node with three copies of each key, in memory.
const SHAPE: Shape = Shape { replicas: 3, on_disk: false, in_tls: false, threads: 2 };

/// The same on a disk.
const ON_DISK: Shape = Shape { on_disk: true, ..SHAPE };

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
            // The least memory is for values that are smaller than usual.
            let is_size = arg.get_long() == Some("value-bytes");
            let small = (!is_size).then(|| "--value-bytes=64KiB".to_owned());
            let options: Vec<String> = small.into_iter().chain([option(arg, end)]).collect();
            let limits = parsed(&options).unwrap_or_else(|error| panic!("{arg}: {error}"));
            let limits = limits.limits(SHAPE).unwrap_or_else(|error| panic!("{arg}: {error}"));
            assert_eq!(limits.check(), Ok(()), "{arg}");
        }
        let refused = parsed(&[option(arg, "-1")]).unwrap_err();
        assert!(refused.contains(&format!("from {low} to {high}")), "{arg}: {refused}");
    }
}

#[test]
fn options_that_are_not_given_leave_the_limits_as_they_are() {
    assert_eq!(parsed(&[]).unwrap().limits(SHAPE).unwrap(), Limits::default());
    assert_eq!(parsed(&[]).unwrap().connections_wanted(), None);
    assert_eq!(parsed(&["--connections=50".to_owned()]).unwrap().connections_wanted(), Some(50));
}

#[test]
fn each_option_changes_a_limit_of_its_own() {
    let command = command();
    let args: Vec<&Arg> = command.get_arguments().collect();
    let changed = |arg: &Arg| {
        let (low, high) = ends(arg);
        let [low, high] = [low, high].map(|end| parsed(&[option(arg, &end)]).unwrap().limits(SHAPE).ok());
        // The least of some has no room for a value of the usual size.
        let least = low.filter(|low| *low != Limits::default());
        format!("{:?}", least.or(high).unwrap())
    };
    let mut all: Vec<String> = args.iter().map(|arg| changed(arg)).collect();
    all.push(format!("{:?}", Limits::default()));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), args.len() + 1, "no two the same, and none without effect");
    // Of a limit that is added, the pattern says that it has no option yet.
    let Limits {
        connections: _,
        client_connections: _,
        client_connects: _,
        client_requests: _,
        client_bytes: _,
        header_bytes: _,
        headers: _,
        header_read: _,
        body_read: _,
        answer_write: _,
        value_bytes: _,
        bodies_bytes: _,
        store_bytes: _,
        memory: _,
        cache_bytes: _,
        pending_bytes: _,
        copies_bytes: _,
        watched_bytes: _,
        request: _,
        operation: _,
        departure: _,
        link_connections: _,
        links: _,
        watches: _,
    } = Limits::default();
    assert_eq!(args.len(), 24);
}

#[test]
fn a_value_must_fit_into_what_all_requests_may_take_with_its_key_and_what_else_comes_with_it() {
    let tight = |name: &str, bytes: &str| {
        parsed(&["--value-bytes=2MiB".to_owned(), format!("--{name}={bytes}")]).unwrap()
    };
    for (name, shape) in [
        ("bodies-bytes", SHAPE),
        ("store-bytes", SHAPE),
        ("copies-bytes", SHAPE),
        ("client-bytes", SHAPE),
        ("pending-bytes", ON_DISK),
    ] {
        assert!(tight(name, "2056KiB").check(shape).is_ok(), "{name}");
        for too_little in ["2097152B", "2055KiB", "2105343B"] {
            let refused = tight(name, too_little).check(shape).unwrap_err().to_string();
            let end =
                "would never fit in, which may take 2056KiB with its key: raise the one or lower the other";
            assert!(refused.starts_with(&format!("--{name} is ")) && refused.ends_with(end), "{refused}");
        }
    }
}

#[test]
fn what_is_not_set_has_room_for_a_value_of_any_size() {
    for shape in [SHAPE, ON_DISK] {
        for options in [&["--value-bytes=64MiB"][..], &["--value-bytes=64MiB", "--memory-max=2GiB"]] {
            let limits = settled(options, shape).unwrap();
            let holder = if shape.on_disk { limits.pending_bytes } else { limits.store_bytes };
            let all = [holder, limits.copies_bytes as u64, limits.bodies_bytes as u64];
            assert!(all.iter().all(|bytes| *bytes >= (64 << 20) + (8 << 10)), "{options:?}: {all:?}");
        }
    }
}

#[test]
fn threads_whose_number_nobody_has_set_take_a_sixteenth_of_the_memory_at_most() {
    let at_most = |options: &[&str]| {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        parsed(&options).unwrap().threads_at_most()
    };
    assert_eq!(at_most(&[]), None);
    assert_eq!([at_most(&["--memory-max=64MiB"]), at_most(&["--memory-max=1GiB"])], [Some(4), Some(64)]);
    for (memory, threads) in [("--memory-max=64MiB", 4), ("--memory-max=1GiB", 64)] {
        let shape = Shape { threads, ..SHAPE };
        let limits = settled(&[memory], shape).unwrap();
        assert!(limits.memory.unwrap() >= limits.memory_needed(shape));
        assert!(limits.connections >= 16, "{limits:?}");
    }
    let refused = settled(&["--memory-max=64MiB"], Shape { threads: 40, ..SHAPE }).unwrap_err();
    assert!(
        refused.contains("what a node keeps with --threads 40, --value-bytes 1MiB may take "),
        "{refused}"
    );
}

fn settled(options: &[&str], shape: Shape) -> Result<Limits, String> {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    parsed(&options)?.limits(shape).map_err(|error| error.to_string())
}

#[test]
fn what_could_never_hold_one_value_is_refused_where_it_is_needed() {
    for (option, shape, is_refused) in [
        ("--store-bytes=1MiB", SHAPE, true),
        ("--store-bytes=1MiB", ON_DISK, false),
        ("--pending-bytes=1MiB", ON_DISK, true),
        ("--pending-bytes=1MiB", SHAPE, false),
        ("--copies-bytes=1MiB", SHAPE, true),
        ("--cache-bytes=1MiB", ON_DISK, false),
        ("--watched-bytes=1MiB", SHAPE, false),
    ] {
        let settled = settled(&[option, "--value-bytes=2MiB"], shape);
        let name = option.split('=').next().unwrap();
        let begin = format!("{name} is 1MiB, and a value of --value-bytes 2MiB would never fit in");
        assert_eq!(settled.is_err(), is_refused, "{option}: {settled:?}");
        assert!(settled.err().is_none_or(|sentence| sentence.starts_with(&begin)));
    }
}

#[test]
fn the_memory_of_the_process_is_divided_and_what_is_set_stays_or_is_refused_with_what_would_do() {
    for shape in [SHAPE, ON_DISK] {
        let limits = settled(&["--memory-max=256MiB"], shape).unwrap();
        assert!(limits.memory == Some(256 << 20) && limits.memory_needed(shape) <= 256 << 20);
        let limits = settled(&["--memory-max=256MiB", "--connections=700"], shape).unwrap();
        assert!(limits.connections == 700 && limits.memory_needed(shape) <= 256 << 20);
        let limits = settled(&["--memory-max=64MiB"], shape).unwrap();
        assert!(limits.memory_needed(shape) <= 64 << 20);
        let refused = settled(&["--memory-max=256MiB", "--connections=4096"], shape).unwrap_err();
        let (begin, needed) = refused.split_once(" may take ").unwrap();
        let expected =
            "--memory-max is 256MiB, and what a node keeps with --connections 4096, --value-bytes 1MiB";
        assert_eq!(begin, expected);
        let needed = needed.split(':').next().unwrap();
        assert!(settled(&[&format!("--memory-max={needed}"), "--connections=4096"], shape).is_ok());
    }
    let refused = settled(&["--memory-max=128MiB", "--value-bytes=64MiB"], SHAPE).unwrap_err();
    assert!(refused.contains("--value-bytes 64MiB") && refused.ends_with("lower the others"), "{refused}");
    assert!(parsed(&["--memory-max=63MiB".to_owned()]).unwrap_err().contains("from 64MiB to 1PiB"));
    assert!(parsed(&["--connections=1".to_owned()]).unwrap_err().contains("from 16 to 1048576"));
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
        let default = defaults
            .first()
            .map_or_else(|| usual(name).unwrap(), |default| default.to_string_lossy().into_owned());
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
