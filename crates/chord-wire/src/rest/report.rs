//! What a node tells of itself: its beliefs, its records and its links. Read again from other nodes, who may write anything.

use chord_ring::{NodeName, Peer, Position, RingSize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{FingerBody, NodeBody, RingBody, SentBody};
use super::work::WorkBody;

/// Bytes of a report, at most: a node with 32 successors and 256 fingers whose names have 64 letters needs half.
pub const REPORT_BYTES_MAX: usize = 128 << 10;

/// Names in one list of a report, at most: there are no more fingers than bits in a position. What is beyond is not read.
pub const REPORT_NAMES_MAX: usize = 256;

/// Letters of a text in a report that is for people, at most: a sentence or two. What is beyond is not read.
pub const REPORT_TEXT_MAX: usize = 400;

/// What a node tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportBody {
    /// What it believes of its ring.
    pub ring: RingBody,
    /// The version of its program.
    pub version: String,
    /// When it was started, in milliseconds since 1970, by its own clock.
    pub started_at_ms: u64,
    /// How long it has been up, in milliseconds, by a clock that nobody sets: two reports say by it what time passed between
    /// them. 0 in one of an earlier version.
    #[serde(default)]
    pub up_ms: u64,
    /// Records of the positions that it answers for, with those that only say that a key was deleted.
    pub records: u64,
    /// Copies of these that other nodes lack, at most.
    pub copies_missing: u64,
    /// The other nodes that keep copies of these.
    #[serde(default)]
    pub copies_at: Vec<String>,
    /// The nodes of whose records it keeps copies.
    #[serde(default)]
    pub copies_for: Vec<String>,
    /// Records of the ranges that were handed over to it since it became a member: it answers for them now, and had copies of some
    /// before.
    #[serde(default)]
    pub taken_over: u64,
    /// Those who have left in good order, by their own word, the latest first.
    #[serde(default)]
    pub departed: Vec<String>,
    /// Operations on its records that are under way.
    #[serde(default)]
    pub operations: u64,
    /// Where it keeps records, and how many.
    pub storage: StorageBody,
    /// The other nodes that it knows, and how well it reaches them; those that failed are among them for a while.
    #[serde(default)]
    pub links: Vec<LinkBody>,
    /// How often it found a rule of the ring broken; anything but 0 is a defect.
    #[serde(default)]
    pub violations: u64,
    /// What its process uses, which may run other nodes as well; not there where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessBody>,
    /// What it has done since it started; it may be missing from one of an earlier version.
    #[serde(default)]
    pub work: WorkBody,
}

/// Where a node keeps records, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageBody {
    /// Whether they are on a disk.
    pub is_durable: bool,
    /// All that it holds, copies for others among them.
    pub records: u64,
    /// What they weigh.
    pub bytes: u64,
    /// Why it takes no writes, and what helps.
    pub trouble: Option<String>,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessBody {
    /// CPU that it has used, in seconds.
    pub cpu_seconds: f64,
    /// Memory that it has.
    pub resident_bytes: u64,
}

/// Another node, as one node reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkBody {
    /// The other node.
    pub node: String,
    /// How long its answers take, smoothed, in microseconds; null if none was measured.
    pub round_trip_us: Option<u64>,
    /// Whether it failed a moment ago.
    pub is_suspect: bool,
}

/// Why what a node says is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReport {
    /// It is no JSON, or has other fields.
    #[error("what the node says is no report: it may run another program, or another version")]
    Garbled,
    /// It tells of another node.
    #[error("the node calls itself by another name than the one that it was asked by")]
    OtherName,
    /// It is of another ring.
    #[error("the node is of another ring")]
    OtherRing,
}

impl ReportBody {
    /// Reads what the node of that name says on a ring of that name and size. Nothing in it is believed that can be known:
    /// positions follow from names, lists and texts are cut where they are too long.
    ///
    /// # Errors
    /// It is no report, or that of another node or ring.
    pub fn decode(bytes: &[u8], name: &NodeName, ring_name: &str, size: RingSize) -> Result<Self, BadReport> {
        let report: Self = serde_json::from_slice(bytes).map_err(|_| BadReport::Garbled)?;
        report.checked(name, ring_name, size)
    }

    /// The same, for a report that came with others.
    pub(super) fn checked(
        mut self,
        name: &NodeName,
        ring_name: &str,
        size: RingSize,
    ) -> Result<Self, BadReport> {
        let ring = &mut self.ring;
        if ring.ring_name != ring_name || ring.ring_size != size.bits() {
            return Err(BadReport::OtherRing);
        }
        if ring.node != name.as_str() {
            return Err(BadReport::OtherName);
        }
        ring.position = place(&ring.node, size)?;
        ring.successors.truncate(REPORT_NAMES_MAX);
        ring.fingers.truncate(REPORT_NAMES_MAX);
        for NodeBody { node, position } in ring.predecessor.iter_mut().chain(&mut ring.successors) {
            *position = place(node, size)?;
        }
        for FingerBody { node, position, .. } in &mut ring.fingers {
            *position = place(node, size)?;
        }
        if let Some(range) = &mut ring.range {
            let after: Position = range.after.parse().map_err(|_| BadReport::Garbled)?;
            *range =
                super::RangeBody::new(size, size.reduce(after), own_position(name, size), range.is_complete);
        }
        cut(&mut self.version);
        ring.not_ready_because.as_mut().map(cut);
        self.storage.trouble.as_mut().map(cut);
        for names in [&mut self.copies_at, &mut self.copies_for, &mut self.departed] {
            names.truncate(REPORT_NAMES_MAX);
            names.retain(|name| name.parse::<NodeName>().is_ok());
        }
        self.links.truncate(REPORT_NAMES_MAX);
        self.links.retain(|link| link.node.parse::<NodeName>().is_ok());
        self.work.cut();
        Ok(self)
    }

