//! What can happen to a ring: who may act, and how messages get from one position to another.

use chord_ring::{Failure, Found, Lookup, Purpose, Question, Request, Step};

use super::census::Census;
use super::facts::Place;
use super::global::Global;
use super::local::{Kind, Locals, Open};
use super::{Failures, Grain};

/// One step of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A node begins a round of maintenance.
    Maintain { at: usize },
    /// The same, and it is the turn of a peer that it remembers.
    MaintainWithTurn { at: usize, of: usize },
    /// A node's question reaches its peer. If answers are no steps of their own, the node hears it at once.
    Ask { at: usize, purpose: Purpose },
    /// A node hears the answer.
    Hear { at: usize, purpose: Purpose },
    /// What a node that is gone has said arrives.
    Late { of: usize },
    /// A new node reads the list of the member at `before`.
    Join { at: usize, before: usize },
    /// A node says farewell.
    Leave { at: usize },
    /// A node is gone without a word.
    Fail { at: usize },
}

impl Event {
    /// Whether this happens by itself: no node comes or goes.
    pub(super) fn is_repair(self) -> bool {
        self.is_loss().is_none() && !matches!(self, Self::Join { .. })
    }

    /// Who is a member no more.
    pub(super) fn is_loss(self) -> Option<usize> {
        match self {
            Self::Fail { at } | Self::Leave { at } => Some(at),
            Self::Maintain { .. }
            | Self::MaintainWithTurn { .. }
            | Self::Ask { .. }
            | Self::Hear { .. }
            | Self::Late { .. }
            | Self::Join { .. } => None,
        }
    }
}

/// How many questions it takes a node that was told farewell by its head to follow the heir: the one that was open
/// may have been another, then the head is asked, then the heir.
const QUESTIONS_AFTER_FAREWELL: usize = 3;

/// When a round of maintenance begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounds {
    /// As soon as no question to the head is open.
    AtOnce,
    /// At any time: it is a step of its own.
    Apart,
}

/// A ring's transitions.
pub(super) struct Moves {
    pub(super) locals: Locals,
    pub(super) grain: Grain,
    pub(super) rounds: Rounds,
    /// Whether answers are on their way for a while.
    pub(super) answers_apart: bool,
    pub(super) failures: Failures,
    /// Whether nodes leave in good order.
    pub(super) leaves: bool,
    /// Whether nodes come and go.
    pub(super) churn: bool,
}

impl Moves {
    /// All that can happen next, and what comes of it.
    pub(super) fn steps(&mut self, global: &Global, out: &mut Vec<(Event, Global)>) {
        out.clear();
        for at in 0..global.len() {
            self.own_steps(global, at, out);
            if self.churn {
                self.comings_and_goings(global, at, out);
            }
        }
    }

    /// The steps of these that are repair: nobody comes or goes.
    pub(super) fn repairs(&mut self, global: &Global, out: &mut Vec<(Event, Global)>) {
        out.clear();
        for at in 0..global.len() {
            self.own_steps(global, at, out);
        }
    }

    /// What becomes of a ring by that event.
    pub(super) fn after(&mut self, global: &Global, event: Event) -> Global {
        let mut next = *global;
        match event {
            Event::Maintain { at } => next.put(at, self.locals.maintain(next.at(at))),
            Event::MaintainWithTurn { at, of } => {
                let of = u8::try_from((of + next.len() - at) % next.len()).expect("a small ring");
                next.put(at, self.locals.maintain_with_turn(next.at(at), of));
            }
            Event::Ask { at, purpose } => self.ask(&mut next, at, purpose),
            Event::Hear { at, purpose } => next.put(at, self.locals.hear(next.at(at), purpose)),
            Event::Late { of } => self.deliver_late(&mut next, of),
            Event::Join { at, before } => {
                let before = (before + next.len() - at) % next.len();
                next.put(at, self.locals.join(next.at(at), before));
                self.ask(&mut next, at, Purpose::Ring);
            }
            Event::Leave { at } => self.leave(&mut next, at),
            Event::Fail { at } => next.put(at, self.locals.fail(next.at(at))),
        }
        self.settle(&mut next);
        next
    }

