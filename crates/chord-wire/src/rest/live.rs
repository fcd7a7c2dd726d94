//! The ring as one node sees it: every node's own answer, as a stream of events.

use std::sync::Arc;
use std::time::Duration;

use chord_ring::{NodeName, Peer, RingSize};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body::json;
use super::report::{BadReport, ReportBody, cut};
use super::sight::{FoundBody, RingHealth};

/// Nodes in a picture, at most: more than can be told apart on a screen. Whoever makes names up fills no more than this.
pub const PICTURE_NODES_MAX: usize = 1024;

/// Bytes of a picture, at most: eight KiB for each node, which is what one says that knows a hundred others.
pub const PICTURE_BYTES_MAX: usize = PICTURE_NODES_MAX * (8 << 10);

/// How long a node that shows the ring says nothing at most: enough that whoever follows it notices within five seconds that
/// it stands still, and some tens of bytes in a second for each.
pub const BEAT_PAUSE: Duration = Duration::from_secs(2);

/// What is said of one that has left, behind its name and a colon.
pub(super) const HAS_LEFT: &str = "it has left the ring in good order";

/// A node of the picture, and what it said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeenBody {
    /// Its name.
    pub node: String,
    /// Its position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// What came of asking it.
    pub answer: SeenAs,
    /// The same in words, to be read behind its name and a colon, where it told nothing; an older version does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Whether it has left in good order, by its own word before, and does not answer therefore.
    #[serde(default, skip_serializing_if = "is_not")]
    pub has_left: bool,
    /// Whether it does not answer and told of itself not long ago, when somebody looked before.
    #[serde(default, skip_serializing_if = "is_not")]
    pub was_heard: bool,
    /// What it said.
    pub report: Option<ReportBody>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_not(is_so: &bool) -> bool {
    !is_so
}

/// What came of asking a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeenAs {
    /// It told of itself.
    Answered,
    /// Nobody serves there.
    Unreachable,
    /// It did not answer in time.
    Silent,
    /// Its answer makes no sense.
    Garbled,
    /// It is of another ring.
    OtherRing,
    /// It knows no such question: a node of another program, or of an older version.
    OtherProgram,
}

/// The data of `ring` and of `changes`: the nodes that are to be seen, or those that have changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PictureBody<'a> {
    /// The node that looks.
    pub seen_by: &'a str,
    /// When it looked, in milliseconds since 1970.
    pub at_ms: u64,
    /// The nodes.
    #[schema(value_type = Vec<SeenBody>)]
    pub nodes: Vec<&'a SeenText>,
    /// The nodes that nobody names any more, and that are not there.
    pub gone: Vec<&'a str>,
    /// How many nodes were left out, since a picture has room for so many only.
    pub left_out: u64,
    /// How long it is until the next look, in milliseconds: the more nodes, the longer.
    pub pause_ms: u64,
    /// Whether everybody who is named has been asked by now, however slow: before, nodes may be missing.
    pub has_asked_all: bool,
    /// After how long without another event a `beat` follows, in milliseconds.
    pub beat_ms: u64,
    /// How the whole ring is, and what is the matter.
    #[schema(value_type = RingHealth)]
    pub health: &'a RingHealth,
    /// What follows from what the nodes say, for whoever draws it; an older version does not say it.
    #[schema(value_type = FoundBody)]
    pub found: &'a FoundBody,
}

/// A [`PictureBody`] as it is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PictureRead {
    /// The node that looks.
    pub seen_by: String,
    /// When it looked, in milliseconds since 1970.
    pub at_ms: u64,
    /// The nodes.
    pub nodes: Vec<SeenBody>,
    /// The nodes that are no more to be seen.
    pub gone: Vec<String>,
    /// How many nodes were left out.
    pub left_out: u64,
    /// Whether everybody who is named has been asked.
    #[serde(default = "asked_all")]
    pub has_asked_all: bool,
    /// After how long without another event a `beat` follows; a node of an older version sends none.
    #[serde(default)]
    pub beat_ms: Option<u64>,
    /// How the ring is; a node of an older version does not say it.
    #[serde(default)]
    pub health: Option<RingHealth>,
}

