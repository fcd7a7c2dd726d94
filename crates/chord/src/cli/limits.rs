//! What a node accepts, keeps and waits for, as options. `docs/limits.md` has them in one table, which a test holds to this.

use chord::Limits;
use clap::Args;

use super::exit::Usage;
use super::number::{self, Bytes, Wait};

/// Most connections, links and headers, as in [`Limits`].
const COUNT_MAX: u64 = 1 << 20;

/// Shortest and longest wait, as in [`Limits`].
const WAIT_MS: std::ops::RangeInclusive<u64> = 1..=HOUR_MS;
const HOUR_MS: u64 = 3_600_000;

/// Least memory for bodies and for records: with less, hardly anything would fit.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 50;

/// Each help says what is bounded and from where to where; what follows it says what happens beyond.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// How many connections the node serves at a time, 1 to 1048576
    ///
    /// Beyond it the one idle for longest is closed for a newcomer; if all are at work, the newcomer is told so and closed. An
    /// idle one costs 5 to 12 KiB and one at work about 30, beside what the kernel keeps; each is an open file.
    #[arg(long, value_name = "COUNT", env = "CHORD_CONNECTIONS", default_value_t = count(defaults().connections),
        value_parser = number::within::<u32>("the number of connections", 1..=COUNT_MAX))]
    connections: u32,

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
    #[arg(long, value_name = "BYTES", env = "CHORD_STORE_BYTES", default_value_t = Bytes(defaults().store_bytes),
        value_parser = number::bytes("the memory for records", MEMORY_BYTES))]
    store_bytes: Bytes,

    /// How much all large requests under way and all answers not read yet may take together, 1MiB to 1PiB
    ///
    /// Beyond it a request is refused with status 503, or BUSY.
    #[arg(long, value_name = "BYTES", env = "CHORD_BODIES_BYTES", default_value_t = Bytes::of(defaults().bodies_bytes),
        value_parser = number::bytes("the memory for requests and answers", MEMORY_BYTES))]
    bodies_bytes: Bytes,

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
    #[arg(long, value_name = "COUNT", env = "CHORD_LINKS", default_value_t = count(defaults().links),
        value_parser = number::within::<u32>("the number of links", 1..=COUNT_MAX))]
    links: u32,

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
    /// How many connections somebody wants to have served; none if that is what it is anyway.
    pub(crate) fn connections_wanted(&self) -> Option<u64> {
        (self.connections != count(defaults().connections)).then_some(self.connections.into())
    }

    /// Refuses limits that contradict each other.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        if self.bodies_bytes.0 < self.value_bytes.0 {
            return Err(Usage::new(format!(
                "--bodies-bytes is {}, and a value of --value-bytes {} would never fit in: raise the one or lower the other",
                self.bodies_bytes, self.value_bytes
            )));
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: size(self.connections.into()),
            header_bytes: size(self.header_bytes.0),
            headers: size(self.headers.into()),
            header_read: self.header_wait.0,
            body_read: self.body_wait.0,
            answer_write: self.answer_wait.0,
            value_bytes: size(self.value_bytes.0),
            bodies_bytes: size(self.bodies_bytes.0),
            store_bytes: self.store_bytes.0,
            request: self.request_wait.0,
            operation: self.operation_wait.0,
            departure: self.departure_wait.0,
            link_connections: size(self.link_connections.into()),
            links: size(self.links.into()),
            watches: size(self.watches.into()),
        }
    }
}

/// Beyond what a machine can count, a limit is none.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
