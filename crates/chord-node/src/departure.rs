//! Departure: a node that leaves hands its keys to its successor, says farewell, and only then closes its door.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::{Range, Record};
use chord_ring::{Command, CommandError, Failure, Peer, Refusal, Request};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::handover::{LEFT_AT_ONCE, NotTaken, OfferLimits, Offered, Receiver};
use crate::links::lock;
use crate::shared::{Shared, Stage};

/// Pause before a record is offered again that was not taken: the successor is busy, or changes.
const OFFER_PAUSE: Duration = Duration::from_millis(100);

/// How long records are offered while all other nodes of the ring leave too. One of them may have been started again and
/// be on its way back: a join takes less.
const ALL_LEAVE_WAIT: Duration = Duration::from_secs(1);

/// How long records are offered while all successors leave that this node knows, and others may stay. The farthest of those
/// who leave knows one that stays: it hands its records over, goes, and with its farewell the one that stays comes into
/// this node's list. A node that still has records by then has more of them than most.
const LIST_LEAVES_WAIT: Duration = Duration::from_secs(3);

/// How often a record is offered again to one that answers that it has no way to take it.
const MISFITS_MAX: u32 = 2;

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Records that the successor acknowledged.
    pub handed_over: u64,
    /// Records that nobody took: the node was alone, or time ran out.
    pub left_behind: u64,
    /// Whether no other node of the ring stayed that this one knew: what it left behind ended with the ring, and nobody
    /// could have kept it.
    pub ended_ring: bool,
}

impl Shared {
    /// Leaves the ring, once: whoever asks again gets the same report. Goes on if the asker gives up waiting.
    pub(crate) async fn depart(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let leaving =
            tokio::spawn(async move { *shared.departure.get_or_init(|| shared.clone().leave()).await });
        leaving.await.unwrap_or_else(|error| {
            tracing::error!("the departure broke: {error}");
            Departure { left_behind: self.store.usage().records, ..Departure::default() }
        })
    }

    /// Leaves the ring and closes the door, also when the asker gives up waiting.
    pub(crate) async fn shut_down(self: &Arc<Self>) -> Departure {
        let shared = self.clone();
        let ending = tokio::spawn(async move {
            let departure = shared.depart().await;
            shared.advance(Stage::Closing);
            departure
        });
        ending.await.unwrap_or_default()
    }

