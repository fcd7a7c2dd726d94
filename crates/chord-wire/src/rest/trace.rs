//! The way to the owner of a key, hop by hop: why each node asked the next, by what it knows, and who keeps the key.

use std::time::Duration;

use chord_ring::{
    Because, Chosen, Config, Finger, Fingers, Lookup, NodeName, Peer, Position, Question, RingName, RingSize,
    RingTag, SUCCESSORS_LIMIT, View,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::NodeBody;
use super::copies::{CopiesBody, CopyBody};
use super::live::SeenAs;
use super::report::{BadReport, ReportBody, cut};

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
    /// The same in words; an older version does not say it.
    #[serde(default)]
    pub verdict: String,
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
    /// What it did and why, in words that are read behind its name; an older version does not say it.
    #[serde(default)]
    pub sentence: String,
    /// How many nodes it would rather have named, by what it knows: they had failed, or it did not know them yet.
    #[serde(default)]
    pub passed_over: u16,
    /// The first and the last entry of its finger table that name the next node, if it is a finger.
    pub entries: Option<(u16, u16)>,
    /// Which of its successors the next node is, from 1, if it is one.
    pub successor: Option<u16>,
    /// How long this hop took in this lookup, in microseconds: until this node had the next one's answer, without the time for which
    /// that one waited for those behind it, and with those whom this node asked before in vain. Null if they do not tell, as
    /// older nodes and those of other programs.
    #[serde(default)]
    pub took_us: Option<u64>,
    /// How long answers of the next node usually take it, smoothed, in microseconds; null if it has measured none.
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
    /// Of all that it knows this finger is the closest before the key.
    ClosestFinger,
    /// Of all that it knows this successor is the closest before the key.
    ClosestSuccessor,
    /// It leaves: that successor takes over what it owned.
    Heir,
    /// It was taken for the owner, and knows one before it, which may be that.
    MayBeBefore,
    /// That is its predecessor, and nobody else was left to ask.
    LastResort,
    /// It has changed its mind since.
    Changed,
    /// It did not tell what it knows.
    Untold,
    /// For a reason that a later version knows.
    #[serde(other)]
    Other,
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
    /// How long each of these nodes took until it had the answer, by its own clock, as far as they tell.
    pub times: &'a [Duration],
}

impl WayFound<'_> {
    /// How long it took from this node on the way to the next, and back. Whoever is last waits for nobody.
    fn hop_took(&self, idx: usize) -> Option<Duration> {
        let (here, is_last_hop) = (self.times.get(idx)?, idx + 2 >= self.path.len());
        let behind = self.times.get(idx + 1).copied().or(is_last_hop.then_some(Duration::ZERO))?;
        Some(here.saturating_sub(behind))
    }
}

impl TraceBody {
    /// The way that was found, as the nodes on it tell of themselves: as many reports as nodes, or fewer.
    pub fn new(way: &WayFound<'_>, reports: &[Result<ReportBody, SeenAs>], copies: CopiesBody) -> Self {
        let step = |(idx, node): (usize, &NodeName)| {
            let report = reports.get(idx).and_then(|report| report.as_ref().ok());
            StepBody::new(way, idx, node, report)
        };
        let steps = way.path.iter().enumerate().map(step).collect();
        let took_us = u64::try_from(way.took.as_micros()).unwrap_or(u64::MAX);
        let CopiesBody { position, owner, copies, do_agree, verdict } = copies;
        Self { position, owner, hops: way.hops, took_us, steps, copies, do_agree, verdict }
    }

