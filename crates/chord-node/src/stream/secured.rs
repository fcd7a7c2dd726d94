//! A connection in TLS: one session, of which both directions are used at the same time, also by several tasks.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::links::lock;

/// What a session takes to be sent before the system has all that came before it, in bytes.
const TAKEN_BYTES_MAX: usize = 64 << 10;

/// A session and its socket. Its lock is held for as long as a record of at most 16 KiB is sealed or opened, and never across
/// an await.
pub(crate) struct Secured {
    tcp: OwnedWriteHalf,
    session: Mutex<Session>,
}

struct Session {
    connection: Connection,
    reader: OwnedReadHalf,
    /// Nothing more is sent.
    is_closed: bool,
}

/// The socket as the session reads it.
struct Incoming<'a, 'b> {
    reader: &'a mut OwnedReadHalf,
    cx: &'a mut Context<'b>,
}

impl Read for Incoming<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(bytes);
        match Pin::new(&mut *self.reader).poll_read(self.cx, &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// The socket as the session writes it.
struct Outgoing<'a>(&'a TcpStream);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// Takes in what has come. Returns whether more may come.
    fn receive(&mut self, tcp: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let n_bytes = match self.connection.read_tls(&mut Incoming { reader: &mut self.reader, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            received => received?,
        };
        self.process(tcp)?;
        Poll::Ready(Ok(n_bytes > 0))
    }

    fn process(&mut self, tcp: &TcpStream) -> io::Result<()> {
        match self.connection.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => {
                // The other side learns why, if the system takes it at once.
                let _ = self.flush(tcp);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Hands what is sealed to the system. Returns whether that is all of it.
    fn flush(&mut self, tcp: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Outgoing(tcp)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Copies what has come and is opened, as much as there is room for. Returns whether that is the end. One without a farewell
    /// is one all the same: every message here says how long it is.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        let mut reader = self.connection.reader();
        while buf.remaining() > 0 {
            let opened = match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(opened) => opened,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(error),
            };
            let n_taken = opened.len().min(buf.remaining());
            buf.put_slice(opened.get(..n_taken).unwrap_or_default());
            reader.consume(n_taken);
        }
        Ok(false)
    }

    fn has_opened(&mut self) -> bool {
        !matches!(self.connection.reader().fill_buf(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Secured {
    /// Agrees on a session; `first` has come already. The caller sets the deadline.
    pub(crate) async fn open(stream: TcpStream, connection: Connection, first: &[u8]) -> io::Result<Self> {
        let (reader, tcp) = stream.into_split();
        let mut session = Session { connection, reader, is_closed: false };
        session.connection.set_buffer_limit(Some(TAKEN_BYTES_MAX));
        let mut first = first;
        while !first.is_empty() {
            session.connection.read_tls(&mut first)?;
            session.process(tcp.as_ref())?;
        }
        let secured = Self { tcp, session: Mutex::new(session) };
        std::future::poll_fn(|cx| secured.poll_agree(cx)).await?;
        Ok(secured)
    }

    fn poll_agree(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = lock(&self.session);
        loop {
            while !session.flush(self.tcp())? {
                ready!(self.tcp().poll_write_ready(cx))?;
            }
            if !session.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if !ready!(session.receive(self.tcp(), cx))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref()
    }

    /// The certificates that the other side has shown, its own first; none if it has none.
    pub(crate) fn shown(&self) -> Vec<CertificateDer<'static>> {
        lock(&self.session).connection.peer_certificates().unwrap_or_default().to_vec()
    }

    /// Whether the session goes on from an earlier one.
    pub(crate) fn is_resumed(&self) -> bool {
        lock(&self.session).connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        if lock(&self.session).has_opened() {
            return Ok(());
        }
        self.tcp().readable().await
    }

    /// Looks for the end behind what has come. Nothing is looked at while there is something to read first.
    pub(super) fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        let mut session = lock(&self.session);
        while !session.has_opened() {
            match session.receive(self.tcp(), cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false) | Err(_)) => return true,
            }
        }
        !matches!(session.connection.reader().fill_buf(), Ok([_, ..]))
    }

    /// Reads as much as has come, so that one answer can follow many short messages. What fails behind something that is read
    /// fails again at the next call.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let mut session = lock(&self.session);
        loop {
            let is_end = session.take(buf)?;
            if is_end || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let has_some = buf.filled().len() > before;
            match session.receive(self.tcp(), cx) {
                Poll::Pending | Poll::Ready(Err(_)) if has_some => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(_)) => {}
            }
            if session.connection.wants_write() {
                // An answer to what is of TLS alone; if the system does not take it now, what is sent next takes it along.
                session.flush(self.tcp())?;
            }
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = lock(&self.session);
        if !session.flush(self.tcp())? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n_taken = session.connection.writer().write(bytes)?;
        session.flush(self.tcp())?;
        Ok(n_taken)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = lock(&self.session);
        if !session.flush(self.tcp())? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n_taken = session.connection.writer().write_vectored(slices)?;
        session.flush(self.tcp())?;
        Ok(n_taken)
    }

    pub(super) fn try_flush(&self) -> io::Result<()> {
        let is_done = lock(&self.session).flush(self.tcp())?;
        if is_done { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    pub(super) fn is_behind(&self) -> bool {
        lock(&self.session).connection.wants_write()
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_taken(cx, || self.try_write(bytes))
    }

    pub(super) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_taken(cx, || self.try_write_vectored(slices))
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(cx, || self.try_flush())
    }

    fn poll_taken<T>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp().poll_write_ready(cx))?;
                }
                ended => return Poll::Ready(ended),
            }
        }
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say_farewell();
        ready!(self.poll_flush(cx))?;
        Poll::Ready(socket2::SockRef::from(self.tcp()).shutdown(Shutdown::Write))
    }

    pub(super) fn hang_up(&self) {
        self.say_farewell();
        // It may have ended already.
        let _ = self.try_flush();
        let _ = socket2::SockRef::from(self.tcp()).shutdown(Shutdown::Both);
    }

    fn say_farewell(&self) {
        let mut session = lock(&self.session);
        if !std::mem::replace(&mut session.is_closed, true) {
            session.connection.send_close_notify();
        }
    }
}

impl Drop for Secured {
    /// Whoever drops a connection has nothing more to say; the other side should not take that for a cut.
    fn drop(&mut self) {
        self.say_farewell();
        let _ = self.try_flush();
    }
}
