//! Carries statements out.

use std::collections::BTreeMap;

use chord_ring::{Command, Config, Event, Failure, Found, Lookup, Node, Phase, Position, Token};

use super::error::Problem;
use super::show::{self, Beliefs, counted, numbers, or_none};
use super::statement::{Expectation, Shape, Statement, Which};
use super::{NODES_MAX, TURNS_MAX};
use crate::Cluster;
use crate::numbered::{name, number};

/// Lines that one statement tells of what changed; the `ring` shows it all.
const CHANGES_SHOWN_MAX: usize = 16;

/// What a statement tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) lines: Vec<String>,
    pub(super) is_failure: bool,
}

impl Told {
    fn line(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], is_failure: false }
    }

    fn yes() -> Self {
        Self::line("yes")
    }

    fn no(line: impl AsRef<str>) -> Self {
        Self { lines: vec![format!("no: {}", line.as_ref())], is_failure: true }
    }
}

/// A ring on the way through a script.
#[derive(Debug)]
pub(super) struct Runner {
    cluster: Cluster,
    n_turns: usize,
    /// How many of the cluster's events were told.
    n_told: usize,
    /// The last join of each node.
    joins: BTreeMap<u64, Token>,
}

impl Runner {
    pub(super) fn new(config: Config) -> Self {
        Self { cluster: Cluster::new(config), n_turns: 0, n_told: 0, joins: BTreeMap::new() }
    }

    pub(super) fn run(&mut self, statement: &Statement) -> Result<Told, Problem> {
        let n_nodes = self.cluster.nodes().len();
        self.spend(n_nodes)?;
        match statement {
            Statement::Ideal(nodes) => self.ideal(nodes),
            Statement::Member { at, list, predecessor } => self.member(*at, list, *predecessor),
            Statement::Converge { rounds_max } => self.converge(*rounds_max),
            Statement::Ring => Ok(Told { lines: show::ring(&self.cluster), is_failure: false }),
            Statement::Fingers(at) => {
                Ok(Told { lines: show::fingers(self.node(*at)?.view()), is_failure: false })
            }
            Statement::Messages => {
                self.holds()?;
                Ok(Told { lines: show::messages(&self.cluster), is_failure: false })
            }
            Statement::Lookup { target, from } => {
                Ok(Told::line(show::found(*target, &self.look_up(*target, *from)?)))
            }
            Statement::Expect(expectation) => self.expect(expectation),
            Statement::Hold => {
                self.cluster.hold();
                Ok(Told::default())
            }
            Statement::Cut(sides) => {
                self.cut(sides);
                Ok(Told::default())
            }
            Statement::Heal => {
                self.cluster.heal();
                Ok(Told::default())
            }
            change => {
                let before = show::beliefs(&self.cluster);
                let mut told = self.change(change)?;
                self.tell_changes(&before, &mut told);
                Ok(told)
            }
        }
    }

    fn ideal(&mut self, nodes: &[u64]) -> Result<Told, Problem> {
        if let Some(at) = nodes.iter().find(|at| self.cluster.node(**at).is_some()) {
            return Err(Problem::NodeIsThere(*at));
        }
        if self.cluster.nodes().len() + nodes.len() > NODES_MAX {
            return Err(Problem::TooManyNodes);
        }
        let ring = Cluster::ideal(self.cluster.config().clone(), nodes);
        for node in ring.nodes() {
            let Beliefs { list, predecessor, .. } = Beliefs::of(node.view());
            self.cluster.place(number(node.view().me()), &list, predecessor);
        }
        Ok(Told::default())
    }

    fn member(&mut self, at: u64, list: &[u64], predecessor: Option<u64>) -> Result<Told, Problem> {
        if self.cluster.node(at).is_none() {
            self.has_room()?;
        }
        self.cluster.place(at, list, predecessor);
        let Some(node) = self.cluster.node(at) else { return Ok(Told::default()) };
        let Beliefs { list: kept, .. } = Beliefs::of(node.view());
        // A list is cut where it would turn back, and at its length.
        Ok(if kept == list {
            Told::default()
        } else {
            Told::line(format!("its list is cut to {}", numbers(&kept)))
        })
    }

