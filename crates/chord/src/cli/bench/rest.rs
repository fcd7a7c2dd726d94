//! What a ring costs that nobody uses.

use chord::RingSize;
use serde::Serialize;

use super::process::Usage;
use super::report::usage_table;

/// Memory and CPU of each process at rest.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    seconds: u64,
    ring_size: u16,
    servers: Vec<Usage>,
}

impl Report {
    pub(super) fn new(seconds: u64, ring_size: RingSize, servers: Vec<Usage>) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), seconds, ring_size: ring_size.bits(), servers }
    }

    pub(super) fn text(&self) -> String {
        let (nodes, seconds) = (self.servers.len(), self.seconds);
        format!("{}\n{nodes} nodes at rest, measured for {seconds} s\n", usage_table(&self.servers))
    }
}
