//! `chord put`: stores a value under a key.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, bail};
use chord::VALUE_BYTES_LIMIT;
use chord::wire::{Answer, Request};
use clap::Args;
use serde::Serialize;

use super::client::{self, NodeArgs};
use super::output::{self, note};

/// Store a value under a key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord put greeting hello
  chord put letter < letter.txt
  chord put greeting hello --node 127.0.0.1:4568")]
pub(crate) struct PutArgs {
    /// The key
    #[arg(allow_hyphen_values = true)]
    key: String,

    /// The value; without it, standard input is read to its end
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,

    #[command(flatten)]
    node: NodeArgs,

    /// Print a JSON object: key, value, owner, hops
    #[arg(long)]
    json: bool,
}

/// What `put` and `get` print with `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a str,
    /// Null when nothing is stored.
    pub(crate) value: Option<&'a str>,
    pub(crate) owner: &'a str,
    pub(crate) hops: u32,
}

impl PutArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let value = match self.value {
            Some(value) => value,
            None => standard_input()?,
        };
        let request = Request::Put { key: self.key, value, no_redirect: false };
        let answer = self.node.call(&request).await?.answer;
        let (Answer::Put { storage_node, hops }, Request::Put { key, value, .. }) = (&answer, &request)
        else {
            return Err(client::unexpected(&answer));
        };
        if self.json {
            return output::json(&Pair {
                key,
                value: Some(value),
                owner: storage_node.as_str(),
                hops: *hops,
            });
        }
        output::answer(format_args!("Stored at {storage_node} after {}", count_hops(*hops)))
    }
}

/// "1 hop", "2 hops".
pub(crate) fn count_hops(hops: u32) -> String {
    if hops == 1 { "1 hop".to_owned() } else { format!("{hops} hops") }
}

fn standard_input() -> anyhow::Result<String> {
    let input = io::stdin();
    if input.is_terminal() {
        note("Reading the value from the terminal; Ctrl-D ends it");
    }
    bounded_text(input.lock())
}

/// All of `input`, which must be text and no larger than any node accepts: no more than that is read.
fn bounded_text(input: impl Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(VALUE_BYTES_LIMIT).unwrap_or(u64::MAX);
    input.take(limit + 1).read_to_end(&mut bytes).context("cannot read the value from standard input")?;
    if bytes.len() > VALUE_BYTES_LIMIT {
        bail!("the value on standard input is too large: no node takes more than {VALUE_BYTES_LIMIT} bytes");
    }
    String::from_utf8(bytes)
        .ok()
        .context("the value on standard input is not UTF-8 text, and this door carries only text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_text_kept_as_it_is() {
        assert_eq!(bounded_text(&b" a\nb\n"[..]).unwrap(), " a\nb\n");
        assert_eq!(bounded_text(&b""[..]).unwrap(), "");
        assert!(bounded_text(&b"\xff"[..]).unwrap_err().to_string().contains("not UTF-8"));
    }

    #[test]
    fn standard_input_is_not_read_beyond_the_limit() {
        assert_eq!(
            bounded_text(io::repeat(b'x').take(VALUE_BYTES_LIMIT as u64)).unwrap().len(),
            VALUE_BYTES_LIMIT
        );
        assert!(bounded_text(io::repeat(b'x')).unwrap_err().to_string().contains("too large"));
    }

    #[test]
    fn one_hop_is_not_plural() {
        assert_eq!([0, 1, 2].map(count_hops), ["0 hops", "1 hop", "2 hops"]);
    }

    #[test]
    fn json_has_its_fields_in_order() {
        let pair = Pair { key: "k", value: None, owner: "h:1", hops: 0 };
        let text = serde_json::to_string(&pair).unwrap();
        assert_eq!(text, r#"{"key":"k","value":null,"owner":"h:1","hops":0}"#);
    }
}
