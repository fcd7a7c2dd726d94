//! Drawings as they are: `UPDATE_EXPECT=1` before the test writes them down anew, for `git diff` to judge.

use std::path::PathBuf;

use super::super::seen::tests::{cut, dead, ideal, names, ring};
use super::*;

/// Compares a text with the file of that name.
pub(crate) fn expect(name: &str, text: &str) {
    let plain = anstream::adapter::strip_str(text).to_string();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/ring").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &plain).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(plain == expected, "{} differs:\n{plain}", path.display());
}

const ROOM: Room = Room { columns: 70, rows: 19 };

#[test]
fn rings_of_any_size_are_drawn_with_their_nodes_at_their_true_places() {
    for (count, name) in [(1, "one"), (3, "three"), (8, "eight"), (40, "forty")] {
        let ring = ring(ideal(&names(count)));
        expect(&format!("{name}.txt"), &draw(&ring, Letters::Unicode, ROOM));
        expect(&format!("{name}-ascii.txt"), &draw(&ring, Letters::Ascii, ROOM));
    }
}

#[test]
fn a_node_that_does_not_answer_a_part_that_nobody_owns_and_torn_beliefs_are_seen() {
    let names = names(8);
    let mut nodes = ideal(&names);
    dead(&mut nodes, 1);
    nodes[5].report.as_mut().unwrap().ring.range.as_mut().unwrap().is_complete = false;
    let ring = ring(nodes);
    expect("dead.txt", &draw(&ring, Letters::Unicode, ROOM));
    expect("dead-ascii.txt", &draw(&ring, Letters::Ascii, ROOM));
}

#[test]
fn of_a_ring_that_was_cut_both_halves_are_seen_and_what_both_claim() {
    let ring = ring(cut(&names(8)));
    expect("cut.txt", &draw(&ring, Letters::Unicode, ROOM));
    expect("cut-ascii.txt", &draw(&ring, Letters::Ascii, ROOM));
}

#[test]
fn a_drawing_fits_into_its_room_or_is_none() {
    let ring = ring(ideal(&names(8)));
    for columns in 0..120 {
        for rows in [0, 5, 7, 12, 30, usize::MAX] {
            let drawing = draw(&ring, Letters::Unicode, Room { columns, rows });
            let plain = anstream::adapter::strip_str(&drawing).to_string();
            assert!(plain.lines().count() <= rows.min(ROWS_MAX));
            assert!(plain.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{plain}");
            assert_eq!(plain.is_empty(), columns < 25 || rows < ROWS_MIN, "{columns} {rows}");
        }
    }
}

#[test]
fn colours_are_styles_that_can_be_taken_away() {
    let ring = ring(ideal(&names(3)));
    let drawing = draw(&ring, Letters::Ascii, ROOM);
    assert!(drawing.contains("\u{1b}[32mO"), "{drawing}");
    let plain = anstream::adapter::strip_str(&drawing).to_string();
    assert!(plain.is_ascii() && !plain.contains('\u{1b}'));
}
