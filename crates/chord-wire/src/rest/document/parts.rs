//! Parts that several operations have in common: parameters, headers, schemas.

use chord_kv::KEY_BYTES_MAX;
use serde_json::json;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Header, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::DEADLINE_HEADER;
use crate::rest::entity_tag::{CONDITION_PATTERN, ENTITY_TAG_PATTERN};
use crate::rest::lifetime::LIFETIME_PATTERN;
use crate::rest::precondition::SINGLE_TAG_PATTERN;
use crate::rest::query::{CONSISTENCY_WORDS, DEADLINE_MS};

pub(super) const BYTES_TYPE: &str = "application/octet-stream";

fn parameter(name: &str, place: ParameterIn, about: &str, schema: ObjectBuilder) -> ParameterBuilder {
    let is_path = matches!(place, ParameterIn::Path);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if is_path { Required::True } else { Required::False })
        .description(Some(about))
        .schema(Some(schema.build()))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

pub(super) fn key() -> Parameter {
    let about = format!("The key: at most {KEY_BYTES_MAX} bytes, percent-encoded; `%2F` is a slash in it.");
    let schema = text().min_length(Some(1)).max_length(Some(KEY_BYTES_MAX));
    parameter("key", ParameterIn::Path, &about, schema).example(Some(json!("greeting"))).build()
}

pub(super) fn ttl() -> Parameter {
    let about = "How long it is to be there: `500ms`, `30s`, `10m`, `2h`, `7d`; without a unit, seconds.";
    let schema = text().pattern(Some(LIFETIME_PATTERN));
    parameter("ttl", ParameterIn::Query, about, schema).example(Some(json!("60s"))).build()
}

pub(super) fn by() -> Parameter {
    let schema = number().minimum(Some(i64::MIN)).maximum(Some(i64::MAX)).default(Some(json!(1)));
    parameter("by", ParameterIn::Query, "What is added.", schema).example(Some(json!(41))).build()
}

pub(super) fn consistency() -> Parameter {
    let about = "How many copies it is about. A write waits for the owner's own, for more than half, or for all; a read asks \
                 as many. Without it, a read asks the owner alone, and a write waits for the write quorum of the ring.";
    let schema = text().enum_values(Some(CONSISTENCY_WORDS.map(|(word, _)| word)));
    parameter("consistency", ParameterIn::Query, about, schema).example(Some(json!("quorum"))).build()
}

pub(super) fn prefix() -> Parameter {
    let about = format!(
        "How the keys begin: at most {KEY_BYTES_MAX} bytes, percent-encoded. Without it, or with none, they are all keys."
    );
    let schema = text().max_length(Some(KEY_BYTES_MAX));
    parameter("prefix", ParameterIn::Query, &about, schema).example(Some(json!("user:"))).build()
}

pub(super) fn lasts() -> Parameter {
    let about = "After how long the stream ends by itself: `500ms`, `30s`, `10m`. Without it, it does not.";
    let schema = text().pattern(Some(LIFETIME_PATTERN));
    parameter("for", ParameterIn::Query, about, schema).example(Some(json!("100ms"))).build()
}

pub(super) fn last_event_id() -> Parameter {
    let about = "The same as the header `Last-Event-ID`, for clients that cannot set it; the header counts.";
    parameter("last_event_id", ParameterIn::Query, about, text()).build()
}

pub(super) fn last_event_id_header() -> Parameter {
    let about = "The id of the event that was seen last, to go on from there. One that nobody here has written begins \
                 with `missed`.";
    parameter("Last-Event-ID", ParameterIn::Header, about, text()).build()
}

pub(super) fn deadline() -> Parameter {
    let about =
        "How long the client waits, in milliseconds. The node waits no longer, nor longer than it is set to.";
    let (shortest, longest) = DEADLINE_MS.into_inner();
    let schema = number().minimum(Some(shortest)).maximum(Some(longest));
    parameter(DEADLINE_HEADER, ParameterIn::Header, about, schema).example(Some(json!(5000))).build()
}

/// A header that says on what a request depends.
#[derive(Clone, Copy)]
pub(super) enum Condition {
    ReadIfMatch,
    ReadIfNoneMatch,
    IfMatch,
    IfAbsent,
}

pub(super) fn condition(condition: Condition) -> Parameter {
    let header = |name, about, schema| parameter(name, ParameterIn::Header, about, schema).build();
    match condition {
        Condition::ReadIfMatch => header(
            "If-Match",
            "Only if what is stored has one of these tags, or with `*` if anything is.",
            text().pattern(Some(CONDITION_PATTERN)),
        ),
        Condition::ReadIfNoneMatch => header(
            "If-None-Match",
            "Only if what is stored has none of these tags.",
            text().pattern(Some(CONDITION_PATTERN)),
        ),
        Condition::IfMatch => header(
            "If-Match",
            "Only if what is stored has this tag, or with `*` if anything is.",
            text().pattern(Some(SINGLE_TAG_PATTERN)),
        ),
        Condition::IfAbsent => header(
            "If-None-Match",
            "`*`: only if nothing is stored. Not beside `If-Match`.",
            text().enum_values(Some(["*"])),
        ),
    }
}

