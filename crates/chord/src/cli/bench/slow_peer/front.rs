//! Somebody who stands before a peer, and before the others for what it asks of them itself: what the peer is sent comes late,
//! or what it sends bit by bit, as is wished, on all of its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is on its way in one direction of one connection, in reads, at most: then no more is read.
const CHUNKS_MAX: usize = 256;

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// Whose connections come late, at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All: they lead to the peer.
    ToPeer,
    /// Those that this process, which is the peer, has opened itself: they lead to another.
    OfProcess(u32),
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
    accepting: JoinSet<()>,
}

impl Front {
    /// One who stands nowhere yet.
    pub(crate) fn new() -> Self {
        Self { manner: Arc::new(watch::Sender::new(Manner::Well)), accepting: JoinSet::new() }
    }

    /// Takes connections at the first address, and has them go on to the second.
    pub(crate) async fn stand(&mut self, at: (&str, u16), to: (&str, u16), whose: Whose) -> io::Result<()> {
        let listener = TcpListener::bind(at).await?;
        let to = (to.0.to_owned(), to.1);
        let manners = Arc::clone(&self.manner);
        self.accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, from)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_PAUSE).await; // As when no file descriptor is left.
                    continue;
                };
                let (to, manner) = (to.clone(), manners.subscribe());
                connections.spawn(serve(stream, from, to, whose, manner));
            }
        });
        Ok(())
    }

    /// From now on bytes come through like this.
    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

async fn serve(
    stream: TcpStream,
    from: SocketAddr,
    to: (String, u16),
    whose: Whose,
    manner: watch::Receiver<Manner>,
) {
    let is_slowed = Arc::new(AtomicBool::new(whose == Whose::ToPeer));
    let wish = Wish { manner, is_slowed: Arc::clone(&is_slowed) };
    let (first, at) = (if whose == Whose::ToPeer { Way::In } else { Way::Out }, stream.local_addr());
    let looks = async {
        if let Whose::OfProcess(id) = whose {
            is_slowed.store(is_of_process(id, from, at).await, Ordering::Relaxed);
        }
    };
    // While all is well nobody has to wait until it is known whose a connection is.
    let is_well = *wish.manner.borrow() == Manner::Well;
    if is_well {
        tokio::join!(looks, connect(stream, to, first, wish));
    } else {
        looks.await;
        connect(stream, to, first, wish).await;
    }
}

/// How bytes of one connection come through.
#[derive(Clone)]
struct Wish {
    manner: watch::Receiver<Manner>,
    /// Otherwise all is well with it, whatever is wished.
    is_slowed: Arc<AtomicBool>,
}

impl Wish {
    fn now(&mut self) -> Manner {
        let manner = *self.manner.borrow_and_update();
        if self.is_slowed.load(Ordering::Relaxed) { manner } else { Manner::Well }
    }
}

/// Whether that process has opened the connection, as /proc tells it (proc(5)); where there is no /proc, none has.
async fn is_of_process(id: u32, from: SocketAddr, to: io::Result<SocketAddr>) -> bool {
    let Ok(to) = to else { return false };
    // In a thread that may wait: with many sockets it takes a while.
    let looks = tokio::task::spawn_blocking(move || -> io::Result<bool> {
        let sockets = fs::read_to_string(format!("/proc/{id}/net/tcp"))?;
        let Some(inode) = inode(&sockets, from.port(), to.port()) else { return Ok(false) };
        let link = format!("socket:[{inode}]");
        let is_it =
            |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str());
        Ok(fs::read_dir(format!("/proc/{id}/fd"))?.flatten().any(is_it))
    });
    matches!(looks.await, Ok(Ok(true)))
}

/// That of the socket between these ports: the second and third field of its line have them, and the tenth is it.
fn inode(sockets: &str, from: u16, to: u16) -> Option<&str> {
    let is_port = |address: &str, port| address.ends_with(&format!(":{port:04X}"));
    sockets.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, remote, inode) = (fields.get(1)?, fields.get(2)?, fields.get(9)?);
        (is_port(local, from) && is_port(remote, to)).then_some(*inode)
    })
}

/// Bytes from whoever connected go the first way.
async fn connect(stream: TcpStream, to: (String, u16), first: Way, wish: Wish) {
    // Either end may go at any time; then so does the other.
    let Ok(there) = TcpStream::connect(to).await else { return };
    if stream.set_nodelay(true).and_then(|()| there.set_nodelay(true)).is_err() {
        return;
    }
    let back = match first {
        Way::In => Way::Out,
        Way::Out => Way::In,
    };
    let ((asked, answering), (answered, asking)) = (stream.into_split(), there.into_split());
    let forth = pass(asked, asking, first, wish.clone());
    let back = pass(answered, answering, back, wish);
    let _ = tokio::try_join!(forth, back);
}

async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, way: Way, wish: Wish) -> io::Result<()> {
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
        written = write(to, arrived, way, wish) => written,
        // What was read is still to be written.
        () = async { reads.await; std::future::pending().await } => Ok(()),
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut arrived: mpsc::Receiver<(Instant, Vec<u8>)>,
    way: Way,
    mut wish: Wish,
) -> io::Result<()> {
    while let Some((came, chunk)) = arrived.recv().await {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let now = wish.now();
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
                changed = wish.manner.changed(), if due > Instant::now() => match changed {
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
