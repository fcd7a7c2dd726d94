//! A ring of processes: hops, requests between nodes and CPU of one operation, at one size.

use std::sync::Arc;
use std::time::Duration;

use chord::{NodeName, RingSize};
use chord_ring::{Config, Peer, RingTag};
use chord_sim::IdealRing;
use serde::Serialize;

use super::figures::{Hops, half_of_log2, real, round};
use super::load::{Contents, Done, Kind, Load};
use super::told::{self, Sent};
use crate::cli::bench::cluster::Cluster;
use crate::cli::bench::process::{self, Sample};
use crate::cli::output::note;

/// What is done to a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) ring_size: RingSize,
    pub(super) connections: u16,
    pub(super) contents: Contents,
    /// How long gets are measured, and puts.
    pub(super) measured: Duration,
    pub(super) lookups: u64,
}

/// How long it is counted what a ring does that nobody asks for anything.
const REST: Duration = Duration::from_secs(1);

/// What one size costs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Grown {
    pub(super) nodes: u16,
    pub(super) half_of_log2: f64,
    /// Of lookups, which ask the ring for an owner.
    pub(super) lookup_hops: Hops,
    pub(super) get: Cost,
    pub(super) put: Cost,
    pub(super) at_rest: AtRest,
}

/// What one operation costs all nodes together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cost {
    pub(super) count: u64,
    pub(super) per_second: f64,
    pub(super) hops: Hops,
    /// Requests from node to node: to find the owner, to have it do the operation, to keep copies, and all else about records.
    pub(super) requests: f64,
    pub(super) to_find: f64,
    pub(super) to_operate: f64,
    pub(super) to_copy: f64,
    pub(super) for_upkeep: f64,
    /// Microseconds; null where there is no /proc.
    pub(super) cpu_micros: Option<f64>,
}

/// What one node does that nobody asks for anything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AtRest {
    pub(super) requests_per_second: f64,
    /// Of one core; null where there is no /proc.
    pub(super) cpu_percent: Option<f64>,
}

/// A ring under measurement.
struct Ring<'a> {
    cluster: &'a Cluster,
    nodes: Vec<NodeName>,
}

/// What was used between two moments.
struct Used {
    sent: Sent,
    cpu_seconds: Option<f64>,
}

/// Starts a ring and measures it. May be dropped at any point: every process started is in `cluster`.
pub(super) async fn measure(cluster: &mut Cluster, n_nodes: u16, plan: Plan) -> anyhow::Result<Grown> {
    let nodes = cluster.start(n_nodes.into()).await?;
    cluster.form_ring().await?;
    let ideal = Arc::new(ideal(&nodes, plan.ring_size)?);
    told::wait_until_settled(&ideal).await?;
    match n_nodes {
        1 => note("Measuring 1 process..."),
        _ => note(format_args!("Measuring {n_nodes} processes...")),
    }
    let load = Load::new(&nodes, plan.connections.max(n_nodes), plan.contents);
    let ring = Ring { cluster, nodes };
    let looked_up = load.look_up(plan.lookups, &ideal).await?;
    load.fill().await?;
    let gets = ring.use_of(load.run(Kind::Get, plan.measured)).await?;
    let puts = ring.use_of(load.run(Kind::Put, plan.measured)).await?;
    let rest = async {
        tokio::time::sleep(REST).await;
        Ok(())
    };
    let (rested, ()) = ring.use_of(rest).await?;
    let cost = |(used, done): (Used, Done)| Cost::new(&used, &done, &rested.sent);
    Ok(Grown {
        nodes: n_nodes,
        half_of_log2: round(half_of_log2(n_nodes.into())),
        lookup_hops: Hops::of(&looked_up.hops),
        get: cost(gets),
        put: cost(puts),
        at_rest: AtRest::new(&rested, n_nodes),
    })
}

