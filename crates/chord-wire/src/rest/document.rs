//! The document that describes REST, in `OpenAPI` 3.1: made of the routes, of the types of the bodies and of the codes.

mod failures;
mod parts;

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, PathsBuilder, Ref, Required, Response,
    ResponseBuilder,
};

use super::batch::{BATCH_LINES_MAX, BATCH_TYPE, BatchAnswer, BatchDone, BatchLine};
use super::body::{
    Counter, FingerBody, JSON_TYPE, LookupBody, NodeBody, RangeBody, RingBody, SentBody, SpelledKey, json,
};
use super::copies::{CopiesBody, CopyBody, CopyState};
use super::health::{Checked, HealthBody, ProbeBody, Reason, ReasonBody};
use super::listing::{KEYS_TYPE, KeyLine};
use super::live::{PictureBody, SeenAs, SeenBody};
use super::problem::{PROBLEM_TYPE, Problem};
use super::query::Parameter;
use super::report::{LinkBody, ProcessBody, ReportBody, StorageBody};
use super::route::{Route, Verb};
use super::sight::{ClaimBody, FoundBody, RingHealth, RingReason, RingTrouble, Severity, SideBody, TornBody};
use super::trace::{StepBody, TraceBody, Why};
use super::watch::{ChangeData, EVENTS_TYPE, MissedData};
use super::work::{DoorsBody, LookupsBody, OperationsBody, RepairBody, WorkBody};
use failures::{Failure, failures};
use parts::{Condition, Next, Told};

/// What a node accepts, as far as the document says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
}

const ABOUT: &str = "\
Keys and values on a Chord ring, by any of its nodes: each answers for every key.

A key is any bytes, percent-encoded; all behind `/v1/kv/` is the key, slashes too, but a plain `/incr` at the end of the \
path is none of it. A value is any bytes. Its version is its `ETag`.

Every error is a problem as RFC 9457 has it, with a `code` for programs; `chord-error` holds the same word. \
`uncertain` and `too-few-copies` say that a change may have happened; with any other code nothing changed.";

const WATCHING: &str = "\
A stream of events, for `EventSource` and the like. `watching` says that from now on nothing is missed without a word; \
`set`, `deleted` and `expired` have a `ChangeData` as their data; `missed` has a `MissedData`, and says that changes may have \
been missed. Each has an `id`, by which a client goes on: for one key it is told what it has missed, for many keys that it \
may have. Between events comments keep the connection alive. It ends when the node leaves, and after `for`.";

const LIVE: &str = "\
A stream of events. `ring` comes first, with a `PictureBody` as its data that has every node; `changes` follow, whose \
`PictureBody` has those that have changed, and a `beat` after two seconds without either. Nodes are found by all that any of them names, and each is told of by itself; `health` says of the whole ring what is the \
matter, and what to do. \
The ring is looked at only while somebody reads such a stream, and the more seldom the more nodes there are.";

const TRACE: &str = "\
Each node on the way is asked what it knows, and by that it is told why it named the next. That is a moment after the key was \
looked up, so it may have changed its mind.";

const METRICS: &str = "\
Of this node alone, in the text format of Prometheus, or in that of OpenMetrics where `Accept` names it. Parameters are passed \
over.";

const HEALTHY: &str = "\
503 says that the node hangs and is to be started anew. `reasons` also has what keeps it from being ready, and what other nodes \
say otherwise than it believes: that heals by itself, and is worse when the node is gone. Parameters are passed over.";

const READY: &str = "\
Whether it has everything that it should have, and others of its own, so that the next node may be stopped. Parameters are \
passed over.";

/// What the numbers are written in.
const METRICS_TYPE: &str = "text/plain";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text";

