//! The values of XML-RPC, and the reader that finds them in a body.

use std::borrow::Cow;
use std::num::IntErrorKind;

use chord_ring::Position;

use super::tokens::{BadXml, Tag, Token, Tokens};
use crate::seed::SUCCESSOR_LIST_MAX;
use crate::seed::field::{BadBody, Field, Raw, Source, Unfit};

/// How many values one body may hold, those in structs and lists counted. The largest that we know of are a
/// multicall of [`MULTICALL_MAX`](super::MULTICALL_MAX) writes, about 500, and a successor list of 256; what
/// is more than that are fields that nobody reads.
pub const VALUES_MAX: usize = 4096;

/// Longest name of a method or a field in bytes: ten times what ours need.
pub const NAME_BYTES_MAX: usize = 256;

const _: () = assert!(VALUES_MAX > super::MULTICALL_MAX * 7 + SUCCESSOR_LIST_MAX, "a message has no room");

/// A value. What we never want is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Nil,
    Boolean(bool),
    /// A whole number; `None` if its type does not hold it.
    Int(Option<i64>),
    Text(Cow<'a, str>),
    Array(Vec<Self>),
    Struct(Vec<Member<'a>>),
    /// A float, a date, bytes, or what is not what it is said to be.
    Other,
}

impl Value<'_> {
    /// The value as a whole number; `None` if it is something else.
    pub(super) fn int(&self) -> Option<Result<i64, Unfit>> {
        if let Self::Int(value) = self { Some(value.ok_or(Unfit::TooLarge)) } else { None }
    }
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    name: Cow<'a, str>,
    value: Value<'a>,
}

/// The fields of a struct.
#[derive(Clone, Copy)]
pub(super) struct Members<'v>(pub(super) &'v [Member<'v>]);

impl<'v> Source for Members<'v> {
    type Raw = &'v Value<'v>;

    fn fields<const N: usize>(self, names: [&'static str; N]) -> Result<[Field<&'v Value<'v>>; N], BadBody> {
        let mut found = names.map(|name| Field { name, raw: None });
        for member in self.0 {
            if let Some(field) = found.iter_mut().find(|field| field.name == member.name)
                && field.raw.replace(&member.value).is_some()
            {
                return Err(BadBody::Duplicate { field: field.name });
            }
        }
        Ok(found)
    }
}

impl Raw for &Value<'_> {
    fn is_null(self) -> bool {
        *self == Value::Nil
    }

    fn boolean(self) -> Result<bool, Unfit> {
        if let Value::Boolean(value) = self { Ok(*value) } else { Err(Unfit::WrongType) }
    }

    fn count(self) -> Result<u32, Unfit> {
        let value = self.int().unwrap_or(Err(Unfit::WrongType))?;
        u32::try_from(value).map_err(|_| Unfit::WrongType)
    }

    fn position(self) -> Option<Result<Position, Unfit>> {
        let position = |value| u64::try_from(value).map(Position::from).map_err(|_| Unfit::WrongType);
        self.int().map(|value| value.and_then(position))
    }

    fn string(self) -> Result<String, Unfit> {
        if let Value::Text(text) = self { Ok(text.as_ref().to_owned()) } else { Err(Unfit::WrongType) }
    }

    fn entries(self) -> Result<Vec<Self>, Unfit> {
        let Value::Array(entries) = self else { return Err(Unfit::WrongType) };
        if entries.len() > SUCCESSOR_LIST_MAX { Err(Unfit::TooMany) } else { Ok(entries.iter().collect()) }
    }
}

/// A body that is being understood. It calls itself only for a value in a value, so no deeper than the tokens
/// go.
pub(super) struct Parser<'a> {
    tokens: Tokens<'a>,
    n_values: usize,
}

impl<'a> Parser<'a> {
    /// Takes any bytes.
    pub(super) fn new(body: &'a [u8]) -> Result<Self, BadXml> {
        Ok(Self { tokens: Tokens::new(body)?, n_values: 0 })
    }

    /// Enters the next element, which must be this one.
    pub(super) fn enter(&mut self, tag: Tag, wanted: &'static str) -> Result<(), BadXml> {
        if self.child()? == Some(tag) { Ok(()) } else { Err(self.not_rpc(wanted)) }
    }

    /// Enters the next element in the one that is open, or leaves that.
    pub(super) fn child(&mut self) -> Result<Option<Tag>, BadXml> {
        loop {
            match self.tokens.next()? {
                Token::Open(tag) => return Ok(Some(tag)),
                Token::Close | Token::End => return Ok(None),
                Token::Text(text) if is_blank(&text) => {}
                Token::Char(' ' | '\t' | '\r' | '\n') => {}
                Token::Text(_) | Token::Char(_) => return Err(self.not_rpc("an element")),
            }
        }
    }

    /// Leaves the element that is open, or the body, in which nothing more may stand.
    pub(super) fn leave(&mut self) -> Result<(), BadXml> {
        if self.child()?.is_none() { Ok(()) } else { Err(self.not_rpc("an end")) }
    }

