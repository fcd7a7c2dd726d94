//! The papers' claims, one test each, on rings that are small enough for a debug build. `chord sim paper` runs them all
//! at full size; here the seed is fixed, and the tolerances leave room for what few rings scatter.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use chord_sim::paper::{
    Band, Cell, Effort, Experiment, Figure, Findings, Part, SEED_DEFAULT, Samples, Table, Tally, experiments,
    parts, run_part,
};

/// As many as no experiment has.
const TALLIES_MAX: usize = 16;

fn experiment(id: &str) -> Box<dyn Experiment> {
    experiments(Effort::Quick).into_iter().find(|experiment| experiment.id() == id).unwrap()
}

fn findings(experiment: &dyn Experiment, seed: u64, parts: impl IntoIterator<Item = Part>) -> Findings {
    let mut samples = Samples::default();
    for part in parts {
        samples.add(part, &run_part(experiment, seed, part));
    }
    samples.findings(experiment)
}

/// A quick run of one experiment.
fn run(id: &str) -> Findings {
    let experiment = experiment(id);
    findings(&*experiment, SEED_DEFAULT, parts(&*experiment))
}

/// The cells of one measure, with the settings of their rows.
fn column<'a>(table: &'a Table, name: &str) -> Vec<(f64, &'a Cell)> {
    let idx = table.measures.iter().position(|measure| measure.column == name).unwrap();
    table.rows.iter().map(|row| (row.setting.parse().unwrap(), &row.cells[idx])).collect()
}

/// What we measured.
fn ours(cell: &Cell) -> Figure {
    cell.ours.unwrap()
}

fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(Band::around(expected, tolerance).holds(found), "{what}: {found}, not {expected} ± {tolerance}");
}

/// TON 2003, section VI-B: the number of keys per node is geometric, since arcs are exponential; its 99th percentile is
/// ln 100 = 4.6 times the mean. Four rings of 1,000 nodes have 40 nodes above it, whose number scatters by a sixth: the
/// percentile by a sixth of a mean, and we allow three times that.
#[test]
fn one_node_in_a_hundred_owns_more_than_4_6_times_the_mean() {
    let findings = run("fig8");
    for (mean, cell) in column(&findings.tables[0], "p99_to_mean") {
        assert_near(ours(cell).value, 100_f64.ln(), 0.5, &format!("mean {mean}"));
    }
    for (mean, cell) in column(&findings.tables[0], "keys") {
        let (p1, _) = ours(cell).spread.unwrap();
        assert!(p1 <= 0.015 * mean, "mean {mean}: {p1}");
    }
}

/// TON 2003, section VI-B: the more virtual nodes, the more even the load. The negative binomial distribution says how
/// even; 2,000 machines have 20 beyond each percentile, whose number scatters by a fifth.
#[test]
fn virtual_nodes_even_out_the_load() {
    let findings = run("fig9");
    for (name, tolerance) in [("p1", 0.15), ("p99", 0.12)] {
        for (n_virtual, cell) in column(&findings.tables[0], name) {
            let model = cell.model.unwrap();
            let what = format!("{name} with {n_virtual} virtual nodes");
            assert_near(ours(cell).value, model, (tolerance * model).max(2.0), &what);
        }
    }
}

/// TON 2003, section VI-C: lookups take half of log2 N nodes.
#[test]
fn the_path_length_is_half_of_log2_n() {
    for (n_nodes, cell) in column(&run("fig10").tables[0], "path") {
        assert_near(ours(cell).value, n_nodes.log2() / 2.0, 0.25, &format!("{n_nodes} nodes"));
    }
}

/// TON 2003, section VI-D, table II: no lookup fails though half of all nodes did; a node that answers costs p/(1 - p)
/// timeouts. In four rings of 1,000 nodes the mean path scatters by 0.1, and the timeouts by 0.4 where half have failed.
#[test]
fn no_lookup_fails_when_half_of_all_nodes_fail_at_once() {
    let findings = run("table2");
    let table = &findings.tables[0];
    for failures in ["failures", "shipped_failures"] {
        assert!(column(table, failures).iter().all(|(_, cell)| ours(cell).value < 0.5), "{table:?}");
    }
    let lookups = column(table, "path").into_iter().zip(column(table, "timeouts"));
    for ((p, path), (_, timeouts)) in lookups {
        let paper = |cell: &Cell| cell.paper.unwrap().value;
        assert_near(ours(path).value, paper(path), 0.3, &format!("path at p = {p}"));
        assert_near(ours(timeouts).value, paper(timeouts), 0.25 + p, &format!("timeouts at p = {p}"));
    }
}

