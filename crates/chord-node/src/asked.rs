//! What other nodes and clients ask of this one, in whatever words: doors turn bytes into these requests, and what comes back
//! into bytes.

use std::time::Duration;

use chord_kv::replication::{Operation, OperationError as Unable, PeerAnswer, PeerRequest};
use chord_ring::{Answer, NodeName, Peer, Phase, Pong, Question, Refusal, Request, RingTag, State};
use chord_wire::replica::Operate;
use chord_wire::{Code, Context};
use tokio::time::Instant;

use crate::OperationError;
use crate::error::refusal_code;
use crate::guard::NO_CERTIFICATE;
use crate::links::lock;
use crate::metrics::{Arrival, Deed, Door};
use crate::operation::{Outcome, Ticket, Wish};
use crate::records::{Coming, Ended, Operated, Order};
use crate::secret::Role;
use crate::shared::{Shared, Stage};

/// Who asks, as far as it says so: plain clients and seed nodes do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whom {
    pub(crate) peer: Option<Peer>,
    pub(crate) ring: Option<RingTag>,
}

/// A request that is refused, and why: one sentence for people, one code for programs.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) sentence: String,
    pub(crate) context: Box<Context>,
}

impl Refused {
    pub(crate) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), context: Box::default() }
    }

    pub(crate) fn with(self, context: Context) -> Self {
        Self { context: Box::new(context), ..self }
    }
}

const NOT_IN_TIME: &str = "this node did not come to it in time: try again";

/// What was begun for another node.
pub(crate) enum ForPeer<Done, Waits> {
    Ended(Done),
    Waits(Waits),
}

/// An answer about records that is to come.
pub(crate) struct AboutRecords {
    coming: Coming,
    until: Instant,
}

/// What is to come of an operation at the owner of its key.
pub(crate) struct AsOwner {
    coming: Coming,
    until: Instant,
    arrival: Arrival,
    deed: Deed,
}

impl AboutRecords {
    pub(crate) async fn end(self) -> Result<PeerAnswer, Refused> {
        let answer = self.coming.reply(self.until).await;
        answer.ok_or_else(|| Refused::new(Code::Busy, NOT_IN_TIME))
    }
}

impl AsOwner {
    pub(crate) async fn end(self, shared: &Shared) -> Operated {
        let under_way = shared.metrics.under_way(self.arrival, self.deed);
        // Without an answer it may be done, or be about to be.
        let done = self.coming.done(self.until).await.unwrap_or(Err(Unable::Uncertain));
        under_way.ended_for_peer(&done);
        done
    }
}

