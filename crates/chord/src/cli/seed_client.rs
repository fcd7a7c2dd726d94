//! `chord http client` and `chord xmlrpc client`: one command to one node, printed as chord.py's client prints it.

use chord::wire::{Request, Target, display_answer, display_request};
use chord::{Language, NodeName};
use clap::{Args, Subcommand};

use super::client::WaitArgs;
use super::exit::Usage;
use super::output::{self, note};
use super::{address, lookup};

/// Send one command to one node, as chord.py's client does
#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    subcommand_required = false,
    arg_required_else_help = false,
    args_conflicts_with_subcommands = false,
    subcommand_value_name = "COMMAND"
)]
pub(crate) struct ClientArgs {
    /// The node's host
    host: String,

    /// The node's port
    #[arg(value_parser = address::port)]
    port: u16,

    /// The same as the command `get KEY`
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    get: Option<String>,

    #[command(flatten)]
    wait: WaitArgs,

    #[command(subcommand)]
    command: Option<ClientCommand>,
}

const EXAMPLES: &str = "\
Examples:
  chord http client 127.0.0.1 4567 create
  chord http client 127.0.0.1 4568 join 127.0.0.1 4567
  chord http client 127.0.0.1 4568 put foo bar
  chord http client 127.0.0.1 4567 get foo
  chord http client 127.0.0.1 4567 find_successor --id 5

