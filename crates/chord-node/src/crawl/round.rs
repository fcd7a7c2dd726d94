//! Round after round of asking all nodes, until nobody looks any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chord_ring::NodeName;
use chord_wire::rest::{
    PICTURE_BYTES_MAX, PICTURE_NODES_MAX as NODES_MAX, ReportBody, RingHealth, SeenAs, SeenBody, SeenText,
    Sight,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Picture;
use super::ask::{ask, connections};
use super::left_out::LeftOut;
use super::patience::{Moment, Patience};
use super::turns::{Standing, Turns};
use crate::age::now_ms;
use crate::links::{Connections, lock};
use crate::shared::{Shared, Stage};

/// New names that one node's word brings into a round, at most: as many as a node with a long successor list and all of its
/// distinct fingers has, so that one that makes names up does not crowd out those that others name.
pub(super) const NEW_NAMES_MAX: usize = 64;

/// What it costs, about, to ask one node and to read what it says.
const COST_OF_ONE: Duration = Duration::from_micros(100);

/// A round costs at most this part of one core: the pause after it is as long as that takes.
const PART_OF_A_CORE: u32 = 100;

/// The shortest pause: what changes more quickly nobody sees.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// How long a round may take, so that many who are silent do not keep the others from being asked again.
const ROUND_MAX: Duration = Duration::from_secs(3);

/// Pause between two pictures of one round, in which some nodes may be slow.
const SHOW_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause before a node is asked again that did not answer, and before one that never did: names cost nothing.
const AGAIN_MAX: Duration = Duration::from_secs(3);
const AGAIN_UNKNOWN_MAX: Duration = Duration::from_secs(30);

/// How long numbers that change all the time, such as round trips, may be old: nobody should get every node anew for them.
const NUMBERS_MAX: Duration = Duration::from_secs(5);

/// How long a node stays in the picture that answers no more and that nobody names: long enough to be noticed.
const GONE_FOR: Duration = Duration::from_secs(60);

/// How long what mends itself is taken to do so, at least, and in rounds of maintenance: a list is right as many rounds after the
/// last change as it has entries, and a dead neighbour is given up within some.
const HEALS_WITHIN_MIN: Duration = Duration::from_secs(10);
const ROUNDS_TO_HEAL: u32 = 20;

/// Records that one node's answer may say to have moved since the one before, at most: more than it could in a round, and so few that
/// one that makes numbers up does not fill the sum, behind which nobody else's would be seen.
const MOVED_MAX: u64 = 1 << 32;

const _: () = assert!(NEW_NAMES_MAX * 8 <= NODES_MAX, "a few liars leave room for others");

/// A node as it was seen last.
struct Seen {
    connections: Arc<Connections>,
    written: SeenText,
    written_at: Instant,
    /// When it answered last; nothing if it never did.
    answered_at: Option<Instant>,
    /// When it answered last that it is a member; nothing if it never did.
    member_at: Option<Instant>,
    /// How often it has failed in a row.
    failures: u32,
    /// When it was asked last.
    asked_at: Instant,
    /// Records that it has sent and fetched to have copies where they should be, by its last answer; nothing if there was none.
    moved: Option<u64>,
}

impl Seen {
    /// Whether it answered not long ago.
    fn is_recent(&self) -> bool {
        self.answered_at.is_some_and(|at| at.elapsed() < GONE_FOR)
    }
}

/// What came of asking a node.
struct Told {
    name: NodeName,
    connections: Arc<Connections>,
    report: Result<ReportBody, SeenAs>,
}

/// Asks all nodes again and again. Ends when nobody looks, or the node closes.
pub(super) async fn crawl(shared: Arc<Shared>) {
    let mut crawl = Crawl::new(shared.clone());
    let closing = shared.reached(Stage::Closing);
    tokio::pin!(closing);
    while !shared.crawler.ends(|| crawl.heard()) {
        let rounds = async {
            crawl.round().await;
            tokio::time::sleep(crawl.pause).await;
        };
        tokio::select! {
            () = rounds => {}
            () = &mut closing => return,
        }
    }
}

/// Who is named in one round.
struct Enlisting<'a> {
    found: &'a mut BTreeSet<NodeName>,
    waiting: &'a mut Turns,
    left_out: &'a mut LeftOut,
}

