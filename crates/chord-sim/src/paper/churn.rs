//! Rings that nodes join and leave all the time, event by event, and lookups in them.
//!
//! Every lookup is made twice. By the book, on what all nodes believe at that instant: the asker asks one node after
//! another and believes who is named as the owner. As shipped, by messages in virtual time: nodes forward the question,
//! go round the dead, and the owner confirms that it is one.

use std::time::Duration;

use chord_ring::{OPERATION_WAIT_DEFAULT, Peer, Phase, Position, View};
use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use super::{Tally, config};
use crate::world::{Down, HostId, Latency, LookupId, Network, Outcome, Pace, Settings, Step, World};
use crate::{Ending, Snapshot, Style, draw_peers, draw_position};

/// How nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// In good order.
    Leave,
    /// At once; their host refuses connections.
    Crash,
}

/// A ring under churn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Churn {
    pub(super) n_nodes: usize,
    pub(super) successors: u8,
    /// Joins in a second, and as many departures.
    pub(super) rate: f64,
    pub(super) departure: Departure,
    /// Before the first lookup: half of it without churn, until all fingers are known.
    pub(super) warm_up: Duration,
    /// One lookup a second, on average.
    pub(super) n_lookups: u64,
}

/// What lookups were like: one tally for each of these.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    /// By the book: nodes asked that live, the owner included.
    pub(super) path: Tally,
    /// Nodes asked in vain.
    pub(super) timeouts: Tally,
    /// Whether the wrong owner or none was found.
    pub(super) failed: Tally,
    /// Whether it failed or met a dead node.
    pub(super) met_dead: Tally,
    /// As shipped: forwards.
    pub(super) shipped_path: Tally,
    /// Nodes that the question was put to in vain.
    pub(super) shipped_timeouts: Tally,
    /// Whether the wrong owner or none was found.
    pub(super) shipped_failed: Tally,
}

impl Outcomes {
    pub(super) fn into_tallies(self) -> Vec<Tally> {
        let Self { path, timeouts, failed, met_dead, shipped_path, shipped_timeouts, shipped_failed } = self;
        vec![path, timeouts, failed, met_dead, shipped_path, shipped_timeouts, shipped_failed]
    }

    pub(super) fn of_tallies(tallies: &[Tally]) -> Self {
        let tally = |idx: usize| tallies.get(idx).cloned().unwrap_or_default();
        Self {
            path: tally(0),
            timeouts: tally(1),
            failed: tally(2),
            met_dead: tally(3),
            shipped_path: tally(4),
            shipped_timeouts: tally(5),
            shipped_failed: tally(6),
        }
    }
}

/// Between two rounds of maintenance, whatever a node asks for: TON, section VI-D.
const ROUND_LEAST: Duration = Duration::from_secs(15);
const ROUND_MOST: Duration = Duration::from_secs(45);
/// Mean of the exponential delay of a message.
const DELAY: Duration = Duration::from_millis(50);
/// After so long a client gives up: as many rounds as in a running ring, where they come thirty times as often.
pub(super) const LOOKUP_PATIENCE: Duration = OPERATION_WAIT_DEFAULT.saturating_mul(30);
/// The mean pause between two lookups.
const LOOKUP_EVERY: Duration = Duration::from_secs(1);

/// What an alarm is for.
const LOOK_UP: u64 = 0;
const JOIN: u64 = 1;
const DEPART: u64 = 2;
const BEGIN_CHURN: u64 = 3;

impl Churn {
    /// Lets the ring run and looks up in it.
    pub(super) fn run(self, random: &mut Pcg64Mcg) -> Outcomes {
        let settings = Settings {
            lookup_patience: LOOKUP_PATIENCE,
            pace: Pace::Uniform(ROUND_LEAST, ROUND_MOST),
            ..Settings::new(config(self.successors), random.random())
        };
        let network = Network::reliable(Latency::Exponential(DELAY));
        let ring = settings.config.ring().clone();
        // Those that will join too: as many as are to be expected, and some more.
        let seconds = self.warm_up.as_secs_f64() + 2.0 * self.lookup_seconds() + 1_000.0;
        let n_joiners = (self.rate * seconds).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        let n_joiners = n_joiners as usize;
        let newcomers = draw_peers(&ring, self.n_nodes + n_joiners, random);
        let world = World::new(settings, network);
        let mut run = Run {
            churn: self,
            world,
            newcomers,
            pending: Vec::new(),
            outcomes: Outcomes::default(),
            n_begun: 0,
            random,
        };
        run.begin();
        while run.n_begun < self.n_lookups || !run.pending.is_empty() {
            run.step();
        }
        run.outcomes
    }

    fn lookup_seconds(&self) -> f64 {
        super::tally::real(self.n_lookups) * LOOKUP_EVERY.as_secs_f64()
    }
}

/// A lookup under way, as shipped.
struct Pending {
    id: LookupId,
    /// Who owned the key when it began.
    owners: Vec<Position>,
}

struct Run<'a> {
    churn: Churn,
    world: World,
    /// Peers that have not been in the ring yet.
    newcomers: Vec<Peer>,
    pending: Vec<Pending>,
    outcomes: Outcomes,
    n_begun: u64,
    random: &'a mut Pcg64Mcg,
}

