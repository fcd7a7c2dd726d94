//! Where nodes are in a network, and how long a message takes from one to another.

use std::collections::VecDeque;

use rand::RngExt as _;
use rand_pcg::Pcg64Mcg;

use crate::Place;

/// Hosts at random points of a cube: the latency between two is their distance.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    points: Vec<[f64; 3]>,
}

impl Space {
    /// So many hosts in a cube of side 1.
    pub(crate) fn draw(n_hosts: usize, random: &mut Pcg64Mcg) -> Self {
        Self { points: (0..n_hosts).map(|_| random.random()).collect() }
    }

    /// One way between two hosts, in sides of the cube.
    pub(crate) fn latency(&self, a: Place, b: Place) -> f64 {
        let squares = self.points[a].iter().zip(self.points[b]).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt()
    }
}

/// A backbone of transit routers, each of which carries stub networks; hosts hang at routers of stubs.
///
/// 5,000 routers, as TON 2003, section VI-E has them; how they are connected it does not say.
#[derive(Clone, Debug)]
pub(crate) struct TransitStub {
    /// Hops between transit routers.
    backbone: Hops,
    stubs: Vec<Hops>,
    /// The stub network and the router in it that each host hangs at.
    hosts: Vec<(usize, usize)>,
}

/// Between two transit routers (TON 2003, section VI-E).
const TRANSIT_MS: f64 = 50.0;
/// From a transit router to the first router of a stub.
const ACCESS_MS: f64 = 20.0;
/// Between two routers of a stub, and between two hosts at one router.
const STUB_MS: f64 = 1.0;

const TRANSIT_ROUTERS: usize = 8;
const STUBS_PER_TRANSIT_ROUTER: usize = 24;
const ROUTERS_PER_STUB: usize = 26;
const _: () = assert!(
    TRANSIT_ROUTERS * (1 + STUBS_PER_TRANSIT_ROUTER * ROUTERS_PER_STUB) == 5_000,
    "the paper has so many"
);

impl TransitStub {
    /// A network with so many hosts, each at any router of any stub.
    pub(crate) fn draw(n_hosts: usize, random: &mut Pcg64Mcg) -> Self {
        let backbone = Hops::draw(TRANSIT_ROUTERS, random);
        let n_stubs = TRANSIT_ROUTERS * STUBS_PER_TRANSIT_ROUTER;
        let stubs = (0..n_stubs).map(|_| Hops::draw(ROUTERS_PER_STUB, random)).collect();
        let mut host = || (random.random_range(0..n_stubs), random.random_range(0..ROUTERS_PER_STUB));
        let hosts = (0..n_hosts).map(|_| host()).collect();
        Self { backbone, stubs, hosts }
    }

    /// One way between two hosts, in milliseconds.
    pub(crate) fn latency_ms(&self, a: Place, b: Place) -> f64 {
        let ((stub_a, router_a), (stub_b, router_b)) = (self.hosts[a], self.hosts[b]);
        if stub_a == stub_b {
            return STUB_MS * self.stubs[stub_a].between(router_a, router_b).max(1.0);
        }
        let transit = |stub: usize| stub / STUBS_PER_TRANSIT_ROUTER;
        // Router 0 of each stub is the one with the link to the backbone.
        let in_stubs = self.stubs[stub_a].between(router_a, 0) + self.stubs[stub_b].between(0, router_b);
        let across = self.backbone.between(transit(stub_a), transit(stub_b));
        STUB_MS * in_stubs + 2.0 * ACCESS_MS + TRANSIT_MS * across
    }
}

/// The shortest paths of a connected graph, in edges.
#[derive(Clone, Debug)]
struct Hops {
    n_routers: usize,
    lengths: Vec<f64>,
}

impl Hops {
    /// A random tree, and half as many edges again between any two routers.
    fn draw(n_routers: usize, random: &mut Pcg64Mcg) -> Self {
        let mut neighbours = vec![Vec::new(); n_routers];
        let mut connect = |a: usize, b: usize| {
            neighbours[a].push(b);
            neighbours[b].push(a);
        };
        for router in 1..n_routers {
            connect(router, random.random_range(0..router));
        }
        for _ in 0..n_routers / 2 {
            connect(random.random_range(0..n_routers), random.random_range(0..n_routers));
        }
        let lengths = (0..n_routers).flat_map(|from| lengths_from(from, &neighbours)).collect();
        Self { n_routers, lengths }
    }

    fn between(&self, a: usize, b: usize) -> f64 {
        self.lengths[a * self.n_routers + b]
    }
}

/// From one router to each, breadth first.
fn lengths_from(from: usize, neighbours: &[Vec<usize>]) -> Vec<f64> {
    let mut lengths = vec![f64::INFINITY; neighbours.len()];
    lengths[from] = 0.0;
    let mut queue = VecDeque::from([from]);
    while let Some(router) = queue.pop_front() {
        for next in &neighbours[router] {
            if lengths[*next].is_infinite() {
                lengths[*next] = lengths[router] + 1.0;
                queue.push_back(*next);
            }
        }
    }
    lengths
}
