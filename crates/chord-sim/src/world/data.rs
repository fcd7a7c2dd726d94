//! The records of a world: a [`Replicator`] beside the node of each host, a disk under it, and clients that put and get.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chord_kv::replication::{
    Filter, Input, Neighbours, Now, OperationError, Outcome, Output, PeerAnswer, PeerRequest, Proposal,
    Replicator, RequestId, Seen, Since, Status, TICK, WatchId,
};
use chord_kv::{Record, replication};
use chord_ring::{Command, Failure, NodeName, Peer, Question, Shortcuts, Token};
use rand::RngExt;

use super::action::{ActionId, Wish};
use super::disk::{Disk, Keeping, Trouble};
use super::host::{Asker, Call, CallId, Origin};
use super::tour::TourId;
use super::{Content, Event, HostId, Time, World};

/// When a world begins, by a clock on the wall that is right: in 2026.
const BEGINNING_MS: u64 = 1_770_000_000_000;

/// Pause before a node tries again to leave that could not hand everything over.
const LEAVE_PAUSE: Duration = Duration::from_millis(500);

/// How the hosts of a world keep records.
#[derive(Clone, Debug)]
pub struct DataSettings {
    /// How nodes replicate.
    pub replication: replication::Settings,
    /// What survives the end of a process.
    pub keeping: Keeping,
    /// How long a disk takes to sync, at most.
    pub sync_max: Duration,
    /// How long a client waits.
    pub patience: Duration,
}

/// What one host asks another about records.
#[derive(Clone, Debug)]
pub(super) enum DataRequest {
    Peer(PeerRequest),
    Operate { wish: Wish, proposal: Proposal, until: Time },
}

/// Something that has to do with a host's records.
#[derive(Clone, Copy, Debug)]
pub(super) enum DataEvent {
    /// They are looked after.
    Tick,
    /// The disk has written everything down.
    Synced,
    /// A node that could not hand everything over tries again to leave.
    LeaveAgain,
    /// An operation is tried again.
    Attempt(ActionId),
    /// A tour goes on.
    Tour(TourId),
}

#[derive(Clone, Debug)]
pub(super) enum DataAnswer {
    Peer(PeerAnswer),
    Operated(Result<Outcome, OperationError>),
}

/// Who waits for an output of a host's [`Replicator`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    Peer(HostId, CallId),
    Operator(HostId, CallId),
    Client(ActionId),
    Tour(TourId),
}

/// The records of one host.
pub(super) struct HostData {
    pub(super) disk: Arc<Disk>,
    pub(super) replicator: Option<Replicator>,
    /// How far the clock on its wall is off.
    skew_ms: i64,
    pub(super) waiting: Vec<(Token, Waiter)>,
    is_syncing: bool,
    is_leaving: bool,
    told: Neighbours,
    /// Whom its node has learned of as owners.
    pub(super) shortcuts: Shortcuts,
}

