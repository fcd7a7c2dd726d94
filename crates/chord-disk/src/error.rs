//! Why a data directory cannot be used, one sentence each, with what to do.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Why a data directory was not opened. Nothing in it was changed, except where a variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error("{} is in use by {}; stop that process or give this node a directory of its own", dir.display(), holder(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, if it left its number.
        pid: Option<u32>,
    },
    /// It belongs to another node.
    #[error("{} holds the data of node {theirs}, not of {ours}; have the node listen on {theirs}, which is its name, as before and not on port 0, or give this one an empty directory", dir.display())]
    OtherNode {
        /// The directory.
        dir: PathBuf,
        /// The node that it belongs to.
        theirs: String,
        /// The node that was started.
        ours: String,
    },
    /// There are files in it, and they are none of ours.
    #[error("{} holds other files, such as {file:?}, and no data of a node; give this node a directory of its own, which is made if it is not there", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the files.
        file: OsString,
    },
    /// It is a file, or something else that holds no files.
    #[error("{} is no directory; name one, which is made if it is not there", dir.display())]
    NoDirectory {
        /// What was named.
        dir: PathBuf,
    },
    /// It belongs to a node of another ring.
    #[error("{} holds the data of the ring \"{theirs}\", not of \"{ours}\"; start this node with that name of the ring, or give it an empty directory", dir.display())]
    OtherRing {
        /// The directory.
        dir: PathBuf,
        /// The ring that it belongs to.
        theirs: String,
        /// The ring of the node that was started.
        ours: String,
    },
    /// It was written on a ring of another size, where every key lies elsewhere.
    #[error("{} was written on a ring of {theirs} bits, not {ours}; start the node with that ring size, or export the data there and import it into an empty directory", dir.display())]
    OtherSize {
        /// The directory.
        dir: PathBuf,
        /// The size in the directory.
        theirs: u64,
        /// The size that was asked for.
        ours: u64,
    },
    /// A newer version of this program wrote it.
    #[error("{} has format {theirs}, and this version reads up to {ours}; start the newer version that wrote it", dir.display())]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// The format of the directory.
        theirs: u64,
        /// The newest format that is known here.
        ours: u64,
    },
    /// The identity cannot be read, so nobody knows whose data it is.
    #[error("{} is damaged ({reason}), so it is unknown whose data this is; put the file back from a backup, or give this node an empty directory, which the ring fills", path.display())]
    BadIdentity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no data in it, and none was to be begun.
    #[error("{} is no data directory: it has no identity.json; name the directory that a node was started with, or put that file back from a backup", dir.display())]
    NoData {
        /// The directory.
        dir: PathBuf,
    },
    /// The records are damaged, and [`crate::DamagePolicy::Refuse`] was asked for.
    #[error("{} is damaged ({reason}); restore it from a backup, or start the node, which sets aside what is damaged unless it was started with --on-damage refuse, and the ring fills the gap", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused something.
    #[error("{doing} {}: {error}; {}", path.display(), remedy(error))]
    Io {
        /// What was to be done, as in "cannot read".
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says. The sentence has it already, so it is no source.
        error: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl OpenError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, path: path.to_path_buf(), error }
    }
}

/// What helps against what the system says.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded,
        ReadOnlyFilesystem, ResourceBusy, StorageFull,
    };
    match error.kind() {
        ResourceBusy => "stop the other process that uses it",
        PermissionDenied => "give the user that runs this node the right to read and write there",
        ReadOnlyFilesystem => "make the file system writable or choose another directory",
        StorageFull => "free space on that disk",
        QuotaExceeded => "free space or raise the quota of the user that runs this node",
        InvalidData => "restart this node, which sets aside what is damaged; the ring has copies",
        NotFound | NotADirectory | IsADirectory => "check the path",
        _ => "check the disk and the system's log",
    }
}

/// Why an export or import ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The records could not be read or written. An import may have stored part of what it read; doing it again is harmless.
    #[error(transparent)]
    Store(#[from] chord_kv::StoreError),
    /// A line is no record. What came before it was imported; doing it again is harmless.
    #[error("line {line}: {reason}")]
    BadLine {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The text could not be read or written.
    #[error("{doing} failed: {error}; {}", remedy(error))]
    Io {
        /// What was to be done, as in "reading line 3".
        doing: String,
        /// What the system says. The sentence has it already, so it is no source.
        error: io::Error,
    },
}
