//! One check from its settings to its report.

use std::ops::ControlFlow;

use chord_ring::Config;

use super::global::Global;
use super::graph::{self, Graph, Judge};
use super::local::Locals;
use super::moves::{Moves, Rounds};
use super::positions::Positions;
use super::property::{Memory, Proof, Property};
use super::repair::{self, Repair as Repaired};
use super::{
    Answers, CheckError, Claim, Counterexample, Failures, Grain, Layer, Outcome, Progress, Repair, Report,
    Settings, Start, Stop, induction, scenario,
};

/// Layer A.
pub(super) fn induction(
    settings: &Settings,
    config: Config,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    let mut locals =
        Locals::new(Positions::new(config, settings.nodes, settings.origin)?, false, Answers::Whole);
    let found = induction::check(&mut locals, settings.invariant, watch);
    let outcome = match found.end {
        induction::End::Complete => Outcome::Holds(Repair::Unasked),
        induction::End::Stopped => Outcome::Stopped(Stop::Asked),
        induction::End::Broken { property, state, step } => {
            let begin = format!("begin  {}", scenario::ring(&locals, &state, 0));
            let step = step.map(|(told, next)| format!("{told:<38} {}", scenario::ring(&locals, &next, 0)));
            let scenario = [begin].into_iter().chain(step).collect();
            Outcome::Broken(Counterexample { property: property.to_string(), scenario })
        }
    };
    Ok(Report {
        states: found.states,
        anchored: Some(found.anchored),
        steps: found.steps,
        depth: 0,
        local_states: locals.len(),
        runs: locals.n_runs(),
        merges: locals.n_merges(),
        bytes: 0,
        outcome,
    })
}

/// Layers B and C.
pub(super) fn reachability(
    settings: &Settings,
    config: Config,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    let mut moves = moves(settings, config)?;
    let starts = starts(&mut moves, settings);
    let judge: Box<dyn Judge> = match settings.claim {
        Claim::Proof => Box::new(Proof {
            grows: settings.start == Start::One,
            lookups: settings.lookups,
            has_minimum: settings.failures != Failures::Linked,
        }),
        Claim::Together | Claim::Parts => Box::new(Memory {
            together: settings.claim == Claim::Together,
            whole: settings.start == Start::Two,
        }),
    };
    let graph = Graph::explore(&mut moves, &starts, &*judge, settings.bytes_max, watch);
    let mut outcome = outcome(&mut moves, &graph, settings, watch);
    if matches!(outcome, Outcome::Holds(_)) && settings.start == Start::Two && moves.locals.n_merges() == 0 {
        let property = Property::NeverMerged.to_string();
        outcome = Outcome::Broken(Counterexample { property, scenario: Vec::new() });
    }
    Ok(Report {
        states: graph.store.len(),
        anchored: None,
        steps: graph.n_steps,
        depth: graph.depth,
        local_states: moves.locals.len(),
        runs: moves.locals.n_runs(),
        merges: moves.locals.n_merges(),
        bytes: graph.bytes(),
        outcome,
    })
}

fn outcome(
    moves: &mut Moves,
    graph: &Graph,
    settings: &Settings,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Outcome {
    let (property, state, step) = match &graph.end {
        graph::End::Complete => match repair::check(moves, graph, watch) {
            None => return Outcome::Stopped(Stop::BeforeRepair),
            Some(Repaired::Ends { steps_max }) => return Outcome::Holds(Repair::Always { steps_max }),
            Some(Repaired::Leads) => return Outcome::Holds(Repair::UnlessStarved),
            Some(Repaired::Fails(state)) => {
                let property =
                    if settings.claim == Claim::Proof { Property::Unrepaired } else { Property::Apart };
                (property, state, None)
            }
        },
        graph::End::Stopped(stop) => return Outcome::Stopped(*stop),
        graph::End::Broken { property, state, step } => (property.clone(), *state, *step),
    };
    let scenario = scenario::tell(moves, &graph.store, state, step);
    Outcome::Broken(Counterexample { property: property.to_string(), scenario })
}

/// The transitions of a ring with these settings.
pub(super) fn moves(settings: &Settings, config: Config) -> Result<Moves, CheckError> {
    Ok(Moves {
        locals: Locals::new(
            Positions::new(config, settings.nodes, settings.origin)?,
            settings.claim != Claim::Proof,
            settings.answers,
        ),
        grain: settings.grain,
        rounds: match (settings.grain, settings.claim) {
            (Grain::Lists, Claim::Proof) => Rounds::AtOnce,
            (Grain::Lists | Grain::Messages | Grain::Everything, _) => Rounds::Apart,
        },
        answers_apart: settings.layer == Layer::C,
        failures: settings.failures,
        leaves: settings.leaves,
        churn: settings.start != Start::Two,
    })
}

/// Where the ring may begin.
pub(super) fn starts(moves: &mut Moves, settings: &Settings) -> Vec<Global> {
    let r = usize::from(settings.successors);
    let all = (1_u32 << settings.nodes) - 1;
    let mut starts = Vec::new();
    match settings.start {
        Start::Ideal => {
            for members in (1..=all).filter(|members| members.count_ones() as usize > r) {
                let mut ring = Global::empty(settings.nodes);
                place_ideal(moves, &mut ring, members, r);
                starts.push(ring);
            }
        }
        Start::One => {
            let mut ring = Global::empty(settings.nodes);
            ring.put(0, moves.locals.founder());
            starts.push(ring);
        }
        Start::Two => {
            for one in (1..all).filter(|one| one & 1 == 1) {
                let mut rings = Global::empty(settings.nodes);
                place_ideal(moves, &mut rings, one, r);
                place_ideal(moves, &mut rings, all & !one, r);
                starts.extend(acquainted(moves, &rings, one));
            }
        }
    }
    for start in &mut starts {
        moves.settle(start);
    }
    starts
}

/// Puts the members, of which there is a bit each, as an ideal ring.
fn place_ideal(moves: &mut Moves, ring: &mut Global, members: u32, r: usize) {
    let n = ring.len();
    for at in (0..n).filter(|at| members >> at & 1 == 1) {
        let others: Vec<usize> = (1..n).filter(|steps| members >> ring.on(at, *steps) & 1 == 1).collect();
        let list = &others[..r.min(others.len())];
        ring.put(at, moves.locals.member(others.last().copied(), list));
    }
}

/// The same two rings, where one member of one remembers one of the other.
fn acquainted(moves: &mut Moves, rings: &Global, one: u32) -> Vec<Global> {
    let n = rings.len();
    let mut all = Vec::new();
    for at in 0..n {
        let apart = |other: &usize| one >> at & 1 != one >> *other & 1;
        for other in (0..n).filter(apart) {
            let mut rings = *rings;
            let steps = (other + n - at) % n;
            let local = rings.at(at);
            rings.put(at, moves.locals.remembering(local, &[steps]));
            all.push(rings);
        }
    }
    all
}
