//! All metrics there are. The text at `/metrics`, the table in `docs/metrics.md`, the dashboard and the alerts are held to this.
//!
//! No label comes from a key, a client or a peer's name: a label has the values that stand here and no others, so a node has
//! the same few hundred series whatever happens to it. Of each peer by name `/v1/node` tells.

use super::operations::{Deed, Deeds, Door, End};
use super::{CHECKS, LinkState, OF_TRIPS, Purpose, Speech};
use crate::clients::Rationed;
use crate::offence::Offence;

/// What sort of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows while the node runs.
    Counter,
    /// It is as it is now.
    Gauge,
    /// How often something was of which size, since the node runs.
    Histogram,
}

impl Kind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The values that a label may have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    These(&'static [&'static str]),
    /// The version of the program.
    Version,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    /// One sentence.
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [(&'static str, Values)],
}

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, unit: None, help, labels: &[] }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Counter, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Gauge, help)
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Histogram, help)
}

impl Metric {
    const fn in_seconds(self) -> Self {
        Self { unit: Some("seconds"), ..self }
    }

    const fn in_bytes(self) -> Self {
        Self { unit: Some("bytes"), ..self }
    }

    const fn by(self, labels: &'static [(&'static str, Values)]) -> Self {
        Self { labels, ..self }
    }
}

const DOOR: (&str, Values) = ("door", Values::These(&Door::WORDS));
const PURPOSE: (&str, Values) = ("purpose", Values::These(&Purpose::WORDS));
const DIRECTION: (&str, Values) = ("direction", Values::These(&["sent", "fetched"]));
const PROTOCOL: (&str, Values) = ("protocol", Values::These(&Speech::WORDS));
const CHECK: (&str, Values) = ("check", Values::These(&CHECKS));

macro_rules! metrics {
    ($($id:ident = $metric:expr;)*) => {
        $(pub(crate) static $id: Metric = $metric;)*

        /// All of them, in the order in which they are told.
        #[cfg(test)]
        pub(crate) static ALL: &[&Metric] = &[$(&$id),*];
    };
}

