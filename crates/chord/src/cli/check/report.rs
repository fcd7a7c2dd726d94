//! What `chord check` prints: one line for each check, and below them how what is broken came about.

use std::fmt::Write as _;
use std::time::Duration;

use chord_sim::check::{
    Answers, Claim, Failures, Grain, Layer, Outcome, Progress, Repair, Report, Settings, Start, Stop,
};
use serde::Serialize;

use crate::cli::table::{Side, Table, thousands};

/// A check that has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) settings: Settings,
    pub(super) report: Report,
    pub(super) elapsed: Duration,
}

impl Done {
    fn per_second(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate is rounded"
        )]
        let rate = (self.report.states as f64 / self.elapsed.as_secs_f64().max(1e-6)) as u64;
        rate
    }
}

/// What tells a check from others, in some words.
pub(super) fn name(settings: &Settings) -> String {
    let layer = match settings.layer {
        Layer::A => "A",
        Layer::B => "B",
        Layer::C => "C",
    };
    let mut name = format!("{layer}  {} nodes, r = {}", settings.nodes, settings.successors);
    let mut add = |is_so: bool, words: &str| {
        if is_so {
            name.push_str(", ");
            name.push_str(words);
        }
    };
    add(settings.layer == Layer::A, "every state");
    add(settings.layer != Layer::A && settings.start == Start::Ideal, "from ideal rings");
    add(settings.start == Start::One, "from one");
    add(settings.start == Start::Two, "from two rings");
    add(settings.grain == Grain::Messages, "by message");
    add(settings.grain == Grain::Everything, "by message and wake-up");
    add(settings.claim != Claim::Proof, "with memory");
    add(!settings.leaves, "without leaves");
    add(settings.answers == Answers::Shortened, "short answers");
    add(settings.lookups, "with lookups");
    add(settings.failures == Failures::Stored, "assumption broken by what is on its way");
    add(settings.failures == Failures::Linked, "assumption broken by too few members");
    add(settings.failures == Failures::Any, "assumption broken by any failure");
    name
}

/// How far a check is.
pub(super) fn progress(progress: Progress) -> String {
    let states = thousands(progress.states as u64);
    match progress.repaired {
        0 => format!("{states} states"),
        repaired => format!(
            "{states} states, {} of them asked for the way to the ideal ring",
            thousands(repaired as u64)
        ),
    }
}

/// All checks as text.
pub(super) fn table(done: &[Done]) -> String {
    let mut table = Table::new(&[
        ("check", Side::Left),
        ("states", Side::Right),
        ("steps", Side::Right),
        ("s", Side::Right),
        ("states/s", Side::Right),
        ("MB", Side::Right),
        ("result", Side::Left),
    ]);
    for one in done {
        table.row(vec![
            name(&one.settings),
            thousands(one.report.states as u64),
            thousands(one.report.steps),
            format!("{:.1}", one.elapsed.as_secs_f64()),
            thousands(one.per_second()),
            thousands(one.report.bytes as u64 >> 20),
            result(one),
        ]);
    }
    let mut text = table.render();
    for one in done {
        if let Outcome::Broken(example) = &one.report.outcome {
            write!(text, "\n{}\n{example}", name(&one.settings)).expect("a string takes every text");
        }
    }
    text
}

fn result(done: &Done) -> String {
    let sound = match done.settings.claim {
        Claim::Proof => "sound",
        Claim::Together => "together",
        Claim::Parts => "in parts",
    };
    match &done.report.outcome {
        Outcome::Holds(Repair::Unasked) => "inductive".to_owned(),
        Outcome::Holds(Repair::Always { steps_max }) => format!("{sound}, ideal within {steps_max}"),
        Outcome::Holds(Repair::UnlessStarved) => format!("{sound}, ideal unless starved"),
        Outcome::Stopped(Stop::Asked | Stop::Memory) if done.settings.layer == Layer::A => {
            "stopped".to_owned()
        }
        Outcome::Stopped(Stop::Asked) => format!("stopped: {sound} within {} steps", done.report.depth),
        Outcome::Stopped(Stop::Memory) => format!("TOO LARGE: {sound} within {} steps", done.report.depth),
        Outcome::Stopped(Stop::BeforeRepair) => format!("{sound}, stopped before repair was checked"),
        Outcome::Broken(example) => format!("BROKEN in {} steps", example.steps()),
    }
}

/// All checks for a program.
#[derive(Debug, Serialize)]
pub(super) struct Json {
    checks: Vec<JsonCheck>,
}

#[derive(Debug, Serialize)]
struct JsonCheck {
    check: String,
    states: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    states_with_principal_at_0: Option<usize>,
    steps: u64,
    depth: u32,
    local_states: usize,
    runs_of_the_node: usize,
    merges_by_probe: usize,
    bytes: usize,
    seconds: f64,
    result: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<JsonBroken>,
}

#[derive(Debug, Serialize)]
struct JsonBroken {
    property: String,
    scenario: Vec<String>,
}

pub(super) fn json(done: &[Done]) -> Json {
    let check = |one: &Done| JsonCheck {
        check: name(&one.settings),
        states: one.report.states,
        states_with_principal_at_0: one.report.anchored,
        steps: one.report.steps,
        depth: one.report.depth,
        local_states: one.report.local_states,
        runs_of_the_node: one.report.runs,
        merges_by_probe: one.report.merges,
        bytes: one.report.bytes,
        seconds: one.elapsed.as_secs_f64(),
        result: result(one),
        broken: match &one.report.outcome {
            Outcome::Broken(example) => {
                Some(JsonBroken { property: example.property.clone(), scenario: example.scenario.clone() })
            }
            Outcome::Holds(_) | Outcome::Stopped(_) => None,
        },
    };
    Json { checks: done.iter().map(check).collect() }
}
