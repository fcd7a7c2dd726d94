//! The records' file as redb knows it: opened, checked, and relieved of whatever in it is damaged.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use chord_kv::{Digest, DigestIndex, Usage};
use chord_ring::Position;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition,
    TableError,
};

use crate::encoding::{self, Malformed};
use crate::engine::Table;
use crate::medium::{Medium, Patient};
use crate::quarantine::{QUARANTINED_NAMED_MAX, Quarantine, Quarantined};
use crate::replay::{Found, Terms};
use crate::store::{DamagePolicy, Files};
use crate::{OpenError, Options, directory, salvage};

/// The table of the records: [`encoding`] says what is in it.
pub(crate) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// The table about the log, which is there once the tree has something from it; under this key, the last entry that it has.
pub(crate) const LOG: TableDefinition<'_, &str, u64> = TableDefinition::new("log");
pub(crate) const LOG_MERGED: &str = "merged";

/// What is wrong where nothing is where the records should be: their file is begun before the directory has an owner.
pub(crate) const NOTHING_LEFT: &str = "the file is gone or empty";

/// What was found when a data directory was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many sound records there are.
    pub records: u64,
    /// How many records were damaged; they are not served, and were moved to the quarantine file.
    pub quarantined: u64,
    /// The first of them.
    pub quarantine: Vec<Quarantined>,
    /// Where they were moved.
    pub quarantine_file: Option<PathBuf>,
    /// The whole file was damaged and renamed to this, and a fresh one was begun.
    pub set_aside: Option<PathBuf>,
    /// What was wrong with it.
    pub reason: Option<String>,
    /// The directory has an owner, but the records' file was gone, or nothing was in it.
    pub missing: bool,
    /// What was wrong with the log, so that some of the last writes may be lost; what could be read of it is there.
    pub log_damage: Option<String>,
    /// The log was renamed to this.
    pub log_set_aside: Option<PathBuf>,
}

impl Report {
    /// Whether nothing was lost or damaged.
    pub fn is_clean(&self) -> bool {
        self.quarantined == 0 && self.set_aside.is_none() && !self.missing && self.log_damage.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records)?;
        if let Some(aside) = &self.set_aside {
            let reason = self.reason.as_deref().unwrap_or("damaged");
            write!(
                f,
                ", which is all that could be read of the file: it is damaged ({reason}) and was set aside as {}",
                aside.display()
            )?;
        }
        if self.missing {
            let lost = "the file with the records was gone or empty, so that all that was in it is lost here";
            write!(f, "; {lost}, and a new one was begun; the ring has copies")?;
        }
        if let Some(reason) = &self.log_damage {
            let lost = "some of the last writes may be lost here, and the ring has copies";
            write!(f, "; the log of what was written last is damaged ({reason}): {lost}")?;
        }
        if let Some(aside) = &self.log_set_aside {
            let which = match self.log_damage {
                Some(_) => "it",
                None => "a log that is damaged, but in which nothing was left to do,",
            };
            write!(f, "; {which} was set aside as {}", aside.display())?;
        }
        if let Some(file) = &self.quarantine_file {
            write!(f, "; {} damaged records were moved to {}", self.quarantined, file.display())?;
        }
        Ok(())
    }
}

/// Why the file cannot be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What is in it is wrong.
    Damaged(String),
    /// What is in the log is wrong, or it is gone, and that is to be refused.
    DamagedLog(String),
    /// The system refused something.
    Io(io::Error),
}

impl Fault {
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Damaged(reason) | Self::DamagedLog(reason) => {
                io::Error::new(io::ErrorKind::InvalidData, reason)
            }
            Self::Io(error) => error,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Corrupted(reason) => Self::Damaged(reason),
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            other => Self::Io(io::Error::other(other)),
        }
    }
}

/// What an engine begins with.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) database: Database,
    pub(crate) table: Table,
    pub(crate) index: DigestIndex,
    pub(crate) usage: Usage,
    /// The last entry of the log; all are in the tree.
    pub(crate) entry: u64,
    pub(crate) report: Report,
}

