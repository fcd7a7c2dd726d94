//! What clients did in one run, and what must hold of it.
//!
//! What a read may see is judged by the simulator's checker, so that both kinds of runs are held to one rule. Beside it
//! stands what the simulator has other checks for: nodes that disagree, keys that cannot be read, and outages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chord_sim::data::{Deed, History, Saw};
use chord_sim::world::Time;

/// The one clock of a run. It is monotonic, so what ended before something else began came first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn now(self) -> Time {
        Time::ZERO.after(self.elapsed())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Writes a value that nobody else writes.
    Put(String),
    Get,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The write was acknowledged.
    Stored,
    /// What the read saw.
    Found(Option<String>),
    /// Nothing changed, nothing was seen.
    Failed,
    /// A write that may take effect, now or at any later time.
    Unknown,
}

/// One request of a client, from its first byte to what it came to.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) key: String,
    pub(crate) node: String,
    pub(crate) action: Action,
    pub(crate) began: Time,
    pub(crate) ended: Time,
    pub(crate) outcome: Outcome,
}

impl Operation {
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Stored | Outcome::Found(_))
    }

    fn deed(&self) -> Option<Deed> {
        let Action::Put(value) = &self.action else { return None };
        let is_acknowledged = match self.outcome {
            Outcome::Stored => true,
            Outcome::Unknown => false,
            Outcome::Failed | Outcome::Found(_) => return None,
        };
        let (began, ended) = (self.began, self.ended);
        Some(Deed { value: Some(value.clone()), began, ended, is_acknowledged, ..Deed::default() })
    }

    fn saw(&self) -> Option<Saw> {
        let Outcome::Found(value) = &self.outcome else { return None };
        Some(Saw { value: value.clone(), began: self.began, ended: self.ended })
    }
}

/// What a history should not show, one sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// A key at which an acknowledged write is gone, though everything was mended.
    pub(crate) lost: Vec<String>,
    /// A read, while things went wrong, of what had been overwritten before it began.
    pub(crate) stale: Vec<String>,
    /// A key of which the nodes, all mended, do not say the same.
    pub(crate) split: Vec<String>,
    /// A key that a node, all mended, did not tell.
    pub(crate) untold: Vec<String>,
}

impl Verdict {
    /// Judges what was done while things went wrong, and what each node answered for each key afterwards.
    pub(crate) fn of(during: &[Operation], after: &[Operation]) -> Self {
        let mut histories: BTreeMap<&str, History> = BTreeMap::new();
        for operation in during {
            let history = histories.entry(&operation.key).or_default();
            // A node that was stopped may find a request, whose client has long given up, when it goes on.
            history.is_open_ended = true;
            history.deeds.extend(operation.deed());
        }
        let wrong = |operation: &Operation| {
            let judged = histories.get(operation.key.as_str())?.judge(&operation.saw()?);
            judged.err().map(|why| format!("{} at {}: {why}", operation.key, operation.node))
        };
        Self {
            lost: once_a_key(after, wrong),
            stale: during.iter().filter_map(wrong).collect(),
            split: split(after),
            untold: once_a_key(after, |read| {
                (!read.succeeded()).then(|| format!("{} is not told by {}", read.key, read.node))
            }),
        }
    }
}

/// What is wrong with operations: no more than one sentence for each key.
fn once_a_key(operations: &[Operation], wrong: impl Fn(&Operation) -> Option<String>) -> Vec<String> {
    let mut found = BTreeMap::new();
    for operation in operations {
        if let Some(sentence) = wrong(operation) {
            found.entry(&operation.key).or_insert(sentence);
        }
    }
    found.into_values().collect()
}

fn split(reads: &[Operation]) -> Vec<String> {
    let mut said: BTreeMap<&str, BTreeMap<&Option<String>, &str>> = BTreeMap::new();
    for read in reads {
        if let Outcome::Found(value) = &read.outcome {
            said.entry(&read.key).or_default().insert(value, &read.node);
        }
    }
    let differ = said.into_iter().filter(|(_, values)| values.len() > 1);
    differ.map(|(key, values)| format!("{key}: {values:?}")).collect()
}

/// How long no operation on a key succeeded although some were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) key: String,
    pub(crate) began: Time,
    pub(crate) length: Duration,
}

