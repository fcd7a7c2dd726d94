//! `chord lookup`: which node owns a key, and how it was found.

use std::fmt::Write as _;

use chord::wire::{Answer, Context, Request, Target};
use chord::{NodeName, Position};
use clap::Args;
use serde::Serialize;

use super::client::{self, NodeArgs};
use super::exit::Usage;
use super::output;

/// Show which node owns a key, and the way to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord lookup greeting
  chord lookup --id 42")]
pub(crate) struct LookupArgs {
    /// The key
    #[arg(allow_hyphen_values = true)]
    key: String,

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
    /// In decimal digits: as a number it would be beyond what most JSON readers keep exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    owner: &'a str,
    hops: u32,
    /// Empty when the node does not say.
    path: Vec<&'a str>,
}

impl LookupArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let target = if self.id {
            Target::Position(position(&self.key).map_err(Usage::new)?)
        } else {
            Target::Key(self.key)
        };
        let request = Request::FindSuccessor { target };
        let reply = self.node.call(&request).await?;
        let (Answer::FindSuccessor { node, hops }, Request::FindSuccessor { target }) =
            (&reply.answer, &request)
        else {
            return Err(client::unexpected(&reply.answer));
        };
        let report = Report::new(target, node, *hops, &reply.context);
        if self.json { output::json(&report) } else { output::answer(report.text()) }
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
            position: position.map(|position| position.to_string()),
            owner: owner.as_str(),
            hops,
            path: context.path.iter().map(NodeName::as_str).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let end = if text.is_empty() { "" } else { "\n" };
            let written = write!(text, "{end}{name:<9} {value}");
            written.expect("a string takes every text");
        };
        if let Some(key) = self.key {
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
        let ours = Context { path: vec!["h:1".parse().unwrap(), owner.clone()], ..Context::default() };
        let target = Target::Position(5.into());
        let report = Report::new(&target, &owner, 1, &ours);
        assert_eq!(report.text(), "position  5\nowner     h:2\nhops      1\npath      h:1 -> h:2");
        let json = r#"{"position":"5","owner":"h:2","hops":1,"path":["h:1","h:2"]}"#;
        assert_eq!(serde_json::to_string(&report).unwrap(), json);
    }
}
