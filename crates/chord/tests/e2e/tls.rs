//! Rings in TLS, as they are run: `chord tls`, the commands, and other people's clients.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::support::*;

/// The directory of a development authority with certificates for the loopback.
fn certificates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let made = run(&["tls", "init", text(dir.path()), "--name", "127.0.0.1", "--name", "node1.example"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(made.stderr.contains("for development"), "{}", made.stderr);
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn files(dir: &Path, host: &str) -> [String; 6] {
    let path = |name: &str| text(&dir.join(name)).to_owned();
    let option = |option: &str| option.to_owned();
    [
        option("--tls-cert"),
        path(&format!("{host}.pem")),
        option("--tls-key"),
        path(&format!("{host}.key")),
        option("--tls-ca"),
        path("ca.pem"),
    ]
}

fn server(name: &str, tls: &[String], further: &[&str]) -> Process {
    let mut process = Process::start(program().args(["serve", "--listen", name]).args(tls).args(further));
    process.wait_until_it_says("Running on").expect("it serves");
    process
}

/// Runs somebody else's program, where there is one.
fn theirs(name: &str, arguments: &[&str]) -> Option<Ended> {
    if Command::new(name).arg("--version").output().is_err() {
        eprintln!("there is no {name} here, so it is not tried");
        return None;
    }
    Some(run_command(Command::new(name).args(arguments)))
}

#[test]
fn three_nodes_in_tls_serve_our_commands_and_other_peoples_clients() {
    let _machine = beside_others();
    let dir = certificates();
    let ca = dir.path().join("ca.pem");
    let ca = text(&ca);
    let tls = files(dir.path(), "127.0.0.1");
    let names = free_names(4, 160);
    let [first, second, third, outside] = &names[..] else { panic!("four names") };
    let mut nodes = vec![server(first, &tls, &[])];
    nodes[0].wait_until_it_says("Founded a ring").expect("it founds one");
    for name in [second, third] {
        let mut node = server(name, &tls, &["--join", first]);
        node.wait_until_it_says("Joined the ring").expect("it joins");
        nodes.push(node);
    }
    let put = run(&["put", "key", "value", "--node", second, "--tls-ca", ca]);
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    for node in [first, second, third] {
        let got = run(&["get", "key", "--node", node, "--tls-ca", ca]);
        assert_eq!((got.code, got.stdout.as_str()), (Some(0), "value"), "{}", got.stderr);
    }
    for command in [&["ring"][..], &["trace", "key"], &["node"], &["top", "--once"]] {
        let in_tls = [command, &["--node", second, "--tls-ca", ca]].concat();
        let shown = run(&in_tls);
        assert!(
            shown.code == Some(0) && shown.stdout.contains(first.as_str()),
            "{command:?}: {}",
            shown.stderr
        );
        assert!(!shown.stdout.contains("program"), "{command:?}: {}", shown.stdout);
        let plain = run(&in_tls[..in_tls.len() - 2]);
        assert_eq!(plain.code, Some(1), "{command:?}: {}", plain.stdout);
    }
    let listed = run_command(program().args(["keys", "--node", third]).env("CHORD_TLS_CA", ca));
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "key\n"), "{}", listed.stderr);
    let plain = run(&["get", "key", "--node", first]);
    assert!(plain.code == Some(1) && plain.stderr.contains("speaks TLS alone"), "{}", plain.stderr);
    let bench =
        ["bench", "--node", second, "--seconds", "1", "--warmup", "0", "--keys", "50", "--tls-ca", ca];
    for door in ["http", "redis", "peer"] {
        let measured = run(&[&bench[..], &["--door", door]].concat());
        assert_eq!(measured.code, Some(0), "{door}: {}", measured.stderr);
    }
    others(first, ca);
    let mut stranger = server(outside, &[], &["--join", first]);
    stranger.wait_until_it_says("speaks TLS alone").expect("it says why it is not let in");
}

/// curl, redis-cli and Python, as far as they are here.
fn others(node: &str, ca: &str) {
    let (host, port) = node.split_once(':').expect("a name");
    let url = format!("https://{node}/v1/kv/key");
    if let Some(got) = theirs("curl", &["-sS", "--cacert", ca, &url]) {
        assert_eq!((got.code, got.stdout.as_str()), (Some(0), "value"), "{}", got.stderr);
        let untrusted = theirs("curl", &["-sS", &url]).expect("it is there");
        assert_ne!(untrusted.code, Some(0), "{}", untrusted.stdout);
        let old = theirs("curl", &["-sS", "--cacert", ca, "--tls-max", "1.1", &url]).expect("it is there");
        assert_ne!(old.code, Some(0), "{}", old.stdout);
        let older = theirs("curl", &["-sS", "--cacert", ca, "--tls-max", "1.2", &url]).expect("it is there");
        assert_eq!(older.stdout, "value", "{}", older.stderr);
    }
    let redis = ["-h", host, "-p", port, "--tls", "--cacert", ca, "GET", "key"];
    if let Some(got) = theirs("redis-cli", &redis) {
        assert_eq!((got.code, got.stdout.trim_end()), (Some(0), "value"), "{}", got.stderr);
    }
    let script = format!(
        "import ssl, xmlrpc.client\n\
         context = ssl.create_default_context(cafile={ca:?})\n\
         print(xmlrpc.client.ServerProxy('https://{node}', context=context, allow_none=True).get({{'key': 'key'}}))"
    );
    if let Some(got) = theirs("python3", &["-c", &script]) {
        assert!(got.code == Some(0) && got.stdout.contains("value"), "{}{}", got.stdout, got.stderr);
    }
}

