//! Rings under random churn: the local rules hold after every step, and once it is quiet one ideal ring is left.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod support;

use std::collections::BTreeSet;

use chord_ring::*;
use chord_sim::*;
use proptest::prelude::*;
use support::*;

const SUCCESSORS: u8 = 3;
const BITS: u64 = 6;

/// Few, so that nodes often join next to each other at one time, or where one has just gone.
const POSITIONS: u64 = 20;

/// Rounds from the last change to the ideal ring of at most 12 members. A remembered peer that did not answer for
/// long is probed after 4 rounds (`2^BACKOFF_MAX`), and up to 12 of them may come before it; each merge that it
/// starts passes round the ring in one round a member, and the lists are right r rounds later: 4 + 12 + 12 + 3,
/// with some to spare.
const ROUNDS_TO_IDEAL: usize = 43;

/// Rounds from 64 joins at one instant to the ideal ring. All 63 joiners take the one member for both neighbours, so
/// the one that is farthest from it walks back over all others, up to 16 of them a round but only as far as they have
/// been notified themselves: twice as many rounds as 63 / 16 in all. Its list is right r rounds later.
const ROUNDS_TO_UNTANGLE: usize = 2 * 4 + 8;

#[derive(Clone, Debug)]
enum Churn {
    Join {
        at: u64,
        contact: usize,
    },
    Fail(usize),
    Leave(usize),
    Freeze(usize),
    Thaw(usize),
    Maintain(usize),
    /// A round of every node.
    Round,
    /// One of the messages on their way arrives, or somebody hears that one does not.
    Deliver(usize),
    /// All of them do, the oldest first.
    Settle,
}

/// Nodes come, go and maintain themselves; each message takes as long as it likes.
fn churn() -> impl Strategy<Value = Churn> {
    prop_oneof![
        3 => (0..POSITIONS, any::<usize>()).prop_map(|(at, contact)| Churn::Join { at, contact }),
        2 => any::<usize>().prop_map(Churn::Fail),
        1 => any::<usize>().prop_map(Churn::Leave),
        5 => any::<usize>().prop_map(Churn::Maintain),
        1 => Just(Churn::Round),
        60 => any::<usize>().prop_map(Churn::Deliver),
        1 => Just(Churn::Settle),
    ]
}

/// The same, and some nodes freeze for a while.
fn churn_and_freezes() -> impl Strategy<Value = Churn> {
    prop_oneof![
        2 => any::<usize>().prop_map(Churn::Freeze),
        2 => any::<usize>().prop_map(Churn::Thaw),
        73 => churn(),
    ]
}

struct Trial {
    cluster: Cluster,
    /// Whether a failure must leave everybody a live list entry, and r + 1 principals.
    assumption: bool,
}

impl Trial {
    fn new(mut cluster: Cluster, assumption: bool) -> Self {
        cluster.hold();
        Self { cluster, assumption }
    }

    /// The nodes that serve: alive and not frozen.
    fn awake(&self) -> Vec<u64> {
        self.nodes().into_iter().filter(|at| !self.cluster.frozen().contains(&name(*at))).collect()
    }

    fn nodes(&self) -> Vec<u64> {
        self.cluster.nodes().map(|node| number(node.view().me())).collect()
    }

    fn members(&self) -> Vec<u64> {
        let is_member = |at: &u64| self.cluster.phase(*at) == Phase::Member;
        self.awake().into_iter().filter(is_member).collect()
    }

    /// Whether the assumption of the proof survives when `victim` answers no more (`ring.md`, section 1.4).
    fn may_lose(&self, victim: u64) -> bool {
        let victim = name(victim);
        let left = self.cluster.oracle().without(&victim);
        if !self.assumption {
            return !left.members().is_empty();
        }
        // Who is frozen comes back, and must find somebody then.
        left.principals().len() > usize::from(SUCCESSORS) && left.is_everybody_linked()
    }

