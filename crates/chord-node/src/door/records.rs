//! Requests about records in binary: those of the other nodes, and those of clients that want more than the seed's words
//! can say.

use std::sync::Arc;

use chord_kv::replication::{OperationError as Unable, PeerRequest};
use chord_ring::Peer;
use chord_wire::replica::{DataAnswer, DataRequest, Operate, decode_request, encode_answer};
use chord_wire::{Code, Context};
use tokio::time::Instant;

use super::seed::{Refused, admit, refused};
use crate::operation::{Ticket, Wish};
use crate::records::Order;
use crate::shared::Shared;

/// The body that answers another node, and what is said beside it.
pub(super) async fn answer_peer(
    shared: &Arc<Shared>,
    body: &[u8],
    context: Context,
) -> Result<(Vec<u8>, Context), Refused> {
    admit(shared, &context)?;
    if context.ring.is_none() {
        return Err(Refused::new(Code::BadRequest, "a request about records names the ring of its sender"));
    }
    let wait = context.remaining.map_or(shared.limits.operation, |wait| wait.min(shared.limits.operation));
    let until = Instant::now() + wait;
    let answer = match decode(shared, body)? {
        DataRequest::Peer(request) => {
            let from = sender(shared, &context, &request)?;
            if request == PeerRequest::Vouch {
                shared.asked_by(&from);
            }
            let answered = shared.records.answer(from, request, until).await;
            DataAnswer::Peer(answered.ok_or_else(too_busy)?)
        }
        DataRequest::Operate(Operate { key, operation, proposal, consistency, remaining }) => {
            let until = until.min(Instant::now() + remaining);
            let order = Order { key, operation, proposal, consistency, until };
            // Without an answer it may be done, or be about to be.
            DataAnswer::Operated(shared.records.operate(order).await.unwrap_or(Err(Unable::Uncertain)))
        }
    };
    Ok((encode_answer(&answer), Context::default()))
}

/// Who asks. Whoever only wants to see what is here need not be a node.
fn sender(shared: &Shared, context: &Context, request: &PeerRequest) -> Result<Peer, Refused> {
    match &context.from {
        Some(name) => Ok(Peer::of_name(name.clone(), shared.ring.size)),
        None if matches!(request, PeerRequest::List { .. } | PeerRequest::Pull { .. }) => {
            Ok(shared.me.clone())
        }
        None => Err(Refused::new(Code::BadRequest, "a request between nodes names its sender")),
    }
}

/// The body that answers a client, and what is said beside it.
pub(super) async fn answer_client(
    shared: &Arc<Shared>,
    body: &[u8],
    context: Context,
) -> Result<(Vec<u8>, Context), Refused> {
    admit(shared, &context)?;
    let DataRequest::Operate(operate) = decode(shared, body)? else {
        let sentence = "a client asks for operations alone; what nodes ask each other goes to /replica";
        return Err(Refused::new(Code::BadRequest, sentence));
    };
    let Operate { key, operation, consistency, remaining, proposal: _ } = operate;
    let context = Context { remaining: Some(remaining), ..context };
    let ticket = Ticket::of(&context, shared.limits.operation);
    let outcome = shared.operate(&Wish { key, operation, consistency }, ticket).await;
    let outcome = outcome.map_err(|error| refused(&error))?;
    let context = Context { owner: Some(outcome.owner), hops: Some(outcome.hops), ..Context::default() };
    Ok((encode_answer(&DataAnswer::Operated(Ok(outcome.kept))), context))
}

fn decode(shared: &Shared, body: &[u8]) -> Result<DataRequest, Refused> {
    let limits = shared.limits.replica(shared.ring.size);
    decode_request(body, &limits).map_err(|error| Refused::new(Code::Malformed, error.to_string()))
}

fn too_busy() -> Refused {
    Refused::new(Code::Busy, "this node did not come to it in time: try again")
}