impl Run<'_> {
    fn begin(&mut self) {
        let members: Vec<HostId> = (0..self.churn.n_nodes).filter_map(|_| self.next_newcomer()).collect();
        self.world.start_ideal(&members);
        self.world.set_alarm(self.churn.warm_up / 2, BEGIN_CHURN);
        self.world.set_alarm(self.churn.warm_up, LOOK_UP);
    }

    fn next_newcomer(&mut self) -> Option<HostId> {
        let newcomer = self.newcomers.pop()?;
        self.world.add_host(newcomer)
    }

    fn step(&mut self) {
        match self.world.step() {
            Some(Step::Alarm(alarm)) => self.on_alarm(alarm),
            Some(Step::At(..)) => self.end_lookups(),
            Some(Step::Nothing) | None => {}
        }
    }

    fn on_alarm(&mut self, alarm: u64) {
        match alarm {
            LOOK_UP if self.n_begun < self.churn.n_lookups => self.look_up(),
            JOIN => self.join(),
            DEPART => self.depart(),
            BEGIN_CHURN => {
                self.set_alarm(JOIN);
                self.set_alarm(DEPART);
                return;
            }
            _ => {}
        }
        self.set_alarm(alarm);
    }

    /// The events of each kind come at random: the pauses between them are exponential.
    fn set_alarm(&mut self, alarm: u64) {
        let mean = if alarm == LOOK_UP { LOOKUP_EVERY.as_secs_f64() } else { 1.0 / self.churn.rate };
        let pause = -(1.0 - self.random.random::<f64>()).ln() * mean;
        self.world.set_alarm(Duration::from_secs_f64(pause), alarm);
    }

    fn any_member(&mut self) -> Option<HostId> {
        let members: Vec<HostId> = self.members().map(|(host, _)| host).collect();
        (!members.is_empty()).then(|| members[self.random.random_range(0..members.len())])
    }

    fn members(&self) -> impl Iterator<Item = (HostId, &View)> {
        let running = self.world.hosts().filter_map(|host| Some((host, self.world.node(host)?.view())));
        running.filter(|(_, view)| view.phase() == Phase::Member)
    }

    fn join(&mut self) {
        if let Some(contact) = self.any_member()
            && let Some(host) = self.next_newcomer()
        {
            self.world.join(host, &[contact]);
        }
    }

    fn depart(&mut self) {
        let Some(host) = self.any_member() else { return };
        match self.churn.departure {
            Departure::Leave => self.world.leave(host),
            Departure::Crash => self.world.crash(host, Down::Refuses),
        }
    }

    fn look_up(&mut self) {
        let Some(asker) = self.any_member() else { return };
        let target = draw_position(config(1).ring().size, self.random);
        let owners = self.owners(target);
        let book =
            Snapshot::new(&self.world, Style::Iterative, Ending::BelievedOfNext).look_up(asker, target);
        if let Some(route) = book {
            let owner =
                route.owner.ok().and_then(|host| self.world.node(host)).map(|node| node.view().me().position);
            let failed = owner.is_none_or(|owner| !owners.contains(&owner));
            // The last one is the owner, which the one before it names.
            self.outcomes.path.add((route.contacts.len() as u64).saturating_sub(1));
            self.outcomes.timeouts.add(route.timeouts.into());
            self.outcomes.failed.add(failed.into());
            self.outcomes.met_dead.add((failed || route.timeouts > 0).into());
        }
        if let Some(id) = self.world.look_up(asker, target) {
            self.pending.push(Pending { id, owners });
        }
        self.n_begun += 1;
        self.end_lookups();
    }

    fn end_lookups(&mut self) {
        let is_over =
            |pending: &Pending, world: &World| world.errands()[pending.id.0 as usize].ended.is_some();
        while let Some(place) = self.pending.iter().position(|pending| is_over(pending, &self.world)) {
            let pending = self.pending.swap_remove(place);
            self.count(&pending);
        }
    }

    fn count(&mut self, pending: &Pending) {
        let errand = &self.world.errands()[pending.id.0 as usize];
        let Some((_, outcome)) = &errand.ended else { return };
        match outcome {
            Outcome::Found(found) => {
                let owner = found.owner.position;
                let is_right = pending.owners.contains(&owner) || self.owners(errand.target).contains(&owner);
                let (hops, timeouts) = (found.hops, errand.timeouts);
                self.outcomes.shipped_path.add(hops.into());
                self.outcomes.shipped_timeouts.add(timeouts.into());
                self.outcomes.shipped_failed.add((!is_right).into());
            }
            Outcome::Failed(_) => self.outcomes.shipped_failed.add(1),
            Outcome::Abandoned => {} // Whoever asked is gone.
        }
    }

    /// Who may be taken for the owner of `target` now: the first member at or after it of which a member before it
    /// knows, and newcomers before that one, whom nobody knows yet.
    fn owners(&self, target: Position) -> Vec<Position> {
        let mut members: Vec<(Position, &View)> =
            self.members().map(|(_, view)| (view.me().position, view)).collect();
        members.sort_unstable_by_key(|(position, _)| *position);
        let n_members = members.len();
        let first = members.partition_point(|(position, _)| *position < target);
        let at = |steps: usize| members[steps % n_members].1;
        let mut owners = Vec::new();
        for steps in first..first + n_members {
            owners.push(at(steps).me().position);
            let mut before = (1..=UNKNOWN_MAX.min(n_members - 1)).map(|back| at(steps + n_members - back));
            if before.any(|view| self.names(view, at(steps))) {
                break;
            }
        }
        owners
    }

    /// Whether the first successor of a node that lives is `next`.
    fn names(&self, view: &View, next: &View) -> bool {
        let lives =
            |peer: &&Peer| self.world.host(&peer.name).is_some_and(|host| self.world.node(host).is_some());
        view.successors().as_slice().iter().find(lives) == Some(next.me())
    }
}

/// Most newcomers in a row that nobody knows yet: more do not happen at these rates.
const UNKNOWN_MAX: usize = 8;
