//! The ring on a sheet: how it is in words, drawn, where neighbours disagree, and all nodes as a table.

use std::fmt::Write as _;

use anstyle::Style;

use super::super::draw::{self, BAD, GOOD, HEALING, Letters, QUIET, Room};
use super::super::follow::TROUBLE_CHARS_MAX;
use super::super::seen::health::{self, Level, Reason};
use super::super::seen::{Belief, Place, Ring, Side, State, predecessor, successor};
use super::super::table::{Side as Stands, Table, thousands};
use super::super::words::{clock, count, cut, lasting, percent, shown, wrapped};

/// What there is room for.
pub(super) struct Sheet {
    pub(super) letters: Letters,
    /// `None` where lines may be as long as they are.
    pub(super) columns: Option<usize>,
    /// `None` where there may be as many as there are.
    pub(super) rows: Option<usize>,
    pub(super) has_drawing: bool,
}

/// Columns of a drawing where nobody says how many there are.
const COLUMNS_UNTOLD: usize = 80;

/// Reasons, and torn beliefs, that are told one by one.
const TOLD_MAX: usize = 5;

/// Letters of a version in the table.
const VERSION_CHARS_MAX: usize = 12;

/// Columns of the table that are left out where there is too little room, the first first.
const DISPENSABLE: [&str; 6] = ["version", "up for", "predecessor", "successor", "missing", "records"];

/// The whole ring, as long as it is.
pub(super) fn page(ring: &Ring, sheet: &Sheet) -> String {
    let mut text = head(ring);
    text += &reasons(ring, sheet);
    if sheet.has_drawing {
        let columns = sheet.columns.unwrap_or(COLUMNS_UNTOLD);
        let drawing = draw::draw(ring, sheet.letters, Room { columns, rows: usize::MAX });
        if !drawing.is_empty() {
            text = text + "\n" + &drawing + "\n";
        }
    }
    text += &torn(ring, sheet);
    text + &table(ring, sheet, usize::MAX)
}

/// The ring on one screen, with what is in the way of seeing it.
pub(super) fn screen(ring: &Ring, sheet: &Sheet, trouble: Option<&str>) -> String {
    let rows = sheet.rows.unwrap_or(usize::MAX);
    let (begin, torn) = (head(ring) + &reasons(ring, sheet), torn(ring, sheet));
    let last = if let Some(trouble) = trouble {
        format!("{BAD}{}{BAD:#}", shown(trouble, TROUBLE_CHARS_MAX))
    } else {
        let (by, at) = (&ring.seen_by, clock(ring.at_ms));
        format!("{QUIET}Seen by {by} at {at}. q or Ctrl-C ends.{QUIET:#}")
    };
    let n_others = begin.lines().count() + torn.lines().count() + 1;
    let left = rows.saturating_sub(n_others);
    let n_nodes = ring.order().len();
    let mut text = begin;
    let mut for_table = left;
    if sheet.has_drawing {
        // The table takes what it needs, up to a third where the drawing needs the rest.
        let rows = left.saturating_sub((n_nodes + 1).min(left / 3));
        let drawing =
            draw::draw(ring, sheet.letters, Room { columns: sheet.columns.unwrap_or(COLUMNS_UNTOLD), rows });
        for_table = left.saturating_sub(drawing.lines().count());
        text += &drawing;
    }
    text += &torn;
    text += &table(ring, sheet, for_table);
    let missing = rows.saturating_sub(text.lines().count() + 1).min(rows);
    if sheet.rows.is_some() {
        text.extend(std::iter::repeat_n('\n', missing));
    }
    text + &last
}

/// The verdict and the numbers.
fn head(ring: &Ring) -> String {
    let level = health::level(&health::reasons(ring));
    let style = style_of(level).bold();
    let missing = ring.copies_missing();
    let nodes = count(ring.members().count() as u64, "node", "nodes");
    let records = count(ring.records(), "record", "records");
    format!(
        "{style}{}{style:#}: {nodes}, {records}, {} under-replicated, {} not answering.\n",
        level.verdict(),
        thousands(missing),
        thousands(ring.n_absent() as u64),
    )
}

fn style_of(level: Level) -> Style {
    match level {
        Level::Act => BAD,
        Level::Heals | Level::Gone => HEALING,
        Level::Note | Level::Fine => GOOD,
    }
}

fn reasons(ring: &Ring, sheet: &Sheet) -> String {
    let found = health::reasons(ring);
    if found.is_empty() {
        return "Every node agrees with its neighbours, and every copy is there.\n".to_owned();
    }
    let mut text = String::new();
    for Reason { level, what, next, .. } in found.iter().take(TOLD_MAX) {
        let style = style_of(*level);
        let dot = if sheet.letters.is_ascii() { '*' } else { '•' };
        let sentence = wrapped(&format!("{dot} {what} {next}"), sheet.columns);
        let sentence = sentence.strip_prefix(dot).unwrap_or_default();
        writeln!(text, "{style}{dot}{style:#}{sentence}").expect("a string takes every text");
    }
    if let Some(more) = found.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        writeln!(text, "  And {more} more.").expect("a string takes every text");
    }
    text
}

/// Who believes what of whom, where that one does not share it.
fn torn(ring: &Ring, sheet: &Sheet) -> String {
    let torn = ring.torn();
    let mut text: String =
        torn.iter().take(TOLD_MAX).map(|belief| disagreement(ring, belief, sheet)).collect();
    if let Some(more) = torn.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        writeln!(text, "  And {more} more do not agree.").expect("a string takes every text");
    }
    text
}

