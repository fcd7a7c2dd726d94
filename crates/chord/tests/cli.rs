//! The command line from outside, where no ring is needed: help, wrong usage, exit codes.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn chord(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHORD_"))
    {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line on standard error of a command that ends with that code and prints nothing.
fn refusal(arguments: &str, code: i32) -> String {
    let output = chord(&arguments.split(' ').collect::<Vec<_>>());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "chord {arguments}: {stderr}");
    assert_eq!(text(&output.stdout), "", "chord {arguments}");
    let sentence = stderr.strip_prefix("error: ").and_then(|rest| rest.strip_suffix('\n'));
    let sentence = sentence.unwrap_or_else(|| panic!("chord {arguments}: {stderr:?}"));
    assert!(!sentence.contains('\n'), "chord {arguments}: {stderr}");
    sentence.to_owned()
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = section.take_while(|line| !line.is_empty()).filter_map(|line| {
        let indented = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
        indented.split_whitespace().next().map(str::to_owned)
    });
    commands.filter(|command| command != "help").collect()
}

fn help_of_all(path: &[String]) -> usize {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let output = chord(&arguments);
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(help.contains("Usage: chord"), "{arguments:?}: {help}");
    assert!(!help.contains("panicked"));
    let inner = listed(&help).into_iter().map(|command| help_of_all(&[path, &[command]].concat()));
    inner.sum::<usize>() + 1
}

#[test]
fn every_command_has_help() {
    let n_commands = help_of_all(&[]);
    assert!(n_commands > 15, "only {n_commands} commands were found");
}

