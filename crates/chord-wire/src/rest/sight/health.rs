//! The state of the ring in words: what is the matter, why, and what to do. Every node says it of the ring that it sees, so
//! that whoever shows the ring shows the same.

use std::collections::{BTreeMap, BTreeSet};

use chord_ring::NodeName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::live::{HAS_LEFT, PICTURE_NODES_MAX, SeenAs};
use super::super::report::{ReportBody, cut};
use super::{Findings, SAID_MAX, SeenPlace, Sight, State};

/// Reasons that are told, at most: more than are read at a glance. The gravest are among them.
pub const RING_REASONS_MAX: usize = 16;

/// Letters of what a node says about itself that are repeated.
const SAID_CHARS_MAX: usize = 160;

/// Nodes that are not ready and are told of one by one.
const NOT_READY_MAX: usize = 3;

/// Nodes of other programs that are told of one by one.
const OTHER_PROGRAMS_MAX: usize = 3;

/// Nodes that name others whom nobody has heard and are told of one by one, and names that are repeated of each.
const NAMERS_MAX: usize = 3;
const UNHEARD_MAX: usize = 3;

/// Versions that are named.
const VERSIONS_MAX: usize = 5;

/// How the ring is, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingHealth {
    /// That of the gravest reason.
    pub severity: Severity,
    /// The same in words.
    pub verdict: String,
    /// More of it, where there are no reasons; otherwise they say it.
    pub detail: Option<String>,
    /// What is the matter, the gravest first.
    pub reasons: Vec<RingReason>,
    /// How many reasons more there are.
    pub more: u64,
}

/// One thing that is the matter with the ring, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingReason {
    /// What, for programs; it stays the same from version to version.
    pub code: RingTrouble,
    /// How much it matters.
    pub severity: Severity,
    /// The node that it is about, if it is about one.
    pub node: Option<String>,
    /// What, for people.
    pub sentence: String,
    /// What to do, or what happens next.
    pub next: String,
    /// How much of it there is, for who judges whether it mends itself: it is told to nobody.
    #[serde(skip)]
    #[schema(ignore)]
    amount: u64,
}

/// How much something matters, the gravest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Somebody has to do something.
    Act,
    /// It mends itself.
    Heals,
    /// It has mended itself.
    Gone,
    /// It is worth knowing.
    Note,
    /// Nothing is the matter.
    #[default]
    Fine,
}

/// What can be the matter with a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RingTrouble {
    /// A node tells nothing of itself.
    NotAnswering,
    /// One node alone names others that nobody has heard.
    Unheard,
    /// A node has left in good order.
    Left,
    /// What a node answers makes no sense.
    Garbled,
    /// A node is of another ring.
    OtherRing,
    /// A node cannot tell of itself: it runs another program, or an older version.
    OtherProgram,
    /// The nodes form several rings.
    SeveralRings,
    /// Neighbours do not agree about who is next.
    Disagreement,
    /// For a part of the ring nobody answers.
    NoOwner,
    /// For a part of the ring several nodes take themselves for the owner.
    SeveralOwners,
    /// Copies are missing.
    CopiesMissing,
    /// A node is not ready.
    NotReady,
    /// A node takes no writes.
    NotWriting,
    /// A node found a rule of the ring broken.
    RuleBroken,
    /// A node is in no ring.
    NotMember,
    /// The ring has one node.
    Alone,
    /// The nodes run several versions.
    Versions,
    /// Names found no room in the picture.
    LeftOut,
    /// Something that a later version knows.
    #[serde(other)]
    Other,
}

impl Severity {
    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Heals => "heals",
            Self::Gone => "gone",
            Self::Note => "note",
            Self::Fine => "fine",
        }
    }

    const fn verdict(self) -> &'static str {
        match self {
            Self::Act => "The ring needs you",
            Self::Heals => "The ring is healing",
            Self::Gone => "The ring is whole again, without those who are gone",
            Self::Note | Self::Fine => "The ring is whole",
        }
    }
}

impl RingTrouble {
    /// For programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAnswering => "not-answering",
            Self::Unheard => "unheard",
            Self::Left => "left",
            Self::Garbled => "garbled",
            Self::OtherRing => "other-ring",
            Self::OtherProgram => "other-program",
            Self::SeveralRings => "several-rings",
            Self::Disagreement => "disagreement",
            Self::NoOwner => "no-owner",
            Self::SeveralOwners => "several-owners",
            Self::CopiesMissing => "copies-missing",
            Self::NotReady => "not-ready",
            Self::NotWriting => "not-writing",
            Self::RuleBroken => "rule-broken",
            Self::NotMember => "not-member",
            Self::Alone => "alone",
            Self::Versions => "versions",
            Self::LeftOut => "left-out",
            Self::Other => "other",
        }
    }
}

