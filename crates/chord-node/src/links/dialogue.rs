//! One connection of frames to a peer: many requests at a time, each answered by its number.
//!
//! Whoever asks puts its request to what is to be sent. If nothing else is under way, it sends it at once, so that a single
//! request waits for no other task; otherwise the task of the connection sends all that has come together. That task reads
//! the answers too, and hands each to who waits for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use chord_kv::VALUE_BYTES_LIMIT;
use chord_ring::{NodeName, Peer, RingSize, RingTag};
use chord_wire::frame::{
    Answer, Arrived, Asked, Class, FrameError, HELLO_BYTES_MAX, Hello, Inbox, Kind, Message, MessageError,
    Outbox, Proof, Speaker, VERSIONS, Welcome,
};
use chord_wire::replica::ReplicaLimits;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;

use super::connection::{NoAnswer, Sending};
use super::ear::Ear;
use super::lock;
use super::meeting::Meeting;
use super::unanswered::Unanswered;
use crate::secret::SecretFile;
use crate::stream::{OwnedWriteHalf, Stream};
use crate::tls::Dialer;

/// Requests that wait to be sent to a peer, in bytes, at most and by one request: more of them wait for room, since they
/// would only wait in memory.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// A request that is given up after so long, in which nothing at all has come, takes the connection with it for those that
/// follow: after a cut the system may wait for many seconds before it sends again what was lost, and a new connection does not.
pub(super) const DEAF_AFTER: Duration = Duration::from_millis(300);

/// Who this side is, and what it takes.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) hello: Hello,
    /// Bytes of a value, at most.
    pub(crate) value_bytes: usize,
    /// What this side proves that it knows, and wants the other side to know too.
    pub(crate) secrets: Option<Arc<SecretFile>>,
    /// Connects in TLS, if that is spoken.
    pub(crate) tls: Option<Dialer>,
    /// Where those are served for whom peers are asked, each with a connection of its own: answers that arrive there wake no
    /// other thread. Without any they arrive where a connection was opened.
    pub(crate) serving: Vec<Handle>,
}

impl Terms {
    /// Those of a client that is no node. A node may be told to keep the largest values, whatever this program would keep.
    pub(crate) fn of_client(
        ring: Option<RingTag>,
        secrets: Option<Arc<SecretFile>>,
        tls: Option<Dialer>,
    ) -> Self {
        let hello = Hello { versions: VERSIONS, name: None, ring, copies: None, challenge: None };
        Self { hello, value_bytes: VALUE_BYTES_LIMIT, secrets, tls, serving: Vec::new() }
    }

    /// How often its secrets and its certificates have changed.
    pub(super) fn changes(&self) -> (u64, u64) {
        let secrets = self.secrets.as_ref().map_or(0, |secrets| secrets.changes());
        (secrets, self.tls.as_ref().map_or(0, Dialer::changes))
    }

    /// What messages may be like. Whoever says nothing of its own ring takes that of the peer.
    fn limits(&self, theirs: RingSize) -> ReplicaLimits {
        let size = self.hello.ring.as_ref().map_or(theirs, |ring| ring.size);
        ReplicaLimits { size, value_bytes: self.value_bytes }
    }
}

/// How one request ended.
enum Ended {
    /// On the heap: it is handed on through all who have part in the exchange.
    Answered(Result<Box<Answer>, MessageError>),
    NotSent,
    /// It has left, and no answer will come.
    Lost,
    /// The same, and the peer made no sense.
    Wrong(FrameError),
}

/// A request that has no answer yet.
struct Pending {
    /// None if it was given up: the peer may be at work on it all the same, so that it counts until it is answered.
    reply: Option<oneshot::Sender<Ended>>,
    /// Where it ends in the stream of what is sent.
    end: u64,
    _permit: OwnedSemaphorePermit,
}

/// What both the task and those who ask have part in.
struct Talk {
    outbox: Outbox,
    pending: BTreeMap<u32, Pending>,
    last_id: u32,
    /// Nothing more is asked.
    is_over: bool,
    /// The task was told to send what has come.
    is_called: bool,
    /// The system takes no more for now.
    is_blocked: bool,
    last_used: Instant,
    /// When something came, whole or not.
    last_heard: Instant,
}

struct Inner {
    writer: OwnedWriteHalf,
    talk: Mutex<Talk>,
    /// Calls the task.
    call: Notify,
    /// Tells those who wait for room.
    room: Notify,
    /// Somebody was told already that it broke.
    is_break_told: AtomicBool,
    version: u8,
    speaker: Speaker,
    limits: ReplicaLimits,
}

