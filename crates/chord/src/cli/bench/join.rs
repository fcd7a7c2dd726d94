//! `chord bench join`: how long a node needs to get its copies, and what reads and writes notice of it.

mod report;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chord::{Client, NodeName, Range, RingSize};
use clap::Args;

use super::cluster::{Cluster, Setup};
use super::keeping::KeepingArgs;
use super::keys::{KEY_BYTES, Sizes};
use super::load::{self, Lanes, Load};
use super::measured::Measured;
use super::options::RATE_MAX;
use super::pacing::Pacing;
use super::process::Sample;
use super::ready::wait_until_ready;
use super::workload::Workload;
use super::{CONNECTIONS_MAX, Door, KEYS_MAX, NODES_MAX, VALUE_BYTES_MAX};
use crate::cli::number;
use crate::cli::output::note;
use crate::cli::table::thousands;
use report::{Found, Report};

/// How long the ring may need until every record has its copies, and the newcomer until it has its own: ten times what is
/// aimed at for a million records.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// How long one page of what a node keeps may take.
const PAGE_WITHIN: Duration = Duration::from_secs(10);

/// How many keys are read through the newcomer, at most: a second or two.
const CHECKED_MAX: u64 = 20_000;

/// How many of the requests are reads.
const READS_PERCENT: u8 = 50;

/// Measure a join: how long the newcomer needs for its copies, and reads and writes meanwhile
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench join
  chord bench join --records 100000 --nodes 3 --rate 200

Starts a ring of server processes, fills it, and measures reads and writes at a fixed rate, first at rest and then while \
one more server joins, until that says at /readyz that it is ready. The requests go to the servers that were there \
before. A request counts from when it should have been sent, but for the 2 ms that timers may be late. In the end it is \
counted what the newcomer keeps, and keys are read through it.")]
pub(crate) struct JoinArgs {
    /// How many records to write before the join, 1 to 10,000,000
    #[arg(long, value_name = "COUNT", default_value = "1000000",
        value_parser = number::within::<u64>("the number of records", 1..=KEYS_MAX))]
    records: u64,

    /// Size of a value, 0 to 1,048,576
    #[arg(long, value_name = "BYTES", default_value = "100",
        value_parser = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX))]
    value_bytes: usize,

    /// How many connections, over all nodes, 1 to 1,000; each reads and writes
    #[arg(long, value_name = "COUNT", default_value = "64",
        value_parser = number::within::<u16>("the number of connections", 1..=CONNECTIONS_MAX))]
    connections: u16,

    /// How many requests a second, 1 to 1,000,000, half of them reads
    #[arg(long, value_name = "COUNT", default_value = "1000",
        value_parser = number::within::<u32>("the rate of requests", 1..=RATE_MAX))]
    rate: u32,

    /// How many seconds to measure at rest, 1 to 3,600
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = number::seconds)]
    rest: u64,

    /// How many server processes to start before the newcomer, 1 to 64
    #[arg(long, value_name = "COUNT", default_value = "1",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: u16,

    /// Ring size of the servers that are started
    #[arg(long, value_name = "BITS", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

impl JoinArgs {
    pub(super) fn setup(&self) -> Setup {
        Setup::open(self.ring_size, self.keeping.clone())
    }

    /// May be dropped at any point: every process started is in `cluster`.
    pub(super) async fn measure(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let workload = self.workload(cluster.start(self.nodes.into()).await?);
        cluster.form_ring().await?;
        let before = cluster.samples();
        note(format_args!("Writing {} records...", thousands(self.records)));
        load::fill(&Lanes::of(&workload).await?).await?;
        for node in &workload.nodes {
            wait_until_ready(node, READY_WITHIN).await?;
        }
        let overhead = self.overhead(&before, &cluster.samples());

        let mut load = Load::start(&workload, READS_PERCENT).await?;
        tokio::time::sleep(workload.warmup).await;
        load.take()?;
        note(format_args!("Measuring at rest for {} s...", self.rest));
        tokio::time::sleep(workload.measured).await;
        let at_rest = load.take()?.operations;
        note("Measuring while one more joins...");
        let begun = Instant::now();
        let newcomer = cluster.add().await?;
        wait_until_ready(&newcomer, READY_WITHIN).await.context("the join did not come to its end")?;
        let took = begun.elapsed();
        let joining = load.take()?.operations;
        drop(load);

        let found = self.look(newcomer, &workload).await?;
        Report::new(self, took, &found, overhead, [&at_rest, &joining]).print(self.json)?;
        match at_rest.iter().chain(&joining).find_map(Measured::failure) {
            Some(failure) => bail!("not every request succeeded; the first failure: {failure}"),
            None => found.verdict(),
        }
    }

    fn workload(&self, nodes: Vec<NodeName>) -> Workload {
        Workload {
            sizes: Sizes::of(self.value_bytes),
            pacing: Pacing::Open { per_second: self.rate },
            warmup: Duration::from_secs(super::WARMUP_DEFAULT),
            measured: Duration::from_secs(self.rest),
            ..Workload::plain(Door::Http, nodes, self.connections, self.records)
        }
    }

    /// What a record costs in memory beside its key and value, by what the processes grew; `None` on the disk, or without
    /// /proc.
    fn overhead(&self, before: &[Sample], after: &[Sample]) -> Option<f64> {
        if before.is_empty() || !self.keeping.is_in_memory() {
            return None;
        }
        let sum = |samples: &[Sample]| samples.iter().map(Sample::resident_bytes).sum::<u64>();
        let grown = sum(after).saturating_sub(sum(before));
        let n_copies = self.records * self.keeping.copies(self.nodes.into()) as u64;
        let content = (KEY_BYTES + self.value_bytes) as u64;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people, far below 2^52")]
        let overhead = grown as f64 / n_copies as f64 - content as f64;
        Some(overhead)
    }

    /// What the newcomer keeps, and what it answers.
    async fn look(&self, newcomer: NodeName, workload: &Workload) -> anyhow::Result<Found> {
        note("Counting what the newcomer keeps, and reading keys through it...");
        let kept = count(&newcomer, self.ring_size).await.context("cannot count what the newcomer keeps")?;
        let step = self.records.div_ceil(CHECKED_MAX);
        let through_it = Workload { nodes: vec![newcomer], ..self.workload(Vec::new()) };
        load::check(&Lanes::of(&through_it).await?, step).await?;
        // With no more nodes than copies, each has everything.
        let copies = self.keeping.copies(workload.nodes.len() + 1);
        let expected = (copies > workload.nodes.len()).then_some(self.records);
        Ok(Found { kept, expected, checked: self.records.div_ceil(step) })
    }
}

/// How many records the node keeps.
async fn count(node: &NodeName, ring_size: RingSize) -> anyhow::Result<u64> {
    let client = Client::new(node.clone());
    let anywhere = ring_size.position_of(node.as_str().as_bytes());
    let whole_ring = Range { after: anywhere, up_to: anywhere };
    let (mut n_records, mut cursor) = (0, None);
    loop {
        let listed = client.list(whole_ring, cursor, PAGE_WITHIN).await?;
        n_records += listed.headers.len() as u64;
        cursor = listed.next;
        if cursor.is_none() {
            return Ok(n_records);
        }
    }
}
