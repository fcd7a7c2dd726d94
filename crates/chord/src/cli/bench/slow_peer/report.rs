//! What `chord bench slow-peer` found, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::load::Seen;
use super::{Fault, SlowPeerArgs};
use crate::cli::bench::keeping::Kept;
use crate::cli::bench::process::round;
use crate::cli::output;
use crate::cli::table::{Side, Table};

/// Requests of one kind on either side of a round, below which their p99 says nothing.
const REQUESTS_MIN: u64 = 50;

/// What was seen in one round, of puts and of gets.
pub(super) struct Round {
    pub(super) fault: Fault,
    pub(super) well: [Seen; 2],
    pub(super) ill: [Seen; 2],
}

impl Round {
    /// Counts what failed before that which was measured, and after it while the ring healed.
    pub(super) fn add_failures(&mut self, before: [Seen; 2], after: [Seen; 2]) {
        self.well.iter_mut().zip(before).for_each(|(seen, unmeasured)| seen.add_failures(unmeasured));
        self.ill.iter_mut().zip(after).for_each(|(seen, unmeasured)| seen.add_failures(unmeasured));
    }
}

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    nodes: u16,
    rounds: u16,
    seconds: u64,
    requests_per_second: u32,
    clients: u16,
    keys: u32,
    value_bytes: usize,
    #[serde(flatten)]
    keeping: Kept,
    /// What a median ratio may be.
    limit: f64,
    /// Connections through the proxies that were not slowed since nobody said whose they are.
    nameless_connections: usize,
    rows: Vec<Row>,
}

/// One kind of request beside one fault: medians over the rounds, and the ratios' least and greatest.
#[derive(Debug, Serialize)]
struct Row {
    fault: &'static str,
    operation: &'static str,
    p99_ms_without: f64,
    p99_ms_with: f64,
    p99_ratio: f64,
    p99_ratio_min: f64,
    p99_ratio_max: f64,
    /// The longest of all rounds.
    longest_ms_without: f64,
    longest_ms_with: f64,
    requests: u64,
    /// Of the side of a round that had fewest.
    requests_min: u64,
    errors: u64,
    first_failure: Option<String>,
}

impl Report {
    pub(super) fn new(args: &SlowPeerArgs, faults: &[Fault], rounds: &[Round], nameless: usize) -> Self {
        let rows = faults.iter().flat_map(|fault| {
            let rounds: Vec<&Round> = rounds.iter().filter(|round| round.fault == *fault).collect();
            ["put", "get"]
                .into_iter()
                .enumerate()
                .map(move |(kind, name)| Row::new(*fault, name, kind, &rounds))
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            nodes: args.nodes,
            rounds: args.rounds,
            seconds: args.seconds,
            requests_per_second: args.rate,
            clients: args.clients,
            keys: args.keys,
            value_bytes: args.value_bytes,
            keeping: args.keeping.kept(args.nodes.into()),
            limit: args.limit,
            nameless_connections: nameless,
            rows: rows.collect(),
        }
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json { output::json(self) } else { output::styled(&self.text()) }
    }

    /// Fails if a request did, or if something took longer than it may.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(failure) = self.rows.iter().find_map(|row| row.first_failure.as_ref()) {
            let n_failed: u64 = self.rows.iter().map(|row| row.errors).sum();
            let n_answered: u64 = self.rows.iter().map(|row| row.requests).sum();
            bail!("{n_failed} of {} requests failed; the first failure: {failure}", n_failed + n_answered);
        }
        if let Some(Row { fault, operation, requests_min, .. }) =
            self.rows.iter().find(|row| row.requests_min < REQUESTS_MIN)
        {
            bail!(
                "not judged: in some round only {requests_min} requests to {operation} were answered with or without a {fault} peer, and a p99 wants {REQUESTS_MIN}: take more --seconds, or a higher --rate"
            );
        }
        let worst = self.rows.iter().max_by(|one, other| one.p99_ratio.total_cmp(&other.p99_ratio));
        let Some(Row { fault, operation, p99_ratio, .. }) = worst.filter(|row| row.p99_ratio > self.limit)
        else {
            return Ok(());
        };
        bail!(
            "beside a {fault} peer the p99 of {operation} took {p99_ratio:.2} times as long as without, and the limit is {}: measure again on a machine that does nothing else, with more --rounds, or raise --limit",
            self.limit
        )
    }

    fn text(&self) -> String {
        let headings =
            ["p99 without", "p99 with", "ratio", "from", "to", "longest without", "longest with", "errors"];
        let left = [("peer", Side::Left), ("operation", Side::Left)];
        let right = headings.map(|heading| (heading, Side::Right));
        let mut table = Table::new(&[&left[..], &right[..]].concat());
        for row in &self.rows {
            table.row(row.cells());
        }
        let mut text = table.render();
        let _ = writeln!(
            text,
            "Times are in milliseconds, of {} nodes with {}, and {} requests a second.",
            self.nodes,
            self.keeping.text(),
            self.requests_per_second
        );
        if self.nameless_connections > 0 {
            let _ = writeln!(
                text,
                "{} connections between nodes were not slowed, since nobody said on them who asks.",
                self.nameless_connections
            );
        }
        for failure in self.rows.iter().filter_map(|row| row.first_failure.as_ref()) {
            let _ = writeln!(text, "A request failed: {failure}");
        }
        text
    }
}

