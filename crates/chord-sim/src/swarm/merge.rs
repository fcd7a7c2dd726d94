//! Rings that fell apart, or never met, become one.

use std::time::Duration;

use chord_ring::{Config, RingSize, RingTag};

use super::plan::peers_of;
use crate::world::{Cut, HostId, Latency, Network, Settings, World};

/// How the rings came to be apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// They were one ring that was cut, until each part had healed.
    Cut,
    /// They were started apart; all know the address of one node of the first.
    Started,
}

/// Rings that shall become one.
#[derive(Clone, Copy, Debug)]
pub struct Merge<'a> {
    /// How many nodes each ring has.
    pub sizes: &'a [usize],
    /// How they came to be apart.
    pub apart: Apart,
    /// How many of all messages are lost from when they can reach each other: 0.0 to 1.0.
    pub loss: f64,
    /// What decides everything that is left to chance.
    pub seed: u64,
    /// After so many rounds it is too late.
    pub rounds_max: u64,
}

/// How rings became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// When each node's successor and predecessor were those of one ring of all.
    pub one: Reached,
    /// When each node's whole list was too.
    pub ideal: Reached,
    /// How many messages all nodes had sent by then.
    pub n_messages: u64,
}

/// How far a ring had come by some time, counted from when its parts could reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// How many rounds of maintenance the busiest node had begun.
    pub rounds: u64,
    /// How long that had taken.
    pub took: Duration,
}

/// How long a cut lasts: every part is an ideal ring of its own by then.
const CUT: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Lets rings become one. `None` if they are not in time.
pub fn merge(rings: Merge<'_>) -> Option<Merged> {
    let Merge { sizes, apart, loss, seed, rounds_max } = rings;
    let config = Config::new(RingTag { name: chord_ring::RingName::default(), size: RingSize::DEFAULT });
    let settings = Settings::new(config, seed);
    let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(20));
    let mut world = World::new(settings, Network::reliable(latency));
    let n_hosts = sizes.iter().sum();
    let hosts: Vec<HostId> = peers_of(seed, n_hosts, RingSize::DEFAULT)
        .into_iter()
        .filter_map(|peer| world.add_host(peer))
        .collect();
    let mut rest = hosts.as_slice();
    let parts: Vec<&[HostId]> = sizes
        .iter()
        .filter_map(|size| {
            let (part, others) = rest.split_at_checked(*size)?;
            rest = others;
            Some(part)
        })
        .collect();
    match apart {
        Apart::Started => {
            let seeds = hosts.get(..1)?;
            for host in &hosts {
                world.set_seeds(*host, seeds);
            }
            for part in &parts {
                world.start_ideal(part);
            }
        }
        Apart::Cut => {
            world.start_ideal(&hosts);
            world.run_until(world.now().after(Duration::from_secs(5)));
            for part in &parts {
                world.network.cuts.push(Cut { side: part.iter().copied().collect(), one_way: false });
            }
            world.run_until(world.now().after(CUT));
            world.network.heal();
        }
    }
    world.network.loss = loss;
    until_ideal(&mut world, rounds_max)
}

fn until_ideal(world: &mut World, rounds_max: u64) -> Option<Merged> {
    let (began, before) = (world.now(), world.n_messages());
    let rounds: Vec<u64> = world.hosts().map(|host| world.rounds(host)).collect();
    let mut one = None;
    loop {
        let so_far = world.hosts().zip(&rounds).map(|(host, before)| world.rounds(host) - before).max()?;
        let reached = Reached { rounds: so_far, took: world.now().since(began) };
        if one.is_none() && world.is_one_ring() {
            one = Some(reached);
        }
        if let Some(one) = one.filter(|_| world.is_ideal()) {
            return Some(Merged { one, ideal: reached, n_messages: world.n_messages() - before });
        }
        if so_far > rounds_max {
            return None;
        }
        world.run_until(world.now().after(LOOK));
    }
}
