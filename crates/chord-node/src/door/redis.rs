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

use std::io;
use std::sync::Arc;

use chord_wire::resp::{ReplyWriter, Request, RequestLimits, RequestParser};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::Ends;
use super::seat::{Seat, Turn};
use crate::shared::Shared;
use answer::Answer;
use call::{Begun, Call};
use pipeline::Pipeline;
use session::Session;
use subscriptions::{Subscribing, Subscriptions};

/// Answers that are written before they are sent, at most and by a little: then the client has to read some.
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// What the buffer of a connection keeps between answers, at most, however large they were.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Serves one connection, of which these bytes came in, until either side ends it.
pub(super) async fn serve(
    mut stream: TcpStream,
    ends: Ends,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    first: &[u8],
) -> io::Result<()> {
    let limits = &shared.limits;
    let bulk_bytes_max = limits.value_bytes.saturating_add(64 << 10);
    let request_limits = RequestLimits {
        bulk_bytes_max,
        request_bytes_max: bulk_bytes_max.saturating_add(1 << 20),
        ..RequestLimits::default()
    };
    let mut parser = RequestParser::new(request_limits);
    parser.feed(first);
    let (reader, writer) = stream.split();
    let connection = Connection {
        session: Session::new(ends),
        pipeline: Pipeline::default(),
        subscriptions: Subscriptions::default(),
        unsent: Vec::new(),
        turn: None,
        reader,
        writer,
        seat,
        shared: shared.clone(),
    };
    connection.run(parser).await
}

/// A connection at work.
struct Connection<'a> {
    session: Session,
    pipeline: Pipeline,
    subscriptions: Subscriptions,
    unsent: Vec<u8>,
    /// From the first request of a pipeline to its last answer, and as long as there are subscriptions.
    turn: Option<Turn>,
    reader: ReadHalf<'a>,
    writer: WriteHalf<'a>,
    seat: Arc<Seat>,
    shared: Arc<Shared>,
}

impl Connection<'_> {
    async fn run(mut self, mut parser: RequestParser) -> io::Result<()> {
        loop {
            let is_last = self.begin_all(&mut parser).await?;
            if is_last {
                while let Some(answer) = self.pipeline.next().await {
                    self.write(answer).await?;
                }
                return self.send().await;
            }
            if self.pipeline.is_empty() {
                self.send().await?;
                if !self.receive_idle(&mut parser).await? {
                    return Ok(());
                }
            } else {
                self.go_on(&mut parser).await?;
            }
        }
    }

    /// Begins what has arrived, one after the other. Returns whether nothing more is to be read.
    async fn begin_all(&mut self, parser: &mut RequestParser) -> io::Result<bool> {
        loop {
            // Answers that are there need no place in the pipeline.
            while let Some(answer) = self.pipeline.ready() {
                self.write(answer).await?;
            }
            match parser.next_request() {
                Ok(Some(request)) => self.begin(&request).await?,
                Ok(None) => return Ok(self.session.is_over()),
                Err(error) => {
                    let answer = Answer::error("ERR", error.to_string());
                    self.pipeline.push_done(answer);
                    return Ok(true);
                }
            }
            if self.session.is_over() {
                return Ok(true);
            }
        }
    }

    async fn begin(&mut self, request: &Request<'_>) -> io::Result<()> {
        if self.turn.is_none() {
            self.turn = Some(Turn::begin(&self.seat));
        }
        let row = match table::row(request).and_then(|row| self.session.transaction.admit(row)) {
            Ok(row) => row,
            Err(_) if table::is_of_http(request.command()) => {
                // Somebody has a browser send commands in what it takes for a request of its own.
                self.session.end();
                return Ok(());
            }
            Err(answer) => {
                self.session.count_reply();
                self.session.transaction.refuse();
                self.pipeline.push_done(self.session.heard(answer));
                return Ok(());
            }
        };
        let keys = row.keys.touched(request);
        if self.session.may_not(row) {
            self.session.count_reply();
            self.pipeline.push_done(session::not_allowed(row));
            return Ok(());
        }
        // Answers before it are in the protocol that was spoken then, and before what subscriptions tell.
        let is_turn = row.is_turn();
        while is_turn || self.pipeline.is_full() || self.pipeline.conflicts(&keys) {
            let Some(answer) = self.pipeline.next().await else { break };
            self.write(answer).await?;
        }
        self.session.count_reply();
        let mut call = Call::new(&self.shared, &mut self.session, row, request.args());
        let begun = (row.begin)(&mut call).unwrap_or_else(Begun::Done);
        if row.name == "reset" {
            self.subscriptions.clear();
        }
        match begun {
            Begun::Subscription(wanted) => return self.subscribe(wanted).await,
            Begun::Done(answer) => self.pipeline.push_done(self.session.heard(answer)),
            Begun::Running(running) => {
                let is_heard = self.session.is_heard();
                self.pipeline.push(running, keys, is_heard);
            }
        }
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
        self.session.is_subscribed = !self.subscriptions.is_empty();
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
            next = if is_full { None } else { self.subscriptions.next(&self.shared).now_or_never() };
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
            messages = self.subscriptions.next(&self.shared) => self.tell(messages).await,
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

    /// Waits for requests, or for what subscriptions tell, while nothing is under way. Returns whether the connection goes on.
    async fn receive_idle(&mut self, parser: &mut RequestParser) -> io::Result<bool> {
        // Whoever has begun a request has to end it; whoever has not may be silent for as long as nobody needs the place.
        let limit = (!parser.is_idle()).then_some(self.shared.limits.body_read);
        let reading = self.reader.read(parser.room());
        let received = async {
            let Some(limit) = limit else { return reading.await };
            let late = || io::Error::new(io::ErrorKind::TimedOut, "the request did not arrive in time");
            tokio::time::timeout(limit, reading).await.unwrap_or_else(|_| Err(late()))
        };
        let n_bytes = tokio::select! {
            received = received => received?,
            messages = self.subscriptions.next(&self.shared) => {
                self.tell(messages).await?;
                return Ok(!self.session.is_over());
            }
            () = self.seat.asked_to_leave() => 0,
        };
        parser.received(n_bytes);
        Ok(n_bytes > 0)
    }

    async fn write(&mut self, answer: Answer) -> io::Result<()> {
        answer.write(&mut ReplyWriter::new(self.session.protocol(), &mut self.unsent));
        if self.unsent.len() >= UNSENT_BYTES_MAX {
            return self.send_unsent().await;
        }
        Ok(())
    }

    /// Sends what is there; then nothing is under way any more, but what subscriptions may tell.
    async fn send(&mut self) -> io::Result<()> {
        self.send_unsent().await?;
        if self.subscriptions.is_empty() && self.turn.take().is_some() {
            self.seat.sent();
        }
        Ok(())
    }

    async fn send_unsent(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the answers were not read in time");
        let sent = tokio::time::timeout(self.shared.limits.answer_write, self.writer.write_all(&self.unsent));
        sent.await.unwrap_or_else(|_| Err(late()))?;
        self.unsent.clear();
        self.unsent.shrink_to(KEPT_BYTES_MAX);
        Ok(())
    }
}
