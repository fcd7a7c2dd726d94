//! A world of hosts in virtual time: real nodes, a network between them, and everything that can go wrong with either.
//!
//! One thread, one source of randomness, no clock: the same calls on a world of the same seed give the same events.
//! The world drives the shipped [`chord_ring::Node`] and [`chord_ring::Lookup`], and decides nothing about the ring.
//! It carries lookups as `chord-node` does, with the same waits and by the same rules: a lookup goes round peers that
//! failed a moment ago, a peer that takes long to answer one is asked whether it lives, and what got stuck begins anew
//! where it began. It differs in this: a host waits equally long for every peer, as a running node does for those that
//! it has measured and found quick; and no host is a seed node, so none is asked first whether it is one.

mod action;
mod data;
mod disk;
mod errand;
mod host;
mod look;
mod network;
mod queue;
mod requests;
mod time;
mod tour;

use std::collections::VecDeque;
use std::time::Duration;

use chord_kv::replication::{Seen, WatchId};
use chord_ring::{
    Answer, Command, CommandError, Config, Event as RingEvent, Failure, Input, Node, NodeName,
    OPERATION_WAIT_DEFAULT, Output, Peer, Phase, REQUEST_WAIT_DEFAULT, Request, RequestId, RingTag, State,
    Token, WAIT_MIN, Wake,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rustc_hash::FxHashMap;

pub use action::{Acknowledged, Action, ActionId, Guesses, Wish};
pub use data::DataSettings;
use data::{DataAnswer, DataEvent, DataRequest};
pub use disk::{Keeping, Trouble};
pub use errand::{Errand, Outcome};
use host::{Asker, Call, CallId, Host};
pub use host::{Down, HostId, LookupId};
pub use network::{Cut, Latency, Network};
use queue::Queue;
use requests::Outgoing;
pub use time::Time;
pub use tour::{TourId, Touring};

use crate::ideal::IdealRing;
use crate::oracle::{Incoming, Loss};

/// How long a host waits before it asks for a place in the ring again, after it was told that it gets none.
const JOIN_PAUSE: Duration = Duration::from_secs(1);

/// How the hosts of a world behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which ring, and r.
    pub config: Config,
    /// What decides everything that is left to chance.
    pub seed: u64,
    /// How long a node waits for what a peer answers by itself.
    pub patience: Duration,
    /// How long it waits at most for a peer that may have to ask others.
    pub request_patience: Duration,
    /// How long a lookup may take, from its client's point of view.
    pub lookup_patience: Duration,
    /// When a node maintains itself.
    pub pace: Pace,
    /// How records are kept; `None` where only the ring is of interest.
    pub data: Option<DataSettings>,
}

impl Settings {
    /// Hosts that wait and maintain themselves as running nodes do.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            seed,
            patience: WAIT_MIN,
            request_patience: REQUEST_WAIT_DEFAULT,
            lookup_patience: OPERATION_WAIT_DEFAULT,
            pace: Pace::AsAsked,
            data: None,
        }
    }
}

/// When a node maintains itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When it asks to be woken, with the jitter that a running node has.
    AsAsked,
    /// After any pause between these two, equally likely, whatever it asks for (TON 2003, section V-E).
    Uniform(Duration, Duration),
}

/// What can happen in a world.
#[derive(Clone, Debug)]
enum Event {
    Arrive(Parcel),
    /// The host has waited long enough for the end of a call.
    Deadline(HostId, CallId),
    /// The host has waited so long for a lookup that it asks whether the peer lives.
    Doubt(HostId, CallId),
    Wake {
        host: HostId,
        life: u32,
        wake: Wake,
        number: u32,
    },
    /// A lookup that got stuck tries again.
    Resume {
        host: HostId,
        life: u32,
        carried: u64,
    },
    /// A host asks for a place in the ring once more.
    Rejoin {
        host: HostId,
        life: u32,
    },
    /// Something that has to do with a host's records.
    Data {
        host: HostId,
        life: u32,
        event: DataEvent,
    },
    /// The client of an operation has waited long enough.
    Expire(ActionId),
    /// Something that whoever drives the world has asked to be told.
    Alarm(u64),
}

