//! What is refused of those who may not, who ask for too much or who take too long: counted by why, and said in the log.
//!
//! Whoever attacks a node leaves a trace there, and cannot fill its log.

use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chord_wire::Code;

use crate::links::lock;

/// How long it is not logged again why somebody is refused: it is counted meanwhile.
pub(crate) const QUIET: Duration = Duration::from_secs(10);

/// Why somebody is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It gave no secret, or none that is known.
    Secret,
    /// Its secret does not allow what it asked.
    Role,
    /// It has shown no certificate for the name of a node, or one that is not believed.
    Certificate,
    /// It gave orders from another machine, where there are no secrets.
    Place,
    /// It is a web page of another site.
    Page,
    /// It is of another ring.
    Ring,
    /// It asked or sent too much.
    Size,
    /// It took too long.
    Time,
    /// It speaks without TLS where that alone is spoken.
    Plain,
    /// What it sent cannot be understood, or could be understood in two ways.
    Form,
    /// There was no place for its connection.
    Crowd,
    /// It wants more than one client may have.
    Budget,
}

impl Offence {
    const COUNT: usize = 12;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Secret,
        Self::Role,
        Self::Certificate,
        Self::Place,
        Self::Page,
        Self::Ring,
        Self::Size,
        Self::Time,
        Self::Plain,
        Self::Form,
        Self::Crowd,
        Self::Budget,
    ];
    pub(crate) const WORDS: [&'static str; Self::COUNT] = [
        "secret",
        "role",
        "certificate",
        "place",
        "page",
        "ring",
        "size",
        "time",
        "plain",
        "form",
        "crowd",
        "budget",
    ];

    /// That of an answer with this code, where nobody knows it better; none of what may happen to anybody.
    pub(crate) const fn of(code: Code) -> Option<Self> {
        match code {
            Code::ForeignRing | Code::RingSizeDiffers => Some(Self::Ring),
            Code::TooLarge => Some(Self::Size),
            Code::TooSlow => Some(Self::Time),
            _ => None,
        }
    }

    /// The same of the last answer on a connection: what follows there cannot be understood either.
    pub(crate) const fn of_last(code: Code) -> Option<Self> {
        match code {
            Code::BadRequest | Code::Malformed => Some(Self::Form),
            _ => Self::of(code),
        }
    }

    /// That of a connection that ended so; none where it was cut, or the other side did not believe this one.
    pub(crate) fn of_end(error: &io::Error) -> Option<Self> {
        match error.kind() {
            // The system says so too, with its own number, of one that cannot be reached any more.
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Some(Self::Time),
            io::ErrorKind::InvalidData => Self::of_session(error),
            _ => None,
        }
    }

    /// That of what cannot be understood, in TLS or behind it.
    fn of_session(error: &io::Error) -> Option<Self> {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Some(Self::Certificate)
            }
            // It ends the session, as one does that does not know this node's authority.
            Some(rustls::Error::AlertReceived(_)) => None,
            Some(_) | None => Some(Self::Form),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Secret => "gave no secret that this node knows",
            Self::Role => "gave a secret that does not allow what they asked",
            Self::Certificate => {
                "have shown no certificate for what they said or asked, or one that this node does not believe"
            }
            Self::Place => "gave orders from another machine",
            Self::Page => "are web pages of other sites",
            Self::Ring => "are of another ring",
            Self::Size => "sent or asked for more than this node takes",
            Self::Time => "sent or read too slowly",
            Self::Plain => "speak without TLS",
            Self::Form => "sent what cannot be understood",
            Self::Crowd => "came when all places were taken",
            Self::Budget => "wanted more than one client may have",
        }
    }
}

/// What was refused since the node started.
#[derive(Debug, Default)]
pub(crate) struct Offences {
    counted: [AtomicU64; Offence::COUNT],
    told: Mutex<[Option<Told>; Offence::COUNT]>,
}

/// What the log has said last.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// How many there had been by then.
    count: u64,
}

