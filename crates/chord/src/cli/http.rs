//! `chord http`: what chord.py's programs `chord.http.server` and `chord.http.client` do.

use chord::RingSize;
use clap::{Args, Subcommand};

use super::serve::{Begin, MemberArgs, ServeOptions};
use super::{address, http_client};

#[derive(Debug, Subcommand)]
pub(crate) enum HttpCommand {
    Server(ServerArgs),
    Client(http_client::ClientArgs),
}

/// Run one node that waits for `create` or `join`, as chord.py's server does
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  chord http server 127.0.0.1 4567 7
  chord http client 127.0.0.1 4567 create")]
pub(crate) struct ServerArgs {
    /// The host to listen on: with the port it is the node's name on the ring
    host: String,

    /// The port to listen on; 0 takes any free port
    #[arg(value_parser = address::listen_port)]
    port: u16,

    /// Number of bits of a position, 1 to 256; the same on every node of a ring
    ring_size: RingSize,

    #[command(flatten)]
    member: MemberArgs,
}

impl HttpCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Server(ServerArgs { host, port, ring_size, member }) => {
                let listen = address::join(&host, port)?;
                ServeOptions { listen, ring_size, member, begin: Begin::OnCommand }.run().await
            }
            Self::Client(args) => args.run().await,
        }
    }
}
