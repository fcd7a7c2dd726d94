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
use super::serve::{Conflict, Refused, ServeArgs};
use effective::{with_defaults, written};
use file::{File, Looked, Mistake, look};
use keys::keys;

/// Check a file of configuration, or print one with every key
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Check(CheckArgs),
    Example(ExampleArgs),
}

/// Say what a file tells `chord serve`, or everything that is wrong with it
///
/// The file is taken as if it were all that the node is told: neither the environment nor options are looked at. Files of
/// secrets and of TLS that it names are read as a node would, so be the user who runs it. Nothing is started or made: whether
/// the node may write to its directory, open as many files as it needs, or have its addresses, only starting it shows.
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
    let Looked { file, mistakes, is_broken, .. } = look_all(path, root);
    if !mistakes.is_empty() {
        for mistake in &mistakes {
            output::error(&mistake.to_string())?;
        }
        let places = match mistakes.len() {
            1 => "1 place".to_owned(),
            n => format!("{n} places"),
        };
        let left = if is_broken {
            "; whether its keys make sense together is said when all of its lines are TOML"
        } else {
            ""
        };
        bail!("{} is wrong in {places}{left}", path.display());
    }
    let (n_said, n_keys) = (file.entries.len(), keys.len());
    output::answer(format_args!("{} is right, and says {n_said} of {n_keys} keys", path.display()))?;
    for entry in &file.entries {
        let kind = keys.iter().find(|key| key.name == entry.name).map(|key| key.kind);
        let value = kind.map_or_else(String::new, |kind| written(kind, &entry.values));
        output::answer(format_args!("{} = {value}", entry.name))?;
    }
    output::note(NOT_LOOKED_AT);
    Ok(())
}

/// What a file that is right may still lead to, said where somebody may rely on more.
const NOT_LOOKED_AT: &str = "Not looked at: whether the node may write to its directory and open as many files as it needs, and whether its addresses are its own";

/// Reads a file, with all that is wrong with it for a node that is told nothing else.
fn look_all(path: &Path, root: &Command) -> Looked {
    let mut looked = look(path, &keys(root));
    if !looked.is_broken {
        let more = together(root, &looked);
        looked.mistakes.extend(more);
        looked.mistakes.sort_by_key(|mistake| mistake.line);
    }
    looked
}

/// What is wrong with the values of a file together, or with the files that they name. What depends on a key that could not be
/// read is not judged.
fn together(root: &Command, looked: &Looked) -> Vec<Mistake> {
    let Looked { file, unread, .. } = looked;
    let without_environment = |arg: clap::Arg| arg.env(None::<&'static str>);
    let bare = root.clone().mut_args(without_environment);
    let bare = bare.mut_subcommand("serve", |serve| serve.mut_args(without_environment));
    let told = with_defaults(bare, file).try_get_matches_from(["chord", "serve"]);
    let settled = told.and_then(|matches| match matches.subcommand() {
        Some((_, serve)) => ServeArgs::from_arg_matches(serve),
        None => Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
    });
    let args = match settled {
        Ok(args) => args,
        Err(error) => {
            let sentence = super::usage::sentence(&error, keys::serve(root));
            return vec![Mistake::of(file, line_about(file, &sentence), sentence)];
        }
    };
    let is_unread = |name: &str| unread.iter().any(|unread| unread == name);
    let conflicts = args.conflicts(file.says("listen") && file.says("bind")).into_iter().filter(|conflict| {
        let sentence = conflict.usage.to_string();
        !options(&sentence).chain(conflict.depends_on.iter().copied()).any(is_unread)
    });
    let conflicts = conflicts.map(|Conflict { usage, .. }| {
        let sentence = usage.to_string();
        Mistake::of(file, line_about(file, &sentence), sentence)
    });
    let name_is_known = !["listen", "bind", "advertise"].into_iter().any(is_unread);
    let refused = args.refused_files().into_iter().filter(|refused| {
        // A certificate is for the host of the name.
        name_is_known || refused.option != "tls-cert"
    });
    let refused = refused.map(|Refused { option, sentence }| {
        let line = line_about(file, &sentence).or_else(|| line_about(file, &format!("--{option}")));
        Mistake::of(file, line, sentence)
    });
    conflicts.chain(refused).collect()
}

/// The line of the option that a sentence names first.
fn line_about(file: &File, sentence: &str) -> Option<usize> {
    let mut options = options(sentence);
    options.find_map(|option| file.entries.iter().find(|entry| entry.name == option)).map(|entry| entry.line)
}

/// The options that a sentence names.
fn options(sentence: &str) -> impl Iterator<Item = &str> {
    let named = sentence.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    named.filter_map(|word| word.strip_prefix("--"))
}

#[cfg(test)]
mod tests;
