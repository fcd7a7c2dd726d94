//! Limits: what a node accepts, how much it keeps open and how long it waits.

use std::time::Duration;

use chord_kv::VALUE_BYTES_DEFAULT;

/// What a node accepts, keeps and waits for. Each field says what it trades; [`Limits::default`] suits a small cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at a time. For one more the one idle for longest is closed; if a request is under
    /// way on each, the newcomer is told so and closed. Each costs about 20 KiB.
    pub connections: usize,
    /// Bytes of a request's first line and headers together, 8 KiB at least. Lookup paths travel there, so
    /// nodes of one ring should agree.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// How long a client may take to send a request's headers; an idle connection is closed after as long, or
    /// sooner if another needs its place.
    pub header_read: Duration,
    /// How long a client may take to send a request's body.
    pub body_read: Duration,
    /// How long a client may take to read an answer, or several that it has asked for at once: then the connection is
    /// closed. With large values and slow lines this must be longer.
    pub answer_write: Duration,
    /// Bytes of a value, 64 MiB at most. A larger one is refused with status 413.
    pub value_bytes: usize,
    /// Bytes of request bodies that are under way, all connections together. Beyond it a request is refused with status
    /// 503.
    pub bodies_bytes: usize,
    /// Bytes of all records in memory. Beyond it a write is refused with status 507.
    pub store_bytes: u64,
    /// How long one node waits for another, at most. The wait follows measured round trips and is mostly shorter.
    pub request: Duration,
    /// How long an operation may take that a client asked for, whatever happens in the ring.
    pub operation: Duration,
    /// How long a leaving node goes on offering its keys when none is taken. While they are taken it goes on.
    pub departure: Duration,
    /// Connections to any one peer for the requests of clients; the ring's own maintenance may open 8 more.
    pub link_connections: usize,
    /// Peers to which connections are kept. A ring needs few; this bounds what forged names can cost.
    pub links: usize,
}

impl Limits {
    /// Bytes of a request's or an answer's body: a value in which JSON escapes every byte in six, and the rest of the object.
    pub fn body_bytes(&self) -> usize {
        self.value_bytes.saturating_mul(6).saturating_add(64 << 10)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header_bytes: 32 << 10,
            headers: 64,
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(10),
            answer_write: Duration::from_secs(30),
            value_bytes: VALUE_BYTES_DEFAULT,
            bodies_bytes: 256 << 20,
            store_bytes: 1 << 30,
            request: Duration::from_secs(2),
            operation: Duration::from_secs(4),
            departure: Duration::from_secs(10),
            link_connections: 64,
            links: 1024,
        }
    }
}
