//! What `chord bench` found, for people and for programs.

use std::fmt::Write as _;

use chord::RingSize;
use serde::Serialize;

use super::BenchArgs;
use super::keeping::Kept;
use super::load::Measured;
use super::process::{Usage, round};
use super::workload::Workload;
use crate::cli::table::{Side, Table, thousands};

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    settings: Settings,
    operations: Vec<Cost>,
    #[serde(flatten)]
    used: Used,
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
    /// Null when the nodes ran already.
    ring_size: Option<u16>,
    connections: u16,
    seconds: u64,
    warmup_seconds: u64,
    value_bytes: usize,
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
}

/// How often and how fast one operation was done.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    operation: &'static str,
    count: u64,
    errors: u64,
    per_second: f64,
    latency_ms: Latencies,
}

#[derive(Debug, Serialize)]
struct Latencies {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        workload: &Workload,
        operations: &[(Measured, Vec<Usage>)],
        used: Used,
    ) -> Self {
        let settings = Settings {
            version: env!("CARGO_PKG_VERSION"),
            door: args.door.name(),
            nodes: workload.nodes.iter().map(ToString::to_string).collect(),
            ring_size: args.node.is_empty().then_some(args.ring_size).map(RingSize::bits),
            connections: workload.connections,
            seconds: workload.measured.as_secs(),
            warmup_seconds: workload.warmup.as_secs(),
            value_bytes: workload.value_bytes,
            keys: workload.keys,
            keeping: args.node.is_empty().then(|| args.keeping.kept(workload.nodes.len())),
        };
        Self { settings, operations: operations.iter().map(Cost::new).collect(), used }
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&[&COLUMNS[..], &[("server CPU us", Side::Right)]].concat());
        for Cost { row, server_cpu_us } in &self.operations {
            let cost = server_cpu_us.map_or_else(|| "-".to_owned(), |us| format!("{us:.0}"));
            table.row([row.cells(), vec![cost]].concat());
        }
        let mut text = table.render();
        let Used { servers, generator } = &self.used;
        if !servers.is_empty() {
            text.push('\n');
            text.push_str(&usage_table(servers.iter().chain(generator)));
        }
        let Settings { nodes, connections, value_bytes, keys, keeping, .. } = &self.settings;
        let nodes = nodes.len();
        let keeping = keeping.as_ref().map_or_else(String::new, |kept| format!(", {}", kept.text()));
        writeln!(
            text,
            "\n{nodes} nodes, {connections} connections, {value_bytes}-byte values, {keys} keys{keeping}"
        )
        .expect("a string takes every text");
        text
    }
}

impl Cost {
    fn new((measured, used): &(Measured, Vec<Usage>)) -> Self {
        let row = Row::new(measured);
        let cores: f64 = used.iter().map(|used| used.cpu_percent / 100.0).sum();
        // Warm-up and measurement cost the same, so it is no matter that only the latter is counted.
        let server_cpu_us = (!used.is_empty() && row.count > 0).then(|| round(cores / row.per_second * 1e6));
        Self { row, server_cpu_us }
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
        let latencies = &measured.latencies;
        #[expect(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]
        let (per_second, ms) = (latencies.len() as f64 / measured.elapsed.as_secs_f64(), |ns: u64| {
            (ns as f64 / 1e3).round() / 1e3
        });
        let at = |quantile| ms(latencies.value_at_quantile(quantile));
        Self {
            operation: measured.operation.name(),
            count: latencies.len(),
            errors: measured.errors,
            per_second: round(per_second),
            latency_ms: Latencies {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p99_9: at(0.999),
                max: ms(latencies.max()),
            },
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