/// Opens the file, checks every page and every record in it, sets aside what is damaged, and puts into it what is in the
/// log; `log_expected` says that there may be something.
pub(crate) fn open(
    files: &Files,
    options: &Options,
    owned: bool,
    log_expected: bool,
) -> Result<Opened, OpenError> {
    let (medium, log_path) = (&files.tree, files.log.medium.path());
    let path = medium.path();
    let is_io = |error| OpenError::Io { doing: "cannot use", path: path.to_path_buf(), error };
    let log = Found::look(&files.log, log_expected).map_err(OpenError::io("cannot use", log_path))?;
    let mut report = Report::default();
    let begun = if owned { begin_if_missing(medium, options, &log, &mut report) } else { Ok(()) };
    let opened = match begun.and_then(|()| open_file(medium, options.cache_bytes)) {
        Ok((database, empty)) => {
            report.missing |= owned && empty;
            let terms = Terms { policy: options.damage, is_own_tree: !empty };
            match take_in(&database, path, &log, terms, &mut report) {
                Ok((index, usage)) => Ok((database, index, usage)),
                Err(fault) => {
                    close(database);
                    Err(fault)
                }
            }
        }
        Err(fault) => Err(fault),
    };
    let (database, index, usage) = match opened {
        Ok(opened) => opened,
        Err(Fault::Io(error)) => return Err(is_io(error)),
        Err(Fault::DamagedLog(reason)) => {
            return Err(OpenError::Damaged { path: log_path.to_path_buf(), reason });
        }
        Err(Fault::Damaged(reason)) if options.damage == DamagePolicy::Refuse => {
            return Err(OpenError::Damaged { path: path.to_path_buf(), reason });
        }
        Err(Fault::Damaged(reason)) => {
            report = Report { reason: Some(reason), ..Report::default() };
            begin_afresh(medium, options, &log, &mut report).map_err(|fault| is_io(fault.into_io()))?
        }
    };
    report.records = usage.records;
    if log.is_there() && (report.log_damage.is_some() || log.is_damaged()) {
        drop(log);
        let aside = directory::set_aside(log_path).map_err(OpenError::io("cannot set aside", log_path))?;
        report.log_set_aside = Some(aside);
    }
    let table = table(&database).map_err(|fault| is_io(fault.into_io()))?;
    let entry = merged(&database).map_err(|fault| is_io(fault.into_io()))?;
    Ok(Opened { database, table, index, usage, entry, report })
}

/// Whether the files are whole and without records. Nothing in them is changed.
pub(crate) fn is_without_records(
    files: &Files,
    cache_bytes: usize,
    log_expected: bool,
) -> Result<bool, OpenError> {
    let medium = &files.tree;
    let is_empty = || {
        demand(medium)?;
        let log = Found::look(&files.log, log_expected).map_err(Fault::Io)?;
        let (database, _) = open_file(medium, cache_bytes)?;
        let is_empty = caught(|| Ok(table(&database)?.is_empty()? && !log.may_have_news(merged(&database)?)));
        close(database);
        is_empty
    };
    match is_empty() {
        Ok(is_empty) => Ok(is_empty),
        Err(Fault::Damaged(_) | Fault::DamagedLog(_)) => Ok(false),
        Err(Fault::Io(error)) => {
            Err(OpenError::Io { doing: "cannot use", path: medium.path().to_path_buf(), error })
        }
    }
}

/// Refuses a file in which there is nothing, and makes none: to open it would.
fn demand(medium: &Medium) -> Result<(), Fault> {
    let nothing_left = || Fault::Damaged(NOTHING_LEFT.into());
    if !medium.path().try_exists().map_err(Fault::Io)? {
        return Err(nothing_left());
    }
    let file = medium.open().map_err(Fault::Io)?;
    let bytes = file.len().map_err(Fault::Io)?;
    file.close().map_err(Fault::Io)?;
    if bytes == 0 { Err(nothing_left()) } else { Ok(()) }
}

/// A file that is missing is to be refused, or another is begun with what is in the log: were it empty when it has its
/// name, and the start came no further, the next would take it for the one that the log goes on from.
fn begin_if_missing(
    medium: &Medium,
    options: &Options,
    log: &Found,
    report: &mut Report,
) -> Result<(), Fault> {
    match (demand(medium), options.damage) {
        (Err(fault), DamagePolicy::Refuse) => Err(fault),
        (Err(Fault::Damaged(_)), DamagePolicy::SetAside) if medium.is_file() => {
            report.missing = true;
            salvage::begin(medium, options.cache_bytes, |fresh| take_in_elsewhere(fresh, medium, log, report))
        }
        _ => Ok(()),
    }
}

fn begin_afresh(
    medium: &Medium,
    options: &Options,
    log: &Found,
    report: &mut Report,
) -> Result<(Database, DigestIndex, Usage), Fault> {
    let with_log = |fresh: &Database| take_in_elsewhere(fresh, medium, log, report);
    let aside = salvage::replace(medium, options.cache_bytes, with_log)?;
    report.set_aside = Some(aside);
    let (fresh, _) = open_file(medium, options.cache_bytes)?;
    let (index, usage) = look(&fresh, &mut Sorted::beside(medium.path()), report)?;
    Ok((fresh, index, usage))
}

/// Puts into a new tree what is in the log.
fn take_in_elsewhere(
    fresh: &Database,
    medium: &Medium,
    log: &Found,
    report: &mut Report,
) -> Result<(), Fault> {
    // What is missing of the log is told; whoever wants it refused has no new tree.
    let terms = Terms { policy: DamagePolicy::SetAside, is_own_tree: false };
    report.log_damage = log.apply(fresh, terms, &mut Sorted::beside(medium.path()))?;
    Ok(())
}

