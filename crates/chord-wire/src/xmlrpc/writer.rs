//! XML-RPC as it is written: without a blank that is not meant.

use chord_ring::{NodeName, Position};

use super::characters::{first_unfit, push_escaped, replaced};
use crate::Code;
use crate::seed::field::Record;

/// Enough for most messages, so that few of them move while they grow.
const CAPACITY_BYTES: usize = 640;

/// A message that XML-RPC cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotXml {
    /// A text with a character that XML does not have, such as most control characters.
    #[error("the field \"{field}\" holds a character that XML cannot carry")]
    Character {
        /// Which field.
        field: &'static str,
    },
    /// A whole number of 2^63 or more.
    #[error("the field \"{field}\" holds a number of 2^63 or more, which cannot be said in XML-RPC")]
    Number {
        /// Which field.
        field: &'static str,
    },
}

impl NotXml {
    /// What to answer instead.
    pub fn code(self) -> Code {
        match self {
            Self::Character { .. } | Self::Number { .. } => Code::NotText,
        }
    }
}

/// A body that is being written. As a [`Record`] it takes the members of a struct.
pub(super) struct Writer {
    bytes: Vec<u8>,
    unfit: Option<NotXml>,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(CAPACITY_BYTES);
        bytes.extend_from_slice(b"<?xml version=\"1.0\"?>");
        Self { bytes, unfit: None }
    }

    pub(super) fn end(self) -> Result<Vec<u8>, NotXml> {
        self.unfit.map_or(Ok(self.bytes), Err)
    }

    /// What was written, by one who knows that XML can carry it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What is XML already.
    pub(super) fn xml(mut self, xml: &str) -> Self {
        self.bytes.extend_from_slice(xml.as_bytes());
        self
    }

    /// A string of ours.
    pub(super) fn text(mut self, text: &str) -> Self {
        self = self.xml("<value><string>");
        push_escaped(&mut self.bytes, text);
        self.xml("</string></value>")
    }

    pub(super) fn texts(self, texts: impl IntoIterator<Item = &'static str>) -> Self {
        let array = self.xml("<value><array><data>");
        texts.into_iter().fold(array, Self::text).xml("</data></array></value>")
    }

    /// A fault as a value; whatever the sentence, it is XML.
    pub(super) fn fault(self, fault_code: i32, sentence: &str) -> Self {
        self.xml("<value><struct>")
            .int("faultCode", fault_code.into())
            .string("faultString", &replaced(sentence))
            .xml("</struct></value>")
    }

    /// What `write` writes as one value, or, if XML cannot carry that, a fault in its place.
    pub(super) fn or_fault(self, write: impl FnOnce(Self) -> Self) -> Self {
        let n_bytes = self.bytes.len();
        let mut written = write(self);
        let Some(unfit) = written.unfit.take() else { return written };
        written.bytes.truncate(n_bytes);
        written.fault(unfit.code().fault_code(), &unfit.to_string())
    }

    fn member(self, name: &'static str, value: impl FnOnce(Self) -> Self) -> Self {
        value(self.xml("<member><name>").xml(name).xml("</name>")).xml("</member>")
    }

    fn unfit(mut self, unfit: NotXml) -> Self {
        self.unfit.get_or_insert(unfit);
        self
    }

    fn checked(self, name: &'static str, text: &str) -> Self {
        if first_unfit(text).is_some() {
            return self.unfit(NotXml::Character { field: name });
        }
        self.text(text)
    }

    fn int(self, name: &'static str, value: i64) -> Self {
        let (open, close) = match i32::try_from(value) {
            Ok(_) => ("<value><int>", "</int></value>"),
            Err(_) => ("<value><i8>", "</i8></value>"),
        };
        self.member(name, |member| member.xml(open).xml(&value.to_string()).xml(close))
    }
}

impl Record for Writer {
    fn string(self, name: &'static str, value: &str) -> Self {
        self.member(name, |member| member.checked(name, value))
    }

    fn string_or_null(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(name, value),
            None => self.member(name, |member| member.xml("<value><nil/></value>")),
        }
    }

    fn boolean(self, name: &'static str, value: bool) -> Self {
        let digit = if value { "1" } else { "0" };
        self.member(name, |member| member.xml("<value><boolean>").xml(digit).xml("</boolean></value>"))
    }

    fn count(self, name: &'static str, value: u32) -> Self {
        self.int(name, value.into())
    }

    fn position(self, name: &'static str, value: Position) -> Self {
        match value.to_string().parse() {
            Ok(value) => self.int(name, value),
            Err(_) => self.unfit(NotXml::Number { field: name }),
        }
    }

    fn nodes(self, name: &'static str, nodes: &[NodeName]) -> Self {
        self.member(name, |member| {
            let array = member.xml("<value><array><data>");
            let array = nodes.iter().fold(array, |array, node| array.checked(name, node.as_str()));
            array.xml("</data></array></value>")
        })
    }
}
