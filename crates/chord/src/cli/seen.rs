//! The whole ring as one node shows it: each node's own answer, and what follows from all of them together.

pub(crate) mod health;

use std::collections::{BTreeMap, BTreeSet};

use chord::seen::{PICTURE_NODES_MAX, PictureRead, ReportBody, RingBody, RingEvent, SeenAs, SeenBody};
use chord::{Position, RingSize};

/// The ring at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) size: RingSize,
    pub(crate) at_ms: u64,
    pub(crate) seen_by: String,
    pub(crate) left_out: u64,
    pub(crate) has_asked_all: bool,
    nodes: BTreeMap<String, Place>,
    common: Common,
}

/// What the names of all nodes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Common {
    Nothing,
    Host,
    Port,
}

/// A node, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) seen: SeenBody,
    pub(crate) position: Position,
    /// The same as a part of the circle.
    pub(crate) turn: f64,
}

/// Whom a belief is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Successor,
    Predecessor,
}

/// What a node believes of who is next to it.
#[derive(Clone, Debug)]
pub(crate) struct Belief<'a> {
    pub(crate) side: Side,
    pub(crate) of: &'a str,
    pub(crate) about: &'a str,
    /// Whom that one names on the other side, if it tells.
    pub(crate) says: Option<&'a str>,
}

/// A part of the ring between two positions that some range begins or ends with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arc {
    /// Parts of the circle: behind the one, up to the other.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// How many nodes answer for it.
    pub(crate) owners: usize,
    /// Whether all of these have all of it.
    pub(crate) is_complete: bool,
}

/// How a node is, in one word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    NotReady,
    /// It answers for positions of which it may not have everything.
    Incomplete,
    Disagrees,
    NoMember,
    Absent(SeenAs),
}

impl Ring {
    /// A ring of which nothing is seen yet.
    pub(crate) fn new(size: RingSize) -> Self {
        let (at_ms, left_out) = (0, 0);
        let (seen_by, nodes, common) = (String::new(), BTreeMap::new(), Common::Nothing);
        Self { size, at_ms, seen_by, left_out, has_asked_all: false, nodes, common }
    }

    /// Takes what a node shows.
    pub(crate) fn take(&mut self, event: RingEvent) {
        let picture = match event {
            RingEvent::Ring(picture) => {
                self.nodes.clear();
                picture
            }
            RingEvent::Changes(picture) => picture,
        };
        let PictureRead { seen_by, at_ms, nodes, gone, left_out, has_asked_all } = picture;
        for name in gone {
            self.nodes.remove(&name);
        }
        for seen in nodes {
            // A node that makes changes up adds no more than fits into a picture.
            if self.nodes.len() < PICTURE_NODES_MAX || self.nodes.contains_key(&seen.node) {
                self.nodes.insert(seen.node.clone(), Place::of(seen, self.size));
            }
        }
        (self.at_ms, self.seen_by) = (at_ms, seen_by);
        (self.left_out, self.has_asked_all) = (left_out, has_asked_all);
        self.common = self.common();
    }

    /// All nodes in the order of the ring.
    pub(crate) fn order(&self) -> Vec<&Place> {
        let mut order: Vec<_> = self.nodes.values().collect();
        order.sort_by_key(|place| place.position);
        order
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Place> {
        self.nodes.get(name)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&Place, &ReportBody)> {
        self.order().into_iter().filter_map(|place| Some((place, place.member()?)))
    }

    /// Those of its beliefs about who is next that the other one does not share.
    pub(crate) fn torn(&self) -> Vec<Belief<'_>> {
        self.order().into_iter().flat_map(|place| self.beliefs(place)).filter(|b| !b.is_agreed()).collect()
    }

    fn beliefs<'a>(&'a self, place: &'a Place) -> Vec<Belief<'a>> {
        let Some(ring) = place.member().map(|report| &report.ring) else { return Vec::new() };
        let of = place.name();
        let sides = [(Side::Successor, successor(ring)), (Side::Predecessor, predecessor(ring))];
        let about = |(side, about): (Side, Option<&'a str>)| {
            let about = about.filter(|about| *about != of)?;
            let other = self.node(about).and_then(Place::member).map(|report| &report.ring);
            let says = other.and_then(|ring| match side {
                Side::Successor => predecessor(ring),
                Side::Predecessor => successor(ring),
            });
            Some(Belief { side, of, about, says })
        };
        sides.into_iter().filter_map(about).collect()
    }

    /// The circle, divided where ranges begin or end.
    pub(crate) fn arcs(&self) -> Vec<Arc> {
        let ranges: Vec<_> = self
            .members()
            .filter_map(|(place, report)| {
                let range = report.ring.range.as_ref()?;
                Some((range.after.parse::<Position>().ok()?, place.position, range.is_complete))
            })
            .collect();
        let cuts: BTreeSet<Position> = ranges.iter().flat_map(|(after, up_to, _)| [*after, *up_to]).collect();
        let cuts: Vec<Position> = cuts.into_iter().collect();
        let place = |position: &Position| cuts.binary_search(position).unwrap_or_default();
        // How many more, or fewer, answer for the arc behind each cut than for the one before it.
        let (mut turns, mut over_zero) = (vec![(0_isize, 0_isize); cuts.len()], (0, 0));
        for (after, up_to, is_complete) in &ranges {
            let (from, to, lacks) = (place(after), place(up_to), isize::from(!is_complete));
            for (idx, by) in [(from, 1), (to, -1)] {
                if let Some((owners, lacking)) = turns.get_mut(idx) {
                    (*owners, *lacking) = (*owners + by, *lacking + by * lacks);
                }
            }
            if from >= to {
                over_zero = (over_zero.0 + 1, over_zero.1 + lacks);
            }
        }
        let mut here = over_zero;
        let ends = cuts.iter().skip(1).chain(cuts.first());
        let arcs = cuts.iter().zip(ends).zip(turns);
        let arcs = arcs.map(|((from, to), (owners, lacking))| {
            here = (here.0 + owners, here.1 + lacking);
            let (from, to) = (self.turn(*from), self.turn(*to));
            Arc { from, to, owners: usize::try_from(here.0).unwrap_or(0), is_complete: here.1 <= 0 }
        });
        arcs.collect()
    }

