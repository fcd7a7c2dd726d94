//! Whose directory it is, who may use it, and what is said about one that is damaged.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use chord_disk::{
    DamagePolicy, DiskStore, OpenError, Options, PEERS_MAX, TransferError, check, export, import,
};
use chord_kv::{Key, Range, Record, Store, StoreError, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use support::{identity, scratch};

fn options() -> Options {
    Options::new(identity())
}

/// The sentence, which says everything: a source would be said twice.
fn refused(dir: &Path, options: Options) -> String {
    let error = DiskStore::open(dir, options).unwrap_err();
    assert!(error.source().is_none(), "{error}");
    error.to_string()
}

fn record(n: u32) -> Record {
    let key = Key::new(format!("key {n}").as_bytes()).unwrap();
    let value = format!("the value of {n}").repeat(5);
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(value.as_bytes(), VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(u64::from(n) + 1, 0, Position::ZERO),
        expires_at_ms: None,
    }
}

/// A directory with records 0 to 500, closed.
fn filled() -> tempfile::TempDir {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    for first in (0..500).step_by(50) {
        store.apply((first..first + 50).map(record).collect()).unwrap();
    }
    store.close().unwrap();
    dir
}

#[test]
fn a_directory_is_used_by_one_process_at_a_time() {
    let dir = scratch();
    let _first = DiskStore::open(dir.path(), options()).unwrap();
    let text = refused(dir.path(), options());
    assert!(
        text.contains(&format!("is in use by process {}; stop that process", std::process::id())),
        "{text}"
    );
}

#[test]
fn a_directory_whose_lock_was_deleted_is_used_by_one_process_all_the_same() {
    let dir = scratch();
    let _first = DiskStore::open(dir.path(), options()).unwrap();
    fs::remove_file(dir.path().join("lock")).unwrap();
    let text = refused(dir.path(), options());
    assert!(
        text.contains("records.redb") && text.ends_with("; stop the other process that uses it"),
        "{text}"
    );
}

/// Tells the child which directory to open.
const CHILD_DIR: &str = "CHORD_DISK_TEST_OPENS";

/// Not a test of its own: the child of those that need a process with another user or working directory.
#[test]
fn opens_what_it_is_told_to() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    match DiskStore::open(Path::new(&dir), options()) {
        Ok(store) => store.close().unwrap(),
        Err(error) => println!("refused: {error}"),
    }
}

fn opener(dir: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "opens_what_it_is_told_to", "--nocapture"]).env(CHILD_DIR, dir);
    child
}

#[test]
fn a_relative_path_is_as_good_as_any() {
    for relative in ["data", "./deep/er/../data", "."] {
        let dir = scratch();
        let done = opener(relative).current_dir(dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && !text.contains("refused"), "{relative}: {text}");
        assert!(dir.path().join(relative).join("records.redb").exists(), "{relative}");
    }
}

#[test]
fn a_symbolic_link_to_a_directory_is_followed() {
    let [dir, links] = [scratch(), scratch()];
    let link = links.path().join("data");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    let store = DiskStore::open(&link, options()).unwrap();
    let text = refused(dir.path(), options());
    assert!(text.contains("is in use by process"), "{text}");
    store.close().unwrap();
    DiskStore::open(dir.path(), options()).unwrap();
}

#[test]
fn a_directory_that_is_made_is_for_its_user_alone() {
    let dir = scratch();
    let data = dir.path().join("deep/data");
    DiskStore::open(&data, options()).unwrap();
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_without_permission_is_refused_with_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = opener(dir.path().to_str().unwrap());
    // Root may do anything, so it becomes nobody.
    if fs::metadata(dir.path()).unwrap().uid() == 0 {
        child.uid(65534);
    } else {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    }
    let Ok(done) = child.output() else {
        println!("skipped: nobody may not run this test");
        return;
    };
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(
        text.contains("refused: cannot open") && text.contains("give the user that runs this node the right"),
        "{text}"
    );
}

