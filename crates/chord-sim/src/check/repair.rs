//! How a ring repairs itself from every state that it can come to, once nodes come and go no more.
//!
//! Repair is done when a goal is reached that no further step of repair leaves. Each state is asked once where its steps
//! lead, by a search that follows them to states that were asked before.

use std::ops::ControlFlow;

use rustc_hash::FxHashSet;

use super::Progress;
use super::global::Global;
use super::graph::{Graph, REPORT_EVERY};
use super::moves::{Event, Moves};

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

/// Asks all states of a complete graph; none, if whoever watches ended it.
pub(super) fn check(
    moves: &mut Moves,
    graph: &Graph,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Option<Repair> {
    let mut search = Search { moves, graph, steps: Vec::new(), progress, n_done: 0 };
    let kept = search.kept_goals();
    match search.longest_way(&kept) {
        ControlFlow::Continue(Some(steps_max)) => Some(Repair::Ends { steps_max }),
        ControlFlow::Continue(None) => match search.leads(&kept) {
            ControlFlow::Continue(None) => Some(Repair::Leads),
            ControlFlow::Continue(Some(number)) => Some(Repair::Fails(number)),
            ControlFlow::Break(()) => None,
        },
        ControlFlow::Break(()) => None,
    }
}

struct Search<'a> {
    moves: &'a mut Moves,
    graph: &'a Graph,
    steps: Vec<(Event, Global)>,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    n_done: usize,
}

/// A state on the way that is being followed, and where else its repairs lead.
struct OnWay {
    number: u32,
    /// Whether they lead nowhere.
    is_stuck: bool,
    next: Vec<u32>,
    /// The longest way by those that were followed to their ends.
    longest: u16,
}

/// Not asked yet.
const UNKNOWN: u16 = u16::MAX;

/// On the way that is being followed: whoever comes here goes round.
const ON_WAY: u16 = u16::MAX - 1;

impl Search<'_> {
    /// The goals that no repair leaves.
    fn kept_goals(&mut self) -> FxHashSet<u32> {
        let mut kept: FxHashSet<u32> = self.graph.goals.iter().copied().collect();
        loop {
            let left = self.graph.goals.iter().filter(|goal| kept.contains(goal)).copied();
            let left: Vec<u32> =
                left.filter(|goal| self.repairs_of(*goal).iter().any(|next| !kept.contains(next))).collect();
            if left.is_empty() {
                return kept;
            }
            for goal in left {
                kept.remove(&goal);
            }
        }
    }

    /// The number of steps of the longest way to a goal, if every way leads to one.
    fn longest_way(&mut self, kept: &FxHashSet<u32>) -> ControlFlow<(), Option<u32>> {
        let mut lengths = vec![UNKNOWN; self.graph.store.len()];
        for goal in kept {
            lengths[*goal as usize] = 0;
        }
        self.n_done = kept.len();
        for number in (0..lengths.len()).rev() {
            if lengths[number] != UNKNOWN {
                continue;
            }
            let number = u32::try_from(number).expect("the store has fewer");
            let mut way = vec![self.on_way(number)];
            while let Some(last) = way.last_mut() {
                // Whoever gets stuck short of a goal never comes to an end, and neither does who goes round.
                if last.is_stuck {
                    return ControlFlow::Continue(None);
                }
                lengths[last.number as usize] = ON_WAY;
                let Some(next) = last.next.pop() else {
                    lengths[last.number as usize] = last.longest;
                    let length = last.longest + 1;
                    assert!(length < ON_WAY, "a way of {length} steps is too long to be told from none");
                    way.pop();
                    if let Some(before) = way.last_mut() {
                        before.longest = before.longest.max(length);
                    }
                    self.report()?;
                    continue;
                };
                match lengths[next as usize] {
                    UNKNOWN => way.push(self.on_way(next)),
                    ON_WAY => return ControlFlow::Continue(None),
                    length => last.longest = last.longest.max(length + 1),
                }
            }
        }
        ControlFlow::Continue(lengths.into_iter().max().map(u32::from))
    }

    fn on_way(&mut self, number: u32) -> OnWay {
        let next = self.repairs_of(number);
        OnWay { number, is_stuck: next.is_empty(), next, longest: 0 }
    }

    /// A state from which no repair leads to a goal that is kept, if there is one.
    fn leads(&mut self, kept: &FxHashSet<u32>) -> ControlFlow<(), Option<u32>> {
        let mut leads = vec![false; self.graph.store.len()];
        for goal in kept {
            leads[*goal as usize] = true;
        }
        self.n_done = kept.len();
        for number in (0..leads.len()).rev() {
            let number = u32::try_from(number).expect("the store has fewer");
            if leads[number as usize] {
                continue;
            }
            let mut met: FxHashSet<u32> = FxHashSet::default();
            met.insert(number);
            let mut way = vec![self.on_way(number)];
            while let Some(last) = way.last_mut() {
                if last.next.iter().any(|next| leads[*next as usize]) {
                    for on_way in way.drain(..) {
                        leads[on_way.number as usize] = true;
                        self.report()?;
                    }
                } else if let Some(next) = last.next.pop() {
                    if met.insert(next) {
                        way.push(self.on_way(next));
                    }
                } else {
                    way.pop();
                }
            }
            if !leads[number as usize] {
                return ControlFlow::Continue(Some(number));
            }
        }
        ControlFlow::Continue(None)
    }

    /// To where one step of repair leads from this state, each of them once or more.
    fn repairs_of(&mut self, number: u32) -> Vec<u32> {
        if let Some(kept) = &self.graph.kept_repairs {
            return kept.of(number).to_vec();
        }
        let state = self.graph.store.state(number);
        self.moves.repairs(&state, &mut self.steps);
        let next = self.steps.iter().filter(|(_, after)| *after != state);
        let next = next.map(|(_, after)| self.graph.store.number_of(&after.canonical().0));
        next.filter(|next| *next != number).collect()
    }

    fn report(&mut self) -> ControlFlow<()> {
        self.n_done += 1;
        if self.n_done.is_multiple_of(REPORT_EVERY) {
            let states = self.graph.store.len();
            return (self.progress)(Progress { states, explored: states, repaired: self.n_done });
        }
        ControlFlow::Continue(())
    }
}
