//! Those who watch keys through this node, and what is on its way to them.

use std::collections::{HashMap, VecDeque};

use chord_kv::Range;
use chord_kv::replication::{INTEREST_LAPSES_AFTER, Seen, WatchId};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// Watches that may have ended a moment ago, at least, before another may begin.
const ENDED_MIN: usize = 256;

/// All of them.
pub(super) struct Watchers {
    live: HashMap<WatchId, Watcher>,
    /// When those ended that owners still know.
    ended: VecDeque<Instant>,
    next: u64,
}

struct Watcher {
    sender: Sender<Seen>,
    /// It read too slowly, and has not been told so yet.
    has_missed: bool,
}

impl Watchers {
    pub(super) fn new() -> Self {
        // An owner may still know those of this node's last life.
        Self { live: HashMap::new(), ended: VecDeque::new(), next: rand::random() }
    }

    /// Whether one more may be added, of so many at a time. As many again, and a few where these are few, may have ended a
    /// moment ago, whom owners go on to know for a while.
    pub(super) fn have_room(&self, limit: usize) -> bool {
        self.live.len() < limit && self.ended.len() < limit.max(ENDED_MIN)
    }

    pub(super) fn add(&mut self, sender: Sender<Seen>) -> WatchId {
        self.next = self.next.wrapping_add(1);
        let id = WatchId(self.next);
        self.live.insert(id, Watcher { sender, has_missed: false });
        id
    }

    pub(super) fn tell(&mut self, id: WatchId, seen: Seen, everything: Range) {
        if let Some(watcher) = self.live.get_mut(&id) {
            watcher.tell(Some(seen), everything);
        }
    }

    /// Tells those who read too slowly, as far as they have room by now. Returns whose clients have gone.
    pub(super) fn tidy(&mut self, everything: Range) -> Vec<WatchId> {
        let gone: Vec<WatchId> =
            self.live.iter().filter(|(_, watcher)| watcher.sender.is_closed()).map(|(id, _)| *id).collect();
        let now = Instant::now();
        for id in &gone {
            self.live.remove(id);
            self.ended.push_back(now);
        }
        while self.ended.front().is_some_and(|ended| now - *ended > INTEREST_LAPSES_AFTER) {
            self.ended.pop_front();
        }
        for watcher in self.live.values_mut() {
            watcher.tell(None, everything);
        }
        gone
    }
}

impl Watcher {
    fn tell(&mut self, seen: Option<Seen>, everything: Range) {
        let missed = self.has_missed.then_some(Seen::Missed(everything));
        for seen in missed.into_iter().chain(seen) {
            match self.sender.try_send(seen) {
                Ok(()) => self.has_missed = false,
                Err(TrySendError::Full(_)) => {
                    self.has_missed = true;
                    return;
                }
                Err(TrySendError::Closed(_)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn one_who_reads_too_slowly_is_told_once_and_before_all_that_follows() {
        let everything = Range { after: 5.into(), up_to: 5.into() };
        let (sender, mut seen) = mpsc::channel(2);
        let mut watchers = Watchers::new();
        let id = watchers.add(sender);
        for _ in 0..5 {
            watchers.tell(id, Seen::Watching, everything);
        }
        assert_eq!([seen.try_recv(), seen.try_recv()], [Ok(Seen::Watching), Ok(Seen::Watching)]);
        assert!(watchers.tidy(everything).is_empty());
        watchers.tell(id, Seen::Watching, everything);
        assert_eq!(seen.try_recv(), Ok(Seen::Missed(everything)));
        assert_eq!(seen.try_recv(), Ok(Seen::Watching));
        drop(seen);
        assert_eq!(watchers.tidy(everything), [id]);
        assert!(watchers.have_room(1), "another may take its place at once");
        for _ in 1..ENDED_MIN {
            watchers.add(mpsc::channel(1).0);
        }
        watchers.tidy(everything);
        assert!(!watchers.have_room(1), "owners know so many still");
    }
}
