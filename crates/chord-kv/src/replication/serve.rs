//! The owner's side of operations: find out what is under the key, decide, write, copy, acknowledge.

use std::collections::BTreeSet;

use chord_ring::{Failure, Peer, Position, Token};

use super::message::{AnswerBody, PeerRequest};
use super::operation::{Before, Circumstances, Effect};
use super::outbox::Batch;
use super::tenure::Epoch;
use super::walk::{Next, Sources, Untold, Walk};
use super::work::{Duplicate, Stage, Work, Writing};
use super::{
    Consistency, Operation, OperationError, Outcome, Output, Proposal, Purpose, Replicator, SOON,
    UNCONFIRMED_MAX, Undurable,
};
use crate::{Key, Record, Sequence, Version};

impl Replicator {
    pub(super) fn operate(&mut self, key: &Key, work: Work) {
        let (token, position) = (work.token, work.position);
        if !self.may_answer(position) {
            return self.done(token, Err(OperationError::NotOwner));
        }
        if self.is_closing() {
            return self.done(token, Err(OperationError::Busy)); // Its next owner does it in a moment.
        }
        let is_plain_read = work.operation == Operation::Get && work.consistency == Consistency::Usual;
        if is_plain_read
            && self.works.is_free(key)
            && self.has_newest(position, key)
            && !self.unconfirmed.contains_key(key)
        {
            let outcome = self.read_live(position, key);
            if !self.notice_losses() {
                return self.done(token, outcome);
            }
        }
        match self.works.add(key, work) {
            Some(true) => self.advance(key),
            Some(false) => {}
            None => self.done(token, Err(OperationError::Busy)),
        }
    }

    pub(super) fn done(&mut self, token: Token, result: Result<Outcome, OperationError>) {
        self.outputs.push_back(Output::Done(token, result));
    }

    fn read_live(&self, position: Position, key: &Key) -> Result<Outcome, OperationError> {
        let record = self.store.read(position, key)?;
        let record = record.filter(|record| record.live_value(self.now.wall_ms).is_some());
        Ok(Outcome { record, ..Outcome::default() })
    }

    /// Takes the operation that is done for a key as far as it goes, and those behind it.
    pub(super) fn advance(&mut self, key: &Key) {
        while let Some(work) = self.works.first(key) {
            let ended = match &work.stage {
                Stage::Waiting => self.inform(key),
                Stage::Asking(..) | Stage::Consulting(_) => None,
                Stage::Informed => self.execute(key),
                Stage::Writing(_) => self.written(key),
            };
            let Some(result) = ended else {
                let is_stuck = |work: &mut Work| !matches!(work.stage, Stage::Informed);
                if self.works.first(key).is_none_or(is_stuck) {
                    return;
                }
                continue;
            };
            if let Some(work) = self.works.end_first(key) {
                self.done(work.token, result);
            }
        }
    }

    /// Finds out what is under the key. Returns how the operation ends, if it does.
    fn inform(&mut self, key: &Key) -> Option<Result<Outcome, OperationError>> {
        let position = self.works.first(key)?.position;
        if !self.may_answer(position) {
            return Some(Err(OperationError::NotOwner));
        }
        if !self.has_newest(position, key) {
            self.ask_all(key);
            return None;
        }
        let work = self.works.first(key)?;
        let needs_others = matches!(work.consistency, Consistency::Quorum | Consistency::All);
        if work.operation == Operation::Get && needs_others && !self.group.members.is_empty() {
            work.stage = Stage::Consulting(Box::default());
            self.consult(key);
            return None;
        }
        work.stage = Stage::Informed;
        None
    }

    /// Asks everybody who may have something under the key.
    fn ask_all(&mut self, key: &Key) {
        let epoch = self.tenure.epoch();
        if let Some(work) = self.works.first(key) {
            let position = work.position;
            let is_settled = self.holdings.is_settled_at(position, self.now.elapsed);
            work.stage = Stage::Asking(Box::new(Walk::new(is_settled)), epoch);
            self.drive_key(key);
        }
    }

    fn drive_key(&mut self, key: &Key) {
        let Some(position) = self.works.first(key).map(|work| work.position) else { return };
        let known = self.who_may_have_copies_at(position);
        loop {
            let Some(Work { stage: Stage::Asking(walk, epoch), .. }) = self.works.first(key) else {
                return;
            };
            let epoch = *epoch;
            if epoch != self.tenure.epoch() {
                // Others may have written since those were asked who have answered.
                if let Some(work) = self.works.first(key) {
                    work.stage = Stage::Waiting;
                }
                return self.advance(key);
            }
            match walk.next(&self.me.name, &known, self.now.elapsed) {
                Next::Ask(peer) => {
                    let request = PeerRequest::Fetch { keys: vec![(position, key.clone())] };
                    self.send(&peer, request, Purpose::KeyOf(key.clone(), epoch));
                }
                Next::Wait => return,
                Next::Done => {
                    self.tenure.found_key(epoch, key);
                    if let Some(work) = self.works.first(key) {
                        work.stage = Stage::Informed;
                    }
                    return self.advance(key);
                }
            }
        }
    }

