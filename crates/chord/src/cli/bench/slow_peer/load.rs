//! Reads and writes at a fixed rate, however fast they are answered, through those that are well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use chord::{Client, Consistency, Key, NodeName, Operation, VALUE_BYTES_DEFAULT, Value};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::cli::bench::keys::{is_value, write_value};
use crate::cli::bench::pacing::counts_from;

/// Longest latency that is told apart: beyond every deadline.
const LATENCY_MAX_US: u64 = 60_000_000;

/// How long a request may take: longer than any operation.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// From one key of a client to its next one.
const KEY_STEP: usize = 7919;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Get,
}

/// What was seen of one kind.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// In microseconds, of requests that succeeded, and so far of those that have no answer yet.
    latencies: Histogram<u64>,
    pub(super) errors: u64,
    pub(super) first_failure: Option<String>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?;
        Ok(Self { latencies, errors: 0, first_failure: None })
    }

    /// One that has seen these latencies.
    #[cfg(test)]
    pub(super) fn of(latencies: impl IntoIterator<Item = Duration>) -> Self {
        let mut seen = Self::new().expect("a histogram");
        latencies.into_iter().for_each(|latency| seen.note(latency));
        seen
    }

    fn note(&mut self, latency: Duration) {
        self.latencies.saturating_record(micros(latency));
    }

    fn fail(&mut self, failure: String) {
        self.errors += 1;
        self.first_failure.get_or_insert(failure);
    }

    /// Counts what failed in a time that is not measured, too.
    pub(super) fn add_failures(&mut self, of: Self) {
        self.errors += of.errors;
        self.first_failure = self.first_failure.take().or(of.first_failure);
    }

    pub(super) fn requests(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn p99(&self) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(0.99))
    }

    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(self.latencies.max())
    }
}

/// What is asked of whom.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<NodeName>,
    pub(super) keys: Arc<[Key]>,
    pub(super) value_bytes: usize,
    /// Half of them write, the others read.
    pub(super) n_clients: u16,
    pub(super) per_second: u32,
}

/// Requests that go on until this is dropped.
pub(super) struct Load {
    seen: Arc<[Mutex<Seen>; 2]>,
    began: Instant,
    pause: Duration,
    /// When what each client waits for was due, in microseconds since it began.
    dues: Vec<(Kind, Arc<AtomicU64>)>,
    _clients: JoinSet<()>,
}

impl Load {
    /// Writes each key once, and begins.
    pub(super) async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let first = Client::new(plan.nodes[0].clone());
        for (idx, key) in plan.keys.iter().enumerate() {
            let put = Operation::put(value(idx, plan.value_bytes)?);
            first.operate(key.clone(), put, Consistency::Usual, ANSWER_WITHIN).await?;
        }
        let seen = Arc::new([Mutex::new(Seen::new()?), Mutex::new(Seen::new()?)]);
        let began = Instant::now();
        let pause = Duration::from_secs(plan.n_clients.into()) / plan.per_second;
        let (mut clients, mut dues) = (JoinSet::new(), Vec::new());
        for number in 0..plan.n_clients {
            let kind = if number % 2 == 0 { Kind::Put } else { Kind::Get };
            let due = Duration::from_secs(number.into()) / plan.per_second;
            let oldest = Arc::new(AtomicU64::new(micros(due)));
            dues.push((kind, Arc::clone(&oldest)));
            let beat = Beat {
                client: Client::new(plan.nodes[usize::from(number / 2) % plan.nodes.len()].clone()),
                kind,
                value_bytes: plan.value_bytes,
                keys: Arc::clone(&plan.keys),
                key_idx: usize::from(number),
                began,
                due,
                oldest,
                pause,
            };
            clients.spawn(beat.run(Arc::clone(&seen)));
        }
        Ok(Self { seen, began, pause, dues, _clients: clients })
    }

    /// What was seen since this was asked last. Whatever is due by now and has no answer counts for as long as it has waited:
    /// what hangs until the end would not be seen otherwise.
    pub(super) fn take(&self) -> anyhow::Result<[Seen; 2]> {
        let fresh = Seen::new()?;
        let take = |seen: &Mutex<Seen>| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *seen, fresh.clone())
        };
        let mut seen = [take(&self.seen[0]), take(&self.seen[1])];
        let now = self.began.elapsed();
        for (kind, due) in &self.dues {
            let due = Duration::from_micros(due.load(Ordering::Relaxed));
            ages(due, self.pause, now).for_each(|age| seen[*kind as usize].note(age));
        }
        Ok(seen)
    }
}

