//! Operations on keys as they are counted: by the door, by what they do and by how they ended.

use chord_kv::replication::{Change, Operation, OperationError as Unable, Outcome as Kept};
use chord_wire::rest::{DoorsBody, OperationsBody};
use tokio::time::Instant;

use super::count::{Counter, Distribution, Times};
use crate::OperationError;

/// By which door something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Redis,
    Rest,
    /// JSON in the seed's words.
    Json,
    XmlRpc,
    /// Binary, from a client.
    Binary,
    /// The program in which the node runs.
    Library,
    /// Another node of the ring, which takes this one for the owner.
    Peer,
}

impl Door {
    pub(crate) const ALL: [Self; 7] =
        [Self::Redis, Self::Rest, Self::Json, Self::XmlRpc, Self::Binary, Self::Library, Self::Peer];
    pub(crate) const WORDS: [&str; 7] = ["redis", "rest", "json", "xmlrpc", "binary", "library", "peer"];
}

/// Where a request came in, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) door: Door,
    pub(crate) at: Instant,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Get,
    Set,
    Delete,
    Add,
    /// It appends, or changes only when the value goes.
    Other,
}

impl Deed {
    pub(crate) const ALL: [Self; 5] = [Self::Get, Self::Set, Self::Delete, Self::Add, Self::Other];
    pub(crate) const WORDS: [&str; 5] = ["get", "set", "delete", "add", "other"];

    pub(crate) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Get => Self::Get,
            Operation::Change { change, .. } => match change {
                Change::Set(_) => Self::Set,
                Change::Delete => Self::Delete,
                Change::Add(_) => Self::Add,
                Change::Append(_) | Change::Keep => Self::Other,
            },
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    /// Nothing was there to read or to delete.
    Absent,
    /// The client asked for what cannot be.
    Refused,
    /// It was not done.
    Failed,
    /// It may be done.
    Uncertain,
    /// Nobody waits for it any more, and it may be done.
    Dropped,
}

impl End {
    pub(crate) const ALL: [Self; 6] =
        [Self::Ok, Self::Absent, Self::Refused, Self::Failed, Self::Uncertain, Self::Dropped];
    pub(crate) const WORDS: [&str; 6] = ["ok", "absent", "refused", "failed", "uncertain", "dropped"];

    fn done(deed: Deed, kept: &Kept) -> Self {
        let is_there = match deed {
            Deed::Get => kept.record.is_some(),
            Deed::Delete => kept.was_there(),
            Deed::Set | Deed::Add | Deed::Other => true,
        };
        if is_there { Self::Ok } else { Self::Absent }
    }

    /// How one ended that this node did itself.
    pub(crate) fn here(deed: Deed, result: &Result<Kept, Unable>) -> Self {
        result.as_ref().map_or_else(Self::unable, |kept| Self::done(deed, kept))
    }

    /// How one ended, wherever it was done.
    pub(crate) fn anywhere(deed: Deed, result: Result<&Kept, &OperationError>) -> Self {
        match result {
            Ok(kept) => Self::done(deed, kept),
            Err(OperationError::Data(error)) => Self::unable(error),
            Err(OperationError::Key(_) | OperationError::Value(_) | OperationError::NotText) => Self::Refused,
            Err(_) => Self::Failed,
        }
    }

    fn unable(error: &Unable) -> Self {
        match error {
            Unable::ConditionFailed { .. } | Unable::NotANumber | Unable::OutOfRange | Unable::TooLong(_) => {
                Self::Refused
            }
            Unable::TooFewCopies { .. } | Unable::Uncertain => Self::Uncertain,
            _ => Self::Failed,
        }
    }
}

/// Those of one door.
#[derive(Debug, Default)]
struct OfDoor {
    ended: [[Counter; End::ALL.len()]; Deed::ALL.len()],
    reads: Times,
    writes: Times,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Operations([OfDoor; Door::ALL.len()]);

impl Operations {
    /// One that came in there has ended so.
    pub(crate) fn note(&self, arrival: Arrival, deed: Deed, end: End) {
        let of = &self.0[arrival.door as usize];
        of.ended[deed as usize][end as usize].add(1);
        if end == End::Dropped {
            // How long somebody waited who did not want to is not how long it takes.
            return;
        }
        match Deeds::of(deed) {
            Deeds::Reads => of.reads.note(arrival.at.elapsed()),
            Deeds::Writes => of.writes.note(arrival.at.elapsed()),
        }
    }

    pub(crate) fn count(&self, door: Door, deed: Deed, end: End) -> u64 {
        self.0[door as usize].ended[deed as usize][end as usize].read()
    }

    /// How many have ended, by the door.
    pub(super) fn by_door(&self) -> DoorsBody {
        let of = |door| {
            let ends = Deed::ALL.into_iter().flat_map(|deed| End::ALL.map(|end| (deed, end)));
            ends.map(|(deed, end)| self.count(door, deed, end)).sum()
        };
        DoorsBody {
            redis: of(Door::Redis),
            rest: of(Door::Rest),
            json: of(Door::Json),
            xmlrpc: of(Door::XmlRpc),
            binary: of(Door::Binary),
            library: of(Door::Library),
            peer: of(Door::Peer),
        }
    }

    /// How long those took that only read, or the others.
    pub(crate) fn times(&self, door: Door, deeds: Deeds) -> Distribution {
        let of = &self.0[door as usize];
        match deeds {
            Deeds::Reads => of.reads.read(),
            Deeds::Writes => of.writes.read(),
        }
    }

    /// What a node tells of those of these sorts that came by these doors.
    pub(super) fn told(&self, sorts: &[Deeds], by: impl Fn(Door) -> bool) -> OperationsBody {
        let doors = || Door::ALL.into_iter().filter(|door| by(*door));
        let ended = |end| -> u64 {
            let deeds = Deed::ALL.into_iter().filter(|deed| sorts.contains(&Deeds::of(*deed)));
            deeds.flat_map(|deed| doors().map(move |door| self.count(door, deed, end))).sum()
        };
        let times = doors().flat_map(|door| sorts.iter().map(move |sort| self.times(door, *sort)));
        let times = times.fold(Distribution::default(), |all, some| all.and(&some));
        OperationsBody {
            ok: ended(End::Ok),
            absent: ended(End::Absent),
            refused: ended(End::Refused),
            failed: ended(End::Failed),
            uncertain: ended(End::Uncertain),
            dropped: ended(End::Dropped),
            took: times.counts,
            took_total_us: times.total / 1000,
        }
    }
}

/// Two sorts of deeds, which take differently long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deeds {
    Reads,
    Writes,
}

impl Deeds {
    pub(crate) const ALL: [Self; 2] = [Self::Reads, Self::Writes];
    pub(crate) const WORDS: [&str; 2] = ["read", "write"];

    fn of(deed: Deed) -> Self {
        if deed == Deed::Get { Self::Reads } else { Self::Writes }
    }
}
