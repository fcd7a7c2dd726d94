//! The keys of a file of configuration: the options of `chord serve` that are variables of the environment too.
//!
//! They are read off the definition of the command line, so none can be forgotten, and none can mean anything else here.

use std::any::TypeId;

use chord::RingSize;
use clap::{Arg, ArgAction, Command};

use super::super::number::{Bytes, Wait};
use super::super::usage;

/// The option that names the file: a file that names another one would be two.
const NAMES_THE_FILE: &str = "config";

/// One key.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) arg: &'a Arg,
    /// As it is written in a file; with `--` before it, as an option.
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
}

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A whole number of bytes, or text of a number and its unit.
    Size,
    /// Text of a number and its unit.
    Time,
    /// Text.
    Text,
    /// A list of texts, or one text.
    Texts,
}

impl Kind {
    fn of(arg: &Arg) -> Self {
        match arg.get_action() {
            ArgAction::SetTrue | ArgAction::SetFalse => return Self::Switch,
            ArgAction::Append => return Self::Texts,
            _ => {}
        }
        let is = |types: &[TypeId]| {
            let parsed = arg.get_value_parser().type_id();
            types.iter().any(|one| parsed == *one)
        };
        let numbers = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        if is(&numbers) || is(&[TypeId::of::<usize>(), TypeId::of::<RingSize>()]) {
            Self::Number
        } else if is(&[TypeId::of::<Bytes>()]) {
            Self::Size
        } else if is(&[TypeId::of::<Wait>()]) {
            Self::Time
        } else {
            Self::Text
        }
    }

    /// What a value of this kind is, with how `name` would be given one.
    pub(super) fn wanted(self, name: &str) -> String {
        match self {
            Self::Switch => format!("true or false without quotes, as in {name} = true"),
            Self::Number => format!("a whole number without quotes, as in {name} = 3"),
            Self::Size => {
                format!("a number of bytes, or text in quotes with its unit, as in {name} = \"64MiB\"")
            }
            Self::Time => format!("text in quotes, a number with its unit, as in {name} = \"10s\""),
            Self::Text => format!("text in quotes, as in {name} = \"...\""),
            Self::Texts => format!("a list of texts in quotes, as in {name} = [\"...\", \"...\"]"),
        }
    }
}

/// All keys, in the order of the help. `root` is the command line as it was defined.
pub(crate) fn keys(root: &Command) -> Vec<Key<'_>> {
    let own = serve(root).get_arguments();
    let global = root.get_arguments().filter(|arg| arg.is_global_set());
    let is_key = |arg: &&Arg| !arg.is_hide_set() && arg.get_env().is_some();
    let named = own.chain(global).filter(is_key).filter_map(|arg| {
        let name = arg.get_long().filter(|name| *name != NAMES_THE_FILE)?;
        Some(Key { arg, name, kind: Kind::of(arg) })
    });
    named.collect()
}

/// The command whose options the keys are.
pub(super) fn serve(root: &Command) -> &Command {
    root.find_subcommand("serve").expect("the command line has it")
}

/// The key that a name which is none may mean: one that is spelled alike, as an option or a variable too.
pub(super) fn nearest<'a>(keys: &[Key<'a>], wrong: &str) -> Option<&'a str> {
    let word = wrong.to_ascii_lowercase().replace(['_', '.', ' '], "-");
    let word = word.trim_start_matches('-');
    let word = word.strip_prefix("chord-").unwrap_or(word);
    usage::nearest(word, keys.iter().map(|key| key.name))
}

impl Key<'_> {
    /// Whether the option takes these as its values. In the words of its own parser if not.
    pub(super) fn check(&self, values: &[String]) -> Result<(), String> {
        if self.kind == Kind::Switch {
            return Ok(()); // Nothing else than true and false comes here.
        }
        let alone = Command::new("chord").no_binary_name(true).arg(self.arg.clone().global(false));
        let given = values.iter().map(|value| format!("--{}={value}", self.name));
        match alone.clone().try_get_matches_from(given) {
            Ok(_) => Ok(()),
            Err(error) => Err(usage::sentence(&error, &alone)),
        }
    }
}
