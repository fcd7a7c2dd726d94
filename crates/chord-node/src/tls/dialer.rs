//! The side that connects: checks who is there, and shows who is here.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use chord_ring::NodeName;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct,
    Error, SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::credentials::{of_client, server_name};
use super::files::{AUTHORITY, CERTIFICATE, KEY, Text, TlsFileError};
use crate::links::{NoAnswer, prepare};
use crate::stream::{Secured, Stream};

/// How long it may take to agree on a session with who has taken the connection: whoever waits for more has given up by then.
const AGREE_WAIT: Duration = Duration::from_secs(10);

/// Connects in TLS.
#[derive(Clone)]
pub(crate) struct Dialer {
    config: Arc<ArcSwap<ClientConfig>>,
    /// How often it has become another.
    changes: Arc<AtomicU64>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self { config: Arc::new(ArcSwap::new(config)), changes: Arc::default() }
    }

    /// Uses that from now on.
    pub(super) fn change(&self, config: Arc<ClientConfig>) {
        self.config.store(config);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often what it connects by has become another.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Connects to a node, in TLS if there is somebody to do that.
    pub(crate) async fn connect(dialer: Option<&Self>, name: &NodeName) -> Result<Stream, NoAnswer> {
        let stream = TcpStream::connect((name.host(), name.port())).await.map_err(NoAnswer::to_connect)?;
        prepare(&stream).map_err(NoAnswer::NoConnection)?;
        match dialer {
            None => Ok(Stream::Plain(stream)),
            // On the heap: it is seldom, and whoever asks often has room for all of this.
            Some(dialer) => Box::pin(dialer.agree(stream, name)).await,
        }
    }

    /// Connects to whoever is at an address, in TLS if there is somebody to do that. Whose certificate it shows does not matter:
    /// this is for a greeting, of which nothing is believed before its sender is met by the name that it says.
    pub(crate) async fn connect_to_anybody(
        dialer: Option<&Self>,
        place: &NodeName,
    ) -> Result<Stream, NoAnswer> {
        let Some(dialer) = dialer else { return Self::connect(None, place).await };
        let mut config = ClientConfig::clone(&dialer.config.load());
        let schemes = config.crypto_provider().signature_verification_algorithms;
        config.dangerous().set_certificate_verifier(Arc::new(Anybody(schemes)));
        config.resumption = Resumption::disabled();
        let anybody = Self::new(Arc::new(config));
        Box::pin(Self::connect(Some(&anybody), place)).await
    }

    async fn agree(&self, stream: TcpStream, name: &NodeName) -> Result<Stream, NoAnswer> {
        let host = server_name(name)
            .ok_or_else(|| NoAnswer::NoTls("its host can stand in no certificate".to_owned()))?;
        let connection = ClientConnection::new(self.config.load_full(), host)
            .map_err(|error| NoAnswer::NoTls(error.to_string()))?;
        let opened = Secured::open(stream, Connection::Client(connection), &[]);
        match tokio::time::timeout(AGREE_WAIT, opened).await {
            Ok(Ok(secured)) => Ok(Stream::Tls(Arc::new(secured))),
            Ok(Err(error)) => Err(no_session(error, name)),
            Err(_) => Err(NoAnswer::NoConnection(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Takes the certificate of anybody who has its key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Why nobody has agreed on a session.
fn no_session(error: io::Error, name: &NodeName) -> NoAnswer {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(of_tls) = of_tls else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => NoAnswer::Closed,
            _ => NoAnswer::NoConnection(error),
        };
    };
    NoAnswer::NoTls(match of_tls {
        Error::InvalidMessage(_) => "it does not speak TLS: it was started without --tls-cert".to_owned(),
        Error::InvalidCertificate(error) => of_certificate(error, name),
        Error::AlertReceived(alert) if is_disbelief(*alert) => DISBELIEF.to_owned(),
        other => other.to_string(),
    })
}

const DISBELIEF: &str = "it does not believe the certificate that was shown to it: have its authority in the file that --tls-ca names there";

fn is_disbelief(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateRequired
            | AlertDescription::DecryptError
    )
}

/// Whether a connection ended since the other side does not believe the certificate that was shown to it. In TLS 1.3 the side
/// that connects has agreed by the time when the other looks at that, and hears of it by the first thing it reads.
pub(crate) fn disbelieved(error: &io::Error) -> Option<NoAnswer> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) if is_disbelief(*alert) => {
            Some(NoAnswer::NoTls(DISBELIEF.to_owned()))
        }
        _ => None,
    }
}

fn of_certificate(error: &CertificateError, name: &NodeName) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is of no authority in the file that --tls-ca names".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("its certificate is not for {}", name.host())
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "its certificate has expired or is not valid yet, by this machine's clock".to_owned()
        }
        other => format!("its certificate cannot be believed: {other}"),
    }
}

/// What a client needs for TLS: whom it believes, and what it shows of itself, if anything. Cheap to clone; clients that share
/// it go on with each other's sessions.
#[derive(Clone, Debug)]
pub struct ClientTls {
    dialer: Dialer,
}

impl ClientTls {
    /// Believes nodes whose certificate was signed by an authority in that file, in PEM.
    ///
    /// # Errors
    /// There is no certificate of an authority in the file.
    pub fn new(authority: impl AsRef<Path>) -> Result<Self, TlsFileError> {
        Self::of(&Text::read(authority.as_ref(), AUTHORITY)?, None)
    }

    /// The same, and shows nodes the certificate in that file, whose key is in the other one.
    ///
    /// # Errors
    /// One of the files has not what it should have, or others can read the key.
    pub fn showing(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsFileError> {
        let certificate = Text::read(certificate.as_ref(), CERTIFICATE)?;
        let key = Text::read(key.as_ref(), KEY)?;
        Self::of(&Text::read(authority.as_ref(), AUTHORITY)?, Some((&certificate, &key)))
    }

    fn of(authority: &Text, own: Option<(&Text, &Text)>) -> Result<Self, TlsFileError> {
        Ok(Self { dialer: Dialer::new(of_client(authority, own)?) })
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }
}

/// A connection to a node, for those who speak on it themselves.
pub struct Connected(Stream);

impl Connected {
    /// Connects, in TLS if there is what that needs.
    ///
    /// # Errors
    /// Nobody is there, or one who is not believed.
    pub async fn to(node: &NodeName, tls: Option<&ClientTls>) -> io::Result<Self> {
        let connected = Dialer::connect(tls.map(ClientTls::dialer), node).await;
        connected.map(Self).map_err(|no_answer| match no_answer {
            NoAnswer::NoConnection(error) => error,
            NoAnswer::Refused => io::ErrorKind::ConnectionRefused.into(),
            other => io::Error::other(other.to_string()),
        })
    }
}

impl Connected {
    /// Both directions, for one task.
    pub fn split(&mut self) -> (impl AsyncRead + Unpin + '_, impl AsyncWrite + Unpin + '_) {
        self.0.split()
    }
}

impl AsyncRead for Connected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
