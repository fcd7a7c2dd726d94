//! Adopting: records that come from nodes of another program, which knows no versions.

use chord_ring::Token;

use super::operation::{OperationError, Outcome};
use super::{Output, Replicator, repair};
use crate::{Key, Record, Value, Version};

impl Replicator {
    /// A node of another program leaves a record here: it goes, or this one has come to own the key. Nobody knows how old
    /// the record is, so it is stored only where nothing is that has a time.
    pub(super) fn adopt(&mut self, token: Token, key: Key, value: Value) {
        let adopted = self.try_adopt(key, value);
        self.outputs.push_back(Output::Done(token, adopted));
    }

    fn try_adopt(&mut self, key: Key, value: Value) -> Result<Outcome, OperationError> {
        if !self.neighbours.is_member {
            return Err(OperationError::NotOwner);
        }
        if self.leaving.is_some() {
            return Err(OperationError::Busy); // It would end with this node.
        }
        let position = key.position(self.settings.size);
        let stored = self.store.read(position, &key)?.map(|stored| stored.version);
        let version = Version::of_unknown_age(stored.as_ref(), self.me.position);
        let record = Record { position, key, value: Some(value), version, expires_at_ms: None };
        let applied = self.store.apply(vec![record.clone()])?;
        self.applied = self.applied.max(applied.sequence);
        if self.tenure.answers_for(position) {
            for member in &mut self.group.members {
                self.outboxes.add(&member.peer, record.clone());
                member.is_behind = true;
                member.due_at = member.due_at.min(self.now.elapsed + repair::RETRY_PAUSE);
            }
        } else {
            self.hasten_sweep();
        }
        Ok(Outcome { record: Some(record), before: None, copies: 1 })
    }
}
