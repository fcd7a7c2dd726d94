//! What the threads of the engine share with everybody else: the tree, and the changes that are not in it yet.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chord_kv::engine::{Filling, Slot, Stretch, scan, stretches};
use chord_kv::{
    Crowded, Cursor, Digest, DigestIndex, DurableNotifier, Page, PageLimit, Range, Record, Sequence,
    StoreError, Usage,
};
use redb::{Database, ReadOnlyTable};

use crate::commit_times::CommitTimes;
use crate::damage::Passed;
use crate::database::{Fault, Opened, caught};
use crate::directory::{self, FORMAT, FORMAT_WITHOUT_LOG};
use crate::encoding;
use crate::handover::Handover;
use crate::log::{Log, Place};
use crate::medium::{Cause, Medium};
use crate::pending::{Change, Changes, Pending};
use crate::quarantine::{Damaged, Raw};
use crate::slowness::Slowness;
use crate::store::{Files, Options};

/// The records, on their way to the file and in it.
///
/// Two locks are held at once only where one is `index`, which is taken first, or where they are `database` and then `table`.
/// While the disk is written only `database` is held, by the thread that fills the tree, and `log_declared`.
pub(crate) struct Engine {
    pub(crate) options: Options,
    /// Of the tree. Its trouble is that of the thread that fills it.
    pub(crate) medium: Medium,
    /// Its trouble is that of the thread that commits.
    pub(crate) log: Place,
    /// Whether the directory says that there may be something in the log; none if that is unknown after an error.
    log_declared: Mutex<Option<bool>>,
    pub(crate) handover: Handover,
    /// Held by whoever changes records, while it reads what is there and decides.
    index: Mutex<DigestIndex>,
    pending: RwLock<Pending>,
    /// The tree as it was left last, which is read without a lock of redb's: those are held while a write waits for room.
    /// None while the file is being opened again after an error.
    table: RwLock<Option<Arc<Table>>>,
    /// That of the thread which fills it.
    database: Mutex<Option<Database>>,
    signal: Mutex<Signal>,
    signalled: Condvar,
    notifier: Mutex<Option<Arc<DurableNotifier>>>,
    damaged: Mutex<Damaged>,
    durable: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_times: CommitTimes,
    pub(crate) log_failures: AtomicU64,
    pub(crate) damaged_reads: AtomicU64,
    slowness: Slowness,
}

/// The records in the file at a moment.
pub(crate) type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What the committing thread waits for.
#[derive(Default)]
struct Signal {
    has_work: bool,
    is_urgent: bool,
    is_closing: bool,
}

impl Engine {
    /// One over a tree that has everything. `is_log_declared` is what the directory says.
    pub(crate) fn new(options: Options, files: Files, opened: Opened, is_log_declared: bool) -> Self {
        let Opened { database, table, index, usage, entry, .. } = opened;
        Self {
            options,
            log_declared: Mutex::new(Some(is_log_declared)),
            handover: Handover::new(entry, files.log.merge_after),
            medium: files.tree,
            log: files.log,
            index: Mutex::new(index),
            pending: RwLock::new(Pending::after(entry)),
            table: RwLock::new(Some(Arc::new(table))),
            database: Mutex::new(Some(database)),
            signal: Mutex::default(),
            signalled: Condvar::new(),
            notifier: Mutex::default(),
            damaged: Mutex::default(),
            durable: AtomicU64::new(0),
            records: AtomicU64::new(usage.records),
            bytes: AtomicU64::new(usage.bytes),
            commits: AtomicU64::new(0),
            commit_times: CommitTimes::default(),
            log_failures: AtomicU64::new(0),
            damaged_reads: AtomicU64::new(0),
            slowness: Slowness::default(),
        }
    }

