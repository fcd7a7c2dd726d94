//! Files of configuration: every key, every mistake, and what comes before what.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;

use clap::CommandFactory;
use rand::RngExt as _;

use super::file::read;
use super::keys::Kind;
use super::*;
use crate::cli::Cli;

fn root() -> Command {
    Cli::command()
}

fn file_of(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_ref()).unwrap();
    file
}

/// What is wrong with a file, without its path.
fn mistakes(text: impl AsRef<[u8]>) -> Vec<String> {
    let (root, file) = (root(), file_of(text));
    let said = look_all(file.path(), &root).mistakes;
    let path = file.path().display().to_string();
    said.iter().map(|mistake| mistake.to_string().replace(&path, "FILE")).collect()
}

fn settled(text: &str, arguments: &[&str]) -> Result<(clap::ArgMatches, Option<String>), String> {
    let file = file_of(text);
    let path = file.path().to_str().unwrap();
    let all =
        ["chord", "serve", "--config", path].into_iter().chain(arguments.iter().copied()).map(OsString::from);
    settle(&root(), &all.collect::<Vec<_>>()).map_err(|wrong| match wrong {
        Wrong::Arguments(error) => error.to_string(),
        Wrong::Config(usage) => usage.to_string().replace(path, "FILE"),
    })
}

/// The values of a printed configuration, without where they come from.
fn values(printed: &str) -> Vec<String> {
    let lines = printed.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value).to_owned()).collect()
}

#[test]
fn every_option_of_serve_is_a_key_and_a_variable_of_the_same_name() {
    let mut root = root();
    root.build();
    let options = root.find_subcommand("serve").unwrap().get_arguments().filter(|arg| !arg.is_hide_set());
    let options: BTreeSet<&str> = options.filter_map(clap::Arg::get_long).collect();
    // What says where the configuration is, asks for something else, or is about this terminal.
    let others = BTreeSet::from(["color", "config", "help", "print-config"]);
    let root = self::root();
    let keys = keys(&root);
    let named: BTreeSet<&str> = keys.iter().map(|key| key.name).collect();
    assert_eq!(named.len(), keys.len(), "each once");
    assert_eq!(options, named.union(&others).copied().collect());
    assert!(named.is_disjoint(&others));
    for key in &keys {
        let variable = format!("CHORD_{}", key.name.to_ascii_uppercase().replace('-', "_"));
        assert_eq!(key.arg.get_env().unwrap(), variable.as_str());
    }
}

#[test]
fn a_key_is_of_the_kind_of_its_option() {
    let root = root();
    let keys = keys(&root);
    let kind = |name: &str| keys.iter().find(|key| key.name == name).unwrap().kind;
    let found = [
        "found",
        "ring-size",
        "replicas",
        "connections",
        "join",
        "data",
        "ring",
        "log",
        "value-bytes",
        "body-wait",
    ]
    .map(kind);
    let (number, text) = (Kind::Number, Kind::Text);
    assert_eq!(
        found,
        [Kind::Switch, number, number, number, Kind::Texts, text, text, text, Kind::Size, Kind::Time]
    );
}

