//! The memory of a node's process: how one number is divided among what the node keeps.
//!
//! Each part is a limit of its own, which holds whatever the others are. What stands here is what each of them costs in the
//! memory that the system counts, and how much of the whole each may have.

use chord_kv::RECORD_OVERHEAD_BYTES;

use crate::Limits;

/// What a process has that keeps nothing: the program and its runtime, and what has a limit of its own that nobody changes,
/// such as connections that are told that they are one too many. A node at rest has 12 MiB of it.
const BASE_BYTES: u64 = 32 << 20;

/// What a connection takes at most beside what is counted among requests and answers: what it reads into, what it has
/// written and the client has not read, and one small request with its answer.
const CONNECTION_BYTES: u64 = 96 << 10;

/// The same in TLS.
const SECURED_BYTES: u64 = 128 << 10;

/// What a thread that serves connections takes: its stack and its runtime, the threads beside it for what blocks, and what
/// the allocator keeps for them. Sixteen to sixty-four of them were seen to take 0.1 to 1 MiB each, and 16 KiB at rest.
pub const THREAD_BYTES: u64 = 1 << 20;

/// What the connections to one peer take, beside what is counted elsewhere.
const LINK_BYTES: u64 = 32 << 10;

/// How often the bytes of a request or an answer are there: as they came or go, and as the value that is on its way.
const BODY_COPIES: u64 = 2;

/// How often what waits for those who watch may be there: at the node through which they watch, and at the owner.
const WATCHED_COPIES: u64 = 2;

/// How often a record that waits for the disk may be there: as it waits, and as it is being written.
const PENDING_COPIES: u64 = 2;

/// What a value brings with it, with the largest key, in a message.
const VALUE_BESIDE: u64 = 8 << 10;

/// The part of all memory that is left free for what the allocator has given out once and cannot give out again: an eighth.
const LOST_PART: u64 = 8;

/// To fewer connections no limit on memory lowers, and no operator can: other nodes have three each, and a node needs some for
/// these beside a client or two.
pub const CONNECTIONS_MIN: usize = 16;

/// How often more memory is tried, to say how much would do: with each time less than four fifths of what was lacking is
/// lacking still, so this is more than enough.
const TRIES_MAX: usize = 256;

/// What is told of memory is told in these.
const MEBIBYTE: u64 = 1 << 20;

/// Peers to which connections are kept: successors, a predecessor and fingers of a large ring.
const LINKS_MIN: usize = 64;

/// What else decides what a node keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many nodes keep a copy of each key.
    pub replicas: u8,
    /// Whether records are on a disk, of which a part is kept at hand.
    pub on_disk: bool,
    /// Whether TLS is spoken.
    pub in_tls: bool,
    /// How many threads of the node's own serve connections, if any.
    pub threads: usize,
}

/// Limits on memory that somebody has set, and that are not to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// [`Limits::connections`].
    pub connections: Option<usize>,
    /// [`Limits::links`].
    pub links: Option<usize>,
    /// [`Limits::bodies_bytes`].
    pub bodies_bytes: Option<usize>,
    /// [`Limits::watched_bytes`].
    pub watched_bytes: Option<usize>,
    /// [`Limits::copies_bytes`].
    pub copies_bytes: Option<usize>,
    /// [`Limits::store_bytes`].
    pub store_bytes: Option<u64>,
    /// [`Limits::cache_bytes`].
    pub cache_bytes: Option<usize>,
    /// [`Limits::pending_bytes`].
    pub pending_bytes: Option<u64>,
}

/// What the limits allow takes more memory than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what the limits allow may take {needed} bytes of memory, and the limit memory allows {memory}: raise it, or lower the others"
)]
pub struct MemoryError {
    /// How much there may be.
    pub memory: u64,
    /// How much it may take.
    pub needed: u64,
}

impl Limits {
    /// These limits, with those on memory lowered so that a process with one such node stays below `memory` bytes. What is not
    /// needed for the rest is for records.
    ///
    /// # Errors
    /// What is fixed takes more, or the memory is too little for any node; then the error says how much would do.
    pub fn within(self, memory: u64, shape: Shape, fixed: &Fixed) -> Result<Self, MemoryError> {
        let lacking = match self.divided(memory, shape, fixed) {
            Ok(limits) => return Ok(limits),
            Err(lacking) => lacking,
        };
        let rounded = |bytes: u64| bytes.checked_next_multiple_of(MEBIBYTE).unwrap_or(bytes);
        let mut needed = rounded(memory.saturating_add(lacking));
        for _ in 0..TRIES_MAX {
            match self.divided(needed, shape, fixed) {
                Ok(_) => break,
                Err(lacking) => needed = rounded(needed.saturating_add(lacking)),
            }
        }
        Err(MemoryError { memory, needed })
    }

