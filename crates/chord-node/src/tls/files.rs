//! The files that TLS takes: what is read from them, and what can be wrong with them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::secret::Exposed;

/// Bytes of a file: many more than a chain of certificates has, and those of all authorities that anybody trusts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Which of the files it is, by the option of the command line that names it.
pub(super) const CERTIFICATE: &str = "--tls-cert";
pub(super) const KEY: &str = "--tls-key";
pub(super) const AUTHORITY: &str = "--tls-ca";

/// By which it is told what a file has.
const CERTIFICATE_LABEL: &[u8] = b"BEGIN CERTIFICATE";
const KEY_LABEL: &[u8] = b"PRIVATE KEY";

/// The files of a node that speaks TLS, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the node, and behind it those between it and its authority, if there are any. It is for the host of
    /// the node's name, and for servers and clients alike.
    pub certificate: PathBuf,
    /// The private key of the certificate. Others than its owner and group must not be able to read it.
    pub key: PathBuf,
    /// The certificates of the authorities that sign the nodes of the ring.
    pub authority: PathBuf,
}

/// Why the files that TLS takes were not taken. Nothing of a key is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// A file cannot be read.
    #[error("cannot read {path}, which {option} names: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// It is a directory or the like.
    #[error("{path} is no file: name one in PEM by {option}, as `chord tls init` makes them", path = .path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
    },
    /// Others than its owner and its group can use a key, or its group can write to it.
    #[error("{exposed} the private key {path}: take that away by `chmod {} {path}`", .exposed.remedy(), path = .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Who can do what.
        exposed: Exposed,
    },
    /// It is too large.
    #[error("{path} has more than {FILE_BYTES_MAX} bytes: name a file in PEM by {option} that has certificates or a key and nothing else", path = .path.display())]
    Large {
        /// Which.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
    },
    /// It ends amid something, or is damaged.
    #[error("{path}, which {option} names, is no whole PEM: it may be half written, so write it beside and rename it", path = .path.display())]
    NotWhole {
        /// Which.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
    },
    /// There is no certificate.
    #[error("there is no certificate in {path}: {option} names a file in PEM with BEGIN CERTIFICATE in it", path = .path.display())]
    NoCertificate {
        /// Where.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
    },
    /// Certificate and key are swapped, or one of them is named twice.
    #[error("{path}, which {option} names, has a {has} and no {}: name the certificate by {CERTIFICATE} and its private key by {KEY}", other(.has), path = .path.display())]
    Swapped {
        /// Where.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
        /// What is there instead.
        has: &'static str,
    },
    /// A key is locked.
    #[error("the private key in {path} has a passphrase, which nobody gives a node: write it without one, as by `openssl pkey -in {path} -out KEY`", path = .path.display())]
    Locked {
        /// Where.
        path: PathBuf,
    },
    /// There is no key.
    #[error("there is no private key in {path}: {KEY} names a file in PEM with BEGIN PRIVATE KEY in it, without a passphrase", path = .path.display())]
    NoKey {
        /// Where.
        path: PathBuf,
    },
    /// A certificate is none.
    #[error("a certificate in {path}, which {option} names, cannot be understood ({why}): make it anew", path = .path.display())]
    BadCertificate {
        /// Where.
        path: PathBuf,
        /// By which option it is named.
        option: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key is of no sort that is known.
    #[error("the private key in {path} is of no use here ({why}): make one for ECDSA by P-256, Ed25519, or RSA", path = .path.display())]
    BadKey {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not belong together.
    #[error("the private key in {key} is not that of the certificate in {certificate}: name two that belong together by {CERTIFICATE} and {KEY}", key = .key.display(), certificate = .certificate.display())]
    KeyDiffers {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// It is no longer valid.
    #[error("the certificate in {path} expired on {until}, and this machine's clock says {now}: renew it, or set the clock right", path = .path.display(), until = date(*.until), now = date(*.now))]
    Expired {
        /// Where.
        path: PathBuf,
        /// Its last moment.
        until: SystemTime,
        /// What the clock says.
        now: SystemTime,
    },
    /// It is not valid yet.
    #[error("the certificate in {path} is valid from {from} on, and this machine's clock says {now}: set the clock right, or wait until then", path = .path.display(), from = date(*.from), now = date(*.now))]
    NotYet {
        /// Where.
        path: PathBuf,
        /// Its first moment.
        from: SystemTime,
        /// What the clock says.
        now: SystemTime,
    },
    /// It is for another host.
    #[error("the certificate in {path} is for {names}, and this node is called {host}: have one made that is for {host}, or give the node a name that it is for", path = .path.display())]
    OtherHost {
        /// Where.
        path: PathBuf,
        /// For whom it is.
        names: String,
        /// The host of the node's name.
        host: String,
    },
    /// The address that the node is called by stands in it as if it were a host name.
    #[error("the certificate in {path} has {host} among the DNS names, where nobody looks for an address: have one made with IP:{host} in its subjectAltName", path = .path.display())]
    AddressAsName {
        /// Where.
        path: PathBuf,
        /// The address.
        host: String,
    },
    /// It is the authority's own.
    #[error("the certificate in {path} is that of an authority, which is no node: name one that the authority has signed by {CERTIFICATE}, and the authority's by {AUTHORITY}; `chord tls init` makes both", path = .path.display())]
    OfAuthority {
        /// Where.
        path: PathBuf,
    },
    /// No authority that is trusted has signed it.
    #[error("no authority in {authority} has signed the certificate in {certificate}: name the file of the one that did by {AUTHORITY}", certificate = .certificate.display(), authority = .authority.display())]
    OtherAuthority {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the authorities.
        authority: PathBuf,
    },
    /// It may not be shown on both sides of a connection.
    #[error("the certificate in {path} is not for servers and clients alike, and a node is both: have one made with the extended key usages serverAuth and clientAuth, or with none", path = .path.display())]
    OneSided {
        /// Where.
        path: PathBuf,
    },
}

const A_CERTIFICATE: &str = "certificate";
const A_KEY: &str = "private key";

/// Of a certificate and a key the other one.
fn other(has: &str) -> &'static str {
    if has == A_KEY { A_CERTIFICATE } else { A_KEY }
}

fn date(moment: SystemTime) -> String {
    httpdate::fmt_http_date(moment)
}

/// What is in a file, and where that is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text {
    path: PathBuf,
    option: &'static str,
    bytes: Vec<u8>,
}

