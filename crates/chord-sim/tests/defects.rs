//! The checks can fail: each rule that is broken on purpose is caught by one of them, with a scenario that shows how.
//!
//! `cargo test -p chord-sim --test defects -- --nocapture` prints the table: what is broken, what caught it, how many steps
//! it takes, and which. `T…` names the scenario of the original rule in `testdata`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::ops::ControlFlow;

use chord_ring::{Config, Defect, RingName, RingSize, RingTag};
use chord_sim::Cluster;
use chord_sim::check::{
    Claim, Counterexample, Failures, Layer, Outcome, Settings, Start, check, check_altered,
};

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
}

/// Each defect, the scenario of `ring.md` that shows the rule in the papers, and the check that catches it.
const TABLE: [(Defect, &str, Check); 22] = [
    (Defect::JoinsUnchecked, "T4, T10", Check::Ideal(4)),
    (Defect::JoinsWithoutTail, "T2", Check::Ideal(5)),
    (Defect::AdoptsUnasked, "T5, T11", Check::Ideal(5)),
    (Defect::LeavesByLastEntry, "T12", Check::Ideal(4)),
    (Defect::NeverDoubtsPredecessor, "T17", Check::Ideal(4)),
    (Defect::AdoptsNobodyAlone, "T18", Check::One(4)),
    (Defect::NeverRefreshes, "T3, T6, T7", Check::Ideal(4)),
    (Defect::NeverNotifies, "", Check::Ideal(4)),
    (Defect::NeverProbes, "T16", Check::Two),
    (Defect::TurnsInterval, "", Check::Ideal(4)),
    (Defect::CutsListShort, "", Check::Ideal(4)),
    (Defect::CutsListLong, "", Check::Ideal(4)),
    (Defect::NotifiesLast, "", Check::Ideal(4)),
    (Defect::TakesLifeForDeath, "", Check::Ideal(4)),
    (Defect::KeepsDeadHead, "", Check::Ideal(4)),
    (Defect::DropsTwoHeads, "", Check::Ideal(4)),
    (Defect::JoinsBehindItself, "", Check::Ideal(4)),
    (Defect::NamesUnasked, "", Check::Ideal(4)),
    (Defect::OwnsAllButItself, "", Check::Ideal(4)),
    (Defect::KeepsOldPredecessor, "", Check::Ideal(4)),
    (Defect::IgnoresCloser, "", Check::Ideal(4)),
    (Defect::ForgetsDropped, "T16", Check::Cut),
];

impl Check {
    fn settings(self) -> Option<Settings> {
        Some(match self {
            Self::Ideal(nodes) => Settings { lookups: nodes < 5, ..Settings::new(Layer::B, nodes, 2) },
            Self::One(nodes) => Settings { start: Start::One, ..Settings::new(Layer::B, nodes, 2) },
            Self::Two => {
                Settings { start: Start::Two, claim: Claim::Together, ..Settings::new(Layer::B, 4, 2) }
            }
            Self::Cut => return None,
        })
    }

    /// What it finds of nodes with that defect.
    fn find(self, defect: Option<Defect>) -> Option<Counterexample> {
        let Some(settings) = self.settings() else { return cut_and_heal(defect) };
        let report =
            check_altered(&settings, |config| config.with_defect(defect), &mut |_| ControlFlow::Continue(()));
        match report.unwrap().outcome {
            Outcome::Broken(example) => Some(example),
            Outcome::Holds(_) => None,
            Outcome::Stopped(stop) => panic!("{stop:?}"),
        }
    }
}

/// T16: every second node of a ring of six is cut off from the others, till the two halves are rings of their own.
fn cut_and_heal(defect: Option<Defect>) -> Option<Counterexample> {
    let ring = RingTag { name: RingName::default(), size: RingSize::new(6).unwrap() };
    let config = Config::new(ring).with_successors(3).unwrap().with_defect(defect);
    let mut cluster = Cluster::ideal(config, &[0, 10, 20, 30, 40, 50]);
    for one in [0, 20, 40] {
        for other in [10, 30, 50] {
            cluster.cut_off(one, other);
        }
    }
    cluster.rounds(20);
    cluster.heal();
    cluster.rounds(100);
    (!cluster.is_ideal()).then(|| Counterexample {
        property: "100 rounds after a cut was healed the ring is not one again".to_owned(),
        scenario: ["begin  the ideal ring of 0, 10, 20, 30, 40, 50"]
            .into_iter()
            .chain(["cut 0, 20, 40 off from 10, 30, 50", "20 rounds", "heal", "100 rounds"])
            .map(str::to_owned)
            .collect(),
    })
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the table is for people")]
fn each_defect_is_caught() {
    for (defect, scenario, check) in TABLE {
        let example = check.find(Some(defect));
        let example = example.unwrap_or_else(|| panic!("{check:?} does not catch {defect:?}"));
        let scenario = if scenario.is_empty() { String::new() } else { format!(" ({scenario})") };
        println!("{defect:?}{scenario}, by {check:?} in {} steps: {example}", example.steps());
    }
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
#[expect(clippy::disallowed_macros, reason = "the table is for people")]
fn each_part_of_the_assumption_is_needed() {
    let assumed = Settings::new(Layer::B, 4, 2);
    for (rule, settings) in [
        ("any failure (T13)", Settings { failures: Failures::Any, ..assumed.clone() }),
        ("any failure (T8)", Settings { failures: Failures::Any, start: Start::One, ..assumed.clone() }),
        (
            "what is on its way does not count (T14)",
            Settings { failures: Failures::Stored, layer: Layer::C, ..assumed },
        ),
    ] {
        let example = found_beyond_the_assumption(&settings);
        println!("{rule}, in {} steps: {example}", example.steps());
    }
}
