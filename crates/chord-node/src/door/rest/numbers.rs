//! How this node is: its numbers, whether it works, and whether it is ready.

use chord_wire::rest::{HealthBody, encode_body};
use http::header::{ACCEPT, CACHE_CONTROL, RETRY_AFTER, VARY};
use http::{HeaderValue, Response, StatusCode};

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::share::held_if_there_is_room;
use super::call::Call;
use super::{JSON, say};
use crate::metrics::{Format, Process, exposition};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Its numbers.
pub(super) async fn metrics(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    let accepts = call.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let format = if accepts.map(Format::wanted).any(|format| format == Format::OpenMetrics) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    };
    call.without_body().await?;
    // On a thread that may wait, since it reads as many entries of a folder as there are connections.
    let process = tokio::task::spawn_blocking(Process::read).await.unwrap_or_default();
    let content_type = HeaderValue::from_static(format.content_type());
    let mut response = say(StatusCode::OK, content_type, "");
    let text = exposition(shared, &process, format);
    // They are wanted most when there is no room for anything else.
    *response.body_mut() = Content::Held(held_if_there_is_room(shared, text.into()));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Whether it works.
pub(super) async fn healthy(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    call.without_body().await?;
    Ok(tell(&shared.healthy().await))
}

/// Whether it is ready.
pub(super) async fn ready(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    call.without_body().await?;
    Ok(tell(&shared.ready()))
}

fn tell(health: &HealthBody) -> Response<Content> {
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = say(status, JSON, encode_body(health));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    if !health.ok {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
