//! Feeds: the owner's side of watching. Who wants to hear of changes of this node's keys, and what they have not heard yet.
//!
//! A change is told when it can be seen: when enough copies of it are made, or when it came from another node to the owner,
//! or when its time has come. Whoever watches repeats what it wants every second, and is forgotten when it does not. A feed
//! ends when another node may have owned some of the range for a while: then whoever watches begins anew, and knows
//! that it may have missed something.
//!
//! Who watches is a name in a message, which anybody can have written. So before it is told of the first change, it is asked
//! whether it wants to hear of any.

mod telling;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer, Position};

use super::holdings::is_within;
use super::message::{
    AnswerBody, Current, Delivery, Denial, Filter, Happened, Header, INTERESTS_MAX, Interest,
    MESSAGE_BYTES_MAX, NOTICES_MAX, Notice, PeerRequest, Reception, Subscribed,
};
use super::sync::PAGE;
use super::tenure::Epoch;
use super::{Purpose, Replicator};
use crate::{Cursor, Key, Range, Record, Version};
use telling::Telling;

/// Interests of others that a node serves, at most.
pub const SUBSCRIPTIONS_MAX: usize = 16 << 10;

/// Changes that wait for one who watches, at most: what a few seconds of a busy prefix bring. Older ones are missed then, and
/// it is told so.
pub const UNHEARD_MAX: usize = 4096;

/// Bytes of changes that wait for all who watch, unless told otherwise, at most and by one of each: more than a ring that is not cut ever leaves
/// waiting. Beyond it the oldest of whoever is told something new are missed.
pub const UNHEARD_BYTES_MAX: usize = 64 << 20;

/// After so long without a word of who watches it is forgotten: several repetitions may be lost.
pub const INTEREST_LAPSES_AFTER: Duration = Duration::from_secs(10);

/// Pause before changes are told again that did not arrive.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How often in a row one is asked, at most, who has not said yet that it wants to hear: a message that names a node which
/// watches nothing has no more messages sent to it than these.
const CONFIRMATIONS_MAX: u32 = 3;

/// Records whose time will come and that somebody watches, of which a node knows at once. If there are more, the rest is
/// looked for when these are fewer.
const DUE_MAX: usize = 64 << 10;

/// Pages of the store that are looked through at a tick for what will expire: a millisecond's work in memory.
const PAGES_AT_ONCE: usize = 16;

/// Records that expire and are told of at one tick, at most: a few milliseconds' work in memory.
const EXPIRIES_AT_ONCE: usize = 2048;

/// When a record goes, in milliseconds since 1970, and which.
type Due = (u64, Position, Key);

/// Names an interest: who watches, and its number for it.
type Name = (NodeName, u64);

#[derive(Debug)]
struct Subscription {
    watcher: Peer,
    filter: Filter,
    began: Version,
    /// What was not heard yet, oldest first.
    unheard: VecDeque<Notice>,
    /// How many changes there have been.
    count: u64,
    heard_at: Duration,
    /// Whether the watcher has said itself that it wants to hear of it.
    is_confirmed: bool,
}

/// What was told of an interest: its number, since when it is known, and the number of the last change.
pub(super) type Told = (u64, Version, u64);

/// All that others want to hear of this node.
#[derive(Debug, Default)]
pub(super) struct Feed {
    subscriptions: BTreeMap<Name, Subscription>,
    of_keys: BTreeMap<Key, BTreeSet<Name>>,
    of_prefixes: BTreeSet<Name>,
    /// Those who have not heard everything, and what is under way to them.
    waiting: BTreeMap<NodeName, Telling>,
    /// Bytes of what was not heard yet.
    unheard_bytes: usize,
    lapses_looked_for_at: Duration,
    due: BTreeSet<Due>,
    /// From where on what is due was left out, since it was too much.
    cut: Option<Due>,
    search: Search,
    /// In which tenure of the node it began.
    epoch: Option<Epoch>,
    /// The range that the node had last.
    range: Option<Range>,
}

/// A way through the range, to find what will expire and somebody watches.
#[derive(Debug, Default)]
struct Search {
    /// How often it is still to come to the end.
    laps: u8,
    cursor: Option<Cursor>,
    /// Since when what expires is to be told of those who were not looked for yet, in milliseconds since 1970.
    since_ms: u64,
}

