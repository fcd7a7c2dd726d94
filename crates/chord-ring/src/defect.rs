//! Rules that can be broken on purpose, one at a time, so that the checks can be seen to fail.
//!
//! Where the feature `defects` is off, and nothing that is shipped turns it on, there are no defects to name, and
//! [`breaks`] is `false` before the compiler looks any further.

/// Whether a node with these settings breaks that rule.
#[cfg(feature = "defects")]
macro_rules! breaks {
    ($config:expr, $defect:ident) => {
        $config.defect() == Some($crate::Defect::$defect)
    };
}

/// Whether a node with these settings breaks that rule: never.
#[cfg(not(feature = "defects"))]
macro_rules! breaks {
    ($config:expr, $defect:ident) => {
        false
    };
}

pub(crate) use breaks;

/// A rule of the protocol that is broken on purpose.
///
/// The first ten and the last three are rules of the original protocol: SIGCOMM 2001, TON 2003, and "Observations on the
/// Dynamic Evolution of Peer-to-Peer Networks", PODC 2002, as Zave renders them, or its lack of rules. The others are
/// mistakes that we could have made.
#[cfg(feature = "defects")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// A joiner trusts the lookup: it does not check on the list that it belongs between the member and its head, nor that
    /// its own earlier life is not in it.
    JoinsUnchecked,
    /// A joiner takes the head alone, without the rest of the list.
    JoinsWithoutTail,
    /// A node adopts its successor's predecessor without having heard from it, and keeps its own list behind it.
    AdoptsUnasked,
    /// A leaver's predecessor drops it and appends the last entry of its list.
    LeavesByLastEntry,
    /// Nobody asks whether the predecessor lives.
    NeverDoubtsPredecessor,
    /// (n, n) is taken for empty: a node that is alone finds nobody closer than itself.
    AdoptsNobodyAlone,
    /// A list is not copied from the head again.
    NeverRefreshes,
    /// A stabilization does not end with a notification.
    NeverNotifies,
    /// Remembered peers are never probed.
    NeverProbes,
    /// One missed deadline is death.
    SuspectsAtOnce,
    /// An interval with its ends exchanged: a candidate is closer if it lies beyond the head.
    TurnsInterval,
    /// Lists have r - 1 entries.
    CutsListShort,
    /// Lists have r + 1 entries.
    CutsListLong,
    /// The last entry of the list is notified, and not the head.
    NotifiesLast,
    /// A predecessor that answers is taken for dead.
    TakesLifeForDeath,
    /// A head that does not answer stays.
    KeepsDeadHead,
    /// When the head is dead the next entry goes with it.
    DropsTwoHeads,
    /// A joiner takes the member before it for its head.
    JoinsBehindItself,
    /// A lookup ends with the entry of a list that nobody has asked.
    NamesUnasked,
    /// A node does not own its own position.
    OwnsAllButItself,
    /// A predecessor that lives is never replaced by a closer one.
    KeepsOldPredecessor,
    /// A closer node that the head knows is not asked.
    IgnoresCloser,
    /// A head or predecessor that was dropped is not remembered.
    ForgetsDropped,
    /// A notification is answered, and its turn never comes.
    StarvesNotifications,
    /// The founder of a ring is its own successor until its own next round: that it was notified does not tell it of
    /// another, and who joins before is given the founder alone.
    FoundsOnItself,
    /// A joiner takes a list that was shortened, though the member after it has a full one.
    TakesShortList,
    /// A node whose whole list is dead does not go on from its predecessor.
    StaysStranded,
}

#[cfg(feature = "defects")]
impl Defect {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::JoinsUnchecked,
        Self::JoinsWithoutTail,
        Self::AdoptsUnasked,
        Self::LeavesByLastEntry,
        Self::NeverDoubtsPredecessor,
        Self::AdoptsNobodyAlone,
        Self::NeverRefreshes,
        Self::NeverNotifies,
        Self::NeverProbes,
        Self::SuspectsAtOnce,
        Self::TurnsInterval,
        Self::CutsListShort,
        Self::CutsListLong,
        Self::NotifiesLast,
        Self::TakesLifeForDeath,
        Self::KeepsDeadHead,
        Self::DropsTwoHeads,
        Self::JoinsBehindItself,
        Self::NamesUnasked,
        Self::OwnsAllButItself,
        Self::KeepsOldPredecessor,
        Self::IgnoresCloser,
        Self::ForgetsDropped,
        Self::StarvesNotifications,
        Self::FoundsOnItself,
        Self::TakesShortList,
        Self::StaysStranded,
    ];
}