/// A time in which a node was stopped.
#[derive(Clone, Debug)]
pub(crate) struct Standstill {
    pub(crate) node: String,
    pub(crate) began: Time,
    pub(crate) ended: Time,
}

/// The longest outage of any of these keys. Who asks a node that is stopped learns nothing about the key: that is an
/// attempt only from when the node goes on.
pub(crate) fn longest_outage(
    operations: &[Operation],
    keys: &BTreeSet<String>,
    standstills: &[Standstill],
) -> Option<Outage> {
    let mut of_key: BTreeMap<&String, Vec<Attempt>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| keys.contains(&operation.key)) {
        of_key.entry(&operation.key).or_default().extend(Attempt::of(operation, standstills));
    }
    let outages = of_key.into_iter().filter_map(|(key, mut attempts)| {
        attempts.sort_by_key(|attempt| attempt.ended);
        let (length, began) = longest_wait(&attempts)?;
        Some(Outage { key: key.clone(), began, length })
    });
    outages.max_by_key(|outage| outage.length)
}

/// An operation at a node that runs.
struct Attempt {
    began: Time,
    ended: Time,
    succeeded: bool,
}

impl Attempt {
    fn of(operation: &Operation, standstills: &[Standstill]) -> Option<Self> {
        let (ended, succeeded) = (operation.ended, operation.succeeded());
        let meanwhile = standstills.iter().filter(|standstill| {
            standstill.node == operation.node
                && standstill.began < ended
                && operation.began < standstill.ended
        });
        let began = meanwhile.map(|standstill| standstill.ended).fold(operation.began, Time::max);
        (began <= ended).then_some(Self { began, ended, succeeded })
    }
}

