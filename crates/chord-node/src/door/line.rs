//! The line of one connection: its socket, with an ear for what is not an answer of ours, and an eye on the clock while
//! an answer waits to be read.
//!
//! To bytes that it cannot read as a request hyper answers by itself, a bare status without a body. It has no way to
//! say anything else, so that answer is held back here, and ours is sent when hyper has gone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::seat::Seat;
use crate::stream::Stream;

/// Bytes of a request that are remembered: the longest method, and as much of the path as tells whose it is.
const OPENING_BYTES: usize = 32;

/// A socket as hyper sees it.
pub(super) struct Line {
    stream: Stream,
    /// What came in before, and is to be read first.
    first: Bytes,
    seat: Arc<Seat>,
    /// What the request under way begins with.
    opening: Vec<u8>,
    /// The status of the answer that was held back.
    held_back: Option<u16>,
    /// How long an answer may take to be sent, and when the one under way must be.
    answer_write: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Line {
    pub(super) fn new(stream: Stream, first: Bytes, seat: Arc<Seat>, answer_write: Duration) -> Self {
        Self { stream, first, seat, opening: Vec::new(), held_back: None, answer_write, deadline: None }
    }

    /// The status with which hyper wanted to refuse what it could not read.
    pub(super) fn held_back(&self) -> Option<u16> {
        self.held_back
    }

    /// Whether part of a request has come in, after everything before it was answered.
    pub(super) fn hears_half_a_request(&self) -> bool {
        self.seat.hears() && self.seat.is_idle()
    }

    /// What the request under way begins with.
    pub(super) fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// Something has come in.
    fn hear(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.seat.hear();
        }
        let room = OPENING_BYTES.saturating_sub(self.opening.len());
        self.opening.extend(bytes.iter().take(room));
    }

    /// Takes back what hyper has read and not used: it is read again first.
    pub(super) fn put_back(&mut self, unused: Bytes) {
        self.first = unused;
    }

    /// Waits for more, without any buffer; whether it comes in time.
    pub(super) async fn wakes(&self, within: Duration) -> bool {
        let readable = || tokio::time::timeout(within, self.stream.readable());
        !self.first.is_empty() || matches!(readable().await, Ok(Ok(())))
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Whether `bytes`, which hyper is about to send, are an answer of its own.
    ///
    /// A request under way is a [`Turn`](super::seat::Turn), which ends only when the whole answer is with hyper; and
    /// hyper reads no further head before it has sent that. So what it says between two turns nobody told it to say.
    fn holds_back(&mut self, bytes: &[u8]) -> bool {
        if !self.seat.is_idle() {
            return false;
        }
        self.held_back = self.held_back.or_else(|| Some(status(bytes).unwrap_or(400)));
        true
    }

    /// Whether whoever gets an answer that has no end has closed its side: nobody else would notice before there is
    /// something to tell.
    fn client_has_gone(&self, cx: &mut Context<'_>) -> bool {
        if !self.seat.goes_on() || self.seat.is_idle() {
            return false;
        }
        self.stream.has_ended(cx)
    }

    /// What became of an attempt to write: if it must wait, no longer than the whole answer may. Most never wait, and
    /// need no timer.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.seat.goes_on() {
                self.deadline = None; // Whoever watches may read for ever, but must read on.
            }
            return written;
        }
        let wait = self.answer_write;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time");
        deadline.as_mut().poll(cx).map(|()| Err(late()))
    }
}

/// The status of an answer: `HTTP/1.1 400 …`.
fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let n_bytes = self.first.len().min(buf.remaining());
            let first = self.first.split_to(n_bytes);
            buf.put_slice(&first);
            self.hear(&first);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.hear(buf.filled().get(before..).unwrap_or_default());
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.holds_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.holds_back(slices.first().map_or(&[], |slice| slice)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Comes when hyper has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            return self.in_time(cx, flushed);
        }
        self.deadline = None;
        if self.client_has_gone(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !self.seat.is_idle() {
            self.seat.sent();
            if self.seat.is_idle() {
                self.seat.hear_nothing();
                self.opening.clear();
            }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held_back.is_some() {
            return Poll::Ready(Ok(())); // our own answer is still to come
        }
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        if closed.is_pending() { self.in_time(cx, closed) } else { closed }
    }
}
