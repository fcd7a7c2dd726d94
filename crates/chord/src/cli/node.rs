//! `chord node`: all that a node tells of itself.

use std::fmt::Write as _;

use chord::seen::{FingerBody, LinkBody, ReportBody, SentBody};
use chord::{Language, NodeName};
use clap::Args;

use super::client::{self, WaitArgs};
use super::draw::{BAD, GOOD, HEALING};
use super::operate::now_ms;
use super::output::{self, HEADING};
use super::table::{Side, Table, thousands};
use super::words::{bytes, count, lasting, micros, percent, shown};

/// Letters of what a node says in its own words.
const SAID_CHARS_MAX: usize = 400;

/// Names in a list that are shown; the JSON has more.
const NAMES_MAX: usize = 64;

/// Show all that a node tells of itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord node
  chord node 127.0.0.1:4568
  chord node 127.0.0.1:4568 --json | jq .copies_missing

With --json it is what GET /v1/node answers; docs/rest.md has all fields.
Exit codes: 0 the node told of itself; 1 or 2 as for every command.")]
pub(crate) struct NodeCommand {
    /// The node, instead of --node
    #[arg(value_name = "ADDRESS")]
    address: Option<NodeName>,

    /// The node to ask
    #[arg(long, value_name = "HOST:PORT", env = "CHORD_NODE", default_value = "127.0.0.1:4567")]
    node: NodeName,

    #[command(flatten)]
    wait: WaitArgs,

    /// Print a JSON object: ring, version, records, storage, links and more
    #[arg(long)]
    json: bool,
}

impl NodeCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let node = self.address.as_ref().unwrap_or(&self.node);
        let client = self.wait.client(Language::Http, node)?;
        let report = match client.report(self.wait.deadline()).await {
            Ok(report) => report,
            Err(error) => return Err(client::explained(error).await),
        };
        if self.json { output::json(&report) } else { output::styled(&page(&report, now_ms())) }
    }
}

fn page(report: &ReportBody, now_ms: u64) -> String {
    let mut text = String::new();
    for (name, value) in facts(report, now_ms) {
        writeln!(text, "{HEADING}{name:<15}{HEADING:#} {value}").expect("a string takes every text");
    }
    let ring = &report.ring;
    text += &heading("Successors");
    for (idx, peer) in ring.successors.iter().take(NAMES_MAX).enumerate() {
        writeln!(text, "{:>3}. {}", idx + 1, peer.node).expect("a string takes every text");
    }
    if ring.successors.is_empty() {
        text += "  It knows nobody else.\n";
    }
    if !ring.fingers.is_empty() {
        text += &heading("Fingers");
        text += &fingers(&ring.fingers);
    }
    if !report.links.is_empty() {
        text += &heading("How it reaches others");
        text += &links(&report.links);
    }
    text
}

fn heading(words: &str) -> String {
    format!("\n{HEADING}{words}{HEADING:#}\n")
}

fn facts(report: &ReportBody, now_ms: u64) -> Vec<(&'static str, String)> {
    let ring = &report.ring;
    let said =
        |text: &Option<String>| shown(text.as_deref().unwrap_or("it does not say why"), SAID_CHARS_MAX);
    let range = match &ring.range {
        Some(range) if range.is_complete => {
            format!("{} of the ring, and has all of it", percent(range.share))
        }
        Some(range) => {
            let share = percent(range.share);
            format!("{share} of the ring, {HEALING}and asks others for what it may lack{HEALING:#}")
        }
        None => "it does not know yet".to_owned(),
    };
    let ready = if ring.is_ready {
        format!("{GOOD}yes{GOOD:#}")
    } else {
        format!("{BAD}no{BAD:#}: {}", said(&ring.not_ready_because))
    };
    let missing = match report.copies_missing {
        0 => "none".to_owned(),
        missing => format!("{HEALING}up to {}{HEALING:#}", thousands(missing)),
    };
    let storage = &report.storage;
    let place = if storage.is_durable { "on disk" } else { "in memory" };
    let holds = format!("{}, {}, {place}", count(storage.records, "record", "records"), bytes(storage.bytes));
    let before = ring.predecessor.as_ref().map_or("none", |peer| peer.node.as_str());
    let mut facts = vec![
        ("node", ring.node.clone()),
        ("position", ring.position.clone()),
        ("ring", format!("{}, of {} bits", shown(&ring.ring_name, 64), ring.ring_size)),
        ("member", if ring.is_member { "yes".to_owned() } else { format!("{BAD}no{BAD:#}") }),
        ("ready", ready),
        ("predecessor", before.to_owned()),
        ("answers for", range),
        ("records", format!("{} of its own", thousands(report.records))),
        ("missing copies", missing),
        ("holds", holds),
        ("copies at", names(&report.copies_at)),
        ("keeps for", names(&report.copies_for)),
        ("at work on", count(report.operations, "operation", "operations")),
        ("has asked", asked(&ring.sent)),
        ("up for", lasting(now_ms.saturating_sub(report.started_at_ms))),
        ("version", shown(&report.version, 40)),
    ];
    if let Some(process) = &report.process {
        let (cpu, memory) = (process.cpu_seconds, bytes(process.resident_bytes));
        facts.push(("process", format!("{memory} of memory, {cpu:.1} s of CPU so far")));
    }
    if let Some(trouble) = &storage.trouble {
        facts.push(("trouble", format!("{BAD}{}{BAD:#}", shown(trouble, SAID_CHARS_MAX))));
    }
    if report.violations > 0 {
        let times = count(report.violations, "time", "times");
        facts.push((
            "rules broken",
            format!("{BAD}{times}{BAD:#}: a defect of the program, please report it"),
        ));
    }
    facts
}

