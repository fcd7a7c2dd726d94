//! What a node is told in the end: the flag, or else the environment, or else the file, or else the default.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::super::exit::Usage;
use super::super::place;
use super::file::{Entry, File, read};
use super::keys::{Key, Kind, keys};

/// Why the arguments and the file make no sense.
pub(crate) enum Wrong {
    /// The command line or the environment is wrong.
    Arguments(clap::Error),
    /// The file of configuration is, or cannot be printed.
    Config(Usage),
}

impl From<clap::Error> for Wrong {
    fn from(error: clap::Error) -> Self {
        Self::Arguments(error)
    }
}

/// Parses the arguments of `root`, and takes what they leave open from the file that they name, if they do.
///
/// What a file says becomes the default of its option. So the one parser of the command line decides what comes before what.
pub(crate) fn settle(root: &Command, arguments: &[OsString]) -> Result<(ArgMatches, Option<String>), Wrong> {
    let matches = root.clone().try_get_matches_from(arguments)?;
    let Some(("serve", serve)) = matches.subcommand() else { return Ok((matches, None)) };
    let prints = serve.get_flag("print_config");
    let Some(path) = serve.get_one::<std::path::PathBuf>("config") else {
        not_both(serve, None)?;
        let printed = prints.then(|| print(&keys(root), serve, None)).transpose()?;
        return Ok((matches, printed));
    };
    let file = open(path, &keys(root))?;
    let filled = with_defaults(root.clone(), &file);
    let matches = filled.try_get_matches_from(arguments)?;
    if let Some((_, serve)) = matches.subcommand() {
        not_both(serve, Some(&file))?;
    }
    let printed = match matches.subcommand() {
        Some((_, serve)) if prints => Some(print(&keys(root), serve, Some(&file))?),
        _ => None,
    };
    Ok((matches, printed))
}

/// Refuses two options that say one thing. The default of one of them says nothing, but may be what somebody gave for it.
fn not_both(serve: &ArgMatches, file: Option<&File>) -> Result<(), Wrong> {
    let is_said = |name: &str| {
        let by_default = matches!(serve.value_source(name), None | Some(ValueSource::DefaultValue));
        !by_default || file.is_some_and(|file| file.says(name))
    };
    if is_said("listen") && is_said("bind") { Err(Wrong::Config(place::both())) } else { Ok(()) }
}

/// Reads the file for a node that is to start by it.
fn open(path: &Path, keys: &[Key<'_>]) -> Result<File, Wrong> {
    read(path, keys).map_err(|mistakes| {
        let others = match mistakes.len() {
            0 | 1 => String::new(),
            n => format!("; `chord config check` says what else is wrong ({} more)", n - 1),
        };
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        Wrong::Config(Usage::new(format!("{first}{others}")))
    })
}

/// The command line with what the file says for its defaults.
pub(super) fn with_defaults(root: Command, file: &File) -> Command {
    file.entries.iter().filter(|entry| !entry.values.is_empty()).fold(root, |root, entry| {
        let is_it = |arg: &clap::Arg| arg.get_long() == Some(entry.name.as_str());
        let filled = |arg: clap::Arg| if is_it(&arg) { arg.default_values(&entry.values) } else { arg };
        root.mut_args(filled).mut_subcommand("serve", |serve| serve.mut_args(filled))
    })
}

/// The whole configuration as a file, with where each value came from.
fn print(keys: &[Key<'_>], serve: &ArgMatches, file: Option<&File>) -> Result<String, Wrong> {
    let mut text = String::from(
        "# What this node is told, and by what: a flag comes before the environment, that before the file, and that before\n\
         # the default. `chord serve --config` reads it back.\n",
    );
    for key in keys {
        let id = key.arg.get_id().as_str();
        let entry = file.and_then(|file| file.entries.iter().find(|entry| entry.name == key.name));
        let Some(raw) = serve.get_raw(id) else {
            let _ = writeln!(text, "# {} is not set", key.name);
            continue;
        };
        let values = raw.map(|value| value.to_str().map(str::to_owned)).collect::<Option<Vec<String>>>();
        let values = values.ok_or_else(|| {
            Wrong::Config(Usage::new(format!(
                "--{} is not text (UTF-8), and a file of configuration cannot say it: give it another name",
                key.name
            )))
        })?;
        let source = source(serve.value_source(id), key, entry, file);
        let _ = writeln!(text, "{} = {} # {source}", key.name, written(key.kind, &values));
    }
    Ok(text)
}

fn source(source: Option<ValueSource>, key: &Key<'_>, entry: Option<&Entry>, file: Option<&File>) -> String {
    match (source, entry.zip(file)) {
        (Some(ValueSource::CommandLine), _) => format!("flag --{}", key.name),
        (Some(ValueSource::EnvVariable), _) => {
            format!("environment {}", key.arg.get_env().unwrap_or_default().display())
        }
        (_, Some((entry, file))) => {
            // A name may hold what ends a comment.
            let path = file.path.display().to_string();
            format!("file {}:{}", super::super::text::escaped(path.as_bytes()), entry.line)
        }
        (_, None) => "default".to_owned(),
    }
}

/// A value as TOML.
pub(super) fn written(kind: Kind, values: &[String]) -> String {
    match (kind, values) {
        (Kind::Texts, values) => {
            let list: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("[{}]", list.join(", "))
        }
        // The environment may give a switch in words, and numbers with a sign or zeros before them.
        (Kind::Switch, [value]) => value.clone(),
        (Kind::Number | Kind::Size, [value]) if value.parse::<u64>().is_ok() => {
            value.parse::<u64>().unwrap_or_default().to_string()
        }
        (_, values) => quoted(&values.concat()),
    }
}

/// A text as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => _ = write!(quoted, "\\U{:08X}", u32::from(letter)),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
