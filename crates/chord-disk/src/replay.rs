//! What a start does with the log: all whole entries that the tree does not have yet go into it, in their order.
//!
//! An entry that is not as it was written is the last one, of a write that was cut off and that nobody was told of; or
//! later ones are whole, and it is damage.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, Range};

use chord_kv::Record;
use redb::{Database, ReadableTable, StorageBackend, Table};

use crate::database::{self, Fault, LOG, LOG_MERGED, NOTHING_LEFT, RECORDS, Sorted};
use crate::encoding;
use crate::entry::{self, Head, PAGE};
use crate::log::{Header, Place, begin_of};
use crate::medium::Patient;
use crate::pending::Change;
use crate::store::DamagePolicy;

/// The entries that are whole, whether the tree has them or not.
#[derive(Debug)]
pub(crate) struct Found {
    /// None where there is no log.
    file: Option<Patient>,
    /// Where they are, by their numbers.
    entries: BTreeMap<u64, (u64, usize)>,
    /// What is wrong with the log as a whole.
    damage: Option<String>,
}

/// How a start takes what is wrong with the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) policy: DamagePolicy,
    /// Whether the tree is the one that the log belongs to, so that no entry may be missing before the first.
    pub(crate) is_own_tree: bool,
}

impl Found {
    /// Looks through the log. `is_expected` says that there may be something in it.
    pub(crate) fn look(place: &Place, is_expected: bool) -> io::Result<Self> {
        let found = |file, entries, damage| Self { file, entries, damage };
        let nothing = || found(None, BTreeMap::new(), is_expected.then(|| NOTHING_LEFT.into()));
        if place.medium.is_missing()? {
            return Ok(nothing());
        }
        let file = place.medium.open()?;
        match Header::read(&file)? {
            Header::Nothing => Ok(nothing()),
            Header::Damaged => {
                Ok(found(Some(file), BTreeMap::new(), Some("its first page is damaged".into())))
            }
            Header::Log { mark, half_bytes } => {
                let whole = begin_of(2, half_bytes);
                let length = file.len()?;
                let damage = (length < whole).then(|| "it ends early".into());
                let entries = (0..2).map(|half| {
                    let begin = begin_of(half, half_bytes);
                    entries_of(&file, mark, begin..(begin + half_bytes).min(length))
                });
                let entries = entries.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect();
                Ok(found(Some(file), entries, damage))
            }
        }
    }

    /// Whether there is a file that may be kept for a look.
    pub(crate) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Whether the tree lacks something that is here.
    pub(crate) fn has_news(&self, merged: u64) -> bool {
        self.after(merged).next().is_some()
    }

    /// The entries that come after that one.
    fn after(&self, merged: u64) -> impl Iterator<Item = (&u64, &(u64, usize))> {
        self.entries.range((Bound::Excluded(merged), Bound::Unbounded))
    }

    /// Puts into the tree what it lacks, and tells what is wrong with the log, if anything is. If that is to be refused,
    /// nothing is changed.
    pub(crate) fn apply(
        &self,
        database: &Database,
        terms: Terms,
        sorted: &mut Sorted,
    ) -> Result<Option<String>, Fault> {
        let merged = database::merged(database)?;
        let damage = self.damage(merged, terms.is_own_tree);
        if let (Some(reason), DamagePolicy::Refuse) = (&damage, terms.policy) {
            return Err(Fault::DamagedLog(reason.clone()));
        }
        if !self.has_news(merged) {
            return Ok(damage);
        }
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            let mut log = transaction.open_table(LOG)?;
            for (number, place) in self.after(merged) {
                for (key, change) in self.read(*place)? {
                    match change {
                        Change::Put(record) => put(&mut table, &key, &record, sorted)?,
                        // In another tree it may be there again for good; one copy too many does no harm.
                        Change::Gone if terms.is_own_tree => drop(table.remove(key.as_slice())?),
                        Change::Gone => {}
                    }
                }
                log.insert(LOG_MERGED, number)?;
            }
        }
        sorted.sync()?;
        transaction.commit()?;
        Ok(damage)
    }

    fn damage(&self, merged: u64, is_own_tree: bool) -> Option<String> {
        let mut before = if is_own_tree { Some(merged) } else { None };
        for (number, _) in self.after(merged) {
            if let Some(before) = before
                && before.checked_add(1) != Some(*number)
            {
                let reason = format!("its entry {} is damaged or missing", before.saturating_add(1));
                return Some(self.damage.clone().unwrap_or(reason));
            }
            before = Some(*number);
        }
        self.damage.clone()
    }

    fn read(&self, (at, bytes): (u64, usize)) -> Result<Vec<(Vec<u8>, Change)>, Fault> {
        let entry = self.file.as_ref().map(|file| entry_at(file, at, bytes)).transpose();
        let changes = entry.map_err(Fault::Io)?.and_then(|entry| entry::changes(&entry));
        changes.ok_or_else(|| Fault::Io(io::Error::other("the log has changed while it was read")))
    }
}

impl Drop for Found {
    /// It is locked as long as a process that was forked off has it open too.
    fn drop(&mut self) {
        let _ = self.file.as_ref().map(StorageBackend::close);
    }
}

/// Looks at each page where an entry may begin. What is in an entry is passed over with it.
fn entries_of(file: &Patient, mark: u64, half: Range<u64>) -> io::Result<Vec<(u64, (u64, usize))>> {
    let (mut entries, mut at) = (Vec::new(), half.start);
    let mut page = [0; PAGE];
    while at + PAGE as u64 <= half.end {
        file.read(at, &mut page)?;
        let fits = |head: &Head| head.bytes as u64 <= half.end - at;
        let mut passed = PAGE;
        if let Some(Head { number, bytes }) = entry::head(&page, mark).filter(fits)
            && entry::changes(&entry_at(file, at, bytes)?).is_some()
        {
            entries.push((number, (at, bytes)));
            passed = bytes.next_multiple_of(PAGE);
        }
        at += passed as u64;
    }
    Ok(entries)
}

fn entry_at(file: &Patient, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut entry = vec![0; bytes];
    file.read(at, &mut entry)?;
    Ok(entry)
}

/// Puts a record into the tree, unless a newer one is there: it was put there past the log, and the tree has lost count.
fn put(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    record: &Record,
    sorted: &mut Sorted,
) -> Result<(), Fault> {
    if let Some(old) = table.get(key)? {
        match encoding::record(key, old.value()) {
            Ok(old) if old.version >= record.version => return Ok(()),
            Ok(_) => {}
            Err(malformed) => sorted.out(key, old.value(), malformed)?,
        }
    }
    table.insert(key, encoding::value_bytes(key, record).as_slice())?;
    Ok(())
}
