//! What follows from all that nodes say of themselves, each by its own word: who believes what of whom, which parts of the
//! ring nobody answers for, and how the ring is.

mod found;
mod health;
mod unheard;
mod untold;

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{Position, RingSize};

use super::body::RingBody;
use super::live::{SeenAs, SeenBody};
use super::report::ReportBody;

pub use found::*;
pub use health::*;

/// Records, or copies, that one node's word counts for at most: more than it could have, and so few that one that makes numbers up
/// does not fill a sum, behind which nobody else's would be seen.
pub const SAID_MAX: u64 = 1 << 32;

/// The nodes of a picture, where they stand, and what each says.
#[derive(Clone, Debug)]
pub struct Sight {
    size: RingSize,
    nodes: BTreeMap<String, SeenPlace>,
}

/// A node, and where it is.
#[derive(Clone, Debug)]
pub struct SeenPlace {
    /// The node, and what came of asking it.
    pub seen: SeenBody,
    /// Its position.
    pub position: Position,
    /// The same as a part of the circle, from 0 to 1.
    pub turn: f64,
    /// Whether it has ever told of itself since it is in sight.
    was_heard: bool,
}

/// Whom a belief is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The next node.
    Successor,
    /// The one before.
    Predecessor,
}

/// What a node believes of who is next to it.
#[derive(Clone, Debug)]
pub struct Belief<'a> {
    /// Whom it takes that one for.
    pub side: Side,
    /// Who believes it.
    pub of: &'a str,
    /// Whom it is about.
    pub about: &'a str,
    /// Whom that one names on the other side, if it tells.
    pub says: Option<&'a str>,
    /// Whether that is known: one of another program cannot tell, and one for which there was no room is not seen.
    pub is_known: bool,
}

/// A part of the ring between two positions that some range begins or ends with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arc {
    /// Behind this part of the circle,
    pub from: f64,
    /// up to this one.
    pub to: f64,
    /// How many nodes answer for it, by their own word.
    pub owners: usize,
    /// Whether there is no further one that may do so, and cannot tell.
    pub is_known: bool,
    /// Whether all of these have all of it.
    pub is_complete: bool,
}

/// How a node is, in one word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is lacking, here or elsewhere.
    Ready,
    /// It says why.
    NotReady,
    /// It answers for positions of which it may not have everything.
    Incomplete,
    /// A neighbour does not name it.
    Disagrees,
    /// It is in no ring.
    NoMember,
    /// It has left in good order.
    Left,
    /// It did not tell of itself.
    Absent(SeenAs),
}

impl Sight {
    /// A ring of that size, of which nothing is seen yet.
    pub fn new(size: RingSize) -> Self {
        Self { size, nodes: BTreeMap::new() }
    }

    /// How large the ring is.
    pub fn size(&self) -> RingSize {
        self.size
    }

    /// Puts a node in, or what it says now in place of what it said.
    pub fn take(&mut self, seen: SeenBody) {
        let mut place = SeenPlace::of(seen, self.size);
        place.was_heard |= self.nodes.get(place.name()).is_some_and(|before| before.was_heard);
        self.nodes.insert(place.name().to_owned(), place);
    }

    /// Takes a node out.
    pub fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Takes all nodes out.
    pub fn clear(&mut self) {
        self.nodes.clear();
    }

    /// How many nodes there are, whether they answer or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// All nodes in the order of the ring.
    pub fn order(&self) -> Vec<&SeenPlace> {
        let mut order: Vec<_> = self.nodes.values().collect();
        order.sort_by_key(|place| place.position);
        order
    }

    /// Whether a node has left in good order, by the word of the members on either side of its place: they were its neighbours,
    /// and would know if it were back.
    pub fn has_left(&self, name: &str, at: Position) -> bool {
        let distance = |place: &SeenPlace| self.size.distance(at, place.position);
        let others = || self.members().filter(|(place, _)| place.name() != name);
        let behind = others().min_by_key(|(place, _)| distance(place));
        let before = others().max_by_key(|(place, _)| distance(place));
        let says_so = |(_, report): (_, &ReportBody)| report.departed.iter().any(|departed| departed == name);
        behind.is_some_and(says_so) || before.is_some_and(says_so)
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&SeenPlace> {
        self.nodes.get(name)
    }

    /// Those that are in a ring, and what they say.
    pub fn members(&self) -> impl Iterator<Item = (&SeenPlace, &ReportBody)> {
        self.order().into_iter().filter_map(|place| Some((place, place.member()?)))
    }

    /// Those of its beliefs about who is next that the other one does not share.
    pub fn torn(&self) -> Vec<Belief<'_>> {
        self.order().into_iter().flat_map(|place| self.beliefs(place)).filter(Belief::is_torn).collect()
    }

