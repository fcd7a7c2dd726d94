//! `docs/protocol.md` against the source: kinds and fields by their numbers and names, limits, and an example of each kind, whose
//! bytes are read and written again.

#[cfg(test)]
mod frames;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod records;

use std::fmt::{Debug, Write as _};

use chord_ring::{NodeName, Peer, RingSize};

const DOCUMENTATION: &str = include_str!("../../../../docs/protocol.md");

/// What stands below a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, section) = DOCUMENTATION.split_once(&format!("\n{heading}\n")).expect("the section is there");
    section.split("\n#").next().unwrap_or_default()
}

/// The rows of the first table below a heading, cell by cell, without its head.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let rows = section(heading).lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The numbers and names of a table: what a name is about may follow it behind a colon.
fn numbered(heading: &str) -> Vec<(u8, &'static str)> {
    let rows = rows(heading).into_iter();
    rows.map(|row| (row[0].parse().expect("a number"), row[1].split(':').next().unwrap_or_default()))
        .collect()
}

/// As the documentation has the name of a variant: in small letters, and in words.
fn words(value: &impl Debug) -> String {
    let variant = format!("{value:?}");
    let mut words = String::new();
    for letter in variant.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{}{byte:02x}", if text.is_empty() { "" } else { " " });
        text
    })
}

/// The bytes that a cell has.
fn bytes(cell: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(pair, 16).expect("two digits");
    cell.trim_matches('`').split(' ').map(byte).collect()
}

/// An example: its kind, what it says, and its bytes.
struct Example {
    kind: String,
    says: &'static str,
    bytes: Vec<u8>,
}

/// Holds the table of examples below a heading against these, and prints the one that there should be.
fn check_examples(heading: &str, examples: &[Example]) {
    let mut table = String::new();
    for Example { kind, says, bytes } in examples {
        let _ = writeln!(table, "| {kind} | {says} | `{}` |", hex(bytes));
    }
    let documented = section(heading).lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    let documented: Vec<&str> = documented.take_while(|line| line.starts_with('|')).collect();
    assert!(documented == table.lines().collect::<Vec<_>>(), "{heading}: this is what is written\n{table}");
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

/// On a ring of so many bits.
fn peer(text: &str, bits: u64) -> Peer {
    Peer::of_name(name(text), RingSize::new(bits).expect("a size"))
}
