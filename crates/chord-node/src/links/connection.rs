//! One peer over HTTP: its open connections, and one request after another on each.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chord_ring::{Failure, NodeName};
use chord_wire::Context;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::TcpKeepalive;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::language::Said;
use crate::secret::{Holder, SecretFile};
use crate::stream::Stream;
use crate::tls::{Dialer, disbelieved};

type Driver = Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>;

/// One open connection. It is driven by whoever uses it: a task of its own would cost a switch each way.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Option<Driver>,
}

/// What came back: not yet understood.
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Exchange {
    /// What the answer says beside its body.
    pub(crate) fn context(&self) -> Result<Context, chord_wire::BadContext> {
        context(&self.headers)
    }
}

/// Reads the context headers.
pub(crate) fn context(headers: &HeaderMap) -> Result<Context, chord_wire::BadContext> {
    if !headers.keys().any(|name| name.as_str().starts_with(chord_wire::HEADER_PREFIX)) {
        return Ok(Context::default());
    }
    Context::read(|name| headers.get(name).map(HeaderValue::as_bytes))
}

/// Writes the context headers.
pub(crate) fn write_context(context: &Context, headers: &mut HeaderMap) {
    context.write(&mut |name, value| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    });
}

/// Why an exchange brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The host refused the connection: the one proof that nobody serves there.
    #[error("nobody is there")]
    Refused,
    /// No connection came about, for a reason that may as well lie here, or between: files and ports run out, cables and
    /// resolvers fail.
    #[error("no connection: {0}")]
    NoConnection(io::Error),
    /// Who is there does not agree on TLS with this side, or is not believed.
    #[error("no connection in TLS: {0}")]
    NoTls(String),
    /// The connection was closed, and nothing came back.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// What came back was no whole answer.
    #[error("what came is no whole answer in HTTP")]
    Broken,
    /// What came back is larger than is accepted.
    #[error("the answer is larger than the {limit} bytes that are accepted")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
}

impl NoAnswer {
    pub(crate) fn to_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::NoConnection(error),
        }
    }

    /// What it tells of the peer.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Refused => Failure::Unreachable,
            Self::NoConnection(_) | Self::NoTls(_) | Self::Closed => Failure::Silent,
            Self::Broken | Self::TooLarge { .. } => Failure::Garbled,
        }
    }
}

/// Connections to a peer beyond the limit, for what it answers by itself: one for each purpose of the ring, and pings.
const OWN_CONNECTIONS: usize = 8;

/// Connections to a peer beyond those, for copies of records and what belongs to them: more than a peer is ever asked at a
/// time.
const RECORD_CONNECTIONS: usize = 16;

/// How long a connection is kept that is not used; the peer closes it soon after.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(8);

/// Who has part in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The peer alone.
    ByItself,
    /// The peer may have to ask others.
    WithOthers,
    /// Those who ask for something with others wait for this: it must not queue behind them.
    ForOthers,
}

/// One request on its way to a peer, through all attempts to send it.
#[derive(Debug)]
pub(crate) struct Sending {
    answered: Answered,
    /// Whether it may be done once at most: done twice, it would undo what came between.
    is_once: bool,
    is_in_doubt: AtomicBool,
}

impl Sending {
    pub(crate) const fn new(answered: Answered) -> Self {
        Self { answered, is_once: false, is_in_doubt: AtomicBool::new(false) }
    }

    /// The same, for a request that is not sent again once it is in doubt.
    pub(crate) const fn once(self) -> Self {
        Self { is_once: true, ..self }
    }

    /// Whether it has left and no answer came back, so that it may be done or not. Holds also for one that is given up
    /// while it is under way.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt.load(Ordering::Relaxed)
    }

    /// It leaves now. Returns whether it was in doubt before, for [`Sending::settle`].
    pub(super) fn leaves(&self) -> bool {
        self.is_in_doubt.swap(true, Ordering::Relaxed)
    }

    /// An answer came, or it has not left after all.
    pub(super) fn settle(&self, was_in_doubt: bool) {
        self.is_in_doubt.store(was_in_doubt, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) -> Answered {
        self.answered
    }

    /// Whether it must not be sent again.
    pub(crate) fn is_over(&self) -> bool {
        self.is_once && self.is_in_doubt()
    }
}

