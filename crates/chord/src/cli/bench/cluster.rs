//! Server processes of this very program, which form a ring and end with the measurement.

mod behind;

pub(super) use behind::Behind;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chord::wire::{Answer, Request};
use chord::{NodeName, Reply, RingSize};
use chord_wire::seed::cut_at_repeat;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::Door;
use super::entry::Entry;
use super::keeping::{Home, KeepingArgs};
use super::process::Sample;
use crate::cli::output::note;
use crate::cli::{address, client, ports};

/// How long a process may take until it serves, one command may take, and the ring may take to be complete.
const START_WITHIN: Duration = Duration::from_secs(20);
const CALL_WITHIN: Duration = Duration::from_secs(10);
const RING_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether the ring is complete.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The processes that were started. They are killed when this is dropped, and end by themselves if nothing is left to drop
/// it.
#[derive(Debug)]
pub(super) struct Cluster {
    setup: Setup,
    servers: Vec<Server>,
    /// After the servers, so that they are gone when it goes.
    home: Option<Home>,
}

/// What each server is told.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) door: Door,
    pub(super) ring_size: RingSize,
    pub(super) keeping: KeepingArgs,
    /// How many connections each serves at a time, if that is not the default.
    pub(super) connections: Option<u32>,
    pub(super) entry: Entry,
}

impl Setup {
    /// Servers that are asked over HTTP, and let everybody in.
    pub(super) fn open(ring_size: RingSize, keeping: KeepingArgs) -> Self {
        Self { door: Door::Http, ring_size, keeping, connections: None, entry: Entry::default() }
    }
}

#[derive(Debug)]
struct Server {
    name: NodeName,
    child: Child,
}

impl Cluster {
    /// A cluster without servers.
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, servers: Vec::new(), home: None }
    }

    /// Starts so many server processes on free ports.
    pub(super) async fn start(&mut self, n_servers: usize) -> anyhow::Result<Vec<NodeName>> {
        let names = self.free_names(n_servers)?;
        match n_servers {
            1 => note("Starting a server process..."),
            _ => note(format_args!("Starting {n_servers} server processes...")),
        }
        if self.home.is_none() {
            self.home = self.setup.keeping.home()?;
        }
        let n_older = self.servers.len();
        for name in &names {
            let child = self.spawn(name).context("cannot start a server process")?;
            self.servers.push(Server { name: name.clone(), child });
        }
        for server in self.servers.iter_mut().skip(n_older) {
            let serving = tokio::time::timeout(START_WITHIN, server.wait_until_it_serves()).await;
            serving.with_context(|| format!("the server process {} did not come up", server.name))??;
        }
        Ok(names)
    }

    /// Free ports whose positions differ from each other and from those of the servers there are.
    fn free_names(&self, n_names: usize) -> anyhow::Result<Vec<NodeName>> {
        let mut all: Vec<NodeName> = self.servers.iter().map(|server| server.name.clone()).collect();
        all.extend(ports::free_names(n_names, self.setup.ring_size)?);
        if let Some((one, other)) = ports::collision(&all, self.setup.ring_size) {
            bail!("{one} and {other} have the same position: try again, or use a larger --ring-size");
        }
        Ok(all.split_off(self.servers.len()))
    }

    /// Starts one more server, which joins the ring of the others. Returns before it has any records.
    pub(super) async fn add(&mut self) -> anyhow::Result<NodeName> {
        let contact = self.servers.first().context("there is a ring to join")?.name.clone();
        let names = self.start(1).await?;
        let name = names.into_iter().next().context("one server was started")?;
        self.call(&name, &Request::Join { remote: contact }).await?;
        Ok(name)
    }

    /// Makes the first node found a ring, the others join it, and waits until each knows its neighbours.
    pub(super) async fn form_ring(&self) -> anyhow::Result<()> {
        let ring_size = self.setup.ring_size;
        let names: Vec<&NodeName> = self.servers.iter().map(|server| &server.name).collect();
        let Some((first, others)) = names.split_first() else { return Ok(()) };
        self.call(first, &Request::Create).await?;
        for node in others {
            self.call(node, &Request::Join { remote: (*first).clone() }).await?;
        }
        let formed = tokio::time::timeout(RING_WITHIN, self.wait_until_complete(in_order(names, ring_size)));
        formed.await.map_err(|_| anyhow!("the ring was not complete after {} s", RING_WITHIN.as_secs()))?
    }

    async fn call(&self, node: &NodeName, request: &Request) -> anyhow::Result<Reply> {
        client::ask(self.setup.entry.client(node)?, request, CALL_WITHIN).await
    }

    async fn wait_until_complete(&self, names: Vec<&NodeName>) -> anyhow::Result<()> {
        for idx in 0..names.len() {
            let mut order = names.clone();
            order.rotate_left(idx);
            while !self.knows_its_neighbours(&order).await? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Whether the first node of `order`, which is the ring from there on, knows the last for its predecessor and
    /// the rest for its successors.
    async fn knows_its_neighbours(&self, order: &[&NodeName]) -> anyhow::Result<bool> {
        let Some((node, others)) = order.split_first() else { return Ok(true) };
        let predecessor = self.call(node, &Request::GetPredecessor).await?.answer;
        let successors = self.call(node, &Request::GetSuccessorList).await?.answer;
        let (Answer::Predecessor(predecessor), Answer::SuccessorList(successors)) = (predecessor, successors)
        else {
            bail!("{node} gave the answer to another question");
        };
        let predecessor_is_right = others.is_empty() || predecessor.as_ref() == others.last().copied();
        Ok(predecessor_is_right && is_in_order(node, successors, others))
    }

    fn spawn(&self, name: &NodeName) -> anyhow::Result<Child> {
        Ok(self.command(name)?.spawn()?)
    }

    fn command(&self, name: &NodeName) -> anyhow::Result<Command> {
        let Setup { door, ring_size, keeping, connections, entry } = &self.setup;
        let (host, port) = address::host_port(name);
        let mut command = Command::new(std::env::current_exe()?);
        command.args([door.command(), "server", host, port, &ring_size.to_string()]);
        command.args(["--log", "error", "--end-with-input"]);
        if let Some(connections) = connections {
            command.args(["--connections", &connections.to_string(), "--client-connections", "0"]);
        }
        command.args(entry.to_server());
        command.args(keeping.to_server(self.home.as_ref(), name.as_str()));
        for (variable, _) in std::env::vars_os() {
            // A CHORD_JOIN that is meant for another node must not reach these.
            if variable.to_string_lossy().starts_with("CHORD_") {
                command.env_remove(variable);
            }
        }
        // Each holds the end of a pipe whose other end closes with this process, however it dies.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // One that is frozen reads no pipe: the system lets it go on when nobody is left who could (POSIX.1, _exit), if it is in a
        // process group of its own.
        command.process_group(0);
        Ok(command)
    }

    /// What the processes have used so far; empty where there is no /proc.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let sample = |server: &Server| Sample::take(server.name.as_str(), server.child.id()?);
        self.servers.iter().filter_map(sample).collect()
    }

    /// Kills the processes and waits until they are gone.
    pub(super) async fn stop(&mut self) {
        for server in &mut self.servers {
            let _ = server.child.start_kill(); // an error says that it has ended already
        }
        for server in &mut self.servers {
            let _ = server.child.wait().await;
        }
    }
}

