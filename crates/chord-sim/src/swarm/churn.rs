//! A large ring under churn, event by event, for as long as one likes: what it costs, and whether it answers.

use std::time::Duration;

use chord_ring::{Config, Position, RingName, RingSize, RingTag};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::plan::peers_of;
use crate::churn::{Churn, ChurnedRing, Conditions, Departure, Hosts, Lookups};
use crate::world::{Latency, Network, Settings, Time};

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
    /// How many lookups ended with a node that owned the position at some instant while they ran.
    pub n_right: u64,
    /// How many ended otherwise, or not within their deadline.
    pub n_wrong: u64,
}

/// Between two lookups that clients begin.
const LOOKUP_EVERY: Duration = Duration::from_millis(100);

/// A large ring under churn, on its way.
pub struct LargeChurn {
    ring: ChurnedRing,
    random: Pcg64Mcg,
    result: Churned,
    /// How far it was to run: what happened last may lie before.
    end: Time,
}

impl LargeChurn {
    /// An ideal ring of so many nodes, with as many spare hosts again. Half of the nodes that go crash.
    pub fn new(n_nodes: usize, churn: Churn, seed: u64) -> Self {
        let tag = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
        let settings = Settings::new(Config::new(tag), seed);
        let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(50));
        let conditions = Conditions {
            churn,
            departure: Departure::Any,
            hosts: Hosts::UsedAgain,
            lookups: Lookups::Every(LOOKUP_EVERY),
            n_contacts: 3,
        };
        let peers = peers_of(seed, 2 * n_nodes, RingSize::DEFAULT);
        let mut ring = ChurnedRing::new(settings, Network::reliable(latency), conditions, (peers, n_nodes));
        ring.begin_lookups(Duration::ZERO);
        ring.begin_churn();
        let (random, end) = (Pcg64Mcg::seed_from_u64(seed ^ 0x100c), ring.world.now());
        Self { ring, random, result: Churned::default(), end }
    }

    /// Whether no member is left, so that nobody can join any more.
    pub fn is_dead(&self) -> bool {
        !self.ring.has_members()
    }

    /// Lets so much time pass. Says what the ring has come to since it began.
    pub fn run(&mut self, time: Duration) -> Churned {
        self.end = self.end.after(time);
        while self.ring.world.next_at().is_some_and(|next| next <= self.end) {
            if self.ring.step() {
                let target = RingSize::DEFAULT.reduce(Position::from_be_bytes(self.random.random()));
                if let Some(asker) = self.ring.any_member() {
                    self.ring.look_up(asker, target);
                }
            }
            while let Some(verdict) = self.ring.next_verdict() {
                self.result.n_right += u64::from(verdict.is_right == Some(true));
                self.result.n_wrong += u64::from(verdict.is_right == Some(false));
            }
        }
        Churned {
            n_steps: self.ring.world.n_steps(),
            n_messages: self.ring.world.n_messages(),
            n_joins: self.ring.n_joins,
            n_ends: self.ring.n_ends,
            ..self.result
        }
    }
}
