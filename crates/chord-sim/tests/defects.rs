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
    Answers, CheckError, Claim, Counterexample, Failures, Invariant, Layer, Outcome, Settings, Start, check,
    check_altered,
};
use chord_sim::numbered::name;
use chord_sim::script::Script;
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
    /// The script of that name, by which everything it expects must hold.
    Script(&'static str),
}

/// Each defect, the scenario of `ring.md` that shows the rule in the papers, and the check that catches it.
const TABLE: [(Defect, &str, Check); 27] = [
    (Defect::JoinsUnchecked, "T10", Check::Ideal(4)),
    (Defect::JoinsWithoutTail, "T2, T4", Check::Ideal(5)),
    (Defect::AdoptsUnasked, "T5, T11", Check::Ideal(5)),
    (Defect::LeavesByLastEntry, "T12", Check::Ideal(4)),
    (Defect::NeverDoubtsPredecessor, "T17", Check::Ideal(4)),
    (Defect::AdoptsNobodyAlone, "T18", Check::One(4)),
    (Defect::NeverRefreshes, "T2, T3, T6, T7", Check::Ideal(4)),
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
    (Defect::FoundsOnItself, "T8", Check::Script("t08-tse17-figure-3-the-only-one-that-knows-all")),
    (Defect::TakesShortList, "T14", Check::Script("t14-a-list-that-dies-on-its-way")),
    (Defect::StaysStranded, "T14, T19", Check::Script("t19-an-answer-older-than-a-death")),
];

impl Check {
    fn settings(self) -> Option<Settings> {
        Some(match self {
            Self::Ideal(nodes) => Settings { lookups: nodes < 5, ..Settings::new(Layer::B, nodes, 2) },
            Self::One(nodes) => Settings { start: Start::One, ..Settings::new(Layer::B, nodes, 2) },
            Self::Two => {
                Settings { start: Start::Two, claim: Claim::Together, ..Settings::new(Layer::B, 4, 2) }
            }
            Self::Cut | Self::Slow | Self::Script(_) => return None,
        })
    }

    fn words(self) -> String {
        match self {
            Self::Ideal(nodes) if nodes < 5 => format!("`chord check --layer B --nodes {nodes} --lookups`"),
            Self::Ideal(nodes) => format!("`chord check --layer B --nodes {nodes}`"),
            Self::One(nodes) => format!("`chord check --layer B --nodes {nodes} --start one`"),
            Self::Two => "`chord check --layer B --nodes 4 --start two`".to_owned(),
            Self::Cut | Self::Slow => "a ring that is driven by hand".to_owned(),
            Self::Script(script) => format!("the script `{script}.txt`"),
        }
    }

