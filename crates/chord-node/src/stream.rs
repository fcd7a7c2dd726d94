//! A connection as doors and links see it: plain, or in TLS.

mod secured;

use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};

pub(crate) use secured::Secured;

/// A connection. What it is was found out before anything was said on it.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Arc<Secured>),
}

/// One of the two directions of a connection.
pub(crate) enum Half<Plain, Tls> {
    Plain(Plain),
    Tls(Tls),
}

pub(crate) type ReadHalf<'a> = Half<tcp::ReadHalf<'a>, &'a Secured>;
pub(crate) type WriteHalf<'a> = Half<tcp::WriteHalf<'a>, &'a Secured>;
pub(crate) type OwnedReadHalf = Half<tcp::OwnedReadHalf, Arc<Secured>>;
pub(crate) type OwnedWriteHalf = Half<tcp::OwnedWriteHalf, Arc<Secured>>;

impl Stream {
    /// Both directions, for one task.
    pub(crate) fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.split();
                (Half::Plain(reader), Half::Plain(writer))
            }
            Self::Tls(secured) => (Half::Tls(secured), Half::Tls(secured)),
        }
    }

    /// Both directions, for two tasks.
    pub(crate) fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                (Half::Plain(reader), Half::Plain(writer))
            }
            Self::Tls(secured) => (Half::Tls(secured.clone()), Half::Tls(secured)),
        }
    }

    /// Ends when something has come, or the connection has ended.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Tls(secured) => secured.readable().await,
        }
    }

    /// Whether the other end has closed its side, as far as that has come to this one.
    pub(crate) fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(stream) => {
                let mut byte = [0];
                let peeked = stream.poll_peek(cx, &mut ReadBuf::new(&mut byte));
                matches!(peeked, Poll::Ready(Ok(0) | Err(_)))
            }
            Self::Tls(secured) => secured.has_ended(cx),
        }
    }
}

impl<Plain: AsRef<TcpStream>, Tls: Deref<Target = Secured>> Half<Plain, Tls> {
    /// Ends when something has come, or the connection has ended.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.as_ref().readable().await,
            Self::Tls(secured) => secured.readable().await,
        }
    }

    /// Ends when the system takes something.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.as_ref().writable().await,
            Self::Tls(secured) => secured.tcp().writable().await,
        }
    }

    /// Sends as much as is taken at once. What was taken may still wait here: see [`Half::try_flush`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.as_ref().try_write(bytes),
            Self::Tls(secured) => secured.try_write(bytes),
        }
    }

    /// Hands what was taken to the system, whole, or says that it would have to wait.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(secured) => secured.try_flush(),
        }
    }

    /// Whether something was taken that the system does not have yet.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(secured) => secured.is_behind(),
        }
    }

    /// Ends both directions, whoever has part in them. They may have ended already.
    pub(crate) fn hang_up(&self) {
        match self {
            Self::Plain(half) => {
                let _ = socket2::SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Both);
            }
            Self::Tls(secured) => secured.hang_up(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(secured) => secured.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(secured) => secured.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(secured) => secured.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(secured) => secured.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(secured) => secured.poll_shutdown(cx),
        }
    }
}

impl<Plain: AsyncRead + Unpin, Tls: Deref<Target = Secured> + Unpin> AsyncRead for Half<Plain, Tls> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(half) => Pin::new(half).poll_read(cx, buf),
            Self::Tls(secured) => secured.poll_read(cx, buf),
        }
    }
}

impl<Plain: AsyncWrite + Unpin, Tls: Deref<Target = Secured> + Unpin> AsyncWrite for Half<Plain, Tls> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Tls(secured) => secured.poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(half) => Pin::new(half).poll_flush(cx),
            Self::Tls(secured) => secured.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tls(secured) => secured.poll_shutdown(cx),
        }
    }
}
