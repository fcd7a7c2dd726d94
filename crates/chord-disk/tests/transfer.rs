//! Records as text: out of a directory, into another, with everything that they carry.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::{fs, io};

use chord_disk::{DiskStore, Options, check, export, import};
use chord_kv::{Key, PageLimit, Range, Record, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use support::{identity, scratch};

fn record(key: &[u8], value: Option<&[u8]>, time_ms: u64) -> Record {
    let key = Key::new(key).unwrap();
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: value.map(|bytes| Value::new(bytes, VALUE_BYTES_DEFAULT).unwrap()),
        version: Version::new(time_ms, 3, Position::from(9)),
        expires_at_ms: None,
    }
}

fn some_records() -> Vec<Record> {
    let elsewhere = Record { position: Position::from(5), ..record(b"elsewhere", Some(b"x"), 1) };
    let mortal = Record { expires_at_ms: Some(253_402_300_799_999), ..record(b"mortal", Some(b""), 2) };
    vec![
        record(b"text", Some("grüße\n\"\u{0}".as_bytes()), 1),
        record(b"\xff\xfe", Some(&[0, 159, 146, 150]), 4),
        record(b"", Some(b"empty key"), 5),
        record(b"gone", None, 6),
        elsewhere,
        mortal,
    ]
}

fn all(store: &DiskStore) -> Vec<Record> {
    let limit = PageLimit { records: 1000.try_into().unwrap(), bytes: usize::MAX };
    store.range(&Range::ALL, None, limit).unwrap().records
}

#[test]
fn what_is_exported_and_imported_elsewhere_is_the_same() {
    let [from, to] = [scratch(), scratch()];
    let store = DiskStore::open(from.path(), Options::new(identity())).unwrap();
    store.apply(some_records()).unwrap();
    let expected = all(&store);
    store.close().unwrap();
    let mut text = Vec::new();
    assert_eq!(export(from.path(), &mut text).unwrap().records, 6);
    DiskStore::open(to.path(), Options::new(identity())).unwrap().close().unwrap();
    let imported = import(to.path(), &text[..], VALUE_BYTES_DEFAULT).unwrap();
    assert_eq!((imported.records, imported.stored), (6, 6));
    let again = import(to.path(), &text[..], VALUE_BYTES_DEFAULT).unwrap();
    assert_eq!((again.records, again.stored), (6, 0));
    let checked = check(to.path()).unwrap();
    assert!(checked.is_sound());
    assert_eq!((checked.records, checked.deleted, checked.expiring), (6, 1, 1));
    let store = DiskStore::open(to.path(), Options::new(identity())).unwrap();
    assert_eq!(all(&store), expected);
}

#[test]
fn what_has_expired_is_left_out_of_an_export_and_counted() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), Options::new(identity())).unwrap();
    store.apply(some_records()).unwrap();
    let expired = Record { expires_at_ms: Some(1_700_000_000_000), ..record(b"expired", Some(b"secret"), 2) };
    store.apply(vec![expired]).unwrap();
    store.close().unwrap();
    let mut text = Vec::new();
    let exported = export(dir.path(), &mut text).unwrap();
    assert_eq!((exported.records, exported.expired, exported.damaged), (6, 1, 0));
    assert!(!String::from_utf8(text).unwrap().contains("secret"));
}

#[test]
fn an_export_that_finds_no_room_says_what_helps() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = scratch();
    let store = DiskStore::open(dir.path(), Options::new(identity())).unwrap();
    store.apply(some_records()).unwrap();
    store.close().unwrap();
    let refused = export(dir.path(), Full).unwrap_err().to_string();
    assert!(
        refused.starts_with("writing the export failed") && refused.ends_with("; free space on that disk"),
        "{refused}"
    );
}

#[test]
fn an_import_never_takes_the_place_of_a_newer_record() {
    let dir = scratch();
    let store = DiskStore::open(dir.path(), Options::new(identity())).unwrap();
    store.apply(vec![record(b"k", Some(b"new"), 9)]).unwrap();
    store.close().unwrap();
    let old = br#"{"key":"k","value":"old","version":"8.0.1"}"#;
    assert_eq!(import(dir.path(), &old[..], VALUE_BYTES_DEFAULT).unwrap().stored, 0);
    let newest = br#"{"key":"k","deleted":true,"version":"10.0.1"}"#;
    assert_eq!(import(dir.path(), &newest[..], VALUE_BYTES_DEFAULT).unwrap().stored, 1);
    let store = DiskStore::open(dir.path(), Options::new(identity())).unwrap();
    assert!(all(&store)[0].is_tombstone());
}

/// At position 2^160.
const BEYOND: &str = r#"{"key":"k","value":"v","version":"1.0.1","position":"1461501637330902918203684832716283019655932542976"}"#;

#[test]
fn a_bad_line_is_named_and_what_came_before_it_is_kept() {
    let dir = scratch();
    DiskStore::open(dir.path(), Options::new(identity())).unwrap().close().unwrap();
    let good = r#"{"key":"k","value":"v","version":"1.0.1"}"#;
    let long = format!(r#"{{"key":"k","value":"{}","version":"1.0.1"}}"#, "v".repeat(101));
    let cases = [
        ("secret", "it is not JSON"),
        (r#"{"key":"k","version":"1.0.1"}"#, "either a value or \"deleted\":true"),
        (r#"{"key":"k","value":"v","deleted":true,"version":"1.0.1"}"#, "either a value or"),
        (r#"{"value":"v","version":"1.0.1"}"#, "neither key nor key_base64"),
        (r#"{"key":"k","key_base64":"aw==","value":"v","version":"1.0.1"}"#, "are both given"),
        (r#"{"key_base64":"secret!","value":"v","version":"1.0.1"}"#, "key_base64 is not base64"),
        (r#"{"key":"k","value":"v","version":"1"}"#, "TIME.COUNTER.WRITER"),
        (r#"{"key":"k","value":"v","version":"1.0.1","secret":1}"#, "a field that is unknown"),
        (
            r#"{"key":"k","value":"v","version":"281474976710655.65535.3"}"#,
            "ahead of the clock here, and no node would believe it",
        ),
        (&long, "its value has 101 bytes, and nodes take at most 100"),
        (BEYOND, "its position lies outside of a ring of 160 bits"),
    ];
    for (line, reason) in cases {
        let text = format!("{good}\n\n{line}\n{good}\n");
        let refused = import(dir.path(), text.as_bytes(), 100).unwrap_err().to_string();
        assert!(refused.starts_with("line 3: ") && refused.contains(reason), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
        assert_eq!(check(dir.path()).unwrap().records, 1);
    }
}

#[test]
fn a_directory_without_an_identity_is_no_data_directory() {
    let dir = scratch();
    let refused = check(dir.path()).unwrap_err().to_string();
    assert!(
        refused.contains("is no data directory: it has no identity.json; name the directory"),
        "{refused}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
