//! Bringing two nodes' records of one range together, from the side of the one who drives it.
//!
//! It begins with one digest. Where digests differ, those of the parts are compared, down to lists of headers; then only
//! records travel that the other lacks. A part that one of the two lacks altogether is read page by page.

use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;

use chord_ring::{Peer, Position, RingSize};

use super::message::{
    AnswerBody, Comparison, Header, LISTED_MAX, MESSAGE_BYTES_MAX, MESSAGE_RECORDS_MAX, PARTS, PeerRequest,
    Standing,
};
use crate::{Cursor, Digest, Key, PageLimit, Range, Record, Store, StoreError, Version};

const PARTS_NONZERO: NonZeroU8 = NonZeroU8::new(PARTS).expect("not zero");

/// Questions of one synchronization, at most: enough for half a thousand million records that differ.
const STEPS_MAX: u32 = 1 << 20;

/// Records that repair and takeover move in one message: a client's request that comes meanwhile waits for a fraction of a
/// millisecond at either node.
const PAGE_RECORDS: usize = 64;
const _: () = assert!(PAGE_RECORDS <= MESSAGE_RECORDS_MAX);

/// A page of records that fits a message.
pub(super) const PAGE: PageLimit =
    PageLimit { records: NonZeroUsize::new(PAGE_RECORDS).expect("not zero"), bytes: MESSAGE_BYTES_MAX };

/// Which way records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the peer to this node.
    In,
    /// Both ways.
    Both,
}

/// One range brought together with one peer.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    pub(super) peer: Peer,
    pub(super) range: Range,
    direction: Direction,
    tasks: Vec<Task>,
    /// What the question is about that was put last.
    asked: Option<Task>,
    standing: Option<Standing>,
    steps: u32,
}

#[derive(Clone, Debug)]
enum Task {
    Compare(Range),
    List(Range, Option<Cursor>),
    Pull(Range, Option<Cursor>),
    Push(Range, Option<Cursor>, Arc<Known>),
    Fetch(VecDeque<(Position, Key)>),
}

impl Task {
    fn concerns(&self, position: Position) -> bool {
        match self {
            Self::Compare(range) => range.contains(position),
            Self::List(range, cursor) | Self::Pull(range, cursor) | Self::Push(range, cursor, _) => {
                let is_done = |done: &Cursor| {
                    done.position != position
                        && Range { after: range.after, up_to: done.position }.contains(position)
                };
                range.contains(position) && !cursor.as_ref().is_some_and(is_done)
            }
            Self::Fetch(keys) => keys.iter().any(|(at, _)| *at == position),
        }
    }
}

/// What the peer has of a range up to some place in it.
#[derive(Debug, Default)]
struct Known {
    theirs: BTreeMap<(Position, Key), Version>,
    /// `None` is the end of the range.
    end: Option<Cursor>,
}

impl Known {
    /// Whether it tells of that record, whose place in the range is its own.
    fn reaches(&self, range: Range, record: &Record) -> bool {
        self.end.as_ref().is_none_or(|end| {
            if record.position == end.position {
                return record.key <= end.key;
            }
            Range { after: range.after, up_to: end.position }.contains(record.position)
        })
    }

