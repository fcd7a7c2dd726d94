//! The group that keeps an owner's range: whom it chooses, and how far each member is.

use std::collections::BTreeMap;
use std::time::Duration;

use chord_ring::{NodeName, Peer, Position};

use super::holdings::is_within;
use super::message::Group;
use super::sync::Sync;
use crate::Version;

/// For so long a node is not counted on after it said that it leaves: longer than a departure takes.
const LEAVING_FOR: Duration = Duration::from_secs(60);

/// Pause before a node that leaves is asked whether it is back.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// Nodes of which it is remembered that they leave, at most.
const LEAVING_MAX: usize = 64;

/// An owner's group.
#[derive(Debug)]
pub(super) struct OwnGroup {
    pub(super) group: Group,
    /// The others, in order.
    pub(super) members: Vec<Member>,
}

/// One of the others.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) peer: Peer,
    /// Whether it has confirmed that it has everything.
    pub(super) is_confirmed: bool,
    /// Whether a copy did not reach it since.
    pub(super) is_behind: bool,
    /// Its records and this node's being brought together.
    pub(super) sync: Option<Box<Sync>>,
    /// Whether it is being told that it has everything.
    pub(super) is_confirming: bool,
    /// When to bring it up to date, or to look whether it is.
    pub(super) due_at: Duration,
    /// How often that has failed in a row.
    pub(super) failures: u32,
}

impl OwnGroup {
    pub(super) fn alone(me: &Peer, after: Position, id: Version) -> Self {
        Self {
            group: Group { owner: me.clone(), after, id, members: vec![me.name.clone()] },
            members: Vec::new(),
        }
    }

    /// Chooses other members, or another range. Those who stay are as far as they were, unless the range has grown.
    pub(super) fn change(&mut self, peers: Vec<Peer>, after: Position, id: Version, now: Duration) {
        let before = self.group.range();
        self.group.after = after;
        self.group.id = id;
        let has_grown = !is_within(self.group.range(), before);
        let mut old: BTreeMap<NodeName, Member> =
            self.members.drain(..).map(|member| (member.peer.name.clone(), member)).collect();
        for peer in peers {
            let known = old.remove(&peer.name).filter(|member| member.peer == peer);
            let mut member = known.unwrap_or_else(|| Member::new(peer, now));
            member.is_confirmed &= !has_grown;
            // What is under way is about the former range, and would be confirmed for the former group.
            member.abandon_sync();
            member.due_at = now; // It is to hear of the new group.
            self.members.push(member);
        }
        let names = self.members.iter().map(|member| member.peer.name.clone());
        self.group.members = [self.group.owner.name.clone()].into_iter().chain(names).collect();
    }

    /// Whether these are its members and this its range.
    pub(super) fn is(&self, peers: &[Peer], after: Position) -> bool {
        self.group.after == after && self.members.iter().map(|member| &member.peer).eq(peers)
    }

    /// Whether every member has everything.
    pub(super) fn is_synced(&self) -> bool {
        self.members.iter().all(Member::is_synced)
    }

    /// They may lack something that the owner has since learned of.
    pub(super) fn doubt_members(&mut self, now: Duration) {
        for member in &mut self.members {
            member.is_confirmed = false;
            member.due_at = now;
        }
    }

    pub(super) fn member(&mut self, name: &NodeName) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.peer.name == *name)
    }
}

impl Member {
    fn new(peer: Peer, now: Duration) -> Self {
        Self {
            peer,
            is_confirmed: false,
            is_behind: false,
            sync: None,
            is_confirming: false,
            due_at: now,
            failures: 0,
        }
    }

    /// Whether it has everything, as far as this node knows.
    pub(super) fn is_synced(&self) -> bool {
        self.is_confirmed && !self.is_behind
    }

    /// Whether it is time to look at it.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.sync.is_none() && !self.is_confirming && self.due_at <= now
    }

    /// What was under way has come to nothing.
    fn abandon_sync(&mut self) {
        self.is_behind |= self.sync.is_some() || self.is_confirming;
        self.sync = None;
        self.is_confirming = false;
    }
}

/// The nodes that have said that they leave, or that keep no records.
#[derive(Debug, Default)]
pub(super) struct Unreliable(BTreeMap<NodeName, Doubt>);

