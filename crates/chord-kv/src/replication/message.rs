//! What nodes say to each other about records.

use std::time::Duration;

use chord_ring::{NodeName, Peer, Position};

use crate::{Cursor, Digest, Key, Range, Record, Version};

/// Records in one message, at most: few enough that a node is not busy with one message for a millisecond.
pub const MESSAGE_RECORDS_MAX: usize = 512;

/// Bytes of records in one message, at most, unless a single record is larger: a quarter of a second on a 10 Mbit/s line.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Parts into which a range is divided whose digests differ. A level costs 16 times 40 bytes; a million records that differ
/// in one take four of them.
pub const PARTS: u8 = 16;

/// Records of a range that are listed one by one rather than told by digests of its parts: their list is about as long.
pub const LISTED_MAX: u64 = 32;

/// The nodes that keep copies of one owner's range, as that owner has chosen them. Every message about the copies names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The owner, whose position ends the range.
    pub owner: Peer,
    /// The position before the range.
    pub after: Position,
    /// Which of the owner's groups it is: a later one is greater.
    pub id: Version,
    /// All members, the owner among them, in the order of the ring.
    pub members: Vec<NodeName>,
}

impl Group {
    /// The records of which its members keep copies.
    pub fn range(&self) -> Range {
        Range { after: self.after, up_to: self.owner.position }
    }

    /// Whether that node is a member.
    pub fn has(&self, name: &NodeName) -> bool {
        self.members.contains(name)
    }
}

/// A record without what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Where its key lies.
    pub position: Position,
    /// Its key.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// Since when nothing is there, or from when on, in milliseconds since 1970; `None` if the value stays.
    pub over_at_ms: Option<u64>,
}

impl Header {
    /// Whether a reader would find something at that time. What says that a key was deleted is over since it was written,
    /// which may be ahead of the reader's clock.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.over_at_ms.is_none_or(|over_at_ms| over_at_ms > now_ms && over_at_ms != self.version.time_ms())
    }
}

impl From<&Record> for Header {
    fn from(record: &Record) -> Self {
        let Record { position, version, .. } = *record;
        let written_at_ms = version.time_ms();
        let deleted_at_ms = record.is_tombstone().then_some(written_at_ms);
        // What had expired before it was written is as new as it is.
        let over_at_ms = deleted_at_ms.or(record.expires_at_ms.map(|at_ms| at_ms.max(written_at_ms)));
        Self { position, key: record.key.clone(), version, over_at_ms }
    }
}

/// Interests in one message, at most: with the longest keys they come to [`MESSAGE_BYTES_MAX`].
pub const INTERESTS_MAX: usize = 64;

/// Changes that one message tells of, at most: what happens in a round trip on a busy node.
pub const NOTICES_MAX: usize = 256;

/// Which keys somebody watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// This one.
    Key(Key),
    /// All that begin with these bytes, no more of them than a key may have.
    Prefix(Vec<u8>),
}

/// What a node wants to hear of another's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Its number, which the node that watches has given it.
    pub id: u64,
    /// Which keys.
    pub filter: Filter,
}

/// That an interest is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    /// The interest's number.
    pub id: u64,
    /// Since when it is known without a gap. Another one than before says that there was a gap.
    pub began: Version,
    /// What is under the key, if it is about one.
    pub current: Option<Current>,
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Current {
    /// The owner does not know yet: others may have newer records.
    Unknown,
    /// This; `None` if nothing ever was, or is not remembered.
    Known(Option<Header>),
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happened {
    /// It was given a value.
    Set,
    /// It was deleted.
    Deleted,
    /// The time of its value has come.
    Expired,
}

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// The key.
    pub key: Key,
    /// The write that did it, or that said when it goes.
    pub version: Version,
    /// What happened.
    pub happened: Happened,
}

/// Changes that one interest is told of, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// The interest's number.
    pub id: u64,
    /// As in [`Subscribed`].
    pub began: Version,
    /// The number of the first change; each has the next one, from 1. Those that were left out were too many.
    pub first: u64,
    /// The changes. None at all asks whether somebody wants to hear of any.
    pub notices: Vec<Notice>,
}