    /// Whom members take for those next to them.
    fn neighbours(&self) -> BTreeSet<&str> {
        self.members()
            .flat_map(|(_, report)| successor(&report.ring).into_iter().chain(predecessor(&report.ring)))
            .collect()
    }

    fn beliefs<'a>(&'a self, place: &'a SeenPlace) -> Vec<Belief<'a>> {
        let Some(ring) = place.member().map(|report| &report.ring) else { return Vec::new() };
        let of = place.name();
        let sides = [(Side::Successor, successor(ring)), (Side::Predecessor, predecessor(ring))];
        let about = |(side, about): (Side, Option<&'a str>)| {
            let about = about.filter(|about| *about != of)?;
            let other = self.node(about).and_then(SeenPlace::member).map(|report| &report.ring);
            let says = other.and_then(|ring| match side {
                Side::Successor => predecessor(ring),
                Side::Predecessor => successor(ring),
            });
            let is_known = self.is_known(side, place, about);
            Some(Belief { side, of, about, says, is_known })
        };
        sides.into_iter().filter_map(about).collect()
    }

    /// The circle, divided where ranges begin or end.
    pub fn arcs(&self) -> Vec<Arc> {
        let told = self.members().filter_map(|(place, report)| {
            let range = report.ring.range.as_ref()?;
            let counts = Counts { owners: 1, lacking: isize::from(!range.is_complete), untold: 0 };
            Some((range.after.parse::<Position>().ok()?, place.position, counts))
        });
        let untold = self.untold_ranges().into_iter();
        let untold = untold.map(|(after, up_to)| (after, up_to, Counts { untold: 1, ..Counts::default() }));
        let ranges: Vec<_> = told.chain(untold).collect();
        let cuts: BTreeSet<Position> = ranges.iter().flat_map(|(after, up_to, _)| [*after, *up_to]).collect();
        let cuts: Vec<Position> = cuts.into_iter().collect();
        let place = |position: &Position| cuts.binary_search(position).unwrap_or_default();
        // How many more, or fewer, answer for the arc behind each cut than for the one before it.
        let (mut turns, mut here) = (vec![Counts::default(); cuts.len()], Counts::default());
        for (after, up_to, counts) in &ranges {
            let (from, to) = (place(after), place(up_to));
            for (idx, times) in [(from, 1), (to, -1)] {
                if let Some(turn) = turns.get_mut(idx) {
                    turn.add(counts, times);
                }
            }
            if from >= to {
                here.add(counts, 1); // It goes over zero.
            }
        }
        let ends = cuts.iter().skip(1).chain(cuts.first());
        let arcs = cuts.iter().zip(ends).zip(turns);
        let arcs = arcs.map(|((from, to), turn)| {
            here.add(&turn, 1);
            let (from, to) = (self.size.fraction(*from), self.size.fraction(*to));
            let owners = usize::try_from(here.owners).unwrap_or(0);
            Arc { from, to, owners, is_known: here.untold <= 0, is_complete: here.lacking <= 0 }
        });
        arcs.collect()
    }

    /// Those parts of the ring for which nobody answers, or several do. What cannot be known is none.
    pub fn claims(&self) -> Vec<Arc> {
        self.arcs().into_iter().filter(Arc::is_claim).collect()
    }

    /// Into how many rings the nodes fall when one follows successors.
    pub fn n_cycles(&self) -> usize {
        self.cycles().len()
    }

    /// The rings into which the nodes fall when one follows successors, each in that order; behind one that cannot tell comes
    /// whoever says so.
    pub fn cycles(&self) -> Vec<Vec<&str>> {
        let untold = self.behind_untold();
        let next = |name: &str| match self.node(name)?.member() {
            Some(report) => successor(&report.ring).or(Some(self.node(name)?.name())),
            None => untold.get(name).copied(),
        };
        let mut seen_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut cycles = Vec::new();
        for (place, _) in self.members() {
            let (start, mut name, mut path) = (place.name(), place.name(), Vec::new());
            while !seen_from.contains_key(name)
                && let Some(behind) = next(name)
            {
                seen_from.insert(name, start);
                path.push(name);
                name = behind;
            }
            if seen_from.get(name) == Some(&start) {
                // Those before it only lead there.
                cycles.push(path.into_iter().skip_while(|before| *before != name).collect());
            }
        }
        cycles
    }

