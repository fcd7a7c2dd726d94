//! `chord dev`: a whole ring in one process, to try things on.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chord::{Node, NodeName, RingSize, View, is_ideal};
use clap::Args;

use super::exit::Usage;
use super::files;
use super::logging::Log;
use super::output::{self, note};
use super::signals::Signals;
use super::{address, number, ports};
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

    /// Print the table as one JSON object; positions are strings of decimal digits
    #[arg(long)]
    json: bool,
}

impl DevArgs {
    pub(crate) async fn run(self, log: &Log) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let names = self.names()?;
        if let Some(shortage) = files::raise_limit().and_then(|allowed| files::shortage(self.nodes, allowed))
        {
            note(shortage);
        }
        let mut nodes = Vec::with_capacity(names.len());
        let ended = tokio::select! {
            ended = self.run_ring(&names, &mut nodes) => ended,
            () = signals.next() => Ok(()),
        };
        log.hush(); // that the others miss the one who leaves is no news to anybody
        tokio::select! {
            () = stop(&nodes) => ended,
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

    /// Starts the nodes, shows the ring, and ends when clients have stopped them all. May be dropped at any point:
    /// what was started is in `nodes`.
    async fn run_ring(&self, names: &[NodeName], nodes: &mut Vec<Node>) -> anyhow::Result<()> {
        // All listen before any joins: a port that is taken shows at once.
        for name in names {
            let builder = Node::builder().listen(name.as_str()).ring_size(self.ring_size);
            nodes.push(builder.wait_for_command().start().await?);
        }
        if nodes.len() > 1 {
            note(format_args!("Started {} nodes; waiting for the ring to be complete...", nodes.len()));
        }
        let formed = tokio::time::timeout(IDEAL_WITHIN, form_ring(nodes)).await;
        formed.context(format!("the ring was not complete after {} s", IDEAL_WITHIN.as_secs()))??;
        let ring = Ring::new(&views(nodes));
        if self.json {
            output::json(&ring)?;
        } else {
            output::styled(&ring.text(&program()))?;
        }
        for node in nodes.iter() {
            node.stopped().await;
        }
        Ok(())
    }
}

/// Makes the nodes one ring, in waves that double it: then a gap seldom has two newcomers, which would find their
/// places one round of maintenance after the other.
async fn form_ring(nodes: &[Node]) -> anyhow::Result<()> {
    let Some(first) = nodes.first() else { return Ok(()) };
    let begin = Instant::now();
    first.create().await?;
    let mut n_members = 1;
    while n_members < nodes.len() {
        let wave = nodes.iter().skip(n_members).take(n_members);
        n_members += wave.len();
        for node in wave {
            join(node, first.name()).await;
        }
        while !know_their_neighbours(&views(&nodes[..n_members])) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    tracing::info!(event = "all-members", nodes = nodes.len(), elapsed = ?begin.elapsed(), "every node is a member");
    while !is_ideal(views(nodes).iter().map(AsRef::as_ref)) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tracing::info!(event = "ring-ideal", nodes = nodes.len(), elapsed = ?begin.elapsed(), "the ring is ideal");
    Ok(())
}

/// Joins however often it takes: a ring that is changing may refuse for a moment.
async fn join(node: &Node, contact: &NodeName) {
    while let Err(error) = node.join(contact.clone()).await {
        tracing::info!(event = "join-failed", node = %node.name(), "{error}; trying again");
        tokio::time::sleep(LOOK_EVERY).await;
    }
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

fn views(nodes: &[Node]) -> Vec<Arc<View>> {
    nodes.iter().map(Node::view).collect()
}

/// Lets the nodes leave one after the other: each hands its keys to one that is still there.
async fn stop(nodes: &[Node]) {
    if !nodes.is_empty() {
        note("Stopping the ring; once more stops at once...");
    }
    for node in nodes {
        node.shutdown().await;
    }
}

/// How this program was called, for commands that the user may repeat.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "chord".to_owned())
}
