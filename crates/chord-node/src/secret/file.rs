//! The file of secrets: read with care, and again when it changes.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::{Holder, Known, Role, Secret, Secrets, SecretsError, hash_of};
use crate::follow::follow;

/// Bytes of a file: many more than as many secrets as are taken, with remarks.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why a file of secrets was not read. Nothing of what it holds is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("cannot read the file of secrets {path}: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than its owner and its group can use it, or its group can write to it.
    #[error("{exposed} the file of secrets {path}: take that away by `chmod {} {path}`", .exposed.remedy(), path = .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Who can do what.
        exposed: Exposed,
    },
    /// It is a directory or the like.
    #[error("{path} is no file: name a file with secrets", path = .path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
    },
    /// It is too large.
    #[error("the file of secrets {path} has more than {FILE_BYTES_MAX} bytes: it has a secret in each line and nothing else", path = .path.display())]
    Large {
        /// Which.
        path: PathBuf,
    },
    /// It is no text.
    #[error("the file of secrets {path} is no text (UTF-8): it has a secret in each line", path = .path.display())]
    NoText {
        /// Which.
        path: PathBuf,
    },
    /// What is in it is wrong.
    #[error("the file of secrets {path}: {error}", path = .path.display())]
    Secrets {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: SecretsError,
    },
}

/// A file of secrets, and what was in it when it was last well.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    holder: Holder,
    secrets: ArcSwap<Secrets>,
    /// What was in it at the start: it may change before it is followed.
    opened: [u8; 32],
    /// What is in it now is not taken.
    is_refusing: AtomicBool,
    /// How often it has changed: what was found out before may no longer hold.
    changes: AtomicU64,
}

impl SecretFile {
    /// Reads it.
    pub(crate) fn open(path: &Path, holder: Holder) -> Result<Self, SecretFileError> {
        let opened = read(path)?;
        let secrets = parse(path, &opened, holder)?;
        let (path, secrets) = (path.to_owned(), ArcSwap::from_pointee(secrets));
        let opened = hash_of(opened.as_bytes());
        let (is_refusing, changes) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Self { path, holder, secrets, opened, is_refusing, changes })
    }

    pub(crate) fn holder(&self) -> Holder {
        self.holder
    }

    /// Whether what is in it now is wrong, so that what was in it before still holds.
    pub(crate) fn is_refusing(&self) -> bool {
        self.is_refusing.load(Ordering::Relaxed)
    }

    /// How often its secrets have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The secrets that are valid now.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        self.secrets.load_full()
    }

    /// What is known of who gives these bytes.
    pub(crate) fn recognize(&self, given: &[u8]) -> Option<Known> {
        let (changes, hash) = (self.changes(), hash_of(given));
        let role = self.secrets.load().role_of(&hash)?;
        Some(Known { hash, role, changes })
    }

    /// The same of who has proved that it knows this secret.
    pub(crate) fn recognize_by(&self, proved: &Secret) -> Option<Known> {
        let changes = self.changes();
        let role = self.secrets.load().role_of(&proved.hash)?;
        Some(Known { hash: proved.hash, role, changes })
    }

    /// What it allows now; nothing if its secret is no longer valid.
    pub(crate) fn role_now(&self, known: &Known) -> Option<Role> {
        if known.changes == self.changes() {
            return Some(known.role);
        }
        self.secrets.load().role_of(&known.hash)
    }

    /// Reads the file again and again, and takes what is in it when it has changed. One that is wrong changes nothing, and
    /// the log says so once: it may be half written.
    pub(crate) async fn follow(&self) {
        let mut taken = self.opened;
        follow(
            1,
            || {
                let found = self.look(&mut taken);
                self.is_refusing.store(found.is_err(), Ordering::Relaxed);
                found.map_err(|error| error.to_string().into())
            },
            || {
                tracing::info!(
                    event = "secrets-changed",
                    "the file of secrets has changed: its secrets are valid from now on"
                );
            },
            |complaint| {
                tracing::warn!(
                    event = "secrets-refused",
                    "{complaint}; the secrets that were in it before stay valid"
                );
            },
        )
        .await;
    }

    /// Takes what is in the file if it is not what was taken before. Returns whether it was taken.
    fn look(&self, taken: &mut [u8; 32]) -> Result<bool, SecretFileError> {
        let text = read(&self.path)?;
        let found = hash_of(text.as_bytes());
        if *taken == found {
            return Ok(false);
        }
        self.secrets.store(Arc::new(parse(&self.path, &text, self.holder)?));
        self.changes.fetch_add(1, Ordering::Release);
        *taken = found;
        Ok(true)
    }
}

/// Whether a node takes the file of secrets as it is now.
///
/// # Errors
/// It cannot be read, may be read or changed by others, or what is in it is wrong.
pub fn check_secrets(path: impl AsRef<Path>) -> Result<(), SecretFileError> {
    SecretFile::open(path.as_ref(), Holder::Node).map(drop)
}

fn parse(path: &Path, text: &str, holder: Holder) -> Result<Secrets, SecretFileError> {
    let secrets = Secrets::parse(text).and_then(|secrets| match secrets.own(holder) {
        Some(_) => Ok(secrets),
        None => Err(SecretsError::NoneForNodes),
    });
    secrets.map_err(|error| SecretFileError::Secrets { path: path.to_owned(), error })
}