/// The longest time in which some attempt was under way or had failed and none succeeded, and when it began.
/// The attempts are in the order in which they ended.
fn longest_wait(attempts: &[Attempt]) -> Option<(Duration, Time)> {
    let mut tried_since: Vec<Time> = Vec::with_capacity(attempts.len());
    for attempt in attempts.iter().rev() {
        tried_since.push(tried_since.last().map_or(attempt.began, |&since| since.min(attempt.began)));
    }
    let (mut last_success, mut waiting_since) = (Time::ZERO, None);
    let mut longest = None;
    for (attempt, tried_since) in attempts.iter().zip(tried_since.into_iter().rev()) {
        let since = *waiting_since.get_or_insert(tried_since.max(last_success));
        longest = longest.max(Some((attempt.ended.since(since), since)));
        if attempt.succeeded {
            (last_success, waiting_since) = (attempt.ended, None);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    fn operation(node: &str, action: Action, (began, ended): (u64, u64), outcome: Outcome) -> Operation {
        let (key, node) = ("key".to_owned(), node.to_owned());
        Operation { key, node, action, began: at(began), ended: at(ended), outcome }
    }

    fn put(value: &str, span: (u64, u64), outcome: Outcome) -> Operation {
        operation("a", Action::Put(value.to_owned()), span, outcome)
    }

    fn get(node: &str, span: (u64, u64), value: Option<&str>) -> Operation {
        operation(node, Action::Get, span, Outcome::Found(value.map(str::to_owned)))
    }

    fn failure(span: (u64, u64)) -> Operation {
        operation("a", Action::Get, span, Outcome::Failed)
    }

    fn two_writes() -> Vec<Operation> {
        vec![put("old", (1, 2), Outcome::Stored), put("new", (3, 4), Outcome::Stored)]
    }

    fn outage(operations: &[Operation]) -> Option<(Duration, Time)> {
        outage_beside(operations, &[])
    }

    fn outage_beside(operations: &[Operation], standstills: &[Standstill]) -> Option<(Duration, Time)> {
        longest_outage(operations, &BTreeSet::from(["key".to_owned()]), standstills)
            .map(|outage| (outage.length, outage.began))
    }

    #[test]
    fn nothing_is_wrong_when_all_nodes_tell_the_last_write() {
        let after = [get("a", (6, 7), Some("new")), get("b", (6, 7), Some("new"))];
        assert_eq!(Verdict::of(&two_writes(), &after), Verdict::default());
    }

    #[test]
    fn a_lost_write_is_found_and_counted_once() {
        for seen in [Some("old"), None, Some("never written")] {
            let after = [get("a", (6, 7), seen), get("b", (6, 7), seen)];
            let verdict = Verdict::of(&two_writes(), &after);
            assert_eq!(verdict.lost.len(), 1, "{seen:?}: {verdict:?}");
            assert!(verdict.stale.is_empty() && verdict.split.is_empty(), "{verdict:?}");
        }
    }

    #[test]
    fn the_only_write_of_a_key_may_be_absent_only_if_it_was_not_acknowledged() {
        let after = [get("a", (6, 7), None)];
        assert_eq!(Verdict::of(&[put("v", (1, 2), Outcome::Unknown)], &after), Verdict::default());
        assert_eq!(Verdict::of(&[put("v", (1, 2), Outcome::Stored)], &after).lost.len(), 1);
    }

    #[test]
    fn a_write_of_unknown_outcome_may_take_effect_at_any_later_time() {
        let mut during = vec![put("late", (1, 2), Outcome::Unknown)];
        during.extend(two_writes());
        assert_eq!(Verdict::of(&during, &[get("a", (6, 7), Some("late"))]), Verdict::default());
    }

    #[test]
    fn a_write_that_was_refused_must_not_be_seen() {
        let during = [put("refused", (1, 2), Outcome::Failed)];
        assert_eq!(Verdict::of(&during, &[get("a", (6, 7), Some("refused"))]).lost.len(), 1);
    }

    #[test]
    fn a_stale_read_is_found() {
        let mut during = two_writes();
        during.push(get("b", (3, 5), Some("old"))); // It may have come before the write.
        assert_eq!(Verdict::of(&during, &[]), Verdict::default());
        during.push(get("b", (5, 6), Some("old")));
        assert_eq!(Verdict::of(&during, &[]).stale.len(), 1);
    }

    #[test]
    fn nodes_that_disagree_are_found_though_each_may_be_right() {
        let during = [put("x", (1, 4), Outcome::Stored), put("y", (2, 3), Outcome::Stored)];
        let verdict = Verdict::of(&during, &[get("a", (6, 7), Some("x")), get("b", (6, 7), Some("y"))]);
        assert_eq!((verdict.lost.len(), verdict.split.len()), (0, 1));
    }

    #[test]
    fn a_key_that_a_node_does_not_tell_is_found() {
        let verdict = Verdict::of(&two_writes(), &[get("a", (6, 7), Some("new")), failure((6, 7))]);
        assert_eq!((verdict.lost.len(), verdict.untold.len()), (0, 1));
    }

    #[test]
    fn an_outage_lasts_from_the_first_attempt_that_fails_to_the_next_success() {
        let during = [
            get("a", (0, 1), None),
            failure((3, 4)),
            failure((5, 6)),
            get("a", (8, 9), None),
            failure((20, 21)),
        ];
        assert_eq!(outage(&during), Some((Duration::from_secs(6), at(3))));
    }

    #[test]
    fn an_outage_that_nothing_ends_lasts_to_the_last_attempt() {
        let during = [get("a", (0, 1), None), failure((2, 3)), failure((8, 9))];
        assert_eq!(outage(&during), Some((Duration::from_secs(7), at(2))));
    }

    #[test]
    fn an_attempt_that_hangs_is_an_outage_except_while_others_succeed() {
        let during = [get("b", (2, 3), None), get("b", (5, 7), None), failure((1, 9))];
        assert_eq!(outage(&during), Some((Duration::from_secs(4), at(3))));
    }

    #[test]
    fn a_key_that_nobody_asks_for_has_no_outage() {
        assert_eq!(
            outage(&[get("a", (0, 1), None), get("a", (60, 61), None)]),
            Some((Duration::from_secs(1), at(60)))
        );
        assert_eq!(outage(&[]), None);
    }

    #[test]
    fn a_request_to_a_node_that_is_stopped_is_no_outage_until_it_goes_on() {
        let standstills = [Standstill { node: "b".to_owned(), began: at(2), ended: at(7) }];
        let answered = get("b", (1, 9), None);
        assert_eq!(
            outage_beside(slice::from_ref(&answered), &standstills),
            Some((Duration::from_secs(2), at(7)))
        );
        let elsewhere = get("a", (1, 9), None);
        assert_eq!(
            outage_beside(&[elsewhere, answered], &standstills),
            Some((Duration::from_secs(8), at(1)))
        );
        let given_up = operation("b", Action::Get, (3, 6), Outcome::Failed);
        assert_eq!(outage_beside(&[given_up], &standstills), None);
    }
}
