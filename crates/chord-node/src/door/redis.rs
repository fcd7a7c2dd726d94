//! The Redis door: what a Redis client asks on a connection, and the answers in the same order.
//!
//! Each family of commands is a file with a table of its commands; a row says how a command begins. What it does is one or
//! more operations on the ring, which this door only asks for. Commands of a pipeline run beside each other, except that
//! one waits for those before it that have a key in common with it.

#![allow(clippy::unnecessary_wraps, reason = "all commands begin alike, and most may be refused")]

mod answer;
mod call;
mod connection;
mod counters;
mod expiry;
mod flush;
mod glob;
mod keys;
mod ours;
mod pipeline;
mod scan;
mod server;
mod session;
mod strings;
mod subscriptions;
mod swap;
mod table;
mod transactions;
mod wanted;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chord_kv::Value;
use chord_wire::resp::{ReplyWriter, Request, RequestLimits, RequestParser};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::Ends;
use super::doze::Doze;
use super::farewell::drain;
use super::seat::{Seat, Turn};
use super::share::{Share, Spent};
use super::sleep_until;
use crate::Limits;
use crate::offence::Offence;
use crate::secret::Role;
use crate::shared::Shared;
use crate::stream::{ReadHalf, Stream, WriteHalf};
use answer::{Answer, Values};
use call::{Begun, Call, Running};
use pipeline::{Pipeline, Touched};
use session::Session;
use subscriptions::{Subscribing, Subscriptions};
use table::Row;
use wanted::{Keep, Wanted};

/// Answers that are written before they are sent, at most and by a little: then the client has to read some.
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// What the buffer of a connection keeps between answers, at most, however large they were.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Serves one connection, of which these bytes came in, until either side ends it.
pub(super) async fn serve(
    mut stream: Stream,
    ends: Ends,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    first: &[u8],
) -> io::Result<()> {
    let mut parser = RequestParser::new(limits_of_all(&shared.limits));
    parser.feed(first);
    let (reader, writer) = stream.split();
    let connection = Connection {
        session: Session::new(ends),
        last: None,
        wanted: Wanted::default(),
        pipeline: Pipeline::default(),
        subscriptions: Subscriptions::default(),
        unsent: Vec::new(),
        turn: None,
        arriving: Arriving::of(&shared),
        doze: Doze::new(&seat),
        reader,
        writer,
        seat,
        shared: shared.clone(),
    };
    connection.serve(parser).await
}

/// What requests may be like.
fn limits_of_all(limits: &Limits) -> RequestLimits {
    let bulk_bytes_max = limits.value_bytes.saturating_add(64 << 10);
    RequestLimits {
        bulk_bytes_max,
        // One request can have as much of the budget as a body of HTTP can.
        request_bytes_max: bulk_bytes_max.saturating_add(1 << 20).max(limits.body_bytes()),
        ..RequestLimits::default()
    }
}

/// What requests may be like of one who has to give a secret first: that, a name, and nothing that takes memory.
const LIMITS_OF_STRANGERS: RequestLimits = RequestLimits {
    args_max: 16,
    bulk_bytes_max: 4 << 10,
    inline_bytes_max: 4 << 10,
    request_bytes_max: 16 << 10,
};

/// A connection at work.
struct Connection<'a> {
    session: Session,
    /// The command that was called last.
    last: Option<&'static Row>,
    /// What has come and is to begin, after what is in the pipeline.
    wanted: Wanted,
    pipeline: Pipeline,
    subscriptions: Subscriptions,
    unsent: Vec<u8>,
    /// From the first request of a pipeline to its last answer, and as long as there are subscriptions that tell of keys.
    turn: Option<Turn>,
    arriving: Arriving,
    doze: Doze,
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    seat: Arc<Seat>,
    shared: Arc<Shared>,
}

/// Whether more requests are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    Yes,
    No,
    /// And what still comes cannot be understood.
    NotHeard,
}

impl GoesOn {
    fn unless(is_over: bool) -> Self {
        if is_over { Self::No } else { Self::Yes }
    }
}

/// A request of which a part has come.
struct Arriving {
    /// Since when.
    since: Option<Instant>,
    /// For what the parser keeps of it.
    share: Share,
}

impl Arriving {
    fn of(shared: &Arc<Shared>) -> Self {
        Self { since: None, share: Share::of(shared) }
    }

    /// A whole request has come.
    fn is_whole(&mut self) {
        self.since = None;
        // What it keeps is its own part of the budget from now on.
        let _ = self.share.fit(0);
    }

    /// What is left has to wait for more.
    fn wait(&mut self, parser: &mut RequestParser) -> Result<(), Spent> {
        if parser.is_idle() {
            self.since = None;
            return self.share.fit(0);
        }
        self.since.get_or_insert_with(Instant::now);
        parser.room();
        self.share.fit(parser.memory())
    }
}

