//! The checker's bits against the oracle's sets, in every state of a small ring.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chord_ring::{
    Answer, Command, Incarnation, Input, Node, NodeName, Peer, Phase, Position, Purpose, State, Token, View,
};

use super::census::Census;
use super::facts::Set;
use super::global::Global;
use super::graph::{Graph, Judge, Seen};
use super::local::{Locals, Open};
use super::moves::{Event, Moves};
use super::positions::Positions;
use super::property::{Proof, Property};
use super::repair::{self, Repair};
use super::{Answers, BYTES_MAX, Grain, Layer, Progress, Settings, Start, run};
use crate::{Incoming, Loss, Oracle};

/// How many states of a larger ring are compared.
const STATES_COMPARED: usize = 20_000;

/// A judge that asks the oracle about each state, and finds it wrong where the two differ.
struct Compared;

impl Judge for Compared {
    fn state(&self, moves: &Moves, seen: &Seen<'_>) -> Option<Property> {
        compare(&moves.locals, seen.state);
        None
    }

    fn step(&self, _: &Moves, _: &Seen<'_>, _: Event, _: &Seen<'_>) -> Option<Property> {
        None
    }

    fn is_goal(&self, _: &Moves, _: &Global) -> bool {
        true
    }
}

/// Everything at its true position, as the oracle wants it.
struct Whole {
    views: Vec<View>,
    incoming: Vec<(usize, State)>,
    losses: Vec<(NodeName, NodeName)>,
}

fn compare(locals: &Locals, state: &Global) {
    let whole = Whole::new(locals, state);
    let census = Census::new(locals, state);
    let oracle = whole.oracle();
    assert_eq!(positions(census.members()), oracle.members());
    assert_eq!(positions(census.principals(0)), oracle.principals(), "{state:?}");
    assert_eq!(census.is_everybody_linked(0), oracle.is_everybody_linked());
    // The founder of a ring is a ring of its own to the census, until it knows of another.
    if whole.views.iter().all(|view| !view.successors().is_empty()) {
        assert_eq!(census.ring().map(positions), oracle.ring());
    }
    for at in 0..state.len() {
        let left = oracle.without(&peer_at(at).name);
        assert_eq!(positions(census.principals(1 << at)), left.principals());
        assert_eq!(census.is_everybody_linked(1 << at), left.is_everybody_linked());
    }
    if whole.incoming.is_empty() && census.members() != 0 {
        let views = whole.views.iter().filter(|view| view.is_member());
        assert_eq!(census.is_ideal(locals.positions().settings().successors()), chord_ring::is_ideal(views));
    }
}

impl Whole {
    fn new(locals: &Locals, state: &Global) -> Self {
        let mut whole = Self { views: Vec::new(), incoming: Vec::new(), losses: Vec::new() };
        for at in 0..state.len() {
            let Some(node) = locals.node(state.at(at)) else { continue };
            let positions = locals.positions();
            let there = |peer: &Peer| peer_at(state.on(at, positions.steps_to(&peer.name)));
            whole.views.push(view(node, there));
            for (purpose, open) in &locals.facts(state.at(at)).open {
                let Open::Answered { from, answer } = open else { continue };
                match locals.answer(*answer) {
                    Ok(Answer::State(answer)) if *purpose == Purpose::Ring => {
                        let answer = State {
                            peer: there(&answer.peer),
                            predecessor: answer.predecessor.as_ref().map(there),
                            successors: answer.successors.iter().map(there).collect(),
                            ..answer.clone()
                        };
                        whole.incoming.push((whole.views.len() - 1, answer));
                    }
                    Err(_) if *purpose == Purpose::Ring => {
                        whole.losses.push((peer_at(at).name, peer_at(state.on(at, (*from).into())).name));
                    }
                    Ok(_) | Err(_) => {}
                }
            }
        }
        whole
    }

    fn oracle(&self) -> Oracle<'_> {
        let incoming = self.incoming.iter().map(|(to, state)| Incoming { to: &self.views[*to], state });
        let losses = self.losses.iter().map(|(to, peer)| Loss { to, peer });
        Oracle::new(&self.views).with_in_flight(incoming, losses)
    }
}

/// The peer at that position, as nobody in particular sees it.
fn peer_at(position: usize) -> Peer {
    Peer { position: Position::from(position as u64), name: format!("node{position}:1").parse().unwrap() }
}

/// What a node believes, in the words of nobody in particular.
fn view(node: &Node, there: impl Fn(&Peer) -> Peer) -> View {
    let view = node.view();
    let (config, me) = (view.config().clone(), there(view.me()));
    if view.phase() == Phase::Joining {
        let mut node = Node::new(config, me, Incarnation(0));
        node.handle(Input::Command(Token(0), Command::Join("contact:1".parse().unwrap())));
        return node.view().clone();
    }
    assert_eq!(view.phase(), Phase::Member, "with a coarse grain nobody stays on his way out");
    let list: Vec<Peer> = view.successors().as_slice().iter().map(&there).collect();
    Node::member(config, me, Incarnation(0), view.predecessor().map(there), &list).view().clone()
}

fn positions(set: Set) -> BTreeSet<Position> {
    (0..8_u64).filter(|at| set >> at & 1 == 1).map(Position::from).collect()
}

