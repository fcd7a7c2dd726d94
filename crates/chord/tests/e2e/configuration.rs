//! Nodes that are told by files and the environment what they are, where they listen and whom they join.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::*;

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("it can be written");
    // It may be one of secrets.
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The events in a log of JSON, with their levels.
fn events(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .map(|line| {
            [&line["event"], &line["level"]].map(|field| field.as_str().unwrap_or("").to_owned()).into()
        })
        .collect()
}

/// What a configuration says, without where it says that it comes from.
fn values(printed: &str) -> Vec<&str> {
    let lines = printed.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value)).collect()
}

#[test]
fn three_nodes_make_a_ring_by_what_their_files_say() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    let names = free_names(3, 64);
    let ports: Vec<&str> =
        names.iter().filter_map(|name| name.rsplit_once(':').map(|(_, port)| port)).collect();
    let common = "ring-size = 64\nring = \"by-file\"\nreplicas = 2\n";
    let files = [
        format!("{common}listen = \"{}\"\n", names[0]),
        // The usual way in a container, and through a name that stands for many.
        format!(
            "{common}bind = \"0.0.0.0:{}\"\nadvertise = \"{}\"\njoin = [\"dns:localhost:{}\"]\n",
            ports[1], names[1], ports[0]
        ),
        // The first one to join is not there.
        format!(
            "{common}listen = \"{}\"\njoin = [\"127.0.0.1:1\", \"{}\"]\nlog-format = \"json\"\n",
            names[2], names[1]
        ),
    ];
    let files: Vec<PathBuf> =
        files.iter().enumerate().map(|(n, file)| written(dir.path(), &format!("{n}.toml"), file)).collect();
    let mut nodes = [
        Process::start(program().args(["serve", "--config", text(&files[0])])),
        Process::start(program().args(["serve", "--config", text(&files[1])])),
        Process::start(program().args(["serve"]).env("CHORD_CONFIG", &files[2])),
    ];
    for (node, said) in nodes.iter_mut().zip(["Founded a ring", "Joined the ring", "Joined the ring"]) {
        node.wait_until_it_says(said).expect("it comes into the ring");
    }
    let stored = run(&["put", "key", "value", "--node", &names[2]]);
    assert_eq!(stored.code, Some(0), "{}", stored.stderr);
    assert!(stored.stdout.contains("in 2 copies") || stored.stderr.contains("in 2 copies"), "{stored:?}");
    let got = run(&["get", "key", "--node", &names[1]]);
    assert_eq!((got.code, got.stdout.as_str()), (Some(0), "value"), "{}", got.stderr);
    wait_for("all three in one ring", std::time::Duration::from_secs(20), || {
        let shown = run(&["ring", "--node", &names[0], "--json"]);
        let missing = names.iter().find(|name| !shown.stdout.contains(name.as_str()));
        missing.map_or(Ok(()), |name| Err(format!("{name} is missing in {}", shown.stdout)))
    });
    assert!(
        events(&nodes[2].stderr()).iter().any(|(event, _)| event == "joined"),
        "the log is JSON: {}",
        nodes[2].stderr()
    );
    assert!(!nodes[1].stderr().contains("leads"), "its name leads to it: {}", nodes[1].stderr());
}

#[test]
fn what_a_node_is_told_is_printed_with_its_sources_and_reads_back_as_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = written(dir.path(), "secret", "nobody-must-see-this-one");
    let file = format!(
        "replicas = 2\nsuccessors = 5\nsecret-file = \"{}\"\njoin = [\"a:1\", \"dns:b:2\"]\n",
        text(&secret)
    );
    let file = written(dir.path(), "node.toml", &file);
    let mut command = program();
    command.args([
        "serve",
        "--config",
        text(&file),
        "--print-config",
        "--successors",
        "6",
        "--data",
        "a \"quoted\" \u{e9}",
    ]);
    let first =
        run_command(command.env("CHORD_REPLICAS", "4").env("CHORD_FOUND", "true").env("CHORD_LOG", "debug"));
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    for line in [
        "replicas = 4 # environment CHORD_REPLICAS".to_owned(),
        "successors = 6 # flag --successors".to_owned(),
        "found = true # environment CHORD_FOUND".to_owned(),
        "log = \"debug\" # environment CHORD_LOG".to_owned(),
        format!("join = [\"a:1\", \"dns:b:2\"] # file {}:4", text(&file)),
        "ring = \"chord\" # default".to_owned(),
        "# write-quorum is not set".to_owned(),
    ] {
        assert!(first.stdout.lines().any(|printed| printed == line), "{line}: {}", first.stdout);
    }
    assert!(!first.stdout.contains("nobody-must"), "{}", first.stdout);
    let again = written(dir.path(), "again.toml", &first.stdout);
    let second = run(&["serve", "--config", text(&again), "--print-config"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(values(&first.stdout), values(&second.stdout));
    assert!(
        !second.stdout.contains("# environment") && !second.stdout.contains("# flag"),
        "{}",
        second.stdout
    );
    let checked = run(&["config", "check", text(&again)]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("is right, and says "), "{}", checked.stdout);
}

#[test]
fn a_file_that_is_wrong_ends_the_start_with_one_line_and_the_check_says_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let wrong = written(dir.path(), "wrong.toml", "replica = 3\nring-size = 257\nfound = 1\nring-size = 4\n");
    let path = text(&wrong);
    for mut command in [
        {
            let mut by_flag = program();
            by_flag.args(["serve", "--config", path]);
            by_flag
        },
        {
            let mut by_variable = program();
            by_variable.arg("serve").env("CHORD_CONFIG", path);
            by_variable
        },
        {
            let mut printing = program();
            printing.args(["serve", "--print-config", "--config", path]);
            printing
        },
    ] {
        let refused = run_command(&mut command);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(
            refused
                .stderr
                .contains(&format!("{path}:1: there is no key `replica`: did you mean `replicas`?")),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("(3 more)"), "{}", refused.stderr);
    }
    let checked = run(&["config", "check", path]);
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(1), ""));
    let said: Vec<&str> = checked.stderr.lines().collect();
    assert_eq!(said.len(), 5, "{said:#?}");
    for (line, part) in said.iter().zip([
        "did you mean `replicas`?",
        "from 1 to 256",
        "found = true",
        "keep one of its lines",
        "in 4 places",
    ]) {
        assert!(line.contains(part), "{said:#?}");
    }
    let gone = run(&["serve", "--config", text(&dir.path().join("gone.toml"))]);
    assert!(gone.code == Some(2) && gone.stderr.contains("check the path"), "{}", gone.stderr);
}

