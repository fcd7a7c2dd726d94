//! One run of a plan: clients and mishaps, then healing, then every key is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chord_kv::replication::{Change, Condition, Expiry, Operation, OperationError};
use chord_kv::{Key, Value};
use chord_ring::Phase;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::history::{Deed, History, Saw};
use super::plan::{Class, DataPlan, Mishap};
use crate::world::{Action, ActionId, Cut, HostId, Keeping, Step, Time, World};

/// How long after the last mishap every range is complete and has as many copies as it should: the ring takes a hundred
/// rounds at most, and what nobody counted on is offered for as long as a holding lapses.
pub const READY_WITHIN: Duration = Duration::from_secs(150);

/// Between two looks at whether everything is as it should be.
const LOOK: Duration = Duration::from_millis(250);

/// The alarm for the next operation of a client; those of mishaps are their numbers.
const CLIENT: u64 = u64::MAX;

/// Keys that are counted up instead of written.
const COUNTERS: usize = 2;

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataBroken {
    /// When.
    pub at: Time,
    /// Which.
    pub rule: DataRule,
    /// How it showed.
    pub description: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DataRule {
    /// A read sees no less than was acknowledged before it began: no write is lost, and no deleted key comes back.
    NothingLost,
    /// A counter holds at least the acknowledged increments, and at most all of them.
    NothingMiscounted,
    /// When nothing goes wrong any more, every range becomes complete and has as many copies as it should.
    BecomesReplicated,
    /// Then every operation is answered.
    Answers,
    /// Then the members of a group hold the same records of its range.
    CopiesAgree,
}

impl fmt::Display for DataRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingLost => "an acknowledged write was lost, or a deleted key came back",
            Self::NothingMiscounted => "a counter lost an acknowledged increment, or counted one twice",
            Self::BecomesReplicated => "the records do not become complete and replicated",
            Self::Answers => "an operation had no answer though nothing went wrong any more",
            Self::CopiesAgree => "copies of a key differ though nothing goes wrong any more",
        })
    }
}

/// What a run came to, if every rule held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DataPassed {
    /// How many things happened.
    pub n_steps: u64,
    /// How many of the mishaps could happen and did.
    pub n_mishaps: usize,
    /// How many writes were acknowledged.
    pub n_acknowledged: usize,
    /// How many operations ended without a definite answer.
    pub n_uncertain: usize,
    /// How many reads were checked.
    pub n_reads: usize,
    /// How long after the last mishap everything was replicated.
    pub ready_after: Duration,
}

/// A run on its way.
pub struct DataRun {
    plan: DataPlan,
    /// The ring, to be looked at.
    pub world: World,
    random: Pcg64Mcg,
    /// What each action wrote, in order.
    written: u64,
    passed: DataPassed,
    /// Whether the next node that acknowledges a write crashes, and how.
    armed: Option<crate::world::Down>,
    is_over: bool,
}

impl DataRun {
    /// The beginning of a run.
    pub fn new(plan: DataPlan) -> Self {
        Self::with_settings(plan, |_| {})
    }

    /// The same with other settings of replication than the plan's.
    pub fn with_settings(plan: DataPlan, change: impl FnOnce(&mut chord_kv::replication::Settings)) -> Self {
        let mut settings = plan.settings();
        if let Some(data) = &mut settings.data {
            change(&mut data.replication);
        }
        let mut world = World::new(settings, plan.network.clone());
        let hosts: Vec<HostId> = plan.peers().into_iter().filter_map(|peer| world.add_host(peer)).collect();
        for (host, skew_ms) in hosts.iter().zip(&plan.skews_ms) {
            world.set_skew(*host, *skew_ms);
            world.set_seeds(*host, &hosts[..1]);
        }
        match hosts.get(..plan.founders) {
            Some([founder]) => world.create(*founder),
            Some(founders) => world.start_ideal(founders),
            None => {}
        }
        for timed in &plan.mishaps {
            world.set_alarm(timed.at, timed.number as u64);
        }
        world.set_alarm(Duration::from_millis(500), CLIENT);
        let random = Pcg64Mcg::seed_from_u64(plan.seed ^ 2);
        Self { plan, world, random, written: 0, passed: DataPassed::default(), armed: None, is_over: false }
    }

    /// Runs the whole plan.
    ///
    /// # Errors
    /// A rule did not hold.
    pub fn finish(mut self) -> Result<DataPassed, DataBroken> {
        self.finish_here()
    }

