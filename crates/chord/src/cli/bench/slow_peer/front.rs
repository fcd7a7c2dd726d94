//! Somebody who stands before a peer, and before the others for what it asks of them itself: what the peer is sent comes late,
//! or what it sends bit by bit, as is wished, on all of its connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chord_wire::FROM_HEADER;
use chord_wire::frame::{Arrived, HELLO_BYTES_MAX, Hello, Inbox, Kind, OPENING};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is on its way in one direction of one connection, in reads, at most: then no more is read.
const CHUNKS_MAX: usize = 256;

/// What is looked at of a connection to learn who asks on it: a hello, or the head of a request in HTTP, is shorter.
const OPENING_BYTES_MAX: usize = 16 << 10;

/// Which each request of a node has in HTTP, as `docs/protocol.md` has it.
const RING_HEADER: &str = "chord-ring-name";

/// Ends the head of a request in HTTP.
const END_OF_HEAD: &str = "\r\n\r\n";

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All: they lead to the peer.
    ToPeer,
    /// Those on which the peer of this name asks: they lead to another.
    OfPeer(String),
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
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    of_peer: AtomicUsize,
    nameless: AtomicUsize,
}

/// Connections that lead to others than the peer, by what was said on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The peer has named itself.
    pub(crate) of_peer: usize,
    /// Nobody has, so they are not slowed.
    pub(crate) nameless: usize,
}

impl Front {
    /// One who stands nowhere yet.
    pub(crate) fn new() -> Self {
        Self {
            manner: Arc::new(watch::Sender::new(Manner::Well)),
            accepting: JoinSet::new(),
            counts: Arc::default(),
        }
    }

    /// Takes connections at the first address, and has them go on to the second.
    pub(crate) async fn stand(&mut self, at: (&str, u16), to: (&str, u16), whose: Whose) -> io::Result<()> {
        let listener = TcpListener::bind(at).await?;
        let to = (to.0.to_owned(), to.1);
        let (manners, counts) = (Arc::clone(&self.manner), Arc::clone(&self.counts));
        self.accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_PAUSE).await; // As when no file descriptor is left.
                    continue;
                };
                let wish = Wish { manner: manners.subscribe(), is_slowed: Arc::default() };
                connections.spawn(serve(stream, to.clone(), whose.clone(), wish, Arc::clone(&counts)));
            }
        });
        Ok(())
    }

    /// From now on bytes come through like this.
    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// How many connections were told apart, and how many could not be.
    pub(crate) fn heard(&self) -> Heard {
        let Counts { of_peer, nameless } = &*self.counts;
        Heard { of_peer: of_peer.load(Ordering::Relaxed), nameless: nameless.load(Ordering::Relaxed) }
    }
}

async fn serve(stream: TcpStream, to: (String, u16), whose: Whose, wish: Wish, heard: Arc<Counts>) {
    let (first, opening) = match whose {
        Whose::ToPeer => {
            wish.is_slowed.store(true, Ordering::Relaxed);
            (Way::In, None)
        }
        Whose::OfPeer(peer) => {
            (Way::Out, Some(Opening { peer, heard: Vec::new(), has_heard_a_head: false, counts: heard }))
        }
    };
    connect(stream, to, first, opening, wish).await;
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

/// What comes first on a connection, until it has said who asks.
struct Opening {
    peer: String,
    heard: Vec<u8>,
    /// Of a request in HTTP that named nobody.
    has_heard_a_head: bool,
    counts: Arc<Counts>,
}

/// Who asks on a connection.
#[derive(Debug, PartialEq, Eq)]
enum Asker {
    /// More must come before it is known.
    NotYet,
    Named(String),
    /// A node that does not say which.
    Nameless,
    /// No node.
    Client,
    /// A request in HTTP that names nobody. Another one on the same connection may.
    NotThisTime,
}

impl Opening {
    /// Some bytes more have come. Whether the connection is the peer's, once that is known.
    fn hears(&mut self, bytes: &[u8]) -> Option<bool> {
        self.heard.extend_from_slice(bytes);
        loop {
            let is_peer = match asker(&self.heard) {
                Asker::NotThisTime => {
                    self.forget_a_head();
                    continue;
                }
                Asker::NotYet if self.heard.len() < OPENING_BYTES_MAX => return None,
                Asker::NotYet if self.has_heard_a_head => {
                    // A long body. The next head may have begun.
                    self.heard.drain(..OPENING_BYTES_MAX / 2);
                    return None;
                }
                Asker::NotYet | Asker::Nameless => {
                    self.counts.nameless.fetch_add(1, Ordering::Relaxed);
                    return Some(false);
                }
                Asker::Client => return Some(false),
                Asker::Named(name) => name == self.peer,
            };
            self.counts.of_peer.fetch_add(usize::from(is_peer), Ordering::Relaxed);
            return Some(is_peer);
        }
    }

    /// What follows is a body, if there is one, and the head of the next request.
    fn forget_a_head(&mut self) {
        let end = self.heard.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD.as_bytes());
        self.heard.drain(..end.map_or(self.heard.len(), |end| end + END_OF_HEAD.len()));
        self.has_heard_a_head = true;
    }
}