    fn step(&mut self, churn: &Churn) {
        let pick = |from: Vec<u64>, idx: usize| (!from.is_empty()).then(|| from[idx % from.len()]);
        match churn {
            Churn::Join { at, contact } => {
                let is_free = self.cluster.node(*at).is_none_or(|node| node.view().phase() == Phase::Idle);
                if let Some(contact) = pick(self.members(), *contact).filter(|_| is_free)
                    && self.nodes().len() < 12
                {
                    self.cluster.join(*at, contact);
                }
            }
            Churn::Fail(idx) => {
                if let Some(at) = pick(self.nodes(), *idx).filter(|at| self.may_lose(*at)) {
                    self.cluster.fail(at);
                }
            }
            Churn::Leave(idx) => {
                if let Some(at) = pick(self.members(), *idx).filter(|at| self.may_lose(*at)) {
                    self.cluster.must_leave(at);
                }
            }
            Churn::Freeze(idx) => {
                if let Some(at) = pick(self.members(), *idx).filter(|at| self.may_lose(*at)) {
                    self.cluster.freeze(&name(at));
                }
            }
            Churn::Thaw(idx) => {
                let frozen: Vec<NodeName> = self.cluster.frozen().iter().cloned().collect();
                if !frozen.is_empty() {
                    self.cluster.thaw(&frozen[idx % frozen.len()]);
                }
            }
            Churn::Maintain(idx) => {
                if let Some(at) = pick(self.awake(), *idx) {
                    self.cluster.maintain(at);
                }
            }
            Churn::Round => self.cluster.round(),
            Churn::Deliver(idx) => {
                let deliverable: Vec<usize> = self.cluster.deliverable().collect();
                if !deliverable.is_empty() {
                    self.cluster.deliver(deliverable[idx % deliverable.len()]);
                }
            }
            Churn::Settle => self.cluster.settle(),
        }
        self.check_local_rules();
    }

    fn check_local_rules(&self) {
        for at in self.nodes() {
            let (list, predecessor) = self.cluster.beliefs(at);
            assert!(list.len() <= usize::from(SUCCESSORS), "{}", self.cluster.describe());
            assert_ne!(predecessor, Some(at), "{}", self.cluster.describe());
            let mut before = at;
            for entry in list {
                let forward = between(before.into(), entry.into(), at.into());
                assert!(forward, "list of {at} out of order:\n{}", self.cluster.describe());
                before = entry;
            }
        }
        let broken = self.cluster.events().iter().find(|(_, event)| matches!(event, Event::Violation { .. }));
        assert_eq!(broken, None);
    }

    /// What the proof promises after every step (`ring.md`, sections 3.1 and 3.2), as long as nobody alive is taken for
    /// dead. `before` are the principals before the step.
    fn check_global_rules(&self, before: &BTreeSet<Position>) -> BTreeSet<Position> {
        let oracle = self.cluster.oracle();
        let (principals, members) = (oracle.principals(), oracle.members());
        let describe = || self.cluster.describe();
        assert!(principals.len() > usize::from(SUCCESSORS), "principals {principals:?} of\n{}", describe());
        let demoted: Vec<&Position> =
            before.intersection(&members).filter(|at| !principals.contains(at)).collect();
        assert!(demoted.is_empty(), "{demoted:?} are skipped now:\n{}", describe());
        assert!(oracle.is_everybody_linked(), "somebody has no live successor:\n{}", describe());
        let ring = oracle.ring();
        assert!(
            ring.is_some_and(|ring| principals.is_subset(&ring)),
            "not one ordered ring:\n{}",
            describe()
        );
        principals
    }

    /// No more churn: all messages arrive, the frozen thaw, joins end, and who is in no ring then goes home.
    fn calm(&mut self) {
        for frozen in self.cluster.frozen().clone() {
            self.cluster.thaw(&frozen);
        }
        self.cluster.release();
        let mut rounds = 0;
        while self.nodes().iter().any(|at| self.cluster.phase(*at) == Phase::Joining) {
            self.cluster.round();
            rounds += 1;
            assert!(rounds <= 2 * usize::from(JOIN_ATTEMPTS_MAX), "a join does not end");
        }
        for at in self.nodes() {
            if self.cluster.phase(at) == Phase::Idle {
                self.cluster.fail(at);
            }
        }
    }

