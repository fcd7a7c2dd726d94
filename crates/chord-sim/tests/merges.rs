//! What readers see once a ring that was cut is one again and every node says that it is ready.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use chord_kv::replication::{self, Change, Condition, Consistency, Expiry, Operation, OperationError};
use chord_kv::{Key, Value};
use chord_ring::RingSize;
use chord_sim::world::{ActionId, Cut, HostId, Latency, Time, Wish, World};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use support::ideal_world;

/// More than keep a key, so that some groups have nobody of the other half.
const HOSTS: u32 = 16;

/// Keys that each half writes.
const KEYS: usize = 120;

/// What a node may move in a second to have records where they should be: so little that these keys take seconds, as millions do
/// in a ring that is not simulated.
const BYTES_PER_SECOND: u64 = 4096;

/// How often it is looked whether all is well again. A script that waits for that does not look more often.
const LOOK: Duration = Duration::from_millis(20);

/// How long all may take to be well again.
const WELL_WITHIN: Duration = Duration::from_secs(150);

struct Trial {
    world: World,
    hosts: Vec<HostId>,
    random: Pcg64Mcg,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let replication = replication::Settings {
            repair_bytes_per_second: BYTES_PER_SECOND,
            ..replication::Settings::new(RingSize::DEFAULT)
        };
        let latency = Latency::Uniform(Duration::from_millis(1), Duration::from_millis(20));
        let (world, hosts) = ideal_world(seed, HOSTS, replication, latency);
        Self { world, hosts, random: Pcg64Mcg::seed_from_u64(seed) }
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.world.now().after(time);
        self.world.run_until(until);
    }

    /// Whether a script that asks every node would go on.
    fn is_well(&self) -> bool {
        let is_ready = |host: &HostId| self.world.data_status(*host).is_some_and(|status| status.is_ready());
        self.world.is_ideal() && self.hosts.iter().all(is_ready)
    }

    fn become_well(&mut self) -> Time {
        let until = self.world.now().after(WELL_WITHIN);
        while !self.is_well() {
            assert!(self.world.now() < until, "not all nodes are ready: {:#?}", self.world.describe());
            self.run_for(LOOK);
        }
        self.world.now()
    }

    fn ask(&mut self, at: &[HostId], key: &Key, operation: Operation) -> ActionId {
        let host = at[self.random.random_range(0..at.len())];
        let wish = Wish { key: key.clone(), operation, consistency: Consistency::Usual };
        self.world.operate(host, wish).unwrap()
    }

    fn value_of(&self, id: ActionId) -> Result<Option<Value>, OperationError> {
        let ended = &self.world.actions()[id.0 as usize].ended;
        let (_, result) = ended.as_ref().expect("it has ended");
        result.clone().map(|outcome| outcome.record.and_then(|record| record.value))
    }

    /// Writes keys through these hosts. Returns those that were acknowledged.
    fn write(&mut self, at: &[HostId], prefix: &str) -> Vec<Key> {
        let keys: Vec<Key> =
            (0..KEYS).map(|number| Key::new(format!("{prefix} {number}").as_bytes()).unwrap()).collect();
        let put = |key: &Key| Operation::Change {
            change: Change::Set(Value::new(key.as_bytes(), 100).unwrap()),
            condition: Condition::Always,
            expiry: Expiry::Never,
        };
        let ids: Vec<ActionId> = keys.iter().map(|key| self.ask(at, key, put(key))).collect();
        self.run_for(Duration::from_secs(11));
        let is_done = |id: &ActionId| self.value_of(*id).is_ok();
        keys.into_iter().zip(&ids).filter(|(_, id)| is_done(id)).map(|(key, _)| key).collect()
    }
}

/// Cuts a ring for so long, has both halves write, mends it, and reads all keys as soon as all nodes say that they are ready.
/// Returns what is not there then, and what nobody could read.
fn lacking_after_a_cut(seed: u64, cut_for: Duration) -> (Vec<Key>, Vec<Key>) {
    let mut trial = Trial::new(seed);
    trial.become_well();
    let mut hosts = trial.hosts.clone();
    hosts.shuffle(&mut trial.random);
    let (one, other) = hosts.split_at(HOSTS as usize / 2);
    let side: BTreeSet<HostId> = one.iter().copied().collect();
    trial.world.network.cuts.push(Cut { side, one_way: false });
    trial.run_for(cut_for);
    let mut keys = trial.write(one, "here");
    keys.extend(trial.write(other, "there"));
    assert!(keys.len() > KEYS, "seed {seed}: both halves take writes, and {} were acknowledged", keys.len());
    trial.world.network.cuts.clear();
    trial.become_well();
    let all = trial.hosts.clone();
    let asked: Vec<ActionId> = keys.iter().map(|key| trial.ask(&all, key, Operation::Get)).collect();
    trial.run_for(Duration::from_secs(11));
    let mut lacking = (Vec::new(), Vec::new());
    for (key, id) in keys.into_iter().zip(asked) {
        match trial.value_of(id) {
            Ok(Some(value)) => assert_eq!(value.as_bytes(), key.as_bytes(), "seed {seed}: another value"),
            Ok(None) => lacking.0.push(key),
            Err(_) => lacking.1.push(key),
        }
    }
    lacking
}

/// Longer than a holding lapses, and so short that who counted on a node before the cut is still counted after it.
const CUTS: [Duration; 2] = [Duration::from_secs(45), Duration::from_secs(3)];

#[test]
fn once_all_nodes_are_ready_after_a_cut_no_acknowledged_write_of_either_half_is_absent() {
    for cut_for in CUTS {
        for seed in 0..20 {
            let (absent, unread) = lacking_after_a_cut(seed, cut_for);
            let some = absent.first();
            assert!(
                absent.is_empty(),
                "seed {seed}, {cut_for:?}: {} are absent, such as {some:?}",
                absent.len()
            );
            assert!(unread.is_empty(), "seed {seed}, {cut_for:?}: {} were not read", unread.len());
        }
    }
}
