//! `chord tls init`: an authority and certificates, to try things on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::date::Day;
use crate::cli::exit::Usage;
use crate::cli::files::cannot;
use crate::cli::output::{self, note};
use crate::cli::text::escaped;

/// Most names at a time: each is two files.
const NAMES_MAX: usize = 1000;

/// Characters of a refused name that are repeated.
const SHOWN_CHARS_MAX: usize = 60;

/// How long what is made here is valid: longer than anything is tried out.
const VALID_DAYS: u64 = 365;

/// The authority's files.
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";

/// Make a certificate authority and a certificate for each host, to develop and try things with
///
/// The key of the authority lies beside the others: whoever has it can make certificates for any host. For a ring that people
/// rely on, have certificates made by the authority of your organization, or keep that key elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord tls init certs --name 127.0.0.1
  chord tls init certs --name node1 --name node2 --name node3
  chord serve --listen 127.0.0.1:4567 --tls-cert certs/127.0.0.1.pem --tls-key certs/127.0.0.1.key --tls-ca certs/ca.pem
  chord put --tls-ca certs/ca.pem greeting hello")]
pub(crate) struct InitArgs {
    /// Where to put the files; made if it is not there
    dir: PathBuf,

    /// A host name or address for which to make a certificate and a key, as it stands in the node's name; may be repeated
    #[arg(long = "name", value_name = "HOST", required = true)]
    names: Vec<String>,
}

/// A file that is to be made.
struct Made {
    path: PathBuf,
    text: String,
    is_secret: bool,
}

impl InitArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let files = self.make()?;
        for file in &files {
            let is_there = file.path.try_exists().map_err(cannot("make", &file.path))?;
            if is_there {
                bail!(
                    "{} is there already, and nothing is overwritten: name another directory, or remove it first",
                    file.path.display()
                );
            }
        }
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot make the directory {}", self.dir.display()))?;
        for file in &files {
            file.write().with_context(|| format!("cannot write {}", file.path.display()))?;
            output::answer(file.path.display())?;
        }
        note(format_args!(
            "Made for development, valid for {VALID_DAYS} days: whoever has {} can be any node",
            self.dir.join(AUTHORITY_KEY).display()
        ));
        Ok(())
    }

    fn make(&self) -> anyhow::Result<Vec<Made>> {
        if self.names.len() > NAMES_MAX {
            return Err(Usage::new(format!("at most {NAMES_MAX} names are taken at a time")).into());
        }
        let authority = authority()?;
        let mut files = vec![
            Made::new(&self.dir, AUTHORITY, "CERTIFICATE", authority.der()),
            Made::secret(&self.dir, AUTHORITY_KEY, authority.key()),
        ];
        let hosts: Vec<&str> = self.names.iter().map(|name| bare(name)).collect();
        for (idx, host) in hosts.iter().enumerate() {
            check(host)?;
            if hosts.iter().take(idx).any(|before| before == host) {
                return Err(Usage::new(format!("{host} is named twice: once is enough")).into());
            }
            let (certificate, key) = certificate(host, &authority)
                .with_context(|| format!("cannot make a certificate for {host}"))?;
            files.push(Made::new(&self.dir, &format!("{host}.pem"), "CERTIFICATE", &certificate));
            files.push(Made::secret(&self.dir, &format!("{host}.key"), &key));
        }
        Ok(files)
    }
}

/// A host without the brackets in which an address of IPv6 stands in a name.
fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

/// Whether a host may be part of a file's name, and stand in a certificate.
fn check(host: &str) -> Result<(), Usage> {
    // With a port behind it, it is a node's name.
    let is_host =
        format!("{host}:1").parse::<chord::NodeName>().is_ok() || host.parse::<std::net::Ipv6Addr>().is_ok();
    if host == "ca" {
        return Err(Usage::new(format!(
            "--name ca: {AUTHORITY} and {AUTHORITY_KEY} are the files of the authority, so call that host otherwise"
        )));
    }
    if is_host && !host.starts_with('.') {
        return Ok(());
    }
    Err(Usage::new(format!(
        "--name takes a host name or an address without a port, as in node1 or 127.0.0.1, and not \"{}\"",
        shown(host)
    )))
}

