//! What the load has written and had acknowledged, and whether it is still there.

use chord::Version;

/// Keys of the load: few enough that each is read every few seconds.
pub(super) const KEYS: usize = 500;

/// What is known of the writes of the load: of each key the newest version that was acknowledged.
///
/// A read that finds something older than that, or nothing, has found a write behind. That is no loss while the ring is cut or
/// changes: those who have it may be out of reach. It is one if the ring is whole and quiet, and another node says so too. Until
/// that is settled the key is not written again. A write finds it as well: it replaces what was there last, and nothing else.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    next_write: usize,
    next_check: usize,
    pub(super) acknowledged: u64,
    pub(super) unacknowledged: u64,
    pub(super) checked: u64,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    acknowledged: Option<Version>,
    /// What is there as far as is known: that, or something newer that was not acknowledged.
    seen: Option<Version>,
    /// One operation at a time on a key: what is read is not what is written meanwhile.
    is_busy: bool,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Kept,
    Behind,
    Lost,
}

/// What reading a key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This version, or nothing.
    Version(Option<Version>),
    /// The same, from two nodes one after the other, while the ring was whole and quiet.
    Surely(Option<Version>),
    /// No answer.
    NoAnswer,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![Entry::default(); KEYS],
            next_write: 0,
            next_check: 0,
            acknowledged: 0,
            unacknowledged: 0,
            checked: 0,
        }
    }

    /// The next key to be written, and the version that the write replaces, if one is known: it must not replace another. A key
    /// whose write is lost, or may be, is left as it is.
    pub(super) fn begin_write(&mut self) -> Option<(usize, Option<Version>)> {
        let fits = |entry: &Entry| !entry.is_busy && entry.standing == Standing::Kept;
        let idx = next(&mut self.next_write, &self.entries, fits)?;
        let entry = self.entry(idx);
        entry.is_busy = true;
        Some((idx, entry.seen))
    }

    /// The end of a write: the version under which it was acknowledged, if it was. That of one that found another version than it
    /// was to replace is a read.
    pub(super) fn wrote(&mut self, idx: usize, version: Option<Version>) {
        match version {
            Some(_) => self.acknowledged += 1,
            None => self.unacknowledged += 1,
        }
        let entry = self.entry(idx);
        entry.is_busy = false;
        if version > entry.acknowledged {
            (entry.acknowledged, entry.seen) = (version, version);
        }
    }

    /// The next key to be read, with the version that should be there at least.
    pub(super) fn begin_check(&mut self) -> Option<(usize, Version)> {
        let fits = |entry: &Entry| !entry.is_busy && entry.acknowledged.is_some();
        let idx = next(&mut self.next_check, &self.entries, fits)?;
        let entry = self.entry(idx);
        entry.is_busy = true;
        Some((idx, entry.acknowledged?))
    }

    /// The end of a read.
    pub(super) fn read(&mut self, idx: usize, found: Found) {
        let entry = self.entry(idx);
        entry.is_busy = false;
        let (version, standing) = match found {
            Found::NoAnswer => return,
            Found::Version(version) if entry.standing == Standing::Lost => (version, Standing::Lost),
            Found::Version(version) => (version, Standing::Behind),
            Found::Surely(version) => (version, Standing::Lost),
        };
        if version >= entry.acknowledged {
            (entry.standing, entry.seen) = (Standing::Kept, version);
        } else {
            entry.standing = standing;
        }
        self.checked += 1;
    }

    /// How many keys have a write that was acknowledged.
    pub(super) fn written(&self) -> usize {
        self.entries.iter().filter(|entry| entry.acknowledged.is_some()).count()
    }

    /// How many writes were out of reach when they were read last.
    pub(super) fn behind(&self) -> usize {
        self.all(Standing::Behind).count()
    }

    /// The keys of which a write is lost.
    pub(super) fn lost(&self) -> impl Iterator<Item = usize> {
        self.all(Standing::Lost)
    }

    fn all(&self, standing: Standing) -> impl Iterator<Item = usize> {
        let are = self.entries.iter().enumerate().filter(move |(_, entry)| entry.standing == standing);
        are.map(|(idx, _)| idx)
    }

    fn entry(&mut self, idx: usize) -> &mut Entry {
        self.entries.get_mut(idx).expect("every index is from this ledger, which keeps its length")
    }
}