struct Crawl {
    shared: Arc<Shared>,
    seen: BTreeMap<NodeName, Seen>,
    /// Who answered when somebody looked before, and when last.
    heard_before: BTreeMap<NodeName, Instant>,
    /// What the same nodes say, beside numbers that change all the time.
    sight: Sight,
    left_out: u64,
    pause: Duration,
    /// Whether a round is over.
    has_asked_all: bool,
    began: Instant,
    /// Records that all nodes have moved since then: no node's restart takes any of it back.
    moved: u64,
    /// What has not mended itself yet.
    patience: Patience,
}

impl Crawl {
    fn new(shared: Arc<Shared>) -> Self {
        let round = shared.view().config().round_quiet();
        let heard_before = std::mem::take(&mut *lock(&shared.crawler.heard));
        Self {
            sight: Sight::new(shared.ring.size),
            shared,
            seen: BTreeMap::new(),
            heard_before,
            left_out: 0,
            pause: PAUSE_MIN,
            has_asked_all: false,
            began: Instant::now(),
            moved: 0,
            patience: Patience::new(HEALS_WITHIN_MIN.max(round * ROUNDS_TO_HEAL)),
        }
    }

    /// Who has answered not long ago, and when last.
    fn heard(&self) -> BTreeMap<NodeName, Instant> {
        let recent = self.seen.iter().filter(|(_, seen)| seen.is_recent());
        recent.filter_map(|(name, seen)| Some((name.clone(), seen.answered_at?))).collect()
    }

    async fn round(&mut self) {
        let (began, me) = (Instant::now(), self.shared.me.name.clone());
        let mut found: BTreeSet<NodeName> = BTreeSet::from([me.clone()]);
        let mut waiting = Turns::default();
        let mut asking = JoinSet::new();
        let mut left_out = LeftOut::default();
        let own = self.shared.report();
        let names = self.note(Told { connections: Arc::new(connections(&me)), name: me, report: Ok(own) });
        // Those who have answered have the first claim to room.
        let known: Vec<_> =
            self.seen.iter().filter(|(_, seen)| seen.is_recent()).map(|(name, _)| name.clone()).collect();
        let mut enlisting = Enlisting { found: &mut found, waiting: &mut waiting, left_out: &mut left_out };
        self.enlist(&mut enlisting, known, NODES_MAX);
        self.enlist(&mut enlisting, names, NEW_NAMES_MAX);
        loop {
            // Those who are asked by then are waited for: who was given up would have its turn before all others again.
            let is_over = began.elapsed() >= ROUND_MAX;
            while !is_over && let Some((name, kind)) = waiting.next() {
                let shared = self.shared.clone();
                let seen = self.seen.get(&name);
                let connections =
                    seen.map_or_else(|| Arc::new(connections(&name)), |seen| seen.connections.clone());
                asking.spawn(async move {
                    let report = ask(&shared, &connections, &name).await;
                    (kind, Told { name, connections, report })
                });
            }
            // Whoever has answered is shown meanwhile.
            let Ok(told) = tokio::time::timeout(SHOW_PAUSE, asking.join_next()).await else {
                self.show();
                continue;
            };
            let Some(told) = told else { break };
            if let Ok((kind, told)) = told {
                waiting.ended(kind);
                let names = self.note(told);
                let mut enlisting =
                    Enlisting { found: &mut found, waiting: &mut waiting, left_out: &mut left_out };
                self.enlist(&mut enlisting, names, NEW_NAMES_MAX);
            }
        }
        self.left_out = left_out.without(&found);
        self.has_asked_all |= found.iter().all(|name| self.seen.contains_key(name));
        self.forget(&found);
        let cost = COST_OF_ONE * PART_OF_A_CORE * u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        self.pause = cost.max(PAUSE_MIN);
        self.show();
    }

