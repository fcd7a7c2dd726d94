//! Departure: a node that leaves hands its keys to its successor, says farewell, and only then closes its door.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_kv::{Range, Record};
use chord_ring::{Command, CommandError, Failure, Refusal};
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

/// How often a record is offered to one that answers that it has no way to take it.
const MISFITS_MAX: u32 = 3;

/// How a node left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Departure {
    /// Records that the successor acknowledged.
    pub handed_over: u64,
    /// Records that nobody took: the node was alone, or time ran out.
    pub left_behind: u64,
    /// Whether the node was the last of its ring from the beginning of its departure to the end: what it left behind
    /// ended with the ring, and nobody could have taken it.
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
        let was_alone = self.view.load().is_alone();
        let Offered { taken: handed_over, refused: left_behind } = self.hand_over_all(limit).await;
        match tokio::time::timeout(limit, self.command(Command::Leave)).await {
            Ok(Ok(()) | Err(CommandError::NotMember)) => {}
            Ok(Err(error)) => tracing::warn!("left without farewell: {error}"),
            Err(_) => tracing::warn!("left without farewell: the neighbours did not answer in time"),
        }
        let ended_ring = was_alone && handed_over == 0 && self.view.load().is_alone();
        if left_behind > 0 && ended_ring {
            tracing::info!(left_behind, "the last node of its ring ends, and its records with it");
        } else if left_behind > 0 {
            tracing::warn!(left_behind, "records were not handed over and are lost with this node");
        }
        Departure { handed_over, left_behind, ended_ring }
    }

    /// Offers every record, until none has been taken for as long as `limit`.
    async fn hand_over_all(self: &Arc<Self>, limit: Duration) -> Offered {
        let patience = Arc::new(Patience { limit, state: Mutex::new((Instant::now(), None)) });
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
        while let Some(wait) = patience.left().filter(|_| misfits < MISFITS_MAX) {
            match tokio::time::timeout(wait, self.leave_to_heir(record)).await {
                Ok(Ok(())) => {
                    patience.taken();
                    return true;
                }
                Ok(Err(NoHeir::Alone)) | Err(_) => return false,
                Ok(Err(NoHeir::AllLeave)) => patience.nobody_stays(ALL_LEAVE_WAIT),
                Ok(Err(NoHeir::ListLeaves)) => patience.nobody_stays(LIST_LEAVES_WAIT),
                Ok(Err(NoHeir::Misfit)) => misfits += 1,
                Ok(Err(NoHeir::NotNow)) => patience.somebody_may_stay(),
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

/// How long a leaving node goes on offering.
struct Patience {
    limit: Duration,
    /// When a record was taken last, and until when one is offered though nobody stays.
    state: Mutex<(Instant, Option<Instant>)>,
}

impl Patience {
    /// How much is left, if any.
    fn left(&self) -> Option<Duration> {
        let (last_taken, nobody_stays) = *lock(&self.state);
        let left = self.limit.saturating_sub(last_taken.elapsed());
        let is_hopeless = nobody_stays.is_some_and(|until| until <= Instant::now());
        (!left.is_zero() && !is_hopeless).then_some(left)
    }

    fn taken(&self) {
        *lock(&self.state) = (Instant::now(), None);
    }

    fn nobody_stays(&self, wait: Duration) {
        lock(&self.state).1.get_or_insert_with(|| Instant::now() + wait);
    }

    fn somebody_may_stay(&self) {
        lock(&self.state).1 = None;
    }
}
