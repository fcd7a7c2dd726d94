//! One host: a machine with a name, on which a node runs, stands still or does not run.

use std::collections::VecDeque;
use std::time::Duration;

use chord_ring::{
    Config, Incarnation, Lookup, Node, NodeName, Peer, Question, RequestId, SUSPECT_FOR, Step, View, Wake,
};

use super::action::ActionId;
use super::data::HostData;
use super::network::Place;
use super::tour::TourId;
use super::{Event, Time};

/// Names a host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// Names a lookup that a client has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(pub u32);

/// Names a request on its way; no two are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CallId(pub(super) u64);

/// What a host does with a request for a node that does not run there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Down {
    /// The machine runs and refuses the connection.
    Refuses,
    /// The machine is off: nobody answers.
    Silent,
}

/// A request of a host's own that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) to: NodeName,
    pub(super) asker: Asker,
    /// When the host gives it up at the latest.
    pub(super) until: Time,
    /// Whether the peer takes so long that it is asked whether it lives.
    pub(super) is_in_doubt: bool,
    /// It has come to a host where no node runs, or to an earlier life of the one there now: a failure will be its end.
    pub(super) is_doomed: bool,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Node(RequestId),
    /// A lookup that is carried here.
    Lookup(u64),
    /// The records of the host.
    Data(chord_kv::replication::RequestId),
    /// A client's operation.
    Operation(ActionId),
    /// A client's tour.
    Tour(TourId),
    /// The host itself: whether the peer of this call lives. With when it asked.
    Doubt(CallId, Time),
}

/// A lookup that a host carries on.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) id: u64,
    pub(super) question: Question,
    pub(super) lookup: Lookup,
    pub(super) asked: Option<Peer>,
    pub(super) origin: Origin,
    pub(super) until: Time,
    /// The client's lookup that it is part of.
    pub(super) errand: Option<LookupId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Client(LookupId),
    Peer(HostId, CallId),
    /// The records of the host.
    Data(chord_kv::replication::RequestId),
    /// A client's operation.
    Operation(ActionId),
    /// A client's tour.
    Tour(TourId),
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) me: Peer,
    pub(super) config: Config,
    pub(super) place: Place,
    /// The node, while its process runs.
    pub(super) node: Option<Node>,
    pub(super) down: Down,
    /// How many processes have run here; what belongs to an earlier one is ignored.
    pub(super) life: u32,
    /// How fast its clock goes: 1.0 is right.
    pub(super) clock: f64,
    /// What waits until the process runs on, if it stands still.
    pub(super) asleep: Option<VecDeque<Event>>,
    pub(super) calls: Vec<Call>,
    pub(super) carried: Vec<Carried>,
    /// Peers that failed a moment ago, and until when lookups go round them.
    suspects: Vec<(NodeName, Time)>,
    /// Of each reason to be woken, how often it was asked for: only the last time counts.
    pub(super) wakes: [u32; 2],
    /// Whom to ask for a place in the ring, the next one first.
    pub(super) contacts: VecDeque<NodeName>,
    /// Peers that the node is told to remember whenever it starts.
    pub(super) seeds: Vec<NodeName>,
    /// Whom the last node that ran here knew when it ended.
    pub(super) remembered: Vec<NodeName>,
    /// When that was.
    pub(super) stopped_at: Option<Time>,
    /// How many rounds of maintenance it has begun.
    pub(super) rounds: u64,
    /// Its records, if it keeps any.
    pub(super) data: Option<Box<HostData>>,
}

/// How many of a node's own incarnations one process may have.
const INCARNATIONS_MAX: u64 = 1 << 32;

impl Host {
    pub(super) fn new(me: Peer, config: Config, place: Place) -> Self {
        Self {
            me,
            config,
            place,
            node: None,
            down: Down::Refuses,
            life: 0,
            clock: 1.0,
            asleep: None,
            calls: Vec::new(),
            carried: Vec::new(),
            suspects: Vec::new(),
            wakes: [0; 2],
            contacts: VecDeque::new(),
            seeds: Vec::new(),
            remembered: Vec::new(),
            stopped_at: None,
            rounds: 0,
            data: None,
        }
    }

