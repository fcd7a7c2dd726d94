//! What a node tells of itself at `/v1/ring`: whom it knows, and how many requests it has sent.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chord::NodeName;
use chord_ring::{Peer, View};
use chord_sim::IdealRing;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cli::bench::response;

/// How often a node is asked whether it knows its ring.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long one answer may take, even on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a ring that has formed may need until every node knows its fingers: one is looked up in a round, there are a
/// handful, and rounds come every second at least.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Longest answer: a node knows at most 64 successors and 256 fingers, of a few hundred bytes each.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What a node says.
#[derive(Debug, Deserialize)]
struct Told {
    successors: Vec<Named>,
    fingers: Vec<Named>,
    is_ready: bool,
    sent: Sent,
}

#[derive(Debug, Deserialize)]
struct Named {
    node: String,
}

/// How many requests were sent to peers, by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Sent {
    pub(super) ring: u64,
    pub(super) lookups: u64,
    pub(super) operations: u64,
    pub(super) copies: u64,
    pub(super) upkeep: u64,
}

impl Sent {
    /// What was sent since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            ring: self.ring.saturating_sub(before.ring),
            lookups: self.lookups.saturating_sub(before.lookups),
            operations: self.operations.saturating_sub(before.operations),
            copies: self.copies.saturating_sub(before.copies),
            upkeep: self.upkeep.saturating_sub(before.upkeep),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            ring: self.ring + other.ring,
            lookups: self.lookups + other.lookups,
            operations: self.operations + other.operations,
            copies: self.copies + other.copies,
            upkeep: self.upkeep + other.upkeep,
        }
    }
}

/// What all these nodes together have sent.
pub(super) async fn sent_by_all(nodes: &[NodeName]) -> anyhow::Result<Sent> {
    let mut sum = Sent::default();
    for node in nodes {
        sum = sum.and(told(node).await?.sent);
    }
    Ok(sum)
}

/// Waits until each node knows whom it can know, and has what it should have.
pub(super) async fn wait_until_settled(ideal: &IdealRing) -> anyhow::Result<()> {
    let until = Instant::now() + SETTLED_WITHIN;
    for view in ideal.views() {
        let node = &view.me().name;
        while !is_settled(&told(node).await?, view) {
            if Instant::now() >= until {
                bail!("{node} does not know all of its ring after {} s", SETTLED_WITHIN.as_secs());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    Ok(())
}

fn is_settled(told: &Told, view: &View) -> bool {
    let named = |told: &[Named], peer: &Peer| told.iter().any(|named| named.node == peer.name.as_str());
    let list = view.successors().as_slice();
    // One that the list has overtaken may be left among the fingers, and does no harm.
    told.is_ready
        && told.successors.len() == list.len()
        && list.iter().all(|peer| named(&told.successors, peer))
        && view.fingers().runs().iter().all(|run| named(&told.fingers, &run.peer))
}

async fn told(node: &NodeName) -> anyhow::Result<Told> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(node)).await;
    let asked = asked.map_err(|_| anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs()));
    asked.and_then(|asked| asked).with_context(|| format!("cannot ask {node} about its ring"))
}

async fn ask(node: &NodeName) -> anyhow::Result<Told> {
    let mut stream = TcpStream::connect((node.host(), node.port())).await?;
    let request = format!("GET /v1/ring HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let head = response::head(&answer)?.context("the answer is cut off")?;
    if head.status != 200 {
        bail!("status {}", head.status);
    }
    let body = answer.get(head.bytes..).unwrap_or_default();
    serde_json::from_slice(body).context("the answer is not what is known about a ring")
}
