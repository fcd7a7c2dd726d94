//! Operations: lookups, gets and puts, carried to the owner from whichever node they reached.
//!
//! They run beside the owner task, on the published view: whom to ask next is always [`chord_ring::Lookup`]'s decision.
//!
//! The first of our nodes that takes a put proposes its version, once for all attempts: so one that comes late or twice,
//! from the buffers of a node that was stopped perhaps, is no newer than it was, and a write that was acknowledged
//! meanwhile stays.

use std::time::{Duration, Instant};

use crate::OperationError;
use crate::links::{Answered, Refused, Sending, onward};
use crate::shared::{Mail, Shared};
use chord_kv::{Key, Record, Value, Version};
use chord_ring::{
    Answer, Failure, Found, LOOKUP_RETRY_PAUSE, Lookup, NodeName, Peer, Position, Question, Refusal, Request,
    Step, begins_anew,
};
use chord_wire::{Code, Context, seed};

/// How a request came here, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) path: Vec<NodeName>,
    pub(crate) named: bool,
    pub(crate) until: Instant,
    /// The version that another of our nodes has proposed for the write that it is.
    pub(crate) version: Option<Version>,
}

impl Ticket {
    /// The ticket of a request that begins here.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { path: Vec::new(), named: false, until: Instant::now() + limit, version: None }
    }

    /// The ticket that a request's context is.
    pub(crate) fn of(context: &Context, limit: Duration) -> Self {
        let wait = context.remaining.map_or(limit, |remaining| remaining.min(limit));
        Self {
            path: context.path.clone(),
            named: context.named,
            until: Instant::now() + wait,
            version: context.version,
        }
    }

    fn lookup(&self, target: Position) -> Lookup {
        Lookup::new(Question { target, named: self.named, path: self.path.clone() })
    }

    fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What can be done to a key.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Get,
    Put(Value),
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) owner: NodeName,
    pub(crate) hops: u32,
    /// What was found, for a get.
    pub(crate) value: Option<Value>,
}

/// What became of one attempt at an operation.
enum Attempt {
    Done(Outcome),
    /// Nobody was left to ask; the ring is changing.
    Stuck(Refusal),
}

/// How far to take a lookup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until the owner has said that it is the owner.
    Found,
    /// Until a peer is named as the owner: the operation itself then goes to it, and it checks.
    Named,
}

/// Where a lookup has led.
enum Way {
    /// This node owns the position.
    Here(Found),
    /// Another node said that it owns the position.
    Found(Found),
    /// This peer is named as the owner, and was not asked yet; with the path of a request to it.
    Named(Peer, Vec<NodeName>),
    Stuck(Refusal),
}

impl Shared {
    /// Who owns `target`?
    pub(crate) async fn look_up(&self, target: Position, ticket: Ticket) -> Result<Found, OperationError> {
        let found = async {
            loop {
                let mut lookup = ticket.lookup(target);
                match self.advance_lookup(&mut lookup, &ticket, Until::Found).await {
                    Way::Here(found) | Way::Found(found) => return Ok(found),
                    Way::Named(..) => return Err(Refusal::NoRoute.into()),
                    Way::Stuck(refusal) => rest(&ticket, refusal).await?,
                }
            }
        };
        tokio::time::timeout(ticket.remaining(), found).await.unwrap_or(Err(OperationError::Deadline))
    }

    /// Does `operation` to `key` at its owner.
    pub(crate) async fn operate(
        &self,
        key: &Key,
        operation: &Operation,
        ticket: Ticket,
    ) -> Result<Outcome, OperationError> {
        if !operation.is_text(key) {
            return Err(OperationError::NotText); // Here or there, the answer must be the same.
        }
        let mut work = Work::new(key, operation, &ticket);
        let done = async {
            let error = loop {
                let ended = match self.try_operate(&mut work).await {
                    Ok(Attempt::Done(outcome)) => return Ok(outcome),
                    Ok(Attempt::Stuck(refusal)) => rest(&ticket, refusal).await,
                    Err(error) => self.propose_again(&mut work, error),
                };
                if let Err(error) = ended {
                    break error;
                }
            };
            // Other errors say that nothing changed.
            Err(if work.is_uncertain { OperationError::Deadline } else { error })
        };
        tokio::time::timeout(ticket.remaining(), done).await.unwrap_or(Err(OperationError::Deadline))
    }