fn compare_all(settings: &Settings) -> usize {
    let mut moves = run::moves(settings, Positions::config(settings.successors).unwrap()).unwrap();
    let starts = run::starts(&mut moves, settings);
    Graph::explore(&mut moves, &starts, &Compared, BYTES_MAX, &mut |progress: Progress| {
        if progress.explored < STATES_COMPARED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .store
    .len()
}

#[test]
fn the_checker_sees_of_a_ring_what_the_oracle_sees() {
    assert_eq!(compare_all(&Settings::new(Layer::B, 4, 2)), 1_240);
    assert_eq!(compare_all(&Settings { start: Start::One, ..Settings::new(Layer::B, 4, 2) }), 1_956);
    for settings in [Settings::new(Layer::C, 4, 2), Settings::new(Layer::B, 6, 3)] {
        assert!(compare_all(&settings) > STATES_COMPARED);
    }
}

/// A judge that wants nothing.
struct Anything;

impl Judge for Anything {
    fn state(&self, _: &Moves, _: &Seen<'_>) -> Option<Property> {
        None
    }

    fn step(&self, _: &Moves, _: &Seen<'_>, _: Event, _: &Seen<'_>) -> Option<Property> {
        None
    }

    fn is_goal(&self, _: &Moves, _: &Global) -> bool {
        true
    }
}

/// The states after each step from this one, each as it stands for its turns, and whether the step is repair.
fn after_steps(moves: &mut Moves, state: &Global, steps: &mut Vec<(Event, Global)>) -> Vec<(bool, Global)> {
    moves.steps(state, steps);
    steps.iter().map(|(event, after)| (event.is_repair(), after.canonical().0)).collect()
}

/// The ring of `short` that stands for one of `whole`.
fn shorten(short: &mut Moves, whole: &Moves, state: &Global) -> Global {
    let mut shortened = Global::empty(state.len());
    for at in 0..state.len() {
        shortened.put(at, short.locals.shortened_from(&whole.locals, state.at(at)));
    }
    shortened.canonical().0
}

/// Takes every step of every state with whole answers and with shortened ones. Returns how many states there are of
/// each. Whatever happens with whole answers does with shortened ones, but for a newcomer that will not join; and what
/// repairs a ring of shortened ones repairs all that it stands for.
fn compare_shortened(settings: &Settings, states_max: usize) -> (usize, usize) {
    let config = || Positions::config(settings.successors).unwrap();
    let mut whole = run::moves(settings, config()).unwrap();
    let starts = run::starts(&mut whole, settings);
    let mut watch = |progress: Progress| {
        if progress.explored < states_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let graph = Graph::explore(&mut whole, &starts, &Anything, BYTES_MAX, &mut watch);
    let settings = Settings { answers: Answers::Shortened, ..settings.clone() };
    let mut short = run::moves(&settings, config()).unwrap();
    let mut met = BTreeSet::new();
    let (mut whole_steps, mut short_steps) = (Vec::new(), Vec::new());
    for number in 0..graph.store.len() {
        let state = graph.store.state(u32::try_from(number).unwrap());
        let stands_for = shorten(&mut short, &whole, &state);
        whole.steps(&state, &mut whole_steps);
        let whole_after: Vec<(bool, Global)> = whole_steps
            .iter()
            .map(|(event, after)| (event.is_repair(), shorten(&mut short, &whole, after)))
            .collect();
        let short_after = after_steps(&mut short, &stands_for, &mut short_steps);
        for (_, after) in &whole_after {
            let is_same = *after == stands_for || short_after.iter().any(|(_, other)| other == after);
            assert!(is_same, "a step with whole answers is none with shortened ones: {state:?}");
        }
        for (_, after) in short_after.iter().filter(|(is_repair, _)| *is_repair) {
            let is_same = *after == stands_for || whole_after.iter().any(|(_, other)| other == after);
            assert!(is_same, "repair with shortened answers is none with whole ones: {state:?}");
        }
        met.insert(stands_for);
    }
    (graph.store.len(), met.len())
}

fn compare_all_shortened(states_max: usize) {
    for (nodes, successors) in [(3, 1), (4, 2)] {
        let settings = Settings::new(Layer::C, nodes, successors);
        for start in [Start::Ideal, Start::One] {
            let (n_whole, n_short) = compare_shortened(&Settings { start, ..settings.clone() }, states_max);
            assert!(n_short < n_whole, "{n_short} of {n_whole}");
        }
    }
}

#[test]
fn with_shortened_answers_a_ring_does_what_it_does_with_whole_ones() {
    compare_all_shortened(STATES_COMPARED);
}

#[test]
#[ignore = "minutes: cargo test -p chord-sim --lib -- --ignored shortened"]
fn with_shortened_answers_a_ring_does_in_every_state_what_it_does_with_whole_ones() {
    compare_all_shortened(usize::MAX);
}

#[test]
fn steps_of_repair_that_were_not_kept_lead_where_those_lead_that_were() {
    let by_message = Settings { grain: Grain::Everything, ..Settings::new(Layer::C, 3, 1) };
    for (settings, found) in
        [(Settings::new(Layer::B, 4, 2), Repair::Ends { steps_max: 7 }), (by_message, Repair::Leads)]
    {
        let mut moves = run::moves(&settings, Positions::config(settings.successors).unwrap()).unwrap();
        let starts = run::starts(&mut moves, &settings);
        let judge = Proof { grows: false, lookups: false, has_minimum: true };
        let mut watch = |_: Progress| ControlFlow::Continue(());
        let mut graph = Graph::explore(&mut moves, &starts, &judge, BYTES_MAX, &mut watch);
        assert_eq!(repair::check(&mut moves, &graph, &mut watch), Some(found));
        graph.kept_repairs = None;
        assert_eq!(repair::check(&mut moves, &graph, &mut watch), Some(found));
    }
}