    /// The same; the world stays to be looked at.
    ///
    /// # Errors
    /// A rule did not hold.
    pub fn finish_here(&mut self) -> Result<DataPassed, DataBroken> {
        self.run_until(Time::ZERO.after(self.plan.length));
        self.heal();
        self.become_replicated()?;
        let asked = self.read_all()?;
        self.check_histories(&asked)?;
        self.check_copies()?;
        self.passed.n_steps = self.world.n_steps();
        Ok(self.passed)
    }

    fn run_until(&mut self, end: Time) {
        while self.world.next_at().is_some_and(|next| next <= end) {
            match self.world.step() {
                Some(Step::Alarm(CLIENT)) => self.act_as_client(),
                Some(Step::Alarm(number)) => self.strike(number),
                Some(Step::At(..)) => self.crash_if_armed(),
                Some(Step::Nothing) => {}
                None => break,
            }
        }
        self.world.run_until(end);
    }

    fn act_as_client(&mut self) {
        if self.is_over {
            return;
        }
        let pause = self.plan.pause.mul_f64(self.random.random::<f64>() * 2.0);
        self.world.set_alarm(pause, CLIENT);
        let is_up =
            |host: &HostId| self.world.phase(*host) == Some(Phase::Member) && !self.world.is_asleep(*host);
        let Some(host) = self.world.hosts().filter(is_up).choose(&mut self.random) else { return };
        let idx = self.random.random_range(0..self.plan.keys + COUNTERS);
        let operation = if idx >= self.plan.keys {
            match self.random.random_range(0..3) {
                0 => Operation::Get,
                _ => Operation::Change {
                    change: Change::Add(1),
                    condition: Condition::Always,
                    expiry: Expiry::Never,
                },
            }
        } else {
            match self.random.random_range(0..10) {
                0..4 => Operation::Get,
                4..9 => {
                    self.written += 1;
                    Operation::put(value(&format!("v{}", self.written)))
                }
                _ => Operation::delete(),
            }
        };
        self.world.operate(host, key(idx), operation);
    }

    /// Lets the mishap of this number happen, if it can.
    fn strike(&mut self, number: u64) {
        let timed = self.plan.mishaps.iter().find(|timed| timed.number as u64 == number);
        let Some(mishap) = timed.map(|timed| timed.mishap.clone()) else { return };
        if self.is_over || !self.can_happen(&mishap) {
            return;
        }
        self.passed.n_mishaps += 1;
        let world = &mut self.world;
        match mishap {
            Mishap::Start(host) => self.start(host),
            Mishap::Crash(host, down) => world.crash(host, down),
            Mishap::CrashOwner(down) => self.armed = Some(down),
            Mishap::Leave(host) => world.leave(host),
            Mishap::Freeze(host) => world.freeze(host),
            Mishap::Thaw(host) => world.thaw(host),
            Mishap::Cut(side) => world.network.cuts.push(Cut { side, one_way: false }),
            Mishap::Mend => world.network.cuts.clear(),
            Mishap::Slow(host, by) => {
                world.network.slow.retain(|(other, _)| *other != host);
                world.network.slow.push((host, by));
            }
            Mishap::Loss(rate) => world.network.loss = rate,
            Mishap::Blackout => self.black_out(),
        }
    }

    /// The power goes and comes back. Somebody has to begin a ring again.
    fn black_out(&mut self) {
        let is_up = |host: &HostId| self.world.node(*host).is_some();
        let hosts: Vec<HostId> = self.world.hosts().filter(is_up).collect();
        for host in &hosts {
            self.world.crash(*host, crate::world::Down::Refuses);
        }
        if let Some((first, others)) = hosts.split_first() {
            self.world.create(*first);
            let contacts: Vec<HostId> = std::iter::once(*first).chain(self.world.hosts()).collect();
            for host in others {
                self.world.join_with_memory(*host, &contacts);
            }
        }
    }

    /// Ends the process that has just acknowledged a write, if one is to be.
    fn crash_if_armed(&mut self) {
        let acknowledged = self.world.take_acknowledged();
        let Some(down) = self.armed.filter(|_| !self.is_over) else { return };
        let Some(position) = acknowledged else { return };
        let owner = self.ranges().into_iter().find(|(_, range)| range.contains(position));
        if let Some((host, _)) = owner.filter(|(host, _)| self.may_lose(*host)) {
            self.world.crash(host, down);
            self.armed = None;
        }
    }