/// The document, for a node with these limits.
pub fn document(limits: &DocumentLimits) -> Vec<u8> {
    let license = License::builder().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("chord")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let mut paths = PathsBuilder::new();
    for route in Route::ALL {
        let mut item = PathItem::default();
        for verb in route.verbs() {
            let operation = Described { route, verb: *verb, limits }.operation();
            item.merge_operations(PathItem::new(method(*verb), operation));
        }
        paths = paths.path(route.template(), item);
    }
    let tag = |name: &str, about: &str| TagBuilder::new().name(name).description(Some(about)).build();
    let tags = [tag("keys", "What is stored."), tag("ring", "Where it is stored.")];
    let api: OpenApi = OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components()))
        .security(Some(securities()))
        .tags(Some(tags))
        .build();
    json(&api)
}

/// How a secret may be given; none, where the node wants none.
fn securities() -> Vec<SecurityRequirement> {
    let none = || [] as [&str; 0];
    vec![
        SecurityRequirement::new(BEARER, none()),
        SecurityRequirement::new(BASIC, none()),
        SecurityRequirement::default(),
    ]
}

fn scheme(scheme: HttpAuthScheme, about: &str) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(about)).build())
}

const BEARER: &str = "secret";
const BASIC: &str = "password";

fn components() -> utoipa::openapi::schema::Components {
    let schemas = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<Counter>()
        .schema_from::<BatchLine>()
        .schema_from::<BatchAnswer>()
        .schema_from::<BatchDone>()
        .schema_from::<NodeBody>()
        .schema_from::<FingerBody>()
        .schema_from::<RangeBody>()
        .schema_from::<SentBody>()
        .schema_from::<RingBody>()
        .schema_from::<LookupBody>()
        .schema_from::<SpelledKey>()
        .schema_from::<ReportBody>()
        .schema_from::<StorageBody>()
        .schema_from::<ProcessBody>()
        .schema_from::<LinkBody>()
        .schema_from::<WorkBody>()
        .schema_from::<DoorsBody>()
        .schema_from::<HealthBody>()
        .schema_from::<ReasonBody>()
        .schema_from::<Reason>()
        .schema_from::<ProbeBody>()
        .schema_from::<Checked>()
        .schema_from::<OperationsBody>()
        .schema_from::<LookupsBody>()
        .schema_from::<RepairBody>()
        .schema_from::<SeenBody>()
        .schema_from::<SeenAs>()
        .schema_from::<PictureBody<'_>>()
        .schema_from::<RingHealth>()
        .schema_from::<FoundBody>()
        .schema_from::<TornBody>()
        .schema_from::<SideBody>()
        .schema_from::<ClaimBody>()
        .schema_from::<RingReason>()
        .schema_from::<RingTrouble>()
        .schema_from::<Severity>()
        .schema_from::<CopiesBody>()
        .schema_from::<CopyBody>()
        .schema_from::<CopyState>()
        .schema_from::<TraceBody>()
        .schema_from::<StepBody>()
        .schema_from::<Why>()
        .schema_from::<KeyLine>()
        .schema_from::<ChangeData>()
        .schema_from::<MissedData>()
        .security_scheme(BEARER, scheme(HttpAuthScheme::Bearer, "A secret of the node, as a token."))
        .security_scheme(BASIC, scheme(HttpAuthScheme::Basic, "The same as the password of any user."));
    let operations =
        Route::ALL.into_iter().flat_map(|route| route.verbs().iter().map(move |verb| (route, *verb)));
    let failures = operations.flat_map(|(route, verb)| failures(route, verb));
    failures
        .fold(schemas, |components, Failure { name, response, .. }| components.response(name, response))
        .build()
}

const fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Head => HttpMethod::Head,
        Verb::Put => HttpMethod::Put,
        Verb::Delete => HttpMethod::Delete,
        Verb::Post => HttpMethod::Post,
    }
}

impl Route {
    /// Whether a client may say how long it waits for the one answer that there is.
    const fn has_deadline(self) -> bool {
        matches!(self, Self::Kv | Self::Incr | Self::Batch | Self::Lookup | Self::Copies | Self::Trace)
    }
}

/// One operation as it is described.
#[derive(Clone, Copy)]
struct Described<'a> {
    route: Route,
    verb: Verb,
    limits: &'a DocumentLimits,
}

