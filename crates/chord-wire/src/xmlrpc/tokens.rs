//! An XML body piece by piece: elements, texts and nothing else.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

use super::characters::is_character;

/// How many elements may lie in each other. The deepest of our messages, a successor list in a struct in a
/// [multicall](super::Call::Multi), needs 20; the rest is for fields that we do not know.
pub const DEPTH_MAX: usize = 64;

/// Why a body is not XML-RPC. Never says what the body held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadXml {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Said to be something else than UTF-8.
    #[error("the body's declaration names an encoding other than UTF-8")]
    Encoding,
    /// Not XML at all.
    #[error("the body is not XML: it goes wrong at byte {at_byte}")]
    NotXml {
        /// Counted from 0.
        at_byte: u64,
    },
    /// A character that no XML can hold.
    #[error("the body holds a character that XML cannot carry, at byte {at_byte}")]
    Character {
        /// Counted from 0.
        at_byte: u64,
    },
    /// A document type, which could declare entities.
    #[error("the body has a document type, which is not accepted")]
    DocumentType,
    /// An entity that would have to be declared.
    #[error("the body names an entity other than amp, lt, gt, apos and quot, at byte {at_byte}")]
    Entity {
        /// Counted from 0.
        at_byte: u64,
    },
    /// XML, but not XML-RPC.
    #[error("the body is not XML-RPC: {wanted} is missing at byte {at_byte}")]
    NotRpc {
        /// What should stand there.
        wanted: &'static str,
        /// Counted from 0.
        at_byte: u64,
    },
    /// An answer that is something else than one struct.
    #[error("the body does not hold exactly one struct")]
    NotOneStruct,
    /// Elements in elements in elements.
    #[error("the body's elements are more than {DEPTH_MAX} deep")]
    TooDeep,
    /// More values than any message has.
    #[error("the body holds more than {} values", super::VALUES_MAX)]
    TooManyValues,
    /// A method or a field with an endless name.
    #[error("the body holds a name of more than {} bytes", super::NAME_BYTES_MAX)]
    LongName,
}

/// An element that XML-RPC knows, or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    MethodCall,
    MethodName,
    MethodResponse,
    Params,
    Param,
    Fault,
    Value,
    Struct,
    Member,
    Name,
    Array,
    Data,
    Nil,
    Boolean,
    /// At most 32 bits.
    Int,
    /// At most 64 bits.
    Long,
    String,
    Other,
}

impl Tag {
    /// Apache's extensions stand in a namespace that everybody calls `ex`.
    fn of(name: &str) -> Self {
        match name {
            "methodCall" => Self::MethodCall,
            "methodName" => Self::MethodName,
            "methodResponse" => Self::MethodResponse,
            "params" => Self::Params,
            "param" => Self::Param,
            "fault" => Self::Fault,
            "value" => Self::Value,
            "struct" => Self::Struct,
            "member" => Self::Member,
            "name" => Self::Name,
            "array" => Self::Array,
            "data" => Self::Data,
            "nil" | "ex:nil" => Self::Nil,
            "boolean" => Self::Boolean,
            "int" | "i1" | "i2" | "i4" | "ex:i1" | "ex:i2" => Self::Int,
            "i8" | "ex:i8" => Self::Long,
            "string" => Self::String,
            _ => Self::Other,
        }
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Token<'a> {
    /// An element begins.
    Open(Tag),
    /// The innermost open element ends.
    Close,
    /// Text as it is meant: one text may come in many pieces.
    Text(Cow<'a, str>),
    /// A character that was written as a reference: more of the text.
    Char(char),
    /// The body ends.
    End,
}

/// A body that is being read.
pub(super) struct Tokens<'a> {
    xml: Reader<&'a [u8]>,
    is_ascii: bool,
    depth: usize,
    begun: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, BadXml> {
        let text = std::str::from_utf8(body).map_err(|_| BadXml::NotUtf8)?;
        if let Some(at) = super::characters::first_unfit(text) {
            return Err(BadXml::Character { at_byte: at as u64 });
        }
        let mut xml = Reader::from_str(text);
        xml.config_mut().expand_empty_elements = true;
        Ok(Self { xml, is_ascii: text.is_ascii(), depth: 0, begun: false })
    }

    /// The next piece; comments and processing instructions are passed over.
    pub(super) fn next(&mut self) -> Result<Token<'a>, BadXml> {
        loop {
            let event = self.xml.read_event();
            let event = event.map_err(|_| BadXml::NotXml { at_byte: self.xml.error_position() })?;
            let first = !std::mem::replace(&mut self.begun, true);
            return match event {
                Event::Start(tag) => self.open(&tag),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Ok(Token::Close)
                }
                Event::Text(text) => Ok(Token::Text(text.xml10_content())),
                Event::CData(text) => Ok(Token::Text(text.xml10_content())),
                Event::GeneralRef(reference) => self.character(&reference).map(Token::Char),
                Event::Decl(declaration) if first => {
                    self.check_declaration(&declaration)?;
                    continue;
                }
                Event::Comment(_) | Event::PI(_) => continue,
                Event::DocType(_) => Err(BadXml::DocumentType),
                Event::Eof if self.depth == 0 => Ok(Token::End),
                Event::Eof | Event::Decl(_) | Event::Empty(_) => Err(self.not_xml()),
            };
        }
    }

    /// How far the body has been read.
    pub(super) fn at_byte(&self) -> u64 {
        self.xml.buffer_position()
    }

    fn not_xml(&self) -> BadXml {
        BadXml::NotXml { at_byte: self.at_byte() }
    }

    /// Attributes mean nothing to us, but must be some. That none stands there twice is not checked: it would
    /// take time that grows with the square of their number.
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<Token<'a>, BadXml> {
        if self.depth == DEPTH_MAX {
            return Err(BadXml::TooDeep);
        }
        self.depth += 1;
        let mut attributes = tag.attributes();
        let broken = tag.name().as_ref().is_empty()
            || tag.contains('<')
            || attributes.with_checks(false).any(|attribute| attribute.is_err());
        if broken { Err(self.not_xml()) } else { Ok(Token::Open(Tag::of(tag.name().as_ref()))) }
    }

    fn character(&self, reference: &BytesRef<'_>) -> Result<char, BadXml> {
        let at_byte = self.at_byte();
        match &**reference {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => match reference.resolve_char_ref() {
                Ok(Some(c)) if is_character(c) => Ok(c),
                Ok(None) => Err(BadXml::Entity { at_byte }),
                Ok(Some(_)) | Err(_) => Err(BadXml::Character { at_byte }),
            },
        }
    }

    /// What holds ASCII alone means the same in every encoding that clients use.
    fn check_declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), BadXml> {
        let encoding = declaration.encoding().transpose().map_err(|_| self.not_xml())?;
        let known = ["utf-8", "utf8", "us-ascii", "ascii"];
        match encoding {
            Some(encoding)
                if !self.is_ascii && !known.iter().any(|name| encoding.eq_ignore_ascii_case(name)) =>
            {
                Err(BadXml::Encoding)
            }
            Some(_) | None => Ok(()),
        }
    }
}