    fn can_happen(&self, mishap: &Mishap) -> bool {
        let world = &self.world;
        let is_up = |host: HostId| world.node(host).is_some();
        match mishap {
            Mishap::Start(host) => !is_up(*host),
            Mishap::Crash(host, _) => is_up(*host) && self.may_lose(*host),
            Mishap::Leave(host) => {
                world.phase(*host) == Some(Phase::Member)
                    && !world.is_asleep(*host)
                    && self.may_do_without(*host)
            }
            Mishap::Freeze(host) | Mishap::Thaw(host) => is_up(*host),
            Mishap::CrashOwner(_)
            | Mishap::Cut(_)
            | Mishap::Mend
            | Mishap::Slow(..)
            | Mishap::Loss(_)
            | Mishap::Blackout => true,
        }
    }

    /// Whether the crash of a process destroys no more copies than the promise bears.
    fn may_lose(&self, host: HostId) -> bool {
        // What is on disk comes back; but until then reads do not see it, and where clocks do not agree, a ring that forgot
        // for a while writes older versions over newer ones.
        if self.plan.keeping == Keeping::Disk && self.plan.class == Class::Rough {
            return true;
        }
        let copies = usize::from(self.plan.replicas).min(self.members().len());
        let quorum = copies / 2 + 1;
        self.may_do_without(host) && quorum > 1 && self.is_calm()
    }

    /// Whether others are there and stay: the last one takes everything with it.
    fn may_do_without(&self, host: HostId) -> bool {
        self.members().iter().any(|other| *other != host && !self.world.is_leaving(*other))
    }

    fn members(&self) -> Vec<HostId> {
        self.world.hosts().filter(|host| self.world.phase(*host) == Some(Phase::Member)).collect()
    }

    /// Whether every node is in one ring, has everything of its range, and has as many copies as it should.
    fn is_calm(&self) -> bool {
        let world = &self.world;
        let is_ready = |host: HostId| {
            world.data_status(host).is_none_or(|status| status.is_complete && status.is_replicated)
        };
        world.is_ideal()
            && world.network.cuts.is_empty()
            && world.hosts().all(|host| !world.is_asleep(host) && !world.is_leaving(host) && is_ready(host))
    }

    fn start(&mut self, host: HostId) {
        let members = self.members();
        let others: Vec<HostId> = self.world.hosts().filter(|other| *other != host).collect();
        let contacts: Vec<HostId> = members.into_iter().chain(others).collect();
        match self.plan.keeping {
            Keeping::Disk => self.world.join_with_memory(host, &contacts),
            Keeping::Memory => self.world.join(host, &contacts),
        }
    }

    fn heal(&mut self) {
        self.is_over = true;
        self.world.network.heal();
        let hosts: Vec<HostId> = self.world.hosts().collect();
        for host in &hosts {
            if self.world.is_asleep(*host) {
                self.world.thaw(*host);
            }
        }
        if self.members().is_empty() {
            // Whoever is on its way into a ring that there is not any more begins anew.
            for host in
                hosts.iter().filter(|host| self.world.node(**host).is_some()).copied().collect::<Vec<_>>()
            {
                self.world.crash(host, crate::world::Down::Refuses);
            }
            self.world.create(hosts[0]);
        }
        let stays = |host: &HostId| !self.world.is_leaving(*host);
        if !self.members().iter().any(stays)
            && let Some(host) = hosts.iter().copied().find(|host| self.world.node(*host).is_none())
        {
            self.start(host); // Those who leave wait for somebody who stays.
        }
        if self.plan.keeping == Keeping::Disk {
            // A disk that stays away takes its copies with it.
            for host in hosts {
                if self.world.node(host).is_none() {
                    self.start(host);
                }
            }
        }
    }

    fn become_replicated(&mut self) -> Result<(), DataBroken> {
        let began = self.world.now();
        // What was asked before, and lost, still ends in a silence that may cost a neighbour.
        let settled = began.after(Duration::from_secs(5));
        // Twice in a row, since a copy on its way is missed by a look.
        let mut calm = 0;
        loop {
            self.run_until(self.world.now().after(LOOK));
            // All others remember it, so that rings find each other that have nobody in common.
            if self.world.node(HostId(0)).is_none() {
                self.start(HostId(0));
            }
            calm = if self.is_calm() && self.members().len() == self.running() { calm + 1 } else { 0 };
            let are_ended = self.world.actions().iter().all(|action| action.ended.is_some());
            if calm >= 2 && self.world.now() > settled && are_ended && self.holds_no_strays() {
                self.passed.ready_after = self.world.now().since(began);
                return Ok(());
            }
            if self.world.now().since(began) > READY_WITHIN {
                let how = self.describe();
                return Err(self.broken(DataRule::BecomesReplicated, &how));
            }
        }
    }

