//! What is in the log alone, on a disk that can be looked into, cut off and broken.

use std::fs;

use chord_kv::{Health, PageLimit, Range, Record, Store, StoreError};
use tempfile::TempDir;

use super::tape::{Failure, File, HALF_BYTES, Image, Op, Tape};
use super::{options, record, scratch, wait_durable, wait_until};
use crate::directory::{Directory, FORMAT, declare};
use crate::entry::PAGE;
use crate::log::begin_of;
use crate::{DiskStore, OpenError, Options};

struct Kept {
    tape: Tape,
    dir: TempDir,
    store: DiskStore,
}

fn open(tape: Tape, options: Options) -> Result<Kept, OpenError> {
    let dir = scratch();
    Directory::take(dir.path(), &options.identity)?.own(&options.identity)?;
    if !tape.lock().disk.log.is_empty() {
        declare(&dir.path().join("records.log"), &options.identity, FORMAT).unwrap();
    }
    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options)?;
    Ok(Kept { tape, dir, store })
}

fn begun() -> Kept {
    open(Tape::default(), options()).unwrap()
}

impl Kept {
    /// Writes until it is durable, and so that nothing else is in the same commit.
    fn write(&self, records: impl IntoIterator<Item = Record>) {
        let applied = self.store.apply(records.into_iter().collect()).unwrap();
        wait_durable(&self.store, applied.sequence);
    }

    fn read(&self, n: u32) -> Option<Record> {
        self.store.read(record(n, 1).position, &record(n, 1).key).unwrap()
    }

    /// What the disk holds now, as after a kill.
    fn cut_off(&self) -> Image {
        self.tape.lock().disk.clone()
    }

    /// How many writes each file has had.
    fn writes(&self, file: File) -> usize {
        let is_one = |op: &&Op| matches!(op, Op::Write { file: of, .. } if *of == file);
        self.tape.lock().ops.iter().filter(is_one).count()
    }
}

fn after(disk: Image) -> Kept {
    open(Tape::of(disk), options()).unwrap()
}

