//! Scenario scripts: what they print, and what they refuse.
//!
//! Every script of `testdata` prints what its file says. `UPDATE_EXPECT=1 cargo test -p chord-sim --test scripts` writes
//! there what they print now; what they expect must hold even so.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use std::path::{Path, PathBuf};

use chord_sim::script::{
    BITS_MAX, BYTES_MAX, EXAMPLE, NODES_MAX, OUTPUT_BYTES_MAX, Problem, ROUNDS_MAX, Run, Script, TURNS_MAX,
    guide,
};
use proptest::prelude::*;
use support::cases;

fn scripts() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    scripts.sort();
    scripts.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

fn run(text: &str) -> Run {
    Script::parse(text).unwrap_or_else(|error| panic!("{error}")).run()
}

#[test]
fn a_script_that_is_stopped_tells_what_it_has() {
    let script = Script::parse("ideal 6 16\nring\nring\n").unwrap();
    let lines = std::cell::Cell::new(0);
    let run = script.run_while(|| lines.replace(lines.get() + 1) < 1);
    assert_eq!((run.transcript.as_str(), run.is_interrupted), ("ideal 6 16\n", true));
    assert!(!script.run().is_interrupted);
}

/// What is wrong with one script of the folder, if anything is.
fn check(path: &Path, text: &str) -> Vec<String> {
    let name = path.file_name().unwrap().display();
    let run = match Script::parse(text) {
        Ok(script) => script.run(),
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let stopped = run.stopped.iter().map(|error| format!("{name}: {error}"));
    let failed =
        run.failed_lines.iter().map(|line| format!("{name}: what line {line} expects does not hold"));
    let mut wrong: Vec<String> = stopped.chain(failed).collect();
    if run.n_expectations == 0 {
        wrong.push(format!("{name}: it expects nothing"));
    }
    if run.transcript == text {
        return wrong;
    }
    // A run that was stopped has not printed the rest of the script.
    if run.stopped.is_none() && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &run.transcript).unwrap();
    } else {
        wrong.push(format!("{name}: it prints\n{}", run.transcript));
    }
    wrong
}

