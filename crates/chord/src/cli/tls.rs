//! TLS on the command line: the options of nodes and of clients, and `chord tls`.

mod date;
mod init;
mod show;

use std::path::PathBuf;

use chord::{Builder, Client, ClientTls, TlsFiles};
use clap::{Args, Subcommand};

use super::exit::Usage;

/// What is done with certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    Init(init::InitArgs),
    Show(show::ShowArgs),
}

impl TlsCommand {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Init(args) => args.run(),
            Self::Show(args) => args.run(),
        }
    }
}

/// What a node is told of TLS.
#[derive(Debug, Args)]
pub(crate) struct NodeTlsArgs {
    /// Speak TLS alone, with clients and other nodes, and show them the certificate in this file (PEM)
    ///
    /// It is for the host of the node's name, and for servers and clients alike; behind it may stand those between it and its
    /// authority. All nodes of a ring speak TLS, or none does. The files are read again when they change. `chord tls init`
    /// makes some to try it out.
    #[arg(id = "tls_cert", long = "tls-cert", value_name = "FILE", env = "CHORD_TLS_CERT")]
    certificate: Option<PathBuf>,

    /// The private key of that certificate (PEM); others than its owner and group must not be able to read it
    #[arg(id = "tls_key", long = "tls-key", value_name = "FILE", env = "CHORD_TLS_KEY")]
    key: Option<PathBuf>,

    /// The certificates of the authorities that sign the nodes of the ring (PEM): who calls itself a node must show one of
    /// theirs, which is for the host of its name
    #[arg(id = "tls_ca", long = "tls-ca", value_name = "FILE", env = "CHORD_TLS_CA")]
    authority: Option<PathBuf>,
}

impl NodeTlsArgs {
    /// The files; none if nothing was said of TLS.
    pub(crate) fn files(&self) -> Result<Option<TlsFiles>, Usage> {
        let Self { certificate, key, authority } = self;
        match (certificate, key, authority) {
            (None, None, None) => Ok(None),
            (Some(certificate), Some(key), Some(authority)) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                authority: authority.clone(),
            })),
            _ => {
                let said = [("--tls-cert", certificate), ("--tls-key", key), ("--tls-ca", authority)];
                let missing: Vec<_> =
                    said.into_iter().filter(|(_, file)| file.is_none()).map(|(option, _)| option).collect();
                Err(Usage::new(format!(
                    "a node that speaks TLS needs --tls-cert, --tls-key and --tls-ca: give {} too, or none of them",
                    missing.join(" and ")
                )))
            }
        }
    }

    /// A node that is set up so.
    pub(crate) fn configure(&self, builder: Builder) -> Result<Builder, Usage> {
        Ok(match self.files()? {
            Some(files) => builder.tls(files),
            None => builder,
        })
    }
}

/// What a client is told of TLS.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClientTlsArgs {
    /// Speak TLS with the node, and believe it if an authority in this file (PEM) has signed its certificate
    #[arg(id = "tls_ca", long = "tls-ca", value_name = "FILE", env = "CHORD_TLS_CA", global = true)]
    authority: Option<PathBuf>,

    /// Show the node the certificate in this file (PEM): nodes want none of clients
    #[arg(id = "tls_cert", long = "tls-cert", value_name = "FILE", env = "CHORD_TLS_CERT", global = true)]
    certificate: Option<PathBuf>,

    /// The private key of that certificate (PEM)
    #[arg(id = "tls_key", long = "tls-key", value_name = "FILE", env = "CHORD_TLS_KEY", global = true)]
    key: Option<PathBuf>,
}

impl ClientTlsArgs {
    /// What a client needs; nothing if it speaks no TLS.
    pub(crate) fn open(&self) -> anyhow::Result<Option<ClientTls>> {
        open(self.authority.as_ref(), self.certificate.as_ref(), self.key.as_ref())
    }

    /// A client that speaks so.
    pub(crate) fn configure(&self, client: Client) -> anyhow::Result<Client> {
        Ok(match self.open()? {
            Some(tls) => client.with_tls(tls),
            None => client,
        })
    }
}

/// What a client needs that was told of these files.
pub(crate) fn open(
    authority: Option<&PathBuf>,
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
) -> anyhow::Result<Option<ClientTls>> {
    match (authority, certificate, key) {
        (None, None, None) => Ok(None),
        (Some(authority), None, None) => Ok(Some(ClientTls::new(authority)?)),
        (Some(authority), Some(certificate), Some(key)) => {
            Ok(Some(ClientTls::showing(authority, certificate, key)?))
        }
        (None, _, _) => {
            Err(Usage::new("whom to believe is not said: give --tls-ca with --tls-cert and --tls-key").into())
        }
        (Some(_), _, _) => {
            Err(Usage::new("a certificate is shown with its key: give --tls-cert and --tls-key, or neither")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_told_half_of_what_tls_needs_is_told_the_rest() {
        let file = || Some(PathBuf::from("file"));
        let none = NodeTlsArgs { certificate: None, key: None, authority: None };
        assert!(none.files().unwrap().is_none());
        let half = NodeTlsArgs { certificate: file(), key: None, authority: None };
        assert!(half.files().unwrap_err().to_string().contains("give --tls-key and --tls-ca too"));
        let all = NodeTlsArgs { certificate: file(), key: file(), authority: file() };
        assert!(all.files().unwrap().is_some());
    }

    #[test]
    fn a_client_that_shows_a_certificate_has_its_key_and_says_whom_it_believes() {
        let file = PathBuf::from("file");
        for (authority, certificate, key) in [
            (None, Some(&file), Some(&file)),
            (Some(&file), Some(&file), None),
            (Some(&file), None, Some(&file)),
        ] {
            let error = open(authority, certificate, key).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{error}");
        }
        assert!(open(None, None, None).unwrap().is_none());
    }
}
