//! The files of a node's TLS, read again when they change.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chord_ring::NodeName;

use super::NodeTls;
use super::credentials::{Credentials, Given};
use super::files::{AUTHORITY, CERTIFICATE, KEY, Text, TlsFileError, TlsFiles};
use crate::follow::{Wrong, follow};

/// How long before its end it is said of a certificate that it has one, at most: long enough to have another made by hand.
const WARNED_BEFORE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// And which part of its lifetime is left then, at most: what renews short ones by itself does so after two thirds of it.
const WARNED_PART: u32 = 4;

/// What is in the files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Texts {
    certificate: Text,
    key: Text,
    authority: Text,
}

/// What was found in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// What there was.
    Same,
    /// Something else, which is used from now on.
    Taken,
}

impl Texts {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsFileError> {
        Ok(Self {
            certificate: Text::read(&files.certificate, CERTIFICATE)?,
            key: Text::read(&files.key, KEY)?,
            authority: Text::read(&files.authority, AUTHORITY)?,
        })
    }

    pub(super) fn credentials(&self, name: &NodeName) -> Result<Credentials, TlsFileError> {
        let Self { certificate, key, authority } = self;
        Given { certificate, key, authority }.credentials(name)
    }
}

impl NodeTls {
    /// Reads the files again and again, and takes what is in them when it has changed. What is wrong changes nothing, and the
    /// log says so once: certificate and key may be written one after the other, so it has to be wrong at two looks.
    pub(crate) async fn follow(&self) {
        let (mut taken, mut warned) = (Some(self.opened.clone()), None);
        let look = || {
            self.warn_of_end(&mut warned);
            let found = self.look(&mut taken).map_err(TlsFileError::said);
            self.is_refusing.store(found.is_err(), Ordering::Relaxed);
            found.map(|found| found == Found::Taken)
        };
        follow(
            2,
            look,
            || {
                tracing::info!(
                    event = "certificates-changed",
                    "the files of TLS have changed: new connections use what is in them from now on"
                );
            },
            |complaint| {
                tracing::warn!(
                    event = "certificates-refused",
                    "{complaint}; what was in the files before is used meanwhile"
                );
            },
        )
        .await;
    }

    /// Takes what is in the files if it is not what was taken before.
    fn look(&self, taken: &mut Option<Texts>) -> Result<Found, TlsFileError> {
        let texts = Texts::read(&self.files)?;
        if taken.as_ref() == Some(&texts) {
            return Ok(Found::Same);
        }
        let credentials = texts.credentials(&self.name)?;
        self.dialer.change(credentials.client.clone());
        self.credentials.store(Arc::new(credentials));
        // After that: whoever hears of it looks at what there is.
        self.changed.send_replace(());
        *taken = Some(texts);
        Ok(Found::Taken)
    }

    /// Says once of a certificate that it ends soon, and once that it has ended.
    fn warn_of_end(&self, warned: &mut Option<(SystemTime, bool)>) {
        let credentials = self.credentials.load();
        let (expires, before) = (credentials.expires, warned_before(credentials.begins, credentials.expires));
        let now = SystemTime::now();
        let has_ended = now > expires;
        if expires.duration_since(now).is_ok_and(|left| left > before)
            || *warned == Some((expires, has_ended))
        {
            return;
        }
        *warned = Some((expires, has_ended));
        let when = httpdate::fmt_http_date(expires);
        let file = self.files.certificate.display();
        if has_ended {
            tracing::error!(
                event = "certificate-expired",
                "the certificate in {file} expired on {when}, so nobody believes this node any more: put another one there"
            );
        } else {
            tracing::warn!(
                event = "certificate-expires",
                "the certificate in {file} expires on {when}: put another one there before"
            );
        }
    }
}

/// How long before its end it is said of a certificate that it has one.
fn warned_before(begins: SystemTime, expires: SystemTime) -> Duration {
    let lifetime = expires.duration_since(begins).unwrap_or_default();
    WARNED_BEFORE_MAX.min(lifetime / WARNED_PART)
}

impl TlsFileError {
    /// With what the clock says, which is another cause at no look.
    fn said(mut self) -> Wrong {
        let sentence = self.to_string();
        if let Self::Expired { now, .. } | Self::NotYet { now, .. } = &mut self {
            *now = SystemTime::UNIX_EPOCH;
        }
        Wrong { sentence, cause: self.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_that_is_over_is_told_of_has_the_time_and_is_one_cause_at_all_looks() {
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_769_700 + second);
        let said = |now| TlsFileError::Expired { path: "node.pem".into(), until: at(0), now }.said();
        let (first, second) = (said(at(1)), said(at(2)));
        assert!(first.sentence.contains("expired on Fri, 27 Nov 2026 08:55:00 GMT"), "{}", first.sentence);
        assert!(first.sentence.contains("clock says Fri, 27 Nov 2026 08:55:01 GMT"), "{}", first.sentence);
        assert!(first.cause == second.cause && first.sentence != second.sentence);
    }

    #[test]
    fn it_is_said_a_week_before_the_end_and_of_short_certificates_later_than_they_are_renewed() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let begins = SystemTime::UNIX_EPOCH + hours(400_000);
        for (lifetime, before) in [(365 * 24, 7 * 24), (90 * 24, 7 * 24), (7 * 24, 42), (24, 6), (0, 0)] {
            assert_eq!(warned_before(begins, begins + hours(lifetime)), hours(before), "{lifetime}");
        }
    }
}
