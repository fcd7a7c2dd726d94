//! Disks that are full or broken for a while.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chord_kv::{Health, PageLimit, Range, Store, StoreError};
use tempfile::TempDir;

use super::tape::{Failure, File, Tape};
use super::{options, record, scratch, wait_durable, wait_until};
use crate::{DiskStore, Options, Sync};

fn open(options: Options) -> (Tape, TempDir, DiskStore) {
    let (tape, dir) = (Tape::default(), scratch());
    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options).unwrap();
    (tape, dir, store)
}

fn reason_of(store: &DiskStore) -> Option<(String, String)> {
    match store.health() {
        Health::NotWriting { reason, remedy } => Some((reason, remedy)),
        _ => None,
    }
}

/// While a disk fails, what is there is read, nothing new is taken, and nothing is called durable; then all is well.
fn check_a_failure_that_passes(failure: Failure, remedy: &str) {
    let (tape, dir, store) = open(options());
    let before = store.apply((0..50).map(|n| record(n, 1)).collect()).unwrap();
    wait_durable(&store, before.sequence);
    tape.fail(Some(failure));
    let caught = store.apply(vec![record(7, 2), record(60, 1)]).unwrap();
    wait_until("the failure is known", || reason_of(&store).is_some());
    assert!(reason_of(&store).unwrap().1.contains(remedy), "{:?}", reason_of(&store));
    assert_eq!(store.durable(), before.sequence, "a failed commit is not durable");

    let refused = store.apply(vec![record(8, 2)]).unwrap_err();
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
    assert!(refused.to_string().contains(remedy), "{refused}");
    assert_eq!(store.apply(vec![record(8, 1)]).unwrap().news, 0, "what is known is no news");
    for n in 0..50 {
        let time_ms = if n == 7 { 2 } else { 1 };
        let read = || store.read(record(n, 1).position, &record(n, 1).key);
        wait_until("it can be read while the file is opened again", || read().is_ok());
        assert_eq!(read().unwrap(), Some(record(n, time_ms)), "what was pending is still read");
    }

    tape.fail(None);
    wait_durable(&store, caught.sequence);
    wait_until("the failure is over", || store.health() == Health::Good);
    let after = store.apply(vec![record(8, 2)]).unwrap();
    wait_durable(&store, after.sequence);
    store.close().unwrap();

    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    for (n, time_ms) in [(7, 2), (8, 2), (60, 1), (9, 1)] {
        assert_eq!(store.read(record(n, 1).position, &record(n, 1).key).unwrap(), Some(record(n, time_ms)));
    }
}

#[test]
fn nothing_is_durable_in_a_directory_that_was_moved_until_it_is_back() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    let before = store.apply(vec![record(1, 1)]).unwrap();
    wait_durable(&store, before.sequence);
    let elsewhere = dir.path().with_extension("elsewhere");
    fs::rename(dir.path(), &elsewhere).unwrap();
    let caught = store.apply(vec![record(2, 1)]).unwrap();
    wait_until("it is noticed", || reason_of(&store).is_some());
    let (reason, remedy) = reason_of(&store).unwrap();
    assert!(reason.contains("moved or removed") && remedy.contains("put it back"), "{reason}; {remedy}");
    assert_eq!(store.durable(), before.sequence);
    let refused = store.apply(vec![record(3, 1)]).unwrap_err();
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");

    fs::rename(&elsewhere, dir.path()).unwrap();
    wait_durable(&store, caught.sequence);
    wait_until("the failure is over", || store.health() == Health::Good);
    store.close().unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    assert_eq!(store.read(record(2, 1).position, &record(2, 1).key).unwrap(), Some(record(2, 1)));
}

#[test]
fn a_full_disk_refuses_writes_and_not_reads_until_there_is_room() {
    check_a_failure_that_passes(Failure::NoRoom, "free space");
}

#[test]
fn a_disk_that_fails_to_write_for_a_while_is_opened_again() {
    check_a_failure_that_passes(Failure::Write, "check the disk");
}

#[test]
fn what_a_failed_sync_should_have_kept_is_not_durable_until_another_did() {
    check_a_failure_that_passes(Failure::Sync, "check the disk");
}

#[test]
fn a_disk_that_fails_to_read_for_a_while_is_opened_again_though_nobody_writes() {
    let (tape, dir, store) = open(options());
    store.apply((0..50).map(|n| record(n, 1)).collect()).unwrap();
    store.close().unwrap();
    let options = Options { cache_bytes: 0, ..options() };
    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options).unwrap();
    let read = |n| store.read(record(n, 1).position, &record(n, 1).key);
    tape.fail(Some(Failure::Read));
    wait_until("a read fails", || (0..50).any(|n| read(n).is_err()));
    wait_until("the failure is known", || reason_of(&store).is_some());
    tape.fail(None);
    wait_until("it is read again", || (0..50).all(|n| read(n) == Ok(Some(record(n, 1)))));
    wait_until("the failure is over", || store.health() == Health::Good);
}

