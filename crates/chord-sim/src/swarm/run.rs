//! One run of a plan: first the faults, then healing; and what must hold meanwhile and afterwards.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chord_ring::{NodeName, Phase, Position, REMEMBERED_MAX, View, is_ideal};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::plan::{Fault, Kind, OneWay, Plan};
use crate::Oracle;
use crate::world::{Changed, Cut, HostId, Latency, LookupId, Outcome, Step, Time, World};

/// Rounds of maintenance after the last fault within which every node must be in one ideal ring.
///
/// A joiner may rest for its 25 attempts, 5 s. A remembered peer that was silent for long is probed after up to 4 rounds
/// (`2^BACKOFF_MAX`), and up to 20 of them may wait for the one probe of a round; each merge that it starts passes round
/// the ring, and a list is right r rounds after the last change.
pub const ROUNDS_TO_IDEAL: u64 = 100;

/// Rounds for which it must stay so.
const ROUNDS_AFTER: Duration = Duration::from_secs(10);

/// Lookups that each node is asked when all is quiet.
const LOOKUPS_AFTER: usize = 4;

/// Whether a node that starts knows whom the last one on its host knew.
#[derive(Clone, Copy)]
enum Memory {
    Kept,
    Lost,
}

/// Between two looks at whether the ring is ideal.
const LOOK: Duration = Duration::from_millis(100);

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Time,
    /// Which.
    pub rule: Rule,
    /// How it showed, and the ring at that time.
    pub description: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// A list goes strictly forward and never past its node, and no list, message or memory is longer than its bound.
    LocalBounds,
    /// A node found itself in a state that it must not be in.
    NoComplaint,
    /// There are more than r principals (TSE 2017, section IV).
    SufficientPrincipals,
    /// Only its own failure makes a principal none (TSE 2017, section VII-B).
    PrincipalsStay,
    /// Every member has a live successor (TSE 2017, section IV).
    OneLiveSuccessor,
    /// There is one ordered ring, and every principal is in it (TSE 2017, section IV).
    OneOrderedRing,
    /// A lookup that ends names somebody who was alive while it ran.
    LiveOwner,
    /// Afterwards, all nodes are one ideal ring within [`ROUNDS_TO_IDEAL`], and stay so; without seeds, an ideal ring each
    /// of those that know of each other.
    BecomesIdeal,
    /// Members that know of each other when all is mended end in one ring.
    StaysTogether,
    /// In an ideal ring every lookup ends with the owner.
    RightOwner,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalBounds => "a list is out of order or a bound is passed",
            Self::NoComplaint => "a node found itself in a state that it must not be in",
            Self::SufficientPrincipals => "there are not more than r principals",
            Self::PrincipalsStay => "a principal that lives is skipped",
            Self::OneLiveSuccessor => "a member has no live successor",
            Self::OneOrderedRing => "there is not one ordered ring",
            Self::LiveOwner => "a lookup named an owner that was dead all the time",
            Self::BecomesIdeal => "the ring does not become ideal",
            Self::StaysTogether => "members that knew of each other are in different rings",
            Self::RightOwner => "a lookup in an ideal ring did not end with the owner",
        })
    }
}

/// What a run came to, if every rule held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Passed {
    /// How many things happened.
    pub n_steps: u64,
    /// How many messages were sent.
    pub n_messages: u64,
    /// How many of the faults could happen and did.
    pub n_faults: usize,
    /// How many clients' lookups ended with an owner.
    pub n_found: usize,
    /// How many rounds after the last fault the ring was ideal.
    pub rounds_to_ideal: u64,
    /// Whether several rings that know nothing of each other were left: 0 or 1 for one run.
    pub n_apart: usize,
}

/// A run on its way.
pub struct Run {
    plan: Plan,
    /// The ring, to be looked at.
    pub world: World,
    principals: BTreeSet<Position>,
    passed: Passed,
}

impl Run {
    /// The beginning of a run.
    pub fn new(plan: Plan) -> Self {
        let mut world = World::new(plan.settings(), plan.network.clone());
        let hosts: Vec<HostId> = plan.peers().into_iter().filter_map(|peer| world.add_host(peer)).collect();
        let seeds: Vec<HostId> = hosts.iter().copied().take(plan.seeds).collect();
        for (host, clock) in hosts.iter().zip(&plan.clocks) {
            world.set_clock(*host, *clock);
            world.set_seeds(*host, &seeds);
        }
        match hosts.get(..plan.founders) {
            Some([founder]) => world.create(*founder),
            Some(founders) => world.start_ideal(founders),
            None => {}
        }
        for timed in &plan.faults {
            world.set_alarm(timed.at, timed.number as u64);
        }
        Self { plan, world, principals: BTreeSet::new(), passed: Passed::default() }
    }

