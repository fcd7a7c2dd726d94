//! A large ring under churn, event by event: nodes join, crash and leave at random times, for as long as one likes.

use std::time::Duration;

use chord_ring::{Config, RingName, RingSize, RingTag};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::plan::peers_of;
use crate::world::{Down, HostId, Latency, Network, Outcome, Settings, Step, Time, World};

/// How nodes come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Churn {
    /// So many a second join, on average, and as many go: half of them crash. The times between are exponential.
    Rate(f64),
    /// Each node lives so long on average, exponentially distributed, and another takes its place.
    Lifetimes(Duration),
    /// Each node lives at least a third of this mean, and few live very long: a Pareto distribution with shape 1.5, which
    /// is what measured peers show.
    HeavyTailed(Duration),
}

/// What a ring under churn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Churned {
    /// How many things happened at hosts.
    pub n_steps: u64,
    /// How many messages were sent.
    pub n_messages: u64,
    /// How many nodes joined.
    pub n_joins: u64,
    /// How many nodes crashed or left.
    pub n_ends: u64,
    /// How many lookups ended with the node that owned the position at that time.
    pub n_right: u64,
    /// How many ended otherwise, or not within their deadline.
    pub n_wrong: u64,
}

/// Lookups that clients begin, a second of virtual time.
const LOOKUPS_PER_SECOND: u64 = 10;

/// What an alarm is for, in its lowest two bits; the host is above.
const SPAWN: u64 = 0;
const END: u64 = 1;
const LOOK_UP: u64 = 2;

/// A ring under churn, on its way.
pub struct Ring {
    churn: Churn,
    /// The ring, to be looked at.
    pub world: World,
    random: Pcg64Mcg,
    /// Hosts on which no node runs.
    spare: Vec<HostId>,
    result: Churned,
    n_seen: usize,
}

impl Ring {
    /// An ideal ring of so many nodes, with as many spare hosts again.
    pub fn new(n_nodes: usize, churn: Churn, seed: u64) -> Self {
        let tag = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
        let settings = Settings::new(Config::new(tag), seed);
        let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(50));
        let mut world = World::new(settings, Network::reliable(latency));
        let peers = peers_of(seed, 2 * n_nodes, RingSize::DEFAULT);
        let mut hosts: Vec<HostId> = peers.into_iter().filter_map(|peer| world.add_host(peer)).collect();
        let spare = hosts.split_off(n_nodes.min(hosts.len()));
        world.start_ideal(&hosts);
        let random = Pcg64Mcg::seed_from_u64(seed ^ 0x5eed);
        let mut ring = Self { churn, world, random, spare, result: Churned::default(), n_seen: 0 };
        ring.world.set_alarm(Duration::ZERO, LOOK_UP);
        if let Churn::Rate(_) = churn {
            ring.world.set_alarm(Duration::ZERO, SPAWN);
            ring.world.set_alarm(Duration::ZERO, END);
        } else {
            for host in hosts {
                ring.give_life(host);
            }
        }
        ring
    }

    /// Lets so much time pass.
    pub fn run(&mut self, time: Duration) -> Churned {
        let end = self.world.now().after(time);
        while self.world.next_at().is_some_and(|next| next <= end) {
            if let Some(Step::Alarm(alarm)) = self.world.step() {
                self.on_alarm(alarm);
            }
            self.judge_lookups();
        }
        self.result.n_steps = self.world.n_steps();
        self.result.n_messages = self.world.n_messages();
        self.result
    }

    fn on_alarm(&mut self, alarm: u64) {
        match (alarm & 3, self.churn) {
            (LOOK_UP, _) => {
                self.begin_lookup();
                self.world.set_alarm(
                    Duration::from_secs(1) / u32::try_from(LOOKUPS_PER_SECOND).unwrap_or(1),
                    LOOK_UP,
                );
            }
            (what, Churn::Rate(rate)) => {
                if what == SPAWN {
                    self.spawn();
                } else if let Some(host) = self.any_member() {
                    self.end(host);
                }
                let mean = Duration::from_secs_f64(rate.max(f64::MIN_POSITIVE).recip().min(1e9));
                let pause = self.exponential(mean);
                self.world.set_alarm(pause, what);
            }
            (_, Churn::Lifetimes(_) | Churn::HeavyTailed(_)) => {
                let host = u32::try_from(alarm >> 2).map(HostId);
                if let Ok(host) = host {
                    self.end(host);
                    self.spawn();
                }
            }
        }
    }

    fn give_life(&mut self, host: HostId) {
        let life = match self.churn {
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

    fn any_member(&mut self) -> Option<HostId> {
        let n_hosts = u32::try_from(self.world.hosts().count()).ok()?;
        // Half of the hosts run a member, so this seldom takes more than a few draws.
        (0..100)
            .map(|_| HostId(self.random.random_range(0..n_hosts)))
            .find(|host| self.world.node(*host).is_some_and(|node| node.view().is_member()))
    }

    fn spawn(&mut self) {
        let contacts: Vec<HostId> = (0..3).filter_map(|_| self.any_member()).collect();
        if self.spare.is_empty() || contacts.is_empty() {
            return;
        }
        let host = self.spare.swap_remove(self.random.random_range(0..self.spare.len()));
        if self.world.node(host).is_some() {
            return self.spare.push(host); // Its node is still leaving.
        }
        self.world.join(host, &contacts);
        self.give_life(host);
        self.result.n_joins += 1;
    }

    /// A node crashes or leaves; its host is free for another.
    fn end(&mut self, host: HostId) {
        let Some(node) = self.world.node(host) else { return };
        // Who is not in the ring yet has nobody to say farewell to.
        if self.random.random_bool(0.5) || !node.view().is_member() {
            self.world.crash(host, Down::Refuses);
        } else {
            self.world.leave(host);
        }
        self.result.n_ends += 1;
        self.spare.push(host);
    }

    fn begin_lookup(&mut self) {
        let target = chord_ring::Position::from_be_bytes(self.random.random());
        if let Some(host) = self.any_member() {
            self.world.look_up(host, RingSize::DEFAULT.reduce(target));
        }
    }

    /// Compares the lookups that have ended with who owns the position at this moment.
    fn judge_lookups(&mut self) {
        while let Some(errand) = self.world.errands().get(self.n_seen) {
            let Some((_, outcome)) = &errand.ended else { return };
            match outcome {
                Outcome::Found(found) => {
                    let owner = self.world.oracle().owner(errand.target);
                    let is_right = owner == Some(found.owner.position);
                    *(if is_right { &mut self.result.n_right } else { &mut self.result.n_wrong }) += 1;
                }
                Outcome::Failed(_) => self.result.n_wrong += 1,
                Outcome::Abandoned => {}
            }
            self.n_seen += 1;
        }
    }

    /// What time it is in the ring.
    pub fn now(&self) -> Time {
        self.world.now()
    }
}