    /// What it finds of nodes with that defect.
    fn find(self, defect: Option<Defect>) -> Option<Counterexample> {
        match self {
            Self::Cut => return cut_and_heal(defect),
            Self::Slow => return slow_once(defect),
            Self::Script(script) => return played(script, defect),
            Self::Ideal(_) | Self::One(_) | Self::Two => {}
        }
        let settings = self.settings()?;
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

/// A script, up to the first line whose expectation does not hold, without what it looks at on the way.
fn played(script: &str, defect: Option<Defect>) -> Option<Counterexample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{script}.txt"));
    let text = fs::read_to_string(path).unwrap();
    let run = Script::parse(&text).unwrap().run_altered(|config| config.with_defect(defect));
    assert_eq!(run.stopped, None, "{}", run.transcript);
    let is_statement = |line: &&str| !line.is_empty() && !line.starts_with(['#', '|']);
    let failed = *run.failed_lines.first()?;
    let n_statements = text.lines().take(failed).filter(is_statement).count();
    let scenario: Vec<&str> = run.transcript.lines().filter(is_statement).take(n_statements).collect();
    let is_why = |line: &&str| line.starts_with("| no: ") || line.starts_with("| DEFECT");
    let why = run.transcript.lines().find(is_why).expect("whatever fails says why");
    Some(told(why.trim_start_matches("| ").trim_start_matches("no: "), &scenario))
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
fn answers_are_shortened_of_no_node_that_breaks_a_rule() {
    let settings = Settings { answers: Answers::Shortened, ..Settings::new(Layer::C, 4, 2) };
    for defect in Defect::ALL {
        let alter = |config: Config| config.with_defect(Some(defect));
        let refused = check_altered(&settings, alter, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert_eq!(refused, CheckError::Altered, "{defect:?}");
    }
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

/// A check of our nodes in which one part of what the proof assumes is left out.
struct WithoutAssumption {
    rule: &'static str,
    broken: Settings,
    /// The same with it.
    kept: Settings,
}

fn without_assumption() -> [WithoutAssumption; 5] {
    let kept = Settings::new(Layer::B, 4, 2);
    let of = |rule, kept: Settings, failures| WithoutAssumption {
        rule,
        broken: Settings { failures, ..kept.clone() },
        kept,
    };
    let from_one = Settings { start: Start::One, ..kept.clone() };
    let in_flight = Settings { layer: Layer::C, ..kept.clone() };
    let all_states = Settings::new(Layer::A, 6, 2);
    [
        of("Any failure, from ideal rings (T13)", kept.clone(), Failures::Any),
        of(
            "No minimum size: any failure that leaves everybody a live successor (T13)",
            Settings { leaves: false, ..kept },
            Failures::Linked,
        ),
        of("Any failure, from one node (T8)", from_one, Failures::Any),
        of("What is on its way does not count (T14, T19)", in_flight, Failures::Stored),
        WithoutAssumption {
            rule: "The invariant that everybody believed: one ordered ring, lists in order, live successors (T9)",
            broken: Settings { invariant: Invariant::Obvious, ..all_states.clone() },
            kept: all_states,
        },
    ]
}

/// What a check finds of our nodes.
fn outcome(settings: &Settings) -> Result<usize, Counterexample> {
    let report = check(settings, &mut |_| ControlFlow::Continue(())).unwrap();
    match report.outcome {
        Outcome::Holds(_) => Ok(report.states),
        Outcome::Broken(example) => Err(example),
        Outcome::Stopped(stop) => panic!("{settings:?}: {stop:?}"),
    }
}

#[test]
fn each_part_of_the_assumption_is_needed_and_is_enough() {
    let mut text = String::new();
    for WithoutAssumption { rule, broken, kept } in without_assumption() {
        let example = outcome(&broken).unwrap_err();
        let n_states = outcome(&kept).unwrap_or_else(|example| panic!("{rule}: {example}"));
        writeln!(text, "\n### {rule}\n\nCaught in {}.", length(&example)).unwrap();
        let n_states = thousands(n_states);
        writeln!(text, "As the proof has it, the same check holds in all of its {n_states} states.\n")
            .unwrap();
        writeln!(text, "```text\n{example}```").unwrap();
    }
    expect_on_page("<!-- begin of the assumption -->\n", "\n<!-- end of the assumption -->", &text);
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    groups.map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(",")
}

/// By what a scenario of `ring.md` is played again.
enum Played {
    /// Its script, by nodes with that defect and by ours.
    By(Defect, &'static str),
    /// The check that catches nodes with that defect.
    Checked(Defect),
    /// A check of ours without that part of the assumption: the scenario is no rule of a node.
    Without(usize),
}

/// T1 to T20, in that order; some have a script for each of several parts.
const OLD_RULES: [(&str, Played); 23] = [
    ("T1", Played::By(Defect::NamesUnasked, "t01-ccr12-figure-2-two-joins-in-one-gap")),
    ("T2", Played::By(Defect::NeverRefreshes, "t02-ccr12-figure-3-grown-from-one")),
    ("T3", Played::By(Defect::NeverRefreshes, "t03-ccr12-figure-4-a-joiner-between-joiners")),
    ("T4", Played::Checked(Defect::JoinsWithoutTail)),
    ("T5", Played::By(Defect::AdoptsUnasked, "t05-ccr12-figure-6-a-dead-newcomer")),
    ("T6", Played::By(Defect::NeverRefreshes, "t06-ccr12-figure-7-every-second-member-fails")),
    ("T7", Played::By(Defect::NeverRefreshes, "t07-ccr12-figure-8-four-members-are-left")),
    ("T8", Played::By(Defect::FoundsOnItself, "t08-tse17-figure-3-the-only-one-that-knows-all")),
    ("T8", Played::Without(2)),
    ("T9", Played::Without(4)),
    ("T10", Played::By(Defect::JoinsUnchecked, "t10-rejoining-before-the-ring-has-forgotten")),
    ("T11", Played::By(Defect::AdoptsUnasked, "t11-a-candidate-that-is-dead")),
    ("T12", Played::By(Defect::LeavesByLastEntry, "t12-leaving-hands-over-the-whole-list")),
    ("T13", Played::Without(1)),
    ("T14", Played::By(Defect::TakesShortList, "t14-a-list-that-dies-on-its-way")),
    ("T14", Played::By(Defect::StaysStranded, "t14-a-joiner-whose-whole-list-has-died")),
    ("T14, T19", Played::Without(3)),
    ("T15", Played::Checked(Defect::SuspectsAtOnce)),
    ("T16", Played::By(Defect::NeverProbes, "t16-a-ring-that-is-cut-in-two")),
    ("T17", Played::By(Defect::NeverDoubtsPredecessor, "t17-a-dead-predecessor")),
    ("T18", Played::By(Defect::AdoptsNobodyAlone, "t18-a-node-alone")),
    ("T19", Played::By(Defect::StaysStranded, "t19-an-answer-older-than-a-death")),
    ("T20", Played::Checked(Defect::StarvesNotifications)),
];

impl Played {
    /// The old rule, where it is played, what becomes of the ring by that rule, and what by ours.
    fn again(&self) -> [String; 4] {
        match self {
            Self::By(defect, script) => {
                let (old, ours) = (by_script(script, Some(*defect)), by_script(script, None));
                assert_eq!(ours, None, "{script}: by our rules");
                let old = old.unwrap_or_else(|| panic!("{script}: {defect:?} does as well as ours"));
                let all = "all it expects holds".to_owned();
                [format!("`{defect:?}`"), format!("`{script}.txt`"), old, all]
            }
            Self::Checked(defect) => {
                let (_, _, check) = TABLE.into_iter().find(|(other, ..)| other == defect).unwrap();
                let example = check.find(Some(*defect)).unwrap();
                assert_eq!(check.find(None), None);
                let old = format!("{}, in {}", example.property, length(&example));
                [format!("`{defect:?}`"), check.words(), old, "nothing is found".to_owned()]
            }
            Self::Without(idx) => {
                let WithoutAssumption { rule, broken, kept } = &without_assumption()[*idx];
                let example = outcome(broken).unwrap_err();
                let old = format!("{}, in {}", example.property, length(&example));
                let (name, _) = rule.split_once(" (").unwrap_or((rule, ""));
                let n_states = thousands(outcome(kept).unwrap());
                let layer = format!("layer {:?}, {} nodes, above", kept.layer, kept.nodes);
                [name.to_owned(), layer, old, format!("{n_states} states, all sound")]
            }
        }
    }
}

/// The first line of a script that does not do what it expects.
fn by_script(script: &str, defect: Option<Defect>) -> Option<String> {
    let example = played(script, defect)?;
    Some(format!("`{}`: {}", example.scenario.last().unwrap(), example.property))
}

#[test]
fn each_scenario_of_the_old_rules_is_played_by_the_old_rule_and_by_ours() {
    let mut text =
        "| scenario | the old rule | played by | by the old rule | by ours |\n|---|---|---|---|---|\n"
            .to_owned();
    for (scenario, played) in &OLD_RULES {
        writeln!(text, "| {scenario} | {} |", played.again().join(" | ")).unwrap();
    }
    for number in 1..=20 {
        let name = format!("T{number}");
        let is_played =
            OLD_RULES.iter().any(|(scenarios, _)| scenarios.split(", ").any(|other| other == name));
        assert!(is_played, "nothing plays {name}");
    }
    expect_on_page("<!-- begin of the old rules -->\n", "<!-- end of the old rules -->", &text);
}
