//! Sends a node's metrics and its log to a collector, beside everything else that the node does.
//!
//! What has been counted is told whole each time, so metrics that a collector did not take are no loss. Lines of the log are
//! tried again until it takes them, and while they wait newer ones may be dropped: see [`super::queue`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chord::Node;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Endpoint;
use super::messages::{logs, metrics, resource};
use super::post::{Failure, post};
use super::queue::KEPT;

/// How long lines are waited for that come right after another: what happens together goes in one request.
const LINGER: Duration = Duration::from_secs(1);

/// What goes in one request: a collector takes some MiB.
const BATCH_LINES_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 512 << 10;

/// Pauses after a failure: the first one, and the longest to which they double. A collector that is back has lines soon.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Between two complaints about a collector.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// How long a node that has ended waits for what is left to be sent: a collector that works takes it in milliseconds, and
/// whoever stops a node waits for this.
const FINISH_WAIT: Duration = Duration::from_secs(2);

/// Sends what one node tells.
pub(super) struct Exporter {
    ending: watch::Sender<bool>,
    sending: JoinSet<()>,
    link: Arc<Link>,
}

/// The way to the collector.
struct Link {
    endpoint: Endpoint,
    node: Node,
    resource: Vec<u8>,
    trouble: Mutex<Trouble>,
}

/// What has gone wrong since the node runs.
#[derive(Default)]
struct Trouble {
    /// Requests that came to nothing.
    failed: u64,
    /// Lines that the collector did not want.
    refused: u64,
    /// When the log last said what goes wrong with metrics and with lines.
    complained: [Option<Instant>; 2],
    /// Whether it has said so of either, and not yet that it goes well again.
    is_told: [bool; 2],
    /// How many lines it has told of for which there was no room.
    overflown_told: u64,
}

impl Trouble {
    /// Whether it is time to complain. Then it is done.
    fn may_complain(&mut self, signal: Signal) -> bool {
        let complained = &mut self.complained[signal as usize];
        let may = complained.is_none_or(|at| at.elapsed() >= COMPLAINT_PAUSE);
        if may {
            *complained = Some(Instant::now());
        }
        may
    }

    /// It went well. What is to be said of that, with so many lines for which there was no room by now.
    fn ends(&mut self, signal: Signal, overflown: u64) -> Word {
        let word = if std::mem::take(&mut self.is_told[signal as usize]) {
            Word::WellAgain
        } else if overflown > self.overflown_told && self.may_complain(signal) {
            Word::Slow
        } else {
            return Word::Nothing;
        };
        self.overflown_told = overflown;
        word
    }

    /// It went wrong, and so many lines are not wanted. Whether that is to be said.
    fn grows(&mut self, signal: Signal, refused: u64, overflown: u64) -> bool {
        self.failed = self.failed.saturating_add(1);
        self.refused = self.refused.saturating_add(refused);
        let is_to_be_told = self.may_complain(signal);
        if is_to_be_told {
            self.is_told[signal as usize] = true;
            self.overflown_told = overflown;
        }
        is_to_be_told
    }
}

/// What is to be said of a collector that takes what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    WellAgain,
    /// Lines had no room, since they come faster.
    Slow,
}

/// What is sent.
#[derive(Clone, Copy)]
enum Signal {
    Metrics,
    Log,
}

impl Signal {
    const fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Log => "/v1/logs",
        }
    }
}

impl Exporter {
    /// Begins to send, metrics at that interval.
    pub(super) fn start(endpoint: &Endpoint, interval: Duration, node: &Node) -> Self {
        let (endpoint, resource) = (endpoint.clone(), resource(node.name()));
        let link = Arc::new(Link { endpoint, resource, node: node.clone(), trouble: Mutex::default() });
        let (ending, end) = watch::channel(false);
        let mut sending = JoinSet::new();
        sending.spawn(send_metrics(link.clone(), interval, end.clone()));
        sending.spawn(send_log(link.clone(), end));
        Self { ending, sending, link }
    }

    /// Sends what is left, and ends. What a collector does not take in time is lost.
    pub(super) async fn finish(mut self) {
        self.ending.send_replace(true);
        let sent = async {
            while let Some(ended) = self.sending.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(event = "otlp-broke", %error, "what sends to the collector broke");
                }
            }
        };
        let is_sent = tokio::time::timeout(FINISH_WAIT, sent).await.is_ok();
        KEPT.close();
        if !is_sent {
            tracing::warn!(
                event = "otlp-cut",
                "the collector at {} did not take in time what was left to be sent: the last lines of the log are here alone",
                self.link.endpoint
            );
        }
    }
}

impl Link {
    /// Sends a message, with so many lines, and says in the log how that goes, if it is time.
    async fn send(&self, signal: Signal, lines: u64, message: Vec<u8>) -> Result<(), Failure> {
        match post(&self.endpoint, signal.path(), message).await {
            Ok(None) => self.works(signal),
            Ok(Some((count, why))) => {
                self.fails(signal, count.min(lines), &format!("it refused {count} of what it got ({why})"));
            }
            Err(failure) => {
                let refused = if matches!(failure, Failure::Never { .. }) { lines } else { 0 };
                self.fails(signal, refused, &failure.to_string());
                return Err(failure);
            }
        }
        Ok(())
    }

