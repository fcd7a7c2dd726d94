//! `chord bench sim --churn`: what a ring of real nodes under churn costs in virtual time, event by event.

use std::time::{Duration, Instant};

use anyhow::bail;
use chord_sim::swarm::{Churn, Churned, LargeChurn};
use serde::Serialize;

use super::process;
use crate::cli::output::{self, note};
use crate::cli::signals::Signals;
use crate::cli::table::{Side, Table, thousands};

/// A ring under churn, to be timed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChurnBench {
    pub(super) n_nodes: usize,
    pub(super) seconds: u64,
    pub(super) rate: u32,
    pub(super) seed: u64,
}

/// What was found, and the settings that led to it.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    nodes: usize,
    virtual_seconds: u64,
    joins_per_second: u32,
    seed: u64,
    wall_seconds: f64,
    /// Of the time under churn alone.
    events: u64,
    events_per_second: f64,
    /// By the time on a processor; null where there is no /proc.
    events_per_cpu_second: Option<f64>,
    messages: u64,
    joins: u64,
    ends: u64,
    lookups_right: u64,
    lookups_wrong: u64,
    /// Whether no member was left; then it ended.
    died: bool,
    /// CPU and memory of this process while the ring was under churn; null where there is no /proc.
    used: Option<process::Usage>,
}

impl ChurnBench {
    pub(super) async fn run(self, json: bool, signals: &mut Signals) -> anyhow::Result<()> {
        note(format_args!(
            "Running a ring of {} nodes for {} s of virtual time...",
            thousands(self.n_nodes as u64),
            self.seconds
        ));
        let report = signals.hear(move |is_stopped| self.measure(is_stopped)).await?;
        if json {
            output::json(&report)?;
        } else {
            output::styled(&report.text())?;
        }
        if report.died {
            bail!(
                "the ring died after {} s of virtual time, as its last member went before another had joined: choose \
                 more nodes, or a lower --rate",
                report.virtual_seconds
            );
        }
        if report.virtual_seconds < self.seconds {
            bail!("stopped after {} of {} s of virtual time", report.virtual_seconds, self.seconds);
        }
        Ok(())
    }

    fn measure(self, is_stopped: &dyn Fn() -> bool) -> Report {
        let mut ring = LargeChurn::new(self.n_nodes, Churn::Rate(f64::from(self.rate)), self.seed);
        let (before, begun) = (process::own_sample(), Instant::now());
        let mut churned = Churned::default();
        let mut seconds = 0;
        while seconds < self.seconds && !ring.is_dead() && (seconds == 0 || !is_stopped()) {
            churned = ring.run(Duration::from_secs(1));
            seconds += 1;
        }
        let took = begun.elapsed();
        let used = process::usage(&before, &process::own_sample()).pop();
        Report { died: ring.is_dead(), ..Self { seconds, ..self }.report(churned, took, used) }
    }

    fn report(self, churned: Churned, took: Duration, used: Option<process::Usage>) -> Report {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per = |seconds: f64| (churned.n_steps as f64 / seconds).round();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            nodes: self.n_nodes,
            virtual_seconds: self.seconds,
            joins_per_second: self.rate,
            seed: self.seed,
            wall_seconds: process::round(took.as_secs_f64()),
            events: churned.n_steps,
            events_per_second: per(took.as_secs_f64()),
            // A run that is shorter than a tick of that clock has no rate.
            events_per_cpu_second: used
                .as_ref()
                .filter(|used| used.cpu_seconds > 0.0)
                .map(|used| per(used.cpu_seconds)),
            messages: churned.n_messages,
            joins: churned.n_joins,
            ends: churned.n_ends,
            lookups_right: churned.n_right,
            lookups_wrong: churned.n_wrong,
            died: false,
            used,
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let headings = [
            "nodes",
            "virtual s",
            "wall s",
            "CPU s",
            "events",
            "events/s",
            "per CPU s",
            "joins",
            "gone",
            "lookups",
            "wrong",
            "MiB",
        ];
        let used =
            |figure: fn(&process::Usage) -> String| self.used.as_ref().map_or_else(|| "-".to_owned(), figure);
        let mut table = Table::new(&headings.map(|heading| (heading, Side::Right)));
        table.row(vec![
            thousands(self.nodes as u64),
            self.virtual_seconds.to_string(),
            format!("{:.1}", self.wall_seconds),
            used(|used| format!("{:.1}", used.cpu_seconds)),
            thousands(self.events),
            format!("{:.0}", self.events_per_second),
            self.events_per_cpu_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            thousands(self.joins),
            thousands(self.ends),
            thousands(self.lookups_right + self.lookups_wrong),
            thousands(self.lookups_wrong),
            used(|used| format!("{:.0}", used.resident_mib)),
        ]);
        table.render()
    }
}
