//! Strays: records that a node has though it does not own them and nobody counts on it for them.
//!
//! They are offered to their owner, and dropped only when that says that its whole group has them. A node that leaves
//! offers all that it does not own, so that owners choose others in its place.

use std::collections::VecDeque;
use std::time::Duration;

use chord_ring::{Failure, Peer, owned};

use super::holdings::is_within;
use super::message::{AnswerBody, Header, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, PeerRequest, Verdict};
use super::sync::PAGE;
use super::{Output, Purpose, Replicator, RequestId};
use crate::{Cursor, Range};

/// Pause between two looks for strays: while there are some, at first and at most, and when there are none.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Strays that have to be kept for now, of which a node that leaves asks again, at most: what fits a message. More of them
/// are looked for anew.
const AGAIN_MAX: usize = MESSAGE_RECORDS_MAX;

/// One look for strays.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Ranges that are to be looked through.
    gaps: Vec<Range>,
    cursor: Option<Cursor>,
    /// Strays that are to be offered.
    found: VecDeque<Header>,
    /// Those of them that were offered, and may be delivered.
    offered: Vec<Header>,
    owner: Option<Peer>,
    is_asking: bool,
    is_running: bool,
    /// Strays that have to be kept for now, one by one.
    again: Vec<Header>,
    /// Those that have to be kept beside them.
    kept: u64,
    /// Those of them whose owner keeps no records: nobody can be waited for to take them.
    kept_for_nobody: u64,
    pause: Duration,
    due_at: Duration,
    /// How many looks have ended, and what the last one kept.
    pub(super) ended: u64,
    pub(super) last_kept: u64,
    /// The range for which this node answered last.
    own: Option<Range>,
    /// What was this node's own until a moment ago, until a look that began later has found nothing in it that its owner lacks.
    lost: Option<Lost>,
    /// Whether the look under way began since then.
    is_of_lost: bool,
}

/// A part of its range that a node has lost.
#[derive(Clone, Copy, Debug)]
struct Lost {
    range: Range,
    at: Duration,
}

impl Sweep {
    fn keep(&mut self, header: Header) {
        if self.again.len() < AGAIN_MAX {
            self.again.push(header);
        } else {
            self.kept += 1;
        }
    }

    /// How many strays are left, by what is known of them.
    pub(super) fn left(&self) -> u64 {
        let seen = self.kept + (self.again.len() + self.found.len()) as u64;
        match self.is_running {
            true if self.gaps.is_empty() => seen,
            true => seen.max(self.last_kept),
            false => self.last_kept,
        }
    }

    /// The node is in no ring.
    pub(super) fn forget_lost(&mut self) {
        self.own = None;
        self.lost = None;
        self.is_of_lost = false;
    }

    /// Whether the rest is offered once more before the look ends.
    fn begins_again(&mut self, now: Duration) -> bool {
        let again = self.kept == 0 && !self.again.is_empty();
        if again {
            self.found = std::mem::take(&mut self.again).into();
            self.due_at = now + SWEEP_PAUSE.0;
        }
        again
    }
}

impl Replicator {
    /// The range for which this node answers may be another one.
    pub(super) fn note_own(&mut self) {
        let Some(now_own) = self.tenure.range() else { return };
        if let Some(before) = self.sweep.own.replace(now_own) {
            self.note_lost(before, now_own);
        }
    }

    /// The range is smaller than it was: somebody has come between, or the ring of which this node was has become one with
    /// another. What was written here meanwhile its owner there has never heard of, and takes for absent until it is handed over.
    fn note_lost(&mut self, before: Range, now_own: Range) {
        if now_own.after == before.after || !is_within(now_own, before) {
            return;
        }
        let after = match self.sweep.lost {
            Some(lost)
                if is_within(
                    Range { after: before.after, up_to: now_own.up_to },
                    lost_with(lost, now_own),
                ) =>
            {
                lost.range.after
            }
            Some(_) | None => before.after,
        };
        let range = Range { after, up_to: now_own.after };
        self.sweep.lost = Some(Lost { range, at: self.now.elapsed });
        self.sweep.is_of_lost = false;
        self.hasten_sweep();
    }

