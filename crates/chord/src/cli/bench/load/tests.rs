use chord_wire::resp::{RequestLimits, RequestParser};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::cli::bench::door::Door;
use crate::cli::bench::keys::{Sizes, write_value};

const VALUE_BYTES: usize = 16;

/// A server that answers as Redis does, but for a pause, if there is one, in which it does nothing.
#[derive(Clone, Copy)]
struct Server {
    pause: Option<(Instant, Instant)>,
    refuses: bool,
}

async fn lanes(workload: &Workload) -> Lanes<'_> {
    Lanes::of(workload).await.unwrap()
}

impl Server {
    const GOOD: Self = Self { pause: None, refuses: false };

    /// Serves on a free port; what is asked of it as a workload.
    async fn start(self) -> Workload {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(self.serve(stream));
            }
        });
        let workload = Workload::plain(Door::Redis, vec![node], 2, 100);
        Workload { sizes: Sizes::of(VALUE_BYTES), measured: Duration::from_millis(300), ..workload }
    }

    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut parser = RequestParser::new(RequestLimits::default());
        let mut bytes = [0; 4096];
        loop {
            let n_bytes = stream.read(&mut bytes).await?;
            if n_bytes == 0 {
                return Ok(());
            }
            if let Some((from, to)) = self.pause
                && (from..to).contains(&Instant::now())
            {
                tokio::time::sleep_until(to.into()).await;
            }
            parser.feed(&bytes[..n_bytes]);
            let mut answers = Vec::new();
            while let Some(request) = parser.next_request().unwrap() {
                match request.args_exactly() {
                    _ if self.refuses => answers.extend_from_slice(b"-ERR not today\r\n"),
                    Some([key]) => {
                        let number = std::str::from_utf8(&key[1..]).unwrap().parse().unwrap();
                        answers.extend_from_slice(format!("${VALUE_BYTES}\r\n").as_bytes());
                        write_value(number, VALUE_BYTES, &mut answers);
                        answers.extend_from_slice(b"\r\n");
                    }
                    None => answers.extend_from_slice(b"+OK\r\n"),
                }
            }
            stream.write_all(&answers).await?;
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_is_seen_in_the_open_loop_and_hidden_in_the_closed_one() {
    // Of 1.5 s it does nothing for 0.6 s: so a seventh of all requests that are due wait for 0.4 s and longer.
    let now = Instant::now;
    let p90 = async |pacing| {
        let pause = Some((now() + Duration::from_millis(300), now() + Duration::from_millis(900)));
        let workload = Server { pause, ..Server::GOOD }.start().await;
        let workload = Workload { measured: Duration::from_millis(1500), pacing, ..workload };
        let [_, get] = measure(&lanes(&workload).await, 100).await.unwrap().operations;
        assert_eq!((get.errors, get.failure()), (0, None));
        Duration::from_nanos(get.latencies.value_at_quantile(0.9))
    };
    let open = p90(Pacing::Open { per_second: 400 }).await;
    assert!(open > Duration::from_millis(300), "{open:?}");
    let closed = p90(Pacing::Closed).await;
    assert!(closed < Duration::from_millis(300), "{closed:?}");
}

#[tokio::test]
async fn the_open_loop_sends_what_it_was_told_to() {
    let workload = Server::GOOD.start().await;
    let workload = Workload { pacing: Pacing::Open { per_second: 500 }, pipeline: 4, threads: 2, ..workload };
    let measured = measure(&lanes(&workload).await, 50).await.unwrap();
    let n_sent: u64 = measured.operations.iter().map(|measured| measured.count() + measured.unsent).sum();
    assert_eq!(n_sent, 150, "500 a second for 0.3 s");
    let [put, get] = &measured.operations;
    assert!(put.count() > 30 && get.count() > 30 && put.errors + get.errors == 0, "{put:?} {get:?}");
}

#[tokio::test]
async fn many_requests_are_under_way_on_a_connection_and_each_has_its_answer() {
    let workload = Workload { pipeline: 16, connections: 3, threads: 2, ..Server::GOOD.start().await };
    fill(&lanes(&workload).await).await.unwrap();
    check(&lanes(&workload).await, 7).await.unwrap();
    let [put, get] = measure(&lanes(&workload).await, 100).await.unwrap().operations;
    assert_eq!((get.errors, get.failure(), put.count()), (0, None, 0));
    assert!(get.count() >= 48, "{get:?}");
    let wrong = Workload { sizes: Sizes::of(VALUE_BYTES + 1), ..workload };
    let error = format!("{:#}", check(&lanes(&wrong).await, 1).await.unwrap_err());
    assert!(error.contains("the value is not the one written"), "{error}");
}

#[tokio::test]
async fn keys_that_cannot_be_written_end_the_measurement() {
    let workload = Server { refuses: true, ..Server::GOOD }.start().await;
    let error = format!("{:#}", fill(&lanes(&workload).await).await.unwrap_err());
    assert!(error.starts_with("cannot write the keys: put at 127.0.0.1:"), "{error}");
    assert!(error.ends_with("ERR not today"), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_connected_to_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{}").await;
            });
        }
    });
    let workload = Workload::plain(Door::Http, vec![node], 2, 10);
    fill(&lanes(&workload).await).await.unwrap();
}