    /// Has those asked whom nobody named before, as far as there is room, unless they failed a moment ago.
    fn enlist(&self, to: &mut Enlisting<'_>, names: Vec<NodeName>, new_max: usize) {
        let mut n_new = 0;
        for name in names {
            if to.found.contains(&name) {
                continue;
            }
            if n_new == new_max || to.found.len() >= NODES_MAX {
                to.left_out.add(&name);
                continue;
            }
            to.found.insert(name.clone());
            if let Some(standing) = self.standing(&name) {
                to.waiting.add(name, standing, n_new);
            }
            n_new += 1;
        }
    }

    /// When it is the turn of a node; `None` if it failed a moment ago.
    fn standing(&self, name: &NodeName) -> Option<Standing> {
        let Some(seen) = self.seen.get(name) else { return Some(Standing::New) };
        let again_max = if seen.answered_at.is_some() { AGAIN_MAX } else { AGAIN_UNKNOWN_MAX };
        let again = (PAUSE_MIN * seen.failures).min(again_max);
        match seen.failures {
            0 => Some(Standing::Answered { asked_at: seen.asked_at }),
            _ if seen.asked_at.elapsed() < again => None,
            _ if seen.answered_at.is_some() => Some(Standing::Fails { asked_at: seen.asked_at }),
            _ => Some(Standing::Unheard { asked_at: seen.asked_at }),
        }
    }

    /// Keeps what a node said. Returns whom it names.
    fn note(&mut self, told: Told) -> Vec<NodeName> {
        let Told { name, connections, report } = told;
        let names: Vec<NodeName> =
            report.iter().flat_map(ReportBody::names).filter_map(|name| name.parse().ok()).collect();
        let before = self.seen.get(&name);
        let is_there = report.is_ok();
        let answered_at = match before {
            _ if is_there => Some(Instant::now()),
            Some(seen) => seen.answered_at,
            None => self.heard_before.get(&name).copied().filter(|at| at.elapsed() < GONE_FOR),
        };
        let moved_before = before.and_then(|seen| seen.moved);
        let moved = report.as_ref().ok().map(moved_by);
        if let (Some(before), Some(now)) = (moved_before, moved) {
            // One that was started anew counts from 0, and what it has moved by then is not known.
            self.moved = self.moved.saturating_add(now.saturating_sub(before).min(MOVED_MAX));
        }
        let position = self.shared.peer(name.clone()).position.to_string();
        let is_member = report.as_ref().is_ok_and(|report| report.ring.is_member);
        let member_at = if is_member { Some(Instant::now()) } else { before.and_then(|seen| seen.member_at) };
        let has_left = !is_there && self.has_left(&name, member_at);
        let seen = |report| {
            let seen = SeenBody::new(name.to_string(), position, report);
            let seen = if has_left { seen.that_left() } else { seen };
            if answered_at.is_some() { seen.that_was_heard() } else { seen }
        };
        let essence = seen.clone()(report.clone().map(ReportBody::essence));
        let is_same = self.sight.node(name.as_str()).is_some_and(|place| place.seen == essence);
        let is_as_before = |seen: &&Seen| is_same && seen.written_at.elapsed() < NUMBERS_MAX;
        let (written, written_at) = if let Some(seen) = before.filter(is_as_before) {
            (seen.written.clone(), seen.written_at)
        } else {
            (SeenText::from(&seen(report)), Instant::now())
        };
        let seen = Seen {
            connections,
            written,
            written_at,
            answered_at,
            member_at,
            failures: if is_there { 0 } else { before.map_or(0, |seen| seen.failures).saturating_add(1) },
            asked_at: Instant::now(),
            moved: moved.or(moved_before),
        };
        self.seen.insert(name, seen);
        if !is_same {
            self.sight.take(essence);
        }
        names
    }