impl fmt::Debug for HostData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostData").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl World {
    /// How far the clock on a host's wall is off, in milliseconds.
    pub fn set_skew(&mut self, host: HostId, skew_ms: i64) {
        if let Some(data) = &mut self.host_mut(host).data {
            data.skew_ms = skew_ms;
        }
    }

    /// What the clock on a host's wall shows, in milliseconds since 1970.
    pub fn wall_ms(&self, host: HostId) -> u64 {
        self.time_of(host).wall_ms
    }

    /// When a clock on the wall that is right shows that.
    pub fn time_at(wall_ms: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(wall_ms.saturating_sub(BEGINNING_MS)))
    }

    /// From now on the disk of a host takes nothing new, for that reason; `None` ends it.
    pub fn set_trouble(&mut self, host: HostId, trouble: Option<Trouble>) {
        if let Some(data) = &self.hosts[host.0 as usize].data {
            data.disk.set_trouble(trouble);
        }
    }

    /// How well the records of a host are kept, if a node runs there.
    pub fn data_status(&self, host: HostId) -> Option<Status> {
        Some(self.hosts[host.0 as usize].data.as_ref()?.replicator.as_ref()?.status())
    }

    /// Whether the node on a host is handing over what it has, to leave.
    pub fn is_leaving(&self, host: HostId) -> bool {
        self.hosts[host.0 as usize].data.as_ref().is_some_and(|data| data.is_leaving)
    }

    /// What a host has.
    pub fn records(&self, host: HostId) -> Vec<Record> {
        self.hosts[host.0 as usize].data.as_ref().map(|data| data.disk.records()).unwrap_or_default()
    }

    /// A client watches keys through the node on a host, as long as that runs. The number must be new to it.
    pub fn watch(&mut self, host: HostId, id: WatchId, filter: Filter) {
        self.feed_data(host, Input::Watch { id, filter, since: Since::Now });
    }

    /// What those who watch were told, in order: when, through which host, and what.
    pub fn seen(&self) -> &[(Time, HostId, WatchId, Seen)] {
        &self.seen
    }

    pub(super) fn new_host_data(&self) -> Option<Box<HostData>> {
        let settings = self.settings.data.as_ref()?;
        Some(Box::new(HostData {
            disk: Arc::new(Disk::new(settings.replication.size, settings.keeping)),
            replicator: None,
            skew_ms: 0,
            waiting: Vec::new(),
            is_syncing: false,
            is_leaving: false,
            told: Neighbours::default(),
            shortcuts: Shortcuts::new(settings.replication.size),
        }))
    }

    pub(super) fn time_of(&self, host: HostId) -> Now {
        let elapsed = self.now.since(Time::ZERO);
        let skew_ms = self.hosts[host.0 as usize].data.as_ref().map_or(0, |data| data.skew_ms);
        let passed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Now { elapsed, wall_ms: (BEGINNING_MS + passed_ms).saturating_add_signed(skew_ms) }
    }

    /// A process has begun on a host.
    pub(super) fn start_data(&mut self, host: HostId) {
        let Some(settings) = self.settings.data.as_ref().map(|data| data.replication.clone()) else { return };
        let now = self.time_of(host);
        let me = self.hosts[host.0 as usize].me.clone();
        let Some(data) = &mut self.host_mut(host).data else { return };
        data.replicator = Some(Replicator::new(me, settings, data.disk.clone(), now));
        data.told = Neighbours::default();
        data.is_leaving = false;
        self.recall(host);
        self.schedule_tick(host);
    }

    /// What is on the disk of a host comes from a life whose acquaintances are written down there too.
    fn recall(&mut self, host: HostId) {
        if self.settings.data.as_ref().is_some_and(|data| data.keeping == Keeping::Disk) {
            let names = self.hosts[host.0 as usize].remembered.iter();
            let peers = names.filter_map(|name| Some(self.hosts[self.host(name)?.0 as usize].me.clone()));
            let peers = peers.collect();
            self.feed_data(host, Input::Recall(peers));
        }
    }

    fn schedule_tick(&mut self, host: HostId) {
        let pause = chord_ring::jittered(TICK, self.random.random());
        let pause = pause.div_f64(self.hosts[host.0 as usize].clock);
        self.schedule_data(host, pause, DataEvent::Tick);
    }

    pub(super) fn data_happens(&mut self, host: HostId, event: DataEvent) {
        match event {
            DataEvent::Tick => {
                self.schedule_tick(host);
                self.feed_data(host, Input::Tick);
            }
            DataEvent::Synced => {
                if let Some(data) = &mut self.host_mut(host).data {
                    data.is_syncing = false;
                    data.disk.sync();
                }
                self.feed_data(host, Input::Durable);
            }
            DataEvent::LeaveAgain => self.feed_data(host, Input::Leave),
            DataEvent::Attempt(action) => self.attempt(action),
            DataEvent::Tour(tour) => self.go_on_tour(tour),
        }
    }

    pub(super) fn schedule_data(&mut self, host: HostId, pause: Duration, event: DataEvent) {
        let life = self.hosts[host.0 as usize].life;
        self.queue.push(self.now.after(pause), Event::Data { host, life, event });
    }

    /// The process on a host ends. Returns whom it still recalled.
    pub(super) fn stop_data(&mut self, host: HostId) -> Vec<NodeName> {
        let lucky = self.random.random_range(0..4);
        let mut recalled = Vec::new();
        if let Some(data) = &mut self.host_mut(host).data {
            let ended = data.replicator.take();
            recalled.extend(ended.iter().flat_map(Replicator::recalled).map(|peer| peer.name.clone()));
            data.waiting.clear();
            data.shortcuts.clear();
            (data.is_syncing, data.is_leaving) = (false, false);
            data.disk.crash(lucky);
        }
        let open = (0..self.actions.len()).filter(|idx| {
            let action = &self.actions[*idx];
            action.host == host && action.ended.is_none()
        });
        for idx in open.collect::<Vec<_>>() {
            self.end_action(idx, Err(OperationError::Uncertain));
        }
        self.abandon_tours(host);
        recalled
    }

    /// Begins to hand over what a host has. Returns whether there is anything to wait for.
    pub(super) fn leave_data(&mut self, host: HostId) -> bool {
        let runs = self.hosts[host.0 as usize].data.as_ref().is_some_and(|data| data.replicator.is_some());
        if runs && self.hosts[host.0 as usize].is_awake() {
            if let Some(data) = &mut self.host_mut(host).data {
                data.is_leaving = true;
            }
            self.feed_data(host, Input::Leave);
        }
        runs
    }

    /// Tells a host's replicator whom its node knows now.
    pub(super) fn tell_neighbours(&mut self, host: HostId) {
        let Some(view) = self.node(host).map(chord_ring::Node::view) else { return };
        let neighbours = Neighbours {
            is_member: view.is_member(),
            predecessor: view.predecessor().cloned(),
            successors: view.successors().as_slice().to_vec(),
        };
        let Some(data) = &mut self.host_mut(host).data else { return };
        if !neighbours.is_member {
            data.shortcuts.clear();
        }
        if data.told != neighbours {
            data.told = neighbours.clone();
            self.feed_data(host, Input::Neighbours(neighbours));
        }
    }

    pub(super) fn feed_data(&mut self, host: HostId, input: Input) {
        let now = self.time_of(host);
        let Some(replicator) =
            self.hosts[host.0 as usize].data.as_mut().and_then(|data| data.replicator.as_mut())
        else {
            return;
        };
        replicator.handle(now, input);
        loop {
            let replicator =
                self.hosts[host.0 as usize].data.as_mut().and_then(|data| data.replicator.as_mut());
            let Some(output) = replicator.and_then(Replicator::poll) else { break };
            self.act_on_data(host, output);
        }
        self.sync_soon(host);
    }

    fn sync_soon(&mut self, host: HostId) {
        let Some(most) = self.settings.data.as_ref().map(|data| data.sync_max) else { return };
        let Some(data) = &mut self.host_mut(host).data else { return };
        if data.disk.is_dirty() && !data.is_syncing {
            data.is_syncing = true;
            let pause = most.mul_f64(self.random.random());
            self.schedule_data(host, pause, DataEvent::Synced);
        }
    }

    fn act_on_data(&mut self, host: HostId, output: Output) {
        match output {
            Output::Send(id, peer, request) => {
                let patience = self.settings.patience.div_f64(self.hosts[host.0 as usize].clock);
                let until = self.now.after(patience);
                self.call_data(host, &peer, DataRequest::Peer(request), Asker::Data(id), until);
            }
            Output::FindOwner(id, position) => {
                let question = Question { target: position, named: false, path: Vec::new() };
                self.carry(host, question, Origin::Data(id), self.settings.lookup_patience, None);
            }
            Output::Reply(token, answer) => match self.take_waiter(host, token) {
                Some(Waiter::Peer(asker, call)) => {
                    self.answer_data(host, asker, call, DataAnswer::Peer(answer));
                }
                Some(Waiter::Tour(tour)) => self.tour_answered(tour, Ok(answer)),
                Some(Waiter::Operator(..) | Waiter::Client(_)) | None => {}
            },
            Output::Done(token, result) => match self.take_waiter(host, token) {
                Some(Waiter::Operator(asker, call)) => {
                    self.answer_data(host, asker, call, DataAnswer::Operated(result));
                }
                Some(Waiter::Client(action)) => self.attempt_ended(action, result),
                Some(Waiter::Peer(..) | Waiter::Tour(_)) | None => {}
            },
            Output::Left(departure) => {
                self.note(|world| format!("{} has handed over: {departure:?}", world.name(host)));
                if departure.own_left == 0 && departure.others_left == 0 {
                    self.command(host, Command::Leave);
                } else {
                    // Whoever runs it sees that, and has it try again.
                    self.schedule_data(host, LEAVE_PAUSE, DataEvent::LeaveAgain);
                }
            }
            Output::Seen(id, seen) => self.seen.push((self.now, host, id, seen)),
            Output::Event(event) => {
                self.surpassed += usize::from(matches!(event, replication::Event::Surpassed(_)));
                self.note(|world| format!("{}: {event:?}", world.name(host)));
            }
        }
    }

    fn take_waiter(&mut self, host: HostId, token: Token) -> Option<Waiter> {
        let waiting = &mut self.host_mut(host).data.as_mut()?.waiting;
        let place = waiting.iter().position(|(waits, _)| *waits == token)?;
        Some(waiting.swap_remove(place).1)
    }

    pub(super) fn call_data(
        &mut self,
        from: HostId,
        to: &Peer,
        request: DataRequest,
        asker: Asker,
        until: Time,
    ) {
        self.calls += 1;
        let id = CallId(self.calls);
        // One who stood still may be late already.
        let until = until.max(self.now);
        let call = Call { id, to: to.name.clone(), asker, until, is_doomed: false, is_in_doubt: false };
        self.hosts[from.0 as usize].calls.push(call);
        self.queue.push(until, Event::Deadline(from, id));
        match self.host(&to.name) {
            Some(receiver) => {
                let request = Box::new(request);
                self.send(from, receiver, Content::DataRequest { call: id, request });
            }
            None => self.answer(from, from, id, Err(Failure::Unreachable)),
        }
    }

    fn answer_data(&mut self, from: HostId, to: HostId, call: CallId, answer: DataAnswer) {
        self.send(from, to, Content::DataAnswer { call, answer: Box::new(answer) });
    }

    /// A request about records has come to a host where a node runs.
    pub(super) fn take_data_request(&mut self, from: HostId, to: HostId, call: CallId, request: DataRequest) {
        // A call that comes twice is a request of its own, whose answer nobody waits for.
        self.calls += 1;
        let token = Token(self.calls);
        let (waiter, input) = match request {
            DataRequest::Peer(request) => {
                let from_peer = self.hosts[from.0 as usize].me.clone();
                (Waiter::Peer(from, call), Input::Request { token, from: from_peer, request })
            }
            DataRequest::Operate { wish, proposal, until } => {
                let position = self.position_of(&wish.key);
                (Waiter::Operator(from, call), wish.into_input(position, token, proposal, until))
            }
        };
        if let Some(data) = &mut self.host_mut(to).data {
            data.waiting.push((token, waiter));
        }
        self.feed_data(to, input);
    }

    /// The answer to a request about records, if that still waits.
    pub(super) fn hear_data(&mut self, host: HostId, call: CallId, answer: DataAnswer) -> bool {
        let Some(call) = self.host_mut(host).take_call(call) else { return false };
        match (call.asker, answer) {
            (Asker::Data(id), DataAnswer::Peer(answer)) => {
                self.feed_data(host, Input::Answer(id, Ok(answer)));
            }
            (Asker::Tour(tour), DataAnswer::Peer(answer)) => self.tour_answered(tour, Ok(answer)),
            (Asker::Operation(action), DataAnswer::Operated(result)) => self.attempt_ended(action, result),
            _ => {}
        }
        true
    }

    /// A request about records has failed.
    pub(super) fn data_failed(&mut self, host: HostId, id: RequestId, failure: Failure) {
        self.feed_data(host, Input::Answer(id, Err(failure)));
    }

    pub(super) fn data_owner_found(&mut self, host: HostId, id: RequestId, owner: Option<Peer>) {
        self.feed_data(host, Input::Found(id, owner));
    }
}