    /// Reads what a node says; what is called by no name makes it none.
    ///
    /// # Errors
    /// It is no trace.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadReport> {
        let mut trace: Self = serde_json::from_slice(bytes).map_err(|_| BadReport::Garbled)?;
        let steps = trace.steps.iter().flat_map(|step| [Some(&step.node), step.next.as_ref()]).flatten();
        let names = steps.chain(trace.copies.iter().map(|copy| &copy.node)).chain([&trace.owner.node]);
        let are_names = names.into_iter().all(|name| name.parse::<NodeName>().is_ok());
        let are_versions = trace.copies.iter().all(|copy| {
            let version = copy.version.as_ref();
            version.is_none_or(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        });
        trace.steps.iter_mut().for_each(|step| cut(&mut step.sentence));
        trace.copies.iter_mut().for_each(|copy| cut(&mut copy.words));
        cut(&mut trace.verdict);
        let is_position = trace.position.parse::<Position>().is_ok();
        (are_names && are_versions && is_position).then_some(trace).ok_or(BadReport::Garbled)
    }
}

impl StepBody {
    fn new(way: &WayFound<'_>, idx: usize, node: &NodeName, report: Option<&ReportBody>) -> Self {
        let own = place(node, way.size);
        let next = way.path.get(idx + 1);
        let mut step = Self {
            node: node.to_string(),
            position: own.to_string(),
            next: next.map(NodeName::to_string),
            why: Why::Owner,
            sentence: String::new(),
            passed_over: 0,
            entries: None,
            successor: None,
            took_us: None,
            round_trip_us: None,
            leap: None,
        };
        if let Some(next) = next {
            step.leap = leap(way, own, place(next, way.size));
            step.took_us = way.hop_took(idx).map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            step.explain(way, idx, next, report);
        }
        step.sentence = step.in_words(way.path.len() == 1);
        step
    }

    /// Says why the next node was named, by what this one knows.
    fn explain(&mut self, way: &WayFound<'_>, idx: usize, next: &NodeName, report: Option<&ReportBody>) {
        let Some(report) = report else {
            self.why = Why::Untold;
            return;
        };
        let finger = report.ring.fingers.iter().find(|finger| finger.node == next.as_str());
        let rank = report.ring.successors.iter().position(|peer| peer.node == next.as_str());
        let link = report.links.iter().find(|link| link.node == next.as_str());
        self.entries = finger.map(|finger| (finger.first, finger.last));
        self.successor = rank.and_then(|rank| u16::try_from(rank + 1).ok());
        self.round_trip_us = link.and_then(|link| link.round_trip_us);
        let Some(Chosen { because, passed_over }) = chosen(way, idx, next, report) else {
            self.why = Why::Changed;
            return;
        };
        self.passed_over = u16::try_from(passed_over).unwrap_or(u16::MAX);
        self.why = match because {
            Because::NextIsOwner => Why::NextIsOwner,
            Because::FirstAtOrAfter(_) => Why::FirstAtOrAfter,
            Because::Heir(_) => Why::Heir,
            Because::ClosestFinger => Why::ClosestFinger,
            Because::ClosestSuccessor(_) => Why::ClosestSuccessor,
            Because::MayBeBefore => Why::MayBeBefore,
            Because::LastResort => Why::LastResort,
        };
    }

    fn in_words(&self, is_alone: bool) -> String {
        let Some(next) = &self.next else {
            let alone = "owns the key itself: nobody else is asked";
            return if is_alone { alone } else { "owns the key, by its own word" }.to_owned();
        };
        let rank = self.successor.unwrap_or_default();
        let why = match (self.why, self.entries) {
            (Why::NextIsOwner, _) => {
                "the key lies between it and this successor, which therefore owns it".to_owned()
            }
            (Why::FirstAtOrAfter, _) => {
                format!("of its successors, number {rank} is the first at or after the key")
            }
            (Why::Heir, _) => format!("it leaves, and successor {rank} takes over what it owned"),
            (Why::ClosestFinger, Some((first, last))) => {
                let entries = if first == last {
                    format!("entry {first}")
                } else {
                    format!("entries {first} to {last}")
                };
                format!("of all that it knows, this finger ({entries}) is the closest before the key")
            }
            (Why::ClosestFinger, None) => {
                "of all that it knows, this finger is the closest before the key".to_owned()
            }
            (Why::ClosestSuccessor, _) => {
                format!("of all that it knows, successor {rank} is the closest before the key")
            }
            (Why::MayBeBefore, _) => "it was taken for the owner, and its predecessor may be that".to_owned(),
            (Why::LastResort, _) => "that is its predecessor, and nobody else was left to ask".to_owned(),
            (Why::Changed, _) => {
                "it knew this node when it was asked, and has changed its mind since".to_owned()
            }
            (Why::Untold | Why::Owner | Why::Other, _) => "why, it did not tell".to_owned(),
        };
        match self.passed_over {
            0 => format!("names {next}: {why}"),
            1 => format!("names {next}: {why}, but for one that had failed, or that it did not know yet"),
            more => {
                format!("names {next}: {why}, but for {more} that had failed, or that it did not know yet")
            }
        }
    }
}