/// For how long each request has waited by now that is due, the oldest then, and one after each pause.
fn ages(oldest: Duration, pause: Duration, now: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(oldest), move |due| Some(*due + pause))
        .map_while(move |due| now.checked_sub(due))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One client's work.
struct Beat {
    client: Client,
    kind: Kind,
    value_bytes: usize,
    keys: Arc<[Key]>,
    key_idx: usize,
    began: Instant,
    /// Since it began.
    due: Duration,
    /// The same, for others.
    oldest: Arc<AtomicU64>,
    pause: Duration,
}

impl Beat {
    async fn run(mut self, seen: Arc<[Mutex<Seen>; 2]>) {
        loop {
            let due = self.began + self.due;
            let was_held_up = Instant::now() > due;
            tokio::time::sleep_until(due.into()).await;
            let since = counts_from(due, Instant::now(), was_held_up);
            // A step that has no part in common with how many keys there are comes to each of them; it is prime.
            let step = if self.keys.len().is_multiple_of(KEY_STEP) { 1 } else { KEY_STEP };
            self.key_idx = (self.key_idx + step) % self.keys.len();
            let ended = self.ask().await;
            let mut seen = seen[self.kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
            match ended {
                Ok(()) => seen.note(since.elapsed()),
                Err(error) => seen.fail(format!("{error:#}")),
            }
            drop(seen);
            self.due += self.pause;
            self.oldest.store(micros(self.due), Ordering::Relaxed);
        }
    }

    /// One request, whose answer must be the right one.
    async fn ask(&self) -> anyhow::Result<()> {
        let key = self.keys[self.key_idx].clone();
        let operation = match self.kind {
            Kind::Put => Operation::put(value(self.key_idx, self.value_bytes)?),
            Kind::Get => Operation::Get,
        };
        let operated = self.client.operate(key, operation, Consistency::Usual, ANSWER_WITHIN).await?;
        let found = operated.outcome.record.and_then(|record| record.value);
        match self.kind {
            Kind::Put => Ok(()),
            Kind::Get => check(found, self.key_idx, self.value_bytes),
        }
    }
}

/// What is written under the key of that number.
fn value(number: usize, bytes: usize) -> anyhow::Result<Value> {
    let mut value = Vec::with_capacity(bytes);
    write_value(number as u64, bytes, &mut value);
    Ok(Value::new(&value, VALUE_BYTES_DEFAULT)?)
}

/// Whether that was written under the key of that number: all keys are, before anything is asked.
fn check(found: Option<Value>, number: usize, bytes: usize) -> anyhow::Result<()> {
    match found {
        None => bail!("a key that was written is not found"),
        Some(value) if is_value(value.as_bytes(), number as u64, bytes) => Ok(()),
        Some(_) => bail!("the value is not the one written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_answer_yet_counts_with_its_age_and_so_does_what_is_due_behind_it() {
        let ms = Duration::from_millis;
        assert_eq!(ages(ms(100), ms(30), ms(170)).collect::<Vec<_>>(), [ms(70), ms(40), ms(10)]);
        assert_eq!(ages(ms(100), ms(30), ms(99)).count(), 0, "it is not due yet");
    }

    #[test]
    fn only_what_was_written_under_a_key_is_a_right_answer() {
        let said = |found: Option<Value>| check(found, 7, 11).map_err(|error| error.to_string());
        assert_eq!(said(Some(value(7, 11).expect("it is short"))), Ok(()));
        assert_eq!(said(None), Err("a key that was written is not found".to_owned()));
        for (number, bytes) in [(8, 11), (7, 10)] {
            let other = value(number, bytes).expect("it is short");
            assert_eq!(said(Some(other)), Err("the value is not the one written".to_owned()));
        }
    }
}
