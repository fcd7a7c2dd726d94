//! The engine: records in a file, and before they are there, in memory.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use chord_kv::{
    Applied, Cursor, Digest, DurableNotifier, Health, Key, Page, PageLimit, Range, Record, Sequence, Store,
    StoreError, Usage, Version,
};
use chord_ring::Position;

use crate::commit_times::CommitCounts;
use crate::database::{self, Report};
use crate::directory::{Directory, Identity, RememberedPeers};
use crate::engine::{Engine, not_writing};
use crate::log::{self, HALF_BYTES, MERGE_AFTER, Place};
use crate::medium::{Cause, Medium};
use crate::{Damaged, OpenError, commit, merge};

/// How many bytes of records may wait for the disk unless told otherwise: what a slow disk writes in about a second.
pub const PENDING_BYTES_DEFAULT: u64 = 64 << 20;

/// How much memory is used to keep parts of the file at hand unless told otherwise, in bytes: it holds the upper levels
/// of the tree of any store, and all of a small one.
pub const CACHE_BYTES_DEFAULT: usize = 128 << 20;

pub(crate) const RECORDS_FILE: &str = "records.redb";
const LOG_FILE: &str = "records.log";

/// Where the records lie.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) tree: Medium,
    pub(crate) log: Place,
}

impl Files {
    /// Those of a data directory.
    pub(crate) fn of(dir: &Path) -> Self {
        let [tree, log] = [RECORDS_FILE, LOG_FILE].map(|name| Medium::file(dir.join(name)));
        let tree = tree.with_marker();
        Self { tree, log: Place { medium: log, half_bytes: HALF_BYTES, merge_after: MERGE_AFTER } }
    }
}

/// When records are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sync {
    /// As soon as possible: all that is there when the disk becomes free, in one commit. Power loss loses nothing that
    /// was reported as durable, and reports come within two commits of a write.
    #[default]
    Always,
    /// One commit in so long, or sooner when many bytes wait. What was applied and is not reported as durable, at most that
    /// of one interval and a commit, is lost by power loss and by the end of the process alike.
    Interval(Duration),
}

/// What to do with a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DamagePolicy {
    /// Rename it, begin a fresh one with whatever can be read of it, and say so in the [`Report`]: other nodes have
    /// copies, and repair brings them back.
    #[default]
    SetAside,
    /// Refuse to open it: for a node that has the only copy.
    Refuse,
}

/// How an engine is to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose data it is.
    pub identity: Identity,
    /// When records are synced.
    pub sync: Sync,
    /// What to do with a file that cannot be read.
    pub damage: DamagePolicy,
    /// How many bytes it holds at most, by [`Record::size_bytes`].
    pub bytes_limit: u64,
    /// How many bytes of records may wait for the disk, or be in the log and not in the tree, before
    /// [`StoreError::Busy`]; one batch may exceed it.
    pub pending_bytes_limit: u64,
    /// How much memory is used to keep parts of the file at hand, in bytes.
    pub cache_bytes: usize,
}

impl Options {
    /// The usual ones for that node: synced always, without a limit on bytes.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            sync: Sync::default(),
            damage: DamagePolicy::default(),
            bytes_limit: u64::MAX,
            pending_bytes_limit: PENDING_BYTES_DEFAULT,
            cache_bytes: CACHE_BYTES_DEFAULT,
        }
    }
}

/// A [`Store`] on disk.
///
/// What is applied can be read at once, from memory; one thread writes whatever has gathered into a log in one synced
/// commit, and only then reports it as durable; another puts what has gathered there into a tree. If the log fails, the tree
/// takes its place. If that fails, its records stay readable and it is tried again until it succeeds; meanwhile
/// [`Store::health`] says why, and new records are refused with [`StoreError::NotWriting`]. Dropping it puts into the tree
/// what is left, unless the disk refuses.
pub struct DiskStore {
    engine: Arc<Engine>,
    threads: Mutex<Option<Threads>>,
    directory: Directory,
    report: Report,
}

/// The one that commits, and the one that fills the tree.
struct Threads {
    committer: JoinHandle<()>,
    merger: JoinHandle<()>,
}