metrics! {
    BUILD_INFO = gauge("chord_build_info", "1; the label says which version of the program runs.")
        .by(&[("version", Values::Version)]);
    START_TIME = gauge("chord_start_time_seconds", "When the node was started, since 1970, by its own clock.").in_seconds();

    OPERATIONS = counter("chord_operations_total", "Operations on keys that have ended, by the door by which they came, by what they do and by how they ended: `absent` if nothing was there, `refused` if the client asked for what cannot be, `failed` if nothing was done, `uncertain` if nobody knows, `dropped` if the client went away before, or the node ended; these may be done too. The door `peer` is that of other nodes that take this one for the owner.")
        .by(&[DOOR, ("operation", Values::These(&Deed::WORDS)), ("result", Values::These(&End::WORDS))]);
    OPERATION_DURATION = histogram("chord_operation_duration_seconds", "How long operations on keys took, from when the request was read to when its answer was there; those that were dropped are not among them.")
        .in_seconds().by(&[DOOR, ("kind", Values::These(&Deeds::WORDS))]);
    OPERATION_HOPS = histogram("chord_operation_hops", "How often operations that clients asked for were forwarded until they were done.");
    OPERATIONS_UNDER_WAY = gauge("chord_operations_under_way", "Operations on this node's records that have not ended yet.");
    LOOKUPS = counter("chord_lookups_total", "Questions who owns a position that have ended, `found` if the owner said that it is: those of clients, of peers that pass one on, and of the node itself. What an operation on a key asks on its way is not among them, nor what was dropped.")
        .by(&[("result", Values::These(&["found", "failed"]))]);
    LOOKUP_HOPS = histogram("chord_lookup_hops", "How often lookups were forwarded until the owner was found.");

    ROUTING_CACHE = counter("chord_routing_cache_total", "Attempts at operations on keys whose owner this node does not list: `hit` if an owner that was learned in the last ten seconds was asked at once and said how it went, `wrong` if it was asked at once and refused, or did not answer, `miss` if none was known and the ring named the owner. An operation that is tried again counts again, and an owner that is not found not at all.")
        .by(&[("result", Values::These(&["hit", "wrong", "miss"]))]);
    ROUTING_CACHE_ENTRIES = gauge("chord_routing_cache_entries", "Owners that are remembered, of whom some may be too old to be asked at once.");

    PEERS = gauge("chord_peers", "Peers to which there is a link. A suspect one failed a moment ago, and is gone round until it answers a ping.")
        .by(&[("state", Values::These(&LinkState::WORDS))]);
    PEER_ROUND_TRIP = gauge("chord_peer_round_trip_seconds", "How long the answers of peers take, smoothed: of the fastest peer, the one in the middle, and the slowest.")
        .in_seconds().by(&[("of", Values::These(&OF_TRIPS))]);
    PEER_REQUESTS = counter("chord_peer_requests_total", "Requests that were sent to peers, by what they were for. One that had to be sent again counts once.")
        .by(&[PURPOSE]);
    PEER_REQUESTS_FAILED = counter("chord_peer_requests_failed_total", "Those of them to which no answer came in time, or none that makes sense.")
        .by(&[PURPOSE]);

    MEMBER = gauge("chord_member", "Whether the node is a member of a ring.");
    READY = gauge("chord_ready", "Whether nothing is lacking, here or elsewhere, as /readyz says.");
    SUCCESSORS = gauge("chord_successors", "Members after this node that it knows.");
    SUCCESSORS_WANTED = gauge("chord_successors_wanted", "How many of them it keeps in a ring that is large enough.");
    FINGERS = gauge("chord_fingers", "Distinct members further away that it knows.");
    RANGE_SHARE = gauge("chord_range_share_ratio", "The part of all positions for which the node answers.");
    MAINTENANCE_ROUNDS = counter("chord_maintenance_rounds_total", "Rounds of maintenance of the ring.");
    SUCCESSOR_CHANGES = counter("chord_successor_changes_total", "How often the successor became another.");
    PREDECESSOR_CHANGES = counter("chord_predecessor_changes_total", "How often the predecessor became another.");
    NEIGHBOURS_DROPPED = counter("chord_neighbours_dropped_total", "Neighbours that were dropped because they did not answer.");
    MERGES = counter("chord_merges_total", "How often another part of a ring that fell apart was found.");
    RING_VIOLATIONS = counter("chord_ring_violations_total", "How often a rule of the ring was found broken at this node; anything but 0 is a defect.");
    RING_DISAGREEMENT = gauge("chord_ring_disagreement", "1 where another node contradicted this one twice in a row: `found` that it finds this node's position here, `successor` that this node comes before it, `predecessor` that this node comes after it; `list` is 1 while this node knows fewer members after it than it should.")
        .by(&[CHECK]);
    SELF_PROBES = counter("chord_self_probes_total", "Questions to other nodes whether they find this one where it is.")
        .by(&[("result", Values::These(&["agrees", "contradicts", "unanswered"]))]);

    RECORDS = gauge("chord_records", "Records of the positions for which the node answers, deletions among them.");
    COPIES_MISSING = gauge("chord_copies_missing", "Copies of these that other nodes lack, at most.");
    REPAIR_RECORDS = counter("chord_repair_records_total", "Records that were sent to or fetched from other nodes so that copies are where they should be; not the copies that a write makes.")
        .by(&[DIRECTION]);
    REPAIR_BYTES = counter("chord_repair_bytes_total", "What these records weigh.").in_bytes().by(&[DIRECTION]);

    STORE_RECORDS = gauge("chord_store_records", "All records that are held here, copies for others among them.");
    STORE_BYTES = gauge("chord_store_bytes", "What they weigh.").in_bytes();
    STORE_LIMIT = gauge("chord_store_limit_bytes", "What they may weigh; in memory alone.").in_bytes();
    STORE_WRITABLE = gauge("chord_store_writable", "1; 0 while nothing can be written, as on a full disk.");
    STORE_COMMITS = counter("chord_store_commits_total", "Commits that became durable; 0 in memory.");
    STORE_COMMIT_DURATION = histogram("chord_store_commit_duration_seconds", "How long commits took until they were durable: many writes in one, with its sync, and with the wait for a disk that was full.").in_seconds();
    STORE_SYNCS = counter("chord_store_syncs_total", "How often a file of the records was synced, the log or the tree.");
    STORE_LOG_FAILURES = counter("chord_store_log_failures_total", "How often the log on the disk could not be begun or written, so that the slower tree took its place.");
    STORE_PENDING = gauge("chord_store_pending_bytes", "Records that wait for the disk.").in_bytes();
    STORE_LOGGED = gauge("chord_store_logged_bytes", "Records that are in the log on the disk and not in the tree yet; together with those that wait they count against `--pending-bytes`.").in_bytes();
    STORE_DAMAGED_READS = counter("chord_store_damaged_reads_total", "Reads of a record whose checksum is wrong.");
    STORE_SET_ASIDE = counter("chord_store_set_aside_total", "Damaged records that were set aside; other nodes have copies.");

    CONNECTIONS = gauge("chord_connections", "Connections that are open to this node.").by(&[PROTOCOL]);
    CONNECTIONS_OPENED = counter("chord_connections_opened_total", "Connections that were taken.").by(&[PROTOCOL]);
    CONNECTIONS_REFUSED = counter("chord_connections_refused_total", "Connections for which there was no place.");
    CONNECTIONS_DISPLACED = counter("chord_connections_displaced_total", "Idle connections that were ended since a newcomer wanted their place, when all were taken.");
    REFUSED = counter("chord_refused_total", "Requests and connections that were refused, by what was wrong with them: `secret` gave no secret that the node knows, `role` one that does not allow what was asked, `certificate` no certificate for what they said or asked, or one that the node does not believe, `place` orders from another machine where there are no secrets, `page` are web pages of other sites, `ring` are of another ring, `size` more than the node takes, `time` came or read too slowly, `plain` speak without TLS where that alone is spoken, `form` cannot be understood, `crowd` came when all places were taken and nobody was idle, `budget` wanted more than one client may have, as `chord_client_refusals_total` says in detail.")
        .by(&[("why", Values::These(&Offence::WORDS))]);
    CONNECTIONS_LIMIT = gauge("chord_connections_limit", "How many may be open at a time.");
    CLIENTS = gauge("chord_clients", "Addresses that have a connection, or had one a while ago.");
    CLIENT_REFUSALS = counter("chord_client_refusals_total", "What was refused to a client that had as much of it as one may have.")
        .by(&[("limit", Values::These(&Rationed::WORDS))]);
    SECRETS_REFUSED = gauge("chord_secrets_refused", "1 while what is in the file of secrets now is not taken, as the log says; with secrets alone.");
    TLS_EXPIRY = gauge("chord_tls_certificate_expiry_seconds", "Until when the certificate in use is valid, since 1970; with TLS alone.").in_seconds();
    TLS_BEGIN = gauge("chord_tls_certificate_begin_seconds", "Since when it is valid, since 1970; with TLS alone.").in_seconds();
    TLS_AUTHORITY_EXPIRY = gauge("chord_tls_authority_expiry_seconds", "Until when the authority that has signed it is valid, since 1970; with TLS alone.").in_seconds();
    TLS_FILES_REFUSED = gauge("chord_tls_files_refused", "1 while what is in the files of TLS now is not taken, as the log says; with TLS alone.");
    TLS_HANDSHAKES = counter("chord_tls_handshakes_total", "Connections to this node that were to become one in TLS: `resumed` of those who went on from an earlier one, `plain` of those who spoke without it and were refused, `impostor` of those who called themselves a node and had no certificate for it; with TLS alone.")
        .by(&[("result", Values::These(&["agreed", "resumed", "failed", "plain", "impostor"]))]);
    BODIES = gauge("chord_bodies_bytes", "Large requests that are under way, and large answers that are not read yet.").in_bytes();
    BODIES_LIMIT = gauge("chord_bodies_limit_bytes", "How much of that there may be.").in_bytes();
    WATCHED = gauge("chord_watched_bytes", "What waits for clients that watch keys.").in_bytes();

    MEMORY_LIMIT = gauge("chord_memory_limit_bytes", "How much memory the process may take; where there is such a limit.").in_bytes();

    RUNTIME_WORKERS = gauge("chord_runtime_workers", "Threads of the runtime that do the node's work.");
    RUNTIME_TASKS = gauge("chord_runtime_tasks", "Tasks of the runtime that have not ended.");
    RUNTIME_QUEUE = gauge("chord_runtime_queue_tasks", "Tasks that another thread has woken and that wait to be taken; what waits on a thread that has woken it itself is not among them.");
    RUNTIME_BUSY = counter("chord_runtime_busy_seconds_total", "How long its threads were at work, together.").in_seconds();

    PROCESS_CPU = counter("process_cpu_seconds_total", "CPU that the process has used; on Linux.").in_seconds();
    PROCESS_MEMORY = gauge("process_resident_memory_bytes", "Memory that the process has; on Linux.").in_bytes();
    PROCESS_PEAK = gauge("process_resident_memory_peak_bytes", "The most memory that the process has had; on Linux.").in_bytes();
    PROCESS_FILES = gauge("process_open_fds", "Files and sockets that the process has open; on Linux.");
    PROCESS_START = gauge("process_start_time_seconds", "When the process was started, since 1970; on Linux.").in_seconds();
}
