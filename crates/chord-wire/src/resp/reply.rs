//! Answers as values.

use super::writer::{Protocol, ReplyWriter};

/// An answer, for whoever makes one before it is written. What an answer of many bytes holds need not be in it: see
/// [`ReplyWriter`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply<'a> {
    /// A short text of ours, such as `OK`.
    Simple(&'a str),
    /// An error.
    Error {
        /// A word for programs, in capital letters, such as `ERR`.
        code: &'a str,
        /// A sentence for people.
        sentence: &'a str,
    },
    /// A whole number.
    Integer(i64),
    /// Any bytes.
    Bulk(&'a [u8]),
    /// Something is not there that would be bytes.
    Null,
    /// Something is not there that would be an array.
    NullArray,
    /// A list.
    Array(Vec<Self>),
    /// Pairs.
    Map(Vec<(Self, Self)>),
    /// A list in which nothing is twice.
    Set(Vec<Self>),
    /// A list that was not asked for.
    Push(Vec<Self>),
    /// A number with a fraction.
    Double(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text for people.
    Verbatim(&'a str),
    /// A whole number of any length, in decimal digits.
    BigNumber(&'a str),
}

impl Reply<'_> {
    /// The answer `OK`.
    pub const OK: Self = Self::Simple("OK");

    /// The bytes of the answer.
    pub fn encode(&self, protocol: Protocol) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut ReplyWriter::new(protocol, &mut bytes));
        bytes
    }

    /// Writes the answer behind those that were written before.
    pub fn write(&self, to: &mut ReplyWriter<'_>) {
        match self {
            Self::Simple(text) => _ = to.simple(text),
            Self::Error { code, sentence } => _ = to.error(code, sentence),
            Self::Integer(number) => _ = to.integer(*number),
            Self::Bulk(bytes) => _ = to.bulk(bytes),
            Self::Null => _ = to.null(),
            Self::NullArray => _ = to.null_array(),
            Self::Array(parts) => write_all(parts, to.array(parts.len())),
            Self::Map(pairs) => {
                to.map(pairs.len());
                for (key, value) in pairs {
                    key.write(to);
                    value.write(to);
                }
            }
            Self::Set(parts) => write_all(parts, to.set(parts.len())),
            Self::Push(parts) => write_all(parts, to.push(parts.len())),
            Self::Double(number) => _ = to.double(*number),
            Self::Boolean(is_true) => _ = to.boolean(*is_true),
            Self::Verbatim(text) => _ = to.verbatim(text),
            Self::BigNumber(digits) => _ = to.big_number(digits),
        }
    }
}

fn write_all(parts: &[Reply<'_>], to: &mut ReplyWriter<'_>) {
    for part in parts {
        part.write(to);
    }
}