/// A node that does not say so shows pictures as they are.
fn asked_all() -> bool {
    true
}

impl PictureRead {
    /// Reads the data of `ring` or of `changes` on a ring of that name and size. Names that are none are left out, positions
    /// follow from names, and a report that is none, or another's, is taken for garbled.
    ///
    /// # Errors
    /// It is no picture.
    pub fn decode(bytes: &[u8], ring_name: &str, size: RingSize) -> Result<Self, BadReport> {
        let mut picture: Self = serde_json::from_slice(bytes).map_err(|_| BadReport::Garbled)?;
        let is_name = |name: &str| name.parse::<NodeName>().is_ok();
        if !is_name(&picture.seen_by) {
            return Err(BadReport::Garbled);
        }
        picture.nodes.truncate(PICTURE_NODES_MAX);
        picture.gone.truncate(PICTURE_NODES_MAX);
        picture.gone.retain(|name| is_name(name));
        picture.health = picture.health.map(RingHealth::checked);
        picture.nodes = picture.nodes.into_iter().filter_map(|seen| seen.checked(ring_name, size)).collect();
        Ok(picture)
    }
}

impl SeenBody {
    /// What came of asking the node of that name and position.
    pub fn new(node: String, position: String, told: Result<ReportBody, SeenAs>) -> Self {
        let (answer, report) = match told {
            Ok(report) => (SeenAs::Answered, Some(report)),
            Err(answer) => (answer, None),
        };
        let because = report.is_none().then(|| answer.in_words().to_owned());
        Self { node, position, answer, because, has_left: false, was_heard: false, report }
    }

    /// The same of one that does not answer, since it has left in good order.
    #[must_use]
    pub fn that_left(self) -> Self {
        if self.answer == SeenAs::Answered {
            return self;
        }
        Self { has_left: true, because: Some(HAS_LEFT.to_owned()), ..self }
    }

    /// The same of one that told of itself before, if it does not now.
    #[must_use]
    pub fn that_was_heard(self) -> Self {
        Self { was_heard: self.answer != SeenAs::Answered, ..self }
    }

    fn checked(self, ring_name: &str, size: RingSize) -> Option<Self> {
        let name: NodeName = self.node.parse().ok()?;
        let report = self.report.map(|report| report.checked(&name, ring_name, size));
        let (answer, report) = match report {
            Some(Ok(report)) => (self.answer, Some(report)),
            Some(Err(BadReport::OtherRing)) => (SeenAs::OtherRing, None),
            Some(Err(_)) => (SeenAs::Garbled, None),
            None if self.answer == SeenAs::Answered => (SeenAs::Garbled, None),
            None => (self.answer, None),
        };
        let position = Peer::of_name(name, size).position.to_string();
        let mut because = self.because.filter(|_| answer == self.answer);
        because.as_mut().map(cut);
        let has_left = self.has_left && report.is_none();
        let was_heard = self.was_heard && report.is_none();
        Some(Self { node: self.node, position, answer, because, has_left, was_heard, report })
    }
}

/// A [`SeenBody`] as JSON, which is written once for all who look.
#[derive(Clone, Debug)]
pub struct SeenText(Arc<RawValue>);

impl SeenText {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.0.get().len()
    }
}

impl Serialize for SeenText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.0).serialize(serializer)
    }
}

impl PartialEq for SeenText {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.get() == other.0.get()
    }
}

impl From<&SeenBody> for SeenText {
    fn from(seen: &SeenBody) -> Self {
        let text = serde_json::value::to_raw_value(seen).expect("names and numbers can be written as JSON");
        Self(Arc::from(text))
    }
}

/// The event that says how the ring is, or what has changed of it.
pub fn picture_event(is_whole: bool, picture: &PictureBody<'_>) -> Vec<u8> {
    let name = if is_whole { "ring" } else { "changes" };
    let mut bytes = format!("event: {name}\ndata: ").into_bytes();
    bytes.extend(json(picture)); // with its line feed, and no other
    bytes.push(b'\n');
    bytes
}

