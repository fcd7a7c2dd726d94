//! Records out of a data directory as text, and into one: for a backup, a look, or another ring size.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chord_kv::{CLOCK_AHEAD_MS_MAX, Record, Store, StoreError, VALUE_BYTES_LIMIT};
use redb::ReadableTable;

use crate::check::open_existing;
use crate::database::{self, Fault};
use crate::directory::Directory;
use crate::store::Files;
use crate::{DiskStore, OpenError, Options, Report, TransferError, encoding, text};

/// Longest line that is read, in bytes: the largest value with every byte of it escaped in six, and a key likewise.
const LINE_BYTES_MAX: u64 = 6 * (VALUE_BYTES_LIMIT as u64 + 8192);

/// What some editors begin a file with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How much of an import is applied together, in records and in bytes.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// How long an import waits when too much is on its way to the disk.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many records, those of deleted keys included.
    pub records: u64,
    /// How many had expired and were left out.
    pub expired: u64,
    /// How many were damaged and left out.
    pub damaged: u64,
}

/// What an import read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many records were read.
    pub records: u64,
    /// How many were stored; for the others, a record as new or newer is there already.
    pub stored: u64,
    /// What was found when the directory was opened, as a node that starts would have.
    pub found: Report,
}

/// Writes every record of the data directory that has not expired to `out`, one JSON object a line, in the order of their
/// positions.
///
/// # Errors
/// The directory cannot be used, perhaps because a node is running on it, or `out` cannot be written.
pub fn export(dir: &Path, out: impl Write) -> Result<Exported, TransferError> {
    let (directory, identity) = Directory::take_existing(dir)?;
    let database = open_existing(&directory)?;
    let mut out = io::BufWriter::new(out);
    let mut exported = Exported::default();
    let mut failed = None;
    let now_ms = now_ms();
    let path = directory.path();
    let read = database::caught(|| {
        for entry in database::table(&database)?.iter()? {
            let (key, value) = entry?;
            let Ok(record) = encoding::record(key.value(), value.value()) else {
                exported.damaged += 1;
                continue;
            };
            if record.is_expired(now_ms) {
                exported.expired += 1;
                continue;
            }
            let line = text::line(&record, identity.size).map_err(io::Error::from);
            if let Err(error) = line.and_then(|line| out.write_all(&line)).and_then(|()| out.write_all(b"\n"))
            {
                failed = Some(TransferError::Io { doing: "writing the export".into(), error });
                break;
            }
            exported.records += 1;
        }
        Ok(())
    });
    read.map_err(|fault: Fault| OpenError::io("cannot read", path)(fault.into_io()))?;
    if let Some(error) = failed {
        return Err(error);
    }
    out.flush().map_err(|error| TransferError::Io { doing: "writing the export".into(), error })?;
    Ok(exported)
}

/// Stores the records that stand in `input`, one JSON object a line, each only if it is newer than what is there.
///
/// A value may have `value_bytes_max` bytes: as many as the nodes of the ring take, since they would not take a copy of a
/// longer one.
///
/// # Errors
/// The directory cannot be used, a line is no record that nodes take, or the records cannot be stored. What was read before is stored;
/// importing it again is harmless.
pub fn import(
    dir: &Path,
    mut input: impl BufRead,
    value_bytes_max: usize,
) -> Result<Imported, TransferError> {
    let (directory, identity) = Directory::take_existing(dir)?;
    let size = identity.size;
    let store = DiskStore::open_in(Files::of(dir), directory, Options::new(identity))?;
    let mut imported = Imported { found: store.report().clone(), ..Imported::default() };
    let (mut batch, mut bytes, mut number) = (Vec::new(), 0, 0);
    while let Some(mut line) = next_line(&mut input, &mut number)? {
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = text::record(&line, size).and_then(|record| accepted(record, value_bytes_max));
        let record = record.map_err(|reason| TransferError::BadLine { line: number, reason });
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                store_batch(&store, batch, &mut imported)?;
                store.close()?;
                return Err(error);
            }
        };
        bytes += record.size_bytes();
        batch.push(record);
        if batch.len() >= BATCH_RECORDS || bytes >= BATCH_BYTES {
            store_batch(&store, std::mem::take(&mut batch), &mut imported)?;
            bytes = 0;
        }
    }
    store_batch(&store, batch, &mut imported)?;
    store.close()?;
    Ok(imported)
}

/// The record, if other nodes would take a copy of it and let it be replaced.
fn accepted(record: Record, value_bytes_max: usize) -> Result<Record, String> {
    let value_bytes = record.value.as_ref().map_or(0, |value| value.as_bytes().len());
    if value_bytes > value_bytes_max {
        return Err(format!("its value has {value_bytes} bytes, and nodes take at most {value_bytes_max}"));
    }
    let ahead_ms = record.version.time_ms().saturating_sub(now_ms());
    if ahead_ms > CLOCK_AHEAD_MS_MAX {
        return Err(format!(
            "its version is {ahead_ms} ms ahead of the clock here, and no node would believe it: set the clock, or give the record an older version"
        ));
    }
    Ok(record)
}

pub(crate) fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

fn next_line(input: &mut impl BufRead, number: &mut u64) -> Result<Option<Vec<u8>>, TransferError> {
    *number += 1;
    let line = *number;
    let mut bytes = Vec::new();
    let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
    let read = read.map_err(|error| TransferError::Io { doing: format!("reading line {line}"), error })?;
    if read as u64 == LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
        return Err(TransferError::BadLine { line, reason: "it is longer than any record".into() });
    }
    Ok((read > 0).then_some(bytes))
}

fn store_batch(store: &DiskStore, batch: Vec<Record>, imported: &mut Imported) -> Result<(), TransferError> {
    for record in batch {
        imported.records += 1;
        loop {
            match store.apply(vec![record.clone()]) {
                Ok(applied) => {
                    imported.stored += applied.news as u64;
                    break;
                }
                Err(StoreError::Busy { .. }) => thread::sleep(BUSY_PAUSE),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
