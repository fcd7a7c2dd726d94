//! What a node answers to others about its records.

use chord_ring::{Peer, Position, Token};

use super::holdings::is_within;
use super::message::{
    Account, AnswerBody, Claim, Denial, Group, Header, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, PeerAnswer,
    PeerRequest, Standing, Verdict,
};
use super::sync::{PAGE, compare};
use super::{Output, RECALLED_MAX, REPLICAS_MAX, Replicator, UNDURABLE_MAX, Undurable};
use crate::{Cursor, Key, Range, Record, StoreError, Version};

impl Replicator {
    pub(super) fn answer(&mut self, token: Token, from: &Peer, request: PeerRequest) {
        let body = match request {
            PeerRequest::Vouch => Ok(AnswerBody::Vouched(
                self.neighbours.is_member && self.neighbours.successors.first() == Some(from),
            )),
            PeerRequest::Succeed { member_for } => {
                Ok(AnswerBody::Yielded(self.holdings.yield_to(from, member_for, self.now.elapsed)))
            }
            PeerRequest::Store { group, records } => match self.keep(from, &group, records) {
                // The answer says that they are durable.
                Ok(newer) => {
                    return self.reply_when_durable(token, AnswerBody::Stored { newer });
                }
                Err(denial) => Err(denial),
            },
            PeerRequest::Confirm { group } => self.confirmed(from, &group),
            PeerRequest::Compare { range, digest } => {
                compare(&*self.store, range, digest, self.settings.size)
                    .map(|comparison| AnswerBody::Compared { standing: self.standing(range), comparison })
                    .map_err(|error| self.deny(error))
            }
            PeerRequest::List { range, cursor } => self.list(range, cursor.as_ref()),
            PeerRequest::Pull { range, cursor } => self.page(range, cursor.as_ref()),
            PeerRequest::Fetch { keys } => self.fetch(&keys),
            PeerRequest::Offer { headers, leaving } => match self.judge_all(from, &headers, leaving) {
                // What may be dropped must be durable here.
                Ok(judged) => return self.reply_when_durable(token, judged),
                Err(denial) => Err(denial),
            },
            PeerRequest::Deliver { records } => match self.take_delivery(records) {
                Ok(count) => return self.reply_when_durable(token, AnswerBody::Delivered(count)),
                Err(denial) => Err(denial),
            },
            PeerRequest::Watch { interests } => self.subscribe(from, interests),
            PeerRequest::Notify { deliveries } => {
                self.hear_notices(from, deliveries).map(AnswerBody::Notified)
            }
            PeerRequest::Purge { group, headers } => self.purge_copies(from, &group, &headers),
        };
        self.reply(token, body.unwrap_or_else(AnswerBody::Refused));
    }

    pub(super) fn reply(&mut self, token: Token, body: AnswerBody) {
        let leaving = self.leaving.is_some();
        self.outputs.push_back(Output::Reply(token, PeerAnswer { leaving, body }));
    }

    fn reply_when_durable(&mut self, token: Token, body: AnswerBody) {
        #[cfg(feature = "defects")]
        if self.settings.has(super::Defect::AcknowledgesBeforeDurable) {
            return self.reply(token, body);
        }
        if self.undurable.len() >= UNDURABLE_MAX {
            return self.reply(token, AnswerBody::Refused(Denial::Store));
        }
        self.undurable.push_back((self.applied, token, Undurable::Answer(body)));
    }

    fn deny(&mut self, error: StoreError) -> Denial {
        self.report(error);
        Denial::Store
    }

    /// Copies from an owner. Returns what is newer here, by the index of what it is newer than.
    fn keep(
        &mut self,
        from: &Peer,
        group: &Group,
        records: Vec<Record>,
    ) -> Result<Vec<(usize, Version)>, Denial> {
        self.check_member(from, group)?;
        let range = group.range();
        let is_sound = |record: &Record| range.contains(record.position) && self.is_sound(record);
        if records.len() > MESSAGE_RECORDS_MAX || !records.iter().all(is_sound) {
            return Err(Denial::Senseless);
        }
        if records.iter().any(|record| self.tenure.answers_for(record.position)) {
            return Err(Denial::NotOwner);
        }
        self.note_versions(&records);
        let headers: Vec<Header> = records.iter().map(Header::from).collect();
        let applied = self.store.apply(records).map_err(|error| self.deny(error))?;
        self.applied = self.applied.max(applied.sequence);
        if applied.news == headers.len() {
            return Ok(Vec::new());
        }
        let mut newer = Vec::new();
        for (idx, header) in headers.iter().enumerate() {
            let stored = self.store.read(header.position, &header.key).map_err(|error| self.deny(error))?;
            newer.extend(
                stored.filter(|stored| stored.version > header.version).map(|stored| (idx, stored.version)),
            );
        }
        Ok(newer)
    }

