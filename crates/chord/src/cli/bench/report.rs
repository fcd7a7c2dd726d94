//! What `chord bench` found, for people and for programs.

use std::fmt::Write as _;

use chord::RingSize;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::BenchArgs;
use super::draw::Draw;
use super::keeping::Kept;
use super::keys::Sizes;
use super::measured::Measured;
use super::pacing::{Pacing, TIMER_LATE_MAX};
use super::process::{Usage, round};
use super::spread::{Step, bars, steps};
use super::workload::Workload;
use crate::cli::table::{Side, Table, thousands};

/// Of the time of its threads: who asks and is busier than that may be what is measured.
const BUSY_PERCENT: f64 = 90.0;

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    settings: Settings,
    operations: Vec<Cost>,
    #[serde(flatten)]
    used: Used,
    #[serde(skip)]
    shows_spread: bool,
}

/// Operations that were measured at the same time.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) operations: Vec<Measured>,
    /// How much later than due requests were sent that no other held up, in nanoseconds.
    pub(super) late: Histogram<u64>,
    pub(super) servers: Vec<Usage>,
}

impl Run {
    /// Whether no request ended while it was measured.
    pub(super) fn is_empty(&self) -> bool {
        self.operations.iter().all(|measured| measured.count() == 0 && measured.errors == 0)
    }
}

/// What was used over all measurements, warm-up included.
#[derive(Debug, Serialize)]
pub(super) struct Used {
    /// By the processes that were started; empty when none was.
    pub(super) servers: Vec<Usage>,
    /// By this program; empty where there is no /proc.
    pub(super) generator: Vec<Usage>,
}

#[derive(Debug, Serialize)]
struct Settings {
    version: &'static str,
    door: &'static str,
    nodes: Vec<String>,
    /// Whether they are masters of a Redis cluster, each asked for its own keys.
    cluster: bool,
    /// Null when the nodes ran already.
    ring_size: Option<u16>,
    connections: u16,
    pipeline: u16,
    threads: u16,
    /// Requests a second in the open loop; null in the closed loop.
    rate: Option<u32>,
    /// Null when put and get were measured one after the other.
    reads_percent: Option<u8>,
    /// The exponent; null when keys were uniform.
    zipf: Option<f64>,
    seconds: u64,
    warmup_seconds: u64,
    value_bytes: Sizes,
    keys: u64,
    /// Null when the nodes ran already.
    keeping: Option<Kept>,
}

/// An operation, and what it costs the servers.
#[derive(Debug, Serialize)]
struct Cost {
    #[serde(flatten)]
    row: Row,
    /// CPU time of all servers for one operation, in microseconds; null where that is not known.
    server_cpu_us: Option<f64>,
    /// How much later than due requests were sent that no other held up; null in the closed loop.
    late_ms: Option<Latencies>,
    histogram: Vec<Step>,
}

/// How often and how fast one operation was done.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    operation: &'static str,
    count: u64,
    errors: u64,
    /// Due in the open loop, and never sent: their wait counts among the latencies.
    unsent: u64,
    per_second: f64,
    latency_ms: Latencies,
}