/// A message from one host to another.
#[derive(Clone, Debug)]
struct Parcel {
    from: HostId,
    to: HostId,
    /// Which life of the sender's process has sent it.
    life: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// `budget` is how long the receiver of a lookup may take, by its own clock.
    Request {
        call: CallId,
        ring: RingTag,
        request: Request,
        budget: Duration,
        errand: Option<LookupId>,
    },
    Answer {
        call: CallId,
        answer: Result<Answer, Failure>,
    },
    DataRequest {
        call: CallId,
        request: Box<DataRequest>,
    },
    DataAnswer {
        call: CallId,
        answer: Box<DataAnswer>,
    },
}

/// What one step was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happened at a host; whether what its node believes has changed.
    At(HostId, Changed),
    /// The alarm of this number went off.
    Alarm(u64),
    /// Something that no longer matters: a deadline that was kept, a wish that was replaced.
    Nothing,
}

/// Whether a node believes something else after a step than before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Something that a node reported of itself and that must not happen in a sound program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The host.
    pub host: HostId,
    /// What it reported.
    pub event: RingEvent,
}

/// Hosts, the network between them, and what will happen.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Time,
    queue: Queue<Event>,
    hosts: Vec<Host>,
    by_name: FxHashMap<NodeName, HostId>,
    random: Pcg64Mcg,
    /// What messages between hosts meet. To be changed at any time.
    pub network: Network,
    calls: u64,
    carried: u64,
    errands: Vec<Errand>,
    actions: Vec<Action>,
    guesses: Guesses,
    surpassed: usize,
    seen: Vec<(Time, HostId, WatchId, Seen)>,
    tours: Vec<Touring>,
    acknowledged: Option<Acknowledged>,
    /// Those that have ended and were not asked for yet.
    ended: VecDeque<LookupId>,
    complaints: Vec<Complaint>,
    changed: Changed,
    /// The call that a node is answering at this moment.
    answering: Option<(HostId, CallId)>,
    n_steps: u64,
    n_messages: u64,
    trace: Option<Vec<String>>,
}

impl World {
    /// A world without hosts.
    pub fn new(settings: Settings, network: Network) -> Self {
        let random = Pcg64Mcg::seed_from_u64(settings.seed);
        Self {
            settings,
            now: Time::ZERO,
            queue: Queue::default(),
            hosts: Vec::new(),
            by_name: FxHashMap::default(),
            random,
            network,
            calls: 0,
            carried: 0,
            errands: Vec::new(),
            actions: Vec::new(),
            guesses: Guesses::default(),
            surpassed: 0,
            seen: Vec::new(),
            tours: Vec::new(),
            acknowledged: None,
            ended: VecDeque::new(),
            complaints: Vec::new(),
            changed: Changed::No,
            answering: None,
            n_steps: 0,
            n_messages: 0,
            trace: None,
        }
    }