    /// Whether this node is a member of that group, by the word of its owner, and knows of no later one.
    fn check_member(&mut self, from: &Peer, group: &Group) -> Result<(), Denial> {
        if !self.neighbours.is_member {
            return Err(Denial::NotMember);
        }
        let is_owners = *from == group.owner && group.id.writer() == group.owner.position;
        let is_bounded =
            group.members.len() <= usize::from(REPLICAS_MAX) + 1 && group.id.is_plausible(self.now.wall_ms);
        if !is_owners || !is_bounded || !group.has(&self.me.name) || group.owner == self.me {
            return Err(Denial::Senseless);
        }
        self.holdings.hear(group, self.now.elapsed)
    }

    fn confirmed(&mut self, from: &Peer, group: &Group) -> Result<AnswerBody, Denial> {
        self.check_member(from, group)?;
        self.holdings.confirm(group, self.now.elapsed)?;
        Ok(AnswerBody::Done)
    }

    fn standing(&self, range: Range) -> Standing {
        self.standing_if(self.holdings.cover(range, self.tenure.complete_range(), self.now.elapsed))
    }

    fn standing_at(&self, position: Position) -> Standing {
        self.standing_if(self.is_settled_at(position))
    }

    /// Whether this node has everything at that position, by its own account.
    pub(super) fn is_settled_at(&self, position: Position) -> bool {
        let own = self.tenure.complete_range();
        own.is_some_and(|own| own.contains(position))
            || self.holdings.is_settled_at(position, self.now.elapsed)
    }

    fn standing_if(&self, is_settled: bool) -> Standing {
        if is_settled {
            return Standing { is_settled, beyond: Vec::new() };
        }
        // What this node lacks, those of its last life may have.
        let beyond = self.neighbours.successors.iter().chain(self.recalled()).cloned();
        Standing { is_settled, beyond: beyond.take(RECALLED_MAX).collect() }
    }

    fn list(&mut self, range: Range, cursor: Option<&Cursor>) -> Result<AnswerBody, Denial> {
        let page = self.store.range(&range, cursor, PAGE).map_err(|error| self.deny_read(error))?;
        let headers = page.records.iter().map(Header::from).collect();
        self.notice_losses(); // What was found damaged just now is not in the list.
        Ok(AnswerBody::Listed { account: self.account(range), headers, next: page.next })
    }

    fn account(&self, range: Range) -> Account {
        let is_in = |own: Range| is_within(range, own);
        let own = self.tenure.complete_range();
        #[cfg(feature = "defects")]
        let own = if self.settings.has(super::Defect::ListsBlindly) { self.tenure.range() } else { own };
        let is_settled = self.holdings.cover(range, own, self.now.elapsed);
        let known = self.who_may_have_copies();
        if own.is_some_and(is_in) {
            let near = known.listed.into_iter().take(1).collect();
            return Account { claim: Claim::Whole, is_settled, near, recalled: Vec::new() };
        }
        let owns = self.tenure.range().is_some_and(is_in);
        let claim = if owns { Claim::Part(self.tenure.epoch().number()) } else { Claim::Nothing };
        Account { claim, is_settled, near: known.listed, recalled: known.recalled }
    }

    fn page(&mut self, range: Range, cursor: Option<&Cursor>) -> Result<AnswerBody, Denial> {
        let page = self.store.range(&range, cursor, PAGE).map_err(|error| self.deny_read(error))?;
        Ok(AnswerBody::Page { records: page.records, next: page.next })
    }