    /// Whether this node may have records of what was its own and that the owner of today lacks.
    pub(super) fn has_to_hand_over(&self) -> bool {
        self.sweep.lost.is_some() && self.neighbours.is_member
    }

    pub(super) fn drive_sweep(&mut self) {
        if self.sweep.is_asking || self.sweep.due_at > self.now.elapsed {
            return;
        }
        if !self.sweep.is_running {
            let Some(own) = self.tenure.range().filter(|_| self.neighbours.is_member) else { return };
            let own_only = [own];
            let mut kept = self.holdings.current(self.now.elapsed);
            if self.leaving.is_some() {
                kept.clear();
            }
            kept.extend(own_only);
            self.sweep.gaps = gaps(&kept);
            self.sweep.is_of_lost = self.sweep.lost.is_some();
            if let Some(lost) = self.sweep.lost {
                // Who counted on this node there before it was the owner does not do so any more by that.
                let heard = self.holdings.heard_since(lost.at, self.now.elapsed);
                let others = Range { after: lost.range.up_to, up_to: lost.range.after };
                let kept: Vec<Range> =
                    heard.into_iter().chain([own, others]).chain(self.sweep.gaps.clone()).collect();
                self.sweep.gaps.extend(gaps(&kept));
            }
            self.sweep.is_running = true;
            self.sweep.kept = 0;
            self.sweep.kept_for_nobody = 0;
        }
        self.continue_sweep();
    }

    fn continue_sweep(&mut self) {
        loop {
            if let Some(header) = self.sweep.found.front() {
                self.requests += 1;
                let id = RequestId(self.requests);
                self.asked.insert(id, (self.me.clone(), Purpose::FindOwner));
                self.outputs.push_back(Output::FindOwner(id, header.position));
                self.sweep.is_asking = true;
                return;
            }
            let Some(gap) = self.sweep.gaps.last().copied() else {
                // While clients write, some key is always being written: a look that began anew would always keep some.
                if self.leaving.is_none() || !self.sweep.begins_again(self.now.elapsed) {
                    self.end_sweep();
                }
                return;
            };
            if self.budget.is_spent() && self.leaving.is_none() {
                return; // It goes on when there is something to spend again.
            }
            match self.store.range(&gap, self.sweep.cursor.as_ref(), PAGE) {
                Ok(page) => {
                    self.sweep.found = page.records.iter().map(Header::from).collect();
                    self.sweep.cursor = page.next;
                    if self.sweep.cursor.is_none() {
                        self.sweep.gaps.pop();
                    }
                }
                Err(error) => {
                    self.report(error);
                    self.sweep.kept += 1;
                    return self.end_sweep();
                }
            }
        }
    }

    fn end_sweep(&mut self) {
        let (soon, later) = SWEEP_PAUSE;
        let sweep = &mut self.sweep;
        sweep.is_running = false;
        sweep.gaps.clear();
        sweep.cursor = None;
        sweep.found.clear();
        sweep.kept += sweep.again.len() as u64;
        sweep.again.clear();
        sweep.ended += 1;
        sweep.last_kept = sweep.kept;
        sweep.pause = if sweep.kept > 0 { (sweep.pause * 2).clamp(soon, later) } else { later };
        if self.leaving.is_some() {
            sweep.pause = soon;
        }
        let lacks_nothing = sweep.kept == sweep.kept_for_nobody;
        if lacks_nothing && sweep.lost.is_some() && !sweep.is_of_lost {
            sweep.pause = Duration::ZERO; // It began before that was lost.
        }
        sweep.due_at = self.now.elapsed + sweep.pause;
        if lacks_nothing && std::mem::take(&mut sweep.is_of_lost) {
            sweep.lost = None;
        }
        if sweep.kept == 0 {
            self.holdings.forget_lapsed(self.now.elapsed);
        }
    }