/// Puts into the tree what is in the log, and looks at every record.
fn take_in(
    database: &Database,
    path: &Path,
    log: &Found,
    terms: Terms,
    report: &mut Report,
) -> Result<(DigestIndex, Usage), Fault> {
    let mut sorted = Sorted::beside(path);
    let damage = caught(|| log.apply(database, terms, &mut sorted))?;
    report.log_damage = report.log_damage.take().or(damage);
    look(database, &mut sorted, report)
}

/// Looks at every record.
fn look(
    database: &Database,
    sorted: &mut Sorted,
    report: &mut Report,
) -> Result<(DigestIndex, Usage), Fault> {
    let (index, usage) = scan(database, sorted)?;
    report.quarantine_file = sorted.quarantine.path().map(Path::to_path_buf);
    (report.quarantined, report.quarantine) = (sorted.records, std::mem::take(&mut sorted.named));
    Ok((index, usage))
}

/// Opens the file and checks that each page is as it was written; tells whether there was none before.
pub(crate) fn open_file(medium: &Medium, cache_bytes: usize) -> Result<(Database, bool), Fault> {
    medium.make_sure_of_file().map_err(Fault::Io)?;
    open_backend(medium.open().map_err(Fault::Io)?, cache_bytes)
}

/// The same with a file that is open.
pub(crate) fn open_backend(backend: Patient, cache_bytes: usize) -> Result<(Database, bool), Fault> {
    let is_empty = backend.len().map_err(Fault::Io)? == 0;
    let database = caught(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(!is_empty);
        Ok(builder.create_with_backend(backend)?)
    })?;
    match caught(|| make_table(&database)) {
        Ok(()) => Ok((database, is_empty)),
        Err(fault) => {
            close(database);
            Err(fault)
        }
    }
}

/// Closes the file, which writes to it and may find damage that nobody has come across before. That changes nothing: what is
/// durable is so already, and the next start checks everything.
pub(crate) fn close(database: Database) {
    let _ = caught(|| Ok(database.close()?));
}

/// A file that was begun in this moment, or just before a crash, has no table.
fn make_table(database: &Database) -> Result<(), Fault> {
    if database.begin_read()?.list_tables()?.next().is_none() {
        let transaction = database.begin_write()?;
        transaction.open_table(RECORDS)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The records as they are now.
pub(crate) fn table(database: &Database) -> Result<Table, Fault> {
    Ok(database.begin_read()?.open_table(RECORDS)?)
}

/// The last entry of the log that is in the tree; 0 before there is one.
pub(crate) fn merged(database: &Database) -> Result<u64, Fault> {
    match database.begin_read()?.open_table(LOG) {
        Ok(table) => Ok(table.get(LOG_MERGED)?.map_or(0, |entry| entry.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// redb may panic over pages that contradict each other; here that is damage like any other.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault::Damaged("its pages contradict each other".into())))
}

/// Damaged records that are sorted out at a start.
pub(crate) struct Sorted {
    quarantine: Quarantine,
    records: u64,
    named: Vec<Quarantined>,
}

impl Sorted {
    pub(crate) fn beside(path: &Path) -> Self {
        Self { quarantine: Quarantine::new(path), records: 0, named: Vec::new() }
    }

    /// Puts one into quarantine.
    pub(crate) fn out(&mut self, key: &[u8], value: &[u8], malformed: Malformed) -> Result<(), Fault> {
        self.quarantine.add(key, value, malformed).map_err(Fault::Io)?;
        self.records += 1;
        if self.named.len() < QUARANTINED_NAMED_MAX {
            self.named.push(Quarantined::of(key, malformed));
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), Fault> {
        self.quarantine.sync().map_err(Fault::Io)
    }
}

/// Looks at every record, and moves the damaged ones out of the way.
fn scan(database: &Database, sorted: &mut Sorted) -> Result<(DigestIndex, Usage), Fault> {
    let mut usage = Usage::default();
    let mut damaged = Vec::new();
    let sound = |key: &[u8], value: &[u8]| match encoding::record(key, value) {
        Ok(record) => {
            usage.records += 1;
            usage.bytes += record.size_bytes() as u64;
            Ok(Some((record.position, Digest::of(&record))))
        }
        Err(malformed) => {
            sorted.out(key, value, malformed)?;
            damaged.push(key.to_vec());
            Ok(None)
        }
    };
    let index = caught(|| index_of(database, sound))?;
    sorted.sync()?;
    if !damaged.is_empty() {
        remove(database, &damaged)?;
    }
    Ok((index, usage))
}

fn remove(database: &Database, keys: &[Vec<u8>]) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(RECORDS)?;
        for key in keys {
            table.remove(key.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn index_of(
    database: &Database,
    mut sound: impl FnMut(&[u8], &[u8]) -> Result<Option<(Position, Digest)>, Fault>,
) -> Result<DigestIndex, Fault> {
    let table = table(database)?;
    let records = table.iter()?.map(|entry| {
        let (key, value) = entry?;
        sound(key.value(), value.value())
    });
    DigestIndex::of_sorted(records.filter_map(Result::transpose))
}
