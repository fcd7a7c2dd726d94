//! A plan: the ring, its clients, and everything that will happen to them, drawn from one seed.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chord_kv::replication;
use chord_ring::{Config, OPERATION_WAIT_DEFAULT, Peer, RingName, RingSize, RingTag, SUCCESSORS_DEFAULT};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::swarm::{drawn_apart, peers_of};
use crate::world::{DataSettings, Down, HostId, Keeping, Latency, Network, Settings, Trouble};

/// Bits of the identifier space.
const BITS: u64 = 16;

/// Most hosts of a plan.
pub(super) const HOSTS_MAX: usize = 12;

/// How far a clock may be off on the wall, where it may: an hour either way.
const SKEW_MS: i64 = 3_600_000;

/// The same, in half of those runs.
const SMALL_SKEW_MS: i64 = 1_000;

/// What may go wrong in a run, and so what is promised of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nodes join, leave, crash and come back, one by one or all at once, and stores fail for a while; messages are prompt,
    /// so nobody who lives is taken for dead. Every read sees the newest acknowledged write.
    Steady,
    /// The same, and the clock on one host's wall is off by up to an hour.
    Skewed,
    /// Nodes freeze, links are slow, lossy and cut too. When all of that is over every key has what was written last, and
    /// reads see it.
    Rough,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Steady => "steady",
            Self::Skewed => "skewed",
            Self::Rough => "rough",
        })
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Mishap {
    /// A host that is down starts a node, with what its disk holds.
    Start(HostId),
    /// A process ends. Unless it keeps records on disk, copies are destroyed.
    Crash(HostId, Down),
    /// The next node that acknowledges a write crashes at that instant.
    CrashOwner(Down),
    /// When the next write is acknowledged that all members of a group have made durable, all of them but one crash at that
    /// instant.
    CrashGroup(Down),
    /// A node leaves in good order.
    Leave(HostId),
    /// A process stands still.
    Freeze(HostId),
    /// It runs on.
    Thaw(HostId),
    /// These hosts and the others do not reach each other.
    Cut(BTreeSet<HostId>),
    /// All cuts are mended.
    Mend,
    /// Messages to and from a host take so much longer; zero ends it.
    Slow(HostId, Duration),
    /// Questions get to and from a host, and no answer does.
    NoAnswers(HostId),
    /// Answers get to and from it again.
    AnswersAgain(HostId),
    /// So many of all messages are lost from now on.
    Loss(f64),
    /// All processes end at one instant, and are started again in any order, the last one so much later.
    Blackout(Duration),
    /// The store of a host takes nothing new; `None` ends it.
    Trouble(HostId, Option<Trouble>),
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(host) => write!(f, "host {} starts", host.0),
            Self::Crash(host, Down::Refuses) => write!(f, "host {} crashes, its machine refuses", host.0),
            Self::Crash(host, Down::Silent) => write!(f, "host {} crashes with its machine", host.0),
            Self::CrashOwner(_) => {
                f.write_str("the next node that acknowledges a write crashes at that instant")
            }
            Self::CrashGroup(_) => f.write_str(
                "when the next write is acknowledged that a whole group has, all but one of it crash at that instant",
            ),
            Self::Leave(host) => write!(f, "host {} leaves", host.0),
            Self::Freeze(host) => write!(f, "host {} freezes", host.0),
            Self::Thaw(host) => write!(f, "host {} thaws", host.0),
            Self::Cut(side) => {
                let hosts: Vec<String> = side.iter().map(|host| host.0.to_string()).collect();
                write!(f, "cut off: hosts {}", hosts.join(", "))
            }
            Self::Mend => f.write_str("all cuts are mended"),
            Self::Slow(host, by) => write!(f, "messages of host {} take {by:?} longer", host.0),
            Self::NoAnswers(host) => write!(f, "no answer gets to or from host {}", host.0),
            Self::AnswersAgain(host) => write!(f, "answers get to and from host {} again", host.0),
            Self::Loss(rate) => write!(f, "{:.0} % of messages are lost", rate * 100.0),
            Self::Blackout(within) => write!(f, "all crash at once, and start again within {within:?}"),
            Self::Trouble(host, Some(trouble)) => write!(f, "the store of host {} {trouble}", host.0),
            Self::Trouble(host, None) => write!(f, "the store of host {} does its work again", host.0),
        }
    }
}