    pub(super) fn hasten_sweep(&mut self) {
        self.sweep.pause = Duration::ZERO;
        self.sweep.due_at = self.now.elapsed;
    }

    /// The rest has to be kept for now.
    fn break_off_sweep(&mut self) {
        self.sweep.is_asking = false;
        self.sweep.kept += 1 + self.sweep.found.len() as u64;
        self.end_sweep();
    }

    pub(super) fn found_owner(&mut self, owner: Option<Peer>) {
        let Some(owner) = owner else { return self.break_off_sweep() };
        if owner == self.me {
            // The range has changed since.
            self.sweep.kept += 1;
            self.sweep.found.pop_front();
            self.sweep.is_asking = false;
            return self.continue_sweep();
        }
        let headers: Vec<Header> = self.sweep.found.iter().cloned().collect();
        self.sweep.owner = Some(owner.clone());
        let leaving = self.leaving.is_some();
        self.budget.spend_on_offer(headers.len());
        self.send(&owner, PeerRequest::Offer { headers, leaving }, Purpose::Offer);
    }

    pub(super) fn heard_offer(&mut self, peer: &Peer, answer: Result<AnswerBody, Failure>) {
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::DropsWhatItOffers) {
            for header in std::mem::take(&mut self.sweep.found) {
                self.drop_stray(&header);
            }
            self.sweep.is_asking = false;
            return self.continue_sweep();
        }
        if answer == Err(Failure::Garbled) {
            return self.keep_for_nobody(peer);
        }
        let verdicts = match answer {
            Ok(AnswerBody::Judged(verdicts)) if verdicts.len() == self.sweep.found.len() => verdicts,
            Ok(_) | Err(_) => return self.break_off_sweep(),
        };
        let is_owner = verdicts.first() != Some(&Verdict::NotMine);
        let mut others = VecDeque::new();
        for (header, verdict) in std::mem::take(&mut self.sweep.found).into_iter().zip(verdicts) {
            match verdict {
                Verdict::Drop => self.drop_stray(&header),
                Verdict::Deliver => self.sweep.offered.push(header),
                // Another owner's, unless whoever was named as the owner of the first is none.
                Verdict::NotMine if is_owner => others.push_back(header),
                Verdict::NotMine | Verdict::Keep => self.sweep.keep(header),
            }
        }
        self.sweep.found = others;
        self.deliver(peer);
    }

    /// An owner keeps no records: what is found up to its position stays here, and is no reason to wait. What lies behind it has
    /// another owner.
    fn keep_for_nobody(&mut self, owner: &Peer) {
        let Some(first) = self.sweep.found.front().map(|header| header.position) else {
            return self.break_off_sweep();
        };
        let before = self.sweep.found.len();
        let is_last = first == owner.position;
        let is_its = |header: &Header| {
            header.position == first || (!is_last && owned(first, header.position, owner.position))
        };
        self.sweep.found.retain(|header| !is_its(header));
        let n_its = (before - self.sweep.found.len()) as u64;
        self.sweep.kept += n_its;
        self.sweep.kept_for_nobody += n_its;
        self.sweep.is_asking = false;
        self.continue_sweep();
    }

    fn drop_stray(&mut self, header: &Header) {
        let is_own = self.tenure.answers_for(header.position);
        let is_held = self.leaving.is_none() && self.holdings.holds(header.position, self.now.elapsed);
        // A node that leaves keeps what it has to its end: somebody may yet ask.
        if is_own || is_held || self.leaving.is_some() {
            return;
        }
        if let Err(error) = self.store.remove(header.position, &header.key, &header.version) {
            self.report(error);
        }
    }

    /// Gives an owner what it lacks, as much as fits a message.
    fn deliver(&mut self, owner: &Peer) {
        let (mut records, mut bytes) = (Vec::new(), 0);
        // Whether its whole group has them shows when they are offered again.
        while bytes < MESSAGE_BYTES_MAX && records.len() < MESSAGE_RECORDS_MAX {
            let Some(header) = self.sweep.offered.pop() else { break };
            let Ok(Some(record)) = self.store.read(header.position, &header.key) else {
                self.sweep.kept += 1;
                continue;
            };
            bytes += record.size_bytes();
            records.push(record);
            self.sweep.keep(header);
        }
        if records.is_empty() {
            self.sweep.is_asking = false;
            return self.continue_sweep();
        }
        self.budget.spend_on(&records);
        self.repaired.sent.note(&records);
        self.send(owner, PeerRequest::Deliver { records }, Purpose::Deliver);
    }

    pub(super) fn heard_deliver(&mut self, answer: &Result<AnswerBody, Failure>) {
        if let (Ok(AnswerBody::Delivered(_)), Some(owner)) = (answer, self.sweep.owner.clone()) {
            self.deliver(&owner);
        } else {
            self.sweep.offered.clear();
            self.break_off_sweep();
        }
    }
}

