//! The owner task's other half: it feeds the state machine of the records and does what it says.

use std::collections::HashMap;
use std::sync::Arc;

use chord_kv::replication::{
    Consistency, Departure, Event, Filter, Happened, Input, Neighbours, Now, Operation, OperationError,
    Outcome, Output, PeerAnswer, PeerRequest, Proposal, Replicator, RequestId, Seen, TICK,
};
use chord_kv::{Health, Key, Range, StoreError, Value, Version};
use chord_ring::{Failure, Peer, Position, Token, View, jittered};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::refusals::{Refusals, Word};
use super::watchers::Watchers;
use crate::age::{Age, now_ms};
use crate::links::lock;
use crate::operation::Ticket;
use crate::shared::Shared;

/// What came of an operation.
pub(crate) type Operated = Result<Outcome, OperationError>;

/// A message to the owner task about records. Its sender may give up waiting.
pub(crate) enum DataMail {
    Operate {
        key: Key,
        operation: Operation,
        proposal: Proposal,
        consistency: Consistency,
        until: Instant,
        reply: oneshot::Sender<Operated>,
    },
    /// A node of another program leaves a record here.
    Adopt { key: Key, value: Value, reply: oneshot::Sender<Operated> },
    /// Another node asks.
    Request { from: Peer, request: PeerRequest, reply: oneshot::Sender<PeerAnswer> },
    /// A client watches keys. The reply is whether it may.
    Watch {
        filter: Filter,
        since: Option<(Version, Happened)>,
        sender: mpsc::Sender<Seen>,
        reply: oneshot::Sender<bool>,
    },
    /// Hand over everything.
    Leave(oneshot::Sender<Departure>),
}

enum Waiting {
    Operation(oneshot::Sender<Operated>),
    Request(oneshot::Sender<PeerAnswer>),
}

/// How something ended that the state machine wanted done.
pub(super) enum Ended {
    Asked(Result<PeerAnswer, Failure>),
    Found(Option<Peer>),
}

/// Drives the state machine of the records.
pub(super) struct Data {
    records: Replicator,
    shared: Arc<Shared>,
    age: Age,
    /// The store has made more durable.
    durable: Arc<Notify>,
    tick_at: Instant,
    asking: JoinSet<Ended>,
    asked: HashMap<Id, RequestId>,
    waiting: HashMap<Token, Waiting>,
    leaving: Vec<oneshot::Sender<Departure>>,
    watchers: Watchers,
    refusals: Refusals,
    tokens: u64,
    told: Neighbours,
}

/// Something happened.
pub(super) enum DataEvent {
    Ended(Result<(Id, Ended), JoinError>),
    Durable,
    Tick,
}

impl Data {
    pub(super) fn new(records: Replicator, shared: Arc<Shared>) -> Self {
        let durable = Arc::new(Notify::new());
        let notify = durable.clone();
        shared.store.on_durable(Box::new(move |_| notify.notify_one()));
        Self {
            records,
            shared,
            age: Age::zero(),
            durable,
            tick_at: Instant::now(),
            asking: JoinSet::new(),
            asked: HashMap::new(),
            waiting: HashMap::new(),
            leaving: Vec::new(),
            watchers: Watchers::new(),
            refusals: Refusals::default(),
            tokens: 0,
            told: Neighbours::default(),
        }
    }

    /// What happens next. May be dropped at any point.
    pub(super) async fn next(&mut self) -> DataEvent {
        tokio::select! {
            Some(ended) = self.asking.join_next_with_id(), if !self.asking.is_empty() => DataEvent::Ended(ended),
            () = self.durable.notified() => DataEvent::Durable,
            () = tokio::time::sleep_until(self.tick_at) => DataEvent::Tick,
        }
    }

    pub(super) fn happened(&mut self, event: DataEvent) {
        match event {
            DataEvent::Ended(ended) => self.ended(ended),
            DataEvent::Durable => self.feed(Input::Durable),
            DataEvent::Tick => {
                self.tick_at = Instant::now() + jittered(TICK, rand::random());
                for gone in self.watchers.tidy(self.everything()) {
                    self.feed(Input::Unwatch(gone));
                }
                self.feed(Input::Tick);
                self.look_after_store();
                *lock(&self.shared.status) = self.records.status();
            }
        }
    }

