//! Carries statements out.

use std::collections::BTreeMap;

use chord_ring::{Command, Config, Event, Failure, Found, Lookup, Node, Phase, Position, Token};

use super::error::Problem;
use super::show::{self, Beliefs, counted, numbers, or_none};
use super::statement::{Deed, Expectation, Look, Set, Shape, Statement, Which};
use super::{NODES_MAX, TURNS_MAX};
use crate::Cluster;
use crate::numbered::{name, number};

/// Lines that are told of what one statement has changed; `ring` shows it all.
const LINES_TOLD_MAX: usize = 16;

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

    fn lines(lines: Vec<String>) -> Self {
        Self { lines, is_failure: false }
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
            Statement::Set(set) => self.set(set),
            Statement::Do(deed) => {
                let before = show::beliefs(&self.cluster);
                let mut told = self.act(*deed)?;
                self.tell_events(&mut told, |_| true);
                self.tell_changes(&before, &mut told);
                Ok(told)
            }
            Statement::Look(look) => self.look(*look),
            Statement::Expect(expectation) => self.expect(expectation),
        }
    }

    fn set(&mut self, set: &Set) -> Result<Told, Problem> {
        match set {
            Set::Ideal(nodes) => {
                if let Some(at) = nodes.iter().find(|at| self.cluster.node(**at).is_some()) {
                    return Err(Problem::NodeIsThere(*at));
                }
                self.has_room(nodes.len())?;
                self.cluster.place_ideal(nodes);
            }
            Set::Member { at, list, predecessor } => {
                if self.cluster.node(*at).is_none() {
                    self.has_room(1)?;
                }
                self.cluster.place(*at, list, *predecessor);
                let kept = Beliefs::of(self.node(*at)?.view()).list;
                // A list is cut where it would turn back, and at its length.
                if kept != *list {
                    return Ok(Told::line(format!("its list is cut to {}", numbers(&kept))));
                }
            }
            Set::Cut(sides) => self.cut(sides),
            Set::Heal => self.cluster.heal(),
            Set::Hold => self.cluster.hold(),
        }
        Ok(Told::default())
    }

    fn act(&mut self, deed: Deed) -> Result<Told, Problem> {
        match deed {
            Deed::Create(at) => {
                self.is_new(at)?;
                self.cluster.create(at);
            }
            Deed::Join { at, contact } => {
                self.is_new(at)?;
                let token = self.cluster.join(at, contact);
                self.joins.insert(at, token);
            }
            Deed::Fail(at) => {
                self.node(at)?;
                self.cluster.fail(at);
            }
            Deed::Leave(at) => {
                self.member_awake(at)?;
                self.cluster.leave(at);
            }
            Deed::Freeze(at) => {
                self.awake(at)?;
                self.cluster.freeze(&name(at));
            }
            Deed::Thaw(at) => {
                self.node(at)?;
                self.cluster.thaw(&name(at));
            }
            Deed::Remember { seed, at } => {
                self.awake(at)?;
                self.cluster.command(&name(at), Command::Remember(name(seed)));
            }
            Deed::Stabilize(at) => {
                self.awake(at)?;
                self.turn(at)?;
            }
            Deed::Round { n_rounds } => (0..n_rounds).try_for_each(|_| self.round())?,
            Deed::Deliver(which) => return self.deliver(which),
            Deed::Release => {
                self.holds()?;
                self.cluster.release();
            }
        }
        Ok(Told::default())
    }

    fn look(&mut self, look: Look) -> Result<Told, Problem> {
        Ok(match look {
            Look::Ring => Told::lines(show::ring(&self.cluster)),
            Look::Lookup { target, from } => Told::line(show::found(target, &self.look_up(target, from)?)),
            Look::Fingers(at) => Told::lines(show::fingers(self.node(at)?.view())),
            Look::Messages => {
                self.holds()?;
                Told::lines(show::messages(&self.cluster))
            }
        })
    }

    /// What nodes have reported since the last statement, as far as it is `wanted`; and every defect.
    fn tell_events(&mut self, told: &mut Told, wanted: impl Fn(&Event) -> bool) {
        for (node, event) in self.cluster.events().iter().skip(self.n_told) {
            let is_defect = matches!(event, Event::Violation { .. });
            told.is_failure |= is_defect;
            told.lines.extend(show::event(node, event).filter(|_| is_defect || wanted(event)));
        }
        self.n_told = self.cluster.events().len();
    }

    /// What each node believes now and did not before.
    fn tell_changes(&mut self, before: &BTreeMap<u64, Beliefs>, told: &mut Told) {
        self.send_home(&mut told.lines);
        told.lines.extend(show::changes(before, &show::beliefs(&self.cluster)));
        if told.lines.is_empty() {
            told.lines.push("no list and no predecessor changes".to_owned());
        }
        if told.lines.len() > LINES_TOLD_MAX {
            let n_more = told.lines.len() - LINES_TOLD_MAX;
            told.lines.truncate(LINES_TOLD_MAX);
            told.lines.push(format!("and {n_more} more"));
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
        let mut n_rounds = 0;
        while n_rounds < rounds_max && !self.cluster.is_ideal() {
            self.round()?;
            n_rounds += 1;
        }
        let mut told = if self.cluster.is_ideal() {
            Told::line(format!("ideal after {}", counted(n_rounds, "round")))
        } else {
            Told::no(format!("not ideal after {}", counted(n_rounds, "round")))
        };
        self.tell_events(&mut told, |_| false);
        Ok(told)
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
            Expectation::Converge { rounds_max } => self.converge(*rounds_max)?,
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
        if self.cluster.node(at).is_some() { Err(Problem::NodeIsThere(at)) } else { self.has_room(1) }
    }

    fn has_room(&self, n_more: usize) -> Result<(), Problem> {
        if self.cluster.nodes().len() + n_more <= NODES_MAX { Ok(()) } else { Err(Problem::TooManyNodes) }
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
