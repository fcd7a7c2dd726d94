//! One request of a connection of frames, from what was asked to its answer.

use std::pin::Pin;
use std::sync::Arc;

use chord_wire::Code;
use chord_wire::frame::{Answer, Asked, MessageError, Refused, Request};

use crate::asked::{self, Whom};
use crate::door::share::Share;
use crate::operation::Outcome;
use crate::shared::Shared;

/// A request under way. It ends with its number and its answer.
pub(super) type Running = Pin<Box<dyn Future<Output = (u32, Answer)> + Send>>;

/// What one request has this node do.
pub(super) struct Errand;

impl Errand {
    /// The answer, if it needs nobody else.
    pub(super) fn at_once(shared: &Shared, whom: &Whom, asked: &Asked) -> Option<Answer> {
        let Request::Ring(request) = &asked.request else { return None };
        let answered = shared.answer_at_once(whom, request)?;
        Some(said(answered.map(Answer::Ring)))
    }

    /// Does it, and keeps its part of the budget until then.
    pub(super) fn run(
        id: u32,
        asked: Asked,
        shared: &Arc<Shared>,
        whom: &Arc<Whom>,
        share: Option<Share>,
    ) -> Running {
        let (shared, whom) = (shared.clone(), whom.clone());
        Box::pin(async move {
            let answer = said(answer(&shared, &whom, asked).await);
            drop(share);
            (id, answer)
        })
    }
}

async fn answer(shared: &Shared, whom: &Whom, asked: Asked) -> Result<Answer, asked::Refused> {
    let Asked { request, remaining } = asked;
    match request {
        Request::Ring(request) => shared.answer_ring(whom, request, remaining).await.map(Answer::Ring),
        Request::Records(request) => {
            shared.answer_about_records(whom, request, remaining).await.map(Answer::Records)
        }
        Request::Operate { operate, named: true, path: _ } => {
            let result = shared.operate_as_owner(whom, operate, remaining).await?;
            Ok(Answer::Operated { result, owner: None, hops: None })
        }
        Request::Operate { operate, named: false, path } => {
            let Outcome { owner, hops, kept } = shared.operate_for(whom, operate, path).await?;
            Ok(Answer::Operated { result: Ok(kept), owner: Some(owner), hops: Some(hops) })
        }
    }
}

fn said(answered: Result<Answer, asked::Refused>) -> Answer {
    answered.unwrap_or_else(|asked::Refused { code, sentence, .. }| {
        Answer::Refused(Refused { code: Some(code), sentence })
    })
}

/// Why a message is refused that makes no sense here.
pub(super) const fn code(error: &MessageError) -> Code {
    match error {
        MessageError::UnknownKind { .. } => Code::UnknownCommand,
        MessageError::TooLarge { .. } => Code::TooLarge,
        _ => Code::Malformed,
    }
}
