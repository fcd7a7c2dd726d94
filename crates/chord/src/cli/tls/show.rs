//! `chord tls show`: what stands in certificates.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chord::Certificate;
use clap::Args;

use crate::cli::output;

/// Show for whom the certificates in a file are, and for how long
///
/// Whether anybody believes them is not looked at.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  chord tls show certs/node1.pem")]
pub(crate) struct ShowArgs {
    /// A file with certificates (PEM)
    file: PathBuf,
}

impl ShowArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let now = SystemTime::now();
        let told: Vec<String> = read(&self.file)?.iter().map(|certificate| text(certificate, now)).collect();
        output::lines(&told.join("\n"))
    }
}

/// The certificates in a file.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    Ok(Certificate::read(file)?)
}

fn text(certificate: &Certificate, now: SystemTime) -> String {
    let Certificate { subject, names, not_before, not_after, is_authority, .. } = certificate;
    let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
    let state = match not_after.duration_since(now) {
        _ if *not_before > now => " (not yet)".to_owned(),
        Err(_) => " (over)".to_owned(),
        Ok(left) => format!(" ({} days left)", left.as_secs() / 86_400),
    };
    format!(
        "subject      {}\nfor          {names}\nfrom         {}\nuntil        {}{state}\nauthority    {}\nfingerprint  SHA-256 {}\n",
        subject.as_deref().unwrap_or("-"),
        Certificate::date(*not_before),
        Certificate::date(*not_after),
        if *is_authority { "yes: it signs others" } else { "no" },
        certificate.fingerprint_text(),
    )
}
