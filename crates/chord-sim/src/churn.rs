//! Rings that nodes join and leave all the time, event by event, and lookups in them.
//!
//! Whoever drives one decides when clients ask; a lookup is judged by who owned its target while it ran.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use chord_ring::{Node, Peer, Position, View};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::world::{Changed, Down, HostId, LookupId, Network, Outcome, Settings, Step, World};

/// How nodes come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Churn {
    /// So many a second join, on average, and as many go. The times between are exponential.
    Rate(f64),
    /// Each node lives so long on average, exponentially distributed, and another takes its place.
    Lifetimes(Duration),
    /// Each node lives at least a third of this mean, and few live very long: a Pareto distribution with shape 1.5, which
    /// is what measured peers show.
    HeavyTailed(Duration),
}

/// How nodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// In good order.
    Leave,
    /// At once; their host refuses connections.
    Crash,
    /// Either, equally likely.
    Any,
}

/// What becomes of a host whose node has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// Another node may start there.
    UsedAgain,
    /// None does: each that joins is new to the ring, as in the papers.
    UsedOnce,
}

/// A ring under churn, as it shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) churn: Churn,
    pub(crate) departure: Departure,
    pub(crate) hosts: Hosts,
    /// Clients' lookups: the mean pause between two, and how it is spread.
    pub(crate) lookups: Lookups,
    /// Members that a joiner knows.
    pub(crate) n_contacts: usize,
}

/// When clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookups {
    /// Always after the same pause.
    Every(Duration),
    /// After exponential pauses of this mean.
    OnAverageEvery(Duration),
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) id: LookupId,
    /// Whether it named somebody who was the owner at some instant while it ran; none if whoever asked is gone.
    pub(crate) is_right: Option<bool>,
}

/// What an alarm is for, in its lowest two bits; the host is above.
const SPAWN: u64 = 0;
const END: u64 = 1;
const LOOK_UP: u64 = 2;

/// Most newcomers in a row that nobody knows yet: more do not happen at rates at which a ring holds.
const UNKNOWN_MAX: usize = 8;

/// Hosts that are drawn before no member is found: about half of all run one, so this seldom takes more than a few.
const DRAWS_MAX: usize = 1_000;

/// A ring under churn, on its way.
pub(crate) struct ChurnedRing {
    conditions: Conditions,
    pub(crate) world: World,
    random: Pcg64Mcg,
    /// Hosts on which no node runs.
    spare: Vec<HostId>,
    members: BTreeMap<Position, HostId>,
    /// Lookups under way, and who has owned the target since they began.
    pending: Vec<(LookupId, Vec<Position>)>,
    verdicts: VecDeque<Verdict>,
    pub(crate) n_joins: u64,
    pub(crate) n_ends: u64,
}

impl ChurnedRing {
    /// An ideal ring of the first `n_nodes` of these peers; nothing happens to it yet.
    pub(crate) fn new(
        settings: Settings,
        network: Network,
        conditions: Conditions,
        (peers, n_nodes): (Vec<Peer>, usize),
    ) -> Self {
        let random = Pcg64Mcg::seed_from_u64(settings.seed ^ 0x5eed);
        let mut world = World::new(settings, network);
        let mut hosts: Vec<HostId> = peers.into_iter().filter_map(|peer| world.add_host(peer)).collect();
        let spare = hosts.split_off(n_nodes.min(hosts.len()));
        world.start_ideal(&hosts);
        let mut ring = Self {
            conditions,
            world,
            random,
            spare,
            members: BTreeMap::new(),
            pending: Vec::new(),
            verdicts: VecDeque::new(),
            n_joins: 0,
            n_ends: 0,
        };
        for host in hosts {
            ring.note_membership(host);
        }
        ring
    }

    /// From now on nodes come and go.
    pub(crate) fn begin_churn(&mut self) {
        if let Churn::Rate(_) = self.conditions.churn {
            self.await_next(SPAWN);
            self.await_next(END);
        } else {
            for host in self.members.values().copied().collect::<Vec<_>>() {
                self.give_life(host);
            }
        }
    }

    /// From so much later on it is time for lookups: see [`ChurnedRing::step`].
    pub(crate) fn begin_lookups(&mut self, after: Duration) {
        self.world.set_alarm(after, LOOK_UP);
    }

    /// Lets the next thing happen, nodes that come and go among them; whether it is time for a lookup.
    pub(crate) fn step(&mut self) -> bool {
        match self.world.step() {
            Some(Step::Alarm(LOOK_UP)) => {
                self.await_next(LOOK_UP);
                return true;
            }
            Some(Step::Alarm(alarm)) => self.on_alarm(alarm),
            Some(Step::At(host, changed)) => {
                if changed == Changed::Yes {
                    self.note_membership(host);
                    self.note_owners();
                }
                self.judge();
            }
            Some(Step::Nothing) | None => {}
        }
        false
    }

    /// A client asks a random member for the owner of `target`.
    pub(crate) fn look_up(&mut self, asker: HostId, target: Position) {
        if let Some(id) = self.world.look_up(asker, target) {
            self.pending.push((id, self.owners(target)));
            self.judge();
        }
    }

