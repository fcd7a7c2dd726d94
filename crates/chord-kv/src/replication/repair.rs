//! Repair: an owner looks again and again whether each member of its group has what it has.

use std::collections::BTreeSet;
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer};

use super::message::{AnswerBody, Header, PeerRequest};
use super::sync::{Direction, Move, PAGE, Sync};
use super::{Purpose, Replicator};
use crate::{Cursor, Record, Version};

/// Pause before a member is tried again that could not be brought up to date, at first.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Pause between two refills of the budget, at least.
const REFILL_PAUSE: Duration = Duration::from_millis(1);

/// The part of a second's budget that can be saved up: as much as comes in between two ticks.
const SAVED_PART: i64 = 8;

/// After so long without a client nobody is held up by repair, and it may move so many times as much.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const IDLE_FACTOR: u64 = 4;

/// What a record costs beside its bytes: moving small ones takes a processor's time more than a line's, and clients need that.
const RECORD_COST: usize = 512;

/// What repair may move.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_per_second: u64,
    left: i64,
    refilled_at: Duration,
    /// When a client wanted something last.
    clients_at: Duration,
}

impl Budget {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        let left = i64::try_from(bytes_per_second).unwrap_or(i64::MAX) / SAVED_PART;
        Self { bytes_per_second, left, refilled_at: Duration::ZERO, clients_at: Duration::ZERO }
    }

    /// Time has passed. Little is saved up, so that what repair moves comes in no bursts. Returns whether there is something
    /// to spend again.
    pub(super) fn refill(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.refilled_at).min(Duration::from_secs(1));
        if passed < REFILL_PAUSE {
            return false;
        }
        let was_spent = self.is_spent();
        let is_idle = now.saturating_sub(self.clients_at) > IDLE_AFTER;
        let rate = self.bytes_per_second.saturating_mul(if is_idle { IDLE_FACTOR } else { 1 });
        let whole = i64::try_from(rate).unwrap_or(i64::MAX);
        let share = passed.as_micros().saturating_mul(u128::from(rate)) / 1_000_000;
        let share = i64::try_from(share).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(share).min(whole / SAVED_PART);
        self.refilled_at = now;
        was_spent && !self.is_spent()
    }

    /// A client wants something: it goes first.
    pub(super) fn yield_to_client(&mut self, now: Duration) {
        self.clients_at = now;
    }

    pub(super) fn spend_on(&mut self, records: &[Record]) {
        self.spend(records.iter().map(|record| record.size_bytes() + RECORD_COST).sum());
    }

    /// So many records are offered to their owner, who looks each of them up.
    pub(super) fn spend_on_offer(&mut self, count: usize) {
        self.spend(count * RECORD_COST);
    }

    fn spend(&mut self, bytes: usize) {
        // A debt of more than a second would keep repair from its work.
        let whole = i64::try_from(self.bytes_per_second).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX)).max(-whole);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left <= 0
    }
}

/// Dropping what says that a key was deleted, once nobody has anything older.
#[derive(Debug, Default)]
pub(super) struct Purging {
    cursor: Option<Cursor>,
    headers: Vec<Header>,
    /// Members that have not dropped them yet.
    waiting: BTreeSet<NodeName>,
    group: Option<Version>,
    due_at: Duration,
}

