//! Files of the tree that are made anew, on a disk whose syncs begin to fail at some moment.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chord_kv::{Record, Store};
use redb::StorageBackend;
use tempfile::TempDir;

use super::{options, record, scratch, wait_durable};
use crate::DiskStore;
use crate::medium::{Medium, open_file};
use crate::store::{Files, RECORDS_FILE};

/// A real file of which so many syncs succeed, and none after that.
#[derive(Debug)]
struct Unsteady {
    file: Box<dyn StorageBackend>,
    syncs_left: Arc<AtomicU64>,
}

impl StorageBackend for Unsteady {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let fewer = |left: u64| left.checked_sub(1);
        let left = self.syncs_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        left.map_err(|_| io::Error::other("the disk is broken"))?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// The files of a directory with such a tree.
fn unsteady(dir: &Path, syncs_left: &Arc<AtomicU64>) -> Files {
    let syncs_left = Arc::clone(syncs_left);
    let open = move |path: &Path| -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(Unsteady { file: open_file(path)?, syncs_left: Arc::clone(&syncs_left) }))
    };
    Files { tree: Medium::file_through(dir.join(RECORDS_FILE), Box::new(open)), ..Files::of(dir) }
}

fn write(store: &DiskStore, n: u32) {
    let applied = store.apply(vec![record(n, 1)]).unwrap();
    wait_durable(store, applied.sequence);
}

fn read(store: &DiskStore, n: u32) -> Option<Record> {
    store.read(record(n, 1).position, &record(n, 1).key).unwrap()
}

/// What a kill leaves of a directory with one record in the tree and three in the log.
fn killed() -> TempDir {
    let (dir, copy) = (scratch(), scratch());
    let store = DiskStore::open(dir.path(), options()).unwrap();
    write(&store, 1);
    store.close().unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    (2..5).for_each(|n| write(&store, n));
    for name in ["identity.json", RECORDS_FILE, "records.log"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn a_start_that_fails_while_it_begins_a_tree_leaves_no_half_of_one_to_the_next() {
    for (syncs, tree) in (0..8).flat_map(|syncs| [(syncs, ""), (syncs, "nonsense nonsense")]) {
        let dir = killed();
        fs::write(dir.path().join(RECORDS_FILE), tree.repeat(500)).unwrap();
        let files = unsteady(dir.path(), &Arc::new(AtomicU64::new(syncs)));
        drop(DiskStore::open_on(files, dir.path(), options()));
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let report = store.report();
        assert!(report.log_damage.is_none(), "{syncs} syncs: {report}");
        assert!((2..5).all(|n| read(&store, n) == Some(record(n, 1))), "{syncs} syncs: {report}");
        assert!(!dir.path().join("records.new").exists());
    }
}