/// A connection to a peer that has said welcome. Dropped, it is closed.
pub(crate) struct Dialogue {
    inner: Arc<Inner>,
    pub(crate) welcome: Welcome,
    /// How often secrets and certificates had changed when it was begun.
    changes: (u64, u64),
    task: AbortHandle,
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dialogue {
    /// Says who is here, and hears who is there; what follows is heard in that runtime, which has the stream.
    pub(super) async fn open(
        stream: Stream,
        dialled: &NodeName,
        terms: &Terms,
        runtime: &Handle,
    ) -> Result<Self, Unanswered> {
        let not_spoken = |why: String| Unanswered::NotSpoken(why);
        let (reader, mut writer) = stream.into_split();
        let mut outbox = Outbox::default();
        let changes = terms.changes();
        let meeting = Meeting::new(dialled, terms);
        outbox.open();
        outbox.put(Kind::Hello, 0, |to| meeting.hello.write(to));
        write_all(&mut writer, &mut outbox).await?;
        // Until it is known what the peer is, it may only send what a welcome takes.
        let mut ear = Ear { reader, inbox: Inbox::of_answers(HELLO_BYTES_MAX), arrived: BytesMut::new() };
        let welcome = ear.hear(Kind::Welcome, Welcome::read).await?;
        if let Some((ours, expected)) = meeting.proofs(&welcome)? {
            outbox.put(Kind::Proof, 0, |to| ours.write(to));
            write_all(&mut writer, &mut outbox).await?;
            expected.is(&ear.hear(Kind::Proof, Proof::read).await?)?;
        }
        // Its certificate is for the name that was dialled, and for no other.
        if terms.tls.is_some() && terms.hello.name.is_some() && welcome.name != *dialled {
            return Err(Unanswered::Strange(format!("it says that it is {}", welcome.name)));
        }
        let version = welcome.version;
        if !(terms.hello.versions.lowest..=terms.hello.versions.highest).contains(&version) {
            return Err(not_spoken(format!(
                "the peer chose version {version}, which this node does not speak"
            )));
        }
        let limits = terms.limits(welcome.ring.size);
        ear.inbox.allow(limits.message_bytes());
        let peer = Peer::of_name(welcome.name.clone(), limits.size);
        let inner = Arc::new(Inner {
            writer,
            talk: Mutex::new(Talk::new(outbox)),
            call: Notify::new(),
            room: Notify::new(),
            is_break_told: AtomicBool::new(false),
            version,
            speaker: Speaker { peer, ring: welcome.ring.clone() },
            limits,
        });
        #[cfg(feature = "next-protocol")]
        if version < 2 {
            lock(&inner.talk).outbox.put(Kind::Remark, 0, |to| to.push(0));
        }
        let task = runtime.spawn(run(inner.clone(), ear)).abort_handle();
        Ok(Self { inner, welcome, changes, task })
    }

    /// The same, of which the session was agreed on when there had been so many changes.
    pub(super) fn since(mut self, changes: (u64, u64)) -> Self {
        self.changes = changes;
        self
    }

    /// Asks, and waits for the answer. The caller sets the deadline: dropped, the request is given up.
    pub(super) async fn ask(
        &self,
        sending: &Sending,
        asked: &Asked,
        permit: OwnedSemaphorePermit,
    ) -> Result<Box<Answer>, Unanswered> {
        if !self.inner.has_room() {
            self.inner.wait_for_room().await;
        }
        let was_in_doubt = sending.leaves();
        let Some((id, answer)) = self.inner.put(asked, permit) else {
            sending.settle(was_in_doubt);
            return Err(Unanswered::NotSent);
        };
        let waits = Waits { inner: &self.inner, id, since: Instant::now() };
        let ended = answer.await.unwrap_or(Ended::Lost);
        std::mem::forget(waits);
        match ended {
            Ended::Answered(Ok(answer)) => {
                sending.settle(was_in_doubt);
                Ok(answer)
            }
            // What cannot be read may say that it is done.
            Ended::Answered(Err(error)) => Err(error.into()),
            Ended::NotSent => {
                sending.settle(was_in_doubt);
                Err(Unanswered::NotSent)
            }
            Ended::Lost => Err(NoAnswer::Closed.into()),
            Ended::Wrong(error) => Err(Unanswered::Wrong(error.to_string())),
        }
    }

    /// Whether both sides have proved themselves by the secrets and certificates that there are now.
    pub(super) fn is_proved_by(&self, terms: &Terms) -> bool {
        self.changes == terms.changes()
    }

    /// Whether nothing more can be asked.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.inner.talk).is_over
    }

