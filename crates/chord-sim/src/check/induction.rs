//! Layer A: every state that satisfies the invariant, reachable or not, and every step from it once.
//!
//! The invariant speaks of successor lists only (TSE 2017, section IV), so a state is a list or nothing at each position,
//! and whatever a predecessor may be, a node may have learned it. What a step makes of a list is asked of the shipped
//! node, once for each list and each answer; then all states are gone through with what it said.

use std::ops::ControlFlow;

use chord_ring::{Purpose, Request};
use rustc_hash::FxHashMap;

use super::census::Census;
use super::facts::{Place, Set};
use super::global::Global;
use super::local::{EMPTY, Locals};
use super::property::Property;
use super::{Invariant, Progress};

/// How many states are gone through between two reports.
const REPORT_EVERY: usize = 1 << 14;

/// What was found.
pub(super) struct Induction {
    pub(super) states: usize,
    /// Turns of these states that have a principal at position 0.
    pub(super) anchored: usize,
    pub(super) steps: u64,
    pub(super) end: End,
}

/// How it ended.
pub(super) enum End {
    Complete,
    Stopped,
    /// From this state that step breaks a property, or the state itself does.
    Broken {
        property: Property,
        state: Global,
        step: Option<(String, Global)>,
    },
}

/// What each step makes of each list, by the shipped node. Lists go by the number of their local state.
struct Tables {
    /// Every list, and first of all the position where nothing is.
    all: Vec<u32>,
    /// A head, of that list, has answered.
    followed: FxHashMap<(u32, u32), u32>,
    /// A member so many positions on, of that list, has answered, which the head had named as its predecessor.
    adopted: FxHashMap<(u32, usize, u32), u32>,
    /// The head is dead.
    shortened: FxHashMap<u32, u32>,
    /// A newcomer has read that list of the member so many positions on.
    joined: FxHashMap<(usize, u32), u32>,
}

/// Goes through all states of that many positions.
pub(super) fn check(
    locals: &mut Locals,
    invariant: Invariant,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Induction {
    let tables = Tables::new(locals);
    let mut run = Run {
        locals,
        tables: &tables,
        invariant,
        progress,
        found: Induction { states: 0, anchored: 0, steps: 0, end: End::Complete },
    };
    let n_positions = run.locals.positions().len();
    // A run that was ended says so in its result.
    let _ = run.choose(&mut Global::empty(n_positions), 0, 0);
    run.found
}

struct Run<'a> {
    locals: &'a Locals,
    tables: &'a Tables,
    invariant: Invariant,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    found: Induction,
}

