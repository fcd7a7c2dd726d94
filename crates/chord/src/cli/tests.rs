//! The arguments as a whole.

use super::*;

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

/// Every command, as the words that name it.
fn paths(command: &clap::Command, path: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![path.to_vec()];
    for inner in command.get_subcommands() {
        let inner_path = [path, &[inner.get_name().to_owned()]].concat();
        all.extend(paths(inner, &inner_path));
    }
    all
}

#[test]
fn every_command_explains_itself() {
    for path in paths(&Cli::command(), &["chord".to_owned()]) {
        let mut command = Cli::command();
        let mut found = &mut command;
        for word in &path[1..] {
            found = found.find_subcommand_mut(word).unwrap();
        }
        assert!(found.get_about().is_some(), "{path:?} has no description");
        for argument in found.get_arguments() {
            assert!(argument.get_help().is_some(), "{path:?} {argument} has no description");
        }
        assert!(!found.render_long_help().to_string().is_empty());
    }
}

#[test]
fn every_option_of_bench_tells_the_range_that_its_refusal_tells() {
    let command = Cli::command();
    let mut silent = Vec::new();
    for path in paths(&command, &["chord".to_owned()])
        .iter()
        .filter(|path| path[1..].starts_with(&["bench".to_owned()]))
    {
        let found = path[1..].iter().fold(&command, |command, word| command.find_subcommand(word).unwrap());
        // A seed may be any number.
        for option in found.get_opts().filter(|option| option.get_long() != Some("seed")) {
            let wrong = format!("--{}=x", option.get_long().unwrap());
            let Err(refused) = Cli::try_parse_from(path.iter().chain([&wrong])) else { continue };
            let refused = refused.to_string();
            let Some((_, range)) = refused.split_once("is a whole number from ") else { continue };
            let highest = range.split_whitespace().nth(2).unwrap();
            let help = option.get_help().unwrap().to_string().replace(',', "");
            if !help.contains(&format!("to {highest}")) {
                silent.push(format!(
                    "{} --{} has to {highest}: {help}",
                    path.join(" "),
                    option.get_long().unwrap()
                ));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn a_server_takes_every_option_of_serve() {
    let command = Cli::command();
    let options = |path: &[&str]| -> Vec<String> {
        let found = path.iter().fold(&command, |command, word| command.find_subcommand(word).unwrap());
        found.get_opts().filter_map(|option| option.get_long().map(str::to_owned)).collect()
    };
    let server = options(&["http", "server"]);
    for option in options(&["serve"]) {
        // The first of them are the server's arguments: HOST PORT and RING_SIZE. A file, which says the same, is for `serve` alone.
        let others = ["listen", "bind", "advertise", "ring-size", "config", "print-config"];
        assert!(others.contains(&option.as_str()) || server.contains(&option), "--{option}");
    }
}
