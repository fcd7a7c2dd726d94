//! Wrong usage in one line: what is wrong, and where the help is.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit;

/// Prints help or version as asked for, or the one line of a wrong usage of `root` with these arguments.
pub(crate) fn report(error: &clap::Error, root: &clap::Command, arguments: &[OsString]) -> ExitCode {
    let shows_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shows_help {
        let _ = error.print(); // a reader who went has read enough
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let path = command_path(root, arguments);
    exit::report_usage(&told(error, root, arguments, |name| std::env::var_os(name)), &path)
}

/// The commands among the arguments, as far as they go: `chord http server`.
pub(crate) fn command_path(root: &clap::Command, arguments: &[OsString]) -> String {
    let names: Vec<&str> = commands(root, arguments).into_iter().map(clap::Command::get_name).collect();
    names.join(" ")
}

fn commands<'a>(root: &'a clap::Command, arguments: &[OsString]) -> Vec<&'a clap::Command> {
    let mut found = vec![root];
    let mut command = root;
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(inner) = command.find_subcommand(argument) {
            command = inner;
            found.push(inner);
        }
    }
    found
}

fn innermost<'a>(root: &'a clap::Command, arguments: &[OsString]) -> &'a clap::Command {
    commands(root, arguments).pop().unwrap_or(root)
}

/// What is wrong, and in which variable of the environment if it came from there.
fn told(
    error: &clap::Error,
    root: &clap::Command,
    arguments: &[OsString],
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> String {
    let options = options(root, arguments);
    let command = innermost(root, arguments);
    // An option that is given is taken instead of its variable.
    let taken = options.iter().filter(|(option, _)| {
        let is_it = |argument: &str| argument.split_once('=').map_or(argument, |(name, _)| name) == *option;
        !arguments.iter().filter_map(|argument| argument.to_str()).any(is_it)
    });
    let mut set = taken.filter_map(|(option, name)| Some((option, name, variable(name)?)));
    let wrong = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (_, Some(ContextValue::String(shown))) => {
            let blamed = shown.split(' ').next();
            set.find(|(option, ..)| Some(option.as_str()) == blamed)
                .map(|(_, name, _)| (name, sentence(error, command)))
        }
        (ErrorKind::InvalidUtf8, _) => set
            .find(|(.., value)| value.to_str().is_none())
            .map(|(_, name, _)| (name, "not text (UTF-8)".to_owned())),
        _ => None,
    };
    wrong.map_or_else(
        || sentence(error, command),
        |(name, sentence)| format!("{} in the environment: {sentence}", name.display()),
    )
}

/// The options that may come from the environment, as `--option`, with their variables.
fn options(root: &clap::Command, arguments: &[OsString]) -> Vec<(String, OsString)> {
    let commands = commands(root, arguments);
    let all = commands.iter().flat_map(|command| command.get_arguments());
    all.filter_map(|option| Some((format!("--{}", option.get_long()?), option.get_env()?.to_owned())))
        .collect()
}

/// What is wrong with the arguments of `command`. A value that a parser of ours refused is explained in that parser's own words.
pub(crate) fn sentence(error: &clap::Error, command: &clap::Command) -> String {
    if let (ErrorKind::ValueValidation, Some(source)) = (error.kind(), error.source()) {
        return exit::one_line(&source.to_string());
    }
    if let (ErrorKind::InvalidValue, Some(ContextValue::String(shown)), Some(ContextValue::String(value))) =
        (error.kind(), error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
        && value.is_empty()
    {
        let option = shown.split(' ').next().unwrap_or_default();
        return format!("{option} has no value: give it one, or leave it out");
    }
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return format!("missing: {}", missing.join(" "));
    }
    if let Some(word) = unknown_command(error, command) {
        return no_such_command(word, command);
    }
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    told.join("; ").trim_start_matches("error: ").to_owned()
}

