//! A ring of processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Oracle, Process, ask, free_port, position, program, try_ask, wait_for};

/// Longest wait for a small ring to become ideal, on a machine that does much else.
pub(crate) const IDEAL_LIMIT: Duration = Duration::from_secs(20);

/// Longest wait for the answer of one request, as the issue that asks for these tests has it: the deadline of the
/// whole request, and half a second for the machine.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_millis(5_500);

/// One `chord http server` or `chord xmlrpc server` for each name.
pub(crate) struct Cluster {
    language: &'static str,
    pub(crate) ring_size: usize,
    pub(crate) servers: BTreeMap<String, Process>,
}

impl Cluster {
    /// Starts servers, each at a position of its own, that belong to no ring yet.
    #[track_caller]
    pub(crate) fn idle(n_servers: usize, ring_size: usize) -> Self {
        Self::idle_of("http", n_servers, ring_size)
    }

    /// The same, of servers that speak this language to each other.
    #[track_caller]
    pub(crate) fn idle_of(language: &'static str, n_servers: usize, ring_size: usize) -> Self {
        let mut cluster = Self { language, ring_size, servers: BTreeMap::new() };
        while cluster.servers.len() < n_servers {
            cluster.add_idle();
        }
        cluster
    }

    /// Starts servers and makes them an ideal ring.
    #[track_caller]
    pub(crate) fn ring(n_servers: usize, ring_size: usize) -> Self {
        let cluster = Self::idle(n_servers, ring_size);
        let names = cluster.names();
        ask(&names[0], "create", "{}").fields(&[]);
        for (idx, name) in names.iter().enumerate().skip(1) {
            ask(name, "join", &json!({ "remote_node": names[idx / 2] }).to_string()).fields(&[]);
        }
        cluster.wait_until_ideal(IDEAL_LIMIT);
        cluster
    }

    /// One more server that belongs to no ring; returns its name.
    #[track_caller]
    pub(crate) fn add_idle(&mut self) -> String {
        let taken: Vec<_> = self.servers.keys().map(|name| position(name, self.ring_size)).collect();
        loop {
            let name = format!("127.0.0.1:{}", free_port());
            if !taken.contains(&position(&name, self.ring_size))
                && let Some(server) = try_server_of(self.language, &name, self.ring_size)
            {
                self.servers.insert(name.clone(), server);
                return name;
            }
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.servers.keys().cloned().collect()
    }

    /// The servers that run, sorted.
    pub(crate) fn oracle(&self) -> Oracle {
        Oracle::new(self.ring_size, self.servers.keys())
    }

    /// Waits until each node says what the sorted ring says; returns how long it took.
    #[track_caller]
    pub(crate) fn wait_until_ideal(&self, limit: Duration) -> Duration {
        let oracle = self.oracle();
        let ((), elapsed) = wait_for("an ideal ring", limit, || {
            self.servers.keys().try_for_each(|name| is_ideal_at(&oracle, name))
        });
        elapsed
    }
}

/// Names on free loopback ports, each at a position of its own.
#[track_caller]
pub(crate) fn free_names(count: usize, ring_size: usize) -> Vec<String> {
    let mut names = BTreeMap::new();
    while names.len() < count {
        let name = format!("127.0.0.1:{}", free_port());
        names.entry(position(&name, ring_size)).or_insert(name);
    }
    names.into_values().collect()
}

/// A server that runs, or none if another process has taken the port meanwhile.
#[track_caller]
pub(crate) fn try_server(name: &str, ring_size: usize) -> Option<Process> {
    try_server_of("http", name, ring_size)
}

/// The same, for a server that speaks this language to other nodes.
#[track_caller]
pub(crate) fn try_server_of(language: &str, name: &str, ring_size: usize) -> Option<Process> {
    let (host, port) = name.rsplit_once(':').expect("a name is HOST:PORT");
    let mut process =
        Process::start(program().args([language, "server", host, port, &ring_size.to_string()]));
    match process.wait_until_it_says(&format!("Running on {name} with ring size {ring_size}...")) {
        Ok(()) => Some(process),
        Err(said) if said.contains("in use") => None,
        Err(said) => panic!("{name} ended: {said}"),
    }
}

/// Whether a node's neighbours are those of the sorted ring; what it says if not.
pub(crate) fn is_ideal_at(oracle: &Oracle, name: &str) -> Result<(), String> {
    let says = |command: &str, field: &str| {
        let answer = try_ask(name, command, "{}").map_err(|error| format!("{name}: {error}"))?;
        Ok::<Value, String>(answer.json()[field].take())
    };
    let predecessor = says("get_predecessor", "node")?;
    if predecessor != json!(oracle.predecessor(name)) {
        return Err(format!("{name} has predecessor {predecessor}, not {:?}", oracle.predecessor(name)));
    }
    let list = says("get_successor_list", "successor_list")?;
    if list != json!(oracle.successor_list(name)) {
        return Err(format!("{name} has successors {list}, not {:?}", oracle.successor_list(name)));
    }
    Ok(())
}
