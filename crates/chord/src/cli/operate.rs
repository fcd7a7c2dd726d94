//! What the commands that do something to a key have in common.

use std::ffi::OsString;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use chord::wire::Code;
use chord::{Client, ClientError, Condition, Consistency, Expiry, Key, Operated, Operation, Version};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::client::{self, NodeArgs};
use super::exit::Unmet;

/// Which node to ask, and how many copies it is about.
#[derive(Debug, Args)]
pub(crate) struct OperateArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// How many copies a change waits for, or a get compares: one, more than half of them (quorum), or all
    /// [default: as the node is set]
    #[arg(long, value_name = "COPIES")]
    pub(crate) consistency: Option<Copies>,
}

/// A consistency, in the words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Copies {
    One,
    Quorum,
    All,
}

/// What must hold for a change to happen.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
pub(crate) struct ConditionArgs {
    /// Only if nothing is stored under the key
    #[arg(long = "if-absent")]
    absent: bool,

    /// Only if something is stored under the key
    #[arg(long = "if-present")]
    present: bool,

    /// Only if what is stored under the key has this version, as --json shows it
    #[arg(long = "if-version", value_name = "VERSION")]
    version: Option<Version>,
}

/// A node of this program that has answered.
pub(crate) struct Operator {
    client: Client,
    consistency: Consistency,
    deadline: Duration,
}

impl OperateArgs {
    /// The node, once it has said which ring it belongs to, so that nothing was sent if it is not there.
    ///
    /// # Errors
    /// Nobody answers, or a node of chord.py: see [`is_of_other_program`].
    pub(crate) async fn reach(&self) -> anyhow::Result<Operator> {
        let client = self.node.client()?;
        let deadline = self.node.wait.deadline();
        if let Err(error) = client.ring(deadline).await {
            return Err(client::explained(error).await);
        }
        let consistency = self.consistency.map_or(Consistency::Usual, Consistency::from);
        Ok(Operator { client, consistency, deadline })
    }
}

impl Operator {
    /// Has something done to a key.
    pub(crate) async fn operate(&self, key: Key, operation: Operation) -> anyhow::Result<Operated> {
        let is_change = operation != Operation::Get;
        match self.client.operate(key, operation, self.consistency, self.deadline).await {
            Ok(operated) => Ok(operated),
            Err(ClientError::Refused { code: Some(Code::ConditionFailed), sentence, .. }) => {
                Err(Unmet { sentence }.into())
            }
            Err(error) if is_change && is_unknown_outcome(&error) => Err(anyhow!(
                "{error}; the change may have happened nevertheless, or may yet: look before you try again"
            )),
            Err(error) => Err(client::explained(error).await),
        }
    }
}

impl ConditionArgs {
    pub(crate) fn condition(&self) -> Condition {
        match (self.absent, self.present, self.version) {
            (true, ..) => Condition::Absent,
            (_, true, _) => Condition::Present,
            (_, _, Some(version)) => Condition::Version(version),
            (false, false, None) => Condition::Always,
        }
    }
}

impl From<Copies> for Consistency {
    fn from(copies: Copies) -> Self {
        match copies {
            Copies::One => Self::One,
            Copies::Quorum => Self::Quorum,
            Copies::All => Self::All,
        }
    }
}

/// A parser for keys: the bytes of the argument, whatever they are.
pub(crate) fn key() -> impl TypedValueParser<Value = Key> {
    OsStringValueParser::new().try_map(|argument: OsString| Key::new(argument.as_encoded_bytes()))
}

/// When something that lives so long from now on goes, by the clock of this machine.
pub(crate) fn expiry(lives: Option<Duration>, otherwise: Expiry) -> Expiry {
    let at_ms =
        |lives: Duration| now_ms().saturating_add(u64::try_from(lives.as_millis()).unwrap_or(u64::MAX));
    lives.map_or(otherwise, |lives| Expiry::At(at_ms(lives)))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether it was a node of chord.py that answered.
pub(crate) fn is_of_other_program(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::OtherProgram(_)))
}

/// Whether a change was sent, and nobody said what came of it. A node that refuses says that itself.
fn is_unknown_outcome(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Silent { .. }
            | ClientError::Closed(_)
            | ClientError::Garbled { .. }
            | ClientError::TooLarge { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_for_ever_has_no_end_and_nothing_overflows() {
        assert_eq!(expiry(None, Expiry::Keep), Expiry::Keep);
        assert_eq!(expiry(Some(Duration::MAX), Expiry::Never), Expiry::At(u64::MAX));
        let Expiry::At(at_ms) = expiry(Some(Duration::from_secs(30)), Expiry::Never) else {
            panic!("it expires");
        };
        assert!(at_ms.abs_diff(now_ms() + 30_000) < 10_000, "{at_ms}");
    }

    #[test]
    fn the_outcome_is_unknown_only_after_something_was_sent() {
        let node: chord::NodeName = "h:1".parse().unwrap();
        assert!(is_unknown_outcome(&ClientError::Closed(node.clone())));
        assert!(is_unknown_outcome(&ClientError::Silent { node: node.clone(), waited: Duration::ZERO }));
        assert!(!is_unknown_outcome(&ClientError::Unreachable(node.clone())));
        assert!(!is_unknown_outcome(&ClientError::OtherProgram(node)));
    }
}
