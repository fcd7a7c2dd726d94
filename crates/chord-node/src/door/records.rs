//! Requests about records in binary: those of the other nodes, and those of clients that want more than the seed's words
//! can say.

use std::sync::Arc;

use chord_kv::replication::Operation;
use chord_wire::replica::{DataAnswer, DataRequest, decode_request, encode_answer};
use chord_wire::{Code, Context};

use super::content::Content;
use super::seed::admit;
use super::share::held_if_there_is_room;
use crate::asked::{Refused, Whom, operate_role};
use crate::guard::Visitor;
use crate::operation::Outcome;
use crate::secret::Role;
use crate::shared::Shared;

/// The body that answers another node, and what is said beside it.
pub(super) async fn answer_peer(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    body: &[u8],
    context: Context,
) -> Result<(Content, Context), Refused> {
    admit(shared, &context)?;
    if context.ring.is_none() {
        return Err(Refused::new(Code::BadRequest, "a request about records names the ring of its sender"));
    }
    let whom = Whom::of(shared, &context);
    // One who is no node may only ask what changes nothing.
    let is_node = whom.peer.is_some();
    shared.guard.admit(visitor, if is_node { Role::Node } else { Role::Read })?;
    let (answer, is_read) = match decode(shared, body)? {
        DataRequest::Peer(request) => {
            let answered = shared.answer_about_records(&whom, request, context.remaining);
            // Whoever does not hear what came of a request asks again.
            (DataAnswer::Peer(answered.await?), true)
        }
        DataRequest::Operate(operate) => {
            shared.guard.admit(visitor, Role::Node)?;
            let is_read = operate.operation == Operation::Get;
            let done = shared.operate_as_owner(&whom, operate, context.remaining).await?;
            (DataAnswer::Operated(done), is_read)
        }
    };
    let context = Context { version: answer.deleted(), repeated: answer.is_repeated(), ..Context::default() };
    Ok((content(shared, &answer, is_read), context))
}

/// The body that answers a client, and what is said beside it.
pub(super) async fn answer_client(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    body: &[u8],
    context: Context,
) -> Result<(Content, Context), Refused> {
    admit(shared, &context)?;
    let DataRequest::Operate(operate) = decode(shared, body)? else {
        let sentence = "a client asks for operations alone; what nodes ask each other goes to /replica";
        return Err(Refused::new(Code::BadRequest, sentence));
    };
    shared.guard.admit(visitor, operate_role(&operate.operation))?;
    let (whom, is_read) = (Whom::of(shared, &context), operate.operation == Operation::Get);
    let outcome = shared.operate_for(&whom, operate, context.path).await?;
    let Outcome { owner, hops, kept } = outcome;
    let answer = DataAnswer::Operated(Ok(kept));
    let (version, repeated) = (answer.deleted(), answer.is_repeated());
    let context = Context { version, repeated, owner: Some(owner), hops: Some(hops), ..Context::default() };
    Ok((content(shared, &answer, is_read), context))
}

fn content(shared: &Arc<Shared>, answer: &DataAnswer, is_read: bool) -> Content {
    let bytes = encode_answer(answer);
    if is_read { bytes.into() } else { Content::Held(held_if_there_is_room(shared, bytes.into())) }
}

fn decode(shared: &Shared, body: &[u8]) -> Result<DataRequest, Refused> {
    let limits = shared.limits.replica(shared.ring.size);
    decode_request(body, &limits).map_err(|error| Refused::new(Code::Malformed, error.to_string()))
}