    /// Those parts of the ring for which nobody answers, or several do.
    pub(crate) fn claims(&self) -> Vec<Arc> {
        self.arcs().into_iter().filter(|arc| arc.owners != 1).collect()
    }

    /// Into how many rings the nodes fall when one follows successors.
    pub(crate) fn n_cycles(&self) -> usize {
        let mut seen_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut n_cycles = 0;
        for (place, _) in self.members() {
            let (start, mut name) = (place.name(), place.name());
            while let Some(ring) = self.node(name).and_then(Place::member).map(|report| &report.ring)
                && !seen_from.contains_key(name)
            {
                seen_from.insert(name, start);
                name = successor(ring).unwrap_or(name);
            }
            n_cycles += usize::from(seen_from.get(name) == Some(&start));
        }
        n_cycles
    }

    pub(crate) fn copies_missing(&self) -> u64 {
        self.members().fold(0, |sum, (_, report)| report.copies_missing.saturating_add(sum))
    }

    pub(crate) fn records(&self) -> u64 {
        self.members().fold(0, |sum, (_, report)| report.records.saturating_add(sum))
    }

    pub(crate) fn n_absent(&self) -> usize {
        self.nodes.values().filter(|place| place.report().is_none()).count()
    }

    pub(crate) fn state(&self, place: &Place) -> State {
        let Some(report) = place.report() else { return State::Absent(place.seen.answer) };
        let is_complete = report.ring.range.as_ref().is_none_or(|range| range.is_complete);
        if !report.ring.is_member {
            State::NoMember
        } else if self.beliefs(place).iter().any(|belief| !belief.is_agreed()) {
            State::Disagrees
        } else if !is_complete {
            State::Incomplete
        } else if report.ring.is_ready {
            State::Ready
        } else {
            State::NotReady
        }
    }

    /// A name without what it has in common with all others, where that leaves something to read.
    pub(crate) fn label<'a>(&self, name: &'a str) -> &'a str {
        let any = self.nodes.keys().next().and_then(|name| name.rsplit_once(':'));
        // A node may name one that is not seen, and has nothing in common with those that are.
        match (name.rsplit_once(':'), any, self.common) {
            (Some((host, port)), Some((common, _)), Common::Host) if host == common => port,
            (Some((host, port)), Some((_, common)), Common::Port) if port == common => host,
            _ => name,
        }
    }

    fn common(&self) -> Common {
        let mut parts = self.nodes.keys().filter_map(|name| name.rsplit_once(':'));
        let Some((host, port)) = parts.next().filter(|_| self.nodes.len() > 1) else {
            return Common::Nothing;
        };
        let (mut is_host, mut is_port) = (true, true);
        for (other_host, other_port) in parts {
            (is_host, is_port) = (is_host && other_host == host, is_port && other_port == port);
        }
        match (is_host, is_port) {
            (true, _) => Common::Host,
            (false, true) => Common::Port,
            (false, false) => Common::Nothing,
        }
    }

    /// Which part of the circle lies before a position.
    fn turn(&self, position: Position) -> f64 {
        self.size.fraction(position)
    }
}

impl Place {
    fn of(seen: SeenBody, size: RingSize) -> Self {
        let position = seen.position.parse().unwrap_or(Position::ZERO);
        Self { seen, position, turn: size.fraction(position) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.seen.node
    }

    /// What it told of itself, if it answered.
    pub(crate) fn report(&self) -> Option<&ReportBody> {
        self.seen.report.as_ref().filter(|_| self.seen.answer == SeenAs::Answered)
    }

    /// The same, if it is in a ring.
    pub(crate) fn member(&self) -> Option<&ReportBody> {
        self.report().filter(|report| report.ring.is_member)
    }
}

impl Belief<'_> {
    pub(crate) fn is_agreed(&self) -> bool {
        self.says == Some(self.of)
    }
}

impl State {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Incomplete => "incomplete",
            Self::Disagrees => "disagrees",
            Self::NoMember => "no member",
            Self::Absent(SeenAs::Answered) => "answers",
            Self::Absent(SeenAs::Unreachable) => "unreachable",
            Self::Absent(SeenAs::Silent) => "silent",
            Self::Absent(SeenAs::Garbled) => "garbled",
            Self::Absent(SeenAs::OtherRing) => "other ring",
            Self::Absent(SeenAs::OtherProgram) => "other program",
        }
    }
}

pub(crate) fn successor(ring: &RingBody) -> Option<&str> {
    ring.successors.first().map(|peer| peer.node.as_str())
}

pub(crate) fn predecessor(ring: &RingBody) -> Option<&str> {
    ring.predecessor.as_ref().map(|peer| peer.node.as_str())
}

/// From one part of the circle clockwise to another: more than 0, up to 1.
pub(crate) fn sweep(from: f64, to: f64) -> f64 {
    let way = to - from;
    if way > 0.0 { way } else { way + 1.0 }
}

#[cfg(test)]
pub(crate) mod tests;
