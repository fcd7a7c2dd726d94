//! `chord http` and `chord xmlrpc`: what chord.py's programs `chord.http.server`, `chord.http.client` and their XML-RPC
//! twins do.

use chord::{Language, RingSize};
use clap::{Args, Subcommand};

use super::exit::Usage;
use super::otlp::OtlpArgs;
use super::place::Place;
use super::serve::{Begin, MemberArgs, ServeOptions};
use super::{address, seed_client};

/// Most bits of a position that XML-RPC carries: its largest integer has 63 and a sign.
const XML_RPC_BITS_MAX: u16 = 63;

#[derive(Debug, Subcommand)]
pub(crate) enum SeedCommand {
    Server(Box<ServerArgs>),
    Client(Box<seed_client::ClientArgs>),
}

/// Run one node that waits for `create` or `join`, as chord.py's server does
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  chord http server 127.0.0.1 4567 7
  chord http client 127.0.0.1 4567 create

The same with xmlrpc for http: then the node speaks XML-RPC to the others. A node answers in both languages.")]
pub(crate) struct ServerArgs {
    /// The host to listen on: with the port it is the node's name on the ring
    host: String,

    /// The port to listen on; 0 takes any free port
    #[arg(value_parser = address::listen_port)]
    port: u16,

    /// Number of bits of a position, 1 to 256; the same on every node of a ring. At most 63 with xmlrpc
    ring_size: RingSize,

    #[command(flatten)]
    member: MemberArgs,
}

/// Whether XML-RPC carries the positions of such a ring; what else there is, is `otherwise`.
pub(crate) fn check_xml_rpc_bits(ring_size: RingSize, otherwise: &str) -> Result<(), Usage> {
    if ring_size.bits() <= XML_RPC_BITS_MAX {
        return Ok(());
    }
    Err(Usage::new(format!(
        "XML-RPC carries positions of at most {XML_RPC_BITS_MAX} bits, not {ring_size}: \
         choose a smaller ring size, or {otherwise}"
    )))
}

impl SeedCommand {
    pub(crate) async fn run(self, language: Language) -> anyhow::Result<()> {
        match self {
            Self::Server(args) => args.run(language).await,
            Self::Client(args) => args.run(language).await,
        }
    }
}

impl ServerArgs {
    pub(crate) fn otlp(&self) -> &OtlpArgs {
        &self.member.otlp
    }

    async fn run(self, language: Language) -> anyhow::Result<()> {
        let Self { host, port, ring_size, member } = self;
        if language == Language::XmlRpc {
            check_xml_rpc_bits(ring_size, "chord http server")?;
        }
        let place = Place { listen: address::join(&host, port)?, advertise: None };
        ServeOptions { place, ring_size, language, member, begin: Begin::OnCommand }.run().await
    }
}
