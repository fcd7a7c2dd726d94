//! The door: one listener, its connections, and who may come in.

mod annex;
mod content;
mod doze;
mod farewell;
mod frame;
mod http;
mod line;
mod page;
mod pages;
mod records;
mod redis;
mod rest;
mod seat;
mod seats;
mod secure;
mod seed;
mod share;
mod xmlrpc;

pub(crate) use frame::REQUESTS_MAX;
pub(crate) use share::BUDGET_UNIT;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chord_ring::NodeName;
use chord_wire::resp::{Sniffed, sniff};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::Limits;
use crate::clients::{Client, Rationed, VISIT, Visit};
use crate::crew::{Crew, Served};
use crate::guard::Visitor;
use crate::links::prepare;
use crate::listen::follow;
use crate::metrics::{Present, Speech};
use crate::offence::{Offence, QUIET};
use crate::shared::{Shared, Stage};
use crate::storage;
use crate::stream::Stream;
use crate::tls::Shown;
use farewell::{Why, turn_away};
use seat::Seat;
use seats::Seats;

/// Pause after a failed accept, as when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that are told that they are one too many, at a time: more of them are closed without a word. Each costs a
/// socket and a few KiB for less than a second.
const TURNED_AWAY_MAX: usize = 256;

/// Room for what a connection begins with; most that is longer is read by the door itself.
const OPENING_BYTES: usize = 1 << 10;

/// How long a newcomer waits for the one who makes room: it goes at once, unless a request came in at that very moment.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// How long answers under way may take when the node stops.
const CLOSING_WAIT: Duration = Duration::from_secs(2);

/// The two ends of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
    /// The certificates that the other end has shown.
    shown: Shown,
}

impl Ends {
    /// The addresses of the other end and of this one.
    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.peer, self.local)
    }

    /// Where the other end is.
    pub(crate) fn from(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The one at the other end, who has given nothing yet.
    pub(crate) fn stranger(&self) -> Visitor {
        Visitor::stranger(self.from(), self.is_same_host())
    }

    /// Whether the other end is this machine: a loopback address, or the very address that it connected to.
    pub(crate) fn is_same_host(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        peer.is_loopback() || peer == self.local.ip().to_canonical()
    }
}