/// What was lost before, and what is this node's own now.
fn lost_with(lost: Lost, own: Range) -> Range {
    Range { after: lost.range.after, up_to: own.up_to }
}

/// The ranges of the circle that lie in none of those.
fn gaps(kept: &[Range]) -> Vec<Range> {
    if kept.iter().any(|range| range.after == range.up_to) {
        return Vec::new();
    }
    let mut gaps = Vec::new();
    for range in kept {
        // A gap begins where a range ends that no other goes beyond, and ends where the next one begins.
        let begin = range.up_to;
        let goes_on =
            |other: &&Range| other.up_to != begin && (other.after == begin || other.contains(begin));
        if kept.iter().any(|other| goes_on(&other)) {
            continue;
        }
        let ends = kept.iter().map(|other| other.after);
        let nearest = ends.reduce(|near, end| if owned(begin, end, near) { end } else { near });
        gaps.extend(nearest.filter(|end| *end != begin).map(|end| Range { after: begin, up_to: end }));
    }
    gaps.dedup();
    gaps
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chord_ring::{Position, RingSize};

    use super::super::{Input, Neighbours, Now, PeerAnswer, Settings};
    use super::*;
    use crate::{Key, MemoryStore, Record, Store, Value, VersionClock};

    const SIZE: RingSize = RingSize::DEFAULT;

    fn peer(name: &str) -> Peer {
        Peer::of_name(name.parse().unwrap(), SIZE)
    }

    /// Goes on until the node offers strays, which all belong to `owner`.
    fn next_offer(node: &mut Replicator, owner: &Peer, elapsed: Duration) -> (RequestId, Vec<Header>) {
        for tick in 0..10 {
            let now = Now { elapsed: elapsed + super::super::TICK * tick, wall_ms: 1_000_000 };
            node.handle(now, Input::Tick);
            while let Some(output) = node.poll() {
                if let Output::FindOwner(id, _) = output {
                    node.handle(now, Input::Found(id, Some(owner.clone())));
                } else if let Output::Send(id, _, PeerRequest::Offer { headers, .. }) = output {
                    return (id, headers);
                }
            }
        }
        panic!("nothing is offered");
    }

    #[test]
    fn a_node_that_leaves_offers_again_only_what_could_not_be_dropped() {
        let store = Arc::new(MemoryStore::new(SIZE, 1 << 20));
        let (me, owner) = (peer("me:1"), peer("owner:1"));
        let clock = VersionClock::new();
        let start = Now { elapsed: Duration::ZERO, wall_ms: 1_000_000 };
        for idx in 0..8 {
            let key = Key::new(format!("key{idx}").as_bytes()).unwrap();
            let value = Some(Value::new(b"value", 100).unwrap());
            let version = clock.next(start.wall_ms, owner.position);
            let position = key.position(SIZE);
            store.apply(vec![Record { position, key, value, version, expires_at_ms: None }]).unwrap();
        }
        let mut node = Replicator::new(me, Settings::new(SIZE), store, start);
        // It owns nothing of that.
        let last = node.store.range(&Range { after: node.me.position, up_to: node.me.position }, None, PAGE);
        let position = last.unwrap().records.last().unwrap().position;
        let predecessor = Some(Peer { position, ..peer("before:1") });
        let successors = vec![owner.clone()];
        node.handle(start, Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
        node.tenure.vouch(&node.neighbours.predecessor.clone().unwrap(), node.tenure.epoch());
        node.handle(start, Input::Leave);
        let mut offered = 8;
        let mut elapsed = Duration::ZERO;
        // At each time another key is being written, as where clients write all the while.
        while offered > 0 {
            let (id, headers) = next_offer(&mut node, &owner, elapsed);
            assert_eq!(headers.len(), offered);
            let verdicts = (0..offered).map(|idx| if idx % 2 == 0 { Verdict::Drop } else { Verdict::Keep });
            let body = AnswerBody::Judged(verdicts.collect());
            elapsed += Duration::from_millis(400);
            let now = Now { elapsed, wall_ms: 1_000_000 };
            node.handle(now, Input::Answer(id, Ok(PeerAnswer { leaving: false, body })));
            offered /= 2;
        }
        assert_eq!((node.sweep.ended, node.sweep.last_kept), (1, 0));
    }

    /// A member that has eight records in the range for which it answers, and what it needs to lose some of it.
    fn owner_of_eight(before: &Peer) -> (Replicator, Vec<Position>) {
        let store = Arc::new(MemoryStore::new(SIZE, 1 << 20));
        let me = peer("me:1");
        let (clock, start) = (VersionClock::new(), Now { elapsed: Duration::ZERO, wall_ms: 1_000_000 });
        let mut positions = Vec::new();
        for idx in 0..8 {
            let key = Key::new(format!("key{idx}").as_bytes()).unwrap();
            let (value, version) =
                (Some(Value::new(b"value", 100).unwrap()), clock.next(1_000_000, me.position));
            let position = key.position(SIZE);
            positions.push(position);
            store.apply(vec![Record { position, key, value, version, expires_at_ms: None }]).unwrap();
        }
        positions.sort_by_key(|position| SIZE.distance(me.position, *position));
        let mut node = Replicator::new(me, Settings::new(SIZE), store, start);
        is_next_to(&mut node, before, Duration::ZERO);
        (node, positions)
    }

    fn is_next_to(node: &mut Replicator, before: &Peer, elapsed: Duration) {
        let (predecessor, successors) = (Some(before.clone()), vec![before.clone()]);
        let now = Now { elapsed, wall_ms: 1_000_000 };
        node.handle(now, Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
        if let Some((peer, epoch)) = node.tenure.question() {
            node.tenure.vouch(&peer, epoch);
            node.note_own();
        }
        while node.poll().is_some() {}
    }

    #[test]
    fn what_a_node_has_lost_of_its_range_is_handed_over_before_it_is_ready_again() {
        // Nobody stands between that one and this node, and all eight are this node's own.
        let far = Peer { position: SIZE.finger_start(peer("me:1").position, 0), ..peer("far:1") };
        let (mut node, positions) = owner_of_eight(&far);
        assert!(node.status().has_handed_over);
        // Another ring becomes one with this, and five of them are somebody else's.
        let heir = Peer { position: positions[4], ..peer("heir:1") };
        is_next_to(&mut node, &heir, Duration::from_millis(100));
        assert!(!node.status().has_handed_over && !node.status().is_ready());
        let mut elapsed = Duration::from_millis(100);
        let judged = |node: &mut Replicator, elapsed: Duration, verdict: Verdict| {
            let (id, headers) = next_offer(node, &heir, elapsed);
            assert_eq!(headers.len(), 5);
            let body = AnswerBody::Judged(vec![verdict; 5]);
            let now = Now { elapsed: elapsed + Duration::from_millis(200), wall_ms: 1_000_000 };
            node.handle(now, Input::Answer(id, Ok(PeerAnswer { leaving: false, body })));
        };
        judged(&mut node, elapsed, Verdict::Keep);
        assert!(!node.status().has_handed_over, "its owner has them, and its group does not yet");
        elapsed += Duration::from_millis(400);
        judged(&mut node, elapsed, Verdict::Drop);
        assert!(node.status().has_handed_over);
    }

    #[test]
    fn an_owner_that_keeps_no_records_ends_the_wait_for_what_is_its_and_for_nothing_else() {
        let far = Peer { position: SIZE.finger_start(peer("me:1").position, 0), ..peer("far:1") };
        let (mut node, positions) = owner_of_eight(&far);
        // Two of the five that were this node's are those of a node of another program now, and three are the heir's.
        let seed = Peer { position: positions[1], ..peer("seed:1") };
        let heir = Peer { position: positions[4], ..peer("heir:1") };
        is_next_to(&mut node, &heir, Duration::from_millis(100));
        let look = |node: &mut Replicator, ticks: std::ops::Range<u32>, verdict: Verdict| {
            let (mut offered, mut unheard) = (Vec::new(), 0);
            for tick in ticks {
                let now = Now { elapsed: super::super::TICK * tick, wall_ms: 1_000_000 };
                node.handle(now, Input::Tick);
                while let Some(output) = node.poll() {
                    if let Output::FindOwner(id, at) = output {
                        let owner = if positions[..2].contains(&at) { &seed } else { &heir };
                        node.handle(now, Input::Found(id, Some(owner.clone())));
                    } else if let Output::Send(id, to, PeerRequest::Offer { headers, .. }) = output {
                        let answer = if to == seed {
                            unheard += 1;
                            Err(Failure::Garbled)
                        } else {
                            offered.extend(headers.iter().map(|header| header.position));
                            let body = AnswerBody::Judged(vec![verdict; headers.len()]);
                            Ok(PeerAnswer { leaving: false, body })
                        };
                        node.handle(now, Input::Answer(id, answer));
                    }
                }
            }
            (offered, unheard)
        };
        let (offered, unheard) = look(&mut node, 2..7, Verdict::Keep);
        assert!(unheard > 0 && offered.len() >= 3, "{unheard} {offered:?}");
        assert!(offered.iter().all(|position| positions[2..5].contains(position)), "each to its owner");
        assert!(!node.status().has_handed_over, "the heir's group does not have its three yet");
        look(&mut node, 7..40, Verdict::Drop);
        assert!(node.status().has_handed_over, "nobody can take the other two");
        assert_eq!(node.store.usage().records, 5, "and they are kept");
    }

    #[test]
    fn gaps_are_what_no_range_holds() {
        let mut state = 7u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 16
        };
        let mut open = 0;
        for _ in 0..20_000 {
            let range = |after: u64, up_to: u64| Range { after: after.into(), up_to: up_to.into() };
            let kept: Vec<Range> = (0..=next() % 4).map(|_| range(next(), next())).collect();
            let gaps = gaps(&kept);
            for position in 0..16 {
                let position = position.into();
                let is_kept = kept.iter().any(|range| range.contains(position));
                let holders = gaps.iter().filter(|gap| gap.contains(position)).count();
                assert_eq!(holders > 0, !is_kept, "{position} of {kept:?} in {gaps:?}");
                open += usize::from(!is_kept);
            }
        }
        assert!(open > 1000, "{open}");
    }
}