#[test]
fn files_that_are_far_too_long_are_damaged_and_not_read_to_their_end() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    let spaces = " ".repeat(2 << 20);
    fs::write(dir.path().join("peers.json"), format!("[{spaces}]")).unwrap();
    assert!(store.remembered_peers().unwrap().damaged.is_some());
    store.close().unwrap();
    let identity = dir.path().join("identity.json");
    let text = fs::read_to_string(&identity).unwrap().replacen('{', &format!("{{{spaces}"), 1);
    fs::write(&identity, text).unwrap();
    let text = refused(dir.path(), options());
    assert!(text.contains("identity.json is damaged"), "{text}");
}

#[test]
fn a_directory_belongs_to_one_node_of_one_ring() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    store.remember_peers(&["127.0.0.1:4568".into()]).unwrap();
    store.close().unwrap();
    let mut other = options();
    other.identity.node = "127.0.0.1:9".into();
    let text = refused(dir.path(), other);
    assert!(
        text.contains("holds the data of node 127.0.0.1:4567, not of 127.0.0.1:9; have the node listen on"),
        "{text}"
    );
    let mut other = options();
    other.identity.ring = "blue".into();
    let text = refused(dir.path(), other);
    assert!(
        text.contains("the data of the ring \"test\", not of \"blue\"; start this node with that name"),
        "{text}"
    );
    let mut other = options();
    other.identity.size = RingSize::new(8).unwrap();
    let text = refused(dir.path(), other);
    assert!(text.contains("a ring of 160 bits, not 8; start the node with that ring size"), "{text}");
    DiskStore::open(dir.path(), options()).unwrap();
}

#[test]
fn a_directory_whose_node_was_never_in_a_ring_and_left_no_records_is_free_for_another() {
    let dir = scratch();
    let other = |ring: &str| {
        let mut other = options();
        other.identity.ring = ring.into();
        other
    };
    DiskStore::open(dir.path(), other("mistyped")).unwrap().close().unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert!(store.report().is_clean());
    store.apply(vec![record(1)]).unwrap();
    store.close().unwrap();
    let text = refused(dir.path(), other("mistyped"));
    assert!(text.contains("the data of the ring \"test\""), "it has records: {text}");
    // Nor is it free when it is not known whether it had any.
    fs::write(dir.path().join("records.redb"), "").unwrap();
    let text = refused(dir.path(), other("mistyped"));
    assert!(text.contains("the data of the ring \"test\""), "{text}");
    assert!(check(dir.path()).unwrap_err().to_string().contains("gone or empty"));
    let file = dir.path().join("records.redb");
    fs::remove_file(&file).unwrap();
    let text = refused(dir.path(), other("mistyped"));
    assert!(text.contains("the data of the ring \"test\""), "{text}");
    assert!(!file.exists(), "who is refused leaves nothing there");
}

