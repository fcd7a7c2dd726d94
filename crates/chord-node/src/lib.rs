//! A running chord node on tokio: one listener and its doors, links to the other nodes, and the task that drives the
//! ring's state machine.
//!
//! Everything that touches a socket or a clock is here. No rule of the ring or of its records is: what to do comes from
//! [`chord_ring::Node`] and [`chord_ring::Lookup`], and from [`chord_kv::replication`], and this crate does it.

mod age;
mod annex;
mod asked;
mod askers;
mod beginning;
mod builder;
mod client;
mod clients;
mod clock;
mod contact;
mod copies;
mod crawl;
mod crew;
mod departed;
mod departure;
mod door;
mod error;
mod follow;
mod guard;
mod health;
mod keys;
mod limits;
mod links;
mod listen;
mod memory;
mod metrics;
mod network;
mod node;
mod offence;
mod operation;
mod owner;
mod pacing;
mod probe;
mod reach;
mod records;
mod report;
mod secret;
mod shared;
mod shortcuts;
mod storage;
mod stream;
mod tls;
mod watch;

pub use annex::{ANNEX_BYTES_MAX, ANNEX_WAIT, Annex, AnnexAnswer, AnnexAsked};
pub use builder::{Builder, StartError};
pub use client::{Client, ClientError, ClientKeys, KeysError, Listed, LiveRing, Operated, Reply, RingEvent};
pub use contact::{Contact, ContactParseError};
pub use crew::THREAD_FILES;
pub use departure::Departure;
pub use error::{JoinEnded, OperationError};
pub use keys::{KeyPage, Keys};
pub use limits::{LimitError, Limits};
pub use links::Language;
pub use memory::{CONNECTIONS_MIN, Fixed, MemoryError, Shape, THREAD_BYTES};
pub use metrics::{Kind as MetricKind, Measured, Measurement, Series};
pub use network::Network;
pub use node::{Got, Node, Stored};
pub use secret::{BadSecret, Exposed, Role, SecretFileError, SecretsError, check_secrets};
pub use storage::{OnDamage, Syncing};
pub use tls::{Certificate, ClientTls, Connected, TlsFileError, TlsFiles};
pub use watch::{Watch, WatchError};
