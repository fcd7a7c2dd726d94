//! The thread that makes records durable: whatever waits goes into one entry of the log with one sync, then the next.
//!
//! What is large, and all of it when there is no log, goes into the tree instead, by the thread that fills that.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::log::{Log, Room};
use crate::medium::Watch;
use crate::pending::Lot;
use crate::quarantine::{Quarantine, Raw};
use crate::store::Sync;

/// How long to wait before what could not be kept in quarantine is tried again.
const KEEP_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long no log is tried after one could not be begun, as on a disk without room for it, or after two have failed within
/// that time: seldom enough that trying costs nothing, and soon enough that nobody need restart the node.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// This part of what may wait may be in the log alone before the tree is filled.
const LOGGED_PART: u64 = 4;

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
    let _watch = Watch(engine.log.medium.trouble());
    let mut last = Last::default();
    let mut quarantine = Quarantine::new(engine.medium.path());
    let mut journal = Journal::default();
    while engine.wait_for_work() {
        match engine.options.sync {
            Sync::Always => gather(engine, last),
            Sync::Interval(interval) => engine.wait_for_interval(interval),
        }
        let lot = engine.pending_mut().begin_commit();
        let begun = Instant::now();
        let (sequence, batches) = (lot.sequence, lot.batches);
        if !keep_damaged(engine, &mut quarantine, &lot.damaged) || !journal.make_durable(engine, lot) {
            return; // Closing: what could not be written was never reported as durable.
        }
        engine.report_durable(sequence);
        last = Last { batches, took: begun.elapsed() };
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
    let trouble = engine.log.medium.trouble();
    while let Err(error) = quarantine.keep(damaged) {
        trouble.set(&error);
        if !trouble.pause(KEEP_AGAIN_AFTER) {
            return false;
        }
    }
    trouble.clear();
    engine.damaged().quarantine_file = quarantine.path().map(Path::to_path_buf);
    true
}

/// The log, if there is one.
#[derive(Debug, Default)]
struct Journal {
    log: Option<Log>,
    /// The one before has failed.
    is_spoilt: bool,
    /// When one could not be begun, or was not to be begun again.
    tried: Option<Instant>,
    /// When one has failed last.
    failed: Option<Instant>,
}

impl Journal {
    /// Waits until the changes are durable, wherever; false if the engine closes first.
    fn make_durable(&mut self, engine: &Engine, lot: Lot) -> bool {
        if lot.changes.is_empty() {
            return true;
        }
        let is_for_log = engine.options.sync == Sync::Always && lot.bytes <= engine.log.lot_bytes_max();
        if is_for_log && self.is_ready(engine) {
            match self.append(engine, lot) {
                Ok(is_durable) => return is_durable,
                Err(_) => self.give_up(engine),
            }
        }
        engine.handover.wait_for_lot()
    }

    /// Whether there is a log, which is begun if there is none.
    fn is_ready(&mut self, engine: &Engine) -> bool {
        if self.log.is_none() && self.tried.is_none_or(|tried| tried.elapsed() >= BEGIN_AGAIN_AFTER) {
            if let Ok(log) = self.begin(engine) {
                *self = Self { log: Some(log), failed: self.failed, ..Self::default() };
            } else {
                self.tried = Some(Instant::now());
                engine.log_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.log.is_some()
    }

    /// Begins a log. Nothing is in one that is not in the tree: all that was in it when it failed went there together with
    /// what was to be written.
    fn begin(&self, engine: &Engine) -> io::Result<Log> {
        let log = engine.begin_log(self.is_spoilt)?;
        engine.declare_log(true)?;
        Ok(log)
    }

    /// Writes an entry; false if the engine closes before there is room for it.
    fn append(&mut self, engine: &Engine, lot: Lot) -> io::Result<bool> {
        let Some(log) = &mut self.log else { return Err(io::ErrorKind::NotFound.into()) };
        engine.log.medium.look_after_file()?;
        if let Room::AfterMerge(entry) = log.prepare(&lot.changes) {
            engine.handover.want();
            if !engine.handover.wait_until_merged(entry) {
                return Ok(false);
            }
        }
        let entry = log.append()?;
        let logged_bytes = engine.pending_mut().end_commit(lot, entry);
        engine.handover.note_logged();
        if logged_bytes > engine.options.pending_bytes_limit / LOGGED_PART {
            engine.handover.want();
        }
        Ok(true)
    }

    /// A log that has failed once is not relied on: what is in it goes into the tree, and then a new one is begun.
    fn give_up(&mut self, engine: &Engine) {
        if let Some(log) = self.log.take() {
            engine.pending_mut().pass_over(log.next());
        }
        self.is_spoilt = true;
        let failed = self.failed.replace(Instant::now());
        if failed.is_some_and(|failed| failed.elapsed() < BEGIN_AGAIN_AFTER) {
            self.tried = self.failed;
        }
        engine.log_failures.fetch_add(1, Ordering::Relaxed);
    }
}
