//! What becomes of a file that is damaged as a whole: a new one takes its place, with all that can still be read of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use redb::{Database, ReadableDatabase, ReadableTable};

use crate::database::{self, Fault, LOG, LOG_MERGED, RECORDS, caught, close, open_backend};
use crate::medium::{Medium, Patient, is_no_room};
use crate::{directory, encoding};

/// How many bytes of records are carried over in one commit.
const SALVAGE_BYTES: usize = 8 << 20;

/// Puts a new file in the place of the damaged one and says how that is called now; `finish` puts into it what comes from
/// elsewhere. Until the new one is whole, nothing is changed: on a disk without room for it, the next start finds everything
/// as it was.
pub(crate) fn replace(
    medium: &Medium,
    cache_bytes: usize,
    finish: impl FnOnce(&Database) -> Result<(), Fault>,
) -> Result<PathBuf, Fault> {
    let fill = |fresh: &Database, damaged: Option<&Database>| {
        if let Some(damaged) = damaged {
            salvage(damaged, fresh).and_then(|()| carry_count(damaged, fresh))?;
        }
        finish(fresh)
    };
    // redb writes to a file that it opens, so it reads from a copy.
    let damaged = match medium.open_copy().map_err(Fault::Io).and_then(open_damaged) {
        Err(Fault::Io(error)) if is_no_room(&error) => return Err(Fault::Io(error)),
        // Otherwise nothing can be read of it.
        opened => opened.ok(),
    };
    let made = make(medium, cache_bytes, |fresh| fill(fresh, damaged.as_ref()), directory::replace_damaged);
    if let Some(damaged) = damaged {
        close(damaged);
    }
    made
}

/// Puts a new file where there is none, with what `fill` puts into it. Until it is whole, there is none.
pub(crate) fn begin(
    medium: &Medium,
    cache_bytes: usize,
    fill: impl FnOnce(&Database) -> Result<(), Fault>,
) -> Result<(), Fault> {
    make(medium, cache_bytes, fill, |path, fresh| directory::rename(fresh, path))
}

fn make<T>(
    medium: &Medium,
    cache_bytes: usize,
    fill: impl FnOnce(&Database) -> Result<(), Fault>,
    put: impl FnOnce(&Path, &Path) -> io::Result<T>,
) -> Result<T, Fault> {
    let path = medium.beside();
    let fresh = || {
        let (fresh, _) = open_backend(medium.open_beside().map_err(Fault::Io)?, cache_bytes)?;
        if let Err(fault) = caught(|| fill(&fresh)) {
            close(fresh);
            return Err(fault);
        }
        Ok(fresh.close()?)
    };
    let made = fresh().and_then(|()| put(medium.path(), &path).map_err(Fault::Io));
    if made.is_err() {
        let _ = fs::remove_file(&path);
    }
    made
}

fn open_damaged(copy: Patient) -> Result<Database, Fault> {
    caught(|| Ok(Database::builder().create_with_backend(copy)?))
}

/// Copies what can be read from the front, and if that ends early, what can be read from the back.
fn salvage(old: &Database, fresh: &Database) -> Result<(), Fault> {
    let mut last = None;
    let mut carried = Carried { fresh, keys: Vec::new(), bytes: 0, failed: None };
    let forward = caught(|| {
        let transaction = old.begin_read()?;
        for entry in transaction.open_table(RECORDS)?.iter()? {
            let (key, value) = entry?;
            if last.as_deref().is_some_and(|last| key.value() <= last) {
                return Err(Fault::Damaged("its records are out of order".into()));
            }
            carried.take(key.value(), value.value());
            last = Some(key.value().to_vec());
        }
        Ok(())
    });
    if forward.is_err() {
        // How it ends does not matter: more than was read cannot be had.
        let _ = caught(|| {
            let transaction = old.begin_read()?;
            for entry in transaction.open_table(RECORDS)?.iter()?.rev() {
                let (key, value) = entry?;
                if last.as_deref().is_some_and(|last| key.value() <= last) {
                    break;
                }
                carried.take(key.value(), value.value());
            }
            Ok(())
        });
    }
    carried.finish()
}

/// Up to which entry of the log the records are, if that can be read.
fn carry_count(old: &Database, fresh: &Database) -> Result<(), Fault> {
    let Ok(merged) = caught(|| database::merged(old)) else { return Ok(()) };
    if merged > 0 {
        let transaction = fresh.begin_write()?;
        transaction.open_table(LOG)?.insert(LOG_MERGED, merged)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Records on their way from a damaged file to a fresh one.
struct Carried<'a> {
    fresh: &'a Database,
    keys: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    failed: Option<Fault>,
}

impl Carried<'_> {
    fn take(&mut self, key: &[u8], value: &[u8]) {
        if self.failed.is_some() || encoding::record(key, value).is_err() {
            return;
        }
        self.keys.push((key.to_vec(), value.to_vec()));
        self.bytes += key.len() + value.len();
        if self.bytes >= SALVAGE_BYTES {
            self.failed = self.write().err();
        }
    }

    fn write(&mut self) -> Result<(), Fault> {
        self.bytes = 0;
        let transaction = self.fresh.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (key, value) in self.keys.drain(..) {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn finish(mut self) -> Result<(), Fault> {
        match self.failed.take() {
            Some(fault) => Err(fault),
            None => self.write(),
        }
    }
}
