//! Lookups in rings of a million nodes.

use chord_ring::Config;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

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

impl LargeRing {
    /// A ring of so many nodes; the seed decides their names and the lookups.
    ///
    /// # Errors
    /// Two nodes are at one position.
    pub fn new(config: &Config, n_nodes: usize, seed: u64) -> Result<Self, Crowded> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        Ok(Self { ring: IdealRing::drawn(config, n_nodes, &mut random)?, random })
    }

    /// Makes so many further lookups.
    pub fn look_up(&mut self, n_lookups: u64) -> Lookups {
        let ring = Still::new(&self.ring, Style::Recursive, Ending::Claimed);
        let mut lookups = Lookups { hops: Tally::default(), n_wrong: 0 };
        for _ in 0..n_lookups {
            let target = draw_position(self.ring.size(), &mut self.random);
            let route = ring.look_up(self.random.random_range(0..self.ring.views().len()), target);
            lookups.n_wrong += u64::from(route.owner != Ok(self.ring.owner(target)));
            lookups.hops.add(route.contacts.len() as u64);
        }
        lookups
    }
}
