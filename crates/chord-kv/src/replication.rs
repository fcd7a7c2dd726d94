//! Replication: one node's part in keeping every acknowledged write, as a state machine.
//!
//! The owner of a range decides about its keys, one operation at a time for each. It chooses the *group* that keeps copies,
//! itself and the next R - 1 nodes on other hosts, and acknowledges a write when W of them have made it durable. A new
//! owner asks everybody who may have kept copies before (`walk`) and answers nothing on its own until it knows what is
//! newest under a key. Owner and members compare digests for as long as they are that (`sync`). Whoever has records that
//! nobody counts on it for offers them to their owner, and drops them only when the owner's whole group has them.
//!
//! Like [`chord_ring::Node`], it is told what happened by [`Replicator::handle`] and says what it wants done by
//! [`Replicator::poll`]: one input, then everything that comes out, then the next input. It knows no clock: time comes
//! with each input. [`Input::Tick`] has to come every [`TICK`], by which it also notices that it was stopped.

mod adopt;
mod answer;
mod attempts;
mod feed;
mod group;
mod holdings;
mod leave;
mod message;
mod operation;
mod outbox;
mod recall;
mod repair;
mod rivals;
mod serve;
mod settings;
mod status;
mod stray;
mod succession;
mod sync;
mod takeover;
mod tenure;
mod walk;
mod watch;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chord_ring::{Failure, NodeName, Peer, Position, Token};

pub use attempts::{Afterwards, Attempts};
use feed::Feed;
pub use feed::{INTEREST_LAPSES_AFTER, SUBSCRIPTIONS_MAX, UNHEARD_BYTES_MAX, UNHEARD_MAX};
use group::{OwnGroup, Unreliable};
use holdings::Holdings;
pub use holdings::{HOLDING_LAPSES_AFTER, HOLDINGS_MAX};
pub use leave::Departure;
use leave::Leaving;
pub use message::*;
pub use operation::*;
use outbox::{Batch, Outboxes};
pub use outbox::{FLIGHTS_MAX, OUTBOX_BYTES_MAX, OUTBOX_MAX};
use recall::Recall;
pub use recall::{MISSED_FOR, RECALLED_FOR, RECALLED_MAX};
use repair::Budget;
use rivals::Rivals;
#[cfg(feature = "defects")]
pub use settings::Defect;
pub use settings::Settings;
pub use status::{Repaired, Status, Traffic};
use stray::Sweep;
use succession::Succession;
use takeover::Takeover;
use tenure::{Epoch, Tenure};
pub use tenure::{KEYS_KNOWN_MAX, STOPPED_AFTER};
pub use walk::WALK_MAX;
use watch::Watches;
pub use watch::{Seen, Since, WatchId};
use work::Works;
pub use work::{OPERATIONS_MAX, OPERATIONS_OF_KEY_MAX};

use crate::{Key, Range, Sequence, Store, StoreError, Value, Version, VersionClock};

/// How often [`Input::Tick`] has to come: often enough that a few may be late before a node doubts itself.
pub const TICK: Duration = Duration::from_millis(100);
const _: () = assert!(TICK.as_millis() * 4 <= STOPPED_AFTER.as_millis(), "a late tick is no stop");

/// Copies of a key, if nobody says otherwise.
pub const REPLICAS_DEFAULT: u8 = 3;

/// Copies of a key, at most: as many as the successor list of a ring that is not told otherwise provides.
pub const REPLICAS_MAX: u8 = 8;

/// Answers that wait until what they say is durable, at most: more than a disk that works leaves behind.
const UNDURABLE_MAX: usize = 64 << 10;

/// Writes of which too few copies are known, that are remembered, at most. Others are only brought up to date by repair.
const UNCONFIRMED_MAX: usize = 4096;

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// By a clock that never goes back, and does not stop when the node does.
    pub elapsed: Duration,
    /// By the clock on the wall, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// Names a request of a node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Whom a node knows next to it on the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Whether it is a member of a ring.
    pub is_member: bool,
    /// Its predecessor.
    pub predecessor: Option<Peer>,
    /// Its successors, nearest first.
    pub successors: Vec<Peer>,
}

