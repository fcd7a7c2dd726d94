//! What clients of the others feel of a node whose questions arrive and whose answers, and the answers to it, do not.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use std::time::Duration;

use chord_kv::replication::{self, Change, Condition, Consistency, Expiry, Operation, OperationError};
use chord_kv::{Key, Value};
use chord_ring::RingSize;
use chord_sim::world::{ActionId, HostId, Latency, Time, Wish, World};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use support::ideal_world;

const SEEDS: u64 = 40;

const HOSTS: u32 = 7;

const KEYS: u32 = 500;

/// How long the fault lasts.
const FAULT: Duration = Duration::from_secs(20);

/// Pause between two operations.
const PAUSE: Duration = Duration::from_millis(20);

/// After so long a node that does not answer has been dropped, and another has taken its place.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

/// How long an operation may take from then on.
const DONE_WITHIN: Duration = Duration::from_secs(1);

/// Operations of one ring that may end without a word whether they took effect: those that are under way when an owner
/// surpasses another.
const UNCERTAIN_MAX: usize = 20;

fn run_for(world: &mut World, time: Duration) {
    let until = world.now().after(time);
    world.run_until(until);
}

/// Has the others asked while one of them hears no answers. Returns how often an owner has surpassed another.
fn ask_others(seed: u64) -> usize {
    let latency = Latency::Uniform(Duration::from_micros(200), Duration::from_millis(2));
    let replication = replication::Settings::new(RingSize::DEFAULT);
    let (mut world, hosts) = ideal_world(seed, HOSTS, replication, latency);
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    run_for(&mut world, Duration::from_secs(5));
    let (victim, others) = hosts.split_first().unwrap();
    world.network.unanswered.insert(*victim);
    let began = world.now();
    let mut asked: Vec<(Time, ActionId)> = Vec::new();
    while world.now() < began.after(FAULT) {
        let key = Key::new(format!("key {}", random.random_range(0..KEYS)).as_bytes()).unwrap();
        let put = Operation::Change {
            change: Change::Set(Value::new(b"value", 100).unwrap()),
            condition: Condition::Always,
            expiry: Expiry::Never,
        };
        let operation = if random.random_bool(0.5) { put } else { Operation::Get };
        let wish = Wish { key, operation, consistency: Consistency::Usual };
        let host = others[random.random_range(0..others.len())];
        asked.push((world.now(), world.operate(host, wish).unwrap()));
        run_for(&mut world, PAUSE);
    }
    let names = |victim: &HostId| format!("{:?}", world.node(*victim).unwrap().view().successors());
    let victim_name = world.name(*victim).to_string();
    assert!(
        others.iter().all(|other| !names(other).contains(&victim_name)),
        "seed {seed}: nobody was dropped"
    );
    world.network.heal();
    run_for(&mut world, Duration::from_secs(11));
    let mut uncertain = 0;
    for (at, id) in asked.iter().filter(|(at, _)| *at >= began.after(TAKEN_OVER_WITHIN)) {
        let (ended, result) = world.actions()[id.0 as usize].ended.as_ref().unwrap();
        let is_prompt = *ended <= at.after(DONE_WITHIN);
        match result {
            Ok(_) if is_prompt => {}
            Err(OperationError::Uncertain) if is_prompt => uncertain += 1,
            result => panic!("seed {seed}: asked at {at:?}, ended at {ended:?}: {:?}", result.as_ref().err()),
        }
    }
    assert!(uncertain <= UNCERTAIN_MAX, "seed {seed}: {uncertain} operations were uncertain");
    world.surpassed()
}

#[test]
fn a_node_whose_questions_arrive_and_answers_do_not_holds_up_nobody_who_asks_others() {
    let surpassed = (0..SEEDS).filter(|seed| ask_others(*seed) > 0).count();
    assert!(surpassed >= 5, "of {SEEDS} rings {surpassed} had a rival: too few to say anything");
}
