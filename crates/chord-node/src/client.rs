//! A client of one node: the seed's language over HTTP.

use std::time::Duration;

use bytes::Bytes;
use chord_ring::{Failure, NodeName};
use chord_wire::{Code, Context, seed};
use http::StatusCode;

use crate::Limits;
use crate::links::{Answered, Connections};

/// Talks to one node, on kept connections.
pub struct Client {
    node: NodeName,
    connections: Connections,
}

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The answer.
    pub answer: seed::Answer,
    /// What it says beside its body; empty from a seed node.
    pub context: Context,
}

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody serves at that address. Nothing changed.
    #[error("nobody answers at {0}: is a node running there?")]
    Unreachable(NodeName),
    /// The deadline passed. A write may or may not have happened.
    #[error("{node} did not answer within {} s", .waited.as_secs_f64())]
    Silent {
        /// The node.
        node: NodeName,
        /// How long it was given.
        waited: Duration,
    },
    /// The node closed the connection. A write may or may not have happened.
    #[error(
        "{0} closed the connection without an answer: it may have stopped, or does not take a request so large"
    )]
    Closed(NodeName),
    /// The answer is not of this protocol.
    #[error("{node} does not speak the chord protocol: {reason}")]
    Garbled {
        /// The node.
        node: NodeName,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The node refused.
    #[error("{node} answered: {sentence}")]
    Refused {
        /// The node.
        node: NodeName,
        /// Why, for programs; `None` from a seed node.
        code: Option<Code>,
        /// Why, for people.
        sentence: String,
    },
}

impl Client {
    /// A client of that node. Connects when it is first used.
    pub fn new(node: NodeName) -> Self {
        let limits = Limits::default();
        let connections = Connections::new(node.clone(), limits.link_connections, limits.body_bytes());
        Self { node, connections }
    }

    /// The node.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Asks, and waits for the answer until the deadline.
    ///
    /// # Errors
    /// The node is not there, too slow, not one of ours, or it refused.
    pub async fn call(&self, request: &seed::Request, deadline: Duration) -> Result<Reply, ClientError> {
        let command = request.command();
        let body = Bytes::from(seed::encode_request(request));
        let node = || self.node.clone();
        let context = Context::default();
        let exchange = tokio::time::timeout(
            deadline,
            self.connections.exchange(Answered::WithOthers, command, &context, body),
        )
        .await;
        let exchange = match exchange {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(Failure::Unreachable)) => return Err(ClientError::Unreachable(node())),
            Ok(Err(Failure::Silent)) => return Err(ClientError::Closed(node())),
            Ok(Err(failure)) => {
                return Err(ClientError::Garbled { node: node(), reason: failure.to_string() });
            }
            Err(_) => return Err(ClientError::Silent { node: node(), waited: deadline }),
        };
        let garbled = |reason: String| ClientError::Garbled { node: node(), reason };
        let context = exchange.context().map_err(|failure| garbled(failure.to_string()))?;
        if exchange.status == StatusCode::OK {
            let answer =
                seed::decode_answer(command, &exchange.body).map_err(|bad| garbled(bad.to_string()))?;
            return Ok(Reply { answer, context });
        }
        let sentence = chord_wire::decode_error(&exchange.body)
            .unwrap_or_else(|| format!("HTTP status {}", exchange.status.as_u16()));
        Err(ClientError::Refused { node: node(), code: context.code, sentence })
    }
}
