//! What options say that makes no sense together, and files that a node would not take.

use std::fs;
use std::io;

use super::{MemberArgs, ServeArgs, StorageArgs};
use crate::cli::exit::Usage;

/// Options that make no sense together.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub(crate) usage: Usage,
    /// On which options that depends, beside those that it names.
    pub(crate) depends_on: &'static [&'static str],
}

impl From<Usage> for Conflict {
    fn from(usage: Usage) -> Self {
        Self { usage, depends_on: &[] }
    }
}

/// What decides whether limits fit together.
const BEHIND_LIMITS: &[&str] = &[
    "memory-max",
    "value-bytes",
    "bodies-bytes",
    "store-bytes",
    "cache-bytes",
    "pending-bytes",
    "copies-bytes",
    "watched-bytes",
    "client-bytes",
    "connections",
    "client-connections",
    "links",
    "replicas",
    "threads",
    "data",
    "tls-cert",
    "tls-key",
    "tls-ca",
];

/// A file that a node would not take.
#[derive(Debug)]
pub(crate) struct Refused {
    /// By which option it is named.
    pub(crate) option: &'static str,
    pub(crate) sentence: String,
}

impl ServeArgs {
    /// All that makes no sense together; `says_both` whether --listen and --bind have been given.
    pub(crate) fn conflicts(&self, says_both: bool) -> Vec<Conflict> {
        let place = self.place.conflicts(says_both).into_iter().map(Conflict::from);
        place.chain(self.member.conflicts()).collect()
    }

    /// The files that these options name and a node of them would not take, as they are now. Nothing is made or changed.
    pub(crate) fn refused_files(&self) -> Vec<Refused> {
        let MemberArgs { secret_file, tls, storage, .. } = &self.member;
        let mut refused = Vec::new();
        if let Some(Err(error)) = secret_file.as_ref().map(chord::check_secrets) {
            refused.push(Refused { option: "secret-file", sentence: error.to_string() });
        }
        if let (Ok(Some(files)), Some(name)) = (tls.files(), self.place.name())
            && let Err(error) = files.check(&name)
        {
            refused.push(Refused { option: "tls-cert", sentence: error.to_string() });
        }
        if let Some(dir) = &storage.data {
            let is_none = match fs::metadata(dir) {
                Ok(metadata) => !metadata.is_dir(),
                Err(error) => error.kind() == io::ErrorKind::NotADirectory,
            };
            if is_none {
                let sentence = format!("--data names {}, which is no directory: name one", dir.display());
                refused.push(Refused { option: "data", sentence });
            }
        }
        refused
    }
}

impl MemberArgs {
    /// Refuses what makes no sense together. Not left to the parser: a variable that says no would be there all the same.
    pub(super) fn check(&self) -> Result<(), Usage> {
        self.conflicts().into_iter().next().map_or(Ok(()), |conflict| Err(conflict.usage))
    }

    /// All that makes no sense together, each rule by itself.
    fn conflicts(&self) -> Vec<Conflict> {
        let limits = self.limits.check(self.shape());
        let limits = limits.map_err(|usage| Conflict { usage, depends_on: BEHIND_LIMITS });
        let rules = [self.check_found(), self.check_quorum(), self.check_replicas()];
        let rules = rules.into_iter().chain(self.storage.check());
        let rules = rules.chain([self.tls.files().map(drop), self.otlp.check()]);
        rules.map(|rule| rule.map_err(Conflict::from)).chain([limits]).filter_map(Result::err).collect()
    }

    fn check_found(&self) -> Result<(), Usage> {
        if self.found && self.join.is_empty() && self.storage.data.is_none() {
            return Err(Usage::new(
                "--found is for a node that may have a ring to come back to: name others of it with --join, or its directory with --data",
            ));
        }
        Ok(())
    }

    fn check_quorum(&self) -> Result<(), Usage> {
        match self.write_quorum.filter(|copies| *copies > self.replicas) {
            None => Ok(()),
            Some(copies) => Err(Usage::new(format!(
                "--write-quorum is {copies}, and there are only {} copies of a key: lower it, or raise --replicas",
                self.replicas
            ))),
        }
    }

    fn check_replicas(&self) -> Result<(), Usage> {
        let Self { replicas, successors, .. } = *self;
        if replicas.saturating_sub(1) > successors {
            return Err(Usage::new(format!(
                "--replicas is {replicas}, and the copies of a key are kept by its owner and those whom it lists as successors, which are {successors} alone: raise --successors to {} or more, or lower --replicas",
                replicas - 1
            )));
        }
        Ok(())
    }
}

impl StorageArgs {
    /// Refuses what is about a directory where there is none: who says it believes that there is one.
    fn check(&self) -> [Result<(), Usage>; 2] {
        let said = [("--sync", self.sync.is_some()), ("--on-damage", self.on_damage.is_some())];
        said.map(|(option, is_said)| {
            if !is_said || self.data.is_some() {
                return Ok(());
            }
            Err(Usage::new(format!(
                "{option} is about records on a disk, and without --data they are kept in memory: name a directory with --data, or leave {option} out"
            )))
        })
    }
}
