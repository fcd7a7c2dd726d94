//! Who knows of whom, so well that the two must end in one ring.

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{Node, NodeName, Peer};

/// The members among these nodes in groups: two are in one if either has the other for its predecessor or for its first
/// live successor, or remembers it.
///
/// A later list entry and a finger do not count: the next refresh from the head and the next lookup of the entry
/// overwrite them, and nobody remembers them. So a node that has lost all its neighbours, remembers none that lives, and
/// is known to others in no better way stays alone, until the operator names it a seed. This takes a node that was frozen
/// while all whom it knew went: about one in 10,000 rings under random churn.
pub fn acquainted<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> BTreeSet<BTreeSet<NodeName>> {
    let members: BTreeMap<&NodeName, &Node> = nodes
        .into_iter()
        .filter(|node| node.view().is_member())
        .map(|node| (&node.view().me().name, node))
        .collect();
    let mut groups: Vec<BTreeSet<NodeName>> = Vec::new();
    for (member, node) in &members {
        let view = node.view();
        let lives = |peer: &&Peer| members.contains_key(&peer.name);
        let head = view.successors().as_slice().iter().find(lives);
        let peers = head.into_iter().chain(view.predecessor()).map(|peer| &peer.name);
        let known = peers.chain(node.remembered().names()).filter(|other| members.contains_key(other));
        let mut group: BTreeSet<NodeName> = known.chain([*member]).cloned().collect();
        groups.retain(|other| {
            let is_apart = other.is_disjoint(&group);
            if !is_apart {
                group.extend(other.iter().cloned());
            }
            is_apart
        });
        groups.push(group);
    }
    groups.into_iter().collect()
}
