//! The ring as one node sees it: every node's own answer, as a stream of events.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::body::json;
use super::report::ReportBody;

/// A node of the picture, and what it said.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SeenBody {
    /// Its name.
    pub node: String,
    /// Its position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// What came of asking it.
    pub answer: SeenAs,
    /// What it said.
    pub report: Option<ReportBody>,
}

/// What came of asking a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_one_event_whatever_a_node_is_called() {
        let seen = SeenBody {
            node: "a\n\nevent: x\r:1".to_owned(),
            position: "7".to_owned(),
            answer: SeenAs::OtherRing,
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
        };
        let expected = "event: ring\ndata: {\"seen_by\":\"b:1\",\"at_ms\":5,\"nodes\":[{\"node\":\"a\\n\\nevent: x\\r:1\",\
            \"position\":\"7\",\"answer\":\"other-ring\",\"report\":null}],\"gone\":[\"c:1\"],\"left_out\":2,\"pause_ms\":250}\n\n";
        assert_eq!(String::from_utf8(picture_event(true, &picture)).unwrap(), expected);
        assert!(picture_event(false, &picture).starts_with(b"event: changes\n"));
    }
}
