//! Other people's crates, held against `deny.toml`: their licences, that none is there in two versions, and where they come
//! from. `cargo deny` looks at more; it takes minutes to install, and this is looked at with every test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// A crate that is built.
struct Crate {
    name: String,
    version: String,
    licence: String,
    /// Whether it comes from no registry.
    is_of_a_directory: bool,
}

/// All crates that a build and its tests have on Linux, with the usual features: those are there, so no network is needed.
fn crates() -> Vec<Crate> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "all", "--locked", "--offline"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}|{l}"])
        .args(["--color", "never"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = lines.lines().filter(|line| line.contains('|')).collect();
    lines.into_iter().map(Crate::read).collect()
}

impl Crate {
    fn read(line: &str) -> Self {
        let (package, licence) = line.split_once('|').unwrap();
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap().trim_start_matches('v'));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.trim_end_matches(" (*)").to_owned(),
            is_of_a_directory: package.contains("(/") || package.contains("(http"),
        }
    }
}

/// The words in quotes of a list in `deny.toml`.
fn listed(name: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let begin = text.find(&format!("\n{name} = [")).map(|at| at + 1).expect("the list is there");
    let end = text[begin..].find("\n]").into_iter().chain(text[begin..].find("]\n")).min().unwrap();
    text[begin..begin + end].split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an expression of licences (SPDX) lets us use a crate by those that we accept.
fn is_accepted(expression: &str, accepted: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let is_any = any_of(&mut rest, accepted);
    is_any && rest.is_empty()
}

fn any_of(rest: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    let mut is_any = all_of(rest, accepted);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        is_any |= all_of(rest, accepted);
    }
    is_any
}

fn all_of(rest: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    let mut are_all = one(rest, accepted);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        are_all &= one(rest, accepted);
    }
    are_all
}

fn one(rest: &mut &[&str], accepted: &BTreeSet<String>) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let is_any = any_of(rest, accepted);
            *rest = rest.strip_prefix(&[")"]).unwrap_or_default();
            is_any
        }
        [_, "WITH", _, after @ ..] => {
            *rest = after;
            false
        }
        [licence, after @ ..] => {
            *rest = after;
            accepted.contains(*licence)
        }
        [] => false,
    }
}

#[test]
fn each_crate_has_a_licence_that_we_accept_and_comes_from_the_registry() {
    let (accepted, mut mistakes, mut n_crates) = (listed("allow"), Vec::new(), 0);
    for Crate { name, licence, is_of_a_directory, .. } in crates() {
        n_crates += 1;
        if !is_accepted(&licence, &accepted) {
            mistakes.push(format!("{name}: the licence {licence:?} is not in deny.toml"));
        }
        if is_of_a_directory != (name == "chord" || name.starts_with("chord-")) {
            mistakes.push(format!("{name} does not come from where it should"));
        }
    }
    assert!(n_crates > 100, "{n_crates} crates were looked at");
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn no_crate_is_there_in_two_versions() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let skipped = listed("skip");
    for Crate { name, version, .. } in crates() {
        let is_skipped = |skip: &String| format!("{name}@{version}").starts_with(&format!("{skip}."));
        if !skipped.iter().any(is_skipped) {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}

#[test]
fn a_licence_is_read_as_it_is_meant() {
    let accepted = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for fine in ["MIT", "MIT/Apache-2.0", "GPL-2.0 OR MIT", "(MIT OR A) AND ISC", "A AND B OR MIT"] {
        assert!(is_accepted(fine, &accepted), "{fine}");
    }
    for wrong in ["", "GPL-2.0", "MIT AND GPL-2.0", "(MIT OR A) AND B", "MIT WITH some-exception", "MIT )"] {
        assert!(!is_accepted(wrong, &accepted), "{wrong}");
    }
}
