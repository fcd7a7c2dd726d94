//! `chord config`, and the file that `chord serve --config` reads: every key is an option of `chord serve`.

mod effective;
mod example;
mod file;
mod keys;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Command, FromArgMatches, Subcommand};

pub(crate) use effective::{Wrong, settle};

use super::output;
use super::serve::ServeArgs;
use effective::{with_defaults, written};
use file::{File, Mistake, read};
use keys::keys;

/// Check a file of configuration, or print one with every key
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Check(CheckArgs),
    Example(ExampleArgs),
}

/// Say what a file tells `chord serve`, or everything that is wrong with it
///
/// The file is taken as if it were all that the node is told: neither the environment nor options are looked at. Nothing is
/// started, and none of the files and addresses that it names is looked at.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  chord config check /etc/chord/chord.toml")]
pub(crate) struct CheckArgs {
    /// The file, in TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Print a file with every key, what it means and its default, all in comments
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  chord config example > chord.toml")]
pub(crate) struct ExampleArgs {}

impl ConfigCommand {
    /// Runs the command; `root` is the whole command line, as it is defined.
    pub(crate) fn run(self, root: &Command) -> anyhow::Result<()> {
        match self {
            Self::Check(args) => check(&args.file, root),
            Self::Example(ExampleArgs {}) => output::lines(&example::example(root)),
        }
    }
}

fn check(path: &Path, root: &Command) -> anyhow::Result<()> {
    let keys = keys(root);
    let checked = read(path, &keys).and_then(|file| match together(root, &file) {
        Ok(()) => Ok(file),
        Err(mistakes) => Err(mistakes),
    });
    let file = match checked {
        Ok(file) => file,
        Err(mistakes) => {
            for mistake in &mistakes {
                output::error(&mistake.to_string())?;
            }
            let n_mistakes = mistakes.len();
            bail!(
                "{} is wrong in {n_mistakes} {}",
                path.display(),
                if n_mistakes == 1 { "place" } else { "places" }
            );
        }
    };
    let (n_said, n_keys) = (file.entries.len(), keys.len());
    output::answer(format_args!("{} is right, and says {n_said} of {n_keys} keys", path.display()))?;
    for entry in &file.entries {
        let kind = keys.iter().find(|key| key.name == entry.name).map(|key| key.kind);
        let value = kind.map_or_else(String::new, |kind| written(kind, &entry.values));
        output::answer(format_args!("{} = {value}", entry.name))?;
    }
    Ok(())
}

/// Whether the values of a file that is right line by line make sense together, for a node that is told nothing else.
fn together(root: &Command, file: &File) -> Result<(), Vec<Mistake>> {
    let without_environment = |arg: clap::Arg| arg.env(None::<&'static str>);
    let bare = root.clone().mut_args(without_environment);
    let bare = bare.mut_subcommand("serve", |serve| serve.mut_args(without_environment));
    let told = with_defaults(bare, file).try_get_matches_from(["chord", "serve"]);
    let settled = told.and_then(|matches| match matches.subcommand() {
        Some((_, serve)) => ServeArgs::from_arg_matches(serve),
        None => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
    });
    let said = match settled {
        Ok(args) => args.check().map_err(|usage| usage.to_string()),
        Err(error) => Err(super::usage::sentence(&error, keys::serve(root))),
    };
    said.map_err(|sentence| vec![Mistake::of(file, line_about(file, &sentence), sentence)])
}

/// The line of the option that a sentence names first.
fn line_about(file: &File, sentence: &str) -> Option<usize> {
    let named = sentence.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let mut options = named.filter_map(|word| word.strip_prefix("--"));
    options.find_map(|option| file.entries.iter().find(|entry| entry.name == option)).map(|entry| entry.line)
}

#[cfg(test)]
mod tests;
