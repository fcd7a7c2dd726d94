//! What `chord bench grow` found, for people and for programs.

use serde::Serialize;

use super::GrowArgs;
use super::processes::Grown;
use super::simulated::Simulated;
use crate::cli::bench::keeping::Kept;
use crate::cli::output;
use crate::cli::table::{Side, Table, thousands};

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    ring_size: u16,
    seconds: u64,
    connections: u16,
    keys: u64,
    value_bytes: usize,
    lookups: u64,
    seed: u64,
    /// In a ring of as many nodes as copies, or more.
    keeping: Kept,
    processes: Vec<Grown>,
    simulated: Vec<Simulated>,
}

impl Report {
    pub(super) fn new(args: &GrowArgs, processes: Vec<Grown>, simulated: Vec<Simulated>) -> Self {
        let largest = processes.iter().map(|ring| ring.nodes).max().unwrap_or(1);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            ring_size: args.ring_size.bits(),
            seconds: args.seconds,
            connections: args.connections,
            keys: args.keys,
            value_bytes: args.value_bytes,
            lookups: args.lookups,
            seed: args.seed,
            keeping: args.keeping.kept(largest.into()),
            processes,
            simulated,
        }
    }

    pub(super) fn processes(&self) -> &[Grown] {
        &self.processes
    }

    pub(super) fn simulated(&self) -> &[Simulated] {
        &self.simulated
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json { output::json(self) } else { output::styled(&self.text()) }
    }

    fn text(&self) -> String {
        format!(
            "{}\n{}\n{} connections, {} keys, {}-byte values, {}, {} s each of gets and puts; {} lookups a ring\n",
            self.table_of_processes(),
            self.table_of_simulated(),
            self.connections,
            thousands(self.keys),
            self.value_bytes,
            self.keeping.text(),
            self.seconds,
            thousands(self.lookups),
        )
    }

    fn table_of_processes(&self) -> String {
        let headings = [
            "processes",
            "½ log2 N",
            "hops",
            "get hops",
            "get requests",
            "get CPU µs",
            "get/s",
            "put hops",
            "put requests",
            "put CPU µs",
            "put/s",
            "rest requests/s",
            "rest CPU %",
        ];
        let mut table = Table::new(&headings.map(|heading| (heading, Side::Right)));
        for ring in &self.processes {
            let mut row = vec![ring.nodes.to_string(), two(ring.half_of_log2), two(ring.lookup_hops.mean)];
            for cost in [&ring.get, &ring.put] {
                let cpu = cost.cpu_micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.0}"));
                let rate = format!("{:.0}", cost.per_second);
                row.extend([two(cost.hops.mean), two(cost.requests), cpu, rate]);
            }
            row.push(format!("{:.1}", ring.at_rest.requests_per_second));
            row.push(ring.at_rest.cpu_percent.map_or_else(|| "-".to_owned(), two));
            table.row(row);
        }
        table.render()
    }

    fn table_of_simulated(&self) -> String {
        let headings = ["simulated", "½ log2 N", "hops", "p1", "p99", "CPU µs"];
        let mut table = Table::new(&headings.map(|heading| (heading, Side::Right)));
        for ring in &self.simulated {
            table.row(vec![
                thousands(ring.nodes as u64),
                two(ring.half_of_log2),
                two(ring.hops.mean),
                ring.hops.p1.to_string(),
                ring.hops.p99.to_string(),
                ring.cpu_micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}")),
            ]);
        }
        table.render()
    }
}

fn two(figure: f64) -> String {
    format!("{figure:.2}")
}
