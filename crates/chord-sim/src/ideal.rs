//! Ideal rings: every node knows its predecessor, its next r members and its right fingers.
//!
//! Such a ring is what maintenance leads to when nothing changes any more. Here it is made at once, in time
//! N·log N, from the shipped [`View`]s: what a node would do next is for [`chord_ring::Lookup`] to say.

use chord_ring::{Config, Finger, Fingers, NodeName, Peer, Position, RingSize, RingTag, View};
use rand::{Rng as _, RngExt as _};
use rand_pcg::Pcg64Mcg;
use rustc_hash::FxHashMap;

/// The place of a node in a ring: how many members have smaller positions.
pub type Place = usize;

/// Positions on a circle, and which of them owns what: the definition of an owner, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(Vec<Position>);

impl Circle {
    /// The circle of these positions.
    ///
    /// # Panics
    /// There is none.
    pub fn new(mut positions: Vec<Position>) -> Self {
        assert!(!positions.is_empty(), "somebody owns every position");
        positions.sort_unstable();
        Self(positions)
    }

    /// The position at that place.
    pub fn at(&self, place: Place) -> Position {
        self.0[place]
    }

    /// The place of the owner of `target`: of the first position at or after it.
    pub fn owner(&self, target: Position) -> Place {
        let place = self.0.partition_point(|position| *position < target);
        if place == self.0.len() { 0 } else { place }
    }
}

/// A ring in which every node knows what it can know.
#[derive(Clone, Debug)]
pub struct IdealRing {
    /// By position, the smallest first.
    views: Vec<View>,
    places: FxHashMap<Position, Place>,
    circle: Circle,
    size: RingSize,
}

/// Two nodes came to lie at the same position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{n_nodes} nodes do not each find a position of their own on a ring of size {size}: use fewer nodes, or a larger ring size"
)]
pub struct Crowded {
    /// How many nodes there should be.
    pub n_nodes: usize,
    /// The ring.
    pub size: RingSize,
}

impl IdealRing {
    /// The ideal ring of these peers, each of which keeps `config.successors()` successors.
    ///
    /// # Errors
    /// Two peers are at one position.
    ///
    /// # Panics
    /// There is no peer.
    pub fn new(config: &Config, peers: Vec<Peer>) -> Result<Self, Crowded> {
        Ok(Self::of_sorted(config, &sort(peers, config.ring().size)?))
    }

    /// The same of peers that [`sort`] has sorted.
    pub(crate) fn of_sorted(config: &Config, peers: &[Peer]) -> Self {
        let size = config.ring().size;
        let mut sweep = FingerSweep { peers, size, reached: vec![0; usize::from(size.bits())] };
        let views = (0..peers.len()).map(|place| sweep.view(config, place)).collect();
        let places = peers.iter().enumerate().map(|(place, peer)| (peer.position, place)).collect();
        let circle = Circle::new(peers.iter().map(|peer| peer.position).collect());
        Self { views, places, circle, size }
    }

    /// An ideal ring of that many nodes whose names are drawn, and so their positions.
    ///
    /// # Errors
    /// There are not enough positions.
    pub fn drawn(config: &Config, n_nodes: usize, random: &mut Pcg64Mcg) -> Result<Self, Crowded> {
        Self::new(config, draw_peers(config.ring(), n_nodes, random))
    }

    /// What each node believes, by place.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// The size of its identifier space.
    pub fn size(&self) -> RingSize {
        self.size
    }

    /// Whether a member is at that position.
    pub fn has(&self, position: Position) -> bool {
        self.places.contains_key(&position)
    }

    /// The place of a member.
    pub fn place(&self, member: &Peer) -> Place {
        self.places[&member.position]
    }

    /// The place of the member that owns `target`: the first at or after it. A checker's answer, from outside; no node
    /// is asked.
    pub fn owner(&self, target: Position) -> Place {
        self.circle.owner(target)
    }

