//! Variables of the environment that mean nothing, and look like one that does.

use std::collections::BTreeSet;

use super::text::visible;
use super::usage::distance;

/// What the names of our variables begin with.
const PREFIX: &str = "CHORD_";

/// Letters in which a name differs at most from one of ours that is meant: scripts have names of their own that begin as ours do.
const LETTERS_MAX: usize = 2;

/// So many letters of a name may one be wrong in: a short name is near to many.
const LETTERS_EACH: usize = 4;

/// How many are named: one who wrote more has seen by then what is wrong.
const NAMED_MAX: usize = 8;

/// Says in the log which variables are nearly those of an option. `root` is the whole command line.
pub(crate) fn tell_mistyped(root: &clap::Command) {
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (wrong, near) in mistyped(root, given).into_iter().take(NAMED_MAX) {
        tracing::warn!(
            event = "variable-unknown",
            "the variable {} in the environment means nothing: did you mean {near}?",
            visible(&wrong)
        );
    }
}

/// The names that are nearly those of our variables, each with that.
fn mistyped(root: &clap::Command, given: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let mut known = BTreeSet::new();
    collect(root, &mut known);
    let near = |name: &str| {
        let word = name.strip_prefix(PREFIX)?;
        let most = LETTERS_MAX.min(word.len() / LETTERS_EACH);
        let ours = known.iter().filter_map(|ours| Some((distance(word, ours.strip_prefix(PREFIX)?), ours)));
        ours.filter(|(letters, _)| *letters <= most).min().map(|(_, ours)| ours.clone())
    };
    let unknown: BTreeSet<String> = given.filter(|name| !known.contains(name)).collect();
    unknown
        .into_iter()
        .filter_map(|name| Some((near(&name)?, name)))
        .map(|(near, name)| (name, near))
        .collect()
}

/// The variables of that command and of all below it.
fn collect(command: &clap::Command, known: &mut BTreeSet<String>) {
    let names = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
    known.extend(names.map(str::to_owned));
    for below in command.get_subcommands() {
        collect(below, known);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn told(name: &str) -> Option<String> {
        let found = mistyped(&Cli::command(), [name.to_owned()].into_iter());
        found.into_iter().next().map(|(_, near)| near)
    }

    #[test]
    fn a_variable_that_is_nearly_one_of_ours_is_told_with_it() {
        for (wrong, ours) in [
            ("CHORD_REPLICA", "CHORD_REPLICAS"),
            ("CHORD_WRITE_QUOROM", "CHORD_WRITE_QUORUM"),
            ("CHORD_SECRETFILE", "CHORD_SECRET_FILE"),
            ("CHORD_TLS_CERTS", "CHORD_TLS_CERT"),
            ("CHORD_JOINS", "CHORD_JOIN"),
        ] {
            assert_eq!(told(wrong).as_deref(), Some(ours), "{wrong}");
        }
    }

    #[test]
    fn what_is_ours_or_belongs_to_scripts_or_to_whoever_starts_containers_is_not() {
        for name in [
            "CHORD_REPLICAS",
            "CHORD_CONFIG",
            "CHORD_NODE",
            "CHORD_LOG",
            "CHORD_URL",
            "CHORD_CHAOS",
            "CHORD_PROGRAM",
            "CHORD_RING_SOAK",
            "CHORD_DISK_SOAK",
            "CHORD_PORT",
            "CHORD_SERVICE_HOST",
            "CHORD_PORT_4567_TCP",
            "CHORD_GRAFANA_PORT",
            "CHORD_",
            "CHORD",
            "PATH",
            "chord_replica",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }
}