/// A mishap with its number in the plan, and when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedMishap {
    /// Its number: the same however much of the plan is left out.
    pub number: usize,
    /// How long after the beginning.
    pub at: Duration,
    /// What happens.
    pub mishap: Mishap,
}

/// What clients do beside plain reads, writes, deletions and increments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn for itself")]
pub struct Habits {
    /// They append, and change things under conditions.
    pub conditions: bool,
    /// They write what expires.
    pub expiry: bool,
    /// They say how many copies an operation is about.
    pub levels: bool,
    /// They list all keys.
    pub tours: bool,
    /// They watch keys.
    pub watches: bool,
}

impl fmt::Display for Habits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain operations")?;
        for (does, what) in [
            (self.conditions, ", conditions and appends"),
            (self.expiry, ", expiry"),
            (self.levels, ", levels"),
            (self.tours, ", lists of all keys"),
            (self.watches, ", watching"),
        ] {
            f.write_str(if does { what } else { "" })?;
        }
        Ok(())
    }
}

/// Everything that will happen in one run.
#[derive(Clone, Debug)]
pub struct DataPlan {
    /// What it was drawn from.
    pub seed: u64,
    /// What may go wrong.
    pub class: Class,
    /// What survives the end of a process.
    pub keeping: Keeping,
    /// How many hosts there are.
    pub hosts: usize,
    /// How many of them are an ideal ring when it begins.
    pub founders: usize,
    /// Copies of a key.
    pub replicas: u8,
    /// The length of successor lists: where they are short, more owners are not in them.
    pub successors: u8,
    /// The network when it begins.
    pub network: Network,
    /// How far the clock on each host's wall is off, in milliseconds.
    pub skews_ms: Vec<i64>,
    /// How long a disk takes to sync, at most.
    pub sync_max: Duration,
    /// How many keys there are.
    pub keys: usize,
    /// What clients do.
    pub habits: Habits,
    /// Pause between two operations of clients, on average.
    pub pause: Duration,
    /// What happens, in order.
    pub mishaps: Vec<TimedMishap>,
    /// How long all that takes.
    pub length: Duration,
    /// How long it is remembered that a key was deleted.
    pub tombstone_grace: Duration,
}