impl Text {
    /// Reads all of the file.
    pub(super) fn read(path: &Path, option: &'static str) -> Result<Self, TlsFileError> {
        let failed = |error| TlsFileError::Read { path: path.to_owned(), option, error };
        // Nobody waits for who writes to a pipe.
        if let Ok(metadata) = std::fs::metadata(path) {
            check(path, option, &metadata)?;
        }
        // What is opened is what is looked at: the name may come to mean another file.
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        check(path, option, &metadata)?;
        let exposed = Exposed::of(&metadata).filter(|_| option == KEY);
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(TlsFileError::Large { path: path.to_owned(), option });
        }
        let text = Self { path: path.to_owned(), option, bytes };
        // Of a certificate that is named as the key it is said that it is none: everybody may read it.
        if let Some(exposed) = exposed
            && (text.has(KEY_LABEL) || !text.has(CERTIFICATE_LABEL))
        {
            return Err(TlsFileError::Open { path: text.path, exposed });
        }
        Ok(text)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn not_whole(&self) -> TlsFileError {
        TlsFileError::NotWhole { path: self.path(), option: self.option }
    }

    /// Whether that stands in it.
    fn has(&self, wanted: &[u8]) -> bool {
        self.bytes.windows(wanted.len()).any(|there| there == wanted)
    }

    /// The certificates in it, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let found = found.map_err(|_| self.not_whole())?;
        if found.is_empty() && self.option == CERTIFICATE && self.has(KEY_LABEL) {
            return Err(TlsFileError::Swapped { path: self.path(), option: self.option, has: A_KEY });
        }
        if found.is_empty() {
            return Err(TlsFileError::NoCertificate { path: self.path(), option: self.option });
        }
        Ok(found)
    }

    /// The first key in it.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            // As RFC 1421 and as PKCS #8 say it.
            _ if self.has(b"Proc-Type: 4,ENCRYPTED") || self.has(b"BEGIN ENCRYPTED PRIVATE KEY") => {
                TlsFileError::Locked { path: self.path() }
            }
            _ if self.has(CERTIFICATE_LABEL) && !self.has(KEY_LABEL) => {
                TlsFileError::Swapped { path: self.path(), option: self.option, has: A_CERTIFICATE }
            }
            pem::Error::NoItemsFound => TlsFileError::NoKey { path: self.path() },
            _ => self.not_whole(),
        })
    }

    pub(super) fn bad_certificate(&self, why: &impl ToString) -> TlsFileError {
        TlsFileError::BadCertificate { path: self.path(), option: self.option, why: why.to_string() }
    }
}

fn check(path: &Path, option: &'static str, metadata: &Metadata) -> Result<(), TlsFileError> {
    if !metadata.is_file() {
        return Err(TlsFileError::NoFile { path: path.to_owned(), option });
    }
    Ok(())
}
