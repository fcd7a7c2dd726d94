//! How the servers that are started keep their records, and where.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, process};

use anyhow::{Context, bail};
use chord::{REPLICAS_DEFAULT, REPLICAS_MAX};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::exit::Usage;
use crate::cli::number;
use crate::cli::serve::When;

/// How the servers that are started keep records.
#[derive(Clone, Debug, Args)]
pub(super) struct KeepingArgs {
    /// How many of the servers that are started keep a copy of each key, 1 to 8
    #[arg(long, value_name = "COUNT", default_value_t = REPLICAS_DEFAULT,
        value_parser = number::within::<u8>("the number of replicas", 1..=REPLICAS_MAX.into()))]
    replicas: u8,

    /// How many copies must be made before a write is acknowledged, 1 to 8 and at most --replicas; more than half of
    /// them if not given
    #[arg(long, value_name = "COUNT",
        value_parser = number::within::<u8>("the write quorum", 1..=REPLICAS_MAX.into()))]
    write_quorum: Option<u8>,

    /// Let each server keep its records on the disk, in a directory that is removed at the end; in memory if not given
    #[arg(long)]
    disk: bool,

    /// Make those directories in this one, which is there already, rather than where temporary files are
    #[arg(long, value_name = "DIR", requires = "disk")]
    data: Option<PathBuf>,

    /// When a write is on the disk: before it is acknowledged, or within a second after
    #[arg(long, value_name = "WHEN", value_enum, requires = "disk", default_value_t = When::Always)]
    sync: When,
}

/// What became of those options in a ring of so many nodes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Kept {
    replicas: u8,
    write_quorum: usize,
    engine: &'static str,
    /// Null in memory.
    sync: Option<String>,
}

impl KeepingArgs {
    /// As it is unless told otherwise.
    pub(super) fn in_memory() -> Self {
        let (data, sync) = (None, When::Always);
        Self { replicas: REPLICAS_DEFAULT, write_quorum: None, disk: false, data, sync }
    }

    /// What `chord serve` is told of it; `home` is there if the records are to be on the disk.
    pub(super) fn to_server(&self, home: Option<&Home>, server: &str) -> Vec<OsString> {
        let mut told = vec!["--replicas".to_owned(), self.replicas.to_string()];
        if let Some(copies) = self.write_quorum {
            told.extend(["--write-quorum".to_owned(), copies.to_string()]);
        }
        let mut told: Vec<OsString> = told.into_iter().map(OsString::from).collect();
        if let Some(Home(home)) = home {
            // The address is the name of the directory, but for the colon that not every file system takes.
            let directory = home.join(server.replace(':', "-"));
            told.extend(["--data".into(), directory.into(), "--sync".into(), self.sync_name().into()]);
        }
        told
    }

    /// Whether that can be.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(copies) = self.write_quorum.filter(|copies| *copies > self.replicas) {
            return Err(Usage::new(format!(
                "--write-quorum is {copies}, and there are only {} copies of a key: lower it, or raise --replicas",
                self.replicas
            ))
            .into());
        }
        let parent = self.parent();
        if self.disk && !parent.is_dir() {
            bail!("there is no directory {}: make it, or name another by --data", parent.display());
        }
        Ok(())
    }

    /// Where the directory for all servers is made.
    fn parent(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// The directory for all servers, if they keep their records on the disk.
    pub(super) fn home(&self) -> anyhow::Result<Option<Home>> {
        self.disk.then(|| Home::new(&self.parent())).transpose()
    }

    /// How many copies of a record there are in a ring of so many nodes.
    pub(super) fn copies(&self, nodes: usize) -> usize {
        nodes.min(self.replicas.into())
    }

    pub(super) fn is_in_memory(&self) -> bool {
        !self.disk
    }

    /// The settings, for a report.
    pub(super) fn kept(&self, nodes: usize) -> Kept {
        let copies = self.copies(nodes);
        Kept {
            replicas: self.replicas,
            write_quorum: self.write_quorum.map_or(copies / 2 + 1, |quorum| copies.min(quorum.into())),
            engine: if self.disk { "disk" } else { "memory" },
            sync: self.disk.then(|| self.sync_name()),
        }
    }

    fn sync_name(&self) -> String {
        self.sync.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Kept {
    /// "R = 3, W = 2, in memory"
    pub(super) fn text(&self) -> String {
        let place = match &self.sync {
            Some(sync) => format!("on the disk with --sync {sync}"),
            None => "in memory".to_owned(),
        };
        format!("R = {}, W = {}, {place}", self.replicas, self.write_quorum)
    }
}

/// A directory for the data of all servers, removed with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    fn new(parent: &Path) -> anyhow::Result<Self> {
        let home = parent.join(format!("chord-bench-{}", process::id()));
        fs::create_dir(&home).with_context(|| format!("cannot make the directory {}", home.display()))?;
        Ok(Self(home))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what cannot be removed, its owner finds by its name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_memory(replicas: u8, write_quorum: Option<u8>) -> KeepingArgs {
        KeepingArgs { replicas, write_quorum, disk: false, data: None, sync: When::Always }
    }

    #[test]
    fn the_write_quorum_is_that_of_the_nodes_there_are() {
        assert_eq!(in_memory(3, None).kept(3).text(), "R = 3, W = 2, in memory");
        assert_eq!(in_memory(3, None).kept(1).text(), "R = 3, W = 1, in memory");
        assert_eq!(in_memory(5, Some(4)).kept(3).text(), "R = 5, W = 3, in memory");
    }

    #[test]
    fn a_home_goes_with_everything_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let args = KeepingArgs { disk: true, data: Some(parent.path().into()), ..in_memory(3, Some(1)) };
        let home = args.home().unwrap();
        let told = args.to_server(home.as_ref(), "127.0.0.1:4567");
        let directory = Path::new(&told[5]);
        assert!(directory.ends_with("127.0.0.1-4567"), "{told:?}");
        fs::create_dir(directory).unwrap();
        drop(home);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
