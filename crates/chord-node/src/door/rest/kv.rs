//! One key: its value, and the number under it.

use std::time::Duration;

use bytes::Bytes;
use chord_kv::replication::{Before, Condition, Consistency, OperationError as Unable};
use chord_kv::{Key, Value, Version};
use chord_wire::rest::{Action, Counter, EntityTags, Precondition, Query, Wanted, encode_body, entity_tag};
use chord_wire::{Code, Context};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, IF_MATCH, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::{Refused, refused};
use super::call::Call;
use super::perform::{context_of, number, perform};
use super::{JSON, mistake, say};
use crate::OperationError;
use crate::links::write_context;
use crate::metrics::Door;
use crate::operation::{Outcome, Ticket};
use crate::shared::Shared;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The value.
pub(super) async fn get(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let conditions = Conditions::read(&call)?;
    let asked = Asked::read(&call, Precondition::Is(Condition::Always));
    call.without_body().await?;
    let outcome = match asked.perform(Action::Get).await {
        Err(absent) if absent.code == Code::Absent && conditions.if_match.is_some() => {
            return Err(failed(None).into());
        }
        performed => performed?,
    };
    let there = outcome.kept.record.as_ref().map(|record| record.version);
    if conditions.if_match.is_some_and(|tags| !tags.names(there.as_ref())) {
        return Err(failed(there).into());
    }
    let is_known = conditions.if_none_match.is_some_and(|tags| tags.names(there.as_ref()));
    let length = outcome.value().map_or(0, |value| value.as_bytes().len());
    let mut response = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        say(StatusCode::OK, BYTES, outcome.value().map_or_else(Bytes::new, sent))
    };
    // What is stored may be anything, also what a browser would take for a page of this node; and it may change at any time.
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let mut response = told(response, &outcome);
    if !is_known {
        // Said also where it is 0 and asked for by HEAD, of which hyper says nothing.
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

/// Stores a value.
pub(super) async fn put(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let asked = Asked::read(&call, precondition(&call)?);
    let limit = call.shared.limits.value_bytes;
    let body = call.body(limit).await?;
    let value = Value::new(&body.bytes, limit).map_err(|error| refused(&error.into()))?;
    drop(body);
    let outcome = asked.perform(Action::Put(value)).await?;
    Ok(told(empty(put_status(&outcome)), &outcome))
}

/// What says whether something was there before a put.
pub(super) const fn put_status(outcome: &Outcome) -> StatusCode {
    match outcome.kept.before {
        Before::Nothing => StatusCode::CREATED,
        Before::Record(_) => StatusCode::NO_CONTENT,
        // It is not known.
        Before::Unknown => StatusCode::OK,
    }
}

/// Deletes the value.
pub(super) async fn delete(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let asked = Asked::read(&call, precondition(&call)?);
    call.without_body().await?;
    let outcome = asked.perform(Action::Delete).await?;
    Ok(told(empty(StatusCode::NO_CONTENT), &outcome))
}

/// Adds to a number.
pub(super) async fn incr(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let asked = Asked::read(&call, precondition(&call)?);
    let by = call.query.by.unwrap_or(1);
    call.without_body().await?;
    let outcome = asked.perform(Action::Incr(by)).await?;
    let counter = Counter { value: number(&outcome)? };
    Ok(told(say(StatusCode::OK, JSON, encode_body(&counter)), &outcome))
}

/// What is asked of a key, but for what is to be done to it.
struct Asked<'a> {
    shared: &'a Shared,
    key: Key,
    precondition: Precondition,
    query: Query,
    wait: Duration,
}

impl<'a> Asked<'a> {
    fn read(call: &Call<'a>, precondition: Precondition) -> Self {
        let (key, query) = (call.key.clone(), call.query.clone());
        Self { shared: call.shared, key, precondition, query, wait: call.wait() }
    }

    /// Has it done. Its time begins when the body is there.
    async fn perform(self, action: Action) -> Result<Outcome, Refused> {
        let Self { shared, key, precondition, query, wait } = self;
        let Query { ttl, consistency, .. } = query;
        let consistency = consistency.unwrap_or(Consistency::Usual);
        let wanted = Wanted { key, action, precondition, ttl, consistency };
        perform(shared, wanted, Ticket::new(Door::Rest, wait)).await
    }
}

/// A value that is sent as it lies in memory.
struct Sent(Value);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn sent(value: &Value) -> Bytes {
    Bytes::from_owner(Sent(value.clone()))
}

/// What a read depends on.
struct Conditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
}

impl Conditions {
    fn read(call: &Call<'_>) -> Result<Self, Rejected> {
        let if_match = call.header(&IF_MATCH).map(EntityTags::read_strong).transpose();
        let if_none_match = call.header(&IF_NONE_MATCH).map(EntityTags::read_weak).transpose();
        Ok(Self {
            if_match: if_match.map_err(|bad| call.unread(mistake(&bad)))?,
            if_none_match: if_none_match.map_err(|bad| call.unread(mistake(&bad)))?,
        })
    }
}

/// What a change depends on.
fn precondition(call: &Call<'_>) -> Result<Precondition, Rejected> {
    let read = Precondition::read(call.header(&IF_MATCH), call.header(&IF_NONE_MATCH));
    read.map_err(|bad| call.unread(mistake(&bad)))
}

fn failed(found: Option<Version>) -> Refused {
    let error = OperationError::Data(Unable::ConditionFailed { found });
    refused(&error).with(Context { version: found, ..Context::default() })
}

fn empty(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The same answer, with what is known of the key beside it.
fn told(mut response: Response<Content>, outcome: &Outcome) -> Response<Content> {
    let headers = response.headers_mut();
    write_context(&context_of(outcome), headers);
    let tag = outcome.kept.version().and_then(entity_tag);
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(ETAG, tag);
    }
    response
}
