//! Limits: what a node accepts, how much it keeps open and how long it waits.

use std::ops::RangeInclusive;
use std::time::Duration;

use chord_disk::{CACHE_BYTES_DEFAULT, PENDING_BYTES_DEFAULT};
use chord_kv::replication::OUTBOX_BYTES_MAX;
use chord_kv::{VALUE_BYTES_DEFAULT, VALUE_BYTES_LIMIT};
use chord_ring::{OPERATION_WAIT_DEFAULT, REQUEST_WAIT_DEFAULT, RingSize};
use chord_wire::replica::ReplicaLimits;

use crate::watch::WAITING_BYTES_MAX;

/// Most connections, links and headers that a limit can allow: more than a process may have files, or a request lines.
const COUNT_MAX: usize = 1 << 20;

/// Bytes of headers that a limit can allow: what `hyper` needs at least, and what no path or cookie comes near.
const HEADER_BYTES: RangeInclusive<usize> = 8 << 10..=16 << 20;

/// Shortest and longest wait that a limit can set: below a millisecond no timer is true, and an hour is more than any
/// operation takes, and small enough to be added to any clock.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

/// What a node accepts, keeps and waits for. Each field says what it trades; [`Limits::default`] suits a small cluster.
///
/// Fields will be added: say which ones you change, and take the others from the default, as in
/// `Limits { connections: 100, ..Limits::default() }`. A node does not start with limits that make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at a time. For one more the one idle for longest is closed; if a request is under
    /// way on each, the newcomer is told so in its own language and closed. Each costs 5 to 12 KiB while it is idle, and
    /// about 30 KiB while it is at work; 15 KiB more in TLS.
    pub connections: usize,
    /// Connections of one client, which is an address, or the first 64 bits of one of IPv6; 0 is no limit. For one more its own
    /// that is idle for longest is closed; if a request is under way on each, it is refused.
    pub client_connections: usize,
    /// Connections that one client may open in a second, and at once after a pause; 0 is no limit.
    pub client_connects: u32,
    /// Requests that one client may send in a second, and at once after a pause; 0 is no limit. Many in one batch are one. Nodes
    /// have no such limit: they ask for all of their clients.
    pub client_requests: u32,
    /// What one client may have of [`Limits::bodies_bytes`]; 0 is no limit. Nodes have none.
    pub client_bytes: usize,
    /// Bytes of a request's first line and headers together, from 8 KiB to 16 MiB. Lookup paths travel there, so
    /// nodes of one ring should agree.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// How long a client may take to send a request's headers; an idle connection is closed after as long, or
    /// sooner if another needs its place.
    pub header_read: Duration,
    /// How long a client may take to send a request's body, or a request of Redis once it has begun.
    pub body_read: Duration,
    /// How long a client may take to read an answer, or several that it has asked for at once: then the connection is
    /// closed. With large values and slow lines this must be longer.
    pub answer_write: Duration,
    /// Bytes of a value, 64 MiB at most. A larger one is refused with status 413.
    pub value_bytes: usize,
    /// Bytes of large request bodies and values that are under way, and of large answers that are not read yet, all
    /// connections together, also those of other nodes. Beyond it a request is refused with status 503, or `BUSY`.
    pub bodies_bytes: usize,
    /// Bytes of all records in memory. Beyond it a write is refused with status 507.
    pub store_bytes: u64,
    /// Bytes that the process may take for all this; `None` has no such limit. A node does not start if its other limits allow
    /// more, and [`Limits::within`] makes them fit.
    pub memory: Option<u64>,
    /// Bytes of a data directory that are kept at hand in memory.
    pub cache_bytes: usize,
    /// Bytes of records that wait for the disk, or are in its log and not in the tree. Beyond it a write is refused as busy.
    pub pending_bytes: u64,
    /// Bytes of copies that wait for one other node. Beyond it they are left to repair, which comes within ten seconds.
    pub copies_bytes: usize,
    /// Bytes that wait for all who watch keys through this node, and as many for all whom it tells as the owner. Beyond it
    /// those who read slowly are told that they have missed something.
    pub watched_bytes: usize,
    /// How long one node waits for another, at most. The wait follows measured round trips and is mostly shorter.
    pub request: Duration,
    /// How long an operation may take that a client asked for, whatever happens in the ring.
    pub operation: Duration,
    /// How long a leaving node goes on handing over what others lack; zero hands nothing over.
    pub departure: Duration,
    /// Connections to any one peer that speaks no frames, for the requests of clients; the ring's own maintenance may open
    /// 8 more, and copies of records 16. A peer that does has three, however much it is asked.
    pub link_connections: usize,
    /// Peers to which connections are kept. A ring needs few; this bounds what forged names can cost.
    pub links: usize,
    /// Watches of clients at a time, and never more than half of `connections`, since whoever watches keeps its place. Each
    /// costs up to a thousand changes that wait for its client.
    pub watches: usize,
}

/// A limit that makes no sense: the node could not work with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {field} must be {wanted}")]
pub struct LimitError {
    /// Which field of [`Limits`].
    pub field: &'static str,
    /// What it may be.
    pub wanted: &'static str,
}

