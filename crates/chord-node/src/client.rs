//! A client of one node, in any language that the node speaks.

use std::time::Duration;

use chord_kv::VALUE_BYTES_LIMIT;
use chord_ring::NodeName;
use chord_wire::{Code, Command, Context, seed};

use crate::links::{Answered, Connections, NoAnswer, Refused, Sending};
use crate::{Language, Limits};

/// Talks to one node, on kept connections.
pub struct Client {
    node: NodeName,
    language: Language,
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
    /// No connection came about: the name is unknown, the network is down, or this program has too many files open.
    /// Nothing changed.
    #[error("no connection to {node}: {reason}")]
    NoConnection {
        /// The node.
        node: NodeName,
        /// What the system said.
        reason: String,
    },
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
    /// The request holds what the language has no way to say. Nothing was sent.
    #[error("{0}")]
    Unsayable(String),
    /// The answer is not of this protocol.
    #[error("{node} does not speak the chord protocol: {reason}")]
    Garbled {
        /// The node.
        node: NodeName,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer is larger than any that a node gives. A write may have happened.
    #[error("the answer of {node} is too large: it has more than {limit} bytes")]
    TooLarge {
        /// The node.
        node: NodeName,
        /// How many bytes an answer may have.
        limit: usize,
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
    /// A client of that node, which speaks JSON over HTTP to it. Connects when it is first used.
    pub fn new(node: NodeName) -> Self {
        Self::speaking(Language::Http, node)
    }

    /// A client of that node in that language. Connects when it is first used.
    pub fn speaking(language: Language, node: NodeName) -> Self {
        // A node may be told to accept the largest values, whatever this program would accept as a node.
        let limits = Limits { value_bytes: VALUE_BYTES_LIMIT, ..Limits::default() };
        let connections = Connections::new(node.clone(), limits.link_connections, limits.body_bytes());
        Self { node, language, connections }
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
        let node = || self.node.clone();
        let said =
            self.language.say(request).map_err(|unsayable| ClientError::Unsayable(unsayable.to_string()))?;
        let context = Context::default();
        let sending = Sending::new(Answered::WithOthers);
        let sending = if is_question(request.command()) { sending } else { sending.once() };
        let exchange = self.connections.exchange(&sending, &said, &context);
        let exchange = tokio::time::timeout(deadline, exchange).await;
        let exchange = match exchange {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(NoAnswer::Refused)) => return Err(ClientError::Unreachable(node())),
            Ok(Err(NoAnswer::NoConnection(error))) => {
                return Err(ClientError::NoConnection { node: node(), reason: error.to_string() });
            }
            Ok(Err(NoAnswer::Closed)) => return Err(ClientError::Closed(node())),
            Ok(Err(NoAnswer::TooLarge { limit })) => {
                return Err(ClientError::TooLarge { node: node(), limit });
            }
            Ok(Err(broken @ NoAnswer::Broken)) => {
                return Err(ClientError::Garbled { node: node(), reason: broken.to_string() });
            }
            Err(_) => return Err(ClientError::Silent { node: node(), waited: deadline }),
        };
        let reply = self
            .language
            .understand(request.command(), &exchange)
            .map_err(|wrong| ClientError::Garbled { node: node(), reason: wrong.to_string() })?;
        match reply.answer {
            Ok(answer) => Ok(Reply { answer, context: reply.context }),
            Err(Refused { code, sentence }) => Err(ClientError::Refused { node: node(), code, sentence }),
        }
    }
}

/// Whether a command changes nothing, so that it may be sent twice.
const fn is_question(command: Command) -> bool {
    match command {
        Command::Node
        | Command::FindSuccessor
        | Command::GetPredecessor
        | Command::GetSuccessorList
        | Command::Get => true,
        Command::Create
        | Command::Join
        | Command::Notify
        | Command::Put
        | Command::Shutdown
        | Command::Leave => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Node;

    const DEADLINE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_value_that_only_a_node_with_higher_limits_stores_can_be_read() {
        let limits = Limits { value_bytes: 2 << 20, ..Limits::default() };
        let node = Node::builder().listen("127.0.0.1:0").limits(limits).start().await.unwrap();
        // As JSON each byte is six: more than a node of default limits accepts.
        let value = "\0".repeat(2 << 20);
        node.put(b"key", value.as_bytes()).await.unwrap();
        let client = Client::new(node.name().clone());
        let reply = client.call(&seed::Request::Get { key: "key".to_owned() }, DEADLINE).await.unwrap();
        let seed::Answer::Get { value: got, .. } = reply.answer else { panic!("another answer") };
        assert!(got == Some(value), "another value");
        node.shutdown().await;
    }

    #[tokio::test]
    async fn an_answer_without_end_is_called_too_large() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap().to_string().parse().unwrap());
        let serves = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await.unwrap();
            stream
        };
        let asks = async {
            let error = client.call(&seed::Request::Node, DEADLINE).await.unwrap_err();
            assert!(error.to_string().contains("is too large"), "{error}");
        };
        tokio::join!(serves, asks);
    }
}
