//! A peer that is frozen, slow or nearly mute holds up nobody who asks for keys of others.
//!
//! What it costs exactly, `chord bench slow-peer` measures. Here no request in a hundred may wait for the peer, and in twenty where
//! that is no longer than a machine may stumble.

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

/// What a request may take at most: less than any node waits for a peer, which is half a second at least.
const WAIT_LIMIT: Duration = Duration::from_millis(250);

/// What each round trip to a slow peer takes more, as `chord bench slow-peer` has it, and to a slower one, so that one wait for
/// it is more than the limit.
const SLOW_BY: Duration = Duration::from_millis(100);
const SLOWER_BY: Duration = Duration::from_millis(400);

/// What a very slow peer takes at least, and the dripping one for each byte.
const PEER_TAKES: Duration = Duration::from_secs(1);

/// How long others are asked while something is wrong, and how many requests that are at least.
const ASKED_FOR: Duration = Duration::from_secs(2);
const REQUESTS_MIN: usize = 300;

fn port_of(name: &str) -> u16 {
    name.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a name is HOST:PORT")
}

/// A server that listens elsewhere than its name says.
fn server_behind(name: &str, port: u16) -> Process {
    let (port, ring_size) = (port.to_string(), RING_SIZE.to_string());
    let args = ["http", "server", "127.0.0.1", &port, &ring_size, "--known-as", name];
    let mut server = Process::start(program().args(args));
    server.wait_until_it_says(&format!("Running on {name} ")).expect("it runs");
    server
}

/// A ring, and one of it that things can be wrong with.
struct Ring {
    cluster: Cluster,
    faulty: String,
    front: Front,
    _runtime: tokio::runtime::Runtime,
}

impl Ring {
    /// All but the faulty one are asked. A front stands before each: it slows what leads to the faulty one, and what that
    /// one asks of the others.
    fn new(n_nodes: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut cluster = Cluster::idle(0, RING_SIZE);
        let names = free_names(n_nodes, RING_SIZE);
        let faulty = names[0].clone();
        let mut front = Front::new();
        for name in names {
            let (port, there) = (port_of(&name), free_port());
            let whose = if name == faulty { Whose::ToPeer } else { Whose::OfPeer(faulty.clone()) };
            let stands = front.stand(("127.0.0.1", port), ("127.0.0.1", there), whose);
            runtime.block_on(stands).expect("the port is free");
            cluster.servers.insert(name.clone(), server_behind(&name, there));
        }
        let names = cluster.names();
        ask(&names[0], "create", "{}").fields(&[]);
        for name in &names[1..] {
            ask(name, "join", &json!({ "remote_node": names[0] }).to_string()).fields(&[]);
        }
        cluster.wait_until_ideal(IDEAL_LIMIT);
        assert!(front.heard().of_peer > 0, "what the faulty one asks is told apart");
        Self { cluster, faulty, front, _runtime: runtime }
    }

    fn server(&self) -> &Process {
        &self.cluster.servers[&self.faulty]
    }

    /// Whether the faulty one takes longer for an answer.
    fn faulty_is_slow(&self, than: Duration) -> bool {
        let answer = Connection::open_within(&self.faulty, than)
            .and_then(|mut connection| connection.post("node", "{}").map(drop));
        answer.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Reads and writes keys of the others, through the others, beside each other.
    fn others_are_not_held_up(&self, fault: &str) {
        self.others_are_held_up_within(fault, WAIT_LIMIT, 100);
    }

    /// The same, where at most one in so many may take longer than that.
    fn others_are_held_up_within(&self, fault: &str, limit: Duration, one_in: usize) {
        let others: Vec<String> =
            self.cluster.names().into_iter().filter(|name| *name != self.faulty).collect();
        let oracle = self.cluster.oracle();
        let keys: Vec<String> = (0..)
            .map(|idx| format!("key {idx}"))
            .filter(|key| oracle.owner_of_key(key) != self.faulty)
            .take(40)
            .collect();
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
            for _ in 0..3 {
                scope.spawn(asks);
            }
        });
        let (n_asked, slow) = (n_asked.into_inner(), slow.into_inner().expect("no reader panicked"));
        println!("with a {fault} peer: {n_asked} requests, {} of them slow: {slow:?}", slow.len());
        assert!(slow.len() * one_in <= n_asked, "with a {fault} peer {} of {n_asked}: {slow:?}", slow.len());
    }
}

#[test]
fn a_frozen_a_slow_a_very_slow_and_a_dripping_peer_hold_up_nobody_who_asks_for_keys_of_others() {
    let _machine = alone();
    let ring = Ring::new(5);
    ring.others_are_not_held_up("healthy");
    for (fault, manner, takes) in [
        ("slow", Manner::Late(SLOW_BY), SLOW_BY * 9 / 10),
        ("slower", Manner::Late(SLOWER_BY), SLOWER_BY * 9 / 10),
        ("very slow", Manner::Late(2 * PEER_TAKES), PEER_TAKES),
        ("dripping", Manner::Dripping(PEER_TAKES), PEER_TAKES),
    ] {
        ring.front.behave(manner);
        ring.others_are_not_held_up(fault);
        if takes < WAIT_LIMIT {
            // A wait for it is less than the limit, and about a machine's own stumbles.
            ring.others_are_held_up_within(fault, takes, 20);
        }
        assert!(ring.faulty_is_slow(takes), "{fault}");
        ring.front.behave(Manner::Well);
        ring.cluster.wait_until_ideal(IDEAL_LIMIT);
    }
    ring.server().freeze();
    ring.others_are_not_held_up("frozen");
    assert!(ring.faulty_is_slow(PEER_TAKES), "frozen");
    ring.server().signal("CONT");
    ring.cluster.wait_until_ideal(IDEAL_LIMIT);
}
