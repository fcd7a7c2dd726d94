//! `chord bench`: how fast a ring answers, measured from outside over its public door.

mod churn;
mod cluster;
mod door;
mod draw;
mod entry;
mod grow;
mod idle;
mod join;
mod keeping;
mod keys;
mod lane;
mod load;
mod measured;
mod options;
mod pacing;
mod process;
mod progress;
mod ready;
mod repair;
mod report;
mod response;
mod rest;
mod sim;
mod slots;
mod slow_peer;
mod spread;
mod workload;

use std::time::Duration;

use anyhow::bail;
use chord::{NodeName, RingSize};
use clap::{Args, Subcommand};

use super::output::{self, note};
use super::signals::Signals;
use super::{number, seed};
use cluster::{Cluster, Setup};
use door::Door;
use keeping::KeepingArgs;
use load::Lanes;
use measured::Measured;
use options::LoadArgs;
use report::{Report, Run, Used};
use workload::Operation;

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
  chord bench --door redis --connections 50 --pipeline 16
  chord bench --rate 5000 --reads 90 --zipf --value-bytes 16-1024
  chord bench --node 10.0.0.1:4567 --node 10.0.0.2:4567
  chord bench --door redis --at 127.0.0.1:6379
  chord bench --nodes 5 --rest 30
  chord bench --disk --sync always --connections 64
  chord bench grow
  chord bench idle
  chord bench join
  chord bench sim
  chord bench slow-peer

Without --node it starts server processes of this program on loopback, forms a ring of them, and ends them.

The connections are spread evenly over the nodes. All keys are written once before the measurement, and every value read \
is compared with the one written. In the closed loop, which is the default, each connection sends its next request when \
the last is answered; a latency is the time from sending a request to having read its answer, in milliseconds. A node \
that stops for a second then stops who asks, too, and few requests show it. With --rate requests are due at a fixed rate \
whatever the node does, and each counts from when it was due, but for the 2 ms that timers may be late.

The exit code is 1 if a request failed or a value was not the one written, and else 0: also where a rate was not kept. Then \
the report says how many requests were not sent, in JSON by \"unsent\"."
)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    other: Option<Other>,

    #[command(flatten)]
    load: LoadArgs,

    /// How many server processes to start, 1 to 64
    #[arg(long, value_name = "COUNT", default_value = "3", conflicts_with = "node",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: u16,

    /// Ring size of the servers that are started
    #[arg(long, value_name = "BITS", default_value = "7", conflicts_with = "node")]
    ring_size: RingSize,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Put no load on the ring, and measure memory and CPU of its processes for so long, 1 to 3,600
    #[arg(long, value_name = "SECONDS", value_parser = number::seconds,
        conflicts_with_all = ["reads", "rate", "seconds", "pipeline", "no_fill"])]
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

impl BenchArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut signals = Signals::with_hangup()?;
        match self.other {
            Some(Other::Grow(args)) => return args.run(&mut signals).await,
            Some(Other::Sim(args)) => return args.run(&mut signals).await,
            Some(Other::Idle(_) | Other::Join(_) | Other::Repair(_) | Other::SlowPeer(_)) | None => {}
        }
        let setup = self.setup()?;
        setup.keeping.check()?;
        let mut cluster = Cluster::new(setup);
        let ended = tokio::select! {
            ended = self.measure_any(&mut cluster) => ended,
            () = signals.next() => Err(anyhow::anyhow!("stopped before the measurement was done")),
        };
        cluster.stop().await;
        ended
    }

    fn setup(&self) -> anyhow::Result<Setup> {
        Ok(match &self.other {
            Some(Other::Idle(args)) => args.setup(),
            Some(Other::Join(args)) => args.setup(),
            Some(Other::Repair(args)) => args.setup(),
            Some(Other::SlowPeer(args)) => args.setup(),
            Some(Other::Grow(_) | Other::Sim(_)) | None => {
                let keeping = self.keeping.clone();
                let entry = self.load.entry.open(self.load.node.is_empty())?;
                Setup { door: self.load.door, ring_size: self.ring_size, keeping, connections: None, entry }
            }
        })
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
        self.load.check()?;
        let mut nodes = self.load.node.clone();
        if nodes.is_empty() {
            if self.load.door == Door::XmlRpc {
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
        let workload = self.load.workload(nodes).await?;
        // What must be known of the nodes is asked once: one that hangs later is a failure among the figures.
        let lanes = Lanes::of(&workload).await?;
        if !self.load.no_fill {
            note(format_args!("Writing {} keys...", self.load.keys));
            load::fill(&lanes).await?;
        }
        note(format_args!("Measuring {}...", self.what()));
        let before = (cluster.samples(), process::own_sample());
        let mut runs = Vec::new();
        for reads_percent in self.load.reads.map_or(vec![0, 100], |percent| vec![percent]) {
            let idle = cluster.samples();
            let tally = load::measure(&lanes, reads_percent).await?;
            let servers = process::usage(&idle, &cluster.samples());
            let operations = tally.operations.into_iter();
            let operations =
                operations.filter(|measured| is_asked(measured.operation, reads_percent)).collect();
            runs.push(Run { operations, late: tally.late, servers });
        }
        let servers = process::usage(&before.0, &cluster.samples());
        let generator = process::usage(&before.1, &process::own_sample());
        let report = Report::new(self, &workload, &runs, Used { servers, generator });
        if self.json {
            output::json(&report)?;
        } else {
            output::styled(&report.text())?;
        }
        match runs.iter().flat_map(|run| &run.operations).find_map(Measured::failure) {
            Some(failure) => bail!("not every request succeeded; the first failure: {failure}"),
            None if runs.iter().any(Run::is_empty) => bail!(
                "no request ended in the time that was measured, so there is nothing to tell: see whether the node or this machine stands still, or measure for more --seconds"
            ),
            None => Ok(()),
        }
    }

    fn what(&self) -> &'static str {
        match self.load.reads {
            None => "put and get",
            Some(0) => "put",
            Some(100) => "get",
            Some(_) => "put and get together",
        }
    }

    async fn measure_rest(&self, cluster: &Cluster, seconds: u64) -> anyhow::Result<()> {
        let warmup = Duration::from_secs(self.load.warmup.unwrap_or(WARMUP_AT_REST_DEFAULT));
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
}

/// Whether there are any of these among requests with so many reads.
fn is_asked(operation: Operation, reads_percent: u8) -> bool {
    match operation {
        Operation::Put => reads_percent < 100,
        Operation::Get => reads_percent > 0,
    }
}
