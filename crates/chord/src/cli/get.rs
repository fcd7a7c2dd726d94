//! `chord get`: prints what is stored under a key.

use std::fs;
use std::path::PathBuf;

use chord::wire::{Answer, Request};
use chord::{Key, Operation, Value};
use clap::Args;

use super::exit::Absent;
use super::operate::{self, OperateArgs};
use super::pair::Pair;
use super::{client, files, output};

/// Print the value stored under a key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord get greeting
  chord get letter --node 127.0.0.1:4568 > letter.txt
  chord get photo --output photo.jpg
  CHORD_NODE=127.0.0.1:4568 chord get greeting --json

The value is printed as it is, byte for byte; on a terminal the line is ended.
With --json, what is not UTF-8 is in key_base64 and value_base64; expires_at_ms, in milliseconds since 1970, is there \
if the value expires.
Exit codes: 0 the value was printed, 3 nothing is stored under the key, 1 or 2 as for every command.")]
pub(crate) struct GetArgs {
    /// The key
    #[arg(allow_hyphen_values = true, value_parser = operate::key())]
    key: Key,

    #[command(flatten)]
    operate: OperateArgs,

    /// Write the value into this file, in place of what is in it; `-` is standard output
    #[arg(long, value_name = "PATH", conflicts_with = "json")]
    output: Option<PathBuf>,

    /// Print a JSON object: key, value (null when absent), version, expiry, owner, hops
    #[arg(long)]
    json: bool,
}

impl GetArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let operator = match self.operate.reach().await {
            Err(error) if self.operate.consistency.is_none() && operate::is_of_other_program(&error) => {
                return match std::str::from_utf8(self.key.as_bytes()) {
                    Ok(key) => self.get_at_seed(key).await,
                    Err(_) => Err(error),
                };
            }
            reached => reached?,
        };
        let operated = operator.operate(self.key.clone(), Operation::Get).await?;
        let value = operated.outcome.record.as_ref().and_then(|record| record.value.as_ref());
        self.print(value.map(Value::as_bytes), &Pair::of(&self.key, &operated, None))
    }

    /// Gets as a client of chord.py does.
    async fn get_at_seed(&self, key: &str) -> anyhow::Result<()> {
        let answer = self.operate.node.call(&Request::Get { key: key.to_owned() }).await?.answer;
        let Answer::Get { storage_node, hops, value } = &answer else {
            return Err(client::unexpected(&answer));
        };
        let value = value.as_ref().map(String::as_bytes);
        self.print(value, &Pair::of_seed(key.as_bytes(), value, storage_node, *hops))
    }

    fn print(&self, value: Option<&[u8]>, pair: &Pair<'_>) -> anyhow::Result<()> {
        if self.json {
            output::json(pair)?;
        }
        match (value, files::named(self.output.as_deref())) {
            (None, _) => Err(Absent::of(&self.key).into()),
            (Some(_), _) if self.json => Ok(()),
            (Some(value), None) => output::raw(value),
            (Some(value), Some(path)) => fs::write(path, value).map_err(files::cannot("write", path)),
        }
    }
}
