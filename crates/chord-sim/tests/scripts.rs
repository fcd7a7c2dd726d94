//! Every script of `testdata` prints what its file says. `UPDATE_EXPECT=1 cargo test -p chord-sim --test scripts` writes
//! what they print now.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::path::{Path, PathBuf};

use chord_sim::{Run, SCRIPT_EXAMPLE, Script};

fn scripts() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    scripts.sort();
    scripts.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

fn run(text: &str) -> Run {
    Script::parse(text).unwrap_or_else(|error| panic!("{error}")).run()
}

#[test]
fn every_script_prints_what_its_file_says_and_holds_what_it_expects() {
    let mut wrong = Vec::new();
    for (path, text) in scripts() {
        let name = path.file_name().unwrap().display().to_string();
        let run = match Script::parse(&text) {
            Ok(script) => script.run(),
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        if let Some(error) = &run.stopped {
            wrong.push(format!("{name}: {error}"));
        }
        wrong.extend(run.failed_lines.iter().map(|line| format!("{name}: line {line} fails")));
        if run.n_expectations == 0 {
            wrong.push(format!("{name} expects nothing"));
        }
        if run.transcript == text {
            continue;
        }
        if run.stopped.is_none() && std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &run.transcript).unwrap();
        } else {
            wrong.push(format!("{name} prints\n{}", run.transcript));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