impl Run<'_> {
    /// Chooses what is at this position and all after it. `skipped` and empty are who is no principal any more.
    fn choose(&mut self, state: &mut Global, at: usize, out: Set) -> ControlFlow<()> {
        let n = state.len();
        let r = self.locals.positions().settings().successors();
        if self.invariant == Invariant::Proof && n - out.count_ones() as usize <= r {
            return ControlFlow::Continue(());
        }
        if at == n {
            return if state.canonical().1 == 0 && state.canonical().0 == *state {
                self.visit(state)
            } else {
                ControlFlow::Continue(())
            };
        }
        for local in &self.tables.all {
            state.put(at, *local);
            let adds = if *local == EMPTY { 1 << at } else { Census::new(self.locals, state).skipped_by(at) };
            self.choose(state, at + 1, out | adds)?;
        }
        state.put(at, EMPTY);
        ControlFlow::Continue(())
    }

    fn visit(&mut self, state: &Global) -> ControlFlow<()> {
        let census = Census::new(self.locals, state);
        let is_such = match self.invariant {
            Invariant::Proof => census.is_everybody_linked(0),
            Invariant::Obvious => are_lists_full(self.locals, state) && is_obviously_sound(&census),
        };
        if !is_such {
            return ControlFlow::Continue(());
        }
        self.found.states += 1;
        let turns = (1..=state.len()).find(|by| state.turned(*by % state.len()) == *state).unwrap_or(1);
        self.found.anchored += census.principals(0).count_ones() as usize * turns / state.len();
        if self.found.states.is_multiple_of(REPORT_EVERY) {
            let report = Progress { states: self.found.states, explored: self.found.states, repaired: 0 };
            if (self.progress)(report).is_break() {
                self.found.end = End::Stopped;
                return ControlFlow::Break(());
            }
        }
        let ring = census.ring();
        let follows = self.invariant == Invariant::Proof;
        if follows && ring.is_none_or(|ring| census.principals(0) & !ring != 0) {
            let property = if ring.is_none() { Property::OneRing } else { Property::PrincipalsInRing };
            self.found.end = End::Broken { property, state: *state, step: None };
            return ControlFlow::Break(());
        }
        (0..state.len()).try_for_each(|at| self.steps_of(state, at))
    }

    fn steps_of(&mut self, state: &Global, at: usize) -> ControlFlow<()> {
        let local = state.at(at);
        let n = state.len();
        let others = (1..n).map(|steps| (steps, state.at(state.on(at, steps))));
        if local == EMPTY {
            for (steps, other) in others {
                if let Some(after) = self.tables.joined.get(&(steps, other)) {
                    self.step(state, at, *after, || format!("join {at} after {}", (at + steps) % n))?;
                }
            }
            return ControlFlow::Continue(());
        }
        for (steps, other) in others {
            let is_head =
                self.locals.facts(local).list.first().is_some_and(|head| usize::from(*head) == steps);
            let peer = (at + steps) % n;
            let after = if is_head && other == EMPTY {
                self.tables.shortened.get(&local)
            } else if is_head {
                self.tables.followed.get(&(local, other))
            } else {
                self.tables.adopted.get(&(local, steps, other))
            };
            if let Some(after) = after {
                self.step(state, at, *after, || format!("{at} stabilizes: asks {peer}"))?;
            }
        }
        let census = Census::new(self.locals, state);
        let r = self.locals.positions().settings().successors();
        let has_minimum = census.principals(1 << at).count_ones() as usize > r;
        if (has_minimum || self.invariant == Invariant::Obvious) && census.is_everybody_linked(1 << at) {
            self.step(state, at, EMPTY, || format!("fail {at}"))?;
        }
        ControlFlow::Continue(())
    }

    fn step(&mut self, state: &Global, at: usize, after: u32, told: impl Fn() -> String) -> ControlFlow<()> {
        self.found.steps += 1;
        let mut next = *state;
        next.put(at, after);
        let (before, census) = (Census::new(self.locals, state), Census::new(self.locals, &next));
        let lost: Set = if after == EMPTY { 1 << at } else { 0 };
        let principals = census.principals(0);
        if self.invariant == Invariant::Obvious {
            return self.obvious_step(state, &next, told);
        }
        let property = if before.principals(0) & !lost & !principals != 0 {
            Property::Demoted
        } else if principals.count_ones() as usize <= self.locals.positions().settings().successors() {
            Property::Principals
        } else if !census.is_everybody_linked(0) {
            Property::Linked
        } else if let Some(rule) = census.broken() {
            Property::LocalRule(rule)
        } else {
            return ControlFlow::Continue(());
        };
        self.found.end = End::Broken { property, state: *state, step: Some((told(), next)) };
        ControlFlow::Break(())
    }

    fn obvious_step(&mut self, state: &Global, next: &Global, told: impl Fn() -> String) -> ControlFlow<()> {
        let census = Census::new(self.locals, next);
        if census.members() == 0 || is_obviously_sound(&census) {
            return ControlFlow::Continue(());
        }
        let property = if census.is_everybody_linked(0) { Property::OneRing } else { Property::Linked };
        self.found.end = End::Broken { property, state: *state, step: Some((told(), *next)) };
        ControlFlow::Break(())
    }
}

/// Whether every list has r entries: then it is no news that a short one breaks.
fn are_lists_full(locals: &Locals, state: &Global) -> bool {
    let r = locals.positions().settings().successors();
    state.places().iter().all(|local| *local == EMPTY || locals.facts(*local).list.len() == r)
}

/// Whether a ring has what everybody thought enough. Lists are in order, or there would be no such list.
fn is_obviously_sound(census: &Census<'_>) -> bool {
    census.members() != 0 && census.is_everybody_linked(0) && census.ring().is_some()
}

