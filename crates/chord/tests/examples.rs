//! The examples do what they say.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::Path;
use std::process::Command;

/// Runs the example that was built with this test, or has it built when only this test was asked for.
fn run(example: &str) {
    let target = Path::new(env!("CARGO_BIN_EXE_chord")).parent().unwrap();
    let built = target.join("examples").join(example);
    let output = if built.exists() {
        Command::new(built).output().unwrap()
    } else {
        let arguments = ["run", "--quiet", "--package", "chord", "--example", example];
        Command::new(env!("CARGO")).args(arguments).output().unwrap()
    };
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn embed_runs() {
    run("embed");
}