    /// The same ring as the papers have it: no node knows its predecessor, so none knows that it is an owner, and a
    /// lookup of a node's own range goes round the ring.
    pub fn without_predecessors(mut self) -> Self {
        for view in &mut self.views {
            let (successors, fingers) = (view.successors().as_slice(), view.fingers().clone());
            *view = View::member(view.config().clone(), view.me().clone(), None, successors, fingers);
        }
        self
    }
}

/// Peers in the order of their positions, if each has one of its own.
pub(crate) fn sort(mut peers: Vec<Peer>, size: RingSize) -> Result<Vec<Peer>, Crowded> {
    peers.sort_unstable();
    if peers.windows(2).any(|pair| pair[0].position == pair[1].position) {
        return Err(Crowded { n_nodes: peers.len(), size });
    }
    Ok(peers)
}

/// Peers of that ring with drawn names, each at the position of its name.
pub(crate) fn draw_peers(ring: &RingTag, n_nodes: usize, random: &mut Pcg64Mcg) -> Vec<Peer> {
    let draw = random.random::<u32>();
    let names = (0..n_nodes).map(|number| format!("n{number}.r{draw}:1").parse::<NodeName>());
    // Letters, digits and a dot, with a port: every one is a name.
    names.map_while(Result::ok).map(|name| Peer::of_name(name, ring.size)).collect()
}

/// A position, each as likely as the others.
pub fn draw_position(size: RingSize, random: &mut Pcg64Mcg) -> Position {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    size.reduce(Position::from_be_bytes(bytes))
}

/// Finds the fingers of one node after another: from node to node, each entry only ever moves forward.
struct FingerSweep<'a> {
    peers: &'a [Peer],
    size: RingSize,
    /// For each entry, how many steps round the ring from the first node on its last owner was; at most twice round.
    reached: Vec<usize>,
}

impl FingerSweep<'_> {
    fn view(&mut self, config: &Config, place: Place) -> View {
        let n_peers = self.peers.len();
        let n_listed = config.successors().min(n_peers - 1);
        let list: Vec<Peer> = (1..=n_listed).map(|steps| self.at(place + steps).clone()).collect();
        let predecessor = (n_peers > 1).then(|| self.at(place + n_peers - 1).clone());
        let fingers = self.fingers(place, n_listed);
        View::member(config.clone(), self.peers[place].clone(), predecessor, &list, fingers)
    }

    /// The fingers beyond the `n_listed` successors of the node at `place`.
    fn fingers(&mut self, place: Place, n_listed: usize) -> Fingers {
        let first_far =
            if n_listed == 0 { self.size.bits() } else { self.away(place, place + n_listed).bit_length() };
        let mut runs: Vec<Finger> = Vec::new();
        let mut before = place + n_listed;
        for entry in first_far..self.size.bits() {
            let owner = self.owner(place, entry, before);
            if owner == place + self.peers.len() {
                break; // It is the node itself, and so are all farther ones.
            }
            match runs.last_mut().filter(|_| owner == before) {
                Some(run) => run.last = entry,
                None => runs.push(Finger { first: entry, last: entry, peer: self.at(owner).clone() }),
            }
            before = owner;
        }
        Fingers::of_runs(runs)
    }

    /// How many steps round the ring, counted from the first node, the owner of an entry of the node at `place` is.
    fn owner(&mut self, place: Place, entry: u16, at_least: usize) -> usize {
        // What lies nearer than 2^entry has at most `entry` binary digits.
        let mut owner = self.reached[usize::from(entry)].max(at_least);
        while owner < place + self.peers.len() && self.away(place, owner).bit_length() <= entry {
            owner += 1;
        }
        self.reached[usize::from(entry)] = owner;
        owner
    }

    fn at(&self, steps: usize) -> &Peer {
        &self.peers[steps % self.peers.len()]
    }

    fn away(&self, place: Place, steps: usize) -> Position {
        self.size.distance(self.peers[place].position, self.at(steps).position)
    }
}