    /// From now on, writes down what happens, one line an event, for [`World::take_trace`].
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// What has happened since the last time.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{} {}", self.now, line(self));
            self.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    }

    /// One more host, on which no node runs yet. `None` if there is one of that name or at that position.
    pub fn add_host(&mut self, me: Peer) -> Option<HostId> {
        let is_free = !self.by_name.contains_key(&me.name);
        let id = HostId(u32::try_from(self.hosts.len()).ok().filter(|_| is_free)?);
        self.by_name.insert(me.name.clone(), id);
        let place = self.random.random();
        let mut host = Host::new(me, self.settings.config.clone(), place);
        host.data = self.new_host_data();
        self.hosts.push(host);
        Some(id)
    }

    /// How fast a host's clock goes from now on; 1.0 is right.
    pub fn set_clock(&mut self, host: HostId, clock: f64) {
        self.host_mut(host).clock = clock;
    }

    /// Another ring than the world's for this host, from its next start on.
    pub fn set_config(&mut self, host: HostId, config: Config) {
        self.host_mut(host).config = config;
    }

    /// The peers that a host's node is told to remember whenever it starts.
    pub fn set_seeds(&mut self, host: HostId, seeds: &[HostId]) {
        let seeds = seeds.iter().filter(|seed| **seed != host);
        self.host_mut(host).seeds = seeds.map(|seed| self.hosts[seed.0 as usize].me.name.clone()).collect();
    }

    /// Starts nodes on these hosts that are members of the ideal ring of all of them, right fingers included. Their rounds
    /// begin at any time within a second.
    ///
    /// # Panics
    /// There is no host, or two are at one position.
    pub fn start_ideal(&mut self, members: &[HostId]) {
        let peers = members.iter().map(|id| self.hosts[id.0 as usize].me.clone()).collect();
        let ring =
            IdealRing::new(&self.settings.config, peers).expect("each host is at a position of its own");
        for view in ring.views() {
            let id = self.by_name[&view.me().name];
            self.host_mut(id).start_as(view.clone());
            self.start_data(id);
            self.tell_neighbours(id);
            self.remember_seeds(id);
            let pause = self.pause(Duration::from_secs(1)).mul_f64(self.random.random());
            self.schedule_wake(id, Wake::Maintain, pause);
        }
    }

    /// Starts a node that founds a ring.
    pub fn create(&mut self, host: HostId) {
        self.start(host);
        self.command(host, Command::Create);
    }

    /// Starts a node that joins through one of these, and keeps trying until it is in the ring.
    pub fn join(&mut self, host: HostId, contacts: &[HostId]) {
        let contacts = contacts.iter().filter(|contact| **contact != host);
        self.host_mut(host).contacts =
            contacts.map(|contact| self.hosts[contact.0 as usize].me.name.clone()).collect();
        self.start(host);
        self.ask_for_a_place(host);
    }

    /// The same, but it asks those first whom the last node on this host knew, as one with a disk does.
    pub fn join_with_memory(&mut self, host: HostId, contacts: &[HostId]) {
        let remembered = self.hosts[host.0 as usize].remembered.iter().filter_map(|name| self.host(name));
        let contacts: Vec<HostId> = remembered.chain(contacts.iter().copied()).collect();
        self.join(host, &contacts);
    }

    /// The process on a host ends at once.
    pub fn crash(&mut self, host: HostId, down: Down) {
        self.note(|world| format!("{} crashes", world.name(host)));
        for idx in 0..self.hosts[host.0 as usize].carried.len() {
            let carried = self.hosts[host.0 as usize].carried[idx].clone();
            self.abandon(&carried);
        }
        let now = self.now;
        let recalled = self.stop_data(host);
        let gone = self.host_mut(host);
        gone.stop(now);
        gone.remembered.extend(recalled);
        gone.down = down;
        let name = gone.me.name.clone();
        for call in self.hosts.iter_mut().flat_map(|host| &mut host.calls).filter(|call| call.to == name) {
            call.is_doomed = true;
        }
    }

    /// The node leaves its ring in good order, and its process ends when that is done.
    pub fn leave(&mut self, host: HostId) {
        self.note(|world| format!("{} leaves", world.name(host)));
        if !self.leave_data(host) {
            self.command(host, Command::Leave);
        }
    }

    /// The process stands still: it hears nothing and says nothing.
    pub fn freeze(&mut self, host: HostId) {
        self.note(|world| format!("{} freezes", world.name(host)));
        let host = self.host_mut(host);
        if host.node.is_some() && host.asleep.is_none() {
            host.asleep = Some(VecDeque::new());
        }
    }

    /// The process runs on, with all that has come meanwhile.
    pub fn thaw(&mut self, host: HostId) {
        self.note(|world| format!("{} thaws", world.name(host)));
        let missed = self.host_mut(host).asleep.take().unwrap_or_default();
        for event in missed {
            self.queue.push(self.now, event);
        }
    }

    /// Calls [`World::step`] back with this number after a pause.
    pub fn set_alarm(&mut self, after: Duration, number: u64) {
        self.queue.push(self.now.after(after), Event::Alarm(number));
    }

    /// Lets the next thing happen; `None` when nothing ever will.
    pub fn step(&mut self) -> Option<Step> {
        let (now, event) = self.queue.pop()?;
        self.now = self.now.max(now); // One who stood still may have asked for what is over already.
        self.changed = Changed::No;
        let host = match &event {
            Event::Arrive(parcel) => parcel.to,
            Event::Deadline(host, _)
            | Event::Doubt(host, _)
            | Event::Wake { host, .. }
            | Event::Resume { host, .. }
            | Event::Rejoin { host, .. }
            | Event::Data { host, .. } => *host,
            // The client does not stand still with the host.
            Event::Expire(action) => {
                let host = self.actions[action.0 as usize].host;
                let is_real = self.expire(*action);
                return Some(if is_real { Step::At(host, Changed::No) } else { Step::Nothing });
            }
            Event::Alarm(number) => return Some(Step::Alarm(*number)),
        };
        if let Some(missed) = &mut self.hosts[host.0 as usize].asleep {
            missed.push_back(event);
            return Some(Step::Nothing);
        }
        let is_real = self.happen(host, event);
        self.n_steps += u64::from(is_real);
        Some(if is_real { Step::At(host, self.changed) } else { Step::Nothing })
    }

    fn happen(&mut self, host: HostId, event: Event) -> bool {
        let is_life = |world: &Self, life: u32| {
            let host = &world.hosts[host.0 as usize];
            host.life == life && host.node.is_some()
        };
        match event {
            Event::Arrive(parcel) => self.arrive(parcel),
            Event::Deadline(_, call) => self.give_up(host, call),
            Event::Doubt(_, call) => self.doubt(host, call),
            Event::Wake { life, wake, number, .. } => {
                let is_wanted = is_life(self, life) && *self.host_mut(host).wake_number(wake) == number;
                if is_wanted {
                    self.note(|world| format!("{} wakes: {wake:?}", world.name(host)));
                    self.host_mut(host).rounds += u64::from(wake == Wake::Maintain);
                    self.feed(host, Input::Wake(wake));
                }
                is_wanted
            }
            Event::Resume { life, carried, .. } => is_life(self, life) && self.resume(host, carried),
            Event::Rejoin { life, .. } => {
                let is_wanted = is_life(self, life) && self.phase(host) == Some(Phase::Idle);
                if is_wanted {
                    self.ask_for_a_place(host);
                }
                is_wanted
            }
            Event::Data { life, event, .. } => {
                let is_wanted = is_life(self, life);
                if is_wanted {
                    self.data_happens(host, event);
                }
                is_wanted
            }
            Event::Expire(_) | Event::Alarm(_) => false,
        }
    }

    /// When the next thing happens; `None` when nothing ever will.
    pub fn next_at(&self) -> Option<Time> {
        self.queue.next_at()
    }

    /// Lets everything happen until then.
    pub fn run_until(&mut self, time: Time) {
        while self.queue.next_at().is_some_and(|next| next <= time) {
            self.step();
        }
        self.now = self.now.max(time);
    }

    fn start(&mut self, host: HostId) {
        self.note(|world| format!("{} starts", world.name(host)));
        self.host_mut(host).start();
        self.start_data(host);
        self.remember_seeds(host);
    }

    fn remember_seeds(&mut self, host: HostId) {
        for seed in self.hosts[host.0 as usize].seeds.clone() {
            self.command(host, Command::Remember(seed));
        }
    }

    fn ask_for_a_place(&mut self, host: HostId) {
        let contacts = &mut self.host_mut(host).contacts;
        contacts.rotate_left(usize::from(!contacts.is_empty()));
        if let Some(contact) = contacts.back().cloned() {
            self.note(|world| format!("{} joins through {contact}", world.name(host)));
            self.command(host, Command::Join(contact));
        }
    }

    /// Gives a running node a command. Its token says what it was.
    fn command(&mut self, host: HostId, command: Command) {
        let token = match command {
            Command::Create => CREATE,
            Command::Join(_) => JOIN,
            Command::Leave => LEAVE,
            Command::Remember(_) => REMEMBER,
        };
        if self.hosts[host.0 as usize].is_awake() {
            self.feed(host, Input::Command(token, command));
        }
    }

    fn feed(&mut self, host: HostId, input: Input) {
        let Some(node) = &mut self.hosts[host.0 as usize].node else { return };
        node.handle(input);
        while let Some(output) = self.hosts[host.0 as usize].node.as_mut().and_then(Node::poll) {
            self.act(host, output);
        }
        self.tell_neighbours(host);
    }

    /// Carries out one effect.
    fn act(&mut self, host: HostId, output: Output) {
        match output {
            Output::Send(id, to, request) => {
                let call =
                    Outgoing { asker: Asker::Node(id), errand: None, budget: self.settings.request_patience };
                self.call(host, &to, request, call);
            }
            Output::Reply(_, answer) => {
                if let Some((asker, call)) = self.answering.take() {
                    self.answer(host, asker, call, answer.map_err(Failure::Refused));
                }
            }
            Output::Done(token, result) => self.done(host, token, result),
            Output::Wake(wake, pause) => {
                let pause = match wake {
                    Wake::Maintain => self.pause(pause),
                    Wake::RetryJoin => chord_ring::jittered(pause, self.random.random()),
                };
                self.schedule_wake(host, wake, pause);
            }
            Output::ViewChanged => self.changed = Changed::Yes,
            Output::Event(event) => {
                self.note(|world| format!("{}: {event:?}", world.name(host)));
                if matches!(event, RingEvent::Violation { .. } | RingEvent::PositionTaken(_)) {
                    self.complaints.push(Complaint { host, event });
                }
            }
        }
    }

    fn done(&mut self, host: HostId, token: Token, result: Result<(), CommandError>) {
        match (token, result) {
            (LEAVE, Ok(())) => self.crash(host, Down::Refuses),
            (JOIN, Err(error)) => {
                self.note(|world| format!("{} has no place yet: {error}", world.name(host)));
                let life = self.hosts[host.0 as usize].life;
                self.queue.push(self.now.after(JOIN_PAUSE), Event::Rejoin { host, life });
            }
            _ => {}
        }
    }

    /// The pause until the next round of maintenance.
    fn pause(&mut self, asked: Duration) -> Duration {
        match self.settings.pace {
            Pace::AsAsked => chord_ring::jittered(asked, self.random.random()),
            Pace::Uniform(least, most) => least + most.saturating_sub(least).mul_f64(self.random.random()),
        }
    }

    fn schedule_wake(&mut self, id: HostId, wake: Wake, pause: Duration) {
        let host = &mut self.hosts[id.0 as usize];
        let number = host.wake_number(wake);
        *number += 1;
        let number = *number;
        let event = Event::Wake { host: id, life: host.life, wake, number };
        let pause = pause.div_f64(host.clock);
        self.queue.push(self.now.after(pause), event);
    }

    fn host_mut(&mut self, host: HostId) -> &mut Host {
        &mut self.hosts[host.0 as usize]
    }
}

/// What a command was, as its token says.
const CREATE: Token = Token(1);
const JOIN: Token = Token(2);
const LEAVE: Token = Token(3);
const REMEMBER: Token = Token(4);
