//! The state of the ring in words: what is the matter, why, and what to do.

use std::collections::BTreeSet;

use chord::seen::SeenAs;

use super::super::words::{count, shown};
use super::{Ring, State};

/// Letters of what a node says about itself that are shown.
const SAID_CHARS_MAX: usize = 160;

/// Nodes that are not ready and are told of one by one.
const NOT_READY_MAX: usize = 3;

/// How much it matters, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Somebody has to do something.
    Act,
    /// It mends itself.
    Heals,
    /// It has mended itself.
    Gone,
    /// It is worth knowing.
    Note,
    /// Nothing is the matter.
    Fine,
}

/// One thing that is the matter, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) level: Level,
    /// The node that it is about, if it is about one.
    pub(crate) node: Option<String>,
    pub(crate) what: String,
    pub(crate) next: String,
}

impl Level {
    /// The same for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Heals => "heals",
            Self::Gone => "gone",
            Self::Note => "note",
            Self::Fine => "fine",
        }
    }

    pub(crate) const fn verdict(self) -> &'static str {
        match self {
            Self::Act => "The ring needs you",
            Self::Heals => "The ring is healing",
            Self::Gone => "The ring is whole again, without those who are gone",
            Self::Note | Self::Fine => "The ring is whole",
        }
    }
}

/// Everything that is the matter, the gravest first.
pub(crate) fn reasons(ring: &Ring) -> Vec<Reason> {
    let torn = torn(ring);
    let mut found = absent(ring, torn.is_empty() && ring.copies_missing() == 0);
    found.extend(torn);
    found.extend(records(ring));
    found.extend(nodes_themselves(ring));
    found.extend(the_rest(ring));
    found.sort_by_key(|reason| reason.level);
    found
}

/// How the ring is, by what is the matter.
pub(crate) fn level(reasons: &[Reason]) -> Level {
    reasons.first().map_or(Level::Fine, |reason| reason.level)
}

/// Why nothing is known of a node.
pub(crate) const fn answer_in_words(answer: SeenAs) -> &'static str {
    match answer {
        SeenAs::Answered => "it answers",
        SeenAs::Unreachable => "nobody serves at that address",
        SeenAs::Silent => "it did not answer within a second",
        SeenAs::Garbled => "its answer makes no sense",
        SeenAs::OtherRing => "it is of another ring",
        SeenAs::OtherProgram => "it cannot tell of itself: it runs another program, or an older version",
    }
}

fn reason(level: Level, what: String, next: &str) -> Reason {
    Reason { level, node: None, what, next: next.to_owned() }
}

impl Reason {
    fn about(self, node: &str) -> Self {
        Self { node: Some(node.to_owned()), ..self }
    }
}

fn absent(ring: &Ring, is_healed: bool) -> Vec<Reason> {
    let absent = ring.order().into_iter().filter(|place| place.report().is_none());
    let tell = absent.map(|place| {
        let (level, next) = match (place.seen.answer, is_healed) {
            (SeenAs::OtherProgram, _) => {
                (Level::Note, "It takes part in the ring; what it believes cannot be shown.")
            }
            (_, true) => (
                Level::Gone,
                "The others have closed the ring round it and made its copies anew. Start it again, or forget it.",
            ),
            (_, false) => {
                (Level::Heals, "The others close the ring round it and make its copies anew.")
            }
        };
        let what = format!("{}: {}.", place.name(), answer_in_words(place.seen.answer));
        reason(level, what, next).about(place.name())
    });
    tell.collect()
}

