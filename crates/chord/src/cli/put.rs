//! `chord put`: stores a value under a key.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};
use chord::wire::{Answer, Request};
use chord::{Change, Condition, Expiry, Key, Operation, VALUE_BYTES_LIMIT, Value};
use clap::Args;

use super::operate::{self, ConditionArgs, OperateArgs};
use super::output::{self, note};
use super::pair::Pair;
use super::{client, files, number};

/// Store a value under a key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord put greeting hello
  chord put letter < letter.txt
  chord put photo --file photo.jpg --ttl 7d
  chord put lock mine --if-absent --ttl 30s
  chord put greeting hi --if-version 1764115200000.0.42

Keys and values are bytes of any kind. A value has at most 1 MiB; nodes that a program embeds may take up to 64 MiB.
The time of --ttl is counted by the clock of this machine.
With --json, what is not UTF-8 is in key_base64 and value_base64; expires_at_ms, in milliseconds since 1970, is there \
if the value expires.
Exit codes: 0 stored, 4 the condition does not hold, 1 or 2 as for every command.")]
pub(crate) struct PutArgs {
    /// The key
    #[arg(allow_hyphen_values = true, value_parser = operate::key())]
    key: Key,

    /// The value; without it, standard input is read to its end
    #[arg(allow_hyphen_values = true)]
    value: Option<OsString>,

    /// Take the value from this file; `-` is standard input
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    file: Option<PathBuf>,

    /// Have the value go by itself after that time: 500ms, 30s, 10m, 2h, 7d [default: it stays]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = number::duration)]
    ttl: Option<Duration>,

    #[command(flatten)]
    condition: ConditionArgs,

    #[command(flatten)]
    operate: OperateArgs,

    /// Print a JSON object: key, value, version, expiry, owner, hops
    #[arg(long)]
    json: bool,
}

impl PutArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let value = match (&self.value, files::named(self.file.as_deref())) {
            (Some(value), _) => bounded(value.as_encoded_bytes(), "the value")?,
            (None, Some(path)) => value_of_file(path)?,
            (None, None) => standard_input()?,
        };
        let operator = match self.operate.reach().await {
            Err(error) if self.is_plain() && operate::is_of_other_program(&error) => {
                return self.put_at_seed(&value).await.unwrap_or(Err(error));
            }
            reached => reached?,
        };
        let operation = Operation::Change {
            change: Change::Set(value.clone()),
            condition: self.condition.condition(),
            expiry: operate::expiry(self.ttl, Expiry::Never),
        };
        let operated = operator.operate(self.key.clone(), operation).await?;
        if self.json {
            return output::json(&Pair::of(&self.key, &operated, Some(&value)));
        }
        output::answer(format_args!(
            "Stored at {} after {}, in {}",
            operated.owner,
            count_hops(operated.hops),
            count_copies(operated.outcome.copies)
        ))
    }

    /// Whether it is what a node of chord.py can do.
    fn is_plain(&self) -> bool {
        self.ttl.is_none()
            && self.operate.consistency.is_none()
            && self.condition.condition() == Condition::Always
    }

    /// Puts as a client of chord.py does; `None` of what is no text.
    async fn put_at_seed(&self, value: &Value) -> Option<anyhow::Result<()>> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let (key, value) = (text(self.key.as_bytes())?, text(value.as_bytes())?);
        let request = Request::Put { key, value, no_redirect: false };
        Some(self.tell_seed(&request).await)
    }

    async fn tell_seed(&self, request: &Request) -> anyhow::Result<()> {
        let answer = self.operate.node.call(request).await?.answer;
        let (Answer::Put { storage_node, hops }, Request::Put { key, value, .. }) = (&answer, request) else {
            return Err(client::unexpected(&answer));
        };
        if self.json {
            let value = Some(value.as_bytes());
            return output::json(&Pair::of_seed(key.as_bytes(), value, storage_node, *hops));
        }
        output::answer(format_args!("Stored at {storage_node} after {}", count_hops(*hops)))
    }
}

/// "1 hop", "2 hops".
fn count_hops(hops: u32) -> String {
    if hops == 1 { "1 hop".to_owned() } else { format!("{hops} hops") }
}

/// "1 copy", "2 copies".
fn count_copies(copies: usize) -> String {
    if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") }
}

fn value_of_file(path: &Path) -> anyhow::Result<Value> {
    let file = File::open(path).map_err(files::cannot("read", path))?;
    bounded(file, &format!("the value in {}", path.display()))
}

fn standard_input() -> anyhow::Result<Value> {
    let input = io::stdin();
    if input.is_terminal() {
        note("Reading the value from the terminal; Ctrl-D ends it");
    }
    bounded(input.lock(), "the value on standard input")
}

/// All of `input`, which must be no larger than any node accepts: no more than that is read.
fn bounded(input: impl Read, what: &str) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(VALUE_BYTES_LIMIT).unwrap_or(u64::MAX);
    let read = input.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| anyhow!("cannot read {what}: {}", files::explained(&error)))?;
    match Value::new(&bytes, VALUE_BYTES_LIMIT) {
        Ok(value) => Ok(value),
        Err(_) => bail!("{what} is too large: no node takes more than {VALUE_BYTES_LIMIT} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_kept_as_it_is() {
        for bytes in [&b" a\nb\n"[..], b"", b"\x00\xff"] {
            assert_eq!(bounded(bytes, "the value").unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn standard_input_is_not_read_beyond_the_limit() {
        let largest = io::repeat(b'x').take(VALUE_BYTES_LIMIT as u64);
        assert_eq!(bounded(largest, "the value").unwrap().as_bytes().len(), VALUE_BYTES_LIMIT);
        let refused = bounded(io::repeat(b'x'), "the value on standard input").unwrap_err().to_string();
        assert!(refused.starts_with("the value on standard input is too large"), "{refused}");
    }

    #[test]
    fn one_is_not_plural() {
        assert_eq!([0, 1, 2].map(count_hops), ["0 hops", "1 hop", "2 hops"]);
        assert_eq!([1, 3].map(count_copies), ["1 copy", "3 copies"]);
    }
}
