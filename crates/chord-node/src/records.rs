//! The records: their state machine, and the lock behind which it stands.
//!
//! Whoever brings something feeds the machine on the spot, and does what it says before the next one may: a request costs
//! no switch to another task, and none that has its answer at once costs any wait. One step takes microseconds, and while a disk
//! is slow, what it will look at there is read once before; the lock is never held across an await.

mod driver;
mod refusals;
mod said;
mod watchers;

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use chord_kv::replication::{
    Consistency, Departure, Filter, Input, Operation, OperationError, Outcome, PeerAnswer, PeerRequest,
    Proposal, Replicator, Since, Status, TICK,
};
use chord_kv::{Key, Store, Value};
use chord_ring::{NodeName, Peer, Position, View, jittered};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::links::lock;
use crate::shared::{Shared, Stage};
use crate::watch::Teller;
use driver::Driver;
pub(crate) use driver::{Begun, Ended};

/// How often a thread lets another one run before it sleeps until the machine is free: a turn is over in microseconds, some
/// dozens where many operations share it, and to be woken costs as much.
const YIELDS_MAX: usize = 16;

/// What came of an operation.
pub(crate) type Operated = Result<Outcome, OperationError>;

/// An operation at the owner of its key.
pub(crate) struct Order<'a> {
    pub(crate) key: &'a Key,
    /// Where the key lies.
    pub(crate) position: Position,
    pub(crate) operation: &'a Operation,
    pub(crate) proposal: Proposal,
    pub(crate) consistency: Consistency,
    /// When nobody waits any more.
    pub(crate) until: Instant,
}

/// The records of one node.
pub(crate) struct Records {
    me: NodeName,
    /// Nothing when the node has closed.
    driver: Mutex<Option<Driver>>,
    store: Arc<dyn Store>,
    /// How well they are kept, as of the last turn that renewed it. Written while that turn still has the machine, so that no
    /// earlier one is written over it.
    status: Mutex<Status>,
    /// The store has made more durable.
    durable: Arc<Notify>,
}

/// A turn at the machine, in which nobody else has it.
pub(crate) struct Turn<'a>(&'a mut Driver);

impl Turn<'_> {
    /// Begins an operation.
    pub(crate) fn begin(&mut self, order: &Order<'_>) -> Begun {
        self.0.begin(order)
    }
}

impl Records {
    pub(crate) fn new(me: Peer, machine: Replicator, store: Arc<dyn Store>, shared: Weak<Shared>) -> Self {
        let durable = Arc::new(Notify::new());
        let notify = durable.clone();
        store.on_durable(Box::new(move |_| notify.notify_one()));
        let (name, status) = (me.name.clone(), Mutex::new(machine.status()));
        let driver = Driver::new(me, machine, store.clone(), shared);
        Self { me: name, driver: Mutex::new(Some(driver)), store, status, durable }
    }

