//! What TLS is spoken with: made of files, and checked before it is used.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use chord_ring::NodeName;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};

use super::certificate::{Certificate, Names};
use super::files::{Text, TlsFileError};

/// Older ones are broken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// What a door says that it speaks to those who ask. Who does not ask may speak whatever a door speaks.
const SPOKEN: &[u8] = b"http/1.1";

/// What one node speaks TLS with.
pub(super) struct Credentials {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    /// Says whether those on the other side are of an authority that is trusted.
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    /// From when to when the certificate is valid.
    pub(super) begins: SystemTime,
    pub(super) expires: SystemTime,
    /// From when to when the authority that has signed it is.
    pub(super) authority: Option<(SystemTime, SystemTime)>,
}

/// The files of a node, as they were read.
pub(super) struct Given<'a> {
    pub(super) certificate: &'a Text,
    pub(super) key: &'a Text,
    pub(super) authority: &'a Text,
}

/// What verifies the others.
struct Verifiers {
    servers: Arc<WebPkiServerVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Given<'_> {
    /// Makes what a node of that name uses of it, if all of it is well.
    pub(super) fn credentials(&self, name: &NodeName) -> Result<Credentials, TlsFileError> {
        let provider = Arc::new(ring::default_provider());
        let chain = self.certificate.certificates()?;
        let key = self.key.key()?;
        let verifiers = verifiers(self.authority, &provider)?;
        let (begins, expires) = self.check(&chain, name, &verifiers)?;
        let authority = self.lifetime_of_authority(&chain, name, &provider)?;
        let server = self.server(&provider, chain.clone(), key.clone_key(), verifiers.clients.clone())?;
        let mut client = client(&provider, verifiers.servers)
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable(self.certificate, self.key, &error))?;
        // Who goes on with an earlier session does not look at the certificate again, which may have ended since.
        client.resumption = Resumption::disabled();
        Ok(Credentials {
            server: Arc::new(server),
            client: Arc::new(client),
            clients: verifiers.clients,
            begins,
            expires,
            authority,
        })
    }

    /// From when to when the authority is valid that has signed this chain, which decides nothing here; of several, the one that
    /// is so for longest.
    fn lifetime_of_authority(
        &self,
        chain: &[CertificateDer<'static>],
        name: &NodeName,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<(SystemTime, SystemTime)>, TlsFileError> {
        let (Some((first, between)), Some(host)) = (chain.split_first(), server_name(name)) else {
            return Ok(None);
        };
        let has_signed = |authority: &CertificateDer<'static>| {
            let mut root = RootCertStore::empty();
            root.add(authority.clone()).ok()?;
            let alone = WebPkiServerVerifier::builder_with_provider(Arc::new(root), provider.clone());
            alone.build().ok()?.verify_server_cert(first, between, &host, &[], UnixTime::now()).ok()
        };
        let signers = self.authority.certificates()?.into_iter().filter(|one| has_signed(one).is_some());
        let said = signers.filter_map(|signer| Certificate::of_der(&signer));
        Ok(said.map(|said| (said.not_before, said.not_after)).max_by_key(|(_, until)| *until))
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, TlsFileError> {
        let failed = |error| unusable(self.certificate, self.key, &error);
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(VERSIONS).map_err(failed)?;
        let builder = builder.with_client_cert_verifier(clients);
        let mut config = builder.with_single_cert(chain, key).map_err(failed)?;
        config.alpn_protocols = vec![SPOKEN.to_vec()];
        // Who has them keeps them: sessions that may go on cost a node nothing.
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        Ok(config)
    }

    /// Whether the other nodes would believe this certificate. Returns from when to when.
    fn check(
        &self,
        chain: &[CertificateDer<'static>],
        name: &NodeName,
        verifiers: &Verifiers,
    ) -> Result<(SystemTime, SystemTime), TlsFileError> {
        let path = || self.certificate.path();
        let (first, between) = chain.split_first().expect("a file without certificates is refused");
        let said = Certificate::of_der(first)
            .ok_or_else(|| self.certificate.bad_certificate(&"it is no X.509 certificate"))?;
        let now = SystemTime::now();
        if now > said.not_after {
            return Err(TlsFileError::Expired { path: path(), until: said.not_after, now });
        }
        if now < said.not_before {
            return Err(TlsFileError::NotYet { path: path(), from: said.not_before, now });
        }
        let other_host = || {
            let (names, host) = (Names(&said).to_string(), name.host().to_owned());
            if host.parse::<IpAddr>().is_ok() && said.names.contains(&host) {
                return TlsFileError::AddressAsName { path: path(), host };
            }
            TlsFileError::OtherHost { path: path(), names, host }
        };
        let host = server_name(name).ok_or_else(other_host)?;
        let as_server =
            verifiers.servers.verify_server_cert(first, between, &host, &[], UnixTime::now()).map(drop);
        let as_client = verifiers.clients.verify_client_cert(first, between, UnixTime::now()).map(drop);
        match as_server.and(as_client) {
            Ok(()) => Ok((said.not_before, said.not_after)),
            Err(_) if said.is_authority => Err(TlsFileError::OfAuthority { path: path() }),
            Err(Error::InvalidCertificate(error)) => Err(match error {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    TlsFileError::OtherAuthority { certificate: path(), authority: self.authority.path() }
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    other_host()
                }
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                    TlsFileError::OneSided { path: path() }
                }
                error => self.certificate.bad_certificate(&error),
            }),
            Err(error) => Err(self.certificate.bad_certificate(&error)),
        }
    }
}

/// What a client uses that believes these authorities, and shows that certificate if it has one.
pub(super) fn of_client(
    authority: &Text,
    own: Option<(&Text, &Text)>,
) -> Result<Arc<ClientConfig>, TlsFileError> {
    let provider = Arc::new(ring::default_provider());
    let builder = client(&provider, verifiers(authority, &provider)?.servers);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificate.certificates()?, key.key()?)
            .map_err(|error| unusable(certificate, key, &error))?,
    };
    Ok(Arc::new(config))
}

/// The host of a name as it stands in certificates; `None` if it cannot.
pub(super) fn server_name(name: &NodeName) -> Option<ServerName<'static>> {
    ServerName::try_from(name.host().to_owned()).ok()
}

fn client(
    provider: &Arc<CryptoProvider>,
    servers: Arc<WebPkiServerVerifier>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(VERSIONS)
        .expect("the provider has ciphers for both versions")
        .with_webpki_verifier(servers)
}

fn verifiers(authority: &Text, provider: &Arc<CryptoProvider>) -> Result<Verifiers, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in authority.certificates()? {
        roots.add(certificate).map_err(|error| authority.bad_certificate(&error))?;
    }
    let roots = Arc::new(roots);
    let failed = |error| authority.bad_certificate(&error);
    let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    Ok(Verifiers {
        servers: servers.build().map_err(failed)?,
        clients: clients.allow_unauthenticated().build().map_err(failed)?,
    })
}

/// Why certificate and key cannot be used together.
fn unusable(certificate: &Text, key: &Text, error: &Error) -> TlsFileError {
    match error {
        Error::InconsistentKeys(_) => {
            TlsFileError::KeyDiffers { certificate: certificate.path(), key: key.path() }
        }
        Error::InvalidCertificate(error) => certificate.bad_certificate(error),
        error => TlsFileError::BadKey { path: key.path(), why: error.to_string() },
    }
}
