//! A plan: everything that will happen to one ring, drawn from one seed.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chord_ring::{Config, NodeName, Peer, Position, RingName, RingSize, RingTag};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::world::{Down, HostId, Latency, Network, Settings};

/// The slowest message of a run that keeps the assumptions: there and back twice as fast as the fastest clock allows.
const PROMPT: Duration = Duration::from_millis(80);

/// How far a clock may be off: a run of the kind that keeps the assumptions stays prompt with it.
const CLOCKS: std::ops::Range<f64> = 0.75..1.3;

/// Most hosts of a plan. More would only make a failure harder to read.
pub const HOSTS_MAX: usize = 20;

/// What a run promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operating assumptions of the proof hold (TSE 2017, sections II and IV): messages arrive in time, and no failure
    /// leaves a member without a live successor or the ring with fewer than r + 1 principals. So the invariant must hold
    /// after every step.
    Assured,
    /// Anything goes: loss, cuts, standing still, too many failures. The ring must heal afterwards.
    Wild,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Assured => "assured",
            Self::Wild => "wild",
        })
    }
}

/// One thing that goes wrong, or that somebody does.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A host that is down starts a node, which knows nothing of its past and joins.
    Join(HostId),
    /// The same, but it knows whom its node remembered.
    Restart(HostId),
    /// A process ends.
    Crash(HostId, Down),
    /// A node leaves in good order.
    Leave(HostId),
    /// A process stands still.
    Freeze(HostId),
    /// It runs on.
    Thaw(HostId),
    /// Nothing gets from these hosts to the others, nor back unless that is so.
    Cut(BTreeSet<HostId>, OneWay),
    /// All cuts are mended.
    Mend,
    /// Messages to and from a host take so much longer; zero ends it.
    Slow(HostId, Duration),
    /// Questions get to and from a host, and no answer does.
    NoAnswers(HostId),
    /// Answers get to and from it again.
    AnswersAgain(HostId),
    /// So many of all messages are lost from now on: 0.0 to 1.0.
    Loss(f64),
    /// A client asks a host for the owner of a position.
    LookUp(HostId, Position),
}

/// Whether a cut lets messages pass one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneWay {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(host) => write!(f, "host {} joins, knowing nothing of its past", host.0),
            Self::Restart(host) => write!(f, "host {} starts again with its memory", host.0),
            Self::Crash(host, Down::Refuses) => {
                write!(f, "host {} crashes, its machine refuses connections", host.0)
            }
            Self::Crash(host, Down::Silent) => write!(f, "host {} crashes with its machine", host.0),
            Self::Leave(host) => write!(f, "host {} leaves", host.0),
            Self::Freeze(host) => write!(f, "host {} freezes", host.0),
            Self::Thaw(host) => write!(f, "host {} thaws", host.0),
            Self::Cut(side, one_way) => {
                let hosts: Vec<String> = side.iter().map(|host| host.0.to_string()).collect();
                let how = if *one_way == OneWay::Yes { "nothing gets out of" } else { "cut off:" };
                write!(f, "{how} hosts {}", hosts.join(", "))
            }
            Self::Mend => f.write_str("all cuts are mended"),
            Self::Slow(host, by) => write!(f, "messages of host {} take {by:?} longer", host.0),
            Self::NoAnswers(host) => write!(f, "no answer gets to or from host {}", host.0),
            Self::AnswersAgain(host) => write!(f, "answers get to and from host {} again", host.0),
            Self::Loss(rate) => write!(f, "{:.0} % of messages are lost", rate * 100.0),
            Self::LookUp(host, target) => {
                write!(f, "a client asks host {} for the owner of {target}", host.0)
            }
        }
    }
}

/// A fault with its number in the plan, and when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Its number: the same however much of the plan is left out.
    pub number: usize,
    /// How long after the beginning.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

/// Everything that will happen to one ring.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// What it promises.
    pub kind: Kind,
    /// r.
    pub successors: u8,
    /// How many hosts there are.
    pub hosts: usize,
    /// How many of them are an ideal ring when it begins; the others are down. One founds a ring.
    pub founders: usize,
    /// How many of them, the first ones, all others remember for ever. Without any, nodes that lost sight of each other
    /// may stay apart: what knows of each other must be one ring each.
    pub seeds: usize,
    /// The network when it begins.
    pub network: Network,
    /// How fast each host's clock goes.
    pub clocks: Vec<f64>,
    /// What happens, in order.
    pub faults: Vec<Timed>,
    /// How long all that takes.
    pub length: Duration,
}