/// What happens to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its last life knew these in its ring, or still recalled them. To be told before it becomes a member, if its store has
    /// records of that life: unless one who has everything is found, these are asked too, and waited for during
    /// [`RECALLED_FOR`].
    Recall(Vec<Peer>),
    /// These are its neighbours from now on.
    Neighbours(Neighbours),
    /// An operation on a key that this node owns, as somebody believes. [`Output::Done`] ends it.
    Operate {
        /// Who waits.
        token: Token,
        /// The key.
        key: Key,
        /// Where it lies, as [`Key::position`] says.
        position: Position,
        /// What to do.
        operation: Operation,
        /// What the node that was asked proposes for the version of what is written.
        proposal: Proposal,
        /// How many copies it is about.
        consistency: Consistency,
        /// When nobody waits any more.
        until: Duration,
    },
    /// A node of another program, which knows no versions, leaves this record here. [`Output::Done`] ends it.
    Adopt {
        /// Who waits.
        token: Token,
        /// The key.
        key: Key,
        /// What is under it.
        value: Value,
    },
    /// Another node's request. [`Output::Reply`] answers it.
    Request {
        /// Who waits.
        token: Token,
        /// Who asks.
        from: Peer,
        /// What.
        request: PeerRequest,
    },
    /// The end of a request of this node's own. [`Failure::Garbled`] says that the peer keeps no records at all, as one of
    /// another program: nobody asks it again for a while, and it counts as vouching.
    Answer(RequestId, Result<PeerAnswer, Failure>),
    /// The end of a search for an owner.
    Found(RequestId, Option<Peer>),
    /// Somebody watches keys through this node. [`Output::Seen`] tells of changes, until [`Input::Unwatch`].
    Watch {
        /// Who, by a number that no other watch of this node has had.
        id: WatchId,
        /// Which keys.
        filter: Filter,
        /// What they know already.
        since: Since,
    },
    /// Nobody watches that any more.
    Unwatch(WatchId),
    /// [`TICK`] has passed.
    Tick,
    /// The store has made more of what was applied durable.
    Durable,
    /// The node is to leave the ring: hand over what it has. [`Output::Left`] ends it; then the ring can be left.
    Leave,
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask a peer, and feed back one [`Input::Answer`].
    Send(RequestId, Peer, PeerRequest),
    /// Look up who owns that position, and feed back one [`Input::Found`].
    FindOwner(RequestId, Position),
    /// Answer a peer's request.
    Reply(Token, PeerAnswer),
    /// An operation has ended.
    Done(Token, Result<Outcome, OperationError>),
    /// What could be handed over is.
    Left(Departure),
    /// Tell one who watches.
    Seen(WatchId, Seen),
    /// Something an operator may want to read.
    Event(Event),
}

/// What a node reports of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It did not run for a while, and asks before it answers.
    WasStopped,
    /// It has everything of that part of its range, which others may have had before.
    Complete(Range),
    /// It answers from now on though these of its last life have not come back: what only they have is missing until they do.
    Missed(Vec<NodeName>),
    /// So many records were found damaged, and others are asked for them.
    Lost(u64),
    /// The store failed.
    StoreFailed(StoreError),
    /// Another node claimed a part of its range by that group, and its predecessor still names it: it goes on, and asks for
    /// what the other may have written.
    Surpassed(Version),
    /// More nodes own keys that somebody watches than one watch asks, which are so many: it does not begin.
    TooManyOwners(usize),
}

/// What is said once it is durable.
#[derive(Clone, Debug)]
enum Undurable {
    Answer(AnswerBody),
    Adopted(Box<Outcome>),
}

/// What a request of this node's own is for.
#[derive(Clone, Debug)]
enum Purpose {
    /// Because of a rival, if its group is there.
    Vouch(Epoch, Option<Version>),
    Succeed(Epoch),
    Copies(Batch),
    Takeover(Epoch),
    KeyOf(Key, Epoch),
    Consult(Key, Token),
    Sync(Version),
    Confirm(Version),
    Announce(Version),
    Probe,
    FindOwner,
    Offer,
    Deliver,
    Purge(Version),
    FindFeed(WatchId),
    /// With the interests' numbers.
    Watch(Vec<u64>),
    /// With each interest's number, its beginning, and the last change.
    Notify(Vec<feed::Told>),
}

