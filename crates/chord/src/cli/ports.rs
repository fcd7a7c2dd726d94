//! Addresses for a ring on this machine, on which no two nodes share a position.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};
use chord::{NodeName, RingSize};

use super::exit::Usage;

/// How many free ports are looked at before a ring is called too small: at m = 7 the 64th node finds half of
/// the positions free, so that even there a dozen tries are many.
const ATTEMPTS_MAX: usize = 1000;

/// The loopback address `port`.
pub(crate) fn loopback(port: u16) -> NodeName {
    let name = format!("127.0.0.1:{port}").parse();
    name.expect("a loopback address with a port above 0 is a name")
}

/// `n_nodes` loopback addresses whose ports are free at this moment and whose positions differ.
///
/// All ports are held until the last is found, so that none is found twice; another program may still take
/// one before the node does, and then the node says so.
pub(crate) fn free_names(n_nodes: usize, ring_size: RingSize) -> anyhow::Result<Vec<NodeName>> {
    check_room(n_nodes, ring_size)?;
    let mut held = Vec::with_capacity(n_nodes);
    let mut names: Vec<NodeName> = Vec::with_capacity(n_nodes);
    for _ in 0..n_nodes + ATTEMPTS_MAX {
        if names.len() == n_nodes {
            return Ok(names);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        names.push(loopback(listener.local_addr()?.port()));
        if collision(&names, ring_size).is_some() {
            names.pop();
        }
        held.push(listener);
    }
    bail!("no {n_nodes} free ports with different positions were found: use a larger --ring-size");
}

/// Refuses a ring that has fewer positions than nodes.
pub(crate) fn check_room(n_nodes: usize, ring_size: RingSize) -> Result<(), Usage> {
    let positions = 1usize.checked_shl(ring_size.bits().into()).unwrap_or(usize::MAX);
    if n_nodes <= positions {
        return Ok(());
    }
    Err(Usage::new(format!(
        "a ring of size {ring_size} has {positions} positions, too few for {n_nodes} nodes: use a larger --ring-size"
    )))
}

/// Two of the names that have the same position on the ring, if there are any.
pub(crate) fn collision(names: &[NodeName], ring_size: RingSize) -> Option<(&NodeName, &NodeName)> {
    let mut placed: Vec<_> =
        names.iter().map(|name| (ring_size.position_of(name.as_str().as_bytes()), name)).collect();
    placed.sort_unstable();
    placed.windows(2).find_map(|pair| match pair {
        [a, b] if a.0 == b.0 => Some((a.1, b.1)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bits: u64) -> RingSize {
        RingSize::new(bits).unwrap()
    }

    #[test]
    fn free_names_differ_in_position() {
        let names = free_names(8, size(7)).unwrap();
        assert_eq!(names.len(), 8);
        assert_eq!(collision(&names, size(7)), None);
    }

    #[test]
    fn a_ring_must_have_room() {
        assert!(check_room(2, size(1)).is_ok());
        assert!(check_room(usize::MAX, size(256)).is_ok());
        let refused = check_room(3, size(1)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "a ring of size 1 has 2 positions, too few for 3 nodes: use a larger --ring-size"
        );
    }

    #[test]
    fn a_collision_names_both() {
        let names: Vec<NodeName> = (4567..4570).map(loopback).collect();
        let (a, b) = collision(&names, size(1)).unwrap();
        assert_ne!(a, b);
        assert_eq!(collision(&names, size(160)), None);
    }
}