impl Connection<'_> {
    async fn serve(mut self, mut parser: RequestParser) -> io::Result<()> {
        loop {
            let mut goes_on = self.begin_all(&mut parser).await?;
            if goes_on == GoesOn::Yes
                && let Err(spent) = self.arriving.wait(&mut parser)
            {
                self.pipeline.push_done(busy(spent));
                goes_on = GoesOn::NotHeard;
            }
            if goes_on != GoesOn::Yes {
                return self.end(goes_on).await;
            }
            if self.pipeline.is_empty() {
                self.send().await?;
                match self.receive_idle(&mut parser).await? {
                    GoesOn::Yes => {}
                    GoesOn::No => return Ok(()),
                    GoesOn::NotHeard => return self.end(GoesOn::NotHeard).await,
                }
            } else {
                self.go_on(&mut parser).await?;
            }
        }
    }

    /// Ends what is under way, and the connection.
    async fn end(mut self, why: GoesOn) -> io::Result<()> {
        while let Some(answer) = self.pipeline.next().await {
            self.write(answer).await?;
        }
        self.send().await?;
        if why == GoesOn::NotHeard {
            tokio::time::timeout(self.shared.limits.answer_write, self.writer.shutdown()).await??;
            tokio::select! {
                () = drain(&mut self.reader) => {}
                () = self.seat.asked_to_leave() => {}
            }
        }
        Ok(())
    }

    /// Begins what has arrived, one after the other.
    async fn begin_all(&mut self, parser: &mut RequestParser) -> io::Result<GoesOn> {
        loop {
            // Answers that are there need no place in the pipeline.
            while let Some(answer) = self.pipeline.ready() {
                self.write(answer).await?;
            }
            if self.shared.guard.secrets().is_some() {
                let is_stranger = self.is_stranger();
                parser.limit(if is_stranger {
                    LIMITS_OF_STRANGERS
                } else {
                    limits_of_all(&self.shared.limits)
                });
            }
            let request = match parser.next_request() {
                Ok(Some(request)) => request,
                Ok(None) => {
                    self.begin_wanted().await?;
                    return Ok(GoesOn::unless(self.session.is_over()));
                }
                Err(error) => {
                    self.note(Offence::Form);
                    let before =
                        if self.is_stranger() { "; give a secret by AUTH before such a request" } else { "" };
                    self.push_done(Answer::error("ERR", format!("{error}{before}"))).await?;
                    return Ok(GoesOn::NotHeard);
                }
            };
            self.begin(&request).await?;
            if self.session.is_over() {
                self.begin_wanted().await?;
                return Ok(GoesOn::No);
            }
        }
    }

    /// Something of it was refused.
    fn note(&self, offence: Offence) {
        self.shared.guard.offences().note(offence, self.session.ends.from());
    }

    /// Whether the client has to give a secret first, or another one.
    fn is_stranger(&self) -> bool {
        let guard = &self.shared.guard;
        guard.secrets().is_some() && !guard.allows(&self.session.visitor, Role::Read)
    }

    async fn begin(&mut self, request: &Request<'_>) -> io::Result<()> {
        if self.turn.is_none() {
            self.turn = Some(Turn::begin(&self.seat));
        }
        self.arriving.is_whole();
        let row = table::row(request, self.last);
        self.last = row.as_ref().ok().copied();
        let row = match row.and_then(|row| self.admit(row)) {
            Ok(row) => row,
            Err(_) if table::is_of_http(request.command()) => {
                // Somebody has a browser send commands in what it takes for a request of its own.
                self.session.end();
                return Ok(());
            }
            Err(answer) => {
                self.session.count_reply();
                self.session.transaction.refuse();
                let answer = self.session.heard(answer);
                return self.push_done(answer).await;
            }
        };
        if self.session.may_not(row) {
            self.session.count_reply();
            return self.push_done(session::not_allowed(row)).await;
        }
        if self.go_before(row, request) {
            self.begin_wanted().await?;
        }
        if !self.pipeline.is_empty() {
            self.wait_for_those_before(row, request).await?;
        }
        self.session.count_reply();
        let n_bytes = request.all().map(<[u8]>::len).sum();
        let share = match Share::take(&self.shared, n_bytes) {
            Ok(share) => share,
            Err(spent) => {
                let answer = self.session.heard(busy(spent));
                return self.push_done(answer).await;
            }
        };
        let mut call = Call::new(&self.shared, &mut self.session, row, request.args());
        let begun = (row.begin)(&mut call).unwrap_or_else(Begun::Done);
        if row.name == "reset" {
            self.subscriptions.clear();
        }
        let beside = self.beside(n_bytes);
        let keep = |share| Keep { share, beside, is_heard: self.session.is_heard(), is_read: row.is_read() };
        match begun {
            Begun::Wants(wish, judge) => {
                let keep = keep(share);
                self.want(wish, judge, keep);
                Ok(())
            }
            Begun::Running(running) => {
                let keep = keep(share);
                self.begin_wanted().await?;
                self.run_beside(running, row.keys.touched(request), keep).await
            }
            Begun::Subscription(wanted) => self.subscribe(wanted).await,
            Begun::Done(answer) => {
                // What repeats the request is as large as it.
                let answer = self.session.heard(answer);
                self.push_done(match share {
                    Some(share) => Answer::Held(Box::new(answer), share),
                    None => answer,
                })
                .await
            }
        }
    }

    /// Whether a command may be called now, by this client.
    fn admit(&mut self, row: &'static Row) -> Result<&'static Row, Answer> {
        let paced = self.shared.clients.request(&self.shared.limits);
        paced.map_err(|what| Answer::error("BUSY", what.sentence()))?;
        let row = self.session.transaction.admit(row)?;
        connection::admit(&self.shared.guard, &self.session, row)
    }

    /// Whether those that are wanted must have begun before a command does.
    fn go_before(&self, row: &Row, request: &Request<'_>) -> bool {
        let is_scarce = || !self.wanted.is_empty() && Share::is_scarce(&self.shared);
        self.wanted.go_before(row, request) || is_scarce()
    }

    /// The part of the budget for a command of so many bytes that is under way beside others.
    fn beside(&self, n_bytes: usize) -> Option<Share> {
        let is_alone = self.pipeline.is_empty() && self.wanted.is_empty();
        if is_alone { None } else { Share::beside(&self.shared, n_bytes) }
    }

    /// One that has its answer already, which waits for those before it.
    async fn push_done(&mut self, answer: Answer) -> io::Result<()> {
        self.begin_wanted().await?;
        self.pipeline.push_done(answer);
        Ok(())
    }

    /// Lets a command run beside others, unless it ends at the first look.
    async fn run_beside(&mut self, mut running: Running, touched: Touched, keep: Keep) -> io::Result<()> {
        if let Some(answer) = (&mut running).now_or_never() {
            let answer = keep.keep(&self.shared, answer);
            return self.answer_at_once(answer).await;
        }
        let shared = self.shared.clone();
        self.pipeline.push(running, touched, move |answer| keep.keep(&shared, answer));
        Ok(())
    }

    /// Waits until a command may run beside those that are under way.
    async fn wait_for_those_before(&mut self, row: &Row, request: &Request<'_>) -> io::Result<()> {
        let keys = row.keys.touched(request);
        // Answers before it are in the protocol that was spoken then, and before what subscriptions tell.
        let is_turn = row.is_turn();
        while is_turn
            || self.pipeline.is_full()
            || Share::is_scarce(&self.shared)
            || self.pipeline.conflicts(&keys)
        {
            self.begin_wanted().await?;
            let Some(answer) = self.pipeline.next().await else { break };
            self.write(answer).await?;
        }
        Ok(())
    }

    /// Answers what was done at once, unless others before it are under way.
    async fn answer_at_once(&mut self, answer: Answer) -> io::Result<()> {
        if self.pipeline.is_empty() {
            return self.write(answer).await;
        }
        self.pipeline.push_done(answer);
        Ok(())
    }

    async fn subscribe(&mut self, wanted: Subscribing) -> io::Result<()> {
        let answers = tokio::select! {
            answers = self.subscriptions.change(&self.shared, wanted) => answers,
            () = self.seat.asked_to_leave() => {
                self.session.end();
                return Ok(());
            }
        };
        self.session.subscribed = self.subscriptions.counts();
        self.write_all(answers).await
    }

    /// Tells what subscriptions have to tell, as much as there is.
    async fn tell(&mut self, messages: Option<Vec<Answer>>) -> io::Result<()> {
        let mut next = Some(messages);
        while let Some(messages) = next {
            let Some(messages) = messages else {
                self.session.end();
                return Ok(());
            };
            self.write_all(messages).await?;
            let is_full = self.unsent.len() >= UNSENT_BYTES_MAX / 2;
            next = if is_full {
                None
            } else {
                self.subscriptions.next(&self.shared, &self.session.visitor).now_or_never()
            };
        }
        Ok(())
    }

    async fn write_all(&mut self, answers: Vec<Answer>) -> io::Result<()> {
        for answer in answers {
            self.write(answer).await?;
        }
        Ok(())
    }

    /// Waits for an answer, or for more requests.
    async fn go_on(&mut self, parser: &mut RequestParser) -> io::Result<()> {
        tokio::select! {
            biased;
            answer = self.pipeline.next() => match answer {
                Some(answer) => self.write(answer).await,
                None => Ok(()),
            },
            messages = self.subscriptions.next(&self.shared, &self.session.visitor) => self.tell(messages).await,
            () = self.seat.asked_to_leave() => {
                self.session.end();
                Ok(())
            }
            received = self.reader.read(parser.room()), if !self.pipeline.is_full() => {
                match received? {
                    0 => {
                        // Nothing more is asked, or nobody is there: either way what was begun is ended.
                        self.session.end();
                        Ok(())
                    }
                    n_bytes => {
                        parser.received(n_bytes);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Waits for requests, or for what subscriptions tell, while nothing is under way.
    async fn receive_idle(&mut self, parser: &mut RequestParser) -> io::Result<GoesOn> {
        // Whoever has begun a request has to end it; whoever has not may be silent for as long as nobody needs the place.
        let until = self.arriving.since.map(|since| since + self.shared.limits.body_read);
        let is_idle = parser.is_idle();
        let n_bytes = tokio::select! {
            received = self.reader.read(parser.room()) => received?,
            messages = self.subscriptions.next(&self.shared, &self.session.visitor) => {
                self.tell(messages).await?;
                return Ok(GoesOn::unless(self.session.is_over()));
            }
            () = self.seat.asked_to_leave() => 0,
            () = sleep_until(until) => {
                self.note(Offence::Time);
                self.pipeline.push_done(Answer::mistake(LATE));
                return Ok(GoesOn::NotHeard);
            }
            () = self.doze.due(), if is_idle => {
                parser.let_go();
                self.unsent = Vec::new();
                self.wanted = Wanted::default();
                return self.wakes().await;
            }
        };
        parser.received(n_bytes);
        Ok(GoesOn::unless(n_bytes == 0))
    }

    /// Waits for requests without any buffer.
    async fn wakes(&mut self) -> io::Result<GoesOn> {
        self.shared.dozes.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            readable = self.reader.readable() => readable.map(|()| GoesOn::Yes),
            () = self.seat.asked_to_leave() => Ok(GoesOn::No),
        }
    }

    async fn write(&mut self, answer: Answer) -> io::Result<()> {
        let protocol = self.session.protocol();
        let Answer::Values(Values { values, share }) = answer else {
            answer.write(&mut ReplyWriter::new(protocol, &mut self.unsent));
            self.send_much().await?;
            drop(answer); // and its part of the budget
            return Ok(());
        };
        ReplyWriter::new(protocol, &mut self.unsent).array(values.len());
        for value in values {
            let value = value.as_ref().map(Value::as_bytes);
            ReplyWriter::new(protocol, &mut self.unsent).bulk_or_null(value);
            self.send_much().await?;
        }
        drop(share);
        Ok(())
    }

    /// Sends what is there if it is much.
    async fn send_much(&mut self) -> io::Result<()> {
        if self.unsent.len() < UNSENT_BYTES_MAX { Ok(()) } else { self.send_unsent().await }
    }

    /// Sends what is there; then nothing is under way any more, but what subscriptions may tell.
    async fn send(&mut self) -> io::Result<()> {
        self.send_unsent().await?;
        if !self.subscriptions.watch_keys() && self.turn.take().is_some() {
            self.seat.sent();
        }
        Ok(())
    }

    async fn send_unsent(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        // Nearly always all of it goes at once, and nobody's clock is needed.
        let n_sent = match self.writer.try_write(&self.unsent) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        if n_sent < self.unsent.len() || self.writer.is_behind() {
            self.send_rest(n_sent).await?;
        }
        self.unsent.clear();
        self.unsent.shrink_to(KEPT_BYTES_MAX);
        Ok(())
    }

    /// Sends what is there from that byte on, as far as the client reads it.
    async fn send_rest(&mut self, begin: usize) -> io::Result<()> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the answers were not read in time");
        let rest = self.unsent.get(begin..).unwrap_or_default();
        let writer = &mut self.writer;
        let sending = async {
            writer.write_all(rest).await?;
            writer.flush().await
        };
        let sending = tokio::time::timeout(self.shared.limits.answer_write, sending);
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            never = self.pipeline.go_on() => match never {},
        };
        sent.unwrap_or_else(|_| Err(late()))
    }
}

/// What is said to half a request before its connection ends.
const LATE: &str = "Protocol error: the request did not arrive in time: send all of it at once";

/// What Redis says when it is; a word that clients can tell apart.
fn busy(spent: Spent) -> Answer {
    Answer::error("BUSY", spent.to_string())
}
