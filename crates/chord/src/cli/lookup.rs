//! `chord lookup`: which node owns a key, and how it was found.

use std::fmt::Write as _;

use chord::seen::TraceBody;
use chord::wire::{Answer, Context, Request, Target};
use chord::{Key, NodeName, Position};
use clap::Args;
use serde::Serialize;

use super::client::{self, NodeArgs};
use super::exit::Usage;
use super::operate;
use super::output;
use super::text::Spelled;
use super::words::shown_key;

/// Show which node owns a key, and the way to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord lookup greeting
  chord lookup --id 42

With --json, a key that is not UTF-8 is in key_base64.")]
pub(crate) struct LookupArgs {
    /// The key
    #[arg(allow_hyphen_values = true, value_parser = operate::key())]
    key: Key,

    /// KEY is a position on the ring, in decimal digits
    #[arg(long)]
    id: bool,

    #[command(flatten)]
    node: NodeArgs,

    /// Print a JSON object: key or position, owner, hops, path
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// In decimal digits: as a number it would be beyond what most JSON readers keep exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    owner: &'a str,
    hops: u32,
    /// Empty when the node does not say.
    path: Vec<&'a str>,
    #[serde(skip)]
    shown: Option<String>,
}

impl LookupArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let target = match (self.id, std::str::from_utf8(self.key.as_bytes())) {
            (true, Ok(digits)) => Target::Position(position(digits).map_err(Usage::new)?),
            (true, Err(_)) => return Err(Usage::new("a position is written in decimal digits").into()),
            (false, Ok(key)) => Target::Key(key.to_owned()),
            (false, Err(_)) => return self.trace().await,
        };
        let request = Request::FindSuccessor { target };
        let reply = self.node.call(&request).await?;
        let (Answer::FindSuccessor { node, hops }, Request::FindSuccessor { target }) =
            (&reply.answer, &request)
        else {
            return Err(client::unexpected(&reply.answer));
        };
        self.print(&Report::new(target, node, *hops, &reply.context))
    }

    /// Looks up a key that the request of chord.py has no way to say, since its JSON holds text alone.
    async fn trace(&self) -> anyhow::Result<()> {
        match self.node.client()?.trace(&self.key, self.node.wait.deadline()).await {
            Ok(trace) => self.print(&Report::of_trace(&self.key, &trace)),
            Err(error) => Err(client::explained(error).await),
        }
    }

    fn print(&self, report: &Report<'_>) -> anyhow::Result<()> {
        if self.json { output::json(report) } else { output::answer(report.text()) }
    }
}

/// A position on the command line.
pub(crate) fn position(text: &str) -> Result<Position, String> {
    Position::modulo(text).map_err(|error| error.to_string())
}

impl<'a> Report<'a> {
    fn new(target: &'a Target, owner: &'a NodeName, hops: u32, context: &'a Context) -> Self {
        let key = match target {
            Target::Key(key) => Some(key.as_str()),
            Target::Position(_) => None,
        };
        let position = match (&context.ring, target) {
            (Some(ring), target) => Some(target.position(ring.size)),
            (None, Target::Position(position)) => Some(*position),
            (None, Target::Key(_)) => None, // a seed node does not say how large its ring is
        };
        Self {
            key,
            key_base64: None,
            position: position.map(|position| position.to_string()),
            owner: owner.as_str(),
            hops,
            path: context.path.iter().map(NodeName::as_str).collect(),
            shown: key.map(|key| shown_key(key.as_bytes())),
        }
    }

    fn of_trace(key: &'a Key, trace: &'a TraceBody) -> Self {
        let (text, key_base64) = Spelled::new(key.as_bytes()).parts();
        Self {
            key: text,
            key_base64,
            position: Some(trace.position.clone()),
            owner: trace.owner.node.as_str(),
            hops: trace.hops,
            path: trace.steps.iter().map(|step| step.node.as_str()).collect(),
            shown: Some(shown_key(key.as_bytes())),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let end = if text.is_empty() { "" } else { "\n" };
            let written = write!(text, "{end}{name:<9} {value}");
            written.expect("a string takes every text");
        };
        if let Some(key) = &self.shown {
            row("key", key);
        }
        if let Some(position) = &self.position {
            row("position", position);
        }
        row("owner", self.owner);
        row("hops", &self.hops.to_string());
        if !self.path.is_empty() {
            row("path", &self.path.join(" -> "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_shown() {
        let owner: NodeName = "h:2".parse().unwrap();
        let seeds = Context::default();
        let target = Target::Key("foo".to_owned());
        assert_eq!(
            Report::new(&target, &owner, 0, &seeds).text(),
            "key       foo\nowner     h:2\nhops      0"
        );
        let hostile = format!("\u{1b}]0;x\u{7}\na\u{202e}{}", "x".repeat(1000));
        let told = Report::new(&Target::Key(hostile), &owner, 0, &seeds).text();
        assert!(told.starts_with(r"key       \u{1b}]0;x\u{7}\na\u{202e}xx"), "it steers no terminal: {told}");
        assert!(told.lines().next().unwrap().len() < 220, "nor fills one: {told}");
        let ours = Context { path: vec!["h:1".parse().unwrap(), owner.clone()], ..Context::default() };
        let target = Target::Position(5.into());
        let report = Report::new(&target, &owner, 1, &ours);
        assert_eq!(report.text(), "position  5\nowner     h:2\nhops      1\npath      h:1 -> h:2");
        let json = r#"{"position":"5","owner":"h:2","hops":1,"path":["h:1","h:2"]}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), json);
    }
}