#[test]
fn the_help_documents_exit_codes_and_the_version_is_shown() {
    let help = text(&chord(&["--help"]).stdout);
    for line in ["Exit codes:", "  0  done", "  3  chord get:", "chord dev "] {
        assert!(help.contains(line), "{line}: {help}");
    }
    assert_eq!(text(&chord(&["--version"]).stdout), format!("chord {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_ring_size_out_of_range_is_wrong_usage() {
    for size in ["0", "257"] {
        let expected = format!("the ring size is a number of bits from 1 to 256, not {size}");
        let server = format!("{expected} (see chord http server --help)");
        assert_eq!(refusal(&format!("http server 127.0.0.1 4567 {size}"), 2), server);
        assert_eq!(
            refusal(&format!("serve --ring-size {size}"), 2),
            format!("{expected} (see chord serve --help)")
        );
    }
}

#[test]
fn wrong_usage_is_one_line() {
    for arguments in [
        "frobnicate",
        "get",
        "get a b",
        "serve --frobnicate",
        "serve --listen nowhere",
        "serve --join nowhere",
        "serve --successors 0",
        "serve --connections 0",
        "serve --connections 1048577",
        "get foo --node 127.0.0.1:0",
        "lookup --id five",
        "dev --nodes 0",
        "dev --nodes 257",
        "dev --ring-size 1",
        "dev --port 65535",
        "bench --nodes 3 --node 127.0.0.1:4567",
        "bench --door xmlrpc --ring-size 64",
        "bench --node 127.0.0.1:4567 --replicas 2",
        "bench --data somewhere",
        "bench grow --nodes 0",
        "bench grow --nodes 1,65",
        "bench grow --simulated 8,",
        "bench grow --lookups 0",
        "bench --pipeline 0",
        "bench --rate 0",
        "bench --reads 101",
        "bench --zipf=0",
        "bench --zipf 10.5",
        "bench --value-bytes 64-16",
        "bench --door redis --cluster",
        "bench --node 127.0.0.1:4567 --cluster",
        "bench --door etcd",
        "bench --no-fill",
        "bench --no-fill --nodes 1",
        "bench idle --connections 0",
        "bench idle --connections 20001",
        "bench join --connections 0",
        "bench join --rate 0",
        "bench repair --rounds 0",
        "sim script",
        "sim script a b",
        "sim frobnicate",
        "sim run --seeds 0",
        "sim run --hosts 21",
        "sim run --only-faults one",
        "sim run --only-faults 999",
        "sim run --seeds 2 --only-faults 999",
        "sim run --seeds 2 --trace",
        "sim merge",
        "sim merge 0 4",
        "sim merge 4 4 --loss 51",
        "sim merge 1500 1500",
        "bench sim --nodes 0",
        "bench sim --nodes 17 --ring-size 4",
        "bench sim --nodes 15 --ring-size 4",
        "bench sim --successors 0",
        "bench sim --rate 5",
        "bench sim --churn 5 --lookups 10",
        "sim paper --only fig11",
        "sim paper --threads 0",
        "check --nodes 4",
        "check --memory 4",
        "check --layer A --memory 8",
        "check --layer D",
        "check --layer B --nodes 0",
        "check --layer B --nodes 9",
        "check --layer B --nodes 2",
        "check --layer B --r 0",
        "check --layer A --start one",
        "check --layer B --start two --claim proof",
        "completions cmd",
        "--log loud get foo",
        "http server 127.0.0.1 4567",
        "http server 127.0.0.1 65536 7",
        "http client 127.0.0.1 4567",
        "http client 127.0.0.1 4567 frobnicate",
        "http client 127.0.0.1 4567 find_successor --id -1",
        "http client 127.0.0.1 4567 put foo",
        "http client 127.0.0.1 4567 --get foo node",
    ] {
        let sentence = refusal(arguments, 2);
        assert!(sentence.ends_with(" --help)"), "{sentence}");
    }
}

#[test]
fn a_value_that_is_none_is_told_what_it_should_be() {
    for (arguments, expected) in [
        ("sim run --seed -1", "the seed is a whole number from 0 to "),
        ("sim data --seed -1", "the seed is a whole number from 0 to "),
        ("sim merge 4 4 --seed -1", "the seed is a whole number from 0 to "),
        ("sim merge 4 4 --loss -1", "the loss in percent is a whole number from 0 to 50"),
        ("sim run --hosts -1", "the number of hosts is a whole number from "),
        ("check --r -1", "the number of successors is a whole number from 1 to 7"),
        ("bench sim --churn 1 --rate -1", "the rate of joins is a whole number from 1 to "),
        ("sim paper --seed -1", "the seed is a whole number from 0 to "),
        ("bench sim --seed -1", "the seed is a whole number from 0 to "),
        ("sim run --only-faults x", "the number of a fault is a whole number from 0 to "),
        ("sim data --only-faults 1,-2", "the number of a fault is a whole number from 0 to "),
        ("put k v --ttl -1s", "a time is a whole number with its unit, as in "),
        ("incr k --ttl -1s", "a time is a whole number with its unit, as in "),
        ("check --layer A --memory 8", "layer A goes through all states, so that nothing but "),
    ] {
        let sentence = refusal(arguments, 2);
        assert!(sentence.starts_with(expected), "{arguments}: {sentence}");
    }
}

#[test]
fn a_value_in_no_file_is_told_with_the_remedy() {
    let sentence = refusal("put k --file no-such-file", 1);
    assert!(
        sentence.starts_with("cannot read no-such-file: ") && sentence.ends_with("; check the path"),
        "{sentence}"
    );
    let sentence = refusal("put k --file .", 1);
    assert!(
        sentence.starts_with("cannot read the value in .: ") && sentence.ends_with("; name a file"),
        "{sentence}"
    );
    let sentence = refusal("data import nowhere no-such-file", 1);
    assert!(
        sentence.starts_with("cannot read no-such-file: ") && sentence.ends_with("; check the path"),
        "{sentence}"
    );
}

#[test]
fn what_is_about_records_on_a_disk_is_refused_where_they_are_kept_in_memory() {
    for option in ["--on-damage refuse", "--on-damage set-aside", "--sync interval", "--sync always"] {
        for command in ["serve --listen 127.0.0.1:0", "http server 127.0.0.1 0 7"] {
            let sentence = refusal(&format!("{command} {option}"), 2);
            let name = option.split(' ').next().unwrap();
            assert!(sentence.starts_with(name) && sentence.contains("with --data"), "{sentence}");
        }
    }
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_collector_is_refused_by_a_program_that_was_built_without_and_how_to_build_it_is_said() {
    for command in ["serve --listen 127.0.0.1:0", "http server 127.0.0.1 0 7"] {
        let sentence = refusal(&format!("{command} --otlp-endpoint http://127.0.0.1:4318"), 2);
        assert!(sentence.starts_with("--otlp-endpoint needs a chord that was built with"), "{sentence}");
        assert!(sentence.contains("`cargo build --release -p chord --features otel`"), "{sentence}");
    }
}

#[test]
fn a_check_prints_what_it_found() {
    let output = chord(&["check", "--layer", "B", "--nodes", "4"]);
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output.stdout);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].starts_with("B  4 nodes, r = 2, from ideal rings "), "{table}");
    assert!(lines[1].contains(" 1,240  6,245 "), "{table}");
    assert!(lines[1].ends_with("  sound, ideal within 7"), "{table}");
    assert_eq!(text(&output.stderr), "", "progress is for terminals");
}

