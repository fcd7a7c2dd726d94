//! The thread that fills the tree: what has gathered in the log, and what is too large for it, goes into the file of the
//! records in one transaction with its sync. Only then is its part of the log free.

use std::sync::Arc;
use std::time::Duration;

use redb::Database;

use crate::database::{self, Fault, LOG, LOG_MERGED, RECORDS};
use crate::encoding;
use crate::engine::Engine;
use crate::handover::{Handover, Work};
use crate::medium::Watch;
use crate::pending::{Change, Changes, Merge};

/// How long to wait after a failed transaction before the file is opened again, at first and at most: a file that cannot be
/// written now may be in a moment, and a broken one costs little at one attempt every few seconds.
const REOPEN_AFTER: Duration = Duration::from_millis(100);
const REOPEN_AFTER_MAX: Duration = Duration::from_secs(5);

/// Says that the thread has ended, however it does.
struct Ending<'a>(&'a Handover);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Fills the tree until nothing comes any more.
pub(crate) fn run(engine: &Engine) {
    let _ending = Ending(&engine.handover);
    let _watch = Watch(engine.medium.trouble());
    while let Some(work) = engine.handover.next() {
        let merge = engine.pending_mut().begin_merge(work == Work::Lot);
        if (work != Work::Gathered || !merge.is_empty()) && !merge_until_done(engine, &merge) {
            return; // Closing: what is in the log is put into the tree by the next start.
        }
        let done = engine.pending_mut().end_merge();
        engine.handover.done(work, merge.entry);
        drop((merge, done)); // Outside of the lock: there may be many.
    }
}

/// Tries until the changes are in the tree for good; false if the engine closes first.
fn merge_until_done(engine: &Engine, merge: &Merge) -> bool {
    let trouble = engine.medium.trouble();
    let mut pause = REOPEN_AFTER;
    loop {
        match commit(engine, merge) {
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
    true
}

fn commit(engine: &Engine, merge: &Merge) -> Result<(), Fault> {
    engine.medium.look_after_file().map_err(Fault::Io)?;
    let open = engine.database();
    let Some(database) = &*open else {
        return Err(Fault::Damaged("the file is closed".into()));
    };
    let table = database::caught(|| {
        write(database, merge)?;
        database::table(database)
    });
    engine.set_table(Some(table?));
    Ok(())
}

fn write(database: &Database, merge: &Merge) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for ((position, key), change) in merge.layers.iter().map(Arc::as_ref).flat_map(Changes::iter) {
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
    if merge.entry > 0 {
        transaction.open_table(LOG)?.insert(LOG_MERGED, merge.entry)?;
    }
    Ok(transaction.commit()?)
}

/// After an error redb does nothing more until the file is opened again. What was in the failed transaction is still read
/// from memory.
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
