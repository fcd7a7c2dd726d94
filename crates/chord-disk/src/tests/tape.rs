//! A disk in memory with two files, which records what is done to them, and fails when it is told to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fs, io};

use chord_kv::Sequence;
use redb::StorageBackend;

use crate::log::Place;
use crate::medium::Medium;
use crate::store::Files;

/// How long half a log is: short, so that it is full and begins anew every few writes.
pub(super) const HALF_BYTES: u64 = 64 << 10;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Tree,
    Log,
}

/// What was done to the disk, in order.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        file: File,
        offset: usize,
        data: Vec<u8>,
    },
    SetLen(File, usize),
    Sync(File),
    /// Not the disk's: so much was reported as durable.
    Durable(Sequence),
    /// Not the disk's: so many changes were made.
    Changed(usize),
    /// Not the disk's: the directory says from now on whether there may be something in the log.
    Declared(bool),
}

impl Op {
    /// Whether it changes that file.
    pub(super) fn is_of(&self, file: File) -> bool {
        matches!(self, Self::Write { file: of, .. } | Self::SetLen(of, _) if *of == file)
    }
}

/// What is in the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) tree: Vec<u8>,
    pub(super) log: Vec<u8>,
}

impl Image {
    pub(super) fn of(&self, file: File) -> &Vec<u8> {
        match file {
            File::Tree => &self.tree,
            File::Log => &self.log,
        }
    }

    fn of_mut(&mut self, file: File) -> &mut Vec<u8> {
        match file {
            File::Tree => &mut self.tree,
            File::Log => &mut self.log,
        }
    }

    /// Does to them what was done to the disk.
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, offset, data } => {
                let bytes = self.of_mut(*file);
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Op::SetLen(file, len) => self.of_mut(*file).resize(*len, 0),
            Op::Sync(_) | Op::Durable(_) | Op::Changed(_) | Op::Declared(_) => {}
        }
    }
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoRoom,
    Read,
    Write,
    Sync,
    /// A sync takes until this is over.
    Slow,
    /// A write fails, and who opens the file after that panics.
    Panic,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What is read: what the system holds in memory, whether the disk has it or not.
    pub(super) disk: Image,
    /// What is left when the power fails.
    synced: Image,
    /// What was done since to each file. What a failed sync should have written is never written any more.
    unsynced: Vec<Op>,
    pub(super) ops: Vec<Op>,
    pub(super) failure: Option<Failure>,
    /// What says whether there may be something in the log, if that is to be noted, and what it said last.
    identity: Option<PathBuf>,
    is_declared: bool,
    /// Which file fails, if only one does.
    fails_alone: Option<File>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tape(Arc<Mutex<State>>);

impl Tape {
    pub(super) fn of(disk: Image) -> Self {
        Self(Arc::new(Mutex::new(State { synced: disk.clone(), disk, ..State::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn fail(&self, failure: Option<Failure>) {
        let mut state = self.lock();
        (state.failure, state.fails_alone) = (failure, None);
    }

    pub(super) fn fail_alone(&self, file: File, failure: Failure) {
        let mut state = self.lock();
        (state.failure, state.fails_alone) = (Some(failure), Some(file));
    }

    /// What is left of it when the power fails now, and the disk has written nothing that it was not told to.
    pub(super) fn after_power_failure(&self) -> Image {
        self.lock().synced.clone()
    }

    /// From now on it is noted what the directory says.
    pub(super) fn note_declarations(&self, dir: &Path) {
        self.lock().identity = Some(dir.join("identity.json"));
    }

    pub(super) fn note(&self, op: Op) {
        self.lock().ops.push(op);
    }

    /// Flips a bit of each of these texts wherever it stands in the tree, since pages that are no longer used may have it too.
    pub(super) fn damage(&self, texts: &[Vec<u8>]) {
        let mut state = self.lock();
        let begins = |at: usize| texts.iter().any(|text| state.disk.tree[at..].starts_with(text));
        let first: Vec<_> = texts.iter().map(|text| text[0]).collect();
        let places: Vec<_> = (0..state.disk.tree.len())
            .filter(|at| first.contains(&state.disk.tree[*at]) && begins(*at))
            .collect();
        assert!(places.len() >= texts.len(), "they are on the disk");
        for at in places {
            state.disk.tree[at] ^= 1;
        }
    }

    pub(super) fn files(&self, dir: &Path) -> Files {
        let medium = |file, name| {
            let tape = self.clone();
            let open = move |_: &Path| -> io::Result<Box<dyn StorageBackend>> {
                assert!(tape.lock().check(file, &[Failure::Panic]).is_ok(), "this is what the test wants");
                Ok(Box::new(Side { tape: tape.clone(), file }))
            };
            Medium::with_opener(dir.join(name), Box::new(open))
        };
        let merge_after = Duration::from_secs(3600);
        let log = Place { medium: medium(File::Log, "records.log"), half_bytes: HALF_BYTES, merge_after };
        Files { tree: medium(File::Tree, "records.redb"), log }
    }
}

/// One of the files.
#[derive(Debug)]
struct Side {
    tape: Tape,
    file: File,
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

impl State {
    fn check(&self, file: File, failures: &[Failure]) -> io::Result<()> {
        let fails = self.fails_alone.is_none_or(|alone| alone == file);
        match self.failure.filter(|failure| fails && failures.contains(failure)) {
            Some(Failure::NoRoom) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Err(io::Error::other("the disk is broken")),
            None => Ok(()),
        }
    }

    fn do_it(&mut self, op: Op) {
        // It is changed by one step, and by who waits for that before it does anything to the log.
        if let Some(identity) = &self.identity {
            let is_declared = fs::read_to_string(identity).unwrap_or_default().contains("\"format\": 2,");
            if is_declared != std::mem::replace(&mut self.is_declared, is_declared) {
                self.ops.push(Op::Declared(is_declared));
            }
        }
        self.disk.apply(&op);
        match op {
            Op::Sync(file) => {
                for op in self.take_unsynced(file) {
                    self.synced.apply(&op);
                }
            }
            _ => self.unsynced.push(op.clone()),
        }
        self.ops.push(op);
    }

    fn take_unsynced(&mut self, file: File) -> Vec<Op> {
        self.unsynced.extract_if(.., |op| op.is_of(file)).collect()
    }
}

impl StorageBackend for Side {
    fn len(&self) -> io::Result<u64> {
        Ok(self.tape.lock().disk.of(self.file).len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = to_usize(offset);
        let state = self.tape.lock();
        state.check(self.file, &[Failure::Read])?;
        let bytes = state.disk.of(self.file).get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.tape.lock();
        state.check(self.file, &[Failure::NoRoom, Failure::Write, Failure::Panic])?;
        state.do_it(Op::SetLen(self.file, to_usize(len)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        while self.tape.lock().check(self.file, &[Failure::Slow]).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut state = self.tape.lock();
        if let Err(error) = state.check(self.file, &[Failure::Sync]) {
            state.take_unsynced(self.file);
            return Err(error);
        }
        state.do_it(Op::Sync(self.file));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.tape.lock();
        state.check(self.file, &[Failure::NoRoom, Failure::Write, Failure::Panic])?;
        state.do_it(Op::Write { file: self.file, offset: to_usize(offset), data: data.to_vec() });
        Ok(())
    }
}