impl Delivery {
    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.notices.len() as u64).saturating_sub(1)
    }
}

/// What a node asks another about records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRequest {
    /// Do you name me as your successor?
    Vouch,
    /// I came between your predecessor and you: of what did you have everything as its owner until then?
    Succeed {
        /// For how long the asker has been a member: whoever came before that is another, of the same name perhaps.
        member_for: Duration,
    },
    /// Keep these copies. Without any it only tells a member which group it is of.
    Store {
        /// The group that you are a member of.
        group: Group,
        /// Records of its range.
        records: Vec<Record>,
    },
    /// You have all records of the range of this group, of which you are a member.
    Confirm {
        /// The group.
        group: Group,
    },
    /// Is this what you have of the range?
    Compare {
        /// The range.
        range: Range,
        /// What the asker has of it.
        digest: Digest,
    },
    /// What do you have of the range, from there on?
    List {
        /// The range.
        range: Range,
        /// After which record to begin.
        cursor: Option<Cursor>,
    },
    /// Give me what you have of the range, from there on.
    Pull {
        /// The range.
        range: Range,
        /// After which record to begin.
        cursor: Option<Cursor>,
    },
    /// Give me these records.
    Fetch {
        /// Their positions and keys.
        keys: Vec<(Position, Key)>,
    },
    /// The sender keeps these, and should not: does their owner have them?
    Offer {
        /// The records.
        headers: Vec<Header>,
        /// Whether the sender leaves, so that nobody should count on it.
        leaving: bool,
    },
    /// Take these, which you have asked for.
    Deliver {
        /// The records.
        records: Vec<Record>,
    },
    /// I want to hear of changes. To be repeated every second or two; else it is forgotten.
    Watch {
        /// Of which keys.
        interests: Vec<Interest>,
    },
    /// These changes happened, of which you want to hear.
    Notify {
        /// The changes.
        deliveries: Vec<Delivery>,
    },
    /// Drop these: everybody who has them may, and each is a tombstone, or has expired.
    Purge {
        /// The group.
        group: Group,
        /// The records.
        headers: Vec<Header>,
    },
}

/// What a node answers, and what it says of itself with each answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    /// Whether it leaves the ring, so that nobody should count on it.
    pub leaving: bool,
    /// The answer.
    pub body: AnswerBody,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// To [`PeerRequest::Vouch`]: whether it names the asker as its successor.
    Vouched(bool),
    /// To [`PeerRequest::Succeed`]: the range of which it had everything as its owner, and nobody owned any of it since but
    /// the asker; `None` if there is none.
    Yielded(Option<Range>),
    /// To [`PeerRequest::Store`]: all is durable. Where something newer was there, its version, by the record's index.
    Stored {
        /// The newer ones.
        newer: Vec<(usize, Version)>,
    },
    /// To [`PeerRequest::Confirm`] and [`PeerRequest::Purge`].
    Done,
    /// To [`PeerRequest::Compare`].
    Compared {
        /// What is known about the range here.
        standing: Standing,
        /// How it compares.
        comparison: Comparison,
    },
    /// To [`PeerRequest::List`].
    Listed {
        /// Whether that is all there is in the range, and who may have more.
        account: Account,
        /// What is there, in order.
        headers: Vec<Header>,
        /// Where to go on; `None` when the range has no more.
        next: Option<Cursor>,
    },
    /// To [`PeerRequest::Pull`].
    Page {
        /// What is there, in order.
        records: Vec<Record>,
        /// Where to go on; `None` when the range has no more.
        next: Option<Cursor>,
    },
    /// To [`PeerRequest::Fetch`]: those that are there, as many as fit a message, the first ones at least.
    Fetched {
        /// What is known about the positions here.
        standing: Standing,
        /// How many of the keys were looked at.
        looked_at: usize,
        /// The records.
        records: Vec<Record>,
    },
    /// To [`PeerRequest::Offer`], one for each.
    Judged(Vec<Verdict>),
    /// To [`PeerRequest::Deliver`]: how many of them the owner has made durable, from the first. Whether its group has them
    /// shows when they are offered again.
    Delivered(usize),
    /// To [`PeerRequest::Watch`].
    Watched {
        /// The range whose changes it tells of.
        range: Range,
        /// The interests that it knows now; others are about keys that it does not own, or too many.
        subscribed: Vec<Subscribed>,
    },
    /// To [`PeerRequest::Notify`], one for each delivery.
    Notified(Vec<Reception>),
    /// It does not do that.
    Refused(Denial),
}