    /// The limits with so much memory, or how much is lacking.
    fn divided(&self, memory: u64, shape: Shape, fixed: &Fixed) -> Result<Self, u64> {
        let room = usable(memory).saturating_sub(BASE_BYTES).saturating_sub(thread_bytes(shape));
        let value = self.value_room();
        let part = |of: u64, n_parts: u64, each: u64| (of / n_parts / each).max(1);
        let of_connections = count(part(room, 4, connection_bytes(shape))).max(CONNECTIONS_MIN);
        let others = u64::from(shape.replicas).saturating_sub(1).max(1);
        let limits = Self {
            memory: Some(memory),
            connections: fixed.connections.unwrap_or(self.connections.min(of_connections)),
            links: fixed.links.unwrap_or(self.links.min(count(part(room, 32, LINK_BYTES)).max(LINKS_MIN))),
            bodies_bytes: fixed.bodies_bytes.unwrap_or_else(|| {
                self.bodies_bytes.min(count(part(room, 4, BODY_COPIES).max(value.saturating_mul(2))))
            }),
            watched_bytes: fixed.watched_bytes.unwrap_or(self.watched_bytes.min(count(part(
                room,
                16,
                WATCHED_COPIES,
            )))),
            copies_bytes: fixed
                .copies_bytes
                .unwrap_or(self.copies_bytes.min(count(part(room, 16, others).max(value)))),
            ..self.clone()
        };
        let limits = limits.with_records(memory, shape, fixed).with_room_for_others();
        // A node has to keep something: one value and its record at the least.
        let least = value.saturating_add(RECORD_OVERHEAD_BYTES as u64);
        let kept = if shape.on_disk { bytes(limits.cache_bytes) } else { limits.store_bytes };
        let is_fixed = if shape.on_disk { fixed.cache_bytes.is_some() } else { fixed.store_bytes.is_some() };
        let missing = if is_fixed { 0 } else { least.saturating_sub(kept) };
        match whole(limits.parts(shape).saturating_add(missing)).saturating_sub(memory).max(missing) {
            0 => Ok(limits),
            lacking => Err(lacking),
        }
    }

    /// These limits, with those that are fixed.
    #[must_use]
    pub fn with(self, fixed: &Fixed) -> Self {
        Self {
            connections: fixed.connections.unwrap_or(self.connections),
            links: fixed.links.unwrap_or(self.links),
            bodies_bytes: fixed.bodies_bytes.unwrap_or(self.bodies_bytes),
            watched_bytes: fixed.watched_bytes.unwrap_or(self.watched_bytes),
            copies_bytes: fixed.copies_bytes.unwrap_or(self.copies_bytes),
            store_bytes: fixed.store_bytes.unwrap_or(self.store_bytes),
            cache_bytes: fixed.cache_bytes.unwrap_or(self.cache_bytes),
            pending_bytes: fixed.pending_bytes.unwrap_or(self.pending_bytes),
            ..self
        }
    }

    /// These limits, with at most three quarters of all connections for one client, if there is a limit on that, and at least
    /// one.
    #[must_use]
    pub fn with_room_for_others(self) -> Self {
        // No connection for a client would mean that there is no limit.
        let most = (self.connections - self.connections.div_ceil(4)).max(1);
        Self { client_connections: self.client_connections.min(most), ..self }
    }

    /// What a value takes at the most where it waits: its bytes, and what it brings with it.
    pub fn value_room(&self) -> u64 {
        bytes(self.value_bytes).saturating_add(VALUE_BESIDE)
    }

    /// These limits, with those on memory at least so high that one value fits into each.
    #[must_use]
    pub fn with_room_for_a_value(self) -> Self {
        let room = self.value_room();
        Self {
            bodies_bytes: self.bodies_bytes.max(count(room)),
            copies_bytes: self.copies_bytes.max(count(room)),
            store_bytes: self.store_bytes.max(room),
            pending_bytes: self.pending_bytes.max(room),
            ..self
        }
    }

    /// Gives what is left to records.
    fn with_records(self, memory: u64, shape: Shape, fixed: &Fixed) -> Self {
        let nothing = Self { store_bytes: 0, cache_bytes: 0, pending_bytes: 0, ..self.clone() };
        let left = usable(memory).saturating_sub(nothing.parts(shape));
        if !shape.on_disk {
            return Self { store_bytes: fixed.store_bytes.unwrap_or(left), ..self };
        }
        let of_pending = (left / 4 / PENDING_COPIES).max(self.value_room());
        let pending = fixed.pending_bytes.unwrap_or(self.pending_bytes.min(of_pending));
        let left = left.saturating_sub(pending.saturating_mul(PENDING_COPIES));
        Self { pending_bytes: pending, cache_bytes: fixed.cache_bytes.unwrap_or(count(left)), ..self }
    }

