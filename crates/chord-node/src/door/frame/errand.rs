//! One request of a connection of frames, from what was asked to its answer.

use std::pin::Pin;
use std::sync::Arc;

use chord_kv::replication::{Operation, PeerRequest};
use chord_ring::Request as RingRequest;
use chord_wire::Code;
use chord_wire::frame::{Answer, Asked, MessageError, Refused, Request};
use chord_wire::replica::Operate;
use chord_wire::rest::encode_body;
use futures_util::FutureExt;

use crate::asked::{self, ForPeer, Whom, operate_role};
use crate::door::share::Share;
use crate::operation::Outcome;
use crate::records::Operated;
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

/// A request that has begun.
#[expect(clippy::large_enum_variant, reason = "it is looked at on the spot: a box would cost an allocation")]
pub(super) enum Begun {
    /// It needs nobody else, and has its answer.
    Ended(Answer),
    Running(Running),
}

/// What one request has this node do.
pub(super) struct Errand<'a> {
    pub(super) id: u32,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) whom: &'a Arc<Whom>,
    /// Its part of the budget, until it has ended.
    pub(super) share: Option<Share>,
}

impl Errand<'_> {
    /// Does it, or begins to.
    pub(super) fn begin(self, asked: Asked) -> Begun {
        let (shared, whom) = (self.shared, self.whom);
        let sort = Sort::of(&asked.request);
        let Asked { request, remaining } = asked;
        match request {
            Request::Ring(request) => {
                if let Some(answered) = shared.answer_at_once(whom, &request) {
                    return Begun::Ended(said(answered.map(Answer::Ring)));
                }
                let (shared, whom) = (shared.clone(), whom.clone());
                self.run(sort, async move {
                    said(shared.answer_ring(&whom, request, remaining).await.map(Answer::Ring))
                })
            }
            Request::Describe => Begun::Ended(Answer::Described(encode_body(&shared.report()))),
            Request::Records(request) => match shared.begin_about_records(whom, request, remaining) {
                Err(refused) => Begun::Ended(refusal(refused)),
                Ok(ForPeer::Ended(answer)) => Begun::Ended(Answer::Records(answer)),
                Ok(ForPeer::Waits(waits)) => {
                    self.run(sort, async move { said(waits.end().await.map(Answer::Records)) })
                }
            },
            Request::Operate { operate, named: true, path: _ } => {
                match shared.begin_as_owner(whom, operate, remaining) {
                    Err(refused) => Begun::Ended(refusal(refused)),
                    Ok(ForPeer::Ended(done)) => Begun::Ended(as_owner(done)),
                    Ok(ForPeer::Waits(waits)) => {
                        let shared = shared.clone();
                        self.run(sort, async move { as_owner(waits.end(&shared).await) })
                    }
                }
            }
            Request::Operate { operate, named: false, path } => {
                let (shared, whom) = (shared.clone(), whom.clone());
                self.run(sort, async move {
                    let outcome = shared.operate_for(&whom, operate, path).await;
                    said(outcome.map(|Outcome { owner, hops, kept }| Answer::Operated {
                        result: Ok(kept),
                        owner: Some(owner),
                        hops: Some(hops),
                    }))
                })
            }
        }
    }

    fn run(self, sort: Sort, answers: impl Future<Output = Answer> + Send + 'static) -> Begun {
        let Self { id, share, .. } = self;
        // Not awaited in a future of its own, which would have room for it twice.
        Begun::Running(Box::pin(answers.map(move |answer| {
            drop(share);
            Ended { id, answer, sort }
        })))
    }
}

fn as_owner(result: Operated) -> Answer {
    Answer::Operated { result, owner: None, hops: None }
}

fn said(answered: Result<Answer, asked::Refused>) -> Answer {
    answered.unwrap_or_else(refusal)
}

fn refusal(asked::Refused { code, sentence, .. }: asked::Refused) -> Answer {
    Answer::Refused(Refused { code: Some(code), sentence })
}

/// Why a message is refused that makes no sense here.
pub(super) const fn code(error: &MessageError) -> Code {
    match error {
        MessageError::UnknownKind { .. } => Code::UnknownCommand,
        MessageError::TooLarge { .. } => Code::TooLarge,
        _ => Code::Malformed,
    }
}
