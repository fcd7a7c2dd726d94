//! Operations: lookups, and what is done to a key, carried to the owner from whichever node they reached.
//!
//! They run beside the owner task, on the published view: whom to ask next is always [`chord_ring::Lookup`]'s decision, and
//! whether to try again is [`Attempts`]'.

use std::time::Duration;

use chord_kv::replication::{
    Afterwards, Attempts, Consistency, Operation, OperationError as Unable, Outcome as Kept,
};
use chord_kv::{ClockAhead, Key, Value, Version};
use chord_ring::{
    Answer, Failure, Found, LOOKUP_RETRY_PAUSE, Lookup, NodeName, Peer, Position, Question, Refusal, Request,
    Step, View, begins_anew,
};
use chord_wire::Context;
use chord_wire::replica::Operate;
use tokio::time::Instant;

use crate::OperationError;
use crate::age::now_ms;
use crate::links::{Answered, Purpose, Sending};
use crate::metrics::{Arrival, Deed, Door};
use crate::records::{Begun, Coming, Ended, Operated, Order};
use crate::shared::{Mail, Shared};

/// How a request came here, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) path: Vec<NodeName>,
    pub(crate) named: bool,
    pub(crate) until: Instant,
    pub(crate) arrival: Arrival,
}

impl Ticket {
    /// The ticket of a request that begins here.
    pub(crate) fn new(door: Door, limit: Duration) -> Self {
        let at = Instant::now();
        Self { path: Vec::new(), named: false, until: at + limit, arrival: Arrival { door, at } }
    }

    /// The ticket that a request's context is.
    pub(crate) fn of(door: Door, context: &Context, limit: Duration) -> Self {
        let wait = context.remaining.map_or(limit, |remaining| remaining.min(limit));
        Self { path: context.path.clone(), named: context.named, ..Self::new(door, wait) }
    }

    fn lookup(&self, target: Position) -> Lookup {
        Lookup::new(Question { target, named: self.named, path: self.path.clone() })
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What a client wants done.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) key: Key,
    pub(crate) operation: Operation,
    pub(crate) consistency: Consistency,
}

impl Wish {
    pub(crate) fn new(key: Key, operation: Operation) -> Self {
        Self { key, operation, consistency: Consistency::Usual }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) owner: NodeName,
    pub(crate) hops: u32,
    pub(crate) kept: Kept,
}

impl Outcome {
    /// What is under the key now.
    pub(crate) fn value(&self) -> Option<&Value> {
        self.kept.record.as_ref().and_then(|record| record.value.as_ref())
    }
}

/// What became of one attempt at an operation.
enum Attempt {
    /// On the heap: it is handed on through all who have part in the operation.
    Ended(Result<Box<Outcome>, OperationError>),
    /// The ring is changing: another lookup may lead elsewhere.
    Again(Refusal),
    /// Another write was newer; the next attempt has a better version.
    AtOnce,
}

impl Attempt {
    /// Whether the owner has said how it went.
    fn is_told(&self) -> bool {
        !matches!(self, Self::Again(_) | Self::Ended(Err(OperationError::Data(Unable::Uncertain))))
    }
}

/// An operation that has begun.
pub(crate) enum Started {
    /// This node has done it, or knows why it is not to be done. It was forwarded so often before.
    Ended(u32, Operated),
    /// [`Shared::go_on`] takes it to its end.
    GoesOn(Unfinished),
}

/// An operation that takes a while.
pub(crate) struct Unfinished {
    work: Work,
    first: First,
}

impl Unfinished {
    /// What it is about.
    pub(crate) fn key(&self) -> &Key {
        self.work.key()
    }
}

/// What has become of the first attempt.
enum First {
    /// It was not made: another node owns the key.
    Elsewhere,
    /// It is under way at this node.
    Here(u32, Coming),
    /// It has ended, and there has to be another.
    Ended(Attempt),
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
    /// The same, by what was learned of it earlier.
    Learned(Peer, Vec<NodeName>),
    Stuck(Refusal),
}