/// The first entry that fits, from the one whose turn it is.
fn next(turn: &mut usize, entries: &[Entry], fits: impl Fn(&Entry) -> bool) -> Option<usize> {
    let n_entries = entries.len();
    let found = (*turn..*turn + n_entries).map(|idx| idx % n_entries).find(|idx| fits(&entries[*idx]))?;
    *turn = (found + 1) % n_entries;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> Option<Version> {
        format!("{number}.0.1").parse().ok()
    }

    /// A ledger with one write of that version.
    fn written(number: u64) -> (Ledger, usize) {
        let mut ledger = Ledger::new();
        let (idx, replaced) = ledger.begin_write().unwrap();
        assert_eq!(replaced, None, "nothing is known to be there");
        ledger.wrote(idx, version(number));
        (ledger, idx)
    }

    fn check(ledger: &mut Ledger, found: Found) {
        let (idx, _) = ledger.begin_check().unwrap();
        ledger.read(idx, found);
    }

    #[test]
    fn a_write_is_lost_only_if_that_is_sure_and_then_it_stays_so_until_it_is_found() {
        let (mut ledger, idx) = written(5);
        for old in [None, version(4)] {
            check(&mut ledger, Found::Version(old));
            assert_eq!((ledger.behind(), ledger.lost().count()), (1, 0));
        }
        check(&mut ledger, Found::Surely(version(5)));
        assert_eq!((ledger.behind(), ledger.lost().count()), (0, 0));
        for found in [Found::Surely(None), Found::Version(version(4)), Found::NoAnswer] {
            check(&mut ledger, found);
            assert_eq!((ledger.behind(), ledger.lost().collect::<Vec<_>>()), (0, vec![idx]));
        }
        check(&mut ledger, Found::Version(version(6)));
        assert_eq!((ledger.behind(), ledger.lost().count(), ledger.checked), (0, 0, 6));
        assert_eq!(begin_all(&mut ledger, idx), Some((idx, version(6))));
    }

    /// Begins to write every key that may be written. Returns how that of this key begins.
    fn begin_all(ledger: &mut Ledger, idx: usize) -> Option<(usize, Option<Version>)> {
        let begun = std::iter::from_fn(|| ledger.begin_write()).collect::<Vec<_>>();
        begun.into_iter().find(|(begun, _)| *begun == idx)
    }

    #[test]
    fn a_key_that_is_behind_is_not_written_until_it_is_settled_whether_it_is_lost() {
        for (found, is_written) in [
            (Found::Version(None), false),
            (Found::Version(version(4)), false),
            (Found::Surely(None), false),
            (Found::Version(version(5)), true),
        ] {
            let (mut ledger, idx) = written(5);
            check(&mut ledger, Found::Version(version(4)));
            check(&mut ledger, found);
            assert_eq!(begin_all(&mut ledger, idx).is_some(), is_written, "{found:?}");
        }
    }

    #[test]
    fn a_write_replaces_what_was_there_last_and_nothing_else() {
        let (mut ledger, idx) = written(5);
        let again = |ledger: &mut Ledger| {
            let begun = begin_all(ledger, idx);
            for idx in 0..KEYS {
                ledger.read(idx, Found::NoAnswer);
            }
            begun
        };
        assert_eq!(again(&mut ledger), Some((idx, version(5))));
        ledger.wrote(idx, version(6));
        assert_eq!(again(&mut ledger), Some((idx, version(6))));
        // What was not acknowledged may be there, and may be gone again.
        ledger.wrote(idx, None);
        for there in [8, 6, 7] {
            ledger.read(idx, Found::Version(version(there)));
            assert_eq!(again(&mut ledger), Some((idx, version(there))));
            assert_eq!((ledger.behind(), ledger.lost().count()), (0, 0));
        }
        // One that found another version than it was to replace is a read that found it.
        ledger.read(idx, Found::Version(None));
        assert_eq!((again(&mut ledger), ledger.behind()), (None, 1));
    }

    #[test]
    fn what_was_not_acknowledged_may_be_there_or_not() {
        let (mut ledger, _) = written(5);
        for _ in 1..KEYS {
            let (idx, _) = ledger.begin_write().unwrap();
            ledger.wrote(idx, None);
        }
        let (again, _) = ledger.begin_write().unwrap();
        ledger.wrote(again, None);
        assert_eq!((ledger.acknowledged, ledger.unacknowledged, ledger.written()), (1, KEYS as u64, 1));
        for found in [version(5), version(7)] {
            check(&mut ledger, Found::Surely(found));
            assert_eq!((ledger.behind(), ledger.lost().count()), (0, 0));
        }
    }

    #[test]
    fn one_key_has_one_operation_at_a_time() {
        let (mut ledger, idx) = written(5);
        assert_eq!(ledger.begin_check().map(|(idx, _)| idx), Some(idx));
        assert_eq!(ledger.begin_check(), None);
        assert_eq!(begin_all(&mut ledger, idx), None);
        ledger.read(idx, Found::NoAnswer);
        assert_eq!(ledger.begin_write(), Some((idx, version(5))));
    }
}
