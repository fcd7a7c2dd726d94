//! Those who watch keys through this node, and what is on its way to them.

use std::collections::{HashMap, VecDeque};

use chord_kv::Range;
use chord_kv::replication::{INTEREST_LAPSES_AFTER, Seen, WatchId};
use tokio::time::Instant;

use crate::watch::{Teller, Untold};

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
    teller: Teller,
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

    pub(super) fn add(&mut self, teller: Teller) -> WatchId {
        self.next = self.next.wrapping_add(1);
        let id = WatchId(self.next);
        self.live.insert(id, Watcher { teller, has_missed: false });
        id
    }

    pub(super) fn tell(&mut self, id: WatchId, seen: Seen, everything: Range) {
        let watches = self.live.len();
        if let Some(watcher) = self.live.get_mut(&id) {
            watcher.tell(Some(seen), everything, watches);
        }
    }

    /// Tells those who read too slowly, as far as they have room by now. Returns whose clients have gone.
    pub(super) fn tidy(&mut self, everything: Range) -> Vec<WatchId> {
        let gone: Vec<WatchId> =
            self.live.iter().filter(|(_, watcher)| watcher.teller.has_gone()).map(|(id, _)| *id).collect();
        let now = Instant::now();
        for id in &gone {
            self.live.remove(id);
            self.ended.push_back(now);
        }
        while self.ended.front().is_some_and(|ended| now - *ended > INTEREST_LAPSES_AFTER) {
            self.ended.pop_front();
        }
        let watches = self.live.len();
        for watcher in self.live.values_mut() {
            watcher.tell(None, everything, watches);
        }
        gone
    }
}

impl Watcher {
    fn tell(&mut self, seen: Option<Seen>, everything: Range, watches: usize) {
        let missed = self.has_missed.then_some(Seen::Missed(everything));
        for seen in missed.into_iter().chain(seen) {
            match self.teller.tell(seen, watches) {
                Ok(()) => self.has_missed = false,
                Err(Untold::Full) => {
                    self.has_missed = true;
                    return;
                }
                Err(Untold::Gone) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chord_kv::replication::{Happened, Notice};
    use chord_kv::{KEY_BYTES_MAX, Key, Version};

    use super::*;
    use crate::watch::{WAITING_BYTES_MAX, WAITING_MAX, watch};

    fn everything() -> Range {
        Range::whole_from(5.into())
    }

    #[test]
    fn one_who_reads_too_slowly_is_told_once_and_before_all_that_follows() {
        let (teller, mut seen) = watch(&Arc::default(), WAITING_BYTES_MAX);
        let mut watchers = Watchers::new();
        let id = watchers.add(teller);
        for _ in 0..WAITING_MAX + 5 {
            watchers.tell(id, Seen::Watching, everything());
        }
        for _ in 0..2 {
            assert_eq!(seen.next_now(), Some(Seen::Watching));
        }
        assert!(watchers.tidy(everything()).is_empty());
        watchers.tell(id, Seen::Watching, everything());
        for _ in 2..WAITING_MAX {
            assert_eq!(seen.next_now(), Some(Seen::Watching));
        }
        assert_eq!(seen.next_now(), Some(Seen::Missed(everything())));
        assert_eq!(seen.next_now(), Some(Seen::Watching));
        drop(seen);
        assert_eq!(watchers.tidy(everything()), [id]);
        assert!(watchers.have_room(1), "another may take its place at once");
        for _ in 1..ENDED_MIN {
            watchers.add(watch(&Arc::default(), WAITING_BYTES_MAX).0);
        }
        watchers.tidy(everything());
        assert!(!watchers.have_room(1), "owners know so many still");
    }

    #[test]
    fn those_who_read_slowly_have_a_budget_together_and_keep_nothing_from_those_who_read() {
        let all = Arc::new(AtomicUsize::new(0));
        let mut watchers = Watchers::new();
        let mut add = || {
            let (teller, watch) = watch(&all, WAITING_BYTES_MAX);
            (watchers.add(teller), watch)
        };
        let slow: Vec<_> = (0..40).map(|_| add()).collect();
        let (reads, mut reader) = add();
        let key = Key::new(&[b'k'; KEY_BYTES_MAX]).unwrap();
        let happened = Happened::Set;
        for count in 0..WAITING_MAX as u64 {
            let notice = Notice { key: key.clone(), version: Version::new(count, 0, 5.into()), happened };
            let seen = Seen::Changed(notice);
            for (id, _) in &slow {
                watchers.tell(*id, seen.clone(), everything());
            }
            watchers.tell(reads, seen.clone(), everything());
            assert_eq!(reader.next_now(), Some(seen));
        }
        let waiting = all.load(Ordering::Relaxed);
        assert!((WAITING_BYTES_MAX / 2..2 * WAITING_BYTES_MAX).contains(&waiting), "{waiting} bytes");
        for (_, mut watch) in slow {
            let mut last = None;
            for _ in 0..2 {
                last = std::iter::from_fn(|| watch.next_now()).last().or(last);
                watchers.tidy(everything());
            }
            assert_eq!(last, Some(Seen::Missed(everything())), "and it is told so");
        }
        assert_eq!(all.load(Ordering::Relaxed), 0, "whoever has gone leaves nothing");
    }
}
