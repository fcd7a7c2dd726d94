//! `chord bench slow-peer`: what a peer that is frozen, slow or nearly mute costs those who ask for keys of others.

mod front;
mod load;
mod report;

use std::time::Duration;

use anyhow::{Context, bail};
use chord::{Key, NodeName, RingSize};
use clap::{Args, ValueEnum};

use super::cluster::{Behind, Cluster, Setup};
use super::keeping::KeepingArgs;
use super::ready::wait_until_ready;
use super::{CONNECTIONS_MAX, NODES_MAX, VALUE_BYTES_MAX};
use crate::cli::number;
use crate::cli::output::note;
use front::{Front, Manner, Whose};
use load::{Load, Plan};
use report::{Report, Round};

/// What a slow peer adds to each round trip, whoever has begun it.
const LATE_BY: Duration = Duration::from_millis(100);

/// Between two bytes of one that drips.
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// How long the ring may need until all is well again: a peer that was taken for dead comes back and gets its copies.
const WELL_WITHIN: Duration = Duration::from_secs(60);

/// Before the first measurement: connections and caches are warm after one.
const WARMUP: Duration = Duration::from_secs(1);

/// What can be wrong with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Its process stands still
    Frozen,
    /// What it is sent arrives 100 ms late: questions, and answers to its own
    Slow,
    /// It sends one byte a second on each connection
    Dripping,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Frozen, Self::Slow, Self::Dripping];

    fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Slow => "slow",
            Self::Dripping => "dripping",
        }
    }
}

fn limit(text: &str) -> Result<f64, String> {
    let limit = text.parse().ok().filter(|limit: &f64| limit.is_finite() && *limit > 0.0);
    limit.ok_or_else(|| "the limit is a number above 0, such as 1.2".to_owned())
}

/// Measure what a frozen, a slow and a dripping peer cost those who ask for keys of others
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  chord bench slow-peer
  chord bench slow-peer --fault frozen --rounds 9 --seconds 5
  chord bench slow-peer --json

Starts a ring of server processes, and sends reads and writes at a fixed rate to all but one of them, of keys that this one \
does not own. Nodes reach each other through proxies, with a fault and without; those slow down the connections to that one, and \
those on which it names itself as who asks. Requests go past them. Each fault is measured beside a time without any, in \
turn, and the ring is let heal before the next. What happens when the fault begins counts. A request counts from when it \
should have been sent, but for the 2 ms that timers may be late. Every value read is compared with the one written.

Where other work or the machine itself holds up a request now and then, with the fault or without it, the median of three \
rounds may be far off either way: then measure nine or more, with nothing else beside them.

The exit code is 1 if a request failed, while the ring healed too, or if the median ratio of any row is above --limit.")]
pub(crate) struct SlowPeerArgs {
    /// What is wrong with the peer; may be repeated; all of these, one after the other, if not given
    #[arg(long, value_enum)]
    fault: Vec<Fault>,

    /// How often each is measured, 1 to 100
    #[arg(long, value_name = "COUNT", default_value = "3",
        value_parser = number::within::<u16>("the number of rounds", 1..=100))]
    rounds: u16,

    /// How long to measure with a fault, and without, 1 to 3,600
    #[arg(long, default_value = "4", value_parser = number::seconds)]
    seconds: u64,

    /// How many server processes to start, 4 to 64
    #[arg(long, value_name = "COUNT", default_value = "5",
        value_parser = number::within::<u16>("the number of nodes", 4..=NODES_MAX))]
    nodes: u16,

    /// How many requests a second, 1 to 1,000,000, half of them reads
    #[arg(long, value_name = "COUNT", default_value = "1000",
        value_parser = number::within::<u32>("the rate of requests", 1..=1_000_000))]
    rate: u32,

    /// How many clients, over all nodes but the faulty one, 2 to 1,000; every other one reads, the rest write
    #[arg(long, value_name = "COUNT", default_value = "32",
        value_parser = number::within::<u16>("the number of clients", 2..=CONNECTIONS_MAX))]
    clients: u16,

    /// Size of a value, 0 to 1,048,576
    #[arg(long, value_name = "BYTES", default_value = "64",
        value_parser = number::within::<usize>("the size of a value in bytes", 0..=VALUE_BYTES_MAX))]
    value_bytes: usize,

    /// How many different keys, 1 to 1,000,000
    #[arg(long, value_name = "COUNT", default_value = "1000",
        value_parser = number::within::<u32>("the number of keys", 1..=1_000_000))]
    keys: u32,

    /// How many times as long the p99 may be with a fault, by the median over the rounds, before this fails
    #[arg(long, value_name = "RATIO", default_value = "1.2", value_parser = limit)]
    limit: f64,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Print one JSON object with results and settings
    #[arg(long)]
    json: bool,
}

