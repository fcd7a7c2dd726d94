//! How a ring is shown: as tables and sentences for people.

use std::collections::BTreeMap;

use chord_ring::{Answer, Event, Failure, Found, Node, NodeName, Peer, Phase, Refusal, Request, View};

use super::rings::{Place, Rings};
use crate::numbered::{self, number};
use crate::{Cluster, Message};

/// What one node believes, as far as a script shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beliefs {
    pub(super) phase: Phase,
    pub(super) list: Vec<u64>,
    pub(super) predecessor: Option<u64>,
}

impl Beliefs {
    pub(super) fn of(view: &View) -> Self {
        Self {
            phase: view.phase(),
            list: view.successors().as_slice().iter().map(number).collect(),
            predecessor: view.predecessor().map(number),
        }
    }

    fn sentence(&self) -> String {
        format!("successors {}, predecessor {}", numbers(&self.list), or_none(self.predecessor))
    }
}

/// The beliefs of all nodes.
pub(super) fn beliefs(cluster: &Cluster) -> BTreeMap<u64, Beliefs> {
    cluster.nodes().map(|node| (number(node.view().me()), Beliefs::of(node.view()))).collect()
}

/// What is different after something has happened, a line for each node.
pub(super) fn changes(before: &BTreeMap<u64, Beliefs>, after: &BTreeMap<u64, Beliefs>) -> Vec<String> {
    let gone = before.keys().filter(|at| !after.contains_key(at)).map(|at| format!("{at} is gone"));
    let changed = after.iter().filter_map(|(at, now)| change(*at, before.get(at), now));
    gone.chain(changed).collect()
}

fn change(at: u64, before: Option<&Beliefs>, now: &Beliefs) -> Option<String> {
    let Some(before) = before.filter(|before| before.phase == now.phase) else {
        return Some(match now.phase {
            Phase::Member => format!("{at} is a member: {}", now.sentence()),
            Phase::Joining => format!("{at} looks for its place"),
            Phase::Leaving => format!("{at} says farewell"),
            Phase::Idle => format!("{at} is in no ring"),
        });
    };
    let list = (before.list != now.list)
        .then(|| format!("successors {} -> {}", numbers(&before.list), numbers(&now.list)));
    let predecessor = (before.predecessor != now.predecessor)
        .then(|| format!("predecessor {} -> {}", or_none(before.predecessor), or_none(now.predecessor)));
    let parts: Vec<String> = list.into_iter().chain(predecessor).collect();
    (!parts.is_empty()).then(|| format!("{at}: {}", parts.join(", ")))
}

