//! One run of a plan: clients and mishaps, then healing, then every key is read.

mod client;
mod judge;
mod rule;
mod watching;

use std::collections::BTreeMap;
use std::time::Duration;

use chord_kv::replication::Operation;
use chord_ring::{Phase, Position};
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use client::{key, n_keys};
pub use rule::{DataBroken, DataPassed, DataRule, Lost, Marks};
use watching::Watching;

use super::history::Loss;
use super::plan::{Class, DataPlan, HOSTS_MAX, Mishap};
use crate::world::{
    Acknowledged, ActionId, Cut, Down, Guesses, HostId, Keeping, Step, Time, TourId, Wish, World,
};

/// How long after the last mishap every range is complete and has as many copies as it should: the ring takes a hundred
/// rounds at most, and what nobody counted on is offered for as long as a holding lapses.
pub const READY_WITHIN: Duration = Duration::from_secs(150);

/// Between two looks at whether everything is as it should be.
const LOOK: Duration = Duration::from_millis(250);

/// The alarm for the next operation of a client; those of mishaps are their numbers.
const CLIENT: u64 = u64::MAX;

/// The alarm for the next tour of a client.
const TOUR: u64 = POWER - 1;

/// Pause between two tours, at most.
const TOUR_PAUSE: Duration = Duration::from_secs(4);

/// The alarm for the next client that watches.
const WATCH: u64 = POWER - 2;

/// The alarm for the return of the power at the first host; those of the others come after it, before [`CLIENT`].
const POWER: u64 = CLIENT - HOSTS_MAX as u64;

/// Who crashes when a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    /// The owner.
    Owner,
    /// The whole group but one, when all of it have that write.
    Group,
}