impl SlowPeerArgs {
    pub(super) fn setup(&self) -> Setup {
        Setup::open(RingSize::DEFAULT, self.keeping.clone())
    }

    /// May be dropped at any point: every process started is in `cluster`.
    pub(super) async fn measure(&self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let (others, peer) = self.start(cluster).await?;
        let mut front = Front::new();
        front.stand(peer.name(), peer.there(), Whose::ToPeer).await?;
        for other in &others {
            front.stand(other.name(), other.there(), Whose::OfPeer(peer.name.to_string())).await?;
        }
        cluster.form_ring().await?;
        let ring = Ring { cluster, faulty: peer.name, front, others };
        ring.until_well().await?;
        let before = ring.front.heard();
        if before.of_peer == 0 {
            bail!(
                "the peer that is to be slow has named itself to none of the others, so what it asks could not be slowed: report this as a defect"
            );
        }
        let load = Load::start(&self.plan(&ring)).await?;
        tokio::time::sleep(WARMUP).await;
        let faults = if self.fault.is_empty() { &Fault::ALL[..] } else { &self.fault };
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            for fault in faults {
                note(format_args!("Round {round} of {}: {}...", self.rounds, fault.name()));
                rounds.push(self.round(*fault, &ring, &load).await?);
            }
        }
        drop(load);
        let nameless = ring.front.heard().nameless - before.nameless;
        let report = Report::new(self, faults, &rounds, nameless);
        report.print(self.json)?;
        report.check()
    }

    /// The one that something will be wrong with is the last.
    async fn start(&self, cluster: &mut Cluster) -> anyhow::Result<(Vec<Behind>, Behind)> {
        let mut all = cluster.start_behind(self.nodes.into()).await?;
        let peer = all.pop().context("there are nodes")?;
        Ok((all, peer))
    }

    fn plan(&self, ring: &Ring<'_>) -> Plan {
        let keys = (0..).map(|number: u32| format!("key {number}")).filter(|key| ring.others_own(key));
        let keys = keys.take(self.keys as usize).filter_map(|key| Key::new(key.as_bytes()).ok());
        Plan {
            nodes: ring.others.iter().map(|other| other.there.clone()).collect(),
            keys: keys.collect(),
            value_bytes: self.value_bytes,
            n_clients: self.clients,
            per_second: self.rate,
        }
    }

    /// One time without the fault, and one with it.
    async fn round(&self, fault: Fault, ring: &Ring<'_>, load: &Load) -> anyhow::Result<Round> {
        let measured = Duration::from_secs(self.seconds);
        let before = load.take()?;
        tokio::time::sleep(measured).await;
        let well = load.take()?;
        ring.begin(fault).await?;
        tokio::time::sleep(measured).await;
        let ill = load.take()?;
        ring.end(fault).await?;
        ring.until_well().await?;
        let mut round = Round { fault, well, ill };
        round.add_failures(before, load.take()?);
        Ok(round)
    }
}

/// A ring, and one of it that things can be wrong with.
struct Ring<'a> {
    cluster: &'a Cluster,
    faulty: NodeName,
    front: Front,
    others: Vec<Behind>,
}

impl Ring<'_> {
    /// Whether the key belongs to another than the faulty one.
    fn others_own(&self, key: &str) -> bool {
        let position = |name: &str| RingSize::DEFAULT.position_of(name.as_bytes());
        let key = position(key);
        let all = self.names();
        // The first at or after it, and else the first of all.
        let owner = all.min_by_key(|name| {
            let at = position(name.as_str());
            (at < key, at)
        });
        owner != Some(&self.faulty)
    }

    fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.others.iter().map(|other| &other.name).chain([&self.faulty])
    }

    async fn begin(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Frozen => self.cluster.freeze(&self.faulty).await?,
            Fault::Slow => self.front.behave(Manner::Late(LATE_BY)),
            Fault::Dripping => self.front.behave(Manner::Dripping(DRIP_EVERY)),
        }
        Ok(())
    }

    async fn end(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Frozen => self.cluster.thaw(&self.faulty).await?,
            Fault::Slow | Fault::Dripping => self.front.behave(Manner::Well),
        }
        Ok(())
    }

    async fn until_well(&self) -> anyhow::Result<()> {
        self.cluster.until_whole().await?;
        for node in self.names() {
            wait_until_ready(node, WELL_WITHIN).await?;
        }
        Ok(())
    }
}