impl Offences {
    /// Somebody there was refused.
    pub(crate) fn note(&self, offence: Offence, from: IpAddr) {
        let count = self.counted[offence as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let Some(since) = self.tells(offence, count, Instant::now()) else { return };
        let (why, peer) = (Offence::WORDS[offence as usize], from.to_canonical());
        let words = offence.words();
        tracing::warn!(event = "refused", why, %peer, "refused {since} who {words}, the last of them from {peer}");
    }

    /// How many are to be told of, if it is time for that.
    fn tells(&self, offence: Offence, count: u64, now: Instant) -> Option<u64> {
        let told = &mut lock(&self.told)[offence as usize];
        if told.is_some_and(|told| now.saturating_duration_since(told.at) < QUIET) {
            return None;
        }
        let before = told.replace(Told { at: now, count }).map_or(0, |told| told.count);
        Some(count.saturating_sub(before))
    }

    pub(crate) fn count(&self, offence: Offence) -> u64 {
        self.counted[offence as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_the_order_of_what_they_are_for() {
        for (idx, offence) in Offence::ALL.into_iter().enumerate() {
            assert_eq!(offence as usize, idx);
        }
    }

    #[test]
    fn the_log_tells_of_each_reason_at_once_and_then_of_all_that_came_meanwhile() {
        let offences = Offences::default();
        let now = Instant::now();
        let later = now + QUIET;
        assert_eq!(offences.tells(Offence::Secret, 1, now), Some(1));
        assert_eq!(offences.tells(Offence::Role, 1, now), Some(1), "another reason");
        for count in 2..5000 {
            assert_eq!(offences.tells(Offence::Secret, count, now), None);
        }
        assert_eq!(offences.tells(Offence::Secret, 5000, later), Some(4999));
        assert_eq!(offences.tells(Offence::Secret, 5001, later), None);
    }

    #[test]
    fn what_may_happen_to_anybody_is_no_offence() {
        for code in [Code::Absent, Code::Busy, Code::ConditionFailed, Code::NoRoute, Code::Uncertain] {
            assert_eq!((Offence::of(code), Offence::of_last(code)), (None, None), "{code}");
        }
        assert_eq!(Offence::of(Code::BadRequest), None, "a mistake, and the client goes on");
        assert_eq!(Offence::of_last(Code::BadRequest), Some(Offence::Form));
        assert_eq!(Offence::of_last(Code::TooLarge), Some(Offence::Size));
        assert_eq!(Offence::of_end(&io::ErrorKind::ConnectionReset.into()), None);
    }

    #[test]
    fn a_network_that_does_not_carry_is_nobodys_slowness() {
        const ETIMEDOUT: i32 = 110;
        let of_system = io::Error::from_raw_os_error(ETIMEDOUT);
        assert_eq!(of_system.kind(), io::ErrorKind::TimedOut);
        assert_eq!(Offence::of_end(&of_system), None);
        let of_ours = io::Error::new(io::ErrorKind::TimedOut, "the answers were not read in time");
        assert_eq!(Offence::of_end(&of_ours), Some(Offence::Time));
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_told_apart_from_what_cannot_be_understood() {
        use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
        let of = |error: Error| Offence::of_end(&io::Error::new(io::ErrorKind::InvalidData, error));
        assert_eq!(of(CertificateError::UnknownIssuer.into()), Some(Offence::Certificate));
        assert_eq!(of(CertificateError::Expired.into()), Some(Offence::Certificate));
        assert_eq!(of(Error::NoCertificatesPresented), Some(Offence::Certificate));
        assert_eq!(of(InvalidMessage::InvalidContentType.into()), Some(Offence::Form));
        assert_eq!(of(Error::AlertReceived(AlertDescription::UnknownCA)), None, "it does not believe us");
        let frames = io::Error::new(io::ErrorKind::InvalidData, "this is no frame");
        assert_eq!(Offence::of_end(&frames), Some(Offence::Form));
    }
}
