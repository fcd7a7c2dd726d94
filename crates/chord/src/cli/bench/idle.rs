//! `chord bench idle`: what connections cost a node that nobody uses at the moment.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chord::wire::Request;
use chord::{Client, NodeName, RingSize};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Door;
use super::cluster::{Cluster, Setup};
use super::entry::Entry;
use super::keeping::KeepingArgs;
use super::response::{self, HEAD_BYTES_MAX, Head};
use crate::cli::output::{self, note};
use crate::cli::table::{Side, Table, thousands};
use crate::cli::{client, files, number};

/// Most connections: one address has some 28,000 ports for connections to one node, unless the system is told otherwise.
const CONNECTIONS_MAX: u64 = 20_000;

/// Connections that are opened at a time: enough to keep both sides busy.
const OPENED_AT_ONCE: u32 = 16;

/// How long a node is left alone before and after: what it does at the start is over, and what it gives back is given back.
const SETTLE: Duration = Duration::from_secs(2);

/// How long one connection may take to open and to have its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Measure idle connections: the memory that each costs a node
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench idle
  chord bench idle --connections 10000 --door redis

Starts a server process for each kind of connection, opens so many of them, and compares the resident memory of the \
process before and after. What the kernel keeps for sockets is not in it.")]
pub(crate) struct IdleArgs {
    /// How many connections, 1 to 20,000
    #[arg(long, value_name = "COUNT", default_value = "10000",
        value_parser = number::within::<u32>("the number of connections", 1..=CONNECTIONS_MAX))]
    connections: u32,

    /// Only connections of this kind; all kinds one after the other if not given
    #[arg(long)]
    door: Option<Kind>,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

/// What happened on a connection before it fell idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Nothing was sent
    Silent,
    /// One of the seed's requests was answered
    Http,
    /// A value was asked for over REST
    Rest,
    /// A PING was answered
    Redis,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Silent => "nothing sent",
            Self::Http => "HTTP, after /node",
            Self::Rest => "REST, after a GET",
            Self::Redis => "Redis, after PING",
        }
    }

    fn request(self) -> &'static [u8] {
        match self {
            Self::Silent => b"",
            Self::Http => b"POST /node HTTP/1.1\r\nhost: node\r\ncontent-length: 2\r\n\r\n{}",
            Self::Rest => b"GET /v1/kv/no-such-key HTTP/1.1\r\nhost: node\r\n\r\n",
            Self::Redis => b"*1\r\n$4\r\nPING\r\n",
        }
    }

    /// Whether this is the whole answer.
    fn is_answered(self, received: &[u8]) -> anyhow::Result<bool> {
        match self {
            Self::Silent => Ok(true),
            Self::Redis => Ok(received.ends_with(b"+PONG\r\n")),
            Self::Http | Self::Rest => {
                Ok(response::head(received)?.is_some_and(|Head { bytes, body_bytes, .. }| {
                    received.len() >= bytes + body_bytes.unwrap_or_default()
                }))
            }
        }
    }
}

/// Results and the settings that led to them.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    connections: u32,
    kinds: Vec<Measured>,
}

/// What connections of one kind cost.
#[derive(Debug, Serialize)]
struct Measured {
    kind: Kind,
    before_bytes: u64,
    with_connections_bytes: u64,
    bytes_per_connection: u64,
}

impl IdleArgs {
    pub(super) fn setup(&self) -> Setup {
        Setup {
            door: Door::Http,
            ring_size: RingSize::DEFAULT,
            keeping: KeepingArgs::in_memory(),
            // A little more: this program asks the node too.
            connections: Some(self.connections + 16),
            entry: Entry::default(),
        }
    }

    /// May be dropped at any point: every process started is in `cluster`.
    pub(super) async fn measure(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        files::ensure(self.connections.into(), "the connections of this measurement")?;
        let all = Kind::value_variants().iter().copied();
        let mut kinds = Vec::new();
        for kind in all.filter(|kind| self.door.is_none_or(|door| door == *kind)) {
            kinds.push(self.measure_kind(cluster, kind).await?);
        }
        let report = Report { version: env!("CARGO_PKG_VERSION"), connections: self.connections, kinds };
        if self.json { output::json(&report) } else { output::styled(&report.text()) }
    }

