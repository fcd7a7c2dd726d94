//! The durable engine: records in a tree with a log before it, many writes in one synced commit, nothing damaged ever
//! served.
//!
//! A data directory belongs to one node. It holds:
//!
//! | file | what |
//! |---|---|
//! | `identity.json` | whose it is: ring, ring size, node, and the version of the format |
//! | `records.redb` | the tree: the records, in the order of their positions |
//! | `records.log` | the log: what was written last, until it is in the tree too |
//! | `records.unsynced` | there while a sync of the tree has failed and it was not written anew |
//! | `peers.json` | peers that the node remembers, to join again through |
//! | `lock` | held by the process that uses the directory, with its number inside |
//! | `*.damaged-N`, `quarantine-N.jsonl` | what was found damaged and set aside; safe to delete |
//!
//! It knows nothing of the ring's protocol, of sockets or of tokio: one thread of its own commits, and another fills the tree.

mod check;
mod commit;
mod commit_times;
mod damage;
mod database;
mod directory;
mod encoding;
mod engine;
mod entry;
mod error;
mod handover;
mod log;
mod medium;
mod merge;
mod pending;
mod quarantine;
mod replay;
mod salvage;
mod slowness;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod transfer;

pub use check::{Checked, check};
pub use commit_times::{COMMIT_BOUNDS, CommitCounts};
pub use database::Report;
pub use directory::{FORMAT, Identity, PEERS_MAX, RememberedPeers};
pub use error::{OpenError, TransferError};
pub use quarantine::{Damaged, QUARANTINED_NAMED_MAX, Quarantined};
pub use store::{
    CACHE_BYTES_DEFAULT, DamagePolicy, DiskStore, Options, PENDING_BYTES_DEFAULT, Statistics, Sync,
};
pub use transfer::{Exported, Imported, export, import};
