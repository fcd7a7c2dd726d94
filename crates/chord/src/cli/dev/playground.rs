//! The ring of `chord dev`, and what may be done to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chord::{Annex, Builder, Network, Node, NodeName, RingSize, View, is_ideal};
use serde::Serialize;
use tokio::sync::watch;

use super::host::Host;
use super::load::{Load, LoadBody};
use super::orders::Desk;
use super::{LOOK_EVERY, NODES_MAX, ports};

/// Ports that are tried for a new node, which follow those that are taken.
const PORTS_TRIED: u16 = 100;

/// How long a new node tries to join before it is given up.
const JOIN_TRIES: u32 = 200;

/// The nodes of the ring, and the network between them.
pub(super) struct Playground {
    ring_size: RingSize,
    slowness: u8,
    network: Network,
    hosts: Mutex<BTreeMap<NodeName, Arc<Host>>>,
    changed: watch::Sender<()>,
    /// One order at a time.
    ordering: tokio::sync::Mutex<()>,
    load: Load,
    this: Weak<Playground>,
}

/// Why an order is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no node of this ring has that name")]
    NoSuchNode,
    #[error("this page is shown by that very node: open the page of another node for that")]
    ItsOwnPage,
    #[error("the node is frozen: thaw it first")]
    Frozen,
    #[error("the node is not frozen")]
    NotFrozen,
    #[error("the node is leaving already")]
    Leaving,
    #[error("the ring has {NODES_MAX} nodes already, as many as it may")]
    Full,
    #[error("no other port was free: {0}")]
    NoPort(String),
    #[error("the ring is cut already: heal it first")]
    Cut,
    #[error("the ring is not cut")]
    NotCut,
    #[error("one node cannot be cut in two: add another")]
    TooFew,
}

/// What is told of the ring.
#[derive(Debug, Serialize)]
pub(super) struct StateBody {
    nodes: Vec<NodeBody>,
    nodes_max: u64,
    is_cut: bool,
    slowness: u8,
    load: LoadBody,
}

#[derive(Debug, Serialize)]
struct NodeBody {
    node: String,
    is_frozen: bool,
    is_leaving: bool,
    /// Whether it is on the other side of the cut, seen from the node that is asked.
    is_apart: bool,
}