impl Threads {
    fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let start = |name: &str, run: fn(&Engine)| {
            let shared = Arc::clone(engine);
            thread::Builder::new().name(name.into()).spawn(move || run(&shared))
        };
        let merger = start("chord-merge", merge::run)?;
        let committer = start("chord-commit", commit::run).inspect_err(|_| engine.handover.close())?;
        Ok(Self { committer, merger })
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What an engine has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many commits became durable.
    pub commits: u64,
    /// How long these took together, each with its sync, the waits for a disk that was full or broken among them.
    pub commit_time: Duration,
    /// How many of them took so long: see [`COMMIT_BOUNDS`](crate::COMMIT_BOUNDS).
    pub commit_counts: CommitCounts,
    /// How often a file was synced, the log or the tree.
    pub syncs: u64,
    /// How often the log could not be begun or written, so that the tree took its place.
    pub log_failures: u64,
    /// How often a record was read whose checksum is wrong.
    pub damaged_reads: u64,
    /// How many damaged records were set aside; [`DiskStore::damaged`] names the last of them.
    pub set_aside: u64,
    /// How many bytes of records wait for the disk.
    pub pending_bytes: u64,
    /// How many bytes of records are in the log and not in the tree; together with those that wait they count against
    /// [`Options::pending_bytes_limit`].
    pub logged_bytes: u64,
}