/// TON 2003, section VI-D, table III: while nodes join and leave, lookups by the book may end at a wrong owner; those of
/// the shipped node, which the owner confirms, do not. 100 nodes that come and go as often each as the paper's 1,000.
#[test]
fn no_shipped_lookup_ends_at_a_wrong_owner_while_nodes_join_and_leave() {
    let findings = run("table3");
    let failures = column(&findings.tables[0], "shipped_failures");
    assert!(failures.iter().all(|(_, cell)| ours(cell).value < 0.5), "{failures:?}");
    let timeouts = column(&findings.tables[0], "timeouts");
    let (calm, busy) = (ours(timeouts[0].1).value, ours(timeouts[7].1).value);
    assert!(calm < busy && busy < 0.46, "timeouts grow with the churn: {calm} to {busy}");
}

/// SIGCOMM 2001, section 6.5, figure 12: without another try, every dead node that is met fails a lookup; the shipped node
/// goes round it.
#[test]
fn no_shipped_lookup_fails_while_nodes_join_and_fail() {
    let findings = run("sigcomm12");
    let failed = column(&findings.tables[0], "shipped_failed");
    assert!(failed.iter().all(|(_, cell)| ours(cell).value < 1e-9), "{failed:?}");
    let book = column(&findings.tables[0], "failed");
    assert!(book.iter().any(|(_, cell)| ours(cell).value > 0.0), "{book:?}");
}

/// TON 2003, section VI-E, table IV: nearness pays, more so with more to choose from, and a recursive lookup takes about
/// half of an iterative one. Absolute stretches need the paper's 65,536 nodes; these are 4,096.
#[test]
fn lookups_by_nearness_cost_little_more_than_a_direct_question() {
    let findings = run("table4");
    for network in ["space", "transit_stub"] {
        let [iterative, recursive] = ["iterative", "recursive"].map(|style| {
            let stretches = column(&findings.tables[0], &format!("{style}_{network}"));
            stretches.into_iter().map(|(_, cell)| ours(cell).value).collect::<Vec<f64>>()
        });
        assert!(iterative.is_sorted_by(|few, many| few > many), "{network}: {iterative:?}");
        assert!(recursive.is_sorted_by(|few, many| few > many), "{network}: {recursive:?}");
        assert!(recursive[4] <= 1.8, "{network}: {recursive:?}");
        assert!(recursive.iter().zip(&iterative).all(|(half, whole)| half < whole), "{network}");
    }
}

/// SIGCOMM 2001, section 6.4, figure 11: when the ring has healed, the lookups that fail are those whose keys went with
/// the nodes that failed. Four rings of 1,000 nodes: the part of keys lost scatters by √(2p(1 - p)/4000).
#[test]
fn only_the_keys_of_failed_nodes_are_lost() {
    let findings = run("sigcomm11");
    for (p, cell) in column(&findings.tables[0], "failed") {
        assert_near(ours(cell).value, p, 3.0 * (2.0 * p * (1.0 - p) / 4_000.0).sqrt(), "lost");
    }
    let beyond = column(&findings.tables[0], "failed_beyond_lost");
    assert!(beyond.iter().all(|(_, cell)| ours(cell).value < 1e-9), "{beyond:?}");
}

#[test]
fn one_seed_makes_the_same_files_in_whatever_order_the_parts_are_run() {
    for id in ["fig10", "table2"] {
        let experiment = experiment(id);
        let in_order: Vec<Part> = parts(&*experiment).into_iter().filter(|part| part.row < 2).collect();
        let backwards = in_order.iter().rev().copied();
        let first = findings(&*experiment, 7, in_order.clone());
        assert_eq!(first, findings(&*experiment, 7, backwards));
        let csv = |findings: &Findings| findings.tables[0].csv();
        assert_ne!(csv(&first), csv(&findings(&*experiment, 8, in_order)), "{id}: another seed, other rings");
    }
}

/// Every figure that stands beside the paper's has a band, or says why it has none.
#[test]
fn no_figure_beside_the_papers_is_without_a_band_and_unexplained() {
    for experiment in experiments(Effort::Quick) {
        // A setting without a single lookup, which has all the cells that others have.
        let none = vec![Tally::default(); TALLIES_MAX];
        let rows = (0..experiment.n_rows()).map(|row| (row, none.as_slice())).collect();
        for table in experiment.findings(&rows).tables {
            for measure in table.unbanded() {
                assert!(!measure.unbanded.is_empty(), "{}: {}", table.id, measure.name);
            }
        }
    }
}

#[test]
fn a_setting_that_was_not_run_to_its_end_is_left_out_and_the_page_says_so() {
    let experiment = experiment("fig10");
    let mut parts = parts(&*experiment);
    let unfinished = parts.pop().unwrap().row;
    let findings = findings(&*experiment, SEED_DEFAULT, parts);
    assert!(!findings.is_complete);
    assert_eq!(findings.tables[0].rows.len(), experiment.n_rows() - 1);
    assert_eq!(unfinished, 0, "the smallest rings come last");
}
