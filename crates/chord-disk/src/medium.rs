//! Where a file of the records lies, the tree or the log, and what stands between it and whoever writes there: patience
//! while a disk is full.
//!
//! After an error of the backend redb refuses everything, reads included, until it is opened again. A disk that is full
//! is no reason for that: the write waits, here, until there is room. Only the thread that fills the tree writes there, so
//! only that thread waits, and reads go on. A write to the log does not wait: what does not fit there goes into the tree.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::directory;
use crate::error::remedy;

/// How long to wait before a write that found no room is tried again: soon enough that clients hardly notice, and a
/// cheap question to a file system.
const ROOM_RETRY: Duration = Duration::from_millis(100);

/// Opens the file at a path: another backend in tests.
type Opener = dyn Fn(&Path) -> io::Result<Box<dyn StorageBackend>> + Send + Sync;

/// A file of the records.
pub(crate) struct Medium {
    path: PathBuf,
    opener: Box<Opener>,
    is_file: bool,
    trouble: Arc<Trouble>,
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Medium").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Medium {
    /// The file at that path.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self { is_file: true, ..Self::with_opener(path, Box::new(open_file)) }
    }

    /// The file at that path, opened by that.
    #[cfg(test)]
    pub(crate) fn file_through(path: PathBuf, opener: Box<Opener>) -> Self {
        Self { is_file: true, ..Self::with_opener(path, opener) }
    }

    /// The same, with a file beside it from when a sync of it has failed until it was written anew.
    pub(crate) fn with_marker(self) -> Self {
        let marker = Some(self.path.with_extension("unsynced"));
        Self { trouble: Arc::new(Trouble { marker, ..Trouble::default() }), ..self }
    }

    /// Something else in its place.
    pub(crate) fn with_opener(path: PathBuf, opener: Box<Opener>) -> Self {
        Self { path, opener, is_file: false, trouble: Arc::default() }
    }

    /// Whether the file is where it belongs. Who has it open does not notice when somebody moves or removes it, and goes
    /// on writing to what nobody will find again.
    ///
    /// # Errors
    /// It is not, or that cannot be told.
    pub(crate) fn look_after_file(&self) -> io::Result<()> {
        if !self.is_missing()? {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "somebody has moved or removed the file of the records"))
    }

    /// Whether it is a file that has a name, in whose place another may come.
    pub(crate) fn is_file(&self) -> bool {
        self.is_file
    }

    /// Whether there is none, which opening it would make.
    pub(crate) fn is_missing(&self) -> io::Result<bool> {
        Ok(self.is_file && !self.path.try_exists()?)
    }

    /// Removes it, if it is a file.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if self.is_file { fs::remove_file(&self.path) } else { Ok(()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn trouble(&self) -> &Arc<Trouble> {
        &self.trouble
    }

    pub(crate) fn open(&self) -> io::Result<Patient> {
        Ok(Patient { inner: (self.opener)(&self.path)?, trouble: Arc::clone(&self.trouble) })
    }

    /// Opens a copy of the file, which is gone once it is closed.
    pub(crate) fn open_copy(&self) -> io::Result<Patient> {
        let copy = self.path.with_extension("copy");
        let inner = fs::copy(&self.path, &copy).and_then(|_| open_file(&copy));
        let _ = fs::remove_file(&copy);
        Ok(Patient { inner: inner?, trouble: Arc::default() })
    }

    /// Where a file lies until it takes the place of this one.
    pub(crate) fn beside(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    /// Opens an empty file there.
    pub(crate) fn open_beside(&self) -> io::Result<Patient> {
        let path = self.beside();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Patient { inner: open_file(&path)?, trouble: Arc::default() })
    }

    /// Writes the whole file anew. After a sync has failed the system may take pages for written that are not, so
    /// what is read from the old file cannot be relied on to be on the disk.
    pub(crate) fn rewrite(&self) -> io::Result<()> {
        if !self.path.try_exists()? {
            return Ok(());
        }
        let copy = self.path.with_extension("copy");
        fs::copy(&self.path, &copy)?;
        File::open(&copy)?.sync_all()?;
        directory::rename(&copy, &self.path)?;
        self.trouble.remove_marker();
        Ok(())
    }

    /// Writes the file anew if a sync of it has failed before, perhaps in a process that is gone, unless it is in use.
    pub(crate) fn make_sure_of_file(&self) -> io::Result<()> {
        if !self.trouble.is_marked()? {
            return Ok(());
        }
        if self.is_missing()? {
            self.trouble.remove_marker();
            return Ok(());
        }
        let locked = self.open()?;
        let done = self.rewrite();
        locked.close()?;
        done
    }
}

