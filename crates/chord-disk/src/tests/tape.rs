//! A disk in memory that records what is done to it, and fails when it is told to.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use chord_kv::Sequence;
use redb::StorageBackend;

use crate::medium::Medium;

/// What was done to the disk, in order.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        offset: usize,
        data: Vec<u8>,
    },
    SetLen(usize),
    Sync,
    /// Not the disk's: so much was reported as durable.
    Durable(Sequence),
    /// Not the disk's: so many changes were made.
    Changed(usize),
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoRoom,
    Read,
    Write,
    Sync,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) bytes: Vec<u8>,
    pub(super) ops: Vec<Op>,
    pub(super) failure: Option<Failure>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tape(Arc<Mutex<State>>);

impl Tape {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes, ..State::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn fail(&self, failure: Option<Failure>) {
        self.lock().failure = failure;
    }

    pub(super) fn note(&self, op: Op) {
        self.lock().ops.push(op);
    }

    /// Flips a bit of each of these texts wherever it stands, since pages that are no longer used may have it too.
    pub(super) fn damage(&self, texts: &[Vec<u8>]) {
        let mut state = self.lock();
        let begins = |at: usize| texts.iter().any(|text| state.bytes[at..].starts_with(text));
        let first: Vec<_> = texts.iter().map(|text| text[0]).collect();
        let places: Vec<_> =
            (0..state.bytes.len()).filter(|at| first.contains(&state.bytes[*at]) && begins(*at)).collect();
        assert!(places.len() >= texts.len(), "they are on the disk");
        for at in places {
            state.bytes[at] ^= 1;
        }
    }

    pub(super) fn medium(&self, dir: &Path) -> Medium {
        let tape = self.clone();
        Medium::with_opener(dir.join("records.redb"), Box::new(move |_| Ok(Box::new(tape.clone()))))
    }
}

/// Does to bytes what was done to the disk.
pub(super) fn apply(op: &Op, bytes: &mut Vec<u8>) {
    match op {
        Op::Write { offset, data } => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Op::SetLen(len) => bytes.resize(*len, 0),
        Op::Sync | Op::Durable(_) | Op::Changed(_) => {}
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

impl State {
    fn check(&self, failures: &[Failure]) -> io::Result<()> {
        match self.failure.filter(|failure| failures.contains(failure)) {
            Some(Failure::NoRoom) => Err(io::ErrorKind::StorageFull.into()),
            Some(Failure::Read | Failure::Write | Failure::Sync) => {
                Err(io::Error::other("the disk is broken"))
            }
            None => Ok(()),
        }
    }

    fn do_it(&mut self, op: Op) {
        apply(&op, &mut self.bytes);
        self.ops.push(op);
    }
}

impl StorageBackend for Tape {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = to_usize(offset);
        let state = self.lock();
        state.check(&[Failure::Read])?;
        let bytes = state.bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.check(&[Failure::NoRoom, Failure::Write])?;
        state.do_it(Op::SetLen(to_usize(len)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.check(&[Failure::Sync])?;
        state.do_it(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.check(&[Failure::NoRoom, Failure::Write])?;
        state.do_it(Op::Write { offset: to_usize(offset), data: data.to_vec() });
        Ok(())
    }
}
