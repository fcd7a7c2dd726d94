//! `chord bench sim`: what lookups in rings of a million nodes cost, in one process and on one core.

use std::time::{Duration, Instant};

use anyhow::bail;
use chord::{RingName, RingSize, SUCCESSORS_DEFAULT, SUCCESSORS_LIMIT};
use chord_ring::{Config, RingTag};
use chord_sim::paper::SEED_DEFAULT;
use chord_sim::{Crowded, LargeRingNodes, Lookups};
use clap::Args;
use serde::Serialize;

use super::churn::ChurnBench;
use super::process;
use crate::cli::exit::Usage;
use crate::cli::number;
use crate::cli::output::{self, note};
use crate::cli::signals::Signals;
use crate::cli::table::{Side, Table, thousands};

/// Nodes of a ring that stands still, unless told otherwise.
const NODES_DEFAULT: usize = 1_000_000;
/// Nodes of a ring under churn, unless told otherwise.
const NODES_UNDER_CHURN: usize = 10_000;
/// Most nodes: each takes about 2 KiB.
const NODES_MAX: u64 = 10_000_000;
/// Most lookups: hours.
const LOOKUPS_MAX: u64 = 1_000_000_000;

/// Measure lookups in a large ring without a network: time and memory
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench sim
  chord bench sim --nodes 100000 --lookups 100000 --json
  chord bench sim --churn 5 --nodes 10000 --rate 20

Builds an ideal ring of nodes as shipped, then looks random positions up from random nodes, step by step by the shipped \
code, on one core. Each lookup is checked against the owner seen from outside. A million nodes take about 2 GB.

With --churn the nodes live in virtual time instead, with a network between them: they maintain their ring, join, leave \
and crash, event by event, on one core.")]
pub(crate) struct SimArgs {
    /// How many nodes, 1 to 10,000,000: 1,000,000 unless given, or 10,000 with --churn
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<usize>("the number of nodes", 1..=NODES_MAX))]
    nodes: Option<usize>,

    /// So many seconds of virtual time under churn, 1 to 3,600
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["lookups", "ring_size", "successors"],
        value_parser = number::within::<u64>("the time under churn in seconds", 1..=3600))]
    churn: Option<u64>,

    /// With --churn: so many nodes join in a second, on average, and as many go, 1 to 100,000
    #[arg(long, value_name = "COUNT", default_value = "20", requires = "churn",
        value_parser = number::within::<u32>("the rate of joins", 1..=100_000))]
    rate: u32,

    /// How many lookups, 1 to 1,000,000,000
    #[arg(long, value_name = "COUNT", default_value = "1000000",
        value_parser = number::within::<u64>("the number of lookups", 1..=LOOKUPS_MAX))]
    lookups: u64,

    /// Size of the ring: it has 2^BITS positions
    #[arg(long, value_name = "BITS", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    /// Successors that each node keeps, 1 to 64
    #[arg(long, value_name = "COUNT", default_value_t = SUCCESSORS_DEFAULT,
        value_parser = number::within::<u8>("the number of successors", 1..=SUCCESSORS_LIMIT.into()))]
    successors: u8,

    /// What decides the names of the nodes, and the lookups
    #[arg(long, value_name = "NUMBER", default_value_t = SEED_DEFAULT,
        value_parser = number::within::<u64>("the seed", 0..=u64::MAX))]
    seed: u64,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

/// What was found, and the settings that led to it.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    nodes: usize,
    lookups: u64,
    ring_size: u16,
    successors: u8,
    seed: u64,
    build_seconds: f64,
    lookup_seconds: f64,
    lookups_per_second: f64,
    mean_hops: f64,
    max_hops: u64,
    wrong_owners: u64,
    /// CPU and memory of this process, with the whole ring in it; null where there is no /proc.
    used: Option<process::Usage>,
}