#[test]
fn the_commands_of_certificates_refuse_what_they_should_and_show_what_is_there() {
    let dir = certificates();
    let path = |name: &str| dir.path().join(name);
    let again = run(&["tls", "init", text(dir.path()), "--name", "127.0.0.1"]);
    assert!(again.code == Some(1) && again.stderr.contains("nothing is overwritten"), "{}", again.stderr);
    for name in ["a/b", "node:4567", ""] {
        let wrong = run(&["tls", "init", text(&path("new")), "--name", name]);
        assert_eq!(wrong.code, Some(2), "{name}: {}", wrong.stderr);
        assert!(!path("new").exists());
    }
    let shown = run(&["tls", "show", text(&path("node1.example.pem"))]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for expected in ["for          node1.example\n", "days left)", "SHA-256 "] {
        assert!(shown.stdout.contains(expected), "{}", shown.stdout);
    }
    let none = run(&["tls", "show", text(&path("ca.key"))]);
    assert!(none.code == Some(1) && none.stderr.contains("no certificate"), "{}", none.stderr);
}

/// A certificate or a key as a file.
fn write_pem(path: &Path, label: &str, der: &[u8], mode: u32) {
    let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der));
    std::fs::write(path, pem).expect("it can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_node_whose_authority_is_over_says_so_at_the_start_and_serves_all_the_same() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a directory");
    let mut of_authority = CertificateParams::new(Vec::new()).expect("no names");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    of_authority.not_after = date_time_ymd(2020, 1, 2);
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().expect("a key"));
    let authority = authority.expect("it is signed");
    let key = KeyPair::generate().expect("a key");
    let mut of_node = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    of_node.not_after = date_time_ymd(2056, 1, 2);
    let node = of_node.signed_by(&key, &authority).expect("it is signed");
    write_pem(&dir.path().join("ca.pem"), "CERTIFICATE", authority.der(), 0o644);
    write_pem(&dir.path().join("127.0.0.1.pem"), "CERTIFICATE", node.der(), 0o644);
    write_pem(&dir.path().join("127.0.0.1.key"), "PRIVATE KEY", &key.serialize_der(), 0o600);
    let tls = files(dir.path(), "127.0.0.1");
    let name = &free_names(1, 160)[0];
    let mut node = server(name, &tls, &["--log-format", "json"]);
    node.wait_until_it_says("\"event\":\"authority-expired\"").expect("it says so");
    let said = node.stderr();
    assert!(said.contains("expired on Thu, 02 Jan 2020"), "{said}");
    assert!(!said.contains("certificate-expire"), "its own is valid: {said}");
    let put = run(&["put", "key", "value", "--node", name, "--tls-ca", &tls[5]]);
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    if let Some(got) = theirs("curl", &["-sk", &format!("https://{name}/metrics")]) {
        let told =
            got.stdout.lines().find_map(|line| line.strip_prefix("chord_tls_authority_expiry_seconds "));
        let told: f64 = told.expect("it is told").parse().expect("a number");
        assert!((told - 1_577_923_200.0).abs() < 1.0, "{told}");
    }
}

#[test]
fn a_node_that_is_told_something_wrong_of_tls_says_what_and_the_remedy_in_one_line() {
    let dir = certificates();
    let good = files(dir.path(), "127.0.0.1");
    let other = files(dir.path(), "node1.example");
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let half = run(&[&listen[..], &["--tls-cert", good[1].as_str()]].concat());
    assert!(half.code == Some(2) && half.stderr.contains("--tls-key and --tls-ca"), "{}", half.stderr);
    let with = |at: usize, file: &str| {
        let mut files = good.clone();
        file.clone_into(&mut files[at]);
        files
    };
    for (files, expected) in [
        (other.clone(), "is for node1.example, and this node is called 127.0.0.1"),
        (with(3, &other[3]), "is not that of the certificate"),
        (with(5, &other[1]), "no authority in"),
        (with(5, "/none"), "cannot read /none"),
    ] {
        let refused = run_command(program().args(listen).args(files));
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(
            refused.stderr.contains(expected) && refused.stderr.lines().count() == 1,
            "{}",
            refused.stderr
        );
    }
}
