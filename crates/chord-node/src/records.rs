//! This node's own records: what it reads and writes itself, whoever owns the key.

use chord_kv::{Key, PageLimit, Range, Record, StoreError, Value};
use chord_ring::{Position, Refusal};

use crate::OperationError;
use crate::links::lock;
use crate::shared::{Shared, Stage, now_ms};

impl Shared {
    /// What this node has under `key`: live, neither deleted nor expired.
    pub(crate) fn live_record(
        &self,
        position: Position,
        key: &Key,
    ) -> Result<Option<Record>, OperationError> {
        let now_ms = now_ms();
        let record = self.store.read(position, key)?;
        Ok(record.filter(|record| record.live_value(now_ms).is_some()))
    }

    /// The value that this node has under `key`.
    pub(crate) fn read(&self, position: Position, key: &Key) -> Result<Option<Value>, OperationError> {
        Ok(self.live_record(position, key)?.and_then(|record| record.value))
    }

    /// Stores a pair here, with a version newer than the one that is there.
    pub(crate) fn write(
        &self,
        position: Position,
        key: &Key,
        value: Value,
    ) -> Result<Record, OperationError> {
        // Held over the store as well, so that two writes of one key get their versions in the order of their effects.
        let mut clock = lock(&self.clock);
        let old = self.store.read(position, key)?.map(|record| record.version);
        let version = clock.next_after(now_ms(), self.me.position, old.as_ref());
        let record = Record { position, key: key.clone(), value: Some(value), version, expires_at_ms: None };
        if self.store.apply(vec![record.clone()])?.news == 0 {
            let reason = "a newer version of the record is there".to_owned();
            return Err(StoreError::Failed { reason }.into());
        }
        Ok(record)
    }

    /// Stores a pair that was sent to this node itself: without a version it is a new write, with one it is a record that
    /// another node hands over. A node that leaves takes nothing more: it would be lost with it.
    pub(crate) fn write_here(
        &self,
        position: Position,
        key: &Key,
        value: Value,
        handed_over: Option<Record>,
    ) -> Result<(), OperationError> {
        if !self.view.load().is_member() || self.stage() != Stage::Running {
            return Err(Refusal::NotMember.into());
        }
        match handed_over {
            Some(record) => self.accept(record)?,
            None => self.write(position, key, value).map(|_| ())?,
        }
        // Had the departure begun meanwhile, its scan might have passed this record by.
        if self.stage() == Stage::Running { Ok(()) } else { Err(OperationError::Stopping) }
    }

    /// Stores a record under the version that it has. One from too far in the future is refused: no later write could
    /// ever replace it.
    pub(crate) fn accept(&self, record: Record) -> Result<(), OperationError> {
        lock(&self.clock).observe(&record.version, now_ms())?;
        self.store.apply(vec![record])?;
        Ok(())
    }

    /// Whether this node has no record that it does not own.
    pub(crate) fn holds_only_its_own(&self) -> Result<bool, StoreError> {
        const ONE: PageLimit = PageLimit { records: std::num::NonZeroUsize::MIN, bytes: 0 };
        match self.beyond() {
            Some(beyond) => Ok(self.store.range(&beyond, None, ONE)?.records.is_empty()),
            // Alone it owns everything; otherwise it cannot tell.
            None => Ok(self.view.load().is_alone()),
        }
    }

    /// The positions that this node does not own, if it knows which.
    pub(crate) fn beyond(&self) -> Option<Range> {
        let view = self.view.load();
        let predecessor = view.predecessor().filter(|_| view.is_member())?;
        Some(Range { after: self.me.position, up_to: predecessor.position })
    }
}
