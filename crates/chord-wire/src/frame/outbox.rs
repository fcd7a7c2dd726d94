//! Messages to bytes: short ones one behind the other, long ones in pieces between them.

use std::collections::VecDeque;

use super::kind::Kind;
use super::{CONTENT_BYTES_MAX, HEAD_BYTES, OPENING};

/// Where a message ends of which that is not known before its last piece is cut: behind everything.
pub const PLACED_LATER: u64 = u64::MAX;

/// What the memory of an outbox keeps when it is empty, at most.
const KEPT_BYTES_MAX: usize = 2 * CONTENT_BYTES_MAX;

/// A long message, of which some is still to be cut.
#[derive(Debug)]
struct Long {
    id: u32,
    content: Vec<u8>,
    n_cut: usize,
}

/// What one side has to send. All that was ever put in is one stream of bytes, in which places are counted.
#[derive(Debug, Default)]
pub struct Outbox {
    /// What follows in the stream, some of it sent already.
    bytes: Vec<u8>,
    n_sent: usize,
    /// How much of the stream came before `bytes`.
    before: u64,
    /// Where the piece ends that was cut last.
    piece_end: u64,
    long: VecDeque<Long>,
    long_bytes: usize,
}

impl Outbox {
    /// Says what is spoken.
    pub fn open(&mut self) {
        self.bytes.extend_from_slice(&OPENING);
    }

    /// Puts in a message, whose content `write` writes behind what is there. Returns where in the stream it will end, or
    /// [`PLACED_LATER`] if it is long.
    pub fn put(&mut self, kind: Kind, id: u32, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        self.put_kind(kind.number(), id, write)
    }

    /// The same, for any number of a kind.
    pub fn put_kind(&mut self, kind: u8, id: u32, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let start = self.begin(write);
        self.finish(start, kind, id)
    }

    /// The same, if `may` says so of how many bytes its content has; else nothing is put in.
    pub fn put_if(
        &mut self,
        kind: Kind,
        id: u32,
        write: impl FnOnce(&mut Vec<u8>),
        may: impl FnOnce(usize) -> bool,
    ) -> Option<u64> {
        let start = self.begin(write);
        if may(self.bytes.len() - start - HEAD_BYTES) {
            return Some(self.finish(start, kind.number(), id));
        }
        self.bytes.truncate(start);
        None
    }

    /// Writes the content of a message where it is to stand. Returns where that is.
    fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        write(&mut self.bytes);
        start
    }

    fn finish(&mut self, start: usize, kind: u8, id: u32) -> u64 {
        let n_content = self.bytes.len() - start - HEAD_BYTES;
        if n_content > CONTENT_BYTES_MAX {
            let content = self.bytes.split_off(start + HEAD_BYTES);
            self.bytes.truncate(start);
            self.announce(kind, id, content);
            return PLACED_LATER;
        }
        self.set_head(start, kind, id, n_content);
        self.end()
    }

    /// Says at once that a long message will come, so that numbers are sent in the order in which they were given.
    fn announce(&mut self, kind: u8, id: u32, content: Vec<u8>) {
        let start = self.bytes.len();
        let whole = u32::try_from(content.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&whole.to_be_bytes());
        self.set_head(start, Kind::Announced.number(), id, 1 + 4);
        self.long_bytes += content.len();
        self.long.push_back(Long { id, content, n_cut: 0 });
    }

    fn set_head(&mut self, start: usize, kind: u8, id: u32, n_content: usize) {
        let n_rest = u32::try_from(HEAD_BYTES - 4 + n_content).unwrap_or(u32::MAX);
        let head = n_rest.to_be_bytes().into_iter().chain([kind]).chain(id.to_be_bytes());
        for (to, byte) in self.bytes.iter_mut().skip(start).zip(head) {
            *to = byte;
        }
    }

    /// Where the stream ends, as far as it is known.
    fn end(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// How much of the stream was sent.
    pub fn n_sent(&self) -> u64 {
        self.before + self.n_sent as u64
    }

    /// Puts the next piece of a long message behind what is there, if the one before it was sent: so short ones overtake it,
    /// and it does not wait for ever. Returns the number of the message and where it ends if that was its last.
    pub fn cut(&mut self) -> Option<(u32, u64)> {
        if self.n_sent() < self.piece_end {
            return None;
        }
        let long = self.long.front_mut()?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD_BYTES]);
        let piece = long.content.get(long.n_cut..).unwrap_or_default();
        let n_piece = piece.len().min(CONTENT_BYTES_MAX);
        self.bytes.extend_from_slice(piece.get(..n_piece).unwrap_or_default());
        long.n_cut += n_piece;
        let (id, is_last) = (long.id, n_piece == piece.len());
        self.set_head(start, Kind::Piece.number(), id, n_piece);
        self.piece_end = self.end();
        self.long_bytes -= n_piece;
        is_last.then(|| {
            self.long.pop_front();
            (id, self.end())
        })
    }

    /// What is to be sent next; empty if nothing is, once [`Outbox::cut`] has nothing to put in either.
    pub fn unsent(&self) -> &[u8] {
        self.bytes.get(self.n_sent..).unwrap_or_default()
    }

    /// So many bytes of that were sent.
    pub fn sent(&mut self, n_bytes: usize) {
        self.n_sent += n_bytes;
        if self.n_sent >= self.bytes.len() {
            self.before += self.bytes.len() as u64;
            self.n_sent = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        } else if self.n_sent >= KEPT_BYTES_MAX {
            // A stream that never runs dry must not grow for ever.
            self.before += self.n_sent as u64;
            self.bytes.drain(..self.n_sent);
            self.n_sent = 0;
        }
    }

    /// Whether everything was sent.
    pub fn is_empty(&self) -> bool {
        self.unsent().is_empty() && self.long.is_empty()
    }

    /// How many bytes wait to be sent.
    pub fn n_waiting(&self) -> usize {
        self.bytes.len() - self.n_sent + self.long_bytes
    }

    /// Gives memory back that is not used.
    pub fn let_go(&mut self) {
        if self.is_empty() {
            self.before += self.bytes.len() as u64;
            self.n_sent = 0;
            self.bytes = Vec::new();
        }
    }
}
