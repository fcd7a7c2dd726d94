//! `chord del`: deletes what is stored under keys.

use chord::{Change, Condition, Expiry, Key, Operation, Version};
use clap::Args;
use serde::Serialize;

use super::exit::{Absent, Usage};
use super::operate::{self, OperateArgs};
use super::output;
use super::table::thousands;
use super::text::escaped;

/// Delete what is stored under keys
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord del greeting
  chord del greeting letter photo
  chord del -- -key
  chord del greeting --if-version 1764115200000.0.42

The keys are deleted one after the other; the first failure ends that.
Exit codes: 0 something was deleted, 3 nothing was stored under any of the keys, 4 the condition does not hold, \
1 or 2 as for every command.")]
pub(crate) struct DelArgs {
    /// The keys; one that begins with a hyphen comes after --
    #[arg(required = true, value_name = "KEY", value_parser = operate::key())]
    keys: Vec<Key>,

    /// Only if what is stored under the key, which is one key then, has this version, as --json of get shows it
    #[arg(long, value_name = "VERSION")]
    if_version: Option<Version>,

    #[command(flatten)]
    operate: OperateArgs,

    /// Print a JSON object: keys, deleted
    #[arg(long)]
    json: bool,
}

/// What was asked for, and what came of it.
#[derive(Debug, Serialize)]
struct Deleted {
    keys: usize,
    deleted: usize,
}

impl DelArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.if_version.is_some() && self.keys.len() > 1 {
            return Err(Usage::new("--if-version is about one key: delete the others apart").into());
        }
        let deleted = self.delete().await?;
        if self.json {
            output::json(&deleted)?;
        }
        match (deleted.deleted, self.keys.as_slice()) {
            (0, [key]) => Err(Absent::of(key).into()),
            (0, keys) => Err(Absent::of_all(keys.len()).into()),
            (..) if self.json => Ok(()),
            (..) => output::answer(deleted.sentence()),
        }
    }

    async fn delete(&self) -> anyhow::Result<Deleted> {
        let operator = self.operate.reach().await?;
        let condition = self.if_version.map_or(Condition::Always, Condition::Version);
        let operation = Operation::Change { change: Change::Delete, condition, expiry: Expiry::Never };
        let mut deleted = Deleted { keys: self.keys.len(), deleted: 0 };
        for key in &self.keys {
            let operated = match operator.operate(key.clone(), operation.clone()).await {
                Err(error) if self.keys.len() > 1 => {
                    let key = escaped(key.as_bytes());
                    let before = deleted.deleted;
                    return Err(
                        error.context(format!("cannot delete \"{key}\" (deleted before it: {before})"))
                    );
                }
                operated => operated?,
            };
            deleted.deleted += usize::from(operated.outcome.was_there());
        }
        Ok(deleted)
    }
}

impl Deleted {
    fn sentence(&self) -> String {
        let count = |number: usize| thousands(number as u64);
        match (self.deleted, self.keys) {
            (1, 1) => "Deleted 1 key".to_owned(),
            (deleted, keys) => format!("Deleted {} of {} keys", count(deleted), count(keys)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_of_how_many() {
        let sentence = |keys, deleted| Deleted { keys, deleted }.sentence();
        assert_eq!(sentence(1, 1), "Deleted 1 key");
        assert_eq!(sentence(2000, 1), "Deleted 1 of 2,000 keys");
    }
}