    async fn try_operate(&self, work: &mut Work<'_>) -> Result<Attempt, OperationError> {
        let ticket = work.ticket;
        let target = work.key.position(self.ring.size);
        let mut lookup = ticket.lookup(target);
        loop {
            let (owner, path) = match self.advance_lookup(&mut lookup, ticket, Until::Named).await {
                Way::Stuck(refusal) => return Ok(Attempt::Stuck(refusal)),
                Way::Here(found) => return self.operate_here(target, work, found.hops).await,
                Way::Found(mut found) => {
                    found.path.pop();
                    (found.owner, found.path)
                }
                Way::Named(owner, path) => (owner, path),
            };
            match self.operate_at(&owner, work, path).await {
                Ok(result) => return result.map(Attempt::Done),
                // Another attempt, with a version that the next owner makes, could happen besides.
                Err(_) if work.is_uncertain && work.proposal == Proposal::LeftToOwner => {
                    return Err(OperationError::Deadline);
                }
                Err(failure) => self.set_aside(&mut lookup, &owner, &failure),
            }
        }
    }

    /// After a refusal of its version, a write can be tried with another by the node that proposed the first. Not if it may
    /// have happened with that: then it would happen twice, and undo what others have written between.
    fn propose_again(&self, work: &mut Work<'_>, error: OperationError) -> Result<(), OperationError> {
        let ticket = work.ticket;
        if ticket.version.is_some() || work.is_uncertain || ticket.remaining().is_zero() {
            return Err(error);
        }
        work.proposal = match error {
            OperationError::Outdated { stored } => Proposal::Version(self.propose(Some(&stored))),
            // This node's clock is ahead, or the owner's behind: the owner has to live with its own.
            OperationError::Remote { code: Code::ClockAhead, .. }
                if work.proposal != Proposal::LeftToOwner =>
            {
                Proposal::LeftToOwner
            }
            error => return Err(error),
        };
        Ok(())
    }

    /// Takes a lookup as far as it goes.
    async fn advance_lookup(&self, lookup: &mut Lookup, ticket: &Ticket, until: Until) -> Way {
        loop {
            let view = self.view();
            match lookup.step_round(&view, |peer| self.links.is_suspect(peer)) {
                Step::Here(found) => return Way::Here(found),
                Step::Stuck(refusal) => return Way::Stuck(refusal),
                Step::Ask { peer, question } if question.named && until == Until::Named => {
                    return Way::Named(peer, question.path);
                }
                Step::Ask { peer, question } => {
                    let request = Request::FindSuccessor(question);
                    // On the heap: each connection at the door has room for all of this.
                    match Box::pin(self.asker().ask(&peer.name, request, ticket.remaining())).await {
                        Ok(Answer::Found(found)) => {
                            return Way::Found(lookup.answered(&view, &peer, found));
                        }
                        Ok(_) => self.set_aside(lookup, &peer, &Failure::Garbled),
                        Err(failure) => self.set_aside(lookup, &peer, &failure),
                    }
                }
            }
        }
    }

    fn set_aside(&self, lookup: &mut Lookup, peer: &Peer, failure: &Failure) {
        lookup.failed(&peer.name, failure);
        if *failure == Failure::Unreachable {
            // A full mailbox only delays what maintenance finds out by itself.
            let _ = self.mailbox.try_send(Mail::Unreachable(peer.name.clone()));
        }
    }

    async fn operate_here(
        &self,
        target: Position,
        work: &mut Work<'_>,
        hops: u32,
    ) -> Result<Attempt, OperationError> {
        const NOT_OURS: Attempt = Attempt::Stuck(Refusal::NoRoute);
        if !self.is_ready_for(target, work.key).await {
            return Ok(NOT_OURS);
        }
        let owner = self.me.name.clone();
        let value = match work.operation {
            Operation::Get => self.read(target, work.key)?,
            Operation::Put(value) => {
                let version = self.version_of(work);
                let (key, value) = (work.key.clone(), Some(value.clone()));
                let record = Record { position: target, key, value, version, expires_at_ms: None };
                self.write(&record)?;
                Box::pin(self.copy_if_departing(&record)).await?;
                if !self.answers_for(target) {
                    // Whoever is the owner by now may have looked here before this record was written.
                    work.is_uncertain = true;
                    return Ok(NOT_OURS);
                }
                None
            }
        };
        Ok(Attempt::Done(Outcome { owner, hops, value }))
    }

    /// The version of a write, the same for each attempt.
    fn version_of(&self, work: &mut Work<'_>) -> Version {
        match work.proposal {
            Proposal::Version(version) => version,
            Proposal::None | Proposal::LeftToOwner => {
                let version = self.propose(None);
                work.proposal = Proposal::Version(version);
                version
            }
        }
    }

    /// Whether this node may answer for a key at this moment, and what others had under it is here.
    async fn is_ready_for(&self, target: Position, key: &Key) -> bool {
        let has_newest = {
            let custody = self.custody();
            custody.answers_for(target).then(|| custody.has_newest(key))
        };
        match has_newest {
            Some(true) => true,
            Some(false) => Box::pin(self.pull_if_new(target, key)).await && self.answers_for(target),
            None => {
                self.unvouched.notify_one();
                false
            }
        }
    }

