//! `chord data`: a look into the data directory of a node that is not running.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chord::Limits;
use chord::data::{self, TransferError};
use clap::{Args, Subcommand};

use super::exit::stream_error;
use super::files;
use super::output::{self, note};
use super::table::thousands;

/// One thing to do with a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    Check(CheckArgs),
    Export(ExportArgs),
    Import(ImportArgs),
}

/// Read every record of a data directory and say whether all are whole
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord data check /var/lib/chord
  chord data check --json /var/lib/chord

Exit code 1 if something is damaged. Nothing is changed: a node that starts moves what is damaged out of the way.")]
pub(crate) struct CheckArgs {
    /// The data directory
    dir: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Write every record of a data directory that has not expired as a line of JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord data export /var/lib/chord backup.jsonl
  chord data export /var/lib/chord | gzip > backup.jsonl.gz

A line has key and value as text, or where that is not UTF-8 key_base64 and value_base64; or \"deleted\":true \
instead of a value; version; and expires_at_ms, in milliseconds since 1970, if it expires.")]
pub(crate) struct ExportArgs {
    /// The data directory
    dir: PathBuf,

    /// The file to write, which must not exist yet; `-` is standard output, as is none
    file: Option<PathBuf>,
}

/// Store records that were exported, each unless a newer one is there
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord data import /var/lib/chord backup.jsonl
  gunzip -c backup.jsonl.gz | chord data import /var/lib/chord

The directory is that of a node which ran before. Importing the same again is harmless.")]
pub(crate) struct ImportArgs {
    /// The data directory
    dir: PathBuf,

    /// The file to read; `-` is standard input, as is none
    file: Option<PathBuf>,
}

impl DataCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Check(args) => check(&args),
            Self::Export(args) => export(&args),
            Self::Import(args) => import(&args),
        }
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let checked = data::check(&args.dir)?;
    let damaged_at: Vec<_> = checked
        .first_damaged
        .iter()
        .map(|damaged| damaged.position.map_or_else(|| "unknown".into(), |position| position.to_string()))
        .collect();
    if args.json {
        output::json(&serde_json::json!({
            "node": checked.identity.node,
            "ring": checked.identity.ring,
            "ring_bits": checked.identity.size.bits(),
            "records": checked.records,
            "deleted": checked.deleted,
            "expiring": checked.expiring,
            "bytes": checked.bytes,
            "expired": checked.expired,
            "damaged": checked.damaged,
            "damaged_positions": damaged_at,
        }))?;
    } else {
        let expired = match checked.expired {
            0 => String::new(),
            count => format!("; expired, and not counted: {}", thousands(count)),
        };
        output::answer(format_args!(
            "{} records of node {}, {} bytes: {} say that a key was deleted, {} expire{expired}",
            thousands(checked.records),
            checked.identity.node,
            thousands(checked.bytes),
            thousands(checked.deleted),
            thousands(checked.expiring),
        ))?;
    }
    if !checked.is_sound() {
        let others = if checked.damaged > damaged_at.len() as u64 { " and others" } else { "" };
        bail!(
            "{} records are damaged, at positions {}{others}; a node that starts moves them out of the way, and its ring has copies",
            checked.damaged,
            damaged_at.join(", ")
        );
    }
    Ok(())
}

fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let exported = match files::named(args.file.as_deref()) {
        Some(file) => export_to(&args.dir, file)?,
        None => data::export(&args.dir, io::stdout().lock()).map_err(stream)?,
    };
    let expired = match exported.expired {
        0 => String::new(),
        count => format!("; {} left out, since expired", thousands(count)),
    };
    note(format_args!("Exported {} records{expired}", thousands(exported.records)));
    if exported.damaged > 0 {
        bail!("{} damaged records were left out", exported.damaged);
    }
    Ok(())
}

/// A file that ends early must not be taken for a whole one, so it gets its name when it is whole, whatever ends this
/// process before.
fn export_to(dir: &Path, file: &Path) -> anyhow::Result<data::Exported> {
    if file.try_exists().map_err(files::cannot("make", file))? {
        bail!("cannot make {}: it is there already; remove it, or name another file", file.display());
    }
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let out = File::create(&partial).map_err(files::cannot("make", file))?;
    let done = data::export(dir, &out).map_err(anyhow::Error::from).and_then(|exported| {
        let named = out.sync_all().and_then(|()| fs::rename(&partial, file));
        named.map_err(files::cannot("write", file))?;
        Ok(exported)
    });
    if done.is_err() {
        let _ = fs::remove_file(&partial);
    }
    done
}

/// Whoever reads standard output may have read enough.
fn stream(error: TransferError) -> anyhow::Error {
    match error {
        TransferError::Io { error, .. } => stream_error(&error),
        other => other.into(),
    }
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let limit = Limits::default().value_bytes;
    let imported = match files::named(args.file.as_deref()) {
        Some(file) => {
            let input = File::open(file).map_err(files::cannot("read", file))?;
            data::import(&args.dir, BufReader::new(input), limit)
                .with_context(|| file.display().to_string())?
        }
        None => data::import(&args.dir, io::stdin().lock(), limit).context("standard input")?,
    };
    if !imported.found.is_clean() {
        note(format_args!("Opened {}: {}", args.dir.display(), imported.found));
    }
    let what = if imported.records == 1 { "record" } else { "records" };
    output::answer(format_args!(
        "Imported {} {what}: {} stored, {} known or older",
        thousands(imported.records),
        thousands(imported.stored),
        thousands(imported.records - imported.stored),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn an_export_has_its_name_only_when_it_is_whole() {
        let [data, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = out.path().join("backup.jsonl");
        assert!(export_to(data.path(), &file).is_err(), "it is no data directory");
        assert_eq!(names(out.path()), Vec::<String>::new());
        let identity = r#"{"format":1,"ring":"","ring_bits":160,"node":"127.0.0.1:4567"}"#;
        fs::write(data.path().join("identity.json"), identity).unwrap();
        data::import(data.path(), &br#"{"key":"k","value":"v","version":"1.0.1"}"#[..], 100).unwrap();
        // What an export left that was killed.
        fs::write(out.path().join("backup.jsonl.partial"), "{\"key\":").unwrap();
        assert_eq!(export_to(data.path(), &file).unwrap().records, 1);
        assert_eq!(names(out.path()), ["backup.jsonl"]);
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
        let refused = export_to(data.path(), &file).unwrap_err().to_string();
        assert!(
            refused.starts_with("cannot make") && refused.contains("it is there already; remove it"),
            "{refused}"
        );
    }
}
