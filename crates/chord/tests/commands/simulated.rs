//! Rings in virtual time: `sim`.

use super::*;

#[test]
fn the_swarm_tells_one_seed_in_full_and_counts_many() {
    let told = answer(&["sim", "run", "--seed", "17"]);
    assert!(told.starts_with("seed 17, ") && told.contains("ideal again within"), "{told}");
    let events = answer(&["sim", "run", "--seed", "17", "--hosts", "4", "--only-faults", "0,1", "--trace"]);
    assert!(events.contains(" wakes: Maintain") && events.lines().count() > 100, "{events}");
    assert_eq!(
        events,
        answer(&["sim", "run", "--seed", "17", "--hosts", "4", "--only-faults", "0,1", "--trace"])
    );
    let report: Value =
        serde_json::from_str(&answer(&["sim", "run", "--seeds", "20", "--json", "--threads", "2"])).unwrap();
    assert_eq!(
        (&report["runs"], &report["failed_seeds"]),
        (&20.into(), &Value::Array(Vec::new())),
        "{report}"
    );
    assert!(report["faults"].as_u64() > Some(20), "{report}");
}

#[test]
fn a_swarm_that_is_stopped_says_how_far_it_came() {
    let mut running = Running::start(&["sim", "run", "--seeds", "1000000000", "--threads", "1"]);
    running.told("Running ");
    running.signal("INT");
    running.told("Stopping: ");
    assert!(running.told("error: stopped after ").ends_with("none of them failed"));
    assert_eq!(running.code(), Some(1));
}

#[test]
fn rings_that_were_apart_merge_from_the_command_line() {
    let table = answer(&["sim", "merge", "6", "5", "1", "--runs", "2"]);
    assert!(table.contains("rounds") && table.contains("median"), "{table}");
}

#[test]
fn the_papers_are_reproduced_in_files_that_one_seed_makes_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let reproduce = |name: &str, threads: &str| {
        let out = folder.path().join(name);
        let out_text = out.to_str().unwrap();
        let only = ["sim", "paper", "--quick", "--only", "fig10,table2", "--seed", "7"];
        let summary = answer(&[&only[..], &["--out", out_text, "--threads", threads]].concat());
        assert!(
            summary.contains("fig10") && summary.contains("table2") && !summary.contains("fig8"),
            "{summary}"
        );
        let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
        ["fig10.csv", "fig10.svg", "table2.csv", "table2.svg", "report.md", "report.html"].map(read)
    };
    let once = reproduce("once", "1");
    assert_eq!(once, reproduce("again", "3"));
    let [csv, svg, _, _, markdown, html] = once;
    assert!(csv.starts_with("nodes,paper_path,paper_path_p1,paper_path_p99,ours_path,"), "{csv}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(markdown.contains("`chord sim paper --only fig10,table2 --quick --seed 7`"), "{markdown}");
    assert!(html.contains("<svg ") && html.ends_with("</html>\n"));
}

#[test]
fn papers_that_are_stopped_end_soon_with_a_report_of_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let mut running =
        Running::start(&["sim", "paper", "--only", "fig8,table2", "--threads", "1", "--out", out]);
    running.told("Measuring ");
    running.signal("INT");
    running.told("Stopping: ");
    let told = running.told("error: ");
    assert!(told.starts_with("stopped early: ") && told.ends_with("; not reached: fig8, table2"), "{told}");
    assert_eq!(running.code(), Some(1));
    let page = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(page.contains("The run was stopped before it came to these: fig8, table2."), "{page}");
}