#[test]
fn a_check_that_fails_prints_how_it_comes_about() {
    let output = chord(&["check", "--layer", "B", "--nodes", "4", "--failures", "any"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("BROKEN in 1 steps") && told.contains("\n  fail 1 "), "{told}");
    assert_eq!(text(&output.stderr), "error: 1 of 1 checks failed\n");
}

#[test]
fn a_wrong_environment_variable_is_named() {
    use std::os::unix::ffi::OsStrExt as _;
    let told = |arguments: &str, variable: &str, value: &std::ffi::OsStr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
        command.args(arguments.split(' ')).env(variable, value).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments} with {variable}");
        let told = text(&output.stderr);
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    };
    for (variable, arguments, value, option) in [
        ("CHORD_NODE", "get foo", "nowhere", "--node nowhere"),
        ("CHORD_LISTEN", "serve", "nowhere", "--listen nowhere"),
        ("CHORD_JOIN", "serve", "127.0.0.1:4567,nowhere", "--join nowhere"),
        ("CHORD_JOIN", "http server 127.0.0.1 0 7", "", "--join="),
        ("CHORD_FOUND", "serve --join 127.0.0.1:1", "perhaps", "--found=perhaps"),
        ("CHORD_RING", "serve", "a b", "--ring=a\tb"),
        ("CHORD_RING_SIZE", "serve", "257", "--ring-size 257"),
        ("CHORD_SUCCESSORS", "serve", "0", "--successors 0"),
        ("CHORD_LOG", "get foo", "loud", "--log loud"),
    ] {
        let from_environment = told(arguments, variable, value.as_ref());
        let beginning = format!("error: {variable} in the environment: ");
        assert!(from_environment.starts_with(&beginning), "{from_environment}");
        // What is given as an option is the option's own fault, whatever the variable says.
        let given = told(&format!("{arguments} {option}"), variable, value.as_ref());
        assert!(!given.contains(variable), "{given}");
    }
    let no_text = told("get foo", "CHORD_NODE", std::ffi::OsStr::from_bytes(b"\xff:1"));
    assert_eq!(no_text, "error: CHORD_NODE in the environment: not text (UTF-8) (see chord get --help)\n");
}

