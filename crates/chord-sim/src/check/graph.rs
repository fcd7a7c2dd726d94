//! All states that a ring can come to. How it repairs itself from each of them is asked of them in `repair.rs`.

use std::ops::ControlFlow;

use super::census::Census;
use super::facts::Set;
use super::global::Global;
use super::moves::{Event, Moves};
use super::property::Property;
use super::store::Store;
use super::{Progress, Stop};

/// How many states are explored between two reports.
pub(super) const REPORT_EVERY: usize = 1 << 14;

/// Most steps of repair that are kept: 1 GB. Of a larger graph none are, and they are taken again when they are asked for.
const REPAIRS_MAX: usize = 1 << 28;

/// The states met, and the steps of repair between them.
pub(super) struct Graph {
    pub(super) store: Store,
    /// The steps of repair, if they are few enough to be kept.
    pub(super) kept_repairs: Option<Repairs>,
    /// The principals, by state.
    principals: Vec<Set>,
    /// The states in which nothing is left to do.
    pub(super) goals: Vec<u32>,
    pub(super) n_steps: u64,
    /// Steps from a start to the state that is farthest from all.
    pub(super) depth: u32,
    pub(super) end: End,
}

/// To which states repair leads from each, in one step.
pub(super) struct Repairs {
    /// From which place on those of each state are; one more at the end.
    begins: Vec<usize>,
    next: Vec<u32>,
}

impl Repairs {
    pub(super) fn of(&self, number: u32) -> &[u32] {
        &self.next[self.begins[number as usize]..self.begins[number as usize + 1]]
    }

    fn bytes(&self) -> usize {
        self.begins.len() * size_of::<usize>() + self.next.len() * size_of::<u32>()
    }
}

/// Why an exploration ended.
pub(super) enum End {
    /// Nothing new was left.
    Complete,
    /// Before everything was met.
    Stopped(Stop),
    /// This is broken in the state of this number, or by this step from it.
    Broken { property: Property, state: u32, step: Option<Event> },
}

/// A state and its principals, which many properties ask for.
pub(super) struct Seen<'a> {
    pub(super) state: &'a Global,
    pub(super) principals: Set,
}

/// What a run is to hold.
pub(super) trait Judge {
    /// The property that this state breaks.
    fn state(&self, moves: &Moves, state: &Seen<'_>) -> Option<Property>;
    /// The property that this step breaks.
    fn step(&self, moves: &Moves, before: &Seen<'_>, event: Event, after: &Seen<'_>) -> Option<Property>;
    /// Whether repair is done.
    fn is_goal(&self, moves: &Moves, state: &Global) -> bool;
}

impl Graph {
    /// Explores all that can come of these states, the nearest first.
    pub(super) fn explore(
        moves: &mut Moves,
        starts: &[Global],
        judge: &dyn Judge,
        bytes_max: usize,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Self {
        let mut graph = Self {
            store: Store::new(starts.first().map_or(1, Global::len)),
            kept_repairs: Some(Repairs { begins: vec![0], next: Vec::new() }),
            principals: Vec::new(),
            goals: Vec::new(),
            n_steps: 0,
            depth: 0,
            end: End::Complete,
        };
        for start in starts {
            let (start, _) = start.canonical();
            if let ControlFlow::Break(()) = graph.meet(moves, judge, &start, None) {
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
                graph.kept_repairs = graph.kept_repairs.filter(|kept| kept.next.len() <= REPAIRS_MAX);
                let report = Progress { states: graph.store.len(), explored, repaired: 0 };
                let is_asked = progress(report).is_break();
                if is_asked || graph.bytes() > bytes_max {
                    graph.end = End::Stopped(if is_asked { Stop::Asked } else { Stop::Memory });
                    return graph;
                }
            }
            let number = u32::try_from(explored).expect("the store has fewer");
            if let ControlFlow::Break(()) = graph.expand(moves, judge, number, &mut steps) {
                return graph;
            }
            explored += 1;
        }
        graph
    }

    fn expand(
        &mut self,
        moves: &mut Moves,
        judge: &dyn Judge,
        number: u32,
        steps: &mut Vec<(Event, Global)>,
    ) -> ControlFlow<()> {
        let state = self.store.state(number);
        let before = Seen { state: &state, principals: self.principals[number as usize] };
        moves.steps(&state, steps);
        for (event, after) in steps.drain(..) {
            if after == state {
                continue;
            }
            self.n_steps += 1;
            let (canonical, turn) = after.canonical();
            let next = self.meet(moves, judge, &canonical, Some(number))?;
            let principals = turned_back(self.principals[next as usize], turn, state.len());
            if let Some(property) = judge.step(moves, &before, event, &Seen { state: &after, principals }) {
                self.end = End::Broken { property, state: number, step: Some(event) };
                return ControlFlow::Break(());
            }
            if let Some(kept) = &mut self.kept_repairs
                && event.is_repair()
                && next != number
            {
                kept.next.push(next);
            }
        }
        if let Some(kept) = &mut self.kept_repairs {
            kept.begins.push(kept.next.len());
        }
        ControlFlow::Continue(())
    }

    fn meet(
        &mut self,
        moves: &Moves,
        judge: &dyn Judge,
        state: &Global,
        parent: Option<u32>,
    ) -> ControlFlow<(), u32> {
        let n_before = self.store.len();
        let number = self.store.number(state, parent);
        if self.store.len() > n_before {
            let principals = Census::new(&moves.locals, state).principals(0);
            self.principals.push(principals);
            if judge.is_goal(moves, state) {
                self.goals.push(number);
            }
            if let Some(property) = judge.state(moves, &Seen { state, principals }) {
                self.end = End::Broken { property, state: number, step: None };
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(number)
    }

    /// Memory taken, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.store.bytes()
            + self.kept_repairs.as_ref().map_or(0, Repairs::bytes)
            + self.principals.len() * size_of::<Set>()
            + self.goals.len() * size_of::<u32>()
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
