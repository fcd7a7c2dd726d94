//! The thread that makes records durable: whatever waits goes into one synced commit, then the next.

use std::path::Path;
use std::time::{Duration, Instant};

use redb::Database;

use crate::database::{self, Fault, RECORDS};
use crate::encoding;
use crate::engine::Engine;
use crate::pending::{Change, Changes, Lot};
use crate::quarantine::{Quarantine, Raw};
use crate::store::Sync;

/// How long to wait after a failed commit before the file is opened again, at first and at most: a file that cannot be
/// written now may be in a moment, and a broken one costs little at one attempt every few seconds.
const REOPEN_AFTER: Duration = Duration::from_millis(100);
const REOPEN_AFTER_MAX: Duration = Duration::from_secs(5);

/// A commit waits for company for at most this part of what the last one took, since those whom it answered are likely
/// to write again at once; each that comes too late would wait for a whole commit more.
const GATHER_PART: u32 = 4;

/// At most so long.
const GATHER_MAX: Duration = Duration::from_millis(2);

/// How often it looks whether the company has come.
const GATHER_STEP: Duration = Duration::from_micros(50);

/// What the last commit was like.
#[derive(Clone, Copy, Default)]
struct Last {
    batches: u64,
    took: Duration,
}

/// Commits until the engine closes, and then what is left.
pub(crate) fn run(engine: &Engine) {
    let mut last = Last::default();
    let mut quarantine = Quarantine::new(engine.medium.path());
    while engine.wait_for_work() {
        match engine.options.sync {
            Sync::Always => gather(engine, last),
            Sync::Interval(interval) => engine.wait_for_interval(interval),
        }
        let lot = engine.pending_mut().begin_commit();
        let begun = Instant::now();
        if !keep_damaged(engine, &mut quarantine, &lot.damaged) || !commit_until_done(engine, &lot) {
            return; // Closing: what could not be written was never reported as durable.
        }
        last = Last { batches: lot.batches, took: begun.elapsed() };
        engine.commit_times.note(last.took);
    }
}

/// Waits until as many batches are there as the last commit took, or not much longer.
fn gather(engine: &Engine, last: Last) {
    let until = Instant::now() + (last.took / GATHER_PART).min(GATHER_MAX);
    while engine.pending().batches() < last.batches && Instant::now() < until && !engine.is_closing() {
        std::thread::sleep(GATHER_STEP);
    }
}

/// Tries until damaged records are in quarantine, so that no commit takes them out of the file before; false if the engine
/// closes first.
fn keep_damaged(engine: &Engine, quarantine: &mut Quarantine, damaged: &[Raw]) -> bool {
    if damaged.is_empty() {
        return true;
    }
    while let Err(error) = quarantine.keep(damaged) {
        let trouble = engine.medium.trouble();
        trouble.set(&error);
        if !trouble.pause(REOPEN_AFTER) {
            return false;
        }
    }
    engine.damaged().quarantine_file = quarantine.path().map(Path::to_path_buf);
    true
}

/// Tries until the changes are durable; false if the engine closes first.
fn commit_until_done(engine: &Engine, lot: &Lot) -> bool {
    let trouble = engine.medium.trouble();
    let mut pause = REOPEN_AFTER;
    loop {
        match commit(engine, &lot.changes) {
            Ok(()) => break,
            Err(fault) => trouble.set(&fault.into_io()),
        }
        loop {
            if !trouble.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(REOPEN_AFTER_MAX);
            match reopen(engine) {
                Ok(()) => break,
                Err(fault) => trouble.set(&fault.into_io()),
            }
        }
    }
    trouble.clear();
    let done = engine.pending_mut().end_commit();
    engine.report_durable(lot.sequence);
    drop(done); // Outside of the lock: there may be many.
    true
}

fn commit(engine: &Engine, changes: &Changes) -> Result<(), Fault> {
    engine.medium.look_after_file().map_err(Fault::Io)?;
    let open = engine.database();
    let Some(database) = &*open else {
        return Err(Fault::Damaged("the file is closed".into()));
    };
    let table = database::caught(|| {
        write(database, changes)?;
        database::table(database)
    });
    engine.set_table(Some(table?));
    Ok(())
}

fn write(database: &Database, changes: &Changes) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for ((position, key), change) in changes {
            let key = encoding::key_bytes(*position, key);
            match change {
                Change::Put(record) => {
                    table.insert(key.as_slice(), encoding::value_bytes(&key, record).as_slice())?;
                }
                Change::Gone => {
                    table.remove(key.as_slice())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

/// After an error redb does nothing more until the file is opened again. What was in the failed commit is still pending.
fn reopen(engine: &Engine) -> Result<(), Fault> {
    // It would be made anew, and empty.
    engine.medium.look_after_file().map_err(Fault::Io)?;
    let mut database = engine.database();
    engine.set_table(None);
    let open = database.take();
    if let Some(open) = open {
        database::close(open);
    }
    let trouble = engine.medium.trouble();
    if trouble.take_sync_failed()
        && let Err(error) = engine.medium.rewrite()
    {
        trouble.sync_has_failed();
        return Err(Fault::Io(error));
    }
    let (opened, _) = database::open_file(&engine.medium, engine.options.cache_bytes)?;
    engine.set_table(Some(database::table(&opened)?));
    *database = Some(opened);
    Ok(())
}
