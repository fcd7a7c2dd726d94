//! The ring as this node sees it, as a stream of events: see [`chord_wire::rest::picture_event`] for how they are written.
//!
//! What somebody has not read yet is part of the budget for that. One who does not read gets no further event, and is cut off
//! when the time for it is over; meanwhile those for whom nothing is left are told that the node is there.

use bytes::Bytes;
use chord_wire::Code;
use chord_wire::rest::{BEAT_PAUSE, EVENTS_TYPE, beat_event};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::time::Instant;

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::Refused;
use super::super::share::held_picture;
use super::call::Call;
use crate::age::now_ms;
use crate::crawl::Look;
use crate::guard::Visitor;
use crate::secret::Role;
use crate::shared::{Shared, Stage};

const TOO_MANY: &str = "as many look at the ring through this node as may: ask another node, or close a page";

/// Shows the ring until either side ends the connection.
pub(super) async fn live(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let (shared, visitor) = (call.shared.clone(), call.visitor);
    let until = call.query.lasts.map(|lasts| Instant::now() + lasts);
    call.without_body().await?;
    let look = shared.look().ok_or_else(|| Refused::new(Code::Busy, TOO_MANY))?;
    let looking = Looking { look, until, visitor, shared };
    let events = stream::unfold(looking, |mut looking| async {
        let event = looking.next().await?;
        Some((event, looking))
    });
    let mut response = Response::new(Content::Events(Box::pin(events)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A stream under way.
struct Looking {
    look: Look,
    until: Option<Instant>,
    visitor: Visitor,
    shared: std::sync::Arc<Shared>,
}

impl Looking {
    /// What is sent next; `None` if nothing more is, since its time is over, its secret no longer valid, or
    /// the node leaves.
    async fn next(&mut self) -> Option<Bytes> {
        let beat = Instant::now() + BEAT_PAUSE;
        let until = self.until.map_or(beat, |until| until.min(beat));
        tokio::select! {
            biased;
            () = self.shared.reached(Stage::Departing) => None,
            () = self.shared.guard.dismissed(&self.visitor, Role::Read) => None,
            event = self.look.next(|event| held_picture(&self.shared, event.into()).ok()) => event,
            () = tokio::time::sleep_until(until) => {
                let is_over = self.until.is_some_and(|until| until <= Instant::now());
                (!is_over).then(|| Bytes::from(beat_event(now_ms())))
            }
        }
    }
}
