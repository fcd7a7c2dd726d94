//! `chord completions`: the script that makes a shell complete our commands and options.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

use super::exit::stream_error;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chord completions bash > ~/.local/share/bash-completion/completions/chord"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script for that command and those below it.
    pub(crate) fn run(&self, command: &mut clap::Command) -> anyhow::Result<()> {
        // Made whole first: clap's generator panics when its reader goes.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "chord", &mut script);
        std::io::stdout().lock().write_all(&script).map_err(|error| stream_error(&error))
    }
}
