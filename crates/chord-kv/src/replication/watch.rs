//! Watching: this node's side of hearing of changes of keys, whoever owns them.
//!
//! A watch covers an arc of the ring: one position for a key, the whole circle for a prefix. Of each part of it, the owner is
//! looked up and told of the interest; it tells of the changes (`feed`). Where an owner answers that it does not know the
//! interest any more, or is another than before, something may have been missed, and the watch says so. For one key that
//! is found out: if what is there is what was heard of last, nothing was.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer, Position, RingSize};

use super::message::{
    AnswerBody, Current, Delivery, Denial, Filter, Happened, Header, INTERESTS_MAX, Interest, Notice,
    PeerRequest, Reception, Subscribed,
};
use super::{Event, Output, Purpose, Replicator, RequestId};
use crate::{Key, Range, Version};

/// How often an owner is told again of an interest: a few times before it forgets.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// Pause before an owner is looked up, or asked, again: at first, and at most after it came to nothing several times.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Keys of which a watch of many remembers the last change, so that none is told twice: an owner that has just become one
/// tells of few again.
const RECENT_MAX: usize = 4096;

/// Bytes of those keys, at most.
const RECENT_BYTES_MAX: usize = 256 << 10;

/// Owners that one watch asks, at most.
const SEGMENTS_MAX: usize = 4096;

/// After so long one that did not answer, and that nobody names as an owner, is forgotten.
const DOUBT_LASTS: Duration = Duration::from_secs(30);

/// Names a watch of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// What one who begins to watch knows of what went before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// Nothing that matters: what happens from now on is told.
    #[default]
    Now,
    /// This change of the one key, which was seen last: what came after it is told, or that something was missed. Of many
    /// keys nobody knows what came after one change, as with [`Since::Unknown`].
    Change(Version, Happened),
    /// It has watched before, and what it saw last is not known: something may have been missed.
    Unknown,
}

/// What one who watches is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// From now on nothing is missed without a word.
    Watching,
    /// This happened.
    Changed(Notice),
    /// Changes of keys in that range may have been missed.
    Missed(Range),
}

/// Something that somebody watches through this node.
#[derive(Debug)]
struct Watch {
    filter: Filter,
    /// The arc that it covers.
    arc: Range,
    is_watching: bool,
    /// Whether something may have been missed before it began.
    has_missed: bool,
    /// The last change of the one key: its version, and whether the value has gone by itself since. `None` if nothing is
    /// known, and the inner one if nothing was there.
    #[expect(clippy::option_option, reason = "it is not known, nothing, or this")]
    last: Option<Option<(Version, Happened)>>,
    /// Whether only the one who watches says so yet.
    is_claimed: bool,
    recent: Recent,
    segments: Vec<Segment>,
    /// Which part of the arc its owners leave out, as far as that is known.
    coverage: Coverage,
    finding: Option<RequestId>,
    find_at: Duration,
    /// How often in a row an owner did not answer as one.
    failures: u32,
}

/// Whether the owners of a watch tell of all of its arc. Kept, since it is asked for each interest each second, and changes
/// when the ring does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coverage {
    /// An owner has changed, or what it tells of.
    Unknown,
    Whole,
    /// That position is the first of which none tells.
    Without(Position),
}

/// An owner, and the part of the ring that it tells of.
#[derive(Debug)]
struct Segment {
    owner: Peer,
    /// Its range; `None` until it has answered.
    range: Option<Range>,
    began: Option<Version>,
    /// The number of the last change that it told.
    heard: u64,
    doubted_at: Option<Duration>,
}

/// The last changes of the keys that changed last.
#[derive(Debug, Default)]
struct Recent {
    last: BTreeMap<Key, (Version, Happened)>,
    /// Each change that was news, the last ones of some keys among them.
    order: VecDeque<(Key, (Version, Happened))>,
    bytes: usize,
}

