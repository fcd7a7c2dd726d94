//! XML-RPC: each call of a body turned into one question to the node, and what comes of it into an answer or a fault.

use std::sync::Arc;
use std::time::Instant;

use chord_wire::seed::Answer;
use chord_wire::xmlrpc::{BadCall, Call, CallAnswer, Fault, decode_call, encode_call_answer, encode_fault};
use chord_wire::{Code, Context};

use super::content::Content;
use super::seed::{self, Answered, Refused};
use super::share::{Share, Unread};
use crate::guard::Visitor;
use crate::metrics::Door;
use crate::shared::Shared;

/// The body that answers a body, and what is said beside it.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    body: &[u8],
    context: Context,
) -> (Content, Context) {
    let mut share = None;
    let answered = match decode_call(body) {
        Ok(Call::Multi(calls)) => {
            let (answers, their_share) = Box::pin(many(shared, visitor, calls, &context)).await;
            share = Some(their_share);
            Ok((CallAnswer::Multi(answers), Context::default()))
        }
        Ok(call) => one(shared, visitor, call, context).await,
        Err(bad) => Err(Refused::new(bad.code(), bad.to_string())),
    };
    let said = answered.and_then(|(answer, context)| {
        let body = encode_call_answer(&answer);
        body.map(|body| (body, context)).map_err(|unfit| Refused::new(unfit.code(), unfit.to_string()))
    });
    let (body, context) = said.unwrap_or_else(|Refused { code, sentence, context }| {
        (encode_fault(code, &sentence), Context { code: Some(code), ..*context })
    });
    (content(body, share), context)
}

/// The body of an answer. Where it is that of many calls they have their part of the budget already; what they have done
/// is told, also where there is no room for all that XML writes around it.
fn content(body: Vec<u8>, share: Option<Share>) -> Content {
    match share {
        None => body.into(),
        Some(mut share) => {
            let _ = share.fit(body.len());
            Content::Held(share.hold(body.into()))
        }
    }
}

async fn one(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    call: Call,
    context: Context,
) -> Result<(CallAnswer, Context), Refused> {
    let answer = match call {
        Call::Seed(request) => {
            let answered = Box::pin(seed::answer(shared, (Door::XmlRpc, visitor), request, context));
            let Answered { answer, context } = answered.await?;
            return Ok((CallAnswer::Seed(answer), context));
        }
        Call::ListMethods => CallAnswer::Methods,
        Call::MethodHelp(method) => CallAnswer::Help(method),
        Call::MethodSignature(method) => CallAnswer::Signature(method),
        Call::Multi(_) => CallAnswer::Multi(Vec::new()), // The decoder lets no list into a list.
    };
    Ok((answer, Context::default()))
}

/// Calls in their order, one after the other. All of them together have the time of one operation, and their answers the
/// bytes of one value beside the last, and a part of the budget for what is not read yet: what is beyond is a fault.
async fn many(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    calls: Vec<Result<Call, BadCall>>,
    context: &Context,
) -> (Vec<Result<CallAnswer, Fault>>, Share) {
    let until = Instant::now() + shared.limits.operation;
    let room = shared.limits.value_bytes;
    let (mut answers, mut n_bytes, mut share) = (Vec::with_capacity(calls.len()), 0, Share::of(shared));
    for call in calls {
        let remaining = until.saturating_duration_since(Instant::now());
        let context = Context { remaining: Some(remaining), ..context.clone() };
        let answered = match call {
            Ok(_) if n_bytes >= room => Err(Refused::new(Code::TooLarge, TOO_MUCH)),
            Ok(call) => {
                let answered = tokio::time::timeout(remaining, one(shared, visitor, call, context)).await;
                answered.unwrap_or_else(|_| Err(Refused::new(Code::Deadline, TOO_LONG)))
            }
            Err(bad) => Err(Refused::new(bad.code(), bad.to_string())),
        };
        let answered = answered.and_then(|(answer, _)| {
            let more = n_bytes + size(&answer);
            share.fit(more).map_err(|_| Refused::new(Code::Busy, Unread.to_string()))?;
            n_bytes = more;
            Ok(answer)
        });
        answers.push(answered.map_err(|refused| Fault::new(refused.code, refused.sentence)));
    }
    (answers, share)
}

/// Bytes of what may be large in an answer: only questions have such ones.
fn size(answer: &CallAnswer) -> usize {
    match answer {
        CallAnswer::Seed(Answer::Get { value: Some(value), .. }) => value.len(),
        CallAnswer::Seed(Answer::SuccessorList(names)) => names.iter().map(|name| name.as_str().len()).sum(),
        CallAnswer::Seed(_)
        | CallAnswer::Methods
        | CallAnswer::Help(_)
        | CallAnswer::Signature(_)
        | CallAnswer::Multi(_) => 0,
    }
}

const TOO_MUCH: &str = "the answers before this one hold as many bytes as one body may: ask for it by itself";
const TOO_LONG: &str = "the calls before this one took the time of all: it may have been done or not";
