//! Operations under way at the owner of their keys, one at a time for each key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chord_ring::{NodeName, Position, Token};

use super::TICK;
use super::operation::{Before, Consistency, Operation, Proposal};
use super::tenure::Epoch;
use super::walk::Walk;
use crate::{Key, Record, Sequence, Version};

/// Operations under way at one node, at most: beyond that, clients outnumber what the node can do within their deadlines.
pub const OPERATIONS_MAX: usize = 16 << 10;

/// Operations that wait for one key, at most.
pub const OPERATIONS_OF_KEY_MAX: usize = 1 << 10;

/// One operation.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) token: Token,
    pub(super) position: Position,
    pub(super) operation: Operation,
    pub(super) consistency: Consistency,
    /// What its first node has proposed for its version.
    pub(super) proposal: Proposal,
    /// When it ends if it has come to nothing else; see [`ends_by`].
    pub(super) until: Duration,
    pub(super) stage: Stage,
}

/// When an operation is to end of which nobody waits for the outcome after `until`: so much earlier that whoever waits hears
/// what it lacks. A tick may come late, and the answer has a way to go.
pub(super) fn ends_by(now: Duration, until: Duration) -> Duration {
    until.saturating_sub((until.saturating_sub(now) / 4).min(2 * TICK))
}

/// How far an operation is.
#[derive(Debug)]
pub(super) enum Stage {
    Waiting,
    /// Others may have something under the key.
    Asking(Box<Walk>, Epoch),
    /// Other members of the group are asked what they have.
    Consulting(Box<Walk>),
    /// It has been found out what is under the key.
    Informed,
    Writing(Box<Writing>),
}

/// A record that is being copied.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) record: Record,
    pub(super) before: Before,
    pub(super) sequence: Sequence,
    /// How often the node had doubted itself when it began.
    pub(super) doubts: u64,
    /// Whether it is an earlier write, of which too few copies were known, that a reader must not see before there are more.
    pub(super) is_earlier: bool,
    /// The others to which it was sent.
    pub(super) sent: BTreeSet<NodeName>,
    /// The others that have it.
    pub(super) copies: BTreeSet<NodeName>,
    /// A version that somebody has who is not known to this node.
    pub(super) newer: Option<Version>,
}

/// Whether a record that is written was written before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicate {
    No,
    /// It is the same write, which came twice.
    Yes,
    /// It is what an earlier write left, which has too few copies.
    Earlier,
}

/// All operations under way, the first of each key being done.
#[derive(Debug, Default)]
pub(super) struct Works {
    /// The one that began last, if it is the only one of its key: most end before another begins, and need no place among
    /// the others.
    newest: Option<(Key, Work)>,
    of_key: BTreeMap<Key, VecDeque<Work>>,
    count: usize,
}

impl Works {
    /// One more. Returns `None` if there are too many, else whether it is the only one of its key.
    pub(super) fn add(&mut self, key: &Key, work: Work) -> Option<bool> {
        if self.count >= OPERATIONS_MAX {
            return None;
        }
        self.settle();
        if let Some(line) = self.of_key.get_mut(key) {
            if line.len() >= OPERATIONS_OF_KEY_MAX {
                return None;
            }
            line.push_back(work);
        } else {
            self.newest = Some((key.clone(), work));
        }
        self.count += 1;
        Some(self.newest.is_some())
    }

    /// Puts the newest one among the others.
    fn settle(&mut self) {
        if let Some((key, work)) = self.newest.take() {
            self.of_key.entry(key).or_insert_with(|| VecDeque::with_capacity(1)).push_back(work);
        }
    }

    fn is_newest(&self, key: &Key) -> bool {
        self.newest.as_ref().is_some_and(|(newest, _)| newest == key)
    }

    /// Whether none is under way for that key.
    pub(super) fn is_free(&self, key: &Key) -> bool {
        !self.is_newest(key) && !self.of_key.contains_key(key)
    }

    /// The one of that key that is being done.
    pub(super) fn first(&mut self, key: &Key) -> Option<&mut Work> {
        if self.is_newest(key) {
            return self.newest.as_mut().map(|(_, work)| work);
        }
        self.of_key.get_mut(key).and_then(VecDeque::front_mut)
    }

    /// The first one of that key has ended.
    pub(super) fn end_first(&mut self, key: &Key) -> Option<Work> {
        if self.is_newest(key) {
            self.count -= 1;
            return self.newest.take().map(|(_, work)| work);
        }
        let line = self.of_key.get_mut(key)?;
        let ended = line.pop_front();
        if line.is_empty() {
            self.of_key.remove(key);
        }
        self.count -= usize::from(ended.is_some());
        ended
    }

    /// The keys of all that are under way.
    pub(super) fn keys(&mut self) -> Vec<Key> {
        self.settle();
        self.of_key.keys().cloned().collect()
    }

    /// The keys for which others are being asked.
    pub(super) fn asking(&mut self) -> Vec<Key> {
        self.first_where(|work| matches!(work.stage, Stage::Asking(..) | Stage::Consulting(_)))
    }

    /// The keys of those that are being done and whose time is over.
    pub(super) fn overdue(&mut self, now: Duration) -> Vec<Key> {
        self.first_where(|work| work.until <= now)
    }

    fn first_where(&mut self, is_wanted: impl Fn(&Work) -> bool) -> Vec<Key> {
        self.settle();
        let lines = self.of_key.iter().filter(|(_, line)| line.front().is_some_and(&is_wanted));
        lines.map(|(key, _)| key.clone()).collect()
    }

    /// Those that wait behind another and whose time is over.
    pub(super) fn take_overdue(&mut self, now: Duration) -> Vec<Work> {
        let mut overdue = Vec::new();
        for line in self.of_key.values_mut() {
            if line.iter().skip(1).all(|work| work.until > now) {
                continue;
            }
            let waiting = line.split_off(1);
            let (late, rest): (Vec<Work>, Vec<Work>) =
                waiting.into_iter().partition(|work| work.until <= now);
            line.extend(rest);
            overdue.extend(late);
        }
        self.count -= overdue.len();
        overdue
    }

    /// The records that are being copied.
    pub(super) fn being_written_mut(&mut self) -> impl Iterator<Item = &mut Writing> {
        self.settle();
        self.of_key.values_mut().filter_map(VecDeque::front_mut).filter_map(|work| match &mut work.stage {
            Stage::Writing(writing) => Some(&mut **writing),
            Stage::Waiting | Stage::Asking(..) | Stage::Consulting(_) | Stage::Informed => None,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }
}
