//! How a ring came to a state, in words.

use std::fmt::Write as _;

use chord_ring::{Answer, Failure, Purpose, Request};

use super::facts::Place;
use super::global::Global;
use super::local::{Locals, Open};
use super::moves::{Event, Moves};
use super::store::Store;

/// The steps that lead to a state, and from there one more if there is one; then what the ring is.
pub(super) fn tell(moves: &mut Moves, store: &Store, to: u32, last: Option<Event>) -> Vec<String> {
    let way = store.way_to(to);
    let mut at = store.state(way[0]);
    // Where position 0 of the state at hand was at the beginning.
    let mut origin = 0;
    let mut lines = vec![format!("begin  {}", ring(&moves.locals, &at, origin))];
    let mut steps = Vec::new();
    for next in &way[1..] {
        let wanted = store.state(*next);
        moves.steps(&at, &mut steps);
        let step = steps.iter().find(|(_, after)| after.canonical().0 == wanted);
        let (event, after) = *step.expect("a step led from each state to the next");
        lines.push(line(moves, &at, event, &after, origin));
        let (canonical, turn) = after.canonical();
        origin = after.on(origin, turn);
        at = canonical;
    }
    if let Some(event) = last {
        let after = moves.after(&at, event);
        lines.push(line(moves, &at, event, &after, origin));
    }
    lines
}

fn line(moves: &Moves, before: &Global, event: Event, after: &Global, origin: usize) -> String {
    format!("{:<38} {}", words(moves, before, event, origin), ring(&moves.locals, after, origin))
}

/// `3 stabilizes: asks 7`.
fn words(moves: &Moves, global: &Global, event: Event, origin: usize) -> String {
    let name = |at: usize| global.on(at, origin);
    let open = |at: usize, purpose: Purpose| {
        let facts = moves.locals.facts(global.at(at));
        facts.open.iter().find(|(open, _)| *open == purpose).map(|(_, open)| *open)
    };
    match event {
        Event::Maintain { at } => format!("{} begins a round", name(at)),
        Event::MaintainWithTurn { at, of } => format!("{} begins a round, probes {}", name(at), name(of)),
        Event::Ask { at, purpose } => match open(at, purpose) {
            Some(Open::Asked { to, request }) => {
                let peer = name(global.on(at, to.into()));
                format!("{} {}", name(at), asked(moves.locals.request(request), purpose, peer))
            }
            Some(Open::Answered { .. }) | None => format!("{} asks", name(at)),
        },
        Event::Hear { at, purpose } => match open(at, purpose) {
            Some(Open::Answered { from, answer }) => {
                let peer = name(global.on(at, from.into()));
                let what = heard(moves.locals.answer(answer));
                format!("{} hears from {peer}: {what}", name(at))
            }
            Some(Open::Asked { .. }) | None => format!("{} hears", name(at)),
        },
        Event::Late { of } => format!("a late message of {} arrives", name(of)),
        Event::Join { at, before } => format!("join {} after {}", name(at), name(before)),
        Event::Leave { at } => format!("leave {}", name(at)),
        Event::Fail { at } => format!("fail {}", name(at)),
    }
}

fn asked(request: &Request, purpose: Purpose, peer: usize) -> String {
    match (request, purpose) {
        (Request::GetState, Purpose::Ring) => format!("stabilizes: asks {peer}"),
        (Request::GetState, _) => format!("asks {peer} for its state"),
        (Request::Ping, _) => format!("asks {peer} whether it lives"),
        (Request::Notify { .. }, _) => format!("notifies {peer}"),
        (Request::ForgetPredecessor, _) => format!("tells {peer} to forget its predecessor"),
        (Request::Leave { .. }, _) => format!("says farewell to {peer}"),
        (Request::FindSuccessor(_), _) => format!("looks itself up through {peer}"),
    }
}

fn heard(answer: &Result<Answer, Failure>) -> &'static str {
    match answer {
        Ok(Answer::State(_)) => "its state",
        Ok(Answer::Pong(_)) => "it lives",
        Ok(Answer::Done) => "done",
        Ok(Answer::Found(_)) => "the owner",
        Err(_) => "nothing",
    }
}

/// Each node as `at:[list]predecessor`, those that are no members in brackets.
pub(super) fn ring(locals: &Locals, global: &Global, origin: usize) -> String {
    let mut text = String::new();
    let n = global.len();
    // From the lowest name on, whatever the ring was turned by.
    for at in (0..n).map(|name| (name + n - origin) % n) {
        let facts = locals.facts(global.at(at));
        let name = |steps: u8| (at + usize::from(steps) + origin) % n;
        let gap = if text.is_empty() { "" } else { "  " };
        let me = name(0);
        let written = match facts.place {
            Place::Empty => continue,
            Place::Joining => write!(text, "{gap}({me} joins)"),
            Place::Leaving => write!(text, "{gap}({me} leaves)"),
            Place::Member => {
                let list: Vec<String> = facts.list.iter().map(|steps| name(*steps).to_string()).collect();
                let before =
                    facts.predecessor.map_or_else(|| "-".to_owned(), |steps| name(steps).to_string());
                write!(text, "{gap}{me}:[{}]{before}", list.join(","))
            }
        };
        written.expect("a string takes every text");
    }
    text
}