    /// The members in groups of those that know of each other.
    fn acquainted(&self) -> BTreeSet<BTreeSet<NodeName>> {
        acquainted(self.cluster.nodes())
    }

    fn is_ideal(&self, group: &BTreeSet<NodeName>) -> bool {
        is_ideal(group.iter().filter_map(|member| self.cluster.named(member)).map(Node::view))
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn with_each_message_under_way_there_is_one_ordered_ring_after_every_step(
        positions in proptest::collection::btree_set(0..POSITIONS, 4..=8),
        steps in proptest::collection::vec(churn(), 0..400),
    ) {
        let positions: Vec<u64> = positions.into_iter().collect();
        let mut trial = Trial::new(Cluster::ideal(config(BITS, SUCCESSORS), &positions), true);
        let mut principals = trial.check_global_rules(&BTreeSet::new());
        for step in &steps {
            trial.step(step);
            principals = trial.check_global_rules(&principals);
        }
        trial.calm();
        trial.cluster.converge(ROUNDS_TO_IDEAL);
        trial.check_global_rules(&principals);
    }

    #[test]
    fn a_ring_that_keeps_the_assumption_is_ideal_again_when_the_churn_ends(
        positions in proptest::collection::btree_set(0..POSITIONS, 4..=8),
        steps in proptest::collection::vec(churn_and_freezes(), 0..400),
    ) {
        let positions: Vec<u64> = positions.into_iter().collect();
        let mut trial = Trial::new(Cluster::ideal(config(BITS, SUCCESSORS), &positions), true);
        for step in &steps {
            trial.step(step);
        }
        trial.calm();
        trial.cluster.converge(ROUNDS_TO_IDEAL);
        trial.check_local_rules();
    }

    #[test]
    fn a_small_ring_beyond_the_assumption_ends_in_one_ring_of_all_that_know_of_each_other(
        first in 0..POSITIONS,
        steps in proptest::collection::vec(churn_and_freezes(), 0..400),
    ) {
        let mut cluster = Cluster::new(config(BITS, SUCCESSORS));
        cluster.must_create(first);
        let mut trial = Trial::new(cluster, false);
        for step in &steps {
            trial.step(step);
        }
        trial.calm();
        let before = trial.acquainted();
        trial.cluster.rounds(ROUNDS_TO_IDEAL);
        trial.check_local_rules();
        let after = trial.acquainted();
        for ring in &after {
            prop_assert!(trial.is_ideal(ring), "{:?}:\n{}", ring, trial.cluster.describe());
        }
        for group in &before {
            let is_together = after.iter().any(|ring| group.is_subset(ring));
            prop_assert!(is_together, "{:?} fell apart:\n{}", group, trial.cluster.describe());
        }
    }
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the measure is for people")]
fn sixty_four_nodes_that_join_at_once_through_one_contact_are_one_ideal_ring() {
    let mut cluster = Cluster::new(config(160, 8));
    let size = RingSize::new(160).unwrap();
    let members: Vec<Peer> =
        (0..64).map(|idx| Peer::of_name(format!("10.0.0.{idx}:4567").parse().unwrap(), size)).collect();
    cluster.add(members[0].clone());
    cluster.command(&members[0].name, Command::Create);
    for member in &members[1..] {
        cluster.add(member.clone());
    }
    let contact = members[0].name.clone();
    let joins = members[1..]
        .iter()
        .enumerate()
        .map(|(idx, member)| {
            let token = Token(1_000 + idx as u64);
            (member.name.clone(), Input::Command(token, Command::Join(contact.clone())))
        })
        .collect();
    cluster.inputs(joins);
    let joined = |cluster: &Cluster| {
        let outcomes = (0..63).filter_map(|idx| cluster.outcome(Token(1_000 + idx)));
        outcomes.filter(|result| result.is_ok()).count()
    };
    let joined_at_once = joined(&cluster);
    let rounds = cluster.converge(ROUNDS_TO_UNTANGLE);
    assert_eq!(joined(&cluster), 63, "every join is done");
    println!("64 nodes at once: {joined_at_once} joined in the first go, ideal after {rounds} rounds");
}
