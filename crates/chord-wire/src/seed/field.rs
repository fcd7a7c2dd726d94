//! The fields of messages, whichever language they are written in.
//!
//! The messages are defined once, against the traits here: what comes in is a [`Source`] of fields, what goes
//! out is a [`Record`] of them.

use std::fmt;

use chord_ring::{NodeName, NodeNameError, Position};

use super::list::SUCCESSOR_LIST_MAX;
use crate::xmlrpc::BadXml;

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
    /// Not XML-RPC.
    #[error("{0}")]
    Xml(#[from] BadXml),
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
    /// A number that this language does not carry.
    #[error("the field \"{field}\" holds a number that is too large: an int has 32 bits, and an i8 has 64")]
    TooLarge {
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
    /// A whole number of 32 bits, with a sign.
    Int,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::StringOrNull => "a string or null",
            Self::Boolean => "true or false",
            Self::Count => "a whole number from 0 to 4294967295",
            Self::Target => {
                "a position (a whole number, 0 or more, in at most 1000 digits alone) or a key (a string)"
            }
            Self::Names => "a list of strings",
            Self::Int => "a whole number from -2147483648 to 2147483647",
        })
    }
}

/// Where the fields of a message come from.
pub(crate) trait Source {
    /// The value of a field in this language.
    type Raw: Raw;

    /// The fields of those names; others are ignored.
    fn fields<const N: usize>(self, names: [&'static str; N]) -> Result<[Field<Self::Raw>; N], BadBody>;
}

/// A value that nobody has read yet.
pub(crate) trait Raw: Copy {
    fn is_null(self) -> bool;
    fn boolean(self) -> Result<bool, Unfit>;
    fn count(self) -> Result<u32, Unfit>;
    /// A whole number that is a position, to its last digit; `None` if it is not a number at all.
    fn position(self) -> Option<Result<Position, Unfit>>;
    fn string(self) -> Result<String, Unfit>;
    /// At most [`SUCCESSOR_LIST_MAX`] entries.
    fn entries(self) -> Result<Vec<Self>, Unfit>;
}

/// Why a value is not what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    WrongType,
    NotText,
    TooLarge,
    TooMany,
}

/// A field that a message wants, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Field<R> {
    pub(crate) name: &'static str,
    pub(crate) raw: Option<R>,
}

impl<R: Raw> Field<R> {
    /// The field, if it is there.
    pub(crate) fn optional(self) -> Option<Present<R>> {
        self.raw.map(|raw| Present { name: self.name, raw })
    }

    /// The field, which must be there.
    pub(crate) fn required(self) -> Result<Present<R>, BadBody> {
        self.optional().ok_or(BadBody::Missing { field: self.name })
    }
}

/// A field that is there.
#[derive(Clone, Copy)]
pub(crate) struct Present<R> {
    name: &'static str,
    raw: R,
}

impl<R: Raw> Present<R> {
    pub(crate) fn string(self) -> Result<String, BadBody> {
        self.text(Wanted::String)
    }

    pub(crate) fn boolean(self) -> Result<bool, BadBody> {
        self.raw.boolean().map_err(self.unfit(Wanted::Boolean))
    }

    pub(crate) fn count(self) -> Result<u32, BadBody> {
        self.raw.count().map_err(self.unfit(Wanted::Count))
    }

    /// A position; `None` if it is not a number at all.
    pub(crate) fn position(self) -> Option<Result<Position, BadBody>> {
        self.raw.position().map(|position| position.map_err(self.unfit(Wanted::Target)))
    }

    /// A key that is a string, where a position would do too.
    pub(crate) fn key(self) -> Result<String, BadBody> {
        self.text(Wanted::Target)
    }

    pub(crate) fn node(self) -> Result<NodeName, BadBody> {
        self.name_of(&self.text(Wanted::String)?)
    }

    pub(crate) fn node_or_null(self) -> Result<Option<NodeName>, BadBody> {
        if self.raw.is_null() {
            return Ok(None);
        }
        self.name_of(&self.text(Wanted::StringOrNull)?).map(Some)
    }

    pub(crate) fn string_or_null(self) -> Result<Option<String>, BadBody> {
        if self.raw.is_null() { Ok(None) } else { self.text(Wanted::StringOrNull).map(Some) }
    }

    /// At most [`SUCCESSOR_LIST_MAX`] names, exactly as they are.
    pub(crate) fn nodes(self) -> Result<Vec<NodeName>, BadBody> {
        let entries = self.raw.entries().map_err(self.unfit(Wanted::Names))?;
        let entry = |raw| {
            let entry = Self { name: self.name, raw };
            entry.name_of(&entry.text(Wanted::Names)?)
        };
        entries.into_iter().map(entry).collect()
    }

    fn text(self, wanted: Wanted) -> Result<String, BadBody> {
        self.raw.string().map_err(self.unfit(wanted))
    }

    fn name_of(self, text: &str) -> Result<NodeName, BadBody> {
        text.parse().map_err(|error| BadBody::NotAName { field: self.name, error })
    }

    fn unfit(self, wanted: Wanted) -> impl Fn(Unfit) -> BadBody {
        let field = self.name;
        move |unfit| match unfit {
            Unfit::WrongType => BadBody::WrongType { field, wanted },
            Unfit::NotText => BadBody::NotText { field },
            Unfit::TooLarge => BadBody::TooLarge { field },
            Unfit::TooMany => BadBody::TooMany { field },
        }
    }
}

/// The fields of a message that is being written.
pub(crate) trait Record: Sized {
    fn string(self, name: &'static str, value: &str) -> Self;
    fn string_or_null(self, name: &'static str, value: Option<&str>) -> Self;
    fn boolean(self, name: &'static str, value: bool) -> Self;
    fn count(self, name: &'static str, value: u32) -> Self;
    fn position(self, name: &'static str, value: Position) -> Self;
    fn nodes(self, name: &'static str, nodes: &[NodeName]) -> Self;

    fn node_or_null(self, name: &'static str, node: Option<&NodeName>) -> Self {
        self.string_or_null(name, node.map(NodeName::as_str))
    }
}
