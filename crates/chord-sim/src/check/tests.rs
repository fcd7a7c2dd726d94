//! The checker's bits against the oracle's sets, in every state of a small ring.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use chord_ring::{
    Answer, Command, Incarnation, Input, Node, NodeName, Peer, Phase, Position, Purpose, State, Token, View,
};

use super::census::Census;
use super::circle::Circle;
use super::facts::Set;
use super::global::Global;
use super::graph::{Graph, Judge, Seen};
use super::local::{Locals, Open};
use super::property::{Proof, Property};
use super::repair::{self, Repair};
use super::world::{Event, World};
use super::{BYTES_MAX, Grain, Layer, Progress, Settings, Start, run};
use crate::{Incoming, Loss, Oracle};

/// How many states of a larger ring are compared.
const STATES_COMPARED: usize = 20_000;

/// A judge that asks the oracle about each state, and finds it wrong where the two differ.
struct Compared;

impl Judge for Compared {
    fn state(&self, world: &World, seen: &Seen<'_>) -> Option<Property> {
        compare(&world.locals, seen.state);
        None
    }

    fn step(&self, _: &World, _: &Seen<'_>, _: Event, _: &Seen<'_>) -> Option<Property> {
        None
    }

    fn is_goal(&self, _: &World, _: &Global) -> bool {
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
        assert_eq!(census.is_ideal(locals.circle().settings().successors()), chord_ring::is_ideal(views));
    }
}

impl Whole {
    fn new(locals: &Locals, state: &Global) -> Self {
        let mut whole = Self { views: Vec::new(), incoming: Vec::new(), losses: Vec::new() };
        for at in 0..state.len() {
            let Some(node) = locals.node(state.at(at)) else { continue };
            let circle = locals.circle();
            let there = |peer: &Peer| peer_at(state.on(at, circle.steps_to(&peer.name)));
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
    let mut world = run::world(settings, Circle::config(settings.successors).unwrap()).unwrap();
    let starts = run::starts(&mut world, settings);
    Graph::explore(&mut world, &starts, &Compared, BYTES_MAX, &mut |progress: Progress| {
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

#[test]
fn steps_of_repair_that_were_not_kept_lead_where_those_lead_that_were() {
    let by_message = Settings { grain: Grain::Everything, ..Settings::new(Layer::C, 3, 1) };
    for (settings, found) in
        [(Settings::new(Layer::B, 4, 2), Repair::Ends { steps_max: 7 }), (by_message, Repair::Leads)]
    {
        let mut world = run::world(&settings, Circle::config(settings.successors).unwrap()).unwrap();
        let starts = run::starts(&mut world, &settings);
        let judge = Proof { grows: false, lookups: false, has_minimum: true };
        let mut watch = |_: Progress| ControlFlow::Continue(());
        let mut graph = Graph::explore(&mut world, &starts, &judge, BYTES_MAX, &mut watch);
        assert_eq!(repair::check(&mut world, &graph, &mut watch), Some(found));
        graph.kept_repairs = None;
        assert_eq!(repair::check(&mut world, &graph, &mut watch), Some(found));
    }
}