impl SeenAs {
    /// What came of asking a node, to be read behind its name and a colon.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Answered => "it answers",
            Self::Unreachable => "nobody serves at that address",
            Self::Silent => "it did not answer within a second",
            Self::Garbled => "its answer makes no sense",
            Self::OtherRing => "it is of another ring",
            Self::OtherProgram => "it cannot tell of itself: it runs another program, or an older version",
        }
    }
}

impl Sight {
    /// How the ring is. So many names found no room in the picture.
    pub fn health(&self, left_out: u64) -> RingHealth {
        RingHealth::of(self.findings().reasons(left_out))
    }
}

impl Findings<'_> {
    /// All that is the matter at this moment, in no order. So many names found no room in the picture.
    pub fn reasons(&self, left_out: u64) -> Vec<RingReason> {
        let sight = self.sight;
        let torn = torn(self);
        let mut reasons = absent(sight, torn.is_empty() && sight.copies_missing() == 0);
        reasons.extend(torn);
        reasons.extend(records(sight));
        reasons.extend(nodes_themselves(sight));
        reasons.extend(the_rest(sight, left_out));
        reasons
    }
}

impl RingHealth {
    /// How a ring is of which that is the matter.
    pub fn of(mut reasons: Vec<RingReason>) -> Self {
        reasons.sort_by_key(|reason| reason.severity);
        let severity = reasons.first().map_or(Severity::Fine, |reason| reason.severity);
        let more = reasons.len().saturating_sub(RING_REASONS_MAX) as u64;
        reasons.truncate(RING_REASONS_MAX);
        let detail = "Every node agrees with its neighbours, and every copy is there.";
        let detail = reasons.is_empty().then(|| detail.to_owned());
        Self { severity, verdict: severity.verdict().to_owned(), detail, reasons, more }
    }

    /// The same as another node told it: no more than there is room for, and no names that are none.
    pub(in super::super) fn checked(mut self) -> Self {
        self.more = self.more.saturating_add(self.reasons.len().saturating_sub(RING_REASONS_MAX) as u64);
        self.reasons.truncate(RING_REASONS_MAX);
        cut(&mut self.verdict);
        self.detail.as_mut().map(cut);
        for reason in &mut self.reasons {
            cut(&mut reason.sentence);
            cut(&mut reason.next);
            reason.node = reason.node.take().filter(|name| name.parse::<NodeName>().is_ok());
        }
        self
    }
}

fn reason(code: RingTrouble, severity: Severity, sentence: String, next: &str) -> RingReason {
    RingReason::new(code, severity, sentence, next)
}

impl RingReason {
    /// One that is about no node in particular, and is not counted.
    pub fn new(code: RingTrouble, severity: Severity, sentence: String, next: &str) -> Self {
        Self { code, severity, node: None, sentence, next: next.to_owned(), amount: 0 }
    }

    /// How much of it there is, where that is counted: while it becomes less, it mends itself.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// The same with so much of it.
    #[must_use]
    pub fn of(self, amount: u64) -> Self {
        Self { amount, ..self }
    }

    fn about(self, node: &str) -> Self {
        Self { node: Some(node.to_owned()), ..self }
    }
}