impl DataPlan {
    /// The plan of a seed: always the same.
    pub fn draw(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed ^ 0xda7a);
        let class = match random.random_range(0..10) {
            0..4 => Class::Steady,
            4..6 => Class::Skewed,
            _ => Class::Rough,
        };
        let keeping = if random.random_bool(0.5) { Keeping::Disk } else { Keeping::Memory };
        let founders = random.random_range(1..=7);
        let hosts = (founders + random.random_range(1..=5)).min(HOSTS_MAX);
        let length = Duration::from_millis(random.random_range(5_000..30_000));
        let mut skews_ms = vec![0; hosts];
        if class == Class::Skewed {
            // A small one leaves something to say about when a key expires.
            let most = if random.random_bool(0.5) { SKEW_MS } else { SMALL_SKEW_MS };
            skews_ms[random.random_range(0..hosts)] = random.random_range(-most..=most);
        }
        let slowest_ms = if random.random_bool(0.5) { 60 } else { 600 };
        let network = draw_network(class, &mut random);
        let mut mishaps = draw_mishaps(class, keeping, hosts, length, &mut random);
        if class == Class::Rough {
            let draw = |random: &mut Pcg64Mcg| draw_mishap(Draw::NoAnswers, hosts, random);
            mishaps.extend(drawn_apart(seed ^ 9, length, draw));
        }
        let mishaps = in_order(mishaps);
        let habits = Habits {
            conditions: random.random_bool(0.5),
            expiry: random.random_bool(0.4),
            levels: random.random_bool(0.4),
            // Drawn apart, so that all else is as in plans that knew none.
            tours: Pcg64Mcg::seed_from_u64(seed ^ 3).random_bool(0.5),
            watches: Pcg64Mcg::seed_from_u64(seed ^ 5).random_bool(0.3),
        };
        let replicas = *[1, 2, 3, 3, 3, 3, 4, 5].choose(&mut random).unwrap_or(&3);
        Self {
            seed,
            class,
            keeping,
            hosts,
            founders,
            replicas,
            successors: draw_successors(seed, replicas),
            network,
            skews_ms,
            sync_max: Duration::from_millis(random.random_range(1..slowest_ms)),
            // Most keys are fought over by many; many keys make digests and pages of them.
            keys: if random.random_bool(0.8) {
                random.random_range(1..=12)
            } else {
                random.random_range(60..=400)
            },
            habits,
            pause: Duration::from_millis(random.random_range(5..120)),
            mishaps,
            length,
            // Longer than anybody is away and comes back, by clocks that differ.
            tombstone_grace: match class {
                Class::Skewed => Duration::from_secs(3 * 3600),
                Class::Steady | Class::Rough => Duration::from_secs(60),
            },
        }
    }

    /// The same with only the mishaps of these numbers.
    pub fn with_only(mut self, numbers: &BTreeSet<usize>) -> Self {
        self.mishaps.retain(|timed| numbers.contains(&timed.number));
        self
    }

    /// How the hosts behave.
    pub fn settings(&self) -> Settings {
        let size = ring_size();
        let replication = replication::Settings {
            replicas: self.replicas,
            repair_pause: Duration::from_secs(2),
            tombstone_grace: self.tombstone_grace,
            ..replication::Settings::new(size)
        };
        let config = self.config();
        let data = DataSettings {
            replication,
            keeping: self.keeping,
            sync_max: self.sync_max,
            patience: OPERATION_WAIT_DEFAULT,
        };
        Settings { data: Some(data), ..Settings::new(config, self.seed) }
    }

    fn config(&self) -> Config {
        let ring = RingTag { name: RingName::default(), size: ring_size() };
        Config::new(ring).with_successors(self.successors).expect("a plan draws an r that a node may have")
    }

    /// The peer on each host.
    pub fn peers(&self) -> Vec<Peer> {
        peers_of(self.seed, self.hosts, ring_size())
    }
}

fn ring_size() -> RingSize {
    RingSize::new(BITS).expect("a ring may be so large")
}

/// In half of the plans as many as are usual, in the others as few as keep a ring whole whose groups may be lost but for one.
fn draw_successors(seed: u64, replicas: u8) -> u8 {
    let mut random = Pcg64Mcg::seed_from_u64(seed ^ 7); // Drawn apart, as above.
    if random.random_bool(0.5) {
        SUCCESSORS_DEFAULT
    } else {
        random.random_range(replicas + 1..=SUCCESSORS_DEFAULT)
    }
}

fn draw_network(class: Class, random: &mut Pcg64Mcg) -> Network {
    let most = Duration::from_millis(random.random_range(2..40));
    let mut network = Network::reliable(Latency::Uniform(Duration::from_micros(200), most));
    if random.random_bool(0.5) {
        network.duplication = random.random_range(0.0..0.2);
    }
    if random.random_bool(0.5) {
        network.reordering = random.random_range(0.0..0.3);
        network.lateness = Duration::from_millis(60);
    }
    if class == Class::Rough && random.random_bool(0.4) {
        network.loss = random.random_range(0.0..0.1);
    }
    network
}

/// What may be drawn, and how often against the others.
#[derive(Clone, Copy)]
enum Draw {
    Start,
    Crash,
    CrashOwner,
    CrashGroup,
    Leave,
    Freeze,
    Cut,
    Slow,
    NoAnswers,
    Loss,
    Blackout,
    Trouble,
}