    /// Copies that are missing, at most.
    pub fn copies_missing(&self) -> u64 {
        self.members().fold(0, |sum, (_, report)| sum.saturating_add(report.copies_missing.min(SAID_MAX)))
    }

    /// Records of all members.
    pub fn records(&self) -> u64 {
        self.members().fold(0, |sum, (_, report)| sum.saturating_add(report.records.min(SAID_MAX)))
    }

    /// How many nodes do not answer as they should. One of another program answers as it can, and a name that one node alone has
    /// said is perhaps none.
    pub fn n_absent(&self) -> usize {
        let unheard = self.unheard();
        let is_absent = |place: &&SeenPlace| {
            place.report().is_none()
                && !place.is_of_another_program()
                && !place.seen.has_left
                && !unheard.contains_key(place.name())
        };
        self.nodes.values().filter(is_absent).count()
    }

    /// How a node is.
    pub fn state(&self, place: &SeenPlace) -> State {
        let Some(report) = place.report() else {
            return if place.seen.has_left { State::Left } else { State::Absent(place.seen.answer) };
        };
        let is_complete = report.ring.range.as_ref().is_none_or(|range| range.is_complete);
        if !report.ring.is_member {
            State::NoMember
        } else if self.beliefs(place).iter().any(Belief::is_torn) {
            State::Disagrees
        } else if !is_complete {
            State::Incomplete
        } else if report.ring.is_ready {
            State::Ready
        } else {
            State::NotReady
        }
    }
}

impl SeenPlace {
    fn of(seen: SeenBody, size: RingSize) -> Self {
        let position = seen.position.parse().unwrap_or(Position::ZERO);
        let was_heard = seen.was_heard || (seen.answer == SeenAs::Answered && seen.report.is_some());
        Self { seen, position, turn: size.fraction(position), was_heard }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.seen.node
    }

    /// What it told of itself, if it answered.
    pub fn report(&self) -> Option<&ReportBody> {
        self.seen.report.as_ref().filter(|_| self.seen.answer == SeenAs::Answered)
    }

    /// The same, if it is in a ring.
    pub fn member(&self) -> Option<&ReportBody> {
        self.report().filter(|report| report.ring.is_member)
    }

    /// Whether it answers, and what it believes and does is not known.
    fn is_untold(&self) -> bool {
        matches!(self.seen.answer, SeenAs::OtherProgram | SeenAs::Garbled)
    }

    /// Whether it answers and cannot tell of itself.
    pub fn is_of_another_program(&self) -> bool {
        self.seen.answer == SeenAs::OtherProgram
    }
}

impl Arc {
    /// Whether it is known that nobody answers for it, or several do.
    pub fn is_claim(&self) -> bool {
        self.owners > 1 || (self.owners == 0 && self.is_known)
    }
}

impl Belief<'_> {
    /// Whether the other one shares it.
    pub fn is_agreed(&self) -> bool {
        self.says == Some(self.of)
    }

    /// Whether it is known that the other one does not share it.
    pub fn is_torn(&self) -> bool {
        self.is_known && !self.is_agreed()
    }
}

/// How many say what of an arc.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    owners: isize,
    lacking: isize,
    untold: isize,
}

impl Counts {
    fn add(&mut self, more: &Self, times: isize) {
        self.owners += more.owners * times;
        self.lacking += more.lacking * times;
        self.untold += more.untold * times;
    }
}

impl State {
    /// For people and for programs.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Incomplete => "incomplete",
            Self::Disagrees => "disagrees",
            Self::NoMember => "no member",
            Self::Left => "left",
            Self::Absent(SeenAs::Answered) => "answers",
            Self::Absent(SeenAs::Unreachable) => "unreachable",
            Self::Absent(SeenAs::Silent) => "silent",
            Self::Absent(SeenAs::Garbled) => "garbled",
            Self::Absent(SeenAs::OtherRing) => "other ring",
            Self::Absent(SeenAs::OtherProgram) => "other program",
        }
    }
}

/// Whom a node takes for its successor.
pub fn successor(ring: &RingBody) -> Option<&str> {
    ring.successors.first().map(|peer| peer.node.as_str())
}

/// Whom a node takes for its predecessor.
pub fn predecessor(ring: &RingBody) -> Option<&str> {
    ring.predecessor.as_ref().map(|peer| peer.node.as_str())
}