/// A name as it is repeated to who gave it: cut where it is too long for a line.
fn shown(name: &str) -> String {
    let all = escaped(name.as_bytes());
    if all.chars().count() <= SHOWN_CHARS_MAX {
        return all;
    }
    all.chars().take(SHOWN_CHARS_MAX).chain("...".chars()).collect()
}

fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now();
    let at = |Day { year, month, of_month }: Day| date_time_ymd(year, month, of_month);
    // It began with this day, for clocks that are a little late.
    (params.not_before, params.not_after) = (at(Day::after(now, 0)), at(Day::after(now, VALID_DAYS)));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params(Vec::new(), "chord development CA")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate for that host and its key.
fn certificate(
    host: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(Vec<u8>, KeyPair), rcgen::Error> {
    let mut params = params(vec![host.to_owned()], host)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.der().to_vec(), key))
}

impl Made {
    fn new(dir: &Path, name: &str, label: &str, der: &[u8]) -> Self {
        Self { path: dir.join(name), text: pem(label, der), is_secret: false }
    }

    fn secret(dir: &Path, name: &str, key: &KeyPair) -> Self {
        Self { path: dir.join(name), text: pem("PRIVATE KEY", &key.serialize_der()), is_secret: true }
    }

    fn write(&self) -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if self.is_secret {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut file = options.open(&self.path)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }
}

/// Characters of a line of PEM (RFC 7468).
const LINE_CHARS: usize = 64;

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while let Some((line, others)) =
        rest.split_at_checked(LINE_CHARS.min(rest.len())).filter(|_| !rest.is_empty())
    {
        text.push_str(line);
        text.push('\n');
        rest = others;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_hosts_are_refused() {
        for host in ["node1", "127.0.0.1", "::1", "node1.example", "a_b"] {
            assert!(check(host).is_ok(), "{host}");
        }
        for host in ["", "a/b", "..", ".", "node1:4567", "ca", "a b", "../x"] {
            assert!(check(host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_name_that_is_refused_is_named_and_one_in_two_spellings_leaves_nothing_behind() {
        let told = |host: &str| check(host).unwrap_err().to_string();
        assert!(told("a b").ends_with("and not \"a b\""), "{}", told("a b"));
        assert!(told("node1:4567").contains("\"node1:4567\""), "{}", told("node1:4567"));
        assert!(!told("a\u{1b}[2J").contains('\u{1b}') && told(&"/".repeat(1000)).len() < 300);
        assert!(
            told("ca").starts_with("--name ca: ca.pem and ca.key are") && !told("b c").contains("ca.pem")
        );
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["::1".to_owned(), "[::1]".to_owned()];
        let args = InitArgs { dir: dir.path().join("new"), names };
        let twice = args.run().unwrap_err().to_string();
        assert!(twice.contains("::1 is named twice") && !args.dir.exists(), "{twice}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_not_said_to_have_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let args = InitArgs { dir: dir.path().join("file/x"), names: vec!["a".to_owned()] };
        let told = format!("{:#}", args.run().unwrap_err());
        assert!(told.starts_with("cannot make ") && told.ends_with("; check the path"), "{told}");
    }

    #[test]
    fn what_is_made_is_for_those_hosts_and_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let args =
            InitArgs { dir: dir.path().join("new"), names: vec!["node1".to_owned(), "[::1]".to_owned()] };
        args.run().unwrap();
        for host in ["node1", "::1"] {
            let read = super::super::show::read(&args.dir.join(format!("{host}.pem"))).unwrap();
            assert_eq!((read.len(), &read[0].names[..]), (1, &[host.to_owned()][..]));
        }
        let authority = super::super::show::read(&args.dir.join(AUTHORITY)).unwrap();
        assert!(authority[0].is_authority);
        let again = args.run().unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        #[cfg(unix)]
        for name in [AUTHORITY_KEY, "node1.key"] {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(args.dir.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