impl Replicator {
    /// Begins what is due, and goes on with what waited for the budget.
    pub(super) fn drive_repair(&mut self) {
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::SkipsRepair) {
            return;
        }
        if !self.tenure.is_complete() {
            return;
        }
        let now = self.now.elapsed;
        let range = self.group.group.range();
        let mut begun = Vec::new();
        for member in &mut self.group.members {
            if member.is_due(now) {
                // Until it is confirmed again, if it has missed something.
                member.is_confirmed &= !member.is_behind;
                member.is_behind = false;
                member.due_at = now + self.settings.repair_pause;
                member.sync = Some(Box::new(Sync::new(member.peer.clone(), range, Direction::Both)));
                begun.push(member.peer.name.clone());
            } else if member.sync.as_ref().is_some_and(|sync| !sync.is_asking()) {
                begun.push(member.peer.name.clone());
            }
        }
        for name in begun {
            self.step_sync(&name);
        }
    }

    fn step_sync(&mut self, name: &NodeName) {
        if self.budget.is_spent() {
            return; // The next tick goes on.
        }
        let id = self.group.group.id;
        let Some(member) = self.group.member(name) else { return };
        let Some(sync) = &mut member.sync else { return };
        let peer = member.peer.clone();
        match sync.next(&*self.store) {
            Ok(Move::Ask(request)) => self.send(&peer, request, Purpose::Sync(id)),
            Ok(Move::Store(records)) => {
                self.budget.spend_on(&records);
                self.repaired.sent.note(&records);
                let group = self.group.group.clone();
                self.send(&peer, PeerRequest::Store { group, records }, Purpose::Sync(id));
            }
            Ok(Move::Done(_)) => {
                member.sync = None;
                member.is_confirming = true;
                let group = self.group.group.clone();
                self.send(&peer, PeerRequest::Confirm { group }, Purpose::Confirm(id));
            }
            Err(_) => self.fail_sync(name),
        }
    }

    pub(super) fn heard_sync(&mut self, peer: &Peer, group: Version, answer: Result<AnswerBody, Failure>) {
        if group != self.group.group.id {
            return;
        }
        let (size, store) = (self.settings.size, self.store.clone());
        let Some(member) = self.group.member(&peer.name) else { return };
        let Some(sync) = &mut member.sync else { return };
        let taken = match answer {
            Ok(AnswerBody::Refused(_)) => Err(Failure::Silent),
            Ok(body) => sync.answered(body, size, &*store).map_err(|_| Failure::Silent),
            Err(failure) => Err(failure),
        };
        let taken = taken.and_then(|records| {
            let is_news = !records.is_empty();
            self.take_copies(records).map(|()| is_news)
        });
        if taken == Ok(true) {
            // What one member had and the owner did not, the others may lack.
            for other in self.group.members.iter_mut().filter(|other| other.peer != *peer) {
                other.is_behind = true;
                other.due_at = other.due_at.min(self.now.elapsed + RETRY_PAUSE);
            }
        }
        match taken {
            Ok(_) => self.step_sync(&peer.name),
            Err(_) => self.fail_sync(&peer.name),
        }
    }

    pub(super) fn heard_confirm(
        &mut self,
        peer: &Peer,
        group: Version,
        answer: &Result<AnswerBody, Failure>,
    ) {
        if group != self.group.group.id {
            return;
        }
        let Some(member) = self.group.member(&peer.name) else { return };
        member.is_confirming = false;
        if *answer != Ok(AnswerBody::Done) {
            return self.fail_sync(&peer.name);
        }
        member.is_confirmed = true;
        member.failures = 0;
        if member.is_behind {
            member.due_at = self.now.elapsed + RETRY_PAUSE;
        }
    }

    fn fail_sync(&mut self, name: &NodeName) {
        let now = self.now.elapsed;
        let longest = self.settings.repair_pause;
        let Some(member) = self.group.member(name) else { return };
        member.failures = member.failures.saturating_add(1);
        member.sync = None;
        member.is_confirming = false;
        member.is_behind = true;
        let pause = RETRY_PAUSE.saturating_mul(1 << member.failures.min(8));
        member.due_at = now + pause.min(longest);
    }

    /// Looks for what can be dropped, and has everybody drop it who has it.
    pub(super) fn drive_purge(&mut self) {
        let group = &self.group;
        let others_left = self.neighbours.successors.len() > group.members.len();
        let is_whole = group.members.len() + 1 >= usize::from(self.settings.replicas) || !others_left;
        let is_safe = self.tenure.is_complete() && is_whole && group.is_synced();
        if !is_safe || self.purge.due_at > self.now.elapsed || !self.purge.waiting.is_empty() {
            return;
        }
        let headers = self.next_purgeable();
        if headers.is_empty() {
            return;
        }
        self.purge.headers.clone_from(&headers);
        self.purge.group = Some(self.group.group.id);
        let peers: Vec<Peer> = self.group.members.iter().map(|member| member.peer.clone()).collect();
        self.purge.waiting = peers.iter().map(|peer| peer.name.clone()).collect();
        for peer in &peers {
            let (group, headers) = (self.group.group.clone(), headers.clone());
            let id = group.id;
            self.send(peer, PeerRequest::Purge { group, headers }, Purpose::Purge(id));
        }
        self.end_purge();
    }

    /// Those of the next page that have been over for longer than the grace. A page at a tick holds nobody up.
    fn next_purgeable(&mut self) -> Vec<Header> {
        let range = self.group.group.range();
        let cursor = self.purge.cursor.take().filter(|cursor| range.contains(cursor.position));
        let page = self.store.range(&range, cursor.as_ref(), PAGE).ok();
        let (records, next) = page.map_or_else(Default::default, |page| (page.records, page.next));
        if next.is_none() {
            self.purge.due_at = self.now.elapsed + self.settings.repair_pause;
        }
        self.purge.cursor = next;
        records.iter().map(Header::from).filter(|header| self.is_purgeable(header)).collect()
    }

    /// Whether that record has been over for longer than the grace.
    pub(super) fn is_purgeable(&self, header: &Header) -> bool {
        let grace_ms = u64::try_from(self.settings.tombstone_grace.as_millis()).unwrap_or(u64::MAX);
        #[cfg(feature = "defects")]
        let grace_ms = if self.settings.has(super::Defect::ForgetsTombstones) { 0 } else { grace_ms };
        header.over_at_ms.is_some_and(|over_at_ms| over_at_ms.saturating_add(grace_ms) <= self.now.wall_ms)
    }

    pub(super) fn heard_purge(&mut self, peer: &Peer, answer: &Result<AnswerBody, Failure>) {
        self.purge.waiting.remove(&peer.name);
        if *answer != Ok(AnswerBody::Done) {
            // Who has dropped them gets them back by repair.
            self.purge.headers.clear();
        }
        self.end_purge();
    }

    fn end_purge(&mut self) {
        if !self.purge.waiting.is_empty() {
            return;
        }
        let is_current = self.purge.group == Some(self.group.group.id);
        for header in std::mem::take(&mut self.purge.headers) {
            if is_current && let Err(error) = self.store.remove(header.position, &header.key, &header.version)
            {
                return self.report(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 8_000_000;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many bytes are spent in a second, a kilobyte at a time, where a client comes every so many milliseconds.
    fn spent_in_a_second(clients_every_ms: u64) -> usize {
        let mut budget = Budget::new(RATE);
        let mut spent = 0;
        for ms in 10_000..11_000 {
            if ms % clients_every_ms == 0 {
                budget.yield_to_client(at(ms));
            }
            budget.refill(at(ms));
            while !budget.is_spent() {
                budget.spend(1000);
                spent += 1000;
            }
        }
        spent
    }

    #[test]
    fn repair_moves_what_it_may_beside_clients_and_more_without() {
        let beside_clients = spent_in_a_second(10);
        assert!((8_000_000..9_100_000).contains(&beside_clients), "{beside_clients}");
        let alone = spent_in_a_second(u64::MAX);
        assert!((30_000_000..37_000_000).contains(&alone), "{alone}");
    }

    #[test]
    fn little_is_saved_up_and_no_debt_is_older_than_a_second() {
        let mut budget = Budget::new(RATE);
        budget.yield_to_client(at(60_000));
        budget.refill(at(60_000));
        budget.spend(1_000_001);
        assert!(budget.is_spent(), "no more than an eighth of a second's worth is saved");
        budget.spend(usize::MAX);
        budget.yield_to_client(at(61_001));
        assert!(!budget.refill(at(60_500)) && budget.refill(at(61_501)));
    }
}