impl Limits {
    /// Whether a node can work with these.
    ///
    /// # Errors
    /// Names the first limit that makes no sense, and what it may be.
    pub fn check(&self) -> Result<(), LimitError> {
        let counts = [
            ("connections", self.connections),
            ("headers", self.headers),
            ("link_connections", self.link_connections),
            ("links", self.links),
            ("watches", self.watches),
        ];
        let waits = [
            ("header_read", self.header_read),
            ("body_read", self.body_read),
            ("answer_write", self.answer_write),
            ("request", self.request),
            ("operation", self.operation),
        ];
        let counts =
            counts.map(|(field, count)| ((1..=COUNT_MAX).contains(&count), field, "from 1 to 1048576"));
        let waits = waits.map(|(field, wait)| (WAIT.contains(&wait), field, "from a millisecond to an hour"));
        let others = [
            (HEADER_BYTES.contains(&self.header_bytes), "header_bytes", "from 8 KiB to 16 MiB"),
            (self.value_bytes <= VALUE_BYTES_LIMIT, "value_bytes", "at most 64 MiB"),
            (self.departure <= *WAIT.end(), "departure", "at most an hour"),
        ];
        match counts.into_iter().chain(waits).chain(others).find(|(is_sound, ..)| !is_sound) {
            Some((_, field, wanted)) => Err(LimitError { field, wanted }),
            None => Ok(()),
        }
    }

    /// Watches at a time: they leave room for other nodes, and for clients that ask.
    pub(crate) fn watches_at_once(&self) -> usize {
        self.watches.min(self.connections / 2).max(1)
    }

    /// What a message about records may be like.
    pub(crate) fn replica(&self, size: RingSize) -> ReplicaLimits {
        ReplicaLimits { size, value_bytes: self.value_bytes }
    }

    /// Bytes of an answer of a peer, in whatever words.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.body_bytes().max(self.replica(RingSize::DEFAULT).message_bytes())
    }

    /// Bytes of a request's or an answer's body: a value in which JSON escapes every byte in six, and the rest of the object.
    pub fn body_bytes(&self) -> usize {
        self.value_bytes.saturating_mul(6).saturating_add(64 << 10)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            client_connections: 0,
            client_connects: 0,
            client_requests: 0,
            client_bytes: 0,
            header_bytes: 32 << 10,
            headers: 64,
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(10),
            answer_write: Duration::from_secs(30),
            value_bytes: VALUE_BYTES_DEFAULT,
            bodies_bytes: 256 << 20,
            store_bytes: 1 << 30,
            memory: None,
            cache_bytes: CACHE_BYTES_DEFAULT,
            pending_bytes: PENDING_BYTES_DEFAULT,
            copies_bytes: OUTBOX_BYTES_MAX,
            watched_bytes: WAITING_BYTES_MAX,
            request: REQUEST_WAIT_DEFAULT,
            operation: OPERATION_WAIT_DEFAULT,
            departure: Duration::from_secs(10),
            link_connections: 64,
            links: 1024,
            watches: 1024,
        }
    }
}

const _: () = assert!(COUNT_MAX == 1_048_576 && VALUE_BYTES_LIMIT == 64 << 20, "as the errors say");

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Limits)) -> Result<(), LimitError> {
        let mut limits = Limits::default();
        change(&mut limits);
        limits.check()
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        type Change = fn(&mut Limits);
        let cases: [(Change, &str); 12] = [
            (|limits| limits.connections = usize::MAX, "connections"),
            (|limits| limits.connections = 0, "connections"),
            (|limits| limits.header_bytes = (8 << 10) - 1, "header_bytes"),
            (|limits| limits.headers = 0, "headers"),
            (|limits| limits.header_read = Duration::ZERO, "header_read"),
            (|limits| limits.value_bytes = VALUE_BYTES_LIMIT + 1, "value_bytes"),
            (|limits| limits.request = Duration::MAX, "request"),
            (|limits| limits.operation = Duration::MAX, "operation"),
            (|limits| limits.departure = Duration::MAX, "departure"),
            (|limits| limits.link_connections = 0, "link_connections"),
            (|limits| limits.link_connections = usize::MAX, "link_connections"),
            (|limits| limits.links = 0, "links"),
        ];
        for (change, field) in cases {
            assert_eq!(checked(change).unwrap_err().field, field);
        }
    }

    #[test]
    fn limits_at_their_ends_make_sense() {
        assert_eq!(checked(|_| {}), Ok(()));
        let smallest = |limits: &mut Limits| {
            *limits = Limits {
                connections: 1,
                header_bytes: 8 << 10,
                headers: 1,
                header_read: Duration::from_millis(1),
                value_bytes: 0,
                bodies_bytes: 0,
                store_bytes: 0,
                departure: Duration::ZERO,
                link_connections: 1,
                links: 1,
                ..limits.clone()
            };
        };
        assert_eq!(checked(smallest), Ok(()));
        let largest = |limits: &mut Limits| {
            *limits = Limits {
                connections: COUNT_MAX,
                value_bytes: VALUE_BYTES_LIMIT,
                bodies_bytes: usize::MAX,
                store_bytes: u64::MAX,
                operation: Duration::from_secs(3600),
                departure: Duration::from_secs(3600),
                ..limits.clone()
            };
        };
        assert_eq!(checked(largest), Ok(()));
    }

    #[tokio::test]
    async fn a_node_does_not_start_with_limits_that_make_no_sense() {
        let limits = Limits { link_connections: 0, ..Limits::default() };
        let started = crate::Node::builder().listen("127.0.0.1:0").limits(limits).start().await;
        let error = started.err().expect("refused").to_string();
        assert_eq!(error, "the limit link_connections must be from 1 to 1048576");
    }
}
