//! Settings: how one node replicates.

use std::time::Duration;

use chord_ring::RingSize;

use super::feed::UNHEARD_BYTES_MAX;
use super::outbox::OUTBOX_BYTES_MAX;
use super::{Consistency, REPLICAS_DEFAULT};

/// How one node replicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The ring's size.
    pub size: RingSize,
    /// R: copies of a key, the owner's included, from 1 to [`super::REPLICAS_MAX`]. The same on every node.
    pub replicas: u8,
    /// W: copies that must be durable before a write is acknowledged, as many as these however few nodes there are; `None` is
    /// more than half of the group, which has fewer members where the ring has.
    pub write_quorum: Option<u8>,
    /// Bytes of a value, at most.
    pub value_bytes_max: usize,
    /// How often an owner compares digests with each member of its group.
    pub repair_pause: Duration,
    /// Bytes of records that repair and takeover may move in a second while there are clients; several times as many without.
    pub repair_bytes_per_second: u64,
    /// For how long it is remembered that a key was deleted or has expired: longer than any node is away and comes back with
    /// its records, and than clocks differ.
    pub tombstone_grace: Duration,
    /// Bytes of copies that wait for one member, at most. More are left to repair.
    pub copies_bytes_max: usize,
    /// Bytes of changes that wait for all who watch, at most and by one of each. Beyond it the oldest of whoever is told
    /// something new are missed, and it is told so.
    pub unheard_bytes_max: usize,
    /// How long a node that leaves tries to hand over what it has.
    pub departure_max: Duration,
    /// Whether acknowledgements wait for the store to say that a write is durable. Otherwise as many processes as a write has
    /// copies may lose it, if they end before their stores have it.
    pub waits_for_disk: bool,
    /// Breaks a rule.
    #[cfg(feature = "defects")]
    pub defect: Option<Defect>,
}

impl Settings {
    /// The usual ones.
    pub fn new(size: RingSize) -> Self {
        Self {
            size,
            replicas: REPLICAS_DEFAULT,
            write_quorum: None,
            value_bytes_max: crate::VALUE_BYTES_DEFAULT,
            repair_pause: Duration::from_secs(10),
            repair_bytes_per_second: 16 << 20,
            tombstone_grace: Duration::from_secs(24 * 3600),
            copies_bytes_max: OUTBOX_BYTES_MAX,
            unheard_bytes_max: UNHEARD_BYTES_MAX,
            departure_max: Duration::from_secs(10),
            waits_for_disk: true,
            #[cfg(feature = "defects")]
            defect: None,
        }
    }

    /// How many copies a write needs in a group of so many members.
    pub(super) fn quorum(&self, consistency: Consistency, members: usize) -> usize {
        let majority = members / 2 + 1;
        match consistency {
            Consistency::One => 1,
            Consistency::Quorum => majority,
            Consistency::All => members,
            Consistency::Usual => self.write_quorum.map_or(majority, usize::from),
        }
    }

    #[cfg(feature = "defects")]
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

/// A rule that is broken on purpose, to see that the checks notice.
#[cfg(feature = "defects")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// A new owner answers without asking who kept copies before.
    TakesOverBlindly,
    /// A write is acknowledged before it is durable.
    AcknowledgesBeforeDurable,
    /// A write is acknowledged when the owner has it.
    AcknowledgesAlone,
    /// Members are never brought up to date.
    SkipsRepair,
    /// A tombstone is dropped at once.
    ForgetsTombstones,
    /// A record is dropped when it is offered, whatever its owner says.
    DropsWhatItOffers,
    /// A node answers for its range without its predecessor's word, and after it was stopped.
    AnswersUnvouched,
    /// A node does what it is asked to do as the owner of a key, whoever owns that.
    AnswersForOthers,
    /// A version is made from the clock alone.
    TrustsTheClock,
    /// A node leaves without handing anything over.
    LeavesAtOnce,
    /// A node that is back asks nobody of its last life.
    ForgetsItsLastLife,
    /// A new owner that still asks others for what it lacks says that it lists everything.
    ListsBlindly,
    /// An owner goes on telling those who watch as if nobody else had owned any of its range meanwhile.
    HidesGaps,
    /// A change that comes twice is said to have found nothing.
    ForgetsThatItCameTwice,
}
