//! What comes from a peer in frames, and what it says before it is asked anything.

use std::io;

use bytes::{Buf, BytesMut};
use chord_wire::Code;
use chord_wire::frame::{Arrived, Declined, FrameError, HELLO_BYTES_MAX, Inbox, Kind, Message, MessageError};
use tokio::io::AsyncReadExt;

use super::connection::NoAnswer;
use super::unanswered::Unanswered;
use crate::stream::OwnedReadHalf;
use crate::tls::disbelieved;

/// Room for what is read at once, and how little of it is left before there is more.
const READ_BYTES: usize = 16 << 10;
const READ_BYTES_MIN: usize = 4 << 10;

/// What has come from the peer.
pub(super) struct Ear {
    pub(super) reader: OwnedReadHalf,
    pub(super) inbox: Inbox,
    pub(super) arrived: BytesMut,
}

impl Ear {
    /// Waits for a message of that kind, before which nothing else may come.
    pub(super) async fn hear<T>(
        &mut self,
        wanted: Kind,
        read: fn(&[u8]) -> Result<T, MessageError>,
    ) -> Result<T, Unanswered> {
        loop {
            let mut rest = &self.arrived[..];
            let heard = match self.inbox.next(&mut rest) {
                Ok(None) => None,
                Ok(Some(Arrived::Message(message))) => Some(said(&message, wanted, read)?),
                Ok(Some(_)) => return Err(Unanswered::NotSpoken(FrameError::NotFrames.to_string())),
                Err(error) => return Err(Unanswered::NotSpoken(error.to_string())),
            };
            let n_taken = self.arrived.len() - rest.len();
            self.arrived.advance(n_taken);
            if let Some(said) = heard {
                return Ok(said);
            }
            // One that closes without a word is ending, as a rule: whoever does not know frames says so.
            match self.read().await {
                Ok(1..) => {}
                Ok(0) => return Err(NoAnswer::Closed.into()),
                Err(error) => return Err(disbelieved(&error).unwrap_or(NoAnswer::Closed).into()),
            }
        }
    }

    /// Waits for more. May be dropped at any point.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        if self.arrived.capacity() - self.arrived.len() < READ_BYTES_MIN {
            self.arrived.reserve(READ_BYTES);
        }
        self.reader.read_buf(&mut self.arrived).await
    }
}

/// What a peer says before it is asked anything.
fn said<T>(
    message: &Message<'_>,
    wanted: Kind,
    read: fn(&[u8]) -> Result<T, MessageError>,
) -> Result<T, Unanswered> {
    let not_spoken = |error: MessageError| Unanswered::NotSpoken(error.to_string());
    if message.content.len() > HELLO_BYTES_MAX {
        return Err(not_spoken(MessageError::TooLarge { limit: HELLO_BYTES_MAX }));
    }
    if message.kind == wanted.number() {
        return read(&message.content).map_err(not_spoken);
    }
    if message.kind == Kind::Declined.number() {
        let declined = Declined::read(&message.content).map_err(not_spoken)?;
        return Err(match declined.code {
            // It would say the same in any other words.
            Some(Code::Busy) => NoAnswer::Closed.into(),
            Some(Code::NoSecret | Code::Forbidden) => Unanswered::Strange(declined.sentence),
            _ => Unanswered::NotSpoken(declined.sentence),
        });
    }
    Err(not_spoken(MessageError::UnknownKind { kind: message.kind }))
}
