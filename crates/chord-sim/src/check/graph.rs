//! All states that a ring can come to, and how it repairs itself from each of them.

use std::ops::ControlFlow;

use super::census::Census;
use super::facts::Set;
use super::global::Global;
use super::property::Property;
use super::store::Store;
use super::world::{Event, World};
use super::{Progress, STATES_MAX};

/// How many states are explored between two reports.
const REPORT_EVERY: usize = 1 << 14;

/// The states met, and the steps of repair between them.
pub(super) struct Graph {
    pub(super) store: Store,
    /// From which place on the repairs of each state are; one more at the end.
    begins: Vec<usize>,
    repairs: Vec<u32>,
    /// The principals, by state.
    principals: Vec<Set>,
    /// Whether nothing is left to do, by state.
    is_goal: Vec<bool>,
    pub(super) n_steps: u64,
    /// Steps from a start to the state that is farthest from all.
    pub(super) depth: u32,
    pub(super) end: End,
}

/// Why an exploration ended.
pub(super) enum End {
    /// Nothing new was left.
    Complete,
    /// Whoever watches it wanted it to, or it would have become too large.
    Stopped,
    /// This is broken in the state of this number, or by this step from it.
    Broken { property: Property, state: u32, step: Option<Event> },
}

/// What holds of all ways of repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Every way ends, in a goal; the longest takes so many steps that change something.
    Ends { steps_max: u32 },
    /// Ways may go round, but from every state they lead to a goal that is never left.
    Leads,
    /// From this state no goal is reached that is kept.
    Fails(u32),
}

/// A state and its principals, which many properties ask for.
pub(super) struct Seen<'a> {
    pub(super) state: &'a Global,
    pub(super) principals: Set,
}