/// Reads all of the file, if nobody but its owner and its group may, and nobody but its owner may change it.
fn read(path: &Path) -> Result<String, SecretFileError> {
    let failed = |error| SecretFileError::Read { path: path.to_owned(), error };
    let path_is = || path.to_owned();
    // What is opened is what is looked at: the name may come to mean another file.
    // Nobody waits for who writes to a pipe.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(SecretFileError::NoFile { path: path_is() });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NoFile { path: path_is() });
    }
    if let Some(exposed) = Exposed::of(&metadata) {
        return Err(SecretFileError::Open { path: path_is(), exposed });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SecretFileError::Large { path: path_is() });
    }
    String::from_utf8(bytes).map_err(|_| SecretFileError::NoText { path: path_is() })
}

/// What users other than its owner can do with a file of which they should at most read, as its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed {
    mode: u32,
}

/// In a mode: what all users may do, and that its group may write.
const OF_ALL: u32 = 0o007;
const GROUP_WRITES: u32 = 0o020;

impl Exposed {
    /// None if all is well.
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let mode = metadata.mode() & (OF_ALL | GROUP_WRITES);
        (mode != 0).then_some(Self { mode })
    }

    /// Other systems have other rules, which nothing here knows.
    #[cfg(not(unix))]
    pub(crate) fn of(_: &Metadata) -> Option<Self> {
        None
    }

    /// What `chmod` is told to mend it.
    pub(crate) fn remedy(self) -> &'static str {
        match (self.mode & GROUP_WRITES != 0, self.mode & OF_ALL != 0) {
            (true, true) => "g-w,o=",
            (true, false) => "g-w",
            (false, _) => "o=",
        }
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode & OF_ALL {
            0 => "everybody in its group can change",
            0o001 => "everybody on this machine can execute",
            0o002 | 0o003 => "everybody on this machine can change",
            0o004 | 0o005 => "everybody on this machine can read",
            _ => "everybody on this machine can read and change",
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn role_of(file: &SecretFile, given: &str) -> Option<Role> {
        file.secrets().role_of(&hash_of(given.as_bytes()))
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).expect("it can be written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_file_that_others_can_read_or_its_group_can_change_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let (all, group) = ("everybody on this machine can", "everybody in its group can");
        for (mode, said, remedy) in [
            (0o644, format!("{all} read the file"), "o="),
            (0o604, format!("{all} read the file"), "o="),
            (0o606, format!("{all} read and change the file"), "o="),
            (0o602, format!("{all} change the file"), "o="),
            (0o601, format!("{all} execute the file"), "o="),
            (0o620, format!("{group} change the file"), "g-w"),
            (0o660, format!("{group} change the file"), "g-w"),
            (0o664, format!("{all} read the file"), "g-w,o="),
        ] {
            write(&path, b"the-secret-of-this-ring\n", mode);
            let Err(error) = SecretFile::open(&path, Holder::Node) else { panic!("{mode:o} is taken") };
            let error = error.to_string();
            assert!(error.starts_with(&said), "{mode:o}: {error}");
            assert!(error.contains(&format!("`chmod {remedy} ")), "{mode:o}: {error}");
        }
        for mode in [0o600, 0o640, 0o440] {
            write(&path, b"the-secret-of-this-ring\n", mode);
            let opened = SecretFile::open(&path, Holder::Node).unwrap();
            assert_eq!(role_of(&opened, "the-secret-of-this-ring"), Some(Role::Node));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    #[test]
    fn each_file_that_has_no_secrets_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let large = vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        let cases: [(&[u8], &str); 6] = [
            (b"admin the-secret-of-admins", "that nodes share"),
            (b"", "has no secret"),
            (b"\n", "has no secret"),
            (b"short\n", "line 1"),
            (b"\xff\xfe", "is no text"),
            (&large, "more than"),
        ];
        for (bytes, expected) in cases {
            write(&path, bytes, 0o600);
            let Err(error) = SecretFile::open(&path, Holder::Node) else { panic!("{expected}: it is taken") };
            let said = error.to_string();
            assert!(said.contains(expected) && said.contains("secret"), "{said}");
        }
        let Err(error) = SecretFile::open(&dir.path().join("none"), Holder::Node) else {
            panic!("there is one")
        };
        assert!(error.to_string().contains("none"), "{error}");
        let Err(error) = SecretFile::open(dir.path(), Holder::Node) else { panic!("a directory is taken") };
        assert!(error.to_string().contains("no file"), "{error}");
    }

    #[test]
    fn a_change_is_taken_and_a_file_that_is_half_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write(&path, b"the-secret-of-this-ring\n", 0o600);
        let file = SecretFile::open(&path, Holder::Node).unwrap();
        let mut taken = file.opened;
        assert!(!file.look(&mut taken).unwrap());
        write(&path, b"the-secret-of-this-ring\nthe-ne", 0o600);
        assert!(file.look(&mut taken).is_err());
        assert_eq!(role_of(&file, "the-secret-of-this-ring"), Some(Role::Node));
        write(&path, b"the-secret-of-this-ring\nthe-next-secret-of-it\n", 0o600);
        assert!(file.look(&mut taken).unwrap());
        assert_eq!(role_of(&file, "the-next-secret-of-it"), Some(Role::Node));
        write(&path, b"the-next-secret-of-it\n", 0o600);
        assert!(file.look(&mut taken).unwrap());
        assert_eq!(role_of(&file, "the-secret-of-this-ring"), None);
        fs::remove_file(&path).unwrap();
        assert!(file.look(&mut taken).is_err());
        assert_eq!(role_of(&file, "the-next-secret-of-it"), Some(Role::Node));
    }
}
