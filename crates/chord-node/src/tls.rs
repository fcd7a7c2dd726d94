//! TLS: what a node and a client show of themselves, whom they believe, and how that follows the files it is in.
//!
//! What is spoken is TLS 1.3 or 1.2 as `rustls` has it. A node shows one certificate on both sides of a connection. Clients
//! need none; but whoever calls itself a node has to show one that is for the host of its name.

mod certificate;
mod credentials;
mod dialer;
mod files;
mod follow;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use chord_ring::NodeName;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{Connection, ServerConnection};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::links::lock;
use crate::stream::Secured;
pub use certificate::Certificate;
use credentials::{Credentials, server_name};
pub use dialer::{ClientTls, Connected};
pub(crate) use dialer::{Dialer, disbelieved};
pub use files::{TlsFileError, TlsFiles};
use follow::Texts;

/// How long it is not logged again that somebody calls itself a node and is not.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// What one node needs for TLS.
pub(crate) struct NodeTls {
    files: TlsFiles,
    name: NodeName,
    /// What was in the files when they were last well.
    credentials: ArcSwap<Credentials>,
    dialer: Dialer,
    /// What was in the files at the start: they may change before they are followed.
    opened: Texts,
    /// What is in the files now is used: for connections that began by what was there before.
    changed: watch::Sender<()>,
    /// The files have been changed, and what is in them now is not taken.
    is_refusing: AtomicBool,
    agreed: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
    plain: AtomicU64,
    impostors: AtomicU64,
    complained: Mutex<Option<Instant>>,
}

/// What is counted of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsState {
    /// From when to when the certificate is valid.
    pub(crate) begins: SystemTime,
    pub(crate) expires: SystemTime,
    /// Until when its authority is.
    pub(crate) authority_expires: Option<SystemTime>,
    pub(crate) is_refusing: bool,
    pub(crate) agreed: u64,
    pub(crate) resumed: u64,
    pub(crate) failed: u64,
    pub(crate) plain: u64,
    pub(crate) impostors: u64,
}

impl NodeTls {
    /// Reads the files, for a node of that name.
    pub(crate) fn open(files: TlsFiles, name: NodeName) -> Result<Self, TlsFileError> {
        let opened = Texts::read(&files)?;
        let credentials = opened.credentials(&name)?;
        Ok(Self {
            files,
            opened,
            name,
            dialer: Dialer::new(credentials.client.clone()),
            credentials: ArcSwap::from_pointee(credentials),
            changed: watch::Sender::new(()),
            is_refusing: AtomicBool::new(false),
            agreed: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            plain: AtomicU64::new(0),
            impostors: AtomicU64::new(0),
            complained: Mutex::default(),
        })
    }

    /// Connects to other nodes by it.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(crate) fn state(&self) -> TlsState {
        let credentials = self.credentials.load();
        TlsState {
            begins: credentials.begins,
            expires: credentials.expires,
            authority_expires: credentials.authority.map(|(_, expires)| expires),
            is_refusing: self.is_refusing.load(Ordering::Relaxed),
            agreed: self.agreed.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            plain: self.plain.load(Ordering::Relaxed),
            impostors: self.impostors.load(Ordering::Relaxed),
        }
    }

    /// Tells when what is in the files has changed since this was called.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Somebody speaks without TLS, and is refused.
    pub(crate) fn counts_plain(&self) {
        self.plain.fetch_add(1, Ordering::Relaxed);
    }

    /// Agrees on a session with one who has connected, and of whom `first` has come. The caller sets the deadline.
    pub(crate) async fn accept(&self, stream: TcpStream, first: &[u8]) -> std::io::Result<Secured> {
        let config = self.credentials.load().server.clone();
        let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
        let mut attempt = Attempt { counts_as: &self.failed };
        let secured = Secured::open(stream, Connection::Server(connection), first).await?;
        attempt.counts_as = if secured.is_resumed() { &self.resumed } else { &self.agreed };
        Ok(secured)
    }

    /// Whether these certificates, which somebody has shown, are those of a node of that name. If they are not, the log says so.
    pub(crate) fn vouches_for(&self, shown: &[CertificateDer<'static>], name: &NodeName) -> bool {
        let Err(why) = self.check(shown, name) else { return true };
        self.impostors.fetch_add(1, Ordering::Relaxed);
        let mut complained = lock(&self.complained);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINT_PAUSE) {
            *complained = Some(Instant::now());
            drop(complained);
            tracing::warn!(event = "impostor-refused", claims = %name, "refused one who says that it is a node: {why}");
        }
        false
    }

    fn check(&self, shown: &[CertificateDer<'static>], name: &NodeName) -> Result<(), &'static str> {
        let (first, between) = shown.split_first().ok_or("it has shown no certificate")?;
        let credentials = self.credentials.load();
        // A session that goes on from an earlier one goes on also when its certificate has expired meanwhile.
        let verified = credentials.clients.verify_client_cert(first, between, UnixTime::now());
        verified.map_err(|_| "its certificate is of no authority in --tls-ca, or not valid now")?;
        let host = server_name(name).ok_or("the host of that name can stand in no certificate")?;
        let certificate = rustls::server::ParsedCertificate::try_from(first)
            .map_err(|_| "its certificate cannot be understood")?;
        rustls::client::verify_server_name(&certificate, &host)
            .map_err(|_| "its certificate is not for the host of that name")
    }
}

/// An attempt to agree on a session. Dropped, it has failed, for whatever reason, unless it says otherwise.
struct Attempt<'a> {
    counts_as: &'a AtomicU64,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.counts_as.fetch_add(1, Ordering::Relaxed);
    }
}

/// For whom a door that speaks TLS takes those on a connection.
pub(crate) type Shown = Arc<[CertificateDer<'static>]>;
