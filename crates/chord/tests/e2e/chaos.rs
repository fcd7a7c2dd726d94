//! Rings of real processes under faults and load, and a history of what clients saw, which is judged.
//!
//! `scripts/chaos` runs all scenarios for a minute each and prints a table. The tests run the judge against histories in
//! which something is wrong, and one short scenario.

mod clients;
mod faults;
mod history;
mod lab;
mod ring;
mod table;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::support::*;
use clients::Known;
use faults::{Injector, Scenario};
use history::{Clock, Verdict};
use lab::Lab;
use ring::{Keeping, Ring};
use table::Row;

/// The arguments of `scripts/chaos`, a line each. Nothing is run where it is not there.
const ARGUMENTS: &str = "CHORD_CHAOS";

const NO_LAB: &str =
    "this user may not make network namespaces, or those of another run are there: see `ip netns`";

/// Run rings of five processes under faults and load, and look for writes that are lost
#[derive(Debug, Parser)]
#[command(name = "scripts/chaos", no_binary_name = true)]
struct Options {
    /// How long each scenario lasts
    #[arg(long, default_value = "60", value_parser = clap::value_parser!(u64).range(4..=3600))]
    seconds: u64,

    /// Scenarios to run, with commas between; all unless given
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,

    /// Draws the nodes that fail and what the clients do
    #[arg(long)]
    seed: Option<u64>,

    /// Start nodes that keep records in memory: a crash destroys copies
    #[arg(long)]
    in_memory: bool,
}

/// One run of one scenario; none if this user may not make what it needs.
#[track_caller]
fn run(scenario: Scenario, keeping: Keeping, length: Duration, seed: u64) -> Option<Row> {
    let mut ring =
        if scenario == Scenario::Cut { Ring::start_on(Lab::new()?, keeping) } else { Ring::start(keeping) };
    let known = Known::default();
    ring.names().iter().for_each(|name| known.add(name));
    let clock = Clock::start();
    let random = Pcg64Mcg::seed_from_u64(seed);
    let mut injector = Injector {
        ring: &mut ring,
        known: &known,
        random,
        clock,
        length,
        n_faults: 0,
        standstills: Vec::new(),
        unclean: Vec::new(),
    };
    let during = clients::while_clients_ask(&known, clock, seed, || injector.inject(scenario));
    let mut row = Row::new(scenario, injector.n_faults, &during);
    row.outage = history::longest_outage(&during, &clients::busy_keys(), &injector.standstills);
    row.unclean = injector.unclean;

    ring.wait_until_whole();
    let keys: BTreeSet<&str> = during.iter().map(|operation| operation.key.as_str()).collect();
    println!("          reading {} keys at each node", keys.len());
    let after = clients::read_everywhere(&keys, &ring.names(), clock);
    row.verdict = Verdict::of(&during, &after);
    Some(row)
}

/// Runs a scenario and tells what is wrong with it; the row, if there is one, and whether all went well.
fn run_and_tell(scenario: Scenario, options: &Options, seed: u64) -> (Option<Row>, bool) {
    println!("{scenario}");
    let keeping = if options.in_memory { Keeping::InMemory } else { Keeping::OnDisk };
    let length = Duration::from_secs(options.seconds);
    match catch_unwind(AssertUnwindSafe(|| run(scenario, keeping, length, seed))) {
        Ok(Some(row)) => {
            let is_well = row.troubles().is_empty();
            table::print_troubles(&row);
            (Some(row), is_well)
        }
        Ok(None) => {
            println!("  not tried: {NO_LAB}");
            (None, false)
        }
        Err(_) => {
            println!("  {scenario}: did not come to its end");
            (None, false)
        }
    }
}

/// Runs the scenarios one after the other and prints the table; whether all went well.
fn run_all(options: &Options) -> bool {
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("\nseed {seed}");
    let scenarios = if options.only.is_empty() { Scenario::value_variants() } else { &options.only };
    let ended = scenarios.iter().map(|&scenario| run_and_tell(scenario, options, seed));
    let (rows, went_well): (Vec<_>, Vec<_>) = ended.unzip();
    table::print(&rows.into_iter().flatten().collect::<Vec<_>>());
    went_well.into_iter().all(|is_well| is_well)
}

#[test]
fn the_runs_that_scripts_chaos_asks_for_lose_nothing() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return println!("not tried: scripts/chaos asks for them");
    };
    let _machine = alone();
    let options = Options::try_parse_from(arguments.lines()).unwrap_or_else(|error| error.exit());
    assert!(run_all(&options), "not everything was as it should be: see above");
}

#[test]
fn a_node_that_freezes_under_load_loses_no_write() {
    let _machine = alone();
    let row =
        run(Scenario::Freeze, Keeping::InMemory, Duration::from_secs(6), 1).expect("it needs no namespaces");
    assert_eq!(row.troubles(), []);
    assert!(row.n_faults > 0, "nothing went wrong");
}
