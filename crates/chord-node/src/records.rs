//! This node's own records: what it reads and writes itself, whoever owns the key.

use chord_kv::{Key, Record, Value};
use chord_ring::Position;

use crate::OperationError;
use crate::links::lock;
use crate::shared::{Shared, now_ms};

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
        self.store.apply(vec![record.clone()])?;
        Ok(record)
    }

    /// Stores a record that another node hands over, under the version that it has.
    pub(crate) fn accept(&self, record: Record) -> Result<(), OperationError> {
        if let Err(ahead) = lock(&self.clock).observe(&record.version, now_ms()) {
            tracing::warn!("a record was handed over: {ahead}");
        }
        self.store.apply(vec![record])?;
        Ok(())
    }
}