pub(crate) fn open_file(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
        TryLockError::Error(error) => error,
    })?;
    let lock = file.try_clone()?;
    Ok(Box::new(Locked { file: FileBackend::new(file).map_err(io::Error::other)?, lock }))
}

/// A file that is locked as well as its directory, whose lock a person may delete: two writers would destroy it.
#[derive(Debug)]
struct Locked {
    file: FileBackend,
    lock: File,
}

impl StorageBackend for Locked {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    /// Unlocks it, though a reader may hold it open a little longer, or a process that was forked off and is not another
    /// program yet.
    fn close(&self) -> io::Result<()> {
        let closed = self.file.close();
        self.lock.unlock().and(closed)
    }
}

/// A backend that waits for room instead of failing, once it was told to.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: Box<dyn StorageBackend>,
    trouble: Arc<Trouble>,
}

impl Patient {
    fn patiently(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        loop {
            match work() {
                Err(error) if is_no_room(&error) && self.trouble.wait_for_room(&error) => {}
                done => return done,
            }
        }
    }
}

impl StorageBackend for Patient {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.patiently(|| self.inner.set_len(len))
    }

    /// Never tried again: the second attempt may say that all is well when it is not.
    fn sync_data(&self) -> io::Result<()> {
        self.trouble.syncs.fetch_add(1, Ordering::Relaxed);
        let done = self.inner.sync_data();
        if done.is_err() {
            self.trouble.sync_has_failed();
        }
        done
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.patiently(|| self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

/// Whether there will be room some day, if somebody makes it.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What keeps records from becoming durable, if anything does.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    state: Mutex<State>,
    closing: Condvar,
    sync_failed: AtomicBool,
    /// A file that says so to the next process, for which the system may have taken for written what is not.
    marker: Option<PathBuf>,
    syncs: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    cause: Option<Cause>,
    is_patient: bool,
    is_closing: bool,
}

/// What is wrong, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl Cause {
    fn of(error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "put it back, or restart this node: the ring has copies",
            _ => remedy(error),
        };
        Self { reason: error.to_string(), remedy: remedy.to_owned() }
    }
}

/// Sees to it that a panic of the thread which has this becomes known, since nobody does its work any more.
pub(crate) struct Watch<'a>(pub(crate) &'a Trouble);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "a thread of the store has panicked".to_owned();
            let remedy = "restart this node, which loses nothing that was acknowledged, and report it";
            self.0.lock().cause = Some(Cause { reason, remedy: remedy.to_owned() });
        }
    }
}

impl Trouble {
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.lock().cause.clone()
    }

    pub(crate) fn set(&self, error: &io::Error) {
        self.lock().cause = Some(Cause::of(error));
    }

    pub(crate) fn clear(&self) {
        self.lock().cause = None;
    }

    /// From now on a write that finds no room waits for it.
    pub(crate) fn become_patient(&self) {
        self.lock().is_patient = true;
    }

    /// From now on nothing waits.
    pub(crate) fn close(&self) {
        self.lock().is_closing = true;
        self.closing.notify_all();
    }

    /// Waits that long, or until the engine closes; tells whether it goes on.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.lock();
        let waited = self.closing.wait_timeout_while(state, time, |state| !state.is_closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_closing
    }

    /// Whether a sync has failed since the last time this was asked.
    pub(crate) fn take_sync_failed(&self) -> bool {
        self.sync_failed.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn sync_has_failed(&self) {
        self.sync_failed.store(true, Ordering::Release);
        if let Some(marker) = &self.marker {
            // If not even that can be written, this process knows, and only its end before the file is written anew can
            // have it forgotten.
            let marked = File::create(marker).and_then(|file| file.sync_all());
            let _ = marked.and_then(|()| directory::sync_parent(marker));
        }
    }

    fn is_marked(&self) -> io::Result<bool> {
        self.marker.as_ref().map_or(Ok(false), |marker| marker.try_exists())
    }

    /// If it stays, the file is written anew once more than need be.
    fn remove_marker(&self) {
        let _ = self.marker.as_ref().map(fs::remove_file);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Waits a while for room; false if the write is to be given up.
    fn wait_for_room(&self, error: &io::Error) -> bool {
        let mut state = self.lock();
        if !state.is_patient || state.is_closing {
            return false;
        }
        state.cause = Some(Cause::of(error));
        drop(state);
        self.pause(ROOM_RETRY)
    }

    /// Each change of the state is one assignment, so a thread that panicked left a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
