//! The ring: what this node believes of it, and the way to the owner of a key.

use chord_ring::{Finger, View};
use chord_wire::rest::{FingerBody, LookupBody, NodeBody, RangeBody, RingBody, encode_body};
use http::{Response, StatusCode};

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::refused;
use super::call::Call;
use super::{JSON, say};
use crate::links::lock;
use crate::operation::Ticket;
use crate::shared::Shared;

/// What this node believes of the ring.
pub(super) async fn ring(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared;
    call.without_body().await?;
    let view = shared.view();
    let readiness = shared.readiness();
    let body = RingBody {
        node: shared.me.name.to_string(),
        position: shared.me.position.to_string(),
        ring_name: shared.ring.name.to_string(),
        ring_size: shared.ring.size.bits(),
        is_member: view.is_member(),
        predecessor: view.predecessor().map(NodeBody::from),
        successors: view.successors().as_slice().iter().map(NodeBody::from).collect(),
        fingers: view.fingers().runs().iter().map(finger).collect(),
        range: range(shared, &view),
        is_ready: readiness.is_ok(),
        not_ready_because: readiness.err(),
        sent: shared.links.sent(),
    };
    Ok(say(StatusCode::OK, JSON, encode_body(&body)))
}

fn finger(Finger { first, last, peer }: &Finger) -> FingerBody {
    let (node, position) = (peer.name.to_string(), peer.position.to_string());
    FingerBody { node, position, first: *first, last: *last }
}

/// From the predecessor to this node; alone, the whole ring.
fn range(shared: &Shared, view: &View) -> Option<RangeBody> {
    let after = match view.predecessor() {
        Some(predecessor) => predecessor.position,
        None if view.is_member() && view.is_alone() => shared.me.position,
        None => return None,
    };
    let is_complete = lock(&shared.status).is_complete;
    view.is_member().then(|| RangeBody::new(shared.ring.size, after, shared.me.position, is_complete))
}

/// The way to the owner of a key.
pub(super) async fn lookup(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let (shared, ticket) = (call.shared, Ticket::new(call.wait()));
    let position = call.key.position(shared.ring.size);
    call.without_body().await?;
    let found = shared.look_up(position, ticket).await.map_err(|error| refused(&error))?;
    let body = LookupBody::new(shared.ring.size, position, &found.owner, found.hops, &found.path);
    Ok(say(StatusCode::OK, JSON, encode_body(&body)))
}
