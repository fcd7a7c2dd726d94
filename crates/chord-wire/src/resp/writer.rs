//! Answers as they are written, in either version of the protocol.

use std::io::Write;

use super::decimal::push_decimal;

/// How a double is written outside of these powers of ten: with an exponent, since it would be hundreds of digits long.
const PLAIN_DOUBLES: std::ops::Range<f64> = 1e-5..1e17;

/// The longest has 17 digits, two signs, a point, and either 5 zeros in front or an exponent of 3 digits.
const DOUBLE_BYTES_MAX: usize = 32;

/// The version of the protocol: a connection begins with the older one, and asks for the other by `HELLO 3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Knows texts, numbers and lists.
    #[default]
    Resp2,
    /// Knows maps, sets, doubles and more, so that clients need not know what each command answers.
    Resp3,
}

/// Writes answers behind the bytes that are there already.
///
/// What has parts is begun with their number, and they follow: `writer.array(2).integer(1).integer(2)`. That as many
/// follow is up to the caller; [`Reply`](super::Reply) counts them itself.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    protocol: Protocol,
    bytes: &'a mut Vec<u8>,
}

impl<'a> ReplyWriter<'a> {
    /// One that writes to the end of `bytes`.
    pub fn new(protocol: Protocol, bytes: &'a mut Vec<u8>) -> Self {
        Self { protocol, bytes }
    }

    /// A short text of ours, such as `OK`. It is one line: an end of a line in it becomes a blank.
    pub fn simple(&mut self, text: &str) -> &mut Self {
        self.bytes.push(b'+');
        self.on_one_line(text).line_end()
    }

    /// An error: a word for programs in capital letters, such as `ERR`, and a sentence for people. It is one line: an end
    /// of a line in it becomes a blank.
    pub fn error(&mut self, code: &str, sentence: &str) -> &mut Self {
        self.bytes.push(b'-');
        self.on_one_line(code).bytes.push(b' ');
        self.on_one_line(sentence).line_end()
    }

    /// A whole number.
    pub fn integer(&mut self, number: i64) -> &mut Self {
        self.bytes.push(b':');
        self.decimal(number).line_end()
    }

    /// A number of things.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.integer(saturated(count))
    }

    /// Any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) -> &mut Self {
        self.header(b'$', bytes.len());
        self.raw(bytes).line_end()
    }

    /// Any bytes, or that there are none.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// That something is not there, where it would be bytes.
    pub fn null(&mut self) -> &mut Self {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        })
    }

    /// That something is not there, where it would be an array.
    pub fn null_array(&mut self) -> &mut Self {
        self.raw(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        })
    }

    /// A list; so many parts follow.
    pub fn array(&mut self, n_parts: usize) -> &mut Self {
        self.header(b'*', n_parts)
    }

    /// Pairs; so many keys follow, each before its value. The older protocol has a list of both instead.
    pub fn map(&mut self, n_pairs: usize) -> &mut Self {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', n_pairs.saturating_mul(2)),
            Protocol::Resp3 => self.header(b'%', n_pairs),
        }
    }

    /// A list in which nothing is twice; so many parts follow. The older protocol has a list instead.
    pub fn set(&mut self, n_parts: usize) -> &mut Self {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', n_parts),
            Protocol::Resp3 => self.header(b'~', n_parts),
        }
    }

    /// A list that was not asked for; so many parts follow. The older protocol has a list instead.
    pub fn push(&mut self, n_parts: usize) -> &mut Self {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', n_parts),
            Protocol::Resp3 => self.header(b'>', n_parts),
        }
    }

    /// A number with a fraction. The older protocol has its digits as bytes.
    pub fn double(&mut self, number: f64) -> &mut Self {
        let mut room = [0; DOUBLE_BYTES_MAX];
        let text = double_text(number, &mut room);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.raw(b",").raw(text).line_end(),
        }
    }

    /// Yes or no. The older protocol has 1 or 0.
    pub fn boolean(&mut self, is_true: bool) -> &mut Self {
        self.raw(match (self.protocol, is_true) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        })
    }

    /// A text for people. The older protocol has it as bytes.
    pub fn verbatim(&mut self, text: &str) -> &mut Self {
        const FORMAT: &[u8] = b"txt:";
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', FORMAT.len() + text.len()).raw(FORMAT).raw(text.as_bytes()).line_end()
            }
        }
    }

    /// A whole number of any length, in decimal digits. The older protocol has them as bytes.
    pub fn big_number(&mut self, digits: &str) -> &mut Self {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.raw(b"(").on_one_line(digits).line_end(),
        }
    }

    fn header(&mut self, kind: u8, count: usize) -> &mut Self {
        self.bytes.push(kind);
        self.decimal(saturated(count)).line_end()
    }

    fn decimal(&mut self, number: i64) -> &mut Self {
        push_decimal(self.bytes, number);
        self
    }

    fn on_one_line(&mut self, text: &str) -> &mut Self {
        self.bytes.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self
    }

    fn line_end(&mut self) -> &mut Self {
        self.raw(b"\r\n")
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

fn double_text(number: f64, room: &mut [u8; DOUBLE_BYTES_MAX]) -> &[u8] {
    let mut rest = &mut room[..];
    let magnitude = number.abs();
    let written = if number.is_nan() {
        rest.write_all(b"nan")
    } else if number.is_infinite() || magnitude == 0.0 || PLAIN_DOUBLES.contains(&magnitude) {
        write!(rest, "{number}")
    } else {
        write!(rest, "{number:e}")
    };
    written.expect("there is room for the longest");
    let n_bytes = DOUBLE_BYTES_MAX - rest.len();
    room.get(..n_bytes).unwrap_or_default()
}

/// Nothing in memory has more than 2^63 parts.
fn saturated(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