/// A run on its way.
pub struct DataRun {
    plan: DataPlan,
    /// The ring, to be looked at.
    pub world: World,
    random: Pcg64Mcg,
    /// What decides about tours.
    touring: Pcg64Mcg,
    /// What decides about those who watch.
    watching_random: Pcg64Mcg,
    watchings: Vec<Watching>,
    /// What each action wrote, in order.
    written: u64,
    passed: DataPassed,
    /// Who crashes when the next write is acknowledged, and how.
    armed: Option<(Victims, Down)>,
    /// Processes that ended with what they had.
    losses: Vec<Loss>,
    /// Who begins a ring again when nobody is in one.
    founder: HostId,
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
        if plan.habits.tours {
            world.set_alarm(TOUR_PAUSE, TOUR);
        }
        if plan.habits.watches {
            world.set_alarm(Duration::from_secs(1), WATCH);
        }
        let random = Pcg64Mcg::seed_from_u64(plan.seed ^ 2);
        let touring = Pcg64Mcg::seed_from_u64(plan.seed ^ 4);
        let watching_random = Pcg64Mcg::seed_from_u64(plan.seed ^ 6);
        Self {
            plan,
            world,
            random,
            touring,
            watching_random,
            watchings: Vec::new(),
            written: 0,
            passed: DataPassed::default(),
            armed: None,
            losses: Vec::new(),
            founder: HostId(0),
            is_over: false,
        }
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
        let toured = self.tour_all()?;
        self.check_histories(&asked, &toured)?;
        self.check_watches()?;
        self.check_copies()?;
        self.passed.n_steps = self.world.n_steps();
        let Guesses { right, wrong } = self.world.guesses();
        self.passed.marks.surpassed = self.world.surpassed();
        (self.passed.marks.guesses_right, self.passed.marks.guesses_wrong) = (right, wrong);
        Ok(self.passed.clone())
    }

    fn run_until(&mut self, end: Time) {
        while self.world.next_at().is_some_and(|next| next <= end) {
            match self.world.step() {
                Some(Step::Alarm(CLIENT)) => self.act_as_client(),
                Some(Step::Alarm(TOUR)) => self.begin_tour(),
                Some(Step::Alarm(WATCH)) => self.begin_watching(),
                Some(Step::Alarm(number)) if number >= POWER => self.restart(number - POWER),
                Some(Step::Alarm(number)) => self.strike(number),
                Some(Step::At(..)) => self.crash_if_armed(),
                Some(Step::Nothing) => {}
                None => break,
            }
        }
        self.world.run_until(end);
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
            Mishap::Crash(host, down) => self.crash(&[host], down),
            Mishap::CrashOwner(down) => self.armed = Some((Victims::Owner, down)),
            Mishap::CrashGroup(down) => self.armed = Some((Victims::Group, down)),
            Mishap::Leave(host) => world.leave(host),
            Mishap::Freeze(host) => world.freeze(host),
            Mishap::Thaw(host) => world.thaw(host),
            Mishap::Cut(side) => world.network.cuts.push(Cut { side, one_way: false }),
            Mishap::Mend => world.network.cuts.clear(),
            Mishap::Slow(host, by) => {
                world.network.slow.retain(|(other, _)| *other != host);
                world.network.slow.push((host, by));
            }
            Mishap::NoAnswers(host) => _ = world.network.unanswered.insert(host),
            Mishap::AnswersAgain(host) => _ = world.network.unanswered.remove(&host),
            Mishap::Loss(rate) => world.network.loss = rate,
            Mishap::Blackout(within) => {
                self.passed.marks.blackouts += 1;
                self.black_out(within);
            }
            Mishap::Trouble(host, trouble) => world.set_trouble(host, trouble),
        }
    }

    fn crash(&mut self, hosts: &[HostId], down: Down) {
        self.losses.push(Loss { at: self.world.now(), processes: hosts.len() });
        for host in hosts {
            self.world.crash(*host, down);
        }
    }

    /// The power goes and comes back, here sooner and there later.
    fn black_out(&mut self, within: Duration) {
        let is_up = |host: &HostId| self.world.node(*host).is_some();
        let hosts: Vec<HostId> = self.world.hosts().filter(is_up).collect();
        // Only one that was in the ring knows whom to wait for.
        self.founder = self.members().into_iter().choose(&mut self.random).unwrap_or(self.founder);
        for host in hosts {
            self.world.crash(host, Down::Refuses);
            self.world.set_alarm(within.mul_f64(self.random.random()), POWER + u64::from(host.0));
        }
    }

    /// The power is back at the host of this number.
    fn restart(&mut self, number: u64) {
        let is_down = |host: &HostId| u64::from(host.0) == number && self.world.node(*host).is_none();
        let Some(host) = self.world.hosts().find(is_down) else { return };
        // Whoever founds a ring anew founded the last one.
        if host == self.founder && self.members().is_empty() {
            self.world.create(host);
        } else {
            self.start(host);
        }
    }

    /// Ends the processes that are to end when a write is acknowledged.
    fn crash_if_armed(&mut self) {
        let acknowledged = self.world.take_acknowledged();
        let Some((victims, down)) = self.armed.filter(|_| !self.is_over) else { return };
        let Some(Acknowledged { position, copies }) = acknowledged else { return };
        let group = self.group_of(position);
        let Some(owner) = group.first().copied().filter(|owner| self.may_lose(*owner)) else { return };
        let hosts = match victims {
            Victims::Owner => vec![owner],
            Victims::Group if copies < group.len() => return,
            Victims::Group => {
                let survivor = self.random.random_range(0..group.len());
                let others = group.into_iter().enumerate().filter(|(idx, _)| *idx != survivor);
                others.map(|(_, host)| host).collect()
            }
        };
        self.passed.marks.groups_lost += usize::from(victims == Victims::Group);
        self.crash(&hosts, down);
        self.armed = None;
    }

    /// Those that keep copies of a position, its owner first.
    fn group_of(&self, position: Position) -> Vec<HostId> {
        let ranges = self.ranges();
        let copies = usize::from(self.plan.replicas).min(ranges.len());
        let owner = ranges.iter().position(|(_, range)| range.contains(position)).unwrap_or(0);
        ranges.iter().cycle().skip(owner).take(copies).map(|(host, _)| *host).collect()
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
            | Mishap::CrashGroup(_)
            | Mishap::Cut(_)
            | Mishap::Mend
            | Mishap::Slow(..)
            | Mishap::NoAnswers(_)
            | Mishap::AnswersAgain(_)
            | Mishap::Loss(_)
            | Mishap::Blackout(_)
            | Mishap::Trouble(..) => true,
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
        // What a part that was cut off has written alone may be nowhere else until it has found its owner.
        let is_merged = self.plan.class != Class::Rough || self.holds_no_strays();
        self.may_do_without(host) && quorum > 1 && self.is_calm() && is_merged
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
            && world.network.unanswered.is_empty()
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
            self.world.set_trouble(*host, None);
            if self.world.is_asleep(*host) {
                self.world.thaw(*host);
            }
        }
        if self.members().is_empty() {
            // Whoever is on its way into a ring that there is not any more begins anew.
            for host in
                hosts.iter().filter(|host| self.world.node(**host).is_some()).copied().collect::<Vec<_>>()
            {
                self.world.crash(host, Down::Refuses);
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
        let mut members: Vec<(Position, HostId)> = self
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
            for idx in 0..n_keys(&self.plan) {
                let members = self.members();
                let Some(host) = members.into_iter().choose(&mut self.random) else { continue };
                let consistency = self.read_level();
                let wish = Wish { key: key(idx), operation: Operation::Get, consistency };
                asked.extend(self.world.operate(host, wish));
            }
            self.run_until(self.world.now().after(Duration::from_secs(5)));
        }
        for id in &asked {
            let action = &self.world.actions()[id.0 as usize];
            if !matches!(action.ended, Some((_, Ok(_)))) {
                let how = format!("{:?}: {:?}", action.wish, action.ended);
                return Err(self.broken(DataRule::Answers, &how));
            }
        }
        Ok(asked)
    }

    /// Lists all keys through several hosts.
    fn tour_all(&mut self) -> Result<Vec<TourId>, DataBroken> {
        let members = self.members();
        let asked: Vec<TourId> =
            members.into_iter().take(2).filter_map(|host| self.world.tour(host)).collect();
        self.run_until(self.world.now().after(Duration::from_secs(5)));
        for id in &asked {
            let touring = &self.world.tours()[id.0 as usize];
            if !matches!(touring.ended, Some((_, Some(Ok(()))))) {
                let how = format!("a tour of {}: {:?}", self.world.name(touring.host), touring.ended);
                return Err(self.broken(DataRule::Answers, &how));
            }
        }
        Ok(asked)
    }

    /// The owner of a range and those after it hold the same of it.
    fn check_copies(&self) -> Result<(), DataBroken> {
        let ranges = self.ranges();
        let copies = usize::from(self.plan.replicas).min(ranges.len());
        for (idx, (owner, range)) in ranges.iter().enumerate() {
            let of = |host: HostId| {
                let records = self.world.records(host).into_iter();
                let now_ms = self.world.wall_ms(*owner);
                records
                    // What says that a key is gone may just be being dropped.
                    .filter(|record| range.contains(record.position) && record.live_value(now_ms).is_some())
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
