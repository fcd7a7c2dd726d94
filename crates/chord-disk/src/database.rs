//! The records' file as redb knows it: opened, checked, and relieved of whatever in it is damaged.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use chord_kv::{Digest, DigestIndex, Usage};
use chord_ring::Position;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, TableDefinition,
};

use crate::encoding;
use crate::engine::Table;
use crate::medium::{Medium, Patient};
use crate::quarantine::{QUARANTINED_NAMED_MAX, Quarantine, Quarantined};
use crate::store::DamagePolicy;
use crate::{OpenError, Options, salvage};

/// The one table: [`encoding`] says what is in it.
pub(crate) const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

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
}

impl Report {
    /// Whether nothing was lost or damaged.
    pub fn is_clean(&self) -> bool {
        self.quarantined == 0 && self.set_aside.is_none() && !self.missing
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
    /// The system refused something.
    Io(io::Error),
}

impl Fault {
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Damaged(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
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
    pub(crate) report: Report,
}

/// Opens the file, checks every page and every record in it, and sets aside what is damaged.
pub(crate) fn open(medium: &Medium, options: &Options, owned: bool) -> Result<Opened, OpenError> {
    let path = medium.path();
    let is_io = |error| OpenError::Io { doing: "cannot use", path: path.to_path_buf(), error };
    let mut report = Report::default();
    let may_begin = if owned && options.damage == DamagePolicy::Refuse { demand(medium) } else { Ok(()) };
    let opened = match may_begin.and_then(|()| open_file(medium, options.cache_bytes)) {
        Ok((database, empty)) => {
            report.missing = owned && empty;
            match scan(&database, path, &mut report) {
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
        Err(Fault::Damaged(reason)) if options.damage == DamagePolicy::Refuse => {
            return Err(OpenError::Damaged { path: path.to_path_buf(), reason });
        }
        Err(Fault::Damaged(reason)) => {
            report = Report { reason: Some(reason), ..Report::default() };
            begin_afresh(medium, options.cache_bytes, &mut report).map_err(|fault| is_io(fault.into_io()))?
        }
    };
    report.records = usage.records;
    let table = table(&database).map_err(|fault| is_io(fault.into_io()))?;
    Ok(Opened { database, table, index, usage, report })
}

/// Whether the file is whole and without records. Nothing in it is changed.
pub(crate) fn is_without_records(medium: &Medium, cache_bytes: usize) -> Result<bool, OpenError> {
    let count = || {
        demand(medium)?;
        let (database, _) = open_file(medium, cache_bytes)?;
        let count = caught(|| Ok(table(&database)?.len()?));
        close(database);
        count
    };
    match count() {
        Ok(records) => Ok(records == 0),
        Err(Fault::Damaged(_)) => Ok(false),
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

fn begin_afresh(
    medium: &Medium,
    cache_bytes: usize,
    report: &mut Report,
) -> Result<(Database, DigestIndex, Usage), Fault> {
    report.set_aside = Some(salvage::replace(medium, cache_bytes)?);
    let (fresh, _) = open_file(medium, cache_bytes)?;
    let (index, usage) = scan(&fresh, medium.path(), report)?;
    Ok((fresh, index, usage))
}

/// Opens the file and checks that each page is as it was written; tells whether there was none before.
pub(crate) fn open_file(medium: &Medium, cache_bytes: usize) -> Result<(Database, bool), Fault> {
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

/// redb may panic over pages that contradict each other; here that is damage like any other.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault::Damaged("its pages contradict each other".into())))
}

/// Looks at every record, and moves the damaged ones out of the way.
fn scan(database: &Database, path: &Path, report: &mut Report) -> Result<(DigestIndex, Usage), Fault> {
    let mut usage = Usage::default();
    let mut quarantine = Quarantine::new(path);
    let mut damaged = Vec::new();
    let sound = |key: &[u8], value: &[u8]| match encoding::record(key, value) {
        Ok(record) => {
            usage.records += 1;
            usage.bytes += record.size_bytes() as u64;
            Ok(Some((record.position, Digest::of(&record))))
        }
        Err(malformed) => {
            quarantine.add(key, value, malformed).map_err(Fault::Io)?;
            damaged.push(key.to_vec());
            if report.quarantine.len() < QUARANTINED_NAMED_MAX {
                report.quarantine.push(Quarantined::of(key, malformed));
            }
            Ok(None)
        }
    };
    let index = caught(|| index_of(database, sound))?;
    quarantine.sync().map_err(Fault::Io)?;
    report.quarantined = damaged.len() as u64;
    report.quarantine_file = quarantine.path().map(Path::to_path_buf);
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
