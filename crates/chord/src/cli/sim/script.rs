//! `chord sim script`: runs a scenario that somebody has written down.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::Context as _;
use chord_sim::script::{self, BYTES_MAX, Script};
use clap::Args;

use crate::cli::exit::Usage;
use crate::cli::output;
use crate::cli::signals::Signals;

/// Run a scenario script: nodes that join, fail and repair their ring as the script says
///
/// It prints the script, and below each line what happened. Exit code 1 if something that the script expects does not
/// hold, 2 if the script is wrong.
#[derive(Debug, Args)]
#[command(after_help = "How scripts are written: chord sim script --help", after_long_help = script::guide())]
pub(crate) struct ScriptArgs {
    /// The script, or - for standard input
    file: PathBuf,
}

impl ScriptArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let name = if self.is_standard_input() {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        };
        let wrong = |error| Usage::new(format!("{name}, {error}"));
        let script = Script::parse(&self.read(&name)?).map_err(wrong)?;
        let run = Signals::with_hangup()?.hear(move |is_stopped| script.run_while(|| !is_stopped())).await?;
        output::styled(&run.transcript)?;
        if run.is_interrupted {
            anyhow::bail!("{name}: stopped before the end of the script");
        }
        if let Some(error) = run.stopped {
            return Err(wrong(error).into());
        }
        if let Some(first) = run.failed_lines.first() {
            let (n_failed, n_all) = (run.failed_lines.len(), run.n_expectations);
            anyhow::bail!(
                "{name}: {n_failed} of {n_all} expectations do not hold, the first in line {first}"
            );
        }
        Ok(())
    }

    fn is_standard_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// The script, or as much of it as shows that it is too large.
    fn read(&self, name: &str) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let limit = BYTES_MAX as u64 + 1;
        let read = if self.is_standard_input() {
            io::stdin().lock().take(limit).read_to_end(&mut bytes)
        } else {
            File::open(&self.file).and_then(|script| script.take(limit).read_to_end(&mut bytes))
        };
        read.with_context(|| format!("cannot read {name}"))?;
        if bytes.len() > BYTES_MAX {
            // The end of it may be half a character, but that is not what is wrong.
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
        String::from_utf8(bytes)
            .map_err(|_| Usage::new(format!("{name} is no text (UTF-8): name a script")).into())
    }
}
