//! How each operation can fail, by the table of codes.

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Response, ResponseBuilder};

use super::parts::{self, Told};
use crate::Code;
use crate::rest::problem::PROBLEM_TYPE;
use crate::rest::route::{Route, Verb};

/// What can go wrong with any request.
const ANY: [Code; 11] = [
    Code::BadRequest,
    Code::NoSecret,
    Code::Forbidden,
    Code::TooLarge,
    Code::TooSlow,
    Code::MediaType,
    Code::ForeignRing,
    Code::RingSizeDiffers,
    Code::MethodNotAllowed,
    Code::Busy,
    Code::Internal,
];

/// What can go wrong on the way to the owner of a key.
const WAY: [Code; 4] = [Code::NotMember, Code::NoRoute, Code::HopLimit, Code::Deadline];

/// What can go wrong with a change there.
const CHANGE: [Code; 7] = [
    Code::ConditionFailed,
    Code::Outdated,
    Code::StoreFailed,
    Code::TooFewCopies,
    Code::Uncertain,
    Code::OtherProgram,
    Code::NotText,
];

/// The status of a request whose headers are too many or too long. The connection is closed with it.
const HEADERS_TOO_LARGE: u16 = 431;

fn codes(route: Route, verb: Verb) -> Vec<Code> {
    let special: &[Code] = match (route, verb) {
        (Route::Kv, Verb::Get | Verb::Head) => {
            &[Code::Absent, Code::ConditionFailed, Code::StoreFailed, Code::NotText]
        }
        (Route::Kv, Verb::Delete) => &[Code::Absent],
        (Route::Incr, _) => &[Code::NotANumber, Code::OutOfRange],
        (Route::Keys | Route::Watch | Route::WatchMany, _) => &[Code::NotMember],
        (
            Route::Kv
            | Route::Batch
            | Route::Ring
            | Route::Live
            | Route::Node
            | Route::Lookup
            | Route::Copies
            | Route::Trace
            | Route::Metrics
            | Route::Healthy
            | Route::Ready
            | Route::Document,
            _,
        ) => &[],
    };
    let is_change = matches!((route, verb), (Route::Kv, Verb::Put | Verb::Delete) | (Route::Incr, _));
    let goes = matches!(route, Route::Kv | Route::Incr | Route::Lookup | Route::Copies | Route::Trace);
    let way = if goes { &WAY[..] } else { &[] };
    let change = if is_change { &CHANGE[..] } else { &[] };
    [&ANY, way, change, special].concat()
}

/// An answer of an operation that fails, which several operations have in common.
pub(super) struct Failure {
    pub(super) status: u16,
    /// The name under which the document has it.
    pub(super) name: String,
    pub(super) response: Response,
}

/// The answers of an operation that fails, in the order of their statuses.
pub(super) fn failures(route: Route, verb: Verb) -> Vec<Failure> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    // Of these the node itself says that it is not well, by a status that others say too.
    let says_itself = matches!(route, Route::Healthy | Route::Ready);
    let codes = codes(route, verb).into_iter().filter(|code| !says_itself || code.http_status() != 503);
    let codes = codes.filter(|code| !route.is_for_everybody() || *code != Code::NoSecret);
    for code in codes {
        by_status.entry(code.http_status()).or_default().push(code);
    }
    let mut failures: Vec<_> = by_status.into_iter().map(|(status, codes)| failure(status, &codes)).collect();
    failures.push(Failure {
        status: HEADERS_TOO_LARGE,
        name: HEADERS_TOO_LARGE.to_string(),
        response: problem("`too-large`: the headers are too many or too long.", &[Told::Error]),
    });
    failures
}

fn failure(status: u16, codes: &[Code]) -> Failure {
    let names = codes.iter().fold(String::new(), |names, code| format!("{names}-{code}"));
    let lines: Vec<_> = codes.iter().map(|code| format!("`{code}`: {}", meaning(*code))).collect();
    let more: &[Told] = match status {
        404 => &[Told::Owner, Told::Hops, Told::Copies],
        405 => &[Told::Allow],
        412 => &[Told::Tag],
        503 => &[Told::RetryAfter],
        _ => &[],
    };
    let response = problem(&lines.join("\n\n"), &[&[Told::Error], more].concat());
    Failure { status, name: format!("{status}{names}"), response }
}

fn problem(about: &str, told: &[Told]) -> Response {
    let content = ContentBuilder::new().schema(Some(parts::of("Problem"))).build();
    parts::with(ResponseBuilder::new().description(about).content(PROBLEM_TYPE, content), told)
}

/// What a code says to a client of REST.
const fn meaning(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "the request makes no sense.",
        Code::NoSecret => "the node wants a secret, and none that it knows was given.",
        Code::Forbidden => {
            "a web page of another site asks for it, or the secret that was given does not allow it."
        }
        Code::TooLarge => "the key, the value or the body is too large.",
        Code::TooSlow => "the body did not arrive in time.",
        Code::MediaType => "the body is of another type, or is packed.",
        Code::ForeignRing | Code::RingSizeDiffers => "the request names another ring, by a `chord-` header.",
        Code::MethodNotAllowed => "the path is asked by other methods.",
        Code::Busy => "the node has too much to do: try again.",
        Code::NotMember => "the node is in no ring.",
        Code::NoRoute | Code::HopLimit => "the owner was not found; the ring may be changing: try again.",
        Code::Deadline => "there was no answer in time, and nothing changed.",
        Code::Absent => "nothing is stored under the key.",
        Code::ConditionFailed => {
            "the condition does not hold, and nothing changed; `ETag` is what is there, if anything is."
        }
        Code::Outdated => "others wrote the key all the time: try again.",
        Code::StoreFailed => "the owner's store is full or broken.",
        Code::TooFewCopies => {
            "fewer copies were made in time than were asked for; the change may have happened."
        }
        Code::Uncertain => "the owner did not say in time whether it was done; the change may have happened.",
        Code::OtherProgram => "the owner is a node of chord.py, which can only put and get.",
        Code::NotText => "the owner is a node of chord.py, which keeps text alone.",
        Code::NotANumber => "what is stored is no whole number of 64 bits.",
        Code::OutOfRange => "the sum would be no whole number of 64 bits.",
        Code::Internal
        | Code::Malformed
        | Code::UnknownCommand
        | Code::AlreadyMember
        | Code::PositionTaken
        | Code::JoinSelf
        | Code::JoinFailed
        | Code::ClockAhead => "a mistake of ours; the node's log says more.",
    }
}
