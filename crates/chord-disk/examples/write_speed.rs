//! How fast the engine is on a disk: `cargo run --release -p chord-disk --example write_speed -- DIR [RECORDS]`.
//!
//! Each of so many writers waits until its record is durable before it writes the next, as clients of a node do.

#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "an example shows figures")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chord_disk::{DiskStore, Identity, Options};
use chord_kv::{Key, Range, Record, Sequence, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};

const TIME: Duration = Duration::from_secs(3);
const VALUE: [u8; 64] = [b'v'; 64];

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("say in which directory")?;
    let records = std::env::args().nth(2).map_or(Ok(0), |text| text.parse())?;
    let dir = tempfile::tempdir_in(dir)?;
    show_sync_time(dir.path())?;
    let identity = Identity { ring: String::new(), size: RingSize::DEFAULT, node: "bench".into() };
    let options = Options::new(identity);
    let store = DiskStore::open(dir.path(), options.clone())?;
    fill(&store, records)?;
    for writers in [1, 8, 64, 64, 512] {
        show_writes(&store, writers)?;
    }
    store.close()?;
    let begun = Instant::now();
    let store = DiskStore::open(dir.path(), options)?;
    println!("opened with {} in {:.1?}", store.report(), begun.elapsed());
    show_reads(&store, records)?;
    show_digest(&store)?;
    Ok(())
}

fn record(number: u64, time_ms: u64) -> Result<Record, Box<dyn Error>> {
    let key = Key::new(format!("key{number:013}").as_bytes())?;
    Ok(Record {
        position: key.position(RingSize::DEFAULT),
        key,
        value: Some(Value::new(&VALUE, VALUE_BYTES_DEFAULT)?),
        version: Version::new(time_ms, 0, Position::ZERO),
        expires_at_ms: None,
    })
}

fn show_sync_time(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = File::create(dir.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort();
    println!("append 4 KiB and sync: median {:.0?}, 99 % within {:.0?}", times[250], times[495]);
    Ok(())
}

fn fill(store: &DiskStore, records: u64) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    for first in (0..records).step_by(1000) {
        let batch = (first..records.min(first + 1000)).map(|number| record(number, 1));
        let batch = batch.collect::<Result<Vec<_>, _>>()?;
        while let Err(chord_kv::StoreError::Busy { .. }) = store.apply(batch.clone()) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    println!("filled with {records} records in {:.1?}", begun.elapsed());
    Ok(())
}

/// Lets threads wait for a sequence.
#[derive(Default)]
struct Durable {
    up_to: Mutex<Sequence>,
    grown: Condvar,
}

fn show_writes(store: &DiskStore, writers: u64) -> Result<(), Box<dyn Error>> {
    let durable = Arc::new(Durable::default());
    let told = Arc::clone(&durable);
    store.on_durable(Box::new(move |sequence| {
        *told.up_to.lock().expect("nobody panics") = sequence;
        told.grown.notify_all();
    }));
    let before = store.statistics();
    let (written, waited) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    thread::scope(|scope| {
        for writer in 0..writers {
            let (durable, written, waited) = (&durable, &written, &waited);
            scope.spawn(move || {
                let mut times = Vec::new();
                while begun.elapsed() < TIME {
                    let number = (1 + writer) << 32 | written.fetch_add(1, Ordering::Relaxed);
                    let record = record(number, 2).expect("a short key and value");
                    let asked = Instant::now();
                    let sequence = store.apply(vec![record]).expect("there is room").sequence;
                    let up_to = durable.up_to.lock().expect("nobody panics");
                    let late = |up_to: &mut Sequence| *up_to < sequence && store.durable() < sequence;
                    drop(durable.grown.wait_while(up_to, late));
                    times.push(asked.elapsed());
                }
                waited.lock().expect("nobody panics").append(&mut times);
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let after = store.statistics();
    let mut waited = waited.into_inner()?;
    waited.sort();
    let n = waited.len();
    let syncs = after.syncs - before.syncs;
    println!(
        "{writers:3} writers: {:7.0} durable writes/s, median {:.1?}, 99 % within {:.1?}, {:.0} commits/s, {:.3} syncs a write",
        n as f64 / seconds,
        waited[n / 2],
        waited[n * 99 / 100],
        (after.commits - before.commits) as f64 / seconds,
        syncs as f64 / n as f64,
    );
    Ok(())
}

fn show_reads(store: &DiskStore, records: u64) -> Result<(), Box<dyn Error>> {
    if records == 0 {
        return Ok(());
    }
    let keys = (0..200_000).map(|n: u64| record(n.wrapping_mul(7919) % records, 1));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    for round in ["first", "again"] {
        let begun = Instant::now();
        for record in &keys {
            store.read(record.position, &record.key)?.ok_or("a record is gone")?;
        }
        println!("read, {round}: {:.0}/s", keys.len() as f64 / begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn show_digest(store: &DiskStore) -> Result<(), Box<dyn Error>> {
    let third = Range { after: record(1, 1)?.position, up_to: record(2, 1)?.position };
    for (name, range) in [("all", Range::ALL), ("a part", third)] {
        let begun = Instant::now();
        let digest = store.digest(&range)?;
        println!("digest of {name}, {} records: {:.1?}", digest.records(), begun.elapsed());
    }
    Ok(())
}
