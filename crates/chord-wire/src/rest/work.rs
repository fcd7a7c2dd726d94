//! What a node has done since it started, in numbers that only grow: two reports give rates, and how long things took between.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Numbers in one list of these, at most: a node has twenty bounds. What is beyond is not read.
pub const WORK_NUMBERS_MAX: usize = 64;

/// What a node has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkBody {
    /// The bounds of all that is counted by how long it took, in microseconds, ascending.
    #[serde(default)]
    pub bounds_us: Vec<u64>,
    /// Gets that clients asked this node for, whoever owns the key.
    #[serde(default)]
    pub reads: OperationsBody,
    /// Changes that clients asked it for.
    #[serde(default)]
    pub writes: OperationsBody,
    /// What other nodes had it do as the owner of a key.
    #[serde(default)]
    pub as_owner: OperationsBody,
    /// How many operations have ended, however, by the door at which they came; an older node does not say it.
    #[serde(default)]
    pub doors: Option<DoorsBody>,
    /// How often what clients asked for was forwarded: the first counts what was not, the next what was once, and so on; the
    /// last counts whatever was forwarded more often.
    #[serde(default)]
    pub hops: Vec<u64>,
    /// Lookups of owners, for clients, for peers that asked and for itself.
    #[serde(default)]
    pub lookups: LookupsBody,
    /// What it has sent and fetched so that copies are where they should be.
    #[serde(default)]
    pub repair: RepairBody,
    /// Rounds of maintenance of the ring.
    #[serde(default)]
    pub rounds: u64,
    /// How often its successor became another.
    #[serde(default)]
    pub successor_changes: u64,
    /// How often its predecessor became another.
    #[serde(default)]
    pub predecessor_changes: u64,
    /// Neighbours that it dropped because they did not answer.
    #[serde(default)]
    pub dropped: u64,
    /// Connections that are open to it, in whatever language.
    #[serde(default)]
    pub connections: u64,
}

/// Operations on keys, by how they ended and how long they took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationsBody {
    /// Done, and of those on what was there: something was.
    pub ok: u64,
    /// Done, and nothing was there to read or to delete.
    pub absent: u64,
    /// Refused, since the client asked for what cannot be: a condition did not hold, or the value is no number.
    pub refused: u64,
    /// Not done, and nothing changed: the owner was not found in time, or its store is full.
    pub failed: u64,
    /// Nobody knows whether it was done.
    pub uncertain: u64,
    /// Nobody waits for it any more, since the connection by which it came is gone; it may be done.
    #[serde(default)]
    pub dropped: u64,
    /// How many took so long: the first up to the first bound, the next up to the second and longer than the first, and so on;
    /// the last counts those above all bounds.
    pub took: Vec<u64>,
    /// How long all of them took together, in microseconds.
    pub took_total_us: u64,
}

/// Operations on keys, by the door at which they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DoorsBody {
    /// The protocol of Redis.
    pub redis: u64,
    /// REST, as this document has it.
    pub rest: u64,
    /// JSON in the words of chord.py.
    pub json: u64,
    /// XML-RPC.
    pub xmlrpc: u64,
    /// Frames of clients.
    pub binary: u64,
    /// The program in which the node runs.
    pub library: u64,
    /// Other nodes of the ring, which take this one for the owner.
    pub peer: u64,
}

/// Lookups by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LookupsBody {
    /// The owner was found.
    pub found: u64,
    /// It was not.
    pub failed: u64,
}

/// Records on their way, other than the copies that a write makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairBody {
    /// Records that were sent to nodes that lacked them.
    pub sent_records: u64,
    /// What these weigh.
    pub sent_bytes: u64,
    /// Records that were fetched because this node lacked them.
    pub fetched_records: u64,
    /// What these weigh.
    pub fetched_bytes: u64,
}

impl WorkBody {
    /// The same with lists no longer than they may be.
    pub(super) fn cut(&mut self) {
        let Self { bounds_us, reads, writes, as_owner, hops, .. } = self;
        for list in [bounds_us, hops, &mut reads.took, &mut writes.took, &mut as_owner.took] {
            list.truncate(WORK_NUMBERS_MAX);
        }
    }
}
