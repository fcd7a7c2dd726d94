//! Commands: what one node or client can ask of a node in the seed's languages.

use std::fmt;

/// A command by name: the path of an HTTP request, the method of an XML-RPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Who are you, and are you alive?
    Node,
    /// Start a ring of one.
    Create,
    /// Join the ring of another node.
    Join,
    /// Which node owns a position or key?
    FindSuccessor,
    /// The sender may be your predecessor.
    Notify,
    /// Who is your predecessor?
    GetPredecessor,
    /// Who are your successors?
    GetSuccessorList,
    /// Read a key.
    Get,
    /// Write a key.
    Put,
    /// Leave the ring and end.
    Shutdown,
    /// A neighbour leaves and hands over whom it knew. Ours alone: the seed does not know it.
    Leave,
}

const _: () = assert!(Command::Leave as usize + 1 == Command::ALL.len(), "a command is missing in ALL");

impl Command {
    /// All commands.
    pub const ALL: [Self; 11] = [
        Self::Node,
        Self::Create,
        Self::Join,
        Self::FindSuccessor,
        Self::Notify,
        Self::GetPredecessor,
        Self::GetSuccessorList,
        Self::Get,
        Self::Put,
        Self::Shutdown,
        Self::Leave,
    ];

    /// The command's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Create => "create",
            Self::Join => "join",
            Self::FindSuccessor => "find_successor",
            Self::Notify => "notify",
            Self::GetPredecessor => "get_predecessor",
            Self::GetSuccessorList => "get_successor_list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Shutdown => "shutdown",
            Self::Leave => "leave",
        }
    }

    /// The command of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    /// A request body for it, to show to those who sent a bad one.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Node | Self::Create | Self::GetPredecessor | Self::GetSuccessorList | Self::Shutdown => {
                "{}"
            }
            Self::Join => r#"{"remote_node": "127.0.0.1:4567"}"#,
            Self::Notify => r#"{"remote_node": "127.0.0.1:4567"} or {"remote_node": null}"#,
            Self::FindSuccessor => r#"{"key": 5} for a position or {"key": "foo"} for a key"#,
            Self::Get => r#"{"key": "foo"}"#,
            Self::Put => r#"{"key": "foo", "value": "bar", "no_redirect": false}"#,
            Self::Leave => {
                r#"{"node": "127.0.0.1:4567", "predecessor": null, "successor_list": ["127.0.0.1:4568"]}"#
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_and_by_no_other() {
        for command in Command::ALL {
            assert_eq!(Command::from_name(command.name()), Some(command));
        }
        for name in ["", "GET", "get ", "rpc", "get_successor"] {
            assert_eq!(Command::from_name(name), None, "{name:?}");
        }
    }
}