    /// Whether a node has said that it leaves, to this one or to those who were next to it, and was no member again since.
    fn has_left(&self, name: &NodeName, member_at: Option<Instant>) -> bool {
        let at = self.shared.peer(name.clone()).position;
        // Whoever is not next to it may not know of its return when it is gone again.
        let left_at = lock(&self.shared.departed).left_at(name).map(Instant::from_std);
        let has_left = left_at.is_some_and(|left| member_at.is_none_or(|member| left >= member));
        has_left || self.sight.has_left(name.as_str(), at)
    }

    /// Forgets those that are not there and that nobody names any more.
    fn forget(&mut self, found: &BTreeSet<NodeName>) {
        let sight = &mut self.sight;
        self.seen.retain(|name, seen| {
            let stays = found.contains(name) || seen.is_recent();
            if !stays {
                sight.remove(name.as_str());
            }
            stays
        });
        while self.seen.len() > NODES_MAX {
            let worst = self.seen.iter().max_by_key(|(_, seen)| seen.failures).map(|(name, _)| name.clone());
            let Some(worst) = worst else { return };
            self.seen.remove(&worst);
            self.sight.remove(worst.as_str());
        }
    }

    /// Shows what is seen now, as far as there is room beside what follows from it: those who answer first.
    fn show(&mut self) {
        let findings = self.sight.findings();
        let found = findings.told();
        let mut order: Vec<_> = self.seen.iter().collect();
        order.sort_by_key(|(_, seen)| seen.failures > 0);
        let mut bytes = found.bytes();
        let fitting = order.into_iter().filter(|(_, seen)| {
            bytes += seen.written.bytes();
            bytes <= PICTURE_BYTES_MAX
        });
        let nodes: BTreeMap<_, _> =
            fitting.map(|(name, seen)| (name.clone(), seen.written.clone())).collect();
        let unfit = self.seen.len() - nodes.len();
        let left_out = self.left_out + unfit as u64;
        let (pause, has_asked_all) = (self.pause, self.has_asked_all);
        let moment = Moment { at: self.began.elapsed(), moved: self.moved };
        let mut reasons = findings.reasons(left_out);
        self.patience.judge(&mut reasons, moment);
        let health = RingHealth::of(reasons);
        let picture = Picture { at_ms: now_ms(), nodes, left_out, pause, has_asked_all, health, found };
        self.shared.crawler.pictures.send_replace(Arc::new(picture));
    }
}

/// Records that a node has sent and fetched since it started.
fn moved_by(report: &ReportBody) -> u64 {
    let repair = &report.work.repair;
    repair.sent_records.saturating_add(repair.fetched_records)
}

#[cfg(test)]
mod tests {
    use chord_wire::rest::NodeBody;

    use super::super::Look;
    use super::*;
    use crate::Node;

    #[tokio::test]
    async fn records_on_their_way_are_seen_though_a_node_is_started_anew_or_makes_numbers_up() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let mut crawl = Crawl::new(node.shared().clone());
        let moved = |crawl: &mut Crawl, name: &str, sent_records: Option<u64>| {
            let name: NodeName = name.parse().unwrap();
            let report = sent_records.ok_or(SeenAs::Silent).map(|sent_records| {
                let mut report = crawl.shared.report();
                report.work.repair.sent_records = sent_records;
                report
            });
            let connections = Arc::new(connections(&name));
            crawl.note(Told { name, connections, report });
            crawl.show();
            crawl.moved
        };
        moved(&mut crawl, "one:1", Some(1_000_000));
        assert_eq!(moved(&mut crawl, "one:1", Some(1_000_010)), 10, "what was moved before nobody has seen");
        assert_eq!(moved(&mut crawl, "one:1", None), 10);
        assert_eq!(moved(&mut crawl, "one:1", Some(1_000_015)), 15, "it was only slow");
        assert_eq!(moved(&mut crawl, "one:1", Some(3)), 15, "it was started anew");
        assert_eq!(moved(&mut crawl, "one:1", Some(7)), 19);

