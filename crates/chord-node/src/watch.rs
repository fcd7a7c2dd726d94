//! Watching keys through a node.

use chord_kv::Version;
use chord_kv::replication::{Filter, Happened, Seen};
use tokio::sync::mpsc;

use crate::shared::{Shared, Stage};

/// What waits for one who watches, at most: what a busy prefix brings while a client reads slowly. When more comes, it is told
/// that it has missed something.
pub(crate) const WAITING_MAX: usize = 1024;

/// Changes of keys, as they happen, wherever in the ring the keys lie. Ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: mpsc::Receiver<Seen>,
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
        self.seen.recv().await
    }

    /// The same, if it is there already.
    pub fn next_now(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }
}

impl Shared {
    /// Begins to watch. `since` is the last change of a single key that is known: what came after it is told, or that
    /// something was missed.
    pub(crate) fn watch(
        &self,
        filter: Filter,
        since: Option<(Version, Happened)>,
    ) -> Result<Watch, WatchError> {
        if !self.view().is_member() {
            return Err(WatchError::NotMember);
        }
        if self.stage() != Stage::Running {
            return Err(WatchError::Busy);
        }
        let (sender, seen) = mpsc::channel(WAITING_MAX);
        let limit = self.limits.watches_at_once();
        match self.records.watch(filter, since, sender, limit) {
            Some(true) => Ok(Watch { seen }),
            Some(false) => Err(WatchError::TooMany { limit }),
            None => Err(WatchError::Busy),
        }
    }
}
