//! What our nodes ask each other about records, in the words of a seed node: it keeps no copies and knows no versions, but
//! takes records that it owns, and can be asked whether it has one.

use std::num::NonZeroUsize;
use std::time::Duration;

use chord_kv::replication::{
    AnswerBody, Change, Condition, Expiry, Header, Operation, Outcome as Kept, PeerAnswer, PeerRequest,
    Verdict,
};
use chord_kv::{PageLimit, Range, Record, Value, Version};
use chord_ring::{Answer, Failure, NodeName, Peer, Request};
use chord_wire::{Code, seed};
use tokio::time::Instant;

use super::sent::Purpose;
use super::{Asker, Link, Sending, lock, onward, text};
use crate::OperationError;
use crate::age::now_ms;
use crate::operation::{Outcome, Wish};
use crate::shared::Shared;

/// How long a seed node is asked about one record after the other. What is left is asked about another time.
const JUDGING_WAIT: Duration = Duration::from_millis(500);

/// How many records are read from the store at a time.
const PAGE: PageLimit = PageLimit { records: NonZeroUsize::new(256).expect("not zero"), bytes: 4 << 20 };

impl Asker<'_> {
    pub(super) async fn ask_seed(
        &self,
        to: &NodeName,
        link: &Link,
        request: PeerRequest,
    ) -> Result<PeerAnswer, Failure> {
        let body = match request {
            PeerRequest::Offer { headers, .. } => {
                // One that leaves still takes records, and they end with it.
                if !self.ping(to, link).await?.member {
                    return Err(Failure::Silent);
                }
                AnswerBody::Judged(self.judge_for_seed(to, link, &headers).await?)
            }
            PeerRequest::Deliver { records } => {
                for record in &records {
                    if !self.give_to_seed(to, link, record).await? {
                        leave_here(to, link, record);
                    }
                }
                AnswerBody::Delivered(records.len())
            }
            _ => return Err(Failure::Garbled),
        };
        Ok(PeerAnswer { leaving: false, body })
    }

    /// Has a seed node that is named as the owner do what its words can say. The inner error is that they cannot.
    pub(crate) async fn operate_at_seed(
        &self,
        owner: &Peer,
        link: &Link,
        wish: &Wish,
        path: Vec<NodeName>,
        sending: &Sending,
        budget: Duration,
    ) -> Result<Result<Outcome, OperationError>, Failure> {
        let hops_here = u32::try_from(path.len()).unwrap_or(u32::MAX);
        let request = match request(wish) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let context = onward(self.of_ring(), path, true, budget)?;
        self.links.sent.count(Purpose::Operation);
        let reply = link.send_onward(sending, &request, &context, budget).await?;
        let (storage_node, hops, value) = match self.granted(&owner.name, request.command(), reply)?.0 {
            seed::Answer::Get { storage_node, hops, value } => (storage_node, hops, value),
            seed::Answer::Put { storage_node, hops } => (storage_node, hops, None),
            _ => return Err(Failure::Garbled),
        };
        let value = match value.map(|value| Value::new(value.as_bytes(), self.links.limits.value_bytes)) {
            Some(Err(error)) => return Ok(Err(error.into())),
            Some(Ok(value)) => Some(value),
            None => None,
        };
        let record = value.map(|value| Record {
            position: wish.key.position(self.links.ring.size),
            key: wish.key.clone(),
            value: Some(value),
            version: Version::of_unknown_age(None, owner.position),
            expires_at_ms: None,
        });
        let kept = Kept { record, copies: 1, ..Kept::default() };
        // What was there before a put, it does not say.
        let kept = if wish.operation == Operation::Get { kept } else { kept.perhaps_repeated() };
        // A seed node counts from itself.
        Ok(Ok(Outcome { owner: storage_node, hops: hops.saturating_add(hops_here), kept }))
    }

    async fn judge_for_seed(
        &self,
        to: &NodeName,
        link: &Link,
        headers: &[Header],
    ) -> Result<Vec<Verdict>, Failure> {
        let until = Instant::now() + JUDGING_WAIT;
        let mut verdicts = Vec::with_capacity(headers.len());
        for header in headers {
            let is_over = header.over_at_ms.is_some_and(|at_ms| at_ms <= now_ms());
            let is_unsayable = lock(&link.unsayable).contains(header.position, header.version);
            verdicts.push(match text(header.key.as_bytes()) {
                _ if is_over => Verdict::Drop,
                _ if is_unsayable => Verdict::Keep,
                Some(key) if Instant::now() < until => self.judge_one(to, link, key).await?,
                Some(_) | None => Verdict::Keep,
            });
        }
        Ok(verdicts)
    }

    /// What it has it was given, or has taken since: that is the newer one.
    async fn judge_one(&self, to: &NodeName, link: &Link, key: String) -> Result<Verdict, Failure> {
        let request = seed::Request::Get { key };
        let budget = self.links.limits.request;
        let reply = link.call_onward(&request, &self.of_ring(), budget).await?;
        Ok(match self.granted(to, request.command(), reply)?.0 {
            seed::Answer::Get { storage_node, value: Some(_), .. } if storage_node == *to => Verdict::Drop,
            seed::Answer::Get { storage_node, value: None, .. } if storage_node == *to => Verdict::Deliver,
            _ => Verdict::Keep,
        })
    }

    /// Leaves a record with a seed node. Returns whether its words can carry it; if not, it stays here.
    async fn give_to_seed(&self, to: &NodeName, link: &Link, record: &Record) -> Result<bool, Failure> {
        let value = record.live_value(now_ms()).and_then(|value| text(value.as_bytes()));
        let (Some(key), Some(value)) = (text(record.key.as_bytes()), value) else {
            return Ok(false);
        };
        let request = seed::Request::Put { key, value, no_redirect: true };
        let reply = link.call_onward(&request, &self.of_ring(), self.links.limits.request).await?;
        if matches!(&reply.answer, Err(refused) if refused.code == Some(Code::NotText)) {
            return Ok(false);
        }
        self.granted(to, request.command(), reply).map(|_| true)
    }
}

