//! The driver: it feeds the state machine of the records and does what it says.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use chord_kv::replication::{
    Departure, Event, Filter, Input, Neighbours, Now, OperationError, Output, PeerAnswer, Replicator,
    RequestId, Since, Status,
};
use chord_kv::{Health, Range, Store, StoreError};
use chord_ring::{Failure, Peer, Position, Token, View};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::refusals::{Refusals, Word};
use super::said::Said;
use super::watchers::Watchers;
use super::{Operated, Order};
use crate::age::Age;
use crate::metrics::Door;
use crate::operation::Ticket;
use crate::shared::Shared;
use crate::watch::Teller;

/// How something ended that was asked of the state machine.
pub(crate) enum Ended {
    Done(Operated),
    Reply(PeerAnswer),
}

/// What came of asking it.
#[expect(clippy::large_enum_variant, reason = "it is looked at on the spot: a box would cost an allocation")]
pub(crate) enum Begun {
    /// It has ended.
    Ended(Ended),
    /// It will.
    Waits(oneshot::Receiver<Ended>),
}

/// Drives the state machine of the records.
pub(super) struct Driver {
    machine: Replicator,
    shared: Weak<Shared>,
    me: Peer,
    store: Arc<dyn Store>,
    age: Age,
    /// What the machine wants to hear of others, and waits for.
    asking: JoinSet<()>,
    waiting: HashMap<Token, oneshot::Sender<Ended>>,
    leaving: Vec<oneshot::Sender<Departure>>,
    watchers: Watchers,
    refusals: Refusals,
    /// What is to be logged.
    untold: Vec<Said>,
    tokens: u64,
    told: Neighbours,
}

impl Driver {
    pub(super) fn new(me: Peer, machine: Replicator, store: Arc<dyn Store>, shared: Weak<Shared>) -> Self {
        Self {
            machine,
            shared,
            me,
            store,
            age: Age::zero(),
            asking: JoinSet::new(),
            waiting: HashMap::new(),
            leaving: Vec::new(),
            watchers: Watchers::new(),
            refusals: Refusals::default(),
            untold: Vec::new(),
            tokens: 0,
            told: Neighbours::default(),
        }
    }

    /// Begins an operation.
    pub(super) fn begin(&mut self, order: &Order<'_>) -> Begun {
        self.ask(|token, age| Input::Operate {
            token,
            key: order.key.clone(),
            position: order.position,
            operation: order.operation.clone(),
            proposal: order.proposal,
            consistency: order.consistency,
            until: age.when(order.until.into_std()),
        })
    }

    /// Asks the machine for something that it ends at once, or some time.
    pub(super) fn ask(&mut self, input: impl FnOnce(Token, &Age) -> Input) -> Begun {
        self.tokens += 1;
        let token = Token(self.tokens);
        let mut ended = None;
        let now = self.now();
        self.machine.handle(now, input(token, &self.age));
        while let Some(output) = self.machine.poll() {
            match output {
                Output::Done(whose, result) if whose == token => {
                    self.note_refusal(&result);
                    ended = Some(Ended::Done(result));
                }
                Output::Reply(whose, answer) if whose == token => ended = Some(Ended::Reply(answer)),
                other => self.act(other),
            }
        }
        if let Some(ended) = ended {
            return Begun::Ended(ended);
        }
        let (reply, waits) = oneshot::channel();
        self.waiting.insert(token, reply);
        Begun::Waits(waits)
    }

    pub(super) fn feed(&mut self, input: Input) {
        let now = self.now();
        self.machine.handle(now, input);
        while let Some(output) = self.machine.poll() {
            self.act(output);
        }
    }

    fn now(&mut self) -> Now {
        self.age.now()
    }

    /// Sees who has gone that watched, and tells the machine that time has passed.
    pub(super) fn tick(&mut self) {
        while self.asking.try_join_next().is_some() {}
        for gone in self.watchers.tidy(self.everything()) {
            self.feed(Input::Unwatch(gone));
        }
        self.feed(Input::Tick);
        self.look_after_store();
    }

    pub(super) fn status(&self) -> Status {
        self.machine.status()
    }

    /// Those of the node's last life that it still asks for what it may lack.
    pub(super) fn recalled(&self) -> Vec<Peer> {
        self.machine.recalled().to_vec()
    }

