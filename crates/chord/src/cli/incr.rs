//! `chord incr`: adds to the number that is stored under a key.

use std::time::Duration;

use anyhow::Context;
use chord::{Change, Expiry, Key, Operation, Value};
use clap::Args;

use super::operate::{self, OperateArgs};
use super::pair::Pair;
use super::text::escaped;
use super::{number, output};

/// Add to the number stored under a key, and print the sum
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord incr visits
  chord incr stock -5
  chord incr attempts --ttl 10m

The number is whole, from -2^63 to 2^63 - 1, and stored as decimal digits; where nothing is stored, it is 0 before.
Of attempts whose outcome is not known, some may have counted.
Exit codes: 0 added, 1 or 2 as for every command; 1 also if what is stored is no such number.")]
pub(crate) struct IncrArgs {
    /// The key
    #[arg(allow_hyphen_values = true, value_parser = operate::key())]
    key: Key,

    /// How much to add, which may be negative
    #[arg(default_value = "1", allow_negative_numbers = true, value_parser = number::signed)]
    by: i64,

    /// Have the number go by itself after that time: 500ms, 30s, 10m, 2h, 7d [default: when it would have before]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = number::duration)]
    ttl: Option<Duration>,

    #[command(flatten)]
    operate: OperateArgs,

    /// Print a JSON object: key, value (as text), version, expiry, owner, hops
    #[arg(long)]
    json: bool,
}

impl IncrArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { key, by, ttl, operate, json } = self;
        let operation = Operation::Change {
            change: Change::Add(by),
            condition: chord::Condition::Always,
            expiry: operate::expiry(ttl, Expiry::Keep),
        };
        let operated = operate.reach().await?.operate(key.clone(), operation).await?;
        if json {
            return output::json(&Pair::of(&key, &operated, None));
        }
        let record = operated.outcome.record.as_ref();
        let sum = record.and_then(|record| record.value.as_ref()).map(Value::as_bytes);
        output::answer(escaped(sum.context("the node did not say what the sum is")?))
    }
}
