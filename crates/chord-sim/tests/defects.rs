//! The checks can fail: each rule that is broken on purpose is caught by one of them, with a scenario that shows how.
//!
//! `docs/proof.md` tells what is broken, what caught it, and in which steps; `UPDATE_EXPECT=1` before the test writes that
//! down again, for `git diff` to judge. `T…` names the scenario of the original rule in `testdata`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chord_ring::{Config, Defect, Event, RingName, RingSize, RingTag};
use chord_sim::check::{
    Claim, Counterexample, Failures, Layer, Outcome, Settings, Start, check, check_altered,
};
use chord_sim::numbered::name;
use chord_sim::{Cluster, Message};

/// The check that catches a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Layer B, from every ideal ring of up to so many nodes; of fewer than five with lookups, which take long.
    Ideal(usize),
    /// Layer B, from one node, up to so many.
    One(usize),
    /// Layer B, two rings of four nodes in all that know of each other.
    Two,
    /// A ring that is driven by hand, cut in two and healed.
    Cut,
    /// The same, where a member is slow once.
    Slow,
}

/// Each defect, the scenario of `ring.md` that shows the rule in the papers, and the check that catches it.
const TABLE: [(Defect, &str, Check); 24] = [
    (Defect::JoinsUnchecked, "T4, T10", Check::Ideal(4)),
    (Defect::JoinsWithoutTail, "T2", Check::Ideal(5)),
    (Defect::AdoptsUnasked, "T5, T11", Check::Ideal(5)),
    (Defect::LeavesByLastEntry, "T12", Check::Ideal(4)),
    (Defect::NeverDoubtsPredecessor, "T17", Check::Ideal(4)),
    (Defect::AdoptsNobodyAlone, "T18", Check::One(4)),
    (Defect::NeverRefreshes, "T3, T6, T7", Check::Ideal(4)),
    (Defect::NeverNotifies, "", Check::Ideal(4)),
    (Defect::NeverProbes, "T16", Check::Two),
    (Defect::SuspectsAtOnce, "T15", Check::Slow),
    (Defect::TurnsInterval, "", Check::Ideal(4)),
    (Defect::CutsListShort, "", Check::Ideal(4)),
    (Defect::CutsListLong, "", Check::Ideal(4)),
    (Defect::NotifiesLast, "", Check::Ideal(4)),
    (Defect::TakesLifeForDeath, "", Check::Ideal(4)),
    (Defect::KeepsDeadHead, "", Check::Ideal(4)),
    (Defect::DropsTwoHeads, "", Check::Ideal(4)),
    (Defect::JoinsBehindItself, "", Check::Ideal(4)),
    (Defect::NamesUnasked, "T1", Check::Ideal(4)),
    (Defect::OwnsAllButItself, "", Check::Ideal(4)),
    (Defect::KeepsOldPredecessor, "", Check::Ideal(4)),
    (Defect::IgnoresCloser, "", Check::Ideal(4)),
    (Defect::ForgetsDropped, "T16", Check::Cut),
    (Defect::StarvesNotifications, "T20", Check::Ideal(4)),
];

impl Check {
    fn settings(self) -> Option<Settings> {
        Some(match self {
            Self::Ideal(nodes) => Settings { lookups: nodes < 5, ..Settings::new(Layer::B, nodes, 2) },
            Self::One(nodes) => Settings { start: Start::One, ..Settings::new(Layer::B, nodes, 2) },
            Self::Two => {
                Settings { start: Start::Two, claim: Claim::Together, ..Settings::new(Layer::B, 4, 2) }
            }
            Self::Cut | Self::Slow => return None,
        })
    }

    fn words(self) -> String {
        match self {
            Self::Ideal(nodes) if nodes < 5 => format!("`chord check --layer B --nodes {nodes} --lookups`"),
            Self::Ideal(nodes) => format!("`chord check --layer B --nodes {nodes}`"),
            Self::One(nodes) => format!("`chord check --layer B --nodes {nodes} --start one`"),
            Self::Two => "`chord check --layer B --nodes 4 --start two`".to_owned(),
            Self::Cut | Self::Slow => "a ring that is driven by hand".to_owned(),
        }
    }

    /// What it finds of nodes with that defect.
    fn find(self, defect: Option<Defect>) -> Option<Counterexample> {
        let Some(settings) = self.settings() else {
            return if self == Self::Cut { cut_and_heal(defect) } else { slow_once(defect) };
        };
        let report =
            check_altered(&settings, |config| config.with_defect(defect), &mut |_| ControlFlow::Continue(()));
        match report.unwrap().outcome {
            Outcome::Broken(example) => Some(example),
            Outcome::Holds(_) => None,
            Outcome::Stopped(stop) => panic!("{stop:?}"),
        }
    }
}

fn by_hand(successors: u8, defect: Option<Defect>, positions: &[u64]) -> Cluster {
    let ring = RingTag { name: RingName::default(), size: RingSize::new(6).unwrap() };
    let config = Config::new(ring).with_successors(successors).unwrap().with_defect(defect);
    Cluster::ideal(config, positions)
}

fn told(property: &str, scenario: &[&str]) -> Counterexample {
    let scenario = scenario.iter().map(|line| (*line).to_owned()).collect();
    Counterexample { property: property.to_owned(), scenario }
}

