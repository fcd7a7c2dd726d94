//! What came of the runs, a row for each.

use std::time::Duration;

use super::faults::Scenario;
use super::history::{Operation, Outage, Outcome, Verdict};

/// The longest time in which no operation on a key may succeed where enough nodes are there to serve it.
const OUTAGE_LIMIT: Duration = Duration::from_secs(5);

/// How many sentences about one kind of trouble are printed.
const DETAILS_MAX: usize = 5;

const HEADINGS: [&str; 13] = [
    "scenario", "faults", "done", "failed", "unknown", "not done", "lost", "split", "untold", "stale",
    "outage", "p50", "p99",
];

const LEGEND: &str = "\
done: operations that succeeded; failed: those that changed nothing; unknown: writes that may have taken effect.
lost: keys at which an acknowledged write is gone; split, untold: keys that the nodes, all mended, tell differently or \
not at all.
stale: reads that saw what had been overwritten; outage: longest time in which no operation on a key, asked for at a \
node that ran, succeeded.";

/// What was counted in one run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) n_faults: u32,
    pub(crate) n_done: usize,
    /// Writes among them.
    pub(crate) n_stored: usize,
    pub(crate) n_failed: usize,
    pub(crate) n_unknown: usize,
    /// How long the operations that succeeded took: the median and the 99th percentile.
    pub(crate) latencies: (Duration, Duration),
    pub(crate) outage: Option<Outage>,
    /// What nodes said that could not leave in good order.
    pub(crate) unclean: Vec<String>,
    pub(crate) verdict: Verdict,
}

impl Row {
    pub(crate) fn new(scenario: Scenario, n_faults: u32, during: &[Operation]) -> Self {
        let count =
            |outcome: &Outcome| during.iter().filter(|operation| operation.outcome == *outcome).count();
        let (n_failed, n_unknown) = (count(&Outcome::Failed), count(&Outcome::Unknown));
        Self {
            scenario,
            n_faults,
            n_done: during.len() - n_failed - n_unknown,
            n_stored: count(&Outcome::Stored),
            n_failed,
            n_unknown,
            latencies: latencies(during),
            outage: None,
            unclean: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// What is not as it should be: each kind of trouble, and the sentences about it.
    pub(crate) fn troubles(&self) -> Vec<(&'static str, Vec<String>)> {
        let too_long = self.outage.iter().filter(|outage| outage.length > OUTAGE_LIMIT);
        let outages = too_long.map(|outage| {
            format!("{}: {:.2} s from {} s on", outage.key, outage.length.as_secs_f64(), outage.began)
        });
        let mut troubles = vec![
            ("acknowledged writes are lost", self.verdict.lost.clone()),
            ("the nodes do not agree", self.verdict.split.clone()),
            ("a key cannot be read", self.verdict.untold.clone()),
            ("a node did not leave in good order", self.unclean.clone()),
        ];
        if !self.scenario.may_be_stale() {
            troubles.push(("reads were stale", self.verdict.stale.clone()));
        }
        if self.scenario.is_always_served() {
            troubles.push(("no operation on a key succeeded for too long", outages.collect()));
        }
        if self.n_stored == 0 {
            troubles.push(("no write succeeded", vec!["there was nothing to lose".to_owned()]));
        }
        troubles.retain(|(_, sentences)| !sentences.is_empty());
        troubles
    }

    fn cells(&self) -> [String; HEADINGS.len()] {
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let n_not_done = self.n_failed + self.n_unknown;
        let per_mille = 1000 * n_not_done / (self.n_done + n_not_done).max(1);
        [
            self.scenario.to_string(),
            self.n_faults.to_string(),
            self.n_done.to_string(),
            self.n_failed.to_string(),
            self.n_unknown.to_string(),
            format!("{}.{} %", per_mille / 10, per_mille % 10),
            self.verdict.lost.len().to_string(),
            self.verdict.split.len().to_string(),
            self.verdict.untold.len().to_string(),
            self.verdict.stale.len().to_string(),
            self.outage.as_ref().map_or("-".to_owned(), |outage| seconds(outage.length)),
            milliseconds(self.latencies.0),
            milliseconds(self.latencies.1),
        ]
    }
}

fn latencies(operations: &[Operation]) -> (Duration, Duration) {
    let done = operations.iter().filter(|operation| operation.succeeded());
    let mut latencies: Vec<_> = done.map(|operation| operation.ended.since(operation.began)).collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

/// Prints what is wrong with a run, with the first few cases of each kind.
pub(crate) fn print_troubles(row: &Row) {
    for (trouble, sentences) in row.troubles() {
        println!("  {}: {trouble}: {} times", row.scenario, sentences.len());
        for sentence in sentences.iter().take(DETAILS_MAX) {
            println!("    {sentence}");
        }
    }
}

/// Prints the table of all runs.
pub(crate) fn print(rows: &[Row]) {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| lines.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
    println!();
    for cells in &lines {
        print!("{:<1$}", cells[0], width(0));
        for (column, cell) in cells.iter().enumerate().skip(1) {
            print!("  {cell:>0$}", width(column));
        }
        println!();
    }
    println!("\n{LEGEND}");
}

#[cfg(test)]
mod tests {
    use chord_sim::world::Time;

    use super::*;

    fn row(scenario: Scenario) -> Row {
        let row = Row::new(scenario, 1, &[]);
        Row { n_done: 9, n_stored: 9, ..row }
    }

    fn outage(length: u64) -> Outage {
        Outage { key: "key".to_owned(), began: Time::ZERO, length: Duration::from_secs(length) }
    }

    fn one() -> Vec<String> {
        vec!["one".to_owned()]
    }

    #[test]
    fn whatever_is_wrong_after_all_is_mended_is_trouble_in_every_scenario() {
        for scenario in [Scenario::Kill, Scenario::Cut, Scenario::KillAll] {
            assert!(row(scenario).troubles().is_empty());
            for verdict in [
                Verdict { lost: one(), ..Verdict::default() },
                Verdict { split: one(), ..Verdict::default() },
                Verdict { untold: one(), ..Verdict::default() },
            ] {
                assert_eq!(Row { verdict, ..row(scenario) }.troubles().len(), 1);
            }
        }
    }

    #[test]
    fn stale_reads_are_trouble_where_nothing_stands_still() {
        let stale =
            |scenario| Row { verdict: Verdict { stale: one(), ..Verdict::default() }, ..row(scenario) };
        assert_eq!(stale(Scenario::Rolling).troubles().len(), 1);
        assert!(stale(Scenario::Freeze).troubles().is_empty());
    }

    #[test]
    fn an_outage_is_trouble_when_it_is_longer_than_the_limit_and_some_nodes_were_there() {
        let out = |scenario, length| Row { outage: Some(outage(length)), ..row(scenario) };
        assert!(out(Scenario::Kill, 5).troubles().is_empty());
        assert_eq!(out(Scenario::Kill, 6).troubles().len(), 1);
        assert!(out(Scenario::KillAll, 6).troubles().is_empty());
    }

    #[test]
    fn a_run_in_which_nothing_succeeded_shows_nothing() {
        assert_eq!(Row { n_stored: 0, ..row(Scenario::Kill) }.troubles().len(), 1);
    }
}