    /// Lets happen what is no step of its own.
    pub(super) fn settle(&mut self, global: &mut Global) {
        while self.settle_once(global) {}
    }

    /// The end of a lookup that begins at that position, if nothing else happens meanwhile.
    pub(super) fn look_up(&self, global: &Global, at: usize, question: Question) -> Result<Found, Failure> {
        let Some(node) = self.locals.node(global.at(at)) else { return Err(Failure::Unreachable) };
        let positions = self.locals.positions();
        let mut lookup = Lookup::new(question);
        loop {
            match lookup.step(node.view()) {
                Step::Here(found) => return Ok(found),
                Step::Stuck(refusal) => return Err(Failure::Refused(refusal)),
                Step::Ask { peer, question, .. } => {
                    let steps = positions.steps_to(&peer.name);
                    let question = positions.turn_question(&question, steps);
                    match self.look_up(global, global.on(at, steps), question) {
                        Ok(found) => {
                            let found = positions.turn_found(&found, global.len() - steps);
                            return Ok(lookup.answered(node.view(), &peer, found));
                        }
                        Err(failure) => lookup.failed(&peer.name, &failure),
                    }
                }
            }
        }
    }

    fn own_steps(&mut self, global: &Global, at: usize, out: &mut Vec<(Event, Global)>) {
        let facts = self.locals.facts(global.at(at));
        let (n_open, place, remembered) = (facts.open.len(), facts.place, facts.remembered);
        for idx in 0..n_open {
            let (purpose, open) = self.locals.facts(global.at(at)).open[idx];
            let event = match open {
                Open::Asked { .. } => Event::Ask { at, purpose },
                Open::Answered { .. } => Event::Hear { at, purpose },
            };
            out.push((event, self.after(global, event)));
        }
        if place == Place::Member && self.rounds == Rounds::Apart {
            let event = Event::Maintain { at };
            out.push((event, self.after(global, event)));
        }
        if place == Place::Member {
            for steps in (0..global.len()).filter(|steps| remembered >> steps & 1 == 1) {
                let event = Event::MaintainWithTurn { at, of: global.on(at, steps) };
                out.push((event, self.after(global, event)));
            }
        }
        if self.locals.facts(global.at(at)).n_late > 0 {
            let event = Event::Late { of: at };
            out.push((event, self.after(global, event)));
        }
    }

    fn comings_and_goings(&mut self, global: &Global, at: usize, out: &mut Vec<(Event, Global)>) {
        let place = |position: usize| self.locals.facts(global.at(position)).place;
        match place(at) {
            Place::Empty if self.locals.facts(global.at(at)).n_late > 0 => {}
            Place::Empty => {
                for before in
                    (0..global.len()).filter(|before| place(*before) == Place::Member).collect::<Vec<_>>()
                {
                    let event = Event::Join { at, before };
                    out.push((event, self.after(global, event)));
                }
            }
            Place::Member if self.may_lose(global, at) => {
                out.push((Event::Fail { at }, self.after(global, Event::Fail { at })));
                if self.leaves {
                    out.push((Event::Leave { at }, self.after(global, Event::Leave { at })));
                }
            }
            // Its farewells may be cut short.
            Place::Leaving => {
                let event = Event::Fail { at };
                out.push((event, self.after(global, event)));
            }
            // A newcomer that gives up was never there for the others.
            Place::Member | Place::Joining => {}
        }
    }

    /// Whether the ring can do without the member at that position (TSE 2017, sections II and VII-B; what is on its way
    /// counts).
    fn may_lose(&self, global: &Global, at: usize) -> bool {
        let census = Census::new(&self.locals, global);
        let without = 1 << at;
        let r = self.locals.positions().settings().successors();
        match self.failures {
            Failures::Assumed => {
                census.principals(without).count_ones() as usize > r && census.is_everybody_linked(without)
            }
            Failures::Stored => census.is_sound_as_stored(without, r),
            Failures::Linked => census.members() != without && census.is_everybody_linked(without),
            Failures::Any => census.members() != without,
        }
    }

