//! A peer that is frozen, slow or nearly mute holds up nobody who asks for keys of others.
//!
//! What it costs exactly, `chord bench slow-peer` measures. Here each client may be held up when the fault begins and when the
//! ring closes round the peer, and never for as long as the peer would have it wait.

#[path = "../../src/cli/bench/slow_peer/front.rs"]
mod front;

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use front::{Front, Manner, Whose};
use serde_json::json;

use crate::support::*;

const RING_SIZE: usize = 160;

/// What a request may take at most beside a peer that hardly answers: less than any node waits for one, which is half a second
/// at least.
const WAIT_LIMIT: Duration = Duration::from_millis(250);

/// What each round trip to or from a slow peer takes more; no request of others may take as long.
const SLOW_BY: Duration = Duration::from_millis(100);

/// What one that hardly answers takes at least, and the dripping one for each byte.
const PEER_TAKES: Duration = Duration::from_secs(1);

/// How long others are asked while something is wrong, and how many requests that are at least.
const ASKED_FOR: Duration = Duration::from_secs(2);
const REQUESTS_MIN: usize = 300;

/// Who ask, each one request at a time, and how often each may be held up.
const CLIENTS: usize = 3;
const HELD_UP_MAX: usize = 2;

/// A ring, and one of it that things can be wrong with.
struct Ring {
    cluster: Cluster,
    faulty: String,
    /// Where it listens itself.
    there: String,
    front: Front,
    _runtime: tokio::runtime::Runtime,
}

/// Starts a server whose name leads to whoever listens there; returns its name, where it listens itself, and its process.
fn start_behind() -> (String, String, Process) {
    let name = free_names(2, RING_SIZE);
    let [name, there] = name.as_slice() else { panic!("two names were asked for") };
    let port = there.rsplit_once(':').expect("a name is HOST:PORT").1;
    let arguments = ["http", "server", "127.0.0.1", port, &RING_SIZE.to_string(), "--known-as", name];
    let mut server = Process::start(program().args(arguments));
    server.wait_until_it_says(&format!("Running on {name} ")).expect("it runs");
    (name.clone(), there.clone(), server)
}

fn address(name: &str) -> (&str, u16) {
    let (host, port) = name.rsplit_once(':').expect("a name is HOST:PORT");
    (host, port.parse().expect("a port"))
}