#[test]
fn what_a_file_says_is_what_the_options_would_say() {
    let text = "# a node\nring-size = 0x20\njoin = [\"a:1\", 'dns:b:2']\nfound = true\nreplicas = 1_0\n";
    assert_eq!(mistakes(text), ["FILE:5: replicas: the number of replicas is a whole number from 1 to 8"]);
    let text = "ring-size = 0x20\njoin = [\"a:1\", 'dns:b:2']\nfound = true\nlog = \"debug\"\nvalue-bytes = 4096\nbody-wait = \"2m\"\n";
    assert_eq!(mistakes(text), Vec::<String>::new());
    let (matches, printed) = settled(text, &["--print-config"]).unwrap();
    let (_, serve) = matches.subcommand().unwrap();
    let args = ServeArgs::from_arg_matches(serve).unwrap();
    assert!(args.conflicts(false).is_empty());
    let printed = printed.unwrap();
    for line in [
        "ring-size = 32 # file",
        "join = [\"a:1\", \"dns:b:2\"] # file",
        "found = true # file",
        "log = \"debug\" # file",
        "value-bytes = 4096 # file",
        "body-wait = \"2m\" # file",
        "replicas = 3 # default",
        "allow-flush = false # default",
        "body-wait = \"2m\" # file",
        "header-wait = \"10s\" # default",
        "# data is not set",
    ] {
        assert!(printed.lines().any(|printed| printed.starts_with(line)), "{line}: {printed}");
    }
    // One text will do for a list, and an empty list is none.
    let (_, printed) = settled("join = \"a:1,b:2\"\n", &["--print-config"]).unwrap();
    assert!(printed.unwrap().contains("join = [\"a:1\", \"b:2\"] # file"));
    let (_, printed) = settled("join = []\n", &["--print-config"]).unwrap();
    assert!(printed.unwrap().contains("# join is not set"));
}