    /// Runs the whole plan.
    ///
    /// # Errors
    /// A rule did not hold.
    pub fn finish(mut self) -> Result<Passed, Broken> {
        self.finish_here()
    }

    /// The same; the world stays to be looked at.
    ///
    /// # Errors
    /// A rule did not hold.
    pub fn finish_here(&mut self) -> Result<Passed, Broken> {
        self.check_global_rules()?;
        let end = Time::ZERO.after(self.plan.length);
        self.run_until(end)?;
        self.heal();
        self.become_ideal()?;
        self.stay_ideal()?;
        self.passed.n_steps = self.world.n_steps();
        self.passed.n_messages = self.world.n_messages();
        Ok(self.passed)
    }

    fn run_until(&mut self, end: Time) -> Result<(), Broken> {
        while self.world.next_at().is_some_and(|next| next <= end) {
            match self.world.step() {
                Some(Step::Alarm(number)) => self.strike(number)?,
                Some(Step::At(host, changed)) => self.check_step(host, changed)?,
                Some(Step::Nothing) => {}
                None => break,
            }
        }
        self.world.run_until(end);
        Ok(())
    }

    /// Lets the fault of this number happen, if it can.
    fn strike(&mut self, number: u64) -> Result<(), Broken> {
        let timed = self.plan.faults.iter().find(|timed| timed.number as u64 == number);
        let Some(fault) = timed.map(|timed| timed.fault.clone()) else { return Ok(()) };
        if self.can_happen(&fault) {
            self.passed.n_faults += 1;
            self.happen(fault);
        }
        self.check_global_rules()
    }

    fn can_happen(&self, fault: &Fault) -> bool {
        let world = &self.world;
        let exists = |host: &HostId| (host.0 as usize) < self.plan.hosts;
        let is_up = |host: &HostId| exists(host) && world.node(*host).is_some();
        match fault {
            Fault::Join(host) | Fault::Restart(host) => exists(host) && !is_up(host),
            Fault::Crash(host, _) => is_up(host) && self.may_lose(*host),
            Fault::Leave(host) => {
                is_up(host) && world.phase(*host) == Some(Phase::Member) && self.may_lose(*host)
            }
            Fault::Freeze(host) | Fault::Thaw(host) => is_up(host),
            Fault::LookUp(host, _) => is_up(host) && !world.is_asleep(*host),
            Fault::Cut(..)
            | Fault::Mend
            | Fault::Slow(..)
            | Fault::NoAnswers(_)
            | Fault::AnswersAgain(_)
            | Fault::Loss(_) => true,
        }
    }

    fn happen(&mut self, fault: Fault) {
        let world = &mut self.world;
        match fault {
            Fault::Join(host) => self.start(host, Memory::Lost),
            Fault::Restart(host) => self.start(host, Memory::Kept),
            Fault::Crash(host, down) => world.crash(host, down),
            Fault::Leave(host) => world.leave(host),
            Fault::Freeze(host) => world.freeze(host),
            Fault::Thaw(host) => world.thaw(host),
            Fault::LookUp(host, target) => _ = world.look_up(host, target),
            Fault::Cut(side, one_way) => {
                world.network.cuts.push(Cut { side, one_way: one_way == OneWay::Yes });
            }
            Fault::Mend => world.network.cuts.clear(),
            Fault::Slow(host, by) => {
                world.network.slow.retain(|(other, _)| *other != host);
                world.network.slow.push((host, by));
            }
            Fault::NoAnswers(host) => _ = world.network.unanswered.insert(host),
            Fault::AnswersAgain(host) => _ = world.network.unanswered.remove(&host),
            Fault::Loss(rate) => world.network.loss = rate,
        }
    }

    /// Starts a node that joins through the seeds, or through whoever is a member at this time: its operator asks around.
    fn start(&mut self, host: HostId, memory: Memory) {
        let is_member = |other: &HostId| self.world.phase(*other) == Some(Phase::Member);
        let (mut contacts, others): (Vec<HostId>, Vec<HostId>) = self.world.hosts().partition(is_member);
        contacts.extend(others);
        match memory {
            Memory::Kept => self.world.join_with_memory(host, &contacts),
            Memory::Lost => self.world.join(host, &contacts),
        }
    }

    /// Whether the assumptions of the proof survive when this node is gone.
    fn may_lose(&self, host: HostId) -> bool {
        if self.plan.kind == Kind::Wild {
            return true;
        }
        let name = self.world.name(host);
        let left = self.world.oracle().without(name);
        left.principals().len() > usize::from(self.plan.successors) && left.is_everybody_linked()
    }