impl Search {
    /// All of the range is to be looked through from now on. A lap that is under way comes to its end first, so that those
    /// who begin to watch again and again keep no part from being reached.
    fn begin(&mut self, since_ms: u64) {
        if self.laps == 0 {
            *self = Self { laps: 1, cursor: None, since_ms };
        } else {
            (self.laps, self.since_ms) = (2, self.since_ms.min(since_ms));
        }
    }

    /// It has come so far; `None` is the end.
    fn goes_on(&mut self, cursor: Option<Cursor>) {
        self.laps -= u8::from(cursor.is_none() && self.laps > 0);
        self.cursor = cursor;
    }
}

/// What a change that waits costs, in bytes, about.
fn cost(notice: &Notice) -> usize {
    notice.key.as_bytes().len() + 128
}

impl Filter {
    /// Whether it is about that key.
    pub fn is_about(&self, key: &Key) -> bool {
        match self {
            Self::Key(wanted) => wanted == key,
            Self::Prefix(prefix) => key.as_bytes().starts_with(prefix),
        }
    }
}

impl Feed {
    fn add(&mut self, name: Name, subscription: Subscription, now_ms: u64) {
        match &subscription.filter {
            Filter::Key(key) => drop(self.of_keys.entry(key.clone()).or_default().insert(name.clone())),
            Filter::Prefix(_) => {
                self.of_prefixes.insert(name.clone());
                self.search.begin(now_ms);
            }
        }
        self.subscriptions.insert(name, subscription);
    }

    fn remove(&mut self, name: &Name) {
        let Some(Subscription { filter, unheard, .. }) = self.subscriptions.remove(name) else { return };
        if let Some(telling) = self.waiting.get_mut(&name.0) {
            telling.forget(name.1);
        }
        self.unheard_bytes -= unheard.iter().map(cost).sum::<usize>();
        match filter {
            Filter::Key(key) => {
                if let Some(names) = self.of_keys.get_mut(&key) {
                    names.remove(name);
                    if names.is_empty() {
                        self.of_keys.remove(&key);
                    }
                }
            }
            Filter::Prefix(_) => drop(self.of_prefixes.remove(name)),
        }
    }

    /// Whose interest a key is.
    fn names_of(&self, key: &Key) -> Vec<Name> {
        let of_prefix = self.of_prefixes.iter().filter(|name| {
            self.subscriptions.get(name).is_some_and(|subscription| subscription.filter.is_about(key))
        });
        self.of_keys.get(key).into_iter().flatten().chain(of_prefix).cloned().collect()
    }

    fn note(&mut self, names: &[Name], notice: &Notice, bytes_max: usize) {
        for name in names {
            let Some(subscription) = self.subscriptions.get_mut(name) else { continue };
            let unheard = &mut subscription.unheard;
            while unheard.len() >= UNHEARD_MAX || self.unheard_bytes >= bytes_max {
                let Some(oldest) = unheard.pop_front() else { break };
                self.unheard_bytes -= cost(&oldest);
            }
            self.unheard_bytes += cost(notice);
            unheard.push_back(notice.clone());
            subscription.count += 1;
            let watcher = &subscription.watcher;
            let telling = self.waiting.entry(watcher.name.clone());
            telling.or_insert_with(|| Telling::new(watcher.clone())).add(name.1);
        }
    }

    /// That a record will go by itself, and when.
    fn note_due(&mut self, record: &Record) {
        let Some(at_ms) = record.expires_at_ms.filter(|_| !record.is_tombstone()) else { return };
        let due = (at_ms, record.position, record.key.clone());
        if self.cut.as_ref().is_some_and(|cut| due >= *cut) {
            return; // It is looked for when there is room again.
        }
        self.due.insert(due);
        if self.due.len() > DUE_MAX {
            self.cut = self.due.pop_last();
        }
    }

    /// Whether it may be that nobody was told yet that a record has gone by itself. Whoever is told twice passes over it.
    fn takes_due(&mut self, record: &Record) -> bool {
        let Some(at_ms) = record.expires_at_ms.filter(|_| !record.is_tombstone()) else { return false };
        let due = (at_ms, record.position, record.key.clone());
        let is_sought = self.search.laps > 0 && at_ms > self.search.since_ms;
        self.due.remove(&due) || is_sought || self.cut.as_ref().is_some_and(|cut| due >= *cut)
    }

