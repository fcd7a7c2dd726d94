//! What each node does, as a table, and for programs.

use std::fmt::Write as _;

use chord::seen::SAID_MAX;
use serde::Serialize;

use super::super::draw::{self, BAD, Letters, QUIET};
use super::super::follow::TROUBLE_CHARS_MAX;
use super::super::output::HEADING;
use super::super::seen::{Place, Ring, State};
use super::super::table::{Side, Table, thousands};
use super::super::words::{bytes, clock, count, cut, micros, shown};
use super::Column;
use super::rates::Rates;
use super::sample::Sampler;

/// Columns that are left out where there is too little room, the first first.
const DISPENSABLE: [&str; 9] =
    ["asked/s", "lookups/s", "owner/s", "p50", "records", "repair/s", "memory", "hops", "cpu"];

/// One second of the ring.
#[derive(Debug, Serialize)]
pub(super) struct Top {
    at_ms: u64,
    seen_by: String,
    total: Total,
    nodes: Vec<Node>,
    #[serde(skip)]
    sort: &'static str,
}

#[derive(Debug, Serialize)]
struct Total {
    nodes: usize,
    records: u64,
    copies_missing: u64,
    #[serde(flatten)]
    rates: Rates,
}

#[derive(Debug, Serialize)]
struct Node {
    #[serde(rename = "node")]
    name: String,
    state: &'static str,
    records: Option<u64>,
    copies_missing: Option<u64>,
    connections: Option<u64>,
    /// Cores that its process kept busy, and memory that it has: null where it does not say.
    cpu_cores: Option<f64>,
    resident_bytes: Option<u64>,
    /// Null until it has answered twice.
    rates: Option<Rates>,
    #[serde(skip)]
    drawn_as: State,
}

impl Top {
    pub(super) fn of(ring: &Ring, sampler: &Sampler, sort: Column) -> Self {
        let order = ring.order();
        let mut nodes: Vec<Node> = order.iter().map(|place| Node::of(ring, sampler, place)).collect();
        if sort != Column::Ring {
            nodes.sort_by(|a, b| b.weight(sort).total_cmp(&a.weight(sort)));
        }
        let total = Total {
            nodes: ring.members().count(),
            records: nodes.iter().filter_map(|node| node.records).fold(0, added),
            copies_missing: nodes.iter().filter_map(|node| node.copies_missing).fold(0, added),
            rates: Rates::sum(nodes.iter().filter_map(|node| node.rates.as_ref())),
        };
        let (at_ms, seen_by) = (super::super::operate::now_ms(), ring.seen_by.clone());
        Self { at_ms, seen_by, total, nodes, sort: sort.word() }
    }
}

/// A sum with what one node says, as far as it can be so.
fn added(sum: u64, said: u64) -> u64 {
    sum.saturating_add(said.min(SAID_MAX))
}

impl Node {
    fn of(ring: &Ring, sampler: &Sampler, place: &Place) -> Self {
        let drawn_as = ring.state(place);
        let report = sampler.report(place);
        let rates = sampler.rates(place).filter(|_| report.is_some());
        Self {
            name: place.name().to_owned(),
            state: drawn_as.words(),
            records: report.map(|report| report.records),
            copies_missing: report.map(|report| report.copies_missing),
            connections: report.map(|report| report.work.connections),
            cpu_cores: rates.and_then(|rates| rates.cpu_cores),
            resident_bytes: report.and_then(|report| report.process).map(|process| process.resident_bytes),
            rates: rates.cloned(),
            drawn_as,
        }
    }

