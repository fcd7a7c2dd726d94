//! What the commands that call one node have in common.

use std::path::PathBuf;
use std::time::Duration;

use chord::wire::{Answer, Request};
use chord::{Client, ClientError, Language, NodeName, Reply};
use clap::Args;

use super::output::note;
use super::tls::ClientTlsArgs;
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

/// How long to wait for an answer, and how to be let in.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for the answer, in seconds: 10 unless told otherwise, and 600 for a node that shuts down
    #[arg(long, value_name = "SECONDS", value_parser = number::seconds, global = true)]
    timeout: Option<u64>,

    /// Be let in by the first secret in this file, as a node has it; nobody but you may be able to read it
    #[arg(long, value_name = "FILE", env = "CHORD_SECRET_FILE", global = true)]
    secret_file: Option<PathBuf>,

    #[command(flatten)]
    tls: ClientTlsArgs,
}

/// How long an answer may take, unless told otherwise: more than a node gives any operation.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// How long a departure may take, unless told otherwise: far longer than a node hands over by default, since a program that
/// embeds one may allow it more.
const DEPARTURE_WAIT: Duration = Duration::from_secs(600);

/// When a user is told that a departure is waited for: most take less.
const DEPARTURE_QUIET: Duration = Duration::from_secs(2);

impl NodeArgs {
    /// Asks the node.
    pub(crate) async fn call(&self, request: &Request) -> anyhow::Result<Reply> {
        self.wait.call_in(Language::Http, &self.node, request, self.wait.deadline()).await
    }

    /// A client of the node.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.wait.client(Language::Http, &self.node)
    }
}

impl WaitArgs {
    pub(crate) fn deadline(&self) -> Duration {
        self.timeout.map_or(ANSWER_WAIT, Duration::from_secs)
    }

    /// A client of `node` that speaks that language to it.
    pub(crate) fn client(&self, language: Language, node: &NodeName) -> anyhow::Result<Client> {
        let client = self.tls.configure(Client::speaking(language, node.clone()))?;
        match &self.secret_file {
            None => Ok(client),
            Some(path) => Ok(client.with_secret_file(path)?),
        }
    }

    /// Asks `node` once in that language.
    pub(crate) async fn call_in(
        &self,
        language: Language,
        node: &NodeName,
        request: &Request,
        deadline: Duration,
    ) -> anyhow::Result<Reply> {
        ask(self.client(language, node)?, request, deadline).await
    }

    fn departure_deadline(&self) -> Duration {
        self.timeout.map_or(DEPARTURE_WAIT, Duration::from_secs)
    }

    /// Tells `node` to shut down, and waits until it has handed its keys over.
    pub(crate) async fn shut_down(&self, language: Language, node: &NodeName) -> anyhow::Result<Reply> {
        let deadline = self.departure_deadline();
        let ending = self.call_in(language, node, &Request::Shutdown, deadline);
        tokio::pin!(ending);
        tokio::select! {
            ended = &mut ending => return ended,
            () = tokio::time::sleep(DEPARTURE_QUIET) => {}
        }
        let seconds = deadline.as_secs();
        note(format_args!(
            "The node is still handing its keys over; waiting for it for up to {seconds} s..."
        ));
        ending.await
    }
}

/// Asks a node once.
pub(crate) async fn ask(client: Client, request: &Request, deadline: Duration) -> anyhow::Result<Reply> {
    match client.call(request, deadline).await {
        Ok(reply) => Ok(reply),
        Err(error) => Err(explained(error).await),
    }
}

/// Why a node did not do what it was asked, with what is known beyond that.
pub(crate) async fn explained(error: ClientError) -> anyhow::Error {
    let (ClientError::Unreachable(node) | ClientError::NoConnection { node, .. }) = &error else {
        return error.into();
    };
    hosts::unknown(node).await.map_or_else(|| error.into(), anyhow::Error::msg)
}

/// An answer of a kind that does not belong to the request: the library never gives one.
pub(crate) fn unexpected(answer: &Answer) -> anyhow::Error {
    debug_assert!(false, "{answer:?}");
    anyhow::anyhow!("the node gave the answer to another question")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_is_waited_for_longer_than_an_answer_unless_told_otherwise() {
        let untold = WaitArgs { timeout: None, secret_file: None, tls: ClientTlsArgs::default() };
        assert_eq!((untold.deadline(), untold.departure_deadline()), (ANSWER_WAIT, DEPARTURE_WAIT));
        let told = WaitArgs { timeout: Some(3), secret_file: None, tls: ClientTlsArgs::default() };
        assert_eq!(told.deadline(), Duration::from_secs(3));
        assert_eq!(told.departure_deadline(), Duration::from_secs(3));
    }
}
