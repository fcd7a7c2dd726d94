//! What the tests of whole rings share.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test uses its part, and may fail by panic"
)]

use std::time::Duration;

#[path = "../../../chord-ring/tests/support/cases.rs"]
mod cases;

pub use cases::cases;
use chord_kv::replication;
use chord_ring::*;
use chord_sim::Cluster;
pub use chord_sim::numbered::{name, number, peer, peers};
use chord_sim::world::{self, DataSettings, HostId, Keeping, Latency, Network, World};

pub fn config(bits: u64, successors: u8) -> Config {
    let ring = RingTag { name: RingName::default(), size: RingSize::new(bits).unwrap() };
    Config::new(ring).with_successors(successors).unwrap()
}

/// An ideal ring of so many hosts that keep records in memory, in virtual time.
pub fn ideal_world(
    seed: u64,
    n_hosts: u32,
    replication: replication::Settings,
    latency: Latency,
) -> (World, Vec<HostId>) {
    let data = DataSettings {
        replication,
        keeping: Keeping::Memory,
        sync_max: Duration::from_millis(1),
        patience: Duration::from_secs(10),
    };
    let ring = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
    let settings = world::Settings { data: Some(data), ..world::Settings::new(Config::new(ring), seed) };
    let mut world = World::new(settings, Network::reliable(latency));
    let peer = |number| Peer::of_name(format!("host{number}.{seed}:1").parse().unwrap(), RingSize::DEFAULT);
    let hosts: Vec<HostId> = (0..n_hosts).map(|number| world.add_host(peer(number)).unwrap()).collect();
    world.start_ideal(&hosts);
    (world, hosts)
}

/// What is asked of a cluster that must be able to answer.
pub trait Sure {
    fn view(&self, at: u64) -> &View;
    fn phase(&self, at: u64) -> Phase;
    /// Successor list and predecessor of a node, as positions.
    fn beliefs(&self, at: u64) -> (Vec<u64>, Option<u64>);
    fn must_create(&mut self, at: u64);
    /// Lets a node leave; where messages are not held, it is gone then.
    fn must_leave(&mut self, at: u64);
    /// Runs rounds until the ring is ideal; returns how many it took.
    fn converge(&mut self, rounds_max: usize) -> usize;
}

impl Sure for Cluster {
    fn view(&self, at: u64) -> &View {
        self.node(at).unwrap().view()
    }

    fn phase(&self, at: u64) -> Phase {
        self.view(at).phase()
    }

    fn beliefs(&self, at: u64) -> (Vec<u64>, Option<u64>) {
        let view = self.view(at);
        (view.successors().as_slice().iter().map(number).collect(), view.predecessor().map(number))
    }

    fn must_create(&mut self, at: u64) {
        let token = self.create(at);
        assert_eq!(self.outcome(token), Some(&Ok(())));
    }

    fn must_leave(&mut self, at: u64) {
        let token = self.leave(at);
        assert!(self.is_held() || self.outcome(token) == Some(&Ok(())), "{:?}", self.outcome(token));
    }

    fn converge(&mut self, rounds_max: usize) -> usize {
        let rounds = self.rounds_to_ideal(rounds_max);
        rounds.unwrap_or_else(|| panic!("not ideal after {rounds_max} rounds:\n{}", self.describe()))
    }
}
