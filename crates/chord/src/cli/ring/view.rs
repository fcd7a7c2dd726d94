//! The ring on a sheet: how it is in words, drawn, where neighbours disagree, and all nodes as a table.

use std::fmt::Write as _;

use anstyle::Style;

use super::super::draw::{self, BAD, GOOD, HEALING, Letters, QUIET, Room};
use super::super::follow::TROUBLE_CHARS_MAX;
use super::super::seen::health::{self, Level, Reason};
use super::super::seen::{Belief, Place, Ring, Side, State, predecessor, successor};
use super::super::table::{Side as Stands, Table, thousands};
use super::super::words::{clock, count, cut, lasting, percent, shown, wrapped};
use super::share::{self, Wanted};

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

/// The part of a screen's lines that the verdict and the numbers may take: a line of eight.
const HEAD_PART: usize = 8;

/// Columns of the longest legend of a drawing.
const LEGEND_COLUMNS: usize = 72;

const ALL_FINE: &str = "Every node agrees with its neighbours, and every copy is there.";

/// Letters of a version in the table.
const VERSION_CHARS_MAX: usize = 12;

/// Columns of the table that are left out where there is too little room, the first first.
const DISPENSABLE: [&str; 7] =
    ["version", "up for", "predecessor", "successor", "missing", "records", "share"];

/// The whole ring, as long as it is.
pub(super) fn page(ring: &Ring, sheet: &Sheet) -> String {
    let (level, numbers) = verdict(ring);
    let style = style_of(level).bold();
    let mut text = format!("{style}{}{style:#}: {numbers}\n", health::verdict(ring));
    let told = reasons(ring, sheet.letters);
    text += &first_few(&told, sheet.columns, "");
    if told.is_empty() {
        text = text + &health::detail(ring).unwrap_or_else(|| ALL_FINE.to_owned()) + "\n";
    }
    if sheet.has_drawing {
        let columns = sheet.columns.unwrap_or(COLUMNS_UNTOLD);
        let drawing = draw::draw(ring, sheet.letters, Room { columns, rows: usize::MAX });
        if !drawing.is_empty() {
            let legend = draw::legend(ring).map(|legend| legend + "\n").unwrap_or_default();
            text = text + "\n" + &drawing + &legend + "\n";
        }
    }
    text += &first_few(&torn(ring), sheet.columns, " do not agree");
    text + &table(ring, sheet, usize::MAX)
}

/// The ring on one screen, with what is in the way of seeing it.
pub(super) fn screen(ring: &Ring, sheet: &Sheet, trouble: Option<&str>) -> String {
    let columns = sheet.columns.unwrap_or(COLUMNS_UNTOLD);
    let rows = sheet.rows.unwrap_or(usize::MAX);
    let last = if let Some(trouble) = trouble {
        format!("{BAD}{}{BAD:#}", cut(&shown(trouble, TROUBLE_CHARS_MAX), columns))
    } else {
        let (by, at) = (&ring.seen_by, clock(ring.at_ms));
        format!("{QUIET}{}{QUIET:#}", cut(&format!("q or Ctrl-C ends. Seen by {by} at {at}."), columns))
    };
    let mut text = head(ring, columns, (rows / HEAD_PART).max(1));
    let mut told = reasons(ring, sheet.letters);
    told.extend(torn(ring));
    let fine = cut(&health::detail(ring).unwrap_or_else(|| ALL_FINE.to_owned()), columns) + "\n";
    let whole = |told: &Told| told.whole(Some(columns)).lines().count();
    let wanted = Wanted {
        wrong: told.iter().map(whole).sum::<usize>().max(1),
        drawing: if sheet.has_drawing { draw::rows_in(columns) } else { 0 },
        table: ring.order().len() + 1,
    };
    let lines = share::out(rows.saturating_sub(text.lines().count() + 1), &wanted);
    text += &if told.is_empty() && lines.wrong > 0 { fine } else { as_many(&told, columns, lines.wrong) };
    if lines.drawing > 0 {
        // The smallest drawing does without a legend, and so does a narrow one.
        let legend =
            draw::legend(ring).filter(|_| lines.drawing > draw::ROWS_MIN && columns >= LEGEND_COLUMNS);
        let rows = lines.drawing - usize::from(legend.is_some());
        text += &draw::draw(ring, sheet.letters, Room { columns, rows });
        text += &legend.map(|legend| legend + "\n").unwrap_or_default();
    }
    text += &table(ring, sheet, lines.table);
    let missing = rows.saturating_sub(text.lines().count() + 1).min(rows);
    if sheet.rows.is_some() {
        text.extend(std::iter::repeat_n('\n', missing));
    }
    text + &last
}