    /// What may change the beliefs of nodes.
    fn change(&mut self, statement: &Statement) -> Result<Told, Problem> {
        match statement {
            Statement::Create(at) => {
                self.is_new(*at)?;
                self.cluster.create(*at);
            }
            Statement::Join { at, contact } => {
                self.is_new(*at)?;
                let token = self.cluster.join(*at, *contact);
                self.joins.insert(*at, token);
            }
            Statement::Fail(at) => {
                self.node(*at)?;
                self.cluster.fail(*at);
            }
            Statement::Leave(at) => {
                self.member_awake(*at)?;
                self.cluster.leave(*at);
            }
            Statement::Freeze(at) => {
                self.awake(*at)?;
                self.cluster.freeze(&name(*at));
            }
            Statement::Thaw(at) => {
                self.node(*at)?;
                self.cluster.thaw(&name(*at));
            }
            Statement::Remember { seed, at } => {
                self.awake(*at)?;
                self.cluster.command(&name(*at), Command::Remember(name(*seed)));
            }
            Statement::Stabilize(at) => {
                self.awake(*at)?;
                self.turn(*at)?;
            }
            Statement::Round { n_rounds } => {
                for _ in 0..*n_rounds {
                    self.round()?;
                }
            }
            Statement::Deliver(which) => return self.deliver(*which),
            Statement::Release => {
                self.holds()?;
                self.cluster.release();
            }
            _ => {}
        }
        Ok(Told::default())
    }

    /// The events since the last statement, then what each node believes now and did not before.
    fn tell_changes(&mut self, before: &BTreeMap<u64, Beliefs>, told: &mut Told) {
        let first = told.lines.len();
        for (node, event) in self.cluster.events().iter().skip(self.n_told) {
            let node = show::called(node);
            match event {
                Event::Dropped(peer, failure) => {
                    told.lines.push(format!("{node} drops {}: {}", number(peer), show::why(failure)));
                }
                Event::Merging(peer) => {
                    told.lines.push(format!("{node} has found {} again: their rings merge", number(peer)));
                }
                Event::PositionTaken(peer) => {
                    told.lines.push(format!("{node} gives its position up to {}", number(peer)));
                }
                Event::Violation { rule, .. } => {
                    told.lines.push(format!("DEFECT at {node}: {rule}"));
                    told.is_failure = true;
                }
                _ => {}
            }
        }
        self.n_told = self.cluster.events().len();
        self.send_home(&mut told.lines);
        told.lines.extend(show::changes(before, &show::beliefs(&self.cluster)));
        let n_shown = first + CHANGES_SHOWN_MAX;
        if told.lines.len() > n_shown {
            let n_more = told.lines.len() - n_shown;
            told.lines.truncate(n_shown);
            told.lines.push(format!("and {n_more} more"));
        }
        if told.lines.is_empty() {
            told.lines.push("no list and no predecessor changes".to_owned());
        }
    }

    /// Removes the nodes that are in no ring and want into none: they may join again.
    fn send_home(&mut self, lines: &mut Vec<String>) {
        let is_idle = |node: &&Node| node.view().phase() == Phase::Idle;
        let idle: Vec<u64> =
            self.cluster.nodes().filter(is_idle).map(|node| number(node.view().me())).collect();
        for at in idle {
            let join = self.joins.remove(&at).and_then(|token| self.cluster.outcome(token));
            if let Some(Err(error)) = join {
                lines.push(format!("{at} does not join: {}", show::plain(&error.to_string())));
            }
            self.cluster.fail(at);
        }
    }

    fn deliver(&mut self, which: Which) -> Result<Told, Problem> {
        self.holds()?;
        let is_it = |idx: &usize| match which {
            Which::Number(number) => idx + 1 == number,
            Which::Between { from, to } => self
                .cluster
                .in_flight()
                .get(*idx)
                .is_some_and(|message| *message.from() == name(from) && *message.to() == name(to)),
        };
        let idx = self.cluster.deliverable().find(is_it).ok_or(Problem::NoMessage)?;
        let told = self.cluster.in_flight().get(idx).map(|message| Told::line(show::message(message)));
        self.cluster.deliver(idx);
        Ok(told.unwrap_or_default())
    }

    fn converge(&mut self, rounds_max: usize) -> Result<Told, Problem> {
        for n_rounds in 0..=rounds_max {
            if self.cluster.is_ideal() {
                self.n_told = self.cluster.events().len();
                return Ok(Told::line(format!("ideal after {}", counted(n_rounds, "round"))));
            }
            if n_rounds < rounds_max {
                self.round()?;
            }
        }
        Ok(Told::no(format!("not ideal after {}", counted(rounds_max, "round"))))
    }

    fn round(&mut self) -> Result<(), Problem> {
        let mut nodes: Vec<u64> = self.cluster.nodes().map(|node| number(node.view().me())).collect();
        nodes.sort_unstable();
        nodes.into_iter().try_for_each(|at| self.turn(at))
    }

