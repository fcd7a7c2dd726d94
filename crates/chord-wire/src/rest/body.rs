//! The bodies of answers that are JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chord_kv::Key;
use chord_ring::{NodeName, Peer, Position, RingSize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of such a body.
pub const JSON_TYPE: &str = "application/json";

/// A key as JSON can spell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpelledKey {
    /// The key, as text; this or `key_base64` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "greeting")]
    key: Option<String>,
    /// The key in base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "byte")]
    key_base64: Option<String>,
}

impl From<&Key> for SpelledKey {
    fn from(key: &Key) -> Self {
        match std::str::from_utf8(key.as_bytes()) {
            Ok(text) => Self { key: Some(text.to_owned()), key_base64: None },
            Err(_) => Self { key: None, key_base64: Some(STANDARD.encode(key.as_bytes())) },
        }
    }
}

/// A node and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeBody {
    /// Its name: `HOST:PORT`, where it answers clients too.
    #[schema(example = "127.0.0.1:4567")]
    pub node: String,
    /// Its position, in decimal; it may have 78 digits.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
}

impl From<&Peer> for NodeBody {
    fn from(peer: &Peer) -> Self {
        Self { node: peer.name.to_string(), position: peer.position.to_string() }
    }
}

/// The number under a key after an increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counter {
    /// It may be larger than a program can hold that keeps numbers as floats: 64 bits.
    pub value: i64,
}

/// What one node believes about its ring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RingBody {
    /// The node that answers.
    pub node: String,
    /// Its position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// The ring's name.
    pub ring_name: String,
    /// How many bits a position has.
    #[schema(minimum = 1, maximum = 256)]
    pub ring_size: u16,
    /// Whether the node is a member of a ring.
    pub is_member: bool,
    /// The member before it, if it knows one.
    pub predecessor: Option<NodeBody>,
    /// The members after it, nearest first.
    pub successors: Vec<NodeBody>,
    /// The members further away that it knows, nearest first.
    pub fingers: Vec<FingerBody>,
    /// The positions that it answers for; null if it does not know yet.
    pub range: Option<RangeBody>,
    /// Whether nothing is lacking, here or elsewhere, as `/readyz` says.
    pub is_ready: bool,
    /// Why it is not ready.
    pub not_ready_because: Option<String>,
    /// What it has asked its peers since it started.
    #[serde(default)]
    pub sent: SentBody,
}

/// How many requests a node has sent to its peers since it started, by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentBody {
    /// To maintain the ring.
    pub ring: u64,
    /// To find the owner of a position, for a client, a peer or the node itself.
    pub lookups: u64,
    /// To have an owner do what a client wants.
    pub operations: u64,
    /// To have copies kept, or to read them.
    pub copies: u64,
    /// For all else about records: whether copies are where they should be, lists, watches.
    pub upkeep: u64,
}

/// Entries of the finger table that name one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FingerBody {
    /// The member.
    pub node: String,
    /// Its position.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub position: String,
    /// The first of its entries: entry k names the first member at or after the node's position plus 2^k.
    pub first: u16,
    /// The last of its entries.
    pub last: u16,
}

/// The positions that a node answers for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RangeBody {
    /// They begin behind this position; that of the node itself if it answers for all.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub after: String,
    /// They end with this position, that of the node.
    #[schema(pattern = "^[0-9]{1,78}$")]
    pub up_to: String,
    /// Which part of the ring that is.
    #[schema(minimum = 0, maximum = 1)]
    pub share: f64,
    /// Whether the node has everything in it.
    pub is_complete: bool,
}

impl RangeBody {
    /// The range that ends with `up_to`.
    pub fn new(size: RingSize, after: Position, up_to: Position, is_complete: bool) -> Self {
        let distance = size.distance(after, up_to);
        let share = if after == up_to { 1.0 } else { size.fraction(distance) };
        Self { after: after.to_string(), up_to: up_to.to_string(), share, is_complete }
    }

    /// Which part of the ring it is.
    pub fn share(&self) -> f64 {
        self.share
    }
}

/// The way to the owner of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LookupBody {
    /// Where the key lies.
    #[schema(pattern = "^[0-9]{1,78}$")]
    position: String,
    /// The node that owns it.
    owner: NodeBody,
    /// How many times the question was forwarded.
    hops: u32,
    /// The nodes that had the question: the one that was asked first, the owner last.
    path: Vec<NodeBody>,
}

impl LookupBody {
    /// What a lookup of `position` found.
    pub fn new(size: RingSize, position: Position, owner: &Peer, hops: u32, path: &[NodeName]) -> Self {
        let mut path: Vec<_> =
            path.iter().map(|name| NodeBody::from(&Peer::of_name(name.clone(), size))).collect();
        let owner = NodeBody::from(owner);
        if path.last() != Some(&owner) {
            path.push(owner.clone());
        }
        Self { position: position.to_string(), owner, hops, path }
    }
}

/// A body as JSON, with a line feed at its end for whoever reads it in a terminal.
pub(super) fn json<T: Serialize>(body: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(body).expect("names and numbers can be written as JSON");
    bytes.push(b'\n');
    bytes
}

/// Writes a body as JSON.
pub fn encode_body<T: Serialize + ToSchema>(body: &T) -> Vec<u8> {
    json(body)
}
