//! etcd's own protocol, gRPC, as far as one put and one linearizable get go: to measure another program by the same means.
//!
//! That is HTTP/2 (RFC 9113) without what is not needed here: names and values of headers are sent as they are (RFC 7541,
//! 6.2.2), those that come are passed over, and what one frame does not hold is not sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, bail};
use chord::NodeName;

use super::{Answer, Came, Heard, Speech};
use crate::cli::bench::keys::{Sizes, key, write_value};
use crate::cli::bench::workload::{Operation, Request};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame before its content, and of its content, unless another length is agreed on.
const HEAD_BYTES: usize = 9;
const CONTENT_BYTES_MAX: usize = 16 << 10;

/// Longest value that fits into one frame with its key and what stands around them.
pub(in crate::cli::bench) const VALUE_BYTES_MAX: usize = CONTENT_BYTES_MAX - 64;

/// What a side may send before the other allows more, and all that it can be allowed.
const WINDOW_BYTES: u32 = 65_535;
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// When so much has come, as much more is allowed.
const ALLOWED_AGAIN_BYTES: u32 = 1 << 30;

/// Types of frames and what their flags say.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW: u8 = 8;
const ENDS_STREAM: u8 = 1;
const CONFIRMS: u8 = 1;
const ENDS_HEADERS: u8 = 4;
const IS_PADDED: u8 = 8;

/// One connection that speaks it.
pub(super) struct Etcd {
    /// The headers of a put and of a get.
    headers: [Vec<u8>; 2],
    sizes: Sizes,
    /// What was asked on each stream, and what has come of its answer.
    streams: BTreeMap<u32, (Operation, Vec<u8>)>,
    /// What the other side has to be told, with the next request.
    back: Vec<u8>,
    /// Whether the other side has said how it is.
    is_met: bool,
    /// How many bytes may be sent.
    window: u32,
    /// How many have come since more were allowed.
    n_came: u32,
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    content: &'a [u8],
}

impl Etcd {
    pub(super) fn new(node: &NodeName, sizes: Sizes) -> Self {
        let headers =
            ["/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"].map(|path| headers(path, node.as_str()));
        Self {
            headers,
            sizes,
            streams: BTreeMap::new(),
            back: Vec::new(),
            is_met: false,
            window: WINDOW_BYTES,
            n_came: 0,
        }
    }

    fn take(&mut self, frame: &Frame<'_>, n_bytes: usize) -> anyhow::Result<Heard<'static>> {
        let number = frame.content.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match frame.kind {
            DATA => self.take_data(frame)?,
            SETTINGS if frame.flags & CONFIRMS == 0 => {
                self.is_met = true;
                write_frame(SETTINGS, CONFIRMS, 0, &[], &mut self.back);
            }
            PING if frame.flags & CONFIRMS == 0 => {
                write_frame(PING, CONFIRMS, 0, frame.content, &mut self.back);
            }
            WINDOW if frame.stream == 0 => {
                self.window = self.window.saturating_add(number.context("a window says nothing")?);
            }
            GO_AWAY => bail!("the server ends the connection"),
            _ => {}
        }
        // Whoever has answered may still say that it wants no more of the request (RFC 9113, 8.1).
        if frame.kind == RESET && !self.streams.contains_key(&frame.stream) {
            return Ok(Heard::Aside { n_bytes });
        }
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & ENDS_STREAM != 0;
        if ends || frame.kind == RESET {
            return self.end(frame.stream, n_bytes);
        }
        Ok(Heard::Aside { n_bytes })
    }

    fn take_data(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        if frame.flags & IS_PADDED != 0 {
            bail!("the answer is padded, which this load generator does not read");
        }
        let (_, message) =
            self.streams.get_mut(&frame.stream).context("an answer came that nobody waits for")?;
        if message.len() + frame.content.len() > 2 * CONTENT_BYTES_MAX {
            bail!("the answer is larger than any right one");
        }
        message.extend_from_slice(frame.content);
        self.n_came += u32::try_from(frame.content.len()).unwrap_or(0);
        if self.n_came >= ALLOWED_AGAIN_BYTES {
            write_frame(WINDOW, 0, 0, &self.n_came.to_be_bytes(), &mut self.back);
            self.n_came = 0;
        }
        Ok(())
    }

    /// No more comes on that stream.
    fn end(&mut self, stream: u32, n_bytes: usize) -> anyhow::Result<Heard<'static>> {
        let (operation, message) =
            self.streams.remove(&stream).context("an answer came that nobody waits for")?;
        // A byte that says that it is not compressed, and four for its length.
        let answer = match (operation, message.get(5..)) {
            (_, None) => {
                Answer::Refused("etcd did not do it, and says why in a way that is not read here".to_owned())
            }
            (Operation::Put, Some(_)) => Answer::Stored,
            (Operation::Get, Some(message)) => value(message)?,
        };
        Ok(Heard::Answer { n_bytes, number: Some(stream.div_ceil(2)), answer, stays: true })
    }
}