    /// What it is sorted by.
    #[expect(clippy::cast_precision_loss, reason = "only their order matters")]
    fn weight(&self, column: Column) -> f64 {
        let of = |value: fn(&Rates) -> f64| self.rates.as_ref().map_or(-1.0, value);
        match column {
            Column::Ring => 0.0,
            Column::Ops => of(Rates::operations_per_s),
            Column::Reads => of(|rates| rates.reads_per_s),
            Column::Writes => of(|rates| rates.writes_per_s),
            // Above all bounds is the slowest, and no operation at all the quickest.
            Column::P99 => of(|rates| match (rates.p99_us, rates.operations_per_s() > 0.0) {
                (Some(us), _) => us as f64,
                (None, true) => f64::MAX,
                (None, false) => 0.0,
            }),
            Column::Hops => of(|rates| rates.hops.unwrap_or(-1.0)),
            Column::Repair => of(|rates| rates.repaired_per_s),
            Column::Records => self.records.map_or(-1.0, |records| records as f64),
            Column::Missing => self.copies_missing.map_or(-1.0, |copies| copies as f64),
            Column::Cpu => self.cpu_cores.unwrap_or(-1.0),
            Column::Memory => self.resident_bytes.map_or(-1.0, |bytes| bytes as f64),
        }
    }

    fn row(&self, letters: Letters) -> Vec<String> {
        let none = || "-".to_owned();
        let rates = self.rates.as_ref();
        let per_s = |value: fn(&Rates) -> f64| rates.map_or_else(none, |rates| per_second(value(rates)));
        vec![
            cut(&self.name, 60),
            format!("{} {}", draw::sign(letters, self.drawn_as), self.state),
            per_s(|rates| rates.reads_per_s),
            per_s(|rates| rates.writes_per_s),
            per_s(|rates| rates.failed_per_s),
            rates.map_or_else(none, |rates| time(rates, rates.p50_us)),
            rates.map_or_else(none, |rates| time(rates, rates.p99_us)),
            rates.and_then(|rates| rates.hops).map_or_else(none, |hops| format!("{hops:.1}")),
            per_s(|rates| rates.as_owner_per_s),
            per_s(|rates| rates.lookups_per_s),
            per_s(|rates| rates.asked_per_s),
            per_s(|rates| rates.repaired_per_s),
            self.records.map_or_else(none, thousands),
            self.copies_missing.map_or_else(none, thousands),
            self.cpu_cores.map_or_else(none, |cores| format!("{:.0} %", cores * 100.0)),
            self.resident_bytes.map_or_else(none, bytes),
        ]
    }
}

