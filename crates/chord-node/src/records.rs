//! This node's own records: what it reads and writes itself, whoever owns the key.

use std::sync::atomic::Ordering;

use chord_kv::{ClockAhead, Key, PageLimit, Range, Record, StoreError, Value, Version};
use chord_ring::{Position, Refusal};

use crate::OperationError;
use crate::links::lock;
use crate::shared::{Shared, Stage, now_ms};

/// A record that another node wants to leave here.
pub(crate) struct Delivery {
    pub(crate) key: Key,
    pub(crate) value: Value,
    /// The version that it has; a seed node does not send one.
    pub(crate) version: Option<Version>,
    pub(crate) expires_at_ms: Option<u64>,
    /// Whether the sender takes this node for the owner; else it leaves, and this node is its heir.
    pub(crate) is_for_owner: bool,
}

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

    /// A version for a new write, greater than `stored`, which stands in its way.
    pub(crate) fn propose(&self, stored: Option<&Version>) -> Version {
        lock(&self.clock).next_after(now_ms(), self.me.position, stored)
    }

    /// Stores a write under the version that was proposed for it, unless a newer one is there. The same version is the
    /// same write, which came twice.
    pub(crate) fn write(&self, record: &Record) -> Result<(), OperationError> {
        if let Err(ahead) = self.believe(&record.version)
            && !self.surpasses_by_the_least(record)?
        {
            return Err(ahead.into());
        }
        if self.store.apply(vec![record.clone()])?.news > 0 {
            return Ok(());
        }
        match self.store.read(record.position, &record.key)?.map(|stored| stored.version) {
            Some(stored) if stored == record.version => Ok(()),
            Some(stored) if stored > record.version => Err(OperationError::Outdated { stored }),
            // The newer one has just gone to another owner.
            Some(_) | None => Err(Refusal::NoRoute.into()),
        }
    }

    /// A clock that was ahead once has left a record from the future. What surpasses just that one is taken: otherwise the
    /// key could not be written until its time comes.
    fn surpasses_by_the_least(&self, record: &Record) -> Result<bool, StoreError> {
        let stored = self.store.read(record.position, &record.key)?;
        Ok(stored.is_some_and(|stored| record.version.follows_closely(&stored.version)))
    }

    fn believe(&self, version: &Version) -> Result<(), ClockAhead> {
        lock(&self.clock).observe(version, now_ms())
    }

    /// Stores a record that another node leaves here. A node that leaves itself takes nothing more: it would be lost with
    /// it. Nor does one take for its own what it may not answer for: who may, would not look for it here.
    pub(crate) fn take_in(&self, delivery: Delivery) -> Result<(), OperationError> {
        let is_left_here = !delivery.is_for_owner;
        let taken = self.try_take_in(delivery);
        if is_left_here && taken.is_err() {
            // Before the sender hears of it, and goes on to the next.
            self.was_passed_by.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// Whether what a leaver had may have gone past this node, to one beyond it.
    pub(crate) fn was_passed_by(&self) -> bool {
        self.was_passed_by.load(Ordering::Relaxed)
    }

    fn try_take_in(&self, delivery: Delivery) -> Result<(), OperationError> {
        let Delivery { key, value, version, expires_at_ms, is_for_owner } = delivery;
        let position = key.position(self.ring.size);
        if !self.view.load().is_member() || self.stage() != Stage::Running {
            return Err(Refusal::NotMember.into());
        }
        if is_for_owner && !self.answers_for(position) {
            return Err(Refusal::NoRoute.into());
        }
        let record =
            |version| Record { position, key: key.clone(), value: Some(value), version, expires_at_ms };
        match version {
            Some(version) => self.accept(record(version))?,
            None => self.accept_of_unknown_age(position, &key, record)?,
        }
        // Who has come between meanwhile may have looked here before this record was stored: its sender must keep it.
        if is_for_owner && !self.answers_for(position) {
            return Err(Refusal::NoRoute.into());
        }
        // Had the departure begun meanwhile, its scan might have passed this record by.
        if self.stage() == Stage::Running { Ok(()) } else { Err(OperationError::Stopping) }
    }

    /// Stores a copy of a record under the version that it has. That may lie far in the future: the write was taken when
    /// this clock, or that of the node that has it, was another, and refused here it would be lost. The clock does not
    /// follow it, and later writes surpass it; only what no later write could surpass is refused.
    pub(crate) fn accept(&self, record: Record) -> Result<(), OperationError> {
        if let Err(ahead) = self.believe(&record.version)
            && !record.version.can_be_surpassed()
        {
            return Err(ahead.into());
        }
        self.store.apply(vec![record])?;
        Ok(())
    }

    /// Stores a record of which nobody knows when it was written: only where nothing else is, here and wherever it goes
    /// from here.
    fn accept_of_unknown_age(
        &self,
        position: Position,
        key: &Key,
        record: impl FnOnce(Version) -> Record,
    ) -> Result<(), StoreError> {
        // Held over the store as well, so that two of them do not get the same version.
        let _clock = lock(&self.clock);
        let stored = self.store.read(position, key)?.map(|stored| stored.version);
        let version = Version::of_unknown_age(stored.as_ref(), self.me.position);
        self.store.apply(vec![record(version)]).map(|_| ())
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
