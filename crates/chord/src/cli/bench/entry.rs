//! How to be let in: TLS and a secret, what the servers that are started are told of them, and what those who ask them need.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use chord::{Client, ClientTls, NodeName};
use clap::Args;

use crate::cli::exit::Usage;
use crate::cli::tls;

/// How to be let in.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct EntryArgs {
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

    /// Be let in by the first secret in this file, which the servers that are started have too
    #[arg(long, value_name = "FILE", env = "CHORD_SECRET_FILE")]
    secret_file: Option<PathBuf>,
}

/// What lets one in at servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) tls: Option<ClientTls>,
    secret_file: Option<PathBuf>,
    to_server: Vec<OsString>,
}

impl EntryArgs {
    pub(super) fn has_secret(&self) -> bool {
        self.secret_file.is_some()
    }

    pub(super) fn open(&self, starts_servers: bool) -> anyhow::Result<Entry> {
        let Self { authority, certificate, key, secret_file } = self;
        let tls = tls::open(authority.as_ref(), certificate.as_ref(), key.as_ref())?;
        if starts_servers && tls.is_some() && (certificate.is_none() || key.is_none()) {
            let sentence = "the servers that are started need a certificate for 127.0.0.1: give --tls-cert and --tls-key too, as `chord tls init` makes them, or measure running nodes by --node";
            return Err(Usage::new(sentence).into());
        }
        if let Some(path) = secret_file {
            // Before anything is started that would not be let in.
            let nobody = NodeName::from_str("127.0.0.1:1").context("that is a name")?;
            Client::new(nobody).with_secret_file(path)?;
        }
        let files = [
            ("--tls-ca", authority),
            ("--tls-cert", certificate),
            ("--tls-key", key),
            ("--secret-file", secret_file),
        ];
        let given = files.into_iter().filter_map(|(option, file)| Some((option, file.as_ref()?)));
        let to_server = given.flat_map(|(option, file)| [option.into(), file.clone().into_os_string()]);
        Ok(Entry { tls, secret_file: secret_file.clone(), to_server: to_server.collect() })
    }
}

impl Entry {
    /// What a server is told.
    pub(super) fn to_server(&self) -> &[OsString] {
        &self.to_server
    }

    /// A client of a server.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub(super) fn client(&self, node: &NodeName) -> anyhow::Result<Client> {
        let mut client = Client::new(node.clone());
        if let Some(tls) = &self.tls {
            client = client.with_tls(tls.clone());
        }
        Ok(match &self.secret_file {
            Some(path) => client.with_secret_file(path)?,
            None => client,
        })
    }

    /// What is said to be let in, if something is.
    pub(super) fn secret(&self, node: &NodeName) -> anyhow::Result<Option<String>> {
        Ok(self.client(node)?.secret().map(|secret| String::from_utf8_lossy(secret).into_owned()))
    }
}
