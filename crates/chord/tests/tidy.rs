//! What holds for the source as a whole: which crate may know which, and how large things may grow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The house: each of our crates and those of ours that it may know.
const ARROWS: [(&str, &[&str]); 7] = [
    ("chord-ring", &[]),
    ("chord-kv", &["chord-ring"]),
    ("chord-disk", &["chord-ring", "chord-kv"]),
    ("chord-wire", &["chord-ring", "chord-kv"]),
    ("chord-node", &["chord-ring", "chord-kv", "chord-wire", "chord-disk"]),
    ("chord-sim", &["chord-ring", "chord-kv"]),
    ("chord", &["chord-ring", "chord-kv", "chord-wire", "chord-disk", "chord-node", "chord-sim"]),
];

/// What the crates without I/O may use of other people's, and for what. A crate that is missing here is free to
/// choose, within `deny.toml`.
const BORROWED: [(&str, &[&str]); 4] = [
    // A hash, and error types.
    ("chord-ring", &["sha2", "thiserror"]),
    ("chord-kv", &["sha2", "thiserror"]),
    // JSON, XML and base64 too, and the document that describes REST; never a socket.
    ("chord-wire", &["base64", "quick-xml", "serde", "serde_json", "thiserror", "utoipa"]),
    // Randomness from a seed, a hash map without randomness, error types.
    ("chord-sim", &["rand", "rand_pcg", "rustc-hash", "thiserror"]),
];

/// Longest function, from `fn` to its closing brace: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Longest file, tests not counted.
const FILE_LINES_MAX: usize = 600;

/// Words that stand where work was left undone. Spelled in halves, so that this file does not hold them.
const UNDONE: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("unimple", "mented!"),
    concat!("to", "do!("),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    serde_json::from_value(metadata["packages"].take()).expect("packages are a list")
}

/// The crates that a package uses when it runs: its dependencies that are neither for tests nor for builds.
fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("dependencies are a list");
    let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| text(&dependency["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn each_crate_knows_only_those_that_the_house_allows() {
    let arrows = BTreeMap::from(ARROWS);
    let packages = packages();
    let found: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let drawn: BTreeSet<String> = arrows.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, drawn, "every crate has its place in the house");
    for package in &packages {
        let name = text(&package["name"]);
        for other in dependencies(package).iter().filter(|other| arrows.contains_key(other.as_str())) {
            assert!(arrows[name.as_str()].contains(&other.as_str()), "{name} must not know {other}");
        }
    }
}

#[test]
fn the_crates_without_io_borrow_only_what_is_listed() {
    let (arrows, borrowed) = (BTreeMap::from(ARROWS), BTreeMap::from(BORROWED));
    for package in &packages() {
        let name = text(&package["name"]);
        let Some(allowed) = borrowed.get(name.as_str()) else { continue };
        for other in dependencies(package).iter().filter(|other| !arrows.contains_key(other.as_str())) {
            assert!(allowed.contains(&other.as_str()), "{name} must not use {other}");
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace_and_says_what_it_is() {
    for package in &packages() {
        let name = text(&package["name"]);
        let manifest = text(&package["manifest_path"]);
        let settings = std::fs::read_to_string(&manifest).expect("the manifest is there");
        assert!(settings.contains("[lints]\nworkspace = true"), "{name} takes the lints of the workspace");
        for target in package["targets"].as_array().expect("targets are a list") {
            if target["kind"][0] == "lib" {
                let library =
                    std::fs::read_to_string(text(&target["src_path"])).expect("the library is there");
                assert!(
                    library.starts_with("//! ") && !library.contains("Not written yet"),
                    "{name} has a module doc"
                );
            }
        }
        assert!(!package["license"].is_null(), "{name} has a licence");
    }
}

/// All Rust files of our crates, by their path from the root.
fn sources() -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of ours can be read").map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("it is below the root").display().to_string();
                sources.insert(name, std::fs::read_to_string(path).expect("a source is UTF-8"));
            }
        }
    }
    sources
}

/// The part of a source that is shipped: nothing of a test file, and of others what is before their tests.
fn shipped<'a>(name: &str, source: &'a str) -> &'a str {
    if name.contains("/tests/") || name.ends_with("/tests.rs") {
        return "";
    }
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |tests| &source[..tests])
}

