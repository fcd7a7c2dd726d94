//! `chord keys`: lists or counts the keys of the whole ring, or of one node.

mod walk;

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use anyhow::ensure;
use chord::{Header, KeysError, NodeName};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::client::NodeArgs;
use super::operate::now_ms;
use super::output::{self, note};
use super::signals::Signals;
use super::table::thousands;
use super::text::{Spelled, escaped};
use super::{client, number};
use walk::Walk;

/// List or count the keys of the whole ring, or of one node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord keys
  chord keys --count
  chord keys --prefix user: --limit 100 --json
  chord keys --here --node 127.0.0.1:4568

Each key is a line, in the order of the ring; what cannot be printed is escaped as in \"\\n\" or \"\\xff\", and a \
backslash is doubled. With --json a line is an object: key, or key_base64 where that is not UTF-8; version; \
expires_at_ms if it expires; node. Keys that were deleted or have expired are left out.
Each key that is there all the while is listed once, whatever happens to the ring meanwhile; one that is written or deleted \
meanwhile may be or not. A node that takes over keys is waited for, or those are asked from whom it takes them.
Exit codes: 0 all keys were listed, or as many as --limit says; 1 a node did not tell its keys within --timeout, so that \
some are missing, or as for every command; 2 as for every command.")]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    /// Print how many there are, instead of the keys
    #[arg(long)]
    count: bool,

    /// Only keys that begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<OsString>,

    /// No more than so many keys
    #[arg(long, value_name = "KEYS", value_parser = number::within::<u64>("the number of keys", 1..=u64::MAX))]
    limit: Option<u64>,

    /// Print a JSON object for each key; with --count one object: keys, nodes, unasked
    #[arg(long)]
    json: bool,
}

/// Of which nodes.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct ScopeArgs {
    /// All keys of the ring, each once, from the nodes that own them: so it is unless told otherwise
    #[arg(long)]
    all: bool,

    /// All keys of which this one node keeps a copy, whoever owns them
    #[arg(long)]
    here: bool,
}

/// What was listed so far.
#[derive(Debug, Default)]
struct Tally {
    n_keys: u64,
    n_nodes: u64,
    /// Why some are missing.
    failures: Vec<KeysError>,
}

/// A key, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
    node: &'a str,
}

/// What `--count --json` prints.
#[derive(Serialize)]
struct Counted<'a> {
    keys: u64,
    nodes: u64,
    unasked: Vec<&'a str>,
}

impl KeysArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let mut tally = Tally::default();
        let bar = self.bar();
        let listed = tokio::select! {
            listed = self.list(&mut tally, &bar) => listed,
            () = signals.next() => Err(anyhow::anyhow!("stopped: the list is not whole")),
        };
        bar.finish_and_clear();
        if let Err(error) = listed {
            if !error.is::<output::Closed>() && tally.n_nodes > 0 {
                note(tally.sentence());
            }
            return Err(error);
        }
        self.conclude(&tally)
    }

    async fn list(&self, tally: &mut Tally, bar: &ProgressBar) -> anyhow::Result<()> {
        let client = self.node.client()?;
        let deadline = self.node.wait.deadline();
        let walk = if self.scope.here {
            Walk::here(client, deadline).await
        } else {
            Walk::around(client, deadline).await
        };
        let mut walk = match walk {
            Ok(walk) => walk,
            Err(error) => return Err(client::explained(error).await),
        };
        loop {
            let page = match walk.next_page().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(error) => {
                    tally.failures.push(error);
                    if walk.skip() {
                        continue;
                    }
                    return Ok(());
                }
            };
            tally.n_nodes = walk.n_told();
            output::lines(&self.shown(&page.node, &page.headers, tally)?)?;
            bar.set_position(walk.percent_done());
            bar.set_message(thousands(tally.n_keys));
            if self.is_enough(tally) {
                return Ok(());
            }
        }
    }

    /// The lines of those that are wanted, which are counted.
    fn shown(&self, node: &NodeName, headers: &[Header], tally: &mut Tally) -> anyhow::Result<String> {
        let (now_ms, mut text) = (now_ms(), String::new());
        let prefix = self.prefix.as_ref().map_or(&[][..], |prefix| prefix.as_encoded_bytes());
        for header in headers.iter().filter(|header| header.is_live(now_ms)) {
            if !header.key.as_bytes().starts_with(prefix) {
                continue;
            }
            if self.is_enough(tally) {
                break;
            }
            tally.n_keys += 1;
            if self.count {
                continue;
            }
            text += &if self.json { line(node, header)? } else { escaped(header.key.as_bytes()) };
            text.push('\n');
        }
        Ok(text)
    }

    fn is_enough(&self, tally: &Tally) -> bool {
        self.limit.is_some_and(|limit| tally.n_keys >= limit)
    }

    fn conclude(&self, tally: &Tally) -> anyhow::Result<()> {
        if self.count && self.json {
            let unasked = tally.failures.iter().filter_map(|error| Some(error.node()?.as_str())).collect();
            output::json(&Counted { keys: tally.n_keys, nodes: tally.n_nodes, unasked })?;
        } else if self.count {
            output::answer(tally.n_keys)?;
        }
        let more = if self.is_enough(tally) { "; there may be more" } else { "" };
        note(format_args!("{}{more}", tally.sentence()));
        let failures: Vec<String> = tally.failures.iter().map(ToString::to_string).collect();
        ensure!(failures.is_empty(), "keys may be missing: {}", failures.join("; "));
        Ok(())
    }

    /// How far the list is, on standard error and only if that is a terminal, which the keys themselves do not go to.
    fn bar(&self) -> ProgressBar {
        if !self.count && io::stdout().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(100).with_message("0");
        let style = ProgressStyle::with_template("{bar:40} {msg} keys, {elapsed}, {eta} left");
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

impl Tally {
    fn sentence(&self) -> String {
        let keys =
            if self.n_keys == 1 { "1 key".to_owned() } else { format!("{} keys", thousands(self.n_keys)) };
        let nodes = if self.n_nodes == 1 {
            "1 node".to_owned()
        } else {
            format!("{} nodes", thousands(self.n_nodes))
        };
        format!("{keys} on {nodes}")
    }
}

fn line(node: &NodeName, header: &Header) -> serde_json::Result<String> {
    let (key, key_base64) = Spelled::new(header.key.as_bytes()).parts();
    let (version, node) = (header.version.to_string(), node.as_str());
    output::json_line(&Line { key, key_base64, version, expires_at_ms: header.over_at_ms, node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chord::{Key, Position, Version};

    fn header(over_at_ms: Option<u64>) -> Header {
        let version = Version::new(100, 0, Position::ZERO);
        Header {
            position: Position::ZERO,
            key: Key::new("a\nb\u{202e}".as_bytes()).unwrap(),
            version,
            over_at_ms,
        }
    }

    #[test]
    fn a_key_is_one_line() {
        let node = "h:1".parse().unwrap();
        let expected = r#"{"key":"a\nb\u202e","version":"100.0.0","expires_at_ms":201,"node":"h:1"}"#;
        assert_eq!(line(&node, &header(Some(201))).unwrap(), expected);
    }

    #[test]
    fn one_is_not_plural() {
        let sentence = |n_keys, n_nodes| Tally { n_keys, n_nodes, ..Tally::default() }.sentence();
        assert_eq!(sentence(1, 1), "1 key on 1 node");
        assert_eq!(sentence(1234, 3), "1,234 keys on 3 nodes");
    }
}
