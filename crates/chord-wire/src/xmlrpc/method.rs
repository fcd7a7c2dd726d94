//! Methods: the seed's commands, and what XML-RPC servers tell about themselves.

use std::fmt;

use crate::Command;

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A command of the seed's.
    Seed(Command),
    /// `system.listMethods`: what can be called?
    ListMethods,
    /// `system.methodHelp`: what does a method do?
    MethodHelp,
    /// `system.methodSignature`: what does a method take and yield?
    MethodSignature,
    /// `system.multicall`: many calls at once.
    MultiCall,
}

impl Method {
    /// What we tell others about. [`Command::Leave`] is missing: it is between our own nodes.
    pub const LISTED: [Self; 14] = [
        Self::Seed(Command::Node),
        Self::Seed(Command::Create),
        Self::Seed(Command::Join),
        Self::Seed(Command::FindSuccessor),
        Self::Seed(Command::Notify),
        Self::Seed(Command::GetPredecessor),
        Self::Seed(Command::GetSuccessorList),
        Self::Seed(Command::Get),
        Self::Seed(Command::Put),
        Self::Seed(Command::Shutdown),
        Self::ListMethods,
        Self::MethodHelp,
        Self::MethodSignature,
        Self::MultiCall,
    ];

    /// The method's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seed(command) => command.name(),
            Self::ListMethods => "system.listMethods",
            Self::MethodHelp => "system.methodHelp",
            Self::MethodSignature => "system.methodSignature",
            Self::MultiCall => "system.multicall",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let command = Command::from_name(name).map(Self::Seed);
        command.or_else(|| Self::LISTED.into_iter().find(|method| method.name() == name))
    }

    /// What the method does, in a sentence or two for `system.methodHelp`.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Seed(command) => command_help(command),
            Self::ListMethods => "Names all methods, as a list of strings.",
            Self::MethodHelp => "Says what a method does, given its name.",
            Self::MethodSignature => {
                "Says what a method takes and yields, given its name: a list of signatures, each a list of \
                 types of which the first is the answer's."
            }
            Self::MultiCall => {
                "Makes many calls at once, given as a list of structs of methodName (string) and params \
                 (list). Answers with a list that holds for each call either a list of one answer or a fault as \
                 a struct of faultCode (int) and faultString (string)."
            }
        }
    }

    /// The types of the answer and of the parameters, one row for each way to call the method.
    pub const fn signatures(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Seed(
                Command::Node
                | Command::Create
                | Command::GetPredecessor
                | Command::GetSuccessorList
                | Command::Shutdown,
            ) => &[&["struct"], &["struct", "struct"]],
            Self::Seed(
                Command::Join
                | Command::FindSuccessor
                | Command::Notify
                | Command::Get
                | Command::Put
                | Command::Leave,
            ) => &[&["struct", "struct"]],
            Self::ListMethods => &[&["array"]],
            Self::MethodHelp => &[&["string", "string"]],
            Self::MethodSignature => &[&["array", "string"]],
            Self::MultiCall => &[&["array", "array"]],
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

const fn command_help(command: Command) -> &'static str {
    match command {
        Command::Node => {
            "Says which node this is and whether it is alive. Takes an empty struct or nothing; answers with \
             node (string, HOST:PORT) and is_alive (boolean)."
        }
        Command::Create => {
            "Starts a ring that has this node alone. Takes an empty struct or nothing; answers with an empty \
             struct."
        }
        Command::Join => {
            "Makes this node a member of the ring that another is in. Takes remote_node (string, HOST:PORT); \
             answers with an empty struct."
        }
        Command::FindSuccessor => {
            "Finds the node that owns a position or a key. Takes key (int for a position, string for a key); \
             answers with node (string) and hops (int)."
        }
        Command::Notify => {
            "Tells this node that another may be its predecessor, or that its predecessor has left. Takes \
             remote_node (string or nil); answers with an empty struct."
        }
        Command::GetPredecessor => {
            "Names the predecessor of this node. Takes an empty struct or nothing; answers with node (string or \
             nil)."
        }
        Command::GetSuccessorList => {
            "Names the successors of this node. Takes an empty struct or nothing; answers with successor_list \
             (list of strings)."
        }
        Command::Get => {
            "Reads a key, whichever node has it. Takes key (string); answers with storage_node (string), hops \
             (int), value (string or nil) and found (boolean)."
        }
        Command::Put => {
            "Writes a key, whichever node is to have it. Takes key (string), value (string) and, if this very \
             node is to keep the pair, no_redirect (boolean); answers with storage_node (string) and hops (int)."
        }
        Command::Shutdown => {
            "Makes this node hand its keys over, leave the ring and end. Takes an empty struct or nothing; \
             answers with an empty struct."
        }
        Command::Leave => {
            "Tells this node that a neighbour leaves, and whom that knew. Takes node (string), predecessor \
             (string or nil) and successor_list (list of strings); answers with an empty struct."
        }
    }
}

/// What a method takes, to show to those who called it with something else.
pub(super) struct Takes(pub(super) Method);

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.0;
        match method {
            Method::Seed(command) => {
                write!(f, "{method} takes one parameter, a struct like {}", command.example())
            }
            Method::ListMethods => write!(f, "{method} takes no parameter"),
            Method::MethodHelp | Method::MethodSignature => {
                write!(f, "{method} takes one parameter, the name of a method")
            }
            Method::MultiCall => write!(
                f,
                "{method} takes one parameter, a list of structs like \
                 {{\"methodName\": \"get\", \"params\": [{{\"key\": \"foo\"}}]}}"
            ),
        }
    }
}