    fn running(&self) -> usize {
        self.world.hosts().filter(|host| self.world.node(*host).is_some()).count()
    }

    /// The hosts in the order of the ring, with the positions after which each owns.
    fn ranges(&self) -> Vec<(HostId, chord_kv::Range)> {
        let mut members: Vec<(chord_ring::Position, HostId)> = self
            .members()
            .into_iter()
            .filter_map(|host| Some((self.world.node(host)?.view().me().position, host)))
            .collect();
        members.sort_unstable();
        let before = members.iter().cycle().skip(members.len().saturating_sub(1));
        let pairs = members.iter().zip(before);
        pairs
            .map(|((up_to, host), (after, _))| (*host, chord_kv::Range { after: *after, up_to: *up_to }))
            .collect()
    }

    /// Whether nobody has records that it should not keep.
    fn holds_no_strays(&self) -> bool {
        let ranges = self.ranges();
        let copies = usize::from(self.plan.replicas).min(ranges.len());
        ranges.iter().enumerate().all(|(idx, (host, _))| {
            let kept = (0..copies).map(|back| ranges[(idx + ranges.len() - back) % ranges.len()].1);
            let kept: Vec<chord_kv::Range> = kept.collect();
            self.world
                .records(*host)
                .iter()
                .all(|record| kept.iter().any(|range| range.contains(record.position)))
        })
    }

    /// Reads every key through several hosts.
    fn read_all(&mut self) -> Result<Vec<ActionId>, DataBroken> {
        let mut asked = Vec::new();
        for _ in 0..2 {
            for idx in 0..self.plan.keys + COUNTERS {
                let members = self.members();
                let Some(host) = members.into_iter().choose(&mut self.random) else { continue };
                asked.extend(self.world.operate(host, key(idx), Operation::Get));
            }
            self.run_until(self.world.now().after(Duration::from_secs(5)));
        }
        for id in &asked {
            let action = &self.world.actions()[id.0 as usize];
            if !matches!(action.ended, Some((_, Ok(_)))) {
                let how = format!("{:?} of {:?}: {:?}", action.operation, action.key, action.ended);
                return Err(self.broken(DataRule::Answers, &how));
            }
        }
        Ok(asked)
    }

    fn check_histories(&mut self, last: &[ActionId]) -> Result<(), DataBroken> {
        let actions = self.world.actions();
        let mut histories: BTreeMap<Key, History> = BTreeMap::new();
        let mut reads: Vec<(Key, Saw, bool)> = Vec::new();
        let last: BTreeSet<u32> = last.iter().map(|id| id.0).collect();
        for (number, action) in actions.iter().enumerate() {
            let is_last = u32::try_from(number).is_ok_and(|number| last.contains(&number));
            let history = histories.entry(action.key.clone()).or_default();
            history.is_open_ended = self.plan.class == Class::Skewed;
            history.deeds.extend(deed(action));
            reads.extend(saw(action).map(|saw| (action.key.clone(), saw, is_last)));
        }
        let uncertain = |action: &&Action| matches!(action.ended, Some((_, Err(_))) | None);
        self.passed.n_uncertain = actions.iter().filter(uncertain).count();
        let acknowledged = histories.values().flat_map(|history| &history.deeds);
        self.passed.n_acknowledged = acknowledged.filter(|deed| deed.is_acknowledged).count();
        let counters: BTreeSet<Key> = (self.plan.keys..self.plan.keys + COUNTERS).map(key).collect();
        for (key, saw, is_last) in reads {
            if counters.contains(&key) {
                // Where clocks do not agree, an increment whose outcome is unknown may come back over later ones.
                if is_last && self.plan.class == Class::Steady {
                    self.check_counter(&key, &saw)?;
                }
                continue;
            }
            // While things are rough, a node that is cut off may answer from its past.
            if is_last || self.plan.class != Class::Rough {
                self.passed.n_reads += 1;
                if let Some(Err(why)) = histories.get(&key).map(|history| history.judge(&saw)) {
                    return Err(self.broken(DataRule::NothingLost, &format!("{key:?}: {why}")));
                }
            }
        }
        Ok(())
    }

