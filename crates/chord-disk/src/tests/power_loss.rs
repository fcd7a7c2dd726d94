//! A run of batches is recorded, and the power fails after every sync and at places between: of what was written since,
//! any part may be there. What is found must be what some moment of the run looked like, none before what was durable.
//!
//! `CHORD_DISK_SOAK=50 cargo test --release -p chord-disk power_loss` tries fifty runs instead of one.

use std::collections::BTreeMap;

use chord_kv::engine::Slot;
use chord_kv::{PageLimit, Range, Record, Store};

use super::tape::{File, Image, Op, Tape};
use super::{options, record, scratch, wait_durable};
use crate::DiskStore;
use crate::directory::{Directory, FORMAT, declare};

/// A disk keeps or loses so many bytes as one.
const SECTOR: usize = 512;

const STEPS: u32 = 60;

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What a store held at a moment.
type Held = BTreeMap<Slot, Record>;

/// Every moment of a run, by the number of changes that were made; and how many there were at each sequence.
struct Run {
    moments: Vec<Held>,
    changes: BTreeMap<u64, usize>,
    ops: Vec<Op>,
    begun: usize,
}

fn run(random: &mut Random) -> Run {
    let (tape, dir) = (Tape::default(), scratch());
    tape.note_declarations(dir.path());
    let store = DiskStore::open_on(tape.files(dir.path()), dir.path(), options()).unwrap();
    let told = tape.clone();
    store.on_durable(Box::new(move |sequence| told.note(Op::Durable(sequence))));
    let mut run = Run { moments: vec![Held::new()], changes: BTreeMap::new(), ops: Vec::new(), begun: 0 };
    run.begun = tape.lock().ops.iter().position(|op| op.is_of(File::Log)).expect("a log was made");
    for step in 0..STEPS {
        let batch: Vec<_> =
            (0..=random.below(6)).map(|_| record(random.below(40), u64::from(step) + 1)).collect();
        for record in &batch {
            let mut held = run.moments.last().unwrap().clone();
            let slot = (record.position, record.key.clone());
            if held.get(&slot).is_none_or(|old| old.version < record.version) {
                held.insert(slot, record.clone());
                run.moments.push(held);
            }
        }
        tape.note(Op::Changed(run.moments.len() - 1));
        let sequence = store.apply(batch).unwrap().sequence;
        run.changes.insert(sequence.0, run.moments.len() - 1);
        if random.coin() {
            wait_durable(&store, sequence);
        }
        if random.below(12) == 0 {
            store.want_tree();
        }
        if random.below(4) == 0 {
            drop_one(&store, &tape, &mut run, random);
        }
    }
    store.close().unwrap();
    run.ops = std::mem::take(&mut tape.lock().ops);
    run
}

fn drop_one(store: &DiskStore, tape: &Tape, run: &mut Run, random: &mut Random) {
    let mut held = run.moments.last().unwrap().clone();
    let idx = random.below(u32::try_from(held.len()).unwrap());
    let (slot, gone) =
        held.iter().nth(idx as usize).map(|(slot, held)| (slot.clone(), held.clone())).unwrap();
    held.remove(&slot);
    run.moments.push(held);
    tape.note(Op::Changed(run.moments.len() - 1));
    assert!(store.remove(slot.0, &slot.1, &gone.version).unwrap());
}

/// What the power's failing leaves of what was written since the last sync.
#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    Everything,
    SomeWrites,
    SomeBackwards,
    SomeSectors,
}

const LEFT: [Left; 5] =
    [Left::Nothing, Left::Everything, Left::SomeWrites, Left::SomeBackwards, Left::SomeSectors];

fn image(synced: &Image, unsynced: &[Op], left: Left, random: &mut Random) -> Image {
    let mut disk = synced.clone();
    match left {
        Left::Nothing => {}
        Left::Everything => unsynced.iter().for_each(|op| disk.apply(op)),
        Left::SomeWrites => {
            unsynced.iter().filter(|_| random.coin()).for_each(|op| disk.apply(op));
        }
        Left::SomeBackwards => {
            unsynced.iter().rev().filter(|_| random.coin()).for_each(|op| disk.apply(op));
        }
        Left::SomeSectors => {
            for op in unsynced {
                let Op::Write { file, offset, data } = op else { continue };
                for (n, sector) in data.chunks(SECTOR).enumerate().filter(|_| random.coin()) {
                    let (file, offset) = (*file, offset + n * SECTOR);
                    disk.apply(&Op::Write { file, offset, data: sector.to_vec() });
                }
            }
        }
    }
    disk
}

fn found(disk: Image, log_declared: bool, what: &str) -> Held {
    let dir = scratch();
    let identity = options().identity;
    Directory::take(dir.path(), &identity).unwrap().own(&identity).unwrap();
    if log_declared {
        declare(&dir.path().join("records.log"), &identity, FORMAT).unwrap();
    }
    let store = DiskStore::open_on(Tape::of(disk).files(dir.path()), dir.path(), options());
    let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(store.report().is_clean(), "{what}: {}", store.report());
    let limit = PageLimit { records: 10_000.try_into().unwrap(), bytes: usize::MAX };
    let page = store.range(&Range::ALL, None, limit).unwrap();
    page.records.into_iter().map(|record| ((record.position, record.key.clone()), record)).collect()
}

/// The ring's own words for it: nothing that was durable is lost, and nothing comes from nowhere.
fn check_run(seed: u64) {
    let mut random = Random(seed);
    let run = run(&mut random);
    let (mut synced, mut since) = (Image::default(), Vec::new());
    let mut syncs = [0; 2];
    let (mut durable, mut changed, mut is_declared) = (0, 0, false);
    let mut declarations = 0;
    for (at, op) in run.ops.iter().enumerate() {
        match op {
            Op::Write { .. } | Op::SetLen(..) => since.push(op.clone()),
            Op::Durable(sequence) => {
                durable = run.changes.get(&sequence.0).copied().unwrap_or(durable).max(durable);
            }
            Op::Changed(n) => changed = *n,
            Op::Declared(it_is) => {
                is_declared = *it_is;
                declarations += 1;
            }
            Op::Sync(file) => syncs[*file as usize] += 1,
        }
        if at >= run.begun && (matches!(op, Op::Sync(_)) || random.below(40) == 0) {
            for left in LEFT {
                let what = format!("seed {seed}, after operation {at}, {left:?}");
                let left = image(&synced, &since, left, &mut random);
                let held = found(left, is_declared, &what);
                let possible = &run.moments[durable..=changed];
                assert!(possible.contains(&held), "{what}: {} records of no moment since", held.len());
            }
        }
        if let Op::Sync(file) = op {
            for op in since.extract_if(.., |op| op.is_of(*file)) {
                synced.apply(&op);
            }
        }
    }
    assert!(declarations >= 1, "seed {seed}: the format has never changed");
    assert!(syncs.iter().all(|n| *n >= 5), "seed {seed}: {syncs:?} syncs of tree and log");
    // After a clean end the tree alone is whole.
    synced.log.clear();
    assert_eq!(&found(synced, false, "closed"), run.moments.last().unwrap(), "seed {seed}");
}

#[test]
fn power_loss_at_any_sync_loses_nothing_durable_and_brings_nothing_that_was_not_written() {
    let runs = std::env::var("CHORD_DISK_SOAK").map_or(1, |text| text.parse().expect("a number of runs"));
    (1..=runs).for_each(check_run);
}