/// One node's part in keeping records.
pub struct Replicator {
    me: Peer,
    settings: Settings,
    store: Arc<dyn Store>,
    clock: Arc<VersionClock>,
    now: Now,
    neighbours: Neighbours,
    tenure: Tenure,
    group: OwnGroup,
    /// The group that the next one has to surpass: of this node, or of a rival.
    known_group_id: Option<Version>,
    rivals: Rivals,
    holdings: Holdings,
    unreliable: Unreliable,
    works: Works,
    unconfirmed: BTreeMap<Key, Version>,
    outboxes: Outboxes,
    /// Answers that wait until what they say is durable.
    undurable: VecDeque<(Sequence, Token, Undurable)>,
    /// Up to where everything was applied.
    applied: Sequence,
    /// The keys of writes that wait until they are durable.
    undurable_writes: BTreeMap<Sequence, Vec<Key>>,
    member_since: Duration,
    takeover: Option<Takeover>,
    succession: Succession,
    feed: Feed,
    watches: Watches,
    recall: Recall,
    vouch_due_at: Duration,
    /// The predecessor that is being asked.
    vouching: Option<Peer>,
    sweep: Sweep,
    budget: Budget,
    purge: repair::Purging,
    leaving: Option<Leaving>,
    /// Since when there is nobody else who keeps records and stays.
    alone_since: Option<Duration>,
    /// Whether there ever was anybody else.
    has_met_others: bool,
    /// How many records the store was known to have lost.
    lost: u64,
    repaired: Repaired,
    /// Since it became a member.
    taken_over: u64,
    /// Records of its first range that others gave it, and that were news; what was on its own disk nobody handed over.
    come: u64,
    /// The range that it had everything of last.
    answered_for: Option<Range>,
    asked: BTreeMap<RequestId, (Peer, Purpose)>,
    requests: u64,
    outputs: VecDeque<Output>,
}