    /// Something that was wanted has ended, however it did: even a panic in it is an answer, so that the machine never
    /// waits in vain.
    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a request about records broke");
            (error.id(), Ended::Asked(Err(Failure::Silent)))
        });
        let Some(request) = self.asked.remove(&id) else { return };
        self.feed(match ended {
            Ended::Asked(answer) => Input::Answer(request, answer),
            Ended::Found(owner) => Input::Found(request, owner),
        });
    }

    pub(super) fn open(&mut self, mail: DataMail) {
        let input = match mail {
            DataMail::Operate { key, operation, proposal, consistency, until, reply } => {
                let token = self.wait(Waiting::Operation(reply));
                let until = self.age.now() + until.saturating_duration_since(Instant::now());
                Input::Operate { token, key, operation, proposal, consistency, until }
            }
            DataMail::Adopt { key, value, reply } => {
                Input::Adopt { token: self.wait(Waiting::Operation(reply)), key, value }
            }
            DataMail::Request { from, request, reply } => {
                Input::Request { token: self.wait(Waiting::Request(reply)), from, request }
            }
            DataMail::Watch { filter, since, sender, reply } => {
                let may = self.watchers.have_room(self.shared.limits.watches_at_once());
                if reply.send(may).is_err() || !may {
                    return; // Nobody waits any more, or there are too many.
                }
                Input::Watch { id: self.watchers.add(sender), filter, since }
            }
            DataMail::Leave(reply) => {
                self.leaving.push(reply);
                Input::Leave
            }
        };
        self.feed(input);
    }

    /// Whom the node knows next to it now.
    pub(super) fn tell(&mut self, view: &View) {
        let neighbours = Neighbours {
            is_member: view.is_member(),
            predecessor: view.predecessor().cloned(),
            successors: view.successors().as_slice().to_vec(),
        };
        if self.told != neighbours {
            self.told = neighbours.clone();
            self.feed(Input::Neighbours(neighbours));
        }
    }

    /// Those of the node's last life that it still asks for what it may lack.
    pub(super) fn recalled(&self) -> &[Peer] {
        self.records.recalled()
    }

    fn wait(&mut self, waiting: Waiting) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.insert(token, waiting);
        token
    }

    fn feed(&mut self, input: Input) {
        let now = Now { elapsed: self.age.now(), wall_ms: now_ms() };
        self.records.handle(now, input);
        while let Some(output) = self.records.poll() {
            self.act(output);
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                let shared = self.shared.clone();
                let asking =
                    async move { Ended::Asked(shared.asker().ask_about_records(&to, request).await) };
                self.asked.insert(self.asking.spawn(asking).id(), id);
            }
            Output::FindOwner(id, position) => {
                let shared = self.shared.clone();
                let finding = async move { Ended::Found(shared.find_owner(position).await) };
                self.asked.insert(self.asking.spawn(finding).id(), id);
            }
            Output::Reply(token, answer) => {
                if let Some(Waiting::Request(reply)) = self.waiting.remove(&token) {
                    let _ = reply.send(answer); // Whoever asked may have gone.
                }
            }
            Output::Done(token, result) => {
                if let Err(OperationError::Store(error)) = &result {
                    self.say_refused(1, error);
                }
                if let Some(Waiting::Operation(reply)) = self.waiting.remove(&token) {
                    let _ = reply.send(result);
                }
            }
            Output::Left(departure) => {
                for reply in self.leaving.drain(..) {
                    let _ = reply.send(departure);
                }
            }
            Output::Seen(id, seen) => self.watchers.tell(id, seen, self.everything()),
            Output::Event(event) => self.log(&event),
        }
    }

    fn everything(&self) -> Range {
        let me = self.shared.me.position;
        Range { after: me, up_to: me }
    }

    /// Says when the store begins to refuse records, though nobody may write, and when it takes them again.
    fn look_after_store(&mut self) {
        match self.shared.store.health() {
            Health::NotWriting { reason, remedy } => {
                self.say_refused(0, &StoreError::NotWriting { reason, remedy });
            }
            _ => {
                if let Some(Word::Over(count)) = self.refusals.is_well(Instant::now()) {
                    let node = &self.shared.me.name;
                    tracing::info!(%node, "the store takes records again, of which it has refused {count}");
                }
            }
        }
    }

    fn say_refused(&mut self, count: u64, error: &StoreError) {
        let node = &self.shared.me.name;
        match self.refusals.refused(count, Instant::now()) {
            Some(Word::More(count)) => tracing::error!(%node, "{error} ({count} more records were refused)"),
            Some(Word::Begun | Word::Over(_)) => tracing::error!(%node, "{error}"),
            None => {}
        }
    }

    fn log(&mut self, event: &Event) {
        let node = &self.shared.me.name;
        match event {
            Event::WasStopped => {
                tracing::info!(%node, "this node was stopped for a while: it asks before it answers");
            }
            Event::Complete(_) => tracing::info!(%node, "has everything of its range that others had before"),
            Event::Lost(count) => {
                tracing::warn!(%node, count, "records here turned out damaged: others are asked for them");
            }
            Event::StoreFailed(error) => self.say_refused(1, error),
            other => tracing::info!(%node, ?other, "event of the records"),
        }
    }
}

impl Shared {
    async fn find_owner(&self, position: Position) -> Option<Peer> {
        let found = self.look_up(position, Ticket::new(self.limits.request)).await;
        found
            .inspect_err(|error| tracing::debug!("no owner for a record: {error}"))
            .ok()
            .map(|found| found.owner)
    }
}
