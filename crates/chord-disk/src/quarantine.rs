//! Where damaged records go: a file of their own, which nothing reads but whoever wants to know what was in them.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use chord_ring::Position;

use crate::directory;
use crate::encoding::{self, Malformed};

/// How many damaged records a report names one by one; the others it counts, and the quarantine file has them all.
pub const QUARANTINED_NAMED_MAX: usize = 100;

/// A record that was found damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it lay, if that can be told.
    pub position: Option<Position>,
    /// What is wrong with it.
    pub reason: String,
}

/// What was found damaged since the store was opened, and set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damaged {
    /// How many records.
    pub records: u64,
    /// The last [`QUARANTINED_NAMED_MAX`] of them, in the order in which they were found.
    pub last: VecDeque<Quarantined>,
    /// Where they were moved; none until the first of them is there.
    pub quarantine_file: Option<PathBuf>,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} damaged records were set aside", self.records)?;
        if let Some(file) = &self.quarantine_file {
            write!(f, " in {}", file.display())?;
        }
        match self.last.back() {
            Some(Quarantined { position: Some(position), reason }) => {
                write!(f, ", the last from position {position}: {reason}")
            }
            Some(Quarantined { position: None, reason }) => write!(f, ", the last: {reason}"),
            None => Ok(()),
        }
    }
}

impl Damaged {
    pub(crate) fn add(&mut self, raw: &Raw) {
        self.records += 1;
        if self.last.len() == QUARANTINED_NAMED_MAX {
            self.last.pop_front();
        }
        self.last.push_back(Quarantined::of(&raw.key, raw.malformed));
    }
}

impl Quarantined {
    pub(crate) fn of(key: &[u8], malformed: Malformed) -> Self {
        let position = encoding::slot(key).map(|slot| slot.0);
        Self { position, reason: malformed.to_string() }
    }
}

/// A damaged record as it lies in the file.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) malformed: Malformed,
}

impl Raw {
    pub(crate) fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

/// The quarantine file, which is begun with the first record in it.
#[derive(Debug)]
pub(crate) struct Quarantine {
    beside: PathBuf,
    open: Option<(PathBuf, BufWriter<File>)>,
}

impl Quarantine {
    /// A file in the directory of the one that the records come from.
    pub(crate) fn new(beside: &Path) -> Self {
        Self { beside: beside.to_path_buf(), open: None }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.open.as_ref().map(|(path, _)| path.as_path())
    }

    /// Adds a record, which is kept for good once [`Quarantine::sync`] has said so.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8], malformed: Malformed) -> io::Result<()> {
        let file = self.begun()?;
        write!(file, r#"{{"reason":"{malformed}","key_hex":""#)?;
        write_hex(file, key)?;
        file.write_all(br#"","value_hex":""#)?;
        write_hex(file, value)?;
        file.write_all(b"\"}\n")
    }

    /// Makes sure that they are kept, before they are removed from where they were.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        file.flush()?;
        file.get_ref().sync_all()?;
        directory::sync_parent(path)
    }

    /// Adds all of them and makes sure that they are kept; or else none, and it can be tried again.
    pub(crate) fn keep(&mut self, records: &[Raw]) -> io::Result<()> {
        let before = self.begun()?.stream_position()?;
        let kept = records.iter().try_for_each(|raw| self.add(&raw.key, &raw.value, raw.malformed));
        kept.and_then(|()| self.sync()).inspect_err(|_| self.cut(before))
    }

    fn begun(&mut self) -> io::Result<&mut BufWriter<File>> {
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let path = directory::unused(|n| self.beside.with_file_name(format!("quarantine-{n}.jsonl")))?;
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            (path, BufWriter::new(file))
        };
        Ok(&mut self.open.insert(open).1)
    }

    /// Goes back to where the file ended. If not even that succeeds, a line that ends early stays in a file for the eye.
    fn cut(&mut self, length: u64) {
        if let Some((path, file)) = self.open.take() {
            // What is left in the buffer is given up.
            let (mut file, _) = file.into_parts();
            let cut = file.set_len(length).and_then(|()| file.seek(io::SeekFrom::Start(length)));
            drop(cut);
            self.open = Some((path, BufWriter::new(file)));
        }
    }
}

pub(crate) fn write_hex(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_damaged_records_are_named_and_all_are_counted() {
        let mut damaged = Damaged::default();
        for n in 0..=QUARANTINED_NAMED_MAX as u64 {
            let key = [&Position::from(n).to_be_bytes()[..], b"key"].concat();
            damaged.add(&Raw { key, value: Vec::new(), malformed: Malformed::Checksum });
        }
        assert_eq!((damaged.records, damaged.last.len()), (101, QUARANTINED_NAMED_MAX));
        assert_eq!(damaged.last[0].position, Some(Position::from(1)));
        assert_eq!(
            damaged.to_string(),
            "101 damaged records were set aside, the last from position 100: its checksum is wrong"
        );
    }

    #[test]
    fn records_that_could_not_all_be_kept_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut quarantine = Quarantine::new(&dir.path().join("records.redb"));
        let raw = || Raw { key: vec![1, 255], value: vec![0; 3], malformed: Malformed::Parts };
        quarantine.keep(&[raw()]).unwrap();
        let path = quarantine.path().unwrap().to_path_buf();
        let before = std::fs::read_to_string(&path).unwrap();
        let end = quarantine.begun().unwrap().stream_position().unwrap();
        quarantine.add(&[7; 9000], &[], Malformed::Parts).unwrap();
        quarantine.cut(end);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
        quarantine.keep(&[raw()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before.repeat(2));
        assert_eq!(
            before,
            "{\"reason\":\"its parts do not fit together\",\"key_hex\":\"01ff\",\"value_hex\":\"000000\"}\n"
        );
    }
}
