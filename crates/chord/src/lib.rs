//! A Chord distributed hash table: the library behind the `chord` command.
//!
//! A node inside your own program is one value. It founds a ring or joins one, answers for every key of the
//! ring, and leaves in good order:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use chord::Node;
//!
//! let first = Node::builder().listen("127.0.0.1:0").start().await?;
//! first.ready().await?;
//! let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await?;
//! second.ready().await?;
//!
//! first.put(b"greeting", b"hello").await?;
//! let got = second.get(b"greeting").await?;
//! assert_eq!(got.value.expect("it was just stored").as_bytes(), b"hello");
//!
//! second.shutdown().await; // hands its keys over
//! first.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Port 0 takes any free port; a node's name is the address it listens on, and that is what others join
//! through. [`Client`] talks to a node that runs elsewhere. The protocol itself, without any I/O, is the
//! crate
//! `chord-ring`; this crate adds nothing to it and must not: it gathers what users see.
//!
//! The feature `cli`, on by default, is the command line and what it depends on; a program that embeds nodes
//! can leave it out.

pub use chord_kv::replication::{
    Before, Change, Condition, Consistency, Expiry, Filter, Happened, Header, Notice, Operation, Outcome,
    REPLICAS_DEFAULT, REPLICAS_MAX, Seen, Since,
};
pub use chord_kv::tour::TourError;
pub use chord_kv::{
    Cursor, KEY_BYTES_MAX, Key, KeyTooLong, Range, Record, VALUE_BYTES_DEFAULT, VALUE_BYTES_LIMIT, Value,
    ValueTooLong, Version, VersionParseError,
};
pub use chord_node::{
    ANNEX_BYTES_MAX, ANNEX_WAIT, Annex, AnnexAnswer, AnnexAsked, Builder, CONNECTIONS_MIN, Certificate,
    Client, ClientError, ClientKeys, ClientTls, Connected, Contact, ContactParseError, Departure, Exposed,
    Fixed, Got, JoinEnded, KeyPage, Keys, KeysError, Language, LimitError, Limits, Listed, Measured,
    Measurement, MemoryError, MetricKind, Network, Node, OnDamage, Operated, OperationError, Reply, Series,
    Shape, StartError, Stored, Syncing, THREAD_BYTES, THREAD_FILES, TlsFileError, TlsFiles, Watch,
    WatchError, check_secrets,
};
pub use chord_ring::{
    CommandError, Found, NodeName, NodeNameError, Peer, Phase, Position, PositionParseError, RingName,
    RingNameError, RingSize, RingSizeError, RingSizeParseError, SLOWNESS_MAX, SUCCESSORS_DEFAULT,
    SUCCESSORS_LIMIT, SlownessError, SuccessorList, View, is_ideal,
};

/// Data directories that no node uses at the moment: whether they are whole, and their records as text.
pub mod data {
    pub use chord_disk::{
        Checked, Exported, Identity, Imported, OpenError, Quarantined, TransferError, check, export, import,
    };
}

/// What nodes tell of themselves and show of the ring: see [`Client::report`], [`Client::trace`] and [`Client::live_ring`].
pub mod seen {
    pub use chord_node::{LiveRing, RingEvent};
    pub use chord_wire::rest::{
        Arc, Belief, CopyBody, CopyState, DoorsBody, FingerBody, LinkBody, NodeBody, OperationsBody,
        PICTURE_NODES_MAX, PictureRead, ProcessBody, RING_REASONS_MAX, RangeBody, ReportBody, RingBody,
        RingHealth, RingReason, RingTrouble, SAID_MAX, SeenAs, SeenBody, SeenPlace, SentBody, Severity, Side,
        Sight, State, StepBody, StorageBody, TraceBody, Why, WorkBody, predecessor, successor,
    };
}

/// The seed's languages: what [`Client`] sends and gets, and how the seed's command line shows it.
pub mod wire {
    pub use chord_wire::seed::{Answer, Request, Target};
    pub use chord_wire::{Code, Command, Context, display_answer, display_node, display_request, xmlrpc};
}
