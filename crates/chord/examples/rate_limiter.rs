//! A rate limiter that three web services share, with nothing beside them: each has a node in its own process, and together
//! they count what a client asks of any of them.
//!
//! A fixed window: so many requests of a client in each window, whichever service takes them. The count is a key that goes
//! by itself. `cargo run --release --example rate_limiter` starts the three, asks them in turn, stops one and goes on.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chord::{Change, Condition, Consistency, Expiry, Node, NodeName, Operation, REPLICAS_DEFAULT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);

/// Requests of a client in a window, at most.
const REQUESTS_MAX: i64 = 5;

/// How long keys take to be where they belong after a service came or went, at most.
const SETTLING_MAX: Duration = Duration::from_secs(15);

/// Counts what clients ask, together with all that are in the same ring.
#[derive(Clone)]
struct Limiter {
    node: Node,
}

/// What becomes of a request.
enum Verdict {
    /// It is the client's so manieth in this window.
    Welcome(i64),
    /// The client may come again after so long.
    TooMany(Duration),
}

impl Limiter {
    async fn count(&self, client: &str) -> Result<Verdict, Box<dyn Error>> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let window = since_1970.as_secs() / WINDOW.as_secs();
        let end = Duration::from_secs((window + 1) * WINDOW.as_secs());
        let key = format!("requests/{client}/{window}");
        let one_more = Operation::Change {
            change: Change::Add(1),
            condition: Condition::Always,
            // A window later than it must: the services' clocks need not agree to the second.
            expiry: Expiry::At(u64::try_from((end + WINDOW).as_millis())?),
        };
        let counted = self.node.operate(key.as_bytes(), one_more, Consistency::Usual).await?;
        let value = counted.outcome.record.and_then(|record| record.value).ok_or("it was just counted")?;
        let count: i64 = std::str::from_utf8(value.as_bytes())?.parse()?;
        Ok(if count <= REQUESTS_MAX {
            Verdict::Welcome(count)
        } else {
            Verdict::TooMany(end.saturating_sub(since_1970))
        })
    }
}

/// What the service is for; a client is who it says it is.
async fn greet(State(limiter): State<Limiter>, Path(client): Path<String>) -> Response {
    match limiter.count(&client).await {
        Ok(Verdict::Welcome(count)) => format!("hello {client}, for the {count}. time\n").into_response(),
        Ok(Verdict::TooMany(wait)) => {
            let wait = wait.as_secs() + 1;
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", wait.to_string())], "not so often\n")
                .into_response()
        }
        // Whoever cannot count lets nobody wait: that is for each service to decide.
        Err(error) => {
            eprintln!("not counted: {error}");
            format!("hello {client}\n").into_response()
        }
    }
}

/// A service and the node in it.
struct Service {
    node: Node,
    address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

impl Service {
    async fn start(contact: Option<NodeName>) -> Result<Self, Box<dyn Error>> {
        let mut builder = Node::builder().listen("127.0.0.1:0");
        if let Some(contact) = contact {
            builder = builder.join(contact);
        }
        let node = builder.start().await?;
        node.ready().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/{client}", get(greet)).with_state(Limiter { node: node.clone() });
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { node, address, server })
    }

    /// Takes no more requests, and leaves what it has counted to the others.
    async fn stop(self) {
        self.server.abort();
        self.node.shutdown().await;
    }
}

/// Waits until each service's node has all keys of its range, and others have copies of them. Whether a request is counted
/// whose key changes hands meanwhile is not known, which each service has to decide about; here each is to be counted.
async fn settled(services: &[Service]) -> Result<(), Box<dyn Error>> {
    let is_settled = |service: &Service| {
        let status = service.node.status();
        let copies = status.copies_at.len() + 1;
        status.is_complete
            && status.is_replicated
            && copies == services.len().min(usize::from(REPLICAS_DEFAULT))
    };
    let all = async {
        while !services.iter().all(is_settled) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(tokio::time::timeout(SETTLING_MAX, all).await?)
}

/// Asks a service as a client, and returns the first line of its answer.
async fn ask(address: SocketAddr, client: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /{client} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// Waits until enough of the window is left for what follows.
async fn wait_for_window() -> Result<(), Box<dyn Error>> {
    const ENOUGH: Duration = Duration::from_secs(20);
    const _: () = assert!(ENOUGH.as_secs() > SETTLING_MAX.as_secs());
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let left = WINDOW.saturating_sub(Duration::from_secs(since_1970.as_secs() % WINDOW.as_secs()));
    if left < ENOUGH {
        tokio::time::sleep(left).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let first = Service::start(None).await?;
    let contact = first.node.name().clone();
    let mut services = vec![first];
    for _ in 1..3 {
        services.push(Service::start(Some(contact.clone())).await?);
    }
    settled(&services).await?;
    wait_for_window().await?;
    for turn in 0..4 {
        let number = turn % services.len();
        println!("service {number}: {}", ask(services[number].address, "alice").await?);
    }
    println!("service 2 stops");
    services.remove(2).stop().await;
    settled(&services).await?;
    for (number, client) in [(0, "alice"), (1, "alice"), (1, "bob")] {
        println!("service {number}: {} for {client}", ask(services[number].address, client).await?);
    }
    for service in services {
        service.stop().await;
    }
    Ok(())
}