/// How the ring is, and its numbers.
fn verdict(ring: &Ring) -> (Level, String) {
    let level = health::level(ring);
    let nodes = count(ring.members().count() as u64, "node", "nodes");
    let records = count(ring.records(), "record", "records");
    let (missing, absent) = (thousands(ring.copies_missing()), thousands(ring.n_absent() as u64));
    (level, format!("{nodes}, {records}, {missing} under-replicated, {absent} not answering."))
}

/// The same in no more than so many lines.
fn head(ring: &Ring, columns: usize, lines_max: usize) -> String {
    let (level, numbers) = verdict(ring);
    let (words, style) = (health::verdict(ring), style_of(level).bold());
    let line = format!("{words}: {numbers}");
    let lines = wrapped(&line, Some(columns));
    let lines = if lines.lines().count() > lines_max { cut(&line, columns) } else { lines };
    match lines.strip_prefix(&words) {
        Some(numbers) => format!("{style}{words}{style:#}{numbers}\n"),
        None => format!("{style}{lines}{style:#}\n"),
    }
}

fn style_of(level: Level) -> Style {
    match level {
        Level::Act => BAD,
        Level::Heals | Level::Gone => HEALING,
        Level::Note | Level::Fine => GOOD,
    }
}

/// One thing that is wrong, behind a sign.
struct Told {
    style: Style,
    sign: char,
    sentence: String,
}

impl Told {
    /// The whole of it, each line ended.
    fn whole(&self, columns: Option<usize>) -> String {
        let Self { style, sign, sentence } = self;
        let lines = wrapped(&format!("{sign} {sentence}"), columns);
        let behind = lines.strip_prefix(*sign).unwrap_or_default();
        format!("{style}{sign}{style:#}{behind}\n")
    }

    /// As much of it as one line has room for, and behind it this.
    fn short(&self, columns: usize, behind: &str) -> String {
        let Self { style, sign, sentence } = self;
        let sentence = cut(sentence, columns.saturating_sub(2 + behind.chars().count()));
        format!("{style}{sign}{style:#} {sentence}{behind}\n")
    }
}

/// What is the matter, the gravest first.
fn reasons(ring: &Ring, letters: Letters) -> Vec<Told> {
    let sign = if letters.is_ascii() { '*' } else { '•' };
    let tell = |reason: Reason| {
        let Reason { level, what, next, .. } = reason;
        Told { style: style_of(level), sign, sentence: format!("{what} {next}") }
    };
    let mut told: Vec<Told> = health::reasons(ring).into_iter().map(tell).collect();
    let more = health::more(ring);
    if more > 0 {
        let sentence = format!("{} more, which {} leaves out.", thousands(more), ring.seen_by);
        told.push(Told { style: QUIET, sign, sentence });
    }
    told
}

/// Who believes what of whom, where that one does not share it.
fn torn(ring: &Ring) -> Vec<Told> {
    ring.torn().iter().map(|belief| disagreement(ring, belief)).collect()
}

fn disagreement(ring: &Ring, belief: &Belief<'_>) -> Told {
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
    let sentence = format!("{of} takes {about} for its {side}, {says}.");
    Told { style: HEALING, sign: '~', sentence }
}

/// The first few of them whole, and how many more there are.
fn first_few(told: &[Told], columns: Option<usize>, which: &str) -> String {
    let mut text: String = told.iter().take(TOLD_MAX).map(|told| told.whole(columns)).collect();
    if let Some(more) = told.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        writeln!(text, "  And {more} more{which}.").expect("a string takes every text");
    }
    text
}