/// T16: every second node of a ring of six is cut off from the others, till the two halves are rings of their own.
fn cut_and_heal(defect: Option<Defect>) -> Option<Counterexample> {
    let mut cluster = by_hand(3, defect, &[0, 10, 20, 30, 40, 50]);
    for one in [0, 20, 40] {
        for other in [10, 30, 50] {
            cluster.cut_off(one, other);
        }
    }
    cluster.rounds(20);
    cluster.heal();
    cluster.rounds(100);
    let scenario = [
        "begin  the ideal ring of 0, 10, 20, 30, 40, 50",
        "cut 0, 20, 40 off from 10, 30, 50",
        "20 rounds",
        "heal",
        "100 rounds",
    ];
    (!cluster.is_ideal())
        .then(|| told("100 rounds after a cut was healed the ring is not one again", &scenario))
}

/// T15: a member misses one deadline, and answers the next question in time.
fn slow_once(defect: Option<Defect>) -> Option<Counterexample> {
    let mut cluster = by_hand(2, defect, &[0, 1, 2, 3]);
    cluster.hold();
    cluster.maintain(0);
    cluster.freeze(&name(1));
    let to_it = |message: &Message| matches!(message, Message::Request { to, .. } if *to == name(1));
    while let Some(idx) = cluster.in_flight().iter().position(to_it) {
        cluster.deliver(idx);
    }
    cluster.thaw(&name(1));
    cluster.release();
    let is_dropped = cluster.events().iter().any(|(_, event)| matches!(event, Event::Dropped(..)));
    let scenario = [
        "begin  the ideal ring of 0, 1, 2, 3",
        "0 stabilizes: asks 1",
        "1 is slow",
        "0 hears from 1: nothing in time",
    ];
    is_dropped.then(|| told("a member that was slow once is dropped, and lives", &scenario))
}

/// How long a counterexample is, in words.
fn length(example: &Counterexample) -> String {
    let n_steps = example.steps();
    format!("{n_steps} step{}", if n_steps == 1 { "" } else { "s" })
}

/// What is broken, in the words of the switch that breaks it.
fn rule(defect: Defect) -> String {
    let source = include_str!("../../chord-ring/src/defect.rs");
    let variant = format!("    {defect:?},");
    let lines: Vec<&str> = source.lines().take_while(|line| *line != variant).collect();
    let n_words = lines.iter().rev().take_while(|line| line.trim_start().starts_with("///")).count();
    let words =
        lines[lines.len() - n_words..].iter().map(|line| line.trim_start().trim_start_matches("///").trim());
    words.collect::<Vec<_>>().join(" ")
}

/// What the checks find of each defect, as `docs/proof.md` tells it.
fn findings() -> String {
    let mut text = String::new();
    for (defect, scenario, check) in TABLE {
        let example = check.find(Some(defect));
        let example = example.unwrap_or_else(|| panic!("{check:?} does not catch {defect:?}"));
        let scenario = if scenario.is_empty() { String::new() } else { format!(" ({scenario})") };
        writeln!(text, "\n### {defect:?}{scenario}\n\n{}", rule(defect)).unwrap();
        writeln!(text, "Caught by {} in {}.\n\n```text\n{example}```", check.words(), length(&example))
            .unwrap();
    }
    text
}

/// Parts of one file are written by several tests, each in its own thread.
static PAGE: Mutex<()> = Mutex::new(());

/// Holds the part of the page between these two lines against what there is to say, or writes it.
fn expect_on_page(begin: &str, end: &str, found: &str) {
    let _alone = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(begin).expect("the page has the line that begins this part");
    let (written, after) = rest.split_once(end).expect("the page has the line that ends this part");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{before}{begin}{found}{end}{after}")).unwrap();
    } else {
        assert_eq!(written, found, "docs/proof.md is out of date: UPDATE_EXPECT=1 writes it again");
    }
}

#[test]
fn each_defect_is_caught_as_the_page_about_the_proof_tells() {
    expect_on_page("<!-- begin of the defects -->\n", "\n<!-- end of the defects -->", &findings());
}

#[test]
fn every_defect_is_in_the_table() {
    assert_eq!(TABLE.map(|(defect, ..)| defect), Defect::ALL);
}

#[test]
fn without_a_defect_the_same_checks_find_nothing() {
    let mut checks: Vec<Check> = Vec::new();
    for (_, _, check) in TABLE {
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    for check in checks {
        assert_eq!(check.find(None), None, "{check:?}");
    }
}

/// What a check finds of our nodes where failures are not as the proof assumes.
fn found_beyond_the_assumption(settings: &Settings) -> Counterexample {
    match check(settings, &mut |_| ControlFlow::Continue(())).unwrap().outcome {
        Outcome::Broken(example) => example,
        other => panic!("{settings:?}: {other:?}"),
    }
}

#[test]
fn each_part_of_the_assumption_is_needed() {
    let mut text = String::new();
    let assumed = Settings::new(Layer::B, 4, 2);
    for (rule, settings) in [
        ("Any failure, from ideal rings (T13)", Settings { failures: Failures::Any, ..assumed.clone() }),
        (
            "Any failure, from one node (T8)",
            Settings { failures: Failures::Any, start: Start::One, ..assumed.clone() },
        ),
        (
            "What is on its way does not count (T14, T19)",
            Settings { failures: Failures::Stored, layer: Layer::C, ..assumed },
        ),
    ] {
        let example = found_beyond_the_assumption(&settings);
        writeln!(text, "\n### {rule}\n\nCaught in {}.\n\n```text\n{example}```", length(&example)).unwrap();
    }
    expect_on_page("<!-- begin of the assumption -->\n", "\n<!-- end of the assumption -->", &text);
}
