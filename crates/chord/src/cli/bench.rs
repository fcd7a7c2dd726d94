//! `chord bench`: how fast a ring answers, measured from outside over its public door.

mod churn;
mod cluster;
mod connection;
mod grow;
mod idle;
mod join;
mod keeping;
mod load;
mod paced;
mod process;
mod ready;
mod repair;
mod report;
mod response;
mod rest;
mod sim;
mod slow_peer;
mod workload;

use std::time::Duration;

use anyhow::bail;
use chord::{NodeName, RingSize};
use clap::{Args, Subcommand, ValueEnum};

use super::output::{self, note};
use super::signals::Signals;
use super::{number, seed};
use cluster::{Cluster, Setup};
use keeping::KeepingArgs;
use workload::Workload;

/// Most server processes that are spawned.
const NODES_MAX: u64 = 64;
/// Most connections: each is a socket here, and a process may open 1,024 files by default.
const CONNECTIONS_MAX: u64 = 1000;
/// Most keys: their values are computed, not kept, so only the nodes' memory bounds them.
const KEYS_MAX: u64 = 10_000_000;
/// Largest value: what a node takes by default.
const VALUE_BYTES_MAX: u64 = chord::VALUE_BYTES_DEFAULT as u64;

/// Seconds before a measurement begins, unless told otherwise: connections and caches are warm after one. A
/// ring at rest needs some to notice that nothing changes any more.
const WARMUP_DEFAULT: u64 = 1;
const WARMUP_AT_REST_DEFAULT: u64 = 15;

/// Measure put and get on a ring: operations per second and latencies
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  chord bench
  chord bench --connections 32 --seconds 30 --json
  chord bench --node 10.0.0.1:4567 --node 10.0.0.2:4567
  chord bench --nodes 5 --rest 30
  chord bench --disk --sync always --connections 64
  chord bench grow
  chord bench idle
  chord bench join
  chord bench sim
  chord bench slow-peer

Without --node it starts server processes of this program on loopback, forms a ring of them, and ends them.

Each connection sends its next request when the last is answered, and the connections are spread evenly over the \
nodes. Keys are uniform random, and all are written once before the measurement. Every value read is compared with the \
one written. Latencies are in milliseconds, from sending a request to having read its answer."
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    other: Option<Other>,

    /// Which of the node's doors to measure
    #[arg(long, default_value = "http")]
    door: Door,

    /// How many server processes to start, 1 to 64
    #[arg(long, value_name = "COUNT", default_value = "3", conflicts_with = "node",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: u16,

    /// Ring size of the servers that are started
    #[arg(long, value_name = "BITS", default_value = "7", conflicts_with = "node")]
    ring_size: RingSize,

    /// Measure this running node instead of starting any; may be repeated
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["rest", "KeepingArgs"])]
    node: Vec<NodeName>,

    /// How many connections, over all nodes
    #[arg(long, value_name = "COUNT", default_value = "8",
        value_parser = number::within::<u16>("the number of connections", 1..=CONNECTIONS_MAX))]
    connections: u16,

    /// How long to measure each operation
    #[arg(long, default_value = "5", value_parser = number::seconds)]
    seconds: u64,

    /// Size of a value
    #[arg(long, value_name = "BYTES", default_value = "64",
        value_parser = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX))]
    value_bytes: usize,

    /// How many different keys
    #[arg(long, value_name = "COUNT", default_value = "10000",
        value_parser = number::within::<u64>("the number of keys", 1..=KEYS_MAX))]
    keys: u64,

    /// Seconds before each measurement that do not count: 1 unless given, or 15 with --rest
    #[arg(long, value_name = "SECONDS",
        value_parser = number::within::<u64>("the warm-up time in seconds", 0..=3600))]
    warmup: Option<u64>,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Put no load on the ring, and measure memory and CPU of its processes for so long
    #[arg(long, value_name = "SECONDS", value_parser = number::seconds)]
    rest: Option<u64>,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

/// What can be measured beside a ring of processes.
#[derive(Clone, Debug, Subcommand)]
enum Other {
    Grow(grow::GrowArgs),
    Idle(idle::IdleArgs),
    Join(join::JoinArgs),
    Repair(repair::RepairArgs),
    Sim(sim::SimArgs),
    SlowPeer(slow_peer::SlowPeerArgs),
}

/// A way to speak to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Door {
    /// The seed's HTTP and JSON
    Http,
    /// The seed's XML-RPC, among the nodes too
    #[value(name = "xmlrpc")]
    XmlRpc,
}