/// An operation under way, through all its attempts.
pub(crate) struct Work {
    wish: Wish,
    /// Where its key lies.
    position: Position,
    ticket: Ticket,
    attempts: Attempts,
}

impl Work {
    /// What it is about.
    pub(crate) fn key(&self) -> &Key {
        &self.wish.key
    }

    /// How often it was forwarded, if this node owns its key and nobody needs to be asked.
    fn ends_here(&self, view: &View) -> Option<u32> {
        self.ticket.lookup(self.position).ends_here(view)
    }

    /// The next attempt, for the records of this node.
    fn order(&mut self) -> Order<'_> {
        let proposal = self.attempts.begin();
        let Wish { key, operation, consistency } = &self.wish;
        let (position, until) = (self.position, self.ticket.until);
        Order { key, position, operation, proposal, consistency: *consistency, until }
    }
}

impl Shared {
    /// Who owns `target`?
    pub(crate) async fn look_up(&self, target: Position, ticket: Ticket) -> Result<Found, OperationError> {
        let began = Instant::now();
        let found = async {
            loop {
                let mut lookup = ticket.lookup(target);
                match self.advance_lookup(&mut lookup, &ticket, Until::Found).await {
                    Way::Here(found) | Way::Found(found) => return Ok(timed(found, began)),
                    Way::Named(..) | Way::Learned(..) => return Err(Refusal::NoRoute.into()),
                    Way::Stuck(refusal) => rest(&ticket, refusal).await?,
                }
            }
        };
        let found = tokio::time::timeout_at(ticket.until, found).await;
        let found = found.unwrap_or(Err(Unable::Unanswered.into()));
        self.metrics.looked_up(&found);
        found.map_err(|error| self.explained(error))
    }

    /// Has a wish done at the owner of its key.
    pub(crate) async fn operate(&self, wish: Wish, ticket: Ticket) -> Result<Outcome, OperationError> {
        match self.start(wish, ticket) {
            Started::Ended(hops, result) => outcome(self.me.name.clone(), hops, result),
            // On the heap: few need all of this, and each connection at the door has room for it.
            Started::GoesOn(mut unfinished) => {
                Box::pin(self.go_on(&mut unfinished)).await.map(|outcome| *outcome)
            }
        }
    }

    /// Begins to have a wish done. What this node can do by itself at once has ended then.
    pub(crate) fn start(&self, wish: Wish, ticket: Ticket) -> Started {
        let mut work = self.prepare(wish, ticket);
        let first = self.begin_here(&mut work);
        self.started(work, first)
    }

    /// What has to be known of a wish before it begins.
    pub(crate) fn prepare(&self, wish: Wish, ticket: Ticket) -> Work {
        let attempts = Attempts::new(&wish.operation, || self.clock.next(now_ms(), self.me.position));
        let position = wish.key.position(self.ring.size);
        Work { wish, position, ticket, attempts }
    }

    /// Begins several operations, which are about different keys, with one turn at the records, and tells of each.
    pub(crate) fn start_all<T>(&self, works: &mut Vec<(Work, T)>, mut tell: impl FnMut(Started, T)) {
        let view = self.view.load();
        let prepare = |(work, _): &(Work, T)| {
            let hops = work.ends_here(&view)?;
            self.records.bring_near(work.position, work.key());
            Some((hops, None))
        };
        let mut firsts: Vec<Option<(u32, Option<Begun>)>> = works.iter().map(prepare).collect();
        self.records.take_turn(|turn| {
            for ((work, _), first) in works.iter_mut().zip(&mut firsts) {
                if let Some((_, begun)) = first {
                    *begun = Some(turn.begin(&work.order()));
                }
            }
        });
        for ((work, of), first) in works.drain(..).zip(firsts) {
            tell(self.started(work, first), of);
        }
    }