impl DiskStore {
    /// Opens the data directory at `dir`, which is made if it is not there. Every page and record is checked, which takes
    /// about a second for each million of records; [`DiskStore::report`] says what was found.
    ///
    /// # Errors
    /// The directory cannot be used, belongs to another node, or is in use; see [`OpenError`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_on(Files::of(dir), dir, options)
    }

    pub(crate) fn open_on(files: Files, dir: &Path, options: Options) -> Result<Self, OpenError> {
        let directory = Directory::take(dir, &options.identity)?;
        Self::open_in(files, directory, options)
    }

    /// Opens the records of a directory that was taken.
    pub(crate) fn open_in(
        files: Files,
        mut directory: Directory,
        options: Options,
    ) -> Result<Self, OpenError> {
        if let Some(refusal) = directory.take_other_owner()
            && !database::is_without_records(&files, options.cache_bytes, directory.has_log())?
        {
            return Err(refusal);
        }
        let mut opened = database::open(&files, &options, directory.was_owned(), directory.has_log())?;
        if !directory.was_owned() && opened.usage.records > 0 {
            return Err(directory.without_identity());
        }
        directory.own(&options.identity)?;
        files.tree.trouble().become_patient();
        let report = std::mem::take(&mut opened.report);
        let engine = Arc::new(Engine::new(options, files, opened, directory.has_log()));
        // Everything is in the tree. If this fails, the next start finds a log with nothing new in it, or misses one again.
        let _ = engine.declare_log(false);
        if engine.options.sync == Sync::Always {
            // The file is made now, so that no write waits for that; if that fails, the first one tries again.
            if engine.begin_log(false).is_err() {
                engine.log_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        let threads =
            Threads::start(&engine).map_err(OpenError::io("cannot start threads for", directory.path()))?;
        Ok(Self { engine, threads: Mutex::new(Some(threads)), directory, report })
    }

    /// What was found when it was opened.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it has done since.
    pub fn statistics(&self) -> Statistics {
        let (pending_bytes, logged_bytes) = {
            let pending = self.engine.pending();
            (pending.unsynced_bytes(), pending.logged_bytes())
        };
        Statistics {
            commits: self.engine.commits.load(Ordering::Relaxed),
            commit_time: self.engine.commit_times.total(),
            commit_counts: self.engine.commit_times.counts(),
            syncs: self.engine.medium.trouble().syncs() + self.engine.log.medium.trouble().syncs(),
            log_failures: self.engine.log_failures.load(Ordering::Relaxed),
            damaged_reads: self.engine.damaged_reads.load(Ordering::Relaxed),
            set_aside: self.engine.damaged().records,
            pending_bytes,
            logged_bytes,
        }
    }

    /// What was found damaged since, and set aside: such a record is not there any more, and the ring has copies.
    ///
    /// Damage is found when a record is read, alone or in a range. A node that logs it asks again once
    /// [`Statistics::set_aside`] has grown.
    pub fn damaged(&self) -> Damaged {
        self.engine.damaged().clone()
    }

    /// The peers that were remembered last; a file of theirs that is damaged is set aside and named.
    ///
    /// # Errors
    /// The file cannot be read or renamed.
    pub fn remembered_peers(&self) -> io::Result<RememberedPeers> {
        RememberedPeers::load(self.directory.path())
    }

    /// Remembers peers, by name, the ones worth asking first at the front; at most [`crate::PEERS_MAX`] of them. Waits for
    /// the disk.
    ///
    /// # Errors
    /// The file cannot be written; the one before is still there.
    pub fn remember_peers(&self, names: &[String]) -> io::Result<()> {
        RememberedPeers::save(self.directory.path(), names)
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Commits what is left and closes the file. Dropping does the same, but does not say how it went.
    ///
    /// # Errors
    /// The disk refuses; what was not reported as durable is lost.
    pub fn close(self) -> Result<(), StoreError> {
        self.seal()
    }

    /// The same for a store that others still hold: they can read and write no more. The directory is free for another process
    /// when the last of them has let go.
    ///
    /// # Errors
    /// As for [`DiskStore::close`].
    pub fn seal(&self) -> Result<(), StoreError> {
        let cause = self.shut();
        cause.map_or(Ok(()), |cause| Err(not_writing(cause)))
    }

    fn shut(&self) -> Option<Cause> {
        self.engine.close();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Threads { committer, merger }) = threads {
            // A panic there has been printed, and what was not committed was never reported as durable.
            let _ = committer.join();
            self.engine.handover.close();
            let _ = merger.join();
        }
        self.engine.set_table(None);
        let open = self.engine.database().take();
        if let Some(open) = open {
            database::close(open);
            self.declare_log_empty();
        }
        self.engine.cause()
    }

    /// Writes down that the tree has everything, if it does. If that fails, the next start finds a log with nothing new in it.
    fn declare_log_empty(&self) {
        if self.engine.pending().is_empty() {
            let _ = log::clear(&self.engine.log).and_then(|()| self.engine.declare_log(false));
        }
    }

    /// Has the tree filled now.
    #[cfg(test)]
    pub(crate) fn want_tree(&self) {
        self.engine.handover.want();
    }

    /// Waits until the tree has everything.
    #[cfg(test)]
    pub(crate) fn fill_tree(&self) {
        self.want_tree();
        crate::tests::wait_until("the tree has everything", || self.engine.pending().is_empty());
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Store for DiskStore {
    fn read(&self, position: Position, key: &Key) -> Result<Option<Record>, StoreError> {
        self.engine.read(&(position, key.clone()))
    }

    fn bring_near(&self, position: Position, key: &Key) {
        self.engine.bring_near(&(position, key.clone()));
    }

    fn apply(&self, batch: Vec<Record>) -> Result<Applied, StoreError> {
        let mut index = self.engine.index();
        let mut news = 0;
        let merged = batch.into_iter().try_for_each(|record| {
            news += usize::from(self.engine.merge(&mut index, record)?);
            Ok(())
        });
        let sequence = self.engine.pending_mut().end_batch();
        drop(index);
        self.engine.announce_work();
        merged.map(|()| Applied { sequence, news })
    }

    fn durable(&self) -> Sequence {
        self.engine.durable()
    }

    fn on_durable(&self, notify: DurableNotifier) {
        self.engine.set_notifier(notify);
    }

    fn health(&self) -> Health {
        match self.engine.cause() {
            Some(Cause { reason, remedy }) => Health::NotWriting { reason, remedy },
            None => Health::Good,
        }
    }

    fn range(&self, range: &Range, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page, StoreError> {
        self.engine.range(range, cursor, limit)
    }

    fn remove(&self, position: Position, key: &Key, version: &Version) -> Result<bool, StoreError> {
        let slot = (position, key.clone());
        let mut index = self.engine.index();
        let old = self.engine.read_to_change(&mut index, &slot)?;
        let Some(old) = old.filter(|old| old.version == *version) else {
            return Ok(false);
        };
        self.engine.drop_record(&mut index, slot, &old)?;
        drop(index);
        self.engine.announce_work();
        Ok(true)
    }

    fn usage(&self) -> Usage {
        self.engine.usage()
    }

    fn lost(&self) -> u64 {
        self.engine.damaged().records
    }

    fn digest(&self, range: &Range) -> Result<Digest, StoreError> {
        self.engine.digest(range)
    }
}