#[derive(Debug, PartialEq, Serialize)]
struct Latencies {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, workload: &Workload, runs: &[Run], used: Used) -> Self {
        let starts = args.load.node.is_empty();
        let settings = Settings {
            version: env!("CARGO_PKG_VERSION"),
            door: workload.door.name(),
            nodes: workload.nodes.iter().map(ToString::to_string).collect(),
            cluster: workload.slots.is_some(),
            ring_size: starts.then_some(args.ring_size).map(RingSize::bits),
            connections: workload.connections,
            pipeline: workload.pipeline,
            threads: workload.threads.min(workload.connections),
            rate: match workload.pacing {
                Pacing::Closed => None,
                Pacing::Open { per_second } => Some(per_second),
            },
            reads_percent: args.load.reads,
            zipf: match workload.draw {
                Draw::Uniform => None,
                Draw::Zipf(zipf) => Some(zipf.exponent()),
            },
            seconds: workload.measured.as_secs(),
            warmup_seconds: workload.warmup.as_secs(),
            value_bytes: workload.sizes,
            keys: workload.keys,
            keeping: starts.then(|| args.keeping.kept(workload.nodes.len())),
        };
        let operations = runs.iter().flat_map(Run::costs).collect();
        Self { settings, operations, used, shows_spread: args.load.histogram }
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&[&COLUMNS[..], &[("server CPU us", Side::Right)]].concat());
        for Cost { row, server_cpu_us, .. } in &self.operations {
            let cost = server_cpu_us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
            table.row([row.cells(), vec![cost]].concat());
        }
        let mut text = table.render();
        let Used { servers, generator } = &self.used;
        if !servers.is_empty() {
            text.push('\n');
            text.push_str(&usage_table(servers.iter().chain(generator)));
        }
        self.write_spread(&mut text).expect("a string takes every text");
        self.write_remarks(&mut text).expect("a string takes every text");
        writeln!(text, "\n{}", self.settings.text()).expect("a string takes every text");
        text
    }

    fn write_spread(&self, text: &mut String) -> std::fmt::Result {
        for Cost { row, histogram, .. } in self.operations.iter().filter(|_| self.shows_spread) {
            write!(text, "\n{}, up to:\n{}", row.operation, bars(histogram))?;
        }
        Ok(())
    }

    /// What must be known of these numbers.
    fn write_remarks(&self, text: &mut String) -> std::fmt::Result {
        let n_unsent: u64 = self.operations.iter().map(|cost| cost.row.unsent).sum();
        let n_done: u64 = self.operations.iter().map(|cost| cost.row.count).sum();
        if n_unsent > 0 {
            let keeps = if n_unsent * 100 > n_done { ": the nodes do not keep this rate" } else { "" };
            writeln!(
                text,
                "\nDue and not sent before the end, with a wait that counts: {} requests{keeps}.",
                thousands(n_unsent)
            )?;
        }
        let mut told = Vec::new();
        for Cost { row, late_ms, .. } in &self.operations {
            // Gets and puts that were measured together were late together.
            let Some(late) = late_ms.as_ref().filter(|late| !told.contains(late)) else { continue };
            let measured_so = |cost: &&Cost| cost.late_ms.as_ref() == Some(late);
            let together = self.operations.iter().filter(measured_so).count() > 1;
            let what = if together { "requests" } else { row.operation };
            told.push(late);
            writeln!(
                text,
                "\nThis program sent {what} up to {:.1} ms late (p99 {:.1} ms) that no other held up; up to {} ms of that is its timers' fault, and does not count.",
                late.max,
                late.p99,
                TIMER_LATE_MAX.as_millis()
            )?;
        }
        let busy: f64 = self.used.generator.iter().map(|used| used.cpu_percent).sum();
        if busy >= BUSY_PERCENT * f64::from(self.settings.threads) {
            writeln!(
                text,
                "\nThe load generator itself was busy all the time: the nodes may be faster. More --threads help where there are cores."
            )?;
        }
        Ok(())
    }
}

impl Settings {
    /// "3 nodes, 8 connections, 64-byte values, 10000 keys, R = 3, W = 2, in memory"
    fn text(&self) -> String {
        let nodes = match self.nodes.len() {
            1 => "1 node".to_owned(),
            n_nodes => format!("{n_nodes} nodes"),
        };
        let mut parts =
            vec![nodes, format!("door {}", self.door), format!("{} connections", self.connections)];
        parts.extend((self.pipeline > 1).then(|| format!("{} requests at a time on each", self.pipeline)));
        parts.extend(self.rate.map(|rate| format!("{} requests/s", thousands(rate.into()))));
        parts.extend(self.reads_percent.map(|percent| format!("{percent} % gets")));
        parts.push(format!("{}-byte values", self.value_bytes));
        parts.push(format!("{} keys", self.keys));
        parts.extend(self.zipf.map(|exponent| format!("by Zipf's law with {exponent}")));
        parts.extend(self.keeping.as_ref().map(Kept::text));
        parts.join(", ")
    }
}

