//! Rings that nodes join and leave all the time, event by event, and lookups in them.
//!
//! Every lookup is made twice. By the book, on what all nodes believe at that instant: the asker asks one node after
//! another and believes who is named as the owner. As shipped, by messages in virtual time: nodes forward the question,
//! go round the dead, and the owner confirms that it is one.

use std::time::Duration;

use chord_ring::OPERATION_WAIT_DEFAULT;
use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use super::{Tally, config};
use crate::churn::{Churn, ChurnedRing, Conditions, Departure, Hosts, Lookups, Verdict};
use crate::world::{Latency, Network, Outcome, Pace, Settings};
use crate::{Ending, Snapshot, Style, draw_peers, draw_position};

/// A ring under churn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
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

impl Trial {
    /// Lets the ring run and looks up in it.
    pub(super) fn run(self, random: &mut Pcg64Mcg) -> Outcomes {
        let settings = Settings {
            lookup_patience: LOOKUP_PATIENCE,
            pace: Pace::Uniform(ROUND_LEAST, ROUND_MOST),
            ..Settings::new(config(self.successors), random.random())
        };
        let conditions = Conditions {
            churn: Churn::Rate(self.rate),
            departure: self.departure,
            hosts: Hosts::UsedOnce,
            lookups: Lookups::OnAverageEvery(LOOKUP_EVERY),
            n_contacts: 1,
        };
        let network = Network::reliable(Latency::Exponential(DELAY));
        let peers = draw_peers(settings.config.ring(), self.n_nodes + self.n_joiners(), random);
        let mut ring = ChurnedRing::new(settings, network, conditions, (peers, self.n_nodes));
        let mut outcomes = Outcomes::default();
        let churn_at = ring.world.now().after(self.warm_up / 2);
        while ring.world.next_at().is_some_and(|next| next < churn_at) {
            ring.step();
        }
        ring.begin_churn();
        ring.begin_lookups(self.warm_up.saturating_sub(self.warm_up / 2));
        let mut n_begun = 0;
        while n_begun < self.n_lookups || ring.has_lookups() {
            if ring.step() && n_begun < self.n_lookups {
                outcomes.look_up(&mut ring, random);
                n_begun += 1;
            }
            while let Some(verdict) = ring.next_verdict() {
                outcomes.count(&ring, verdict);
            }
        }
        outcomes
    }

    /// As many as are to be expected, and some more.
    fn n_joiners(self) -> usize {
        let lookup_seconds = super::tally::real(self.n_lookups) * LOOKUP_EVERY.as_secs_f64();
        let seconds = self.warm_up.as_secs_f64() + 2.0 * lookup_seconds + 1_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
        let n_joiners = (self.rate * seconds).ceil() as usize;
        n_joiners
    }
}

impl Outcomes {
    /// By the book at once, and as shipped from now on.
    fn look_up(&mut self, ring: &mut ChurnedRing, random: &mut Pcg64Mcg) {
        let Some(asker) = ring.any_member() else { return };
        let target = draw_position(config(1).ring().size, random);
        let book =
            Snapshot::new(&ring.world, Style::Iterative, Ending::BelievedOfNext).look_up(asker, target);
        if let Some(route) = book {
            let owners = ring.owners(target);
            let is_right = route.owner.is_ok_and(|host| owners.contains(&ring.world.position(host)));
            // The last one is the owner, which the one before it names.
            self.path.add((route.contacts.len() as u64).saturating_sub(1));
            self.timeouts.add(route.timeouts.into());
            self.failed.add((!is_right).into());
            self.met_dead.add((!is_right || route.timeouts > 0).into());
        }
        ring.look_up(asker, target);
    }

    fn count(&mut self, ring: &ChurnedRing, verdict: Verdict) {
        let Some(is_right) = verdict.is_right else { return };
        let errand = &ring.world.errands()[verdict.id.0 as usize];
        if let Some((_, Outcome::Found(found))) = &errand.ended {
            self.shipped_path.add(found.hops.into());
            self.shipped_timeouts.add(errand.timeouts.into());
        }
        self.shipped_failed.add((!is_right).into());
    }
}