impl Row {
    fn new(fault: Fault, operation: &'static str, kind: usize, rounds: &[&Round]) -> Self {
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let both = |figure: fn(&Seen) -> Duration| {
            let well = rounds.iter().map(|round| ms(figure(&round.well[kind])));
            let ill = rounds.iter().map(|round| ms(figure(&round.ill[kind])));
            (sorted(well), sorted(ill))
        };
        let (p99_well, p99_ill) = both(Seen::p99);
        let (longest_well, longest_ill) = both(Seen::longest);
        let ratios = sorted(
            rounds.iter().map(|round| ms(round.ill[kind].p99()) / ms(round.well[kind].p99()).max(1e-3)),
        );
        let seen = || rounds.iter().flat_map(|round| [&round.well[kind], &round.ill[kind]]);
        Self {
            fault: fault.name(),
            operation,
            p99_ms_without: round(median(&p99_well)),
            p99_ms_with: round(median(&p99_ill)),
            p99_ratio: round(median(&ratios)),
            p99_ratio_min: round(ratios.first().copied().unwrap_or_default()),
            p99_ratio_max: round(ratios.last().copied().unwrap_or_default()),
            longest_ms_without: round(longest_well.last().copied().unwrap_or_default()),
            longest_ms_with: round(longest_ill.last().copied().unwrap_or_default()),
            requests: seen().map(Seen::requests).sum(),
            requests_min: seen().map(Seen::requests).min().unwrap_or_default(),
            errors: seen().map(|seen| seen.errors).sum(),
            first_failure: seen().find_map(|seen| seen.first_failure.clone()),
        }
    }