    fn heal(&mut self) {
        self.world.network.heal();
        if let Latency::Exponential(mean) = self.world.network.latency {
            // One message in a thousand would still come too late, and look like a death.
            self.world.network.latency = Latency::Uniform(Duration::ZERO, mean);
        }
        for host in self.world.hosts() {
            if self.world.is_asleep(host) {
                self.world.thaw(host);
            }
        }
        let is_member = |world: &World, host: HostId| world.phase(host) == Some(Phase::Member);
        if !self.world.hosts().any(|host| is_member(&self.world, host)) {
            let founder = HostId(0);
            if self.world.node(founder).is_some() {
                self.world.crash(founder, crate::world::Down::Refuses);
            }
            self.world.create(founder);
        }
        for seed in self.world.hosts().take(self.plan.seeds) {
            if self.world.node(seed).is_none() {
                self.start(seed, Memory::Lost);
            }
        }
    }

    fn become_ideal(&mut self) -> Result<(), Broken> {
        let rounds_before: Vec<u64> = self.world.hosts().map(|host| self.world.rounds(host)).collect();
        // Whoever knows of each other now must be together in the end, whoever else is with them.
        let groups = self.world.acquainted();
        // What was asked before, and lost, still ends in a silence that may cost a neighbour.
        let settled = self.world.now().after(self.plan.settings().patience * 2);
        loop {
            let rounds = |(host, before): (HostId, &u64)| self.world.rounds(host) - before;
            let most = self.world.hosts().zip(&rounds_before).map(rounds).max().unwrap_or_default();
            self.passed.rounds_to_ideal = most;
            if self.world.now() > settled && self.is_ideal() {
                break;
            }
            if most > ROUNDS_TO_IDEAL {
                return Err(self.broken(Rule::BecomesIdeal, &format!("not ideal after {most} rounds")));
            }
            self.run_until(self.world.now().after(LOOK))?;
        }
        let rings = self.world.acquainted();
        self.passed.n_apart = usize::from(rings.len() > 1);
        match groups.iter().find(|group| !is_together(group, &rings, &self.world)) {
            Some(group) => Err(self.broken(Rule::StaysTogether, &format!("{group:?}"))),
            None => Ok(()),
        }
    }

    /// Whether all nodes are one ideal ring, or, where nobody is remembered for ever, an ideal ring each of those that
    /// know of each other.
    fn is_ideal(&self) -> bool {
        if self.world.is_ideal() {
            return true;
        }
        let may_be_apart = self.plan.kind == Kind::Wild && self.plan.seeds == 0;
        may_be_apart
            && self.world.views().all(View::is_member)
            && self
                .world
                .acquainted()
                .iter()
                .all(|ring| is_ideal(self.world.views().filter(|view| ring.contains(&view.me().name))))
    }

    /// Once ideal, the ring stays ideal, and every lookup ends with the owner.
    fn stay_ideal(&mut self) -> Result<(), Broken> {
        let until = self.world.now().after(ROUNDS_AFTER);
        while self.world.now() < until {
            self.run_until(self.world.now().after(LOOK))?;
            if !self.is_ideal() {
                return Err(self.broken(Rule::BecomesIdeal, "it was ideal and is not any more"));
            }
        }
        let mut random = Pcg64Mcg::seed_from_u64(self.plan.seed ^ 1);
        let members: Vec<HostId> =
            self.world.hosts().filter(|host| self.world.node(*host).is_some()).collect();
        let mut asked: Vec<LookupId> = Vec::new();
        for host in members {
            for _ in 0..LOOKUPS_AFTER {
                let size = self.plan.settings().config.ring().size;
                let target = size.reduce(Position::from(random.random::<u64>()));
                asked.extend(self.world.look_up(host, target));
            }
        }
        self.run_until(self.world.now().after(self.plan.settings().lookup_patience * 2))?;
        let rings = self.world.acquainted();
        asked.into_iter().try_for_each(|id| self.check_owner(id, &rings))
    }

    /// The owner is one of the ring of whoever asked.
    fn check_owner(&self, id: LookupId, rings: &BTreeSet<BTreeSet<NodeName>>) -> Result<(), Broken> {
        let errand = &self.world.errands()[id.0 as usize];
        let asker = self.world.name(errand.host);
        let ring = rings.iter().find(|ring| ring.contains(asker));
        let is_in_it = |view: &&View| ring.is_some_and(|ring| ring.contains(&view.me().name));
        let owner = Oracle::new(self.world.views().filter(is_in_it)).owner(errand.target);
        match &errand.ended {
            Some((_, Outcome::Found(found))) if Some(found.owner.position) == owner => Ok(()),
            ended => Err(self.broken(
                Rule::RightOwner,
                &format!("{} from {asker}: {ended:?}, not {owner:?}", errand.target),
            )),
        }
    }