/// The connections to one peer: idle ones are kept, and no more than a limit are open.
pub(crate) struct Connections {
    name: NodeName,
    host: Option<HeaderValue>,
    /// Says the secret by which this side is let in.
    authorization: Option<HeaderValue>,
    /// Connects in TLS, if that is spoken.
    tls: Option<Dialer>,
    idle: Mutex<Vec<(Instant, Open)>>,
    /// For what the peer may have to ask others: such requests can be many and slow.
    onward_permits: Semaphore,
    /// For what the peer answers by itself: maintenance must not queue behind client traffic.
    own_permits: Semaphore,
    record_permits: Semaphore,
    body_bytes: usize,
}

impl Connections {
    pub(crate) fn new(name: NodeName, connections_max: usize, body_bytes: usize) -> Self {
        let host = HeaderValue::from_str(name.as_str()).ok();
        let onward_permits = Semaphore::new(connections_max);
        let own_permits = Semaphore::new(OWN_CONNECTIONS);
        let record_permits = Semaphore::new(RECORD_CONNECTIONS);
        let (authorization, tls, idle) = (None, None, Mutex::default());
        Self { name, host, authorization, tls, idle, onward_permits, own_permits, record_permits, body_bytes }
    }

    /// By what is said with each request that it is let in.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The same, saying the first secret of a client.
    pub(crate) fn with_secret(self, secrets: &SecretFile) -> Self {
        let secrets = secrets.secrets();
        let bearer = secrets.own(Holder::Client).map(|own| [b"Bearer ", own.as_bytes()].concat());
        let mut authorization = bearer.and_then(|bearer| HeaderValue::from_bytes(&bearer).ok());
        if let Some(said) = &mut authorization {
            said.set_sensitive(true);
        }
        Self { authorization, ..self }
    }

    /// The same, in TLS if there is somebody to connect in it.
    pub(crate) fn in_tls(self, tls: Option<Dialer>) -> Self {
        Self { tls, ..self }
    }

    /// Connects in TLS, if that is spoken.
    pub(crate) fn dialer(&self) -> Option<&Dialer> {
        self.tls.as_ref()
    }

    /// Sends one request and reads its answer. The caller sets the deadline: dropped, it closes the connection.
    ///
    /// A kept connection may have been closed by the peer meanwhile; then the request goes out again on a new one.
    pub(crate) async fn exchange(
        &self,
        sending: &Sending,
        said: &Said,
        context: &Context,
    ) -> Result<Exchange, NoAnswer> {
        let permits = match sending.answered {
            Answered::ByItself => &self.own_permits,
            Answered::WithOthers => &self.onward_permits,
            Answered::ForOthers => &self.record_permits,
        };
        let _permit =
            permits.acquire().await.map_err(|closed| NoAnswer::NoConnection(io::Error::other(closed)))?;
        if let Some(mut open) = self.take_kept() {
            match open.send(sending, self.request(said, context), self.body_bytes).await {
                Ok(exchange) => {
                    self.keep(open);
                    return Ok(exchange);
                }
                Err(NoAnswer::Closed) if !sending.is_over() => self.idle().clear(),
                Err(no_answer) => return Err(no_answer),
            }
        }
        let mut open = self.connect().await?;
        let exchange = open.send(sending, self.request(said, context), self.body_bytes).await?;
        self.keep(open);
        Ok(exchange)
    }

    fn keep(&self, open: Open) {
        if open.driver.is_some() && !open.sender.is_closed() {
            self.idle().push((Instant::now(), open));
        }
    }

    /// The connection that was used last, unless the peer may have closed it.
    fn take_kept(&self) -> Option<Open> {
        self.close_idle(IDLE_MAX);
        self.idle().pop().map(|(_, open)| open)
    }

