//! One connection to one node, with as little between it and the socket as can be: requests go out when they are due, and
//! answers are read and checked as they come.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use chord::{ClientTls, Connected, NodeName};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::door::{Answer, Came, Heard, Speech};
use super::draw::Drawing;
use super::keys::{Sizes, is_value};
use super::measured::Tally;
use super::pacing::Pace;
use super::workload::{Operation, Request};

/// How long one request may take before it counts as failed.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a connection waits after a failure, so that a node that is down is not flooded.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// Room for what an answer holds beside the value.
const ANSWER_BYTES_SPARE: usize = 80 << 10;

/// Room for what is read at once, and how little of it is left before there is more.
const READ_BYTES: usize = 16 << 10;
const READ_BYTES_MIN: usize = 4 << 10;

/// What a connection asks.
pub(super) enum Source {
    /// Whatever is drawn, of those keys that the node answers for.
    Drawn(Drawing, Option<Box<dyn Fn(u64) -> bool + Send>>),
    /// This of each of those keys, once. The first failure is the end.
    Each(Operation, Box<dyn Iterator<Item = u64> + Send>),
}

/// What a connection is told.
pub(super) struct LaneSetup {
    pub(super) node: NodeName,
    pub(super) speech: Box<dyn Speech>,
    pub(super) source: Source,
    pub(super) pace: Pace,
    pub(super) sizes: Sizes,
    /// How much larger a value may be on its way.
    pub(super) growth: usize,
    pub(super) tls: Option<ClientTls>,
}

/// One connection. Connects when it must.
pub(super) struct Lane {
    setup: LaneSetup,
    under_way: UnderWay,
    outgoing: Vec<u8>,
    n_sent: usize,
    incoming: Vec<u8>,
    /// After a failure nothing is sent before then.
    rests_until: Option<Instant>,
    /// Nothing more is to be asked of each key.
    is_through: bool,
    tally: Arc<Mutex<Tally>>,
}

/// A request that has no answer yet.
#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    since: Instant,
    sent: Instant,
}

/// Requests by their numbers on this connection.
#[derive(Debug, Default)]
struct UnderWay {
    /// How many are no longer in the list.
    n_before: u32,
    list: VecDeque<Option<Pending>>,
    n_open: usize,
}

impl Lane {
    pub(super) fn new(setup: LaneSetup, tally: Arc<Mutex<Tally>>) -> Self {
        Self {
            setup,
            under_way: UnderWay::default(),
            outgoing: Vec::new(),
            n_sent: 0,
            incoming: Vec::new(),
            rests_until: None,
            is_through: false,
            tally,
        }
    }

