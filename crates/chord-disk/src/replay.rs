//! What a start does with the log: all whole entries that the tree does not have yet go into it, in their order.
//!
//! An entry that is not as it was written is the last one, of a write that was cut off and that nobody was told of; or
//! later ones were begun, which happens only when it is durable, and it is damage.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The directory says that there may be something in it.
    is_expected: bool,
    /// None where there is no log.
    file: Option<Patient>,
    /// Where they are, by their numbers.
    entries: BTreeMap<u64, (u64, usize)>,
    /// The numbers of those that are not whole, as far as they can be told.
    broken: BTreeSet<u64>,
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
        let found = |file, damage| {
            let (entries, broken) = (BTreeMap::new(), BTreeSet::new());
            Self { is_expected, file, entries, broken, damage }
        };
        let nothing = || found(None, is_expected.then(|| NOTHING_LEFT.into()));
        if place.medium.is_missing()? {
            return Ok(nothing());
        }
        let file = place.medium.open()?;
        match Header::read(&file)? {
            // A new log is declared only when it has its header.
            Header::Nothing if !is_expected || file.len()? <= begin_of(0, 0) => Ok(nothing()),
            Header::Nothing | Header::Damaged => {
                Ok(found(Some(file), Some("its first page is damaged".into())))
            }
            Header::Log { mark, half_bytes } => {
                let whole = begin_of(2, half_bytes);
                let length = file.len()?;
                let damage = (length < whole).then(|| "it ends early".into());
                let mut found = found(None, damage);
                for half in 0..2 {
                    let begin = begin_of(half, half_bytes);
                    found.look_through(&file, mark, begin..(begin + half_bytes).min(length))?;
                }
                found.file = Some(file);
                Ok(found)
            }
        }
    }

    /// Looks at each page where an entry may begin. What is in a whole one is passed over with it.
    fn look_through(&mut self, file: &Patient, mark: u64, half: Range<u64>) -> io::Result<()> {
        let mut at = half.start;
        let mut page = [0; PAGE];
        while at + PAGE as u64 <= half.end {
            file.read(at, &mut page)?;
            let mut passed = PAGE;
            if let Some(Head { number, bytes }) = entry::head(&page, mark) {
                let fits = bytes as u64 <= half.end - at;
                if fits && entry::changes(&entry_at(file, at, bytes)?).is_some() {
                    self.entries.insert(number, (at, bytes));
                    passed = bytes.next_multiple_of(PAGE);
                } else {
                    self.broken.insert(number);
                }
            }
            at += passed as u64;
        }
        Ok(())
    }

    /// Whether there is a file that may be kept for a look.
    pub(crate) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Whether something is wrong with it as a whole.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Whether the tree lacks something that is here.
    pub(crate) fn has_news(&self, merged: u64) -> bool {
        self.after(merged).next().is_some()
    }

    /// The same of what cannot be read of it.
    pub(crate) fn may_have_news(&self, merged: u64) -> bool {
        self.has_news(merged) || self.damage(merged, true).is_some()
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

    /// An entry is begun when the one before is durable, so that all before the last one that was begun must be whole.
    fn damage(&self, merged: u64, is_own_tree: bool) -> Option<String> {
        let damaged = |entry: u64| {
            let reason = || format!("its entry {entry} is damaged or missing");
            Some(self.damage.clone().unwrap_or_else(reason))
        };
        let begun = self.begun_after(merged);
        if begun.is_empty() && !self.is_expected {
            return None;
        }
        let mut next = if is_own_tree { merged.checked_add(1) } else { None };
        for number in begun {
            match next {
                Some(next) if next != number => return damaged(next),
                Some(_) | None => {}
            }
            // If it is not whole, it is missed by the one that comes next, if any does.
            next = if self.entries.contains_key(&number) { number.checked_add(1) } else { Some(number) };
        }
        self.damage.clone()
    }

    /// The numbers of all that were begun after that one, in order.
    fn begun_after(&self, merged: u64) -> BTreeSet<u64> {
        let broken = self.broken.range((Bound::Excluded(merged), Bound::Unbounded)).copied();
        self.after(merged).map(|(number, _)| *number).chain(broken).collect()
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