#[test]
fn a_newer_format_is_left_to_the_version_that_wrote_it() {
    let dir = scratch();
    DiskStore::open(dir.path(), options()).unwrap().close().unwrap();
    fs::write(dir.path().join("identity.json"), r#"{"format":3,"owner":{"is":"elsewhere"}}"#).unwrap();
    let text = refused(dir.path(), options());
    assert!(text.contains("has format 3, and this version reads up to 2; start the newer"), "{text}");
}

#[test]
fn a_damaged_identity_is_not_guessed_at() {
    let dir = scratch();
    DiskStore::open(dir.path(), options()).unwrap().close().unwrap();
    fs::write(dir.path().join("identity.json"), "{\"format\":1,").unwrap();
    let text = refused(dir.path(), options());
    assert!(
        text.contains("identity.json is damaged") && text.contains("put the file back from a backup"),
        "{text}"
    );
}

#[test]
fn records_without_an_owner_are_not_taken_over() {
    let dir = filled();
    fs::remove_file(dir.path().join("identity.json")).unwrap();
    let text = refused(dir.path(), options());
    assert!(text.contains("it is missing, and there are records"), "{text}");
}

#[test]
fn a_path_that_cannot_be_used_is_named_with_what_helps() {
    let dir = scratch();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let text = refused(&file.join("data"), options());
    assert!(text.contains("cannot make") && text.ends_with("; check the path"), "{text}");
    let text = refused(&file, options());
    assert!(text.ends_with("file is no directory; name one, which is made if it is not there"), "{text}");
}

#[test]
fn a_directory_with_other_files_in_it_is_not_mixed_with_a_nodes() {
    let dir = scratch();
    let letter = dir.path().join("letter.txt");
    fs::write(&letter, "").unwrap();
    let text = refused(dir.path(), options());
    assert!(
        text.contains("holds other files, such as \"letter.txt\"") && text.contains("a directory of its own"),
        "{text}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
    fs::remove_file(&letter).unwrap();
    // What file systems and tools leave in an empty directory, and a node that ended before it owned its own.
    for leftover in ["lost+found", ".snapshot", "lock", "records.redb", "identity.new"] {
        fs::write(dir.path().join(leftover), "").unwrap();
    }
    DiskStore::open(dir.path(), options()).unwrap().close().unwrap();
    fs::write(&letter, "").unwrap();
    DiskStore::open(dir.path(), options()).unwrap();
}

#[test]
fn a_read_only_directory_is_refused_with_what_helps() {
    let dir = scratch();
    let mount = |arguments: &[&str]| {
        Command::new("mount").args(arguments).arg(dir.path()).output().is_ok_and(|done| done.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "ro", "tmpfs"]) {
        println!("skipped: this user may not mount a file system");
        return;
    }
    let text = refused(dir.path(), options());
    let _ = Command::new("umount").arg(dir.path()).status();
    assert!(text.contains("cannot open") && text.contains("make the file system writable"), "{text}");
}

#[test]
fn a_full_file_system_refuses_writes_until_something_is_deleted() {
    let dir = scratch();
    let mount = ["-t", "tmpfs", "-o", "size=3m", "tmpfs"];
    let done = Command::new("mount").args(mount).arg(dir.path()).output();
    if !done.is_ok_and(|done| done.status.success()) {
        println!("skipped: this user may not mount a file system");
        return;
    }
    let ended = std::panic::catch_unwind(|| fill_the_disk(dir.path()));
    let _ = Command::new("umount").arg(dir.path()).status();
    ended.unwrap();
}

fn fill_the_disk(dir: &Path) {
    let ballast = dir.join("ballast");
    let store = DiskStore::open(dir, Options { pending_bytes_limit: 100_000, ..options() }).unwrap();
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut n = 0;
    let refused = loop {
        match store.apply(vec![record(n)]) {
            Ok(_) => n += 1,
            Err(StoreError::Busy { .. }) => std::thread::yield_now(),
            Err(error) => break error,
        }
        assert!(n < 1_000_000, "a disk of 3 MB holds so many records");
    };
    assert!(matches!(refused, StoreError::NotWriting { .. }), "{refused}");
    assert!(refused.to_string().contains("free space on that disk"), "{refused}");
    for old in 0..n {
        assert_eq!(store.read(record(old).position, &record(old).key).unwrap(), Some(record(old)));
    }
    fs::remove_file(ballast).unwrap();
    let applied = support::eventually(|| store.apply(vec![record(n)]).ok());
    support::eventually(|| (store.durable() >= applied.sequence).then_some(()));
    store.close().unwrap();
    let store = DiskStore::open(dir, options()).unwrap();
    assert!(store.report().is_clean(), "{}", store.report());
    assert_eq!(store.usage().records, u64::from(n) + 1);
}

#[test]
fn remembered_peers_survive_and_a_damaged_list_is_set_aside() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert_eq!(store.remembered_peers().unwrap().names, Vec::<String>::new());
    let names: Vec<_> = (0..PEERS_MAX + 9).map(|n| format!("10.0.0.{n}:4567")).collect();
    store.remember_peers(&names).unwrap();
    store.close().unwrap();
    let store = DiskStore::open(dir.path(), options()).unwrap();
    assert_eq!(store.remembered_peers().unwrap().names, names[..PEERS_MAX]);
    fs::write(dir.path().join("peers.json"), "[\"10.0").unwrap();
    let damaged = store.remembered_peers().unwrap();
    assert_eq!(damaged.names, Vec::<String>::new());
    assert_eq!(damaged.damaged, Some(dir.path().join("peers.json.damaged-1")));
    assert_eq!(store.remembered_peers().unwrap().damaged, None);
}

#[test]
fn a_file_that_is_no_store_is_set_aside_or_refused() {
    let dir = filled();
    let file = dir.path().join("records.redb");
    fs::write(&file, "nonsense".repeat(1000)).unwrap();
    let refuse = Options { damage: DamagePolicy::Refuse, ..options() };
    let refused = DiskStore::open(dir.path(), refuse).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("restore it from a backup"), "{refused}");

    let store = DiskStore::open(dir.path(), options()).unwrap();
    let aside = dir.path().join("records.redb.damaged-1");
    assert_eq!(store.report().set_aside.as_ref(), Some(&aside));
    assert!(store.report().to_string().contains("was set aside as"), "{}", store.report());
    assert_eq!(fs::read(aside).unwrap(), "nonsense".repeat(1000).as_bytes());
    assert_eq!(store.usage().records, 0);
    store.apply(vec![record(1)]).unwrap();
    store.close().unwrap();
    assert!(DiskStore::open(dir.path(), options()).unwrap().report().is_clean());
}

