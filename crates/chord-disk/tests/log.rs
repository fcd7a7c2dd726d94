//! The log in a directory: who is killed leaves it behind, and what becomes of one that is damaged, gone or in the way.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use chord_disk::{DamagePolicy, DiskStore, Options, check, export};
use chord_kv::{Health, Key, Record, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use support::{eventually, identity, scratch};
use tempfile::TempDir;

const PAGE: usize = 4096;

/// How many records are in the log alone, each in an entry of its own.
const RECORDS: u32 = 9;

fn options() -> Options {
    Options::new(identity())
}

fn record(n: u32) -> Record {
    let key = Key::new(format!("key {n}").as_bytes()).unwrap();
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(format!("the value of {n}").as_bytes(), VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(u64::from(n) + 1, 0, Position::ZERO),
        expires_at_ms: None,
    }
}

fn write(store: &DiskStore, n: u32) {
    let applied = store.apply(vec![record(n)]).unwrap();
    eventually(|| (store.durable() >= applied.sequence).then_some(()));
}

fn read(store: &DiskStore, n: u32) -> Option<Record> {
    store.read(record(n).position, &record(n).key).unwrap()
}

fn log(dir: &Path) -> PathBuf {
    dir.join("records.log")
}

/// What a kill leaves of a directory, while nothing is written there.
fn left_behind(dir: &Path) -> TempDir {
    let copy = scratch();
    for name in ["identity.json", "records.redb", "records.log"] {
        if dir.join(name).is_file() {
            fs::copy(dir.join(name), copy.path().join(name)).unwrap();
        }
    }
    copy
}

/// A directory of which a kill has left [`RECORDS`] records in the log alone.
fn killed() -> TempDir {
    // On a machine that is slow now, the tree may be filled meanwhile.
    eventually(|| {
        let dir = scratch();
        let store = DiskStore::open(dir.path(), options()).unwrap();
        (0..RECORDS).for_each(|n| write(&store, n));
        let left = left_behind(dir.path());
        let all: u64 = (0..RECORDS).map(|n| record(n).size_bytes() as u64).sum();
        (store.statistics().logged_bytes == all).then_some(left)
    })
}

/// The records that are in the tree of a directory, and the bytes of its log. redb writes to a file that it only opens.
fn contents(dir: &Path) -> (String, Vec<u8>) {
    let alone = left_behind(dir);
    fs::remove_file(log(alone.path())).unwrap();
    let identity = alone.path().join("identity.json");
    let text = fs::read_to_string(&identity).unwrap().replace(r#""format": 2,"#, r#""format": 1,"#);
    fs::write(identity, text).unwrap();
    let mut records = Vec::new();
    export(alone.path(), &mut records).unwrap();
    (String::from_utf8(records).unwrap(), fs::read(log(dir)).unwrap())
}

fn flip(dir: &Path, at: usize) {
    let mut bytes = fs::read(log(dir)).unwrap();
    bytes[at] ^= 1;
    fs::write(log(dir), bytes).unwrap();
}

fn cut(dir: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(log(dir)).unwrap().set_len(length).unwrap();
}

fn format_of(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("identity.json")).unwrap();
    text.lines().find(|line| line.contains("format")).unwrap().trim().to_owned()
}

#[test]
fn what_is_in_the_log_alone_is_found_by_a_start_and_by_whoever_looks() {
    let dir = killed();
    assert_eq!(check(dir.path()).unwrap().records, u64::from(RECORDS));
    let dir = killed();
    assert_eq!(export(dir.path(), Vec::new()).unwrap().records, u64::from(RECORDS));
    let dir = killed();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    assert!((0..RECORDS).all(|n| read(&store, n) == Some(record(n))));
}

#[test]
fn only_while_there_may_be_something_in_the_log_the_directory_is_closed_to_older_versions() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert_eq!(format_of(dir.path()), r#""format": 1,"#);
    write(&store, 1);
    assert_eq!(format_of(dir.path()), r#""format": 2,"#);
    let killed = left_behind(dir.path());
    store.close().unwrap();
    assert_eq!(format_of(dir.path()), r#""format": 1,"#);
    DiskStore::open(killed.path(), options()).unwrap().close().unwrap();
    assert_eq!(format_of(killed.path()), r#""format": 1,"#);
    // All that an older version looks at.
    fs::remove_file(log(dir.path())).unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    assert_eq!(read(&store, 1), Some(record(1)));
}

#[test]
fn a_damaged_entry_with_others_after_it_is_reported_and_all_others_are_read() {
    let dir = killed();
    // The third entry: its value ends near its end.
    flip(dir.path(), 3 * PAGE + 100);
    let refuse = Options { damage: DamagePolicy::Refuse, ..options() };
    let before = contents(dir.path());
    for refused in [
        DiskStore::open(dir.path(), refuse).unwrap_err().to_string(),
        check(dir.path()).unwrap_err().to_string(),
    ] {
        assert!(refused.contains("records.log is damaged (its entry 3 is damaged or missing)"), "{refused}");
    }
    assert!(contents(dir.path()) == before, "nothing is changed");
    let store = DiskStore::open(dir.path(), options()).unwrap();
    let aside = dir.path().join("records.log.damaged-1");
    assert_eq!(store.report().log_set_aside.as_ref(), Some(&aside));
    assert!(aside.exists());
    let report = store.report().to_string();
    assert!(report.contains("entry 3") && report.contains("records.log.damaged-1"), "{report}");
    for n in 0..RECORDS {
        assert_eq!(read(&store, n), (n != 2).then(|| record(n)), "record {n}");
    }
    write(&store, 2);
    let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
    assert!(again.report().is_clean(), "{}", again.report());
    assert!((0..RECORDS).all(|n| read(&again, n) == Some(record(n))));
}

#[test]
fn a_log_that_is_gone_or_empty_is_missed_once() {
    for length in [None, Some(0), Some(100)] {
        let dir = killed();
        match length {
            None => fs::remove_file(log(dir.path())).unwrap(),
            Some(length) => cut(dir.path(), length),
        }
        let refuse = Options { damage: DamagePolicy::Refuse, ..options() };
        for refused in [
            DiskStore::open(dir.path(), refuse).unwrap_err().to_string(),
            check(dir.path()).unwrap_err().to_string(),
        ] {
            assert!(refused.contains("records.log is damaged (the file is gone or empty)"), "{refused}");
        }
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let report = store.report();
        assert!(!report.is_clean() && report.to_string().contains("some of the last writes"), "{report}");
        assert!((0..RECORDS).all(|n| read(&store, n).is_none()));
        let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
        assert!(again.report().is_clean(), "{}", again.report());
    }
}

#[test]
fn a_log_whose_first_page_is_damaged_or_zeros_is_kept_for_a_look() {
    for byte in [None, Some(0)] {
        let dir = killed();
        let mut bytes = fs::read(log(dir.path())).unwrap();
        match byte {
            None => bytes[10] ^= 1,
            Some(byte) => bytes[..PAGE].fill(byte),
        }
        fs::write(log(dir.path()), &bytes).unwrap();
        let refused = check(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("records.log is damaged (its first page is damaged)"), "{refused}");
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let aside = dir.path().join("records.log.damaged-1");
        assert_eq!(store.report().log_set_aside.as_ref(), Some(&aside), "{}", store.report());
        assert!(fs::read(aside).unwrap() == bytes);
    }
}

#[test]
fn a_damaged_log_in_which_there_can_be_nothing_is_no_loss() {
    for harm in [|dir: &Path| flip(dir, 10), |dir: &Path| cut(dir, 5 * PAGE as u64)] {
        let dir = scratch();
        let store = DiskStore::open(dir.path(), options()).unwrap();
        write(&store, 1);
        store.close().unwrap();
        harm(dir.path());
        assert_eq!(check(dir.path()).unwrap().records, 1);
        let refuse = Options { damage: DamagePolicy::Refuse, ..options() };
        let store = DiskStore::open(dir.path(), refuse).unwrap();
        let report = store.report();
        assert!(report.is_clean(), "{report}");
        assert!(report.to_string().ends_with("records.log.damaged-1"), "{report}");
        assert!(dir.path().join("records.log.damaged-1").exists());
        write(&store, 2);
        let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
        assert!((1..3).all(|n| read(&again, n) == Some(record(n))));
    }
}

#[test]
fn a_log_that_ends_early_is_reported_with_all_that_is_left_of_it() {
    let dir = killed();
    cut(dir.path(), 5 * PAGE as u64);
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().to_string().contains("it ends early"), "{}", store.report());
    assert!((0..4).all(|n| read(&store, n) == Some(record(n))));
}

#[test]
fn a_last_entry_that_was_cut_off_is_the_end() {
    let dir = killed();
    flip(dir.path(), RECORDS as usize * PAGE + 100);
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    for n in 0..RECORDS {
        assert_eq!(read(&store, n), (n != RECORDS - 1).then(|| record(n)), "record {n}");
    }
    // Its number is given out again.
    write(&store, RECORDS - 1);
    let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
    assert!(again.report().is_clean(), "{}", again.report());
    assert!((0..RECORDS).all(|n| read(&again, n) == Some(record(n))));
}

#[test]
fn damage_that_reaches_over_the_last_entry_and_others_is_reported() {
    let last = RECORDS as usize;
    // In the value of each, and then in the mark of the one before the last too.
    for before in [(last - 1) * PAGE + 100, (last - 1) * PAGE] {
        let dir = killed();
        flip(dir.path(), last * PAGE + 100);
        flip(dir.path(), before);
        let refused = check(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("its entry 8 is damaged or missing"), "{refused}");
        let store = DiskStore::open(dir.path(), options()).unwrap();
        assert!(store.report().to_string().contains("entry 8"), "{}", store.report());
        for n in 0..RECORDS {
            assert_eq!(read(&store, n), (n + 2 < RECORDS).then(|| record(n)), "record {n}");
        }
    }
}

#[test]
fn a_bit_that_flips_anywhere_in_the_log_is_never_served() {
    let original = killed();
    let mut reported = 0;
    for case in 0..60_usize {
        let dir = left_behind(original.path());
        // Spread over what is used by a number without a pattern.
        let at = case.wrapping_mul(0x9E37_79B9_7F4A_7C15) % ((RECORDS as usize + 1) * PAGE);
        // Most of a page is zeros that fill it up.
        let at = if case % 2 == 0 { at } else { at / PAGE * PAGE + at % 150 };
        flip(dir.path(), at);
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let missing: Vec<_> = (0..RECORDS).filter(|n| read(&store, *n) != Some(record(*n))).collect();
        assert!(missing.iter().all(|n| read(&store, *n).is_none()), "byte {at}");
        let is_said = missing.is_empty() || missing == [RECORDS - 1] || !store.report().is_clean();
        assert!(is_said, "byte {at}: {missing:?} are missing; {}", store.report());
        reported += usize::from(!store.report().is_clean());
    }
    assert!(reported > 10, "only {reported} flips were damage at all");
}

#[test]
fn a_log_that_is_taken_away_is_missed_with_the_next_write_and_nothing_is_lost() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    write(&store, 1);
    fs::remove_file(log(dir.path())).unwrap();
    write(&store, 2);
    assert_eq!(store.health(), Health::Good);
    write(&store, 3);
    assert!(log(dir.path()).exists(), "another was begun");
    let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
    assert!(again.report().is_clean(), "{}", again.report());
    assert!((1..4).all(|n| read(&again, n) == Some(record(n))));
}

#[test]
fn where_no_log_can_be_made_the_tree_does() {
    let dir = killed();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    fs::remove_file(log(dir.path())).unwrap();
    fs::create_dir(log(dir.path())).unwrap();
    (RECORDS..2 * RECORDS).for_each(|n| write(&store, n));
    assert_eq!((store.health(), format_of(dir.path())), (Health::Good, r#""format": 1,"#.to_owned()));
    assert_eq!(store.statistics().log_failures, 1);
    let again = DiskStore::open(left_behind(dir.path()).path(), options()).unwrap();
    assert!(again.report().is_clean(), "{}", again.report());
    assert!((0..2 * RECORDS).all(|n| read(&again, n) == Some(record(n))));
}

#[test]
fn a_directory_whose_records_are_in_the_log_alone_is_not_free_for_another() {
    let dir = killed();
    let mut other = options();
    other.identity.ring = "other".into();
    let refused = DiskStore::open(dir.path(), other).unwrap_err().to_string();
    assert!(refused.contains("the data of the ring \"test\""), "{refused}");
    for harm in [|dir: &Path| flip(dir, 10), |dir: &Path| fs::remove_file(log(dir)).unwrap()] {
        let dir = left_behind(dir.path());
        harm(dir.path());
        let mut other = options();
        other.identity.ring = "other".into();
        let refused = DiskStore::open(dir.path(), other).unwrap_err().to_string();
        assert!(refused.contains("the data of the ring \"test\""), "{refused}");
    }
    fs::remove_file(dir.path().join("identity.json")).unwrap();
    let refused = DiskStore::open(dir.path(), options()).unwrap_err().to_string();
    assert!(refused.contains("it is missing, and there are records"), "{refused}");
}

#[test]
fn what_is_in_the_log_outlives_the_loss_of_the_tree() {
    let dir = killed();
    fs::write(dir.path().join("records.redb"), "").unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().missing && store.report().log_damage.is_none(), "{}", store.report());
    assert!((0..RECORDS).all(|n| read(&store, n) == Some(record(n))));
    let dir = killed();
    fs::write(dir.path().join("records.redb"), "nonsense".repeat(1000)).unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().set_aside.is_some() && store.report().log_damage.is_none());
    assert!((0..RECORDS).all(|n| read(&store, n) == Some(record(n))));
}

#[test]
fn with_an_interval_there_is_no_log_and_one_that_a_kill_has_left_is_taken_in() {
    let interval =
        || Options { sync: chord_disk::Sync::Interval(std::time::Duration::from_millis(1)), ..options() };
    let dir = killed();
    let store = DiskStore::open(dir.path(), interval()).unwrap();
    write(&store, RECORDS);
    assert!((0..=RECORDS).all(|n| read(&store, n) == Some(record(n))));
    store.close().unwrap();
    assert_eq!(format_of(dir.path()), r#""format": 1,"#);
    let dir = scratch();
    let store = DiskStore::open(dir.path(), interval()).unwrap();
    write(&store, 1);
    assert!(!log(dir.path()).exists());
}