    async fn measure_kind(&self, cluster: &mut Cluster, kind: Kind) -> anyhow::Result<Measured> {
        let node = cluster.start(1).await?.into_iter().next().context("one server was started")?;
        client::ask(Client::new(node.clone()), &Request::Create, ANSWER_WITHIN).await?;
        tokio::time::sleep(SETTLE).await;
        let before_bytes = resident_bytes(cluster, &node)?;
        note(format_args!("Opening {} connections: {}...", thousands(self.connections.into()), kind.name()));
        let connections = self.open_all(&node, kind).await?;
        tokio::time::sleep(SETTLE).await;
        let with_connections_bytes = resident_bytes(cluster, &node)?;
        let n_open = connections.iter().filter(|stream| is_open(stream)).count();
        if n_open < connections.len() {
            bail!(
                "{node} has closed {} of the connections already, as it does after ten seconds: measure fewer, or on a machine that does less",
                connections.len() - n_open
            );
        }
        let grown = with_connections_bytes.saturating_sub(before_bytes);
        let bytes_per_connection = grown / u64::from(self.connections);
        Ok(Measured { kind, before_bytes, with_connections_bytes, bytes_per_connection })
    }
}

impl IdleArgs {
    async fn open_all(&self, node: &NodeName, kind: Kind) -> anyhow::Result<Vec<TcpStream>> {
        let mut openers = JoinSet::new();
        for opener in 0..OPENED_AT_ONCE {
            let (node, connections) = (node.clone(), self.connections);
            openers.spawn(async move {
                let mut opened = Vec::new();
                for _ in (opener..connections).step_by(OPENED_AT_ONCE as usize) {
                    opened.push(open(&node, kind).await?);
                }
                anyhow::Ok(opened)
            });
        }
        let mut connections = Vec::new();
        while let Some(opened) = openers.join_next().await {
            connections.extend(opened.context("an opener of connections ended")??);
        }
        Ok(connections)
    }
}

fn resident_bytes(cluster: &Cluster, node: &NodeName) -> anyhow::Result<u64> {
    let samples = cluster.samples();
    let sample = samples.iter().find(|sample| sample.node == node.as_str());
    Ok(sample.context("bench idle needs /proc, which this system does not have")?.resident_bytes())
}

/// Opens a connection, asks, and waits for the answer.
async fn open(node: &NodeName, kind: Kind) -> anyhow::Result<TcpStream> {
    let opened = async {
        let mut stream = TcpStream::connect((node.host(), node.port())).await?;
        stream.write_all(kind.request()).await?;
        let mut received = Vec::new();
        while !kind.is_answered(&received)? {
            if stream.read_buf(&mut received).await? == 0 || received.len() > HEAD_BYTES_MAX {
                bail!("no answer that makes sense");
            }
        }
        Ok(stream)
    };
    let opened = tokio::time::timeout(ANSWER_WITHIN, opened).await;
    let late = |_| anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs());
    opened.map_err(late).and_then(|opened| opened).with_context(|| format!("a connection to {node}"))
}

/// Whether the node has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

impl Report {
    fn text(&self) -> String {
        let headings = ["before MiB", "with them MiB", "bytes each"].map(|heading| (heading, Side::Right));
        let mut table = Table::new(&[&[("connections", Side::Left)], &headings[..]].concat());
        for Measured { kind, before_bytes, with_connections_bytes, bytes_per_connection } in &self.kinds {
            table.row(vec![
                kind.name().to_owned(),
                mib(*before_bytes),
                mib(*with_connections_bytes),
                thousands(*bytes_per_connection),
            ]);
        }
        format!("{}\n{} connections of each kind\n", table.render(), thousands(self.connections.into()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people, far below 2^52")]
fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_until_it_is_whole() {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        for cut in 0..answer.len() {
            assert!(!Kind::Rest.is_answered(&answer[..cut]).unwrap(), "{cut}");
        }
        assert!(Kind::Http.is_answered(answer).unwrap());
        assert!(!Kind::Redis.is_answered(b"+PON").unwrap() && Kind::Redis.is_answered(b"+PONG\r\n").unwrap());
        assert!(Kind::Silent.is_answered(b"").unwrap());
    }
}