#[test]
fn a_file_that_is_gone_or_empty_is_a_loss() {
    let take: [fn(&Path); 2] = [|file| fs::remove_file(file).unwrap(), |file| fs::write(file, "").unwrap()];
    for take in take {
        let dir = filled();
        let file = dir.path().join("records.redb");
        take(&file);
        for reading in
            [check(dir.path()).map(|_| ()), export(dir.path(), Vec::new()).map(|_| ()).map_err(opened)]
        {
            let text = reading.unwrap_err().to_string();
            assert!(text.contains("records.redb is damaged (the file is gone or empty)"), "{text}");
        }
        let refuse = Options { damage: DamagePolicy::Refuse, ..options() };
        let was_there = file.exists();
        let text = refused(dir.path(), refuse);
        assert!(text.contains("records.redb is damaged (the file is gone or empty)"), "{text}");
        assert_eq!(file.exists(), was_there, "it is left as it is");
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let report = store.report();
        assert!(report.missing && !report.is_clean());
        assert!(report.to_string().contains("all that was in it is lost here"), "{report}");
    }
}

fn opened(error: TransferError) -> OpenError {
    match error {
        TransferError::Open(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn an_import_says_what_it_found_damaged() {
    let dir = filled();
    damage(dir.path());
    let line = br#"{"key":"k","value":"v","version":"1.0.1"}"#;
    let imported = import(dir.path(), &line[..], VALUE_BYTES_DEFAULT).unwrap();
    assert!(imported.found.set_aside.is_some(), "{}", imported.found);
}

/// What is found of the 500 records, each of which must be as it was written; how many are missing.
fn count_missing(store: &DiskStore) -> u32 {
    let mut missing = 0;
    for n in 0..500 {
        let expected = record(n);
        match store.read(expected.position, &expected.key) {
            Ok(Some(read)) => assert_eq!(read, expected, "what is served is what was written"),
            Ok(None) | Err(_) => missing += 1,
        }
    }
    missing
}

#[test]
fn a_flipped_bit_anywhere_is_never_served_and_a_loss_is_reported() {
    let original = filled();
    let bytes = fs::read(original.path().join("records.redb")).unwrap();
    let cases: usize = std::env::var("CHORD_DISK_SOAK").map_or(1, |text| text.parse().unwrap());
    let mut damages = 0;
    for case in 0..60 * cases {
        let dir = scratch();
        fs::copy(original.path().join("identity.json"), dir.path().join("identity.json")).unwrap();
        let mut bytes = bytes.clone();
        // Spread over the whole file by a number without a pattern.
        let at = (case + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let byte = at / 8 % bytes.len();
        bytes[byte] ^= 1 << (at % 8);
        fs::write(dir.path().join("records.redb"), bytes).unwrap();
        let store = DiskStore::open(dir.path(), options()).unwrap();
        let missing = count_missing(&store);
        assert!(
            missing == 0 || !store.report().is_clean(),
            "{missing} missing after bit {at} of byte {byte}"
        );
        assert_eq!(store.digest(&Range::ALL).unwrap().records(), u64::from(500 - missing), "byte {byte}");
        damages += usize::from(!store.report().is_clean());
    }
    assert!(damages > 10, "only {damages} flips were damage at all");
}

/// Damages the value of record 250, wherever it stands: pages that are no longer used may have it too.
fn damage(dir: &Path) {
    let file = dir.join("records.redb");
    let mut bytes = fs::read(&file).unwrap();
    let value = b"the value of 250";
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(value)).collect();
    for at in places {
        bytes[at] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
}

#[test]
fn what_can_be_read_of_a_damaged_file_is_carried_over() {
    let dir = filled();
    damage(dir.path());
    let store = DiskStore::open(dir.path(), options()).unwrap();
    let missing = count_missing(&store);
    assert!(missing > 0 && missing < 100, "{missing} of 500 are missing: {}", store.report());
}

#[test]
fn a_damaged_file_stays_where_it_is_until_there_is_room_to_carry_over_what_can_be_read() {
    let [dir, filled] = [scratch(), filled()];
    let mount = ["-t", "tmpfs", "-o", "size=32m", "tmpfs"];
    let done = Command::new("mount").args(mount).arg(dir.path()).output();
    if !done.is_ok_and(|done| done.status.success()) {
        println!("skipped: this user may not mount a file system");
        return;
    }
    for file in ["identity.json", "records.redb"] {
        fs::copy(filled.path().join(file), dir.path().join(file)).unwrap();
    }
    damage(dir.path());
    let ended = std::panic::catch_unwind(|| carry_over_on_a_full_disk(dir.path()));
    let _ = Command::new("umount").arg(dir.path()).status();
    ended.unwrap();
}

fn carry_over_on_a_full_disk(dir: &Path) {
    let (ballast, records) = (dir.join("ballast"), dir.join("records.redb"));
    let before = fs::read(&records).unwrap();
    // Room for nothing, for a part of the copy that is read from, and for that but not for all of the file that is written.
    for room in [64 << 10, before.len() / 2, before.len() + (64 << 10)] {
        let mut file = fs::File::create(&ballast).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        file.set_len(file.metadata().unwrap().len() - room as u64).unwrap();
        drop(file);
        let text = refused(dir, options());
        assert!(
            text.contains("records.redb") && text.ends_with("; free space on that disk"),
            "{room}: {text}"
        );
        assert_eq!(fs::read(&records).unwrap().len(), before.len(), "{room}");
        fs::remove_file(&ballast).unwrap();
        assert_eq!(fs::read_dir(dir).unwrap().count(), 3, "identity, lock and records: {room}");
    }
    let store = DiskStore::open(dir, options()).unwrap();
    assert_eq!(store.report().set_aside, Some(dir.join("records.redb.damaged-1")));
    let missing = count_missing(&store);
    assert!(missing > 0 && missing < 100, "{missing} of 500 are missing: {}", store.report());
}
