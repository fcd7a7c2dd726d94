//! Dozing: a connection that nobody uses gives its buffers back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::seat::Seat;

/// How long a connection is idle before it dozes: whoever asks more often than this pays nothing for it, and whoever asks
/// less often does not notice what it costs to take buffers anew.
const DOZE_AFTER: Duration = Duration::from_millis(50);

/// Tells when a connection may doze. It looks once in so long, not after each request, and not while one is under way.
pub(super) struct Doze {
    seat: Arc<Seat>,
    look: Pin<Box<Sleep>>,
}

impl Doze {
    pub(super) fn new(seat: &Arc<Seat>) -> Self {
        Self { seat: seat.clone(), look: Box::pin(tokio::time::sleep(DOZE_AFTER)) }
    }

    /// Ends when nothing was asked for so long, and then no earlier than after as long again. May be dropped at any point.
    pub(super) async fn due(&mut self) {
        loop {
            self.look.as_mut().await;
            let Some(idle) = self.seat.idle_for() else {
                self.seat.falls_idle().await;
                self.look.as_mut().reset(Instant::now() + DOZE_AFTER);
                continue;
            };
            // What has come of a request lies in the buffers; it has to end soon.
            let idle = if self.seat.hears() { Duration::ZERO } else { idle };
            let left = DOZE_AFTER.saturating_sub(idle);
            let pause = if left.is_zero() { DOZE_AFTER } else { left };
            self.look.as_mut().reset(Instant::now() + pause);
            if left.is_zero() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Instant as StdInstant;

    use chord_wire::frame::{Hello, Kind, Outbox, VERSIONS};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::Node;
    use crate::door::seat::Turn;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn exchange(stream: &mut TcpStream, ask: &str, end: &str) -> String {
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let answered = async {
            while !answer.ends_with(end.as_bytes()) {
                answer.push(stream.read_u8().await.unwrap());
            }
        };
        tokio::time::timeout(DEADLINE, answered).await.expect("an answer in time");
        String::from_utf8(answer).unwrap()
    }

    /// Until so many connections have given their buffers back, ever.
    async fn dozes(node: &Node, count: u64) {
        let dozing = async {
            while node.shared().dozes.load(Ordering::Relaxed) < count {
                tokio::time::sleep(DOZE_AFTER / 10).await;
            }
        };
        tokio::time::timeout(DEADLINE, dozing).await.expect("in time");
    }

    #[tokio::test]
    async fn a_connection_that_was_left_alone_goes_on_where_it_was() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let connect = || TcpStream::connect(node.name().as_str());
        let (mut redis, mut http) = (connect().await.unwrap(), connect().await.unwrap());
        exchange(&mut redis, "CLIENT SETNAME me\r\n", "+OK\r\n").await;
        dozes(&node, 1).await;
        exchange(&mut redis, "CLIENT GETNAME\r\n", "$2\r\nme\r\n").await;
        let ask = "POST /node HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
        exchange(&mut http, ask, "}").await;
        dozes(&node, 3).await;
        // A whole request, and half of another that comes with it.
        let (half, rest) = ask.split_at(30);
        exchange(&mut http, &format!("{ask}{half}"), "}").await;
        let answer = exchange(&mut http, rest, "}").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        node.shutdown().await;
    }

    #[tokio::test]
    async fn a_connection_of_frames_dozes_too() {
        let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
        let mut frames = TcpStream::connect(node.name().as_str()).await.unwrap();
        let hello = Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: None };
        let mut outbox = Outbox::default();
        outbox.open();
        outbox.put(Kind::Hello, 0, |to| hello.write(to));
        outbox.put(Kind::Ping, 1, |to| to.push(0));
        frames.write_all(outbox.unsent()).await.unwrap();
        dozes(&node, 1).await;
        let ping = [&[0, 0, 0, 6, Kind::Ping.number(), 0, 0, 0, 2][..], &[0]].concat();
        frames.write_all(&ping).await.unwrap();
        dozes(&node, 2).await;
        node.shutdown().await;
    }

    #[tokio::test]
    async fn nobody_looks_while_a_request_is_under_way() {
        let seat = Arc::new(Seat::new(StdInstant::now()));
        let mut doze = Doze::new(&seat);
        let turn = Turn::begin(&seat);
        let began = Instant::now();
        let long = 20 * DOZE_AFTER;
        let mut n_looks = 0;
        let mut waits = Box::pin(tokio::time::timeout(long, doze.due()));
        let ended = std::future::poll_fn(|cx| {
            n_looks += 1;
            waits.as_mut().poll(cx)
        });
        assert!(ended.await.is_err() && began.elapsed() >= long);
        assert!(n_looks <= 5, "{n_looks} looks");
        drop(turn);
    }

    #[tokio::test]
    async fn a_connection_dozes_when_nothing_was_asked_for_a_while() {
        let seat = Arc::new(Seat::new(StdInstant::now()));
        let mut doze = Doze::new(&seat);
        let turn = Turn::begin(&seat);
        let soon = 3 * DOZE_AFTER;
        assert!(tokio::time::timeout(soon, doze.due()).await.is_err(), "a request is under way");
        drop(turn);
        seat.sent();
        seat.hear();
        assert!(tokio::time::timeout(soon, doze.due()).await.is_err(), "half a request has come");
        seat.hear_nothing();
        tokio::time::timeout(soon, doze.due()).await.unwrap();
    }
}