    fn ask(&mut self, global: &mut Global, at: usize, purpose: Purpose) {
        let facts = self.locals.facts(global.at(at));
        let open = facts.open.iter().find(|(open, _)| *open == purpose);
        let Some((_, Open::Asked { to, request })) = open.copied() else { return };
        let (steps, peer) = (usize::from(to), global.on(at, to.into()));
        let kind = self.locals.kind(request);
        let answer = if let Request::FindSuccessor(question) = self.locals.request(request) {
            let positions = self.locals.positions();
            let question = positions.turn_question(question, steps);
            let found = self.look_up(global, peer, question);
            let found = found.map(|found| self.locals.positions().turn_found(&found, global.len() - steps));
            self.locals.found(found)
        } else {
            self.put_to(global, peer, request, steps)
        };
        let carries_list = carries_list(purpose, kind);
        let is_apart = self.answers_apart && (carries_list || self.grain == Grain::Everything);
        let mut local = self.locals.take(global.at(at), purpose, answer);
        if !is_apart {
            local = self.locals.hear(local, purpose);
        }
        global.put(at, local);
    }

    /// The answer of whoever is at `peer` to a request from `steps` positions before.
    fn put_to(&mut self, global: &mut Global, peer: usize, request: u32, steps: usize) -> u32 {
        if self.locals.node(global.at(peer)).is_none() {
            return self.locals.nobody_there();
        }
        let (local, answer) = self.locals.serve(global.at(peer), request, steps);
        global.put(peer, local);
        answer
    }

    /// A node says farewell. With a coarse grain its predecessor acts on that at once.
    fn leave(&mut self, global: &mut Global, leaver: usize) {
        global.put(leaver, self.locals.leave(global.at(leaver)));
        if self.grain != Grain::Lists {
            return;
        }
        let follows = |moves: &Self, at: usize| {
            let head = moves.locals.facts(global.at(at)).list.first().copied();
            head.is_some_and(|steps| global.on(at, steps.into()) == leaver)
        };
        let before: Vec<usize> = (0..global.len()).filter(|at| follows(self, *at)).collect();
        self.settle(global);
        for at in before {
            for _ in 0..QUESTIONS_AFTER_FAREWELL {
                self.ask(global, at, Purpose::Ring);
                self.settle(global);
            }
        }
    }

    fn deliver_late(&mut self, global: &mut Global, of: usize) {
        let Some((to, request)) = self.locals.late(global.at(of)) else { return };
        global.put(of, self.locals.drop_late(global.at(of)));
        self.put_to(global, global.on(of, to.into()), request, to.into());
    }

    fn settle_once(&mut self, global: &mut Global) -> bool {
        for at in 0..global.len() {
            let local = global.at(at);
            let facts = self.locals.facts(local);
            let urgent = facts.open.iter().find_map(|(purpose, open)| match open {
                Open::Asked { request, .. } => self.is_urgent(*purpose, *request).then_some(*purpose),
                Open::Answered { .. } => None,
            });
            if let Some(purpose) = urgent {
                self.ask(global, at, purpose);
                return true;
            }
            let is_idle = facts.place == Place::Member
                && !facts.open.iter().any(|(purpose, _)| *purpose == Purpose::Ring);
            if is_idle && self.rounds == Rounds::AtOnce {
                let woken = self.locals.maintain(local);
                global.put(at, woken);
                if woken != local {
                    return true;
                }
            }
        }
        false
    }

    /// Whether this question is no step of its own.
    fn is_urgent(&self, purpose: Purpose, request: u32) -> bool {
        let kind = self.locals.kind(request);
        match self.grain {
            Grain::Lists => !carries_list(purpose, kind),
            Grain::Messages => kind == Kind::Ping,
            Grain::Everything => false,
        }
    }
}

/// Whether the answer carries a list that the asker may store.
fn carries_list(purpose: Purpose, kind: Kind) -> bool {
    kind == Kind::State && matches!(purpose, Purpose::Ring | Purpose::Probe)
}