/// Serves until the node closes, then lets the answers under way end. Where it listens follows that name, if there is one.
pub(crate) async fn serve(
    mut listener: TcpListener,
    follows: Option<NodeName>,
    crew: Crew,
    shared: Arc<Shared>,
) {
    let mut door = Door::new(crew, &shared);
    let (listeners, mut moved) = mpsc::channel(1);
    if let (Some(name), Ok(bound)) = (follows, listener.local_addr()) {
        tokio::spawn(follow(name, bound, listeners));
    }
    let closing = shared.reached(Stage::Closing);
    tokio::pin!(closing);
    loop {
        tokio::select! {
            () = &mut closing => break,
            Some(there) = moved.recv() => listener = there,
            Some(ended) = door.tasks.join_next_with_id(), if !door.tasks.is_empty() => door.report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => door.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(event = "accept-failed", "accepting a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(CLOSING_WAIT, door.close()).await.is_err() {
        tracing::warn!(event = "connections-cut", "closed connections whose answers were still under way");
    }
    storage::close(&shared).await;
    shared.advance(Stage::Stopped);
}

/// Who is inside.
struct Door {
    shared: Arc<Shared>,
    /// Who serves the connections.
    crew: Crew,
    /// One for each connection that may be served.
    permits: Arc<Semaphore>,
    /// Each newcomer that waits for a place holds a copy of this.
    waiting: Arc<()>,
    /// One for each connection that may be told that it is one too many.
    farewells: Arc<Semaphore>,
    /// The connections that are served, and those that are turned away.
    tasks: JoinSet<io::Result<()>>,
    /// Those that are served, by the ids of their tasks.
    seats: Seats<Id>,
    /// When the log said last that all places are taken.
    told_at: Option<Instant>,
    /// The same of each client, where one may not have all; and whose each is.
    of_clients: HashMap<IpAddr, Seats<Id>>,
    whose: HashMap<Id, IpAddr>,
}

impl Door {
    fn new(crew: Crew, shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            crew,
            permits: Arc::new(Semaphore::new(shared.limits.connections)),
            waiting: Arc::new(()),
            farewells: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            tasks: JoinSet::new(),
            seats: Seats::new(),
            told_at: None,
            of_clients: HashMap::new(),
            whose: HashMap::new(),
        }
    }

    /// Serves a newcomer. If all places are taken, the connection that is idle for longest makes room; but where one of the
    /// newcomer's own goes for it, no other has to.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Nobody makes room who has gone already, and whose place may be another's by now.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.report(ended);
        }
        let client = self.shared.clients.meet(peer.ip());
        let own_goes = match self.may_come(&client) {
            Ok(own_goes) => own_goes,
            Err(what) => {
                self.shared.metrics.turns_away();
                return self.turn_away(stream, Why::Client(what));
            }
        };
        // A place that one of those who wait has not taken yet is not free.
        let is_free = self.permits.available_permits() > Arc::strong_count(&self.waiting) - 1;
        let permit = if is_free { self.permits.clone().try_acquire_owned().ok() } else { None };
        if permit.is_none() && !own_goes && !self.make_room() {
            note_crowd(&self.shared, peer);
            return self.turn_away(stream, Why::Full);
        }
        let seat = if permit.is_some() { self.seats.seat() } else { self.seats.wanted_seat() };
        let place = match permit {
            Some(permit) => Place::Taken(permit),
            None => Place::Awaited { permits: self.permits.clone(), waits: self.waiting.clone() },
        };
        let address = client.address();
        let task = match self.serve(stream, peer, Visit::of(client), &seat, place) {
            Ok(task) => task,
            Err(error) => {
                tracing::warn!(event = "accept-failed", "giving a connection to another thread: {error}");
                return;
            }
        };
        if self.shared.limits.client_connections > 0 {
            let of_client = self.of_clients.entry(address).or_insert_with(|| self.seats.beside());
            of_client.take(task, seat.clone());
            self.whose.insert(task, address);
        }
        self.seats.take(task, seat);
    }

    /// Has the newcomer served by one of the crew.
    fn serve(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        visit: Arc<Visit>,
        seat: &Arc<Seat>,
        place: Place,
    ) -> io::Result<Id> {
        let (stream, by) = self.crew.take(stream)?;
        let (there, served) = by.unzip();
        let newcomer = Newcomer { stream, peer, visit, seat: seat.clone(), place, served };
        let work = newcomer.serve(self.shared.clone());
        let task = match there {
            None => self.tasks.spawn(work),
            Some(there) => self.tasks.spawn_on(work, &there),
        };
        Ok(task.id())
    }

    /// Asks the connection that is idle for longest to go, whose ever it is; false if there is none.
    fn make_room(&mut self) -> bool {
        let Some(id) = self.seats.make_room() else { return false };
        self.leaves(id);
        self.tell_of_room();
        true
    }

    /// Nobody is refused where an idle one goes for a newcomer; but whoever takes all places leaves a trace.
    fn tell_of_room(&mut self) {
        self.shared.metrics.makes_room();
        if self.told_at.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        self.told_at = Some(Instant::now());
        let n_places = self.shared.limits.connections;
        tracing::warn!(
            event = "places-taken",
            "all {n_places} places for connections are taken, and those idle for longest make room for newcomers"
        );
    }

    /// Whether a client may have one more connection, and whether its own that is idle for longest goes for it. Where a node is,
    /// the next one may be of a node too.
    fn may_come(&mut self, client: &Client) -> Result<bool, Rationed> {
        let Shared { me, limits, clients, acquaintances, .. } = &*self.shared;
        let limit = limits.client_connections;
        let is_limited = limit > 0 || limits.client_connects > 0;
        let is_of_node = |name: &NodeName| *name != me.name && client.is_at(name);
        if !is_limited || client.hosts_nodes() || acquaintances.borrow().iter().any(is_of_node) {
            return Ok(false);
        }
        clients.connects(client, limits)?;
        let Some(seats) = self.of_clients.get_mut(&client.address()) else { return Ok(false) };
        if limit == 0 || seats.len() < limit {
            return Ok(false);
        }
        let Some(id) = seats.make_room() else {
            clients.refuse(client, Rationed::Connections);
            return Err(Rationed::Connections);
        };
        // Its place is promised: nobody else waits for it.
        self.leaves(id);
        Ok(true)
    }

    /// Tells a newcomer why it finds no place.
    fn turn_away(&mut self, stream: TcpStream, why: Why) {
        let Ok(farewell) = self.farewells.clone().try_acquire_owned() else { return };
        let is_in_tls = self.shared.tls.is_some();
        self.tasks.spawn(async move {
            turn_away(stream, is_in_tls, why).await;
            drop(farewell);
            Ok(())
        });
    }

    /// A connection has ended, or was asked to.
    fn leaves(&mut self, id: Id) {
        self.seats.leave(id);
        let Some(address) = self.whose.remove(&id) else { return };
        if let Some(seats) = self.of_clients.get_mut(&address) {
            seats.leave(id);
            if seats.len() == 0 {
                self.of_clients.remove(&address);
            }
        }
    }

    /// A connection that broke is its own end only.
    fn report(&mut self, ended: Result<(Id, io::Result<()>), JoinError>) {
        let id = match ended {
            Ok((id, Ok(()))) => id,
            Ok((id, Err(error))) => {
                tracing::debug!("a connection broke: {error}");
                id
            }
            Err(error) => {
                tracing::error!(event = "connection-broke", "a connection's task broke: {error}");
                error.id()
            }
        };
        self.leaves(id);
    }

    /// Lets everyone go; ends when they have gone.
    async fn close(mut self) {
        self.seats.close();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.report(ended);
        }
    }
}