/// What the nodes believe when they know all that they can know.
fn ideal(nodes: &[NodeName], ring_size: RingSize) -> anyhow::Result<IdealRing> {
    let ring = RingTag { name: chord::RingName::default(), size: ring_size };
    let peers = nodes.iter().map(|name| Peer::of_name(name.clone(), ring_size)).collect();
    Ok(IdealRing::new(&Config::new(ring), peers)?)
}

impl Ring<'_> {
    async fn use_of<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Used, T)> {
        // CPU inside, requests outside: to ask the nodes what they have sent costs them some.
        let sent = told::sent_by_all(&self.nodes).await?;
        let samples = self.cluster.samples();
        let done = work.await?;
        let cpu_seconds = cpu_seconds(&samples, &self.cluster.samples());
        let sent = told::sent_by_all(&self.nodes).await?.since(sent);
        Ok((Used { sent, cpu_seconds }, done))
    }
}

fn cpu_seconds(before: &[Sample], after: &[Sample]) -> Option<f64> {
    let used = process::usage(before, after);
    (!used.is_empty()).then(|| used.iter().map(|used| used.cpu_seconds).sum())
}

impl Cost {
    /// `rest` is what the nodes send in [`REST`] anyhow, which does not count.
    fn new(used: &Used, done: &Done, rest: &Sent) -> Self {
        let count = done.hops.n_values();
        let n_rests = done.elapsed.as_secs_f64() / REST.as_secs_f64();
        let each = |sent: u64, at_rest: u64| {
            round((real(sent) - real(at_rest) * n_rests).max(0.0) / real(count.max(1)))
        };
        let sent = used.sent;
        let to_find = each(sent.lookups, rest.lookups);
        let to_operate = each(sent.operations, rest.operations);
        let to_copy = each(sent.copies, rest.copies);
        let for_upkeep = each(sent.upkeep, rest.upkeep);
        Self {
            count,
            per_second: round(real(count) / done.elapsed.as_secs_f64()),
            hops: Hops::of(&done.hops),
            requests: round(to_find + to_operate + to_copy + for_upkeep),
            to_find,
            to_operate,
            to_copy,
            for_upkeep,
            cpu_micros: used.cpu_seconds.map(|seconds| round(seconds * 1e6 / real(count.max(1)))),
        }
    }
}

impl AtRest {
    fn new(rested: &Used, n_nodes: u16) -> Self {
        let Sent { ring, lookups, operations, copies, upkeep } = rested.sent;
        let each = |sum: f64| round(sum / REST.as_secs_f64() / f64::from(n_nodes));
        Self {
            requests_per_second: each(real(ring + lookups + operations + copies + upkeep)),
            cpu_percent: rested.cpu_seconds.map(|seconds| each(seconds * 100.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_sim::paper::Tally;

    use super::*;

    #[test]
    fn what_nodes_send_anyhow_is_not_counted_to_an_operation() {
        let hops: Tally = [1, 1, 0, 2].into_iter().collect();
        let done = Done { hops, elapsed: REST * 2 };
        let sent = Sent { ring: 99, lookups: 10, operations: 4, copies: 8, upkeep: 5 };
        let used = Used { sent, cpu_seconds: Some(0.001) };
        let rest = Sent { ring: 40, lookups: 3, operations: 0, copies: 0, upkeep: 3 };
        let cost = Cost::new(&used, &done, &rest);
        assert_eq!((cost.to_find, cost.to_operate, cost.to_copy), (1.0, 1.0, 2.0));
        assert_eq!((cost.for_upkeep, cost.requests, cost.count), (0.0, 4.0, 4));
        assert_eq!((cost.hops.mean, cost.cpu_micros), (1.0, Some(250.0)));
        let at_rest = AtRest::new(&Used { sent: rest, cpu_seconds: Some(0.2) }, 2);
        assert_eq!((at_rest.requests_per_second, at_rest.cpu_percent), (23.0, Some(10.0)));
    }
}