    fn check_counter(&self, key: &Key, saw: &Saw) -> Result<(), DataBroken> {
        let increments = self
            .world
            .actions()
            .iter()
            .filter(|action| action.key == *key && action.operation != Operation::Get);
        let (mut least, mut most) = (0_u64, 0_u64);
        for action in increments {
            match &action.ended {
                Some((_, Ok(_))) => (least, most) = (least + 1, most + 1),
                Some((_, Err(error))) if is_definite(error) => {}
                Some((_, Err(_))) | None => most += 1,
            }
        }
        let count = saw.value.as_deref().map_or(Some(0), |text| text.parse().ok());
        if count.is_some_and(|count| (least..=most).contains(&count)) {
            return Ok(());
        }
        let how = format!("{key:?} is {:?}, after {least} to {most} increments", saw.value);
        Err(self.broken(DataRule::NothingMiscounted, &how))
    }

    /// The owner of a range and those after it hold the same of it.
    fn check_copies(&self) -> Result<(), DataBroken> {
        let ranges = self.ranges();
        let copies = usize::from(self.plan.replicas).min(ranges.len());
        for (idx, (owner, range)) in ranges.iter().enumerate() {
            let of = |host: HostId| {
                let records = self.world.records(host).into_iter();
                records
                    // What says that a key was deleted may just be being dropped.
                    .filter(|record| range.contains(record.position) && !record.is_tombstone())
                    .map(|record| (record.key.clone(), record))
                    .collect::<BTreeMap<_, _>>()
            };
            let owned = of(*owner);
            for next in 1..copies {
                let (member, _) = ranges[(idx + next) % ranges.len()];
                if of(member) != owned {
                    let how = format!(
                        "of {range:?} {} has {owned:?}, {} has {:?}",
                        self.world.name(*owner),
                        self.world.name(member),
                        of(member)
                    );
                    return Err(self.broken(DataRule::CopiesAgree, &how));
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let of = |host: HostId| {
            let status = self.world.data_status(host)?;
            Some(format!("{}: {status:?}, {} records", self.world.name(host), self.world.records(host).len()))
        };
        self.world.hosts().filter_map(of).collect::<Vec<_>>().join("\n")
    }

    fn broken(&self, rule: DataRule, how: &str) -> DataBroken {
        let ring = self.world.describe().join("\n");
        DataBroken { at: self.world.now(), rule, description: format!("{how}\n{ring}") }
    }
}

fn key(idx: usize) -> Key {
    Key::new(format!("key{idx}").as_bytes()).expect("it is short")
}

fn value(text: &str) -> Value {
    Value::new(text.as_bytes(), usize::MAX).expect("it is short")
}

/// Whether an error says that nothing changed.
fn is_definite(error: &OperationError) -> bool {
    !matches!(error, OperationError::Uncertain | OperationError::TooFewCopies { .. })
}

/// The write that an action was, if it may have taken effect.
fn deed(action: &Action) -> Option<Deed> {
    let Operation::Change { change, .. } = &action.operation else { return None };
    let value = match change {
        Change::Set(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        Change::Delete => None,
        Change::Add(_) | Change::Append(_) => return None,
    };
    let (ended, is_acknowledged) = match &action.ended {
        // A deletion that found nothing is a look; but an earlier attempt at it may have found something.
        Some((at, Ok(outcome))) if value.is_none() && outcome.copies == 0 => (*at, false),
        Some((at, Ok(_))) => (*at, true),
        Some((_, Err(error))) if is_definite(error) => return None,
        Some((at, Err(_))) => (*at, false),
        None => return None,
    };
    Some(Deed { value, began: action.began, ended, is_acknowledged })
}

/// What an action saw, if it changed nothing.
fn saw(action: &Action) -> Option<Saw> {
    let (ended, Ok(outcome)) = action.ended.as_ref()? else { return None };
    let is_deletion = matches!(action.operation, Operation::Change { change: Change::Delete, .. });
    if action.operation != Operation::Get && !(is_deletion && outcome.copies == 0) {
        return None;
    }
    let value = outcome.record.as_ref().and_then(|record| record.value.as_ref());
    let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some(Saw { value, began: action.began, ended: *ended })
}
