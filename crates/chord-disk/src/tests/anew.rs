//! Files of the tree that are made anew, on a disk whose syncs begin to fail at some moment.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chord_kv::{Health, Record, Store};
use redb::StorageBackend;
use tempfile::TempDir;

use super::{options, record, scratch, wait_durable, wait_until};
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
    let tree = Medium::file_through(dir.join(RECORDS_FILE), Box::new(open));
    Files { tree: tree.with_marker(), ..Files::of(dir) }
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

/// The file of the tree itself, whatever its name, and whether it is said to be unsynced.
#[cfg(unix)]
fn tree_of(dir: &Path) -> (u64, bool) {
    let file = fs::metadata(dir.join(RECORDS_FILE)).unwrap();
    (std::os::unix::fs::MetadataExt::ino(&file), dir.join("records.unsynced").exists())
}

/// The system may take for written what a failed sync should have written, and show it to the next process.
#[cfg(unix)]
#[test]
fn a_tree_whose_sync_has_failed_is_written_anew_by_the_next_process() {
    let dir = killed();
    let syncs_left = Arc::new(AtomicU64::new(u64::MAX));
    let store = DiskStore::open_on(unsteady(dir.path(), &syncs_left), dir.path(), options()).unwrap();
    write(&store, 5);
    syncs_left.store(0, Ordering::Relaxed);
    store.want_tree();
    wait_until("the failure is known", || store.health() != Health::Good);
    store.close().unwrap_err();
    let (unsynced, is_marked) = tree_of(dir.path());
    assert!(is_marked);

    // Nor does it help that the next one cannot sync it either.
    syncs_left.store(0, Ordering::Relaxed);
    DiskStore::open_on(unsteady(dir.path(), &syncs_left), dir.path(), options()).unwrap_err();
    assert!(tree_of(dir.path()).1);
    let before = tree_of(dir.path()).0;
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    assert!((1..6).all(|n| read(&store, n) == Some(record(n, 1))));
    let (synced, is_marked) = tree_of(dir.path());
    assert!(![unsynced, before].contains(&synced) && !is_marked);
    store.close().unwrap();
    DiskStore::open(dir.path(), options()).unwrap();
    assert_eq!(tree_of(dir.path()), (synced, false), "once is enough");
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
