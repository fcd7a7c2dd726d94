//! The disk engine keeps the contract of engines, whether records are in the file yet or not.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "../../chord-kv/tests/contract/mod.rs"]
mod contract;
mod support;

use std::path::Path;

use chord_disk::{DiskStore, Options};
use chord_kv::{
    Applied, Cursor, Digest, Key, Page, PageLimit, Range, Record, Sequence, Store, StoreError, Usage, Version,
};
use chord_ring::{Position, RingSize};
use contract::{any_case, any_record, shuffled_case};
use proptest::prelude::*;
use support::{identity, scratch};
use tempfile::TempDir;

struct Disk;

/// A store and the directory that it lies in.
struct Kept {
    store: Option<DiskStore>,
    dir: TempDir,
    options: Options,
}

impl Kept {
    fn open(dir: &Path, options: &Options) -> DiskStore {
        DiskStore::open(dir, options.clone()).unwrap()
    }

    fn store(&self) -> &DiskStore {
        self.store.as_ref().expect("it is open")
    }
}

impl contract::Engine for Disk {
    type Store = Kept;

    const CASES: u32 = 24;

    fn new(size: RingSize, bytes_limit: u64) -> Kept {
        let dir = scratch();
        let mut options = Options::new(identity());
        options.identity.size = size;
        options.bytes_limit = bytes_limit;
        Kept { store: Some(Kept::open(dir.path(), &options)), dir, options }
    }

    fn settled(mut store: Kept) -> Kept {
        store.store.take().expect("it is open").close().unwrap();
        store.store = Some(Kept::open(store.dir.path(), &store.options));
        assert!(store.store().report().is_clean(), "{}", store.store().report());
        store
    }
}

impl Store for Kept {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        self.store().read(position, key)
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        self.store().apply(batch)
    }

    fn durable(&self) -> Sequence {
        self.store().durable()
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        self.store().range(range, cursor, limit)
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        self.store().remove(position, key, version)
    }

    fn usage(&self) -> Usage {
        self.store().usage()
    }

    fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        self.store().digest(range)
    }
}

contract!(Disk);