#[test]
fn a_flag_comes_before_the_file_and_the_file_before_the_default() {
    let text = "replicas = 5\nsuccessors = 9\nfound = true\njoin = [\"a:1\"]\n";
    let (_, printed) =
        settled(text, &["--print-config", "--replicas", "2", "--join", "c:3", "--log", "warn"]).unwrap();
    let printed = printed.unwrap();
    for line in [
        "replicas = 2 # flag --replicas",
        "successors = 9 # file ",
        "join = [\"c:3\"] # flag --join",
        "write-quorum is not set",
        "ring = \"chord\" # default",
        "log = \"warn\" # flag --log",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(printed.contains(":2\n"), "with the line: {printed}");
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let text = "ring = \"r-1\"\nring-size = 64\njoin = [\"a:1\", \"dns:b:2\"]\nfound = true\ndata = 'a \"b\" \\c\td#'\nsync = \"interval\"\nstore-bytes = \"3GiB\"\nrequest-wait = \"1500ms\"\nlog-format = \"json\"\n";
    let (_, first) = settled(text, &["--print-config", "--replicas", "2", "--allow-flush"]).unwrap();
    let first = first.unwrap();
    let (_, second) = settled(&first, &["--print-config"]).unwrap();
    let second = second.unwrap();
    assert_eq!(values(&first), values(&second));
    assert!(values(&first).contains(&"data = \"a \\\"b\\\" \\\\c\\U00000009d#\"".to_owned()), "{first}");
    assert!(second.contains("allow-flush = true # file"), "{second}");
    assert!(!second.contains("# default"), "all that has a value is said: {second}");
}

#[test]
fn a_key_that_is_none_is_an_error_with_the_nearest_that_is_one() {
    for (key, near) in [
        ("replica", "`replicas`"),
        ("ring_size", "`ring-size`"),
        ("CHORD_RING_SIZE", "`ring-size`"),
        ("--join", "`join`"),
        ("Bind", "`bind`"),
        ("sucessors", "`successors`"),
        ("secretfile", "`secret-file`"),
    ] {
        let text = format!("\"{key}\" = 1\n");
        assert_eq!(mistakes(text), [format!("FILE:1: there is no key `{key}`: did you mean {near}?")]);
    }
    assert_eq!(
        mistakes("\ncolour = 'red'\n"),
        ["FILE:2: there is no key `colour`: `chord config example` has all that there are"]
    );
    for none in ["config = 'x'\n", "print-config = true\n", "known-as = 'a:1'\n", "end-with-input = true\n"] {
        assert_eq!(mistakes(none).len(), 1, "{none}");
    }
    let control = mistakes(format!("\"{}\\u001b\" = 1\n", "x".repeat(100)));
    assert!(control[0].len() < 150 && !control[0].contains('\u{1b}'), "{control:?}");
    assert_eq!(
        mistakes("[server]\nreplicas = 3\n"),
        ["FILE:1: `server` is a table, and there are none: all keys stand at the beginning of a line"]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error_that_shows_the_right_one() {
    for (line, sentence) in [
        ("replicas = \"3\"", "replicas is a whole number without quotes, as in replicas = 3, and not text"),
        (
            "replicas = 3.5",
            "replicas is a whole number without quotes, as in replicas = 3, and not a number with a fraction",
        ),
        (
            "replicas = [3]",
            "replicas is a whole number without quotes, as in replicas = 3, and not such a list",
        ),
        (
            "replicas = 1979-05-27",
            "replicas is a whole number without quotes, as in replicas = 3, and not a date",
        ),
        ("found = \"yes\"", "found is true or false without quotes, as in found = true, and not text"),
        ("found = 1", "found is true or false without quotes, as in found = true, and not a number"),
        ("data = 5", "data is text in quotes, as in data = \"...\", and not a number"),
        ("data = true", "data is text in quotes, as in data = \"...\", and not true or false"),
        ("data = {a = 1}", "data is text in quotes, as in data = \"...\", and not a table"),
        (
            "join = 4567",
            "join is a list of texts in quotes, as in join = [\"...\", \"...\"], and not a number",
        ),
        (
            "join = [\"a:1\", 2]",
            "join is a list of texts in quotes, as in join = [\"...\", \"...\"], and not such a list",
        ),
        (
            "body-wait = 10",
            "body-wait is text in quotes, a number with its unit, as in body-wait = \"10s\", and not a number",
        ),
        (
            "value-bytes = 1.5",
            "value-bytes is a number of bytes, or text in quotes with its unit, as in value-bytes = \"64MiB\", and not a number with a fraction",
        ),
    ] {
        assert_eq!(mistakes(format!("{line}\n")), [format!("FILE:1: {sentence}")]);
    }
}

#[test]
fn a_value_that_its_option_refuses_is_refused_in_the_same_words() {
    for (line, option) in [
        ("replicas = 9", "--replicas=9"),
        ("replicas = -1", "--replicas=-1"),
        ("replicas = 99999999999999999999999999999999999999999", "--replicas=x"),
        ("ring-size = 257", "--ring-size=257"),
        ("join = [\"a:1\", \"b\"]", "--join=b"),
        ("join = [\"dns:b\"]", "--join=dns:b"),
        ("listen = \"nowhere\"", "--listen=nowhere"),
        ("bind = \"1.2.3.4\"", "--bind=1.2.3.4"),
        ("advertise = \"a:0\"", "--advertise=a:0"),
        ("ring = \"a b\"", "--ring=a b"),
        ("sync = \"never\"", "--sync=never"),
        ("value-bytes = \"65MiB\"", "--value-bytes=65MiB"),
        ("body-wait = \"10\"", "--body-wait=10"),
        ("log = \"loud\"", "--log=loud"),
    ] {
        let key = line.split(' ').next().unwrap();
        let error = root().try_get_matches_from(["chord", "serve", option]).unwrap_err();
        let sentence = super::super::usage::sentence(&error, keys::serve(&root()));
        assert_eq!(mistakes(format!("\n{line}\n")), [format!("FILE:2: {key}: {sentence}")]);
    }
    assert_eq!(mistakes("data = ''\n").len(), 1, "an empty path is none");
}

#[test]
fn what_is_no_toml_is_said_with_its_line_and_what_a_line_is() {
    for (text, line, part) in [
        ("replicas = 3\nreplicas = 4\n", 2, "duplicate key"),
        ("replicas 3\n", 1, "a line is KEY = VALUE"),
        ("\n\nreplicas = \n", 3, "a line is KEY = VALUE"),
        ("data = /var/lib/chord\n", 1, "text in quotes"),
        ("data = \"open\nring = 'x'\n", 1, "text in quotes"),
        ("join = [\"a:1\", \n", 1, "a line is KEY = VALUE"),
        ("\u{0}\n", 1, "a line is KEY = VALUE"),
    ] {
        let told = mistakes(text);
        assert!(!told.is_empty(), "{text:?}");
        assert!(told[0].starts_with(&format!("FILE:{line}: this is no TOML (")), "{text:?}: {told:?}");
        assert!(told[0].contains(part), "{text:?}: {told:?}");
        assert!(told.iter().all(|one| !one.contains('\n')), "{told:?}");
    }
    assert!(mistakes("replicas = 3\nreplicas = 4\n")[0].contains("keep one of its lines"));
    let deep = format!("data = {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    assert!(!mistakes(deep).is_empty(), "and no stack overflows");
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_a_node_names_the_first_and_how_many_more() {
    let text = "replica = 3\nring-size = \"big\"\nsuccessors = 0\nlog = 'debug'\nbroken\n";
    let told = mistakes(text);
    let lines: Vec<&str> = told.iter().map(|one| one.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["FILE:1", "FILE:2", "FILE:3", "FILE:5"], "{told:?}");
    let refused = settled(text, &[]).unwrap_err();
    assert_eq!(
        refused,
        "FILE:1: there is no key `replica`: did you mean `replicas`?; `chord config check` says what else is wrong (3 more)"
    );
}

#[test]
fn what_makes_no_sense_together_is_said_with_the_line() {
    for (text, line, part) in [
        ("\nfound = true\n", 2, "--found is for a node"),
        ("sync = 'always'\n", 1, "--sync is about records on a disk"),
        ("replicas = 2\nwrite-quorum = 3\n", 2, "--write-quorum is 3"),
        ("\nsuccessors = 1\n", 2, "--replicas is 3, and the copies"),
        ("replicas = 8\nsuccessors = 6\n", 1, "--replicas is 8, and the copies"),
        ("bind = '0.0.0.0:1'\n", 1, "--bind 0.0.0.0:1 means every address"),
        ("\nadvertise = 'a:1'\n", 2, "--advertise says by which name"),
        ("listen = 'a:1'\nbind = 'b:1'\n", 1, "--listen and --bind both"),
        ("bind = '0.0.0.0:4567'\nlisten = 'a:1'\n", 2, "--listen and --bind both"),
        ("\nbind = '0.0.0.0:4567'\nlisten = '127.0.0.1:4567'\n", 3, "--listen and --bind both"),
        ("value-bytes = '2MiB'\nbodies-bytes = '1MiB'\n", 2, "--bodies-bytes is 1MiB"),
    ] {
        let told = mistakes(text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("FILE:{line}: {part}")), "{told:?}");
    }
}

#[test]
fn conflicts_hide_neither_each_other_nor_behind_mistakes_and_none_is_made_of_a_key_that_was_not_read() {
    let lines = |text: &str| {
        let told = mistakes(text);
        let number = |one: &String| one.split(':').nth(1).unwrap().parse::<usize>().unwrap();
        (told.iter().map(number).collect::<Vec<_>>(), told)
    };
    let all = "tls-cert = 'x'\nwrite-quorum = 3\nreplicas = 2\nadvertise = 'n1:4567'\nsync = 'always'\non-damage = 'refuse'\nvalue-bytes = '2MiB'\nbodies-bytes = '1MiB'\n";
    let (found, told) = lines(all);
    assert_eq!(found, [1, 2, 4, 5, 6, 8], "{told:?}");
    // Beside a key that there is not, and a value out of range.
    let (found, told) = lines(&format!("{all}colour = 'red'\nring-size = 300\n"));
    assert_eq!(found, [1, 2, 4, 5, 6, 8, 9, 10], "{told:?}");
    // What it means by `replicas`, `join`, `data` and `bind` nobody knows, so nobody says that it does not fit the others.
    for text in [
        "replicas = 99\nwrite-quorum = 4\nsuccessors = 1\n",
        "replica = 5\nwrite-quorum = 4\n",
        "join = 4567\nfound = true\n",
        "data = 5\nsync = 'always'\nvalue-bytes = '2MiB'\nstore-bytes = '1MiB'\n",
        "bind = 4567\nadvertise = 'n1:4567'\n",
    ] {
        let (found, told) = lines(text);
        assert_eq!(found, [1], "{text}: {told:?}");
    }
    let broken = file_of("replicas = 2\nwrite-quorum = 3\nbroken\n");
    let refused = check(broken.path(), &root()).unwrap_err().to_string();
    assert!(
        refused.ends_with(
            "is wrong in 1 place; whether its keys make sense together is said when all of its lines are TOML"
        ),
        "{refused}"
    );
}

#[test]
#[cfg(unix)]
fn files_that_a_node_would_not_take_are_wrong_in_the_line_that_names_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("good", "the-secret-of-this-ring\n", 0o600);
    write("open", "the-secret-of-this-ring\n", 0o644);
    write("short", "short\n", 0o600);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, made.der())
    );
    write("node.pem", &pem, 0o600);
    write("node.key", "no key\n", 0o600);
    let secret = |name: &str| format!("\nsecret-file = '{}'\n", path(name));
    let tls = format!(
        "tls-ca = '{}'\ntls-cert = '{}'\ntls-key = '{}'\n",
        path("node.pem"),
        path("node.pem"),
        path("node.key")
    );
    for (text, wrong) in [
        (secret("good"), None),
        (secret("none"), Some((2, "cannot read the file of secrets"))),
        (secret("open"), Some((2, "can read the file of secrets"))),
        (secret("short"), Some((2, "line 1: a secret of 5 characters"))),
        (tls.clone(), Some((3, "there is no private key in"))),
        (tls.replace("node.pem", "none"), Some((2, "cannot read"))),
        (format!("data = '{}'\n", path("good")), Some((1, "which is no directory"))),
        (format!("data = '{}/x'\n", path("good")), Some((1, "which is no directory"))),
        (format!("data = '{}'\n", path("new")), None),
    ] {
        let told = mistakes(&text);
        let Some((line, part)) = wrong else {
            assert_eq!(told, Vec::<String>::new(), "{text}");
            continue;
        };
        let [told] = &told[..] else { panic!("{text}: {told:?}") };
        assert!(told.starts_with(&format!("FILE:{line}: ")) && told.contains(part), "{text}: {told}");
    }
    assert!(!dir.path().join("new").exists(), "nothing is made");
}

#[test]
fn a_node_is_refused_that_is_told_twice_where_to_listen_also_where_once_it_is_as_if_nothing_was_said() {
    let both = "--listen and --bind both";
    let refused = settled("listen = '127.0.0.1:4567'\n", &["--bind", "0.0.0.0:4567"]).unwrap_err();
    assert!(refused.starts_with(both), "{refused}");
    let refused = settled("bind = '0.0.0.0:4567'\n", &["--listen", "127.0.0.1:4567"]).unwrap_err();
    assert!(refused.starts_with(both), "{refused}");
    assert!(settled("bind = '0.0.0.0:4567'\n", &["--advertise", "a:1"]).is_ok());
}

#[test]
fn a_collector_is_a_key_and_a_program_that_was_built_without_says_in_which_line() {
    let told = mistakes("\notlp-endpoint = 'http://127.0.0.1:4318'\n");
    if cfg!(feature = "otel") {
        assert_eq!(told, Vec::<String>::new());
    } else {
        assert!(told[0].starts_with("FILE:2: --otlp-endpoint needs a chord that was built with"), "{told:?}");
    }
    assert!(mistakes("otlp-endpoint = 'https://a:1'\n")[0].contains("without TLS"));
    assert!(mistakes("otlp-interval = '10ms'\n")[0].contains("from 1s to 1h"));
}

#[test]
fn a_file_that_cannot_be_one_is_refused_with_the_remedy() {
    let root = root();
    let keys = keys(&root);
    let told = |path: &Path| {
        let said: Vec<String> = read(path, &keys).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].replace(&path.display().to_string(), "FILE")
    };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(told(dir.path()), "FILE: is a directory: name a file in it");
    let gone = told(&dir.path().join("gone"));
    assert!(gone.starts_with("FILE: cannot be read: ") && gone.ends_with("; check the path"), "{gone}");
    assert!(told(Path::new("/dev/zero")).starts_with("FILE: is no file but a device"));
    let long = dir.path().join("long");
    fs::write(&long, "#".repeat(256 << 10)).unwrap();
    assert!(read(&long, &keys).is_ok(), "at the limit");
    fs::write(&long, "#".repeat((256 << 10) + 1)).unwrap();
    assert_eq!(told(&long), "FILE: is longer than 256 KiB, as no file of configuration is: name another one");
    let latin = dir.path().join("latin");
    fs::write(&latin, b"# one\n# caf\xe9\n").unwrap();
    assert_eq!(told(&latin), "FILE:2: is not text (UTF-8) here: save it as UTF-8");
}

