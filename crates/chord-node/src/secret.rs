//! Secrets: what nodes prove to each other and what clients give, and how much each of them allows.

mod file;
mod proof;

pub(crate) use file::SecretFile;
pub use file::{Exposed, SecretFileError, check_secrets};
pub(crate) use proof::{Exchange, Side, draw};

use std::fmt;

use chord_wire::frame::Proof;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Bytes of a secret. Sixteen that are drawn at random from printable ones cannot be guessed; the most is what a line of a
/// password manager holds.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 256;

/// Secrets that are valid at a time: two for each role while they change, and as many again for people who want their own.
/// Each costs whoever tries to come in a hash of ours.
const SECRETS_MAX: usize = 32;

/// How much somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Read keys and look at the ring.
    Read = 1,
    /// Write and delete keys.
    Write = 2,
    /// Have the node join, leave or stop, and delete all keys.
    Admin = 3,
    /// Be a member of the ring.
    Node = 4,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Admin, Self::Node];

    /// The word for it in a file of secrets.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Node => "node",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A secret. It is never shown, also not by `Debug`.
#[derive(Clone)]
pub(crate) struct Secret {
    role: Role,
    bytes: Box<[u8]>,
    /// Two secrets are compared by this, so that the time it takes says nothing of how long they are.
    hash: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Secret {
    /// Reads a secret: printable ASCII without a space.
    fn new(role: Role, text: &str) -> Result<Self, BadSecret> {
        match text.len() {
            n_bytes @ ..SECRET_BYTES_MIN => return Err(BadSecret::Short { n_bytes }),
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => {}
            n_bytes => return Err(BadSecret::Long { n_bytes }),
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadSecret::NotPrintable);
        }
        Ok(Self { role, bytes: text.as_bytes().into(), hash: hash_of(text.as_bytes()) })
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// As it is given in words.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// By what a text is compared with secrets.
fn hash_of(given: &[u8]) -> [u8; 32] {
    Sha256::digest(given).into()
}

/// Why a text is no list of secrets. Nothing of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSecret {
    /// It is easily guessed.
    #[error(
        "a secret of {n_bytes} characters is too short: it has at least {SECRET_BYTES_MIN}, as `openssl rand -hex 32` makes them"
    )]
    Short {
        /// How long it is.
        n_bytes: usize,
    },
    /// Nobody would give it on a command line or in a header.
    #[error("a secret of {n_bytes} characters is too long: it has at most {SECRET_BYTES_MAX}")]
    Long {
        /// How long it is.
        n_bytes: usize,
    },
    /// It could not be given in a header.
    #[error(
        "a secret is made of printable ASCII characters without spaces: make one by `openssl rand -hex 32`"
    )]
    NotPrintable,
    /// The first of two words is no role.
    #[error(
        "a line with two words begins with what the secret allows, one of read, write, admin and node; a line with the secret alone allows all of that"
    )]
    NoRole,
    /// There are more than two words.
    #[error("a line is a secret, or a role, a space and a secret: it has more words than two")]
    ManyWords,
    /// The same secret stands in two lines.
    #[error("the same secret stands in a line before: who gives it must be known by it")]
    Twice,
}

/// One who has given a secret: by it, its role is found again when the secrets have changed.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    hash: [u8; 32],
    role: Role,
    /// How often the secrets had changed when it was found.
    changes: u64,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Secrets that are valid now, in the order of their lines.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    list: Vec<Secret>,
}

impl Secrets {
    /// Reads lines, each a secret, or a role and a secret. Empty ones and those that begin with `#` are passed over.
    fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut list: Vec<Secret> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let at = |error| SecretsError::Line { number, error };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if list.len() == SECRETS_MAX {
                return Err(SecretsError::Many);
            }
            let secret = read_line(line).map_err(at)?;
            if list.iter().any(|before| bool::from(before.hash.ct_eq(&secret.hash))) {
                return Err(at(BadSecret::Twice));
            }
            list.push(secret);
        }
        if list.is_empty() { Err(SecretsError::Empty) } else { Ok(Self { list }) }
    }

    /// What somebody who gives the bytes of this hash may do; none if they are no secret of ours. Takes the same time for all
    /// hashes.
    fn role_of(&self, hash: &[u8; 32]) -> Option<Role> {
        let mut found = 0;
        for secret in &self.list {
            found.conditional_assign(&(secret.role as u8), secret.hash.ct_eq(hash));
        }
        Role::ALL.into_iter().find(|role| *role as u8 == found)
    }

    /// The secret with which its holder shows who it is: the first that it may, so that a new one is put behind it until all
    /// nodes know it, and before it then.
    pub(crate) fn own(&self, holder: Holder) -> Option<&Secret> {
        self.list.iter().find(|secret| secret.role >= holder.least())
    }

    /// The secret by which this is the proof of that side; none if nobody with a secret of ours has made it.
    pub(crate) fn prover(&self, side: Side, exchange: &Exchange<'_>, proof: &Proof) -> Option<&Secret> {
        let mut found = 0;
        for (secret, number) in self.list.iter().zip(1_u32..) {
            found.conditional_assign(&number, exchange.proof(side, secret).0.ct_eq(&proof.0));
        }
        self.list.get(usize::try_from(found).ok()?.checked_sub(1)?)
    }
}