    /// A cursor that lies outside of the range is the asker's fault.
    fn deny_read(&mut self, error: StoreError) -> Denial {
        if error == StoreError::ForeignCursor { Denial::Senseless } else { self.deny(error) }
    }

    fn fetch(&mut self, keys: &[(Position, Key)]) -> Result<AnswerBody, Denial> {
        let is_sound = |(position, key): &(Position, Key)| key.position(self.settings.size) == *position;
        if keys.is_empty() || keys.len() > MESSAGE_RECORDS_MAX || !keys.iter().all(is_sound) {
            return Err(Denial::Senseless);
        }
        let (mut records, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
        for (position, key) in keys {
            if bytes > MESSAGE_BYTES_MAX {
                break;
            }
            let record = self.store.read(*position, key).map_err(|error| self.deny(error))?;
            bytes += record.as_ref().map_or(0, Record::size_bytes);
            records.extend(record);
            looked_at += 1;
        }
        let standing = match keys {
            [(position, _)] => self.standing_at(*position),
            _ => Standing::default(), // A list of keys comes from one who knows it already.
        };
        Ok(AnswerBody::Fetched { standing, looked_at, records })
    }

    fn judge_all(&mut self, from: &Peer, headers: &[Header], leaving: bool) -> Result<AnswerBody, Denial> {
        if headers.len() > MESSAGE_RECORDS_MAX {
            return Err(Denial::Senseless);
        }
        if leaving && self.unreliable.add(&from.name, self.now.elapsed) {
            self.regroup();
        }
        let verdicts = headers.iter().map(|header| self.judge(from, header)).collect::<Result<_, _>>();
        verdicts.map(AnswerBody::Judged).map_err(|error| self.deny(error))
    }

    fn judge(&self, from: &Peer, header: &Header) -> Result<Verdict, StoreError> {
        let Header { position, key, version, .. } = header;
        if !self.tenure.answers_for(*position) {
            return Ok(Verdict::NotMine);
        }
        if self.group.group.has(&from.name) || !self.has_newest(*position, key) {
            return Ok(Verdict::Keep);
        }
        match self.store.read(*position, key)? {
            Some(record) if record.version >= *version => {
                let is_kept = self.tenure.is_complete() && self.group.is_synced();
                Ok(if is_kept && self.works.is_free(key) { Verdict::Drop } else { Verdict::Keep })
            }
            // It was here, and is over for everybody.
            None if self.is_purgeable(header) => Ok(Verdict::Drop),
            Some(_) | None => Ok(Verdict::Deliver),
        }
    }

    /// Records that another node has kept for this one. That node goes on to keep them until all members have them.
    fn take_delivery(&mut self, records: Vec<Record>) -> Result<usize, Denial> {
        if records.len() > MESSAGE_RECORDS_MAX || !records.iter().all(|record| self.is_sound(record)) {
            return Err(Denial::Senseless);
        }
        let records: Vec<Record> =
            records.into_iter().take_while(|record| self.tenure.answers_for(record.position)).collect();
        let count = records.len();
        for member in &mut self.group.members {
            for record in &records {
                self.outboxes.add(&member.peer, record.clone());
            }
            // Only what begins after this tells whether it has them.
            member.is_behind = true;
            member.due_at = member.due_at.min(self.now.elapsed + super::repair::RETRY_PAUSE);
        }
        match self.take_copies(records) {
            Ok(()) => Ok(count),
            Err(_) => Err(Denial::Store),
        }
    }

    fn purge_copies(&mut self, from: &Peer, group: &Group, headers: &[Header]) -> Result<AnswerBody, Denial> {
        self.check_member(from, group)?;
        let range = group.range();
        for header in headers.iter().take(MESSAGE_RECORDS_MAX) {
            let Header { position, key, version, .. } = header;
            let Some(stored) = self.store.read(*position, key).map_err(|error| self.deny(error))? else {
                continue;
            };
            // What is older than that goes with it: it would come back.
            let is_over = stored.live_value(self.now.wall_ms).is_none() && stored.version == *version;
            if range.contains(*position) && (is_over || stored.version < *version) {
                self.store.remove(*position, key, &stored.version).map_err(|error| self.deny(error))?;
            }
        }
        Ok(AnswerBody::Done)
    }
}