    /// How much memory a process with one such node may take, if each of its limits is reached at the same time.
    pub fn memory_needed(&self, shape: Shape) -> u64 {
        whole(self.parts(shape))
    }

    /// Whether a node stays within the memory that there is for it.
    ///
    /// # Errors
    /// It may take more.
    pub(crate) fn check_memory(&self, shape: Shape) -> Result<(), MemoryError> {
        let needed = self.memory_needed(shape);
        match self.memory.filter(|memory| needed > *memory) {
            Some(memory) => Err(MemoryError { memory, needed }),
            None => Ok(()),
        }
    }

    /// What all parts take together.
    fn parts(&self, shape: Shape) -> u64 {
        let others = u64::from(shape.replicas).saturating_sub(1);
        let records = if shape.on_disk {
            self.pending_bytes.saturating_mul(PENDING_COPIES).saturating_add(bytes(self.cache_bytes))
        } else {
            self.store_bytes
        };
        [
            bytes(self.connections).saturating_mul(connection_bytes(shape)),
            bytes(self.links).saturating_mul(LINK_BYTES),
            bytes(self.bodies_bytes).saturating_mul(BODY_COPIES),
            bytes(self.watched_bytes).saturating_mul(WATCHED_COPIES),
            bytes(self.copies_bytes).saturating_mul(others),
            thread_bytes(shape),
            records,
        ]
        .into_iter()
        .fold(BASE_BYTES, u64::saturating_add)
    }
}

const fn connection_bytes(shape: Shape) -> u64 {
    if shape.in_tls { SECURED_BYTES } else { CONNECTION_BYTES }
}

fn thread_bytes(shape: Shape) -> u64 {
    bytes(shape.threads).saturating_mul(THREAD_BYTES)
}

/// What of all memory can be kept.
const fn usable(memory: u64) -> u64 {
    memory - memory.div_ceil(LOST_PART)
}