    /// Has a peer that was named as the owner do the operation. The outer error is a peer that could not; the inner one is the owner's own answer.
    async fn operate_at(
        &self,
        peer: &Peer,
        work: &mut Work<'_>,
        path: Vec<NodeName>,
    ) -> Result<Result<Outcome, OperationError>, Failure> {
        let budget = work.ticket.remaining();
        let Some(request) = work.operation.request(work.key) else { return Ok(Err(OperationError::NotText)) };
        let hops_here = u32::try_from(path.len()).unwrap_or(u32::MAX);
        let proposed = work.is_write() && work.proposal != Proposal::LeftToOwner;
        let version = proposed.then(|| self.version_of(work));
        let context = Context { version, ..onward(self.asker().of_ring(), path, true, budget)? };
        let link = self.links.to(&peer.name);
        let sending = Sending::new(Answered::WithOthers);
        let sending = if version.is_none() && work.is_write() { sending.once() } else { sending };
        let reply = link.send_onward(&sending, &request, &context, budget).await;
        work.doubt_if(
            sending.is_in_doubt() || reply.as_ref().is_err_and(|failure| *failure == Failure::Garbled),
        );
        let reply = reply?;
        match (&reply.answer, reply.context.version) {
            (Err(Refused { code: Some(Code::Outdated), .. }), Some(stored)) => {
                return Ok(Err(OperationError::Outdated { stored }));
            }
            (Err(Refused { code: Some(code), sentence }), _) if is_owners_word(*code) => {
                return Ok(Err(OperationError::Remote { code: *code, sentence: sentence.clone() }));
            }
            _ => {}
        }
        // Our own nodes count the whole path; a seed node counts from itself.
        let whole = |hops: u32| if link.is_seed() { hops.saturating_add(hops_here) } else { hops };
        let granted = self.asker().granted(&peer.name, request.command(), reply);
        // Only a refusal says that nothing changed.
        work.doubt_if(!matches!(granted, Ok(_) | Err(Failure::Refused(_))));
        match granted?.0 {
            seed::Answer::Get { storage_node, hops, value } => {
                let value =
                    value.map(|value| Value::new(value.as_bytes(), self.limits.value_bytes)).transpose();
                Ok(value
                    .map(|value| Outcome { owner: storage_node, hops: whole(hops), value })
                    .map_err(OperationError::from))
            }
            seed::Answer::Put { storage_node, hops } => {
                Ok(Ok(Outcome { owner: storage_node, hops: whole(hops), value: None }))
            }
            _ => Err(Failure::Garbled),
        }
    }
}

/// An operation under way, through all its attempts.
struct Work<'a> {
    key: &'a Key,
    operation: &'a Operation,
    ticket: &'a Ticket,
    proposal: Proposal,
    /// Whether an attempt may have been done without our hearing of it.
    is_uncertain: bool,
}

/// Under which version a write is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proposal {
    /// None yet.
    None,
    Version(Version),
    /// Without one: whoever owns the key makes it.
    LeftToOwner,
}

impl<'a> Work<'a> {
    fn new(key: &'a Key, operation: &'a Operation, ticket: &'a Ticket) -> Self {
        let proposal = ticket.version.map_or(Proposal::None, Proposal::Version);
        Self { key, operation, ticket, proposal, is_uncertain: false }
    }

    fn is_write(&self) -> bool {
        matches!(self.operation, Operation::Put(_))
    }

    /// Notes that a write may have happened.
    fn doubt_if(&mut self, may_have_happened: bool) {
        self.is_uncertain |= self.is_write() && may_have_happened;
    }
}

impl Operation {
    /// Whether the seed's words can carry it.
    fn is_text(&self, key: &Key) -> bool {
        let value = match self {
            Self::Get => &[],
            Self::Put(value) => value.as_bytes(),
        };
        [key.as_bytes(), value].into_iter().all(|bytes| std::str::from_utf8(bytes).is_ok())
    }

    fn request(&self, key: &Key) -> Option<seed::Request> {
        let key = text(key.as_bytes())?;
        Some(match self {
            Self::Get => seed::Request::Get { key },
            Self::Put(value) => {
                seed::Request::Put { key, value: text(value.as_bytes())?, no_redirect: false }
            }
        })
    }
}

pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Pauses before another attempt, if there is to be one.
async fn rest(ticket: &Ticket, refusal: Refusal) -> Result<(), OperationError> {
    if !begins_anew(&refusal, &ticket.path, ticket.remaining()) {
        return Err(refusal.into());
    }
    tokio::time::sleep(LOOKUP_RETRY_PAUSE).await;
    Ok(())
}

/// Whether an error is the owner's own answer, which no other way through the ring would change.
fn is_owners_word(code: Code) -> bool {
    matches!(code, Code::BadRequest | Code::TooLarge | Code::NotText | Code::StoreFailed | Code::ClockAhead)
}
