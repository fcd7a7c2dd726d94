//! Nodes that are called by where they are, as in the papers' figures: node 7 is the one at position 7.

use chord_ring::{NodeName, Peer};

/// The name of the node at `position`.
#[expect(clippy::missing_panics_doc, reason = "letters, digits and a port are always a node's name")]
pub fn name(position: u64) -> NodeName {
    format!("node{position}:1").parse().expect("letters, digits and a port are a node's name")
}

/// The node at `position`, named after it.
pub fn peer(position: u64) -> Peer {
    Peer { position: position.into(), name: name(position) }
}

/// The nodes at these positions, in the same order.
pub fn peers(positions: &[u64]) -> Vec<Peer> {
    positions.iter().copied().map(peer).collect()
}

/// Where `peer` is, as a number: the whole of it on a ring of at most 64 bits, and the lowest 64 bits on a larger one.
pub fn number(peer: &Peer) -> u64 {
    let bytes = peer.position.to_be_bytes();
    bytes.iter().skip(24).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The position of the node that is called so; none if it is called otherwise.
pub fn position(name: &NodeName) -> Option<u64> {
    name.as_str().strip_prefix("node")?.strip_suffix(":1")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_peer_has_its_number() {
        assert_eq!(position(&"127.0.0.1:4567".parse().unwrap()), None);
        for position in [0, 1, 255, 256, u64::MAX] {
            assert_eq!(number(&peer(position)), position);
            assert_eq!(super::position(&name(position)), Some(position));
        }
    }
}
