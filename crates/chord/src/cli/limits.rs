//! What a node accepts, keeps and waits for, as options. `docs/limits.md` has them in one table, which a test holds to this.

use chord::{CONNECTIONS_MIN, Fixed, Limits, Shape, THREAD_BYTES};
use clap::Args;

use super::exit::Usage;
use super::number::{self, Bytes, Wait};

/// Most connections, links and headers, as in [`Limits`].
const COUNT_MAX: u64 = 1 << 20;

/// Shortest and longest wait, as in [`Limits`].
const WAIT_MS: std::ops::RangeInclusive<u64> = 1..=HOUR_MS;
const HOUR_MS: u64 = 3_600_000;

/// Of the memory, what threads have at the most whose number nobody has set.
const THREADS_PART: u64 = 16;

/// Least memory for bodies and for records: with less, hardly anything would fit.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 50;

/// Each help says what is bounded and from where to where; what follows it says what happens beyond.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// How much memory the node's process may take, 64MiB to 1PiB
    ///
    /// The limits on memory that are not set are made to fit, and what is left is for records. Those that are set and do not fit
    /// are refused at the start.
    #[arg(long, value_name = "BYTES", env = "CHORD_MEMORY_MAX",
        value_parser = number::bytes("the memory of the process", 64 << 20..=1 << 50))]
    memory_max: Option<Bytes>,

    /// How many connections the node serves at a time, 16 to 1048576
    ///
    /// Beyond it the one idle for longest is closed for a newcomer; if all are at work, the newcomer is told so and closed. An
    /// idle one costs 5 to 12 KiB and one at work about 30, beside what the kernel keeps; each is an open file.
    #[arg(long, value_name = "COUNT", env = "CHORD_CONNECTIONS",
        value_parser = number::within::<u32>("the number of connections", CONNECTIONS_MIN as u64..=COUNT_MAX))]
    connections: Option<u32>,

    /// How many connections one client may have, 0 to 1048576
    ///
    /// A client is an address, or the first half of one of IPv6; 0 is no limit. Beyond it the client's own connection that is
    /// idle for longest is closed for its newcomer; if all are at work, the newcomer is told so and closed. Neither this nor
    /// `client-connects` counts where a node is connected from that address, or known to be at it by a numeric name.
    #[arg(long, value_name = "COUNT", env = "CHORD_CLIENT_CONNECTIONS",
        value_parser = number::within::<u32>("the number of connections of a client", 0..=COUNT_MAX))]
    client_connections: Option<u32>,

    /// How many connections one client may open in a second, 0 to 1048576
    ///
    /// As many may come at once after a pause; 0 is no limit. Beyond it the newcomer is told so and closed.
    #[arg(long, value_name = "COUNT", env = "CHORD_CLIENT_CONNECTS", default_value_t = defaults().client_connects,
        value_parser = number::within::<u32>("the number of connections in a second", 0..=COUNT_MAX))]
    client_connects: u32,

    /// How many requests one client may send in a second, 0 to 1048576
    ///
    /// As many may come at once after a pause; 0 is no limit. Beyond it a request is refused with status 503, or BUSY. A batch
    /// counts as one, and whoever is a node is not counted.
    #[arg(long, value_name = "COUNT", env = "CHORD_CLIENT_REQUESTS", default_value_t = defaults().client_requests,
        value_parser = number::within::<u32>("the number of requests in a second", 0..=COUNT_MAX))]
    client_requests: u32,

    /// How much of what `bodies-bytes` counts one client may have, 0B to 1PiB
    ///
    /// 0B is no limit. Beyond it a request is refused with status 503, or BUSY. Whoever is a node is not counted.
    #[arg(long, value_name = "BYTES", env = "CHORD_CLIENT_BYTES", default_value_t = Bytes::of(defaults().client_bytes),
        value_parser = number::bytes("the memory for a client", 0..=1 << 50))]
    client_bytes: Bytes,

    /// How many clients watch keys at a time, 1 to 1048576
    ///
    /// Beyond it, or beyond half of the connections, a watch is refused. Each keeps up to a thousand changes that wait for its
    /// client.
    #[arg(long, value_name = "COUNT", env = "CHORD_WATCHES", default_value_t = count(defaults().watches),
        value_parser = number::within::<u32>("the number of watches", 1..=COUNT_MAX))]
    watches: u32,

    /// How large a value may be, 1B to 64MiB
    ///
    /// A larger one is refused with status 413. The same on every node of a ring: a copy must fit where its original did.
    #[arg(long, value_name = "BYTES", env = "CHORD_VALUE_BYTES", default_value_t = Bytes::of(defaults().value_bytes),
        value_parser = number::bytes("the size of a value", 1..=64 << 20))]
    value_bytes: Bytes,

    /// How much all records may take in memory, 1MiB to 1PiB
    ///
    /// Beyond it a write is refused with status 507. Nothing of it is about records on a disk.
    #[arg(long, value_name = "BYTES", env = "CHORD_STORE_BYTES",
        value_parser = number::bytes("the memory for records", MEMORY_BYTES))]
    store_bytes: Option<Bytes>,

    /// How much of the records on a disk is kept at hand in memory, 1MiB to 1PiB
    ///
    /// What is beyond it is read from the disk. Nothing of it is about records in memory.
    #[arg(long, value_name = "BYTES", env = "CHORD_CACHE_BYTES",
        value_parser = number::bytes("the memory for records at hand", MEMORY_BYTES))]
    cache_bytes: Option<Bytes>,

    /// How much may wait for the disk, 1MiB to 1PiB
    ///
    /// What is in the log and not in the tree yet counts too. Beyond it a write is refused with status 503, until the disk has caught up.
    #[arg(long, value_name = "BYTES", env = "CHORD_PENDING_BYTES",
        value_parser = number::bytes("the memory for what waits for the disk", MEMORY_BYTES))]
    pending_bytes: Option<Bytes>,

    /// How much of copies may wait for one other node, 1MiB to 1PiB
    ///
    /// Beyond it they are left to repair, which comes within ten seconds.
    #[arg(long, value_name = "BYTES", env = "CHORD_COPIES_BYTES",
        value_parser = number::bytes("the memory for copies", MEMORY_BYTES))]
    copies_bytes: Option<Bytes>,

    /// How much of changes may wait for all who watch keys, 1MiB to 1PiB
    ///
    /// Beyond it those who read slowly are told that they have missed something. As much may wait at the node that owns the keys.
    #[arg(long, value_name = "BYTES", env = "CHORD_WATCHED_BYTES",
        value_parser = number::bytes("the memory for what is watched", MEMORY_BYTES))]
    watched_bytes: Option<Bytes>,

    /// How much all large requests under way and all answers not read yet may take together, 1MiB to 1PiB
    ///
    /// Beyond it a request is refused with status 503, or BUSY.
    #[arg(long, value_name = "BYTES", env = "CHORD_BODIES_BYTES",
        value_parser = number::bytes("the memory for requests and answers", MEMORY_BYTES))]
    bodies_bytes: Option<Bytes>,

    /// How long the first line and the headers of a request over HTTP may be together, 8KiB to 16MiB
    ///
    /// Beyond it the request is refused with status 431, and the connection is closed. Lookups carry their way there, so the
    /// same on every node of a ring.
    #[arg(long, value_name = "BYTES", env = "CHORD_HEADER_BYTES", default_value_t = Bytes::of(defaults().header_bytes),
        value_parser = number::bytes("the length of headers", 8 << 10..=16 << 20))]
    header_bytes: Bytes,

    /// How many headers a request over HTTP may have, 1 to 1048576
    ///
    /// Beyond it the request is refused with status 431, and the connection is closed.
    #[arg(long, value_name = "COUNT", env = "CHORD_HEADERS", default_value_t = count(defaults().headers),
        value_parser = number::within::<u32>("the number of headers", 1..=COUNT_MAX))]
    headers: u32,

    /// How long a client may take to send the headers of a request, or nothing at all, 1ms to 1h
    ///
    /// After it the connection is closed, with status 408 if a request had begun.
    #[arg(long, value_name = "TIME", env = "CHORD_HEADER_WAIT", default_value_t = Wait(defaults().header_read),
        value_parser = number::wait("the wait for headers", WAIT_MS))]
    header_wait: Wait,

    /// How long a client may take to send the body of a request, or one of Redis that it has begun, 1ms to 1h
    ///
    /// After it the request is refused with status 408, and the connection is closed.
    #[arg(long, value_name = "TIME", env = "CHORD_BODY_WAIT", default_value_t = Wait(defaults().body_read),
        value_parser = number::wait("the wait for a body", WAIT_MS))]
    body_wait: Wait,

    /// How long a client may take to read an answer, or several that it has asked for at once, 1ms to 1h
    ///
    /// After it the connection is closed. Large values and slow lines want more.
    #[arg(long, value_name = "TIME", env = "CHORD_ANSWER_WAIT", default_value_t = Wait(defaults().answer_write),
        value_parser = number::wait("the wait for an answer to be read", WAIT_MS))]
    answer_wait: Wait,

    /// How long one node waits for another at most, 1ms to 1h
    ///
    /// After it the other one counts as silent, and what was asked goes another way. The wait follows measured round trips and
    /// is mostly shorter.
    #[arg(long, value_name = "TIME", env = "CHORD_REQUEST_WAIT", default_value_t = Wait(defaults().request),
        value_parser = number::wait("the wait for another node", WAIT_MS))]
    request_wait: Wait,

    /// How long what a client asked for may take, whatever happens in the ring, 1ms to 1h
    ///
    /// After it the client is told that there was no answer in time, and of a write that it may have happened.
    #[arg(long, value_name = "TIME", env = "CHORD_OPERATION_WAIT", default_value_t = Wait(defaults().operation),
        value_parser = number::wait("the wait for an operation", WAIT_MS))]
    operation_wait: Wait,

    /// How long a leaving node goes on handing its keys over, 0s to 1h
    ///
    /// After it the node stops, and its exit code says whether others may lack what it had. 0s hands nothing over.
    #[arg(long, value_name = "TIME", env = "CHORD_DEPARTURE_WAIT", default_value_t = Wait(defaults().departure),
        value_parser = number::wait("the wait for a hand-over", 0..=HOUR_MS))]
    departure_wait: Wait,

    /// How many peers connections are kept to, 1 to 1048576
    ///
    /// Beyond it those to the peer that was unused for longest are closed. A ring needs few; this bounds what forged names cost.
    #[arg(long, value_name = "COUNT", env = "CHORD_LINKS",
        value_parser = number::within::<u32>("the number of links", 1..=COUNT_MAX))]
    links: Option<u32>,

    /// How many connections the requests of clients may open to one peer that speaks no frames, 1 to 1048576
    ///
    /// Beyond it they wait for each other. A node of this program has three, however much it is asked.
    #[arg(long, value_name = "COUNT", env = "CHORD_LINK_CONNECTIONS", default_value_t = count(defaults().link_connections),
        value_parser = number::within::<u32>("the number of connections to a peer", 1..=COUNT_MAX))]
    link_connections: u32,
}