impl Speech for Etcd {
    fn open(&mut self, to: &mut Vec<u8>) {
        (self.is_met, self.window, self.n_came) = (false, WINDOW_BYTES, 0);
        self.streams.clear();
        self.back.clear();
        to.extend_from_slice(PREFACE);
        // No table of headers, no pushes, and as much on each stream as there can be (RFC 9113, 6.5.2).
        let settings = [(1_u16, 0), (2, 0), (4, WINDOW_BYTES_MAX)];
        let settings = settings.map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
        write_frame(SETTINGS, 0, 0, &settings.concat(), to);
        write_frame(WINDOW, 0, 0, &(WINDOW_BYTES_MAX - WINDOW_BYTES).to_be_bytes(), to);
    }

    fn is_open(&self) -> bool {
        self.is_met && self.window as usize >= CONTENT_BYTES_MAX
    }

    fn ask(&mut self, request: Request, number: u32, to: &mut Vec<u8>) {
        to.append(&mut self.back);
        let stream = number * 2 - 1;
        let mut message = vec![0; 5];
        write_field(1, &key(request.key), &mut message);
        if request.operation == Operation::Put {
            let (n_value, mut value) = (self.sizes.of_key(request.key), Vec::new());
            write_value(request.key, n_value, &mut value);
            write_field(2, &value, &mut message);
        }
        let n_message = u32::try_from(message.len() - 5).unwrap_or(u32::MAX);
        message[1..5].copy_from_slice(&n_message.to_be_bytes());
        write_frame(HEADERS, ENDS_HEADERS, stream, &self.headers[request.operation as usize], to);
        write_frame(DATA, ENDS_STREAM, stream, &message, to);
        self.window = self.window.saturating_sub(n_message + 5);
        self.streams.insert(stream, (request.operation, Vec::new()));
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        match frame(came.bytes)? {
            Some((frame, n_bytes)) => self.take(&frame, n_bytes),
            None => Ok(Heard::Part),
        }
    }
}

/// The headers of a request, none of them to be remembered.
fn headers(path: &str, authority: &str) -> Vec<u8> {
    // By their numbers in the static table (RFC 7541, appendix A): POST, http; then names with values that follow.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], authority),
        (&[0x0f, 31 - 15], "application/grpc"),
        (b"\0\x02te", "trailers"),
    ] {
        block.extend_from_slice(name);
        write_length(value.len(), &mut block);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// Puts the length of a text that is not compressed: a number with a prefix of seven bits (RFC 7541, 5.1).
fn write_length(length: usize, to: &mut Vec<u8>) {
    const PREFIX_MAX: u8 = 0x7f;
    match u8::try_from(length) {
        Ok(length) if length < PREFIX_MAX => to.push(length),
        _ => {
            to.push(PREFIX_MAX);
            write_varint(length - usize::from(PREFIX_MAX), to);
        }
    }
}

fn write_frame(kind: u8, flags: u8, stream: u32, content: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(content);
}

/// The frame at the beginning of `bytes`, and its length with its head; `None` while it is not whole.
fn frame(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
    let Some(([a, b, c, kind, flags, stream @ ..], rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
    if length > CONTENT_BYTES_MAX {
        bail!("the answer is not HTTP/2, or has longer frames than were agreed on");
    }
    let frame = rest.get(..length).map(|content| {
        let stream = u32::from_be_bytes(*stream) & WINDOW_BYTES_MAX;
        (Frame { kind: *kind, flags: *flags, stream, content }, HEAD_BYTES + length)
    });
    Ok(frame)
}

/// Puts a field of bytes into a message (protocol buffers, wire type 2).
fn write_field(number: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    write_varint(bytes.len(), to);
    to.extend_from_slice(bytes);
}

fn write_varint(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    to.push(u8::try_from(number).unwrap_or(0));
}

/// The value of the first pair (field 5 of field 2) that a get brought.
fn value(message: &[u8]) -> anyhow::Result<Answer<'static>> {
    let Some(pair) = field(message, 2)? else { return Ok(Answer::Absent) };
    let value = field(pair, 5)?.unwrap_or_default(); // an empty one is left out
    Ok(Answer::Found(Cow::Owned(value.to_vec())))
}

/// The first field of bytes with that number.
fn field(mut message: &[u8], number: usize) -> anyhow::Result<Option<&[u8]>> {
    const CUT_OFF: &str = "the answer is cut off";
    while !message.is_empty() {
        let tag = read_varint(&mut message).context(CUT_OFF)?;
        let content = match tag & 7 {
            0 => {
                read_varint(&mut message).context(CUT_OFF)?;
                &[][..]
            }
            2 => {
                let n_bytes = read_varint(&mut message).context(CUT_OFF)?;
                let (content, rest) = message.split_at_checked(n_bytes).context(CUT_OFF)?;
                message = rest;
                content
            }
            _ => bail!("the answer has a field that is not understood"),
        };
        if tag >> 3 == number {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

fn read_varint(from: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
