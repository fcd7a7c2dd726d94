//! Clients that write and read while things go wrong, and readers that look at everything afterwards.

use std::collections::BTreeSet;
use std::io;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::json;

use super::history::{Action, Clock, Operation, Outcome};
use crate::support::*;

/// How many clients write and read at a time.
const N_CLIENTS: u32 = 16;

/// Keys that one client alone writes, and all read.
const OWN_KEYS: u32 = 4;

/// Keys that all write and read.
const SHARED_KEYS: u32 = 16;

/// A client writes a new key, which nobody writes again, so often: what is lost of those does not hide under later
/// writes. In a minute that makes ten thousand, which every node can be asked for afterwards in some seconds.
const NEW_KEY_PAUSE: Duration = Duration::from_millis(100);

/// Between the beginnings of two operations of a client, so that the clients leave the nodes some of a small machine.
const PACE: Duration = Duration::from_millis(5);

/// Before the next attempt of a client whose last one failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Of so many operations, a client goes on at another node after one: newcomers are asked too.
const MOVE_ONE_OF: u32 = 500;

/// How long a client waits for an answer: longer than a node works on one.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long a node may leave keys untold, when all is mended: longer than clients would wait, so that what is lost is
/// told from what is late.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// The nodes that clients know.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<BTreeSet<String>>);

impl Known {
    pub(crate) fn add(&self, node: &str) {
        self.0.write().expect("nobody panics with it").insert(node.to_owned());
    }

    pub(crate) fn remove(&self, node: &str) {
        self.0.write().expect("nobody panics with it").remove(node);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.read().expect("nobody panics with it").iter().cloned().collect()
    }
}

/// The keys that clients ask for all the time.
pub(crate) fn busy_keys() -> BTreeSet<String> {
    let own = (0..N_CLIENTS).flat_map(|client| (0..OWN_KEYS).map(move |number| own_key(client, number)));
    own.chain((0..SHARED_KEYS).map(shared_key)).collect()
}

fn own_key(client: u32, number: u32) -> String {
    format!("own {client} {number}")
}

fn shared_key(number: u32) -> String {
    format!("shared {number}")
}

/// Has all clients write and read until `work` is done; returns what they did.
pub(crate) fn while_clients_ask(
    known: &Known,
    clock: Clock,
    seed: u64,
    work: impl FnOnce(),
) -> Vec<Operation> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = |id| Client::new(id, known, clock, seed);
        let clients: Vec<_> = (0..N_CLIENTS)
            .map(|id| (client(id), &done))
            .map(|(client, done)| scope.spawn(move || client.run(done)))
            .collect();
        let end = SetOnDrop(&done); // The clients must end even if the work panics.
        work();
        drop(end);
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    })
}

/// Reads each key at each node, again and again until it is told. A node is asked for nothing more when it does not
/// tell a key and [`READ_LIMIT`] is over.
pub(crate) fn read_everywhere(keys: &BTreeSet<&str>, nodes: &[String], clock: Clock) -> Vec<Operation> {
    thread::scope(|scope| {
        let readers: Vec<_> =
            nodes.iter().map(|node| scope.spawn(move || read_all(keys, node, clock))).collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader does not panic")).collect()
    })
}

fn read_all(keys: &BTreeSet<&str>, node: &str, clock: Clock) -> Vec<Operation> {
    let (mut asker, begin) = (Asker::new(node.to_owned(), clock), Instant::now());
    let mut reads = Vec::new();
    for key in keys {
        let mut read = asker.ask(key, Action::Get);
        while !read.succeeded() && begin.elapsed() < READ_LIMIT {
            thread::sleep(FAILURE_PAUSE);
            read = asker.ask(key, Action::Get);
        }
        let is_told = read.succeeded();
        reads.push(read);
        if !is_told {
            break;
        }
    }
    reads
}

/// Asks one node, on a connection that is kept as long as it answers.
struct Asker {
    node: String,
    clock: Clock,
    connection: Option<Connection>,
}

impl Asker {
    fn new(node: String, clock: Clock) -> Self {
        Self { node, clock, connection: None }
    }

