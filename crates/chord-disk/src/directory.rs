//! The data directory: whose it is, who uses it, and files in it that change as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use chord_ring::RingSize;
use serde::{Deserialize, Serialize};

use crate::OpenError;

/// The newest format of a data directory that this version reads: that of one in whose log there may be records.
pub const FORMAT: u64 = 2;

/// The format of one of which all records are in the tree, which older versions read as well.
pub(crate) const FORMAT_WITHOUT_LOG: u64 = 1;

/// How many peers are remembered at most: more than a successor list and all fingers of a node name, so that whoever
/// knows them finds its ring again, and few enough that asking them one by one ends.
pub const PEERS_MAX: usize = 512;

/// Longest name of a peer in bytes: a host name has at most 253, and a port 5.
const PEER_BYTES_MAX: usize = 300;

/// How much is read of a file that is not the records': all peers with every byte of their names escaped in six fit.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

const _: () = assert!((PEERS_MAX * (6 * PEER_BYTES_MAX + 8)) as u64 <= SMALL_FILE_BYTES_MAX);

/// How often something damaged is set aside before its number is full: beyond that an operator must tidy up.
const SET_ASIDE_MAX: u32 = 10_000;

const IDENTITY_FILE: &str = "identity.json";
const PEERS_FILE: &str = "peers.json";
const LOCK_FILE: &str = "lock";

/// Whose data a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of the ring; empty where rings have no names.
    pub ring: String,
    /// The size of the ring.
    pub size: RingSize,
    /// The name of the node, which is its address.
    pub node: String,
}

/// As it is in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    format: u64,
    ring: String,
    ring_bits: u64,
    node: String,
}

/// The format alone, which every version can read.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// A directory that this process alone uses, until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    was_owned: bool,
    /// As it was found.
    format: u64,
    /// It names another owner, which has never been in a ring: why it is refused, if that one has left records.
    unless_empty: Option<OpenError>,
    lock: File,
}

impl Drop for Directory {
    /// Closing it would do, unless a process that was forked off holds it too and is not another program yet.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Takes a directory, which is made if it is not there, for that node.
    pub(crate) fn take(path: &Path, identity: &Identity) -> Result<Self, OpenError> {
        make(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenError::NoDirectory { dir: path.to_path_buf() },
            _ => OpenError::io("cannot make", path)(error),
        })?;
        if let Some(file) = foreign_file(path).map_err(OpenError::io("cannot look into", path))? {
            return Err(OpenError::Foreign { dir: path.to_path_buf(), file });
        }
        let mut directory = Self::lock(path)?;
        if let Some((found, format)) = directory.read_identity()? {
            directory.format = format;
            match directory.compare(&found, identity) {
                Ok(()) => directory.was_owned = true,
                Err(error) if directory.was_in_a_ring()? => return Err(error),
                Err(error) => directory.unless_empty = Some(error),
            }
        }
        Ok(directory)
    }

    /// Whether it had an owner when it was taken.
    pub(crate) fn was_owned(&self) -> bool {
        self.was_owned
    }

    /// Whether there may be records in its log.
    pub(crate) fn has_log(&self) -> bool {
        self.format > FORMAT_WITHOUT_LOG
    }

    /// Why it belongs to another one, unless there are no records in it.
    pub(crate) fn take_other_owner(&mut self) -> Option<OpenError> {
        self.unless_empty.take()
    }

    /// Whether its owner was in a ring: it has written down with whom, or that it was alone.
    fn was_in_a_ring(&self) -> Result<bool, OpenError> {
        let look = || {
            for entry in fs::read_dir(&self.path)? {
                // The name of one that was damaged begins so too.
                if entry?.file_name().to_string_lossy().starts_with(PEERS_FILE) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        look().map_err(OpenError::io("cannot look into", &self.path))
    }

    /// There are records in it, and nothing says whose.
    pub(crate) fn without_identity(&self) -> OpenError {
        let reason = "it is missing, and there are records".into();
        OpenError::BadIdentity { path: self.path.join(IDENTITY_FILE), reason }
    }

    /// Writes down whose it is, unless that stands there already. The file with the records, which may have been made just
    /// now, is found under its name from now on, whatever happens.
    pub(crate) fn own(&self, identity: &Identity) -> Result<(), OpenError> {
        let identity_file = self.path.join(IDENTITY_FILE);
        if self.was_owned {
            return sync_parent(&identity_file).map_err(OpenError::io("cannot sync", &self.path));
        }
        declare(&identity_file, identity, FORMAT_WITHOUT_LOG)
            .map_err(OpenError::io("cannot write", &identity_file))
    }

    /// Takes a directory that has an owner already, whoever it is.
    pub(crate) fn take_existing(path: &Path) -> Result<(Self, Identity), OpenError> {
        let no_data = || OpenError::NoData { dir: path.to_path_buf() };
        match path.join(IDENTITY_FILE).try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(no_data()),
            Err(error) => return Err(OpenError::io("cannot look into", path)(error)),
        }
        let mut directory = Self::lock(path)?;
        let (identity, format) = directory.read_identity()?.ok_or_else(no_data)?;
        directory.format = format;
        directory.was_owned = true;
        Ok((directory, identity))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, OpenError> {
        let file = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(OpenError::io("cannot open", &file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.take(20).read_to_string(&mut pid);
                return Err(OpenError::InUse { dir: path.to_path_buf(), pid: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io("cannot lock", &file)(error)),
        }
        // The number is a courtesy to whoever is refused: without it, the lock holds all the same.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        let format = FORMAT_WITHOUT_LOG;
        Ok(Self { path: path.to_path_buf(), was_owned: false, format, unless_empty: None, lock })
    }

    fn read_identity(&self) -> Result<Option<(Identity, u64)>, OpenError> {
        let path = self.path.join(IDENTITY_FILE);
        let text = match read_small(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io("cannot read", &path)(error)),
        };
        let bad = |reason: String| OpenError::BadIdentity { path: path.clone(), reason };
        let Format { format } = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if format > FORMAT {
            return Err(OpenError::NewerFormat { dir: self.path.clone(), theirs: format, ours: FORMAT });
        }
        let written: Written = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        let size = RingSize::new(written.ring_bits).map_err(|error| bad(error.to_string()))?;
        Ok(Some((Identity { ring: written.ring, size, node: written.node }, format)))
    }

    fn compare(&self, found: &Identity, ours: &Identity) -> Result<(), OpenError> {
        let dir = self.path.clone();
        if found.ring != ours.ring {
            return Err(OpenError::OtherRing { dir, theirs: found.ring.clone(), ours: ours.ring.clone() });
        }
        if found.size != ours.size {
            let (theirs, ours) = (found.size.bits().into(), ours.size.bits().into());
            return Err(OpenError::OtherSize { dir, theirs, ours });
        }
        if found.node != ours.node {
            return Err(OpenError::OtherNode { dir, theirs: found.node.clone(), ours: ours.node.clone() });
        }
        Ok(())
    }
}

/// Peers by name that a node remembers across restarts, the ones worth asking first at the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RememberedPeers {
    /// Their names; at most [`PEERS_MAX`] are kept.
    pub names: Vec<String>,
    /// Where a file that could not be read was moved to.
    pub damaged: Option<PathBuf>,
}

impl RememberedPeers {
    /// The peers that were saved in a directory: none if there are none yet. A file that is damaged is renamed, and
    /// named in the result.
    ///
    /// # Errors
    /// The file cannot be read or renamed.
    pub(crate) fn load(dir: &Path) -> io::Result<Self> {
        let path = dir.join(PEERS_FILE);
        let text = match read_small(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Vec<String>>(&text) {
            Ok(names) => Ok(Self { names: bounded(names), damaged: None }),
            Err(_) => Ok(Self { names: Vec::new(), damaged: Some(set_aside(&path)?) }),
        }
    }

    /// Saves the first [`PEERS_MAX`] of the names: all of them, or on an error none.
    pub(crate) fn save(dir: &Path, names: &[String]) -> io::Result<()> {
        replace(&dir.join(PEERS_FILE), &serde_json::to_vec_pretty(&bounded(names.to_vec()))?)
    }
}

fn bounded(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| name.len() <= PEER_BYTES_MAX);
    names.truncate(PEERS_MAX);
    names
}

/// Writes down whose the directory is in which that file lies, and of which format it is from now on.
pub(crate) fn declare(beside: &Path, identity: &Identity, format: u64) -> io::Result<()> {
    let written = Written {
        format,
        ring: identity.ring.clone(),
        ring_bits: identity.size.bits().into(),
        node: identity.node.clone(),
    };
    replace(&beside.with_file_name(IDENTITY_FILE), &serde_json::to_vec_pretty(&written)?)
}

/// Makes a directory that only its user may look into, and that is still there after the power has failed.
fn make(path: &Path) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)?;
    missing.into_iter().try_for_each(sync_parent)
}

