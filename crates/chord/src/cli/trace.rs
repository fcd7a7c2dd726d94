//! `chord trace`: the way to a key hop by hop, why each node named the next, and who keeps the key.

use chord::Key;
use chord::seen::{CopyBody, CopyState, StepBody, TraceBody};
use clap::Args;
use serde::Serialize;

use super::client::{self, NodeArgs};
use super::draw::{BAD, GOOD, HEALING};
use super::operate;
use super::output::{self, HEADING};
use super::text::Spelled;
use super::words::{brief, count, micros, percent, shown, shown_key};

/// Steps that are told one by one: a lookup among a million nodes has ten.
const STEPS_TOLD_MAX: usize = 40;

/// Letters of a sentence of the node that are shown: two names may have 512.
const SENTENCE_CHARS_MAX: usize = 400;

/// Show the way to a key hop by hop, why it was taken, and who keeps the key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord trace greeting
  chord trace greeting --node 127.0.0.1:4568 --json

Each node on the way is asked what it knows, and by that it is told why it named the next; it is a moment later, so it may have \
changed its mind. The time beside a hop is how long it took this time, without the hops behind it; of a node that does not tell, how far away the next one usually is. chord lookup says the owner alone.
With --json, a key that is not UTF-8 is in key_base64; docs/terminal.md has all fields.
Exit codes: 0 the owner was found, whether its copies agree or not, or nothing is stored; 1 or 2 as for every command.")]
pub(crate) struct TraceArgs {
    /// The key
    #[arg(allow_hyphen_values = true, value_parser = operate::key())]
    key: Key,

    #[command(flatten)]
    node: NodeArgs,

    /// Print a JSON object: key, position, owner, hops, steps, copies and more
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(flatten)]
    trace: &'a TraceBody,
}

impl TraceArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let client = self.node.client()?;
        let trace = match client.trace(&self.key, self.node.wait.deadline()).await {
            Ok(trace) => trace,
            Err(error) => return Err(client::explained(error).await),
        };
        if self.json {
            let (key, key_base64) = Spelled::new(self.key.as_bytes()).parts();
            return output::json(&Report { key, key_base64, trace: &trace });
        }
        output::styled(&page(&self.key, &trace))
    }
}

fn page(key: &Key, trace: &TraceBody) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let key = shown_key(key.as_bytes());
    line(format!("{HEADING}key{HEADING:#}       {key}"));
    line(format!("{HEADING}position{HEADING:#}  {}", trace.position));
    let hops = count(u64::from(trace.hops), "hop", "hops");
    line(format!(
        "{HEADING}owner{HEADING:#}     {}, {hops} away, found in {}",
        trace.owner.node,
        micros(trace.took_us)
    ));
    line(format!("\n{HEADING}The way to its owner{HEADING:#}"));
    for (idx, step) in trace.steps.iter().take(STEPS_TOLD_MAX).enumerate() {
        line(format!("{:>3}. {}", idx + 1, hop(step)));
    }
    if let Some(more) = trace.steps.len().checked_sub(STEPS_TOLD_MAX).filter(|more| *more > 0) {
        line(format!("     and {more} more"));
    }
    line(format!("\n{HEADING}Who keeps it{HEADING:#}"));
    for (idx, copy) in trace.copies.iter().enumerate() {
        line(kept(copy, idx == 0));
    }
    line(verdict(trace));
    text
}

/// The words are those of the node that was asked; of an older version, which has none, only what it found is told.
fn hop(step: &StepBody) -> String {
    let StepBody { node, next, sentence, leap, took_us, round_trip_us, .. } = step;
    let sentence = match (sentence.as_str(), next) {
        ("", Some(next)) => format!("names {next}"),
        ("", None) => "owns the key".to_owned(),
        (sentence, _) => shown(sentence, SENTENCE_CHARS_MAX),
    };
    let took = match took_us {
        Some(us) => Some(format!("took {}", micros(*us))),
        None => round_trip_us.map(|us| format!("usually {} away", micros(us))),
    };
    let leap = leap.map(|leap| format!("{} of the way to the key", percent(leap.clamp(0.0, 1.0))));
    let more: Vec<_> = took.into_iter().chain(leap).filter(|_| next.is_some()).collect();
    if more.is_empty() {
        format!("{node} {sentence}.")
    } else {
        format!("{node} {sentence} ({}).", more.join(", "))
    }
}