    /// Waits for the machine; `None` if it is broken.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Driver>>> {
        for _ in 0..YIELDS_MAX {
            match self.driver.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Poisoned(_)) => return None,
            }
        }
        self.driver.lock().ok()
    }

    /// Does something with the machine, unless the node has closed or the machine is broken.
    fn with<T>(&self, work: impl FnOnce(&mut Driver) -> T) -> Option<T> {
        let mut guard = self.lock()?;
        let driver = guard.as_mut()?;
        let (done, untold) = (work(driver), driver.take_untold());
        drop(guard);
        for said in untold {
            said.tell(&self.me);
        }
        Some(done)
    }

    /// Takes one turn at the machine for several operations. Nothing is done if the node has closed.
    pub(crate) fn take_turn(&self, work: impl FnOnce(&mut Turn<'_>)) {
        self.with(|driver| work(&mut Turn(driver)));
    }

    /// What an operation will look at is read before anybody has to wait for that.
    pub(crate) fn bring_near(&self, position: Position, key: &Key) {
        self.store.bring_near(position, key);
    }

    /// Begins an operation; `None` if the node has closed.
    pub(crate) fn begin(&self, order: &Order<'_>) -> Option<Begun> {
        self.bring_near(order.position, order.key);
        self.with(|driver| driver.begin(order))
    }

    /// Takes a record that a node of another program leaves here; `None` if that has no end by then.
    pub(crate) async fn adopt(&self, key: Key, value: Value, until: Instant) -> Option<Operated> {
        let begun = self.with(|driver| driver.ask(|token, _| Input::Adopt { token, key, value }));
        match Coming::of(begun) {
            Ok(ended) => ended.done(),
            Err(coming) => coming.done(until).await,
        }
    }

    /// Begins to answer another node; `None` if the node has closed.
    pub(crate) fn begin_answer(&self, from: Peer, request: PeerRequest) -> Option<Begun> {
        match &request {
            PeerRequest::Store { records, .. } => {
                for record in records {
                    self.bring_near(record.position, &record.key);
                }
            }
            PeerRequest::Fetch { keys } => {
                for (position, key) in keys {
                    self.bring_near(*position, key);
                }
            }
            _ => {}
        }
        self.with(|driver| driver.ask(|token, _| Input::Request { token, from, request }))
    }

    /// Answers another node; `None` if there is no answer by then.
    pub(crate) async fn answer(
        &self,
        from: Peer,
        request: PeerRequest,
        until: Instant,
    ) -> Option<PeerAnswer> {
        match Coming::of(self.begin_answer(from, request)) {
            Ok(ended) => ended.reply(),
            Err(coming) => coming.reply(until).await,
        }
    }

    /// Hands over everything; `None` if that has no end by then.
    pub(crate) async fn leave(&self, until: Instant) -> Option<Departure> {
        let (reply, left) = oneshot::channel();
        self.with(|driver| driver.leave(reply))?;
        tokio::time::timeout_at(until, left).await.ok()?.ok()
    }

    /// Begins to tell of changes, until nobody listens, if there are not so many who watch already. `None` if the node
    /// has closed.
    pub(crate) fn watch(
        &self,
        filter: Filter,
        since: Since,
        teller: Teller,
        watches_max: usize,
    ) -> Option<bool> {
        self.with(|driver| driver.watch(filter, since, teller, watches_max))
    }

    /// The answer to something that the machine wanted to know.
    fn feed(&self, answer: Input) {
        self.with(|driver| driver.feed(answer));
    }

    /// Whom the node knows next to it now. How well its records are kept with these is known then.
    pub(crate) fn tell(&self, view: &View) {
        self.with(|driver| {
            driver.tell(view);
            self.renew_status(driver);
        });
    }

    /// Time has passed; `None` if the node has closed or the machine is broken.
    fn tick(&self) -> Option<()> {
        self.with(|driver| {
            driver.tick();
            self.renew_status(driver);
        })
    }

    fn renew_status(&self, driver: &Driver) {
        *lock(&self.status) = driver.status();
    }

    /// How well the records are kept, as of a moment ago.
    pub(crate) fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Those of the node's last life that it still asks for what it may lack.
    pub(crate) fn recalled(&self) -> Vec<Peer> {
        self.with(|driver| driver.recalled()).unwrap_or_default()
    }

    fn close(&self) {
        // What waits for the machine learns of it when the lock is free again.
        let closed = lock(&self.driver).take();
        drop(closed);
    }
}

/// What is to come of something that has begun. Small, since whoever waits keeps it; nothing comes if the node has closed.
pub(crate) struct Coming(Option<oneshot::Receiver<Ended>>);

impl Coming {
    /// What has ended already, or else is to come.
    pub(crate) fn of(begun: Option<Begun>) -> Result<Ended, Self> {
        match begun {
            Some(Begun::Ended(ended)) => Ok(ended),
            Some(Begun::Waits(ended)) => Err(Self(Some(ended))),
            None => Err(Self(None)),
        }
    }