    fn forget_lapsed(&mut self, now: Duration) {
        if now.saturating_sub(self.lapses_looked_for_at) < INTEREST_LAPSES_AFTER / 10 {
            return;
        }
        self.lapses_looked_for_at = now;
        let is_lapsed = |heard_at: Duration| now.saturating_sub(heard_at) > INTEREST_LAPSES_AFTER;
        let lapsed = self.subscriptions.iter().filter(|(_, subscription)| is_lapsed(subscription.heard_at));
        for name in lapsed.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.remove(&name);
        }
    }

    /// What one who watches has not heard yet, as much as one message may tell; of what it has not said yet that it wants to
    /// hear, only that there is something.
    fn deliveries_to(&self, telling: &Telling, now: Duration) -> Vec<Delivery> {
        let (mut left, mut bytes) = (NOTICES_MAX, 0);
        let mut deliveries = Vec::new();
        for id in telling.turns(now) {
            let Some(subscription) = self.subscriptions.get(&(telling.watcher.name.clone(), id)) else {
                continue;
            };
            let Subscription { began, unheard, count, is_confirmed, .. } = subscription;
            let fitting = unheard.iter().take(if *is_confirmed { left } else { 0 }).take_while(|notice| {
                bytes += notice.key.as_bytes().len();
                bytes <= MESSAGE_BYTES_MAX
            });
            let notices: Vec<Notice> = fitting.cloned().collect();
            left -= notices.len();
            if !notices.is_empty() || !is_confirmed {
                let first = count - unheard.len() as u64 + 1;
                deliveries.push(Delivery { id, began: *began, first, notices });
            }
            if left == 0 || bytes > MESSAGE_BYTES_MAX || deliveries.len() >= INTERESTS_MAX {
                break;
            }
        }
        deliveries
    }

    /// What came of what one was told who watches.
    fn received(&mut self, watcher: &NodeName, told: &[Told], receptions: &[Reception], now: Duration) {
        for ((id, began, up_to), reception) in told.iter().zip(receptions) {
            let name = (watcher.clone(), *id);
            let Some(subscription) = self.subscriptions.get_mut(&name).filter(|known| known.began == *began)
            else {
                continue;
            };
            let Some(telling) = self.waiting.get_mut(watcher) else { return };
            telling.had_its_turn(*id);
            match reception {
                Reception::Heard => {
                    subscription.is_confirmed = true;
                    let before = subscription.count - subscription.unheard.len() as u64;
                    let n_heard = usize::try_from(up_to.saturating_sub(before)).unwrap_or(usize::MAX);
                    let n_heard = n_heard.min(subscription.unheard.len());
                    self.unheard_bytes -=
                        subscription.unheard.drain(..n_heard).map(|notice| cost(&notice)).sum::<usize>();
                    if subscription.unheard.is_empty() {
                        telling.forget(*id);
                    }
                }
                Reception::Early => telling.hold(*id, now + RETRY_PAUSE),
                Reception::Unwanted => self.remove(&name),
            }
        }
    }

    /// Forgets what one is said to want who does not say so itself.
    fn forget_unconfirmed(&mut self, watcher: &NodeName) {
        let names = (watcher.clone(), 0)..=(watcher.clone(), u64::MAX);
        let unconfirmed = self.subscriptions.range(names).filter(|(_, known)| !known.is_confirmed);
        for name in unconfirmed.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.remove(&name);
        }
    }
}

impl Replicator {
    /// Somebody watches keys of this node, and says so again and again.
    pub(super) fn subscribe(&mut self, from: &Peer, interests: Vec<Interest>) -> Result<AnswerBody, Denial> {
        if interests.len() > INTERESTS_MAX {
            return Err(Denial::Senseless);
        }
        self.follow_range_with_feed();
        let range = self.tenure.range().filter(|_| !self.is_closing()).ok_or(Denial::NotOwner)?;
        let subscribed = interests.into_iter().filter_map(|interest| self.take_interest(from, interest));
        Ok(AnswerBody::Watched { range, subscribed: subscribed.collect() })
    }

    /// `None` if the key is not this node's, or if there are too many already.
    fn take_interest(&mut self, from: &Peer, Interest { id, filter }: Interest) -> Option<Subscribed> {
        let name = (from.name.clone(), id);
        let current = match &filter {
            Filter::Key(key) if self.answers_for_key(key) => Some(self.current(key)?),
            Filter::Key(_) => return None,
            Filter::Prefix(_) => None,
        };
        if self.feed.subscriptions.get(&name).is_some_and(|known| known.filter != filter) {
            self.feed.remove(&name);
        }
        if let Some(known) = self.feed.subscriptions.get_mut(&name) {
            known.heard_at = self.now.elapsed;
            return Some(Subscribed { id, began: known.began, current });
        }
        if self.feed.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let began = self.clock.next(self.now.wall_ms, self.me.position);
        let heard_at = self.now.elapsed;
        let unheard = VecDeque::new();
        let watcher = from.clone();
        let is_confirmed = false;
        let subscription = Subscription { watcher, filter, began, unheard, count: 0, heard_at, is_confirmed };
        self.feed.add(name, subscription, self.now.wall_ms);
        Some(Subscribed { id, began, current })
    }

