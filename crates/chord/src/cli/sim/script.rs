//! `chord sim script`: runs a scenario that somebody has written down.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chord_sim::{SCRIPT_BYTES_MAX, Script, script_guide};
use clap::Args;

use crate::cli::exit::Usage;
use crate::cli::output;

/// Run a scenario script: nodes that join, fail and repair their ring as the script says
///
/// It prints the script, and below each line what happened. Exit code 1 if something that the script expects does not
/// hold, 2 if the script is wrong.
#[derive(Debug, Args)]
#[command(after_help = "How scripts are written: chord sim script --help", after_long_help = script_guide())]
pub(crate) struct ScriptArgs {
    /// The script, or - for standard input
    file: PathBuf,
}

impl ScriptArgs {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let name = self.file.display().to_string();
        let script =
            Script::parse(&read(&self.file)?).map_err(|error| Usage::new(format!("{name}, {error}")))?;
        let run = script.run();
        output::styled(&run.transcript)?;
        if let Some(error) = run.stopped {
            return Err(Usage::new(format!("{name}, {error}")).into());
        }
        if let Some(first) = run.failed_lines.first() {
            let (n_failed, n_all) = (run.failed_lines.len(), run.n_expectations);
            anyhow::bail!(
                "{name}: {n_failed} of {n_all} expectations do not hold, the first in line {first}"
            );
        }
        Ok(())
    }
}

/// The script, or as much of it as shows that it is too large.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let limit = SCRIPT_BYTES_MAX as u64 + 1;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|script| script.take(limit).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    String::from_utf8(bytes)
        .map_err(|_| Usage::new(format!("{} is no text (UTF-8): name a script", file.display())).into())
}