fn torn(ring: &Ring) -> Vec<Reason> {
    let mut found = Vec::new();
    let n_cycles = ring.n_cycles();
    if n_cycles > 1 {
        let next = "They merge by themselves once they reach each other: see whether the network between them is cut.";
        found.push(reason(Level::Act, format!("The nodes form {n_cycles} rings instead of one."), next));
    }
    let torn = ring.torn();
    let doubted = torn.iter().map(|belief| belief.of).collect::<BTreeSet<_>>().len() as u64;
    if doubted > 0 {
        let who = count(doubted, "node does", "nodes do");
        let next = "Each round of maintenance mends some of it: wait some seconds.";
        found.push(reason(
            Level::Heals,
            format!("{who} not agree with a neighbour about who is next."),
            next,
        ));
    }
    let claims = ring.claims();
    let unowned = claims.iter().filter(|arc| arc.owners == 0).count() as u64;
    let doubly = claims.len() as u64 - unowned;
    if unowned > 0 {
        let what =
            format!("For {} of the ring nobody answers at the moment.", count(unowned, "part", "parts"));
        let next = "Requests for keys there wait until a node has taken over: some seconds.";
        found.push(reason(Level::Heals, what, next));
    }
    if doubly > 0 {
        let parts = count(doubly, "part", "parts");
        let what = format!("For {parts} of the ring several nodes take themselves for the owner.");
        let next = "Within one ring only one of them is vouched for by its predecessor, and answers.";
        found.push(reason(Level::Heals, what, next));
    }
    found
}

fn records(ring: &Ring) -> Vec<Reason> {
    let mut found = Vec::new();
    let missing = ring.copies_missing();
    if missing > 0 {
        let what = format!("Up to {} missing.", count(missing, "copy is", "copies are"));
        found.push(reason(Level::Heals, what, "They are being made: stop no further node until this is 0."));
    }
    let unready =
        |(_, report): &(_, &chord::seen::ReportBody)| !report.ring.is_ready && report.copies_missing == 0;
    let unready: Vec<_> = ring.members().filter(unready).collect();
    for (place, report) in unready.iter().take(NOT_READY_MAX) {
        let why = report.ring.not_ready_because.as_deref().unwrap_or("it does not say why");
        let what = format!("{} is not ready: {}.", place.name(), shown(why, SAID_CHARS_MAX));
        found.push(reason(Level::Heals, what, "Wait before you stop another node.").about(place.name()));
    }
    if let Some(more) = unready.len().checked_sub(NOT_READY_MAX).filter(|more| *more > 0) {
        let what = format!("{} not ready.", count(more as u64, "more node is", "more nodes are"));
        found.push(reason(Level::Heals, what, "The table has them all."));
    }
    found
}

fn nodes_themselves(ring: &Ring) -> Vec<Reason> {
    let mut found = Vec::new();
    for place in ring.order() {
        let (name, Some(report)) = (place.name(), place.report()) else { continue };
        if let Some(trouble) = &report.storage.trouble {
            let next = shown(trouble, SAID_CHARS_MAX);
            found.push(reason(Level::Act, format!("{name} takes no writes."), &next).about(name));
        }
        if report.violations > 0 {
            let times = count(report.violations, "time", "times");
            let next = "That is a defect of the program: its log says more. Please report it.";
            let what = format!("{name} found a rule of the ring broken {times}.");
            found.push(reason(Level::Act, what, next).about(name));
        }
        if ring.state(place) == State::NoMember {
            let why = report.ring.not_ready_because.as_deref().unwrap_or("it is in no ring");
            let what = format!("{name} is no member: {}.", shown(why, SAID_CHARS_MAX));
            found.push(reason(Level::Heals, what, "Have it join, or stop it.").about(name));
        }
    }
    found
}

fn the_rest(ring: &Ring) -> Vec<Reason> {
    let mut found = Vec::new();
    if ring.members().count() == 1 {
        let what = "The ring has one node: there are no copies elsewhere.".to_owned();
        found.push(reason(Level::Note, what, "Start more nodes and have them join."));
    }
    let versions: BTreeSet<_> = ring.members().map(|(_, report)| shown(&report.version, 20)).collect();
    if versions.len() > 1 {
        let names: Vec<_> = versions.iter().take(5).map(String::as_str).collect();
        let what = format!("The nodes run {} versions: {}.", versions.len(), names.join(", "));
        found.push(reason(Level::Note, what, "That is fine while you replace them one by one."));
    }
    if ring.left_out > 0 {
        let names = count(ring.left_out, "name was", "names were");
        let what = format!("{names} left out of this picture, which has room for 1,024.");
        let next = "A node may be making names up, or the ring is larger than that.";
        found.push(reason(Level::Note, what, next));
    }
    found
}