    fn cells(&self) -> Vec<String> {
        let figures = [
            self.p99_ms_without,
            self.p99_ms_with,
            self.p99_ratio,
            self.p99_ratio_min,
            self.p99_ratio_max,
            self.longest_ms_without,
            self.longest_ms_with,
        ];
        let words = [self.fault.to_owned(), self.operation.to_owned()];
        let figures = figures.map(|figure| format!("{figure:.2}"));
        words.into_iter().chain(figures).chain([self.errors.to_string()]).collect()
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// The one in the middle of a sorted list; 0 of none.
fn median(figures: &[f64]) -> f64 {
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::keeping::KeepingArgs;

    /// A hundred requests of which two took so many milliseconds, and the others one.
    fn seen(ms: u64) -> Seen {
        Seen::of((0..100).map(|number| Duration::from_millis(if number < 98 { 1 } else { ms })))
    }

    fn round(well: u64, ill: u64) -> Round {
        Round { fault: Fault::Slow, well: [seen(well), seen(1)], ill: [seen(ill), seen(1)] }
    }

    #[test]
    fn a_median_ratio_above_the_limit_is_a_failure_which_names_the_worst() {
        let rounds = [round(10, 13), round(10, 11), round(10, 40)];
        let refs: Vec<&Round> = rounds.iter().collect();
        let rows = |fault| vec![Row::new(fault, "put", 0, &refs), Row::new(fault, "get", 1, &refs)];
        let report = |limit| Report {
            version: "",
            nodes: 5,
            rounds: 3,
            seconds: 1,
            requests_per_second: 1,
            clients: 1,
            keys: 1,
            value_bytes: 1,
            keeping: KeepingArgs::in_memory().kept(5),
            limit,
            nameless_connections: 0,
            rows: rows(Fault::Slow),
        };
        let refused = report(1.2).check().expect_err("1.3 is more").to_string();
        assert!(refused.starts_with("beside a slow peer the p99 of put took 1.3"), "{refused}");
        assert!(report(1.4).check().is_ok(), "the greatest of all rounds is not the median");
        assert!(!report(1.4).text().contains("not slowed"));
        let mut failed = report(1.4);
        failed.rows[1].errors = 3;
        failed.rows[1].first_failure = Some("nobody was there".to_owned());
        let refused = failed.check().expect_err("whatever the ratio").to_string();
        assert_eq!(refused, "3 of 1203 requests failed; the first failure: nobody was there");
        let mut few = report(1.4);
        few.rows[0].requests_min = REQUESTS_MIN - 1;
        let refused = few.check().expect_err("it says nothing").to_string();
        assert!(refused.starts_with("not judged: in some round only 49 requests to put were"), "{refused}");
        let nameless = Report { nameless_connections: 2, ..report(1.4) };
        assert!(nameless.text().contains("2 connections between nodes were not slowed"));
    }

    #[test]
    fn a_handful_of_requests_is_not_judged() {
        let few = || Seen::of((0..5).map(|_| Duration::from_millis(1)));
        let mut rounds = [round(10, 10), round(10, 10)];
        rounds[1].ill[1] = few();
        let refs: Vec<&Round> = rounds.iter().collect();
        let row = |kind| Row::new(Fault::Frozen, ["put", "get"][kind], kind, &refs);
        assert_eq!([row(0), row(1)].map(|row| row.requests_min), [100, 5]);
    }

    #[test]
    fn a_ratio_is_that_of_one_round_and_the_median_of_all_is_told_with_the_least_and_the_greatest() {
        let mut rounds = [round(10, 40), round(20, 10), round(10, 12)];
        rounds[1].ill[1].errors = 2;
        rounds[1].ill[1].first_failure = Some("nobody was there".to_owned());
        let failures = |errors, first: Option<&str>| {
            let mut failed = seen(1);
            (failed.errors, failed.first_failure) = (errors, first.map(str::to_owned));
            [failed.clone(), failed]
        };
        rounds[0].add_failures(failures(0, None), failures(1, Some("it went while all healed")));
        let rounds: Vec<&Round> = rounds.iter().collect();
        let put = Row::new(Fault::Slow, "put", 0, &rounds);
        let near = |figure: f64, expected: f64| (figure - expected).abs() <= expected / 100.0;
        for (figure, expected) in [
            (put.p99_ms_without, 10.0),
            (put.p99_ms_with, 12.0),
            (put.p99_ratio, 1.2),
            (put.p99_ratio_min, 0.5),
            (put.p99_ratio_max, 4.0),
            (put.longest_ms_without, 20.0),
            (put.longest_ms_with, 40.0),
        ] {
            assert!(near(figure, expected), "{figure} is not {expected}: {put:?}");
        }
        assert_eq!(
            (put.requests, put.errors, &put.first_failure),
            (600, 1, &Some("it went while all healed".to_owned()))
        );
        let get = Row::new(Fault::Slow, "get", 1, &rounds);
        assert!(near(get.p99_ratio, 1.0) && get.errors == 3, "{get:?}");
        assert_eq!(get.first_failure.as_deref(), Some("it went while all healed"));
        let cells = get.cells();
        let ends = [&cells[0], &cells[1], &cells[cells.len() - 1]];
        assert_eq!(ends, ["slow", "get", "3"]);
    }
}
