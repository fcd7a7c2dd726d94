//! `chord bench repair`: what a ring sends in which nothing changes, with records and without.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use chord::{NodeName, RingSize};
use chord_kv::replication::Settings;
use clap::Args;
use serde::Serialize;

use super::cluster::{Cluster, Setup};
use super::keeping::{KeepingArgs, Kept};
use super::keys::Sizes;
use super::load::{self, Lanes};
use super::process::{round, usage};
use super::ready::wait_until_ready;
use super::workload::Workload;
use super::{CONNECTIONS_MAX, Door, KEYS_MAX, NODES_MAX, VALUE_BYTES_MAX};
use crate::cli::number;
use crate::cli::output::{self, note};
use crate::cli::table::{Side, Table, thousands};

/// How long the ring may need until every record has its copies.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// Rounds that pass before the measurement: in the first, repair may still find what the writes have left.
const ROUNDS_BEFORE: u32 = 2;

/// Where Linux counts what each network interface sends (proc(5)).
const COUNTERS: &str = "/proc/net/dev";

/// Measure repair: what nodes that agree send each other
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench repair
  chord bench repair --records 100000 --nodes 5 --rounds 6
  unshare -rn sh -c 'ip link set lo up && chord bench repair'

Starts a ring of server processes and counts what the loopback interface carries while nobody asks for anything: first \
without records, which is what the ring itself costs, and then with them, when repair compares digests as well. \
Everything that other programs send over loopback is in it too: unshare keeps them out.")]
pub(crate) struct RepairArgs {
    /// How many records to write, 1 to 10,000,000
    #[arg(long, value_name = "COUNT", default_value = "1000000",
        value_parser = number::within::<u64>("the number of records", 1..=KEYS_MAX))]
    records: u64,

    /// Size of a value, 0 to 1,048,576
    #[arg(long, value_name = "BYTES", default_value = "100",
        value_parser = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX))]
    value_bytes: usize,

    /// How many connections write the records, 1 to 1,000
    #[arg(long, value_name = "COUNT", default_value = "64",
        value_parser = number::within::<u16>("the number of connections", 1..=CONNECTIONS_MAX))]
    connections: u16,

    /// How many server processes to start, 1 to 64
    #[arg(long, value_name = "COUNT", default_value = "3",
        value_parser = number::within::<u16>("the number of nodes", 1..=NODES_MAX))]
    nodes: u16,

    /// For how many rounds of repair to measure, 1 to 360
    #[arg(long, value_name = "COUNT", default_value = "3",
        value_parser = number::within::<u32>("the number of rounds", 1..=360))]
    rounds: u32,

    /// Ring size of the servers that are started
    #[arg(long, value_name = "BITS", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    nodes: u16,
    value_bytes: usize,
    rounds: u32,
    round_seconds: f64,
    keeping: Kept,
    quiet: [Quiet; 2],
}

/// A ring in which nothing changes.
#[derive(Debug, Serialize)]
struct Quiet {
    records: u64,
    bytes_per_round_and_node: u64,
    packets_per_round_and_node: u64,
    /// Of one core, the mean of all nodes.
    cpu_percent: f64,
}

/// What an interface has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    bytes: u64,
    packets: u64,
}

impl RepairArgs {
    pub(super) fn setup(&self) -> Setup {
        Setup::open(self.ring_size, self.keeping.clone())
    }

    /// May be dropped at any point: every process started is in `cluster`.
    pub(super) async fn measure(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        sent()?;
        let nodes = cluster.start(self.nodes.into()).await?;
        cluster.form_ring().await?;
        note(format_args!("Measuring {} rounds without records...", self.rounds));
        let without = self.listen(cluster, &nodes, 0).await?;
        note(format_args!("Writing {} records...", thousands(self.records)));
        let workload = Workload {
            sizes: Sizes::of(self.value_bytes),
            ..Workload::plain(Door::Http, nodes, self.connections, self.records)
        };
        load::fill(&Lanes::of(&workload).await?).await?;
        note(format_args!("Measuring {} rounds with them...", self.rounds));
        let with = self.listen(cluster, &workload.nodes, self.records).await?;
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            nodes: self.nodes,
            value_bytes: self.value_bytes,
            rounds: self.rounds,
            round_seconds: self.round().as_secs_f64(),
            keeping: self.keeping.kept(self.nodes.into()),
            quiet: [without, with],
        };
        if self.json { output::json(&report) } else { output::styled(&report.text()) }
    }

    /// How often a node compares what it has with each that has its copies.
    fn round(&self) -> Duration {
        Settings::new(self.ring_size).repair_pause
    }

    /// Counts what a ring sends that is ready and that nobody asks.
    async fn listen(&self, cluster: &Cluster, nodes: &[NodeName], records: u64) -> anyhow::Result<Quiet> {
        for node in nodes {
            wait_until_ready(node, READY_WITHIN).await?;
        }
        tokio::time::sleep(self.round() * ROUNDS_BEFORE).await;
        let (before, samples) = (sent()?, cluster.samples());
        tokio::time::sleep(self.round() * self.rounds).await;
        let (after, used) = (sent()?, usage(&samples, &cluster.samples()));
        let shares = u64::from(self.rounds) * u64::from(self.nodes);
        let cpu_percent: f64 = used.iter().map(|used| used.cpu_percent).sum();
        Ok(Quiet {
            records,
            bytes_per_round_and_node: (after.bytes - before.bytes) / shares,
            packets_per_round_and_node: (after.packets - before.packets) / shares,
            cpu_percent: round(cpu_percent / f64::from(self.nodes)),
        })
    }
}

impl Report {
    fn text(&self) -> String {
        let headings = ["records", "bytes a round and node", "packets", "CPU %"];
        let mut table = Table::new(&headings.map(|heading| (heading, Side::Right)));
        for quiet in &self.quiet {
            table.row(vec![
                thousands(quiet.records),
                thousands(quiet.bytes_per_round_and_node),
                thousands(quiet.packets_per_round_and_node),
                format!("{:.2}", quiet.cpu_percent),
            ]);
        }
        let Self { nodes, value_bytes, rounds, round_seconds, keeping, .. } = self;
        format!(
            "{}\nAll that loopback carried, with the heads of packets and what other programs sent.\n\n\
             {nodes} nodes, {rounds} rounds of {round_seconds} s, {value_bytes}-byte values, {}\n",
            table.render(),
            keeping.text()
        )
    }
}

/// What the loopback interface has sent so far.
fn sent() -> anyhow::Result<Sent> {
    let counters = fs::read_to_string(COUNTERS)
        .context("bench repair needs /proc/net/dev, which this system does not have")?;
    loopback(&counters)
        .context("/proc/net/dev names no loopback interface: bring it up with `ip link set lo up`")
}

/// The ninth and the tenth counter of the interface `lo`.
fn loopback(counters: &str) -> Option<Sent> {
    let line = counters.lines().find_map(|line| line.trim_start().strip_prefix("lo:"))?;
    let mut sent = line.split_whitespace().skip(8).map(str::parse);
    Some(Sent { bytes: sent.next()?.ok()?, packets: sent.next()?.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_loopback_are_found_among_others() {
        let counters = "\
Inter-|   Receive  |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
  eth0:  1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0
    lo: 11 12 0 0 0 0 0 0 13 14 0 0 0 0 0 0
";
        assert_eq!(loopback(counters), Some(Sent { bytes: 13, packets: 14 }));
        assert_eq!(loopback("  eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n"), None);
        assert_eq!(loopback("    lo: 11 12\n"), None);
    }
}
