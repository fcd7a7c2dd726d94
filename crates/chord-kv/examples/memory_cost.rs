//! What a record costs in the memory engine, and how fast it is: `cargo run --release -p chord-kv --example memory_cost`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "an example measures and shows figures; the crate itself does neither"
)]

use std::error::Error;
use std::fs;
use std::time::Instant;

use chord_kv::{Digest, Key, MemoryStore, Range, Record, Store, VALUE_BYTES_DEFAULT, Value, Version};
use chord_ring::{Position, RingSize};

const RECORDS: u64 = 1_000_000;
const VALUE: [u8; 64] = [b'v'; 64];

fn main() -> Result<(), Box<dyn Error>> {
    for bits in [160, 256] {
        measure(RingSize::new(bits)?)?;
    }
    Ok(())
}

fn measure(size: RingSize) -> Result<(), Box<dyn Error>> {
    let before = resident_bytes()?;
    let store = MemoryStore::new(size, u64::MAX);
    let begun = Instant::now();
    for number in 0..RECORDS {
        store.apply(vec![record(number, size)?])?;
    }
    let took = begun.elapsed().as_secs_f64();
    let each = (resident_bytes()? - before) as f64 / RECORDS as f64;
    println!(
        "{} bits: {:.1} bytes a record beyond key and value; {:.0} writes/s (keys hashed with it)",
        size.bits(),
        each - 80.0,
        RECORDS as f64 / took
    );
    let mut wanted = Vec::new();
    for number in 0..RECORDS {
        let record = record(number.wrapping_mul(7_919_777) % RECORDS, size)?;
        wanted.push((record.position, record.key));
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let mut bytes = 0;
        for (position, key) in &wanted {
            let record = store.read(*position, key)?.ok_or("a record is gone")?;
            bytes += record.value.map_or(0, |value| value.as_bytes().len());
        }
        let rate = wanted.len() as f64 / begun.elapsed().as_secs_f64();
        println!("{} bits: {rate:.0} reads/s of {bytes} bytes", size.bits());
    }
    let begun = Instant::now();
    let digest: Digest = store.digest(&Range { after: wanted[0].0, up_to: wanted[1].0 })?;
    println!("{} bits: digest of {} records in {:.1?}", size.bits(), digest.records(), begun.elapsed());
    Ok(())
}

fn record(number: u64, size: RingSize) -> Result<Record, Box<dyn Error>> {
    let key = Key::new(format!("key{number:013}").as_bytes())?;
    Ok(Record {
        position: key.position(size),
        key,
        value: Some(Value::new(&VALUE, VALUE_BYTES_DEFAULT)?),
        version: Version::new(1_700_000_000_000, 0, size.reduce(Position::MAX)),
        expires_at_ms: None,
    })
}

/// What the process occupies, on Linux.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).ok_or("no Rss")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kilobytes * 1024)
}
