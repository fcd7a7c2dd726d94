//! REST: everything below `/v1`, and the document that describes it. Each file beside this one has the requests of one kind.
//!
//! Which paths there are, what they take and how their bodies are written is [`chord_wire::rest`]'s.

mod batch;
mod call;
mod keys;
mod kv;
mod live;
mod numbers;
mod perform;
mod ring;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use chord_kv::Key;
use chord_wire::Code;
use chord_wire::rest::{
    BadPercent, DocumentLimits, JSON_TYPE, PROBLEM_TYPE, Place, Problem, Route, Verb, document, entity_tag,
};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, ETAG, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};

use super::content::Content;
use super::http::{Rejected, ask_for_secret};
use super::seed::Refused;
use crate::guard::Visitor;
use crate::links::write_context;
use crate::secret::Role;
use crate::shared::Shared;
use call::Call;

const JSON: HeaderValue = HeaderValue::from_static(JSON_TYPE);

/// Answers one request.
pub(super) async fn respond(
    shared: &Arc<Shared>,
    visitor: Visitor,
    request: Request<Incoming>,
) -> Response<Content> {
    let place = Route::of(request.uri().path());
    let route = place.as_ref().ok().and_then(Option::as_ref).map(|place| place.route);
    let answered = answer(shared, &visitor, place, request).await;
    answered.unwrap_or_else(|rejected| refuse(route, rejected))
}

async fn answer(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    place: Result<Option<Place>, BadPercent>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Rejected> {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    // What is left of a body that nobody reads cannot be told from the next request.
    let unread = |rejected: Rejected| Rejected { closes: rejected.closes || has_body, ..rejected };
    let place = place.map_err(|bad| unread(mistake(&bad)))?;
    let place = place.ok_or_else(|| unread(Refused::new(Code::UnknownCommand, NO_SUCH_PATH).into()))?;
    let verb = Verb::of(head.method.as_str()).filter(|verb| place.route.verbs().contains(verb));
    let verb = verb.ok_or_else(|| unread(not_allowed(place.route).into()))?;
    if let Some(role) = role(place.route, verb) {
        shared.guard.admit(visitor, role).map_err(|refused| unread(refused.into()))?;
    }
    let key = Key::new(&place.key)
        .map_err(|error| unread(Refused::new(Code::TooLarge, error.to_string()).into()))?;
    let call = Call::read((shared, *visitor), (place.route, verb), key, &head, body).map_err(unread)?;
    match (place.route, verb) {
        (Route::Kv, Verb::Put) => kv::put(call).await,
        (Route::Kv, Verb::Delete) => kv::delete(call).await,
        (Route::Kv, _) => kv::get(call).await,
        (Route::Incr, _) => kv::incr(call).await,
        (Route::Batch, _) => batch::run(call).await,
        (Route::Ring, _) => ring::ring(call).await,
        (Route::Live, _) => live::live(call).await,
        (Route::Node, _) => ring::node(call).await,
        (Route::Lookup, _) => ring::lookup(call).await,
        (Route::Copies, _) => ring::copies(call).await,
        (Route::Trace, _) => ring::trace(call).await,
        (Route::Keys, _) => keys::list(call).await,
        (Route::Watch | Route::WatchMany, _) => watch::watch(call, place.route).await,
        (Route::Metrics, _) => numbers::metrics(call).await,
        (Route::Healthy, _) => numbers::healthy(call).await,
        (Route::Ready, _) => numbers::ready(call).await,
        (Route::Document, _) => describe(call).await,
    }
}

/// What somebody must be who asks for that; nothing where whoever restarts nodes asks. Of many operations at once some write,
/// as a rule.
const fn role(route: Route, verb: Verb) -> Option<Role> {
    match verb {
        _ if route.is_for_everybody() => None,
        Verb::Get | Verb::Head => Some(Role::Read),
        Verb::Put | Verb::Delete | Verb::Post => Some(Role::Write),
    }
}

/// The document that describes all this, for this node's limits.
async fn describe(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let limits = &call.shared.limits;
    let limits = DocumentLimits { value_bytes: limits.value_bytes, batch_bytes: limits.body_bytes() };
    call.without_body().await?;
    Ok(say(StatusCode::OK, JSON, document(&limits)))
}

const NO_SUCH_PATH: &str = "no such path: there are /v1/kv/KEY, /v1/kv/KEY/incr, /v1/batch, /v1/ring, /v1/ring/live, /v1/node, \
    /v1/lookup/KEY, /v1/copies/KEY, /v1/trace/KEY, /v1/keys, \
    /v1/watch/KEY, /v1/watch?prefix=, /metrics, /healthz, /readyz and /openapi.json, which describes them";

fn not_allowed(route: Route) -> Refused {
    Refused::new(Code::MethodNotAllowed, format!("this path is asked by {}", verbs(route)))
}

fn verbs(route: Route) -> String {
    route.verbs().iter().map(|verb| verb.as_str()).collect::<Vec<_>>().join(", ")
}

/// A request that makes no sense, as the sentence says.
fn mistake(sentence: &impl ToString) -> Rejected {
    Refused::new(Code::BadRequest, sentence.to_string()).into()
}

fn say(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(Content::Whole(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The answer to a request that is refused.
pub(super) fn refuse(route: Option<Route>, rejected: Rejected) -> Response<Content> {
    let Rejected { refused: Refused { code, sentence, mut context }, closes } = rejected;
    context.code = Some(code);
    let version = context.version.take();
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Problem::new(code, sentence).encode();
    let mut response = say(status, HeaderValue::from_static(PROBLEM_TYPE), body);
    let headers = response.headers_mut();
    write_context(&context, headers);
    let tag = version.as_ref().and_then(entity_tag).and_then(|tag| HeaderValue::from_str(&tag).ok());
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if let Some(allow) = route.filter(|_| code == Code::MethodNotAllowed).map(verbs) {
        headers.extend(HeaderValue::from_str(&allow).ok().map(|allow| (ALLOW, allow)));
    }
    if code == Code::NoSecret {
        ask_for_secret(headers);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status_and_whoever_is_to_come_again_is_told_when() {
        for code in Code::ALL {
            let response = refuse(Some(Route::Kv), Refused::new(code, "a sentence").into());
            let headers = response.headers();
            assert_eq!(response.status().as_u16(), code.http_status(), "{code}");
            assert_eq!(headers.get("chord-error").map(HeaderValue::as_bytes), Some(code.as_str().as_bytes()));
            assert_eq!(headers.contains_key(RETRY_AFTER), code.http_status() == 503, "{code}");
            assert_eq!(headers.contains_key(ALLOW), code == Code::MethodNotAllowed, "{code}");
        }
    }
}