impl Recent {
    /// Whether that is news.
    fn note(&mut self, notice: &Notice) -> bool {
        let change = (notice.version, notice.happened);
        if self.last.get(&notice.key).is_some_and(|last| *last >= change) {
            return false;
        }
        self.last.insert(notice.key.clone(), change);
        self.order.push_back((notice.key.clone(), change));
        self.bytes += notice.key.as_bytes().len();
        let is_too_much = |recent: &Self| {
            recent.last.len() > RECENT_MAX
                || recent.order.len() > 2 * RECENT_MAX
                || recent.bytes > RECENT_BYTES_MAX
        };
        while is_too_much(self) {
            let Some((key, change)) = self.order.pop_front() else { break };
            self.bytes -= key.as_bytes().len();
            if self.last.get(&key) == Some(&change) {
                self.last.remove(&key); // and if not, it has changed since
            }
        }
        true
    }
}

/// All watches of a node.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: BTreeMap<WatchId, Watch>,
    /// The owners that are asked, when to ask them next, and whether one is being asked.
    owners: BTreeMap<NodeName, Asking>,
}

#[derive(Debug, Default)]
struct Asking {
    is_under_way: bool,
    due_at: Duration,
    /// Who it is, and the range that it said last to be its own: what one watch has learnt of it serves the others.
    known: Option<(Peer, Range)>,
}

impl Watches {
    /// Who has said last that it owns that position.
    fn owner_of(&self, position: Position) -> Option<&Peer> {
        let known = self.owners.values().filter_map(|asking| asking.known.as_ref());
        known.filter(|(_, range)| range.contains(position)).map(|(owner, _)| owner).next()
    }
}

impl Watch {
    fn segment(&mut self, owner: &Peer) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.owner == *owner)
    }

    /// Whether some owner has not answered yet.
    fn awaits_an_owner(&self) -> bool {
        self.segments.iter().any(|segment| segment.range.is_none() && segment.doubted_at.is_none())
    }

    /// The first position of the arc that no owner tells of.
    fn gap(&mut self, size: RingSize) -> Option<Position> {
        if self.coverage == Coverage::Unknown {
            self.coverage = self.find_gap(size).map_or(Coverage::Whole, Coverage::Without);
        }
        match self.coverage {
            Coverage::Without(position) => Some(position),
            Coverage::Whole | Coverage::Unknown => None,
        }
    }

    fn find_gap(&self, size: RingSize) -> Option<Position> {
        let sure = self.segments.iter().filter(|segment| segment.doubted_at.is_none());
        let ranges: Vec<Range> = sure.filter_map(|segment| segment.range).collect();
        let mut reached = self.arc.after;
        for _ in 0..=ranges.len() {
            let next = size.finger_start(reached, 0);
            let Some(range) = ranges.iter().find(|range| range.contains(next)) else { return Some(next) };
            let step = Range { after: reached, up_to: range.up_to };
            if range.after == range.up_to || step.contains(self.arc.up_to) {
                return None;
            }
            reached = range.up_to;
        }
        Some(size.finger_start(reached, 0))
    }

    /// What is under the one key, where a change may have been missed. Returns what is to be told.
    fn compare(&mut self, current: Option<&Header>, now_ms: u64) -> Vec<Seen> {
        let found = current.map(|header| {
            let is_over = header.over_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            // A tombstone is over when it is written.
            let is_deleted = header.over_at_ms == Some(header.version.time_ms());
            let happened = match (is_over, is_deleted) {
                (false, _) => Happened::Set,
                (true, true) => Happened::Deleted,
                (true, false) => Happened::Expired,
            };
            (header.version, happened)
        });
        let is_claimed = std::mem::take(&mut self.is_claimed);
        let (Some(last), Filter::Key(key)) = (self.last, &self.filter) else {
            self.last = Some(found);
            return Vec::new();
        };
        // A change that nobody has, and that would hold back all that are older: something is wrong, and nobody knows what.
        let is_made_up = is_claimed
            && last.is_some_and(|(claimed, _)| match found {
                Some((version, _)) => claimed > version,
                None => claimed.time_ms() > now_ms,
            });
        let last = last.filter(|_| !is_made_up);
        let Some((version, happened)) = found else {
            if is_made_up {
                self.last = Some(None);
                return vec![Seen::Missed(self.arc)];
            }
            // It was deleted or overwritten since, or its time came, and nobody remembers that any more.
            let Some((version, Happened::Set)) = last else { return Vec::new() };
            self.last = Some(Some((version, Happened::Deleted)));
            return vec![Seen::Missed(self.arc)];
        };
        if last.is_some_and(|last| last >= (version, happened)) {
            return Vec::new();
        }
        let changed = Seen::Changed(Notice { key: key.clone(), version, happened });
        self.last = Some(found);
        match last {
            // Its time came meanwhile.
            Some((last, Happened::Set)) if last == version && happened == Happened::Expired => vec![changed],
            _ => vec![Seen::Missed(self.arc), changed],
        }
    }

    /// Whether a change is news.
    fn note(&mut self, notice: &Notice) -> bool {
        if matches!(self.filter, Filter::Prefix(_)) {
            return self.recent.note(notice);
        }
        let change = (notice.version, notice.happened);
        let is_news = self.last.flatten().is_none_or(|last| last < change);
        if is_news {
            self.last = Some(Some(change));
            self.is_claimed = false;
        }
        is_news
    }
}