    /// Whether the peer lacks that record, or has an older one.
    fn lacks(&self, record: &Record) -> bool {
        let theirs = self.theirs.get(&(record.position, record.key.clone()));
        theirs.is_none_or(|version| *version < record.version)
    }
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Move {
    Ask(PeerRequest),
    /// Have the peer keep these.
    Store(Vec<Record>),
    /// All that was to be done is; this is what the peer knows about the range.
    Done(Standing),
}

/// Why a synchronization cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SyncError {
    Store(StoreError),
    /// The answer is none to what was asked.
    Garbled,
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Sync {
    pub(super) fn new(peer: Peer, range: Range, direction: Direction) -> Self {
        Self {
            peer,
            range,
            direction,
            tasks: vec![Task::Compare(range)],
            asked: None,
            standing: None,
            steps: 0,
        }
    }

    /// Whether an answer is awaited.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether something at that position may still be brought from one to the other.
    pub(super) fn concerns(&self, position: Position) -> bool {
        self.tasks.iter().chain(&self.asked).any(|task| task.concerns(position))
    }

    /// What to do now, after the last question was answered.
    pub(super) fn next(&mut self, store: &dyn Store) -> Result<Move, SyncError> {
        loop {
            let Some(task) = self.tasks.pop() else {
                return Ok(Move::Done(self.standing.take().unwrap_or_default()));
            };
            let step = match task.clone() {
                Task::Compare(range) => {
                    Move::Ask(PeerRequest::Compare { range, digest: store.digest(&range)? })
                }
                Task::List(range, cursor) => Move::Ask(PeerRequest::List { range, cursor }),
                Task::Pull(range, cursor) => Move::Ask(PeerRequest::Pull { range, cursor }),
                Task::Push(range, cursor, known) => {
                    let page = store.range(&range, cursor.as_ref(), PAGE)?;
                    let is_within = page.records.last().is_some_and(|last| known.reaches(range, last));
                    if let Some(next) = page.next.filter(|_| is_within) {
                        self.tasks.push(Task::Push(range, Some(next), known.clone()));
                    }
                    let reached = page.records.into_iter().take_while(|record| known.reaches(range, record));
                    let records: Vec<Record> = reached.filter(|record| known.lacks(record)).collect();
                    if records.is_empty() {
                        continue;
                    }
                    Move::Store(records)
                }
                Task::Fetch(keys) => {
                    let keys = keys.into_iter().take(MESSAGE_RECORDS_MAX).collect();
                    Move::Ask(PeerRequest::Fetch { keys })
                }
            };
            self.asked = Some(task);
            return Ok(step);
        }
    }

    /// The peer has answered. Returns the records that came, to be applied before the next step.
    pub(super) fn answered(
        &mut self,
        answer: AnswerBody,
        size: RingSize,
        store: &dyn Store,
    ) -> Result<Vec<Record>, SyncError> {
        let Some(asked) = self.asked.take() else { return Err(SyncError::Garbled) };
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(SyncError::Garbled); // It always has more.
        }
        match (asked, answer) {
            (Task::Compare(range), AnswerBody::Compared { standing, comparison }) => {
                // Of the whole range, which is asked first.
                self.standing.get_or_insert(standing);
                self.compared(range, comparison, size, store)?;
                Ok(Vec::new())
            }
            (Task::List(range, cursor), AnswerBody::Listed { headers, next, .. }) => {
                self.listed(range, cursor.as_ref(), &headers, next, store)?;
                Ok(Vec::new())
            }
            (Task::Pull(range, cursor), AnswerBody::Page { records, next }) => {
                if let Some(next) = next {
                    if records.is_empty() || !is_onward(range, cursor.as_ref(), &next) {
                        return Err(SyncError::Garbled);
                    }
                    self.tasks.push(Task::Pull(range, Some(next)));
                }
                Ok(records.into_iter().filter(|record| range.contains(record.position)).collect())
            }
            (Task::Fetch(mut keys), AnswerBody::Fetched { looked_at, records, .. }) => {
                if looked_at == 0 {
                    return Err(SyncError::Garbled);
                }
                keys.drain(..looked_at.min(keys.len()));
                if !keys.is_empty() {
                    self.tasks.push(Task::Fetch(keys));
                }
                Ok(records.into_iter().filter(|record| self.range.contains(record.position)).collect())
            }
            (Task::Push(..), AnswerBody::Stored { .. }) => Ok(Vec::new()),
            _ => Err(SyncError::Garbled),
        }
    }

