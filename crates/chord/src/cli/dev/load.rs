//! Load on the ring: writes at a steady rate, and reads of all that was acknowledged, for as long as there is something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chord::wire::Code;
use chord::{
    Change, Client, ClientError, Condition, Consistency, Expiry, Key, NodeName, Operation, Value, Version,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::ledger::{Found, KEYS, Ledger};
use super::playground::Playground;

/// Writes in a second, at most: enough to see, and no measure of speed.
pub(super) const RATE_MAX: u16 = 1000;

/// How long all keys are read in once, when there are no more than a hundred in a second.
const CHECKED_WITHIN: f64 = 5.0;
const CHECKS_PER_SECOND_MAX: f64 = 100.0;

/// Operations at a time: while a part of the ring does not answer, they wait for their ends. Reads have room of their own, as
/// what is lost is found by them however many writes there are.
const WRITES_MAX: usize = 48;
const CHECKS_MAX: usize = 16;

/// How long one may take: more than a node gives it.
const OPERATION_WAIT: Duration = Duration::from_secs(6);

/// How often it is seen what is due.
const TICK: Duration = Duration::from_millis(20);

/// How long the ring must have been whole before a write that is not found is lost.
const QUIET_FOR: Duration = Duration::from_secs(3);

/// Lost keys that are told by their names.
const LOST_NAMED_MAX: usize = 5;

/// The load, and what it has found.
#[derive(Debug)]
pub(super) struct Load {
    /// Writes in a second.
    rate: watch::Sender<u16>,
    ledger: Mutex<Ledger>,
}

/// What is told of it.
#[derive(Debug, Serialize)]
pub(super) struct LoadBody {
    rate: u16,
    keys: usize,
    acknowledged: u64,
    unacknowledged: u64,
    checked: u64,
    behind: usize,
    lost: usize,
    lost_keys: Vec<String>,
}

/// What an operation came to.
#[derive(Clone, Copy)]
enum Ended {
    Wrote(usize, Option<Version>),
    /// With the time since when the ring had been quiet when it began.
    Read(usize, Found, Option<Instant>),
}

impl Load {
    pub(super) fn new() -> Self {
        Self { rate: watch::Sender::new(0), ledger: Mutex::new(Ledger::new()) }
    }

    /// Writes that many times in a second from now on.
    pub(super) fn set_rate(&self, rate: u16) {
        self.rate.send_replace(rate.min(RATE_MAX));
    }

    pub(super) fn told(&self) -> LoadBody {
        let ledger = self.ledger();
        let lost: Vec<usize> = ledger.lost().collect();
        LoadBody {
            rate: *self.rate.borrow(),
            keys: ledger.written(),
            acknowledged: ledger.acknowledged,
            unacknowledged: ledger.unacknowledged,
            checked: ledger.checked,
            behind: ledger.behind(),
            lost: lost.len(),
            lost_keys: lost.into_iter().take(LOST_NAMED_MAX).map(key_name).collect(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes and reads for as long as the ring runs.
pub(super) async fn run(playground: Arc<Playground>) {
    let load = playground.load();
    let mut rates = load.rate.subscribe();
    let mut work = Work::new(&playground, load);
    // It costs nothing as long as nobody wants it.
    let _ = rates.wait_for(|rate| *rate > 0).await.map(drop);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work.begin(),
            Some(Ok(ended)) = work.writing.join_next() => work.end(ended),
            Some(Ok(ended)) = work.checking.join_next() => work.end(ended),
        }
    }
}

struct Work<'a> {
    playground: &'a Playground,
    load: &'a Load,
    clients: HashMap<NodeName, Arc<Client>>,
    writing: JoinSet<Ended>,
    checking: JoinSet<Ended>,
    /// Parts of operations that are due.
    writes_due: f64,
    checks_due: f64,
    began_at: Instant,
    /// Since when the ring has been whole and quiet.
    quiet_since: Option<Instant>,
    /// Whose turn it is to be asked, and what is written next.
    turn: usize,
}

impl<'a> Work<'a> {
    fn new(playground: &'a Playground, load: &'a Load) -> Self {
        Self {
            playground,
            load,
            clients: HashMap::new(),
            writing: JoinSet::new(),
            checking: JoinSet::new(),
            writes_due: 0.0,
            checks_due: 0.0,
            began_at: Instant::now(),
            quiet_since: None,
            turn: 0,
        }
    }

    /// Begins what is due.
    fn begin(&mut self) {
        let seconds = self.began_at.elapsed().as_secs_f64().min(1.0);
        self.began_at = Instant::now();
        self.see_whether_it_is_quiet();
        let nodes = self.playground.in_reach();
        self.clients.retain(|name, _| nodes.contains(name));
        let keys = self.load.ledger().written();
        let rate = f64::from(*self.load.rate.borrow());
        let checks =
            (f64::from(u32::try_from(keys).unwrap_or(u32::MAX)) / CHECKED_WITHIN).min(CHECKS_PER_SECOND_MAX);
        // What could not be begun in its second is left out.
        self.writes_due = (self.writes_due + rate * seconds).min(rate);
        // However few keys there are, the next check comes due in the end.
        self.checks_due = (self.checks_due + checks * seconds).min(checks.max(1.0));
        if nodes.is_empty() {
            return;
        }
        while self.writing.len() < WRITES_MAX && self.writes_due >= 1.0 {
            self.writes_due -= 1.0;
            let Some((idx, replaced)) = self.load.ledger().begin_write() else { break };
            self.write(idx, replaced, &nodes);
        }
        while self.checking.len() < CHECKS_MAX && self.checks_due >= 1.0 {
            self.checks_due -= 1.0;
            let Some((idx, version)) = self.load.ledger().begin_check() else { break };
            self.check(idx, version, &nodes);
        }
    }

    fn end(&mut self, ended: Ended) {
        match ended {
            Ended::Wrote(idx, version) => self.load.ledger().wrote(idx, version),
            Ended::Read(idx, found, since) => {
                // It was quiet all the time if it has been since then.
                let was_quiet = since.is_some() && since == self.quiet_since && self.playground.is_whole();
                let found = match found {
                    Found::Surely(version) if !was_quiet => Found::Version(version),
                    found => found,
                };
                self.load.ledger().read(idx, found);
            }
        }
    }

    fn see_whether_it_is_quiet(&mut self) {
        if self.playground.is_whole() {
            self.quiet_since.get_or_insert_with(Instant::now);
        } else {
            self.quiet_since = None;
        }
    }

    fn write(&mut self, idx: usize, replaced: Option<Version>, nodes: &[NodeName]) {
        self.turn += 1;
        // Always through the same node, so that a ring that is cut goes on with the keys of either side.
        let client = self.client_of(&nodes[idx % nodes.len()]);
        let text = format!("{} of the load", self.turn);
        self.writing.spawn(async move {
            let Ok(value) = Value::new(text.as_bytes(), chord::VALUE_BYTES_DEFAULT) else {
                return Ended::Wrote(idx, None);
            };
            let condition = replaced.map_or(Condition::Always, Condition::Version);
            let put = Operation::Change { change: Change::Set(value), condition, expiry: Expiry::Never };
            match operate(&client, idx, put).await {
                Ok(version) => Ended::Wrote(idx, version),
                Err(ClientError::Refused { code: Some(Code::ConditionFailed), .. }) => {
                    let found = operate(&client, idx, Operation::Get).await;
                    Ended::Read(idx, found.map_or(Found::NoAnswer, Found::Version), None)
                }
                Err(_) => Ended::Wrote(idx, None),
            }
        });
    }

    fn check(&mut self, idx: usize, version: Version, nodes: &[NodeName]) {
        let (first, second) = (self.client(nodes), self.client(nodes));
        let since = self.quiet_since.filter(|since| since.elapsed() >= QUIET_FOR);
        self.checking.spawn(async move {
            let found = match operate(&first, idx, Operation::Get).await {
                Err(_) => Found::NoAnswer,
                Ok(found) if found >= Some(version) || since.is_none() => Found::Version(found),
                Ok(_) => operate(&second, idx, Operation::Get).await.map_or(Found::NoAnswer, Found::Surely),
            };
            Ended::Read(idx, found, since)
        });
    }

    /// A client of the node whose turn it is.
    fn client(&mut self, nodes: &[NodeName]) -> Arc<Client> {
        self.turn += 1;
        self.client_of(&nodes[self.turn % nodes.len()])
    }

    fn client_of(&mut self, name: &NodeName) -> Arc<Client> {
        self.clients.entry(name.clone()).or_insert_with(|| Arc::new(Client::new(name.clone()))).clone()
    }
}

/// The version of what is under a key after an operation; `None` if that is nothing.
async fn operate(client: &Client, idx: usize, operation: Operation) -> Result<Option<Version>, ClientError> {
    let key = Key::new(key_name(idx).as_bytes()).expect("it is as short as a key may be");
    let operated = client.operate(key, operation, Consistency::Usual, OPERATION_WAIT).await?;
    Ok(operated.outcome.record.map(|record| record.version))
}

/// The key of that number.
pub(super) fn key_name(idx: usize) -> String {
    debug_assert!(idx < KEYS);
    format!("load-{idx:03}")
}
