//! The ring: what this node believes of it and tells of itself, how it sees the others, and who keeps a key.

use chord_wire::rest::{LookupBody, encode_body};
use http::{Response, StatusCode};

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::refused;
use super::call::Call;
use super::{JSON, say};
use crate::metrics::Door;
use crate::operation::Ticket;

/// What this node believes of the ring.
pub(super) async fn ring(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    call.without_body().await?;
    Ok(say(StatusCode::OK, JSON, encode_body(&shared.beliefs())))
}

/// What this node tells of itself.
pub(super) async fn node(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    call.without_body().await?;
    Ok(say(StatusCode::OK, JSON, encode_body(&shared.report())))
}

/// Who keeps a key, and what each has.
pub(super) async fn copies(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let (shared, ticket, key) = (call.shared, Ticket::new(Door::Rest, call.wait()), call.key.clone());
    call.without_body().await?;
    let copies = shared.copies(&key, ticket).await.map_err(|error| refused(&error))?;
    Ok(say(StatusCode::OK, JSON, encode_body(&copies)))
}

/// The way to a key, why it was taken, and who keeps it.
pub(super) async fn trace(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let (shared, ticket, key) = (call.shared, Ticket::new(Door::Rest, call.wait()), call.key.clone());
    call.without_body().await?;
    let trace = shared.trace(&key, ticket).await.map_err(|error| refused(&error))?;
    Ok(say(StatusCode::OK, JSON, encode_body(&trace)))
}

/// The way to the owner of a key.
pub(super) async fn lookup(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let (shared, ticket) = (call.shared, Ticket::new(Door::Rest, call.wait()));
    let position = call.key.position(shared.ring.size);
    call.without_body().await?;
    let found = shared.look_up(position, ticket).await.map_err(|error| refused(&error))?;
    let body = LookupBody::new(shared.ring.size, position, &found.owner, found.hops, &found.path);
    Ok(say(StatusCode::OK, JSON, encode_body(&body)))
}
