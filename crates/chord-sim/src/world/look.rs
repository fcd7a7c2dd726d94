//! What can be seen of a world from outside.

use std::collections::BTreeSet;

use chord_ring::{Node, NodeName, Phase, Position, View};

use super::{Complaint, HostId, Time, World};
use crate::oracle::Oracle;

impl World {
    /// What time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many things have happened at hosts.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// How many messages were sent.
    pub fn n_messages(&self) -> u64 {
        self.n_messages
    }

    /// The hosts, running or not.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }

    /// What a host is called.
    pub fn name(&self, host: HostId) -> &NodeName {
        &self.hosts[host.0 as usize].me.name
    }

    /// Where on the ring the node on a host is, if one runs.
    pub(crate) fn position(&self, host: HostId) -> Position {
        self.hosts[host.0 as usize].me.position
    }

    /// The host of that name.
    pub fn host(&self, name: &NodeName) -> Option<HostId> {
        self.by_name.get(name).copied()
    }

    /// The node that runs on a host, standing still or not.
    pub fn node(&self, host: HostId) -> Option<&Node> {
        self.hosts[host.0 as usize].node.as_ref()
    }

    /// Where the node on a host stands in its life, if one runs.
    pub fn phase(&self, host: HostId) -> Option<Phase> {
        self.node(host).map(|node| node.view().phase())
    }

    /// Whether the node on a host stands still.
    pub fn is_asleep(&self, host: HostId) -> bool {
        self.hosts[host.0 as usize].asleep.is_some()
    }

    /// Whether a node has run on a host at that time or later.
    pub fn was_up_since(&self, host: HostId, time: Time) -> bool {
        let host = &self.hosts[host.0 as usize];
        host.node.is_some() || host.stopped_at.is_some_and(|at| at >= time)
    }

    /// Which life of a host this is: another one when its process has ended since.
    pub fn life(&self, host: HostId) -> u32 {
        self.hosts[host.0 as usize].life
    }

    /// How many requests of a host are open.
    pub fn n_calls(&self, host: HostId) -> usize {
        self.hosts[host.0 as usize].calls.len()
    }

    /// The nodes that run, one a line, in the order of the ring.
    pub fn describe(&self) -> Vec<String> {
        let mut views: Vec<&View> = self.views().collect();
        views.sort_by_key(|view| view.me().position);
        let line = |view: &View| {
            let list: Vec<String> =
                view.successors().as_slice().iter().map(|peer| peer.position.to_string()).collect();
            let before = view.predecessor().map_or("nobody".to_owned(), |peer| peer.position.to_string());
            let asleep = self.host(&view.me().name).is_some_and(|host| self.is_asleep(host));
            let state =
                if asleep { "asleep".to_owned() } else { format!("{:?}", view.phase()).to_lowercase() };
            format!("{} ({state}): after {before}, before {}", view.me(), list.join(" "))
        };
        views.into_iter().map(line).collect()
    }

    /// How many rounds of maintenance the nodes on a host have begun.
    pub fn rounds(&self, host: HostId) -> u64 {
        self.hosts[host.0 as usize].rounds
    }

    /// What the nodes that run believe.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.hosts.iter().filter_map(|host| host.node.as_ref()).map(Node::view)
    }

    /// Whether all nodes that run are one ring in order.
    pub fn is_one_ring(&self) -> bool {
        chord_ring::is_one_ring(self.views())
    }

    /// Whether all nodes that run are one ideal ring.
    pub fn is_ideal(&self) -> bool {
        chord_ring::is_ideal(self.views())
    }

    /// The members in groups of those that know of each other.
    pub fn acquainted(&self) -> BTreeSet<BTreeSet<NodeName>> {
        crate::acquainted(self.hosts.iter().filter_map(|host| host.node.as_ref()))
    }

    /// What nodes have reported that must not happen, since the last time.
    pub fn take_complaints(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.complaints)
    }

    /// The ring as a whole, with what is on its way.
    pub fn oracle(&self) -> Oracle<'_> {
        let asleep = self.hosts.iter().filter(|host| host.asleep.is_some()).map(|host| &host.me.name);
        Oracle::new(self.views()).with_asleep(asleep).with_in_flight(self.incoming(), self.losses())
    }
}
