//! What the documents name is there: files, headings, and each page of the book in its table of contents.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// All files below with that ending, but for those that builds make.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The text outside of blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// Where the links of a document lead.
fn links(prose: &str) -> Vec<&str> {
    prose.match_indices("](").filter_map(|(at, _)| prose[at + 2..].split([')', ' ', '\n']).next()).collect()
}

/// The names of its headings, as those who show Markdown make them.
fn headings(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let titles = prose.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
        })
        .collect()
}

/// What is wrong with a link of a document, if something is.
fn wrong(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let target = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    if !target.exists() {
        return Some(format!("{}: {link} is not there", document.display()));
    }
    let heading = heading.filter(|_| target.extension().is_some_and(|ending| ending == "md"))?;
    let is_there = headings(&std::fs::read_to_string(&target).unwrap()).contains(heading);
    (!is_there).then(|| format!("{}: {link} names a heading that is not there", document.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut mistakes = Vec::new();
    let mut n_links = 0;
    for document in files(&root(), ".md") {
        let text = prose(&std::fs::read_to_string(&document).unwrap());
        let links = links(&text);
        n_links += links.len();
        mistakes.extend(links.into_iter().filter_map(|link| wrong(&document, link)));
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    assert!(n_links > 50, "{n_links} links were looked at");
}

#[test]
fn every_document_is_a_page_of_the_book() {
    let docs = root().join("docs");
    let contents = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let named: BTreeSet<PathBuf> = links(&contents).into_iter().map(|link| docs.join(link)).collect();
    let there = files(&docs, ".md").into_iter().filter(|path| !path.ends_with("SUMMARY.md"));
    let left_out: Vec<_> = there.filter(|path| !named.contains(path)).collect();
    assert!(left_out.is_empty(), "not in docs/SUMMARY.md: {left_out:?}");
}

/// The crates of other people that the workspace names.
fn borrowed() -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let named = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" ="));
    named.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with("chord")).collect()
}

#[test]
fn every_dependency_is_there_with_its_reason_and_no_other() {
    let list = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let rows = list.lines().filter(|line| line.starts_with("| `"));
    let crates = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(','));
    let told: BTreeSet<String> = crates.map(|name| name.trim().trim_matches('`').to_owned()).collect();
    assert_eq!(told, borrowed());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let document = root().join("README.md");
    assert!(wrong(&document, "docs/nowhere.md").is_some());
    assert!(wrong(&document, "docs/data.md#no-such-heading").is_some());
    assert!(wrong(&document, "#see-it").is_none());
    assert_eq!(links(&prose("[a](b)\n```\n[c](d)\n```\n[e](f#g) [h](i \"j\")\n")), ["b", "f#g", "i"]);
}
