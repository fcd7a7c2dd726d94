//! How the ring is, by the word of the node that shows it, fit for a terminal.

use chord::seen::{RingHealth, RingReason, Severity};

use super::super::words::shown;
use super::Ring;

pub(crate) use chord::seen::Severity as Level;

/// Letters of a sentence that are shown.
const SENTENCE_CHARS_MAX: usize = 400;

/// One thing that is the matter, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) level: Level,
    /// The node that it is about, if it is about one.
    pub(crate) node: Option<String>,
    pub(crate) what: String,
    pub(crate) next: String,
}

/// Everything that is the matter, the gravest first, as far as the node tells it.
pub(crate) fn reasons(ring: &Ring) -> Vec<Reason> {
    let told = |RingReason { code, severity, node, sentence, next, .. }: &RingReason| Reason {
        code: code.word(),
        level: *severity,
        node: node.clone(),
        what: shown(sentence, SENTENCE_CHARS_MAX),
        next: shown(next, SENTENCE_CHARS_MAX),
    };
    match &ring.health {
        Some(health) => health.reasons.iter().map(told).collect(),
        None => vec![untold(&ring.seen_by)],
    }
}

/// How many reasons more there are than the node tells.
pub(crate) fn more(ring: &Ring) -> u64 {
    ring.health.as_ref().map_or(0, |health| health.more)
}

/// How the ring is, for programs.
pub(crate) fn level(ring: &Ring) -> Level {
    ring.health.as_ref().map_or(Severity::Note, |health| health.severity)
}

/// The same for people.
pub(crate) fn verdict(ring: &Ring) -> String {
    match &ring.health {
        Some(RingHealth { verdict, .. }) => shown(verdict, SENTENCE_CHARS_MAX),
        None => "The ring".to_owned(),
    }
}

/// More of it, where there are no reasons.
pub(crate) fn detail(ring: &Ring) -> Option<String> {
    ring.health.as_ref()?.detail.as_ref().map(|detail| shown(detail, SENTENCE_CHARS_MAX))
}

/// A node of an older version shows the ring, and leaves it to others to say how it is.
fn untold(seen_by: &str) -> Reason {
    Reason {
        code: "untold",
        level: Level::Note,
        node: Some(seen_by.to_owned()),
        what: format!("{seen_by} is of an older version, which does not say how the ring is."),
        next: "Ask a newer node.".to_owned(),
    }
}