/// A node that is told to advertise a name, until its log says something of it.
fn advertised(name: &str, port: &str) -> Process {
    let mut command = program();
    command.args([
        "serve",
        "--log-format",
        "json",
        "--bind",
        &format!("0.0.0.0:{port}"),
        "--advertise",
        name,
    ]);
    Process::start(&mut command)
}

#[test]
fn a_node_says_when_the_name_that_it_gives_to_others_leads_elsewhere_or_nowhere_and_serves_meanwhile() {
    let _machine = beside_others();
    let names = free_names(4, 160);
    let port = |name: &str| name.rsplit_once(':').expect("a name").1.to_owned();
    let mut other = Process::start(program().args(["serve", "--listen", &names[0]]));
    other.wait_until_it_says("Founded a ring").expect("it serves");
    for (name, at, event, level, remedy) in [
        (
            &names[0],
            &names[1],
            "name-leads-elsewhere",
            "ERROR",
            "advertise a name and a port of this node's own",
        ),
        (&names[2], &names[3], "name-leads-nowhere", "WARN", "nobody is there"),
    ] {
        let mut node = advertised(name, &port(at));
        node.wait_until_it_says(event).expect("it says so");
        assert!(events(&node.stderr()).contains(&(event.to_owned(), level.to_owned())), "{}", node.stderr());
        assert!(node.stderr().contains(remedy), "{}", node.stderr());
        node.wait_until_it_says("Founded a ring").expect("it runs all the same");
        let answer = run(&["get", "nothing", "--node", at]);
        assert_eq!(answer.code, Some(3), "{}", answer.stderr);
        assert!(node.stderr().contains("no-secret"), "it listens beyond its machine: {}", node.stderr());
        let everywhere =
            format!("whoever reaches 0.0.0.0:{}, which is every address of this machine, can", port(at));
        assert!(node.stderr().contains(&everywhere), "{}", node.stderr());
    }
}

#[test]
fn what_says_nowhere_how_others_reach_a_node_is_refused_with_the_remedy() {
    for (options, remedy) in [
        (&["--bind", "0.0.0.0:4567"][..], "--advertise HOST:PORT"),
        (&["--listen", "[::]:4567"], "give it as --bind"),
        (&["--advertise", "node1:4567"], "--bind 0.0.0.0:4567"),
        (&["--bind", "127.0.0.1:0", "--listen", "127.0.0.1:1"], "--listen and --bind both"),
        (&["--join", "dns:chord"], "as in dns:chord:4567"),
    ] {
        let refused = run(&[&["serve"], options].concat());
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(remedy) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    }
}

#[test]
fn a_limit_that_a_file_sets_holds() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    let name = &free_names(1, 160)[0];
    let file = written(dir.path(), "node.toml", &format!("listen = \"{name}\"\nvalue-bytes = \"1KiB\"\n"));
    let mut node = Process::start(program().args(["serve", "--config", text(&file)]));
    node.wait_until_it_says("Founded a ring").expect("it serves");
    let put =
        |value: &str| run_command(Command::new(program_file()).args(["put", "key", value, "--node", name]));
    assert_eq!(put(&"x".repeat(1024)).code, Some(0));
    let refused = put(&"x".repeat(1025));
    assert!(refused.code == Some(1) && refused.stderr.contains("1024"), "{}", refused.stderr);
}