/// All memory of which so much can be kept.
const fn whole(kept: u64) -> u64 {
    let whole = kept.saturating_add(kept.div_ceil(LOST_PART - 1));
    // Rounded up twice, so that what fits is never found not to.
    if usable(whole.saturating_sub(1)) >= kept { whole.saturating_sub(1) } else { whole }
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> impl Iterator<Item = Shape> {
        [1, 3, 8].into_iter().flat_map(|replicas| {
            [(false, false, 0), (false, true, 1), (true, false, 2), (true, true, 4)]
                .map(|(on_disk, in_tls, threads)| Shape { replicas, on_disk, in_tls, threads })
        })
    }

    #[test]
    fn what_is_divided_fits_and_leaves_nothing_that_is_worth_much() {
        for shape in shapes() {
            for memory in [96, 100, 128, 200, 256, 512, 1024, 4096, 65_536].map(|mib| mib * MEBIBYTE) {
                let limits = Limits::default().within(memory, shape, &Fixed::default()).unwrap();
                let needed = limits.memory_needed(shape);
                assert!(needed <= memory, "{shape:?}: {needed} of {memory}");
                assert!(memory - needed < memory / 100, "{shape:?}: {needed} of {memory}");
                assert_eq!(limits.check().and(Ok(limits.check_memory(shape))), Ok(Ok(())), "{shape:?}");
            }
        }
    }

    #[test]
    fn more_memory_is_never_less_of_anything() {
        for shape in shapes() {
            let all = (96..2000).map(|mib| {
                let limits = Limits::default().within(mib * MEBIBYTE, shape, &Fixed::default()).unwrap();
                let kept = if shape.on_disk { limits.cache_bytes as u64 } else { limits.store_bytes };
                let Limits { connections, bodies_bytes, watched_bytes, copies_bytes, .. } = limits;
                [kept, connections as u64, bodies_bytes as u64, watched_bytes as u64, copies_bytes as u64]
            });
            let all: Vec<_> = all.collect();
            for pair in all.windows(2) {
                assert!(pair[0].iter().zip(&pair[1]).all(|(less, more)| less <= more), "{pair:?}");
            }
        }
    }

    #[test]
    fn what_is_fixed_stays_and_the_rest_makes_room_for_it_or_all_is_refused() {
        let shape = Shape { replicas: 3, on_disk: false, in_tls: false, threads: 0 };
        let free = Limits::default().within(256 * MEBIBYTE, shape, &Fixed::default()).unwrap();
        let fixed = Fixed { connections: Some(1000), ..Fixed::default() };
        let limits = Limits::default().within(256 * MEBIBYTE, shape, &fixed).unwrap();
        assert_eq!(limits.connections, 1000);
        assert!(limits.store_bytes < free.store_bytes && limits.memory_needed(shape) <= 256 * MEBIBYTE);
        let fixed = Fixed { bodies_bytes: Some(256 << 20), ..Fixed::default() };
        let error = Limits::default().within(256 * MEBIBYTE, shape, &fixed).unwrap_err();
        assert!(error.needed > 512 * MEBIBYTE, "{error}");
        assert!(Limits::default().within(error.needed, shape, &fixed).is_ok(), "as much as was said will do");
        let fixed = Fixed { store_bytes: Some(MEBIBYTE), ..Fixed::default() };
        assert_eq!(Limits::default().within(256 * MEBIBYTE, shape, &fixed).unwrap().store_bytes, MEBIBYTE);
        let on_disk = Shape { on_disk: true, ..shape };
        let fixed = Fixed { cache_bytes: Some(1 << 20), ..Fixed::default() };
        assert_eq!(Limits::default().within(1024 * MEBIBYTE, on_disk, &fixed).unwrap().cache_bytes, 1 << 20);
    }

    #[test]
    fn threads_take_of_the_memory_what_each_of_them_needs() {
        for alone in shapes().map(|shape| Shape { threads: 0, ..shape }) {
            let limits = Limits::default();
            let many = Shape { threads: 100, ..alone };
            let more = limits.memory_needed(many) - limits.memory_needed(alone);
            let each = 100 * THREAD_BYTES;
            assert!((each..=each + each / (LOST_PART - 1) + 1).contains(&more), "{alone:?}: {more}");
            let [without, with] = [alone, many]
                .map(|shape| Limits::default().within(1024 * MEBIBYTE, shape, &Fixed::default()).unwrap());
            assert!(with.memory_needed(many) <= 1024 * MEBIBYTE, "{alone:?}");
            assert!(with.connections <= without.connections, "{alone:?}");
            let error = Limits::default().within(96 * MEBIBYTE, many, &Fixed::default()).unwrap_err();
            assert!(error.needed > 132 * MEBIBYTE, "{alone:?}: {error}");
            assert!(Limits::default().within(error.needed, many, &Fixed::default()).is_ok());
        }
    }

    #[test]
    fn a_limit_on_connections_of_a_client_stays_one_however_few_connections_there_are() {
        let limited = |connections: usize, client_connections: usize| {
            let limits = Limits { connections, client_connections, ..Limits::default() };
            limits.with_room_for_others().client_connections
        };
        assert_eq!([1, 2, 3, 4, 5, 7, 16].map(|all| limited(all, 100)), [1, 1, 2, 3, 3, 5, 12]);
        assert_eq!([1, 2, 3, 4, 5, 7, 16].map(|all| limited(all, 0)), [0; 7], "where there is none");
        assert_eq!([1, 2, 3, 4, 5, 7, 16].map(|all| limited(all, 1)), [1; 7]);
    }

    #[test]
    fn a_value_of_any_size_finds_room_in_limits_that_are_made_for_it() {
        for value_bytes in [1, 1 << 20, 64 << 20] {
            let limits = Limits { value_bytes, ..Limits::default() }.with_room_for_a_value();
            let room = limits.value_room();
            assert_eq!(room, value_bytes as u64 + VALUE_BESIDE);
            let holders = [limits.store_bytes, limits.pending_bytes, limits.copies_bytes as u64];
            assert!(holders.iter().all(|bytes| *bytes >= room), "{holders:?}");
            for shape in shapes() {
                let limits = limits.clone().within(4096 * MEBIBYTE, shape, &Fixed::default()).unwrap();
                let holder = if shape.on_disk { limits.pending_bytes } else { limits.store_bytes };
                assert!(holder >= room && limits.copies_bytes as u64 >= room, "{shape:?}: {limits:?}");
            }
        }
        let usual = Limits::default();
        assert_eq!(usual.clone().with_room_for_a_value(), usual, "it has room for the usual value");
    }

    #[test]
    fn too_little_memory_is_refused_with_how_much_will_do() {
        for shape in shapes() {
            for memory in [0, MEBIBYTE, 32 * MEBIBYTE] {
                let error = Limits::default().within(memory, shape, &Fixed::default()).unwrap_err();
                assert!((memory..96 * MEBIBYTE).contains(&error.needed), "{shape:?}: {error}");
            }
        }
    }

    #[test]
    fn limits_that_somebody_has_set_one_by_one_are_held_to_the_memory_too() {
        let shape = Shape { replicas: 3, on_disk: false, in_tls: false, threads: 0 };
        let limits = Limits { memory: Some(1 << 30), ..Limits::default() };
        let error = limits.check_memory(shape).unwrap_err();
        assert_eq!((error.memory, error.needed), (1 << 30, limits.memory_needed(shape)));
        let limits = Limits { memory: Some(error.needed), ..limits };
        assert_eq!(limits.check_memory(shape), Ok(()));
    }
}
