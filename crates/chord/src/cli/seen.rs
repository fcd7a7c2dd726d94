//! The whole ring as one node shows it: each node's own answer, and what follows from all of them together.

pub(crate) mod health;

use chord::RingSize;
use chord::seen::{PICTURE_NODES_MAX, PictureRead, ReportBody, RingEvent, RingHealth, Sight};

pub(crate) use chord::seen::{Arc, Belief, SeenPlace as Place, Side, State, predecessor, successor};

/// The ring at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) at_ms: u64,
    pub(crate) seen_by: String,
    pub(crate) left_out: u64,
    pub(crate) has_asked_all: bool,
    /// How it is, by the word of the node that shows it, if that says it.
    health: Option<RingHealth>,
    sight: Sight,
    common: Common,
}

/// What the names of all nodes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Common {
    Nothing,
    Host,
    Port,
}

impl Ring {
    /// A ring of which nothing is seen yet.
    pub(crate) fn new(size: RingSize) -> Self {
        let (at_ms, left_out, has_asked_all) = (0, 0, false);
        let (seen_by, health, sight) = (String::new(), None, Sight::new(size));
        Self { at_ms, seen_by, left_out, has_asked_all, health, sight, common: Common::Nothing }
    }

    /// Takes what a node shows.
    pub(crate) fn take(&mut self, event: RingEvent) {
        let picture = match event {
            RingEvent::Ring(picture) => {
                self.sight.clear();
                picture
            }
            RingEvent::Changes(picture) => picture,
        };
        let PictureRead { seen_by, at_ms, nodes, gone, left_out, has_asked_all, health, .. } = picture;
        for name in gone {
            self.sight.remove(&name);
        }
        for seen in nodes {
            // A node that makes changes up adds no more than fits into a picture.
            if self.sight.len() < PICTURE_NODES_MAX || self.sight.node(&seen.node).is_some() {
                self.sight.take(seen);
            }
        }
        (self.at_ms, self.seen_by, self.health) = (at_ms, seen_by, health);
        (self.left_out, self.has_asked_all) = (left_out, has_asked_all);
        self.common = self.common();
    }

    /// All nodes in the order of the ring.
    pub(crate) fn order(&self) -> Vec<&Place> {
        self.sight.order()
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Place> {
        self.sight.node(name)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&Place, &ReportBody)> {
        self.sight.members()
    }

    /// Those of its beliefs about who is next that the other one does not share.
    pub(crate) fn torn(&self) -> Vec<Belief<'_>> {
        self.sight.torn()
    }

    /// The circle, divided where ranges begin or end.
    pub(crate) fn arcs(&self) -> Vec<Arc> {
        self.sight.arcs()
    }

    /// Those parts of the ring for which nobody answers, or several do.
    pub(crate) fn claims(&self) -> Vec<Arc> {
        self.sight.claims()
    }

    /// Into how many rings the nodes fall when one follows successors.
    pub(crate) fn n_cycles(&self) -> usize {
        self.sight.n_cycles()
    }

    pub(crate) fn copies_missing(&self) -> u64 {
        self.sight.copies_missing()
    }

    pub(crate) fn records(&self) -> u64 {
        self.sight.records()
    }

    pub(crate) fn n_absent(&self) -> usize {
        self.sight.n_absent()
    }

    pub(crate) fn state(&self, place: &Place) -> State {
        self.sight.state(place)
    }

    /// A name without what it has in common with all others, where that leaves something to read.
    pub(crate) fn label<'a>(&self, name: &'a str) -> &'a str {
        let any = self.sight.names().next().and_then(|name| name.rsplit_once(':'));
        // A node may name one that is not seen, and has nothing in common with those that are.
        match (name.rsplit_once(':'), any, self.common) {
            (Some((host, port)), Some((common, _)), Common::Host) if host == common => port,
            (Some((host, port)), Some((_, common)), Common::Port) if port == common => host,
            _ => name,
        }
    }

    fn common(&self) -> Common {
        let mut parts = self.sight.names().filter_map(|name| name.rsplit_once(':'));
        let Some((host, port)) = parts.next().filter(|_| self.sight.len() > 1) else {
            return Common::Nothing;
        };
        let (mut is_host, mut is_port) = (true, true);
        for (other_host, other_port) in parts {
            (is_host, is_port) = (is_host && other_host == host, is_port && other_port == port);
        }
        match (is_host, is_port) {
            (true, _) => Common::Host,
            (false, true) => Common::Port,
            (false, false) => Common::Nothing,
        }
    }
}

/// From one part of the circle clockwise to another: more than 0, up to 1.
pub(crate) fn sweep(from: f64, to: f64) -> f64 {
    let way = to - from;
    if way > 0.0 { way } else { way + 1.0 }
}

#[cfg(test)]
pub(crate) mod tests;
