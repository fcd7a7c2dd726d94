//! The body of an answer: whole, or made while it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::Stream;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::seat::Turn;

type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What is sent.
pub(super) enum Content {
    Whole(Full<Bytes>),
    /// Pieces, each made when the one before it is gone.
    Pieces(Pieces),
    /// The same, for as long as the client stays.
    Events(Pieces),
}

impl From<Full<Bytes>> for Content {
    fn from(whole: Full<Bytes>) -> Self {
        Self::Whole(whole)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Pin::new(bytes).poll_frame(cx),
            Self::Pieces(pieces) | Self::Events(pieces) => {
                pieces.as_mut().poll_next(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_end_stream(),
            Self::Pieces(_) | Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => bytes.size_hint(),
            Self::Pieces(_) | Self::Events(_) => SizeHint::default(),
        }
    }
}

/// The body of an answer. Its end, when hyper has taken all of it, is the end of the turn.
pub(super) struct Answer {
    content: Content,
    _turn: Turn,
}

impl Answer {
    pub(super) fn new(content: Content, turn: Turn) -> Self {
        if matches!(content, Content::Events(_)) {
            turn.goes_on();
        }
        Self { content, _turn: turn }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.content).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
