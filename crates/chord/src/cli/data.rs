//! `chord data`: a look into the data directory of a node that is not running.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chord::data::{self, TransferError};
use clap::{Args, Subcommand};

use super::exit::stream_error;
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

/// Write every record of a data directory as a line of JSON
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

    /// The file to write, which must not exist yet [default: standard output]
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

    /// The file to read [default: standard input]
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
            "damaged": checked.damaged,
            "damaged_positions": damaged_at,
        }))?;
    } else {
        output::answer(format_args!(
            "{} records of node {}, {} bytes: {} say that a key was deleted, {} expire",
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
    let exported = match &args.file {
        Some(file) => export_to(&args.dir, file)?,
        None => data::export(&args.dir, io::stdout().lock()).map_err(stream)?,
    };
    note(format_args!("Exported {} records", thousands(exported.records)));
    if exported.damaged > 0 {
        bail!("{} damaged records were left out", exported.damaged);
    }
    Ok(())
}

/// A file that ends early must not be taken for a whole one, so it is removed.
fn export_to(dir: &Path, file: &Path) -> anyhow::Result<data::Exported> {
    let out = File::create_new(file).with_context(|| format!("cannot make {}", file.display()))?;
    let done = data::export(dir, &out).map_err(anyhow::Error::from);
    let done = done.and_then(|exported| {
        out.sync_all().with_context(|| format!("cannot write {}", file.display()))?;
        Ok(exported)
    });
    if done.is_err() {
        let _ = fs::remove_file(file);
    }
    done
}

/// Whoever reads standard output may have read enough.
fn stream(error: TransferError) -> anyhow::Error {
    match error {
        TransferError::Io { error, .. } => stream_error(error),
        other => other.into(),
    }
}

fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let imported = match &args.file {
        Some(file) => {
            let input = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            data::import(&args.dir, BufReader::new(input)).with_context(|| file.display().to_string())?
        }
        None => data::import(&args.dir, io::stdin().lock()).context("standard input")?,
    };
    output::answer(format_args!(
        "Imported {} records: {} stored, {} known or older",
        thousands(imported.records),
        thousands(imported.stored),
        thousands(imported.records - imported.stored),
    ))
}
