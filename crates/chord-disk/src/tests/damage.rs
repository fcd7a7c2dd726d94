//! Records that are damaged in the file while the engine runs.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use chord_kv::{Digest, Health, PageLimit, Range, Record, Store, StoreError, Usage};
use tempfile::TempDir;

use super::tape::{Failure, Tape};
use super::{options, record, scratch, wait_until};
use crate::directory::Directory;
use crate::quarantine::write_hex;
use crate::{DiskStore, Options};

/// Enough for several stretches of the digest index, and for leaves that hold some records each.
const RECORDS: u32 = 1200;

struct Kept {
    tape: Tape,
    dir: TempDir,
    store: DiskStore,
}

/// A store of [`RECORDS`] records, which reads all of them from its file.
fn filled() -> Kept {
    let kept = Kept::open(Tape::default());
    for first in (0..RECORDS).step_by(400) {
        kept.store.apply((first..first + 400).map(|n| record(n, 1)).collect()).unwrap();
    }
    kept.reopened()
}

fn without_cache() -> Options {
    Options { cache_bytes: 0, ..options() }
}

impl Kept {
    fn open(tape: Tape) -> Self {
        let (dir, identity) = (scratch(), options().identity);
        Directory::take(dir.path(), &identity).unwrap().own(&identity).unwrap();
        let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), without_cache()).unwrap();
        Self { tape, dir, store }
    }

    fn damage(&self, damaged: impl IntoIterator<Item = u32>) {
        let texts: Vec<_> = damaged.into_iter().map(|n| format!("value {n} of 1 ").into_bytes()).collect();
        self.tape.damage(&texts);
    }

    fn read(&self, n: u32) -> Result<Option<Record>, StoreError> {
        self.store.read(record(n, 1).position, &record(n, 1).key)
    }

    /// Everything, by pages of so many records.
    fn all(&self, page_records: usize) -> Vec<Record> {
        let limit = PageLimit { records: NonZeroUsize::new(page_records).unwrap(), bytes: usize::MAX };
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.range(&Range::ALL, cursor.as_ref(), limit).unwrap();
            all.extend(page.records);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Both digests and usage say that these are all there are.
    fn check_holds(&self, expected: impl Iterator<Item = Record>) {
        let mut expected: Vec<_> = expected.collect();
        expected.sort_by_key(|record| (record.position, record.key.clone()));
        assert!(self.all(100) == expected, "the range shows what is there");
        let (mut digest, mut usage) = (Digest::EMPTY, Usage::default());
        for record in &expected {
            digest.add(record);
            usage.records += 1;
            usage.bytes += record.size_bytes() as u64;
        }
        assert_eq!(self.store.digest(&Range::ALL).unwrap(), digest);
        assert_eq!(self.store.usage(), usage);
    }

    fn wait_until_quarantined(&self, records: u64) -> String {
        wait_until("it is in quarantine and out of the file", || {
            let damaged = self.store.damaged();
            damaged.records == records
                && damaged.quarantine_file.is_some()
                && self.store.statistics().pending_bytes == 0
        });
        fs::read_to_string(self.store.damaged().quarantine_file.unwrap()).unwrap()
    }

    fn reopened(self) -> Self {
        self.store.close().unwrap();
        let files = self.tape.files(self.dir.path());
        let store = DiskStore::open_on(files, self.dir.path(), without_cache()).unwrap();
        Self { store, ..self }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    write_hex(&mut text, bytes).unwrap();
    String::from_utf8(text).unwrap()
}

fn others(damaged: u32) -> impl Iterator<Item = Record> {
    (0..RECORDS).filter(move |n| *n != damaged).map(|n| record(n, 1))
}

#[test]
fn a_record_that_a_read_finds_damaged_is_set_aside_and_repair_brings_it_back() {
    let kept = filled();
    kept.damage([777]);
    assert_eq!(kept.read(777).unwrap(), None, "it is not there");
    kept.check_holds(others(777));
    let damaged = kept.store.damaged();
    assert_eq!((damaged.records, damaged.last.len()), (1, 1));
    assert_eq!(damaged.last[0].position, Some(record(777, 1).position));
    assert_eq!(damaged.last[0].reason, "its checksum is wrong");
    let quarantine = kept.wait_until_quarantined(1);
    assert_eq!(quarantine.lines().count(), 1);
    assert!(quarantine.contains(&hex(record(777, 1).key.as_bytes())), "{quarantine}");
    assert!(kept.store.damaged().to_string().contains("quarantine-1.jsonl, the last from position"));

    assert_eq!(kept.store.apply(vec![record(777, 1)]).unwrap().news, 1, "repair brings it back");
    kept.check_holds((0..RECORDS).map(|n| record(n, 1)));
    let kept = kept.reopened();
    assert!(kept.store.report().is_clean(), "{}", kept.store.report());
    kept.check_holds((0..RECORDS).map(|n| record(n, 1)));
    assert_eq!(kept.store.damaged().records, 0, "that was before");
}

#[test]
fn what_was_set_aside_does_not_come_back_with_the_next_start() {
    let kept = filled();
    kept.damage([5]);
    assert_eq!(kept.read(5).unwrap(), None);
    kept.wait_until_quarantined(1);
    let kept = kept.reopened();
    assert!(kept.store.report().is_clean(), "{}", kept.store.report());
    kept.check_holds(others(5));
}

#[test]
fn a_page_goes_on_past_damaged_records_and_sets_them_aside() {
    let kept = filled();
    let damaged = [3, 999, 1000, 1100];
    kept.damage(damaged);
    let sound = || (0..RECORDS).filter(|n| !damaged.contains(n)).map(|n| record(n, 1));
    assert_eq!(kept.all(7).len(), sound().count());
    kept.check_holds(sound());
    assert_eq!(kept.store.statistics().set_aside, 4);
    assert_eq!(kept.wait_until_quarantined(4).lines().count(), 4);
}

#[test]
fn more_damaged_records_than_a_page_sets_aside_are_all_set_aside_in_the_end() {
    let kept = filled();
    kept.damage((0..RECORDS).step_by(30));
    let sound = || (0..RECORDS).filter(|n| n % 30 != 0).map(|n| record(n, 1));
    wait_until("all are set aside", || {
        assert_eq!(kept.all(RECORDS as usize).len(), sound().count());
        kept.store.statistics().set_aside == u64::from(RECORDS / 30)
    });
    kept.check_holds(sound());
}

#[test]
fn a_stretch_of_the_digests_that_is_cut_in_two_keeps_nothing_of_a_damaged_record() {
    let kept = filled();
    let damaged: Vec<_> = (0..20).collect();
    kept.damage(damaged.clone());
    let news = RECORDS..3 * RECORDS;
    kept.store.apply(news.clone().map(|n| record(n, 1)).collect()).unwrap();
    for n in damaged {
        assert_eq!(kept.read(n).unwrap(), None);
    }
    kept.check_holds((20..RECORDS).chain(news).map(|n| record(n, 1)));
}

#[test]
fn a_write_takes_the_place_of_a_damaged_record_which_is_kept_all_the_same() {
    let kept = filled();
    kept.damage([42]);
    assert_eq!(kept.store.apply(vec![record(42, 2)]).unwrap().news, 1);
    assert_eq!(kept.read(42).unwrap(), Some(record(42, 2)));
    kept.check_holds(others(42).chain([record(42, 2)]));
    assert_eq!(kept.wait_until_quarantined(1).lines().count(), 1);
    let kept = kept.reopened();
    assert!(kept.store.report().is_clean(), "{}", kept.store.report());
    kept.check_holds(others(42).chain([record(42, 2)]));
}

#[test]
fn a_removal_of_a_damaged_record_tells_that_it_was_not_there() {
    let kept = filled();
    kept.damage([42]);
    let gone = record(42, 1);
    assert!(!kept.store.remove(gone.position, &gone.key, &gone.version).unwrap());
    kept.check_holds(others(42));
}

#[test]
fn a_newer_write_that_races_with_those_who_find_the_damage_stays() {
    let kept = filled();
    for n in 0..10 {
        kept.damage([n]);
        std::thread::scope(|scope| {
            let finders = [(); 2].map(|()| scope.spawn(|| kept.read(n)));
            let pages = scope.spawn(|| kept.all(1000).len());
            kept.store.apply(vec![record(n, 2)]).unwrap();
            for finder in finders {
                let found = finder.join().unwrap().unwrap();
                assert!(found.is_none_or(|found| found == record(n, 2)));
            }
            assert!(pages.join().unwrap() >= RECORDS as usize - 1);
        });
        assert_eq!(kept.read(n).unwrap(), Some(record(n, 2)));
    }
    assert_eq!(kept.store.statistics().set_aside, 10, "each once");
    kept.check_holds((0..RECORDS).map(|n| record(n, if n < 10 { 2 } else { 1 })));
    assert_eq!(kept.wait_until_quarantined(10).lines().count(), 10);
}

#[test]
fn while_the_disk_refuses_writes_a_damaged_record_is_refused_and_tried_again() {
    let kept = filled();
    kept.damage([9]);
    kept.tape.fail(Some(Failure::NoRoom));
    kept.store.apply(vec![record(1, 2)]).unwrap();
    wait_until("the failure is known", || kept.store.health() != Health::Good);
    let refused = kept.read(9).unwrap_err().to_string();
    assert!(
        refused.contains("is damaged and not set aside yet") && refused.contains("free space"),
        "{refused}"
    );
    assert_eq!(kept.all(100).len(), RECORDS as usize - 1, "a page goes on past it");
    assert_eq!(kept.store.statistics().set_aside, 0);
    kept.tape.fail(None);
    wait_until("it is set aside", || kept.read(9).is_ok());
    assert_eq!(kept.read(9).unwrap(), None);
    kept.check_holds((0..RECORDS).filter(|n| *n != 9).map(|n| record(n, if n == 1 { 2 } else { 1 })));
}

#[test]
fn no_commit_takes_a_damaged_record_out_of_the_file_before_it_is_in_quarantine() {
    let kept = filled();
    kept.damage([9]);
    let elsewhere = PathBuf::from(format!("{}-elsewhere", kept.dir.path().display()));
    fs::rename(kept.dir.path(), &elsewhere).unwrap();
    let before = kept.tape.lock().ops.len();
    assert_eq!(kept.read(9).unwrap(), None);
    wait_until("the failure is known", || kept.store.health() != Health::Good);
    assert_eq!(kept.tape.lock().ops.len(), before, "nothing was written to the file");
    let refused = kept.store.apply(vec![record(10, 2)]).unwrap_err();
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
    fs::rename(&elsewhere, kept.dir.path()).unwrap();
    wait_until("the failure is over", || kept.store.health() == Health::Good);
    assert_eq!(kept.wait_until_quarantined(1).lines().count(), 1);
}

#[test]
fn a_record_whose_key_is_damaged_is_missed_and_can_be_brought_back() {
    let kept = filled();
    let lost = record(1034, 1);
    // The last byte of the position and the key: what is left still lies between its neighbours.
    let mut key = lost.position.to_be_bytes()[31..].to_vec();
    key.extend_from_slice(lost.key.as_bytes());
    kept.tape.damage(&[key]);
    assert_eq!(kept.all(500).len(), RECORDS as usize - 1);
    kept.check_holds(others(1034));
    assert_eq!(kept.store.apply(vec![lost]).unwrap().news, 1);
    kept.check_holds((0..RECORDS).map(|n| record(n, 1)));
}

/// Reads all pages and some records alone, as far as that goes; each record must be as it was written.
fn check_what_is_served(kept: &Kept, what: &str) {
    let check = |read: &Record| {
        let n: u32 = std::str::from_utf8(read.key.as_bytes()).unwrap().parse().unwrap();
        assert_eq!(*read, record(n, 1), "{what}");
    };
    let mut cursor = None;
    let limit = PageLimit { records: NonZeroUsize::new(500).unwrap(), bytes: usize::MAX };
    while let Ok(page) = kept.store.range(&Range::ALL, cursor.as_ref(), limit) {
        page.records.iter().for_each(check);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for n in (0..RECORDS).step_by(7) {
        if let Ok(Some(read)) = kept.read(n) {
            check(&read);
        }
    }
}

#[test]
fn a_bit_that_flips_anywhere_under_a_running_engine_is_never_served() {
    let original = filled();
    original.store.close().unwrap();
    let disk = original.tape.lock().disk.clone();
    let cases: usize = std::env::var("CHORD_DISK_SOAK").map_or(1, |text| text.parse().unwrap());
    for case in 0..15 * cases {
        let kept = Kept::open(Tape::of(disk.clone()));
        // Spread over the whole file by a number without a pattern.
        let at = (case + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let byte = at / 8 % disk.tree.len();
        kept.tape.lock().disk.tree[byte] ^= 1 << (at % 8);
        check_what_is_served(&kept, &format!("bit {at} of byte {byte}"));
    }
    // Where records lie in the file is not the same in each run: one is hit on purpose, to see that the check reads it.
    let kept = Kept::open(Tape::of(disk));
    kept.damage([1034]);
    check_what_is_served(&kept, "a bit of record 1034");
    assert_eq!(kept.store.statistics().set_aside, 1);
}