#[test]
fn a_file_that_turns_out_damaged_when_it_is_opened_again_asks_for_a_restart() {
    let (tape, _dir, store) = open(Options { cache_bytes: 0, ..options() });
    let applied = store.apply((0..50).map(|n| record(n, 1)).collect()).unwrap();
    wait_durable(&store, applied.sequence);
    // Damage that only the last commit has is taken for a commit that was cut off.
    store.fill_tree();
    let applied = store.apply(vec![record(1, 2)]).unwrap();
    wait_durable(&store, applied.sequence);
    store.fill_tree();
    tape.fail(Some(Failure::Write));
    store.apply(vec![record(1, 3)]).unwrap();
    wait_until("the failure is known", || reason_of(&store).is_some());
    tape.damage(&[b"value 7 of 1 ".to_vec()]);
    tape.fail(None);
    wait_until("the damage is known", || {
        reason_of(&store).is_some_and(|(_, remedy)| remedy.starts_with("restart this node"))
    });
    assert!(store.close().is_err(), "what was not written is lost");
}

#[test]
fn a_store_on_a_full_disk_closes_and_says_that_something_is_lost() {
    let (tape, _dir, store) = open(options());
    tape.fail(Some(Failure::NoRoom));
    store.apply(vec![record(1, 1)]).unwrap();
    wait_until("the failure is known", || reason_of(&store).is_some());
    let refused = store.close().unwrap_err();
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
}

#[test]
fn a_thread_that_panics_is_known_and_asks_for_a_restart() {
    let (tape, dir, store) = open(options());
    let before = store.apply(vec![record(1, 1)]).unwrap();
    wait_durable(&store, before.sequence);
    tape.fail_alone(File::Tree, Failure::Panic);
    store.want_tree();
    wait_until("it is known", || {
        reason_of(&store).is_some_and(|(reason, remedy)| {
            reason.contains("a thread of the store has panicked") && remedy.contains("restart this node")
        })
    });
    tape.fail(None);
    let refused = store.apply(vec![record(1, 2)]).unwrap_err();
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
    assert_eq!(store.read(record(1, 1).position, &record(1, 1).key), Ok(Some(record(1, 1))));
    assert!(store.close().is_err());
    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options()).unwrap();
    assert_eq!(store.read(record(1, 1).position, &record(1, 1).key), Ok(Some(record(1, 1))));
}

#[test]
fn no_more_waits_for_the_disk_than_the_limit() {
    let limit = 10_000;
    let (_tape, _dir, store) = open(Options {
        sync: Sync::Interval(Duration::from_secs(3600)),
        pending_bytes_limit: limit,
        ..options()
    });
    let mut n = 0;
    let refused = loop {
        match store.apply(vec![record(7 * n, 1)]) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        assert!(
            store.statistics().pending_bytes < limit + 1000,
            "{} bytes wait",
            store.statistics().pending_bytes
        );
        // Half of the limit makes a commit urgent, so it may go on for a while.
        if n > 10_000 {
            return;
        }
    };
    assert_eq!(refused, StoreError::Busy { pending_bytes_limit: limit });
    wait_until("it takes writes again", || store.apply(vec![record(7 * n, 1)]).is_ok());
}

#[test]
fn writes_that_come_together_share_a_sync() {
    let (_tape, _dir, store) = open(Options { sync: Sync::Interval(Duration::from_millis(50)), ..options() });
    let before = store.statistics().syncs;
    let mut last = None;
    for n in 0..500 {
        last = Some(store.apply(vec![record(n, 1)]).unwrap().sequence);
    }
    wait_durable(&store, last.unwrap());
    let syncs = store.statistics().syncs - before;
    assert!(syncs < 100, "{syncs} syncs for 500 writes");
}

#[test]
fn whoever_waits_is_told_once_it_is_durable() {
    let (_tape, _dir, store) = open(options());
    let told = Arc::new(AtomicU64::new(0));
    let teller = Arc::clone(&told);
    store.on_durable(Box::new(move |sequence| teller.store(sequence.0, Ordering::Release)));
    let sequence = store.apply(vec![record(1, 1)]).unwrap().sequence;
    wait_until("it is told", || told.load(Ordering::Acquire) >= sequence.0);
    assert!(store.durable() >= sequence);
}

#[test]
fn a_range_shows_what_is_pending_over_what_is_in_the_file() {
    let (_tape, _dir, store) = open(Options { sync: Sync::Interval(Duration::from_secs(3600)), ..options() });
    store.apply((0..3000).map(|n| record(n, 1)).collect()).unwrap();
    store.apply((0..1500).map(|n| record(n, 2)).collect()).unwrap();
    for n in 2500..3000 {
        assert!(store.remove(record(n, 1).position, &record(n, 1).key, &record(n, 1).version).unwrap());
    }
    let limit = PageLimit { records: 10_000.try_into().unwrap(), bytes: usize::MAX };
    let mut expected: Vec<_> = (0..2500).map(|n| record(n, if n < 1500 { 2 } else { 1 })).collect();
    expected.sort_by_key(|record| (record.position, record.key.clone()));
    assert_eq!(store.range(&Range::ALL, None, limit).unwrap().records, expected);
}