fn disagreement(ring: &Ring, belief: &Belief<'_>, sheet: &Sheet) -> String {
    let (side, other_side) = match belief.side {
        Side::Successor => ("successor", "predecessor"),
        Side::Predecessor => ("predecessor", "successor"),
    };
    let (of, about) = (belief.of, belief.about);
    let says = match (belief.says, ring.node(about).and_then(Place::member)) {
        (Some(says), _) => format!("which takes {says} for its {other_side}"),
        (None, Some(_)) => format!("which knows no {other_side}"),
        (None, None) => "which does not answer".to_owned(),
    };
    let sentence = wrapped(&format!("~ {of} takes {about} for its {side}, {says}."), sheet.columns);
    let sentence = sentence.strip_prefix('~').unwrap_or_default();
    format!("{HEALING}~{HEALING:#}{sentence}\n")
}

/// All nodes, in the order of the ring, in no more than so many lines.
fn table(ring: &Ring, sheet: &Sheet, lines_max: usize) -> String {
    let order = ring.order();
    let mut table = Table::new(&[
        ("#", Stands::Right),
        ("node", Stands::Left),
        ("state", Stands::Left),
        ("share", Stands::Right),
        ("records", Stands::Right),
        ("missing", Stands::Right),
        ("predecessor", Stands::Left),
        ("successor", Stands::Left),
        ("up for", Stands::Right),
        ("version", Stands::Left),
    ]);
    for (idx, place) in order.iter().enumerate() {
        table.row(row(ring, sheet, idx, place));
    }
    for heading in DISPENSABLE {
        if sheet.columns.is_some_and(|columns| table.total_width() > columns)
            && let Some(column) = table.column(heading)
        {
            table = table.without(column);
        }
    }
    let rendered = table.render();
    let n_lines = order.len() + 1;
    let n_shown = if n_lines > lines_max { lines_max.saturating_sub(1) } else { n_lines };
    let mut text = String::new();
    for (idx, line) in rendered.lines().take(n_shown).enumerate() {
        let state = idx.checked_sub(1).and_then(|idx| order.get(idx)).map(|place| ring.state(place));
        match state {
            None | Some(State::Ready) => writeln!(text, "{line}"),
            Some(state) => {
                let style = draw::colour(state);
                writeln!(text, "{style}{line}{style:#}")
            }
        }
        .expect("a string takes every text");
    }
    if n_shown < n_lines && lines_max > 0 {
        let more = n_lines - n_shown;
        writeln!(
            text,
            "... and {more} more: a larger window, or chord ring without --watch, shows them all."
        )
        .expect("a string takes every text");
    }
    text
}

fn row(ring: &Ring, sheet: &Sheet, idx: usize, place: &Place) -> Vec<String> {
    let state = ring.state(place);
    let report = place.report();
    let none = || "-".to_owned();
    let of = |text: Option<&str>| text.map_or_else(none, |name| ring.label(name).to_owned());
    let number = |number: Option<u64>| number.map_or_else(none, thousands);
    let share = report.and_then(|report| report.ring.range.as_ref()).map(|range| percent(range.share));
    let up_ms = report.map(|report| ring.at_ms.saturating_sub(report.started_at_ms));
    vec![
        (idx + 1).to_string(),
        cut(place.name(), 60),
        format!("{} {}", draw::sign(sheet.letters, state), state.words()),
        share.unwrap_or_else(none),
        number(report.map(|report| report.records)),
        number(report.map(|report| report.copies_missing)),
        of(report.and_then(|report| predecessor(&report.ring))),
        of(report.and_then(|report| successor(&report.ring))),
        up_ms.map_or_else(none, lasting),
        report.map_or_else(none, |report| shown(&report.version, VERSION_CHARS_MAX)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::draw::tests::expect;
    use super::super::super::seen::tests::{cut, dead, ideal, names, ring};
    use super::*;

    fn sheet(columns: usize, rows: Option<usize>) -> Sheet {
        Sheet { letters: Letters::Ascii, columns: Some(columns), rows, has_drawing: true }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_page_has_the_words_the_drawing_and_the_table() {
        let names = names(8);
        let mut nodes = ideal(&names);
        dead(&mut nodes, 1);
        expect("page-dead.txt", &page(&ring(nodes), &sheet(100, None)));
        expect("page-cut.txt", &page(&ring(cut(&names)), &sheet(100, None)));
    }

    #[test]
    fn a_screen_is_filled_and_never_more() {
        let ring = ring(ideal(&names(40)));
        for rows in [1, 5, 10, 24, 50, 100] {
            for columns in [20, 40, 80, 200] {
                let text = plain(&screen(&ring, &sheet(columns, Some(rows)), None));
                assert!(text.lines().count() <= rows.max(4), "{rows} x {columns}:\n{text}");
                assert!(text.ends_with("q or Ctrl-C ends."), "{text}");
            }
        }
        let text = plain(&screen(&ring, &sheet(80, Some(24)), Some("gone\u{1b}[2J")));
        assert!(text.ends_with(r"gone\u{1b}[2J"), "{text}");
        assert!(text.contains("more: a larger window"), "{text}");
    }

    #[test]
    fn a_narrow_table_goes_without_what_is_least_needed() {
        let ring = ring(ideal(&names(3)));
        let heading = |columns| {
            let text = plain(&table(&ring, &sheet(columns, None), usize::MAX));
            text.lines().next().unwrap_or_default().to_owned()
        };
        assert!(heading(200).ends_with("version"));
        assert!(heading(60).contains("missing") && !heading(60).contains("version"), "{}", heading(60));
        assert!(heading(40).contains("share") && !heading(40).contains("missing"), "{}", heading(40));
    }
}