    pub(super) fn heard_key(
        &mut self,
        peer: &Peer,
        key: &Key,
        epoch: Epoch,
        answer: Result<AnswerBody, Failure>,
    ) {
        let told = match answer {
            Ok(AnswerBody::Fetched { standing, looked_at: 1.., records }) => {
                let records = records.into_iter().filter(|record| record.key == *key).collect();
                self.take_copies(records).map(|()| standing).map_err(|_| Untold::NotKept)
            }
            Ok(_) => Err(Failure::Silent.into()), // That it keeps no records, only its driver can tell.
            Err(failure) => Err(failure.into()),
        };
        if let Ok(standing) = &told {
            self.heard_standing(peer, standing);
        }
        let now = self.now.elapsed;
        let Some(Work { stage: Stage::Asking(walk, asked), .. }) = self.works.first(key) else { return };
        if *asked != epoch {
            return;
        }
        match told {
            Ok(standing) => walk.answered(&peer.name, standing),
            Err(why) => walk.untold(&peer.name, &why, now),
        }
        self.drive_key(key);
    }

    /// Asks the members of the group what they have under the key, until enough have told.
    fn consult(&mut self, key: &Key) {
        let peers = self.group.members.iter().map(|member| member.peer.clone()).collect();
        let peers = Sources { listed: peers, recalled: Vec::new() };
        let members = self.group.group.members.len();
        loop {
            let now = self.now.elapsed;
            let Some(work) = self.works.first(key) else { return };
            let (token, position) = (work.token, work.position);
            let wanted = self.settings.quorum(work.consistency, members);
            let Stage::Consulting(walk) = &mut work.stage else { return };
            if walk.n_answered() + 1 >= wanted {
                work.stage = Stage::Informed;
                return self.advance(key);
            }
            match walk.next(&self.me.name, &peers, now) {
                Next::Ask(peer) => {
                    let request = PeerRequest::Fetch { keys: vec![(position, key.clone())] };
                    self.send(&peer, request, Purpose::Consult(key.clone(), token));
                }
                Next::Wait | Next::Done => return,
            }
        }
    }

    pub(super) fn heard_consulted(
        &mut self,
        peer: &Peer,
        key: &Key,
        token: Token,
        answer: Result<AnswerBody, Failure>,
    ) {
        let told = match answer {
            Ok(AnswerBody::Fetched { looked_at: 1.., records, standing }) => {
                let records: Vec<Record> = records.into_iter().filter(|record| record.key == *key).collect();
                let version = records.first().map(|record| record.version);
                self.take_copies(records).map(|()| (version, standing))
            }
            Ok(_) => Err(Failure::Silent), // That it keeps no records, only its driver can tell.
            Err(failure) => Err(failure),
        };
        let now = self.now.elapsed;
        let Some(work) = self.works.first(key).filter(|work| work.token == token) else { return };
        let (position, Stage::Consulting(walk)) = (work.position, &mut work.stage) else { return };
        match told {
            Ok((theirs, standing)) => {
                walk.answered(&peer.name, standing);
                // Whoever has less is brought up to date.
                if let Ok(Some(ours)) = self.store.read(position, key)
                    && theirs.is_none_or(|theirs| theirs < ours.version)
                {
                    self.outboxes.add(peer, ours);
                }
            }
            Err(failure) => walk.failed(&peer.name, &failure, now),
        }
        self.consult(key);
    }

