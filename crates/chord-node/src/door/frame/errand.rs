//! One request of a connection of frames, from what was asked to its answer.

use std::pin::Pin;
use std::sync::Arc;

use chord_kv::replication::{Operation, PeerRequest};
use chord_ring::Request as RingRequest;
use chord_wire::Code;
use chord_wire::frame::{Answer, Asked, MessageError, Refused, Request};
use chord_wire::replica::Operate;
use chord_wire::rest::encode_body;

use crate::asked::{self, Whom, operate_role};
use crate::door::share::Share;
use crate::operation::Outcome;
use crate::secret::Role;
use crate::shared::Shared;

/// A request under way.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// How a request has ended.
pub(super) struct Ended {
    pub(super) id: u32,
    pub(super) answer: Answer,
    pub(super) sort: Sort,
}

/// What sort of request something answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// It has changed nothing, and can be asked again.
    Question,
    /// What came of it is told nowhere else.
    Change,
}

impl Sort {
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::Ring(RingRequest::Ping | RingRequest::GetState | RingRequest::FindSuccessor(_))
            | Request::Records(
                PeerRequest::Vouch
                | PeerRequest::Compare { .. }
                | PeerRequest::List { .. }
                | PeerRequest::Pull { .. }
                | PeerRequest::Fetch { .. }
                | PeerRequest::Offer { .. },
            )
            | Request::Operate { operate: Operate { operation: Operation::Get, .. }, .. }
            | Request::Describe => Self::Question,
            Request::Ring(_) | Request::Records(_) | Request::Operate { .. } => Self::Change,
        }
    }
}

/// What somebody must be who asks this.
pub(super) fn role(request: &Request, whom: &Whom) -> Role {
    match request {
        _ if whom.peer.is_some() => Role::Node,
        Request::Ring(RingRequest::Ping | RingRequest::GetState | RingRequest::FindSuccessor(_))
        // What one who is no node may ask of records changes nothing.
        | Request::Records(_)
        | Request::Describe => Role::Read,
        Request::Ring(_) | Request::Operate { named: true, .. } => Role::Node,
        Request::Operate { operate, named: false, .. } => operate_role(&operate.operation),
    }
}

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
        let sort = Sort::of(&asked.request);
        Box::pin(async move {
            let answer = said(answer(&shared, &whom, asked).await);
            drop(share);
            Ended { id, answer, sort }
        })
    }
}

async fn answer(shared: &Shared, whom: &Whom, asked: Asked) -> Result<Answer, asked::Refused> {
    let Asked { request, remaining } = asked;
    match request {
        Request::Ring(request) => shared.answer_ring(whom, request, remaining).await.map(Answer::Ring),
        Request::Describe => Ok(Answer::Described(encode_body(&shared.report()))),
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