impl Run {
    fn costs(&self) -> impl Iterator<Item = Cost> {
        let rows: Vec<Row> = self.operations.iter().map(Row::new).collect();
        let per_second: f64 = rows.iter().map(|row| row.per_second).sum();
        let cores: f64 = self.servers.iter().map(|used| used.cpu_percent / 100.0).sum();
        // Warm-up and measurement cost the same, so it is no matter that only the latter is counted.
        let server_cpu_us =
            (!self.servers.is_empty() && per_second > 0.0).then(|| round(cores / per_second * 1e6));
        let is_open = !self.late.is_empty();
        rows.into_iter().zip(&self.operations).map(move |(row, measured)| Cost {
            row,
            server_cpu_us,
            late_ms: is_open.then(|| Latencies::new(&self.late)),
            histogram: steps(&measured.latencies),
        })
    }
}

/// Headings of what [`Row::cells`] are.
pub(super) const COLUMNS: [(&str, Side); 8] = [
    ("op", Side::Left),
    ("ops/s", Side::Right),
    ("p50 ms", Side::Right),
    ("p90 ms", Side::Right),
    ("p99 ms", Side::Right),
    ("p99.9 ms", Side::Right),
    ("max ms", Side::Right),
    ("errors", Side::Right),
];

impl Row {
    pub(super) fn new(measured: &Measured) -> Self {
        let (count, seconds) = (measured.count(), measured.elapsed.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
        let per_second = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            operation: measured.operation.name(),
            count,
            errors: measured.errors,
            unsent: measured.unsent,
            per_second: round(per_second),
            latency_ms: Latencies::new(&measured.latencies),
        }
    }

    pub(super) fn p99_ms(&self) -> f64 {
        self.latency_ms.p99
    }

    pub(super) fn cells(&self) -> Vec<String> {
        let Latencies { p50, p90, p99, p99_9, max } = self.latency_ms;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is no fraction here"
        )]
        let per_second = thousands(self.per_second.round() as u64);
        let mut cells = vec![self.operation.to_owned(), per_second];
        cells.extend([p50, p90, p99, p99_9, max].map(|ms| format!("{ms:.3}")));
        cells.push(thousands(self.errors));
        cells
    }
}

impl Latencies {
    fn new(latencies: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
        let ms = |ns: u64| (ns as f64 / 1e2).round() / 1e4;
        let at = |quantile| ms(latencies.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: ms(latencies.max()) }
    }
}

/// Memory and CPU of processes.
pub(super) fn usage_table<'a>(used: impl IntoIterator<Item = &'a Usage>) -> String {
    let right = |heading| (heading, Side::Right);
    let mut table = Table::new(&[("process", Side::Left), right("RSS MiB"), right("CPU s"), right("CPU %")]);
    for Usage { node, pid: _, resident_mib, cpu_seconds, cpu_percent } in used {
        table.row(vec![
            node.clone(),
            format!("{resident_mib:.1}"),
            format!("{cpu_seconds:.2}"),
            format!("{cpu_percent:.2}"),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use anyhow::anyhow;

    use super::super::measured::Tally;
    use super::super::workload::Operation;
    use super::*;

    #[test]
    fn a_run_is_empty_unless_something_ended_in_it_be_it_a_failure() {
        let (mut tally, now) = (Tally::new().unwrap(), Instant::now());
        let run =
            |tally: Tally| Run { operations: tally.operations.into(), late: tally.late, servers: Vec::new() };
        assert!(run(Tally::new().unwrap()).is_empty());
        tally.record(Operation::Get, Ok(()), now, now);
        assert!(!run(tally).is_empty());
        let mut tally = Tally::new().unwrap();
        tally.fails(Operation::Put, &anyhow!("nobody is there"));
        assert!(!run(tally).is_empty());
    }
}