/// By the hello of frames, or by a header of a request in HTTP.
fn asker(heard: &[u8]) -> Asker {
    let n_common = heard.len().min(OPENING.len());
    if heard.get(..n_common) == OPENING.get(..n_common) {
        let (mut inbox, mut rest) = (Inbox::of_requests(HELLO_BYTES_MAX), heard);
        return match inbox.next(&mut rest) {
            Ok(None) => Asker::NotYet,
            Ok(Some(Arrived::Message(message))) if message.kind == Kind::Hello.number() => {
                let name = Hello::read(&message.content).ok().and_then(|hello| hello.name);
                name.map_or(Asker::Client, |name| Asker::Named(name.to_string()))
            }
            Ok(Some(_)) | Err(_) => Asker::Nameless,
        };
    }
    let text = String::from_utf8_lossy(heard);
    let Some((begin, _)) = text.split_once(END_OF_HEAD) else { return Asker::NotYet };
    let named = |wanted: &str| {
        let mut headers = begin.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers
            .find(|(header, _)| header.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
    };
    match named(FROM_HEADER) {
        Some(name) => Asker::Named(name),
        // Nodes say at least which ring they are of; this command asks some through the proxies, and says nothing.
        None if named(RING_HEADER).is_some() => Asker::Nameless,
        None => Asker::NotThisTime,
    }
}

/// Bytes from whoever connected go the first way.
async fn connect(stream: TcpStream, to: (String, u16), first: Way, opening: Option<Opening>, wish: Wish) {
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
    let forth = pass(asked, asking, first, opening, wish.clone());
    let back = pass(answered, answering, back, None, wish);
    let _ = tokio::try_join!(forth, back);
}

async fn pass(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    mut opening: Option<Opening>,
    wish: Wish,
) -> io::Result<()> {
    let (chunks, arrived) = mpsc::channel(CHUNKS_MAX);
    let is_slowed = Arc::clone(&wish.is_slowed);
    let reads = async move {
        loop {
            let mut chunk = Vec::with_capacity(16 << 10);
            let is_over = from.read_buf(&mut chunk).await.unwrap_or(0) == 0;
            if let Some(is_peer) = opening.as_mut().and_then(|opening| opening.hears(&chunk)) {
                is_slowed.store(is_peer, Ordering::Relaxed);
                opening = None;
            }
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

#[cfg(test)]
mod tests {
    use chord_wire::frame::{Outbox, Versions};

    use super::*;

    fn hello(name: Option<&str>) -> Vec<u8> {
        let name = name.map(|name| name.parse().expect("a name"));
        let versions = Versions { lowest: 1, highest: 1 };
        let mut outbox = Outbox::default();
        outbox.open();
        outbox.put(Kind::Hello, 0, |to| {
            Hello { versions, name, ring: None, copies: None, challenge: None }.write(to);
        });
        outbox.unsent().to_vec()
    }

    #[test]
    fn who_asks_is_known_by_a_hello_or_a_header_however_it_is_cut_and_otherwise_counted() {
        let http =
            |header: &str| format!("POST /ping HTTP/1.1\r\nhost: b:2\r\n{header}\r\n{{}}").into_bytes();
        for (bytes, is_peer) in [
            (hello(Some("[::1]:7")), Some(true)),
            (hello(Some("a:1")), Some(false)),
            (hello(None), Some(false)),
            (http("Chord-From: [::1]:7\r\n"), Some(true)),
            (http("chord-from: a:1\r\n"), Some(false)),
            ([http(""), http("chord-from: [::1]:7\r\n")].concat(), Some(true)),
            (
                [http(""), vec![b'x'; 3 * OPENING_BYTES_MAX], http("chord-from: a:1\r\n")].concat(),
                Some(false),
            ),
            (http("chord-ring-name: blue\r\n"), None),
            (vec![b'x'; OPENING_BYTES_MAX], None),
        ] {
            let front = Front::new();
            let counts = Arc::clone(&front.counts);
            let peer = "[::1]:7".to_owned();
            let mut opening = Opening { peer, heard: Vec::new(), has_heard_a_head: false, counts };
            let found = bytes.chunks(7).find_map(|chunk| opening.hears(chunk));
            assert_eq!(found, Some(is_peer == Some(true)));
            let expected = Heard {
                of_peer: usize::from(is_peer == Some(true)),
                nameless: usize::from(is_peer.is_none()),
            };
            assert_eq!(front.heard(), expected);
        }
    }
}
