//! Health: whether this node works, whether it is ready, and what is wrong.

use chord_kv::Health;
use chord_kv::replication::{MISSED_FOR, Status};
use chord_ring::{Request, View};
use chord_wire::rest::{Checked, HealthBody, ProbeBody, Reason, ReasonBody};

use crate::probe::Check;
use crate::shared::{Shared, Stage};

impl Shared {
    /// Whether this node has everything that it should have, and others of its own, so that another may be stopped.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        self.lacks().into_iter().next().map_or(Ok(()), |reason| Err(reason.detail))
    }

    /// The same, with all that is wrong.
    pub(crate) fn ready(&self) -> HealthBody {
        let reasons = self.lacks();
        HealthBody { ok: reasons.is_empty(), reasons, probe: self.probed() }
    }

    /// Whether this node works, and all that is wrong. It does not if its own task does not answer: then it is to be started
    /// anew. Everything else heals by itself, or is worse when the node is gone.
    pub(crate) async fn healthy(&self) -> HealthBody {
        let is_stuck = self.stage() == Stage::Running
            && self.request(Some(self.ring.clone()), Request::Ping).await.is_none();
        let mut reasons = Vec::new();
        if is_stuck {
            reasons.push(reason(
                Reason::Stuck,
                "the task that keeps the ring does not answer: start this node anew, and report the end of its log",
            ));
        }
        reasons.extend(self.lacks());
        reasons.extend(self.disagreements());
        HealthBody { ok: !is_stuck, reasons, probe: self.probed() }
    }

    fn probed(&self) -> ProbeBody {
        let [found, successor, predecessor] =
            [Check::Found, Check::Successor, Check::Predecessor].map(|check| self.probe.checked(check));
        ProbeBody { found, successor, predecessor }
    }

    /// Which of [`crate::metrics::CHECKS`] fail.
    pub(crate) fn contradictions(&self) -> [bool; 4] {
        let ProbeBody { found, successor, predecessor } = self.probed();
        let [found, successor, predecessor] =
            [found, successor, predecessor].map(|checked| checked == Checked::Contradicted);
        [found, successor, predecessor, is_list_short(&self.view.load())]
    }

    fn disagreements(&self) -> Option<ReasonBody> {
        let ProbeBody { successor, predecessor, .. } = self.probed();
        let who = match (successor == Checked::Contradicted, predecessor == Checked::Contradicted) {
            (true, true) => "its successor and its predecessor name others",
            (true, false) => "its successor names another",
            (false, true) => "its predecessor names another",
            (false, false) => return None,
        };
        let detail = format!(
            "{who} in this node's place: that heals within seconds where nodes reach each other; if it stays, look for a cut"
        );
        Some(reason(Reason::Disagreement, detail))
    }

    /// What keeps the node from being ready, the first thing first.
    fn lacks(&self) -> Vec<ReasonBody> {
        if self.stage() != Stage::Running {
            return vec![reason(Reason::Leaving, "this node is leaving")];
        }
        if !self.view.load().is_member() {
            let waits = self.waits().map(|waits| waits.to_string());
            return vec![reason(
                Reason::NotMember,
                waits.unwrap_or_else(|| "this node is in no ring yet".to_owned()),
            )];
        }
        let mut reasons = Vec::new();
        if let Health::NotWriting { reason: why, remedy } = self.store.health() {
            reasons.push(reason(Reason::NotWriting, format!("the store takes no writes: {why}; {remedy}")));
        }
        let status = self.records.status();
        reasons.extend(lacks_of_records(&status));
        if self.probe.checked(Check::Found) == Checked::Contradicted {
            reasons.push(reason(
                Reason::NotFound,
                "other nodes find another one where this one is: that heals within seconds where nodes reach each other; if \
                 it stays, look for a cut, or for a node with this one's name",
            ));
        }
        reasons
    }
}

fn lacks_of_records(status: &Status) -> Vec<ReasonBody> {
    let mut reasons = Vec::new();
    if !status.is_complete {
        let detail = "this node asks others for what it may lack of its range";
        reasons.push(reason(Reason::Incomplete, detail));
    }
    if !status.is_replicated && status.copies_missing == 0 {
        let detail = "this node has no records of its own, and the nodes that are to keep copies for it have not confirmed yet that \
                      they do: it asks them again every few moments";
        reasons.push(reason(Reason::NotCompared, detail));
    } else if !status.is_replicated {
        let detail = format!("others lack copies of this node's records: up to {}", status.copies_missing);
        reasons.push(reason(Reason::CopiesMissing, detail));
    }
    if !status.is_caught_up {
        let detail = "this node may lack copies that it keeps for others";
        reasons.push(reason(Reason::NotCaughtUp, detail));
    }
    if !status.has_handed_over {
        let detail = "this node hands over records of positions that others answer for now: until it has, they may take for absent \
                      what was written here while the ring was cut";
        reasons.push(reason(Reason::HandingOver, detail));
    }
    if let Some(one) = status.missed.first() {
        let others = status.missed.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        let detail = format!(
            "{one}{more}, with which this node was in a ring before, is not back: what only such a one has is missing; \
             start it, or wait until this node does without it, {} minutes after it began",
            MISSED_FOR.as_secs() / 60
        );
        reasons.push(reason(Reason::Missed, detail));
    }
    reasons
}

/// Whether fewer members are known behind a node than should be; where there are no more the list comes round.
fn is_list_short(view: &View) -> bool {
    let length = view.successors().as_slice().len();
    view.is_member() && !view.is_small() && length < view.config().successors()
}

fn reason(code: Reason, detail: impl Into<String>) -> ReasonBody {
    ReasonBody { code, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(copies_missing: u64, is_replicated: bool) -> Vec<(Reason, String)> {
        let status = Status {
            is_complete: true,
            is_replicated,
            is_caught_up: true,
            has_handed_over: true,
            copies_missing,
            missed: Vec::new(),
            operations: 0,
            copies_at: Vec::new(),
            copies_for: Vec::new(),
            repaired: chord_kv::replication::Repaired::default(),
            taken_over: 0,
        };
        lacks_of_records(&status).into_iter().map(|reason| (reason.code, reason.detail)).collect()
    }

    #[test]
    fn a_node_without_records_does_not_say_that_copies_of_them_are_missing() {
        assert_eq!(told(0, true), []);
        let missing = "others lack copies of this node's records: up to 6".to_owned();
        assert_eq!(told(6, false), [(Reason::CopiesMissing, missing)]);
        let [(code, detail)] = &told(0, false)[..] else { panic!("one reason") };
        assert_eq!(*code, Reason::NotCompared);
        assert!(detail.contains("no records") && !detail.contains("up to 0"), "{detail}");
    }
}