/// The word that stands where one of the command's own commands should.
fn unknown_command<'a>(error: &'a clap::Error, command: &clap::Command) -> Option<&'a str> {
    let named = match error.kind() {
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
        // Where a command may be left out, clap takes the word for an argument.
        ErrorKind::UnknownArgument if command.has_subcommands() => error.get(ContextKind::InvalidArg),
        _ => None,
    };
    match named {
        Some(ContextValue::String(word)) if !word.starts_with('-') => Some(word),
        _ => None,
    }
}

fn no_such_command(word: &str, command: &clap::Command) -> String {
    match nearest(word, command.get_subcommands().map(clap::Command::get_name)) {
        Some(near) => format!("there is no command {word:?}: did you mean {near:?}?"),
        None => format!("there is no command {word:?}"),
    }
}

/// The name that a word may mean: the first of those that it is the beginning of, or the one with the fewest letters changed,
/// if these are few.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = names.map(|name| (if is_begun(name, word) { 0 } else { distance(word, name) }, name));
    let near = distances.filter(|(distance, _)| *distance <= word.len().div_ceil(3)).min();
    near.map(|(_, name)| name)
}

/// Whether `word` is the beginning of `name`, and enough of it to tell.
fn is_begun(name: &str, word: &str) -> bool {
    word.len() >= 3 && name.starts_with(word)
}

/// How many characters must be added, dropped or changed to make one word the other.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (idx, here) in one.chars().enumerate() {
        let mut last = idx + 1;
        let mut next = vec![last];
        for (pair, there) in row.windows(2).zip(other.chars()) {
            let [diagonal, above] = *pair else { continue };
            last = (diagonal + usize::from(here != there)).min(above + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    fn line(arguments: &str) -> String {
        let error = Cli::try_parse_from(arguments.split(' ')).unwrap_err();
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        sentence(&error, innermost(&Cli::command(), &arguments))
    }

    #[test]
    fn a_wrong_usage_is_one_line() {
        let ring_size = "the ring size is a number of bits from 1 to 256, not 257";
        assert_eq!(line("chord http server 127.0.0.1 4567 257"), ring_size);
        assert_eq!(line("chord serve --ring-size 257"), ring_size);
        assert_eq!(line("chord http server 127.0.0.1"), "missing: <PORT> <RING_SIZE>");
        assert_eq!(line("chord http client 127.0.0.1 x node"), "the port is a whole number from 1 to 65535");
        for empty in ["chord serve --secret-file=", "chord serve --secret-file"] {
            assert_eq!(line(empty), "--secret-file has no value: give it one, or leave it out");
        }
        for wrong in ["chord put", "chord get a b", "chord dev --nodes 0", "chord serve --frobnicate"] {
            assert!(!line(wrong).contains('\n'), "{}", line(wrong));
            assert!(!line(wrong).contains("error:"), "{}", line(wrong));
        }
    }

    #[test]
    fn an_unknown_command_is_called_so_with_the_nearest_that_is_near() {
        for (arguments, told) in [
            ("chord gett foo", "there is no command \"gett\": did you mean \"get\"?"),
            ("chord comp", "there is no command \"comp\": did you mean \"completions\"?"),
            ("chord nosuch", "there is no command \"nosuch\""),
            ("chord http cleint", "there is no command \"cleint\": did you mean \"client\"?"),
            ("chord http client h 1 nosuch", "there is no command \"nosuch\""),
            (
                "chord xmlrpc client h 1 get_successor",
                "there is no command \"get_successor\": did you mean \"get_successor_list\"?",
            ),
        ] {
            assert_eq!(line(arguments), told);
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("abc", "abc")), (3, 3, 0));
    }

    #[test]
    fn a_negative_position_is_refused_in_our_words() {
        assert_eq!(
            line("chord http client h 1 find_successor --id -1"),
            "a position is a whole number, 0 or more, in decimal digits"
        );
    }

    #[test]
    fn the_help_that_is_named_is_that_of_the_command() {
        let path = |arguments: &str| {
            let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
            command_path(&Cli::command(), &arguments)
        };
        assert_eq!(path("chord"), "chord");
        assert_eq!(path("chord --log info http server x y"), "chord http server");
        assert_eq!(path("chord put get dev"), "chord put");
    }
}