    /// The values of all parameters, up to the end of the element that holds them.
    pub(super) fn params(&mut self) -> Result<Vec<Value<'a>>, BadXml> {
        let mut params = Vec::new();
        while let Some(tag) = self.child()? {
            if tag != Tag::Param {
                return Err(self.not_rpc("<param>"));
            }
            params.push(self.only_value()?);
        }
        Ok(params)
    }

    /// The value that is all that the open element holds.
    pub(super) fn only_value(&mut self) -> Result<Value<'a>, BadXml> {
        self.enter(Tag::Value, "<value>")?;
        let value = self.value()?;
        self.leave()?;
        Ok(value)
    }

    /// The text of the open element, which is a name.
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>, BadXml> {
        let name = self.text()?;
        if name.len() > NAME_BYTES_MAX { Err(BadXml::LongName) } else { Ok(name) }
    }

    pub(super) fn not_rpc(&self, wanted: &'static str) -> BadXml {
        BadXml::NotRpc { wanted, at_byte: self.tokens.at_byte() }
    }

    /// The value whose element is open: an element for its type, or text alone, which is a string.
    fn value(&mut self) -> Result<Value<'a>, BadXml> {
        if self.n_values == VALUES_MAX {
            return Err(BadXml::TooManyValues);
        }
        self.n_values += 1;
        let mut text = Cow::Borrowed("");
        loop {
            match self.tokens.next()? {
                Token::Text(piece) => append(&mut text, piece),
                Token::Char(c) => text.to_mut().push(c),
                Token::Close => return Ok(Value::Text(text)),
                Token::Open(tag) if is_blank(&text) => {
                    let value = self.typed(tag)?;
                    self.leave()?;
                    return Ok(value);
                }
                Token::Open(_) | Token::End => return Err(self.not_rpc("</value>")),
            }
        }
    }

    fn typed(&mut self, tag: Tag) -> Result<Value<'a>, BadXml> {
        match tag {
            Tag::String => self.text().map(Value::Text),
            Tag::Int => self.text().map(|text| int(&text)),
            Tag::Long => self.text().map(|text| long(&text)),
            Tag::Boolean => self.text().map(|text| boolean(&text)),
            Tag::Struct => self.members().map(Value::Struct),
            Tag::Array => self.entries().map(Value::Array),
            Tag::Nil => self.leave().map(|()| Value::Nil),
            Tag::Other => self.skip().map(|()| Value::Other),
            Tag::MethodCall
            | Tag::MethodName
            | Tag::MethodResponse
            | Tag::Params
            | Tag::Param
            | Tag::Fault
            | Tag::Value
            | Tag::Member
            | Tag::Name
            | Tag::Data => Err(self.not_rpc("a type")),
        }
    }

    fn members(&mut self) -> Result<Vec<Member<'a>>, BadXml> {
        let mut members = Vec::new();
        while let Some(tag) = self.child()? {
            if tag != Tag::Member {
                return Err(self.not_rpc("<member>"));
            }
            self.enter(Tag::Name, "<name>")?;
            let name = self.name()?;
            members.push(Member { name, value: self.only_value()? });
        }
        Ok(members)
    }

    fn entries(&mut self) -> Result<Vec<Value<'a>>, BadXml> {
        let mut entries = Vec::new();
        self.enter(Tag::Data, "<data>")?;
        while let Some(tag) = self.child()? {
            if tag != Tag::Value {
                return Err(self.not_rpc("<value>"));
            }
            entries.push(self.value()?);
        }
        self.leave()?;
        Ok(entries)
    }

    fn text(&mut self) -> Result<Cow<'a, str>, BadXml> {
        let mut text = Cow::Borrowed("");
        loop {
            match self.tokens.next()? {
                Token::Text(piece) => append(&mut text, piece),
                Token::Char(c) => text.to_mut().push(c),
                Token::Close => return Ok(text),
                Token::Open(_) | Token::End => return Err(self.not_rpc("text")),
            }
        }
    }

    /// Leaves the open element, whatever is in it.
    fn skip(&mut self) -> Result<(), BadXml> {
        let mut depth = 0_usize;
        loop {
            match self.tokens.next()? {
                Token::Open(_) => depth += 1,
                Token::Close if depth == 0 => return Ok(()),
                Token::Close => depth -= 1,
                Token::Text(_) | Token::Char(_) => {}
                Token::End => return Err(self.not_rpc("an end")),
            }
        }
    }
}

fn append<'a>(text: &mut Cow<'a, str>, piece: Cow<'a, str>) {
    if text.is_empty() {
        *text = piece;
    } else {
        text.to_mut().push_str(&piece);
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// A number of 32 bits: what needs more must be written as `i8`. One of fewer may be written as either.
fn int(text: &str) -> Value<'static> {
    let value = long(text);
    let is_larger = matches!(value, Value::Int(Some(number)) if i32::try_from(number).is_err());
    if is_larger { Value::Int(None) } else { value }
}

fn long(text: &str) -> Value<'static> {
    use IntErrorKind::{NegOverflow, PosOverflow};
    match text.trim_ascii().parse() {
        Ok(value) => Value::Int(Some(value)),
        Err(error) if matches!(error.kind(), PosOverflow | NegOverflow) => Value::Int(None),
        Err(_) => Value::Other,
    }
}

fn boolean(text: &str) -> Value<'static> {
    match text.trim_ascii() {
        "0" => Value::Boolean(false),
        "1" => Value::Boolean(true),
        _ => Value::Other,
    }
}