#[test]
fn no_arguments_at_all_show_the_help() {
    let output = chord(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Commands:"));
}

#[test]
fn a_node_that_is_not_there_is_a_failure() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = format!("127.0.0.1:{port}");
    for command in ["get foo", "put foo bar", "lookup foo"] {
        let sentence = refusal(&format!("{command} --node {node}"), 1);
        assert!(sentence.contains(&node), "{sentence}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    for arguments in [
        format!("serve --listen 127.0.0.1:{port}"),
        format!("http server 127.0.0.1 {port} 7"),
        format!("dev --nodes 1 --port {port}"),
    ] {
        let sentence = refusal(&arguments, 1);
        assert!(sentence.contains(&port.to_string()), "{sentence}");
    }
}

#[test]
fn a_host_that_does_not_resolve_is_a_failure() {
    let sentence = refusal("serve --listen no-such-host.invalid:0", 1);
    assert!(sentence.contains("no-such-host.invalid"), "{sentence}");
}

#[test]
fn a_node_whose_host_is_unknown_is_told_from_one_that_does_not_answer() {
    for command in ["get foo", "put foo bar", "lookup foo"] {
        let sentence = refusal(&format!("{command} --node no-such-host.invalid:4567"), 1);
        assert!(sentence.starts_with("the host name no-such-host.invalid is unknown ("), "{sentence}");
    }
}

#[test]
fn a_ring_that_dies_under_churn_is_told_from_one_that_was_measured() {
    let output = chord(&["bench", "sim", "--nodes", "3", "--churn", "20", "--json"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: the ring died after ") && stderr.contains("--rate"), "{stderr}");
    assert!(stdout.contains("\"died\":true"), "{stdout}");
}

#[test]
fn an_unknown_experiment_is_told_which_there_are() {
    let sentence = refusal("sim paper --only fig8,fig11 --quick", 2);
    assert!(sentence.contains("the experiments are fig8, fig9, fig10"), "{sentence}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_remedy() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("results");
    let sentence = refusal(&format!("sim paper --quick --out {}", folder.display()), 1);
    assert!(sentence.contains(&*folder.to_string_lossy()) && sentence.contains("--out"), "{sentence}");
}

#[test]
fn help_is_wrapped_once() {
    for command in [
        "bench",
        "bench grow",
        "bench join",
        "bench repair",
        "bench slow-peer",
        "serve",
        "dev",
        "put",
        "get",
        "lookup",
        "ring",
        "trace",
        "node",
        "top",
        "sim script",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = text(&chord(&words).stdout);
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2).filter(|pair| !pair[1].is_empty() && !pair[1].starts_with(' ')) {
            // A line that is broken by hand and wrapped again leaves a word or two in between.
            let broken = pair[0].len() < 40 && !pair[0].is_empty() && !pair[0].ends_with([':', '.']);
            assert!(!broken, "{command}: {:?} before {:?}", pair[0], pair[1]);
        }
    }
}

/// What `chord sim script -` prints and says when it is given that script, and its exit code.
fn script(script: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    command.args(["sim", "script", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_script_prints_what_happened_below_each_line() {
    let (code, printed, told) = script(b"ideal 6 16\njoin 8 via 6\nround 2\nexpect ideal\n");
    let expected = "\
ideal 6 16
join 8 via 6
| 8 is a member: successors 16 6, predecessor 6
| 16: predecessor 6 -> 8
round 2
| 6: successors 16 -> 8 16
| 16: successors 6 -> 6 8
expect ideal
| yes
";
    assert_eq!((code, printed.as_str(), told.as_str()), (Some(0), expected, ""));
}

#[test]
fn a_script_may_begin_with_the_mark_that_some_editors_write() {
    let (code, printed, told) = script("\u{feff}ideal 6 16\nexpect ideal\n".as_bytes());
    assert_eq!((code, printed.as_str(), told.as_str()), (Some(0), "ideal 6 16\nexpect ideal\n| yes\n", ""));
}

#[test]
fn a_script_whose_expectation_fails_ends_with_1() {
    let (code, printed, told) = script(b"ideal 6 16\nexpect members 6\nexpect ideal\n");
    assert_eq!((code, printed.lines().count()), (Some(1), 5), "{printed}");
    assert_eq!(told, "error: standard input: 1 of 2 expectations do not hold, the first in line 2\n");
}

#[test]
fn a_script_that_is_wrong_ends_with_2_and_the_line() {
    let (code, printed, told) = script(b"ideal 6 16\nstabilise 6\n");
    let typo = "there is no command \"stabilise\": did you mean \"stabilize\"?";
    let help = "(see chord sim script --help)";
    assert_eq!((code, printed.as_str()), (Some(2), ""), "nothing is run");
    assert_eq!(told, format!("error: standard input, line 2: {typo} {help}\n"));
    let (code, printed, told) = script(b"ideal 6 16\nfail 7\nring\n");
    assert_eq!((code, printed.as_str()), (Some(2), "ideal 6 16\nfail 7\n"));
    assert_eq!(told, format!("error: standard input, line 2: there is no node 7: there are 6 16 {help}\n"));
    let (code, _, told) = script(b"\xff\xfe");
    assert_eq!(
        (code, told),
        (Some(2), format!("error: standard input is no text (UTF-8): name a script {help}\n"))
    );
    let (code, _, told) = script("#".repeat(70_000).as_bytes());
    let too_large = "a script has at most 65536 bytes: split it";
    assert_eq!((code, told), (Some(2), format!("error: standard input, line 1: {too_large} {help}\n")));
}

#[test]
fn a_script_that_is_not_there_is_a_failure() {
    let sentence = refusal("sim script no-such-script.txt", 1);
    assert!(sentence.starts_with("cannot read no-such-script.txt: "), "{sentence}");
}

#[test]
fn two_nodes_on_one_position_are_both_named() {
    // At m = 3 two of these five share a position; which is a matter of SHA-256, and the same for ever.
    let sentence = refusal("dev --ring-size 3", 1);
    assert!(sentence.starts_with("127.0.0.1:4567 and 127.0.0.1:4568 have the same position"), "{sentence}");
    assert!(sentence.contains("--ring-size"), "{sentence}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = chord(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("find_successor"), "{shell}");
    }
}

/// The page of each command that a help text lists, and of those below them, must be there; returns how many.
fn pages_of_all(dir: &Path, path: &[String]) -> usize {
    let name = [&["chord".to_owned()], path].concat().join("-");
    let page = std::fs::read_to_string(dir.join(format!("{name}.1")))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page.contains(&format!(".TH {name} 1")), "{name}: {page}");
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = text(&chord(&arguments).stdout);
    for variable in help.split("[env: ").skip(1).filter_map(|rest| rest.split('=').next()) {
        assert!(page.contains(variable), "the page of {name} leaves {variable} out");
    }
    let inner = listed(&help).into_iter().map(|command| pages_of_all(dir, &[path, &[command]].concat()));
    inner.sum::<usize>() + 1
}

#[test]
fn every_command_has_a_manual_page_and_no_page_is_of_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man/man1");
    for _ in 0..2 {
        let output = chord(&["man", pages.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        let n_pages = pages_of_all(&pages, &[]);
        assert_eq!(std::fs::read_dir(&pages).unwrap().count(), n_pages);
        assert!(text(&output.stderr).starts_with(&format!("Wrote {n_pages} pages into ")));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("man1");
    let sentence = refusal(&format!("man {}", below.display()), 1);
    assert!(sentence.starts_with(&format!("cannot make {}: ", below.display())), "{sentence}");
}

#[test]
fn a_reader_that_goes_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
    let mut child =
        command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

/// A data directory with these lines imported.
fn data_dir(lines: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let identity = r#"{"format":1,"ring":"","ring_bits":160,"node":"127.0.0.1:4567"}"#;
    std::fs::write(dir.path().join("identity.json"), identity).unwrap();
    let mut import = Command::new(env!("CARGO_BIN_EXE_chord"));
    let mut child = import
        .args(["data", "import"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    dir
}

const EXPORTED: [&str; 3] = [
    r#"{"key":"greeting","value":"hello","version":"2.0.1"}"#,
    r#"{"key":"gone","deleted":true,"version":"3.0.1"}"#,
    r#"{"key_base64":"//4=","value_base64":"AP8=","version":"4.0.1","expires_at_ms":253402300799999}"#,
];

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn data_is_exported_as_it_was_imported() {
    let dir = data_dir(&EXPORTED.join("\n"));
    let dir = dir.path().to_str().unwrap();
    let exported = chord(&["data", "export", dir]);
    assert_eq!(sorted_lines(&text(&exported.stdout)), sorted_lines(&EXPORTED.join("\n")));
    assert_eq!(text(&exported.stderr), "Exported 3 records\n");
    let again = format!("{dir}/again.jsonl");
    assert_eq!(chord(&["data", "export", dir, &again]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&again).unwrap(), text(&exported.stdout));
    assert!(refusal(&format!("data export {dir} {again}"), 1).contains("it is there already; remove it"));
    let expired = r#"{"key":"late","value":"v","version":"5.0.1","expires_at_ms":1700000000000}"#;
    std::fs::write(format!("{dir}/late.jsonl"), expired).unwrap();
    assert_eq!(chord(&["data", "import", dir, &format!("{dir}/late.jsonl")]).status.code(), Some(0));
    let exported = chord(&["data", "export", dir]);
    assert_eq!(text(&exported.stdout).lines().count(), 3);
    assert_eq!(text(&exported.stderr), "Exported 3 records; 1 left out, since expired\n");
    let imported = chord(&["data", "import", dir, &again]);
    assert_eq!(text(&imported.stdout), "Imported 3 records: 0 stored, 3 known or older\n");
    let checked = chord(&["data", "check", dir]);
    let line = text(&checked.stdout);
    assert!(
        line.starts_with("3 records of node 127.0.0.1:4567, ") && line.contains("1 say that a key"),
        "{line}"
    );
    assert!(line.ends_with(", 1 expire; expired, and not counted: 1\n"), "{line}");
    let json: serde_json::Value =
        serde_json::from_slice(&chord(&["data", "check", "--json", dir]).stdout).unwrap();
    let counts = ["records", "expired", "damaged"].map(|field| json[field].as_u64());
    assert_eq!(counts, [Some(3), Some(1), Some(0)]);
}

#[test]
fn a_file_named_by_a_dash_is_standard_input_or_output() {
    let dir = data_dir("");
    let run = |arguments: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chord"));
        // A file of that name would be made here.
        command.args(arguments).current_dir(dir.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    // Some editors begin a file with a byte order mark.
    let imported = run(&["data", "import", ".", "-"], &format!("\u{feff}{}\n", EXPORTED[0]));
    assert_eq!(text(&imported.stdout), "Imported 1 record: 1 stored, 0 known or older\n");
    let exported = run(&["data", "export", ".", "-"], "");
    assert_eq!(text(&exported.stdout).trim_end(), EXPORTED[0]);
    assert!(!dir.path().join("-").exists());
    let twice = format!("{}\n\u{feff}{}\n", EXPORTED[0], EXPORTED[1]);
    let refused = run(&["data", "import", "."], &twice);
    assert!(text(&refused.stderr).contains("line 2: "), "only at the beginning: {}", text(&refused.stderr));
}

#[test]
fn data_that_is_wrong_or_absent_is_refused_in_one_line() {
    let dir = data_dir("");
    let dir = dir.path().to_str().unwrap();
    assert!(refusal("data check /nowhere/at/all", 1).contains("is no data directory"));
    let bad = format!("{dir}/bad.jsonl");
    std::fs::write(&bad, format!("{}\nsecret\n", EXPORTED[0])).unwrap();
    let refused = refusal(&format!("data import {dir} {bad}"), 1);
    assert_eq!(refused, format!("{bad}: line 2: it is not JSON (column 1)"));
    std::fs::write(format!("{dir}/records.redb"), "no store").unwrap();
    let refused = refusal(&format!("data check {dir}"), 1);
    assert!(refused.contains("records.redb is damaged"), "{refused}");
}
