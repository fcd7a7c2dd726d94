//! `chord get`: prints what is stored under a key.

use chord::wire::{Answer, Request};
use clap::Args;

use super::client::{self, NodeArgs};
use super::exit::Absent;
use super::output;
use super::put::Pair;

/// Print the value stored under a key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord get greeting
  chord get letter --node 127.0.0.1:4568 > letter.txt
  CHORD_NODE=127.0.0.1:4568 chord get greeting --json

The value is printed as it is; on a terminal the line is ended.
Exit codes: 0 the value was printed, 3 nothing is stored under the key, 1 or 2 as for every command.")]
pub(crate) struct GetArgs {
    /// The key
    #[arg(allow_hyphen_values = true)]
    key: String,

    #[command(flatten)]
    node: NodeArgs,

    /// Print a JSON object: key, value (null when absent), owner, hops
    #[arg(long)]
    json: bool,
}

impl GetArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { key, node, json } = self;
        let answer = node.call(&Request::Get { key: key.clone() }).await?.answer;
        let Answer::Get { storage_node, hops, value } = &answer else {
            return Err(client::unexpected(&answer));
        };
        if json {
            let owner = storage_node.as_str();
            output::json(&Pair { key: &key, value: value.as_deref(), owner, hops: *hops })?;
        }
        match value {
            Some(value) if !json => output::raw(value.as_bytes()),
            Some(_) => Ok(()),
            None => Err(Absent { key }.into()),
        }
    }
}