    async fn end(self, until: Instant) -> Option<Ended> {
        tokio::time::timeout_at(until, self.0?).await.ok()?.ok()
    }

    /// What comes of an operation; `None` if it has no end by then.
    pub(crate) async fn done(self, until: Instant) -> Option<Operated> {
        self.end(until).await?.done()
    }

    /// What another node is answered; `None` if there is no answer by then.
    pub(crate) async fn reply(self, until: Instant) -> Option<PeerAnswer> {
        self.end(until).await?.reply()
    }
}

impl Ended {
    /// What came of an operation.
    pub(crate) fn done(self) -> Option<Operated> {
        match self {
            Self::Done(result) => Some(result),
            Self::Reply(_) => None,
        }
    }

    /// What another node is answered.
    pub(crate) fn reply(self) -> Option<PeerAnswer> {
        match self {
            Self::Reply(answer) => Some(answer),
            Self::Done(_) => None,
        }
    }
}

/// Tells the machine what has become durable, until the node closes. Whoever keeps the time finds out if that breaks it.
pub(crate) async fn follow_store(shared: Arc<Shared>) {
    let closing = shared.reached(Stage::Closing);
    tokio::pin!(closing);
    loop {
        tokio::select! {
            () = &mut closing => return,
            () = shared.records.durable.notified() => shared.records.feed(Input::Durable),
        }
    }
}

/// Tells the machine that time has passed, until the node closes.
pub(crate) async fn keep_time(shared: Arc<Shared>) {
    let records = &shared.records;
    let closing = shared.reached(Stage::Closing);
    tokio::pin!(closing);
    let mut tick_at = Instant::now();
    loop {
        tokio::select! {
            () = &mut closing => return records.close(),
            () = tokio::time::sleep_until(tick_at) => {
                tick_at = Instant::now() + jittered(TICK, rand::random());
                if records.tick().is_none() {
                    tracing::error!(event = "records-broke", "the state machine of the records broke, the node stops");
                    shared.advance(Stage::Closing);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chord_kv::MemoryStore;
    use chord_kv::replication::{Now, Settings};
    use chord_ring::{Config, Incarnation, RingName, RingSize, RingTag};

    use super::*;

    /// Records of a node with which nothing else happens.
    fn records() -> (Arc<Records>, View) {
        let size = RingSize::DEFAULT;
        let me = Peer::of_name("me:1".parse().unwrap(), size);
        let ring = RingTag { name: RingName::default(), size };
        let view = chord_ring::Node::new(Config::new(ring), me.clone(), Incarnation(1)).view().clone();
        let store = Arc::new(MemoryStore::new(size, 1 << 20));
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let machine = Replicator::new(me.clone(), Settings::new(size), store.clone(), now);
        (Arc::new(Records::new(me, machine, store, Weak::new())), view)
    }

    #[tokio::test]
    async fn no_older_status_is_written_over_a_newer_one() {
        let (records, view) = records();
        let told = records.clone();
        assert!(is_written_in_its_turn(&records, move || told.tell(&view)));
        let told = records.clone();
        assert!(is_written_in_its_turn(&records, move || _ = told.tick()));
    }

    /// Whether nobody else gets the machine while one who has had a turn is held up in writing down what came of it.
    fn is_written_in_its_turn(records: &Records, turn: impl FnOnce() + Send + 'static) -> bool {
        let status = lock(&records.status);
        let has_turn = std::thread::spawn(turn);
        let (mut n_taken, begin) = (0, std::time::Instant::now());
        while n_taken < 50 && begin.elapsed() < Duration::from_secs(10) {
            let is_taken = matches!(records.driver.try_lock(), Err(TryLockError::WouldBlock));
            n_taken = if is_taken { n_taken + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(status);
        has_turn.join().unwrap();
        n_taken >= 50
    }
}