    /// Merges a record that is newer than the one that is there.
    pub(crate) fn merge(&self, index: &mut DigestIndex, record: Record) -> Result<bool, StoreError> {
        let slot = (record.position, record.key.clone());
        // A damaged record is replaced, whatever it was: that is how repair heals it.
        let old = self.read_to_change(index, &slot)?;
        if old.as_ref().is_some_and(|old| old.version >= record.version) {
            return Ok(false);
        }
        self.check_room_to_wait()?;
        let old_bytes = old.as_ref().map_or(0, |old| old.size_bytes() as u64);
        self.reserve(old_bytes, record.size_bytes() as u64)?;
        match &old {
            Some(old) => index.remove(slot.0, &Digest::of(old)),
            None => _ = self.records.fetch_add(1, Ordering::Relaxed),
        }
        let digest = Digest::of(&record);
        self.pending_mut().put(slot.clone(), Change::Put(record));
        if let Some(crowded) = index.add(slot.0, &digest) {
            self.split(index, crowded);
        }
        Ok(true)
    }

    /// Drops a record, which is there.
    pub(crate) fn drop_record(
        &self,
        index: &mut DigestIndex,
        slot: Slot,
        old: &Record,
    ) -> Result<(), StoreError> {
        self.check_room_to_wait()?;
        index.remove(slot.0, &Digest::of(old));
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.shrink(old.size_bytes() as u64);
        let mut pending = self.pending_mut();
        pending.put(slot, Change::Gone);
        pending.end_batch();
        Ok(())
    }

    /// If the records cannot be read now, the stretch stays crowded until it has doubled. What is damaged among them is
    /// counted out before, since nobody could tell later which half it is in.
    fn split(&self, index: &mut DigestIndex, crowded: Crowded) {
        let (mut records, mut damaged) = (Vec::new(), 0);
        let page = |cursor: Option<&Cursor>, limit| {
            self.page(&crowded.range, cursor, limit).map(|(page, passed)| {
                damaged += passed.records;
                page
            })
        };
        let read = scan(page, |record| records.push((record.position, Digest::of(record))));
        let mended = read.and_then(|()| match damaged {
            0 => Ok(()),
            _ => self.count_out_unreadable(index, crowded.range.up_to),
        });
        if mended.is_ok() {
            index.split(crowded, &records);
        }
    }

    pub(crate) fn check_room_to_wait(&self) -> Result<(), StoreError> {
        if let Some(cause) = self.cause() {
            return Err(not_writing(cause));
        }
        let pending_bytes_limit = self.options.pending_bytes_limit;
        if self.pending().bytes() < pending_bytes_limit {
            return Ok(());
        }
        Err(StoreError::Busy { pending_bytes_limit })
    }

