//! The network between hosts: how long a message takes, and whether it arrives, once or twice.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::HostId;

/// How long a message takes from one host to another, where nothing is slow.
#[derive(Clone)]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Anything between two bounds, equally likely.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean (TON 2003, section V).
    Exponential(Duration),
    /// The distance in a unit cube in which each host has a place, times this.
    Space(Duration),
    /// By a topology that somebody else made.
    Between(Arc<dyn Fn(HostId, HostId) -> Duration + Send + Sync>),
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(pause) => write!(f, "always {pause:?}"),
            Self::Uniform(least, most) => write!(f, "{least:?} to {most:?}"),
            Self::Exponential(mean) => write!(f, "exponential, mean {mean:?}"),
            Self::Space(unit) => write!(f, "by distance in a cube of {unit:?}"),
            Self::Between(_) => f.write_str("by a topology"),
        }
    }
}

/// Between which hosts nothing gets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The hosts on one side; all others are on the other.
    pub side: BTreeSet<HostId>,
    /// Whether messages from the other side still arrive.
    pub one_way: bool,
}

impl Cut {
    fn stops(&self, from: HostId, to: HostId) -> bool {
        let (from, to) = (self.side.contains(&from), self.side.contains(&to));
        from != to && (from || !self.one_way)
    }
}

/// The network at one time. Rates are from 0.0 to 1.0.
#[derive(Clone, Debug)]
pub struct Network {
    /// How long a message takes.
    pub latency: Latency,
    /// How many of all messages are lost.
    pub loss: f64,
    /// How many arrive twice.
    pub duplication: f64,
    /// How many are late, by up to [`Network::lateness`], and so overtaken by others.
    pub reordering: f64,
    /// How late those are at most.
    pub lateness: Duration,
    /// What is cut.
    pub cuts: Vec<Cut>,
    /// Hosts whose every message, either way, takes so much longer.
    pub slow: Vec<(HostId, Duration)>,
    /// Hosts to and from which questions get through, and no answer does.
    pub unanswered: BTreeSet<HostId>,
}

/// What a message is to whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It wants an answer.
    Question,
    /// It is one.
    Answer,
}

impl Network {
    /// A network that loses nothing.
    pub fn reliable(latency: Latency) -> Self {
        Self {
            latency,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            lateness: Duration::ZERO,
            cuts: Vec::new(),
            slow: Vec::new(),
            unanswered: BTreeSet::new(),
        }
    }

    /// Undoes everything that is wrong with it.
    pub fn heal(&mut self) {
        *self = Self::reliable(self.latency.clone());
    }

    /// Whether nothing gets from one host to the other.
    pub fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts.iter().any(|cut| cut.stops(from, to))
    }

    /// After how long a message arrives, for each time that it does.
    pub(super) fn arrivals(
        &self,
        (from, from_place): (HostId, Place),
        (to, to_place): (HostId, Place),
        role: Role,
        random: &mut Pcg64Mcg,
    ) -> [Option<Duration>; 2] {
        let is_unheard = role == Role::Answer && [from, to].iter().any(|host| self.unanswered.contains(host));
        if self.is_cut(from, to) || is_unheard || (self.loss > 0.0 && random.random_bool(self.loss)) {
            return [None, None];
        }
        let is_doubled = self.duplication > 0.0 && random.random_bool(self.duplication);
        let mut once = || {
            let slow = self.slow.iter().filter(|(host, _)| *host == from || *host == to);
            let slow: Duration = slow.map(|(_, by)| *by).sum();
            let late = if self.reordering > 0.0 && random.random_bool(self.reordering) {
                self.lateness.mul_f64(random.random())
            } else {
                Duration::ZERO
            };
            self.latency.draw((from, from_place), (to, to_place), random) + slow + late
        };
        [Some(once()), is_doubled.then(once)]
    }
}

/// Where a host is in the unit cube.
pub(super) type Place = [f64; 3];

impl Latency {
    fn draw(
        &self,
        (from, from_place): (HostId, Place),
        (to, to_place): (HostId, Place),
        random: &mut Pcg64Mcg,
    ) -> Duration {
        match self {
            Self::Constant(pause) => *pause,
            Self::Uniform(least, most) => *least + most.saturating_sub(*least).mul_f64(random.random()),
            // One minus a number below one is never zero, so the logarithm is finite.
            Self::Exponential(mean) => mean.mul_f64(-(1.0 - random.random::<f64>()).ln()),
            Self::Space(unit) => {
                let squares = from_place.iter().zip(to_place).map(|(from, to)| (from - to).powi(2));
                unit.mul_f64(squares.sum::<f64>().sqrt())
            }
            Self::Between(topology) => topology(from, to),
        }
    }
}
