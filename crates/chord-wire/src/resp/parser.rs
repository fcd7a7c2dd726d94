//! From bytes as they come to requests as they were meant.

use std::ops::Range;

use super::array::{ArrayReader, Arrived};
use super::inline;
use super::limits::{ProtocolError, RequestLimits};
use super::request::Request;

/// How much there is room for, at least, before a read. Many small requests fit, and so do many connections.
const ROOM_BYTES_MIN: usize = 8 << 10;

/// What a connection keeps between requests, at most, however large they were.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// The same for the places of arguments.
const KEPT_ARGS_MAX: usize = 1 << 10;

/// What one client sends, request by request.
///
/// Bytes come in by [`room`](Self::room) and [`received`](Self::received), or by [`feed`](Self::feed). Then
/// [`next_request`](Self::next_request) until there is none, and only then more bytes: so there is never more here than one
/// request and one read. A request lies in the very bytes that were received; nothing is allocated for it.
#[derive(Debug)]
pub struct RequestParser {
    limits: RequestLimits,
    /// Has room behind `end`. Its length never shrinks but between requests, so that room is made ready once.
    buffer: Vec<u8>,
    /// Where the request begins that is arriving, or was given out last.
    begin: usize,
    /// How far the buffer is filled.
    end: usize,
    state: State,
    /// Where the arguments lie: in the buffer from `begin` on, or in `words`.
    args: Vec<Range<usize>>,
    /// The words of a line.
    words: Vec<u8>,
    work: u64,
}

#[derive(Debug)]
enum State {
    /// Between two requests.
    Begin,
    Array(ArrayReader),
    /// A line; so many bytes of it hold no line feed.
    Line(usize),
    /// A request of so many bytes was given out.
    Given(usize),
    Failed(ProtocolError),
}

/// Where the arguments of a whole request lie.
enum Whole {
    InBuffer(usize),
    InWords,
}

