//! Languages: one request of the seed as an HTTP exchange in JSON or in XML-RPC, and back.

use bytes::Bytes;
use chord_wire::{Code, Command, Context, seed, xmlrpc};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::connection::Exchange;

/// What a peer speaks on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// A POST of a JSON object to the path of the command.
    Http,
    /// XML-RPC, with the command for a method.
    XmlRpc,
}

/// A request, ready to be sent.
pub(crate) struct Said {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// What a peer answered, understood.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Result<seed::Answer, Refused>,
    /// What it says beside its body; empty from a seed node.
    pub(crate) context: Context,
}

impl Reply {
    /// Whether a peer can only have answered so if it understood the request: a refusal without a code may be about the
    /// language itself.
    pub(crate) fn shows_language(&self) -> bool {
        self.answer.as_ref().map_or_else(|refused| refused.code.is_some(), |_| true)
    }
}

/// A peer's word that it does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Why, for programs; a seed node does not say.
    pub(crate) code: Option<Code>,
    /// Why, for people.
    pub(crate) sentence: String,
}

/// An answer that is not one of this language: what came, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (HTTP status {status}, {content_type}, {bytes} bytes)")]
pub(crate) struct Misunderstood {
    fault: String,
    status: u16,
    content_type: &'static str,
    bytes: usize,
}

impl Language {
    /// All languages, the best first.
    pub const ALL: [Self; 2] = [Self::Http, Self::XmlRpc];

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Http => Self::XmlRpc,
            Self::XmlRpc => Self::Http,
        }
    }

    /// The request in this language.
    ///
    /// # Errors
    /// It holds what the language has no way to say.
    pub(crate) fn say(self, request: &seed::Request) -> Result<Said, xmlrpc::NotXml> {
        Ok(match self {
            Self::Http => Said {
                path: path(request.command()),
                content_type: "application/json",
                body: seed::encode_request(request).into(),
            },
            Self::XmlRpc => {
                Said { path: "/RPC2", content_type: "text/xml", body: xmlrpc::encode_call(request)?.into() }
            }
        })
    }

    /// What an exchange in this language means.
    pub(crate) fn understand(self, command: Command, exchange: &Exchange) -> Result<Reply, Misunderstood> {
        let misunderstood = |fault: String| Misunderstood {
            fault,
            status: exchange.status.as_u16(),
            content_type: kind(exchange),
            bytes: exchange.body.len(),
        };
        let context = exchange.context().map_err(|bad| misunderstood(bad.to_string()))?;
        if exchange.status != StatusCode::OK {
            let sentence = chord_wire::decode_error(&exchange.body);
            // Our own nodes say so in JSON when they cannot even look at a request, whatever it is written in.
            let is_said = context.code.is_some() || (self == Self::Http && sentence.is_some());
            if !is_said {
                return Err(misunderstood("the answer is an error that says nothing".to_owned()));
            }
            let sentence = sentence.unwrap_or_else(|| format!("HTTP status {}", exchange.status.as_u16()));
            return Ok(Reply { answer: Err(Refused { code: context.code, sentence }), context });
        }
        let decoded = match self {
            Self::Http => seed::decode_answer(command, &exchange.body).map(Ok),
            Self::XmlRpc => xmlrpc::decode_answer(command, &exchange.body),
        };
        let answer = decoded.map_err(|bad| misunderstood(bad.to_string()))?.map_err(|fault| Refused {
            code: context.code.or_else(|| Code::from_fault_code(fault.code)),
            sentence: fault.sentence,
        });
        Ok(Reply { answer, context })
    }
}

/// What an answer says that it is, in a word that is ours.
fn kind(exchange: &Exchange) -> &'static str {
    let content_type = exchange.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    [("html", "HTML"), ("json", "JSON"), ("xml", "XML"), ("text", "text")]
        .into_iter()
        .find(|(word, _)| content_type.contains(word))
        .map_or("of an unknown type", |(_, kind)| kind)
}

/// The path of a command.
const fn path(command: Command) -> &'static str {
    match command {
        Command::Node => "/node",
        Command::Create => "/create",
        Command::Join => "/join",
        Command::FindSuccessor => "/find_successor",
        Command::Notify => "/notify",
        Command::GetPredecessor => "/get_predecessor",
        Command::GetSuccessorList => "/get_successor_list",
        Command::Get => "/get",
        Command::Put => "/put",
        Command::Shutdown => "/shutdown",
        Command::Leave => "/leave",
    }
}