impl Door {
    /// The name by which users know it; the command that serves it has the same.
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::XmlRpc => "xmlrpc",
        }
    }

    /// How much larger a value may become on its way: the longest escape of one byte.
    fn growth(self) -> usize {
        match self {
            Self::Http => r"\u0000".len(),
            Self::XmlRpc => "&quot;".len(),
        }
    }
}

impl BenchArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        match self.other {
            Some(Other::Grow(args)) => return args.run(&mut signals).await,
            Some(Other::Sim(args)) => return args.run(&mut signals).await,
            Some(Other::Idle(_) | Other::Join(_) | Other::Repair(_)) | None => {}
        }
        let mut cluster = Cluster::new(self.setup());
        let ended = tokio::select! {
            ended = self.measure_any(&mut cluster) => ended,
            () = signals.next() => Err(anyhow::anyhow!("stopped before the measurement was done")),
        };
        cluster.stop().await;
        ended
    }

    fn setup(&self) -> Setup {
        match &self.other {
            Some(Other::Idle(args)) => args.setup(),
            Some(Other::Join(args)) => args.setup(),
            Some(Other::Repair(args)) => args.setup(),
            Some(Other::SlowPeer(args)) => args.setup(),
            Some(Other::Grow(_) | Other::Sim(_)) | None => {
                let keeping = self.keeping.clone();
                Setup { door: self.door, ring_size: self.ring_size, keeping, connections: None }
            }
        }
    }

    async fn measure_any(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        match &self.other {
            Some(Other::Idle(args)) => args.measure(cluster).await,
            Some(Other::Join(args)) => args.measure(cluster).await,
            Some(Other::Repair(args)) => args.measure(cluster).await,
            Some(Other::SlowPeer(args)) => args.measure(cluster).await,
            Some(Other::Grow(_) | Other::Sim(_)) | None => self.measure(cluster).await,
        }
    }

    /// May be dropped at any point: every process started is in `cluster`.
    async fn measure(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let mut nodes = self.node.clone();
        if nodes.is_empty() {
            if self.door == Door::XmlRpc {
                seed::check_xml_rpc_bits(self.ring_size, "--door http")?;
            }
            nodes = cluster.start(self.nodes.into()).await?;
            cluster.form_ring().await?;
        }
        match self.rest {
            Some(seconds) => self.measure_rest(cluster, seconds).await,
            None => self.measure_load(cluster, nodes).await,
        }
    }

    async fn measure_load(&self, cluster: &Cluster, nodes: Vec<NodeName>) -> anyhow::Result<()> {
        let workload = Workload {
            door: self.door,
            nodes,
            connections: self.connections,
            keys: self.keys,
            value_bytes: self.value_bytes,
            warmup: self.warmup(WARMUP_DEFAULT),
            measured: Duration::from_secs(self.seconds),
        };
        note(format_args!("Writing {} keys, then measuring put and get...", self.keys));
        load::fill(&workload).await?;
        let before = (cluster.samples(), process::own_sample());
        let mut operations = Vec::new();
        for operation in [workload::Operation::Put, workload::Operation::Get] {
            let idle = cluster.samples();
            let measured = load::measure(&workload, operation).await?;
            operations.push((measured, process::usage(&idle, &cluster.samples())));
        }
        let servers = process::usage(&before.0, &cluster.samples());
        let generator = process::usage(&before.1, &process::own_sample());
        let report = report::Report::new(self, &workload, &operations, report::Used { servers, generator });
        if self.json {
            output::json(&report)?;
        } else {
            output::styled(&report.text())?;
        }
        match operations.iter().find_map(|(measured, _)| measured.failure()) {
            Some(failure) => bail!("not every request succeeded; the first failure: {failure}"),
            None => Ok(()),
        }
    }

    async fn measure_rest(&self, cluster: &Cluster, seconds: u64) -> anyhow::Result<()> {
        let warmup = self.warmup(WARMUP_AT_REST_DEFAULT);
        if cluster.samples().is_empty() {
            bail!("--rest needs /proc, which this system does not have");
        }
        note(format_args!(
            "Letting the ring rest for {} s, then measuring for {seconds} s...",
            warmup.as_secs()
        ));
        tokio::time::sleep(warmup).await;
        let before = cluster.samples();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let report = rest::Report::new(seconds, self.ring_size, process::usage(&before, &cluster.samples()));
        if self.json { output::json(&report) } else { output::styled(&report.text()) }
    }

    fn warmup(&self, default: u64) -> Duration {
        Duration::from_secs(self.warmup.unwrap_or(default))
    }
}
