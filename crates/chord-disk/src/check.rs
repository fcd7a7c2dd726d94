//! A look at a data directory that no node uses: is everything in it whole?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableTable};

use crate::database::{self, Fault, NOTHING_LEFT, Sorted};
use crate::directory::{Directory, Identity};
use crate::quarantine::{QUARANTINED_NAMED_MAX, Quarantined};
use crate::replay::{Found, Terms};
use crate::store::{CACHE_BYTES_DEFAULT, DamagePolicy, Files};
use crate::transfer::now_ms;
use crate::{OpenError, encoding};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Whose data it is.
    pub identity: Identity,
    /// How many sound records there are that have not expired, those of deleted keys included.
    pub records: u64,
    /// How many of them say that their key was deleted.
    pub deleted: u64,
    /// How many of them will expire at some time.
    pub expiring: u64,
    /// Their sum by [`chord_kv::Record::size_bytes`].
    pub bytes: u64,
    /// How many others have expired, and count as absent.
    pub expired: u64,
    /// How many records are damaged. A node that starts moves them out of the way.
    pub damaged: u64,
    /// The first of them.
    pub first_damaged: Vec<Quarantined>,
}

impl Checked {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0
    }
}

/// Reads every page and every record of a data directory, and changes nothing, except that what was left by a crash is
/// brought in order as a node that starts would do: the tree, and what is in the log alone.
///
/// # Errors
/// The directory cannot be used, perhaps because a node is running on it, or its file as a whole cannot be read:
/// [`OpenError::Damaged`].
pub fn check(dir: &Path) -> Result<Checked, OpenError> {
    let (directory, identity) = Directory::take_existing(dir)?;
    let database = open_existing(&directory)?;
    let mut checked = Checked {
        identity,
        records: 0,
        deleted: 0,
        expiring: 0,
        bytes: 0,
        expired: 0,
        damaged: 0,
        first_damaged: Vec::new(),
    };
    let now_ms = now_ms();
    let read = database::caught(|| {
        for entry in database::table(&database)?.iter()? {
            let (key, value) = entry?;
            checked.count(key.value(), value.value(), now_ms);
        }
        Ok(())
    });
    read.map_err(|fault| refused(&Files::of(directory.path()), fault))?;
    Ok(checked)
}

impl Checked {
    fn count(&mut self, key: &[u8], value: &[u8], now_ms: u64) {
        match encoding::record(key, value) {
            Ok(record) if record.is_expired(now_ms) => self.expired += 1,
            Ok(record) => {
                self.records += 1;
                self.bytes += record.size_bytes() as u64;
                self.deleted += u64::from(record.is_tombstone());
                self.expiring += u64::from(record.expires_at_ms.is_some());
            }
            Err(malformed) => {
                self.damaged += 1;
                if self.first_damaged.len() < QUARANTINED_NAMED_MAX {
                    self.first_damaged.push(Quarantined::of(key, malformed));
                }
            }
        }
    }
}

/// Opens the files of a directory; they must be there and whole.
pub(crate) fn open_existing(directory: &Directory) -> Result<Database, OpenError> {
    let files = Files::of(directory.path());
    let path = files.tree.path().to_path_buf();
    match fs::metadata(&path) {
        Ok(file) if file.len() > 0 => {}
        Ok(_) => return Err(nothing_left(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(nothing_left(path)),
        Err(error) => return Err(OpenError::io("cannot look for", &path)(error)),
    }
    let opened = database::open_file(&files.tree, CACHE_BYTES_DEFAULT);
    let (database, _) = opened.map_err(|fault| refused(&files, fault))?;
    let log_path = files.log.medium.path();
    let log = Found::look(&files.log, directory.has_log()).map_err(OpenError::io("cannot read", log_path))?;
    let terms = Terms { policy: DamagePolicy::Refuse, is_own_tree: true };
    let mut sorted = Sorted::beside(&path);
    match database::caught(|| log.apply(&database, terms, &mut sorted)) {
        Ok(_) => Ok(database),
        Err(fault) => {
            database::close(database);
            Err(refused(&files, fault))
        }
    }
}

fn nothing_left(path: PathBuf) -> OpenError {
    OpenError::Damaged { path, reason: NOTHING_LEFT.into() }
}

fn refused(files: &Files, fault: Fault) -> OpenError {
    let path = files.tree.path().to_path_buf();
    match fault {
        Fault::Damaged(reason) => OpenError::Damaged { path, reason },
        Fault::DamagedLog(reason) => OpenError::Damaged { path: files.log.medium.path().into(), reason },
        Fault::Io(error) => OpenError::io("cannot read", &path)(error),
    }
}