/// What a node says about itself, as far as it is repeated.
fn said(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// One thing or several.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

fn thousands(number: u64) -> String {
    match number.checked_div(1000) {
        Some(rest) if rest > 0 => format!("{},{:03}", thousands(rest), number % 1000),
        _ => number.to_string(),
    }
}

fn absent(ring: &Sight, is_healed: bool) -> Vec<RingReason> {
    let absent = ring.order().into_iter().filter(|place| place.report().is_none());
    let unheard = ring.unheard();
    let absent = absent.filter(|place| !unheard.contains_key(place.name()));
    let (others, absent): (Vec<_>, Vec<_>) = absent.partition(|place| place.is_of_another_program());
    let next_to: BTreeSet<&str> = ring.neighbours();
    let tell = absent.into_iter().map(|place| {
        if place.seen.has_left {
            let what = format!("{}: {HAS_LEFT}.", place.name());
            let next = "Nothing is to be done: it is no longer shown after a minute.";
            return reason(RingTrouble::Left, Severity::Note, what, next).about(place.name());
        }
        let is_next = next_to.contains(place.name());
        let (code, severity, next) = match place.seen.answer {
            SeenAs::Garbled => (
                RingTrouble::Garbled,
                if is_next { Severity::Act } else { Severity::Note },
                "See what serves at that address: another program, something between that changes answers, or a node whose \
                 version is too far from this one's.",
            ),
            SeenAs::OtherRing => (
                RingTrouble::OtherRing,
                if is_next { Severity::Heals } else { Severity::Note },
                "Start it with this ring's name and size if it belongs here; otherwise take its name out of what the nodes \
                 here are told to join.",
            ),
            SeenAs::Answered | SeenAs::Unreachable | SeenAs::Silent | SeenAs::OtherProgram if is_healed => (
                RingTrouble::NotAnswering,
                Severity::Gone,
                "The others have closed the ring round it and made its copies anew. Start it again; without it the ring goes on.",
            ),
            SeenAs::Answered | SeenAs::Unreachable | SeenAs::Silent | SeenAs::OtherProgram => (
                RingTrouble::NotAnswering,
                Severity::Heals,
                "The others close the ring round it and make its copies anew.",
            ),
        };
        let unknown = if is_next && code == RingTrouble::Garbled {
            "; whether it serves the keys that are its is not known"
        } else {
            ""
        };
        let what = format!("{}: {}{unknown}.", place.name(), place.seen.answer.in_words());
        reason(code, severity, what, next).about(place.name())
    });
    let mut found: Vec<_> = tell.collect();
    found.extend(of_other_programs(ring, &others));
    found.extend(named_by_one(&unheard));
    found
}

/// Names that are one node's word alone, together for each that says them.
fn named_by_one(unheard: &BTreeMap<&str, &str>) -> Vec<RingReason> {
    let mut by_namer: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, namer) in unheard {
        by_namer.entry(namer).or_default().push(name);
    }
    let mut namers: Vec<_> = by_namer.into_iter().collect();
    namers.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let tell = namers.iter().take(NAMERS_MAX).map(|(namer, names)| {
        let first = names.iter().take(UNHEARD_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > UNHEARD_MAX { ", …" } else { "" };
        let many = count(names.len() as u64, "node", "nodes");
        let what = format!("{namer} alone names {many} that nobody has heard: {first}{more}.");
        let next =
            "They may be long gone, or made up: if this stays, see what runs at the node that names them.";
        reason(RingTrouble::Unheard, Severity::Note, what, next).about(namer)
    });
    let mut found: Vec<_> = tell.collect();
    if let Some(more) = namers.len().checked_sub(NAMERS_MAX).filter(|more| *more > 0) {
        let who = count(more as u64, "more node names", "more nodes name");
        let what = format!("{who} others that nobody has heard.");
        found.push(reason(RingTrouble::Unheard, Severity::Note, what, "The table has them all."));
    }
    found
}

/// Those that cannot tell of themselves. A ring may have many of them, and nothing is the matter.
fn of_other_programs(ring: &Sight, others: &[&SeenPlace]) -> Vec<RingReason> {
    let members: BTreeSet<&str> = ring.untold().iter().map(|place| place.name()).collect();
    let tell = others.iter().take(OTHER_PROGRAMS_MAX).map(|place| {
        let next = if members.contains(place.name()) {
            "It takes part in the ring by the word of others; what it believes cannot be shown."
        } else {
            "No node that can tell takes it for a neighbour: whether it takes part in the ring is unknown."
        };
        let what = format!("{}: {}.", place.name(), place.seen.answer.in_words());
        reason(RingTrouble::OtherProgram, Severity::Note, what, next).about(place.name())
    });
    let mut found: Vec<_> = tell.collect();
    if let Some(more) = others.len().checked_sub(OTHER_PROGRAMS_MAX).filter(|more| *more > 0) {
        let what =
            format!("{} cannot tell of themselves either.", count(more as u64, "more node", "more nodes"));
        found.push(reason(RingTrouble::OtherProgram, Severity::Note, what, "The table has them all."));
    }
    found
}

fn torn(all: &Findings<'_>) -> Vec<RingReason> {
    let Findings { torn, claims, cycles, .. } = all;
    let mut found = Vec::new();
    let n_cycles = cycles.len();
    if n_cycles > 1 {
        let next = "They merge by themselves once they reach each other: see whether the network between them is cut.";
        found.push(reason(
            RingTrouble::SeveralRings,
            Severity::Act,
            format!("The nodes form {n_cycles} rings instead of one."),
            next,
        ));
    }
    let doubted = torn.iter().map(|belief| belief.of).collect::<BTreeSet<_>>().len() as u64;
    if doubted > 0 {
        let who = count(doubted, "node does", "nodes do");
        let next = "Each round of maintenance mends some of it: wait some seconds.";
        found.push(
            reason(
                RingTrouble::Disagreement,
                Severity::Heals,
                format!("{who} not agree with a neighbour about who is next."),
                next,
            )
            .of(doubted),
        );
    }
    let unowned = claims.iter().filter(|arc| arc.owners == 0).count() as u64;
    let doubly = claims.len() as u64 - unowned;
    if unowned > 0 {
        let what =
            format!("For {} of the ring nobody answers at the moment.", count(unowned, "part", "parts"));
        let next = "Requests for keys there wait until a node has taken over: some seconds.";
        found.push(reason(RingTrouble::NoOwner, Severity::Heals, what, next).of(unowned));
    }
    if doubly > 0 {
        let parts = count(doubly, "part", "parts");
        let what = format!("For {parts} of the ring several nodes take themselves for the owner.");
        let next = "Within one ring only one of them is vouched for by its predecessor, and answers.";
        found.push(reason(RingTrouble::SeveralOwners, Severity::Heals, what, next).of(doubly));
    }
    found
}

fn records(ring: &Sight) -> Vec<RingReason> {
    let mut found = Vec::new();
    let missing = ring.copies_missing();
    if missing > 0 {
        let what = format!("Up to {} missing.", count(missing, "copy is", "copies are"));
        found.push(
            reason(
                RingTrouble::CopiesMissing,
                Severity::Heals,
                what,
                "They are being made: stop no further node until this is 0.",
            )
            .of(missing),
        );
    }
    let unready = |(_, report): &(_, &ReportBody)| !report.ring.is_ready && report.copies_missing == 0;
    let unready: Vec<_> = ring.members().filter(unready).collect();
    for (place, report) in unready.iter().take(NOT_READY_MAX) {
        let why = report.ring.not_ready_because.as_deref().unwrap_or("it does not say why");
        let what = format!("{} is not ready: {}.", place.name(), said(why, SAID_CHARS_MAX));
        found.push(
            reason(RingTrouble::NotReady, Severity::Heals, what, "Wait before you stop another node.")
                .about(place.name()),
        );
    }
    if let Some(more) = unready.len().checked_sub(NOT_READY_MAX).filter(|more| *more > 0) {
        let what = format!("{} not ready.", count(more as u64, "more node is", "more nodes are"));
        found.push(reason(RingTrouble::NotReady, Severity::Heals, what, "The table has them all."));
    }
    found
}

fn nodes_themselves(ring: &Sight) -> Vec<RingReason> {
    let mut found = Vec::new();
    for place in ring.order() {
        let (name, Some(report)) = (place.name(), place.report()) else { continue };
        if let Some(trouble) = &report.storage.trouble {
            let next = said(trouble, SAID_CHARS_MAX);
            found.push(
                reason(RingTrouble::NotWriting, Severity::Act, format!("{name} takes no writes."), &next)
                    .about(name),
            );
        }
        let said_most = report.copies_missing.max(report.records);
        if said_most > SAID_MAX {
            let counted = thousands(SAID_MAX);
            let what = format!(
                "{name} says that it has {}, and that {} missing: that cannot be, and is counted as {counted}.",
                count(report.records, "record", "records"),
                count(report.copies_missing, "copy is", "copies are"),
            );
            let next = "What it says of itself is wrong: see what serves at that address.";
            found.push(reason(RingTrouble::Garbled, Severity::Act, what, next).about(name));
        }
        if report.violations > 0 {
            let times = count(report.violations, "time", "times");
            let next = "That is a defect of the program: its log says more. Please report it.";
            let what = format!("{name} found a rule of the ring broken {times}.");
            found.push(reason(RingTrouble::RuleBroken, Severity::Act, what, next).about(name));
        }
        if ring.state(place) == State::NoMember {
            let why = report.ring.not_ready_because.as_deref().unwrap_or("it is in no ring");
            let what = format!("{name} is no member: {}.", said(why, SAID_CHARS_MAX));
            found.push(
                reason(RingTrouble::NotMember, Severity::Heals, what, "Have it join, or stop it.")
                    .about(name),
            );
        }
    }
    found
}

fn the_rest(ring: &Sight, left_out: u64) -> Vec<RingReason> {
    let mut found = Vec::new();
    if ring.members().count() == 1 && ring.untold().is_empty() {
        let what = "The ring has one node: there are no copies elsewhere.".to_owned();
        found.push(reason(RingTrouble::Alone, Severity::Note, what, "Start more nodes and have them join."));
    }
    let versions: BTreeSet<_> = ring.members().map(|(_, report)| said(&report.version, 20)).collect();
    if versions.len() > 1 {
        let names: Vec<_> = versions.iter().take(VERSIONS_MAX).map(String::as_str).collect();
        let what = format!("The nodes run {} versions: {}.", versions.len(), names.join(", "));
        found.push(reason(
            RingTrouble::Versions,
            Severity::Note,
            what,
            "That is fine while you replace them one by one.",
        ));
    }
    if left_out > 0 {
        let names = count(left_out, "name was", "names were");
        let what = format!(
            "{names} left out of this picture, which has room for {}.",
            count(PICTURE_NODES_MAX as u64, "node", "nodes")
        );
        let next = "A node may be making names up, or the ring is larger than that.";
        found.push(reason(RingTrouble::LeftOut, Severity::Note, what, next));
    }
    found
}