impl Replicator {
    /// Somebody watches keys through this node.
    pub(super) fn begin_watching(&mut self, id: WatchId, filter: Filter, since: Since) {
        let size = self.settings.size;
        let arc = match &filter {
            Filter::Key(key) => {
                let at = key.position(size);
                Range { after: size.before(at), up_to: at }
            }
            Filter::Prefix(_) => Range::whole_from(self.me.position),
        };
        let (last, has_missed) = match (since, &filter) {
            (Since::Now, _) => (None, false),
            // No change that was told: it would hold back all that are to come.
            (Since::Change(version, _), _) if !version.is_believed(self.now.wall_ms) => (None, true),
            (Since::Change(version, happened), Filter::Key(_)) => (Some(Some((version, happened))), false),
            (Since::Change(..), Filter::Prefix(_)) | (Since::Unknown, _) => (None, true),
        };
        let watch = Watch {
            filter,
            arc,
            is_watching: false,
            has_missed,
            last,
            is_claimed: last.is_some(),
            recent: Recent::default(),
            segments: Vec::new(),
            coverage: Coverage::Unknown,
            finding: None,
            find_at: Duration::ZERO,
            failures: 0,
        };
        self.watches.watches.insert(id, watch);
        self.drive_watches();
    }

    pub(super) fn end_watching(&mut self, id: WatchId) {
        self.watches.watches.remove(&id);
    }

    /// Looks up owners, and tells them again.
    pub(super) fn drive_watches(&mut self) {
        let ids: Vec<WatchId> = self.watches.watches.keys().copied().collect();
        for id in ids {
            self.find_owner_for(id);
        }
        self.repeat_interests();
    }

    fn find_owner_for(&mut self, id: WatchId) {
        let (size, now) = (self.settings.size, self.now.elapsed);
        let Some(watch) = self.watches.watches.get_mut(&id) else { return };
        if watch.coverage == Coverage::Whole || watch.finding.is_some() || watch.find_at > now {
            return;
        }
        if watch.awaits_an_owner() {
            return;
        }
        let Some(position) = watch.gap(size) else { return };
        // What another watch was told is asked of the owner itself, as what a search has found is.
        if let Some(owner) = self.watches.owner_of(position).cloned()
            && self.watches.watches.get_mut(&id).is_some_and(|watch| watch.segment(&owner).is_none())
        {
            return self.found_feed(id, Some(owner));
        }
        let Some(watch) = self.watches.watches.get_mut(&id) else { return };
        self.requests += 1;
        let request = RequestId(self.requests);
        watch.finding = Some(request);
        self.asked.insert(request, (self.me.clone(), Purpose::FindFeed(id)));
        self.outputs.push_back(Output::FindOwner(request, position));
    }