    /// Whether a node runs here and is not standing still.
    pub(super) fn is_awake(&self) -> bool {
        self.node.is_some() && self.asleep.is_none()
    }

    /// The node ends: what it had under way belongs to nobody.
    pub(super) fn stop(&mut self, now: Time) {
        if let Some(node) = self.node.take() {
            let neighbours = node.view().successors().as_slice().iter().chain(node.view().predecessor());
            self.remembered =
                neighbours.map(|peer| &peer.name).chain(node.remembered().names()).cloned().collect();
        }
        self.stopped_at = Some(now);
        self.asleep = None;
        self.life += 1;
        self.calls.clear();
        self.carried.clear();
        self.suspects.clear();
    }

    /// A new process; it belongs to no ring.
    pub(super) fn start(&mut self) {
        let incarnation = Incarnation(u64::from(self.life) * INCARNATIONS_MAX);
        self.node = Some(Node::new(self.config.clone(), self.me.clone(), incarnation));
    }

    /// A new process that believes this already.
    pub(super) fn start_as(&mut self, view: View) {
        let incarnation = Incarnation(u64::from(self.life) * INCARNATIONS_MAX);
        self.node = Some(Node::of_view(view, incarnation));
    }

    /// A peer answered nothing: lookups go round it for a while.
    pub(super) fn suspect(&mut self, peer: &NodeName, now: Time) {
        let until = now.after(self.real(SUSPECT_FOR));
        self.suspects.retain(|(other, until)| other != peer && *until > now);
        self.suspects.push((peer.clone(), until));
    }

    /// Whether a peer failed a moment ago.
    pub(super) fn is_suspect(&self, peer: &NodeName, now: Time) -> bool {
        is_among(&self.suspects, peer, now)
    }

    /// A peer answered.
    pub(super) fn trust(&mut self, peer: &NodeName) {
        if !self.suspects.is_empty() {
            self.suspects.retain(|(other, _)| other != peer);
        }
    }

    /// How long something takes that takes so long by the clock of this host.
    pub(super) fn real(&self, by_its_clock: Duration) -> Duration {
        by_its_clock.div_f64(self.clock)
    }

    /// What a lookup that is carried here does next, and how much time it has left by the clock of this host.
    pub(super) fn step(&mut self, id: u64, now: Time) -> Option<(Step, &mut Carried, Duration)> {
        let clock = self.clock;
        let node = self.node.as_ref()?;
        let carried = self.carried.iter_mut().find(|carried| carried.id == id)?;
        let is_suspect = |peer: &NodeName| is_among(&self.suspects, peer, now);
        let step = carried.lookup.step_round(node.view(), is_suspect);
        let left = carried.until.since(now).mul_f64(clock);
        Some((step, carried, left))
    }

    /// The number of the newest wish to be woken for this reason.
    pub(super) fn wake_number(&mut self, wake: Wake) -> &mut u32 {
        match wake {
            Wake::Maintain => &mut self.wakes[0],
            Wake::RetryJoin => &mut self.wakes[1],
        }
    }

    /// The node, and a lookup that is carried here.
    pub(super) fn node_and_carried(&mut self, id: u64) -> (Option<&Node>, Option<&mut Carried>) {
        (self.node.as_ref(), self.carried.iter_mut().find(|carried| carried.id == id))
    }

    pub(super) fn take_call(&mut self, id: CallId) -> Option<Call> {
        let place = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.swap_remove(place))
    }
}

fn is_among(suspects: &[(NodeName, Time)], peer: &NodeName, now: Time) -> bool {
    suspects.iter().any(|(other, until)| other == peer && *until > now)
}
