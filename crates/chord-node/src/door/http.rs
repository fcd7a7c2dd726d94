//! HTTP: from a connection to single requests, with every limit on their way in.

use std::convert::Infallible;
use std::sync::Arc;

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

use super::{Ends, seed};
use crate::links::{context, write_context};
use crate::shared::{Shared, Stage};

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
    seed::answer(shared, ends, command, &body, context).await
}

const UNKNOWN_COMMAND: &str = "no such command: POST to /node, /create, /join, /find_successor, /notify, \
    /get_predecessor, /get_successor_list, /get, /put or /shutdown";

fn read_context(headers: &HeaderMap) -> Result<Context, Refused> {
    context(headers).map_err(|bad| Refused::new(Code::BadRequest, bad.to_string()).closing())
}

async fn read_body(shared: &Shared, body: Incoming) -> Result<Bytes, Refused> {
    let limit = shared.limits.body_bytes();
    let too_large = || {
        let sentence = format!("the body has more than the {limit} bytes that this node accepts");
        Refused::new(Code::TooLarge, sentence).closing()
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(shared.limits.body_read, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused::new(Code::BadRequest, "the body ended before it was complete").closing()),
        Err(_) => Err(Refused::new(Code::TooSlow, "the body did not arrive in time").closing()),
    }
}

fn response(status: StatusCode, body: Vec<u8>, context: &Context) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    write_context(context, headers);
    response
}
