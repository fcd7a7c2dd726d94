//! Rings with a secret, as they are run: the files, the commands, and what each says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::*;

const SECRET: &str = "the-secret-of-this-ring";

fn secret_file(dir: &Path, mode: u32, lines: &str) -> PathBuf {
    let path = dir.join("secret");
    fs::write(&path, lines).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    path
}

fn server(name: &str, further: &[&str]) -> Process {
    let mut process = Process::start(program().args(["serve", "--listen", name]).args(further));
    process.wait_until_it_says("Running on").expect("it serves");
    process
}

#[test]
fn a_ring_with_a_secret_serves_those_who_have_it_and_nobody_else() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    let secret = secret_file(dir.path(), 0o600, &format!("{SECRET}\n"));
    let secret = secret.to_str().expect("a path of text");
    let names = free_names(3, 160);
    let (first, second, stranger) = (&names[0], &names[1], &names[2]);
    let mut nodes = vec![server(first, &["--secret-file", secret])];
    nodes[0].wait_until_it_says("Founded a ring").expect("it founds one");
    nodes.push(server(second, &["--secret-file", secret, "--join", first]));
    nodes[1].wait_until_it_says("Joined the ring").expect("it joins");
    let put = run(&["put", "key", "value", "--node", second, "--secret-file", secret]);
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    let got = run(&["get", "key", "--node", first, "--secret-file", secret]);
    assert_eq!((got.code, got.stdout.as_str()), (Some(0), "value"), "{}", got.stderr);
    let refused = run(&["get", "key", "--node", first]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--secret-file"), "{}", refused.stderr);
    let (host, port) = first.split_once(':').expect("a name");
    let refused = run(&["http", "client", host, port, "shutdown"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    for command in [&["ring"][..], &["trace", "key"], &["node"], &["top", "--once"]] {
        let with_secret = [command, &["--node", second, "--secret-file", secret]].concat();
        let shown = run(&with_secret);
        assert!(
            shown.code == Some(0) && shown.stdout.contains(first.as_str()),
            "{command:?}: {}",
            shown.stderr
        );
        assert!(
            !shown.stdout.contains("program") && !shown.stdout.contains("unknown"),
            "{command:?}: {}",
            shown.stdout
        );
        let without = run(&with_secret[..with_secret.len() - 2]);
        assert_eq!(without.code, Some(1), "{command:?}: {}", without.stdout);
    }
    let mut outside = server(stranger, &["--join", first]);
    outside.wait_until_it_says("secret").expect("it says what is missing");
    assert!(!outside.stderr().contains(SECRET) && !nodes[0].stderr().contains(SECRET));
    // With it from the environment, as in a container.
    let mut with_secret = program();
    with_secret.args(["keys", "--node", second]).env("CHORD_SECRET_FILE", secret);
    let listed = run_command(&mut with_secret);
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "key\n"), "{}", listed.stderr);
}

#[test]
fn the_benchmark_is_let_in_by_the_secret_of_the_nodes_that_it_starts() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    let secret = secret_file(dir.path(), 0o600, &format!("{SECRET}\n"));
    let secret = secret.to_str().expect("a path of text");
    let usual = ["bench", "--nodes", "2", "--seconds", "1", "--warmup", "0", "--keys", "100", "--json"];
    let bench = |door| run(&[&usual[..], &["--door", door, "--secret-file", secret]].concat());
    for door in ["http", "xmlrpc", "rest", "redis"] {
        let ended = bench(door);
        assert_eq!(ended.code, Some(0), "{door}: {}", ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        for operation in report["operations"].as_array().expect("operations") {
            assert!(operation["count"].as_u64() > Some(0) && operation["errors"] == 0, "{door}: {operation}");
        }
    }
    let refused = bench("peer");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("leave --secret-file out"), "{}", refused.stderr);
}

#[test]
fn a_file_of_secrets_that_is_no_good_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let cases = [
        (0o644, SECRET, "chmod o="),
        (0o600, "", "has no secret"),
        (0o600, "\n# nothing\n", "has no secret"),
        (0o600, "short", "line 1: a secret of 5 characters is too short"),
        (0o600, "\nreader the-secret-of-this-ring", "line 2: "),
    ];
    for (mode, lines, expected) in cases {
        let secret = secret_file(dir.path(), mode, lines);
        let secret = secret.to_str().expect("a path of text");
        // What starts a node again should not try that for ever.
        for (command, code) in
            [(&["serve", "--listen", "127.0.0.1:0"][..], 2), (&["get", "key", "--node", "127.0.0.1:1"], 1)]
        {
            let refused = run(&[command, &["--secret-file", secret]].concat());
            assert_eq!(refused.code, Some(code), "{lines:?}: {}", refused.stderr);
            assert!(refused.stderr.contains(expected), "{lines:?}: {}", refused.stderr);
            assert!(!refused.stderr.contains("the-secret-of"), "{}", refused.stderr);
        }
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let refused = run(&["get", "key", "--secret-file", dir.path().join("none").to_str().expect("text")]);
    assert!(refused.code == Some(1) && refused.stderr.contains("none"), "{}", refused.stderr);
}
