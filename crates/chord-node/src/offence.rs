//! What is refused of those who may not, who ask for too much or who take too long: counted by why, and said in the log.
//!
//! Whoever attacks a node leaves a trace there, and cannot fill its log.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chord_wire::Code;

use crate::links::lock;

/// How long it is not logged again why somebody is refused: it is counted meanwhile.
const QUIET: Duration = Duration::from_secs(10);

/// Why somebody is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It gave no secret, or none that is known.
    Secret,
    /// Its secret does not allow what it asked.
    Role,
    /// It has shown no certificate for the name of a node.
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
    /// There was no place for its connection, or only that of another one.
    Crowd,
}

impl Offence {
    const COUNT: usize = 11;
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
    ];
    pub(crate) const WORDS: [&'static str; Self::COUNT] =
        ["secret", "role", "certificate", "place", "page", "ring", "size", "time", "plain", "form", "crowd"];

    /// That of an answer with this code, where nobody knows it better; none of what may happen to anybody.
    pub(crate) fn of(code: Code, is_last: bool) -> Option<Self> {
        match code {
            Code::ForeignRing | Code::RingSizeDiffers => Some(Self::Ring),
            Code::TooLarge => Some(Self::Size),
            Code::TooSlow => Some(Self::Time),
            // What follows on the connection cannot be understood either.
            Code::BadRequest | Code::Malformed if is_last => Some(Self::Form),
            _ => None,
        }
    }

    /// That of a connection that ended so; none where it was cut.
    pub(crate) fn of_end(error: &std::io::Error) -> Option<Self> {
        match error.kind() {
            std::io::ErrorKind::TimedOut => Some(Self::Time),
            std::io::ErrorKind::InvalidData => Some(Self::Form),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Secret => "gave no secret that this node knows",
            Self::Role => "gave a secret that does not allow what they asked",
            Self::Certificate => "asked for what is for nodes, and have shown no certificate of one",
            Self::Place => "gave orders from another machine",
            Self::Page => "are web pages of other sites",
            Self::Ring => "are of another ring",
            Self::Size => "sent or asked for more than this node takes",
            Self::Time => "sent or read too slowly",
            Self::Plain => "speak without TLS",
            Self::Form => "sent what cannot be understood",
            Self::Crowd => "came when all places were taken",
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
            assert_eq!(Offence::of(code, true), None, "{code}");
        }
        assert_eq!(Offence::of(Code::BadRequest, false), None, "a mistake, and the client goes on");
        assert_eq!(Offence::of(Code::BadRequest, true), Some(Offence::Form));
        assert_eq!(Offence::of_end(&std::io::ErrorKind::ConnectionReset.into()), None);
    }
}