impl Server {
    /// Reads what the process says until it says that it serves; what comes later is thrown away.
    async fn wait_until_it_serves(&mut self) -> anyhow::Result<()> {
        let stderr = self.child.stderr.take().context("standard error is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut last = String::new();
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("Running on ") {
                tokio::spawn(drain(lines));
                return Ok(());
            }
            last = line;
        }
        bail!("the server process {} ended: {}", self.name, last.trim_start_matches("error: "));
    }
}

async fn drain(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(_)) = lines.next_line().await {}
}

fn in_order(mut names: Vec<&NodeName>, ring_size: RingSize) -> Vec<&NodeName> {
    names.sort_by_key(|name| ring_size.position_of(name.as_str().as_bytes()));
    names
}

/// Whether the list begins with the node's successors in order. It goes through the node itself and round again, since the
/// seed's does.
fn is_in_order(node: &NodeName, list: Vec<NodeName>, others: &[&NodeName]) -> bool {
    let known: Vec<NodeName> = cut_at_repeat(list).into_iter().take_while(|known| known != node).collect();
    let is_right = known.iter().zip(others).all(|(known, wanted)| known == *wanted);
    is_right && (others.is_empty() || !known.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_goes_round_before_it_has_named_all_is_right() {
        let names: Vec<NodeName> = (1..=5).map(|port| format!("h:{port}").parse().unwrap()).collect();
        let [node, others @ ..] = names.as_slice() else { panic!() };
        let others: Vec<&NodeName> = others.iter().collect();
        let list = |ports: &[usize]| ports.iter().map(|port| names[port - 1].clone()).collect();
        // Two successors, as one of a larger ring has eight.
        assert!(is_in_order(node, list(&[2, 3, 1, 2, 3, 1, 2]), &others));
        assert!(is_in_order(node, list(&[2, 3, 4, 5, 1, 2, 3]), &others));
        assert!(!is_in_order(node, list(&[3, 4, 1, 3, 4, 1, 3]), &others));
        assert!(!is_in_order(node, list(&[1, 1, 1]), &others));
        assert!(is_in_order(node, list(&[1, 1, 1]), &[]));
    }
}
