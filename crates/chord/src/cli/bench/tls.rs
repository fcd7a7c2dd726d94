//! Measuring in TLS: what the servers that are started are told, and what those who ask them need.

use std::ffi::OsString;
use std::path::PathBuf;

use chord::{Client, ClientTls, NodeName};
use clap::Args;

use crate::cli::exit::Usage;
use crate::cli::tls;

/// In which TLS to ask.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct TlsArgs {
    /// Ask in TLS, and believe nodes whose certificate an authority in this file (PEM) has signed
    ///
    /// Without --node the servers that are started need --tls-cert and --tls-key too, for 127.0.0.1.
    #[arg(id = "tls_ca", long = "tls-ca", value_name = "FILE", env = "CHORD_TLS_CA")]
    authority: Option<PathBuf>,

    /// The certificate (PEM) of the servers that are started, or the one to show to --node
    #[arg(id = "tls_cert", long = "tls-cert", value_name = "FILE", env = "CHORD_TLS_CERT")]
    certificate: Option<PathBuf>,

    /// The private key of that certificate (PEM)
    #[arg(id = "tls_key", long = "tls-key", value_name = "FILE", env = "CHORD_TLS_KEY")]
    key: Option<PathBuf>,
}

/// What is spoken with servers: nothing of TLS, or this.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    pub(super) client: Option<ClientTls>,
    to_server: Vec<OsString>,
}

impl TlsArgs {
    pub(super) fn open(&self, starts_servers: bool) -> anyhow::Result<Tls> {
        let Self { authority, certificate, key } = self;
        let client = tls::open(authority.as_ref(), certificate.as_ref(), key.as_ref())?;
        let files = [("--tls-ca", authority), ("--tls-cert", certificate), ("--tls-key", key)];
        let given = files.into_iter().filter_map(|(option, file)| Some((option, file.as_ref()?)));
        let to_server: Vec<_> =
            given.flat_map(|(option, file)| [option.into(), file.clone().into_os_string()]).collect();
        if starts_servers && client.is_some() && to_server.len() < 2 * files.len() {
            let sentence = "the servers that are started need a certificate for 127.0.0.1: give --tls-cert and --tls-key too, as `chord tls init` makes them, or measure running nodes by --node";
            return Err(Usage::new(sentence).into());
        }
        Ok(Tls { client, to_server })
    }
}

impl Tls {
    /// What a server is told.
    pub(super) fn to_server(&self) -> &[OsString] {
        &self.to_server
    }

    /// A client of a server.
    pub(super) fn client(&self, node: &NodeName) -> Client {
        let client = Client::new(node.clone());
        match &self.client {
            Some(tls) => client.with_tls(tls.clone()),
            None => client,
        }
    }
}
