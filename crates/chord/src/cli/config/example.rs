//! A file of configuration with every key in a comment, made of the definition of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::super::limits;
use super::super::words::wrapped;
use super::effective::written;
use super::keys::{Key, Kind, keys};

/// Longest line of a comment.
const COLUMNS: usize = 118;

const HEAD: &str = "\
# Every key of `chord serve --config FILE`, which is an option of `chord serve` and a variable of the environment too.
# A flag comes before the environment, that before this file, and that before the default.
# Where a key has a default, it is the one shown; the others are examples. Take the # away from those that you want.
# `chord config check FILE` says what is wrong with a file, and `chord serve --print-config` what a node is told.
#
# Made by `chord config example`.
";

/// The whole file.
pub(crate) fn example(root: &Command) -> String {
    let mut text = HEAD.to_owned();
    for key in keys(root) {
        text.push('\n');
        let helps = [key.arg.get_help(), key.arg.get_long_help()].into_iter().flatten();
        let mut told = String::new();
        for help in helps.map(ToString::to_string) {
            // The long help begins with the short one.
            let rest = help.strip_prefix(&told).unwrap_or(&help).trim().to_owned();
            for paragraph in rest.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
                let paragraph = paragraph.replace('\n', " ");
                comment(&mut text, &ended(&paragraph));
            }
            told = help;
        }
        choices(&mut text, key.arg);
        let _ = writeln!(text, "# {} = {}", key.name, shown(&key));
    }
    text
}

/// A sentence has an end, which those of a help do without.
fn ended(sentence: &str) -> String {
    if sentence.ends_with('.') { sentence.to_owned() } else { format!("{sentence}.") }
}

fn comment(text: &mut String, sentence: &str) {
    for line in wrapped(sentence, Some(COLUMNS - 2)).lines() {
        let _ = writeln!(text, "# {}", line.trim_start());
    }
}

/// What a value may be, where it is one of a few words.
fn choices(text: &mut String, arg: &Arg) {
    let words: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let takes_words = arg.get_action().takes_values() && !words.is_empty();
    if takes_words {
        comment(text, &format!("One of {}.", words.join(", ")));
    }
}

/// The default, or an example.
fn shown(key: &Key<'_>) -> String {
    let defaults = key.arg.get_default_values();
    if !defaults.is_empty() {
        let values: Vec<String> = defaults.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        return written(key.kind, &values);
    }
    if let Some(usual) = limits::usual(key.name).filter(|_| key.name != "memory-max") {
        return written(key.kind, &[usual]);
    }
    let first_word = key.arg.get_possible_values().first().map(|value| value.get_name().to_owned());
    let name = key.arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    let one = match (key.kind, name) {
        (Kind::Switch, _) => "false".to_owned(),
        (Kind::Number, _) => "2".to_owned(),
        (Kind::Size, _) => "1GiB".to_owned(),
        (_, "DIR") => "/var/lib/chord".to_owned(),
        (_, "FILE") => format!("/etc/chord/{}", key.name.trim_end_matches("-file")),
        (_, "HOST:PORT") => "node1:4567".to_owned(),
        (_, "ADDR:PORT") => "0.0.0.0:4567".to_owned(),
        (_, "URL") => "http://127.0.0.1:4318".to_owned(),
        (_, "LEVEL") => "info".to_owned(),
        (Kind::Time | Kind::Text | Kind::Texts, name) => first_word.unwrap_or_else(|| name.to_owned()),
    };
    written(key.kind, &[one])
}