    async fn leave(self: Arc<Self>) -> Departure {
        self.advance(Stage::Departing);
        let limit = self.limits.departure;
        let patience = Arc::new(Patience::new(limit));
        let others = self.view().successors().as_slice().to_vec();
        let Offered { taken: handed_over, refused: left_behind } = self.hand_over_all(&patience).await;
        let nobody_stays = left_behind > 0 && patience.is_hopeless() && !self.is_any_silent(others).await;
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => tracing::warn!("left without farewell: {error}"),
            Err(_) => tracing::warn!("left without farewell: the neighbours did not answer in time"),
        }
        let ended_ring = nobody_stays || (left_behind == 0 && self.view.load().is_alone());
        if left_behind > 0 && ended_ring {
            tracing::info!(left_behind, "no other node of the ring stays, and these records end with it");
        } else if left_behind > 0 {
            tracing::warn!(left_behind, "records were not handed over and are lost with this node");
        }
        Departure { handed_over, left_behind, ended_ring }
    }

    /// Whether one of those is there and does not answer, as one that is stopped: it may stay, though the ring has dropped
    /// it.
    async fn is_any_silent(self: &Arc<Self>, peers: Vec<Peer>) -> bool {
        let mut asking = JoinSet::new();
        for peer in peers {
            let shared = self.clone();
            let limit = shared.limits.request;
            asking.spawn(async move { shared.asker().ask(&peer.name, Request::Ping, limit).await });
        }
        let answers = asking.join_all().await;
        answers.contains(&Err(Failure::Silent))
    }

    /// Offers every record, as long as there is patience.
    async fn hand_over_all(self: &Arc<Self>, patience: &Arc<Patience>) -> Offered {
        let offer = |shared: Arc<Self>, record: Record| {
            let patience = patience.clone();
            async move { shared.offer(&record, &patience).await }
        };
        let limits = OfferLimits { at_once: LEFT_AT_ONCE, refused: u64::MAX };
        self.offer_all(&Range::ALL, limits, offer).await.unwrap_or_else(|error| {
            tracing::error!("reading the records to hand over: {error}");
            Offered { taken: 0, refused: self.store.usage().records }
        })
    }

    async fn offer(&self, record: &Record, patience: &Patience) -> bool {
        let mut misfits = 0;
        while let Some(wait) = patience.left() {
            match tokio::time::timeout(wait, self.leave_to_heir(record)).await {
                Ok(Ok(())) => {
                    patience.taken();
                    return true;
                }
                Ok(Err(NoHeir::Alone)) => {
                    patience.nobody_stays(Duration::ZERO);
                    return false;
                }
                Ok(Err(NoHeir::AllLeave)) => patience.nobody_stays(ALL_LEAVE_WAIT),
                Ok(Err(NoHeir::ListLeaves)) => patience.nobody_stays(LIST_LEAVES_WAIT),
                Ok(Err(NoHeir::Misfit)) if misfits < MISFITS_MAX => misfits += 1,
                Ok(Err(NoHeir::Misfit)) => {
                    patience.lost_beside_others();
                    return false;
                }
                Ok(Err(NoHeir::NotNow)) | Err(_) => patience.somebody_may_stay(),
            }
            tokio::time::sleep(OFFER_PAUSE).await;
        }
        false
    }

    /// Gives a record to the first successor, or to the next that does not leave too and has room. Those that it goes past
    /// know it, and say so to whoever owns it and asks them for it.
    pub(crate) async fn leave_to_heir(&self, record: &Record) -> Result<(), NoHeir> {
        let view = self.view();
        let mut all_leave = true;
        for heir in view.successors().as_slice() {
            match self.hand_over(&heir.name, record, Receiver::Heir).await {
                Ok(()) => return Ok(()),
                Err(NotTaken::Failed(Failure::Refused(Refusal::NotMember) | Failure::Unreachable)) => {}
                Err(NotTaken::Unsayable) => return Err(NoHeir::Misfit),
                Err(NotTaken::Declined(sentence)) => {
                    // Better with the next one, from which it comes home when there is room, than with nobody.
                    tracing::debug!(peer = %heir.name, "a record was not taken: {sentence}");
                    all_leave = false;
                }
                Err(NotTaken::Failed(failure)) => {
                    tracing::debug!(peer = %heir.name, "a record was not taken: {failure}");
                    all_leave = false;
                    break; // The next one might not be found by an owner that lies between.
                }
            }
        }
        Err(match (view.successors().is_empty(), all_leave, view.is_small()) {
            (true, _, _) => NoHeir::Alone,
            (false, true, true) => NoHeir::AllLeave,
            (false, true, false) => NoHeir::ListLeaves,
            (false, false, _) => NoHeir::NotNow,
        })
    }
}

/// Why nobody took a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeir {
    /// There is nobody.
    Alone,
    /// All other nodes of the ring leave too, or are gone.
    AllLeave,
    /// All successors that this node knows leave too, or are gone.
    ListLeaves,
    /// Whoever is to take it has no way to, such as a text that XML-RPC cannot carry to a node that speaks nothing else.
    Misfit,
    /// Those that might take it are busy, or the ring changes.
    NotNow,
}

/// How long a leaving node goes on offering: until no record has been taken for as long as the limit.
struct Patience {
    limit: Duration,
    state: Mutex<Offering>,
}

/// How the offering goes.
struct Offering {
    last_taken: Instant,
    /// Until when records are offered though nobody stays who could keep them.
    nobody_stays: Option<Instant>,
    /// Whether a record was given up although somebody stays.
    lost_beside_others: bool,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        let offering = Offering { last_taken: Instant::now(), nobody_stays: None, lost_beside_others: false };
        Self { limit, state: Mutex::new(offering) }
    }

    /// How much is left, if any.
    fn left(&self) -> Option<Duration> {
        let state = lock(&self.state);
        let left = self.limit.saturating_sub(state.last_taken.elapsed());
        let is_over = state.nobody_stays.is_some_and(|until| until <= Instant::now());
        (!left.is_zero() && !is_over).then_some(left)
    }

    /// Whether whatever was not taken could not have been: nobody stays.
    fn is_hopeless(&self) -> bool {
        let state = lock(&self.state);
        state.nobody_stays.is_some() && !state.lost_beside_others
    }

    fn taken(&self) {
        let mut state = lock(&self.state);
        (state.last_taken, state.nobody_stays) = (Instant::now(), None);
    }

    fn nobody_stays(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = lock(&self.state);
        state.nobody_stays = Some(state.nobody_stays.map_or(until, |earlier| earlier.min(until)));
    }

    fn somebody_may_stay(&self) {
        lock(&self.state).nobody_stays = None;
    }

    fn lost_beside_others(&self) {
        lock(&self.state).lost_beside_others = true;
    }
}
