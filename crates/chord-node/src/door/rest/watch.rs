//! Watching: a stream of events that tells of changes for as long as the client stays.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chord_kv::replication::{Filter, Seen, Since};
use chord_wire::Code;
use chord_wire::rest::{EVENTS_TYPE, EventId, KEEP_ALIVE, Route, change_event, missed_event, watching_event};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio::time::Instant;

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::Refused;
use super::call::{Call, LAST_EVENT_ID};
use crate::guard::Visitor;
use crate::secret::Role;
use crate::shared::{Shared, Stage};
use crate::{Watch, WatchError};

/// How often something is sent where nothing happens: what stands between us and a client often closes a connection on
/// which nothing was said for half a minute. It is also how a client that has gone is found out.
const KEEP_ALIVE_PAUSE: Duration = Duration::from_secs(15);

/// Events that are sent at once, at most and by a little: what waits is sent together.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// Tells of the changes of one key, or of those of all keys that begin alike.
pub(super) async fn watch(call: Call<'_>, route: Route) -> Result<Response<Content>, Rejected> {
    let (shared, visitor) = (call.shared.clone(), call.visitor);
    let header = call.header(&LAST_EVENT_ID).map(String::from_utf8_lossy);
    let last = header.as_deref().or(call.query.last_event_id.as_deref()).filter(|last| !last.is_empty());
    let last = last.map(EventId::read);
    let since = match last.map(EventId::since) {
        None => Since::Now,
        Some(None) => Since::Unknown,
        Some(Some((version, happened))) => Since::Change(version, happened),
    };
    let until = call.query.lasts.map(|lasts| Instant::now() + lasts);
    let (filter, id) = match route {
        Route::Watch => (Filter::Key(call.key.clone()), last.unwrap_or_default()),
        _ => (Filter::Prefix(call.query.prefix.clone().unwrap_or_default()), EventId::default()),
    };
    call.without_body().await?;
    let refused = |error: WatchError| match error {
        WatchError::NotMember => {
            let waits = shared.waits().map(|waits| waits.to_string());
            Refused::new(Code::NotMember, waits.unwrap_or_else(|| error.to_string()))
        }
        WatchError::TooMany { .. } | WatchError::Busy => Refused::new(Code::Busy, error.to_string()),
    };
    let watch = shared.watch(filter, since).map_err(refused)?;
    let watching = Watching { watch, id, until, visitor, shared };
    let events = stream::unfold(watching, |mut watching| async {
        let piece = watching.next().await?;
        Some((piece, watching))
    });
    let mut response = Response::new(Content::Events(Box::pin(events)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A stream under way.
struct Watching {
    watch: Watch,
    /// What was seen last when it began.
    id: EventId,
    until: Option<Instant>,
    visitor: Visitor,
    shared: Arc<Shared>,
}

impl Watching {
    /// What is sent next; `None` if nothing more is, since its time is over, its secret no longer valid, or
    /// the node leaves.
    async fn next(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        let keep_alive = now + KEEP_ALIVE_PAUSE;
        let until = self.until.map_or(keep_alive, |until| until.min(keep_alive));
        let seen = tokio::select! {
            biased;
            () = self.shared.reached(Stage::Departing) => return None,
            () = self.shared.guard.dismissed(&self.visitor, Role::Read) => return None,
            seen = self.watch.next() => seen?,
            () = tokio::time::sleep_until(until) => {
                let is_over = self.until.is_some_and(|until| until <= Instant::now());
                return (!is_over).then(|| Bytes::from_static(KEEP_ALIVE));
            }
        };
        let mut piece = BytesMut::new();
        self.write(seen, &mut piece);
        while piece.len() < PIECE_BYTES_MAX
            && let Some(seen) = self.watch.next_now()
        {
            self.write(seen, &mut piece);
        }
        Some(piece.freeze())
    }

    fn write(&self, seen: Seen, piece: &mut BytesMut) {
        match seen {
            Seen::Watching => piece.extend_from_slice(&watching_event(self.id)),
            Seen::Changed(notice) => piece.extend_from_slice(&change_event(&notice)),
            Seen::Missed(range) => piece.extend_from_slice(&missed_event(range)),
        }
    }
}