    fn turn(&mut self, at: u64) -> Result<(), Problem> {
        self.spend(1)?;
        self.cluster.turn(&name(at));
        Ok(())
    }

    fn spend(&mut self, n_turns: usize) -> Result<(), Problem> {
        self.n_turns += n_turns;
        if self.n_turns > TURNS_MAX { Err(Problem::TooLong) } else { Ok(()) }
    }

    fn cut(&mut self, sides: &[Vec<u64>]) {
        for (idx, side) in sides.iter().enumerate() {
            for other in sides.iter().skip(idx + 1).flatten() {
                for one in side {
                    self.cluster.cut_off(*one, *other);
                }
            }
        }
    }

    fn look_up(&mut self, target: u64, from: u64) -> Result<Result<Found, Failure>, Problem> {
        self.member_awake(from)?;
        Ok(self.cluster.look_up(&name(from), Lookup::of(target.into())))
    }

    fn expect(&mut self, expectation: &Expectation) -> Result<Told, Problem> {
        Ok(match expectation {
            Expectation::Ring { is, wanted } => {
                let holds = match is {
                    Shape::Ideal => self.cluster.is_ideal(),
                    Shape::Ordered => self.cluster.oracle().is_one_ordered_ring(),
                };
                if holds == *wanted { Told::yes() } else { Told::no(show::summary_of(&self.cluster)) }
            }
            Expectation::Members(wanted) => is_set("member", wanted, &self.cluster.oracle().members()),
            Expectation::Principals(wanted) => {
                is_set("principal", wanted, &self.cluster.oracle().principals())
            }
            Expectation::Owner { owner, target, from } => {
                let found = self.look_up(*target, *from)?;
                let is_owner = found.as_ref().is_ok_and(|found| number(&found.owner) == *owner);
                if is_owner { Told::yes() } else { Told::no(show::found(*target, &found)) }
            }
            Expectation::Joining(at) => match self.node(*at)?.view().phase() {
                Phase::Joining => Told::yes(),
                Phase::Member | Phase::Leaving | Phase::Idle => Told::no(format!("{at} is a member")),
            },
            Expectation::Beliefs { at, list, predecessor } => {
                let is = Beliefs::of(self.node(*at)?.view());
                if list.as_ref().is_some_and(|list| *list != is.list) {
                    Told::no(format!("the list of {at} is {}", numbers(&is.list)))
                } else if predecessor.is_some_and(|before| before.node() != is.predecessor) {
                    Told::no(format!("the predecessor of {at} is {}", or_none(is.predecessor)))
                } else {
                    Told::yes()
                }
            }
        })
    }

    fn node(&self, at: u64) -> Result<&Node, Problem> {
        self.cluster.node(at).ok_or_else(|| {
            let mut nodes: Vec<u64> = self.cluster.nodes().map(|node| number(node.view().me())).collect();
            nodes.sort_unstable();
            Problem::NoNode { at, nodes: (!nodes.is_empty()).then(|| numbers(&nodes)) }
        })
    }

    fn awake(&self, at: u64) -> Result<&Node, Problem> {
        let node = self.node(at)?;
        if self.cluster.frozen().contains(&name(at)) { Err(Problem::Frozen(at)) } else { Ok(node) }
    }

    fn member_awake(&self, at: u64) -> Result<(), Problem> {
        if self.awake(at)?.view().is_member() { Ok(()) } else { Err(Problem::NotMember(at)) }
    }

    fn is_new(&self, at: u64) -> Result<(), Problem> {
        if self.cluster.node(at).is_some() { Err(Problem::NodeIsThere(at)) } else { self.has_room() }
    }

    fn has_room(&self) -> Result<(), Problem> {
        if self.cluster.nodes().len() < NODES_MAX { Ok(()) } else { Err(Problem::TooManyNodes) }
    }

    fn holds(&self) -> Result<(), Problem> {
        if self.cluster.is_held() { Ok(()) } else { Err(Problem::NotHeld) }
    }
}

fn is_set<'a>(what: &str, wanted: &[u64], is: impl IntoIterator<Item = &'a Position> + Clone) -> Told {
    let mut wanted: Vec<Position> = wanted.iter().copied().map(Position::from).collect();
    wanted.sort_unstable();
    if wanted.iter().eq(is.clone()) {
        return Told::yes();
    }
    let is: Vec<String> = is.into_iter().map(Position::to_string).collect();
    match is.as_slice() {
        [] => Told::no(format!("there is no {what}")),
        [one] => Told::no(format!("{one} is the only {what}")),
        _ => Told::no(format!("the {what}s are {}", is.join(" "))),
    }
}
