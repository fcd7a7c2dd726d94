//! How the seed's command line prints requests and answers: as Python does.

use std::fmt::Write;

use chord_ring::NodeName;

use crate::Command;
use crate::seed::{Answer, Leaving, Request, Target};

/// A text as Python's `repr` shows it: `'bar'`, `"it's"`.
///
/// Which characters are printable depends on the version of Unicode: one that was assigned after our
/// compiler's is shown escaped here and plain by a newer Python, and the other way round.
pub fn python_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for c in text.chars() {
        push_escaped(&mut shown, c, quote);
    }
    shown.push(quote);
    shown
}

fn push_escaped(shown: &mut String, c: char, quote: char) {
    let number = u32::from(c);
    let written = match c {
        '\n' => write!(shown, "\\n"),
        '\r' => write!(shown, "\\r"),
        '\t' => write!(shown, "\\t"),
        '\\' => write!(shown, "\\\\"),
        _ if c == quote => write!(shown, "\\{c}"),
        _ if is_printable(c) => write!(shown, "{c}"),
        _ if number < 0x100 => write!(shown, "\\x{number:02x}"),
        _ if number < 0x1_0000 => write!(shown, "\\u{number:04x}"),
        _ => write!(shown, "\\U{number:08x}"),
    };
    written.expect("a string takes every character");
}

/// Whether Unicode calls the character printable: a mark that joins the one before it included, controls,
/// directions, unassigned ones and spaces other than the plain one not.
///
/// The standard library knows, but tells only by what it escapes. A character that comes first in a text is
/// escaped when it is a joining mark too, hence the one before it.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut buffer = [b'a'; 1 + 4];
    let [_, room @ ..] = &mut buffer;
    let bytes = 1 + c.encode_utf8(room).len();
    let text = buffer.get(..bytes).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("");
    text.escape_debug().nth(1) == Some(c)
}

/// A node as the seed shows it: `chord.node(127.0.0.1:4567)`.
pub fn display_node(name: &NodeName) -> String {
    format!("chord.node({name})")
}

fn display_node_or_none(name: Option<&NodeName>) -> String {
    name.map_or_else(|| "None".to_owned(), display_node)
}

fn display_boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A text as it is, but for what could steer a terminal or end the line: that is escaped as `repr` escapes it.
fn display_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) { shown.push(c) } else { push_escaped(&mut shown, c, '\'') }
    }
    shown
}

/// The line that says what a request to the node `me` is about to do.
pub fn display_request(me: &NodeName, request: &Request) -> String {
    let me = display_node(me);
    match request {
        Request::Node => format!("Getting node info from [{me}]"),
        Request::Create => format!("Creating node ring at [{me}]"),
        Request::Join { remote } => format!("Joining [{me}] to node [{}]", display_node(remote)),
        Request::FindSuccessor { target } => {
            let target = match target {
                Target::Position(position) => &position.to_string(),
                Target::Key(key) => &display_text(key),
            };
            format!("Finding successor for [{target}] starting at [{me}]")
        }
        Request::Notify { remote } => {
            format!("Notifying [{me}] of node [{}]", display_node_or_none(remote.as_ref()))
        }
        Request::GetPredecessor => format!("Getting predecessor info from [{me}]"),
        Request::GetSuccessorList => format!("Getting successor list from [{me}]"),
        Request::Get { key } => format!("Getting key [{}]", display_text(key)),
        Request::Put { key, value, no_redirect: _ } => {
            format!("Putting key [{}] = value [{}]", display_text(key), display_text(value))
        }
        Request::Shutdown => format!("Shutting node [{me}] down gracefully"),
        Request::Leave(Leaving { node, .. }) => {
            format!("Telling [{me}] that node [{}] leaves", display_node(node))
        }
    }
}

/// The line that shows the answer to a command.
pub fn display_answer(command: Command, answer: &Answer) -> String {
    let name = response_name(command);
    match answer {
        Answer::Done => format!("{name}()"),
        Answer::Node { node, is_alive } => {
            format!("{name}(node={}, is_alive={})", display_node(node), display_boolean(*is_alive))
        }
        Answer::FindSuccessor { node, hops } => format!("{name}(node={}, hops={hops})", display_node(node)),
        Answer::Predecessor(node) => format!("{name}(node={})", display_node_or_none(node.as_ref())),
        Answer::SuccessorList(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(display_node).collect();
            format!("{name}(successor_list=[{}])", nodes.join(", "))
        }
        Answer::Get { storage_node, hops, value } => {
            let node = display_node(storage_node);
            let found = display_boolean(value.is_some());
            let value = value.as_deref().map_or_else(|| "None".to_owned(), python_repr);
            format!("{name}(storage_node={node}, hops={hops}, value={value}, found={found})")
        }
        Answer::Put { storage_node, hops } => {
            format!("{name}(storage_node={}, hops={hops})", display_node(storage_node))
        }
    }
}

fn response_name(command: Command) -> &'static str {
    match command {
        Command::Node => "NodeResponse",
        Command::Create => "CreateResponse",
        Command::Join => "JoinResponse",
        Command::FindSuccessor => "FindSuccessorResponse",
        Command::Notify => "NotifyResponse",
        Command::GetPredecessor => "GetPredecessorResponse",
        Command::GetSuccessorList => "GetSuccessorListResponse",
        Command::Get => "GetKeyResponse",
        Command::Put => "PutKeyResponse",
        Command::Shutdown => "ShutdownResponse",
        Command::Leave => "LeaveResponse",
    }
}
