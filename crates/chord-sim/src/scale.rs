//! Lookups in rings of a million nodes.

use chord_ring::{Config, Peer, RingTag};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use crate::ideal::{draw_peers, sort};
use crate::paper::Tally;
use crate::{Crowded, Ending, IdealRing, Still, Style, draw_position};

/// An ideal ring, and lookups from anywhere in it to anywhere, as shipped.
#[derive(Clone, Debug)]
pub struct LargeRing {
    ring: IdealRing,
    random: Pcg64Mcg,
}

/// What some lookups were like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// How often each question was forwarded, the forward to the owner included.
    pub hops: Tally,
    /// How many did not end at the owner.
    pub n_wrong: u64,
}

/// Nodes of a large ring, each at a position of its own, before they know of each other.
#[derive(Clone, Debug)]
pub struct LargeRingNodes {
    peers: Vec<Peer>,
    random: Pcg64Mcg,
}

impl LargeRingNodes {
    /// So many nodes; the seed decides their names, and the lookups in their ring.
    ///
    /// # Errors
    /// Two nodes are at one position.
    pub fn draw(ring: &RingTag, n_nodes: usize, seed: u64) -> Result<Self, Crowded> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let peers = sort(draw_peers(ring, n_nodes, &mut random), ring.size)?;
        Ok(Self { peers, random })
    }

    /// Their ring, which takes much longer than to draw them.
    pub fn build(self, config: &Config) -> LargeRing {
        LargeRing { ring: IdealRing::of_sorted(config, &self.peers), random: self.random }
    }
}

impl LargeRing {
    /// Makes so many further lookups, as long as `goes_on` says so before one.
    pub fn look_up(&mut self, n_lookups: u64, goes_on: impl Fn() -> bool) -> Lookups {
        let ring = Still::new(&self.ring, Style::Recursive, Ending::Claimed);
        let mut lookups = Lookups { hops: Tally::default(), n_wrong: 0 };
        for _ in 0..n_lookups {
            if !goes_on() {
                break;
            }
            let target = draw_position(self.ring.size(), &mut self.random);
            let route = ring.look_up(self.random.random_range(0..self.ring.views().len()), target);
            lookups.n_wrong += u64::from(route.owner != Ok(self.ring.owner(target)));
            lookups.hops.add(route.contacts.len() as u64);
        }
        lookups
    }
}