    /// Asks until all that is due has been asked and answered.
    pub(super) async fn run(mut self) {
        while !self.is_done(Instant::now()) {
            if let Err(error) = self.converse().await {
                self.fail(&error);
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
        let (now, overdue) = (Instant::now(), self.setup.pace.overdue());
        for due in overdue {
            if let Some(request) = self.setup.source.next() {
                lock(&self.tally).unsent(request.operation, due, now);
            }
        }
    }

    /// One connection, until it ends or nothing is left to do.
    async fn converse(&mut self) -> anyhow::Result<()> {
        self.outgoing.clear();
        (self.n_sent, self.under_way) = (0, UnderWay::default());
        self.incoming.clear();
        self.setup.speech.open(&mut self.outgoing);
        self.ask(); // Connecting is a part of what is asked first.
        let connecting =
            tokio::time::timeout(ANSWER_WITHIN, Connected::to(&self.setup.node, self.setup.tls.as_ref()))
                .await;
        let mut stream = connecting.map_err(|_| silence())??;
        let (mut reader, mut writer) = stream.split();
        // What TLS has taken may not have left yet.
        let (is_in_tls, mut is_behind) = (self.setup.tls.is_some(), false);
        let mut look_at = Instant::now() + ANSWER_WITHIN;
        let mut alarm = pin!(tokio::time::sleep_until(look_at.into()));
        while !self.is_done(Instant::now()) {
            let wake_at = self.wakes_at().map_or(look_at, |wake_at| wake_at.min(look_at));
            if alarm.deadline() != wake_at.into() {
                alarm.as_mut().reset(wake_at.into());
            }
            if self.incoming.capacity() - self.incoming.len() < READ_BYTES_MIN {
                self.incoming.reserve(READ_BYTES);
            }
            let unsent = self.outgoing.get(self.n_sent..).unwrap_or_default();
            tokio::select! {
                biased;
                sent = send(&mut writer, unsent), if is_behind || !unsent.is_empty() => {
                    let n_bytes = sent?;
                    is_behind = is_in_tls && n_bytes > 0;
                    self.sent(n_bytes);
                }
                read = reader.read_buf(&mut self.incoming) => {
                    if !self.hear(read? == 0)? {
                        return Ok(());
                    }
                }
                () = &mut alarm => look_at = self.look()?,
            }
            self.ask();
        }
        Ok(())
    }

    /// Puts all requests that are due into what goes out.
    fn ask(&mut self) {
        if !self.setup.speech.is_open() || self.is_through {
            return;
        }
        let now = Instant::now();
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        self.rests_until = None;
        while let Some(due) = self.setup.pace.next(now, self.under_way.n_open) {
            let Some(request) = self.setup.source.next() else {
                self.is_through = true;
                return;
            };
            let number = self.under_way.add(Pending { request, since: due.since, sent: now });
            self.setup.speech.ask(request, number, &mut self.outgoing);
            if due.late.is_some() {
                lock(&self.tally).sent(&due);
            }
        }
    }

    fn sent(&mut self, n_bytes: usize) {
        self.n_sent += n_bytes;
        if self.n_sent == self.outgoing.len() {
            self.outgoing.clear();
            self.n_sent = 0;
        }
    }

    /// Reads all answers that have come; false if the connection takes no more requests.
    fn hear(&mut self, is_all: bool) -> anyhow::Result<bool> {
        let (now, was_full) = (Instant::now(), self.under_way.n_open >= self.setup.pace.depth());
        let (mut n_heard, mut stays) = (0, true);
        let tally = Arc::clone(&self.tally);
        let mut tally = lock(&tally); // Held while what has come is read, never while waiting.
        while stays {
            let bytes = self.incoming.get(n_heard..).unwrap_or_default();
            let asked = self.under_way.oldest().map_or(Operation::Put, |pending| pending.request.operation);
            match self.setup.speech.hear(Came { bytes, is_all, asked })? {
                Heard::Part => break,
                Heard::Aside { n_bytes } => n_heard += n_bytes,
                Heard::Answer { n_bytes, number, answer, stays: it_stays } => {
                    n_heard += n_bytes;
                    let pending =
                        self.under_way.take(number).context("an answer came that nobody waits for")?;
                    let Request { operation, key } = pending.request;
                    let ended = check(&answer, pending.request, self.setup.sizes.of_key(key));
                    if ended.is_err() {
                        self.rests_until = Some(now + PAUSE_AFTER_FAILURE);
                        self.is_through |= self.setup.source.ends_with_a_failure();
                    }
                    tally.record(
                        operation,
                        ended.with_context(|| self.setup.name(operation)),
                        pending.since,
                        now,
                    );
                    stays = it_stays;
                }
            }
        }
        drop(tally);
        self.incoming.drain(..n_heard);
        if was_full {
            self.setup.pace.has_room(now);
        }
        if self.incoming.len() > self.answer_bytes_max() {
            bail!("the answer is larger than any right one");
        }
        let is_cut_off = self.under_way.n_open > 0 || !self.setup.speech.is_open();
        if is_cut_off && (is_all || !stays) {
            bail!("the connection was closed before the answer was complete");
        }
        Ok(stays && !is_all)
    }

    /// Looks whether an answer takes too long; when to look again if none does.
    fn look(&self) -> anyhow::Result<Instant> {
        let now = Instant::now();
        let oldest = self.under_way.oldest().map_or(now, |pending| pending.sent);
        let look_at = oldest + ANSWER_WITHIN;
        if look_at > now { Ok(look_at) } else { Err(silence()) }
    }

    /// Ends what is under way on a connection that failed.
    fn fail(&mut self, error: &anyhow::Error) {
        self.is_through |= self.setup.source.ends_with_a_failure();
        let under_way = std::mem::take(&mut self.under_way);
        let mut tally = lock(&self.tally);
        let mut is_told = false;
        for pending in under_way.list.into_iter().flatten() {
            let operation = pending.request.operation;
            let failure = anyhow!("{}: {error:#}", self.setup.name(operation));
            tally.record(operation, Err(failure), pending.since, pending.sent);
            is_told = true;
        }
        if !is_told {
            tally.fails(self.setup.source.mostly(), &anyhow!("{}: {error:#}", self.setup.node));
        }
        drop(tally);
        self.setup.pace.has_room(Instant::now());
    }

    fn wakes_at(&self) -> Option<Instant> {
        let due = self.setup.pace.wakes_at(self.under_way.n_open);
        match (self.rests_until, due) {
            (Some(rested), Some(due)) => Some(rested.max(due)),
            (rested, due) => rested.or(due),
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        self.under_way.n_open == 0 && (self.is_through || self.setup.pace.is_over(now))
    }

    fn answer_bytes_max(&self) -> usize {
        self.setup.sizes.high.saturating_mul(self.setup.growth).saturating_add(ANSWER_BYTES_SPARE)
    }
}

impl LaneSetup {
    fn name(&self, operation: Operation) -> String {
        format!("{} at {}", operation.name(), self.node)
    }
}

impl Source {
    fn next(&mut self) -> Option<Request> {
        match self {
            Self::Drawn(drawing, None) => Some(drawing.next()),
            Self::Drawn(drawing, Some(is_of_node)) => loop {
                let request = drawing.next();
                if is_of_node(request.key) {
                    return Some(request);
                }
            },
            Self::Each(operation, keys) => keys.next().map(|key| Request { operation: *operation, key }),
        }
    }

    /// What a connection is for.
    fn mostly(&self) -> Operation {
        match self {
            Self::Drawn(drawing, _) => drawing.mostly(),
            Self::Each(operation, _) => *operation,
        }
    }

    fn ends_with_a_failure(&self) -> bool {
        matches!(self, Self::Each(..))
    }
}

impl UnderWay {
    fn add(&mut self, pending: Pending) -> u32 {
        self.list.push_back(Some(pending));
        self.n_open += 1;
        self.n_before.wrapping_add(u32::try_from(self.list.len()).unwrap_or(u32::MAX))
    }

    fn oldest(&self) -> Option<&Pending> {
        self.list.front().and_then(Option::as_ref)
    }

    /// Takes out the request of that number, or the oldest.
    fn take(&mut self, number: Option<u32>) -> Option<Pending> {
        let idx = number.map_or(0, |number| number.wrapping_sub(self.n_before).wrapping_sub(1));
        let pending = self.list.get_mut(usize::try_from(idx).ok()?)?.take()?;
        self.n_open -= 1;
        while let Some(None) = self.list.front() {
            self.list.pop_front();
            self.n_before = self.n_before.wrapping_add(1);
        }
        Some(pending)
    }
}

/// Whether that answers the request as it should be.
fn check(answer: &Answer<'_>, request: Request, value_bytes: usize) -> anyhow::Result<()> {
    match (request.operation, answer) {
        (_, Answer::Refused(why)) => bail!("{why}"),
        (Operation::Put, Answer::Stored) => Ok(()),
        (Operation::Get, Answer::Stored) => bail!("the answer is that of a put"),
        (Operation::Put, Answer::Absent) => bail!("the answer is that of a get"),
        (Operation::Get, Answer::Absent) => bail!("a key that was written is not found"),
        (_, Answer::Found(value)) if is_value(value, request.key, value_bytes) => Ok(()),
        (_, Answer::Found(_)) => bail!("the value is not the one written"),
    }
}

fn silence() -> anyhow::Error {
    anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs())
}

/// Sends some of what there is, or what was taken before.
async fn send(writer: &mut (impl AsyncWrite + Unpin), unsent: &[u8]) -> std::io::Result<usize> {
    if unsent.is_empty() { writer.flush().await.map(|()| 0) } else { writer.write(unsent).await }
}

pub(super) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(key: u64) -> Pending {
        let now = Instant::now();
        Pending { request: Request { operation: Operation::Get, key }, since: now, sent: now }
    }

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let mut under_way = UnderWay::default();
        let numbers: Vec<u32> = (0..4).map(|key| under_way.add(pending(key))).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        let mut take = |number| under_way.take(number).map(|pending| pending.request.key);
        assert_eq!((take(Some(3)), take(Some(3)), take(Some(9)), take(Some(0))), (Some(2), None, None, None));
        assert_eq!((take(Some(1)), take(None), take(None), take(None)), (Some(0), Some(1), Some(3), None));
        assert_eq!((under_way.add(pending(5)), under_way.n_open), (5, 1));
    }

    #[test]
    fn only_the_value_that_was_written_is_right() {
        let check = |operation, answer| check(&answer, Request { operation, key: 7 }, 3).is_ok();
        assert!(check(Operation::Get, Answer::Found(b"000"[..].into())));
        assert!(!check(Operation::Get, Answer::Found(b"0000"[..].into())));
        assert!(!check(Operation::Get, Answer::Absent) && !check(Operation::Get, Answer::Stored));
        assert!(check(Operation::Put, Answer::Stored) && !check(Operation::Put, Answer::Absent));
        assert!(!check(Operation::Put, Answer::Refused("no".to_owned())));
    }
}