fn kept(copy: &CopyBody, is_owner: bool) -> String {
    let (style, has) = match copy.has {
        CopyState::Value => (GOOD, "value"),
        CopyState::Deleted => (HEALING, "deleted"),
        CopyState::Nothing => (HEALING, "nothing"),
        CopyState::Unknown => (BAD, "unknown"),
    };
    let has = if copy.words.is_empty() { has.to_owned() } else { shown(&copy.words, SENTENCE_CHARS_MAX) };
    let owner = if is_owner { " (owner)" } else { "" };
    let version = copy
        .version
        .as_deref()
        .map_or_else(String::new, |version| format!(", version {}", brief_version(version)));
    format!("  {}{owner} {style}{has}{style:#}{version}", copy.node)
}

fn verdict(trace: &TraceBody) -> String {
    let style = if trace.do_agree { GOOD } else { BAD };
    format!("{style}{}{style:#}", shown(&trace.verdict, SENTENCE_CHARS_MAX))
}

/// When a version was written and by whom, without most of the digits.
fn brief_version(version: &str) -> String {
    let parts: Vec<&str> = version.splitn(3, '.').collect();
    match parts[..] {
        [ms, again, writer] => format!("{}.{}.{}", shown(ms, 20), shown(again, 10), brief(writer)),
        _ => shown(version, 40),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(said: &serde_json::Value) -> TraceBody {
        serde_json::from_value(said.clone()).unwrap()
    }

    fn plain(key: &str, trace: &TraceBody) -> String {
        anstream::adapter::strip_str(&page(&Key::new(key.as_bytes()).unwrap(), trace)).to_string()
    }

    fn said() -> serde_json::Value {
        let step = |node: &str, next: Option<&str>, why: &str, sentence: &str| {
            serde_json::json!({"node": node, "position": "1", "next": next, "why": why, "sentence": sentence,
                "entries": [150, 157], "successor": 2, "round_trip_us": 1500, "leap": 0.75})
        };
        serde_json::json!({
            "position": "42", "owner": {"node": "h:3", "position": "50"}, "hops": 2, "took_us": 900,
            "steps": [step("h:1", Some("h:2"), "closest-finger", "names h:2: it is near"),
                step("h:2", Some("h:3"), "next-is-owner", "names h:3: \u{1b}[2Jit is the owner"),
                step("h:3", None, "owner", "owns the key, by its own word")],
            "copies": [{"node": "h:3", "has": "value", "words": "has the value", "version": "1790000000000.0.123456789012345678901234"},
                {"node": "h:4", "has": "unknown", "words": "did not say", "version": null}],
            "do_agree": false, "verdict": "They do not agree yet."
        })
    }

    #[test]
    fn a_way_is_told_hop_by_hop_with_its_reasons() {
        let expected = "\
key       greeting
position  42
owner     h:3, 2 hops away, found in 900 us

The way to its owner
  1. h:1 names h:2: it is near (usually 1.5 ms away, 75 % of the way to the key).
  2. h:2 names h:3: \\u{1b}[2Jit is the owner (usually 1.5 ms away, 75 % of the way to the key).
  3. h:3 owns the key, by its own word.

Who keeps it
  h:3 (owner) has the value, version 1790000000000.0.123456...1234
  h:4 did not say
They do not agree yet.
";
        assert_eq!(plain("greeting", &trace(&said())), expected);
    }

    #[test]
    fn a_hop_is_told_with_the_time_that_it_took() {
        let mut timed = said();
        timed["steps"][0]["took_us"] = 2500.into();
        let page = plain("greeting", &trace(&timed));
        assert!(page.contains("names h:2: it is near (took 2.5 ms, 75 % of the way to the key)."), "{page}");
        assert!(page.contains("(usually 1.5 ms away, 75 % of the way to the key)."), "{page}");
    }

    #[test]
    fn a_node_of_an_older_version_does_not_say_why_and_its_way_is_told_all_the_same() {
        let mut older = said();
        older.as_object_mut().unwrap().remove("verdict");
        for step in older["steps"].as_array_mut().unwrap() {
            step.as_object_mut().unwrap().remove("sentence");
            step["why"] = "known-at-or-after".into();
        }
        older["copies"][0].as_object_mut().unwrap().remove("words");
        let page = plain("greeting", &trace(&older));
        assert!(page.contains("  1. h:1 names h:2 (usually 1.5 ms away"), "{page}");
        assert!(page.contains("  3. h:3 owns the key."), "{page}");
        assert!(page.contains("  h:3 (owner) value, version"), "{page}");
    }

    #[test]
    fn a_key_steers_no_terminal_and_fills_none() {
        let page = plain(&format!("\u{1b}]0;x\u{7}<b>'\"{}", "\u{1f600}".repeat(1000)), &trace(&said()));
        assert!(page.starts_with(r#"key       \u{1b}]0;x\u{7}<b>'""#), "{page}");
        assert!(page.lines().next().unwrap().chars().count() < 220, "{page}");
        assert!(!page.contains('\u{1b}'));
    }
}
