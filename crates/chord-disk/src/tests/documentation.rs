//! `docs/storage.md` says what the source does.

use std::fs;

use chord_kv::{KEY_BYTES_MAX, Key, RECORD_OVERHEAD_BYTES, Record, Store, VALUE_BYTES_LIMIT, Value, Version};
use chord_ring::{Position, RingSize};

use super::{scratch, wait_durable};
use crate::directory::{FORMAT_WITHOUT_LOG, SMALL_FILE_BYTES_MAX};
use crate::entry::{self, PAGE};
use crate::log::{self, HALF_BYTES, LOT_PART, MERGE_AFTER};
use crate::pending::{Change, Changes};
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

fn example() -> Record {
    let key = Key::new(b"greeting").unwrap();
    Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(b"hello", VALUE_BYTES_LIMIT).unwrap()),
        version: Version::new(1_700_000_000_000, 3, Position::from(77)),
        expires_at_ms: Some(1_800_000_000_000),
    }
}

#[test]
fn a_record_is_encoded_as_it_is_documented() {
    let record = example();
    let key = encoding::key_bytes(record.position, &record.key);
    assert_eq!(examples("| key | what | example |"), hex(&key));
    assert_eq!(examples("| value | what | example |"), hex(&encoding::value_bytes(&key, &record)));
}

#[test]
fn the_log_is_written_as_it_is_documented() {
    let (mark, record) = (0x0123_4567_89AB_CDEF, example());
    let header = examples("| header | what | example |");
    assert_eq!(header, hex(&log::header_page(mark, HALF_BYTES)[..header.len() / 2]));
    let changes = Changes::from([((record.position, record.key.clone()), Change::Put(record))]);
    let mut entry = Vec::new();
    entry::encode(&mut entry, mark, 17, &changes);
    let example = examples("| entry | what | example |");
    assert_eq!(example, hex(&entry[..example.len() / 2]));
    assert!(entry[example.len() / 2..].iter().all(|byte| *byte == 0));
    assert!(example.contains(&examples("| change | what | example |")));
}

#[test]
fn the_files_of_a_directory_are_those_of_the_documentation() {
    let dir = scratch();
    let identity = Identity { ring: "chord".into(), size: RingSize::DEFAULT, node: "127.0.0.1:4567".into() };
    let store = DiskStore::open(dir.path(), Options::new(identity)).unwrap();
    store.remember_peers(&["127.0.0.1:4568".into()]).unwrap();
    let identity = fs::read_to_string(dir.path().join("identity.json")).unwrap();
    assert!(DOCUMENTATION.contains(&format!("```json\n{identity}\n```")), "{identity}");
    let applied = store.apply(vec![example()]).unwrap();
    wait_durable(&store, applied.sequence);
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(DOCUMENTATION.contains(&format!("\n| `{name}` |")), "{name}");
        files += 1;
    }
    assert_eq!(files, 5);
}

#[test]
fn the_numbers_are_those_of_the_documentation() {
    let mebi = |bytes: u64| bytes >> 20;
    let sentences = [
        format!("Otherwise it is {FORMAT_WITHOUT_LOG}, and"),
        format!("This one reads up to {FORMAT}."),
        format!("The file has {} MiB and 4 KiB", mebi(2 * HALF_BYTES)),
        format!("come two halves of {} MiB", mebi(HALF_BYTES)),
        format!("Each begins at a multiple of {PAGE} bytes"),
        format!("when {} seconds have passed since the first", MERGE_AFTER.as_secs()),
        format!("What is larger than {} MiB in one commit", mebi(HALF_BYTES / LOT_PART)),
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