fn place(name: &NodeName, size: RingSize) -> Position {
    Peer::of_name(name.clone(), size).position
}

/// Which part of the way from one node to the key the next node is away; `None` where that leads to the key or beyond.
fn leap(way: &WayFound<'_>, own: Position, next: Position) -> Option<f64> {
    let (to_key, to_next) = (way.size.distance(own, way.position), way.size.distance(own, next));
    // A key at the node's own position is the whole ring away.
    let is_before = to_key != Position::ZERO && to_next < to_key;
    is_before.then(|| way.size.fraction(to_next) / way.size.fraction(to_key))
}

/// Why a node went to the next, as its lookup decides it on what it tells of itself. Whether it was named as the owner the
/// path does not say: a member that was goes nowhere but to its predecessor.
fn chosen(way: &WayFound<'_>, idx: usize, next: &NodeName, report: &ReportBody) -> Option<Chosen> {
    let view = view(report, way.size)?;
    let asked_before = way.path.get(..idx).unwrap_or_default();
    [false, true].into_iter().find_map(|named| {
        let question = Question { target: way.position, named, path: asked_before.to_vec() };
        Lookup::new(question).why(&view, next)
    })
}

/// What a node believes, as it tells it.
fn view(report: &ReportBody, size: RingSize) -> Option<View> {
    let peer = |name: &str| Some(Peer::of_name(name.parse().ok()?, size));
    let config = Config::new(RingTag { name: RingName::default(), size });
    let config = config.with_successors(SUCCESSORS_LIMIT).ok()?;
    let ring = &report.ring;
    let before = ring.predecessor.as_ref().and_then(|before| peer(&before.node));
    let successors: Vec<Peer> = ring.successors.iter().filter_map(|next| peer(&next.node)).collect();
    let finger = |finger: &super::FingerBody| {
        Some(Finger { first: finger.first, last: finger.last, peer: peer(&finger.node)? })
    };
    let fingers = Fingers::of_told(ring.fingers.iter().filter_map(finger));
    let view = View::member(config, peer(&ring.node)?, before, &successors, fingers);
    Some(if ring.is_member { view } else { view.leaving() })
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
        let way =
            WayFound { size: size(), position: to, hops: 1, path: &path, took: Duration::ZERO, times: &[] };
        StepBody::new(&way, 0, from, report)
    }

    fn place(name: &NodeName) -> Position {
        super::place(name, size())
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
        let leap = whys(fourth, fifth, &[second, third], &[fourth]);
        assert_eq!((leap.why, leap.entries), (Why::ClosestFinger, Some((3, 9))));
        assert!(leap.leap.is_some_and(|leap| leap > 0.0 && leap < 1.0), "{leap:?}");
        let near = whys(third, fifth, &[second, third], &[]);
        assert_eq!((near.why, near.successor), (Why::ClosestSuccessor, Some(2)));
        assert_eq!(
            near.sentence,
            format!("names {third}: of all that it knows, successor 2 is the closest before the key")
        );
        let passed = whys(second, fifth, &[second, third], &[fourth]);
        assert_eq!((passed.why, passed.passed_over), (Why::ClosestSuccessor, 2));
        assert!(
            passed.sentence.ends_with("but for 2 that had failed, or that it did not know yet"),
            "{passed:?}"
        );
        let untrue = whys(fifth, fifth, &[second, third], &[fifth]);
        assert_eq!(untrue.why, Why::Changed, "no lookup goes by a finger to whom it takes for the owner");
        assert_eq!(whys(fourth, fifth, &[second], &[]).why, Why::Changed);
        assert_eq!(step((from, fourth), place(fifth), None).why, Why::Untold);
    }

    #[test]
    fn a_hop_takes_what_its_node_waited_and_the_next_one_did_not() {
        let names = ordered();
        let ms = Duration::from_millis;
        let tooks = |path: &[NodeName], times: &[Duration]| {
            let (position, hops) = (place(&names[4]), 1);
            let way = WayFound { size: size(), position, hops, path, took: ms(30), times };
            let copies = CopiesBody::new(
                "5".to_owned(),
                NodeBody { node: names[3].to_string(), position: "5".to_owned() },
                Vec::new(),
                true,
            );
            TraceBody::new(&way, &[], copies).steps.into_iter().map(|step| step.took_us).collect::<Vec<_>>()
        };
        assert_eq!(tooks(&names[..3], &[ms(30), ms(10), ms(1)]), [Some(20_000), Some(9_000), None]);
        assert_eq!(
            tooks(&names[..3], &[ms(30), ms(10)]),
            [Some(20_000), Some(10_000), None],
            "the owner waits for nobody"
        );
        assert_eq!(tooks(&names[..3], &[ms(30)]), [None; 3], "the next one does not tell");
        assert_eq!(tooks(&names[..2], &[ms(3), ms(9)]), [Some(0), None], "clocks may differ");
        assert_eq!(tooks(&names[..1], &[ms(3)]), [None]);
    }

    #[test]
    fn a_trace_survives_the_wire_and_nothing_else_is_one() {
        let names = ordered();
        let owner = NodeBody { node: names[1].to_string(), position: "5".to_owned() };
        let copy =
            |version: &str| CopyBody::new(names[1].to_string(), CopyState::Value, Some(version.to_owned()));
        let position = place(&names[1]);
        let (took, times) = (Duration::from_micros(9), [Duration::from_micros(8)]);
        let found = WayFound { size: size(), position, hops: 1, path: &names[..2], took, times: &times };
        let trace = |version: &str| {
            let (position, copies) = (position.to_string(), vec![copy(version)]);
            let copies = CopiesBody::new(position, owner.clone(), copies, true);
            TraceBody::new(&found, &[Err(SeenAs::Silent)], copies)
        };
        let good = trace("1.0.7");
        assert_eq!((good.steps.len(), good.steps[1].why, good.took_us), (2, Why::Owner, 9));
        let read = |trace: &TraceBody| TraceBody::decode(&serde_json::to_vec(trace).unwrap());
        assert_eq!(good.steps[1].sentence, "owns the key, by its own word");
        assert_eq!(read(&good), Ok(good.clone()));
        let mut older = serde_json::to_value(&good).unwrap();
        older.as_object_mut().unwrap().remove("verdict");
        older["steps"][0].as_object_mut().unwrap().remove("sentence");
        older["steps"][0]["why"] = json!("known-at-or-after");
        let older = TraceBody::decode(older.to_string().as_bytes()).unwrap();
        assert_eq!((older.steps[0].why, older.steps[0].sentence.as_str()), (Why::Other, ""));
        assert_eq!(read(&trace("\u{1b}[2J")), Err(BadReport::Garbled));
        let mut foreign = good;
        foreign.steps[0].node = "<b>:1".to_owned();
        assert_eq!(read(&foreign), Err(BadReport::Garbled));
        assert_eq!(TraceBody::decode(b"[[["), Err(BadReport::Garbled));
    }
}