    pub(super) fn found_feed(&mut self, id: WatchId, owner: Option<Peer>) {
        let now = self.now.elapsed;
        let Some(watch) = self.watches.watches.get_mut(&id) else { return };
        watch.finding = None;
        watch.find_at = now + RETRY_PAUSE;
        let Some(owner) = owner else { return };
        watch.coverage = Coverage::Unknown;
        if let Some(segment) = watch.segment(&owner) {
            (segment.range, segment.doubted_at) = (None, None);
        } else if watch.segments.len() < SEGMENTS_MAX {
            // The next one is looked up as soon as this one has answered.
            watch.find_at = now;
            let owner = owner.clone();
            watch.segments.push(Segment { owner, range: None, began: None, heard: 0, doubted_at: None });
        } else {
            watch.find_at = now + DOUBT_LASTS; // Some of them may be forgotten by then.
            self.outputs.push_back(Output::Event(Event::TooManyOwners(SEGMENTS_MAX)));
            return;
        }
        let interest = Interest { id: id.0, filter: watch.filter.clone() };
        let repeat_at = Asking { is_under_way: false, due_at: now + REPEAT_PAUSE, known: None };
        self.watches.owners.entry(owner.name.clone()).or_insert(repeat_at);
        self.send_interests(&owner, &[interest]);
    }

