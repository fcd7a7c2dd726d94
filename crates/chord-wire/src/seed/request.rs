//! Requests of the seed's language.

use chord_ring::{NodeName, Position, RingSize};

use super::field::{BadBody, Present, Raw, Record, Source};
use super::json;
use super::object::Object;
use crate::Command;

/// A request, whichever way it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who are you, and are you alive?
    Node,
    /// Start a ring of one.
    Create,
    /// Join the ring of another node.
    Join {
        /// A member of that ring.
        remote: NodeName,
    },
    /// Which node owns this?
    FindSuccessor {
        /// What is looked up.
        target: Target,
    },
    /// A node may be your predecessor, or yours has left and knew none.
    Notify {
        /// That node; `None` is to forget the predecessor.
        remote: Option<NodeName>,
    },
    /// Who is your predecessor?
    GetPredecessor,
    /// Who are your successors?
    GetSuccessorList,
    /// Read a key.
    Get {
        /// The key.
        key: String,
    },
    /// Write a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Whether the node that gets this stores the pair itself, whoever owns it.
        no_redirect: bool,
    },
    /// Leave the ring and end.
    Shutdown,
    /// A neighbour leaves.
    Leave(Leaving),
}

/// What a node that leaves hands to its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The node that leaves.
    pub node: NodeName,
    /// Its predecessor.
    pub predecessor: Option<NodeName>,
    /// Its whole successor list.
    pub successor_list: Vec<NodeName>,
}

/// What is looked up: a point of the ring, or a key that lies somewhere on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This position, modulo the ring's size.
    Position(Position),
    /// The position of this key.
    Key(String),
}

impl Target {
    /// Where that is on a ring of this size.
    pub fn position(&self, size: RingSize) -> Position {
        match self {
            Self::Position(position) => size.reduce(*position),
            Self::Key(key) => size.position_of(key.as_bytes()),
        }
    }
}

/// A request body that cannot be understood, what is wrong with it, and what a good one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}; the body of {command} is a JSON object like {}", command.example())]
pub struct BadRequest {
    /// The command.
    pub command: Command,
    /// What is wrong.
    pub fault: BadBody,
}

impl Request {
    /// The command that this is a request of.
    pub fn command(&self) -> Command {
        match self {
            Self::Node => Command::Node,
            Self::Create => Command::Create,
            Self::Join { .. } => Command::Join,
            Self::FindSuccessor { .. } => Command::FindSuccessor,
            Self::Notify { .. } => Command::Notify,
            Self::GetPredecessor => Command::GetPredecessor,
            Self::GetSuccessorList => Command::GetSuccessorList,
            Self::Get { .. } => Command::Get,
            Self::Put { .. } => Command::Put,
            Self::Shutdown => Command::Shutdown,
            Self::Leave(_) => Command::Leave,
        }
    }
}

/// The request that `body` is. Takes any bytes.
///
/// # Errors
/// The body is not an object with the fields of this command.
pub fn decode_request(command: Command, body: &[u8]) -> Result<Request, BadRequest> {
    read(command, json::Body(body)).map_err(|fault| BadRequest { command, fault })
}

/// The request that those fields are, whichever language they came in.
pub(crate) fn read(command: Command, source: impl Source) -> Result<Request, BadBody> {
    match command {
        Command::Node => source.fields([]).map(|[]| Request::Node),
        Command::Create => source.fields([]).map(|[]| Request::Create),
        Command::GetPredecessor => source.fields([]).map(|[]| Request::GetPredecessor),
        Command::GetSuccessorList => source.fields([]).map(|[]| Request::GetSuccessorList),
        Command::Shutdown => source.fields([]).map(|[]| Request::Shutdown),
        Command::Join => {
            let [remote] = source.fields(["remote_node"])?;
            Ok(Request::Join { remote: remote.required()?.node()? })
        }
        Command::Notify => {
            let [remote] = source.fields(["remote_node"])?;
            Ok(Request::Notify { remote: remote.required()?.node_or_null()? })
        }
        Command::FindSuccessor => {
            let [key] = source.fields(["key"])?;
            Ok(Request::FindSuccessor { target: target(key.required()?)? })
        }
        Command::Get => {
            let [key] = source.fields(["key"])?;
            Ok(Request::Get { key: key.required()?.string()? })
        }
        Command::Put => {
            let [key, value, no_redirect] = source.fields(["key", "value", "no_redirect"])?;
            let no_redirect = no_redirect.optional().map_or(Ok(false), Present::boolean)?;
            Ok(Request::Put {
                key: key.required()?.string()?,
                value: value.required()?.string()?,
                no_redirect,
            })
        }
        Command::Leave => {
            let [node, predecessor, list] = source.fields(["node", "predecessor", "successor_list"])?;
            Ok(Request::Leave(Leaving {
                node: node.required()?.node()?,
                predecessor: predecessor.required()?.node_or_null()?,
                successor_list: super::list::cut_at_repeat(list.required()?.nodes()?),
            }))
        }
    }
}

fn target<R: Raw>(key: Present<R>) -> Result<Target, BadBody> {
    match key.position() {
        Some(position) => position.map(Target::Position),
        None => key.key().map(Target::Key),
    }
}

/// The body of a request, with exactly the seed's fields.
pub fn encode_request(request: &Request) -> Vec<u8> {
    write(request, Object::new()).end()
}

/// The request's fields, in whichever language `record` writes.
pub(crate) fn write<R: Record>(request: &Request, record: R) -> R {
    match request {
        Request::Node
        | Request::Create
        | Request::GetPredecessor
        | Request::GetSuccessorList
        | Request::Shutdown => record,
        Request::Join { remote } => record.string("remote_node", remote.as_str()),
        Request::FindSuccessor { target: Target::Position(position) } => record.position("key", *position),
        Request::FindSuccessor { target: Target::Key(key) } | Request::Get { key } => {
            record.string("key", key)
        }
        Request::Notify { remote } => record.node_or_null("remote_node", remote.as_ref()),
        Request::Put { key, value, no_redirect } => {
            record.string("key", key).string("value", value).boolean("no_redirect", *no_redirect)
        }
        Request::Leave(Leaving { node, predecessor, successor_list }) => record
            .string("node", node.as_str())
            .node_or_null("predecessor", predecessor.as_ref())
            .nodes("successor_list", successor_list),
    }
}