impl RequestParser {
    /// One for a new connection; memory is taken when bytes come.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            begin: 0,
            end: 0,
            state: State::Begin,
            args: Vec::new(),
            words: Vec::new(),
            work: 0,
        }
    }

    /// From now on these limits hold, also for what is still missing of a request that is arriving.
    pub fn limit(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Room to receive bytes in; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.room_for(ROOM_BYTES_MIN)
    }

    /// So many bytes were put at the beginning of the [`room`](Self::room).
    ///
    /// # Panics
    /// There was no room for as many.
    pub fn received(&mut self, n_bytes: usize) {
        let room = self.buffer.len() - self.end;
        assert!(n_bytes <= room, "{n_bytes} bytes were received where there is room for {room}");
        self.end += n_bytes;
    }

    /// Takes bytes that lie elsewhere, such as those by which a connection was [sniffed](super::sniff).
    pub fn feed(&mut self, bytes: &[u8]) {
        let (room, _) = self.room_for(bytes.len()).split_at_mut(bytes.len());
        room.copy_from_slice(bytes);
        self.received(bytes.len());
    }

    /// The next request, if it has arrived as a whole. Empty lines and empty arrays are passed over.
    ///
    /// # Errors
    /// The bytes are no request that is taken. From then on they never are.
    pub fn next_request(&mut self) -> Result<Option<Request<'_>>, ProtocolError> {
        self.drop_given();
        let whole = self.advance().inspect_err(|error| self.state = State::Failed(*error))?;
        let bytes = match whole {
            None => return Ok(None),
            Some(Whole::InBuffer(n_bytes)) => self.buffer.get(self.begin..self.begin + n_bytes),
            Some(Whole::InWords) => Some(&self.words[..]),
        };
        Ok(Some(Request::new(bytes.unwrap_or_default(), &self.args)))
    }

    /// Whether nothing has come of another request.
    pub fn is_idle(&self) -> bool {
        let n_given = if let State::Given(n_bytes) = self.state { n_bytes } else { 0 };
        self.begin + n_given == self.end
    }

    /// Bytes of memory that it keeps for what has come.
    pub fn memory(&self) -> usize {
        self.buffer.len()
    }

    /// Gives back what it keeps between requests; nothing if part of one has come.
    pub fn let_go(&mut self) {
        self.drop_given();
        if self.is_idle() && matches!(self.state, State::Begin) {
            *self = Self { work: self.work, ..Self::new(self.limits) };
        }
    }

    /// How often a byte was looked at or moved: for tests of what parsing costs.
    #[doc(hidden)]
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Goes on until a request is whole or bytes are missing.
    fn advance(&mut self) -> Result<Option<Whole>, ProtocolError> {
        loop {
            let arrived = self.buffer.get(self.begin..self.end).unwrap_or_default();
            let n_bytes = match &mut self.state {
                State::Begin | State::Given(_) => {
                    let Some(first) = arrived.first() else { return Ok(None) };
                    let is_array = *first == b'*';
                    self.state = if is_array { State::Array(ArrayReader::new()) } else { State::Line(0) };
                    continue;
                }
                State::Array(array) => {
                    match array.read(arrived, &self.limits, &mut self.args, &mut self.work)? {
                        Arrived::InPart => return Ok(None),
                        Arrived::Wholly(n_bytes) => n_bytes,
                    }
                }
                State::Line(n_searched) => {
                    let Some(line) = line(arrived, n_searched, &self.limits, &mut self.work)? else {
                        return Ok(None);
                    };
                    inline::split(line, &self.limits, &mut self.words, &mut self.args)?;
                    line.len() + 1
                }
                State::Failed(error) => return Err(*error),
            };
            let is_line = matches!(self.state, State::Line(_));
            self.state = State::Given(n_bytes);
            if !self.args.is_empty() {
                return Ok(Some(if is_line { Whole::InWords } else { Whole::InBuffer(n_bytes) }));
            }
            self.drop_given();
        }
    }

    /// Lets go of the request that was given out.
    fn drop_given(&mut self) {
        let State::Given(n_bytes) = self.state else { return };
        self.state = State::Begin;
        self.begin += n_bytes;
        self.args.clear();
        self.args.shrink_to(KEPT_ARGS_MAX);
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
            if self.buffer.len() > KEPT_BYTES_MAX {
                self.buffer = Vec::new();
            }
        }
    }

    /// Room for so many bytes at least, behind those that are there.
    fn room_for(&mut self, n_bytes: usize) -> &mut [u8] {
        self.drop_given();
        if self.buffer.len() - self.end < n_bytes {
            self.make_room(n_bytes);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    fn make_room(&mut self, n_bytes: usize) {
        // Only if that wins as much as it moves: so it costs each byte that comes no more than a fixed share.
        let n_kept = self.end - self.begin;
        if n_kept <= self.begin {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.work += n_kept as u64;
            (self.begin, self.end) = (0, n_kept);
        }
        if self.buffer.len() - self.end < n_bytes {
            // No request needs more, so doubling ends there.
            let enough = self.limits.request_bytes_max.saturating_add(ROOM_BYTES_MIN);
            let n_total = (2 * self.buffer.len()).min(enough).max(self.end + n_bytes);
            self.buffer.resize(n_total, 0);
        }
    }
}

/// The line that `arrived` begins with, without its line feed. `n_searched` bytes are known to hold none.
fn line<'a>(
    arrived: &'a [u8],
    n_searched: &mut usize,
    limits: &RequestLimits,
    work: &mut u64,
) -> Result<Option<&'a [u8]>, ProtocolError> {
    let limit = limits.inline_bytes_max;
    let new = arrived.get(*n_searched..).unwrap_or_default();
    let found =
        new.iter().take(limit.saturating_add(1).saturating_sub(*n_searched)).position(|byte| *byte == b'\n');
    let n_new = found.unwrap_or(new.len());
    *work += n_new as u64 + 1;
    *n_searched += n_new;
    match found {
        _ if *n_searched > limit => Err(ProtocolError::LineTooLong { limit }),
        Some(_) => Ok(arrived.get(..*n_searched)),
        None => Ok(None),
    }
}
