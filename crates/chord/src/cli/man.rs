//! `chord man`: manual pages of our commands, for packages to install.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::files;
use super::output::note;

/// Write manual pages, one a command, into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  chord man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The directory, which is made if it is not there; pages in it are replaced
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ManArgs {
    /// Writes the pages of that command and of those below it.
    pub(crate) fn run(&self, command: clap::Command) -> anyhow::Result<()> {
        fs::create_dir_all(&self.dir).map_err(files::cannot("make", &self.dir))?;
        let mut command = without_help(command);
        command.build();
        let n_pages = write(&command, &self.dir)?;
        note(format_args!("Wrote {n_pages} pages into {}", self.dir.display()));
        Ok(())
    }
}

/// Without `help`, which would have a page for each command beside that command's own.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Writes the page of a command and of all below it; returns how many.
fn write(command: &clap::Command, dir: &Path) -> anyhow::Result<usize> {
    let man =
        Man::new(command.clone()).source(concat!("chord ", env!("CARGO_PKG_VERSION"))).manual("Chord Manual");
    let path = dir.join(man.get_filename());
    let page = page(&man, command).map_err(files::cannot("make", &path))?;
    fs::write(&path, page).map_err(files::cannot("write", &path))?;
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
    shown.map(|below| write(below, dir)).sum::<anyhow::Result<usize>>().map(|n_below| n_below + 1)
}

fn page(man: &Man, command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        after_help(&after.to_string()).to_writer(&mut page)?;
    }
    Ok(page)
}

/// What stands below a command's help: a line without indentation that ends in a colon is a heading, and what is
/// indented below it keeps its lines, as examples must.
fn after_help(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut keeps_lines = false;
    for line in text.lines() {
        let is_indented = line.starts_with(' ');
        if keeps_lines && !is_indented {
            roff.control("fi", []);
            keeps_lines = false;
        }
        match line.strip_suffix(':') {
            Some(heading) if !is_indented => _ = roff.control("SH", [heading.to_uppercase().as_str()]),
            _ if line.is_empty() => _ = roff.control("PP", []),
            _ => {
                if is_indented && !keeps_lines {
                    roff.control("nf", []);
                    keeps_lines = true;
                }
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if keeps_lines {
        roff.control("fi", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_sentences_do_not() {
        let text = "Examples:\n  chord get a\n  chord get b\n\nAnswers go\nelsewhere.";
        let printed = after_help(text).render();
        assert!(
            printed.contains(".SH EXAMPLES\n.nf\nchord get a\nchord get b\n.fi\n.PP\nAnswers go\nelsewhere."),
            "{printed}"
        );
    }
}
