//! Answers of the seed's language.

use chord_ring::NodeName;

use super::field::{BadBody, Field, Present, Raw, Record, Source};
use super::json;
use super::object::Object;
use crate::Command;

/// An answer that is not an error, whichever way it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `node`.
    Node {
        /// What the node is called.
        node: NodeName,
        /// Whether it is alive; a node that leaves says no.
        is_alive: bool,
    },
    /// To `create`, `join`, `notify`, `shutdown` and `leave`: it is done.
    Done,
    /// To `find_successor`.
    FindSuccessor {
        /// The owner.
        node: NodeName,
        /// How many times the request was sent on.
        hops: u32,
    },
    /// To `get_predecessor`.
    Predecessor(Option<NodeName>),
    /// To `get_successor_list`: what was sent, which from a seed node goes round and round to m entries.
    SuccessorList(Vec<NodeName>),
    /// To `get`.
    Get {
        /// The node that holds the key, or would.
        storage_node: NodeName,
        /// How many times the request was sent on.
        hops: u32,
        /// The value, if there is one.
        value: Option<String>,
    },
    /// To `put`.
    Put {
        /// The node that stored the pair.
        storage_node: NodeName,
        /// How many times the request was sent on.
        hops: u32,
    },
}

/// An answer that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer to {command} cannot be understood: {fault}")]
pub struct BadAnswer {
    /// The command that was answered.
    pub command: Command,
    /// What is wrong.
    pub fault: BadBody,
}

/// The answer to `command` that `body` is. Takes any bytes.
///
/// # Errors
/// The body is not an object with the fields of such an answer.
pub fn decode_answer(command: Command, body: &[u8]) -> Result<Answer, BadAnswer> {
    read(command, json::Body(body)).map_err(|fault| BadAnswer { command, fault })
}

/// The answer that those fields are, whichever language they came in.
pub(crate) fn read(command: Command, source: impl Source) -> Result<Answer, BadBody> {
    match command {
        Command::Create | Command::Join | Command::Notify | Command::Shutdown | Command::Leave => {
            source.fields([]).map(|[]| Answer::Done)
        }
        Command::Node => {
            let [node, is_alive] = source.fields(["node", "is_alive"])?;
            let is_alive = is_alive.optional().map_or(Ok(true), Present::boolean)?;
            Ok(Answer::Node { node: node.required()?.node()?, is_alive })
        }
        Command::FindSuccessor => {
            let [node, hops] = source.fields(["node", "hops"])?;
            Ok(Answer::FindSuccessor { node: node.required()?.node()?, hops: hops_of(hops)? })
        }
        Command::GetPredecessor => {
            let [node] = source.fields(["node"])?;
            Ok(Answer::Predecessor(node.required()?.node_or_null()?))
        }
        Command::GetSuccessorList => {
            let [list] = source.fields(["successor_list"])?;
            Ok(Answer::SuccessorList(list.required()?.nodes()?))
        }
        Command::Get => read_get(source),
        Command::Put => {
            let [node, hops] = source.fields(["storage_node", "hops"])?;
            Ok(Answer::Put { storage_node: node.required()?.node()?, hops: hops_of(hops)? })
        }
    }
}

/// "Absent" must be said, by `found` or by a null: a value that is merely missing proves nothing.
fn read_get(source: impl Source) -> Result<Answer, BadBody> {
    let [node, hops, value, found] = source.fields(["storage_node", "hops", "value", "found"])?;
    let value = match found.optional().map(Present::boolean).transpose()? {
        Some(false) => None,
        Some(true) => Some(value.required()?.string_or_null()?.ok_or(BadBody::FoundNothing)?),
        None => value.required()?.string_or_null()?,
    };
    Ok(Answer::Get { storage_node: node.required()?.node()?, hops: hops_of(hops)?, value })
}

fn hops_of<R: Raw>(hops: Field<R>) -> Result<u32, BadBody> {
    hops.optional().map_or(Ok(0), Present::count)
}

/// The body of an answer, with exactly the seed's fields.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    write(answer, Object::new()).end()
}

/// The answer's fields, in whichever language `record` writes.
pub(crate) fn write<R: Record>(answer: &Answer, record: R) -> R {
    match answer {
        Answer::Node { node, is_alive } => {
            record.string("node", node.as_str()).boolean("is_alive", *is_alive)
        }
        Answer::Done => record,
        Answer::FindSuccessor { node, hops } => record.string("node", node.as_str()).count("hops", *hops),
        Answer::Predecessor(node) => record.node_or_null("node", node.as_ref()),
        Answer::SuccessorList(nodes) => record.nodes("successor_list", nodes),
        Answer::Get { storage_node, hops, value } => record
            .string("storage_node", storage_node.as_str())
            .count("hops", *hops)
            .string_or_null("value", value.as_deref())
            .boolean("found", value.is_some()),
        Answer::Put { storage_node, hops } => {
            record.string("storage_node", storage_node.as_str()).count("hops", *hops)
        }
    }
}
