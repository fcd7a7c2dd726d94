//! What is asked, as the command line has it.

use std::time::Duration;

use chord::NodeName;
use clap::Args;

use super::door::Door;
use super::draw::{Draw, Zipf};
use super::entry::EntryArgs;
use super::keys::Sizes;
use super::pacing::Pacing;
use super::slots::{self, Slots};
use super::workload::Workload;
use super::{CONNECTIONS_MAX, KEYS_MAX, WARMUP_DEFAULT};
use crate::cli::exit::Usage;
use crate::cli::number;

/// Most requests under way on a connection: what they take up on both sides stays far below what a node lets wait.
const PIPELINE_MAX: u64 = 1000;

/// Most threads: more than the cores of any machine that is worth one program that asks.
const THREADS_MAX: u64 = 64;

/// Most requests a second in the open loop: beyond what one machine sends.
pub(super) const RATE_MAX: u64 = 1_000_000;

/// How requests are made.
#[derive(Clone, Debug, Args)]
pub(super) struct LoadArgs {
    /// Which door to ask at
    #[arg(long, default_value = "http")]
    pub(super) door: Door,

    /// Measure this running node instead of starting any; may be repeated. With --door redis it may be a redis-server
    #[arg(long, visible_alias = "at", value_name = "HOST:PORT", conflicts_with_all = ["rest", "KeepingArgs"])]
    pub(super) node: Vec<NodeName>,

    /// The node is in a Redis cluster: ask all its masters, and each for its own keys alone
    #[arg(long, requires = "node")]
    pub(super) cluster: bool,

    /// How many connections, over all nodes, 1 to 1,000
    #[arg(long, value_name = "COUNT", default_value = "8",
        value_parser = number::within::<u16>("the number of connections", 1..=CONNECTIONS_MAX))]
    pub(super) connections: u16,

    /// How many requests are under way on each connection, at most, 1 to 1,000: without --rate so many are sent together,
    /// and the next when all are answered
    #[arg(long, value_name = "DEPTH", default_value = "1",
        value_parser = number::within::<u16>("the depth of the pipeline", 1..=PIPELINE_MAX))]
    pipeline: u16,

    /// Send so many requests a second, 1 to 1,000,000, over all connections, however fast they are answered, and count the
    /// latency of each from when it was due; or from when it was sent, if nothing held it up but a timer, by 2 ms at most
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<u32>("the rate of requests", 1..=RATE_MAX))]
    rate: Option<u32>,

    /// Measure once, with so many percent, 0 to 100, of gets among the puts, instead of put and then get
    #[arg(long, value_name = "PERCENT", value_parser = number::within::<u8>("the share of reads in percent", 0..=100))]
    pub(super) reads: Option<u8>,

    /// How many different keys, 1 to 10,000,000
    #[arg(long, value_name = "COUNT", default_value = "10000",
        value_parser = number::within::<u64>("the number of keys", 1..=KEYS_MAX))]
    pub(super) keys: u64,

    /// Choose some keys much more often than others, by Zipf's law, with the exponent 0.99 unless another is given
    #[arg(long, value_name = "EXPONENT", num_args = 0..=1,
        default_missing_value = Zipf::USUAL, value_parser = Zipf::parse)]
    zipf: Option<Zipf>,

    /// Size of a value, or the smallest and the largest, as in 16-1024: 0 to 1,048,576
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = Sizes::parse)]
    value_bytes: Sizes,

    /// Do not write the keys before the measurement: they are there
    #[arg(long, requires = "node", conflicts_with = "nodes")]
    pub(super) no_fill: bool,

    /// How long to measure each operation, 1 to 3,600
    #[arg(long, default_value = "5", value_parser = number::seconds)]
    seconds: u64,

    /// Seconds before each measurement that do not count, 0 to 3,600: 1 unless given, or 15 with --rest
    #[arg(long, value_name = "SECONDS",
        value_parser = number::within::<u64>("the warm-up time in seconds", 0..=3600))]
    pub(super) warmup: Option<u64>,

    #[command(flatten)]
    pub(super) entry: EntryArgs,

    /// How many threads ask, 1 to 64, each with its share of the connections; the nodes have the rest of the cores
    #[arg(long, value_name = "COUNT", default_value = "1",
        value_parser = number::within::<u16>("the number of threads", 1..=THREADS_MAX))]
    threads: u16,

    /// Show how the latencies are spread
    #[arg(long)]
    pub(super) histogram: bool,
}

impl LoadArgs {
    /// Whether all that fits together.
    pub(super) fn check(&self) -> Result<(), Usage> {
        self.door
            .refusal(self.node.is_empty(), self.value_bytes, self.entry.has_secret())
            .map_or(Ok(()), |why| Err(Usage::new(why)))
    }

    /// What is asked of those nodes.
    pub(super) async fn workload(&self, nodes: Vec<NodeName>) -> anyhow::Result<Workload> {
        let (nodes, slots) = self.masters(nodes).await?;
        Ok(Workload {
            door: self.door,
            nodes,
            slots,
            connections: self.connections,
            pipeline: self.pipeline,
            threads: self.threads,
            pacing: self.rate.map_or(Pacing::Closed, |per_second| Pacing::Open { per_second }),
            keys: self.keys,
            draw: self.zipf.map_or(Draw::Uniform, Draw::Zipf),
            sizes: self.value_bytes,
            warmup: Duration::from_secs(self.warmup.unwrap_or(WARMUP_DEFAULT)),
            measured: Duration::from_secs(self.seconds),
            entry: self.entry.open(false)?,
        })
    }

    async fn masters(&self, nodes: Vec<NodeName>) -> anyhow::Result<(Vec<NodeName>, Option<Vec<Slots>>)> {
        if !self.cluster {
            return Ok((nodes, None));
        }
        if self.door != Door::Redis {
            return Err(Usage::new(
                "only Redis has such a cluster: add --door redis, or leave --cluster out",
            )
            .into());
        }
        let [node] = &nodes[..] else {
            return Err(Usage::new("one node of a cluster tells of all: give one --node").into());
        };
        let (masters, slots) = slots::masters(node).await?;
        if usize::from(self.connections) < masters.len() {
            let n_masters = masters.len();
            return Err(Usage::new(format!(
                "the cluster has {n_masters} masters: give it as many --connections"
            ))
            .into());
        }
        Ok((masters, Some(slots)))
    }
}
