//! What `chord bench join` found, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::JoinArgs;
use crate::cli::bench::keeping::Kept;
use crate::cli::bench::measured::Measured;
use crate::cli::bench::process::round;
use crate::cli::bench::report::{COLUMNS, Row};
use crate::cli::output;
use crate::cli::table::{Side, Table, thousands};

/// What the newcomer keeps and knows when it is ready.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found {
    /// Records that it keeps.
    pub(super) kept: u64,
    /// How many it must keep, where that does not depend on where it stands on the ring.
    pub(super) expected: Option<u64>,
    /// Keys that were read through it.
    pub(super) checked: u64,
}

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    nodes: u16,
    records: u64,
    value_bytes: usize,
    connections: u16,
    requests_per_second: u32,
    keeping: Kept,
    join_seconds: f64,
    newcomer: Found,
    /// Bytes of memory a record beside its key and value, before the join; null if they are on the disk.
    overhead_bytes: Option<f64>,
    at_rest: [Row; 2],
    joining: [Row; 2],
    /// How much larger the p99 was during the join than at rest.
    put_p99_ratio: f64,
    get_p99_ratio: f64,
}

impl Found {
    /// Whether the newcomer has what it must have.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        match self.expected {
            Some(expected) if self.kept < expected => {
                bail!(
                    "the newcomer said that it is ready, and keeps {} of {} records",
                    thousands(self.kept),
                    thousands(expected)
                )
            }
            _ => Ok(()),
        }
    }
}

impl Report {
    pub(super) fn new(
        args: &JoinArgs,
        took: Duration,
        found: &Found,
        overhead: Option<f64>,
        [at_rest, joining]: [&[Measured; 2]; 2],
    ) -> Self {
        let (at_rest, joining) = (at_rest.each_ref().map(Row::new), joining.each_ref().map(Row::new));
        let ratio = |kind: usize| round(joining[kind].p99_ms() / at_rest[kind].p99_ms());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            nodes: args.nodes,
            records: args.records,
            value_bytes: args.value_bytes,
            connections: args.connections,
            requests_per_second: args.rate,
            keeping: args.keeping.kept(usize::from(args.nodes) + 1),
            join_seconds: round(took.as_secs_f64()),
            newcomer: found.clone(),
            overhead_bytes: overhead.map(round),
            put_p99_ratio: ratio(0),
            get_p99_ratio: ratio(1),
            at_rest,
            joining,
        }
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json { output::json(self) } else { output::styled(&self.text()) }
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[&[("when", Side::Left)], &COLUMNS[..]].concat());
        for (when, rows) in [("at rest", &self.at_rest), ("joining", &self.joining)] {
            for row in rows {
                table.row([vec![when.to_owned()], row.cells()].concat());
            }
        }
        let mut text = table.render();
        self.write_sentences(&mut text).expect("a string takes every text");
        text
    }

    fn write_sentences(&self, text: &mut String) -> std::fmt::Result {
        let Found { kept, expected, checked } = &self.newcomer;
        let why = if expected.is_some() { ", and has to: there are no more nodes than copies" } else { "" };
        writeln!(
            text,
            "\nThe join took {:.1} s; {} keys were read through the newcomer.",
            self.join_seconds,
            thousands(*checked)
        )?;
        writeln!(
            text,
            "The newcomer keeps {} of {} records{why}.",
            thousands(*kept),
            thousands(self.records)
        )?;
        writeln!(
            text,
            "While it joined, the p99 was {:.1} times that at rest for put, {:.1} times for get.",
            self.put_p99_ratio, self.get_p99_ratio
        )?;
        if let Some(overhead) = self.overhead_bytes {
            writeln!(text, "A record took {overhead:.0} bytes of memory beside its key and value.")?;
        }
        let Self { nodes, value_bytes, connections, requests_per_second, keeping, .. } = self;
        let nodes = if *nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        writeln!(
            text,
            "\n{nodes} and a newcomer, {requests_per_second} requests/s on {connections} connections, \
             {value_bytes}-byte values, {}",
            keeping.text()
        )
    }
}
