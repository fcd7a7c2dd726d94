//! Lookups on what the nodes of a world believe at one instant.

use chord_ring::{Node, Peer, Position, View};

use crate::route::{Nodes, Walk};
use crate::world::{HostId, World};
use crate::{Ending, Route, Style};

/// What the nodes of a world believe at one instant. A lookup takes no time, and changes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    world: &'a World,
    style: Style,
    ending: Ending,
}

impl<'a> Snapshot<'a> {
    /// The world as it is now.
    pub(crate) fn new(world: &'a World, style: Style, ending: Ending) -> Self {
        Self { world, style, ending }
    }

    /// Looks `target` up from the node on a host. None if no node runs there.
    pub(crate) fn look_up(&self, asker: HostId, target: Position) -> Option<Route<HostId>> {
        self.world.node(asker)?;
        Some(Walk::of(self, self.style, self.ending).look_up(asker, target))
    }
}

impl Nodes for Snapshot<'_> {
    type Id = HostId;

    fn find(&self, peer: &Peer) -> Option<HostId> {
        self.world.host(&peer.name).filter(|host| self.world.node(*host).is_some())
    }

    fn view(&self, host: HostId) -> Option<&View> {
        self.world.node(host).map(Node::view)
    }
}