impl From<&OperationError> for Refused {
    fn from(error: &OperationError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// What somebody must be who has this done to a key.
pub(crate) fn operate_role(operation: &Operation) -> Role {
    if *operation == Operation::Get { Role::Read } else { Role::Write }
}

impl Whom {
    /// Who a context says that it is.
    pub(crate) fn of(shared: &Shared, context: &Context) -> Self {
        let peer = context.from.clone().map(|name| shared.peer(name));
        Self { peer, ring: context.ring.clone() }
    }
}

impl Shared {
    pub(crate) fn peer(&self, name: NodeName) -> Peer {
        Peer::of_name(name, self.ring.size)
    }

    /// Refuses peers of other rings.
    pub(crate) fn admit(&self, theirs: Option<&RingTag>) -> Result<(), Refused> {
        let admitted = theirs.map_or(Ok(()), |theirs| self.view.load().admit(theirs));
        admitted.map_err(|refusal| self.refuse(&refusal))
    }

    /// A refusal goes with this node's identity, so that the other side can say which ring it met.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> Refused {
        let waits = if *refusal == Refusal::NotMember { self.waits() } else { None };
        let sentence = waits.map_or_else(|| refusal.to_string(), |waits| waits.to_string());
        Refused::new(refusal_code(refusal), sentence).with(self.asker().identity())
    }

    /// Whether the node stays.
    pub(crate) fn is_staying(&self) -> bool {
        self.view.load().phase() != Phase::Leaving && self.stage() < Stage::Closing
    }

    pub(crate) fn pong(&self) -> Pong {
        let member = self.is_staying() && self.view.load().is_member();
        Pong { peer: self.me.clone(), member, ring: Some(self.ring.clone()) }
    }

    /// Whom this node knows next to it. If that should be the asker, it finds out at once.
    pub(crate) fn state_for(&self, whom: &Whom) -> Result<State, Refused> {
        let state = self.view.load().state().map_err(|refusal| self.refuse(&refusal))?;
        if let Some(asker) = &whom.peer {
            lock(&self.askers).note(&asker.name);
            self.asked_by(asker);
        }
        Ok(state)
    }

    /// Answers what needs nobody else, or says that it does.
    pub(crate) fn answer_at_once(&self, whom: &Whom, request: &Request) -> Option<Result<Answer, Refused>> {
        match request {
            Request::Ping => Some(Ok(Answer::Pong(self.pong()))),
            Request::GetState => {
                let admitted = self.admit(whom.ring.as_ref());
                Some(admitted.and_then(|()| self.state_for(whom)).map(Answer::State))
            }
            Request::Notify { .. }
            | Request::ForgetPredecessor
            | Request::Leave { .. }
            | Request::FindSuccessor(_) => None,
        }
    }

    /// Answers a request of the ring. To [`Request::Ping`] everybody is let in: see `View::admit_request`.
    pub(crate) async fn answer_ring(
        &self,
        whom: &Whom,
        request: Request,
        remaining: Option<Duration>,
    ) -> Result<Answer, Refused> {
        if let Some(answer) = self.answer_at_once(whom, &request) {
            return answer;
        }
        self.admit(whom.ring.as_ref())?;
        match request {
            Request::FindSuccessor(Question { target, named, path }) => {
                let wait = self.wait(remaining);
                let ticket = Ticket { path, named, ..Ticket::new(Door::Peer, wait) };
                self.look_up(target, ticket).await.map(Answer::Found).map_err(|error| (&error).into())
            }
            request => {
                self.check_sender(whom, &request)?;
                if self.is_hearsay(whom, &request) && !lock(&self.askers).may_hear() {
                    return Ok(Answer::Done); // Seed nodes, which do not say who they are, say so again.
                }
                let answer = self.request(whom.ring.clone(), request).await;
                let answer = answer.ok_or_else(|| {
                    Refused::new(Code::Busy, "this node is too busy at the moment: try again")
                })?;
                answer.map_err(|refusal| self.refuse(&refusal))
            }
        }
    }

    /// Where nodes show certificates, nobody is believed what another node would say.
    fn check_sender(&self, whom: &Whom, request: &Request) -> Result<(), Refused> {
        let (Request::Notify { from } | Request::Leave { from, .. }) = request else { return Ok(()) };
        if self.tls.is_none() || whom.peer.as_ref().is_some_and(|peer| peer.name == from.name) {
            return Ok(());
        }
        Err(Refused::new(Code::Forbidden, NO_CERTIFICATE))
    }

    /// Whether somebody else, or nobody, says in a node's name that it comes before this one. Of those who do the closest is
    /// asked first, so a crowd of made up ones would keep away whoever speaks for itself.
    fn is_hearsay(&self, whom: &Whom, request: &Request) -> bool {
        let Request::Notify { from } = request else { return false };
        self.view().is_member() && whom.peer.as_ref().is_none_or(|peer| peer.name != from.name)
    }

    /// Answers a request about records of another node, or of a client that only wants to see what is here.
    pub(crate) async fn answer_about_records(
        &self,
        whom: &Whom,
        request: PeerRequest,
        remaining: Option<Duration>,
    ) -> Result<PeerAnswer, Refused> {
        match self.begin_about_records(whom, request, remaining)? {
            ForPeer::Ended(answer) => Ok(answer),
            ForPeer::Waits(waits) => waits.end().await,
        }
    }

    /// Begins to.
    pub(crate) fn begin_about_records(
        &self,
        whom: &Whom,
        request: PeerRequest,
        remaining: Option<Duration>,
    ) -> Result<ForPeer<PeerAnswer, AboutRecords>, Refused> {
        self.admit(whom.ring.as_ref())?;
        let from = match &whom.peer {
            Some(peer) => peer.clone(),
            None if matches!(request, PeerRequest::List { .. } | PeerRequest::Pull { .. }) => self.me.clone(),
            None => return Err(Refused::new(Code::BadRequest, "a request between nodes names its sender")),
        };
        if request == PeerRequest::Vouch {
            self.asked_by(&from);
        }
        let until = self.until(remaining);
        match Coming::of(self.records.begin_answer(from, request)).map(Ended::reply) {
            Ok(Some(answer)) => Ok(ForPeer::Ended(answer)),
            Ok(None) => Err(Refused::new(Code::Busy, NOT_IN_TIME)),
            Err(coming) => Ok(ForPeer::Waits(AboutRecords { coming, until })),
        }
    }

    /// Does an operation as the owner of its key, or says that it is not the owner.
    pub(crate) async fn operate_as_owner(
        &self,
        whom: &Whom,
        operate: Operate,
        remaining: Option<Duration>,
    ) -> Result<Operated, Refused> {
        Ok(match self.begin_as_owner(whom, operate, remaining)? {
            ForPeer::Ended(done) => done,
            ForPeer::Waits(waits) => waits.end(self).await,
        })
    }

    /// Begins to.
    pub(crate) fn begin_as_owner(
        &self,
        whom: &Whom,
        operate: Operate,
        remaining: Option<Duration>,
    ) -> Result<ForPeer<Operated, AsOwner>, Refused> {
        self.admit(whom.ring.as_ref())?;
        if whom.ring.is_none() {
            // Of another ring it may be, where another node owns the key.
            return Err(Refused::new(
                Code::BadRequest,
                "whoever names the owner of a key says of which ring",
            ));
        }
        let Operate { key, operation, proposal, consistency, remaining: waits } = operate;
        let (arrival, deed) = (Arrival { door: Door::Peer, at: Instant::now() }, Deed::of(&operation));
        let until = self.until(remaining).min(arrival.at + waits);
        let (key, operation, position) = (&key, &operation, key.position(self.ring.size));
        let order = Order { key, position, operation, proposal, consistency, until };
        Ok(match Coming::of(self.records.begin(&order)) {
            Ok(ended) => {
                let done = ended.done().unwrap_or(Err(Unable::Uncertain));
                self.metrics.under_way(arrival, deed).ended_for_peer(&done);
                ForPeer::Ended(done)
            }
            Err(coming) => ForPeer::Waits(AsOwner { coming, until, arrival, deed }),
        })
    }

    /// Sees to it that an operation is done, wherever the owner of its key is.
    pub(crate) async fn operate_for(
        &self,
        whom: &Whom,
        operate: Operate,
        path: Vec<NodeName>,
    ) -> Result<Outcome, Refused> {
        self.admit(whom.ring.as_ref())?;
        let Operate { key, operation, consistency, remaining, proposal: _ } = operate;
        let ticket = Ticket { path, ..Ticket::new(Door::Binary, self.wait(Some(remaining))) };
        let done = self.operate(Wish { key, operation, consistency }, ticket).await;
        done.map_err(|error| (&error).into())
    }

    /// Until when somebody waits: never longer than an operation may take.
    fn until(&self, remaining: Option<Duration>) -> Instant {
        Instant::now() + self.wait(remaining)
    }

    /// How long somebody waits: never longer than an operation may take.
    fn wait(&self, remaining: Option<Duration>) -> Duration {
        let limit = self.limits.operation;
        remaining.map_or(limit, |remaining| remaining.min(limit))
    }
}
