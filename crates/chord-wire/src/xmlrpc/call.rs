//! Calls: what is asked.

use super::method::{Method, Takes};
use super::tokens::{BadXml, Tag};
use super::value::{Member, Members, Parser, Value};
use super::writer::{NotXml, Writer};
use crate::seed::field::{BadBody, Source};
use crate::seed::request::{self, Request};
use crate::{Code, Command};

/// How many calls one `system.multicall` may hold: enough to make the round trip cheap, and little enough that
/// nobody waits long for the answer, since they are answered one after the other.
pub const MULTICALL_MAX: usize = 64;

/// A call, whichever way it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A command of the seed's.
    Seed(Request),
    /// What can be called?
    ListMethods,
    /// What does this method do?
    MethodHelp(Method),
    /// What does this method take and yield?
    MethodSignature(Method),
    /// Calls to be answered one after the other, with what is wrong with those that cannot be understood. None
    /// of them is a `Multi` again, and there are at most [`MULTICALL_MAX`].
    Multi(Vec<Result<Self, BadCall>>),
}

/// A call that cannot be understood, and what a good one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCall {
    /// The body is not XML-RPC.
    #[error("{0}")]
    Xml(#[from] BadXml),
    /// There is no such method.
    #[error("there is no such method; system.listMethods names those that there are")]
    UnknownMethod,
    /// A parameter too few or too many, or one of another type.
    #[error("{}", Takes(*.0))]
    Arity(Method),
    /// A field of the parameter is wrong.
    #[error("{fault}; {}", Takes(*.method))]
    Field {
        /// The method.
        method: Method,
        /// What is wrong.
        fault: BadBody,
    },
    /// More calls at once than are taken.
    #[error("system.multicall takes at most {MULTICALL_MAX} calls")]
    TooManyCalls,
    /// A multicall in a multicall.
    #[error("system.multicall cannot hold another")]
    Nested,
}

impl BadCall {
    /// The code of the fault that answers such a call.
    pub fn code(self) -> Code {
        match self {
            Self::Xml(BadXml::TooDeep | BadXml::TooManyValues | BadXml::LongName) | Self::TooManyCalls => {
                Code::TooLarge
            }
            Self::Xml(_) => Code::Malformed,
            Self::UnknownMethod => Code::UnknownCommand,
            Self::Arity(_) | Self::Field { .. } | Self::Nested => Code::BadRequest,
        }
    }
}

/// The call that `body` is. Takes any bytes.
///
/// # Errors
/// The body is not XML-RPC, or not a call that this node knows.
pub fn decode_call(body: &[u8]) -> Result<Call, BadCall> {
    let mut parser = Parser::new(body)?;
    parser.enter(Tag::MethodCall, "<methodCall>")?;
    parser.enter(Tag::MethodName, "<methodName>")?;
    let name = parser.name()?;
    let params = match parser.child()? {
        None => Vec::new(),
        Some(Tag::Params) => {
            let params = parser.params()?;
            parser.leave()?;
            params
        }
        Some(_) => return Err(parser.not_rpc("<params>").into()),
    };
    parser.leave()?;
    let method = named(name.trim_ascii())?;
    if method == Method::MultiCall { multi(&params).map(Call::Multi) } else { single(method, &params) }
}

/// A call that is not many.
fn single(method: Method, params: &[Value<'_>]) -> Result<Call, BadCall> {
    let arity = BadCall::Arity(method);
    match method {
        Method::Seed(command) => match params {
            [] => seed(command, &[]),
            [Value::Struct(members)] => seed(command, members),
            _ => Err(arity),
        },
        Method::ListMethods if params.is_empty() => Ok(Call::ListMethods),
        Method::ListMethods => Err(arity),
        Method::MethodHelp => named(only_text(params).ok_or(arity)?).map(Call::MethodHelp),
        Method::MethodSignature => named(only_text(params).ok_or(arity)?).map(Call::MethodSignature),
        Method::MultiCall => Err(BadCall::Nested),
    }
}

fn seed(command: Command, members: &[Member<'_>]) -> Result<Call, BadCall> {
    let request = request::read(command, Members(members));
    request.map(Call::Seed).map_err(|fault| BadCall::Field { method: Method::Seed(command), fault })
}

fn named(name: &str) -> Result<Method, BadCall> {
    Method::from_name(name).ok_or(BadCall::UnknownMethod)
}

fn only_text<'v>(params: &'v [Value<'_>]) -> Option<&'v str> {
    if let [Value::Text(text)] = params { Some(text) } else { None }
}

fn multi(params: &[Value<'_>]) -> Result<Vec<Result<Call, BadCall>>, BadCall> {
    let [Value::Array(calls)] = params else { return Err(BadCall::Arity(Method::MultiCall)) };
    if calls.len() > MULTICALL_MAX {
        return Err(BadCall::TooManyCalls);
    }
    Ok(calls.iter().map(one_of_many).collect())
}

fn one_of_many(call: &Value<'_>) -> Result<Call, BadCall> {
    let wrong = BadCall::Arity(Method::MultiCall);
    let Value::Struct(members) = call else { return Err(wrong) };
    let fields = Members(members).fields(["methodName", "params"]);
    let [name, params] = fields.map_err(|fault| BadCall::Field { method: Method::MultiCall, fault })?;
    let Some(Value::Text(name)) = name.raw else { return Err(wrong) };
    match params.raw {
        None => single(named(name)?, &[]),
        Some(Value::Array(params)) => single(named(name)?, params),
        Some(_) => Err(wrong),
    }
}

/// The call that makes this request: its parameter is a struct with exactly the seed's fields.
///
/// # Errors
/// XML-RPC cannot carry a text or a position of it.
pub fn encode_call(request: &Request) -> Result<Vec<u8>, NotXml> {
    let writer = Writer::new()
        .xml("<methodCall><methodName>")
        .xml(request.command().name())
        .xml("</methodName><params><param><value><struct>");
    request::write(request, writer).xml("</struct></value></param></params></methodCall>").end()
}
