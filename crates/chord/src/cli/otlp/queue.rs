//! Lines of the log that wait for the collector: within bounds, and whoever logs never waits for anybody.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::messages::{Line, Value, record};
use crate::cli::output;

/// How many lines wait: many minutes of a node that is in trouble, and an hour of one that is well.
const LINES_MAX: usize = 2048;

/// What they may weigh together, whatever stands in them.
const BYTES_MAX: usize = 2 << 20;

/// Longest text of a line, and of a field: more is an error of an operating system or of a library that repeats itself.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Most fields of a line; ours have five at most.
const FIELDS_MAX: usize = 32;

/// What waits for the collector of this process.
pub(super) static KEPT: Queue = Queue::new();

/// Lines that wait, each as it is sent.
pub(super) struct Queue {
    is_open: AtomicBool,
    waiting: Mutex<Waiting>,
    more: Notify,
}

struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    const fn new() -> Self {
        let waiting = Waiting { lines: VecDeque::new(), bytes: 0, dropped: 0 };
        Self { is_open: AtomicBool::new(false), waiting: Mutex::new(waiting), more: Notify::const_new() }
    }

    /// From now on lines are kept.
    pub(super) fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// From now on none is.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// A line is to be sent. Where there is no room for it, it is dropped: what was first tells most of how trouble began.
    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.lock();
        if waiting.lines.len() >= LINES_MAX || waiting.bytes + line.len() > BYTES_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        drop(waiting);
        self.more.notify_one();
    }

    /// Why the process ends, as the log will say it when nothing is sent any more.
    pub(super) fn push_failure(&self, sentence: &str) {
        let (target, message) = (output::TARGET, cut(sentence.to_owned()));
        let fields = [("event".to_owned(), Value::Text("failed".to_owned()))];
        let line = Line { level: tracing::Level::ERROR, target, message: &message, fields: &fields };
        self.push(record(&line, SystemTime::now()));
    }

    /// Waits until there is a line.
    pub(super) async fn some(&self) {
        while self.lock().lines.is_empty() {
            self.more.notified().await;
        }
    }

    /// Takes the oldest lines, at most so many and so many bytes.
    pub(super) fn take(&self, lines_max: usize, bytes_max: usize) -> Vec<Vec<u8>> {
        let mut waiting = self.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(line) = waiting.lines.front()
            && taken.len() < lines_max
            && (taken.is_empty() || bytes + line.len() <= bytes_max)
        {
            bytes += line.len();
            taken.extend(waiting.lines.pop_front());
        }
        waiting.bytes -= bytes;
        taken
    }

    /// How many have been dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half-done where somebody could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to the log beside standard error, and hears what is written there.
pub(crate) struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // What the library for HTTP says of the sending of lines would be sent too, and so on.
        if KEPT.is_open.load(Ordering::Relaxed) && !event.metadata().target().starts_with("hyper") {
            KEPT.push(written(event));
        }
    }
}

fn written(event: &Event<'_>) -> Vec<u8> {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let target = fields.target.as_deref().unwrap_or(event.metadata().target());
    let line =
        Line { level: *event.metadata().level(), target, message: &fields.message, fields: &fields.others };
    record(&line, SystemTime::now())
}

/// What stands in a line.
#[derive(Default)]
struct Fields {
    message: String,
    /// Of a library that logs in another way.
    target: Option<String>,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            ("log.target", Value::Text(text)) => self.target = Some(text),
            (name, _) if name.starts_with("log.") || self.others.len() >= FIELDS_MAX => {}
            (name, value) => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.add(field, Value::Text(cut(text.to_owned())));
    }

    fn record_i64(&mut self, field: &Field, number: i64) {
        self.add(field, Value::Whole(number));
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        let whole = i64::try_from(number).map(Value::Whole);
        self.add(field, whole.unwrap_or_else(|_| Value::Text(number.to_string())));
    }

    fn record_f64(&mut self, field: &Field, number: f64) {
        self.add(field, Value::Real(number));
    }

    fn record_bool(&mut self, field: &Field, is_so: bool) {
        self.add(field, Value::Truth(is_so));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(cut(format!("{value:?}"))));
    }
}

/// A text that is no longer than the longest.
fn cut(mut text: String) -> String {
    let mut end = TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn n_waiting(queue: &Queue) -> usize {
        queue.lock().lines.len()
    }

    #[test]
    fn a_queue_that_is_full_drops_what_comes_and_counts_it() {
        let queue = Queue::new();
        for number in 0..=LINES_MAX {
            queue.push(number.to_le_bytes().to_vec());
        }
        assert_eq!((n_waiting(&queue), queue.dropped()), (LINES_MAX, 1));
        let first = queue.take(3, usize::MAX);
        assert_eq!(first, [0, 1, 2].map(|number: usize| number.to_le_bytes().to_vec()));
        queue.push(vec![7]);
        assert_eq!(queue.dropped(), 1, "there is room again");
        while !queue.take(100, usize::MAX).is_empty() {}
        assert_eq!(queue.lock().bytes, 0);
    }

    #[test]
    fn large_lines_fill_it_sooner_and_a_batch_too() {
        let queue = Queue::new();
        let large = vec![0; BYTES_MAX / 4];
        for _ in 0..5 {
            queue.push(large.clone());
        }
        assert_eq!((n_waiting(&queue), queue.dropped()), (4, 1));
        assert_eq!(queue.take(100, 1).len(), 1, "one goes alone, whatever it weighs");
        assert_eq!(queue.take(100, BYTES_MAX / 2).len(), 2);
        assert_eq!(queue.take(100, BYTES_MAX).len(), 1);
        assert!(queue.take(100, BYTES_MAX).is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_line_gets_the_one_that_came_before_and_the_one_that_comes() {
        let queue = Queue::new();
        queue.push(vec![1]);
        queue.some().await;
        assert_eq!(queue.take(10, 10).len(), 1);
        let both = async {
            tokio::join!(queue.some(), async {
                tokio::task::yield_now().await;
                queue.push(vec![2]);
            })
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), both).await.expect("it is told of");
    }

    /// The only test that opens what all share: what others log meanwhile is told apart by its event.
    #[test]
    fn a_line_is_kept_with_its_fields_in_their_types_and_cut_where_it_is_endless() {
        KEPT.open();
        let subscriber = tracing_subscriber::registry().with(Listener);
        tracing::subscriber::with_default(subscriber, || {
            let long = "\u{1f980}".repeat(2000);
            tracing::warn!(event = "tried", count = 3_u64, ratio = 0.5, is_so = true, of = ?Some(1), "says {long}");
        });
        KEPT.close();
        let lines = KEPT.take(LINES_MAX, BYTES_MAX);
        let is_it = |line: &&Vec<u8>| line.windows(5).any(|part| part == b"tried");
        let line = lines.iter().find(is_it).expect("it was kept");
        let has = |part: &[u8]| line.windows(part.len()).any(|bytes| bytes == part);
        assert!(line.len() < TEXT_BYTES_MAX + 500, "{}", line.len());
        assert!(has("says \u{1f980}".as_bytes()) && has(b"Some(1)") && has(b"WARN"));
        assert!(has(&[b"\n\x05count\x12\x02\x18\x03".as_slice()].concat()), "a number is one");
        assert!(has(b"\n\x05is_so\x12\x02\x10\x01"), "and so is what is so or not");
    }
}