    /// Does what is to be done, now that it is known what is under the key.
    fn execute(&mut self, key: &Key) -> Option<Result<Outcome, OperationError>> {
        let work = self.works.first(key)?;
        let (position, proposal) = (work.position, work.proposal);
        if !self.may_answer(position) {
            return Some(Err(OperationError::NotOwner));
        }
        let stored = match self.store.read(position, key) {
            Ok(stored) => stored,
            Err(error) => return Some(Err(error.into())),
        };
        if self.notice_losses() {
            return self.inform(key);
        }
        if self.works.first(key)?.operation == Operation::Get {
            return match stored {
                Some(record) if self.unconfirmed.contains_key(key) => self.confirm_earlier(key, record),
                _ => Some(self.read_live(position, key)),
            };
        }
        let came_twice = |record: &Record| proposal == Proposal::Version(record.version);
        if stored.as_ref().is_some_and(came_twice) {
            #[cfg(feature = "defects")]
            if self.settings.has(super::Defect::ForgetsThatItCameTwice) {
                return self.begin_writing(key, stored?, Before::Nothing, Duplicate::Yes);
            }
            return self.begin_writing(key, stored?, Before::Unknown, Duplicate::Yes);
        }
        let version = match self.version_over(proposal, stored.as_ref()) {
            Ok(version) => version,
            Err(error) => return Some(Err(error)),
        };
        let now_ms = self.now.wall_ms;
        let value_bytes_max = self.settings.value_bytes_max;
        let circumstances =
            Circumstances { position, key, stored: stored.as_ref(), version, now_ms, value_bytes_max };
        let effect = match &self.works.first(key)?.operation {
            Operation::Change { change, condition, expiry } => {
                circumstances.effect(change, *condition, *expiry)
            }
            Operation::Get => Ok(Effect::Nothing),
        };
        match effect {
            Ok(Effect::Write(record)) => {
                if let Some(stored) = &stored {
                    self.note_expiry_of(stored);
                }
                let before = stored.filter(|record| record.live_value(now_ms).is_some());
                let before = before.map_or(Before::Nothing, Before::Record);
                self.begin_writing(key, record, before, Duplicate::No)
            }
            // Then it is decided anew.
            Ok(Effect::Nothing) | Err(OperationError::ConditionFailed { .. })
                if stored.is_some() && self.unconfirmed.contains_key(key) =>
            {
                self.confirm_earlier(key, stored?)
            }
            Ok(Effect::Nothing) => Some(Ok(Outcome::default())),
            Err(error) => Some(Err(error)),
        }
    }