/// As many of them as have room in so many lines, the first first: each on a line, and whole where others leave room for that.
fn as_many(told: &[Told], columns: usize, lines_max: usize) -> String {
    let whole: Vec<String> = told.iter().map(|told| told.whole(Some(columns))).collect();
    let n_lines = |text: &String| text.lines().count();
    if whole.iter().map(n_lines).sum::<usize>() <= lines_max {
        return whole.concat();
    }
    let n_told = if told.len() > lines_max { lines_max.saturating_sub(1) } else { told.len() };
    let more = told.len() - n_told;
    let mut spare = lines_max - n_told - usize::from(more > 0).min(lines_max);
    let mut text = String::new();
    for (told, whole) in told.iter().zip(&whole).take(n_told) {
        match spare.checked_sub(n_lines(whole) - 1) {
            Some(left) => {
                spare = left;
                text += whole;
            }
            None => text += &told.short(columns, ""),
        }
    }
    match told.first() {
        Some(first) if lines_max == 1 => first.short(columns, &format!(" And {} more.", more - 1)),
        _ if more > 0 && lines_max > 0 => text + &cut(&format!("  And {more} more."), columns) + "\n",
        _ => text,
    }
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
        let is_heading = idx == 0;
        let line = match sheet.columns {
            Some(columns) if !is_heading => cut(line, columns),
            _ => line.to_owned(),
        };
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
        let line =
            format!("... and {more} more: a larger window, or chord ring without --watch, shows them all.");
        text = text + &sheet.columns.map_or_else(|| line.clone(), |columns| cut(&line, columns)) + "\n";
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
    use super::super::super::seen::tests::{cut as cut_in_two, dead, ideal, names, ring};
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
        expect("page-cut.txt", &page(&ring(cut_in_two(&names)), &sheet(100, None)));
    }

    /// A ring of which every seventh node is dead.
    fn broken(count: u16) -> Ring {
        let mut nodes = ideal(&names(count));
        (0..nodes.len()).step_by(7).for_each(|idx| dead(&mut nodes, idx));
        ring(nodes)
    }

    #[test]
    fn a_screen_is_filled_and_never_more() {
        for ring in [ring(ideal(&names(3))), ring(cut_in_two(&names(40))), broken(8), broken(200)] {
            for rows in [1, 2, 5, 10, 12, 24, 60] {
                for columns in [20, 40, 80, 200] {
                    let text = plain(&screen(&ring, &sheet(columns, Some(rows)), None));
                    assert_eq!(text.lines().count(), rows.max(2), "{columns}x{rows}:\n{text}");
                    assert!(
                        text.lines().last().is_some_and(|line| line.starts_with("q or Ctrl-C")),
                        "{text}"
                    );
                    let fits = |line: &str| line.chars().count() <= columns;
                    assert!(columns < 40 || text.lines().all(fits), "{columns}x{rows}:\n{text}");
                }
            }
        }
        let ring = ring(ideal(&names(40)));
        let text = plain(&screen(&ring, &sheet(80, Some(24)), Some("gone\u{1b}[2J")));
        assert!(text.ends_with(r"gone\u{1b}[2J"), "{text}");
        assert!(text.contains("more: a larger window"), "{text}");
    }

    #[test]
    fn on_a_screen_of_any_size_there_is_room_for_what_is_wrong_and_for_the_drawing() {
        for ring in [broken(15), broken(40), broken(200)] {
            let sheets = [(40, 12), (60, 20), (80, 24), (100, 30), (132, 43), (200, 60)];
            for (columns, rows) in sheets {
                let text = plain(&screen(&ring, &sheet(columns, Some(rows)), None));
                let n_signs = |signs: &[char]| text.lines().filter(|line| line.starts_with(signs)).count();
                let n_told = n_signs(&['*', '~']);
                let n_more = text.lines().find_map(|line| line.strip_prefix("  And ")?.split(' ').next());
                let n_more: usize = n_more.map_or(0, |more| more.parse().unwrap());
                let n_wrong = reasons(&ring, Letters::Ascii).len() + ring.torn().len();
                assert_eq!(n_told + n_more, n_wrong, "{columns}x{rows}:\n{text}");
                let gravest = health::reasons(&ring).remove(0).what;
                let gravest: String = gravest.chars().take(30).collect();
                assert!(n_told >= 2 && text.contains(&gravest), "{columns}x{rows}:\n{text}");
                let drawing = |rows| plain(&draw::draw(&ring, Letters::Ascii, Room { columns, rows }));
                let is_drawn = (draw::ROWS_MIN..=rows / 2 + 1).any(|rows| text.contains(&drawing(rows)));
                assert!(is_drawn, "{columns}x{rows}:\n{text}");
                let has_table = text.lines().any(|line| line.trim_start().starts_with('#'));
                assert_eq!(has_table, rows > 12, "{columns}x{rows}:\n{text}");
            }
        }
        expect("screen-broken.txt", &screen(&broken(40), &sheet(80, Some(24)), None));
        expect("screen-broken-small.txt", &screen(&broken(200), &sheet(40, Some(12)), None));
        expect("screen-broken-large.txt", &screen(&broken(200), &sheet(132, Some(43)), None));
    }

    #[test]
    fn where_not_all_that_is_wrong_has_room_the_gravest_of_it_is_told_and_how_much_more_there_is() {
        let sentences = ["the first is a long one", "two", "three"];
        let told = sentences.map(|text| Told { style: BAD, sign: '*', sentence: text.to_owned() });
        let lines = |lines_max| plain(&as_many(&told, 20, lines_max));
        assert_eq!(lines(0), "");
        assert_eq!(lines(1), "* the... And 2 more.\n");
        assert_eq!(lines(2), "* the first is a ...\n  And 2 more.\n");
        assert_eq!(lines(3), "* the first is a ...\n* two\n* three\n");
        assert_eq!(lines(4), "* the first is a\n  long one\n* two\n* three\n");
        assert_eq!(lines(9), lines(4));
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
