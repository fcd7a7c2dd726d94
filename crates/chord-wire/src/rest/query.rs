//! Parameters behind the `?` of a request.

use std::ops::RangeInclusive;
use std::time::Duration;

use chord_kv::KEY_BYTES_MAX;
use chord_kv::replication::Consistency;

use super::lifetime::{BadLifetime, read_lifetime};
use super::percent::percent_decode;

/// How long a client may say that it waits, in milliseconds: nobody waits for less, and nothing takes longer than an hour.
pub const DEADLINE_MS: RangeInclusive<u64> = 1..=3_600_000;

/// A parameter that some request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// How long the value is to be there.
    Ttl,
    /// What is added.
    By,
    /// How many copies it is about.
    Consistency,
    /// How the keys begin.
    Prefix,
    /// How long the answer is to go on.
    For,
    /// Which event was seen last.
    LastEventId,
}

impl Parameter {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ttl, Self::By, Self::Consistency, Self::Prefix, Self::For, Self::LastEventId];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::By => "by",
            Self::Consistency => "consistency",
            Self::Prefix => "prefix",
            Self::For => "for",
            Self::LastEventId => "last_event_id",
        }
    }
}

/// What the parameters of a request say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// How long the value is to be there.
    pub ttl: Option<Duration>,
    /// What is added.
    pub by: Option<i64>,
    /// How many copies it is about.
    pub consistency: Option<Consistency>,
    /// How the keys begin.
    pub prefix: Option<Vec<u8>>,
    /// How long the answer is to go on.
    pub lasts: Option<Duration>,
    /// Which event was seen last.
    pub last_event_id: Option<String>,
}

/// Parameters that make no sense. Never repeats what they held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadQuery {
    /// One that the request does not take.
    #[error("this request does not take that parameter; {}", taken(.allowed))]
    Unknown {
        /// Those that it takes.
        allowed: &'static [Parameter],
    },
    /// One that is there twice.
    #[error("the parameter {} is there more than once", .0.as_str())]
    Twice(Parameter),
    /// It is not encoded as parameters are.
    #[error("a parameter is name=value, where a % is followed by two hexadecimal digits")]
    Garbled,
    /// The ttl is no lifetime.
    #[error(transparent)]
    Ttl(#[from] BadLifetime),
    /// What is to be added is no number.
    #[error("by is a whole number from -2^63 to 2^63 - 1, without a plus sign and without zeros before it")]
    By,
    /// The consistency is none of ours.
    #[error("consistency is one, quorum or all")]
    Consistency,
    /// No key can begin so.
    #[error("a prefix has at most {KEY_BYTES_MAX} bytes, as a key has")]
    Prefix,
    /// The time is none.
    #[error("for is a whole number above 0 with its unit, as in 500ms, 30s, 10m, 2h or 7d")]
    For,
}

fn taken(allowed: &[Parameter]) -> String {
    let names: Vec<_> = allowed.iter().map(|parameter| parameter.as_str()).collect();
    if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) }
}

impl Query {
    /// Reads the parameters of a request that takes those in `allowed`.
    ///
    /// # Errors
    /// One is unknown, there twice, or makes no sense.
    pub fn read(query: &str, allowed: &'static [Parameter]) -> Result<Self, BadQuery> {
        let mut read = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = text(decoded(name)?)?;
            let value = decoded(value)?;
            let parameter = allowed.iter().find(|parameter| parameter.as_str() == name);
            let parameter = *parameter.ok_or(BadQuery::Unknown { allowed })?;
            let is_new = match parameter {
                Parameter::Ttl => read.ttl.replace(read_lifetime(&text(value)?)?).is_none(),
                Parameter::By => {
                    let number = read_whole_number(&text(value)?).ok_or(BadQuery::By)?;
                    read.by.replace(number).is_none()
                }
                Parameter::Consistency => {
                    let level = read_consistency(&text(value)?).ok_or(BadQuery::Consistency)?;
                    read.consistency.replace(level).is_none()
                }
                Parameter::Prefix if value.len() > KEY_BYTES_MAX => return Err(BadQuery::Prefix),
                Parameter::Prefix => read.prefix.replace(value).is_none(),
                Parameter::For => {
                    let lasts = read_lifetime(&text(value)?).map_err(|_| BadQuery::For)?;
                    read.lasts.replace(lasts).is_none()
                }
                Parameter::LastEventId => read.last_event_id.replace(text(value)?).is_none(),
            };
            if !is_new {
                return Err(BadQuery::Twice(parameter));
            }
        }
        Ok(read)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, BadQuery> {
    percent_decode(text.as_bytes()).map_err(|_| BadQuery::Garbled)
}

fn text(bytes: Vec<u8>) -> Result<String, BadQuery> {
    String::from_utf8(bytes).map_err(|_| BadQuery::Garbled)
}

/// A number, in the one way of writing that an increment uses.
fn read_whole_number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// The words for how many copies an operation is about.
pub(super) const CONSISTENCY_WORDS: [(&str, Consistency); 3] =
    [("one", Consistency::One), ("quorum", Consistency::Quorum), ("all", Consistency::All)];

pub(super) fn read_consistency(word: &str) -> Option<Consistency> {
    CONSISTENCY_WORDS.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_any_order() {
        let read = Query::read(
            "consistency=all&ttl=3%30s&by=-5&prefix=a%FF&last_event_id=0&for=5s&",
            &Parameter::ALL,
        );
        let query = Query {
            ttl: Some(Duration::from_secs(30)),
            by: Some(-5),
            consistency: Some(Consistency::All),
            prefix: Some(b"a\xff".to_vec()),
            lasts: Some(Duration::from_secs(5)),
            last_event_id: Some("0".to_owned()),
        };
        assert_eq!(read, Ok(query));
        assert_eq!(Query::read("", &[]), Ok(Query::default()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_a_sentence_that_says_what_would() {
        let cases = [
            ("ttl=30s&ttl=30s", "the parameter ttl is there more than once"),
            (
                "tll=30s",
                "this request does not take that parameter; it takes ttl, by, consistency, prefix, for, last_event_id",
            ),
            (
                "TTL=30s",
                "this request does not take that parameter; it takes ttl, by, consistency, prefix, for, last_event_id",
            ),
            (
                "by=1.5",
                "by is a whole number from -2^63 to 2^63 - 1, without a plus sign and without zeros before it",
            ),
            (
                "by=+1",
                "by is a whole number from -2^63 to 2^63 - 1, without a plus sign and without zeros before it",
            ),
            ("consistency=two", "consistency is one, quorum or all"),
            ("consistency", "consistency is one, quorum or all"),
            ("for=0s", "for is a whole number above 0 with its unit, as in 500ms, 30s, 10m, 2h or 7d"),
            ("by=%zz", "a parameter is name=value, where a % is followed by two hexadecimal digits"),
        ];
        for (query, sentence) in cases {
            let refused = Query::read(query, &Parameter::ALL).unwrap_err();
            assert_eq!(refused.to_string(), sentence, "{query}");
        }
        let refused = Query::read("ttl=5", &[]).unwrap_err();
        assert_eq!(refused.to_string(), "this request does not take that parameter; it takes none");
    }
}