        for _ in 0..3 {
            moved(&mut crawl, "liar:1", Some(0));
            moved(&mut crawl, "liar:1", Some(u64::MAX));
        }
        let before = crawl.moved;
        assert_eq!(moved(&mut crawl, "one:1", Some(8)), before + 1, "what others say is seen all the same");
        node.shutdown().await;
    }

    #[tokio::test]
    async fn whoever_looks_again_is_told_who_was_heard_before() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let names: [NodeName; 2] = ["heard:1", "stranger:1"].map(|name| name.parse().unwrap());
        let mut crawl = Crawl::new(node.shared().clone());
        let hear = |crawl: &mut Crawl, name: &NodeName, report| {
            let connections = Arc::new(connections(name));
            crawl.note(Told { name: name.clone(), connections, report });
        };
        let mut report = crawl.shared.report();
        report.ring.node = names[0].to_string();
        hear(&mut crawl, &names[0], Ok(report));
        hear(&mut crawl, &names[1], Err(SeenAs::Silent));
        *lock(&crawl.shared.crawler.heard) = crawl.heard();

        let mut again = Crawl::new(node.shared().clone());
        for name in &names {
            hear(&mut again, name, Err(SeenAs::Unreachable));
        }
        let is_told = |name: &NodeName| again.sight.node(name.as_str()).unwrap().seen.was_heard;
        assert_eq!(names.each_ref().map(is_told), [true, false]);
        assert_eq!(again.heard().len(), 1, "for as long as it is remembered");
        node.shutdown().await;
    }

    #[tokio::test]
    async fn what_follows_from_what_nodes_say_has_room_in_the_picture_beside_it() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let mut crawl = Crawl::new(node.shared().clone());
        let name = |idx: usize| -> NodeName {
            let label = "n".repeat(60);
            format!("h{idx:04}.{label}.{label}.{label}:1").parse().unwrap()
        };
        let body = |name: &NodeName| NodeBody {
            node: name.to_string(),
            position: crawl.shared.peer(name.clone()).position.to_string(),
        };
        // Each takes for its neighbours two that do not say so, and names as many as fill all room there is.
        let names: Vec<_> = (0..NODES_MAX).map(name).collect();
        let peers: Vec<_> = names.iter().map(body).collect();
        for (idx, name) in names.iter().enumerate() {
            let mut report = crawl.shared.report();
            report.ring.node = name.to_string();
            report.ring.successors =
                (0..40).map(|step| peers[(idx + 7 + step) % NODES_MAX].clone()).collect();
            report.ring.predecessor = Some(peers[(idx + 3) % NODES_MAX].clone());
            let connections = Arc::new(connections(name));
            crawl.note(Told { name: name.clone(), connections, report: Ok(report) });
        }
        crawl.show();
        let (shared, seats) = (node.shared().clone(), node.shared().crawler.seats.clone());
        let pictures = shared.crawler.pictures.subscribe();
        let picture = pictures.borrow().clone();
        let mut look = Look { shared, pictures, last: None, _seat: seats.try_acquire_owned().unwrap() };
        let found = picture.found.bytes();
        assert!(picture.found.torn.len() >= NODES_MAX && found > NODES_MAX * 2 * 200, "{found}");
        let event = look.show(&picture).expect("nothing was shown yet");
        let shown: usize = picture.nodes.values().map(SeenText::bytes).sum();
        assert!(shown + found <= PICTURE_BYTES_MAX, "{shown} and {found}");
        assert!(picture.left_out > 0 && shown + found > PICTURE_BYTES_MAX - (64 << 10), "the room is used");
        // Names of those that are gone, commas and what is said in words have room beside it.
        assert!(event.len() < PICTURE_BYTES_MAX + (64 << 10), "{}", event.len());
        node.shutdown().await;
    }
}