    fn answers_for_key(&self, key: &Key) -> bool {
        self.tenure.answers_for(key.position(self.settings.size))
    }

    /// What is under a key of this node now, and that its time will come.
    fn current(&mut self, key: &Key) -> Option<Current> {
        let position = key.position(self.settings.size);
        if !self.has_newest(position, key) {
            return Some(Current::Unknown);
        }
        match self.store.read(position, key) {
            Ok(record) => {
                if let Some(record) = &record {
                    self.feed.note_due(record);
                }
                Some(Current::Known(record.as_ref().map(Header::from)))
            }
            Err(error) => {
                self.report(error);
                None
            }
        }
    }

    /// A record of this node's range can be seen from now on.
    pub(super) fn note_change(&mut self, record: &Record) {
        if self.feed.subscriptions.is_empty() {
            return;
        }
        // What came before, from another owner, would be said to be missed too late.
        self.follow_range_with_feed();
        let names = self.feed.names_of(&record.key);
        if names.is_empty() {
            return;
        }
        let happened = match (record.is_tombstone(), record.is_expired(self.now.wall_ms)) {
            (true, _) => Happened::Deleted,
            (false, true) => Happened::Expired,
            (false, false) => Happened::Set,
        };
        let notice = Notice { key: record.key.clone(), version: record.version, happened };
        self.feed.note(&names, &notice, self.settings.unheard_bytes_max);
        if happened == Happened::Set {
            self.feed.note_due(record);
        }
    }

    /// A record will be replaced. Its time may have come, and nobody may have been told of that yet.
    pub(super) fn note_expiry_of(&mut self, replaced: &Record) {
        if self.feed.subscriptions.is_empty() || !replaced.is_expired(self.now.wall_ms) {
            return;
        }
        self.follow_range_with_feed();
        if self.feed.takes_due(replaced) {
            self.note_change(replaced);
        }
    }

    /// Those records of this node's range, of others, that somebody watches, and which will replace what is here.
    pub(super) fn watched_of(&mut self, records: &[Record]) -> Vec<Record> {
        // What is found while the node takes over was there before.
        if self.feed.subscriptions.is_empty() || !self.tenure.is_complete() {
            return Vec::new();
        }
        let is_watched = |record: &&Record| !self.feed.names_of(&record.key).is_empty();
        let watched: Vec<Record> = records.iter().filter(is_watched).cloned().collect();
        for record in &watched {
            if let Ok(Some(here)) = self.store.read(record.position, &record.key)
                && here.version < record.version
                && self.tenure.answers_for(record.position)
            {
                self.note_expiry_of(&here);
            }
        }
        watched
    }

    /// Others had these: those are changes that were newer than what was here.
    pub(super) fn note_changes_found(&mut self, records: &[Record]) {
        for record in records {
            if self.tenure.answers_for(record.position)
                && self
                    .store
                    .read(record.position, &record.key)
                    .is_ok_and(|kept| kept.as_ref() == Some(record))
            {
                self.note_change(record);
            }
        }
    }

    /// The range may be another one. Of what has come to it, others may have told changes before, to nobody here.
    pub(super) fn follow_range_with_feed(&mut self) {
        let (epoch, range) = (Some(self.tenure.epoch()), self.tenure.range());
        let has_grown = range.is_some_and(|now| self.feed.range.is_none_or(|before| !is_within(now, before)));
        #[cfg(feature = "defects")]
        let (has_grown, epoch) = if self.settings.has(super::Defect::HidesGaps) {
            (false, self.feed.epoch)
        } else {
            (has_grown, epoch)
        };
        if has_grown || self.feed.epoch != epoch {
            self.feed = Feed { epoch, ..Feed::default() };
        }
        self.feed.range = range;
    }

    pub(super) fn drive_feed(&mut self) {
        self.feed.forget_lapsed(self.now.elapsed);
        if self.feed.subscriptions.is_empty() {
            // Who watches next is told nothing of what expired before.
            self.feed.due.clear();
            self.feed.cut = None;
            self.feed.search = Search::default();
            return;
        }
        self.search_for_due();
        self.note_expired();
        self.tell_watchers();
    }