impl Column {
    const fn word(self) -> &'static str {
        match self {
            Self::Ring => "place on the ring",
            Self::Ops => "reads and writes",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::P99 => "p99",
            Self::Hops => "hops",
            Self::Repair => "repair",
            Self::Records => "records",
            Self::Missing => "missing",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// The whole of it, as long as it is.
pub(super) fn page(top: &Top, letters: Letters, columns: Option<usize>) -> String {
    head(top) + &table(top, letters, columns, usize::MAX)
}

/// As much of it as has room on the screen, with what is in the way of seeing the ring.
pub(super) fn screen(
    top: &Top,
    letters: Letters,
    size: Option<(usize, usize)>,
    trouble: Option<&str>,
) -> String {
    let last = if let Some(trouble) = trouble {
        format!("{BAD}{}{BAD:#}", shown(trouble, TROUBLE_CHARS_MAX))
    } else {
        let (by, at, sort) = (&top.seen_by, clock(top.at_ms), top.sort);
        format!(
            "{QUIET}Seen by {by} at {at}, sorted by {sort}. s sorts otherwise, q or Ctrl-C ends.{QUIET:#}"
        )
    };
    let rows = size.map_or(usize::MAX, |(_, rows)| rows);
    let head = head(top);
    let left = rows.saturating_sub(head.lines().count() + 1);
    head + &table(top, letters, size.map(|(columns, _)| columns), left) + &last
}

fn head(top: &Top) -> String {
    let Total { nodes, records, copies_missing, rates } = &top.total;
    let (nodes, records) = (count(*nodes as u64, "node", "nodes"), count(*records, "record", "records"));
    let missing = thousands(*copies_missing);
    let of = |us| time(rates, us);
    let hops = rates.hops.map_or_else(|| "-".to_owned(), |hops| format!("{hops:.1}"));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    let weight = bytes(rates.repaired_bytes_per_s.max(0.0) as u64);
    format!(
        "{HEADING}{nodes}{HEADING:#}, {records}, {missing} under-replicated\n\
         {} reads/s, {} writes/s, {} failed/s, p50 {}, p99 {}, hops {hops}, repair {} records/s, {weight}/s\n",
        per_second(rates.reads_per_s),
        per_second(rates.writes_per_s),
        per_second(rates.failed_per_s),
        of(rates.p50_us),
        of(rates.p99_us),
        per_second(rates.repaired_per_s),
    )
}

fn table(top: &Top, letters: Letters, columns: Option<usize>, lines_max: usize) -> String {
    let right = |heading| (heading, Side::Right);
    let mut table = Table::new(&[
        ("node", Side::Left),
        ("state", Side::Left),
        right("reads/s"),
        right("writes/s"),
        right("failed/s"),
        right("p50"),
        right("p99"),
        right("hops"),
        right("owner/s"),
        right("lookups/s"),
        right("asked/s"),
        right("repair/s"),
        right("records"),
        right("missing"),
        right("cpu"),
        right("memory"),
    ]);
    top.nodes.iter().for_each(|node| table.row(node.row(letters)));
    for heading in DISPENSABLE {
        if columns.is_some_and(|columns| table.total_width() > columns)
            && let Some(column) = table.column(heading)
        {
            table = table.without(column);
        }
    }
    let rendered = table.render();
    let n_lines = top.nodes.len() + 1;
    let n_shown = if n_lines > lines_max { lines_max.saturating_sub(1) } else { n_lines };
    let shown_lines = rendered.split_inclusive('\n').take(n_shown);
    let mut text = shown_lines.fold(String::new(), |text, line| text + line);
    if n_shown < n_lines && lines_max > 0 {
        let more = n_lines - n_shown;
        writeln!(text, "... and {more} more: a larger window shows them.")
            .expect("a string takes every text");
    }
    text
}

fn per_second(value: f64) -> String {
    if value < 9.95 {
        return format!("{value:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is above 0, and saturates"
    )]
    let rounded = value.round() as u64;
    thousands(rounded)
}

/// How long operations took; more than all bounds where they took longer.
fn time(rates: &Rates, us: Option<u64>) -> String {
    match us {
        Some(us) => micros(us),
        None if rates.operations_per_s() > 0.0 => "longer".to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::tests::is_documented;
    use super::*;

    fn top() -> Top {
        let rates = Rates { reads_per_s: 1234.0, cpu_cores: Some(0.25), ..Rates::default() };
        let node = |idx| Node {
            name: format!("127.0.0.1:{}", 4567 + idx),
            state: "ready",
            records: Some(2),
            copies_missing: Some(0),
            connections: Some(1),
            cpu_cores: rates.cpu_cores,
            resident_bytes: Some(5 << 20),
            rates: Some(rates.clone()),
            drawn_as: State::Ready,
        };
        let total =
            Total { nodes: 3, records: 6, copies_missing: 0, rates: Rates::sum([&rates; 3].into_iter()) };
        let nodes = (0..3).map(node).collect();
        Top { at_ms: 0, seen_by: "127.0.0.1:4567".to_owned(), total, nodes, sort: "cpu" }
    }

    #[test]
    fn cpu_and_memory_are_shown_where_there_is_room() {
        let lines =
            |columns| anstream::adapter::strip_str(&page(&top(), Letters::Ascii, columns)).to_string();
        assert!(lines(None).contains("25 %  5.0 MiB\n"), "{}", lines(None));
        let (usual, narrow) = (lines(Some(80)), lines(Some(60)));
        assert!(usual.contains("25 %") && !usual.contains("MiB"), "{usual}");
        assert!(narrow.contains("1,234") && !narrow.contains("25 %"), "{narrow}");
        let fits = |text: &str, columns| text.lines().skip(2).all(|line| line.chars().count() <= columns);
        assert!(fits(&usual, 80), "{usual}");
    }

    #[test]
    fn the_documentation_has_every_field() {
        let printed = serde_json::to_value(top()).unwrap();
        assert!(printed["total"].get("cpu_cores").is_none(), "nodes of one process would count twice");
        assert_eq!(printed["nodes"][0]["resident_bytes"], 5 << 20);
        is_documented(&printed);
    }
}