#[test]
fn files_and_functions_stay_small_enough_to_be_read() {
    let mut too_long = Vec::new();
    for (name, source) in &sources() {
        let shipped = shipped(name, source);
        let n_lines = shipped.lines().count();
        if n_lines > FILE_LINES_MAX {
            too_long.push(format!("{name} has {n_lines} lines, the limit is {FILE_LINES_MAX}"));
        }
        for (function, n_lines) in functions(shipped) {
            if n_lines > FUNCTION_LINES_MAX {
                too_long.push(format!(
                    "{name}: {function} has {n_lines} lines, the limit is {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

#[test]
fn nothing_is_marked_as_undone() {
    for (name, source) in &sources() {
        for word in UNDONE {
            assert!(!source.contains(word), "{name} holds {word}");
        }
    }
}

/// The name and the length in lines of each function that has a body.
fn functions(source: &str) -> Vec<(String, usize)> {
    let code = blanked(source);
    let mut functions = Vec::new();
    let starts = code
        .match_indices("fn ")
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    for (at, _) in starts {
        let rest = &code[at..];
        let name: String = rest[3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // A type `fn (…)` has no name, a declaration has no body.
        if let Some(body) = body(rest).filter(|_| !name.is_empty()) {
            functions.push((name, rest[..body.end].lines().count()));
        }
    }
    functions
}

/// From the first brace to the one that closes it; none if a semicolon outside of brackets comes first.
fn body(code: &str) -> Option<Range<usize>> {
    let (mut braces, mut brackets, mut begin) = (0, 0, 0);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets -= 1,
            b';' if braces == 0 && brackets == 0 => return None,
            b'{' if braces == 0 => (braces, begin) = (1, at),
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(begin..at + 1),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// The source with its comments, strings and characters made blank, line by line as long as before.
fn blanked(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let n_bytes = literal(rest).unwrap_or(0);
        if n_bytes == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            // The end of a word: so that the `r` of `for"` begins no raw string.
            if first.is_alphanumeric() || first == '_' {
                let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let is_prefix = matches!((first, &rest[..word]), ('r' | 'b', "") | ('b', "r"));
                if !is_prefix {
                    code.push_str(&rest[..word]);
                    rest = &rest[word..];
                }
            }
        } else {
            code.extend(rest[..n_bytes].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[n_bytes..];
        }
    }
    code
}

/// The length of the comment, string or character that `source` begins with.
fn literal(source: &str) -> Option<usize> {
    if source.starts_with("//") {
        return Some(source.find('\n').unwrap_or(source.len()));
    }
    if source.starts_with("/*") {
        return Some(source.find("*/").map_or(source.len(), |end| end + 2));
    }
    let raw = source.trim_start_matches('#');
    let n_hashes = source.len() - raw.len();
    if n_hashes > 0 && raw.starts_with('"') {
        let end = format!("\"{}", "#".repeat(n_hashes));
        return raw[1..].find(&end).map(|at| n_hashes + 1 + at + end.len());
    }
    let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    if quote == '\'' && !source[1..].starts_with('\\') && source[1..].chars().nth(1) != Some('\'') {
        return None; // A lifetime.
    }
    let mut escaped = false;
    let end = source[1..].find(|c: char| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map(|end| end + 2)
}

#[test]
fn the_measure_of_functions_knows_rust() {
    let source = r##"
fn short() -> [u8; 3] { [1; 3] }
trait T { fn declared(&self, f: fn(u8) -> u8); }
fn long<'a>(x: &'a str) {
    // } a comment
    let text = "} \" {"; let c = '}'; let d = '\''; let raw = r#"}"}"#; let bytes = b"}";
    /* } */
}
fn last() {}
"##;
    let expected = [("short", 1), ("long", 5), ("last", 1)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(functions(source), expected);
}

/// The calls of these macros in a source, each up to its end.
fn lines_of_log(source: &str) -> impl Iterator<Item = &str> {
    let begins = ["tracing::info!(", "tracing::warn!(", "tracing::error!("];
    let found = begins.into_iter().flat_map(|begin| source.match_indices(begin));
    found.map(|(at, _)| source[at..].split_once(");").map_or(&source[at..], |(call, _)| call))
}

#[test]
fn every_line_of_the_log_has_an_event_that_the_documentation_lists() {
    let documentation =
        std::fs::read_to_string(root().join("docs/metrics.md")).expect("the documentation is there");
    let (_, table) = documentation.split_once("| event | level | what |").expect("it lists the events");
    let rows = table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" |").next());
    let listed: BTreeSet<String> =
        rows.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect();
    let mut used = BTreeSet::new();
    for (name, source) in &sources() {
        for call in lines_of_log(shipped(name, source)) {
            let event = call.split_once("event = \"").and_then(|(_, behind)| behind.split('"').next());
            let event = event.unwrap_or_else(|| panic!("{name} logs without an event: {call}"));
            used.insert(event.to_owned());
        }
    }
    assert_eq!(used, listed);
}
