//! Health: whether a node works, whether it is ready, and why not.

use serde::Serialize;
use utoipa::ToSchema;

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthBody {
    /// Whether it is what the path asks for: at work, or ready.
    pub ok: bool,
    /// What is wrong, the first thing first; at `/healthz` also what keeps it from being ready and not from its work.
    pub reasons: Vec<ReasonBody>,
    /// What other nodes say of where this one is.
    pub probe: ProbeBody,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonBody {
    /// What, in one word; it stays the same from version to version.
    pub code: Reason,
    /// The same, and what helps, in a sentence for people.
    pub detail: String,
}

/// What can be wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The task that keeps the ring does not answer.
    Stuck,
    /// It is leaving.
    Leaving,
    /// It is in no ring.
    NotMember,
    /// Its store takes no writes.
    NotWriting,
    /// It may lack some of its range.
    Incomplete,
    /// Others lack copies of what is its.
    CopiesMissing,
    /// It has no records, and those who are to keep copies for it have not confirmed that they do.
    NotCompared,
    /// It may lack copies that it keeps for others.
    NotCaughtUp,
    /// Others may lack records that it has of positions that they answer for now.
    HandingOver,
    /// Nodes with which it was before are not back.
    Missed,
    /// Other nodes find another one in its place.
    NotFound,
    /// A neighbour names another one in its place.
    Disagreement,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Stuck,
        Self::Leaving,
        Self::NotMember,
        Self::NotWriting,
        Self::Incomplete,
        Self::CopiesMissing,
        Self::NotCompared,
        Self::NotCaughtUp,
        Self::HandingOver,
        Self::Missed,
        Self::NotFound,
        Self::Disagreement,
    ];
}

/// What other nodes say of where this one is. Each is asked for every quarter of a minute or so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProbeBody {
    /// Another node looks its position up, and finds it.
    pub found: Checked,
    /// Its successor names it as its predecessor.
    pub successor: Checked,
    /// Its predecessor names it as its successor.
    pub predecessor: Checked,
}

/// Whether others agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// Nobody has said anything yet, or there is nobody else.
    Unknown,
    /// They did when they were asked last.
    Agreed,
    /// They said otherwise twice in a row.
    Contradicted,
}
