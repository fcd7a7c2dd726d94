//! The body of an answer: whole, or made while it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::Stream;
use hyper::body::{Body, Frame, SizeHint};

use super::seat::Turn;
use super::share::{Unread, held};
use crate::shared::Shared;

type Pieces = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What is sent.
pub(super) enum Content {
    Whole(Bytes),
    /// Bytes that have their part of the budget for what is not read yet, as far as there was room for it.
    Held(Bytes),
    /// Pieces, each made when the one before it is gone: those that are large have a part of the budget.
    Pieces(Pieces),
    /// The same, for as long as the client stays.
    Events(Pieces),
}

impl Content {
    /// The same with its part of the budget.
    pub(super) fn held(self, shared: &Arc<Shared>) -> Result<Self, Unread> {
        Ok(match self {
            Self::Whole(bytes) => Self::Held(held(shared, bytes)?),
            content @ (Self::Held(_) | Self::Pieces(_) | Self::Events(_)) => content,
        })
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(bytes.into())
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
            Self::Whole(bytes) | Self::Held(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Pieces(pieces) | Self::Events(pieces) => {
                pieces.as_mut().poll_next(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) | Self::Held(bytes) => bytes.is_empty(),
            Self::Pieces(_) | Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) | Self::Held(bytes) => SizeHint::with_exact(bytes.len() as u64),
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
