//! Links: how this node reaches the others. Connections are kept, bounded, and no wait is without a deadline.

mod ask;
mod connection;
mod round_trip;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chord_ring::{Failure, NodeName, RingTag};
use chord_wire::{Command, Context};

pub(crate) use ask::{Asker, onward};
pub(crate) use connection::{Answered, Connections, Exchange, context, prepare, write_context};

use crate::Limits;
use connection::within;
use round_trip::RoundTrip;

/// How long a peer that failed is passed over by lookups, so that each does not find out anew. Maintenance, which
/// drops it, takes about as long.
const SUSPECT_FOR: Duration = Duration::from_secs(1);

/// One peer as this node knows it.
pub(crate) struct Link {
    connections: Connections,
    trip: Mutex<RoundTrip>,
    suspect_until: Mutex<Option<Instant>>,
    last_used: Mutex<Instant>,
    is_seed: AtomicBool,
    wait_max: Duration,
}

impl Link {
    /// How long to wait for something that the peer answers by itself.
    fn wait(&self) -> Duration {
        lock(&self.trip).wait(self.wait_max)
    }

    /// Asks for something that the peer answers by itself, and learns from how long that took.
    pub(crate) async fn call(
        &self,
        command: Command,
        context: &Context,
        body: Bytes,
    ) -> Result<Exchange, Failure> {
        let started = Instant::now();
        let answer =
            within(self.wait(), self.connections.exchange(Answered::ByItself, command, context, body)).await;
        match &answer {
            Ok(_) => lock(&self.trip).answered(started.elapsed()),
            Err(Failure::Silent) => lock(&self.trip).missed(),
            Err(_) => {}
        }
        self.judge(answer.as_ref().err());
        answer
    }

    /// Asks for something for which the peer may have to ask others, within `budget`.
    ///
    /// When it takes longer than the peer itself should, the peer is asked whether it lives: so a slow lookup behind it
    /// is waited for, and a frozen peer is not.
    pub(crate) async fn call_onward(
        &self,
        command: Command,
        context: &Context,
        body: Bytes,
        budget: Duration,
    ) -> Result<Exchange, Failure> {
        let budget = budget.min(self.wait_max);
        let answer = within(budget, async {
            let exchange = self.connections.exchange(Answered::WithOthers, command, context, body);
            tokio::pin!(exchange);
            tokio::select! {
                answer = &mut exchange => return answer,
                () = tokio::time::sleep(self.wait()) => {}
            }
            tokio::select! {
                answer = &mut exchange => answer,
                failure = self.dies() => Err(failure),
            }
        })
        .await;
        self.judge(answer.as_ref().err());
        answer
    }

    /// Ends when the peer does not answer a ping.
    async fn dies(&self) -> Failure {
        loop {
            let started = Instant::now();
            if let Err(failure) =
                self.call(Command::Node, &Context::default(), Bytes::from_static(b"{}")).await
            {
                return failure;
            }
            tokio::time::sleep(self.wait().saturating_sub(started.elapsed())).await;
        }
    }

    fn judge(&self, failure: Option<&Failure>) {
        let until = match failure {
            Some(Failure::Silent | Failure::Unreachable) => Some(Instant::now() + SUSPECT_FOR),
            Some(_) | None => None,
        };
        *lock(&self.suspect_until) = until;
    }

    fn is_suspect(&self) -> bool {
        lock(&self.suspect_until).is_some_and(|until| Instant::now() < until)
    }
}

/// All links of one node.
pub(crate) struct Links {
    ring: RingTag,
    limits: Limits,
    by_name: Mutex<HashMap<NodeName, Arc<Link>>>,
}

impl Links {
    pub(crate) fn new(ring: RingTag, limits: Limits) -> Self {
        Self { ring, limits, by_name: Mutex::default() }
    }

    /// The link to a peer, made when it is first needed. The one unused for longest makes room.
    pub(crate) fn to(&self, name: &NodeName) -> Arc<Link> {
        let mut links = lock(&self.by_name);
        if let Some(link) = links.get(name) {
            *lock(&link.last_used) = Instant::now();
            return link.clone();
        }
        if links.len() >= self.limits.links {
            let oldest = links.iter().min_by_key(|(_, link)| *lock(&link.last_used));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                links.remove(&oldest);
            }
        }
        let link = Arc::new(Link {
            connections: Connections::new(
                name.clone(),
                self.limits.link_connections,
                self.limits.body_bytes(),
            ),
            trip: Mutex::default(),
            suspect_until: Mutex::default(),
            last_used: Mutex::new(Instant::now()),
            is_seed: AtomicBool::new(false),
            wait_max: self.limits.request,
        });
        links.insert(name.clone(), link.clone());
        link
    }

    /// Whether the peer failed a moment ago: lookups go round it.
    pub(crate) fn is_suspect(&self, name: &NodeName) -> bool {
        let link = lock(&self.by_name).get(name).cloned();
        link.is_some_and(|link| link.is_suspect())
    }
}

impl Link {
    pub(crate) fn is_seed(&self) -> bool {
        self.is_seed.load(Ordering::Relaxed)
    }

    fn set_seed(&self, is_seed: bool) {
        self.is_seed.store(is_seed, Ordering::Relaxed);
    }
}

/// What these locks guard is replaced whole, so a panic elsewhere leaves nothing half changed. They are held for a few
/// instructions and never across an await.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