    /// What keeps records from becoming durable, or from going into the tree, if anything does.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.medium.trouble().cause().or_else(|| self.log.medium.trouble().cause())
    }

    /// Has the directory say whether there may be something in the log that is not in the tree.
    pub(crate) fn declare_log(&self, there_is: bool) -> io::Result<()> {
        let mut declared = lock(&self.log_declared);
        if *declared != Some(there_is) {
            // It may have another name already when something fails.
            *declared = None;
            let format = if there_is { FORMAT } else { FORMAT_WITHOUT_LOG };
            directory::declare(self.medium.path(), &self.options.identity, format)?;
            *declared = Some(there_is);
        }
        Ok(())
    }

    /// Begins a log while everything is in the tree.
    pub(crate) fn begin_log(&self, is_spoilt: bool) -> io::Result<Log> {
        // Where none can be begun, no start is to miss it.
        self.declare_log(false)?;
        Log::begin(&self.log, self.pending().entry().saturating_add(1), is_spoilt)
    }

    /// Counts a record that replaces another. One that is not larger always fits: a full store can still delete.
    fn reserve(&self, old_bytes: u64, new_bytes: u64) -> Result<(), StoreError> {
        let Some(growth) = new_bytes.checked_sub(old_bytes) else {
            self.shrink(old_bytes - new_bytes);
            return Ok(());
        };
        let limit_bytes = self.options.bytes_limit;
        let grown =
            |bytes: u64| bytes.checked_add(growth).filter(|grown| growth == 0 || *grown <= limit_bytes);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Full { limit_bytes }),
        }
    }

    /// Counts bytes out. The size of a damaged record is only likely, so the sum may be a little off until the next start.
    pub(crate) fn shrink(&self, bytes: u64) {
        let less = |sum: u64| Some(sum.saturating_sub(bytes));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Pending first: what is no longer pending by the time the tree is looked into is in it.
    pub(crate) fn find(&self, slot: &Slot) -> Result<Option<Result<Record, Raw>>, StoreError> {
        match self.pending().change(slot) {
            Some(Change::Put(record)) => return Ok(Some(Ok(record.clone()))),
            Some(Change::Gone) => return Ok(None),
            None => {}
        }
        let key = encoding::key_bytes(slot.0, &slot.1);
        let began = Instant::now();
        let found = self.reading(|table| {
            Ok(table.get(key.as_slice())?.map(|value| {
                let value = value.value();
                encoding::record(&key, value).map_err(|malformed| Raw {
                    key: key.clone(),
                    value: value.to_vec(),
                    malformed,
                })
            }))
        });
        self.slowness.note(began.elapsed());
        found
    }

    /// Reads while nobody waits what is soon to be read while others do, if reads have been slow of late. What is found here
    /// is old by then, so that it is only its pages that count.
    pub(crate) fn bring_near(&self, slot: &Slot) {
        if self.slowness.expects_slow_read() {
            let _ = self.find(slot);
        }
    }

    /// A page of the sound records, and which damaged ones it came past.
    pub(crate) fn page(
        &self,
        range: &Range,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<(Page, Passed), StoreError> {
        let mut filling = Filling::new(limit);
        let mut passed = Passed::from(cursor.map_or(range.after, |cursor| cursor.position));
        for stretch in stretches(range, cursor)?.into_iter().flatten() {
            self.fill(stretch, limit.records.get(), &mut filling, &mut passed)?;
        }
        Ok((filling.into_page(), passed))
    }

    /// Adds the records of a stretch to the page of so many, as many changes at a time as are laid over the file at once.
    fn fill(
        &self,
        mut stretch: Stretch,
        page_records: usize,
        filling: &mut Filling,
        passed: &mut Passed,
    ) -> Result<(), StoreError> {
        loop {
            let (overlay, horizon) = self.pending().overlay(&stretch, page_records);
            let end = horizon.clone().map_or_else(|| stretch.1.clone(), Bound::Included);
            if !self.fill_over(&(stretch.0, end), overlay, filling, passed)? {
                return Ok(());
            }
            match horizon {
                Some(horizon) => stretch.0 = Bound::Excluded(horizon),
                None => return Ok(()),
            }
        }
    }

    /// Adds the records of a stretch, which has these changes; false once the page is full.
    fn fill_over(
        &self,
        stretch: &Stretch,
        overlay: Changes,
        filling: &mut Filling,
        passed: &mut Passed,
    ) -> Result<bool, StoreError> {
        let [begin, end] = [&stretch.0, &stretch.1]
            .map(|bound| bound.as_ref().map(|(position, key)| encoding::key_bytes(*position, key)));
        let bounds = (begin.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let mut overlay = overlay.into_iter().peekable();
        let merged = self.reading(|table| {
            for entry in table.range::<&[u8]>(bounds)? {
                let (key, value) = entry?;
                let Some(slot) = encoding::slot(key.value()) else {
                    passed.damaged(key.value());
                    continue;
                };
                while let Some((_, change)) = overlay.next_if(|(earlier, _)| *earlier < slot) {
                    if !add(change, filling) {
                        return Ok(false);
                    }
                }
                let here = overlay.next_if(|(other, _)| *other == slot).map(|(_, change)| change);
                let found = encoding::record(key.value(), value.value()).ok();
                match &found {
                    Some(record) => passed.sound(record.position),
                    None if here.is_none() => passed.damaged(key.value()),
                    // It was set aside already, and stays in the tree until that is filled.
                    None => {}
                }
                let change = here.or(found.map(Change::Put));
                if change.is_some_and(|change| !add(change, filling)) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(merged && overlay.all(|(_, change)| add(change, filling)))
    }

    /// The whole stretches come from the index; the parts are read after its lock was let go.
    pub(crate) fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        let mut parts = Vec::new();
        let whole = self.index().digest(range, |part| {
            parts.push(*part);
            Ok::<_, StoreError>(Digest::EMPTY)
        });
        let mut sum = whole?;
        for part in parts {
            scan(|cursor, limit| self.range(&part, cursor, limit), |record| sum.add(record))?;
        }
        Ok(sum)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage { records: self.records.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Reads from the tree as it was left last.
    fn reading<T>(&self, read: impl FnOnce(&Table) -> Result<T, Fault>) -> Result<T, StoreError> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(table) = table else {
            let reason = "the file with the records is being opened again after an error".into();
            return Err(StoreError::Failed { reason });
        };
        caught(|| read(&table)).map_err(|fault| {
            // After an error redb refuses all reads until its file is opened again, which the next write finds out.
            self.handover.want();
            StoreError::Failed { reason: fault.into_io().to_string() }
        })
    }

    pub(crate) fn count_out(&self, records: u64) {
        self.records.fetch_sub(records, Ordering::Relaxed);
    }

    pub(crate) fn set_table(&self, table: Option<Table>) {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table.map(Arc::new);
    }

    pub(crate) fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn report_durable(&self, sequence: Sequence) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.durable.store(sequence.0, Ordering::Release);
        let notifier = lock(&self.notifier).clone();
        if let Some(notify) = notifier {
            notify(sequence);
        }
    }

    pub(crate) fn set_notifier(&self, notify: DurableNotifier) {
        *lock(&self.notifier) = Some(Arc::new(notify));
    }

    pub(crate) fn announce_work(&self) {
        let is_urgent = self.pending().waiting_bytes() > self.options.pending_bytes_limit / 2;
        let mut signal = lock(&self.signal);
        signal.has_work = true;
        signal.is_urgent |= is_urgent;
        self.signalled.notify_one();
    }

    /// Whether there is something to commit, for which it waits until the engine closes.
    pub(crate) fn wait_for_work(&self) -> bool {
        let signal = lock(&self.signal);
        let idle = |signal: &mut Signal| !signal.has_work && !signal.is_closing;
        let mut signal = self.signalled.wait_while(signal, idle).unwrap_or_else(PoisonError::into_inner);
        signal.is_urgent = false;
        std::mem::take(&mut signal.has_work)
    }

    /// Waits that long, or until much has gathered.
    pub(crate) fn wait_for_interval(&self, interval: Duration) {
        let calm = |signal: &mut Signal| !signal.is_urgent && !signal.is_closing;
        let waited = self.signalled.wait_timeout_while(lock(&self.signal), interval, calm);
        drop(waited);
    }

    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.signal).is_closing
    }

    pub(crate) fn close(&self) {
        lock(&self.signal).is_closing = true;
        self.signalled.notify_all();
        self.medium.trouble().close();
        self.log.medium.trouble().close();
    }

    // A thread that panicked while it held one of these locks left something whole behind: what is changed under them
    // is changed by calls that do not panic half-way. So a lock is taken all the same, and one failure stays one.

    pub(crate) fn index(&self) -> MutexGuard<'_, DigestIndex> {
        lock(&self.index)
    }

    pub(crate) fn pending(&self) -> RwLockReadGuard<'_, Pending> {
        self.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pending_mut(&self) -> RwLockWriteGuard<'_, Pending> {
        self.pending.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn damaged(&self) -> MutexGuard<'_, Damaged> {
        lock(&self.damaged)
    }

    pub(crate) fn database(&self) -> MutexGuard<'_, Option<Database>> {
        lock(&self.database)
    }
}

fn add(change: Change, filling: &mut Filling) -> bool {
    match change {
        Change::Put(record) => filling.add(record),
        Change::Gone => true,
    }
}

pub(crate) fn not_writing(cause: Cause) -> StoreError {
    StoreError::NotWriting { reason: cause.reason, remedy: cause.remedy }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
