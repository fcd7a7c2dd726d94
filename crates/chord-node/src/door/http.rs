//! HTTP: from a connection to single requests, with every limit on their way in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chord_wire::{Code, Command, Context, encode_error};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::SemaphorePermit;

use super::{Ends, seed};
use crate::links::{context, write_context};
use crate::shared::{Shared, Stage};

/// The budget for bodies is counted in these bytes.
pub(crate) const BUDGET_UNIT: usize = 1024;

/// Bodies below so many units need no share of the budget: all connections together cannot keep much with them.
const SMALL_UNITS: u32 = 16;

/// How much of a body that is too large is read and thrown away, and for how long.
const DRAINED_MAX: usize = 64 << 20;
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// An answer, or the reason why there is none.
pub(super) struct Answered {
    pub(super) body: Vec<u8>,
    pub(super) context: Context,
}

/// A request that is refused, and why: one sentence for people, one code for programs.
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) sentence: String,
    pub(super) context: Box<Context>,
    /// Whether the rest of the request is not worth reading.
    closes: bool,
}

impl Refused {
    pub(super) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), context: Box::default(), closes: false }
    }

    pub(super) fn with(self, context: Context) -> Self {
        Self { context: Box::new(context), ..self }
    }

    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, ends: Ends, shared: Arc<Shared>) {
    let limits = &shared.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8 << 10));
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(&shared, ends, request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.reached(Stage::Closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %ends.peer, "a connection ended: {error}");
    }
}

async fn respond(shared: &Arc<Shared>, ends: Ends, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match handle(shared, ends, request).await {
        Ok(Answered { body, context }) => response(StatusCode::OK, body, &context),
        Err(Refused { code, sentence, mut context, closes }) => {
            context.code = Some(code);
            let status =
                StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = response(status, encode_error(&sentence), &context);
            if code == Code::MethodNotAllowed {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            if closes {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

async fn handle(shared: &Arc<Shared>, ends: Ends, request: Request<Incoming>) -> Result<Answered, Refused> {
    let (head, body) = request.into_parts();
    let command = head.uri.path().strip_prefix('/').and_then(Command::from_name);
    let Some(command) = command else {
        return Err(Refused::new(Code::UnknownCommand, UNKNOWN_COMMAND).closing());
    };
    if head.method != Method::POST {
        let sentence = format!("{command} is asked for by POST, with a JSON object as the body");
        return Err(Refused::new(Code::MethodNotAllowed, sentence).closing());
    }
    let context = read_context(&head.headers)?;
    let body = read_body(shared, body).await?;
    seed::answer(shared, ends, command, &body.bytes, context).await
}

const UNKNOWN_COMMAND: &str = "no such command: POST to /node, /create, /join, /find_successor, /notify, \
    /get_predecessor, /get_successor_list, /get, /put or /shutdown";

fn read_context(headers: &HeaderMap) -> Result<Context, Refused> {
    context(headers).map_err(|bad| Refused::new(Code::BadRequest, bad.to_string()).closing())
}

/// A body, and its part of the budget for as long as it is kept.
struct Received<'a> {
    bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

async fn read_body(shared: &Shared, mut body: Incoming) -> Result<Received<'_>, Refused> {
    let limit = shared.limits.body_bytes();
    let announced = body.size_hint();
    let size = announced.upper().map_or(limit, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let share = reserve(shared, size.min(limit))?;
    let received = tokio::time::timeout(shared.limits.body_read, async {
        if announced.lower() > limit as u64 {
            drain(&mut body).await;
            return Err(too_large(limit));
        }
        match Limited::new(&mut body, limit).collect().await {
            Ok(bytes) => Ok(bytes.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                drain(&mut body).await;
                Err(too_large(limit))
            }
            Err(_) => Err(Refused::new(Code::BadRequest, "the body ended before it was complete").closing()),
        }
    });
    let late = || Refused::new(Code::TooSlow, "the body did not arrive in time").closing();
    let bytes = received.await.unwrap_or_else(|_| Err(late()))?;
    Ok(Received { bytes, _share: share })
}

fn reserve(shared: &Shared, bytes: usize) -> Result<Option<SemaphorePermit<'_>>, Refused> {
    let units = u32::try_from(bytes / BUDGET_UNIT).unwrap_or(u32::MAX);
    if units < SMALL_UNITS {
        return Ok(None);
    }
    shared.body_budget.try_acquire_many(units).map(Some).map_err(|_| {
        let sentence = "this node is receiving as many bytes as its limit allows: try again later";
        Refused::new(Code::Busy, sentence).closing()
    })
}

fn too_large(limit: usize) -> Refused {
    let sentence = format!("the body has more than the {limit} bytes that this node accepts");
    Refused::new(Code::TooLarge, sentence).closing()
}

/// Reads on and keeps nothing: most clients look at an answer only when they have sent everything.
async fn drain(body: &mut Incoming) {
    let drained = async {
        let mut room = DRAINED_MAX;
        while room > 0 {
            let Some(Ok(frame)) = body.frame().await else { return };
            room = room.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // Whoever is slower than that gets the answer, if its system still delivers it.
    let _ = tokio::time::timeout(DRAIN_WAIT, drained).await;
}

fn response(status: StatusCode, body: Vec<u8>, context: &Context) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    write_context(context, headers);
    response
}