/// Most hosts that all others remember for ever: an operator names one or two.
const SEEDS_MAX: usize = 2;

/// Bits of the identifier space: small enough that positions are readable, large enough that hosts seldom meet.
const BITS: u64 = 12;

impl Plan {
    /// The plan of a seed: always the same.
    pub fn draw(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let kind = if random.random_bool(0.5) { Kind::Assured } else { Kind::Wild };
        let successors = random.random_range(2..=4);
        let least = match kind {
            Kind::Assured => usize::from(successors) + 2,
            Kind::Wild => 1,
        };
        let founders = random.random_range(least..=12);
        let hosts = (founders + random.random_range(1..=8)).min(HOSTS_MAX);
        let length = Duration::from_millis(random.random_range(5_000..40_000));
        let clocks = (0..hosts).map(|_| random.random_range(CLOCKS)).collect();
        let network = draw_network(kind, &mut random);
        let mut faults = draw_faults(kind, hosts, length, &mut random);
        if kind == Kind::Wild {
            let draw = |random: &mut Pcg64Mcg| draw_fault(Draw::NoAnswers, hosts, random);
            faults.extend(drawn_apart(seed ^ 9, length, draw));
        }
        let faults = in_order(faults);
        let seeds = match kind {
            Kind::Assured => 0, // The proof needs none.
            Kind::Wild => random.random_range(0..=SEEDS_MAX),
        };
        Self { seed, kind, successors, hosts, founders, seeds, network, clocks, faults, length }
    }

    /// The same with fewer hosts. At least one is left, and one more than r where that is assumed.
    pub fn with_hosts(mut self, hosts: usize) -> Self {
        let least = match self.kind {
            Kind::Assured => usize::from(self.successors) + 1,
            Kind::Wild => 1,
        };
        self.hosts = self.hosts.min(hosts.max(least));
        self.founders = self.founders.min(self.hosts);
        self.seeds = self.seeds.min(self.hosts);
        self
    }

    /// The same with only the faults of these numbers.
    pub fn with_only(mut self, numbers: &BTreeSet<usize>) -> Self {
        self.faults.retain(|timed| numbers.contains(&timed.number));
        self
    }

    /// How the hosts behave.
    pub fn settings(&self) -> Settings {
        Settings::new(self.config(), self.seed)
    }

    fn config(&self) -> Config {
        let ring = RingTag { name: RingName::default(), size: ring_size() };
        Config::new(ring).with_successors(self.successors).expect("a plan draws an r that a node may have")
    }

    /// The peer on each host: whatever is left out of the plan, a host keeps its name and its position.
    pub fn peers(&self) -> Vec<Peer> {
        peers_of(self.seed, self.hosts, ring_size())
    }
}

/// So many peers, each at a position of its own. A name tells the number of the host, and the seed, so that each run has
/// other neighbours.
pub(crate) fn peers_of(seed: u64, n_hosts: usize, size: RingSize) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    let mut taken = BTreeSet::new();
    let mut spare = 0_u32;
    while peers.len() < n_hosts {
        let name = format!("host{}.{seed}.{spare}:1", peers.len());
        match name.parse().map(|name: NodeName| Peer::of_name(name, size)) {
            Ok(peer) if taken.insert(peer.position) => {
                peers.push(peer);
                spare = 0;
            }
            Ok(_) | Err(_) => spare += 1,
        }
    }
    peers
}

fn ring_size() -> RingSize {
    RingSize::new(BITS).expect("a ring may be so large")
}

fn draw_network(kind: Kind, random: &mut Pcg64Mcg) -> Network {
    let some = |random: &mut Pcg64Mcg| PROMPT.mul_f64(random.random_range(0.01..1.0));
    let latency = match (kind, random.random_range(0..4)) {
        (_, 0) => Latency::Constant(some(random)),
        // The diagonal of the cube is 1.73 of its sides.
        (_, 1) => Latency::Space(some(random).div_f64(1.8)),
        (Kind::Wild, 2) => Latency::Exponential(some(random)),
        (_, _) => Latency::Uniform(Duration::from_millis(1), some(random)),
    };
    let mut network = Network::reliable(latency);
    if random.random_bool(0.5) {
        network.duplication = random.random_range(0.0..0.2);
    }
    if random.random_bool(0.5) {
        network.reordering = random.random_range(0.0..0.3);
        network.lateness = PROMPT;
    }
    if kind == Kind::Wild && random.random_bool(0.4) {
        network.loss = random.random_range(0.0..0.1);
    }
    network
}

