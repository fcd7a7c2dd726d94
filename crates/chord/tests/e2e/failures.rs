//! Processes that crash, freeze and leave, while others ask.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

const RING_SIZE: usize = 160;

/// After a failure, the others' lookups are right again within this.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);

/// A node that was frozen is in its place again within this.
const THAW_LIMIT: Duration = Duration::from_secs(10);

/// What readers saw who asked all the time.
#[derive(Default)]
struct Seen {
    n_requests: usize,
    n_errors: usize,
    longest: Duration,
    /// Answers that must not be: each with the request.
    wrong: Vec<String>,
}

/// Asks the nodes in turn, in threads, until `work` is done; `judge` says what is wrong with a good answer.
/// Every request must end within its deadline, whatever happens to other nodes meanwhile.
#[track_caller]
fn while_readers_ask<T>(
    nodes: &Mutex<Vec<String>>,
    request: impl Fn(usize) -> (&'static str, String) + Sync,
    judge: impl Fn(usize, &Response) -> Option<String> + Sync,
    work: impl FnOnce() -> T,
) -> T {
    let (done, seen) = (AtomicBool::new(false), Mutex::new(Seen::default()));
    let read = |reader: usize| {
        for idx in (reader..).step_by(3) {
            if done.load(Ordering::Relaxed) {
                return;
            }
            let node = {
                let nodes = nodes.lock().expect("no reader panics with it");
                nodes[idx % nodes.len()].clone()
            };
            let (command, body) = request(idx);
            let (answer, elapsed) = timed(&node, command, &body);
            let mut seen = seen.lock().expect("no reader panics with it");
            seen.n_requests += 1;
            seen.longest = seen.longest.max(elapsed);
            match answer {
                Ok(answer) if answer.status == 200 => seen.wrong.extend(judge(idx, &answer)),
                Ok(_) | Err(_) => seen.n_errors += 1,
            }
        }
    };
    let result = std::thread::scope(|scope| {
        for reader in 0..3 {
            scope.spawn(move || read(reader));
        }
        // The readers must end even if the work panics.
        let end = SetOnDrop(&done);
        let result = work();
        drop(end);
        result
    });
    let seen = seen.into_inner().expect("no reader panics with it");
    println!(
        "{} requests meanwhile, {} errors, the longest took {:?}",
        seen.n_requests, seen.n_errors, seen.longest
    );
    assert!(seen.longest < REQUEST_LIMIT, "a request took {:?}", seen.longest);
    assert!(seen.wrong.is_empty(), "{} wrong answers: {:?}", seen.wrong.len(), seen.wrong.first());
    assert!(seen.n_requests > 0, "nobody asked");
    result
}

fn lookup(idx: usize) -> (&'static str, String) {
    ("find_successor", json!({ "key": format!("key {idx}") }).to_string())
}

/// Whether every living node finds the right owner for each of 40 keys.
fn lookups_are_right(oracle: &Oracle) -> Result<(), String> {
    for name in oracle.names() {
        for idx in 0..40 {
            let key = format!("key {idx}");
            let answer = try_ask(&name, "find_successor", &json!({ "key": key }).to_string());
            let answer = answer.map_err(|error| format!("{name}: {error}"))?;
            if answer.status != 200 {
                return Err(format!("{name}: {}", answer.error()));
            }
            if answer.json()["node"] != json!(oracle.owner_of_key(&key)) {
                return Err(format!("{name} says that {} owns {key}", answer.json()["node"]));
            }
        }
    }
    Ok(())
}

/// Fails some nodes of a ring under lookups, and waits until the others find the right owners again.
#[track_caller]
fn fails_and_recovers(cluster: &mut Cluster, failing: &[String], mut fail: impl FnMut(&mut Process)) {
    let living: Vec<String> = cluster.names().into_iter().filter(|name| !failing.contains(name)).collect();
    let oracle = Oracle::new(RING_SIZE, &living);
    while_readers_ask(
        &Mutex::new(living),
        lookup,
        |_, _| None,
        || {
            let begin = Instant::now();
            for name in failing {
                fail(cluster.servers.get_mut(name).expect("it is in the cluster"));
            }
            wait_for("right lookups", RECOVERY_LIMIT, || lookups_are_right(&oracle));
            println!("lookups are right {:?} after the failure of {failing:?}", begin.elapsed());
        },
    );
}

#[test]
fn lookups_go_round_one_and_then_two_adjacent_nodes_that_are_killed() {
    let _machine = alone();
    let mut cluster = Cluster::ring(8, RING_SIZE);
    let first = cluster.oracle().names()[3..4].to_vec();
    fails_and_recovers(&mut cluster, &first, Process::crash);
    cluster.servers.remove(&first[0]);
    cluster.wait_until_ideal(IDEAL_LIMIT);

    let adjacent = cluster.oracle().names()[5..7].to_vec();
    fails_and_recovers(&mut cluster, &adjacent, Process::crash);
    for name in &adjacent {
        cluster.servers.remove(name);
    }
    cluster.wait_until_ideal(IDEAL_LIMIT);
}

#[test]
fn works_where_the_seed_failed_one_frozen_peer_does_not_hang_others_reads() {
    let _machine = alone();
    let mut cluster = Cluster::ring(8, RING_SIZE);
    let frozen = cluster.oracle().names()[2..3].to_vec();
    fails_and_recovers(&mut cluster, &frozen, |server| server.freeze());
    let mut living = cluster.oracle().names();
    living.retain(|name| *name != frozen[0]);
    let oracle = Oracle::new(RING_SIZE, &living);
    wait_for("a ring without the frozen node", IDEAL_LIMIT, || {
        living.iter().try_for_each(|name| is_ideal_at(&oracle, name))
    });
    cluster.servers[&frozen[0]].signal("CONT");
    let elapsed = cluster.wait_until_ideal(THAW_LIMIT);
    println!("the ring is ideal {elapsed:?} after the thaw");
}

#[test]
fn every_key_outlives_the_graceful_shutdown_of_all_nodes_but_one() {
    const KEYS: usize = 200;
    let _machine = alone();
    let mut cluster = Cluster::ring(6, RING_SIZE);
    let names = cluster.names();
    for idx in 0..KEYS {
        let body = json!({ "key": format!("key {idx}"), "value": format!("value {idx}") }).to_string();
        ask(&names[idx % names.len()], "put", &body).fields(&["storage_node", "hops"]);
    }
    let get = |idx: usize| ("get", json!({ "key": format!("key {}", idx % KEYS) }).to_string());
    let judge = |idx: usize, answer: &Response| {
        let right = json!(format!("value {}", idx % KEYS));
        (answer.json()["value"] != right).then(|| format!("key {}: {}", idx % KEYS, answer.json()))
    };
    let remaining = Mutex::new(names.clone());
    while_readers_ask(&remaining, get, judge, || {
        for name in &names[1..] {
            remaining.lock().expect("no reader panics with it").retain(|other| other != name);
            let leaver = cluster.servers.get_mut(name).expect("it is in the cluster");
            let (answer, elapsed) = timed(name, "shutdown", "{}");
            answer.expect("shutdown is answered").fields(&[]);
            assert_eq!(leaver.wait(), Some(0), "{}", leaver.stderr());
            println!("{name} answered after {elapsed:?}");
            cluster.servers.remove(name);
        }
    });
    cluster.wait_until_ideal(IDEAL_LIMIT);
    for idx in 0..KEYS {
        let (command, body) = get(idx);
        let wrong = judge(idx, &ask(&names[0], command, &body));
        assert_eq!(wrong, None, "at the last node");
    }
}

#[test]
fn works_where_the_seed_failed_shutdown_answers_and_the_process_ends() {
    let _machine = beside_others();
    for in_ring in [false, true] {
        let mut cluster = if in_ring { Cluster::ring(1, 8) } else { Cluster::idle(1, 8) };
        let name = cluster.names().remove(0);
        let answer = ask(&name, "shutdown", "{}");
        assert_eq!(answer.fields(&[]), json!({}));
        let server = cluster.servers.get_mut(&name).expect("it is in the cluster");
        assert_eq!(server.wait(), Some(0), "{}", server.stderr());
        assert!(try_ask(&name, "node", "{}").is_err(), "nobody listens any more");
    }
}

#[test]
fn works_where_the_seed_failed_keys_survive_joins() {
    let _machine = beside_others();
    let mut cluster = Cluster::ring(1, RING_SIZE);
    let first = cluster.names().remove(0);
    let mut stored = BTreeMap::new();
    for idx in 0..100 {
        let (key, value) = (format!("key {idx}"), format!("value {idx}"));
        ask(&first, "put", &json!({ "key": key, "value": value }).to_string())
            .fields(&["storage_node", "hops"]);
        stored.insert(key, value);
    }
    for _ in 0..2 {
        let joiner = cluster.add_idle();
        ask(&joiner, "join", &json!({ "remote_node": first }).to_string()).fields(&[]);
        cluster.wait_until_ideal(IDEAL_LIMIT);
    }
    wait_for("all keys from all nodes", IDEAL_LIMIT, || {
        for name in cluster.names() {
            for (key, value) in &stored {
                let answer = try_ask(&name, "get", &json!({ "key": key }).to_string());
                let answer = answer.map_err(|error| error.to_string())?;
                if answer.json()["value"] != json!(value) {
                    return Err(format!("{key} at {name}: {}", answer.json()));
                }
            }
        }
        Ok(())
    });
}

/// One key and the numbers from 1 that were put under it, in this order.
#[derive(Debug)]
struct Written {
    key: String,
    /// The last number whose put succeeded.
    acknowledged: u64,
    /// The last number that was put at all.
    attempted: u64,
}

/// Puts growing numbers under keys of its own, through one node, until `done`; returns the errors as well.
fn write_through(node: &str, done: &AtomicBool) -> (Vec<Written>, Vec<String>) {
    let new = |idx| Written { key: format!("{node} key {idx}"), acknowledged: 0, attempted: 0 };
    let (mut keys, mut errors): (Vec<Written>, Vec<String>) = ((0..20).map(new).collect(), Vec::new());
    for idx in (0..keys.len()).cycle() {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let written = &mut keys[idx];
        written.attempted += 1;
        let body = json!({ "key": written.key, "value": written.attempted.to_string() }).to_string();
        match try_ask(node, "put", &body) {
            Ok(answer) if answer.status == 200 => written.acknowledged = written.attempted,
            Ok(answer) => errors.push(format!("{node}: {}", answer.error())),
            Err(error) => errors.push(format!("{node}: {error}")),
        }
        std::thread::sleep(Duration::from_millis(3)); // leaves processors for the nodes
    }
    (keys, errors)
}

/// Whether every node reads, under every key, what was acknowledged last or put after that.
fn writes_are_there(names: &[String], written: &[Written]) -> Result<(), String> {
    for name in names {
        for key in written {
            let answer = try_ask(name, "get", &json!({ "key": key.key }).to_string());
            let answer = answer.map_err(|error| format!("{name}: {error}"))?;
            if answer.status != 200 {
                return Err(format!("{name}: {}", answer.error()));
            }
            let found = answer.json();
            let number = found["value"].as_str().map_or(0, |value| value.parse().expect("numbers were put"));
            if !(key.acknowledged..=key.attempted).contains(&number) {
                return Err(format!("{name} answers {found} to {key:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_acknowledged_write_is_lost_while_a_node_freezes_and_thaws_again_and_again() {
    let _machine = alone();
    let cluster = Cluster::ring(5, RING_SIZE);
    let names = cluster.names();
    let done = AtomicBool::new(false);
    let (written, errors) = std::thread::scope(|scope| {
        let writers: Vec<_> = names.iter().map(|name| scope.spawn(|| write_through(name, &done))).collect();
        // The writers must end even if a signal cannot be sent.
        let end = SetOnDrop(&done);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(500)); // of writing to the whole ring
            cluster.servers[&names[2]].freeze();
            std::thread::sleep(Duration::from_secs(1)); // long enough to be taken for dead, or nearly
            cluster.servers[&names[2]].signal("CONT");
        }
        drop(end);
        let mut all = (Vec::new(), Vec::new());
        for writer in writers {
            let (written, errors) = writer.join().expect("a writer does not panic");
            all.0.extend(written);
            all.1.extend(errors);
        }
        all
    });
    let n_puts: u64 = written.iter().map(|key| key.attempted).sum();
    println!("{n_puts} puts, {} errors: {errors:?}", errors.len());
    assert!(errors.len() as u64 * 20 < n_puts, "{} of {n_puts} puts failed: {errors:?}", errors.len());
    cluster.wait_until_ideal(THAW_LIMIT);
    let ((), elapsed) =
        wait_for("every acknowledged write", RECOVERY_LIMIT, || writes_are_there(&names, &written));
    println!("every acknowledged write is read {elapsed:?} after the ring is ideal");
}

/// Pause between two looks of a node for records that are not its own, while it has some.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A ring of which one node is frozen that owns so many keys, each of them written.
struct Frozen {
    cluster: Cluster,
    sleeper: String,
    others: Vec<String>,
    keys: Vec<String>,
}

impl Frozen {
    #[track_caller]
    fn start(n_nodes: usize, n_keys: usize) -> Self {
        let cluster = Cluster::ring(n_nodes, RING_SIZE);
        let oracle = cluster.oracle();
        let mut others = cluster.names();
        let sleeper = others.remove(1);
        let keys = (0..).map(|idx| format!("key {idx}")).filter(|key| oracle.owner_of_key(key) == sleeper);
        let keys: Vec<String> = keys.take(n_keys).collect();
        let this = Self { cluster, sleeper, others, keys };
        for idx in 0..n_keys {
            this.put(idx, 0);
        }
        this.signal("STOP");
        this
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        self.cluster.servers[&self.sleeper].signal(signal);
    }

    /// Puts a number under a key, through a node that is not frozen.
    #[track_caller]
    fn put(&self, idx: usize, number: u64) {
        let body = json!({ "key": self.keys[idx], "value": number.to_string() }).to_string();
        ask(&self.others[idx % self.others.len()], "put", &body).fields(&["storage_node", "hops"]);
    }

    /// Thaws the node. From that moment on nobody may read anything but this number, first through the others alone.
    #[track_caller]
    fn thaw(&self, number: u64) {
        let get = |idx: usize| ("get", json!({ "key": self.keys[idx % self.keys.len()] }).to_string());
        let judge = |idx: usize, answer: &Response| {
            let (key, answer) = (&self.keys[idx % self.keys.len()], answer.json());
            (answer["value"] != json!(number.to_string())).then(|| format!("{key}: {answer}"))
        };
        let thawed = Instant::now();
        self.signal("CONT");
        while_readers_ask(&Mutex::new(self.others.clone()), get, judge, || {
            self.cluster.wait_until_ideal(THAW_LIMIT);
            println!("the ring is ideal {:?} after the thaw", thawed.elapsed());
            wait_for("every key at the thawed node", RECOVERY_LIMIT, || self.owns_all());
        });
        let settled = Instant::now();
        while_readers_ask(&Mutex::new(self.cluster.names()), get, judge, || {
            wait_for("two sweeps", THAW_LIMIT, || {
                if settled.elapsed() > 2 * SWEEP_PAUSE { Ok(()) } else { Err("they are not over") }
            });
        });
    }

    fn owns_all(&self) -> Result<(), String> {
        for key in &self.keys {
            let answer = try_ask(&self.others[0], "get", &json!({ "key": key }).to_string());
            let answer = answer.map_err(|error| error.to_string())?.json();
            if answer["storage_node"] != json!(self.sleeper) {
                return Err(format!("{key}: {answer}"));
            }
        }
        Ok(())
    }
}

#[test]
fn a_write_that_waited_at_a_frozen_node_does_not_undo_a_later_one() {
    const LAST: u64 = 3;
    let _machine = alone();
    let ring = Frozen::start(3, 40);
    let stopped = Instant::now();
    // The first of them are sent to the frozen node, and again to the next one when that does not answer.
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let ring = &ring;
            scope.spawn(move || {
                for number in 1..=LAST {
                    (writer..ring.keys.len()).step_by(8).for_each(|idx| ring.put(idx, number));
                }
            });
        }
    });
    println!("{LAST} writes of each key took {:?}", stopped.elapsed());
    wait_for("a node that all take for dead", RECOVERY_LIMIT, || {
        if stopped.elapsed() >= Duration::from_millis(2_500) { Ok(()) } else { Err("it is not") }
    });
    ring.thaw(LAST);
}

#[test]
fn a_node_that_thaws_does_not_answer_from_the_past() {
    let _machine = alone();
    let ring = Frozen::start(5, 200);
    let mut living = ring.others.clone();
    living.sort();
    let oracle = Oracle::new(RING_SIZE, &living);
    wait_for("a ring without the frozen node", IDEAL_LIMIT, || {
        living.iter().try_for_each(|name| is_ideal_at(&oracle, name))
    });
    (0..ring.keys.len()).for_each(|idx| ring.put(idx, 1));
    ring.thaw(1);
}
