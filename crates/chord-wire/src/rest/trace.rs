//! The way to the owner of a key, hop by hop: why each node asked the next, by what it knows, and who keeps the key.

use std::time::Duration;

use chord_ring::{NodeName, Peer, Position, RingSize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::NodeBody;
use super::copies::{CopiesBody, CopyBody};
use super::live::SeenAs;
use super::report::{BadReport, ReportBody};

/// Steps of a way that are explained, at most: more than a lookup takes among a million nodes. Those behind are told without.
pub const STEPS_EXPLAINED_MAX: usize = 40;

/// Bytes of a trace, at most: a lookup has no more than some hundred steps, and a step has some hundred bytes.
pub const TRACE_BYTES_MAX: usize = 256 << 10;

/// The way to a key, and who keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceBody {
    /// Where the key lies.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// The node that owns it.
    pub owner: NodeBody,
    /// How many times the question was forwarded.
    pub hops: u32,
    /// How long it took to find the owner, in microseconds.
    pub took_us: u64,
    /// The nodes that had the question: the one that was asked first, the owner last.
    pub steps: Vec<StepBody>,
    /// The owner first, then those that it has chosen to keep copies.
    pub copies: Vec<CopyBody>,
    /// Whether all of these answered, and have the same.
    pub do_agree: bool,
}

/// One node on the way, and why it named the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepBody {
    /// The node.
    pub node: String,
    /// Its position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// The node that was asked next; null of the owner.
    pub next: Option<String>,
    /// Why that one.
    pub why: Why,
    /// The first and the last entry of its finger table that name the next node, if it is a finger.
    pub entries: Option<(u16, u16)>,
    /// Which of its successors the next node is, from 1, if it is one.
    pub successor: Option<u16>,
    /// How long answers of the next node take it, smoothed, in microseconds; null if it has measured none.
    pub round_trip_us: Option<u64>,
    /// Which part of the way from it to the key that is; null of the last hop, which goes to the key or beyond.
    #[schema(minimum = 0, maximum = 1)]
    pub leap: Option<f64>,
}

/// Why a node named the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It owns the key: nobody is asked any more.
    Owner,
    /// The key lies between it and its first successor, which therefore owns it.
    NextIsOwner,
    /// Of its successors that is the first at or after the key.
    FirstAtOrAfter,
    /// That is the first node it knows at or after the key.
    KnownAtOrAfter,
    /// Of all that it knows this finger is the closest before the key.
    ClosestFinger,
    /// Of all that it knows this successor is the closest before the key.
    ClosestSuccessor,
    /// It has changed its mind since.
    Changed,
    /// It did not tell what it knows.
    Untold,
}

/// What a lookup found, and how long that took.
#[derive(Clone, Copy, Debug)]
pub struct WayFound<'a> {
    /// How large the ring is.
    pub size: RingSize,
    /// Where the key lies.
    pub position: Position,
    /// How often the question was forwarded.
    pub hops: u32,
    /// The nodes that had the question, the owner last.
    pub path: &'a [NodeName],
    /// How long it took.
    pub took: Duration,
}

impl TraceBody {
    /// The way that was found, as the nodes on it tell of themselves: as many reports as nodes, or fewer.
    pub fn new(way: &WayFound<'_>, reports: &[Result<ReportBody, SeenAs>], copies: CopiesBody) -> Self {
        let step = |(idx, node): (usize, &NodeName)| {
            let report = reports.get(idx).and_then(|report| report.as_ref().ok());
            StepBody::new(way, node, way.path.get(idx + 1), report)
        };
        let steps = way.path.iter().enumerate().map(step).collect();
        let took_us = u64::try_from(way.took.as_micros()).unwrap_or(u64::MAX);
        let CopiesBody { position, owner, copies, do_agree } = copies;
        Self { position, owner, hops: way.hops, took_us, steps, copies, do_agree }
    }

