//! The examples do what they say.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;
use std::process::Command;

/// Runs the example that was built with this test, or has it built when only this test was asked for; what it prints.
fn run(example: &str) -> String {
    let target = Path::new(env!("CARGO_BIN_EXE_chord")).parent().unwrap();
    let built = target.join("examples").join(example);
    let output = if built.exists() {
        Command::new(built).output().unwrap()
    } else {
        let arguments = ["run", "--quiet", "--package", "chord", "--example", example];
        Command::new(env!("CARGO")).args(arguments).output().unwrap()
    };
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn embed_runs() {
    let printed = run("embed");
    assert!(printed.starts_with("hello from 127.0.0.1:"), "{printed}");
}

#[test]
fn the_readme_shows_embed_whole() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(package.join(path)).unwrap();
    let program = read("examples/embed.rs");
    let begin = program.find("use chord::Node;").unwrap();
    let shown = format!("```rust\n{}```\n", &program[begin..]);
    assert!(
        read("../../README.md").contains(&shown),
        "the README shows another program than examples/embed.rs"
    );
}