impl SimArgs {
    pub(super) async fn run(self, signals: &mut Signals) -> anyhow::Result<()> {
        if let Some(seconds) = self.churn {
            let churn = ChurnBench {
                n_nodes: self.nodes.unwrap_or(NODES_UNDER_CHURN),
                seconds,
                rate: self.rate,
                seed: self.seed,
            };
            return churn.run(self.json, signals).await;
        }
        let n_positions = 1_usize.checked_shl(self.ring_size.bits().into()).unwrap_or(usize::MAX);
        if self.n_nodes() > n_positions {
            return Err(
                Usage::new(Crowded { n_nodes: self.n_nodes(), size: self.ring_size }.to_string()).into()
            );
        }
        let args = self.clone();
        let report = signals.hear(move |is_stopped| args.measure(is_stopped)).await??;
        if report.lookups == 0 {
            bail!("stopped before the first lookup");
        }
        if self.json {
            output::json(&report)?;
        } else {
            output::styled(&report.text())?;
        }
        if report.wrong_owners > 0 {
            bail!("{} lookups did not end at the owner", report.wrong_owners);
        }
        if report.lookups < self.lookups {
            bail!("stopped after {} of {} lookups", thousands(report.lookups), thousands(self.lookups));
        }
        Ok(())
    }

    fn n_nodes(&self) -> usize {
        self.nodes.unwrap_or(NODES_DEFAULT)
    }

    fn measure(&self, is_stopped: &dyn Fn() -> bool) -> anyhow::Result<Report> {
        let ring = RingTag { name: RingName::default(), size: self.ring_size };
        let config = Config::new(ring.clone()).with_successors(self.successors)?;
        let (before, begun) = (process::own_sample(), Instant::now());
        let nodes = LargeRingNodes::draw(&ring, self.n_nodes(), self.seed);
        let nodes = nodes.map_err(|crowded| Usage::new(crowded.to_string()))?;
        note(format_args!(
            "Building a ring of {} nodes, then looking up...",
            thousands(self.n_nodes() as u64)
        ));
        let mut ring = nodes.build(&config);
        let (built, begun) = (begun.elapsed(), Instant::now());
        let lookups = ring.look_up(self.lookups, || !is_stopped());
        let looked_up = begun.elapsed();
        // The ring is still there, so that its memory counts.
        let used = process::usage(&before, &process::own_sample()).pop();
        Ok(self.report(built, looked_up, &lookups, used))
    }

    fn report(
        &self,
        built: Duration,
        looked_up: Duration,
        lookups: &Lookups,
        used: Option<process::Usage>,
    ) -> Report {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = lookups.hops.n_values() as f64 / looked_up.as_secs_f64();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            nodes: self.n_nodes(),
            lookups: lookups.hops.n_values(),
            ring_size: self.ring_size.bits(),
            successors: self.successors,
            seed: self.seed,
            build_seconds: process::round(built.as_secs_f64()),
            lookup_seconds: process::round(looked_up.as_secs_f64()),
            lookups_per_second: per_second.round(),
            mean_hops: process::round(lookups.hops.mean()),
            max_hops: lookups.hops.max(),
            wrong_owners: lookups.n_wrong,
            used,
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let headings = [
            "nodes",
            "lookups",
            "build s",
            "lookups s",
            "CPU s",
            "lookups/s",
            "mean hops",
            "max hops",
            "MiB",
            "wrong",
        ];
        let used =
            |figure: fn(&process::Usage) -> String| self.used.as_ref().map_or_else(|| "-".to_owned(), figure);
        let mut table = Table::new(&headings.map(|heading| (heading, Side::Right)));
        table.row(vec![
            thousands(self.nodes as u64),
            thousands(self.lookups),
            format!("{:.1}", self.build_seconds),
            format!("{:.1}", self.lookup_seconds),
            used(|used| format!("{:.1}", used.cpu_seconds)),
            format!("{:.0}", self.lookups_per_second),
            format!("{:.2}", self.mean_hops),
            self.max_hops.to_string(),
            used(|used| format!("{:.0}", used.resident_mib)),
            self.wrong_owners.to_string(),
        ]);
        table.render()
    }
}