/// A connection that came in.
struct Newcomer {
    stream: TcpStream,
    peer: SocketAddr,
    visit: Arc<Visit>,
    seat: Arc<Seat>,
    place: Place,
    /// Counted by the crew, if there is one.
    served: Option<Served>,
}

/// There is no place for a newcomer.
fn note_crowd(shared: &Shared, peer: SocketAddr) {
    shared.guard.offences().note(Offence::Crowd, peer.ip());
    shared.metrics.turns_away();
}

/// The place that a newcomer takes.
enum Place {
    Taken(OwnedSemaphorePermit),
    /// It comes from one who was asked to make room.
    Awaited {
        permits: Arc<Semaphore>,
        /// Counted by the door.
        waits: Arc<()>,
    },
}

impl Newcomer {
    /// Serves the connection. The first bytes decide what it speaks.
    async fn serve(self, shared: Arc<Shared>) -> io::Result<()> {
        let Self { mut stream, peer, visit, seat, place, served: _served } = self;
        let _permit = match place {
            Place::Taken(permit) => permit,
            Place::Awaited { permits, waits } => tokio::select! {
                freed = tokio::time::timeout(ROOM_WAIT, permits.acquire_owned()) => {
                    drop(waits);
                    let Ok(Ok(permit)) = freed else {
                        note_crowd(&shared, peer);
                        turn_away(stream, shared.tls.is_some(), Why::Full).await;
                        return Ok(());
                    };
                    seat.sent();
                    permit
                }
                () = seat.asked_to_leave() => return Ok(()),
            },
        };
        prepare(&stream)?;
        let ends = Ends { peer, local: stream.local_addr()?, shown: Shown::default() };
        let opening = Opening::hear(&mut stream, &shared.limits, &seat).await?;
        let guard = shared.guard.clone();
        // Of one type: what a connection may be doing is so deep that the compiler would not look through all of it.
        let serving: Pin<Box<dyn Future<Output = io::Result<()>> + Send>> = match shared.tls.clone() {
            None => Box::pin(opening.serve(Stream::Plain(stream), ends, shared, seat)),
            Some(tls) => Box::pin(secure::serve(stream, opening, tls, ends, shared, seat)),
        };
        let served = VISIT.scope(visit, serving).await;
        if let Some(offence) = served.as_ref().err().and_then(Offence::of_end) {
            guard.offences().note(offence, peer.ip());
        }
        served
    }
}

