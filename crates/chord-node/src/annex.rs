//! What a program answers at the doors of its nodes beside what the nodes do: `chord dev` has its buttons there.

use std::fmt::Debug;
use std::pin::Pin;

use bytes::Bytes;
use chord_ring::NodeName;

/// Bytes of a body that an annex is given, at most: it takes orders, not data.
pub const ANNEX_BYTES_MAX: usize = 4 << 10;

/// Answers requests below `/dev/` at the door of a node, for browsers that show the node's own page. The door lets nobody else
/// in: see `docs/page.md`.
pub trait Annex: Debug + Send + Sync {
    /// Answers one. It is given [`ANNEX_WAIT`] for it.
    fn answer(&self, asked: AnnexAsked) -> Pin<Box<dyn Future<Output = AnnexAnswer> + Send>>;
}

/// How long an annex may take.
pub const ANNEX_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What is asked of an annex.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AnnexAsked {
    /// The node at whose door it is asked.
    pub at: NodeName,
    /// Whether something is to be done; otherwise it is only read.
    pub is_order: bool,
    /// The path behind `/dev/`.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

/// What an annex says.
#[derive(Clone, Debug)]
pub struct AnnexAnswer {
    /// As in HTTP; what is none is 500.
    pub status: u16,
    /// In JSON.
    pub json: Vec<u8>,
}