/// Every node, and what the ring is as a whole.
pub(super) fn ring(cluster: &Cluster) -> Vec<String> {
    let rings = Rings::of(cluster);
    let principals = cluster.oracle().principals();
    let mut nodes: Vec<&Node> = cluster.nodes().collect();
    nodes.sort_by_key(|node| node.view().me().position);
    let row = |node: &&Node| {
        let view = node.view();
        let list = view.successors().as_slice().iter().map(|peer| marked(cluster, peer));
        let list = list.collect::<Vec<_>>().join(" ");
        let before = view.predecessor().map_or_else(|| "none".to_owned(), |peer| marked(cluster, peer));
        let is_principal = principals.contains(&view.me().position);
        vec![
            number(view.me()).to_string(),
            if list.is_empty() { "none".to_owned() } else { list },
            before,
            place(cluster, view, &rings),
            if is_principal { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let has_dead = rows.iter().flatten().any(|cell| cell.contains('('));
    let mut lines = table(&["node", "successors", "predecessor", "place", "principal"], &rows);
    lines.push(summary(cluster, &rings));
    let asked = cluster.config().successors() + 1;
    lines.push(format!("{}; the proof asks for {asked}", counted(principals.len(), "principal")));
    if has_dead {
        lines.push("in brackets: answers nobody".to_owned());
    }
    lines
}

fn place(cluster: &Cluster, view: &View, rings: &Rings) -> String {
    let at = number(view.me());
    if cluster.frozen().contains(&view.me().name) {
        return "frozen".to_owned();
    }
    match (view.phase(), rings.places.get(&at)) {
        (Phase::Joining, _) => "joining".to_owned(),
        (Phase::Leaving, _) => "leaving".to_owned(),
        (_, Some(Place::Ring(idx))) if rings.n_rings > 1 => format!("ring {}", idx + 1),
        (_, Some(Place::Ring(_))) => "ring".to_owned(),
        (_, Some(Place::Appendage)) => "appendage".to_owned(),
        (_, Some(Place::Stranded) | None) => "stranded".to_owned(),
    }
}

/// A peer, in brackets if nobody is served there.
fn marked(cluster: &Cluster, peer: &Peer) -> String {
    let serves = cluster.named(&peer.name).is_some_and(|node| node.view().is_member())
        && !cluster.frozen().contains(&peer.name);
    let at = number(peer);
    if serves { at.to_string() } else { format!("({at})") }
}

/// What the ring is as a whole.
pub(super) fn summary_of(cluster: &Cluster) -> String {
    summary(cluster, &Rings::of(cluster))
}

fn summary(cluster: &Cluster, rings: &Rings) -> String {
    let oracle = cluster.oracle();
    let n_members = oracle.members().len();
    if cluster.is_ideal() {
        return format!("the ideal ring of {}", counted(n_members, "member"));
    }
    match oracle.ring() {
        Some(ring) if ring.len() == n_members => {
            format!("one ordered ring of {}, not ideal", counted(n_members, "member"))
        }
        Some(ring) => {
            let n_appendages = counted(n_members - ring.len(), "appendage");
            format!("one ordered ring of {} and {n_appendages}", counted(ring.len(), "member"))
        }
        None if rings.n_rings > 1 => format!("{} rings, apart from each other", rings.n_rings),
        None => "no ordered ring that everybody is connected to".to_owned(),
    }
}

/// The finger table of a node (TON 2003, figure 4).
pub(super) fn fingers(view: &View) -> Vec<String> {
    let me = number(view.me());
    let size = view.ring().size;
    let row = |entry: u16| {
        let start = size.finger_start(view.me().position, entry);
        let node = match view.finger(entry) {
            Some(peer) => number(peer).to_string(),
            None if view.owns(start) => me.to_string(),
            None => "unknown".to_owned(),
        };
        vec![format!("{me} + {}", 1_u64 << entry), start.to_string(), node]
    };
    let rows: Vec<Vec<String>> = (0..size.bits()).map(row).collect();
    table(&["finger", "start", "node"], &rows)
}

/// How a lookup ended.
pub(super) fn found(target: u64, found: &Result<Found, Failure>) -> String {
    match found {
        Ok(found) => {
            let path = found.path.iter().map(called).collect::<Vec<_>>().join(" -> ");
            let hops = counted(found.hops as usize, "hop");
            format!("{} owns {target}: {path}, {hops}", number(&found.owner))
        }
        Err(failure) => format!("no owner of {target} was found: {}", plain(&failure.to_string())),
    }
}

/// The messages that wait, by number.
pub(super) fn messages(cluster: &Cluster) -> Vec<String> {
    let can_arrive: Vec<usize> = cluster.deliverable().collect();
    let line = |(idx, message): (usize, &Message)| {
        let waits = if can_arrive.contains(&idx) { "" } else { ", when it thaws" };
        format!("{:>2}  {}{waits}", idx + 1, self::message(message))
    };
    if cluster.in_flight().is_empty() {
        return vec!["no message waits".to_owned()];
    }
    cluster.in_flight().iter().enumerate().map(line).collect()
}

/// One message.
pub(super) fn message(message: &Message) -> String {
    let (from, to) = (called(message.from()), called(message.to()));
    match message {
        Message::Request { request, .. } => match request {
            Request::Ping => format!("{from} asks {to} whether it is there"),
            Request::GetState => format!("{from} asks {to} for its neighbours"),
            Request::Notify { from: other } => {
                format!("{from} tells {to} that {} comes before it", number(other))
            }
            Request::ForgetPredecessor => format!("{from} tells {to} that it leaves"),
            Request::Leave { .. } => format!("{from} says farewell to {to}"),
            Request::FindSuccessor(question) => format!("{from} asks {to} who owns {}", question.target),
        },
        Message::Answer { answer: Err(failure), .. } => match failure {
            Failure::Unreachable => format!("{to} hears that nobody is at {from}"),
            Failure::Silent => format!("{to} waits for {from} in vain"),
            Failure::Refused(refusal) => format!("{from} refuses {to}: {}", plain(&refusal.to_string())),
            other => format!("{from} answers {to} in vain: {}", plain(&other.to_string())),
        },
        Message::Answer { answer: Ok(answer), .. } => match answer {
            Answer::Pong(pong) if pong.member => format!("{from} answers {to}: it is there"),
            Answer::Pong(_) => format!("{from} answers {to}: it is no member"),
            Answer::State(state) => {
                let list: Vec<u64> = state.successors.iter().map(number).collect();
                let before = or_none(state.predecessor.as_ref().map(number));
                format!("{from} answers {to}: successors {}, predecessor {before}", numbers(&list))
            }
            Answer::Done => format!("{from} has heard {to}"),
            Answer::Found(found) => format!("{from} answers {to}: {} does", number(&found.owner)),
        },
    }
}

/// What a node has reported, where that says more than its beliefs do.
pub(super) fn event(node: &NodeName, event: &Event) -> Option<String> {
    let node = called(node);
    match event {
        Event::Dropped(peer, failure) => Some(format!("{node} drops {}: {}", number(peer), why(failure))),
        Event::Merging(peer) => Some(format!("{node} has found {} again: their rings merge", number(peer))),
        Event::PositionTaken(peer) => Some(format!("{node} gives its position up to {}", number(peer))),
        Event::Violation { rule, .. } => Some(format!("DEFECT at {node}: {rule}")),
        _ => None,
    }
}

/// Why a node is dropped, as its neighbour has found.
fn why(failure: &Failure) -> String {
    match failure {
        Failure::Unreachable => "nobody is there".to_owned(),
        Failure::Silent => "it did not answer, twice".to_owned(),
        Failure::Refused(Refusal::NotMember) => "it is no member".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// What a node is called in a script.
pub(super) fn called(name: &NodeName) -> String {
    numbered::position(name).map_or_else(|| name.to_string(), |at| at.to_string())
}

/// A sentence of the protocol with its nodes called as in a script.
pub(super) fn plain(sentence: &str) -> String {
    let words = sentence.split(' ').map(|word| {
        let end = word.find([';', ',']).unwrap_or(word.len());
        let (word, mark) = word.split_at(end);
        let bare = word.strip_suffix(':').filter(|bare| bare.contains(':')).unwrap_or(word);
        let colon = &word[bare.len()..];
        let called = bare.parse().map_or_else(|_| bare.to_owned(), |name| called(&name));
        format!("{called}{colon}{mark}")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Numbers in a row.
pub(super) fn numbers(all: &[u64]) -> String {
    if all.is_empty() {
        return "none".to_owned();
    }
    all.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn or_none(at: Option<u64>) -> String {
    at.map_or_else(|| "none".to_owned(), |at| at.to_string())
}

/// `1 hop`, `2 hops`.
pub(super) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Columns under their names.
fn table(names: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |(idx, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(idx)).map(String::len);
        cells.chain([name.len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = names.iter().enumerate().map(width).collect();
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    [line(names)].into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbered::name;

    #[test]
    fn a_sentence_of_the_protocol_calls_its_nodes_by_their_numbers() {
        let sentence =
            format!("cannot join through {}: nobody answers; ask {}, or {}", name(3), name(4), name(5));
        assert_eq!(plain(&sentence), "cannot join through 3: nobody answers; ask 4, or 5");
        assert_eq!(plain("at 127.0.0.1:4567"), "at 127.0.0.1:4567");
    }
}