fn is_in(bytes: &[u8], n: u32) -> bool {
    let text = format!("value {n} of 1 ").into_bytes();
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn what_is_durable_is_in_the_log_before_it_is_in_the_tree_and_a_start_finds_it() {
    let kept = begun();
    for n in 0..5 {
        kept.write([record(n, 1)]);
    }
    let disk = kept.cut_off();
    for n in 1..5 {
        assert!(is_in(&disk.log, n) && !is_in(&disk.tree, n), "record {n}");
    }
    let again = after(disk);
    assert!(again.store.report().is_clean(), "{}", again.store.report());
    assert_eq!(again.store.report().records, 5);
    for n in 0..5 {
        assert_eq!(again.read(n), Some(record(n, 1)));
    }
}

#[test]
fn a_write_to_the_log_is_one_write_of_whole_pages_and_one_sync() {
    let kept = begun();
    kept.write([record(1, 1)]);
    kept.tape.lock().ops.clear();
    kept.write([record(2, 1)]);
    let ops = std::mem::take(&mut kept.tape.lock().ops);
    match &ops[..] {
        [Op::Write { file: File::Log, offset, data }, Op::Sync(File::Log)] => {
            assert_eq!((offset % PAGE, data.len()), (0, PAGE));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clean_end_leaves_everything_in_the_tree_and_nothing_in_the_log() {
    let kept = begun();
    kept.write([record(1, 1)]);
    let syncs = kept.store.statistics().syncs;
    assert!(syncs > 0);
    kept.store.close().unwrap();
    let disk = kept.tape.lock().disk.clone();
    assert!(is_in(&disk.tree, 1));
    let without_log = after(Image { log: Vec::new(), ..disk.clone() });
    assert!(without_log.store.report().is_clean());
    assert_eq!(without_log.read(1), Some(record(1, 1)));
    // Nor is anything left that a tree from another place could be given.
    let other_tree = after(Image { tree: Vec::new(), ..disk });
    assert_eq!(other_tree.read(1), None);
}

#[test]
fn the_log_is_filled_again_and_again_and_a_start_finds_all_at_any_time() {
    let kept = begun();
    let entries = 5 * u32::try_from(HALF_BYTES).unwrap() / u32::try_from(PAGE).unwrap();
    for n in 0..entries {
        kept.write([record(n % 30, u64::from(n) + 1)]);
        if n % 7 != 0 {
            continue;
        }
        let again = after(kept.cut_off());
        assert!(again.store.report().is_clean(), "{}", again.store.report());
        for old in n.saturating_sub(29)..=n {
            assert_eq!(again.read(old % 30), Some(record(old % 30, u64::from(old) + 1)), "{old} of {n}");
        }
    }
    let log_bytes = kept.tape.lock().disk.log.len() as u64;
    assert_eq!(log_bytes, begin_of(2, HALF_BYTES), "it has not grown");
    let is_early = |op: &&Op| matches!(op, Op::Write { file: File::Log, offset, .. } if *offset == PAGE);
    let begins = kept.tape.lock().ops.iter().filter(is_early).count();
    assert!(begins >= 2, "the first half was begun {begins} times");
}

#[test]
fn what_is_too_large_for_the_log_goes_into_the_tree_and_older_entries_do_not_undo_it() {
    let kept = begun();
    kept.write([record(7, 1), record(8, 1)]);
    assert!(kept.store.remove(record(8, 1).position, &record(8, 1).key, &record(8, 1).version).unwrap());
    let logged = kept.writes(File::Log);
    kept.write((7..47).map(|n| record(n, 4)));
    let again = after(kept.cut_off());
    for n in 7..47 {
        assert_eq!(again.read(n), Some(record(n, 4)));
    }
    assert!(kept.writes(File::Log) <= logged + 1, "the large one is not in the log");
    kept.write([record(7, 8)]);
    let again = after(kept.cut_off());
    assert_eq!((again.read(7), again.read(8)), (Some(record(7, 8)), Some(record(8, 4))));
}

#[test]
fn what_was_removed_does_not_come_back_from_the_log() {
    let kept = begun();
    kept.write([record(1, 1), record(2, 1)]);
    assert!(kept.store.remove(record(1, 1).position, &record(1, 1).key, &record(1, 1).version).unwrap());
    kept.write([record(3, 1)]);
    let again = after(kept.cut_off());
    assert_eq!((again.read(1), again.read(2)), (None, Some(record(2, 1))));
    assert_eq!(again.store.usage().records, 2);
}

#[test]
fn a_range_shows_each_record_once_wherever_it_is() {
    let kept = begun();
    kept.write((0..40).map(|n| record(n, 1)));
    kept.store.fill_tree();
    for n in 20..50 {
        kept.write([record(n, 2)]);
    }
    kept.store.apply((45..60).map(|n| record(n, 4)).collect()).unwrap();
    let limit = PageLimit { records: 1000.try_into().unwrap(), bytes: usize::MAX };
    let time = |n| if n >= 45 { 4 } else { 1 + u64::from(n >= 20) };
    let mut expected: Vec<_> = (0..60).map(|n| record(n, time(n))).collect();
    expected.sort_by_key(|record| (record.position, record.key.clone()));
    assert_eq!(kept.store.range(&Range::ALL, None, limit).unwrap().records, expected);
    assert_eq!(kept.store.digest(&Range::ALL).unwrap().records(), 60);
}

/// While the log fails the tree takes its place, and a new log is begun when that is over.
fn check_a_log_that_fails(failure: Failure) {
    let kept = begun();
    kept.write([record(1, 1)]);
    kept.tape.fail_alone(File::Log, failure);
    for n in 2..6 {
        kept.write([record(n, 1)]);
        assert_eq!(kept.store.health(), Health::Good);
    }
    // One that could not be written, and one that could not be begun, which is not tried again at once.
    assert_eq!(kept.store.statistics().log_failures, 2);
    let disk = kept.cut_off();
    assert!((1..6).all(|n| is_in(&disk.tree, n)), "what was in the log is in the tree as well");
    let again = after(disk);
    assert!(again.store.report().is_clean(), "{}", again.store.report());
    assert!((1..6).all(|n| again.read(n) == Some(record(n, 1))));
}

#[test]
fn a_log_that_cannot_be_written_is_done_without() {
    check_a_log_that_fails(Failure::Write);
}

#[test]
fn a_log_that_finds_no_room_is_done_without() {
    check_a_log_that_fails(Failure::NoRoom);
}

#[test]
fn a_log_whose_sync_has_failed_is_not_relied_on() {
    check_a_log_that_fails(Failure::Sync);
}

#[test]
fn after_a_failure_that_is_over_another_log_is_begun() {
    let kept = begun();
    kept.write([record(1, 1)]);
    let before = kept.cut_off().log[..PAGE].to_vec();
    kept.tape.fail_alone(File::Log, Failure::Sync);
    let caught = kept.store.apply(vec![record(2, 1)]).unwrap();
    wait_durable(&kept.store, caught.sequence);
    kept.tape.fail(None);
    kept.write([record(3, 1)]);
    let disk = kept.cut_off();
    assert!(disk.log[..PAGE] != before, "it is another log");
    assert!(is_in(&disk.log, 3) && !is_in(&disk.log, 1) && !is_in(&disk.tree, 3));
    let again = after(disk);
    assert!(again.store.report().is_clean(), "{}", again.store.report());
    assert!((1..4).all(|n| again.read(n) == Some(record(n, 1))));
}

#[test]
fn a_header_that_a_clean_end_could_not_sync_is_not_relied_on_by_the_next_process() {
    let kept = begun();
    kept.write([record(1, 1)]);
    kept.store.fill_tree();
    kept.tape.fail_alone(File::Log, Failure::Sync);
    kept.store.close().unwrap();
    kept.tape.fail(None);
    let next = open(kept.tape, options()).unwrap();
    next.write([record(2, 1)]);
    let again = after(next.tape.after_power_failure());
    assert!(again.store.report().is_clean(), "{}", again.store.report());
    assert_eq!((again.read(1), again.read(2)), (Some(record(1, 1)), Some(record(2, 1))));
}

#[test]
fn a_log_that_a_start_cannot_begin_is_counted() {
    let tape = Tape::default();
    tape.fail_alone(File::Log, Failure::NoRoom);
    let kept = open(tape, options()).unwrap();
    assert_eq!((kept.store.statistics().log_failures, kept.store.health()), (1, Health::Good));
}

#[test]
fn a_log_that_fails_again_and_again_is_not_begun_for_each_write() {
    let kept = begun();
    kept.write([record(1, 1)]);
    for n in [2, 4] {
        kept.tape.fail_alone(File::Log, Failure::Sync);
        kept.write([record(n, 1)]);
        kept.tape.fail(None);
        kept.write([record(n + 1, 1)]);
    }
    assert_eq!(kept.store.statistics().log_failures, 2);
    let writes = kept.writes(File::Log);
    kept.write([record(6, 1)]);
    assert_eq!(kept.writes(File::Log), writes, "it is not begun again");
    assert!((5..7).all(|n| is_in(&kept.cut_off().tree, n)));
}

#[test]
fn what_is_in_the_log_alone_is_counted_until_the_tree_has_it() {
    let kept = begun();
    kept.write([record(1, 1)]);
    let statistics = kept.store.statistics();
    assert_eq!(statistics.logged_bytes, record(1, 1).size_bytes() as u64);
    wait_until("nothing waits", || kept.store.statistics().pending_bytes == 0);
    kept.store.fill_tree();
    wait_until("it is in the tree", || kept.store.statistics().logged_bytes == 0);
}

#[test]
fn what_the_directory_says_is_not_relied_on_after_it_could_not_be_changed_for_good() {
    let kept = begun();
    let identity = kept.dir.path().join("identity.json");
    let in_the_way = kept.dir.path().join("identity.new");
    fs::create_dir(&in_the_way).unwrap();
    kept.write([record(1, 1)]);
    assert_eq!(kept.store.statistics().log_failures, 1);
    // What is left if the sync of the directory fails, which comes last.
    fs::remove_dir(&in_the_way).unwrap();
    declare(&identity, &options().identity, FORMAT).unwrap();
    kept.store.close().unwrap();
    assert!(fs::read_to_string(identity).unwrap().contains("\"format\": 1,"));
}

#[test]
fn while_only_the_tree_fails_what_was_taken_is_durable_in_the_log() {
    for failure in [Failure::NoRoom, Failure::Write, Failure::Sync] {
        let kept = begun();
        kept.write([record(1, 1)]);
        kept.tape.fail_alone(File::Tree, failure);
        kept.write([record(2, 1)]);
        kept.store.want_tree();
        wait_until("the failure is known", || kept.store.health() != Health::Good);
        let refused = kept.store.apply(vec![record(3, 1)]).unwrap_err();
        assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
        let again = after(kept.cut_off());
        assert!(again.store.report().is_clean(), "{}", again.store.report());
        assert_eq!((again.read(1), again.read(2)), (Some(record(1, 1)), Some(record(2, 1))));
        kept.tape.fail(None);
        wait_until("the failure is over", || kept.store.health() == Health::Good);
        kept.store.fill_tree();
        assert!(is_in(&kept.cut_off().tree, 2));
        assert_eq!(kept.read(2), Some(record(2, 1)));
    }
}

#[test]
fn while_the_tree_is_filled_writes_go_on_in_the_other_half() {
    let kept = begun();
    let of_half = u32::try_from(HALF_BYTES).unwrap() / u32::try_from(PAGE).unwrap();
    kept.write([record(1, 1)]);
    kept.tape.fail_alone(File::Tree, Failure::Slow);
    // One more than the first half holds has that filled into the tree, which takes its time.
    for n in 2..2 * of_half {
        kept.write([record(n % 8, u64::from(n))]);
    }
    kept.tape.fail(None);
    for n in 2 * of_half..3 * of_half {
        kept.write([record(n % 8, u64::from(n))]);
    }
    let again = after(kept.cut_off());
    assert!((3 * of_half - 8..3 * of_half).all(|n| again.read(n % 8) == Some(record(n % 8, u64::from(n)))));
}

#[test]
fn a_full_log_waits_for_the_tree_and_a_start_finds_what_was_durable() {
    let kept = begun();
    kept.write([record(1, 1)]);
    kept.tape.fail_alone(File::Tree, Failure::Write);
    let mut durable = 1;
    for n in 2..60 {
        // It is refused once the failure is known.
        let Ok(applied) = kept.store.apply(vec![record(n, 1)]) else { break };
        wait_until("it is durable, or the log is full", || {
            kept.store.durable() >= applied.sequence || kept.store.health() != Health::Good
        });
        if kept.store.durable() >= applied.sequence {
            durable = n;
        }
    }
    assert!(durable > 10, "{durable} writes were durable");
    kept.store.close().unwrap_err();
    let disk = kept.tape.lock().disk.clone();
    let again = after(disk);
    assert!(again.store.report().is_clean(), "{}", again.store.report());
    for n in 1..=durable {
        assert_eq!(again.read(n), Some(record(n, 1)), "{n} of {durable}");
    }
}