    /// The version of a write over what is stored: the one that was proposed, if it is greater and to be believed.
    fn version_over(
        &mut self,
        proposal: Proposal,
        stored: Option<&Record>,
    ) -> Result<Version, OperationError> {
        let stored = stored.map(|record| record.version);
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::TrustsTheClock) {
            return Ok(Version::new(self.now.wall_ms, 0, self.me.position));
        }
        let soon_ms = u64::try_from(SOON.as_millis()).unwrap_or(u64::MAX);
        let proposed = match proposal {
            Proposal::Version(proposed) => proposed,
            Proposal::Soon(seen) if seen.time_ms().saturating_add(soon_ms) < self.now.wall_ms => {
                return Err(stored.map_or(OperationError::Busy, |stored| OperationError::Outdated { stored }));
            }
            Proposal::Soon(_) | Proposal::LeftToOwner => {
                let version = self.clock.next_after(self.now.wall_ms, self.me.position, stored.as_ref());
                let ahead_ms = version.time_ms().saturating_sub(self.now.wall_ms);
                return version
                    .can_be_surpassed()
                    .then_some(version)
                    .ok_or(crate::ClockAhead { ahead_ms }.into());
            }
        };
        if let Some(stored) = stored.filter(|stored| *stored >= proposed) {
            return Err(OperationError::Outdated { stored });
        }
        if let Err(ahead) = self.clock.observe(&proposed, self.now.wall_ms)
            && !stored.is_some_and(|stored| proposed.follows_closely(&stored))
        {
            return Err(ahead.into());
        }
        Ok(proposed)
    }

    /// A reader must not see what a crash could undo: first there must be enough copies of it.
    fn confirm_earlier(&mut self, key: &Key, record: Record) -> Option<Result<Outcome, OperationError>> {
        self.begin_writing(key, record, Before::Nothing, Duplicate::Earlier)
    }

    fn begin_writing(
        &mut self,
        key: &Key,
        record: Record,
        before: Before,
        duplicate: Duplicate,
    ) -> Option<Result<Outcome, OperationError>> {
        let sequence = match duplicate {
            Duplicate::No => match self.store.apply_one(&record) {
                Ok(applied) => applied.sequence,
                Err(error) => return Some(Err(error.into())),
            },
            // It was applied before, so everything that was is enough.
            Duplicate::Yes | Duplicate::Earlier => self.applied,
        };
        self.applied = self.applied.max(sequence);
        if self.durable() < sequence {
            self.undurable_writes.entry(sequence).or_default().push(key.clone());
        }
        for member in &mut self.group.members {
            member.is_behind |= !self.outboxes.add(&member.peer, record.clone());
        }
        let doubts = self.tenure.doubts();
        let sent = self.group.members.iter().map(|member| member.peer.name.clone()).collect();
        let work = self.works.first(key)?;
        work.stage = Stage::Writing(Box::new(Writing {
            record,
            before,
            sequence,
            doubts,
            is_earlier: duplicate == Duplicate::Earlier,
            sent,
            copies: BTreeSet::new(),
            newer: None,
        }));
        self.written(key)
    }

    /// Whether enough copies are made.
    fn written(&mut self, key: &Key) -> Option<Result<Outcome, OperationError>> {
        let durable = self.durable();
        let group = &self.group.group;
        let work = self.works.first(key)?;
        let Stage::Writing(writing) = &work.stage else { return None };
        let copies = writing.copies.iter().filter(|name| group.has(name)).count() + 1;
        // What another reads must survive as much as what was acknowledged.
        let consistency = if writing.is_earlier { Consistency::Usual } else { work.consistency };
        let wanted = self.settings.quorum(consistency, group.members.len());
        if let Some(newer) = writing.newer {
            let is_earlier = writing.is_earlier;
            self.remember_unconfirmed(key, newer);
            if !is_earlier {
                // Whoever wrote that may have seen this one, and built on it.
                return Some(Err(OperationError::TooFewCopies { copies, wanted }));
            }
            self.ask_all(key);
            return None;
        }
        let is_durable = durable >= writing.sequence;
        #[cfg(feature = "defects")]
        let (is_durable, wanted) = (
            is_durable || self.settings.has(super::Defect::AcknowledgesBeforeDurable),
            if self.settings.has(super::Defect::AcknowledgesAlone) { 1 } else { wanted },
        );
        if !self.tenure.answers_for(work.position) || writing.doubts != self.tenure.doubts() {
            // Whoever is the owner by now, or was meanwhile, may have looked before there was this record.
            let version = writing.record.version;
            self.remember_unconfirmed(key, version);
            return Some(Err(OperationError::TooFewCopies { copies, wanted }));
        }
        if !is_durable || copies < wanted {
            return None;
        }
        let work = self.works.first(key)?;
        let is_decided = work_is_decided(work);
        let Stage::Writing(writing) = std::mem::replace(&mut work.stage, Stage::Informed) else {
            return None;
        };
        let Writing { record, before, is_earlier, .. } = *writing;
        self.note_change(&record);
        // A newer one that some member has is brought here by the next comparison with it.
        if is_earlier || self.unconfirmed.get(key).is_some_and(|version| *version <= record.version) {
            self.unconfirmed.remove(key);
        }
        if !is_decided {
            return None;
        }
        // What an earlier one deleted, this one did not.
        let deleted = (record.is_tombstone() && !is_earlier).then_some(record.version);
        let record = Some(record).filter(|record| record.live_value(self.now.wall_ms).is_some());
        Some(Ok(Outcome { record, before, copies, deleted }))
    }

    fn remember_unconfirmed(&mut self, key: &Key, version: Version) {
        if self.unconfirmed.len() >= UNCONFIRMED_MAX {
            self.unconfirmed.pop_first();
        }
        self.unconfirmed.insert(key.clone(), version);
    }

    /// Up to where everything is as durable as acknowledgements wait for.
    pub(super) fn durable(&self) -> Sequence {
        if self.settings.waits_for_disk { self.store.durable() } else { self.applied }
    }

    /// Something has become durable: what waited for it goes on.
    pub(super) fn check_durable(&mut self) {
        let durable = self.durable();
        while self.undurable.front().is_some_and(|(sequence, ..)| *sequence <= durable) {
            match self.undurable.pop_front() {
                Some((_, token, Undurable::Answer(body))) => self.reply(token, body),
                Some((_, token, Undurable::Adopted(outcome))) => self.done(token, Ok(*outcome)),
                None => {}
            }
        }
        while let Some(entry) = self.undurable_writes.first_entry().filter(|entry| *entry.key() <= durable) {
            for key in entry.remove() {
                self.advance(&key);
            }
        }
    }

    /// Looks at every write again: the group has changed, or what is durable.
    pub(super) fn recheck_all(&mut self) {
        for key in self.works.keys() {
            self.advance(&key);
        }
    }

    /// Sends what waits for the members of the group.
    pub(super) fn flush(&mut self) {
        while let Some((peer, records)) = self.outboxes.next() {
            let group = self.group.group.clone();
            let batch = Batch::of(&records, group.id);
            self.send(&peer, PeerRequest::Store { group, records }, Purpose::Copies(batch));
        }
    }

    pub(super) fn heard_copies(&mut self, peer: &Peer, batch: &Batch, answer: Result<AnswerBody, Failure>) {
        self.outboxes.ended(&peer.name);
        let newer = match answer {
            Ok(AnswerBody::Stored { newer }) => Some(newer),
            Ok(_) | Err(_) => None,
        };
        if newer.as_ref().is_none_or(|newer| !newer.is_empty())
            && let Some(member) = self.group.member(&peer.name)
        {
            member.is_behind = true;
            member.due_at = member.due_at.min(self.now.elapsed + super::repair::RETRY_PAUSE);
        }
        for (idx, (key, version)) in batch.writes.iter().enumerate() {
            let Some(Work { stage: Stage::Writing(writing), .. }) = self.works.first(key) else { continue };
            if writing.record.version != *version {
                continue;
            }
            match &newer {
                Some(newer) => match newer.iter().find(|(newer_idx, _)| *newer_idx == idx) {
                    Some((_, newer)) => writing.newer = Some(*newer),
                    None => drop(writing.copies.insert(peer.name.clone())),
                },
                None => drop(writing.sent.remove(&peer.name)),
            }
            self.advance(key);
        }
    }

    /// Sends copies again that did not reach a member, and to new members.
    pub(super) fn retry_copies(&mut self) {
        for member in &mut self.group.members {
            let name = &member.peer.name;
            for writing in self.works.being_written_mut() {
                if !writing.sent.contains(name) && !writing.copies.contains(name) {
                    member.is_behind |= !self.outboxes.add(&member.peer, writing.record.clone());
                    writing.sent.insert(name.clone());
                }
            }
        }
    }

    /// Asks again those who did not tell what they have.
    pub(super) fn retry_keys(&mut self) {
        for key in self.works.asking() {
            self.drive_key(&key);
            self.consult(&key);
        }
    }

    /// Ends the operations whose time is over.
    pub(super) fn end_overdue(&mut self) {
        let now = self.now.elapsed;
        for work in self.works.take_overdue(now) {
            self.done(work.token, Err(OperationError::Busy));
        }
        for key in self.works.overdue(now) {
            let members = self.group.group.members.clone();
            let Some(work) = self.works.first(&key) else { continue };
            let error = match &work.stage {
                Stage::Writing(writing) if !writing.is_earlier => {
                    let copies = writing.copies.iter().filter(|name| members.contains(name)).count() + 1;
                    let wanted = self.settings.quorum(work.consistency, members.len());
                    let version = writing.record.version;
                    self.remember_unconfirmed(&key, version);
                    OperationError::TooFewCopies { copies, wanted }
                }
                Stage::Waiting
                | Stage::Asking(..)
                | Stage::Consulting(_)
                | Stage::Informed
                | Stage::Writing(_) => OperationError::Unanswered,
            };
            if let Some(work) = self.works.end_first(&key) {
                self.done(work.token, Err(error));
            }
            self.advance(&key);
        }
    }

    /// Merges copies that came from another node.
    pub(super) fn take_copies(&mut self, records: Vec<Record>) -> Result<(), Failure> {
        let records: Vec<Record> = records.into_iter().filter(|record| self.is_sound(record)).collect();
        if records.is_empty() {
            return Ok(());
        }
        self.budget.spend_on(&records);
        self.repaired.fetched.note(&records);
        self.note_versions(&records);
        let watched = self.watched_of(&records);
        let applied = match self.tenure.range().filter(|_| self.answered_for.is_none()) {
            Some(own) => self.apply_handed_over(own, records),
            None => self.store.apply(records),
        };
        match applied {
            Ok(applied) => {
                self.applied = self.applied.max(applied.sequence);
                self.note_changes_found(&watched);
                Ok(())
            }
            Err(error) => {
                self.report(error);
                Err(Failure::Silent)
            }
        }
    }

    /// Whether a record lies where its key does, and can be replaced. Others are nobody's honest copy.
    pub(super) fn is_sound(&self, record: &Record) -> bool {
        record.key.position(self.settings.size) == record.position
            && record.version.is_plausible(self.now.wall_ms)
    }

    /// New versions surpass all that were seen, unless a clock was so far ahead that it is not to be followed.
    pub(super) fn note_versions(&mut self, records: &[Record]) {
        for record in records {
            let _ = self.clock.observe(&record.version, self.now.wall_ms);
        }
    }
}

/// Whether what is being copied is what the operation does, and not what an earlier one left that it must not be decided by
/// before there are enough copies.
fn work_is_decided(work: &Work) -> bool {
    match &work.stage {
        Stage::Writing(writing) => !writing.is_earlier || work.operation == Operation::Get,
        Stage::Waiting | Stage::Asking(..) | Stage::Consulting(_) | Stage::Informed => true,
    }
}