/// The event that says that the node is there, when there is nothing else to say.
pub fn beat_event(at_ms: u64) -> Vec<u8> {
    format!("event: beat\ndata: {{\"at_ms\":{at_ms}}}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::sight::{RING_REASONS_MAX, RingTrouble};
    use super::*;

    #[test]
    fn a_picture_is_one_event_whatever_a_node_is_called() {
        let seen = SeenBody {
            node: "a\n\nevent: x\r:1".to_owned(),
            position: "7".to_owned(),
            answer: SeenAs::OtherRing,
            because: None,
            has_left: false,
            was_heard: false,
            report: None,
        };
        let text = SeenText::from(&seen);
        let picture = PictureBody {
            seen_by: "b:1",
            at_ms: 5,
            nodes: vec![&text],
            gone: vec!["c:1"],
            left_out: 2,
            pause_ms: 250,
            has_asked_all: true,
            beat_ms: 2000,
            health: &RingHealth::default(),
            found: &FoundBody::default(),
        };
        let expected = "event: ring\ndata: {\"seen_by\":\"b:1\",\"at_ms\":5,\"nodes\":[{\"node\":\"a\\n\\nevent: x\\r:1\",\
            \"position\":\"7\",\"answer\":\"other-ring\",\"report\":null}],\"gone\":[\"c:1\"],\"left_out\":2,\"pause_ms\":250,\
            \"has_asked_all\":true,\"beat_ms\":2000,\"health\":{\"severity\":\"fine\",\"verdict\":\"\",\"detail\":null,\"reasons\":[],\"more\":0},\
            \"found\":{\"states\":{},\"torn\":[],\"claims\":[],\"rings\":[]}}\n\n";
        assert_eq!(String::from_utf8(picture_event(true, &picture)).unwrap(), expected);
        assert!(picture_event(false, &picture).starts_with(b"event: changes\n"));
    }

    #[test]
    fn whatever_a_picture_says_it_is_bounded_and_has_nothing_but_names_in_it() {
        let size = RingSize::new(160).unwrap();
        let node = |idx: usize| serde_json::json!({"node": format!("h{idx}:1"), "position": "x", "answer": "silent", "report": null});
        let mut nodes: Vec<_> = (0..PICTURE_NODES_MAX + 5).map(node).collect();
        nodes[0] =
            serde_json::json!({"node": "\u{1b}[2J:1", "position": "1", "answer": "silent", "report": null});
        nodes[1]["answer"] = "answered".into();
        let said = serde_json::json!({"seen_by": "h1:1", "at_ms": 1, "nodes": nodes, "gone": ["<b>", "h2:1"],
            "left_out": 0, "pause_ms": 250});
        let read = |said: &serde_json::Value| PictureRead::decode(said.to_string().as_bytes(), "r", size);
        let picture = read(&said).unwrap();
        assert_eq!(picture.nodes.len(), PICTURE_NODES_MAX - 1);
        assert_eq!((picture.nodes[0].node.as_str(), picture.nodes[0].answer), ("h1:1", SeenAs::Garbled));
        let own = Peer::of_name("h1:1".parse().unwrap(), size).position.to_string();
        assert_eq!(picture.nodes[0].position, own, "a position follows from a name");
        assert_eq!((picture.gone.as_slice(), picture.has_asked_all), (&["h2:1".to_owned()][..], true));
        assert_eq!(picture.beat_ms, None);
        assert_eq!(picture.health, None, "an older node does not say how the ring is");
        let reason = serde_json::json!({"code": "of a later version", "severity": "act", "node": "<b>",
            "sentence": "x".repeat(9000), "next": "wait"});
        let mut grave = said.clone();
        grave["health"] = serde_json::json!({"severity": "act", "verdict": "v", "detail": null,
            "reasons": vec![reason; RING_REASONS_MAX + 3], "more": 1});
        let health = read(&grave).unwrap().health.unwrap();
        assert_eq!((health.reasons.len(), health.more), (RING_REASONS_MAX, 4));
        let first = &health.reasons[0];
        assert_eq!((first.code, &first.node, first.sentence.len()), (RingTrouble::Other, &None, 400));
        let mut unnamed = said;
        unnamed["seen_by"] = "no name".into();
        assert_eq!(read(&unnamed), Err(BadReport::Garbled));
        assert_eq!(read(&serde_json::json!([])), Err(BadReport::Garbled));
    }
}
