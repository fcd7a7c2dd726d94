//! What the commands that call one node have in common.

use std::time::Duration;

use anyhow::bail;
use chord::wire::{Answer, Request};
use chord::{Client, ClientError, Language, NodeName, Reply};
use clap::Args;

use super::{hosts, number};

/// Which node to call, for commands that may call any.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node to ask: any node of the ring answers for every key
    #[arg(long, value_name = "HOST:PORT", env = "CHORD_NODE", default_value = "127.0.0.1:4567")]
    pub(crate) node: NodeName,

    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// How long to wait for an answer.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = number::seconds)]
    timeout: u64,
}

impl NodeArgs {
    /// Asks the node.
    pub(crate) async fn call(&self, request: &Request) -> anyhow::Result<Reply> {
        call(&self.node, request, self.wait.deadline()).await
    }
}

impl WaitArgs {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Asks `node` once.
pub(crate) async fn call(node: &NodeName, request: &Request, deadline: Duration) -> anyhow::Result<Reply> {
    call_in(Language::Http, node, request, deadline).await
}

/// Asks `node` once in that language.
pub(crate) async fn call_in(
    language: Language,
    node: &NodeName,
    request: &Request,
    deadline: Duration,
) -> anyhow::Result<Reply> {
    match Client::speaking(language, node.clone()).call(request, deadline).await {
        Err(error @ (ClientError::Unreachable(_) | ClientError::NoConnection { .. })) => {
            match hosts::unknown(node).await {
                Some(sentence) => bail!("{sentence}"),
                None => Err(error.into()),
            }
        }
        called => Ok(called?),
    }
}

/// An answer of a kind that does not belong to the request: the library never gives one.
pub(crate) fn unexpected(answer: &Answer) -> anyhow::Error {
    debug_assert!(false, "{answer:?}");
    anyhow::anyhow!("the node gave the answer to another question")
}
