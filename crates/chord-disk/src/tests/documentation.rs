//! `docs/storage.md` says what the source does.

use std::fs;

use chord_kv::{KEY_BYTES_MAX, Key, RECORD_OVERHEAD_BYTES, Record, VALUE_BYTES_LIMIT, Value, Version};
use chord_ring::{Position, RingSize};

use super::scratch;
use crate::directory::SMALL_FILE_BYTES_MAX;
use crate::quarantine::write_hex;
use crate::store::CACHE_BYTES_DEFAULT;
use crate::{
    DiskStore, FORMAT, Identity, Options, PEERS_MAX, PENDING_BYTES_DEFAULT, QUARANTINED_NAMED_MAX, encoding,
};

const DOCUMENTATION: &str = include_str!("../../../../docs/storage.md");

fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    write_hex(&mut text, bytes).unwrap();
    String::from_utf8(text).unwrap()
}

/// The cells of the table with that heading.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, table) = DOCUMENTATION.split_once(heading).expect("the table is there");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Its examples one after the other, each as long as its first cell says.
fn examples(heading: &str) -> String {
    let mut all = String::new();
    for row in rows(heading) {
        let example = row[2].trim_matches('`');
        let length = row[0].split(' ').next().and_then(|word| word.parse::<usize>().ok());
        assert!(length.is_none_or(|length| 2 * length == example.len()), "{}: {example}", row[0]);
        all.push_str(example);
    }
    all
}

#[test]
fn a_record_is_encoded_as_it_is_documented() {
    let key = Key::new(b"greeting").unwrap();
    let record = Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(b"hello", VALUE_BYTES_LIMIT).unwrap()),
        version: Version::new(1_700_000_000_000, 3, Position::from(77)),
        expires_at_ms: Some(1_800_000_000_000),
    };
    let key = encoding::key_bytes(record.position, &record.key);
    assert_eq!(examples("| key | what | example |"), hex(&key));
    assert_eq!(examples("| value | what | example |"), hex(&encoding::value_bytes(&key, &record)));
}

#[test]
fn the_files_of_a_directory_are_those_of_the_documentation() {
    let dir = scratch();
    let identity = Identity { ring: "chord".into(), size: RingSize::DEFAULT, node: "127.0.0.1:4567".into() };
    let store = DiskStore::open(dir.path(), Options::new(identity)).unwrap();
    store.remember_peers(&["127.0.0.1:4568".into()]).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(DOCUMENTATION.contains(&format!("\n| `{name}` |")), "{name}");
    }
    let identity = fs::read_to_string(dir.path().join("identity.json")).unwrap();
    assert!(DOCUMENTATION.contains(&format!("```json\n{identity}\n```")), "{identity}");
}

#[test]
fn the_numbers_are_those_of_the_documentation() {
    let mebi = |bytes: u64| bytes >> 20;
    let sentences = [
        format!("`format` covers the whole directory, and is {FORMAT}."),
        format!("| at most {PEERS_MAX} names of peers"),
        format!("at most {} MiB is read", mebi(SMALL_FILE_BYTES_MAX)),
        format!("| the rest, at most {KEY_BYTES_MAX} | the key |"),
        format!("at most {} MiB | the value |", mebi(VALUE_BYTES_LIMIT as u64)),
        format!("A record counts as {RECORD_OVERHEAD_BYTES} bytes more"),
        format!("At most {} MiB (`--pending-bytes`) wait for the disk", mebi(PENDING_BYTES_DEFAULT)),
        format!("names the last {QUARANTINED_NAMED_MAX},"),
        format!("{} MiB are the cache", mebi(CACHE_BYTES_DEFAULT as u64)),
    ];
    for sentence in sentences {
        assert!(DOCUMENTATION.contains(&sentence), "{sentence}");
    }
}
