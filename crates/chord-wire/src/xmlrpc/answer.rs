//! Answers, and faults, which are answers that say no.

use super::method::Method;
use super::tokens::{BadXml, Tag};
use super::value::{Members, Parser, Value};
use super::writer::{NotXml, Writer};
use crate::error_body::shown;
use crate::seed::answer::{self, Answer, BadAnswer};
use crate::seed::field::{BadBody, Source, Wanted};
use crate::{Code, Command};

/// An answer to a [`Call`](super::Call) that is not a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    /// To a command of the seed's.
    Seed(Answer),
    /// The names of all methods.
    Methods,
    /// What this method does.
    Help(Method),
    /// What this method takes and yields.
    Signature(Method),
    /// The answers to the calls of a multicall, in their order.
    Multi(Vec<Result<Self, Fault>>),
}

/// Why a call was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence} (fault {code})")]
pub struct Fault {
    /// A number: [`Code::from_fault_code`] knows ours, and the seed's is always 1.
    pub code: i32,
    /// One sentence.
    pub sentence: String,
}

impl Fault {
    /// A fault of ours.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code: code.fault_code(), sentence: sentence.into() }
    }
}

/// The body that answers one of the seed's commands, with exactly the seed's fields.
///
/// # Errors
/// XML-RPC cannot carry a text of it.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, NotXml> {
    response(|writer| seed(writer, answer)).end()
}

/// The body that answers any call.
///
/// # Errors
/// XML-RPC cannot carry a text of it. In a multicall that is a fault of the one call, and no error.
pub fn encode_call_answer(answer: &CallAnswer) -> Result<Vec<u8>, NotXml> {
    response(|writer| any(writer, answer)).end()
}

/// The body that says no, whatever the sentence: characters that XML cannot carry are replaced.
pub fn encode_fault(code: Code, sentence: &str) -> Vec<u8> {
    let writer = Writer::new().xml("<methodResponse><fault>").fault(code.fault_code(), sentence);
    writer.xml("</fault></methodResponse>").into_bytes()
}

fn response(value: impl FnOnce(Writer) -> Writer) -> Writer {
    value(Writer::new().xml("<methodResponse><params><param>")).xml("</param></params></methodResponse>")
}

fn any(writer: Writer, answer: &CallAnswer) -> Writer {
    match answer {
        CallAnswer::Seed(answer) => seed(writer, answer),
        CallAnswer::Methods => writer.texts(Method::LISTED.map(Method::name)),
        CallAnswer::Help(method) => writer.text(method.help()),
        CallAnswer::Signature(method) => {
            array(writer, method.signatures(), |writer, types| writer.texts(types.iter().copied()))
        }
        CallAnswer::Multi(answers) => array(writer, answers, |writer, answer| match answer {
            Ok(answer) => writer.or_fault(|writer| array(writer, [answer], any)),
            Err(Fault { code, sentence }) => writer.fault(*code, sentence),
        }),
    }
}

fn seed(writer: Writer, answer: &Answer) -> Writer {
    answer::write(answer, writer.xml("<value><struct>")).xml("</struct></value>")
}

fn array<T>(
    writer: Writer,
    entries: impl IntoIterator<Item = T>,
    one: impl Fn(Writer, T) -> Writer,
) -> Writer {
    entries.into_iter().fold(writer.xml("<value><array><data>"), one).xml("</data></array></value>")
}

/// The answer to `command` that `body` is, or the fault that it is instead. Takes any bytes.
///
/// # Errors
/// The body is neither.
pub fn decode_answer(command: Command, body: &[u8]) -> Result<Result<Answer, Fault>, BadAnswer> {
    decode(command, body).map_err(|fault| BadAnswer { command, fault })
}

fn decode(command: Command, body: &[u8]) -> Result<Result<Answer, Fault>, BadBody> {
    let mut parser = Parser::new(body)?;
    parser.enter(Tag::MethodResponse, "<methodResponse>")?;
    let child = parser.child()?;
    let values = match child {
        Some(Tag::Params) => parser.params()?,
        Some(Tag::Fault) => vec![parser.only_value()?],
        Some(_) | None => return Err(parser.not_rpc("<params> or <fault>").into()),
    };
    parser.leave()?;
    parser.leave()?;
    let [Value::Struct(members)] = &values[..] else { return Err(BadXml::NotOneStruct.into()) };
    let members = Members(members);
    if child == Some(Tag::Fault) { fault(members).map(Err) } else { answer::read(command, members).map(Ok) }
}

fn fault(members: Members<'_>) -> Result<Fault, BadBody> {
    let [code, sentence] = members.fields(["faultCode", "faultString"])?;
    let number = code.raw.and_then(Value::int).and_then(Result::ok);
    let code = number.and_then(|number| i32::try_from(number).ok());
    let code = code.ok_or(BadBody::WrongType { field: "faultCode", wanted: Wanted::Int })?;
    Ok(Fault { code, sentence: shown(&sentence.required()?.string()?) })
}
