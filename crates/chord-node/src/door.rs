//! The door: one listener, its connections, and who may come in.

mod http;
mod seed;

pub(crate) use http::BUDGET_UNIT;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::links::prepare;
use crate::shared::{Shared, Stage};

/// Pause after a failed accept, as when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection that is one too many may take to read that it is.
const FAREWELL_WAIT: Duration = Duration::from_millis(200);

/// How long answers under way may take when the node stops.
const CLOSING_WAIT: Duration = Duration::from_secs(2);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

impl Ends {
    /// Whether the other end is this machine: a loopback address, or the very address that it connected to.
    pub(crate) fn is_same_host(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        peer.is_loopback() || peer == self.local.ip().to_canonical()
    }
}

/// Serves until the node closes, then lets the answers under way end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    let closing = shared.reached(Stage::Closing);
    tokio::pin!(closing);
    loop {
        tokio::select! {
            () = &mut closing => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(&mut connections, &permits, &shared, stream, peer),
                Err(error) => {
                    tracing::warn!("accepting a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(CLOSING_WAIT, ended).await.is_err() {
        tracing::warn!("closed connections whose answers were still under way");
    }
    shared.advance(Stage::Stopped);
}

fn admit(
    connections: &mut JoinSet<io::Result<()>>,
    permits: &Arc<Semaphore>,
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    match permits.clone().try_acquire_owned() {
        Ok(permit) => {
            let shared = shared.clone();
            connections.spawn(serve_connection(stream, peer, shared, permit));
        }
        Err(_) => drop(connections.spawn(turn_away(stream))),
    }
}

/// Serves one connection. The first bytes will decide what it speaks; so far every door is HTTP.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
) -> io::Result<()> {
    prepare(&stream)?;
    let ends = Ends { peer, local: stream.local_addr()? };
    http::serve(stream, ends, shared).await;
    Ok(())
}

async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    let body =
        chord_wire::encode_error("this node serves as many connections as its limit allows: try again later");
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nchord-error: busy\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let told = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await
    };
    tokio::time::timeout(FAREWELL_WAIT, told).await.unwrap_or(Ok(()))
}

/// A connection that broke is its own end only.
fn report(ended: Result<io::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection broke: {error}"),
        Err(error) => tracing::error!("a connection's task broke: {error}"),
    }
}