/// How a node takes what it is told of one of its interests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reception {
    /// It has heard it, or at least wants to.
    Heard,
    /// It wants to hear it, and does not know yet that the interest has begun: again in a moment.
    Early,
    /// It has no such interest: nothing more of it.
    Unwanted,
}

/// What a node knows about a range that it is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Whether it has, by its own account, every acknowledged write: it owns the range and has asked all who may have
    /// something, or such an owner has confirmed that it has everything.
    pub is_settled: bool,
    /// Its successors, if it is not settled: some of them may be.
    pub beyond: Vec<Peer>,
}

/// What a node says of the range of which it lists what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// Whether it may answer for the range.
    pub claim: Claim,
    /// Whether it has, by its own account, every write that was acknowledged before others came to own the range; as in
    /// [`Standing::is_settled`].
    pub is_settled: bool,
    /// Those next to it on the ring, who may have what it lacks: its successors, nearest first, and its predecessor. Of one
    /// who lacks nothing, the nearest alone.
    pub near: Vec<Peer>,
    /// Those of its last life that it still asks, who matter if nobody else is settled.
    pub recalled: Vec<Peer>,
}

/// Whether a node may answer for a range that it is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Claim {
    /// It owns the range and lacks nothing of it.
    Whole,
    /// It owns the range, and asks others for what it may lack. The number is another one when more may be missing.
    Part(u64),
    /// It does not own all of it, or does not know yet.
    #[default]
    Nothing,
}

/// How what a node has of a range compares with what the asker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is the same.
    Same,
    /// It differs; the digests of its parts, as [`chord_ring::RingSize::divide`] makes [`PARTS`] of them.
    Parts(Vec<Digest>),
    /// It differs and is short, or cannot be divided: to be listed.
    Short,
}

/// What the owner says about a record that another node has and should not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is not this node's: look the owner up again.
    NotMine,
    /// Keep it for now: the owner does not know yet whether the group has it, or the sender is a member.
    Keep,
    /// The owner lacks it.
    Deliver,
    /// The group has it, or something newer.
    Drop,
}

/// Why a node does not do what another asks about records. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// It is in no ring.
    #[error("this node is in no ring")]
    NotMember,
    /// It owns these records itself.
    #[error("another node owns these records by now")]
    NotOwner,
    /// It knows a later group of the same owner, from before that was started again perhaps, or of another one for a part of
    /// the same range.
    #[error("this group is older than {known}")]
    OldGroup {
        /// The later one.
        known: Version,
    },
    /// The request makes no sense: too many records, or some that lie outside of the range.
    #[error("the request makes no sense: it names too many records, or some outside of its range")]
    Senseless,
    /// The store does not take them: it is full, or its disk fails.
    #[error("the store does not take them at the moment")]
    Store,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_or_has_expired_is_not_live() {
        let header = |over_at_ms| {
            let version = Version::new(100, 0, Position::ZERO);
            Header { position: Position::ZERO, key: Key::empty(), version, over_at_ms }
        };
        assert!(header(None).is_live(0));
        assert!(header(Some(201)).is_live(200));
        assert!(!header(Some(200)).is_live(200));
        assert!(!header(Some(100)).is_live(50), "deleted by a clock that is ahead of this one");
    }
}