/// What its words cannot carry stays here, and is not offered to it again: the answer would be the same.
fn leave_here(to: &NodeName, link: &Link, record: &Record) {
    // Where a value has expired meanwhile, nothing is left to carry.
    if record.live_value(now_ms()).is_some() && lock(&link.unsayable).add(record.position, record.version) {
        tracing::warn!(
            event = "peer-cannot-take",
            "{to} owns records that it cannot be given, since its program knows only text: they stay with nodes of this program, which clients that ask {to} do not see"
        );
    }
}

/// A wish in the seed's words.
fn request(wish: &Wish) -> Result<seed::Request, OperationError> {
    let key = text(wish.key.as_bytes()).ok_or(OperationError::NotText)?;
    match &wish.operation {
        Operation::Get => Ok(seed::Request::Get { key }),
        Operation::Change {
            change: Change::Set(value),
            condition: Condition::Always,
            expiry: Expiry::Never,
        } => {
            let value = text(value.as_bytes()).ok_or(OperationError::NotText)?;
            Ok(seed::Request::Put { key, value, no_redirect: false })
        }
        Operation::Change { .. } => Err(OperationError::OnlyPutsAndGets),
    }
}

impl Shared {
    /// The first successor, if it is a seed node and stays.
    pub(crate) async fn seed_heir(&self) -> Option<NodeName> {
        let heir = self.view().successors().head().map(|head| head.name.clone())?;
        let stays = self.links.to(&heir).is_seed() && self.stays(&heir).await;
        stays.then_some(heir)
    }

    /// Leaves what is live here with a seed node, as long as there is time. Returns how many records stay behind.
    pub(crate) async fn leave_to_seed(&self, heir: &NodeName, until: Instant) -> u64 {
        let (mut left, mut cursor) = (0, None);
        loop {
            let page = match self.store.range(&Range::ALL, cursor.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(event = "records-unread", "reading the records to leave: {error}");
                    return left + 1;
                }
            };
            for record in page.records.iter().filter(|record| record.live_value(now_ms()).is_some()) {
                if Instant::now() >= until {
                    left += 1;
                    continue;
                }
                let given = tokio::time::timeout_at(until, self.leave_one(heir, record)).await;
                left += u64::from(!matches!(given, Ok(Ok(true))));
            }
            cursor = page.next;
            if cursor.is_none() {
                return left;
            }
        }
    }

    async fn leave_one(&self, heir: &NodeName, record: &Record) -> Result<bool, Failure> {
        let asker = self.asker();
        asker.give_to_seed(heir, &self.links.to(heir), record).await
    }

    /// Whether a node is a member: one that leaves still takes records, and they end with it.
    async fn stays(&self, peer: &NodeName) -> bool {
        let answer = self.asker().ask(peer, Request::Ping, self.limits.request).await;
        matches!(answer, Ok(Answer::Pong(pong)) if pong.member)
    }
}
