//! The whole ring as this node sees it: it asks every node that anybody names, and keeps what each says of itself.
//!
//! It does so only while somebody looks, once for all who do, and so seldom that it costs nobody much. What the nodes say
//! is believed of themselves alone.

mod ask;
mod left_out;
mod patience;
mod round;
mod turns;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_ring::NodeName;
use chord_wire::rest::{BEAT_PAUSE, FoundBody, PictureBody, RingHealth, SeenText, picture_event};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::links::lock;
use crate::shared::Shared;

pub(crate) use ask::ask_once;

/// Who may look at a time through one node. Each holds a connection, and costs as much as writing down what changes.
const LOOKS_MAX: usize = 64;

/// The ring at one moment.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// When it was made, in milliseconds since 1970; 0 before anything was seen.
    at_ms: u64,
    /// What is seen of each node, written down.
    nodes: BTreeMap<NodeName, SeenText>,
    /// How many were left out.
    left_out: u64,
    /// How long it is until the next.
    pause: Duration,
    /// Whether everybody has been asked.
    has_asked_all: bool,
    /// How the ring is.
    health: RingHealth,
    /// What follows from what all nodes say.
    found: FoundBody,
}

/// Looks at the ring while somebody wants to see it.
#[derive(Debug)]
pub(crate) struct Crawler {
    pictures: watch::Sender<Arc<Picture>>,
    seats: Arc<Semaphore>,
    /// Whether it looks now. Held while it is decided whether to begin or to end.
    is_at_work: Mutex<bool>,
    /// Who told of itself when somebody looked before, and when last: at most as many as a picture has.
    heard: Mutex<BTreeMap<NodeName, Instant>>,
    /// Bytes of pictures that were shown and are not read yet, without those that are small.
    pub(crate) unread_bytes: AtomicUsize,
}

impl Default for Crawler {
    fn default() -> Self {
        Self {
            pictures: watch::Sender::default(),
            seats: Arc::new(Semaphore::new(LOOKS_MAX)),
            is_at_work: Mutex::new(false),
            heard: Mutex::default(),
            unread_bytes: AtomicUsize::new(0),
        }
    }
}

impl Crawler {
    /// Ends the work if nobody looks any more, and keeps who was heard for those who look again. Returns whether it did.
    fn ends(&self, heard: impl FnOnce() -> BTreeMap<NodeName, Instant>) -> bool {
        let mut is_at_work = lock(&self.is_at_work);
        if self.pictures.receiver_count() > 0 {
            return false;
        }
        *is_at_work = false;
        *lock(&self.heard) = heard();
        self.pictures.send_replace(Arc::default());
        true
    }
}

/// Somebody who looks at the ring. What it is shown is the last picture, however long ago it looked before.
pub(crate) struct Look {
    shared: Arc<Shared>,
    pictures: watch::Receiver<Arc<Picture>>,
    /// What it has been shown.
    last: Option<Arc<Picture>>,
    _seat: OwnedSemaphorePermit,
}

impl Shared {
    /// Begins to look at the ring; `None` if as many do already as may.
    pub(crate) fn look(self: &Arc<Self>) -> Option<Look> {
        let seat = self.crawler.seats.clone().try_acquire_owned().ok()?;
        let mut is_at_work = lock(&self.crawler.is_at_work);
        let pictures = self.crawler.pictures.subscribe();
        if !std::mem::replace(&mut *is_at_work, true) {
            self.runtimes.home().spawn(round::crawl(self.clone()));
        }
        Some(Look { shared: self.clone(), pictures, last: None, _seat: seat })
    }
}

impl Look {
    /// The next event for which `hold` finds room: first the whole ring, then what has changed. A picture for which there is
    /// none is passed over, and the next one is told with all that is new since the last that was. May be dropped at any
    /// point.
    pub(crate) async fn next<T>(&mut self, hold: impl Fn(Vec<u8>) -> Option<T>) -> Option<T> {
        loop {
            let picture = self.pictures.wait_for(|picture| picture.at_ms > 0).await.ok()?.clone();
            let last = self.last.clone();
            if let Some(event) = self.show(&picture) {
                let shown = hold(event);
                if shown.is_some() {
                    return shown;
                }
                self.last = last;
                // Who does not read would have a whole ring written for nothing, with each picture.
                tokio::time::sleep(BEAT_PAUSE).await;
            }
            self.pictures.changed().await.ok()?;
        }
    }

    /// What is new in a picture, as an event.
    fn show(&mut self, picture: &Arc<Picture>) -> Option<Vec<u8>> {
        let last = self.last.replace(picture.clone());
        let before = |name: &NodeName| last.as_ref().and_then(|last| last.nodes.get(name));
        let is_news = |name: &NodeName, node: &SeenText| before(name).is_none_or(|before| before != node);
        let news = picture.nodes.iter().filter(|(name, node)| is_news(name, node));
        let nodes: Vec<&SeenText> = news.map(|(_, node)| node).collect();
        let former = last.iter().flat_map(|last| last.nodes.keys());
        let gone: Vec<&str> =
            former.filter(|name| !picture.nodes.contains_key(*name)).map(NodeName::as_str).collect();
        let is_same = last.as_ref().is_some_and(|last| {
            (last.left_out, last.pause, last.has_asked_all, &last.health, &last.found)
                == (picture.left_out, picture.pause, picture.has_asked_all, &picture.health, &picture.found)
        });
        if is_same && nodes.is_empty() && gone.is_empty() {
            return None;
        }
        let body = PictureBody {
            seen_by: self.shared.me.name.as_str(),
            at_ms: picture.at_ms,
            nodes,
            gone,
            left_out: picture.left_out,
            pause_ms: ms(picture.pause),
            has_asked_all: picture.has_asked_all,
            beat_ms: ms(BEAT_PAUSE),
            health: &picture.health,
            found: &picture.found,
        };
        Some(picture_event(last.is_none(), &body))
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