    /// What has become of an operation of which the first attempt has begun, if it was made.
    fn started(&self, mut work: Work, first: Option<(u32, Option<Begun>)>) -> Started {
        let begun = first.map(|(hops, begun)| (hops, Coming::of(begun).map(Ended::done)));
        let first = match begun {
            None => First::Elsewhere,
            Some((hops, Ok(Some(result)))) => First::Ended(match self.answered(&mut work, &result) {
                Afterwards::Tell => {
                    let Work { ticket, wish, .. } = &work;
                    self.metrics.ended_here(ticket.arrival, &wish.operation, hops, &result);
                    return Started::Ended(hops, result);
                }
                Afterwards::TellOfDoubt => {
                    let (Work { ticket, wish, .. }, doubt) = (&work, Err(Unable::Uncertain));
                    self.metrics.ended_here(ticket.arrival, &wish.operation, hops, &doubt);
                    return Started::Ended(hops, doubt);
                }
                Afterwards::TryAgain => Attempt::Again(Refusal::NoRoute),
                Afterwards::TryAtOnce => Attempt::AtOnce,
            }),
            Some((_, Ok(None))) => First::Ended(Attempt::Again(Refusal::NoRoute)),
            Some((hops, Err(coming))) => First::Here(hops, coming),
        };
        Started::GoesOn(Unfinished { work, first })
    }

    /// Takes an operation to its end that takes a while. It stays where it is: each future on the way that had it as its own
    /// would have room for it twice.
    pub(crate) async fn go_on(&self, unfinished: &mut Unfinished) -> Result<Box<Outcome>, OperationError> {
        let (arrival, deed) = (unfinished.work.ticket.arrival, Deed::of(&unfinished.work.wish.operation));
        let under_way = self.metrics.under_way(arrival, deed);
        let done = self.end(unfinished).await;
        under_way.ended(&done);
        done.map_err(|error| self.explained(error))
    }

    async fn end(&self, unfinished: &mut Unfinished) -> Result<Box<Outcome>, OperationError> {
        let Unfinished { work, first } = unfinished;
        let attempt = match std::mem::replace(first, First::Elsewhere) {
            First::Elsewhere => None,
            First::Here(hops, coming) => Some(self.end_here(work, hops, coming).await),
            First::Ended(attempt) => Some(attempt),
        };
        match attempt {
            Some(Attempt::Ended(result)) => result,
            other => self.keep_trying(work, other).await,
        }
    }

    /// Tries until the time is over; `attempt` is what became of the first, if it was made.
    async fn keep_trying(
        &self,
        work: &mut Work,
        mut attempt: Option<Attempt>,
    ) -> Result<Box<Outcome>, OperationError> {
        let until = work.ticket.until;
        let done = async {
            loop {
                let tried = match attempt.take() {
                    Some(attempt) => attempt,
                    None => self.try_operate(work).await,
                };
                match tried {
                    Attempt::Ended(result) => return result,
                    Attempt::AtOnce => {}
                    Attempt::Again(refusal) => {
                        if let Err(error) = rest(&work.ticket, refusal).await {
                            return Err(match work.attempts.expired() {
                                doubt @ (Unable::Uncertain | Unable::TooFewCopies { .. }) => doubt.into(),
                                _ => error,
                            });
                        }
                    }
                }
            }
        };
        let done = tokio::time::timeout_at(until, done).await;
        done.unwrap_or_else(|_| Err(work.attempts.expired().into()))
    }

    /// The same error, or why the node is in no ring where that is all that it says.
    fn explained(&self, error: OperationError) -> OperationError {
        match error {
            OperationError::Refused(Refusal::NotMember) => self.waits().unwrap_or(error),
            error => error,
        }
    }

