//! One JSON object from its fields.

use chord_ring::{NodeName, Position};

use super::field::Record;

/// Enough for most messages, so that few of them move while they grow.
const CAPACITY_BYTES: usize = 192;

/// A JSON object that is being written, spaced as Python's `json.dumps` spaces it.
pub(crate) struct Object(Vec<u8>);

impl Object {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::with_capacity(CAPACITY_BYTES);
        bytes.push(b'{');
        Self(bytes)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn plain(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    fn name(&mut self, name: &'static str) {
        if self.0.len() > 1 {
            self.0.extend_from_slice(b", ");
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\": ");
    }

    fn quote(&mut self, text: &str) {
        self.0.reserve(text.len() + 2);
        serde_json::to_writer(&mut self.0, text).expect("a vector takes every byte");
    }
}

impl Record for Object {
    fn string(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        self.quote(value);
        self
    }

    fn string_or_null(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(name, value),
            None => self.plain(name, "null"),
        }
    }

    fn boolean(self, name: &'static str, value: bool) -> Self {
        self.plain(name, if value { "true" } else { "false" })
    }

    fn count(self, name: &'static str, value: u32) -> Self {
        self.plain(name, &value.to_string())
    }

    fn position(self, name: &'static str, value: Position) -> Self {
        self.plain(name, &value.to_string())
    }

    fn nodes(mut self, name: &'static str, nodes: &[NodeName]) -> Self {
        self.name(name);
        self.0.push(b'[');
        for (idx, node) in nodes.iter().enumerate() {
            if idx > 0 {
                self.0.extend_from_slice(b", ");
            }
            self.quote(node.as_str());
        }
        self.0.push(b']');
        self
    }
}