    /// Whether nobody waits for an answer, and it was not used for so long.
    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        let talk = lock(&self.inner.talk);
        talk.last_used.elapsed() >= idle && talk.pending.values().all(|pending| pending.reply.is_none())
    }

    /// It broke. Returns whether nobody was told so before: however many wait on a connection, it breaks once.
    pub(super) fn tells_break(&self) -> bool {
        !self.inner.is_break_told.swap(true, Ordering::Relaxed)
    }

    /// Ends it, whoever waits.
    pub(super) fn end(&self) {
        self.inner.end(&Why::Closed);
        self.inner.hang_up();
    }
}

/// Sends all of it.
pub(super) async fn write_all(writer: &mut OwnedWriteHalf, outbox: &mut Outbox) -> Result<(), Unanswered> {
    writer.write_all(outbox.unsent()).await.map_err(|_| NoAnswer::Closed)?;
    writer.flush().await.map_err(|_| NoAnswer::Closed)?;
    outbox.sent(outbox.unsent().len());
    Ok(())
}

impl Talk {
    fn new(outbox: Outbox) -> Self {
        Self {
            outbox,
            pending: BTreeMap::new(),
            last_id: 0,
            is_over: false,
            is_called: false,
            is_blocked: false,
            last_used: Instant::now(),
            last_heard: Instant::now(),
        }
    }

    /// Sends as much as the system takes at once.
    fn send(&mut self, writer: &OwnedWriteHalf) -> io::Result<()> {
        self.is_blocked = false;
        loop {
            if let Some((id, end)) = self.outbox.cut()
                && let Some(pending) = self.pending.get_mut(&id)
            {
                pending.end = end;
            }
            let unsent = self.outbox.unsent();
            let is_all = unsent.is_empty();
            let sent = if is_all { writer.try_flush().map(|()| 0) } else { writer.try_write(unsent) };
            match sent {
                Ok(_) if is_all => break,
                Ok(n_bytes) => self.outbox.sent(n_bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Puts a request to what is sent; `None` if nothing more can be asked here.
    fn put(&self, asked: &Asked, permit: OwnedSemaphorePermit) -> Option<(u32, oneshot::Receiver<Ended>)> {
        let (reply, answer) = oneshot::channel();
        let mut talk = lock(&self.talk);
        if talk.is_over {
            return None;
        }
        talk.last_id += 1;
        talk.last_used = Instant::now();
        let id = talk.last_id;
        talk.is_over = id == u32::MAX;
        let end = talk.outbox.put(asked.request.kind(self.version), id, |to| asked.write(to));
        let is_alone = talk.pending.is_empty();
        talk.pending.insert(id, Pending { reply: Some(reply), end, _permit: permit });
        // What cannot be sent the task finds out too, and ends what waits.
        let is_sent = is_alone && self.send_of(&mut talk).is_ok() && !talk.is_blocked;
        if !is_sent && !std::mem::replace(&mut talk.is_called, true) {
            self.call.notify_one();
        }
        Some((id, answer))
    }

    fn has_room(&self) -> bool {
        let talk = lock(&self.talk);
        talk.is_over || talk.outbox.n_waiting() < UNSENT_BYTES_MAX
    }

    /// Ends when not too much waits to be sent.
    async fn wait_for_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.has_room() {
                return;
            }
            room.await;
        }
    }

    /// Sends what has come by now.
    fn send(&self) -> io::Result<bool> {
        let mut talk = lock(&self.talk);
        talk.is_called = false;
        self.send_of(&mut talk)?;
        Ok(talk.is_blocked)
    }

    /// Sends as much as the system takes at once, and tells those who wait for room when there is some.
    fn send_of(&self, talk: &mut Talk) -> io::Result<()> {
        let was_full = talk.outbox.n_waiting() >= UNSENT_BYTES_MAX;
        talk.send(&self.writer)?;
        if was_full && talk.outbox.n_waiting() < UNSENT_BYTES_MAX {
            self.room.notify_waiters();
        }
        Ok(())
    }

    /// Nothing more can be sent.
    fn stop_asking(&self) {
        lock(&self.talk).is_over = true;
        self.room.notify_waiters();
    }

    /// Something has come.
    fn hears(&self) {
        lock(&self.talk).last_heard = Instant::now();
    }

    /// Closes the connection, whoever has part in it.
    fn hang_up(&self) {
        self.writer.hang_up();
    }

    fn take(&self, arrived: Arrived<'_>) -> Result<(), FrameError> {
        match arrived {
            Arrived::Message(Message { kind, id, content }) => match Class::of(kind) {
                Class::Answer => {
                    self.hand(id, |inner| Answer::read(kind, &content, &inner.limits, &inner.speaker));
                }
                Class::Notice => {}
                Class::Connection if kind == Kind::Farewell.number() => self.part(id),
                Class::Connection | Class::Request => return Err(FrameError::OutOfPlace { kind }),
            },
            Arrived::TooLarge { id } => {
                self.hand(id, |inner| Err(MessageError::TooLarge { limit: inner.limits.message_bytes() }));
            }
            Arrived::Begun { .. } | Arrived::Piece => {}
        }
        Ok(())
    }

    /// Hands an answer to who waits for it, if there is still one.
    fn hand(&self, id: u32, answer: impl FnOnce(&Self) -> Result<Answer, MessageError>) {
        let pending = lock(&self.talk).pending.remove(&id);
        if let Some(reply) = pending.and_then(|pending| pending.reply) {
            let _ = reply.send(Ended::Answered(answer(self).map(Box::new))); // It may just have been given up.
        }
    }

    /// The peer takes nothing above that number.
    fn part(&self, last_id: u32) {
        let mut talk = lock(&self.talk);
        talk.is_over = true;
        let beyond = last_id.checked_add(1).map(|first| talk.pending.split_off(&first)).unwrap_or_default();
        drop(talk);
        self.room.notify_waiters();
        for pending in beyond.into_values() {
            pending.end(Ended::NotSent);
        }
    }

    /// The connection is over.
    fn end(&self, why: &Why) {
        let mut talk = lock(&self.talk);
        talk.is_over = true;
        let n_sent = talk.outbox.n_sent();
        let pending = std::mem::take(&mut talk.pending);
        drop(talk);
        self.room.notify_waiters();
        for pending in pending.into_values() {
            let has_left = pending.end <= n_sent;
            pending.end(match why {
                _ if !has_left => Ended::NotSent,
                Why::Closed => Ended::Lost,
                Why::Wrong(error) => Ended::Wrong(*error),
            });
        }
    }

    /// Whether the peer has said farewell, and has nothing more to say.
    fn is_done(&self) -> bool {
        let talk = lock(&self.talk);
        talk.is_over && talk.pending.is_empty()
    }
}

impl Pending {
    fn end(self, how: Ended) {
        if let Some(reply) = self.reply {
            let _ = reply.send(how); // It may just have been given up.
        }
    }
}

/// One who waits for an answer. Dropped, it has given up.
struct Waits<'a> {
    inner: &'a Inner,
    id: u32,
    since: Instant,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut talk = lock(&self.inner.talk);
        if talk.last_heard < self.since && self.since.elapsed() >= DEAF_AFTER {
            talk.is_over = true;
            self.inner.room.notify_waiters();
        }
        if let Some(pending) = talk.pending.get_mut(&self.id) {
            pending.reply = None;
        }
    }
}

