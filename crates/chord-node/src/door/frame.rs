//! The door of frames: what other nodes, and clients that know how, ask on one connection, many at a time.
//!
//! One task has both halves of the connection. It takes in as many frames as have come, has what they ask done beside each
//! other, and sends all answers that are there with one write. It reads no more while too much is under way.

mod errand;
mod greeting;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};
use chord_wire::Code;
use chord_wire::frame::{Answer, Arrived, Asked, Class, FrameError, Inbox, Kind, Message, Outbox, Refused};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::doze::Doze;
use super::farewell::drain;
use super::seat::{Seat, Turn};
use super::share::{Share, UNREAD};
use super::{Ends, sleep_until};
use crate::asked::Whom;
use crate::guard::Visitor;
use crate::offence::Offence;
use crate::shared::Shared;
use crate::stream::{ReadHalf, Stream, WriteHalf};
use crate::tls::Shown;
use errand::{Begun, Ended, Errand, Running, Sort};

/// Requests of one connection that are under way, at most: as many as keep a node busy that waits for others.
pub(crate) const REQUESTS_MAX: usize = 128;

/// Answers of one connection that wait to be sent, before the other side has to read some: it is not listened to until then.
/// What is under way is answered all the same, and takes its part of the budget for what nobody has read yet.
const UNSENT_BYTES_MAX: usize = 256 << 10;

/// The same while little is left of the budget: a few small answers.
const UNSENT_BYTES_SCARCE: usize = 16 << 10;

/// Requests of a node that are under way on one connection then.
const NODE_REQUESTS_SCARCE: usize = 8;

/// Room for what is read at once, and how little of it is left before there is more: a frame that is longer takes several
/// reads, and most are much shorter.
const READ_BYTES: usize = 16 << 10;
const READ_BYTES_MIN: usize = 4 << 10;

/// Serves one connection, of which these bytes came in, until either side ends it.
pub(super) async fn serve(
    mut stream: Stream,
    ends: Ends,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    first: BytesMut,
) -> io::Result<()> {
    let message_bytes = shared.limits.replica(shared.ring.size).message_bytes();
    let (reader, writer) = stream.split();
    let connection = Connection {
        whom: Arc::default(),
        visitor: ends.stranger(),
        from: ends.from(),
        shown: ends.shown,
        changes: None,
        inbox: Inbox::of_requests(message_bytes),
        arrived: first,
        outbox: Outbox::default(),
        running: FuturesUnordered::new(),
        long_share: None,
        unread: Share::of(&shared),
        frame_since: None,
        long_since: None,
        unsent: None,
        state: State::Open,
        turn: None,
        doze: Doze::new(&seat),
        reader,
        writer,
        seat,
        shared,
    };
    connection.run().await
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It answers.
    Open,
    /// The other side sends no more: what has come is still answered.
    HeardOut,
    /// It takes nothing more, and answers what it has taken.
    Ending,
}

/// A connection at work.
struct Connection<'a> {
    whom: Arc<Whom>,
    visitor: Visitor,
    from: IpAddr,
    /// The certificates that the other side has shown.
    shown: Shown,
    /// Tells of one that has to show them when the files change by which they are believed.
    changes: Option<watch::Receiver<()>>,
    inbox: Inbox,
    /// What has come and was not taken in.
    arrived: BytesMut,
    outbox: Outbox,
    running: FuturesUnordered<Running>,
    /// For the long message of which some has come.
    long_share: Option<Share>,
    /// For the answers that wait to be sent.
    unread: Share,
    /// Since when a part of a frame is here, and a long message is on its way.
    frame_since: Option<Instant>,
    long_since: Option<Instant>,
    /// What the other side has to read in time: since when it waits, and where it ends.
    unsent: Option<(Instant, u64)>,
    state: State,
    /// From the first request to the last answer, while some are under way.
    turn: Option<Turn>,
    doze: Doze,
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    seat: Arc<Seat>,
    shared: Arc<Shared>,
}

