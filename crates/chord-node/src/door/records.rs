//! Requests about records in binary: those of the other nodes, and those of clients that want more than the seed's words
//! can say.

use std::sync::Arc;

use chord_wire::replica::{DataAnswer, DataRequest, decode_request, encode_answer};
use chord_wire::{Code, Context};

use super::seed::admit;
use crate::asked::{Refused, Whom};
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
    let whom = Whom::of(shared, &context);
    let answer = match decode(shared, body)? {
        DataRequest::Peer(request) => {
            let answered = shared.answer_about_records(&whom, request, context.remaining);
            DataAnswer::Peer(answered.await?)
        }
        DataRequest::Operate(operate) => {
            DataAnswer::Operated(shared.operate_as_owner(&whom, operate, context.remaining).await?)
        }
    };
    Ok((encode_answer(&answer), Context::default()))
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
    let whom = Whom::of(shared, &context);
    let outcome = shared.operate_for(&whom, operate, context.path).await?;
    let context = Context { owner: Some(outcome.owner), hops: Some(outcome.hops), ..Context::default() };
    Ok((encode_answer(&DataAnswer::Operated(Ok(outcome.kept))), context))
}

fn decode(shared: &Shared, body: &[u8]) -> Result<DataRequest, Refused> {
    let limits = shared.limits.replica(shared.ring.size);
    decode_request(body, &limits).map_err(|error| Refused::new(Code::Malformed, error.to_string()))
}