/// Why a connection ended.
enum Why {
    Closed,
    Wrong(FrameError),
}

impl From<io::Error> for Why {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl From<FrameError> for Why {
    fn from(error: FrameError) -> Self {
        Self::Wrong(error)
    }
}

/// The task of a connection.
async fn run(inner: Arc<Inner>, mut ear: Ear) {
    if let Err(why) = converse(&inner, &mut ear).await {
        inner.end(&why);
    }
    // The peer waits for this end, and whoever has the dialogue may keep it for a while.
    inner.hang_up();
}

/// Whether more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Now,
    /// As soon as the system takes more.
    Later,
    /// Never again.
    No,
}

impl Sends {
    /// Sends what has come by now. What cannot be sent is not all that there is: the peer may have said before why, and
    /// which requests it has taken.
    fn go_on(inner: &Inner) -> Self {
        match inner.send() {
            Ok(false) => Self::Now,
            Ok(true) => Self::Later,
            Err(_) => {
                inner.stop_asking();
                Self::No
            }
        }
    }
}

async fn converse(inner: &Inner, ear: &mut Ear) -> Result<(), Why> {
    let mut sends = Sends::Now;
    loop {
        let mut rest = &ear.arrived[..];
        while let Some(arrived) = ear.inbox.next(&mut rest)? {
            inner.take(arrived)?;
        }
        let n_taken = ear.arrived.len() - rest.len();
        ear.arrived.advance(n_taken);
        if n_taken > 0 && inner.is_done() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = inner.call.notified(), if sends != Sends::No => {
                // Those who are about to ask go first: what they ask shares the write.
                tokio::task::yield_now().await;
                sends = Sends::go_on(inner);
            }
            received = ear.read() => {
                if received? == 0 {
                    return Err(Why::Closed);
                }
                inner.hears();
            }
            writable = inner.writer.writable(), if sends == Sends::Later => {
                writable?;
                sends = Sends::go_on(inner);
            }
        }
    }
}

#[cfg(test)]
mod tests;