    pub(super) fn leave(&mut self, reply: oneshot::Sender<Departure>) {
        self.leaving.push(reply);
        self.feed(Input::Leave);
    }

    /// Begins to watch, if there is room beside as many watches as there are.
    pub(super) fn watch(&mut self, filter: Filter, since: Since, teller: Teller, watches_max: usize) -> bool {
        let has_room = self.watchers.have_room(watches_max);
        if has_room {
            let id = self.watchers.add(teller);
            self.feed(Input::Watch { id, filter, since });
        }
        has_room
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

    fn act(&mut self, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                let Some(shared) = self.shared.upgrade() else { return };
                let asked = shared.clone();
                let answer =
                    async move { Input::Answer(id, asked.asker().ask_about_records(&to, request).await) };
                self.spawn(id, shared, answer);
            }
            Output::FindOwner(id, position) => {
                let Some(shared) = self.shared.upgrade() else { return };
                let asked = shared.clone();
                let owner = async move { Input::Found(id, asked.find_owner(position).await) };
                self.spawn(id, shared, owner);
            }
            Output::Reply(token, answer) => self.end(token, Ended::Reply(answer)),
            Output::Done(token, result) => {
                self.note_refusal(&result);
                self.end(token, Ended::Done(result));
            }
            Output::Left(departure) => {
                for reply in self.leaving.drain(..) {
                    let _ = reply.send(departure);
                }
            }
            Output::Seen(id, seen) => self.watchers.tell(id, seen, self.everything()),
            Output::Event(Event::StoreFailed(error)) => self.note_refused(1, &error),
            Output::Event(event) => self.untold.push(Said::Event(event)),
        }
    }

    /// Something that was asked for earlier has ended.
    fn end(&mut self, token: Token, ended: Ended) {
        if let Some(reply) = self.waiting.remove(&token) {
            let _ = reply.send(ended); // Whoever asked may have gone.
        }
    }

    /// Asks others, and hands their answer to the machine.
    fn spawn(
        &mut self,
        id: RequestId,
        shared: Arc<Shared>,
        asking: impl Future<Output = Input> + Send + 'static,
    ) {
        while self.asking.try_join_next().is_some() {}
        // In one of the node's runtimes, whoever feeds the machine.
        let here = shared.runtimes.here().clone();
        let owed = Owed { id, shared: Some(shared) };
        let asks = async move {
            let answer = asking.await;
            owed.give(answer);
        };
        self.asking.spawn_on(asks, &here);
    }

    fn everything(&self) -> Range {
        Range::whole_from(self.me.position)
    }

    /// Says when the store begins to refuse records, though nobody may write, and when it takes them again.
    fn look_after_store(&mut self) {
        match self.store.health() {
            Health::NotWriting { reason, remedy } => {
                self.note_refused(0, &StoreError::NotWriting { reason, remedy });
            }
            _ => {
                if let Some(Word::Over(count)) = self.refusals.is_well(Instant::now()) {
                    self.untold.push(Said::TakesAgain(count));
                }
            }
        }
    }

    fn note_refusal(&mut self, result: &Operated) {
        if let Err(OperationError::Store(error)) = result {
            self.note_refused(1, error);
        }
    }

    fn note_refused(&mut self, count: u64, error: &StoreError) {
        if let Some(word) = self.refusals.refused(count, Instant::now()) {
            self.untold.push(Said::Refuses(error.clone(), word));
        }
    }

    /// What is to be logged, by one who does not have the lock any more.
    pub(super) fn take_untold(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.untold)
    }
}

/// An answer that the machine waits for. It gets one even if the task breaks that asks for it. One that is let go of gives
/// none: then the node ends, or the runtime, perhaps while the machine is being fed by this very thread.
struct Owed {
    id: RequestId,
    shared: Option<Arc<Shared>>,
}

impl Owed {
    fn give(mut self, answer: Input) {
        if let Some(shared) = self.shared.take() {
            shared.records.feed(answer);
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(shared) = self.shared.take()
        {
            shared.records.feed(Input::Answer(self.id, Err(Failure::Silent)));
        }
    }
}

impl Shared {
    async fn find_owner(&self, position: Position) -> Option<Peer> {
        let found = self.look_up(position, Ticket::new(Door::Library, self.limits.request)).await;
        found
            .inspect_err(|error| tracing::debug!("no owner for a record: {error}"))
            .ok()
            .map(|found| found.owner)
    }
}
