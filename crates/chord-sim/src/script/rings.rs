//! Where following first live successors leads from each member: into one ring, into several, or nowhere.

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::{Node, View};

use crate::numbered::number;
use crate::{Cluster, Oracle};

/// Where a member that serves stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the ring of that number, counted from 0.
    Ring(usize),
    /// In none, but it knows the way to one.
    Appendage,
    /// First live successors lead nowhere from it.
    Stranded,
}

/// The rings of a cluster, and where each of its members stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rings {
    pub(super) n_rings: usize,
    pub(super) places: BTreeMap<u64, Place>,
}

impl Rings {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let oracle = cluster.oracle();
        let members = oracle.members();
        let views = cluster.nodes().map(Node::view).filter(|view| members.contains(&view.me().position));
        let next: BTreeMap<u64, Option<u64>> =
            views.map(|view| (number(view.me()), next(&oracle, view, members.len()))).collect();
        let follow = |at: u64| next.get(&at).copied().flatten();
        // So many steps end in a ring, or nowhere, wherever they begin.
        let end = |at: u64| (0..next.len()).try_fold(at, |at, _| follow(at));
        let mut rings: BTreeSet<BTreeSet<u64>> = BTreeSet::new();
        for at in next.keys().filter_map(|at| end(*at)) {
            rings.insert(turn(at, follow));
        }
        let place = |at: u64| match (rings.iter().position(|ring| ring.contains(&at)), end(at)) {
            (Some(ring), _) => Place::Ring(ring),
            (None, Some(_)) => Place::Appendage,
            (None, None) => Place::Stranded,
        };
        Self { n_rings: rings.len(), places: next.keys().map(|at| (*at, place(*at))).collect() }
    }
}

fn next(oracle: &Oracle<'_>, view: &View, n_members: usize) -> Option<u64> {
    let is_alone = view.is_alone() || n_members == 1;
    oracle.best(view).map(number).or_else(|| is_alone.then(|| number(view.me())))
}

/// All that come from `start` back to it.
fn turn(start: u64, follow: impl Fn(u64) -> Option<u64>) -> BTreeSet<u64> {
    let steps = std::iter::successors(follow(start), |at| follow(*at));
    steps.take_while(|at| *at != start).chain([start]).collect()
}