    /// The report without what changes all the time although nothing happens.
    pub fn essence(mut self) -> Self {
        self.ring.sent = SentBody::default();
        self.operations = 0;
        self.up_ms = 0;
        self.process = None;
        self.work = WorkBody::default();
        self.links.iter_mut().for_each(|link| link.round_trip_us = None);
        self
    }

    /// Everybody whom it names: its neighbours, its fingers, and whom else it knows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let ring = &self.ring;
        let neighbours = ring.predecessor.iter().chain(&ring.successors).map(|peer| peer.node.as_str());
        let fingers = ring.fingers.iter().map(|finger| finger.node.as_str());
        neighbours.chain(fingers).chain(self.links.iter().map(|link| link.node.as_str()))
    }
}

fn own_position(name: &NodeName, size: RingSize) -> Position {
    Peer::of_name(name.clone(), size).position
}

/// The position that follows from a name.
fn place(name: &str, size: RingSize) -> Result<String, BadReport> {
    let name: NodeName = name.parse().map_err(|_| BadReport::Garbled)?;
    Ok(own_position(&name, size).to_string())
}

pub(super) fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(REPORT_TEXT_MAX) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "127.0.0.1:4567";

    fn size() -> RingSize {
        RingSize::new(160).unwrap()
    }

    fn said() -> Value {
        json!({
            "ring": {
                "node": NAME, "position": "1", "ring_name": "r", "ring_size": 160, "is_member": true,
                "predecessor": {"node": "127.0.0.1:4568", "position": "0"},
                "successors": [{"node": "127.0.0.1:4568", "position": "99"}],
                "fingers": [{"node": "127.0.0.1:4569", "position": "99", "first": 3, "last": 4}],
                "range": {"after": "5", "up_to": "77", "share": 900.0, "is_complete": true},
                "is_ready": true, "not_ready_because": null
            },
            "version": "0.1.0", "started_at_ms": 1, "records": 2, "copies_missing": 0,
            "copies_at": ["127.0.0.1:4568", "no name"],
            "storage": {"is_durable": false, "records": 2, "bytes": 10, "trouble": null},
            "links": [{"node": "127.0.0.1:4570", "round_trip_us": 12, "is_suspect": false}],
            "a later version's": {"field": [1]}
        })
    }

    fn read(said: &Value) -> Result<ReportBody, BadReport> {
        ReportBody::decode(said.to_string().as_bytes(), &NAME.parse().unwrap(), "r", size())
    }

    #[test]
    fn nothing_is_believed_that_follows_from_a_name() {
        let report = read(&said()).unwrap();
        let place = |name: &str| place(name, size()).unwrap();
        assert_eq!(report.ring.position, place(NAME));
        assert_eq!(report.ring.successors[0].position, place("127.0.0.1:4568"));
        assert_eq!(report.ring.fingers[0].position, place("127.0.0.1:4569"));
        let range = report.ring.range.as_ref().unwrap();
        assert!(range.share < 1.0 && range.up_to == place(NAME));
        assert_eq!(report.copies_at, ["127.0.0.1:4568"], "what is no name is left out");
        let names: Vec<_> = report.names().collect();
        assert_eq!(names, ["127.0.0.1:4568", "127.0.0.1:4568", "127.0.0.1:4569", "127.0.0.1:4570"]);
    }

    #[test]
    fn a_report_is_that_of_the_node_that_was_asked_and_of_its_ring() {
        let cases = [
            ("/ring/node", json!("127.0.0.1:9"), BadReport::OtherName),
            ("/ring/ring_name", json!("another"), BadReport::OtherRing),
            ("/ring/ring_size", json!(8), BadReport::OtherRing),
            ("/ring/successors/0/node", json!("<b>"), BadReport::Garbled),
            ("/ring/range/after", json!("x"), BadReport::Garbled),
            ("/records", json!(-1), BadReport::Garbled),
        ];
        for (place, value, error) in cases {
            let mut said = said();
            *said.pointer_mut(place).unwrap() = value;
            assert_eq!(read(&said), Err(error), "{place}");
        }
        assert_eq!(read(&json!([])), Err(BadReport::Garbled));
    }

    #[test]
    fn a_measurement_is_nothing_that_happens() {
        let report = read(&said()).unwrap();
        let mut later = report.clone();
        later.links[0].round_trip_us = Some(13);
        later.ring.sent.lookups = 7;
        later.work.reads.ok = 7;
        later.up_ms = 7;
        later.process = Some(ProcessBody { cpu_seconds: 0.5, resident_bytes: 1 });
        assert_eq!(later.clone().essence(), report.clone().essence());
        later.copies_missing = 1;
        assert_ne!(later.essence(), report.essence());
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut said = said();
        let peer = json!({"node": "127.0.0.1:4568", "position": "99"});
        said["ring"]["successors"] = Value::Array(vec![peer; REPORT_NAMES_MAX + 1]);
        said["version"] = json!("ü".repeat(REPORT_TEXT_MAX + 1));
        said["work"] = json!({"hops": vec![1; 1000]});
        let report = read(&said).unwrap();
        assert_eq!(report.ring.successors.len(), REPORT_NAMES_MAX);
        assert_eq!(report.version.chars().count(), REPORT_TEXT_MAX);
        assert_eq!(report.work.hops.len(), crate::rest::WORK_NUMBERS_MAX);
    }
}
