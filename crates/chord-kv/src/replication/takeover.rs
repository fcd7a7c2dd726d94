//! Taking over: how a node comes to answer for its range, and to have everything of it.

use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer, Position, between};

use super::holdings::is_within;
use super::message::{AnswerBody, PeerRequest};
use super::sync::{Direction, Move, Sync};
use super::tenure::Epoch;
use super::walk::{Next, Sources, Untold, Walk};
use super::{Event, Neighbours, Output, Purpose, Replicator};
use crate::{Applied, Range, Record, StoreError, Version};

/// Pause before a predecessor is asked again that does not vouch. The first question makes it look for a new successor, which
/// takes it a round trip or two.
pub(super) const VOUCH_PAUSE: Duration = Duration::from_millis(20);

/// Asking everybody who may have something of a range.
#[derive(Debug)]
pub(super) struct Takeover {
    range: Range,
    epoch: Epoch,
    walk: Walk,
    sync: Option<Sync>,
}

impl Replicator {
    /// Whether this node may do what it is asked to do as the owner of that position.
    pub(super) fn may_answer(&self, position: Position) -> bool {
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::AnswersForOthers) {
            return true;
        }
        self.tenure.answers_for(position)
    }

    /// Asks the predecessor, if it has to vouch, or if there is a rival.
    pub(super) fn seek_vouching(&mut self) {
        let question = self.tenure.question();
        let rival = self.rivals.due(self.now.elapsed).filter(|_| question.is_none());
        let again = rival.and_then(|_| self.tenure.vouched_by());
        let Some((predecessor, epoch)) = question.or(again) else { return };
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::AnswersUnvouched) {
            self.tenure.vouch(&predecessor, epoch);
            return;
        }
        if self.vouching.as_ref() != Some(&predecessor) && self.vouch_due_at <= self.now.elapsed {
            self.vouching = Some(predecessor.clone());
            self.rivals.asked();
            self.send(&predecessor, PeerRequest::Vouch, Purpose::Vouch(epoch, rival));
        }
    }

    /// What this node does once it has doubted itself.
    pub(super) fn has_doubted(&mut self) {
        self.group.doubt_members(self.now.elapsed);
        self.holdings.note_predecessor(None);
        self.follow_range_with_feed();
    }

    pub(super) fn was_stopped(&mut self) {
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::AnswersUnvouched) {
            return;
        }
        self.has_doubted();
        self.outputs.push_back(Output::Event(Event::WasStopped));
        self.vouch_due_at = self.now.elapsed;
        self.seek_vouching();
    }

    pub(super) fn heard_vouch(
        &mut self,
        peer: &Peer,
        epoch: Epoch,
        rival: Option<Version>,
        answer: &Result<AnswerBody, Failure>,
    ) {
        if self.vouching.as_ref() == Some(peer) {
            self.vouching = None;
        }
        self.vouch_due_at = self.now.elapsed + VOUCH_PAUSE;
        if let Some(rival) = rival {
            return self.heard_of_rival(rival, peer, epoch, answer);
        }
        // Those who keep no records cannot tell, and are believed to name this node.
        if matches!(answer, Ok(AnswerBody::Vouched(true)) | Err(Failure::Garbled)) {
            self.tenure.vouch(peer, epoch);
            self.note_own();
            self.follow_range_with_feed();
            self.regroup();
            self.drive_takeover();
        }
    }

    /// Goes on asking for what may be missing.
    pub(super) fn drive_takeover(&mut self) {
        let missing = self.tenure.missing().filter(|_| self.tenure.range().is_some());
        let Some((range, epoch)) = missing else {
            self.takeover = None;
            self.note_taken_over();
            return;
        };
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::TakesOverBlindly) {
            return self.tenure.found_all(epoch);
        }
        if self.takeover.as_ref().is_none_or(|takeover| takeover.epoch != epoch) {
            let is_settled = self.holdings.cover(range, self.tenure.complete_range(), self.now.elapsed);
            self.takeover = Some(Takeover { range, epoch, walk: Walk::new(is_settled), sync: None });
        }
        let known = self.who_may_have_copies_of(range);
        let Some(takeover) = self.takeover.as_mut() else { return };
        if let Some(sync) = &takeover.sync {
            if !sync.is_asking() {
                self.step_takeover(); // It waited for the budget.
            }
            return;
        }
        match takeover.walk.next(&self.me.name, &known, self.now.elapsed) {
            Next::Wait => {}
            Next::Ask(peer) => {
                takeover.sync = Some(Sync::new(peer, takeover.range, Direction::In));
                self.step_takeover();
            }
            Next::Done => {
                let missed = self.recall.miss(takeover.walk.unheard());
                self.takeover = None;
                self.tenure.found_all(epoch);
                self.note_taken_over();
                self.group.doubt_members(self.now.elapsed);
                let event = if missed.is_empty() { Event::Complete(range) } else { Event::Missed(missed) };
                self.outputs.push_back(Output::Event(event));
                self.drive_repair();
            }
        }
    }

    /// Merges what others give this node before it has everything of its first range, and counts what of that range is news: some
    /// give it the same again.
    pub(super) fn apply_handed_over(
        &mut self,
        own: Range,
        records: Vec<Record>,
    ) -> Result<Applied, StoreError> {
        let (own, others): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| own.contains(record.position));
        let applied = self.store.apply(own)?;
        self.come += applied.news as u64;
        if others.is_empty() { Ok(applied) } else { self.store.apply(others) }
    }

    /// Counts the records of what this node has come to answer for. What it has only doubted, and has again, is no news.
    fn note_taken_over(&mut self) {
        if !self.tenure.is_complete() || self.answered_for == self.tenure.range() {
            return;
        }
        let Some(own) = self.tenure.range() else { return };
        self.taken_over += match self.answered_for {
            None => self.come,
            Some(before) if is_within(own, before) => 0,
            Some(before) => {
                let gained = Range { after: own.after, up_to: before.after };
                self.store.digest(&gained).map_or(0, |digest| digest.records())
            }
        };
        self.answered_for = Some(own);
    }

    /// Whether this node has got all that the owner before it had at that position.
    pub(super) fn has_taken_over(&self, position: Position) -> bool {
        let Some(Takeover { range, epoch, sync: Some(sync), .. }) = &self.takeover else { return false };
        let is_from_owner = self
            .tenure
            .yielded()
            .is_some_and(|(from, yielded)| *from == sync.peer && yielded.contains(position));
        is_from_owner && *epoch == self.tenure.epoch() && range.contains(position) && !sync.concerns(position)
    }

    /// Looks whether the store has lost records, and asks others for what it may be. Returns whether it has.
    pub(super) fn notice_losses(&mut self) -> bool {
        let lost = self.store.lost();
        if lost == self.lost {
            return false;
        }
        self.outputs.push_back(Output::Event(Event::Lost(lost - self.lost)));
        self.lost = lost;
        self.tenure.lose_records();
        self.holdings.doubt();
        self.drive_takeover();
        true
    }

    /// The successors, and the predecessor, which is the last of them in a small ring and may be the only one that is known
    /// when they have just left.
    ///
    /// In a small ring the list comes round to those before this node. One that lies between the predecessor and this node
    /// was its predecessor and is gone, by this node's own finding; the lists of others name it for some rounds more.
    pub(super) fn who_may_have_copies(&self) -> Sources {
        let Neighbours { predecessor, successors, .. } = &self.neighbours;
        let is_gone = |peer: &Peer| {
            predecessor
                .as_ref()
                .is_some_and(|before| between(before.position, peer.position, self.me.position))
        };
        let further = predecessor.iter().filter(|peer| !successors.contains(peer));
        let listed = successors.iter().filter(|peer| !is_gone(peer)).chain(further).cloned().collect();
        Sources { listed, recalled: self.recalled().to_vec() }
    }

    fn step_takeover(&mut self) {
        if self.budget.is_spent() {
            return; // It goes on when there is something to spend again.
        }
        let Some(takeover) = &mut self.takeover else { return };
        let Some(sync) = &mut takeover.sync else { return };
        let peer = sync.peer.clone();
        match sync.next(&*self.store) {
            Ok(Move::Ask(request)) => {
                let purpose = Purpose::Takeover(takeover.epoch);
                self.send(&peer, request, purpose);
            }
            Ok(Move::Done(standing)) => {
                takeover.sync = None;
                self.heard_standing(&peer, &standing);
                let Some(takeover) = &mut self.takeover else { return };
                takeover.walk.answered(&peer.name, standing);
                self.drive_takeover();
            }
            // Nothing goes to the peer.
            Ok(Move::Store(_)) | Err(_) => self.fail_takeover(&peer.name, &Untold::NotKept),
        }
    }

    pub(super) fn heard_takeover(&mut self, peer: &Peer, epoch: Epoch, answer: Result<AnswerBody, Failure>) {
        let Some(takeover) = self.takeover.as_mut().filter(|takeover| takeover.epoch == epoch) else {
            return;
        };
        let Some(sync) = takeover.sync.as_mut().filter(|sync| sync.peer == *peer) else { return };
        let told = match answer {
            Ok(AnswerBody::Refused(_)) => Err(Failure::Silent.into()),
            Ok(body) => sync.answered(body, self.settings.size, &*self.store).map_err(Untold::from),
            Err(failure) => Err(failure.into()),
        };
        let kept = told.and_then(|records| self.take_copies(records).map_err(|_| Untold::NotKept));
        match kept {
            Ok(()) => self.step_takeover(),
            Err(why) => self.fail_takeover(&peer.name, &why),
        }
    }

    /// It is asked again later, unless it is gone.
    fn fail_takeover(&mut self, name: &NodeName, why: &Untold) {
        let now = self.now.elapsed;
        if let Some(takeover) = &mut self.takeover {
            takeover.sync = None;
            takeover.walk.untold(name, why, now);
        }
        self.drive_takeover();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chord_ring::RingSize;

    use super::super::{Input, Now, Settings};
    use super::*;
    use crate::{Key, MemoryStore, Record, Store, Value, VersionClock};

    #[test]
    fn a_predecessor_that_is_gone_is_not_asked_though_lists_still_name_it() {
        let size = RingSize::new(6).unwrap();
        let peer = |at: u64| Peer { position: at.into(), name: format!("host{at}:1").parse().unwrap() };
        let store = Arc::new(MemoryStore::new(size, 1 << 20));
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1 };
        let mut node = Replicator::new(peer(40), Settings::new(size), store, now);
        let mut sources = |predecessor: Option<Peer>, successors: &[u64]| {
            let successors = successors.iter().map(|at| peer(*at)).collect();
            node.neighbours = Neighbours { is_member: true, predecessor, successors };
            node.who_may_have_copies().listed
        };
        let (gone, before, next) = (peer(30), peer(20), peer(50));
        assert_eq!(sources(Some(gone.clone()), &[50, 20, 30]), [next.clone(), before.clone(), gone.clone()]);
        assert_eq!(sources(Some(before.clone()), &[50, 20, 30]), [next.clone(), before.clone()]);
        assert_eq!(sources(Some(before.clone()), &[50]), [next.clone(), before.clone()]);
        assert_eq!(sources(None, &[50, 20, 30]), [next, before, gone], "nobody is known to be gone");
    }

    #[test]
    fn only_what_others_gave_it_since_it_joined_was_handed_over_to_a_node() {
        let size = RingSize::DEFAULT;
        let peer = |name: &str| Peer::of_name(name.parse().unwrap(), size);
        let (me, clock) = (peer("me:1"), VersionClock::new());
        let records = |prefix: &str, n_records: usize| -> Vec<Record> {
            let record = |number| {
                let key = Key::new(format!("{prefix}{number}").as_bytes()).unwrap();
                let (position, value) = (key.position(size), Some(Value::new(b"value", 100).unwrap()));
                Record {
                    position,
                    key,
                    value,
                    version: clock.next(1_000_000, me.position),
                    expires_at_ms: None,
                }
            };
            (0..n_records).map(record).collect()
        };
        let store = Arc::new(MemoryStore::new(size, 1 << 20));
        store.apply(records("of an earlier life", 8)).unwrap();
        let now = Now { elapsed: Duration::ZERO, wall_ms: 1_000_000 };
        let mut node = Replicator::new(me.clone(), Settings::new(size), store, now);
        let is_next_to = |node: &mut Replicator, before: Option<&Peer>, come: Vec<Record>| {
            let (predecessor, successors) = (before.cloned(), before.into_iter().cloned().collect());
            node.handle(now, Input::Neighbours(Neighbours { is_member: true, predecessor, successors }));
            if let Some((peer, epoch)) = node.tenure.question() {
                node.tenure.vouch(&peer, epoch);
            }
            node.take_copies(come).unwrap();
            if let Some((_, epoch)) = node.tenure.missing() {
                node.tenure.found_all(epoch);
            }
            node.drive_takeover();
            assert!(node.tenure.is_complete(), "it answers for its range");
            while node.poll().is_some() {}
            node.status().taken_over
        };
        assert_eq!(
            is_next_to(&mut node, None, Vec::new()),
            0,
            "it is alone, and its disk has all that there is"
        );
        node.handle(now, Input::Neighbours(Neighbours::default()));
        // All but one position is its own.
        let before = Peer { position: size.finger_start(me.position, 0), ..peer("before:1") };
        let given = records("of others", 3);
        let again = [&given[..], &given[1..]].concat();
        assert_eq!(is_next_to(&mut node, Some(&before), again), 3, "what comes again is counted once");
        node.regroup();
        assert_eq!(node.status().copies_at, [before.name]);
        node.handle(now, Input::Neighbours(Neighbours::default()));
        assert!(node.status().copies_at.is_empty(), "it is in no ring");
        assert_eq!(
            is_next_to(&mut node, None, Vec::new()),
            0,
            "what was handed over in another life is none of this one's"
        );
    }
}