impl Opening {
    /// Serves the connection in what it speaks.
    async fn serve(self, stream: Stream, ends: Ends, shared: Arc<Shared>, seat: Arc<Seat>) -> io::Result<()> {
        match self {
            Opening::Speaks(Sniffed::Resp, first) => {
                let _present = Present::new(&shared, Speech::Redis);
                redis::serve(stream, ends, shared, seat, &first).await
            }
            Opening::Speaks(Sniffed::Frames, first) => {
                let _present = Present::new(&shared, Speech::Frames);
                frame::serve(stream, ends, shared, seat, first).await
            }
            // HTTP has an answer for bytes that nobody understands.
            Opening::Speaks(_, first) => {
                let _present = Present::new(&shared, Speech::Http);
                http::serve(stream, first.freeze(), ends, shared, seat).await;
                Ok(())
            }
            Opening::Late => {
                shared.guard.offences().note(Offence::Time, ends.from());
                http::hang_up_late(stream).await;
                Ok(())
            }
            Opening::Silent => Ok(()),
        }
    }
}

/// How a connection begins.
enum Opening {
    /// With these bytes, by which it is known what it speaks, or that nobody knows.
    Speaks(Sniffed, BytesMut),
    /// It has said too little in time.
    Late,
    /// It has said nothing, and ends.
    Silent,
}

impl Opening {
    /// Reads until it is known what the connection speaks.
    async fn hear(stream: &mut (impl AsyncRead + Unpin), limits: &Limits, seat: &Seat) -> io::Result<Self> {
        let mut bytes = BytesMut::with_capacity(OPENING_BYTES);
        let heard = tokio::select! {
            heard = tokio::time::timeout(limits.header_read, hear(stream, &mut bytes)) => heard,
            () = seat.asked_to_leave() => return Ok(Self::Silent),
        };
        Ok(match heard {
            Ok(sniffed) if !bytes.is_empty() => Self::Speaks(sniffed?, bytes),
            Ok(Ok(_)) => Self::Silent,
            Ok(Err(error)) => return Err(error),
            Err(_) if bytes.is_empty() => Self::Silent,
            Err(_) => Self::Late,
        })
    }
}

/// Never, if there is no time for it.
async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Reads until it is known what is spoken, or nothing more comes.
async fn hear(stream: &mut (impl AsyncRead + Unpin), bytes: &mut BytesMut) -> io::Result<Sniffed> {
    loop {
        let n_bytes = stream.read_buf(bytes).await?;
        let sniffed = sniff(bytes);
        if sniffed != Sniffed::NeedMore || n_bytes == 0 {
            return Ok(sniffed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_address_that_was_connected_to_are_this_machine() {
        let cases = [
            ("127.0.0.1:50000", "127.0.0.1:4567", true),
            ("127.0.0.2:50000", "127.0.0.1:4567", true),
            ("[::1]:50000", "[::1]:4567", true),
            ("[::ffff:127.0.0.1]:50000", "[::ffff:127.0.0.1]:4567", true),
            ("192.0.2.1:50000", "192.0.2.1:4567", true),
            ("[::ffff:192.0.2.1]:50000", "192.0.2.1:4567", true),
            ("192.0.2.1:50000", "[::ffff:192.0.2.1]:4567", true),
            ("[2001:db8::1]:50000", "[2001:db8::1]:4567", true),
            ("192.0.2.2:4567", "192.0.2.1:4567", false),
            ("[::ffff:192.0.2.2]:4567", "[::ffff:192.0.2.1]:4567", false),
            ("[2001:db8::2]:4567", "[2001:db8::1]:4567", false),
            ("[::127.0.0.1]:4567", "[2001:db8::1]:4567", false),
            ("128.0.0.1:4567", "127.0.0.1:4567", false),
        ];
        for (peer, local, is_same) in cases {
            let ends =
                Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap(), shown: Shown::default() };
            assert_eq!(ends.is_same_host(), is_same, "{ends:?}");
        }
    }
}
