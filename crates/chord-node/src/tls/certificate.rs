//! What a certificate says of itself, as far as people are told: for whom it is, and for how long.
//!
//! Whether it may be believed is not decided here.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::files::{Text, TlsFileError};

/// Names that are told of one certificate, at most: enough for any node.
const NAMES_MAX: usize = 64;

/// A certificate (RFC 5280) as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Its common name, if it has one.
    pub subject: Option<String>,
    /// The host names and addresses for which it is.
    pub names: Vec<String>,
    /// From when on it is valid, and until when.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
    /// Whether it signs others.
    pub is_authority: bool,
    /// By which it is told from all others: SHA-256 of its bytes.
    pub fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads the bytes of a certificate; `None` if they are none.
    pub fn of_der(bytes: &[u8]) -> Option<Self> {
        let mut certificate = Der(bytes).expect(SEQUENCE)?;
        let mut fields = certificate.expect(SEQUENCE)?;
        if fields.0.first() == Some(&VERSION) {
            fields.next()?;
        }
        // Its number, how it is signed, and by whom.
        let _ = (fields.next()?, fields.expect(SEQUENCE)?, fields.expect(SEQUENCE)?);
        let mut validity = fields.expect(SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = common_name(fields.expect(SEQUENCE)?);
        let (mut names, mut is_authority) = (Vec::new(), false);
        while let Some((tag, content)) = fields.next() {
            if tag != EXTENSIONS {
                continue;
            }
            let mut extensions = Der(content).expect(SEQUENCE)?;
            while let Some(mut extension) = extensions.expect(SEQUENCE) {
                let (_, of) = extension.next()?;
                let mut last = extension.next()?;
                last = extension.next().unwrap_or(last);
                match of {
                    ALTERNATIVE_NAMES => names = alternative_names(Der(last.1).expect(SEQUENCE)?),
                    CONSTRAINTS => {
                        let said = Der(last.1).expect(SEQUENCE)?.next();
                        is_authority = matches!(said, Some((BOOLEAN, [said])) if *said != 0);
                    }
                    _ => {}
                }
            }
        }
        let fingerprint = Sha256::digest(bytes).into();
        Some(Self { subject, names, not_before, not_after, is_authority, fingerprint })
    }

    /// The certificates in a file, in PEM.
    ///
    /// # Errors
    /// There is none in the file, or it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Self>, TlsFileError> {
        let text = Text::read(path.as_ref(), "the command line")?;
        let unknown = || text.bad_certificate(&"it is no X.509 certificate");
        text.certificates()?.iter().map(|der| Self::of_der(der).ok_or_else(unknown)).collect()
    }

    /// A moment as people read it.
    pub fn date(moment: SystemTime) -> String {
        httpdate::fmt_http_date(moment)
    }

    /// The fingerprint as other programs write it: pairs of digits with colons between.
    pub fn fingerprint_text(&self) -> String {
        let mut text = String::with_capacity(3 * self.fingerprint.len());
        for byte in self.fingerprint {
            let colon = if text.is_empty() { "" } else { ":" };
            let _ = write!(text, "{colon}{byte:02X}");
        }
        text
    }
}

/// For whom a certificate is, in a sentence.
pub(super) struct Names<'a>(pub(super) &'a Certificate);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.names.is_empty() {
            return f.write_str("no host");
        }
        f.write_str(&self.0.names.join(", "))
    }
}

const BOOLEAN: u8 = 0x01;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// The identifiers 2.5.4.3, 2.5.29.17 and 2.5.29.19.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];

fn common_name(mut subject: Der<'_>) -> Option<String> {
    while let Some(mut set) = subject.expect(SET) {
        let mut part = set.expect(SEQUENCE)?;
        if part.next()?.1 == COMMON_NAME {
            return Some(printable(part.next()?.1, char::is_alphanumeric));
        }
    }
    None
}

fn alternative_names(mut list: Der<'_>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((tag, content)) = list.next() {
        let v4 = || <[u8; 4]>::try_from(content).map(|bytes| Ipv4Addr::from(bytes).to_string());
        let v6 = || <[u8; 16]>::try_from(content).map(|bytes| Ipv6Addr::from(bytes).to_string());
        let name = match tag {
            // Such a name has no other letters (RFC 5280, section 4.2.1.6).
            DNS_NAME => Ok(printable(content, |_| false)),
            IP_ADDRESS => v4().or_else(|_| v6()),
            _ => continue,
        };
        let Ok(name) = name else { continue };
        if names.len() == NAMES_MAX {
            names.push("...".to_owned());
            break;
        }
        names.push(name);
    }
    names
}

