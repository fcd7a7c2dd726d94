//! A call: one request that makes sense, whose body is still to be read.

use std::sync::Arc;
use std::time::Duration;

use chord_kv::Key;
use chord_wire::rest::{DEADLINE_MS, LAST_EVENT_ID_HEADER, Query, Route, Verb};
use chord_wire::{Code, Context, DEADLINE_HEADER, HEADER_PREFIX};
use http::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HOST, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body, Incoming};

use super::super::http::{Received, Rejected, read_body, read_context};
use super::super::seed::{Refused, admit};
use super::mistake;
use crate::guard::Visitor;
use crate::shared::Shared;

/// Headers that mean one thing, and so may be there once.
const SINGLE: [HeaderName; 7] =
    [HOST, IF_MATCH, IF_NONE_MATCH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE, LAST_EVENT_ID];

/// Which event a client has seen last.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static(LAST_EVENT_ID_HEADER);

/// One request.
pub(super) struct Call<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) visitor: Visitor,
    pub(super) key: Key,
    pub(super) query: Query,
    pub(super) headers: &'a HeaderMap,
    context: Context,
    body: Incoming,
}

impl<'a> Call<'a> {
    pub(super) fn read(
        (shared, visitor): (&'a Arc<Shared>, Visitor),
        (route, verb): (Route, Verb),
        key: Key,
        head: &'a Parts,
        body: Incoming,
    ) -> Result<Self, Rejected> {
        let headers = &head.headers;
        check_single(headers)?;
        let query = head.uri.query().filter(|_| !route.takes_any_parameters()).unwrap_or_default();
        let query = Query::read(query, route.parameters(verb)).map_err(|bad| mistake(&bad))?;
        let context = read_context(headers)?;
        check_deadline(headers)?;
        admit(shared, &context)?;
        if headers.contains_key(CONTENT_RANGE) {
            return Err(mistake(&"a value is stored as a whole: leave Content-Range out"));
        }
        if headers
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            let sentence = "a body is taken as it is, and not unpacked: leave Content-Encoding out";
            return Err(Refused::new(Code::MediaType, sentence).into());
        }
        Ok(Self { shared, visitor, key, query, headers, context, body })
    }

    /// How long it may take: as long as the client waits, and no longer than this node does.
    pub(super) fn wait(&self) -> Duration {
        self.wait_at_most(self.shared.limits.operation)
    }

    /// As long as the client waits, and no longer than that.
    pub(super) fn wait_at_most(&self, limit: Duration) -> Duration {
        self.context.remaining.map_or(limit, |remaining| remaining.min(limit))
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&'a [u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// It is refused before its body was read: what is left of that cannot be told from the next request.
    pub(super) fn unread(&self, rejected: Rejected) -> Rejected {
        Rejected { closes: rejected.closes || !self.body.is_end_stream(), ..rejected }
    }

    /// Its body, of at most so many bytes.
    pub(super) async fn body(self, limit: usize) -> Result<Received, Rejected> {
        read_body(self.shared, self.body, limit).await
    }

    /// Nothing is in its body.
    pub(super) async fn without_body(self) -> Result<(), Rejected> {
        match self.body(0).await {
            Ok(_) => Ok(()),
            Err(rejected) if rejected.refused.code == Code::TooLarge => {
                Err(Rejected::closing(Code::BadRequest, "this request takes no body"))
            }
            Err(rejected) => Err(rejected),
        }
    }
}

/// Nodes may have no time left for each other, and cut what is too long; a client that says so is mistaken.
fn check_deadline(headers: &HeaderMap) -> Result<(), Rejected> {
    let Some(said) = headers.get(DEADLINE_HEADER) else { return Ok(()) };
    let deadline = said.to_str().ok().and_then(|text| text.parse().ok());
    if deadline.is_some_and(|deadline| DEADLINE_MS.contains(&deadline)) {
        return Ok(());
    }
    let (shortest, longest) = DEADLINE_MS.into_inner();
    Err(mistake(&format!("the header {DEADLINE_HEADER} is a number from {shortest} to {longest}")))
}

fn check_single(headers: &HeaderMap) -> Result<(), Rejected> {
    let is_twice = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    if let Some(name) = SINGLE.iter().find(|name| is_twice(name)) {
        return Err(mistake(&format!("the header {name} is there more than once")));
    }
    if headers.keys().any(|name| name.as_str().starts_with(HEADER_PREFIX) && is_twice(name)) {
        return Err(mistake(&"a header whose name begins with chord- is there more than once"));
    }
    Ok(())
}