/// What may be drawn, and how often against the others.
#[derive(Clone, Copy)]
enum Draw {
    Join,
    Restart,
    Crash,
    Leave,
    Freeze,
    Cut,
    Slow,
    NoAnswers,
    Loss,
    LookUp,
}

fn draw_faults(kind: Kind, hosts: usize, length: Duration, random: &mut Pcg64Mcg) -> Vec<(Duration, Fault)> {
    use Draw::{Crash, Cut, Freeze, Join, Leave, LookUp, Loss, Restart, Slow};
    let mut kinds = vec![(Join, 4), (Restart, 2), (Crash, 3), (Leave, 2), (LookUp, 3)];
    if kind == Kind::Wild {
        // Not every run has everything: some faults show only where others do not hide them.
        for extra in [(Freeze, 3), (Cut, 2), (Slow, 1), (Loss, 1)] {
            if random.random_bool(0.6) {
                kinds.push(extra);
            }
        }
    }
    let n_faults = random.random_range(1..=40);
    let mut timed = Vec::new();
    for _ in 0..n_faults {
        let at = length.mul_f64(random.random());
        let draw = kinds.choose_weighted(random, |(_, weight)| *weight).map_or(LookUp, |(draw, _)| *draw);
        let (fault, undone) = draw_fault(draw, hosts, random);
        timed.push((at, fault));
        timed.extend(undone.map(|undone| (at + length.mul_f64(random.random::<f64>() / 2.0), undone)));
    }
    timed
}

/// In some plans a few more, each with what undoes it. Drawn apart, so that all else is as in plans that knew none.
pub(crate) fn drawn_apart<F>(
    seed: u64,
    length: Duration,
    draw: impl Fn(&mut Pcg64Mcg) -> (F, Option<F>),
) -> Vec<(Duration, F)> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut timed = Vec::new();
    if random.random_bool(0.3) {
        for _ in 0..random.random_range(1..=3) {
            let at = length.mul_f64(random.random());
            let (fault, undone) = draw(&mut random);
            timed.push((at, fault));
            timed.extend(undone.map(|undone| (at + length.mul_f64(random.random::<f64>() / 2.0), undone)));
        }
    }
    timed
}

fn in_order(mut timed: Vec<(Duration, Fault)>) -> Vec<Timed> {
    timed.sort_by_key(|(at, _)| *at);
    let number = |(number, (at, fault))| Timed { number, at, fault };
    timed.into_iter().enumerate().map(number).collect()
}

/// A fault, and what undoes it some time later.
fn draw_fault(draw: Draw, hosts: usize, random: &mut Pcg64Mcg) -> (Fault, Option<Fault>) {
    let n_hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    let host = HostId(random.random_range(0..n_hosts));
    match draw {
        Draw::Join => (Fault::Join(host), None),
        Draw::Restart => (Fault::Restart(host), None),
        Draw::Crash => {
            let down = if random.random_bool(0.5) { Down::Refuses } else { Down::Silent };
            (Fault::Crash(host, down), None)
        }
        Draw::Leave => (Fault::Leave(host), None),
        Draw::Freeze => (Fault::Freeze(host), Some(Fault::Thaw(host))),
        Draw::Cut => {
            let side = (0..n_hosts).filter(|_| random.random_bool(0.5)).map(HostId).collect();
            let one_way = if random.random_bool(0.3) { OneWay::Yes } else { OneWay::No };
            (Fault::Cut(side, one_way), Some(Fault::Mend))
        }
        Draw::Slow => {
            let by = Duration::from_millis(random.random_range(50..2_000));
            (Fault::Slow(host, by), Some(Fault::Slow(host, Duration::ZERO)))
        }
        Draw::NoAnswers => (Fault::NoAnswers(host), Some(Fault::AnswersAgain(host))),
        Draw::Loss => (Fault::Loss(random.random_range(0.0..0.6)), Some(Fault::Loss(0.0))),
        Draw::LookUp => (Fault::LookUp(host, Position::from(random.random_range(0..1_u64 << BITS))), None),
    }
}