    /// Tells all owners whose turn it is what is watched of theirs.
    fn repeat_interests(&mut self) {
        let now = self.now.elapsed;
        let is_due = |asking: &Asking| !asking.is_under_way && asking.due_at <= now;
        let due: Vec<NodeName> = self
            .watches
            .owners
            .iter()
            .filter(|(_, asking)| is_due(asking))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.tell_interests(&name);
        }
    }

    fn tell_interests(&mut self, owner: &NodeName) {
        let now = self.now.elapsed;
        let mut interests = Vec::new();
        let mut peer = None;
        for (id, watch) in &self.watches.watches {
            let segment = watch.segments.iter().find(|segment| segment.owner.name == *owner);
            if let Some(segment) = segment.filter(|segment| segment.doubted_at.is_none()) {
                interests.push(Interest { id: id.0, filter: watch.filter.clone() });
                peer = Some(segment.owner.clone());
            }
        }
        let Some(peer) = peer else {
            self.watches.owners.remove(owner);
            return;
        };
        let asking = self.watches.owners.entry(owner.clone()).or_default();
        asking.due_at = now + REPEAT_PAUSE;
        asking.is_under_way = peer != self.me;
        for some in interests.chunks(INTERESTS_MAX) {
            self.send_interests(&peer, some);
        }
    }

    fn send_interests(&mut self, owner: &Peer, interests: &[Interest]) {
        let ids: Vec<u64> = interests.iter().map(|interest| interest.id).collect();
        let interests = interests.to_vec();
        if *owner == self.me {
            let answer = self.subscribe(owner, interests).unwrap_or_else(AnswerBody::Refused);
            self.heard_interests(owner, &ids, &Ok(answer));
        } else {
            self.send(owner, PeerRequest::Watch { interests }, Purpose::Watch(ids));
        }
    }

    pub(super) fn heard_watched(&mut self, peer: &Peer, ids: &[u64], answer: &Result<AnswerBody, Failure>) {
        if let Some(asking) = self.watches.owners.get_mut(&peer.name) {
            asking.is_under_way = false;
        }
        self.heard_interests(peer, ids, answer);
    }

    fn heard_interests(&mut self, owner: &Peer, ids: &[u64], answer: &Result<AnswerBody, Failure>) {
        let (range, subscribed) = match answer {
            Ok(AnswerBody::Watched { range, subscribed }) => (Some(*range), &subscribed[..]),
            _ => (None, &[][..]),
        };
        if let Some(asking) = self.watches.owners.get_mut(&owner.name) {
            asking.known = range.map(|range| (owner.clone(), range));
        }
        for id in ids {
            let known = subscribed.iter().find(|subscribed| subscribed.id == *id);
            match (range, known) {
                (Some(range), Some(subscribed)) => self.subscribed(WatchId(*id), owner, range, subscribed),
                _ => self.doubt_owner(WatchId(*id), owner),
            }
            self.find_owner_for(WatchId(*id));
        }
    }

    fn doubt_owner(&mut self, id: WatchId, owner: &Peer) {
        let now = self.now.elapsed;
        let Some(watch) = self.watches.watches.get_mut(&id) else { return };
        let pause = RETRY_PAUSE.saturating_mul(1 << watch.failures.min(8)).min(RETRY_PAUSE_MAX);
        watch.failures = watch.failures.saturating_add(1);
        watch.find_at = now + pause;
        if let Some(segment) = watch.segment(owner) {
            segment.doubted_at.get_or_insert(now);
        }
        watch.coverage = Coverage::Unknown;
        let is_fresh = |at: Duration| now.saturating_sub(at) <= DOUBT_LASTS;
        watch.segments.retain(|segment| segment.doubted_at.is_none_or(is_fresh));
    }

    fn subscribed(&mut self, id: WatchId, owner: &Peer, range: Range, subscribed: &Subscribed) {
        let (now, now_ms, size) = (self.now.elapsed, self.now.wall_ms, self.settings.size);
        let Some(watch) = self.watches.watches.get_mut(&id) else { return };
        let was_watching = watch.is_watching;
        let Some(segment) = watch.segment(owner) else { return };
        if segment.range.replace(range) != Some(range) {
            watch.coverage = Coverage::Unknown;
        }
        let Some(segment) = watch.segment(owner) else { return };
        let seen = match &subscribed.current {
            _ if segment.began == Some(subscribed.began) => Vec::new(),
            Some(Current::Unknown) => {
                self.watches.owners.entry(owner.name.clone()).or_default().due_at = now + RETRY_PAUSE;
                return;
            }
            Some(Current::Known(current)) => {
                (segment.began, segment.heard) = (Some(subscribed.began), 0);
                watch.compare(current.as_ref(), now_ms)
            }
            None => {
                (segment.began, segment.heard) = (Some(subscribed.began), 0);
                if was_watching { vec![Seen::Missed(range)] } else { Vec::new() }
            }
        };
        watch.failures = 0;
        if !was_watching && watch.gap(size).is_none() {
            watch.is_watching = true;
            self.outputs.push_back(Output::Seen(id, Seen::Watching));
            if watch.has_missed {
                self.outputs.push_back(Output::Seen(id, Seen::Missed(watch.arc)));
            }
        }
        self.outputs.extend(seen.into_iter().map(|seen| Output::Seen(id, seen)));
    }

    /// An owner tells of changes. Returns of each of its interests how that is taken.
    ///
    /// # Errors
    /// They cannot be counted.
    pub(super) fn hear_notices(
        &mut self,
        from: &Peer,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Reception>, Denial> {
        deliveries.into_iter().map(|delivery| self.hear_delivery(from, delivery)).collect()
    }

    fn hear_delivery(&mut self, from: &Peer, delivery: Delivery) -> Result<Reception, Denial> {
        let id = WatchId(delivery.id);
        let is_counted =
            delivery.first > 0 && delivery.first.checked_add(delivery.notices.len() as u64).is_some();
        if !is_counted {
            return Err(Denial::Senseless);
        }
        let Some(watch) = self.watches.watches.get_mut(&id) else { return Ok(Reception::Unwanted) };
        let Some(segment) = watch.segment(from) else { return Ok(Reception::Unwanted) };
        if segment.began != Some(delivery.began) {
            return Ok(Reception::Early);
        }
        let (heard, range) = (segment.heard, segment.range);
        segment.heard = heard.max(delivery.last());
        if delivery.first > heard + 1 && watch.is_watching {
            let missed = range.unwrap_or(watch.arc);
            self.outputs.push_back(Output::Seen(id, Seen::Missed(missed)));
        }
        for (number, notice) in (delivery.first..).zip(delivery.notices) {
            let is_news = number > heard && watch.filter.is_about(&notice.key) && watch.note(&notice);
            // What happened before all owners knew of the watch is nothing that it promised to tell.
            if is_news && watch.is_watching {
                self.outputs.push_back(Output::Seen(id, Seen::Changed(notice)));
            }
        }
        Ok(Reception::Heard)
    }
}

#[cfg(test)]
mod tests;