impl Connection<'_> {
    async fn run(mut self) -> io::Result<()> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            // What there is room for may change at any time, by what others give back.
            let was_full = match self.take_in() {
                Ok(took_all) => !took_all,
                Err(error) => {
                    tracing::debug!("a connection of frames ends: {error}");
                    self.note(Offence::Form);
                    self.part();
                    true
                }
            };
            if self.state == State::HeardOut && !was_full {
                self.state = State::Ending;
            }
            self.collect();
            self.send()?;
            let is_done = self.running.is_empty() && self.outbox.is_empty() && !self.writer.is_behind();
            if self.state == State::Ending && is_done {
                return self.hang_up().await;
            }
            if was_full && self.has_room() {
                tokio::task::yield_now().await; // What has come may be much.
                continue;
            }
            self.wait().await?;
        }
    }

    /// Whether more requests are taken.
    fn has_room(&self) -> bool {
        // Where the budget is nearly spent, as few small requests and answers as can be are there without a part of it. What
        // nodes ask may wait for one another, so that one at a time would hold them up.
        let (requests_max, unsent_max) = if Share::is_scarce(&self.shared) {
            (if self.whom.peer.is_some() { NODE_REQUESTS_SCARCE } else { 1 }, UNSENT_BYTES_SCARCE)
        } else {
            (REQUESTS_MAX, UNSENT_BYTES_MAX)
        };
        self.state != State::Ending
            && self.running.len() < requests_max
            && self.outbox.n_waiting() < unsent_max
    }

    /// Begins what has come, as far as there is room; whether that was everything whole.
    fn take_in(&mut self) -> Result<bool, FrameError> {
        let arrived = std::mem::take(&mut self.arrived);
        let mut rest = &arrived[..];
        let mut taken = Ok(false);
        while taken == Ok(false) && self.has_room() {
            taken = match self.inbox.next(&mut rest) {
                Ok(None) => Ok(true),
                Ok(Some(arrived)) => self.take(arrived).map(|()| false),
                Err(error) => Err(error),
            };
        }
        let n_taken = arrived.len() - rest.len();
        self.arrived = arrived;
        self.arrived.advance(n_taken);
        if n_taken > 0 {
            self.frame_since = None;
        }
        let is_amid = self.has_room() && !self.arrived.is_empty();
        self.frame_since = if is_amid { self.frame_since.or_else(|| Some(Instant::now())) } else { None };
        taken
    }

    fn take(&mut self, arrived: Arrived<'_>) -> Result<(), FrameError> {
        match arrived {
            Arrived::Message(message) => {
                if matches!(message.content, Cow::Owned(_)) {
                    self.long_since = None; // It was the long one.
                }
                self.begin(&message)?;
            }
            Arrived::Begun { id, bytes } => {
                let mut share = Share::of(&self.shared);
                match share.fit(bytes) {
                    Ok(()) => self.long_share = Some(share),
                    Err(spent) => {
                        self.inbox.discard();
                        self.refuse(id, Code::Busy, spent.to_string());
                    }
                }
            }
            Arrived::TooLarge { id } => {
                let limit = self.shared.limits.replica(self.shared.ring.size).message_bytes();
                let error = chord_wire::frame::MessageError::TooLarge { limit };
                self.refuse(id, Code::TooLarge, error.to_string());
            }
            Arrived::Piece => {}
        }
        let is_amid = self.inbox.is_amid();
        self.long_since = if is_amid { self.long_since.or_else(|| Some(Instant::now())) } else { None };
        Ok(())
    }

    fn begin(&mut self, message: &Message<'_>) -> Result<(), FrameError> {
        let Message { kind, id, content } = message;
        match Class::of(*kind) {
            Class::Notice => return Ok(()),
            Class::Request => {}
            Class::Connection | Class::Answer => return Err(FrameError::OutOfPlace { kind: *kind }),
        }
        if self.turn.is_none() {
            self.turn = Some(Turn::begin(&self.seat));
        }
        if let Err(what) = self.shared.clients.request(&self.shared.limits) {
            let of_long = matches!(content, Cow::Owned(_)).then(|| self.long_share.take());
            drop(of_long);
            self.refuse(*id, Code::Busy, what.sentence().to_owned());
            return Ok(());
        }
        // A short message may have overtaken the long one, whose share it is.
        let of_long = if matches!(content, Cow::Owned(_)) { self.long_share.take() } else { None };
        let share = match of_long {
            Some(share) => Some(share),
            None if !self.running.is_empty() && !Share::is_needed(content.len()) => {
                Share::beside(&self.shared, content.len())
            }
            None => match Share::take(&self.shared, content.len()) {
                Ok(share) => share,
                Err(spent) => {
                    self.refuse(*id, Code::Busy, spent.to_string());
                    return Ok(());
                }
            },
        };
        let limits = self.shared.limits.replica(self.shared.ring.size);
        let asked = match Asked::read(*kind, content, &limits) {
            Ok(asked) => asked,
            Err(error) => {
                self.refuse(*id, errand::code(&error), error.to_string());
                return Ok(());
            }
        };
        if let Err(refused) = self.shared.guard.admit(&self.visitor, errand::role(&asked.request, &self.whom))
        {
            self.refuse(*id, refused.code, refused.sentence.clone());
            if refused.code == Code::NoSecret {
                self.part(); // Its secret is no longer valid: on a new connection it says another one.
            }
            return Ok(());
        }
        let sort = Sort::of(&asked.request);
        match (Errand { id: *id, shared: &self.shared, whom: &self.whom, share }).begin(asked) {
            Begun::Ended(answer) => self.put(*id, &answer, sort),
            Begun::Running(running) => self.running.push(running),
        }
        Ok(())
    }

    /// Something of it was refused.
    fn note(&self, offence: Offence) {
        self.shared.guard.offences().note(offence, self.from);
    }

    fn refuse(&mut self, id: u32, code: Code, sentence: String) {
        self.put(id, &Answer::Refused(Refused { code: Some(code), sentence }), Sort::Change);
    }

    /// Puts an answer to what is to be sent. A large one that finds no room among those that nobody has read is refused; but
    /// what came of a change is told nowhere else.
    fn put(&mut self, id: u32, answer: &Answer, sort: Sort) {
        if let Answer::Refused(Refused { code: Some(code), .. }) = answer
            && let Some(offence) = Offence::of(*code)
        {
            self.note(offence);
        }
        let unread = &mut self.unread;
        let n_waiting = self.outbox.n_waiting();
        let may = |n_bytes: usize| {
            let is_told_anyway = sort == Sort::Change || !Share::is_needed(n_bytes);
            let fitted = if is_told_anyway {
                unread.fit_if_there_is_room(n_waiting + n_bytes)
            } else {
                unread.fit(n_waiting + n_bytes)
            };
            is_told_anyway || fitted.is_ok()
        };
        if self.outbox.put_if(answer.kind(), id, |to| answer.write(to), may).is_none() {
            self.refuse(id, Code::Busy, UNREAD.to_owned());
        }
    }

    /// Puts all answers that are there to what is to be sent. Those under way are never left alone for want of room: they may
    /// hold what others wait for.
    fn collect(&mut self) {
        while let Some(Some(Ended { id, answer, sort })) = self.running.next().now_or_never() {
            self.put(id, &answer, sort);
        }
    }

    /// Sends as much as the system takes at once, and gives back its part of the budget.
    fn send(&mut self) -> io::Result<()> {
        let sent = self.send_now();
        // That of a change may be too large for what is left: then it stays without.
        let _ = self.unread.fit_if_there_is_room(self.outbox.n_waiting());
        sent
    }

    fn send_now(&mut self) -> io::Result<()> {
        loop {
            let _ = self.outbox.cut();
            let unsent = self.outbox.unsent();
            let is_all = unsent.is_empty();
            let sent =
                if is_all { self.writer.try_flush().map(|()| 0) } else { self.writer.try_write(unsent) };
            match sent {
                Ok(_) if is_all => break,
                Ok(n_bytes) => self.outbox.sent(n_bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let n_sent = self.outbox.n_sent();
                    self.unsent = self.unsent.filter(|(_, end)| *end > n_sent);
                    // What is sealed and not sent counts as sent.
                    let end = n_sent + self.outbox.n_waiting() as u64 + u64::from(is_all);
                    self.unsent.get_or_insert_with(|| (Instant::now(), end));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.unsent = None;
        if self.running.is_empty() && self.turn.take().is_some() {
            self.seat.sent();
        }
        if self.arrived.is_empty() && !self.inbox.is_amid() {
            self.seat.hear_nothing();
        } else {
            self.seat.hear();
        }
        Ok(())
    }

    /// Until when something has to happen.
    fn until(&self) -> Option<Instant> {
        let limits = &self.shared.limits;
        let reads =
            [self.frame_since, self.long_since].into_iter().flatten().map(|since| since + limits.body_read);
        let reads = reads.filter(|_| self.has_room());
        reads.chain(self.unsent.map(|(since, _)| since + limits.answer_write)).min()
    }

    /// Waits for an answer, for more requests, or for the other side to read.
    async fn wait(&mut self) -> io::Result<()> {
        let until = self.until();
        let has_room = self.has_room();
        let began = Instant::now();
        let waits_to_send = !self.outbox.is_empty() || self.writer.is_behind();
        let is_idle = self.turn.is_none() && self.arrived.is_empty() && !self.inbox.is_amid();
        if has_room && self.arrived.capacity() - self.arrived.len() < READ_BYTES_MIN {
            self.arrived.reserve(READ_BYTES);
        }
        tokio::select! {
            biased;
            ended = self.running.next(), if !self.running.is_empty() => {
                if let Some(Ended { id, answer, sort }) = ended {
                    self.put(id, &answer, sort);
                    if !self.running.is_empty() {
                        // What is about to end does so first, and shares the write.
                        tokio::task::yield_now().await;
                    }
                }
            }
            received = self.reader.read_buf(&mut self.arrived), if has_room && self.state == State::Open => {
                if received? == 0 {
                    // Nothing more is asked, or nobody is there: either way what came is done.
                    self.state = State::HeardOut;
                }
            }
            writable = self.writer.writable(), if waits_to_send => writable?,
            () = self.seat.asked_to_leave(), if self.state != State::Ending => self.part(),
            () = sleep_until(until) => {
                if self.unsent.is_some_and(|(since, _)| since.elapsed() >= self.shared.limits.answer_write) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the answers were not read in time"));
                }
                self.note(Offence::Time); // What has begun did not arrive so.
                self.part();
            }
            () = changed(&mut self.changes) => self.look_again(),
            () = self.doze.due(), if is_idle => {
                self.arrived = BytesMut::new();
                self.outbox.let_go();
                self.wakes().await?;
            }
        }
        if !has_room && let Some(since) = &mut self.long_since {
            *since += began.elapsed(); // The rest of it may be here for long, and nobody has looked.
        }
        Ok(())
    }

    /// Waits for requests without any buffer.
    async fn wakes(&mut self) -> io::Result<()> {
        self.shared.dozes.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            readable = self.reader.readable() => readable.map(drop),
            () = changed(&mut self.changes) => {
                self.look_again();
                Ok(())
            }
            () = self.seat.asked_to_leave() => {
                self.part();
                Ok(())
            }
        }
    }

    /// Ends the connection of a node whose certificate is worth nothing by the files that there are now.
    fn look_again(&mut self) {
        let (Some(tls), Some(peer)) = (&self.shared.tls, &self.whom.peer) else { return };
        if !tls.vouches_for(&self.shown, &peer.name) {
            self.note(Offence::Certificate);
            self.visitor = self.visitor.certified(false);
            self.part();
        }
    }

    /// Takes nothing more, and says so: whoever asked for more can ask elsewhere.
    fn part(&mut self) {
        if self.state == State::Ending {
            return;
        }
        self.state = State::Ending;
        // What was announced and is not whole has a number that counts as taken.
        for id in self.inbox.announced() {
            let sentence = "this node takes no more requests on this connection: try again".to_owned();
            self.refuse(id, Code::Busy, sentence);
        }
        self.outbox.put(Kind::Farewell, self.inbox.last_id(), |_| {});
        self.arrived = BytesMut::new();
        (self.frame_since, self.long_since) = (None, None);
    }

    /// Closes: a system that closes a connection with bytes unread takes back what it has not delivered yet.
    async fn hang_up(&mut self) -> io::Result<()> {
        let limit = self.shared.limits.answer_write;
        tokio::time::timeout(limit, tokio::io::AsyncWriteExt::shutdown(&mut self.writer)).await??;
        drain(&mut self.reader).await;
        Ok(())
    }
}

/// Ends when the files of TLS have changed; never where nobody has to know.
async fn changed(changes: &mut Option<watch::Receiver<()>>) {
    let has_changed = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !has_changed {
        std::future::pending::<()>().await;
    }
}

fn broken(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(REQUESTS_MAX <= chord_wire::frame::ANNOUNCED_MAX);

    #[test]
    fn the_limits_of_a_connection_are_those_of_the_documentation() {
        let documentation = include_str!("../../../../docs/protocol.md");
        let limits = crate::Limits::default();
        assert_eq!(limits.header_read, limits.body_read, "one time for a hello and for what has begun");
        let (seconds, unsent_kib) = (limits.body_read.as_secs(), UNSENT_BYTES_MAX >> 10);
        for row in [
            format!("| requests that are under way on a connection | {REQUESTS_MAX}: "),
            format!(
                "| time for a hello, for a frame that has begun, for a long message that has begun | {seconds} s, "
            ),
            format!("| bytes of answers that are not read | {unsent_kib} KiB on a connection: "),
        ] {
            assert!(documentation.contains(&format!("\n{row}")), "{row}");
        }
    }
}