impl Described<'_> {
    fn operation(self) -> Operation {
        let (id, summary, about) = self.words();
        let tag = if self.is_about_keys() { "keys" } else { "ring" };
        let mut operation = OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(id))
            .summary(Some(summary))
            .description(Some(about).filter(|about| !about.is_empty()))
            .request_body(self.body());
        if self.route.template().contains("{key}") {
            operation = operation.parameter(parts::key());
        }
        for parameter in self.route.parameters(self.verb) {
            operation = operation.parameter(match parameter {
                Parameter::Ttl => parts::ttl(),
                Parameter::By => parts::by(),
                Parameter::Consistency => parts::consistency(),
                Parameter::Prefix => parts::prefix(),
                Parameter::For => parts::lasts(),
                Parameter::LastEventId => parts::last_event_id(),
            });
        }
        for condition in self.conditions() {
            operation = operation.parameter(parts::condition(*condition));
        }
        if matches!(self.route, Route::Watch | Route::WatchMany) {
            operation = operation.parameter(parts::last_event_id_header());
        }
        if self.route.has_deadline() {
            operation = operation.parameter(parts::deadline());
        }
        for (status, response) in self.responses() {
            operation = operation.response(status.to_string(), response);
        }
        for Failure { status, name, .. } in failures(self.route, self.verb) {
            operation = operation.response(status.to_string(), Ref::from_response_name(name));
        }
        if self.route.is_for_everybody() {
            operation = operation.securities(Some([]));
        }
        operation.build()
    }

    const fn is_about_keys(self) -> bool {
        !matches!(
            self.route,
            Route::Ring
                | Route::Live
                | Route::Node
                | Route::Lookup
                | Route::Copies
                | Route::Trace
                | Route::Metrics
                | Route::Healthy
                | Route::Ready
                | Route::Document
        )
    }

    /// Its name, what it does, and what else is to be said.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match (self.route, self.verb) {
            (Route::Kv, Verb::Head) => ("head_value", "What is known of a value, without it", ""),
            (Route::Kv, Verb::Put) => (
                "put_value",
                "Store a value",
                "The body is taken as it is, whatever its type. Acknowledged when the write quorum of copies is made.",
            ),
            (Route::Kv, Verb::Delete) => ("delete_value", "Delete a value", ""),
            (Route::Kv, _) => ("get_value", "Read a value", ""),
            (Route::Incr, _) => (
                "increment",
                "Add to a number",
                "Nothing stored counts as 0. Without a ttl, it goes when it would have gone before.",
            ),
            (Route::Batch, _) => (
                "batch",
                "Many operations",
                "One JSON object a line, and one answer a line in the same order; empty lines are passed over. \
                 Lines about one key are done one after the other, others beside each other. \
                 A line that is wrong has a problem for its answer, and the others are done.",
            ),
            (Route::Ring, Verb::Head) => ("head_ring", "Whether this node answers", ""),
            (Route::Ring, _) => ("get_ring", "What this node believes about its ring", ""),
            (Route::Live, _) => ("watch_ring", "The ring as this node sees it, as it changes", LIVE),
            (Route::Node, Verb::Head) => ("head_node", "Whether this node tells of itself", ""),
            (Route::Node, _) => ("get_node", "What this node tells of itself", ""),
            (Route::Copies, Verb::Head) => ("head_copies", "Whether a key's copies can be found", ""),
            (Route::Copies, _) => ("get_copies", "Who keeps a key, and whether they agree", ""),
            (Route::Trace, Verb::Head) => ("head_trace", "Whether the way to a key can be explained", ""),
            (Route::Trace, _) => ("get_trace", "The way to a key, why it was taken, and its copies", TRACE),
            (Route::Lookup, Verb::Head) => ("head_owner", "Whether a key's owner can be found", ""),
            (Route::Lookup, _) => ("get_owner", "The owner of a key, and the way to it", ""),
            (Route::Keys, _) => (
                "list_keys",
                "All keys of the ring",
                "One JSON object a line, in the order of the ring, sent as they are found. A key that is there all the while \
                 is among them once, whatever happens to the ring meanwhile. If the list cannot go on, its last line is a \
                 problem.",
            ),
            (Route::Watch, _) => ("watch_key", "The changes of a key, as they happen", WATCHING),
            (Route::WatchMany, _) => ("watch_keys", "The changes of many keys, as they happen", WATCHING),
            (Route::Metrics, Verb::Head) => ("head_metrics", "Whether this node tells its numbers", ""),
            (Route::Metrics, _) => ("get_metrics", "This node's numbers, for Prometheus", METRICS),
            (Route::Healthy, Verb::Head) => {
                ("head_health", "Whether this node works, in the status alone", "")
            }
            (Route::Healthy, _) => ("get_health", "Whether this node works, and what is wrong", HEALTHY),
            (Route::Ready, Verb::Head) => {
                ("head_readiness", "Whether this node is ready, in the status alone", "")
            }
            (Route::Ready, _) => ("get_readiness", "Whether this node is ready, and why not", READY),
            (Route::Document, Verb::Head) => ("head_document", "Whether this document is here", ""),
            (Route::Document, _) => ("get_document", "This document", ""),
        }
    }

    const fn conditions(self) -> &'static [Condition] {
        match (self.route, self.verb) {
            (Route::Kv, Verb::Get | Verb::Head) => &[Condition::ReadIfMatch, Condition::ReadIfNoneMatch],
            (Route::Kv, Verb::Delete) => &[Condition::IfMatch],
            (Route::Kv, Verb::Put) | (Route::Incr, _) => &[Condition::IfMatch, Condition::IfAbsent],
            (Route::Kv, Verb::Post)
            | (
                Route::Batch
                | Route::Ring
                | Route::Live
                | Route::Node
                | Route::Lookup
                | Route::Copies
                | Route::Trace
                | Route::Keys
                | Route::Watch
                | Route::WatchMany
                | Route::Metrics
                | Route::Healthy
                | Route::Ready
                | Route::Document,
                _,
            ) => &[],
        }
    }

    fn body(self) -> Option<RequestBody> {
        let body = RequestBodyBuilder::new();
        match (self.route, self.verb) {
            (Route::Kv, Verb::Put) => {
                let about =
                    format!("The value: at most {} bytes; none at all is one too.", self.limits.value_bytes);
                let content = ContentBuilder::new().schema(Some(parts::bytes())).build();
                Some(body.description(Some(about)).content(parts::BYTES_TYPE, content).build())
            }
            (Route::Batch, _) => {
                let about = format!(
                    "At most {BATCH_LINES_MAX} lines and {} bytes, each line one item of this array.",
                    self.limits.batch_bytes
                );
                let content = ContentBuilder::new().schema(Some(parts::lines("BatchLine", 1))).example(Some(
                    serde_json::json!([
                        {"op": "put", "key": "greeting", "value": "hello", "ttl": "60s"},
                        {"op": "incr", "key": "visits"},
                        {"op": "get", "key": "greeting"}
                    ]),
                ));
                let body = body.required(Some(Required::True));
                Some(body.description(Some(about)).content(BATCH_TYPE, content.build()).build())
            }
            _ => None,
        }
    }

    /// What it answers when it does what it is asked.
    fn responses(self) -> Vec<(u16, Response)> {
        let of = |about: &str| ResponseBuilder::new().description(about);
        let body = |name: &str| ContentBuilder::new().schema(Some(parts::of(name))).build();
        match (self.route, self.verb) {
            (Route::Kv, Verb::Get | Verb::Head) => {
                let content = ContentBuilder::new().schema(Some(parts::bytes())).build();
                let found = of("What is stored.").content(parts::BYTES_TYPE, content);
                let same = of("What is stored is what If-None-Match names.");
                let found = parts::leads(found, &[Next::Replace, Next::Delete, Next::Owner]);
                vec![(200, parts::with(found, &Told::READ)), (304, parts::with(same, &Told::READ))]
            }
            (Route::Kv, Verb::Put) => {
                let [unknown, created, replaced] = [
                    "Stored. It is not known whether something was there.",
                    "Stored, where nothing was.",
                    "Stored, in place of what was there.",
                ]
                .map(|about| parts::leads(of(about), &[Next::Read, Next::Replace, Next::Delete]));
                vec![
                    (200, parts::with(unknown, &Told::WRITTEN)),
                    (201, parts::with(created, &Told::WRITTEN)),
                    (204, parts::with(replaced, &Told::WRITTEN)),
                ]
            }
            (Route::Kv, _) => {
                let deleted = parts::leads(of("Deleted."), &[Next::Read]);
                vec![(204, parts::with(deleted, &Told::DELETED))]
            }
            (Route::Incr, _) => {
                let done = of("Added; the number is what is stored now.").content(JSON_TYPE, body("Counter"));
                let done = parts::leads(done, &[Next::Read, Next::Replace, Next::Delete]);
                vec![(200, parts::with(done, &Told::WRITTEN))]
            }
            (Route::Batch, _) => {
                let content = ContentBuilder::new().schema(Some(parts::lines("BatchAnswer", 1))).build();
                let about = "One answer for each line that is not empty, in their order, sent as they come. \
                             If the connection ends before the last of them, the others may be done or not.";
                vec![(200, of(about).content(BATCH_TYPE, content).build())]
            }
            (Route::Ring, _) => told("What it believes.", "RingBody"),
            (Route::Node, _) => told("What it tells.", "ReportBody"),
            (Route::Copies, _) => told("Who keeps it.", "CopiesBody"),
            (Route::Trace, _) => told("The way, and who keeps it.", "TraceBody"),
            (Route::Lookup, _) => told("Who owns it.", "LookupBody"),
            (Route::Keys, _) => {
                let content = ContentBuilder::new().schema(Some(parts::lines("KeyLine", 0))).build();
                vec![(200, of("The keys.").content(KEYS_TYPE, content).build())]
            }
            (Route::Watch | Route::WatchMany | Route::Live, _) => {
                let content = ContentBuilder::new().schema(Some(parts::events())).build();
                let stream = of("Events, until either side ends the connection.");
                vec![(200, parts::with(stream.content(EVENTS_TYPE, content), &[Told::NoCache]))]
            }
            (Route::Metrics | Route::Healthy | Route::Ready, _) => self.responses_about_the_node(),
            (Route::Document, _) => {
                let content = ContentBuilder::new().schema(Some(parts::object())).build();
                vec![(200, of("OpenAPI 3.1.").content(JSON_TYPE, content).build())]
            }
        }
    }

    /// The same of what tells how the node itself is.
    fn responses_about_the_node(self) -> Vec<(u16, Response)> {
        let of = |about: &str| ResponseBuilder::new().description(about);
        let body = |name: &str| ContentBuilder::new().schema(Some(parts::of(name))).build();
        if self.route == Route::Metrics {
            let content = || ContentBuilder::new().schema(Some(parts::events())).build();
            let told = of("All metrics of `docs/metrics.md`.").content(METRICS_TYPE, content());
            return vec![(200, told.content(OPEN_METRICS_TYPE, content()).build())];
        }
        let well = of("It is.").content(JSON_TYPE, body("HealthBody"));
        let ill = of("It is not, by its own word; or `busy`: the node has too much to do.");
        let ill = ill.content(JSON_TYPE, body("HealthBody")).content(PROBLEM_TYPE, body("Problem"));
        vec![(200, well.build()), (503, parts::with(ill, &[Told::RetryAfter]))]
    }
}

/// An answer that is one body, and nothing beside it.
fn told(about: &str, body: &str) -> Vec<(u16, Response)> {
    let content = ContentBuilder::new().schema(Some(parts::of(body))).build();
    vec![(200, ResponseBuilder::new().description(about).content(JSON_TYPE, content).build())]
}

#[cfg(test)]
mod tests;
