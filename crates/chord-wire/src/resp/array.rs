//! Requests that are arrays of bulk strings.

use std::ops::Range;

use super::decimal::Decimal;
use super::limits::{ProtocolError, RequestLimits};

/// How far an array has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Not wholly.
    InPart,
    /// Wholly, with so many bytes. There may be no arguments in it.
    Wholly(usize),
}

/// An array that is arriving.
#[derive(Debug)]
pub(super) struct ArrayReader {
    expected: Expected,
    /// How many bytes of it were read.
    n_read: usize,
    n_args_left: usize,
}

/// What comes next.
#[derive(Debug)]
enum Expected {
    /// The rest of the number of arguments.
    Count(Decimal),
    /// The `$` of an argument.
    Mark,
    /// The rest of an argument's length.
    Length(Decimal),
    /// So many bytes, and the end of the line.
    Bulk(usize),
}

impl ArrayReader {
    /// Of an array whose `*` was seen.
    pub(super) fn new() -> Self {
        Self { expected: Expected::Count(Decimal::default()), n_read: 1, n_args_left: 0 }
    }

    /// Goes on with what has come of the array, from its first byte on, and says where its arguments lie in that. Each
    /// byte that is looked at counts as work.
    pub(super) fn read(
        &mut self,
        array: &[u8],
        limits: &RequestLimits,
        args: &mut Vec<Range<usize>>,
        work: &mut u64,
    ) -> Result<Arrived, ProtocolError> {
        while !self.is_whole() {
            let rest = array.get(self.n_read..).unwrap_or_default();
            let Some(&byte) = rest.first() else { return Ok(Arrived::InPart) };
            *work += 1;
            match &mut self.expected {
                Expected::Count(count) => {
                    let (n_bytes, count) = count.read(rest).map_err(|_| ProtocolError::ArrayLength)?;
                    self.n_read += n_bytes;
                    *work += n_bytes as u64 - 1;
                    if let Some(count) = count {
                        self.n_args_left = n_args(count, limits)?;
                        self.expected = Expected::Mark;
                    }
                }
                Expected::Mark if byte == b'$' => {
                    self.n_read += 1;
                    self.expected = Expected::Length(Decimal::default());
                }
                Expected::Mark => return Err(ProtocolError::NotABulk { got: shown(byte) }),
                Expected::Length(length) => {
                    let (n_bytes, length) = length.read(rest).map_err(|_| ProtocolError::BulkLength)?;
                    self.n_read += n_bytes;
                    *work += n_bytes as u64 - 1;
                    if let Some(length) = length {
                        self.expected = Expected::Bulk(self.bulk_bytes(length, limits)?);
                    }
                }
                Expected::Bulk(n_bytes) => {
                    let end = self.n_read + *n_bytes;
                    let Some(line_end) = array.get(end..end + 2) else { return Ok(Arrived::InPart) };
                    if line_end != b"\r\n" {
                        return Err(ProtocolError::BulkEnd);
                    }
                    args.push(self.n_read..end);
                    self.n_read = end + 2;
                    self.n_args_left -= 1;
                    self.expected = Expected::Mark;
                }
            }
        }
        Ok(Arrived::Wholly(self.n_read))
    }

    fn is_whole(&self) -> bool {
        matches!(self.expected, Expected::Mark) && self.n_args_left == 0
    }

    /// What a length says, if the array may be as long as that makes it.
    fn bulk_bytes(&self, length: i64, limits: &RequestLimits) -> Result<usize, ProtocolError> {
        let limit = limits.bulk_bytes_max;
        let length = u64::try_from(length).map_err(|_| ProtocolError::BulkLength)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= limit);
        let length = length.ok_or(ProtocolError::BulkTooLong { limit })?;
        let limit = limits.request_bytes_max;
        let n_bytes = length.checked_add(2).and_then(|length| length.checked_add(self.n_read));
        match n_bytes {
            Some(n_bytes) if n_bytes <= limit => Ok(length),
            Some(_) | None => Err(ProtocolError::RequestTooLong { limit }),
        }
    }
}

/// What a count says. Less than none is none, as in Redis.
fn n_args(count: i64, limits: &RequestLimits) -> Result<usize, ProtocolError> {
    let limit = limits.args_max;
    let count = usize::try_from(count.max(0)).ok().filter(|count| *count <= limit);
    count.ok_or(ProtocolError::TooManyArgs { limit })
}

/// No control character reaches a log or a terminal.
fn shown(byte: u8) -> char {
    if matches!(byte, b' '..=b'~') { byte.into() } else { '?' }
}
