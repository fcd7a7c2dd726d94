//! `chord sim`: whole rings in one process, in no time and without a network.

mod data;
mod merge;
mod paper;
mod run;
mod script;
mod seeds;

use clap::Subcommand;

/// One command, in a file of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    Run(run::RunArgs),
    Data(data::DataArgs),
    Merge(merge::MergeArgs),
    Paper(paper::PaperArgs),
    Script(script::ScriptArgs),
}

impl SimCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(args) => args.run().await,
            Self::Data(args) => args.run().await,
            Self::Merge(args) => args.run().await,
            Self::Paper(args) => args.run().await,
            Self::Script(args) => args.run().await,
        }
    }
}