fn draw_mishaps(
    class: Class,
    keeping: Keeping,
    hosts: usize,
    length: Duration,
    random: &mut Pcg64Mcg,
) -> Vec<(Duration, Mishap)> {
    use Draw::{Blackout, Crash, CrashGroup, CrashOwner, Cut, Freeze, Leave, Loss, Slow, Start, Trouble};
    let mut kinds = vec![(Start, 5), (Crash, 2), (CrashOwner, 1), (Leave, 2)];
    if class == Class::Rough {
        for extra in [(Freeze, 3), (Cut, 2), (Slow, 1), (Loss, 1)] {
            if random.random_bool(0.6) {
                kinds.push(extra);
            }
        }
    }
    for (extra, how_often) in [((CrashGroup, 1), 0.3), ((Trouble, 3), 0.3)] {
        if random.random_bool(how_often) {
            kinds.push(extra);
        }
    }
    if keeping == Keeping::Disk && random.random_bool(0.4) {
        kinds.push((Blackout, 2));
    }
    let mut timed = Vec::new();
    for _ in 0..random.random_range(1..=25) {
        let at = length.mul_f64(random.random());
        let draw = kinds.choose_weighted(random, |(_, weight)| *weight).map_or(Start, |(draw, _)| *draw);
        let (mishap, undone) = draw_mishap(draw, hosts, random);
        timed.push((at, mishap));
        timed.extend(undone.map(|undone| (at + length.mul_f64(random.random::<f64>() / 2.0), undone)));
    }
    timed
}

fn in_order(mut timed: Vec<(Duration, Mishap)>) -> Vec<TimedMishap> {
    timed.sort_by_key(|(at, _)| *at);
    let number = |(number, (at, mishap))| TimedMishap { number, at, mishap };
    timed.into_iter().enumerate().map(number).collect()
}

/// A mishap, and what undoes it some time later.
fn draw_mishap(draw: Draw, hosts: usize, random: &mut Pcg64Mcg) -> (Mishap, Option<Mishap>) {
    let n_hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    let host = HostId(random.random_range(0..n_hosts));
    match draw {
        Draw::Start => (Mishap::Start(host), None),
        Draw::Crash => {
            let down = if random.random_bool(0.5) { Down::Refuses } else { Down::Silent };
            (Mishap::Crash(host, down), random.random_bool(0.7).then_some(Mishap::Start(host)))
        }
        Draw::CrashOwner => {
            let down = if random.random_bool(0.5) { Down::Refuses } else { Down::Silent };
            (Mishap::CrashOwner(down), Some(Mishap::Start(host)))
        }
        Draw::CrashGroup => {
            let down = if random.random_bool(0.5) { Down::Refuses } else { Down::Silent };
            (Mishap::CrashGroup(down), Some(Mishap::Start(host)))
        }
        Draw::Trouble => {
            let kinds = [Trouble::NotWriting, Trouble::Full, Trouble::Busy];
            let trouble = kinds.choose(random).copied();
            (Mishap::Trouble(host, trouble), Some(Mishap::Trouble(host, None)))
        }
        Draw::Leave => (Mishap::Leave(host), None),
        Draw::Freeze => (Mishap::Freeze(host), Some(Mishap::Thaw(host))),
        Draw::Cut => {
            let side = (0..n_hosts).filter(|_| random.random_bool(0.5)).map(HostId).collect();
            (Mishap::Cut(side), Some(Mishap::Mend))
        }
        Draw::Slow => {
            let by = Duration::from_millis(random.random_range(50..1_500));
            (Mishap::Slow(host, by), Some(Mishap::Slow(host, Duration::ZERO)))
        }
        Draw::Blackout => (Mishap::Blackout(Duration::from_millis(random.random_range(0..6_000))), None),
        Draw::NoAnswers => (Mishap::NoAnswers(host), Some(Mishap::AnswersAgain(host))),
        Draw::Loss => (Mishap::Loss(random.random_range(0.0..0.4)), Some(Mishap::Loss(0.0))),
    }
}
