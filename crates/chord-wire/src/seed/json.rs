//! One JSON object to its fields.
//!
//! A field is found without being read: it stays a piece of the body until the message that wants it says
//! what it should be. So nothing is copied twice, no number goes through a float, and an error can name the
//! field that is wrong.

use std::fmt;

use chord_ring::Position;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field::{BadBody, Field, Raw, Source, Unfit};
use super::list;

/// A body that is one JSON object; an empty body counts as an empty object.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl<'a> Source for Body<'a> {
    type Raw = Json<'a>;

    fn fields<const N: usize>(self, names: [&'static str; N]) -> Result<[Field<Json<'a>>; N], BadBody> {
        let text = std::str::from_utf8(self.0).map_err(|_| BadBody::NotUtf8)?;
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
    found: &'f mut [Field<Json<'a>>],
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
            if field.raw.replace(Json(map.next_value()?)).is_some() {
                *self.duplicate = Some(field.name);
            }
        }
        Ok(())
    }
}

/// Reads a field's name and yields its place among those that are wanted.
struct Place<'f, 'a>(&'f [Field<Json<'a>>]);

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

/// The JSON text of a value.
#[derive(Clone, Copy)]
pub(crate) struct Json<'a>(&'a RawValue);

impl Raw for Json<'_> {
    fn is_null(self) -> bool {
        self.0.get() == "null"
    }

    fn boolean(self) -> Result<bool, Unfit> {
        match self.0.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Unfit::WrongType),
        }
    }

    fn count(self) -> Result<u32, Unfit> {
        self.0.get().parse().map_err(|_| Unfit::WrongType)
    }

    fn position(self) -> Option<Result<Position, Unfit>> {
        let text = self.0.get();
        match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => Some(Position::modulo(text).map_err(|_| Unfit::WrongType)),
            Some(_) | None => None,
        }
    }

    fn string(self) -> Result<String, Unfit> {
        let text = self.0.get();
        if !text.starts_with('"') {
            return Err(Unfit::WrongType);
        }
        serde_json::from_str(text).map_err(|_| Unfit::NotText)
    }

    fn entries(self) -> Result<Vec<Self>, Unfit> {
        if !self.0.get().starts_with('[') {
            return Err(Unfit::WrongType);
        }
        let entries = list::entries(self.0.get()).ok_or(Unfit::TooMany)?;
        Ok(entries.into_iter().map(Self).collect())
    }
}
