//! How long a data directory takes to open, where the time goes, and what memory it takes:
//! `cargo run --release -p chord-disk --example open_time -- DIR [HOW]`.
//!
//! The first run fills the directory. Each later one opens it, in a process that did nothing else: as a `store`, or with redb
//! alone, `checked` or `unchecked`. Before the next one, `dd of=DIR/records.redb oflag=nocache conv=notrunc,fdatasync count=0`
//! has the system forget the file.

#![allow(clippy::print_stdout, reason = "an example shows figures")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use chord_disk::{DiskStore, Identity, Options};
use chord_kv::{Key, Record, Store, StoreError, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

const RECORDS: u64 = 1_000_000;
const VALUE: [u8; 100] = [b'v'; 100];
const BATCH: u64 = 1000;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("say in which directory")?;
    let dir = Path::new(&dir);
    let identity = Identity { ring: String::new(), size: RingSize::DEFAULT, node: "bench".into() };
    let file = dir.join("records.redb");
    if !file.try_exists()? {
        fill(&DiskStore::open(dir, Options::new(identity))?)?;
        println!("filled with {RECORDS} records, {} bytes; run it again", fs::metadata(&file)?.len());
        return Ok(());
    }
    show_memory("before")?;
    let begun = Instant::now();
    match std::env::args().nth(2).as_deref() {
        None | Some("store") => {
            let store = DiskStore::open(dir, Options::new(identity))?;
            println!("the store opens in {:.2?}: {}", begun.elapsed(), store.report());
            show_memory("with the store open")?;
        }
        Some(how) => {
            let database = Database::builder().set_check_integrity_on_open(how == "checked").open(&file)?;
            println!("redb alone opens it {how} in {:.2?}", begun.elapsed());
            show_scan(&database)?;
            show_memory("then")?;
        }
    }
    Ok(())
}

fn fill(store: &DiskStore) -> Result<(), Box<dyn Error>> {
    for first in (0..RECORDS).step_by(usize::try_from(BATCH)?) {
        let batch = (first..RECORDS.min(first + BATCH)).map(record).collect::<Result<Vec<_>, _>>()?;
        loop {
            match store.apply(batch.clone()) {
                Ok(_) => break,
                Err(StoreError::Busy { .. }) => thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn record(number: u64) -> Result<Record, Box<dyn Error>> {
    let key = Key::new(format!("key{number:013}").as_bytes())?;
    Ok(Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(&VALUE, VALUE_BYTES_DEFAULT)?),
        version: Version::new(1, 0, Position::ZERO),
        expires_at_ms: None,
    })
}

/// What a scan costs that looks at every record and computes nothing.
fn show_scan(database: &Database) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut bytes = 0;
    for entry in database.begin_read()?.open_table(TABLE)?.iter()? {
        let (key, value) = entry?;
        bytes += key.value().len() + value.value().len();
    }
    println!("a bare scan of {bytes} bytes of records takes {:.2?}", begun.elapsed());
    Ok(())
}

fn show_memory(when: &str) -> Result<(), Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let shown = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    println!("memory {when}: {}", shown.collect::<Vec<_>>().join(", "));
    Ok(())
}