impl Replicator {
    /// A node that is in no ring, with what its store holds.
    pub fn new(me: Peer, mut settings: Settings, store: Arc<dyn Store>, now: Now) -> Self {
        settings.replicas = settings.replicas.clamp(1, REPLICAS_MAX);
        // A member that hears of no comparison for so long offers what it has to the owner.
        settings.repair_pause = settings.repair_pause.min(HOLDING_LAPSES_AFTER / 3);
        let clock = Arc::new(VersionClock::new());
        let group = OwnGroup::alone(&me, me.position, clock.next(now.wall_ms, me.position));
        let outboxes = Outboxes::new(settings.copies_bytes_max);
        Self {
            tenure: Tenure::new(me.position, now.elapsed),
            budget: Budget::new(settings.repair_bytes_per_second),
            me,
            settings,
            store,
            clock,
            now,
            neighbours: Neighbours::default(),
            group,
            known_group_id: None,
            rivals: Rivals::default(),
            holdings: Holdings::default(),
            unreliable: Unreliable::default(),
            works: Works::default(),
            unconfirmed: BTreeMap::new(),
            outboxes,
            undurable: VecDeque::new(),
            applied: Sequence::default(),
            undurable_writes: BTreeMap::new(),
            member_since: now.elapsed,
            takeover: None,
            succession: Succession::default(),
            feed: Feed::default(),
            watches: Watches::default(),
            recall: Recall::default(),
            vouch_due_at: Duration::ZERO,
            vouching: None,
            sweep: Sweep::default(),
            purge: repair::Purging::default(),
            leaving: None,
            alone_since: Some(now.elapsed),
            has_met_others: false,
            lost: 0,
            repaired: Repaired::default(),
            taken_over: 0,
            come: 0,
            answered_for: None,
            asked: BTreeMap::new(),
            requests: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happens. Whatever comes out of it is to be polled before the next input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if self.tenure.beat(now.elapsed) {
            self.was_stopped();
        }
        self.notice_losses();
        if self.budget.refill(now.elapsed) {
            self.drive_takeover();
            self.drive_repair();
            self.drive_sweep();
        }
        match input {
            #[cfg(feature = "defects")]
            Input::Recall(_) if self.settings.has(Defect::ForgetsItsLastLife) => {}
            Input::Recall(peers) => self.recall.add(peers),
            Input::Neighbours(neighbours) => self.set_neighbours(neighbours),
            Input::Operate { token, key, position, operation, proposal, consistency, until } => {
                self.budget.yield_to_client(now.elapsed);
                let (until, stage) = (work::ends_by(now.elapsed, until), work::Stage::Waiting);
                let work = work::Work { token, position, operation, consistency, proposal, until, stage };
                self.operate(&key, work);
            }
            Input::Adopt { token, key, value } => self.adopt(token, key, value),
            Input::Request { token, from, request } => {
                self.recall.heard(&from.name);
                self.answer(token, &from, request);
            }
            Input::Answer(id, answer) => self.hear(id, answer),
            Input::Found(id, owner) => match self.asked.remove(&id) {
                Some((_, Purpose::FindFeed(watch))) => self.found_feed(watch, owner),
                Some(_) => self.found_owner(owner),
                None => {}
            },
            Input::Watch { id, filter, since } => self.begin_watching(id, filter, since),
            Input::Unwatch(id) => self.end_watching(id),
            Input::Tick => self.tick(),
            Input::Durable => {}
            Input::Leave => self.begin_leaving(),
        }
        self.seek_vouching();
        self.seek_succession();
        self.check_durable();
        self.flush();
        self.tell_watchers();
    }

    /// What is to be done next; `None` when there is nothing more.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What makes the versions of writes that begin at this node.
    pub fn clock(&self) -> Arc<VersionClock> {
        self.clock.clone()
    }

    /// Whether this node may answer for a position.
    pub fn answers_for(&self, position: Position) -> bool {
        self.tenure.answers_for(position)
    }

    /// Those of its last life that it still asks for what it may lack. To be written down with those whom it knows now, in
    /// case it ends before it has heard of them.
    pub fn recalled(&self) -> &[Peer] {
        self.recall.peers(self.now.elapsed)
    }

    fn set_neighbours(&mut self, neighbours: Neighbours) {
        let (predecessor, head) = (neighbours.predecessor.as_ref(), neighbours.successors.first());
        match (self.neighbours.is_member, neighbours.is_member) {
            (true, true) => {
                let before = self.tenure.complete_range();
                self.tenure.set_neighbours(predecessor, head);
                self.note_own();
                if let (Some(before), Some(now)) = (before, self.tenure.range()) {
                    self.holdings.note_former(before, now, predecessor, self.now.elapsed);
                }
                self.holdings.note_predecessor(predecessor);
                self.answered_for = match (self.answered_for, self.tenure.range()) {
                    (Some(before), Some(now)) if holdings::is_within(now, before) => Some(now),
                    (before, _) => before,
                };
            }
            (false, true) => {
                (self.answered_for, self.taken_over, self.come) = (None, 0, 0);
                self.tenure.join(predecessor, head);
                self.sweep.forget_lost();
                self.recall.begin(self.now.elapsed);
                self.succession = Succession::default();
                let id = self.clock.next(self.now.wall_ms, self.me.position);
                self.group = OwnGroup::alone(&self.me, self.me.position, id);
                self.leaving = None;
                self.member_since = self.now.elapsed;
                self.unconfirmed.clear();
                self.purge = repair::Purging::default();
            }
            (_, false) => {
                self.tenure.leave();
                self.sweep.forget_lost();
                self.holdings.clear();
                self.recall.end();
            }
        }
        self.has_met_others |= !neighbours.successors.is_empty();
        self.neighbours = neighbours;
        self.keep_only_a_successors_word();
        self.follow_range_with_feed();
        self.look_for_others();
        self.vouch_due_at = self.now.elapsed;
        self.regroup();
        self.seek_vouching();
        self.drive_takeover();
        self.recheck_all();
    }

    /// Whether there is somebody who keeps records and stays.
    fn look_for_others(&mut self) {
        let elapsed = self.now.elapsed;
        let stay = group::choose(&self.me, &self.neighbours.successors, 1, &self.unreliable, elapsed);
        self.alone_since = if stay.is_empty() { self.alone_since.or(Some(elapsed)) } else { None };
    }

    fn tick(&mut self) {
        self.end_overdue();
        self.probe_unreliable();
        self.look_for_others();
        self.regroup();
        self.drive_takeover();
        self.retry_keys();
        self.retry_copies();
        self.drive_repair();
        self.drive_purge();
        self.drive_sweep();
        self.drive_leaving();
        self.drive_feed();
        self.drive_watches();
    }

    /// Chooses the group anew, if the range or the ring has changed.
    fn regroup(&mut self) {
        let Some(range) = self.tenure.range().filter(|_| self.neighbours.is_member) else { return };
        // One that leaves makes up for itself.
        let others = usize::from(self.settings.replicas).saturating_sub(usize::from(self.leaving.is_none()));
        let elapsed = self.now.elapsed;
        let peers = group::choose(&self.me, &self.neighbours.successors, others, &self.unreliable, elapsed);
        let is_old = self.known_group_id.is_some_and(|known| known > self.group.group.id);
        if self.group.is(&peers, range.after) && !is_old {
            return;
        }
        let id = self.next_group_id(range);
        if self.group.group.after != range.after {
            self.range_changed();
        }
        let before = self.group.group.range();
        let has_members = !self.group.members.is_empty();
        let has_shrunk = has_members && holdings::is_within(range, before) && range != before;
        self.group.change(peers, range.after, id, elapsed);
        let group = &self.group.group;
        self.outboxes.keep_only(|name| group.has(name));
        if is_old || has_shrunk {
            self.announce_group();
        }
        self.retry_copies();
        self.recheck_all();
    }

    /// Asks successors that have said that they leave whether they are back.
    fn probe_unreliable(&mut self) {
        let now = self.now.elapsed;
        let due = self.neighbours.successors.iter().filter(|peer| self.unreliable.is_due(&peer.name, now));
        for peer in due.cloned().collect::<Vec<_>>() {
            self.unreliable.probed(&peer.name, now);
            self.send(&peer, PeerRequest::Vouch, Purpose::Probe);
        }
    }

    /// Greater than that of any group that is known for a part of the range: this one takes its place.
    fn next_group_id(&mut self, range: Range) -> Version {
        let known = self.holdings.latest_of(range).max(Some(self.group.group.id)).max(self.known_group_id);
        self.clock.next_after(self.now.wall_ms, self.me.position, known.as_ref())
    }

    fn send(&mut self, peer: &Peer, request: PeerRequest, purpose: Purpose) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.asked.insert(id, (peer.clone(), purpose));
        self.outputs.push_back(Output::Send(id, peer.clone(), request));
    }

