//! The protocol of Redis, as far as SET and GET go.

use std::borrow::Cow;

use anyhow::{Context, bail};

use super::http::write_number;
use super::{Answer, Came, Heard, Speech, sentence};
use crate::cli::bench::keys::{KEY_BYTES, Sizes, key, write_value};
use crate::cli::bench::workload::{Operation, Request};

/// Longest line of an answer: an error is one.
const LINE_BYTES_MAX: usize = 4 << 10;

/// One connection that speaks it.
pub(super) struct Redis {
    /// What lets it in, until it is.
    secret: Option<String>,
    sizes: Sizes,
}

impl Redis {
    pub(super) fn new(secret: Option<String>, sizes: Sizes) -> Self {
        Self { secret, sizes }
    }
}

impl Speech for Redis {
    fn open(&mut self, to: &mut Vec<u8>) {
        if let Some(secret) = &self.secret {
            to.extend_from_slice(b"*2\r\n$4\r\nAUTH\r\n");
            write_bulk(secret.len(), to, |to| to.extend_from_slice(secret.as_bytes()));
        }
    }

    fn is_open(&self) -> bool {
        self.secret.is_none()
    }

    fn ask(&mut self, request: Request, _number: u32, to: &mut Vec<u8>) {
        let key = key(request.key);
        match request.operation {
            Operation::Put => {
                to.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
                write_bulk(KEY_BYTES, to, |to| to.extend_from_slice(&key));
                let n_value = self.sizes.of_key(request.key);
                write_bulk(n_value, to, |to| write_value(request.key, n_value, to));
            }
            Operation::Get => {
                to.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
                write_bulk(KEY_BYTES, to, |to| to.extend_from_slice(&key));
            }
        }
    }

    fn hear<'a>(&mut self, came: Came<'a>) -> anyhow::Result<Heard<'a>> {
        let Some((reply, n_bytes)) = reply(came.bytes)? else { return Ok(Heard::Part) };
        if self.secret.is_some() {
            return match reply {
                Reply::Line(b"OK") => {
                    self.secret = None;
                    Ok(Heard::Aside { n_bytes })
                }
                Reply::Error(line) => bail!("{}", sentence(&String::from_utf8_lossy(line))),
                Reply::Line(_) | Reply::Bulk(_) | Reply::Null => bail!("the answer is not that to AUTH"),
            };
        }
        let answer = match (reply, came.asked) {
            (Reply::Line(b"OK"), Operation::Put) => Answer::Stored,
            (Reply::Bulk(value), Operation::Get) => Answer::Found(Cow::Borrowed(value)),
            (Reply::Null, Operation::Get) => Answer::Absent,
            (Reply::Error(line), _) => Answer::Refused(sentence(&String::from_utf8_lossy(line))),
            (Reply::Line(_) | Reply::Bulk(_) | Reply::Null, _) => bail!("the answer is to another command"),
        };
        Ok(Heard::Answer { n_bytes, number: None, answer, stays: true })
    }
}

fn write_bulk(n_bytes: usize, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    to.push(b'$');
    write_number(n_bytes, to);
    to.extend_from_slice(b"\r\n");
    write(to);
    to.extend_from_slice(b"\r\n");
}

/// The replies that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::bench) enum Reply<'a> {
    Line(&'a [u8]),
    Error(&'a [u8]),
    Bulk(&'a [u8]),
    Null,
}

/// The reply at the beginning of `bytes` and its length; `None` while it is not whole.
pub(in crate::cli::bench) fn reply(bytes: &[u8]) -> anyhow::Result<Option<(Reply<'_>, usize)>> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        if bytes.len() >= LINE_BYTES_MAX {
            bail!("a line of the answer has more than {LINE_BYTES_MAX} bytes");
        }
        return Ok(None);
    };
    let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let (kind, line) = line.and_then(<[u8]>::split_first).context("the answer is not that of a Redis")?;
    let behind = end + 1;
    Ok(Some(match (kind, line) {
        (b'+', line) => (Reply::Line(line), behind),
        (b'-', line) => (Reply::Error(line), behind),
        (b'$', b"-1") | (b'_', b"") => (Reply::Null, behind),
        (b'$', digits) => {
            let n_bytes = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
            let n_bytes = n_bytes.context("the answer's length is no number")? as usize;
            let Some(bulk) = bytes.get(behind..behind + n_bytes + 2) else { return Ok(None) };
            let bulk = bulk.strip_suffix(b"\r\n").context("the answer is longer than it says")?;
            (Reply::Bulk(bulk), behind + n_bytes + 2)
        }
        _ => bail!("the answer is not that of a Redis, or to another command"),
    }))
}
