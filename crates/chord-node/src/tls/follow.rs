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

impl TlsFiles {
    /// Whether a node of that name takes the files as they are now.
    ///
    /// # Errors
    /// One cannot be read, is wrong, does not belong to the others, or is not for that name or this time.
    pub fn check(&self, name: &NodeName) -> Result<(), TlsFileError> {
        Texts::read(self)?.credentials(name).map(drop)
    }
}

impl NodeTls {
    /// Reads the files again and again, and takes what is in them when it has changed. What is wrong changes nothing, and the
    /// log says so once: certificate and key may be written one after the other, so it has to be wrong at two looks.
    pub(crate) async fn follow(&self) {
        let (mut taken, mut warned) = (Some(self.opened.clone()), Warned::default());
        let look = || {
            self.warn_of_ends(&mut warned);
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

    /// Says once of the certificate and once of its authority that it ends soon, and once that it has ended.
    fn warn_of_ends(&self, warned: &mut Warned) {
        let credentials = self.credentials.load();
        let now = SystemTime::now();
        let when = httpdate::fmt_http_date;
        let (begins, expires) = (credentials.begins, credentials.expires);
        let (file, until) = (self.files.certificate.display(), when(expires));
        match end_to_tell(begins, expires, now, &mut warned.certificate) {
            Some(End::Past) => tracing::error!(
                event = "certificate-expired",
                "the certificate in {file} expired on {until}, so nobody believes this node any more: put another one there"
            ),
            Some(End::Soon) => tracing::warn!(
                event = "certificate-expires",
                "the certificate in {file} expires on {until}: put another one there before"
            ),
            None => {}
        }
        let Some((begins, expires)) = credentials.authority else { return };
        let (file, until) = (self.files.authority.display(), when(expires));
        match end_to_tell(begins, expires, now, &mut warned.authority) {
            Some(End::Past) => tracing::warn!(
                event = "authority-expired",
                "the authority in {file}, which has signed the certificate of this node, expired on {until}: nodes go on, but clients that are other programs may believe none of them: have certificates made by one that is valid"
            ),
            Some(End::Soon) => tracing::warn!(
                event = "authority-expires",
                "the authority in {file}, which has signed the certificate of this node, expires on {until}: have certificates made by another one before"
            ),
            None => {}
        }
    }
}

/// What has been said of ends: of which, and whether it was there.
#[derive(Debug, Default)]
struct Warned {
    certificate: Option<(SystemTime, End)>,
    authority: Option<(SystemTime, End)>,
}

/// Where the end of what is valid for a time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Soon,
    Past,
}

/// What is to be told of an end: nothing while it is far, or when it has been told.
fn end_to_tell(
    begins: SystemTime,
    expires: SystemTime,
    now: SystemTime,
    told: &mut Option<(SystemTime, End)>,
) -> Option<End> {
    let end = match expires.duration_since(now) {
        Ok(left) if left > warned_before(begins, expires) => return None,
        Ok(_) => End::Soon,
        Err(_) => End::Past,
    };
    (told.replace((expires, end)) != Some((expires, end))).then_some(end)
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
    fn an_end_is_told_when_it_is_near_and_when_it_is_past_once_each() {
        let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
        let mut told = None;
        let mut at = |now: SystemTime, until: SystemTime| end_to_tell(day(0), until, now, &mut told);
        let (soon, past) = (Some(End::Soon), Some(End::Past));
        assert_eq!([90, 95, 96, 100].map(|now| at(day(now), day(100))), [None, soon, None, None]);
        assert_eq!([101, 102].map(|now| at(day(now), day(100))), [past, None]);
        assert_eq!(at(day(102), day(104)), soon, "another one");
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