#[test]
fn every_script_prints_what_its_file_says_and_what_it_expects_holds() {
    let scripts = scripts();
    let wrong: Vec<String> = scripts.iter().flat_map(|(path, text)| check(path, text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_known_failure_of_the_old_rules_and_each_figure_has_a_script() {
    let names: Vec<String> =
        scripts().iter().map(|(path, _)| path.file_name().unwrap().display().to_string()).collect();
    let failures = (1..=20).map(|number| format!("t{number:02}-"));
    let figures = ["ton03-figure-2", "ton03-figure-3", "ton03-figure-4", "ton03-figure-7"].into_iter();
    let figures = figures.chain(["sigcomm01-figure-2", "sigcomm01-figure-3", "sigcomm01-figure-5"]);
    let zave = ["t01-ccr12-figure-2", "t02-ccr12-figure-3", "t03-ccr12-figure-4", "t04-ccr12-figure-5"];
    let zave = zave.into_iter().chain(["t05-ccr12-figure-6", "t06-ccr12-figure-7", "t07-ccr12-figure-8"]);
    let zave = zave.chain(["t08-tse17-figure-3", "t09-tse17-figure-4"]);
    for beginning in failures.chain(figures.chain(zave).map(str::to_owned)) {
        assert!(names.iter().any(|name| name.starts_with(&beginning)), "no script {beginning}");
    }
}

#[test]
fn the_same_script_prints_the_same_and_its_output_is_that_script_again() {
    for (path, text) in scripts() {
        let first = run(&text);
        assert_eq!(first, run(&text), "{}", path.display());
        assert_eq!(first.transcript, run(&first.transcript).transcript, "{}", path.display());
    }
}

#[test]
fn the_guide_names_every_command_and_its_example_holds() {
    let guide = guide();
    for word in
        ["ideal NODE...", "join NODE via NODE", "converge [within N]", "deliver NODE to NODE", "expect "]
    {
        assert!(guide.contains(word), "{guide}");
    }
    let run = run(EXAMPLE);
    assert_eq!((run.stopped, run.failed_lines), (None, Vec::new()), "{}", run.transcript);
    assert!(run.n_expectations > 0);
    assert!(EXAMPLE.lines().all(|line| guide.contains(line)), "{guide}");
}

/// What the script is refused with, before it runs or on its way.
fn refusal(text: &str) -> String {
    match Script::parse(text) {
        Ok(script) => script.run().stopped.unwrap_or_else(|| panic!("{text:?} is all right")).to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_typo_gets_the_line_and_the_command_that_was_meant() {
    assert_eq!(
        refusal("ideal 1 2 3\n\nstabilise 1\n"),
        "line 3: there is no command \"stabilise\": did you mean \"stabilize\"?"
    );
    assert_eq!(
        refusal("# a comment\ncrash 1"),
        "line 2: there is no command \"crash\": there are bits, successors, ideal, member, create, join, fail, leave, \
         freeze, thaw, remember, cut, heal, stabilize, round, converge, hold, messages, deliver, release, ring, lookup, \
         fingers, expect"
    );
    let long = "x".repeat(1_000);
    assert!(refusal(&long).len() < 400, "{}", refusal(&long));
}

#[test]
fn a_command_that_is_not_written_as_it_should_be_is_shown_how() {
    for (line, told) in [
        ("join 10 3", "\"3\" stands where via belongs: write `join NODE via NODE`"),
        ("join 10", "via is missing: write `join NODE via NODE`"),
        ("join 10 via", "a position is missing: write `join NODE via NODE`"),
        ("ring 5", "\"5\" is too much: write `ring`"),
        ("ideal", "a node is missing: write `ideal NODE...`"),
        ("cut 1 2", "| is missing: write `cut NODE... | NODE...`"),
        ("deliver 1 2", "\"2\" is too much: write `deliver N` or `deliver NODE to NODE`"),
        ("member 1 lst 2", "\"lst\" is too much: write `member NODE [list NODE...] [predecessor NODE]`"),
        ("fail x", "\"x\" is no position: that is a whole number from 0 to 63"),
        ("fail 64", "\"64\" is no position: that is a whole number from 0 to 63"),
        ("fail -1", "\"-1\" is no position: that is a whole number from 0 to 63"),
        ("ideal 1, 2", "\"1,\" is no position: that is a whole number from 0 to 63"),
        ("round 0", "\"0\" is no number of rounds: that is a whole number from 1 to 1000"),
        ("bits 0", "\"0\" is no number of bits: that is a whole number from 1 to 64"),
        ("successors 65", "\"65\" is no number of successors: that is a whole number from 1 to 64"),
        ("ideal 1 2 1", "node 1 is named twice: name it once"),
        ("cut 1 2 | 3 1", "node 1 is named twice: name it once"),
        ("join 5 via 5", "node 5 cannot join through itself: name another node"),
    ] {
        assert_eq!(refusal(line), format!("line 1: {told}"));
    }
    for line in
        ["expect", "expect not", "expect not members 1", "expect wonders", "expect 1", "expect 1 ring"]
    {
        let refusal = refusal(line);
        assert!(refusal.contains(": write `expect [not] ideal` or "), "{refusal}");
    }
}

#[test]
fn a_line_that_cannot_be_done_ends_the_run_there() {
    let begin = "ideal 1 20 40\n";
    for (line, told) in [
        ("fail 5", "there is no node 5: there are 1 20 40"),
        ("create 20", "node 20 is there already: let it fail or leave first"),
        ("join 20 via 1", "node 20 is there already: let it fail or leave first"),
        ("ideal 20 30", "node 20 is there already: let it fail or leave first"),
        ("lookup 5 from 6", "there is no node 6: there are 1 20 40"),
        ("expect 6 list 1", "there is no node 6: there are 1 20 40"),
        ("messages", "no message waits, since messages arrive at once: say `hold` before"),
        ("deliver 1", "no message waits, since messages arrive at once: say `hold` before"),
        ("hold\ndeliver 1", "there is no such message that can arrive: `messages` shows those that wait"),
        ("freeze 1\nstabilize 1", "node 1 is frozen: thaw it first"),
        ("hold\njoin 30 via 1\nleave 30", "node 30 is no member yet: let some rounds pass first"),
        ("bits 8", "\"bits\" comes too late: it must stand before the first node"),
    ] {
        let script = format!("{begin}{line}\nring\n");
        let number = 1 + line.lines().count();
        assert_eq!(refusal(&script), format!("line {number}: {told}"));
        if let Ok(script) = Script::parse(&script) {
            let transcript = script.run().transcript;
            assert!(transcript.ends_with(&format!("{line}\n")) || line.contains('\n'), "{transcript}");
        }
    }
    assert_eq!(refusal("fail 5"), "line 1: there is no node 5: add it first");
}

#[test]
fn what_does_not_hold_is_told_and_the_run_goes_on() {
    let run = run(
        "ideal 1 20 40\nexpect 1 list 40\nexpect not ideal\nexpect owner 1 of 10 from 40\nexpect members 1\n\
         expect 1 predecessor none\nexpect 1 joining\nfail 20\nconverge within 1\nexpect ideal\n",
    );
    let told: Vec<&str> = run.transcript.lines().filter_map(|line| line.strip_prefix("| no: ")).collect();
    assert_eq!(
        told,
        [
            "the list of 1 is 20 40",
            "the ideal ring of 3 members",
            "20 owns 10: 40 -> 20, 1 hop",
            "the members are 1 20 40",
            "the predecessor of 1 is 40",
            "1 is a member",
        ]
    );
    assert_eq!((run.n_expectations, run.failed_lines, run.stopped), (8, vec![2, 3, 4, 5, 6, 7], None));
}

#[test]
fn a_ring_that_does_not_become_ideal_in_time_fails_the_expectation() {
    let run = run("member 0 list 1 predecessor 1\nmember 3 list 1 predecessor 1\nconverge within 5\n");
    assert_eq!(run.failed_lines, [3]);
    assert!(run.transcript.ends_with("| no: not ideal after 5 rounds\n"), "{}", run.transcript);
}

#[test]
fn a_join_that_fails_is_told_and_may_be_tried_again() {
    let run = run("create 1\nfreeze 1\njoin 5 via 1\nthaw 1\njoin 5 via 1\nexpect ideal\n");
    let told =
        "| 5 does not join: cannot join through 1: it could not be reached, or did not answer in time\n";
    assert!(run.transcript.contains(told), "{}", run.transcript);
    assert_eq!((run.failed_lines, run.stopped), (vec![], None));
}

#[test]
fn a_frozen_node_is_dropped_and_taken_back_when_it_thaws() {
    let run =
        run("ideal 1 20 40 50\nfreeze 20\nround 2\nexpect 1 list 40 50\nring\nthaw 20\nconverge within 20\n");
    assert!(run.transcript.contains("| 1 drops 20: it did not answer, twice\n"), "{}", run.transcript);
    assert!(run.transcript.contains("frozen"), "{}", run.transcript);
    assert_eq!((run.failed_lines, run.stopped), (vec![], None));
}

fn nodes(n_nodes: usize) -> String {
    (0..n_nodes).map(|at| at.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_script_may_be_as_large_as_the_limits_say_and_no_larger() {
    let text = |n_bytes: usize| format!("{}\n", "#".repeat(n_bytes - 1));
    assert!(Script::parse(&text(BYTES_MAX)).is_ok());
    let error = Script::parse(&format!("ring\n{}", text(BYTES_MAX))).unwrap_err();
    assert_eq!((error.line, error.problem), (2, Problem::TooLarge));

    let ideal = |n_nodes| format!("bits {BITS_MAX}\nsuccessors 1\nideal {}\n", nodes(n_nodes));
    assert_eq!(run(&ideal(NODES_MAX)).stopped, None);
    assert!(refusal(&ideal(NODES_MAX + 1)).contains("at most 256 nodes"));
    let full = ideal(NODES_MAX);
    for one_more in ["create 999", "join 999 via 0", "member 999", "ideal 999"] {
        assert_eq!(run(&format!("{full}{one_more}")).stopped.unwrap().problem, Problem::TooManyNodes);
    }
    assert!(refusal(&format!("round {}", ROUNDS_MAX + 1)).contains("from 1 to 1000"));
}

#[test]
fn a_script_takes_as_many_turns_as_the_limit_says_and_no_more() {
    // One node: each line takes one turn, and each round one more.
    let rounds =
        |n_lines: usize| format!("create 1\n{}", format!("round {}\n", ROUNDS_MAX - 1).repeat(n_lines));
    let n_lines = TURNS_MAX / ROUNDS_MAX;
    assert_eq!(run(&rounds(n_lines)).stopped, None);
    let stopped = run(&rounds(n_lines + 1)).stopped.unwrap();
    assert_eq!((stopped.line, stopped.problem), (n_lines + 2, Problem::TooLong));
}

#[test]
fn a_script_prints_no_more_than_the_limit_says() {
    let begin = format!("bits {BITS_MAX}\ncreate 1\n");
    let looks = |n_times: usize| run(&format!("{begin}{}", "fingers 1\n".repeat(n_times)));
    let n_bytes_begin = looks(0).transcript.len();
    let n_times_max = (OUTPUT_BYTES_MAX - n_bytes_begin) / (looks(1).transcript.len() - n_bytes_begin);
    assert_eq!(looks(n_times_max).stopped, None);
    assert_eq!(looks(n_times_max + 1).stopped.unwrap().problem, Problem::TooMuchOutput);
}

/// A line that may be part of a script, if the nodes are there that it names.
fn line() -> impl Strategy<Value = String> {
    let node = || 0_u64..12;
    prop_oneof![
        4 => (node(), node()).prop_map(|(at, contact)| format!("join {at} via {contact}")),
        2 => node().prop_map(|at| format!("fail {at}")),
        1 => node().prop_map(|at| format!("leave {at}")),
        1 => node().prop_map(|at| format!("create {at}")),
        1 => node().prop_map(|at| format!("freeze {at}")),
        1 => node().prop_map(|at| format!("thaw {at}")),
        1 => (node(), node()).prop_map(|(seed, at)| format!("remember {seed} at {at}")),
        1 => (node(), proptest::collection::vec(node(), 1..4), node())
            .prop_map(|(at, list, before)| format!("member {at} list {list:?} predecessor {before}"))
            .prop_map(|line| line.replace(['[', ',', ']'], "")),
        1 => (node(), node()).prop_map(|(one, other)| format!("cut {one} | {other}")),
        6 => node().prop_map(|at| format!("stabilize {at}")),
        8 => (1_usize..20).prop_map(|number| format!("deliver {number}")),
        8 => proptest::sample::select(vec!["heal", "round", "hold", "release", "ring", "messages", "converge within 9"])
            .prop_map(str::to_owned),
        2 => (node(), node()).prop_map(|(target, from)| format!("lookup {target} from {from}")),
        1 => node().prop_map(|at| format!("fingers {at}")),
    ]
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whatever_a_script_does_no_node_finds_its_rules_broken(lines in proptest::collection::vec(line(), 0..60)) {
        let mut script = String::from("bits 4\nideal 1 4 7 10\n");
        let mut transcript = String::new();
        for line in &lines {
            let longer = format!("{script}{line}\n");
            // What cannot be done, as a join through a node that is not there, is left out.
            match Script::parse(&longer).map(|script| script.run()) {
                Ok(run) if run.stopped.is_none() => (script, transcript) = (longer, run.transcript),
                Ok(_) | Err(_) => {}
            }
        }
        prop_assert!(!transcript.contains("DEFECT"), "{}", transcript);
    }

    #[test]
    fn no_text_whatever_is_more_than_a_script_or_an_error(text in "([a-z]{1,9}|[0-9]{1,3}|[ |#\n])*") {
        if let Ok(script) = Script::parse(&text) {
            let run = script.run();
            prop_assert!(run.transcript.lines().count() >= text.lines().filter(|line| !line.starts_with('|')).count()
                || run.stopped.is_some());
        }
    }
}