    fn compared(
        &mut self,
        range: Range,
        comparison: Comparison,
        size: RingSize,
        store: &dyn Store,
    ) -> Result<(), SyncError> {
        let theirs = match comparison {
            Comparison::Same => return Ok(()),
            Comparison::Short => {
                self.tasks.push(Task::List(range, None));
                return Ok(());
            }
            Comparison::Parts(digests) => digests,
        };
        let parts = divide(range, size);
        if parts.len() != theirs.len() || parts.len() < 2 {
            return Err(SyncError::Garbled);
        }
        for (part, theirs) in parts.into_iter().zip(theirs) {
            let ours = store.digest(&part)?;
            if ours == theirs {
                continue;
            }
            match (ours.records(), theirs.records()) {
                (0, _) => self.tasks.push(Task::Pull(part, None)),
                (_, 0) if self.direction == Direction::Both => {
                    self.tasks.push(Task::Push(part, None, Arc::default()));
                }
                (_, 0) => {}
                (_, theirs) if theirs <= LISTED_MAX => self.tasks.push(Task::List(part, None)),
                _ => self.tasks.push(Task::Compare(part)),
            }
        }
        Ok(())
    }

    /// What the peer has between two places of the range, beside what this node has there.
    fn listed(
        &mut self,
        range: Range,
        cursor: Option<&Cursor>,
        headers: &[Header],
        next: Option<Cursor>,
        store: &dyn Store,
    ) -> Result<(), SyncError> {
        if let Some(next) = &next
            && (headers.is_empty() || !is_onward(range, cursor, next))
        {
            return Err(SyncError::Garbled);
        }
        let headers = headers.iter().filter(|header| range.contains(header.position));
        let theirs: BTreeMap<(Position, &Key), Version> =
            headers.map(|header| ((header.position, &header.key), header.version)).collect();
        let mut wanted = VecDeque::new();
        for ((position, key), version) in &theirs {
            let ours = store.read(*position, key)?.map(|record| record.version);
            if ours.is_none_or(|ours| ours < *version) {
                wanted.push_back((*position, (*key).clone()));
            }
        }
        // What comes last is done first: so no more than one page is known at a time.
        if let Some(next) = &next {
            self.tasks.push(Task::List(range, Some(next.clone())));
        }
        if self.direction == Direction::Both {
            let own = |((position, key), version): (&(Position, &Key), &Version)| {
                ((*position, (*key).clone()), *version)
            };
            let known = Arc::new(Known { theirs: theirs.iter().map(own).collect(), end: next });
            self.tasks.push(Task::Push(range, cursor.cloned(), known));
        }
        if !wanted.is_empty() {
            self.tasks.push(Task::Fetch(wanted));
        }
        Ok(())
    }
}

/// Whether a place of the range lies after another: a peer that says where to go on must not lead in a circle.
fn is_onward(range: Range, from: Option<&Cursor>, to: &Cursor) -> bool {
    if !range.contains(to.position) {
        return false;
    }
    from.is_none_or(|from| {
        if from.position == to.position {
            return from.key < to.key;
        }
        !Range { after: range.after, up_to: from.position }.contains(to.position)
    })
}

/// The parts of a range that are compared on their own.
pub(super) fn divide(range: Range, size: RingSize) -> Vec<Range> {
    let mut after = range.after;
    let ends = size.divide(range.after, range.up_to, PARTS_NONZERO);
    ends.into_iter().map(|up_to| Range { after: std::mem::replace(&mut after, up_to), up_to }).collect()
}

/// How what the store has of a range compares with a digest of what another has.
pub(super) fn compare(
    store: &dyn Store,
    range: Range,
    theirs: Digest,
    size: RingSize,
) -> Result<Comparison, StoreError> {
    let ours = store.digest(&range)?;
    if ours == theirs {
        return Ok(Comparison::Same);
    }
    let parts = divide(range, size);
    if ours.records() <= LISTED_MAX || parts.len() < 2 {
        return Ok(Comparison::Short);
    }
    let digests = parts.iter().map(|part| store.digest(part)).collect::<Result<_, _>>()?;
    Ok(Comparison::Parts(digests))
}
