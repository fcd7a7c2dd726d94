//! A lane to a peer: requests of one sort, on a connection of their own that is opened when it is needed; those of clients on one
//! for each thread that serves clients, four at most, so that an answer wakes no other thread where no more serve.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chord_ring::NodeName;
use chord_wire::frame::{Answer, Asked};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::task::JoinSet;

use super::connection::{NoAnswer, Sending};
use super::dialogue::{DEAF_AFTER, Dialogue, Terms};
use super::lock;
use super::unanswered::Unanswered;
use crate::door::REQUESTS_MAX;
use crate::stream::Stream;
use crate::tls::Dialer;

/// How often a request is sent that did not leave, or was lost with a connection that the peer had closed meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Connections of a lane, at most: a node has as many of each sort to each of its peers, however many threads it has.
const PLACES_MAX: usize = 4;

/// Requests of one sort to one peer.
pub(crate) struct Lane {
    /// Whether those wait for its answers who are served.
    is_of_clients: bool,
    /// The connection of each place where clients are served; elsewhere the first is used.
    open: Mutex<Vec<Option<Arc<Dialogue>>>>,
    /// Held by the one who opens a connection.
    opening: tokio::sync::Mutex<()>,
    /// Requests under way: as many as the peer takes.
    requests: Arc<Semaphore>,
    /// A hello was given up before it was answered.
    is_unheard: AtomicBool,
    /// How often a connection broke of which that was not asked yet.
    breaks: AtomicU32,
}

/// What came back, and from whom.
pub(crate) struct Heard {
    pub(crate) answer: Box<Answer>,
    pub(crate) from: Arc<Dialogue>,
}

/// Notes a hello that is given up after a wait: whoever asks may have gone for another reason.
struct Hailing<'a> {
    is_unheard: &'a AtomicBool,
    since: Instant,
}

impl Drop for Hailing<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= DEAF_AFTER {
            self.is_unheard.store(true, Ordering::Relaxed);
        }
    }
}

/// Waits for the place of another request. Dropped after a while, nobody has made any.
struct Queues<'a> {
    lane: &'a Lane,
    since: Instant,
}