fn read_line(line: &str) -> Result<Secret, BadSecret> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(secret), None, _) => Secret::new(Role::Node, secret),
        (Some(role), Some(secret), None) => {
            Secret::new(Role::of_word(role).ok_or(BadSecret::NoRole)?, secret)
        }
        _ => Err(BadSecret::ManyWords),
    }
}

/// Who has a file of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A node, which lets others in by it.
    Node,
    /// A client, which is let in.
    Client,
}

impl Holder {
    /// What a secret of its own allows at least.
    const fn least(self) -> Role {
        match self {
            Self::Node => Role::Node,
            Self::Client => Role::Read,
        }
    }
}

/// Why a text has no secrets for a node. Nothing of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// A line is wrong.
    #[error("line {number}: {error}")]
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        error: BadSecret,
    },
    /// There are too many.
    #[error("it has more than {SECRETS_MAX} secrets: leave those out that nobody uses any more")]
    Many,
    /// There is none.
    #[error("it has no secret: write one into it, as by `openssl rand -hex 32`")]
    Empty,
    /// Nodes could not know each other.
    #[error(
        "it has no secret that nodes share: add a line with one, which is the same for all nodes of the ring"
    )]
    NoneForNodes,
}

/// A file that only its owner can read.
#[cfg(all(test, unix))]
pub(crate) fn write_for_tests(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("it can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "first-secret-of-all";
    const OTHER: &str = "another-secret-of-all";

    fn line(number: usize, error: BadSecret) -> SecretsError {
        SecretsError::Line { number, error }
    }

    #[test]
    fn a_secret_alone_allows_everything_and_one_with_a_role_no_more_than_that() {
        let text = format!("# of the ring\n{FIRST}\r\n\n  read   {OTHER}  \n");
        let secrets = Secrets::parse(&text).unwrap();
        assert_eq!(secrets.role_of(&hash_of(FIRST.as_bytes())), Some(Role::Node));
        assert_eq!(secrets.role_of(&hash_of(OTHER.as_bytes())), Some(Role::Read));
        for wrong in ["", "first-secret-of-al", "first-secret-of-all\n", "read", "#"] {
            assert_eq!(secrets.role_of(&hash_of(wrong.as_bytes())), None, "{wrong}");
        }
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin && Role::Admin < Role::Node);
    }

    #[test]
    fn bytes_that_are_no_text_are_no_secret() {
        let secrets = Secrets::parse(FIRST).unwrap();
        assert_eq!(secrets.role_of(&hash_of(&[0xff; 19])), None);
        assert_eq!(secrets.role_of(&hash_of(&vec![b'a'; 1 << 20])), None);
    }

    #[test]
    fn the_first_secret_of_nodes_is_the_one_that_a_node_proves_itself_with() {
        let text = format!("write {OTHER}\nnode {FIRST}\nlater-secret-of-nodes");
        let secrets = Secrets::parse(&text).unwrap();
        assert_eq!(secrets.own(Holder::Node).unwrap().as_bytes(), FIRST.as_bytes());
        assert_eq!(secrets.own(Holder::Client).unwrap().as_bytes(), OTHER.as_bytes());
        assert!(Secrets::parse(&format!("admin {OTHER}")).unwrap().own(Holder::Node).is_none());
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_without_the_secret() {
        let long = "a".repeat(SECRET_BYTES_MAX + 1);
        let many =
            (0..=SECRETS_MAX).map(|n| format!("secret-with-number-{n}")).collect::<Vec<_>>().join("\n");
        let cases = [
            ("", SecretsError::Empty),
            ("\n# nothing\n\n", SecretsError::Empty),
            ("fifteen-of-them", line(1, BadSecret::Short { n_bytes: 15 })),
            (&long, line(1, BadSecret::Long { n_bytes: SECRET_BYTES_MAX + 1 })),
            ("\n\nschlüssel-mit-umlaut", line(3, BadSecret::NotPrintable)),
            ("the-secret-of\u{7}-nobody", line(1, BadSecret::NotPrintable)),
            ("reader the-secret-of-readers", line(1, BadSecret::NoRole)),
            ("the-secret-of-readers read", line(1, BadSecret::NoRole)),
            ("read the-secret-of-readers twice", line(1, BadSecret::ManyWords)),
            (&format!("{FIRST}\nread {FIRST}"), line(2, BadSecret::Twice)),
            (&many, SecretsError::Many),
        ];
        for (text, expected) in cases {
            let error = Secrets::parse(text).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("secret-of"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", Secrets::parse(FIRST).unwrap());
        assert!(!shown.contains("first") && !shown.contains("102"), "{shown}");
    }
}
