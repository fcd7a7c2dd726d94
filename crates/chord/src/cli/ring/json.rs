//! The ring for programs. What is here stays; more may come.

use serde::Serialize;

use super::super::seen::{Arc, Ring, Side, State, health, predecessor, successor};
use chord::seen::SeenAs;

/// The whole ring.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// When it was seen, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<u64>,
    seen_by: &'a str,
    /// The gravest level among the reasons: `act`, `heals`, `gone`, `note` or `fine`.
    verdict: &'static str,
    reasons: Vec<Reason>,
    /// How many reasons more there are.
    more_reasons: u64,
    members: usize,
    /// How many rings the members form when one follows successors.
    rings: usize,
    records: u64,
    under_replicated: u64,
    not_answering: usize,
    left_out: u64,
    /// Beliefs about neighbours that these do not share.
    torn: Vec<Torn<'a>>,
    /// Parts of the ring for which nobody answers, and for which several do.
    unowned: Vec<Part>,
    doubly_owned: Vec<Part>,
    nodes: Vec<Node<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: &'static str,
    level: &'static str,
    node: Option<String>,
    what: String,
    next: String,
}

#[derive(Debug, Serialize)]
struct Torn<'a> {
    node: &'a str,
    takes: &'a str,
    r#for: &'static str,
    /// Whom that one names on the other side; null if it does not tell, or names nobody.
    which_takes: Option<&'a str>,
}

/// From one part of the circle to another, as numbers from 0 to 1.
#[derive(Debug, Serialize)]
struct Part {
    from: f64,
    to: f64,
    owners: usize,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    #[serde(rename = "node")]
    name: &'a str,
    position: &'a str,
    /// Where on the circle that is, from 0 to 1.
    turn: f64,
    answer: SeenAs,
    state: &'static str,
    is_member: bool,
    is_ready: bool,
    predecessor: Option<&'a str>,
    successor: Option<&'a str>,
    share: Option<f64>,
    is_complete: Option<bool>,
    records: Option<u64>,
    copies_missing: Option<u64>,
    version: Option<&'a str>,
    started_at_ms: Option<u64>,
}

impl<'a> Report<'a> {
    pub(super) fn of(ring: &'a Ring) -> Self {
        let reasons = health::reasons(ring);
        let parts = |is_wanted: fn(&Arc) -> bool| {
            let arcs = ring.claims().into_iter().filter(is_wanted);
            arcs.map(|arc| Part { from: arc.from, to: arc.to, owners: arc.owners }).collect()
        };
        let torn = ring.torn().into_iter().map(|belief| Torn {
            node: belief.of,
            takes: belief.about,
            r#for: match belief.side {
                Side::Successor => "successor",
                Side::Predecessor => "predecessor",
            },
            which_takes: belief.says,
        });
        Self {
            at_ms: Some(ring.at_ms),
            seen_by: &ring.seen_by,
            verdict: health::level(ring).word(),
            members: ring.members().count(),
            rings: ring.n_cycles(),
            records: ring.records(),
            under_replicated: ring.copies_missing(),
            not_answering: ring.n_absent(),
            left_out: ring.left_out,
            torn: torn.collect(),
            unowned: parts(|arc| arc.owners == 0),
            doubly_owned: parts(|arc| arc.owners > 1),
            nodes: ring.order().into_iter().map(|place| Node::of(ring, place)).collect(),
            reasons: reasons.into_iter().map(Reason::from).collect(),
            more_reasons: health::more(ring),
        }
    }

    /// The same without what changes although nothing happens.
    pub(super) fn without_time(self) -> Self {
        Self { at_ms: None, ..self }
    }
}

impl From<health::Reason> for Reason {
    fn from(reason: health::Reason) -> Self {
        let health::Reason { code, level, node, what, next } = reason;
        Self { code, level: level.word(), node, what, next }
    }
}

impl<'a> Node<'a> {
    fn of(ring: &'a Ring, place: &'a super::super::seen::Place) -> Self {
        let state = ring.state(place);
        let report = place.report();
        let believed = report.map(|report| &report.ring);
        let range = believed.and_then(|ring| ring.range.as_ref());
        Self {
            name: place.name(),
            position: &place.seen.position,
            turn: place.turn,
            answer: place.seen.answer,
            state: state.words(),
            is_member: !matches!(state, State::Absent(_) | State::Left | State::NoMember),
            is_ready: believed.is_some_and(|ring| ring.is_ready),
            predecessor: believed.and_then(predecessor),
            successor: believed.and_then(successor),
            share: range.map(|range| range.share),
            is_complete: range.map(|range| range.is_complete),
            records: report.map(|report| report.records),
            copies_missing: report.map(|report| report.copies_missing),
            version: report.map(|report| report.version.as_str()),
            started_at_ms: report.map(|report| report.started_at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::tests::{dead, ideal, is_documented, names, ring};
    use super::*;

    #[test]
    fn the_documentation_has_every_field() {
        let mut nodes = ideal(&names(8));
        dead(&mut nodes, 1);
        let ring = ring(nodes);
        let printed = serde_json::to_value(Report::of(&ring)).unwrap();
        let has_some = |list: &str| printed[list].as_array().is_some_and(|list| !list.is_empty());
        assert!(has_some("reasons") && has_some("torn") && has_some("nodes"), "{printed}");
        is_documented(&printed);
    }
}