impl Drop for Queues<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= DEAF_AFTER {
            self.lane.close_idle(DEAF_AFTER);
        }
    }
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            is_of_clients: false,
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            is_unheard: AtomicBool::new(false),
            breaks: AtomicU32::new(0),
        }
    }

    /// The same, for requests that are made for those who are served.
    pub(crate) fn of_clients(self) -> Self {
        Self { is_of_clients: true, ..self }
    }

    /// Asks, and waits for the answer. The caller sets the deadline.
    pub(crate) async fn ask(
        &self,
        name: &NodeName,
        terms: &Terms,
        sending: &Sending,
        asked: &Asked,
    ) -> Result<Heard, Unanswered> {
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            let permit = match self.requests.clone().try_acquire_owned() {
                Ok(permit) => permit,
                // On the heap: it is seldom.
                Err(TryAcquireError::NoPermits) => Box::pin(self.wait_for_place()).await?,
                Err(TryAcquireError::Closed) => return Err(stopped().into()),
            };
            let (dialogue, is_new) = self.dialogue(name, terms).await?;
            match dialogue.ask(sending, asked, permit).await {
                Ok(answer) => return Ok(Heard { answer, from: dialogue }),
                Err(Unanswered::NotSent) if attempts_left > 0 => {}
                // A connection that was kept may have been closed meanwhile.
                Err(Unanswered::NoAnswer(NoAnswer::Closed))
                    if attempts_left > 0 && !is_new && !sending.is_over() => {}
                Err(Unanswered::NotSent | Unanswered::NoAnswer(NoAnswer::Closed)) => {
                    return Err(self.broke(&dialogue));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until another request has its answer.
    async fn wait_for_place(&self) -> Result<OwnedSemaphorePermit, NoAnswer> {
        let queues = Queues { lane: self, since: Instant::now() };
        let permit = self.requests.clone().acquire_owned().await;
        std::mem::forget(queues);
        permit.map_err(|_| stopped())
    }

    /// Counts a connection that broke, once. What breaks one mostly breaks those beside it too.
    fn broke(&self, dialogue: &Dialogue) -> Unanswered {
        if dialogue.tells_break() {
            self.breaks.fetch_add(1, Ordering::Relaxed);
            for beside in lock(&self.open).iter().flatten() {
                beside.tells_break();
            }
        }
        NoAnswer::Closed.into()
    }

    /// The place of whoever asks.
    fn place(&self, terms: &Terms) -> usize {
        if !self.is_of_clients || terms.serving.len() < 2 {
            return 0;
        }
        let here = Handle::current().id();
        terms.serving.iter().position(|runtime| runtime.id() == here).map_or(0, |place| place % PLACES_MAX)
    }

    /// The connection of whoever asks, and whether it was just opened.
    async fn dialogue(&self, name: &NodeName, terms: &Terms) -> Result<(Arc<Dialogue>, bool), Unanswered> {
        match self.opened(terms, self.place(terms)) {
            Some(dialogue) => Ok((dialogue, false)),
            // On the heap: it is seldom, and whoever asks often has room for all of this.
            None => Box::pin(self.open(name, terms)).await,
        }
    }

    async fn open(&self, name: &NodeName, terms: &Terms) -> Result<(Arc<Dialogue>, bool), Unanswered> {
        let _turn = self.opening.lock().await;
        let place = self.place(terms);
        if let Some(dialogue) = self.opened(terms, place) {
            return Ok((dialogue, true));
        }
        let changes = terms.changes();
        let serving = terms.serving.get(place).filter(|_| self.is_of_clients);
        let (stream, runtime) = match serving {
            Some(serving) => (connect_in(serving, name, terms).await?, serving.clone()),
            None => (Dialer::connect(terms.tls.as_ref(), name).await?, Handle::current()),
        };
        let hailing = Hailing { is_unheard: &self.is_unheard, since: Instant::now() };
        let opened = Dialogue::open(stream, name, terms, &runtime).await;
        std::mem::forget(hailing);
        if matches!(opened, Err(Unanswered::NoAnswer(NoAnswer::Closed))) {
            self.breaks.fetch_add(1, Ordering::Relaxed);
        }
        let dialogue = Arc::new(opened?.since(changes));
        let mut open = lock(&self.open);
        if self.requests.is_closed() {
            return Err(stopped().into());
        }
        if open.len() <= place {
            open.resize(place + 1, None);
        }
        if let Some(open) = open.get_mut(place) {
            *open = Some(dialogue.clone());
        }
        Ok((dialogue, true))
    }

    /// The connection, unless it is over, or its proofs are from before the secrets or the certificates changed.
    fn opened(&self, terms: &Terms, place: usize) -> Option<Arc<Dialogue>> {
        let open = lock(&self.open);
        open.get(place)?
            .as_ref()
            .filter(|dialogue| !dialogue.is_over() && dialogue.is_proved_by(terms))
            .cloned()
    }

    /// Whether a hello was given up since this was asked last.
    pub(crate) fn was_unheard(&self) -> bool {
        self.is_unheard.load(Ordering::Relaxed) && self.is_unheard.swap(false, Ordering::Relaxed)
    }

    /// How many connections broke since this was asked last.
    pub(super) fn take_breaks(&self) -> u32 {
        self.breaks.swap(0, Ordering::Relaxed)
    }

    /// Closes the connection if nobody waits on it, and it was not used for so long.
    pub(super) fn close_idle(&self, idle: Duration) {
        let is_needless = |dialogue: &Arc<Dialogue>| dialogue.is_over() || dialogue.is_idle(idle);
        for open in lock(&self.open).iter_mut() {
            *open = open.take().filter(|dialogue| !is_needless(dialogue));
        }
    }

    /// Uses this connection no more; who waits on it goes on waiting.
    pub(super) fn leave(&self) {
        lock(&self.open).clear();
    }

    /// Ends all that is under way: nothing is asked here any more.
    pub(super) fn close(&self) {
        self.requests.close();
        for dialogue in std::mem::take(&mut *lock(&self.open)).into_iter().flatten() {
            dialogue.end();
        }
    }
}

/// Connects in another runtime, which has the stream then.
async fn connect_in(runtime: &Handle, name: &NodeName, terms: &Terms) -> Result<Stream, NoAnswer> {
    let (tls, name) = (terms.tls.clone(), name.clone());
    let mut connecting = JoinSet::new();
    connecting.spawn_on(async move { Dialer::connect(tls.as_ref(), &name).await }, runtime);
    // Without a result the threads have ended that serve.
    connecting.join_next().await.and_then(Result::ok).unwrap_or_else(|| Err(stopped()))
}

/// Why nothing is asked when the node has stopped.
fn stopped() -> NoAnswer {
    NoAnswer::NoConnection(std::io::Error::other("this node has stopped"))
}

#[cfg(test)]
mod tests;
