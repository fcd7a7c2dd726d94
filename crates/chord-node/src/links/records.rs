//! Requests about records: to a node of ours in binary, and to a seed node in the words that it has.

use std::time::Duration;

use bytes::Bytes;
use chord_kv::replication::{OperationError, Outcome, PeerAnswer, PeerRequest};
use chord_ring::{Failure, NodeName, Peer, Refusal, budget_onward};
use chord_wire::Context;
use chord_wire::frame::{self, Asked, Request};
use chord_wire::replica::{DataAnswer, DataRequest, Operate, decode_answer, encode_request};

use super::ask::onward;
use super::connection::{Answered, Sending};
use super::language::Said;
use super::sent::Purpose;
use super::{Asker, Budget, Link};

/// The path of what clients want done to records.
pub(crate) const OPERATE_PATH: &str = "/operate";

/// The path of what nodes ask each other about records.
pub(crate) const REPLICA_PATH: &str = "/replica";

/// What the body of such a request and of its answer is.
pub(crate) const REPLICA_TYPE: &str = "application/vnd.chord.replica";

impl Asker<'_> {
    /// Puts one request of the replication to a peer. [`Failure::Garbled`] of a seed node alone, which keeps no copies.
    pub(crate) async fn ask_about_records(
        &self,
        to: &Peer,
        request: PeerRequest,
    ) -> Result<PeerAnswer, Failure> {
        let answered = match &request {
            PeerRequest::Fetch { .. } => Answered::WithOthers,
            _ => Answered::ForOthers,
        };
        self.ask_in_line(to, request, answered).await
    }

    /// Asks what a peer has of a range, for a client.
    pub(crate) async fn ask_for_list(&self, to: &Peer, request: PeerRequest) -> Result<PeerAnswer, Failure> {
        // On the heap: whoever goes through all keys has room for more than one page.
        Box::pin(self.ask_in_line(to, request, Answered::WithOthers)).await
    }

    async fn ask_in_line(
        &self,
        to: &Peer,
        request: PeerRequest,
        answered: Answered,
    ) -> Result<PeerAnswer, Failure> {
        let purpose = Purpose::about_records(&request);
        self.links.sent.count(purpose);
        let link = self.links.to(&to.name);
        let answer = self.ask_within(to, &link, request, answered).await;
        answer.inspect_err(|failure| self.links.sent.ended(purpose, failure))
    }

    async fn ask_within(
        &self,
        to: &Peer,
        link: &Link,
        mut request: PeerRequest,
        answered: Answered,
    ) -> Result<PeerAnswer, Failure> {
        let budget = Budget::new(self.links.limits.request);
        // Of one that has shown that it keeps records, this alone is waited for, as a rule; and it keeps to its time itself.
        if link.shown_seed() == Some(false) {
            let remaining = Some(budget_onward(budget.left()));
            let asked = Asked { request: Request::Records(request), remaining };
            let sending = Sending::new(answered);
            if let Some(answer) = self.tell_in_frames(&to.name, link, &sending, &asked, budget.left()).await?
            {
                return about_records(*answer);
            }
            let Request::Records(untold) = asked.request else { return Err(Failure::Silent) };
            request = untold;
        }
        // On the heap: it is seldom.
        let asked = Box::pin(self.ask_in_any_words(to, link, request, answered, &budget));
        // What was tried in frames has taken its time.
        tokio::time::timeout(budget.left(), asked).await.unwrap_or_else(|_| {
            link.gave_up();
            Err(Failure::Silent)
        })
    }

    /// The same, of one of which less is known, or that speaks no frames.
    async fn ask_in_any_words(
        &self,
        to: &Peer,
        link: &Link,
        request: PeerRequest,
        answered: Answered,
        budget: &Budget,
    ) -> Result<PeerAnswer, Failure> {
        // That it keeps no copies is known of a seed node alone: not of one that answers with nonsense.
        let is_seed = self.is_seed(&to.name, link).await.map_err(|failure| match failure {
            Failure::Garbled => Failure::Silent,
            failure => failure,
        })?;
        if is_seed {
            return self.ask_seed(&to.name, link, request).await;
        }
        let sending = Sending::new(answered);
        let remaining = Some(budget_onward(budget.left()));
        let asked = Asked { request: Request::Records(request), remaining };
        if let Some(answer) = self.tell_in_frames(&to.name, link, &sending, &asked, budget.left()).await? {
            return about_records(*answer);
        }
        let Request::Records(request) = asked.request else { return Err(Failure::Silent) };
        let left = budget.left();
        let context = Context { remaining: Some(budget_onward(left)), ..self.identity() };
        let request = encode_request(&DataRequest::Peer(request));
        match Box::pin(self.exchange(&to.name, link, &sending, request, &context, left)).await? {
            DataAnswer::Peer(answer) => Ok(answer),
            DataAnswer::Operated(_) => Err(Failure::Silent),
        }
    }

    /// Has a peer of ours that is named as the owner do an operation, to which `path` led.
    pub(crate) async fn operate_at(
        &self,
        to: &NodeName,
        operate: Operate,
        path: Vec<NodeName>,
        sending: &Sending,
    ) -> Result<Result<Outcome, OperationError>, Failure> {
        self.links.sent.count(Purpose::Operation);
        let link = self.links.to(to);
        // What the owner is told is how long its answer is waited for.
        let budget = Budget::new(operate.remaining.min(self.links.limits.request));
        if !chord_wire::path_fits(&path) {
            return Err(Failure::Refused(Refusal::HopLimit));
        }
        let operate = Operate { remaining: budget_onward(budget.left()), ..operate };
        let asked = Asked { request: Request::Operate { operate, named: true, path }, remaining: None };
        match self.tell_in_frames(to, &link, sending, &asked, budget.left()).await?.map(|answer| *answer) {
            Some(frame::Answer::Operated { result, owner: _, hops: _ }) => return Ok(result),
            Some(_) => return Err(Failure::Silent),
            None => {}
        }
        let Request::Operate { operate, path, named: _ } = asked.request else {
            return Err(Failure::Silent);
        };
        // What was tried in frames has taken its time.
        let left = budget.left();
        if left.is_zero() {
            return Err(Failure::Silent);
        }
        let context = onward(self.identity(), path, true, left)?;
        let operate = Operate { remaining: budget_onward(left), ..operate };
        let request = encode_request(&DataRequest::Operate(operate));
        match Box::pin(self.exchange(to, &link, sending, request, &context, left)).await? {
            DataAnswer::Operated(result) => Ok(result),
            DataAnswer::Peer(_) => Err(Failure::Silent),
        }
    }

    /// Whether a peer speaks the seed's words alone; one of which nothing is known is asked.
    pub(crate) async fn is_seed(&self, to: &NodeName, link: &Link) -> Result<bool, Failure> {
        if link.shown_seed().is_none() {
            Box::pin(self.ping(to, link)).await?;
        }
        Ok(link.is_seed())
    }

    async fn exchange(
        &self,
        to: &NodeName,
        link: &Link,
        sending: &Sending,
        request: Vec<u8>,
        context: &Context,
        budget: Duration,
    ) -> Result<DataAnswer, Failure> {
        let said = Said { path: REPLICA_PATH, content_type: REPLICA_TYPE, body: Bytes::from(request) };
        let limits = self.links.limits.replica(self.links.ring.size);
        let answer = link.exchange_onward(sending, &said, context, budget).await?;
        // It is one of ours, so it keeps records, whatever it says here.
        let context = answer.context().map_err(|_| Failure::Silent)?;
        if answer.status == http::StatusCode::OK {
            let decoded = decode_answer(&answer.body, &limits).map_err(|error| {
                link.report("a request about records", &error.to_string());
                Failure::Silent
            });
            let answer = decoded?.with_deleted(context.version).if_repeated(context.repeated);
            return answer.ok_or(Failure::Silent);
        }
        let sentence = chord_wire::decode_error(&answer.body).unwrap_or_default();
        let refused = super::Refused { code: context.code, sentence };
        Err(self.failure(to, &refused, context.ring.as_ref()).unwrap_or_else(|| {
            link.report("a request about records", &refused.sentence);
            Failure::Silent
        }))
    }
}

fn about_records(answer: frame::Answer) -> Result<PeerAnswer, Failure> {
    match answer {
        frame::Answer::Records(answer) => Ok(answer),
        _ => Err(Failure::Silent),
    }
}

/// Bytes as the text that the seed's words can carry, if they are one.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