/// How often it has asked its peers for what, since it was started.
fn asked(sent: &SentBody) -> String {
    let kinds = [
        (sent.ring, "for the ring"),
        (sent.lookups, "for owners"),
        (sent.operations, "for clients"),
        (sent.copies, "about copies"),
        (sent.upkeep, "for their upkeep"),
    ];
    kinds.map(|(times, what)| format!("{} {what}", thousands(times))).join(", ")
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn fingers(fingers: &[FingerBody]) -> String {
    let mut table = Table::new(&[("entries", Side::Right), ("first member there", Side::Left)]);
    for finger in fingers {
        let entries = match (finger.first, finger.last) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        };
        table.row(vec![entries, finger.node.clone()]);
    }
    table.render()
}

fn links(links: &[LinkBody]) -> String {
    let mut table = Table::new(&[("node", Side::Left), ("round trip", Side::Right), ("reached", Side::Left)]);
    for link in links {
        let took = link.round_trip_us.map_or_else(|| "-".to_owned(), micros);
        let reached = if link.is_suspect { "suspected" } else { "well" };
        table.row(vec![link.node.clone(), took, reached.to_owned()]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_of_itself_and_steers_nothing_by_it() {
        let mut report: ReportBody = serde_json::from_value(serde_json::json!({
            "ring": {"node": "h:1", "position": "5", "ring_name": "r", "ring_size": 160, "is_member": true,
                "predecessor": {"node": "h:3", "position": "1"}, "successors": [{"node": "h:2", "position": "9"}],
                "fingers": [{"node": "h:2", "position": "9", "first": 3, "last": 4}],
                "range": {"after": "1", "up_to": "5", "share": 0.25, "is_complete": true},
                "is_ready": false, "not_ready_because": "\u{1b}[2Jcopies\nare missing"},
            "version": "0.1.0", "started_at_ms": 1000, "records": 1200, "copies_missing": 3,
            "copies_at": ["h:2"], "copies_for": [], "operations": 1,
            "storage": {"is_durable": true, "records": 2400, "bytes": 4096, "trouble": null},
            "links": [{"node": "h:2", "round_trip_us": 120, "is_suspect": true}]
        }))
        .unwrap();
        let plain = |report: &ReportBody| anstream::adapter::strip_str(&page(report, 62_000)).to_string();
        let expected = r"node            h:1
position        5
ring            r, of 160 bits
member          yes
ready           no: \u{1b}[2Jcopies\nare missing
predecessor     h:3
answers for     25 % of the ring, and has all of it
records         1,200 of its own
missing copies  up to 3
holds           2,400 records, 4.0 KiB, on disk
copies at       h:2
keeps for       nobody
at work on      1 operation
has asked       0 for the ring, 0 for owners, 0 for clients, 0 about copies, 0 for their upkeep
up for          1 min
version         0.1.0

Successors
  1. h:2

Fingers
entries  first member there
 3 to 4  h:2

How it reaches others
node  round trip  reached
h:2       120 us  suspected
";
        assert_eq!(plain(&report), expected);
        report.storage.trouble = Some("the disk is full; make room".to_owned());
        report.violations = 1;
        let page = plain(&report);
        assert!(
            page.contains("trouble         the disk is full; make room\nrules broken    1 time: a defect"),
            "{page}"
        );
    }
}