    async fn try_operate(&self, work: &mut Work) -> Attempt {
        let mut lookup = work.ticket.lookup(work.position);
        loop {
            let way = self.advance_lookup(&mut lookup, &work.ticket, Until::Named).await;
            let is_guess = matches!(way, Way::Learned(..));
            let (owner, path) = match way {
                Way::Stuck(refusal) => return Attempt::Again(refusal),
                Way::Here(found) => return self.operate_here(work, found.hops).await,
                Way::Found(mut found) => {
                    self.shortcuts.count_miss();
                    found.path.pop();
                    (found.owner, found.path)
                }
                Way::Named(owner, path) | Way::Learned(owner, path) => (owner, path),
            };
            let tried = self.operate_there(&owner, path, work).await;
            let is_told = tried.as_ref().is_ok_and(Attempt::is_told);
            if is_guess {
                self.shortcuts.count_guess(is_told);
            }
            if !is_told {
                self.shortcuts.forget(&owner.name);
            }
            match tried {
                Ok(attempt) => return attempt,
                Err(failure) => self.set_aside(&mut lookup, &owner, &failure),
            }
        }
    }

    /// Begins an operation if this node owns its key, without asking anybody.
    fn begin_here(&self, work: &mut Work) -> Option<(u32, Option<Begun>)> {
        let hops = work.ends_here(&self.view.load())?;
        let begun = self.records.begin(&work.order());
        Some((hops, begun))
    }

    async fn end_here(&self, work: &mut Work, hops: u32, coming: Coming) -> Attempt {
        let result = coming.done(work.ticket.until).await;
        // Without an answer the time is over, or this node ends.
        let result = result.unwrap_or_else(|| Err(work.attempts.expired()));
        self.conclude(work, self.me.name.clone(), hops, result)
    }

    async fn operate_here(&self, work: &mut Work, hops: u32) -> Attempt {
        match Coming::of(self.records.begin(&work.order())).map(Ended::done) {
            Ok(Some(result)) => self.conclude(work, self.me.name.clone(), hops, result),
            Ok(None) => Attempt::Again(Refusal::NoRoute),
            Err(coming) => self.end_here(work, hops, coming).await,
        }
    }

    /// Has a peer that was named as the owner do the operation. The error is that it did not.
    async fn operate_there(
        &self,
        owner: &Peer,
        path: Vec<NodeName>,
        work: &mut Work,
    ) -> Result<Attempt, Failure> {
        let hops = u32::try_from(path.len()).unwrap_or(u32::MAX);
        let proposal = work.attempts.begin();
        let sending = Sending::new(Answered::WithOthers);
        let sending = if work.attempts.may_arrive_twice() { sending } else { sending.once() };
        let link = self.links.to(&owner.name);
        let asker = self.asker();
        let answered = match asker.is_seed(&owner.name, &link).await {
            Ok(true) => {
                let left = work.ticket.remaining();
                let done = asker.operate_at_seed(owner, &link, &work.wish, path, &sending, left);
                match Box::pin(done).await {
                    // An attempt at another may have been done.
                    Ok(Err(_)) if work.attempts.may_have_happened() => {
                        return Ok(Attempt::Ended(Err(Unable::Uncertain.into())));
                    }
                    Ok(result) => return Ok(Attempt::Ended(result.map(Box::new))),
                    Err(failure) => Err(failure),
                }
            }
            Ok(false) => {
                let Wish { key, operation, consistency } = work.wish.clone();
                let remaining = work.ticket.remaining();
                let operate = Operate { key, operation, proposal, consistency, remaining };
                // On the heap: whoever asks has room for all that may come before and after, too.
                let done = Box::pin(asker.operate_at(&owner.name, operate, path, &sending)).await;
                done.inspect_err(|failure| self.links.failed(Purpose::Operation, failure))
            }
            Err(failure) => Err(failure),
        };
        let afterwards = match answered {
            Ok(Err(Unable::NotOwner)) => {
                let _ = self.answered(work, &Err(Unable::NotOwner));
                return Err(Failure::Refused(Refusal::NoRoute));
            }
            Ok(result) => {
                let is_change = work.wish.operation != Operation::Get;
                let is_repeat = work.attempts.may_have_happened() || sending.is_in_doubt();
                // An older owner does not say that it had this before.
                let result = if is_change && is_repeat { result.map(Kept::perhaps_repeated) } else { result };
                return Ok(self.conclude(work, owner.name.clone(), hops, result));
            }
            Err(failure) => (work.attempts.failed(sending.is_in_doubt()), failure),
        };
        match afterwards {
            (Afterwards::TryAgain | Afterwards::TryAtOnce, failure) => Err(failure),
            (Afterwards::Tell | Afterwards::TellOfDoubt, _) => {
                Ok(Attempt::Ended(Err(Unable::Uncertain.into())))
            }
        }
    }