impl Playground {
    pub(super) fn new(ring_size: RingSize, slowness: u8) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            ring_size,
            slowness,
            network: Network::new(),
            hosts: Mutex::default(),
            changed: watch::Sender::new(()),
            ordering: tokio::sync::Mutex::default(),
            load: Load::new(),
            this: this.clone(),
        })
    }

    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// Starts a node that is in no ring.
    pub(super) async fn start(&self, name: &NodeName) -> anyhow::Result<Arc<Host>> {
        let host = Arc::new(Host::start(self.builder(name)).await?);
        self.hosts().insert(host.name().clone(), host.clone());
        if let Some(this) = self.this.upgrade() {
            let host = host.clone();
            tokio::spawn(async move {
                host.ended().await;
                this.forget(&host);
            });
        }
        Ok(host)
    }

    fn builder(&self, name: &NodeName) -> Builder {
        let annex: Arc<dyn Annex> = Arc::new(Desk::new(self.this.clone()));
        let builder = Node::builder().listen(name.as_str()).ring_size(self.ring_size).wait_for_command();
        builder.slowness(self.slowness).network(self.network.clone()).annex(annex)
    }

    fn forget(&self, ended: &Arc<Host>) {
        let mut hosts = self.hosts();
        if hosts.get(ended.name()).is_some_and(|host| Arc::ptr_eq(host, ended)) {
            hosts.remove(ended.name());
        }
        drop(hosts);
        self.changed.send_replace(());
    }

    pub(super) fn all(&self) -> Vec<Arc<Host>> {
        self.hosts().values().cloned().collect()
    }

    /// Waits until no node is left.
    pub(super) async fn emptied(&self) {
        let mut changes = self.changed.subscribe();
        // The sender lives in `self`.
        let _ = changes.wait_for(|()| self.hosts().is_empty()).await.map(drop);
    }

    /// The nodes that answer clients.
    pub(super) fn in_reach(&self) -> Vec<NodeName> {
        let hosts = self.hosts();
        let answer = hosts.values().filter(|host| !host.is_frozen() && !host.is_leaving());
        answer.map(|host| host.name().clone()).collect()
    }

    /// Whether every node is there, agrees with its neighbours and has what it should have.
    pub(super) fn is_whole(&self) -> bool {
        let hosts = self.all();
        let is_well =
            |host: &Arc<Host>| !host.is_frozen() && !host.is_leaving() && host.node().readiness().is_ok();
        self.network.apart().is_empty() && hosts.iter().all(is_well) && {
            let views: Vec<Arc<View>> = hosts.iter().map(|host| host.node().view()).collect();
            is_ideal(views.iter().map(AsRef::as_ref))
        }
    }

    pub(super) fn state(&self, at: &NodeName) -> StateBody {
        let apart = self.network.apart();
        let node = |host: &Arc<Host>| NodeBody {
            node: host.name().to_string(),
            is_frozen: host.is_frozen(),
            is_leaving: host.is_leaving(),
            is_apart: apart.contains(host.name()) != apart.contains(at),
        };
        StateBody {
            nodes: self.hosts().values().map(node).collect(),
            nodes_max: NODES_MAX,
            is_cut: !apart.is_empty(),
            slowness: self.slowness,
            load: self.load.told(),
        }
    }

    /// Adds a node, which joins through the one that is asked.
    pub(super) async fn add(&self, at: &NodeName) -> Result<NodeName, Refused> {
        let _one = self.ordering.lock().await;
        let names: Vec<NodeName> = self.hosts().keys().cloned().collect();
        if names.len() as u64 >= NODES_MAX {
            return Err(Refused::Full);
        }
        let last = names.iter().map(NodeName::port).max().unwrap_or_default();
        let mut why = "there is none above the last".to_owned();
        for port in last.saturating_add(1)..=last.saturating_add(PORTS_TRIED) {
            let name = ports::loopback(port);
            if ports::collision(&[&names[..], std::slice::from_ref(&name)].concat(), self.ring_size).is_some()
            {
                "its position is taken; use a larger --ring-size".clone_into(&mut why);
                continue;
            }
            match self.start(&name).await {
                Ok(host) => {
                    self.stay_on_one_side(&name, at);
                    tokio::spawn(join(host, at.clone()));
                    return Ok(name);
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(Refused::NoPort(why))
    }

    /// A new node is on the side of the one through which it joins.
    fn stay_on_one_side(&self, name: &NodeName, at: &NodeName) {
        let mut apart = self.network.apart();
        if apart.contains(at) {
            apart.insert(name.clone());
            self.network.cut(apart);
        }
    }

    pub(super) async fn leave(&self, at: &NodeName, name: &NodeName) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        let host = self.other(at, name)?;
        if host.is_frozen() {
            return Err(Refused::Frozen);
        }
        if host.is_leaving() {
            return Err(Refused::Leaving);
        }
        host.leave();
        Ok(())
    }

    pub(super) async fn kill(&self, at: &NodeName, name: &NodeName) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        let host = self.other(at, name)?;
        host.kill();
        // It is gone when this is answered.
        if tokio::time::timeout(Duration::from_secs(5), host.ended()).await.is_ok() {
            self.forget(&host);
        }
        Ok(())
    }

    pub(super) async fn freeze(&self, at: &NodeName, name: &NodeName) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        let host = self.other(at, name)?;
        if host.is_frozen() {
            return Err(Refused::Frozen);
        }
        host.freeze();
        Ok(())
    }

    pub(super) async fn thaw(&self, name: &NodeName) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        let host = self.hosts().get(name).cloned().ok_or(Refused::NoSuchNode)?;
        if !host.is_frozen() {
            return Err(Refused::NotFrozen);
        }
        host.thaw();
        Ok(())
    }

    /// Cuts the network: half of the nodes, as they follow the one that is asked, stay with it.
    pub(super) async fn cut(&self, at: &NodeName) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        if !self.network.apart().is_empty() {
            return Err(Refused::Cut);
        }
        let mut placed: Vec<_> = self
            .hosts()
            .keys()
            .map(|name| (self.ring_size.position_of(name.as_str().as_bytes()), name.clone()))
            .collect();
        if placed.len() < 2 {
            return Err(Refused::TooFew);
        }
        placed.sort_unstable();
        let begin = placed.iter().position(|(_, name)| name == at).unwrap_or_default();
        placed.rotate_left(begin);
        let half = placed.len().div_ceil(2);
        self.network.cut(placed.into_iter().skip(half).map(|(_, name)| name));
        Ok(())
    }

    pub(super) async fn heal(&self) -> Result<(), Refused> {
        let _one = self.ordering.lock().await;
        if self.network.apart().is_empty() {
            return Err(Refused::NotCut);
        }
        self.network.heal();
        Ok(())
    }

    /// A node that is not the one at whose door it is asked: that one shows the page.
    fn other(&self, at: &NodeName, name: &NodeName) -> Result<Arc<Host>, Refused> {
        if at == name {
            return Err(Refused::ItsOwnPage);
        }
        self.hosts().get(name).cloned().ok_or(Refused::NoSuchNode)
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<NodeName, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Joins however often it takes: a ring that is changing may refuse for a moment.
pub(super) async fn join(host: Arc<Host>, contact: NodeName) {
    for _ in 0..JOIN_TRIES {
        if host.node().view().is_member() {
            return;
        }
        tokio::select! {
            joined = host.join(contact.clone()) => match joined {
                Ok(()) => return,
                Err(error) => tracing::info!(event = "join-failed", node = %host.name(), "{error}; trying again"),
            },
            () = host.ended() => return,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
