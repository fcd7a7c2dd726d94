//! Authorities and certificates for tests, as files, and what nodes and clients begin with that have them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chord_node::{ClientTls, Node, TlsFiles};
use chord_ring::{RingName, RingSize, RingTag};
use chord_wire::frame::{Hello, Kind, Outbox, VERSIONS};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

// Each address of the loopback is a host of its own.
pub(crate) const HERE: &str = "127.0.0.1";
pub(crate) const THERE: &str = "127.0.0.2";

pub(crate) async fn start(host: &str, files: TlsFiles, contact: Option<&Node>) -> Node {
    let builder = Node::builder().listen(&format!("{host}:0")).tls(files);
    let builder = contact.iter().fold(builder, |builder, contact| builder.join(contact.name().clone()));
    builder.start().await.unwrap()
}

pub(crate) fn showing(files: TlsFiles) -> ClientTls {
    ClientTls::showing(files.authority, files.certificate, files.key).unwrap()
}

/// What a node of that name, or a client, opens with.
pub(crate) fn hello(name: Option<&str>) -> Vec<u8> {
    let ring = RingTag { name: RingName::default(), size: RingSize::DEFAULT };
    let name = name.map(|name| name.parse().unwrap());
    let hello = Hello { versions: VERSIONS, name, ring: Some(ring), copies: None, challenge: None };
    let mut outbox = Outbox::default();
    outbox.open();
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    outbox.unsent().to_vec()
}

/// An authority, and a directory for the files of those whom it signs.
pub(crate) struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { dir: tempfile::tempdir().unwrap(), issuer };
        write(&authority.file(), &pem("CERTIFICATE", authority.issuer.der()), 0o644);
        authority
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The files of a node at that host.
    pub(crate) fn node(&self, host: &str) -> TlsFiles {
        self.signed(host, host, |_| {})
    }

    /// The files of that name, for that host, changed so before they are signed.
    pub(crate) fn signed(
        &self,
        name: &str,
        host: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsFiles {
        let (certificate, key) = self.made(host, change);
        let files = TlsFiles {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            authority: self.file(),
        };
        write(&files.certificate, &certificate, 0o644);
        write(&files.key, &key, 0o600);
        files
    }

    /// The texts of a certificate and of its key.
    pub(crate) fn made(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2056, 1, 2);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }
}

/// At once, as whoever changes a file that others read should.
pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<String> = BASE64_STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
