//! `chord bench grow`: what an operation costs as the ring grows, in processes and in the simulator.

mod figures;
mod load;
mod plots;
mod processes;
mod report;
mod simulated;
mod told;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use chord::RingSize;
use chord_sim::paper::SEED_DEFAULT;
use clap::Args;

use super::cluster::{Cluster, Setup};
use super::keeping::KeepingArgs;
use super::{CONNECTIONS_MAX, KEYS_MAX, NODES_MAX, VALUE_BYTES_MAX};
use crate::cli::exit::Usage;
use crate::cli::number;
use crate::cli::output::note;
use crate::cli::signals::Signals;
use crate::cli::table::thousands;
use load::Contents;
use processes::Grown;
use report::Report;
use simulated::Simulated;

/// Most nodes of a simulated ring: 2 GB.
const SIMULATED_MAX: u64 = 1_000_000;

/// Most rings of each sort: more points than a plot has room for.
const SIZES_MAX: usize = 32;

/// Most lookups in one ring: minutes.
const LOOKUPS_MAX: u64 = 10_000_000;

/// Measure growth: hops, requests and CPU of an operation in rings of more and more nodes
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench grow
  chord bench grow --nodes 1,3,8 --seconds 1 --json
  chord bench grow --replicas 1 --out growth

For each size it starts a ring of server processes, waits until every node knows its fingers, looks keys up, and then \
gets and puts for a while, one request at a time on each connection, the connections spread over all nodes. Hops are what \
the answers say, requests are what the nodes say that they have sent each other, less what they send at rest, and CPU is \
that of all server processes. Before that it looks positions up in simulated rings, by the same code without a network; \
there CPU is that of deciding whom to ask alone.

With --out it writes hops.svg, requests.svg, cpu.svg, processes.csv and simulated.csv.")]
pub(crate) struct GrowArgs {
    /// Sizes of the rings of server processes, separated by commas, each 1 to 64
    #[arg(long, value_name = "COUNT,...", value_delimiter = ',', default_value = "1,3,8,16,32",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: Vec<u16>,

    /// Sizes of the simulated rings, separated by commas, each 1 to 1,000,000
    #[arg(long, value_name = "COUNT,...", value_delimiter = ',',
        default_value = "1,3,8,16,32,64,128,256,512,1024,2048,4096,10000",
        value_parser = number::within::<usize>("the number of simulated nodes", 1..=SIMULATED_MAX))]
    simulated: Vec<usize>,

    /// Ring size of all of them
    #[arg(long, value_name = "BITS", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    /// How many connections, over all nodes, 1 to 1,000; at least one to each node
    #[arg(long, value_name = "COUNT", default_value = "32",
        value_parser = number::within::<u16>("the number of connections", 1..=CONNECTIONS_MAX))]
    connections: u16,

    /// How long to measure gets, and puts, in each ring of processes, 1 to 3,600
    #[arg(long, default_value = "2", value_parser = number::seconds)]
    seconds: u64,

    /// How many different keys, 1 to 10,000,000
    #[arg(long, value_name = "COUNT", default_value = "2000",
        value_parser = number::within::<u64>("the number of keys", 1..=KEYS_MAX))]
    keys: u64,

    /// Size of a value, 0 to 1,048,576
    #[arg(long, value_name = "BYTES", default_value = "64",
        value_parser = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX))]
    value_bytes: usize,

    /// How many lookups in each ring, 1 to 10,000,000; a simulated one goes on until they took 100 ms of CPU
    #[arg(long, value_name = "COUNT", default_value = "5000",
        value_parser = number::within::<u64>("the number of lookups", 1..=LOOKUPS_MAX))]
    lookups: u64,

    /// What decides the names of simulated nodes, and the lookups among them
    #[arg(long, value_name = "NUMBER", default_value_t = SEED_DEFAULT,
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Folder for plots and tables; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

impl GrowArgs {
    pub(super) async fn run(self, signals: &mut Signals) -> anyhow::Result<()> {
        let (nodes, simulated) = (sizes(&self.nodes)?, sizes(&self.simulated)?);
        self.keeping.check()?;
        if let Some(folder) = &self.out {
            plots::prepare(folder)?;
        }
        let simulated = self.simulate(simulated, signals).await?;
        let mut grown = Vec::new();
        for n_nodes in nodes {
            grown.push(self.measure_processes(n_nodes, signals).await?);
        }
        let report = Report::new(&self, grown, simulated);
        // What took minutes to measure is told though it cannot be written.
        let written = self.out.as_deref().map_or(Ok(()), |folder| {
            plots::write(folder, report.processes(), report.simulated())?;
            note(format_args!("Plots and tables are in {}", folder.display()));
            Ok(())
        });
        report.print(self.json)?;
        written
    }

    /// One ring of processes, which are gone when this returns.
    async fn measure_processes(&self, n_nodes: u16, signals: &mut Signals) -> anyhow::Result<Grown> {
        let (keeping, ring_size) = (self.keeping.clone(), self.ring_size);
        let mut cluster = Cluster::new(Setup::open(ring_size, keeping));
        let plan = processes::Plan {
            ring_size,
            connections: self.connections,
            contents: Contents { keys: self.keys, value_bytes: self.value_bytes },
            measured: Duration::from_secs(self.seconds),
            lookups: self.lookups,
        };
        let ended = tokio::select! {
            ended = processes::measure(&mut cluster, n_nodes, plan) => ended,
            () = signals.next() => Err(anyhow!("stopped before the measurement was done")),
        };
        cluster.stop().await;
        ended
    }

    async fn simulate(&self, sizes: Vec<usize>, signals: &mut Signals) -> anyhow::Result<Vec<Simulated>> {
        let plan = simulated::Plan { ring_size: self.ring_size, lookups: self.lookups, seed: self.seed };
        let largest = sizes.last().copied().unwrap_or_default();
        note(format_args!("Simulating rings of up to {} nodes...", thousands(largest as u64)));
        let measure = move |is_stopped: &dyn Fn() -> bool| {
            sizes.into_iter().map(|n_nodes| plan.measure(n_nodes, is_stopped)).collect()
        };
        signals.hear(measure).await?
    }
}

/// Each size once, the smallest first.
fn sizes<N: Ord + Copy>(given: &[N]) -> Result<Vec<N>, Usage> {
    let mut sizes = given.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() > SIZES_MAX {
        return Err(Usage::new(format!("at most {SIZES_MAX} sizes can be measured at a time: name fewer")));
    }
    Ok(sizes)
}
