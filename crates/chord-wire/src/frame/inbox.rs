//! Bytes to messages: frames are told apart, and the pieces of long messages put together.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::error::FrameError;
use super::kind::{Class, Kind};
use super::{ANNOUNCED_MAX, CONTENT_BYTES_MAX, HEAD_BYTES, OPENING};

/// A length counts what follows it: a kind and a number at least.
const LENGTH_BYTES: usize = 4;
const REST_BYTES: usize = HEAD_BYTES - LENGTH_BYTES;

/// A message that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is, known or not.
    pub kind: u8,
    /// Its number.
    pub id: u32,
    /// Everything behind that.
    pub content: Cow<'a, [u8]>,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// A message.
    Message(Message<'a>),
    /// The first piece of a message of so many bytes. It is kept with those that follow, unless [`Inbox::discard`] is called
    /// now.
    Begun {
        /// The number of the message.
        id: u32,
        /// How long all of it will be.
        bytes: usize,
    },
    /// The first piece of a message that is longer than the limit: nothing is kept of it.
    TooLarge {
        /// The number of the message.
        id: u32,
    },
    /// Another piece of a long message, which is not whole yet, or was discarded; or the announcement of one.
    Piece,
}

/// A long message that was announced.
#[derive(Debug)]
struct Announced {
    kind: u8,
    id: u32,
    whole: usize,
}

/// The first of those: some of it has come.
#[derive(Debug)]
struct Arriving {
    n_bytes: usize,
    bytes: Vec<u8>,
    is_kept: bool,
}

/// What one side has received, as far as it is no whole message yet.
#[derive(Debug)]
pub struct Inbox {
    message_bytes: usize,
    is_opened: bool,
    /// Whether the numbers of what comes rise: those of requests do.
    rises: bool,
    last_id: u32,
    announced: VecDeque<Announced>,
    arriving: Option<Arriving>,
}

impl Inbox {
    /// For messages of so many bytes, from the side that asks.
    pub fn of_requests(message_bytes: usize) -> Self {
        Self { rises: true, ..Self::of_answers(message_bytes) }
    }

    /// For messages of so many bytes, from the side that answers.
    pub fn of_answers(message_bytes: usize) -> Self {
        Self {
            message_bytes,
            is_opened: false,
            rises: false,
            last_id: 0,
            announced: VecDeque::new(),
            arriving: None,
        }
    }

    /// From here on messages may have so many bytes.
    pub fn allow(&mut self, message_bytes: usize) {
        self.message_bytes = message_bytes;
    }

    /// The next of what has come in `bytes`, which go on behind it then; `None` if that takes more bytes.
    ///
    /// # Errors
    /// The connection cannot go on.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Arrived<'a>>, FrameError> {
        if !self.is_opened {
            let n_common = bytes.len().min(OPENING.len());
            if bytes.get(..n_common) != OPENING.get(..n_common) {
                return Err(FrameError::NotFrames);
            }
            let Some(rest) = bytes.strip_prefix(&OPENING) else { return Ok(None) };
            (self.is_opened, *bytes) = (true, rest);
        }
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| FrameError::Length)?;
        if !(REST_BYTES..=REST_BYTES + CONTENT_BYTES_MAX).contains(&length) {
            return Err(FrameError::Length);
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        let Some(([kind, id @ ..], content)) = frame.split_first_chunk::<REST_BYTES>() else {
            return Err(FrameError::Length);
        };
        *bytes = rest;
        self.frame(*kind, u32::from_be_bytes(*id), content).map(Some)
    }

    /// Forgets the long message whose first piece has just come: what follows of it is passed over.
    pub fn discard(&mut self) {
        if let Some(arriving) = &mut self.arriving {
            (arriving.is_kept, arriving.bytes) = (false, Vec::new());
        }
    }

    /// The highest number of a request that has come, or was announced.
    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Whether a long message was announced that is not whole.
    pub fn is_amid(&self) -> bool {
        !self.announced.is_empty()
    }

    /// The numbers of the long messages that were announced and are not whole.
    pub fn announced(&self) -> Vec<u32> {
        self.announced.iter().map(|announced| announced.id).collect()
    }

    fn frame<'a>(&mut self, kind: u8, id: u32, content: &'a [u8]) -> Result<Arrived<'a>, FrameError> {
        if kind == Kind::Piece.number() {
            return self.piece(id, content);
        }
        let is_announced = kind == Kind::Announced.number();
        if self.rises && (is_announced || Class::of(kind) == Class::Request) {
            if id <= self.last_id {
                return Err(FrameError::Number);
            }
            self.last_id = id;
        }
        if is_announced {
            return self.announce(id, content);
        }
        Ok(Arrived::Message(Message { kind, id, content: Cow::Borrowed(content) }))
    }

    /// A message that fits into a frame is never cut, so that each has one form only.
    fn announce<'a>(&mut self, id: u32, content: &[u8]) -> Result<Arrived<'a>, FrameError> {
        let [kind, whole @ ..] = content else { return Err(FrameError::Pieces) };
        let whole = <[u8; LENGTH_BYTES]>::try_from(whole).map_err(|_| FrameError::Pieces)?;
        let whole = usize::try_from(u32::from_be_bytes(whole)).map_err(|_| FrameError::Pieces)?;
        let may_be_long = matches!(Class::of(*kind), Class::Request | Class::Answer);
        if whole <= CONTENT_BYTES_MAX || !may_be_long || self.announced.len() >= ANNOUNCED_MAX {
            return Err(FrameError::Pieces);
        }
        self.announced.push_back(Announced { kind: *kind, id, whole });
        Ok(Arrived::Piece)
    }

    /// All pieces but the last are as long as a frame may be.
    fn piece<'a>(&mut self, id: u32, piece: &[u8]) -> Result<Arrived<'a>, FrameError> {
        let Some(Announced { whole, .. }) = self.announced.front().filter(|announced| announced.id == id)
        else {
            return Err(FrameError::Pieces);
        };
        let (whole, is_kept) = (*whole, *whole <= self.message_bytes);
        let is_first = self.arriving.is_none();
        let arriving =
            self.arriving.get_or_insert_with(|| Arriving { n_bytes: 0, bytes: Vec::new(), is_kept });
        if piece.len() != whole.saturating_sub(arriving.n_bytes).min(CONTENT_BYTES_MAX) {
            return Err(FrameError::Pieces);
        }
        arriving.n_bytes += piece.len();
        if arriving.is_kept {
            if !is_first {
                // It is within the limit, and whoever keeps it has made room for all of it.
                arriving.bytes.reserve_exact(whole.saturating_sub(arriving.bytes.len()));
            }
            arriving.bytes.extend_from_slice(piece);
        }
        if arriving.n_bytes < whole {
            return Ok(match (is_first, is_kept) {
                (true, true) => Arrived::Begun { id, bytes: whole },
                (true, false) => Arrived::TooLarge { id },
                (false, _) => Arrived::Piece,
            });
        }
        let announced = self.announced.pop_front();
        match (self.arriving.take(), announced) {
            (Some(Arriving { bytes, is_kept: true, .. }), Some(Announced { kind, id, .. })) => {
                Ok(Arrived::Message(Message { kind, id, content: Cow::Owned(bytes) }))
            }
            _ => Ok(Arrived::Piece),
        }
    }
}
