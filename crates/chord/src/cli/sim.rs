//! `chord sim`: whole rings in one process, in no time and without a network.

mod script;

use clap::Subcommand;

/// One command, in a file of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    Script(script::ScriptArgs),
}

impl SimCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Script(args) => args.run(),
        }
    }
}