The same with xmlrpc for http. What is asked goes to standard error, the answer to standard output.";

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Ask the node who it is
    Node,
    /// Make the node found a ring
    Create,
    /// Make the node join the ring of another
    Join(RemoteArgs),
    /// Find the node that owns a key or a position
    #[command(name = "find_successor")]
    FindSuccessor(TargetArgs),
    /// Tell the node about one that may be its predecessor
    Notify(RemoteArgs),
    /// Ask for the node's predecessor
    #[command(name = "get_predecessor")]
    GetPredecessor,
    /// Ask for the node's successors
    #[command(name = "get_successor_list")]
    GetSuccessorList,
    /// Read a key
    Get {
        /// The key
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// Write a key
    Put {
        /// The key
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// The value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Make the node hand its keys over, leave its ring and stop; waits up to ten minutes for it
    Shutdown,
}

#[derive(Debug, Args)]
struct RemoteArgs {
    /// The other node's host
    host: String,
    /// The other node's port
    #[arg(value_parser = address::port)]
    port: u16,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// A key: its position is looked up
    key: Option<String>,
    /// A position, in decimal digits
    #[arg(long, value_name = "POSITION", value_parser = lookup::position, allow_negative_numbers = true)]
    id: Option<chord::Position>,
}

impl ClientArgs {
    pub(crate) async fn run(self, language: Language) -> anyhow::Result<()> {
        let node = address::name(&self.host, self.port)?;
        let request = request(self.get, self.command)?;
        note(display_request(&node, &request));
        let reply = match request {
            Request::Shutdown => self.wait.shut_down(language, &node).await?,
            _ => self.wait.call_in(language, &node, &request, self.wait.deadline()).await?,
        };
        output::answer(display_answer(request.command(), &reply.answer))
    }
}

fn request(get: Option<String>, command: Option<ClientCommand>) -> anyhow::Result<Request> {
    match (get, command) {
        (Some(key), None) => Ok(Request::Get { key }),
        (None, Some(command)) => command.request(),
        (None, None) => {
            let missing = "a command is missing, such as node or get KEY";
            Err(Usage::new(missing).into())
        }
        (Some(_), Some(_)) => Err(Usage::new("--get is a command already: leave out the other").into()),
    }
}

impl ClientCommand {
    fn request(self) -> anyhow::Result<Request> {
        Ok(match self {
            Self::Node => Request::Node,
            Self::Create => Request::Create,
            Self::Join(remote) => Request::Join { remote: remote.name()? },
            Self::FindSuccessor(target) => Request::FindSuccessor { target: target.target() },
            Self::Notify(remote) => Request::Notify { remote: Some(remote.name()?) },
            Self::GetPredecessor => Request::GetPredecessor,
            Self::GetSuccessorList => Request::GetSuccessorList,
            Self::Get { key } => Request::Get { key },
            Self::Put { key, value } => Request::Put { key, value, no_redirect: false },
            Self::Shutdown => Request::Shutdown,
        })
    }
}

impl RemoteArgs {
    fn name(&self) -> anyhow::Result<NodeName> {
        address::name(&self.host, self.port)
    }
}

impl TargetArgs {
    /// One of the two is there: clap sees to it.
    fn target(self) -> Target {
        self.id.map_or_else(|| Target::Key(self.key.unwrap_or_default()), Target::Position)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        client: ClientArgs,
    }

    fn shown(arguments: &str) -> String {
        let line = format!("chord 127.0.0.1 4568 {arguments}");
        let client = Line::try_parse_from(line.split(' ')).unwrap().client;
        let node = address::name(&client.host, client.port).unwrap();
        display_request(&node, &request(client.get, client.command).unwrap())
    }

    #[test]
    fn every_command_of_the_seed_is_understood() {
        let lines = [
            ("node", "Getting node info from [chord.node(127.0.0.1:4568)]"),
            ("create", "Creating node ring at [chord.node(127.0.0.1:4568)]"),
            (
                "join 127.0.0.1 4567",
                "Joining [chord.node(127.0.0.1:4568)] to node [chord.node(127.0.0.1:4567)]",
            ),
            ("find_successor 0", "Finding successor for [0] starting at [chord.node(127.0.0.1:4568)]"),
            ("find_successor --id 7", "Finding successor for [7] starting at [chord.node(127.0.0.1:4568)]"),
            ("notify ::1 4567", "Notifying [chord.node(127.0.0.1:4568)] of node [chord.node([::1]:4567)]"),
            ("get_predecessor", "Getting predecessor info from [chord.node(127.0.0.1:4568)]"),
            ("get_successor_list", "Getting successor list from [chord.node(127.0.0.1:4568)]"),
            ("get foo", "Getting key [foo]"),
            ("--get foo", "Getting key [foo]"),
            ("put foo -5", "Putting key [foo] = value [-5]"),
            ("shutdown", "Shutting node [chord.node(127.0.0.1:4568)] down gracefully"),
        ];
        for (arguments, expected) in lines {
            assert_eq!(shown(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn a_key_of_digits_is_a_key_and_an_id_is_a_position() {
        let target = |arguments: &str| {
            let line = format!("chord host 1 find_successor {arguments}");
            let client = Line::try_parse_from(line.split(' ')).unwrap().client;
            request(client.get, client.command).unwrap()
        };
        assert_eq!(target("5"), Request::FindSuccessor { target: Target::Key("5".to_owned()) });
        assert_eq!(target("--id 5"), Request::FindSuccessor { target: Target::Position(5.into()) });
    }

    #[test]
    fn options_may_stand_on_either_side_of_the_command() {
        for arguments in ["--timeout 3 node", "node --timeout 3", "get foo --timeout 3"] {
            let line = format!("chord host 1 {arguments}");
            let client = Line::try_parse_from(line.split(' ')).unwrap().client;
            assert_eq!(client.wait.deadline(), Duration::from_secs(3), "{arguments}");
        }
    }

    #[test]
    fn one_command_it_must_be() {
        for arguments in ["", " find_successor", " find_successor a --id 5", " put a", " join h", " leave"] {
            let line = format!("chord host 1{arguments}");
            let wrong = Line::try_parse_from(line.split(' '))
                .map_err(anyhow::Error::from)
                .and_then(|line| request(line.client.get, line.client.command));
            assert!(wrong.is_err(), "{arguments:?}");
        }
        assert!(request(Some("a".to_owned()), Some(ClientCommand::Node)).is_err());
    }
}