/// A header of an answer.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Tag,
    Owner,
    Hops,
    Copies,
    Expires,
    NoSniff,
    NoCache,
    Error,
    Allow,
    RetryAfter,
}

impl Told {
    pub(super) const READ: [Self; 7] =
        [Self::Tag, Self::Owner, Self::Hops, Self::Copies, Self::Expires, Self::NoSniff, Self::NoCache];
    pub(super) const WRITTEN: [Self; 5] = [Self::Tag, Self::Owner, Self::Hops, Self::Copies, Self::Expires];
    pub(super) const DELETED: [Self; 4] = [Self::Tag, Self::Owner, Self::Hops, Self::Copies];

    const fn name(self) -> &'static str {
        match self {
            Self::Tag => "ETag",
            Self::Owner => "chord-owner",
            Self::Hops => "chord-hops",
            Self::Copies => "chord-copies",
            Self::Expires => "chord-expires-ms",
            Self::NoSniff => "X-Content-Type-Options",
            Self::NoCache => "Cache-Control",
            Self::Error => "chord-error",
            Self::Allow => "Allow",
            Self::RetryAfter => "Retry-After",
        }
    }

    fn header(self) -> Header {
        let (about, schema) = match self {
            Self::Tag => (
                "The version; left out of a value that a node of chord.py keeps or has left here.",
                text().pattern(Some(ENTITY_TAG_PATTERN)),
            ),
            Self::Owner => ("The node that owns the key.", text()),
            Self::Hops => ("How many times the request was forwarded.", number().minimum(Some(0))),
            Self::Copies => (
                "How many nodes have it, as far as they were asked; left out where none was.",
                number().minimum(Some(1)),
            ),
            Self::Expires => {
                ("When it goes by itself, in milliseconds since 1970, if it does.", number().minimum(Some(0)))
            }
            Self::NoSniff => {
                ("A browser is not to guess what the value is.", text().enum_values(Some(["nosniff"])))
            }
            Self::NoCache => ("A cache asks each time.", text().enum_values(Some(["no-cache"]))),
            Self::Error => ("The `code` of the problem.", text()),
            Self::Allow => ("What this path is asked by.", text()),
            Self::RetryAfter => ("How many seconds to wait.", number().minimum(Some(0))),
        };
        HeaderBuilder::new().description(Some(about)).schema(Some(schema.build())).build()
    }
}

/// The same answer with these headers.
pub(super) fn with(response: ResponseBuilder, told: &[Told]) -> Response {
    told.iter().fold(response, |response, told| response.header(told.name(), told.header())).build()
}

/// What can be asked next about the same key, and with which of its parts.
#[derive(Clone, Copy)]
pub(super) enum Next {
    Read,
    Delete,
    Replace,
    Owner,
}

impl Next {
    const fn operation(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => ("get_value", "Read it."),
            Self::Delete => ("delete_value", "Delete it, if it is still this version."),
            Self::Replace => ("put_value", "Replace it, if it is still this version."),
            Self::Owner => ("get_owner", "Ask for its owner."),
        }
    }
}

/// The same answer, which leads to these.
pub(super) fn leads(response: ResponseBuilder, nexts: &[Next]) -> ResponseBuilder {
    nexts.iter().fold(response, |response, next| {
        let (operation, about) = next.operation();
        let mut link = LinkBuilder::new()
            .operation_id(operation)
            .description(about)
            .parameter("path.key", "$request.path.key");
        if matches!(next, Next::Delete | Next::Replace) {
            link = link.parameter("header.If-Match", "$response.header.ETag");
        }
        response.link(operation, link.build())
    })
}

/// Any bytes.
pub(super) fn bytes() -> Object {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build()
}

/// Events as lines.
pub(super) fn events() -> Object {
    text().build()
}

/// Any object.
pub(super) fn object() -> Object {
    ObjectBuilder::new().schema_type(Type::Object).build()
}

/// The body of that type.
pub(super) fn of(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// Lines of that type.
/// Lines, each of that kind, of which there are so many at least.
pub(super) fn lines(name: &str, at_least: usize) -> RefOr<Schema> {
    let lines = ArrayBuilder::new().items(of(name)).min_items(Some(at_least)).build();
    Schema::Array(lines).into()
}