fn defaults() -> Limits {
    Limits::default()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl LimitArgs {
    /// How many connections somebody wants to have served; none if that is left to the node.
    pub(crate) fn connections_wanted(&self) -> Option<u64> {
        self.connections.map(u64::from)
    }

    /// How many threads the memory has room for, where nobody has said how many there are to be.
    pub(crate) fn threads_at_most(&self) -> Option<usize> {
        self.memory_max.map(|Bytes(memory)| size(memory / THREADS_PART / THREAD_BYTES))
    }

    /// Refuses limits that contradict each other.
    pub(crate) fn check(&self, shape: Shape) -> Result<(), Usage> {
        self.limits(shape).map(drop)
    }

    /// The limits of a node of that shape.
    pub(crate) fn limits(&self, shape: Shape) -> Result<Limits, Usage> {
        let limits = self.without_memory().with_room_for_a_value();
        let fixed = self.fixed();
        let limits = match self.memory_max {
            None => limits.with(&fixed),
            Some(Bytes(memory)) => limits.within(memory, shape, &fixed).map_err(|error| {
                Usage::new(format!(
                    "--memory-max is {}, and what a node keeps with {} may take {}: raise the one, or lower the others",
                    Bytes(memory),
                    self.those_that_are_set(shape),
                    Bytes(error.needed)
                ))
            })?,
        };
        let limits = match self.client_connections {
            Some(connections) => Limits { client_connections: size(connections.into()), ..limits },
            None => limits.with_room_for_others(),
        };
        fits(&limits, shape)?;
        Ok(limits)
    }

    /// The limits on memory that somebody has set, in words. Nobody but the user wants more threads than there is room for.
    fn those_that_are_set(&self, shape: Shape) -> String {
        let number = |number: u32| number.to_string();
        let threads = self.threads_at_most().filter(|at_most| shape.threads > *at_most);
        let set = [
            ("threads", threads.map(|_| shape.threads.to_string())),
            ("connections", self.connections.map(number)),
            ("links", self.links.map(number)),
            ("bodies-bytes", self.bodies_bytes.map(|bytes| bytes.to_string())),
            ("store-bytes", self.store_bytes.map(|bytes| bytes.to_string())),
            ("cache-bytes", self.cache_bytes.map(|bytes| bytes.to_string())),
            ("pending-bytes", self.pending_bytes.map(|bytes| bytes.to_string())),
            ("copies-bytes", self.copies_bytes.map(|bytes| bytes.to_string())),
            ("watched-bytes", self.watched_bytes.map(|bytes| bytes.to_string())),
        ];
        let set = set.into_iter().filter_map(|(name, value)| Some(format!("--{name} {}", value?)));
        set.chain([format!("--value-bytes {}", self.value_bytes)]).collect::<Vec<_>>().join(", ")
    }

    fn fixed(&self) -> Fixed {
        let bytes = |bytes: Option<Bytes>| bytes.map(|Bytes(bytes)| size(bytes));
        Fixed {
            connections: self.connections.map(|count| size(count.into())),
            links: self.links.map(|count| size(count.into())),
            bodies_bytes: bytes(self.bodies_bytes),
            watched_bytes: bytes(self.watched_bytes),
            copies_bytes: bytes(self.copies_bytes),
            store_bytes: self.store_bytes.map(|Bytes(bytes)| bytes),
            cache_bytes: bytes(self.cache_bytes),
            pending_bytes: self.pending_bytes.map(|Bytes(bytes)| bytes),
        }
    }

    /// What has nothing to do with how much memory there is.
    fn without_memory(&self) -> Limits {
        Limits {
            header_bytes: size(self.header_bytes.0),
            headers: size(self.headers.into()),
            header_read: self.header_wait.0,
            body_read: self.body_wait.0,
            answer_write: self.answer_wait.0,
            value_bytes: size(self.value_bytes.0),
            request: self.request_wait.0,
            operation: self.operation_wait.0,
            departure: self.departure_wait.0,
            link_connections: size(self.link_connections.into()),
            client_connects: self.client_connects,
            client_requests: self.client_requests,
            client_bytes: size(self.client_bytes.0),
            watches: size(self.watches.into()),
            ..Limits::default()
        }
    }
}

/// Refuses limits of which one makes another impossible.
fn fits(limits: &Limits, shape: Shape) -> Result<(), Usage> {
    let room = limits.value_room();
    let records = if shape.on_disk {
        ("pending-bytes", limits.pending_bytes)
    } else {
        ("store-bytes", limits.store_bytes)
    };
    let holders = [
        ("bodies-bytes", size_of_all(limits.bodies_bytes)),
        records,
        ("copies-bytes", size_of_all(limits.copies_bytes)),
    ];
    let of_client = (limits.client_bytes > 0).then_some(("client-bytes", size_of_all(limits.client_bytes)));
    match holders.into_iter().chain(of_client).find(|(_, bytes)| *bytes < room) {
        None => Ok(()),
        Some((name, bytes)) => Err(Usage::new(format!(
            "--{name} is {}, and a value of --value-bytes {} would never fit in, which may take {} with its key: raise the one or lower the other",
            Bytes(bytes),
            Bytes::of(limits.value_bytes),
            Bytes(room)
        ))),
    }
}

fn size_of_all(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What holds if an option is not given whose default depends on the memory, where there is no limit on that.
pub(crate) fn usual(name: &str) -> Option<String> {
    let limits = defaults();
    let bytes = |bytes: usize| Bytes::of(bytes).to_string();
    Some(match name {
        "memory-max" => "none".to_owned(),
        "connections" => limits.connections.to_string(),
        "client-connections" => limits.client_connections.to_string(),
        "links" => limits.links.to_string(),
        "bodies-bytes" => bytes(limits.bodies_bytes),
        "store-bytes" => Bytes(limits.store_bytes).to_string(),
        "cache-bytes" => bytes(limits.cache_bytes),
        "pending-bytes" => Bytes(limits.pending_bytes).to_string(),
        "copies-bytes" => bytes(limits.copies_bytes),
        "watched-bytes" => bytes(limits.watched_bytes),
        _ => return None,
    })
}

/// Beyond what a machine can count, a limit is none.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