#[derive(Debug)]
struct Doubt {
    since: Duration,
    probed_at: Duration,
}

impl Unreliable {
    /// Returns whether that is news.
    pub(super) fn add(&mut self, name: &NodeName, now: Duration) -> bool {
        self.0.retain(|_, doubt| now.saturating_sub(doubt.since) <= LEAVING_FOR);
        let doubt = Doubt { since: now, probed_at: now };
        self.0.len() < LEAVING_MAX && self.0.insert(name.clone(), doubt).is_none()
    }

    /// It answers as one that stays.
    pub(super) fn remove(&mut self, name: &NodeName) -> bool {
        self.0.remove(name).is_some()
    }

    /// Whether it is time to ask whether it is back.
    pub(super) fn is_due(&self, name: &NodeName, now: Duration) -> bool {
        self.0.get(name).is_some_and(|doubt| now.saturating_sub(doubt.probed_at) >= PROBE_PAUSE)
    }

    pub(super) fn probed(&mut self, name: &NodeName, now: Duration) {
        if let Some(doubt) = self.0.get_mut(name) {
            doubt.probed_at = now;
        }
    }

    fn has(&self, name: &NodeName, now: Duration) -> bool {
        self.0.get(name).is_some_and(|doubt| now.saturating_sub(doubt.since) <= LEAVING_FOR)
    }
}

/// Of an owner's successors the first `count` that stay: of each host one, and more of a host only where hosts are too few.
pub(super) fn choose(
    me: &Peer,
    successors: &[Peer],
    count: usize,
    unreliable: &Unreliable,
    now: Duration,
) -> Vec<Peer> {
    let stay: Vec<&Peer> =
        successors.iter().filter(|peer| **peer != *me && !unreliable.has(&peer.name, now)).collect();
    let mut hosts = vec![me.name.host()];
    let mut chosen: Vec<&Peer> = Vec::new();
    for peer in &stay {
        if chosen.len() < count && !hosts.contains(&peer.name.host()) {
            hosts.push(peer.name.host());
            chosen.push(peer);
        }
    }
    for peer in &stay {
        if chosen.len() < count && !chosen.contains(peer) {
            chosen.push(peer);
        }
    }
    stay.into_iter().filter(|peer| chosen.contains(peer)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use chord_ring::RingSize;

    use super::*;

    fn peer(name: &str) -> Peer {
        Peer::of_name(name.parse().unwrap(), RingSize::DEFAULT)
    }

    fn chosen(successors: &[&str], count: usize, leaving: &[&str]) -> Vec<String> {
        let successors: Vec<Peer> = successors.iter().map(|name| peer(name)).collect();
        let mut unreliable = Unreliable::default();
        for name in leaving {
            assert!(unreliable.add(&peer(name).name, Duration::ZERO));
        }
        let chosen = choose(&peer("a:1"), &successors, count, &unreliable, Duration::ZERO);
        chosen.iter().map(|peer| peer.name.to_string()).collect()
    }

    #[test]
    fn copies_go_to_the_next_nodes_on_other_hosts() {
        assert_eq!(chosen(&["b:1", "c:1", "d:1"], 2, &[]), ["b:1", "c:1"]);
        assert_eq!(chosen(&["a:2", "b:1", "b:2", "c:1"], 2, &[]), ["b:1", "c:1"]);
    }

    #[test]
    fn where_hosts_are_too_few_copies_go_to_the_next_nodes() {
        assert_eq!(chosen(&["a:2", "a:3", "a:4"], 2, &[]), ["a:2", "a:3"]);
        assert_eq!(chosen(&["a:2", "a:3", "b:1"], 2, &[]), ["a:2", "b:1"]);
        assert_eq!(chosen(&["b:1"], 2, &[]), ["b:1"]);
    }

    #[test]
    fn no_copy_goes_to_a_node_that_leaves() {
        assert_eq!(chosen(&["b:1", "c:1", "d:1"], 2, &["b:1"]), ["c:1", "d:1"]);
        assert_eq!(chosen(&["b:1", "c:1"], 2, &["b:1", "c:1"]), Vec::<String>::new());
    }
}