    /// A lookup that has ended since the last time.
    pub(crate) fn next_verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// Whether a lookup is under way.
    pub(crate) fn has_lookups(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// A member, each as likely as the others.
    pub(crate) fn any_member(&mut self) -> Option<HostId> {
        let n_hosts = u32::try_from(self.world.hosts().count()).ok().filter(|n_hosts| *n_hosts > 0)?;
        (0..DRAWS_MAX)
            .map(|_| HostId(self.random.random_range(0..n_hosts)))
            .find(|host| self.world.node(*host).is_some_and(|node| node.view().is_member()))
    }

    fn on_alarm(&mut self, alarm: u64) {
        match (self.conditions.churn, alarm & 3) {
            (Churn::Rate(_), SPAWN) => {
                self.spawn();
                self.await_next(SPAWN);
            }
            (Churn::Rate(_), END) => {
                if let Some(host) = self.any_member() {
                    self.end(host);
                }
                self.await_next(END);
            }
            (_, END) => {
                if let Ok(host) = u32::try_from(alarm >> 2) {
                    self.end(HostId(host));
                    self.spawn();
                }
            }
            _ => {}
        }
    }

    fn await_next(&mut self, what: u64) {
        let pause = match (what, self.conditions.lookups, self.conditions.churn) {
            (LOOK_UP, Lookups::Every(pause), _) => pause,
            (LOOK_UP, Lookups::OnAverageEvery(mean), _) => self.exponential(mean),
            (_, _, Churn::Rate(rate)) => {
                let seconds = rate.max(f64::MIN_POSITIVE).recip().min(1e9);
                self.exponential(Duration::from_secs_f64(seconds))
            }
            (_, _, Churn::Lifetimes(_) | Churn::HeavyTailed(_)) => return,
        };
        self.world.set_alarm(pause, what);
    }

    fn give_life(&mut self, host: HostId) {
        let life = match self.conditions.churn {
            Churn::Rate(_) => return,
            Churn::Lifetimes(mean) => self.exponential(mean),
            Churn::HeavyTailed(mean) => {
                let least = mean / 3;
                least.mul_f64((1.0 - self.random.random::<f64>()).powf(-1.0 / 1.5))
            }
        };
        self.world.set_alarm(life, u64::from(host.0) << 2 | END);
    }

    fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.random.random::<f64>()).ln())
    }

    fn spawn(&mut self) {
        let contacts: Vec<HostId> =
            (0..self.conditions.n_contacts).filter_map(|_| self.any_member()).collect();
        if self.spare.is_empty() || contacts.is_empty() {
            return;
        }
        let host = self.spare.swap_remove(self.random.random_range(0..self.spare.len()));
        if self.world.node(host).is_some() {
            return self.spare.push(host); // Its node is still leaving.
        }
        self.world.join(host, &contacts);
        self.give_life(host);
        self.n_joins += 1;
    }

    /// A node crashes or leaves; its host may be free for another.
    fn end(&mut self, host: HostId) {
        let Some(node) = self.world.node(host) else { return };
        // Who is not in the ring yet has nobody to say farewell to.
        let crashes = !node.view().is_member()
            || match self.conditions.departure {
                Departure::Leave => false,
                Departure::Crash => true,
                Departure::Any => self.random.random_bool(0.5),
            };
        if crashes {
            self.world.crash(host, Down::Refuses);
        } else {
            self.world.leave(host);
        }
        self.note_membership(host);
        self.note_owners();
        self.judge();
        self.n_ends += 1;
        if self.conditions.hosts == Hosts::UsedAgain {
            self.spare.push(host);
        }
    }

    fn note_membership(&mut self, host: HostId) {
        let at = self.world.position(host);
        if self.world.node(host).is_some_and(|node| node.view().is_member()) {
            self.members.insert(at, host);
        } else {
            self.members.remove(&at);
        }
    }

    /// Whoever has just become an owner is one for each lookup under way.
    fn note_owners(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        for (id, owners) in &mut pending {
            let target = self.world.errands()[id.0 as usize].target;
            for owner in self.owners(target) {
                if !owners.contains(&owner) {
                    owners.push(owner);
                }
            }
        }
        self.pending = pending;
    }

    fn judge(&mut self) {
        while let Some(id) = self.world.next_ended() {
            let Some(place) = self.pending.iter().position(|(pending, _)| *pending == id) else { continue };
            let (_, owners) = self.pending.swap_remove(place);
            let is_right = match &self.world.errands()[id.0 as usize].ended {
                Some((_, Outcome::Found(found))) => Some(owners.contains(&found.owner.position)),
                Some((_, Outcome::Failed(_))) => Some(false),
                Some((_, Outcome::Abandoned)) | None => None,
            };
            self.verdicts.push_back(Verdict { id, is_right });
        }
    }

    /// Who may be taken for the owner of `target` now: the first member at or after it of which a member before it
    /// knows, and newcomers before that one, whom nobody knows yet.
    pub(crate) fn owners(&self, target: Position) -> Vec<Position> {
        let from = self.members.range(target..).chain(self.members.range(..target));
        let mut owners = Vec::new();
        for (at, host) in from {
            owners.push(*at);
            let Some(next) = self.world.node(*host).map(Node::view) else { continue };
            let after = self.members.range((Bound::Excluded(*at), Bound::Unbounded)).rev();
            let mut before = self.members.range(..*at).rev().chain(after).take(UNKNOWN_MAX);
            if self.members.len() == 1 || before.any(|(_, before)| self.names(*before, next)) {
                break;
            }
        }
        owners
    }

    /// Whether the first successor of a node that lives is `next`.
    fn names(&self, host: HostId, next: &View) -> bool {
        let lives =
            |peer: &&Peer| self.world.host(&peer.name).is_some_and(|host| self.world.node(host).is_some());
        let view = self.world.node(host).map(Node::view);
        view.and_then(|view| view.successors().as_slice().iter().find(lives)) == Some(next.me())
    }
}