    fn works(&self, signal: Signal) {
        let overflown = KEPT.dropped();
        let mut trouble = self.trouble();
        let (word, dropped) = (trouble.ends(signal, overflown), overflown.saturating_add(trouble.refused));
        drop(trouble);
        let there = &self.endpoint;
        match word {
            Word::Nothing => {}
            Word::WellAgain => tracing::info!(
                event = "otlp-works",
                dropped,
                "the collector at {there} takes again what is sent to {}",
                signal.path()
            ),
            Word::Slow => tracing::warn!(
                event = "otlp-slow",
                dropped,
                "lines of the log were dropped, since the collector at {there} takes them more slowly than they come: log less, by --log"
            ),
        }
    }

    fn fails(&self, signal: Signal, refused: u64, why: &str) {
        let overflown = KEPT.dropped();
        let mut trouble = self.trouble();
        let is_to_be_told = trouble.grows(signal, refused, overflown);
        let (failed, dropped) = (trouble.failed, overflown.saturating_add(trouble.refused));
        drop(trouble);
        if is_to_be_told {
            tracing::warn!(
                event = "otlp-failed",
                failed,
                dropped,
                "the collector at {} does not take what is sent to {}, {why}: see that it runs, and that --otlp-endpoint names it",
                self.endpoint,
                signal.path()
            );
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends metrics at an interval, and once more at the end.
async fn send_metrics(link: Arc<Link>, interval: Duration, mut end: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = ended(&mut end) => true,
        };
        let (measured, now) = (link.node.metrics().await, SystemTime::now());
        let message = metrics(&link.resource, &measured, link.node.started_at(), now);
        drop(measured);
        // If it failed, the next ones have all that these have.
        let sent = link.send(Signal::Metrics, 0, message);
        if is_last {
            _ = sent.await;
            return;
        }
        tokio::select! {
            _ = sent => {}
            () = ended(&mut end) => {}
        }
    }
}

/// Sends lines as they come, and those that are left at the end.
async fn send_log(link: Arc<Link>, mut end: watch::Receiver<bool>) {
    loop {
        let is_last = tokio::select! {
            () = async { KEPT.some().await; tokio::time::sleep(LINGER).await; } => false,
            () = ended(&mut end) => true,
        };
        loop {
            let lines = KEPT.take(BATCH_LINES_MAX, BATCH_BYTES_MAX);
            if lines.is_empty() {
                break;
            }
            send_lines(&link, &lines, &mut end).await;
            // What came meanwhile waits for what comes right after it.
            if lines.len() < BATCH_LINES_MAX && !is_last {
                break;
            }
        }
        if is_last {
            return;
        }
    }
}

/// Sends these lines, and tries again while the collector may take them later.
async fn send_lines(link: &Link, lines: &[Vec<u8>], end: &mut watch::Receiver<bool>) {
    let mut pause = PAUSE_MIN;
    loop {
        let message = logs(&link.resource, lines.iter().map(Vec::as_slice));
        let wanted = match link.send(Signal::Log, lines.len() as u64, message).await {
            Ok(()) | Err(Failure::Never { .. }) => return,
            Err(Failure::Later { pause, .. }) => pause,
        };
        tokio::select! {
            // A collector that asks for no pause at all, again and again, would be asked without end.
            () = tokio::time::sleep(wanted.map_or(pause, |wanted| wanted.max(pause))) => {}
            // Once more at once, since there will be no later; then not in a hurry, for as long as it is waited for.
            () = ended(end), if !*end.borrow() => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits until the node has ended.
async fn ended(end: &mut watch::Receiver<bool>) {
    // Whoever would tell it is there until all is sent.
    _ = end.wait_for(|has_ended| *has_ended).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_metrics_and_with_lines_is_told_apart() {
        let mut trouble = Trouble::default();
        assert!(trouble.grows(Signal::Metrics, 0, 0));
        assert!(
            trouble.grows(Signal::Log, 3, 0),
            "a complaint about the one keeps none about the other back"
        );
        assert!(!trouble.grows(Signal::Log, 3, 0), "once a minute");
        assert_eq!((trouble.failed, trouble.refused), (3, 6));
        assert_eq!(trouble.ends(Signal::Log, 0), Word::WellAgain);
        assert_eq!(trouble.ends(Signal::Log, 0), Word::Nothing, "what was refused is not slow");
        assert_eq!(trouble.ends(Signal::Metrics, 0), Word::WellAgain);
    }

    #[test]
    fn lines_without_room_are_told_once() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.ends(Signal::Log, 5), Word::Slow);
        assert_eq!(trouble.ends(Signal::Log, 5), Word::Nothing);
        let mut trouble = Trouble::default();
        assert!(trouble.grows(Signal::Log, 0, 2));
        assert_eq!(trouble.ends(Signal::Log, 7), Word::WellAgain, "which says how many there are");
        assert_eq!(trouble.ends(Signal::Log, 7), Word::Nothing);
    }

    #[test]
    fn no_count_of_a_collector_is_more_than_can_be_counted() {
        let mut trouble = Trouble::default();
        trouble.grows(Signal::Log, u64::MAX, 0);
        trouble.grows(Signal::Log, u64::MAX, 0);
        assert_eq!(trouble.refused, u64::MAX);
    }
}