    /// Closes the connections that have not been used for so long.
    pub(super) fn close_idle(&self, idle_max: Duration) {
        self.idle().retain(|(since, _)| since.elapsed() < idle_max);
    }

    async fn connect(&self) -> Result<Open, NoAnswer> {
        let stream = Dialer::connect(self.tls.as_ref(), &self.name).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Closed)?;
        Ok(Open { sender, driver: Some(Box::pin(driver)) })
    }

    fn request(&self, said: &Said, context: &Context) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(said.body.clone()));
        // Whatever is told has a body, and a question that needs none is asked as anybody asks it.
        *request.method_mut() = if said.body.is_empty() { Method::GET } else { Method::POST };
        *request.uri_mut() = http::Uri::from_static(said.path);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(said.content_type));
        if let Some(host) = &self.host {
            headers.insert(HOST, host.clone());
        }
        if let Some(said) = &self.authorization {
            headers.insert(AUTHORIZATION, said.clone());
        }
        write_context(context, headers);
        request
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Open)>> {
        // A panic elsewhere cannot have left a list of connections half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection ended: as a rule there is no more to say than that it did.
fn closed(error: &hyper::Error) -> NoAnswer {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let why = causes.find_map(|cause| disbelieved(cause.downcast_ref::<io::Error>()?));
    why.unwrap_or(NoAnswer::Closed)
}

impl Open {
    async fn send(
        &mut self,
        sending: &Sending,
        request: Request<Full<Bytes>>,
        body_bytes: usize,
    ) -> Result<Exchange, NoAnswer> {
        let Self { sender, driver } = self;
        let exchange = async {
            sender.ready().await.map_err(|_| NoAnswer::Closed)?;
            let was_in_doubt = sending.leaves();
            let settle = || sending.settle(was_in_doubt);
            let response = sender.try_send_request(request).await.map_err(|mut failed| {
                if failed.take_message().is_some() {
                    settle(); // It comes back as it was.
                }
                if failed.error().is_parse() { NoAnswer::Broken } else { closed(failed.error()) }
            })?;
            let (head, body) = response.into_parts();
            if body.size_hint().lower() > body_bytes as u64 {
                return Err(NoAnswer::TooLarge { limit: body_bytes });
            }
            let body = Limited::new(body, body_bytes).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    NoAnswer::TooLarge { limit: body_bytes }
                } else {
                    NoAnswer::Broken
                }
            })?;
            settle();
            Ok(Exchange { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            ended = &mut exchange => ended,
            () = run(driver) => {
                // Only without its driver does a request that was cut off learn of it.
                *driver = None;
                exchange.await
            }
        }
    }
}

/// Ends when the connection is over.
async fn run(driver: &mut Option<Driver>) {
    if let Some(driver) = driver {
        // Why it ended, the request on it will say.
        let _ = driver.await;
    }
}

/// How long bytes may lie unread at the other end before the system ends a connection.
const UNREAD_MAX: Duration = Duration::from_secs(20);

/// After so long without a word the system asks whether the other end is still there, and how often it repeats that: one that
/// is gone without a farewell is found out within minutes, though it is only listened to.
const ALIVE_AFTER: Duration = Duration::from_secs(60);
const ALIVE_PAUSE: Duration = Duration::from_secs(15);

/// Sets up a connection of either direction: small messages leave at once, and who does not read or is gone is let go.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(ALIVE_AFTER).with_interval(ALIVE_PAUSE))?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_MAX))?;
    Ok(())
}