/// A terminal shows what stands in a file: nothing that would tell it what to do, turn the line round or be unseen, so nothing but
/// what is printed in ASCII, and those other characters.
fn printable(bytes: &[u8], may_be: impl Fn(char) -> bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_shown = |c: char| c.is_ascii_graphic() || c == ' ' || (!c.is_ascii() && may_be(c));
    text.chars().map(|c| if is_shown(c) { c } else { '?' }).collect()
}

/// Values of DER (X.690), one behind the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value, by its tag. Tags of several bytes are in no field that is looked at.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (n_bytes, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (length.iter().fold(0, |n_bytes, byte| n_bytes << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(n_bytes)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<Self> {
        let (tag, content) = self.next()?;
        (tag == wanted).then_some(Self(content))
    }

    fn time(&mut self) -> Option<SystemTime> {
        let (tag, digits) = self.next()?;
        let digits = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = digits.split_at_checked(match tag {
            UTC_TIME => 2,
            GENERALIZED_TIME => 4,
            _ => return None,
        })?;
        let year: u64 = year.parse().ok()?;
        // RFC 5280, section 4.1.2.5.1.
        let year = match tag {
            UTC_TIME if year < 50 => 2000 + year,
            UTC_TIME => 1900 + year,
            _ => year,
        };
        let mut parts = [0; 5];
        let mut rest = rest;
        for part in &mut parts {
            let (digits, others) = rest.split_at_checked(2)?;
            *part = digits.parse().ok()?;
            rest = others;
        }
        moment(year, parts)
    }
}

/// A moment by the calendar: month, day, hour, minute and second.
fn moment(year: u64, [month, day, hour, minute, second]: [u64; 5]) -> Option<SystemTime> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years begin in March here, so that the day that comes and goes is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days * 24 + hour) * 3600 + minute * 60 + second;
    let since = Duration::from_secs(seconds.abs_diff(EPOCH_DAYS * 86_400));
    if seconds >= EPOCH_DAYS * 86_400 {
        SystemTime::UNIX_EPOCH.checked_add(since)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(since)
    }
}

/// Days from the first of March of the year 0 to the first of January of 1970.
const EPOCH_DAYS: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(year: u64, parts: [u64; 5]) -> Option<i64> {
        let moment = moment(year, parts)?;
        let since = moment.duration_since(SystemTime::UNIX_EPOCH);
        Some(since.map_or_else(
            |before| -i64::try_from(before.duration().as_secs()).unwrap(),
            |since| i64::try_from(since.as_secs()).unwrap(),
        ))
    }

    #[test]
    fn moments_of_the_calendar_are_seconds_since_1970() {
        assert_eq!(unix(1970, [1, 1, 0, 0, 0]), Some(0));
        assert_eq!(unix(1969, [12, 31, 23, 59, 59]), Some(-1));
        assert_eq!(unix(2000, [2, 29, 12, 0, 0]), Some(951_825_600));
        assert_eq!(unix(2026, [11, 26, 19, 25, 40]), Some(1_795_721_140));
        assert_eq!(unix(9999, [12, 31, 23, 59, 59]), Some(253_402_300_799));
        assert_eq!(unix(2026, [13, 1, 0, 0, 0]), None);
    }

    #[test]
    fn nothing_in_a_certificate_steers_a_terminal_or_turns_a_line_round() {
        let hostile = "a\u{1b}[2J\u{202e}moc\u{2066}\u{200b}\u{feff}\u{7}z";
        assert_eq!(printable(hostile.as_bytes(), char::is_alphanumeric), "a?[2J?moc????z");
        assert_eq!(printable("Jürgen Müller".as_bytes(), char::is_alphanumeric), "Jürgen Müller");
        assert_eq!(printable("nöde1.example".as_bytes(), |_| false), "n?de1.example");
        assert_eq!(printable(b"\xff*.example", |_| false), "?*.example");
    }

    #[test]
    fn a_certificate_tells_for_whom_it_is_and_how_long_and_cut_short_it_tells_nothing_and_breaks_nothing() {
        let names = ["node1.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names.to_vec()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "node1");
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2056, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let read = Certificate::of_der(&der).unwrap();
        assert_eq!(read.names, names);
        assert_eq!((read.subject.as_deref(), read.is_authority), (Some("node1"), false));
        let unix = |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((unix(read.not_before), unix(read.not_after)), (1_767_312_000, 2_713_996_800));
        assert_eq!(read.fingerprint_text().len(), 95);
        for end in 0..der.len() {
            assert!(Certificate::of_der(&der[..end]).is_none());
        }
        for (at, bits) in (0..der.len()).flat_map(|at| [0x01, 0x80, 0xff].map(|bits| (at, bits))) {
            let mut broken = der.clone();
            broken[at] ^= bits;
            let _ = Certificate::of_der(&broken);
        }
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        assert!(Certificate::of_der(params.self_signed(&key).unwrap().der()).unwrap().is_authority);
    }
}