impl Tables {
    fn new(locals: &mut Locals) -> Self {
        let mut tables = Self {
            all: vec![EMPTY],
            followed: FxHashMap::default(),
            adopted: FxHashMap::default(),
            shortened: FxHashMap::default(),
            joined: FxHashMap::default(),
        };
        let n = locals.positions().len();
        let lists = lists(n, locals.positions().settings().successors());
        let members: Vec<(u32, Vec<usize>)> =
            lists.into_iter().map(|list| (locals.member(None, &list), list)).collect();
        tables.all.extend(members.iter().map(|(local, _)| *local));
        for (local, list) in &members {
            tables.shortened.extend(shortened(locals, *local).map(|after| (*local, after)));
            for steps in 1..n {
                for (other, _) in &members {
                    if steps == list[0] {
                        let after = answered(locals, *local, *other, steps);
                        tables.followed.insert((*local, *other), after);
                    } else if let Some(asks) = asking_closer(locals, *local, list, steps) {
                        let after = answered(locals, asks, *other, steps);
                        tables.adopted.insert((*local, steps, *other), after);
                    }
                }
            }
        }
        for steps in 1..n {
            for (other, _) in &members {
                let asks = locals.join(EMPTY, steps);
                let after = heard(locals, asks, *other, steps);
                let after = plain(locals, after);
                if locals.facts(after).place == Place::Member {
                    tables.joined.insert((steps, *other), after);
                }
            }
        }
        tables
    }
}

/// Every list of 1 to r entries in the order of the ring.
fn lists(n_positions: usize, successors: usize) -> Vec<Vec<usize>> {
    let all = (1_usize..1 << (n_positions - 1)).map(|set| {
        let entries = (1..n_positions).filter(move |steps| set >> (steps - 1) & 1 == 1);
        entries.collect::<Vec<_>>()
    });
    all.filter(|list| list.len() <= successors).collect()
}

/// A node of this state begins a round, and hears from its head, which has that list; without what it does next.
fn answered(locals: &mut Locals, local: u32, other: u32, steps: usize) -> u32 {
    let asks = if locals.facts(local).open.is_empty() { locals.maintain(local) } else { local };
    let after = heard(locals, asks, other, steps);
    plain(locals, after)
}

fn heard(locals: &mut Locals, asks: u32, other: u32, steps: usize) -> u32 {
    let request = locals.request_number(Request::GetState);
    let (_, answer) = locals.serve(other, request, steps);
    let taken = locals.take(asks, Purpose::Ring, answer);
    locals.hear(taken, Purpose::Ring)
}

/// A node of this state that finds its head dead.
fn shortened(locals: &mut Locals, local: u32) -> Option<u32> {
    let asks = locals.maintain(local);
    let answer = locals.nobody_there();
    let taken = locals.take(asks, Purpose::Ring, answer);
    let after = locals.hear(taken, Purpose::Ring);
    let after = plain(locals, after);
    (!locals.facts(after).list.is_empty()).then_some(after)
}

/// A node of this state, told by its head of a predecessor `steps` positions on, if it asks that one.
fn asking_closer(locals: &mut Locals, local: u32, list: &[usize], steps: usize) -> Option<u32> {
    let n = locals.positions().len();
    let (head, rest) = list.split_first()?;
    let rest: Vec<usize> = rest.iter().map(|entry| (entry + n - head) % n).collect();
    let predecessor = (steps + n - head) % n;
    // The head's list is the rest of the node's own, so that only the predecessor is news.
    let head_local = locals.member((predecessor != 0).then_some(predecessor), &rest);
    let asks = locals.maintain(local);
    let after = heard(locals, asks, head_local, *head);
    let is_asked = locals.asks(after, Purpose::Ring, steps);
    is_asked.then_some(after)
}

/// The list alone: the state of [`Tables::all`] that has it.
fn plain(locals: &mut Locals, local: u32) -> u32 {
    let facts = locals.facts(local);
    if facts.place != Place::Member {
        return EMPTY;
    }
    let (list, broken) =
        (facts.list.iter().map(|steps| usize::from(*steps)).collect::<Vec<_>>(), facts.broken);
    if broken.is_some() { local } else { locals.member(None, &list) }
}