#[test]
fn an_empty_file_and_one_with_a_mark_or_other_ends_of_lines_say_what_they_say() {
    for text in
        ["", "\n", "# nothing\n", "\u{feff}replicas = 2\n", "replicas = 2\r\nring = 'a'\r\n", "replicas = 2"]
    {
        assert_eq!(mistakes(text), Vec::<String>::new(), "{text:?}");
    }
    assert!(
        settled("\u{feff}replicas = 2\n", &["--print-config"])
            .unwrap()
            .1
            .unwrap()
            .contains("replicas = 2 # file")
    );
}

#[test]
fn whatever_a_file_holds_is_read_or_refused_in_single_lines() {
    let all: String = example::example(&root()).lines().filter_map(|line| line.strip_prefix("# ")).fold(
        String::new(),
        |all, line| {
            if line.contains(" = ") && !line.contains('`') { all + line + "\n" } else { all }
        },
    );
    assert!(all.lines().count() > 30, "{all}");
    let mut random = rand_pcg::Pcg64::new(7, 7);
    let signs = b"\"'[]{}=#\\\n,.-_ 0x\x00\x80\xff";
    let mut n_refused = 0;
    for _ in 0..300 {
        let mut bytes = all.clone().into_bytes();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = signs[random.random_range(0..signs.len())],
                1 => bytes.truncate(at.max(1)),
                _ => _ = bytes.remove(at),
            }
        }
        let told = mistakes(&bytes);
        n_refused += usize::from(!told.is_empty());
        assert!(told.iter().all(|one| !one.contains(['\n', '\r'])), "{told:?}");
    }
    assert!((100..=300).contains(&n_refused), "{n_refused}");
}

#[test]
fn the_file_with_every_key_is_that_of_the_repository_and_each_of_its_lines_is_right() {
    let root = root();
    let made = example::example(&root);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ops/chord.toml");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &made).unwrap();
    }
    assert_eq!(made, fs::read_to_string(path).unwrap(), "make it anew with UPDATE_EXPECT=1");
    assert_eq!(mistakes(&made), Vec::<String>::new(), "as it is, it says nothing");
    let keys = keys(&root);
    for key in &keys {
        let begin = format!("# {} = ", key.name);
        let line = made.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}"));
        let file = file_of(&line[2..]);
        let read = read(file.path(), &keys).unwrap_or_else(|mistakes| panic!("{line}: {}", mistakes[0]));
        assert_eq!(read.entries.len(), 1, "{line}");
    }
    assert!(made.lines().all(|line| line.chars().count() <= 120), "it fits on a screen");
}
