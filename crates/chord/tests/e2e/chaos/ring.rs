//! The ring that things go wrong in: processes with a directory each, which come back under their names.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::lab::Lab;
use crate::support::*;

/// How many nodes a run begins with.
const N_MEMBERS: usize = 5;

/// Positions of `chord serve` where nothing else is asked for.
const RING_SIZE: usize = 160;

/// Longest wait until a node that was started is ready, one that leaves is gone, and a ring that was mended is whole.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Where the nodes of a run keep their records, three copies of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Each node in a directory of its own, which it finds again.
    OnDisk,
    InMemory,
}

pub(crate) struct Ring {
    keeping: Keeping,
    // The processes end before the hosts that they run on and the directories go.
    running: BTreeMap<String, Process>,
    lab: Option<Lab>,
    /// Where each name keeps its records; the first of them founded the ring.
    homes: Vec<(String, TempDir)>,
}

impl Ring {
    /// A whole ring on loopback.
    #[track_caller]
    pub(crate) fn start(keeping: Keeping) -> Self {
        Self::start_named(keeping, None, &free_names(N_MEMBERS, RING_SIZE))
    }

    /// A whole ring, two nodes of it on one host and three on another.
    #[track_caller]
    pub(crate) fn start_on(lab: Lab, keeping: Keeping) -> Self {
        Self::start_named(keeping, Some(lab), &Lab::names(2, N_MEMBERS - 2))
    }

    #[track_caller]
    fn start_named(keeping: Keeping, lab: Option<Lab>, names: &[String]) -> Self {
        let mut ring = Self { keeping, running: BTreeMap::new(), lab, homes: Vec::new() };
        for name in names {
            ring.add(name);
        }
        ring.wait_until_whole();
        ring
    }

    /// Starts one more node, and waits until it is ready; returns its name.
    #[track_caller]
    pub(crate) fn grow(&mut self) -> String {
        let name = free_names(1, RING_SIZE).remove(0);
        self.add(&name);
        name
    }

    #[track_caller]
    fn add(&mut self, name: &str) {
        self.homes.push((name.to_owned(), tempfile::tempdir().expect("a temporary directory can be made")));
        self.run(name);
        wait_until_ready(name);
    }

    /// Starts the process of a node that does not run, under its old name and with what its directory holds.
    #[track_caller]
    pub(crate) fn run(&mut self, name: &str) {
        let (_, home) = self.homes.iter().find(|(other, _)| other == name).expect("the node has a home");
        let mut command = self.lab.as_ref().map_or_else(program, |lab| lab.program_at(name));
        command.args(["serve", "--end-with-input", "--listen", name]).stdin(Stdio::piped());
        let mut others = self.homes.iter().filter(|(other, _)| other != name).peekable();
        if name == self.homes[0].0 && others.peek().is_some() {
            command.arg("--found"); // All may have been killed.
        }
        for (other, _) in others {
            command.args(["--join", other]);
        }
        command.args(["--replicas", "3"]);
        if self.keeping == Keeping::OnDisk {
            command.args(["--sync", "always", "--data"]).arg(home.path());
        }
        let mut process = Process::start(&mut command);
        if let Err(said) = process.wait_until_it_says("Running on") {
            panic!("{name} ended: {said}");
        }
        self.running.insert(name.to_owned(), process);
    }

    /// Kills a node's process.
    #[track_caller]
    pub(crate) fn kill(&mut self, name: &str) {
        self.running.remove(name).expect("the node runs").crash();
    }

    /// Kills all processes, as nearly at once as can be.
    #[track_caller]
    pub(crate) fn kill_all(&mut self) {
        for process in self.running.values() {
            process.signal("KILL");
        }
        self.running.clear();
    }

    /// Tells a node to leave, and waits for the end of its process; what it says if it could not leave in good order.
    #[track_caller]
    pub(crate) fn leave(&mut self, name: &str) -> Result<(), String> {
        let mut process = self.running.remove(name).expect("the node runs");
        process.signal("TERM");
        let ended = || process.ended().ok_or("it still runs");
        let (status, _) = wait_for(&format!("the end of {name}"), READY_LIMIT, ended);
        if status.success() { Ok(()) } else { Err(format!("{name}: {status}: {}", process.stderr())) }
    }

    /// Nothing of this node is needed any more.
    pub(crate) fn forget(&mut self, name: &str) {
        self.homes.retain(|(other, _)| other != name);
    }

    pub(crate) fn process(&self, name: &str) -> &Process {
        self.running.get(name).expect("the node runs")
    }

    pub(crate) fn lab(&self) -> &Lab {
        self.lab.as_ref().expect("the ring has two hosts")
    }

    /// The nodes that run, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// Waits until all nodes are one ring and each is ready; returns for how long.
    #[track_caller]
    pub(crate) fn wait_until_whole(&self) -> Duration {
        let names = self.names();
        let oracle = Oracle::new(RING_SIZE, &names);
        let is_whole =
            || names.iter().try_for_each(|name| is_ideal_at(&oracle, name).and_then(|()| readiness(name)));
        wait_for("a whole ring", READY_LIMIT, is_whole).1
    }
}

/// Waits until a node is ready; returns for how long.
#[track_caller]
pub(crate) fn wait_until_ready(name: &str) -> Duration {
    wait_for(&format!("{name} ready"), READY_LIMIT, || readiness(name)).1
}