    /// Looks through a part of the range for what will expire and somebody watches.
    fn search_for_due(&mut self) {
        if self.feed.due.len() < DUE_MAX / 2
            && let Some((at_ms, ..)) = self.feed.cut.take()
        {
            self.feed.search.begin(at_ms.saturating_sub(1));
        }
        let Some(range) = self.tenure.range() else { return };
        for _ in 0..PAGES_AT_ONCE {
            if self.feed.search.laps == 0 {
                return;
            }
            let cursor = self.feed.search.cursor.take().filter(|cursor| range.contains(cursor.position));
            let page = match self.store.range(&range, cursor.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => {
                    self.feed.search.cursor = cursor;
                    return self.report(error);
                }
            };
            // What has expired since somebody began to watch is told now.
            let since_ms = self.feed.search.since_ms;
            let mortal =
                page.records.iter().filter(|record| record.expires_at_ms.is_some_and(|at| at > since_ms));
            for record in mortal {
                if !self.feed.names_of(&record.key).is_empty() {
                    self.feed.note_due(record);
                }
            }
            self.feed.search.goes_on(page.next);
        }
    }

    /// Tells of those whose time has come.
    fn note_expired(&mut self) {
        for _ in 0..EXPIRIES_AT_ONCE {
            if self.feed.due.first().is_none_or(|(at_ms, ..)| *at_ms > self.now.wall_ms) {
                return;
            }
            let Some((at_ms, position, key)) = self.feed.due.pop_first() else { return };
            let stored = match self.store.read(position, &key) {
                Ok(stored) => stored,
                Err(error) => {
                    self.feed.due.insert((at_ms, position, key));
                    return self.report(error);
                }
            };
            let is_it = |record: &Record| record.expires_at_ms == Some(at_ms) && !record.is_tombstone();
            if let Some(record) = stored.filter(is_it).filter(|_| self.tenure.answers_for(position)) {
                self.note_change(&record);
            }
        }
    }

    /// Sends what is unheard to those for whom nothing is under way.
    pub(super) fn tell_watchers(&mut self) {
        let now = self.now.elapsed;
        let due = self.feed.waiting.values().filter(|telling| telling.is_due(now));
        for watcher in due.map(|telling| telling.watcher.clone()).collect::<Vec<_>>() {
            self.tell(&watcher);
        }
    }

    fn tell(&mut self, watcher: &Peer) {
        let now = self.now.elapsed;
        while let Some(telling) = self.feed.waiting.get(&watcher.name) {
            let deliveries = self.feed.deliveries_to(telling, now);
            let Some(telling) = self.feed.waiting.get_mut(&watcher.name) else { return };
            if deliveries.is_empty() {
                if telling.pauses(now) {
                    self.feed.waiting.remove(&watcher.name);
                }
                return;
            }
            let told: Vec<Told> =
                deliveries.iter().map(|delivery| (delivery.id, delivery.began, delivery.last())).collect();
            if *watcher != self.me {
                telling.is_under_way = true;
                return self.send(watcher, PeerRequest::Notify { deliveries }, Purpose::Notify(told));
            }
            match self.hear_notices(watcher, deliveries) {
                Ok(receptions) => self.feed.received(&watcher.name, &told, &receptions, now),
                Err(_) => return self.tell_later(&watcher.name),
            }
        }
    }

    /// What was told did not arrive.
    fn tell_later(&mut self, watcher: &NodeName) {
        let Some(telling) = self.feed.waiting.get_mut(watcher) else { return };
        telling.failed(self.now.elapsed + RETRY_PAUSE);
        if telling.failures >= CONFIRMATIONS_MAX {
            self.feed.forget_unconfirmed(watcher);
        }
    }

    pub(super) fn heard_notified(
        &mut self,
        peer: &Peer,
        told: &[Told],
        answer: &Result<AnswerBody, Failure>,
    ) {
        let Ok(AnswerBody::Notified(receptions)) = answer else { return self.tell_later(&peer.name) };
        let Some(telling) = self.feed.waiting.get_mut(&peer.name) else { return };
        if receptions.len() != told.len() {
            return self.tell_later(&peer.name);
        }
        telling.arrived();
        self.feed.received(&peer.name, told, receptions, self.now.elapsed);
        self.tell(peer);
    }
}

#[cfg(test)]
mod tests;