    fn ask(&mut self, key: &str, action: Action) -> Operation {
        let began = self.clock.now();
        let outcome = self.outcome(key, &action);
        let (key, node, ended) = (key.to_owned(), self.node.clone(), self.clock.now());
        Operation { key, node, action, began, ended, outcome }
    }

    fn outcome(&mut self, key: &str, action: &Action) -> Outcome {
        // Nothing was sent yet if there is no connection.
        let opened =
            self.connection.take().map_or_else(|| Connection::open_within(&self.node, ANSWER_LIMIT), Ok);
        let Ok(mut connection) = opened else { return Outcome::Failed };
        let answer = match action {
            Action::Put(value) => connection.post("put", &json!({ "key": key, "value": value }).to_string()),
            Action::Get => connection.post("get", &json!({ "key": key }).to_string()),
        };
        if answer.is_ok() {
            self.connection = Some(connection);
        }
        match action {
            Action::Put(_) => written(&answer),
            Action::Get => seen(answer),
        }
    }
}

/// What a write came to. A node answers with a status below 500 only if the write did not happen and will not.
fn written(answer: &io::Result<Response>) -> Outcome {
    match answer {
        Ok(Response { status: 200, .. }) => Outcome::Stored,
        Ok(Response { status: 400..500, .. }) => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

fn seen(answer: io::Result<Response>) -> Outcome {
    match answer {
        Ok(answer) if answer.status == 200 => {
            Outcome::Found(answer.json()["value"].as_str().map(str::to_owned))
        }
        _ => Outcome::Failed,
    }
}

/// One client: it asks one node after another, and goes on to the next one when something failed.
struct Client<'a> {
    id: u32,
    known: &'a Known,
    random: Pcg64Mcg,
    asker: Asker,
    operations: Vec<Operation>,
    n_new_keys: u32,
}

impl<'a> Client<'a> {
    fn new(id: u32, known: &'a Known, clock: Clock, seed: u64) -> Self {
        // The clients begin evenly spread.
        let nodes = known.all();
        let node = nodes[usize::try_from(id).expect("a small number") % nodes.len()].clone();
        let random = Pcg64Mcg::seed_from_u64(seed.wrapping_add(u64::from(id)));
        Self { id, known, random, asker: Asker::new(node, clock), operations: Vec::new(), n_new_keys: 0 }
    }

    fn run(mut self, done: &AtomicBool) -> Vec<Operation> {
        let mut last_new_key = Instant::now();
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (key, action) = if last_new_key.elapsed() >= NEW_KEY_PAUSE {
                last_new_key = began;
                self.n_new_keys += 1;
                (format!("new {} {}", self.id, self.n_new_keys), self.put())
            } else {
                self.draw()
            };
            let operation = self.asker.ask(&key, action);
            let succeeded = operation.succeeded();
            self.operations.push(operation);
            if !succeeded || self.random.random_range(0..MOVE_ONE_OF) == 0 {
                self.move_on();
            }
            let pace = if succeeded { PACE } else { FAILURE_PAUSE };
            thread::sleep(pace.saturating_sub(began.elapsed()));
        }
        self.operations
    }

    /// An operation on one of the keys that are asked for all the time.
    fn draw(&mut self) -> (String, Action) {
        let writes = self.random.random_bool(0.5);
        let key = if self.random.random_bool(0.5) {
            shared_key(self.random.random_range(0..SHARED_KEYS))
        } else {
            let client = if writes { self.id } else { self.random.random_range(0..N_CLIENTS) };
            own_key(client, self.random.random_range(0..OWN_KEYS))
        };
        (key, if writes { self.put() } else { Action::Get })
    }

    fn put(&self) -> Action {
        Action::Put(format!("{}/{}", self.id, self.operations.len()))
    }

    fn move_on(&mut self) {
        let mut others = self.known.all();
        others.retain(|node| *node != self.asker.node);
        if let Some(node) = others.choose(&mut self.random) {
            self.asker = Asker::new(node.clone(), self.asker.clock);
        }
    }
}