    /// Reads what a node says; what is called by no name makes it none.
    ///
    /// # Errors
    /// It is no trace.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadReport> {
        let trace: Self = serde_json::from_slice(bytes).map_err(|_| BadReport::Garbled)?;
        let steps = trace.steps.iter().flat_map(|step| [Some(&step.node), step.next.as_ref()]).flatten();
        let names = steps.chain(trace.copies.iter().map(|copy| &copy.node)).chain([&trace.owner.node]);
        let are_names = names.into_iter().all(|name| name.parse::<NodeName>().is_ok());
        let are_versions = trace.copies.iter().all(|copy| {
            let version = copy.version.as_ref();
            version.is_none_or(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        });
        let is_position = trace.position.parse::<Position>().is_ok();
        (are_names && are_versions && is_position).then_some(trace).ok_or(BadReport::Garbled)
    }
}

impl StepBody {
    fn new(
        way: &WayFound<'_>,
        node: &NodeName,
        next: Option<&NodeName>,
        report: Option<&ReportBody>,
    ) -> Self {
        let place = |name: &NodeName| Peer::of_name(name.clone(), way.size).position;
        let own = place(node);
        let mut step = Self {
            node: node.to_string(),
            position: own.to_string(),
            next: next.map(NodeName::to_string),
            why: Why::Owner,
            entries: None,
            successor: None,
            round_trip_us: None,
            leap: None,
        };
        let Some(next) = next else { return step };
        let to_key = way.size.distance(own, way.position);
        let to_next = way.size.distance(own, place(next));
        // A key at the node's own position is the whole ring away.
        let is_past = to_key != Position::ZERO && to_key <= to_next;
        if !is_past && to_key != Position::ZERO {
            step.leap = Some(way.size.fraction(to_next) / way.size.fraction(to_key));
        }
        let Some(report) = report else { return Self { why: Why::Untold, ..step } };
        let finger = report.ring.fingers.iter().find(|finger| finger.node == next.as_str());
        let rank = report.ring.successors.iter().position(|peer| peer.node == next.as_str());
        let link = report.links.iter().find(|link| link.node == next.as_str());
        step.entries = finger.map(|finger| (finger.first, finger.last));
        step.successor = rank.and_then(|rank| u16::try_from(rank + 1).ok());
        step.round_trip_us = link.and_then(|link| link.round_trip_us);
        step.why = match (is_past, rank, finger) {
            (true, Some(0), _) => Why::NextIsOwner,
            (true, Some(_), _) => Why::FirstAtOrAfter,
            (true, None, _) => Why::KnownAtOrAfter,
            (false, _, Some(_)) => Why::ClosestFinger,
            (false, Some(_), None) => Why::ClosestSuccessor,
            (false, None, None) => Why::Changed,
        };
        step
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::copies::CopyState;
    use super::*;

    fn size() -> RingSize {
        RingSize::new(160).unwrap()
    }

    /// Five nodes in the order of the ring, so that tests can say "the next but one".
    fn ordered() -> Vec<NodeName> {
        let mut names: Vec<NodeName> =
            (1..=5).map(|port| format!("127.0.0.1:{port}").parse().unwrap()).collect();
        names.sort_by_key(|name| Peer::of_name(name.clone(), size()).position);
        names
    }

    fn report(of: &NodeName, successors: &[&NodeName], fingers: &[&NodeName]) -> ReportBody {
        let node = |name: &&NodeName| json!({"node": name.as_str(), "position": "0"});
        let finger =
            |name: &&NodeName| json!({"node": name.as_str(), "position": "0", "first": 3, "last": 9});
        let said = json!({
            "ring": {
                "node": of.as_str(), "position": "0", "ring_name": "r", "ring_size": 160, "is_member": true,
                "predecessor": null, "successors": successors.iter().map(node).collect::<Vec<_>>(),
                "fingers": fingers.iter().map(finger).collect::<Vec<_>>(),
                "range": null, "is_ready": true, "not_ready_because": null
            },
            "version": "1", "started_at_ms": 1, "records": 0, "copies_missing": 0,
            "storage": {"is_durable": false, "records": 0, "bytes": 0, "trouble": null},
            "links": successors.iter().map(|name| json!({"node": name.as_str(), "round_trip_us": 7, "is_suspect": false}))
                .collect::<Vec<_>>()
        });
        serde_json::from_value(said).unwrap()
    }

    fn step(way: (&NodeName, &NodeName), to: Position, report: Option<&ReportBody>) -> StepBody {
        let (from, next) = way;
        let path = [from.clone(), next.clone()];
        let way = WayFound { size: size(), position: to, hops: 1, path: &path, took: Duration::ZERO };
        StepBody::new(&way, from, Some(next), report)
    }

    fn place(name: &NodeName) -> Position {
        Peer::of_name(name.clone(), size()).position
    }

    #[test]
    fn each_hop_has_the_reason_that_the_node_itself_gives() {
        let names = ordered();
        let [from, second, third, fourth, fifth] = &names[..] else { panic!("five") };
        let whys = |next: &NodeName, to: &NodeName, successors: &[&NodeName], fingers: &[&NodeName]| {
            step((from, next), place(to), Some(&report(from, successors, fingers)))
        };
        let direct = whys(second, second, &[second, third], &[]);
        assert_eq!((direct.why, direct.round_trip_us, direct.leap), (Why::NextIsOwner, Some(7), None));
        assert_eq!(whys(third, third, &[second, third], &[]).why, Why::FirstAtOrAfter);
        assert_eq!(whys(fifth, fifth, &[second, third], &[fifth]).why, Why::KnownAtOrAfter);
        let leap = whys(fourth, fifth, &[second, third], &[fourth]);
        assert_eq!((leap.why, leap.entries), (Why::ClosestFinger, Some((3, 9))));
        assert!(leap.leap.is_some_and(|leap| leap > 0.0 && leap < 1.0), "{leap:?}");
        let near = whys(third, fifth, &[second, third], &[]);
        assert_eq!((near.why, near.successor), (Why::ClosestSuccessor, Some(2)));
        assert_eq!(whys(fourth, fifth, &[second], &[]).why, Why::Changed);
        assert_eq!(step((from, fourth), place(fifth), None).why, Why::Untold);
    }

    #[test]
    fn a_trace_survives_the_wire_and_nothing_else_is_one() {
        let names = ordered();
        let owner = NodeBody { node: names[1].to_string(), position: "5".to_owned() };
        let copy = |version: &str| CopyBody {
            node: names[1].to_string(),
            has: CopyState::Value,
            version: Some(version.to_owned()),
        };
        let position = place(&names[1]);
        let found =
            WayFound { size: size(), position, hops: 1, path: &names[..2], took: Duration::from_micros(9) };
        let trace = |version: &str| {
            let (position, copies) = (position.to_string(), vec![copy(version)]);
            let copies = CopiesBody { position, owner: owner.clone(), copies, do_agree: true };
            TraceBody::new(&found, &[Err(SeenAs::Silent)], copies)
        };
        let good = trace("1.0.7");
        assert_eq!((good.steps.len(), good.steps[1].why, good.took_us), (2, Why::Owner, 9));
        let read = |trace: &TraceBody| TraceBody::decode(&serde_json::to_vec(trace).unwrap());
        assert_eq!(read(&good), Ok(good.clone()));
        assert_eq!(read(&trace("\u{1b}[2J")), Err(BadReport::Garbled));
        let mut foreign = good;
        foreign.steps[0].node = "<b>:1".to_owned();
        assert_eq!(read(&foreign), Err(BadReport::Garbled));
        assert_eq!(TraceBody::decode(b"[[["), Err(BadReport::Garbled));
    }
}
