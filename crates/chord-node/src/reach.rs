//! Reach: whether the name that a node gives to others leads to this very process.
//!
//! Soon after the start the node connects to its own name and says hello with a challenge that it has just drawn. Who has heard
//! that challenge is this process, whatever stands between; who has not is another, whatever it calls itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_ring::NodeName;
use chord_wire::frame::Challenge;

use crate::links::{Unanswered, greet, lock};
use crate::secret::draw;
use crate::shared::{Shared, Stage};

/// How long the way to this node itself may take.
const CALL_WAIT: Duration = Duration::from_secs(2);

/// Calls of this node to itself: one, but for tests.
#[derive(Debug)]
pub(crate) struct OwnCall {
    /// Whether the node has another name than where it listens.
    is_advertised: bool,
    /// The challenges that are on their way.
    unheard: Mutex<Vec<Challenge>>,
}

impl OwnCall {
    /// None yet, of a node whose name is another than where it listens or not.
    pub(crate) fn new(is_advertised: bool) -> Self {
        Self { is_advertised, unheard: Mutex::default() }
    }

    /// Somebody says hello with that.
    pub(crate) fn hear(&self, challenge: &Challenge) {
        lock(&self.unheard).retain(|unheard| unheard != challenge);
    }

    fn begin(&self) -> Challenge {
        let challenge = draw();
        lock(&self.unheard).push(challenge);
        challenge
    }

    /// Whether it was heard here.
    fn end(&self, challenge: &Challenge) -> bool {
        let mut unheard = lock(&self.unheard);
        let n_before = unheard.len();
        unheard.retain(|unheard| unheard != challenge);
        unheard.len() == n_before
    }
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leads {
    /// Here.
    Here,
    /// To another node, of that name.
    ToAnother(NodeName),
    /// To something that is no node.
    ToNoNode,
    /// Nobody knows: for that reason.
    Nowhere(String),
}

/// Calls this node by its name, and says in the log if that leads elsewhere, or if only this machine can follow it.
pub(crate) async fn check_name(shared: Arc<Shared>, bound: SocketAddr) {
    let name = &shared.me.name;
    if shared.own_call.is_advertised {
        tokio::select! {
            leads = call(&shared, name) => tell(name, bound, &leads),
            () = shared.reached(Stage::Departing) => {}
        }
    } else if is_local_by_mistake(name, bound.ip()) {
        tracing::warn!(
            event = "name-is-local",
            node = %name,
            "the name {} means {} here, which only this machine reaches: let it mean another address, or listen by --bind and give the name by --advertise",
            name.host(),
            bound.ip()
        );
    }
}

/// Whether a host name, which others are to know, leads to this machine alone: some systems write their own name down so.
fn is_local_by_mistake(name: &NodeName, bound: IpAddr) -> bool {
    let is_meant = name.host().parse::<IpAddr>().is_ok() || name.host().ends_with("localhost");
    bound.is_loopback() && !is_meant
}

async fn call(shared: &Shared, name: &NodeName) -> Leads {
    let challenge = shared.own_call.begin();
    let answered = tokio::time::timeout(CALL_WAIT, greet(name, challenge, shared.dialer())).await;
    if shared.own_call.end(&challenge) {
        return Leads::Here;
    }
    match answered {
        Ok(Ok(welcome)) => Leads::ToAnother(welcome.name),
        Ok(Err(Unanswered::NotSpoken(_) | Unanswered::Strange(_) | Unanswered::Wrong(_))) => Leads::ToNoNode,
        Ok(Err(error @ (Unanswered::NoAnswer(_) | Unanswered::NotSent))) => Leads::Nowhere(error.to_string()),
        Err(_) => Leads::Nowhere(format!("nothing was heard within {} s", CALL_WAIT.as_secs())),
    }
}

fn tell(name: &NodeName, bound: SocketAddr, leads: &Leads) {
    match leads {
        Leads::Here => tracing::debug!("the name {name} leads to this node"),
        Leads::ToAnother(other) => tracing::error!(
            event = "name-leads-elsewhere",
            node = %name,
            "{name}, by which other nodes are to reach this one, leads to another process, which says that it is {other}: advertise a name and a port of this node's own, which lead to {bound}"
        ),
        Leads::ToNoNode => tracing::error!(
            event = "name-leads-elsewhere",
            node = %name,
            "{name}, by which other nodes are to reach this one, leads to a program that is no node: advertise a name and a port of this node's own, which lead to {bound}"
        ),
        Leads::Nowhere(why) => tracing::warn!(
            event = "name-leads-nowhere",
            node = %name,
            "this node does not reach itself as {name}, by which others are to reach it ({why}): look whether the name, the port and what stands between lead to {bound}; where only others can go that way, all is well"
        ),
    }
}

#[cfg(test)]
mod tests;
