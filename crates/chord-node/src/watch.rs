//! Watching keys through a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chord_kv::replication::{Filter, Seen, Since};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::shared::{Shared, Stage};

/// What waits for one who watches, at most: what a busy prefix brings while a client reads slowly. When more comes, it is told
/// that it has missed something.
pub(crate) const WAITING_MAX: usize = 1024;

/// Bytes that wait for all who watch through a node unless told otherwise, about: as many as wait at an owner for all who
/// watch its keys. Beyond it, whoever has more than an equal part of them gets no more, so that twice as many are never
/// there, and whoever reads in time notices nothing. Without it a thousand queues of long keys would be four gigabytes.
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 20;

/// What something that waits takes beside the bytes of its key.
const WAITING_BYTES_BESIDE: usize = 256;

/// Changes of keys, as they happen, wherever in the ring the keys lie. Ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: mpsc::Receiver<Waiting>,
}

/// The other end of a [`Watch`].
#[derive(Debug)]
pub(crate) struct Teller {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Room>,
}

/// Bytes that wait.
#[derive(Debug)]
struct Room {
    own: AtomicUsize,
    /// Those of all watches.
    all: Arc<AtomicUsize>,
    /// As many as these may be.
    all_max: usize,
}

/// Something that waits, and its place.
#[derive(Debug)]
struct Waiting {
    seen: Seen,
    _place: Place,
}

#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    bytes: usize,
}

/// Why something does not wait for one who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// There is no room for it.
    Full,
    /// Nobody watches any more.
    Gone,
}

impl Place {
    fn take(room: &Arc<Room>, bytes: usize) -> Self {
        room.own.fetch_add(bytes, Ordering::Relaxed);
        room.all.fetch_add(bytes, Ordering::Relaxed);
        Self { room: room.clone(), bytes }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.own.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A watch, and how it is told what is seen. `all` counts the bytes that wait for all who watch, which may be so many.
pub(crate) fn watch(all: &Arc<AtomicUsize>, all_max: usize) -> (Teller, Watch) {
    let (waiting, seen) = mpsc::channel(WAITING_MAX);
    let room = Arc::new(Room { own: AtomicUsize::new(0), all: all.clone(), all_max });
    (Teller { waiting, room }, Watch { seen })
}

impl Teller {
    /// Tells what is seen, where so many watch.
    pub(crate) fn tell(&self, seen: Seen, watches: usize) -> Result<(), Untold> {
        let of_key = if let Seen::Changed(notice) = &seen { notice.key.as_bytes().len() } else { 0 };
        let bytes = of_key + WAITING_BYTES_BESIDE;
        let with_it = |count: &AtomicUsize| count.load(Ordering::Relaxed).saturating_add(bytes);
        let part = self.room.all_max / watches.max(1);
        if with_it(&self.room.all) > self.room.all_max && with_it(&self.room.own) > part {
            return Err(Untold::Full);
        }
        let waiting = Waiting { seen, _place: Place::take(&self.room, bytes) };
        self.waiting.try_send(waiting).map_err(|error| match error {
            TrySendError::Full(_) => Untold::Full,
            TrySendError::Closed(_) => Untold::Gone,
        })
    }

    pub(crate) fn has_gone(&self) -> bool {
        self.waiting.is_closed()
    }
}

/// Why keys cannot be watched. Trying again later helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// As many watch through this node as may.
    #[error("{limit} watches go through this node, as many as may: end some, or ask another node")]
    TooMany {
        /// How many.
        limit: usize,
    },
    /// The node is in no ring.
    #[error("this node is in no ring: ask another node, or have it join one")]
    NotMember,
    /// The node is too busy, or stopping.
    #[error("this node is too busy, or stopping: try again, or ask another node")]
    Busy,
}

impl Watch {
    /// What is seen next; `None` when the node stops. May be dropped at any point.
    pub async fn next(&mut self) -> Option<Seen> {
        self.seen.recv().await.map(|waiting| waiting.seen)
    }

    /// The same, if it is there already.
    pub fn next_now(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok().map(|waiting| waiting.seen)
    }
}

impl Shared {
    /// Begins to watch.
    pub(crate) fn watch(&self, filter: Filter, since: Since) -> Result<Watch, WatchError> {
        if !self.view().is_member() {
            return Err(WatchError::NotMember);
        }
        if self.stage() != Stage::Running {
            return Err(WatchError::Busy);
        }
        let (teller, watch) = watch(&self.watched_bytes, self.limits.watched_bytes);
        let limit = self.limits.watches_at_once();
        match self.records.watch(filter, since, teller, limit) {
            Some(true) => Ok(watch),
            Some(false) => Err(WatchError::TooMany { limit }),
            None => Err(WatchError::Busy),
        }
    }
}