fn takes_longer(node: &str, command: &str, body: &str, than: Duration) -> bool {
    let answer = Connection::open_within(node, than)
        .and_then(|mut connection| connection.post(command, body).map(drop));
    answer.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

impl Ring {
    /// All but the faulty one are asked.
    fn new(n_nodes: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut cluster = Cluster::idle(0, RING_SIZE);
        let mut front = Front::new();
        let (faulty, there, server) = start_behind();
        let mut stand = |name: &str, there: &str, whose| {
            let stands = front.stand(address(name), address(there), whose);
            runtime.block_on(stands).expect("the port is free");
        };
        stand(&faulty, &there, Whose::ToPeer);
        for _ in 1..n_nodes {
            let (name, other_there, other) = start_behind();
            stand(&name, &other_there, Whose::OfProcess(server.id()));
            cluster.servers.insert(name, other);
        }
        let names = cluster.names();
        cluster.servers.insert(faulty.clone(), server);
        ask(&names[0], "create", "{}").fields(&[]);
        for name in names.iter().skip(1).chain([&faulty]) {
            ask(name, "join", &json!({ "remote_node": names[0] }).to_string()).fields(&[]);
        }
        cluster.wait_until_ideal(IDEAL_LIMIT);
        Self { cluster, faulty, there, front, _runtime: runtime }
    }

    fn server(&self) -> &Process {
        &self.cluster.servers[&self.faulty]
    }

    /// So many keys that others own than the faulty one.
    fn keys_of_others(&self, count: usize) -> Vec<String> {
        let oracle = self.cluster.oracle();
        let keys = (0..).map(|idx| format!("key {idx}"));
        keys.filter(|key| oracle.owner_of_key(key) != self.faulty).take(count).collect()
    }

    /// Whether the faulty one takes longer than that for an answer.
    fn faulty_is_slow(&self, than: Duration) -> bool {
        takes_longer(&self.faulty, "node", "{}", than)
    }

    /// Whether it takes longer, asked where it listens itself, for an answer that it has to ask another for.
    fn faulty_asks_slowly(&self, than: Duration) -> bool {
        let get = json!({ "key": self.keys_of_others(1)[0] }).to_string();
        takes_longer(&self.there, "get", &get, than)
    }

    /// Waits until it is as fast as the others again.
    fn wait_until_faulty_is_well(&self) {
        self.cluster.wait_until_ideal(IDEAL_LIMIT);
        wait_for("a peer that is well again", IDEAL_LIMIT, || {
            let slow = (self.faulty_is_slow(SLOW_BY / 2), self.faulty_asks_slowly(SLOW_BY / 2));
            if slow == (false, false) { Ok(()) } else { Err(format!("it answers and asks slowly: {slow:?}")) }
        });
    }

    /// Asks the others: no more requests take longer than clients may be held up, and twice as many as on this machine without
    /// any fault, which may do much else; and none takes as long as the peer does.
    fn others_are_not_held_up(&self, fault: &str, limit: Duration, without: &[Duration]) {
        let with = self.those_that_take_longer(fault, limit);
        let most = CLIENTS * HELD_UP_MAX + 2 * without.len();
        assert!(with.len() <= most, "with a {fault} peer {with:?} take too long, and {without:?} without");
        let longest = without.iter().max().map_or(PEER_TAKES, |longest| PEER_TAKES.max(2 * *longest));
        assert!(with.iter().all(|took| *took < longest), "{with:?} with a {fault} peer");
    }

    /// Reads and writes keys of the others, through the others, beside each other; what took longer.
    fn those_that_take_longer(&self, fault: &str, limit: Duration) -> Vec<Duration> {
        let others: Vec<String> =
            self.cluster.names().into_iter().filter(|name| *name != self.faulty).collect();
        let keys = self.keys_of_others(40);
        let (begin, n_asked, slow) = (Instant::now(), AtomicUsize::new(0), Mutex::new(Vec::new()));
        let asks = || {
            while begin.elapsed() < ASKED_FOR || n_asked.load(Ordering::Relaxed) < REQUESTS_MIN {
                let idx = n_asked.fetch_add(1, Ordering::Relaxed);
                // Each key is written before it is read, by another node than that which reads it.
                let (node, key) = (&others[idx % others.len()], &keys[idx / 2 % keys.len()]);
                let (answer, took) = if idx % 2 == 0 {
                    timed(node, "put", &json!({ "key": key, "value": "value" }).to_string())
                } else {
                    timed(node, "get", &json!({ "key": key }).to_string())
                };
                let answer = answer.unwrap_or_else(|error| panic!("{node} with a {fault} peer: {error}"));
                assert_eq!(answer.status, 200, "{node} with a {fault} peer: {}", answer.error());
                if took > limit {
                    slow.lock().expect("no reader panics with it").push(took);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(asks);
            }
        });
        let (n_asked, slow) = (n_asked.into_inner(), slow.into_inner().expect("no reader panicked"));
        println!("with a {fault} peer: {n_asked} requests, {} of them slow: {slow:?}", slow.len());
        slow
    }
}

#[test]
fn a_peer_whose_round_trips_take_100_ms_more_holds_up_nobody_who_asks_for_keys_of_others() {
    let _machine = alone();
    let ring = Ring::new(5);
    ring.wait_until_faulty_is_well();
    let without = ring.those_that_take_longer("healthy", SLOW_BY);
    ring.front.behave(Manner::Late(SLOW_BY));
    ring.others_are_not_held_up("slow", SLOW_BY, &without);
    assert!(ring.faulty_is_slow(SLOW_BY * 9 / 10) && ring.faulty_asks_slowly(SLOW_BY * 9 / 10));
    ring.front.behave(Manner::Well);
    ring.wait_until_faulty_is_well();
}

#[test]
fn a_frozen_a_very_slow_and_a_dripping_peer_hold_up_nobody_who_asks_for_keys_of_others() {
    let _machine = alone();
    let ring = Ring::new(5);
    let without = ring.those_that_take_longer("healthy", WAIT_LIMIT);
    let very_slow = Manner::Late(2 * PEER_TAKES);
    for (fault, manner) in [("very slow", very_slow), ("dripping", Manner::Dripping(PEER_TAKES))] {
        ring.front.behave(manner);
        ring.others_are_not_held_up(fault, WAIT_LIMIT, &without);
        assert!(ring.faulty_is_slow(PEER_TAKES), "{fault}");
        ring.front.behave(Manner::Well);
        ring.wait_until_faulty_is_well();
    }
    ring.server().freeze();
    ring.others_are_not_held_up("frozen", WAIT_LIMIT, &without);
    assert!(ring.faulty_is_slow(PEER_TAKES), "frozen");
    ring.server().signal("CONT");
    ring.wait_until_faulty_is_well();
}
