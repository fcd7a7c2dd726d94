//! One JSON object to its fields.
//!
//! A field is found without being read: it stays a piece of the body until the message that wants it says
//! what it should be. So nothing is copied twice, no number goes through a float, and an error can name the
//! field that is wrong.

use std::fmt;

use chord_ring::{NodeName, NodeNameError, Position};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::list::{self, SUCCESSOR_LIST_MAX};

/// What is wrong with a body. Never says what the body held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBody {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not JSON at all.
    #[error("the body is not JSON: it goes wrong at line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// How many bytes of that line were read.
        column: usize,
    },
    /// JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotObject,
    /// Something follows the object.
    #[error("the body goes on after its JSON object")]
    Trailing,
    /// A field that must be there is not.
    #[error("the field \"{field}\" is missing")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field is there twice.
    #[error("the field \"{field}\" is there more than once")]
    Duplicate {
        /// Which.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("the field \"{field}\" must be {wanted}")]
    WrongType {
        /// Which.
        field: &'static str,
        /// What it should hold.
        wanted: Wanted,
    },
    /// A string with half of a surrogate pair.
    #[error("the field \"{field}\" holds an escape that is no character")]
    NotText {
        /// Which.
        field: &'static str,
    },
    /// A string that should name a node and does not.
    #[error("the field \"{field}\" does not name a node: {error}")]
    NotAName {
        /// Which.
        field: &'static str,
        /// Why not.
        error: NodeNameError,
    },
    /// A list with too many entries.
    #[error("the field \"{field}\" has more than {SUCCESSOR_LIST_MAX} entries")]
    TooMany {
        /// Which.
        field: &'static str,
    },
    /// A value that is said to be found and is not there.
    #[error("the field \"found\" is true, but there is no \"value\"")]
    FoundNothing,
}

/// What a field should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// A string.
    String,
    /// A string or null.
    StringOrNull,
    /// true or false.
    Boolean,
    /// A number of hops.
    Count,
    /// A position or a key.
    Target,
    /// A list of names.
    Names,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::StringOrNull => "a string or null",
            Self::Boolean => "true or false",
            Self::Count => "a whole number from 0 to 4294967295",
            Self::Target => {
                "a position (a whole number, 0 or more and below 2^256, in digits alone) or a key (a string)"
            }
            Self::Names => "a list of strings",
        })
    }
}

/// The fields of those names in the object that is `body`; an empty body counts as an empty object.
pub(crate) fn fields<'a, const N: usize>(
    body: &'a [u8],
    names: [&'static str; N],
) -> Result<[Field<'a>; N], BadBody> {
    let text = std::str::from_utf8(body).map_err(|_| BadBody::NotUtf8)?;
    let mut found = names.map(|name| Field { name, raw: None });
    match text.trim_ascii_start().as_bytes().first() {
        None => return Ok(found),
        Some(b'{') => {}
        Some(_) => return Err(not_an_object(text)),
    }
    let mut duplicate = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let collect = Collect { found: &mut found, duplicate: &mut duplicate };
    deserializer.deserialize_map(collect).map_err(|error| not_json(&error))?;
    deserializer.end().map_err(|_| BadBody::Trailing)?;
    match duplicate {
        None => Ok(found),
        Some(field) => Err(BadBody::Duplicate { field }),
    }
}

fn not_json(error: &serde_json::Error) -> BadBody {
    BadBody::NotJson { line: error.line(), column: error.column() }
}

fn not_an_object(text: &str) -> BadBody {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => BadBody::NotObject,
        Err(error) => not_json(&error),
    }
}

/// Puts each field where its name says, and skips those that nobody wants, however deep they are: skipping
/// keeps no stack.
struct Collect<'f, 'a> {
    found: &'f mut [Field<'a>],
    duplicate: &'f mut Option<&'static str>,
}

impl<'de> Visitor<'de> for Collect<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(idx) = map.next_key_seed(Place(self.found))? {
            let Some(field) = idx.and_then(|idx| self.found.get_mut(idx)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if field.raw.replace(map.next_value()?).is_some() {
                *self.duplicate = Some(field.name);
            }
        }
        Ok(())
    }
}

/// Reads a field's name and yields its place among those that are wanted.
struct Place<'f, 'a>(&'f [Field<'a>]);

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|field| field.name == name))
    }
}

/// A field that a message wants, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    name: &'static str,
    raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    /// The field, if it is there.
    pub(crate) fn optional(self) -> Option<Present<'a>> {
        self.raw.map(|raw| Present { name: self.name, raw: raw.get() })
    }

    /// The field, which must be there.
    pub(crate) fn required(self) -> Result<Present<'a>, BadBody> {
        self.optional().ok_or(BadBody::Missing { field: self.name })
    }
}

/// A field that is there, as the JSON text of its value.
#[derive(Clone, Copy)]
pub(crate) struct Present<'a> {
    name: &'static str,
    raw: &'a str,
}

impl<'a> Present<'a> {
    pub(crate) fn is_null(self) -> bool {
        self.raw == "null"
    }

    pub(crate) fn string(self) -> Result<String, BadBody> {
        self.text(Wanted::String)
    }

    pub(crate) fn boolean(self) -> Result<bool, BadBody> {
        match self.raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong(Wanted::Boolean)),
        }
    }

    pub(crate) fn count(self) -> Result<u32, BadBody> {
        self.raw.parse().map_err(|_| self.wrong(Wanted::Count))
    }

    /// A whole number that is a position, to its last digit; `None` if it is not a number at all.
    pub(crate) fn position(self) -> Option<Result<Position, BadBody>> {
        match self.raw.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => Some(self.raw.parse().map_err(|_| self.wrong(Wanted::Target))),
            Some(_) | None => None,
        }
    }

    /// A key that is a string, where a position would do too.
    pub(crate) fn key(self) -> Result<String, BadBody> {
        self.text(Wanted::Target)
    }

    pub(crate) fn node(self) -> Result<NodeName, BadBody> {
        self.name_of(&self.text(Wanted::String)?)
    }

    pub(crate) fn node_or_null(self) -> Result<Option<NodeName>, BadBody> {
        if self.is_null() { Ok(None) } else { self.name_of(&self.text(Wanted::StringOrNull)?).map(Some) }
    }

    pub(crate) fn string_or_null(self) -> Result<Option<String>, BadBody> {
        if self.is_null() { Ok(None) } else { self.text(Wanted::StringOrNull).map(Some) }
    }

    /// At most [`SUCCESSOR_LIST_MAX`] names, exactly as they are.
    pub(crate) fn nodes(self) -> Result<Vec<NodeName>, BadBody> {
        if !self.raw.starts_with('[') {
            return Err(self.wrong(Wanted::Names));
        }
        let entries = list::entries(self.raw).ok_or(BadBody::TooMany { field: self.name })?;
        let entry = |raw: &'a RawValue| {
            let entry = Present { name: self.name, raw: raw.get() };
            entry.name_of(&entry.text(Wanted::Names)?)
        };
        entries.into_iter().map(entry).collect()
    }

    pub(crate) fn wrong(self, wanted: Wanted) -> BadBody {
        BadBody::WrongType { field: self.name, wanted }
    }

    fn text(self, wanted: Wanted) -> Result<String, BadBody> {
        if !self.raw.starts_with('"') {
            return Err(self.wrong(wanted));
        }
        serde_json::from_str(self.raw).map_err(|_| BadBody::NotText { field: self.name })
    }

    fn name_of(self, text: &str) -> Result<NodeName, BadBody> {
        text.parse().map_err(|error| BadBody::NotAName { field: self.name, error })
    }
}