    /// What must hold after every step.
    fn check_step(&mut self, host: HostId, changed: Changed) -> Result<(), Broken> {
        if let Some(complaint) = self.world.take_complaints().first() {
            return Err(self.broken(Rule::NoComplaint, &format!("{complaint:?}")));
        }
        self.check_errands()?;
        if changed == Changed::No {
            return Ok(());
        }
        self.check_local_rules(host)?;
        self.check_global_rules()
    }

    fn check_local_rules(&self, host: HostId) -> Result<(), Broken> {
        let Some(node) = self.world.node(host) else { return Ok(()) };
        let view = node.view();
        let r = usize::from(self.plan.successors);
        let list = view.successors().as_slice();
        let mut before = view.me().position;
        for peer in list {
            if !chord_ring::between(before, peer.position, view.me().position) {
                return Err(
                    self.broken(Rule::LocalBounds, &format!("the list of {} is out of order", view.me()))
                );
            }
            before = peer.position;
        }
        let bits = usize::from(view.ring().size.bits());
        let is_bounded = list.len() <= r
            && view.fingers().runs().len() <= bits
            && node.remembered().names().count() <= REMEMBERED_MAX
            && self.world.n_calls(host) <= CALLS_MAX
            && self.world.states_on_their_way().all(|state| state.successors.len() <= r);
        if is_bounded {
            Ok(())
        } else {
            Err(self.broken(Rule::LocalBounds, &format!("{} or a message passes a bound", view.me())))
        }
    }

    fn check_global_rules(&mut self) -> Result<(), Broken> {
        if self.plan.kind == Kind::Wild {
            return Ok(());
        }
        let oracle = self.world.oracle();
        let (principals, members) = (oracle.principals(), oracle.members());
        let demoted: Vec<Position> =
            self.principals.intersection(&members).filter(|at| !principals.contains(at)).copied().collect();
        let broken = if principals.len() <= usize::from(self.plan.successors) {
            Some((Rule::SufficientPrincipals, format!("principals {principals:?}")))
        } else if !demoted.is_empty() {
            Some((Rule::PrincipalsStay, format!("skipped: {demoted:?}")))
        } else if !oracle.is_everybody_linked() {
            Some((Rule::OneLiveSuccessor, String::new()))
        } else if !oracle.ring().is_some_and(|ring| principals.is_subset(&ring)) {
            Some((Rule::OneOrderedRing, String::new()))
        } else {
            None
        };
        if let Some((rule, how)) = broken {
            return Err(self.broken(rule, &how));
        }
        self.principals = principals;
        Ok(())
    }

    /// Lookups that have ended since the last time.
    fn check_errands(&mut self) -> Result<(), Broken> {
        while let Some(id) = self.world.next_ended() {
            let errand = &self.world.errands()[id.0 as usize];
            if let Some((_, Outcome::Found(found))) = &errand.ended {
                let owner = self.world.host(&found.owner.name);
                if !owner.is_some_and(|owner| self.world.was_up_since(owner, errand.began)) {
                    return Err(self.broken(Rule::LiveOwner, &format!("{errand:?}")));
                }
                self.passed.n_found += 1;
            }
        }
        Ok(())
    }

    fn broken(&self, rule: Rule, how: &str) -> Broken {
        let ring: Vec<String> = self.world.describe();
        Broken { at: self.world.now(), rule, description: format!("{how}\n{}", ring.join("\n")) }
    }
}

/// Whether those of a group that still run are in one ring.
fn is_together(group: &BTreeSet<NodeName>, rings: &BTreeSet<BTreeSet<NodeName>>, world: &World) -> bool {
    let runs = |name: &&NodeName| world.views().any(|view| view.me().name == **name);
    let left: BTreeSet<NodeName> = group.iter().filter(runs).cloned().collect();
    left.is_empty() || rings.iter().any(|ring| left.is_subset(ring))
}

/// Requests of one host that may be open at one time: six of its node's own, and one for each lookup that it carries; a
/// plan begins at most 40 lookups, and each comes to a host once, and once more for each finger that is looked up. With
/// each the peer may be asked whether it lives.
const CALLS_MAX: usize = 2 * (6 + 40 + super::plan::HOSTS_MAX * 4);