/// A file in a directory of nobody's that no node has left there: whoever keeps it there would not want ours beside it.
fn foreign_file(path: &Path) -> io::Result<Option<OsString>> {
    let mut foreign = None;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name == IDENTITY_FILE {
            return Ok(None);
        }
        if foreign.is_none() && !is_expected(&name.to_string_lossy()) {
            foreign = Some(name);
        }
    }
    Ok(foreign)
}

/// Whether a directory may have such a file before it has an owner: one of ours, or what file systems and people's tools
/// leave in an empty one.
fn is_expected(name: &str) -> bool {
    const OURS: [&str; 4] = ["records.", "peers.", "identity.", "quarantine-"];
    name == LOCK_FILE
        || name == "lost+found"
        || name.starts_with('.')
        || OURS.iter().any(|ours| name.starts_with(ours))
}

/// The beginning of a file. What is JSON and longer is damaged, since it ends early.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Gives a file new content. Whatever happens, it has the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename(&fresh, path)
}

/// Renames a file for good.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Makes sure that a file which was made or renamed is found under its name after the power has failed.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if dir.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Renames a damaged file, so that it is kept and no longer used; says how it is called now.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = aside(path)?;
    rename(path, &aside)?;
    Ok(aside)
}

/// Does so with one that a fresh file takes the place of: where the file system knows hard links, at once.
pub(crate) fn replace_damaged(path: &Path, fresh: &Path) -> io::Result<PathBuf> {
    let aside = aside(path)?;
    fs::hard_link(path, &aside).or_else(|_| fs::rename(path, &aside))?;
    rename(fresh, path)?;
    Ok(aside)
}

fn aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged-");
    unused(|n| {
        let mut name = name.clone();
        name.push(n.to_string());
        PathBuf::from(name)
    })
}

/// The first of these paths, from number 1, at which there is nothing.
pub(crate) fn unused(path: impl Fn(u32) -> PathBuf) -> io::Result<PathBuf> {
    for number in 1..=SET_ASIDE_MAX {
        let path = path(number);
        if !path.try_exists()? {
            return Ok(path);
        }
    }
    Err(io::Error::other("too many damaged files were set aside; delete some"))
}
