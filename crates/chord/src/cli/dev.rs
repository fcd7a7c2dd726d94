//! `chord dev`: a whole ring in one process, to try things on.

mod host;
mod ledger;
mod load;
mod orders;
mod playground;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chord::{NodeName, RingSize, SLOWNESS_MAX, View, is_ideal};
use clap::Args;

use super::exit::Usage;
use super::files;
use super::logging::Log;
use super::output::{self, note};
use super::signals::Signals;
use super::{address, number, ports};
use host::Host;
use playground::Playground;
use report::Ring;

/// Most nodes in one process. Each keeps connections to its neighbours and fingers, about 16 on a ring of
/// 256: 8,000 sockets at both ends, near what a process may open by default after its soft limit is raised.
const NODES_MAX: u64 = 256;

/// How long the nodes may take to become the ideal ring. 64 nodes need some seconds; 256 on a slow machine
/// some tens.
const IDEAL_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Run a whole ring in one process on consecutive ports, to try things on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord dev
  chord dev --nodes 16 --port 5000
  chord dev --ring-size 7 --json
  chord dev --slow 10

The page at the first node's address shows the ring, and has buttons to add nodes, to stop, kill and
freeze them and to cut the ring in two, load with a count of lost writes, and lessons.


Ctrl-C stops the ring. Nothing is kept.")]
pub(crate) struct DevArgs {
    /// How many nodes, 1 to 256
    #[arg(long, value_name = "COUNT", default_value = "5",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: u16,

    /// The first node's port on 127.0.0.1, the others' follow; 0 takes any free ports
    #[arg(long, default_value = "4567", value_parser = address::listen_port)]
    port: u16,

    /// Number of bits of a position, 1 to 256
    #[arg(long, value_name = "BITS", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    /// Maintenance in slow motion, that many times slower than usual, 1 to 200: to see each step of it
    #[arg(long, value_name = "TIMES", default_value = "1",
        value_parser = number::within::<u8>("how many times slower", 1..=SLOWNESS_MAX.into()))]
    slow: u8,

    /// Print the table as one JSON object; positions are strings of decimal digits
    #[arg(long)]
    json: bool,
}

impl DevArgs {
    pub(crate) async fn run(self, log: &Log) -> anyhow::Result<()> {
        let mut signals = Signals::with_hangup()?;
        let names = self.names()?;
        if let Some(shortage) = files::raise_limit().and_then(|allowed| files::shortage(self.nodes, allowed))
        {
            note(shortage);
        }
        let playground = Playground::new(self.ring_size, self.slow);
        let loading = tokio::spawn(load::run(playground.clone()));
        let ended = tokio::select! {
            ended = self.run_ring(&names, &playground) => ended,
            () = signals.next() => Ok(()),
        };
        loading.abort();
        log.hush(); // that the others miss the one who leaves is no news to anybody
        tokio::select! {
            () = stop(&playground) => ended,
            () = signals.next() => bail!("stopped before every node had left"),
        }
    }

    /// The nodes' names, known before any starts so that a ring that cannot be is refused at once.
    fn names(&self) -> anyhow::Result<Vec<NodeName>> {
        ports::check_room(self.nodes.into(), self.ring_size)?;
        if self.port == 0 {
            return ports::free_names(self.nodes.into(), self.ring_size);
        }
        let Some(last) = self.port.checked_add(self.nodes - 1) else {
            let (nodes, port) = (self.nodes, self.port);
            let refused = format!("{nodes} ports from {port} on would go beyond 65535: use a smaller --port");
            return Err(Usage::new(refused).into());
        };
        let names: Vec<NodeName> = (self.port..=last).map(ports::loopback).collect();
        if let Some((a, b)) = ports::collision(&names, self.ring_size) {
            bail!(
                "{a} and {b} have the same position on a ring of size {}: use a larger --ring-size or another --port",
                self.ring_size
            );
        }
        Ok(names)
    }

    /// Starts the nodes, shows the ring, and ends when all have been stopped by clients or on the page. May be dropped at any
    /// point: what was started is in the playground.
    async fn run_ring(&self, names: &[NodeName], playground: &Playground) -> anyhow::Result<()> {
        // All listen before any joins: a port that is taken shows at once.
        let mut hosts = Vec::with_capacity(names.len());
        for name in names {
            hosts.push(playground.start(name).await?);
        }
        if let [first, _, ..] = &hosts[..] {
            let (n_nodes, first) = (hosts.len(), first.name());
            let waiting = "waiting for the ring to be complete";
            if self.slow == 1 {
                note(format_args!("Started {n_nodes} nodes; {waiting}..."));
            } else {
                note(format_args!(
                    "Started {n_nodes} nodes; {waiting}, in slow motion: look at http://{first}/"
                ));
            }
        }
        let within = IDEAL_WITHIN * self.slow.into();
        let formed = tokio::time::timeout(within, form_ring(&hosts)).await;
        formed.context(format!("the ring was not complete after {} s", within.as_secs()))??;
        let ring = Ring::new(&views(&hosts));
        drop(hosts);
        if self.json {
            output::json(&ring)?;
        } else {
            output::styled(&ring.text(&program()))?;
        }
        playground.emptied().await;
        Ok(())
    }
}

/// Makes the nodes one ring, in waves that double it: then a gap seldom has two newcomers, which would find their
/// places one round of maintenance after the other.
async fn form_ring(hosts: &[Arc<Host>]) -> anyhow::Result<()> {
    let Some(first) = hosts.first() else { return Ok(()) };
    let begin = Instant::now();
    first.create().await?;
    let mut n_members = 1;
    while n_members < hosts.len() {
        let wave = hosts.iter().skip(n_members).take(n_members);
        n_members += wave.len();
        for host in wave {
            playground::join(host.clone(), first.name().clone()).await;
        }
        while !know_their_neighbours(&views(&hosts[..n_members])) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    tracing::info!(event = "all-members", nodes = hosts.len(), elapsed = ?begin.elapsed(), "every node is a member");
    while !is_ideal(views(hosts).iter().map(AsRef::as_ref)) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tracing::info!(event = "ring-ideal", nodes = hosts.len(), elapsed = ?begin.elapsed(), "the ring is ideal");
    Ok(())
}

/// Whether each of these nodes, and no other, follows the one before.
fn know_their_neighbours(views: &[Arc<View>]) -> bool {
    let mut views: Vec<&View> = views.iter().map(AsRef::as_ref).collect();
    views.sort_by_key(|view| view.me().position);
    let next = views.iter().cycle().skip(1);
    views.iter().zip(next).all(|(view, next)| {
        view.successors().head() == Some(next.me()) && next.predecessor() == Some(view.me())
    })
}

fn views(hosts: &[Arc<Host>]) -> Vec<Arc<View>> {
    hosts.iter().map(|host| host.node().view()).collect()
}

/// Lets the nodes leave one after the other: each hands its keys to one that is still there. Nobody waits for one that is frozen.
async fn stop(playground: &Playground) {
    let hosts = playground.all();
    if !hosts.is_empty() {
        note("Stopping the ring; once more stops at once...");
    }
    for host in hosts.iter().filter(|host| host.is_frozen()) {
        host.kill();
    }
    for host in hosts {
        host.leave();
        host.ended().await;
    }
}

/// How this program was called, for commands that the user may repeat.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "chord".to_owned())
}
