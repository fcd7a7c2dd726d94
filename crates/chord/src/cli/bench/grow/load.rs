//! What is asked of a ring: each connection sends its next request when the last is answered, and counts hops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chord::wire::{Answer, Request, Target};
use chord::{Client, Consistency, Key, NodeName, Operation, VALUE_BYTES_DEFAULT, Value};
use chord_sim::IdealRing;
use chord_sim::paper::Tally;
use tokio::task::JoinSet;

/// How long one answer may take: a ring of processes that share a core is slow, not dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A get or a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Put,
}

/// What is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    pub(super) keys: u64,
    pub(super) value_bytes: usize,
}

/// Connections to a ring, spread evenly over its nodes.
#[derive(Clone)]
pub(super) struct Load {
    connections: Vec<Arc<Client>>,
    contents: Contents,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    /// How often each request was forwarded.
    pub(super) hops: Tally,
    pub(super) elapsed: Duration,
}

fn key(number: u64) -> anyhow::Result<Key> {
    Ok(Key::new(format!("grow{number}").as_bytes())?)
}

impl Contents {
    /// The number of the key again and again, so that a value is checked without being kept.
    fn value(self, number: u64) -> anyhow::Result<Value> {
        let digits = number.to_string();
        let bytes: Vec<u8> = digits.bytes().cycle().take(self.value_bytes).collect();
        Ok(Value::new(&bytes, VALUE_BYTES_DEFAULT)?)
    }

    fn operation(self, kind: Kind, number: u64) -> anyhow::Result<Operation> {
        match kind {
            Kind::Get => Ok(Operation::Get),
            Kind::Put => Ok(Operation::put(self.value(number)?)),
        }
    }
}

impl Load {
    /// Connections that open when they are first used.
    pub(super) fn new(nodes: &[NodeName], connections: u16, contents: Contents) -> Self {
        let over_all = nodes.iter().cycle().take(connections.into());
        Self { connections: over_all.map(|node| Arc::new(Client::new(node.clone()))).collect(), contents }
    }

    /// Looks so many positions up, and compares each owner with the right one.
    pub(super) async fn look_up(&self, n_lookups: u64, ideal: &Arc<IdealRing>) -> anyhow::Result<Done> {
        let n_connections = self.connections.len();
        self.together(|number, client| {
            let ideal = ideal.clone();
            async move {
                let mut hops = Tally::default();
                for lookup in (0..n_lookups).skip(number).step_by(n_connections) {
                    hops.add(look_up(&client, format!("lookup{lookup}"), &ideal).await?);
                }
                Ok(hops)
            }
        })
        .await
    }

    /// Writes every key once.
    pub(super) async fn fill(&self) -> anyhow::Result<Done> {
        let (contents, n_connections) = (self.contents, self.connections.len());
        self.together(|number, client| async move {
            let mut hops = Tally::default();
            for key in (0..contents.keys).skip(number).step_by(n_connections) {
                hops.add(operate(&client, contents, Kind::Put, key).await?);
            }
            Ok(hops)
        })
        .await
    }

    /// Sends requests of that kind for so long.
    pub(super) async fn run(&self, kind: Kind, measured: Duration) -> anyhow::Result<Done> {
        let (contents, n_connections) = (self.contents, self.connections.len());
        let end = Instant::now() + measured;
        self.together(|number, client| async move {
            // One key after the other is as good as drawing them: their positions are hashes.
            let mut key = number as u64 * contents.keys / n_connections as u64;
            let mut hops = Tally::default();
            while Instant::now() < end {
                hops.add(operate(&client, contents, kind, key % contents.keys).await?);
                key += 1;
            }
            Ok(hops)
        })
        .await
    }

    /// Has all connections work at the same time, until each is done or one has failed.
    async fn together<W>(&self, work: impl Fn(usize, Arc<Client>) -> W) -> anyhow::Result<Done>
    where
        W: Future<Output = anyhow::Result<Tally>> + Send + 'static,
    {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, client) in self.connections.iter().enumerate() {
            tasks.spawn(work(number, client.clone()));
        }
        let mut hops = Tally::default();
        while let Some(ended) = tasks.join_next().await {
            hops.merge(&ended??);
        }
        Ok(Done { hops, elapsed: begun.elapsed() })
    }
}

/// Looks a key up, and says how often the question was forwarded.
async fn look_up(client: &Client, key: String, ideal: &IdealRing) -> anyhow::Result<u64> {
    let right = &ideal.views()[ideal.owner(ideal.size().position_of(key.as_bytes()))].me().name;
    let request = Request::FindSuccessor { target: Target::Key(key) };
    match client.call(&request, ANSWER_WITHIN).await?.answer {
        Answer::FindSuccessor { node, hops } if node == *right => Ok(hops.into()),
        Answer::FindSuccessor { node, .. } => {
            bail!("{} says that {node} owns a key that {right} owns", client.node())
        }
        _ => bail!("{} gave the answer to another question", client.node()),
    }
}

/// Gets or puts a key, and says how often the request was forwarded.
async fn operate(client: &Client, contents: Contents, kind: Kind, number: u64) -> anyhow::Result<u64> {
    let (key, operation) = (key(number)?, contents.operation(kind, number)?);
    let operated = client.operate(key, operation, Consistency::Usual, ANSWER_WITHIN).await?;
    let record = operated.outcome.record.context("a key that was written is not found")?;
    let is_right = record.value.is_some_and(|value| Some(value) == contents.value(number).ok());
    ensure!(is_right, "{} answered with another value than the one written", client.node());
    Ok(operated.hops.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_key_and_has_its_size() {
        let contents = Contents { keys: 20, value_bytes: 5 };
        assert_eq!(contents.value(12).unwrap().as_bytes(), b"12121");
        assert_eq!(Contents { value_bytes: 0, ..contents }.value(12).unwrap().as_bytes(), b"");
    }

    #[test]
    fn connections_are_spread_over_all_nodes() {
        let nodes: Vec<NodeName> = ["h:1", "h:2", "h:3"].map(|name| name.parse().unwrap()).into();
        let load = Load::new(&nodes, 7, Contents { keys: 1, value_bytes: 0 });
        let asked = |node: &NodeName| load.connections.iter().filter(|client| client.node() == node).count();
        assert_eq!(nodes.iter().map(asked).collect::<Vec<_>>(), [3, 2, 2]);
    }
}
