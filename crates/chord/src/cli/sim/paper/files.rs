//! What an experiment leaves in the folder of the results.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use chord_sim::paper::{Findings, Report};

/// Makes the folder, before minutes are spent on what could not be written.
pub(super) fn prepare(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {} for the results, choose another with --out", folder.display())
    })
}

/// A file for each table and each plot.
pub(super) fn write_findings(folder: &Path, findings: &Findings) -> anyhow::Result<()> {
    for table in &findings.tables {
        write(&folder.join(format!("{}.csv", table.id)), &table.csv())?;
    }
    for chart in &findings.charts {
        write(&folder.join(format!("{}.svg", chart.id)), &chart.svg())?;
    }
    Ok(())
}

/// One page on all, in two languages.
pub(super) fn write_report(folder: &Path, report: &Report) -> anyhow::Result<()> {
    write(&folder.join("report.md"), &report.markdown())?;
    write(&folder.join("report.html"), &report.html())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