/// Runs `work` until `wait` has passed.
pub(crate) async fn within<T>(
    wait: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(wait, work).await.unwrap_or(Err(Failure::Silent))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Language;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_a_refused_connection_is_proof_that_nobody_is_there() {
        const EPERM: i32 = 1;
        const EMFILE: i32 = 24;
        const EADDRNOTAVAIL: i32 = 99;
        const ENETDOWN: i32 = 100;
        const ENETUNREACH: i32 = 101;
        const ETIMEDOUT: i32 = 110;
        const ECONNREFUSED: i32 = 111;
        for (errno, failure) in [
            (EPERM, Failure::Silent),
            (EMFILE, Failure::Silent),
            (EADDRNOTAVAIL, Failure::Silent),
            (ENETDOWN, Failure::Silent),
            (ENETUNREACH, Failure::Silent),
            (ETIMEDOUT, Failure::Silent),
            (ECONNREFUSED, Failure::Unreachable),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(NoAnswer::to_connect(error).failure(), failure, "{errno}");
        }
    }

    async fn ask(connections: &Connections, sending: &Sending) -> Result<Exchange, NoAnswer> {
        let said = Language::Http.say(&chord_wire::seed::Request::Node).unwrap();
        connections.exchange(sending, &said, &Context::default()).await
    }

    fn sending() -> Sending {
        Sending::new(Answered::ByItself)
    }

    #[tokio::test]
    async fn a_resolver_that_finds_nothing_proves_nothing() {
        let connections = Connections::new("no-such-host.invalid:4567".parse().unwrap(), 1, 1024);
        let sending = sending();
        let no_answer = ask(&connections, &sending).await.err().expect("nobody has that name");
        assert_eq!(no_answer.failure(), Failure::Silent, "{no_answer}");
        assert!(!sending.is_in_doubt(), "it has not left");
    }

    /// Reads one request and answers it, or closes the connection.
    async fn serve_one(stream: &mut TcpStream, answers: bool) {
        let mut head = Vec::new();
        while !head.ends_with(b"{}") {
            head.push(stream.read_u8().await.unwrap());
        }
        if answers {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        }
    }

    async fn peer() -> (TcpListener, Connections) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string().parse().unwrap();
        (listener, Connections::new(name, 1, 1024))
    }

    #[tokio::test]
    async fn a_connection_that_is_idle_for_too_long_is_closed() {
        let (listener, connections) = peer().await;
        let serves = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            serve_one(&mut stream, true).await;
            stream
        };
        let sending = sending();
        let (mut stream, asked) = tokio::join!(serves, ask(&connections, &sending));
        asked.unwrap();
        connections.close_idle(IDLE_MAX);
        let young = connections.take_kept().expect("it is young");
        connections.keep(young);
        connections.close_idle(Duration::ZERO);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_request_is_in_doubt_from_its_leaving_until_an_answer() {
        let (listener, connections) = peer().await;
        let serves = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            serve_one(&mut stream, true).await;
            serve_one(&mut stream, false).await;
            drop(listener);
        };
        let asks = async {
            let first = sending();
            ask(&connections, &first).await.unwrap();
            assert!(!first.is_in_doubt());
            let second = sending();
            let no_answer = ask(&connections, &second).await.err().expect("closed, and then refused");
            assert_eq!(no_answer.failure(), Failure::Unreachable, "{no_answer}");
            assert!(second.is_in_doubt(), "it was read before");
            let third = sending();
            ask(&connections, &third).await.err().expect("refused");
            assert!(!third.is_in_doubt());
        };
        tokio::join!(serves, asks);
    }

    #[tokio::test]
    async fn what_may_be_done_once_is_sent_again_only_if_it_has_not_left() {
        let (listener, connections) = peer().await;
        let (closed, mut is_closed) = tokio::sync::mpsc::channel(1);
        let serves = async {
            for answers in [true, true, false] {
                let (mut stream, _) = listener.accept().await.unwrap();
                serve_one(&mut stream, answers).await;
                drop(stream);
                closed.send(()).await.unwrap();
            }
        };
        let asks = async {
            for _ in 0..2 {
                let sending = sending().once();
                ask(&connections, &sending).await.unwrap();
                assert!(!sending.is_in_doubt());
                is_closed.recv().await;
            }
            let sending = sending().once();
            let no_answer = ask(&connections, &sending).await.err().expect("closed, and not tried again");
            assert!(matches!(no_answer, NoAnswer::Closed) && sending.is_in_doubt(), "{no_answer}");
        };
        tokio::join!(serves, asks);
    }
}