    fn hear(&mut self, id: RequestId, answer: Result<PeerAnswer, Failure>) {
        let Some((peer, purpose)) = self.asked.remove(&id) else { return };
        let (name, now) = (&peer.name, self.now.elapsed);
        if answer.is_ok() {
            self.recall.heard(name);
        }
        let changes = match &answer {
            Ok(answer) if answer.leaving => self.unreliable.add(name, now),
            Ok(_) => self.unreliable.remove(name),
            // One that does not understand keeps no records.
            Err(failure) => *failure == Failure::Garbled && self.unreliable.add(name, now),
        };
        let answer = answer.map(|answer| answer.body);
        if let Ok(AnswerBody::Refused(Denial::OldGroup { known })) = &answer {
            self.heard_of_later_group(name, purpose.group(), *known);
        }
        if changes || self.known_group_id.is_some_and(|known| known > self.group.group.id) {
            self.regroup();
        }
        match purpose {
            Purpose::Vouch(epoch, rival) => self.heard_vouch(&peer, epoch, rival, &answer),
            Purpose::Succeed(epoch) => self.heard_yielded(&peer, epoch, &answer),
            Purpose::Copies(batch) => self.heard_copies(&peer, &batch, answer),
            Purpose::Takeover(epoch) => self.heard_takeover(&peer, epoch, answer),
            Purpose::KeyOf(key, epoch) => self.heard_key(&peer, &key, epoch, answer),
            Purpose::Consult(key, token) => self.heard_consulted(&peer, &key, token, answer),
            Purpose::Sync(group) => self.heard_sync(&peer, group, answer),
            Purpose::Confirm(group) => self.heard_confirm(&peer, group, &answer),
            Purpose::Probe | Purpose::Announce(_) => {}
            // The search broke.
            Purpose::FindOwner => self.found_owner(None),
            Purpose::Offer => self.heard_offer(&peer, answer),
            Purpose::Deliver => self.heard_deliver(&answer),
            Purpose::Purge(_) => self.heard_purge(&peer, &answer),
            Purpose::FindFeed(watch) => self.found_feed(watch, None),
            Purpose::Watch(ids) => self.heard_watched(&peer, &ids, &answer),
            Purpose::Notify(told) => self.heard_notified(&peer, &told, &answer),
        }
    }

    fn report(&mut self, error: StoreError) {
        self.outputs.push_back(Output::Event(Event::StoreFailed(error)));
    }
}
