//! Somebody who stands before a peer: what others send it and hear of it comes late, bit by bit or never, as is wished.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is on its way in one direction of one connection, in reads, at most: then no more is read.
const CHUNKS_MAX: usize = 256;

/// How bytes come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// At once.
    Well,
    /// What goes to the peer so much later.
    Late(Duration),
    /// What comes from the peer byte by byte, with such pauses.
    Dripping(Duration),
}

/// A direction, as the peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// Who stands there. Dropped, all connections end.
pub(crate) struct Front {
    manner: Arc<watch::Sender<Manner>>,
    _accepting: JoinSet<()>,
}

impl Front {
    /// Takes connections at the first address, and has them go on to the second.
    pub(crate) async fn open(at: (&str, u16), to: (&str, u16)) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let to = (to.0.to_owned(), to.1);
        let manner = Arc::new(watch::Sender::new(Manner::Well));
        let manners = Arc::clone(&manner);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(connect(stream, to.clone(), manners.subscribe()));
            }
        });
        Ok(Self { manner, _accepting: accepting })
    }

    /// From now on bytes come through like this.
    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

async fn connect(stream: TcpStream, to: (String, u16), manner: watch::Receiver<Manner>) {
    // Either end may go at any time; then so does the other.
    let Ok(there) = TcpStream::connect(to).await else { return };
    if stream.set_nodelay(true).and_then(|()| there.set_nodelay(true)).is_err() {
        return;
    }
    let ((from_others, to_others), (from_peer, to_peer)) = (stream.into_split(), there.into_split());
    let inward = pass(from_others, to_peer, Way::In, manner.clone());
    let outward = pass(from_peer, to_others, Way::Out, manner);
    let _ = tokio::try_join!(inward, outward);
}

async fn pass(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    manner: watch::Receiver<Manner>,
) -> io::Result<()> {
    let (chunks, arrived) = mpsc::channel(CHUNKS_MAX);
    let reads = async move {
        loop {
            let mut chunk = Vec::with_capacity(16 << 10);
            let is_over = from.read_buf(&mut chunk).await.unwrap_or(0) == 0;
            if is_over || chunks.send((Instant::now(), chunk)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        written = write(to, arrived, way, manner) => written,
        // What was read is still to be written.
        () = async { reads.await; std::future::pending().await } => Ok(()),
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut arrived: mpsc::Receiver<(Instant, Vec<u8>)>,
    way: Way,
    mut manner: watch::Receiver<Manner>,
) -> io::Result<()> {
    while let Some((came, chunk)) = arrived.recv().await {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let now = *manner.borrow_and_update();
            let (due, n_bytes) = match (now, way) {
                (Manner::Late(by), Way::In) => (came + by, rest.len()),
                (Manner::Dripping(pause), Way::Out) => (Instant::now() + pause, 1),
                (Manner::Well, _) | (Manner::Late(_), Way::Out) | (Manner::Dripping(_), Way::In) => {
                    (came, rest.len())
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(due), if due > Instant::now() => {}
                // It is wished otherwise from now on, or nobody is left to wish anything.
                changed = manner.changed(), if due > Instant::now() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(()),
                },
                else => {}
            }
            let (next, later) = rest.split_at(n_bytes);
            to.write_all(next).await?;
            rest = later;
        }
    }
    to.shutdown().await
}