/// What a run is to hold.
pub(super) trait Judge {
    /// The property that this state breaks.
    fn state(&self, world: &World, state: &Seen<'_>) -> Option<Property>;
    /// The property that this step breaks.
    fn step(&self, world: &World, before: &Seen<'_>, event: Event, after: &Seen<'_>) -> Option<Property>;
    /// Whether repair is done.
    fn is_goal(&self, world: &World, state: &Global) -> bool;
}

impl Graph {
    /// Explores all that can come of these states, the nearest first.
    pub(super) fn explore(
        world: &mut World,
        starts: &[Global],
        judge: &dyn Judge,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Self {
        let mut graph = Self {
            store: Store::new(starts.first().map_or(1, Global::len)),
            begins: vec![0],
            repairs: Vec::new(),
            principals: Vec::new(),
            is_goal: Vec::new(),
            n_steps: 0,
            depth: 0,
            end: End::Complete,
        };
        for start in starts {
            let (start, _) = start.canonical();
            if let ControlFlow::Break(()) = graph.meet(world, judge, &start, None) {
                return graph;
            }
        }
        let mut steps = Vec::new();
        let mut level_end = graph.store.len();
        let mut explored = 0;
        while explored < graph.store.len() {
            if explored == level_end {
                level_end = graph.store.len();
                graph.depth += 1;
            }
            if explored % REPORT_EVERY == 0 {
                let report = Progress { states: graph.store.len(), explored };
                if progress(report).is_break() || graph.store.len() > STATES_MAX {
                    graph.end = End::Stopped;
                    return graph;
                }
            }
            let number = u32::try_from(explored).expect("the store has fewer");
            if let ControlFlow::Break(()) = graph.expand(world, judge, number, &mut steps) {
                return graph;
            }
            explored += 1;
        }
        graph
    }

    fn expand(
        &mut self,
        world: &mut World,
        judge: &dyn Judge,
        number: u32,
        steps: &mut Vec<(Event, Global)>,
    ) -> ControlFlow<()> {
        let state = self.store.state(number);
        let before = Seen { state: &state, principals: self.principals[number as usize] };
        world.steps(&state, steps);
        for (event, after) in steps.drain(..) {
            if after == state {
                continue;
            }
            self.n_steps += 1;
            let (canonical, turn) = after.canonical();
            let next = self.meet(world, judge, &canonical, Some(number))?;
            let principals = turned_back(self.principals[next as usize], turn, state.len());
            if let Some(property) = judge.step(world, &before, event, &Seen { state: &after, principals }) {
                self.end = End::Broken { property, state: number, step: Some(event) };
                return ControlFlow::Break(());
            }
            if event.is_repair() && next != number {
                self.repairs.push(next);
            }
        }
        self.begins.push(self.repairs.len());
        ControlFlow::Continue(())
    }

    fn meet(
        &mut self,
        world: &World,
        judge: &dyn Judge,
        state: &Global,
        parent: Option<u32>,
    ) -> ControlFlow<(), u32> {
        let n_before = self.store.len();
        let number = self.store.number(state, parent);
        if self.store.len() > n_before {
            let principals = Census::new(&world.locals, state).principals(0);
            self.principals.push(principals);
            self.is_goal.push(judge.is_goal(world, state));
            if let Some(property) = judge.state(world, &Seen { state, principals }) {
                self.end = End::Broken { property, state: number, step: None };
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(number)
    }

    /// How every way of repair ends. Only for a complete graph.
    pub(super) fn repair(&self) -> Repair {
        let kept = self.kept_goals();
        if let Some(steps_max) = self.longest_way(&kept) {
            return Repair::Ends { steps_max };
        }
        let mut leads = kept;
        self.until_nothing_changes(
            |number, leads: &mut Vec<bool>| {
                let changes = !leads[number] && self.repairs_of(number).any(|next| leads[next]);
                leads[number] |= changes;
                changes
            },
            &mut leads,
        );
        match leads.iter().position(|leads| !leads) {
            None => Repair::Leads,
            Some(number) => Repair::Fails(u32::try_from(number).expect("the store has fewer")),
        }
    }

    /// The goals that no repair leaves.
    fn kept_goals(&self) -> Vec<bool> {
        let mut kept = self.is_goal.clone();
        self.until_nothing_changes(
            |number, kept: &mut Vec<bool>| {
                let changes = kept[number] && self.repairs_of(number).any(|next| !kept[next]);
                kept[number] &= !changes;
                changes
            },
            &mut kept,
        );
        kept
    }

    /// The number of steps of the longest way to a goal, if every way leads to one.
    fn longest_way(&self, kept: &[bool]) -> Option<u32> {
        let mut lengths: Vec<Option<u32>> = kept.iter().map(|kept| kept.then_some(0)).collect();
        self.until_nothing_changes(
            |number, lengths: &mut Vec<Option<u32>>| {
                if lengths[number].is_some() || self.repairs_of(number).next().is_none() {
                    return false;
                }
                let longest =
                    self.repairs_of(number).try_fold(0, |longest, next| Some(longest.max(lengths[next]?)));
                lengths[number] = longest.map(|longest| longest + 1);
                longest.is_some()
            },
            &mut lengths,
        );
        lengths.into_iter().try_fold(0, |longest, length| Some(longest.max(length?)))
    }

    fn repairs_of(&self, number: usize) -> impl Iterator<Item = usize> {
        self.repairs[self.begins[number]..self.begins[number + 1]].iter().map(|next| *next as usize)
    }

    /// Goes through all states, the last first as repairs lead on, until `change` changes none of them.
    fn until_nothing_changes<T>(&self, change: impl Fn(usize, &mut T) -> bool, of: &mut T) {
        let n_states = self.store.len();
        while (0..n_states).rev().filter(|number| change(*number, of)).count() > 0 {}
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.store.bytes()
            + self.begins.capacity() * size_of::<usize>()
            + self.repairs.capacity() * size_of::<u32>()
            + self.is_goal.capacity()
            + self.principals.capacity()
    }
}

/// A set of a ring that was turned by so many positions, as before.
fn turned_back(set: Set, turn: usize, n_positions: usize) -> Set {
    let wide = u16::from(set) << turn;
    let all = (1 << n_positions) - 1;
    #[expect(clippy::cast_possible_truncation, reason = "it is masked to the positions there are")]
    let turned = ((wide | wide >> n_positions) & all) as Set;
    turned
}