    /// What an answer about an operation means.
    fn conclude(&self, work: &mut Work, owner: NodeName, hops: u32, result: Operated) -> Attempt {
        if let Err(Unable::ClockAhead(ClockAhead { ahead_ms })) = result {
            self.clock_differences.tell(&self.me.name, &owner, ahead_ms);
        }
        match self.answered(work, &result) {
            Afterwards::TryAgain => Attempt::Again(Refusal::NoRoute),
            Afterwards::TryAtOnce => Attempt::AtOnce,
            Afterwards::Tell => Attempt::Ended(outcome(owner, hops, result).map(Box::new)),
            Afterwards::TellOfDoubt => Attempt::Ended(Err(Unable::Uncertain.into())),
        }
    }

    fn answered(&self, work: &mut Work, result: &Operated) -> Afterwards {
        let over = |stored: &Version| self.clock.next_over(now_ms(), self.me.position, stored);
        work.attempts.answered(result, over)
    }

    /// Takes a lookup as far as it goes.
    async fn advance_lookup(&self, lookup: &mut Lookup, ticket: &Ticket, until: Until) -> Way {
        loop {
            let view = self.view();
            match lookup.step_round(&view, |peer| self.links.is_suspect(peer)) {
                Step::Here(found) => return Way::Here(found),
                Step::Stuck(refusal) => return Way::Stuck(refusal),
                Step::Ask { peer, question, .. } if question.named && until == Until::Named => {
                    return Way::Named(peer, question.path);
                }
                Step::Ask { peer, question, .. } => {
                    if until == Until::Named
                        && let Some(owner) = self.shortcuts.take(lookup, &view)
                        && self.links.may_be_guessed(&owner.name)
                    {
                        return Way::Learned(owner, question.path);
                    }
                    let request = Request::FindSuccessor(question);
                    // On the heap: each connection at the door has room for all of this.
                    match Box::pin(self.asker().ask(&peer.name, request, ticket.remaining())).await {
                        Ok(Answer::Found(found)) => {
                            self.shortcuts.learn(lookup.target(), &found);
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
        if !matches!(failure, Failure::Refused(_)) {
            self.shortcuts.forget(&peer.name);
        }
        if *failure == Failure::Unreachable {
            // A full mailbox only delays what maintenance finds out by itself.
            let _ = self.mailbox.try_send(Mail::Unreachable(peer.name.clone()));
        }
    }
}

/// The answer with the time that this node took for it in front of those of the others; no more of them than there are names, so
/// that others can pass it on whatever somebody says.
fn timed(mut found: Found, began: Instant) -> Found {
    found.took.insert(0, began.elapsed());
    found.took.truncate(found.path.len());
    found
}

fn outcome(owner: NodeName, hops: u32, result: Operated) -> Result<Outcome, OperationError> {
    result.map(|kept| Outcome { owner, hops, kept }).map_err(OperationError::Data)
}

/// Pauses before another attempt, if there is to be one.
async fn rest(ticket: &Ticket, refusal: Refusal) -> Result<(), OperationError> {
    if !begins_anew(&refusal, &ticket.path, ticket.remaining()) {
        return Err(refusal.into());
    }
    tokio::time::sleep(LOOKUP_RETRY_PAUSE).await;
    Ok(())
}
