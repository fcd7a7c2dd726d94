//! Leaving: what a node does before it tells the ring that it goes.

use std::time::Duration;

use super::{Consistency, Output, Replicator};

/// How long a node that leaves has found nobody who could take anything before it believes that: those that it lost may
/// be found again, and those that leave too may be back.
const ALONE_WAIT: Duration = Duration::from_secs(3);

/// How a node left, as far as its records go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departure {
    /// Records of its own range of which too few members of the next group have a copy for a write to be acknowledged.
    pub own_left: u64,
    /// Records of other ranges whose owners have not said that they can do without this node.
    pub others_left: u64,
    /// Whether there was nobody who could have taken anything.
    pub was_alone: bool,
}

/// A departure under way.
#[derive(Debug)]
pub(super) struct Leaving {
    until: Duration,
    /// Looks for strays that had ended when it began, or when the range changed last: one that began before does not count.
    sweeps: u64,
    /// Whether everything is with others but the operations under way: no more are taken.
    is_closing: bool,
    is_done: bool,
}

impl Replicator {
    pub(super) fn begin_leaving(&mut self) {
        if self.leaving.as_ref().is_none_or(|leaving| leaving.is_done) {
            let until = self.now.elapsed + self.settings.departure_max;
            self.leaving =
                Some(Leaving { until, sweeps: self.sweep.ended, is_closing: false, is_done: false });
            self.group.doubt_members(self.now.elapsed);
            self.hasten_sweep();
            self.regroup();
            self.drive_repair();
            self.drive_sweep();
        }
        self.drive_leaving();
    }

    /// Some of what was this node's own is not any more, or the other way round.
    pub(super) fn range_changed(&mut self) {
        let ended = self.sweep.ended;
        if let Some(leaving) = &mut self.leaving {
            leaving.sweeps = ended;
        }
        self.hasten_sweep();
    }

    /// Whether no more operations are taken.
    pub(super) fn is_closing(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.is_closing)
    }

    /// Whether as many others have everything as a write needs: all that is asked for when the time is up.
    fn is_kept_by_others(&self) -> bool {
        let members = &self.group.members;
        let synced = members.iter().filter(|member| member.is_synced()).count();
        self.tenure.is_complete() && synced >= self.settings.quorum(Consistency::Usual, members.len())
    }

    /// Whether everything is with others, or the time is up.
    pub(super) fn drive_leaving(&mut self) {
        let Some(leaving) = self.leaving.as_ref().filter(|leaving| !leaving.is_done) else { return };
        let now = self.now.elapsed;
        let is_given_up = |since| !self.has_met_others || now.saturating_sub(since) >= ALONE_WAIT;
        let was_alone = self.alone_since.is_some_and(is_given_up);
        let has_nobody = self.alone_since.is_some();
        let are_copies_there = !has_nobody && self.tenure.is_complete() && self.group.is_synced();
        let is_own_safe = are_copies_there && self.outboxes.is_idle() && self.works.len() == 0;
        let are_others_safe =
            !has_nobody && self.sweep.ended > leaving.sweeps + 1 && self.sweep.last_kept == 0;
        // Nobody needs to be found for it: when all leave at once, nobody would be.
        let has_nothing = self.store.usage().records == 0 && self.outboxes.is_idle() && self.works.len() == 0;
        let (is_own_safe, are_others_safe) = (is_own_safe || has_nothing, are_others_safe || has_nothing);
        #[cfg(feature = "defects")]
        let (is_own_safe, are_others_safe) = {
            let at_once = self.settings.has(super::Defect::LeavesAtOnce);
            (is_own_safe || at_once, are_others_safe || at_once)
        };
        let is_closing = are_copies_there && are_others_safe;
        if let Some(leaving) = &mut self.leaving {
            leaving.is_closing = is_closing;
        }
        let Some(leaving) = &self.leaving else { return };
        let is_over = self.now.elapsed >= leaving.until || !self.neighbours.is_member;
        if !(is_over || was_alone || (is_own_safe && are_others_safe)) {
            return;
        }
        let own = || self.store.digest(&self.group.group.range()).map_or(0, |digest| digest.records());
        let is_kept = is_own_safe || (!has_nobody && self.is_kept_by_others());
        let departure = Departure {
            own_left: if is_kept && !was_alone { 0 } else { own() },
            others_left: match (are_others_safe, was_alone) {
                (true, _) => 0,
                // It may have answered for them until a moment ago.
                (false, true) => self.store.usage().records.saturating_sub(own()),
                (false, false) => self.sweep.left().max(1),
            },
            was_alone,
        };
        if let Some(leaving) = &mut self.leaving {
            leaving.is_done = true;
        }
        self.outputs.push_back(Output::Left(departure));
    }
}
